// SPDX-License-Identifier: GPL-2.0-only
/*
 * The way of a frame: receive, check, deliver or forward. Read from the bottom
 * up it is the hot path in order.
 *
 * A relay neither allocates (but for headroom, if a link needs more than the
 * frame brought), nor waits, nor touches a cache line that another CPU writes
 * for every frame. Offsets are fixed, so nothing is parsed twice; pointers into
 * a frame are taken anew after every call that may move it.
 */
#include "fib.h"
#include "forward.h"
#include "neigh.h"
#include "nl.h"
#include "session.h"

#define RATMAN_DATA_HDRS	(sizeof(struct ratman_hop_hdr) + sizeof(struct ratman_data_hdr))

static struct ratman_hop_hdr *ratman_hop(const struct sk_buff *skb)
{
	return (struct ratman_hop_hdr *)skb->data;
}

/* Where to send a frame that is not for us; NULL with a reason. */
static inline struct ratman_neigh_key *ratman_forward_hop(const struct ratman_dest *dest,
							  const struct ratman_neigh *from,
							  const struct sk_buff *skb,
							  enum ratman_stat *stat)
{
	struct ratman_neigh_key *key;
	bool back = false;

	if (unlikely(!dest)) {
		*stat = RATMAN_STAT_rx_no_route;
		return NULL;
	}
	if (unlikely(ratman_hop(skb)->hop_limit < 2)) {
		*stat = RATMAN_STAT_rx_hop_limit;
		return NULL;
	}
	key = ratman_dest_hop(dest, from, &back);
	if (unlikely(!key)) {
		*stat = back ? RATMAN_STAT_rx_split_horizon : RATMAN_STAT_rx_no_hop;
		return NULL;
	}
	if (unlikely(skb->len > ratman_link_mtu(key->link))) {
		*stat = RATMAN_STAT_fwd_too_big;
		return NULL;
	}
	return key;
}

/*
 * Make the hop header writable, with room for the next link's header, and
 * forget where the frame came from. Warning: may reallocate the data.
 */
static inline bool ratman_forward_prepare(struct sk_buff *skb, const struct ratman_neigh_key *key)
{
	if (unlikely(skb_cow_head(skb, LL_RESERVED_SPACE(key->link->dev))))
		return false;
	ratman_hop(skb)->hop_limit--;
	skb_scrub_packet(skb, true);
	skb->priority = 0;
	return true;
}

static void ratman_forward_data(struct ratman_dev *rdev, const struct ratman_dest *dest,
				const struct ratman_neigh *from, struct sk_buff *skb,
				union ratman_data_tagged *tagged)
{
	struct ratman_neigh_key *key;
	enum ratman_stat stat;

	key = ratman_forward_hop(dest, from, skb, &stat);
	if (unlikely(!key)) {
		ratman_drop(rdev, skb, stat);
		return;
	}
	if (unlikely(!ratman_forward_prepare(skb, key))) {
		ratman_drop(rdev, skb, RATMAN_STAT_fwd_nomem);
		return;
	}
	ratman_stats_add(rdev->stats, RATMAN_STAT_fwd_frames, 1);
	ratman_neigh_xmit_data(key, skb, tagged);
}

/* The neighbour a frame claims to come from, if it can be; NULL with a reason. */
static struct ratman_neigh_key *ratman_rcv_key(const struct ratman_link *link,
					       const struct ratman_hop_hdr *hdr,
					       enum ratman_stat *stat)
{
	struct ratman_neigh_key *key = ratman_neigh_key_get(link->rdev, be32_to_cpu(hdr->neigh));

	if (unlikely(!key)) {
		*stat = RATMAN_STAT_rx_neigh_unknown;
		return NULL;
	}
	if (unlikely(key->link != link)) {
		*stat = RATMAN_STAT_rx_neigh_wrong_link;
		return NULL;
	}
	return key;
}

static bool ratman_tag_differs(u64 computed, const struct ratman_hop_hdr *hdr)
{
	u64 differ = computed ^ get_unaligned_le64(hdr->tag);

	/* One test of all bits, on machines of any width. */
	return (u32)differ | (u32)(differ >> 32);
}

