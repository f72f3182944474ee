/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The routing core: who owns an address, and how to get there.
 *
 * A distance-vector protocol with the feasibility condition of Babel (RFC 8966)
 * over signed records, sans-I/O: it takes the monotonic time in milliseconds
 * and the bytes of CONTROL frames, and acts through struct route_ops. It never
 * sleeps, opens or reads anything. Documentation/routing.md describes the
 * protocol byte by byte.
 *
 * How a daemon uses it:
 *
 *   core = route_new(&cfg, &ops, ctx, now);
 *   route_seen(core, …) for every persisted sequence;
 *   route_neigh_up(core, …) for every keyed neighbour the kernel already has;
 *   route_restore(core, …) for every route the kernel already has;
 *   route_local_add(core, …) for every own address that is up;
 *   then, for ever: route_input() for each CONTROL frame, route_neigh_*() for
 *   each change, route_tick() when the clock reaches route_deadline().
 *
 * Any call may change the deadline: ask route_deadline() after each of them.
 * Calls are not re-entrant: ops must not call back into the same core, with
 * one exception: want_sequence() and want_member() are always delivered from route_tick() or
 * route_input() last, and may call route_local_add() and route_member_add().
 * @now never goes backwards. One core belongs to one thread.
 */
#ifndef RATMAND_ROUTE_ROUTE_H
#define RATMAND_ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "ratmand/route/presence.h"
#include "ratmand/route/record.h"

#define ROUTE_INFINITY 0xffffu		/* metric of a retraction (RFC 8966 §3.5.4) */
#define ROUTE_HOPS_MAX 4		/* next hops installed per address */
#define ROUTE_NEIGH_MAX 128		/* neighbours at one time */
#define ROUTE_COOKIE_LEN 12
#define ROUTE_MTU_MAX 1400		/* largest CONTROL payload */
#define ROUTE_PATH_MTU_MIN 1360		/* of a path that is used: a 1280-byte IPv6 packet fits */
/*
 * Largest payload sent: with its hop header it fits any link that routes go over, also one
 * whose MTU shrinks while messages are in flight.
 */
#define ROUTE_MTU_DEFAULT (ROUTE_PATH_MTU_MIN - 20)
#define ROUTE_PATH_MTU_DEFAULT 1500	/* of a link, until route_neigh_mtu() */

struct route_core;

/* One next hop: the neighbour and the total metric through it. */
struct route_hop {
	uint32_t neigh;		/* the caller's handle given to route_neigh_up() */
	uint16_t metric;	/* 1 … 65534; what the neighbour advertised + link cost */
	uint16_t mtu;		/* largest frame that gets all the way; 0 in route_restore(): unknown */
};

/* Zero in any field means its default. */
struct route_config {
	uint64_t seed;			/* of all randomness; 0: from the system */
	uint32_t mtu;			/* largest payload sent, 256 … 1400; default 1340 */
	uint32_t max_addresses;		/* in the whole table; default 1,000,000 */
	uint32_t quota;			/* addresses per neighbour; default 65,536 */
	uint32_t max_members;		/* presences in the whole table; default 16,384 */
	uint32_t member_quota;		/* presences per neighbour; default 4,096 */
	uint32_t verify_rate;		/* signature checks per second and neighbour; 500 */
	uint32_t verify_burst;		/* default 2,000; at least 16 */
	uint32_t digest_ms;		/* keepalive digest interval; default 60,000 */
	uint32_t flush_ms;		/* delay of triggered updates (… 2 ×, jittered); 10 */
};

struct route_ops {
	/* Sends one CONTROL payload to a neighbour. Borrowed bytes; loss is allowed. */
	void (*send)(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len);

	/*
	 * Installs or replaces the route of an address. hops[0] is the primary, the
	 * rest are backups in the order of their metric; every one of them is safe to
	 * use at any time. The cookie (ROUTE_COOKIE_LEN bytes) is to be kept with
	 * the route and given back through route_restore(). It must be in the
	 * kernel before anything sent after this call leaves.
	 */
	void (*install)(void *ctx, const struct address *address, const struct route_hop *hops,
			size_t n, const uint8_t *cookie, size_t cookie_len);

