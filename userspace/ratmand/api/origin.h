/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose program a client is, as far as shares go: that of a Unix user, or where the
 * kernel does not know of one, of a host. Private to api/.
 */
#ifndef RATMAND_API_ORIGIN_H
#define RATMAND_API_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct client;

struct origin {
	uid_t uid;		/* TOKEN_NO_UID: not known */
	uint8_t host[16];	/* then: an IPv6 prefix of 64 bits, or ::ffff: and an IPv4 address */
};

/* Of @c; asks the kernel, once. */
struct origin origin_of(struct client *c);

/* The same Unix user of this host, or the same other host. */
bool origin_equal(const struct origin *a, const struct origin *b);

#endif
