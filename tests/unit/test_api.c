// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol server in this process, on a port of its own, with
 * limits short enough to be met; and libratman against it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "api_fake.h"
#include "ratman/ratman.h"
#include "ratmand/api/server.h"
#include "ratmand/api/token.h"

static struct daemon {
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t stop;
	uv_timer_t turn;
	struct fake *fake;
	struct api_server *server;
	struct api_config cfg;
	struct api_counters last;	/* of the server that ended */
	char bind[32];
} d;

static void on_stop(uv_async_t *async)
{
	d.last = *api_server_counters(d.server);
	api_server_free(d.server, NULL, NULL);
	uv_close((uv_handle_t *)async, NULL);
	uv_close((uv_handle_t *)&d.turn, NULL);
}

static void on_turn(uv_timer_t *timer)
{
	(void)timer;
	fake_turn(d.fake);
}

static void *run(void *arg)
{
	uv_run(&d.loop, UV_RUN_DEFAULT);
	return arg;
}

static void start(void)
{
	char why[128];

	uv_loop_init(&d.loop);
	uv_async_init(&d.loop, &d.stop, on_stop);
	uv_timer_init(&d.loop, &d.turn);
	uv_timer_start(&d.turn, on_turn, 1, 1);
	d.fake = fake_new();
	fake_set_slow(d.fake, 3);
	if (api_server_new(&d.server, &d.loop, &d.cfg, &fake_ops, d.fake, why, sizeof(why)))
		fail_msg("%s", why);
	snprintf(d.bind, sizeof(d.bind), "127.0.0.1:%u", api_server_port(d.server));
	pthread_create(&d.thread, NULL, run, NULL);
}

/* Stops the server with whatever is connected; every byte must be free afterwards. */
static void stop(void)
{
	uv_async_send(&d.stop);
	pthread_join(d.thread, NULL);
	assert_int_equal(uv_loop_close(&d.loop), 0);
	fake_free(d.fake);
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	api_config_defaults(&d.cfg);
	d.cfg.bind = "127.0.0.1:0";
	d.cfg.limits.first_frame_ms = 200;
	d.cfg.limits.frame_ms = 300;
	d.cfg.limits.idle_ms = 400;
	d.cfg.limits.helper_accept_ms = 200;
	d.cfg.limits.write_stall_ms = 300;
	d.cfg.limits.send_grace_ms = 100;
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	return 0;
}

static int dial(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct timeval limit = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	in.sin_port = htons(api_server_port(d.server));
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	return fd;
}

#define SAY(fd, bytes) assert_int_equal(write(fd, bytes, sizeof(bytes) - 1), sizeof(bytes) - 1)
#define HELLO "\0\0\0\7\0\x10\0\0\0\0\3\1\0\1"
#define OK "\0\0\0\7\0\0\0\0\0\0\1\1"
#define TIMED_OUT "\0\0\0\7\0\0\0\0\0\0\1\4"

/* Reads exactly @want, then nothing or (@end) the end. */
static void hear(int fd, const char *want, size_t len, bool end)
{
	char buf[256];
	size_t have = 0;

	while (have < len) {
		ssize_t n = read(fd, buf + have, len - have);

		assert_true(n > 0);
		have += (size_t)n;
	}
	assert_memory_equal(buf, want, len);
	if (end)
		assert_int_equal(read(fd, buf, 1), 0);
}

#define HEAR(fd, bytes, end) hear(fd, bytes, sizeof(bytes) - 1, end)

static uint64_t ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void first_frame_timeout(void **state)
{
	uint64_t begin = ms();
	int silent = dial(), half = dial();

	(void)state;
	SAY(half, "\0\0\0\7\0");
	HEAR(silent, TIMED_OUT, true);
	HEAR(half, TIMED_OUT, true);
	assert_in_range(ms() - begin, 180, 1500);
	close(silent);
	close(half);
}

