// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How the members of a namespace keep each other up to date: each proves its
 * membership on a connection (JOIN, PROVE), says in one hash what it holds (SUM),
 * lists it where the hashes differ (HAVE), and offers what the other's list lacks
 * (ITEM). A new item is offered at once to all who are connected.
 *
 * Whom we connect to: our neighbours in the circle of all members that have a
 * route, in the order of addresses, so that the members together are connected
 * whatever each of them knows; and one more at random, so that the way is short.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"
#include "ratmand/flow/manifest.h"

#define MAX_JOINS 64			/* namespaces on one connection */
#define LOOK_MS 5000			/* between looks at who the members are */
#define ROUND_MS 300000			/* between comparisons with the ring; half to one and a half */
#define PUSH_MS 1000			/* between connecting for new items */
#define PARTNER_MS 60000		/* a partner that does not come up, or stops, is let go */
#define SAY_MS 1000			/* between SUMs while things change */
#define REPEAT_MS 10000			/* … while they differ and nothing moves */
#define MAX_REPEATS 6
#define HAVE_MS 2000
#define HAVE_PAGES (LIMIT_SPACE_ITEMS / EXCHANGE_HAVE_MAX + 2)
/*
 * In the commons everybody is a member, so that they are never quiet for long:
 * less of everything that goes on when nothing is new.
 */
#define COMMONS_LOOK_MS 60000
#define COMMONS_ROUND_MS 3600000
#define COMMONS_APART 16		/* more items than this apart: list them at once */
#define RECENT_MS 600000
#define RING (sizeof(((struct space *)0)->ring) / sizeof(struct address))

struct join {
	struct join *prev, *next;
	struct address space;
	uint8_t nonce[EXCHANGE_NONCE_LEN], peer_nonce[EXCHANGE_NONCE_LEN];
	bool heard;			/* the peer's JOIN */
	bool proven;			/* … and its PROVE */
	bool synced;			/* both hold the same, by the last SUM */
	struct exchange_mark horizon;	/* the highest the peer has named */
	struct exchange_mark said_horizon;	/* of our last SUM */
	uint64_t said_version;
	uint64_t said_at, have_at;	/* loop ms, 0: never */
	unsigned int repeats;		/* of the same SUM, in vain */
	unsigned int pages;		/* HAVE the peer may still send */
	bool hinted;			/* it was offered what came last */
};

static struct join *join_find(const struct flow_link *fl, const struct address *space)
{
	struct join *j;

	DL_FOREACH(fl->joins, j)
		if (address_equal(&j->space, space))
			return j;
	return NULL;
}

bool gossip_is_proven(const struct flow_link *fl, const struct address *space)
{
	const struct join *j = join_find(fl, space);

	return j && j->proven;
}

bool gossip_is_busy(const struct flow_link *fl)
{
	const struct join *j;

	DL_FOREACH(fl->joins, j)
		if (!j->synced)
			return true;
	return fl->queue_count;
}

/* ---- joining ---- */

static void send_leave(struct flow_link *fl, const struct address *space)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];

	peerlink_send(fl->peerlink, frame, exchange_put_leave(frame, space));
}

static struct join *join_start(struct flow_link *fl, const struct address *space)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct join *j;
	size_t n;

	DL_COUNT(fl->joins, j, n);
	j = n < MAX_JOINS ? calloc(1, sizeof(*j)) : NULL;
	if (!j)
		return NULL;
	j->space = *space;
	randombytes_buf(j->nonce, sizeof(j->nonce));
	DL_APPEND(fl->joins, j);
	peerlink_send(fl->peerlink, frame, exchange_put_join(frame, space, j->nonce));
	flow_link_update(fl);
	return j;
}

static void join_end(struct flow_link *fl, struct join *j)
{
	DL_DELETE(fl->joins, j);
	free(j);
}

static void partner_remove(struct flow *f, struct space *sp, size_t i)
{
	flow_unwant(f, &sp->partners[i].local, &sp->partners[i].peer);
	sp->partners[i] = sp->partners[--sp->n_partners];
}

