// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The routing core from the outside: bytes in, ops out. The peers here are hand-made:
 * they speak the channel just far enough to send exactly what a test wants.
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

#include "ratmand/route/control.h"
#include "ratmand/route/route.h"

#define PEERS 3
#define KEYS 8

struct key {
	struct address address;
	uint8_t secret[64];
};

struct peer {
	uint32_t epoch, core_epoch, seq, rx_next;
	uint8_t flags;			/* added to what it sends */
	bool mute;			/* acknowledges nothing */
	/* What it heard. */
	unsigned int frames, records, updates, retractions, wants, seqreqs, digests, resyncs, ends;
	uint8_t last_record[RECORD_LEN], last_id[RECORD_ID_LEN], want[RECORD_ID_LEN];
	uint16_t last_metric;
	uint64_t seqreq_sequence;
	uint8_t seqreq_hops, core_flags;
	uint32_t core_ack;
	unsigned int presences, sums, member_asks;
	uint8_t last_presence[PRESENCE_LEN];
	uint32_t last_remaining;
	uint16_t member_ask;
};

struct world {
	struct route_core *core;
	uint64_t now;
	struct peer peer[PEERS];
	struct key key[KEYS];
	/* Last ops. */
	unsigned int installs, uninstalls, seens, asks;
	struct route_hop hops[ROUTE_HOPS_MAX];
	size_t n_hops;
	uint8_t cookie[ROUTE_COOKIE_LEN];
	struct address ask_address;
	uint64_t ask_sequence, seen_sequence;
	unsigned int joined, left, member_wants;
	uint64_t member_want;
	uint8_t out[PEERS][64][CONTROL_MTU_MAX];	/* frames on their way to peers */
	size_t out_len[PEERS][64];
	unsigned int n_out[PEERS];
};

static void op_send(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len)
{
	struct world *w = ctx;
	unsigned int at = w->n_out[neigh];

	assert_true(neigh < PEERS && len <= CONTROL_MTU_MAX);
	if (at == 64)
		return;
	memcpy(w->out[neigh][at], bytes, len);
	w->out_len[neigh][at] = len;
	w->n_out[neigh]++;
}

static void op_install(void *ctx, const struct address *address, const struct route_hop *hops,
		       size_t n, const uint8_t *cookie, size_t cookie_len)
{
	struct world *w = ctx;

	(void)address;
	assert_int_equal(cookie_len, ROUTE_COOKIE_LEN);
	assert_true(n >= 1 && n <= ROUTE_HOPS_MAX);
	memcpy(w->hops, hops, n * sizeof(*hops));
	memcpy(w->cookie, cookie, cookie_len);
	w->n_hops = n;
	w->installs++;
}

static void op_uninstall(void *ctx, const struct address *address)
{
	struct world *w = ctx;

	(void)address;
	w->n_hops = 0;
	w->uninstalls++;
}

static void op_seen(void *ctx, const struct address *address, uint64_t sequence)
{
	struct world *w = ctx;

	(void)address;
	w->seen_sequence = sequence;
	w->seens++;
}

static void op_want(void *ctx, const struct address *address, uint64_t sequence)
{
	struct world *w = ctx;

	w->ask_address = *address;
	w->ask_sequence = sequence;
	w->asks++;
}

static void op_member(void *ctx, const struct address *space, const struct address *member,
		      bool up)
{
	struct world *w = ctx;

	(void)space;
	(void)member;
	w->joined += up;
	w->left += !up;
}

static void op_want_member(void *ctx, const struct address *space, const struct address *member,
			   uint64_t sequence)
{
	struct world *w = ctx;

	(void)space;
	(void)member;
	w->member_wants++;
	w->member_want = sequence;
}

static const struct route_ops ops = {
	.send = op_send,
	.install = op_install,
	.uninstall = op_uninstall,
	.seen = op_seen,
	.want_sequence = op_want,
	.member = op_member,
	.want_member = op_want_member,
};

static struct message {
	uint8_t bytes[CONTROL_MTU_MAX];
	struct wire_writer w;
	struct control_run run;
} msg;

static void begin(struct peer *p, uint32_t seq)
{
	struct control_header h = {
		.flags = (uint8_t)(CONTROL_ADOPTED | p->flags),
		.epoch = p->epoch,
		.peer_epoch = p->core_epoch,
		.seq = seq,
		.ack = p->rx_next,
	};

	wire_write_init(&msg.w, msg.bytes, sizeof(msg.bytes));
	control_put_header(&msg.w, &h);
	memset(&msg.run, 0, sizeof(msg.run));
}

static void start(struct world *w, unsigned int i)
{
	begin(&w->peer[i], ++w->peer[i].seq);
}

static void deliver(struct world *w, unsigned int i)
{
	route_input(w->core, w->now, i, msg.bytes, wire_len(&msg.w));
}

static void peer_ack(struct world *w, unsigned int i)
{
	begin(&w->peer[i], 0);
	deliver(w, i);
}

/* A peer reads one frame: it acknowledges and remembers. */
static bool peer_read(struct peer *p, const uint8_t *bytes, size_t len)
{
	static struct control_message m;

	assert_int_equal(control_parse(bytes, len, &m), CONTROL_OK);
	p->frames++;
	p->core_epoch = m.header.epoch;
	p->core_flags = m.header.flags;
	p->core_ack = m.header.ack;
	if (m.header.seq != p->rx_next || m.header.peer_epoch != p->epoch)
		return false;
	p->rx_next++;
	for (size_t k = 0; k < m.n_items; k++) {
		const struct control_item *it = &m.items[k];

		switch (it->type) {
		case CONTROL_UPDATE:
			p->updates++;
			memcpy(p->last_id, it->update.id, RECORD_ID_LEN);
			p->last_metric = it->update.metric;
			p->retractions += it->update.metric == ROUTE_INFINITY;
			break;
		case CONTROL_RECORD:
			p->records++;
			memcpy(p->last_record, it->record.bytes, RECORD_LEN);
			p->last_metric = it->record.metric;
			break;
		case CONTROL_WANT:
			p->wants++;
			memcpy(p->want, it->want, RECORD_ID_LEN);
			break;
		case CONTROL_SEQREQ:
			p->seqreqs++;
			p->seqreq_sequence = it->seqreq.sequence;
			p->seqreq_hops = it->seqreq.hops;
			break;
		case CONTROL_DUMP:
			p->ends += it->dump == CONTROL_DUMP_END;
			break;
		case CONTROL_DIGEST:
			p->digests++;
			break;
		case CONTROL_RESYNC:
			p->resyncs++;
			break;
		case CONTROL_PRESENCE:
			p->presences++;
			memcpy(p->last_presence, it->presence.bytes, PRESENCE_LEN);
			p->last_remaining = it->presence.remaining_s;
			break;
		case CONTROL_MEMBER_SUMS:
			p->sums++;
			break;
		case CONTROL_MEMBER_ASK:
			p->member_asks++;
			p->member_ask = it->member_ask;
			break;
		}
	}
	return true;
}

