// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Neighbour authentication over LINK frames.
 *
 * An entry is one router on one link. It is a candidate until a handshake is
 * complete and a neighbour from then on. At most one handshake that we began (an
 * attempt) is under way per entry; one that the other side began is over as soon
 * as it is answered.
 *
 * This file is past 600 lines because the three messages share the entry and its
 * slots; taken apart, each piece would need the others' insides.
 */
#include "ratmand/session/linkauth.h"

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
#define N_SLOTS (LINKAUTH_SLOT_MASK + 1)

#define INIT_PAYLOAD_LEN (ADDRESS_LEN + 8 + 4 + 8)
#define RESPONSE_PAYLOAD_LEN (4 + 8 + 8)
#define INIT_NOISE_OFFSET 8
#define INIT_NOISE_LEN (NOISE_MSG1_EXTRA + INIT_PAYLOAD_LEN)
#define RESPONSE_NOISE_OFFSET 12
#define RESPONSE_NOISE_LEN (NOISE_MSG2_EXTRA + RESPONSE_PAYLOAD_LEN)

_Static_assert(INIT_NOISE_OFFSET + INIT_NOISE_LEN + COOKIE_MACS_LEN == LINKAUTH_INIT_LEN, "init");
_Static_assert(RESPONSE_NOISE_OFFSET + RESPONSE_NOISE_LEN + COOKIE_MACS_LEN ==
		       LINKAUTH_RESPONSE_LEN, "response");
_Static_assert(8 + COOKIE_BODY_LEN == LINKAUTH_COOKIE_LEN, "cookie reply");
/* Every entry may hold two slots, and a third while one replaces another. */
_Static_assert(2 * LINKAUTH_MAX_NEIGH + 1 <= LINKAUTH_SLOT_MASK, "slots");

struct entry_key {
	uint32_t ifindex;
	struct address router;
};

/* A handshake that we began; lives until it is complete or the entry is gone. */
struct attempt {
	uint32_t index;			/* ours, in the last init sent; 0: none sent */
	unsigned int sent;		/* inits sent, for the backoff */
	uint64_t sent_ms;
	bool cookie_used;		/* this init is already the answer to a cookie */
	uint8_t peer_pk[NOISE_KEY_LEN];
	struct noise_handshake hs;
	struct cookie_jar jar;
};

struct entry {
	UT_hash_handle hh;
	struct entry_key key;
	struct attempt *attempt;	/* owned; NULL: none */
	uint64_t start_ms;		/* when to send the next init, or NEVER */

	/* From HELLO, unproven. */
	uint64_t heard_ms;
	uint64_t heard_boot;
	uint8_t heard_mac[6];
	bool heard;
	bool unusable;			/* the router address is no ed25519 key */

	/* From the last complete handshake. */
	bool established;
	bool initiator;
	uint8_t mac[6];
	uint64_t boot_id;
	uint64_t established_ms;
	uint32_t local_index;
	uint32_t old_index;		/* replaced, reserved until old_until_ms; 0: none */
	uint64_t old_until_ms;
};

struct secrets {
	uint8_t sk[NOISE_KEY_LEN];
	uint8_t group[LINKAUTH_SECRET_LEN];
};

struct linkauth {
	const struct linkauth_ops *ops;	/* borrowed */
	void *ctx;
	struct secrets *secrets;	/* sodium_malloc */
	const uint8_t *group;		/* into secrets, or NULL */
	struct address router;
	uint64_t boot_id;
	enum linkauth_policy policy;
	struct address *members;	/* sorted */
	size_t n_members;
	uint32_t load_threshold;

	struct entry *entries;		/* candidates: least recently heard first */
	size_t n_established;
	struct entry *slots[N_SLOTS];
	uint64_t deadline;

	struct cookie_checker checker;
	struct guard_sources *sources;
	struct guard_stamps *stamps;
	struct guard_bucket init_bucket;
	struct guard_bucket response_bucket;
	struct guard_bucket start_bucket;
	struct guard_load load;
	struct linkauth_stats stats;
};

/* Where a message came from: what a cookie and a token bucket belong to. */
struct source {
	uint32_t ifindex;
	const uint8_t *mac;
	uint8_t bytes[10];
};

