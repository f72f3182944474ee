// SPDX-License-Identifier: GPL-2.0-only
/* Requests about neighbours, and frames that the daemon sends to them. */
#include "nl.h"

/* Keys do not stay behind in the request, whatever became of it. */
static void ratman_nl_wipe(struct nlattr *attr)
{
	if (attr)
		memzero_explicit(nla_data(attr), nla_len(attr));
}

/**
 * ratman_nl_neigh_set - answer NEIGH_SET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_neigh_set(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = {
		RATMAN_A_NEIGH_LINK, RATMAN_A_NEIGH_LLADDR, RATMAN_A_NEIGH_ROUTER,
		RATMAN_A_NEIGH_INDEX, RATMAN_A_NEIGH_PEER_INDEX, RATMAN_A_NEIGH_RX_KEY,
		RATMAN_A_NEIGH_TX_KEY,
	};
	struct nlattr *tb[RATMAN_A_NEIGH_MAX + 1];
	struct ratman_neigh_config config;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_NEIGH, RATMAN_A_NEIGH_MAX, tb,
			     ratman_nl_neigh_set_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_NEIGH, tb, need, ARRAY_SIZE(need))) {
		err = -EINVAL;
		goto out;
	}
	config = (struct ratman_neigh_config) {
		.ifindex = nla_get_u32(tb[RATMAN_A_NEIGH_LINK]),
		.router = nla_data(tb[RATMAN_A_NEIGH_ROUTER]),
		.boot_id = tb[RATMAN_A_NEIGH_BOOT_ID] ? nla_data(tb[RATMAN_A_NEIGH_BOOT_ID]) : NULL,
		.lladdr = nla_data(tb[RATMAN_A_NEIGH_LLADDR]),
		.index = nla_get_u32(tb[RATMAN_A_NEIGH_INDEX]),
		.peer_index = nla_get_u32(tb[RATMAN_A_NEIGH_PEER_INDEX]),
		.rx_key = nla_data(tb[RATMAN_A_NEIGH_RX_KEY]),
		.tx_key = nla_data(tb[RATMAN_A_NEIGH_TX_KEY]),
		.initiator = nla_get_flag(tb[RATMAN_A_NEIGH_INITIATOR]),
	};
	err = ratman_neigh_set(ratman_nl_dev(info), &config, info->extack);
out:
	ratman_nl_wipe(tb[RATMAN_A_NEIGH_RX_KEY]);
	ratman_nl_wipe(tb[RATMAN_A_NEIGH_TX_KEY]);
	return ratman_nl_refuse(info->extack, err);
}

/**
 * ratman_nl_neigh_del - answer NEIGH_DEL
 * @skb: the request
 * @info: the same
 *
 * The neighbour is named by link and router address, or by index.
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_neigh_del(struct sk_buff *skb, struct genl_info *info)
{
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct nlattr *tb[RATMAN_A_NEIGH_MAX + 1];
	struct ratman_neigh *neigh = NULL;
	struct ratman_link *link;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_NEIGH, RATMAN_A_NEIGH_MAX, tb,
			     ratman_nl_neigh_del_policy);
	if (err)
		return err;
	if (tb[RATMAN_A_NEIGH_LINK] && tb[RATMAN_A_NEIGH_ROUTER]) {
		link = ratman_link_find(rdev, nla_get_u32(tb[RATMAN_A_NEIGH_LINK]));
		if (link)
			neigh = ratman_neigh_find(rdev, link, nla_data(tb[RATMAN_A_NEIGH_ROUTER]));
	} else if (tb[RATMAN_A_NEIGH_INDEX]) {
		neigh = ratman_neigh_find_index(rdev, nla_get_u32(tb[RATMAN_A_NEIGH_INDEX]));
	} else {
		NL_SET_ERR_MSG(info->extack, "Name the neighbour by link and router, or by index");
		return -EINVAL;
	}
	if (!neigh) {
		NL_SET_ERR_MSG(info->extack, "There is no such neighbour");
		return -ENOENT;
	}
	ratman_neigh_remove(neigh);
	return 0;
}

/**
 * ratman_nl_neigh_fill - describe a neighbour
 * @skb: where
 * @neigh: the neighbour
 * @rekey: it needs a new key
 *
 * Under ratman_dev.lock, ratman_neigh.lock or RCU.
 *
 * Return: 0 or -EMSGSIZE.
 */
