// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Parcels that wait, on a file system with a disk below it (BENCH_DIR, default the working
 * directory), one JSON object a line:
 *   waiting          parcels that wait for a user who is down
 *   handover_us      from a turn of the loop to the next, with one parcel for another user
 *                    handed over in each: CPU time, on average
 *   all_s            then handing over all of them, as its user comes: CPU time
 *   items            parcels in the commons, of as many senders as their shares allow
 *   join_ms          until the first local address takes part: CPU time
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/limits.h"
#include "base/log.h"
#include "bench/bench.h"
#include "ratmand/flow/parcel.h"
#include "unit/meshless.h"

#define WAITING 10000
#define TURNS 200
#define ITEMS 4000
#define SENDERS (ITEMS / 32)
#define AT_ONCE 500

static uv_loop_t loop;
static struct store *store;
static struct flow *flow;
/* The first two receive; all send. */
static struct address users[SENDERS];
static uint8_t secrets[SENDERS][64];
static bool is_down[2], closed;
static size_t handed, sent;

static const uint8_t *secret_of(void *ctx, const struct address *local)
{
	(void)ctx;
	for (int i = 0; i < SENDERS; i++)
		if (address_equal(local, &users[i]))
			return i < 2 && is_down[i] ? NULL : secrets[i];
	return NULL;
}

static const struct flow_ops ops = MESHLESS_OPS(secret_of);

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void open_router(void)
{
	char why[256];
	int err = store_open(&store, &loop, dir, NULL, why, sizeof(why));

	if (err)
		die(why, err);
	err = flow_new(&flow, &loop, store, &ops, NULL);
	if (err)
		die("the flow", err);
}

static void on_closed(void *ctx)
{
	(void)ctx;
	store_close(store);
	closed = true;
}

static void close_router(void)
{
	closed = false;
	flow_free(flow, on_closed, NULL);
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void on_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	(void)ctx;
	(void)info;
	handed++;
	flow_parcel_close(p, true);
}

static void on_sent(void *ctx, int err)
{
	(void)ctx;
	if (err)
		die("sending", err);
	sent++;
}

static void send_one(int from, const struct recipient *to)
{
	int err = flow_parcel_send(flow, PARCEL_MESSAGE, &users[from], to, NULL, 0, "x", 1, on_sent,
				   NULL);

	if (err)
		die("sending", err);
}

static uint64_t sum_of(struct flow *f)
{
	return flow_stats(f)->items;
}

/* All of them at the inbox of the user @to. */
static void send_many(int to, size_t n)
{
	const struct recipient r = { RECIPIENT_ADDRESS, users[to] };

	for (size_t i = 0; i < n;) {
		sent = 0;
		for (size_t j = 0; j < AT_ONCE && i < n; j++, i++)
			send_one(2, &r);
		while (sent < AT_ONCE && sent < n)
			uv_run(&loop, UV_RUN_ONCE);
	}
}

static void handover(size_t waiting)
{
	const struct recipient other = { RECIPIENT_ADDRESS, users[1] };
	double begin, turns, all;

	fresh_dir();
	open_router();
	send_many(0, waiting);
	/* Until they are in the inbox, where there is no handler yet. */
	for (int i = 0; i < 300; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		store_flush(store);
	}
	is_down[0] = true;
	flow_parcel_handler(flow, PARCEL_MESSAGE, on_parcel, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
	handed = 0;
	begin = cpu_s();
	for (size_t i = 0; i < TURNS; i++) {
		send_one(2, &other);
		while (handed == i)
			uv_run(&loop, UV_RUN_ONCE);
	}
	turns = cpu_s() - begin;
	is_down[0] = false;
	handed = 0;
	begin = cpu_s();
	if (flow_local_up(flow, &users[0]))
		die("coming up", EIO);
	while (handed < waiting)
		uv_run(&loop, UV_RUN_ONCE);
	all = cpu_s() - begin;
	printf("{\"bench\": \"parcel\", \"waiting\": %zu, \"handover_us\": %.1f, \"all_s\": %.3f}\n",
	       waiting, turns / TURNS * 1e6, all);
	close_router();
}

static void join(void)
{
	double begin, took;

	fresh_dir();
	open_router();
	if (flow_commons_up(flow, &users[0]))
		die("the commons", EIO);
	for (size_t i = 0; i < ITEMS;) {
		sent = 0;
		for (size_t j = 0; j < AT_ONCE; j++, i++)
			send_one((int)(i % SENDERS), flow_everybody());
		while (sent < AT_ONCE)
			uv_run(&loop, UV_RUN_ONCE);
	}
	while (sum_of(flow) < ITEMS)
		uv_run(&loop, UV_RUN_ONCE);
	flow_commons_down(flow, &users[0]);
	begin = cpu_s();
	if (flow_commons_up(flow, &users[0]))
		die("the commons", EIO);
	took = cpu_s() - begin;
	printf("{\"bench\": \"parcel\", \"items\": %d, \"join_ms\": %.2f}\n", ITEMS, took * 1e3);
	close_router();
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR);
	uv_loop_init(&loop);
	for (int i = 0; i < SENDERS; i++)
		crypto_sign_keypair(users[i].b, secrets[i]);
	handover(0);
	handover(WAITING);
	join();
	remove_dir();
	return 0;
}