static bool on_join(struct flow_link *fl, struct space *sp, const struct exchange_message *m)
{
	struct join *j = join_find(fl, &m->space);
	uint8_t frame[EXCHANGE_SMALL_MAX], sig[MANIFEST_SIG_LEN];

	if (j && j->heard)
		return flow_link_wrong(fl);
	if (!j)
		j = join_start(fl, &m->space);
	if (!j) {
		send_leave(fl, &m->space);
		return true;
	}
	j->heard = true;
	if (sp->commons)
		commons_here(fl->flow, &fl->peer);
	memcpy(j->peer_nonce, m->join, sizeof(j->peer_nonce));
	manifest_sign_member(&sp->address, sp->secret, &fl->local, &fl->peer, j->peer_nonce,
			     j->nonce, sig);
	peerlink_send(fl->peerlink, frame, exchange_put_prove(frame, &sp->address, sig));
	return true;
}

static void say(struct flow_link *fl, struct space *sp, struct join *j);

static bool on_prove(struct flow_link *fl, struct space *sp, const struct exchange_message *m)
{
	struct join *j = join_find(fl, &m->space);

	if (!j || !j->heard || j->proven)
		return flow_link_wrong(fl);
	if (!manifest_check_member(&sp->address, &fl->peer, &fl->local, j->nonce, j->peer_nonce,
				   m->proof)) {
		fl->flow->stats.proofs_bad++;
		return flow_link_wrong(fl);
	}
	fl->flow->stats.members_proven++;
	sp->noes = 0;
	j->proven = true;
	say(fl, sp, j);
	return true;
}

/* @peer is no member of the commons, or not to be had: others are asked. */
static void say_no(struct flow *f, struct space *sp, const struct address *peer)
{
	uint64_t again;

	commons_away(f, peer);
	if (sp->noes < UINT16_MAX)
		sp->noes++;
	again = sp->looked_at + gossip_look_pause(f, sp);
	if (sp->look_at > again)
		sp->look_at = again;
}

/* It was a member once, or the news has not reached it yet. */
static bool on_leave(struct flow_link *fl, const struct exchange_message *m)
{
	struct space *sp = space_find(fl->flow, &m->space);
	struct join *j = join_find(fl, &m->space);

	if (j)
		join_end(fl, j);
	if (sp && sp->commons)
		say_no(fl->flow, sp, &fl->peer);
	for (size_t i = sp ? sp->n_partners : 0; i-- > 0;)
		if (address_equal(&sp->partners[i].local, &fl->local) &&
		    address_equal(&sp->partners[i].peer, &fl->peer))
			partner_remove(fl->flow, sp, i);
	flow_link_update(fl);
	return true;
}

/* ---- comparing ---- */

static struct exchange_mark common_horizon(const struct space *sp, const struct join *j)
{
	struct exchange_mark own = space_horizon(sp);

	return space_mark_compare(&j->horizon, &own) > 0 ? j->horizon : own;
}

/* The hash over the sorted ids of everything past @from; returns how many that are. */
static uint32_t sum_up(const struct space *sp, const struct exchange_mark *from,
		       uint8_t out[static EXCHANGE_SUM_LEN])
{
	crypto_generichash_state st;
	uint32_t count = 0;

	crypto_generichash_init(&st, NULL, 0, EXCHANGE_SUM_LEN);
	for (size_t i = 0; i < sp->n_items; i++) {
		struct exchange_mark mark = space_mark(sp->items[i]);

		if (space_mark_compare(&mark, from) <= 0)
			continue;
		crypto_generichash_update(&st, mark.id.b, sizeof(mark.id.b));
		count++;
	}
	crypto_generichash_final(&st, out, EXCHANGE_SUM_LEN);
	return count;
}

/* True when our last SUM still holds. */
static bool has_said(const struct space *sp, const struct join *j)
{
	struct exchange_mark horizon = common_horizon(sp, j);

	return j->said_at && j->said_version == sp->version &&
	       !space_mark_compare(&j->said_horizon, &horizon);
}

