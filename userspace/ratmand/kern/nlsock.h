/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One netlink socket with the kernel's own error sentences (extended acks).
 */
#ifndef RATMAND_KERN_NLSOCK_H
#define RATMAND_KERN_NLSOCK_H

#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdbool.h>

struct nlsock {
	struct nl_sock *sk;
	int err;		/* of the request under way */
	bool done;
	bool mixed;		/* events may come between a request and its answer */
	char why[256];
};

/* Handles one answer; a negative errno ends the request with it. */
typedef int (*nlsock_msg_cb)(struct nlmsghdr *hdr, void *ctx);

/* Connects to @protocol (NETLINK_GENERIC, NETLINK_ROUTE). Negative errno. */
int nlsock_open(struct nlsock *s, int protocol);
void nlsock_close(struct nlsock *s);

/*
 * Sends @msg (owned, also on failure; NULL gives -ENOMEM) and waits for the
 * acknowledgement or the end of the dump, passing answers to @cb (may be NULL).
 */
int nlsock_request(struct nlsock *s, struct nl_msg *msg, nlsock_msg_cb cb, void *ctx);

#endif
