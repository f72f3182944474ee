// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "unit/route_world.h"

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

const struct route_ops world_ops = {
	.send = op_send,
	.install = op_install,
	.uninstall = op_uninstall,
	.seen = op_seen,
	.want_sequence = op_want,
	.member = op_member,
	.want_member = op_want_member,
};

struct message msg;

void peer_begin(struct peer *p, uint32_t seq)
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

void peer_start(struct world *w, unsigned int i)
{
	peer_begin(&w->peer[i], ++w->peer[i].seq);
}

void peer_deliver(struct world *w, unsigned int i)
{
	route_input(w->core, w->now, i, msg.bytes, wire_len(&msg.w));
}

void peer_ack(struct world *w, unsigned int i)
{
	peer_begin(&w->peer[i], 0);
	peer_deliver(w, i);
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

void world_run(struct world *w, uint64_t ms)
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

void peer_join(struct world *w, unsigned int i, uint16_t cost)
{
	struct peer *p = &w->peer[i];

	p->epoch += 0x1000 + i;
	p->seq = 0;
	p->rx_next = 1;
	assert_int_equal(route_neigh_up(w->core, w->now, i, cost, 0), 0);
	world_run(w, 5);			/* HELLO tells the core's epoch */
	assert_true(p->core_epoch != 0);
	peer_start(w, i);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_BEGIN);
	control_put_dump(&msg.w, &msg.run, CONTROL_DUMP_END);
	peer_deliver(w, i);
	world_run(w, 100);
	assert_true(p->core_flags & CONTROL_ADOPTED);
}

struct world *world_new(const struct route_config *cfg)
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
	w->core = route_new(&c, &world_ops, w, w->now);
	assert_non_null(w->core);
	return w;
}

int core_setup(void **state)
{
	struct world *w;

	if (sodium_init() < 0)
		return -1;
	w = world_new(NULL);
	*state = w;
	peer_join(w, 0, 10);
	peer_join(w, 1, 20);
	return 0;
}

int core_teardown(void **state)
{
	struct world *w = *state;

	route_free(w->core);
	free(w);
	return 0;
}

const struct route_stats *core_stats(const struct world *w)
{
	return route_stats(w->core);
}

void put_record(struct world *w, unsigned int key, uint64_t seq, uint16_t metric,
		uint32_t life, uint8_t flags)
{
	uint8_t rec[RECORD_LEN];

	assert_int_equal(record_build(rec, w->key[key].secret, seq, life, flags), 0);
	assert_true(control_put_record(&msg.w, &msg.run, rec, life, metric));
}

void send_record(struct world *w, unsigned int i, unsigned int key, uint64_t seq,
		 uint16_t metric)
{
	peer_start(w, i);
	put_record(w, key, seq, metric, 3600, 0);
	peer_deliver(w, i);
}

void id_of(struct world *w, unsigned int key, uint64_t seq, uint8_t id[RECORD_ID_LEN])
{
	uint8_t rec[RECORD_LEN];

	record_build(rec, w->key[key].secret, seq, 3600, 0);
	record_id(rec, id);
}

void send_update(struct world *w, unsigned int i, unsigned int key, uint64_t seq,
		 uint16_t metric)
{
	uint8_t id[RECORD_ID_LEN];

	id_of(w, key, seq, id);
	peer_start(w, i);
	control_put_update(&msg.w, &msg.run, id, metric);
	peer_deliver(w, i);
}

struct route_info core_info(struct world *w, unsigned int key)
{
	struct route_info out;

	memset(&out, 0, sizeof(out));
	out.metric = ROUTE_INFINITY;
	route_get(w->core, w->now, &w->key[key].address, &out);
	return out;
}

void local_add(struct world *w, unsigned int key, uint64_t seq, uint8_t flags, int expect)
{
	uint8_t rec[RECORD_LEN];

	record_build(rec, w->key[key].secret, seq, 3600, flags);
	assert_int_equal(route_local_add(w->core, w->now, rec), expect);
}
