// SPDX-License-Identifier: GPL-2.0-or-later
/* The receiving side: walks the tree of an offered stream and asks for what is not held. */
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

/* References asked for at a time for one stream: 2 MiB of large blocks. */
#define WINDOW 64
/*
 * What a killed daemon has asked for and not yet made durable is sent twice: at
 * most one block in LOSS_SHARE of the stream, and LOSS_MIN of a short one.
 */
#define LOSS_SHARE 25
#define LOSS_MIN 4
/* Blocks looked at in one turn of the loop. */
#define BUDGET 512
#define MAX_PER_LINK 32
#define MAX_TRANSFERS 256
/* Above it we stop reading until commits have caught up. */
#define MAX_BACKLOG (8u << 20)
/* How often it is written how much of a parcel is here. */
#define PROGRESS_STEPS 16

struct transfer {
	struct transfer *prev, *next;
	struct flow_link *link;
	struct inbox_entry *entry;	/* in the inbox; not complete */
	struct eris_capability cap;	/* secret */
	struct journal_view view;
	struct eris_missing missing;
	uint64_t size;			/* bytes, by the letterhead */
	uint64_t failures;		/* of the store when it began */
	uint64_t limit;			/* references asked for plus blocks not durable */
	uint64_t unsafe;		/* blocks received and not durable */
	uint64_t saved;			/* of entry->held, on disk */
	struct safety *safety;		/* the commit that will make some so, or NULL */
	bool more;			/* the walk is to go on without waiting */
};

/* A commit under way. */
struct safety {
	struct flow *flow;
	struct transfer *transfer;	/* NULL when it is gone */
	uint64_t blocks;
};

/* How far a parcel is; the walk passes over what was held before. */
static void progress(struct transfer *t)
{
	/* Leaves that are asked for were walked past. */
	uint64_t held = (t->missing.seen - t->missing.n_leaves) * t->cap.block_size;

	if (held > t->size)
		held = t->size;
	if (held > t->entry->held)
		t->entry->held = held;
}

/* For display after a restart: now and then, and when the transfer ends. */
static void save_progress(struct transfer *t, uint64_t least)
{
	struct inbox_entry *e = t->entry;

	if (!e->kind || e->complete || e->held - t->saved < least)
		return;
	t->saved = e->held;
	(void)inbox_save_held(&t->link->flow->inbox, e);
}

static void transfer_free(struct transfer *t)
{
	struct flow_link *fl = t->link;

	if (t->safety)
		t->safety->transfer = NULL;
	save_progress(t, 1);
	t->entry->arriving = false;

	DL_DELETE(fl->transfers, t);
	fl->stray += t->missing.waiting;
	fl->n_transfers--;
	fl->flow->n_transfers--;
	eris_missing_free(&t->missing);
	sodium_memzero(&t->cap, sizeof(t->cap));
	free(t);
	flow_link_update(fl);
}

static void refuse(struct flow_link *fl, const struct ident *id, enum exchange_reason reason)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];

	peerlink_send(fl->peerlink, frame, exchange_put_refuse(frame, id, reason));
}

/* Signed by @recipient: the local address, or the namespace. */
static void send_receipt(struct flow_link *fl, const struct ident *id,
			 const struct address *recipient)
{
	const uint8_t *secret = flow_secret(fl->flow, recipient);
	uint8_t frame[EXCHANGE_SMALL_MAX], sig[MANIFEST_SIG_LEN];

	if (!secret)
		return;
	manifest_sign_receipt(id, secret, sig);
	peerlink_send(fl->peerlink, frame, exchange_put_receipt(frame, id, sig));
	fl->flow->stats.receipts_sent++;
}

/* Ends a transfer with a refusal; for good, nothing of the stream is kept. */
static void give_up(struct transfer *t, enum exchange_reason reason)
{
	struct flow_link *fl = t->link;
	struct flow *f = fl->flow;
	struct inbox_entry *e = t->entry;
	bool stored = store_has(f->store, STORE_INBOX, e->id.b, sizeof(e->id.b));

	refuse(fl, &e->id, reason);
	transfer_free(t);
	if (reason == EXCHANGE_BROKEN || reason == EXCHANGE_UNWANTED || !stored)
		inbox_remove(&f->inbox, e, stored);
}

/* The transfer that brings @e, or NULL. */
static struct transfer *transfer_find(struct flow *f, const struct inbox_entry *e)
{
	struct flow_link *fl;
	struct transfer *t;

