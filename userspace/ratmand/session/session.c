// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * End-to-end sessions over HANDSHAKE frames.
 *
 * Three tables: our addresses that are up, the handshakes we began (by pair and
 * by index), and the indices of what was installed (until the kernel refuses the
 * keys anyway). A handshake that the other side began is answered and forgotten
 * within one call.
 *
 * Against floods there is no cookie: the frame does not say who sent it, so
 * nobody could be asked to prove where it is. In its place, before any
 * computation: mac1 (made for this address), a quota for the neighbour that
 * passed the frame on, a quota for all of them.
 *
 * This file is past 600 lines because both messages and the clock share the three
 * tables; none of them is of use to anybody else.
 */
#include "ratmand/session/session.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "ratmand/session/cookie.h"
#include "ratmand/session/guard.h"
#include "ratmand/session/noise.h"
#include "ratmand/session/table.h"

#define NEVER UINT64_MAX

#define INIT_PAYLOAD_LEN (ADDRESS_LEN + 8 + 4)
#define RESPONSE_PAYLOAD_LEN (4 + 8)
#define INIT_NOISE_OFFSET 8
#define INIT_NOISE_LEN (NOISE_MSG1_EXTRA + INIT_PAYLOAD_LEN)
#define RESPONSE_NOISE_OFFSET 12
#define RESPONSE_NOISE_LEN (NOISE_MSG2_EXTRA + RESPONSE_PAYLOAD_LEN)

_Static_assert(INIT_NOISE_OFFSET + INIT_NOISE_LEN + COOKIE_MAC_LEN == SESSION_INIT_LEN, "init");
_Static_assert(RESPONSE_NOISE_OFFSET + RESPONSE_NOISE_LEN + COOKIE_MAC_LEN == SESSION_RESPONSE_LEN,
	       "response");

struct local {
	UT_hash_handle hh;
	struct address address;
	uint8_t *sk;			/* X25519, sodium_malloc */
	uint8_t mac1_key[COOKIE_KEY_LEN];
};

struct pair {
	struct address local;
	struct address peer;
};

/* A handshake that we began. */
struct pending {
	UT_hash_handle hh;		/* by pair, oldest first */
	UT_hash_handle hh_index;	/* by index */
	struct pair pair;
	uint32_t index;			/* of the last init; valid while sent */
	bool sent;
	unsigned int tries;
	uint64_t started_ms;
	uint64_t sent_ms;
	uint64_t next_ms;
	struct local *local;		/* borrowed; local_remove drops us first */
	uint8_t peer_pk[NOISE_KEY_LEN];
	uint8_t mac1_key[COOKIE_KEY_LEN];
	struct noise_handshake hs;
};

/* An installed session's index. */
struct live {
	UT_hash_handle hh;		/* by index, oldest first */
	uint32_t index;
	struct address local;
	uint64_t until_ms;
};

struct session_mgr {
	const struct session_ops *ops;	/* borrowed */
	void *ctx;
	struct local *locals;
	struct pending *pendings;
	struct pending *by_index;
	struct live *live;
	uint64_t deadline;
	struct guard_sources *neighs;
	struct guard_stamps *stamps;
	struct guard_bucket init_bucket;
	struct guard_bucket response_bucket;
	struct session_stats stats;
};

static const struct guard_rate neigh_rate = { SESSION_NEIGH_BURST, SESSION_NEIGH_MS };
static const struct guard_rate input_rate = { SESSION_INPUT_BURST, SESSION_INPUT_MS };

static void due_at(struct session_mgr *mgr, uint64_t when_ms)
{
	if (when_ms < mgr->deadline)
		mgr->deadline = when_ms;
}

/* Indices. */

static struct pending *pending_by_index(struct session_mgr *mgr, uint32_t index)
{
	struct pending *p;

	HASH_FIND(hh_index, mgr->by_index, &index, sizeof(index), p);
	return p;
}

static struct live *live_by_index(struct session_mgr *mgr, uint32_t index)
{
	struct live *l;

	HASH_FIND(hh, mgr->live, &index, sizeof(index), l);
	return l;
}

static uint32_t index_new(struct session_mgr *mgr)
{
	uint32_t index;

	do {
		index = randombytes_random();
	} while (!index || pending_by_index(mgr, index) || live_by_index(mgr, index));
	return index;
}

static void live_drop(struct session_mgr *mgr, struct live *l)
{
	HASH_DEL(mgr->live, l);
	free(l);
}