/* Time passes; peers read and acknowledge what comes. */
static void run(struct world *w, uint64_t ms)
{
	uint64_t until = w->now + ms;

	for (;;) {
		uint64_t at = route_deadline(w->core);

		if (at > until)
			break;
		if (at > w->now)
			w->now = at;
		route_tick(w->core, w->now);
		for (unsigned int i = 0; i < PEERS; i++) {
			unsigned int n = w->n_out[i];
			bool news = false;

			for (unsigned int k = 0; k < n; k++)
				news |= peer_read(&w->peer[i], w->out[i][k], w->out_len[i][k]);
			w->n_out[i] = 0;
			if (news && !w->peer[i].mute)
				peer_ack(w, i);
		}
	}
	w->now = until;
	route_tick(w->core, w->now);
}

static void join(struct world *w, unsigned int i, uint16_t cost)
{
	struct peer *p = &w->peer[i];

	p->epoch += 0x1000 + i;
	p->seq = 0;
	p->rx_next = 1;
	assert_int_equal(route_neigh_up(w->core, w->now, i, cost, 0), 0);
	run(w, 5);			/* HELLO tells the core's epoch */
	assert_true(p->core_epoch != 0);
	start(w, i);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_BEGIN);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_END);
	deliver(w, i);
	run(w, 100);
	assert_true(p->core_flags & CONTROL_ADOPTED);
}

static struct world *world_new(const struct route_config *cfg)
{
	struct route_config c = { .seed = 1 };
	struct world *w = calloc(1, sizeof(*w));

	if (cfg)
		c = *cfg;
	w->now = 1000;
	for (unsigned int i = 0; i < KEYS; i++) {
		uint8_t seed[32] = { (uint8_t)(i + 1) };

		crypto_sign_ed25519_seed_keypair(w->key[i].address.b, w->key[i].secret, seed);
	}
	w->core = route_new(&c, &ops, w, w->now);
	assert_non_null(w->core);
	return w;
}

static int setup(void **state)
{
	struct world *w;

	if (sodium_init() < 0)
		return -1;
	w = world_new(NULL);
	*state = w;
	join(w, 0, 10);
	join(w, 1, 20);
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	route_free(w->core);
	free(w);
	return 0;
}

static const struct route_stats *stats(const struct world *w)
{
	return route_stats(w->core);
}

static void put_record(struct world *w, unsigned int key, uint64_t seq, uint16_t metric,
		       uint32_t life, uint8_t flags)
{
	uint8_t rec[RECORD_LEN];

	assert_int_equal(record_build(rec, w->key[key].secret, seq, life, flags), 0);
	assert_true(control_put_record(&msg.w, &msg.run, rec, life, metric));
}

static void send_record(struct world *w, unsigned int i, unsigned int key, uint64_t seq,
			uint16_t metric)
{
	start(w, i);
	put_record(w, key, seq, metric, 3600, 0);
	deliver(w, i);
}

static void id_of(struct world *w, unsigned int key, uint64_t seq, uint8_t id[RECORD_ID_LEN])
{
	uint8_t rec[RECORD_LEN];

	record_build(rec, w->key[key].secret, seq, 3600, 0);
	record_id(rec, id);
}

static void send_update(struct world *w, unsigned int i, unsigned int key, uint64_t seq,
			uint16_t metric)
{
	uint8_t id[RECORD_ID_LEN];

	id_of(w, key, seq, id);
	start(w, i);
	control_put_update(&msg.w, &msg.run, id, metric);
	deliver(w, i);
}

static struct route_info info(struct world *w, unsigned int key)
{
	struct route_info out;

	memset(&out, 0, sizeof(out));
	out.metric = ROUTE_INFINITY;
	route_get(w->core, w->now, &w->key[key].address, &out);
	return out;
}

static void local(struct world *w, unsigned int key, uint64_t seq, uint8_t flags, int expect)
{
	uint8_t rec[RECORD_LEN];

	record_build(rec, w->key[key].secret, seq, 3600, flags);
	assert_int_equal(route_local_add(w->core, w->now, rec), expect);
}

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
	run(w, 100);
	assert_int_equal(w->peer[1].records, 1);
	assert_int_equal(w->peer[1].last_metric, 110);
	assert_int_equal(w->peer[0].records, 0);	/* split horizon */
	assert_int_equal(w->peer[0].updates, 0);
	assert_int_equal(stats(w)->records_verified, 1);
	/* Once verified, the same record costs no second check. */
	send_record(w, 1, 0, 5, 50);
	assert_int_equal(stats(w)->records_verified, 1);
}

static void bad_signature(void **state)
{
	struct world *w = *state;

	start(w, 0);
	put_record(w, 0, 5, 100, 3600, 0);
	msg.bytes[wire_len(&msg.w) - 1] ^= 1;
	deliver(w, 0);
	assert_int_equal(stats(w)->drop_signature, 1);
	assert_int_equal(w->installs, 0);
	assert_int_equal(w->seens, 0);
	run(w, 200);
	assert_int_equal(w->peer[1].records, 0);
}

static void older_sequence(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	run(w, 100);
	send_record(w, 1, 0, 4, 1);
	assert_int_equal(stats(w)->drop_older_sequence, 1);
	assert_int_equal(info(w, 0).hops[0].neigh, 0);
	assert_int_equal(info(w, 0).n_known, 1);
	/* Below what was persisted, too. */
	assert_int_equal(route_seen(w->core, w->now, &w->key[1].address, 9), 0);
	send_record(w, 1, 1, 8, 1);
	assert_int_equal(stats(w)->drop_older_sequence, 2);
	send_record(w, 1, 1, 9, 1);
	assert_int_equal(info(w, 1).metric, 21);
}

static void newer_record_is_told_to_the_late(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	run(w, 20000);
	join(w, 2, 10);
	w->peer[1].records = 0;
	start(w, 0);				/* withdrawn */
	put_record(w, 0, 6, ROUTE_INFINITY, 3600, RECORD_WITHDRAWN);
	deliver(w, 0);
	run(w, 100);
	assert_int_equal(w->uninstalls, 1);
	assert_int_equal(w->peer[1].records, 1);	/* vanishes at once everywhere */
	assert_int_equal(w->peer[1].last_metric, ROUTE_INFINITY);
	assert_int_equal(route_neigh_down(w->core, w->now, 2), 0);
	join(w, 2, 10);
	w->peer[2].records = 0;
	send_record(w, 2, 0, 5, 1);		/* from a partition that missed it */
	run(w, 100);
	assert_int_equal(w->peer[2].records, 1);
	assert_int_equal(w->peer[2].last_record[1], RECORD_WITHDRAWN);
	assert_int_equal(info(w, 0).metric, ROUTE_INFINITY);
}

