// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the mesh to local programs: decrypt, check that the packet is what the
 * session stands for and what the address's policy lets in, and hand it to
 * the stack.
 */
#include <linux/icmpv6.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <net/ipv6.h>

#include "crypt.h"
#include "session.h"

/* Where daemons meet, whoever they are. */
#define RATMAN_STREAM_PORT	5853

/*
 * What strangers may send: answers in any case, which TCP tells from questions
 * by itself; with the policy "contacts" also TCP to the daemon and pings. No
 * fragments and no extension headers: what is in them cannot be seen here.
 */
static bool ratman_policy_stranger(const struct sk_buff *skb, u8 policy)
{
	const void *payload = skb->data + sizeof(struct ipv6hdr);
	unsigned int len = skb->len - sizeof(struct ipv6hdr);
	const struct icmp6hdr *icmp6 = payload;
	const struct tcphdr *tcp = payload;

	switch (ipv6_hdr(skb)->nexthdr) {
	case IPPROTO_TCP:
		if (len < sizeof(*tcp))
			return false;
		if (tcp->ack || tcp->rst)
			return true;
		return policy == RATMAN_POLICY_CONTACTS && tcp->dest == htons(RATMAN_STREAM_PORT);
	case IPPROTO_ICMPV6:
		if (len < sizeof(*icmp6))
			return false;
		if (!(icmp6->icmp6_type & ICMPV6_INFOMSG_MASK))
			return true;
		if (icmp6->icmp6_type == ICMPV6_ECHO_REPLY)
			return true;
		return policy == RATMAN_POLICY_CONTACTS &&
		       icmp6->icmp6_type == ICMPV6_ECHO_REQUEST;
	default:
		return false;
	}
}

/* Is the decrypted packet one that this session may carry? RATMAN_STAT_COUNT if so. */
static enum ratman_stat ratman_session_inner(const struct ratman_session *session,
					     const struct ratman_dest *dest, struct sk_buff *skb)
{
	const struct ipv6hdr *ip6 = (const void *)skb->data;
	unsigned int len;
	u8 policy;

	if (unlikely(skb->len < sizeof(*ip6)))
		return RATMAN_STAT_rx_inner_length;
	if (unlikely(ip6->version != 6))
		return RATMAN_STAT_rx_inner_version;
	len = sizeof(*ip6) + be16_to_cpu(ip6->payload_len);
	if (unlikely(len > skb->len))
		return RATMAN_STAT_rx_inner_length;
	__skb_trim(skb, len);
	if (unlikely(!ipv6_addr_equal(&ip6->saddr, &session->id.peer)))
		return RATMAN_STAT_rx_inner_source;
	if (unlikely(!ipv6_addr_equal(&ip6->daddr, &session->id.local)))
		return RATMAN_STAT_rx_inner_dest;

	policy = READ_ONCE(dest->policy);
	if (policy == RATMAN_POLICY_OPEN ||
	    (policy == RATMAN_POLICY_CONTACTS && READ_ONCE(session->contact)))
		return RATMAN_STAT_COUNT;
	skb_reset_network_header(skb);
	return ratman_policy_stranger(skb, policy) ? RATMAN_STAT_COUNT : RATMAN_STAT_rx_policy;
}

static void ratman_session_deliver(struct ratman_dev *rdev, struct sk_buff *skb)
{
	/*
	 * Over veth a frame still belongs to the sender's socket. GRO drops the
	 * destructors of what it merges, and with them references to the socket.
	 */
	skb_orphan(skb);
	skb_scrub_packet(skb, true);
	skb_clear_hash(skb);
	skb_set_queue_mapping(skb, 0);
	skb_reset_mac_header(skb);
	skb_reset_mac_len(skb);
	skb_reset_network_header(skb);
	skb_reset_transport_header(skb);
	skb->encapsulation = 0;
	skb->priority = 0;
	skb->protocol = htons(ETH_P_IPV6);
	skb->dev = rdev->dev;
	/* The sender's tag covers every checksum inside. */
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	skb->csum_level = ~0;

	ratman_stats_add(rdev->stats, RATMAN_STAT_rx_packets, 1);
	dev_sw_netstats_rx_add(rdev->dev, skb->len);
	gro_cells_receive(&rdev->gro_cells, skb);
}

/**
 * ratman_session_rcv - a DATA frame for an address of ours
 * @rdev: mesh device
 * @dest: the address
 * @skb: the frame, with hop and DATA header in the linear part; consumed
 *
 * Under RCU with bottom halves disabled.
 */
void ratman_session_rcv(struct ratman_dev *rdev, const struct ratman_dest *dest,
			struct sk_buff *skb)
{
	const struct ratman_data_hdr *data = (void *)skb->data + sizeof(struct ratman_hop_hdr);
	u64 counter = be64_to_cpu(data->counter);
	struct ratman_session_key *key;
	struct ratman_session *session;
	enum ratman_stat stat;
	bool fresh;

	key = ratman_session_key_lookup(rdev, be32_to_cpu(data->session));
	if (unlikely(!key || !ratman_equal_32(key->session->local, dest->address))) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_session_unknown);
		return;
	}
	session = key->session;
	if (unlikely(ratman_session_key_older(key, RATMAN_REJECT_AFTER) ||
		     counter >= RATMAN_REJECT_MESSAGES)) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_session_expired);
		return;
	}

	skb_pull(skb, sizeof(struct ratman_hop_hdr) + sizeof(struct ratman_data_hdr));
	if (unlikely(skb_linearize_cow(skb))) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_nomem);
		return;
	}
	if (unlikely(!ratman_crypt_open(skb, key->rx_key, counter))) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_decrypt);
		return;
	}

	spin_lock(&key->replay_lock);
	fresh = ratman_replay_accept(&key->rx_next, key->rx_bits, RATMAN_SESSION_WORDS, counter);
	spin_unlock(&key->replay_lock);
	if (unlikely(!fresh)) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_session_replay);
		return;
	}
	if (unlikely(rcu_access_pointer(session->next) == key))
		ratman_session_proven(rdev, key);
	ratman_session_used(session);
	ratman_session_clear(&session->unanswered);

	if (!skb->len) {
		ratman_count(rdev, RATMAN_STAT_rx_keepalive);
		consume_skb(skb);
		return;
	}
	ratman_session_mark(&session->unthanked);
	atomic64_inc(&session->rx_packets);
	atomic64_add(skb->len, &session->rx_bytes);
	stat = ratman_session_inner(session, dest, skb);
	if (unlikely(stat != RATMAN_STAT_COUNT)) {
		ratman_drop(rdev, skb, stat);
		return;
	}
	ratman_session_deliver(rdev, skb);
}
