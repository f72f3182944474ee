// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/quota.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "ratmand/api/client.h"

/* Who is to be counted. */
static void identify(struct client *c, struct quota_row *out)
{
	struct sockaddr_storage from;
	const struct sockaddr_in *in = (const void *)&from;
	const struct sockaddr_in6 *in6 = (const void *)&from;

	*out = (struct quota_row){ .used = true, .uid = client_uid(c) };
	if (out->uid != TOKEN_NO_UID || client_comes_from(c, &from))
		return;
	if (from.ss_family == AF_INET)
		memcpy(out->host, &in->sin_addr, sizeof(in->sin_addr));
	else if (from.ss_family == AF_INET6)
		memcpy(out->host, &in6->sin6_addr, 8);	/* a host has a /64 to play with */
}

/* The row of @who, or one that may be used anew: the oldest, if none is free. */
static struct quota_row *find_row(struct quota *q, const struct quota_row *who, uint64_t now)
{
	struct quota_row *oldest = &q->rows[0];

	for (size_t i = 0; i < QUOTA_ROWS; i++) {
		struct quota_row *row = &q->rows[i];

		if (row->used && row->uid == who->uid &&
		    !memcmp(row->host, who->host, sizeof(row->host)) &&
		    now - row->since < QUOTA_MS)
			return row;
		if (!row->used || (oldest->used && row->since < oldest->since))
			oldest = row;
	}
	*oldest = *who;
	oldest->since = now;
	return oldest;
}

bool quota_take(struct client *c)
{
	struct api_server *s = c->server;
	struct quota_row who, *row;

	identify(c, &who);
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
