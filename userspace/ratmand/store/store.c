// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "ratmand/store/commits.h"
#include "ratmand/store/layout.h"
#include "ratmand/store/stamps.h"

struct store {
	uv_loop_t *loop;
	struct layout layout;
	struct commits state;
	struct commits cache;	/* without an environment when that could not be opened */
	bool has_cache;
	struct stamps *stamps;
};

static struct commits *commits_of(struct store *s, enum store_table table)
{
	return store_tables[table].cache ? &s->cache : &s->state;
}

/* False for a table of a cache that is not there. */
static bool is_open(const struct store *s, enum store_table table)
{
	return !store_tables[table].cache || s->has_cache;
}

int store_open(struct store **out, uv_loop_t *loop, const char *dir,
	       const struct store_options *options, char *why, size_t size)
{
	static const struct store_options defaults;
	struct store *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	err = layout_open(&s->layout, dir, options ? options : &defaults, why, size);
	if (err)
		goto fail_layout;
	err = commits_init(&s->state, loop, &s->layout.state, "state");
	if (err)
		goto fail_state;
	s->has_cache = s->layout.cache.env;
	err = s->has_cache ? commits_init(&s->cache, loop, &s->layout.cache, "cache") : 0;
	if (err)
		goto fail_cache;
	s->stamps = stamps_new(s);
	if (!s->stamps) {
		err = -ENOMEM;
		goto fail_stamps;
	}
	*out = s;
	return 0;
fail_stamps:
	if (s->has_cache)
		commits_close(&s->cache);
fail_cache:
	commits_close(&s->state);
fail_state:
	layout_close(&s->layout);
fail_layout:
	free(s);
	return err;
}

void store_close(struct store *s)
{
	commits_close(&s->state);
	if (s->has_cache)
		commits_close(&s->cache);
	stamps_free(s->stamps);
	layout_close(&s->layout);
	free(s);
}

uv_loop_t *store_loop(const struct store *s)
{
	return s->loop;
}

int store_flush(struct store *s)
{
	return commits_flush(&s->state);
}

void store_commit(struct store *s, store_done_cb cb, void *ctx)
{
	commits_wait(&s->state, cb, ctx);
}

uint64_t store_failures(const struct store *s)
{
	return s->state.failures;
}

int store_failure(const struct store *s)
{
	return s->state.failure ? s->state.failure : -EIO;
}

uint64_t store_damaged(const struct store *s)
{
	return s->layout.state.damaged + s->layout.cache.damaged;
}

size_t store_backlog(const struct store *s)
{
	return s->state.overlay.bytes;
}

uint64_t store_room(const struct store *s)
{
	return commits_room(&s->state);
}

ssize_t store_get(struct store *s, enum store_table table, const void *key, size_t key_len,
		  void *value, size_t size)
{
	struct commits *c = commits_of(s, table);
	const struct overlay_record *r;

	if (!is_open(s, table))
		return -ENOENT;
	r = overlay_find(&c->overlay, table, key, key_len);
	if (!r)
		return environment_get(c->env, table, key, key_len, value, size);
	if (r->deleted)
		return -ENOENT;
	if (r->value_len > size)
		return -EMSGSIZE;
	if (r->value_len)
		memcpy(value, overlay_value(r), r->value_len);
	return (ssize_t)r->value_len;
}

bool store_has(struct store *s, enum store_table table, const void *key, size_t key_len)
{
	struct commits *c = commits_of(s, table);
	const struct overlay_record *r;

	if (!is_open(s, table))
		return false;
	r = overlay_find(&c->overlay, table, key, key_len);
	return r ? !r->deleted : environment_get(c->env, table, key, key_len, NULL, 0) >= 0;
}

static int queue(struct store *s, enum store_table table, const void *key, size_t key_len,
		 const void *value, size_t value_len, bool deleted)
{
	if (!is_open(s, table))
		return -EROFS;
	return commits_queue(commits_of(s, table), table, key, key_len, value, value_len, deleted);
}

int store_put(struct store *s, enum store_table table, const void *key, size_t key_len,
	      const void *value, size_t value_len)
{
	return queue(s, table, key, key_len, value, value_len, false);
}

int store_del(struct store *s, enum store_table table, const void *key, size_t key_len)
{
	return queue(s, table, key, key_len, NULL, 0, true);
}

/* A queued record under its hidden key. */
struct pending {
	uint8_t hidden[CIPHER_KEY_LEN];
	const struct overlay_record *record;
};

