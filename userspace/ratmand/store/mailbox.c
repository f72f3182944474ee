// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/mailbox.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "proto/field.h"

#define GROUP_LEN 16
#define KEY_LEN (GROUP_LEN + 8)
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define VERSION 1
#define PAD 64
#define FIXED_LEN (1 + 32 + 4 + 4 + 32 + ADDRESS_LEN + 1 + 1 + 8 + 1 + 2)
#define PLAIN_MAX \
	(FIXED_LEN + ADDRESS_LEN + LIMIT_MESSAGE_SERVICE + MESSAGE_TAG_BYTES_MAX + PAD)

/* In flags. */
#define FLAG_STD 1
#define FLAG_TO 2

/* What one change may take of the store beside the body: an entry and its lists. */
#define CHANGE_MAX (4 * PLAIN_MAX)

struct group {
	uint8_t b[GROUP_LEN];
};

struct mailbox_keys {
	uint8_t index[32];	/* hides the names of lists */
	uint8_t value[32];	/* seals entries */
	struct group all, ids;	/* names of lists */
};

/* Lists; on the disk. */
enum list_kind {
	LIST_ALL = 'a',		/* by number: the entries */
	LIST_IDS = 'i',		/* by hashes of id and sender, and number: see id_order() */
	LIST_SERVICE = 's',	/* the others by number */
	LIST_SENDER = 'f',
	LIST_TAG = 't',
	LIST_ID = 'h',		/* not on the disk: hashes for LIST_IDS */
};

void mailbox_key(const struct records *records, uint8_t out[static MAILBOX_KEY_LEN])
{
	static const char purpose[] = "ratman mailbox v1";

	crypto_generichash(out, MAILBOX_KEY_LEN, (const uint8_t *)purpose, sizeof(purpose),
			   records->value, sizeof(records->value));
}

static void derive(const uint8_t *key, const char *purpose, uint8_t out[static 32])
{
	crypto_generichash(out, 32, (const uint8_t *)purpose, strlen(purpose), key, MAILBOX_KEY_LEN);
}

static struct group make_group(const struct mailbox *mb, enum list_kind kind, const void *name,
			       size_t len)
{
	crypto_generichash_state st;
	uint8_t kind_byte = (uint8_t)kind;
	struct group g;

	crypto_generichash_init(&st, mb->keys->index, sizeof(mb->keys->index), sizeof(g.b));
	crypto_generichash_update(&st, &kind_byte, 1);
	if (len)
		crypto_generichash_update(&st, name, len);
	crypto_generichash_final(&st, g.b, sizeof(g.b));
	sodium_memzero(&st, sizeof(st));
	return g;
}

static struct group tag_group(const struct mailbox *mb, const struct message_tag *tag)
{
	/* A key has no NUL inside: no two pairs make the same name. */
	uint8_t name[MESSAGE_TAG_BYTES_MAX];
	struct wire_writer w;

	wire_write_init(&w, name, sizeof(name));
	field_put_text(&w, tag->key);
	if (tag->len)
		wire_put(&w, tag->value, tag->len);
	return make_group(mb, LIST_TAG, name, wire_len(&w));
}

static struct group flood_group(const struct mailbox *mb)
{
	const struct message_tag tag = { .key = MESSAGE_TAG_FLOOD };

	return tag_group(mb, &tag);
}

static void make_key(const struct group *g, uint64_t order, uint8_t out[static KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, KEY_LEN);
	wire_put(&w, g->b, sizeof(g->b));
	wire_put_be64(&w, order);
}

int mailbox_open(struct mailbox *mb, struct bodies *bodies,
		 const uint8_t key[static MAILBOX_KEY_LEN])
{
	uint64_t last = 0;
	int err;

	mb->bodies = bodies;
	mb->keys = sodium_malloc(sizeof(*mb->keys));
	if (!mb->keys)
		return -ENOMEM;
	derive(key, "index", mb->keys->index);
	derive(key, "value", mb->keys->value);
	mb->keys->all = make_group(mb, LIST_ALL, NULL, 0);
	mb->keys->ids = make_group(mb, LIST_IDS, NULL, 0);
	err = store_last_order(bodies->store, STORE_OVERLAY, mb->keys->all.b, &last);
	mb->next = last + 1;
	if (err < 0)
		mailbox_close(mb);
	return err < 0 ? err : 0;
}

