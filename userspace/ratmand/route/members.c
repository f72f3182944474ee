// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who is a member of which namespace: presences, flooded over the channels.
 *
 * All are in one list ordered by their last change; each neighbour has a cursor in
 * it. A presence is sent to every neighbour that is not known to have it, once.
 * Sums over what both should hold find what got lost all the same.
 */
#include <errno.h>
#include <string.h>

#include "ratmand/route/core.h"

#define SCAN_MS 1000u			/* between looks at all lifetimes */
#define RIPE_MS 10000u			/* not summed up while it changes, or is about to go */
#define ASK_MAX_MS 3600000u

struct pair_key {
	struct address space, member;
};

static struct route_member *find(const struct route_core *core, const struct address *space,
				 const struct address *member)
{
	struct pair_key key = { *space, *member };
	struct route_member *m;

	HASH_FIND(hh, core->members, &key, sizeof(key), m);
	return m;
}

static bool is_live(const struct route_member *m, uint64_t now)
{
	return m->expires > now && !(m->p.flags & PRESENCE_WITHDRAWN);
}

/* ---- list ---- */

static void list_remove(struct route_core *core, struct route_member *m)
{
	for (unsigned int i = 0; i < core->n_slots; i++)
		if (core->neighs[i] && core->neighs[i]->member_cursor == m)
			core->neighs[i]->member_cursor = m->next;
	if (m->prev)
		m->prev->next = m->next;
	else
		core->member_head = m->next;
	if (m->next)
		m->next->prev = m->prev;
	else
		core->member_tail = m->prev;
	m->prev = m->next = NULL;
}

/* Appends; for neighbours that had heard everything it is the next to hear. */
static void list_append(struct route_core *core, struct route_member *m)
{
	m->prev = core->member_tail;
	if (core->member_tail)
		core->member_tail->next = m;
	else
		core->member_head = m;
	core->member_tail = m;
	for (unsigned int i = 0; i < core->n_slots; i++) {
		struct route_neigh *n = core->neighs[i];

		if (n && n->up && n->peer_epoch && !n->member_cursor)
			n->member_cursor = m;
	}
}

static void due(struct route_core *core, uint64_t at)
{
	if (at < core->member_due)
		core->member_due = at;
}

/* ---- entries ---- */

static void member_free(struct route_core *core, struct route_member *m)
{
	if (m->owner < ROUTE_NEIGH_MAX)
		core->neighs[m->owner]->members_owned--;
	if (m->wanted)
		core->member_wants--;
	list_remove(core, m);
	HASH_DEL(core->members, m);
	core->bytes -= sizeof(*m);
	free(m);
}

void members_free_all(struct route_core *core)
{
	while (core->member_head)
		member_free(core, core->member_head);
	free(core->own_spaces);
}

void members_forget_owner(struct route_core *core, struct route_neigh *n)
{
	for (struct route_member *m = core->member_head; m; m = m->next)
		if (m->owner == n->slot)
			m->owner = SLOT_ORPHAN;
	n->members_owned = 0;
}

/* True when we are a member ourselves: these are the presences that we live on. */
static bool is_own_space(const struct route_core *core, const struct address *space)
{
	for (size_t i = 0; i < core->n_own_spaces; i++)
		if (address_equal(&core->own_spaces[i], space))
			return true;
	return false;
}

/* After an own membership came or went. Without memory none counts as ours. */
static void find_own_spaces(struct route_core *core)
{
	size_t n = 0;

	for (const struct route_member *m = core->member_head; m; m = m->next)
		n += m->local;
	free(core->own_spaces);
	core->own_spaces = n ? malloc(n * sizeof(*core->own_spaces)) : NULL;
	core->n_own_spaces = 0;
	for (const struct route_member *m = core->member_head; m && core->own_spaces; m = m->next)
		if (m->local && !is_own_space(core, &m->p.space))
			core->own_spaces[core->n_own_spaces++] = m->p.space;
}

/*
 * Frees the oldest withdrawn one, charged to @owner if that is given; with @any also a
 * live one, but never of a namespace of our own.
 */
static bool evict(struct route_core *core, uint64_t now, const struct route_neigh *owner, bool any)
{
	for (struct route_member *m = core->member_head; m; m = m->next) {
		if (m->local || (owner && m->owner != owner->slot) ||
		    (is_live(m, now) && (!any || is_own_space(core, &m->p.space))))
			continue;
		if (is_live(m, now)) {
			core->stats.presence_evicted++;
			if (core->ops.member)
				core->ops.member(core->ctx, &m->p.space, &m->p.member, false);
		}
		member_free(core, m);
		return true;
	}
	return false;
}