/* A walk over what is on the disk and what is queued, side by side. */
struct merge {
	struct pending *list;
	size_t i, n;
	bool keys_only;
	store_each_cb cb;
	void *ctx;
};

/* Calls back for the next queued record. */
static int merge_pending(struct merge *m)
{
	const struct overlay_record *r = m->list[m->i++].record;

	if (r->deleted || (store_tables[r->data[0]].bare && !r->value_len))
		return 0;
	return m->cb(m->ctx, overlay_key(r), r->key_len, m->keys_only ? NULL : overlay_value(r),
		     m->keys_only ? 0 : r->value_len);
}

static int merge_one(void *ctx, const uint8_t *hidden, const struct cipher_record *r)
{
	struct merge *m = ctx;
	int c = 1, stop = 0;

	while (m->i < m->n && !stop) {
		c = memcmp(m->list[m->i].hidden, hidden, CIPHER_KEY_LEN);
		if (c > 0)
			break;
		stop = merge_pending(m);
		/* What is queued replaces what is on the disk. */
		if (!c)
			return stop;
	}
	return stop ? stop : m->cb(m->ctx, r->key, r->key_len, r->value, r->value_len);
}

static int compare_pending(const void *a, const void *b)
{
	return memcmp(((const struct pending *)a)->hidden, ((const struct pending *)b)->hidden,
		      CIPHER_KEY_LEN);
}

/* The queued records of @range, by their hidden keys; owned by the caller. */
static struct pending *collect(struct store *s, const struct environment_range *range,
			       const void *prefix, size_t *n)
{
	const struct overlay_record **list;
	struct pending *out;
	struct overlay_range queued = { range->table, prefix, 0, UINT64_MAX };
	ssize_t got = overlay_collect(&commits_of(s, range->table)->overlay, &queued, &list);

	if (got < 0)
		return NULL;
	out = malloc(((size_t)got + 1) * sizeof(*out));
	*n = 0;
	for (ssize_t i = 0; out && i < got; i++) {
		cipher_hide(s->layout.keys, range->table, overlay_key(list[i]), list[i]->key_len,
			    out[*n].hidden);
		out[*n].record = list[i];
		if (memcmp(out[*n].hidden, range->start, CIPHER_KEY_LEN) >= 0)
			++*n;
	}
	free(list);
	if (out)
		qsort(out, *n, sizeof(*out), compare_pending);
	return out;
}

static int each(struct store *s, const struct environment_range *range, const void *prefix,
		store_each_cb cb, void *ctx)
{
	struct merge m = { .keys_only = range->keys_only, .cb = cb, .ctx = ctx };
	int err;

	if (!is_open(s, range->table))
		return 0;
	m.list = collect(s, range, prefix, &m.n);
	if (!m.list)
		return -ENOMEM;
	err = environment_each(commits_of(s, range->table)->env, range, merge_one, &m);
	while (!err && m.i < m.n)
		err = merge_pending(&m);
	free(m.list);
	return err;
}

int store_each(struct store *s, enum store_table table, store_each_cb cb, void *ctx)
{
	struct environment_range range = { .table = table };

	return each(s, &range, NULL, cb, ctx);
}

int store_each_of(struct store *s, enum store_table table, const void *prefix, store_each_cb cb,
		  void *ctx)
{
	struct environment_range range = { .table = table, .grouped = true };

	cipher_hide_group(s->layout.keys, table, prefix, range.start);
	return each(s, &range, prefix, cb, ctx);
}

int store_each_from(struct store *s, enum store_table table, const void *start, store_each_cb cb,
		    void *ctx)
{
	struct environment_range range = { .table = table, .grouped = true };

	if (!store_tables[table].ordered)
		return -EINVAL;
	cipher_hide_start(s->layout.keys, table, start, range.start);
	return each(s, &range, start, cb, ctx);
}

int store_each_key(struct store *s, enum store_table table, const void *prefix, store_each_cb cb,
		   void *ctx)
{
	struct environment_range range = { .table = table, .grouped = prefix, .keys_only = true };

	if (prefix)
		cipher_hide_group(s->layout.keys, table, prefix, range.start);
	return each(s, &range, prefix, cb, ctx);
}

void store_together(struct store *s, bool on)
{
	overlay_together(&s->state.overlay, on);
}

