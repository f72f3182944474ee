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
#include "base/log.h"
#include "ratmand/store/addresses.h"
#include "ratmand/store/password.h"
#include "ratmand/store/records.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN];
static uv_loop_t loop;
static struct store *store;

static int setup(void **state)
{
	(void)state;
	scratch_begin(dir, &loop, &store);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return scratch_end(dir, &loop, store);
}

static void reopen(void)
{
	store_close(store);
	scratch_store(&store, &loop, dir);
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
	assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), -E2BIG);
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

/* A record as store format 1 has it: the secret key sealed by the token itself. */
static size_t build_v1(const struct address *a, const struct ident *token, const uint8_t *secret,
		       uint8_t *out)
{
	static const char context[] = "ratman address key v1";
	uint8_t key[32], ad[128], *p = out;
	crypto_generichash_state st;

	*p++ = 1;
	*p++ = 0;
	memset(p, 0, 8);
	p[7] = 77;
	p += 8;
	*p++ = 4;
	memcpy(p, "lamp", 4);
	p += 4;
	memcpy(ad, "addresses", 10);
	memcpy(ad + 10, a->b, 32);
	memcpy(ad + 42, out, 15);
	crypto_generichash_init(&st, token->b, 32, sizeof(key));
	crypto_generichash_update(&st, (const uint8_t *)context, sizeof(context));
	crypto_generichash_update(&st, a->b, 32);
	crypto_generichash_final(&st, key, sizeof(key));
	randombytes_buf(p, 24);
	crypto_aead_xchacha20poly1305_ietf_encrypt(p + 24, NULL, secret, 64, ad, 57, NULL, p, key);
	return (size_t)(p - out) + 24 + 64 + 16;
}

static void name_of(void *ctx, const struct address_info *info)
{
	struct address_info *out = ctx;

	*out = *info;
}

static void test_format_1(void **state)
{
	uint8_t secret[ADDRESS_SECRET_LEN], got[ADDRESS_SECRET_LEN], record[256];
	uint8_t key[ADDRESS_KEY_LEN], again[ADDRESS_KEY_LEN];
	struct ident token, wrong;
	struct address_info info;
	struct address a;
	size_t len;

	(void)state;
	crypto_sign_keypair(a.b, secret);
	memset(token.b, 7, sizeof(token.b));
	wrong = token;
	wrong.b[0]++;
	len = build_v1(&a, &token, secret, record);
	assert_int_equal(store_put(store, STORE_ADDRESSES, a.b, 32, record, len), 0);
	reopen();
	assert_int_equal(addresses_open(store, &a, &wrong, true, got), -EACCES);
	assert_int_equal(addresses_open(store, &a, &token, true, got), 0);
	assert_memory_equal(got, secret, sizeof(got));
	/* It has a key of its own from now on. */
	assert_int_equal(addresses_open_key(store, &a, &token, key), 0);
	reopen();
	assert_int_equal(addresses_open(store, &a, &wrong, true, got), -EACCES);
	assert_int_equal(addresses_open(store, &a, &token, true, got), 0);
	assert_memory_equal(got, secret, sizeof(got));
	assert_int_equal(addresses_open_key(store, &a, &token, again), 0);
	assert_memory_equal(key, again, sizeof(key));
	assert_int_equal(addresses_each(store, name_of, &info), 0);
	assert_string_equal(info.name, "lamp");
	assert_int_equal(info.created_s, 77);
}

struct login {
	int err;
	unsigned int n;
	uint8_t secret[ADDRESS_SECRET_LEN];
	uint8_t key[ADDRESS_KEY_LEN];
};

static void on_login(void *ctx, int err, const uint8_t *secret, const uint8_t *key)
{
	struct login *l = ctx;

	l->err = err;
	l->n++;
	if (!err) {
		memcpy(l->secret, secret, sizeof(l->secret));
		memcpy(l->key, key, sizeof(l->key));
	} else {
		assert_null(secret);
		assert_null(key);
	}
}

