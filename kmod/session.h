/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sessions: end-to-end encryption between an address of ours and a peer's.
 * session.c keeps them, session_tx.c sends, session_rx.c receives.
 */
#ifndef RATMAN_SESSION_H
#define RATMAN_SESSION_H

#include <linux/rhashtable.h>
#include <linux/skbuff.h>

#include "dev.h"
#include "fib.h"
#include "replay.h"

/* A ring of 64 words always holds 4032 numbers or more. */
#define RATMAN_SESSION_WORDS	64

/* Of a key, in seconds and messages. */
#define RATMAN_REKEY_INITIATOR	120
#define RATMAN_REKEY_RESPONDER	150
#define RATMAN_REJECT_AFTER	180
#define RATMAN_ERASE_AFTER	238	/* the sweep comes once a second: 240 at the latest */
#define RATMAN_REJECT_MESSAGES	(1ULL << 60)

/* Packets that wait for a session. */
#define RATMAN_STAGED_PER_SESSION	64
#define RATMAN_STAGED_FOR	(10 * HZ)

/**
 * struct ratman_session_id - what a session is found by when sending
 * @local: source, one of ours
 * @peer: destination
 */
struct ratman_session_id {
	struct in6_addr local;
	struct in6_addr peer;
};

/**
 * struct ratman_session_key - what one handshake between two addresses agreed on
 * @node: in ratman_dev.session_keys
 * @index: ours, in DATA from the peer
 * @peer_index: the peer's, in DATA to it
 * @session: the session; valid for RCU readers who found the key
 * @born: when it was set, boottime in ns
 * @initiator: we started the handshake
 * @rx_key: to decrypt
 * @tx_key: to encrypt
 * @rcu: for freeing
 * @tx_counter: next nonce
 * @replay_lock: protects the replay window
 * @rx_next: highest nonce seen, plus one
 * @rx_bits: see replay.h
 *
 * The lock is taken after a packet was decrypted, which costs a hundred times
 * as much.
 */
struct ratman_session_key {
	struct rhash_head node;
	u32 index;
	__be32 peer_index;
	struct ratman_session *session;
	u64 born;
	bool initiator;
	u8 rx_key[RATMAN_SESSION_KEY_LEN];
	u8 tx_key[RATMAN_SESSION_KEY_LEN];
	struct rcu_head rcu;
	atomic64_t tx_counter ____cacheline_aligned_in_smp;
	spinlock_t replay_lock ____cacheline_aligned_in_smp;
	u64 rx_next;
	u64 rx_bits[RATMAN_SESSION_WORDS];
};

/**
 * struct ratman_session - a session, or the wish for one
 * @node: in ratman_dev.sessions
 * @id: IPv6 addresses of both ends
 * @local: our address
 * @peer: the peer's address
 * @cur: key to send with, and to receive
 * @prev: the one before: to receive only
 * @next: a key the peer has not used yet: it becomes the current one when it does
 * @contact: the peer is a contact of @local
 * @last_want: when the daemon was last asked for a key, in jiffies
 * @last_used: when a packet last went either way, in jiffies
 * @unanswered: when a packet was sent after which nothing came, in jiffies; 0 if something did
 * @unthanked: when a packet came after which nothing was sent, in jiffies; 0 if something was
 * @lock: protects the keys, @dead and @staged
 * @dead: no packet may be staged any more
 * @staged: packets that wait for a key
 * @number: in ratman_dev.session_ids
 * @rcu: for freeing
 * @tx_packets: sent
 * @tx_bytes: sent, without our headers
 * @rx_packets: received
 * @rx_bytes: received
 *
 * Made by requests and by packets, removed under ratman_dev.lock only.
 */
struct ratman_session {
	struct rhash_head node;
	struct ratman_session_id id;
	u8 local[RATMAN_ADDR_LEN];
	u8 peer[RATMAN_ADDR_LEN];
	struct ratman_session_key __rcu *cur;
	struct ratman_session_key __rcu *prev;
	struct ratman_session_key __rcu *next;
	bool contact;
	unsigned long last_want;
	unsigned long last_used;
	unsigned long unanswered;
	unsigned long unthanked;

	spinlock_t lock;
	bool dead;
	struct sk_buff_head staged;
	u32 number;
	struct rcu_head rcu;

	atomic64_t tx_packets ____cacheline_aligned_in_smp;
	atomic64_t tx_bytes;
	atomic64_t rx_packets ____cacheline_aligned_in_smp;
	atomic64_t rx_bytes;
};