static const struct guard_rate source_rate = { LINKAUTH_SOURCE_BURST, LINKAUTH_SOURCE_MS };
static const struct guard_rate input_rate = { LINKAUTH_INPUT_BURST, LINKAUTH_INPUT_MS };
static const struct guard_rate start_rate = { LINKAUTH_START_BURST, LINKAUTH_START_MS };

static struct source make_source(uint32_t ifindex, const uint8_t mac[6])
{
	struct source s = { .ifindex = ifindex, .mac = mac };

	memcpy(s.bytes, &ifindex, sizeof(ifindex));
	memcpy(s.bytes + sizeof(ifindex), mac, 6);
	return s;
}

static int compare_addresses(const void *a, const void *b)
{
	return address_compare(a, b);
}

static bool is_member(const struct linkauth *la, const struct address *router)
{
	if (la->policy == LINKAUTH_OPEN)
		return true;
	return la->n_members && bsearch(router, la->members, la->n_members, sizeof(*router),
					compare_addresses);
}

static bool we_are_smaller(const struct linkauth *la, const struct entry *e)
{
	return address_compare(&la->router, &e->key.router) < 0;
}

/* Slots and indices. */

static void index_release(struct linkauth *la, uint32_t *index)
{
	if (*index)
		la->slots[*index & LINKAUTH_SLOT_MASK] = NULL;
	*index = 0;
}

/* A new index for @e; the table's limit guarantees a free slot. */
static uint32_t index_take(struct linkauth *la, struct entry *e)
{
	uint32_t slot = 1 + randombytes_uniform(LINKAUTH_SLOT_MASK);

	while (la->slots[slot])
		slot = slot == LINKAUTH_SLOT_MASK ? 1 : slot + 1;
	la->slots[slot] = e;
	return (randombytes_random() & ~LINKAUTH_SLOT_MASK) | slot;
}

/* Entries. */

static void due_at(struct linkauth *la, uint64_t when_ms)
{
	if (when_ms < la->deadline)
		la->deadline = when_ms;
}

static void start_at(struct linkauth *la, struct entry *e, uint64_t when_ms)
{
	e->start_ms = when_ms;
	due_at(la, when_ms);
}

/* The smaller address begins, the other only when nothing came of it. */
static uint64_t first_start(const struct linkauth *la, const struct entry *e, uint64_t now_ms)
{
	return we_are_smaller(la, e) ? now_ms : now_ms + LINKAUTH_WAIT_MS;
}

static void attempt_end(struct linkauth *la, struct entry *e)
{
	if (!e->attempt)
		return;
	index_release(la, &e->attempt->index);
	sodium_memzero(e->attempt, sizeof(*e->attempt));
	free(e->attempt);
	e->attempt = NULL;
}

static void entry_drop(struct linkauth *la, struct entry *e)
{
	attempt_end(la, e);
	index_release(la, &e->local_index);
	index_release(la, &e->old_index);
	if (e->established)
		la->n_established--;
	HASH_DEL(la->entries, e);
	free(e);
}

static struct entry *entry_find(struct linkauth *la, uint32_t ifindex, const struct address *router)
{
	struct entry_key key = { ifindex, *router };
	struct entry *e;

	HASH_FIND(hh, la->entries, &key, sizeof(key), e);
	return e;
}

/* Makes room by forgetting the candidate that was heard least recently. */
static bool make_room(struct linkauth *la)
{
	struct entry *e, *next;

	if (HASH_COUNT(la->entries) < LINKAUTH_MAX_NEIGH)
		return true;
	if (la->n_established < LINKAUTH_MAX_NEIGH) {
		HASH_ITER(hh, la->entries, e, next) {
			if (e->established)
				continue;
			la->stats.evicted++;
			entry_drop(la, e);
			return true;
		}
	}
	la->stats.table_full++;
	return false;
}

static struct entry *entry_add(struct linkauth *la, uint32_t ifindex, const struct address *router)
{
	struct entry *e;

	if (!make_room(la))
		return NULL;
	e = calloc(1, sizeof(*e));
	if (e) {
		e->key = (struct entry_key){ ifindex, *router };
		e->start_ms = NEVER;
		HASH_ADD(hh, la->entries, key, sizeof(e->key), e);
		if (e->hh.tbl)
			return e;
		free(e);
	}
	la->stats.no_memory++;
	return NULL;
}

