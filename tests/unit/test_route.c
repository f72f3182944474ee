// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The routing core from the outside: bytes in, ops out. Records, updates, requests for
 * sequences, and the channel they go through.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "unit/route_world.h"

static void learns_and_passes_on(void **state)
{
	struct world *w = *state;
	struct route_cookie c;

	send_record(w, 0, 0, 5, 100);
	assert_int_equal(w->installs, 1);
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(w->hops[0].neigh, 0);
	assert_int_equal(w->hops[0].metric, 110);
	assert_int_equal(w->seen_sequence, 5);
	assert_int_equal(route_cookie_decode(w->cookie, ROUTE_COOKIE_LEN, &c), 0);
	assert_int_equal(c.sequence, 5);
	assert_int_equal(c.metric, 110);
	world_run(w, 100);
	assert_int_equal(w->peer[1].records, 1);
	assert_int_equal(w->peer[1].last_metric, 110);
	assert_int_equal(w->peer[0].records, 0);	/* split horizon */
	assert_int_equal(w->peer[0].updates, 0);
	assert_int_equal(core_stats(w)->records_verified, 1);
	/* Once verified, the same record costs no second check. */
	send_record(w, 1, 0, 5, 50);
	assert_int_equal(core_stats(w)->records_verified, 1);
}

static void bad_signature(void **state)
{
	struct world *w = *state;

	peer_start(w, 0);
	put_record(w, 0, 5, 100, 3600, 0);
	msg.bytes[wire_len(&msg.w) - 1] ^= 1;
	peer_deliver(w, 0);
	assert_int_equal(core_stats(w)->drop_signature, 1);
	assert_int_equal(w->installs, 0);
	assert_int_equal(w->seens, 0);
	world_run(w, 200);
	assert_int_equal(w->peer[1].records, 0);
}

static void older_sequence(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 100);
	send_record(w, 1, 0, 4, 1);
	assert_int_equal(core_stats(w)->drop_older_sequence, 1);
	assert_int_equal(core_info(w, 0).hops[0].neigh, 0);
	assert_int_equal(core_info(w, 0).n_known, 1);
	/* Below what was persisted, too. */
	assert_int_equal(route_seen(w->core, w->now, &w->key[1].address, 9), 0);
	send_record(w, 1, 1, 8, 1);
	assert_int_equal(core_stats(w)->drop_older_sequence, 2);
	send_record(w, 1, 1, 9, 1);
	assert_int_equal(core_info(w, 1).metric, 21);
}

static void newer_record_is_told_to_the_late(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 20000);
	peer_join(w, 2, 10);
	w->peer[1].records = 0;
	peer_start(w, 0);				/* withdrawn */
	put_record(w, 0, 6, ROUTE_INFINITY, 3600, RECORD_WITHDRAWN);
	peer_deliver(w, 0);
	world_run(w, 100);
	assert_int_equal(w->uninstalls, 1);
	assert_int_equal(w->peer[1].records, 1);	/* vanishes at once everywhere */
	assert_int_equal(w->peer[1].last_metric, ROUTE_INFINITY);
	assert_int_equal(route_neigh_down(w->core, w->now, 2), 0);
	peer_join(w, 2, 10);
	w->peer[2].records = 0;
	send_record(w, 2, 0, 5, 1);		/* from a partition that missed it */
	world_run(w, 100);
	assert_int_equal(w->peer[2].records, 1);
	assert_int_equal(w->peer[2].last_record[1], RECORD_WITHDRAWN);
	assert_int_equal(core_info(w, 0).metric, ROUTE_INFINITY);
}