	/* Removes the route of an address. */
	void (*uninstall)(void *ctx, const struct address *address);

	/* A verified record had a higher sequence than any before: persist it. Optional. */
	void (*seen)(void *ctx, const struct address *address, uint64_t sequence);

	/*
	 * Sign a new record for an own address with a sequence of at least @sequence
	 * and pass it to route_local_add(): somebody is starving, or half of the
	 * lifetime is over. Rate limited; repeated until answered. May be answered
	 * at once or later.
	 */
	void (*want_sequence)(void *ctx, const struct address *address, uint64_t sequence);

	/* Replaces record_verify(), for simulations. NULL: ed25519. */
	bool (*verify)(void *ctx, const uint8_t record[RECORD_LEN]);

	/*
	 * The persisted sequence of an address that is not in the table, 0 when there
	 * is none. Optional: lets old sequences live on disk only.
	 */
	uint64_t (*last_seen)(void *ctx, const struct address *address);

	/*
	 * @member became a member of @space, or is none any more: by its word, or
	 * because its lifetime is over. Own ones, too. Optional.
	 */
	void (*member)(void *ctx, const struct address *space, const struct address *member,
		       bool up);

	/* As want_sequence(), for a presence of our own and route_member_add(). Optional. */
	void (*want_member)(void *ctx, const struct address *space, const struct address *member,
			    uint64_t sequence);

	/* Replaces presence_verify(), for simulations. NULL: ed25519. */
	bool (*verify_member)(void *ctx, const uint8_t presence[PRESENCE_LEN]);
};

/* Counters. Every message or part of one that is dropped has a reason here. */
struct route_stats {
	uint64_t rx_messages;
	uint64_t rx_bytes;
	uint64_t tx_messages;
	uint64_t tx_bytes;
	uint64_t tx_retransmits;
	uint64_t tx_paced;		/* waited because the sending budget was used up */
	uint64_t updates_in;		/* (id, metric) pairs applied */
	uint64_t updates_out;
	uint64_t records_in;		/* record messages read */
	uint64_t records_out;
	uint64_t records_verified;	/* signature checks that succeeded */
	uint64_t records_new;		/* … that gave a newer sequence */
	uint64_t seqreq_in;
	uint64_t seqreq_out;
	uint64_t resyncs;		/* full exchanges asked for after a wrong digest */
	uint64_t epochs;		/* (re)starts of a neighbour's channel */
	uint64_t switches;		/* primary next hop changed */
	uint64_t fd_resets;		/* feasibility distance forgotten after acknowledged loss */

	uint64_t drop_unknown_neigh;	/* from a handle that is not up */
	uint64_t drop_truncated;	/* message or field shorter than it says, or too long */
	uint64_t drop_version;		/* of the channel header */
	uint64_t drop_malformed;	/* impossible value in a known field */
	uint64_t drop_unknown_tlv;	/* skipped, the rest of the message counts */
	uint64_t drop_old_epoch;	/* of a channel that is no more */
	uint64_t drop_duplicate;	/* message received before */
	uint64_t drop_window;		/* sequence number outside the window */
	uint64_t drop_signature;	/* forged or damaged record */
	uint64_t drop_record;		/* impossible version, flags, lifetime */
	uint64_t drop_older_sequence;	/* replayed record */
	uint64_t drop_conflict;		/* another record with the same sequence */
	uint64_t drop_expired;		/* record whose lifetime is over */
	uint64_t drop_over_quota;	/* the neighbour's share of the table is full */
	uint64_t drop_table_full;	/* max_addresses reached */
	uint64_t drop_pending_full;	/* too many updates wait for their records */
	uint64_t drop_seqreq_limited;	/* duplicate or too frequent sequence request */
	uint64_t drop_seqreq_hops;	/* hop count used up */
	uint64_t drop_oneoff_full;	/* queue of answers to a neighbour full */
	uint64_t drop_no_memory;
	uint64_t presence_in;		/* presence messages read */
	uint64_t presence_out;
	uint64_t presence_verified;	/* signature checks that succeeded */
	uint64_t presence_new;		/* … and that gave a newer sequence */
	uint64_t presence_asked;	/* sums differed twice: asked to repeat */
	uint64_t presence_evicted;	/* live ones that made room for a namespace of ours */
	uint64_t drop_presence;		/* impossible version, flags, lifetime */
	uint64_t drop_presence_quota;	/* the neighbour's share of the table is full */
	uint64_t drop_presence_full;	/* max_members reached */
	uint64_t defer_over_budget;	/* not read yet: signature budget used up */
	uint64_t infeasible;		/* updates that failed the feasibility condition */
	uint64_t narrow;		/* updates of paths below ROUTE_PATH_MTU_MIN */
	uint64_t starved;		/* addresses that lost their last feasible route */
};

