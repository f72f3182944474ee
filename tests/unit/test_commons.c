// SPDX-License-Identifier: GPL-2.0-or-later
/* The commons between whole flows: once per daemon, superseding, shares, who is asked, liars. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "ratmand/flow/core.h"
#include "unit/flow_world.h"

#define KEPT 512

/* What a router's handler has got. */
static struct mail {
	struct got {
		enum parcel_kind kind;
		struct address from;
		uint64_t created_s;
		uint8_t first;		/* byte of the content */
	} got[KEPT];
	size_t n;
} mails[ROUTERS];

static int setup(void **state)
{
	memset(mails, 0, sizeof(mails));
	return world_setup(state);
}

static struct mail *mail_of(const struct router *r)
{
	return &mails[r - routers];
}

static void on_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	struct mail *mail = ctx;
	struct got *g = &mail->got[mail->n];

	assert_true(mail->n < KEPT);
	assert_true(recipient_equal(&info->to, flow_everybody()));
	*g = (struct got){ info->kind, info->from, info->created_s, 0 };
	assert_int_equal(flow_parcel_read(p, &g->first, 1), 1);
	mail->n++;
	flow_parcel_close(p, true);
}

static void start(struct router *r)
{
	router_start(r, true);
	for (enum parcel_kind kind = PARCEL_PROFILE; kind < PARCEL_KINDS; kind++)
		flow_parcel_handler(r->flow, kind, on_parcel, mail_of(r));
}

static void join(struct router *r)
{
	assert_int_equal(flow_commons_up(r->flow, &r->address), 0);
}

struct result {
	bool done;
	int err;
};

static void on_done(void *ctx, int err)
{
	*(struct result *)ctx = (struct result){ true, err };
}

static void say_as(struct router *r, const struct address *from, enum parcel_kind kind, uint8_t first)
{
	const uint8_t data[3] = { first, first, first };
	struct result result = { false };

	assert_int_equal(flow_parcel_send(r->flow, kind, from, flow_everybody(), NULL, 0, data,
					  sizeof(data), on_done, &result), 0);
	while (!result.done)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(result.err, 0);
}

static void say(struct router *r, enum parcel_kind kind, uint8_t first)
{
	say_as(r, &r->address, kind, first);
}

struct want {
	struct router *router;
	size_t n;
};

static bool has_got(void *ctx)
{
	const struct want *w = ctx;

	return mail_of(w->router)->n >= w->n;
}

static bool has_items(void *ctx)
{
	const struct want *w = ctx;

	return flow_stats(w->router->flow)->items == w->n;
}

/* @r has been given @n parcels, and keeps @items. */
static void expect(struct router *r, size_t n, size_t items)
{
	struct want w = { r, n };

	if (!run_until(has_got, &w, 60000))
		fail_msg("router %td has %zu of %zu parcels", r - routers, mail_of(r)->n, n);
	w.n = items;
	if (!run_until(has_items, &w, 60000))
		fail_msg("router %td keeps %llu, not %zu", r - routers,
			 (unsigned long long)flow_stats(r->flow)->items, items);
	assert_int_equal(mail_of(r)->n, n);
}

static const struct got *last(const struct router *r)
{
	return &mail_of(r)->got[mail_of(r)->n - 1];
}

/* ---- tests ---- */

/* The key must be the same for ever, everywhere. */
static void test_key(void **state)
{
	static const uint8_t key[] = {
		0x76, 0x99, 0xec, 0xef, 0x08, 0xc7, 0xe3, 0x73, 0x9e, 0xf2, 0x54, 0x3e, 0xfa, 0xdf,
		0xac, 0x10, 0xe6, 0xd0, 0xb5, 0x88, 0x46, 0xb6, 0xbb, 0xda, 0x32, 0x63, 0xf3, 0x13,
		0x59, 0x85, 0x3c, 0xda,
	};

	(void)state;
	assert_int_equal(flow_everybody()->kind, RECIPIENT_NAMESPACE);
	assert_memory_equal(flow_everybody()->address.b, key, sizeof(key));
}