static void truncations_of_every_length(void **state)
{
	struct world *w = *state;
	size_t len;

	start(w, 0);
	put_record(w, 0, 5, 100, 3600, 0);
	put_record(w, 1, 5, 100, 3600, 0);
	len = wire_len(&msg.w);
	for (size_t cut = 0; cut < len; cut++) {
		if (cut == CONTROL_HEADER_LEN || cut == CONTROL_HEADER_LEN + 121)
			continue;	/* shorter, but whole */
		route_input(w->core, w->now, 0, msg.bytes, cut);
	}
	assert_int_equal(stats(w)->drop_truncated, len - 2);
	assert_int_equal(w->installs, 0);
	deliver(w, 0);
	assert_int_equal(w->installs, 2);
	route_input(w->core, w->now, 0, (uint8_t[CONTROL_MTU_MAX + 1]){ 1 }, CONTROL_MTU_MAX + 1);
	assert_int_equal(stats(w)->drop_truncated, len - 1);
}

static void wrong_version_and_stranger(void **state)
{
	struct world *w = *state;

	begin(&w->peer[0], 0);
	msg.bytes[0] = 2;
	deliver(w, 0);
	assert_int_equal(stats(w)->drop_version, 1);
	begin(&w->peer[0], 0);
	memset(msg.bytes + 4, 0, 4);
	deliver(w, 0);
	assert_int_equal(stats(w)->drop_malformed, 1);
	begin(&w->peer[0], 0);
	route_input(w->core, w->now, 77, msg.bytes, wire_len(&msg.w));
	assert_int_equal(stats(w)->drop_unknown_neigh, 1);
}

static void unknown_tlv_is_skipped(void **state)
{
	struct world *w = *state;

	start(w, 0);
	wire_put_u8(&msg.w, 200);
	wire_put_be16(&msg.w, 3);
	wire_put(&msg.w, "abc", 3);
	put_record(w, 0, 5, 100, 3600, 0);
	deliver(w, 0);
	assert_int_equal(stats(w)->drop_unknown_tlv, 1);
	assert_int_equal(w->installs, 1);
}

static void reorder_duplicate_loss(void **state)
{
	struct world *w = *state;
	uint8_t first[CONTROL_MTU_MAX], second[CONTROL_MTU_MAX];
	size_t len1, len2;

	start(w, 0);
	put_record(w, 0, 5, 100, 3600, 0);
	len1 = wire_len(&msg.w);
	memcpy(first, msg.bytes, len1);
	start(w, 0);
	put_record(w, 0, 6, 50, 3600, 0);
	len2 = wire_len(&msg.w);
	memcpy(second, msg.bytes, len2);

	route_input(w->core, w->now, 0, second, len2);	/* waits for the first */
	assert_int_equal(w->installs, 0);
	route_input(w->core, w->now, 0, second, len2);
	assert_int_equal(stats(w)->drop_duplicate, 1);
	route_input(w->core, w->now, 0, first, len1);
	assert_int_equal(info(w, 0).sequence, 6);
	assert_int_equal(info(w, 0).metric, 60);
	route_input(w->core, w->now, 0, first, len1);
	assert_int_equal(stats(w)->drop_duplicate, 2);
	begin(&w->peer[0], w->peer[0].seq + 100);
	deliver(w, 0);
	assert_int_equal(stats(w)->drop_window, 1);
	run(w, 50);
	assert_int_equal(w->peer[0].core_ack, w->peer[0].seq + 1);
}

static void retransmits_with_backoff(void **state)
{
	struct world *w = *state;
	uint64_t before;

	run(w, 1000);
	before = stats(w)->tx_retransmits;
	w->peer[1].mute = true;
	send_record(w, 0, 0, 5, 100);
	run(w, 450);
	assert_true(stats(w)->tx_retransmits - before >= 2);
	before = stats(w)->tx_retransmits;
	run(w, 20000);
	assert_in_range(stats(w)->tx_retransmits - before, 8, 16);	/* at most every 2 s */
	w->peer[1].mute = false;
	peer_ack(w, 1);
	before = stats(w)->tx_retransmits;
	run(w, 20000);
	assert_int_equal(stats(w)->tx_retransmits, before);
}

static void unknown_id_is_wanted(void **state)
{
	struct world *w = *state;
	uint8_t id[RECORD_ID_LEN];

	send_update(w, 0, 0, 5, 100);
	assert_int_equal(w->installs, 0);
	run(w, 50);
	assert_int_equal(w->peer[0].wants, 1);
	id_of(w, 0, 5, id);
	assert_memory_equal(w->peer[0].want, id, RECORD_ID_LEN);
	send_record(w, 0, 0, 5, 100);
	assert_int_equal(w->hops[0].metric, 110);
	/* And we answer such a question. */
	run(w, 100);
	w->peer[1].records = 0;
	start(w, 1);
	control_put_want(&msg.w, &msg.run, id);
	deliver(w, 1);
	run(w, 50);
	assert_int_equal(w->peer[1].records, 1);
	assert_int_equal(w->peer[1].last_metric, 110);
}

static void pending_is_bounded(void **state)
{
	struct world *w = *state;

	for (unsigned int i = 0; i < 400; i++) {
		uint8_t id[RECORD_ID_LEN] = { 9, (uint8_t)i, (uint8_t)(i >> 8) };

		start(w, 0);
		control_put_update(&msg.w, &msg.run, id, 100);
		deliver(w, 0);
	}
	assert_int_equal(stats(w)->drop_pending_full, 400 - 256);
	run(w, 200000);				/* asked five times, then forgotten */
	assert_int_equal(route_deadline(w->core) > w->now + 100, true);
	assert_in_range(w->peer[0].wants, 256 * 5, 256 * 5);
}

static void retraction(void **state)
{
	struct world *w = *state;
	uint64_t t;

	send_record(w, 0, 0, 5, 100);
	run(w, 100);
	t = w->now;
	send_update(w, 0, 0, 5, ROUTE_INFINITY);
	assert_int_equal(w->uninstalls, 1);
	run(w, 3);				/* urgent: within milliseconds */
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
	assert_int_equal(stats(w)->infeasible, 1);
	send_update(w, 1, 0, 5, 105);
	assert_int_equal(w->n_hops, 2);
	/* A better primary lowers the distance: the backup goes before that is told. */
	run(w, 11000);
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
	assert_int_equal(info(w, 0).hops[0].neigh, 0);
	run(w, 9000);
	assert_int_equal(info(w, 0).hops[0].neigh, 0);
	run(w, 2000);				/* after 10 s it is */
	assert_int_equal(info(w, 0).hops[0].neigh, 1);
	send_update(w, 0, 0, 5, 20);		/* 30: much better, at once */
	assert_int_equal(info(w, 0).hops[0].neigh, 0);
}

