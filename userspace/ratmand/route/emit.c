// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is said to a neighbour, made from the state of the table at the moment of
 * sending: each list of entries is ordered by their last change, each neighbour
 * has a cursor in it. Changes of one route collapse, and nothing is queued.
 */
#include <string.h>

#include "ratmand/route/core.h"

#define URGENT_MS 1u
#define PENDING_ASK_MS 2000u

void emit_touch(struct route_core *core, uint64_t now, bool urgent)
{
	for (unsigned int i = 0; i < core->n_slots; i++) {
		struct route_neigh *n = core->neighs[i];
		uint64_t at;

		if (!n || !n->up || !n->peer_epoch)
			continue;
		if (urgent)
			at = now + URGENT_MS;
		else if (n->flush_at != NEVER)
			continue;
		else
			at = now + core->cfg.flush_ms + core_random(core, core->cfg.flush_ms + 1);
		if (at < n->flush_at)
			n->flush_at = at;
	}
}

void emit_oneoff(struct route_core *core, uint64_t now, struct route_neigh *n,
		 const struct oneoff *item)
{
	if (!n->oneoffs)
		n->oneoffs = calloc(ONEOFF_MAX, sizeof(*n->oneoffs));
	if (!n->oneoffs) {
		core->stats.drop_no_memory++;
		return;
	}
	if (n->oneoff_n == ONEOFF_MAX) {
		core->stats.drop_oneoff_full++;
		return;
	}
	n->oneoffs[(n->oneoff_head + n->oneoff_n++) % ONEOFF_MAX] = *item;
	if (n->flush_at > now + URGENT_MS)
		n->flush_at = now + URGENT_MS;
}

void emit_start_dump(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	struct route_entry *e, *etmp;
	struct route_rec *rec, *rtmp;

	HASH_ITER(hh, core->entries, e, etmp) {
		if (!set_has(&e->told, n->slot))
			continue;
		set_del(&e->told, n->slot);
		table_settle(core, e);
	}
	HASH_ITER(hh, core->records, rec, rtmp)
		set_del(&rec->has, n->slot);
	n->cursor[LIST_REACH] = core->lists[LIST_REACH].head;
	n->cursor[LIST_RETRACT] = NULL;
	n->dump = DUMP_START;
	n->dump_version = core->version;
	n->dumped_at = now;
	n->drained = 0;
	n->flush_at = now;
}

void emit_repeat(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	if (!n->up || !n->peer_epoch)
		return;
	n->cursor[LIST_REACH] = core->lists[LIST_REACH].head;
	if (n->flush_at > now + core->cfg.flush_ms)
		n->flush_at = now + core->cfg.flush_ms;
}

bool emit_drained(const struct route_neigh *n)
{
	return n->peer_epoch && n->dump == DUMP_NONE && !n->cursor[LIST_REACH] &&
	       !n->cursor[LIST_RETRACT] && !n->oneoff_n && !n->want_resync;
}

static bool put_record(struct route_core *core, uint64_t now, struct route_rec *rec,
		       struct wire_writer *w, struct control_run *run, uint16_t metric)
{
	uint64_t left = rec->expires > now ? (rec->expires - now) / 1000 : 0;
	uint8_t bytes[RECORD_LEN];

	table_encode(rec, bytes);
	if (!control_put_record(w, run, bytes, (uint32_t)left, metric))
		return false;
	core->stats.records_out++;
	return true;
}

/* The record by which this neighbour knows the route that is retracted. */
static struct route_rec *retract_by(const struct route_entry *e, unsigned int slot)
{
	if (e->cur && (e->cur->flags & RECORD_WITHDRAWN || set_has(&e->cur->has, slot)))
		return e->cur;
	if (e->prev && set_has(&e->prev->has, slot))
		return e->prev;
	return e->cur;
}

/*
 * Says what holds now about one address. A primary through the neighbour itself is
 * not advertised to it (split horizon, RFC 8966 §3.7.4). False: no room.
 */
static bool serve(struct route_core *core, uint64_t now, struct route_neigh *n,
		  struct route_entry *e, struct wire_writer *w, struct control_run *run, bool push)
{
	bool finite = e->adv_metric != ROUTE_INFINITY && e->sel != n->slot;
	uint16_t metric = finite ? e->adv_metric : (uint16_t)ROUTE_INFINITY;
	uint16_t mtu = e->adv_mtu < n->mtu ? e->adv_mtu : n->mtu;
	struct route_rec *rec;

	if (!finite && !set_has(&e->told, n->slot) && !push)
		return true;
	if (finite)
		rec = e->cur && e->cur->sequence == e->adv_sequence ? e->cur : e->prev;
	else
		rec = push ? e->cur : retract_by(e, n->slot);
	if (rec) {
		bool has = set_has(&rec->has, n->slot);

		/* Our side of the link counts: the neighbour may think it larger than we do. */
		if (finite && !control_put_path_mtu(w, run, mtu, CONTROL_TLV_LEN +
						    (has ? CONTROL_UPDATE_LEN : CONTROL_RECORD_LEN)))
			return false;
		if (!has) {
			if (!put_record(core, now, rec, w, run, metric))
				return false;
		} else if (!control_put_update(w, run, rec->id, metric)) {
			return false;
		}
		core->stats.updates_out++;
		set_add(&rec->has, n->slot);
	}
	if (finite)
		set_add(&e->told, n->slot);
	else
		set_del(&e->told, n->slot);
	return true;
}

