// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/route/route.h"

#include <errno.h>
#include <string.h>

#include "ratmand/route/core.h"

#define DEFAULT_BUDGET 32768u
#define COOKIE_VERSION 1
#define RECHECK_MS 1000u

static uint8_t hash_key[crypto_shorthash_KEYBYTES];
static bool hash_key_set;

unsigned int route_hash(const void *key, size_t len)
{
	uint8_t out[crypto_shorthash_BYTES];
	unsigned int v;

	crypto_shorthash(out, key, len, hash_key);
	memcpy(&v, out, sizeof(v));
	return v;
}

/* splitmix64: the jitter and the epochs need not be secret, but a seed must repeat them. */
uint32_t core_random(struct route_core *core, uint32_t below)
{
	uint64_t z = core->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return below ? (uint32_t)(z % below) : 0;
}

struct route_neigh *core_neigh(const struct route_core *core, uint32_t id)
{
	for (unsigned int i = 0; i < core->n_slots; i++) {
		struct route_neigh *n = core->neighs[i];

		if (n && n->used && n->id == id)
			return n;
	}
	return NULL;
}

bool core_settled(const struct route_core *core, uint64_t now)
{
	if (now >= core->started + SETTLE_MS)
		return true;
	for (unsigned int i = 0; i < core->n_slots; i++)
		if (core->neighs[i] && core_may_hold(core->neighs[i], now, core->started))
			return false;
	return true;
}

void core_want(struct route_core *core, struct route_entry *e, uint64_t sequence)
{
	if (e->flags & ENTRY_WANT || core->n_wants == WANTS_MAX)
		return;		/* asked for again later */
	e->flags |= ENTRY_WANT;
	core->wants[core->n_wants++] = (struct want){ e->address, sequence };
}

/* Last in a call from outside: the answer may come through route_local_add() at once. */
static void deliver_wants(struct route_core *core)
{
	members_deliver_wants(core);
	while (core->n_wants) {
		struct want w = core->wants[--core->n_wants];
		struct route_entry *e = table_find(core, w.address.b);

		if (!e)
			continue;
		e->flags &= (uint8_t)~ENTRY_WANT;
		if (e->flags & ENTRY_LOCAL && core->ops.want_sequence)
			core->ops.want_sequence(core->ctx, &w.address, w.sequence);
	}
}

static uint32_t or_default(uint32_t value, uint32_t def, uint32_t min, uint32_t max)
{
	if (!value)
		value = def;
	if (value < min)
		return min;
	return value > max ? max : value;
}

struct route_core *route_new(const struct route_config *cfg, const struct route_ops *ops, void *ctx,
			     uint64_t now)
{
	struct route_core *core;
	struct route_config *c;

	if (sodium_init() < 0)
		return NULL;
	if (!hash_key_set) {
		randombytes_buf(hash_key, sizeof(hash_key));
		hash_key_set = true;
	}
	core = calloc(1, sizeof(*core));
	if (!core)
		return NULL;
	if (cfg)
		core->cfg = *cfg;
	c = &core->cfg;
	c->mtu = or_default(c->mtu, ROUTE_MTU_DEFAULT, 256, ROUTE_MTU_MAX);
	c->max_addresses = or_default(c->max_addresses, 1000000, 1, 100000000);
	c->quota = or_default(c->quota, 65536, 1, 100000000);
	c->verify_rate = or_default(c->verify_rate, 500, 1, 1000000);
	c->verify_burst = or_default(c->verify_burst, 2000, 16, 1000000);
	c->max_members = or_default(c->max_members, 16384, 1, 1000000);
	c->member_quota = or_default(c->member_quota, 4096, 1, 1000000);
	c->digest_ms = or_default(c->digest_ms, 60000, 1000, 3600000);
	c->flush_ms = or_default(c->flush_ms, 10, 1, 1000);
	core->ops = *ops;
	core->ctx = ctx;
	core->started = now;
	core->member_due = NEVER;
	core->rng = c->seed;
	if (!c->seed)
		randombytes_buf(&core->rng, sizeof(core->rng));
	core->bytes = sizeof(*core);
	return core;
}

