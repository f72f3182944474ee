// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Meshes whose daemons, devices and modules stop, fail and begin again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "mesh/mesh_world.h"

static void restart_takes_over(void **state)
{
	struct fake_link *links[2];
	uint8_t before[8], after[8];
	unsigned int frames;
	uint32_t index;

	(void)state;
	line_of(3, links);
	wait_for(all_reach, NULL, 10000);
	deliver(routers[0], routers[2]);
	deliver(routers[2], routers[0]);
	fake_run(20000);
	frames = fake_counts.link_frames;
	fake_boot_id(routers[1]->node, before);
	index = fake_session_index(routers[0]->node, &routers[0]->address, &routers[2]->address);

	for (size_t i = 0; i < 3; i++) {
		router_stop(routers[i]);
		assert_false(fake_attached(routers[i]->node));
		/* The kernel alone. */
		assert_int_equal(traffic(routers[0], routers[2], 5000), 0);
		routers[i]->reachable = 0;
		router_start(routers[i]);
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
	line_of(3, links);
	wait_for(all_reach, NULL, 10000);
	router_stop(routers[1]);
	fake_link_down(links[1]);
	fake_run(1000);
	router_start(routers[1]);
	fake_run(20000);
	assert_false(mesh_reachable(routers[1]->mesh, &routers[2]->address));
	assert_false(mesh_reachable(routers[0]->mesh, &routers[2]->address));
	assert_false(fake_has_route(routers[1]->node, &routers[2]->address));
	assert_true(reaches(routers[0], routers[1]));
	fake_link_up(links[1]);
	wait_for(all_reach, NULL, 30000);
	deliver(routers[0], routers[2]);

	/* And one whose daemon is away for longer than its routes are kept. */
	router_stop(routers[1]);
	fake_run(900000);
	router_start(routers[1]);
	wait_for(all_reach, NULL, 90000);
	deliver(routers[2], routers[0]);
}

static void all_restart_at_once(void **state)
{
	struct fake_link *links[2];

	(void)state;
	line_of(3, links);
	wait_for(all_reach, NULL, 10000);
	deliver(routers[0], routers[2]);
	for (int i = 0; i < 3; i++)
		router_stop(routers[i]);
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
	line_of(3, links);
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
	line_of(2, links);
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

static void busy(void **state)
{
	struct router *a = add_router();
	struct mesh *other;

	(void)state;
	router_start(a);
	assert_null(mesh_off_reason(a->mesh));
	fake_enter(a->node);
	other = mesh_new(&loop, &a->config, a->router_sk, &world_ops, a);
	assert_non_null(other);
	mesh_start(other);
	assert_non_null(strstr(mesh_off_reason(other), "Another daemon"));
	fake_run(10000);
	assert_non_null(mesh_off_reason(other));
	assert_null(mesh_off_reason(a->mesh));
	mesh_free(other);
	fake_run(0);
}

static void events_lost(void **state)
{
	struct fake_link *links[2];

	(void)state;
	line_of(3, links);
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
			router_stop(routers[1]);
			fake_refuse(routers[1]->node, (enum fake_call)call, errors[e], 3);
			router_start(routers[1]);
			fake_run(30000);
			wait_for(all_reach, NULL, 220000);
			assert_int_equal(world_teardown(state), 0);
			assert_int_equal(world_setup(state), 0);
		}
	}
}

static void orphans(void **state)
{
	struct fake_link *links[1];
	struct address old[70];

	(void)state;
	line_of(2, links);
	wait_for(all_reach, NULL, 10000);
	router_stop(routers[0]);
	for (int i = 0; i < 40; i++) {
		randombytes_buf(&old[i], sizeof(old[i]));
		fake_put_addr(routers[0]->node, &old[i]);
	}
	router_start(routers[0]);
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
	mesh = mesh_new(&loop, &a->config, a->router_sk, &world_ops, a);
	assert_non_null(mesh_off_reason(mesh));
	mesh_free(mesh);
	fake_run(0);
	for (uint64_t ms = 0; ms < 3000; ms += ms < 40 ? 1 : 100) {
		start_all();
		fake_run(ms);
		router_stop(a);
		router_stop(b);
		fake_device_gone(a->node);
		fake_device_new(a->node);
	}
	/* While the old poll handle closes, and while it waits. */
	start_all();
	fake_run(3000);
	fake_device_gone(a->node);
	wait_for(is_off, a, 5000);
	router_stop(a);
	router_start(a);
	fake_device_new(a->node);
	router_stop(a);
	router_start(a);
	wait_for(all_reach, NULL, 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(restart_takes_over),
		T(restart_while_neighbour_is_away),
		T(all_restart_at_once),
		T(device_comes_and_goes),
		T(claim_lost),
		T(module_absent),
		T(busy),
		T(events_lost),
		T(kernel_refuses),
		T(orphans),
		T(free_in_every_state),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