/* Once per daemon, the sender's among them, however many take part there; and who was away catches up. */
static void test_everybody(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2], *out = &routers[3];

	(void)state;
	for (int i = 0; i < 4; i++)
		start(&routers[i]);
	join(a);
	router_second_up(a);
	assert_int_equal(flow_commons_up(a->flow, &a->second), 0);
	assert_int_equal(flow_commons_up(a->flow, &a->second), 0);
	join(b);
	say(a, PARCEL_PROFILE, 1);
	say(b, PARCEL_MESSAGE, 2);
	say_as(a, &a->second, PARCEL_NOTICE, 3);
	expect(a, 3, 3);
	expect(b, 3, 3);
	join(c);
	expect(c, 3, 3);
	router_stop(c);
	say(a, PARCEL_MESSAGE, 4);
	expect(a, 4, 4);
	expect(b, 4, 4);
	/* What it had it does not get again, what it missed it does. */
	start(c);
	run_until(never, NULL, 200);
	assert_int_equal(mail_of(c)->n, 3);
	join(c);
	expect(c, 4, 4);
	assert_int_equal(last(c)->first, 4);
	assert_true(address_equal(&last(c)->from, &a->address));
	/* A daemon that does not take part gets nothing, until it does. */
	assert_int_equal(mail_of(out)->n, 0);
	flow_commons_down(c->flow, &c->address);
	say(b, PARCEL_MESSAGE, 5);
	expect(a, 5, 5);
	run_until(never, NULL, 300);
	assert_int_equal(mail_of(c)->n, 4);
	join(c);
	expect(c, 5, 5);
	for (int i = 0; i < 4; i++)
		assert_int_equal(flow_stats(routers[i].flow)->protocol_errors, 0);
}

/* From one that does not take part; it asks until it finds who does. */
static void test_from_outside(void **state)
{
	struct router *out = &routers[0], *a = &routers[4];

	(void)state;
	for (int i = 0; i < 5; i++)
		start(&routers[i]);
	join(a);
	say(out, PARCEL_MESSAGE, 7);
	expect(a, 1, 1);
	assert_true(run_until(outbox_empty, out, 90000));
	assert_int_equal(mail_of(out)->n, 0);
}

/* Only the newest profile of a sender stays, anywhere, and no older one comes back. */
static void test_superseding(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	uint64_t before = 0;

	(void)state;
	start(a);
	start(b);
	join(a);
	join(b);
	say(a, PARCEL_PROFILE, 1);
	say(b, PARCEL_PROFILE, 9);
	expect(a, 2, 2);
	expect(b, 2, 2);
	/* b is away with the first one. */
	router_stop(b);
	for (uint8_t i = 2; i <= 4; i++) {
		say(a, PARCEL_PROFILE, i);
		expect(a, 1u + i, 2);
		assert_true(last(a)->created_s > before);
		before = last(a)->created_s;
	}
	/* The same again is no news. */
	say(a, PARCEL_PROFILE, 4);
	run_until(never, NULL, 200);
	assert_true(outbox_empty(a));
	expect(a, 5, 2);
	start(c);
	join(c);
	expect(c, 2, 2);
	start(b);
	join(b);
	expect(b, 3, 2);
	assert_int_equal(last(b)->first, 4);
	/* Time for b to offer what it had. */
	run_until(never, NULL, 2500);
	expect(a, 5, 2);
	expect(b, 3, 2);
	expect(c, 2, 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(mail_of(c)->got[i].first == 4 || mail_of(c)->got[i].first == 9);
	/* A message of the sender is another thing. */
	say(a, PARCEL_MESSAGE, 5);
	expect(c, 3, 3);
}

/* A sender's oldest make room for his newest, and for nobody else's. */
static void test_shares(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	size_t share = LIMIT_COMMONS_SHARE_ITEMS;

	(void)state;
	start(a);
	start(b);
	join(a);
	say_as(a, &a->crowd[0], PARCEL_MESSAGE, 200);
	say_as(a, &a->crowd[1], PARCEL_PROFILE, 201);
	/* No messages push out the profile. */
	say(a, PARCEL_PROFILE, 202);
	for (size_t i = 0; i < share + 6; i++)
		say(a, PARCEL_MESSAGE, (uint8_t)i);
	expect(a, share + 9, share + 3);
	join(b);
	expect(b, share + 3, share + 3);
	/* Those that were sent first went. */
	for (size_t i = 0; i < mail_of(b)->n; i++)
		assert_true(mail_of(b)->got[i].first >= 6);
	/* Restarted, and compared again: nothing comes back, nothing comes twice. */
	router_stop(a);
	start(a);
	join(a);
	run_until(never, NULL, 1500);
	expect(a, share + 9, share + 3);
	expect(b, share + 3, share + 3);
	assert_int_equal(flow_stats(b->flow)->items_evicted, 0);
}

/* Makes the commons of a router that takes part smaller than they are. */
static void make_small(struct router *r, size_t most)
{
	space_find(r->flow, &flow_everybody()->address)->shares.most = most;
}

static size_t got_of(const struct router *r, const struct address *from)
{
	size_t n = 0;

	for (size_t i = 0; i < mail_of(r)->n; i++)
		n += address_equal(&mail_of(r)->got[i].from, from);
	return n;
}

/* When they are full, those go first who have the most; and what went does not come back. */
static void test_full(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];

	(void)state;
	start(a);
	start(b);
	join(a);
	make_small(a, 14);
	say(a, PARCEL_PROFILE, 1);
	say(a, PARCEL_MESSAGE, 2);
	say(a, PARCEL_MESSAGE, 3);
	for (uint8_t i = 0; i < 40; i++)
		say_as(a, &a->crowd[i % 4], PARCEL_MESSAGE, 100 + i);
	expect(a, 43, 14);
	/* One who says nothing but his first finds room. */
	say_as(a, &a->crowd[4], PARCEL_MESSAGE, 200);
	expect(a, 44, 14);
	join(b);
	make_small(b, 14);
	expect(b, 14, 14);
	assert_int_equal(got_of(b, &a->address), 3);
	assert_int_equal(got_of(b, &a->crowd[4]), 1);
	for (int i = 0; i < 4; i++)
		assert_in_range(got_of(b, &a->crowd[i]), 2, 3);
	/* Restarted in the room they have, they do not differ. */
	router_stop(b);
	start(b);
	join(b);
	make_small(b, 14);
	run_until(never, NULL, 1500);
	expect(a, 44, 14);
	expect(b, 14, 14);
	assert_int_equal(flow_stats(a->flow)->items_refused, 0);
	assert_int_equal(flow_stats(b->flow)->items_refused, 0);
}

