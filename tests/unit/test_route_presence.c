// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The routing core: presences of members of namespaces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "unit/route_world.h"

/* Key @space signs that key @member is a member. */
static void build_presence(struct world *w, unsigned int space, unsigned int member, uint64_t seq,
			   uint32_t life, uint8_t flags, uint8_t out[PRESENCE_LEN])
{
	assert_int_equal(presence_build(out, w->key[space].secret, &w->key[member].address, seq,
					life, flags), 0);
}

static void send_presence(struct world *w, unsigned int i, const uint8_t *bytes, uint32_t left)
{
	peer_start(w, i);
	assert_true(control_put_presence(&msg.w, &msg.run, bytes, left));
	peer_deliver(w, i);
}

static void say_member(struct world *w, unsigned int i, unsigned int space, unsigned int member,
		       uint64_t seq, uint8_t flags)
{
	uint8_t p[PRESENCE_LEN];

	build_presence(w, space, member, seq, 3600, flags, p);
	send_presence(w, i, p, 3600);
}

static void count_member(void *ctx, const struct route_member_info *info)
{
	(void)info;
	++*(unsigned int *)ctx;
}

static unsigned int members(struct world *w, unsigned int space)
{
	unsigned int n = 0;

	route_members(w->core, w->now, &w->key[space].address, count_member, &n);
	return n;
}

static void presence_has_one_encoding(void **state)
{
	struct world *w = *state;
	uint8_t p[PRESENCE_LEN], copy[PRESENCE_LEN];
	struct presence out;

	build_presence(w, 0, 1, 7, 60, PRESENCE_WITHDRAWN, p);
	assert_int_equal(presence_parse(p, sizeof(p), &out), 0);
	assert_true(presence_verify(p));
	assert_true(address_equal(&out.space, &w->key[0].address));
	assert_true(address_equal(&out.member, &w->key[1].address));
	assert_int_equal(out.sequence, 7);
	assert_int_equal(out.lifetime_s, 60);
	presence_encode(&out, copy);
	assert_memory_equal(p, copy, sizeof(p));
	for (size_t len = 0; len < sizeof(p); len++)
		assert_int_equal(presence_parse(p, len, &out), -EINVAL);
	/* Any bit counts. */
	for (size_t i = 0; i < sizeof(p) * 8; i += 3) {
		memcpy(copy, p, sizeof(p));
		copy[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_true(presence_parse(copy, sizeof(copy), &out) || !presence_verify(copy));
	}
	assert_int_equal(presence_build(p, w->key[0].secret, &w->key[1].address, 1, 59, 0), -EINVAL);
	assert_int_equal(presence_build(p, w->key[0].secret, &w->key[1].address, 1, 86401, 0),
			 -EINVAL);
	assert_int_equal(presence_build(p, w->key[0].secret, &w->key[1].address, 1, 60, 2), -EINVAL);
}

static void presence_spreads_once(void **state)
{
	struct world *w = *state;

	say_member(w, 0, 0, 1, 10, 0);
	world_run(w, 100);
	assert_int_equal(members(w, 0), 1);
	assert_int_equal(members(w, 1), 0);
	assert_int_equal(w->joined, 1);
	assert_int_equal(w->peer[1].presences, 1);
	assert_int_equal(w->peer[0].presences, 0);	/* not back to who told it */
	assert_int_equal(w->peer[1].last_remaining, 3600);
	/* Said again by either: nothing new, one signature checked. */
	say_member(w, 1, 0, 1, 10, 0);
	say_member(w, 0, 0, 1, 10, 0);
	world_run(w, 100);
	assert_int_equal(core_stats(w)->presence_verified, 1);
	assert_int_equal(w->peer[0].presences + w->peer[1].presences, 1);
	/* A second member of it, and the same address in another namespace. */
	say_member(w, 1, 0, 2, 10, 0);
	say_member(w, 1, 3, 1, 10, 0);
	world_run(w, 100);
	assert_int_equal(members(w, 0), 2);
	assert_int_equal(members(w, 3), 1);
	/* A neighbour that comes later hears everything. */
	peer_join(w, 2, 10);
	assert_int_equal(w->peer[2].presences, 3);
	/* The time that is left travels along. */
	world_run(w, 1800000);
	route_neigh_down(w->core, w->now, 2);
	w->peer[2].presences = 0;
	peer_join(w, 2, 10);
	assert_int_equal(w->peer[2].presences, 3);
	assert_in_range(w->peer[2].last_remaining, 1700, 1801);
	world_run(w, 1900000);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->left, 3);
}

