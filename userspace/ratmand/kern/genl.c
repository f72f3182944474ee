// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * kern.h over generic netlink. Two sockets: requests go over one, the other
 * claims the device and receives frames and events, so that an answer never
 * waits behind a burst of events.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/family.h>
#include <netlink/genl/genl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sodium.h>

#include "ratmand/kern/attrs.h"
#include "ratmand/kern/kern.h"
#include "ratmand/kern/kern_priv.h"
#include "ratmand/kern/nlsock.h"

/* An event message is read into this; the kernel sends none larger. */
#define EVENT_MAX 8192

/* The version of the module's family, 1 when the kernel does not say. */
static uint32_t family_version(struct nl_sock *sk)
{
	struct genl_family *family;
	struct nl_cache *cache;
	uint32_t version = 1;

	if (genl_ctrl_alloc_cache(sk, &cache))
		return version;
	family = genl_ctrl_search_by_name(cache, RATMAN_FAMILY_NAME);
	if (family) {
		version = genl_family_get_version(family);
		genl_family_put(family);
	}
	nl_cache_free(cache);
	return version;
}

int kern_open(struct kern **out, char *why, size_t size)
{
	struct kern *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	err = nlsock_open(&k->req, NETLINK_GENERIC);
	if (!err)
		err = nlsock_open(&k->events, NETLINK_GENERIC);
	if (!err)
		err = nlsock_open(&k->route, NETLINK_ROUTE);
	if (err) {
		snprintf(why, size, "cannot open a netlink socket: %s", strerror(-err));
		kern_close(k);
		return err;
	}
	k->family = genl_ctrl_resolve(k->req.sk, RATMAN_FAMILY_NAME);
	if (k->family < 0) {
		snprintf(why, size, "the kernel module ratman is not loaded; try: modprobe ratman");
		kern_close(k);
		return -ENOENT;
	}
	k->version = family_version(k->req.sk);
	k->events.mixed = true;
	*out = k;
	return 0;
}

void kern_close(struct kern *k)
{
	if (!k)
		return;
	nlsock_close(&k->req);
	nlsock_close(&k->events);
	nlsock_close(&k->route);
	free(k);
}

const char *kern_why(const struct kern *k)
{
	return k->why[0] ? k->why : strerror(k->last_err ? k->last_err : EIO);
}

uint32_t kern_version(const struct kern *k)
{
	return k->version;
}

int kern_fd(const struct kern *k)
{
	return nl_socket_get_fd(k->events.sk);
}

int kern_finish(struct kern *k, struct nlsock *s, int err)
{
	k->last_err = -err;
	snprintf(k->why, sizeof(k->why), "%s", err ? s->why : "");
	return err;
}

static struct nl_msg *new_request(struct kern *k, enum ratman_cmd cmd, int flags, uint32_t ifindex)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (!msg)
		return NULL;
	if (!genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, k->family, 0, flags, (uint8_t)cmd,
			 RATMAN_FAMILY_VERSION) ||
	    (ifindex && nla_put_u32(msg, RATMAN_A_IFINDEX, ifindex))) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* Sends a change; @put_err is what filling @msg gave. */
static int change(struct kern *k, struct nl_msg *msg, int put_err)
{
	if (put_err) {
		nlmsg_free(msg);
		k->last_err = -put_err;
		k->why[0] = 0;
		return put_err;
	}
	return kern_finish(k, &k->req, nlsock_request(&k->req, msg, NULL, NULL));
}

/*
 * A dump: one entry of this per kind ties the attribute, its parser and the
 * caller's callback together.
 */
struct dump {
	void *cb;
	void *ctx;
};

