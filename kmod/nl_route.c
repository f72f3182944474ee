// SPDX-License-Identifier: GPL-2.0-only
/* Requests about routes and own addresses. */
#include "nl.h"

/* The next hops are repeated in the nest, so that the table of attributes shows the last only. */
static int ratman_nl_route_hops(const struct nlattr *nest, struct ratman_route_config *config,
				struct netlink_ext_ack *extack)
{
	struct nlattr *tb[RATMAN_A_HOP_MAX + 1];
	const struct nlattr *attr;
	u32 metric;
	int rem, err;

	nla_for_each_nested(attr, nest, rem) {
		if (nla_type(attr) != RATMAN_A_ROUTE_HOP)
			continue;
		if (config->n_hops == RATMAN_ROUTE_HOPS_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "A route has four next hops at most");
			return -E2BIG;
		}
		/* Checked against its policy with the whole request. */
		err = nla_parse_nested(tb, RATMAN_A_HOP_MAX, attr, NULL, extack);
		if (err)
			return err;
		if (!tb[RATMAN_A_HOP_NEIGH]) {
			NL_SET_ERR_MSG_ATTR(extack, attr, "A next hop needs RATMAN_A_HOP_NEIGH");
			return -EINVAL;
		}
		metric = tb[RATMAN_A_HOP_METRIC] ? nla_get_u32(tb[RATMAN_A_HOP_METRIC]) : 0;
		if (metric > U16_MAX) {
			NL_SET_ERR_MSG_ATTR(extack, tb[RATMAN_A_HOP_METRIC],
					    "A metric is 0 to 65535");
			return -ERANGE;
		}
		config->hop[config->n_hops] = nla_get_u32(tb[RATMAN_A_HOP_NEIGH]);
		config->path[config->n_hops].metric = metric;
		config->path[config->n_hops].mtu = tb[RATMAN_A_HOP_MTU] ?
						   nla_get_u32(tb[RATMAN_A_HOP_MTU]) : U16_MAX;
		config->n_hops++;
	}
	if (!config->n_hops) {
		NL_SET_ERR_MSG(extack, "A route needs a next hop; ROUTE_DEL removes it");
		return -EINVAL;
	}
	return 0;
}

/**
 * ratman_nl_route_set - answer ROUTE_SET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_route_set(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_ROUTE_DEST, RATMAN_A_ROUTE_IPV6 };
	struct nlattr *tb[RATMAN_A_ROUTE_MAX + 1];
	struct ratman_route_config config = {};
	struct in6_addr ipv6;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_ROUTE, RATMAN_A_ROUTE_MAX, tb,
			     ratman_nl_route_set_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_ROUTE, tb, need, ARRAY_SIZE(need)))
		return -EINVAL;
	ipv6 = nla_get_in6_addr(tb[RATMAN_A_ROUTE_IPV6]);
	config.dest = nla_data(tb[RATMAN_A_ROUTE_DEST]);
	config.ipv6 = &ipv6;
	if (tb[RATMAN_A_ROUTE_EXPIRES_MS])
		config.expires_ms = nla_get_u32(tb[RATMAN_A_ROUTE_EXPIRES_MS]);
	if (tb[RATMAN_A_ROUTE_COOKIE]) {
		config.cookie = nla_data(tb[RATMAN_A_ROUTE_COOKIE]);
		config.cookie_len = nla_len(tb[RATMAN_A_ROUTE_COOKIE]);
	}
	err = ratman_nl_route_hops(info->attrs[RATMAN_A_ROUTE], &config, info->extack);
	if (!err)
		err = ratman_fib_route_set(ratman_nl_dev(info), &config, info->extack);
	return ratman_nl_refuse(info->extack, err);
}

/**
 * ratman_nl_route_del - answer ROUTE_DEL
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_route_del(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_ROUTE_DEST };
	struct nlattr *tb[RATMAN_A_ROUTE_MAX + 1];
	int err;

	err = ratman_nl_nest(info, RATMAN_A_ROUTE, RATMAN_A_ROUTE_MAX, tb,
			     ratman_nl_route_del_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_ROUTE, tb, need, ARRAY_SIZE(need)))
		return -EINVAL;
	return ratman_fib_route_del(ratman_nl_dev(info), nla_data(tb[RATMAN_A_ROUTE_DEST]),
				    info->extack);
}

static int ratman_nl_hop_fill(struct sk_buff *skb, const struct ratman_neigh *neigh,
			      const struct ratman_hop_path *path)
{
	const struct ratman_neigh_key *key;
	struct nlattr *nest;
	int err = 0;

	rcu_read_lock();
	key = rcu_dereference(neigh->cur);
	/* A neighbour that was removed is no next hop any more. */
	if (key) {
		nest = nla_nest_start(skb, RATMAN_A_ROUTE_HOP);
		if (!nest || nla_put_u32(skb, RATMAN_A_HOP_NEIGH, key->index) ||
		    nla_put_u32(skb, RATMAN_A_HOP_METRIC, path->metric) ||
		    (path->mtu != U16_MAX && nla_put_u32(skb, RATMAN_A_HOP_MTU, path->mtu)))
			err = -EMSGSIZE;
		else
			nla_nest_end(skb, nest);
	}
	rcu_read_unlock();
	return err;
}

