// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Neighbour authentication: managers in memory, joined by a channel that loses,
 * repeats and reorders (seeded), under a clock that the test turns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/session/cookie.h"
#include "ratmand/session/linkauth.h"
#include "unit/channel.h"

#define N_NODES 3
#define IFINDEX 7

struct node {
	struct linkauth *la;
	struct address router;
	uint8_t sk[64];
	uint8_t mac[6];
	uint64_t boot_id;
	uint64_t stamp;
	struct linkauth_neigh last[N_NODES];	/* by peer */
	unsigned int established[N_NODES];
	struct net *net;
};

struct net {
	struct node nodes[N_NODES];
	int count;
	bool hello;
	struct channel ch;
};

static int by_mac(const struct net *net, const uint8_t mac[6])
{
	for (int i = 0; i < net->count; i++)
		if (!memcmp(net->nodes[i].mac, mac, 6))
			return i;
	return -1;
}

static void op_send(void *ctx, uint32_t ifindex, const uint8_t mac[6], const uint8_t *bytes,
		    size_t len)
{
	struct node *n = ctx;

	assert_int_equal(ifindex, IFINDEX);
	assert_true(len <= LINKAUTH_MSG_MAX);
	channel_send(&n->net->ch, (int)(n - n->net->nodes), by_mac(n->net, mac), bytes, len);
}

static void op_established(void *ctx, const struct linkauth_neigh *neigh)
{
	struct node *n = ctx;
	struct net *net = n->net;

	for (int i = 0; i < net->count; i++) {
		if (address_equal(&net->nodes[i].router, &neigh->router)) {
			assert_true((neigh->local_index & LINKAUTH_SLOT_MASK) != 0);
			n->last[i] = *neigh;
			n->established[i]++;
			return;
		}
	}
	fail_msg("established with nobody");
}

static uint64_t op_stamp(void *ctx)
{
	return ++((struct node *)ctx)->stamp;
}

static const struct linkauth_ops ops = { op_send, op_established, op_stamp };

static void node_start(struct net *net, int i, const struct linkauth_config *base)
{
	struct node *n = &net->nodes[i];
	struct linkauth_config c = *base;

	c.router = n->router;
	c.router_sk = n->sk;
	c.boot_id = n->boot_id;
	n->la = linkauth_new(&c, &ops, n);
	assert_non_null(n->la);
}

/* Node 0 has the smallest address, so that who begins is known. */
static void net_start(struct net *net, int count, const struct linkauth_config *base)
{
	memset(net, 0, sizeof(*net));
	net->count = count;
	channel_init(&net->ch);
	for (int i = 0; i < count; i++) {
		struct node *n = &net->nodes[i];

		do {
			crypto_sign_keypair(n->router.b, n->sk);
		} while (i && address_compare(&net->nodes[i - 1].router, &n->router) > 0);
		n->net = net;
		n->mac[0] = 2;
		n->mac[5] = (uint8_t)(i + 1);
		n->boot_id = 100 + (uint64_t)i;
		node_start(net, i, base);
	}
}

static void net_stop(struct net *net)
{
	for (int i = 0; i < net->count; i++)
		linkauth_free(net->nodes[i].la);
}

static void hello(struct net *net, int from, int to)
{
	struct node *n = &net->nodes[from];

	linkauth_candidate(net->nodes[to].la, net->ch.now, IFINDEX, n->mac, &n->router, n->boot_id);
}

static void hello_all(struct net *net)
{
	for (int i = 0; i < net->count; i++)
		for (int j = 0; j < net->count; j++)
			if (i != j && net->nodes[i].la && net->nodes[j].la)
				hello(net, i, j);
}

static void deliver(struct net *net, const struct flight *f)
{
	struct node *to = &net->nodes[f->to];

	if (to->la)
		linkauth_input(to->la, net->ch.now, IFINDEX, net->nodes[f->from].mac, f->bytes,
			       f->len);
}

