// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/store/environment.h"
#include "ratmand/store/overlay.h"
#include "ratmand/store/stamps.h"

/* How long writes nobody waits for collect before they are committed. */
#define LAZY_MS 100
/* After a full disk writes are refused this long, then tried again. */
#define RETRY_MS 5000

/*
 * What libuv may touch after store_close(): it owns itself once @store is NULL
 * and goes when the timer is closed and no work is under way.
 */
struct pump {
	uv_timer_t timer;
	uv_work_t work;
	uv_sem_t finished;	/* posted by the pool when a commit has ended */
	struct store *store;
	struct environment *env;
	struct overlay_segment *segment;
	int err;
	bool busy;		/* work queued and its after-callback not run */
	bool collected;		/* the result was taken before that callback */
	bool closed;		/* the timer is */
};

struct store {
	uv_loop_t *loop;
	struct environment env;
	struct overlay overlay;
	struct stamps *stamps;
	struct pump *pump;
	struct overlay_waiter *due;	/* answers to give from the loop */
	struct overlay_waiter **due_end;
	uint64_t failures;
	uint64_t retry_at;	/* loop time; 0 = the error stays */
	int error;
};

static void pump_free(struct pump *p)
{
	if (!p->closed || p->busy)
		return;
	uv_sem_destroy(&p->finished);
	free(p);
}

static void on_pump_closed(uv_handle_t *handle)
{
	struct pump *p = handle->data;

	p->closed = true;
	pump_free(p);
}

/* Gives the answers that are due. Callbacks may do anything but close the store. */
static void answer(struct store *s)
{
	struct overlay_waiter *w = s->due;

	s->due = NULL;
	s->due_end = &s->due;
	while (w) {
		struct overlay_waiter *next = w->next;

		w->cb(w->ctx, w->err);
		free(w);
		w = next;
	}
}

static void make_due(struct store *s, struct overlay_waiter *list, int err)
{
	for (struct overlay_waiter *w = list; w; w = w->next)
		w->err = err;
	*s->due_end = list;
	while (*s->due_end)
		s->due_end = &(*s->due_end)->next;
}

/* The commit of the oldest segment has ended with @err. */
static void segment_done(struct store *s, int err)
{
	if (!err) {
		make_due(s, overlay_pop(&s->overlay), 0);
		environment_measure(&s->env);
		return;
	}
	/* Later segments may rest on this one: all of them never happened. */
	while (s->overlay.oldest)
		make_due(s, overlay_pop(&s->overlay), err);
	s->failures++;
	s->error = err;
	s->retry_at = 0;
	if (err == -ENOSPC || err == -EDQUOT || err == -ENOMEM)
		s->retry_at = uv_now(s->loop) + RETRY_MS;
	log_error("store: %s: writes are refused%s", strerror(-err),
		  s->retry_at ? " for now" : " until a restart");
}

static void in_pool(uv_work_t *work)
{
	struct pump *p = work->data;

	p->err = environment_write(p->env, p->segment);
	uv_sem_post(&p->finished);
}

static void start_commit(struct store *s);
static void wake(struct store *s, uint64_t ms);

/* True when what is queued should not wait for more. */
static bool urgent(const struct store *s)
{
	if (s->overlay.bytes >= OVERLAY_SEGMENT_BYTES / 2)
		return true;
	for (const struct overlay_segment *seg = s->overlay.oldest; seg; seg = seg->newer)
		if (seg->waiters)
			return true;
	return false;
}

static void on_committed(uv_work_t *work, int status)
{
	struct pump *p = work->data;
	struct store *s = p->store;

	(void)status;	/* never cancelled */
	p->busy = false;
	if (!p->collected) {
		uv_sem_wait(&p->finished);
		if (p->err != -EDQUOT || !environment_double(&s->env))
			segment_done(s, p->err);
	}
	if (!s) {
		pump_free(p);
		return;
	}
	if (urgent(s))
		start_commit(s);
	else if (s->overlay.oldest)
		wake(s, LAZY_MS);
	answer(s);
}

/* Commits the oldest segment and waits. */
static void commit_here(struct store *s)
{
	int err;

	s->overlay.oldest->sealed = true;
	environment_grow(&s->env, s->overlay.oldest);
	do
		err = environment_write(&s->env, s->overlay.oldest);
	while (err == -EDQUOT && environment_double(&s->env));
	segment_done(s, err);
}

