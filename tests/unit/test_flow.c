// SPDX-License-Identifier: GPL-2.0-or-later
/* Whole flows against each other over loopback, all in one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/flow/exchange.h"
#include "ratmand/flow/flow.h"
#include "ratmand/flow/journal.h"
#include "ratmand/flow/manifest.h"
#include "unit/flow_world.h"

/* What a router's standing listener has received. */
static struct received {
	unsigned int streams;
	uint64_t bytes;
	uint8_t hash[32];
	struct letterhead head;
} received[ROUTERS];

static int setup(void **state)
{
	memset(received, 0, sizeof(received));
	return world_setup(state);
}

/* ---- helpers: sending and receiving ---- */

struct sending {
	struct flow_send *send;
	uint64_t seed, size, at;
	bool finished, may_write;
	int err;
};

static void on_drain(void *ctx)
{
	((struct sending *)ctx)->may_write = true;
}

static void on_sent(void *ctx, int err)
{
	struct sending *s = ctx;

	s->finished = true;
	s->err = err;
}

static void send_to(struct router *from, struct router *const *to, size_t n, uint64_t size,
		    uint64_t seed)
{
	struct sending s = { .seed = seed, .size = size };
	struct letterhead *heads = calloc(n, sizeof(*heads));
	static uint8_t buf[65536];

	for (size_t i = 0; i < n; i++) {
		heads[i].from = from->address;
		heads[i].to = (struct recipient){ RECIPIENT_ADDRESS, to[i]->address };
		heads[i].aux_len = 2;
	}
	assert_int_equal(flow_send_open(from->flow, heads, n, on_drain, &s, &s.send), 0);
	free(heads);
	while (s.at < size) {
		size_t len = size - s.at < sizeof(buf) ? size - s.at : sizeof(buf);
		int err;

		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(seed, s.at + i);
		s.may_write = false;
		err = flow_send_write(s.send, buf, len);
		if (err == -EAGAIN) {
			while (!s.may_write)
				uv_run(&loop, UV_RUN_ONCE);
			continue;
		}
		assert_int_equal(err, 0);
		s.at += len;
	}
	flow_send_finish(s.send, on_sent, &s);
	while (!s.finished)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(s.err, 0);
}

static void send_one(struct router *from, struct router *to, uint64_t size, uint64_t seed)
{
	send_to(from, &to, 1, size, seed);
}

static void hash_of(uint64_t seed, uint64_t size, uint8_t out[32])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, 32);
	for (uint64_t i = 0; i < size; i++) {
		uint8_t c = pattern(seed, i);

		crypto_generichash_update(&st, &c, 1);
	}
	crypto_generichash_final(&st, out, 32);
}

static void on_ready(void *ctx)
{
	struct router *r = ctx;
	static uint8_t buf[32768];
	crypto_generichash_state st;
	struct flow_recv *recv;
	ssize_t n;

	/* The first call may come before flow_listen() has set the listener for us. */
	while (r->listener && !flow_recv_open(r->listener, &received[r - routers].head, &recv)) {
		crypto_generichash_init(&st, NULL, 0, 32);
		received[r - routers].bytes = 0;
		while ((n = flow_recv_read(recv, buf, sizeof(buf))) > 0) {
			crypto_generichash_update(&st, buf, (size_t)n);
			received[r - routers].bytes += (uint64_t)n;
		}
		assert_int_equal(n, 0);
		assert_int_equal(received[r - routers].bytes, received[r - routers].head.stream_size);
		crypto_generichash_final(&st, received[r - routers].hash, 32);
		received[r - routers].streams++;
		flow_recv_close(recv, true);
	}
}

static void listen_on(struct router *r)
{
	struct recipient to = { RECIPIENT_ADDRESS, r->address };

	assert_int_equal(flow_listen(r->flow, &r->address, &to, on_ready, r, &r->listener), 0);
}

struct want_streams {
	struct router *router;
	unsigned int n;
};

static bool has_streams(void *ctx)
{
	struct want_streams *w = ctx;

	return received[w->router - routers].streams >= w->n;
}

static void expect_streams(struct router *r, unsigned int n)
{
	struct want_streams w = { r, n };

	assert_true(run_until(has_streams, &w, 30000));
	assert_int_equal(received[r - routers].streams, n);
}

static void expect_content(struct router *r, uint64_t size, uint64_t seed)
{
	uint8_t hash[32];

	hash_of(seed, size, hash);
	assert_int_equal(received[r - routers].bytes, size);
	assert_memory_equal(received[r - routers].hash, hash, 32);
}