int ratman_nl_neigh_fill(struct sk_buff *skb, const struct ratman_neigh *neigh, bool rekey)
{
	struct rtnl_link_stats64 stats = {};
	const struct ratman_neigh_key *key;
	struct nlattr *nest;
	int err = 0;

	dev_fetch_sw_netstats(&stats, neigh->stats);
	nest = nla_nest_start(skb, RATMAN_A_NEIGH);
	if (!nest ||
	    nla_put_u32(skb, RATMAN_A_NEIGH_LINK, neigh->link->dev->ifindex) ||
	    nla_put(skb, RATMAN_A_NEIGH_ROUTER, sizeof(neigh->router), neigh->router) ||
	    nla_put(skb, RATMAN_A_NEIGH_BOOT_ID, sizeof(neigh->boot_id), neigh->boot_id) ||
	    nla_put_u32(skb, RATMAN_A_NEIGH_STATE, READ_ONCE(neigh->state)) ||
	    nla_put_u32(skb, RATMAN_A_NEIGH_RTT_US, READ_ONCE(neigh->rtt_us)) ||
	    nla_put_u32(skb, RATMAN_A_NEIGH_LOSS, READ_ONCE(neigh->loss)) ||
	    nla_put_u32(skb, RATMAN_A_NEIGH_SILENT_MS, ratman_neigh_silent_ms(neigh)) ||
	    nla_put_u64_64bit(skb, RATMAN_A_NEIGH_RX_FRAMES, stats.rx_packets,
			      RATMAN_A_NEIGH_PAD) ||
	    nla_put_u64_64bit(skb, RATMAN_A_NEIGH_TX_FRAMES, stats.tx_packets,
			      RATMAN_A_NEIGH_PAD) ||
	    nla_put_u64_64bit(skb, RATMAN_A_NEIGH_RX_BYTES, stats.rx_bytes, RATMAN_A_NEIGH_PAD) ||
	    nla_put_u64_64bit(skb, RATMAN_A_NEIGH_TX_BYTES, stats.tx_bytes, RATMAN_A_NEIGH_PAD) ||
	    (rekey && nla_put_flag(skb, RATMAN_A_NEIGH_REKEY)))
		return -EMSGSIZE;

	rcu_read_lock();
	key = rcu_dereference(neigh->cur);
	if (key && (nla_put(skb, RATMAN_A_NEIGH_LLADDR, ETH_ALEN, key->lladdr) ||
		    nla_put_u32(skb, RATMAN_A_NEIGH_INDEX, key->index) ||
		    nla_put_u32(skb, RATMAN_A_NEIGH_PEER_INDEX, be32_to_cpu(key->peer_index)) ||
		    nla_put_u64_64bit(skb, RATMAN_A_NEIGH_AGE_MS,
				      div_u64(ktime_get_boottime_ns() - key->born, NSEC_PER_MSEC),
				      RATMAN_A_NEIGH_PAD)))
		err = -EMSGSIZE;
	rcu_read_unlock();
	nla_nest_end(skb, nest);
	return err;
}

/**
 * ratman_nl_neigh_dump - all neighbours of a mesh device
 * @skb: the answer
 * @cb: the dump
 *
 * Goes by slot: each neighbour once, at the slot of its current key.
 *
 * Return: bytes, 0 at the end, or a negative errno.
 */