/* Runs @ms milliseconds of everything that is due, HELLOs every second included. */
static void run(struct net *net, uint64_t ms)
{
	uint64_t end = net->ch.now + ms;
	struct flight f;

	while (net->ch.now < end) {
		net->ch.now++;
		if (net->hello && net->ch.now % 1000 == 0)
			hello_all(net);
		while (channel_take(&net->ch, &f))
			deliver(net, &f);
		for (int i = 0; i < net->count; i++)
			if (net->nodes[i].la && linkauth_deadline(net->nodes[i].la) <= net->ch.now)
				linkauth_tick(net->nodes[i].la, net->ch.now);
	}
}

/* The two agree: indices cross over, keys fit, identities are right. */
static bool agree(const struct net *net, int a, int b)
{
	const struct linkauth_neigh *x = &net->nodes[a].last[b], *y = &net->nodes[b].last[a];

	return net->nodes[a].established[b] && net->nodes[b].established[a] &&
	       x->local_index == y->peer_index && x->peer_index == y->local_index &&
	       !memcmp(x->rx_key, y->tx_key, sizeof(x->rx_key)) &&
	       !memcmp(x->tx_key, y->rx_key, sizeof(x->tx_key)) &&
	       memcmp(x->tx_key, x->rx_key, sizeof(x->tx_key)) &&
	       x->boot_id == net->nodes[b].boot_id && y->boot_id == net->nodes[a].boot_id &&
	       x->initiator != y->initiator && x->ifindex == IFINDEX &&
	       !memcmp(x->mac, net->nodes[b].mac, 6) && !memcmp(y->mac, net->nodes[a].mac, 6);
}

static const struct linkauth_config open_config = { .policy = LINKAUTH_OPEN };

static void test_plain(void **state)
{
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	assert_true(linkauth_deadline(net.nodes[0].la) == UINT64_MAX);
	hello_all(&net);
	run(&net, 10);
	assert_true(agree(&net, 0, 1));
	assert_true(net.nodes[0].last[1].initiator);
	assert_int_equal(net.ch.sent, 2);
	assert_int_equal(linkauth_count_neighbours(net.nodes[0].la), 1);
	/* more HELLOs change nothing */
	net.hello = true;
	run(&net, 100000);
	assert_int_equal(net.ch.sent, 2);
	net_stop(&net);

	/* the greater address alone begins after its wait */
	net_start(&net, 2, &open_config);
	hello(&net, 0, 1);
	run(&net, LINKAUTH_WAIT_MS - 1);
	assert_int_equal(net.ch.sent, 0);
	run(&net, 10);
	assert_true(agree(&net, 0, 1));
	assert_true(net.nodes[1].last[0].initiator);
	/* nobody is a neighbour of itself */
	hello(&net, 0, 0);
	assert_int_equal(linkauth_count(net.nodes[0].la), 1);
	net_stop(&net);
}

static void test_three_and_group(void **state)
{
	uint8_t secret[32] = { 1, 2, 3 };
	struct linkauth_config c = { .policy = LINKAUTH_OPEN, .group_secret = secret };
	struct net net;

	(void)state;
	net_start(&net, 3, &c);
	net.hello = true;
	run(&net, 5000);
	assert_true(agree(&net, 0, 1) && agree(&net, 0, 2) && agree(&net, 1, 2));
	assert_int_not_equal(net.nodes[0].last[1].local_index & LINKAUTH_SLOT_MASK,
			     net.nodes[0].last[2].local_index & LINKAUTH_SLOT_MASK);
	net_stop(&net);
}

static void test_each_message_lost(void **state)
{
	struct net net;

	(void)state;
	for (int lost = 0; lost < 6; lost++) {
		net_start(&net, 2, &open_config);
		net.ch.drop_nth = lost;
		net.hello = true;
		run(&net, 10000);
		assert_true(agree(&net, 0, 1));
		net_stop(&net);
	}
}