	DL_FOREACH(f->links, fl)
		DL_FOREACH(fl->transfers, t)
			if (t->entry == e)
				return t;
	return NULL;
}

bool transfer_unwanted(struct flow *f, struct inbox_entry *e)
{
	struct transfer *t = transfer_find(f, e);

	if (t)
		give_up(t, EXCHANGE_UNWANTED);
	return t;
}

void transfer_forget(struct flow *f, const struct inbox_entry *e)
{
	struct transfer *t = transfer_find(f, e);

	if (!t)
		return;
	refuse(t->link, &e->id, EXCHANGE_ABSENT);
	transfer_free(t);
}

struct done {
	struct flow *flow;
	struct ident id;
	struct address local, peer;
};

static void on_complete_committed(void *ctx, int err)
{
	struct done *done = ctx;
	struct flow *f = done->flow;
	struct inbox_entry *e = inbox_find(&f->inbox, &done->id);
	struct flow_link *fl = f->closing ? NULL : flow_link_find(f, &done->local, &done->peer);

	if (e && !f->closing && err) {
		/* The commit never happened: what is left on disk is taken up when it is offered again. */
		claim_undo(f, e);
		if (!store_has(f->store, STORE_INBOX, e->id.b, sizeof(e->id.b)))
			inbox_remove(&f->inbox, e, false);
		if (fl)
			refuse(fl, &done->id, EXCHANGE_BUSY);
	} else if (e && !f->closing) {
		if (fl)
			send_receipt(fl, &done->id, &e->to.address);
		if (inbox_is_item(e)) {
			inbox_announce(&f->inbox, e);
			space_item_complete(f, e, fl);
		} else {
			recv_announce(f, e);
		}
	}
	free(done);
	flow_settled(f);
}

/* Every block is held: checks that they are the stream that was promised. */
static void complete(struct transfer *t)
{
	struct flow_link *fl = t->link;
	struct flow *f = fl->flow;
	struct done *done = NULL;
	struct eris_reader reader = { 0 };
	uint64_t len = 0;
	int err;

	err = eris_reader_init(&reader, &t->cap, journal_fetch, &t->view, LIMIT_STREAM_BYTES);
	if (!err)
		err = eris_content_length(&reader, &len);
	eris_reader_free(&reader);
	if (err == -EBADMSG || err == -EFBIG || (!err && len != t->size)) {
		log_warn("streams: a peer sent blocks that are not the stream it offered");
		give_up(t, EXCHANGE_BROKEN);
		return;
	}
	if (!err && store_failures(f->store) != t->failures)
		err = -EIO;
	if (!err) {
		done = malloc(sizeof(*done));
		err = done ? claim_stream(f, t->entry) : -ENOMEM;
	}
	if (err) {
		free(done);
		give_up(t, EXCHANGE_BUSY);
		return;
	}
	done->flow = f;
	done->id = t->entry->id;
	done->local = fl->local;
	done->peer = fl->peer;
	transfer_free(t);
	flow_expect(f);
	store_commit(f->store, on_complete_committed, done);
}

/* How many references may be asked for now. */
static uint64_t credit(const struct transfer *t)
{
	uint64_t used = t->missing.waiting + t->unsafe;

	return used < t->limit ? t->limit - used : 0;
}

/* Walks on and asks for what turns up. The transfer may be gone afterwards. */
static void step(struct transfer *t)
{
	struct flow_link *fl = t->link;
	uint8_t refs[EXCHANGE_WANT_MAX][ERIS_REF_LEN];
	uint8_t frame[EXCHANGE_SMALL_MAX];
	uint64_t max = credit(t);
	int n = eris_missing_next(&t->missing, refs, max < EXCHANGE_WANT_MAX ? max :
				  EXCHANGE_WANT_MAX, BUDGET);

	if (n < 0) {
		bool damaged = t->missing.tree.fault == ERIS_FAULT_REFERENCE ||
			       t->missing.tree.fault == ERIS_FAULT_LENGTH;

		if (n == -EBADMSG && damaged) {
			/* Our own disk: that block is asked for again next time. */
			(void)journal_del(t->view.journal, &t->view.tag, t->missing.tree.at);
			give_up(t, EXCHANGE_BUSY);
		} else {
			give_up(t, n == -EBADMSG || n == -EFBIG ? EXCHANGE_BROKEN : EXCHANGE_BUSY);
		}
		return;
	}
	progress(t);
	if (n > 0)
		peerlink_send(fl->peerlink, frame,
			      exchange_put_want(frame, &t->entry->id, (const void *)refs,
						(size_t)n));
	t->more = t->missing.state == ERIS_MISSING_MORE && t->missing.waiting < WINDOW && credit(t);
	if (t->missing.state == ERIS_MISSING_COMPLETE)
		complete(t);
	else if (t->more)
		uv_timer_start(&fl->flow->turn, fl->flow->turn.timer_cb, 1, 0);
}

