// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table: per address its record, what every neighbour advertises, the
 * choice of next hops, and what we advertise ourselves.
 *
 * Why following installed next hops never loops. Let F(A) be the feasibility
 * distance (sequence, metric) of router A for one address, ordered so that a
 * higher sequence, then a lower metric is smaller. Two rules hold at all times:
 *
 *   (1) F(A) is not larger than anything A advertises or that anybody still holds
 *       from A: it is lowered before an advertisement leaves (publish());
 *   (2) A installs B, as primary or as backup, only while what B advertised is
 *       strictly smaller than F(A) (usable()), and when F(A) is lowered the
 *       backups are checked again in the same call (install()).
 *
 * So for every installed next hop A → B: F(B) <= advertised by B < F(A). F strictly
 * falls along each step, primary or backup, whatever is still in flight; a
 * cycle would need F(A) < F(A). A backup that merely had a finite metric would not
 * do: it may lead back to us.
 *
 * F(A) may be raised only when nobody can hold an advertisement of A any more:
 * every neighbour acknowledged the retraction over the reliable channel (fd_free()).
 * Then no step leads into A, and A can be part of no cycle.
 * (RFC 8966 §2.4, §3.5.1, §3.5.4; it ages its source table by time instead.)
 */
#include <errno.h>
#include <string.h>

#include "ratmand/route/core.h"

/* ---- timers: a binary heap of entries, earliest first ---- */

static void heap_put(struct route_core *core, uint32_t at, struct route_entry *e)
{
	core->heap[at] = e;
	e->heap_at = at;
}

static void heap_fix(struct route_core *core, uint32_t at)
{
	struct route_entry *e = core->heap[at];

	while (at > 1 && core->heap[at / 2]->when > e->when) {
		heap_put(core, at, core->heap[at / 2]);
		at /= 2;
	}
	for (;;) {
		uint32_t child = at * 2;

		if (child > core->heap_n)
			break;
		if (child < core->heap_n && core->heap[child + 1]->when < core->heap[child]->when)
			child++;
		if (core->heap[child]->when >= e->when)
			break;
		heap_put(core, at, core->heap[child]);
		at = child;
	}
	heap_put(core, at, e);
}

static void timer_set(struct route_core *core, struct route_entry *e, uint64_t when)
{
	e->when = when;
	if (when != NEVER && !e->heap_at) {
		/* Every entry has its place since table_create(). */
		heap_put(core, ++core->heap_n, e);
		heap_fix(core, e->heap_at);
	} else if (when != NEVER) {
		heap_fix(core, e->heap_at);
	} else if (e->heap_at) {
		uint32_t at = e->heap_at;
		struct route_entry *last = core->heap[core->heap_n--];

		e->heap_at = 0;
		if (last != e) {
			heap_put(core, at, last);
			heap_fix(core, at);
		}
	}
}

static bool heap_reserve(struct route_core *core)
{
	uint32_t need = (uint32_t)HASH_COUNT(core->entries) + 2;
	struct route_entry **heap;

	if (need <= core->heap_cap)
		return true;
	need = need < 64 ? 64 : need + need / 2;
	heap = realloc(core->heap, need * sizeof(struct route_entry *));
	if (!heap)
		return false;
	core->bytes += (need - core->heap_cap) * sizeof(struct route_entry *);
	core->heap = heap;
	core->heap_cap = need;
	return true;
}

uint64_t table_deadline(const struct route_core *core)
{
	return core->heap_n ? core->heap[1]->when : NEVER;
}

/* ---- lists ---- */

#define LIST_IDLE 3u			/* in no list */

static struct entry_list *list_of(struct route_core *core, const struct route_entry *e)
{
	if (e->list <= LIST_RETRACT)
		return &core->lists[e->list];
	if (e->list == LIST_DEAD)
		return e->owner < ROUTE_NEIGH_MAX ? &core->neighs[e->owner]->dead : &core->orphans;
	return NULL;
}

static void list_remove(struct route_core *core, struct route_entry *e)
{
	struct entry_list *l = list_of(core, e);

	if (!l)
		return;
	if (e->list <= LIST_RETRACT) {
		for (unsigned int i = 0; i < core->n_slots; i++)
			if (core->neighs[i] && core->neighs[i]->cursor[e->list] == e)
				core->neighs[i]->cursor[e->list] = e->list_next;
	}
	if (e->list_prev)
		e->list_prev->list_next = e->list_next;
	else
		l->head = e->list_next;
	if (e->list_next)
		e->list_next->list_prev = e->list_prev;
	else
		l->tail = e->list_prev;
	e->list_prev = NULL;
	e->list_next = NULL;
	e->list = LIST_IDLE;
}

