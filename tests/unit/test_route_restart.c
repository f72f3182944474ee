// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The routing core: digests that agree, and daemons and neighbours that begin again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "unit/route_world.h"

/* Two cores joined directly: their digests agree, whatever happened. */
struct pair {
	struct route_core *core[2];
	uint64_t now;
	struct { uint8_t bytes[CONTROL_MTU_MAX]; size_t len; } q[2][256];
	unsigned int n[2];
};

static struct pair *pair;

static void pair_send(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len)
{
	unsigned int to = ctx == &pair->n[0] ? 1 : 0;

	(void)neigh;
	if (pair->n[to] == 256)
		return;
	memcpy(pair->q[to][pair->n[to]].bytes, bytes, len);
	pair->q[to][pair->n[to]++].len = len;
}

static void pair_install(void *ctx, const struct address *address, const struct route_hop *hops,
			 size_t n, const uint8_t *cookie, size_t cookie_len)
{
	(void)ctx; (void)address; (void)hops; (void)n; (void)cookie; (void)cookie_len;
}

static void pair_uninstall(void *ctx, const struct address *address)
{
	(void)ctx; (void)address;
}

static void pair_want(void *ctx, const struct address *address, uint64_t sequence)
{
	(void)ctx; (void)address; (void)sequence;
}

static void pair_run(uint64_t ms)
{
	for (uint64_t end = pair->now + ms; pair->now < end; pair->now++) {
		for (unsigned int i = 0; i < 2; i++) {
			unsigned int n = pair->n[i];

			for (unsigned int k = 0; k < n; k++)
				route_input(pair->core[i], pair->now, 0, pair->q[i][k].bytes,
					    pair->q[i][k].len);
			pair->n[i] = 0;
			if (route_deadline(pair->core[i]) <= pair->now)
				route_tick(pair->core[i], pair->now);
		}
	}
}

static void digests_agree(void **state)
{
	struct route_ops pops = {
		.send = pair_send, .install = pair_install, .uninstall = pair_uninstall,
		.want_sequence = pair_want,
	};
	struct world *w = *state;
	uint8_t rec[RECORD_LEN];

	pair = calloc(1, sizeof(*pair));
	for (unsigned int i = 0; i < 2; i++) {
		struct route_config cfg = { .seed = i + 1, .digest_ms = 1000 };

		pair->core[i] = route_new(&cfg, &pops, &pair->n[i], 0);
		route_neigh_up(pair->core[i], 0, 0, 10, 0);
	}
	for (unsigned int k = 0; k < KEYS; k++) {
		record_build(rec, w->key[k].secret, 5, 3600, 0);
		route_local_add(pair->core[k & 1], pair->now, rec);
		pair_run(30);
	}
	record_build(rec, w->key[1].secret, 6, 3600, 0);
	route_local_add(pair->core[1], pair->now, rec);
	record_build(rec, w->key[0].secret, 6, 3600, RECORD_WITHDRAWN);
	route_local_add(pair->core[0], pair->now, rec);
	route_local_remove(pair->core[0], pair->now, &w->key[2].address);
	pair_run(20000);
	for (unsigned int i = 0; i < 2; i++) {
		struct route_neigh_info ni;

		assert_int_equal(route_stats(pair->core[i])->resyncs, 0);
		assert_int_equal(route_neigh_get(pair->core[i], 0, &ni), 0);
		assert_true(ni.connected && ni.synced);
		assert_int_equal(ni.routes, i ? 2 : 4);
		assert_true(route_stats(pair->core[i])->tx_messages > 20);
		route_free(pair->core[i]);
	}
	free(pair);
}

static void neighbour_restarts_gracefully(void **state)
{
	struct world *w = *state;
	struct peer *p = &w->peer[0];

	send_record(w, 0, 0, 5, 100);
	send_record(w, 0, 1, 5, 100);
	world_run(w, 1000);
	p->epoch = 0xbeef;
	p->seq = 0;
	p->rx_next = 1;
	p->flags = CONTROL_GRACEFUL;
	peer_start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_BEGIN);
	put_record(w, 0, 5, 100, 3600, 0);
	peer_deliver(w, 0);
	assert_int_equal(core_info(w, 0).n_hops, 1);
	assert_int_equal(core_info(w, 0).stale, false);
	assert_int_equal(core_info(w, 1).n_hops, 1);		/* stays in use */
	assert_int_equal(core_info(w, 1).stale, true);
	world_run(w, 50);
	assert_true(p->core_flags & CONTROL_HOLDS);
	peer_start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_END);
	peer_deliver(w, 0);
	assert_int_equal(core_info(w, 0).n_hops, 1);
	assert_int_equal(core_info(w, 1).n_hops, 0);
	world_run(w, 50);
	assert_false(p->core_flags & CONTROL_HOLDS);
	/* A frame of the former life changes nothing. */
	p->epoch = 0x1000;
	peer_begin(p, 3);
	peer_deliver(w, 0);
	assert_int_equal(core_stats(w)->drop_old_epoch, 1);
	/* Without END stale routes go after 15 s. */
	world_run(w, 300);
	p->epoch = 0xcafe;
	p->seq = 0;
	peer_begin(p, 0);
	peer_deliver(w, 0);
	assert_int_equal(core_info(w, 0).stale, true);
	world_run(w, 14000);
	assert_int_equal(core_info(w, 0).n_hops, 1);
	world_run(w, 1100);
	assert_int_equal(core_info(w, 0).n_hops, 0);
}

