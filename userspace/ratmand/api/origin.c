// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/origin.h"

#include <netinet/in.h>
#include <string.h>

#include "ratmand/api/client.h"

struct origin origin_of(struct client *c)
{
	struct origin o = { .uid = client_uid(c) };
	struct sockaddr_storage from;
	const struct sockaddr_in *in = (const void *)&from;
	const struct sockaddr_in6 *in6 = (const void *)&from;

	if (o.uid != TOKEN_NO_UID || client_comes_from(c, &from))
		return o;
	if (from.ss_family == AF_INET) {
		memset(o.host + 10, 0xff, 2);
		memcpy(o.host + 12, &in->sin_addr, sizeof(in->sin_addr));
	} else if (from.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
		memcpy(o.host, &in6->sin6_addr, sizeof(o.host));
	} else if (from.ss_family == AF_INET6) {
		memcpy(o.host, &in6->sin6_addr, 8);	/* a host has a /64 to play with */
	}
	return o;
}

bool origin_equal(const struct origin *a, const struct origin *b)
{
	return a->uid == b->uid && !memcmp(a->host, b->host, sizeof(a->host));
}
