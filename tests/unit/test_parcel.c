// SPDX-License-Identifier: GPL-2.0-or-later
/* Parcels between whole flows: handed over once, kept, refused, resumed; not for clients. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utlist.h>

#include "base/limits.h"
#include "ratmand/flow/core.h"
#include "unit/flow_world.h"

#define KEPT 256

/* What a handler has got. */
struct mailbox {
	struct router *router;
	struct got {
		struct parcel info;
		uint64_t seed;		/* the first 8 bytes of the content */
		uint64_t len;
	} got[KEPT];
	size_t n;
	bool refuse_next;		/* closed as not taken */
	bool keep_open;
	struct flow_parcel *open[PARCEL_OPEN_MAX];
	size_t n_open;
	struct flow_content content;
	enum parcel_answer answer;
	size_t asked;
};

static struct mailbox inboxes[ROUTERS];

static int setup(void **state)
{
	memset(inboxes, 0, sizeof(inboxes));
	for (int i = 0; i < ROUTERS; i++)
		inboxes[i].router = &routers[i];
	return world_setup(state);
}

static struct mailbox *inbox_of(struct router *r)
{
	return &inboxes[r - routers];
}

static void on_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	struct mailbox *b = ctx;
	struct got *g = &b->got[b->n];
	static uint8_t buf[40000];
	ssize_t n;

	assert_true(b->n < KEPT);
	g->info = *info;
	g->len = 0;
	while ((n = flow_parcel_read(p, buf, sizeof(buf))) > 0) {
		if (!g->len)
			memcpy(&g->seed, buf, 8);
		for (ssize_t i = g->len ? 0 : 8; i < n; i++)
			assert_int_equal(buf[i], pattern(g->seed, g->len + (uint64_t)i));
		g->len += (uint64_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(g->len, info->size);
	assert_int_equal(flow_parcel_content(p, &b->content), 0);
	b->n++;
	if (b->keep_open) {
		b->open[b->n_open++] = p;
		return;
	}
	flow_parcel_close(p, !b->refuse_next);
	b->refuse_next = false;
}

static enum parcel_answer on_offered(void *ctx, const struct parcel *info)
{
	struct mailbox *b = ctx;

	assert_true(info->size);
	b->asked++;
	return b->answer;
}

static void handle(struct router *r, enum parcel_kind kind)
{
	flow_parcel_handler(r->flow, kind, on_parcel, inbox_of(r));
}

static void handle_all(struct router *r)
{
	for (enum parcel_kind kind = PARCEL_PROFILE; kind < PARCEL_KINDS; kind++)
		handle(r, kind);
}

struct result {
	bool done;
	int err;
};

static void on_done(void *ctx, int err)
{
	struct result *result = ctx;

	result->done = true;
	result->err = err;
}

static int wait_for(struct result *result)
{
	while (!result->done)
		uv_run(&loop, UV_RUN_ONCE);
	return result->err;
}

static const uint8_t *content_of(uint64_t seed, size_t len)
{
	static uint8_t buf[LIMIT_PARCEL_DATA];

	for (size_t i = 8; i < len; i++)
		buf[i] = pattern(seed, i);
	memcpy(buf, &seed, 8);
	return buf;
}

static struct recipient address_of(const struct router *r)
{
	return (struct recipient){ RECIPIENT_ADDRESS, r->address };
}

static void send_parcel(struct router *from, enum parcel_kind kind, const struct address *sender,
			struct recipient to, uint64_t seed, size_t len)
{
	struct result result = { false };

	assert_int_equal(flow_parcel_send(from->flow, kind, sender, &to, (const uint8_t *)"meta",
					  4, content_of(seed, len), len, on_done, &result), 0);
	assert_false(result.done);
	assert_int_equal(wait_for(&result), 0);
}

struct want {
	struct mailbox *inbox;
	size_t n;
};

static bool has_got(void *ctx)
{
	const struct want *w = ctx;

	return w->inbox->n >= w->n;
}

static void expect(struct router *r, size_t n)
{
	struct want w = { inbox_of(r), n };

	if (!run_until(has_got, &w, 60000))
		fail_msg("router %td has %zu of %zu parcels", r - routers, inbox_of(r)->n, n);
	assert_int_equal(inbox_of(r)->n, n);
}

/* ---- between daemons and inside one ---- */

static void test_kinds(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];

	(void)state;
	router_start(a, true);
	router_start(b, true);
	handle_all(b);
	for (enum parcel_kind kind = PARCEL_PROFILE; kind < PARCEL_KINDS; kind++) {
		const struct got *g = &inbox_of(b)->got[kind - 1];

		send_parcel(a, kind, &a->address, address_of(b), kind, 100 + 20000 * kind);
		expect(b, kind);
		assert_int_equal(g->info.kind, kind);
		assert_true(address_equal(&g->info.from, &a->address));
		assert_int_equal(g->info.to.kind, RECIPIENT_ADDRESS);
		assert_true(address_equal(&g->info.to.address, &b->address));
		assert_int_equal(g->info.meta_len, 4);
		assert_memory_equal(g->info.meta, "meta", 4);
		assert_int_equal(g->seed, kind);
		assert_int_equal(g->len, 100 + 20000 * kind);
	}
	assert_true(run_until(outbox_empty, a, 60000));
	run_until(never, NULL, 200);
	assert_int_equal(count(b, STORE_INBOX), 0);
	assert_int_equal(count(b, STORE_BLOCKS), 0);
	assert_int_equal(count(a, STORE_BLOCKS), 0);
}

