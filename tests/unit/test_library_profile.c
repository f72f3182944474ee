// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libratman's profiles against a daemon that dribbles and lies: what comes is taken
 * apart wholly or refused, and what cannot be right is not even sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <poll.h>
#include <cmocka.h>

#include "mini_daemon.h"
#include "proto/header.h"
#include "ratman/ratman.h"

#define A "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" \
	  "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20"
#define TIME "2020-01-02T03:04:05.000000006+00:00"
#define LEN(literal) (sizeof(literal) - 1)

#define FULL "\1" A "\1ali\0" "\1\0" "\0\2" "city\0Bonn\0" "zip\0\0" "\0\2" "net.chat\0" "org.pay\0" \
	     "\0\0\0\3" "\xff\0\x7f" "\3" TIME
#define EMPTY "\1" A "\0" "\0" "\0\0" "\0\0" "\0\0\0\0" "\0" TIME
#define TWO "\x22\0\2" FULL EMPTY

static const struct ratman_id id = { "an address of thirty-two bytes.." };

/* The reply with which the daemon answers whatever it is asked. */
static uint8_t reply[4096];

static void answer(struct mini *m, const void *payload, size_t len)
{
	const struct frame_header h = { .mode = 0x0930, .payload_len = (uint32_t)len };
	size_t n = header_write(reply, &h);

	memcpy(reply + n, payload, len);
	m->evil = reply;
	m->evil_len = n + len;
}

static int setup(void **state)
{
	struct mini *m;

	mini_setup(state);
	m = *state;
	m->extended = true;
	m->dribble = 7;
	return 0;
}

static struct ratman *connect_to(struct mini *m)
{
	struct ratman *r;

	assert_int_equal(ratman_new(&r, m->bind), 0);
	ratman_set_nonblocking(r, true);
	return r;
}

static void wait_turn(struct mini *m, struct ratman *r)
{
	struct pollfd p = { .fd = ratman_fd(r), .events = POLLIN };

	while (poll(&p, 1, 0) != 1)
		mini_turn(m, 1);
}

#define THROUGH(m_, r_, result_, call_) \
	do { \
		while (((result_) = (call_)) == RATMAN_EAGAIN) \
			wait_turn(m_, r_); \
	} while (0)

static int list(struct mini *m, struct ratman *r, struct ratman_profile **out, size_t *n)
{
	int err;

	THROUGH(m, r, err, ratman_user_list(r, RATMAN_USERS_ALL, 0, 10, out, n));
	return err;
}

