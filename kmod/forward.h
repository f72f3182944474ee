/* SPDX-License-Identifier: GPL-2.0-only */
/* Receive, check, deliver or forward. */
#ifndef RATMAN_FORWARD_H
#define RATMAN_FORWARD_H

#include <linux/netdevice.h>

int ratman_rcv(struct sk_buff *skb, struct net_device *dev, struct packet_type *pt,
	       struct net_device *orig_dev);

#endif
