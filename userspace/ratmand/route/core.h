/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Inside of the routing core, shared by route.c (calls and time), table.c
 * (addresses and choices) and rneigh.c (the channel to one neighbour).
 */
#ifndef RATMAND_ROUTE_CORE_H
#define RATMAND_ROUTE_CORE_H

#include <sodium.h>
#include <stdlib.h>

#include "ratmand/route/control.h"
#include "ratmand/route/route.h"

/* Peers choose addresses and thereby ids: hash under a key that they do not know. */
unsigned int route_hash(const void *key, size_t len);
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = route_hash((keyptr), (keylen)))
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define NEVER UINT64_MAX
#define SLOT_NONE 255u
#define SLOT_LOCAL 254u			/* owner: this router */
#define SLOT_ORPHAN 253u		/* owner: a neighbour that was forgotten */
#define WORDS (ROUTE_NEIGH_MAX / 64)

#define STALE_MS 15000u			/* a restarted neighbour's routes are kept */
#define SETTLE_MS 60000u		/* a neighbour may say that it holds old promises */
#define HYSTERESIS_MS 10000u
#define GRACE_MS 5000u			/* of the previous record, see table.c */
#define FD_HOLD_MS 5000u
#define SEQREQ_FIRST_MS 1000u
#define SEQREQ_HOPS 64u
#define REFRESH_RETRY_MS 30000u
#define SEEN_KEEP_MS 86400000u
#define CHANNEL_WINDOW 8u
#define PENDING_MAX 256u
#define ONEOFF_MAX 64u
#define PAST_EPOCHS 4u

struct slot_set {
	uint64_t w[WORDS];
};

static inline bool set_has(const struct slot_set *s, unsigned int i)
{
	return s->w[i / 64] >> (i % 64) & 1;
}

static inline void set_add(struct slot_set *s, unsigned int i)
{
	s->w[i / 64] |= UINT64_C(1) << (i % 64);
}

static inline void set_del(struct slot_set *s, unsigned int i)
{
	s->w[i / 64] &= ~(UINT64_C(1) << (i % 64));
}

static inline bool set_empty(const struct slot_set *s)
{
	uint64_t any = 0;

	for (unsigned int i = 0; i < WORDS; i++)
		any |= s->w[i];
	return any == 0;
}

/* A verified record, without the address (that is in the entry). */
struct route_rec {
	UT_hash_handle hh;		/* by id */
	struct route_entry *entry;
	uint64_t sequence;
	uint64_t expires;		/* ms, by our clock */
	struct slot_set has;		/* neighbours known to have it */
	uint32_t lifetime_s;
	uint8_t flags;
	uint8_t id[RECORD_ID_LEN];
	uint8_t signature[RECORD_SIG_LEN];
};

#define VIA_STALE 0x01u			/* not confirmed since the neighbour's restart */
#define VIA_RESTORED 0x02u		/* from the kernel; what it advertised is unknown */

/* What one neighbour advertises for one address. Never ROUTE_INFINITY: that is no via. */
struct route_via {
	uint64_t sequence;
	uint16_t metric;
	uint16_t mtu;			/* largest frame that the neighbour passes on */
	uint8_t slot;
	uint8_t flags;
};

enum list_kind {
	LIST_REACH,			/* advertised with a metric */
	LIST_RETRACT,			/* not reachable, somebody may still have to hear it */
	LIST_DEAD,			/* remembered only, in a list of its owner */
};

#define ENTRY_LOCAL 0x01u
#define ENTRY_INSTALLED 0x02u
#define ENTRY_FD_UNKNOWN 0x04u		/* perhaps advertised by us before our restart */
#define ENTRY_UNRESOLVED 0x08u		/* restored and not advertised yet */
#define ENTRY_WANT 0x10u		/* waits in core->wants */
#define ENTRY_SEQREQ 0x20u		/* a sequence request of ours is open */

