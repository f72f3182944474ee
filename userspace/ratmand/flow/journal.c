// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/journal.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/store/keyhash.h"

#define KEY_LEN (JOURNAL_TAG_LEN + ERIS_REF_LEN)
/* Blocks removed per turn of the loop, and the pause while commits are behind. */
#define SWEEP_STEP 256
#define SWEEP_PAUSE_MS 50
#define SWEEP_BACKLOG (1u << 20)

struct held {
	UT_hash_handle hh;
	struct journal_tag tag;
	uint32_t holders;
};

/* Tags to be emptied. */
struct victim {
	struct victim *next;
	struct journal_tag tag;
};

struct journal {
	struct store *store;
	struct held *held;
	struct victim *victims;
	uv_timer_t *timer;		/* data = journal, or NULL when that is gone */
	struct store_cursor cursor;	/* of the sweep over all tags */
	bool sweeping;
};

static void on_timer(uv_timer_t *timer);

static void make_key(const struct journal_tag *tag, const uint8_t *ref, uint8_t key[static KEY_LEN])
{
	memcpy(key, tag->b, JOURNAL_TAG_LEN);
	memcpy(key + JOURNAL_TAG_LEN, ref, ERIS_REF_LEN);
}

int journal_new(struct journal **out, uv_loop_t *loop, struct store *store)
{
	struct journal *j = calloc(1, sizeof(*j));
	uv_timer_t *timer = malloc(sizeof(*timer));

	if (!j || !timer) {
		free(j);
		free(timer);
		return -ENOMEM;
	}
	uv_timer_init(loop, timer);
	uv_unref((uv_handle_t *)timer);
	timer->data = j;
	j->timer = timer;
	j->store = store;
	*out = j;
	return 0;
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

void journal_free(struct journal *j)
{
	struct held *h, *next;

	if (!j)
		return;
	uv_close((uv_handle_t *)j->timer, free_handle);
	h = j->held;
	HASH_CLEAR(hh, j->held);
	for (; h; h = next) {
		next = h->hh.next;
		free(h);
	}
	while (j->victims) {
		struct victim *v = j->victims;

		j->victims = v->next;
		free(v);
	}
	free(j);
}

void journal_tag_draw(struct journal_tag *tag)
{
	randombytes_buf(tag->b, sizeof(tag->b));
}

void journal_tag_derive(const struct eris_capability *cap, struct journal_tag *tag)
{
	static const char context[] = "ratman stream tag v1";
	uint8_t bytes[ERIS_CAPABILITY_LEN];

	eris_capability_encode(cap, bytes);
	crypto_generichash(tag->b, sizeof(tag->b), bytes, sizeof(bytes), (const uint8_t *)context,
			   sizeof(context));
	sodium_memzero(bytes, sizeof(bytes));
}

static struct held *find(struct journal *j, const struct journal_tag *tag)
{
	struct held *h;

	HASH_FIND(hh, j->held, tag->b, JOURNAL_TAG_LEN, h);
	return h;
}

int journal_hold(struct journal *j, const struct journal_tag *tag)
{
	struct held *h = find(j, tag);

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h)
			return -ENOMEM;
		h->tag = *tag;
		HASH_ADD_KEYPTR(hh, j->held, h->tag.b, JOURNAL_TAG_LEN, h);
		if (!h->hh.tbl) {
			free(h);
			return -ENOMEM;
		}
	}
	h->holders++;
	return 0;
}

void journal_release(struct journal *j, const struct journal_tag *tag)
{
	struct held *h = find(j, tag);
	struct victim *v;

	if (!h || --h->holders)
		return;
	HASH_DEL(j->held, h);
	free(h);
	v = malloc(sizeof(*v));
	if (!v) {
		/* The sweep finds them, too. */
		journal_sweep(j);
		return;
	}
	v->tag = *tag;
	v->next = j->victims;
	j->victims = v;
	uv_timer_start(j->timer, on_timer, 0, 0);
}

