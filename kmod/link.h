/* SPDX-License-Identifier: GPL-2.0-only */
/* Links: the interfaces that carry our frames, and HELLO on them. */
#ifndef RATMAN_LINK_H
#define RATMAN_LINK_H

#include <linux/etherdevice.h>
#include <linux/netdevice.h>
#include <linux/timer.h>

#include "dev.h"

/* Who was heard on a link, so that the daemon is told at most once a second each. */
#define RATMAN_CANDIDATES	64
#define RATMAN_CANDIDATE_GAP	HZ
#define RATMAN_KNOWN_GAP	(30 * HZ)

/* The smallest MTU that carries a 1280-byte IPv6 packet. */
#define RATMAN_LINK_MTU_MIN	(1280 + RATMAN_DATA_OVERHEAD)

/**
 * struct ratman_candidate - a sender of HELLO on a link
 * @used: the entry counts
 * @lladdr: its link-layer address
 * @told: when the daemon was last told of it
 * @heard: when it was last heard; the longest silent entry makes room for a new one
 */
struct ratman_candidate {
	bool used;
	u8 lladdr[ETH_ALEN];
	unsigned long told;
	unsigned long heard;
};

/**
 * struct ratman_link - an attached interface
 * @pt: our receive hook; the link is found from it by container_of()
 * @rdev: mesh device
 * @dev: the interface; it cannot go away while RCU readers know the link
 * @stats: frames and bytes
 * @list: in ratman_dev.links
 * @listening: @pt is registered; protected by ratman_dev.lock
 * @up: what was last announced; protected by ratman_dev.lock
 * @hello_timer: sends HELLO
 * @hello_burst: HELLOs still to be sent in quick succession
 * @hello_sent: when the last one was sent, in jiffies
 * @candidates_lock: protects @candidates
 * @candidates: who was heard
 * @hello_limit: candidates told to the daemon
 * @link_limit: LINK frames handed to the daemon
 * @rcu: for freeing
 */
struct ratman_link {
	struct packet_type pt;
	struct ratman_dev *rdev;
	struct net_device *dev;
	struct pcpu_sw_netstats __percpu *stats;

	struct list_head list;
	bool listening;
	bool up;
	struct timer_list hello_timer;
	unsigned int hello_burst;
	unsigned long hello_sent;
	spinlock_t candidates_lock;
	struct ratman_candidate candidates[RATMAN_CANDIDATES];
	struct ratman_limit hello_limit;
	struct ratman_limit link_limit;
	struct rcu_head rcu;
};

/* The interface can carry frames now, whatever was announced so far. */
static inline bool ratman_link_ready(const struct ratman_link *link)
{
	return netif_running(link->dev) && netif_carrier_ok(link->dev);
}

static inline unsigned int ratman_link_mtu(const struct ratman_link *link)
{
	return READ_ONCE(link->dev->mtu);
}

int ratman_link_add(struct ratman_dev *rdev, struct net_device *dev,
		    struct netlink_ext_ack *extack);
int ratman_link_del(struct ratman_dev *rdev, struct net_device *dev);
void ratman_link_del_all(struct ratman_dev *rdev);
struct ratman_link *ratman_link_find(struct ratman_dev *rdev, int ifindex);

void ratman_links_open(struct ratman_dev *rdev);
void ratman_links_stop(struct ratman_dev *rdev);
void ratman_links_hello(struct ratman_dev *rdev);

struct sk_buff *ratman_link_alloc(const struct ratman_link *link, enum ratman_frame_type type,
				  unsigned int len, gfp_t gfp);
void ratman_link_xmit(struct ratman_link *link, const u8 *lladdr, struct sk_buff *skb);
void ratman_hello_rcv(struct ratman_link *link, struct sk_buff *skb);

int ratman_link_register(void);
void ratman_link_unregister(void);

#endif