void route_free(struct route_core *core)
{
	struct route_entry *e, *tmp;

	if (!core)
		return;
	HASH_ITER(hh, core->entries, e, tmp)
		table_free(core, e);
	members_free_all(core);
	for (unsigned int i = 0; i < core->n_slots; i++) {
		struct route_neigh *n = core->neighs[i];

		if (!n)
			continue;
		channel_clear(n);
		free(n->oneoffs);
		free(n->pending);
		free(n);
	}
	free(core->heap);
	free(core);
}

/* A slot for a new neighbour: a free one, or that of a neighbour long gone. */
static struct route_neigh *slot_take(struct route_core *core, uint64_t now, uint32_t id)
{
	struct route_neigh *n = core_neigh(core, id);
	unsigned int slot;

	if (n)
		return n;
	for (slot = 0; slot < ROUTE_NEIGH_MAX; slot++)
		if (!core->neighs[slot])
			break;
	if (slot == ROUTE_NEIGH_MAX) {
		for (slot = 0; slot < ROUTE_NEIGH_MAX; slot++)
			if (!core->neighs[slot]->up)
				break;
		if (slot == ROUTE_NEIGH_MAX)
			return NULL;
		n = core->neighs[slot];
		table_forget_owner(core, n);
		members_forget_owner(core, n);
	} else {
		n = calloc(1, sizeof(*n));
		if (!n)
			return NULL;
		core->bytes += sizeof(*n);
		core->neighs[slot] = n;
		if (slot >= core->n_slots)
			core->n_slots = slot + 1;
	}
	n->used = true;
	n->slot = (uint8_t)slot;
	n->id = id;
	n->mtu = ROUTE_PATH_MTU_DEFAULT;
	n->first_epoch = true;
	memset(n->past, 0, sizeof(n->past));
	n->verify_at = now;
	n->verify_tokens = core->cfg.verify_burst * UINT64_C(1000);
	n->tokens_at = now;
	n->tokens = INT64_MAX / 2;	/* cut to the burst on first use */
	return n;
}

int route_neigh_up(struct route_core *core, uint64_t now, uint32_t id, uint16_t cost,
		   uint32_t budget)
{
	struct route_neigh *n = slot_take(core, now, id);

	if (!n)
		return -ENOSPC;
	n->budget = budget ? budget : DEFAULT_BUDGET;
	if (n->budget > 1u << 30)
		n->budget = 1u << 30;
	if (n->tokens > (int64_t)n->budget * 2000)
		n->tokens = (int64_t)n->budget * 2000;
	if (n->up)
		return route_neigh_cost(core, now, id, cost);
	n->up = true;
	n->up_at = now;
	n->cost = cost ? cost : 1;
	channel_reset(core, now, n);
	return 0;
}

int route_neigh_cost(struct route_core *core, uint64_t now, uint32_t id, uint16_t cost)
{
	struct route_neigh *n = core_neigh(core, id);

	if (!n || !n->up)
		return -ENOENT;
	cost = cost ? cost : 1;
	if (n->cost == cost)
		return 0;
	n->cost = cost;
	table_eval_neigh(core, now, n);
	return 0;
}

int route_neigh_mtu(struct route_core *core, uint64_t now, uint32_t id, uint32_t mtu)
{
	struct route_neigh *n = core_neigh(core, id);

	if (!n || !n->up)
		return -ENOENT;
	if (mtu > UINT16_MAX)
		mtu = UINT16_MAX;
	if (mtu == 0 || n->mtu == mtu)
		return 0;
	n->mtu = (uint16_t)mtu;
	table_eval_neigh(core, now, n);
	emit_repeat(core, now, n);
	return 0;
}

