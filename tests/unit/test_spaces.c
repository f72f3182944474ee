// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Streams to a namespace between whole flows over loopback, all in one loop. Who
 * is a member elsewhere is told by the test in place of the mesh (struct router).
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
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/exchange.h"
#include "ratmand/flow/flow.h"
#include "ratmand/flow/inbox.h"
#include "ratmand/flow/journal.h"
#include "unit/flow_world.h"

#define SEEDS 64
#define HEAD 8		/* each stream begins with its seed */

/* What a router's standing listener has received. */
static struct {
	uint64_t got[SEEDS];		/* how often each stream came */
	size_t total;
} seen[ROUTERS];

static int setup(void **state)
{
	memset(seen, 0, sizeof(seen));
	return world_setup(state);
}

static void start(struct router *r)
{
	router_start(r, true);
}

static void on_ready(void *ctx)
{
	struct router *r = ctx;
	static uint8_t buf[32768];
	struct letterhead head;
	struct flow_recv *recv;
	ssize_t n;

	while (r->listener && !flow_recv_open(r->listener, &head, &recv)) {
		uint64_t at = 0, seed = SEEDS;

		assert_int_equal(head.to.kind, RECIPIENT_NAMESPACE);
		assert_true(address_equal(&head.to.address, &space));
		while ((n = flow_recv_read(recv, buf, sizeof(buf))) > 0) {
			if (!at)
				memcpy(&seed, buf, HEAD);
			assert_true(seed < SEEDS);
			for (ssize_t i = at ? 0 : HEAD; i < n; i++)
				assert_int_equal(buf[i], pattern(seed, at + (uint64_t)i));
			at += (uint64_t)n;
		}
		assert_int_equal(n, 0);
		assert_int_equal(at, head.stream_size);
		seen[r - routers].got[seed]++;
		seen[r - routers].total++;
		flow_recv_close(recv, true);
	}
}

static void listen_on(struct router *r)
{
	struct recipient to = { RECIPIENT_NAMESPACE, space };

	assert_int_equal(flow_listen(r->flow, &r->address, &to, on_ready, r, &r->listener), 0);
	on_ready(r);
}

static void join(struct router *r)
{
	assert_int_equal(flow_space_up(r->flow, &space, space_secret, &r->address), 0);
	r->announced = true;
	world_members_changed();
}

struct sending {
	struct flow_send *send;
	bool finished, may_write;
	int err;
};

static void on_drain(void *ctx)
{
	((struct sending *)ctx)->may_write = true;
}

static void on_sent(void *ctx, int err)
{
	((struct sending *)ctx)->finished = true;
	((struct sending *)ctx)->err = err;
}

static void send_stream(struct router *from, uint64_t seed, uint64_t size)
{
	struct letterhead head = { .from = from->address, .aux_len = 2,
				   .to = { RECIPIENT_NAMESPACE, space } };
	static uint8_t buf[32768];
	struct sending s = { 0 };
	uint64_t at = 0;

	assert_int_equal(flow_send_open(from->flow, &head, 1, on_drain, &s, &s.send), 0);
	while (at < size) {
		size_t len = size - at < sizeof(buf) ? size - at : sizeof(buf);
		int err;

		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(seed, at + i);
		if (!at)
			memcpy(buf, &seed, HEAD);
		s.may_write = false;
		err = flow_send_write(s.send, buf, len);
		if (err == -EAGAIN) {
			while (!s.may_write)
				uv_run(&loop, UV_RUN_ONCE);
			continue;
		}
		assert_int_equal(err, 0);
		at += len;
	}
	flow_send_finish(s.send, on_sent, &s);
	while (!s.finished)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(s.err, 0);
}

struct want {
	struct router *router;
	size_t n;
};

static bool has_total(void *ctx)
{
	struct want *w = ctx;

	return seen[w->router - routers].total >= w->n;
}