/* Room for one more of @space; those of our own namespaces push others out. */
static bool make_room(struct route_core *core, uint64_t now, struct route_neigh *owner,
		      const struct address *space)
{
	bool full = HASH_COUNT(core->members) >= core->cfg.max_members;
	bool over = owner && owner->members_owned >= core->cfg.member_quota;
	bool own;

	if (!full && !over)
		return true;
	own = !owner || is_own_space(core, space);
	if (over && !evict(core, now, owner, own) && !own) {
		core->stats.drop_presence_quota++;
		return false;
	}
	if (HASH_COUNT(core->members) < core->cfg.max_members)
		return true;
	if (evict(core, now, NULL, own))
		return true;
	core->stats.drop_presence_full++;
	return false;
}

static struct route_member *member_create(struct route_core *core, uint64_t now,
					  const struct presence *p, struct route_neigh *owner)
{
	struct route_member *m;

	if (!make_room(core, now, owner, &p->space))
		return NULL;
	m = calloc(1, sizeof(*m));
	if (m) {
		m->p = *p;
		m->owner = owner ? owner->slot : SLOT_LOCAL;
		/* The pair lies in the presence as it lies in struct pair_key. */
		HASH_ADD_KEYPTR(hh, core->members, &m->p.space, sizeof(struct pair_key), m);
	}
	if (!m || !m->hh.tbl) {
		free(m);
		core->stats.drop_no_memory++;
		return NULL;
	}
	core->bytes += sizeof(*m);
	if (owner)
		owner->members_owned++;
	list_append(core, m);
	return m;
}

/* A newer presence: everybody hears it, but who told us. */
static void member_set(struct route_core *core, uint64_t now, struct route_member *m,
		       const struct presence *p, uint32_t remaining_s, bool was_live)
{
	uint32_t left = remaining_s < p->lifetime_s ? remaining_s : p->lifetime_s;

	m->p = *p;
	m->expires = now + left * UINT64_C(1000);
	m->changed = now;
	m->refresh = m->local ? now + p->lifetime_s * UINT64_C(500) : NEVER;
	memset(&m->has, 0, sizeof(m->has));
	list_remove(core, m);
	list_append(core, m);
	due(core, m->expires < m->refresh ? m->expires : m->refresh);
	emit_touch(core, now, false);
	if (is_live(m, now) != was_live && core->ops.member)
		core->ops.member(core->ctx, &m->p.space, &m->p.member, !was_live);
}

static void want(struct route_core *core, struct route_member *m)
{
	if (!m->wanted)
		core->member_wants++;
	m->wanted = true;
}

/* ---- from neighbours ---- */

static bool verify(struct route_core *core, struct route_neigh *n, const uint8_t *bytes)
{
	bool ok;

	n->verify_tokens -= n->verify_tokens < 1000 ? n->verify_tokens : 1000;
	ok = core->ops.verify_member ? core->ops.verify_member(core->ctx, bytes) :
				       presence_verify(bytes);
	if (ok)
		core->stats.presence_verified++;
	else
		core->stats.drop_signature++;
	return ok;
}

bool members_needs_check(const struct route_core *core, const uint8_t *bytes)
{
	const struct route_member *m;
	struct presence p;

	if (presence_parse(bytes, PRESENCE_LEN, &p))
		return false;
	m = find(core, &p.space, &p.member);
	return !m || p.sequence > m->p.sequence;
}

/* Somebody else speaks for our own membership, or we lost our memory: go above it. */
static void foreign(struct route_core *core, uint64_t now, struct route_member *m,
		    const struct presence *p)
{
	if (m->above < p->sequence)
		m->above = p->sequence;
	if (m->asked_at && now < m->asked_at + REFRESH_RETRY_MS)
		return;
	m->asked_at = now;
	want(core, m);
}

