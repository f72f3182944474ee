// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What the daemon allows, and how often somebody met it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libratman/handle.h"

_Static_assert(sizeof(((struct ratman_limit *)0)->name) == PING_LIMIT_NAME_MAX, "name");
_Static_assert(sizeof(((struct ratman_limit *)0)->unit) == PING_LIMIT_UNIT_MAX, "unit");

static int limits_copy(struct ping *ping, struct ratman_limit *list)
{
	for (size_t i = 0; i < ping->limits.n; i++) {
		struct ping_limit l;

		if (ping_next_limit(ping, &l))
			return RATMAN_EPROTOCOL;
		memcpy(list[i].name, l.name, sizeof(list[i].name));
		memcpy(list[i].unit, l.unit, sizeof(list[i].unit));
		list[i].limit = l.limit;
		list[i].used = l.used;
		list[i].hits = l.hits;
	}
	return 0;
}

PUBLIC int ratman_limits(struct ratman *r, struct ratman_limit **out, size_t *n)
{
	struct ratman_limit *list = NULL;
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, OP_INTRINSIC_LIMITS, NULL, NULL, 0, PING_LIMITS, &reply, &ping);

	if (!err) {
		list = calloc(ping.limits.n + 1, sizeof(*list));
		err = list ? limits_copy(&ping, list) : -ENOMEM;
	}
	reply_free(&reply);
	if (err) {
		free(list);
		return err;
	}
	*out = list;
	*n = ping.limits.n;
	return 0;
}
