// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/lists.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "proto/field.h"

/* Entries that are put on their lists in one transaction. */
#define SETTLE_STEP 64

/* What a list is about; on the disk, hashed. */
enum list_kind {
	LIST_ALL = 'a',
	LIST_MARK = 'm',	/* one record, number 0: from where on entries are recent */
	LIST_IDS = 'i',		/* by hashes of id and sender, and number: id_order() */
	LIST_ID = 'h',		/* none: its name gives the bits of an id */
	LIST_SERVICE = 's',	/* these by number */
	LIST_SENDER = 'f',
	LIST_TAG = 't',
};

/* A recent entry. */
struct recent {
	uint64_t number;
	uint64_t id;		/* its order on the list of ids */
	size_t n;
	struct list_name on[];	/* the other lists it belongs on */
};

static struct list_name make_name(const struct lists *l, enum list_kind kind, const void *about,
				  size_t len)
{
	crypto_generichash_state st;
	uint8_t kind_byte = (uint8_t)kind;
	struct list_name name;

	crypto_generichash_init(&st, l->key, LISTS_KEY_LEN, sizeof(name.b));
	crypto_generichash_update(&st, &kind_byte, 1);
	if (len)
		crypto_generichash_update(&st, about, len);
	crypto_generichash_final(&st, name.b, sizeof(name.b));
	sodium_memzero(&st, sizeof(st));
	return name;
}

struct list_name lists_of_service(const struct lists *l, const void *name, size_t len)
{
	return make_name(l, LIST_SERVICE, name, len);
}

struct list_name lists_of_sender(const struct lists *l, const void *address, size_t len)
{
	return make_name(l, LIST_SENDER, address, len);
}

struct list_name lists_of_tag(const struct lists *l, const struct message_tag *tag)
{
	/* A key has no NUL inside: no two pairs make the same name. */
	uint8_t name[MESSAGE_TAG_BYTES_MAX];
	struct wire_writer w;

	wire_write_init(&w, name, sizeof(name));
	field_put_text(&w, tag->key);
	if (tag->len)
		wire_put(&w, tag->value, tag->len);
	return make_name(l, LIST_TAG, name, wire_len(&w));
}

void lists_key(const struct list_name *name, uint64_t order, uint8_t out[static LIST_KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, LIST_KEY_LEN);
	wire_put(&w, name->b, sizeof(name->b));
	wire_put_be64(&w, order);
}

/* Puts something on a list, or takes it off. */
static int list(const struct lists *l, const struct list_name *name, uint64_t order, bool on)
{
	uint8_t key[LIST_KEY_LEN];

	lists_key(name, order, key);
	return on ? store_put(l->store, STORE_OVERLAY, key, sizeof(key), NULL, 0) :
		    store_del(l->store, STORE_OVERLAY, key, sizeof(key));
}

/*
 * Where an entry stands on the list of ids: 20 bits of a hash of the id, 12 of one of the
 * sender, the number (32). Few others have the same bits; the entry itself tells.
 */
#define ID_BITS 20
#define SENDER_BITS 12

static uint64_t bits_of(const struct list_name *name, unsigned int n)
{
	struct wire_reader r;

	wire_read_init(&r, name->b, sizeof(name->b));
	return wire_get_be64(&r) >> (64 - n);
}

static uint64_t id_order(const struct lists *l, const struct ident *id)
{
	struct list_name name = make_name(l, LIST_ID, id->b, sizeof(id->b));

	return bits_of(&name, ID_BITS) << (64 - ID_BITS);
}

static uint64_t sender_order(const struct list_name *sender)
{
	return bits_of(sender, SENDER_BITS) << 32;
}

/* ---- recent entries ---- */

static struct recent *recent_new(const struct lists *l, uint64_t number, const struct message *m)
{
	const struct message_tag flood = { .key = MESSAGE_TAG_FLOOD };
	struct recent *r = malloc(sizeof(*r) + (m->tags.n + 3u) * sizeof(r->on[0]));
	struct message_tag tag;

