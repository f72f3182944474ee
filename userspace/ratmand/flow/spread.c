// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Streams to a namespace from a daemon that has no member of it: offered to three
 * members, until two have given their receipt, or the only one there is. From
 * there on the members spread them (gossip.c). With a member here the stream
 * becomes an item of ours at once.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "ratmand/flow/core.h"
#include "ratmand/flow/manifest.h"

#define TARGETS (sizeof(((struct spread *)0)->targets) / sizeof(struct address))
/* Members that do not answer make room for others after this time. */
#define CHOOSE_MS 20000
/* One receipt is enough when no second one comes in this time. */
#define ENOUGH_MS 60000
/* Members that give no receipt make room for others after this time. */
#define STUCK_MS 300000
#define RETRY_MIN_MS 1000
#define RETRY_MAX_MS 60000
#define RECEIPTS 2
#define REFUSALS 3

static struct spread *spread_find(struct flow *f, const struct address *from,
				  const struct address *space)
{
	struct lane_key key = { *from, *space };
	struct spread *s;

	HASH_FIND(hh, f->spreads, &key, sizeof(key), s);
	return s;
}

int spread_add(struct flow *f, struct outbox_entry *e)
{
	struct spread *s = spread_find(f, &e->from, &e->to.address);

	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
		s->key.from = e->from;
		s->key.to = e->to.address;
		s->moved_at = uv_now(f->loop);
		HASH_ADD_KEYPTR(hh, f->spreads, &s->key, sizeof(s->key), s);
		if (!s->hh.tbl) {
			free(s);
			return -ENOMEM;
		}
	}
	DL_APPEND(s->entries, e);
	return 0;
}

static void untarget(struct flow *f, struct spread *s)
{
	for (size_t i = 0; i < s->n_targets; i++)
		flow_unwant(f, &s->key.from, &s->targets[i]);
	s->n_targets = 0;
}

void spread_remove(struct flow *f, struct outbox_entry *e, bool stored)
{
	struct spread *s = spread_find(f, &e->from, &e->to.address);

	if (s) {
		DL_DELETE(s->entries, e);
		if (!s->entries) {
			untarget(f, s);
			HASH_DEL(f->spreads, s);
			free(s);
		}
	}
	outbox_remove(&f->outbox, e, stored);
}

/* ---- a member here ---- */

struct adoption {
	struct flow *flow;
	struct ident id;
};

static void on_adopted(void *ctx, int err)
{
	struct adoption *a = ctx;
	struct flow *f = a->flow;
	struct outbox_entry *o = f->closing ? NULL : outbox_find(&f->outbox, &a->id);
	struct inbox_entry *e = f->closing ? NULL : inbox_find(&f->inbox, &a->id);

	if (err && o)
		o->retry_at = uv_now(f->loop) + RETRY_MAX_MS;
	else if (o)
		spread_remove(f, o, true);
	/* One that is announced was there before, and stays whatever became of this commit. */
	if (e && e->complete && !e->announced && err) {
		inbox_remove(&f->inbox, e, false);
	} else if (e && e->complete && !e->announced) {
		inbox_announce(&f->inbox, e);
		space_item_complete(f, e, NULL);
	}
	free(a);
	flow_settled(f);
}

/* The entry becomes an item; it leaves the outbox when that is durable. */
static int adopt(struct flow *f, struct outbox_entry *e)
{
	struct inbox_entry like = { .id = e->id, .tag = e->tag, .to = e->to,
				    .created_s = e->created_s, .size = e->size,
				    .from = e->from, .kind = e->kind, .complete = true,
				    .pool = e->kind != 0 };
	struct adoption *a = malloc(sizeof(*a));
	uint8_t sealed[MANIFEST_MAX];
	struct inbox_entry *in;
	ssize_t len;
	int err;

	if (!a)
		return -ENOMEM;
	len = outbox_sealed(&f->outbox, e, sealed);
	err = len < 0 ? (int)len : recv_make_way(f, &e->id);
	if (!err)
		err = inbox_add(&f->inbox, &like, sealed, (size_t)len, &in);
	if (err && err != -EEXIST) {
		free(a);
		return err;
	}
	a->flow = f;
	a->id = e->id;
	e->retry_at = UINT64_MAX;
	flow_expect(f);
	store_commit(f->store, on_adopted, a);
	return 0;
}

/* ---- members elsewhere ---- */

struct choice {
	const struct spread *spread;
	size_t n;			/* members with a route */
	struct { uint64_t rank; struct address member; } best[16];
	size_t n_best;
};

