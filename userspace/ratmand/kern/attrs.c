// SPDX-License-Identifier: GPL-2.0-or-later
#include "attrs.h"

#include <errno.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <string.h>

/*
 * One row per attribute: how long it is and where it goes in the struct. The
 * same table reads dumps and checks their lengths; @at is an offset.
 */
struct field {
	enum { FIELD_NONE, FIELD_U32, FIELD_U64, FIELD_BYTES, FIELD_STRING, FIELD_FLAG } kind;
	size_t at;
	size_t size;
};

#define U32(type, member) { FIELD_U32, offsetof(struct type, member), sizeof(uint32_t) }
#define U64(type, member) { FIELD_U64, offsetof(struct type, member), sizeof(uint64_t) }
#define BYTES(type, member) \
	{ FIELD_BYTES, offsetof(struct type, member), sizeof(((struct type *)0)->member) }
#define STRING(type, member) \
	{ FIELD_STRING, offsetof(struct type, member), sizeof(((struct type *)0)->member) }
#define FLAG(type, member) { FIELD_FLAG, offsetof(struct type, member), sizeof(bool) }

static const struct field dev_fields[RATMAN_A_DEV_MAX + 1] = {
	[RATMAN_A_DEV_NAME] = STRING(kern_dev, name),
	[RATMAN_A_DEV_ROUTER] = BYTES(kern_dev, router),
	[RATMAN_A_DEV_BOOT_ID] = BYTES(kern_dev, boot_id),
	[RATMAN_A_DEV_CLAIM] = FLAG(kern_dev, claimed),
	[RATMAN_A_DEV_NEIGHS] = U32(kern_dev, neighs),
	[RATMAN_A_DEV_ROUTES] = U32(kern_dev, routes),
	[RATMAN_A_DEV_ADDRS] = U32(kern_dev, addrs),
	[RATMAN_A_DEV_SESSIONS] = U32(kern_dev, sessions),
};

static const struct field link_fields[RATMAN_A_LINK_MAX + 1] = {
	[RATMAN_A_LINK_IFINDEX] = U32(kern_link, ifindex),
	[RATMAN_A_LINK_NAME] = STRING(kern_link, name),
	[RATMAN_A_LINK_MTU] = U32(kern_link, mtu),
	[RATMAN_A_LINK_STATE] = U32(kern_link, state),
	[RATMAN_A_LINK_NEIGHS] = U32(kern_link, neighs),
	[RATMAN_A_LINK_RX_FRAMES] = U64(kern_link, rx_frames),
	[RATMAN_A_LINK_TX_FRAMES] = U64(kern_link, tx_frames),
	[RATMAN_A_LINK_RX_BYTES] = U64(kern_link, rx_bytes),
	[RATMAN_A_LINK_TX_BYTES] = U64(kern_link, tx_bytes),
};

static const struct field neigh_fields[RATMAN_A_NEIGH_MAX + 1] = {
	[RATMAN_A_NEIGH_LINK] = U32(kern_neigh, link),
	[RATMAN_A_NEIGH_LLADDR] = BYTES(kern_neigh, lladdr),
	[RATMAN_A_NEIGH_ROUTER] = BYTES(kern_neigh, router),
	[RATMAN_A_NEIGH_INDEX] = U32(kern_neigh, index),
	[RATMAN_A_NEIGH_PEER_INDEX] = U32(kern_neigh, peer_index),
	[RATMAN_A_NEIGH_STATE] = U32(kern_neigh, state),
	[RATMAN_A_NEIGH_BOOT_ID] = BYTES(kern_neigh, boot_id),
	[RATMAN_A_NEIGH_RTT_US] = U32(kern_neigh, rtt_us),
	[RATMAN_A_NEIGH_LOSS] = U32(kern_neigh, loss),
	[RATMAN_A_NEIGH_SILENT_MS] = U32(kern_neigh, silent_ms),
	[RATMAN_A_NEIGH_RX_FRAMES] = U64(kern_neigh, rx_frames),
	[RATMAN_A_NEIGH_TX_FRAMES] = U64(kern_neigh, tx_frames),
	[RATMAN_A_NEIGH_RX_BYTES] = U64(kern_neigh, rx_bytes),
	[RATMAN_A_NEIGH_TX_BYTES] = U64(kern_neigh, tx_bytes),
	[RATMAN_A_NEIGH_AGE_MS] = U64(kern_neigh, age_ms),
	[RATMAN_A_NEIGH_REKEY] = FLAG(kern_neigh, rekey),
};