	if (!r)
		return NULL;
	r->number = number;
	r->n = 0;
	r->on[r->n++] = lists_of_service(l, m->service, strlen(m->service));
	r->on[r->n++] = lists_of_sender(l, m->sender.b, ADDRESS_LEN);
	r->id = id_order(l, &m->id) | sender_order(&r->on[1]) | number;
	if (m->mode == MESSAGE_FLOOD)
		r->on[r->n++] = lists_of_tag(l, &flood);
	for (size_t at = 0; message_tags_next(&m->tags, &at, &tag);)
		r->on[r->n++] = lists_of_tag(l, &tag);
	return r;
}

/* The first recent entry whose number is not below @number. */
static size_t seek(const struct lists *l, uint64_t number)
{
	size_t low = 0, high = l->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->recent[middle]->number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_recent(const struct lists *l, uint64_t number, size_t *at)
{
	*at = seek(l, number);
	return *at < l->n && l->recent[*at]->number == number;
}

static void forget(struct lists *l, size_t at, size_t n)
{
	for (size_t i = at; i < at + n; i++)
		free(l->recent[i]);
	l->n -= n;
	if (n)
		memmove(&l->recent[at], &l->recent[at + n], (l->n - at) * sizeof(l->recent[0]));
}

void lists_init(struct lists *l, struct store *store, const uint8_t *key)
{
	*l = (struct lists){ .store = store, .key = key, .max = LISTS_RECENT };
	l->all = make_name(l, LIST_ALL, NULL, 0);
	l->ids = make_name(l, LIST_IDS, NULL, 0);
	l->mark = make_name(l, LIST_MARK, NULL, 0);
}

void lists_close(struct lists *l)
{
	forget(l, 0, l->n);
	free(l->recent);
	l->recent = NULL;
	l->size = 0;
}

int lists_reset(struct lists *l, uint64_t next)
{
	uint8_t key[LIST_KEY_LEN], value[8];
	struct wire_reader r;
	ssize_t n;

	forget(l, 0, l->n);
	lists_key(&l->mark, 0, key);
	n = store_get(l->store, STORE_OVERLAY, key, sizeof(key), value, sizeof(value));
	if (n < 0 && n != -ENOENT && n != -EBADMSG && n != -EMSGSIZE)
		return (int)n;
	wire_read_init(&r, value, n == sizeof(value) ? sizeof(value) : 0);
	l->from = wire_get_be64(&r);
	/* Without the mark as good a guess as any: what is remembered may be listed, too. */
	if (n != -ENOENT && r.failed)
		l->from = next > 2 * LISTS_RECENT ? next - 2 * LISTS_RECENT : 0;
	return 0;
}

int lists_add(struct lists *l, uint64_t number, const struct message *m)
{
	struct recent *r;

	if (l->n == l->size) {
		size_t size = l->size ? 2 * l->size : 16;
		struct recent **more = realloc(l->recent, size * sizeof(*more));

		if (!more)
			return -ENOMEM;
		l->recent = more;
		l->size = size;
	}
	r = recent_new(l, number, m);
	if (!r)
		return -ENOMEM;
	l->recent[l->n++] = r;
	return 0;
}

/* ---- lists on the disk ---- */

static int list_all(const struct lists *l, const struct recent *r, bool on)
{
	int err = list(l, &l->ids, r->id, on);

	for (size_t i = 0; i < r->n && !err; i++)
		err = list(l, &r->on[i], r->number, on);
	return err;
}

static int set_mark(const struct lists *l, uint64_t from)
{
	uint8_t key[LIST_KEY_LEN], value[8];
	struct wire_writer w;

	lists_key(&l->mark, 0, key);
	wire_write_init(&w, value, sizeof(value));
	wire_put_be64(&w, from);
	return store_put(l->store, STORE_OVERLAY, key, sizeof(key), value, sizeof(value));
}

int lists_settle(struct lists *l)
{
	int err = 0;

	if (l->n < l->max)
		return 0;
	/* What is listed above the mark when this fails is listed again later. */
	while (l->n && !err) {
		size_t n = l->n < SETTLE_STEP ? l->n : SETTLE_STEP;
		uint64_t from = l->recent[n - 1]->number + 1;

		store_together(l->store, true);
		for (size_t i = 0; i < n && !err; i++)
			err = list_all(l, l->recent[i], true);
		if (!err)
			err = set_mark(l, from);
		store_together(l->store, false);
		if (!err) {
			forget(l, 0, n);
			l->from = from;
		}
	}
	return err;
}

int lists_remove(struct lists *l, uint64_t number, const struct message *m)
{
	struct recent *r;
	size_t at;
	int err;

	if (is_recent(l, number, &at)) {
		forget(l, at, 1);
		return 0;
	}
	if (number >= l->from || !m)
		return 0;
	r = recent_new(l, number, m);
	err = r ? list_all(l, r, false) : -ENOMEM;
	free(r);
	return err;
}

/* Takes it off the lists of tags that go, or (@on) puts it on those of tags that come. */
static int retag(const struct lists *l, uint64_t number, const struct message_tags *have,
		 const struct message_tags *want, bool on)
{
	struct message_tag tag;
	int err = 0;

	for (size_t at = 0; !err && message_tags_next(on ? want : have, &at, &tag);) {
		struct list_name name;

		if (message_tags_has(on ? have : want, &tag))
			continue;
		name = lists_of_tag(l, &tag);
		err = list(l, &name, number, on);
	}
	return err;
}

int lists_change(struct lists *l, uint64_t number, const struct message *m,
		 const struct message_tags *old)
{
	struct recent *r;
	size_t at;
	int err;

	if (is_recent(l, number, &at)) {
		r = recent_new(l, number, m);
		if (!r)
			return -ENOMEM;
		free(l->recent[at]);
		l->recent[at] = r;
		return 0;
	}
	err = retag(l, number, old, &m->tags, false);
	return err ? err : retag(l, number, old, &m->tags, true);
}

int lists_clear(struct lists *l)
{
	int err = list(l, &l->mark, 0, false);

	if (!err)
		l->from = 0;
	return err;
}

/* ---- looking ---- */

int lists_each_id(const struct lists *l, const struct ident *id, const struct address *sender,
		  lists_id_cb cb, void *ctx)
{
	uint64_t from = id_order(l, id), to = from | (UINT64_MAX >> ID_BITS), order;
	ssize_t n;
	int stop = 0;

	if (sender) {
		struct list_name name = lists_of_sender(l, sender->b, ADDRESS_LEN);

		from |= sender_order(&name);
		to = from | UINT32_MAX;
	}
	for (size_t i = 0; i < l->n && !stop; i++)
		if (l->recent[i]->id >= from && l->recent[i]->id <= to)
			stop = cb(ctx, l->recent[i]->number);
	for (; !stop; from = order + 1) {
		n = store_orders(l->store, STORE_OVERLAY, l->ids.b, from, to, &order, 1);
		if (n <= 0)
			return (int)n;
		if ((order & UINT32_MAX) < l->from)
			stop = cb(ctx, order & UINT32_MAX);
	}
	return stop;
}

static bool is_on(const struct recent *r, const struct list_name *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (!memcmp(r->on[i].b, name->b, sizeof(name->b)))
			return true;
	return false;
}

ssize_t lists_numbers(const struct lists *l, const struct list_name *name, uint64_t from,
		      uint64_t *numbers, size_t n)
{
	bool all = !memcmp(name->b, l->all.b, sizeof(name->b));
	ssize_t got = 0;

	if (all || from < l->from)
		got = store_orders(l->store, STORE_OVERLAY, name->b, from, all ? UINT64_MAX : l->from - 1,
				   numbers, n);
	if (all || got < 0)
		return got;
	for (size_t i = seek(l, from); i < l->n && (size_t)got < n; i++)
		if (is_on(l->recent[i], name))
			numbers[got++] = l->recent[i]->number;
	return got;
}
