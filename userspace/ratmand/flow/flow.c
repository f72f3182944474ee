// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/flow.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"

#define TICK_MS 500
#define EXPIRY_MS 60000

/* Small messages of a peer that make us work: so many at once, and then so many a second. */
#define ALLOWANCE_MAX 256
#define ALLOWANCE_RATE 8

const uint8_t *flow_secret(struct flow *f, const struct address *local)
{
	const uint8_t *secret = f->ops->secret(f->ctx, local);
	const struct space *sp = secret ? NULL : space_find(f, local);

	return sp ? sp->secret : secret;
}

/* ---- who wants connections ---- */

static struct flow_want *want_find(struct flow *f, const struct address *local,
				   const struct address *peer)
{
	struct flow_pair key = { *local, *peer };
	struct flow_want *w;

	HASH_FIND(hh, f->wants, &key, sizeof(key), w);
	return w;
}

int flow_want(struct flow *f, const struct address *local, const struct address *peer)
{
	struct flow_want *w = want_find(f, local, peer);

	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		w->key = (struct flow_pair){ *local, *peer };
		HASH_ADD_KEYPTR(hh, f->wants, &w->key, sizeof(w->key), w);
		if (!w->hh.tbl) {
			free(w);
			return -ENOMEM;
		}
	}
	w->holders++;
	/* Without memory for it, the next one who wants it asks again. */
	(void)peerlinks_want(f->peerlinks, local, peer, true);
	return 0;
}

void flow_unwant(struct flow *f, const struct address *local, const struct address *peer)
{
	struct flow_want *w = want_find(f, local, peer);

	if (!w || --w->holders)
		return;
	HASH_DEL(f->wants, w);
	free(w);
	peerlinks_want(f->peerlinks, local, peer, false);
}

struct members {
	struct flow *flow;
	bool commons;
	void (*cb)(void *ctx, const struct address *member);
	void *ctx;
};

static void each_member(void *ctx, const struct address *member)
{
	struct members *m = ctx;

	if (!m->flow->ops->secret(m->flow->ctx, member) &&
	    !(m->commons && commons_is_away(m->flow, member)) &&
	    m->flow->ops->reachable(m->flow->ctx, member))
		m->cb(m->ctx, member);
}

void flow_members(struct flow *f, const struct address *space,
		  void (*cb)(void *ctx, const struct address *member), void *ctx)
{
	struct members m = { f, commons_is(space), cb, ctx };

	if (f->ops->members)
		f->ops->members(f->ctx, space, each_member, &m);
}

/* ---- connections ---- */

struct flow_link *flow_link_find(struct flow *f, const struct address *local,
				 const struct address *peer)
{
	struct peerlink *link = peerlinks_find(f->peerlinks, local, peer);

	return link ? peerlink_data(link) : NULL;
}

void flow_link_update(struct flow_link *fl)
{
	peerlink_set_busy(fl->peerlink, fl->transfers || fl->offers || gossip_is_busy(fl) ||
			  lane_find(fl->flow, &fl->local, &fl->peer));
}

bool flow_link_wrong(struct flow_link *fl)
{
	if (++fl->wrong < FLOW_MAX_WRONG)
		return true;
	log_warn("streams: a peer sent too much that is wrong, connection closed");
	fl->flow->wrong_peers++;
	return false;
}

bool flow_link_allow(struct flow_link *fl)
{
	uint64_t now = uv_now(fl->flow->loop);

	fl->allowance += (int64_t)(now - fl->allowance_at) * ALLOWANCE_RATE;
	if (fl->allowance > ALLOWANCE_MAX * 1000)
		fl->allowance = ALLOWANCE_MAX * 1000;
	fl->allowance_at = now;
	if (fl->allowance < 1000)
		return false;
	fl->allowance -= 1000;
	return true;
}

static bool op_reachable(void *ctx, const struct address *peer)
{
	struct flow *f = ctx;

	return f->ops->reachable(f->ctx, peer);
}

static bool op_endpoint(void *ctx, const struct address *address, bool source,
			struct sockaddr_in6 *out)
{
	struct flow *f = ctx;

	return f->ops->endpoint(f->ctx, address, source, out);
}

static bool op_speaks_for(void *ctx, const struct sockaddr_in6 *source,
			  const struct address *claimed)
{
	struct flow *f = ctx;

	return f->ops->speaks_for(f->ctx, source, claimed);
}

static void *on_up(void *ctx, struct peerlink *link, const struct address *local,
		   const struct address *peer)
{
	struct flow *f = ctx;
	struct flow_link *fl;

	if (f->closing || !flow_secret(f, local))
		return NULL;
	fl = calloc(1, sizeof(*fl));
	if (!fl)
		return NULL;
	fl->flow = f;
	fl->peerlink = link;
	fl->local = *local;
	fl->peer = *peer;
	fl->allowance = ALLOWANCE_MAX * 1000;
	fl->allowance_at = uv_now(f->loop);
	DL_APPEND(f->links, fl);
	/* Offers follow in the next turn, when the connection can be found. */
	uv_timer_start(&f->turn, f->turn.timer_cb, 0, 0);
	return fl;
}