static void starving_asks_for_a_sequence(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	run(w, 100);
	send_record(w, 1, 0, 5, 200);		/* infeasible */
	send_update(w, 0, 0, 5, ROUTE_INFINITY);
	assert_int_equal(w->n_hops, 0);
	assert_int_equal(stats(w)->starved, 1);
	run(w, 50);
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

	join(w, 2, 10);
	send_record(w, 0, 0, 5, 100);
	run(w, 100);
	send_record(w, 1, 0, 5, 200);
	run(w, 100);
	w->peer[2].mute = true;			/* still holds our old promise, for all we know */
	send_update(w, 0, 0, 5, ROUTE_INFINITY);
	run(w, 30000);
	assert_int_equal(w->n_hops, 0);
	w->peer[2].mute = false;
	peer_ack(w, 2);
	run(w, 12000);
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(stats(w)->fd_resets, 1);
	assert_true(w->peer[1].seqreqs >= 3 && w->peer[1].seqreqs <= 8);
}

static void request(struct world *w, unsigned int i, unsigned int key, uint64_t seq, uint8_t hops)
{
	start(w, i);
	control_put_seqreq(&msg.w, &msg.run, &w->key[key].address, seq, hops);
	deliver(w, i);
}

static void request_reaches_the_origin(void **state)
{
	struct world *w = *state;

	local(w, 2, 10, 0, 0);
	run(w, 100);
	assert_int_equal(w->peer[0].records, 1);
	assert_int_equal(w->peer[0].last_metric, 0);
	request(w, 0, 2, 10, 5);		/* has it already */
	assert_int_equal(w->asks, 0);
	request(w, 0, 2, UINT64_MAX, 5);	/* a liar cannot use up the numbers */
	assert_int_equal(w->asks, 1);
	assert_int_equal(w->ask_sequence, 11);
	request(w, 1, 2, 11, 5);
	assert_int_equal(w->asks, 1);		/* limited */
	assert_int_equal(stats(w)->drop_seqreq_limited, 1);
	local(w, 2, 11, 0, 0);
	run(w, 100);
	assert_int_equal(w->peer[0].records, 2);
	assert_int_equal(w->peer[0].last_record[15], 11);
}

static void request_is_passed_on_once(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	run(w, 2000);
	request(w, 1, 0, 6, 9);
	request(w, 1, 0, 6, 9);
	run(w, 50);
	assert_int_equal(w->peer[0].seqreqs, 1);
	assert_int_equal(w->peer[0].seqreq_hops, 8);
	assert_int_equal(stats(w)->drop_seqreq_limited, 1);
	request(w, 1, 0, 7, 1);
	assert_int_equal(stats(w)->drop_seqreq_hops, 1);
}

static void own_address_rules(void **state)
{
	struct world *w = *state;

	local(w, 2, 10, 0, 0);
	local(w, 2, 10, 0, -ESTALE);
	local(w, 2, 9, 0, -ESTALE);
	assert_int_equal(info(w, 2).local, true);
	assert_int_equal(info(w, 2).metric, 0);
	/* Refresh at half the lifetime, repeated until answered. */
	run(w, 1790000);
	assert_int_equal(w->asks, 0);
	run(w, 20000);
	assert_int_equal(w->asks, 1);
	run(w, 60000);
	assert_true(w->asks >= 2);
	local(w, 2, 11, RECORD_WITHDRAWN, 0);
	run(w, 50);
	assert_int_equal(w->peer[0].last_metric, ROUTE_INFINITY);
	assert_int_equal(w->peer[0].last_record[1], RECORD_WITHDRAWN);
	/* A newer record of ours from elsewhere: we are told to go above it. */
	local(w, 3, 10, 0, 0);
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

	start(w, 0);
	put_record(w, 0, 5, 100, 60, 0);
	deliver(w, 0);
	run(w, 59000);
	assert_int_equal(w->n_hops, 1);
	run(w, 1500);
	assert_int_equal(w->n_hops, 0);
	start(w, 1);				/* a replay does not revive it */
	put_record(w, 0, 5, 100, 60, 0);
	deliver(w, 1);
	assert_int_equal(w->n_hops, 0);
	assert_int_equal(route_neigh_down(w->core, w->now, 0), 0);
	assert_int_equal(route_neigh_down(w->core, w->now, 1), 0);
	run(w, 60000);
	route_usage(w->core, &n, &bytes);
	assert_int_equal(n, 0);			/* and then it is forgotten */
}

static void stable_is_silent(void **state)
{
	struct world *w = *state;
	unsigned int before;

	send_record(w, 0, 0, 5, 100);
	local(w, 2, 10, 0, 0);
	run(w, 5000);
	before = w->peer[0].frames + w->peer[1].frames;
	run(w, 45000);
	assert_int_equal(w->peer[0].frames + w->peer[1].frames, before);
	run(w, 70000);
	assert_in_range(w->peer[0].digests, 1, 2);
	assert_in_range(w->peer[0].frames + w->peer[1].frames - before, 2, 4);
}

static void wrong_digest_causes_resync(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	run(w, 10000);
	start(w, 0);
	control_put_digest(&msg.w, &msg.run, (uint8_t[16]){ 1 });
	deliver(w, 0);
	run(w, 50);
	assert_int_equal(w->peer[0].resyncs, 1);
	assert_int_equal(stats(w)->resyncs, 1);
	/* The answer: everything again; what is missing in it is gone at END. */
	start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_BEGIN);
	put_record(w, 1, 5, 100, 3600, 0);
	deliver(w, 0);
	assert_int_equal(info(w, 0).stale, true);
	assert_int_equal(info(w, 0).n_hops, 1);
	start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_END);
	deliver(w, 0);
	assert_int_equal(info(w, 0).n_hops, 0);
	assert_int_equal(info(w, 1).n_hops, 1);
	/* And our own answer. */
	run(w, 6000);
	w->peer[1].ends = 0;
	w->peer[1].records = 0;
	start(w, 1);
	control_put_resync(&msg.w, &msg.run);
	deliver(w, 1);
	run(w, 100);
	assert_int_equal(w->peer[1].ends, 1);
	assert_int_equal(w->peer[1].records, 1);
}

/* Two cores joined directly: their digests agree, whatever happened. */
struct pair {
	struct route_core *core[2];
	uint64_t now;
	struct { uint8_t bytes[CONTROL_MTU_MAX]; size_t len; } q[2][256];
	unsigned int n[2];
};

static struct pair *pair;

static void pair_send(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len)
{
	unsigned int to = ctx == &pair->n[0] ? 1 : 0;

	(void)neigh;
	if (pair->n[to] == 256)
		return;
	memcpy(pair->q[to][pair->n[to]].bytes, bytes, len);
	pair->q[to][pair->n[to]++].len = len;
}

static void pair_install(void *ctx, const struct address *address, const struct route_hop *hops,
			 size_t n, const uint8_t *cookie, size_t cookie_len)
{
	(void)ctx; (void)address; (void)hops; (void)n; (void)cookie; (void)cookie_len;
}