static bool is_empty(void *ctx)
{
	struct router *r = ctx;

	return !count(r, STORE_BLOCKS) && !count(r, STORE_OUTBOX) &&
	       !count(r, STORE_INBOX);
}

/* Everything that was sent has been received, and both journals are empty again. */
static void expect_clean(struct router *r)
{
	/* Pauses before a new attempt are random and double: three cuts may take ten seconds. */
	assert_true(run_until(is_empty, r, 30000));
}

/* ---- tests ---- */

static void test_sizes(void **state)
{
	static const uint64_t sizes[] = { 1, 1000, 1024, 16383, 16384, 32767, 32768, 100000,
					  8u << 20 };
	struct router *a = &routers[0], *b = &routers[1];
	unsigned int n = 0;

	(void)state;
	router_start(a, true);
	router_start(b, true);
	listen_on(b);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		send_one(a, b, sizes[i], i);
		expect_streams(b, ++n);
		expect_content(b, sizes[i], i);
		assert_true(address_equal(&received[b - routers].head.from, &a->address));
	}
	expect_clean(a);
	expect_clean(b);
	assert_int_equal(flow_stats(b->flow)->blocks_rejected, 0);
	assert_int_equal(flow_stats(a->flow)->blocks_sent, flow_stats(b->flow)->blocks_received);
	assert_int_equal(flow_stats(a->flow)->connects, 1);
	/* And back over the same connection. */
	listen_on(a);
	send_one(b, a, 5000, 77);
	expect_streams(a, 1);
	expect_content(a, 5000, 77);
	assert_int_equal(flow_stats(b->flow)->connects, 0);
}

static void test_empty_and_bad(void **state)
{
	struct router *a = &routers[0];
	struct letterhead head = { .from = a->address, .aux_len = 2 };
	struct sending s = { 0 };

	(void)state;
	router_start(a, true);
	head.to = (struct recipient){ RECIPIENT_ADDRESS, routers[1].address };
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), 0);
	flow_send_finish(s.send, on_sent, &s);
	assert_true(s.finished);
	assert_int_equal(s.err, -ENODATA);
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), 0);
	assert_int_equal(flow_send_write(s.send, "abc", 3), 0);
	flow_send_abort(s.send);
	expect_clean(a);
	head.to.kind = RECIPIENT_NONE;
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), -EINVAL);
	head.to.kind = RECIPIENT_ADDRESS;
	memset(head.to.address.b, 0, 32);
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), -EINVAL);
	head.from = routers[1].address;
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), -EACCES);
}

static void test_many(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	struct router *const to[] = { a, b, c };

	(void)state;
	for (int i = 0; i < 3; i++) {
		router_start(&routers[i], true);
		listen_on(&routers[i]);
	}
	/* To several, one of them here. */
	send_to(a, to, 3, 300000, 5);
	for (int i = 0; i < 3; i++) {
		expect_streams(&routers[i], 1);
		expect_content(&routers[i], 300000, 5);
	}
	/* Crosswise, many small ones: simultaneous connects, more than are offered at a time. */
	for (unsigned int i = 0; i < 40; i++) {
		send_one(b, c, 2000 + i, i);
		send_one(c, b, 3000 + i, i);
	}
	expect_streams(b, 41);
	expect_streams(c, 41);
	for (int i = 0; i < 3; i++)
		expect_clean(&routers[i]);
}

static void test_local_and_late(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];

	(void)state;
	router_start(a, true);
	send_one(a, a, 50000, 1);
	listen_on(a);
	expect_streams(a, 1);
	expect_content(a, 50000, 1);
	expect_clean(a);
	assert_int_equal(flow_stats(a->flow)->connects, 0);

	/* The recipient comes later; the sender restarts in between. */
	send_one(a, b, 70000, 2);
	assert_false(run_until(never, NULL, 700));
	router_stop(a);
	router_start(a, true);
	assert_int_equal(count(a, STORE_OUTBOX), 1);
	router_start(b, true);
	listen_on(b);
	expect_streams(b, 1);
	expect_content(b, 70000, 2);
	/* Exactly once, also after both restart. */
	router_stop(b);
	router_stop(a);
	router_start(a, true);
	router_start(b, true);
	listen_on(b);
	assert_false(run_until(never, NULL, 1500));
	assert_int_equal(received[b - routers].streams, 1);
	expect_clean(a);
	expect_clean(b);
}

