// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/mailbox.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "proto/field.h"
#include "ratmand/store/lists.h"

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

struct mailbox_keys {
	uint8_t index[LISTS_KEY_LEN];	/* hides the names of lists */
	uint8_t value[32];	/* seals entries */
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
	uint8_t key[LIST_KEY_LEN];
	size_t len;

	lists_key(&mb->lists->all, number, key);
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
	uint8_t key[LIST_KEY_LEN];
	ssize_t n;
	int err;

	lists_key(&mb->lists->all, number, key);
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

/* ---- opening ---- */

/* Tells the lists the entries they remember. Damaged ones are on none. */
static int load(const struct mailbox *mb)
{
	uint64_t numbers[64], from = mb->lists->from;
	struct mailbox_entry e;
	ssize_t n;

	do {
		n = store_orders(mb->bodies->store, STORE_OVERLAY, mb->lists->all.b, from, UINT64_MAX,
				 numbers, 64);
		for (ssize_t i = 0; i < n; i++) {
			int err = mailbox_entry(mb, numbers[i], &e);

			if (!err)
				err = lists_add(mb->lists, numbers[i], &e.message);
			sodium_memzero(&e.ref, sizeof(e.ref));
			if (err && err != -EBADMSG && err != -ENOENT)
				return err;
			from = numbers[i] + 1;
		}
	} while (n == 64);
	return n < 0 ? (int)n : 0;
}

/* What was queued may never have happened: then what is remembered is not true, either. */
static int refresh(struct mailbox *mb)
{
	uint64_t failures = store_failures(mb->bodies->store);
	int err;

	if (failures == mb->failures)
		return 0;
	err = lists_reset(mb->lists, mb->next);
	if (!err)
		err = load(mb);
	if (!err)
		mb->failures = failures;
	return err;
}

int mailbox_open(struct mailbox *mb, struct bodies *bodies,
		 const uint8_t key[static MAILBOX_KEY_LEN])
{
	uint64_t last = 0;
	int err;

	*mb = (struct mailbox){ .bodies = bodies };
	/* Unlike any count: the lists have not been read. */
	mb->failures = store_failures(bodies->store) - 1;
	mb->keys = sodium_malloc(sizeof(*mb->keys));
	mb->lists = malloc(sizeof(*mb->lists));
	if (!mb->keys || !mb->lists) {
		free(mb->lists);
		sodium_free(mb->keys);
		return -ENOMEM;
	}
	derive(key, "index", mb->keys->index);
	derive(key, "value", mb->keys->value);
	lists_init(mb->lists, bodies->store, mb->keys->index);
	err = store_last_order(bodies->store, STORE_OVERLAY, mb->lists->all.b, &last);
	mb->next = last + 1;
	if (err >= 0)
		err = refresh(mb);
	/* What comes is recent, also when all of what was listed last was removed. */
	if (mb->next < mb->lists->from)
		mb->next = mb->lists->from;
	if (err < 0)
		mailbox_close(mb);
	return err < 0 ? err : 0;
}

void mailbox_close(struct mailbox *mb)
{
	lists_close(mb->lists);
	free(mb->lists);
	sodium_free(mb->keys);
	mb->lists = NULL;
	mb->keys = NULL;
}

/* ---- ids ---- */

struct search {
	const struct mailbox *mb;
	const struct ident *id;
	const struct address *sender;	/* or NULL */
	uint64_t *numbers;
	size_t n, size;
};

/* Damaged ones pass for what is looked for. */
static int take_number(void *ctx, uint64_t number)
{
	struct search *s = ctx;
	struct mailbox_entry e;
	int err = mailbox_entry(s->mb, number, &e);

	sodium_memzero(&e.ref, sizeof(e.ref));
	if (err && err != -EBADMSG)
		return err == -ENOENT ? 0 : err;
	if (err || (ident_equal(&e.message.id, s->id) &&
		    (!s->sender || address_equal(&e.message.sender, s->sender))))
		s->numbers[s->n++] = number;
	return s->n == s->size;
}

static ssize_t find(struct mailbox *mb, const struct ident *id, const struct address *sender,
		    uint64_t *numbers, size_t n)
{
	struct search s = { mb, id, sender, numbers, 0, n };
	int err = refresh(mb);

	if (!err && n)
		err = lists_each_id(mb->lists, id, sender, take_number, &s);
	return err < 0 ? err : (ssize_t)s.n;
}

bool mailbox_has(struct mailbox *mb, const struct ident *id, const struct address *sender)
{
	uint64_t number;

	return find(mb, id, sender, &number, 1) > 0;
}

/* ---- changes ---- */

/* Takes it out of the list of all. */
static int remove_number(const struct mailbox *mb, uint64_t number)
{
	uint8_t key[LIST_KEY_LEN];

	lists_key(&mb->lists->all, number, key);
	return store_del(mb->bodies->store, STORE_OVERLAY, key, sizeof(key));
}

/* What was queued together did not all come about: nothing of it did. */
static void take_back(struct mailbox *mb)
{
	store_take_back(mb->bodies->store);
	/* What is remembered of the lists is read anew. */
	mb->failures = store_failures(mb->bodies->store) - 1;
}

static int remove_entry(const struct mailbox *mb, uint64_t number, const struct mailbox_entry *e)
{
	int err = remove_number(mb, number);

	if (!err)
		err = lists_remove(mb->lists, number, &e->message);
	return err ? err : bodies_drop(mb->bodies, &e->ref);
}

/* True when it is in the mailbox and can be read. What cannot comes again, and goes before. */
static int make_way(struct mailbox *mb, const struct message *m)
{
	struct mailbox_entry e;
	uint64_t there;
	ssize_t n;
	int err;

	while ((n = find(mb, &m->id, &m->sender, &there, 1)) > 0) {
		err = mailbox_entry(mb, there, &e);
		sodium_memzero(&e.ref, sizeof(e.ref));
		if (!err)
			return -EEXIST;
		if (err == -EBADMSG)
			err = mailbox_remove_number(mb, there);
		if (err)
			return err;
	}
	return (int)n;
}

int mailbox_add(struct mailbox *mb, const struct message *m, struct body *body)
{
	struct store *store = mb->bodies->store;
	struct mailbox_entry e = { .message = *m };
	int err = make_way(mb, m);

	if (err)
		return err;
	if (store_room(store) < body->len + CHANGE_MAX || mb->next >= UINT32_MAX)
		return -EDQUOT;
	store_together(store, true);
	err = bodies_add(mb->bodies, body, &e.ref);
	if (!err)
		err = put_entry(mb, mb->next, &e);
	if (!err)
		err = lists_add(mb->lists, mb->next, m);
	if (err)
		store_take_back(store);
	store_together(store, false);
	sodium_memzero(&e.ref, sizeof(e.ref));
	if (err)
		return err;
	mb->next++;
	/* What cannot be listed now is remembered on. */
	(void)lists_settle(mb->lists);
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

ssize_t mailbox_find(struct mailbox *mb, const struct ident *id, uint64_t *numbers, size_t n)
{
	ssize_t found = find(mb, id, NULL, numbers, n);

	if (found > 1)
		qsort(numbers, (size_t)found, sizeof(*numbers), compare_numbers);
	return found;
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
	struct message_tags old;
	struct mailbox_entry e;
	int err = mailbox_entry(mb, number, &e);

	if (err)
		return err;
	old = e.message.tags;
	err = apply(add, remove, &e.message.tags);
	if (!err && write)
		err = put_entry(mb, number, &e);
	if (!err && write)
		err = lists_change(mb->lists, number, &e.message, &old);
	sodium_memzero(&e.ref, sizeof(e.ref));
	return err;
}

int mailbox_change(struct mailbox *mb, const struct ident *id, const struct message_tags *add,
		   const struct message_tags *remove)
{
	uint64_t numbers[MAILBOX_SAME_ID];
	ssize_t n = mailbox_find(mb, id, numbers, MAILBOX_SAME_ID);
	int err = n < 0 ? (int)n : !n ? -ENOENT : 0;

	/* Half of it must not be refused for want of room, or because of tags. */
	if (!err && store_room(mb->bodies->store) < (size_t)n * CHANGE_MAX)
		err = -EDQUOT;
	for (ssize_t i = 0; i < n && !err; i++)
		err = change_one(mb, numbers[i], add, remove, false);
	if (err)
		return err;
	store_together(mb->bodies->store, true);
	for (ssize_t i = 0; i < n && !err; i++)
		err = change_one(mb, numbers[i], add, remove, true);
	if (err)
		take_back(mb);
	store_together(mb->bodies->store, false);
	return err;
}

/* A damaged entry goes alone: which lists it is on, and which body it had, nobody knows. */
int mailbox_remove_number(struct mailbox *mb, uint64_t number)
{
	struct store *store = mb->bodies->store;
	struct mailbox_entry e;
	int err = refresh(mb);

	if (!err)
		err = mailbox_entry(mb, number, &e);
	if (err == -EBADMSG) {
		err = remove_number(mb, number);
		return err ? err : lists_remove(mb->lists, number, NULL);
	}
	if (err)
		return err;
	store_together(store, true);
	err = remove_entry(mb, number, &e);
	if (err)
		take_back(mb);
	store_together(store, false);
	sodium_memzero(&e.ref, sizeof(e.ref));
	return err;
}

int mailbox_remove(struct mailbox *mb, const struct ident *id)
{
	uint64_t numbers[MAILBOX_SAME_ID];
	ssize_t n = mailbox_find(mb, id, numbers, MAILBOX_SAME_ID);
	int err = !n ? -ENOENT : 0;

	for (;;) {
		if (n < 0)
			return (int)n;
		for (ssize_t i = 0; i < n && !err; i++)
			err = mailbox_remove_number(mb, numbers[i]);
		if (err || n < MAILBOX_SAME_ID)
			return err;
		n = mailbox_find(mb, id, numbers, MAILBOX_SAME_ID);
	}
}

int mailbox_empty(struct mailbox *mb, size_t n)
{
	uint64_t numbers[64];
	ssize_t got;
	int err = 0;

	if (n > sizeof(numbers) / sizeof(numbers[0]))
		n = sizeof(numbers) / sizeof(numbers[0]);
	got = store_orders(mb->bodies->store, STORE_OVERLAY, mb->lists->all.b, 0, UINT64_MAX, numbers, n);
	if (got < 0)
		return (int)got;
	for (ssize_t i = 0; i < got && !err; i++)
		err = mailbox_remove_number(mb, numbers[i]);
	if (!err && (size_t)got < n)
		err = lists_clear(mb->lists);
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
	struct list_name name;
	uint64_t orders[ORDERS_MAX];
	size_t i, n;
	size_t batch;		/* to read the next time */
	bool last;		/* there was no more */
};

struct mailbox_walk {
	struct mailbox *mb;
	uint64_t at;		/* numbers from here on */
	size_t n;
	struct cursor cursors[];
};

static void choose_one(struct cursor *out, size_t *n, struct list_name name)
{
	if (out)
		out[*n].name = name;
	++*n;
}

/* Which lists the filter asks for; with @out NULL only how many. */
static size_t choose(const struct lists *l, const struct message_filter *f, struct cursor *out)
{
	struct message_tag tag;
	size_t n = 0;

	if (f->has_service)
		choose_one(out, &n, lists_of_service(l, f->service, strlen(f->service)));
	if (f->has_sender)
		choose_one(out, &n, lists_of_sender(l, f->sender.b, ADDRESS_LEN));
	for (size_t at = 0; message_tags_next(&f->tags, &at, &tag);) {
		if (!strcmp(tag.key, MESSAGE_TAG_SENDER))
			choose_one(out, &n, lists_of_sender(l, tag.value, tag.len));
		else if (!strcmp(tag.key, MESSAGE_TAG_SERVICE))
			choose_one(out, &n, lists_of_service(l, tag.value, tag.len));
		else
			choose_one(out, &n, lists_of_tag(l, &tag));
	}
	if (!n)
		choose_one(out, &n, l->all);
	return n;
}

struct mailbox_walk *mailbox_walk_new(struct mailbox *mb, const struct message_filter *filter,
				      uint64_t from)
{
	size_t n = choose(mb->lists, filter, NULL);
	struct mailbox_walk *walk = calloc(1, sizeof(*walk) + n * sizeof(walk->cursors[0]));

	if (!walk)
		return NULL;
	walk->mb = mb;
	walk->at = from;
	walk->n = n;
	choose(mb->lists, filter, walk->cursors);
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
	n = refresh(walk->mb);
	if (!n)
		n = lists_numbers(walk->mb->lists, &c->name, from, c->orders, c->batch);
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
