// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is seen in the mesh is a user: a whole node over a fake kernel, in virtual
 * time, beside a router with two addresses.
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
#include "ratmand/flow/parcel.h"
#include "ratmand/node_priv.h"
#include "unit/scratch.h"

static uv_loop_t loop;
static char dir[SCRATCH_LEN], state_dir[SCRATCH_LEN + 16], runtime_dir[SCRATCH_LEN + 16];
static char device[] = "ratman0", bind_to[] = "127.0.0.1:0", no_key[] = "";
static struct config config = {
	.device = device, .api_bind = bind_to, .state_dir = state_dir, .runtime_dir = runtime_dir,
	.key_file = no_key,
};

static struct node *node;
static struct fake_node *here, *there;
static struct fake_link *between;
static struct mesh *other;
static struct address them[2];
static uint8_t router_sk[64], their_sk[2][64];

static void start(void)
{
	char why[256] = "";

	fake_enter(here);
	if (node_start(&node, &loop, &config, why, sizeof(why)))
		fail_msg("%s", why);
}

static void on_stopped(void *ctx)
{
	*(bool *)ctx = true;
}

static void stop(void)
{
	bool stopped = false;

	fake_enter(here);
	node_stop(node, on_stopped, &stopped);
	while (!stopped)
		fake_run(10);
	fake_run(10);
}

static int setup(void **state)
{
	uint8_t pk[32];

	(void)state;
	scratch_make(dir);
	snprintf(state_dir, sizeof(state_dir), "%s/state", dir);
	snprintf(runtime_dir, sizeof(runtime_dir), "%s/run", dir);
	assert_int_equal(uv_loop_init(&loop), 0);
	fake_begin(&loop, 7);
	api_limits_defaults(&config.limits);
	crypto_sign_keypair(pk, router_sk);
	here = fake_node_new();
	there = fake_node_new();
	between = fake_link_new(here, there);
	start();
	fake_enter(there);
	other = mesh_new(&loop, &config, router_sk, &neighbour_ops, NULL);
	for (int i = 0; i < 2; i++) {
		crypto_sign_keypair(them[i].b, their_sk[i]);
		assert_int_equal(mesh_local_up(other, &them[i], their_sk[i]), 0);
	}
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

static bool have_routes(void *ctx)
{
	(void)ctx;
	return mesh_reachable(node->mesh, &them[0]) && mesh_reachable(node->mesh, &them[1]);
}

static bool have_none(void *ctx)
{
	(void)ctx;
	return !mesh_reachable(node->mesh, &them[0]) && !mesh_reachable(node->mesh, &them[1]);
}

/* What the client protocol says of one of them: its flags, or an error. */
static bool keep(void *ctx, const struct profile *profile)
{
	*(struct profile *)ctx = *profile;
	return true;
}

static int look(int i, struct profile *out)
{
	return node_backend_ops.profile->get(node, &them[i], keep, out);
}

static int count_record(void *ctx, const void *key, size_t key_len, const void *value,
			size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(int *)ctx;
	return 0;
}

static int records(enum store_table table)
{
	int n = 0;

	assert_int_equal(store_each(node->store, table, count_record, &n), 0);
	return n;
}

struct page {
	struct address ids[8];
	size_t n;
	bool done;
};

static bool on_found(void *ctx, const struct profile *profile)
{
	struct page *page = ctx;

	page->ids[page->n++] = profile->id;
	return page->n < 8;
}

static void on_done(void *ctx, int err)
{
	assert_int_equal(err, 0);
	((struct page *)ctx)->done = true;
}

static void list(enum user_scope scope, struct page *page)
{
	const struct user_query q = { .take = 8 };
	struct backend_search *s;

	*page = (struct page){ .n = 0 };
	assert_int_equal(node_backend_ops.profile->search(node, &q, scope, on_found, on_done, page, &s),
			 0);
	for (int i = 0; i < 100 && !page->done; i++)
		fake_run(1);
	assert_true(page->done);
}

static void whoever_is_seen(void **state)
{
	struct profile p;
	struct page page;

	(void)state;
	assert_int_equal(look(0, &p), -ENOENT);
	assert_true(fake_until(have_routes, NULL, 60000));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(look(i, &p), 0);
		assert_true(profile_is_empty(&p));
		assert_int_equal(p.flags, PROFILE_ONLINE);
	}
	list(USER_REMOTE, &page);
	assert_int_equal(page.n, 2);
	list(USER_LOCAL, &page);
	assert_int_equal(page.n, 0);
	/* The table of peers is all that was written, and flapping writes nothing more. */
	assert_int_equal(records(STORE_PROFILES), 0);
	for (int i = 0; i < 3; i++) {
		fake_link_down(between);
		assert_true(fake_until(have_none, NULL, 60000));
		assert_int_equal(look(0, &p), 0);
		assert_int_equal(p.flags, 0);
		fake_link_up(between);
		assert_true(fake_until(have_routes, NULL, 60000));
	}
	assert_int_equal(look(0, &p), 0);
	assert_int_equal(p.flags, PROFILE_ONLINE);
	assert_int_equal(records(STORE_PROFILES), 0);
}

