// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/floods.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/wire.h"

/* Groups of the table: the log by order, and by sender and id, as a number, where in the log. */
enum group {
	GROUP_LOG = 0,
	GROUP_INDEX = 1,
};

#define KEY_LEN (1 + 8)
#define VERSION 1
#define VALUE_LEN (1 + 32 + 4 + 4 + 32 + ADDRESS_LEN + 1 + 4)

static void make_key(enum group group, uint64_t order, uint8_t out[static KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, KEY_LEN);
	wire_put_u8(&w, (uint8_t)group);
	wire_put_be64(&w, order);
}

/* Under the store's secret, so that nobody can make two of them meet. */
static uint64_t index_of(const struct floods *f, const struct ident *id,
			 const struct address *sender)
{
	crypto_generichash_state st;
	uint8_t hash[crypto_generichash_BYTES_MIN];
	struct wire_reader r;

	crypto_generichash_init(&st, f->bodies->secret, BODIES_SECRET_LEN, sizeof(hash));
	crypto_generichash_update(&st, (const uint8_t *)"flood", 5);
	crypto_generichash_update(&st, id->b, sizeof(id->b));
	crypto_generichash_update(&st, sender->b, ADDRESS_LEN);
	crypto_generichash_final(&st, hash, sizeof(hash));
	sodium_memzero(&st, sizeof(st));
	wire_read_init(&r, hash, sizeof(hash));
	return wire_get_be64(&r);
}

static bool read_value(const void *value, size_t len, struct flood *out)
{
	struct wire_reader r;
	uint8_t version, trust;

	wire_read_init(&r, value, len);
	version = wire_get_u8(&r);
	wire_get(&r, out->ref.key.b, sizeof(out->ref.key.b));
	out->ref.number = wire_get_be32(&r);
	out->ref.reader = wire_get_be32(&r);
	wire_get(&r, out->id.b, sizeof(out->id.b));
	wire_get(&r, out->sender.b, ADDRESS_LEN);
	trust = wire_get_u8(&r);
	out->len = wire_get_be32(&r);
	out->trust = (enum message_trust)trust;
	return wire_done(&r) && version == VERSION && trust <= MESSAGE_INVALID;
}

static int get(const struct floods *f, uint64_t order, struct flood *out)
{
	uint8_t key[KEY_LEN], value[VALUE_LEN];
	ssize_t n;

	make_key(GROUP_LOG, order, key);
	n = store_get(f->bodies->store, STORE_FLOODS, key, sizeof(key), value, sizeof(value));
	if (n == -EMSGSIZE || (n >= 0 && !read_value(value, (size_t)n, out)))
		n = -EBADMSG;
	return n < 0 ? (int)n : 0;
}

static int count_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct floods *f = ctx;
	struct flood flood;

	(void)key;
	(void)key_len;
	f->n++;
	if (read_value(value, value_len, &flood))
		f->bytes += flood.len;
	return 0;
}

static int count(struct floods *f)
{
	const uint8_t prefix = GROUP_LOG;
	uint64_t last = 0;
	int err;

	f->n = f->bytes = 0;
	f->failures = store_failures(f->bodies->store);
	err = store_each_of(f->bodies->store, STORE_FLOODS, &prefix, count_one, f);
	if (!err)
		err = store_last_order(f->bodies->store, STORE_FLOODS, &prefix, &last);
	/* An order is not given twice while the daemon runs, whatever a commit does. */
	if (err >= 0 && f->next <= last)
		f->next = last + 1;
	return err < 0 ? err : 0;
}

int floods_open(struct floods *f, struct bodies *bodies, uint64_t limit, uint64_t limit_bytes)
{
	*f = (struct floods){
		.bodies = bodies,
		.next = 1,
		.limit = limit ? limit : LIMIT_FLOODS,
		.limit_bytes = limit_bytes ? limit_bytes : LIMIT_FLOOD_BYTES,
	};
	return count(f);
}