/**
 * struct ratman_session_config - a checked SESSION_SET
 * @local: our address, 32 bytes
 * @peer: the peer's
 * @peer6: the peer's IPv6 address, NULL to take that of the route or session
 * @has_key: @index to @tx_key are set
 * @index: ours
 * @peer_index: the peer's
 * @rx_key: 32 bytes
 * @tx_key: 32 bytes
 * @initiator: send with the new key at once
 * @contact: the peer is a contact of @local
 */
struct ratman_session_config {
	const u8 *local;
	const u8 *peer;
	const struct in6_addr *peer6;
	bool has_key;
	u32 index;
	u32 peer_index;
	const u8 *rx_key;
	const u8 *tx_key;
	bool initiator;
	bool contact;
};

/* Goes on while the machine sleeps. */
static inline bool ratman_session_key_older(const struct ratman_session_key *key, u32 seconds)
{
	return ktime_get_coarse_boottime_ns() >= key->born + (u64)seconds * NSEC_PER_SEC;
}

/**
 * struct ratman_packet_cb - the control block of a packet that waits
 * @since: since when, in jiffies, of a staged one
 * @stat: why it is dropped, of one whose sender is to be told
 * @type: what the sender is told (ICMPv6)
 * @code: the same
 * @info: the same
 */
struct ratman_packet_cb {
	union {
		unsigned long since;
		struct {
			enum ratman_stat stat;
			u8 type;
			u8 code;
			u32 info;
		};
	};
};

static inline struct ratman_packet_cb *ratman_packet_cb(const struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct ratman_packet_cb) > sizeof(skb->cb));
	return (struct ratman_packet_cb *)skb->cb;
}

static inline void ratman_session_used(struct ratman_session *session)
{
	unsigned long now = jiffies;

	if (READ_ONCE(session->last_used) != now)
		WRITE_ONCE(session->last_used, now);
}

/* Notes the time of the first event of a row; 0 stands for none. */
static inline void ratman_session_mark(unsigned long *since)
{
	if (!READ_ONCE(*since))
		WRITE_ONCE(*since, jiffies ?: 1);
}

static inline void ratman_session_clear(unsigned long *since)
{
	if (READ_ONCE(*since))
		WRITE_ONCE(*since, 0);
}

static inline bool ratman_session_due(const unsigned long *since, unsigned long after)
{
	unsigned long mark = READ_ONCE(*since);

	return mark && time_after_eq(jiffies, mark + after);
}

/* session.c */
struct ratman_session *ratman_session_lookup(struct ratman_dev *rdev,
					     const struct ratman_session_id *id);
struct ratman_session_key *ratman_session_key_lookup(struct ratman_dev *rdev, u32 index);
struct ratman_session *ratman_session_create(struct ratman_dev *rdev,
					     const struct ratman_dest *local, const u8 *peer,
					     const struct in6_addr *peer6, gfp_t gfp);
void ratman_session_proven(struct ratman_dev *rdev, struct ratman_session_key *key);
int ratman_session_set(struct ratman_dev *rdev, const struct ratman_session_config *config,
		       struct netlink_ext_ack *extack);
int ratman_session_del(struct ratman_dev *rdev, const u8 *local, const u8 *peer,
		       struct netlink_ext_ack *extack);
void ratman_sessions_remove_local(struct ratman_dev *rdev, const u8 *local);
void ratman_sessions_purge_staged(struct ratman_dev *rdev);
void ratman_sessions_sweep(struct ratman_dev *rdev);
int ratman_sessions_init(struct ratman_dev *rdev);
void ratman_sessions_destroy(struct ratman_dev *rdev);

/* session_tx.c */
void ratman_session_xmit(struct ratman_dev *rdev, struct sk_buff *skb);
void ratman_session_send(struct ratman_dev *rdev, struct ratman_session *session,
			 struct ratman_session_key *key, struct sk_buff *list);
void ratman_session_keepalive(struct ratman_dev *rdev, struct ratman_session *session,
			      struct ratman_session_key *key);
void ratman_session_want(struct ratman_dev *rdev, struct ratman_session *session,
			 unsigned long gap);
void ratman_session_unreachable(struct ratman_dev *rdev, struct sk_buff *skb, u8 code,
				enum ratman_stat stat);
void ratman_session_errors_work(struct work_struct *work);

/* session_rx.c */
void ratman_session_rcv(struct ratman_dev *rdev, const struct ratman_dest *dest,
			struct sk_buff *skb);

#endif