/* @r gets streams 0 … @n - 1, each exactly once so far. */
static void expect(struct router *r, size_t n)
{
	struct want w = { r, n };

	if (!run_until(has_total, &w, 60000))
		fail_msg("router %td has %zu of %zu streams", r - routers, seen[r - routers].total, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(seen[r - routers].got[i], 1);
	assert_int_equal(seen[r - routers].total, n);
}

/* ---- tests ---- */

static void test_three_members(void **state)
{
	struct router *sender = &routers[3];

	(void)state;
	for (int i = 0; i < 4; i++)
		start(&routers[i]);
	for (int i = 0; i < 3; i++) {
		join(&routers[i]);
		listen_on(&routers[i]);
	}
	send_stream(sender, 0, 100);
	send_stream(sender, 1, 20000);
	send_stream(sender, 2, 3u << 20);
	/* One of the members sends, too; it gets its own. */
	send_stream(&routers[1], 3, 70000);
	for (int i = 0; i < 3; i++)
		expect(&routers[i], 4);
	assert_int_equal(seen[sender - routers].total, 0);
	/* The sender keeps nothing once two members have it. */
	assert_true(run_until(outbox_empty, sender, 60000));
	assert_int_equal(flow_stats(sender->flow)->items, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(flow_stats(routers[i].flow)->items, 4);
		assert_int_equal(flow_stats(routers[i].flow)->proofs_bad, 0);
		assert_int_equal(flow_stats(routers[i].flow)->protocol_errors, 0);
	}
	/* And nothing comes twice while they go on comparing. */
	run_until(never, NULL, 3000);
	for (int i = 0; i < 3; i++)
		expect(&routers[i], 4);
}

static void test_away(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2], *sender = &routers[3];

	(void)state;
	start(a);
	start(b);
	start(sender);
	join(a);
	join(b);
	c->announced = true;		/* known, but away */
	listen_on(a);
	listen_on(b);
	for (uint64_t i = 0; i < 5; i++)
		send_stream(sender, i, 1000 + i * 30000);
	expect(a, 5);
	expect(b, 5);
	assert_true(run_until(outbox_empty, sender, 90000));
	/* Neither the sender nor the first member is there when it comes back. */
	router_stop(sender);
	router_stop(a);
	start(c);
	join(c);
	listen_on(c);
	expect(c, 5);
	/* After a restart it has had them, and catches up with what came meanwhile. */
	router_stop(c);
	send_stream(b, 5, 5000);
	start(c);
	join(c);
	listen_on(c);
	expect(c, 6);
	expect(b, 6);
}

/* The only member there is: one receipt must do. */
static void test_single_member(void **state)
{
	struct router *a = &routers[0], *sender = &routers[3];

	(void)state;
	start(sender);
	send_stream(sender, 0, 5000);	/* nobody is a member yet: it waits */
	run_until(never, NULL, 200);
	assert_int_equal(count(sender, STORE_OUTBOX), 1);
	start(a);
	join(a);
	listen_on(a);
	expect(a, 1);
	assert_true(run_until(outbox_empty, sender, 60000));
}

static bool some_blocks(void *ctx)
{
	struct router *r = ctx;

	return flow_stats(r->flow)->blocks_received > 20;
}

/* Ends in the middle of a transfer, of the sender and of a member; blocks come once. */
static void test_interrupted(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *sender = &routers[3];
	uint64_t before;

	(void)state;
	start(a);
	start(sender);
	join(a);
	send_stream(sender, 0, 16u << 20);
	assert_true(run_until(some_blocks, a, 30000));
	before = flow_stats(a->flow)->blocks_received;
	router_stop(a);
	start(a);
	join(a);
	listen_on(a);
	router_stop(sender);
	start(sender);
	expect(a, 1);
	before += flow_stats(a->flow)->blocks_received;
	/* 516 blocks; those not committed when it ended may come twice. */
	assert_in_range(before, 516, 516 + 40);
	start(b);
	join(b);
	listen_on(b);
	assert_true(run_until(some_blocks, b, 30000));
	router_stop(a);
	start(a);
	join(a);
	listen_on(a);
	expect(b, 1);
	expect(a, 1);
}

static bool no_transfers(void *ctx)
{
	struct router *r = ctx;

	return !flow_active(r->flow);
}

