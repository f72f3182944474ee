// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/quota.h"

#include <unistd.h>

#include "ratmand/api/client.h"

/* The row of @who, or one that may be used anew: the oldest, if none is free. */
static struct quota_row *find_row(struct quota *q, const struct origin *who, uint64_t now)
{
	struct quota_row *oldest = &q->rows[0];

	for (size_t i = 0; i < QUOTA_ROWS; i++) {
		struct quota_row *row = &q->rows[i];

		if (row->used && origin_equal(&row->origin, who) && now - row->since < QUOTA_MS)
			return row;
		if (!row->used || (oldest->used && row->since < oldest->since))
			oldest = row;
	}
	*oldest = (struct quota_row){ .used = true, .origin = *who, .since = now };
	return oldest;
}

bool quota_take(struct client *c)
{
	struct api_server *s = c->server;
	struct origin who = origin_of(c);
	struct quota_row *row;

	if (who.uid == 0 || who.uid == geteuid())
		return true;
	row = find_row(&s->quota, &who, client_now(c));
	if (row->n >= s->limits.creations) {
		s->counters.refused_creations++;
		return false;
	}
	row->n++;
	return true;
}

uint32_t quota_used(const struct api_server *s, uint64_t now)
{
	uint32_t most = 0;

	for (size_t i = 0; i < QUOTA_ROWS; i++) {
		const struct quota_row *row = &s->quota.rows[i];

		if (row->used && now - row->since < QUOTA_MS && row->n > most)
			most = row->n;
	}
	return most;
}