static void truncations_of_every_length(void **state)
{
	struct world *w = *state;
	size_t len;

	peer_start(w, 0);
	put_record(w, 0, 5, 100, 3600, 0);
	put_record(w, 1, 5, 100, 3600, 0);
	len = wire_len(&msg.w);
	for (size_t cut = 0; cut < len; cut++) {
		if (cut == CONTROL_HEADER_LEN || cut == CONTROL_HEADER_LEN + 121)
			continue;	/* shorter, but whole */
		route_input(w->core, w->now, 0, msg.bytes, cut);
	}
	assert_int_equal(core_stats(w)->drop_truncated, len - 2);
	assert_int_equal(w->installs, 0);
	peer_deliver(w, 0);
	assert_int_equal(w->installs, 2);
	route_input(w->core, w->now, 0, (uint8_t[CONTROL_MTU_MAX + 1]){ 1 }, CONTROL_MTU_MAX + 1);
	assert_int_equal(core_stats(w)->drop_truncated, len - 1);
}

static void wrong_version_and_stranger(void **state)
{
	struct world *w = *state;

	peer_begin(&w->peer[0], 0);
	msg.bytes[0] = 2;
	peer_deliver(w, 0);
	assert_int_equal(core_stats(w)->drop_version, 1);
	peer_begin(&w->peer[0], 0);
	memset(msg.bytes + 4, 0, 4);
	peer_deliver(w, 0);
	assert_int_equal(core_stats(w)->drop_malformed, 1);
	peer_begin(&w->peer[0], 0);
	route_input(w->core, w->now, 77, msg.bytes, wire_len(&msg.w));
	assert_int_equal(core_stats(w)->drop_unknown_neigh, 1);
}

static void unknown_tlv_is_skipped(void **state)
{
	struct world *w = *state;

	peer_start(w, 0);
	wire_put_u8(&msg.w, 200);
	wire_put_be16(&msg.w, 3);
	wire_put(&msg.w, "abc", 3);
	put_record(w, 0, 5, 100, 3600, 0);
	peer_deliver(w, 0);
	assert_int_equal(core_stats(w)->drop_unknown_tlv, 1);
	assert_int_equal(w->installs, 1);
}

static void reorder_duplicate_loss(void **state)
{
	struct world *w = *state;
	uint8_t first[CONTROL_MTU_MAX], second[CONTROL_MTU_MAX];
	size_t len1, len2;

	peer_start(w, 0);
	put_record(w, 0, 5, 100, 3600, 0);
	len1 = wire_len(&msg.w);
	memcpy(first, msg.bytes, len1);
	peer_start(w, 0);
	put_record(w, 0, 6, 50, 3600, 0);
	len2 = wire_len(&msg.w);
	memcpy(second, msg.bytes, len2);

	route_input(w->core, w->now, 0, second, len2);	/* waits for the first */
	assert_int_equal(w->installs, 0);
	route_input(w->core, w->now, 0, second, len2);
	assert_int_equal(core_stats(w)->drop_duplicate, 1);
	route_input(w->core, w->now, 0, first, len1);
	assert_int_equal(core_info(w, 0).sequence, 6);
	assert_int_equal(core_info(w, 0).metric, 60);
	route_input(w->core, w->now, 0, first, len1);
	assert_int_equal(core_stats(w)->drop_duplicate, 2);
	peer_begin(&w->peer[0], w->peer[0].seq + 100);
	peer_deliver(w, 0);
	assert_int_equal(core_stats(w)->drop_window, 1);
	world_run(w, 50);
	assert_int_equal(w->peer[0].core_ack, w->peer[0].seq + 1);
}

static void retransmits_with_backoff(void **state)
{
	struct world *w = *state;
	uint64_t before;

	world_run(w, 1000);
	before = core_stats(w)->tx_retransmits;
	w->peer[1].mute = true;
	send_record(w, 0, 0, 5, 100);
	world_run(w, 450);
	assert_true(core_stats(w)->tx_retransmits - before >= 2);
	before = core_stats(w)->tx_retransmits;
	world_run(w, 20000);
	assert_in_range(core_stats(w)->tx_retransmits - before, 8, 16);	/* at most every 2 s */
	w->peer[1].mute = false;
	peer_ack(w, 1);
	before = core_stats(w)->tx_retransmits;
	world_run(w, 20000);
	assert_int_equal(core_stats(w)->tx_retransmits, before);
}