static void frame_and_idle_timeout(void **state)
{
	int idle = dial(), half = dial(), payload = dial();
	uint64_t begin;

	(void)state;
	SAY(idle, HELLO);
	SAY(half, HELLO);
	SAY(payload, HELLO);
	HEAR(idle, OK, false);
	HEAR(half, OK, false);
	HEAR(payload, OK, false);
	begin = ms();
	SAY(half, "\0\0");
	SAY(payload, "\0\0\0\7\1\1\0\0\0\0\5ab");
	HEAR(half, TIMED_OUT, true);
	HEAR(payload, TIMED_OUT, true);
	assert_in_range(ms() - begin, 250, 1500);
	HEAR(idle, TIMED_OUT, true);
	assert_in_range(ms() - begin, 350, 1800);
	close(idle);
	close(half);
	close(payload);
}

static void full_house(void **state)
{
	int fds[4];
	char c;

	(void)state;
	stop();
	d.cfg.limits.clients = 3;
	start();
	for (int i = 0; i < 3; i++) {
		fds[i] = dial();
		SAY(fds[i], HELLO);
		HEAR(fds[i], OK, false);
	}
	fds[3] = dial();
	assert_true(read(fds[3], &c, 1) <= 0);
	close(fds[3]);
	close(fds[0]);
	usleep(50000);
	fds[3] = dial();
	SAY(fds[3], HELLO);
	HEAR(fds[3], OK, false);
	for (int i = 1; i < 4; i++)
		close(fds[i]);
	stop();
	assert_int_equal(d.last.refused_full, 1);
	d.cfg.limits.clients = 1024;
	start();
}