static void say(struct flow_link *fl, struct space *sp, struct join *j)
{
	struct exchange_mark horizon = common_horizon(sp, j);
	uint8_t frame[EXCHANGE_SMALL_MAX], hash[EXCHANGE_SUM_LEN];
	uint32_t count = sum_up(sp, &horizon, hash);

	j->said_horizon = horizon;
	j->said_version = sp->version;
	j->said_at = uv_now(fl->flow->loop);
	j->pages = HAVE_PAGES;
	peerlink_send(fl->peerlink, frame,
		      exchange_put_sum(frame, &sp->address, &horizon, count, hash));
}

/* Lists everything past @from, in pages that together leave no gap. */
static void list(struct flow_link *fl, struct space *sp, struct join *j,
		 const struct exchange_mark *from)
{
	struct exchange_mark low = *from;
	size_t at = 0;

	while (at < sp->n_items) {
		struct exchange_mark mark = space_mark(sp->items[at]);

		if (space_mark_compare(&mark, from) > 0)
			break;
		at++;
	}
	do {
		size_t n = sp->n_items - at < EXCHANGE_HAVE_MAX ? sp->n_items - at :
								  EXCHANGE_HAVE_MAX;
		struct peerlink_write *write = peerlink_write_new(EXCHANGE_HAVE_HEAD + n * 32);
		struct exchange_mark high;

		if (!write)
			return;
		memset(&high, 0xff, sizeof(high));
		if (at + n < sp->n_items)
			high = space_mark(sp->items[at + n - 1]);
		exchange_put_have(write->data, &sp->address, &low, &high, n);
		for (size_t i = 0; i < n; i++)
			memcpy(write->data + EXCHANGE_HAVE_HEAD + i * 32, sp->items[at + i]->id.b,
			       32);
		peerlink_write_send(fl->peerlink, write, EXCHANGE_HAVE_HEAD + n * 32);
		at += n;
		low = high;
	} while (at < sp->n_items);
	j->have_at = uv_now(fl->flow->loop);
}

static void enqueue(struct flow_link *fl, const struct address *space, const struct ident *id);

/*
 * What came last here is what the peer most likely lacks, and the other way round:
 * that is offered before anything is listed. True when that may be enough.
 */
static bool hint(struct flow_link *fl, const struct space *sp, struct join *j, uint32_t ours,
		 uint32_t theirs)
{
	uint64_t now = uv_now(fl->flow->loop);
	uint32_t apart = ours > theirs ? ours - theirs : theirs - ours;

	if (!sp->commons || j->hinted || apart > COMMONS_APART)
		return false;
	j->hinted = true;
	for (size_t i = 0; i < SPACE_RECENT; i++)
		if (sp->recent_at[i] && now - sp->recent_at[i] < RECENT_MS)
			enqueue(fl, &sp->address, &sp->recent[i]);
	gossip_pump(fl);
	return true;
}

static bool on_sum(struct flow_link *fl, struct space *sp, const struct exchange_message *m)
{
	struct join *j = join_find(fl, &m->space);
	uint64_t now = uv_now(fl->flow->loop);
	uint8_t hash[EXCHANGE_SUM_LEN];
	struct exchange_mark horizon;
	uint32_t count;

	if (!j || !j->proven)
		return flow_link_wrong(fl);
	if (space_mark_compare(&m->sum.horizon, &j->horizon) > 0)
		j->horizon = m->sum.horizon;
	horizon = common_horizon(sp, j);
	count = sum_up(sp, &horizon, hash);
	/* Only sums over the same stretch can be compared; ours tells the peer where to begin. */
	if (!space_mark_compare(&horizon, &m->sum.horizon)) {
		j->synced = count == m->sum.count && !memcmp(hash, m->sum.hash, sizeof(hash));
		if (!j->synced && (!j->have_at || now - j->have_at >= HAVE_MS) &&
		    !hint(fl, sp, j, count, m->sum.count))
			list(fl, sp, j, &horizon);
	} else {
		j->synced = false;
	}
	if (!has_said(sp, j))
		say(fl, sp, j);
	flow_link_update(fl);
	return true;
}

/* ---- offering ---- */

