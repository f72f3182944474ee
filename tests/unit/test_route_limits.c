// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The routing core: what a neighbour may cost, and what leaves paced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>

#include "unit/route_world.h"

static void quota_belongs_to_the_neighbour(void **state)
{
	struct route_config cfg = { .seed = 1, .quota = 3, .max_addresses = 5 };
	struct world *w = world_new(&cfg);
	size_t n, bytes;

	(void)state;
	peer_join(w, 0, 10);
	peer_join(w, 1, 10);
	for (unsigned int k = 0; k < 5; k++)
		send_record(w, 0, k, 5, 100);
	assert_int_equal(w->installs, 3);
	assert_int_equal(core_stats(w)->drop_over_quota, 2);
	/* A reconnect does not give a new one … */
	route_neigh_down(w->core, w->now, 0);
	peer_join(w, 0, 10);
	/* … but what it left behind makes room, oldest first. */
	send_record(w, 0, 3, 5, 100);
	assert_int_equal(core_info(w, 3).n_hops, 1);
	route_usage(w->core, &n, &bytes);
	assert_int_equal(n, 3);
	for (unsigned int k = 4; k < 8; k++)
		send_record(w, 1, k, 5, 100);
	route_usage(w->core, &n, &bytes);
	assert_true(n <= 5);
	assert_true(core_info(w, 4).n_hops == 1);
	core_teardown((void **)&w);
}

static void signature_budget(void **state)
{
	struct route_config cfg = { .seed = 1, .verify_rate = 10, .verify_burst = 16 };
	struct world *w = world_new(&cfg);
	uint32_t acked;

	(void)state;
	peer_join(w, 0, 10);
	for (unsigned int k = 0; k < 4; k++) {	/* 4 × 6 checks: the third has to wait */
		peer_start(w, 0);
		for (unsigned int i = 0; i < 6; i++)
			put_record(w, i, 5 + k, 100, 3600, 0);
		peer_deliver(w, 0);
	}
	assert_int_equal(core_stats(w)->records_verified, 12);
	assert_true(core_stats(w)->defer_over_budget >= 1);
	world_run(w, 30);
	acked = w->peer[0].core_ack;
	assert_int_equal(acked, w->peer[0].seq - 1);	/* not acknowledged */
	world_run(w, 3000);
	assert_int_equal(core_stats(w)->records_verified, 24);
	assert_int_equal(w->peer[0].core_ack, w->peer[0].seq + 1);
	core_teardown((void **)&w);
}

static void flood_is_bounded(void **state)
{
	struct route_config cfg = { .seed = 1, .quota = 100, .verify_rate = 1000000,
				    .verify_burst = 1000000 };
	struct world *w = world_new(&cfg);
	size_t n, bytes;

	(void)state;
	peer_join(w, 0, 10);
	peer_join(w, 1, 10);
	send_record(w, 1, 0, 5, 100);
	for (unsigned int i = 0; i < 1000; i++) {
		uint8_t rec[RECORD_LEN], seed[32] = { 7, (uint8_t)i, (uint8_t)(i >> 8) };
		uint8_t id[RECORD_ID_LEN];
		struct key k;

		crypto_sign_ed25519_seed_keypair(k.address.b, k.secret, seed);
		record_build(rec, k.secret, 1, 86400, 0);
		record_id(rec, id);
		peer_start(w, 0);
		control_put_record(&msg.w, &msg.run, rec, 86400, 1);
		if (i % 2)			/* told and taken back: tombstones count too */
			control_put_update(&msg.w, &msg.run, id, ROUTE_INFINITY);
		peer_deliver(w, 0);
		world_run(w, 30);
	}
	route_usage(w->core, &n, &bytes);
	assert_true(n <= 101);
	assert_true(bytes < 200000);
	assert_true(core_stats(w)->drop_over_quota > 0);
	assert_int_equal(core_info(w, 0).n_hops, 1);
	core_teardown((void **)&w);
}