static void on_nothing(void *ctx)
{
	(void)ctx;
}

/* A stream that waits unread survives a restart of the receiver, and a reader that stops. */
static void test_unread(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct recipient to = { RECIPIENT_ADDRESS, b->address };
	struct flow_listener *l;
	struct flow_recv *recv;
	struct letterhead head;
	uint8_t buf[100];

	(void)state;
	router_start(a, true);
	router_start(b, true);
	send_one(a, b, 40000, 3);
	expect_clean(a);
	router_stop(b);
	router_start(b, true);
	assert_int_equal(flow_listen(b->flow, &b->address, &to, on_nothing, NULL, &l), 0);
	assert_int_equal(flow_recv_open(l, &head, &recv), 0);
	assert_int_equal(flow_recv_read(recv, buf, sizeof(buf)), sizeof(buf));
	flow_listen_stop(l);
	flow_recv_close(recv, false);
	listen_on(b);
	on_ready(b);
	expect_streams(b, 1);
	expect_content(b, 40000, 3);
}

static bool got_half(void *ctx)
{
	struct router *r = ctx;

	return flow_stats(r->flow)->blocks_received > 128;
}

static void test_receiver_restarts(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	uint64_t sent;

	(void)state;
	router_start(a, true);
	router_start(b, true);
	send_one(a, b, 16u << 20, 9);
	assert_true(run_until(got_half, b, 20000));
	router_stop(b);
	router_start(b, true);
	listen_on(b);
	expect_streams(b, 1);
	expect_content(b, 16u << 20, 9);
	/* 513 leaves, two inner nodes, a root; what was on its way when it broke is sent again. */
	sent = flow_stats(a->flow)->blocks_sent;
	printf("restart: %llu blocks sent for 516, received %llu\n", (unsigned long long)sent,
	       (unsigned long long)(b->received_before + flow_stats(b->flow)->blocks_received));
	assert_true(sent <= 516 + 516 / 20);
	expect_clean(a);
	expect_clean(b);
}

static bool sent_some(void *ctx)
{
	struct router *r = ctx;

	return flow_stats(r->flow)->blocks_sent > 100;
}

/* The receiving daemon is another process, killed in mid-file. */
static void test_receiver_killed(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	uint64_t before, sent;
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		if (uv_loop_init(&loop))
			_exit(1);
		/* So that the sender is known as reachable here, too. */
		a->up = true;
		router_start(b, true);
		uv_run(&loop, UV_RUN_DEFAULT);
		_exit(0);
	}
	b->up = true;
	router_start(a, true);
	send_one(a, b, 8u << 20, 3);
	assert_true(run_until(sent_some, a, 20000));
	before = flow_stats(a->flow)->blocks_sent;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	router_start(b, true);
	listen_on(b);
	expect_streams(b, 1);
	expect_content(b, 8u << 20, 3);
	/* 257 leaves, a root; the sender counts what it wrote, seen or not. */
	sent = flow_stats(a->flow)->blocks_sent;
	printf("kill at %llu: %llu blocks sent for 258\n", (unsigned long long)before,
	       (unsigned long long)sent);
	assert_true(before < 258);
	assert_true(sent <= 258 + 258 / 20);
}

/* ---- a proxy that cuts ---- */

struct proxy {
	uv_tcp_t listener;
	struct sockaddr_in6 target;
	uint64_t budget;	/* bytes until the next cut */
	unsigned int cuts, max_cuts;
	uint64_t passed;
	bool drop_receipt;	/* cut when the receiver sends something as long as a receipt */
};

struct half {
	uv_tcp_t tcp;
	struct half *other;
	struct proxy *proxy;
	bool from_target, open;
	uv_connect_t connect;
};

static void half_closed(uv_handle_t *handle)
{
	struct half *h = handle->data;

	if (h->other)
		h->other->other = NULL;
	free(h);
}

static void half_close(struct half *h)
{
	if (h->other && !uv_is_closing((uv_handle_t *)&h->other->tcp))
		uv_close((uv_handle_t *)&h->other->tcp, half_closed);
	if (!uv_is_closing((uv_handle_t *)&h->tcp))
		uv_close((uv_handle_t *)&h->tcp, half_closed);
}

static void half_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	(void)handle;
	buf->base = malloc(hint);
	buf->len = hint;
}

static void half_written(uv_write_t *req, int status)
{
	(void)status;
	free(req->data);
	free(req);
}