/* Appends to a list; for neighbours that had heard everything it is the next to hear. */
static void list_append(struct route_core *core, struct route_entry *e, uint8_t kind)
{
	struct entry_list *l;

	e->list = kind;
	l = list_of(core, e);
	if (!l)
		return;
	e->list_prev = l->tail;
	if (l->tail)
		l->tail->list_next = e;
	else
		l->head = e;
	l->tail = e;
	if (kind > LIST_RETRACT)
		return;
	for (unsigned int i = 0; i < core->n_slots; i++) {
		struct route_neigh *n = core->neighs[i];

		if (n && n->up && n->peer_epoch && !n->cursor[kind])
			n->cursor[kind] = e;
	}
}

static uint8_t list_wanted(const struct route_entry *e)
{
	if (e->adv_metric != ROUTE_INFINITY)
		return LIST_REACH;
	if (!set_empty(&e->told))
		return LIST_RETRACT;
	if (e->n_via || e->flags & (ENTRY_LOCAL | ENTRY_INSTALLED))
		return LIST_IDLE;
	return LIST_DEAD;
}

void table_settle(struct route_core *core, struct route_entry *e)
{
	uint8_t wanted = list_wanted(e);

	if (wanted == e->list || wanted <= LIST_RETRACT)
		return;
	list_remove(core, e);
	list_append(core, e, wanted);
}

/* ---- entries ---- */

struct route_entry *table_find(const struct route_core *core, const uint8_t *address)
{
	struct route_entry *e;

	HASH_FIND(hh, core->entries, address, ADDRESS_LEN, e);
	return e;
}

struct route_rec *table_find_record(const struct route_core *core, const uint8_t *id)
{
	struct route_rec *rec;

	HASH_FIND(hh, core->records, id, RECORD_ID_LEN, rec);
	return rec;
}

static struct route_rec *rec_of(const struct route_entry *e, uint64_t sequence)
{
	if (e->cur && e->cur->sequence == sequence)
		return e->cur;
	if (e->prev && e->prev->sequence == sequence)
		return e->prev;
	return NULL;
}

static void rec_free(struct route_core *core, struct route_rec **rec)
{
	if (!*rec)
		return;
	HASH_DEL(core->records, *rec);
	free(*rec);
	core->bytes -= sizeof(**rec);
	*rec = NULL;
}

static void owner_set(struct route_core *core, struct route_entry *e, uint8_t owner)
{
	uint8_t list = e->list;

	if (e->owner == owner)
		return;
	if (list == LIST_DEAD)
		list_remove(core, e);
	if (e->owner < ROUTE_NEIGH_MAX)
		core->neighs[e->owner]->owned--;
	e->owner = owner;
	if (owner < ROUTE_NEIGH_MAX)
		core->neighs[owner]->owned++;
	if (list == LIST_DEAD)
		list_append(core, e, LIST_DEAD);
}

void table_free(struct route_core *core, struct route_entry *e)
{
	owner_set(core, e, SLOT_ORPHAN);
	list_remove(core, e);
	timer_set(core, e, NEVER);
	while (e->n_via) {
		struct route_via *v = &e->via[e->n_via - 1];

		table_set_via(core, e, core->neighs[v->slot], 0, ROUTE_INFINITY, 0, 0);
	}
	list_remove(core, e);
	if (e->flags & ENTRY_UNRESOLVED)
		core->unresolved--;
	if (e->flags & ENTRY_FD_UNKNOWN)
		core->unknown_fd--;
	rec_free(core, &e->cur);
	rec_free(core, &e->prev);
	core->bytes -= sizeof(*e) + e->cap_via * sizeof(*e->via);
	free(e->via);
	HASH_DEL(core->entries, e);
	free(e);
}

void table_forget_owner(struct route_core *core, struct route_neigh *n)
{
	struct route_entry *e, *tmp;

	HASH_ITER(hh, core->entries, e, tmp)
		if (e->owner == n->slot)
			owner_set(core, e, SLOT_ORPHAN);
}

