// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The channel to one neighbour: reliable, in order, at most CHANNEL_WINDOW
 * messages in flight, over CONTROL frames that may be lost, doubled and reordered.
 *
 * A stream of messages is named by the pair (epoch of the sender, epoch of the
 * receiver). Each side draws its epoch at random when the neighbour comes up. An
 * epoch of the peer is adopted only from a frame that repeats our own: so the peer
 * has heard us in this life, and no delayed frame of a former one can take over.
 */
#include <string.h>

#include "ratmand/route/core.h"

#define RTO_MIN_MS 100u
#define RTO_MAX_MS 2000u
#define RTO_FIRST_MS 250u
#define ACK_DELAY_MS 20u
#define HELLO_FIRST_MS 100u
#define HELLO_MAX_MS 8000u
#define REPLY_GAP_MS 20u
#define ADOPT_GAP_MS 200u
#define BURST_SECONDS 2u

static uint64_t min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void tx_free(struct channel_tx *t)
{
	free(t->items);
	*t = (struct channel_tx){ .items = NULL };
}

void channel_clear(struct route_neigh *n)
{
	for (unsigned int i = 0; i < CHANNEL_WINDOW; i++) {
		tx_free(&n->tx[i]);
		free(n->rx[i].items);
		n->rx[i] = (struct channel_rx){ .items = NULL };
	}
	n->tx_base = 1;
	n->tx_next = 1;
	n->rx_next = 1;
	n->ack_at = NEVER;
	n->defer_at = NEVER;
	n->flush_at = NEVER;
	n->n_pending = 0;
	n->oneoff_n = 0;
	n->want_resync = false;
	n->synced = false;
	n->incomplete = false;
	n->dump = DUMP_NONE;
	n->drained = 0;
	n->clean = false;
	n->peer_adopted = false;
}

void channel_reset(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	channel_clear(n);
	do {
		n->epoch = core_random(core, UINT32_MAX) + 1;
	} while (n->epoch == 0);
	n->peer_epoch = 0;
	n->heard_epoch = 0;
	n->was_clean = false;
	n->peer_graceful = false;
	n->srtt = 0;
	n->rto = RTO_FIRST_MS;
	n->hello_wait = HELLO_FIRST_MS;
	n->hello_at = now;
	n->reply_at = 0;
	n->adopted_at = 0;
	n->digest_at = NEVER;
	n->sweep_at = n->stale ? core->started + STALE_MS : NEVER;
	n->resync_at = 0;
	n->resync_wait = 0;
}

/* ---- sending ---- */

static void tokens_refill(struct route_neigh *n, uint64_t now)
{
	int64_t max = (int64_t)n->budget * 1000 * BURST_SECONDS;

	n->tokens += (int64_t)(now - n->tokens_at) * n->budget;
	if (n->tokens > max)
		n->tokens = max;
	n->tokens_at = now;
}

static uint8_t sack_bits(const struct route_neigh *n)
{
	uint8_t bits = 0;

	for (unsigned int i = 0; i + 1 < CHANNEL_WINDOW; i++)
		if (n->rx[(n->rx_next + 1 + i) % CHANNEL_WINDOW].full)
			bits |= (uint8_t)(1u << i);
	return bits;
}

static void transmit(struct route_core *core, struct route_neigh *n, uint32_t seq,
		     const uint8_t *items, size_t len)
{
	struct control_header h = {
		.epoch = n->epoch,
		.peer_epoch = n->peer_epoch ? n->peer_epoch : n->heard_epoch,
		.seq = seq,
		.ack = n->rx_next,
		.sack = sack_bits(n),
	};
	uint8_t frame[CONTROL_MTU_MAX];
	struct wire_writer w;

	if (n->heard_epoch && n->heard_epoch != n->peer_epoch && !seq)
		h.peer_epoch = n->heard_epoch;
	if (n->peer_epoch && h.peer_epoch == n->peer_epoch)
		h.flags |= CONTROL_ADOPTED;
	if (n->stale)
		h.flags |= CONTROL_HOLDS;
	if (n->was_clean || (core->restored && n->first_epoch))
		h.flags |= CONTROL_GRACEFUL;
	wire_write_init(&w, frame, sizeof(frame));
	control_put_header(&w, &h);
	wire_put(&w, items, len);
	n->tokens -= (int64_t)wire_len(&w) * 1000;
	n->ack_at = NEVER;
	core->stats.tx_messages++;
	core->stats.tx_bytes += wire_len(&w);
	core->ops.send(core->ctx, n->id, frame, wire_len(&w));
}

