/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * End-to-end sessions: Noise IK between two addresses in HANDSHAKE frames.
 *
 * The kernel asks for a session (session_want), the handshake runs, and both
 * directions' keys come out through install(). Sans-I/O: bytes and times go in,
 * messages and keys come out through struct session_ops.
 *
 * Messages, network byte order (Documentation/handshake.md has the whole story):
 *
 *   init, 164 bytes                      response, 88 bytes
 *     0  1  type 1                         0  1  type 2
 *     1  3  zero                           1  3  zero
 *     4  4  sender's index                 4  4  sender's index
 *     8 32  ephemeral key                  8  4  receiver's index
 *    40 48  sealed static key             12 32  ephemeral key
 *    88 60  sealed payload                44 28  sealed payload
 *   148 16  mac1                          72 16  mac1
 *
 *   payload of init, 44 bytes            payload of response, 12 bytes
 *     0 32  initiator's address            0  4  sender's index
 *    32  8  stamp                         4  8  stamp
 *    40  4  sender's index
 *
 * The frame names only its destination: no relay, and no responder before it has
 * computed, knows who sent it. So there is nobody to send a cookie reply to, and
 * under load the quota belongs to the neighbour that passed the frame on.
 */
#ifndef RATMAND_SESSION_SESSION_H
#define RATMAND_SESSION_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define SESSION_PROLOGUE "ratman session 1"

#define SESSION_MSG_INIT 1
#define SESSION_MSG_RESPONSE 2
#define SESSION_INIT_LEN 164
#define SESSION_RESPONSE_LEN 88
/* No message is longer. */
#define SESSION_MSG_MAX SESSION_INIT_LEN

#define SESSION_KEY_LEN 32

/* Limits. */
#define SESSION_MAX_LOCALS 4096		/* own addresses that are up */
#define SESSION_MAX_PENDING 1024	/* handshakes we began; the oldest gives way */
#define SESSION_MAX_LIVE 65536		/* installed indices reserved; the oldest gives way */
#define SESSION_MAX_STAMPS 16384	/* (local, peer) whose greatest stamp is remembered */
#define SESSION_MAX_NEIGH 4096		/* neighbours with a token bucket */
#define SESSION_NEIGH_BURST 50		/* handshakes per neighbour at once, */
#define SESSION_NEIGH_MS 20		/* then one per 20 ms */
#define SESSION_INPUT_BURST 400		/* inits computed at once, all neighbours, */
#define SESSION_INPUT_MS 4		/* then one per 4 ms; responses have their own */

/* Times, in milliseconds. */
#define SESSION_RETRY_FIRST_MS 1000
#define SESSION_RETRY_MS 5000
#define SESSION_RETRY_JITTER_MS 500	/* plus or minus */
#define SESSION_GIVE_UP_MS 20000
#define SESSION_REKEY_MS 120000		/* the kernel asks; here for the record */
#define SESSION_LIFE_MS 180000		/* then the kernel refuses the keys and the index is free */

struct session_mgr;

/* One session, as given to install(). */
struct session_keys {
	struct address local;
	struct address peer;	/* authenticated */
	uint32_t local_index;	/* what the peer writes into frames to us */
	uint32_t peer_index;	/* what we write into frames to the peer */
	uint8_t rx_key[SESSION_KEY_LEN];	/* ChaCha20-Poly1305 */
	uint8_t tx_key[SESSION_KEY_LEN];
	bool initiator;
	uint64_t created_ms;	/* now_ms of the call that made it */
};

/* What the caller does for us. No op may call back into the manager. */
struct session_ops {
	/* Sends @len bytes (borrowed) as a HANDSHAKE frame to @dest. */
	void (*send)(void *ctx, const struct address *dest, const uint8_t *bytes, size_t len);
	/*
	 * A session (borrowed; its keys are wiped after the call) is ready. The
	 * initiator sends with it at once; the responder receives with it at once and
	 * sends with it only after it received something with it, as the response
	 * (sent after this call) may be lost: current, previous and next of the
	 * WireGuard paper, section 6.3.
	 */
	void (*install)(void *ctx, const struct session_keys *keys);
	/* Nobody answered within SESSION_GIVE_UP_MS, or the handshake had to give way. */
	void (*failed)(void *ctx, const struct address *local, const struct address *peer);
	/*
	 * The next stamp of @local: greater than any it ever gave, over restarts too
	 * (the caller persists a reserve). 0: none can be had now.
	 */
	uint64_t (*next_stamp)(void *ctx, const struct address *local);
};