/* Room for one more entry charged to @owner: first what can be forgotten goes. */
static int make_room(struct route_core *core, struct route_neigh *owner)
{
	if (owner && owner->owned >= core->cfg.quota) {
		if (!owner->dead.head) {
			core->stats.drop_over_quota++;
			return -ENOSPC;
		}
		table_free(core, owner->dead.head);
	}
	if (HASH_COUNT(core->entries) < core->cfg.max_addresses)
		return 0;
	if (owner && owner->dead.head) {
		table_free(core, owner->dead.head);
		return 0;
	}
	if (core->orphans.head) {
		table_free(core, core->orphans.head);
		return 0;
	}
	core->stats.drop_table_full++;
	return -ENOSPC;
}

struct route_entry *table_create(struct route_core *core, uint64_t now, const uint8_t *address,
				 struct route_neigh *owner, int *err)
{
	struct route_entry *e;

	*err = make_room(core, owner);
	if (*err)
		return NULL;
	*err = -ENOMEM;
	e = heap_reserve(core) ? calloc(1, sizeof(*e)) : NULL;
	if (!e)
		goto no_memory;
	memcpy(e->address.b, address, ADDRESS_LEN);
	HASH_ADD(hh, core->entries, address, ADDRESS_LEN, e);
	if (!e->hh.tbl) {
		free(e);
		goto no_memory;
	}
	core->bytes += sizeof(*e);
	e->list = LIST_IDLE;
	e->owner = SLOT_ORPHAN;
	e->sel = SLOT_NONE;
	e->fd_metric = ROUTE_INFINITY;
	e->adv_metric = ROUTE_INFINITY;
	e->when = NEVER;
	e->switched_at = now;
	owner_set(core, e, owner ? owner->slot : SLOT_ORPHAN);
	if (!core_settled(core, now)) {
		e->flags |= ENTRY_FD_UNKNOWN;
		core->unknown_fd++;
	}
	*err = 0;
	return e;

no_memory:
	core->stats.drop_no_memory++;
	return NULL;
}

void table_encode(const struct route_rec *rec, uint8_t out[static RECORD_LEN])
{
	struct record r = {
		.address = rec->entry->address,
		.sequence = rec->sequence,
		.lifetime_s = rec->lifetime_s,
		.flags = rec->flags,
	};

	memcpy(r.signature, rec->signature, RECORD_SIG_LEN);
	record_encode(&r, out);
}

/* Removes vias of records that are no longer known. */
static void drop_orphan_vias(struct route_core *core, struct route_entry *e)
{
	for (unsigned int i = e->n_via; i-- > 0;) {
		struct route_via *v = &e->via[i];

		if (!(v->flags & VIA_RESTORED) && !rec_of(e, v->sequence))
			table_set_via(core, e, core->neighs[v->slot], 0, ROUTE_INFINITY, 0, 0);
	}
}

/*
 * The record before stays known, as prev, while a route of its sequence is in use:
 * a new sequence then travels along the best tree instead of moving everybody onto the
 * path on which it happened to come first.
 */
int table_set_record(struct route_core *core, uint64_t now, struct route_entry *e,
		     const struct record *r, const uint8_t *bytes, uint32_t remaining_s)
{
	uint32_t life = r->lifetime_s < remaining_s ? r->lifetime_s : remaining_s;
	struct route_rec *rec = calloc(1, sizeof(*rec));
	struct route_rec **drop;

	if (!rec)
		goto no_memory;
	record_id(bytes, rec->id);
	if (table_find_record(core, rec->id)) {
		free(rec);
		core->stats.drop_conflict++;
		return -EEXIST;
	}
	rec->entry = e;
	rec->sequence = r->sequence;
	rec->expires = now + life * UINT64_C(1000);
	rec->lifetime_s = r->lifetime_s;
	rec->flags = r->flags;
	memcpy(rec->signature, r->signature, RECORD_SIG_LEN);
	HASH_ADD(hh, core->records, id, RECORD_ID_LEN, rec);
	if (!rec->hh.tbl) {
		free(rec);
		goto no_memory;
	}
	core->bytes += sizeof(*rec);

	drop = &e->prev;
	if (e->prev && e->adv_metric != ROUTE_INFINITY && e->adv_sequence == e->prev->sequence)
		drop = &e->cur;
	rec_free(core, drop);
	if (drop == &e->prev)
		e->prev = e->cur;
	e->cur = rec;
	drop_orphan_vias(core, e);
	e->grace_until = now + GRACE_MS;
	e->req_tries = 0;
	if (r->sequence > e->seen) {
		e->seen = r->sequence;
		core->stats.records_new++;
		if (core->ops.seen)
			core->ops.seen(core->ctx, &e->address, r->sequence);
	}
	return 0;

no_memory:
	core->stats.drop_no_memory++;
	return -ENOMEM;
}

