/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole flows against each other over loopback, all in one loop: what tests of
 * flow/ share. Each router has a store and a flow of its own; who is where, and who is a
 * member of the test's namespace, the router structs say in place of the mesh.
 */
#ifndef TESTS_UNIT_FLOW_WORLD_H
#define TESTS_UNIT_FLOW_WORLD_H

#include <uv.h>

#include "ratmand/flow/flow.h"

#define ROUTERS 6

struct router {
	char dir[64];
	struct store *store;
	struct flow *flow;
	struct address address, second;
	uint8_t secret[64], second_secret[64];
	uint16_t port, second_port;	/* where they listen */
	uint16_t seen_port;		/* where others reach the first, a proxy or the same */
	bool up, closed;
	bool announced;			/* as a member, whether it is or not */
	struct flow_listener *listener;	/* stopped with the router */
	uint64_t sent_before, received_before;	/* blocks, by flows already closed */
};

extern struct router routers[ROUTERS];
extern uv_loop_t loop;
/* The namespace that the routers marked as announced are members of. */
extern struct address space;
extern uint8_t space_secret[64];

/* cmocka's setup and teardown; every router gets a directory, none is started. */
int world_setup(void **state);
int world_teardown(void **state);

/* The router of an address, or NULL. */
struct router *router_of(const struct address *a);

/* Opens store and flow; with @up its address is up and every other router hears of it. */
void router_start(struct router *r, bool up);
/* Ends it in good order, or not at all: what was not committed is lost. */
void router_stop(struct router *r);

/* Brings up the second address of a router, too. */
void router_second_up(struct router *r);

/* Tells every flow that the members of the test's namespace have changed. */
void world_members_changed(void);

/* Byte @i of the content that @seed names. */
uint8_t pattern(uint64_t seed, uint64_t i);

uint16_t free_port(void);

/* Runs the loop until @cond holds, at most @ms. */
bool run_until(bool (*cond)(void *ctx), void *ctx, uint64_t ms);
/* The condition that never holds: runs the loop for so long. */
bool never(void *ctx);

/* Records in a table of the router's store. */
size_t count(struct router *r, enum store_table table);

/* Conditions; @ctx is a router. */
bool outbox_empty(void *ctx);
bool is_idle(void *ctx);

#endif