int route_neigh_down(struct route_core *core, uint64_t now, uint32_t id)
{
	struct route_neigh *n = core_neigh(core, id);
	struct route_entry *e, *etmp;
	struct route_rec *rec, *rtmp;

	if (!n || !n->up)
		return -ENOENT;
	n->up = false;
	n->first_epoch = false;
	n->peer_epoch = 0;
	channel_clear(n);
	n->cursor[LIST_REACH] = NULL;
	n->cursor[LIST_RETRACT] = NULL;
	n->member_cursor = NULL;
	n->hello_at = NEVER;
	n->sweep_at = NEVER;
	HASH_ITER(hh, core->records, rec, rtmp)
		set_del(&rec->has, n->slot);
	HASH_ITER(hh, core->entries, e, etmp) {
		if (set_has(&e->told, n->slot)) {
			set_del(&e->told, n->slot);
			table_settle(core, e);
		}
	}
	if (n->routes)
		table_drop_neigh(core, now, n, 0);
	core->recheck = true;
	return 0;
}

/* Entries whose feasibility distance was unknown, once nobody can hold old promises. */
static void recheck(struct route_core *core, uint64_t now)
{
	struct route_entry *e, *tmp;

	if (!core->recheck && now < core->recheck_at)
		return;
	core->recheck = false;
	core->recheck_at = now + RECHECK_MS;
	if (!core->unknown_fd || !core_settled(core, now))
		return;
	HASH_ITER(hh, core->entries, e, tmp)
		if (e->flags & ENTRY_FD_UNKNOWN)
			table_eval(core, now, e);
}

void route_input(struct route_core *core, uint64_t now, uint32_t id, const uint8_t *bytes,
		 size_t len)
{
	struct route_neigh *n = core_neigh(core, id);

	core->stats.rx_messages++;
	core->stats.rx_bytes += len;
	if (!n || !n->up) {
		core->stats.drop_unknown_neigh++;
		return;
	}
	channel_input(core, now, n, bytes, len);
	recheck(core, now);
	deliver_wants(core);
}

/* After STALE_MS whatever was restored and not confirmed goes. */
static void sweep_restored(struct route_core *core, uint64_t now)
{
	if (core->swept || now < core->started + STALE_MS)
		return;
	core->swept = true;
	core->recheck = true;
	for (unsigned int i = 0; i < core->n_slots; i++)
		if (core->neighs[i] && core->neighs[i]->stale)
			table_drop_neigh(core, now, core->neighs[i], VIA_RESTORED);
	if (core->unresolved) {
		struct route_entry *e, *tmp;

		HASH_ITER(hh, core->entries, e, tmp)
			if (e->flags & ENTRY_UNRESOLVED)
				e->flags &= (uint8_t)~ENTRY_UNRESOLVED;
		core->unresolved = 0;
	}
	emit_touch(core, now, false);
}

void route_tick(struct route_core *core, uint64_t now)
{
	table_timers(core, now);
	members_tick(core, now);
	sweep_restored(core, now);
	for (unsigned int i = 0; i < core->n_slots; i++) {
		struct route_neigh *n = core->neighs[i];

		if (!n || !n->up)
			continue;
		apply_tick(core, now, n);
		channel_tick(core, now, n);
	}
	recheck(core, now);
	deliver_wants(core);
}

uint64_t route_deadline(const struct route_core *core)
{
	uint64_t at = table_deadline(core);

	if (at > core->member_due)
		at = core->member_due;
	if (!core->swept && core->restored && at > core->started + STALE_MS)
		at = core->started + STALE_MS;
	if (core->unknown_fd && at > core->recheck_at)
		at = core->recheck_at;
	for (unsigned int i = 0; i < core->n_slots; i++) {
		const struct route_neigh *n = core->neighs[i];

		if (n && n->up) {
			uint64_t t = channel_deadline(n);

			if (t < at)
				at = t;
		}
	}
	return at;
}

int route_local_add(struct route_core *core, uint64_t now, const uint8_t bytes[static RECORD_LEN])
{
	struct route_entry *e;
	struct record rec;
	bool fresh = false;
	int err;

	if (record_parse(bytes, RECORD_LEN, &rec))
		return -EINVAL;
	if (core->ops.verify ? !core->ops.verify(core->ctx, bytes) : !record_verify(bytes))
		return -EINVAL;
	if (route_sequence(core, &rec.address) > rec.sequence)
		return -ESTALE;
	e = table_find(core, rec.address.b);
	if (e && e->cur && e->cur->sequence >= rec.sequence)
		return -ESTALE;
	if (!e) {
		e = table_create(core, now, rec.address.b, NULL, &err);
		if (!e)
			return err;
		fresh = true;
	}
	err = table_set_record(core, now, e, &rec, bytes, rec.lifetime_s);
	if (err) {
		if (fresh)
			table_free(core, e);
		return err == -EEXIST ? -ESTALE : err;
	}
	if (rec.flags & RECORD_WITHDRAWN)
		e->flags &= (uint8_t)~ENTRY_LOCAL;
	else
		e->flags |= ENTRY_LOCAL;
	e->req_next = 0;
	table_eval(core, now, e);
	return 0;
}

