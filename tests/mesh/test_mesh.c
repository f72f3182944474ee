// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole mesh side of the daemon (mesh.c, mesh_kern.c, session/, route/, libuv)
 * over fake kernels, many routers in one process, in virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "mesh/kern_fake.h"
#include "ratmand/mesh.h"
#include "ratmand/route/route.h"

#define MAX_ROUTERS 140
#define MAX_SEEN 256
#define CHAOS_ROUNDS 1		/* more by hand, with MESH_SEED */

struct seen {
	struct address address;
	uint64_t sequence;
};

struct router {
	struct fake_node *node;
	struct mesh *mesh;
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

static uv_loop_t loop;
static struct router *routers[MAX_ROUTERS];
static size_t n_routers;
static uint64_t stamp;
static char device[] = "ratman0";

/* The store's part. */

static struct address the_space;
static uint8_t the_space_sk[crypto_sign_SECRETKEYBYTES];

static uint64_t next_stamp(void *ctx, const struct address *address)
{
	const struct router *r = ctx;

	(void)address;
	return r->no_stamps ? 0 : ++stamp;
}

static void seen(void *ctx, const struct address *address, uint64_t sequence)
{
	struct router *r = ctx;

	for (size_t i = 0; i < r->n_seen; i++) {
		if (address_equal(&r->seen[i].address, address)) {
			assert_true(sequence > r->seen[i].sequence);
			r->seen[i].sequence = sequence;
			return;
		}
	}
	assert_true(r->n_seen < MAX_SEEN);
	r->seen[r->n_seen++] = (struct seen){ *address, sequence };
}

static uint64_t last_seen(void *ctx, const struct address *address)
{
	const struct router *r = ctx;

	for (size_t i = 0; i < r->n_seen; i++)
		if (address_equal(&r->seen[i].address, address))
			return r->seen[i].sequence;
	return 0;
}

static void reachable(void *ctx, const struct address *peer)
{
	struct router *r = ctx;

	assert_true(mesh_reachable(r->mesh, peer));
	r->reachable++;
}

static bool is_contact(void *ctx, const struct address *local, const struct address *peer)
{
	const struct router *r = ctx;

	assert_non_null(mesh_local_secret(r->mesh, local));
	for (size_t i = 0; i < r->n_contacts; i++)
		if (address_equal(local, &r->address) && address_equal(&r->contacts[i], peer))
			return true;
	return false;
}

static void joined(void *ctx)
{
	struct router *r = ctx;

	assert_null(mesh_off_reason(r->mesh));
	r->joined++;
}

static void members_changed(void *ctx, const struct address *space)
{
	struct router *r = ctx;

	(void)space;
	r->members_changed++;
}

static int space_secret(void *ctx, const struct address *space, uint8_t *secret)
{
	const struct router *r = ctx;

	if (!r->has_space || !address_equal(space, &the_space))
		return -ENOENT;
	memcpy(secret, the_space_sk, sizeof(the_space_sk));
	return 0;
}

static const struct mesh_ops ops = {
	.next_stamp = next_stamp,
	.seen = seen,
	.last_seen = last_seen,
	.reachable = reachable,
	.is_contact = is_contact,
	.members_changed = members_changed,
	.space_secret = space_secret,
	.joined = joined,
};

/* Routers. */

static struct router *add_router(void)
{
	struct router *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	assert_true(n_routers < MAX_ROUTERS);
	crypto_sign_keypair(r->router.b, r->router_sk);
	crypto_sign_keypair(r->address.b, r->sk);
	r->config.device = device;
	r->node = fake_node_new();
	routers[n_routers++] = r;
	return r;
}

static void start(struct router *r)
{
	fake_enter(r->node);
	r->mesh = mesh_new(&loop, &r->config, r->router_sk, &ops, r);
	assert_non_null(r->mesh);
	assert_int_equal(mesh_local_up(r->mesh, &r->address, r->sk), 0);
	mesh_start(r->mesh);
}

/* The daemon is gone, its kernel stays. */
static void stop(struct router *r)
{
	mesh_free(r->mesh);
	r->mesh = NULL;
	fake_run(0);
}

static void start_all(void)
{
	for (size_t i = 0; i < n_routers; i++)
		start(routers[i]);
}

static int setup(void **state)
{
	(void)state;
	stamp = 1000;
	n_routers = 0;
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_begin(&loop, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_routers; i++)
		if (routers[i]->mesh)
			stop(routers[i]);
	assert_int_equal(fake_counts.hop_limit, 0);
	assert_int_equal(fake_counts.bad_inner, 0);
	for (size_t i = 0; i < n_routers; i++)
		free(routers[i]);
	n_routers = 0;
	fake_end();
	assert_int_equal(uv_loop_close(&loop), 0);
	return 0;
}

/* Conditions to wait for. */

static bool reaches(const struct router *a, const struct router *b)
{
	return mesh_reachable(a->mesh, &b->address) && fake_walk(a->node, &b->address) > 0;
}

static bool all_reach(void *ctx)
{
	(void)ctx;
	for (size_t i = 0; i < n_routers; i++)
		for (size_t j = 0; j < n_routers; j++)
			if (i != j && routers[i]->mesh && routers[j]->mesh &&
			    !reaches(routers[i], routers[j]))
				return false;
	return true;
}

static bool is_delivered(void *ctx)
{
	return fake_delivered(*(uint32_t *)ctx);
}

static bool is_on(void *ctx)
{
	const struct router *r = ctx;

	return !mesh_off_reason(r->mesh);
}

static bool is_off(void *ctx)
{
	return !is_on(ctx);
}

static bool nobody_reaches_first(void *ctx)
{
	(void)ctx;
	for (size_t i = 1; i < n_routers; i++)
		if (mesh_reachable(routers[i]->mesh, &routers[0]->address) ||
		    fake_has_route(routers[i]->node, &routers[0]->address))
			return false;
	return true;
}

static void wait_for(bool (*done)(void *ctx), void *ctx, uint64_t ms)
{
	assert_true(fake_until(done, ctx, ms));
}

/* A packet arrives, session and all. */
static void deliver(struct router *from, struct router *to)
{
	uint32_t packet = fake_packet(from->node, &from->address, &to->address);

	assert_int_not_equal(packet, 0);
	wait_for(is_delivered, &packet, 15000);
}

/* @n routers in a line, started; links[i] joins i and i + 1. */
static void line(size_t n, struct fake_link **links)
{
	for (size_t i = 0; i < n; i++)
		add_router();
	for (size_t i = 0; i + 1 < n; i++)
		links[i] = fake_link_new(routers[i]->node, routers[i + 1]->node);
	start_all();
}

/* Tests. */

static void two_routers(void **state)
{
	struct fake_link *links[1];

	(void)state;
	line(2, links);
	assert_null(mesh_off_reason(routers[0]->mesh));
	assert_int_equal(routers[0]->joined, 1);
	wait_for(all_reach, NULL, 5000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(mesh_neighbours(routers[i]->mesh), 1);
		assert_int_equal(fake_n_neighs(routers[i]->node), 1);
		assert_int_equal(fake_n_routes(routers[i]->node), 1);
		assert_int_equal(fake_n_addrs(routers[i]->node), 1);
		assert_int_equal(fake_n_ips(routers[i]->node), 1);
		assert_int_equal(routers[i]->reachable, 1);
	}
	/* An own address is no peer. */
	assert_false(mesh_reachable(routers[0]->mesh, &routers[0]->address));
	deliver(routers[0], routers[1]);
	deliver(routers[1], routers[0]);
	/* One handshake each, and quiet afterwards. */
	assert_int_equal(fake_counts.link_frames, 2);
	fake_run(600000);
	assert_int_equal(fake_counts.link_frames, 2);
	assert_true(all_reach(NULL));
}

static void count_peer(void *ctx, const struct address *peer)
{
	(void)peer;
	++*(unsigned int *)ctx;
}

static void line_of_three(void **state)
{
	struct fake_link *links[2];
	unsigned int peers = 0;

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	assert_int_equal(fake_walk(routers[0]->node, &routers[2]->address), 2);
	assert_int_equal(fake_session_index(routers[0]->node, &routers[0]->address,
					    &routers[2]->address), 0);
	deliver(routers[0], routers[2]);
	deliver(routers[2], routers[0]);
	/* Sessions on demand only, at the ends only. */
	assert_int_equal(fake_n_sessions(routers[0]->node), 1);
	assert_int_equal(fake_n_sessions(routers[1]->node), 0);
	assert_int_equal(fake_n_sessions(routers[2]->node), 1);
	mesh_peers(routers[0]->mesh, count_peer, &peers);
	assert_int_equal(peers, 2);
}

/* MTUs of links, at start and as they change, get to all kernels; events may be lost. */
static void path_mtus(void **state)
{
	struct fake_link *links[3];
	const struct address *far;
	struct router *a;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		add_router();
	for (size_t i = 0; i < 3; i++)
		links[i] = fake_link_new(routers[i]->node, routers[i + 1]->node);
	a = routers[0];
	far = &routers[3]->address;
	fake_mtu(routers[1]->node, links[1], 1400);
	fake_mtu(routers[2]->node, links[1], 1400);
	start_all();
	wait_for(all_reach, NULL, 10000);
	fake_run(100);
	assert_int_equal(fake_route_mtu(a->node, far), 1400);
	assert_int_equal(fake_route_mtu(routers[3]->node, &a->address), 1400);
	assert_int_equal(fake_route_mtu(a->node, &routers[1]->address), 1500);
	/* It shrinks, at one end only, while everything runs. */
	fake_mtu(routers[2]->node, links[1], 1380);
	fake_run(500);
	assert_int_equal(fake_route_mtu(a->node, far), 1380);
	assert_int_equal(fake_route_mtu(routers[3]->node, &a->address), 1380);
	/* The event is lost: found out all the same. */
	fake_overflow(routers[1]->node, false);
	fake_mtu(routers[1]->node, links[0], 1370);
	fake_overflow(routers[1]->node, true);
	fake_run(500);
	assert_int_equal(fake_route_mtu(a->node, far), 1370);
	/* A daemon that starts anew goes on with what the kernel has. */
	stop(a);
	fake_run(1000);
	assert_int_equal(fake_route_mtu(a->node, far), 1370);
	start(a);
	fake_run(5000);
	assert_int_equal(fake_route_mtu(a->node, far), 1370);
	deliver(a, routers[3]);
	/* Too small for IPv6: no route, until it is larger again. */
	fake_mtu(routers[1]->node, links[0], 1359);
	fake_run(1000);
	assert_false(fake_has_route(a->node, far));
	assert_false(fake_has_route(routers[3]->node, &a->address));
	assert_true(fake_has_route(routers[3]->node, &routers[1]->address));
	fake_mtu(routers[1]->node, links[0], 1500);
	wait_for(all_reach, NULL, 30000);
	assert_int_equal(fake_route_mtu(a->node, far), 1380);
}

static void both_begin(void **state)
{
	struct fake_link *links[2];
	uint32_t a, b;

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	a = fake_packet(routers[0]->node, &routers[0]->address, &routers[2]->address);
	b = fake_packet(routers[2]->node, &routers[2]->address, &routers[0]->address);
	wait_for(is_delivered, &a, 10000);
	wait_for(is_delivered, &b, 10000);
}

static void ring_of_five(void **state)
{
	struct fake_link *links[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		add_router();
	for (int i = 0; i < 5; i++)
		links[i] = fake_link_new(routers[i]->node, routers[(i + 1) % 5]->node);
	start_all();
	wait_for(all_reach, NULL, 10000);
	assert_int_equal(fake_walk(routers[0]->node, &routers[1]->address), 1);
	deliver(routers[0], routers[1]);
	fake_link_down(links[0]);
	fake_run(2000);
	wait_for(all_reach, NULL, 20000);
	assert_int_equal(fake_walk(routers[0]->node, &routers[1]->address), 4);
	deliver(routers[0], routers[1]);
	fake_link_up(links[0]);
	fake_run(60000);
	assert_true(all_reach(NULL));
	assert_int_equal(fake_walk(routers[0]->node, &routers[1]->address), 1);
	/* Silent loss is noticed as well. */
	fake_loss(links[0], 100);
	fake_run(20000);
	assert_true(all_reach(NULL));
	assert_int_equal(fake_walk(routers[0]->node, &routers[1]->address), 4);
	deliver(routers[1], routers[0]);
}

/* Packets between the ends, every 100 ms, all the time; returns how many were lost. */
static unsigned int traffic(struct router *a, struct router *b, uint64_t ms)
{
	uint32_t sent[1024];
	unsigned int n = 0, lost = 0;

	for (uint64_t t = 0; t < ms; t += 100) {
		sent[n++] = fake_packet(a->node, &a->address, &b->address);
		sent[n++] = fake_packet(b->node, &b->address, &a->address);
		fake_run(100);
	}
	fake_run(2000);
	while (n)
		lost += !fake_delivered(sent[--n]);
	return lost;
}

static void restart_takes_over(void **state)
{
	struct fake_link *links[2];
	uint8_t before[8], after[8];
	unsigned int frames;
	uint32_t index;

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	deliver(routers[0], routers[2]);
	deliver(routers[2], routers[0]);
	fake_run(20000);
	frames = fake_counts.link_frames;
	fake_boot_id(routers[1]->node, before);
	index = fake_session_index(routers[0]->node, &routers[0]->address, &routers[2]->address);

	for (size_t i = 0; i < 3; i++) {
		stop(routers[i]);
		assert_false(fake_attached(routers[i]->node));
		/* The kernel alone. */
		assert_int_equal(traffic(routers[0], routers[2], 5000), 0);
		routers[i]->reachable = 0;
		start(routers[i]);
		assert_int_equal(mesh_neighbours(routers[i]->mesh), i == 1 ? 2 : 1);
		assert_true(all_reach(NULL));
		/* What was taken over is told, too: the outbox waits for it. */
		assert_int_equal(routers[i]->reachable, 2);
		assert_int_equal(traffic(routers[0], routers[2], 20000), 0);
		assert_true(all_reach(NULL));
	}
	fake_boot_id(routers[1]->node, after);
	assert_memory_equal(before, after, 8);
	assert_int_equal(fake_counts.link_frames, frames);
	assert_int_equal(fake_session_index(routers[0]->node, &routers[0]->address,
					    &routers[2]->address), index);
	for (int i = 0; i < 3; i++)
		assert_int_equal(routers[i]->joined, 2);
}

static void restart_while_neighbour_is_away(void **state)
{
	struct fake_link *links[2];

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	stop(routers[1]);
	fake_link_down(links[1]);
	fake_run(1000);
	start(routers[1]);
	fake_run(20000);
	assert_false(mesh_reachable(routers[1]->mesh, &routers[2]->address));
	assert_false(mesh_reachable(routers[0]->mesh, &routers[2]->address));
	assert_false(fake_has_route(routers[1]->node, &routers[2]->address));
	assert_true(reaches(routers[0], routers[1]));
	fake_link_up(links[1]);
	wait_for(all_reach, NULL, 30000);
	deliver(routers[0], routers[2]);

	/* And one whose daemon is away for longer than its routes are kept. */
	stop(routers[1]);
	fake_run(900000);
	start(routers[1]);
	wait_for(all_reach, NULL, 90000);
	deliver(routers[2], routers[0]);
}

static void all_restart_at_once(void **state)
{
	struct fake_link *links[2];

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	deliver(routers[0], routers[2]);
	for (int i = 0; i < 3; i++)
		stop(routers[i]);
	fake_run(3000);
	start_all();
	assert_int_equal(traffic(routers[0], routers[2], 20000), 0);
	assert_true(all_reach(NULL));
}

static void device_comes_and_goes(void **state)
{
	struct fake_link *links[2];
	uint8_t before[8], after[8];

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	fake_boot_id(routers[1]->node, before);
	fake_device_gone(routers[1]->node);
	wait_for(is_off, routers[1], 5000);
	assert_non_null(strstr(mesh_off_reason(routers[1]->mesh), "ip link add"));
	assert_false(mesh_reachable(routers[1]->mesh, &routers[0]->address));
	assert_int_equal(mesh_neighbours(routers[1]->mesh), 0);
	fake_run(10000);
	fake_device_new(routers[1]->node);
	wait_for(is_on, routers[1], 5000);
	fake_boot_id(routers[1]->node, after);
	assert_memory_not_equal(before, after, 8);
	wait_for(all_reach, NULL, 40000);
	deliver(routers[0], routers[2]);
	assert_int_equal(routers[1]->joined, 2);
	assert_int_equal(fake_n_addrs(routers[1]->node), 1);

	/* Replaced between two looks at it. */
	fake_device_gone(routers[1]->node);
	fake_device_new(routers[1]->node);
	fake_run(100);
	wait_for(is_off, routers[1], 5000);
	wait_for(is_on, routers[1], 5000);
	wait_for(all_reach, NULL, 40000);
	deliver(routers[0], routers[2]);
}

static void claim_lost(void **state)
{
	struct fake_link *links[1];
	unsigned int frames;

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	frames = fake_counts.link_frames;
	fake_daemon_death(routers[0]->node);
	wait_for(is_off, routers[0], 5000);
	wait_for(is_on, routers[0], 5000);
	fake_run(20000);
	assert_true(all_reach(NULL));
	assert_int_equal(fake_counts.link_frames, frames);
}

static void module_absent(void **state)
{
	struct fake_link *link;
	struct router *a, *b;

	(void)state;
	a = add_router();
	b = add_router();
	link = fake_link_new(a->node, b->node);
	(void)link;
	fake_module(a->node, false);
	start_all();
	assert_non_null(strstr(mesh_off_reason(a->mesh), "modprobe ratman"));
	assert_int_equal(mesh_neighbours(a->mesh), 0);
	fake_run(10000);
	assert_int_equal(a->joined, 0);
	fake_module(a->node, true);
	fake_run(4000);
	assert_non_null(strstr(mesh_off_reason(a->mesh), "ip link add"));
	/* Addresses come and go meanwhile. */
	mesh_local_down(a->mesh, &a->address);
	assert_int_equal(mesh_local_up(a->mesh, &a->address, a->sk), 0);
	fake_device_new(a->node);
	wait_for(all_reach, NULL, 20000);
	deliver(a, b);
}

static void configured_links(void **state)
{
	struct fake_link *link;
	struct router *a, *b;
	char *names[2], missing[] = "eth77";

	(void)state;
	a = add_router();
	b = add_router();
	link = fake_link_new(a->node, b->node);
	fake_device_gone(a->node);
	names[0] = (char *)fake_link_name(a->node, link);
	names[1] = missing;
	a->config.links = names;
	a->config.n_links = 2;
	start_all();
	assert_null(mesh_off_reason(a->mesh));
	wait_for(all_reach, NULL, 10000);
	/* Taken out by hand: it is in the configuration. */
	fake_remove_link(a->node, link);
	fake_run(3000);
	wait_for(all_reach, NULL, 40000);
}

static void busy(void **state)
{
	struct router *a = add_router();
	struct mesh *other;

	(void)state;
	start(a);
	assert_null(mesh_off_reason(a->mesh));
	fake_enter(a->node);
	other = mesh_new(&loop, &a->config, a->router_sk, &ops, a);
	assert_non_null(other);
	mesh_start(other);
	assert_non_null(strstr(mesh_off_reason(other), "Another daemon"));
	fake_run(10000);
	assert_non_null(mesh_off_reason(other));
	assert_null(mesh_off_reason(a->mesh));
	mesh_free(other);
	fake_run(0);
}

static void closed_membership(void **state)
{
	struct router *a, *b, *c;
	struct address members[2];

	(void)state;
	a = add_router();
	b = add_router();
	c = add_router();
	fake_link_join(fake_link_new(a->node, b->node), c->node);
	members[0] = a->router;
	members[1] = b->router;
	a->config.closed = b->config.closed = true;
	a->config.members = b->config.members = members;
	a->config.n_members = b->config.n_members = 2;
	start_all();
	fake_run(60000);
	assert_true(reaches(a, b));
	assert_true(reaches(b, a));
	assert_int_equal(fake_n_neighs(a->node), 1);
	assert_int_equal(fake_n_neighs(b->node), 1);
	assert_int_equal(mesh_neighbours(c->mesh), 0);
	assert_false(mesh_reachable(c->mesh, &a->address));
	assert_false(mesh_reachable(a->mesh, &c->address));

	/* One that is a member no longer is no neighbour after a restart either. */
	stop(a);
	members[1] = c->router;
	start(a);
	assert_int_equal(fake_n_neighs(a->node), 0);
	fake_run(120000);
	assert_false(mesh_reachable(a->mesh, &b->address));
	assert_int_equal(mesh_neighbours(a->mesh), 1);
}

static void group_secret(void **state)
{
	struct router *a, *b, *c;

	(void)state;
	a = add_router();
	b = add_router();
	c = add_router();
	fake_link_join(fake_link_new(a->node, b->node), c->node);
	for (int i = 0; i < 3; i++) {
		routers[i]->config.closed = true;
		routers[i]->config.has_group_secret = true;
		memset(routers[i]->config.group_secret, i == 2 ? 2 : 1, 32);
	}
	start_all();
	fake_run(60000);
	assert_true(reaches(a, b));
	deliver(a, b);
	assert_int_equal(fake_n_neighs(a->node), 1);
	assert_int_equal(fake_n_neighs(c->node), 0);
}

static void router_key_changes(void **state)
{
	struct fake_link *links[1];
	struct router *a;

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	a = routers[0];
	stop(a);
	crypto_sign_keypair(a->router.b, a->router_sk);
	start(a);
	/* Keys that belong to somebody else are not taken over. */
	assert_int_equal(fake_n_neighs(a->node), 0);
	wait_for(all_reach, NULL, 60000);
	deliver(routers[0], routers[1]);
	fake_run(120000);
	assert_int_equal(fake_n_neighs(routers[1]->node), 1);
	assert_true(all_reach(NULL));
}

static void address_down(void **state)
{
	struct fake_link *links[3];
	struct router *a;

	(void)state;
	line(4, links);
	wait_for(all_reach, NULL, 10000);
	a = routers[0];
	deliver(routers[3], a);
	assert_non_null(mesh_local_secret(a->mesh, &a->address));
	mesh_local_down(a->mesh, &a->address);
	assert_null(mesh_local_secret(a->mesh, &a->address));
	assert_int_equal(fake_n_addrs(a->node), 0);
	assert_int_equal(fake_n_ips(a->node), 0);
	assert_int_equal(fake_n_sessions(a->node), 0);
	wait_for(nobody_reaches_first, NULL, 1000);
	fake_run(30000);
	assert_true(nobody_reaches_first(NULL));
	assert_int_equal(mesh_local_up(a->mesh, &a->address, a->sk), 0);
	assert_int_equal(mesh_local_up(a->mesh, &a->address, a->sk), 0);
	wait_for(all_reach, NULL, 2000);
	/* The other end still uses the old key: it must notice that we have none. */
	deliver(a, routers[3]);

	/* Without a stamp there is no withdrawal, but a retraction. */
	a->no_stamps = true;
	mesh_local_down(a->mesh, &a->address);
	wait_for(nobody_reaches_first, NULL, 5000);
	assert_int_equal(mesh_local_up(a->mesh, &a->address, a->sk), 0);
	fake_run(5000);
	assert_true(nobody_reaches_first(NULL));
	a->no_stamps = false;
	wait_for(all_reach, NULL, 5000);
}

static void address_moves(void **state)
{
	struct fake_link *links[2];
	struct router *a, *c;

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	a = routers[0];
	c = routers[2];
	deliver(a, c);
	/* Both have it (a namespace), then only the other one. */
	assert_int_equal(mesh_local_up(c->mesh, &a->address, a->sk), 0);
	/* The routing core answers for another's record once in 30 s. */
	fake_run(40000);
	assert_true(fake_has_addr(c->node, &a->address));
	assert_true(reaches(routers[1], a));
	mesh_local_down(a->mesh, &a->address);
	fake_run(30000);
	assert_int_equal(fake_walk(a->node, &a->address), 2);
	assert_int_equal(fake_walk(routers[1]->node, &a->address), 1);
}

static void bad_addresses(void **state)
{
	struct router *a = add_router();
	struct address address;
	uint8_t sk[64];

	(void)state;
	start(a);
	crypto_sign_keypair(address.b, sk);
	assert_int_equal(mesh_local_up(a->mesh, &address, a->sk), -EINVAL);
	mesh_local_down(a->mesh, &address);
	for (int i = 0; i < 255; i++) {
		crypto_sign_keypair(address.b, sk);
		/* The fake kernel takes 64 of them; the rest waits. */
		assert_int_equal(mesh_local_up(a->mesh, &address, sk), 0);
	}
	crypto_sign_keypair(address.b, sk);
	assert_int_equal(mesh_local_up(a->mesh, &address, sk), -ENOSPC);
	fake_run(10000);
	assert_int_equal(fake_n_addrs(a->node), 64);
	mesh_local_down(a->mesh, &a->address);
	assert_null(mesh_local_secret(a->mesh, &a->address));
	fake_run(3000);
	assert_int_equal(fake_n_addrs(a->node), 64);
}

static void events_lost(void **state)
{
	struct fake_link *links[2];

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	/* The removal of a link goes unnoticed. */
	fake_overflow(routers[1]->node, false);
	fake_remove_link(routers[1]->node, links[1]);
	fake_overflow(routers[1]->node, true);
	fake_run(100);
	assert_true(fake_counts.events_lost > 0);
	assert_int_equal(mesh_neighbours(routers[1]->mesh), 1);
	assert_false(mesh_reachable(routers[1]->mesh, &routers[2]->address));
	fake_run(1000);
	assert_false(mesh_reachable(routers[0]->mesh, &routers[2]->address));
	fake_restore_link(routers[1]->node, links[1]);
	wait_for(all_reach, NULL, 120000);
	deliver(routers[0], routers[2]);

	/* Silent loss of events, without ENOBUFS: noticed a little later. */
	fake_overflow(routers[1]->node, false);
	fake_link_down(links[0]);
	fake_run(12000);
	assert_int_equal(mesh_neighbours(routers[1]->mesh), 1);
	fake_link_up(links[0]);
	fake_overflow(routers[1]->node, true);
	wait_for(all_reach, NULL, 120000);
}

/* Each call refused for a while, with each errno; nothing breaks and all comes up later. */
static void kernel_refuses(void **state)
{
	static const int errors[] = { -ENOSPC, -EPERM, -ENOMEM, -EEXIST };

	for (int call = 0; call < FAKE_CALLS; call++) {
		for (size_t e = 0; e < sizeof(errors) / sizeof(errors[0]); e++) {
			struct fake_link *links[2];

			for (int i = 0; i < 3; i++)
				add_router();
			for (int i = 0; i < 2; i++)
				links[i] = fake_link_new(routers[i]->node, routers[i + 1]->node);
			fake_refuse(routers[1]->node, (enum fake_call)call, errors[e], 1000000);
			start_all();
			fake_run(15000);
			fake_packet(routers[0]->node, &routers[0]->address, &routers[1]->address);
			fake_packet(routers[1]->node, &routers[1]->address, &routers[0]->address);
			fake_run(15000);
			fake_refuse(routers[1]->node, (enum fake_call)call, 0, 0);
			/* A refused route is set again with all others. */
			wait_for(all_reach, NULL, call == FAKE_ROUTE_SET ? 220000 : 120000);
			deliver(routers[0], routers[2]);
			deliver(routers[1], routers[0]);

			/* And while it runs. */
			fake_refuse(routers[1]->node, (enum fake_call)call, errors[e], 3);
			fake_link_down(links[0]);
			fake_run(3000);
			fake_link_up(links[0]);
			mesh_local_down(routers[1]->mesh, &routers[1]->address);
			fake_run(500);
			mesh_local_up(routers[1]->mesh, &routers[1]->address, routers[1]->sk);
			stop(routers[1]);
			fake_refuse(routers[1]->node, (enum fake_call)call, errors[e], 3);
			start(routers[1]);
			fake_run(30000);
			wait_for(all_reach, NULL, 220000);
			assert_int_equal(teardown(state), 0);
			assert_int_equal(setup(state), 0);
		}
	}
}

static void lossy(void **state)
{
	struct fake_link *links[3];

	for (uint64_t seed = 1; seed <= 5; seed++) {
		line(4, links);
		for (int i = 0; i < 3; i++) {
			fake_loss(links[i], 20);
			fake_delay(links[i], 5);
		}
		wait_for(all_reach, NULL, 60000);
		for (int i = 0; i < 20; i++) {
			uint32_t packet = fake_packet(routers[0]->node, &routers[0]->address,
						      &routers[3]->address);

			/* Packets may be lost; the session comes. */
			if (fake_until(is_delivered, &packet, 10000))
				break;
			assert_true(i < 19);
		}
		fake_run(60000);
		assert_true(mesh_reachable(routers[0]->mesh, &routers[3]->address));
		assert_int_equal(teardown(state), 0);
		uv_loop_init(&loop);
		fake_begin(&loop, seed + 1);
	}
}

static void orphans(void **state)
{
	struct fake_link *links[1];
	struct address old[70];

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	stop(routers[0]);
	for (int i = 0; i < 40; i++) {
		randombytes_buf(&old[i], sizeof(old[i]));
		fake_put_addr(routers[0]->node, &old[i]);
	}
	start(routers[0]);
	assert_int_equal(fake_n_addrs(routers[0]->node), 1);
	assert_int_equal(fake_n_ips(routers[0]->node), 1);
	assert_true(fake_has_addr(routers[0]->node, &routers[0]->address));
}

/* Freed at every moment of coming up. */
static void free_in_every_state(void **state)
{
	struct router *a = add_router(), *b = add_router();
	struct mesh *mesh;

	(void)state;
	fake_link_new(a->node, b->node);
	mesh_free(NULL);
	fake_enter(a->node);
	mesh = mesh_new(&loop, &a->config, a->router_sk, &ops, a);
	assert_non_null(mesh_off_reason(mesh));
	mesh_free(mesh);
	fake_run(0);
	for (uint64_t ms = 0; ms < 3000; ms += ms < 40 ? 1 : 100) {
		start_all();
		fake_run(ms);
		stop(a);
		stop(b);
		fake_device_gone(a->node);
		fake_device_new(a->node);
	}
	/* While the old poll handle closes, and while it waits. */
	start_all();
	fake_run(3000);
	fake_device_gone(a->node);
	wait_for(is_off, a, 5000);
	stop(a);
	start(a);
	fake_device_new(a->node);
	stop(a);
	start(a);
	wait_for(all_reach, NULL, 60000);
}

static void sessions_are_renewed(void **state)
{
	struct fake_link *links[2];
	unsigned int lost = 0;
	uint32_t first, second;

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	deliver(routers[0], routers[2]);
	deliver(routers[2], routers[0]);
	first = fake_session_index(routers[0]->node, &routers[0]->address, &routers[2]->address);
	for (int i = 0; i < 6; i++)
		lost += traffic(routers[0], routers[2], 48000);
	assert_int_equal(lost, 0);
	second = fake_session_index(routers[0]->node, &routers[0]->address, &routers[2]->address);
	assert_int_not_equal(first, second);
	/* Restarted in the middle of a key's life. */
	stop(routers[0]);
	start(routers[0]);
	for (int i = 0; i < 5; i++)
		lost += traffic(routers[0], routers[2], 48000);
	assert_int_equal(lost, 0);
	assert_int_not_equal(second, fake_session_index(routers[0]->node, &routers[0]->address,
							&routers[2]->address));
	/* Unused ones go by themselves. */
	fake_run(600000);
	assert_int_equal(fake_n_sessions(routers[0]->node), 0);
	deliver(routers[2], routers[0]);
}

static bool lets_in(const struct router *r, const struct router *peer)
{
	return fake_session_contact(r->node, &r->address, &peer->address);
}

static void change_contact(struct router *r, const struct router *peer, bool add)
{
	r->n_contacts = 0;
	if (add)
		r->contacts[r->n_contacts++] = peer->address;
	fake_enter(r->node);
	mesh_contact_changed(r->mesh, &r->address, &peer->address);
}

/* Stored contacts count for the inbound policy, at once and on one side only. */
static void contacts_are_let_in(void **state)
{
	struct router *a, *b, *c;
	struct fake_link *links[2];
	struct address nobody;
	uint32_t index;

	(void)state;
	line(3, links);
	a = routers[0];
	b = routers[1];
	c = routers[2];
	wait_for(all_reach, NULL, 10000);
	/* Before there is a session. */
	change_contact(a, c, true);
	deliver(c, a);
	deliver(a, c);
	deliver(b, a);
	assert_true(lets_in(a, c));
	assert_false(lets_in(c, a));
	assert_false(lets_in(a, b));
	/* While it runs: with the keys that it has. */
	index = fake_session_index(a->node, &a->address, &c->address);
	change_contact(a, c, false);
	fake_run(1000);
	assert_false(lets_in(a, c));
	change_contact(a, c, true);
	fake_run(1000);
	assert_true(lets_in(a, c));
	assert_int_equal(fake_session_index(a->node, &a->address, &c->address), index);
	assert_int_equal(traffic(a, c, 1000), 0);
	/* New keys keep it. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(traffic(a, c, 48000), 0);
	assert_int_not_equal(fake_session_index(a->node, &a->address, &c->address), index);
	assert_true(lets_in(a, c));
	/* More changes than are remembered one by one. */
	deliver(b, a);
	change_contact(a, c, false);
	crypto_sign_keypair(nobody.b, (uint8_t[64]){ 0 });
	for (int i = 0; i < 200; i++)
		mesh_contact_changed(a->mesh, &a->address, &nobody);
	change_contact(a, b, true);
	fake_run(2000);
	assert_false(lets_in(a, c));
	assert_true(lets_in(a, b));
	/* No session is made for it. */
	assert_int_equal(fake_n_sessions(b->node), 1);
	change_contact(b, c, true);
	fake_run(2000);
	assert_int_equal(fake_n_sessions(b->node), 1);
}

/* What changed while the daemon was away, or the kernel did not take. */
static void contacts_catch_up(void **state)
{
	struct fake_link *links[1];
	struct router *a, *b;

	(void)state;
	line(2, links);
	a = routers[0];
	b = routers[1];
	wait_for(all_reach, NULL, 5000);
	deliver(a, b);
	deliver(b, a);
	assert_false(lets_in(a, b));
	stop(a);
	a->contacts[a->n_contacts++] = b->address;
	start(a);
	fake_run(1000);
	assert_true(lets_in(a, b));
	stop(a);
	a->n_contacts = 0;
	start(a);
	fake_run(1000);
	assert_false(lets_in(a, b));
	/* A configured one stays one. */
	stop(a);
	a->config.contacts = &b->address;
	a->config.n_contacts = 1;
	start(a);
	fake_run(1000);
	assert_true(lets_in(a, b));
	change_contact(a, b, false);
	fake_run(1000);
	assert_true(lets_in(a, b));
	stop(a);
	a->config.n_contacts = 0;
	start(a);
	fake_run(1000);
	assert_false(lets_in(a, b));
	/* Refused: with the next keys at the latest. */
	fake_refuse(a->node, FAKE_SESSION_SET, -ENOBUFS, 1);
	change_contact(a, b, true);
	fake_run(1000);
	assert_false(lets_in(a, b));
	for (int i = 0; i < 5; i++)
		assert_int_equal(traffic(a, b, 48000), 0);
	assert_true(lets_in(a, b));
	/* Without a mesh nothing is asked of it. */
	fake_module(a->node, false);
	wait_for(is_off, a, 5000);
	change_contact(a, b, false);
	fake_run(1000);
}

struct link_list {
	struct link_entry e[8];
	size_t n;
};

static void keep_link(void *ctx, const struct link_entry *e)
{
	struct link_list *l = ctx;

	assert_true(l->n < 8);
	assert_string_equal(e->line.driver, "eth");
	l->e[l->n++] = *e;
}

static struct link_list links_of(struct router *r)
{
	struct link_list l = { .n = 0 };

	fake_enter(r->node);
	assert_int_equal(mesh_links(r->mesh, keep_link, &l), 0);
	return l;
}

/* Links made, stopped and taken away by hand; the configuration does not bring them back. */
static void links_by_hand(void **state)
{
	struct router *a = add_router(), *b = add_router();
	struct fake_link *link = fake_link_new(a->node, b->node);
	char name[16], *names[1] = { name };
	struct link_list l;
	char why[64];

	(void)state;
	snprintf(name, sizeof(name), "%s", fake_link_name(a->node, link));
	a->config.links = names;
	a->config.n_links = 1;
	start_all();
	wait_for(all_reach, NULL, 5000);
	l = links_of(a);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.e[0].line.address, name);
	assert_true(l.e[0].up);
	assert_true(address_equal(&l.e[0].neighbour, &b->router));
	/* Down: no frames, still a link, and not taken back by the housekeeping. */
	fake_enter(a->node);
	assert_int_equal(mesh_link_down(a->mesh, name, why, sizeof(why)), 0);
	fake_run(10000);
	assert_int_equal(mesh_neighbours(a->mesh), 0);
	assert_false(mesh_reachable(b->mesh, &a->address));
	l = links_of(a);
	assert_int_equal(l.n, 1);
	assert_false(l.e[0].up);
	assert_true(address_is_zero(&l.e[0].neighbour));
	assert_int_equal(mesh_link_down(a->mesh, name, why, sizeof(why)), 0);
	assert_int_equal(mesh_link_up(a->mesh, name, why, sizeof(why)), 0);
	assert_int_equal(mesh_link_up(a->mesh, name, why, sizeof(why)), 0);
	wait_for(all_reach, NULL, 60000);
	/* Destroyed: no link any more, so neither up nor down mean anything. */
	fake_enter(a->node);
	assert_int_equal(mesh_link_destroy(a->mesh, name, why, sizeof(why)), 0);
	fake_run(10000);
	assert_int_equal(links_of(a).n, 0);
	assert_int_equal(mesh_link_up(a->mesh, name, why, sizeof(why)), -ENODEV);
	assert_string_equal(why, "the name of a link; create it first");
	assert_int_equal(mesh_link_down(a->mesh, name, why, sizeof(why)), -ENODEV);
	assert_int_equal(mesh_link_create(a->mesh, name, why, sizeof(why)), 0);
	wait_for(all_reach, NULL, 60000);
	/* An interface that is none, and a kernel that says no. */
	fake_enter(a->node);
	assert_int_equal(mesh_link_create(a->mesh, "no-such", why, sizeof(why)), -ENODEV);
	assert_int_equal(mesh_link_destroy(a->mesh, "no-such", why, sizeof(why)), -ENODEV);
	fake_refuse(a->node, FAKE_OTHER, -EBUSY, 1);
	assert_int_equal(mesh_link_down(a->mesh, name, why, sizeof(why)), -EBUSY);
	assert_string_equal(why, "refused by the test");
	fake_run(5000);
	assert_true(all_reach(NULL));
	/* A start of the daemon begins with the configuration again. */
	fake_enter(a->node);
	assert_int_equal(mesh_link_destroy(a->mesh, name, why, sizeof(why)), 0);
	stop(a);
	start(a);
	wait_for(all_reach, NULL, 60000);
	/* The mesh is off: the reason is the answer. */
	fake_module(a->node, false);
	wait_for(is_off, a, 5000);
	assert_int_equal(links_of(a).n, 0);
	assert_int_equal(mesh_link_create(a->mesh, name, why, sizeof(why)), -ENETDOWN);
	assert_non_null(strstr(why, "module"));
}

static void neighbour_keys_are_renewed(void **state)
{
	struct fake_link *links[2];
	unsigned int frames;

	(void)state;
	line(3, links);
	wait_for(all_reach, NULL, 10000);
	deliver(routers[0], routers[2]);
	deliver(routers[2], routers[0]);
	frames = fake_counts.link_frames;
	fake_rekey(routers[1]->node);
	assert_int_equal(traffic(routers[0], routers[2], 5000), 0);
	assert_int_equal(fake_counts.link_frames, frames + 4);
	assert_true(all_reach(NULL));
	/* By age. */
	frames = fake_counts.link_frames;
	fake_run(2 * 3600000);
	assert_true(fake_counts.link_frames >= frames + 4);
	assert_true(fake_counts.link_frames <= frames + 8);
	assert_true(all_reach(NULL));
	assert_int_equal(traffic(routers[0], routers[2], 5000), 0);
	/* Restored ones are renewed as well. */
	stop(routers[1]);
	start(routers[1]);
	fake_rekey(routers[1]->node);
	assert_int_equal(traffic(routers[0], routers[2], 5000), 0);
}

/* An answer to a renewal is lost: the old key goes on, for the daemons too. */
static void renewal_answer_lost(void **state)
{
	struct fake_link *links[1];
	struct address extra;
	uint8_t sk[64];
	int first;

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	/* The smaller began, so it begins again. */
	first = address_compare(&routers[0]->router, &routers[1]->router) < 0 ? 0 : 1;
	fake_run(20000);
	fake_rekey(routers[first]->node);
	fake_refuse(routers[!first]->node, FAKE_FRAME_TX, -ENOMEM, 0);
	/* The responder has the new key, its response does not leave. */
	fake_delay(links[0], 100);
	fake_run(50);
	fake_refuse(routers[!first]->node, FAKE_FRAME_TX, -ENOMEM, 1);
	fake_run(100);
	crypto_sign_keypair(extra.b, sk);
	assert_int_equal(mesh_local_up(routers[first]->mesh, &extra, sk), 0);
	fake_run(250);
	assert_true(mesh_reachable(routers[!first]->mesh, &extra));
	wait_for(all_reach, NULL, 30000);
}

static void frames_from_nowhere(void **state)
{
	struct fake_link *links[1];
	struct kern_event ev = { .cmd = RATMAN_CMD_FRAME_RX };
	uint8_t body[1400];

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	for (int i = 0; i < 300; i++) {
		randombytes_buf(body, sizeof(body));
		body[0] = (uint8_t)(i % 4);
		memset(body + 1, 0, 3);
		ev.cmd = RATMAN_CMD_FRAME_RX;
		ev.frame = (struct kern_frame){
			.type = i % 3 == 0 ? RATMAN_LINK : i % 3 == 1 ? RATMAN_CONTROL :
									RATMAN_HANDSHAKE,
			.link = fake_link_ifindex(routers[0]->node, links[0]),
			.neigh = (uint32_t)i, .dest = routers[0]->address,
			.body = body, .len = i % 5 ? 188 : sizeof(body),
		};
		fake_event(routers[0]->node, &ev);
		memset(&ev, 0, sizeof(ev));
		ev.cmd = i % 2 ? RATMAN_CMD_NEIGH_NTF : RATMAN_CMD_SESSION_WANT;
		ev.neigh.state = (enum ratman_neigh_state)(i % 3);
		ev.neigh.rekey = true;
		fake_event(routers[0]->node, &ev);
		ev.cmd = RATMAN_CMD_CANDIDATE_NTF;
		ev.neigh.link = 999;
		randombytes_buf(ev.neigh.router.b, 32);
		fake_event(routers[0]->node, &ev);
	}
	fake_run(5000);
	assert_true(all_reach(NULL));
	deliver(routers[0], routers[1]);
}

/* A removal that was queued before the neighbour was set again is old news. */
static void old_news(void **state)
{
	struct fake_link *links[1];
	struct kern_event ev = { .cmd = RATMAN_CMD_NEIGH_NTF };

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	ev.neigh.link = fake_link_ifindex(routers[0]->node, links[0]);
	ev.neigh.router = routers[1]->router;
	ev.neigh.index = 4711;
	ev.neigh.state = RATMAN_NEIGH_REMOVED;
	fake_event(routers[0]->node, &ev);
	fake_run(1);
	assert_int_equal(mesh_neighbours(routers[0]->mesh), 1);
	assert_true(all_reach(NULL));
}

static size_t leaves_reached(const struct router *hub)
{
	size_t n = 0;

	for (size_t i = 1; i < n_routers; i++)
		n += mesh_reachable(hub->mesh, &routers[i]->address);
	return n;
}

static void more_neighbours_than_the_limit(void **state)
{
	struct router *hub = add_router();
	struct fake_link *links[ROUTE_NEIGH_MAX + 4];
	size_t before;

	(void)state;
	for (size_t i = 0; i < ROUTE_NEIGH_MAX + 4; i++)
		links[i] = fake_link_new(hub->node, add_router()->node);
	start_all();
	fake_run(20000);
	assert_int_equal(mesh_neighbours(hub->mesh), ROUTE_NEIGH_MAX);
	assert_int_equal(leaves_reached(hub), ROUTE_NEIGH_MAX);
	before = ROUTE_NEIGH_MAX;
	/* Four go: the four that were left out come in. */
	for (size_t i = 0, cut = 0; i < ROUTE_NEIGH_MAX + 4 && cut < 4; i++) {
		if (!mesh_reachable(hub->mesh, &routers[i + 1]->address))
			continue;
		fake_remove_link(hub->node, links[i]);
		cut++;
	}
	fake_run(100);
	assert_int_equal(mesh_neighbours(hub->mesh), before - 4);
	fake_run(90000);
	assert_int_equal(mesh_neighbours(hub->mesh), before);
	assert_int_equal(leaves_reached(hub), before);
}

static void dead_neighbours_are_forgotten(void **state)
{
	struct fake_link *links[1];

	(void)state;
	line(2, links);
	wait_for(all_reach, NULL, 10000);
	fake_link_down(links[0]);
	fake_run(30000);
	assert_int_equal(fake_n_neighs(routers[0]->node), 1);
	assert_int_equal(fake_n_alive(routers[0]->node), 0);
	assert_int_equal(mesh_neighbours(routers[0]->mesh), 0);
	fake_run(60000);
	assert_int_equal(fake_n_neighs(routers[0]->node), 0);
	fake_link_up(links[0]);
	wait_for(all_reach, NULL, 10000);
}

/* No packet would go in a circle now, wherever it starts. */
static void assert_no_loop(void)
{
	for (size_t i = 0; i < n_routers; i++)
		for (size_t j = 0; j < n_routers; j++)
			assert_int_not_equal(fake_walk(routers[i]->node, &routers[j]->address), -1);
}

static uint32_t draw(uint32_t below)
{
	return randombytes_uniform(below);
}

/*
 * The peer may have lost its key of a session; the fake kernel does not notice the
 * silence, so only the age of our key ends it.
 */
static void deliver_at_last(struct router *from, struct router *to)
{
	for (int i = 0; i < 40; i++) {
		uint32_t packet = fake_packet(from->node, &from->address, &to->address);

		if (fake_until(is_delivered, &packet, 5000))
			return;
	}
	fail_msg("no packet arrives");
}

/* One thing goes wrong, or right again. The last three break what the protocol relies on. */
static void mishap(struct fake_link **links, size_t n_links, bool wild)
{
	struct router *r = routers[draw((uint32_t)n_routers)];
	struct fake_link *link = links[draw((uint32_t)n_links)];

	switch (draw(wild ? 12 : 8)) {
	case 0:
		fake_link_down(link);
		break;
	case 1:
	case 2:
		fake_link_up(link);
		break;
	case 3:
		fake_loss(link, draw(60));
		fake_delay(link, 1 + draw(50));
		break;
	case 4:
		fake_overflow(r->node, false);
		fake_run(draw(3000));
		fake_overflow(r->node, true);
		break;
	case 5:
		fake_rekey(r->node);
		break;
	case 6:
		if (!r->mesh)
			break;
		mesh_local_down(r->mesh, &r->address);
		fake_run(draw(3000));
		assert_int_equal(mesh_local_up(r->mesh, &r->address, r->sk), 0);
		break;
	case 7:
		if (r->mesh)
			stop(r);
		fake_run(draw(3000));
		start(r);
		break;
	case 8:
		fake_device_gone(r->node);
		fake_run(draw(3000));
		fake_device_new(r->node);
		break;
	case 9:
		if (r->mesh)
			stop(r);
		break;
	case 10:
		if (!r->mesh)
			start(r);
		break;
	default:
		fake_refuse(r->node, (enum fake_call)draw(FAKE_CALLS), -ENOMEM, draw(4));
		break;
	}
}

/* Everything at random, for half an hour: in the end all is well. */
static void mishaps(bool wild)
{
	struct fake_link *links[8];
	size_t n = 0;

	for (int i = 0; i < 6; i++)
		add_router();
	for (size_t i = 0; i < 6; i++)
		links[n++] = fake_link_new(routers[i]->node, routers[(i + 1) % 6]->node);
	links[n++] = fake_link_new(routers[0]->node, routers[3]->node);
	links[n++] = fake_link_new(routers[1]->node, routers[4]->node);
	start_all();
	for (int step = 0; step < 300; step++) {
		const struct router *from = routers[draw(6)], *to = routers[draw(6)];

		mishap(links, n, wild);
		if (from != to)
			fake_packet(from->node, &from->address, &to->address);
		for (uint32_t ms = draw(16000); ms > 500; ms -= 500) {
			fake_run(500);
			if (!wild)
				assert_no_loop();
		}
	}
	for (size_t i = 0; i < n; i++) {
		fake_link_up(links[i]);
		fake_loss(links[i], 0);
		fake_delay(links[i], 1);
	}
	for (size_t i = 0; i < 6; i++) {
		for (int call = 0; call < FAKE_CALLS; call++)
			fake_refuse(routers[i]->node, (enum fake_call)call, 0, 0);
		if (!routers[i]->mesh)
			start(routers[i]);
	}
	wait_for(all_reach, NULL, 300000);
	assert_no_loop();
	for (size_t i = 0; i < 6; i++)
		deliver_at_last(routers[i], routers[(i + 3) % 6]);
}

/* Who is a member, as router @r knows. */
static unsigned int n_members(const struct router *r)
{
	unsigned int n = 0;

	mesh_members(r->mesh, &the_space, count_peer, &n);
	return n;
}

static bool know_each_other(void *ctx)
{
	unsigned int others = *(unsigned int *)ctx;

	for (size_t i = 0; i < n_routers; i++)
		if (routers[i]->mesh && n_members(routers[i]) != others)
			return false;
	return true;
}

static void become_member(struct router *r)
{
	r->has_space = true;
	assert_int_equal(mesh_space_up(r->mesh, &the_space, the_space_sk, &r->address), 0);
	assert_int_equal(mesh_space_up(r->mesh, &the_space, the_space_sk, &r->address), 0);
}

/* Memberships go round, end, outlive a restart of the daemon, and are renewed in time. */
static void namespaces(void **state)
{
	struct fake_link *links[2];
	unsigned int others = 2;

	(void)state;
	crypto_sign_keypair(the_space.b, the_space_sk);
	for (int i = 0; i < 3; i++)
		add_router();
	links[0] = fake_link_new(routers[0]->node, routers[1]->node);
	links[1] = fake_link_new(routers[1]->node, routers[2]->node);
	(void)links;
	start(routers[0]);
	become_member(routers[0]);	/* before anybody can hear it */
	start(routers[1]);
	start(routers[2]);
	become_member(routers[1]);
	become_member(routers[2]);
	wait_for(know_each_other, &others, 10000);
	assert_true(routers[0]->members_changed >= 2);
	/* Longer than a presence lives. */
	fake_run(3 * 3600 * 1000ull);
	assert_true(know_each_other(&others));
	/* A restart: its membership comes back with it, or, without it, is taken back. */
	stop(routers[1]);
	start(routers[1]);
	become_member(routers[1]);
	wait_for(know_each_other, &others, 20000);
	stop(routers[2]);
	start(routers[2]);
	others = 1;
	assert_false(know_each_other(&others));
	routers[2]->has_space = true;
	wait_for(all_reach, NULL, 20000);
	fake_run(15000);
	assert_int_equal(n_members(routers[0]), 1);
	assert_int_equal(n_members(routers[1]), 1);
	assert_int_equal(n_members(routers[2]), 2);
	/* Down: everybody knows. */
	mesh_space_down(routers[0]->mesh, &the_space, &routers[0]->address);
	mesh_space_down(routers[0]->mesh, &the_space, &routers[0]->address);
	fake_run(3000);
	assert_int_equal(n_members(routers[1]), 0);
	assert_int_equal(n_members(routers[2]), 1);
}

static void chaos(void **state)
{
	for (int round = 0; round < CHAOS_ROUNDS; round++) {
		mishaps(false);
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void wild_chaos(void **state)
{
	for (int round = 0; round < CHAOS_ROUNDS; round++) {
		mishaps(true);
		fake_counts.hop_limit = 0;
		assert_int_equal(teardown(state), 0);
		assert_int_equal(setup(state), 0);
	}
}

static void link_costs(void **state)
{
	struct router *a, *b, *c;
	struct fake_link *direct;

	(void)state;
	a = add_router();
	b = add_router();
	c = add_router();
	direct = fake_link_new(a->node, b->node);
	fake_link_new(a->node, c->node);
	fake_link_new(c->node, b->node);
	start_all();
	fake_run(60000);
	assert_int_equal(fake_walk(a->node, &b->address), 1);
	/* A link that has become slow is gone round. */
	fake_delay(direct, 200);
	fake_run(120000);
	assert_int_equal(fake_walk(a->node, &b->address), 2);
	fake_delay(direct, 1);
	fake_run(120000);
	assert_int_equal(fake_walk(a->node, &b->address), 1);
}

/* Random numbers that repeat; MESH_SEED is another series. */

static uint8_t series[randombytes_SEEDBYTES];

static const char *series_name(void)
{
	return "series";
}

static void series_next(void *buf, const size_t size)
{
	randombytes_buf_deterministic(buf, size, series);
	for (size_t i = 8; i < sizeof(series) && !++series[i]; i++)
		;
}

static uint32_t series_word(void)
{
	uint32_t word;

	series_next(&word, sizeof(word));
	return word;
}

static struct randombytes_implementation series_source = {
	.implementation_name = series_name,
	.random = series_word,
	.buf = series_next,
};

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(two_routers),
		T(line_of_three),
		T(path_mtus),
		T(both_begin),
		T(ring_of_five),
		T(restart_takes_over),
		T(restart_while_neighbour_is_away),
		T(all_restart_at_once),
		T(device_comes_and_goes),
		T(claim_lost),
		T(module_absent),
		T(configured_links),
		T(busy),
		T(closed_membership),
		T(group_secret),
		T(router_key_changes),
		T(address_down),
		T(address_moves),
		T(bad_addresses),
		T(events_lost),
		T(kernel_refuses),
		T(lossy),
		T(orphans),
		T(free_in_every_state),
		T(sessions_are_renewed),
		T(contacts_are_let_in),
		T(contacts_catch_up),
		T(links_by_hand),
		T(neighbour_keys_are_renewed),
		T(renewal_answer_lost),
		T(frames_from_nowhere),
		T(old_news),
		T(more_neighbours_than_the_limit),
		T(dead_neighbours_are_forgotten),
		T(link_costs),
		T(namespaces),
		T(chaos),
		T(wild_chaos),
	};

	if (getenv("MESH_SEED"))
		series[0] = (uint8_t)atoi(getenv("MESH_SEED"));
	randombytes_set_implementation(&series_source);
	if (sodium_init() < 0)
		return 1;
	if (getenv("MESH_TEST"))
		cmocka_set_test_filter(getenv("MESH_TEST"));
	log_set_level(getenv("RATMAN_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
