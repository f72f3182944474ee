// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Convergence and control traffic of the routing core, one JSON line per topology.
 * Simulated time; bytes count the CONTROL payload and the 20-byte hop header.
 *   converge_ms      cold start until every pair reaches each other
 *   cut_ms           a link in the middle goes, noticed at once: until all do again
 *   start_bytes      sent per router in the first 10 s
 *   idle_bytes_s     per router and second in the hour after, refreshes included
 *   entry_bytes      memory per address in the core of router 0
 *   real_us          CPU time of the cold start per router
 */
#include <stdio.h>
#include <time.h>

#include "sim/sim.h"

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int measure(const char *name, struct sim *sim, unsigned int cut)
{
	double cpu = cpu_us();
	uint64_t up, start, idle, cut_ms;
	size_t addresses, bytes, empty_addresses, empty;

	sim_start(sim, 0);
	sim_run(sim, 0);
	route_usage(sim->nodes[0].core, &empty_addresses, &empty);
	up = sim_settle(sim, 60000);
	sim_run(sim, 10000);
	cpu = cpu_us() - cpu;
	start = sim_bytes(sim);
	sim_run(sim, 20000);
	idle = sim_bytes(sim);
	sim_run(sim, 20000 + 3600000);
	idle = sim_bytes(sim) - idle;
	sim_link_set(sim, cut, false, 0);
	cut_ms = sim_settle(sim, 60000);
	route_usage(sim->nodes[0].core, &addresses, &bytes);
	printf("{\"bench\":\"route\",\"topology\":\"%s\",\"routers\":%u,\"converge_ms\":%lld,"
	       "\"cut_ms\":%lld,\"start_bytes\":%.0f,\"idle_bytes_s\":%.2f,\"entry_bytes\":%zu,"
	       "\"real_us\":%.0f}\n",
	       name, sim->n, (long long)up, (long long)cut_ms, (double)start / sim->n,
	       (double)idle / 3600 / sim->n,
	       addresses > empty_addresses ? (bytes - empty) / (addresses - empty_addresses) : 0,
	       cpu / sim->n);
	fflush(stdout);
	sim_free(sim);
	return up == UINT64_MAX || cut_ms == UINT64_MAX;
}

int main(void)
{
	struct sim *sim;
	int bad = 0;

	sim = sim_new(3, 1, true);
	sim_line(sim, 3);
	bad |= measure("line:3", sim, 1);
	sim = sim_new(5, 1, true);
	sim_ring(sim, 5);
	bad |= measure("ring:5", sim, 2);
	sim = sim_new(25, 1, true);
	sim_grid(sim, 5, 5);
	bad |= measure("grid:5x5", sim, 20);
	sim = sim_new(100, 1, true);
	sim_grid(sim, 10, 10);
	bad |= measure("grid:10x10", sim, 90);
	return bad;
}