static void test_bad_channel(void **state)
{
	struct net net;

	(void)state;
	for (uint64_t seed = 0; seed < 60; seed++) {
		net_start(&net, 3, &open_config);
		net.ch.rng = seed;
		net.ch.loss = 10 + (unsigned int)seed % 40;
		net.ch.dup = 20;
		net.ch.jitter_ms = (uint32_t)(seed % 5) * 300;
		net.hello = true;
		run(&net, 60000);
		net.ch.loss = 0;
		run(&net, 45000);
		if (!agree(&net, 0, 1) || !agree(&net, 0, 2) || !agree(&net, 1, 2))
			fail_msg("seed %u", (unsigned int)seed);
		net_stop(&net);
	}
}

/* Both begin at the same moment (each HELLO came when the other could not be heard). */
static void test_crossed(void **state)
{
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	hello(&net, 0, 1);
	run(&net, LINKAUTH_WAIT_MS - 1);
	hello(&net, 1, 0);
	run(&net, 1);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->init_sent, 1);
	run(&net, 3000);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);

	net_start(&net, 2, &open_config);
	hello(&net, 0, 1);
	net.ch.now += LINKAUTH_WAIT_MS;
	linkauth_tick(net.nodes[1].la, net.ch.now);
	hello(&net, 1, 0);
	assert_int_equal(net.ch.sent, 2);
	run(&net, 5000);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->crossed, 1);
	assert_true(agree(&net, 0, 1));
	assert_true(net.nodes[0].last[1].initiator);
	net_stop(&net);
}

static void test_replay(void **state)
{
	struct net net;
	struct flight init;

	(void)state;
	net_start(&net, 2, &open_config);
	hello_all(&net);
	init = net.ch.first;
	run(&net, 10);
	assert_true(agree(&net, 0, 1));
	for (int i = 0; i < 5; i++) {
		run(&net, 1000);
		deliver(&net, &init);
	}
	assert_int_equal(net.nodes[1].established[0], 1);
	assert_int_equal(linkauth_stats(net.nodes[1].la)->stale_stamp, 5);
	/* nor to somebody else, nor back to its sender */
	linkauth_input(net.nodes[0].la, net.ch.now, IFINDEX, net.nodes[1].mac, init.bytes, init.len);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->bad_mac1, 1);
	/* the response again, and on another link */
	deliver(&net, &net.ch.last);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->unknown_index, 1);
	assert_int_equal(net.nodes[0].established[1], 1);
	net_stop(&net);
}

static void test_closed(void **state)
{
	struct linkauth_config c = { .policy = LINKAUTH_CLOSED };
	struct address members[2];
	struct net net;

	(void)state;
	net_start(&net, 3, &open_config);
	members[0] = net.nodes[1].router;
	members[1] = net.nodes[0].router;
	c.members = members;
	c.n_members = 2;
	/* 0 and 1 admit each other, 2 is open but a stranger to them */
	for (int i = 0; i < 2; i++) {
		linkauth_free(net.nodes[i].la);
		node_start(&net, i, &c);
	}
	net.hello = true;
	run(&net, 30000);
	assert_true(agree(&net, 0, 1));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(net.nodes[i].established[2], 0);
		assert_true(linkauth_stats(net.nodes[i].la)->not_member > 0);
		assert_int_equal(linkauth_count(net.nodes[i].la), 1);
	}
	assert_int_equal(net.nodes[2].established[0] + net.nodes[2].established[1], 0);
	assert_int_equal(linkauth_stats(net.nodes[2].la)->response_received, 0);
	net_stop(&net);

	/* closed and no members: nobody */
	c.n_members = 0;
	net_start(&net, 2, &c);
	net.hello = true;
	run(&net, 5000);
	assert_int_equal(net.ch.sent, 0);
	net_stop(&net);
}

static void test_wrong_secret(void **state)
{
	uint8_t one[32] = { 1 }, two[32] = { 2 };
	struct linkauth_config with_one = { .group_secret = one };
	struct linkauth_config with_two = { .group_secret = two };
	struct net net;

	(void)state;
	net_start(&net, 3, &with_one);
	linkauth_free(net.nodes[0].la);
	node_start(&net, 0, &with_two);
	linkauth_free(net.nodes[2].la);
	node_start(&net, 2, &open_config);
	net.hello = true;
	run(&net, 30000);
	for (int i = 0; i < 3; i++) {
		for (int j = 0; j < 3; j++)
			assert_int_equal(net.nodes[i].established[j], 0);
		assert_true(linkauth_stats(net.nodes[i].la)->bad_mac1 > 0);
		assert_int_equal(linkauth_stats(net.nodes[i].la)->response_sent, 0);
	}
	net_stop(&net);
}

