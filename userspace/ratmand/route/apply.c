// SPDX-License-Identifier: GPL-2.0-or-later
/* What the items of a neighbour's message do. Messages come whole, in order and once. */
#include <string.h>

#include "ratmand/route/core.h"

#define PENDING_TRIES 5u

static struct pending *pending_find(struct route_neigh *n, const uint8_t *id)
{
	for (unsigned int i = 0; i < n->n_pending; i++)
		if (!memcmp(n->pending[i].id, id, RECORD_ID_LEN))
			return &n->pending[i];
	return NULL;
}

static void pending_remove(struct route_neigh *n, const uint8_t *id)
{
	struct pending *p = pending_find(n, id);

	if (p)
		*p = n->pending[--n->n_pending];
}

static void pending_add(struct route_core *core, uint64_t now, struct route_neigh *n,
			const uint8_t *id, uint16_t metric)
{
	struct pending *p = pending_find(n, id);

	if (p) {
		p->metric = metric;
		return;
	}
	if (n->n_pending == n->cap_pending) {
		unsigned int cap = n->cap_pending ? n->cap_pending * 2 : 8;

		p = cap <= PENDING_MAX ? realloc(n->pending, cap * sizeof(*p)) : NULL;
		if (!p) {
			core->stats.drop_pending_full++;
			return;
		}
		n->pending = p;
		n->cap_pending = cap;
	}
	p = &n->pending[n->n_pending++];
	*p = (struct pending){ .ask_at = now, .metric = metric };
	memcpy(p->id, id, RECORD_ID_LEN);
	n->flush_at = now;
}

/* The neighbour believes in an older record: it learns the newest one. */
static void tell_newest(struct route_core *core, uint64_t now, struct route_neigh *n,
			struct route_entry *e)
{
	struct oneoff item = { .kind = ONEOFF_RECORD, .address = e->address };

	if (e->cur && !set_has(&e->cur->has, n->slot))
		emit_oneoff(core, now, n, &item);
}

static void advertise(struct route_core *core, uint64_t now, struct route_neigh *n,
		      struct route_rec *rec, uint16_t metric, uint16_t mtu)
{
	struct route_entry *e = rec->entry;

	set_add(&rec->has, n->slot);
	core->stats.updates_in++;
	if (e->cur->flags & RECORD_WITHDRAWN)
		tell_newest(core, now, n, e);
	if (!table_set_via(core, e, n, rec->sequence, metric, mtu, 0))
		n->incomplete = true;
	if (metric != ROUTE_INFINITY && (mtu < ROUTE_PATH_MTU_MIN || n->mtu < ROUTE_PATH_MTU_MIN))
		core->stats.narrow++;
	if (metric != ROUTE_INFINITY &&
	    (rec->sequence < e->fd_sequence ||
	     (rec->sequence == e->fd_sequence && metric >= e->fd_metric)))
		core->stats.infeasible++;
	table_eval(core, now, e);
}

static void apply_update(struct route_core *core, uint64_t now, struct route_neigh *n,
			 const struct control_item *item)
{
	struct route_rec *rec = table_find_record(core, item->update.id);

	if (rec)
		advertise(core, now, n, rec, item->update.metric, item->update.mtu);
	else if (item->update.metric == ROUTE_INFINITY)
		pending_remove(n, item->update.id);
	else
		pending_add(core, now, n, item->update.id, item->update.metric);
}

/* The neighbour passes on a record older than ours. */
static void answer_older(struct route_core *core, uint64_t now, struct route_neigh *n,
			 struct route_entry *e)
{
	core->stats.drop_older_sequence++;
	table_set_via(core, e, n, 0, ROUTE_INFINITY, 0, 0);
	tell_newest(core, now, n, e);
	table_eval(core, now, e);
}

/* A newer record of an own address: another instance, or we lost our memory. */
static void foreign_record(struct route_core *core, uint64_t now, struct route_entry *e,
			   const struct record *rec)
{
	if (e->seen < rec->sequence) {
		e->seen = rec->sequence;
		if (core->ops.seen)
			core->ops.seen(core->ctx, &e->address, rec->sequence);
	}
	if (e->req_at && now < e->req_at + REFRESH_RETRY_MS)
		return;
	e->req_at = now;
	core_want(core, e, rec->sequence + 1);
}

static bool verify(struct route_core *core, struct route_neigh *n, const uint8_t *bytes)
{
	bool ok;

	n->verify_tokens -= n->verify_tokens < 1000 ? n->verify_tokens : 1000;
	ok = core->ops.verify ? core->ops.verify(core->ctx, bytes) : record_verify(bytes);
	if (ok)
		core->stats.records_verified++;
	else
		core->stats.drop_signature++;
	return ok;
}

static uint64_t last_seen(const struct route_core *core, const struct route_entry *e,
			  const struct address *address)
{
	if (e)
		return e->seen;
	return core->ops.last_seen ? core->ops.last_seen(core->ctx, address) : 0;
}