static void unknown_id_is_wanted(void **state)
{
	struct world *w = *state;
	uint8_t id[RECORD_ID_LEN];

	send_update(w, 0, 0, 5, 100);
	assert_int_equal(w->installs, 0);
	world_run(w, 50);
	assert_int_equal(w->peer[0].wants, 1);
	id_of(w, 0, 5, id);
	assert_memory_equal(w->peer[0].want, id, RECORD_ID_LEN);
	send_record(w, 0, 0, 5, 100);
	assert_int_equal(w->hops[0].metric, 110);
	/* And we answer such a question. */
	world_run(w, 100);
	w->peer[1].records = 0;
	peer_start(w, 1);
	control_put_want(&msg.w, &msg.run, id);
	peer_deliver(w, 1);
	world_run(w, 50);
	assert_int_equal(w->peer[1].records, 1);
	assert_int_equal(w->peer[1].last_metric, 110);
}

static void pending_is_bounded(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 400; i++) {
		uint8_t id[RECORD_ID_LEN] = { 9, (uint8_t)i, (uint8_t)(i >> 8) };

		peer_start(w, 0);
		control_put_update(&msg.w, &msg.run, id, 100);
		peer_deliver(w, 0);
	}
	assert_int_equal(core_stats(w)->drop_pending_full, 400 - 256);
	world_run(w, 200000);				/* asked five times, then forgotten */
	assert_int_equal(route_deadline(w->core) > w->now + 100, true);
	assert_in_range(w->peer[0].wants, 256 * 5, 256 * 5);
}

static void retraction(void **state)
{
	struct world *w = *state;
	uint64_t t;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 100);
	t = w->now;
	send_update(w, 0, 0, 5, ROUTE_INFINITY);
	assert_int_equal(w->uninstalls, 1);
	world_run(w, 3);				/* urgent: within milliseconds */
	assert_int_equal(w->peer[1].retractions, 1);
	assert_true(w->now - t < 10);
}

static void backups_are_feasible_only(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);		/* total 110 = our feasibility distance */
	send_record(w, 1, 0, 5, 109);		/* 109 < 110: may be a backup */
	assert_int_equal(w->n_hops, 2);
	assert_int_equal(w->hops[1].neigh, 1);
	assert_int_equal(w->hops[1].metric, 129);
	send_update(w, 1, 0, 5, 110);		/* may lead through us */
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(core_stats(w)->infeasible, 1);
	send_update(w, 1, 0, 5, 105);
	assert_int_equal(w->n_hops, 2);
	/* A better primary lowers the distance: the backup goes before that is told. */
	world_run(w, 11000);
	send_update(w, 0, 0, 5, 40);
	assert_int_equal(w->n_hops, 1);
	/* The backup takes over at once when the neighbour is lost. */
	send_update(w, 1, 0, 5, 45);
	assert_int_equal(w->n_hops, 2);
	assert_int_equal(route_neigh_down(w->core, w->now, 0), 0);
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(w->hops[0].neigh, 1);
	assert_int_equal(w->uninstalls, 0);
}

static void hysteresis(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);		/* 110 */
	send_record(w, 1, 0, 5, 85);		/* 105: not worth it yet */
	assert_int_equal(core_info(w, 0).hops[0].neigh, 0);
	world_run(w, 9000);
	assert_int_equal(core_info(w, 0).hops[0].neigh, 0);
	world_run(w, 2000);				/* after 10 s it is */
	assert_int_equal(core_info(w, 0).hops[0].neigh, 1);
	send_update(w, 0, 0, 5, 20);		/* 30: much better, at once */
	assert_int_equal(core_info(w, 0).hops[0].neigh, 0);
}

static void starving_asks_for_a_sequence(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 100);
	send_record(w, 1, 0, 5, 200);		/* infeasible */
	send_update(w, 0, 0, 5, ROUTE_INFINITY);
	assert_int_equal(w->n_hops, 0);
	assert_int_equal(core_stats(w)->starved, 1);
	world_run(w, 50);
	assert_int_equal(w->peer[1].seqreqs, 1);
	assert_int_equal(w->peer[1].seqreq_sequence, 6);
	assert_int_equal(w->peer[1].seqreq_hops, 64);
	send_record(w, 1, 0, 6, 200);		/* the origin answered */
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(w->hops[0].metric, 220);
}