static uint64_t timeout_of(const struct route_neigh *n, const struct channel_tx *t)
{
	return min64((uint64_t)n->rto << (t->tries > 5 ? 5 : t->tries - 1), RTO_MAX_MS);
}

static void send_again(struct route_core *core, uint64_t now, struct route_neigh *n,
		       struct channel_tx *t)
{
	t->sent_at = now;
	if (t->tries < UINT8_MAX)
		t->tries++;
	core->stats.tx_retransmits++;
	transmit(core, n, t->seq, t->items, t->len);
}

/* Sends new messages while there is something to say, room and budget. */
static void flush(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	uint8_t buf[CONTROL_MTU_MAX];

	while (n->tx_next - n->tx_base < CHANNEL_WINDOW) {
		struct channel_tx *t = &n->tx[n->tx_next % CHANNEL_WINDOW];
		size_t len;

		if (n->tokens <= 0) {
			core->stats.tx_paced++;
			return;		/* flush_at stays: the deadline waits for tokens */
		}
		t->items = malloc(core->cfg.mtu - CONTROL_HEADER_LEN);
		if (!t->items) {
			core->stats.drop_no_memory++;
			n->flush_at = now + RTO_MIN_MS;
			return;
		}
		len = emit_items(core, now, n, buf, core->cfg.mtu - CONTROL_HEADER_LEN);
		if (!len) {
			tx_free(t);
			break;
		}
		memcpy(t->items, buf, len);
		t->len = (uint16_t)len;
		t->seq = n->tx_next++;
		t->sent_at = now;
		t->tries = 1;
		transmit(core, n, t->seq, t->items, t->len);
	}
	n->flush_at = NEVER;
}

static bool more_to_say(const struct route_core *core, const struct route_neigh *n)
{
	return n->cursor[LIST_REACH] || n->cursor[LIST_RETRACT] || n->oneoff_n || n->want_resync ||
	       n->member_cursor || n->member_ask || n->dump == DUMP_START || (n->dump == DUMP_RUNNING && !core->unresolved);
}

/* ---- receiving ---- */

static void rtt_sample(struct route_neigh *n, uint64_t ms)
{
	uint32_t m = ms > 60000 ? 60000 : (uint32_t)ms + 1, delta;

	if (!n->srtt) {
		n->srtt = m;
		n->rttvar = m / 2;
	} else {
		delta = m > n->srtt ? m - n->srtt : n->srtt - m;
		n->rttvar = (3 * n->rttvar + delta) / 4;
		n->srtt = (7 * n->srtt + m) / 8;
	}
	n->rto = n->srtt + 4 * n->rttvar;
	if (n->rto < RTO_MIN_MS)
		n->rto = RTO_MIN_MS;
	if (n->rto > RTO_MAX_MS)
		n->rto = RTO_MAX_MS;
}

static void acked(uint64_t now, struct route_neigh *n, struct channel_tx *t)
{
	if (!t->items)
		return;
	if (t->tries == 1)
		rtt_sample(n, now - t->sent_at);
	tx_free(t);
}

static void read_acks(struct route_core *core, uint64_t now, struct route_neigh *n,
		      const struct control_header *h)
{
	uint32_t last = 0;

	if (h->ack - n->tx_base > n->tx_next - n->tx_base)
		return;		/* acknowledges what was never sent, or long ago */
	while (n->tx_base != h->ack)
		acked(now, n, &n->tx[n->tx_base++ % CHANNEL_WINDOW]);
	for (unsigned int i = 0; i + 1 < CHANNEL_WINDOW; i++) {
		uint32_t seq = h->ack + 1 + i;

		if (!(h->sack >> i & 1) || seq - n->tx_base >= n->tx_next - n->tx_base)
			continue;
		acked(now, n, &n->tx[seq % CHANNEL_WINDOW]);
		last = seq;
	}
	/* A later message arrived: what is missing before it is probably lost. */
	for (uint32_t seq = n->tx_base; last && seq != last; seq++) {
		struct channel_tx *t = &n->tx[seq % CHANNEL_WINDOW];

		if (!t->items || t->fast || now - t->sent_at < n->srtt)
			continue;
		t->fast = true;
		send_again(core, now, n, t);
	}
	if (n->tx_base == n->tx_next && emit_drained(n))
		n->drained = core->version;
	if (more_to_say(core, n) && n->flush_at > now)
		n->flush_at = now;
}