/* Walks on when there is something to gain: in batches, but never so late that the pipe drains. */
static void refill(struct transfer *t)
{
	uint64_t most = t->limit < WINDOW ? t->limit : WINDOW;

	if (credit(t) && t->missing.waiting <= most / 2)
		step(t);
}

static void on_safe(void *ctx, int err);

/* Makes what was received durable, one commit at a time. */
static void make_safe(struct transfer *t)
{
	struct safety *s;

	if (t->safety || !t->unsafe)
		return;
	s = malloc(sizeof(*s));
	if (!s)
		return;		/* the next block tries again */
	s->flow = t->link->flow;
	s->transfer = t;
	s->blocks = t->unsafe;
	t->safety = s;
	flow_expect(s->flow);
	store_commit(s->flow->store, on_safe, s);
}

static void on_safe(void *ctx, int err)
{
	struct safety *s = ctx;
	struct flow *f = s->flow;
	struct transfer *t = s->transfer;

	if (t) {
		t->safety = NULL;
		t->unsafe -= s->blocks;
		if (err) {
			give_up(t, EXCHANGE_BUSY);
		} else {
			save_progress(t, t->size / PROGRESS_STEPS + 1);
			make_safe(t);
			refill(t);
		}
	}
	free(s);
	flow_settled(f);
}

bool transfer_turn(struct flow_link *fl)
{
	struct transfer *t, *next;
	bool more = false;

	DL_FOREACH_SAFE(fl->transfers, t, next)
		if (t->more)
			step(t);
	DL_FOREACH(fl->transfers, t)
		more = more || t->more;
	return more;
}

void transfer_link_down(struct flow_link *fl)
{
	while (fl->transfers)
		transfer_free(fl->transfers);
}

/* True when a stream with the same blocks is arriving already. */
static bool tag_is_arriving(struct flow *f, const struct journal_tag *tag)
{
	struct flow_link *fl;
	struct transfer *t;

	DL_FOREACH(f->links, fl)
		DL_FOREACH(fl->transfers, t)
			if (!memcmp(t->view.tag.b, tag->b, sizeof(tag->b)))
				return true;
	return false;
}

static struct transfer *transfer_new(struct flow_link *fl, const struct manifest *m,
				     const struct journal_tag *tag, struct inbox_entry *e)
{
	struct flow *f = fl->flow;
	struct transfer *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->view.journal = f->journal;
	t->view.tag = *tag;
	if (eris_missing_init(&t->missing, &m->cap, journal_held, journal_fetch, &t->view, WINDOW,
			      LIMIT_STREAM_BYTES)) {
		free(t);
		return NULL;
	}
	t->link = fl;
	t->entry = e;
	t->saved = e->held;
	e->arriving = true;
	t->cap = m->cap;
	t->size = m->head.stream_size;
	t->failures = store_failures(f->store);
	t->limit = t->size / t->cap.block_size / LOSS_SHARE;
	if (t->limit < LOSS_MIN)
		t->limit = LOSS_MIN;
	DL_APPEND(fl->transfers, t);
	fl->n_transfers++;
	f->n_transfers++;
	return t;
}

/* Asks whether a parcel is wanted. False when it was answered. */
static bool is_wanted(struct flow_link *fl, const struct ident *id, const struct manifest *m)
{
	struct flow *f = fl->flow;
	struct inbox_entry *e = inbox_find(&f->inbox, id);
	enum parcel_answer answer = e && e->unwanted ? PARCEL_REFUSE : parcel_ask(f, m, id);

	if (answer == PARCEL_TAKE)
		return true;
	refuse(fl, id, answer == PARCEL_LATER ? EXCHANGE_BUSY : EXCHANGE_UNWANTED);
	if (e && answer == PARCEL_REFUSE && !e->arriving)
		inbox_remove(&f->inbox, e, true);
	return false;
}