static int ratman_nl_route_fill(struct sk_buff *skb, const struct ratman_dest *dest)
{
	struct nlattr *nest = nla_nest_start(skb, RATMAN_A_ROUTE);
	unsigned int i;
	long left;
	u32 ms = 0;

	if (dest->expires) {
		/* Expired, but not swept yet: not 0, which means never. */
		left = dest->expires - jiffies;
		ms = left > 0 ? jiffies_to_msecs(left) : 1;
	}
	if (!nest ||
	    nla_put(skb, RATMAN_A_ROUTE_DEST, sizeof(dest->address), dest->address) ||
	    nla_put_in6_addr(skb, RATMAN_A_ROUTE_IPV6, &dest->ipv6) ||
	    nla_put_u32(skb, RATMAN_A_ROUTE_EXPIRES_MS, ms) ||
	    (dest->cookie_len && nla_put(skb, RATMAN_A_ROUTE_COOKIE, dest->cookie_len,
					 ratman_dest_cookie(dest))))
		return -EMSGSIZE;
	for (i = 0; i < dest->n_hops; i++)
		if (ratman_nl_hop_fill(skb, dest->hop[i], &ratman_dest_paths(dest)[i]))
			return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * ratman_nl_route_get - answer ROUTE_GET for one destination
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_route_get(struct sk_buff *skb, struct genl_info *info)
{
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct nlattr *tb[RATMAN_A_ROUTE_MAX + 1];
	const struct ratman_dest *dest = NULL;
	struct in6_addr ipv6;
	struct sk_buff *msg;
	void *hdr;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_ROUTE, RATMAN_A_ROUTE_MAX, tb,
			     ratman_nl_route_get_policy);
	if (err)
		return err;
	/* The lock keeps the entry when RCU no longer does. */
	rcu_read_lock();
	if (tb[RATMAN_A_ROUTE_DEST]) {
		dest = ratman_fib_lookup(rdev, nla_data(tb[RATMAN_A_ROUTE_DEST]));
	} else if (tb[RATMAN_A_ROUTE_IPV6]) {
		ipv6 = nla_get_in6_addr(tb[RATMAN_A_ROUTE_IPV6]);
		dest = ratman_fib_lookup6(rdev, &ipv6);
	}
	rcu_read_unlock();
	if (!dest || dest->local) {
		NL_SET_ERR_MSG(info->extack, "There is no route to this address");
		return -ENOENT;
	}

	msg = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!msg)
		return ratman_nl_refuse(info->extack, -ENOMEM);
	hdr = ratman_nl_put(msg, rdev, info->snd_portid, info->snd_seq, 0, RATMAN_CMD_ROUTE_GET);
	if (!hdr || ratman_nl_route_fill(msg, dest)) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	return ratman_nl_reply(msg, hdr, info);
}

/**
 * ratman_nl_route_dump - all routes of a mesh device
 * @skb: the answer
 * @cb: the dump
 *
 * Return: bytes, 0 at the end, or a negative errno.
 */