void mailbox_close(struct mailbox *mb)
{
	sodium_free(mb->keys);
	mb->keys = NULL;
}

void mailbox_reserve(struct mailbox *mb, uint64_t next)
{
	if (mb->next < next)
		mb->next = next;
}

/* ---- entries ---- */

static size_t write_entry(const struct mailbox_entry *e, uint8_t plain[static PLAIN_MAX])
{
	const struct message *m = &e->message;
	struct wire_writer w;
	size_t len;

	wire_write_init(&w, plain, PLAIN_MAX);
	wire_put_u8(&w, VERSION);
	wire_put(&w, e->ref.key.b, sizeof(e->ref.key.b));
	wire_put_be32(&w, e->ref.number);
	wire_put_be32(&w, e->ref.reader);
	wire_put(&w, m->id.b, sizeof(m->id.b));
	wire_put(&w, m->sender.b, ADDRESS_LEN);
	wire_put_u8(&w, (m->mode == MESSAGE_STD ? FLAG_STD : 0) | (m->has_to ? FLAG_TO : 0));
	wire_put_u8(&w, (uint8_t)m->trust);
	wire_put_be64(&w, (uint64_t)m->time_ns);
	if (m->has_to)
		wire_put(&w, m->to.b, ADDRESS_LEN);
	field_put_text(&w, m->service);
	message_tags_write(&w, &m->tags);
	len = (wire_len(&w) + PAD - 1) / PAD * PAD;
	memset(w.pos, 0, len - wire_len(&w));
	return len;
}

static int read_entry(const uint8_t *plain, size_t len, struct mailbox_entry *out)
{
	struct message *m = &out->message;
	uint8_t version, flags, trust;
	struct wire_reader r;

	wire_read_init(&r, plain, len);
	version = wire_get_u8(&r);
	wire_get(&r, out->ref.key.b, sizeof(out->ref.key.b));
	out->ref.number = wire_get_be32(&r);
	out->ref.reader = wire_get_be32(&r);
	wire_get(&r, m->id.b, sizeof(m->id.b));
	wire_get(&r, m->sender.b, ADDRESS_LEN);
	flags = wire_get_u8(&r);
	trust = wire_get_u8(&r);
	m->time_ns = (int64_t)wire_get_be64(&r);
	m->mode = flags & FLAG_STD ? MESSAGE_STD : MESSAGE_FLOOD;
	m->has_to = flags & FLAG_TO;
	m->to = (struct address){ { 0 } };
	if (m->has_to)
		wire_get(&r, m->to.b, ADDRESS_LEN);
	m->trust = (enum message_trust)trust;
	m->data = NULL;
	m->len = 0;
	field_copy_text(field_get_terminated(&r), m->service, sizeof(m->service));
	if (message_tags_read(&r, &m->tags) || version != VERSION || trust > MESSAGE_INVALID)
		return -EBADMSG;
	return 0;
}

static int put_entry(const struct mailbox *mb, uint64_t number, const struct mailbox_entry *e)
{
	uint8_t sealed[NONCE_LEN + PLAIN_MAX + TAG_LEN];
	uint8_t key[KEY_LEN];
	size_t len;

	make_key(&mb->keys->all, number, key);
	randombytes_buf(sealed, NONCE_LEN);
	len = write_entry(e, sealed + NONCE_LEN);
	/* In place. */
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_LEN, NULL, sealed + NONCE_LEN, len,
						   key, sizeof(key), NULL, sealed, mb->keys->value);
	return store_put(mb->bodies->store, STORE_OVERLAY, key, sizeof(key), sealed,
			 NONCE_LEN + len + TAG_LEN);
}