/* Takes up or goes on with a stream whose manifest was opened. */
static void begin(struct flow_link *fl, const struct ident *id, const struct manifest *m,
		  const struct exchange_message *msg)
{
	struct flow *f = fl->flow;
	struct inbox_entry *e = inbox_find(&f->inbox, id);
	struct inbox_entry like = { .id = *id, .to = m->head.to, .created_s = m->created_s,
				    .size = m->head.stream_size, .from = m->head.from,
				    .kind = m->kind };
	struct journal_tag tag;
	struct transfer *t;

	journal_tag_derive(&m->cap, &tag);
	like.tag = tag;
	if (msg->type == EXCHANGE_OFFER)
		like.local = m->head.to.address;
	if (m->kind && msg->type == EXCHANGE_OFFER && !is_wanted(fl, id, m))
		return;
	/* A stream no room is left for is not begun; one that is begun goes on while it can. */
	if (fl->n_transfers >= MAX_PER_LINK || f->n_transfers >= MAX_TRANSFERS ||
	    tag_is_arriving(f, &tag) ||
	    (!e && store_room(f->store) < m->head.stream_size + m->head.stream_size / 4 + (1 << 20)) ||
	    (!e && inbox_add(&f->inbox, &like, msg->offer.sealed, msg->offer.len, &e))) {
		refuse(fl, id, EXCHANGE_BUSY);
		return;
	}
	t = transfer_new(fl, m, &tag, e);
	if (!t) {
		refuse(fl, id, EXCHANGE_BUSY);
		return;
	}
	flow_link_update(fl);
	step(t);
}

bool transfer_offer(struct flow_link *fl, const struct exchange_message *m)
{
	struct flow *f = fl->flow;
	const uint8_t *secret = flow_secret(f, &fl->local);
	struct manifest *manifest;
	struct inbox_entry *e;
	struct ident id;
	int err;

	f->stats.offers_received++;
	manifest_id(m->offer.sealed, m->offer.len, &id);
	if (!secret) {
		refuse(fl, &id, EXCHANGE_ABSENT);
		return true;
	}
	e = inbox_find(&f->inbox, &id);
	if ((e && e->announced) || (!e && inbox_was_delivered(&f->inbox, &id))) {
		send_receipt(fl, &id, &fl->local);
		return true;
	}
	if (e && e->complete)
		return true;	/* the receipt goes out when it is on disk */
	manifest = malloc(sizeof(*manifest));
	if (!manifest) {
		refuse(fl, &id, EXCHANGE_BUSY);
		return true;
	}
	err = manifest_open(m->offer.sealed, m->offer.len, &fl->local, secret, manifest);
	if (!err && (!address_equal(&manifest->head.from, &fl->peer) ||
		     (manifest->kind && manifest->head.to.kind != RECIPIENT_ADDRESS)))
		err = -EBADMSG;
	if (!err)
		begin(fl, &id, manifest, m);
	else
		refuse(fl, &id, err == -ENOMEM ? EXCHANGE_BUSY :
				err == -EFBIG ? EXCHANGE_TOO_BIG : EXCHANGE_BAD);
	sodium_memzero(manifest, sizeof(*manifest));
	free(manifest);
	/* What we do not know yet (-EPROTONOSUPPORT) is no fault of the peer's. */
	return err != -EBADMSG || flow_link_wrong(fl);
}

/* What is wrong with an item whose manifest was opened, 0 for nothing. */
static int check_item(struct flow_link *fl, struct space *sp, const struct ident *id,
		      const struct manifest *m, bool *superseded)
{
	uint64_t now_s = (uint64_t)(clock_wall_ns() / 1000000000);
	struct exchange_mark mark = { m->created_s, *id }, horizon = space_horizon(sp);

	if (m->head.to.kind != RECIPIENT_NAMESPACE ||
	    (sp->commons && !commons_takes(&m->head.from, m->kind)))
		return EXCHANGE_BAD;
	/* Anybody may send his own; only members pass on those of others. */
	if (!address_equal(&m->head.from, &fl->peer) && !gossip_is_proven(fl, &sp->address))
		return EXCHANGE_BAD;
	if (space_mark_compare(&mark, &horizon) <= 0)
		return EXCHANGE_OLD;
	/* One of the clocks is wrong; it may be ours, so not for ever. */
	if (m->created_s > now_s + LIMIT_SPACE_AHEAD_S)
		return EXCHANGE_BUSY;
	if (m->head.stream_size > (sp->commons ? LIMIT_COMMONS_ITEM : LIMIT_SPACE_SHARE_BYTES))
		return EXCHANGE_TOO_BIG;
	return space_admit(sp, &mark, &m->head.from, m->kind, m->head.stream_size, superseded);
}