static void pair_uninstall(void *ctx, const struct address *address)
{
	(void)ctx; (void)address;
}

static void pair_want(void *ctx, const struct address *address, uint64_t sequence)
{
	(void)ctx; (void)address; (void)sequence;
}

static void pair_run(uint64_t ms)
{
	for (uint64_t end = pair->now + ms; pair->now < end; pair->now++) {
		for (unsigned int i = 0; i < 2; i++) {
			unsigned int n = pair->n[i];

			for (unsigned int k = 0; k < n; k++)
				route_input(pair->core[i], pair->now, 0, pair->q[i][k].bytes,
					    pair->q[i][k].len);
			pair->n[i] = 0;
			if (route_deadline(pair->core[i]) <= pair->now)
				route_tick(pair->core[i], pair->now);
		}
	}
}

static void digests_agree(void **state)
{
	struct route_ops pops = {
		.send = pair_send, .install = pair_install, .uninstall = pair_uninstall,
		.want_sequence = pair_want,
	};
	struct world *w = *state;
	uint8_t rec[RECORD_LEN];

	pair = calloc(1, sizeof(*pair));
	for (unsigned int i = 0; i < 2; i++) {
		struct route_config cfg = { .seed = i + 1, .digest_ms = 1000 };

		pair->core[i] = route_new(&cfg, &pops, &pair->n[i], 0);
		route_neigh_up(pair->core[i], 0, 0, 10, 0);
	}
	for (unsigned int k = 0; k < KEYS; k++) {
		record_build(rec, w->key[k].secret, 5, 3600, 0);
		route_local_add(pair->core[k & 1], pair->now, rec);
		pair_run(30);
	}
	record_build(rec, w->key[1].secret, 6, 3600, 0);
	route_local_add(pair->core[1], pair->now, rec);
	record_build(rec, w->key[0].secret, 6, 3600, RECORD_WITHDRAWN);
	route_local_add(pair->core[0], pair->now, rec);
	route_local_remove(pair->core[0], pair->now, &w->key[2].address);
	pair_run(20000);
	for (unsigned int i = 0; i < 2; i++) {
		struct route_neigh_info ni;

		assert_int_equal(route_stats(pair->core[i])->resyncs, 0);
		assert_int_equal(route_neigh_get(pair->core[i], 0, &ni), 0);
		assert_true(ni.connected && ni.synced);
		assert_int_equal(ni.routes, i ? 2 : 4);
		assert_true(route_stats(pair->core[i])->tx_messages > 20);
		route_free(pair->core[i]);
	}
	free(pair);
}

static void neighbour_restarts_gracefully(void **state)
{
	struct world *w = *state;
	struct peer *p = &w->peer[0];

	send_record(w, 0, 0, 5, 100);
	send_record(w, 0, 1, 5, 100);
	run(w, 1000);
	p->epoch = 0xbeef;
	p->seq = 0;
	p->rx_next = 1;
	p->flags = CONTROL_GRACEFUL;
	start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_BEGIN);
	put_record(w, 0, 5, 100, 3600, 0);
	deliver(w, 0);
	assert_int_equal(info(w, 0).n_hops, 1);
	assert_int_equal(info(w, 0).stale, false);
	assert_int_equal(info(w, 1).n_hops, 1);		/* stays in use */
	assert_int_equal(info(w, 1).stale, true);
	run(w, 50);
	assert_true(p->core_flags & CONTROL_HOLDS);
	start(w, 0);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_END);
	deliver(w, 0);
	assert_int_equal(info(w, 0).n_hops, 1);
	assert_int_equal(info(w, 1).n_hops, 0);
	run(w, 50);
	assert_false(p->core_flags & CONTROL_HOLDS);
	/* A frame of the former life changes nothing. */
	p->epoch = 0x1000;
	begin(p, 3);
	deliver(w, 0);
	assert_int_equal(stats(w)->drop_old_epoch, 1);
	/* Without END stale routes go after 15 s. */
	run(w, 300);
	p->epoch = 0xcafe;
	p->seq = 0;
	begin(p, 0);
	deliver(w, 0);
	assert_int_equal(info(w, 0).stale, true);
	run(w, 14000);
	assert_int_equal(info(w, 0).n_hops, 1);
	run(w, 1100);
	assert_int_equal(info(w, 0).n_hops, 0);
}

static void neighbour_reboots(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 100);
	run(w, 1000);
	w->peer[0].epoch = 0xbeef;
	begin(&w->peer[0], 0);			/* not graceful: knows nothing of its promises */
	deliver(w, 0);
	assert_int_equal(info(w, 0).n_hops, 0);
}

static void our_restart(void **state)
{
	struct world *w = *state, *v;
	struct route_cookie c;

	send_record(w, 0, 0, 5, 100);
	send_record(w, 0, 1, 5, 100);
	run(w, 1000);
	assert_int_equal(route_cookie_decode(w->cookie, ROUTE_COOKIE_LEN, &c), 0);
	v = world_new(NULL);
	v->peer[0].epoch = 0x1000;
	v->peer[0].rx_next = 1;
	v->peer[0].flags = CONTROL_GRACEFUL;	/* it kept its memory while we were away */
	route_neigh_up(v->core, v->now, 0, 10, 0);
	for (unsigned int k = 0; k < 2; k++)
		assert_int_equal(route_restore(v->core, v->now, &v->key[k].address, c.sequence,
					       c.metric, w->hops, w->n_hops), 0);
	assert_int_equal(v->installs, 0);	/* the kernel has them */
	assert_int_equal(info(v, 0).n_hops, 1);
	assert_int_equal(info(v, 0).stale, true);
	run(v, 10);
	assert_true(v->peer[0].core_flags & CONTROL_GRACEFUL);
	send_record(v, 0, 0, 5, 100);
	assert_int_equal(info(v, 0).stale, false);
	send_record(v, 0, 2, 5, 110);
	/* The distance survived: an equal or higher one is infeasible. */
	assert_int_equal(info(v, 0).fd_metric, 110);
	send_update(v, 0, 0, 5, 110);
	assert_int_equal(info(v, 0).n_hops, 0);
	run(v, 100);
	assert_int_equal(v->peer[0].ends, 0);	/* one route is not confirmed yet */
	run(v, 15000);
	assert_int_equal(info(v, 1).n_hops, 0);
	assert_int_equal(v->peer[0].ends, 1);
	assert_true(v->uninstalls >= 2);
	teardown((void **)&v);
}