/* Two who were apart and both held as much as they may come to hold the same. */
static void test_shares_meet(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	size_t share = LIMIT_COMMONS_SHARE_ITEMS;

	(void)state;
	start(a);
	start(b);
	join(a);
	join(b);
	for (size_t i = 0; i < 40; i++)
		say(a, PARCEL_MESSAGE, (uint8_t)i);
	expect(b, 40, 40);
	router_stop(b);
	for (size_t i = 40; i < share + 10; i++)
		say(a, PARCEL_MESSAGE, (uint8_t)i);
	expect(a, share + 10, share);
	start(c);
	join(c);
	expect(c, share, share);
	router_stop(a);
	/* b has ten that c would not take; it gets what it missed, and lets the ten go. */
	start(b);
	join(b);
	expect(b, share + 10, share);
	run_until(never, NULL, 500);
	expect(c, share, share);
}

/* Who says that he is no member is not asked again and again. */
static void test_noes(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];

	(void)state;
	start(a);
	start(b);
	start(c);
	join(a);
	run_until(never, NULL, 6500);
	assert_in_range(flow_stats(a->flow)->connects, 2, 2);
	assert_int_equal(flow_stats(a->flow)->protocol_errors, 0);
	assert_int_equal(flow_stats(b->flow)->connects, 0);
	/* But who joins is heard at once. */
	join(b);
	say(a, PARCEL_MESSAGE, 1);
	expect(b, 1, 1);
}

static void no_client(void *ctx)
{
	(void)ctx;
	fail_msg("a client is told of the commons");
}

/* No client takes part, sends to it or receives from it. */
static void test_no_clients(void **state)
{
	struct router *a = &routers[0];
	struct recipient to = *flow_everybody();
	struct letterhead head = { .from = a->address, .to = to, .aux_len = 2 };
	uint8_t seed[32], secret[64];
	struct address key;
	struct flow_send *send;
	struct flow_recv *recv;

	(void)state;
	start(a);
	assert_int_equal(flow_send_open(a->flow, &head, 1, NULL, NULL, &send), -EINVAL);
	crypto_generichash(seed, sizeof(seed), (const uint8_t *)"ratman commons v1\0", 19, NULL, 0);
	crypto_sign_seed_keypair(key.b, secret, seed);
	assert_true(address_equal(&key, &to.address));
	assert_int_equal(flow_space_up(a->flow, &key, secret, &a->address), -EPERM);
	assert_int_equal(flow_listen(a->flow, &a->address, &to, no_client, NULL, &a->listener), 0);
	join(a);
	assert_null(flow_space_secret(a->flow, &key));
	assert_int_equal(flow_send_open(a->flow, &head, 1, NULL, NULL, &send), -EINVAL);
	head.from = key;
	assert_int_equal(flow_send_open(a->flow, &head, 1, NULL, NULL, &send), -EINVAL);
	say(a, PARCEL_MESSAGE, 1);
	expect(a, 1, 1);
	assert_int_equal(flow_recv_open(a->listener, &head, &recv), -EAGAIN);
}

static size_t item(uint8_t *out, uint8_t kind, const struct address *from, const uint8_t *secret,
		   uint64_t size)
{
	struct manifest m = { .kind = kind };

	m.created_s = (uint64_t)(clock_wall_ns() / 1000000000);
	m.head.from = *from;
	m.head.to = *flow_everybody();
	m.head.stream_size = size;
	return hostile_item(out, &m, secret);
}