static void ratman_rcv_data(struct ratman_link *link, struct sk_buff *skb)
{
	struct ratman_dev *rdev = link->rdev;
	const struct ratman_dest *dest;
	union ratman_data_tagged tagged __ratman_uninit;
	struct ratman_neigh_key *key;
	struct ratman_hop_hdr *hdr;
	enum ratman_stat stat;

	if (unlikely(!pskb_may_pull(skb, RATMAN_DATA_HDRS))) {
		stat = RATMAN_STAT_rx_nomem;
		goto drop;
	}
	hdr = ratman_hop(skb);
	key = ratman_rcv_key(link, hdr, &stat);
	if (unlikely(!key))
		goto drop;

	memcpy(tagged.hop, hdr, sizeof(tagged.hop));
	memcpy(tagged.data, hdr + 1, sizeof(tagged.data));
	stat = RATMAN_STAT_rx_bad_tag;
	if (unlikely(ratman_tag_differs(siphash(&tagged, sizeof(tagged), &key->rx_key), hdr)))
		goto drop;
	stat = RATMAN_STAT_rx_replay;
	if (unlikely(!ratman_neigh_accept(key, be32_to_cpu(hdr->seq), skb->len)))
		goto drop;
	ratman_neigh_busy(key->neigh);

	dest = ratman_fib_lookup(rdev, tagged.data);
	if (dest && dest->local)
		ratman_session_rcv(rdev, dest, skb);
	else
		ratman_forward_data(rdev, dest, key->neigh, skb, &tagged);
	return;

drop:
	ratman_drop(rdev, skb, stat);
}

/* A Noise handshake between two addresses: ours goes to the daemon, others go on. */
static void ratman_rcv_handshake(struct ratman_link *link, struct ratman_neigh_key *from,
				 const u8 *address, struct sk_buff *skb)
{
	struct ratman_dev *rdev = link->rdev;
	const struct ratman_dest *dest;
	struct ratman_neigh_key *key;
	enum ratman_stat stat;

	dest = ratman_fib_lookup(rdev, address);
	if (dest && dest->local) {
		struct ratman_punt punt = {
			.type = RATMAN_HANDSHAKE,
			.limit = &from->neigh->handshake_limit,
			.neigh = from->index,
			.dest = dest->address,
			.offset = sizeof(struct ratman_hop_hdr) +
				  sizeof(struct ratman_handshake_hdr),
		};

		ratman_count(rdev, RATMAN_STAT_rx_handshake);
		ratman_nl_punt(rdev, skb, &punt);
		return;
	}
	key = ratman_forward_hop(dest, from->neigh, skb, &stat);
	if (unlikely(!key)) {
		ratman_drop(rdev, skb, stat);
		return;
	}
	if (unlikely(!ratman_forward_prepare(skb, key))) {
		ratman_drop(rdev, skb, RATMAN_STAT_fwd_nomem);
		return;
	}
	ratman_count(rdev, RATMAN_STAT_fwd_handshake);
	ratman_neigh_xmit_opaque(key, skb);
}

static void ratman_rcv_control(struct ratman_link *link, struct ratman_neigh_key *from,
			       struct sk_buff *skb)
{
	struct ratman_punt punt = {
		.type = RATMAN_CONTROL,
		.limit = &from->neigh->control_limit,
		.neigh = from->index,
		.offset = sizeof(struct ratman_hop_hdr),
	};

	ratman_count(link->rdev, RATMAN_STAT_rx_control);
	ratman_nl_punt(link->rdev, skb, &punt);
}

/* ECHO, CONTROL and HANDSHAKE: the tag is over all of it. */
static void ratman_rcv_tagged(struct ratman_link *link, struct sk_buff *skb, unsigned int type)
{
	const struct ratman_hop_hdr *hdr = ratman_hop(skb);
	const struct ratman_scratch *scratch;
	struct ratman_neigh_key *key;
	enum ratman_stat stat;
	u64 tag;

	key = ratman_rcv_key(link, hdr, &stat);
	if (unlikely(!key))
		goto drop;
	stat = RATMAN_STAT_rx_short;
	if (unlikely(!ratman_neigh_tag(skb, &key->rx_key, &tag)))
		goto drop;
	stat = RATMAN_STAT_rx_bad_tag;
	if (unlikely(ratman_tag_differs(tag, hdr)))
		goto drop;
	stat = RATMAN_STAT_rx_replay;
	if (unlikely(!ratman_neigh_accept(key, be32_to_cpu(hdr->seq), skb->len)))
		goto drop;

	/* ratman_neigh_tag() has put the body there. */
	scratch = this_cpu_ptr(ratman_scratch);
	switch (type) {
	case RATMAN_ECHO: {
		struct ratman_echo echo;

		memcpy(&echo, scratch->data + RATMAN_TAGGED_HDR, sizeof(echo));
		ratman_count(link->rdev, RATMAN_STAT_rx_echo);
		ratman_neigh_echo_rcv(key->neigh, &echo);
		consume_skb(skb);
		return;
	}
	case RATMAN_CONTROL:
		ratman_rcv_control(link, key, skb);
		return;
	default:
		ratman_rcv_handshake(link, key, scratch->data + RATMAN_TAGGED_HDR, skb);
		return;
	}
drop:
	ratman_drop(link->rdev, skb, stat);
}