/* A neighbour went while we were away: the kernel must not keep it as a next hop. */
static void restore_without_a_lost_hop(void **state)
{
	const struct route_hop hops[2] = { { 1, 40, 0 }, { 0, 50, 0 } };
	struct world *w = world_new(NULL);

	(void)state;
	route_neigh_up(w->core, w->now, 0, 10, 0);
	assert_int_equal(route_restore(w->core, w->now, &w->key[0].address, 5, 41, hops, 2), 0);
	assert_int_equal(w->installs, 1);
	assert_int_equal(w->n_hops, 1);
	assert_int_equal(w->hops[0].neigh, 0);
	assert_int_equal(route_restore(w->core, w->now, &w->key[0].address, 5, 41, hops, 2),
			 -EEXIST);
	assert_int_equal(route_restore(w->core, w->now, &w->key[1].address, 5, 41, hops, 1), 0);
	assert_int_equal(w->uninstalls, 1);
	assert_int_equal(route_restore(w->core, w->now, &w->key[2].address, 5, 0, hops, 1),
			 -EINVAL);
	teardown((void **)&w);
}

static void new_address_waits_while_old_promises_may_be_held(void **state)
{
	struct world *w;

	(void)state;
	w = world_new(NULL);
	w->peer[0].flags = CONTROL_HOLDS;	/* it uses what we told before our restart */
	w->peer[0].epoch = 0x1000;
	w->peer[0].rx_next = 1;
	route_neigh_up(w->core, w->now, 0, 10, 0);
	run(w, 5);
	send_record(w, 0, 0, 5, 100);
	assert_int_equal(w->installs, 0);
	w->peer[0].flags = 0;
	peer_ack(w, 0);
	assert_int_equal(w->installs, 1);
	teardown((void **)&w);
}

static void quota_belongs_to_the_neighbour(void **state)
{
	struct route_config cfg = { .seed = 1, .quota = 3, .max_addresses = 5 };
	struct world *w = world_new(&cfg);
	size_t n, bytes;

	(void)state;
	join(w, 0, 10);
	join(w, 1, 10);
	for (unsigned int k = 0; k < 5; k++)
		send_record(w, 0, k, 5, 100);
	assert_int_equal(w->installs, 3);
	assert_int_equal(stats(w)->drop_over_quota, 2);
	/* A reconnect does not give a new one … */
	route_neigh_down(w->core, w->now, 0);
	join(w, 0, 10);
	/* … but what it left behind makes room, oldest first. */
	send_record(w, 0, 3, 5, 100);
	assert_int_equal(info(w, 3).n_hops, 1);
	route_usage(w->core, &n, &bytes);
	assert_int_equal(n, 3);
	for (unsigned int k = 4; k < 8; k++)
		send_record(w, 1, k, 5, 100);
	route_usage(w->core, &n, &bytes);
	assert_true(n <= 5);
	assert_true(info(w, 4).n_hops == 1);
	teardown((void **)&w);
}

static void signature_budget(void **state)
{
	struct route_config cfg = { .seed = 1, .verify_rate = 10, .verify_burst = 16 };
	struct world *w = world_new(&cfg);
	uint32_t acked;

	(void)state;
	join(w, 0, 10);
	for (unsigned int k = 0; k < 4; k++) {	/* 4 × 6 checks: the third has to wait */
		start(w, 0);
		for (unsigned int i = 0; i < 6; i++)
			put_record(w, i, 5 + k, 100, 3600, 0);
		deliver(w, 0);
	}
	assert_int_equal(stats(w)->records_verified, 12);
	assert_true(stats(w)->defer_over_budget >= 1);
	run(w, 30);
	acked = w->peer[0].core_ack;
	assert_int_equal(acked, w->peer[0].seq - 1);	/* not acknowledged */
	run(w, 3000);
	assert_int_equal(stats(w)->records_verified, 24);
	assert_int_equal(w->peer[0].core_ack, w->peer[0].seq + 1);
	teardown((void **)&w);
}

static void flood_is_bounded(void **state)
{
	struct route_config cfg = { .seed = 1, .quota = 100, .verify_rate = 1000000,
				    .verify_burst = 1000000 };
	struct world *w = world_new(&cfg);
	size_t n, bytes;

	(void)state;
	join(w, 0, 10);
	join(w, 1, 10);
	send_record(w, 1, 0, 5, 100);
	for (unsigned int i = 0; i < 1000; i++) {
		uint8_t rec[RECORD_LEN], seed[32] = { 7, (uint8_t)i, (uint8_t)(i >> 8) };
		uint8_t id[RECORD_ID_LEN];
		struct key k;

		crypto_sign_ed25519_seed_keypair(k.address.b, k.secret, seed);
		record_build(rec, k.secret, 1, 86400, 0);
		record_id(rec, id);
		start(w, 0);
		control_put_record(&msg.w, &msg.run, rec, 86400, 1);
		if (i % 2)			/* told and taken back: tombstones count too */
			control_put_update(&msg.w, &msg.run, id, ROUTE_INFINITY);
		deliver(w, 0);
		run(w, 30);
	}
	route_usage(w->core, &n, &bytes);
	assert_true(n <= 101);
	assert_true(bytes < 200000);
	assert_true(stats(w)->drop_over_quota > 0);
	assert_int_equal(info(w, 0).n_hops, 1);
	teardown((void **)&w);
}

static void sending_is_paced(void **state)
{
	struct world *w = *state;
	uint64_t before;

	for (unsigned int i = 0; i < 1500; i++) {
		uint8_t rec[RECORD_LEN], seed[32] = { 8, (uint8_t)i, (uint8_t)(i >> 8) };
		struct key k;

		crypto_sign_ed25519_seed_keypair(k.address.b, k.secret, seed);
		record_build(rec, k.secret, 1, 86400, 0);
		assert_int_equal(route_local_add(w->core, w->now, rec), 0);
	}
	run(w, 100);				/* so far on the way to peers 0 and 1 */
	assert_int_equal(route_neigh_up(w->core, w->now, 2, 10, 2000), 0);
	before = stats(w)->tx_bytes;
	run(w, 4000);
	join(w, 2, 10);
	route_neigh_up(w->core, w->now, 2, 10, 2000);
	run(w, 60000);
	(void)before;
	assert_int_equal(w->peer[0].records, 1500);
	assert_true(w->peer[2].records >= 900 && w->peer[2].records < 1500);
	assert_true(stats(w)->tx_paced > 0);
	run(w, 60000);
	assert_int_equal(w->peer[2].records, 1500);
}

static void changes_collapse(void **state)
{
	struct world *w = *state;

	send_record(w, 0, 0, 5, 60001);
	run(w, 100);
	w->peer[1].updates = 0;
	for (unsigned int i = 0; i < 8; i++)
		send_update(w, 0, 0, 5, (uint16_t)(60000 >> i));
	run(w, 100);
	assert_int_equal(w->peer[1].updates, 1);
	assert_int_equal(w->peer[1].last_metric, (60000 >> 7) + 10);
	/* Small changes wait for ten seconds. */
	send_update(w, 0, 0, 5, (60000 >> 7) - 5);
	run(w, 5000);
	assert_int_equal(w->peer[1].updates, 1);
	run(w, 5100);
	assert_int_equal(w->peer[1].updates, 2);
	assert_int_equal(w->peer[1].last_metric, (60000 >> 7) + 5);
}