int mailbox_entry(const struct mailbox *mb, uint64_t number, struct mailbox_entry *out)
{
	uint8_t sealed[NONCE_LEN + PLAIN_MAX + TAG_LEN], plain[PLAIN_MAX];
	uint8_t key[KEY_LEN];
	ssize_t n;
	int err;

	make_key(&mb->keys->all, number, key);
	n = store_get(mb->bodies->store, STORE_OVERLAY, key, sizeof(key), sealed, sizeof(sealed));
	if (n < 0)
		return n == -EMSGSIZE ? -EBADMSG : (int)n;
	if ((size_t)n < NONCE_LEN + TAG_LEN ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed + NONCE_LEN,
						       (size_t)n - NONCE_LEN, key, sizeof(key),
						       sealed, mb->keys->value))
		return -EBADMSG;
	err = read_entry(plain, (size_t)n - NONCE_LEN - TAG_LEN, out);
	sodium_memzero(plain, (size_t)n - NONCE_LEN - TAG_LEN);
	return err;
}

int mailbox_read(const struct mailbox *mb, uint64_t number, struct message *out, uint8_t *buf)
{
	struct message_signature signature;
	struct mailbox_entry e;
	int err = mailbox_entry(mb, number, &e);
	ssize_t n;

	if (err)
		return err;
	n = bodies_read(mb->bodies, &e.ref, buf, MESSAGE_BODY_MAX);
	sodium_memzero(&e.ref, sizeof(e.ref));
	if (n < 0)
		return n == -ENOMEM ? -ENOMEM : -EBADMSG;
	*out = e.message;
	if (message_body_read(buf, (size_t)n, &e.message, &signature))
		return -EBADMSG;
	out->data = e.message.data;
	out->len = e.message.len;
	return 0;
}

/* ---- lists ---- */

/* The first bytes of a group's name, as a number. */
static uint32_t group_hash(const struct group *g)
{
	struct wire_reader r;

	wire_read_init(&r, g->b, sizeof(g->b));
	return wire_get_be32(&r);
}

/*
 * Where an entry stands on the list of ids: 20 bits of a hash of the id, 12 of one of the
 * sender, the number (32). Few others have the same bits; the entry itself tells.
 */
#define ID_BITS 20
#define SENDER_BITS 12

static uint64_t id_order(const struct mailbox *mb, const struct ident *id)
{
	struct group g = make_group(mb, LIST_ID, id->b, sizeof(id->b));

	return (uint64_t)(group_hash(&g) >> (32 - ID_BITS)) << (64 - ID_BITS);
}

static uint64_t sender_order(const struct group *sender)
{
	return (uint64_t)(group_hash(sender) >> (32 - SENDER_BITS)) << 32;
}

/*
 * The numbers of the entries with @id, and of @sender unless that is NULL, in @numbers (at
 * most @n). Damaged ones pass for what is looked for. Returns how many, or an error.
 */
static ssize_t find(const struct mailbox *mb, const struct ident *id, const struct address *sender,
		    uint64_t *numbers, size_t n)
{
	uint64_t from = id_order(mb, id), to = from | (UINT64_MAX >> ID_BITS), order;
	struct mailbox_entry e;
	size_t found = 0;
	ssize_t more;

	if (sender) {
		struct group g = make_group(mb, LIST_SENDER, sender->b, ADDRESS_LEN);

		from |= sender_order(&g);
		to = from | UINT32_MAX;
	}
	for (; found < n; from = order + 1) {
		int err;

		more = store_orders(mb->bodies->store, STORE_OVERLAY, mb->keys->ids.b, from, to, &order, 1);
		if (more <= 0)
			return more < 0 ? more : (ssize_t)found;
		err = mailbox_entry(mb, order & UINT32_MAX, &e);
		sodium_memzero(&e.ref, sizeof(e.ref));
		if (err && err != -EBADMSG && err != -ENOENT)
			return err;
		if (err == -EBADMSG || (!err && ident_equal(&e.message.id, id) &&
					(!sender || address_equal(&e.message.sender, sender))))
			numbers[found++] = order & UINT32_MAX;
	}
	return (ssize_t)found;
}

