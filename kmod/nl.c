// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family: policies, operations, and what requests share.
 *
 * A request holds a reference to its device and the device's lock from
 * pre_doit to post_doit, a dump for each part. The lock is taken inside the
 * family's own mutex, and RTNL never inside either.
 */
#include <linux/module.h>

#include "nl.h"

/* Every request names its device. */
#define RATMAN_IFINDEX_POLICY	NLA_POLICY_MIN(NLA_U32, 1)

/* Policies of the nests: each request takes what it needs and nothing else. */
const struct nla_policy ratman_nl_dev_policy[RATMAN_A_DEV_MAX + 1] = {
	[RATMAN_A_DEV_ROUTER] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_DEV_BOOT_ID] = NLA_POLICY_EXACT_LEN(8),
	[RATMAN_A_DEV_CLAIM] = { .type = NLA_FLAG },
	[RATMAN_A_DEV_HELLO_MS] = { .type = NLA_U32 },
	[RATMAN_A_DEV_ROUTES_MAX] = { .type = NLA_U32 },
};

const struct nla_policy ratman_nl_neigh_set_policy[RATMAN_A_NEIGH_MAX + 1] = {
	[RATMAN_A_NEIGH_LINK] = NLA_POLICY_MIN(NLA_U32, 1),
	[RATMAN_A_NEIGH_LLADDR] = NLA_POLICY_EXACT_LEN(ETH_ALEN),
	[RATMAN_A_NEIGH_ROUTER] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_NEIGH_INDEX] = { .type = NLA_U32 },
	[RATMAN_A_NEIGH_PEER_INDEX] = { .type = NLA_U32 },
	[RATMAN_A_NEIGH_RX_KEY] = NLA_POLICY_EXACT_LEN(RATMAN_SIPHASH_KEY_LEN),
	[RATMAN_A_NEIGH_TX_KEY] = NLA_POLICY_EXACT_LEN(RATMAN_SIPHASH_KEY_LEN),
	[RATMAN_A_NEIGH_INITIATOR] = { .type = NLA_FLAG },
	[RATMAN_A_NEIGH_BOOT_ID] = NLA_POLICY_EXACT_LEN(8),
};

const struct nla_policy ratman_nl_neigh_del_policy[RATMAN_A_NEIGH_MAX + 1] = {
	[RATMAN_A_NEIGH_LINK] = NLA_POLICY_MIN(NLA_U32, 1),
	[RATMAN_A_NEIGH_ROUTER] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_NEIGH_INDEX] = { .type = NLA_U32 },
};

const struct nla_policy ratman_nl_frame_policy[RATMAN_A_FRAME_MAX + 1] = {
	[RATMAN_A_FRAME_TYPE] = NLA_POLICY_MAX(NLA_U32, RATMAN_FRAGMENT),
	[RATMAN_A_FRAME_LINK] = NLA_POLICY_MIN(NLA_U32, 1),
	[RATMAN_A_FRAME_LLADDR] = NLA_POLICY_EXACT_LEN(ETH_ALEN),
	[RATMAN_A_FRAME_NEIGH] = { .type = NLA_U32 },
	[RATMAN_A_FRAME_DEST] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_FRAME_BODY] = NLA_POLICY_RANGE(NLA_BINARY, 1, RATMAN_FRAME_MAX),
};

/* Not const: 6.1 has no const in the policy. */
static struct netlink_range_validation ratman_nl_mtu_range = {
	.min = RATMAN_LINK_MTU_MIN,
	.max = U16_MAX,
};

static const struct nla_policy ratman_nl_hop_policy[RATMAN_A_HOP_MAX + 1] = {
	[RATMAN_A_HOP_NEIGH] = { .type = NLA_U32 },
	[RATMAN_A_HOP_METRIC] = { .type = NLA_U32 },
	[RATMAN_A_HOP_MTU] = NLA_POLICY_FULL_RANGE(NLA_U32, &ratman_nl_mtu_range),
};

