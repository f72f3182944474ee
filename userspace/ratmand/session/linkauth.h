/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Neighbour authentication: Noise IK between router addresses in LINK frames.
 *
 * A HELLO makes a candidate; the handshake here makes a neighbour out of it, with
 * two SipHash keys for the tags of the frames. Sans-I/O: bytes and times go in,
 * messages and keys come out through struct linkauth_ops.
 *
 * Messages, network byte order (Documentation/handshake.md has the whole story):
 *
 *   init, 188 bytes                      response, 112 bytes
 *     0  1  type 1                         0  1  type 2
 *     1  3  zero                           1  3  zero
 *     4  4  sender's index                 4  4  sender's index
 *     8 32  ephemeral key                  8  4  receiver's index
 *    40 48  sealed static key             12 32  ephemeral key
 *    88 68  sealed payload                44 36  sealed payload
 *   156 16  mac1                          80 16  mac1
 *   172 16  mac2                          96 16  mac2
 *
 *   payload of init, 52 bytes            payload of response, 20 bytes
 *     0 32  router address                 0  4  sender's index
 *    32  8  stamp                          4  8  boot id
 *    40  4  sender's index                12  8  stamp
 *    44  8  boot id
 *
 *   cookie reply, 64 bytes: 0 1 type 3; 1 3 zero; 4 4 receiver's index;
 *                           8 24 nonce; 32 32 sealed cookie
 *
 * Both static keys are the X25519 forms of the ed25519 router addresses. With a
 * group secret the pattern is IKpsk2 and the secret also keys mac1, so that who
 * does not hold it is refused before any computation and gets no answer.
 */
#ifndef RATMAND_SESSION_LINKAUTH_H
#define RATMAND_SESSION_LINKAUTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define LINKAUTH_PROLOGUE "ratman link 1"

#define LINKAUTH_MSG_INIT 1
#define LINKAUTH_MSG_RESPONSE 2
#define LINKAUTH_MSG_COOKIE 3
#define LINKAUTH_INIT_LEN 188
#define LINKAUTH_RESPONSE_LEN 112
#define LINKAUTH_COOKIE_LEN 64
/* No message is longer. */
#define LINKAUTH_MSG_MAX LINKAUTH_INIT_LEN

#define LINKAUTH_KEY_LEN 16
#define LINKAUTH_SECRET_LEN 32

/* An index: slot in the low 12 bits (1 … 4095), random above. */
#define LINKAUTH_SLOT_BITS 12
#define LINKAUTH_SLOT_MASK ((1u << LINKAUTH_SLOT_BITS) - 1)

/* Limits. Two slots per entry, so that the slots can never run out. */
#define LINKAUTH_MAX_NEIGH 2047		/* candidates and neighbours together */
#define LINKAUTH_MAX_MEMBERS 65536
#define LINKAUTH_MAX_STAMPS 4096	/* routers whose greatest stamp is remembered */
#define LINKAUTH_MAX_SOURCES 4096	/* (link, link address) with a token bucket */
#define LINKAUTH_LOAD_DEFAULT 50	/* init messages per second before cookies are asked for */
#define LINKAUTH_SOURCE_BURST 10	/* handshakes per source at once, */
#define LINKAUTH_SOURCE_MS 200		/* then one per 200 ms */
#define LINKAUTH_INPUT_BURST 200	/* messages answered at once, all sources, */
#define LINKAUTH_INPUT_MS 5		/* then one per 5 ms */
#define LINKAUTH_START_BURST 200	/* initiations at once, all candidates, */
#define LINKAUTH_START_MS 5		/* then one per 5 ms */

/* Times, in milliseconds. */
#define LINKAUTH_WAIT_MS 1000		/* the greater address lets the smaller begin */
#define LINKAUTH_RETRY_MIN_MS 500
#define LINKAUTH_RETRY_MAX_MS 30000
#define LINKAUTH_FORGET_MS 60000	/* a candidate not heard for so long */
#define LINKAUTH_REKEY_MS 3600000	/* by the initiator; */
#define LINKAUTH_REKEY_GRACE_MS 120000	/* the responder begins so much later */
#define LINKAUTH_OLD_KEY_MS 30000	/* the replaced index stays reserved */
#define LINKAUTH_RESTART_MS 5000	/* no sooner again because of a new boot id */

struct linkauth;

/* One authenticated neighbour, as given to established() and linkauth_restore(). */
struct linkauth_neigh {
	uint32_t ifindex;
	uint8_t mac[6];		/* link address the handshake came from */
	struct address router;
	uint64_t boot_id;	/* of the peer, authenticated */
	uint32_t local_index;	/* what the peer writes into frames to us */
	uint32_t peer_index;	/* what we write into frames to the peer */
	uint8_t rx_key[LINKAUTH_KEY_LEN];	/* SipHash key of frames we receive */
	uint8_t tx_key[LINKAUTH_KEY_LEN];	/* SipHash key of frames we send */
	bool initiator;		/* we began: the peer can use the keys already */
};

