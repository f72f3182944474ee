// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/subscriptions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"

#define RECORD_VERSION 1
#define KEY_LEN (1 + ADDRESS_LEN + ADDRESS_LEN)	/* recipient's kind and address, subscriber */
#define RECORD_LEN (1 + 32 + 8)			/* version, id, since */
#define OWNER_LEN (32 + ADDRESS_LEN)
#define DUE_KEY_LEN (OWNER_LEN + 8)

static void write_key(const struct subscription *sub, uint8_t out[static KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, KEY_LEN);
	wire_put_u8(&w, (uint8_t)sub->to.kind);
	wire_put(&w, sub->to.address.b, ADDRESS_LEN);
	wire_put(&w, sub->owner.address.b, ADDRESS_LEN);
}

static bool read_record(const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len,
			struct subscription *out)
{
	struct wire_reader k, v;
	uint8_t kind, version;

	wire_read_init(&k, key, key_len);
	kind = wire_get_u8(&k);
	wire_get(&k, out->to.address.b, ADDRESS_LEN);
	wire_get(&k, out->owner.address.b, ADDRESS_LEN);
	wire_read_init(&v, value, value_len);
	version = wire_get_u8(&v);
	wire_get(&v, out->owner.id.b, sizeof(out->owner.id.b));
	out->since_s = wire_get_be64(&v);
	out->to.kind = (enum recipient_kind)kind;
	return wire_done(&k) && wire_done(&v) && version == RECORD_VERSION &&
	       kind <= RECIPIENT_NAMESPACE;
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct subscription *sub = calloc(1, sizeof(*sub));
	struct subscriptions *s = ctx;

	if (!sub)
		return -ENOMEM;
	if (!read_record(key, key_len, value, value_len, sub)) {
		log_warn("subscriptions: an entry cannot be read and is left alone");
		free(sub);
		return 0;
	}
	DL_APPEND(s->all, sub);
	s->n++;
	return 0;
}

static int count_one(void *ctx, const struct due_owner *owner, uint64_t order, const uint8_t *value,
		     size_t len)
{
	struct subscription *sub = ctx;

	(void)owner;
	(void)value;
	(void)len;
	sub->waiting++;
	if (sub->next_order <= order)
		sub->next_order = order + 1;
	return 0;
}

int subscriptions_recount(struct subscriptions *s, struct subscription *sub)
{
	sub->waiting = 0;
	return due_each_of(s->store, &sub->owner, count_one, sub);
}

int subscriptions_load(struct subscriptions *s, struct store *store)
{
	struct subscription *sub;
	int err;

	*s = (struct subscriptions){ .store = store };
	err = store_each(store, STORE_SUBSCRIPTIONS, load_one, s);
	DL_FOREACH(s->all, sub)
		if (!err)
			err = subscriptions_recount(s, sub);
	return err;
}

void subscriptions_free(struct subscriptions *s)
{
	struct subscription *sub, *next;

	DL_FOREACH_SAFE(s->all, sub, next)
		free(sub);
	*s = (struct subscriptions){ 0 };
}

int subscriptions_add(struct subscriptions *s, const struct address *address,
		      const struct recipient *to, struct subscription **out)
{
	uint8_t key[KEY_LEN], record[RECORD_LEN];
	struct subscription *sub, *other = NULL;
	struct wire_writer w;
	size_t own = 0;
	int err;

	DL_FOREACH(s->all, sub) {
		own += address_equal(&sub->owner.address, address);
		if (!recipient_equal(&sub->to, to))
			continue;
		if (address_equal(&sub->owner.address, address)) {
			*out = sub;
			return 0;
		}
		other = sub;
	}
	if (s->n >= LIMIT_SUBSCRIPTIONS || own >= LIMIT_SUBSCRIPTIONS_EACH)
		return -EMFILE;
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return -ENOMEM;
	sub->owner.address = *address;
	sub->to = *to;
	sub->since_s = (uint64_t)(clock_wall_ns() / 1000000000);
	if (other && to->kind != RECIPIENT_NONE)
		sub->owner.id = other->owner.id;
	else
		ident_draw(&sub->owner.id);
	write_key(sub, key);
	wire_write_init(&w, record, sizeof(record));
	wire_put_u8(&w, RECORD_VERSION);
	wire_put(&w, sub->owner.id.b, sizeof(sub->owner.id.b));
	wire_put_be64(&w, sub->since_s);
	err = store_put(s->store, STORE_SUBSCRIPTIONS, key, sizeof(key), record, wire_len(&w));
	if (err) {
		free(sub);
		return err;
	}
	DL_APPEND(s->all, sub);
	s->n++;
	*out = sub;
	return 0;
}