void members_apply(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const struct control_item *item)
{
	const uint8_t *bytes = item->presence.bytes;
	struct route_member *m;
	struct presence p;
	bool was_live;

	core->stats.presence_in++;
	if (presence_parse(bytes, PRESENCE_LEN, &p)) {
		core->stats.drop_presence++;
		return;
	}
	m = find(core, &p.space, &p.member);
	if (m && p.sequence < m->p.sequence) {
		/* A withdrawal says nothing to one who did not know of it yet: it hears ours again. */
		core->stats.drop_older_sequence++;
		set_del(&m->has, n->slot);
		n->member_cursor = core->member_head;
		emit_touch(core, now, false);
		return;
	}
	if (m && p.sequence == m->p.sequence) {
		if (memcmp(&m->p.signature, p.signature, sizeof(p.signature)))
			core->stats.drop_conflict++;
		else
			set_add(&m->has, n->slot);
		return;
	}
	if (!m && p.flags & PRESENCE_WITHDRAWN)
		return;		/* nothing to take back */
	if (!item->presence.remaining_s) {
		core->stats.drop_expired++;
		return;
	}
	if (!verify(core, n, bytes))
		return;
	if (m && m->local) {
		foreign(core, now, m, &p);
		return;
	}
	was_live = m && is_live(m, now);
	if (!m)
		m = member_create(core, now, &p, n);
	if (!m) {
		n->members_incomplete = true;
		return;
	}
	core->stats.presence_new++;
	member_set(core, now, m, &p, item->presence.remaining_s, was_live);
	set_add(&m->has, n->slot);
}

/* ---- to neighbours ---- */

void members_start(struct route_core *core, struct route_neigh *n)
{
	for (struct route_member *m = core->member_head; m; m = m->next)
		set_del(&m->has, n->slot);
	n->member_cursor = core->member_head;
	n->members_incomplete = false;
	n->member_ask = 0;
	n->member_differs = 0;
	n->member_ask_wait = 0;
}

bool members_emit(struct route_core *core, uint64_t now, struct route_neigh *n,
		  struct wire_writer *w, struct control_run *run)
{
	uint8_t bytes[PRESENCE_LEN];

	if (n->member_ask) {
		if (!control_put_member_ask(w, run, n->member_ask))
			return false;
		n->member_ask = 0;
	}
	while (n->member_cursor) {
		struct route_member *m = n->member_cursor;

		if (!set_has(&m->has, n->slot) && m->expires > now) {
			presence_encode(&m->p, bytes);
			if (!control_put_presence(w, run, bytes,
						  (uint32_t)((m->expires - now + 999) / 1000)))
				return false;
			set_add(&m->has, n->slot);
			core->stats.presence_out++;
		}
		n->member_cursor = m->next;
	}
	return true;
}

/* ---- comparing ---- */

static void sums(const struct route_core *core, uint64_t now,
		 uint64_t out[static CONTROL_MEMBER_BUCKETS])
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "ratman members 1";
	uint8_t text[sizeof(struct pair_key) + 8], hash[crypto_shorthash_BYTES];

	memset(out, 0, CONTROL_MEMBER_BUCKETS * sizeof(*out));
	for (const struct route_member *m = core->member_head; m; m = m->next) {
		struct wire_writer w;
		struct wire_reader r;
		unsigned int bucket;

		if (now - m->changed < RIPE_MS || m->expires < now + RIPE_MS)
			continue;
		wire_write_init(&w, text, sizeof(text));
		wire_put(&w, m->p.space.b, ADDRESS_LEN);
		wire_put(&w, m->p.member.b, ADDRESS_LEN);
		wire_put_be64(&w, m->p.sequence);
		crypto_shorthash(hash, text, sizeof(struct pair_key), key);
		bucket = hash[0] % CONTROL_MEMBER_BUCKETS;
		crypto_shorthash(hash, text, sizeof(text), key);
		wire_read_init(&r, hash, sizeof(hash));
		out[bucket] += wire_get_be64(&r);
	}
}

bool members_put_sums(struct route_core *core, uint64_t now, struct wire_writer *w,
		      struct control_run *run)
{
	uint64_t sum[CONTROL_MEMBER_BUCKETS];

	if (!core->member_head)
		return true;
	sums(core, now, sum);
	return control_put_member_sums(w, run, sum);
}

void members_compare(struct route_core *core, uint64_t now, struct route_neigh *n,
		     const uint8_t *bytes)
{
	uint64_t own[CONTROL_MEMBER_BUCKETS];
	uint16_t differs = 0, ask;
	struct wire_reader r;

	sums(core, now, own);
	wire_read_init(&r, bytes, CONTROL_MEMBER_SUMS_LEN);
	for (unsigned int i = 0; i < CONTROL_MEMBER_BUCKETS; i++)
		if (wire_get_be64(&r) != own[i])
			differs |= (uint16_t)(1u << i);
	/* What is just under way differs once; what is lost, again. */
	ask = differs & n->member_differs;
	n->member_differs = differs;
	if (!differs)
		n->member_ask_wait = 0;
	if (!ask || now < n->member_ask_at)
		return;
	if (n->members_incomplete && (n->members_owned >= core->cfg.member_quota / 8 * 7 ||
				      HASH_COUNT(core->members) >= core->cfg.max_members / 8 * 7))
		return;		/* differs because we refused some of it, and still would */
	n->member_ask_wait = n->member_ask_wait ? n->member_ask_wait * 2 : core->cfg.digest_ms;
	if (n->member_ask_wait > ASK_MAX_MS)
		n->member_ask_wait = ASK_MAX_MS;
	n->member_ask_at = now + n->member_ask_wait;
	n->member_ask = ask;
	n->flush_at = now;
	core->stats.presence_asked++;
}