static void cookies(void **state)
{
	uint8_t bytes[ROUTE_COOKIE_LEN + 1] = { 0 };
	struct route_cookie in = { UINT64_C(0x1122334455667788), 513 }, out;

	(void)state;
	route_cookie_encode(&in, bytes);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(route_cookie_decode(bytes, len, &out),
				 len == ROUTE_COOKIE_LEN ? 0 : -EINVAL);
	assert_int_equal(out.sequence, in.sequence);
	assert_int_equal(out.metric, 513);
	bytes[1] ^= 1;
	assert_int_equal(route_cookie_decode(bytes, ROUTE_COOKIE_LEN, &out), -EINVAL);
}

static bool collect(void *ctx, const struct route_info *ri)
{
	struct address *last = ctx;

	assert_true(address_is_zero(last) || address_compare(last, &ri->address) < 0);
	*last = ri->address;
	return true;
}

static void listing_is_sorted(void **state)
{
	struct world *w = *state;
	struct address last = { { 0 } };

	for (unsigned int k = 0; k < KEYS; k++)
		send_record(w, k & 1, k, 5, 100);
	assert_int_equal(route_foreach(w->core, w->now, collect, &last), 0);
	assert_false(address_is_zero(&last));
}

static void too_many_neighbours(void **state)
{
	struct world *w = *state;
	struct route_core *core = route_new(NULL, &ops, w, 0);

	for (uint32_t i = 0; i < ROUTE_NEIGH_MAX; i++)
		assert_int_equal(route_neigh_up(core, 0, i + 1000, 1, 0), 0);
	assert_int_equal(route_neigh_up(core, 0, 5, 1, 0), -ENOSPC);
	assert_int_equal(route_neigh_down(core, 0, 1003), 0);
	assert_int_equal(route_neigh_up(core, 0, 5, 1, 0), 0);
	assert_int_equal(route_neigh_down(core, 0, 77), -ENOENT);
	assert_int_equal(route_neigh_cost(core, 0, 77, 1), -ENOENT);
	route_free(core);
}

/* ---- presences: key @space signs that key @member is a member ---- */

static void build_presence(struct world *w, unsigned int space, unsigned int member, uint64_t seq,
			   uint32_t life, uint8_t flags, uint8_t out[PRESENCE_LEN])
{
	assert_int_equal(presence_build(out, w->key[space].secret, &w->key[member].address, seq,
					life, flags), 0);
}

static void send_presence(struct world *w, unsigned int i, const uint8_t *bytes, uint32_t left)
{
	start(w, i);
	assert_true(control_put_presence(&msg.w, &msg.run, bytes, left));
	deliver(w, i);
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
	run(w, 100);
	assert_int_equal(members(w, 0), 1);
	assert_int_equal(members(w, 1), 0);
	assert_int_equal(w->joined, 1);
	assert_int_equal(w->peer[1].presences, 1);
	assert_int_equal(w->peer[0].presences, 0);	/* not back to who told it */
	assert_int_equal(w->peer[1].last_remaining, 3600);
	/* Said again by either: nothing new, one signature checked. */
	say_member(w, 1, 0, 1, 10, 0);
	say_member(w, 0, 0, 1, 10, 0);
	run(w, 100);
	assert_int_equal(stats(w)->presence_verified, 1);
	assert_int_equal(w->peer[0].presences + w->peer[1].presences, 1);
	/* A second member of it, and the same address in another namespace. */
	say_member(w, 1, 0, 2, 10, 0);
	say_member(w, 1, 3, 1, 10, 0);
	run(w, 100);
	assert_int_equal(members(w, 0), 2);
	assert_int_equal(members(w, 3), 1);
	/* A neighbour that comes later hears everything. */
	join(w, 2, 10);
	assert_int_equal(w->peer[2].presences, 3);
	/* The time that is left travels along. */
	run(w, 1800000);
	route_neigh_down(w->core, w->now, 2);
	w->peer[2].presences = 0;
	join(w, 2, 10);
	assert_int_equal(w->peer[2].presences, 3);
	assert_in_range(w->peer[2].last_remaining, 1700, 1801);
	run(w, 1900000);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->left, 3);
}

static void presence_replays(void **state)
{
	struct world *w = *state;

	say_member(w, 0, 0, 1, 10, 0);
	run(w, 100);
	/* Older, from the one who has ours already and from another: refused, and ours said again. */
	say_member(w, 1, 0, 1, 9, 0);
	run(w, 100);
	assert_int_equal(stats(w)->drop_older_sequence, 1);
	assert_int_equal(w->peer[1].presences, 2);
	assert_int_equal(members(w, 0), 1);
	/* Withdrawn; a replay does not bring it back, and hears of the withdrawal. */
	say_member(w, 0, 0, 1, 11, PRESENCE_WITHDRAWN);
	run(w, 100);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->left, 1);
	assert_int_equal(w->peer[1].presences, 3);
	assert_int_equal(w->peer[1].last_presence[1], PRESENCE_WITHDRAWN);
	say_member(w, 1, 0, 1, 10, 0);
	run(w, 100);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->peer[1].presences, 4);
	/* Another statement with the same sequence. */
	say_member(w, 1, 0, 1, 11, 0);
	run(w, 100);
	assert_int_equal(stats(w)->drop_conflict, 1);
	assert_int_equal(members(w, 0), 0);
	/* Nobody remembers a withdrawal of what he never heard. */
	say_member(w, 0, 2, 1, 5, PRESENCE_WITHDRAWN);
	run(w, 100);
	assert_int_equal(stats(w)->presence_verified, 2);
	say_member(w, 0, 0, 1, 12, 0);
	run(w, 100);
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
	run(w, 100);
	assert_int_equal(members(w, 0) + members(w, 2), 0);
	assert_true(stats(w)->drop_signature >= 7);
	assert_int_equal(w->peer[1].presences, 0);
	assert_int_equal(w->joined, 0);
	/* Impossible ones, and one whose time is over. */
	build_presence(w, 0, 1, 10, 3600, 0, p);
	p[0] = 9;
	send_presence(w, 0, p, 3600);
	assert_int_equal(stats(w)->drop_presence, 1);
	build_presence(w, 0, 1, 10, 3600, 0, p);
	send_presence(w, 0, p, 0);
	assert_int_equal(stats(w)->drop_expired, 1);
	/* A neighbour cannot lengthen what was signed. */
	send_presence(w, 0, p, UINT32_MAX);
	assert_int_equal(members(w, 0), 1);
	run(w, 3601000);
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
	run(w, 100);
	assert_int_equal(w->peer[0].presences, 1);
	assert_int_equal(w->peer[1].presences, 1);
	assert_int_equal(route_member_sequence(w->core, &w->key[0].address, &w->key[1].address), 10);
	/* Refreshed at half its lifetime, asked again until it is done. */
	run(w, 299000);
	assert_int_equal(w->member_wants, 0);
	run(w, 2000);
	assert_int_equal(w->member_wants, 1);
	assert_int_equal(w->member_want, 11);
	run(w, 31000);
	assert_int_equal(w->member_wants, 2);
	build_presence(w, 0, 1, 11, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	run(w, 100);
	assert_int_equal(w->peer[0].presences, 2);
	/* Somebody else speaks for it, even takes it back: we go above. */
	say_member(w, 0, 0, 1, 50, PRESENCE_WITHDRAWN);
	run(w, 100);
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
	run(w, 100);
	assert_int_equal(members(w, 0), 0);
	assert_int_equal(w->peer[0].last_presence[1], PRESENCE_WITHDRAWN);
	run(w, 700000);
	assert_int_equal(route_member_sequence(w->core, &w->key[0].address, &w->key[1].address), 0);
}