/* A Noise handshake between routers: for the daemon, from whoever it may be. */
static void ratman_rcv_link(struct ratman_link *link, struct sk_buff *skb)
{
	struct ratman_punt punt = {
		.type = RATMAN_LINK,
		.limit = &link->link_limit,
		.link = link,
		.offset = sizeof(struct ratman_hop_hdr),
	};

	ratman_count(link->rdev, RATMAN_STAT_rx_link);
	ratman_nl_punt(link->rdev, skb, &punt);
}

static const enum ratman_stat ratman_frame_stat[] = {
	[RATMAN_FRAME_SHORT] = RATMAN_STAT_rx_short,
	[RATMAN_FRAME_VERSION] = RATMAN_STAT_rx_version,
	[RATMAN_FRAME_TYPE] = RATMAN_STAT_rx_type,
	[RATMAN_FRAME_LENGTH] = RATMAN_STAT_rx_length,
};

/*
 * Is it a whole frame, and for us? Afterwards the hop header is in the linear
 * part and the frame as long as it says. RATMAN_STAT_COUNT if all is well.
 */
static enum ratman_stat ratman_rcv_check(struct sk_buff *skb)
{
	const struct ratman_hop_hdr *hdr;
	enum ratman_frame_error error;
	unsigned int len;

	if (unlikely(skb->pkt_type == PACKET_OTHERHOST))
		return RATMAN_STAT_rx_other_host;
	/* Nobody merges or segments our frames; a virtual machine may claim so. */
	if (unlikely(skb_is_gso(skb)))
		return RATMAN_STAT_rx_gso;
	if (unlikely(!pskb_may_pull(skb, sizeof(*hdr))))
		return RATMAN_STAT_rx_short;
	hdr = ratman_hop(skb);
	error = ratman_frame_check(hdr, skb->len - sizeof(*hdr));
	if (unlikely(error != RATMAN_FRAME_OK))
		return ratman_frame_stat[error];
	if (unlikely(skb->pkt_type != PACKET_HOST && (hdr->ver_type & 0xf) != RATMAN_HELLO))
		return RATMAN_STAT_rx_bad_dest;

	/* Ethernet pads. */
	len = sizeof(*hdr) + be16_to_cpu(hdr->len);
	if (skb->len > len && unlikely(pskb_trim(skb, len)))
		return RATMAN_STAT_rx_nomem;
	skb->ip_summed = CHECKSUM_NONE;
	return RATMAN_STAT_COUNT;
}

/**
 * ratman_rcv - a frame has arrived on a link
 * @skb: begins after the link-layer header; consumed
 * @dev: the interface
 * @pt: the link's hook
 * @orig_dev: not used
 *
 * Called under RCU with bottom halves disabled.
 *
 * Return: NET_RX_SUCCESS or NET_RX_DROP, which nobody looks at.
 */
int ratman_rcv(struct sk_buff *skb, struct net_device *dev, struct packet_type *pt,
	       struct net_device *orig_dev)
{
	struct ratman_link *link = container_of(pt, struct ratman_link, pt);
	enum ratman_stat stat;
	unsigned int type;

	skb = skb_share_check(skb, GFP_ATOMIC);
	if (unlikely(!skb)) {
		ratman_count(link->rdev, RATMAN_STAT_rx_nomem);
		return NET_RX_DROP;
	}
	stat = ratman_rcv_check(skb);
	if (unlikely(stat != RATMAN_STAT_COUNT)) {
		ratman_drop(link->rdev, skb, stat);
		return NET_RX_DROP;
	}
	ratman_traffic_rx(link->stats, skb->len);

	type = ratman_hop(skb)->ver_type & 0xf;
	if (likely(type == RATMAN_DATA))
		ratman_rcv_data(link, skb);
	else if (type == RATMAN_HELLO)
		ratman_hello_rcv(link, skb);
	else if (type == RATMAN_LINK)
		ratman_rcv_link(link, skb);
	else
		ratman_rcv_tagged(link, skb, type);
	return NET_RX_SUCCESS;
}