static void half_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct half *h = stream->data;
	struct proxy *p = h->proxy;
	uv_write_t *req;
	uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned int)n : 0);
	bool cut = false;

	if (n > 0 && h->from_target && p->drop_receipt && p->cuts < p->max_cuts) {
		/* Only receipts among small messages carry type 6. */
		for (ssize_t i = 0; i + 5 <= n; i++)
			cut = cut || (!memcmp(buf->base + i, "\0\0\0\x61\x06", 5));
	} else if (n > 0 && !p->drop_receipt && p->cuts < p->max_cuts) {
		cut = p->passed + (uint64_t)n > p->budget;
	}
	if (n <= 0 || !h->other || cut) {
		free(buf->base);
		if (cut) {
			p->cuts++;
			p->passed = 0;
			p->budget = 20000 + randombytes_uniform(3000000);
		}
		if (n)
			half_close(h);
		return;
	}
	p->passed += (uint64_t)n;
	req = malloc(sizeof(*req));
	req->data = buf->base;
	if (uv_write(req, (uv_stream_t *)&h->other->tcp, &out, 1, half_written)) {
		free(buf->base);
		free(req);
		half_close(h);
	}
}

static void half_connected(uv_connect_t *req, int status)
{
	struct half *h = req->handle->data;

	if (status == UV_ECANCELED)
		return;
	if (status || !h->other) {
		half_close(h);
		return;
	}
	uv_read_start((uv_stream_t *)&h->tcp, half_alloc, half_read);
	uv_read_start((uv_stream_t *)&h->other->tcp, half_alloc, half_read);
}

static void proxy_incoming(uv_stream_t *stream, int status)
{
	struct proxy *p = stream->data;
	struct half *in = calloc(1, sizeof(*in)), *out = calloc(1, sizeof(*out));

	assert_int_equal(status, 0);
	uv_tcp_init(&loop, &in->tcp);
	uv_tcp_init(&loop, &out->tcp);
	in->tcp.data = in;
	out->tcp.data = out;
	in->proxy = out->proxy = p;
	in->other = out;
	out->other = in;
	out->from_target = true;
	assert_int_equal(uv_accept(stream, (uv_stream_t *)&in->tcp), 0);
	uv_tcp_connect(&out->connect, &out->tcp, (struct sockaddr *)&p->target, half_connected);
}

static void proxy_start(struct proxy *p, struct router *r)
{
	struct sockaddr_in6 at;

	r->seen_port = scratch_port();
	uv_ip6_addr("::1", r->port, &p->target);
	uv_ip6_addr("::1", r->seen_port, &at);
	uv_tcp_init(&loop, &p->listener);
	p->listener.data = p;
	assert_int_equal(uv_tcp_bind(&p->listener, (struct sockaddr *)&at, 0), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&p->listener, 16, proxy_incoming), 0);
}