static void stalled_reader(void **state)
{
	static const char list[] = "\0\0\0\7\4\x30\0\0\0\0\0";
	int fd = dial(), small = 4096;
	uint64_t begin = ms();

	(void)state;
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	SAY(fd, HELLO);
	while (ms() - begin < 8000) {
		if (send(fd, list, sizeof(list) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			if (errno != EAGAIN)
				break;
			usleep(1000);
		}
	}
	assert_true(ms() - begin < 8000);
	close(fd);
}

static void token_table(void **state)
{
	struct token_table *t = token_table_new();
	struct address a = { { 1 } }, b = { { 2 } };
	struct ident x = { { 3 } }, y = { { 4 } };

	(void)state;
	assert_false(token_table_check(t, &a, &x));
	assert_int_equal(token_table_put(t, &a, &x), 0);
	assert_int_equal(token_table_put(t, &b, &y), 0);
	assert_true(token_table_check(t, &a, &x) && token_table_knows(t, &x));
	assert_false(token_table_check(t, &a, &y));
	assert_false(token_table_check(t, &b, &x));
	assert_int_equal(token_table_put(t, &a, &y), 0);
	assert_false(token_table_check(t, &a, &x) || token_table_knows(t, &x));
	assert_int_equal(token_table_count(t), 2);
	token_table_remove(t, &a);
	token_table_remove(t, &a);
	assert_int_equal(token_table_count(t), 1);
	token_table_free(t);
}

static void library(void **state)
{
	struct ratman_id a, t, wrong, *list;
	struct ratman_status status;
	struct ratman_peer *peers;
	struct ratman *r, *busy;
	size_t n;

	(void)state;
	assert_int_equal(ratman_open(&r, "nonsense", 1000), -EINVAL);
	assert_int_equal(ratman_open(&r, "127.0.0.1:1", 1000), RATMAN_EUNREACHABLE);
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_true(ratman_is_extended(r));
	assert_int_equal(ratman_addr_create(r, "test", &a, &t), 0);
	assert_int_equal(ratman_addr_create(r, "\xff", &wrong, &wrong), RATMAN_EINPUT);
	assert_string_not_equal(ratman_error_text(r), "");
	wrong = t;
	wrong.b[5] ^= 0x40;
	assert_int_equal(ratman_addr_up(r, &a, &wrong), RATMAN_EAUTH);
	assert_int_equal(ratman_addr_up(r, &t, &t), RATMAN_ENOADDRESS);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	assert_string_equal(ratman_error_text(r), "");
	assert_int_equal(ratman_addr_list(r, &list, &n), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(list[0].b, a.b, 32);
	ratman_free(list);
	assert_int_equal(ratman_peer_list(r, &peers, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(peers[1].first_seen_ns, 1729531526123456789);
	assert_true(peers[1].active && !peers[0].active);
	ratman_free(peers);
	assert_int_equal(ratman_status(r, &status), 0);
	assert_int_equal(status.tokens, 1);
	{
		struct ratman_limit *limits;

		assert_int_equal(ratman_limits(r, &limits, &n), 0);
		assert_int_equal(n, API_LIMIT_KEYS);
		assert_string_equal(limits[0].name, "max_clients");
		assert_string_equal(limits[0].unit, "clients");
		assert_int_equal(limits[0].limit, 1024);
		assert_int_equal(limits[0].used, 1);
		assert_int_equal(limits[0].hits, 0);
		ratman_free(limits);
	}
	/* The daemon hangs up on the idle; the handle connects again by itself. */
	usleep(700000);
	assert_int_equal(ratman_status(r, &status), 0);
	assert_int_equal(ratman_addr_down(r, &a, &t), 0);
	assert_int_equal(ratman_addr_destroy(r, &a, &t, true), 0);
	/* A port that listens and never answers. */
	{
		struct sockaddr_in in = { .sin_family = AF_INET };
		socklen_t len = sizeof(in);
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char bind_text[32];

		in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		assert_int_equal(bind(fd, (struct sockaddr *)&in, len), 0);
		listen(fd, 1);
		getsockname(fd, (struct sockaddr *)&in, &len);
		snprintf(bind_text, sizeof(bind_text), "127.0.0.1:%u", ntohs(in.sin_port));
		assert_int_equal(ratman_open(&busy, bind_text, 100), RATMAN_ETIMEOUT);
		close(fd);
	}
	ratman_close(r);
}

/* Namespaces through the library; the fake answers for member n after n ms, and once more later. */
static void library_spaces(void **state)
{
	struct ratman_id a[3], t[3], space, other;
	uint8_t key[32], other_key[32];
	struct ratman_answer *list;
	struct ratman *r;
	size_t n;

	(void)state;
	assert_int_equal(ratman_space_generate(&space, key), 0);
	assert_int_equal(ratman_space_generate(&other, other_key), 0);
	assert_memory_not_equal(space.b, other.b, 32);
	assert_null(memchr(space.b, 0, 32));
	assert_int_equal(ratman_open(&r, d.bind, 300), 0);
	assert_int_equal(ratman_space_create(r, &space, other_key), RATMAN_EINPUT);
	assert_int_equal(ratman_space_create(r, &space, key), 0);
	assert_int_equal(ratman_space_create(r, &space, key), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ratman_addr_create(r, NULL, &a[i], &t[i]), 0);
		assert_int_equal(ratman_space_up(r, &a[i], &t[i], &space), RATMAN_EAUTH);
		assert_int_equal(ratman_addr_up(r, &a[i], &t[i]), 0);
		assert_int_equal(ratman_space_up(r, &a[i], &t[i], &other), RATMAN_ENOADDRESS);
		assert_int_equal(ratman_space_up(r, &a[i], &t[i], &space), 0);
	}
	/* Longer than the handle's timeout: that counts from the end of the asking. */
	assert_int_equal(ratman_space_anycast(r, &a[0], &t[0], &space, 350, &list, &n), 0);
	assert_int_equal(n, 2);
	assert_memory_equal(list[0].member.b, a[1].b, 32);
	assert_memory_equal(list[1].member.b, a[2].b, 32);
	assert_true(list[0].ms < list[1].ms && list[1].ms < 1000);
	ratman_free(list);
	assert_int_equal(ratman_space_anycast(r, &a[0], &t[1], &space, 10, &list, &n),
			 RATMAN_EAUTH);
	assert_int_equal(ratman_space_anycast(r, &a[0], &t[0], &other, 10, &list, &n), 0);
	assert_int_equal(n, 0);
	ratman_free(list);
	assert_int_equal(ratman_space_down(r, &a[0], &t[0], &space), 0);
	assert_int_equal(ratman_space_down(r, &a[0], &t[0], &space), RATMAN_EINPUT);
	assert_int_equal(ratman_space_down(r, &a[0], &t[0], &other), RATMAN_ENOADDRESS);
	/* The server goes while somebody waits for answers: see teardown. */
	ratman_set_timeout(r, 50);
	assert_int_equal(ratman_space_anycast(r, &a[0], &t[0], &space, 0, &list, &n), 0);
	ratman_free(list);
	ratman_close(r);
}

/* A request of microframe.md, and the reply to the byte. */
static void anycast_bytes(void **state)
{
	struct ratman_id a, t, space;
	uint8_t request[4 + 38 + 80] = { 0, 0, 0, 38, 8, 0x35 };
	uint8_t reply[4 + 38 + 3] = { 0, 0, 0, 38 };
	struct ratman *r;
	uint8_t key[32];
	int fd = dial();

	(void)state;
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_int_equal(ratman_space_generate(&space, key), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	memcpy(request + 6, t.b, 32);
	request[4 + 37] = 80;
	memcpy(request + 42, a.b, 32);
	memcpy(request + 74, space.b, 32);
	request[121] = 20;
	memcpy(reply + 6, t.b, 32);
	reply[4 + 37] = 3;
	reply[42] = 11;
	SAY(fd, HELLO);
	HEAR(fd, OK, false);
	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
	hear(fd, (const char *)reply, sizeof(reply), false);
	/* A timeout of 2^64 ms; the client goes before it is over. */
	request[113] = 1;
	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
	usleep(20000);
	close(fd);
	/* And one that waits until the server stops, in a later test. */
	fd = dial();
	SAY(fd, HELLO);
	HEAR(fd, OK, false);
	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
	ratman_close(r);
}

static void library_streams(void **state)
{
	static uint8_t data[300000], got[sizeof(data)];
	struct ratman_recipient to = { .is_namespace = false };
	struct ratman_letterhead head;
	struct ratman_send *s;
	struct ratman_recv *v;
	struct ratman_id a, t;
	struct ratman *r;
	size_t have = 0;
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), RATMAN_EAUTH);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	to.id = a;
	/* Aborted: nothing of it arrives. */
	assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), 0);
	assert_int_equal(ratman_addr_up(r, &a, &t), RATMAN_EBUSY);
	assert_int_equal(ratman_send_write(s, data, 1000), 0);
	ratman_send_abort(s);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), 0);
		assert_int_equal(ratman_send_write(s, data, sizeof(data)), 0);
		assert_int_equal(ratman_send_end(s), 0);
	}
	assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), 0);
	assert_int_equal(ratman_send_end(s), RATMAN_EINTERNAL);	/* empty */
	assert_int_equal(ratman_recv_begin(r, &a, &t, NULL, 2, &v), 0);
	assert_int_equal(ratman_recv_next(v, &head, 5000), 1);
	assert_int_equal(head.stream_size, sizeof(data));
	assert_int_equal(ratman_recv_read(v, got, 10), 10);	/* the rest is skipped */
	assert_int_equal(ratman_recv_next(v, &head, 5000), 1);
	while ((n = ratman_recv_read(v, got + have, sizeof(got) - have)) > 0)
		have += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(have, sizeof(data));
	assert_memory_equal(got, data, sizeof(data));
	assert_int_equal(ratman_recv_next(v, &head, 5000), 0);
	ratman_recv_end(v);
	/* Waiting in vain, then given up. */
	assert_int_equal(ratman_recv_begin(r, &a, &t, NULL, RATMAN_NO_LIMIT, &v), 0);
	assert_int_equal(ratman_recv_next(v, &head, 50), RATMAN_ETIMEOUT);
	assert_int_equal(ratman_recv_next(v, &head, 50), RATMAN_ETIMEOUT);
	ratman_recv_end(v);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	/* Closed in the middle of either: nothing leaks, here or there. */
	assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), 0);
	ratman_close(r);
}

