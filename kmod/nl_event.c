// SPDX-License-Identifier: GPL-2.0-only
/*
 * What we tell the daemon unasked: frames for it, and events. Events also go
 * to whoever listens to the multicast group. All of it may be lost when memory
 * or the daemon's receive buffer is short, and is counted then; the dumps tell
 * what is.
 */
#include "nl.h"
#include "trace.h"

/* Room for any event: nests, addresses, counters. */
#define RATMAN_EVENT_SIZE	512

static void *ratman_nl_event_new(const struct ratman_dev *rdev, struct sk_buff **skb, u8 cmd)
{
	void *hdr;

	*skb = genlmsg_new(RATMAN_EVENT_SIZE, GFP_ATOMIC);
	if (!*skb)
		return NULL;
	hdr = ratman_nl_put(*skb, rdev, 0, 0, 0, cmd);
	if (!hdr)
		nlmsg_free(*skb);
	return hdr;
}

/* Consumes @skb. */
static void ratman_nl_event_send(struct ratman_dev *rdev, struct sk_buff *skb, void *hdr)
{
	struct net *net = dev_net(rdev->dev);
	u32 portid = READ_ONCE(rdev->portid);
	struct sk_buff *copy = NULL;
	bool lost = false;

	genlmsg_end(skb, hdr);
	if (genl_has_listeners(&ratman_nl_family, net, RATMAN_NL_GROUP_EVENTS)) {
		if (portid)
			copy = skb_copy(skb, GFP_ATOMIC);
		else
			swap(copy, skb);
	}
	/* The daemon gets it once, also if it listens to the group. */
	if (copy)
		genlmsg_multicast_netns(&ratman_nl_family, net, copy, portid,
					RATMAN_NL_GROUP_EVENTS, GFP_ATOMIC);
	if (portid)
		lost = genlmsg_unicast(net, skb, portid) < 0;
	else
		nlmsg_free(skb);
	if (lost) {
		local_bh_disable();
		ratman_count(rdev, RATMAN_STAT_event_lost);
		local_bh_enable();
	}
}

static void ratman_nl_event_failed(struct ratman_dev *rdev, struct sk_buff *skb)
{
	nlmsg_free(skb);
	ratman_count_process(rdev, RATMAN_STAT_event_lost);
}

/**
 * ratman_nl_candidate - a router was heard that is no neighbour yet
 * @link: where
 * @lladdr: its link-layer address
 * @hello: what it says
 */
void ratman_nl_candidate(struct ratman_link *link, const u8 *lladdr,
			 const struct ratman_hello *hello)
{
	struct ratman_dev *rdev = link->rdev;
	struct nlattr *nest;
	struct sk_buff *skb;
	void *hdr;

	hdr = ratman_nl_event_new(rdev, &skb, RATMAN_CMD_CANDIDATE_NTF);
	if (!hdr)
		return;
	nest = nla_nest_start(skb, RATMAN_A_NEIGH);
	if (!nest || nla_put_u32(skb, RATMAN_A_NEIGH_LINK, link->dev->ifindex) ||
	    nla_put(skb, RATMAN_A_NEIGH_LLADDR, ETH_ALEN, lladdr) ||
	    nla_put(skb, RATMAN_A_NEIGH_ROUTER, sizeof(hello->router), hello->router) ||
	    nla_put(skb, RATMAN_A_NEIGH_BOOT_ID, sizeof(hello->boot_id), hello->boot_id)) {
		ratman_nl_event_failed(rdev, skb);
		return;
	}
	nla_nest_end(skb, nest);
	ratman_nl_event_send(rdev, skb, hdr);
}

/**
 * ratman_nl_neigh_event - a neighbour has changed
 * @neigh: the neighbour
 * @rekey: it needs a new key
 */
void ratman_nl_neigh_event(const struct ratman_neigh *neigh, bool rekey)
{
	struct sk_buff *skb;
	void *hdr;

	hdr = ratman_nl_event_new(neigh->rdev, &skb, RATMAN_CMD_NEIGH_NTF);
	if (!hdr)
		return;
	if (ratman_nl_neigh_fill(skb, neigh, rekey))
		ratman_nl_event_failed(neigh->rdev, skb);
	else
		ratman_nl_event_send(neigh->rdev, skb, hdr);
}

/**
 * ratman_nl_link_event - a link has come, gone or changed
 * @link: the link
 * @state: what has become of it
 */
void ratman_nl_link_event(struct ratman_link *link, enum ratman_link_state state)
{
	struct sk_buff *skb;
	void *hdr;

	hdr = ratman_nl_event_new(link->rdev, &skb, RATMAN_CMD_LINK_NTF);
	if (!hdr)
		return;
	if (ratman_nl_link_fill(skb, link, state))
		ratman_nl_event_failed(link->rdev, skb);
	else
		ratman_nl_event_send(link->rdev, skb, hdr);
}

/**
 * ratman_nl_session_want - packets wait for a key, or a key grows old
 * @rdev: mesh device
 * @session: the session
 */
