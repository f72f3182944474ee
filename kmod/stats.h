/* SPDX-License-Identifier: GPL-2.0-only */
/* Named counters, per CPU: one for every reason to drop, and what went well. */
#ifndef RATMAN_STATS_H
#define RATMAN_STATS_H

#include <linux/rtnetlink.h>
#include <linux/skbuff.h>
#include <linux/u64_stats_sync.h>

struct ratman_dev;

/*
 * RATMAN_STAT(name, class, reason): the class says where "ip -s link" adds it
 * up (what happens to other people's frames is not an error of ratman0), the
 * reason is the kernel's own word for it.
 */
#define RATMAN_STATS(RATMAN_STAT)						\
	/* frames that arrive on a link */					\
	RATMAN_STAT(rx_nomem,			NONE,	NOMEM)			\
	RATMAN_STAT(rx_gso,			NONE,	DEV_HDR)		\
	RATMAN_STAT(rx_other_host,		NONE,	OTHERHOST)		\
	RATMAN_STAT(rx_bad_dest,		NONE,	OTHERHOST)		\
	RATMAN_STAT(rx_short,			NONE,	HDR_TRUNC)		\
	RATMAN_STAT(rx_version,			NONE,	DEV_HDR)		\
	RATMAN_STAT(rx_type,			NONE,	UNHANDLED_PROTO)	\
	RATMAN_STAT(rx_length,			NONE,	DEV_HDR)		\
	RATMAN_STAT(rx_neigh_unknown,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_neigh_wrong_link,	NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_bad_tag,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_replay,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_no_route,		NONE,	IP_INNOROUTES)		\
	RATMAN_STAT(rx_no_hop,			NONE,	NEIGH_DEAD)		\
	RATMAN_STAT(rx_split_horizon,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_hop_limit,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_hello,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_hello_own,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_hello_known,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_link,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_echo,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_control,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_handshake,		NONE,	NOT_SPECIFIED)		\
	/* frames passed on */							\
	RATMAN_STAT(fwd_frames,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(fwd_handshake,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(fwd_too_big,		NONE,	PKT_TOO_BIG)		\
	RATMAN_STAT(fwd_nomem,			NONE,	NOMEM)			\
	/* frames for an address of ours */					\
	RATMAN_STAT(rx_packets,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_keepalive,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_session_unknown,		RX_ERR,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_session_expired,		RX_ERR,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_session_replay,		RX_ERR,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_decrypt,			RX_ERR,	NOT_SPECIFIED)		\
	RATMAN_STAT(rx_inner_version,		RX_ERR,	IP_INHDR)		\
	RATMAN_STAT(rx_inner_length,		RX_ERR,	IP_INHDR)		\
	RATMAN_STAT(rx_inner_source,		RX_ERR,	IP_INADDRERRORS)	\
	RATMAN_STAT(rx_inner_dest,		RX_ERR,	IP_INADDRERRORS)	\
	RATMAN_STAT(rx_policy,			RX_DROP, NOT_SPECIFIED)		\
	/* packets of local programs */						\
	RATMAN_STAT(tx_packets,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_keepalive,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_staged,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_not_ipv6,		TX_ERR,	INVALID_PROTO)		\
	RATMAN_STAT(tx_multicast,		TX_DROP, NOT_SPECIFIED)		\
	RATMAN_STAT(tx_no_source,		TX_ERR,	IP_INADDRERRORS)	\
	RATMAN_STAT(tx_no_route,		TX_ERR,	IP_OUTNOROUTES)		\
	RATMAN_STAT(tx_no_neigh,		TX_ERR,	NEIGH_DEAD)		\
	RATMAN_STAT(tx_too_big,			TX_ERR,	PKT_TOO_BIG)		\
	RATMAN_STAT(tx_gso,			TX_ERR,	SKB_GSO_SEG)		\
	RATMAN_STAT(tx_checksum,		TX_ERR,	SKB_CSUM)		\
	RATMAN_STAT(tx_nomem,			TX_DROP, NOMEM)			\
	RATMAN_STAT(tx_sessions_full,		TX_DROP, FULL_RING)		\
	RATMAN_STAT(tx_staged_full,		TX_DROP, FULL_RING)		\
	RATMAN_STAT(tx_staged_expired,		TX_DROP, NOT_SPECIFIED)		\
	RATMAN_STAT(tx_staged_purged,		TX_DROP, NOT_SPECIFIED)		\
	RATMAN_STAT(tx_key_exhausted,		TX_DROP, NOT_SPECIFIED)		\
	/* any frame we send */							\
	RATMAN_STAT(tx_hello,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_echo,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_link,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_control,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_handshake,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_lane_exhausted,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(tx_queue,			NONE,	QDISC_DROP)		\
	/* to the daemon */							\
	RATMAN_STAT(punt_frames,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(punt_no_daemon,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(punt_rate_hello,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(punt_rate_link,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(punt_rate_control,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(punt_rate_handshake,	NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(punt_nomem,			NONE,	NOMEM)			\
	RATMAN_STAT(punt_overrun,		NONE,	SOCKET_RCVBUFF)		\
	RATMAN_STAT(event_lost,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(want_rate,			NONE,	NOT_SPECIFIED)		\
	/* tables */								\
	RATMAN_STAT(neigh_back,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(neigh_dead,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(route_full,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(route_expired,		NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(addr_full,			NONE,	NOT_SPECIFIED)		\
	RATMAN_STAT(session_idle,		NONE,	NOT_SPECIFIED)

#define RATMAN_STAT_ENUM(name, class, reason) RATMAN_STAT_##name,
enum ratman_stat {
	RATMAN_STATS(RATMAN_STAT_ENUM)
	RATMAN_STAT_COUNT
};
#undef RATMAN_STAT_ENUM

/**
 * struct ratman_stats - the counters of one CPU
 * @value: by enum ratman_stat
 * @syncp: makes 64-bit reads whole on 32-bit machines
 */
struct ratman_stats {
	u64_stats_t value[RATMAN_STAT_COUNT];
	struct u64_stats_sync syncp;
};

/* Warning: with bottom halves disabled only (as everything that handles frames is). */
static inline void ratman_stats_add(struct ratman_stats __percpu *stats, enum ratman_stat stat,
				    unsigned int n)
{
	struct ratman_stats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->syncp);
	u64_stats_add(&s->value[stat], n);
	u64_stats_update_end(&s->syncp);
}

/* As dev_sw_netstats_rx_add() and _tx_add(), for links and neighbours. */
static inline void ratman_traffic_rx(struct pcpu_sw_netstats __percpu *stats, unsigned int len)
{
	struct pcpu_sw_netstats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->syncp);
	u64_stats_add(&s->rx_bytes, len);
	u64_stats_inc(&s->rx_packets);
	u64_stats_update_end(&s->syncp);
}

static inline void ratman_traffic_tx(struct pcpu_sw_netstats __percpu *stats, unsigned int len)
{
	struct pcpu_sw_netstats *s = this_cpu_ptr(stats);

	u64_stats_update_begin(&s->syncp);
	u64_stats_add(&s->tx_bytes, len);
	u64_stats_inc(&s->tx_packets);
	u64_stats_update_end(&s->syncp);
}

void ratman_count(struct ratman_dev *rdev, enum ratman_stat stat);
void ratman_count_add(struct ratman_dev *rdev, enum ratman_stat stat, unsigned int n);
void ratman_count_process(struct ratman_dev *rdev, enum ratman_stat stat);
void ratman_drop(struct ratman_dev *rdev, struct sk_buff *skb, enum ratman_stat stat);
void ratman_drop_list(struct ratman_dev *rdev, struct sk_buff *list, enum ratman_stat stat);

struct ratman_stats __percpu *ratman_stats_alloc(void);
const char *ratman_stat_name(enum ratman_stat stat);
u64 ratman_stat_read(const struct ratman_dev *rdev, enum ratman_stat stat);
void ratman_stats_link64(const struct ratman_dev *rdev, struct rtnl_link_stats64 *s);

#endif