static bool live_add(struct session_mgr *mgr, uint32_t index, const struct address *local,
		     uint64_t until_ms)
{
	struct live *l;

	if (HASH_COUNT(mgr->live) >= SESSION_MAX_LIVE) {
		mgr->stats.evicted_live++;
		live_drop(mgr, mgr->live);
	}
	l = calloc(1, sizeof(*l));
	if (l) {
		l->index = index;
		l->local = *local;
		l->until_ms = until_ms;
		HASH_ADD(hh, mgr->live, index, sizeof(l->index), l);
		if (l->hh.tbl) {
			due_at(mgr, until_ms);
			return true;
		}
		free(l);
	}
	mgr->stats.no_memory++;
	return false;
}

/* Handshakes under way. */

static struct local *local_find(struct session_mgr *mgr, const struct address *address)
{
	struct local *l;

	HASH_FIND(hh, mgr->locals, address, sizeof(*address), l);
	return l;
}

static struct pending *pending_find(struct session_mgr *mgr, const struct address *local,
				    const struct address *peer)
{
	struct pair pair = { *local, *peer };
	struct pending *p;

	HASH_FIND(hh, mgr->pendings, &pair, sizeof(pair), p);
	return p;
}

/* The last init's answer counts no more. */
static void pending_unsend(struct session_mgr *mgr, struct pending *p)
{
	if (p->sent)
		HASH_DELETE(hh_index, mgr->by_index, p);
	p->sent = false;
}

static void pending_drop(struct session_mgr *mgr, struct pending *p)
{
	pending_unsend(mgr, p);
	HASH_DEL(mgr->pendings, p);
	sodium_memzero(p, sizeof(*p));
	free(p);
}

static void pending_fail(struct session_mgr *mgr, struct pending *p)
{
	struct pair pair = p->pair;

	mgr->stats.failed++;
	pending_drop(mgr, p);
	mgr->ops->failed(mgr->ctx, &pair.local, &pair.peer);
}

static bool write_init(struct pending *p, uint64_t stamp, uint32_t index,
		       uint8_t msg[SESSION_INIT_LEN])
{
	uint8_t payload[INIT_PAYLOAD_LEN];
	struct wire_writer w;

	wire_write_init(&w, payload, sizeof(payload));
	wire_put(&w, p->pair.local.b, ADDRESS_LEN);
	wire_put_be64(&w, stamp);
	wire_put_be32(&w, index);

	memset(msg, 0, SESSION_INIT_LEN);
	wire_write_init(&w, msg, SESSION_INIT_LEN);
	wire_put_be32(&w, (uint32_t)SESSION_MSG_INIT << 24);
	wire_put_be32(&w, index);
	if (noise_init(&p->hs, true, p->local->sk, p->peer_pk, SESSION_PROLOGUE,
		       strlen(SESSION_PROLOGUE), NULL) ||
	    noise_write(&p->hs, payload, sizeof(payload), msg + INIT_NOISE_OFFSET,
			INIT_NOISE_LEN) != INIT_NOISE_LEN) {
		noise_wipe(&p->hs);
		return false;
	}
	cookie_mac1(p->mac1_key, msg, SESSION_INIT_LEN - COOKIE_MAC_LEN,
		    msg + SESSION_INIT_LEN - COOKIE_MAC_LEN);
	return true;
}

/* Sends an init, with a stamp, an ephemeral key and an index of its own, and sets the next time. */
static void begin(struct session_mgr *mgr, struct pending *p, uint64_t now_ms)
{
	uint8_t msg[SESSION_INIT_LEN];
	uint64_t stamp;

	p->next_ms = now_ms + SESSION_RETRY_FIRST_MS;
	if (p->tries++)
		p->next_ms = now_ms + SESSION_RETRY_MS - SESSION_RETRY_JITTER_MS +
			     randombytes_uniform(2 * SESSION_RETRY_JITTER_MS + 1);
	due_at(mgr, p->next_ms);

	stamp = mgr->ops->next_stamp(mgr->ctx, &p->pair.local);
	if (!stamp) {
		mgr->stats.no_stamp++;
		return;
	}
	pending_unsend(mgr, p);
	p->index = index_new(mgr);
	if (!write_init(p, stamp, p->index, msg)) {
		mgr->stats.bad_identity++;
		return;
	}
	HASH_ADD(hh_index, mgr->by_index, index, sizeof(p->index), p);
	if (!p->hh_index.tbl) {
		mgr->stats.no_memory++;
		return;
	}
	p->sent = true;
	p->sent_ms = now_ms;
	mgr->stats.init_sent++;
	mgr->ops->send(mgr->ctx, &p->pair.peer, msg, sizeof(msg));
}

