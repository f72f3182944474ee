// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libratman against a daemon that dribbles, cuts off, lies, is silent and comes
 * back. Library and daemon take turns in one thread: a call of a handle that must
 * not block and blocks all the same would never end, and the alarm would say so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>

#include "mini_daemon.h"
#include "ratman/ratman.h"
#include "unit/scratch.h"

#define TURNS_MAX 200000

static const struct ratman_id address = { "an address of thirty-two bytes.." };
static const struct ratman_id token = { "a token of thirty-two good bytes" };
static const struct ratman_recipient to = { .id = { "another address of thirty-two b." } };

/* A handle that must not block. */
static struct ratman *nonblocking(struct mini *m)
{
	struct ratman *r;

	assert_int_equal(ratman_new(&r, m->bind), 0);
	ratman_set_nonblocking(r, true);
	assert_true(ratman_fd(r) >= 0);
	return r;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

/* Turns the daemon until ratman_fd() says that calling again is worth it. */
static void wait_turn(struct mini *m, struct ratman *r)
{
	int turns = 0;

	while (!readable(ratman_fd(r))) {
		mini_turn(m, 1);
		assert_true(++turns < TURNS_MAX);
	}
}

/* Makes a call until it is through; @result_ has its result. */
#define THROUGH(m_, r_, result_, call_) \
	do { \
		while (((result_) = (call_)) == RATMAN_EAGAIN) \
			wait_turn(m_, r_); \
	} while (0)

/* Reads one stream of zeroes to its end. Bytes, or an error. */
static int64_t read_stream(struct mini *m, struct ratman *r, struct ratman_recv *v)
{
	static uint8_t buf[10000];
	int64_t total = 0;
	ssize_t n;

	for (;;) {
		THROUGH(m, r, n, ratman_recv_read(v, buf, sizeof(buf)));
		if (n <= 0)
			return n ? n : total;
		total += n;
		assert_true(!buf[0] && !buf[n - 1]);
	}
}

/* Everything the library can ask, one after the other; the first error, or 0. */
static int everything(struct mini *m, struct ratman *r)
{
	struct ratman_id made, secret, *ids = NULL;
	struct ratman_peer *peers = NULL;
	struct ratman_letterhead head;
	struct ratman_status status;
	struct ratman_send *s;
	struct ratman_recv *v;
	int64_t got = 0;
	int err, next;
	size_t n;

	THROUGH(m, r, err, ratman_addr_create(r, "bob", &made, &secret));
	if (!err)
		THROUGH(m, r, err, ratman_addr_up(r, &address, &token));
	if (!err)
		THROUGH(m, r, err, ratman_addr_list(r, &ids, &n));
	ratman_free(ids);
	if (!err)
		THROUGH(m, r, err, ratman_peer_list(r, &peers, &n));
	if (!err)
		assert_true(n == 2 && peers[1].last_seen_ns == 2000000001 && peers[1].active);
	ratman_free(peers);
	if (!err)
		THROUGH(m, r, err, ratman_status(r, &status));
	if (!err) {
		assert_int_equal(status.locals, 3);
		THROUGH(m, r, err, ratman_send_begin(r, &address, &token, &to, 1, &s));
	}
	if (!err) {
		THROUGH(m, r, err, (int)ratman_send_some(s, "hello", 5));
		if (err < 0)
			ratman_send_abort(s);
		else
			THROUGH(m, r, err, ratman_send_end(s));
	}
	if (!err)
		THROUGH(m, r, err, ratman_recv_begin(r, &address, &token, NULL, 1, &v));
	if (err)
		return err;
	THROUGH(m, r, next, ratman_recv_next(v, &head, 0));
	if (next == 1)
		got = read_stream(m, r, v);
	ratman_recv_end(v);
	if (next != 1)
		return next;
	if (got < 0)
		return (int)got;
	assert_int_equal(got, head.stream_size);
	THROUGH(m, r, err, ratman_addr_destroy(r, &address, &token, true));
	return err;
}

static void at_full_speed(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);

