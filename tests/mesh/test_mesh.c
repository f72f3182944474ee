// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The whole mesh side of the daemon (mesh.c, mesh_kern.c, session/, route/, libuv)
 * over fake kernels, many routers in one process, in virtual time: routes, addresses,
 * namespaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "mesh/mesh_world.h"

static void two_routers(void **state)
{
	struct fake_link *links[1];

	(void)state;
	line_of(2, links);
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

static void line_of_three(void **state)
{
	struct fake_link *links[2];
	unsigned int peers = 0;

	(void)state;
	line_of(3, links);
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
	router_stop(a);
	fake_run(1000);
	assert_int_equal(fake_route_mtu(a->node, far), 1370);
	router_start(a);
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
	line_of(3, links);
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

static void lossy(void **state)
{
	struct fake_link *links[3];

	for (uint64_t seed = 1; seed <= 5; seed++) {
		line_of(4, links);
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
		assert_int_equal(world_teardown(state), 0);
		uv_loop_init(&loop);
		fake_begin(&loop, seed + 1);
	}
}

static void sessions_are_renewed(void **state)
{
	struct fake_link *links[2];
	unsigned int lost = 0;
	uint32_t first, second;

	(void)state;
	line_of(3, links);
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
	router_stop(routers[0]);
	router_start(routers[0]);
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

static void address_down(void **state)
{
	struct fake_link *links[3];
	struct router *a;

	(void)state;
	line_of(4, links);
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
	line_of(3, links);
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
	router_start(a);
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

/* A removal that was queued before the neighbour was set again is old news. */
static void old_news(void **state)
{
	struct fake_link *links[1];
	struct kern_event ev = { .cmd = RATMAN_CMD_NEIGH_NTF };

	(void)state;
	line_of(2, links);
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
	router_start(routers[0]);
	become_member(routers[0]);	/* before anybody can hear it */
	router_start(routers[1]);
	router_start(routers[2]);
	become_member(routers[1]);
	become_member(routers[2]);
	wait_for(know_each_other, &others, 10000);
	assert_true(routers[0]->members_changed >= 2);
	/* Longer than a presence lives. */
	fake_run(3 * 3600 * 1000ull);
	assert_true(know_each_other(&others));
	/* A restart: its membership comes back with it, or, without it, is taken back. */
	router_stop(routers[1]);
	router_start(routers[1]);
	become_member(routers[1]);
	wait_for(know_each_other, &others, 20000);
	router_stop(routers[2]);
	router_start(routers[2]);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(two_routers),
		T(line_of_three),
		T(path_mtus),
		T(both_begin),
		T(ring_of_five),
		T(link_costs),
		T(lossy),
		T(sessions_are_renewed),
		T(address_down),
		T(address_moves),
		T(bad_addresses),
		T(old_news),
		T(namespaces),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