bool mailbox_has(const struct mailbox *mb, const struct ident *id, const struct address *sender)
{
	uint64_t number;

	return find(mb, id, sender, &number, 1) > 0;
}

/* Puts the entry on a list, or takes it off. */
static int list(const struct mailbox *mb, const struct group *g, uint64_t number, bool on)
{
	struct store *store = mb->bodies->store;
	uint8_t key[KEY_LEN];

	make_key(g, number, key);
	return on ? store_put(store, STORE_OVERLAY, key, sizeof(key), NULL, 0) :
		    store_del(store, STORE_OVERLAY, key, sizeof(key));
}

static int list_tag(const struct mailbox *mb, const struct message_tag *tag, uint64_t number,
		    bool on)
{
	struct group g = tag_group(mb, tag);

	return list(mb, &g, number, on);
}

/* Puts the entry on every list it belongs to, or takes it off. */
static int list_all(const struct mailbox *mb, const struct message *m, uint64_t number, bool on)
{
	struct group service = make_group(mb, LIST_SERVICE, m->service, strlen(m->service));
	struct group sender = make_group(mb, LIST_SENDER, m->sender.b, ADDRESS_LEN);
	struct group flood = flood_group(mb);
	struct message_tag tag;
	int err = list(mb, &mb->keys->ids, id_order(mb, &m->id) | sender_order(&sender) | number, on);

	if (!err)
		err = list(mb, &service, number, on);
	if (!err)
		err = list(mb, &sender, number, on);
	if (!err && m->mode == MESSAGE_FLOOD)
		err = list(mb, &flood, number, on);
	for (size_t at = 0; !err && message_tags_next(&m->tags, &at, &tag);)
		err = list_tag(mb, &tag, number, on);
	return err;
}

/* ---- changes ---- */

static int remove_entry(const struct mailbox *mb, uint64_t number, const struct mailbox_entry *e)
{
	int err = list(mb, &mb->keys->all, number, false);

	if (!err)
		err = list_all(mb, &e->message, number, false);
	return err ? err : bodies_drop(mb->bodies, &e->ref);
}

