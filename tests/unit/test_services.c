// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What services keep for users (store/services.h), and addresses that a password opens.
 */
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
#include "base/log.h"
#include "ratmand/store/password.h"
#include "ratmand/store/services.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN];
static uv_loop_t loop;
static struct store *store;
static struct records records;
static struct services *services;

static int setup(void **state)
{
	uint8_t key[ADDRESS_KEY_LEN];
	struct address a;
	struct ident token;

	(void)state;
	scratch_begin(dir, &loop, &store);
	assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), 0);
	assert_int_equal(addresses_open_key(store, &a, &token, key), 0);
	records_open(&records, store, &a, key);
	assert_int_equal(services_open(&services, &records), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	services_close(services);
	return scratch_end(dir, &loop, store);
}

static void reopen(void)
{
	services_close(services);
	store_close(store);
	scratch_store(&store, &loop, dir);
	records.store = store;
	assert_int_equal(services_open(&services, &records), 0);
}

static int put(const char *service, const char *ns, const char *key, const char *value)
{
	return services_put(services, &(struct service_key){ service, ns, key }, value, strlen(value));
}

static int del(const char *service, const char *ns, const char *key)
{
	return services_del(services, &(struct service_key){ service, ns, key });
}

static void has(const char *service, const char *ns, const char *key, const char *value)
{
	char buf[64] = "";
	ssize_t len = services_get(services, &(struct service_key){ service, ns, key }, buf, 63);

	if (value) {
		assert_int_equal(len, strlen(value));
		assert_string_equal(buf, value);
	} else {
		assert_int_equal(len, -ENODATA);
	}
}

static void collect(void *ctx, const char *ns, const char *key)
{
	strcat(ctx, ns);
	strcat(ctx, "#");
	strcat(ctx, key);
	strcat(ctx, " ");
}

static void lists(const char *service, const char *ns, const char *all)
{
	char buf[256] = "";

	services_each(services, service, ns, collect, buf);
	assert_string_equal(buf, all);
}

static void values(void **state)
{
	char buf[3];

	(void)state;
	assert_int_equal(put("s", "", "k", "one"), 0);
	assert_int_equal(put("s", "n", "k", "two"), 0);
	assert_int_equal(put("t", "", "k", "three"), 0);
	assert_int_equal(put("s", "n", "a", ""), 0);
	/* Texts are not run together. */
	assert_int_equal(put("s", "nk", "x", "not n, kx"), 0);
	for (int round = 0; round < 2; round++) {
		has("s", "", "k", "one");
		has("s", "n", "k", "two");
		has("t", "", "k", "three");
		has("s", "n", "a", "");
		has("s", "n", "kx", NULL);
		lists("s", NULL, "#k n#a n#k nk#x ");
		lists("s", "n", "n#a n#k ");
		lists("s", "", "#k ");
		lists("t", NULL, "#k ");
		lists("u", NULL, "");
		reopen();
	}
	assert_int_equal(services_get(services, &(struct service_key){ "t", "", "k" }, buf, 3),
			 -EMSGSIZE);
	assert_int_equal(put("s", "", "k", "longer than one"), 0);
	assert_int_equal(put("s", "n", "k", "owt"), 0);
	assert_int_equal(del("s", "n", "a"), 0);
	assert_int_equal(del("s", "n", "a"), 0);
	assert_int_equal(del("none", "", "k"), 0);
	for (int round = 0; round < 2; round++) {
		has("s", "", "k", "longer than one");
		has("s", "n", "k", "owt");
		has("s", "n", "a", NULL);
		lists("s", NULL, "#k n#k nk#x ");
		reopen();
	}
	assert_int_equal(records_remove_all(store, &records.address), 0);
	reopen();
	lists("s", NULL, "");
	has("s", "", "k", NULL);
}

static int put_many(const char *service, size_t from, size_t to, const void *value, size_t len)
{
	char name[24];
	int err = 0;

	for (size_t i = from; i < to && !err; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		err = services_put(services, &(struct service_key){ service, "", name }, value, len);
	}
	return err;
}