struct route_entry {
	UT_hash_handle hh;		/* by address */
	struct address address;
	struct route_rec *cur;		/* newest record, or NULL */
	struct route_rec *prev;		/* the one before, while in use */
	struct route_via *via;
	struct route_entry *list_prev, *list_next;
	uint64_t version;		/* of the last change that neighbours must hear */
	uint64_t seen;			/* highest sequence, record known or not */
	uint64_t fd_sequence;		/* feasibility distance; metric INFINITY: free */
	uint64_t adv_sequence;		/* advertised now, when adv_metric is finite */
	uint64_t req_sequence;		/* last sequence request, own or passed on */
	uint64_t req_at;
	uint64_t req_next;		/* own requests and refreshes: not before */
	uint64_t switched_at;		/* primary changed, or lost */
	uint64_t adv_at;
	uint64_t grace_until;
	uint64_t when;			/* timer */
	struct slot_set told;		/* neighbours that hold a finite metric of ours */
	struct {
		uint16_t metric;
		uint16_t mtu;
		uint8_t slot;
	} inst[ROUTE_HOPS_MAX];
	uint32_t heap_at;		/* position in the timer heap, 0 none */
	uint16_t fd_metric;
	uint16_t adv_metric;
	uint16_t adv_mtu;		/* largest frame that we pass on */
	uint8_t n_inst;
	uint8_t n_via, cap_via;
	uint8_t sel;			/* slot of the primary, or SLOT_NONE */
	uint8_t owner;			/* slot of the neighbour it is charged to */
	uint8_t list;			/* enum list_kind */
	uint8_t flags;
	uint8_t req_tries;
};

struct entry_list {
	struct route_entry *head, *tail;
};

struct channel_tx {
	uint8_t *items;			/* owned; NULL: acknowledged or free */
	uint64_t sent_at;
	uint32_t seq;
	uint16_t len;
	uint8_t tries;
	bool fast;			/* was sent again early */
};

struct channel_rx {
	uint8_t *items;			/* owned */
	uint16_t len;
	bool full;
};

enum oneoff_kind {
	ONEOFF_RECORD,
	ONEOFF_SEQREQ,
};

struct oneoff {
	enum oneoff_kind kind;
	struct address address;
	uint64_t sequence;
	uint8_t hops;
};

/* A presence. The list is ordered by the last change. */
struct route_member {
	UT_hash_handle hh;		/* by namespace and member */
	struct route_member *prev, *next;
	struct presence p;
	uint64_t expires;		/* ms, by our clock */
	uint64_t changed;
	uint64_t refresh;		/* own: not before */
	uint64_t asked_at;		/* own: last time somebody else was found to speak for it */
	uint64_t above;			/* own: the highest sequence heard from others */
	struct slot_set has;		/* neighbours known to have it */
	uint8_t owner;			/* slot of the neighbour it is charged to */
	bool local;
	bool wanted;			/* a newer one is to be signed */
};

_Static_assert(offsetof(struct presence, member) ==
	       offsetof(struct presence, space) + sizeof(struct address), "one key of two fields");

/* An update that waits for its record. */
struct pending {
	uint8_t id[RECORD_ID_LEN];
	uint64_t ask_at;		/* next WANT */
	uint16_t metric;
	uint8_t tries;
};

enum dump_state {
	DUMP_NONE,
	DUMP_START,			/* BEGIN must be sent */
	DUMP_RUNNING,
};

struct route_neigh {
	bool used;			/* slot taken (perhaps only remembered for its quota) */
	bool up;
	uint8_t slot;
	uint16_t cost;
	uint16_t mtu;			/* of the link */
	uint32_t id;
	uint32_t routes;		/* vias */
	uint32_t stale;			/* vias that are stale */
	uint32_t owned;			/* entries charged to it */
	struct entry_list dead;		/* … of them, those that can be evicted */
	uint64_t up_at;

	/* Channel, see rneigh.c. */
	uint32_t epoch;
	uint32_t peer_epoch;		/* adopted, 0 none */
	uint32_t heard_epoch;		/* last one heard, for HELLO */
	uint32_t past[PAST_EPOCHS];
	uint8_t past_at;
	bool peer_adopted;		/* the peer said so */
	bool clean;			/* … and that it holds nothing older */
	bool was_clean;			/* at some time in our epoch */
	bool first_epoch;		/* of this neighbour in the life of the core */
	bool peer_graceful;
	uint64_t adopted_at;
	uint64_t hello_at;
	uint64_t hello_wait;
	uint64_t reply_at;		/* last bare answer */
	uint64_t ack_at;
	uint64_t defer_at;
	uint32_t tx_base, tx_next, rx_next;
	struct channel_tx tx[CHANNEL_WINDOW];
	struct channel_rx rx[CHANNEL_WINDOW];
	uint32_t srtt, rttvar, rto;	/* ms; srtt 0: unknown */