/* The namespace goes while one of its streams arrives: the transfer ends with it. */
static void test_purged(void **state)
{
	struct router *a = &routers[0], *sender = &routers[3];
	uint64_t before;

	(void)state;
	start(a);
	start(sender);
	join(a);
	send_stream(sender, 0, 16u << 20);
	assert_true(run_until(some_blocks, a, 30000));
	flow_space_purge(a->flow, &space);
	assert_true(run_until(no_transfers, a, 10000));
	/* Whoever joins later begins anew. */
	before = flow_stats(a->flow)->blocks_received;
	join(a);
	listen_on(a);
	expect(a, 1);
	assert_in_range(flow_stats(a->flow)->blocks_received - before, 516, 516 + 40);
}

/* Two addresses of one daemon, one of which listens only later, and a third that is no member. */
static void test_local(void **state)
{
	struct router *a = &routers[0];
	struct recipient to = { RECIPIENT_NAMESPACE, space };
	struct flow_listener *second = NULL, *again = NULL;
	struct router *twin = &routers[5];	/* never started: what the second listener gets */
	struct letterhead head;
	struct flow_recv *recv;

	(void)state;
	start(a);
	assert_int_equal(flow_local_up(a->flow, &a->second), 0);
	join(a);
	assert_int_equal(flow_space_up(a->flow, &space, space_secret, &a->second), 0);
	assert_int_equal(flow_space_up(a->flow, &space, space_secret, &a->second), 0);
	assert_int_equal(flow_space_up(a->flow, &space, a->secret, &a->address), -EINVAL);
	assert_int_equal(flow_space_up(a->flow, &space, space_secret, &routers[1].address), -EINVAL);
	listen_on(a);
	send_stream(a, 0, 5000);
	expect(a, 1);
	assert_int_equal(flow_listen(a->flow, &a->second, &to, on_ready, twin, &second), 0);
	twin->listener = second;
	on_ready(twin);
	expect(twin, 1);
	/* Given back unread it comes again, to the same member only. */
	send_stream(a, 1, 100);
	expect(a, 2);
	expect(twin, 2);
	flow_listen_stop(second);
	twin->listener = NULL;
	send_stream(a, 2, 100);
	expect(a, 3);
	assert_int_equal(flow_listen(a->flow, &a->second, &to, on_drain, &(struct sending){ 0 },
				     &again), 0);
	assert_int_equal(flow_recv_open(again, &head, &recv), 0);
	flow_recv_close(recv, false);
	assert_int_equal(flow_recv_open(again, &head, &recv), 0);
	flow_recv_close(recv, true);
	assert_int_equal(flow_recv_open(again, &head, &recv), -EAGAIN);
	flow_listen_stop(again);
	expect(a, 3);
	/* Without a member nothing is delivered; the next one gets what was kept. */
	flow_space_down(a->flow, &space, &a->address);
	flow_space_down(a->flow, &space, &a->second);
	send_stream(a, 3, 100);
	run_until(never, NULL, 100);
	assert_int_equal(seen[a - routers].total, 3);
	join(a);
	expect(a, 4);
	/* All of it goes. */
	flow_space_purge(a->flow, &space);
	assert_int_equal(flow_stats(a->flow)->items, 0);
	assert_int_equal(count(a, STORE_INBOX), 0);
}

/* A namespace is no sender but to itself, and its streams are for members alone. */
static void test_refused_sends(void **state)
{
	struct router *a = &routers[0];
	struct letterhead head = { .aux_len = 2 };
	struct sending s = { 0 };

	(void)state;
	start(a);
	head.from = space;
	head.to = (struct recipient){ RECIPIENT_NAMESPACE, space };
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), -EACCES);
	join(a);
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), 0);
	flow_send_abort(s.send);
	head.to = (struct recipient){ RECIPIENT_ADDRESS, routers[1].address };
	assert_int_equal(flow_send_open(a->flow, &head, 1, on_drain, &s, &s.send), -EINVAL);
}

/* ---- anycast ---- */

struct answers {
	struct address from[ROUTERS];
	size_t n, want;
};

static void on_answer(void *ctx, const struct address *member, uint64_t ms)
{
	struct answers *a = ctx;

	assert_true(ms < 10000);
	assert_true(a->n < ROUTERS);
	a->from[a->n++] = *member;
}

static bool has_answers(void *ctx)
{
	struct answers *a = ctx;

	return a->n >= a->want;
}