const struct nla_policy ratman_nl_route_set_policy[RATMAN_A_ROUTE_MAX + 1] = {
	[RATMAN_A_ROUTE_DEST] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_ROUTE_IPV6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[RATMAN_A_ROUTE_HOP] = NLA_POLICY_NESTED(ratman_nl_hop_policy),
	[RATMAN_A_ROUTE_EXPIRES_MS] = { .type = NLA_U32 },
	[RATMAN_A_ROUTE_COOKIE] = { .type = NLA_BINARY, .len = RATMAN_COOKIE_MAX },
};

const struct nla_policy ratman_nl_route_del_policy[RATMAN_A_ROUTE_MAX + 1] = {
	[RATMAN_A_ROUTE_DEST] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
};

const struct nla_policy ratman_nl_route_get_policy[RATMAN_A_ROUTE_MAX + 1] = {
	[RATMAN_A_ROUTE_DEST] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_ROUTE_IPV6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
};

const struct nla_policy ratman_nl_addr_set_policy[RATMAN_A_ADDR_MAX + 1] = {
	[RATMAN_A_ADDR_ADDRESS] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_ADDR_IPV6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[RATMAN_A_ADDR_POLICY] = NLA_POLICY_MAX(NLA_U32, RATMAN_POLICY_NONE),
};

const struct nla_policy ratman_nl_addr_del_policy[RATMAN_A_ADDR_MAX + 1] = {
	[RATMAN_A_ADDR_ADDRESS] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
};

const struct nla_policy ratman_nl_session_set_policy[RATMAN_A_SESSION_MAX + 1] = {
	[RATMAN_A_SESSION_LOCAL] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_SESSION_PEER] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_SESSION_LOCAL_IPV6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[RATMAN_A_SESSION_PEER_IPV6] = NLA_POLICY_EXACT_LEN(sizeof(struct in6_addr)),
	[RATMAN_A_SESSION_INDEX] = { .type = NLA_U32 },
	[RATMAN_A_SESSION_PEER_INDEX] = { .type = NLA_U32 },
	[RATMAN_A_SESSION_RX_KEY] = NLA_POLICY_EXACT_LEN(RATMAN_SESSION_KEY_LEN),
	[RATMAN_A_SESSION_TX_KEY] = NLA_POLICY_EXACT_LEN(RATMAN_SESSION_KEY_LEN),
	[RATMAN_A_SESSION_INITIATOR] = { .type = NLA_FLAG },
	[RATMAN_A_SESSION_CONTACT] = { .type = NLA_FLAG },
};

const struct nla_policy ratman_nl_session_del_policy[RATMAN_A_SESSION_MAX + 1] = {
	[RATMAN_A_SESSION_LOCAL] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
	[RATMAN_A_SESSION_PEER] = NLA_POLICY_EXACT_LEN(RATMAN_ADDR_LEN),
};

/* Policies of the requests. */
static const struct nla_policy ratman_nl_get_policy[RATMAN_A_MAX + 1] = {
	[RATMAN_A_IFINDEX] = RATMAN_IFINDEX_POLICY,
};

#define RATMAN_REQUEST_POLICY(name, attr)						\
static const struct nla_policy ratman_nl_##name##_request[RATMAN_A_MAX + 1] = {		\
	[RATMAN_A_IFINDEX] = RATMAN_IFINDEX_POLICY,					\
	[attr] = NLA_POLICY_NESTED(ratman_nl_##name##_policy),				\
}

RATMAN_REQUEST_POLICY(dev, RATMAN_A_DEV);
RATMAN_REQUEST_POLICY(neigh_set, RATMAN_A_NEIGH);
RATMAN_REQUEST_POLICY(neigh_del, RATMAN_A_NEIGH);
RATMAN_REQUEST_POLICY(frame, RATMAN_A_FRAME);
RATMAN_REQUEST_POLICY(route_set, RATMAN_A_ROUTE);
RATMAN_REQUEST_POLICY(route_del, RATMAN_A_ROUTE);
RATMAN_REQUEST_POLICY(route_get, RATMAN_A_ROUTE);
RATMAN_REQUEST_POLICY(addr_set, RATMAN_A_ADDR);
RATMAN_REQUEST_POLICY(addr_del, RATMAN_A_ADDR);
RATMAN_REQUEST_POLICY(session_set, RATMAN_A_SESSION);
RATMAN_REQUEST_POLICY(session_del, RATMAN_A_SESSION);

