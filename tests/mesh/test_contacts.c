// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contacts, whom sessions let in.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include "mesh/mesh_world.h"

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
	line_of(3, links);
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
	line_of(2, links);
	a = routers[0];
	b = routers[1];
	wait_for(all_reach, NULL, 5000);
	deliver(a, b);
	deliver(b, a);
	assert_false(lets_in(a, b));
	router_stop(a);
	a->contacts[a->n_contacts++] = b->address;
	router_start(a);
	fake_run(1000);
	assert_true(lets_in(a, b));
	router_stop(a);
	a->n_contacts = 0;
	router_start(a);
	fake_run(1000);
	assert_false(lets_in(a, b));
	/* A configured one stays one. */
	router_stop(a);
	a->config.contacts = &b->address;
	a->config.n_contacts = 1;
	router_start(a);
	fake_run(1000);
	assert_true(lets_in(a, b));
	change_contact(a, b, false);
	fake_run(1000);
	assert_true(lets_in(a, b));
	router_stop(a);
	a->config.n_contacts = 0;
	router_start(a);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(contacts_are_let_in),
		T(contacts_catch_up),
	};

	return world_main(tests, sizeof(tests) / sizeof(tests[0]));
}