int session_want(struct session_mgr *mgr, uint64_t now_ms, const struct address *local,
		 const struct address *peer)
{
	uint8_t peer_pk[NOISE_KEY_LEN];
	struct pending *p;
	struct local *l;

	l = local_find(mgr, local);
	if (!l)
		return -ENOENT;
	if (address_equal(local, peer))
		return -EINVAL;
	if (pending_find(mgr, local, peer))
		return 0;
	if (crypto_sign_ed25519_pk_to_curve25519(peer_pk, peer->b))
		return -EINVAL;
	if (HASH_COUNT(mgr->pendings) >= SESSION_MAX_PENDING) {
		mgr->stats.evicted_pending++;
		pending_fail(mgr, mgr->pendings);
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		mgr->stats.no_memory++;
		return -ENOMEM;
	}
	p->pair = (struct pair){ *local, *peer };
	p->local = l;
	p->started_ms = now_ms;
	memcpy(p->peer_pk, peer_pk, sizeof(peer_pk));
	cookie_mac1_key(p->mac1_key, peer_pk, NULL);
	HASH_ADD(hh, mgr->pendings, pair, sizeof(p->pair), p);
	if (!p->hh.tbl) {
		mgr->stats.no_memory++;
		free(p);
		return -ENOMEM;
	}
	due_at(mgr, now_ms + SESSION_GIVE_UP_MS);
	begin(mgr, p, now_ms);
	return 0;
}

/* @hs has both messages; it is wiped. */
static void install(struct session_mgr *mgr, struct noise_handshake *hs, struct session_keys *keys)
{
	noise_split(hs, keys->tx_key, keys->rx_key);
	mgr->stats.installed++;
	mgr->ops->install(mgr->ctx, keys);
	sodium_memzero(keys, sizeof(*keys));
}

/* Their init. */

struct init {
	uint32_t index;
	struct address peer;
	uint64_t stamp;
};

/* Quotas, before any computation: the neighbour's, then everybody's. */
static bool admitted(struct session_mgr *mgr, uint64_t now_ms, uint32_t from_neigh,
		     struct guard_bucket *all)
{
	if (!guard_sources_take(mgr->neighs, &from_neigh, now_ms)) {
		mgr->stats.over_neigh_rate++;
		return false;
	}
	if (!guard_take(all, &input_rate, now_ms)) {
		mgr->stats.over_rate++;
		return false;
	}
	return true;
}

static bool mac1_ok(struct session_mgr *mgr, const struct local *l, const uint8_t *msg, size_t len)
{
	len -= COOKIE_MAC_LEN;
	if (cookie_mac1_ok(l->mac1_key, msg, len, msg + len))
		return true;
	mgr->stats.bad_mac1++;
	return false;
}

/* Authenticates an init to @l; @hs can then answer it. The caller wipes @hs in any case. */
static bool init_open(struct session_mgr *mgr, const struct local *l, struct noise_handshake *hs,
		      const uint8_t *msg, struct init *in)
{
	uint8_t payload[INIT_PAYLOAD_LEN], pk[NOISE_KEY_LEN];
	struct wire_reader r;
	uint32_t claimed;

	if (noise_init(hs, false, l->sk, NULL, SESSION_PROLOGUE, strlen(SESSION_PROLOGUE), NULL) ||
	    noise_read(hs, msg + INIT_NOISE_OFFSET, INIT_NOISE_LEN, payload, sizeof(payload)) !=
		    INIT_PAYLOAD_LEN) {
		mgr->stats.bad_noise++;
		return false;
	}
	wire_read_init(&r, msg + 4, 4);
	claimed = wire_get_be32(&r);
	wire_read_init(&r, payload, sizeof(payload));
	wire_get(&r, in->peer.b, ADDRESS_LEN);
	in->stamp = wire_get_be64(&r);
	in->index = wire_get_be32(&r);
	if (in->index != claimed || !in->index || address_equal(&in->peer, &l->address) ||
	    crypto_sign_ed25519_pk_to_curve25519(pk, in->peer.b) ||
	    sodium_memcmp(pk, noise_remote_static(hs), sizeof(pk))) {
		mgr->stats.bad_identity++;
		return false;
	}
	return true;
}