static void send_text(struct ratman *r, const struct ratman_id *a, const struct ratman_id *t,
		      const char *text)
{
	struct ratman_recipient to = { .id = *a };
	struct ratman_send *s;

	assert_int_equal(ratman_send_begin(r, a, t, &to, 1, &s), 0);
	assert_int_equal(ratman_send_write(s, text, strlen(text)), 0);
	assert_int_equal(ratman_send_end(s), 0);
}

static void next_text(struct ratman_sub *sub, const char *want)
{
	struct ratman_letterhead head;
	char buf[64] = "";

	assert_int_equal(ratman_sub_next(sub, &head, 5000), 1);
	assert_int_equal(head.stream_size, strlen(want));
	assert_int_equal(ratman_sub_read(sub, buf, sizeof(buf)), strlen(want));
	assert_string_equal(buf, want);
	assert_int_equal(ratman_sub_read(sub, buf, sizeof(buf)), 0);
}

static void library_subscription(void **state)
{
	struct ratman_subscription sub, again, events;
	struct ratman_sub *s, *old;
	struct ratman_letterhead head;
	struct ratman_id a, t, b, u, *ids;
	struct ratman_event event;
	struct ratman *r;
	struct pollfd p;
	size_t n;

	(void)state;
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_sub_create(r, &a, &t, NULL, &sub), RATMAN_EAUTH);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	assert_int_equal(ratman_sub_create(r, &a, &t, NULL, &sub), 0);
	assert_int_equal(ratman_sub_open(r, &sub, &s), 0);
	assert_int_equal(ratman_sub_next(s, &head, 0), RATMAN_ETIMEOUT);
	p = (struct pollfd){ .fd = ratman_sub_fd(s), .events = POLLIN };
	assert_int_equal(poll(&p, 1, 0), 0);
	send_text(r, &a, &t, "one");
	assert_int_equal(poll(&p, 1, 5000), 1);
	next_text(s, "one");
	/* What is left of a stream is skipped. */
	send_text(r, &a, &t, "two");
	send_text(r, &a, &t, "three");
	assert_int_equal(ratman_sub_next(s, &head, 5000), 1);
	next_text(s, "three");
	/* A second socket takes over. */
	old = s;
	assert_int_equal(ratman_sub_resume(r, &sub.id, &a, &t, &again), 0);
	assert_memory_equal(again.id.b, sub.id.b, 32);
	assert_int_equal(ratman_sub_open(r, &again, &s), 0);
	assert_int_equal(ratman_sub_next(old, &head, 5000), RATMAN_ECLOSED);
	assert_int_equal(ratman_sub_next(old, &head, 5000), RATMAN_ECLOSED);
	ratman_sub_close(old);
	assert_int_equal(ratman_sub_list(r, &a, &t, &ids, &n), 0);
	assert_int_equal(n, 1);
	assert_memory_equal(ids[0].b, sub.id.b, 32);
	ratman_free(ids);
	/* Events. */
	assert_int_equal(ratman_addr_sub(r, &a, &t, &events), 0);
	assert_int_equal(ratman_addr_resub(r, &sub.id, &a, &t, &again), RATMAN_ENOSUBSCRIPTION);
	assert_int_equal(ratman_addr_resub(r, &events.id, &a, &t, &again), 0);
	assert_int_equal(ratman_sub_open(r, &events, &old), 0);
	assert_int_equal(ratman_sub_event(old, &event, 10), RATMAN_ETIMEOUT);
	assert_int_equal(ratman_addr_create(r, NULL, &b, &u), 0);
	assert_int_equal(ratman_addr_up(r, &b, &u), 0);
	assert_int_equal(ratman_sub_event(old, &event, 5000), 1);
	assert_int_equal(event.kind, RATMAN_ADDRESS_UP);
	assert_memory_equal(event.address.b, b.b, 32);
	assert_int_equal(ratman_addr_unsub(r, &events.id, &a, &t), 0);
	assert_int_equal(ratman_sub_event(old, &event, 5000), RATMAN_ECLOSED);
	ratman_sub_close(old);
	/* Another's, and the end. */
	assert_int_equal(ratman_sub_resume(r, &sub.id, &b, &u, &again), RATMAN_ENOADDRESS);
	assert_int_equal(ratman_sub_cancel(r, &sub.id, &a, &u), RATMAN_EAUTH);
	assert_int_equal(ratman_sub_cancel(r, &sub.id, &a, &t), 0);
	assert_int_equal(ratman_sub_cancel(r, &sub.id, &a, &t), RATMAN_ENOSUBSCRIPTION);
	assert_int_equal(ratman_sub_next(s, &head, 5000), RATMAN_ECLOSED);
	ratman_sub_close(s);
	/* It outlives its handle. */
	assert_int_equal(ratman_sub_create(r, &a, &t, NULL, &sub), 0);
	assert_int_equal(ratman_sub_open(r, &sub, &s), 0);
	send_text(r, &a, &t, "late");
	ratman_close(r);
	next_text(s, "late");
	ratman_sub_close(s);
	/* Nobody listens there. */
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	strcpy(sub.socket, "127.0.0.1:1");
	assert_int_equal(ratman_sub_open(r, &sub, &s), RATMAN_EUNREACHABLE);
	strcpy(sub.socket, "nonsense");
	assert_int_equal(ratman_sub_open(r, &sub, &s), RATMAN_EPROTOCOL);
	strcpy(sub.socket, "/run/somewhere");
	assert_int_equal(ratman_sub_open(r, &sub, &s), RATMAN_EPROTOCOL);
	ratman_close(r);
}