/* Everything that was refused or done, since the start. */
struct session_stats {
	uint64_t init_sent, init_received, response_sent, response_received;
	uint64_t installed;
	uint64_t failed;		/* given up */
	uint64_t malformed;		/* length, type or padding */
	uint64_t not_local;		/* for an address that is not up here */
	uint64_t bad_mac1;		/* made for another address, or damaged */
	uint64_t over_neigh_rate;	/* the neighbour that passed it on exceeds its quota */
	uint64_t over_rate;		/* all neighbours together exceed the quota */
	uint64_t bad_noise;		/* did not authenticate */
	uint64_t bad_identity;		/* address and static key or indices disagree */
	uint64_t stale_stamp;		/* replayed or reordered init */
	uint64_t crossed;		/* both began; ours goes on */
	uint64_t unknown_index;		/* response for nothing we wait for */
	uint64_t evicted_pending;
	uint64_t evicted_live;
	uint64_t no_stamp;
	uint64_t no_memory;
};

/* Makes a manager; @ops and @ctx are borrowed until it is freed. NULL without memory. */
struct session_mgr *session_mgr_new(const struct session_ops *ops, void *ctx);

/* Frees @mgr (may be NULL) and wipes its keys. Calls no op. */
void session_mgr_free(struct session_mgr *mgr);

/*
 * Our address @local is up. @ed25519_sk (64 bytes, borrowed for the call) is its
 * secret key; what is derived from it stays in guarded memory (sodium_malloc).
 * Returns 0 (also when it was up), -EINVAL when key and address do not belong
 * together, -ENOSPC, -ENOMEM.
 */
int session_local_add(struct session_mgr *mgr, const struct address *local,
		      const uint8_t ed25519_sk[64]);

/*
 * Our address @local is down: its key is wiped, its handshakes end without
 * failed(), its indices are free. The caller removes its sessions from the kernel.
 */
void session_local_remove(struct session_mgr *mgr, const struct address *local);

/*
 * The kernel wants a session from @local to @peer: a packet is staged, or the one
 * it has grows old. Idempotent while a handshake is under way. Returns 0;
 * -ENOENT when @local is not up, -EINVAL when @peer is no address (or @local
 * itself), -ENOMEM.
 */
int session_want(struct session_mgr *mgr, uint64_t now_ms, const struct address *local,
		 const struct address *peer);

/*
 * A HANDSHAKE frame's content (borrowed) for @dest, passed on by the neighbour
 * @from_neigh (any number that names it); anything at all may be in it.
 */
void session_input(struct session_mgr *mgr, uint64_t now_ms, const struct address *dest,
		   uint32_t from_neigh, const uint8_t *bytes, size_t len);

/*
 * A session read back from the kernel after a restart of the daemon. @created_ms
 * on the clock of @now_ms, not later than it. Returns 0 (also when its life is
 * over), -EINVAL for index 0, -EEXIST when the index is taken, -ENOMEM.
 */
int session_restore(struct session_mgr *mgr, uint64_t now_ms, const struct address *local,
		    const struct address *peer, uint32_t local_index, uint32_t peer_index,
		    uint64_t created_ms);

/* The kernel closed the session with this index: the index is free. */
void session_closed(struct session_mgr *mgr, uint32_t local_index);

/* Does what is due: retries, gives up, frees indices. */
void session_tick(struct session_mgr *mgr, uint64_t now_ms);

/* When session_tick() is to be called next, at the latest; UINT64_MAX: no need. */
uint64_t session_deadline(const struct session_mgr *mgr);

/* Counters (borrowed, live as long as @mgr). */
const struct session_stats *session_mgr_stats(const struct session_mgr *mgr);

/* Handshakes that we began and that are under way; installed sessions whose index is reserved. */
size_t session_count_pending(const struct session_mgr *mgr);
size_t session_count_live(const struct session_mgr *mgr);

#endif
