// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Mishaps by the hundred; after them everybody reaches everybody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "mesh/mesh_world.h"

#define CHAOS_ROUNDS 1		/* more by hand, with MESH_SEED */

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
			router_stop(r);
		fake_run(draw(3000));
		router_start(r);
		break;
	case 8:
		fake_device_gone(r->node);
		fake_run(draw(3000));
		fake_device_new(r->node);
		break;
	case 9:
		if (r->mesh)
			router_stop(r);
		break;
	case 10:
		if (!r->mesh)
			router_start(r);
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
			router_start(routers[i]);
	}
	wait_for(all_reach, NULL, 300000);
	assert_no_loop();
	for (size_t i = 0; i < 6; i++)
		deliver_at_last(routers[i], routers[(i + 3) % 6]);
}

static void chaos(void **state)
{
	for (int round = 0; round < CHAOS_ROUNDS; round++) {
		mishaps(false);
		assert_int_equal(world_teardown(state), 0);
		assert_int_equal(world_setup(state), 0);
	}
}

static void wild_chaos(void **state)
{
	for (int round = 0; round < CHAOS_ROUNDS; round++) {
		mishaps(true);
		fake_counts.hop_limit = 0;
		assert_int_equal(world_teardown(state), 0);
		assert_int_equal(world_setup(state), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(chaos),
		T(wild_chaos),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
