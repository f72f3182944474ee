// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * End-to-end sessions: managers in memory, joined by a channel that loses,
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
#include "ratmand/session/session.h"
#include "unit/channel.h"

#define N_NODES 3
#define NEIGH 11

struct node {
	struct session_mgr *mgr;
	struct address address;
	uint8_t sk[64];
	uint64_t stamp;
	bool no_stamp;
	struct session_keys last[N_NODES];	/* by peer */
	unsigned int installed[N_NODES];
	unsigned int failed;
	struct net *net;
};

struct net {
	struct node nodes[N_NODES];
	int count;
	struct channel ch;
};

static int by_address(const struct net *net, const struct address *a)
{
	for (int i = 0; i < net->count; i++)
		if (address_equal(&net->nodes[i].address, a))
			return i;
	return -1;
}

static void op_send(void *ctx, const struct address *dest, const uint8_t *bytes, size_t len)
{
	struct node *n = ctx;

	assert_true(len <= SESSION_MSG_MAX);
	channel_send(&n->net->ch, (int)(n - n->net->nodes), by_address(n->net, dest), bytes, len);
}

static void op_install(void *ctx, const struct session_keys *keys)
{
	struct node *n = ctx;
	int peer = by_address(n->net, &keys->peer);

	assert_true(peer >= 0);
	assert_true(address_equal(&keys->local, &n->address));
	assert_true(keys->local_index != 0 && keys->peer_index != 0);
	assert_true(keys->created_ms == n->net->ch.now);
	n->last[peer] = *keys;
	n->installed[peer]++;
}

static void op_failed(void *ctx, const struct address *local, const struct address *peer)
{
	struct node *n = ctx;

	assert_true(address_equal(local, &n->address));
	assert_false(address_equal(local, peer));
	n->failed++;
}

static uint64_t op_stamp(void *ctx, const struct address *local)
{
	struct node *n = ctx;

	assert_true(address_equal(local, &n->address));
	return n->no_stamp ? 0 : ++n->stamp;
}

static const struct session_ops ops = { op_send, op_install, op_failed, op_stamp };

static void node_start(struct node *n)
{
	n->mgr = session_mgr_new(&ops, n);
	assert_non_null(n->mgr);
	assert_int_equal(session_local_add(n->mgr, &n->address, n->sk), 0);
}

/* Node 0 has the smallest address. */
static void net_start(struct net *net, int count)
{
	memset(net, 0, sizeof(*net));
	net->count = count;
	channel_init(&net->ch);
	for (int i = 0; i < count; i++) {
		struct node *n = &net->nodes[i];

		do {
			crypto_sign_keypair(n->address.b, n->sk);
		} while (i && address_compare(&net->nodes[i - 1].address, &n->address) > 0);
		n->net = net;
		node_start(n);
	}
}

static void net_stop(struct net *net)
{
	for (int i = 0; i < net->count; i++)
		session_mgr_free(net->nodes[i].mgr);
}

static int want(struct net *net, int from, int to)
{
	return session_want(net->nodes[from].mgr, net->ch.now, &net->nodes[from].address,
			    &net->nodes[to].address);
}

static void deliver(struct net *net, const struct flight *f)
{
	session_input(net->nodes[f->to].mgr, net->ch.now, &net->nodes[f->to].address, NEIGH, f->bytes,
		      f->len);
}

static void run(struct net *net, uint64_t ms)
{
	uint64_t end = net->ch.now + ms;
	struct flight f;

	while (net->ch.now < end) {
		net->ch.now++;
		while (channel_take(&net->ch, &f))
			deliver(net, &f);
		for (int i = 0; i < net->count; i++)
			if (session_deadline(net->nodes[i].mgr) <= net->ch.now)
				session_tick(net->nodes[i].mgr, net->ch.now);
	}
}

static bool agree(const struct net *net, int a, int b)
{
	const struct session_keys *x = &net->nodes[a].last[b], *y = &net->nodes[b].last[a];

	return net->nodes[a].installed[b] && net->nodes[b].installed[a] &&
	       x->local_index == y->peer_index && x->peer_index == y->local_index &&
	       !memcmp(x->rx_key, y->tx_key, sizeof(x->rx_key)) &&
	       !memcmp(x->tx_key, y->rx_key, sizeof(x->tx_key)) &&
	       memcmp(x->tx_key, x->rx_key, sizeof(x->tx_key)) && x->initiator != y->initiator;
}

