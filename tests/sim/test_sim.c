// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Many routers in one process. RATMAN_SIM_SEED picks the first seed, RATMAN_SIM_SEEDS
 * how many follow; a failure prints its seed.
 *
 * Guarantee checked after every event: following any installed next hop, primary or
 * backup, over live or dead links, never comes back to a router passed before.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/sim.h"

static uint64_t first_seed(void)
{
	const char *s = getenv("RATMAN_SIM_SEED");

	return s ? strtoull(s, NULL, 0) : 1;
}

static unsigned int seed_count(unsigned int def)
{
	const char *s = getenv("RATMAN_SIM_SEEDS");

	return s ? (unsigned int)strtoul(s, NULL, 0) : def;
}

static void disturb(struct sim *sim)
{
	unsigned int link = sim_random(sim, sim->n_links);
	uint16_t cost = (uint16_t)(10 + sim_random(sim, 1000));
	uint16_t back = (uint16_t)(10 + sim_random(sim, 1000));
	unsigned int node = sim_random(sim, sim->n);
	uint32_t down_ms = sim_random(sim, 3000);

	switch (sim_random(sim, 8)) {
	case 0:
	case 1:
	case 2:
		sim_link_set(sim, link, false, 300);
		break;
	case 3:
	case 4:
		sim_link_set(sim, link, true, 0);
		break;
	case 5:
	case 6:
		sim_link_cost(sim, link, cost, back);
		break;
	default:
		sim_restart(sim, node, down_ms, sim_random(sim, 3) == 0);
		break;
	}
}

static void settle_or_fail(struct sim *sim, uint64_t limit_ms, const char *what)
{
	uint64_t took = sim_settle(sim, limit_ms);

	if (took != UINT64_MAX)
		return;
	fprintf(stderr, "%s: not settled, seed %llu, time %llu, loop %d\n", what,
		(unsigned long long)sim->seed, (unsigned long long)sim->now, sim->loop);
	fail();
}

/* Random changes for a minute of simulated time, then everybody reaches everybody. */
static void churn(uint64_t seed, unsigned int n, unsigned int extra, uint32_t loss,
		  bool real_crypto, unsigned int rounds)
{
	struct sim *sim = sim_new(n, seed, real_crypto);

	sim_graph(sim, extra, loss);
	sim_start(sim, 500);
	settle_or_fail(sim, 30000, "start");
	for (unsigned int i = 0; i < rounds; i++) {
		disturb(sim);
		if (!sim_run(sim, sim->now + sim_random(sim, 600)))
			settle_or_fail(sim, 0, "churn");
	}
	sim_run(sim, sim->now + 3000);		/* the last daemon is back */
	settle_or_fail(sim, 40000, "after the changes");
	/* And it stays so: hysteresis, digests and refreshes disturb nothing. */
	if (!sim_run(sim, sim->now + 30000) || !sim_converged(sim, false)) {
		fprintf(stderr, "did not stay settled, seed %llu\n", (unsigned long long)seed);
		fail();
	}
	sim_free(sim);
}

static void churn_100(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < seed_count(3); i++)
		churn(first_seed() + i, 100, 120, 200, false, 100);
}

static void churn_small_many_seeds(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < seed_count(3) * 12; i++)
		churn(first_seed() + 1000 + i, 8 + i % 12, 8, 200, false, 80);
}

static void churn_real_signatures(void **state)
{
	(void)state;
	churn(first_seed() + 5000, 12, 8, 100, true, 30);
}

/* All daemons die at once and come back: no installed route ever goes. */
static void restart_all_keeps_routes(void **state)
{
	struct sim *sim = sim_new(25, first_seed(), false);

	(void)state;
	sim_grid(sim, 5, 5);
	sim_start(sim, 0);
	settle_or_fail(sim, 10000, "start");
	sim_run(sim, sim->now + 20000);
	for (unsigned int i = 0; i < sim->n; i++)
		sim_restart(sim, i, sim_random(sim, 2000), false);
	for (unsigned int t = 0; t < 1200; t++) {
		assert_true(sim_run(sim, sim->now + 20));
		for (unsigned int a = 0; a < sim->n; a++)
			for (unsigned int b = 0; b < sim->n; b++)
				if (a != b && !sim->nodes[a].routes[b].present) {
					fprintf(stderr, "%u lost %u at %llu\n", a, b,
						(unsigned long long)sim->now);
					fail();
				}
	}
	assert_true(sim_converged(sim, false));
	sim_free(sim);
}