static void presence_replays(void **state)
{
	struct world *w = *state;

	say_member(w, 0, 0, 1, 10, 0);
	world_run(w, 100);
	/* Older, from the one who has ours already and from another: refused, and ours said again. */
	say_member(w, 1, 0, 1, 9, 0);
	world_run(w, 100);
	assert_int_equal(core_stats(w)->drop_older_sequence, 1);
	assert_int_equal(w->peer[1].presences, 2);
	assert_int_equal(members(w, 0), 1);
	/* Withdrawn; a replay does not bring it back, and hears of the withdrawal. */
	say_member(w, 0, 0, 1, 11, PRESENCE_WITHDRAWN);
	world_run(w, 100);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->left, 1);
	assert_int_equal(w->peer[1].presences, 3);
	assert_int_equal(w->peer[1].last_presence[1], PRESENCE_WITHDRAWN);
	say_member(w, 1, 0, 1, 10, 0);
	world_run(w, 100);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->peer[1].presences, 4);
	/* Another statement with the same sequence. */
	say_member(w, 1, 0, 1, 11, 0);
	world_run(w, 100);
	assert_int_equal(core_stats(w)->drop_conflict, 1);
	assert_int_equal(members(w, 0), 0);
	/* Nobody remembers a withdrawal of what he never heard. */
	say_member(w, 0, 2, 1, 5, PRESENCE_WITHDRAWN);
	world_run(w, 100);
	assert_int_equal(core_stats(w)->presence_verified, 2);
	say_member(w, 0, 0, 1, 12, 0);
	world_run(w, 100);
	assert_int_equal(members(w, 0), 1);
}

static void presence_forged(void **state)
{
	struct world *w = *state;
	uint8_t p[PRESENCE_LEN], other[PRESENCE_LEN];

	/* By another key: the namespace named is not the one that signed. */
	build_presence(w, 0, 1, 10, 3600, 0, p);
	memcpy(p + 16, w->key[2].address.b, ADDRESS_LEN);
	send_presence(w, 0, p, 3600);
	/* Another member, another sequence, another lifetime, no withdrawal. */
	for (size_t at = 1; at < PRESENCE_LEN; at += 24) {
		build_presence(w, 0, 1, 10, 3600, 0, p);
		p[at == 1 ? 7 : at] ^= 1;
		send_presence(w, 0, p, 3600);
	}
	/* A record's signature is of no use, nor the other way round. */
	build_presence(w, 0, 1, 10, 3600, 0, p);
	record_build(other, w->key[0].secret, 10, 3600, 0);
	memcpy(p + PRESENCE_SIGNED_LEN, other + RECORD_SIGNED_LEN, PRESENCE_SIG_LEN);
	send_presence(w, 0, p, 3600);
	world_run(w, 100);
	assert_int_equal(members(w, 0) + members(w, 2), 0);
	assert_true(core_stats(w)->drop_signature >= 7);
	assert_int_equal(w->peer[1].presences, 0);
	assert_int_equal(w->joined, 0);
	/* Impossible ones, and one whose time is over. */
	build_presence(w, 0, 1, 10, 3600, 0, p);
	p[0] = 9;
	send_presence(w, 0, p, 3600);
	assert_int_equal(core_stats(w)->drop_presence, 1);
	build_presence(w, 0, 1, 10, 3600, 0, p);
	send_presence(w, 0, p, 0);
	assert_int_equal(core_stats(w)->drop_expired, 1);
	/* A neighbour cannot lengthen what was signed. */
	send_presence(w, 0, p, UINT32_MAX);
	assert_int_equal(members(w, 0), 1);
	world_run(w, 3601000);
	assert_int_equal(members(w, 0), 0);
}