/* Without an answer: once all acknowledged the loss and a hold time passed. */
static void distance_is_forgotten_after_acknowledged_loss(void **state)
{
	struct world *w = *state;

	peer_join(w, 2, 10);
	send_record(w, 0, 0, 5, 100);
	world_run(w, 100);
	send_record(w, 1, 0, 5, 200);
	world_run(w, 100);
	w->peer[2].mute = true;			/* still holds our old promise, for all we know */
	send_update(w, 0, 0, 5, ROUTE_INFINITY);
	world_run(w, 30000);
	assert_int_equal(w->n_hops, 0);
	w->peer[2].mute = false;
	peer_ack(w, 2);
	world_run(w, 12000);
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(core_stats(w)->fd_resets, 1);
	assert_true(w->peer[1].seqreqs >= 3 && w->peer[1].seqreqs <= 8);
}

static void request(struct world *w, unsigned int i, unsigned int key, uint64_t seq, uint8_t hops)
{
	peer_start(w, i);
	control_put_seqreq(&msg.w, &msg.run, &w->key[key].address, seq, hops);
	peer_deliver(w, i);
}

static void request_reaches_the_origin(void **state)
{
	struct world *w = *state;

	local_add(w, 2, 10, 0, 0);
	world_run(w, 100);
	assert_int_equal(w->peer[0].records, 1);
	assert_int_equal(w->peer[0].last_metric, 0);
	request(w, 0, 2, 10, 5);		/* has it already */
	assert_int_equal(w->asks, 0);
	request(w, 0, 2, UINT64_MAX, 5);	/* a liar cannot use up the numbers */
	assert_int_equal(w->asks, 1);
	assert_int_equal(w->ask_sequence, 11);
	request(w, 1, 2, 11, 5);
	assert_int_equal(w->asks, 1);		/* limited */
	assert_int_equal(core_stats(w)->drop_seqreq_limited, 1);
	local_add(w, 2, 11, 0, 0);
	world_run(w, 100);
	assert_int_equal(w->peer[0].records, 2);
	assert_int_equal(w->peer[0].last_record[15], 11);
}

static void request_is_passed_on_once(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 2000);
	request(w, 1, 0, 6, 9);
	request(w, 1, 0, 6, 9);
	world_run(w, 50);
	assert_int_equal(w->peer[0].seqreqs, 1);
	assert_int_equal(w->peer[0].seqreq_hops, 8);
	assert_int_equal(core_stats(w)->drop_seqreq_limited, 1);
	request(w, 1, 0, 7, 1);
	assert_int_equal(core_stats(w)->drop_seqreq_hops, 1);
}

static void own_address_rules(void **state)
{
	struct world *w = *state;

	local_add(w, 2, 10, 0, 0);
	local_add(w, 2, 10, 0, -ESTALE);
	local_add(w, 2, 9, 0, -ESTALE);
	assert_int_equal(core_info(w, 2).local, true);
	assert_int_equal(core_info(w, 2).metric, 0);
	/* Refresh at half the lifetime, repeated until answered. */
	world_run(w, 1790000);
	assert_int_equal(w->asks, 0);
	world_run(w, 20000);
	assert_int_equal(w->asks, 1);
	world_run(w, 60000);
	assert_true(w->asks >= 2);
	local_add(w, 2, 11, RECORD_WITHDRAWN, 0);
	world_run(w, 50);
	assert_int_equal(w->peer[0].last_metric, ROUTE_INFINITY);
	assert_int_equal(w->peer[0].last_record[1], RECORD_WITHDRAWN);
	/* A newer record of ours from elsewhere: we are told to go above it. */
	local_add(w, 3, 10, 0, 0);
	w->asks = 0;
	send_record(w, 0, 3, 50, 5);
	assert_int_equal(w->asks, 1);
	assert_int_equal(w->ask_sequence, 51);
	assert_int_equal(route_sequence(w->core, &w->key[3].address), 50);
	assert_int_equal(route_local_remove(w->core, w->now, &w->key[3].address), 0);
	assert_int_equal(route_local_remove(w->core, w->now, &w->key[3].address), -ENOENT);
}

