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

/* True when the log has the sender's message of this id. */
static bool has(const struct floods *f, const struct ident *id, const struct address *sender)
{
	uint8_t key[KEY_LEN], value[8];
	struct flood flood;
	struct wire_reader r;

	make_key(GROUP_INDEX, index_of(f, id, sender), key);
	if (store_get(f->bodies->store, STORE_FLOODS, key, sizeof(key), value, sizeof(value)) !=
	    sizeof(value))
		return false;
	wire_read_init(&r, value, sizeof(value));
	return !get(f, wire_get_be64(&r), &flood) && ident_equal(&flood.id, id) &&
	       address_equal(&flood.sender, sender);
}

/* Takes one out of log and index. */
static int drop(const struct floods *f, uint64_t order, const struct flood *flood)
{
	struct store *store = f->bodies->store;
	uint8_t key[KEY_LEN];
	int err;

	make_key(GROUP_LOG, order, key);
	err = store_del(store, STORE_FLOODS, key, sizeof(key));
	make_key(GROUP_INDEX, index_of(f, &flood->id, &flood->sender), key);
	if (!err)
		err = store_del(store, STORE_FLOODS, key, sizeof(key));
	return err ? err : bodies_drop(f->bodies, &flood->ref);
}

/* Drops the oldest. */
static int evict(struct floods *f)
{
	const uint8_t prefix = GROUP_LOG;
	struct store *store = f->bodies->store;
	uint8_t key[KEY_LEN];
	struct flood flood;
	uint64_t order;
	ssize_t n = store_orders(store, STORE_FLOODS, &prefix, 0, UINT64_MAX, &order, 1);
	int err;

	if (n <= 0) {
		f->n = f->bytes = 0;
		return (int)n;
	}
	err = get(f, order, &flood);
	if (err && err != -EBADMSG)
		return err;
	f->n--;
	if (err) {
		/* Nothing of it can be found but itself. */
		make_key(GROUP_LOG, order, key);
		return store_del(store, STORE_FLOODS, key, sizeof(key));
	}
	f->bytes -= f->bytes < flood.len ? f->bytes : flood.len;
	store_together(store, true);
	err = drop(f, order, &flood);
	store_together(store, false);
	return err;
}

static int put(struct floods *f, const struct message *m, struct body *body)
{
	struct flood flood = { .id = m->id, .sender = m->sender };
	uint8_t key[KEY_LEN], value[VALUE_LEN], at[8];
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
	wire_write_init(&w, at, sizeof(at));
	wire_put_be64(&w, f->next);
	make_key(GROUP_INDEX, index_of(f, &m->id, &m->sender), key);
	if (!err)
		err = store_put(store, STORE_FLOODS, key, sizeof(key), at, sizeof(at));
	if (err)
		drop(f, f->next, &flood);
	store_together(store, false);
	return err;
}

int floods_add(struct floods *f, const struct message *m, struct body *body)
{
	size_t len = body->len;
	int err = 0;

	if (store_failures(f->bodies->store) != f->failures)
		err = count(f);
	if (!err && has(f, &m->id, &m->sender))
		err = -EEXIST;
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