/* ---- vias ---- */

struct route_via *table_via(const struct route_entry *e, unsigned int slot)
{
	for (unsigned int i = 0; i < e->n_via; i++)
		if (e->via[i].slot == slot)
			return &e->via[i];
	return NULL;
}

/* An order-independent sum over everything a neighbour advertises is kept by both sides. */
void table_digest_of(const struct route_entry *e, uint64_t sequence, uint16_t metric,
		     uint64_t out[static 2])
{
	static const uint8_t key[crypto_shorthash_siphashx24_KEYBYTES] = "ratman digest 1";
	uint8_t in[ADDRESS_LEN + 10], hash[crypto_shorthash_siphashx24_BYTES];
	struct wire_writer w;
	struct wire_reader r;

	wire_write_init(&w, in, sizeof(in));
	wire_put(&w, e->address.b, ADDRESS_LEN);
	wire_put_be64(&w, sequence);
	wire_put_be16(&w, metric);
	crypto_shorthash_siphashx24(hash, in, sizeof(in), key);
	wire_read_init(&r, hash, sizeof(hash));
	out[0] = wire_get_be64(&r);
	out[1] = wire_get_be64(&r);
}

static void digest_add(struct route_neigh *n, const struct route_entry *e,
		       const struct route_via *v, bool add)
{
	uint64_t d[2];

	if (v->flags & VIA_RESTORED)
		return;
	table_digest_of(e, v->sequence, v->metric, d);
	n->in_digest[0] += add ? d[0] : -d[0];
	n->in_digest[1] += add ? d[1] : -d[1];
}

static void via_remove(struct route_core *core, struct route_entry *e, struct route_neigh *n,
		       struct route_via *v)
{
	digest_add(n, e, v, false);
	n->routes--;
	if (v->flags & VIA_STALE)
		n->stale--;
	*v = e->via[--e->n_via];
	/* Who still advertises it now answers for it. */
	if (e->owner == n->slot && e->n_via)
		owner_set(core, e, e->via[0].slot);
}

static struct route_via *via_add(struct route_core *core, struct route_entry *e,
				 struct route_neigh *n)
{
	struct route_via *v;

	if (n->routes >= core->cfg.quota) {
		core->stats.drop_over_quota++;
		return NULL;
	}
	if (e->n_via == e->cap_via) {
		unsigned int cap = e->cap_via ? e->cap_via * 2u : 2u;

		if (cap > ROUTE_NEIGH_MAX)
			cap = ROUTE_NEIGH_MAX;
		v = realloc(e->via, cap * sizeof(*v));
		if (!v) {
			core->stats.drop_no_memory++;
			return NULL;
		}
		core->bytes += (cap - e->cap_via) * sizeof(*v);
		e->via = v;
		e->cap_via = (uint8_t)cap;
	}
	v = &e->via[e->n_via++];
	*v = (struct route_via){ .slot = n->slot };
	n->routes++;
	if (e->owner == SLOT_ORPHAN)
		owner_set(core, e, n->slot);
	return v;
}

bool table_set_via(struct route_core *core, struct route_entry *e, struct route_neigh *n,
		   uint64_t sequence, uint16_t metric, uint16_t mtu, uint8_t flags)
{
	struct route_via *v = table_via(e, n->slot);

	if (metric == ROUTE_INFINITY) {
		if (v)
			via_remove(core, e, n, v);
		return true;
	}
	if (v) {
		digest_add(n, e, v, false);
		if (v->flags & VIA_STALE)
			n->stale--;
	} else {
		v = via_add(core, e, n);
		if (!v)
			return false;
	}
	v->sequence = sequence;
	v->metric = metric;
	v->mtu = mtu;
	v->flags = flags;
	if (flags & VIA_STALE)
		n->stale++;
	digest_add(n, e, v, true);
	return true;
}