static void lifetime_ends(void **state)
{
	struct world *w = *state;
	size_t n, bytes;

	peer_start(w, 0);
	put_record(w, 0, 5, 100, 60, 0);
	peer_deliver(w, 0);
	world_run(w, 59000);
	assert_int_equal(w->n_hops, 1);
	world_run(w, 1500);
	assert_int_equal(w->n_hops, 0);
	peer_start(w, 1);				/* a replay does not revive it */
	put_record(w, 0, 5, 100, 60, 0);
	peer_deliver(w, 1);
	assert_int_equal(w->n_hops, 0);
	assert_int_equal(route_neigh_down(w->core, w->now, 0), 0);
	assert_int_equal(route_neigh_down(w->core, w->now, 1), 0);
	world_run(w, 60000);
	route_usage(w->core, &n, &bytes);
	assert_int_equal(n, 0);			/* and then it is forgotten */
}

static void stable_is_silent(void **state)
{
	struct world *w = *state;
	unsigned int before;

	send_record(w, 0, 0, 5, 100);
	local_add(w, 2, 10, 0, 0);
	world_run(w, 5000);
	before = w->peer[0].frames + w->peer[1].frames;
	world_run(w, 45000);
	assert_int_equal(w->peer[0].frames + w->peer[1].frames, before);
	world_run(w, 70000);
	assert_in_range(w->peer[0].digests, 1, 2);
	assert_in_range(w->peer[0].frames + w->peer[1].frames - before, 2, 4);
}

static void wrong_digest_causes_resync(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	world_run(w, 10000);
	peer_start(w, 0);
	control_put_digest(&msg.w, &msg.run, (uint8_t[16]){ 1 });
	peer_deliver(w, 0);
	world_run(w, 50);
	assert_int_equal(w->peer[0].resyncs, 1);
	assert_int_equal(core_stats(w)->resyncs, 1);
	/* The answer: everything again; what is missing in it is gone at END. */
	peer_start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_BEGIN);
	put_record(w, 1, 5, 100, 3600, 0);
	peer_deliver(w, 0);
	assert_int_equal(core_info(w, 0).stale, true);
	assert_int_equal(core_info(w, 0).n_hops, 1);
	peer_start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_END);
	peer_deliver(w, 0);
	assert_int_equal(core_info(w, 0).n_hops, 0);
	assert_int_equal(core_info(w, 1).n_hops, 1);
	/* And our own answer. */
	world_run(w, 6000);
	w->peer[1].ends = 0;
	w->peer[1].records = 0;
	peer_start(w, 1);
	control_put_resync(&msg.w, &msg.run);
	peer_deliver(w, 1);
	world_run(w, 100);
	assert_int_equal(w->peer[1].ends, 1);
	assert_int_equal(w->peer[1].records, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(learns_and_passes_on),
		T(bad_signature),
		T(older_sequence),
		T(newer_record_is_told_to_the_late),
		T(truncations_of_every_length),
		T(wrong_version_and_stranger),
		T(unknown_tlv_is_skipped),
		T(reorder_duplicate_loss),
		T(retransmits_with_backoff),
		T(unknown_id_is_wanted),
		T(pending_is_bounded),
		T(retraction),
		T(backups_are_feasible_only),
		T(hysteresis),
		T(starving_asks_for_a_sequence),
		T(distance_is_forgotten_after_acknowledged_loss),
		T(request_reaches_the_origin),
		T(request_is_passed_on_once),
		T(own_address_rules),
		T(lifetime_ends),
		T(stable_is_silent),
		T(wrong_digest_causes_resync),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
