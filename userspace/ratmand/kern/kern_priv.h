/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What genl.c and rtnl.c share.
 */
#ifndef RATMAND_KERN_KERN_PRIV_H
#define RATMAND_KERN_KERN_PRIV_H

#include "ratmand/kern/kern.h"
#include "ratmand/kern/nlsock.h"

struct kern {
	struct nlsock req;	/* generic netlink requests */
	struct nlsock events;	/* claims the device; frames and events come here */
	struct nlsock route;	/* rtnetlink */
	int family;
	uint32_t version;	/* of the family */
	int last_err;		/* positive errno */
	char why[256];
};

/* Keeps @s's sentence for kern_why() and returns @err. */
int kern_finish(struct kern *kern, struct nlsock *s, int err);

#endif