/* Everything in steps that never wait. */
static void subscription_nonblocking(void **state)
{
	struct ratman_subscription sub;
	struct ratman_letterhead head;
	struct ratman *r, *q;
	struct ratman_sub *s;
	struct ratman_id a, t;
	char buf[16];
	int err;

	(void)state;
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	assert_int_equal(ratman_open(&q, d.bind, 5000), 0);
	ratman_set_nonblocking(q, true);
	while ((err = ratman_sub_create(q, &a, &t, NULL, &sub)) == RATMAN_EAGAIN) {
		struct pollfd p = { .fd = ratman_fd(q), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 5000), 1);
	}
	assert_int_equal(err, 0);
	assert_int_equal(ratman_sub_open(q, &sub, &s), 0);
	send_text(r, &a, &t, "hello");
	while ((err = ratman_sub_next(s, &head, -1)) == RATMAN_EAGAIN) {
		struct pollfd p = { .fd = ratman_sub_fd(s), .events = POLLIN };

		assert_int_equal(poll(&p, 1, 5000), 1);
	}
	assert_int_equal(err, 1);
	while ((err = (int)ratman_sub_read(s, buf, sizeof(buf))) == RATMAN_EAGAIN)
		;
	assert_int_equal(err, 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(ratman_sub_next(s, &head, -1), RATMAN_EAGAIN);
	ratman_sub_close(s);
	ratman_close(q);
	ratman_close(r);
}