static void no_client(void *ctx)
{
	(void)ctx;
	fail_msg("a client is told of a parcel");
}

/* Neither who receives nor who has subscribed gets one, and a stream passes it by. */
static void test_not_for_clients(void **state)
{
	struct router *a = &routers[0];
	struct recipient to;
	struct flow_recv *recv;
	struct letterhead head;

	(void)state;
	router_start(a, true);
	router_second_up(a);
	to = address_of(a);
	assert_int_equal(flow_listen(a->flow, &a->address, &to, no_client, NULL, &a->listener), 0);
	send_parcel(a, PARCEL_MESSAGE, &a->second, to, 1, 50);
	run_until(never, NULL, 300);
	assert_int_equal(flow_recv_open(a->listener, &head, &recv), -EAGAIN);
	assert_int_equal(count(a, STORE_INBOX), 1);
	assert_int_equal(count(a, STORE_OUTBOX), 0);
	/* It was waiting for its handler, over a restart, too. */
	router_stop(a);
	router_start(a, true);
	handle(a, PARCEL_NOTICE);
	run_until(never, NULL, 200);
	assert_int_equal(inbox_of(a)->n, 0);
	handle(a, PARCEL_MESSAGE);
	expect(a, 1);
	assert_true(address_equal(&inbox_of(a)->got[0].info.from, &a->second));
	run_until(never, NULL, 200);
	assert_int_equal(count(a, STORE_INBOX), 0);
	router_stop(a);
	router_start(a, true);
	handle_all(a);
	run_until(never, NULL, 200);
	assert_int_equal(inbox_of(a)->n, 1);
}

/* It stays while its recipient is down. */
static void test_recipient_down(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];

	(void)state;
	router_start(a, true);
	router_start(b, true);
	send_parcel(a, PARCEL_MESSAGE, &a->address, address_of(b), 3, 5000);
	assert_true(run_until(outbox_empty, a, 60000));
	router_stop(b);
	router_start(b, false);
	handle_all(b);
	run_until(never, NULL, 300);
	assert_int_equal(inbox_of(b)->n, 0);
	b->up = true;
	assert_int_equal(flow_local_up(b->flow, &b->address), 0);
	expect(b, 1);
}

