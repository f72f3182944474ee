// SPDX-License-Identifier: GPL-2.0-only
/* Requests about the mesh device, its links and counters. */
#include "nl.h"

#define RATMAN_HELLO_MS_MIN	100
#define RATMAN_HELLO_MS_MAX	60000

static int ratman_nl_dev_fill(struct sk_buff *skb, struct ratman_dev *rdev)
{
	const struct ratman_ident *ident;
	struct nlattr *nest;

	ident = rcu_dereference_protected(rdev->ident, lockdep_is_held(&rdev->lock));
	nest = nla_nest_start(skb, RATMAN_A_DEV);
	if (!nest ||
	    nla_put_string(skb, RATMAN_A_DEV_NAME, rdev->dev->name) ||
	    (ident && (nla_put(skb, RATMAN_A_DEV_ROUTER, sizeof(ident->router), ident->router) ||
		       nla_put(skb, RATMAN_A_DEV_BOOT_ID, sizeof(ident->boot_id),
			       ident->boot_id))) ||
	    (READ_ONCE(rdev->portid) && nla_put_flag(skb, RATMAN_A_DEV_CLAIM)) ||
	    nla_put_u32(skb, RATMAN_A_DEV_HELLO_MS, rdev->hello_ms) ||
	    nla_put_u32(skb, RATMAN_A_DEV_NEIGHS, rdev->neigh_count) ||
	    nla_put_u32(skb, RATMAN_A_DEV_ROUTES, rdev->routes) ||
	    nla_put_u32(skb, RATMAN_A_DEV_ADDRS, rdev->addrs) ||
	    nla_put_u32(skb, RATMAN_A_DEV_SESSIONS, READ_ONCE(rdev->session_count)) ||
	    nla_put_u32(skb, RATMAN_A_DEV_ROUTES_MAX, rdev->routes_max))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * ratman_nl_dev_get - answer DEV_GET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_dev_get(struct sk_buff *skb, struct genl_info *info)
{
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct sk_buff *msg = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return ratman_nl_refuse(info->extack, -ENOMEM);
	hdr = ratman_nl_put(msg, rdev, info->snd_portid, info->snd_seq, 0, RATMAN_CMD_DEV_GET);
	if (!hdr || ratman_nl_dev_fill(msg, rdev)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	return ratman_nl_reply(msg, hdr, info);
}

/* The first mesh device of a namespace whose number is at least @ifindex, with a reference. */
static struct net_device *ratman_nl_dev_next(struct net *net, unsigned long ifindex)
{
	struct net_device *dev, *best = NULL;

	rcu_read_lock();
	for_each_netdev_rcu(net, dev)
		if (ratman_is_mesh(dev) && dev->ifindex >= ifindex &&
		    (!best || dev->ifindex < best->ifindex))
			best = dev;
	dev_hold(best);
	rcu_read_unlock();
	return best;
}

/**
 * ratman_nl_dev_dump - all mesh devices of a namespace, or one
 * @skb: the answer
 * @cb: the dump
 *
 * Return: bytes, 0 at the end, or a negative errno.
 */
int ratman_nl_dev_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ratman_nl_cursor *cursor = ratman_nl_cursor(cb);
	struct net_device *dev;
	void *hdr;

	while ((dev = ratman_nl_dev_next(sock_net(skb->sk), cursor->next))) {
		struct ratman_dev *rdev = netdev_priv(dev);
		bool full = false;

		mutex_lock(&rdev->lock);
		if (!rdev->dying) {
			hdr = ratman_nl_put_dump(skb, cb, rdev, RATMAN_CMD_DEV_GET);
			full = !hdr || ratman_nl_dev_fill(skb, rdev);
			if (full)
				genlmsg_cancel(skb, hdr);
			else
				genlmsg_end(skb, hdr);
		}
		mutex_unlock(&rdev->lock);
		if (!full)
			cursor->next = dev->ifindex + 1;
		dev_put(dev);
		if (full)
			break;
	}
	return skb->len;
}

static int ratman_nl_dev_check(struct ratman_dev *rdev, struct nlattr **tb, u32 portid,
			       struct netlink_ext_ack *extack)
{
	u32 ms;

	if (!tb[RATMAN_A_DEV_ROUTER] != !tb[RATMAN_A_DEV_BOOT_ID]) {
		NL_SET_ERR_MSG(extack, "Router address and boot id go together");
		return -EINVAL;
	}
	if (tb[RATMAN_A_DEV_HELLO_MS]) {
		ms = nla_get_u32(tb[RATMAN_A_DEV_HELLO_MS]);
		if (ms < RATMAN_HELLO_MS_MIN || ms > RATMAN_HELLO_MS_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, tb[RATMAN_A_DEV_HELLO_MS],
					    "The HELLO interval is 100 to 60000 ms");
			return -ERANGE;
		}
	}
	if (tb[RATMAN_A_DEV_CLAIM] && rdev->portid && rdev->portid != portid) {
		NL_SET_ERR_MSG(extack,
			       "Another daemon has claimed this mesh device: stop it first (is ratmand running twice?)");
		return -EBUSY;
	}
	return 0;
}