static const struct field addr_fields[RATMAN_A_ADDR_MAX + 1] = {
	[RATMAN_A_ADDR_ADDRESS] = BYTES(kern_addr, address),
	[RATMAN_A_ADDR_IPV6] = BYTES(kern_addr, ipv6),
	[RATMAN_A_ADDR_POLICY] = U32(kern_addr, policy),
};

static const struct field session_fields[RATMAN_A_SESSION_MAX + 1] = {
	[RATMAN_A_SESSION_LOCAL] = BYTES(kern_session, local),
	[RATMAN_A_SESSION_PEER] = BYTES(kern_session, peer),
	[RATMAN_A_SESSION_LOCAL_IPV6] = BYTES(kern_session, local_ipv6),
	[RATMAN_A_SESSION_PEER_IPV6] = BYTES(kern_session, peer_ipv6),
	[RATMAN_A_SESSION_INDEX] = U32(kern_session, index),
	[RATMAN_A_SESSION_PEER_INDEX] = U32(kern_session, peer_index),
	[RATMAN_A_SESSION_INITIATOR] = FLAG(kern_session, initiator),
	[RATMAN_A_SESSION_CONTACT] = FLAG(kern_session, contact),
	[RATMAN_A_SESSION_AGE_MS] = U64(kern_session, age_ms),
	[RATMAN_A_SESSION_RX_PACKETS] = U64(kern_session, rx_packets),
	[RATMAN_A_SESSION_TX_PACKETS] = U64(kern_session, tx_packets),
	[RATMAN_A_SESSION_RX_BYTES] = U64(kern_session, rx_bytes),
	[RATMAN_A_SESSION_TX_BYTES] = U64(kern_session, tx_bytes),
	[RATMAN_A_SESSION_STAGED] = U32(kern_session, staged),
	[RATMAN_A_SESSION_IDLE_MS] = U64(kern_session, idle_ms),
};

/* Reads the attributes of @nest into @out by the table; unknown ones are skipped. */
static int parse(struct nlattr *nest, const struct field *fields, int max, void *out)
{
	struct nlattr *attr;
	int left;

	nla_for_each_nested(attr, nest, left) {
		const struct field *f;
		uint8_t *to;
		int type = nla_type(attr), len = nla_len(attr);

		if (type > max || fields[type].kind == FIELD_NONE)
			continue;
		f = &fields[type];
		to = (uint8_t *)out + f->at;
		switch (f->kind) {
		case FIELD_U32:
		case FIELD_U64:
		case FIELD_BYTES:
			if (len != (int)f->size)
				return -EBADMSG;
			memcpy(to, nla_data(attr), f->size);
			break;
		case FIELD_STRING:
			if (len < 1)
				return -EBADMSG;
			snprintf((char *)to, f->size, "%.*s", len, (char *)nla_data(attr));
			break;
		case FIELD_FLAG:
			*(bool *)to = true;
			break;
		case FIELD_NONE:
			break;
		}
	}
	return 0;
}

int attrs_parse_dev(struct nlattr *nest, struct kern_dev *out)
{
	return parse(nest, dev_fields, RATMAN_A_DEV_MAX, out);
}

int attrs_parse_link(struct nlattr *nest, struct kern_link *out)
{
	return parse(nest, link_fields, RATMAN_A_LINK_MAX, out);
}

int attrs_parse_neigh(struct nlattr *nest, struct kern_neigh *out)
{
	return parse(nest, neigh_fields, RATMAN_A_NEIGH_MAX, out);
}

int attrs_parse_addr(struct nlattr *nest, struct kern_addr *out)
{
	return parse(nest, addr_fields, RATMAN_A_ADDR_MAX, out);
}

