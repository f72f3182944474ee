// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From the client protocol's backend down to the kernel: contacts in the store
 * and what they let in, links and peers, over fake kernels in virtual time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "mesh/kern_fake.h"
#include "mesh/neighbour.h"
#include "ratmand/node_priv.h"
#include "unit/scratch.h"

static uv_loop_t loop;
static char dir[SCRATCH_LEN];
static char device[] = "ratman0";
static struct config config = { .device = device, .inbound = RATMAN_POLICY_CONTACTS };

/* Our router, with a store; and another, with nothing but an address. */
static struct node node;
static struct fake_node *here, *there;
static struct fake_link *between;
static struct mesh_ops our_ops;
static struct mesh *other;
static struct address us, them;
static struct ident token;
static uint8_t router_sk[2][64], their_sk[64];

static void up(void)
{
	uint8_t secret[ADDRESS_SECRET_LEN];

	fake_enter(here);
	assert_int_equal(addresses_open(node.store, &us, &token, true, secret), 0);
	assert_int_equal(mesh_local_up(node.mesh, &us, secret), 0);
}

static void start(void)
{
	scratch_store(&node.store, &loop, dir);
	if (address_is_zero(&us))
		assert_int_equal(addresses_create(node.store, NULL, NULL, &us, &token), 0);
	fake_enter(here);
	node.mesh = mesh_new(&loop, &config, router_sk[0], &our_ops, &node);
	up();
	mesh_start(node.mesh);
}

static void stop(void)
{
	mesh_free(node.mesh);
	store_close(node.store);
	fake_run(0);
}

static bool both_ways(void *ctx)
{
	(void)ctx;
	return mesh_reachable(node.mesh, &them) && mesh_reachable(other, &us) &&
	       fake_has_route(there, &us);
}

static bool is_delivered(void *ctx)
{
	return fake_delivered(*(uint32_t *)ctx);
}

static void packet(struct fake_node *from, const struct address *a, const struct address *b)
{
	uint32_t p;

	assert_true(fake_until(both_ways, NULL, 60000));
	p = fake_packet(from, a, b);
	assert_int_not_equal(p, 0);
	assert_true(fake_until(is_delivered, &p, 15000));
}

/* One from them to us: there is a session. */
static void packet_in(void)
{
	packet(there, &them, &us);
}

static bool lets_in(void)
{
	fake_run(1000);
	return fake_session_contact(here, &us, &them);
}

static int setup(void **state)
{
	uint8_t pk[32];

	(void)state;
	scratch_make(dir);
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_begin(&loop, 7);
	memset(&us, 0, sizeof(us));
	node = (struct node){ .loop = &loop, .config = &config };
	our_ops = neighbour_ops;
	our_ops.is_contact = node_is_contact;
	crypto_sign_keypair(pk, router_sk[0]);
	crypto_sign_keypair(pk, router_sk[1]);
	crypto_sign_keypair(them.b, their_sk);
	here = fake_node_new();
	there = fake_node_new();
	between = fake_link_new(here, there);
	start();
	fake_enter(there);
	other = mesh_new(&loop, &config, router_sk[1], &neighbour_ops, NULL);
	assert_int_equal(mesh_local_up(other, &them, their_sk), 0);
	mesh_start(other);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	mesh_free(other);
	uv_run(&loop, UV_RUN_DEFAULT);	/* a commit may still be in the pool */
	fake_end();
	return scratch_end(dir, &loop, NULL);
}

/* Answers come after the disk has it: in true time, whatever the clock says. */

static struct answer {
	bool there;
	int err;
	size_t n;
} answer;

static void on_done(void *ctx, int err)
{
	(void)ctx;
	answer = (struct answer){ .there = true, .err = err };
}

static void on_touched(void *ctx, int err, const struct address *touched, size_t n)
{
	(void)ctx;
	if (n)
		assert_true(address_equal(&touched[0], &them));
	answer = (struct answer){ .there = true, .err = err, .n = n };
}

static int answered(void)
{
	for (int i = 0; i < 20000 && !answer.there; i++) {
		fake_run(1);
		if (!answer.there)
			usleep(1000);
	}
	assert_true(answer.there);
	answer.there = false;
	return answer.err;
}

static int put(uint8_t trust)
{
	const struct contact c = { .address = them, .trust = trust };

	node_backend_ops.contact_put(&node, &us, &c, on_done, NULL);
	return answered();
}

static int del(void)
{
	node_backend_ops.contact_del(&node, &us, &them, on_done, NULL);
	return answered();
}

static int modify(uint8_t trust)
{
	const struct contact_change change = { .has_trust = true, .trust = trust };

	node_backend_ops.contact_modify(&node, &us, &change, on_touched, NULL);
	return answered();
}

static void keep_trust(void *ctx, const struct contact *contact)
{
	assert_true(address_equal(&contact->address, &them));
	*(int *)ctx = contact->trust;
}