/* What route_get() and route_foreach() tell about one address. */
struct route_info {
	struct address address;
	uint64_t sequence;		/* of the newest record known */
	uint64_t fd_sequence;		/* feasibility distance */
	uint16_t fd_metric;
	uint16_t metric;		/* through hops[0]; 0: own; ROUTE_INFINITY: none */
	bool local;			/* own address */
	bool stale;			/* in use, not confirmed since a restart */
	bool withdrawn;
	uint64_t age_ms;		/* since the primary next hop last changed */
	uint64_t expires_ms;		/* until the record's lifetime ends */
	size_t n_hops;
	struct route_hop hops[ROUTE_HOPS_MAX];	/* as installed */
	size_t n_known;			/* neighbours that advertise it, feasible or not */
};

/* What route_neigh_get() tells about one neighbour. */
struct route_neigh_info {
	uint32_t neigh;
	uint16_t cost;
	uint16_t mtu;			/* of its link */
	bool connected;			/* channel established in both directions */
	bool synced;			/* its full table has arrived */
	uint32_t routes;		/* advertised by it now */
	uint32_t owned;			/* table entries charged to it */
	uint32_t rtt_ms;		/* smoothed, of the control channel; 0: unknown */
};

/*
 * Creates a core. @cfg may be NULL (all defaults) and is copied, as is @ops; @ctx is
 * passed to every op. Returns NULL when memory or libsodium is not available.
 */
struct route_core *route_new(const struct route_config *cfg, const struct route_ops *ops, void *ctx,
			     uint64_t now);

/* Frees a core (NULL is allowed). Sends and uninstalls nothing: the kernel goes on. */
void route_free(struct route_core *core);

/*
 * A neighbour is reachable and keyed. @id is the caller's stable handle of this
 * neighbour: quotas stick to it over reconnects. @cost of the link 1 … 65534 (0
 * counts as 1), @budget in bytes per second for everything we send to it (0:
 * 32 KiB/s). Called again for a neighbour that is up: changes cost and budget.
 * A new key handshake after a loss must be told to the cores on both sides (down, up).
 * Returns 0, -ENOSPC beyond ROUTE_NEIGH_MAX, -ENOMEM.
 */
int route_neigh_up(struct route_core *core, uint64_t now, uint32_t id, uint16_t cost,
		   uint32_t budget);

/* The measured cost of the link changed (walks the table: smooth it before). -ENOENT. */
int route_neigh_cost(struct route_core *core, uint64_t now, uint32_t id, uint16_t cost);

/*
 * The MTU of the link to it changed, or is known now: bytes of the largest frame, from
 * the hop header on. Walks the table, and repeats it to the neighbour. -ENOENT.
 */
int route_neigh_mtu(struct route_core *core, uint64_t now, uint32_t id, uint32_t mtu);

/* The neighbour is gone; its routes go at once. -ENOENT. */
int route_neigh_down(struct route_core *core, uint64_t now, uint32_t id);

/* One CONTROL payload from a neighbour, authenticated by the kernel as coming from it. */
void route_input(struct route_core *core, uint64_t now, uint32_t id, const uint8_t *bytes,
		 size_t len);

/*
 * Announces an own address by its signed record, or replaces it by a newer one.
 * A record flagged RECORD_WITHDRAWN takes the address down everywhere.
 * Returns 0; -EINVAL bad record or signature; -ESTALE when the sequence is not
 * higher than any seen (sign one above route_sequence()); -ENOSPC; -ENOMEM.
 */
