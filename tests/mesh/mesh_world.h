/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Many routers in one process, each with a mesh over a fake kernel, in virtual time: what
 * tests of the whole mesh share. Include <cmocka.h> before.
 *
 * Random numbers repeat; MESH_SEED=1… is another series, MESH_TEST=pattern one test.
 */
#ifndef TESTS_MESH_WORLD_H
#define TESTS_MESH_WORLD_H

#include <sodium.h>
#include <uv.h>

#include "mesh/kern_fake.h"
#include "ratmand/mesh.h"

#define MAX_ROUTERS 140
#define MAX_SEEN 256

struct seen {
	struct address address;
	uint64_t sequence;
};

struct router {
	struct fake_node *node;
	struct mesh *mesh;		/* NULL: stopped */
	struct config config;
	struct address router, address;
	uint8_t router_sk[64], sk[64];
	struct seen seen[MAX_SEEN];
	size_t n_seen;
	struct address contacts[8];	/* of r->address */
	size_t n_contacts;
	bool no_stamps;
	unsigned int members_changed;
	bool has_space;			/* the key of the_space */
	unsigned int reachable, joined;
};

extern uv_loop_t loop;
extern struct router *routers[MAX_ROUTERS];
extern size_t n_routers;
extern struct address the_space;
extern uint8_t the_space_sk[crypto_sign_SECRETKEYBYTES];
/* What the routers' meshes are given; their context is the router. */
extern const struct mesh_ops world_ops;

/* cmocka's setup and teardown; there are no routers yet. */
int world_setup(void **state);
int world_teardown(void **state);
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

/* What main() is: runs @n tests. */
int world_main(const struct CMUnitTest *tests, size_t n);

/* A router without links; its daemon does not run. */
struct router *add_router(void);
void router_start(struct router *r);
/* The daemon is gone, its kernel stays. */
void router_stop(struct router *r);
void start_all(void);

/* @n routers in a line, started; links[i] joins i and i + 1. */
void line_of(size_t n, struct fake_link **links);

bool reaches(const struct router *a, const struct router *b);

/* Conditions to wait for. */
bool all_reach(void *ctx);
/* @ctx: the number of a packet. */
bool is_delivered(void *ctx);
/* @ctx: a router, whose mesh is on or off. */
bool is_on(void *ctx);
bool is_off(void *ctx);
bool nobody_reaches_first(void *ctx);

/* At most @ms, or the test fails. */
void wait_for(bool (*done)(void *ctx), void *ctx, uint64_t ms);

/* A packet arrives, session and all. */
void deliver(struct router *from, struct router *to);

/* Packets between the ends, every 100 ms, all the time; returns how many were lost. */
unsigned int traffic(struct router *a, struct router *b, uint64_t ms);

/* For mesh_peers() and the like: counts into an unsigned int. */
void count_peer(void *ctx, const struct address *peer);

#endif
