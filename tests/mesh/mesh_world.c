// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mesh/mesh_world.h"

uv_loop_t loop;
struct router *routers[MAX_ROUTERS];
size_t n_routers;
static uint64_t stamp;
static char device[] = "ratman0";

/* The store's part. */

struct address the_space;
uint8_t the_space_sk[crypto_sign_SECRETKEYBYTES];

static uint64_t next_stamp(void *ctx, const struct address *address)
{
	const struct router *r = ctx;

	(void)address;
	return r->no_stamps ? 0 : ++stamp;
}

static void seen(void *ctx, const struct address *address, uint64_t sequence)
{
	struct router *r = ctx;

	for (size_t i = 0; i < r->n_seen; i++) {
		if (address_equal(&r->seen[i].address, address)) {
			assert_true(sequence > r->seen[i].sequence);
			r->seen[i].sequence = sequence;
			return;
		}
	}
	assert_true(r->n_seen < MAX_SEEN);
	r->seen[r->n_seen++] = (struct seen){ *address, sequence };
}

static uint64_t last_seen(void *ctx, const struct address *address)
{
	const struct router *r = ctx;

	for (size_t i = 0; i < r->n_seen; i++)
		if (address_equal(&r->seen[i].address, address))
			return r->seen[i].sequence;
	return 0;
}

static void reachable(void *ctx, const struct address *peer)
{
	struct router *r = ctx;

	assert_true(mesh_reachable(r->mesh, peer));
	r->reachable++;
}

static bool is_contact(void *ctx, const struct address *local, const struct address *peer)
{
	const struct router *r = ctx;

	assert_non_null(mesh_local_secret(r->mesh, local));
	for (size_t i = 0; i < r->n_contacts; i++)
		if (address_equal(local, &r->address) && address_equal(&r->contacts[i], peer))
			return true;
	return false;
}

static void joined(void *ctx)
{
	struct router *r = ctx;

	assert_null(mesh_off_reason(r->mesh));
	r->joined++;
}

static void members_changed(void *ctx, const struct address *space)
{
	struct router *r = ctx;

	(void)space;
	r->members_changed++;
}

static int space_secret(void *ctx, const struct address *space, uint8_t *secret)
{
	const struct router *r = ctx;

	if (!r->has_space || !address_equal(space, &the_space))
		return -ENOENT;
	memcpy(secret, the_space_sk, sizeof(the_space_sk));
	return 0;
}

const struct mesh_ops world_ops = {
	.next_stamp = next_stamp,
	.seen = seen,
	.last_seen = last_seen,
	.reachable = reachable,
	.is_contact = is_contact,
	.members_changed = members_changed,
	.space_secret = space_secret,
	.joined = joined,
};

/* Routers. */

struct router *add_router(void)
{
	struct router *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_true(n_routers < MAX_ROUTERS);
	crypto_sign_keypair(r->router.b, r->router_sk);
	crypto_sign_keypair(r->address.b, r->sk);
	r->config.device = device;
	r->node = fake_node_new();
	routers[n_routers++] = r;
	return r;
}

void router_start(struct router *r)
{
	fake_enter(r->node);
	r->mesh = mesh_new(&loop, &r->config, r->router_sk, &world_ops, r);
	assert_non_null(r->mesh);
	assert_int_equal(mesh_local_up(r->mesh, &r->address, r->sk), 0);
	mesh_start(r->mesh);
}

/* The daemon is gone, its kernel stays. */
void router_stop(struct router *r)
{
	mesh_free(r->mesh);
	r->mesh = NULL;
	fake_run(0);
}

void start_all(void)
{
	for (size_t i = 0; i < n_routers; i++)
		router_start(routers[i]);
}

int world_setup(void **state)
{
	(void)state;
	stamp = 1000;
	n_routers = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_begin(&loop, 1);
	return 0;
}