static void presence_quota(void **state)
{
	struct route_config cfg = { .seed = 1, .member_quota = 3, .max_members = 6 };
	struct world *w = world_new(&cfg);
	uint8_t p[PRESENCE_LEN];

	(void)state;
	join(w, 0, 10);
	join(w, 1, 10);
	for (unsigned int k = 0; k < 5; k++)
		say_member(w, 0, 7, k, 5, 0);
	assert_int_equal(members(w, 7), 3);
	assert_int_equal(stats(w)->drop_presence_quota, 2);
	/* A reconnect does not give a new one; what is withdrawn makes room. */
	route_neigh_down(w->core, w->now, 0);
	join(w, 0, 10);
	say_member(w, 0, 7, 3, 5, 0);
	assert_int_equal(members(w, 7), 3);
	say_member(w, 0, 7, 0, 6, PRESENCE_WITHDRAWN);
	say_member(w, 0, 7, 3, 5, 0);
	assert_int_equal(members(w, 7), 3);
	/* Another neighbour has a quota of its own, and the whole table has an end. */
	for (unsigned int k = 0; k < 5; k++)
		say_member(w, 1, 6, k, 5, 0);
	assert_int_equal(members(w, 6), 3);
	join(w, 2, 10);
	say_member(w, 2, 5, 1, 5, 0);
	assert_int_equal(members(w, 5), 0);
	assert_int_equal(stats(w)->drop_presence_full, 1);
	/* Our own membership finds room, and so do the other members of that namespace. */
	build_presence(w, 5, 0, 5, 600, 0, p);
	assert_int_equal(route_member_add(w->core, w->now, p), 0);
	for (unsigned int k = 1; k < 4; k++)
		say_member(w, 0, 5, k, 5, 0);
	assert_int_equal(members(w, 5), 4);
	assert_true(stats(w)->presence_evicted > 0);
	assert_true(members(w, 6) + members(w, 7) <= 3);
	teardown((void **)&w);
}

static void presence_budget(void **state)
{
	struct route_config cfg = { .seed = 1, .verify_rate = 10, .verify_burst = 16 };
	struct world *w = world_new(&cfg);

	(void)state;
	join(w, 0, 10);
	for (unsigned int k = 0; k < 4; k++) {	/* 4 × 6 checks: the third has to wait */
		uint8_t p[PRESENCE_LEN];

		start(w, 0);
		for (unsigned int i = 0; i < 6; i++) {
			build_presence(w, k, i, 5, 3600, 0, p);
			control_put_presence(&msg.w, &msg.run, p, 3600);
		}
		deliver(w, 0);
	}
	assert_int_equal(stats(w)->presence_verified, 12);
	assert_true(stats(w)->defer_over_budget >= 1);
	run(w, 3000);
	assert_int_equal(stats(w)->presence_verified, 24);
	teardown((void **)&w);
}

/* Sums that differ twice make the core ask for what lies in those buckets; once is no reason. */
static void presence_sums(void **state)
{
	struct world *w = *state;
	uint64_t wrong[CONTROL_MEMBER_BUCKETS] = { 0 };
	unsigned int before;

	run(w, 130000);
	assert_int_equal(w->peer[0].sums, 0);		/* nothing to compare costs nothing */
	say_member(w, 0, 0, 1, 10, 0);
	run(w, 130000);
	assert_true(w->peer[0].sums >= 1);
	wrong[3] = 1;
	for (int i = 0; i < 2; i++) {
		start(w, 1);
		control_put_member_sums(&msg.w, &msg.run, wrong);
		deliver(w, 1);
		run(w, 1000);
		assert_int_equal(w->peer[1].member_asks, i);
	}
	assert_true(w->peer[1].member_ask & 1u << 3);
	/* Not again for a while. */
	start(w, 1);
	control_put_member_sums(&msg.w, &msg.run, wrong);
	deliver(w, 1);
	run(w, 1000);
	assert_int_equal(w->peer[1].member_asks, 1);
	/* Asked itself, it repeats what it has, and not more often than every few seconds. */
	before = w->peer[1].presences;
	for (int i = 0; i < 3; i++) {
		start(w, 1);
		control_put_member_ask(&msg.w, &msg.run, 0xffff);
		deliver(w, 1);
		run(w, 100);
	}
	assert_int_equal(w->peer[1].presences, before + 1);
	start(w, 1);
	control_put_member_ask(&msg.w, &msg.run, 0);
	deliver(w, 1);
	run(w, 6000);
	assert_int_equal(w->peer[1].presences, before + 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(learns_and_passes_on), T(bad_signature), T(older_sequence),
		T(newer_record_is_told_to_the_late), T(truncations_of_every_length),
		T(wrong_version_and_stranger), T(unknown_tlv_is_skipped),
		T(reorder_duplicate_loss), T(retransmits_with_backoff), T(unknown_id_is_wanted),
		T(pending_is_bounded), T(retraction), T(backups_are_feasible_only), T(hysteresis),
		T(starving_asks_for_a_sequence), T(distance_is_forgotten_after_acknowledged_loss),
		T(request_reaches_the_origin), T(request_is_passed_on_once), T(own_address_rules),
		T(lifetime_ends), T(stable_is_silent), T(wrong_digest_causes_resync),
		T(digests_agree), T(neighbour_restarts_gracefully), T(neighbour_reboots),
		T(our_restart), T(restore_without_a_lost_hop), T(new_address_waits_while_old_promises_may_be_held),
		T(quota_belongs_to_the_neighbour), T(signature_budget), T(flood_is_bounded),
		T(sending_is_paced), T(changes_collapse), T(cookies), T(listing_is_sorted),
		T(too_many_neighbours),
		T(presence_has_one_encoding), T(presence_spreads_once), T(presence_replays),
		T(presence_forged), T(own_presence), T(presence_quota), T(presence_budget),
		T(presence_sums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