int ratman_nl_neigh_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ratman_nl_cursor *cursor = ratman_nl_cursor(cb);
	struct ratman_dev *rdev = ratman_nl_dump_begin(skb, cb);
	const struct ratman_neigh_key *key;
	void *hdr;

	if (IS_ERR(rdev))
		return PTR_ERR(rdev);
	for (; cursor->next < RATMAN_NEIGH_SLOTS; cursor->next++) {
		key = rcu_dereference_protected(rdev->slots[cursor->next],
						lockdep_is_held(&rdev->lock));
		if (!key || rcu_access_pointer(key->neigh->cur) != key)
			continue;
		hdr = ratman_nl_put_dump(skb, cb, rdev, RATMAN_CMD_NEIGH_GET);
		if (!hdr || ratman_nl_neigh_fill(skb, key->neigh, false)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
	}
	ratman_nl_dump_end(rdev);
	return skb->len;
}

/* A frame with @head bytes and the body of the request after the hop header. */
static struct sk_buff *ratman_nl_frame_new(const struct ratman_link *link,
					   enum ratman_frame_type type, const void *head,
					   unsigned int head_len, const struct nlattr *body)
{
	struct sk_buff *frame;
	u8 *data;

	frame = ratman_link_alloc(link, type, head_len + nla_len(body), GFP_KERNEL);
	if (!frame)
		return NULL;
	data = frame->data + sizeof(struct ratman_hop_hdr);
	if (head_len)
		memcpy(data, head, head_len);
	memcpy(data + head_len, nla_data(body), nla_len(body));
	return frame;
}

static int ratman_nl_frame_fits(const struct ratman_link *link, unsigned int len,
				struct netlink_ext_ack *extack)
{
	if (!READ_ONCE(link->up)) {
		NL_SET_ERR_MSG(extack, "The link is down");
		return -ENETDOWN;
	}
	if (sizeof(struct ratman_hop_hdr) + len > ratman_link_mtu(link)) {
		NL_SET_ERR_MSG(extack, "The frame is longer than the link's MTU");
		return -EMSGSIZE;
	}
	return 0;
}

static int ratman_nl_frame_tx_link(struct ratman_dev *rdev, struct nlattr **tb,
				   struct netlink_ext_ack *extack)
{
	const struct nlattr *body = tb[RATMAN_A_FRAME_BODY];
	struct ratman_link *link;
	struct sk_buff *frame;
	int err;

	if (!tb[RATMAN_A_FRAME_LINK] || !tb[RATMAN_A_FRAME_LLADDR]) {
		NL_SET_ERR_MSG(extack,
			       "A LINK frame needs RATMAN_A_FRAME_LINK and RATMAN_A_FRAME_LLADDR");
		return -EINVAL;
	}
	link = ratman_link_find(rdev, nla_get_u32(tb[RATMAN_A_FRAME_LINK]));
	if (!link) {
		NL_SET_ERR_MSG(extack, "The link is not attached to this mesh device");
		return -ENODEV;
	}
	if (!is_valid_ether_addr(nla_data(tb[RATMAN_A_FRAME_LLADDR]))) {
		NL_SET_ERR_MSG(extack,
			       "LINK frames go to one receiver: the address must be unicast");
		return -EADDRNOTAVAIL;
	}
	err = ratman_nl_frame_fits(link, nla_len(body), extack);
	if (err)
		return err;
	frame = ratman_nl_frame_new(link, RATMAN_LINK, NULL, 0, body);
	if (!frame)
		return -ENOMEM;

	local_bh_disable();
	rcu_read_lock();
	ratman_count(rdev, RATMAN_STAT_tx_link);
	ratman_link_xmit(link, nla_data(tb[RATMAN_A_FRAME_LLADDR]), frame);
	rcu_read_unlock();
	local_bh_enable();
	return 0;
}

static int ratman_nl_frame_tx_control(struct ratman_dev *rdev, struct nlattr **tb,
				      struct netlink_ext_ack *extack)
{
	const struct nlattr *body = tb[RATMAN_A_FRAME_BODY];
	struct ratman_neigh *neigh;
	struct sk_buff *frame;
	int err;