/* Streams, files, what is too big, and what the commons themselves are said to send. */
static void test_hostile(void **state)
{
	struct router *a = &routers[0], *liar = &routers[4], *b = &routers[1];
	static uint8_t bytes[EXCHANGE_ITEM_HEAD + MANIFEST_MAX];
	const struct address *commons = &flow_everybody()->address;
	uint8_t seed[32], secret[64];
	struct exchange_message m;
	struct address key;
	struct hostile h;

	(void)state;
	crypto_generichash(seed, sizeof(seed), (const uint8_t *)"ratman commons v1\0", 19, NULL, 0);
	crypto_sign_seed_keypair(key.b, secret, seed);
	start(a);
	join(a);
	hostile_start(&h, liar, a, commons);
	/* Before the proof, others' parcels are not taken. */
	hostile_send(&h, bytes, item(bytes, PARCEL_MESSAGE, &b->address, b->secret, 3000));
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	hostile_end(&h);
	hostile_start(&h, liar, a, commons);
	hostile_prove(&h, secret, &liar->address);
	hostile_send(&h, bytes, item(bytes, 0, &b->address, b->secret, 3000));
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	hostile_send(&h, bytes, item(bytes, PARCEL_FILE, &b->address, b->secret, 3000));
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	hostile_send(&h, bytes, item(bytes, PARCEL_MESSAGE, &key, secret, 3000));
	assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	hostile_send(&h, bytes, item(bytes, PARCEL_PROFILE, &b->address, b->secret,
				     LIMIT_COMMONS_ITEM + 1));
	assert_int_equal(hostile_refusal(&h), EXCHANGE_TOO_BIG);
	/* A kind of a later version is refused, and no fault. */
	for (int i = 0; i < 2 * 16; i++) {
		hostile_send(&h, bytes, item(bytes, PARCEL_KINDS, &b->address, b->secret, 3000));
		assert_int_equal(hostile_refusal(&h), EXCHANGE_BAD);
	}
	/* An ordinary one is asked for. */
	hostile_send(&h, bytes, item(bytes, PARCEL_MESSAGE, &b->address, b->secret, 3000));
	assert_true(hostile_next(&h, EXCHANGE_WANT, &m));
	hostile_end(&h);
	assert_int_equal(flow_stats(a->flow)->items, 0);
}

static bool is_arriving(void *ctx)
{
	const struct router *r = ctx;

	return r->flow->inbox.all && r->flow->inbox.all->arriving;
}

/*
 * Sent before this daemon took part, it comes back from one who got it meanwhile, who stops in the
 * middle: what is not whole is no item, and what was sent is not lost with it.
 */
static void test_own_comes_back(void **state)
{
	struct router *a = &routers[0], *other = &routers[4];
	static uint8_t bytes[EXCHANGE_ITEM_HEAD + MANIFEST_MAX];
	const struct address *commons = &flow_everybody()->address;
	uint8_t seed[32], secret[64];
	struct outbox_entry *sent;
	struct address key;
	struct hostile h;
	ssize_t len;

	(void)state;
	crypto_generichash(seed, sizeof(seed), (const uint8_t *)"ratman commons v1\0", 19, NULL, 0);
	crypto_sign_seed_keypair(key.b, secret, seed);
	start(a);
	say(a, PARCEL_MESSAGE, 7);
	sent = a->flow->outbox.all;
	assert_non_null(sent);
	len = outbox_sealed(&a->flow->outbox, sent, bytes + EXCHANGE_ITEM_HEAD);
	assert_true(len > 0);
	exchange_put_item(bytes, commons, (size_t)len);
	/* The disk was slow, say: it is not taken over at once. */
	sent->retry_at = uv_now(&loop) + 3000;
	join(a);
	hostile_start(&h, other, a, commons);
	hostile_prove(&h, secret, &other->address);
	hostile_send(&h, bytes, EXCHANGE_ITEM_HEAD + (size_t)len);
	assert_true(run_until(is_arriving, a, 2000));
	run_until(never, NULL, 4500);
	assert_int_equal(flow_stats(a->flow)->items, 0);
	assert_int_equal(mail_of(a)->n, 0);
	assert_int_equal(count(a, STORE_OUTBOX), 1);
	/* He is gone: it is ours again. */
	hostile_end(&h);
	expect(a, 1, 1);
	assert_int_equal(last(a)->first, 7);
	assert_true(run_until(outbox_empty, a, 60000));
	router_stop(a);
	start(a);
	join(a);
	run_until(never, NULL, 300);
	assert_int_equal(flow_stats(a->flow)->items, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
		TEST(test_key), TEST(test_everybody), TEST(test_from_outside),
		TEST(test_superseding), TEST(test_shares), TEST(test_full), TEST(test_shares_meet),
		TEST(test_noes), TEST(test_no_clients), TEST(test_hostile),
		TEST(test_own_comes_back),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