static void limits(void **state)
{
	static uint8_t big[65000];
	size_t n = LIMIT_SERVICE_BYTES / sizeof(big);

	(void)state;
	assert_int_equal(put_many("a", 0, LIMIT_SERVICE_KEYS, "v", 1), 0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(put("a", "", "more", "v"), -E2BIG);
		assert_int_equal(put("a", "", "5", "replaced"), 0);
		reopen();
	}
	assert_int_equal(del("a", "", "6"), 0);
	assert_int_equal(put("a", "", "more", "v"), 0);
	assert_int_equal(put_many("b", 0, n, big, sizeof(big)), 0);
	assert_int_equal(put_many("b", n, n + 1, big, sizeof(big)), -EFBIG);
	assert_int_equal(put_many("b", 0, n, big, sizeof(big)), 0);	/* in place of itself */
	assert_int_equal(put_many("c", 0, n, big, sizeof(big)), 0);
	assert_int_equal(put_many("d", 0, n, big, sizeof(big)), 0);
	assert_int_equal(put_many("e", 0, n, big, sizeof(big)), 0);
	reopen();
	assert_int_equal(put_many("f", 0, n, big, sizeof(big)), -EUSERS);
	assert_int_equal(del("e", "", "0"), 0);
	assert_int_equal(del("e", "", "1"), 0);
	assert_int_equal(put_many("f", 0, 1, big, sizeof(big)), 0);
	for (char name[] = "g"; name[0] < 'k'; name[0]++)
		if (put_many(name, 0, LIMIT_SERVICE_KEYS, "", 0))
			return;
	fail_msg("more than LIMIT_SERVICES_KEYS");
}

/* A value without its name, or a name without its value: no data, and put mends it. */
static void half_written(void **state)
{
	static const enum record_kind lost[] = { RECORD_SERVICE_NAME, RECORD_SERVICE };
	uint8_t id[32];

	(void)state;
	crypto_generichash(id, sizeof(id), (const uint8_t *)"s\0\0k", 5, NULL, 0);
	assert_int_equal(put("s", "", "other", "v"), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(put("s", "", "k", "v"), 0);
		assert_int_equal(records_del(&records, lost[i], id, sizeof(id)), 0);
		reopen();
		has("s", "", "k", NULL);
		lists("s", NULL, i ? "#k #other " : "#other ");
		assert_int_equal(put("s", "", "k", "again"), 0);
		has("s", "", "k", "again");
		reopen();
		has("s", "", "k", "again");
	}
}

/* Addresses that a password opens ----------------------------------------------------- */

struct made {
	int err, calls;
	struct address address;
	uint8_t secret[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN];
};

static void on_made(void *ctx, int err, const struct address *address, const uint8_t *secret,
		    const uint8_t *key)
{
	struct made *m = ctx;

	m->err = err;
	m->calls++;
	if (err)
		return;
	m->address = *address;
	memcpy(m->secret, secret, sizeof(m->secret));
	memcpy(m->key, key, sizeof(m->key));
}

static void on_login(void *ctx, int err, const uint8_t *secret, const uint8_t *key)
{
	struct made *m = ctx;

	m->err = err;
	m->calls++;
	if (!err) {
		assert_memory_equal(secret, m->secret, sizeof(m->secret));
		assert_memory_equal(key, m->key, sizeof(m->key));
	}
}

static void wait_for(struct made *m)
{
	while (!m->calls)
		uv_run(&loop, UV_RUN_ONCE);
	m->calls = 0;
}

static void login(struct made *m, const char *password, int err)
{
	assert_int_equal(addresses_login(store, &m->address, password, on_login, m), 0);
	wait_for(m);
	assert_int_equal(m->err, err);
}

static void opened_by_password(void **state)
{
	char longest[PASSWORD_MAX + 2];
	struct made m = { 0 }, second = { 0 };
	struct address a;
	struct ident token;

	(void)state;
	memset(longest, 'x', sizeof(longest));
	longest[PASSWORD_MAX + 1] = '\0';
	assert_int_equal(addresses_create_login(store, "", on_made, &m), -EINVAL);
	assert_int_equal(addresses_create_login(store, longest, on_made, &m), -EINVAL);
	assert_int_equal(addresses_create_login(store, "secret", on_made, &m), 0);
	assert_int_equal(m.calls, 0);
	wait_for(&m);
	assert_int_equal(m.err, 0);
	assert_memory_equal(m.secret + 32, m.address.b, 32);
	assert_null(memchr(m.address.b, 0, sizeof(m.address.b)));
	login(&m, "secret", 0);
	login(&m, "secre", -EACCES);
	reopen();
	login(&m, "secret", 0);
	memset(token.b, 0, sizeof(token.b));
	assert_int_equal(addresses_open(store, &m.address, &token, true, second.secret), -EACCES);
	/* The last place goes to who comes first. */
	for (int i = 2; i < LIMIT_LOCAL_ADDRESSES - 1; i++)
		assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), 0);
	assert_int_equal(addresses_create_login(store, "one", on_made, &m), 0);
	assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), 0);
	wait_for(&m);
	assert_int_equal(m.err, -E2BIG);
	assert_int_equal(addresses_create_login(store, "two", on_made, &second), -E2BIG);
}

int main(void)
{
	const struct password_cost cheap = { .ops = 1, .mem_kib = 8 };
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(values, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
		cmocka_unit_test_setup_teardown(half_written, setup, teardown),
		cmocka_unit_test_setup_teardown(opened_by_password, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	password_cost_fake(&cheap);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
