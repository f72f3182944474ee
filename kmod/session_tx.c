// SPDX-License-Identifier: GPL-2.0-only
/*
 * From local programs into the mesh: find the session, or let the packet wait
 * for one; encrypt; hand the frame to the next hop.
 *
 * Everything here runs under RCU with bottom halves disabled.
 */
#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <linux/if_ether.h>
#include <linux/ipv6.h>
#include <net/icmp.h>
#include <net/ipv6.h>

#include "crypt.h"
#include "nl.h"
#include "session.h"

#define RATMAN_WANT_GAP		HZ		/* for packets that wait */
#define RATMAN_RENEW_GAP	(2 * HZ)	/* for a key that grows old */

/* Packets whose senders are still to be told; more are dropped in silence. */
#define RATMAN_ERRORS_MAX	256

/**
 * ratman_session_errors_work - tell senders why their packets were dropped
 * @work: in struct ratman_dev
 */
void ratman_session_errors_work(struct work_struct *work)
{
	struct ratman_dev *rdev = container_of(work, struct ratman_dev, errors_work);
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&rdev->errors))) {
		const struct ratman_packet_cb cb = *ratman_packet_cb(skb);

		/* The stack takes the control block for its own. */
		memset(skb->cb, 0, sizeof(skb->cb));
		local_bh_disable();
		icmpv6_ndo_send(skb, cb.type, cb.code, cb.info);
		ratman_drop(rdev, skb, cb.stat);
		local_bh_enable();
		cond_resched();
	}
}

/*
 * Drop a packet and tell its sender. Told from a work item: the sender may be
 * in here with its socket locked, and TCP takes an error for a passing one as
 * long as it is; or it is ICMPv6 itself, which answers nothing meanwhile.
 */
static void ratman_session_tell(struct ratman_dev *rdev, struct sk_buff *skb,
				const struct ratman_packet_cb *cb)
{
	/* Keepalives are nobody's packets. */
	if (skb->len < sizeof(struct ipv6hdr) ||
	    skb_queue_len_lockless(&rdev->errors) >= RATMAN_ERRORS_MAX) {
		ratman_drop(rdev, skb, cb->stat);
		return;
	}
	skb_orphan(skb);
	skb_dst_drop(skb);
	*ratman_packet_cb(skb) = *cb;
	skb_queue_tail(&rdev->errors, skb);
	queue_work(system_wq, &rdev->errors_work);
}

/**
 * ratman_session_unreachable - drop a packet and tell its sender
 * @rdev: mesh device
 * @skb: the packet; consumed
 * @code: of ICMPV6_DEST_UNREACH
 * @stat: why
 */
void ratman_session_unreachable(struct ratman_dev *rdev, struct sk_buff *skb, u8 code,
				enum ratman_stat stat)
{
	const struct ratman_packet_cb cb = {
		.stat = stat, .type = ICMPV6_DEST_UNREACH, .code = code,
	};

	ratman_session_tell(rdev, skb, &cb);
}

static void ratman_session_unreachable_list(struct ratman_dev *rdev, struct sk_buff *list)
{
	struct sk_buff *skb, *next;

	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		ratman_session_unreachable(rdev, skb, ICMPV6_ADDR_UNREACH, RATMAN_STAT_tx_no_route);
	}
}

/**
 * ratman_session_want - ask the daemon for a key
 * @rdev: mesh device
 * @session: for which session
 * @gap: not more often than this, in jiffies
 */
void ratman_session_want(struct ratman_dev *rdev, struct ratman_session *session, unsigned long gap)
{
	unsigned long last = READ_ONCE(session->last_want), now = jiffies;

	if (time_before(now, last + gap) || cmpxchg(&session->last_want, last, now) != last)
		return;
	if (!ratman_limit_take(&rdev->limits[RATMAN_PUNT_WANT])) {
		ratman_count(rdev, RATMAN_STAT_want_rate);
		return;
	}
	ratman_nl_session_want(rdev, session);
}

static bool ratman_session_key_sends(const struct ratman_session_key *key)
{
	return !ratman_session_key_older(key, RATMAN_REJECT_AFTER) &&
	       (u64)atomic64_read(&key->tx_counter) < RATMAN_REJECT_MESSAGES;
}

/* The frame around a packet that was encrypted. */
static void ratman_session_encap(const struct ratman_session *session,
				 const struct ratman_session_key *key, u64 nonce,
				 struct sk_buff *skb, union ratman_data_tagged *tagged)
{
	struct ratman_data_hdr *data;
	struct ratman_hop_hdr *hop;