/* A record with a sequence that is not known yet. */
static void new_record(struct route_core *core, uint64_t now, struct route_neigh *n,
		       struct route_entry *e, const struct record *rec,
		       const struct control_item *item)
{
	uint64_t seen = last_seen(core, e, &rec->address);
	bool fresh = !e;
	int err;

	if (rec->sequence < seen) {
		core->stats.drop_older_sequence++;
		return;
	}
	if (!e && (item->record.metric == ROUTE_INFINITY || rec->flags & RECORD_WITHDRAWN))
		return;		/* nothing to retract */
	if (item->record.remaining_s == 0) {
		core->stats.drop_expired++;
		return;
	}
	if (!verify(core, n, item->record.bytes))
		return;
	if (e && e->flags & ENTRY_LOCAL) {
		foreign_record(core, now, e, rec);
		return;
	}
	if (!e)
		e = table_create(core, now, rec->address.b, n, &err);
	if (!e) {
		n->incomplete = true;
		return;
	}
	if (e->seen < seen)
		e->seen = seen;
	if (table_set_record(core, now, e, rec, item->record.bytes, item->record.remaining_s)) {
		if (fresh)
			table_free(core, e);
		return;
	}
	advertise(core, now, n, e->cur, item->record.metric, item->record.mtu);
}

static void apply_record(struct route_core *core, uint64_t now, struct route_neigh *n,
			 const struct control_item *item)
{
	uint8_t id[RECORD_ID_LEN];
	struct route_rec *known;
	struct route_entry *e;
	struct record rec;

	core->stats.records_in++;
	if (record_parse(item->record.bytes, RECORD_LEN, &rec)) {
		core->stats.drop_record++;
		return;
	}
	record_id(item->record.bytes, id);
	/* The newest word in the order of the channel is the record's own metric. */
	pending_remove(n, id);
	known = table_find_record(core, id);
	if (known) {
		advertise(core, now, n, known, item->record.metric, item->record.mtu);
		return;
	}
	e = table_find(core, rec.address.b);
	if (e && e->cur && rec.sequence < e->cur->sequence) {
		answer_older(core, now, n, e);
	} else if (e && e->cur && rec.sequence == e->cur->sequence) {
		core->stats.drop_conflict++;
		table_set_via(core, e, n, 0, ROUTE_INFINITY, 0, 0);
		table_eval(core, now, e);
	} else {
		new_record(core, now, n, e, &rec, item);
	}
}

static void apply_want(struct route_core *core, uint64_t now, struct route_neigh *n,
		       const struct control_item *item)
{
	struct route_rec *rec = table_find_record(core, item->want);
	struct oneoff answer = { .kind = ONEOFF_RECORD };

	if (!rec)
		return;
	set_del(&rec->has, n->slot);
	answer.address = rec->entry->address;
	answer.sequence = rec->sequence;
	emit_oneoff(core, now, n, &answer);
}

/* RFC 8966 §3.8.1.2. */
static void apply_seqreq(struct route_core *core, uint64_t now, struct route_neigh *n,
			 const struct control_item *item)
{
	struct route_entry *e = table_find(core, item->seqreq.address);
	uint64_t wanted = item->seqreq.sequence;
	const struct route_via *to = NULL;
	struct oneoff pass;

	core->stats.seqreq_in++;
	if (!e)
		return;
	if (e->flags & ENTRY_LOCAL) {
		if (e->cur->sequence >= wanted)
			return;
		if (e->req_at && now < e->req_at + SEQREQ_FIRST_MS) {
			core->stats.drop_seqreq_limited++;
			return;
		}
		e->req_at = now;
		/* One more, whatever was asked for: a liar cannot use up the numbers. */
		core_want(core, e, e->cur->sequence + 1);
		return;
	}
	if (e->adv_metric != ROUTE_INFINITY && e->adv_sequence >= wanted)
		return;		/* on its way over the reliable channel already */
	if (item->seqreq.hops <= 1) {
		core->stats.drop_seqreq_hops++;
		return;
	}
	if (e->req_at && wanted <= e->req_sequence && now < e->req_at + SEQREQ_FIRST_MS) {
		core->stats.drop_seqreq_limited++;
		return;
	}
	for (unsigned int i = 0; i < e->n_via; i++) {
		const struct route_via *v = &e->via[i];

		if (v->slot == n->slot || table_total(core, v) == ROUTE_INFINITY)
			continue;
		if (v->slot == e->sel) {
			to = v;
			break;
		}
		if (!to || table_total(core, v) < table_total(core, to))
			to = v;
	}
	if (!to)
		return;
	e->req_at = now;
	e->req_sequence = wanted;
	pass = (struct oneoff){
		.kind = ONEOFF_SEQREQ,
		.address = e->address,
		.sequence = wanted,
		.hops = (uint8_t)((item->seqreq.hops < SEQREQ_HOPS ? item->seqreq.hops
								   : SEQREQ_HOPS) - 1),
	};
	emit_oneoff(core, now, core->neighs[to->slot], &pass);
}

