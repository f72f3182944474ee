/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Neighbours: their keys, sequence numbers and replay windows, and whether
 * they are alive (neigh_live.c).
 */
#ifndef RATMAN_NEIGH_H
#define RATMAN_NEIGH_H

#include <linux/kref.h>
#include <linux/siphash.h>
#include <linux/timer.h>

#include "link.h"
#include "replay.h"

/* A ring of six words always holds 320 numbers or more, and fills a cache line with its lock. */
#define RATMAN_LANE_WORDS	6

/* A lane is renewed when half of its numbers are used. */
#define RATMAN_SEQ_REKEY	(RATMAN_SEQ_MASK / 2)

/**
 * struct ratman_rx_lane - replay window of one lane
 * @lock: protects the rest
 * @next: highest number seen, plus one
 * @bits: see replay.h
 *
 * A lock on the hot path, but not a shared one: a lane is a CPU of the sender,
 * whose frames stay on one receive queue and so on one CPU here. The lock's
 * cache line is the window's own and would have to be written anyway.
 */
struct ratman_rx_lane {
	spinlock_t lock;
	u64 next;
	u64 bits[RATMAN_LANE_WORDS];
} ____cacheline_aligned_in_smp;

/**
 * struct ratman_tx_lane - sequence numbers of one lane
 * @next: the next number
 *
 * With at most 16 CPUs a lane belongs to one CPU and @next is read and set
 * plainly with bottom halves disabled; with more it is incremented atomically.
 */
struct ratman_tx_lane {
	atomic_t next;
} ____cacheline_aligned_in_smp;

/* Where a neighbour key is in its life. */
enum ratman_key_mode {
	RATMAN_KEY_FRESH,	/* no frame has verified under it yet */
	RATMAN_KEY_USED,
	RATMAN_KEY_RETIRING,	/* a newer one exists */
};

/**
 * struct ratman_neigh_key - what one handshake with a neighbour agreed on
 * @rx_key: tags of frames from the neighbour
 * @tx_key: tags of frames to it
 * @neigh: the neighbour
 * @link: its link
 * @index: ours, in frames from the neighbour
 * @peer_index: the neighbour's, in frames to it
 * @lladdr: link-layer address of the neighbour
 * @mode: enum ratman_key_mode; written under ratman_neigh.lock
 * @initiator: we started the handshake, so the neighbour has the key already
 * @rekey_told: when the daemon was last told that a lane nears its end, in jiffies; 0 if it was not
 * @last_use: when a frame last verified under a retiring key, in jiffies
 * @born: when it was set, boottime in ns
 * @rcu: for freeing
 * @rx: replay windows
 * @tx: sequence numbers
 *
 * Found through ratman_dev.slots under RCU. While it is found there, or as
 * ratman_neigh.tx, @neigh and @link are valid.
 */
struct ratman_neigh_key {
	siphash_key_t rx_key;
	siphash_key_t tx_key;
	struct ratman_neigh *neigh;
	struct ratman_link *link;
	u32 index;
	__be32 peer_index;
	u8 lladdr[ETH_ALEN] __aligned(2);
	u8 mode;
	bool initiator;
	unsigned long rekey_told;
	unsigned long last_use;
	u64 born;
	struct rcu_head rcu;
	struct ratman_rx_lane rx[RATMAN_SEQ_LANES];
	struct ratman_tx_lane tx[RATMAN_SEQ_LANES];
};

/* Stamps of the last ECHO frames sent: round trips are computed from these only. */
#define RATMAN_ECHO_STAMPS	8

/**
 * struct ratman_echo_state - measuring of a neighbour, under ratman_neigh.lock
 * @count: ECHO frames sent
 * @seen_count: highest count received
 * @seen_total: ECHO frames received
 * @peer_stamp: stamp of the last one received, big endian as it came
 * @arrived_us: when that was, our clock
 * @stamps: of the last frames sent
 * @reported: the neighbour has reported since the key was set
 * @acked_count: highest count the neighbour reported to have received
 * @acked_total: how many it reported
 * @sent_sum: frames reported on, fading, in 1/1024
 * @lost_sum: lost among them
 * @acked: when @acked_count last grew, in jiffies
 * @unacked_from: @count when @acked_count last grew
 * @peer_interval_ms: what the neighbour announced
 * @sent: when the last one was sent, in jiffies
 */