void journal_sweep(struct journal *j)
{
	memset(&j->cursor, 0, sizeof(j->cursor));
	j->sweeping = true;
	uv_timer_start(j->timer, on_timer, 0, 0);
}

struct keys {
	uint8_t key[SWEEP_STEP][KEY_LEN];
	size_t n;
};

static int collect_key(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct keys *keys = ctx;

	(void)value;
	(void)value_len;
	if (key_len == KEY_LEN)
		memcpy(keys->key[keys->n++], key, KEY_LEN);
	return keys->n == SWEEP_STEP;
}

/* Removes some blocks of @tag. Returns true when none are left. */
static bool empty_some(struct journal *j, const struct journal_tag *tag)
{
	struct keys *keys = malloc(sizeof(*keys));
	bool last;

	if (!keys)
		return false;
	keys->n = 0;
	last = !store_each_key(j->store, STORE_BLOCKS, tag->b, collect_key, keys);
	for (size_t i = 0; i < keys->n; i++)
		if (store_del(j->store, STORE_BLOCKS, keys->key[i], KEY_LEN))
			last = false;
	free(keys);
	return last;
}

/* Looks at the next tag on disk and marks it a victim when nobody holds it. */
static void sweep_some(struct journal *j)
{
	struct journal_tag tag;
	struct victim *v;

	if (store_next_group(j->store, STORE_BLOCKS, &j->cursor, tag.b) != 1) {
		j->sweeping = false;
		return;
	}
	/* A content that nobody in memory holds has a damaged count (content.c): it stays. */
	if (find(j, &tag) || store_has(j->store, STORE_CONTENTS, tag.b, sizeof(tag.b)))
		return;
	v = malloc(sizeof(*v));
	if (!v)
		return;
	v->tag = tag;
	v->next = j->victims;
	j->victims = v;
}

static void on_timer(uv_timer_t *timer)
{
	struct journal *j = timer->data;
	struct victim *v = j->victims;
	/* Not 0: libuv before 1.45 would run it again before any input. */
	uint64_t pause = 1;

	if (store_backlog(j->store) > SWEEP_BACKLOG) {
		pause = SWEEP_PAUSE_MS;
	} else if (v) {
		/* A tag that somebody holds again is let be. */
		if (find(j, &v->tag) || empty_some(j, &v->tag)) {
			j->victims = v->next;
			free(v);
		} else {
			pause = SWEEP_PAUSE_MS;
		}
	} else if (j->sweeping) {
		sweep_some(j);
	}
	if (j->victims || j->sweeping)
		uv_timer_start(timer, on_timer, pause, 0);
}

int journal_put(struct journal *j, const struct journal_tag *tag, const uint8_t *ref,
		const uint8_t *block, size_t len)
{
	uint8_t key[KEY_LEN];

	make_key(tag, ref, key);
	return store_put(j->store, STORE_BLOCKS, key, sizeof(key), block, len);
}

bool journal_has(struct journal *j, const struct journal_tag *tag, const uint8_t *ref)
{
	uint8_t key[KEY_LEN];

	make_key(tag, ref, key);
	return store_has(j->store, STORE_BLOCKS, key, sizeof(key));
}

ssize_t journal_get(struct journal *j, const struct journal_tag *tag, const uint8_t *ref,
		    uint8_t *buf, size_t size)
{
	uint8_t key[KEY_LEN];

	make_key(tag, ref, key);
	return store_get(j->store, STORE_BLOCKS, key, sizeof(key), buf, size);
}

int journal_del(struct journal *j, const struct journal_tag *tag, const uint8_t *ref)
{
	uint8_t key[KEY_LEN];

	make_key(tag, ref, key);
	return store_del(j->store, STORE_BLOCKS, key, sizeof(key));
}

int journal_fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size)
{
	struct journal_view *view = ctx;

	return (int)journal_get(view->journal, &view->tag, ref, buf, size);
}

int journal_held(void *ctx, const uint8_t ref[ERIS_REF_LEN])
{
	struct journal_view *view = ctx;

	return journal_has(view->journal, &view->tag, ref);
}