static void enqueue(struct flow_link *fl, const struct address *space, const struct ident *id)
{
	/* What does not fit is found at the next comparison. */
	if (fl->queue_count == FLOW_QUEUE_MAX)
		return;
	if (!fl->queue)
		fl->queue = calloc(FLOW_QUEUE_MAX, sizeof(*fl->queue));
	if (!fl->queue)
		return;
	fl->queue[(fl->queue_first + fl->queue_count++) % FLOW_QUEUE_MAX] =
		(struct flow_queued){ *space, *id };
}

void gossip_pump(struct flow_link *fl)
{
	struct flow *f = fl->flow;
	uint8_t sealed[MANIFEST_MAX];

	while (fl->queue_count && HASH_COUNT(fl->offers) < FLOW_MAX_OFFERED) {
		struct flow_queued q = fl->queue[fl->queue_first];
		struct inbox_entry *e = inbox_find(&f->inbox, &q.id);
		ssize_t len;

		fl->queue_first = (fl->queue_first + 1) % FLOW_QUEUE_MAX;
		fl->queue_count--;
		if (!e || !e->announced || !gossip_is_proven(fl, &q.space))
			continue;
		len = inbox_sealed(&f->inbox, e, sealed);
		if (len >= 0)
			(void)lane_offer_item(fl, &q.space, &e->id, &e->tag, sealed, (size_t)len);
	}
	if (!fl->queue_count) {
		free(fl->queue);
		fl->queue = NULL;
	}
	flow_link_update(fl);
}