static void own_presence(void **state)
{
	struct world *w = *state;
	uint8_t p[PRESENCE_LEN];

	build_presence(w, 0, 1, 10, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	assert_int_equal(route_member_add(w->core, w->now, p), -ESTALE);
	p[PRESENCE_LEN - 1] ^= 1;
	assert_int_equal(route_member_add(w->core, w->now, p), -EINVAL);
	world_run(w, 100);
	assert_int_equal(w->peer[0].presences, 1);
	assert_int_equal(w->peer[1].presences, 1);
	assert_int_equal(route_member_sequence(w->core, &w->key[0].address, &w->key[1].address), 10);
	/* Refreshed at half its lifetime, asked again until it is done. */
	world_run(w, 299000);
	assert_int_equal(w->member_wants, 0);
	world_run(w, 2000);
	assert_int_equal(w->member_wants, 1);
	assert_int_equal(w->member_want, 11);
	world_run(w, 31000);
	assert_int_equal(w->member_wants, 2);
	build_presence(w, 0, 1, 11, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	world_run(w, 100);
	assert_int_equal(w->peer[0].presences, 2);
	/* Somebody else speaks for it, even takes it back: we go above. */
	say_member(w, 0, 0, 1, 50, PRESENCE_WITHDRAWN);
	world_run(w, 100);
	assert_int_equal(w->member_wants, 3);
	assert_int_equal(w->member_want, 51);
	assert_int_equal(members(w, 0), 1);
	build_presence(w, 0, 1, 50, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), -ESTALE);
	build_presence(w, 0, 1, 51, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	/* Taken back. */
	build_presence(w, 0, 1, 52, 600, PRESENCE_WITHDRAWN, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	world_run(w, 100);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->peer[0].last_presence[1], PRESENCE_WITHDRAWN);
	world_run(w, 700000);
	assert_int_equal(route_member_sequence(w->core, &w->key[0].address, &w->key[1].address), 0);
}

static void presence_quota(void **state)
{
	struct route_config cfg = { .seed = 1, .member_quota = 3, .max_members = 6 };
	struct world *w = world_new(&cfg);
	uint8_t p[PRESENCE_LEN];

	(void)state;
	peer_join(w, 0, 10);
	peer_join(w, 1, 10);
	for (unsigned int k = 0; k < 5; k++)
		say_member(w, 0, 7, k, 5, 0);
	assert_int_equal(members(w, 7), 3);
	assert_int_equal(core_stats(w)->drop_presence_quota, 2);
	/* A reconnect does not give a new one; what is withdrawn makes room. */
	route_neigh_down(w->core, w->now, 0);
	peer_join(w, 0, 10);
	say_member(w, 0, 7, 3, 5, 0);
	assert_int_equal(members(w, 7), 3);
	say_member(w, 0, 7, 0, 6, PRESENCE_WITHDRAWN);
	say_member(w, 0, 7, 3, 5, 0);
	assert_int_equal(members(w, 7), 3);
	/* Another neighbour has a quota of its own, and the whole table has an end. */
	for (unsigned int k = 0; k < 5; k++)
		say_member(w, 1, 6, k, 5, 0);
	assert_int_equal(members(w, 6), 3);
	peer_join(w, 2, 10);
	say_member(w, 2, 5, 1, 5, 0);
	assert_int_equal(members(w, 5), 0);
	assert_int_equal(core_stats(w)->drop_presence_full, 1);
	/* Our own membership finds room, and so do the other members of that namespace. */
	build_presence(w, 5, 0, 5, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	for (unsigned int k = 1; k < 4; k++)
		say_member(w, 0, 5, k, 5, 0);
	assert_int_equal(members(w, 5), 4);
	assert_true(core_stats(w)->presence_evicted > 0);
	assert_true(members(w, 6) + members(w, 7) <= 3);
	core_teardown((void **)&w);
}

static void presence_budget(void **state)
{
	struct route_config cfg = { .seed = 1, .verify_rate = 10, .verify_burst = 16 };
	struct world *w = world_new(&cfg);

	(void)state;
	peer_join(w, 0, 10);
	for (unsigned int k = 0; k < 4; k++) {	/* 4 × 6 checks: the third has to wait */
		uint8_t p[PRESENCE_LEN];

		peer_start(w, 0);
		for (unsigned int i = 0; i < 6; i++) {
			build_presence(w, k, i, 5, 3600, 0, p);
			control_put_presence(&msg.w, &msg.run, p, 3600);
		}
		peer_deliver(w, 0);
	}
	assert_int_equal(core_stats(w)->presence_verified, 12);
	assert_true(core_stats(w)->defer_over_budget >= 1);
	world_run(w, 3000);
	assert_int_equal(core_stats(w)->presence_verified, 24);
	core_teardown((void **)&w);
}

/* Sums that differ twice make the core ask for what lies in those buckets; once is no reason. */
static void presence_sums(void **state)
{
	struct world *w = *state;
	uint64_t wrong[CONTROL_MEMBER_BUCKETS] = { 0 };
	unsigned int before;

	world_run(w, 130000);
	assert_int_equal(w->peer[0].sums, 0);		/* nothing to compare costs nothing */
	say_member(w, 0, 0, 1, 10, 0);
	world_run(w, 130000);
	assert_true(w->peer[0].sums >= 1);
	wrong[3] = 1;
	for (int i = 0; i < 2; i++) {
		peer_start(w, 1);
		control_put_member_sums(&msg.w, &msg.run, wrong);
		peer_deliver(w, 1);
		world_run(w, 1000);
		assert_int_equal(w->peer[1].member_asks, i);
	}
	assert_true(w->peer[1].member_ask & 1u << 3);
	/* Not again for a while. */
	peer_start(w, 1);
	control_put_member_sums(&msg.w, &msg.run, wrong);
	peer_deliver(w, 1);
	world_run(w, 1000);
	assert_int_equal(w->peer[1].member_asks, 1);
	/* Asked itself, it repeats what it has, and not more often than every few seconds. */
	before = w->peer[1].presences;
	for (int i = 0; i < 3; i++) {
		peer_start(w, 1);
		control_put_member_ask(&msg.w, &msg.run, 0xffff);
		peer_deliver(w, 1);
		world_run(w, 100);
	}
	assert_int_equal(w->peer[1].presences, before + 1);
	peer_start(w, 1);
	control_put_member_ask(&msg.w, &msg.run, 0);
	peer_deliver(w, 1);
	world_run(w, 6000);
	assert_int_equal(w->peer[1].presences, before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(presence_has_one_encoding),
		T(presence_spreads_once),
		T(presence_replays),
		T(presence_forged),
		T(own_presence),
		T(presence_quota),
		T(presence_budget),
		T(presence_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