/* Nobody comes to a helper socket: the send is told so, the subscription stays. */
static void nobody_comes(void **state)
{
	struct ratman_subscription sub, again;
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct ratman_id a, t;
	struct ratman_sub *s;
	struct ratman *r;
	uint8_t request[42 + 2 + 76] = { 0, 0, 0, 38, 6, 0x33 };
	uint8_t reply[256];
	int fd, port;

	(void)state;
	stop();
	start();		/* fresh counters */
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	fd = dial();
	SAY(fd, HELLO);
	HEAR(fd, OK, false);
	memcpy(request + 6, t.b, 32);
	request[41] = 78;
	request[43] = 1;		/* one letterhead: version, from, to, size, no pairs */
	request[44] = 1;
	memcpy(request + 45, a.b, 32);
	request[77] = 1;
	memcpy(request + 78, a.b, 32);
	assert_int_equal(write(fd, request, sizeof(request)), sizeof(request));
	assert_true(read(fd, reply, sizeof(reply)) > 43);
	assert_int_equal(reply[42], 9);
	port = atoi(strchr((char *)reply + 43, ':') + 1);
	assert_true(read(fd, reply, sizeof(reply)) > 43);	/* after helper_accept_ms */
	assert_int_equal(reply[42], 3);
	assert_int_equal(reply[47], 6);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	in.sin_port = htons((uint16_t)port);
	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&in, sizeof(in)), -1);
	close(fd);
	assert_int_equal(ratman_sub_create(r, &a, &t, NULL, &sub), 0);
	usleep(500000);
	assert_int_equal(ratman_sub_open(r, &sub, &s), RATMAN_EUNREACHABLE);
	assert_int_equal(ratman_sub_resume(r, &sub.id, &a, &t, &again), 0);
	assert_int_equal(ratman_sub_open(r, &again, &s), 0);
	ratman_sub_close(s);
	ratman_close(r);
	stop();
	assert_int_equal(d.last.timeout_helper, 2);
	start();
}

static void helper_timeout(void **state)
{
	struct ratman_recipient to = { .is_namespace = false };
	struct ratman_send *s;
	struct ratman_id a, t;
	struct ratman *r;

	(void)state;
	assert_int_equal(ratman_open(&r, d.bind, 5000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	to.id = a;
	/* A connected but slow sender is not timed out. */
	assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), 0);
	usleep(600000);
	assert_int_equal(ratman_send_write(s, "x", 1), 0);
	assert_int_equal(ratman_send_end(s), 0);
	ratman_close(r);
}