static void sending_is_paced(void **state)
{
	struct world *w = *state;
	uint64_t before;

	for (unsigned int i = 0; i < 1500; i++) {
		uint8_t rec[RECORD_LEN], seed[32] = { 8, (uint8_t)i, (uint8_t)(i >> 8) };
		struct key k;

		crypto_sign_ed25519_seed_keypair(k.address.b, k.secret, seed);
		record_build(rec, k.secret, 1, 86400, 0);
		assert_int_equal(route_local_add(w->core, w->now, rec), 0);
	}
	world_run(w, 100);				/* so far on the way to peers 0 and 1 */
	assert_int_equal(route_neigh_up(w->core, w->now, 2, 10, 2000), 0);
	before = core_stats(w)->tx_bytes;
	world_run(w, 4000);
	peer_join(w, 2, 10);
	route_neigh_up(w->core, w->now, 2, 10, 2000);
	world_run(w, 60000);
	(void)before;
	assert_int_equal(w->peer[0].records, 1500);
	assert_true(w->peer[2].records >= 900 && w->peer[2].records < 1500);
	assert_true(core_stats(w)->tx_paced > 0);
	world_run(w, 60000);
	assert_int_equal(w->peer[2].records, 1500);
}

static void changes_collapse(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 60001);
	world_run(w, 100);
	w->peer[1].updates = 0;
	for (unsigned int i = 0; i < 8; i++)
		send_update(w, 0, 0, 5, (uint16_t)(60000 >> i));
	world_run(w, 100);
	assert_int_equal(w->peer[1].updates, 1);
	assert_int_equal(w->peer[1].last_metric, (60000 >> 7) + 10);
	/* Small changes wait for ten seconds. */
	send_update(w, 0, 0, 5, (60000 >> 7) - 5);
	world_run(w, 5000);
	assert_int_equal(w->peer[1].updates, 1);
	world_run(w, 5100);
	assert_int_equal(w->peer[1].updates, 2);
	assert_int_equal(w->peer[1].last_metric, (60000 >> 7) + 5);
}

static void cookies(void **state)
{
	uint8_t bytes[ROUTE_COOKIE_LEN + 1] = { 0 };
	struct route_cookie in = { UINT64_C(0x1122334455667788), 513 }, out;

	(void)state;
	route_cookie_encode(&in, bytes);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(route_cookie_decode(bytes, len, &out),
				 len == ROUTE_COOKIE_LEN ? 0 : -EINVAL);
	assert_int_equal(out.sequence, in.sequence);
	assert_int_equal(out.metric, 513);
	bytes[1] ^= 1;
	assert_int_equal(route_cookie_decode(bytes, ROUTE_COOKIE_LEN, &out), -EINVAL);
}

static bool collect(void *ctx, const struct route_info *ri)
{
	struct address *last = ctx;

	assert_true(address_is_zero(last) || address_compare(last, &ri->address) < 0);
	*last = ri->address;
	return true;
}

static void listing_is_sorted(void **state)
{
	struct world *w = *state;
	struct address last = { { 0 } };

	for (unsigned int k = 0; k < KEYS; k++)
		send_record(w, k & 1, k, 5, 100);
	assert_int_equal(route_foreach(w->core, w->now, collect, &last), 0);
	assert_false(address_is_zero(&last));
}

static void too_many_neighbours(void **state)
{
	struct world *w = *state;
	struct route_core *core = route_new(NULL, &world_ops, w, 0);

	for (uint32_t i = 0; i < ROUTE_NEIGH_MAX; i++)
		assert_int_equal(route_neigh_up(core, 0, i + 1000, 1, 0), 0);
	assert_int_equal(route_neigh_up(core, 0, 5, 1, 0), -ENOSPC);
	assert_int_equal(route_neigh_down(core, 0, 1003), 0);
	assert_int_equal(route_neigh_up(core, 0, 5, 1, 0), 0);
	assert_int_equal(route_neigh_down(core, 0, 77), -ENOENT);
	assert_int_equal(route_neigh_cost(core, 0, 77, 1), -ENOENT);
	route_free(core);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(quota_belongs_to_the_neighbour),
		T(signature_budget),
		T(flood_is_bounded),
		T(sending_is_paced),
		T(changes_collapse),
		T(cookies),
		T(listing_is_sorted),
		T(too_many_neighbours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