/* After a restart, with nobody in reach, all are known that were. */
static void they_are_remembered(void **state)
{
	struct page before, after;
	struct profile p;

	(void)state;
	assert_true(fake_until(have_routes, NULL, 60000));
	profile_init(&p, &them[1]);
	p.has_handle = true;
	strcpy(p.handle, "second");
	users_merge(node->service->users, &them[1], 5, &p);
	list(USER_BOTH, &before);
	assert_int_equal(before.n, 2);
	stop();
	fake_link_down(between);
	start();
	list(USER_BOTH, &after);
	assert_int_equal(after.n, 2);
	/* Both were seen at one time of the fake clock: then their ids decide after a restart. */
	if (memcmp(&before.ids[0], &after.ids[0], sizeof(before.ids[0]))) {
		assert_memory_equal(&before.ids[0], &after.ids[1], sizeof(before.ids[0]));
		assert_memory_equal(&before.ids[1], &after.ids[0], sizeof(before.ids[0]));
	} else {
		assert_memory_equal(&before.ids[1], &after.ids[1], sizeof(before.ids[0]));
	}
	assert_int_equal(look(0, &p), 0);
	assert_true(profile_is_empty(&p));
	assert_int_equal(look(1, &p), 0);
	assert_string_equal(p.handle, "second");
	assert_int_equal(p.flags, 0);
	fake_link_up(between);
	assert_true(fake_until(have_routes, NULL, 60000));
	assert_int_equal(look(1, &p), 0);
	assert_int_equal(p.flags, PROFILE_ONLINE);
	list(USER_BOTH, &after);
	assert_int_equal(after.n, 2);
}

static struct address made;
static struct ident token;
static int created, destroyed;

static void on_created(void *ctx, int err, const struct address *address, const struct ident *t)
{
	(void)ctx;
	assert_int_equal(err, 0);
	made = *address;
	token = *t;
	created++;
}

static void on_destroyed(void *ctx, int err)
{
	(void)ctx;
	assert_int_equal(err, 0);
	destroyed++;
}

static void count_peer(void *ctx, const struct address *peer)
{
	(void)peer;
	++*(size_t *)ctx;
}

static bool nobody_is_seen(void *ctx)
{
	size_t n = 0;

	(void)ctx;
	mesh_peers(other, count_peer, &n);
	return !n;
}

static bool one_is_seen(void *ctx)
{
	size_t n = 0;

	(void)ctx;
	mesh_peers(other, count_peer, &n);
	return n == 1;
}

/* Commits take real time, which the fake clock does not know. */
static void await(const int *what, int count)
{
	for (int i = 0; i < 20000 && *what < count; i++) {
		fake_run(1);
		usleep(500);
	}
	assert_int_equal(*what, count);
}

/* What was said last is no stream on its way any more. */
static void settle(void)
{
	for (int i = 0; i < 20000 && records(STORE_OUTBOX); i++) {
		fake_run(1);
		usleep(500);
	}
}

/* Makes a user and destroys him, up or not. */
static void come_and_go(bool up)
{
	int before = destroyed;

	created = 0;
	node_backend_ops.addr_create(node, NULL, NULL, on_created, NULL);
	await(&created, 1);
	assert_int_equal(service_user_create(node->service, &made, "shortly"), 0);
	if (up)
		assert_int_equal(node_addr_up(node, &made, &token), 0);
	node_backend_ops.addr_destroy(node, &made, &token, true, on_destroyed, NULL);
	await(&destroyed, before + 1);
	assert_null(mesh_local_secret(node->mesh, &made));
	settle();
}

/* A router whose only user was destroyed says so by another address, for ten minutes. */
static void a_stand_in_says_farewell(void **state)
{
	(void)state;
	assert_true(fake_until(have_routes, NULL, 60000));
	come_and_go(true);
	assert_true(flow_commons_is_up(node->flow));
	assert_true(fake_until(one_is_seen, NULL, 60000));
	assert_false(mesh_reachable(other, &made));
	assert_int_equal(records(STORE_ADDRESSES), 0);
	/* What he said is an item of the commons now, and no address's. */
	assert_int_equal(records(STORE_OUTBOX), 0);
	assert_int_equal(flow_stats(node->flow)->items, 1);
	fake_run(300000);
	/* Another one, five minutes later: then it is ten from there. */
	come_and_go(false);
	assert_int_equal(flow_stats(node->flow)->items, 2);
	fake_run(400000);
	assert_true(one_is_seen(NULL));
	assert_true(fake_until(nobody_is_seen, NULL, 300000));
	assert_false(flow_commons_is_up(node->flow));
	/* An address that is no user says nothing. */
	created = 0;
	node_backend_ops.addr_create(node, NULL, NULL, on_created, NULL);
	await(&created, 1);
	destroyed = 0;
	node_backend_ops.addr_destroy(node, &made, &token, true, on_destroyed, NULL);
	await(&destroyed, 1);
	assert_false(flow_commons_is_up(node->flow));
	assert_int_equal(flow_stats(node->flow)->items, 2);
	/* In the middle of it the daemon may end. */
	come_and_go(true);
	assert_true(flow_commons_is_up(node->flow));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(whoever_is_seen),
		T(they_are_remembered),
		T(a_stand_in_says_farewell),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(getenv("RATMAN_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