static void neighbour_reboots(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 1000);
	w->peer[0].epoch = 0xbeef;
	peer_begin(&w->peer[0], 0);			/* not graceful: knows nothing of its promises */
	peer_deliver(w, 0);
	assert_int_equal(core_info(w, 0).n_hops, 0);
}

static void our_restart(void **state)
{
	struct world *w = *state, *v;
	struct route_cookie c;

	send_record(w, 0, 0, 5, 100);
	send_record(w, 0, 1, 5, 100);
	world_run(w, 1000);
	assert_int_equal(route_cookie_decode(w->cookie, ROUTE_COOKIE_LEN, &c), 0);
	v = world_new(NULL);
	v->peer[0].epoch = 0x1000;
	v->peer[0].rx_next = 1;
	v->peer[0].flags = CONTROL_GRACEFUL;	/* it kept its memory while we were away */
	route_neigh_up(v->core, v->now, 0, 10, 0);
	for (unsigned int k = 0; k < 2; k++)
		assert_int_equal(route_restore(v->core, v->now, &v->key[k].address, c.sequence,
					       c.metric, w->hops, w->n_hops), 0);
	assert_int_equal(v->installs, 0);	/* the kernel has them */
	assert_int_equal(core_info(v, 0).n_hops, 1);
	assert_int_equal(core_info(v, 0).stale, true);
	world_run(v, 10);
	assert_true(v->peer[0].core_flags & CONTROL_GRACEFUL);
	send_record(v, 0, 0, 5, 100);
	assert_int_equal(core_info(v, 0).stale, false);
	send_record(v, 0, 2, 5, 110);
	/* The distance survived: an equal or higher one is infeasible. */
	assert_int_equal(core_info(v, 0).fd_metric, 110);
	send_update(v, 0, 0, 5, 110);
	assert_int_equal(core_info(v, 0).n_hops, 0);
	world_run(v, 100);
	assert_int_equal(v->peer[0].ends, 0);	/* one route is not confirmed yet */
	world_run(v, 15000);
	assert_int_equal(core_info(v, 1).n_hops, 0);
	assert_int_equal(v->peer[0].ends, 1);
	assert_true(v->uninstalls >= 2);
	core_teardown((void **)&v);
}

/* A neighbour went while we were away: the kernel must not keep it as a next hop. */
static void restore_without_a_lost_hop(void **state)
{
	const struct route_hop hops[2] = { { 1, 40, 0 }, { 0, 50, 0 } };
	struct world *w = world_new(NULL);

	(void)state;
	route_neigh_up(w->core, w->now, 0, 10, 0);
	assert_int_equal(route_restore(w->core, w->now, &w->key[0].address, 5, 41, hops, 2), 0);
	assert_int_equal(w->installs, 1);
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(w->hops[0].neigh, 0);
	assert_int_equal(route_restore(w->core, w->now, &w->key[0].address, 5, 41, hops, 2),
			 -EEXIST);
	assert_int_equal(route_restore(w->core, w->now, &w->key[1].address, 5, 41, hops, 1), 0);
	assert_int_equal(w->uninstalls, 1);
	assert_int_equal(route_restore(w->core, w->now, &w->key[2].address, 5, 0, hops, 1),
			 -EINVAL);
	core_teardown((void **)&w);
}

static void new_address_waits_while_old_promises_may_be_held(void **state)
{
	struct world *w;

	(void)state;
	w = world_new(NULL);
	w->peer[0].flags = CONTROL_HOLDS;	/* it uses what we told before our restart */
	w->peer[0].epoch = 0x1000;
	w->peer[0].rx_next = 1;
	route_neigh_up(w->core, w->now, 0, 10, 0);
	world_run(w, 5);
	send_record(w, 0, 0, 5, 100);
	assert_int_equal(w->installs, 0);
	w->peer[0].flags = 0;
	peer_ack(w, 0);
	assert_int_equal(w->installs, 1);
	core_teardown((void **)&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(digests_agree),
		T(neighbour_restarts_gracefully),
		T(neighbour_reboots),
		T(our_restart),
		T(restore_without_a_lost_hop),
		T(new_address_waits_while_old_promises_may_be_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