/* A ring is cut: traffic turns round in bounded time; then the cut heals. */
static void ring_cut(void **state)
{
	struct sim *sim = sim_new(9, first_seed(), false);

	(void)state;
	sim_ring(sim, 9);
	sim_start(sim, 0);
	settle_or_fail(sim, 10000, "start");
	sim_run(sim, sim->now + 20000);
	for (unsigned int i = 0; i < 9; i++) {
		sim_link_set(sim, i, false, 0);
		settle_or_fail(sim, 3000, "cut");
		sim_link_set(sim, i, true, 0);
		sim_run(sim, sim->now + 20000);
		assert_true(sim_converged(sim, false));
	}
	sim_free(sim);
}

/* A partition: the other side's addresses go, without counting to infinity. */
static void partition(void **state)
{
	struct sim *sim = sim_new(10, first_seed(), false);
	uint64_t before;

	(void)state;
	for (unsigned int s = 0; s < 2; s++)
		for (unsigned int i = 0; i < 5; i++)
			sim_link(sim, s * 5 + i, s * 5 + (i + 1) % 5, 100, 2, 50);
	sim_link(sim, 4, 5, 100, 2, 0);
	sim_start(sim, 0);
	settle_or_fail(sim, 10000, "start");
	sim_run(sim, sim->now + 15000);
	before = sim_bytes(sim);
	sim_link_set(sim, sim->n_links - 1, false, 0);
	settle_or_fail(sim, 5000, "partition");
	sim_run(sim, sim->now + 60000);
	assert_true(sim_converged(sim, false));
	assert_true(sim_bytes(sim) - before < 10 * 6000);
	sim_link_set(sim, sim->n_links - 1, true, 0);
	settle_or_fail(sim, 5000, "joined");
	sim_free(sim);
}

/*
 * Liars attract what they can (every metric 0, damaged records). No honest router
 * crashes or grows, honest routers never form a loop, and what is not attracted works.
 */
static void adversary(void **state)
{
	struct sim *sim = sim_new(30, first_seed(), true);
	uint64_t bad = 0;

	(void)state;
	sim_graph(sim, 50, 50);
	sim->nodes[7].liar = true;
	sim->nodes[19].liar = true;
	sim_start(sim, 100);
	assert_true(sim_run(sim, 20000));
	for (unsigned int i = 0; i < 20; i++) {
		sim_link_set(sim, sim_random(sim, sim->n_links), i & 1, 100);
		assert_true(sim_run(sim, sim->now + 500));
	}
	for (unsigned int i = 0; i < sim->n_links; i++)
		sim_link_set(sim, i, true, 0);
	for (unsigned int i = 0; i < 40 && !sim_converged(sim, true); i++)
		assert_true(sim_run(sim, sim->now + 1000));
	assert_true(sim_converged(sim, true));
	for (unsigned int i = 0; i < sim->n; i++) {
		size_t addresses, bytes;

		route_usage(sim->nodes[i].core, &addresses, &bytes);
		assert_true(addresses <= 30);
		assert_true(bytes < 100000);
		bad += route_stats(sim->nodes[i].core)->drop_signature +
		       route_stats(sim->nodes[i].core)->drop_record +
		       route_stats(sim->nodes[i].core)->drop_older_sequence;
	}
	assert_true(bad > 0);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ring_cut),
		cmocka_unit_test(partition),
		cmocka_unit_test(restart_all_keeps_routes),
		cmocka_unit_test(churn_real_signatures),
		cmocka_unit_test(churn_small_many_seeds),
		cmocka_unit_test(churn_100),
		cmocka_unit_test(adversary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
