// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Path MTUs among many routers: links whose two ends differ, that change, that come and
 * go, routers that restart. In the end every route knows what its path carries.
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

static uint64_t number(const char *name, uint64_t def)
{
	const char *s = getenv(name);

	return s ? strtoull(s, NULL, 0) : def;
}

static void settle(struct sim *sim, uint64_t limit_ms, const char *what)
{
	uint64_t until = sim->now + limit_ms;

	while (sim->now < until && sim_run(sim, sim->now + 50))
		if (sim_converged(sim, false) && sim_mtus_known(sim))
			return;
	fprintf(stderr, "%s: path MTUs not known, seed %llu, time %llu, loop %d\n", what,
		(unsigned long long)sim->seed, (unsigned long long)sim->now, sim->loop);
	fail();
}

static uint32_t some_mtu(struct sim *sim)
{
	static const uint32_t mtus[] = { 1360, 1400, 1420, 1492, 1500, 1500, 1500, 9000 };

	return mtus[sim_random(sim, sizeof(mtus) / sizeof(mtus[0]))];
}

static void disturb(struct sim *sim)
{
	unsigned int link = sim_random(sim, sim->n_links);

	switch (sim_random(sim, 6)) {
	case 0:
		sim_link_set(sim, link, false, 300);
		break;
	case 1:
		sim_link_set(sim, link, true, 0);
		break;
	case 2:
		sim_restart(sim, sim_random(sim, sim->n), sim_random(sim, 3000), false);
		break;
	default:
		sim_link_mtu(sim, link, some_mtu(sim), some_mtu(sim));
		break;
	}
}

static void churn(uint64_t seed, unsigned int n, unsigned int extra, unsigned int rounds)
{
	struct sim *sim = sim_new(n, seed, false);

	sim_graph(sim, extra, 200);
	for (unsigned int i = 0; i < sim->n_links; i++)
		sim_link_mtu(sim, i, some_mtu(sim), some_mtu(sim));
	sim_start(sim, 500);
	settle(sim, 30000, "start");
	for (unsigned int i = 0; i < rounds; i++) {
		disturb(sim);
		assert_true(sim_run(sim, sim->now + sim_random(sim, 600)));
	}
	sim_run(sim, sim->now + 3000);		/* the last daemon is back */
	settle(sim, 40000, "after the changes");
	/* And it stays so, over refreshes of records. */
	assert_true(sim_run(sim, sim->now + 4000000));
	settle(sim, 1000, "after an hour");
	sim_free(sim);
}

static void churn_40(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < number("RATMAN_SIM_SEEDS", 2); i++)
		churn(number("RATMAN_SIM_SEED", 1) + i, 40, 50, 100);
}

static void churn_small(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < number("RATMAN_SIM_SEEDS", 2) * 8; i++)
		churn(number("RATMAN_SIM_SEED", 1) + 1000 + i, 4 + i % 9, 4, 60);
}

/* One small link at the end of a line of 12: everybody beyond learns it within moments. */
static void line(void **state)
{
	struct sim *sim = sim_new(12, number("RATMAN_SIM_SEED", 1), false);
	uint64_t start;

	(void)state;
	sim_line(sim, 12);
	sim_start(sim, 100);
	settle(sim, 10000, "line");
	assert_int_equal(sim->nodes[0].routes[11].hops[0].mtu, 1500);
	assert_true(sim_run(sim, sim->now + 1000));
	for (unsigned int i = 0; i < 2; i++) {
		uint32_t mtu = i ? 1500 : 1400;
		uint64_t bytes = sim_bytes(sim), before = sim->installs;

		start = sim->now;
		sim_link_mtu(sim, 10, mtu, mtu);
		while (sim->nodes[0].routes[11].hops[0].mtu != mtu) {
			assert_true(sim_run(sim, sim->now + 1));
			assert_true(sim->now < start + 2000);
		}
		printf("MTU %u over 10 hops: known after %llu ms, %llu bytes\n", mtu,
		       (unsigned long long)(sim->now - start),
		       (unsigned long long)(sim_bytes(sim) - bytes));
		settle(sim, 1000, "changed");
		/* Those on one side about the one on the other, and the reverse. */
		assert_int_equal(sim->installs - before, 11 + 11);
	}
	sim_free(sim);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line), cmocka_unit_test(churn_40), cmocka_unit_test(churn_small),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