static void apply_dump(struct route_core *core, uint64_t now, struct route_neigh *n,
		       enum control_dump_phase phase)
{
	struct route_entry *e, *tmp;

	if (phase == CONTROL_DUMP_END) {
		n->synced = true;
		n->sweep_at = NEVER;
		if (n->stale)
			table_drop_neigh(core, now, n, VIA_STALE);
		return;
	}
	n->synced = false;
	n->incomplete = false;
	n->sweep_at = now + STALE_MS;
	if (!n->routes)
		return;
	HASH_ITER(hh, core->entries, e, tmp) {
		struct route_via *v = table_via(e, n->slot);

		if (v && !(v->flags & VIA_STALE)) {
			v->flags |= VIA_STALE;
			n->stale++;
		}
	}
}

static void apply_digest(struct route_core *core, uint64_t now, struct route_neigh *n,
			 const uint8_t *digest)
{
	struct wire_reader r;
	uint64_t d[2];

	wire_read_init(&r, digest, CONTROL_DIGEST_LEN);
	d[0] = wire_get_be64(&r);
	d[1] = wire_get_be64(&r);
	if (!n->synced || n->n_pending)
		return;
	if (d[0] == n->in_digest[0] && d[1] == n->in_digest[1]) {
		n->resync_wait = 0;
		return;
	}
	if (now < n->resync_at)
		return;
	if (n->incomplete && (n->routes >= core->cfg.quota / 8 * 7 ||
			      n->owned >= core->cfg.quota / 8 * 7 ||
			      HASH_COUNT(core->entries) >= core->cfg.max_addresses / 8 * 7))
		return;		/* differs because we refused some of it, and still would */
	n->resync_wait = n->resync_wait ? n->resync_wait * 2 : core->cfg.digest_ms / 2;
	if (n->resync_wait > 3600000)
		n->resync_wait = 3600000;
	n->resync_at = now + n->resync_wait;
	n->want_resync = true;
	n->flush_at = now;
	core->stats.resyncs++;
}

/* True when the signatures of the message are paid for. Checked before any of them is read. */
static bool afford(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const struct control_message *msg)
{
	uint64_t max = core->cfg.verify_burst * UINT64_C(1000), need = 0;

	n->verify_tokens += (now - n->verify_at) * core->cfg.verify_rate;
	if (n->verify_tokens > max)
		n->verify_tokens = max;
	n->verify_at = now;
	for (size_t i = 0; i < msg->n_items; i++) {
		const struct route_entry *e;
		struct record rec;

		if (msg->items[i].type == CONTROL_PRESENCE &&
		    members_needs_check(core, msg->items[i].presence.bytes))
			need += 1000;
		if (msg->items[i].type != CONTROL_RECORD ||
		    record_parse(msg->items[i].record.bytes, RECORD_LEN, &rec))
			continue;
		e = table_find(core, rec.address.b);
		if (!e || !e->cur || rec.sequence > e->cur->sequence)
			need += 1000;
	}
	if (need <= n->verify_tokens)
		return true;
	n->defer_at = now + (need - n->verify_tokens) / core->cfg.verify_rate + 1;
	core->stats.defer_over_budget++;
	return false;
}

bool apply_message(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const struct control_message *msg)
{
	if (!afford(core, now, n, msg))
		return false;
	for (size_t i = 0; i < msg->n_items; i++) {
		const struct control_item *item = &msg->items[i];

		switch (item->type) {
		case CONTROL_UPDATE:
			apply_update(core, now, n, item);
			break;
		case CONTROL_RECORD:
			apply_record(core, now, n, item);
			break;
		case CONTROL_WANT:
			apply_want(core, now, n, item);
			break;
		case CONTROL_SEQREQ:
			apply_seqreq(core, now, n, item);
			break;
		case CONTROL_DUMP:
			apply_dump(core, now, n, item->dump);
			break;
		case CONTROL_DIGEST:
			apply_digest(core, now, n, item->digest);
			break;
		case CONTROL_RESYNC:
			if (n->dump == DUMP_NONE && now >= n->dumped_at + GRACE_MS)
				emit_start_dump(core, now, n);
			break;
		case CONTROL_PRESENCE:
			members_apply(core, now, n, item);
			break;
		case CONTROL_MEMBER_SUMS:
			members_compare(core, now, n, item->member_sums);
			break;
		case CONTROL_MEMBER_ASK:
			members_asked(core, now, n, item->member_ask);
			break;
		}
	}
	return true;
}

void apply_tick(struct route_core *core, uint64_t now, struct route_neigh *n)
{
	if (now >= n->sweep_at) {
		n->sweep_at = NEVER;
		table_drop_neigh(core, now, n, VIA_STALE);
	}
	for (unsigned int i = n->n_pending; i-- > 0;)
		if (n->pending[i].ask_at <= now && n->pending[i].tries >= PENDING_TRIES)
			n->pending[i] = n->pending[--n->n_pending];
}