/* Starts the commit of the oldest segment unless one is under way. */
static void start_commit(struct store *s)
{
	struct pump *p = s->pump;

	if (p->busy || !s->overlay.oldest)
		return;
	s->overlay.oldest->sealed = true;
	environment_grow(&s->env, s->overlay.oldest);
	p->segment = s->overlay.oldest;
	p->collected = false;
	if (uv_queue_work(s->loop, &p->work, in_pool, on_committed))
		commit_here(s);
	else
		p->busy = true;
}

static void on_timer(uv_timer_t *timer)
{
	struct store *s = ((struct pump *)timer->data)->store;

	start_commit(s);
	answer(s);
}

/* Makes the loop come by in at most @ms. */
static void wake(struct store *s, uint64_t ms)
{
	uv_timer_t *t = &s->pump->timer;

	if (!uv_is_active((uv_handle_t *)t) || uv_timer_get_due_in(t) > ms)
		uv_timer_start(t, on_timer, ms, 0);
}

static int pump_new(struct store *s)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (uv_sem_init(&p->finished, 0)) {
		free(p);
		return -ENOMEM;
	}
	uv_timer_init(s->loop, &p->timer);
	p->timer.data = p;
	p->work.data = p;
	p->store = s;
	p->env = &s->env;
	s->pump = p;
	return 0;
}

int store_open(struct store **out, uv_loop_t *loop, const char *dir,
	       const struct store_options *options, char *why, size_t size)
{
	struct store *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->due_end = &s->due;
	err = environment_open(&s->env, dir, options, why, size);
	if (err)
		goto fail_env;
	s->stamps = stamps_new(s);
	err = s->stamps ? pump_new(s) : -ENOMEM;
	if (err)
		goto fail_pump;
	*out = s;
	return 0;
fail_pump:
	stamps_free(s->stamps);
	environment_close(&s->env);
fail_env:
	free(s);
	return err;
}

int store_flush(struct store *s)
{
	struct pump *p = s->pump;
	uint64_t before = s->failures;

	if (p->busy && !p->collected) {
		uv_sem_wait(&p->finished);
		p->collected = true;
		/* A full map is dealt with below, where the segment is written again. */
		if (p->err != -EDQUOT)
			segment_done(s, p->err);
	}
	while (s->overlay.oldest)
		commit_here(s);
	if (s->due)
		wake(s, 0);
	return s->failures == before ? 0 : s->error;
}

void store_close(struct store *s)
{
	/* Answers may put more. */
	do {
		store_flush(s);
		answer(s);
	} while (s->overlay.oldest || s->due);
	stamps_free(s->stamps);
	environment_close(&s->env);
	s->pump->store = NULL;
	uv_close((uv_handle_t *)&s->pump->timer, on_pump_closed);
	free(s);
}

ssize_t store_get(struct store *s, enum store_table table, const void *key, size_t key_len,
		  void *value, size_t size)
{
	const struct overlay_record *r = overlay_find(&s->overlay, table, key, key_len);

	if (!r)
		return environment_get(&s->env, table, key, key_len, value, size);
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
	const struct overlay_record *r = overlay_find(&s->overlay, table, key, key_len);

	return r ? !r->deleted : environment_get(&s->env, table, key, key_len, NULL, 0) >= 0;
}

uint64_t store_room(const struct store *s)
{
	uint64_t limit = s->env.limit / 10 * 9;
	uint64_t taken = s->env.used + s->overlay.bytes + s->overlay.bytes / 4;

	return taken < limit ? limit - taken : 0;
}

/* 0 when writes are taken. */
static int check_writable(struct store *s, size_t key_len, size_t value_len)
{
	if (!key_len || key_len > STORE_KEY_MAX || value_len > STORE_VALUE_MAX)
		return -EINVAL;
	if (!s->error)
		return 0;
	if (!s->retry_at || uv_now(s->loop) < s->retry_at)
		return s->error;
	s->error = 0;
	return 0;
}