/* Puts @e behind all others in the order of eviction. False (and @e is gone) without memory. */
static bool entry_touch(struct linkauth *la, struct entry *e)
{
	HASH_DEL(la->entries, e);
	HASH_ADD(hh, la->entries, key, sizeof(e->key), e);
	if (e->hh.tbl)
		return true;
	la->stats.no_memory++;
	attempt_end(la, e);
	index_release(la, &e->local_index);
	index_release(la, &e->old_index);
	free(e);
	return false;
}

/* Writing our init. */

static uint64_t backoff(unsigned int sent)
{
	const uint32_t most = LINKAUTH_RETRY_MAX_MS / 5 * 4;
	uint32_t base = LINKAUTH_RETRY_MIN_MS;

	while (--sent > 0 && sent < 32 && base < most)
		base *= 2;
	if (base > most)
		base = most;
	return base + randombytes_uniform(base / 4 + 1);
}

static struct attempt *attempt_get(struct linkauth *la, struct entry *e)
{
	struct attempt *a = e->attempt;

	if (a)
		return a;
	a = calloc(1, sizeof(*a));
	if (!a) {
		la->stats.no_memory++;
		return NULL;
	}
	if (crypto_sign_ed25519_pk_to_curve25519(a->peer_pk, e->key.router.b)) {
		la->stats.bad_identity++;
		e->unusable = true;
		free(a);
		return NULL;
	}
	cookie_jar_init(&a->jar, a->peer_pk, la->group);
	e->attempt = a;
	return a;
}

static bool write_init(struct linkauth *la, struct entry *e, uint64_t now_ms, uint64_t stamp,
		       uint8_t msg[LINKAUTH_INIT_LEN])
{
	uint8_t payload[INIT_PAYLOAD_LEN];
	struct attempt *a = e->attempt;
	struct wire_writer w;

	wire_write_init(&w, payload, sizeof(payload));
	wire_put(&w, la->router.b, ADDRESS_LEN);
	wire_put_be64(&w, stamp);
	wire_put_be32(&w, a->index);
	wire_put_be64(&w, la->boot_id);

	memset(msg, 0, LINKAUTH_INIT_LEN);
	wire_write_init(&w, msg, LINKAUTH_INIT_LEN);
	wire_put_be32(&w, (uint32_t)LINKAUTH_MSG_INIT << 24);
	wire_put_be32(&w, a->index);
	if (noise_init(&a->hs, true, la->secrets->sk, a->peer_pk, LINKAUTH_PROLOGUE,
		       strlen(LINKAUTH_PROLOGUE), la->group) ||
	    noise_write(&a->hs, payload, sizeof(payload), msg + INIT_NOISE_OFFSET,
			INIT_NOISE_LEN) != INIT_NOISE_LEN) {
		noise_wipe(&a->hs);
		return false;
	}
	cookie_jar_stamp(&a->jar, now_ms, msg, LINKAUTH_INIT_LEN);
	return true;
}

/*
 * Sends an init to @e and sets the time of the next. Every init has a stamp, an
 * ephemeral key and an index of its own; an answer to the one before counts no more.
 */
static void begin(struct linkauth *la, struct entry *e, uint64_t now_ms, bool for_cookie)
{
	bool as_before = e->established && (!e->heard || e->heard_boot == e->boot_id);
	const uint8_t *mac = as_before ? e->mac : e->heard_mac;
	struct source src = make_source(e->key.ifindex, mac);
	uint8_t msg[LINKAUTH_INIT_LEN];
	struct attempt *a;
	uint64_t stamp;

	e->start_ms = NEVER;
	if (e->unusable)
		return;
	if (!guard_sources_take(la->sources, src.bytes, now_ms)) {
		la->stats.over_source_rate++;
		start_at(la, e, now_ms + backoff(1));
		return;
	}
	if (!guard_take(&la->start_bucket, &start_rate, now_ms)) {
		la->stats.over_rate++;
		start_at(la, e, now_ms + backoff(1));
		return;
	}
	a = attempt_get(la, e);
	if (!a) {
		if (!e->unusable)
			start_at(la, e, now_ms + LINKAUTH_RETRY_MAX_MS);
		return;
	}
	if (!for_cookie && a->sent < UINT32_MAX)
		a->sent++;
	a->cookie_used = for_cookie;
	start_at(la, e, now_ms + backoff(a->sent));

	stamp = la->ops->next_stamp(la->ctx);
	if (!stamp) {
		la->stats.no_stamp++;
		return;
	}
	index_release(la, &a->index);
	index_release(la, &e->old_index);
	a->index = index_take(la, e);
	a->sent_ms = now_ms;
	if (!write_init(la, e, now_ms, stamp, msg)) {
		la->stats.bad_identity++;
		index_release(la, &a->index);
		return;
	}
	la->stats.init_sent++;
	la->ops->send(la->ctx, e->key.ifindex, mac, msg, sizeof(msg));
}

