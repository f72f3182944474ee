// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespaces: who is a member here, and the streams kept for all members ("items").
 *
 * An item lies in the inbox without a local address; each member here has an
 * inbox entry of its own, named by the item and the address, so that each gets
 * every stream exactly once. Items are ordered by time and id. Whatever has to
 * go goes from the old end, and the horizon says how far: nothing up to it is
 * ever taken again, so no memory of single ids is needed.
 */
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

/* Age ends items at whole hours, so that two daemons rarely differ about it. */
#define EXPIRY_STEP_S 3600

static const char horizon_key[] = "space-horizon";
static const char delivery_context[] = "ratman delivery v1";

int space_mark_compare(const struct exchange_mark *a, const struct exchange_mark *b)
{
	if (a->created_s != b->created_s)
		return a->created_s < b->created_s ? -1 : 1;
	return memcmp(a->id.b, b->id.b, sizeof(a->id.b));
}

struct exchange_mark space_mark(const struct inbox_entry *item)
{
	return (struct exchange_mark){ item->created_s, item->id };
}

struct space *space_find(struct flow *f, const struct address *address)
{
	struct space *sp;

	HASH_FIND(hh, f->spaces, address->b, ADDRESS_LEN, sp);
	return sp;
}

bool space_has_member(const struct space *sp, const struct address *local)
{
	for (size_t i = 0; i < sp->n_members; i++)
		if (address_equal(&sp->members[i], local))
			return true;
	return false;
}

/* ---- horizon ---- */

static size_t horizon_name(const struct address *space,
			   uint8_t out[static sizeof(horizon_key) + ADDRESS_LEN])
{
	memcpy(out, horizon_key, sizeof(horizon_key));
	memcpy(out + sizeof(horizon_key), space->b, ADDRESS_LEN);
	return sizeof(horizon_key) + ADDRESS_LEN;
}

static struct exchange_mark horizon_load(struct flow *f, const struct address *space)
{
	uint8_t key[sizeof(horizon_key) + ADDRESS_LEN], value[40];
	struct exchange_mark mark = { 0 };
	struct wire_reader r;

	if (store_get(f->store, STORE_META, key, horizon_name(space, key), value,
		      sizeof(value)) != sizeof(value))
		return mark;
	wire_read_init(&r, value, sizeof(value));
	mark.created_s = wire_get_be64(&r);
	wire_get(&r, mark.id.b, sizeof(mark.id.b));
	return mark;
}

static void horizon_save(struct flow *f, const struct address *space,
			 const struct exchange_mark *mark)
{
	uint8_t key[sizeof(horizon_key) + ADDRESS_LEN], value[40];
	struct wire_writer w;

	wire_write_init(&w, value, sizeof(value));
	wire_put_be64(&w, mark->created_s);
	wire_put(&w, mark->id.b, sizeof(mark->id.b));
	/* Without it the item may come back after a restart, and go again. */
	if (store_put(f->store, STORE_META, key, horizon_name(space, key), value, sizeof(value)))
		log_debug("spaces: a horizon is not saved");
}

static uint64_t oldest_kept_s(void)
{
	uint64_t now = (uint64_t)(clock_wall_ns() / 1000000000);

	if (now < LIMIT_OUTBOX_AGE_S)
		return 0;
	return (now - LIMIT_OUTBOX_AGE_S) / EXPIRY_STEP_S * EXPIRY_STEP_S;
}

struct exchange_mark space_horizon(const struct space *sp)
{
	struct exchange_mark aged = { .created_s = oldest_kept_s() };

	return space_mark_compare(&aged, &sp->horizon) > 0 ? aged : sp->horizon;
}

/* ---- items ---- */

static size_t share_items(const struct space *sp)
{
	return sp->commons ? LIMIT_COMMONS_SHARE_ITEMS : LIMIT_SPACE_SHARE_ITEMS;
}

static uint64_t share_bytes(const struct space *sp)
{
	return sp->commons ? LIMIT_COMMONS_SHARE_BYTES : LIMIT_SPACE_SHARE_BYTES;
}

