// SPDX-License-Identifier: GPL-2.0-only
/* Requests about sessions. */
#include "nl.h"

/* Keys do not stay behind in the request, whatever became of it. */
static void ratman_nl_session_wipe(struct nlattr *attr)
{
	if (attr)
		memzero_explicit(nla_data(attr), nla_len(attr));
}

static int ratman_nl_session_config(struct nlattr **tb, struct ratman_session_config *config,
				    struct in6_addr *peer6, struct netlink_ext_ack *extack)
{
	static const int key[] = {
		RATMAN_A_SESSION_INDEX, RATMAN_A_SESSION_PEER_INDEX, RATMAN_A_SESSION_RX_KEY,
		RATMAN_A_SESSION_TX_KEY,
	};
	unsigned int i, n = 0;

	config->local = nla_data(tb[RATMAN_A_SESSION_LOCAL]);
	config->peer = nla_data(tb[RATMAN_A_SESSION_PEER]);
	config->initiator = nla_get_flag(tb[RATMAN_A_SESSION_INITIATOR]);
	config->contact = nla_get_flag(tb[RATMAN_A_SESSION_CONTACT]);
	if (tb[RATMAN_A_SESSION_PEER_IPV6]) {
		*peer6 = nla_get_in6_addr(tb[RATMAN_A_SESSION_PEER_IPV6]);
		config->peer6 = peer6;
	}
	for (i = 0; i < ARRAY_SIZE(key); i++)
		n += !!tb[key[i]];
	if (n && n != ARRAY_SIZE(key)) {
		NL_SET_ERR_MSG(extack, "Both keys and both indices go together");
		return -EINVAL;
	}
	config->has_key = n;
	if (n) {
		config->index = nla_get_u32(tb[RATMAN_A_SESSION_INDEX]);
		config->peer_index = nla_get_u32(tb[RATMAN_A_SESSION_PEER_INDEX]);
		config->rx_key = nla_data(tb[RATMAN_A_SESSION_RX_KEY]);
		config->tx_key = nla_data(tb[RATMAN_A_SESSION_TX_KEY]);
	}
	return 0;
}

/* Our IPv6 address may be left out; if it is not, it must be that of our address. */
static int ratman_nl_session_local(struct ratman_dev *rdev, struct nlattr **tb,
				   struct netlink_ext_ack *extack)
{
	const struct ratman_dest *local;
	struct in6_addr ipv6;

	if (!tb[RATMAN_A_SESSION_LOCAL_IPV6])
		return 0;
	ipv6 = nla_get_in6_addr(tb[RATMAN_A_SESSION_LOCAL_IPV6]);
	/* The lock keeps the entry when RCU no longer does. */
	rcu_read_lock();
	local = ratman_fib_lookup(rdev, nla_data(tb[RATMAN_A_SESSION_LOCAL]));
	rcu_read_unlock();
	if (local && !ipv6_addr_equal(&local->ipv6, &ipv6)) {
		NL_SET_ERR_MSG_ATTR(extack, tb[RATMAN_A_SESSION_LOCAL_IPV6],
				    "The address was set with another IPv6 address");
		return -EINVAL;
	}
	return 0;
}

/**
 * ratman_nl_session_set - answer SESSION_SET
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_session_set(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_SESSION_LOCAL, RATMAN_A_SESSION_PEER };
	struct ratman_dev *rdev = ratman_nl_dev(info);
	struct nlattr *tb[RATMAN_A_SESSION_MAX + 1];
	struct ratman_session_config config = {};
	struct in6_addr peer6;
	int err;

	err = ratman_nl_nest(info, RATMAN_A_SESSION, RATMAN_A_SESSION_MAX, tb,
			     ratman_nl_session_set_policy);
	if (err)
		return err;
	err = -EINVAL;
	if (!ratman_nl_missing(info, RATMAN_A_SESSION, tb, need, ARRAY_SIZE(need)))
		err = ratman_nl_session_config(tb, &config, &peer6, info->extack);
	if (!err)
		err = ratman_nl_session_local(rdev, tb, info->extack);
	if (!err)
		err = ratman_session_set(rdev, &config, info->extack);
	ratman_nl_session_wipe(tb[RATMAN_A_SESSION_RX_KEY]);
	ratman_nl_session_wipe(tb[RATMAN_A_SESSION_TX_KEY]);
	return ratman_nl_refuse(info->extack, err);
}

/**
 * ratman_nl_session_del - answer SESSION_DEL
 * @skb: the request
 * @info: the same
 *
 * Return: 0 or a negative errno.
 */