/* Completing a handshake. */

struct outcome {
	uint32_t local_index;	/* taken for the entry; becomes its current one */
	uint32_t peer_index;
	uint64_t boot_id;
	bool initiator;
};

/* @hs has both messages; it is wiped. Makes @e a neighbour and tells the caller. */
static void complete(struct linkauth *la, struct entry *e, uint64_t now_ms,
		     const struct source *src, struct noise_handshake *hs,
		     const struct outcome *o)
{
	uint8_t tx[NOISE_KEY_LEN], rx[NOISE_KEY_LEN];
	struct linkauth_neigh n = {
		.ifindex = e->key.ifindex,
		.router = e->key.router,
		.boot_id = o->boot_id,
		.local_index = o->local_index,
		.peer_index = o->peer_index,
		.initiator = o->initiator,
	};

	noise_split(hs, tx, rx);
	memcpy(n.mac, src->mac, sizeof(n.mac));
	memcpy(n.rx_key, rx, LINKAUTH_KEY_LEN);
	memcpy(n.tx_key, tx, LINKAUTH_KEY_LEN);

	index_release(la, &e->old_index);
	if (e->established) {
		e->old_index = e->local_index;
		e->old_until_ms = now_ms + LINKAUTH_OLD_KEY_MS;
		due_at(la, e->old_until_ms);
	} else {
		la->n_established++;
	}
	e->established = true;
	e->initiator = o->initiator;
	e->boot_id = o->boot_id;
	e->established_ms = now_ms;
	e->local_index = o->local_index;
	memcpy(e->mac, src->mac, sizeof(e->mac));
	start_at(la, e, now_ms + LINKAUTH_REKEY_MS + (o->initiator ? 0 : LINKAUTH_REKEY_GRACE_MS));

	la->stats.established++;
	la->ops->established(la->ctx, &n);
	sodium_memzero(tx, sizeof(tx));
	sodium_memzero(rx, sizeof(rx));
	sodium_memzero(&n, sizeof(n));
}

/* Their init. */

struct init {
	uint32_t index;
	struct address router;
	uint64_t stamp;
	uint64_t boot_id;
};

/* What may be asked before anything expensive: mac1, then load, then quotas. */
static bool init_admitted(struct linkauth *la, uint64_t now_ms, const struct source *src,
			  const uint8_t *msg, size_t len)
{
	uint8_t reply[LINKAUTH_COOKIE_LEN];

	if (!cookie_check_mac1(&la->checker, msg, len)) {
		la->stats.bad_mac1++;
		return false;
	}
	la->stats.init_received++;
	if (guard_load_hit(&la->load, now_ms, la->load_threshold) &&
	    !cookie_check_mac2(&la->checker, now_ms, msg, len, src->bytes, sizeof(src->bytes))) {
		memset(reply, 0, 4);
		reply[0] = LINKAUTH_MSG_COOKIE;
		memcpy(reply + 4, msg + 4, 4);
		cookie_reply(&la->checker, now_ms, msg, len, src->bytes, sizeof(src->bytes),
			     reply + 8);
		la->stats.cookie_sent++;
		la->ops->send(la->ctx, src->ifindex, src->mac, reply, sizeof(reply));
		return false;
	}
	if (!guard_sources_take(la->sources, src->bytes, now_ms)) {
		la->stats.over_source_rate++;
		return false;
	}
	if (!guard_take(&la->init_bucket, &input_rate, now_ms)) {
		la->stats.over_rate++;
		return false;
	}
	return true;
}

/* Authenticates an init; @hs can then answer it. The caller wipes @hs in any case. */
static bool init_open(struct linkauth *la, struct noise_handshake *hs, const uint8_t *msg,
		      struct init *in)
{
	uint8_t payload[INIT_PAYLOAD_LEN], pk[NOISE_KEY_LEN];
	struct wire_reader r;
	uint32_t claimed;