static void test_plain(void **state)
{
	struct net net;

	(void)state;
	net_start(&net, 3);
	assert_true(session_deadline(net.nodes[0].mgr) == UINT64_MAX);
	assert_int_equal(want(&net, 1, 0), 0);
	assert_int_equal(want(&net, 1, 0), 0);
	assert_int_equal(session_count_pending(net.nodes[1].mgr), 1);
	assert_int_equal(want(&net, 1, 1), -EINVAL);
	run(&net, 10);
	assert_int_equal(net.ch.sent, 2);
	assert_true(agree(&net, 0, 1));
	assert_true(net.nodes[1].last[0].initiator);
	assert_int_equal(session_count_pending(net.nodes[1].mgr), 0);
	assert_int_equal(session_count_live(net.nodes[1].mgr), 1);
	/* a second one replaces it, and a third peer is apart */
	want(&net, 1, 0);
	want(&net, 2, 0);
	run(&net, 10);
	assert_true(agree(&net, 0, 1) && agree(&net, 0, 2));
	assert_int_equal(session_count_live(net.nodes[0].mgr), 3);
	run(&net, SESSION_LIFE_MS + 100);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(session_count_live(net.nodes[i].mgr), 0);
		assert_int_equal(net.nodes[i].failed, 0);
		assert_true(session_deadline(net.nodes[i].mgr) == UINT64_MAX);
	}
	net_stop(&net);
}

static void test_each_message_lost(void **state)
{
	struct net net;

	(void)state;
	for (int lost = 0; lost < 4; lost++) {
		for (int both = 0; both < 2; both++) {
			net_start(&net, 2);
			net.ch.drop_nth = lost;
			want(&net, 0, 1);
			if (both)
				want(&net, 1, 0);
			run(&net, 10000);
			assert_true(agree(&net, 0, 1));
			net_stop(&net);
		}
	}
}

static void test_bad_channel(void **state)
{
	struct net net;

	(void)state;
	for (uint64_t seed = 0; seed < 80; seed++) {
		net_start(&net, 2);
		net.ch.rng = seed;
		net.ch.loss = 10 + (unsigned int)seed % 30;
		net.ch.dup = 20;
		net.ch.jitter_ms = (uint32_t)(seed % 5) * 400;
		/* the kernel asks again while it has nothing */
		for (int round = 0; round < 10; round++) {
			want(&net, 0, 1);
			if (seed % 2)
				want(&net, 1, 0);
			run(&net, 8000);
		}
		/* what is under way may still be given up; the next must succeed */
		net.ch.loss = 0;
		run(&net, 30000);
		want(&net, 0, 1);
		if (seed % 2)
			want(&net, 1, 0);
		run(&net, 30000);
		if (!agree(&net, 0, 1))
			fail_msg("seed %u", (unsigned int)seed);
		net_stop(&net);
	}
}

static void test_crossed(void **state)
{
	struct net net;

	(void)state;
	net_start(&net, 2);
	want(&net, 0, 1);
	want(&net, 1, 0);
	run(&net, 50);
	assert_true(agree(&net, 0, 1));
	assert_true(net.nodes[0].last[1].initiator);
	assert_int_equal(net.nodes[0].installed[1] + net.nodes[1].installed[0], 2);
	assert_int_equal(session_mgr_stats(net.nodes[0].mgr)->crossed, 1);
	assert_int_equal(session_count_pending(net.nodes[1].mgr), 0);
	run(&net, 30000);
	assert_int_equal(net.nodes[0].failed + net.nodes[1].failed, 0);
	net_stop(&net);
}