void ratman_nl_session_want(struct ratman_dev *rdev, const struct ratman_session *session)
{
	struct nlattr *nest;
	struct sk_buff *skb;
	void *hdr;

	hdr = ratman_nl_event_new(rdev, &skb, RATMAN_CMD_SESSION_WANT);
	if (!hdr)
		return;
	nest = nla_nest_start(skb, RATMAN_A_SESSION);
	if (!nest ||
	    nla_put(skb, RATMAN_A_SESSION_LOCAL, sizeof(session->local), session->local) ||
	    nla_put(skb, RATMAN_A_SESSION_PEER, sizeof(session->peer), session->peer) ||
	    nla_put_in6_addr(skb, RATMAN_A_SESSION_LOCAL_IPV6, &session->id.local) ||
	    nla_put_in6_addr(skb, RATMAN_A_SESSION_PEER_IPV6, &session->id.peer) ||
	    nla_put_u32(skb, RATMAN_A_SESSION_STAGED, skb_queue_len_lockless(&session->staged))) {
		ratman_nl_event_failed(rdev, skb);
		return;
	}
	nla_nest_end(skb, nest);
	ratman_nl_event_send(rdev, skb, hdr);
}

static struct sk_buff *ratman_nl_punt_build(struct ratman_dev *rdev, const struct sk_buff *skb,
					    const struct ratman_punt *punt)
{
	unsigned int len = skb->len - punt->offset;
	struct nlattr *nest, *body;
	struct sk_buff *msg;
	void *hdr;

	msg = genlmsg_new(nla_total_size(len) + 128, GFP_ATOMIC);
	if (!msg)
		return NULL;
	hdr = ratman_nl_put(msg, rdev, 0, 0, 0, RATMAN_CMD_FRAME_RX);
	if (!hdr)
		goto err;
	nest = nla_nest_start(msg, RATMAN_A_FRAME);
	if (!nest || nla_put_u32(msg, RATMAN_A_FRAME_TYPE, punt->type))
		goto err;
	if (punt->link &&
	    (nla_put_u32(msg, RATMAN_A_FRAME_LINK, punt->link->dev->ifindex) ||
	     nla_put(msg, RATMAN_A_FRAME_LLADDR, ETH_ALEN, eth_hdr(skb)->h_source)))
		goto err;
	if (punt->neigh && nla_put_u32(msg, RATMAN_A_FRAME_NEIGH, punt->neigh))
		goto err;
	if (punt->dest && nla_put(msg, RATMAN_A_FRAME_DEST, RATMAN_ADDR_LEN, punt->dest))
		goto err;
	body = nla_reserve(msg, RATMAN_A_FRAME_BODY, len);
	if (!body || skb_copy_bits(skb, punt->offset, nla_data(body), len))
		goto err;
	nla_nest_end(msg, nest);
	genlmsg_end(msg, hdr);
	return msg;

err:
	nlmsg_free(msg);
	return NULL;
}

/**
 * ratman_nl_punt - hand a frame to the daemon
 * @rdev: mesh device
 * @skb: the frame; consumed
 * @punt: where it came from, and what of it the daemon wants
 *
 * Under RCU with bottom halves disabled.
 */
void ratman_nl_punt(struct ratman_dev *rdev, struct sk_buff *skb, const struct ratman_punt *punt)
{
	static const struct {
		enum ratman_punt_class class;
		enum ratman_stat stat;
	} kind[RATMAN_FRAME_TYPES] = {
		[RATMAN_LINK] = { RATMAN_PUNT_LINK, RATMAN_STAT_punt_rate_link },
		[RATMAN_CONTROL] = { RATMAN_PUNT_CONTROL, RATMAN_STAT_punt_rate_control },
		[RATMAN_HANDSHAKE] = { RATMAN_PUNT_HANDSHAKE, RATMAN_STAT_punt_rate_handshake },
	};
	u32 portid = READ_ONCE(rdev->portid);
	struct sk_buff *msg;
	int err;

	if (!portid) {
		ratman_drop(rdev, skb, RATMAN_STAT_punt_no_daemon);
		return;
	}
	if (!ratman_limit_take(punt->limit) ||
	    !ratman_limit_take(&rdev->limits[kind[punt->type].class])) {
		ratman_drop(rdev, skb, kind[punt->type].stat);
		return;
	}
	msg = ratman_nl_punt_build(rdev, skb, punt);
	if (!msg) {
		ratman_drop(rdev, skb, RATMAN_STAT_punt_nomem);
		return;
	}
	err = genlmsg_unicast(dev_net(rdev->dev), msg, portid);
	trace_ratman_punt(rdev->dev, punt->type, skb->len - punt->offset, err);
	if (err) {
		ratman_drop(rdev, skb, err == -ECONNREFUSED ? RATMAN_STAT_punt_no_daemon :
							      RATMAN_STAT_punt_overrun);
		return;
	}
	ratman_count(rdev, RATMAN_STAT_punt_frames);
	consume_skb(skb);
}