/* Sums up everything but counters: nothing may have happened. */
static void assert_untouched(const struct net *net, int node, size_t count)
{
	assert_int_equal(linkauth_count(net->nodes[node].la), count);
	for (int i = 0; i < net->count; i++)
		assert_int_equal(net->nodes[node].established[i], 0);
}

static void damaged_init(void *ctx, const struct flight *bad)
{
	struct net *net = ctx;

	net->ch.now += 150;
	deliver(net, bad);
	assert_untouched(net, 1, 0);
}

static void damaged_response(void *ctx, const struct flight *bad)
{
	struct net *net = ctx;

	net->ch.now += 150;
	deliver(net, bad);
	assert_untouched(net, 0, 1);
}

/* mac2, at the end, is not looked at unless under load. */
static void test_damage(void **state)
{
	struct flight good;
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	hello(&net, 1, 0);
	good = channel_damage(&net.ch, LINKAUTH_INIT_LEN - 16, damaged_init, &net);
	deliver(&net, &good);
	assert_int_equal(net.nodes[1].established[0], 1);
	good = channel_damage(&net.ch, LINKAUTH_RESPONSE_LEN - 16, damaged_response, &net);
	deliver(&net, &good);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

/* A well-made init of node 0 that claims the address @claim and the index @index. */
static struct flight make_init(const struct net *net, const struct address *claim, uint32_t index)
{
	struct flight f = { .from = 0, .to = 1, .len = LINKAUTH_INIT_LEN };
	struct cookie_jar jar;
	uint8_t pk[32];

	channel_forge(&f, net->nodes[0].sk, &net->nodes[1].router, LINKAUTH_MSG_INIT,
		      LINKAUTH_PROLOGUE, claim, index, 52);
	assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(pk, net->nodes[1].router.b), 0);
	cookie_jar_init(&jar, pk, NULL);
	cookie_jar_stamp(&jar, 0, f.bytes, f.len);
	return f;
}

static void test_false_identity(void **state)
{
	const struct linkauth_stats *stats;
	struct address none = { { 0 } };
	struct flight f;
	struct net net;

	(void)state;
	net_start(&net, 3, &open_config);
	stats = linkauth_stats(net.nodes[1].la);
	f = make_init(&net, &net.nodes[2].router, 1);	/* somebody else */
	deliver(&net, &f);
	f = make_init(&net, &net.nodes[1].router, 1);	/* the responder itself */
	deliver(&net, &f);
	f = make_init(&net, &none, 1);			/* no key at all */
	deliver(&net, &f);
	f = make_init(&net, &net.nodes[0].router, 2);	/* another index than in the header */
	deliver(&net, &f);
	assert_int_equal(stats->bad_identity, 4);
	assert_int_equal(stats->established, 0);
	f = make_init(&net, &net.nodes[0].router, 1);
	deliver(&net, &f);
	assert_int_equal(stats->established, 1);
	net_stop(&net);
}