static void test_give_up(void **state)
{
	struct net net;

	(void)state;
	net_start(&net, 2);
	net.ch.loss = 100;
	want(&net, 0, 1);
	run(&net, SESSION_GIVE_UP_MS - 1);
	assert_int_equal(net.nodes[0].failed, 0);
	run(&net, 1);
	assert_int_equal(net.nodes[0].failed, 1);
	/* 0, 1, 6, 11, 16 s and, when all of them fell early, one more just before the end */
	assert_in_range(session_mgr_stats(net.nodes[0].mgr)->init_sent, 5, 6);
	assert_int_equal(session_count_pending(net.nodes[0].mgr), 0);
	assert_true(session_deadline(net.nodes[0].mgr) == UINT64_MAX);
	/* without a stamp nothing is sent, and later it is */
	net.ch.loss = 0;
	net.nodes[0].no_stamp = true;
	want(&net, 0, 1);
	assert_int_equal(session_mgr_stats(net.nodes[0].mgr)->no_stamp, 1);
	net.nodes[0].no_stamp = false;
	run(&net, 1500);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

static void test_replay(void **state)
{
	struct net net;
	struct flight init;

	(void)state;
	net_start(&net, 3);
	want(&net, 0, 1);
	init = net.ch.first;
	run(&net, 10);
	for (int i = 0; i < 5; i++) {
		run(&net, 1000);
		deliver(&net, &init);
	}
	assert_int_equal(net.nodes[1].installed[0], 1);
	assert_int_equal(session_mgr_stats(net.nodes[1].mgr)->stale_stamp, 5);
	deliver(&net, &net.ch.last);	/* the response again */
	assert_int_equal(session_mgr_stats(net.nodes[0].mgr)->unknown_index, 1);
	/* to another address, and to one that is not here */
	init.to = 2;
	deliver(&net, &init);
	assert_int_equal(session_mgr_stats(net.nodes[2].mgr)->bad_mac1, 1);
	session_input(net.nodes[2].mgr, net.ch.now, &net.nodes[1].address, NEIGH, init.bytes,
		      init.len);
	assert_int_equal(session_mgr_stats(net.nodes[2].mgr)->not_local, 1);
	net_stop(&net);
}

static void damaged_init(void *net, const struct flight *bad)
{
	deliver(net, bad);
	assert_int_equal(((struct net *)net)->nodes[1].installed[0], 0);
}

static void damaged_response(void *net, const struct flight *bad)
{
	struct node *n = &((struct net *)net)->nodes[0];

	deliver(net, bad);
	assert_int_equal(n->installed[1], 0);
	assert_int_equal(session_count_pending(n->mgr), 1);
}

static void test_damage(void **state)
{
	struct flight good;
	struct net net;

	(void)state;
	net_start(&net, 2);
	want(&net, 0, 1);
	good = channel_damage(&net.ch, SESSION_INIT_LEN, damaged_init, &net);
	deliver(&net, &good);
	assert_int_equal(net.nodes[1].installed[0], 1);
	good = channel_damage(&net.ch, SESSION_RESPONSE_LEN, damaged_response, &net);
	deliver(&net, &good);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

/* As test_damage, but whoever flips bits makes mac1 right again: Noise must notice. */
static void test_damage_behind_mac1(void **state)
{
	uint8_t pk[32], key[32];
	crypto_generichash_state st;
	struct flight bad, good;
	struct net net;

	(void)state;
	net_start(&net, 2);
	want(&net, 0, 1);
	good = net.ch.last;
	net.ch.n_flight = 0;
	assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(pk, net.nodes[1].address.b), 0);
	crypto_generichash_init(&st, NULL, 0, 32);
	crypto_generichash_update(&st, (const uint8_t *)"ratman mac1", 11);
	crypto_generichash_update(&st, pk, 32);
	crypto_generichash_final(&st, key, 32);
	for (size_t i = 4; i < SESSION_INIT_LEN - 16; i++) {
		bad = good;
		bad.bytes[i] ^= (uint8_t)(1u << (i % 8));
		crypto_generichash(bad.bytes + SESSION_INIT_LEN - 16, 16, bad.bytes,
				   SESSION_INIT_LEN - 16, key, 32);
		net.ch.now += 100;
		deliver(&net, &bad);
		assert_int_equal(net.nodes[1].installed[0], 0);
	}
	assert_int_equal(session_mgr_stats(net.nodes[1].mgr)->bad_mac1, 0);
	assert_int_equal(session_mgr_stats(net.nodes[1].mgr)->bad_noise, SESSION_INIT_LEN - 24);
	assert_int_equal(session_mgr_stats(net.nodes[1].mgr)->bad_identity, 4);
	deliver(&net, &good);
	assert_int_equal(net.nodes[1].installed[0], 1);
	net_stop(&net);
}

/* A well-made init of node 0 that claims the address @claim and the index @index. */
static struct flight make_init(const struct net *net, const struct address *claim, uint32_t index)
{
	struct flight f = { .to = 1, .len = SESSION_INIT_LEN };
	uint8_t pk[32], key[32];

	channel_forge(&f, net->nodes[0].sk, &net->nodes[1].address, SESSION_MSG_INIT,
		      SESSION_PROLOGUE, claim, index, 44);
	assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(pk, net->nodes[1].address.b), 0);
	cookie_mac1_key(key, pk, NULL);
	cookie_mac1(key, f.bytes, SESSION_INIT_LEN - 16, f.bytes + SESSION_INIT_LEN - 16);
	return f;
}