/**
 * ratman_nl_dev_set - answer DEV_SET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_dev_set(struct sk_buff *skb, struct genl_info *info)
{
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct ratman_ident *ident, *old = NULL;
	struct nlattr *tb[RATMAN_A_DEV_MAX + 1];
	bool hello = false;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_DEV, RATMAN_A_DEV_MAX, tb, ratman_nl_dev_policy);
	if (err)
		return err;
	err = ratman_nl_dev_check(rdev, tb, info->snd_portid, info->extack);
	if (err)
		return err;

	if (tb[RATMAN_A_DEV_ROUTER]) {
		ident = kzalloc(sizeof(*ident), GFP_KERNEL);
		if (!ident)
			return ratman_nl_refuse(info->extack, -ENOMEM);
		nla_memcpy(ident->router, tb[RATMAN_A_DEV_ROUTER], sizeof(ident->router));
		nla_memcpy(ident->boot_id, tb[RATMAN_A_DEV_BOOT_ID], sizeof(ident->boot_id));
		old = rcu_replace_pointer(rdev->ident, ident, lockdep_is_held(&rdev->lock));
		if (old)
			kfree_rcu(old, rcu);
		hello = true;
	}
	if (tb[RATMAN_A_DEV_HELLO_MS]) {
		WRITE_ONCE(rdev->hello_ms, nla_get_u32(tb[RATMAN_A_DEV_HELLO_MS]));
		hello = true;
	}
	if (tb[RATMAN_A_DEV_ROUTES_MAX])
		rdev->routes_max = nla_get_u32(tb[RATMAN_A_DEV_ROUTES_MAX]);
	if (tb[RATMAN_A_DEV_CLAIM])
		WRITE_ONCE(rdev->portid, info->snd_portid);
	if (hello)
		ratman_links_hello(rdev);
	return 0;
}

/**
 * ratman_nl_link_fill - describe a link
 * @skb: where
 * @link: the link
 * @state: its state, as far as the message is concerned
 *
 * Return: 0 or -EMSGSIZE.
 */
int ratman_nl_link_fill(struct sk_buff *skb, struct ratman_link *link, enum ratman_link_state state)
{
	struct rtnl_link_stats64 stats = {};
	const struct ratman_neigh *neigh;
	struct nlattr *nest;
	u32 neighs = 0;

	lockdep_assert_held(&link->rdev->lock);
	list_for_each_entry(neigh, &link->rdev->neighs, list)
		neighs += neigh->link == link;
	dev_fetch_sw_netstats(&stats, link->stats);

	nest = nla_nest_start(skb, RATMAN_A_LINK);
	if (!nest ||
	    nla_put_u32(skb, RATMAN_A_LINK_IFINDEX, link->dev->ifindex) ||
	    nla_put_string(skb, RATMAN_A_LINK_NAME, link->dev->name) ||
	    nla_put_u32(skb, RATMAN_A_LINK_MTU, ratman_link_mtu(link)) ||
	    nla_put_u32(skb, RATMAN_A_LINK_STATE, state) ||
	    nla_put_u32(skb, RATMAN_A_LINK_NEIGHS, neighs) ||
	    nla_put_u64_64bit(skb, RATMAN_A_LINK_RX_FRAMES, stats.rx_packets, RATMAN_A_LINK_PAD) ||
	    nla_put_u64_64bit(skb, RATMAN_A_LINK_TX_FRAMES, stats.tx_packets, RATMAN_A_LINK_PAD) ||
	    nla_put_u64_64bit(skb, RATMAN_A_LINK_RX_BYTES, stats.rx_bytes, RATMAN_A_LINK_PAD) ||
	    nla_put_u64_64bit(skb, RATMAN_A_LINK_TX_BYTES, stats.tx_bytes, RATMAN_A_LINK_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * ratman_nl_link_dump - all links of a mesh device
 * @skb: the answer
 * @cb: the dump
 *
 * Return: bytes, 0 at the end, or a negative errno.
 */
int ratman_nl_link_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ratman_nl_cursor *cursor = ratman_nl_cursor(cb);
	struct ratman_dev *rdev = ratman_nl_dump_begin(skb, cb);
	struct ratman_link *link;
	unsigned long n = 0;
	void *hdr;

	if (IS_ERR(rdev))
		return PTR_ERR(rdev);
	list_for_each_entry(link, &rdev->links, list) {
		if (n++ < cursor->next)
			continue;
		hdr = ratman_nl_put_dump(skb, cb, rdev, RATMAN_CMD_LINK_GET);
		if (!hdr || ratman_nl_link_fill(skb, link, link->up ? RATMAN_LINK_UP :
								      RATMAN_LINK_DOWN)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cursor->next = n;
	}
	ratman_nl_dump_end(rdev);
	return skb->len;
}

/**
 * ratman_nl_stats_get - answer STATS_GET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_stats_get(struct sk_buff *skb, struct genl_info *info)
{
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct sk_buff *msg;
	struct nlattr *nest;
	unsigned int i;
	void *hdr;

	/* A nest, a name of 31 bytes at most, padding and a value for each. */
	msg = genlmsg_new(nla_total_size(4) + RATMAN_STAT_COUNT *
			  nla_total_size(nla_total_size(32) + nla_total_size_64bit(8)), GFP_KERNEL);
	if (!msg)
		return ratman_nl_refuse(info->extack, -ENOMEM);
	hdr = ratman_nl_put(msg, rdev, info->snd_portid, info->snd_seq, 0, RATMAN_CMD_STATS_GET);
	if (!hdr)
		goto err_size;
	for (i = 0; i < RATMAN_STAT_COUNT; i++) {
		nest = nla_nest_start(msg, RATMAN_A_STAT);
		if (!nest ||
		    nla_put_string(msg, RATMAN_A_STAT_NAME, ratman_stat_name(i)) ||
		    nla_put_u64_64bit(msg, RATMAN_A_STAT_VALUE, ratman_stat_read(rdev, i),
				      RATMAN_A_STAT_PAD))
			goto err_size;
		nla_nest_end(msg, nest);
	}
	return ratman_nl_reply(msg, hdr, info);

err_size:
	nlmsg_free(msg);
	return -EMSGSIZE;
}