int ratman_nl_session_del(struct sk_buff *skb, struct genl_info *info)
{
	static const int need[] = { RATMAN_A_SESSION_LOCAL, RATMAN_A_SESSION_PEER };
	struct nlattr *tb[RATMAN_A_SESSION_MAX + 1];
	int err;

	err = ratman_nl_nest(info, RATMAN_A_SESSION, RATMAN_A_SESSION_MAX, tb,
			     ratman_nl_session_del_policy);
	if (err)
		return err;
	if (ratman_nl_missing(info, RATMAN_A_SESSION, tb, need, ARRAY_SIZE(need)))
		return -EINVAL;
	return ratman_session_del(ratman_nl_dev(info), nla_data(tb[RATMAN_A_SESSION_LOCAL]),
				  nla_data(tb[RATMAN_A_SESSION_PEER]), info->extack);
}

static int ratman_nl_session_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, RATMAN_A_SESSION_PAD);
}

static int ratman_nl_session_fill(struct sk_buff *skb, struct ratman_session *session)
{
	struct nlattr *nest = nla_nest_start(skb, RATMAN_A_SESSION);
	u64 idle = jiffies_to_msecs(jiffies - READ_ONCE(session->last_used));
	const struct ratman_session_key *key;
	int err = 0;

	if (!nest ||
	    nla_put(skb, RATMAN_A_SESSION_LOCAL, sizeof(session->local), session->local) ||
	    nla_put(skb, RATMAN_A_SESSION_PEER, sizeof(session->peer), session->peer) ||
	    nla_put_in6_addr(skb, RATMAN_A_SESSION_LOCAL_IPV6, &session->id.local) ||
	    nla_put_in6_addr(skb, RATMAN_A_SESSION_PEER_IPV6, &session->id.peer) ||
	    (READ_ONCE(session->contact) && nla_put_flag(skb, RATMAN_A_SESSION_CONTACT)) ||
	    nla_put_u32(skb, RATMAN_A_SESSION_STAGED, skb_queue_len_lockless(&session->staged)) ||
	    ratman_nl_session_put_u64(skb, RATMAN_A_SESSION_RX_PACKETS,
				      atomic64_read(&session->rx_packets)) ||
	    ratman_nl_session_put_u64(skb, RATMAN_A_SESSION_TX_PACKETS,
				      atomic64_read(&session->tx_packets)) ||
	    ratman_nl_session_put_u64(skb, RATMAN_A_SESSION_RX_BYTES,
				      atomic64_read(&session->rx_bytes)) ||
	    ratman_nl_session_put_u64(skb, RATMAN_A_SESSION_TX_BYTES,
				      atomic64_read(&session->tx_bytes)) ||
	    ratman_nl_session_put_u64(skb, RATMAN_A_SESSION_IDLE_MS, idle))
		return -EMSGSIZE;

	/* Packets may move keys in spite of the lock. */
	rcu_read_lock();
	key = rcu_dereference(session->cur);
	if (!key)
		key = rcu_dereference(session->next);
	if (key &&
	    (nla_put_u32(skb, RATMAN_A_SESSION_INDEX, key->index) ||
	     nla_put_u32(skb, RATMAN_A_SESSION_PEER_INDEX, be32_to_cpu(key->peer_index)) ||
	     (key->initiator && nla_put_flag(skb, RATMAN_A_SESSION_INITIATOR)) ||
	     ratman_nl_session_put_u64(skb, RATMAN_A_SESSION_AGE_MS,
				       div_u64(ktime_get_coarse_boottime_ns() - key->born,
					       NSEC_PER_MSEC))))
		err = -EMSGSIZE;
	rcu_read_unlock();
	nla_nest_end(skb, nest);
	return err;
}

/**
 * ratman_nl_session_dump - all sessions of a mesh device
 * @skb: the answer
 * @cb: the dump
 *
 * Return: bytes, 0 at the end, or a negative errno.
 */
int ratman_nl_session_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct ratman_nl_cursor *cursor = ratman_nl_cursor(cb);
	struct ratman_dev *rdev = ratman_nl_dump_begin(skb, cb);
	struct ratman_session *session;
	void *hdr;

	if (IS_ERR(rdev))
		return PTR_ERR(rdev);
	while ((session = xa_find(&rdev->session_ids, &cursor->next, U32_MAX, XA_PRESENT))) {
		hdr = ratman_nl_put_dump(skb, cb, rdev, RATMAN_CMD_SESSION_GET);
		if (!hdr || ratman_nl_session_fill(skb, session)) {
			genlmsg_cancel(skb, hdr);
			break;
		}
		genlmsg_end(skb, hdr);
		cursor->next++;
	}
	ratman_nl_dump_end(rdev);
	return skb->len;
}