/* Where the index says that it is: 0, -ENOENT, -EBADMSG. */
static int look_up(const struct floods *f, const struct ident *id, const struct address *sender,
		   uint64_t *order)
{
	uint8_t key[KEY_LEN], value[8];
	struct wire_reader r;
	ssize_t n;

	make_key(GROUP_INDEX, index_of(f, id, sender), key);
	n = store_get(f->bodies->store, STORE_FLOODS, key, sizeof(key), value, sizeof(value));
	wire_read_init(&r, value, n > 0 ? (size_t)n : 0);
	*order = wire_get_be64(&r);
	if (n == -EMSGSIZE || (n >= 0 && !wire_done(&r)))
		n = -EBADMSG;
	return n < 0 ? (int)n : 0;
}

/* Queues that the index says so. */
static int index_put(const struct floods *f, const struct ident *id, const struct address *sender,
		     uint64_t order)
{
	uint8_t key[KEY_LEN], at[8];
	struct wire_writer w;

	make_key(GROUP_INDEX, index_of(f, id, sender), key);
	wire_write_init(&w, at, sizeof(at));
	wire_put_be64(&w, order);
	return store_put(f->bodies->store, STORE_FLOODS, key, sizeof(key), at, sizeof(at));
}

/* A look through log or index, when what should tell is damaged. */
struct search {
	const struct ident *id;		/* in the log: this message */
	const struct address *sender;
	uint64_t order;			/* in the index: what says that it is here; the key found */
};

static uint64_t order_of_key(const void *key)
{
	struct wire_reader r;

	wire_read_init(&r, (const uint8_t *)key + 1, KEY_LEN - 1);
	return wire_get_be64(&r);
}

static int search_log(void *ctx, const void *key, size_t key_len, const void *value,
		      size_t value_len)
{
	struct search *s = ctx;
	struct flood flood;

	if (key_len != KEY_LEN || !read_value(value, value_len, &flood) ||
	    !ident_equal(&flood.id, s->id) || !address_equal(&flood.sender, s->sender))
		return 0;
	s->order = order_of_key(key);
	return 1;
}

static int search_index(void *ctx, const void *key, size_t key_len, const void *value,
			size_t value_len)
{
	struct search *s = ctx;
	struct wire_reader r;

	wire_read_init(&r, value, value_len);
	if (key_len != KEY_LEN || wire_get_be64(&r) != s->order || !wire_done(&r))
		return 0;
	s->order = order_of_key(key);
	return 1;
}

/* As look_up(), where the index is damaged; puts that right. */
static int look_through(const struct floods *f, const struct ident *id,
			const struct address *sender, uint64_t *order)
{
	const uint8_t prefix = GROUP_LOG;
	struct search s = { .id = id, .sender = sender };
	int err = store_each_of(f->bodies->store, STORE_FLOODS, &prefix, search_log, &s);

	if (err <= 0)
		return err ? err : -ENOENT;
	*order = s.order;
	return index_put(f, id, sender, s.order);
}

/* -EEXIST when the log has the sender's message of this id, 0, storage errors. */
static int check_new(const struct floods *f, const struct ident *id, const struct address *sender)
{
	struct flood flood;
	uint64_t order;
	int err = look_up(f, id, sender, &order);

	if (err == -EBADMSG)
		err = look_through(f, id, sender, &order);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = get(f, order, &flood);
	/* What the log has damaged comes again. */
	if (err)
		return err == -ENOENT || err == -EBADMSG ? 0 : err;
	return ident_equal(&flood.id, id) && address_equal(&flood.sender, sender) ? -EEXIST : 0;
}

/* Takes one out of log and index. */
static int drop(const struct floods *f, uint64_t order, const struct flood *flood)
{
	struct store *store = f->bodies->store;
	uint8_t key[KEY_LEN];
	uint64_t indexed;
	int err;

	make_key(GROUP_LOG, order, key);
	err = store_del(store, STORE_FLOODS, key, sizeof(key));
	make_key(GROUP_INDEX, index_of(f, &flood->id, &flood->sender), key);
	/* After damage the same message may be there once more, and that is what is known. */
	if (!err && (look_up(f, &flood->id, &flood->sender, &indexed) || indexed == order))
		err = store_del(store, STORE_FLOODS, key, sizeof(key));
	return err ? err : bodies_drop(f->bodies, &flood->ref);
}