static void test_garbage(void **state)
{
	uint8_t junk[400];
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	hello(&net, 1, 0);
	for (size_t len = 0; len < sizeof(junk); len++) {
		for (unsigned int type = 0; type < 5; type++) {
			randombytes_buf(junk, sizeof(junk));
			junk[0] = (uint8_t)type;
			junk[1] = junk[2] = junk[3] = 0;
			linkauth_input(net.nodes[0].la, net.ch.now, IFINDEX, net.nodes[1].mac, junk,
				       len);
			randombytes_buf(junk, sizeof(junk));
			linkauth_input(net.nodes[0].la, net.ch.now, IFINDEX, net.nodes[1].mac, junk,
				       len);
		}
	}
	linkauth_input(net.nodes[0].la, net.ch.now, IFINDEX, net.nodes[1].mac, NULL, 0);
	assert_true(linkauth_stats(net.nodes[0].la)->malformed > 3000);
	run(&net, 5000);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

/* Under load only who answers to its link address gets through, and it does. */
static void test_cookie_under_load(void **state)
{
	struct linkauth_config c = { .load_threshold = 5 };
	struct flight init;
	struct net net;

	(void)state;
	net_start(&net, 3, &c);
	hello(&net, 1, 2);
	run(&net, LINKAUTH_WAIT_MS);
	hello(&net, 2, 1);
	init = net.ch.first;
	for (int i = 0; i < 20; i++) {
		uint8_t mac[6] = { 2, 9, 9, 9, 9, (uint8_t)i };

		linkauth_input(net.nodes[init.to].la, net.ch.now, IFINDEX, mac, init.bytes, init.len);
	}
	assert_true(linkauth_stats(net.nodes[init.to].la)->cookie_sent >= 15);
	net.ch.n_flight = 0;
	assert_false(init.to == 0);
	/* node 0 begins with the loaded one */
	hello(&net, init.to, 0);
	run(&net, 10);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->cookie_received, 1);
	assert_true(agree(&net, 0, init.to));
	assert_int_equal(linkauth_stats(net.nodes[0].la)->init_sent, 2);
	net_stop(&net);
}

static void test_quota(void **state)
{
	struct net net;
	unsigned int i;

	(void)state;
	net_start(&net, 2, &open_config);
	hello(&net, 1, 0);
	for (i = 0; i < 40; i++)
		deliver(&net, &net.ch.first);
	assert_int_equal(linkauth_stats(net.nodes[1].la)->stale_stamp, LINKAUTH_SOURCE_BURST - 1);
	assert_int_equal(linkauth_stats(net.nodes[1].la)->over_source_rate,
			 40 - LINKAUTH_SOURCE_BURST);
	net_stop(&net);
}

