// SPDX-License-Identifier: GPL-2.0-or-later
/* The sending side: offers, wishes, receipts; and delivery inside this daemon. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"
#include "ratmand/flow/manifest.h"

/* Bytes handed to the connection ahead of what the kernel takes. */
#define SERVE_AHEAD (256u << 10)
/* 32 streams with 64 references each may be asked for; twice that is a flood. */
#define MAX_WISHES 4096
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000

struct lane *lane_find(struct flow *f, const struct address *from, const struct address *to)
{
	struct lane_key key = { *from, *to };
	struct lane *lane;

	HASH_FIND(hh, f->lanes, &key, sizeof(key), lane);
	return lane;
}

int lane_add(struct flow *f, struct outbox_entry *e)
{
	struct lane *lane;

	if (e->to.kind == RECIPIENT_NAMESPACE)
		return spread_add(f, e);
	lane = lane_find(f, &e->from, &e->to.address);
	if (!lane) {
		lane = calloc(1, sizeof(*lane));
		if (!lane)
			return -ENOMEM;
		lane->key.from = e->from;
		lane->key.to = e->to.address;
		HASH_ADD_KEYPTR(hh, f->lanes, &lane->key, sizeof(lane->key), lane);
		if (!lane->hh.tbl) {
			free(lane);
			return -ENOMEM;
		}
	}
	DL_APPEND(lane->entries, e);
	return 0;
}

void lane_remove(struct flow *f, struct outbox_entry *e, bool stored)
{
	struct flow_link *fl;
	struct lane *lane;

	if (e->to.kind == RECIPIENT_NAMESPACE) {
		spread_remove(f, e, stored);
		return;
	}
	lane = lane_find(f, &e->from, &e->to.address);
	if (lane) {
		DL_DELETE(lane->entries, e);
		if (e->offered)
			lane->offered--;
		if (!lane->entries) {
			if (lane->wants)
				flow_unwant(f, &lane->key.from, &lane->key.to);
			HASH_DEL(f->lanes, lane);
			free(lane);
		}
		fl = flow_link_find(f, &e->from, &e->to.address);
		if (fl)
			flow_link_update(fl);
	}
	outbox_remove(&f->outbox, e, stored);
}

/* ---- delivery inside this daemon ---- */

struct local_done {
	struct flow *flow;
	struct ident id;
};

static void on_local_committed(void *ctx, int err)
{
	struct local_done *done = ctx;
	struct flow *f = done->flow;
	struct outbox_entry *o = f->closing ? NULL : outbox_find(&f->outbox, &done->id);
	struct inbox_entry *e = f->closing ? NULL : inbox_find(&f->inbox, &done->id);

	if (err && o)
		o->retry_at = uv_now(f->loop) + RETRY_MAX_MS;
	else if (o)
		lane_remove(f, o, true);
	if (err && e) {
		claim_undo(f, e);
		inbox_remove(&f->inbox, e, false);
	} else if (e) {
		recv_announce(f, e);
	}
	free(done);
	flow_settled(f);
}

/*
 * Copies the entry to the inbox; it leaves the outbox when that is durable, so
 * that after a crash it is in one or both, and the inbox knows it by its id.
 */
static int deliver_here(struct flow *f, struct outbox_entry *e)
{
	struct local_done *done = malloc(sizeof(*done));
	uint8_t sealed[MANIFEST_MAX];
	struct inbox_entry like = { .id = e->id, .tag = e->tag, .to = e->to,
				    .local = e->to.address, .from = e->from, .kind = e->kind,
				    .created_s = e->created_s, .size = e->size };
	struct inbox_entry *in;
	ssize_t len = outbox_sealed(&f->outbox, e, sealed);
	int err = !done ? -ENOMEM : len < 0 ? (int)len : 0;

	if (!err && !inbox_was_delivered(&f->inbox, &e->id)) {
		err = recv_make_way(f, &e->id);
		if (!err)
			err = inbox_add(&f->inbox, &like, sealed, (size_t)len, &in);
		if (!err) {
			err = claim_stream(f, in);
			if (err)
				inbox_remove(&f->inbox, in, true);
		}
	}
	if (err && err != -EEXIST) {
		free(done);
		return err;
	}
	done->flow = f;
	done->id = e->id;
	e->retry_at = UINT64_MAX;
	flow_expect(f);
	store_commit(f->store, on_local_committed, done);
	return 0;
}