/* Not taken: it comes again, later. */
static void test_not_taken(void **state)
{
	struct router *a = &routers[0];

	(void)state;
	router_start(a, true);
	router_second_up(a);
	handle_all(a);
	inbox_of(a)->refuse_next = true;
	send_parcel(a, PARCEL_MESSAGE, &a->second, address_of(a), 4, 60);
	expect(a, 1);
	run_until(never, NULL, 500);
	assert_int_equal(inbox_of(a)->n, 1);
	expect(a, 2);
	assert_memory_equal(&inbox_of(a)->got[0].info.id, &inbox_of(a)->got[1].info.id, 32);
	run_until(never, NULL, 200);
	assert_int_equal(count(a, STORE_INBOX), 0);
}

/* A crash in the middle of a delivery inside one daemon leaves half an entry: it is delivered all the same. */
static void test_left_half_way(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct outbox_entry *o;
	struct inbox_entry like = { .kind = PARCEL_MESSAGE }, *in;
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len;

	(void)state;
	router_start(a, true);
	handle_all(a);
	send_parcel(a, PARCEL_MESSAGE, &a->address, address_of(b), 6, 5000);
	o = a->flow->outbox.all;
	like.id = o->id;
	like.tag = o->tag;
	like.to = o->to;
	like.local = b->address;
	like.size = o->size;
	len = outbox_sealed(&a->flow->outbox, o, sealed);
	assert_true(len > 0);
	assert_int_equal(inbox_add(&a->flow->inbox, &like, sealed, (size_t)len, &in), 0);
	/* The recipient's address is here from now on. */
	a->second = b->address;
	memcpy(a->second_secret, b->secret, sizeof(b->secret));
	memset(&b->address, 1, sizeof(b->address));
	router_second_up(a);
	expect(a, 1);
	assert_int_equal(inbox_of(a)->got[0].seed, 6);
	assert_true(run_until(outbox_empty, a, 60000));
	run_until(never, NULL, 200);
	assert_int_equal(count(a, STORE_INBOX), 0);
	assert_int_equal(count(a, STORE_BLOCKS), 0);
}

