// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Tokens and sessions under a clock of our own, the registry of services, names of
 * services, and whose program is at the other end of a connection.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "proto/service.h"
#include "ratmand/api/token.h"
#include "ratmand/kern/sockdiag.h"
#include "ratmand/service/registry.h"

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
		while (token_table_take_expired(t, &s)) {
			assert_true(deadline[s.uid] && deadline[s.uid] <= now);
			deadline[s.uid] = 0;
		}
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

/* Registry ---------------------------------------------------------------------- */

static void collect(void *ctx, const char *name, const char *text)
{
	strcat(ctx, name);
	strcat(ctx, "=");
	strcat(ctx, text);
	strcat(ctx, " ");
}

static void names_that_are_registered(void **state)
{
	struct registry *r = registry_new();
	struct registered *b, *a, *again;
	char all[64] = "", name[16];

	(void)state;
	assert_int_equal(registry_add(r, "b.x", "bee", &b), 0);
	assert_int_equal(registry_add(r, "a.x", NULL, &a), 0);
	assert_int_equal(registry_add(r, "b.x", "other", &again), -EEXIST);
	assert_true(registry_has(r, "a.x") && registry_has(r, "b.x") && !registry_has(r, "b"));
	registry_each(r, collect, all);
	assert_string_equal(all, "a.x= b.x=bee ");
	registry_remove(r, b);
	assert_false(registry_has(r, "b.x"));
	assert_int_equal(registry_add(r, "b.x", "new", &b), 0);
	for (int i = 2; i < LIMIT_SERVICES; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		assert_int_equal(registry_add(r, name, NULL, &again), 0);
	}
	assert_int_equal(registry_add(r, "more", NULL, &again), -EMFILE);
	registry_remove(r, a);
	assert_int_equal(registry_add(r, "more", NULL, &again), 0);
	registry_free(r);
}

static void names_of_services(void **state)
{
	static const char *const good_names[] = { "a", "net.qaul.chat", "größe", "a-b_c.D", "libqaul" };
	static const char *const bad_names[] = { "", ".", "a.", ".a", "a..b", "a b", "a\n", "\x7f",
						 "\xff", "a\xc2\x80", "\xc0\xae" };
	char longest[LIMIT_SERVICE_NAME + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good_names) / sizeof(good_names[0]); i++)
		assert_true(service_name_is_valid(good_names[i]));
	for (size_t i = 0; i < sizeof(bad_names) / sizeof(bad_names[0]); i++)
		assert_false(service_name_is_valid(bad_names[i]));
	memset(longest, 'x', sizeof(longest));
	longest[LIMIT_SERVICE_NAME + 1] = '\0';
	assert_false(service_name_is_valid(longest));
	longest[LIMIT_SERVICE_NAME] = '\0';
	assert_true(service_name_is_valid(longest));
	assert_true(service_name_is_reserved("ratman._int.x") &&
		    service_name_is_reserved("libqaul._int."));
	assert_false(service_name_is_reserved("ratman._int") || service_name_is_reserved("x"));
}

/* Requests, cut at every byte and with one more: read as they were written, or refused. */
static void codec(void **state)
{
	const struct service_value value = {
		.user = { { 7 } }, .key = { "a.b", "ns", "key" }, .data = (const uint8_t *)"\0v", .len = 2,
	};
	const struct service_list list = { .user = { { 7 } }, .service = "a.b", .ns = "ns" };
	const struct service_create create = { "a.b", "text" };
	struct service_create create_out;
	struct service_value out;
	struct service_list list_out;
	uint8_t buf[128];
	struct wire_writer w;

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	service_value_write(&w, &value, true);
	for (size_t n = 0; n <= wire_len(&w) + 1; n++)
		assert_int_equal(service_value_read(buf, n, true, &out),
				 n == wire_len(&w) ? 0 : -EPROTO);
	assert_int_equal(service_value_read(buf, wire_len(&w), true, &out), 0);
	assert_string_equal(out.key.service, "a.b");
	assert_string_equal(out.key.ns, "ns");
	assert_string_equal(out.key.key, "key");
	assert_true(out.len == 2 && !memcmp(out.data, "\0v", 2) && out.user.b[0] == 7);
	wire_write_init(&w, buf, sizeof(buf));
	service_list_write(&w, &list);
	for (size_t n = 0; n <= wire_len(&w) + 1; n++)
		assert_int_equal(service_list_read(buf, n, &list_out), n == wire_len(&w) ? 0 : -EPROTO);
	wire_write_init(&w, buf, sizeof(buf));
	service_create_write(&w, &create);
	for (size_t n = 0; n <= wire_len(&w) + 1; n++)
		assert_int_equal(service_create_read(buf, n, &create_out),
				 n == wire_len(&w) ? 0 : -EPROTO);
}

/* Who is at the other end --------------------------------------------------------- */

static int listen_any(struct sockaddr_in *at)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t len = sizeof(*at);

	*at = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

static void uid_of_the_other_end(void **state)
{
	struct sockaddr_in at;
	int diag = sockdiag_open(), listener = listen_any(&at), there, here;
	uid_t uid = 12345;

	(void)state;
	if (diag < 0)
		skip();
	there = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* A socket belongs to whoever has made it. */
	if (!geteuid())
		assert_int_equal(fchown(there, 4711, (gid_t)-1), 0);
	assert_int_equal(connect(there, (struct sockaddr *)&at, sizeof(at)), 0);
	here = accept(listener, NULL, NULL);
	assert_true(here >= 0);
	assert_int_equal(sockdiag_uid(diag, here, &uid), 0);
	assert_int_equal(uid, geteuid() ? geteuid() : 4711);
	/* Nobody's any more: not the superuser's, as the kernel has it. */
	uid = 12345;
	close(there);
	assert_true(sockdiag_uid(diag, here, &uid) < 0);
	assert_int_equal(uid, 12345);
	close(here);
	close(listener);
	close(diag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_tokens_of_an_address), cmocka_unit_test(sessions_expire),
		cmocka_unit_test(random_sessions), cmocka_unit_test(names_that_are_registered),
		cmocka_unit_test(names_of_services), cmocka_unit_test(codec),
		cmocka_unit_test(uid_of_the_other_end),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