struct ratman_echo_state {
	u32 count;
	u32 seen_count;
	u32 seen_total;
	__be64 peer_stamp;
	u64 arrived_us;
	u64 stamps[RATMAN_ECHO_STAMPS];
	bool reported;
	u32 acked_count;
	u32 acked_total;
	u64 sent_sum;
	u64 lost_sum;
	unsigned long acked;
	u32 unacked_from;
	u32 peer_interval_ms;
	unsigned long sent;
};

/**
 * struct ratman_neigh - a router one hop away over a link
 * @tx: key to send with; NULL once removed
 * @state: enum ratman_neigh_state; written under @lock
 * @stats: frames and bytes
 * @rdev: mesh device
 * @link: its link; valid until removed, and for RCU readers a grace period longer
 * @last_rx: when a frame last verified, in jiffies
 * @last_tx: when DATA was last sent to it
 * @last_data: when DATA last went either way
 * @lock: protects the state, the keys below and the measurements
 * @timer: liveness and ECHO
 * @cur: newest key; changed under @lock and ratman_dev.lock
 * @prev: the one before, or NULL
 * @fresh: it was never alive
 * @one_way: it died because it does not hear us
 * @busy_since: when traffic began, in jiffies
 * @echo: see there
 * @rtt_us: smoothed round trip, 0 when unknown
 * @loss: share of frames lost towards it lately, of 65535
 * @control_limit: CONTROL frames handed to the daemon
 * @handshake_limit: HANDSHAKE frames handed to the daemon
 * @router: its router address
 * @boot_id: as heard by the daemon, zero when unknown
 * @list: in ratman_dev.neighs
 * @ref: one for the table, one for every route that names it
 * @rcu: for freeing
 */
struct ratman_neigh {
	struct ratman_neigh_key __rcu *tx;
	u8 state;
	struct pcpu_sw_netstats __percpu *stats;
	struct ratman_dev *rdev;
	struct ratman_link *link;

	/* Written by traffic, once per jiffy at most. */
	unsigned long last_rx ____cacheline_aligned_in_smp;
	unsigned long last_tx;
	unsigned long last_data;

	spinlock_t lock ____cacheline_aligned_in_smp;
	struct timer_list timer;
	struct ratman_neigh_key __rcu *cur;
	struct ratman_neigh_key __rcu *prev;
	bool fresh;
	bool one_way;
	unsigned long busy_since;
	struct ratman_echo_state echo;
	u32 rtt_us;
	u32 loss;
	struct ratman_limit control_limit;
	struct ratman_limit handshake_limit;

	u8 router[RATMAN_ADDR_LEN];
	u8 boot_id[8];
	struct list_head list;
	struct kref ref;
	struct rcu_head rcu;
};

/**
 * struct ratman_neigh_config - a checked NEIGH_SET
 * @ifindex: link
 * @router: router address, 32 bytes
 * @boot_id: 8 bytes or NULL
 * @lladdr: link-layer address
 * @index: ours
 * @peer_index: the neighbour's
 * @rx_key: 16 bytes
 * @tx_key: 16 bytes
 * @initiator: send with the new key at once
 */
struct ratman_neigh_config {
	int ifindex;
	const u8 *router;
	const u8 *boot_id;
	const u8 *lladdr;
	u32 index;
	u32 peer_index;
	const u8 *rx_key;
	const u8 *tx_key;
	bool initiator;
};

/* The bytes under the tag of a DATA frame. */
union ratman_data_tagged {
	u64 words[7];
	struct {
		u8 hop[RATMAN_TAGGED_HDR];
		u8 data[sizeof(struct ratman_data_hdr)];
	};
};

static_assert(sizeof(union ratman_data_tagged) ==
	      RATMAN_TAGGED_HDR + sizeof(struct ratman_data_hdr));

void ratman_neigh_kick(struct ratman_neigh *neigh);

/* The neighbour a frame claims to come from; under RCU. */
static inline struct ratman_neigh_key *ratman_neigh_key_get(const struct ratman_dev *rdev,
							    u32 index)
{
	struct ratman_neigh_key *key;

	key = rcu_dereference(rdev->slots[index & (RATMAN_NEIGH_SLOTS - 1)]);
	if (unlikely(!key || key->index != index))
		return NULL;
	return key;
}