/* What the caller does for us. No op may call back into the manager. */
struct linkauth_ops {
	/* Sends @len bytes (borrowed) as a LINK frame to @mac on link @ifindex. */
	void (*send)(void *ctx, uint32_t ifindex, const uint8_t mac[6], const uint8_t *bytes,
		     size_t len);
	/*
	 * The neighbour @n (borrowed; its keys are wiped after the call) is
	 * authenticated, for the first time or again with new keys. The same
	 * (ifindex, router) again replaces the keys: frames under the old
	 * local_index are to be accepted for LINKAUTH_OLD_KEY_MS more. With
	 * @n->initiator the new tx key can be used at once; without it the peer
	 * learns the keys from the response that is sent after this call, so the old
	 * tx key (if any) is to be used until a frame under the new local_index
	 * arrives (as in the WireGuard paper, section 6.3).
	 */
	void (*established)(void *ctx, const struct linkauth_neigh *n);
	/*
	 * The next stamp of this router: greater than any it ever gave, over restarts
	 * too (the caller persists a reserve). 0: none can be had now; the handshake
	 * waits for its next retry.
	 */
	uint64_t (*next_stamp)(void *ctx);
};

enum linkauth_policy {
	LINKAUTH_OPEN,		/* any router that completes the handshake */
	LINKAUTH_CLOSED,	/* only the members */
};

struct linkauth_config {
	/* Everything pointed to is borrowed for the call. */
	struct address router;			/* our ed25519 public key */
	const uint8_t *router_sk;		/* its secret key, 64 bytes; borrowed */
	uint64_t boot_id;			/* ours, as in our HELLO */
	enum linkauth_policy policy;
	const struct address *members;		/* for LINKAUTH_CLOSED; copied */
	size_t n_members;			/* 0 … LINKAUTH_MAX_MEMBERS */
	const uint8_t *group_secret;		/* 32 bytes or NULL, with any policy; copied */
	uint32_t load_threshold;		/* init messages per second; 0: the default */
};

/* Everything that was refused or done, since the start. */
struct linkauth_stats {
	uint64_t init_sent, init_received, response_sent, response_received;
	uint64_t cookie_sent, cookie_received;
	uint64_t established;
	uint64_t malformed;		/* length, type or padding */
	uint64_t bad_mac1;		/* not meant for us, wrong group secret or damaged */
	uint64_t over_source_rate;	/* the sender's link address exceeds its quota */
	uint64_t over_rate;		/* all senders together exceed the quota */
	uint64_t bad_noise;		/* did not authenticate */
	uint64_t bad_identity;		/* address and static key or indices disagree */
	uint64_t not_member;
	uint64_t stale_stamp;		/* replayed or reordered init */
	uint64_t crossed;		/* both began; ours goes on */
	uint64_t unknown_index;		/* response or cookie for nothing we wait for */
	uint64_t table_full;		/* no room beside the neighbours */
	uint64_t evicted;		/* candidates pushed out by others */
	uint64_t forgotten;		/* candidates no longer heard */
	uint64_t no_stamp;
	uint64_t no_memory;
};

/*
 * Makes a manager. @ops and @ctx are borrowed until linkauth_free(). NULL without
 * memory, for a router key that is no ed25519 key or for too many members.
 * Call sodium_init() before.
 */
struct linkauth *linkauth_new(const struct linkauth_config *config,
			      const struct linkauth_ops *ops, void *ctx);

/* Frees @la (may be NULL) and wipes its keys. Neighbours stay what they are. */
void linkauth_free(struct linkauth *la);

/*
 * A HELLO was heard from @router (unproven) at @mac on link @ifindex. Called for
 * every HELLO; decides whether and when to begin a handshake. @now_ms monotonic,
 * as everywhere here.
 */
void linkauth_candidate(struct linkauth *la, uint64_t now_ms, uint32_t ifindex,
			const uint8_t mac[6], const struct address *router, uint64_t boot_id);

/* A LINK frame's content (borrowed) from @mac on link @ifindex; anything at all may be in it. */
void linkauth_input(struct linkauth *la, uint64_t now_ms, uint32_t ifindex, const uint8_t mac[6],
		    const uint8_t *bytes, size_t len);

/*
 * A neighbour read back from the kernel after a restart of the daemon; its keys
 * are not looked at. @age_ms: how long ago it was established (0 if unknown).
 * Returns 0; -EINVAL for slot 0 or our own address, -EEXIST when the slot or the
 * neighbour is there already, -ENOSPC when the table is full, -ENOMEM.
 */
int linkauth_restore(struct linkauth *la, uint64_t now_ms, const struct linkauth_neigh *n,
		     uint64_t age_ms);

/*
 * The kernel says the neighbour is dead and has removed it: its indices are free,
 * and its next HELLO makes it a candidate again.
 */
void linkauth_gone(struct linkauth *la, uint64_t now_ms, uint32_t ifindex,
		   const struct address *router);

/* The link @ifindex is gone with everybody on it. */
void linkauth_link_gone(struct linkauth *la, uint32_t ifindex);

/* The kernel wants new keys for this neighbour (a lane nears its end). Idempotent. */
void linkauth_rekey(struct linkauth *la, uint64_t now_ms, uint32_t ifindex,
		    const struct address *router);

/* Does what is due: begins, retries, forgets. */
void linkauth_tick(struct linkauth *la, uint64_t now_ms);

/* When linkauth_tick() is to be called next, at the latest; UINT64_MAX: no need. */
uint64_t linkauth_deadline(const struct linkauth *la);

/* Counters (borrowed, live as long as @la). */
const struct linkauth_stats *linkauth_stats(const struct linkauth *la);

/* Entries now: all, and those of them that are authenticated neighbours. */
size_t linkauth_count(const struct linkauth *la);
size_t linkauth_count_neighbours(const struct linkauth *la);

#endif
