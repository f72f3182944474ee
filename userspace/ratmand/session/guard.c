// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Token buckets and stamps by key. The two tables are one: an entry holds a
 * bucket or a stamp, lies in a uthash table, and uthash keeps the entries in the
 * order they were added; a used entry is added again, so the first is the least
 * recently used.
 */
#include "ratmand/session/guard.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/session/table.h"

struct guard_entry {
	UT_hash_handle hh;
	union {
		struct guard_bucket bucket;
		uint64_t stamp;
	} u;
	uint8_t key[];
};

struct guard_table {
	struct guard_entry *head;
	size_t key_len;
	size_t max;
};

struct guard_sources {
	struct guard_table t;
	struct guard_rate rate;
};

struct guard_stamps {
	struct guard_table t;
};

bool guard_take(struct guard_bucket *b, const struct guard_rate *rate, uint64_t now_ms)
{
	const uint64_t full = (uint64_t)rate->burst * rate->interval_ms;

	if (!b->started) {
		b->started = true;
		b->level_ms = full;
	} else if (now_ms > b->last_ms) {
		uint64_t passed = now_ms - b->last_ms;

		b->level_ms = passed >= full - b->level_ms ? full : b->level_ms + passed;
	}
	b->last_ms = now_ms;
	if (b->level_ms < rate->interval_ms)
		return false;
	b->level_ms -= rate->interval_ms;
	return true;
}

bool guard_load_hit(struct guard_load *l, uint64_t now_ms, uint32_t threshold)
{
	uint64_t window = now_ms / 1000;

	if (window != l->window_ms / 1000) {
		l->previous = window == l->window_ms / 1000 + 1 ? l->count : 0;
		l->count = 0;
		l->window_ms = now_ms;
	}
	if (l->count < UINT32_MAX)
		l->count++;
	return l->count > threshold || l->previous > threshold;
}

static void table_clear(struct guard_table *t)
{
	struct guard_entry *e, *next;

	HASH_ITER(hh, t->head, e, next) {
		HASH_DEL(t->head, e);
		free(e);
	}
}

/*
 * The entry of @key, now the most recently used; made (zeroed, *@is_new) when it
 * is not there, in place of the least recently used when the table is full. NULL
 * without memory.
 */
static struct guard_entry *table_use(struct guard_table *t, const void *key, bool *is_new)
{
	struct guard_entry *e;

	*is_new = false;
	HASH_FIND(hh, t->head, key, t->key_len, e);
	if (e) {
		HASH_DEL(t->head, e);
	} else if (HASH_COUNT(t->head) >= t->max) {
		e = t->head;
		HASH_DEL(t->head, e);
		*is_new = true;
	} else {
		e = malloc(sizeof(*e) + t->key_len);
		if (!e)
			return NULL;
		*is_new = true;
	}
	if (*is_new) {
		memset(e, 0, sizeof(*e));
		memcpy(e->key, key, t->key_len);
	}
	HASH_ADD_KEYPTR(hh, t->head, e->key, t->key_len, e);
	if (!e->hh.tbl) {
		free(e);
		return NULL;
	}
	return e;
}

struct guard_sources *guard_sources_new(size_t key_len, size_t max, struct guard_rate rate)
{
	struct guard_sources *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->t.key_len = key_len;
	g->t.max = max;
	g->rate = rate;
	return g;
}

void guard_sources_free(struct guard_sources *g)
{
	if (!g)
		return;
	table_clear(&g->t);
	free(g);
}

bool guard_sources_take(struct guard_sources *g, const void *key, uint64_t now_ms)
{
	struct guard_entry *e;
	bool is_new;

	e = table_use(&g->t, key, &is_new);
	return e && guard_take(&e->u.bucket, &g->rate, now_ms);
}

size_t guard_sources_count(const struct guard_sources *g)
{
	return HASH_COUNT(g->t.head);
}

struct guard_stamps *guard_stamps_new(size_t key_len, size_t max)
{
	struct guard_stamps *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->t.key_len = key_len;
	g->t.max = max;
	return g;
}

void guard_stamps_free(struct guard_stamps *g)
{
	if (!g)
		return;
	table_clear(&g->t);
	free(g);
}

bool guard_stamps_advance(struct guard_stamps *g, const void *key, uint64_t stamp)
{
	struct guard_entry *e;
	bool is_new;

	e = table_use(&g->t, key, &is_new);
	if (!e || (!is_new && stamp <= e->u.stamp))
		return false;
	e->u.stamp = stamp;
	return true;
}

size_t guard_stamps_count(const struct guard_stamps *g)
{
	return HASH_COUNT(g->t.head);
}