static bool answered(const struct answers *a, const struct router *r)
{
	for (size_t i = 0; i < a->n; i++)
		if (address_equal(&a->from[i], &r->address))
			return true;
	return false;
}

static void test_anycast(void **state)
{
	struct answers first = { .want = 2 }, second = { .want = 3 }, other = { .want = 1 };
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2], *asker = &routers[3];
	struct flow_probe *p, *q, *o;
	struct address foreign;

	(void)state;
	for (int i = 0; i < 5; i++)
		start(&routers[i]);
	join(a);
	join(b);
	routers[4].announced = true;	/* said to be a member, is none */
	routers[5].announced = true;	/* not there at all */
	randombytes_buf(foreign.b, sizeof(foreign.b));
	/* Several at once, one of them for nothing, one from a member, which is not asked itself. */
	assert_int_equal(flow_probe_start(asker->flow, &asker->address, &space, on_answer, &first,
					  &p), 0);
	assert_int_equal(flow_probe_start(asker->flow, &asker->address, &foreign, on_answer,
					  &other, &o), 0);
	assert_int_equal(flow_probe_start(a->flow, &a->address, &space, on_answer, &second, &q), 0);
	assert_true(run_until(has_answers, &first, 30000));
	assert_true(answered(&first, a) && answered(&first, b) && first.n == 2);
	/* A member that comes while it is asked answers, too. */
	second.want = 2;
	join(c);
	assert_true(run_until(has_answers, &second, 30000));
	assert_true(answered(&second, b) && answered(&second, c) && !answered(&second, a));
	assert_int_equal(other.n, 0);
	flow_probe_stop(p);
	flow_probe_stop(q);
	flow_probe_stop(o);
	assert_int_equal(flow_probe_start(asker->flow, &a->address, &space, on_answer, &first, &p),
			 -EACCES);
	/* The daemon's own members answer at once. */
	first = (struct answers){ .want = 1 };
	assert_int_equal(flow_local_up(a->flow, &a->second), 0);
	assert_int_equal(flow_probe_start(a->flow, &a->second, &space, on_answer, &first, &p), 0);
	assert_true(first.n >= 1 && answered(&first, a));
	flow_probe_stop(p);
}

/* ---- liars ---- */

static size_t make_item(uint8_t *out, const struct address *from, const uint8_t *secret,
			uint64_t created_s, enum recipient_kind kind)
{
	struct manifest m = { .created_s = created_s };

	m.head.from = *from;
	m.head.to = (struct recipient){ kind, space };
	return hostile_item(out, &m, secret);
}

static uint64_t wall_s(void)
{
	return (uint64_t)(clock_wall_ns() / 1000000000);
}

static void test_forged_proof(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *liar = &routers[4];
	static uint8_t item[EXCHANGE_ITEM_HEAD + MANIFEST_MAX];
	struct exchange_mark zero = { 0 }, high;
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct exchange_message m;
	struct hostile h;
	size_t len;

	(void)state;
	start(a);
	join(a);
	send_stream(a, 0, 3000);
	memset(&high, 0xff, sizeof(high));
	/* With another key, and the right key but for another address. */
	hostile_start(&h, liar, a, &space);
	hostile_prove(&h, liar->secret, &liar->address);
	assert_int_equal(flow_stats(a->flow)->proofs_bad, 1);
	hostile_end(&h);
	hostile_start(&h, liar, a, &space);
	hostile_prove(&h, space_secret, &b->address);
	assert_int_equal(flow_stats(a->flow)->proofs_bad, 2);
	assert_int_equal(flow_stats(a->flow)->members_proven, 0);
	/* Who has proved nothing gets nothing, and is no carrier. */
	hostile_send(&h, frame, exchange_put_sum(frame, &space, &zero, 0, frame));
	hostile_send(&h, frame, exchange_put_have(frame, &space, &zero, &high, 0));
	len = make_item(item, &b->address, b->secret, wall_s(), RECIPIENT_NAMESPACE);
	hostile_send(&h, item, len);
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	for (int i = 0; i < 16; i++)
		if (send(h.fd, frame, exchange_put_have(frame, &space, &zero, &high, 0),
			 MSG_NOSIGNAL) < 0)
			break;
	assert_false(hostile_next(&h, EXCHANGE_ITEM, &m));
	hostile_end(&h);
	assert_true(flow_stats(a->flow)->protocol_errors >= 1);
	/* A namespace that is not here. */
	hostile_start(&h, liar, a, &space);
	hostile_send(&h, frame, exchange_put_join(frame, &liar->address, h.nonce));
	assert_true(hostile_next(&h, EXCHANGE_LEAVE, &m));
	assert_true(address_equal(&m.space, &liar->address));
	hostile_end(&h);
}