static uint64_t rank_of(const struct spread *s, const struct address *member)
{
	crypto_generichash_state st;
	uint8_t hash[16];
	uint64_t rank;

	crypto_generichash_init(&st, NULL, 0, sizeof(hash));
	crypto_generichash_update(&st, (const uint8_t *)&s->key, sizeof(s->key));
	crypto_generichash_update(&st, member->b, ADDRESS_LEN);
	crypto_generichash_final(&st, hash, sizeof(hash));
	memcpy(&rank, hash, sizeof(rank));
	return rank;
}

/* Keeps the lowest ranks, in order: senders spread over members, and a sender stays with its own. */
static void consider(void *ctx, const struct address *member)
{
	struct choice *c = ctx;
	uint64_t rank = rank_of(c->spread, member);
	size_t max = sizeof(c->best) / sizeof(c->best[0]);
	size_t i;

	c->n++;
	if (c->n_best == max && c->best[max - 1].rank <= rank)
		return;
	if (c->n_best < max)
		c->n_best++;
	for (i = c->n_best - 1; i > 0 && c->best[i - 1].rank > rank; i--)
		c->best[i] = c->best[i - 1];
	c->best[i].rank = rank;
	c->best[i].member = *member;
}

/* True when the members chosen are not there, or do not what they should. */
static bool is_stuck(struct flow *f, const struct spread *s)
{
	if (!s->n_targets)
		return false;
	if (uv_now(f->loop) - s->moved_at >= STUCK_MS)
		return true;
	for (size_t i = 0; i < s->n_targets; i++)
		if (flow_link_find(f, &s->key.from, &s->targets[i]))
			return false;
	return uv_now(f->loop) - s->chosen_at >= CHOOSE_MS;
}

/* Takes three members; others when they are of no use. Returns how many have a route. */
static size_t choose(struct flow *f, struct spread *s)
{
	struct choice c = { .spread = s };
	size_t n;

	if (is_stuck(f, s)) {
		s->turn += s->n_targets;
		s->moved_at = uv_now(f->loop);
	}
	flow_members(f, &s->key.to, consider, &c);
	n = c.n_best < TARGETS ? c.n_best : TARGETS;
	untarget(f, s);
	for (size_t i = 0; i < n; i++) {
		const struct address *member = &c.best[(s->turn + i) % c.n_best].member;

		if (!flow_want(f, &s->key.from, member))
			s->targets[s->n_targets++] = *member;
	}
	s->chosen_at = uv_now(f->loop);
	return c.n;
}

static bool is_target(const struct spread *s, const struct address *peer)
{
	for (size_t i = 0; i < s->n_targets; i++)
		if (address_equal(&s->targets[i], peer))
			return true;
	return false;
}

static void offer_some(struct flow_link *fl, struct spread *s)
{
	struct flow *f = fl->flow;
	uint64_t now = uv_now(f->loop);
	uint8_t sealed[MANIFEST_MAX];
	struct outbox_entry *e;

	DL_FOREACH(s->entries, e) {
		ssize_t len;
		int err;

		if (HASH_COUNT(fl->offers) >= FLOW_MAX_OFFERED)
			return;
		if (e->retry_at > now ||
		    (e->receipts && address_equal(&e->receipt_from, &fl->peer)))
			continue;
		len = outbox_sealed(&f->outbox, e, sealed);
		err = len < 0 ? (int)len :
		      lane_offer_item(fl, &s->key.to, &e->id, &e->tag, sealed, (size_t)len);
		if (err && err != -EEXIST)
			e->retry_at = now + RETRY_MAX_MS;
		else if (!err)
			e->state = FLOW_OFFERED;
	}
}

void spread_offer(struct flow_link *fl)
{
	struct spread *s;

	for (s = fl->flow->spreads; s; s = s->hh.next)
		if (address_equal(&s->key.from, &fl->local) && is_target(s, &fl->peer))
			offer_some(fl, s);
}

void spread_receipt(struct flow_link *fl, struct outbox_entry *e)
{
	struct spread *s = spread_find(fl->flow, &e->from, &e->to.address);

	/* The next tick sees whether there is a second member at all. */
	if (s) {
		s->moved_at = uv_now(fl->flow->loop);
		s->chosen_at = 0;
	}
	if (e->receipts && address_equal(&e->receipt_from, &fl->peer))
		return;
	if (!e->receipts++) {
		e->receipt_from = fl->peer;
		e->receipt_at = uv_now(fl->flow->loop);
	}
	if (e->receipts < RECEIPTS)
		return;
	log_debug("streams: two members of a namespace have %llu bytes",
		  (unsigned long long)e->size);
	e->state = FLOW_DELIVERED;
	spread_remove(fl->flow, e, true);
}