/* A restart with and without the kernel's memory of the neighbours. */
static void test_restart(void **state)
{
	struct linkauth_neigh kept;
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	net.hello = true;
	run(&net, 20000);
	assert_true(agree(&net, 0, 1));

	for (int who = 0; who < 2; who++) {
		/* the whole router restarts: new boot id, nothing kept but the stamps */
		linkauth_free(net.nodes[who].la);
		net.nodes[who].boot_id += 1000;
		net.nodes[who].established[!who] = 0;
		node_start(&net, who, &open_config);
		run(&net, 10000);
		assert_true(agree(&net, 0, 1));
		assert_int_equal(linkauth_count_neighbours(net.nodes[!who].la), 1);
	}

	/* only the daemon: it reads the neighbour back, and nothing is sent */
	kept = net.nodes[0].last[1];
	linkauth_free(net.nodes[0].la);
	node_start(&net, 0, &open_config);
	assert_int_equal(linkauth_restore(net.nodes[0].la, net.ch.now, &kept, 1000), 0);
	assert_int_equal(linkauth_restore(net.nodes[0].la, net.ch.now, &kept, 1000), -EEXIST);
	kept.router.b[0] ^= 1;
	assert_int_equal(linkauth_restore(net.nodes[0].la, net.ch.now, &kept, 1000), -EEXIST);
	kept.local_index = 4096;
	assert_int_equal(linkauth_restore(net.nodes[0].la, net.ch.now, &kept, 1000), -EINVAL);
	net.ch.sent = 0;
	run(&net, 60000);
	assert_int_equal(net.ch.sent, 0);
	assert_int_equal(linkauth_count_neighbours(net.nodes[0].la), 1);
	/* and both change their keys later */
	net.hello = false;
	run(&net, LINKAUTH_REKEY_MS + LINKAUTH_REKEY_GRACE_MS);
	assert_true(net.ch.sent >= 2);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

static void test_rekey_and_gone(void **state)
{
	uint32_t old;
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	net.hello = true;
	run(&net, 2000);
	assert_true(agree(&net, 0, 1));
	old = net.nodes[0].last[1].local_index;
	linkauth_rekey(net.nodes[0].la, net.ch.now, IFINDEX, &net.nodes[1].router);
	linkauth_rekey(net.nodes[1].la, net.ch.now, IFINDEX, &net.nodes[0].router);
	linkauth_rekey(net.nodes[0].la, net.ch.now, IFINDEX, &net.nodes[0].router);
	run(&net, 3000);
	assert_int_equal(net.nodes[0].established[1], 2);
	assert_true(agree(&net, 0, 1));
	assert_int_not_equal(old & LINKAUTH_SLOT_MASK,
			     net.nodes[0].last[1].local_index & LINKAUTH_SLOT_MASK);

	/* dead on one side only: it begins again with the next HELLO, and both agree */
	for (int i = 0; i < 2; i++) {
		linkauth_gone(net.nodes[i].la, net.ch.now, IFINDEX, &net.nodes[!i].router);
		assert_int_equal(linkauth_count(net.nodes[i].la), 0);
		linkauth_gone(net.nodes[i].la, net.ch.now, IFINDEX, &net.nodes[!i].router);
		run(&net, 4000);
		assert_true(agree(&net, 0, 1));
		assert_int_equal(net.nodes[0].established[1], 3 + i);
	}
	linkauth_link_gone(net.nodes[0].la, IFINDEX + 1);
	assert_int_equal(linkauth_count(net.nodes[0].la), 1);
	linkauth_link_gone(net.nodes[0].la, IFINDEX);
	assert_int_equal(linkauth_count(net.nodes[0].la), 0);
	net_stop(&net);
}

/* A forged HELLO with another boot id must not take a neighbour away. */
static void test_forged_hello(void **state)
{
	static const uint8_t evil[6] = { 2, 6, 6, 6, 6, 6 };
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	net.hello = true;
	run(&net, 10000);
	for (int i = 0; i < 100; i++) {
		linkauth_candidate(net.nodes[0].la, net.ch.now, IFINDEX, evil, &net.nodes[1].router,
				   666);
		run(&net, 500);
	}
	run(&net, 60000);
	assert_int_equal(linkauth_count_neighbours(net.nodes[0].la), 1);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

static void test_silence(void **state)
{
	struct net net;
	unsigned int sent;

	(void)state;
	net_start(&net, 2, &open_config);
	net.ch.loss = 100;
	hello(&net, 1, 0);
	run(&net, LINKAUTH_FORGET_MS);
	assert_int_equal(linkauth_count(net.nodes[0].la), 0);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->forgotten, 1);
	sent = (unsigned int)net.ch.sent;
	assert_in_range(sent, 6, 9);	/* 0, .5, 1.5, 3.5, 7.5, 15.5, 31.5 s and a bit */
	assert_true(linkauth_deadline(net.nodes[0].la) == UINT64_MAX);
	net_stop(&net);
}

static void test_10000_handshakes(void **state)
{
	static uint8_t used[LINKAUTH_SLOT_MASK + 1];
	uint32_t previous = 0, index;
	unsigned int distinct = 0;
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	hello_all(&net);
	run(&net, 10);
	for (int i = 0; i < 10000; i++) {
		net.ch.now += 1000;
		linkauth_rekey(net.nodes[0].la, net.ch.now, IFINDEX, &net.nodes[1].router);
		linkauth_tick(net.nodes[0].la, net.ch.now);
		assert_int_equal(net.ch.n_flight, 1);
		net.ch.n_flight = 0;
		deliver(&net, &net.ch.last);
		net.ch.n_flight = 0;
		deliver(&net, &net.ch.last);
		index = net.nodes[0].last[1].local_index;
		/* the one before is still reserved */
		assert_int_not_equal(index & LINKAUTH_SLOT_MASK, previous & LINKAUTH_SLOT_MASK);
		distinct += !used[index & LINKAUTH_SLOT_MASK]++;
		previous = index;
	}
	assert_true(agree(&net, 0, 1));
	assert_int_equal(net.nodes[0].established[1], 10001);
	assert_true(distinct > 3000);	/* spread over the slots */
	net_stop(&net);
}

static void test_strangers(void **state)
{
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	net.hello = true;
	run(&net, 2000);
	assert_true(agree(&net, 0, 1));
	net.hello = false;
	for (uint32_t i = 0; i < 100000; i++) {
		uint8_t mac[6] = { 2, 8, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0 };
		struct address stranger;

		randombytes_buf(&stranger, sizeof(stranger));
		linkauth_candidate(net.nodes[0].la, net.ch.now, IFINDEX, mac, &stranger, i);
		linkauth_input(net.nodes[0].la, net.ch.now, IFINDEX, mac, stranger.b, 32);
		if (i % 100 == 0)
			net.ch.now++;
		net.ch.n_flight = 0;
	}
	assert_int_equal(linkauth_count(net.nodes[0].la), LINKAUTH_MAX_NEIGH);
	assert_int_equal(linkauth_count_neighbours(net.nodes[0].la), 1);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->evicted, 100000 - LINKAUTH_MAX_NEIGH + 1);
	assert_true(linkauth_stats(net.nodes[0].la)->over_rate > 0);
	run(&net, 2000);
	/* the neighbour is served as before */
	linkauth_rekey(net.nodes[0].la, net.ch.now, IFINDEX, &net.nodes[1].router);
	run(&net, 3000);
	assert_true(agree(&net, 0, 1));
	assert_int_equal(net.nodes[0].established[1], 2);
	run(&net, LINKAUTH_FORGET_MS);
	assert_int_equal(linkauth_count(net.nodes[0].la), 1);
	net_stop(&net);
}

