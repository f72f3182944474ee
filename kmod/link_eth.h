/* SPDX-License-Identifier: GPL-2.0-only */
/* Ethernet as a link: which interfaces will do, and the header in front of a frame. */
#ifndef RATMAN_LINK_ETH_H
#define RATMAN_LINK_ETH_H

#include "link.h"

int ratman_eth_check(const struct net_device *dev, struct netlink_ext_ack *extack);
void ratman_eth_listen(struct ratman_link *link);
void ratman_eth_unlisten(struct ratman_link *link);

/*
 * Put the Ethernet header in front of a frame and send it. Consumes @skb.
 * There must be headroom for it, and the header part must be writable.
 */
static inline void ratman_eth_xmit(struct ratman_link *link, const u8 *lladdr, struct sk_buff *skb)
{
	struct ethhdr *eth;
	int ret;

	skb_reset_network_header(skb);
	eth = __skb_push(skb, ETH_HLEN);
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
	ether_addr_copy(eth->h_dest, lladdr);
	ether_addr_copy(eth->h_source, link->dev->dev_addr);
	eth->h_proto = ratman_ethertype;

	skb->protocol = ratman_ethertype;
	skb->dev = link->dev;
	/* The macro evaluates its argument twice. */
	ret = dev_queue_xmit(skb);
	if (unlikely(net_xmit_eval(ret)))
		ratman_count(link->rdev, RATMAN_STAT_tx_queue);
}

#endif
