/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole flows against each other over loopback, all in one loop: what tests of
 * flow/ share. Each router has a store and a flow of its own; who is where, and who is a
 * member of the test's namespace, the router structs say in place of the mesh.
 */
#ifndef TESTS_UNIT_FLOW_WORLD_H
#define TESTS_UNIT_FLOW_WORLD_H

#include <uv.h>

#include "ratmand/flow/exchange.h"
#include "ratmand/flow/flow.h"
#include "unit/scratch.h"

#define ROUTERS 6
#define CROWD 5

struct router {
	char dir[SCRATCH_LEN];
	struct store *store;
	struct flow *flow;
	struct address address, second;
	uint8_t secret[64], second_secret[64];
	/* More addresses that are up with it, reached by nobody: senders. */
	struct address crowd[CROWD];
	uint8_t crowd_secret[CROWD][64];
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

/* Runs the loop until @cond holds, at most @ms. */
bool run_until(bool (*cond)(void *ctx), void *ctx, uint64_t ms);
/* The condition that never holds: runs the loop for so long. */
bool never(void *ctx);

/* Records in a table of the router's store. */
size_t count(struct router *r, enum store_table table);

/* Conditions; @ctx is a router. */
bool outbox_empty(void *ctx);
bool is_idle(void *ctx);

/* A peer that does as the test likes: a blocking socket, driven between turns of the loop. */
struct hostile {
	int fd;
	struct router *as, *to;
	struct address of;	/* the namespace */
	struct exchange x;
	uint8_t nonce[32];
};

/* Connects to @to as if it were @as, and joins the namespace @of. */
void hostile_start(struct hostile *h, struct router *as, struct router *to,
		   const struct address *of);
void hostile_end(struct hostile *h);
void hostile_send(struct hostile *h, const void *data, size_t len);

/* The next message of @type; others are skipped. False when the other side has closed. */
bool hostile_next(struct hostile *h, enum exchange_type type, struct exchange_message *m);

/* Waits for a REFUSE and returns its reason. */
enum exchange_reason hostile_refusal(struct hostile *h);

/* Proves membership with @secret for the pair of addresses given. */
void hostile_prove(struct hostile *h, const uint8_t *secret, const struct address *member);

/*
 * An ITEM with the manifest @m, signed with @secret; capability and size of the content are
 * filled in where they are 0: there are no such blocks. Returns its length.
 */
size_t hostile_item(uint8_t *out, struct manifest *m, const uint8_t *secret);

#endif