static int trust(void)
{
	struct backend_contacts *list;
	int value = 0, more;

	assert_int_equal(node_backend_ops.contact_list_open(&node, &us, NULL, &list), 0);
	while ((more = node_backend_ops.contact_list_step(list, keep_trust, &value)) > 0)
		;
	assert_int_equal(more, 0);
	node_backend_ops.contact_list_close(list);
	return value;
}

static void contacts_come_in(void **state)
{
	(void)state;
	packet_in();
	assert_false(lets_in());
	assert_int_equal(put(3), 0);
	assert_int_equal(trust(), 3);
	assert_true(lets_in());
	/* Whatever is noted, it is a contact. */
	assert_int_equal(modify(1), 0);
	assert_int_equal(answer.n, 1);
	assert_int_equal(trust(), 1);
	assert_true(lets_in());
	assert_int_equal(del(), 0);
	assert_false(lets_in());
	assert_int_equal(del(), -ENOENT);
	assert_int_equal(modify(2), 0);
	assert_int_equal(answer.n, 0);
}

static void they_last(void **state)
{
	struct backend_contacts *list, *late;
	int value;

	(void)state;
	assert_int_equal(put(5), 0);
	packet_in();
	assert_true(lets_in());
	stop();
	start();
	packet_in();
	assert_int_equal(trust(), 5);
	assert_true(lets_in());
	/* Down: nobody may use them, and new sessions know of them when it is up again. */
	fake_enter(here);
	assert_int_equal(node_backend_ops.contact_list_open(&node, &us, NULL, &list), 0);
	mesh_local_down(node.mesh, &us);
	assert_int_equal(put(6), -EACCES);
	assert_int_equal(del(), -EACCES);
	assert_int_equal(modify(6), -EACCES);
	assert_int_equal(node_backend_ops.contact_list_open(&node, &us, NULL, &late), -EACCES);
	/* One that is under way ends, too. */
	assert_int_equal(node_backend_ops.contact_list_step(list, keep_trust, &value), -EACCES);
	node_backend_ops.contact_list_close(list);
	fake_run(5000);
	up();
	/* They still have the keys of before: we begin. */
	packet(here, &us, &them);
	assert_int_equal(trust(), 5);
	assert_true(lets_in());
}

static int flip(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	uint8_t *copy = ctx;

	memcpy(copy, key, key_len);
	memcpy(copy + key_len, value, value_len);
	copy[key_len + value_len - 1] ^= 1;
	return (int)(key_len << 16 | value_len);
}

/* A record that somebody changed on the disk opens no door. */
static void forged_is_none(void **state)
{
	uint8_t record[8192];
	int len;

	(void)state;
	assert_int_equal(put(5), 0);
	packet_in();
	assert_true(lets_in());
	len = store_each(node.store, STORE_CONTACTS, flip, record);
	assert_int_equal(store_put(node.store, STORE_CONTACTS, record, (size_t)len >> 16,
				   record + (len >> 16), len & 0xffff), 0);
	fake_enter(here);
	mesh_contact_changed(node.mesh, &us, &them);
	assert_false(lets_in());
	assert_int_equal(trust(), 0);
	assert_int_equal(put(5), 0);
	assert_true(lets_in());
}

static void count_link(void *ctx, const struct link_entry *link)
{
	assert_string_equal(link->line.address, fake_link_name(here, between));
	++*(int *)ctx;
}

static void links_and_peers(void **state)
{
	struct backend_peer peer;
	char name[16], why[128];
	int n = 0;

	(void)state;
	assert_true(fake_until(both_ways, NULL, 60000));
	assert_int_equal(node_backend_ops.peer_get(&node, &them, &peer), 0);
	assert_true(address_equal(&peer.address, &them) && peer.active);
	assert_int_equal(node_backend_ops.peer_get(&node, &us, &peer), -ENOENT);
	snprintf(name, sizeof(name), "%s", fake_link_name(here, between));
	fake_enter(here);
	assert_int_equal(node_backend_ops.link_list(&node, count_link, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(node_backend_ops.link_change(&node, BACKEND_LINK_DOWN, name, why,
						      sizeof(why)), 0);
	fake_run(5000);
	assert_int_equal(node_backend_ops.peer_get(&node, &them, &peer), -ENOENT);
	fake_enter(here);
	assert_int_equal(node_backend_ops.link_change(&node, BACKEND_LINK_UP, name, why,
						      sizeof(why)), 0);
	assert_true(fake_until(both_ways, NULL, 60000));
	fake_enter(here);
	assert_int_equal(node_backend_ops.link_change(&node, BACKEND_LINK_DESTROY, name, why,
						      sizeof(why)), 0);
	n = 0;
	assert_int_equal(node_backend_ops.link_list(&node, count_link, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(node_backend_ops.link_change(&node, BACKEND_LINK_UP, name, why,
						      sizeof(why)), -ENODEV);
	assert_int_equal(node_backend_ops.link_change(&node, BACKEND_LINK_CREATE, name, why,
						      sizeof(why)), 0);
	assert_true(fake_until(both_ways, NULL, 60000));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(contacts_come_in),
		T(they_last),
		T(forged_is_none),
		T(links_and_peers),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(getenv("RATMAN_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