int world_teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routers; i++)
		if (routers[i]->mesh)
			router_stop(routers[i]);
	assert_int_equal(fake_counts.hop_limit, 0);
	assert_int_equal(fake_counts.bad_inner, 0);
	for (size_t i = 0; i < n_routers; i++)
		free(routers[i]);
	n_routers = 0;
	fake_end();
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

/* Conditions to wait for. */

bool reaches(const struct router *a, const struct router *b)
{
	return mesh_reachable(a->mesh, &b->address) && fake_walk(a->node, &b->address) > 0;
}

bool all_reach(void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < n_routers; i++)
		for (size_t j = 0; j < n_routers; j++)
			if (i != j && routers[i]->mesh && routers[j]->mesh &&
			    !reaches(routers[i], routers[j]))
				return false;
	return true;
}

bool is_delivered(void *ctx)
{
	return fake_delivered(*(uint32_t *)ctx);
}

bool is_on(void *ctx)
{
	const struct router *r = ctx;

	return !mesh_off_reason(r->mesh);
}

bool is_off(void *ctx)
{
	return !is_on(ctx);
}

bool nobody_reaches_first(void *ctx)
{
	(void)ctx;
	for (size_t i = 1; i < n_routers; i++)
		if (mesh_reachable(routers[i]->mesh, &routers[0]->address) ||
		    fake_has_route(routers[i]->node, &routers[0]->address))
			return false;
	return true;
}

void wait_for(bool (*done)(void *ctx), void *ctx, uint64_t ms)
{
	assert_true(fake_until(done, ctx, ms));
}

/* A packet arrives, session and all. */
void deliver(struct router *from, struct router *to)
{
	uint32_t packet = fake_packet(from->node, &from->address, &to->address);

	assert_int_not_equal(packet, 0);
	wait_for(is_delivered, &packet, 15000);
}

/* @n routers in a line, started; links[i] joins i and i + 1. */
void line_of(size_t n, struct fake_link **links)
{
	for (size_t i = 0; i < n; i++)
		add_router();
	for (size_t i = 0; i + 1 < n; i++)
		links[i] = fake_link_new(routers[i]->node, routers[i + 1]->node);
	start_all();
}

void count_peer(void *ctx, const struct address *peer)
{
	(void)peer;
	++*(unsigned int *)ctx;
}

/* Packets between the ends, every 100 ms, all the time; returns how many were lost. */
unsigned int traffic(struct router *a, struct router *b, uint64_t ms)
{
	uint32_t sent[1024];
	unsigned int n = 0, lost = 0;

	for (uint64_t t = 0; t < ms; t += 100) {
		sent[n++] = fake_packet(a->node, &a->address, &b->address);
		sent[n++] = fake_packet(b->node, &b->address, &a->address);
		fake_run(100);
	}
	fake_run(2000);
	while (n)
		lost += !fake_delivered(sent[--n]);
	return lost;
}

/* Random numbers that repeat; MESH_SEED is another series. */

static uint8_t series[randombytes_SEEDBYTES];

static const char *series_name(void)
{
	return "series";
}

static void series_next(void *buf, const size_t size)
{
	randombytes_buf_deterministic(buf, size, series);
	for (size_t i = 8; i < sizeof(series) && !++series[i]; i++)
		;
}

static uint32_t series_word(void)
{
	uint32_t word;

	series_next(&word, sizeof(word));
	return word;
}

static struct randombytes_implementation series_source = {
	.implementation_name = series_name,
	.random = series_word,
	.buf = series_next,
};

int world_main(const struct CMUnitTest *tests, size_t n)
{
	if (getenv("MESH_SEED"))
		series[0] = (uint8_t)atoi(getenv("MESH_SEED"));
	randombytes_set_implementation(&series_source);
	if (sodium_init() < 0)
		return 1;
	if (getenv("MESH_TEST"))
		cmocka_set_test_filter(getenv("MESH_TEST"));
	log_set_level(getenv("RATMAN_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return _cmocka_run_group_tests("mesh", tests, n, NULL, NULL);
}