	assert_int_equal(everything(m, r), 0);
	assert_int_equal(everything(m, r), 0);
	assert_int_equal(m->accepted, 1);
	assert_int_equal(m->received, 10);
	assert_int_equal(m->recv_limit, 1);
	assert_true(ratman_is_extended(r));
	ratman_close(r);
}

static void byte_by_byte(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);

	m->dribble = 1;
	assert_int_equal(everything(m, r), 0);
	m->extended = false;
	m->stream_size = 20000;
	ratman_cancel(r);
	assert_int_equal(everything(m, r), 0);
	assert_false(ratman_is_extended(r));
	assert_int_equal(m->accepted, 2);
	ratman_close(r);
}

/* Every reply ends after each of its bytes, and the handle is as good as new after it. */
static void cut_at_every_byte(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	uint64_t cut = 0;
	int err;

	do {
		m->cut = cut++;
		ratman_cancel(r);
		err = everything(m, r);
		assert_true(!err || err == RATMAN_ECLOSED);
		assert_true(cut < 5000);
	} while (err);
	assert_true(cut > 300);
	m->cut = UINT64_MAX;
	assert_int_equal(everything(m, r), 0);
	ratman_close(r);
}

static const struct {
	const char *bytes;
	size_t len;
} evils[] = {
#define EVIL(text_) { text_, sizeof(text_) - 1 }
	EVIL("\xff\xff\xff\xff\0\0\0"),				/* header of 4 GiB */
	EVIL("\0\0\0\7\0\0\0\xff\xff\xff\xff\1"),		/* payload of 4 GiB */
	EVIL("\0\0\0\7\0\0\0\0\x80\0\1\1"),			/* just over the limit */
	EVIL("\0\0\0\6\0\0\0\0\0\0"),				/* header too short */
	EVIL("\0\0\0\x41" "01234567890123456789012345678901234567890123456789012345678901234"),
	EVIL("HTTP/1.1 400 Bad Request\r\n\r\n"),
	EVIL("SSH-2.0-OpenSSH_9.2\r\n"),
	EVIL("\x16\x03\x01\x02\0\1\0\1\xfc\3\3"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\0"),				/* empty reply */
	EVIL("\0\0\0\7\0\0\0\0\0\0\1\0"),			/* kind 0 */
	EVIL("\0\0\0\7\0\0\0\0\0\0\1\x0c"),			/* unknown kinds */
	EVIL("\0\0\0\7\0\0\0\0\0\0\1\xff"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\3\2\0\1"),			/* list without its entries */
	EVIL("\0\0\0\7\0\0\0\0\0\0\3\x08\xff\xff"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\3\x0b\xff\xff"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\2\xff\xff"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\5\3\xff\xff\xff\xff"),	/* blob of 4 GiB */
	EVIL("\0\0\0\7\0\0\0\0\0\0\x09\3\0\0\0\4\x09\0\0\0"),	/* invented error variant */
	EVIL("\0\0\0\7\0\0\0\0\0\0\x11\3\0\0\0\x0c\6\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\5\5" "0.1\0"),		/* half of kind 5 */
	EVIL("\0\0\0\7\0\0\0\0\0\0\2\x09\0"),			/* data sockets nowhere */
	EVIL("\0\0\0\7\0\0\0\0\0\0\x10\x09" "localhost:port\0"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\x11\x09" "127.0.0.1:70000\0"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\x12\x09" "/run/somewhere/x\0"),
	EVIL("\0\0\0\7\0\0\0\0\0\0\1\4"),			/* always Timeout */
	EVIL("\0\0\0\7\0\0\0\0\0\0\1\1\0\0\0\7\0\0\0\0\0\0\1\1"),	/* twice Ok */
	EVIL("\0\0\0\7\5\x33\0\0\0\0\3\2\0\1"),			/* half a letterhead */
#undef EVIL
};

/* In place of the answer to the handshake, and the end after it. */
static void nonsense(void **state)
{
	struct mini *m = *state;

	for (size_t i = 0; i < sizeof(evils) / sizeof(evils[0]); i++) {
		struct ratman *r = nonblocking(m);

		m->evil = (const uint8_t *)evils[i].bytes;
		m->evil_len = m->cut = evils[i].len;
		m->evil_hello = true;
		for (m->dribble = 0; m->dribble < 2; m->dribble++)
			assert_true(everything(m, r) < 0);
		m->evil = NULL;
		m->cut = UINT64_MAX;
		m->dribble = 0;
		assert_int_equal(everything(m, r), 0);
		ratman_close(r);
	}
}

/* Each call by itself, so that none hides behind the failure of the one before. */
static void nonsense_for_each_call(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	struct ratman_id a, t, *ids;
	struct ratman_peer *peers;
	struct ratman_status status;
	struct ratman_letterhead head;
	struct ratman_send *s;
	struct ratman_recv *v;
	size_t n;
	int err;

	for (size_t i = 0; i < sizeof(evils) / sizeof(evils[0]); i++) {
		m->evil = NULL;
		ratman_cancel(r);
		THROUGH(m, r, err, ratman_connect(r));
		assert_int_equal(err, 0);
		m->evil = (const uint8_t *)evils[i].bytes;
		m->evil_len = evils[i].len;
		/* Silence after half a frame is cut short by the end. */
		m->cut = evils[i].len + 14;
		THROUGH(m, r, err, ratman_addr_create(r, NULL, &a, &t));
		assert_true(err < 0);
		THROUGH(m, r, err, ratman_addr_list(r, &ids, &n));
		assert_true(err < 0);
		THROUGH(m, r, err, ratman_peer_list(r, &peers, &n));
		assert_true(err < 0);
		THROUGH(m, r, err, ratman_status(r, &status));
		assert_true(err < 0);
		THROUGH(m, r, err, ratman_send_begin(r, &address, &token, &to, 1, &s));
		assert_true(err < 0);
		THROUGH(m, r, err, ratman_recv_begin(r, &address, &token, NULL, 1, &v));
		if (!err) {
			THROUGH(m, r, err, ratman_recv_next(v, &head, 0));
			assert_true(err < 0);
			ratman_recv_end(v);
		}
		m->cut = UINT64_MAX;
	}
	ratman_close(r);
}

/* Two handles in one poll loop, one sending, one receiving, the daemon reading now and then. */
static void send_and_receive_in_one_loop(void **state)
{
	struct mini *m = *state;
	struct ratman *out = nonblocking(m), *in = nonblocking(m);
	static uint8_t buf[100000];
	const uint64_t size = 20000000;
	struct ratman_letterhead head = { 0 };
	struct ratman_send *s = NULL;
	struct ratman_recv *v = NULL;
	uint64_t sent = 0, got = 0;
	unsigned int waits = 0;
	bool full = false;
	int err;

	m->stream_size = size;
	THROUGH(m, out, err, ratman_send_begin(out, &address, &token, &to, 1, &s));
	assert_int_equal(err, 0);
	assert_int_equal(ratman_status(out, &(struct ratman_status){ 0 }), RATMAN_EBUSY);
	assert_int_equal(ratman_send_write(s, buf, 1), -EINVAL);
	THROUGH(m, in, err, ratman_recv_begin(in, &address, &token, NULL, RATMAN_NO_LIMIT, &v));
	assert_int_equal(err, 0);
	m->stall = true;
	while (s || got < size) {
		struct pollfd p[2] = { { .fd = ratman_fd(out), .events = POLLIN },
				       { .fd = ratman_fd(in), .events = POLLIN } };
		ssize_t n = 0;

		while (s && sent < size && n >= 0) {
			n = ratman_send_some(s, buf, size - sent < sizeof(buf) ? size - sent :
					     sizeof(buf));
			sent += n > 0 ? (uint64_t)n : 0;
		}
		full = full || n == RATMAN_EAGAIN;
		if (s && sent == size) {
			err = ratman_send_end(s);
			s = err == RATMAN_EAGAIN ? s : NULL;
			assert_true(!err || err == RATMAN_EAGAIN);
		}
		n = 1;
		if (!head.stream_size)
			n = ratman_recv_next(v, &head, 0);
		while (n > 0 && got < size) {
			n = ratman_recv_read(v, buf, sizeof(buf));
			got += n > 0 ? (uint64_t)n : 0;
		}
		assert_true(n >= 0 || n == RATMAN_EAGAIN);
		/* The daemon reads nothing until the line is full. */
		m->stall = !full && waits++ < 100000;
		mini_turn(m, 1);
		poll(p, 2, 0);
	}
	assert_true(full);
	assert_int_equal(head.stream_size, size);
	for (int i = 0; i < 100 && m->received < size; i++)
		mini_turn(m, 1);
	assert_int_equal(m->received, size);
	ratman_recv_end(v);
	ratman_close(out);
	ratman_close(in);
}

/* A blocking handle: a wait of 0 ms must not wait for the second half of a frame. */
static void short_waits_lose_nothing(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	struct ratman_letterhead head;
	struct ratman_recv *v;
	uint8_t buf[16];
	int err, timeouts = 0;
	ssize_t n;

	m->streams = 3;
	m->dribble = 1;
	THROUGH(m, r, err, ratman_recv_begin(r, &address, &token, NULL, 3, &v));
	assert_int_equal(err, 0);
	ratman_set_nonblocking(r, false);
	ratman_set_timeout(r, 0);
	for (int i = 0; i < 3; i++) {
		while ((err = ratman_recv_next(v, &head, 0)) == RATMAN_ETIMEOUT) {
			timeouts++;
			wait_turn(m, r);
		}
		assert_int_equal(err, 1);
		assert_int_equal(head.stream_size, 5);
		assert_memory_equal(&head.to.id, &address, 32);
		/* The first is read, the second skipped in part, the third whole. */
		for (int k = 0; k < 5 - 2 * i; k++) {
			while ((n = ratman_recv_read(v, buf, 1)) == RATMAN_ETIMEOUT)
				wait_turn(m, r);
			assert_int_equal(n, 1);
		}
	}
	assert_true(timeouts > 100);
	assert_int_equal(ratman_recv_next(v, &head, 0), 0);
	ratman_recv_end(v);
	ratman_close(r);
}

static void idle_close_is_not_seen(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	struct ratman_status status;
	int err;

	for (unsigned int i = 1; i <= 3; i++) {
		THROUGH(m, r, err, ratman_status(r, &status));
		assert_int_equal(err, 0);
		assert_int_equal(m->accepted, i);
		mini_idle(m);
	}
	ratman_close(r);
}

/* Our request and the daemon's Timeout cross each other: it is asked again, once. */
static void timeout_meets_request(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	struct ratman_id a, t;
	struct ratman_status status;
	int err;

	m->timeouts = 1;
	THROUGH(m, r, err, ratman_status(r, &status));
	assert_int_equal(err, 0);
	assert_int_equal(m->requests, 2);
	m->timeouts = 1;
	THROUGH(m, r, err, ratman_addr_create(r, "x", &a, &t));
	assert_int_equal(err, 0);
	assert_int_equal(m->requests, 4);
	m->timeouts = 2;
	THROUGH(m, r, err, ratman_status(r, &status));
	assert_int_equal(err, RATMAN_ECLOSED);
	assert_int_equal(m->requests, 6);
	THROUGH(m, r, err, ratman_status(r, &status));
	assert_int_equal(err, 0);
	ratman_close(r);
}

static void other_calls_while_one_is_pending(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	struct ratman_id a, t, *ids;
	struct ratman_status status;
	int err;
	size_t n;

	m->mute = 0x0101;
	while (!m->requests) {
		assert_int_equal(ratman_addr_create(r, NULL, &a, &t), RATMAN_EAGAIN);
		mini_turn(m, 1);
	}
	assert_int_equal(ratman_addr_list(r, &ids, &n), RATMAN_EBUSY);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), RATMAN_EAGAIN);
	assert_false(readable(ratman_fd(r)));
	ratman_cancel(r);
	THROUGH(m, r, err, ratman_status(r, &status));
	assert_int_equal(err, 0);
	assert_int_equal(m->accepted, 2);
	ratman_close(r);
}

static void fd_is_quiet_at_rest(void **state)
{
	struct mini *m = *state;
	struct ratman *r = nonblocking(m);
	struct ratman_status status;
	struct ratman_send *s;
	int err, fd = ratman_fd(r);

	assert_false(readable(fd));
	THROUGH(m, r, err, ratman_status(r, &status));
	assert_int_equal(err, 0);
	assert_false(readable(fd));
	THROUGH(m, r, err, ratman_send_begin(r, &address, &token, &to, 1, &s));
	assert_int_equal(err, 0);
	THROUGH(m, r, err, (int)ratman_send_some(s, "x", 1));
	assert_int_equal(err, 1);
	assert_false(readable(fd));
	mini_idle(m);
	assert_false(readable(fd));
	assert_int_equal(ratman_fd(r), fd);
	ratman_send_abort(s);
	ratman_close(r);
}

/* libuv, as a program would have it. */
struct uv_test {
	struct mini *m;
	struct ratman *r;
	uv_poll_t poll;
	uv_timer_t timer;
	struct ratman_send *s;
	size_t sent;
	bool done;
};

static void uv_go(struct uv_test *t)
{
	static const char text[1000];
	ssize_t n = 0;

	if (!t->s)
		n = ratman_send_begin(t->r, &address, &token, &to, 1, &t->s);
	while (n >= 0 && t->sent < sizeof(text)) {
		n = ratman_send_some(t->s, text + t->sent, sizeof(text) - t->sent);
		t->sent += n > 0 ? (size_t)n : 0;
	}
	if (n >= 0)
		n = ratman_send_end(t->s);
	if (n == RATMAN_EAGAIN)
		return;
	assert_int_equal(n, 0);
	t->done = true;
	uv_close((uv_handle_t *)&t->poll, NULL);
	uv_close((uv_handle_t *)&t->timer, NULL);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	assert_int_equal(status, 0);
	assert_true(events & UV_READABLE);
	uv_go(poll->data);
}

static void on_timer(uv_timer_t *timer)
{
	struct uv_test *t = timer->data;

	mini_turn(t->m, 0);
}

static void in_a_libuv_loop(void **state)
{
	struct uv_test t = { .m = *state };
	uv_loop_t loop;

	t.m->dribble = 3;
	t.r = nonblocking(t.m);
	uv_loop_init(&loop);
	uv_poll_init(&loop, &t.poll, ratman_fd(t.r));
	uv_timer_init(&loop, &t.timer);
	t.poll.data = t.timer.data = &t;
	uv_poll_start(&t.poll, UV_READABLE, on_poll);
	uv_timer_start(&t.timer, on_timer, 1, 1);
	uv_go(&t);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(t.done);
	assert_int_equal(t.m->received, 1000);
	uv_loop_close(&loop);
	ratman_close(t.r);
}

static void unix_socket(void **state)
{
	char dir[SCRATCH_LEN], path[SCRATCH_LEN + 16], bind_text[SCRATCH_LEN + 24];
	struct mini *m;
	struct ratman *r;

	(void)state;
	scratch_make(dir);
	snprintf(path, sizeof(path), "%s/api.sock", dir);
	snprintf(bind_text, sizeof(bind_text), "unix:%s", path);
	assert_int_equal(ratman_open(&r, path, 100), RATMAN_EUNREACHABLE);
	m = mini_new(path);
	r = nonblocking(m);
	m->dribble = 7;
	assert_int_equal(everything(m, r), 0);
	ratman_close(r);
	assert_int_equal(ratman_new(&r, bind_text), 0);
	ratman_set_nonblocking(r, true);
	assert_int_equal(everything(m, r), 0);
	ratman_close(r);
	mini_free(m);
	scratch_remove(dir);
}

#define CASE(name_) cmocka_unit_test_setup_teardown(name_, mini_setup, mini_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(at_full_speed),
		CASE(byte_by_byte),
		CASE(cut_at_every_byte),
		CASE(nonsense),
		CASE(nonsense_for_each_call),
		CASE(send_and_receive_in_one_loop),
		CASE(short_waits_lose_nothing),
		CASE(idle_close_is_not_seen),
		CASE(timeout_meets_request),
		CASE(other_calls_while_one_is_pending),
		CASE(fd_is_quiet_at_rest),
		CASE(in_a_libuv_loop),
		CASE(unix_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