/* Asks whether the parcel @e is wanted here. */
static enum parcel_answer ask_here(struct flow *f, struct outbox_entry *e)
{
	const uint8_t *secret = flow_secret(f, &e->to.address);
	struct manifest *m = malloc(sizeof(*m));
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len = outbox_sealed(&f->outbox, e, sealed);
	enum parcel_answer answer = PARCEL_LATER;

	if (m && len >= 0 && !manifest_open(sealed, (size_t)len, &e->to.address, secret, m))
		answer = parcel_ask(f, m, &e->id);
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
	return answer;
}

/* Tries every entry that is due. */
static void deliver_lane_here(struct flow *f, struct lane *lane)
{
	struct outbox_entry *e, *next;
	uint64_t now = uv_now(f->loop);

	for (e = lane->entries; e; e = next) {
		enum parcel_answer answer;

		next = e->next;
		if (e->retry_at > now)
			continue;
		answer = e->kind ? ask_here(f, e) : PARCEL_TAKE;
		if (answer == PARCEL_LATER) {
			e->retry_at = now + RETRY_MAX_MS;
		} else if (answer == PARCEL_REFUSE) {
			e->state = FLOW_REFUSED;
			lane_remove(f, e, true);	/* with the last one @lane goes, too */
		} else if (deliver_here(f, e)) {
			e->retry_at = now + RETRY_MIN_MS;
		}
	}
}

void lane_kick(struct flow *f, struct lane *lane)
{
	struct flow_link *fl;

	if (!lane || f->closing)
		return;
	if (flow_secret(f, &lane->key.to)) {
		deliver_lane_here(f, lane);
		return;
	}
	if (!flow_secret(f, &lane->key.from))
		return;
	fl = flow_link_find(f, &lane->key.from, &lane->key.to);
	if (fl)
		lane_offer(fl);
	else if (!lane->wants)
		lane->wants = !flow_want(f, &lane->key.from, &lane->key.to);
}

/* ---- offers ---- */

static int offer(struct flow_link *fl, struct outbox_entry *e)
{
	struct flow *f = fl->flow;
	struct peerlink_write *write = peerlink_write_new(EXCHANGE_HEAD + MANIFEST_MAX);
	ssize_t len;

	if (!write)
		return -ENOMEM;
	len = outbox_sealed(&f->outbox, e, write->data + EXCHANGE_HEAD);
	if (len < 0) {
		free(write);
		return (int)len;
	}
	exchange_put_head(write->data, EXCHANGE_OFFER, (size_t)len);
	peerlink_write_send(fl->peerlink, write, EXCHANGE_HEAD + (size_t)len);
	f->stats.offers_sent++;
	e->offered = true;
	e->attempts++;
	e->state = FLOW_OFFERED;
	return 0;
}

void lane_offer(struct flow_link *fl)
{
	struct flow *f = fl->flow;
	struct lane *lane = lane_find(f, &fl->local, &fl->peer);
	uint64_t now = uv_now(f->loop);
	struct outbox_entry *e;

	if (!lane)
		return;
	DL_FOREACH(lane->entries, e) {
		if (lane->offered >= FLOW_MAX_OFFERED)
			break;
		if (e->offered || e->retry_at > now)
			continue;
		if (offer(fl, e))
			e->retry_at = now + RETRY_MAX_MS;
		else
			lane->offered++;
	}
	flow_link_update(fl);
}

/* ---- offers to namespaces ---- */

static struct flow_offer *offer_find(struct flow_link *fl, const struct ident *id)
{
	struct flow_offer *o;

	HASH_FIND(hh, fl->offers, id->b, sizeof(id->b), o);
	return o;
}

static void offer_drop(struct flow_link *fl, struct flow_offer *o)
{
	HASH_DEL(fl->offers, o);
	free(o);
}

