/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Generic netlink: nl.c is the family, nl_{dev,neigh,route,session}.c are the
 * requests, nl_event.c is what we say unasked.
 */
#ifndef RATMAN_NL_H
#define RATMAN_NL_H

#include <net/genetlink.h>
#include <net/sock.h>

#include "fib.h"
#include "neigh.h"
#include "session.h"

/* Multicast groups by number. */
enum {
	RATMAN_NL_GROUP_EVENTS,
};

extern struct genl_family ratman_nl_family;

/* Policies, by nest. */
extern const struct nla_policy ratman_nl_dev_policy[RATMAN_A_DEV_MAX + 1];
extern const struct nla_policy ratman_nl_neigh_set_policy[RATMAN_A_NEIGH_MAX + 1];
extern const struct nla_policy ratman_nl_neigh_del_policy[RATMAN_A_NEIGH_MAX + 1];
extern const struct nla_policy ratman_nl_frame_policy[RATMAN_A_FRAME_MAX + 1];
extern const struct nla_policy ratman_nl_route_set_policy[RATMAN_A_ROUTE_MAX + 1];
extern const struct nla_policy ratman_nl_route_del_policy[RATMAN_A_ROUTE_MAX + 1];
extern const struct nla_policy ratman_nl_route_get_policy[RATMAN_A_ROUTE_MAX + 1];
extern const struct nla_policy ratman_nl_addr_set_policy[RATMAN_A_ADDR_MAX + 1];
extern const struct nla_policy ratman_nl_addr_del_policy[RATMAN_A_ADDR_MAX + 1];
extern const struct nla_policy ratman_nl_session_set_policy[RATMAN_A_SESSION_MAX + 1];
extern const struct nla_policy ratman_nl_session_del_policy[RATMAN_A_SESSION_MAX + 1];

/* The device of a request, locked by pre_doit. */
static inline struct ratman_dev *ratman_nl_dev(const struct genl_info *info)
{
	return info->user_ptr[0];
}

/**
 * struct ratman_nl_cursor - where a dump goes on, in netlink_callback.ctx
 * @ifindex: mesh device
 * @next: what that is depends on the dump
 */
struct ratman_nl_cursor {
	int ifindex;
	unsigned long next;
};

static inline struct ratman_nl_cursor *ratman_nl_cursor(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct ratman_nl_cursor) > sizeof(cb->ctx));
	return (struct ratman_nl_cursor *)cb->ctx;
}

/* nl.c */
int ratman_nl_nest(struct genl_info *info, int attr, int max, struct nlattr **tb,
		   const struct nla_policy *policy);
bool ratman_nl_missing(struct genl_info *info, int nest, struct nlattr **tb, const int *need,
		       unsigned int n);
int ratman_nl_refuse(struct netlink_ext_ack *extack, int err);
struct ratman_dev *ratman_nl_dump_begin(struct sk_buff *skb, struct netlink_callback *cb);
void ratman_nl_dump_end(struct ratman_dev *rdev);
void *ratman_nl_put(struct sk_buff *skb, const struct ratman_dev *rdev, u32 portid, u32 seq,
		    int flags, u8 cmd);
void *ratman_nl_put_dump(struct sk_buff *skb, struct netlink_callback *cb,
			 const struct ratman_dev *rdev, u8 cmd);
int ratman_nl_reply(struct sk_buff *skb, void *hdr, struct genl_info *info);
int ratman_nl_register(void);
void ratman_nl_unregister(void);

/* nl_dev.c */
int ratman_nl_dev_get(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_dev_dump(struct sk_buff *skb, struct netlink_callback *cb);
int ratman_nl_dev_set(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_link_dump(struct sk_buff *skb, struct netlink_callback *cb);
int ratman_nl_link_fill(struct sk_buff *skb, struct ratman_link *link,
			enum ratman_link_state state);
int ratman_nl_stats_get(struct sk_buff *skb, struct genl_info *info);

/* nl_neigh.c */
int ratman_nl_neigh_set(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_neigh_del(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_neigh_dump(struct sk_buff *skb, struct netlink_callback *cb);
int ratman_nl_neigh_fill(struct sk_buff *skb, const struct ratman_neigh *neigh, bool rekey);
int ratman_nl_frame_tx(struct sk_buff *skb, struct genl_info *info);

/* nl_route.c */
int ratman_nl_route_set(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_route_del(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_route_get(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_route_dump(struct sk_buff *skb, struct netlink_callback *cb);
int ratman_nl_addr_set(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_addr_del(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_addr_dump(struct sk_buff *skb, struct netlink_callback *cb);

/* nl_session.c */
int ratman_nl_session_set(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_session_del(struct sk_buff *skb, struct genl_info *info);
int ratman_nl_session_dump(struct sk_buff *skb, struct netlink_callback *cb);

/**
 * struct ratman_punt - a frame for the daemon
 * @type: LINK, CONTROL or HANDSHAKE
 * @limit: of the source
 * @link: where a LINK frame came from, else NULL
 * @neigh: where others came from: our index, else 0
 * @dest: destination of a HANDSHAKE, else NULL
 * @offset: where the body begins in the frame
 */
struct ratman_punt {
	enum ratman_frame_type type;
	struct ratman_limit *limit;
	const struct ratman_link *link;
	u32 neigh;
	const u8 *dest;
	unsigned int offset;
};

/* nl_event.c: any context, under RCU or ratman_dev.lock */
void ratman_nl_punt(struct ratman_dev *rdev, struct sk_buff *skb, const struct ratman_punt *punt);
void ratman_nl_candidate(struct ratman_link *link, const u8 *lladdr,
			 const struct ratman_hello *hello);
void ratman_nl_neigh_event(const struct ratman_neigh *neigh, bool rekey);
void ratman_nl_link_event(struct ratman_link *link, enum ratman_link_state state);
void ratman_nl_session_want(struct ratman_dev *rdev, const struct ratman_session *session);

#endif