/* What to send with, NULL when the neighbour or its link cannot take frames; under RCU. */
static inline struct ratman_neigh_key *ratman_neigh_tx_key(struct ratman_neigh *neigh)
{
	struct ratman_neigh_key *key;

	if (READ_ONCE(neigh->state) != RATMAN_NEIGH_ALIVE)
		return NULL;
	key = rcu_dereference(neigh->tx);
	if (unlikely(!key))
		return NULL;
	/* Carrier loss counts at once: the notifier may come a second later. */
	if (unlikely(!ratman_link_ready(key->link))) {
		ratman_neigh_kick(neigh);
		return NULL;
	}
	return key;
}

struct ratman_neigh *ratman_neigh_find(struct ratman_dev *rdev, const struct ratman_link *link,
				       const u8 *router);
struct ratman_neigh *ratman_neigh_find_index(struct ratman_dev *rdev, u32 index);
int ratman_neigh_set(struct ratman_dev *rdev, const struct ratman_neigh_config *config,
		     struct netlink_ext_ack *extack);
void ratman_neigh_remove(struct ratman_neigh *neigh);
void ratman_neighs_remove_link(struct ratman_dev *rdev, const struct ratman_link *link);
void ratman_neighs_sweep(struct ratman_dev *rdev);
void ratman_neigh_put(struct ratman_neigh *neigh);
static inline void ratman_neigh_get(struct ratman_neigh *neigh)
{
	kref_get(&neigh->ref);
}

bool ratman_neigh_tag(const struct sk_buff *skb, const siphash_key_t *key, u64 *tag);
void ratman_neigh_accept_slow(struct ratman_neigh_key *key);
void ratman_neigh_xmit_data(struct ratman_neigh_key *key, struct sk_buff *skb,
			    union ratman_data_tagged *tagged);
void ratman_neigh_xmit_opaque(struct ratman_neigh_key *key, struct sk_buff *skb);

/* neigh_live.c */
void ratman_neigh_live_init(struct ratman_neigh *neigh);
void ratman_neigh_live_start(struct ratman_neigh *neigh, bool fresh);
void ratman_neigh_live_reset(struct ratman_neigh *neigh);
bool ratman_neigh_set_state(struct ratman_neigh *neigh, enum ratman_neigh_state state);
void ratman_neigh_heard(struct ratman_neigh *neigh);
void ratman_neigh_echo(struct ratman_neigh *neigh);
void ratman_neigh_echo_rcv(struct ratman_neigh *neigh, const struct ratman_echo *echo);
void ratman_neighs_link_changed(struct ratman_dev *rdev, const struct ratman_link *link, bool up);
u32 ratman_neigh_silent_ms(const struct ratman_neigh *neigh);

/* Traffic makes liveness stricter; its beginning must be noticed at once. */
static inline void ratman_neigh_busy(struct ratman_neigh *neigh)
{
	unsigned long last = READ_ONCE(neigh->last_data), now = jiffies;

	if (last == now)
		return;
	WRITE_ONCE(neigh->last_data, now);
	if (time_after(now, last + HZ))
		ratman_neigh_kick(neigh);
}

/**
 * ratman_neigh_accept - a frame's tag is right: count it, unless it is a replay
 * @key: under which it verified
 * @seq: its sequence number
 * @len: its length
 *
 * Return: false for a replay.
 */
static inline bool ratman_neigh_accept(struct ratman_neigh_key *key, u32 seq, unsigned int len)
{
	struct ratman_rx_lane *lane = &key->rx[ratman_seq_lane(seq)];
	struct ratman_neigh *neigh = key->neigh;
	unsigned long now = jiffies;
	bool fresh;

	spin_lock(&lane->lock);
	fresh = ratman_replay_accept(&lane->next, lane->bits, RATMAN_LANE_WORDS,
				     seq & RATMAN_SEQ_MASK);
	spin_unlock(&lane->lock);
	if (unlikely(!fresh))
		return false;

	ratman_traffic_rx(neigh->stats, len);
	if (READ_ONCE(neigh->last_rx) != now)
		WRITE_ONCE(neigh->last_rx, now);
	if (unlikely(READ_ONCE(key->mode) != RATMAN_KEY_USED ||
		     READ_ONCE(neigh->state) != RATMAN_NEIGH_ALIVE))
		ratman_neigh_accept_slow(key);
	return true;
}

#endif