	if (noise_init(hs, false, la->secrets->sk, NULL, LINKAUTH_PROLOGUE,
		       strlen(LINKAUTH_PROLOGUE), la->group) ||
	    noise_read(hs, msg + INIT_NOISE_OFFSET, INIT_NOISE_LEN, payload, sizeof(payload)) !=
		    INIT_PAYLOAD_LEN) {
		la->stats.bad_noise++;
		return false;
	}
	wire_read_init(&r, msg + 4, 4);
	claimed = wire_get_be32(&r);
	wire_read_init(&r, payload, sizeof(payload));
	wire_get(&r, in->router.b, ADDRESS_LEN);
	in->stamp = wire_get_be64(&r);
	in->index = wire_get_be32(&r);
	in->boot_id = wire_get_be64(&r);
	if (in->index != claimed || !(in->index & LINKAUTH_SLOT_MASK) ||
	    address_equal(&in->router, &la->router) ||
	    crypto_sign_ed25519_pk_to_curve25519(pk, in->router.b) ||
	    sodium_memcmp(pk, noise_remote_static(hs), sizeof(pk))) {
		la->stats.bad_identity++;
		return false;
	}
	return true;
}

/*
 * The entry to answer an init for, or NULL. When both sides began, the init of
 * the smaller address goes on: we ignore theirs if ours is the smaller and repeat
 * ours soon, since they are evidently there.
 */
static struct entry *init_entry(struct linkauth *la, uint64_t now_ms, const struct source *src,
				const struct init *in)
{
	struct entry *e;

	if (!is_member(la, &in->router)) {
		la->stats.not_member++;
		return NULL;
	}
	if (!guard_stamps_advance(la->stamps, &in->router, in->stamp)) {
		la->stats.stale_stamp++;
		return NULL;
	}
	e = entry_find(la, src->ifindex, &in->router);
	if (!e)
		return entry_add(la, src->ifindex, &in->router);
	if (e->attempt && e->attempt->index && we_are_smaller(la, e)) {
		uint64_t again = e->attempt->sent_ms + LINKAUTH_RETRY_MIN_MS;

		la->stats.crossed++;
		if (again < now_ms)
			again = now_ms;
		if (again < e->start_ms)
			start_at(la, e, again);
		return NULL;
	}
	return e;
}

/*
 * The response carries a fresh stamp too: whatever we sent before it is void. So
 * an init of ours that is still on its way (reordered) when we answered theirs
 * cannot replace the keys that were just agreed.
 */
static bool write_response(struct linkauth *la, struct noise_handshake *hs, uint64_t now_ms,
			   uint32_t index, uint32_t peer_index, uint8_t msg[LINKAUTH_RESPONSE_LEN])
{
	uint64_t stamp = la->ops->next_stamp(la->ctx);
	uint8_t payload[RESPONSE_PAYLOAD_LEN];
	struct cookie_jar jar;
	struct wire_writer w;

	if (!stamp) {
		la->stats.no_stamp++;
		return false;
	}

	wire_write_init(&w, payload, sizeof(payload));
	wire_put_be32(&w, index);
	wire_put_be64(&w, la->boot_id);
	wire_put_be64(&w, stamp);

	memset(msg, 0, LINKAUTH_RESPONSE_LEN);
	wire_write_init(&w, msg, LINKAUTH_RESPONSE_LEN);
	wire_put_be32(&w, (uint32_t)LINKAUTH_MSG_RESPONSE << 24);
	wire_put_be32(&w, index);
	wire_put_be32(&w, peer_index);

	cookie_jar_init(&jar, noise_remote_static(hs), la->group);
	if (noise_write(hs, payload, sizeof(payload), msg + RESPONSE_NOISE_OFFSET,
			RESPONSE_NOISE_LEN) != RESPONSE_NOISE_LEN) {
		la->stats.bad_noise++;
		return false;
	}
	cookie_jar_stamp(&jar, now_ms, msg, LINKAUTH_RESPONSE_LEN);
	sodium_memzero(&jar, sizeof(jar));
	return true;
}

