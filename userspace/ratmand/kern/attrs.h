/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attributes of the family "ratman" <-> the structs of kern.h.
 */
#ifndef RATMAND_KERN_ATTRS_H
#define RATMAND_KERN_ATTRS_H

#include <netlink/attr.h>
#include <netlink/msg.h>

#include "ratmand/kern/kern.h"

/*
 * Each parses the nested attribute @nest (borrowed) into a zeroed @out.
 * Returns 0 or -EBADMSG; missing attributes leave zeroes.
 */
int attrs_parse_dev(struct nlattr *nest, struct kern_dev *out);
int attrs_parse_link(struct nlattr *nest, struct kern_link *out);
int attrs_parse_neigh(struct nlattr *nest, struct kern_neigh *out);
int attrs_parse_route(struct nlattr *nest, struct kern_route *out);
int attrs_parse_addr(struct nlattr *nest, struct kern_addr *out);
int attrs_parse_session(struct nlattr *nest, struct kern_session *out);
/* The body stays in the message. */
int attrs_parse_frame(struct nlattr *nest, struct kern_frame *out);
int attrs_parse_stat(struct nlattr *nest, char name[static 64], uint64_t *value);

/*
 * The nested attribute @type of a message of the family (borrowed), or NULL; sets
 * @ifindex (may be NULL) when the message names the mesh device.
 */
struct nlattr *attrs_nest(struct nlmsghdr *hdr, int type, uint32_t *ifindex);

/* Parses an event wholly into @out; a frame's body stays in the message. 0 or -EBADMSG. */
int attrs_parse_event(struct nlmsghdr *hdr, struct kern_event *out);

/* Each appends one nested attribute; -EMSGSIZE when the message is full. */
int attrs_put_neigh(struct nl_msg *msg, const struct kern_neigh *neigh);
int attrs_put_route(struct nl_msg *msg, const struct kern_route *route);
int attrs_put_addr(struct nl_msg *msg, const struct kern_addr *addr);
int attrs_put_session(struct nl_msg *msg, const struct kern_session *session);
/* Without keys and indices. */
int attrs_put_session_contact(struct nl_msg *msg, const struct kern_session *session);
int attrs_put_frame(struct nl_msg *msg, const struct kern_frame *frame);

#endif