	if (!tb[RATMAN_A_FRAME_NEIGH]) {
		NL_SET_ERR_MSG(extack, "A CONTROL frame needs RATMAN_A_FRAME_NEIGH");
		return -EINVAL;
	}
	neigh = ratman_neigh_find_index(rdev, nla_get_u32(tb[RATMAN_A_FRAME_NEIGH]));
	if (!neigh) {
		NL_SET_ERR_MSG(extack, "There is no such neighbour");
		return -ENOENT;
	}
	err = ratman_nl_frame_fits(neigh->link, nla_len(body), extack);
	if (err)
		return err;
	frame = ratman_nl_frame_new(neigh->link, RATMAN_CONTROL, NULL, 0, body);
	if (!frame)
		return -ENOMEM;

	local_bh_disable();
	rcu_read_lock();
	ratman_count(rdev, RATMAN_STAT_tx_control);
	/* Alive or not: the daemon may know better. The lock keeps the key. */
	ratman_neigh_xmit_opaque(rcu_dereference(neigh->tx), frame);
	rcu_read_unlock();
	local_bh_enable();
	return 0;
}

static int ratman_nl_frame_tx_handshake(struct ratman_dev *rdev, struct nlattr **tb,
					struct netlink_ext_ack *extack)
{
	const struct nlattr *body = tb[RATMAN_A_FRAME_BODY];
	const struct ratman_dest *dest;
	struct ratman_neigh_key *key;
	struct sk_buff *frame;
	bool back;
	int err;

	if (!tb[RATMAN_A_FRAME_DEST]) {
		NL_SET_ERR_MSG(extack, "A HANDSHAKE frame needs RATMAN_A_FRAME_DEST");
		return -EINVAL;
	}
	/* The lock keeps the route, its neighbours and their keys when RCU no longer does. */
	rcu_read_lock();
	dest = ratman_fib_lookup(rdev, nla_data(tb[RATMAN_A_FRAME_DEST]));
	key = dest && !dest->local ? ratman_dest_hop(dest, NULL, &back) : NULL;
	rcu_read_unlock();
	if (dest && dest->local) {
		NL_SET_ERR_MSG(extack, "The destination is an address of this router");
		return -EINVAL;
	}
	if (!dest) {
		NL_SET_ERR_MSG(extack, "There is no route to the destination");
		return -ENETUNREACH;
	}
	if (!key) {
		NL_SET_ERR_MSG(extack, "All next hops to the destination are dead");
		return -EHOSTUNREACH;
	}
	err = ratman_nl_frame_fits(key->link, RATMAN_ADDR_LEN + nla_len(body), extack);
	if (err)
		return err;
	frame = ratman_nl_frame_new(key->link, RATMAN_HANDSHAKE, dest->address, RATMAN_ADDR_LEN,
				    body);
	if (!frame)
		return -ENOMEM;

	local_bh_disable();
	rcu_read_lock();
	ratman_count(rdev, RATMAN_STAT_tx_handshake);
	ratman_neigh_xmit_opaque(key, frame);
	rcu_read_unlock();
	local_bh_enable();
	return 0;
}

/**
 * ratman_nl_frame_tx - answer FRAME_TX
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_frame_tx(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_FRAME_TYPE, RATMAN_A_FRAME_BODY };
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct nlattr *tb[RATMAN_A_FRAME_MAX + 1];
	int err;

	err = ratman_nl_nest(info, RATMAN_A_FRAME, RATMAN_A_FRAME_MAX, tb, ratman_nl_frame_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_FRAME, tb, need, ARRAY_SIZE(need)))
		return -EINVAL;

	switch (nla_get_u32(tb[RATMAN_A_FRAME_TYPE])) {
	case RATMAN_LINK:
		err = ratman_nl_frame_tx_link(rdev, tb, info->extack);
		break;
	case RATMAN_CONTROL:
		err = ratman_nl_frame_tx_control(rdev, tb, info->extack);
		break;
	case RATMAN_HANDSHAKE:
		err = ratman_nl_frame_tx_handshake(rdev, tb, info->extack);
		break;
	default:
		NL_SET_ERR_MSG_ATTR(info->extack, tb[RATMAN_A_FRAME_TYPE],
				    "Only LINK, CONTROL and HANDSHAKE frames come from the daemon");
		err = -EINVAL;
	}
	return ratman_nl_refuse(info->extack, err);
}