/* As they were completed, whoever of a router they are for; one that was not taken comes later. */
static void test_order(void **state)
{
	struct router *a = &routers[0];
	struct recipient to[2] = { address_of(a), { RECIPIENT_ADDRESS, a->second } };
	struct mailbox *b = inbox_of(a);
	const size_t n = 40;

	(void)state;
	router_start(a, true);
	router_second_up(a);
	for (size_t i = 0; i < n; i++)
		send_parcel(a, i % 5 ? PARCEL_MESSAGE : PARCEL_NOTICE, &a->second, to[i % 3 % 2], i,
			    60);
	assert_true(run_until(outbox_empty, a, 60000));
	router_stop(a);
	router_start(a, true);
	b->refuse_next = true;
	handle_all(a);
	expect(a, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(b->got[i].seed, i);
	/* What came after it does not wait for it. */
	send_parcel(a, PARCEL_NOTICE, &a->second, to[0], n, 60);
	expect(a, n + 1);
	expect(a, n + 2);
	assert_int_equal(b->got[n].seed, n);
	assert_int_equal(b->got[n + 1].seed, 0);
}

/* While a handler has PARCEL_OPEN_MAX the others wait; those that it had come again after a restart. */
static void test_open(void **state)
{
	struct router *a = &routers[0];
	struct mailbox *b = inbox_of(a);
	struct flow_parcel *first = NULL;
	uint8_t byte;

	(void)state;
	router_start(a, true);
	router_second_up(a);
	handle_all(a);
	b->keep_open = true;
	for (size_t i = 0; i < PARCEL_OPEN_MAX + 3; i++)
		send_parcel(a, PARCEL_MESSAGE, &a->second, address_of(a), i, 60);
	expect(a, PARCEL_OPEN_MAX);
	run_until(never, NULL, 300);
	expect(a, PARCEL_OPEN_MAX);
	for (size_t i = 0; i < PARCEL_OPEN_MAX; i++)
		assert_int_equal(b->got[i].seed, i);
	/* One that is withdrawn says so, and can be closed. */
	first = b->open[0];
	flow_local_purge(a->flow, &a->address);
	assert_int_equal(flow_parcel_read(first, &byte, 1), -ESTALE);
	assert_int_equal(flow_parcel_content(first, &b->content), -ESTALE);
	flow_parcel_close(first, true);
	run_until(never, NULL, 100);
	assert_int_equal(count(a, STORE_INBOX), 0);
	assert_int_equal(b->n, PARCEL_OPEN_MAX);
	/* Those still open can be closed when the flow is gone. */
	router_stop(a);
	for (size_t i = 1; i < b->n_open; i++) {
		assert_int_equal(flow_parcel_read(b->open[i], &byte, 1), -ESTALE);
		flow_parcel_close(b->open[i], true);
	}
}

static void test_bad_arguments(void **state)
{
	struct router *a = &routers[0];
	struct recipient to = { RECIPIENT_NONE, { { 0 } } }, b = address_of(&routers[1]);
	static const uint8_t meta[PARCEL_META_MAX + 1];
	const struct recipient *all = flow_everybody();
	static uint8_t big[LIMIT_PARCEL_DATA + 1];

	(void)state;
	router_start(a, true);
#define SEND(kind, from, to, meta_len, len) \
	flow_parcel_send(a->flow, kind, from, to, meta, meta_len, big, len, NULL, NULL)
	assert_int_equal(SEND(0, &a->address, &b, 0, 1), -EINVAL);
	assert_int_equal(SEND(PARCEL_KINDS, &a->address, &b, 0, 1), -EINVAL);
	assert_int_equal(SEND(PARCEL_MESSAGE, &a->address, &to, 0, 1), -EINVAL);
	assert_int_equal(SEND(PARCEL_MESSAGE, &a->address, &b, PARCEL_META_MAX + 1, 1), -EINVAL);
	assert_int_equal(SEND(PARCEL_MESSAGE, &a->address, &b, 0, 0), -ENODATA);
	assert_int_equal(SEND(PARCEL_MESSAGE, &a->address, &b, 0, sizeof(big)), -EINVAL);
	assert_int_equal(SEND(PARCEL_MESSAGE, &routers[1].address, &b, 0, 1), -EACCES);
	assert_int_equal(SEND(PARCEL_FILE, &a->address, all, 0, 1), -EINVAL);
	assert_int_equal(SEND(PARCEL_MESSAGE, &all->address, all, 0, 1), -EINVAL);
	assert_int_equal(count(a, STORE_OUTBOX), 0);
	assert_int_equal(SEND(PARCEL_MESSAGE, &a->address, &b, PARCEL_META_MAX, 1), 0);
	assert_int_equal(count(a, STORE_OUTBOX), 1);
#undef SEND
}

/* ---- what is offered ---- */

static void test_offered(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct mailbox *in = inbox_of(b);

	(void)state;
	router_start(a, true);
	router_second_up(a);
	router_start(b, true);
	handle_all(b);
	flow_parcel_offered(b->flow, PARCEL_FILE, on_offered, in);
	in->answer = PARCEL_REFUSE;
	send_parcel(a, PARCEL_FILE, &a->address, address_of(b), 1, 300000);
	assert_true(run_until(outbox_empty, a, 60000));
	assert_int_equal(in->asked, 1);
	assert_int_equal(in->n, 0);
	assert_int_equal(count(b, STORE_INBOX), 0);
	in->answer = PARCEL_LATER;
	send_parcel(a, PARCEL_FILE, &a->address, address_of(b), 2, 300000);
	run_until(never, NULL, 300);
	assert_int_equal(in->n, 0);
	assert_int_equal(count(a, STORE_OUTBOX), 1);
	in->answer = PARCEL_TAKE;
	expect(b, 1);
	assert_true(in->asked >= 3);
	/* Other kinds are not asked about. */
	in->answer = PARCEL_REFUSE;
	send_parcel(a, PARCEL_NOTICE, &a->address, address_of(b), 3, 300);
	expect(b, 2);
	/* Nor does a recipient on the same daemon get what it does not want. */
	flow_parcel_offered(a->flow, PARCEL_FILE, on_offered, inbox_of(a));
	handle_all(a);
	inbox_of(a)->answer = PARCEL_REFUSE;
	send_parcel(a, PARCEL_FILE, &a->second, address_of(a), 4, 300000);
	assert_true(run_until(outbox_empty, a, 60000));
	assert_int_equal(inbox_of(a)->asked, 1);
	assert_int_equal(inbox_of(a)->n, 0);
	run_until(never, NULL, 200);
	assert_int_equal(count(a, STORE_BLOCKS), 0);
}

/* ---- contents ---- */

static void make_content(struct router *r, uint64_t seed, uint64_t size, struct flow_content *out)
{
	struct flow_content_writer *w;
	struct result result = { false };
	uint8_t buf[8192];

	assert_int_equal(flow_content_open(r->flow, NULL, NULL, &w), 0);
	for (uint64_t at = 0; at < size;) {
		size_t len = size - at < sizeof(buf) ? size - at : sizeof(buf);
		int err;

		for (size_t i = 0; i < len; i++)
			buf[i] = pattern(seed, at + i);
		if (!at)
			memcpy(buf, &seed, 8);
		err = flow_content_write(w, buf, len);
		if (err == -EAGAIN) {
			uv_run(&loop, UV_RUN_ONCE);
			continue;
		}
		assert_int_equal(err, 0);
		at += len;
	}
	assert_int_equal(flow_content_finish(w, out), 0);
	assert_int_equal(flow_content_write(w, buf, 1), -EINVAL);
	assert_int_equal(out->size, size);
	assert_int_equal(flow_content_hold(r->flow, out), 0);
	flow_content_close(w);
	store_commit(r->store, on_done, &result);
	assert_int_equal(wait_for(&result), 0);
}

static void expect_content(struct router *r, const struct flow_content *content, uint64_t seed)
{
	struct flow_content_reader *reader;
	uint8_t buf[1000];
	uint64_t at = content->size / 2;

	assert_true(flow_content_is_held(r->flow, content));
	assert_int_equal(flow_content_read_open(r->flow, content, &reader), 0);
	assert_int_equal(flow_content_read_at(reader, at, buf, sizeof(buf)), sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		assert_int_equal(buf[i], pattern(seed, at + i));
	assert_int_equal(flow_content_read_at(reader, content->size - 1, buf, sizeof(buf)), 1);
	assert_int_equal(flow_content_read_at(reader, content->size, buf, sizeof(buf)), 0);
	flow_content_read_close(reader);
}

static bool no_blocks(void *ctx)
{
	return !count(ctx, STORE_BLOCKS);
}

static void test_content(void **state)
{
	struct router *a = &routers[0];
	struct flow_content content, same, empty = { .size = 0 };
	struct flow_content_reader *reader;
	struct flow_content_writer *w;
	uint8_t bytes[FLOW_CONTENT_LEN];

	(void)state;
	router_start(a, true);
	make_content(a, 7, 500000, &content);
	flow_content_encode(&content, bytes);
	assert_int_equal(flow_content_decode(bytes, &same), 0);
	assert_memory_equal(&content.tag, &same.tag, sizeof(same.tag));
	assert_int_equal(same.size, 500000);
	memset(bytes + sizeof(bytes) - 8, 0, 8);
	assert_int_equal(flow_content_decode(bytes, &empty), -EBADMSG);
	expect_content(a, &content, 7);
	/* Held twice, over restarts, it goes with the second release. */
	assert_int_equal(flow_content_hold(a->flow, &content), 0);
	for (int i = 0; i < 2; i++) {
		router_stop(a);
		router_start(a, true);
		run_until(never, NULL, 300);
		expect_content(a, &content, 7);
		assert_int_equal(flow_content_release(a->flow, &content), 0);
	}
	assert_int_equal(flow_content_release(a->flow, &content), -ENOENT);
	assert_false(flow_content_is_held(a->flow, &content));
	assert_true(run_until(no_blocks, a, 10000));
	assert_int_equal(count(a, STORE_CONTENTS), 0);
	assert_int_equal(flow_content_read_open(a->flow, &content, &reader), -EBADMSG);
	/* What was begun and not ended leaves nothing behind, nor does an empty one. */
	assert_int_equal(flow_content_open(a->flow, NULL, NULL, &w), 0);
	assert_int_equal(flow_content_finish(w, &empty), -ENODATA);
	assert_int_equal(flow_content_write(w, content_of(1, 100000), 100000), 0);
	flow_content_close(w);
	assert_true(run_until(no_blocks, a, 10000));
}

static void send_content(struct router *from, const struct recipient *to,
			 const struct flow_content *content)
{
	struct result result = { false };

	assert_int_equal(flow_content_send(from->flow, PARCEL_FILE, &from->address, to, NULL, 0,
					   content, on_done, &result), 0);
	assert_int_equal(wait_for(&result), 0);
}

/* One content for many: encoded once, not copied here, taken over there. */
static void test_content_to_many(void **state)
{
	struct router *a = &routers[0];
	struct recipient here = { RECIPIENT_ADDRESS, a->second };
	struct flow_content content;
	size_t blocks;

	(void)state;
	router_start(a, true);
	router_second_up(a);
	make_content(a, 9, 2000000, &content);
	blocks = count(a, STORE_BLOCKS);
	for (int i = 1; i < 4; i++) {
		struct recipient to = address_of(&routers[i]);

		router_start(&routers[i], true);
		handle_all(&routers[i]);
		inboxes[i].keep_open = true;
		inboxes[i].answer = PARCEL_TAKE;
		flow_parcel_offered(routers[i].flow, PARCEL_FILE, on_offered, &inboxes[i]);
		send_content(a, &to, &content);
	}
	handle_all(a);
	inbox_of(a)->answer = PARCEL_TAKE;
	inbox_of(a)->keep_open = true;
	flow_parcel_offered(a->flow, PARCEL_FILE, on_offered, inbox_of(a));
	send_content(a, &here, &content);
	assert_int_equal(count(a, STORE_BLOCKS), blocks);
	/* The sender lets go at once: it stays until all have it. */
	assert_int_equal(flow_content_release(a->flow, &content), 0);
	for (int i = 0; i < 4; i++) {
		struct mailbox *b = &inboxes[i];

		expect(&routers[i], 1);
		assert_int_equal(b->got[0].seed, 9);
		assert_int_equal(flow_content_hold(routers[i].flow, &b->content), 0);
		flow_parcel_close(b->open[0], true);
	}
	run_until(never, NULL, 300);
	for (int i = 0; i < 4; i++) {
		struct mailbox *b = &inboxes[i];

		assert_int_equal(count(&routers[i], STORE_INBOX), 0);
		assert_int_equal(count(&routers[i], STORE_BLOCKS), blocks);
		expect_content(&routers[i], &b->content, 9);
		assert_int_equal(flow_content_release(routers[i].flow, &b->content), 0);
		assert_true(run_until(no_blocks, &routers[i], 10000));
	}
}

/* ---- arriving ---- */

struct progress {
	size_t n;
	uint64_t held, size;
	bool stalled;
	struct ident id;
};

static void on_arriving(void *ctx, const struct parcel_arriving *arriving)
{
	struct progress *p = ctx;

	p->n++;
	p->held = arriving->held;
	p->size = arriving->info->size;
	p->stalled = arriving->stalled;
	p->id = arriving->info->id;
	assert_int_equal(arriving->info->kind, PARCEL_FILE);
}

static struct progress arriving_at(struct router *r)
{
	struct progress p = { 0 };

	flow_parcels_arriving_each(r->flow, &r->address, on_arriving, &p);
	return p;
}

static bool is_half_there(void *ctx)
{
	struct progress p = arriving_at(ctx);

	return p.n && p.held > p.size / 3;
}

static void take_files(struct router *r)
{
	inbox_of(r)->answer = PARCEL_TAKE;
	flow_parcel_offered(r->flow, PARCEL_FILE, on_offered, inbox_of(r));
	handle_all(r);
}

static void test_progress(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct recipient to;
	struct flow_content content;
	struct progress p, again;

	(void)state;
	router_start(a, true);
	router_start(b, true);
	take_files(b);
	to = address_of(b);
	make_content(a, 11, 24u << 20, &content);
	send_content(a, &to, &content);
	assert_true(run_until(is_half_there, b, 60000));
	p = arriving_at(b);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.size, 24u << 20);
	assert_true(p.held <= flow_stats(b->flow)->blocks_received * 32768);
	assert_false(p.stalled);
	/* The sender is gone, and we were restarted: it is still known how much there is. */
	router_stop(a);
	router_stop(b);
	router_start(b, true);
	take_files(b);
	again = arriving_at(b);
	assert_int_equal(again.n, 1);
	assert_true(again.held > p.size / 4 && again.held <= p.size);
	assert_true(again.stalled);
	router_start(a, true);
	expect(b, 1);
	assert_int_equal(arriving_at(b).n, 0);
	assert_true(flow_stats(a->flow)->blocks_sent < 600);
}

static void test_refuse_arriving(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct recipient to;
	struct flow_content content;
	struct ident none = { { 1 } };

	(void)state;
	router_start(a, true);
	router_start(b, true);
	take_files(b);
	to = address_of(b);
	make_content(a, 12, 24u << 20, &content);
	send_content(a, &to, &content);
	assert_true(run_until(is_half_there, b, 60000));
	assert_int_equal(flow_parcel_refuse(b->flow, &none), -ENOENT);
	none = arriving_at(b).id;
	assert_int_equal(flow_parcel_refuse(b->flow, &none), 0);
	assert_true(run_until(outbox_empty, a, 60000));
	assert_true(run_until(no_blocks, b, 20000));
	assert_int_equal(count(b, STORE_INBOX), 0);
	/* While nobody sends it: refused when it is offered again, and its blocks go at once. */
	send_content(a, &to, &content);
	assert_true(run_until(is_half_there, b, 60000));
	router_stop(a);
	run_until(never, NULL, 100);
	none = arriving_at(b).id;
	assert_int_equal(flow_parcel_refuse(b->flow, &none), 0);
	assert_int_equal(arriving_at(b).n, 0);
	assert_true(run_until(no_blocks, b, 20000));
	router_stop(b);
	router_start(b, true);
	take_files(b);
	router_start(a, true);
	assert_true(run_until(outbox_empty, a, 60000));
	assert_int_equal(inbox_of(b)->n, 0);
	assert_int_equal(count(b, STORE_INBOX), 0);
}

/* ---- a daemon that is killed ---- */

#define LIVES 6
#define SENT 80

/* What a handler does in the child: its record goes with the parcel. */
struct child {
	struct router *router;
	int log;			/* gets every seed that is handed over */
};

static void on_child_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	struct child *child = ctx;
	uint64_t seed;

	(void)info;
	if (flow_parcel_read(p, &seed, sizeof(seed)) != sizeof(seed) ||
	    write(child->log, &seed, sizeof(seed)) != sizeof(seed) ||
	    store_put(child->router->store, STORE_META, &seed, sizeof(seed), "taken", 5))
		_exit(1);
	flow_parcel_close(p, true);
}