static int compare_ids(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

static bool on_have(struct flow_link *fl, struct space *sp, const struct exchange_message *m)
{
	struct join *j = join_find(fl, &m->space);
	struct exchange_mark horizon;
	uint8_t (*ids)[32];

	if (!j || !j->proven || !j->pages)
		return flow_link_wrong(fl);
	j->pages--;
	horizon = common_horizon(sp, j);
	ids = malloc(m->have.n * 32 + 1);
	if (!ids)
		return true;
	if (m->have.n)
		memcpy(ids, m->have.ids, m->have.n * 32);
	qsort(ids, m->have.n, 32, compare_ids);
	for (size_t i = 0; i < sp->n_items; i++) {
		struct exchange_mark mark = space_mark(sp->items[i]);

		if (space_mark_compare(&mark, &m->have.low) <= 0 ||
		    space_mark_compare(&mark, &m->have.high) > 0 ||
		    space_mark_compare(&mark, &horizon) <= 0 ||
		    bsearch(mark.id.b, ids, m->have.n, 32, compare_ids))
			continue;
		enqueue(fl, &sp->address, &mark.id);
	}
	free(ids);
	gossip_pump(fl);
	return true;
}

void gossip_unsynced(struct flow_link *fl, const struct address *space)
{
	struct join *j = join_find(fl, space);

	if (j)
		j->synced = false;
}

bool gossip_message(struct flow_link *fl, const struct exchange_message *m)
{
	struct space *sp = space_find(fl->flow, &m->space);

	if (!flow_link_allow(fl))
		return flow_link_wrong(fl);
	if (m->type == EXCHANGE_LEAVE)
		return on_leave(fl, m);
	if (!sp || !space_has_member(sp, &fl->local)) {
		/* What was on its way when we left says nothing about the peer. */
		if (m->type == EXCHANGE_JOIN)
			send_leave(fl, &m->space);
		return true;
	}
	switch (m->type) {
	case EXCHANGE_JOIN:
		return on_join(fl, sp, m);
	case EXCHANGE_PROVE:
		return on_prove(fl, sp, m);
	case EXCHANGE_SUM:
		return on_sum(fl, sp, m);
	default:	/* EXCHANGE_HAVE */
		return on_have(fl, sp, m);
	}
}

/* ---- partners ---- */

static void partner_add(struct flow *f, struct space *sp, const struct address *local,
			const struct address *peer)
{
	uint64_t until = uv_now(f->loop) + PARTNER_MS;
	struct flow_link *fl = flow_link_find(f, local, peer);

	for (size_t i = 0; i < sp->n_partners; i++)
		if (address_equal(&sp->partners[i].peer, peer)) {
			sp->partners[i].until = until;
			return;
		}
	if (sp->n_partners == SPACE_PARTNERS || flow_want(f, local, peer))
		return;
	sp->partners[sp->n_partners++] = (struct space_partner){ *local, *peer, until };
	if (fl && !join_find(fl, &sp->address))
		join_start(fl, &sp->address);
}

/* The ring, found in one pass over the members, and one of them at random. */
struct circle {
	const struct space *space;
	size_t n;			/* members seen */
	struct address next[RING];	/* the next one after each of ours, ... */
	struct address second;		/* ... and the one behind that for the first of ours */
	struct address random;
};

/* How far @member is from @local on the circle: true when @a is nearer than @b. */
static bool is_nearer(const struct address *local, const struct address *a,
		      const struct address *b)
{
	bool a_wraps = address_compare(a, local) < 0, b_wraps = address_compare(b, local) < 0;

	return a_wraps != b_wraps ? b_wraps : address_compare(a, b) < 0;
}

static void circle_add(void *ctx, const struct address *member)
{
	struct circle *c = ctx;
	const struct space *sp = c->space;
	size_t max = sp->n_members < RING ? sp->n_members : RING;

	if (!c->n || is_nearer(&sp->members[0], member, &c->next[0]))
		c->second = c->n ? c->next[0] : *member;
	else if (c->n == 1 || is_nearer(&sp->members[0], member, &c->second))
		c->second = *member;
	for (size_t i = 0; i < max; i++)
		if (!c->n || is_nearer(&sp->members[i], member, &c->next[i]))
			c->next[i] = *member;
	if (!randombytes_uniform((uint32_t)++c->n))
		c->random = *member;
}

/* The ring: the next member after each of ours, the one behind that for the first. */
static size_t find_ring(const struct circle *c, struct address *ring)
{
	size_t n = 0;

	for (size_t i = 0; c->n && i < c->space->n_members && n < RING; i++)
		ring[n++] = c->next[i];
	if (c->n > 1 && n < RING)
		ring[n++] = c->second;
	return n;
}

static bool contains(const struct address *list, size_t n, const struct address *a)
{
	for (size_t i = 0; i < n; i++)
		if (address_equal(&list[i], a))
			return true;
	return false;
}

/* Looks who is there; compares with those who are new, or (@all) with everybody in the ring. */
static void look(struct flow *f, struct space *sp, bool all)
{
	struct circle c = { .space = sp };
	struct address ring[RING];
	size_t n;

	sp->looked_at = uv_now(f->loop);
	sp->look_at = sp->looked_at + (sp->commons ? gossip_look_pause(f, sp) : LOOK_MS);
	flow_members(f, &sp->address, circle_add, &c);
	n = find_ring(&c, ring);
	for (size_t i = 0; i < n; i++)
		if (all || !contains(sp->ring, sp->n_ring, &ring[i]))
			partner_add(f, sp, &sp->members[0], &ring[i]);
	if (all && c.n)
		partner_add(f, sp, &sp->members[0], &c.random);
	memcpy(sp->ring, ring, n * sizeof(ring[0]));
	sp->n_ring = n;
}

uint64_t gossip_look_pause(struct flow *f, const struct space *sp)
{
	/* Other namespaces say who is a member; whoever is new is looked at as soon as he is heard of. */
	if (!sp->commons)
		return 0;
	if (sp->noes)
		return (uint64_t)LOOK_MS << (sp->noes / 8 < 6 ? sp->noes / 8 : 6);
	return uv_now(f->loop) - sp->up_at < COMMONS_LOOK_MS ? LOOK_MS : COMMONS_LOOK_MS;
}

void gossip_push(struct flow *f, struct space *sp, struct inbox_entry *e,
		 const struct flow_link *except)
{
	struct flow_link *fl;
	struct join *j;

	DL_FOREACH(f->links, fl) {
		j = join_find(fl, &sp->address);
		if (!j || !j->proven || fl == except)
			continue;
		j->synced = false;
		enqueue(fl, &sp->address, &e->id);
		gossip_pump(fl);
	}
	/* Many at once are one reason to connect. */
	if (uv_now(f->loop) - sp->pushed_at < PUSH_MS) {
		sp->push_due = true;
		return;
	}
	sp->pushed_at = uv_now(f->loop);
	look(f, sp, true);
}

/* ---- time ---- */

/* A partner is done with when both hold the same. */
static void tend_partners(struct flow *f, struct space *sp, uint64_t now)
{
	for (size_t i = sp->n_partners; i-- > 0;) {
		struct space_partner *p = &sp->partners[i];
		struct flow_link *fl = flow_link_find(f, &p->local, &p->peer);
		struct join *j = fl ? join_find(fl, &sp->address) : NULL;

		if (fl && !j)
			j = join_start(fl, &sp->address);
		if (fl && (fl->transfers || fl->offers || fl->queue_count))
			p->until = now + PARTNER_MS;
		else if (j && j->proven && j->synced && has_said(sp, j))
			p->until = now;
		if (now < p->until)
			continue;
		if (sp->commons && !(j && j->proven)) {
			struct address peer = p->peer;

			partner_remove(f, sp, i);
			say_no(f, sp, &peer);
		} else {
			partner_remove(f, sp, i);
		}
	}
}

/* Says what has changed, when it is quiet; repeats it while both differ. */
static void tend_joins(struct flow_link *fl, uint64_t now)
{
	struct join *j;

	if (fl->transfers || fl->offers || fl->queue_count)
		return;
	DL_FOREACH(fl->joins, j) {
		struct space *sp = space_find(fl->flow, &j->space);

		if (!sp || !j->proven || now - j->said_at < SAY_MS)
			continue;
		if (!has_said(sp, j)) {
			j->synced = false;
			j->repeats = 0;
			say(fl, sp, j);
		} else if (!j->synced && now - j->said_at >= REPEAT_MS) {
			/* Something one of us does not take: not to be settled on this connection. */
			if (++j->repeats > MAX_REPEATS)
				j->synced = true;
			else
				say(fl, sp, j);
		}
	}
	flow_link_update(fl);
}

void gossip_tick(struct flow *f)
{
	uint64_t now = uv_now(f->loop);
	struct flow_link *fl;
	struct space *sp;

	for (sp = f->spaces; sp; sp = sp->hh.next) {
		bool all = now >= sp->round_at;

		if (sp->push_due && now - sp->pushed_at >= PUSH_MS) {
			sp->push_due = false;
			sp->pushed_at = now;
			look(f, sp, true);
		}
		if (all) {
			uint32_t round = sp->commons ? COMMONS_ROUND_MS : ROUND_MS;

			sp->round_at = now + round / 2 + randombytes_uniform(round);
		}
		if (all || now >= sp->look_at)
			look(f, sp, all);
		tend_partners(f, sp, now);
	}
	DL_FOREACH(f->links, fl)
		tend_joins(fl, now);
}

/* ---- coming and going ---- */

void gossip_link_up(struct flow_link *fl)
{
	struct space *sp;

	for (sp = fl->flow->spaces; sp; sp = sp->hh.next)
		for (size_t i = 0; i < sp->n_partners; i++)
			if (address_equal(&sp->partners[i].local, &fl->local) &&
			    address_equal(&sp->partners[i].peer, &fl->peer) &&
			    !join_find(fl, &sp->address))
				join_start(fl, &sp->address);
}

void gossip_link_down(struct flow_link *fl)
{
	while (fl->joins)
		join_end(fl, fl->joins);
	free(fl->queue);
	fl->queue = NULL;
	fl->queue_count = 0;
}

void gossip_left(struct flow *f, struct space *sp, const struct address *local)
{
	struct flow_link *fl;
	struct join *j;

	DL_FOREACH(f->links, fl) {
		j = address_equal(&fl->local, local) ? join_find(fl, &sp->address) : NULL;
		if (!j)
			continue;
		send_leave(fl, &sp->address);
		join_end(fl, j);
		flow_link_update(fl);
	}
	for (size_t i = sp->n_partners; i-- > 0;)
		if (address_equal(&sp->partners[i].local, local))
			partner_remove(f, sp, i);
	sp->n_ring = 0;
	sp->look_at = 0;
}

void gossip_free_partners(struct flow *f, struct space *sp)
{
	while (sp->n_partners)
		partner_remove(f, sp, sp->n_partners - 1);
}
