// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/store.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
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

/* What is on the disk and not replaced by what is queued. */
struct merge {
	struct commits *commits;
	enum store_table table;
	store_each_cb cb;
	void *ctx;
};

static int merge_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct merge *m = ctx;

	if (overlay_find(&m->commits->overlay, m->table, key, key_len))
		return 0;
	return m->cb(m->ctx, key, key_len, value, value_len);
}

static int each(struct store *s, enum store_table table, const void *prefix, bool keys_only,
		store_each_cb cb, void *ctx)
{
	struct commits *c = commits_of(s, table);
	struct merge m = { c, table, cb, ctx };
	const struct overlay_record **list;
	ssize_t n;
	int err;

	if (!is_open(s, table))
		return 0;
	n = overlay_collect(&c->overlay, table, prefix, &list);
	if (n < 0)
		return (int)n;
	err = environment_each(c->env, table, prefix, keys_only, n ? merge_one : cb, n ? &m : ctx);
	for (ssize_t i = 0; i < n && !err; i++) {
		const struct overlay_record *r = list[i];

		if (!r->deleted)
			err = cb(ctx, overlay_key(r), r->key_len, keys_only ? NULL : overlay_value(r),
				 keys_only ? 0 : r->value_len);
	}
	free(list);
	return err;
}

int store_each(struct store *s, enum store_table table, store_each_cb cb, void *ctx)
{
	return each(s, table, NULL, false, cb, ctx);
}

int store_each_of(struct store *s, enum store_table table, const void *prefix, store_each_cb cb,
		  void *ctx)
{
	return each(s, table, prefix, false, cb, ctx);
}

int store_each_key(struct store *s, enum store_table table, const void *prefix, store_each_cb cb,
		   void *ctx)
{
	return each(s, table, prefix, true, cb, ctx);
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