static void taken_apart(void **state)
{
	struct mini *m = *state;
	struct ratman *r = connect_to(m);
	struct ratman_profile *p;
	size_t n;

	answer(m, TWO, LEN(TWO));
	assert_int_equal(list(m, r, &p, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(p[0].id.b, A, 32);
	assert_string_equal(p[0].handle, "ali");
	assert_string_equal(p[0].display_name, "");
	assert_int_equal(p[0].n_bio, 2);
	assert_string_equal(p[0].bio[0].key, "city");
	assert_string_equal(p[0].bio[0].value, "Bonn");
	assert_string_equal(p[0].bio[1].value, "");
	assert_int_equal(p[0].n_services, 2);
	assert_string_equal(p[0].services[1], "org.pay");
	assert_int_equal(p[0].avatar_len, 3);
	assert_memory_equal(p[0].avatar, "\xff\0\x7f", 3);
	assert_true(p[0].local && p[0].online);
	assert_true(p[0].updated_ns == 1577934245000000006);
	assert_null(p[1].handle);
	assert_null(p[1].display_name);
	assert_null(p[1].avatar);
	assert_int_equal(p[1].n_bio + p[1].n_services + p[1].avatar_len, 0);
	assert_false(p[1].local || p[1].online);
	ratman_free(p);
	answer(m, "\x22\0\0", 3);
	assert_int_equal(list(m, r, &p, &n), 0);
	assert_int_equal(n, 0);
	ratman_free(p);
	ratman_close(r);
}

/* Cut anywhere, or with something behind it, it is no answer. */
static void lies(void **state)
{
	struct mini *m = *state;
	struct ratman *r = connect_to(m);
	struct ratman_profile *p;
	size_t n;
	int err;

	m->dribble = 0;
	for (size_t cut = 1; cut < LEN(TWO); cut++) {
		answer(m, TWO, cut);
		assert_int_equal(list(m, r, &p, &n), RATMAN_EPROTOCOL);
	}
	answer(m, TWO "x", LEN(TWO) + 1);
	assert_int_equal(list(m, r, &p, &n), RATMAN_EPROTOCOL);
	/* One user was asked for. */
	answer(m, TWO, LEN(TWO));
	THROUGH(m, r, err, ratman_user_get(r, &id, &p));
	assert_int_equal(err, RATMAN_EPROTOCOL);
	answer(m, "\x22\0\1" FULL, 3 + LEN(FULL));
	THROUGH(m, r, err, ratman_user_get(r, &id, &p));
	assert_int_equal(err, 0);
	ratman_free(p);
	ratman_close(r);
}

static void errors(void **state)
{
	const struct ratman_user_term term = { "handle", "x", RATMAN_MATCH_EXACT };
	struct ratman_user_change change = { .handle = "x" };
	struct mini *m = *state;
	struct ratman *r = connect_to(m);
	struct ratman_profile *p;
	size_t n;
	int err;

	answer(m, "\x20\1" "nobody here\0", 14);
	THROUGH(m, r, err, ratman_user_get(r, &id, &p));
	assert_int_equal(err, RATMAN_ENOUSER);
	assert_string_equal(ratman_error_text(r), "nobody here");
	answer(m, "\x20\4" "no query\0", 11);
	THROUGH(m, r, err, ratman_user_search(r, &term, 1, 0, 1, &p, &n));
	assert_int_equal(err, RATMAN_EQUERY);
	answer(m, "\x20\6" "too large\0", 12);
	THROUGH(m, r, err, ratman_user_modify(r, &id, &id, &change));
	assert_int_equal(err, RATMAN_EPAYLOAD);
	ratman_close(r);
	/* A daemon of old has none, and is not asked. */
	m->extended = false;
	r = connect_to(m);
	n = m->requests;
	assert_int_equal(list(m, r, &p, &n), RATMAN_ENOTSUPPORTED);
	THROUGH(m, r, err, ratman_user_modify(r, &id, &id, &change));
	assert_int_equal(err, RATMAN_ENOTSUPPORTED);
	ratman_close(r);
}

/* Nor is a list of files with something behind it one. */
static void lies_about_files(void **state)
{
	struct ratman_file *files;
	struct mini *m = *state;
	struct ratman *r = connect_to(m);
	size_t n;
	int err;

	answer(m, "\x2b\0\0", 3);
	THROUGH(m, r, err, ratman_file_list(r, &id, &id, RATMAN_FILE_ANY, NULL, &files, &n));
	assert_int_equal(err, 0);
	assert_int_equal(n, 0);
	ratman_free(files);
	answer(m, "\x2b\0\0x", 4);
	THROUGH(m, r, err, ratman_file_list(r, &id, &id, RATMAN_FILE_ANY, NULL, &files, &n));
	assert_int_equal(err, RATMAN_EPROTOCOL);
	ratman_close(r);
}

/* A daemon of old is sent no password, no value, no message: it is not asked at all. */
static void no_service_api(void **state)
{
	const struct ratman_message_out message = { .service = "s", .data = "x", .len = 1 };
	const struct ratman_service_key key = { "net.chat", NULL, "k" };
	struct ratman_id made, token;
	struct ratman_subscription sub;
	struct mini *m = *state;
	struct ratman_file *files;
	struct ratman *r;
	void *value;
	size_t n, asked;
	int err;

	m->extended = false;
	r = connect_to(m);
	THROUGH(m, r, err, ratman_user_create(r, "secret", NULL, &made, &token));
	assert_int_equal(err, RATMAN_ENOTSUPPORTED);
	asked = m->requests;
	assert_int_equal(ratman_user_login(r, &id, "secret", &token), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_user_set_password(r, &id, &id, "secret"), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_user_logout(r, &id, &id), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_user_destroy(r, &id, &id, true), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_service_register(r, "net.chat", NULL, &sub), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_service_put(r, &id, &id, &key, "v", 1), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_service_get(r, &id, &id, &key, &value, &n), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_message_send(r, &id, &id, &message, &made), RATMAN_ENOTSUPPORTED);
	assert_int_equal(ratman_file_list(r, &id, &id, RATMAN_FILE_ANY, NULL, &files, &n),
			 RATMAN_ENOTSUPPORTED);
	mini_turn(m, 1);
	assert_int_equal(m->requests, asked);
	ratman_close(r);
}

static int modify(struct ratman *r, const struct ratman_user_change *change)
{
	return ratman_user_modify(r, &id, &id, change);
}

/* What cannot be right is said before anything is sent: there is no daemon here. */
static void arguments(void **state)
{
	static const char *const one[] = { "service" }, *const none[] = { "" };
	static char long_text[300];
	static uint8_t avatar[32769];
	const struct ratman_tag wrong[] = { { "", "v" } }, latin[] = { { "k", "\xe9" } };
	struct ratman_user_term terms[17] = { { NULL, "x", RATMAN_MATCH_EXACT } };
	struct ratman_user_change c = { .handle = long_text };
	struct ratman_profile *p;
	struct ratman *r;
	size_t n;

	(void)state;
	assert_int_equal(ratman_new(&r, "127.0.0.1:1"), 0);
	memset(long_text, 'x', 65);
	assert_int_equal(modify(r, &c), -E2BIG);
	long_text[64] = '\0';
	assert_int_equal(modify(r, &c), RATMAN_EUNREACHABLE);
	c = (struct ratman_user_change){ .avatar = avatar, .avatar_len = sizeof(avatar) };
	assert_int_equal(modify(r, &c), -E2BIG);
	c = (struct ratman_user_change){ .set_bio = wrong, .n_set_bio = 1 };
	assert_int_equal(modify(r, &c), -EINVAL);
	c.set_bio = latin;
	assert_int_equal(modify(r, &c), -EINVAL);
	c = (struct ratman_user_change){ .add_services = none, .n_add_services = 1 };
	assert_int_equal(modify(r, &c), -EINVAL);
	c = (struct ratman_user_change){ .add_services = one, .n_add_services = 1,
					 .remove_services = one, .n_remove_services = 1 };
	assert_int_equal(modify(r, &c), -EINVAL);
	assert_int_equal(ratman_user_search(r, terms, 17, 0, 1, &p, &n), -E2BIG);
	terms[0].match = (enum ratman_match)256;
	assert_int_equal(ratman_user_search(r, terms, 1, 0, 1, &p, &n), -EINVAL);
	terms[0] = (struct ratman_user_term){ "caf\xe9", "x", RATMAN_MATCH_EXACT };
	assert_int_equal(ratman_user_search(r, terms, 1, 0, 1, &p, &n), -EILSEQ);
	terms[0].attribute = NULL;
	assert_int_equal(ratman_user_list(r, (enum ratman_user_scope)256, 0, 1, &p, &n), -EINVAL);
	memset(long_text, 'x', 257);
	terms[0].pattern = long_text;
	assert_int_equal(ratman_user_search(r, terms, 1, 0, 1, &p, &n), -E2BIG);
	ratman_close(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(taken_apart, setup, mini_teardown),
		cmocka_unit_test_setup_teardown(lies, setup, mini_teardown),
		cmocka_unit_test_setup_teardown(errors, setup, mini_teardown),
		cmocka_unit_test_setup_teardown(lies_about_files, setup, mini_teardown),
		cmocka_unit_test_setup_teardown(no_service_api, setup, mini_teardown),
		cmocka_unit_test(arguments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
