// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the commons cost while nothing happens: whole flows over loopback in virtual time, their
 * connections, messages and bytes counted over hours.
 *
 * What one of them sends does not depend on how many there are, so the budget of 100
 * routers on a grid (design.md section 14) is reckoned from a few.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "mesh/kern_fake.h"
#include "ratmand/flow/parcel.h"
#include "unit/scratch.h"

#define ROUTERS 10
#define HOUR_MS 3600000u
#define STEP_MS 500

/*
 * A packet's headers, ours and Ethernet's among them; packets without content that a
 * connection costs, with the handshake of the session; hops between two of 100 routers on a grid.
 */
#define PACKET 170
#define PACKETS_PER_CONNECT 12
#define HOPS 6.7

static struct router {
	char dir[SCRATCH_LEN];
	struct store *store;
	struct flow *flow;
	struct address address;
	uint8_t secret[64];
	uint16_t port;
	size_t got;
	bool closed;
} routers[ROUTERS];
static uv_loop_t loop;

static struct router *router_of(const struct address *a)
{
	for (int i = 0; i < ROUTERS; i++)
		if (address_equal(&routers[i].address, a))
			return &routers[i];
	return NULL;
}

static const uint8_t *op_secret(void *ctx, const struct address *local)
{
	struct router *r = ctx;

	return address_equal(local, &r->address) ? r->secret : NULL;
}

static bool op_reachable(void *ctx, const struct address *peer)
{
	(void)ctx;
	return router_of(peer);
}

static bool op_endpoint(void *ctx, const struct address *address, bool source,
			struct sockaddr_in6 *out)
{
	struct router *r = router_of(address);

	(void)ctx;
	if (r)
		uv_ip6_addr("::1", source ? 0 : r->port, out);
	return r;
}

static bool op_speaks_for(void *ctx, const struct sockaddr_in6 *source,
			  const struct address *claimed)
{
	(void)ctx;
	(void)source;
	return router_of(claimed);
}

static void op_members(void *ctx, const struct address *space,
		       void (*cb)(void *cb_ctx, const struct address *member), void *cb_ctx)
{
	(void)space;
	for (int i = 0; i < ROUTERS; i++)
		if (&routers[i] != ctx)
			cb(cb_ctx, &routers[i].address);
}

static const struct flow_ops ops = {
	.secret = op_secret, .reachable = op_reachable, .endpoint = op_endpoint,
	.speaks_for = op_speaks_for, .members = op_members,
};

static void on_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	(void)info;
	((struct router *)ctx)->got++;
	flow_parcel_close(p, true);
}

static int setup(void **state)
{
	struct store_options options = { .ephemeral = true };
	char why[256];

	(void)state;
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_begin(&loop, 11);
	memset(routers, 0, sizeof(routers));
	for (int i = 0; i < ROUTERS; i++) {
		struct router *r = &routers[i];

		scratch_make(r->dir);
		crypto_sign_keypair(r->address.b, r->secret);
		r->port = scratch_port();
		assert_int_equal(store_open(&r->store, &loop, r->dir, &options, why, sizeof(why)),
				 0);
		assert_int_equal(flow_new(&r->flow, &loop, r->store, &ops, r), 0);
		assert_int_equal(flow_local_up(r->flow, &r->address), 0);
		flow_parcel_handler(r->flow, PARCEL_PROFILE, on_parcel, r);
	}
	return 0;
}

static void on_closed(void *ctx)
{
	((struct router *)ctx)->closed = true;
}