void store_take_back(struct store *s)
{
	overlay_take_back(&s->state.overlay);
}

/* Where the group @prefix goes on at @from, as hidden keys have it. */
static void hide_order(struct store *s, enum store_table table, const void *prefix, uint64_t from,
		       uint8_t out[static CIPHER_KEY_LEN])
{
	struct wire_writer w;

	memset(out, 0, CIPHER_KEY_LEN);
	cipher_hide_group(s->layout.keys, table, prefix, out);
	wire_write_init(&w, out + CIPHER_GROUP_LEN, TABLES_ORDER_LEN);
	wire_put_be64(&w, from);
}

/* A queued record of an ordered group: the order is all that tells it from the others. */
struct pending_order {
	uint64_t order;
	bool deleted;
};

static int compare_orders(const void *a, const void *b)
{
	const struct pending_order *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* Those of the group @prefix from @from to @to, ascending; owned by the caller. */
static struct pending_order *collect_orders(struct store *s, enum store_table table,
					    const void *prefix, uint64_t from, uint64_t to, size_t *n)
{
	const struct overlay_record **list;
	struct pending_order *out;
	struct overlay_range range = { table, prefix, from, to };
	ssize_t got = overlay_collect(&commits_of(s, table)->overlay, &range, &list);

	if (got < 0)
		return NULL;
	*n = (size_t)got;
	out = malloc(((size_t)got + 1) * sizeof(*out));
	for (ssize_t i = 0; out && i < got; i++)
		out[i] = (struct pending_order){ overlay_order(list[i]), list[i]->deleted };
	free(list);
	if (out)
		qsort(out, *n, sizeof(*out), compare_orders);
	return out;
}

/* Orders on the disk and queued, side by side. */
struct orders {
	const struct pending_order *list;
	size_t i, n;
	uint64_t to;
	uint64_t *out;		/* owned by the caller */
	size_t len, size;
};

/* Takes the queued ones up to @last; true when @last is one of them (or was deleted). */
static bool orders_pending(struct orders *o, uint64_t last)
{
	while (o->i < o->n && o->len < o->size) {
		uint64_t order = o->list[o->i].order;

		if (order > last)
			return false;
		if (!o->list[o->i++].deleted)
			o->out[o->len++] = order;
		if (order == last)
			return true;
	}
	return false;
}

static int orders_one(void *ctx, uint64_t order)
{
	struct orders *o = ctx;

	if (order > o->to)
		return 1;
	if (!orders_pending(o, order) && o->len < o->size)
		o->out[o->len++] = order;
	return o->len == o->size;
}

ssize_t store_orders(struct store *s, enum store_table table, const void *prefix, uint64_t from,
		     uint64_t to, uint64_t *orders, size_t n)
{
	struct orders o = { .to = to, .out = orders, .size = n };
	uint8_t start[CIPHER_KEY_LEN];
	struct pending_order *list;
	int err;

	if (!store_tables[table].ordered)
		return -EINVAL;
	if (!is_open(s, table) || !n)
		return 0;
	list = collect_orders(s, table, prefix, from, to, &o.n);
	if (!list)
		return -ENOMEM;
	o.list = list;
	hide_order(s, table, prefix, from, start);
	err = environment_orders(commits_of(s, table)->env, table, start, orders_one, &o);
	if (err >= 0)
		orders_pending(&o, to);
	free(list);
	return err < 0 ? err : (ssize_t)o.len;
}

int store_last_order(struct store *s, enum store_table table, const void *prefix, uint64_t *order)
{
	uint8_t start[CIPHER_KEY_LEN];
	struct pending_order *list;
	size_t n;
	int found;

	if (!is_open(s, table))
		return 0;
	hide_order(s, table, prefix, 0, start);
	found = environment_last_order(commits_of(s, table)->env, table, start, order);
	if (found < 0)
		return found;
	list = collect_orders(s, table, prefix, 0, UINT64_MAX, &n);
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (!list[i].deleted && (!found || list[i].order > *order)) {
			*order = list[i].order;
			found = 1;
		}
	}
	free(list);
	return found;
}

int store_next_group(struct store *s, enum store_table table, struct store_cursor *cursor,
		     void *prefix)
{
	return is_open(s, table) ? environment_next_group(commits_of(s, table)->env, table, cursor,
							  prefix) : 0;
}

uint64_t store_next_stamp(struct store *s, const struct address *address)
{
	return stamps_next(s->stamps, address);
}