/**
 * ratman_nl_nest - take a request's nest apart
 * @info: the request
 * @attr: the nest
 * @max: highest attribute in it
 * @tb: result
 * @policy: its policy
 *
 * Return: 0 or a negative errno, with a reason.
 */
int ratman_nl_nest(struct genl_info *info, int attr, int max, struct nlattr **tb,
		   const struct nla_policy *policy)
{
	if (GENL_REQ_ATTR_CHECK(info, attr)) {
		NL_SET_ERR_MSG(info->extack,
			       "The request lacks the nest that says what it is about");
		return -EINVAL;
	}
	return nla_parse_nested(tb, max, info->attrs[attr], policy, info->extack);
}

/**
 * ratman_nl_missing - does a nest lack an attribute
 * @info: the request
 * @nest: the nest
 * @tb: its attributes
 * @need: which it must have
 * @n: how many that are
 *
 * Return: true if so, with a reason.
 */
bool ratman_nl_missing(struct genl_info *info, int nest, struct nlattr **tb, const int *need,
		       unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (NL_REQ_ATTR_CHECK(info->extack, info->attrs[nest], tb, need[i])) {
			NL_SET_ERR_MSG(info->extack,
				       "An attribute that this request needs is missing");
			return true;
		}
	}
	return false;
}

/**
 * ratman_nl_refuse - see to it that a refusal has a reason
 * @extack: where it goes
 * @err: 0 or a negative errno
 *
 * Return: @err.
 */
int ratman_nl_refuse(struct netlink_ext_ack *extack, int err)
{
	if (err && extack && !extack->_msg) {
		if (err == -ENOMEM)
			NL_SET_ERR_MSG(extack, "Out of memory");
		else
			NL_SET_ERR_MSG(extack, "The table took no more: try again");
	}
	return err;
}

static struct ratman_dev *ratman_nl_dev_lock(struct net *net, int ifindex,
					     struct netlink_ext_ack *extack)
{
	struct net_device *dev = dev_get_by_index(net, ifindex);
	struct ratman_dev *rdev;

	if (!dev) {
		NL_SET_ERR_MSG(extack, "There is no device with this RATMAN_A_IFINDEX");
		return ERR_PTR(-ENODEV);
	}
	if (!ratman_is_mesh(dev)) {
		NL_SET_ERR_MSG(extack,
			       "RATMAN_A_IFINDEX is no mesh device (ip link add ratman0 type ratman)");
		dev_put(dev);
		return ERR_PTR(-EOPNOTSUPP);
	}
	rdev = netdev_priv(dev);
	mutex_lock(&rdev->lock);
	if (rdev->dying) {
		mutex_unlock(&rdev->lock);
		dev_put(dev);
		NL_SET_ERR_MSG(extack, "The mesh device is being removed");
		return ERR_PTR(-ENODEV);
	}
	return rdev;
}

static void ratman_nl_dev_unlock(struct ratman_dev *rdev)
{
	mutex_unlock(&rdev->lock);
	dev_put(rdev->dev);
}

static int ratman_nl_pre_doit(const struct genl_split_ops *ops, struct sk_buff *skb,
			      struct genl_info *info)
{
	struct ratman_dev *rdev;

	if (GENL_REQ_ATTR_CHECK(info, RATMAN_A_IFINDEX)) {
		NL_SET_ERR_MSG(info->extack,
			       "The request does not name the mesh device (RATMAN_A_IFINDEX)");
		return -EINVAL;
	}
	rdev = ratman_nl_dev_lock(genl_info_net(info), nla_get_u32(info->attrs[RATMAN_A_IFINDEX]),
				  info->extack);
	if (IS_ERR(rdev))
		return PTR_ERR(rdev);
	info->user_ptr[0] = rdev;
	return 0;
}