static bool serve_list(struct route_core *core, uint64_t now, struct route_neigh *n,
		       unsigned int kind, struct wire_writer *w, struct control_run *run)
{
	while (n->cursor[kind]) {
		struct route_entry *e = n->cursor[kind];

		if (!serve(core, now, n, e, w, run, false))
			return false;
		n->cursor[kind] = e->list_next;
		table_settle(core, e);
	}
	return true;
}

static bool serve_oneoffs(struct route_core *core, uint64_t now, struct route_neigh *n,
			  struct wire_writer *w, struct control_run *run)
{
	while (n->oneoff_n) {
		const struct oneoff *o = &n->oneoffs[n->oneoff_head];
		struct route_entry *e = table_find(core, o->address.b);

		if (o->kind == ONEOFF_SEQREQ) {
			if (!control_put_seqreq(w, run, &o->address, o->sequence, o->hops))
				return false;
			core->stats.seqreq_out++;
		} else if (e) {
			if (!serve(core, now, n, e, w, run, true))
				return false;
			table_settle(core, e);
		}
		n->oneoff_head = (n->oneoff_head + 1) % ONEOFF_MAX;
		n->oneoff_n--;
	}
	return true;
}

static bool put_wants(uint64_t now, struct route_neigh *n, struct wire_writer *w,
		      struct control_run *run)
{
	for (unsigned int i = 0; i < n->n_pending; i++) {
		struct pending *p = &n->pending[i];

		if (p->ask_at > now)
			continue;
		if (!control_put_want(w, run, p->id))
			return false;
		p->ask_at = now + ((uint64_t)PENDING_ASK_MS << p->tries++);
	}
	return true;
}

static bool put_digest(struct route_core *core, uint64_t now, struct route_neigh *n,
		       struct wire_writer *w, struct control_run *run)
{
	uint64_t sum[2] = { 0, 0 }, d[2];
	uint8_t bytes[CONTROL_DIGEST_LEN];
	struct wire_writer b;

	if ((size_t)(w->end - w->pos) < CONTROL_TLV_LEN + CONTROL_DIGEST_LEN)
		return false;
	for (const struct route_entry *e = core->lists[LIST_REACH].head; e; e = e->list_next) {
		if (!set_has(&e->told, n->slot))
			continue;
		table_digest_of(e, e->adv_sequence, e->adv_metric, d);
		sum[0] += d[0];
		sum[1] += d[1];
	}
	wire_write_init(&b, bytes, sizeof(bytes));
	wire_put_be64(&b, sum[0]);
	wire_put_be64(&b, sum[1]);
	n->digest_at = now + core->cfg.digest_ms / 10 * 9 +
		       core_random(core, core->cfg.digest_ms / 5 + 1);
	return control_put_digest(w, run, bytes);
}

/* END says: whatever of the former epoch was not repeated is gone. */
static bool put_end(struct route_core *core, struct route_neigh *n, struct wire_writer *w,
		    struct control_run *run)
{
	const struct route_entry *next = n->cursor[LIST_REACH];

	if (n->dump != DUMP_RUNNING || (next && next->version <= n->dump_version))
		return true;
	if (core->unresolved)
		return true;	/* restored routes are still to be confirmed and repeated */
	if (!control_put_dump(w, run, CONTROL_DUMP_END))
		return false;
	n->dump = DUMP_NONE;
	return true;
}

size_t emit_items(struct route_core *core, uint64_t now, struct route_neigh *n, uint8_t *buf,
		  size_t size)
{
	struct control_run run = { .type = CONTROL_UPDATE };
	struct wire_writer w;

	wire_write_init(&w, buf, size);
	if (n->want_resync) {
		control_put_resync(&w, &run);
		n->want_resync = false;
	}
	if (n->dump == DUMP_START) {
		control_put_dump(&w, &run, CONTROL_DUMP_BEGIN);
		n->dump = DUMP_RUNNING;
	}
	if (!serve_list(core, now, n, LIST_RETRACT, &w, &run) ||
	    !serve_oneoffs(core, now, n, &w, &run) || !put_wants(now, n, &w, &run) ||
	    !serve_list(core, now, n, LIST_REACH, &w, &run) || !put_end(core, n, &w, &run) ||
	    !members_emit(core, now, n, &w, &run))
		return wire_len(&w);
	if (now >= n->digest_at && emit_drained(n) && put_digest(core, now, n, &w, &run))
		members_put_sums(core, now, &w, &run);
	return wire_len(&w);
}
