// SPDX-License-Identifier: GPL-2.0-only
/* Ethernet as a link. */
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>

#include "forward.h"
#include "link_eth.h"

/**
 * ratman_eth_check - can an interface become a link
 * @dev: the interface
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_eth_check(const struct net_device *dev, struct netlink_ext_ack *extack)
{
	if (ratman_is_mesh(dev)) {
		NL_SET_ERR_MSG(extack, "A mesh device cannot be a link of another one");
		return -ELOOP;
	}
	if (dev->flags & IFF_LOOPBACK || dev->type != ARPHRD_ETHER || dev->addr_len != ETH_ALEN) {
		NL_SET_ERR_MSG(extack, "Only Ethernet interfaces can be links");
		return -EINVAL;
	}
	/* Its owner would take our frames away before we see them. */
	if (netdev_is_rx_handler_busy((struct net_device *)dev)) {
		NL_SET_ERR_MSG(extack,
			       "The interface belongs to a bridge, bond or the like: attach that one instead");
		return -EBUSY;
	}
	if (dev->mtu < RATMAN_LINK_MTU_MIN) {
		NL_SET_ERR_MSG(extack, "The MTU of a link must be at least 1360");
		return -EINVAL;
	}
	return 0;
}

/**
 * ratman_eth_listen - start to receive
 * @link: the link
 */
void ratman_eth_listen(struct ratman_link *link)
{
	link->pt.type = ratman_ethertype;
	link->pt.dev = link->dev;
	link->pt.func = ratman_rcv;
	dev_add_pack(&link->pt);
}

/**
 * ratman_eth_unlisten - stop to receive
 * @link: the link
 *
 * Frames may still be on their way through ratman_rcv() until an RCU grace
 * period has passed.
 */
void ratman_eth_unlisten(struct ratman_link *link)
{
	__dev_remove_pack(&link->pt);
}