/* The place of @mark: the first item not before it. */
static size_t place(const struct space *sp, const struct exchange_mark *mark)
{
	size_t low = 0, high = sp->n_items;

	while (low < high) {
		size_t mid = (low + high) / 2;
		struct exchange_mark at = space_mark(sp->items[mid]);

		if (space_mark_compare(&at, mark) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static int keep(struct space *sp, struct inbox_entry *e)
{
	struct exchange_mark mark = space_mark(e);
	size_t at;

	if (sp->n_items == sp->room) {
		size_t room = sp->room ? 2 * sp->room : 64;
		struct inbox_entry **wider = realloc(sp->items, room * sizeof(struct inbox_entry *));

		if (!wider)
			return -ENOMEM;
		sp->items = wider;
		sp->room = room;
	}
	if (sp->commons && shares_add(&sp->shares, e))
		return -ENOMEM;
	at = place(sp, &mark);
	memmove(&sp->items[at + 1], &sp->items[at],
		(sp->n_items - at) * sizeof(struct inbox_entry *));
	sp->items[at] = e;
	sp->n_items++;
	sp->version++;
	sp->bytes += e->size;
	return 0;
}

/* Takes an item out of memory and off the disk; what members here wait for stays. */
static void item_drop(struct flow *f, struct inbox_entry *e)
{
	struct space *sp = space_find(f, &e->to.address);
	struct exchange_mark mark = space_mark(e);
	size_t at = sp ? place(sp, &mark) : 0;

	if (sp && at < sp->n_items && sp->items[at] == e) {
		sp->n_items--;
		sp->version++;
		sp->bytes -= e->size;
		if (sp->commons)
			shares_remove(&sp->shares, e);
		memmove(&sp->items[at], &sp->items[at + 1],
			(sp->n_items - at) * sizeof(struct inbox_entry *));
	}
	f->n_items--;
	f->items_bytes -= e->size;
	recv_forget(f, e, true);
}

/* ---- shares ---- */

/*
 * Of each sender a namespace keeps the newest items, as many as his share has room for, and
 * of his profiles the newest, beyond it. Both only depend on what is held, by one order for
 * all (marks), and nothing is remembered of what went: so two members that offer each
 * other what the other lacks always come to hold the same.
 */
static bool is_of(const struct inbox_entry *e, const struct address *from)
{
	return address_equal(&e->from, from);
}

int space_admit(struct space *sp, const struct exchange_mark *mark, const struct address *from,
		uint8_t kind, uint64_t size, bool *superseded)
{
	bool profile = kind == PARCEL_PROFILE;
	size_t newer = 0;
	uint64_t bytes = size;

	*superseded = false;
	for (size_t i = sp->n_items; i-- > 0;) {
		const struct inbox_entry *e = sp->items[i];
		struct exchange_mark at = space_mark(e);

		if (space_mark_compare(&at, mark) <= 0)
			break;
		if (!is_of(e, from))
			continue;
		newer += e->kind != PARCEL_PROFILE;
		bytes += e->size;
		if (profile && e->kind == PARCEL_PROFILE)
			*superseded = true;
	}
	if (*superseded)
		return 0;
	if (!profile && (newer >= share_items(sp) || bytes > share_bytes(sp)))
		return EXCHANGE_OLD;
	return !sp->commons || shares_admit(&sp->shares, sp->items, sp->n_items, mark, from, kind,
					    newer) ? 0 : EXCHANGE_OLD;
}

/* What a sender has of a namespace, of the items newer than those still to be looked at. */
struct share {
	UT_hash_handle hh;
	struct address from;
	size_t n;			/* that are no profiles */
	uint64_t bytes;
	bool profile;
};

/* The next older item of the sender whose @share it is: counted, or dropped when there is no room. */
static void tidy_one(struct flow *f, struct space *sp, struct share *share, struct inbox_entry *e)
{
	bool profile = e->kind == PARCEL_PROFILE;
	bool fits = !share->n || (share->n < share_items(sp) &&
				  share->bytes + e->size <= share_bytes(sp));

	if (profile ? share->profile : !fits) {
		f->stats.items_evicted += !profile;
		item_drop(f, e);
		return;
	}
	share->n += !profile;
	share->bytes += e->size;
	share->profile = share->profile || profile;
}

/* Drops what @from has beyond his share, and profiles that a newer one supersedes. */
static void tidy(struct flow *f, struct space *sp, const struct address *from)
{
	struct share share = { .n = 0 };

	for (size_t i = sp->n_items; i-- > 0;)
		if (is_of(sp->items[i], from))
			tidy_one(f, sp, &share, sp->items[i]);
}

/* For want of room: the horizon moves, so that it does not come back. */
static void item_evict(struct flow *f, struct inbox_entry *e)
{
	struct space *sp = space_find(f, &e->to.address);
	struct exchange_mark mark = space_mark(e);
	struct address space = e->to.address;

	if (sp)
		sp->horizon = mark;
	item_drop(f, e);
	horizon_save(f, &space, &mark);
	f->stats.items_evicted++;
}

static struct inbox_entry *oldest_of_all(struct flow *f)
{
	struct inbox_entry *e, *oldest = NULL;
	struct exchange_mark least;

	for (e = f->inbox.all; e; e = e->hh.next) {
		struct exchange_mark mark = space_mark(e);

		if (!inbox_is_item(e) || !e->announced ||
		    (oldest && space_mark_compare(&mark, &least) >= 0))
			continue;
		oldest = e;
		least = mark;
	}
	return oldest;
}

static void make_room(struct flow *f, struct space *sp)
{
	struct inbox_entry *excess;

	/* No horizon moves: what is taken again would be the first to go again. */
	while (sp && sp->commons && (excess = shares_excess(&sp->shares, sp->items, sp->n_items))) {
		f->stats.items_evicted++;
		item_drop(f, excess);
	}
	while (sp && !sp->commons && sp->n_items > 1 &&
	       (sp->n_items > LIMIT_SPACE_ITEMS || sp->bytes > LIMIT_SPACE_BYTES))
		item_evict(f, sp->items[0]);
	while (f->n_items > 1 &&
	       (f->n_items > LIMIT_SPACES_ITEMS || f->items_bytes > LIMIT_SPACES_BYTES)) {
		struct inbox_entry *e = oldest_of_all(f);

		if (!e)
			break;
		item_evict(f, e);
	}
}

/* ---- deliveries to members here ---- */

static struct ident delivery_id(const struct inbox_entry *item, const struct address *local)
{
	crypto_generichash_state st;
	struct ident id;

	crypto_generichash_init(&st, NULL, 0, sizeof(id.b));
	crypto_generichash_update(&st, (const uint8_t *)delivery_context,
				  sizeof(delivery_context));
	crypto_generichash_update(&st, item->id.b, sizeof(item->id.b));
	crypto_generichash_update(&st, local->b, ADDRESS_LEN);
	crypto_generichash_final(&st, id.b, sizeof(id.b));
	return id;
}

struct handout {
	struct flow *flow;
	struct ident id;
};

static void on_handout_durable(void *ctx, int err)
{
	struct handout *d = ctx;
	struct flow *f = d->flow;
	struct inbox_entry *e = f->closing ? NULL : inbox_find(&f->inbox, &d->id);

	if (e && err) {
		struct space *sp = space_find(f, &e->to.address);

		if (sp)
			sp->missed = true;
		claim_undo(f, e);
		inbox_remove(&f->inbox, e, false);
	} else if (e) {
		recv_announce(f, e);
	}
	free(d);
	flow_settled(f);
}

/* Gives @local its own entry of @item, unless it has or had one. */
static int deliver(struct flow *f, const struct inbox_entry *item, const struct address *local)
{
	struct inbox_entry like = { .id = delivery_id(item, local), .tag = item->tag,
				    .to = item->to, .local = *local,
				    .created_s = item->created_s, .size = item->size };
	struct inbox_entry *e = inbox_find(&f->inbox, &like.id);
	uint8_t sealed[MANIFEST_MAX];
	struct handout *d;
	ssize_t len;
	int err;

	/* One that is not complete was left behind by a crash. */
	if ((e && e->complete) || (!e && inbox_was_delivered(&f->inbox, &like.id)))
		return 0;
	len = inbox_sealed(&f->inbox, item, sealed);
	if (len < 0)
		return (int)len;
	d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	err = e ? 0 : inbox_add(&f->inbox, &like, sealed, (size_t)len, &e);
	if (!err) {
		err = claim_stream(f, e);
		if (err)
			inbox_remove(&f->inbox, e, true);
	}
	if (err) {
		free(d);
		return err;
	}
	d->flow = f;
	d->id = like.id;
	flow_expect(f);
	store_commit(f->store, on_handout_durable, d);
	return 0;
}

struct takers {
	struct flow *flow;
	struct space *space;
	const struct inbox_entry *item;
};

static void deliver_to(void *ctx, const struct address *local)
{
	struct takers *t = ctx;

	/* A parcel is handed over as the item that it is, once for all here. */
	if (!t->item->kind && deliver(t->flow, t->item, local))
		t->space->missed = true;
}

static void catch_up_one(void *ctx, const struct address *local)
{
	struct takers *t = ctx;

	space_catch_up(t->flow, t->space, local);
}

/* Every member here, and whoever listens or subscribed without being one. */
static void each_taker(struct takers *t, void (*cb)(void *ctx, const struct address *local))
{
	struct recipient to = { RECIPIENT_NAMESPACE, t->space->address };
	const struct subscription *sub;

	for (size_t i = 0; i < t->space->n_members; i++)
		cb(t, &t->space->members[i]);
	recv_listeners(t->flow, &to, cb, t);
	DL_FOREACH(t->flow->subscriptions.all, sub)
		if (recipient_equal(&sub->to, &to))
			cb(t, &sub->owner.address);
}

void space_catch_up(struct flow *f, struct space *sp, const struct address *local)
{
	struct exchange_mark horizon = space_horizon(sp);

	for (size_t i = 0; i < sp->n_items; i++) {
		struct exchange_mark mark = space_mark(sp->items[i]);

		/* Past its time, and not swept yet. */
		if (sp->items[i]->kind || space_mark_compare(&mark, &horizon) <= 0)
			continue;
		if (deliver(f, sp->items[i], local))
			sp->missed = true;
	}
}

void space_item_complete(struct flow *f, struct inbox_entry *e, const struct flow_link *from)
{
	struct space *sp = space_find(f, &e->to.address);
	struct takers t = { f, sp, e };
	struct ident id = e->id;

	f->n_items++;
	f->items_bytes += e->size;
	f->stats.items_received++;
	if (sp && !keep(sp, e)) {
		struct address sender = e->from;

		tidy(f, sp, &sender);
		/* Two that arrived at once: the newer one supersedes the other. */
		if (!inbox_find(&f->inbox, &id))
			return;
		sp->recent[sp->next_recent] = id;
		sp->recent_at[sp->next_recent] = uv_now(f->loop);
		sp->next_recent = (sp->next_recent + 1) % SPACE_RECENT;
		each_taker(&t, deliver_to);
		parcel_kick(f);
		gossip_push(f, sp, e, from);
	}
	make_room(f, sp);
	if (!inbox_find(&f->inbox, &id))
		log_debug("spaces: a stream was older than all that there is room for");
}

/* ---- life ---- */

static bool is_kept(const struct inbox_entry *e)
{
	return inbox_is_item(e) && e->complete;
}

void space_load(struct flow *f)
{
	for (const struct inbox_entry *e = f->inbox.all; e; e = e->hh.next) {
		if (!is_kept(e))
			continue;
		f->n_items++;
		f->items_bytes += e->size;
	}
}

void space_expire(struct flow *f)
{
	uint64_t oldest = oldest_kept_s();
	struct inbox_entry *e, *next;
	struct space *sp;

	for (e = f->inbox.all; e; e = next) {
		next = e->hh.next;
		if (!is_kept(e) || !e->announced || e->created_s > oldest)
			continue;
		f->stats.items_expired++;
		item_drop(f, e);
	}
	for (sp = f->spaces; sp; sp = sp->hh.next) {
		struct takers t = { f, sp, NULL };

		if (!sp->missed)
			continue;
		sp->missed = false;
		each_taker(&t, catch_up_one);
	}
}

static void space_free(struct space *sp)
{
	sodium_free(sp->secret);
	shares_free(&sp->shares);
	free(sp->members);
	free(sp->items);
	free(sp);
}

void space_free_all(struct flow *f)
{
	struct space *sp = f->spaces, *next;

	HASH_CLEAR(hh, f->spaces);
	for (; sp; sp = next) {
		next = sp->hh.next;
		space_free(sp);
	}
}

/* An entry of an older version does not say who sent it; its manifest does. */
static void find_sender(struct flow *f, const struct space *sp, struct inbox_entry *e)
{
	struct manifest *m = malloc(sizeof(*m));
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len = inbox_sealed(&f->inbox, e, sealed);

	if (m && len >= 0 && !manifest_open(sealed, (size_t)len, &sp->address, sp->secret, m))
		e->from = m->head.from;
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
}

/* Finds again what was kept when there was last a member here. */
static int collect(struct flow *f, struct space *sp)
{
	struct inbox_entry *e;

	sp->horizon = horizon_load(f, &sp->address);
	for (e = f->inbox.all; e; e = e->hh.next) {
		if (!is_kept(e) || !e->announced || !address_equal(&e->to.address, &sp->address))
			continue;
		if (address_is_zero(&e->from))
			find_sender(f, sp, e);
		if (keep(sp, e))
			return -ENOMEM;
	}
	return 0;
}

/* The share of @from, a new one when there is none; NULL when memory is short. */
static struct share *share_of(struct share **shares, const struct address *from)
{
	struct share *share;

	HASH_FIND(hh, *shares, from->b, ADDRESS_LEN, share);
	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	share->from = *from;
	HASH_ADD_KEYPTR(hh, *shares, share->from.b, ADDRESS_LEN, share);
	if (!share->hh.tbl) {
		free(share);
		return NULL;
	}
	return share;
}

/* Items may have come while there was no member here to keep the shares. */
static void tidy_all(struct flow *f, struct space *sp)
{
	struct share *shares = NULL, *share, *next;

	for (size_t i = sp->n_items; i-- > 0;) {
		share = share_of(&shares, &sp->items[i]->from);
		/* The next item of his puts it right. */
		if (share)
			tidy_one(f, sp, share, sp->items[i]);
	}
	share = shares;
	HASH_CLEAR(hh, shares);
	for (; share; share = next) {
		next = share->hh.next;
		free(share);
	}
}

static struct space *space_new(struct flow *f, const struct address *address,
			       const uint8_t *secret)
{
	struct space *sp = calloc(1, sizeof(*sp));

	if (!sp)
		return NULL;
	sp->address = *address;
	sp->commons = commons_is(address);
	shares_init(&sp->shares, LIMIT_SPACE_ITEMS, LIMIT_COMMONS_PROFILES);
	sp->up_at = uv_now(f->loop);
	sp->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (!sp->secret)
		goto fail;
	memcpy(sp->secret, secret, crypto_sign_SECRETKEYBYTES);
	if (collect(f, sp))
		goto fail;
	HASH_ADD_KEYPTR(hh, f->spaces, sp->address.b, ADDRESS_LEN, sp);
	if (!sp->hh.tbl)
		goto fail;
	tidy_all(f, sp);
	make_room(f, sp);
	return sp;
fail:
	space_free(sp);
	return NULL;
}

static void space_remove(struct flow *f, struct space *sp)
{
	gossip_free_partners(f, sp);
	HASH_DEL(f->spaces, sp);
	space_free(sp);
}

int space_join(struct flow *f, const struct address *address, const uint8_t *secret,
	       const struct address *member)
{
	struct space *sp = space_find(f, address);
	struct address *wider;
	struct recipient to = { RECIPIENT_NAMESPACE, *address };
	struct takers t = { .flow = f };
	bool fresh = !sp;

	if (memcmp(secret + crypto_sign_SEEDBYTES, address->b, ADDRESS_LEN) ||
	    !f->ops->secret(f->ctx, member))
		return -EINVAL;
	if (sp && space_has_member(sp, member))
		return 0;
	if (!sp)
		sp = space_new(f, address, secret);
	if (!sp)
		return -ENOMEM;
	wider = realloc(sp->members, (sp->n_members + 1) * sizeof(*wider));
	if (!wider) {
		if (fresh)
			space_remove(f, sp);
		return -ENOMEM;
	}
	sp->members = wider;
	sp->members[sp->n_members++] = *member;
	space_catch_up(f, sp, member);
	t.space = sp;
	if (fresh)
		recv_listeners(f, &to, catch_up_one, &t);
	recv_notify(f, &to, member);
	parcel_kick(f);
	spread_members_changed(f, address);
	/* Connections that stand may serve the namespace from now on. */
	uv_timer_start(&f->turn, f->turn.timer_cb, 1, 0);
	return 0;
}

int flow_space_up(struct flow *f, const struct address *address, const uint8_t *secret,
		  const struct address *member)
{
	return commons_is(address) ? -EPERM : space_join(f, address, secret, member);
}

void flow_space_down(struct flow *f, const struct address *address, const struct address *member)
{
	struct space *sp = space_find(f, address);

	if (!sp || !space_has_member(sp, member))
		return;
	gossip_left(f, sp, member);
	for (size_t i = 0; i < sp->n_members; i++)
		if (address_equal(&sp->members[i], member)) {
			sp->members[i] = sp->members[--sp->n_members];
			break;
		}
	if (!sp->n_members)
		space_remove(f, sp);
}

const uint8_t *flow_space_secret(struct flow *f, const struct address *address)
{
	const struct space *sp = space_find(f, address);

	/* Nobody owns the commons. */
	return sp && !sp->commons ? sp->secret : NULL;
}

bool flow_space_has_member(struct flow *f, const struct address *address,
			   const struct address *member)
{
	const struct space *sp = space_find(f, address);

	return sp && space_has_member(sp, member);
}

void flow_space_purge(struct flow *f, const struct address *address)
{
	struct space *sp;
	struct inbox_entry *e, *next;

	while ((sp = space_find(f, address))) {
		struct address member = sp->members[0];

		flow_space_down(f, address, &member);
	}
	for (e = f->inbox.all; e; e = next) {
		next = e->hh.next;
		if (e->to.kind != RECIPIENT_NAMESPACE || !address_equal(&e->to.address, address))
			continue;
		if (is_kept(e) && e->announced)
			item_drop(f, e);
		else
			recv_forget(f, e, true);
	}
}

void flow_members_changed(struct flow *f, const struct address *space)
{
	spread_members_changed(f, space);
}