/*
 * Whether to answer. When both sides began, the init of the smaller address goes
 * on: if ours is the smaller we ignore theirs and repeat ours soon (they are
 * evidently there); else ours ends. The smaller side's init is never ignored and
 * is repeated until it is answered or given up, so the two cannot wait for each
 * other.
 */
static bool init_wins(struct session_mgr *mgr, const struct local *l, uint64_t now_ms,
		      const struct init *in)
{
	struct pair pair = { l->address, in->peer };
	struct pending *p;
	uint64_t again;

	if (!guard_stamps_advance(mgr->stamps, &pair, in->stamp)) {
		mgr->stats.stale_stamp++;
		return false;
	}
	p = pending_find(mgr, &l->address, &in->peer);
	if (!p)
		return true;
	if (!p->sent || address_compare(&l->address, &in->peer) > 0) {
		pending_drop(mgr, p);
		return true;
	}
	mgr->stats.crossed++;
	again = p->sent_ms + SESSION_RETRY_FIRST_MS;
	if (again < now_ms)
		again = now_ms;
	if (again < p->next_ms)
		p->next_ms = again;
	due_at(mgr, p->next_ms);
	return false;
}

/*
 * The response carries a fresh stamp too: whatever we sent before it is void. So
 * an init of ours that is still on its way (reordered) when we answered theirs
 * makes no second session.
 */
static bool write_response(struct session_mgr *mgr, struct noise_handshake *hs,
			   const struct session_keys *keys, uint8_t msg[SESSION_RESPONSE_LEN])
{
	uint64_t stamp = mgr->ops->next_stamp(mgr->ctx, &keys->local);
	uint8_t payload[RESPONSE_PAYLOAD_LEN], key[COOKIE_KEY_LEN];
	struct wire_writer w;

	if (!stamp) {
		mgr->stats.no_stamp++;
		return false;
	}
	wire_write_init(&w, payload, sizeof(payload));
	wire_put_be32(&w, keys->local_index);
	wire_put_be64(&w, stamp);

	memset(msg, 0, SESSION_RESPONSE_LEN);
	wire_write_init(&w, msg, SESSION_RESPONSE_LEN);
	wire_put_be32(&w, (uint32_t)SESSION_MSG_RESPONSE << 24);
	wire_put_be32(&w, keys->local_index);
	wire_put_be32(&w, keys->peer_index);

	cookie_mac1_key(key, noise_remote_static(hs), NULL);
	if (noise_write(hs, payload, sizeof(payload), msg + RESPONSE_NOISE_OFFSET,
			RESPONSE_NOISE_LEN) != RESPONSE_NOISE_LEN) {
		mgr->stats.bad_noise++;
		return false;
	}
	cookie_mac1(key, msg, SESSION_RESPONSE_LEN - COOKIE_MAC_LEN,
		    msg + SESSION_RESPONSE_LEN - COOKIE_MAC_LEN);
	return true;
}

static void input_init(struct session_mgr *mgr, const struct local *l, uint64_t now_ms,
		       uint32_t from_neigh, const uint8_t *msg)
{
	struct session_keys keys = { .local = l->address, .created_ms = now_ms };
	uint8_t response[SESSION_RESPONSE_LEN];
	struct noise_handshake hs;
	struct init in;

	if (!mac1_ok(mgr, l, msg, SESSION_INIT_LEN))
		return;
	mgr->stats.init_received++;
	if (!admitted(mgr, now_ms, from_neigh, &mgr->init_bucket))
		return;
	if (!init_open(mgr, l, &hs, msg, &in) || !init_wins(mgr, l, now_ms, &in))
		goto out;

	keys.peer = in.peer;
	keys.peer_index = in.index;
	keys.local_index = index_new(mgr);
	if (!write_response(mgr, &hs, &keys, response))
		goto out;
	if (!live_add(mgr, keys.local_index, &l->address, now_ms + SESSION_LIFE_MS))
		goto out;
	install(mgr, &hs, &keys);
	mgr->stats.response_sent++;
	mgr->ops->send(mgr->ctx, &in.peer, response, sizeof(response));
out:
	noise_wipe(&hs);
}

/* Their response. */