/* Reads what has arrived in order, as far as the budget for signatures goes. */
static void drain(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	n->defer_at = NEVER;
	for (;;) {
		struct channel_rx *r = &n->rx[n->rx_next % CHANNEL_WINDOW];

		if (!r->full)
			return;
		if (control_parse_items(r->items, r->len, &core->msg) == CONTROL_OK &&
		    !apply_message(core, now, n, &core->msg))
			return;
		free(r->items);
		*r = (struct channel_rx){ .items = NULL };
		n->rx_next++;
	}
}

static void receive(struct route_core *core, uint64_t now, struct route_neigh *n, uint32_t seq,
		    const uint8_t *items, size_t len)
{
	struct channel_rx *r = &n->rx[seq % CHANNEL_WINDOW];
	uint32_t ahead = seq - n->rx_next;

	if (ahead >= CHANNEL_WINDOW) {
		if (ahead > UINT32_MAX / 2)
			core->stats.drop_duplicate++;
		else
			core->stats.drop_window++;
		n->ack_at = now;
		return;
	}
	if (r->full) {
		core->stats.drop_duplicate++;
		n->ack_at = now;
		return;
	}
	r->items = malloc(len ? len : 1);
	if (!r->items) {
		core->stats.drop_no_memory++;
		return;
	}
	if (len)
		memcpy(r->items, items, len);
	r->len = (uint16_t)len;
	r->full = true;
	if (n->defer_at == NEVER)
		drain(core, now, n);
	n->ack_at = min64(n->ack_at, ahead || !n->clean ? now : now + ACK_DELAY_MS);
}

static bool is_past(const struct route_neigh *n, uint32_t epoch)
{
	for (unsigned int i = 0; i < PAST_EPOCHS; i++)
		if (n->past[i] == epoch)
			return true;
	return false;
}

/* The peer (re)started: what we hold from it is stale or gone, and it gets everything again. */
static void adopt(struct route_core *core, uint64_t now, struct route_neigh *n,
		  const struct control_header *h)
{
	struct route_entry *e, *tmp;

	if (n->peer_epoch)
		n->past[n->past_at++ % PAST_EPOCHS] = n->peer_epoch;
	channel_clear(n);
	n->peer_epoch = h->epoch;
	n->heard_epoch = h->epoch;
	n->adopted_at = now;
	n->hello_at = NEVER;
	core->stats.epochs++;
	if (!(h->flags & CONTROL_GRACEFUL)) {
		if (n->routes)
			table_drop_neigh(core, now, n, 0);
	} else if (n->routes) {
		HASH_ITER(hh, core->entries, e, tmp) {
			struct route_via *v = table_via(e, n->slot);

			if (v && !(v->flags & VIA_STALE)) {
				v->flags |= VIA_STALE;
				n->stale++;
			}
		}
	}
	n->sweep_at = n->stale ? now + STALE_MS : NEVER;
	n->digest_at = now + core->cfg.digest_ms;
	members_start(core, n);
	emit_start_dump(core, now, n);
}

/* False when the frame belongs to no current stream; answers so that one comes about. */
static bool match_epochs(struct route_core *core, uint64_t now, struct route_neigh *n,
			 const struct control_header *h)
{
	bool known = h->epoch == n->peer_epoch;

	if (known && h->peer_epoch == n->epoch) {
		n->heard_epoch = h->epoch;
		return true;
	}
	if (!known && is_past(n, h->epoch)) {
		core->stats.drop_old_epoch++;
		return false;
	}
	if (h->peer_epoch == n->epoch) {
		if (n->peer_epoch && now < n->adopted_at + ADOPT_GAP_MS) {
			core->stats.drop_old_epoch++;
			return false;
		}
		adopt(core, now, n, h);
		return true;
	}
	if (h->peer_epoch)
		core->stats.drop_old_epoch++;
	n->heard_epoch = h->epoch;
	if (n->hello_at == NEVER || n->hello_at > n->reply_at + REPLY_GAP_MS)
		n->hello_at = n->reply_at + REPLY_GAP_MS > now ? n->reply_at + REPLY_GAP_MS : now;
	return false;
}