static void input_init(struct linkauth *la, uint64_t now_ms, const struct source *src,
		       const uint8_t *msg, size_t len)
{
	uint8_t response[LINKAUTH_RESPONSE_LEN];
	struct noise_handshake hs;
	struct outcome o = { 0 };
	struct entry *e;
	struct init in;

	if (!init_admitted(la, now_ms, src, msg, len))
		return;
	if (!init_open(la, &hs, msg, &in))
		goto out;
	e = init_entry(la, now_ms, src, &in);
	if (!e)
		goto out;

	o.local_index = index_take(la, e);
	o.peer_index = in.index;
	o.boot_id = in.boot_id;
	if (!write_response(la, &hs, now_ms, o.local_index, in.index, response)) {
		index_release(la, &o.local_index);
		if (!e->established && !e->heard)
			entry_drop(la, e);
		goto out;
	}
	attempt_end(la, e);
	complete(la, e, now_ms, src, &hs, &o);
	la->stats.response_sent++;
	la->ops->send(la->ctx, src->ifindex, src->mac, response, sizeof(response));
out:
	noise_wipe(&hs);
}

/* Their response and their cookie. */

/* The entry that waits for an answer to the init with @index on that link, or NULL. */
static struct entry *waiting_for(struct linkauth *la, const struct source *src, uint32_t index)
{
	struct entry *e = la->slots[index & LINKAUTH_SLOT_MASK];

	if (e && index && e->attempt && e->attempt->index == index &&
	    e->key.ifindex == src->ifindex)
		return e;
	la->stats.unknown_index++;
	return NULL;
}

/*
 * A response is answered by nothing, so it has no cookie: it must name an index
 * that waits for it, and its sender has the same quota as for an init.
 */
static void input_response(struct linkauth *la, uint64_t now_ms, const struct source *src,
			   const uint8_t *msg, size_t len)
{
	uint8_t payload[RESPONSE_PAYLOAD_LEN];
	struct outcome o = { .initiator = true };
	struct noise_handshake hs;
	struct wire_reader r;
	uint32_t claimed;
	struct entry *e;
	uint64_t stamp;

	wire_read_init(&r, msg + 4, 8);
	claimed = wire_get_be32(&r);
	o.local_index = wire_get_be32(&r);

	if (!cookie_check_mac1(&la->checker, msg, len)) {
		la->stats.bad_mac1++;
		return;
	}
	e = waiting_for(la, src, o.local_index);
	if (!e)
		return;
	la->stats.response_received++;
	if (!guard_sources_take(la->sources, src->bytes, now_ms)) {
		la->stats.over_source_rate++;
		return;
	}
	if (!guard_take(&la->response_bucket, &input_rate, now_ms)) {
		la->stats.over_rate++;
		return;
	}
	hs = e->attempt->hs;
	if (noise_read(&hs, msg + RESPONSE_NOISE_OFFSET, RESPONSE_NOISE_LEN, payload,
		       sizeof(payload)) != RESPONSE_PAYLOAD_LEN) {
		la->stats.bad_noise++;
		goto out;
	}
	wire_read_init(&r, payload, sizeof(payload));
	o.peer_index = wire_get_be32(&r);
	o.boot_id = wire_get_be64(&r);
	stamp = wire_get_be64(&r);
	if (o.peer_index != claimed || !(o.peer_index & LINKAUTH_SLOT_MASK)) {
		la->stats.bad_identity++;
		goto out;
	}
	/* Not to be greater is no fault: their init may have overtaken this. */
	guard_stamps_advance(la->stamps, &e->key.router, stamp);
	/* The slot goes from the attempt to the neighbour. */
	e->attempt->index = 0;
	attempt_end(la, e);
	complete(la, e, now_ms, src, &hs, &o);
out:
	noise_wipe(&hs);
}

static void input_cookie(struct linkauth *la, uint64_t now_ms, const struct source *src,
			 const uint8_t *msg)
{
	struct wire_reader r;
	struct entry *e;

	wire_read_init(&r, msg + 4, 4);
	e = waiting_for(la, src, wire_get_be32(&r));
	if (!e)
		return;
	if (!cookie_jar_open(&e->attempt->jar, now_ms, msg + 8)) {
		la->stats.bad_noise++;
		return;
	}
	la->stats.cookie_received++;
	if (!e->attempt->cookie_used)
		begin(la, e, now_ms, true);
}