void table_drop_neigh(struct route_core *core, uint64_t now, struct route_neigh *n, uint8_t flags)
{
	struct route_entry *e, *tmp;

	HASH_ITER(hh, core->entries, e, tmp) {
		struct route_via *v = table_via(e, n->slot);

		if (!v || (flags && !(v->flags & flags)))
			continue;
		via_remove(core, e, n, v);
		table_eval(core, now, e);
	}
}

uint16_t table_total(const struct route_core *core, const struct route_via *v)
{
	uint32_t total = (uint32_t)v->metric + core->neighs[v->slot]->cost;

	return total < ROUTE_INFINITY ? (uint16_t)total : (uint16_t)ROUTE_INFINITY;
}

uint16_t table_mtu(const struct route_core *core, const struct route_via *v)
{
	uint16_t link = core->neighs[v->slot]->mtu;

	return v->mtu < link ? v->mtu : link;
}

void table_eval_neigh(struct route_core *core, uint64_t now, const struct route_neigh *n)
{
	struct route_entry *e, *tmp;

	if (!n->routes)
		return;
	HASH_ITER(hh, core->entries, e, tmp)
		if (table_via(e, n->slot))
			table_eval(core, now, e);
}

/* ---- choices ---- */

/* The condition of RFC 8966 §3.5.1. */
static bool feasible(const struct route_entry *e, uint64_t sequence, uint16_t metric)
{
	if (sequence != e->fd_sequence)
		return sequence > e->fd_sequence;
	return metric < e->fd_metric;
}

/* Could be used, were it feasible. */
static bool valid(const struct route_core *core, uint64_t now, const struct route_entry *e,
		  const struct route_via *v)
{
	const struct route_neigh *n = core->neighs[v->slot];

	if (!n->up || table_total(core, v) == ROUTE_INFINITY)
		return false;
	/* Programs could not use it, and would wait in vain on a worse one that they can. */
	if (table_mtu(core, v) < ROUTE_PATH_MTU_MIN)
		return false;
	if (e->cur && v->sequence <= e->cur->sequence && !table_alive(e->cur, now))
		return false;
	return v->flags & VIA_RESTORED || table_alive(rec_of(e, v->sequence), now);
}

static bool usable(const struct route_core *core, uint64_t now, const struct route_entry *e,
		   const struct route_via *v)
{
	return !(e->flags & ENTRY_FD_UNKNOWN) && feasible(e, v->sequence, v->metric) &&
	       valid(core, now, e, v);
}

/* True when no neighbour can hold an advertisement of ours for this address. */
static bool fd_free(const struct route_core *core, uint64_t now, const struct route_entry *e)
{
	if (e->adv_metric != ROUTE_INFINITY || !set_empty(&e->told))
		return false;
	for (unsigned int i = 0; i < core->n_slots; i++) {
		const struct route_neigh *n = core->neighs[i];

		if (!n || !n->up)
			continue;
		if (core_may_hold(n, now, n->up_at))
			return false;
		if (n->peer_epoch && n->drained < e->version)
			return false;
	}
	return true;
}

static void fd_relax(struct route_core *core, uint64_t now, struct route_entry *e)
{
	if (e->flags & ENTRY_FD_UNKNOWN && core_settled(core, now)) {
		e->flags &= (uint8_t)~ENTRY_FD_UNKNOWN;
		core->unknown_fd--;
	}
	if (e->sel != SLOT_NONE || e->fd_metric == ROUTE_INFINITY || e->flags & ENTRY_LOCAL)
		return;
	if (now < e->switched_at + FD_HOLD_MS || !fd_free(core, now, e))
		return;
	e->fd_metric = ROUTE_INFINITY;
	core->stats.fd_resets++;
}

static bool fd_lower(struct route_entry *e, uint64_t sequence, uint16_t metric)
{
	if (!feasible(e, sequence, metric))
		return false;
	e->fd_sequence = sequence;
	e->fd_metric = metric;
	return true;
}

/* Among the usable vias: newer records only, once there is one and the grace is over. */
static bool outdated(const struct route_core *core, uint64_t now, const struct route_entry *e,
		     const struct route_via *v)
{
	if (!e->cur || v->sequence >= e->cur->sequence)
		return false;
	if (!(v->flags & VIA_STALE) && now < e->grace_until)
		return false;
	for (unsigned int i = 0; i < e->n_via; i++)
		if (e->via[i].sequence == e->cur->sequence && usable(core, now, e, &e->via[i]))
			return true;
	return false;
}