int mailbox_add(struct mailbox *mb, const struct message *m, struct body *body)
{
	struct store *store = mb->bodies->store;
	struct mailbox_entry e = { .message = *m };
	int err;

	if (mailbox_has(mb, &m->id, &m->sender))
		return -EEXIST;
	if (store_room(store) < body->len + CHANGE_MAX || mb->next > UINT32_MAX)
		return -EDQUOT;
	store_together(store, true);
	err = bodies_add(mb->bodies, body, &e.ref);
	if (!err)
		err = put_entry(mb, mb->next, &e);
	if (!err)
		err = list_all(mb, m, mb->next, true);
	if (err)
		remove_entry(mb, mb->next, &e);
	store_together(store, false);
	sodium_memzero(&e.ref, sizeof(e.ref));
	/* Not even when it failed: the number may be on some list. */
	mb->next++;
	return err;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

ssize_t mailbox_find(const struct mailbox *mb, const struct ident *id, uint64_t *numbers, size_t n)
{
	ssize_t found = find(mb, id, NULL, numbers, n);

	if (found > 1)
		qsort(numbers, (size_t)found, sizeof(*numbers), compare_numbers);
	return found;
}

/* Most messages of one id that are changed, or removed at a time: each has another sender. */
#define SAME_ID_MAX 32

/* Takes it off the lists of tags that go, or (@on) puts it on those of tags that come. */
static int retag(const struct mailbox *mb, uint64_t number, const struct message_tags *have,
		 const struct message_tags *want, bool on)
{
	struct message_tag tag;
	int err = 0;

	for (size_t at = 0; !err && message_tags_next(on ? want : have, &at, &tag);)
		if (!message_tags_has(on ? have : want, &tag))
			err = list_tag(mb, &tag, number, on);
	return err;
}

static int apply(const struct message_tags *add, const struct message_tags *remove,
		 struct message_tags *tags)
{
	struct message_tag tag;
	int err = 0;

	for (size_t at = 0; message_tags_next(remove, &at, &tag);)
		message_tags_remove(tags, &tag);
	for (size_t at = 0; !err && message_tags_next(add, &at, &tag);)
		err = message_tags_add(tags, &tag);
	return err ? err : message_tags_fit(tags) ? 0 : -E2BIG;
}

static int change_one(struct mailbox *mb, uint64_t number, const struct message_tags *add,
		      const struct message_tags *remove, bool write)
{
	struct store *store = mb->bodies->store;
	struct message_tags old;
	struct mailbox_entry e;
	int err = mailbox_entry(mb, number, &e);

	if (err)
		return err;
	old = e.message.tags;
	err = apply(add, remove, &e.message.tags);
	if (!err && write) {
		store_together(store, true);
		err = put_entry(mb, number, &e);
		if (!err)
			err = retag(mb, number, &old, &e.message.tags, false);
		if (!err)
			err = retag(mb, number, &old, &e.message.tags, true);
		store_together(store, false);
	}
	sodium_memzero(&e.ref, sizeof(e.ref));
	return err;
}

int mailbox_change(struct mailbox *mb, const struct ident *id, const struct message_tags *add,
		   const struct message_tags *remove)
{
	uint64_t numbers[SAME_ID_MAX];
	ssize_t n = mailbox_find(mb, id, numbers, SAME_ID_MAX);
	int err = n < 0 ? (int)n : !n ? -ENOENT : 0;

	/* Half of it must not be refused for want of room, or because of tags. */
	if (!err && store_room(mb->bodies->store) < (size_t)n * CHANGE_MAX)
		err = -EDQUOT;
	for (ssize_t i = 0; i < n && !err; i++)
		err = change_one(mb, numbers[i], add, remove, false);
	for (ssize_t i = 0; i < n && !err; i++)
		err = change_one(mb, numbers[i], add, remove, true);
	return err;
}

/* A damaged entry goes alone: which lists it is on, and which body it had, nobody knows. */
int mailbox_remove_number(struct mailbox *mb, uint64_t number)
{
	struct store *store = mb->bodies->store;
	struct mailbox_entry e;
	int err = mailbox_entry(mb, number, &e);

	if (err == -EBADMSG)
		return list(mb, &mb->keys->all, number, false);
	if (err)
		return err;
	store_together(store, true);
	err = remove_entry(mb, number, &e);
	store_together(store, false);
	sodium_memzero(&e.ref, sizeof(e.ref));
	return err;
}

int mailbox_remove(struct mailbox *mb, const struct ident *id)
{
	uint64_t numbers[SAME_ID_MAX];
	ssize_t n = mailbox_find(mb, id, numbers, SAME_ID_MAX);
	int err = !n ? -ENOENT : 0;

	for (;;) {
		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n && !err; i++)
			err = mailbox_remove_number(mb, numbers[i]);
		if (err || n < SAME_ID_MAX)
			return err;
		n = mailbox_find(mb, id, numbers, SAME_ID_MAX);
	}
}

int mailbox_empty(struct mailbox *mb, size_t n)
{
	uint64_t numbers[64];
	ssize_t got;
	int err = 0;

	if (n > sizeof(numbers) / sizeof(numbers[0]))
		n = sizeof(numbers) / sizeof(numbers[0]);
	got = store_orders(mb->bodies->store, STORE_OVERLAY, mb->keys->all.b, 0, UINT64_MAX, numbers, n);
	if (got < 0)
		return (int)got;
	for (ssize_t i = 0; i < got && !err; i++)
		err = mailbox_remove_number(mb, numbers[i]);
	return err ? err : (size_t)got == n;
}

/* ---- walks ---- */

#define ORDERS_MIN 8
#define ORDERS_MAX 128
/* What a look at the store costs of a budget, and the next number in memory. */
#define COST_FETCH 16
#define COST_STEP 1

/* A list as far as it has been read. */
struct cursor {
	struct group group;
	uint64_t orders[ORDERS_MAX];
	size_t i, n;
	size_t batch;		/* to read the next time */
	bool last;		/* there was no more */
};