static void child_run(struct router *r, int log)
{
	struct child child = { r, log };

	if (uv_loop_init(&loop))
		_exit(1);
	/* The sender is there: it says so to nobody here. */
	routers[0].up = true;
	router_start(r, true);
	flow_parcel_handler(r->flow, PARCEL_MESSAGE, on_child_parcel, &child);
	uv_run(&loop, UV_RUN_DEFAULT);
	_exit(0);
}

/*
 * A process that starts and kills the child: a fork of the test itself, with its threads and
 * its open store, would not do. It answers each command when that is done.
 */
struct keeper {
	int commands[2], answers[2];
	pid_t pid;
};

static void keeper_run(struct keeper *k, struct router *r, int log)
{
	pid_t child = 0;
	char c;

	close(k->commands[1]);
	while (read(k->commands[0], &c, 1) == 1) {
		if (c == 's')
			child = fork();
		if (!child)
			child_run(r, log);
		if (c == 'k') {
			kill(child, SIGKILL);
			waitpid(child, NULL, 0);
		}
		if (write(k->answers[1], &c, 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void keeper_start(struct keeper *k, struct router *r, int log)
{
	assert_int_equal(pipe(k->commands), 0);
	assert_int_equal(pipe(k->answers), 0);
	k->pid = fork();
	if (!k->pid)
		keeper_run(k, r, log);
	close(k->commands[0]);
	close(k->answers[1]);
}

static void keeper_do(struct keeper *k, char c)
{
	assert_int_equal(write(k->commands[1], &c, 1), 1);
	assert_int_equal(read(k->answers[0], &c, 1), 1);
}

static void keeper_stop(struct keeper *k)
{
	close(k->commands[1]);
	close(k->answers[0]);
	waitpid(k->pid, NULL, 0);
}

/* None is lost; in one life of the daemon each is handed over once. */
static void test_killed(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	unsigned int times[SENT] = { 0 };
	char value[8];
	struct keeper keeper;
	uint64_t seed;
	int log[2];

	(void)state;
	assert_int_equal(pipe(log), 0);
	keeper_start(&keeper, b, log[1]);
	b->up = true;
	router_start(a, true);
	for (int life = 0; life < LIVES; life++) {
		bool seen[SENT] = { false };

		keeper_do(&keeper, 's');
		for (uint64_t i = 0; i < SENT / LIVES + 1; i++) {
			seed = (uint64_t)life * (SENT / LIVES + 1) + i;
			if (seed < SENT)
				send_parcel(a, PARCEL_MESSAGE, &a->address, address_of(b), seed, 200);
		}
		run_until(never, NULL, life < LIVES - 1 ? 150 + 40 * (uint64_t)life : 1);
		if (life == LIVES - 1)
			assert_true(run_until(outbox_empty, a, 60000));
		keeper_do(&keeper, 'k');
		assert_int_equal(fcntl(log[0], F_SETFL, O_NONBLOCK), 0);
		while (read(log[0], &seed, sizeof(seed)) == sizeof(seed)) {
			assert_true(seed < SENT);
			assert_false(seen[seed]);
			seen[seed] = true;
			times[seed]++;
		}
	}
	keeper_stop(&keeper);
	/* What was not handed over is still there. */
	router_start(b, true);
	handle_all(b);
	run_until(never, NULL, 500);
	for (size_t i = 0; i < inbox_of(b)->n; i++)
		times[inbox_of(b)->got[i].seed] += 1;
	for (seed = 0; seed < SENT; seed++) {
		bool recorded = store_get(b->store, STORE_META, &seed, sizeof(seed), value,
					  sizeof(value)) == 5;
		bool here = false;

		for (size_t i = 0; i < inbox_of(b)->n; i++)
			here = here || inbox_of(b)->got[i].seed == seed;
		assert_in_range(times[seed], 1, LIVES + 1);
		/* It never went without what the handler wrote. */
		assert_true(recorded || here);
	}
	assert_int_equal(count(b, STORE_INBOX), 0);
	close(log[0]);
	close(log[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
		TEST(test_kinds), TEST(test_not_for_clients), TEST(test_recipient_down),
		TEST(test_not_taken), TEST(test_left_half_way), TEST(test_order), TEST(test_open), TEST(test_bad_arguments),
		TEST(test_offered), TEST(test_content), TEST(test_content_to_many),
		TEST(test_progress), TEST(test_refuse_arriving), TEST(test_killed),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