int lane_offer_item(struct flow_link *fl, const struct address *space, const struct ident *id,
		    const struct journal_tag *tag, const uint8_t *sealed, size_t len)
{
	struct peerlink_write *write;
	struct flow_offer *o;

	if (offer_find(fl, id))
		return -EEXIST;
	write = peerlink_write_new(EXCHANGE_ITEM_HEAD + len);
	o = calloc(1, sizeof(*o));
	if (!write || !o)
		goto no_memory;
	o->id = *id;
	o->tag = *tag;
	o->space = *space;
	HASH_ADD_KEYPTR(hh, fl->offers, o->id.b, sizeof(o->id.b), o);
	if (!o->hh.tbl)
		goto no_memory;
	exchange_put_item(write->data, space, len);
	memcpy(write->data + EXCHANGE_ITEM_HEAD, sealed, len);
	peerlink_write_send(fl->peerlink, write, EXCHANGE_ITEM_HEAD + len);
	fl->flow->stats.offers_sent++;
	flow_link_update(fl);
	return 0;

no_memory:
	free(write);
	free(o);
	return -ENOMEM;
}

/* An offer to a namespace was answered: room for the next. */
static void offer_answered(struct flow_link *fl, struct flow_offer *o)
{
	offer_drop(fl, o);
	spread_offer(fl);
	gossip_pump(fl);
	flow_link_update(fl);
}

static bool item_receipt(struct flow_link *fl, struct flow_offer *o,
			 const struct exchange_message *m)
{
	struct outbox_entry *e = outbox_find(&fl->flow->outbox, &o->id);

	if (!manifest_check_receipt(&m->id, &o->space, m->receipt))
		return flow_link_wrong(fl);
	fl->flow->stats.receipts_received++;
	if (e && e->to.kind == RECIPIENT_NAMESPACE)
		spread_receipt(fl, e);
	offer_answered(fl, o);
	return true;
}

static bool item_refused(struct flow_link *fl, struct flow_offer *o,
			 const struct exchange_message *m)
{
	struct outbox_entry *e = outbox_find(&fl->flow->outbox, &o->id);

	if (e && e->to.kind == RECIPIENT_NAMESPACE)
		spread_refused(fl, e, m->refuse);
	else
		gossip_unsynced(fl, &o->space);
	offer_answered(fl, o);
	return true;
}

static void withdraw(struct lane *lane, struct outbox_entry *e)
{
	if (e->offered)
		lane->offered--;
	e->offered = false;
	e->state = FLOW_QUEUED;
}

void lane_link_down(struct flow_link *fl)
{
	struct lane *lane = lane_find(fl->flow, &fl->local, &fl->peer);
	struct outbox_entry *e;

	if (lane)
		DL_FOREACH(lane->entries, e)
			withdraw(lane, e);
	while (fl->offers)
		offer_drop(fl, fl->offers);
	free(fl->wishes);
	fl->wishes = NULL;
	fl->wish_count = fl->wish_size = fl->wish_first = 0;
}

/* The entry the peer speaks of, if it was offered on this connection. */
static struct outbox_entry *offered_entry(struct flow_link *fl, const struct ident *id)
{
	struct outbox_entry *e = outbox_find(&fl->flow->outbox, id);

	if (!e || !e->offered || !address_equal(&e->from, &fl->local) ||
	    !address_equal(&e->to.address, &fl->peer))
		return NULL;
	return e;
}

bool lane_receipt(struct flow_link *fl, const struct exchange_message *m)
{
	struct flow *f = fl->flow;
	struct flow_offer *item = offer_find(fl, &m->id);
	struct outbox_entry *e;

	if (item)
		return item_receipt(fl, item, m);
	e = offered_entry(fl, &m->id);
	if (!e || !manifest_check_receipt(&m->id, &e->to.address, m->receipt))
		return flow_link_wrong(fl);
	f->stats.receipts_received++;
	e->state = FLOW_DELIVERED;
	log_debug("streams: delivered %llu bytes", (unsigned long long)e->size);
	lane_remove(f, e, true);
	lane_offer(fl);
	return true;
}

bool lane_refused(struct flow_link *fl, const struct exchange_message *m)
{
	struct flow *f = fl->flow;
	struct lane *lane = lane_find(f, &fl->local, &fl->peer);
	struct flow_offer *item = offer_find(fl, &m->id);
	struct outbox_entry *e;
	uint64_t pause;

	if (item)
		return item_refused(fl, item, m);
	e = offered_entry(fl, &m->id);
	if (!e || !lane)
		return flow_link_wrong(fl);
	if (m->refuse != EXCHANGE_BUSY && m->refuse != EXCHANGE_ABSENT) {
		char text[ADDRESS_TEXT_LEN];

		e->state = FLOW_REFUSED;
		log_at(m->refuse == EXCHANGE_UNWANTED ? LOG_DEBUG : LOG_WARN,
		       "streams: %s refuses a stream for good (reason %d)",
		       address_format(&fl->peer, text), (int)m->refuse);
		lane_remove(f, e, true);
		lane_offer(fl);
		return true;
	}
	withdraw(lane, e);
	pause = (uint64_t)RETRY_MIN_MS << (e->attempts < 6 ? e->attempts : 6);
	if (pause > RETRY_MAX_MS)
		pause = RETRY_MAX_MS;
	e->retry_at = uv_now(f->loop) + pause / 2 + randombytes_uniform((uint32_t)pause);
	(void)outbox_save(&f->outbox, e);
	lane_offer(fl);
	return true;
}