int route_local_remove(struct route_core *core, uint64_t now, const struct address *address)
{
	struct route_entry *e = table_find(core, address->b);

	if (!e || !(e->flags & ENTRY_LOCAL))
		return -ENOENT;
	e->flags &= (uint8_t)~ENTRY_LOCAL;
	e->switched_at = now;
	table_eval(core, now, e);
	return 0;
}

uint64_t route_sequence(const struct route_core *core, const struct address *address)
{
	const struct route_entry *e = table_find(core, address->b);

	if (e)
		return e->seen;
	return core->ops.last_seen ? core->ops.last_seen(core->ctx, address) : 0;
}

int route_seen(struct route_core *core, uint64_t now, const struct address *address,
	       uint64_t sequence)
{
	struct route_entry *e = table_find(core, address->b);
	int err = 0;

	if (!e)
		e = table_create(core, now, address->b, NULL, &err);
	if (!e)
		return err;
	if (e->seen < sequence)
		e->seen = sequence;
	table_eval(core, now, e);
	return 0;
}

int route_restore(struct route_core *core, uint64_t now, const struct address *address,
		  uint64_t sequence, uint16_t fd_metric, const struct route_hop *hops, size_t n)
{
	struct route_entry *e = table_find(core, address->b);
	int err;

	if (fd_metric == 0 || fd_metric == ROUTE_INFINITY || n == 0 || n > ROUTE_HOPS_MAX)
		return -EINVAL;
	if (e && (e->cur || e->n_via || e->flags & ENTRY_INSTALLED))
		return -EEXIST;
	if (!e)
		e = table_create(core, now, address->b, NULL, &err);
	if (!e)
		return err;
	if (e->flags & ENTRY_FD_UNKNOWN) {
		e->flags &= (uint8_t)~ENTRY_FD_UNKNOWN;
		core->unknown_fd--;
	}
	core->restored = true;
	e->fd_sequence = sequence;
	e->fd_metric = fd_metric;
	if (e->seen < sequence)
		e->seen = sequence;
	for (size_t i = 0; i < n; i++) {
		struct route_neigh *neigh = core_neigh(core, hops[i].neigh);
		uint16_t mtu = hops[i].mtu ? hops[i].mtu : ROUTE_PATH_MTU_DEFAULT;

		if (!neigh || !neigh->up || table_via(e, neigh->slot))
			continue;
		/* The largest value that is certainly still feasible; see table.c, publish(). */
		if (!table_set_via(core, e, neigh, sequence, fd_metric - 1, mtu,
				   VIA_STALE | VIA_RESTORED))
			continue;
		if (e->sel == SLOT_NONE)
			e->sel = neigh->slot;
		e->inst[e->n_inst].slot = neigh->slot;
		e->inst[e->n_inst].mtu = mtu;
		e->inst[e->n_inst++].metric = hops[i].metric;
		if (neigh->sweep_at == NEVER)
			neigh->sweep_at = core->started + STALE_MS;
	}
	e->flags |= ENTRY_UNRESOLVED;
	core->unresolved++;
	/* Where a hop is missing now, what the kernel has must be replaced (or removed). */
	if (e->n_inst == n || e->n_inst == 0)
		e->flags |= ENTRY_INSTALLED;
	e->switched_at = now;
	table_eval(core, now, e);
	return 0;
}

void route_cookie_encode(const struct route_cookie *cookie, uint8_t out[static ROUTE_COOKIE_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, ROUTE_COOKIE_LEN);
	wire_put_be16(&w, COOKIE_VERSION);
	wire_put_be16(&w, cookie->metric);
	wire_put_be64(&w, cookie->sequence);
}