static int login(const struct address *a, const char *password, struct login *l)
{
	unsigned int before = l->n;

	assert_int_equal(addresses_login(store, a, password, on_login, l), 0);
	assert_int_equal(l->n, before);
	while (l->n == before)
		uv_run(&loop, UV_RUN_ONCE);
	return l->err;
}

static void on_set(void *ctx, int err)
{
	*(int *)ctx = err;
}

static int set_password(const struct address *a, const uint8_t *key, const char *password)
{
	int result = 1;
	int err = addresses_set_password(store, a, key, password, on_set, &result);

	if (err)
		return err;
	while (result == 1)
		uv_run(&loop, UV_RUN_ONCE);
	return result;
}

static void test_password(void **state)
{
	static const struct password_cost cheap = { .ops = 1, .mem_kib = 64 };
	uint8_t secret[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN], other[ADDRESS_KEY_LEN];
	char longest[PASSWORD_MAX + 2];
	struct address a, unknown;
	struct address_info info;
	struct login l = { 0 };
	struct ident token;

	(void)state;
	password_cost_fake(&cheap);
	assert_int_equal(addresses_create(store, "lamp", NULL, &a, &token), 0);
	assert_int_equal(addresses_open(store, &a, &token, true, secret), 0);
	assert_int_equal(addresses_open_key(store, &a, &token, key), 0);
	unknown = a;
	unknown.b[3] ^= 1;
	/* None set, none known. */
	assert_int_equal(login(&a, "", &l), -EACCES);
	assert_int_equal(login(&a, "secret", &l), -EACCES);
	assert_int_equal(login(&unknown, "secret", &l), -EACCES);

	memset(other, 5, sizeof(other));
	assert_int_equal(set_password(&a, other, "secret"), -EACCES);
	assert_int_equal(set_password(&unknown, key, "secret"), -ENOENT);
	assert_int_equal(set_password(&a, key, ""), -EINVAL);
	memset(longest, 'x', sizeof(longest));
	longest[PASSWORD_MAX + 1] = 0;
	assert_int_equal(set_password(&a, key, longest), -EINVAL);
	assert_int_equal(login(&a, longest, &l), -EACCES);
	assert_int_equal(set_password(&a, key, "secret"), 0);
	reopen();
	assert_int_equal(login(&a, "secret", &l), 0);
	assert_memory_equal(l.secret, secret, sizeof(secret));
	assert_memory_equal(l.key, key, sizeof(key));
	assert_int_equal(login(&a, "secreT", &l), -EACCES);
	assert_int_equal(login(&a, "", &l), -EACCES);
	assert_int_equal(login(&unknown, "secret", &l), -EACCES);
	assert_int_equal(addresses_each(store, name_of, &info), 0);
	assert_true(info.has_password);

	/* Another password: the old one is over, the token is not. */
	longest[PASSWORD_MAX] = 0;
	assert_int_equal(set_password(&a, l.key, longest), 0);
	assert_int_equal(login(&a, "secret", &l), -EACCES);
	assert_int_equal(login(&a, longest, &l), 0);
	assert_memory_equal(l.key, key, sizeof(key));
	assert_int_equal(addresses_open_key(store, &a, &token, other), 0);
	assert_memory_equal(other, key, sizeof(key));
	assert_int_equal(addresses_open(store, &a, &token, true, secret), 0);

	/* Destroyed while a login is under way. */
	assert_int_equal(addresses_login(store, &a, longest, on_login, &l), 0);
	assert_int_equal(addresses_remove(store, &a), 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(l.err, -EACCES);
	assert_int_equal(login(&a, longest, &l), -EACCES);
	password_cost_fake(NULL);
}

/* Many at once: each gets its answer, and commits go on meanwhile. */
static void test_logins(void **state)
{
	static const struct password_cost cost = { .ops = 1, .mem_kib = 1024 };
	uint8_t key[ADDRESS_KEY_LEN];
	struct login l = { 0 };
	struct ident token;
	struct address a;
	int done = 1;

	(void)state;
	password_cost_fake(&cost);
	assert_int_equal(addresses_create(store, NULL, NULL, &a, &token), 0);
	assert_int_equal(addresses_open_key(store, &a, &token, key), 0);
	assert_int_equal(set_password(&a, key, "p"), 0);
	for (int i = 0; i < 50; i++)
		assert_int_equal(addresses_login(store, &a, "p", on_login, &l), 0);
	assert_int_equal(store_put(store, STORE_DONE, "x", 1, "y", 1), 0);
	store_commit(store, on_set, &done);
	while (done == 1)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(done, 0);
	while (l.n < 50)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(l.err, 0);
	password_cost_fake(NULL);
}

struct found {
	char text[512];
};

static int find(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct found *f = ctx;

	snprintf(f->text + strlen(f->text), sizeof(f->text) - strlen(f->text), "%.*s=%.*s ",
		 (int)key_len, (const char *)key, (int)value_len, (const char *)value);
	return 0;
}

static void test_records(void **state)
{
	uint8_t key[2][ADDRESS_KEY_LEN];
	struct ident token[2];
	struct address a[2];
	struct records r[2], wrong;
	struct found f = { "" };
	char value[16];

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(addresses_create(store, NULL, NULL, &a[i], &token[i]), 0);
		assert_int_equal(addresses_open_key(store, &a[i], &token[i], key[i]), 0);
		records_open(&r[i], store, &a[i], key[i]);
	}
	records_open(&wrong, store, &a[0], key[1]);
	assert_int_equal(records_put(&r[0], RECORD_CONTACT, "bob", 3, "friend", 6), 0);
	assert_int_equal(records_put(&r[0], RECORD_SERVICE, "bob", 3, "data", 4), 0);
	assert_int_equal(records_put(&r[1], RECORD_CONTACT, "bob", 3, "foe", 3), 0);
	assert_int_equal(records_put(&r[0], RECORD_CONTACT, "", 0, "x", 1), -EINVAL);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(records_get(&r[0], RECORD_CONTACT, "bob", 3, value, 16), 6);
		assert_memory_equal(value, "friend", 6);
		assert_int_equal(records_get(&r[1], RECORD_CONTACT, "bob", 3, value, 16), 3);
		assert_memory_equal(value, "foe", 3);
		assert_int_equal(records_get(&r[0], RECORD_SERVICE, "bob", 3, value, 3), -EMSGSIZE);
		assert_int_equal(records_get(&r[1], RECORD_SERVICE, "bob", 3, value, 16), -ENOENT);
		/* With another's key there is nothing to be seen. */
		assert_int_equal(records_get(&wrong, RECORD_CONTACT, "bob", 3, value, 16), -ENOENT);
		assert_int_equal(records_each(&wrong, RECORD_CONTACT, find, &f), 0);
		assert_string_equal(f.text, "");
		if (round)
			break;
		reopen();
		for (int i = 0; i < 2; i++)
			r[i].store = store;
		wrong.store = store;
	}
	assert_int_equal(records_each(&r[0], RECORD_CONTACT, find, &f), 0);
	assert_string_equal(f.text, "bob=friend ");
	assert_int_equal(records_put(&r[0], RECORD_CONTACT, "eve", 3, "", 0), 0);
	assert_int_equal(records_del(&r[0], RECORD_CONTACT, "bob", 3), 0);
	f.text[0] = 0;
	assert_int_equal(records_each(&r[0], RECORD_CONTACT, find, &f), 0);
	assert_string_equal(f.text, "eve= ");
	for (int i = 0; i < 300; i++)
		assert_int_equal(records_put(&r[0], RECORD_MESSAGE, &i, sizeof(i), "m", 1), 0);
	assert_int_equal(records_remove_all(store, &a[0]), 0);
	f.text[0] = 0;
	for (int kind = 1; kind < RECORD_KINDS; kind++)
		assert_int_equal(records_each(&r[0], kind, find, &f), 0);
	assert_int_equal(records_each(&r[1], RECORD_CONTACT, find, &f), 0);
	assert_string_equal(f.text, "bob=foe ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flipped_bits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_router, setup, teardown),
		cmocka_unit_test_setup_teardown(test_format_1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_password, setup, teardown),
		cmocka_unit_test_setup_teardown(test_logins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