static void test_false_identity(void **state)
{
	const struct session_stats *stats;
	struct address none = { { 0 } };
	struct flight f;
	struct net net;

	(void)state;
	net_start(&net, 3);
	stats = session_mgr_stats(net.nodes[1].mgr);
	f = make_init(&net, &net.nodes[2].address, 1);	/* somebody else */
	deliver(&net, &f);
	f = make_init(&net, &net.nodes[1].address, 1);	/* the responder itself */
	deliver(&net, &f);
	f = make_init(&net, &none, 1);			/* no key at all */
	deliver(&net, &f);
	f = make_init(&net, &net.nodes[0].address, 2);	/* another index than in the header */
	deliver(&net, &f);
	assert_int_equal(stats->bad_identity, 4);
	assert_int_equal(stats->installed, 0);
	f = make_init(&net, &net.nodes[0].address, 1);
	deliver(&net, &f);
	assert_int_equal(stats->installed, 1);
	net_stop(&net);
}

static void test_garbage(void **state)
{
	uint8_t junk[400];
	struct net net;

	(void)state;
	net_start(&net, 2);
	want(&net, 0, 1);
	for (size_t len = 0; len < sizeof(junk); len++) {
		for (unsigned int type = 0; type < 4; type++) {
			randombytes_buf(junk, sizeof(junk));
			junk[0] = (uint8_t)type;
			junk[1] = junk[2] = junk[3] = 0;
			session_input(net.nodes[0].mgr, net.ch.now, &net.nodes[0].address, 1, junk,
				      len);
		}
	}
	session_input(net.nodes[0].mgr, net.ch.now, &net.nodes[0].address, 1, NULL, 0);
	run(&net, 10);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
}

/* What one neighbour passes on does not use up what another may. */
static void test_quota(void **state)
{
	const struct session_stats *stats;
	struct net net;

	(void)state;
	net_start(&net, 3);
	want(&net, 0, 1);
	stats = session_mgr_stats(net.nodes[1].mgr);
	for (int i = 0; i < 200; i++)
		deliver(&net, &net.ch.first);
	assert_int_equal(stats->stale_stamp, SESSION_NEIGH_BURST - 1);
	assert_int_equal(stats->over_neigh_rate, 200 - SESSION_NEIGH_BURST);
	want(&net, 2, 1);
	session_input(net.nodes[1].mgr, net.ch.now, &net.nodes[1].address, NEIGH + 1, net.ch.last.bytes,
		      net.ch.last.len);
	assert_int_equal(net.nodes[1].installed[2], 1);
	/* 100,000 neighbours: everybody's quota holds, the table is bounded */
	for (uint32_t i = 0; i < 100000; i++)
		session_input(net.nodes[1].mgr, net.ch.now, &net.nodes[1].address, i,
			      net.ch.first.bytes, net.ch.first.len);
	assert_true(stats->over_rate > 90000);
	assert_int_equal(net.nodes[1].installed[0], 1);
	net_stop(&net);
}

static void test_locals(void **state)
{
	struct address other;
	struct net net;
	uint8_t sk[64];

	(void)state;
	net_start(&net, 2);
	assert_int_equal(session_local_add(net.nodes[0].mgr, &net.nodes[0].address,
					   net.nodes[0].sk), 0);
	crypto_sign_keypair(other.b, sk);
	assert_int_equal(session_local_add(net.nodes[0].mgr, &other, net.nodes[0].sk), -EINVAL);
	assert_int_equal(session_want(net.nodes[0].mgr, net.ch.now, &other, &net.nodes[1].address),
			 -ENOENT);
	memset(&other, 0, sizeof(other));
	assert_int_equal(session_want(net.nodes[0].mgr, net.ch.now, &net.nodes[0].address, &other),
			 -EINVAL);
	/* down in mid-handshake: no answer is taken, nothing is reported */
	want(&net, 0, 1);
	session_local_remove(net.nodes[0].mgr, &net.nodes[0].address);
	session_local_remove(net.nodes[0].mgr, &net.nodes[0].address);
	assert_int_equal(session_count_pending(net.nodes[0].mgr), 0);
	run(&net, 100);
	assert_int_equal(net.nodes[0].installed[1], 0);
	assert_int_equal(net.nodes[0].failed, 0);
	assert_int_equal(session_mgr_stats(net.nodes[0].mgr)->not_local, 1);
	/* up again: it works, and going down frees the indices */
	session_local_add(net.nodes[0].mgr, &net.nodes[0].address, net.nodes[0].sk);
	want(&net, 1, 0);
	run(&net, 100);
	assert_true(agree(&net, 0, 1));
	session_local_remove(net.nodes[0].mgr, &net.nodes[0].address);
	assert_int_equal(session_count_live(net.nodes[0].mgr), 0);
	net_stop(&net);
}