struct subscription *subscriptions_find(const struct subscriptions *s, const struct due_owner *owner)
{
	struct subscription *sub;

	DL_FOREACH(s->all, sub)
		if (ident_equal(&sub->owner.id, &owner->id) &&
		    address_equal(&sub->owner.address, &owner->address))
			return sub;
	return NULL;
}

bool subscriptions_knows(const struct subscriptions *s, const struct ident *id, bool events)
{
	const struct subscription *sub;

	DL_FOREACH(s->all, sub)
		if (ident_equal(&sub->owner.id, id) && (sub->to.kind == RECIPIENT_NONE) == events)
			return true;
	return false;
}

int subscriptions_remove(struct subscriptions *s, struct subscription *sub)
{
	uint8_t key[KEY_LEN];

	write_key(sub, key);
	DL_DELETE(s->all, sub);
	s->n--;
	free(sub);
	return store_del(s->store, STORE_SUBSCRIPTIONS, key, sizeof(key));
}

/* ---- what is due ---- */

static void write_due_key(const struct due_owner *owner, uint64_t order,
			  uint8_t out[static DUE_KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, DUE_KEY_LEN);
	wire_put(&w, owner->id.b, sizeof(owner->id.b));
	wire_put(&w, owner->address.b, ADDRESS_LEN);
	wire_put_be64(&w, order);
}

int due_put(struct store *store, const struct due_owner *owner, uint64_t order, const void *value,
	    size_t len)
{
	uint8_t key[DUE_KEY_LEN];

	write_due_key(owner, order, key);
	return store_put(store, STORE_DUE, key, sizeof(key), value, len);
}

int due_del(struct store *store, const struct due_owner *owner, uint64_t order)
{
	uint8_t key[DUE_KEY_LEN];

	write_due_key(owner, order, key);
	return store_del(store, STORE_DUE, key, sizeof(key));
}

struct each {
	due_each_cb cb;
	void *ctx;
};

static int each_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct each *e = ctx;
	struct due_owner owner;
	struct wire_reader r;
	uint64_t order;

	wire_read_init(&r, key, key_len);
	wire_get(&r, owner.id.b, sizeof(owner.id.b));
	wire_get(&r, owner.address.b, ADDRESS_LEN);
	order = wire_get_be64(&r);
	return wire_done(&r) ? e->cb(e->ctx, &owner, order, value, value_len) : 0;
}

int due_each(struct store *store, due_each_cb cb, void *ctx)
{
	struct each e = { cb, ctx };

	return store_each(store, STORE_DUE, each_one, &e);
}

static int each_from(struct store *store, const struct due_owner *owner, uint64_t from,
		     due_each_cb cb, void *ctx)
{
	struct each e = { cb, ctx };
	uint8_t key[DUE_KEY_LEN];

	write_due_key(owner, from, key);
	return store_each_from(store, STORE_DUE, key, each_one, &e);
}

int due_each_of(struct store *store, const struct due_owner *owner, due_each_cb cb, void *ctx)
{
	return each_from(store, owner, 0, cb, ctx);
}

struct first {
	uint64_t *order;
	void *value;
	size_t len;
	int err;
};

static int take_first(void *ctx, const struct due_owner *owner, uint64_t order,
		      const uint8_t *value, size_t len)
{
	struct first *f = ctx;

	(void)owner;
	*f->order = order;
	f->err = len == f->len ? 0 : -EBADMSG;
	if (!f->err)
		memcpy(f->value, value, len);
	return 1;
}

int due_next(struct store *store, const struct due_owner *owner, uint64_t from, uint64_t *order,
	     void *value, size_t len)
{
	struct first f = { order, value, len, -ENOENT };
	int err = each_from(store, owner, from, take_first, &f);

	return err < 0 ? err : f.err;
}