static void ratman_nl_post_doit(const struct genl_split_ops *ops, struct sk_buff *skb,
				struct genl_info *info)
{
	ratman_nl_dev_unlock(info->user_ptr[0]);
}

/* There is no extack yet: what is missing is said in the first part. */
static int ratman_nl_dump_start(struct netlink_callback *cb)
{
	struct nlattr **attrs = ratman_dump_attrs(cb);

	ratman_nl_cursor(cb)->next = 0;
	ratman_nl_cursor(cb)->ifindex = 0;
	if (attrs && attrs[RATMAN_A_IFINDEX])
		ratman_nl_cursor(cb)->ifindex = nla_get_u32(attrs[RATMAN_A_IFINDEX]);
	return 0;
}

/**
 * ratman_nl_dump_begin - begin a part of a dump
 * @skb: the answer
 * @cb: the dump
 *
 * Nothing is held between parts, so that a reader who is slow, or never comes
 * back, keeps nothing alive.
 *
 * Return: the device, locked, or an ERR_PTR.
 */
struct ratman_dev *ratman_nl_dump_begin(struct sk_buff *skb, struct netlink_callback *cb)
{
	int ifindex = ratman_nl_cursor(cb)->ifindex;

	if (!ifindex) {
		NL_SET_ERR_MSG(cb->extack,
			       "The request does not name the mesh device (RATMAN_A_IFINDEX)");
		return ERR_PTR(-EINVAL);
	}
	return ratman_nl_dev_lock(sock_net(skb->sk), ifindex, cb->extack);
}

/**
 * ratman_nl_dump_end - end a part of a dump
 * @rdev: from ratman_nl_dump_begin()
 */
void ratman_nl_dump_end(struct ratman_dev *rdev)
{
	ratman_nl_dev_unlock(rdev);
}

/**
 * ratman_nl_put - begin a message about a device
 * @skb: where
 * @rdev: the device
 * @portid: for whom
 * @seq: in answer to what
 * @flags: netlink flags
 * @cmd: command
 *
 * Return: for genlmsg_end() or genlmsg_cancel(), NULL without room.
 */
void *ratman_nl_put(struct sk_buff *skb, const struct ratman_dev *rdev, u32 portid, u32 seq,
		    int flags, u8 cmd)
{
	void *hdr = genlmsg_put(skb, portid, seq, &ratman_nl_family, flags, cmd);

	if (hdr && nla_put_u32(skb, RATMAN_A_IFINDEX, rdev->dev->ifindex)) {
		genlmsg_cancel(skb, hdr);
		return NULL;
	}
	return hdr;
}

/**
 * ratman_nl_put_dump - begin a message of a dump
 * @skb: where
 * @cb: the dump
 * @rdev: the device
 * @cmd: command
 *
 * Return: as ratman_nl_put().
 */
void *ratman_nl_put_dump(struct sk_buff *skb, struct netlink_callback *cb,
			 const struct ratman_dev *rdev, u8 cmd)
{
	return ratman_nl_put(skb, rdev, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			     NLM_F_MULTI, cmd);
}