static void input_response(struct session_mgr *mgr, const struct local *l, uint64_t now_ms,
			   uint32_t from_neigh, const uint8_t *msg)
{
	struct session_keys keys = { .initiator = true, .created_ms = now_ms };
	uint8_t payload[RESPONSE_PAYLOAD_LEN];
	struct wire_reader r;
	struct pending *p;
	uint32_t claimed;
	uint64_t stamp;

	wire_read_init(&r, msg + 4, 8);
	keys.peer_index = wire_get_be32(&r);
	keys.local_index = wire_get_be32(&r);
	if (!mac1_ok(mgr, l, msg, SESSION_RESPONSE_LEN))
		return;
	p = pending_by_index(mgr, keys.local_index);
	if (!p || p->local != l) {
		mgr->stats.unknown_index++;
		return;
	}
	mgr->stats.response_received++;
	if (!admitted(mgr, now_ms, from_neigh, &mgr->response_bucket))
		return;
	if (noise_read(&p->hs, msg + RESPONSE_NOISE_OFFSET, RESPONSE_NOISE_LEN, payload,
		       sizeof(payload)) != RESPONSE_PAYLOAD_LEN) {
		mgr->stats.bad_noise++;
		return;
	}
	wire_read_init(&r, payload, sizeof(payload));
	claimed = wire_get_be32(&r);
	stamp = wire_get_be64(&r);
	if (claimed != keys.peer_index || !claimed) {
		/* From the peer itself and still wrong: only another init can help. */
		mgr->stats.bad_identity++;
		pending_unsend(mgr, p);
		return;
	}
	/* Not to be greater is no fault: their init may have overtaken this. */
	guard_stamps_advance(mgr->stamps, &p->pair, stamp);
	keys.local = p->pair.local;
	keys.peer = p->pair.peer;
	if (live_add(mgr, keys.local_index, &keys.local, now_ms + SESSION_LIFE_MS))
		install(mgr, &p->hs, &keys);
	pending_drop(mgr, p);
}

void session_input(struct session_mgr *mgr, uint64_t now_ms, const struct address *dest,
		   uint32_t from_neigh, const uint8_t *bytes, size_t len)
{
	struct local *l;

	if (len < 4 || bytes[1] || bytes[2] || bytes[3] ||
	    !((bytes[0] == SESSION_MSG_INIT && len == SESSION_INIT_LEN) ||
	      (bytes[0] == SESSION_MSG_RESPONSE && len == SESSION_RESPONSE_LEN))) {
		mgr->stats.malformed++;
		return;
	}
	l = local_find(mgr, dest);
	if (!l) {
		mgr->stats.not_local++;
		return;
	}
	if (bytes[0] == SESSION_MSG_INIT)
		input_init(mgr, l, now_ms, from_neigh, bytes);
	else
		input_response(mgr, l, now_ms, from_neigh, bytes);
}

/* What the kernel has. */

int session_restore(struct session_mgr *mgr, uint64_t now_ms, const struct address *local,
		    const struct address *peer, uint32_t local_index, uint32_t peer_index,
		    uint64_t created_ms)
{
	(void)peer;		/* the kernel knows them; here only the index matters */
	(void)peer_index;
	if (!local_index)
		return -EINVAL;
	if (pending_by_index(mgr, local_index) || live_by_index(mgr, local_index))
		return -EEXIST;
	if (created_ms > now_ms)
		created_ms = now_ms;
	if (now_ms - created_ms >= SESSION_LIFE_MS)
		return 0;
	return live_add(mgr, local_index, local, created_ms + SESSION_LIFE_MS) ? 0 : -ENOMEM;
}

void session_closed(struct session_mgr *mgr, uint32_t local_index)
{
	struct live *l = live_by_index(mgr, local_index);

	if (l)
		live_drop(mgr, l);
}

void session_tick(struct session_mgr *mgr, uint64_t now_ms)
{
	struct pending *p, *next_p;
	struct live *l, *next_l;

	if (now_ms < mgr->deadline)
		return;
	mgr->deadline = NEVER;
	HASH_ITER(hh, mgr->pendings, p, next_p) {
		if (now_ms - p->started_ms >= SESSION_GIVE_UP_MS) {
			pending_fail(mgr, p);
			continue;
		}
		if (p->next_ms <= now_ms)
			begin(mgr, p, now_ms);
		due_at(mgr, p->next_ms);
		due_at(mgr, p->started_ms + SESSION_GIVE_UP_MS);
	}
	/* In order of installation; a restored one may be freed a little late. */
	HASH_ITER(hh, mgr->live, l, next_l) {
		if (l->until_ms > now_ms) {
			due_at(mgr, l->until_ms);
			break;
		}
		live_drop(mgr, l);
	}
}