	/* Budgets. */
	uint32_t budget;		/* bytes per second */
	int64_t tokens;			/* thousandths of a byte */
	uint64_t tokens_at;
	uint64_t verify_tokens;		/* thousandths of a check */
	uint64_t verify_at;

	/* What is still to be said. */
	struct route_entry *cursor[2];	/* LIST_REACH, LIST_RETRACT: next to serve */
	uint64_t flush_at;
	uint64_t drained;		/* core->version when everything was acknowledged */
	enum dump_state dump;
	uint64_t dump_version;
	uint64_t dumped_at;
	uint64_t digest_at;
	bool want_resync;
	struct oneoff *oneoffs;		/* ring, allocated on first use */
	unsigned int oneoff_head, oneoff_n;

	/* Presences, see members.c. */
	struct route_member *member_cursor;	/* next to say */
	uint32_t members_owned;		/* charged to it */
	bool members_incomplete;	/* one was refused: sums will differ */
	uint16_t member_differs;	/* buckets, by the last sums heard */
	uint16_t member_ask;		/* buckets to be asked for */
	uint64_t member_ask_at;		/* not before */
	uint64_t member_ask_wait;
	uint64_t member_answered_at;

	/* What is still to be heard. */
	bool synced;			/* END has come */
	bool incomplete;		/* something was refused: digests will differ */
	uint64_t sweep_at;		/* stale vias go */
	uint64_t resync_at;		/* not before */
	uint64_t resync_wait;
	struct pending *pending;
	unsigned int n_pending, cap_pending;
	uint64_t in_digest[2];
};

struct want {
	struct address address;
	uint64_t sequence;
};

#define WANTS_MAX 64u

struct route_core {
	struct route_config cfg;
	struct route_ops ops;
	void *ctx;
	uint64_t started;
	uint64_t rng;
	bool restored;			/* route_restore() was called */
	bool swept;			/* STALE_MS after the start have passed */
	bool recheck;			/* entries with FD_UNKNOWN may be usable now */
	uint64_t recheck_at;
	uint32_t unresolved;
	uint32_t unknown_fd;
	struct route_entry *entries;	/* uthash */
	struct route_rec *records;	/* uthash */
	struct entry_list lists[2];
	struct entry_list orphans;
	uint64_t version;
	struct route_entry **heap;	/* from 1 */
	uint32_t heap_n, heap_cap;
	struct route_neigh *neighs[ROUTE_NEIGH_MAX];
	unsigned int n_slots;		/* highest slot ever used + 1 */
	struct want wants[WANTS_MAX];
	unsigned int n_wants;
	struct route_member *members;	/* uthash */
	struct route_member *member_head, *member_tail;
	uint64_t member_due;
	unsigned int member_wants;
	struct address *own_spaces;	/* namespaces that own presences are of */
	size_t n_own_spaces;
	size_t bytes;
	struct route_stats stats;
	struct control_message msg;	/* scratch of the parser */
};

/* route.c */
uint32_t core_random(struct route_core *core, uint32_t below);
struct route_neigh *core_neigh(const struct route_core *core, uint32_t id);
void core_want(struct route_core *core, struct route_entry *e, uint64_t sequence);

/* table.c */
struct route_entry *table_find(const struct route_core *core, const uint8_t *address);
struct route_rec *table_find_record(const struct route_core *core, const uint8_t *id);
struct route_entry *table_create(struct route_core *core, uint64_t now, const uint8_t *address,
				 struct route_neigh *owner, int *err);
int table_set_record(struct route_core *core, uint64_t now, struct route_entry *e,
		     const struct record *rec, const uint8_t *bytes, uint32_t remaining_s);
void table_encode(const struct route_rec *rec, uint8_t out[static RECORD_LEN]);
/* Sets (or, with ROUTE_INFINITY, removes) a via. False when there is no room for it. */
bool table_set_via(struct route_core *core, struct route_entry *e, struct route_neigh *n,
		   uint64_t sequence, uint16_t metric, uint16_t mtu, uint8_t flags);