/* A member that lies harms nobody but the streams it sends itself. */
static void test_liar(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *liar = &routers[4];
	static uint8_t item[EXCHANGE_ITEM_HEAD + MANIFEST_MAX];
	struct exchange_mark zero = { 0 }, high;
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct exchange_message m;
	struct hostile h;
	size_t len;

	(void)state;
	start(a);
	start(b);
	join(a);
	listen_on(a);
	send_stream(a, 0, 3000);
	expect(a, 1);
	memset(&high, 0xff, sizeof(high));
	hostile_start(&h, liar, a, &space);
	hostile_prove(&h, space_secret, &liar->address);
	assert_true(hostile_next(&h, EXCHANGE_SUM, &m));
	assert_int_equal(m.sum.count, 1);
	/* "I have nothing": it is offered what there is, and its receipt means nothing to others. */
	hostile_send(&h, frame, exchange_put_have(frame, &space, &zero, &high, 0));
	assert_true(hostile_next(&h, EXCHANGE_ITEM, &m));
	/* Too old, too far ahead, not a namespace's, damaged, garbage. */
	len = make_item(item, &b->address, b->secret, wall_s() - LIMIT_OUTBOX_AGE_S - 7200,
			RECIPIENT_NAMESPACE);
	hostile_send(&h, item, len);
	assert_int_equal(hostile_refusal(&h), EXCHANGE_OLD);
	len = make_item(item, &b->address, b->secret, wall_s() + 2 * LIMIT_SPACE_AHEAD_S,
			RECIPIENT_NAMESPACE);
	hostile_send(&h, item, len);
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BUSY);
	len = make_item(item, &b->address, b->secret, wall_s(), RECIPIENT_ADDRESS);
	hostile_send(&h, item, len);
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	len = make_item(item, &b->address, b->secret, wall_s(), RECIPIENT_NAMESPACE);
	item[len - 1] ^= 1;
	hostile_send(&h, item, len);
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	randombytes_buf(item + EXCHANGE_ITEM_HEAD, 300);
	exchange_put_item(item, &space, 300);
	hostile_send(&h, item, EXCHANGE_ITEM_HEAD + 300);
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	assert_int_equal(flow_stats(a->flow)->items_refused, 4);
	/* A good manifest without its blocks: asked for, never complete, never delivered. */
	len = make_item(item, &b->address, b->secret, wall_s(), RECIPIENT_NAMESPACE);
	hostile_send(&h, item, len);
	assert_true(hostile_next(&h, EXCHANGE_WANT, &m));
	hostile_send(&h, frame, exchange_put_missing(frame, &m.id, m.want.refs[0]));
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BROKEN);
	assert_int_equal(count(a, STORE_INBOX), 1);
	/* More pages than were asked for. */
	for (int i = 0; i < 32; i++)
		if (send(h.fd, frame, exchange_put_have(frame, &space, &zero, &high, 0),
			 MSG_NOSIGNAL) < 0)
			break;
	assert_false(hostile_next(&h, EXCHANGE_LEAVE, &m));
	hostile_end(&h);
	/* Others are not troubled. */
	join(b);
	listen_on(b);
	send_stream(b, 1, 2000);
	expect(a, 2);
	expect(b, 2);
}