	data = skb_push(skb, sizeof(*data));
	memcpy(data->dest, session->peer, sizeof(data->dest));
	data->session = key->peer_index;
	data->counter = cpu_to_be64(nonce);
	memcpy(tagged->data, data, sizeof(tagged->data));

	hop = skb_push(skb, sizeof(*hop));
	hop->ver_type = ratman_ver_type(RATMAN_DATA);
	hop->hop_limit = RATMAN_HOP_LIMIT;
	hop->len = cpu_to_be16(skb->len - sizeof(*hop));

	/* The socket stays charged until the link has sent the frame. */
	skb_scrub_packet(skb, false);
	skb->mark = 0;
	skb->ip_summed = CHECKSUM_NONE;
	skb->encapsulation = 0;
}

/* The largest packet for a path that carries frames of @mtu bytes. */
static unsigned int ratman_session_mtu(const struct ratman_dev *rdev, unsigned int mtu)
{
	return min_t(unsigned int, READ_ONCE(rdev->dev->mtu),
		     max_t(unsigned int, mtu, RATMAN_LINK_MTU_MIN) - RATMAN_DATA_OVERHEAD);
}

/*
 * Drop a packet that is too long, and tell the stack what is not: at once for
 * what it sends next, and its sender. A packet that was staged has left its
 * route and leaves it to the latter.
 */
static void ratman_session_too_big(struct ratman_dev *rdev, struct sk_buff *skb, unsigned int mtu)
{
	const struct ratman_packet_cb cb = {
		.stat = RATMAN_STAT_tx_too_big, .type = ICMPV6_PKT_TOOBIG, .info = mtu,
	};

	skb_dst_update_pmtu_no_confirm(skb, mtu);
	ratman_session_tell(rdev, skb, &cb);
}

static void ratman_session_send_one(struct ratman_dev *rdev, struct ratman_session *session,
				    struct ratman_session_key *key,
				    struct ratman_neigh_key *hop, unsigned int mtu,
				    struct sk_buff *skb)
{
	const struct net_device *out = hop->link->dev;
	union ratman_data_tagged tagged __ratman_uninit;
	unsigned int len = skb->len;
	u64 nonce;

	if (unlikely(len + RATMAN_DATA_OVERHEAD > mtu)) {
		ratman_session_too_big(rdev, skb, ratman_session_mtu(rdev, mtu));
		return;
	}
	/* Of the packet as it is now, so that flows stay on their queues. */
	skb_get_hash(skb);
	if (unlikely(ratman_crypt_room(skb, LL_RESERVED_SPACE(out) + sizeof(struct ratman_hop_hdr) +
				       sizeof(struct ratman_data_hdr),
				       RATMAN_AEAD_TAG_LEN + out->needed_tailroom))) {
		ratman_drop(rdev, skb, RATMAN_STAT_tx_nomem);
		return;
	}
	if (skb->ip_summed == CHECKSUM_PARTIAL && unlikely(skb_checksum_help(skb))) {
		ratman_drop(rdev, skb, RATMAN_STAT_tx_checksum);
		return;
	}
	nonce = atomic64_inc_return(&key->tx_counter) - 1;
	if (unlikely(nonce >= RATMAN_REJECT_MESSAGES)) {
		ratman_drop(rdev, skb, RATMAN_STAT_tx_key_exhausted);
		return;
	}
	ratman_crypt_seal(skb, key->tx_key, nonce);
	ratman_session_encap(session, key, nonce, skb, &tagged);

	if (len) {
		ratman_stats_add(rdev->stats, RATMAN_STAT_tx_packets, 1);
		dev_sw_netstats_tx_add(rdev->dev, 1, len);
		atomic64_inc(&session->tx_packets);
		atomic64_add(len, &session->tx_bytes);
		ratman_session_mark(&session->unanswered);
	} else {
		ratman_count(rdev, RATMAN_STAT_tx_keepalive);
	}
	ratman_session_clear(&session->unthanked);
	ratman_neigh_xmit_data(hop, skb, &tagged);
}

/* Encrypt packets and send frames of @mtu bytes at most to @hop, NULL if there is none. */
static void ratman_session_send_to(struct ratman_dev *rdev, struct ratman_session *session,
				   struct ratman_session_key *key, struct ratman_neigh_key *hop,
				   unsigned int mtu, struct sk_buff *list)
{
	struct sk_buff *skb, *next;

	if (unlikely(!hop)) {
		ratman_drop_list(rdev, list, RATMAN_STAT_tx_no_neigh);
		return;
	}
	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		ratman_session_send_one(rdev, session, key, hop, mtu, skb);
	}
	ratman_session_used(session);
	if (unlikely(ratman_session_key_older(key, key->initiator ? RATMAN_REKEY_INITIATOR :
							  RATMAN_REKEY_RESPONDER)))
		ratman_session_want(rdev, session, RATMAN_RENEW_GAP);
}