static bool on_message(void *ctx, struct peerlink *link, const struct exchange_message *m)
{
	struct flow_link *fl = peerlink_data(link);

	(void)ctx;
	switch (m->type) {
	case EXCHANGE_OFFER:
		return transfer_offer(fl, m);
	case EXCHANGE_WANT:
		return lane_wanted(fl, m);
	case EXCHANGE_BLOCK:
		return transfer_block(fl, m);
	case EXCHANGE_MISSING:
		return transfer_missing(fl, m);
	case EXCHANGE_RECEIPT:
		return lane_receipt(fl, m);
	case EXCHANGE_REFUSE:
		return lane_refused(fl, m);
	case EXCHANGE_ITEM:
		return transfer_item(fl, m);
	case EXCHANGE_JOIN:
	case EXCHANGE_PROVE:
	case EXCHANGE_LEAVE:
	case EXCHANGE_SUM:
	case EXCHANGE_HAVE:
		return gossip_message(fl, m);
	case EXCHANGE_PROBE:
	case EXCHANGE_ANSWER:
		return probe_message(fl, m);
	case EXCHANGE_HELLO:
	case EXCHANGE_PING:
	case EXCHANGE_PONG:
		break;
	}
	return true;
}

static void on_writable(void *ctx, struct peerlink *link)
{
	(void)ctx;
	lane_serve(peerlink_data(link));
}

static void on_down(void *ctx, struct peerlink *link)
{
	struct flow_link *fl = peerlink_data(link);
	struct flow *f = ctx;

	DL_DELETE(f->links, fl);
	transfer_link_down(fl);
	lane_link_down(fl);
	gossip_link_down(fl);
	free(fl);
}

static const struct peerlink_ops link_ops = {
	.reachable = op_reachable,
	.endpoint = op_endpoint,
	.speaks_for = op_speaks_for,
	.up = on_up,
	.message = on_message,
	.writable = on_writable,
	.down = on_down,
};

/* ---- time ---- */

static void on_turn(uv_timer_t *timer)
{
	struct flow *f = timer->data;
	struct flow_link *fl;
	bool more = false;

	DL_FOREACH(f->links, fl) {
		if (transfer_turn(fl))
			more = true;
		lane_offer(fl);
		spread_offer(fl);
		gossip_link_up(fl);
		probe_link_up(fl);
	}
	/* Not 0: libuv before 1.45 would run it again before any input. */
	if (more)
		uv_timer_start(timer, on_turn, 1, 0);
}

static uint64_t wall_s(void)
{
	return (uint64_t)(clock_wall_ns() / 1000000000);
}

