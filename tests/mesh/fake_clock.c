// SPDX-License-Identifier: GPL-2.0-or-later
/* Virtual time: base/clock.h stands still until the next timer, frame or kernel is due. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "mesh/fake_priv.h"

#define START_MS 100000000u
#define MAX_TIMERS 1024

struct timer {
	uv_timer_t *handle;
	uv_timer_cb cb;
	uint64_t due, repeat;
	bool active;
	struct fake_node *owner;
};

static struct timer timers[MAX_TIMERS];
static size_t n_timers;
static uint64_t now;
static uint64_t rng;
static uv_loop_t *uv;
static struct fake_node *current;

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat);
int __wrap_uv_timer_stop(uv_timer_t *handle);
void __wrap_uv_close(uv_handle_t *handle, uv_close_cb cb);
uint64_t __wrap_uv_now(const uv_loop_t *loop);
void __real_uv_close(uv_handle_t *handle, uv_close_cb cb);

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	(void)loop;
	return now;
}

static struct timer *timer_of(uv_timer_t *handle)
{
	for (size_t i = 0; i < n_timers; i++)
		if (timers[i].handle == handle)
			return &timers[i];
	if (n_timers == MAX_TIMERS)
		abort();
	timers[n_timers] = (struct timer){ .handle = handle, .owner = current };
	return &timers[n_timers++];
}

int __wrap_uv_timer_start(uv_timer_t *handle, uv_timer_cb cb, uint64_t timeout, uint64_t repeat)
{
	struct timer *t = timer_of(handle);

	if (uv_is_closing((uv_handle_t *)handle))
		abort();
	t->cb = cb;
	t->due = now + timeout;
	t->repeat = repeat;
	t->active = true;
	return 0;
}

int __wrap_uv_timer_stop(uv_timer_t *handle)
{
	timer_of(handle)->active = false;
	return 0;
}

void __wrap_uv_close(uv_handle_t *handle, uv_close_cb cb)
{
	for (size_t i = 0; i < n_timers; i++)
		if ((uv_handle_t *)timers[i].handle == handle)
			timers[i] = timers[--n_timers];
	__real_uv_close(handle, cb);
}

uint64_t fake_now(void)
{
	return now;
}

uint32_t fake_random(uint32_t below)
{
	rng = rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(rng >> 33) % below;
}

void fake_random_seed(uint64_t seed)
{
	rng = seed;
}

void fake_enter(struct fake_node *node)
{
	current = node;
}

struct fake_node *fake_current(void)
{
	return current;
}

static void set_clock(uint64_t ms)
{
	now = ms;
	clock_fake(ms, (int64_t)ms * 1000000 + INT64_C(1700000000000000000));
}

void fake_clock_begin(uv_loop_t *loop)
{
	uv = loop;
	n_timers = 0;
	current = NULL;
	set_clock(START_MS);
}

void fake_clock_end(void)
{
	if (n_timers)
		abort();	/* somebody did not close his timer */
}

/* Everything that can happen without time passing. */
static void settle(void)
{
	for (int i = 0; i < 1000; i++) {
		uv_run(uv, UV_RUN_NOWAIT);
		if (!fake_events_waiting())
			break;
	}
	/* One more for the handles that were closed meanwhile. */
	uv_run(uv, UV_RUN_NOWAIT);
}

static struct timer *next_timer(void)
{
	struct timer *best = NULL;

	for (size_t i = 0; i < n_timers; i++)
		if (timers[i].active && (!best || timers[i].due < best->due))
			best = &timers[i];
	return best;
}

bool fake_until(bool (*done)(void *ctx), void *ctx, uint64_t ms)
{
	uint64_t end = now + ms, at = now;
	unsigned int rounds = 0;

	for (;;) {
		struct timer *t;
		uint64_t due;

		settle();
		if (done && done(ctx))
			return true;
		t = next_timer();
		due = fake_next_due();
		if (t && t->due < due)
			due = t->due;
		if (due > end)
			break;
		if (due > now)
			set_clock(due);
		/* A timer that is due again and again. */
		rounds = now == at ? rounds + 1 : 0;
		at = now;
		if (rounds > 10000)
			abort();
		fake_do_due();
		settle();
		for (t = next_timer(); t && t->due <= now; t = next_timer()) {
			if (t->repeat)
				t->due = now + t->repeat;
			else
				t->active = false;
			current = t->owner;
			fake_counts.timer_calls++;
			t->cb(t->handle);
			if (fake_counts.timer_calls % 64 == 0)
				break;	/* a timer that is due again and again must not stop time */
		}
	}
	set_clock(end);
	settle();
	return done && done(ctx);
}

void fake_run(uint64_t ms)
{
	fake_until(NULL, NULL, ms);
}