/* Selects the primary (RFC 8966 §3.6), with hysteresis; *@next: when to look again. */
static const struct route_via *choose(struct route_core *core, uint64_t now,
				      struct route_entry *e, uint64_t *next)
{
	const struct route_via *best = NULL, *old = NULL;
	uint32_t best_total = ROUTE_INFINITY, old_total = 0;

	for (unsigned int i = 0; i < e->n_via; i++) {
		const struct route_via *v = &e->via[i];
		uint16_t total = table_total(core, v);

		if (!usable(core, now, e, v) || outdated(core, now, e, v))
			continue;
		if (v->slot == e->sel) {
			old = v;
			old_total = total;
		}
		if (!best || total < best_total ||
		    (total == best_total && (v->sequence > best->sequence ||
					     (v->sequence == best->sequence &&
					      v->slot < best->slot)))) {
			best = v;
			best_total = total;
		}
	}
	if (!old || best_total >= old_total)
		return old ? old : best;
	if (best_total * 10 <= old_total * 9 || now >= e->switched_at + HYSTERESIS_MS)
		return best;
	if (*next > e->switched_at + HYSTERESIS_MS)
		*next = e->switched_at + HYSTERESIS_MS;
	return old;
}

/* Tells the kernel, when what it has differs enough. */
static void install(struct route_core *core, uint64_t now, struct route_entry *e, bool fd_changed)
{
	uint8_t cookie[ROUTE_COOKIE_LEN];
	struct route_hop hops[ROUTE_HOPS_MAX];
	uint8_t slots[ROUTE_HOPS_MAX];
	bool changed = fd_changed;
	unsigned int n = 0;

	for (unsigned int i = 0; i < e->n_via; i++) {
		const struct route_via *v = &e->via[i];
		uint16_t total = table_total(core, v);
		unsigned int at = v->slot == e->sel ? 0 : n;

		if (!usable(core, now, e, v))
			continue;
		while (at > 0 && slots[at - 1] != e->sel && hops[at - 1].metric > total)
			at--;
		if (at == ROUTE_HOPS_MAX)
			continue;
		if (n < ROUTE_HOPS_MAX)
			n++;
		for (unsigned int j = n - 1; j > at; j--) {
			hops[j] = hops[j - 1];
			slots[j] = slots[j - 1];
		}
		hops[at].neigh = core->neighs[v->slot]->id;
		hops[at].metric = total;
		hops[at].mtu = table_mtu(core, v);
		slots[at] = v->slot;
	}
	changed |= n != e->n_inst || !(e->flags & ENTRY_INSTALLED);
	for (unsigned int i = 0; i < n && !changed; i++) {
		uint32_t was = e->inst[i].metric, is = hops[i].metric;

		changed = slots[i] != e->inst[i].slot || hops[i].mtu != e->inst[i].mtu ||
			  (was > is ? was - is : is - was) * 8 > was;
	}
	if (!changed)
		return;
	for (unsigned int i = 0; i < n; i++) {
		e->inst[i].slot = slots[i];
		e->inst[i].metric = hops[i].metric;
		e->inst[i].mtu = hops[i].mtu;
	}
	e->n_inst = (uint8_t)n;
	e->flags |= ENTRY_INSTALLED;
	route_cookie_encode(&(struct route_cookie){ e->fd_sequence, e->fd_metric }, cookie);
	core->ops.install(core->ctx, &e->address, hops, n, cookie, sizeof(cookie));
}

static void uninstall(struct route_core *core, struct route_entry *e)
{
	if (!(e->flags & ENTRY_INSTALLED))
		return;
	e->flags &= (uint8_t)~ENTRY_INSTALLED;
	e->n_inst = 0;
	core->ops.uninstall(core->ctx, &e->address);
}