/* The next hop to a destination that is not ours, and the largest frame for it. */
static struct ratman_neigh_key *ratman_session_hop(const struct ratman_dest *dest,
						   unsigned int *mtu)
{
	struct ratman_neigh_key *hop;
	bool back;

	hop = ratman_dest_hop(dest, NULL, &back);
	*mtu = likely(hop) ? ratman_dest_mtu(dest, hop) : U16_MAX;
	return hop;
}

/**
 * ratman_session_send - encrypt packets and send them
 * @rdev: mesh device
 * @session: their session
 * @key: its current key
 * @list: the packets, linked by ->next; may be NULL; consumed
 */
void ratman_session_send(struct ratman_dev *rdev, struct ratman_session *session,
			 struct ratman_session_key *key, struct sk_buff *list)
{
	const struct ratman_dest *dest = ratman_fib_lookup(rdev, session->peer);
	struct ratman_neigh_key *hop;
	unsigned int mtu;

	if (unlikely(!dest || dest->local)) {
		ratman_session_unreachable_list(rdev, list);
		return;
	}
	hop = ratman_session_hop(dest, &mtu);
	ratman_session_send_to(rdev, session, key, hop, mtu, list);
}

/**
 * ratman_session_keepalive - send an empty packet, which shows that we have the key
 * @rdev: mesh device
 * @session: the session
 * @key: its current key
 */
void ratman_session_keepalive(struct ratman_dev *rdev, struct ratman_session *session,
			      struct ratman_session_key *key)
{
	unsigned int headroom = LL_MAX_HEADER + sizeof(struct ratman_hop_hdr) +
				sizeof(struct ratman_data_hdr);
	struct sk_buff *skb;

	skb = alloc_skb(headroom + RATMAN_AEAD_TAG_LEN, GFP_ATOMIC);
	if (!skb)
		return;
	skb_reserve(skb, headroom);
	skb_reset_network_header(skb);
	skb->dev = rdev->dev;
	ratman_session_send(rdev, session, key, skb);
}

/*
 * Let packets wait for a key. When there are too many in the session the
 * oldest goes, when there are too many in all the new one unless it has an
 * elder in its session.
 */
static void ratman_session_stage(struct ratman_dev *rdev, struct ratman_session *session,
				 struct sk_buff *list)
{
	struct ratman_session_key *key;
	struct sk_buff *skb, *next;
	struct sk_buff_head full;

	/* They may wait long: a socket should not be charged for that. */
	skb_list_walk_safe(list, skb, next) {
		skb_orphan(skb);
		skb_dst_drop(skb);
		ratman_packet_cb(skb)->since = jiffies;
	}

	__skb_queue_head_init(&full);
	spin_lock_bh(&session->lock);
	key = rcu_dereference_protected(session->cur, lockdep_is_held(&session->lock));
	if (session->dead || (key && ratman_session_key_sends(key))) {
		bool dead = session->dead;

		spin_unlock_bh(&session->lock);
		if (dead)
			ratman_drop_list(rdev, list, RATMAN_STAT_tx_staged_purged);
		else
			ratman_session_send(rdev, session, key, list);
		return;
	}
	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		if (skb_queue_len(&session->staged) >= RATMAN_STAGED_PER_SESSION ||
		    atomic_read(&rdev->staged) >= RATMAN_STAGED_MAX) {
			struct sk_buff *oldest = __skb_dequeue(&session->staged);

			if (!oldest) {
				__skb_queue_tail(&full, skb);
				continue;
			}
			__skb_queue_tail(&full, oldest);
			atomic_dec(&rdev->staged);
		}
		__skb_queue_tail(&session->staged, skb);
		atomic_inc(&rdev->staged);
		ratman_count(rdev, RATMAN_STAT_tx_staged);
	}
	spin_unlock_bh(&session->lock);

	while ((skb = __skb_dequeue(&full)))
		ratman_drop(rdev, skb, RATMAN_STAT_tx_staged_full);
	ratman_session_want(rdev, session, RATMAN_WANT_GAP);
}

/* The session for a packet that has none yet; the packet is consumed if there can be none. */
static struct ratman_session *ratman_session_open(struct ratman_dev *rdev,
						  const struct ratman_session_id *id,
						  struct sk_buff *skb)
{
	const struct ratman_dest *local, *route;
	struct ratman_session *session;