/* Streams that began to arrive and whose sender never came back. */
static void expire_arriving(struct flow *f)
{
	struct inbox_entry *e, *next;

	for (e = f->inbox.all; e; e = next) {
		next = e->hh.next;
		if (!e->complete && !e->arriving && e->since_s + LIMIT_OUTBOX_AGE_S < wall_s())
			recv_forget(f, e, true);
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct flow *f = timer->data;
	struct lane *lane, *next;

	for (lane = f->lanes; lane; lane = next) {
		next = lane->hh.next;
		lane_kick(f, lane);
	}
	spread_tick(f);
	gossip_tick(f);
	probe_tick(f);
	parcel_tick(f);
	if (uv_now(f->loop) < f->expiry_at)
		return;
	f->expiry_at = uv_now(f->loop) + EXPIRY_MS;
	lane_expire(f);
	expire_arriving(f);
	space_expire(f);
}

/* ---- life ---- */

static void loaded(void *ctx, struct outbox_entry *e)
{
	/* Without memory for a lane it is found again at the next start. */
	if (lane_add(ctx, e))
		log_error("outbox: out of memory, a stream waits for a restart");
}

static int open_parts(struct flow *f)
{
	int err = journal_new(&f->journal, f->loop, f->store);

	if (!err)
		err = outbox_load(&f->outbox, f->store, f->journal, loaded, f);
	if (!err)
		err = inbox_load(&f->inbox, f->store, f->journal);
	if (!err)
		space_load(f);
	if (!err)
		err = subscriptions_load(&f->subscriptions, f->store);
	if (!err)
		err = claim_load(f);
	if (!err)
		err = content_load(f);
	if (!err)
		err = peerlinks_new(&f->peerlinks, f->loop, &link_ops, f);
	return err;
}

static void free_parts(struct flow *f)
{
	struct lane *lane = f->lanes, *next;
	struct spread *spread = f->spreads, *next_spread;
	struct flow_want *want = f->wants, *next_want;

	HASH_CLEAR(hh, f->wants);
	for (; want; want = next_want) {
		next_want = want->hh.next;
		free(want);
	}
	HASH_CLEAR(hh, f->spreads);
	for (; spread; spread = next_spread) {
		next_spread = spread->hh.next;
		free(spread);
	}
	space_free_all(f);
	HASH_CLEAR(hh, f->lanes);
	for (; lane; lane = next) {
		next = lane->hh.next;
		free(lane);
	}
	recv_free(f);
	parcel_leave_all(f);
	content_free(f);
	commons_free(f);
	subscriptions_free(&f->subscriptions);
	outbox_free(&f->outbox);
	inbox_free(&f->inbox);
	journal_free(f->journal);
}

int flow_new(struct flow **out, uv_loop_t *loop, struct store *store, const struct flow_ops *ops,
	     void *ctx)
{
	struct flow *f = calloc(1, sizeof(*f));
	int err;

	if (!f)
		return -ENOMEM;
	f->loop = loop;
	f->store = store;
	f->ops = ops;
	f->ctx = ctx;
	err = open_parts(f);
	if (err) {
		free_parts(f);
		free(f);
		return err;
	}
	uv_timer_init(loop, &f->timer);
	uv_timer_init(loop, &f->turn);
	f->timer.data = f;
	f->turn.data = f;
	f->turn.timer_cb = on_turn;
	parcel_init(f);
	f->pending = 4;		/* three timers, the connections */
	f->expiry_at = uv_now(loop);
	uv_timer_start(&f->timer, on_tick, TICK_MS, TICK_MS);
	/* Blocks that a crash left behind: of sends that never ended, or half removed. */
	journal_sweep(f->journal);
	*out = f;
	return 0;
}

void flow_expect(struct flow *f)
{
	f->pending++;
}

void flow_settled(struct flow *f)
{
	if (--f->pending || !f->closing)
		return;
	free_parts(f);
	if (f->closed)
		f->closed(f->closed_ctx);
	free(f);
}

static void on_handle_closed(uv_handle_t *handle)
{
	flow_settled(handle->data);
}

static void on_links_closed(void *ctx)
{
	flow_settled(ctx);
}

void flow_free(struct flow *f, flow_cb closed, void *ctx)
{
	f->closing = true;
	f->closed = closed;
	f->closed_ctx = ctx;
	uv_close((uv_handle_t *)&f->timer, on_handle_closed);
	uv_close((uv_handle_t *)&f->turn, on_handle_closed);
	uv_close((uv_handle_t *)&f->handover, on_handle_closed);
	peerlinks_free(f->peerlinks, on_links_closed, f);
}

/* ---- events ---- */

int flow_local_up(struct flow *f, const struct address *local)
{
	struct recipient as_address = { RECIPIENT_ADDRESS, *local };
	struct lane *lane, *next;
	int err = peerlinks_listen(f->peerlinks, local);

	if (err)
		return err;
	for (lane = f->lanes; lane; lane = next) {
		next = lane->hh.next;
		if (address_equal(&lane->key.from, local) || address_equal(&lane->key.to, local))
			lane_kick(f, lane);
	}
	recv_notify(f, &as_address, local);
	parcel_kick(f);
	return 0;
}

void flow_local_down(struct flow *f, const struct address *local)
{
	struct lane *lane;
	struct space *sp, *next;

	for (sp = f->spaces; sp; sp = next) {
		next = sp->hh.next;
		flow_space_down(f, &sp->address, local);
	}
	spread_local_down(f, local);
	for (lane = f->lanes; lane; lane = lane->hh.next) {
		if (lane->wants && address_equal(&lane->key.from, local)) {
			lane->wants = false;
			flow_unwant(f, &lane->key.from, &lane->key.to);
		}
	}
	peerlinks_unlisten(f->peerlinks, local);
}

int flow_local_purge(struct flow *f, const struct address *local)
{
	struct outbox_entry *o, *next_o;
	struct inbox_entry *i, *next_i;

	flow_local_down(f, local);
	for (o = f->outbox.all; o; o = next_o) {
		next_o = o->hh.next;
		/* The last profile says that he is gone. */
		if (address_equal(&o->from, local) &&
		    !(o->kind == PARCEL_PROFILE && commons_is(&o->to.address)))
			lane_remove(f, o, true);
	}
	for (i = f->inbox.all; i; i = next_i) {
		next_i = i->hh.next;
		if (address_equal(&i->local, local))
			recv_forget(f, i, true);
	}
	return 0;
}

void flow_peer_reachable(struct flow *f, const struct address *peer)
{
	peerlinks_poke(f->peerlinks, peer);
	spread_members_changed(f, NULL);
}

size_t flow_active(const struct flow *f)
{
	size_t n = f->n_transfers;
	const struct flow_link *fl;

	DL_FOREACH(f->links, fl)
		n += HASH_COUNT(fl->offers);
	for (const struct lane *lane = f->lanes; lane; lane = lane->hh.next)
		n += lane->offered;
	return n;
}

const struct flow_stats *flow_stats(struct flow *f)
{
	const struct peerlink_stats *p = peerlinks_stats(f->peerlinks);

	f->stats.connects = p->connects;
	f->stats.connects_failed = p->connects_failed;
	f->stats.messages_sent = p->messages_sent;
	f->stats.bytes_sent = p->bytes_sent;
	f->stats.protocol_errors = f->wrong_peers + p->protocol_errors;
	f->stats.items = f->n_items;
	f->stats.item_bytes = f->items_bytes;
	return &f->stats;
}