/* Small questions without end: the connection goes, others stay. */
static void test_flood(void **state)
{
	struct router *a = &routers[0], *liar = &routers[4];
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct exchange_message m;
	struct hostile h;
	size_t len;

	(void)state;
	start(a);
	join(a);
	hostile_start(&h, liar, a, &space);
	len = exchange_put_probe(frame, EXCHANGE_PROBE, &space, 7);
	for (int i = 0; i < 1000; i++) {
		if (send(h.fd, frame, len, MSG_NOSIGNAL) < 0)
			break;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	assert_false(hostile_next(&h, EXCHANGE_HELLO, &m));
	hostile_end(&h);
	assert_int_equal(flow_stats(a->flow)->protocol_errors, 1);
}

static void on_one_sent(void *ctx, int err)
{
	assert_int_equal(err, 0);
	--*(size_t *)ctx;
}

/* Many small streams at once, so that they share commits. */
static void send_many(struct router *from, const struct address *sender, size_t n)
{
	struct letterhead head = { .from = *sender, .aux_len = 2,
				   .to = { RECIPIENT_NAMESPACE, space } };
	size_t under_way = 0;

	for (size_t i = 0; i < n; i++) {
		struct flow_send *send;

		assert_int_equal(flow_send_open(from->flow, &head, 1, on_drain,
						&(struct sending){ 0 }, &send), 0);
		assert_int_equal(flow_send_write(send, "abcdefgh", 8), 0);
		under_way++;
		flow_send_finish(send, on_one_sent, &under_way);
		while (under_way >= 256)
			uv_run(&loop, UV_RUN_ONCE);
	}
	while (under_way)
		uv_run(&loop, UV_RUN_ONCE);
}

/* More than there is room for: the oldest go, and do not come back. */
static void test_eviction(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct flow_stats before;
	size_t n = LIMIT_SPACE_ITEMS + 20;

	(void)state;
	start(a);
	join(a);
	/* By several, so that nobody exceeds his share. */
	for (int i = 0; i < CROWD; i++)
		send_many(a, &a->crowd[i], n / CROWD + (i < (int)(n % CROWD)));
	assert_true(run_until(outbox_empty, a, 60000));
	before = *flow_stats(a->flow);
	assert_int_equal(before.items, LIMIT_SPACE_ITEMS);
	assert_int_equal(before.items_evicted, 20);
	/* Restarted, the horizon still stands: a member with more cannot push them back. */
	start(b);
	join(b);
	assert_true(run_until(is_idle, b, 60000));
	router_stop(a);
	start(a);
	join(a);
	run_until(never, NULL, 1500);
	assert_int_equal(flow_stats(a->flow)->items, LIMIT_SPACE_ITEMS);
	assert_int_equal(flow_stats(a->flow)->items_received, 0);
}

/* One sender alone makes room for himself, and not for others. */
static void test_shares(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	size_t n = LIMIT_SPACE_SHARE_ITEMS;

	(void)state;
	start(a);
	join(a);
	send_many(a, &a->crowd[0], 5);
	send_many(a, &a->address, n + 20);
	assert_true(run_until(outbox_empty, a, 60000));
	assert_int_equal(flow_stats(a->flow)->items, n + 5);
	assert_int_equal(flow_stats(a->flow)->items_evicted, 20);
	/* Nor do they come back when it is collected anew. */
	router_stop(a);
	start(a);
	join(a);
	assert_int_equal(flow_stats(a->flow)->items, n + 5);
	/* Another member comes to hold the same. */
	start(b);
	join(b);
	for (int i = 0; i < 300 && flow_stats(b->flow)->items < n + 5; i++)
		run_until(never, NULL, 100);
	assert_int_equal(flow_stats(b->flow)->items, n + 5);
	assert_int_equal(flow_stats(b->flow)->items_evicted, 0);
}

#define OLD_HEAD 115		/* of an inbox record of version 2, up to the size */
#define NEW_HEAD (OLD_HEAD + 41)

struct old_records {
	struct ident ids[16];
	size_t n;
};

static int keep_key(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct old_records *old = ctx;

	(void)value;
	(void)value_len;
	assert_int_equal(key_len, 32);
	memcpy(old->ids[old->n++].b, key, 32);
	return 0;
}

/* A store of before there were parcels: its items are kept, and their senders known. */
static void test_old_records(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct old_records old = { .n = 0 };
	static uint8_t record[NEW_HEAD + MANIFEST_MAX];
	char why[256];

	(void)state;
	start(a);
	join(a);
	for (uint64_t seed = 0; seed < 3; seed++)
		send_stream(a, seed, 3000);
	assert_true(run_until(outbox_empty, a, 60000));
	router_stop(a);
	assert_int_equal(store_open(&a->store, &loop, a->dir, NULL, why, sizeof(why)), 0);
	assert_int_equal(store_each(a->store, STORE_INBOX, keep_key, &old), 0);
	assert_int_equal(old.n, 6);
	for (size_t i = 0; i < old.n; i++) {
		ssize_t len = store_get(a->store, STORE_INBOX, old.ids[i].b, 32, record,
					sizeof(record));

		assert_true(len > NEW_HEAD);
		assert_int_equal(record[0], 3);
		record[0] = 2;
		memmove(record + OLD_HEAD, record + NEW_HEAD, (size_t)len - NEW_HEAD);
		assert_int_equal(store_put(a->store, STORE_INBOX, old.ids[i].b, 32, record,
					   (size_t)len - NEW_HEAD + OLD_HEAD), 0);
	}
	store_close(a->store);
	uv_run(&loop, UV_RUN_NOWAIT);
	start(a);
	join(a);
	assert_int_equal(flow_stats(a->flow)->items, 3);
	listen_on(a);
	expect(a, 3);
	start(b);
	join(b);
	listen_on(b);
	expect(b, 3);
}

/* Kept too long: it goes, undelivered entries of members stay. */
static void test_expiry(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	static uint8_t item[EXCHANGE_ITEM_HEAD + MANIFEST_MAX];
	struct journal *journal;
	struct inbox inbox;
	char why[256];

	(void)state;
	assert_int_equal(store_open(&a->store, &loop, a->dir, NULL, why, sizeof(why)), 0);
	assert_int_equal(journal_new(&journal, &loop, a->store), 0);
	assert_int_equal(inbox_load(&inbox, a->store, journal), 0);
	for (unsigned int i = 0; i < 3; i++) {
		struct inbox_entry like = { .to = { RECIPIENT_NAMESPACE, space }, .complete = true,
					    .size = 5000 };
		struct inbox_entry *e;
		size_t len;

		like.created_s = wall_s() - (i ? LIMIT_OUTBOX_AGE_S + 2 * 3600 : 100);
		if (i == 2)
			like.local = a->address;
		len = make_item(item, &b->address, b->secret, like.created_s, RECIPIENT_NAMESPACE);
		randombytes_buf(like.id.b, sizeof(like.id.b));
		assert_int_equal(inbox_add(&inbox, &like, item + EXCHANGE_ITEM_HEAD,
					   len - EXCHANGE_ITEM_HEAD, &e), 0);
	}
	inbox_free(&inbox);
	journal_free(journal);
	store_close(a->store);
	uv_run(&loop, UV_RUN_NOWAIT);
	start(a);
	join(a);
	run_until(never, NULL, 1500);
	assert_int_equal(flow_stats(a->flow)->items_expired, 1);
	assert_int_equal(flow_stats(a->flow)->items, 1);
	assert_int_equal(flow_stats(a->flow)->item_bytes, 5000);
	/* The item that is left, the entry it gave its member, and the old one's. */
	assert_int_equal(count(a, STORE_INBOX), 3);
}

/* Six members, each sends while others come and go: everybody gets everything once. */
static void test_churn(void **state)
{
	uint64_t seed = 0;

	(void)state;
	for (int i = 0; i < ROUTERS; i++) {
		start(&routers[i]);
		join(&routers[i]);
		listen_on(&routers[i]);
	}
	for (int round = 0; round < 6; round++) {
		struct router *gone = &routers[round];

		router_stop(gone);
		for (int i = 0; i < ROUTERS; i++)
			if (routers[i].flow) {
				send_stream(&routers[i], seed, 500 + seed * 1000);
				seed++;
			}
		start(gone);
		join(gone);
		listen_on(gone);
	}
	for (int i = 0; i < ROUTERS; i++)
		expect(&routers[i], seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_three_members, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_away, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_single_member, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_interrupted, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_purged, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_local, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_old_records, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_shares, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_refused_sends, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_anycast, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_forged_proof, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_liar, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_eviction, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_churn, setup, world_teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR);
	if (getenv("FLOW_TEST"))
		cmocka_set_test_filter(getenv("FLOW_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