int route_cookie_decode(const uint8_t *bytes, size_t len, struct route_cookie *out)
{
	struct route_cookie cookie;
	struct wire_reader r;
	uint16_t version;

	wire_read_init(&r, bytes, len);
	version = wire_get_be16(&r);
	cookie.metric = wire_get_be16(&r);
	cookie.sequence = wire_get_be64(&r);
	if (!wire_done(&r) || version != COOKIE_VERSION || cookie.metric == 0 ||
	    cookie.metric == ROUTE_INFINITY)
		return -EINVAL;
	*out = cookie;
	return 0;
}

static void fill_info(const struct route_core *core, uint64_t now, const struct route_entry *e,
		      struct route_info *out)
{
	const struct route_via *sel = table_via(e, e->sel);

	memset(out, 0, sizeof(*out));
	out->address = e->address;
	out->sequence = e->cur ? e->cur->sequence : e->seen;
	out->fd_sequence = e->fd_sequence;
	out->fd_metric = e->fd_metric;
	out->local = e->flags & ENTRY_LOCAL;
	out->metric = ROUTE_INFINITY;
	if (out->local)
		out->metric = 0;
	else if (sel)
		out->metric = table_total(core, sel);
	out->stale = sel && sel->flags & VIA_STALE;
	out->withdrawn = e->cur && e->cur->flags & RECORD_WITHDRAWN;
	out->age_ms = now - e->switched_at;
	out->expires_ms = e->cur && e->cur->expires > now ? e->cur->expires - now : 0;
	out->n_hops = e->n_inst;
	for (unsigned int i = 0; i < e->n_inst; i++) {
		const struct route_via *v = table_via(e, e->inst[i].slot);

		out->hops[i].neigh = core->neighs[e->inst[i].slot]->id;
		out->hops[i].metric = v ? table_total(core, v) : e->inst[i].metric;
		out->hops[i].mtu = e->inst[i].mtu;
	}
	out->n_known = e->n_via;
}

static int by_address(const void *a, const void *b)
{
	const struct route_entry *const *x = a, *const *y = b;

	return memcmp((*x)->address.b, (*y)->address.b, ADDRESS_LEN);
}

int route_foreach(const struct route_core *core, uint64_t now,
		  bool (*cb)(void *ctx, const struct route_info *info), void *ctx)
{
	const struct route_entry **all, *e, *tmp;
	struct route_info info;
	size_t n = 0;

	if (!core->entries)
		return 0;
	all = malloc(HASH_COUNT(core->entries) * sizeof(struct route_entry *));
	if (!all)
		return -ENOMEM;
	HASH_ITER(hh, core->entries, e, tmp)
		if (e->sel != SLOT_NONE || e->flags & ENTRY_LOCAL)
			all[n++] = e;
	qsort(all, n, sizeof(struct route_entry *), by_address);
	for (size_t i = 0; i < n; i++) {
		fill_info(core, now, all[i], &info);
		if (!cb(ctx, &info))
			break;
	}
	free(all);
	return 0;
}

int route_get(const struct route_core *core, uint64_t now, const struct address *address,
	      struct route_info *out)
{
	const struct route_entry *e = table_find(core, address->b);

	if (!e)
		return -ENOENT;
	fill_info(core, now, e, out);
	return 0;
}

int route_neigh_get(const struct route_core *core, uint32_t id, struct route_neigh_info *out)
{
	const struct route_neigh *n = core_neigh(core, id);

	if (!n || !n->up)
		return -ENOENT;
	*out = (struct route_neigh_info){
		.neigh = n->id,
		.cost = n->cost,
		.mtu = n->mtu,
		.connected = n->peer_epoch && n->peer_adopted,
		.synced = n->synced,
		.routes = n->routes,
		.owned = n->owned,
		.rtt_ms = n->srtt,
	};
	return 0;
}

const struct route_stats *route_stats(const struct route_core *core)
{
	return &core->stats;
}

void route_usage(const struct route_core *core, size_t *addresses, size_t *bytes)
{
	*addresses = HASH_COUNT(core->entries);
	*bytes = core->bytes;
}