int attrs_parse_session(struct nlattr *nest, struct kern_session *out)
{
	return parse(nest, session_fields, RATMAN_A_SESSION_MAX, out);
}

static int parse_hop(struct nlattr *nest, struct kern_route *out)
{
	static const struct field fields[RATMAN_A_HOP_MAX + 1] = {
		[RATMAN_A_HOP_NEIGH] = U32(kern_hop, neigh),
		[RATMAN_A_HOP_METRIC] = U32(kern_hop, metric),
		[RATMAN_A_HOP_MTU] = U32(kern_hop, mtu),
	};

	if (out->n_hops == RATMAN_ROUTE_HOPS_MAX)
		return -EBADMSG;
	return parse(nest, fields, RATMAN_A_HOP_MAX, &out->hops[out->n_hops++]);
}

int attrs_parse_route(struct nlattr *nest, struct kern_route *out)
{
	static const struct field fields[RATMAN_A_ROUTE_MAX + 1] = {
		[RATMAN_A_ROUTE_DEST] = BYTES(kern_route, dest),
		[RATMAN_A_ROUTE_IPV6] = BYTES(kern_route, ipv6),
		[RATMAN_A_ROUTE_EXPIRES_MS] = U32(kern_route, expires_ms),
	};
	struct nlattr *attr;
	int left, err;

	err = parse(nest, fields, RATMAN_A_ROUTE_MAX, out);
	nla_for_each_nested(attr, nest, left) {
		if (err)
			return err;
		if (nla_type(attr) == RATMAN_A_ROUTE_HOP) {
			err = parse_hop(attr, out);
		} else if (nla_type(attr) == RATMAN_A_ROUTE_COOKIE) {
			if (nla_len(attr) > RATMAN_COOKIE_MAX)
				return -EBADMSG;
			out->cookie_len = (size_t)nla_len(attr);
			memcpy(out->cookie, nla_data(attr), out->cookie_len);
		}
	}
	return err;
}

int attrs_parse_frame(struct nlattr *nest, struct kern_frame *out)
{
	static const struct field fields[RATMAN_A_FRAME_MAX + 1] = {
		[RATMAN_A_FRAME_TYPE] = U32(kern_frame, type),
		[RATMAN_A_FRAME_LINK] = U32(kern_frame, link),
		[RATMAN_A_FRAME_LLADDR] = BYTES(kern_frame, lladdr),
		[RATMAN_A_FRAME_NEIGH] = U32(kern_frame, neigh),
		[RATMAN_A_FRAME_DEST] = BYTES(kern_frame, dest),
	};
	struct nlattr *body;

	body = nla_find(nla_data(nest), nla_len(nest), RATMAN_A_FRAME_BODY);
	if (!body || nla_len(body) < 1)
		return -EBADMSG;
	out->body = nla_data(body);
	out->len = (size_t)nla_len(body);
	return parse(nest, fields, RATMAN_A_FRAME_MAX, out);
}

int attrs_parse_stat(struct nlattr *nest, char name[static 64], uint64_t *value)
{
	struct stat_record {
		char name[64];
		uint64_t value;
	} record = { 0 };
	static const struct field fields[RATMAN_A_STAT_MAX + 1] = {
		[RATMAN_A_STAT_NAME] = STRING(stat_record, name),
		[RATMAN_A_STAT_VALUE] = U64(stat_record, value),
	};
	int err = parse(nest, fields, RATMAN_A_STAT_MAX, &record);

	memcpy(name, record.name, sizeof(record.name));
	*value = record.value;
	return err;
}

struct nlattr *attrs_nest(struct nlmsghdr *hdr, int type, uint32_t *ifindex)
{
	struct nlattr *head = nlmsg_attrdata(hdr, GENL_HDRLEN);
	int len = nlmsg_attrlen(hdr, GENL_HDRLEN);
	struct nlattr *ifi = nla_find(head, len, RATMAN_A_IFINDEX);