void channel_input(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const uint8_t *bytes, size_t len)
{
	struct control_header h;

	switch (control_parse(bytes, len, &core->msg)) {
	case CONTROL_OK:
		break;
	case CONTROL_TRUNCATED:
		core->stats.drop_truncated++;
		return;
	case CONTROL_BAD_VERSION:
		core->stats.drop_version++;
		return;
	case CONTROL_MALFORMED:
		core->stats.drop_malformed++;
		return;
	}
	h = core->msg.header;
	core->stats.drop_unknown_tlv += core->msg.n_unknown;
	if (!match_epochs(core, now, n, &h))
		return;
	if (h.flags & CONTROL_ADOPTED) {
		n->peer_adopted = true;
		if (!(h.flags & CONTROL_HOLDS) && !n->clean) {
			n->clean = true;
			n->was_clean = true;
			core->recheck = true;
		}
		read_acks(core, now, n, &h);
	}
	if (h.seq)
		receive(core, now, n, h.seq, bytes + CONTROL_HEADER_LEN, len - CONTROL_HEADER_LEN);
}

/* ---- time ---- */

static void hello(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	transmit(core, n, 0, NULL, 0);
	n->reply_at = now;
	if (n->peer_epoch) {
		n->hello_at = NEVER;
		return;
	}
	n->hello_at = now + n->hello_wait + core_random(core, HELLO_FIRST_MS);
	n->hello_wait = min64(n->hello_wait * 2, HELLO_MAX_MS);
}

void channel_tick(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	tokens_refill(n, now);
	if (now >= n->defer_at) {
		drain(core, now, n);
		n->ack_at = min64(n->ack_at, now);
	}
	if (now >= n->hello_at)
		hello(core, now, n);
	for (uint32_t seq = n->tx_base; seq != n->tx_next; seq++) {
		struct channel_tx *t = &n->tx[seq % CHANNEL_WINDOW];

		if (t->items && now >= t->sent_at + timeout_of(n, t) && n->tokens > 0)
			send_again(core, now, n, t);
	}
	if (n->peer_epoch && now >= n->digest_at && emit_drained(n))
		n->flush_at = min64(n->flush_at, now);
	for (unsigned int i = 0; i < n->n_pending; i++)
		if (n->pending[i].ask_at <= now)
			n->flush_at = min64(n->flush_at, now);
	if (n->peer_epoch && now >= n->flush_at)
		flush(core, now, n);
	if (now >= n->ack_at)
		transmit(core, n, 0, NULL, 0);
	if (n->tx_base == n->tx_next && emit_drained(n))
		n->drained = core->version;
}

uint64_t channel_deadline(const struct route_neigh *n)
{
	uint64_t at = min64(min64(n->hello_at, n->ack_at), min64(n->defer_at, n->sweep_at));
	uint64_t send = NEVER;

	if (n->peer_epoch) {
		if (n->tx_next - n->tx_base < CHANNEL_WINDOW) {
			send = n->flush_at;
			if (emit_drained(n))
				send = min64(send, n->digest_at);
			for (unsigned int i = 0; i < n->n_pending; i++)
				send = min64(send, n->pending[i].ask_at);
		}
		for (uint32_t seq = n->tx_base; seq != n->tx_next; seq++) {
			const struct channel_tx *t = &n->tx[seq % CHANNEL_WINDOW];

			if (t->items)
				send = min64(send, t->sent_at + timeout_of(n, t));
		}
		if (send != NEVER && n->tokens <= 0) {
			uint64_t full = n->tokens_at + (uint64_t)(-n->tokens) / n->budget + 1;

			if (send < full)
				send = full;
		}
	}
	return min64(at, send);
}