static int queue(struct store *s, enum store_table table, const void *key, size_t key_len,
		 const void *value, size_t value_len, bool deleted)
{
	int err = check_writable(s, key_len, value_len);

	if (!err && !deleted && store_room(s) < value_len)
		err = -EDQUOT;
	if (!err)
		err = overlay_put(&s->overlay, table, key, key_len, value, value_len, deleted);
	if (err)
		return err;
	if (!s->pump->busy)
		wake(s, s->overlay.bytes >= OVERLAY_SEGMENT_BYTES / 2 ? 0 : LAZY_MS);
	return 0;
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

void store_commit(struct store *s, store_done_cb cb, void *ctx)
{
	struct overlay_segment *seg = s->overlay.newest;
	struct overlay_waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		/* Too little memory to wait: do it here and answer here. */
		cb(ctx, store_flush(s));
		return;
	}
	w->cb = cb;
	w->ctx = ctx;
	if (seg) {
		*seg->waiters_end = w;
		seg->waiters_end = &w->next;
	} else {
		w->err = s->error;
		*s->due_end = w;
		s->due_end = &w->next;
	}
	wake(s, 0);
}

uint64_t store_failures(const struct store *s)
{
	return s->failures;
}

size_t store_backlog(const struct store *s)
{
	return s->overlay.bytes;
}

/* A walk over the table on disk and the overlay, side by side. */
struct merge {
	MDB_cursor *cursor;
	MDB_val key, val;
	bool have;		/* key and val hold the next record on disk */
	const struct overlay_record **list;
	size_t i, n;
	const uint8_t *start;
	size_t prefix;
};

static int merge_advance(struct merge *m, MDB_cursor_op op)
{
	int rc = mdb_cursor_get(m->cursor, &m->key, &m->val, op);

	m->have = !rc && m->key.mv_size >= m->prefix &&
		  (!m->prefix || !memcmp(m->key.mv_data, m->start, m->prefix));
	return rc == MDB_NOTFOUND ? 0 : environment_error(rc);
}

/* Calls @cb for the next record in order; 1 at the end. */
static int merge_step(struct merge *m, store_each_cb cb, void *ctx, int *stop)
{
	const struct overlay_record *r = m->i < m->n ? m->list[m->i] : NULL;
	int order;

	if (!m->have && !r)
		return 1;
	order = !m->have ? 1 : !r ? -1 :
		overlay_compare_keys(m->key.mv_data, m->key.mv_size, overlay_key(r), r->key_len);
	if (order < 0) {
		*stop = cb(ctx, m->key.mv_data, m->key.mv_size, m->val.mv_data, m->val.mv_size);
	} else {
		if (!r->deleted)
			*stop = cb(ctx, overlay_key(r), r->key_len, overlay_value(r), r->value_len);
		m->i++;
	}
	return order <= 0 && !*stop ? merge_advance(m, MDB_NEXT) : 0;
}

int store_each_from(struct store *s, enum store_table table, const void *start, size_t start_len,
		    size_t prefix, store_each_cb cb, void *ctx)
{
	struct merge m = { .start = start, .prefix = prefix };
	ssize_t n = overlay_collect(&s->overlay, table, start, start_len, prefix, &m.list);
	int stop = 0, err = 0;
	MDB_txn *txn;

	if (n < 0)
		return (int)n;
	m.n = (size_t)n;
	err = environment_error(mdb_txn_begin(s->env.env, NULL, MDB_RDONLY, &txn));
	if (err)
		goto out_list;
	err = environment_error(mdb_cursor_open(txn, s->env.dbi[table], &m.cursor));
	if (err)
		goto out_txn;
	m.key.mv_size = start_len;
	m.key.mv_data = (void *)start;
	err = merge_advance(&m, start_len ? MDB_SET_RANGE : MDB_FIRST);
	while (!err && !stop)
		err = merge_step(&m, cb, ctx, &stop);
	if (err > 0)
		err = 0;
	mdb_cursor_close(m.cursor);
out_txn:
	mdb_txn_abort(txn);
out_list:
	free(m.list);
	return stop ? stop : err;
}

int store_each(struct store *s, enum store_table table, store_each_cb cb, void *ctx)
{
	return store_each_from(s, table, NULL, 0, 0, cb, ctx);
}

uint64_t store_next_stamp(struct store *s, const struct address *address)
{
	return stamps_next(s->stamps, address);
}