bool transfer_item(struct flow_link *fl, const struct exchange_message *m)
{
	struct flow *f = fl->flow;
	struct space *sp = space_find(f, &m->space);
	struct manifest *manifest;
	struct inbox_entry *e;
	struct ident id;
	bool superseded = false;
	int err, reason;

	f->stats.offers_received++;
	manifest_id(m->offer.sealed, m->offer.len, &id);
	if (!sp || !space_has_member(sp, &fl->local)) {
		refuse(fl, &id, EXCHANGE_ABSENT);
		return true;
	}
	e = inbox_find(&f->inbox, &id);
	if (e && e->announced) {
		send_receipt(fl, &id, &sp->address);
		return true;
	}
	if (e && e->complete) {
		/* Its receipt goes to whoever sent it, when it is on disk; this may be another. */
		refuse(fl, &id, EXCHANGE_BUSY);
		return true;
	}
	manifest = malloc(sizeof(*manifest));
	if (!manifest) {
		refuse(fl, &id, EXCHANGE_BUSY);
		return true;
	}
	err = manifest_open(m->offer.sealed, m->offer.len, &sp->address, sp->secret, manifest);
	reason = err == -ENOMEM ? EXCHANGE_BUSY : err == -EFBIG ? EXCHANGE_TOO_BIG :
		 err ? EXCHANGE_BAD : check_item(fl, sp, &id, manifest, &superseded);
	if (superseded) {
		/* It has done its work: there is a newer one. */
		send_receipt(fl, &id, &sp->address);
	} else if (!reason) {
		begin(fl, &id, manifest, m);
	} else {
		f->stats.items_refused += reason != EXCHANGE_BUSY;
		refuse(fl, &id, reason);
	}
	sodium_memzero(manifest, sizeof(*manifest));
	free(manifest);
	return reason != EXCHANGE_BAD || err == -EPROTONOSUPPORT || flow_link_wrong(fl);
}

struct resume {
	struct flow *flow;
	struct address local, peer;
};

static void on_caught_up(void *ctx, int err)
{
	struct resume *r = ctx;
	struct flow_link *fl = r->flow->closing ? NULL :
				flow_link_find(r->flow, &r->local, &r->peer);

	(void)err;	/* a failed store shows at the next put */
	if (fl)
		peerlink_pause(fl->peerlink, false);
	flow_settled(r->flow);
	free(r);
}

/* Lets the peer wait while commits are behind. */
static void hold_back(struct flow_link *fl)
{
	struct resume *r = malloc(sizeof(*r));

	if (!r)
		return;
	r->flow = fl->flow;
	r->local = fl->local;
	r->peer = fl->peer;
	peerlink_pause(fl->peerlink, true);
	flow_expect(fl->flow);
	store_commit(fl->flow->store, on_caught_up, r);
}

bool transfer_block(struct flow_link *fl, const struct exchange_message *m)
{
	struct flow *f = fl->flow;
	uint8_t ref[ERIS_REF_LEN];
	struct transfer *t, *next;
	bool waited = false;

	crypto_generichash(ref, sizeof(ref), m->block.data, m->block.len, NULL, 0);
	DL_FOREACH_SAFE(fl->transfers, t, next) {
		if (m->block.len != t->cap.block_size || !eris_missing_arrived(&t->missing, ref))
			continue;
		waited = true;
		if (journal_put(f->journal, &t->view.tag, ref, m->block.data, m->block.len)) {
			give_up(t, EXCHANGE_BUSY);
			continue;
		}
		t->unsafe++;
		make_safe(t);
		refill(t);
	}
	if (!waited && fl->stray) {
		fl->stray--;
		return true;
	}
	if (!waited) {
		f->stats.blocks_rejected++;
		return flow_link_wrong(fl);
	}
	f->stats.blocks_received++;
	if (store_backlog(f->store) > MAX_BACKLOG)
		hold_back(fl);
	return true;
}

bool transfer_missing(struct flow_link *fl, const struct exchange_message *m)
{
	struct transfer *t;

	DL_FOREACH(fl->transfers, t) {
		if (memcmp(t->entry->id.b, m->id.b, sizeof(m->id.b)))
			continue;
		log_warn("streams: a sender has lost a block of the stream it offered");
		give_up(t, EXCHANGE_BROKEN);
		return true;
	}
	/* Answers to a few wishes may still be on their way after a give-up. */
	return true;
}
