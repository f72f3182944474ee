/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How many addresses and users one Unix user, or one host whose users are not
 * known, may make in a minute: else any program here could use up all addresses
 * there may be in an instant. Private to api/.
 */
#ifndef RATMAND_API_QUOTA_H
#define RATMAND_API_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

#include "ratmand/api/origin.h"

#define QUOTA_ROWS 64
#define QUOTA_MS 60000

struct quota_row {
	bool used;
	struct origin origin;
	uint64_t since;		/* ms: start of the minute counted */
	uint32_t n;
};

struct quota {
	struct quota_row rows[QUOTA_ROWS];
};

struct client;

/*
 * Counts one more for the program of @c, unless it is the administrator's: then
 * always true. False: that would be more than max_creations.
 */
bool quota_take(struct client *c);

struct api_server;

/* The most that anybody made in his minute. */
uint32_t quota_used(const struct api_server *s, uint64_t now);

#endif
