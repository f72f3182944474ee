// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Presences among many routers: loss, links that change, routers that restart, members
 * that join and leave. In the end every router knows exactly who is a member.
 * RATMAN_SIM_SEED and RATMAN_SIM_SEEDS as in test_sim.c.
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

/* Runs until everybody knows; the time that took. */
static uint64_t settle(struct sim *sim, uint64_t limit_ms, bool skip_liars, const char *what)
{
	uint64_t start = sim->now;

	while (sim->now < start + limit_ms) {
		if (!sim_run(sim, sim->now + 50))
			break;
		if (sim_members_known(sim, skip_liars))
			return sim->now - start;
	}
	fprintf(stderr, "%s: members not known, seed %llu, time %llu, loop %d\n", what,
		(unsigned long long)sim->seed, (unsigned long long)sim->now, sim->loop);
	fail();
	return 0;
}

static void disturb(struct sim *sim)
{
	unsigned int link = sim_random(sim, sim->n_links);
	unsigned int node = sim_random(sim, sim->n);

	switch (sim_random(sim, 8)) {
	case 0:
	case 1:
		sim_link_set(sim, link, false, 300);
		break;
	case 2:
		sim_link_set(sim, link, true, 0);
		break;
	case 3:
		sim_restart(sim, node, sim_random(sim, 3000), sim_random(sim, 3) == 0);
		break;
	default:
		sim_member(sim, node, sim_random(sim, SIM_SPACES), sim_random(sim, 2));
		break;
	}
}

static void churn(uint64_t seed, unsigned int n, unsigned int extra, uint32_t loss,
		  unsigned int rounds, bool real_crypto)
{
	struct sim *sim = sim_new(n, seed, real_crypto);

	sim_graph(sim, extra, loss);
	sim_start(sim, 500);
	for (unsigned int i = 0; i < n / 3; i++)
		sim_member(sim, sim_random(sim, n), sim_random(sim, SIM_SPACES), true);
	for (unsigned int i = 0; i < rounds; i++) {
		disturb(sim);
		assert_true(sim_run(sim, sim->now + sim_random(sim, 600)));
	}
	sim_run(sim, sim->now + 3000);		/* the last daemon is back */
	settle(sim, 60000, false, "churn");
	/* And it stays so, over refreshes and comparisons. */
	assert_true(sim_run(sim, sim->now + 4000000));
	settle(sim, 1000, false, "after an hour");
	sim_free(sim);
}

static void churn_60(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < seed_count(2); i++)
		churn(first_seed() + i, 60, 60, 200, 120, false);
}

static void churn_small(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < seed_count(2) * 6; i++)
		churn(first_seed() + 100 + i, 6 + i, 6, 200, 80, i % 4 == 0);
}

/* Everybody is a member of one namespace: one statement each, once to each neighbour. */
static void grid(void **state)
{
	struct sim *sim = sim_new(49, first_seed(), false);
	uint64_t bytes, out = 0, took, idle;

	(void)state;
	sim_grid(sim, 7, 7);
	sim_start(sim, 100);
	assert_true(sim_run(sim, 10000));
	for (unsigned int i = 0; i < sim->n; i++)
		sim_member(sim, i, 0, true);
	took = settle(sim, 20000, false, "grid");
	for (unsigned int i = 0; i < sim->n; i++)
		out += route_stats(sim->nodes[i].core)->presence_out;
	/* 168 directions of links; each presence crosses most of them once, some both ways at once. */
	assert_in_range(out, 49 * 48, 49 * 168);
	bytes = sim_bytes(sim);
	assert_true(sim_run(sim, sim->now + 600000));
	idle = (sim_bytes(sim) - bytes) / 600 / sim->n;
	printf("49 members in a grid: known after %llu ms, %llu presences sent, idle %llu B/s per router\n",
	       (unsigned long long)took, (unsigned long long)out, (unsigned long long)idle);
	for (unsigned int i = 0; i < sim->n; i++)
		assert_int_equal(route_stats(sim->nodes[i].core)->presence_asked, 0);
	sim_free(sim);
}

/* A router that damages what it passes on is found out; everybody else knows all the same. */
static void liar(void **state)
{
	struct sim *sim = sim_new(20, first_seed(), false);
	uint64_t refused = 0;

	(void)state;
	sim_ring(sim, 20);
	for (unsigned int i = 0; i < 5; i++)
		sim_link(sim, i * 4, (i * 4 + 10) % 20, 100, 2, 0);
	sim->nodes[7].liar = true;
	sim_start(sim, 100);
	for (unsigned int i = 0; i < 20; i++)
		sim_member(sim, i, i % SIM_SPACES, true);
	settle(sim, 30000, true, "liar");
	for (unsigned int i = 0; i < 20; i++) {
		sim_member(sim, i, i % SIM_SPACES, false);
		sim_member(sim, i, (i + 1) % SIM_SPACES, true);
	}
	settle(sim, 30000, true, "liar, again");
	for (unsigned int i = 0; i < 20; i++)
		refused += sim->nodes[i].refused;
	assert_true(refused > 0);
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(churn_60), cmocka_unit_test(churn_small),
		cmocka_unit_test(grid), cmocka_unit_test(liar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
