/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Discrete-event simulator of many routing cores in one process: links with delay and
 * loss, links that change, routers that restart. Each router has one address of its
 * own. The kernel's route table is modelled: it outlives a restart of the core.
 * After every event each address whose routes changed is searched for loops over
 * ANY installed next hop (which covers the primaries), dead links included. What a
 * liar does with traffic is not searched: among honest routers there is no loop.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "ratmand/route/route.h"

#define SIM_SPACES 4
#define SIM_HOP_HEADER 20		/* bytes of hop header per CONTROL frame */

struct sim;

struct sim_kernel_route {
	bool present;
	uint8_t n;
	struct route_hop hops[ROUTE_HOPS_MAX];
	uint8_t cookie[ROUTE_COOKIE_LEN];
};

struct sim_link {
	unsigned int a, b;
	uint16_t cost_ab, cost_ba;
	uint32_t mtu_a, mtu_b;		/* as each end's interface has it */
	uint32_t delay_ms;
	uint32_t loss_permille;
	bool up;			/* physically */
	bool seen_a, seen_b;		/* up in the eyes of that end's core */
};

struct sim_node {
	struct sim *sim;
	unsigned int index;
	struct route_core *core;	/* NULL while it is down */
	struct address address;
	uint8_t secret[64];
	uint64_t sequence;
	uint32_t lifetime_s;
	uint64_t tick_at;
	bool liar;			/* claims metric 0, damages every 8th record and presence */
	uint8_t member_of;		/* a bit for each namespace */
	uint8_t stray;			/* … it is said to be a member of, and is not: to be taken back */
	uint64_t refused;		/* presences whose signature was wrong */
	uint64_t sent_bytes, sent_frames;
	struct sim_kernel_route *routes;	/* by node index of the destination */
};

struct sim {
	unsigned int n, n_links, cap_links;
	uint64_t now, seed, rng;
	bool real_crypto;
	struct route_config cfg;
	struct sim_node *nodes;
	struct address spaces[SIM_SPACES];
	uint8_t space_secrets[SIM_SPACES][64];
	struct sim_link *links;
	struct sim_event *heap;
	unsigned int heap_n, heap_cap;
	uint64_t serial, events;
	bool *dirty;			/* addresses to be searched for loops */
	unsigned int *dirty_list, n_dirty;
	bool loop;			/* one was found (printed on stderr) */
	uint64_t installs;
};

/* @n routers without links; every random choice follows from @seed. */
struct sim *sim_new(unsigned int n, uint64_t seed, bool real_crypto);
void sim_free(struct sim *sim);
/* Uniform in 0 … below - 1. */
uint32_t sim_random(struct sim *sim, uint32_t below);
/* Returns the index of the link. Call before sim_start(). */
unsigned int sim_link(struct sim *sim, unsigned int a, unsigned int b, uint16_t cost,
		      uint32_t delay_ms, uint32_t loss_permille);
void sim_line(struct sim *sim, unsigned int n);
void sim_ring(struct sim *sim, unsigned int n);
void sim_grid(struct sim *sim, unsigned int width, unsigned int height);
/* A connected random graph: a tree and @extra more links, with random costs. */
void sim_graph(struct sim *sim, unsigned int extra, uint32_t max_loss_permille);
/* Starts all routers within @spread_ms. */
void sim_start(struct sim *sim, uint32_t spread_ms);
/* Runs to the time @until. False as soon as a loop is found. */
bool sim_run(struct sim *sim, uint64_t until);
/* Both ends notice a loss up to @detect_ms later; a return at once. */
void sim_link_set(struct sim *sim, unsigned int link, bool up, uint32_t detect_ms);
void sim_link_cost(struct sim *sim, unsigned int link, uint16_t cost_ab, uint16_t cost_ba);
void sim_link_mtu(struct sim *sim, unsigned int link, uint32_t mtu_a, uint32_t mtu_b);
/*
 * The daemon dies and returns after @down_ms; its kernel goes on forwarding, or, with
 * @forget, loses its routes too, without the neighbours noticing a loss of the link.
 */
void sim_restart(struct sim *sim, unsigned int node, uint32_t down_ms, bool forget);
/* The router's address joins or leaves a namespace. */
void sim_member(struct sim *sim, unsigned int node, unsigned int space, bool up);
/*
 * Every router knows exactly the members that the links connect it with; what it
 * believes of others is not looked at. @skip_liars: among honest routers.
 */
bool sim_members_known(const struct sim *sim, bool skip_liars);
/* Every pair that the links connect reaches each other along primaries. */
bool sim_converged(const struct sim *sim, bool skip_liars);
/* Every installed primary has the MTU of the path that frames take from there. */
bool sim_mtus_known(const struct sim *sim);
/* Runs until converged; returns the time that took, UINT64_MAX after @limit_ms or a loop. */
uint64_t sim_settle(struct sim *sim, uint64_t limit_ms);
uint64_t sim_bytes(const struct sim *sim);

#endif