int ratman_nl_route_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ratman_nl_cursor *cursor = ratman_nl_cursor(cb);
	struct ratman_dev *rdev = ratman_nl_dump_begin(skb, cb);
	const struct ratman_dest *dest;
	void *hdr;

	if (IS_ERR(rdev))
		return PTR_ERR(rdev);
	while ((dest = xa_find(&rdev->dest_ids, &cursor->next, U32_MAX, XA_PRESENT))) {
		if (!dest->local) {
			hdr = ratman_nl_put_dump(skb, cb, rdev, RATMAN_CMD_ROUTE_GET);
			if (!hdr || ratman_nl_route_fill(skb, dest)) {
				genlmsg_cancel(skb, hdr);
				break;
			}
			genlmsg_end(skb, hdr);
		}
		cursor->next++;
	}
	ratman_nl_dump_end(rdev);
	return skb->len;
}

/**
 * ratman_nl_addr_set - answer ADDR_SET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_addr_set(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_ADDR_ADDRESS, RATMAN_A_ADDR_IPV6 };
	struct nlattr *tb[RATMAN_A_ADDR_MAX + 1];
	u8 policy = RATMAN_POLICY_CONTACTS;
	struct in6_addr ipv6;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_ADDR, RATMAN_A_ADDR_MAX, tb, ratman_nl_addr_set_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_ADDR, tb, need, ARRAY_SIZE(need)))
		return -EINVAL;
	if (tb[RATMAN_A_ADDR_POLICY])
		policy = nla_get_u32(tb[RATMAN_A_ADDR_POLICY]);
	ipv6 = nla_get_in6_addr(tb[RATMAN_A_ADDR_IPV6]);
	if (ipv6_addr_any(&ipv6) || ipv6_addr_is_multicast(&ipv6)) {
		NL_SET_ERR_MSG_ATTR(info->extack, tb[RATMAN_A_ADDR_IPV6],
				    "The IPv6 address must be a unicast one");
		return -EADDRNOTAVAIL;
	}
	err = ratman_fib_addr_set(ratman_nl_dev(info), nla_data(tb[RATMAN_A_ADDR_ADDRESS]), &ipv6,
				  policy, info->extack);
	return ratman_nl_refuse(info->extack, err);
}

/**
 * ratman_nl_addr_del - answer ADDR_DEL
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_addr_del(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_ADDR_ADDRESS };
	struct nlattr *tb[RATMAN_A_ADDR_MAX + 1];
	int err;

	err = ratman_nl_nest(info, RATMAN_A_ADDR, RATMAN_A_ADDR_MAX, tb, ratman_nl_addr_del_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_ADDR, tb, need, ARRAY_SIZE(need)))
		return -EINVAL;
	return ratman_fib_addr_del(ratman_nl_dev(info), nla_data(tb[RATMAN_A_ADDR_ADDRESS]),
				   info->extack);
}

static int ratman_nl_addr_fill(struct sk_buff *skb, const struct ratman_dest *dest)
{
	struct nlattr *nest = nla_nest_start(skb, RATMAN_A_ADDR);

	if (!nest ||
	    nla_put(skb, RATMAN_A_ADDR_ADDRESS, sizeof(dest->address), dest->address) ||
	    nla_put_in6_addr(skb, RATMAN_A_ADDR_IPV6, &dest->ipv6) ||
	    nla_put_u32(skb, RATMAN_A_ADDR_POLICY, dest->policy))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * ratman_nl_addr_dump - all own addresses of a mesh device
 * @skb: the answer
 * @cb: the dump
 *
 * Return: bytes, 0 at the end, or a negative errno.
 */
int ratman_nl_addr_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ratman_nl_cursor *cursor = ratman_nl_cursor(cb);
	struct ratman_dev *rdev = ratman_nl_dump_begin(skb, cb);
	const struct ratman_dest *dest;
	void *hdr;

	if (IS_ERR(rdev))
		return PTR_ERR(rdev);
	while ((dest = xa_find(&rdev->dest_ids, &cursor->next, U32_MAX, RATMAN_MARK_LOCAL))) {
		hdr = ratman_nl_put_dump(skb, cb, rdev, RATMAN_CMD_ADDR_GET);
		if (!hdr || ratman_nl_addr_fill(skb, dest)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cursor->next++;
	}
	ratman_nl_dump_end(rdev);
	return skb->len;
}