struct route_via *table_via(const struct route_entry *e, unsigned int slot);
/* Decides again about one address: primary, backups, what is advertised, timers. */
void table_eval(struct route_core *core, uint64_t now, struct route_entry *e);
void table_free(struct route_core *core, struct route_entry *e);
void table_timers(struct route_core *core, uint64_t now);
uint64_t table_deadline(const struct route_core *core);
void table_forget_owner(struct route_core *core, struct route_neigh *n);
/* After the told set of an unreachable entry became empty. */
void table_settle(struct route_core *core, struct route_entry *e);
uint16_t table_total(const struct route_core *core, const struct route_via *v);
/* The largest frame that gets all the way. */
uint16_t table_mtu(const struct route_core *core, const struct route_via *v);
/* Decides again about every address that a neighbour advertises. */
void table_eval_neigh(struct route_core *core, uint64_t now, const struct route_neigh *n);
/* Removes the vias of a neighbour, or only those with one of @flags, and decides again. */
void table_drop_neigh(struct route_core *core, uint64_t now, struct route_neigh *n, uint8_t flags);
void table_digest_of(const struct route_entry *e, uint64_t sequence, uint16_t metric,
		     uint64_t out[static 2]);
static inline bool table_alive(const struct route_rec *rec, uint64_t now)
{
	return rec && rec->expires > now && !(rec->flags & RECORD_WITHDRAWN);
}

/* members.c */
void members_apply(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const struct control_item *item);
void members_compare(struct route_core *core, uint64_t now, struct route_neigh *n,
		     const uint8_t *sums);
void members_asked(struct route_core *core, uint64_t now, struct route_neigh *n, uint16_t buckets);
/* True when the signature of a presence would have to be checked. */
bool members_needs_check(const struct route_core *core, const uint8_t *bytes);
/* The neighbour (re)started: it hears everything again. */
void members_start(struct route_core *core, struct route_neigh *n);
/* Writes what the neighbour has to hear. False: no room for all of it. */
bool members_emit(struct route_core *core, uint64_t now, struct route_neigh *n,
		  struct wire_writer *w, struct control_run *run);
bool members_put_sums(struct route_core *core, uint64_t now, struct wire_writer *w,
		      struct control_run *run);
void members_tick(struct route_core *core, uint64_t now);
void members_deliver_wants(struct route_core *core);
void members_forget_owner(struct route_core *core, struct route_neigh *n);
void members_free_all(struct route_core *core);

/* apply.c: what a message of a neighbour does. False: signature budget used up, try later. */
bool apply_message(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const struct control_message *msg);
void apply_tick(struct route_core *core, uint64_t now, struct route_neigh *n);

/* emit.c: what is said to a neighbour. Writes items; returns bytes written. */
size_t emit_items(struct route_core *core, uint64_t now, struct route_neigh *n, uint8_t *buf,
		  size_t size);
bool emit_drained(const struct route_neigh *n);
/* Says all that is reachable once more. */
void emit_repeat(struct route_core *core, uint64_t now, struct route_neigh *n);
void emit_start_dump(struct route_core *core, uint64_t now, struct route_neigh *n);
void emit_touch(struct route_core *core, uint64_t now, bool urgent);
void emit_oneoff(struct route_core *core, uint64_t now, struct route_neigh *n,
		 const struct oneoff *item);

/* rneigh.c */
void channel_reset(struct route_core *core, uint64_t now, struct route_neigh *n);
void channel_clear(struct route_neigh *n);
void channel_input(struct route_core *core, uint64_t now, struct route_neigh *n,
		   const uint8_t *bytes, size_t len);
void channel_tick(struct route_core *core, uint64_t now, struct route_neigh *n);
uint64_t channel_deadline(const struct route_neigh *n);

/* True when nobody can still hold an advertisement from before our start. */
bool core_settled(const struct route_core *core, uint64_t now);
/*
 * True while the neighbour may hold an advertisement of ours that is older than our
 * epoch, counted from @since. One that talks is waited for longer than its stale routes
 * can live; one whose daemon is silent only as long as a restored route may.
 */
static inline bool core_may_hold(const struct route_neigh *n, uint64_t now, uint64_t since)
{
	bool talks = n->peer_epoch || n->heard_epoch;

	return n->up && !n->clean && now < since + (talks ? SETTLE_MS : STALE_MS);
}

#endif
