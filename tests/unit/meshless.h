/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_MESHLESS_H
#define TESTS_UNIT_MESHLESS_H

#include "ratmand/flow/flow.h"

/*
 * What streams are told where the mesh is off: nobody is in reach. The secret of
 * a local address is asked of @secret_ (see struct flow_ops).
 */
#define MESHLESS_OPS(secret_) \
	{ .secret = (secret_), .reachable = meshless_reachable, .endpoint = meshless_endpoint, \
	  .speaks_for = meshless_speaks_for }

static inline bool meshless_reachable(void *ctx, const struct address *peer)
{
	(void)ctx;
	(void)peer;
	return false;
}

static inline bool meshless_endpoint(void *ctx, const struct address *address, bool source,
				     struct sockaddr_in6 *out)
{
	(void)ctx;
	(void)address;
	(void)source;
	(void)out;
	return false;
}

static inline bool meshless_speaks_for(void *ctx, const struct sockaddr_in6 *source,
				       const struct address *claimed)
{
	(void)ctx;
	(void)source;
	(void)claimed;
	return false;
}

#endif