/* What neighbours hear from now on. The feasibility distance is lowered before. */
static bool publish(struct route_core *core, uint64_t now, struct route_entry *e,
		    uint64_t sequence, uint16_t metric, uint16_t mtu, bool moved)
{
	bool lowered = false;

	if (metric == e->adv_metric && !moved &&
	    (metric == ROUTE_INFINITY || (sequence == e->adv_sequence && mtu == e->adv_mtu)))
		return false;
	if (metric != ROUTE_INFINITY) {
		lowered = fd_lower(e, sequence, metric);
		for (unsigned int i = e->n_via; lowered && i-- > 0;)
			if (e->via[i].flags & VIA_RESTORED)
				via_remove(core, e, core->neighs[e->via[i].slot], &e->via[i]);
	}
	e->adv_sequence = sequence;
	e->adv_metric = metric;
	e->adv_mtu = mtu;
	e->adv_at = now;
	e->version = ++core->version;
	list_remove(core, e);
	list_append(core, e, list_wanted(e));
	if (e->list <= LIST_RETRACT)
		emit_touch(core, now, metric == ROUTE_INFINITY);
	return lowered;
}

/* A small change of the metric waits, so that noise of the links stays local. */
static uint16_t dampen(const struct route_entry *e, uint64_t now, uint64_t sequence,
		       uint16_t metric, uint64_t *next)
{
	uint32_t was = e->adv_metric, is = metric;

	if (was == ROUTE_INFINITY || sequence != e->adv_sequence || was == is)
		return metric;
	if ((was > is ? was - is : is - was) * 10 >= was || now >= e->adv_at + HYSTERESIS_MS)
		return metric;
	if (*next > e->adv_at + HYSTERESIS_MS)
		*next = e->adv_at + HYSTERESIS_MS;
	return e->adv_metric;
}

/* Asks for a new sequence through the @nth best advertised route (RFC 8966 §3.8.2). */
static void ask_sequence(struct route_core *core, uint64_t now, struct route_entry *e,
			 unsigned int nth)
{
	uint32_t floor = 0;
	const struct route_via *pick = NULL;
	struct oneoff item = {
		.kind = ONEOFF_SEQREQ,
		.address = e->address,
		.sequence = e->fd_sequence + 1,
		.hops = SEQREQ_HOPS,
	};

	for (unsigned int k = 0; k <= nth; k++) {
		pick = NULL;
		for (unsigned int i = 0; i < e->n_via; i++) {
			const struct route_via *v = &e->via[i];
			uint32_t key = (uint32_t)table_total(core, v) << 8 | v->slot;

			if (v->slot == e->sel || key < floor || !valid(core, now, e, v))
				continue;
			if (!pick || key < ((uint32_t)table_total(core, pick) << 8 | pick->slot))
				pick = v;
		}
		if (!pick)
			return;
		floor = ((uint32_t)table_total(core, pick) << 8 | pick->slot) + 1;
	}
	e->req_sequence = item.sequence;
	e->req_at = now;
	emit_oneoff(core, now, core->neighs[pick->slot], &item);
}

/* Starving, or stuck on a much worse path: a newer sequence makes all routes feasible. */
static void starve(struct route_core *core, uint64_t now, struct route_entry *e, uint64_t *next)
{
	uint32_t best = ROUTE_INFINITY, own = ROUTE_INFINITY, n = 0;
	const struct route_via *sel = table_via(e, e->sel);
	uint8_t first = sel ? 3 : 0;

	if (e->flags & (ENTRY_FD_UNKNOWN | ENTRY_LOCAL))
		return;
	for (unsigned int i = 0; i < e->n_via; i++) {
		const struct route_via *v = &e->via[i];

		if (!valid(core, now, e, v) || usable(core, now, e, v))
			continue;
		n++;
		if (table_total(core, v) < best)
			best = table_total(core, v);
	}
	if (sel)
		own = table_total(core, sel);
	if (!n || best * 4 >= own * 3)
		return;
	if (now >= e->req_next) {
		if (e->req_tries < first)
			e->req_tries = first;
		ask_sequence(core, now, e, sel ? 0 : e->req_tries % n);
		e->req_next = now + (SEQREQ_FIRST_MS << e->req_tries);
		if (e->req_tries < 6)
			e->req_tries++;
	}
	if (*next > e->req_next)
		*next = e->req_next;
}

static void eval_local(struct route_core *core, uint64_t now, struct route_entry *e, uint64_t *next)
{
	uint64_t half = e->cur->expires - e->cur->lifetime_s * UINT64_C(500);
	bool moved = e->sel != SLOT_NONE;

	e->sel = SLOT_NONE;
	uninstall(core, e);
	publish(core, now, e, e->cur->sequence, 0, UINT16_MAX, moved);
	if (half < e->req_next)
		half = e->req_next;
	if (now >= half) {
		core_want(core, e, e->cur->sequence + 1);
		half = now + REFRESH_RETRY_MS;
		e->req_next = half;
	}
	*next = half < e->cur->expires ? half : e->cur->expires;
}

