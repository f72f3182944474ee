// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ratmand/store/addresses.h"

static char dir[64];
static uv_loop_t loop;
static struct store *store;

static void open_store(void)
{
	char why[256];

	assert_int_equal(store_open(&store, &loop, dir, NULL, why, sizeof(why)), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/test_addresses.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(uv_loop_init(&loop), 0);
	open_store();
	return 0;
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	store_close(store);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void reopen(void)
{
	store_close(store);
	open_store();
}

static void test_open(void **state)
{
	uint8_t secret[ADDRESS_SECRET_LEN], other[ADDRESS_SECRET_LEN];
	struct address a, b;
	struct ident token, wrong, token_b;

	(void)state;
	assert_int_equal(addresses_create(store, "lamp", NULL, &a, &token), 0);
	assert_int_equal(addresses_create(store, NULL, NULL, &b, &token_b), 0);
	assert_null(memchr(a.b, 0, sizeof(a.b)));
	assert_null(memchr(token.b, 0, sizeof(token.b)));
	reopen();
	assert_int_equal(addresses_open(store, &a, &token, true, secret), 0);
	assert_memory_equal(secret + 32, a.b, 32);
	memcpy(other, secret, sizeof(other));
	wrong = token;
	wrong.b[31] ^= 1;
	assert_int_equal(addresses_open(store, &a, &wrong, true, secret), -EACCES);
	assert_int_equal(addresses_open(store, &a, &token_b, true, secret), -EACCES);
	assert_int_equal(addresses_open(store, &b, &token, false, secret), -EACCES);
	assert_memory_equal(secret, other, sizeof(other));
	b.b[0] ^= 1;
	assert_int_equal(addresses_open(store, &b, &token_b, true, secret), -ENOENT);
	assert_int_equal(addresses_open(store, &b, &token_b, false, secret), -EACCES);
	assert_int_equal(addresses_remove(store, &b), -ENOENT);
	assert_int_equal(addresses_remove(store, &a), 0);
	assert_int_equal(addresses_open(store, &a, &token, true, secret), -ENOENT);
}

static void test_flipped_bits(void **state)
{
	uint8_t secret[ADDRESS_SECRET_LEN], value[512];
	struct address a, b;
	struct ident token;
	ssize_t len;

	(void)state;
	assert_int_equal(addresses_create(store, "lamp", NULL, &a, &token), 0);
	len = store_get(store, STORE_ADDRESSES, a.b, sizeof(a.b), value, sizeof(value));
	assert_true(len > 100);
	for (ssize_t i = 0; i < len; i++) {
		value[i] ^= 0x10;
		assert_int_equal(store_put(store, STORE_ADDRESSES, a.b, sizeof(a.b), value,
					   (size_t)len), 0);
		assert_int_equal(addresses_open(store, &a, &token, true, secret), -EACCES);
		value[i] ^= 0x10;
	}
	for (ssize_t n = 0; n < len; n++) {
		assert_int_equal(store_put(store, STORE_ADDRESSES, a.b, sizeof(a.b), value,
					   (size_t)n), 0);
		assert_int_equal(addresses_open(store, &a, &token, true, secret), -EACCES);
	}
	/* A record moved to another address does not open. */
	b = a;
	b.b[5] ^= 1;
	assert_int_equal(store_put(store, STORE_ADDRESSES, b.b, sizeof(b.b), value, (size_t)len), 0);
	assert_int_equal(addresses_open(store, &b, &token, true, secret), -EACCES);
	assert_int_equal(store_put(store, STORE_ADDRESSES, a.b, sizeof(a.b), value, (size_t)len), 0);
	assert_int_equal(addresses_open(store, &a, &token, true, secret), 0);
}

static void test_names(void **state)
{
	static const char *const bad[] = {
		"\xff", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\nb",
		"\xc3", "\xe2\x82", "\x80", "\x7f", "\xf8\x88\x80\x80\x80", "ok\xc3z",
	};
	static const char *const good[] = { "", "Zähler", "\xe2\x82\xac", "\xf0\x9f\x90\x80", "a b" };
	char name[ADDRESS_NAME_MAX + 2];
	struct address a;
	struct ident token;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(addresses_create(store, bad[i], NULL, &a, &token), -EINVAL);
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(addresses_create(store, good[i], NULL, &a, &token), 0);
	memset(name, 'x', sizeof(name));
	name[ADDRESS_NAME_MAX + 1] = 0;
	assert_int_equal(addresses_create(store, name, NULL, &a, &token), -EINVAL);
	name[ADDRESS_NAME_MAX] = 0;
	assert_int_equal(addresses_create(store, name, NULL, &a, &token), 0);
}

struct seen {
	struct address_info last;
	unsigned int n, namespaces;
};

static void count(void *ctx, const struct address_info *info)
{
	struct seen *seen = ctx;

	if (seen->n++)
		assert_true(address_compare(&seen->last.address, &info->address) < 0);
	seen->namespaces += info->is_namespace;
	if (info->is_namespace)
		assert_string_equal(info->name, "space");
	assert_true(info->created_s > 1000000000);
	seen->last = *info;
}

static void test_list(void **state)
{
	uint8_t seed[32] = { 7 }, secret[ADDRESS_SECRET_LEN];
	struct seen seen = { .n = 0 };
	struct address a, ns;
	struct ident token;

	(void)state;
	assert_int_equal(addresses_create(store, "space", seed, &ns, &token), 0);
	assert_int_equal(addresses_create(store, NULL, seed, &a, &token), -EEXIST);
	assert_int_equal(addresses_open(store, &ns, &token, true, secret), 0);
	assert_memory_equal(secret, seed, 32);
	for (int i = 1; i < LIMIT_LOCAL_ADDRESSES; i++)
		assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), 0);
	assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), -EDQUOT);
	assert_int_equal(addresses_each(store, count, &seen), 0);
	assert_int_equal(seen.n, LIMIT_LOCAL_ADDRESSES);
	assert_int_equal(seen.namespaces, 1);
}

static void test_router(void **state)
{
	uint8_t one[ADDRESS_SECRET_LEN], two[ADDRESS_SECRET_LEN];

	(void)state;
	assert_int_equal(addresses_router(store, one), 0);
	reopen();
	assert_int_equal(addresses_router(store, two), 0);
	assert_memory_equal(one, two, sizeof(one));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_router, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