	if (ifindex && ifi && nla_len(ifi) == sizeof(uint32_t))
		*ifindex = nla_get_u32(ifi);
	return nla_find(head, len, type);
}

int attrs_parse_event(struct nlmsghdr *hdr, struct kern_event *ev)
{
	struct genlmsghdr *genl = nlmsg_data(hdr);
	struct nlattr *nest;

	if (!genlmsg_valid_hdr(hdr, 0))
		return -EBADMSG;
	ev->cmd = genl->cmd;
	switch (ev->cmd) {
	case RATMAN_CMD_FRAME_RX:
		nest = attrs_nest(hdr, RATMAN_A_FRAME, &ev->ifindex);
		return nest ? attrs_parse_frame(nest, &ev->frame) : -EBADMSG;
	case RATMAN_CMD_CANDIDATE_NTF:
	case RATMAN_CMD_NEIGH_NTF:
		nest = attrs_nest(hdr, RATMAN_A_NEIGH, &ev->ifindex);
		return nest ? attrs_parse_neigh(nest, &ev->neigh) : -EBADMSG;
	case RATMAN_CMD_LINK_NTF:
		nest = attrs_nest(hdr, RATMAN_A_LINK, &ev->ifindex);
		return nest ? attrs_parse_link(nest, &ev->link) : -EBADMSG;
	case RATMAN_CMD_SESSION_WANT:
		nest = attrs_nest(hdr, RATMAN_A_SESSION, &ev->ifindex);
		return nest ? attrs_parse_session(nest, &ev->session) : -EBADMSG;
	default:
		return -EBADMSG;
	}
}

/* libnl's nla_put_* give 0 or a negative libnl code, whose only cause here is a full message. */
static int full(int err)
{
	return err ? -EMSGSIZE : 0;
}

int attrs_put_neigh(struct nl_msg *msg, const struct kern_neigh *n)
{
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_NEIGH | NLA_F_NESTED);
	int err = !nest;

	err |= nla_put_u32(msg, RATMAN_A_NEIGH_LINK, n->link);
	err |= nla_put(msg, RATMAN_A_NEIGH_LLADDR, sizeof(n->lladdr), n->lladdr);
	err |= nla_put(msg, RATMAN_A_NEIGH_ROUTER, ADDRESS_LEN, n->router.b);
	err |= nla_put_u32(msg, RATMAN_A_NEIGH_INDEX, n->index);
	err |= nla_put_u32(msg, RATMAN_A_NEIGH_PEER_INDEX, n->peer_index);
	err |= nla_put(msg, RATMAN_A_NEIGH_RX_KEY, sizeof(n->rx_key), n->rx_key);
	err |= nla_put(msg, RATMAN_A_NEIGH_TX_KEY, sizeof(n->tx_key), n->tx_key);
	err |= nla_put(msg, RATMAN_A_NEIGH_BOOT_ID, sizeof(n->boot_id), n->boot_id);
	if (n->initiator)
		err |= nla_put_flag(msg, RATMAN_A_NEIGH_INITIATOR);
	if (nest)
		nla_nest_end(msg, nest);
	return full(err);
}

int attrs_put_route(struct nl_msg *msg, const struct kern_route *r)
{
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_ROUTE | NLA_F_NESTED);
	int err = !nest;

	err |= nla_put(msg, RATMAN_A_ROUTE_DEST, ADDRESS_LEN, r->dest.b);
	err |= nla_put(msg, RATMAN_A_ROUTE_IPV6, sizeof(r->ipv6), &r->ipv6);
	for (size_t i = 0; i < r->n_hops; i++) {
		struct nlattr *hop = nla_nest_start(msg, RATMAN_A_ROUTE_HOP | NLA_F_NESTED);

		err |= !hop;
		err |= nla_put_u32(msg, RATMAN_A_HOP_NEIGH, r->hops[i].neigh);
		err |= nla_put_u32(msg, RATMAN_A_HOP_METRIC, r->hops[i].metric);
		if (r->hops[i].mtu)
			err |= nla_put_u32(msg, RATMAN_A_HOP_MTU, r->hops[i].mtu);
		if (hop)
			nla_nest_end(msg, hop);
	}
	err |= nla_put_u32(msg, RATMAN_A_ROUTE_EXPIRES_MS, r->expires_ms);
	if (r->cookie_len)
		err |= nla_put(msg, RATMAN_A_ROUTE_COOKIE, (int)r->cookie_len, r->cookie);
	if (nest)
		nla_nest_end(msg, nest);
	return full(err);
}

