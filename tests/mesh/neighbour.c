// SPDX-License-Identifier: GPL-2.0-or-later
#include "mesh/neighbour.h"

static uint64_t next_stamp(void *ctx, const struct address *address)
{
	static uint64_t stamp;

	(void)ctx;
	(void)address;
	return ++stamp;
}

static void seen(void *ctx, const struct address *address, uint64_t sequence)
{
	(void)ctx;
	(void)address;
	(void)sequence;
}

static uint64_t last_seen(void *ctx, const struct address *address)
{
	(void)ctx;
	(void)address;
	return 0;
}

static void reachable(void *ctx, const struct address *peer)
{
	(void)ctx;
	(void)peer;
}

static bool nobody(void *ctx, const struct address *local, const struct address *peer)
{
	(void)ctx;
	(void)local;
	(void)peer;
	return false;
}

static void joined(void *ctx)
{
	(void)ctx;
}

const struct mesh_ops neighbour_ops = {
	.next_stamp = next_stamp, .seen = seen, .last_seen = last_seen, .reachable = reachable,
	.is_contact = nobody, .joined = joined,
};