void linkauth_input(struct linkauth *la, uint64_t now_ms, uint32_t ifindex, const uint8_t mac[6],
		    const uint8_t *bytes, size_t len)
{
	struct source src = make_source(ifindex, mac);

	if (len >= 4 && !bytes[1] && !bytes[2] && !bytes[3]) {
		if (bytes[0] == LINKAUTH_MSG_INIT && len == LINKAUTH_INIT_LEN) {
			input_init(la, now_ms, &src, bytes, len);
			return;
		}
		if (bytes[0] == LINKAUTH_MSG_RESPONSE && len == LINKAUTH_RESPONSE_LEN) {
			input_response(la, now_ms, &src, bytes, len);
			return;
		}
		if (bytes[0] == LINKAUTH_MSG_COOKIE && len == LINKAUTH_COOKIE_LEN) {
			input_cookie(la, now_ms, &src, bytes);
			return;
		}
	}
	la->stats.malformed++;
}

/* What the kernel reports. */

void linkauth_candidate(struct linkauth *la, uint64_t now_ms, uint32_t ifindex,
			const uint8_t mac[6], const struct address *router, uint64_t boot_id)
{
	struct entry *e;

	if (address_equal(router, &la->router))
		return;
	if (!is_member(la, router)) {
		la->stats.not_member++;
		return;
	}
	e = entry_find(la, ifindex, router);
	if (!e) {
		e = entry_add(la, ifindex, router);
		if (!e)
			return;
		start_at(la, e, first_start(la, e, now_ms));
	} else if (!e->established && !entry_touch(la, e)) {
		return;
	}
	e->heard = true;
	e->heard_ms = now_ms;
	e->heard_boot = boot_id;
	memcpy(e->heard_mac, mac, sizeof(e->heard_mac));
	due_at(la, now_ms + LINKAUTH_FORGET_MS);

	/* It says it was restarted. Unproven: the neighbour stays until it is proven. */
	if (e->established && boot_id != e->boot_id && !e->attempt &&
	    now_ms - e->established_ms >= LINKAUTH_RESTART_MS &&
	    e->start_ms > now_ms + LINKAUTH_WAIT_MS)
		start_at(la, e, first_start(la, e, now_ms));
	if (e->start_ms <= now_ms)
		begin(la, e, now_ms, false);
}

int linkauth_restore(struct linkauth *la, uint64_t now_ms, const struct linkauth_neigh *n,
		     uint64_t age_ms)
{
	uint64_t life = LINKAUTH_REKEY_MS + (n->initiator ? 0 : LINKAUTH_REKEY_GRACE_MS);
	uint32_t slot = n->local_index & LINKAUTH_SLOT_MASK;
	struct entry *e;

	if (!slot || address_equal(&n->router, &la->router))
		return -EINVAL;
	e = entry_find(la, n->ifindex, &n->router);
	if (la->slots[slot] || (e && e->established))
		return -EEXIST;
	if (!e) {
		if (HASH_COUNT(la->entries) >= LINKAUTH_MAX_NEIGH &&
		    la->n_established >= LINKAUTH_MAX_NEIGH)
			return -ENOSPC;
		e = entry_add(la, n->ifindex, &n->router);
		if (!e)
			return -ENOMEM;
	}
	attempt_end(la, e);
	la->slots[slot] = e;
	la->n_established++;
	e->established = true;
	e->initiator = n->initiator;
	e->boot_id = n->boot_id;
	e->local_index = n->local_index;
	e->established_ms = age_ms < now_ms ? now_ms - age_ms : 0;
	memcpy(e->mac, n->mac, sizeof(e->mac));
	start_at(la, e, now_ms + (age_ms < life ? life - age_ms : 0));
	return 0;
}

void linkauth_gone(struct linkauth *la, uint64_t now_ms, uint32_t ifindex,
		   const struct address *router)
{
	struct entry *e = entry_find(la, ifindex, router);

	(void)now_ms;	/* the next HELLO makes it a candidate again, and begins */
	if (e)
		entry_drop(la, e);
}

void linkauth_link_gone(struct linkauth *la, uint32_t ifindex)
{
	struct entry *e, *next;

	HASH_ITER(hh, la->entries, e, next) {
		if (e->key.ifindex == ifindex)
			entry_drop(la, e);
	}
}

void linkauth_rekey(struct linkauth *la, uint64_t now_ms, uint32_t ifindex,
		    const struct address *router)
{
	struct entry *e = entry_find(la, ifindex, router);
	uint64_t when;

	if (!e || !e->established || e->attempt)
		return;
	when = e->initiator ? now_ms : now_ms + LINKAUTH_WAIT_MS;
	if (when < e->start_ms)
		start_at(la, e, when);
}