static void test_restart(void **state)
{
	struct session_keys *k;
	struct node *n;
	struct net net;

	(void)state;
	net_start(&net, 2);
	want(&net, 0, 1);
	run(&net, 10);
	n = &net.nodes[0];
	k = &n->last[1];
	session_mgr_free(n->mgr);
	node_start(n);
	assert_int_equal(session_restore(n->mgr, net.ch.now, &k->local, &k->peer, k->local_index,
					 k->peer_index, k->created_ms), 0);
	assert_int_equal(session_restore(n->mgr, net.ch.now, &k->local, &k->peer, k->local_index,
					 k->peer_index, k->created_ms), -EEXIST);
	assert_int_equal(session_restore(n->mgr, net.ch.now, &k->local, &k->peer, 0, 1, net.ch.now),
			 -EINVAL);
	assert_int_equal(session_restore(n->mgr, net.ch.now, &k->local, &k->peer, 5, 1,
					 net.ch.now - SESSION_LIFE_MS), 0);
	assert_int_equal(session_count_live(n->mgr), 1);
	want(&net, 0, 1);
	want(&net, 1, 0);
	run(&net, 100);
	assert_true(agree(&net, 0, 1));
	assert_int_equal(session_count_live(n->mgr), 2);
	session_closed(n->mgr, k->local_index);
	session_closed(n->mgr, k->local_index);
	assert_int_equal(session_count_live(n->mgr), 1);
	net_stop(&net);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void test_10000_handshakes(void **state)
{
	static uint32_t indices[10000];
	struct net net;

	(void)state;
	net_start(&net, 2);
	for (int i = 0; i < 10000; i++) {
		net.ch.now += SESSION_NEIGH_MS;
		want(&net, 0, 1);
		net.ch.n_flight = 0;
		deliver(&net, &net.ch.last);
		net.ch.n_flight = 0;
		deliver(&net, &net.ch.last);
		assert_true(agree(&net, 0, 1));
		indices[i] = net.nodes[1].last[0].local_index;
	}
	assert_true(session_count_live(net.nodes[1].mgr) >= SESSION_LIFE_MS / SESSION_NEIGH_MS);
	session_tick(net.nodes[1].mgr, net.ch.now);
	assert_true(session_count_live(net.nodes[1].mgr) <= SESSION_LIFE_MS / SESSION_NEIGH_MS);
	/* those of the last 180 s are all different */
	qsort(indices + 1000, 9000, sizeof(indices[0]), compare_u32);
	for (int i = 1001; i < 10000; i++)
		assert_int_not_equal(indices[i - 1], indices[i]);
	net_stop(&net);
}

static void test_bounds(void **state)
{
	struct address stranger;
	struct net net;
	uint8_t sk[64];

	(void)state;
	net_start(&net, 2);
	for (int i = 0; i < SESSION_MAX_PENDING + 500; i++) {
		crypto_sign_keypair(stranger.b, sk);
		assert_int_equal(session_want(net.nodes[0].mgr, net.ch.now, &net.nodes[0].address,
					      &stranger), 0);
		net.ch.now++;
	}
	assert_int_equal(session_count_pending(net.nodes[0].mgr), SESSION_MAX_PENDING);
	assert_int_equal(net.nodes[0].failed, 500);
	assert_int_equal(session_mgr_stats(net.nodes[0].mgr)->evicted_pending, 500);
	for (uint32_t i = 1; i <= 100000; i++)
		assert_int_equal(session_restore(net.nodes[1].mgr, net.ch.now, &net.nodes[1].address,
						 &stranger, i, 1, net.ch.now), 0);
	assert_int_equal(session_count_live(net.nodes[1].mgr), SESSION_MAX_LIVE);
	run(&net, SESSION_GIVE_UP_MS + 1000);
	assert_int_equal(session_count_pending(net.nodes[0].mgr), 0);
	want(&net, 0, 1);
	run(&net, 100);
	assert_true(agree(&net, 0, 1));
	net_stop(&net);
	session_mgr_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_each_message_lost),
		cmocka_unit_test(test_bad_channel),
		cmocka_unit_test(test_crossed),
		cmocka_unit_test(test_give_up),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_damage_behind_mac1),
		cmocka_unit_test(test_false_identity),
		cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_locals),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_10000_handshakes),
		cmocka_unit_test(test_bounds),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