static int teardown(void **state)
{
	(void)state;
	for (int i = 0; i < ROUTERS; i++) {
		struct router *r = &routers[i];

		flow_free(r->flow, on_closed, r);
		while (!r->closed)
			uv_run(&loop, UV_RUN_ONCE);
		store_close(r->store);
		scratch_remove(r->dir);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	fake_end();
	return uv_loop_close(&loop);
}

/* Lets time pass, and the disk and the sockets keep up with it. */
static void pass(uint64_t ms)
{
	for (; ms; ms -= ms < STEP_MS ? ms : STEP_MS) {
		bool busy = false;

		fake_run(ms < STEP_MS ? ms : STEP_MS);
		for (int i = 0; i < ROUTERS; i++)
			busy = busy || flow_active(routers[i].flow) ||
			       store_backlog(routers[i].store);
		if (busy)
			usleep(500);
	}
}

static void on_sent(void *ctx, int err)
{
	assert_int_equal(err, 0);
	--*(size_t *)ctx;
}

static void say(size_t n)
{
	size_t left = n;

	for (size_t i = 0; i < n; i++)
		assert_int_equal(flow_parcel_send(routers[i].flow, PARCEL_PROFILE,
						  &routers[i].address, flow_everybody(), NULL, 0,
						  "profile", 7, on_sent, &left), 0);
	while (left)
		pass(STEP_MS);
}

struct cost {
	uint64_t connects, messages, bytes;
};

static struct cost cost(void)
{
	struct cost c = { 0 };

	for (int i = 0; i < ROUTERS; i++) {
		const struct flow_stats *s = flow_stats(routers[i].flow);

		assert_int_equal(s->protocol_errors, 0);
		c.connects += s->connects;
		c.messages += s->messages_sent;
		c.bytes += s->bytes_sent;
	}
	return c;
}

/* Bytes a second that one router of 100 sends for it, as sender or on the way, @n taking part here. */
static double rate(struct cost before, struct cost after, size_t n, double hours)
{
	double bytes = (double)(after.bytes - before.bytes) +
		       1.5 * PACKET * (double)(after.messages - before.messages) +
		       PACKET * PACKETS_PER_CONNECT * (double)(after.connects - before.connects);

	return bytes / (double)n * HOPS / (hours * 3600);
}

/* All take part and hold the same. */
static void test_all(void **state)
{
	struct cost before, after;
	double per_s;

	(void)state;
	for (int i = 0; i < ROUTERS; i++)
		assert_int_equal(flow_commons_up(routers[i].flow, &routers[i].address), 0);
	say(ROUTERS);
	pass(20 * 60000);
	for (int i = 0; i < ROUTERS; i++)
		assert_int_equal(routers[i].got, ROUTERS);
	before = cost();
	pass(6 * HOUR_MS);
	after = cost();
	per_s = rate(before, after, ROUTERS, 6);
	printf("commons: %.1f connections, %.0f bytes an hour and router; %.1f B/s of 100 routers\n",
	       (double)(after.connects - before.connects) / ROUTERS / 6,
	       (double)(after.bytes - before.bytes) / ROUTERS / 6, per_s);
	assert_true(after.connects > before.connects);
	assert_true(per_s < 50);
	for (int i = 0; i < ROUTERS; i++) {
		assert_int_equal(routers[i].got, ROUTERS);
		assert_int_equal(flow_stats(routers[i].flow)->items, ROUTERS);
	}
	/* A profile that has not changed costs nothing at all. */
	before = cost();
	say(ROUTERS);
	pass(10000);
	after = cost();
	/* Comparisons that fall due just then aside; telling it would connect each of them. */
	assert_true(after.connects - before.connects < ROUTERS);
	/* One that has changed reaches all. */
	assert_int_equal(flow_parcel_send(routers[0].flow, PARCEL_PROFILE, &routers[0].address,
					  flow_everybody(), NULL, 0, "changed", 7, NULL, NULL), 0);
	pass(120000);
	for (int i = 0; i < ROUTERS; i++)
		assert_int_equal(routers[i].got, ROUTERS + 1);
	after = cost();
	printf("commons: one change: %.1f connections, %.0f bytes a router\n",
	       (double)(after.connects - before.connects) / ROUTERS,
	       (double)(after.bytes - before.bytes) / ROUTERS);
}

/* One takes part, the others have never heard of it or have no user. */
static void test_alone(void **state)
{
	struct cost first, before, after;

	(void)state;
	assert_int_equal(flow_commons_up(routers[0].flow, &routers[0].address), 0);
	pass(20 * 60000);
	first = cost();
	/* Each was asked once. */
	assert_int_equal(first.connects, ROUTERS - 1);
	before = first;
	pass(24 * HOUR_MS);
	after = cost();
	printf("commons: alone: %.1f connections an hour to %d others\n",
	       (double)(after.connects - before.connects) / 24, ROUTERS - 1);
	assert_true(after.connects - before.connects < 8 * (ROUTERS - 1));
	/* Whoever comes is found: he asks himself. */
	assert_int_equal(flow_commons_up(routers[5].flow, &routers[5].address), 0);
	say(1);
	pass(5 * 60000);
	assert_int_equal(routers[5].got, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_all), T(test_alone) };

	if (sodium_init() < 0)
		return 1;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(getenv("RATMAN_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