/* Files through the library: packed and read, looked for, watched. */
static void library_files(void **state)
{
	struct ratman_id a, t, id, second;
	struct ratman_recipient to = { .is_namespace = false };
	struct ratman_file_get *get;
	struct ratman_subscription sub;
	struct ratman_file file, *list;
	struct ratman_send *s;
	struct ratman_sub *sock;
	struct ratman *r;
	uint64_t size;
	char buf[8];
	size_t n;
	int pipes[2];

	(void)state;
	assert_int_equal(ratman_open(&r, d.bind, 2000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_file_list(r, &a, &t, RATMAN_FILE_ANY, NULL, &list, &n),
			 RATMAN_EAUTH);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	to.id = a;
	assert_int_equal(ratman_file_sub(r, &a, &t, &sub), 0);
	assert_int_equal(ratman_sub_open(r, &sub, &sock), 0);
	assert_int_equal(ratman_sub_file(sock, &file, 50), RATMAN_ETIMEOUT);
	/* Names and types are looked at here already. */
	assert_int_equal(ratman_file_create(r, &a, &t, "a/b", NULL, 0, &s), -EINVAL);
	assert_int_equal(ratman_file_create(r, &a, &t, "a", "none", 0, &s), -EINVAL);
	assert_int_equal(ratman_file_create(r, &a, &t, "a.txt", "text/plain", 5, &s), 0);
	assert_int_equal(ratman_send_write(s, "hello", 5), 0);
	assert_int_equal(ratman_file_status(r, &a, &t, &a, &file), RATMAN_EBUSY);
	assert_int_equal(ratman_file_finish(s, &id, &size), 0);
	assert_int_equal(size, 5);
	assert_int_equal(ratman_sub_file(sock, &file, 2000), 1);
	assert_memory_equal(file.id.b, id.b, 32);
	assert_string_equal(file.name, "a.txt");
	/* Nothing, and not enough. */
	assert_int_equal(ratman_file_create(r, &a, &t, "b", NULL, 0, &s), 0);
	assert_int_equal(ratman_file_finish(s, NULL, NULL), RATMAN_EPAYLOAD);
	assert_string_equal(ratman_error_text(r), "a file has at least one byte");
	assert_int_equal(ratman_file_create(r, &a, &t, "b", NULL, 2, &s), 0);
	assert_int_equal(ratman_send_write(s, "x", 1), 0);
	assert_int_equal(ratman_file_finish(s, NULL, NULL), RATMAN_EPAYLOAD);
	assert_int_equal(ratman_file_create(r, &a, &t, "b", NULL, 0, &s), 0);
	assert_int_equal(ratman_send_write(s, "x", 1), 0);
	ratman_send_abort(s);
	/* Other content under the same name. */
	assert_int_equal(ratman_file_update(r, &a, &t, &a, 0, &s), RATMAN_ENODATA);
	assert_int_equal(ratman_file_update(r, &a, &t, &id, 0, &s), 0);
	assert_int_equal(ratman_send_write(s, "bye", 3), 0);
	assert_int_equal(ratman_file_finish(s, &second, NULL), 0);
	assert_int_equal(ratman_file_status(r, &a, &t, &second, &file), 0);
	assert_true(file.has_previous && !memcmp(file.previous.b, id.b, 32));
	assert_int_equal(file.size, 3);
	assert_int_equal(ratman_file_list(r, &a, &t, RATMAN_FILE_LOCAL, "*.txt", &list, &n), 0);
	assert_int_equal(n, 2);
	ratman_free(list);
	assert_int_equal(ratman_file_list(r, &a, &t, RATMAN_FILE_ADVERTISED, NULL, &list, &n), 0);
	assert_int_equal(n, 0);
	ratman_free(list);
	/* Read wholly, and in part. */
	assert_int_equal(ratman_file_get_begin(r, &a, &t, &a, &size, &get), RATMAN_ENODATA);
	assert_int_equal(ratman_file_get_begin(r, &a, &t, &id, &size, &get), 0);
	assert_int_equal(size, 5);
	assert_int_equal(ratman_file_status(r, &a, &t, &id, &file), RATMAN_EBUSY);
	for (n = 0; n < 5;) {
		ssize_t got = ratman_file_get_read(get, buf + n, 2);

		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(ratman_file_get_read(get, buf, 2), 0);
	assert_int_equal(ratman_file_get_read(get, buf, 2), 0);
	ratman_file_get_end(get);
	assert_int_equal(ratman_file_get_begin(r, &a, &t, &id, NULL, &get), 0);
	assert_true(ratman_file_get_read(get, buf, 1) == 1);
	ratman_file_get_end(get);
	/* From one descriptor to another. */
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(ratman_file_get_fd(r, &a, &t, &id, pipes[1]), 0);
	close(pipes[1]);
	assert_int_equal(ratman_file_delete(r, &a, &t, &id), 0);
	assert_int_equal(ratman_file_pack_fd(r, &a, &t, "again", NULL, pipes[0], &second, &size), 0);
	close(pipes[0]);
	assert_memory_equal(second.b, id.b, 32);
	assert_int_equal(size, 5);
	/* With others. */
	assert_int_equal(ratman_file_announce(r, &a, &t, &id, NULL), 0);
	assert_int_equal(ratman_file_withdraw(r, &a, &t, &id, &to), 0);
	assert_int_equal(ratman_file_announce(r, &a, &t, &a, NULL), RATMAN_ENODATA);
	assert_int_equal(ratman_file_request(r, &a, &t, &a, &a), 0);
	assert_int_equal(ratman_file_request(r, &a, &t, &a, NULL), 0);
	assert_int_equal(ratman_file_send(r, &a, &t, &id, &to, 1), 0);
	assert_int_equal(ratman_file_send(r, &a, &t, &id, &to, 0), -EINVAL);
	assert_int_equal(ratman_file_delete(r, &a, &t, &a), RATMAN_ENODATA);
	/* The handle goes with a file open on it. */
	assert_int_equal(ratman_file_get_begin(r, &a, &t, &id, NULL, &get), 0);
	ratman_close(r);
	ratman_sub_close(sock);
}

/* The server goes while clients are in every state. */
static void stop_in_the_middle(void **state)
{
	struct ratman_recipient to = { .is_namespace = false };
	int silent = dial(), half = dial();
	struct ratman *r, *q;
	struct ratman_subscription sub;
	struct ratman_letterhead head;
	struct ratman_send *s;
	struct ratman_recv *v;
	struct ratman_sub *sock;
	struct ratman_id a, t;

	(void)state;
	SAY(half, "\0\0\0");
	assert_int_equal(ratman_open(&r, d.bind, 2000), 0);
	assert_int_equal(ratman_open(&q, d.bind, 2000), 0);
	assert_int_equal(ratman_addr_create(r, NULL, &a, &t), 0);
	assert_int_equal(ratman_addr_up(r, &a, &t), 0);
	to.id = a;
	assert_int_equal(ratman_send_begin(r, &a, &t, &to, 1, &s), 0);
	assert_int_equal(ratman_send_write(s, "abc", 3), 0);
	assert_int_equal(ratman_sub_create(q, &a, &t, NULL, &sub), 0);
	assert_int_equal(ratman_sub_open(q, &sub, &sock), 0);
	assert_int_equal(ratman_sub_resume(q, &sub.id, &a, &t, &sub), 0);
	assert_int_equal(ratman_recv_begin(q, &a, &t, NULL, 1, &v), 0);
	stop();
	assert_int_equal(ratman_recv_next(v, &head, 1000), RATMAN_ECLOSED);
	assert_int_equal(ratman_sub_next(sock, &head, 1000), RATMAN_ECLOSED);
	ratman_sub_close(sock);
	assert_true(ratman_send_end(s) < 0);
	ratman_close(r);
	ratman_close(q);
	close(silent);
	close(half);
	start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_frame_timeout), cmocka_unit_test(frame_and_idle_timeout),
		cmocka_unit_test(full_house), cmocka_unit_test(stalled_reader),
		cmocka_unit_test(token_table), cmocka_unit_test(library),
		cmocka_unit_test(library_spaces), cmocka_unit_test(anycast_bytes),
		cmocka_unit_test(library_streams), cmocka_unit_test(library_subscription),
		cmocka_unit_test(subscription_nonblocking), cmocka_unit_test(nobody_comes),
		cmocka_unit_test(helper_timeout), cmocka_unit_test(library_files),
		cmocka_unit_test(stop_in_the_middle),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
