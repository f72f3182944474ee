// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tokens and sessions under a clock of our own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "ratmand/api/token.h"

static const struct address A = { { 1 } }, B = { { 2 } };

static struct ident token_of(uint8_t n)
{
	struct ident token;

	memset(token.b, n, sizeof(token.b));
	return token;
}

static int open_session(struct token_table *t, const struct address *a, uint8_t n, uint64_t deadline)
{
	struct token_session s = { .address = *a, .token = token_of(n), .uid = n };

	return token_table_open(t, &s, deadline);
}

static bool good(const struct token_table *t, const struct address *a, uint8_t n)
{
	struct ident token = token_of(n);
	struct address found;
	bool knows = token_table_find(t, &token, &found);

	assert_int_equal(knows, token_table_knows(t, &token));
	if (token_table_check(t, a, &token)) {
		assert_true(knows && address_equal(&found, a));
		return true;
	}
	return false;
}

static void many_tokens_of_an_address(void **state)
{
	struct ident lasting = token_of(9), other = token_of(8);
	struct token_table *t = token_table_new();
	struct token_session s;

	(void)state;
	assert_int_equal(token_table_put(t, &A, &lasting), 0);
	assert_int_equal(open_session(t, &A, 1, 100), 0);
	assert_int_equal(open_session(t, &A, 2, 100), 0);
	assert_int_equal(open_session(t, &B, 3, 100), 0);
	assert_int_equal(open_session(t, &B, 3, 100), -EEXIST);
	assert_int_equal(open_session(t, &A, 9, 100), -EEXIST);
	assert_int_equal(open_session(t, &A, 0, 100), -EEXIST);
	assert_true(good(t, &A, 9) && good(t, &A, 1) && good(t, &A, 2) && good(t, &B, 3));
	/* Another's, unknown. */
	assert_false(good(t, &B, 1) || good(t, &A, 3) || good(t, &A, 4) || good(t, &A, 0));
	assert_int_equal(token_table_count(t), 4);
	assert_int_equal(token_table_sessions(t), 3);
	assert_int_equal(token_table_sessions_of(t, &A), 2);
	assert_int_equal(token_table_most(t), 2);
	assert_true(token_table_is_session(t, &(struct ident){ { 0 } }) == false);
	/* The lasting one is replaced, and the sessions stay; it is none. */
	assert_int_equal(token_table_put(t, &A, &other), 0);
	assert_true(good(t, &A, 8) && good(t, &A, 1) && !good(t, &A, 9));
	assert_false(token_table_close(t, &other, &s) || token_table_is_session(t, &other));
	token_table_remove(t, &A);
	assert_true(!good(t, &A, 8) && good(t, &A, 2) && token_table_has(t, &A));
	/* One after the other they end. */
	other = token_of(1);
	assert_true(token_table_is_session(t, &other) && token_table_close(t, &other, &s));
	assert_true(address_equal(&s.address, &A) && ident_equal(&s.token, &other) && s.uid == 1);
	assert_false(token_table_close(t, &other, &s) || good(t, &A, 1));
	assert_true(good(t, &A, 2) && token_table_take(t, &A, &s) && s.uid == 2);
	assert_false(token_table_take(t, &A, &s) || token_table_has(t, &A) || good(t, &A, 2));
	assert_true(good(t, &B, 3));
	token_table_free(t);
}

static void sessions_expire(void **state)
{
	struct token_table *t = token_table_new();
	struct ident renewed = token_of(1), lasting = token_of(9);
	struct token_session s;

	(void)state;
	assert_true(token_table_next(t) == UINT64_MAX);
	token_table_set_now(t, 1000);
	assert_int_equal(token_table_put(t, &A, &lasting), 0);
	assert_int_equal(open_session(t, &A, 1, 1100), 0);
	assert_int_equal(open_session(t, &A, 2, 1101), 0);
	assert_int_equal(open_session(t, &B, 3, 1050), 0);	/* another timeout */
	assert_int_equal(token_table_next(t), 1050);
	token_table_set_now(t, 1049);
	assert_false(token_table_take_expired(t, &s));
	assert_true(good(t, &B, 3));
	/* Over at the deadline, and before anybody has taken it out. */
	token_table_set_now(t, 1050);
	assert_false(good(t, &B, 3));
	token_table_renew(t, &(struct ident){ { 3 } }, 5000);
	s.token = token_of(3);
	token_table_renew(t, &s.token, 5000);		/* too late */
	assert_false(good(t, &B, 3));
	assert_true(token_table_take_expired(t, &s) && s.uid == 3 && address_equal(&s.address, &B));
	assert_false(token_table_take_expired(t, &s));
	/* Whoever is used lives longer; the others do not. */
	token_table_set_now(t, 1099);
	token_table_renew(t, &renewed, 1199);
	token_table_renew(t, &lasting, 1);
	token_table_set_now(t, 1150);
	assert_true(good(t, &A, 1) && !good(t, &A, 2) && good(t, &A, 9));
	assert_true(token_table_take_expired(t, &s) && s.uid == 2);
	assert_false(token_table_take_expired(t, &s));
	assert_int_equal(token_table_next(t), 1199);
	token_table_set_now(t, UINT64_MAX - 1);
	assert_true(good(t, &A, 9) && !good(t, &A, 1));
	assert_true(token_table_take_expired(t, &s) && s.uid == 1);
	assert_true(token_table_next(t) == UINT64_MAX && token_table_has(t, &A));
	token_table_free(t);
}

/* Against an array: what is open, and in which order they end. */
static void random_sessions(void **state)
{
	struct token_table *t = token_table_new();
	uint64_t deadline[256] = { 0 }, now = 1;
	struct token_session s;

	(void)state;
	for (int step = 0; step < 20000; step++) {
		uint8_t n = (uint8_t)(1 + randombytes_uniform(255));
		struct ident token = token_of(n);
		const struct address *a = n & 1 ? &A : &B;

		now += randombytes_uniform(3);
		token_table_set_now(t, now);
		for (uint64_t last = 0; token_table_take_expired(t, &s); deadline[s.uid] = 0) {
			assert_true(deadline[s.uid] > 0 && deadline[s.uid] <= now);
			assert_true(deadline[s.uid] >= last);
			last = deadline[s.uid];
		}
		for (int i = 0; i < 256; i++)
			assert_true(!deadline[i] || deadline[i] > now);
		switch (randombytes_uniform(3)) {
		case 0:
			assert_int_equal(open_session(t, a, n, now + 1 + n), deadline[n] ? -EEXIST : 0);
			if (!deadline[n])
				deadline[n] = now + 1 + n;
			break;
		case 1:
			token_table_renew(t, &token, now + 200);
			if (deadline[n])
				deadline[n] = now + 200;
			break;
		case 2:
			assert_int_equal(good(t, a, n), deadline[n] != 0);
			if (randombytes_uniform(4))
				break;
			assert_int_equal(token_table_close(t, &token, &s), deadline[n] != 0);
			deadline[n] = 0;
		}
	}
	token_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_tokens_of_an_address), cmocka_unit_test(sessions_expire),
		cmocka_unit_test(random_sessions),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