int route_local_add(struct route_core *core, uint64_t now, const uint8_t record[static RECORD_LEN]);

/* Stops announcing without a withdrawal (a retraction). -ENOENT. */
int route_local_remove(struct route_core *core, uint64_t now, const struct address *address);

/* The highest sequence known of an address, 0 when none is. */
uint64_t route_sequence(const struct route_core *core, const struct address *address);

/*
 * Seeds a persisted sequence: records below it are refused. Not needed when
 * ops->last_seen is given. Returns 0, -ENOSPC, -ENOMEM.
 */
int route_seen(struct route_core *core, uint64_t now, const struct address *address,
	       uint64_t sequence);

/*
 * After a restart: a route the kernel still has, as it was installed. @sequence
 * and @fd_metric come from its cookie. Hops through handles that are not up are
 * skipped (and the route installed again without them). It counts as installed and stale: kept until the neighbours have
 * told their tables or 15 s have passed, then replaced or removed. Without this
 * the neighbours drop what they learned from us before the restart at once.
 * Returns 0; -EEXIST when the address is known already; -EINVAL; -ENOSPC; -ENOMEM.
 */
int route_restore(struct route_core *core, uint64_t now, const struct address *address,
		  uint64_t sequence, uint16_t fd_metric, const struct route_hop *hops, size_t n);

/*
 * Announces a membership of an own address by its presence, or replaces it by a
 * newer one; flagged PRESENCE_WITHDRAWN it takes the membership back everywhere.
 * Returns 0; -EINVAL bad presence or signature; -ESTALE when the sequence is not
 * higher than any seen (sign one above route_member_sequence()); -ENOSPC.
 */
int route_member_add(struct route_core *core, uint64_t now,
		     const uint8_t presence[static PRESENCE_LEN]);

/* The highest sequence known of the pair, 0 when none is. */
uint64_t route_member_sequence(const struct route_core *core, const struct address *space,
			       const struct address *member);

/* What route_members() tells about one member. */
struct route_member_info {
	struct address space, member;
	uint64_t sequence;
	uint64_t expires_ms;
	bool local;
};

/* Calls @cb for every live member of @space (NULL: of any). @cb must not change the core. */
void route_members(const struct route_core *core, uint64_t now, const struct address *space,
		   void (*cb)(void *ctx, const struct route_member_info *info), void *ctx);

/* The cookie that is kept with an installed route. */
struct route_cookie {
	uint64_t sequence;
	uint16_t metric;	/* feasibility distance = (sequence, metric) */
};

/* What the kernel keeps with a route for route_restore(); big-endian. */
void route_cookie_encode(const struct route_cookie *cookie, uint8_t out[static ROUTE_COOKIE_LEN]);

/* Returns 0, or -EINVAL for another length, version or metric. */
int route_cookie_decode(const uint8_t *bytes, size_t len, struct route_cookie *out);

/* Does everything that is due at @now. Calling it early or late is harmless. */
void route_tick(struct route_core *core, uint64_t now);

/* The time of the next route_tick(), UINT64_MAX when nothing is due. */
uint64_t route_deadline(const struct route_core *core);

/*
 * Calls @cb for every address that has a route or is our own, sorted by address,
 * until it returns false. @cb must not change the core. Returns 0 or -ENOMEM.
 */
int route_foreach(const struct route_core *core, uint64_t now,
		  bool (*cb)(void *ctx, const struct route_info *info), void *ctx);

/* Fills @out. Returns 0, or -ENOENT when the address is not in the table. */
int route_get(const struct route_core *core, uint64_t now, const struct address *address,
	      struct route_info *out);

/* Fills @out. Returns 0, or -ENOENT when the neighbour is not up. */
int route_neigh_get(const struct route_core *core, uint32_t id, struct route_neigh_info *out);

/* The counters since route_new() (borrowed). */
const struct route_stats *route_stats(const struct route_core *core);

/* Table entries (with and without a route) and bytes allocated for them. */
void route_usage(const struct route_core *core, size_t *addresses, size_t *bytes);

#endif