#define DUMP(kind, ATTR, CMD)                                                                 \
	static int on_##kind(struct nlmsghdr *hdr, void *ctx)                                 \
	{                                                                                     \
		struct dump *d = ctx;                                                         \
		struct kern_##kind record = { 0 };                                            \
		struct nlattr *nest = attrs_nest(hdr, ATTR, NULL);                               \
		kern_##kind##_cb cb = (kern_##kind##_cb)d->cb;                                \
                                                                                              \
		if (!nest || attrs_parse_##kind(nest, &record))                               \
			return -EBADMSG;                                                      \
		cb(d->ctx, &record);                                                          \
		return 0;                                                                     \
	}                                                                                     \
                                                                                              \
	int kern_##kind##s(struct kern *k, uint32_t ifindex, kern_##kind##_cb cb, void *ctx)  \
	{                                                                                     \
		struct dump d = { .cb = (void *)cb, .ctx = ctx };                             \
		struct nl_msg *msg = new_request(k, CMD, NLM_F_DUMP, ifindex);                \
                                                                                              \
		return kern_finish(k, &k->req, nlsock_request(&k->req, msg, on_##kind, &d));  \
	}

DUMP(link, RATMAN_A_LINK, RATMAN_CMD_LINK_GET)
DUMP(neigh, RATMAN_A_NEIGH, RATMAN_CMD_NEIGH_GET)
DUMP(route, RATMAN_A_ROUTE, RATMAN_CMD_ROUTE_GET)
DUMP(addr, RATMAN_A_ADDR, RATMAN_CMD_ADDR_GET)
DUMP(session, RATMAN_A_SESSION, RATMAN_CMD_SESSION_GET)

static int on_dev(struct nlmsghdr *hdr, void *ctx)
{
	struct dump *d = ctx;
	struct kern_dev dev = { 0 };
	struct nlattr *nest = attrs_nest(hdr, RATMAN_A_DEV, &dev.ifindex);
	kern_dev_cb cb = (kern_dev_cb)d->cb;

	if (!nest || attrs_parse_dev(nest, &dev))
		return -EBADMSG;
	cb(d->ctx, &dev);
	return 0;
}

int kern_devs(struct kern *k, kern_dev_cb cb, void *ctx)
{
	struct dump d = { .cb = (void *)cb, .ctx = ctx };
	struct nl_msg *msg = new_request(k, RATMAN_CMD_DEV_GET, NLM_F_DUMP, 0);

	return kern_finish(k, &k->req, nlsock_request(&k->req, msg, on_dev, &d));
}

static int on_stats(struct nlmsghdr *hdr, void *ctx)
{
	struct dump *d = ctx;
	kern_stat_cb cb = (kern_stat_cb)d->cb;
	struct nlattr *attr;
	int left;

	nlmsg_for_each_attr(attr, hdr, GENL_HDRLEN, left) {
		char name[64];
		uint64_t value;

		if (nla_type(attr) != RATMAN_A_STAT)
			continue;
		if (attrs_parse_stat(attr, name, &value))
			return -EBADMSG;
		cb(d->ctx, name, value);
	}
	return 0;
}

int kern_stats(struct kern *k, uint32_t ifindex, kern_stat_cb cb, void *ctx)
{
	struct dump d = { .cb = (void *)cb, .ctx = ctx };
	struct nl_msg *msg = new_request(k, RATMAN_CMD_STATS_GET, 0, ifindex);

	return kern_finish(k, &k->req, nlsock_request(&k->req, msg, on_stats, &d));
}

struct find {
	const char *name;
	struct kern_dev *out;
	int found;
};

static void find_dev(void *ctx, const struct kern_dev *dev)
{
	struct find *f = ctx;

	if (f->name && strcmp(f->name, dev->name))
		return;
	*f->out = *dev;
	f->found++;
}

int kern_dev_find(struct kern *k, const char *name, struct kern_dev *out)
{
	struct find f = { .name = name, .out = out };
	int err = kern_devs(k, find_dev, &f);

	if (err)
		return err;
	if (f.found == 1)
		return 0;
	k->last_err = ENODEV;
	if (f.found)
		snprintf(k->why, sizeof(k->why), "there are several mesh devices; name one");
	else
		snprintf(k->why, sizeof(k->why),
			 "there is no mesh device%s%s; try: ip link add %s type ratman",
			 name ? " " : "", name ? name : "", name ? name : "ratman0");
	return -ENODEV;
}

int kern_claim(struct kern *k, uint32_t ifindex, const struct address *router,
	       const uint8_t boot_id[8])
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_DEV_SET, NLM_F_ACK, ifindex);
	struct nlattr *nest;
	int err;

	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, RATMAN_A_DEV | NLA_F_NESTED);
	err = !nest;
	err |= nla_put(msg, RATMAN_A_DEV_ROUTER, ADDRESS_LEN, router->b);
	err |= nla_put(msg, RATMAN_A_DEV_BOOT_ID, 8, boot_id);
	err |= nla_put_flag(msg, RATMAN_A_DEV_CLAIM);
	if (err) {
		nlmsg_free(msg);
		return -EMSGSIZE;
	}
	nla_nest_end(msg, nest);
	/* From the event socket: that is the one the kernel will send to. */
	return kern_finish(k, &k->events, nlsock_request(&k->events, msg, NULL, NULL));
}

int kern_subscribe(struct kern *k)
{
	int group = genl_ctrl_resolve_grp(k->req.sk, RATMAN_FAMILY_NAME, RATMAN_MCGRP_EVENTS);

	if (group < 0 || nl_socket_add_membership(k->events.sk, group))
		return kern_finish(k, &k->events, -EPERM);
	return 0;
}

int kern_neigh_set(struct kern *k, uint32_t ifindex, const struct kern_neigh *neigh)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_NEIGH_SET, NLM_F_ACK, ifindex);
	int err;

	if (!msg)
		return -ENOMEM;
	err = attrs_put_neigh(msg, neigh);
	err = change(k, msg, err);
	return err;
}