/**
 * ratman_nl_reply - finish an answer and send it
 * @skb: the answer; consumed
 * @hdr: from ratman_nl_put()
 * @info: the request
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_reply(struct sk_buff *skb, void *hdr, struct genl_info *info)
{
	genlmsg_end(skb, hdr);
	return genlmsg_reply(skb, info);
}

#define RATMAN_OP(_cmd, _policy, ...) {				\
	.cmd = RATMAN_CMD_##_cmd,				\
	.flags = GENL_UNS_ADMIN_PERM,				\
	.policy = ratman_nl_##_policy,				\
	.maxattr = RATMAN_A_MAX,				\
	__VA_ARGS__						\
}

#define RATMAN_OP_DUMP(_dump)					\
	.start = ratman_nl_dump_start,				\
	.dumpit = ratman_nl_##_dump

static const struct genl_ops ratman_nl_ops[] = {
	RATMAN_OP(DEV_GET, get_policy, .doit = ratman_nl_dev_get, .dumpit = ratman_nl_dev_dump),
	RATMAN_OP(DEV_SET, dev_request, .doit = ratman_nl_dev_set),
	RATMAN_OP(LINK_GET, get_policy, RATMAN_OP_DUMP(link_dump)),
	RATMAN_OP(NEIGH_SET, neigh_set_request, .doit = ratman_nl_neigh_set),
	RATMAN_OP(NEIGH_DEL, neigh_del_request, .doit = ratman_nl_neigh_del),
	RATMAN_OP(NEIGH_GET, get_policy, RATMAN_OP_DUMP(neigh_dump)),
	RATMAN_OP(ROUTE_SET, route_set_request, .doit = ratman_nl_route_set),
	RATMAN_OP(ROUTE_DEL, route_del_request, .doit = ratman_nl_route_del),
	RATMAN_OP(ROUTE_GET, route_get_request, .doit = ratman_nl_route_get,
		  RATMAN_OP_DUMP(route_dump)),
	RATMAN_OP(ADDR_SET, addr_set_request, .doit = ratman_nl_addr_set),
	RATMAN_OP(ADDR_DEL, addr_del_request, .doit = ratman_nl_addr_del),
	RATMAN_OP(ADDR_GET, get_policy, RATMAN_OP_DUMP(addr_dump)),
	RATMAN_OP(SESSION_SET, session_set_request, .doit = ratman_nl_session_set),
	RATMAN_OP(SESSION_DEL, session_del_request, .doit = ratman_nl_session_del),
	RATMAN_OP(SESSION_GET, get_policy, RATMAN_OP_DUMP(session_dump)),
	RATMAN_OP(STATS_GET, get_policy, .doit = ratman_nl_stats_get),
	RATMAN_OP(FRAME_TX, frame_request, .doit = ratman_nl_frame_tx),
};

static const struct genl_multicast_group ratman_nl_groups[] = {
	[RATMAN_NL_GROUP_EVENTS] = {
		.name = RATMAN_MCGRP_EVENTS,
		.flags = GENL_UNS_ADMIN_PERM,
	},
};

struct genl_family ratman_nl_family __ro_after_init = {
	.name = RATMAN_FAMILY_NAME,
	.version = RATMAN_FAMILY_VERSION,
	.maxattr = RATMAN_A_MAX,
	.netnsok = true,
	.module = THIS_MODULE,
	.pre_doit = ratman_nl_pre_doit,
	.post_doit = ratman_nl_post_doit,
	.ops = ratman_nl_ops,
	.n_ops = ARRAY_SIZE(ratman_nl_ops),
	.mcgrps = ratman_nl_groups,
	.n_mcgrps = ARRAY_SIZE(ratman_nl_groups),
	.resv_start_op = RATMAN_CMD_DEV_GET,
};

/* The daemon's socket is closed: its claim ends, and nothing else. */
static int ratman_nl_release(struct notifier_block *nb, unsigned long event, void *ptr)
{
	const struct netlink_notify *notify = ptr;

	if (event == NETLINK_URELEASE && notify->protocol == NETLINK_GENERIC)
		ratman_dev_release_claim(notify->net, notify->portid);
	return NOTIFY_DONE;
}

static struct notifier_block ratman_nl_notifier = {
	.notifier_call = ratman_nl_release,
};

/**
 * ratman_nl_register - at module load, when everything else is ready
 *
 * Return: 0 or a negative errno.
 */
int __init ratman_nl_register(void)
{
	int err = netlink_register_notifier(&ratman_nl_notifier);

	if (err)
		return err;
	err = genl_register_family(&ratman_nl_family);
	if (err)
		netlink_unregister_notifier(&ratman_nl_notifier);
	return err;
}

/**
 * ratman_nl_unregister - at module unload, before anything else goes
 */
void ratman_nl_unregister(void)
{
	genl_unregister_family(&ratman_nl_family);
	netlink_unregister_notifier(&ratman_nl_notifier);
}
