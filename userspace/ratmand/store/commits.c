// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/commits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

/* How long writes nobody waits for collect before they are committed. */
#define LAZY_MS 100
/* After a full disk writes are refused this long, then tried again. */
#define RETRY_MS 5000
/* How often what is not synced with each commit is synced all the same. */
#define SYNC_MS 30000

/*
 * What libuv may touch after commits_close(): it owns itself once @commits is NULL
 * and goes when the timer is closed and no work is under way.
 */
struct pump {
	uv_timer_t timer;
	uv_work_t work;
	uv_sem_t finished;	/* posted by the pool when a commit has ended */
	struct commits *commits;
	struct environment *env;
	struct overlay_segment *segment;
	uint64_t synced_ns;
	int err;
	bool busy;		/* work queued and its after-callback not run */
	bool collected;		/* the result was taken before that callback */
	bool closed;		/* the timer is */
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
static void answer(struct commits *c)
{
	struct overlay_waiter *w = c->due;

	c->due = NULL;
	c->due_end = &c->due;
	while (w) {
		struct overlay_waiter *next = w->next;

		w->cb(w->ctx, w->err);
		free(w);
		w = next;
	}
}

static void make_due(struct commits *c, struct overlay_waiter *list, int err)
{
	for (struct overlay_waiter *w = list; w; w = w->next)
		w->err = err;
	*c->due_end = list;
	while (*c->due_end)
		c->due_end = &(*c->due_end)->next;
}

/* The commit of the oldest segment has ended with @err. */
static void segment_done(struct commits *c, int err)
{
	if (!err) {
		make_due(c, overlay_pop(&c->overlay), 0);
		environment_measure(c->env);
		return;
	}
	/* Later segments may rest on this one: all of them never happened. */
	while (c->overlay.oldest)
		make_due(c, overlay_pop(&c->overlay), err);
	c->failures++;
	c->failure = err;
	c->error = err;
	c->retry_at = 0;
	if (err == -ENOSPC || err == -EDQUOT || err == -ENOMEM)
		c->retry_at = uv_now(c->loop) + RETRY_MS;
	log_error("store: %s: %s: writes are refused%s", c->name, strerror(-err),
		  c->retry_at ? " for now" : " until a restart");
}

static void in_pool(uv_work_t *work)
{
	struct pump *p = work->data;

	p->err = environment_write(p->env, p->segment);
	if (!p->err && !p->env->synced && uv_hrtime() - p->synced_ns > SYNC_MS * 1000000ull) {
		p->err = environment_sync(p->env);
		p->synced_ns = uv_hrtime();
	}
	uv_sem_post(&p->finished);
}

static void start_commit(struct commits *c);
static void wake(struct commits *c, uint64_t ms);

/* True when what is queued should not wait for more. */
static bool urgent(const struct commits *c)
{
	if (c->overlay.bytes >= OVERLAY_SEGMENT_BYTES / 2)
		return true;
	for (const struct overlay_segment *seg = c->overlay.oldest; seg; seg = seg->newer)
		if (seg->waiters)
			return true;
	return false;
}

static void on_committed(uv_work_t *work, int status)
{
	struct pump *p = work->data;
	struct commits *c = p->commits;

	(void)status;	/* never cancelled */
	p->busy = false;
	if (!p->collected) {
		uv_sem_wait(&p->finished);
		if (p->err != -EDQUOT || !environment_double(c->env))
			segment_done(c, p->err);
	}
	if (!c) {
		pump_free(p);
		return;
	}
	if (urgent(c))
		start_commit(c);
	else if (c->overlay.oldest)
		wake(c, LAZY_MS);
	answer(c);
}

/* Commits the oldest segment and waits. */
static void commit_here(struct commits *c)
{
	int err;

	c->overlay.oldest->sealed = true;
	environment_grow(c->env, c->overlay.oldest);
	do
		err = environment_write(c->env, c->overlay.oldest);
	while (err == -EDQUOT && environment_double(c->env));
	segment_done(c, err);
}

/* Starts the commit of the oldest segment unless one is under way. */
static void start_commit(struct commits *c)
{
	struct pump *p = c->pump;

	if (p->busy || !c->overlay.oldest)
		return;
	c->overlay.oldest->sealed = true;
	environment_grow(c->env, c->overlay.oldest);
	p->segment = c->overlay.oldest;
	p->collected = false;
	if (uv_queue_work(c->loop, &p->work, in_pool, on_committed))
		commit_here(c);
	else
		p->busy = true;
}

static void on_timer(uv_timer_t *timer)
{
	struct commits *c = ((struct pump *)timer->data)->commits;

	start_commit(c);
	answer(c);
}

/* Makes the loop come by in at most @ms. */
static void wake(struct commits *c, uint64_t ms)
{
	uv_timer_t *t = &c->pump->timer;

	if (!uv_is_active((uv_handle_t *)t) || uv_timer_get_due_in(t) > ms)
		uv_timer_start(t, on_timer, ms, 0);
}

static int pump_new(struct commits *c)
{
	struct pump *p = calloc(1, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (uv_sem_init(&p->finished, 0)) {
		free(p);
		return -ENOMEM;
	}
	uv_timer_init(c->loop, &p->timer);
	p->timer.data = p;
	p->work.data = p;
	p->commits = c;
	p->env = c->env;
	p->synced_ns = uv_hrtime();
	c->pump = p;
	return 0;
}

int commits_init(struct commits *c, uv_loop_t *loop, struct environment *env, const char *name)
{
	memset(c, 0, sizeof(*c));
	c->loop = loop;
	c->env = env;
	c->name = name;
	c->due_end = &c->due;
	if (env->read_only)
		c->error = -EROFS;
	return pump_new(c);
}

int commits_flush(struct commits *c)
{
	struct pump *p = c->pump;
	uint64_t before = c->failures;

	if (p->busy && !p->collected) {
		uv_sem_wait(&p->finished);
		p->collected = true;
		/* A full map is dealt with below, where the segment is written again. */
		if (p->err != -EDQUOT)
			segment_done(c, p->err);
	}
	while (c->overlay.oldest)
		commit_here(c);
	if (c->due)
		wake(c, 0);
	return c->failures == before ? 0 : c->error;
}

uint64_t commits_room(const struct commits *c)
{
	uint64_t limit = c->env->limit / 10 * 9;
	uint64_t taken = c->env->used + c->overlay.bytes + c->overlay.bytes / 4;

	return taken < limit ? limit - taken : 0;
}

/* 0 when writes are taken. */
static int check_writable(struct commits *c, enum store_table table, size_t key_len,
			  size_t value_len)
{
	if (!cipher_key_fits(table, key_len) || value_len > STORE_VALUE_MAX)
		return -EINVAL;
	if (!c->error)
		return 0;
	if (!c->retry_at || uv_now(c->loop) < c->retry_at)
		return c->error;
	c->error = 0;
	return 0;
}

int commits_queue(struct commits *c, enum store_table table, const void *key, size_t key_len,
		 const void *value, size_t value_len, bool deleted)
{
	int err = check_writable(c, table, key_len, value_len);

	if (!err && !deleted && commits_room(c) < value_len)
		err = -EDQUOT;
	if (!err)
		err = overlay_put(&c->overlay, table, key, key_len, value, value_len, deleted);
	if (err)
		return err;
	if (!c->pump->busy)
		wake(c, c->overlay.bytes >= OVERLAY_SEGMENT_BYTES / 2 ? 0 : LAZY_MS);
	return 0;
}

void commits_wait(struct commits *c, store_done_cb cb, void *ctx)
{
	struct overlay_segment *seg = c->overlay.newest;
	struct overlay_waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		/* Too little memory to wait: do it here and answer here. */
		cb(ctx, commits_flush(c));
		return;
	}
	w->cb = cb;
	w->ctx = ctx;
	if (seg) {
		*seg->waiters_end = w;
		seg->waiters_end = &w->next;
	} else {
		w->err = c->error;
		*c->due_end = w;
		c->due_end = &w->next;
	}
	wake(c, 0);
}

void commits_close(struct commits *c)
{
	/* Answers may put more. */
	do {
		commits_flush(c);
		answer(c);
	} while (c->overlay.oldest || c->due);
	if (!c->env->synced)
		environment_sync(c->env);
	c->pump->commits = NULL;
	uv_close((uv_handle_t *)&c->pump->timer, on_pump_closed);
}