static void eval_remote(struct route_core *core, uint64_t now, struct route_entry *e,
			uint64_t *next)
{
	const struct route_via *sel;
	uint8_t was = e->sel;
	uint64_t sequence = e->adv_sequence;
	uint16_t metric = ROUTE_INFINITY, mtu = 0;
	bool lowered, moved;

	sel = choose(core, now, e, next);
	moved = was != (sel ? sel->slot : SLOT_NONE);
	if (moved) {
		e->sel = sel ? sel->slot : SLOT_NONE;
		e->switched_at = now;
		core->stats.switches++;
		if (!sel) {
			core->stats.starved += e->n_via != 0;
			uint64_t soonest = e->req_at ? e->req_at + SEQREQ_FIRST_MS : now;

			/* Asks made while there was a route do not hold this one up. */
			e->req_tries = 0;
			if (e->req_next > soonest)
				e->req_next = soonest;
		}
	}
	if (sel && table_alive(rec_of(e, sel->sequence), now)) {
		sequence = sel->sequence;
		metric = dampen(e, now, sequence, table_total(core, sel), next);
		mtu = table_mtu(core, sel);
	}
	/* Gone from the kernel before the neighbours hear it; there before they use it. */
	if (!sel)
		uninstall(core, e);
	lowered = publish(core, now, e, sequence, metric, mtu, moved && metric != ROUTE_INFINITY);
	if (sel)
		install(core, now, e, lowered);
	starve(core, now, e, next);
	if (!sel && e->n_via && e->fd_metric != ROUTE_INFINITY) {
		uint64_t again = e->switched_at + FD_HOLD_MS;

		if (again <= now)
			again = now + FD_HOLD_MS;
		if (*next > again)
			*next = again;
	}
	if (e->flags & ENTRY_UNRESOLVED && (metric != ROUTE_INFINITY || !sel)) {
		e->flags &= (uint8_t)~ENTRY_UNRESOLVED;
		if (!--core->unresolved)
			emit_touch(core, now, false);
	}
}

static void drop_prev(struct route_core *core, uint64_t now, struct route_entry *e)
{
	if (!e->prev || now < e->grace_until)
		return;
	if (e->flags & ENTRY_LOCAL && e->n_via)
		return;
	if (e->adv_metric != ROUTE_INFINITY && e->adv_sequence == e->prev->sequence)
		return;
	rec_free(core, &e->prev);
	drop_orphan_vias(core, e);
}

static uint64_t gc_at(const struct route_entry *e)
{
	if (e->cur)
		return e->cur->expires + FD_HOLD_MS;
	return e->switched_at + (e->seen ? SEEN_KEEP_MS : FD_HOLD_MS);
}

void table_eval(struct route_core *core, uint64_t now, struct route_entry *e)
{
	uint64_t next = NEVER;

	if (e->flags & ENTRY_LOCAL && !table_alive(e->cur, now))
		e->flags &= (uint8_t)~ENTRY_LOCAL;
	fd_relax(core, now, e);
	if (e->flags & ENTRY_LOCAL)
		eval_local(core, now, e, &next);
	else
		eval_remote(core, now, e, &next);
	drop_prev(core, now, e);
	if (e->prev) {
		uint64_t again = now < e->grace_until ? e->grace_until : now + GRACE_MS;

		if (next > again)
			next = again;
		if (e->prev->expires > now && next > e->prev->expires)
			next = e->prev->expires;
	}
	if (e->cur && e->cur->expires > now && next > e->cur->expires)
		next = e->cur->expires;
	table_settle(core, e);
	if (e->list == LIST_DEAD) {
		uint64_t at = gc_at(e);

		if (at <= now)
			at = now + FD_HOLD_MS;
		if (next > at)
			next = at;
	}
	timer_set(core, e, next);
}

void table_timers(struct route_core *core, uint64_t now)
{
	while (core->heap_n && core->heap[1]->when <= now) {
		struct route_entry *e = core->heap[1];

		if (e->list == LIST_DEAD && now >= gc_at(e) && fd_free(core, now, e))
			table_free(core, e);
		else
			table_eval(core, now, e);
	}
}