/* ---- wishes ---- */

static bool wish_add(struct flow_link *fl, const struct flow_wish *wish)
{
	if (fl->wish_count == fl->wish_size) {
		size_t size = fl->wish_size ? fl->wish_size * 2 : 128;
		struct flow_wish *wider;

		if (size > MAX_WISHES)
			return false;
		wider = malloc(size * sizeof(*wider));
		if (!wider)
			return false;
		for (size_t i = 0; i < fl->wish_count; i++)
			wider[i] = fl->wishes[(fl->wish_first + i) % fl->wish_size];
		free(fl->wishes);
		fl->wishes = wider;
		fl->wish_first = 0;
		fl->wish_size = size;
	}
	fl->wishes[(fl->wish_first + fl->wish_count++) % fl->wish_size] = *wish;
	return true;
}

static void send_missing(struct flow_link *fl, const struct ident *id, const uint8_t *ref)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];

	peerlink_send(fl->peerlink, frame, exchange_put_missing(frame, id, ref));
}

bool lane_wanted(struct flow_link *fl, const struct exchange_message *m)
{
	const struct flow_offer *item = offer_find(fl, &m->id);
	struct outbox_entry *e = item ? NULL : offered_entry(fl, &m->id);
	struct flow_wish wish = { .id = m->id };

	if (!e && !item) {
		/* It may have expired a moment ago. */
		send_missing(fl, &m->id, m->want.refs[0]);
		return flow_link_wrong(fl);
	}
	if (e)
		e->state = FLOW_TRANSFERRING;
	wish.tag = item ? item->tag : e->tag;
	for (size_t i = 0; i < m->want.n; i++) {
		memcpy(wish.ref, m->want.refs[i], ERIS_REF_LEN);
		if (!wish_add(fl, &wish)) {
			fl->flow->wrong_peers++;
			return false;
		}
	}
	lane_serve(fl);
	return true;
}

/* Sends the block of the first wish. */
static void serve_one(struct flow_link *fl)
{
	struct flow *f = fl->flow;
	struct flow_wish *wish = &fl->wishes[fl->wish_first];
	struct peerlink_write *write = peerlink_write_new(EXCHANGE_HEAD + ERIS_BLOCK_LARGE);
	ssize_t len = -ENOMEM;

	if (write)
		len = journal_get(f->journal, &wish->tag, wish->ref, write->data + EXCHANGE_HEAD,
				  ERIS_BLOCK_LARGE);
	if (len > 0) {
		exchange_put_head(write->data, EXCHANGE_BLOCK, (size_t)len);
		peerlink_write_send(fl->peerlink, write, EXCHANGE_HEAD + (size_t)len);
		f->stats.blocks_sent++;
	} else {
		free(write);
		send_missing(fl, &wish->id, wish->ref);
	}
	fl->wish_first = (fl->wish_first + 1) % fl->wish_size;
	fl->wish_count--;
}

void lane_serve(struct flow_link *fl)
{
	while (fl->wish_count && peerlink_queued(fl->peerlink) < SERVE_AHEAD)
		serve_one(fl);
}

void lane_expire(struct flow *f)
{
	uint64_t now = (uint64_t)(clock_wall_ns() / 1000000000);
	struct outbox_entry *e, *next;

	for (e = f->outbox.all; e; e = next) {
		next = e->hh.next;
		if (e->created_s + LIMIT_OUTBOX_AGE_S >= now)
			continue;
		e->state = FLOW_EXPIRED;
		log_info("streams: a stream of %llu bytes expired undelivered",
			 (unsigned long long)e->size);
		lane_remove(f, e, true);
	}
}