struct mailbox_walk {
	const struct mailbox *mb;
	uint64_t at;		/* numbers from here on */
	size_t n;
	struct cursor cursors[];
};

static void choose_one(struct cursor *out, size_t *n, struct group g)
{
	if (out)
		out[*n].group = g;
	++*n;
}

/* Which lists the filter asks for; with @out NULL only how many. */
static size_t choose(const struct mailbox *mb, const struct message_filter *f, struct cursor *out)
{
	struct message_tag tag;
	size_t n = 0;

	if (f->has_service)
		choose_one(out, &n, make_group(mb, LIST_SERVICE, f->service, strlen(f->service)));
	if (f->has_sender)
		choose_one(out, &n, make_group(mb, LIST_SENDER, f->sender.b, ADDRESS_LEN));
	for (size_t at = 0; message_tags_next(&f->tags, &at, &tag);) {
		if (!strcmp(tag.key, MESSAGE_TAG_SENDER))
			choose_one(out, &n, make_group(mb, LIST_SENDER, tag.value, tag.len));
		else if (!strcmp(tag.key, MESSAGE_TAG_SERVICE))
			choose_one(out, &n, make_group(mb, LIST_SERVICE, tag.value, tag.len));
		else
			choose_one(out, &n, tag_group(mb, &tag));
	}
	if (!n)
		choose_one(out, &n, mb->keys->all);
	return n;
}

struct mailbox_walk *mailbox_walk_new(const struct mailbox *mb, const struct message_filter *filter,
				      uint64_t from)
{
	size_t n = choose(mb, filter, NULL);
	struct mailbox_walk *walk = calloc(1, sizeof(*walk) + n * sizeof(walk->cursors[0]));

	if (!walk)
		return NULL;
	walk->mb = mb;
	walk->at = from;
	walk->n = n;
	choose(mb, filter, walk->cursors);
	return walk;
}

void mailbox_walk_free(struct mailbox_walk *walk)
{
	free(walk);
}

/* Reads on from @from. */
static int cursor_fetch(const struct mailbox_walk *walk, struct cursor *c, uint64_t from)
{
	ssize_t n;

	/* Who goes on where he was will go on; who jumps may jump again. */
	if (c->n && from == c->orders[c->n - 1] + 1)
		c->batch = c->batch * 2 < ORDERS_MAX ? c->batch * 2 : ORDERS_MAX;
	else
		c->batch = ORDERS_MIN;
	n = store_orders(walk->mb->bodies->store, STORE_OVERLAY, c->group.b, from, UINT64_MAX,
			 c->orders, c->batch);
	if (n < 0)
		return (int)n;
	c->i = 0;
	c->n = (size_t)n;
	c->last = c->n < c->batch;
	return 0;
}

/* Moves to the first number that is @from or more: 1, 0 at the end, or an error. */
static int cursor_seek(const struct mailbox_walk *walk, struct cursor *c, uint64_t from, int *budget)
{
	for (;;) {
		while (c->i < c->n && c->orders[c->i] < from) {
			c->i++;
			*budget -= COST_STEP;
		}
		if (c->i < c->n)
			return 1;
		if (c->last)
			return 0;
		*budget -= COST_FETCH;
		if (cursor_fetch(walk, c, from))
			return -EIO;
	}
}

int mailbox_walk_next(struct mailbox_walk *walk, int *budget, uint64_t *number)
{
	size_t agree = 0;

	/* Each list in turn moves up to the furthest of them, until all stand on one number. */
	for (size_t i = 0; agree < walk->n; i = (i + 1) % walk->n) {
		struct cursor *c = &walk->cursors[i];
		int found;

		if (*budget <= 0)
			return -EAGAIN;
		found = cursor_seek(walk, c, walk->at, budget);
		if (found <= 0)
			return found;
		*budget -= COST_STEP;
		agree = c->orders[c->i] == walk->at ? agree + 1 : 1;
		walk->at = c->orders[c->i];
	}
	*number = walk->at++;
	return 1;
}