int attrs_put_addr(struct nl_msg *msg, const struct kern_addr *a)
{
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_ADDR | NLA_F_NESTED);
	int err = !nest;

	err |= nla_put(msg, RATMAN_A_ADDR_ADDRESS, ADDRESS_LEN, a->address.b);
	err |= nla_put(msg, RATMAN_A_ADDR_IPV6, sizeof(a->ipv6), &a->ipv6);
	err |= nla_put_u32(msg, RATMAN_A_ADDR_POLICY, a->policy);
	if (nest)
		nla_nest_end(msg, nest);
	return full(err);
}

static int put_session_ends(struct nl_msg *msg, const struct kern_session *s)
{
	int err = nla_put(msg, RATMAN_A_SESSION_LOCAL, ADDRESS_LEN, s->local.b);

	err |= nla_put(msg, RATMAN_A_SESSION_PEER, ADDRESS_LEN, s->peer.b);
	err |= nla_put(msg, RATMAN_A_SESSION_LOCAL_IPV6, sizeof(s->local_ipv6), &s->local_ipv6);
	err |= nla_put(msg, RATMAN_A_SESSION_PEER_IPV6, sizeof(s->peer_ipv6), &s->peer_ipv6);
	if (s->contact)
		err |= nla_put_flag(msg, RATMAN_A_SESSION_CONTACT);
	return err;
}

int attrs_put_session(struct nl_msg *msg, const struct kern_session *s)
{
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_SESSION | NLA_F_NESTED);
	int err = !nest;

	err |= put_session_ends(msg, s);
	err |= nla_put_u32(msg, RATMAN_A_SESSION_INDEX, s->index);
	err |= nla_put_u32(msg, RATMAN_A_SESSION_PEER_INDEX, s->peer_index);
	err |= nla_put(msg, RATMAN_A_SESSION_RX_KEY, sizeof(s->rx_key), s->rx_key);
	err |= nla_put(msg, RATMAN_A_SESSION_TX_KEY, sizeof(s->tx_key), s->tx_key);
	if (s->initiator)
		err |= nla_put_flag(msg, RATMAN_A_SESSION_INITIATOR);
	if (nest)
		nla_nest_end(msg, nest);
	return full(err);
}

int attrs_put_session_contact(struct nl_msg *msg, const struct kern_session *s)
{
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_SESSION | NLA_F_NESTED);
	int err = !nest;

	err |= put_session_ends(msg, s);
	if (nest)
		nla_nest_end(msg, nest);
	return full(err);
}

int attrs_put_frame(struct nl_msg *msg, const struct kern_frame *f)
{
	struct nlattr *nest = nla_nest_start(msg, RATMAN_A_FRAME | NLA_F_NESTED);
	int err = !nest;

	err |= nla_put_u32(msg, RATMAN_A_FRAME_TYPE, f->type);
	switch (f->type) {
	case RATMAN_LINK:
		err |= nla_put_u32(msg, RATMAN_A_FRAME_LINK, f->link);
		err |= nla_put(msg, RATMAN_A_FRAME_LLADDR, sizeof(f->lladdr), f->lladdr);
		break;
	case RATMAN_CONTROL:
		err |= nla_put_u32(msg, RATMAN_A_FRAME_NEIGH, f->neigh);
		break;
	case RATMAN_HANDSHAKE:
		err |= nla_put(msg, RATMAN_A_FRAME_DEST, ADDRESS_LEN, f->dest.b);
		break;
	default:
		return -EINVAL;
	}
	err |= nla_put(msg, RATMAN_A_FRAME_BODY, (int)f->len, f->body);
	if (nest)
		nla_nest_end(msg, nest);
	return full(err);
}
