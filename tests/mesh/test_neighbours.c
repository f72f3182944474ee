// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links and who may be a neighbour on them: groups, keys and their renewal, limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "mesh/mesh_world.h"
#include "ratmand/route/route.h"

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
	router_stop(a);
	members[1] = c->router;
	router_start(a);
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
	line_of(2, links);
	wait_for(all_reach, NULL, 10000);
	a = routers[0];
	router_stop(a);
	crypto_sign_keypair(a->router.b, a->router_sk);
	router_start(a);
	/* Keys that belong to somebody else are not taken over. */
	assert_int_equal(fake_n_neighs(a->node), 0);
	wait_for(all_reach, NULL, 60000);
	deliver(routers[0], routers[1]);
	fake_run(120000);
	assert_int_equal(fake_n_neighs(routers[1]->node), 1);
	assert_true(all_reach(NULL));
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
	router_stop(a);
	router_start(a);
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
	line_of(3, links);
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
	router_stop(routers[1]);
	router_start(routers[1]);
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
	line_of(2, links);
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
	line_of(2, links);
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
	line_of(2, links);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(configured_links),
		T(closed_membership),
		T(group_secret),
		T(router_key_changes),
		T(links_by_hand),
		T(neighbour_keys_are_renewed),
		T(renewal_answer_lost),
		T(frames_from_nowhere),
		T(more_neighbours_than_the_limit),
		T(dead_neighbours_are_forgotten),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
