// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol server turned by hand: what one client gets in one turn
 * of the loop, what is left of a client cut off at any byte, and what a token
 * that is no good costs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "api_fake.h"
#include "api_late.h"
#include "base/log.h"
#include "golden.h"
#include "ratmand/api/server.h"

#define REQUEST "\0\0\0\7\0\x34\0\0\0\0\0"
#define REQUEST_LEN 11
#define HELLO "\0\0\0\7\0\x10\0\0\0\0\x05\1\0\1\1\7"
#define HELLO_LEN 16
#define HELLO_OK_LEN 14
#define STATUS_LEN 44

static uv_loop_t loop;
static struct fake *fake;
static struct api_server *server;
static struct api_config cfg;
static struct address a, b;
static struct ident token;

static void keep(void *ctx, int err, const struct address *address, const struct ident *t)
{
	assert_int_equal(err, 0);
	*(struct address *)ctx = *address;
	if (ctx == &a)
		token = *t;
}

static void ignore(void *ctx, int err)
{
	(void)ctx;
	assert_int_equal(err, 0);
}

static int setup(void **state)
{
	char why[128];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	uv_loop_init(&loop);
	fake = fake_new();
	api_config_defaults(&cfg);
	cfg.bind = "127.0.0.1:0";
	cfg.limits.linger_ms = 0;
	cfg.limits.send_grace_ms = 1;
	cfg.limits.send_empty_ms = 1;
	cfg.limits.turn_requests = 10;
	cfg.limits.auth_failures = 1000000;
	if (api_server_new(&server, &loop, &cfg, late_ops(&fake_ops), fake, why, sizeof(why)))
		fail_msg("%s", why);
	fake_ops.addr_create(fake, NULL, NULL, keep, &a);
	fake_ops.addr_create(fake, NULL, NULL, keep, &b);
	fake_ops.addr_up(fake, &a, &token, ignore, NULL);
	assert_int_equal(api_token_restore(server, &a, &token), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	api_server_free(server, NULL, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	assert_int_equal(late_busy(), 0);
	fake_free(fake);
	return 0;
}

static int dial(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(api_server_adopt(server, pair[0]), 0);
	return pair[1];
}

static void say(int fd, const void *data, size_t len)
{
	assert_int_equal(write(fd, data, len), len);
}

/* @n requests in one go. */
static void ask(int fd, size_t n)
{
	char *all = malloc(n * REQUEST_LEN);

	for (size_t i = 0; i < n; i++)
		memcpy(all + i * REQUEST_LEN, REQUEST, REQUEST_LEN);
	say(fd, all, n * REQUEST_LEN);
	free(all);
}

static void turn(void)
{
	uv_run(&loop, UV_RUN_NOWAIT);
}

/* Reads what is there; the number of bytes. */
static size_t hear(int fd)
{
	static char sink[1 << 20];
	ssize_t n = read(fd, sink, sizeof(sink));

	return n > 0 ? (size_t)n : 0;
}

static int hello(void)
{
	int fd = dial();

	say(fd, HELLO, HELLO_LEN);
	for (int i = 0; i < 3; i++)
		turn();
	assert_int_equal(hear(fd), HELLO_OK_LEN);
	return fd;
}

static void hang_up(int fd)
{
	close(fd);
	for (int i = 0; i < 1000 && api_server_counters(server)->clients; i++)
		turn();
	assert_int_equal(api_server_counters(server)->clients, 0);
}

/* A client with a thousand requests and one with one: the one is answered in the first turn. */
static void one_does_not_starve_another(void **state)
{
	int greedy = hello(), modest = hello();
	size_t turns = 0, heard = 0, each;

	(void)state;
	ask(greedy, 1000);
	ask(modest, 1);
	turn();
	assert_int_equal(hear(modest), STATUS_LEN);
	assert_true(hear(greedy) <= (size_t)cfg.limits.turn_requests * STATUS_LEN);
	heard = (size_t)cfg.limits.turn_requests;
	while (heard < 1000 && turns++ < 2000) {
		turn();
		each = hear(greedy) / STATUS_LEN;
		assert_true(each <= cfg.limits.turn_requests);
		heard += each;
		if (heard < 900) {
			ask(modest, 1);
			turn();
			each = hear(greedy) / STATUS_LEN;
			assert_true(each <= cfg.limits.turn_requests);
			heard += each;
			assert_int_equal(hear(modest), STATUS_LEN);
		}
	}
	assert_int_equal(heard, 1000);
	assert_true(api_server_counters(server)->yielded_requests >= 99);
	close(modest);
	hang_up(greedy);
}

/* Asked again and again while it waits for its turn, gone while it waits. */
static void killed_in_line(void **state)
{
	int fds[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		fds[i] = hello();
		ask(fds[i], 200);
	}
	turn();
	for (int i = 0; i < 19; i++)
		close(fds[i]);
	hang_up(fds[19]);
}

/* Hangs up; late answers are given only when the client is already dead. */
static void hang_up_late(int fd)
{
	close(fd);
	for (int i = 0; i < 3; i++)
		turn();
	late_set(false);
	for (int i = 0; i < 1000 && api_server_counters(server)->clients; i++)
		turn();
	assert_int_equal(api_server_counters(server)->clients, 0);
	/* A data socket and what it held go in the turn after. */
	turn();
}

static void send_inline(int fd, size_t len)
{
	uint8_t frame[256], *p = frame;
	static uint8_t stream[60000];

	/* A Send/One of 76 bytes with @len bytes behind it. */
	memcpy(p, "\0\0\0\x26\6\x32", 6);
	memcpy(p + 6, token.b, 32);
	memcpy(p + 38, "\0\0\0\x4c\1", 5);
	memcpy(p + 43, a.b, 32);
	p[75] = 1;
	memcpy(p + 76, b.b, 32);
	memset(p + 108, 0, 10);
	p[114] = (uint8_t)(len >> 8);
	p[115] = (uint8_t)len;
	say(fd, frame, 118);
	memset(stream, 'x', sizeof(stream));
	say(fd, stream, len);
}

/* A stream comes in pieces of a turn, and requests behind it are answered after it. */
static void a_stream_takes_turns(void **state)
{
	int fd = dial(), turns = 0;
	size_t streams = fake_waiting(fake);

	(void)state;
	say(fd, "\0\0\0\7\0\x10\0\0\0\0\3\1\0\1", 14);
	for (int i = 0; i < 10; i++)
		send_inline(fd, 10000);
	ask(fd, 1);
	while (turns++ < 1000 && hear(fd) < STATUS_LEN)
		turn();
	assert_int_equal(fake_waiting(fake), streams + 10);
	hang_up(fd);
}

/* Puts our address and token where the samples of the golden frames stand. */
static void be_us(uint8_t *frame, size_t len)
{
	for (size_t i = 0; i + 32 <= len; i++) {
		if (frame[i] == 0xa1 && frame[i + 31] == 0xc0)
			memcpy(frame + i, token.b, 32);
		else if (frame[i] == 0x01 && frame[i + 1] == 0x02 && frame[i + 31] == 0x20)
			memcpy(frame + i, a.b, 32);
		else if (frame[i] == 0x41 && frame[i + 31] == 0x60)
			memcpy(frame + i, b.b, 32);
	}
}

static size_t unhex(const char *hex, uint8_t *out)
{
	size_t n = strlen(hex) / 2;

	for (size_t i = 0; i < n; i++)
		sscanf(hex + 2 * i, "%2hhx", &out[i]);
	return n;
}

static void bring_up(void)
{
	fake_ops.addr_up(fake, &a, &token, ignore, NULL);
	api_token_restore(server, &a, &token);
}

/*
 * Every golden frame that is a request, cut at every byte by a close or a half
 * close, with answers of the backend in time, late, or never before the end.
 */
static void cut_at_every_byte(void **state)
{
	const struct api_counters *n = api_server_counters(server);

	(void)state;
	for (size_t g = 0; g < sizeof(golden) / sizeof(golden[0]); g++) {
		uint8_t frame[512];
		size_t len = unhex(golden[g].header, frame);

		len += unhex(golden[g].payload, frame + len);
		be_us(frame, len);
		/* Only the frames that create and destroy addresses would wear the fake out. */
		if (frame[4] == 1 && frame[5] <= 2)
			continue;
		for (size_t cut = 0; cut <= len; cut++) {
			for (int how = 0; how < 4; how++) {
				int fd = dial();

				late_set(how & 2);
				say(fd, HELLO, HELLO_LEN);
				if (cut)
					say(fd, frame, cut);
				if (how & 1) {
					shutdown(fd, SHUT_WR);
					for (int i = 0; i < 4; i++)
						turn();
				}
				turn();
				hang_up_late(fd);
				assert_int_equal(n->helpers, 0);
				assert_int_equal(n->queued, 0);
				assert_int_equal(late_busy(), 0);
				bring_up();
			}
		}
	}
}

static void ask_denied(int fd, uint16_t mode, const uint8_t *t, size_t *checks)
{
	uint8_t frame[128];
	size_t at = 6, before = late_checks();

	memcpy(frame, t ? "\0\0\0\x26" : "\0\0\0\7", 4);
	frame[4] = (uint8_t)(mode >> 8);
	frame[5] = (uint8_t)mode;
	if (t)
		memcpy(frame + at, t, 32);
	else
		frame[at] = 0;
	at += t ? 32 : 1;
	memcpy(frame + at, "\0\0\0\x20", 4);
	memcpy(frame + at + 4, a.b, 32);
	say(fd, frame, at + 4 + 32);
	for (int i = 0; i < 3; i++)
		turn();
	/* Length, header, payload of InvalidAuth without a token. */
	assert_int_equal(hear(fd), 4 + 7 + 9);
	*checks = late_checks() - before;
}

/* The same work for each: no measure of it could tell them apart. */
static void bad_tokens_cost_the_same(void **state)
{
	struct ident wrong = token, foreign;
	const uint8_t *kinds[] = { wrong.b, foreign.b, NULL };
	int fd = hello();
	size_t checks;

	(void)state;
	wrong.b[31] ^= 0x40;
	memset(foreign.b, 0x77, sizeof(foreign.b));
	for (size_t i = 0; i < 3; i++) {
		ask_denied(fd, 0x0111, kinds[i], &checks);
		assert_int_equal(checks, 1);
		ask_denied(fd, 0x0102, kinds[i], &checks);
		assert_int_equal(checks, 1);
	}
	hang_up(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_does_not_starve_another),
		cmocka_unit_test(killed_in_line),
		cmocka_unit_test(a_stream_takes_turns),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(bad_tokens_cost_the_same),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