void spread_refused(struct flow_link *fl, struct outbox_entry *e, enum exchange_reason reason)
{
	struct flow *f = fl->flow;
	uint64_t pause;

	e->state = FLOW_QUEUED;
	if (reason == EXCHANGE_ABSENT && commons_is(&e->to.address)) {
		struct spread *s = spread_find(f, &e->from, &e->to.address);

		/* Whom we asked is no member: others are. */
		commons_away(f, &fl->peer);
		if (s)
			s->chosen_at = 0;
	}
	if (reason != EXCHANGE_BUSY && reason != EXCHANGE_ABSENT && !e->receipts &&
	    ++e->refusals >= REFUSALS) {
		/* One member may be wrong or lie. */
		log_warn("streams: members of a namespace refuse a stream for good (reason %d)",
			 (int)reason);
		e->state = FLOW_REFUSED;
		spread_remove(f, e, true);
		return;
	}
	if (e->attempts < UINT32_MAX)
		e->attempts++;
	pause = (uint64_t)RETRY_MIN_MS << (e->attempts < 6 ? e->attempts : 6);
	if (pause > RETRY_MAX_MS)
		pause = RETRY_MAX_MS;
	e->retry_at = uv_now(f->loop) + pause / 2 + randombytes_uniform((uint32_t)pause);
	(void)outbox_save(&f->outbox, e);
}

/* ---- time and events ---- */

/* Hands over what is due to the member here. */
static void adopt_all(struct flow *f, struct spread *s)
{
	struct outbox_entry *e;
	uint64_t now = uv_now(f->loop);

	untarget(f, s);
	DL_FOREACH(s->entries, e) {
		if (e->retry_at <= now && adopt(f, e))
			e->retry_at = now + RETRY_MIN_MS;
	}
}

/* Ends what one member has when there is no second one to be found. */
static void end_enough(struct flow *f, struct spread *s, size_t n_members)
{
	struct outbox_entry *e, *next;
	uint64_t now = uv_now(f->loop);

	for (e = s->entries; e; e = next) {
		bool last = !e->next;

		next = e->next;
		if (e->receipts && (n_members < 2 || now - e->receipt_at >= ENOUGH_MS)) {
			e->state = FLOW_DELIVERED;
			spread_remove(f, e, true);	/* with the last one @s goes, too */
		}
		if (last)
			return;
	}
}

static void spread_step(struct flow *f, struct spread *s)
{
	uint64_t now = uv_now(f->loop);
	struct flow_link *fl;

	if (space_find(f, &s->key.to)) {
		adopt_all(f, s);
		return;
	}
	if (!flow_secret(f, &s->key.from)) {
		untarget(f, s);
		return;
	}
	if (!s->chosen_at || now - s->chosen_at >= CHOOSE_MS) {
		size_t n = choose(f, s);

		end_enough(f, s, n);
		return;
	}
	for (size_t i = 0; i < s->n_targets; i++) {
		fl = flow_link_find(f, &s->key.from, &s->targets[i]);
		if (fl)
			offer_some(fl, s);
	}
}

void spread_tick(struct flow *f)
{
	struct spread *s, *next;

	for (s = f->spreads; s; s = next) {
		next = s->hh.next;
		spread_step(f, s);
	}
}

void spread_kick(struct flow *f, struct outbox_entry *e)
{
	struct spread *s = spread_find(f, &e->from, &e->to.address);

	if (s && !f->closing)
		spread_step(f, s);
}

void spread_members_changed(struct flow *f, const struct address *space)
{
	struct spread *s, *next;
	struct space *sp;

	for (sp = f->spaces; sp; sp = sp->hh.next)
		if ((!space || address_equal(&sp->address, space)) &&
		    sp->look_at > sp->looked_at + gossip_look_pause(f, sp))
			sp->look_at = sp->looked_at + gossip_look_pause(f, sp);
	for (s = f->spreads; s; s = next) {
		next = s->hh.next;
		if (space && !address_equal(&s->key.to, space))
			continue;
		/* Those that were found keep their turn; the next tick looks for more. */
		if (s->n_targets < TARGETS)
			s->chosen_at = 0;
		if (space && space_find(f, space))
			spread_step(f, s);
	}
}

void spread_local_down(struct flow *f, const struct address *local)
{
	struct spread *s;

	for (s = f->spreads; s; s = s->hh.next)
		if (address_equal(&s->key.from, local)) {
			untarget(f, s);
			s->chosen_at = 0;
		}
}