uint64_t session_deadline(const struct session_mgr *mgr)
{
	return mgr->deadline;
}

const struct session_stats *session_mgr_stats(const struct session_mgr *mgr)
{
	return &mgr->stats;
}

size_t session_count_pending(const struct session_mgr *mgr)
{
	return HASH_COUNT(mgr->pendings);
}

size_t session_count_live(const struct session_mgr *mgr)
{
	return HASH_COUNT(mgr->live);
}

/* Own addresses. */

static void local_free(struct local *l)
{
	sodium_free(l->sk);
	sodium_memzero(l, sizeof(*l));
	free(l);
}

/* The X25519 key of an ed25519 key; false when @sk is not the key of @address. */
static bool take_key(struct local *l, const struct address *address, const uint8_t *sk)
{
	uint8_t ed_pk[ADDRESS_LEN], ed_sk[crypto_sign_SECRETKEYBYTES], pk[NOISE_KEY_LEN];
	bool ok;

	crypto_sign_seed_keypair(ed_pk, ed_sk, sk);
	ok = !sodium_memcmp(ed_pk, address->b, ADDRESS_LEN) &&
	     !crypto_sign_ed25519_sk_to_curve25519(l->sk, ed_sk) &&
	     !crypto_scalarmult_base(pk, l->sk);
	sodium_memzero(ed_sk, sizeof(ed_sk));
	if (ok)
		cookie_mac1_key(l->mac1_key, pk, NULL);
	return ok;
}

int session_local_add(struct session_mgr *mgr, const struct address *local,
		      const uint8_t ed25519_sk[64])
{
	struct local *l;

	if (local_find(mgr, local))
		return 0;
	if (HASH_COUNT(mgr->locals) >= SESSION_MAX_LOCALS)
		return -ENOSPC;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->address = *local;
	l->sk = sodium_malloc(NOISE_KEY_LEN);
	if (!l->sk) {
		local_free(l);
		return -ENOMEM;
	}
	if (!take_key(l, local, ed25519_sk)) {
		local_free(l);
		return -EINVAL;
	}
	HASH_ADD(hh, mgr->locals, address, sizeof(l->address), l);
	if (!l->hh.tbl) {
		local_free(l);
		return -ENOMEM;
	}
	return 0;
}

void session_local_remove(struct session_mgr *mgr, const struct address *local)
{
	struct local *l = local_find(mgr, local);
	struct pending *p, *next_p;
	struct live *s, *next_s;

	if (!l)
		return;
	HASH_ITER(hh, mgr->pendings, p, next_p) {
		if (p->local == l)
			pending_drop(mgr, p);
	}
	HASH_ITER(hh, mgr->live, s, next_s) {
		if (address_equal(&s->local, &l->address))
			live_drop(mgr, s);
	}
	HASH_DEL(mgr->locals, l);
	local_free(l);
}

struct session_mgr *session_mgr_new(const struct session_ops *ops, void *ctx)
{
	struct session_mgr *mgr = calloc(1, sizeof(*mgr));

	if (!mgr)
		return NULL;
	mgr->ops = ops;
	mgr->ctx = ctx;
	mgr->deadline = NEVER;
	mgr->neighs = guard_sources_new(sizeof(uint32_t), SESSION_MAX_NEIGH, neigh_rate);
	mgr->stamps = guard_stamps_new(sizeof(struct pair), SESSION_MAX_STAMPS);
	if (!mgr->neighs || !mgr->stamps) {
		session_mgr_free(mgr);
		return NULL;
	}
	return mgr;
}

void session_mgr_free(struct session_mgr *mgr)
{
	struct pending *p, *next_p;
	struct local *l, *next_l;
	struct live *s, *next_s;

	if (!mgr)
		return;
	HASH_ITER(hh, mgr->pendings, p, next_p)
		pending_drop(mgr, p);
	HASH_ITER(hh, mgr->live, s, next_s)
		live_drop(mgr, s);
	HASH_ITER(hh, mgr->locals, l, next_l) {
		HASH_DEL(mgr->locals, l);
		local_free(l);
	}
	guard_sources_free(mgr->neighs);
	guard_stamps_free(mgr->stamps);
	free(mgr);
}