/* A damaged one: what else tells of it has to be looked for. Its body stays. */
static int drop_damaged(struct floods *f, uint64_t order)
{
	const uint8_t prefix = GROUP_INDEX;
	struct store *store = f->bodies->store;
	struct search s = { .order = order };
	uint8_t key[KEY_LEN];
	int err, found = store_each_of(store, STORE_FLOODS, &prefix, search_index, &s);

	if (found < 0)
		return found;
	make_key(GROUP_LOG, order, key);
	err = store_del(store, STORE_FLOODS, key, sizeof(key));
	make_key(GROUP_INDEX, s.order, key);
	if (!err && found)
		err = store_del(store, STORE_FLOODS, key, sizeof(key));
	/* Nobody knows whether it was counted. */
	return err ? err : count(f);
}

/* Drops the oldest. */
static int evict(struct floods *f)
{
	const uint8_t prefix = GROUP_LOG;
	struct store *store = f->bodies->store;
	struct flood flood;
	uint64_t order;
	ssize_t n = store_orders(store, STORE_FLOODS, &prefix, 0, UINT64_MAX, &order, 1);
	int err;

	if (n <= 0) {
		f->n = f->bytes = 0;
		return (int)n;
	}
	err = get(f, order, &flood);
	if (err == -EBADMSG)
		return drop_damaged(f, order);
	if (err)
		return err;
	store_together(store, true);
	err = drop(f, order, &flood);
	if (err)
		store_take_back(store);
	store_together(store, false);
	if (err)
		return err;
	f->n--;
	f->bytes -= f->bytes < flood.len ? f->bytes : flood.len;
	return 0;
}

static int put(struct floods *f, const struct message *m, struct body *body)
{
	struct flood flood = { .id = m->id, .sender = m->sender };
	uint8_t key[KEY_LEN], value[VALUE_LEN];
	struct store *store = f->bodies->store;
	struct wire_writer w;
	int err;

	store_together(store, true);
	err = bodies_add(f->bodies, body, &flood.ref);
	wire_write_init(&w, value, sizeof(value));
	wire_put_u8(&w, VERSION);
	wire_put(&w, flood.ref.key.b, sizeof(flood.ref.key.b));
	wire_put_be32(&w, flood.ref.number);
	wire_put_be32(&w, flood.ref.reader);
	wire_put(&w, m->id.b, sizeof(m->id.b));
	wire_put(&w, m->sender.b, ADDRESS_LEN);
	wire_put_u8(&w, (uint8_t)m->trust);
	wire_put_be32(&w, (uint32_t)body->len);
	make_key(GROUP_LOG, f->next, key);
	if (!err)
		err = store_put(store, STORE_FLOODS, key, sizeof(key), value, sizeof(value));
	if (!err)
		err = index_put(f, &m->id, &m->sender, f->next);
	if (err)
		store_take_back(store);
	store_together(store, false);
	return err;
}

int floods_add(struct floods *f, const struct message *m, struct body *body)
{
	size_t len = body->len;
	int err = 0;

	if (store_failures(f->bodies->store) != f->failures)
		err = count(f);
	if (!err)
		err = check_new(f, &m->id, &m->sender);
	if (!err && store_room(f->bodies->store) < 2 * len + 4096)
		err = -EDQUOT;
	while (!err && f->n && (f->n >= f->limit || f->bytes + len > f->limit_bytes))
		err = evict(f);
	if (!err)
		err = put(f, m, body);
	if (err)
		return err;
	f->next++;
	f->n++;
	f->bytes += len;
	return 0;
}

int floods_next(const struct floods *f, uint64_t from, uint64_t *order, struct flood *out)
{
	const uint8_t prefix = GROUP_LOG;
	ssize_t n = store_orders(f->bodies->store, STORE_FLOODS, &prefix, from, UINT64_MAX, order, 1);
	int err;

	if (n <= 0)
		return (int)n;
	err = get(f, *order, out);
	return err ? err : 1;
}