int kern_neigh_del(struct kern *k, uint32_t ifindex, uint32_t link, const struct address *router)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_NEIGH_DEL, NLM_F_ACK, ifindex);
	struct nlattr *nest;
	int err;

	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, RATMAN_A_NEIGH | NLA_F_NESTED);
	err = !nest || nla_put_u32(msg, RATMAN_A_NEIGH_LINK, link) ||
	      nla_put(msg, RATMAN_A_NEIGH_ROUTER, ADDRESS_LEN, router->b);
	if (nest)
		nla_nest_end(msg, nest);
	return change(k, msg, err ? -EMSGSIZE : 0);
}

int kern_route_set(struct kern *k, uint32_t ifindex, const struct kern_route *route)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_ROUTE_SET, NLM_F_ACK, ifindex);
	struct kern_route r = *route;

	/* It would refuse what it does not know. */
	for (size_t i = 0; k->version < 2 && i < r.n_hops; i++)
		r.hops[i].mtu = 0;
	return msg ? change(k, msg, attrs_put_route(msg, &r)) : -ENOMEM;
}

/* A request that names its object by one address inside one nest. */
static int delete_by_address(struct kern *k, enum ratman_cmd cmd, uint32_t ifindex, int nest_type,
			     int type, const struct address *address)
{
	struct nl_msg *msg = new_request(k, cmd, NLM_F_ACK, ifindex);
	struct nlattr *nest;
	int err;

	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, nest_type | NLA_F_NESTED);
	err = !nest || nla_put(msg, type, ADDRESS_LEN, address->b);
	if (nest)
		nla_nest_end(msg, nest);
	return change(k, msg, err ? -EMSGSIZE : 0);
}

int kern_route_del(struct kern *k, uint32_t ifindex, const struct address *dest)
{
	return delete_by_address(k, RATMAN_CMD_ROUTE_DEL, ifindex, RATMAN_A_ROUTE,
				 RATMAN_A_ROUTE_DEST, dest);
}

int kern_addr_set(struct kern *k, uint32_t ifindex, const struct kern_addr *addr)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_ADDR_SET, NLM_F_ACK, ifindex);

	return msg ? change(k, msg, attrs_put_addr(msg, addr)) : -ENOMEM;
}

int kern_addr_del(struct kern *k, uint32_t ifindex, const struct address *address)
{
	return delete_by_address(k, RATMAN_CMD_ADDR_DEL, ifindex, RATMAN_A_ADDR,
				 RATMAN_A_ADDR_ADDRESS, address);
}

int kern_session_set(struct kern *k, uint32_t ifindex, const struct kern_session *session)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_SESSION_SET, NLM_F_ACK, ifindex);

	return msg ? change(k, msg, attrs_put_session(msg, session)) : -ENOMEM;
}

int kern_session_contact(struct kern *k, uint32_t ifindex, const struct kern_session *session)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_SESSION_SET, NLM_F_ACK, ifindex);

	return msg ? change(k, msg, attrs_put_session_contact(msg, session)) : -ENOMEM;
}

int kern_session_del(struct kern *k, uint32_t ifindex, const struct address *local,
		     const struct address *peer)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_SESSION_DEL, NLM_F_ACK, ifindex);
	struct nlattr *nest;
	int err;

	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, RATMAN_A_SESSION | NLA_F_NESTED);
	err = !nest || nla_put(msg, RATMAN_A_SESSION_LOCAL, ADDRESS_LEN, local->b) ||
	      nla_put(msg, RATMAN_A_SESSION_PEER, ADDRESS_LEN, peer->b);
	if (nest)
		nla_nest_end(msg, nest);
	return change(k, msg, err ? -EMSGSIZE : 0);
}

int kern_frame_tx(struct kern *k, uint32_t ifindex, const struct kern_frame *frame)
{
	struct nl_msg *msg = new_request(k, RATMAN_CMD_FRAME_TX, NLM_F_ACK, ifindex);

	return msg ? change(k, msg, attrs_put_frame(msg, frame)) : -ENOMEM;
}

int kern_dispatch(struct kern *k, kern_event_cb cb, void *ctx)
{
	uint8_t buf[EVENT_MAX] __attribute__((aligned(NLMSG_ALIGNTO)));
	int bad = 0;

	/* One batch per wakeup, so that other work gets its turn under a flood. */
	for (int i = 0; i < 256; i++) {
		struct nlmsghdr *hdr = (struct nlmsghdr *)buf;
		ssize_t n = recv(kern_fd(k), buf, sizeof(buf), MSG_DONTWAIT);
		int left = (int)n;

		if (n < 0) {
			if (errno == EAGAIN || errno == EINTR)
				return bad;
			return errno == ENOBUFS ? -ENOBUFS : -errno;
		}
		for (; nlmsg_ok(hdr, left); hdr = nlmsg_next(hdr, &left)) {
			struct kern_event ev = { 0 };

			if (hdr->nlmsg_type != k->family || attrs_parse_event(hdr, &ev))
				bad = -EBADMSG;
			else
				cb(ctx, &ev);
		}
	}
	return bad;
}