static void test_cuts(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	static struct proxy proxy;
	uint64_t sent;

	(void)state;
	proxy = (struct proxy){ .budget = 1000000, .max_cuts = 8 };
	proxy_start(&proxy, b);
	router_start(a, true);
	router_start(b, true);
	listen_on(b);
	send_one(a, b, 16u << 20, 4);
	expect_streams(b, 1);
	expect_content(b, 16u << 20, 4);
	sent = flow_stats(b->flow)->blocks_received;
	printf("cuts: %u, received %llu of 516 blocks, sent %llu\n", proxy.cuts,
	       (unsigned long long)sent, (unsigned long long)flow_stats(a->flow)->blocks_sent);
	assert_true(proxy.cuts >= 4);
	assert_int_equal(sent, 516);
	assert_int_equal(flow_stats(b->flow)->blocks_rejected, 0);
	expect_clean(a);
	expect_clean(b);
	uv_close((uv_handle_t *)&proxy.listener, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void test_lost_receipt(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	static struct proxy proxy;

	(void)state;
	proxy = (struct proxy){ .drop_receipt = true, .max_cuts = 3 };
	proxy_start(&proxy, b);
	router_start(a, true);
	router_start(b, true);
	listen_on(b);
	send_one(a, b, 100000, 6);
	expect_streams(b, 1);
	expect_clean(a);
	assert_int_equal(proxy.cuts, 3);
	assert_int_equal(received[b - routers].streams, 1);
	assert_int_equal(flow_stats(b->flow)->receipts_sent, 4);
	assert_int_equal(flow_stats(a->flow)->receipts_received, 1);
	uv_close((uv_handle_t *)&proxy.listener, NULL);
	uv_run(&loop, UV_RUN_NOWAIT);
}

/* ---- a hostile peer, blocking sockets driven between turns of the loop ---- */

static int stranger_connect(struct router *r)
{
	struct timeval wait = { .tv_usec = 1000 };
	struct sockaddr_in6 at;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	uv_ip6_addr("::1", r->port, &at);
	assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	return fd;
}

static void stranger_send(int fd, const void *data, size_t len)
{
	assert_int_equal(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
	/* The kernel may hand the bytes over a little later. */
	for (int i = 0; i < 20; i++) {
		usleep(200);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

/* True when the other side has closed. */
static bool stranger_closed(int fd)
{
	uint8_t buf[65536];

	for (int i = 0; i < 300; i++) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (!n || (n < 0 && errno != EAGAIN))
			return true;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	return false;
}

static void test_garbage(void **state)
{
	static const uint8_t starts[][8] = {
		"GET / HT", "\0\0\0\0\0\0\0", "\xff\xff\xff\xff\1", "\0\0\0\1\7", "\0\0\0\1\x08",
		"\0\0\0\2\x08\0", "\0\0\0\1\x63",
	};
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	uint8_t frame[EXCHANGE_SMALL_MAX];
	int fd;

	(void)state;
	router_start(b, true);
	router_start(c, true);
	for (size_t i = 0; i < sizeof(starts) / sizeof(*starts); i++) {
		fd = stranger_connect(b);
		stranger_send(fd, starts[i], sizeof(starts[i]));
		assert_true(stranger_closed(fd));
		close(fd);
	}
	/* A greeting for somebody else. */
	fd = stranger_connect(b);
	stranger_send(fd, frame, exchange_put_hello(frame, &a->address, &c->address));
	assert_true(stranger_closed(fd));
	close(fd);
	/* Another router is not troubled. */
	listen_on(b);
	send_one(c, b, 1000, 1);
	expect_streams(b, 1);
}

static void test_wrong_blocks(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	static uint8_t block[EXCHANGE_HEAD + ERIS_BLOCK_SMALL];
	static uint8_t offer[EXCHANGE_HEAD + MANIFEST_MAX];
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct manifest m = { .cap = { .block_size = ERIS_BLOCK_SMALL, .level = 1 } };
	ssize_t len;
	int fd;

	(void)state;
	router_start(b, true);
	fd = stranger_connect(b);
	stranger_send(fd, frame, exchange_put_hello(frame, &a->address, &b->address));
	/* A wish for what was never offered. */
	memset(frame, 0, sizeof(frame));
	stranger_send(fd, frame, exchange_put_want(frame, &(struct ident){ { 9 } },
						  (const void *)block, 2));
	m.head.from = a->address;
	m.head.to = (struct recipient){ RECIPIENT_ADDRESS, b->address };
	m.head.stream_size = 5000;
	m.head.aux_len = 2;
	randombytes_buf(m.cap.root_ref, 32);
	len = manifest_seal(&m, a->secret, offer + EXCHANGE_HEAD);
	assert_true(len > 0);
	exchange_put_head(offer, EXCHANGE_OFFER, (size_t)len);
	stranger_send(fd, offer, EXCHANGE_HEAD + (size_t)len);
	assert_int_equal(flow_active(b->flow), 1);
	exchange_put_head(block, EXCHANGE_BLOCK, ERIS_BLOCK_SMALL);
	for (int i = 0; i < 14; i++) {
		randombytes_buf(block + EXCHANGE_HEAD, ERIS_BLOCK_SMALL);
		stranger_send(fd, block, sizeof(block));
	}
	assert_int_equal(flow_stats(b->flow)->blocks_rejected, 14);
	assert_int_equal(flow_active(b->flow), 1);
	stranger_send(fd, block, sizeof(block));
	assert_true(stranger_closed(fd));
	assert_int_equal(flow_active(b->flow), 0);
	assert_int_equal(flow_stats(b->flow)->protocol_errors, 1);
	assert_int_equal(count(b, STORE_BLOCKS), 0);
	close(fd);
}

static void test_hostile_manifests(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	static uint8_t offer[EXCHANGE_HEAD + MANIFEST_MAX];
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct manifest m = { .cap = { .block_size = ERIS_BLOCK_SMALL } };
	ssize_t len;
	int fd;

	(void)state;
	router_start(b, true);
	fd = stranger_connect(b);
	stranger_send(fd, frame, exchange_put_hello(frame, &a->address, &b->address));
	/* Signed by somebody else than who speaks; too big; not sealed to us. */
	m.head.from = c->address;
	m.head.to = (struct recipient){ RECIPIENT_ADDRESS, b->address };
	m.head.stream_size = 10;
	m.head.aux_len = 2;
	len = manifest_seal(&m, c->secret, offer + EXCHANGE_HEAD);
	exchange_put_head(offer, EXCHANGE_OFFER, (size_t)len);
	stranger_send(fd, offer, EXCHANGE_HEAD + (size_t)len);
	m.head.from = a->address;
	m.head.stream_size = UINT64_MAX;
	len = manifest_seal(&m, a->secret, offer + EXCHANGE_HEAD);
	exchange_put_head(offer, EXCHANGE_OFFER, (size_t)len);
	stranger_send(fd, offer, EXCHANGE_HEAD + (size_t)len);
	m.head.to.address = c->address;
	m.head.stream_size = 10;
	len = manifest_seal(&m, a->secret, offer + EXCHANGE_HEAD);
	exchange_put_head(offer, EXCHANGE_OFFER, (size_t)len);
	stranger_send(fd, offer, EXCHANGE_HEAD + (size_t)len);
	assert_int_equal(flow_stats(b->flow)->offers_received, 3);
	assert_int_equal(flow_active(b->flow), 0);
	assert_int_equal(count(b, STORE_INBOX), 0);
	close(fd);
}

/* Blocks of a send that a crash cut short go at the next start. */
static void test_orphans(void **state)
{
	struct router *a = &routers[0];
	struct letterhead head = { .from = a->address, .aux_len = 2 };
	static uint8_t data[200000];
	struct sending s = { 0 };
	struct journal_tag tag;
	uint8_t key[48] = { 0 };
	char why[128];

	(void)state;
	assert_int_equal(store_open(&a->store, &loop, a->dir, NULL, why, sizeof(why)), 0);
	journal_tag_draw(&tag);
	for (int t = 0; t < 3; t++) {
		memset(key, t * 100, 16);
		for (int i = 0; i < 600; i++) {
			memcpy(key + 16, &i, sizeof(i));
			assert_int_equal(store_put(a->store, STORE_BLOCKS, key, sizeof(key), data,
						   1024), 0);
		}
	}
	store_close(a->store);
	router_start(a, true);
	/* One that is wanted is not touched by the sweep. */
	head.to = (struct recipient){ RECIPIENT_ADDRESS, routers[1].address };
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), 0);
	assert_int_equal(flow_send_write(s.send, data, sizeof(data)), 0);
	flow_send_finish(s.send, on_sent, &s);
	assert_false(run_until(never, NULL, 1500));
	assert_int_equal(s.err, 0);
	/* 200,000 zeroes: six equal leaves are one block, the last leaf, the root. */
	assert_int_equal(count(a, STORE_BLOCKS), 3);
	assert_int_equal(flow_local_purge(a->flow, &a->address), 0);
	expect_clean(a);
}

static void bench(void **state)
{
	uint64_t size = strtoull(getenv("FLOW_BENCH_MB"), NULL, 10) << 20;
	struct router *a = &routers[0], *b = &routers[1];
	uint64_t t0, t1, t2;

	(void)state;
	router_start(a, true);
	router_start(b, false);
	t0 = uv_hrtime();
	send_one(a, b, size, 1);
	t1 = uv_hrtime();
	router_stop(b);
	router_start(b, true);
	flow_peer_reachable(a->flow, &b->address);
	while (!flow_stats(b->flow)->receipts_sent)
		uv_run(&loop, UV_RUN_ONCE);
	t2 = uv_hrtime();
	printf("encode and store %.1f MB/s, transfer %.1f MB/s\n", (double)size * 1e3 / (double)(t1 - t0),
	       (double)size * 1e3 / (double)(t2 - t1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sizes, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_empty_and_bad, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_local_and_late, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_unread, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_receiver_restarts, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_receiver_killed, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_cuts, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_lost_receipt, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_garbage, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_wrong_blocks, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_hostile_manifests, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_orphans, setup, world_teardown),
	};
	const struct CMUnitTest benches[] = {
		cmocka_unit_test_setup_teardown(bench, setup, world_teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR);
	if (getenv("FLOW_TEST"))
		cmocka_set_test_filter(getenv("FLOW_TEST"));
	if (getenv("FLOW_BENCH_MB"))
		return cmocka_run_group_tests(benches, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