void members_asked(struct route_core *core, uint64_t now, struct route_neigh *n, uint16_t buckets)
{
	static const uint8_t key[crypto_shorthash_KEYBYTES] = "ratman members 1";
	uint8_t hash[crypto_shorthash_BYTES];

	if (now < n->member_answered_at + GRACE_MS)
		return;
	n->member_answered_at = now;
	for (struct route_member *m = core->member_head; m; m = m->next) {
		crypto_shorthash(hash, (const uint8_t *)&m->p.space, sizeof(struct pair_key), key);
		if (buckets >> (hash[0] % CONTROL_MEMBER_BUCKETS) & 1)
			set_del(&m->has, n->slot);
	}
	n->member_cursor = core->member_head;
	n->flush_at = now;
}

/* ---- time ---- */

void members_tick(struct route_core *core, uint64_t now)
{
	struct route_member *m, *next;

	if (now < core->member_due)
		return;
	core->member_due = NEVER;
	for (m = core->member_head; m; m = next) {
		next = m->next;
		if (m->local && now >= m->refresh) {
			m->refresh = now + REFRESH_RETRY_MS;
			want(core, m);
		}
		if (now < m->expires) {
			due(core, m->expires < m->refresh ? m->expires : m->refresh);
			continue;
		}
		if (!(m->p.flags & PRESENCE_WITHDRAWN) && core->ops.member)
			core->ops.member(core->ctx, &m->p.space, &m->p.member, false);
		member_free(core, m);
	}
	if (core->member_due < now + SCAN_MS)
		core->member_due = now + SCAN_MS;
}

void members_deliver_wants(struct route_core *core)
{
	struct route_member *m, *next;

	for (m = core->member_head; m && core->member_wants; m = next) {
		struct address space = m->p.space, member = m->p.member;
		uint64_t sequence = (m->above > m->p.sequence ? m->above : m->p.sequence) + 1;

		next = m->next;
		if (!m->wanted)
			continue;
		m->wanted = false;
		core->member_wants--;
		/* May put a newer one in its place, at the end of the list. */
		if (core->ops.want_member)
			core->ops.want_member(core->ctx, &space, &member, sequence);
	}
}

/* ---- calls ---- */

int route_member_add(struct route_core *core, uint64_t now,
		     const uint8_t bytes[static PRESENCE_LEN])
{
	struct route_member *m;
	struct presence p;
	bool was_live;

	if (presence_parse(bytes, PRESENCE_LEN, &p) ||
	    (core->ops.verify_member ? !core->ops.verify_member(core->ctx, bytes) :
				       !presence_verify(bytes)))
		return -EINVAL;
	m = find(core, &p.space, &p.member);
	if (m && (p.sequence <= m->p.sequence || p.sequence <= m->above))
		return -ESTALE;
	was_live = m && is_live(m, now);
	if (!m)
		m = member_create(core, now, &p, NULL);
	if (!m)
		return -ENOSPC;
	if (m->owner < ROUTE_NEIGH_MAX)
		core->neighs[m->owner]->members_owned--;
	m->owner = SLOT_LOCAL;
	m->local = !(p.flags & PRESENCE_WITHDRAWN);
	member_set(core, now, m, &p, p.lifetime_s, was_live);
	find_own_spaces(core);
	return 0;
}

uint64_t route_member_sequence(const struct route_core *core, const struct address *space,
			       const struct address *member)
{
	const struct route_member *m = find(core, space, member);

	if (!m)
		return 0;
	return m->above > m->p.sequence ? m->above : m->p.sequence;
}

void route_members(const struct route_core *core, uint64_t now, const struct address *space,
		   void (*cb)(void *ctx, const struct route_member_info *info), void *ctx)
{
	for (const struct route_member *m = core->member_head; m; m = m->next) {
		struct route_member_info info = {
			.space = m->p.space,
			.member = m->p.member,
			.sequence = m->p.sequence,
			.local = m->local,
		};

		if (!is_live(m, now) || (space && !address_equal(space, &m->p.space)))
			continue;
		info.expires_ms = m->expires - now;
		cb(ctx, &info);
	}
}