void linkauth_tick(struct linkauth *la, uint64_t now_ms)
{
	struct entry *e, *next;

	if (now_ms < la->deadline)
		return;
	la->deadline = NEVER;
	HASH_ITER(hh, la->entries, e, next) {
		if (e->old_index && e->old_until_ms <= now_ms)
			index_release(la, &e->old_index);
		if (!e->established && now_ms - e->heard_ms >= LINKAUTH_FORGET_MS) {
			la->stats.forgotten++;
			entry_drop(la, e);
			continue;
		}
		if (e->start_ms <= now_ms)
			begin(la, e, now_ms, false);

		due_at(la, e->start_ms);
		if (e->old_index)
			due_at(la, e->old_until_ms);
		if (!e->established)
			due_at(la, e->heard_ms + LINKAUTH_FORGET_MS);
	}
}

uint64_t linkauth_deadline(const struct linkauth *la)
{
	return la->deadline;
}

const struct linkauth_stats *linkauth_stats(const struct linkauth *la)
{
	return &la->stats;
}

size_t linkauth_count(const struct linkauth *la)
{
	return HASH_COUNT(la->entries);
}

size_t linkauth_count_neighbours(const struct linkauth *la)
{
	return la->n_established;
}

/* Begin and end. */

static bool take_keys(struct linkauth *la, const struct linkauth_config *config)
{
	uint8_t pk[NOISE_KEY_LEN], ed_pk[ADDRESS_LEN], ed_sk[crypto_sign_SECRETKEYBYTES];
	bool ok;

	la->secrets = sodium_malloc(sizeof(*la->secrets));
	if (!la->secrets)
		return false;
	crypto_sign_seed_keypair(ed_pk, ed_sk, config->router_sk);
	ok = !sodium_memcmp(ed_pk, config->router.b, ADDRESS_LEN) &&
	     !crypto_sign_ed25519_sk_to_curve25519(la->secrets->sk, ed_sk) &&
	     !crypto_scalarmult_base(pk, la->secrets->sk);
	sodium_memzero(ed_sk, sizeof(ed_sk));
	if (!ok)
		return false;
	if (config->group_secret) {
		memcpy(la->secrets->group, config->group_secret, LINKAUTH_SECRET_LEN);
		la->group = la->secrets->group;
	}
	cookie_checker_init(&la->checker, pk, la->group);
	return true;
}

static bool take_members(struct linkauth *la, const struct linkauth_config *config)
{
	if (config->n_members > LINKAUTH_MAX_MEMBERS)
		return false;
	if (!config->n_members)
		return true;
	la->members = calloc(config->n_members, sizeof(*la->members));
	if (!la->members)
		return false;
	memcpy(la->members, config->members, config->n_members * sizeof(*la->members));
	la->n_members = config->n_members;
	qsort(la->members, la->n_members, sizeof(*la->members), compare_addresses);
	return true;
}

struct linkauth *linkauth_new(const struct linkauth_config *config, const struct linkauth_ops *ops,
			      void *ctx)
{
	struct linkauth *la = calloc(1, sizeof(*la));

	if (!la)
		return NULL;
	la->ops = ops;
	la->ctx = ctx;
	la->router = config->router;
	la->boot_id = config->boot_id;
	la->policy = config->policy;
	la->load_threshold = config->load_threshold ? config->load_threshold :
						      LINKAUTH_LOAD_DEFAULT;
	la->deadline = NEVER;
	la->sources = guard_sources_new(sizeof(((struct source *)0)->bytes), LINKAUTH_MAX_SOURCES,
					source_rate);
	la->stamps = guard_stamps_new(sizeof(struct address), LINKAUTH_MAX_STAMPS);
	if (!la->sources || !la->stamps || !take_keys(la, config) || !take_members(la, config)) {
		linkauth_free(la);
		return NULL;
	}
	return la;
}

void linkauth_free(struct linkauth *la)
{
	struct entry *e, *next;

	if (!la)
		return;
	HASH_ITER(hh, la->entries, e, next)
		entry_drop(la, e);
	guard_sources_free(la->sources);
	guard_stamps_free(la->stamps);
	free(la->members);
	sodium_free(la->secrets);
	sodium_memzero(la, sizeof(*la));
	free(la);
}