	local = ratman_fib_lookup6(rdev, &id->local);
	if (!local || !local->local) {
		ratman_session_unreachable(rdev, skb, ICMPV6_POLICY_FAIL, RATMAN_STAT_tx_no_source);
		return NULL;
	}
	route = ratman_fib_lookup6(rdev, &id->peer);
	if (!route || route->local) {
		ratman_session_unreachable(rdev, skb, ICMPV6_ADDR_UNREACH, RATMAN_STAT_tx_no_route);
		return NULL;
	}
	session = ratman_session_create(rdev, local, route->address, &route->ipv6, GFP_ATOMIC);
	if (IS_ERR(session)) {
		ratman_drop(rdev, skb, PTR_ERR(session) == -ENOSPC ?
			    RATMAN_STAT_tx_sessions_full : RATMAN_STAT_tx_nomem);
		return NULL;
	}
	return session;
}

/* Is it a packet that we take at all? It is consumed if not. */
static bool ratman_session_check(struct ratman_dev *rdev, struct sk_buff *skb)
{
	const struct ipv6hdr *ip6;

	if (unlikely(skb->protocol != htons(ETH_P_IPV6) || !pskb_may_pull(skb, sizeof(*ip6)))) {
		if (skb->protocol == htons(ETH_P_IP))
			icmp_ndo_send(skb, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0);
		ratman_drop(rdev, skb, RATMAN_STAT_tx_not_ipv6);
		return false;
	}
	skb_reset_network_header(skb);
	ip6 = ipv6_hdr(skb);
	if (unlikely(ip6->version != 6)) {
		ratman_drop(rdev, skb, RATMAN_STAT_tx_not_ipv6);
		return false;
	}
	if (unlikely(ipv6_addr_is_multicast(&ip6->daddr))) {
		ratman_drop(rdev, skb, RATMAN_STAT_tx_multicast);
		return false;
	}
	return true;
}

/* One packet, or the list of segments a large one is cut into; NULL when it was consumed. */
static struct sk_buff *ratman_session_segment(struct ratman_dev *rdev, struct sk_buff *skb,
					      unsigned int mtu)
{
	struct sk_buff *segments;

	if (skb_is_gso(skb) ? !skb_gso_validate_network_len(skb, mtu) : skb->len > mtu) {
		ratman_session_too_big(rdev, skb, mtu);
		return NULL;
	}
	if (!skb_is_gso(skb)) {
		skb_mark_not_on_list(skb);
		return skb;
	}
	segments = skb_gso_segment(skb, 0);
	if (IS_ERR_OR_NULL(segments)) {
		ratman_drop(rdev, skb, RATMAN_STAT_tx_gso);
		return NULL;
	}
	consume_skb(skb);
	return segments;
}

/**
 * ratman_session_xmit - a packet from the network stack
 * @rdev: mesh device
 * @skb: the packet; consumed
 */
void ratman_session_xmit(struct ratman_dev *rdev, struct sk_buff *skb)
{
	const struct ratman_dest *dest;
	struct ratman_session *session;
	struct ratman_session_key *key;
	struct ratman_session_id id;
	struct ratman_neigh_key *hop;
	unsigned int mtu;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (unlikely(!skb)) {
		ratman_count(rdev, RATMAN_STAT_tx_nomem);
		return;
	}
	if (!ratman_session_check(rdev, skb))
		return;
	id.local = ipv6_hdr(skb)->saddr;
	id.peer = ipv6_hdr(skb)->daddr;

	rcu_read_lock();
	session = ratman_session_lookup(rdev, &id);
	if (unlikely(!session))
		session = ratman_session_open(rdev, &id, skb);
	if (unlikely(!session))
		goto out;
	dest = ratman_fib_lookup(rdev, session->peer);
	if (unlikely(!dest || dest->local)) {
		ratman_session_unreachable(rdev, skb, ICMPV6_ADDR_UNREACH,
					   RATMAN_STAT_tx_no_route);
		goto out;
	}
	hop = ratman_session_hop(dest, &mtu);
	skb = ratman_session_segment(rdev, skb, ratman_session_mtu(rdev, mtu));
	if (unlikely(!skb))
		goto out;

	key = rcu_dereference(session->cur);
	if (likely(key && ratman_session_key_sends(key)))
		ratman_session_send_to(rdev, session, key, hop, mtu, skb);
	else
		ratman_session_stage(rdev, session, skb);
out:
	rcu_read_unlock();
}