/* A table full of neighbours admits no candidate, and its slots are all different. */
static void test_full(void **state)
{
	struct linkauth_neigh n = { .ifindex = IFINDEX };
	struct net net;

	(void)state;
	net_start(&net, 2, &open_config);
	for (uint32_t i = 1; i <= LINKAUTH_MAX_NEIGH; i++) {
		memcpy(n.router.b, &i, sizeof(i));
		n.local_index = i | 1u << 20;
		assert_int_equal(linkauth_restore(net.nodes[0].la, net.ch.now, &n, 0), 0);
	}
	n.local_index = LINKAUTH_MAX_NEIGH + 1;
	n.router.b[31] = 1;
	assert_int_equal(linkauth_restore(net.nodes[0].la, net.ch.now, &n, 0), -ENOSPC);
	hello(&net, 1, 0);
	assert_int_equal(linkauth_stats(net.nodes[0].la)->table_full, 1);
	/* all of them change keys at once and hold two slots each */
	for (uint32_t i = 1; i <= LINKAUTH_MAX_NEIGH; i++) {
		memset(&n.router, 0, sizeof(n.router));
		memcpy(n.router.b, &i, sizeof(i));
		linkauth_rekey(net.nodes[0].la, net.ch.now, IFINDEX, &n.router);
	}
	for (int i = 0; i < 60; i++) {
		net.ch.now += 1000;
		linkauth_tick(net.nodes[0].la, net.ch.now);
	}
	assert_int_equal(linkauth_count(net.nodes[0].la), LINKAUTH_MAX_NEIGH);
	net_stop(&net);
}

static void test_new_refuses(void **state)
{
	struct linkauth_config c = { 0 };
	uint8_t sk[64];

	(void)state;
	crypto_sign_keypair(c.router.b, sk);
	c.router_sk = sk;
	c.n_members = LINKAUTH_MAX_MEMBERS + 1;
	assert_null(linkauth_new(&c, &ops, NULL));
	c.n_members = 0;
	c.router.b[0] ^= 1;
	assert_null(linkauth_new(&c, &ops, NULL));
	linkauth_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_three_and_group),
		cmocka_unit_test(test_each_message_lost),
		cmocka_unit_test(test_bad_channel),
		cmocka_unit_test(test_crossed),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_closed),
		cmocka_unit_test(test_wrong_secret),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_false_identity),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_cookie_under_load),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_rekey_and_gone),
		cmocka_unit_test(test_forged_hello),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_10000_handshakes),
		cmocka_unit_test(test_strangers),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_new_refuses),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
