/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a profile fit a query (service-api.md R16)? Case does not count.
 *
 * Attributes are handle, display_name, services (each name is a value of it), id,
 * and every key of a bio; "" looks at all of them, at the keys of the bio, too,
 * but at an id only when the pattern is a whole one. like.h has the kinds of match; the
 * empty pattern finds who has the attribute.
 */
#ifndef RATMAND_SERVICE_SEARCH_H
#define RATMAND_SERVICE_SEARCH_H

#include "proto/user.h"
#include "ratmand/service/like.h"

struct search;

/* Makes ready what @q asks for (copied). -ENOMEM. */
int search_new(struct search **out, const struct user_query *q);
void search_free(struct search *s);

/* What search_may_match() needs to know of a profile. */
void search_sum(const struct profile *p, struct fold_sum *out);

/* False when the profile of @id with this sum cannot match: quick, and mostly right. */
bool search_may_match(const struct search *s, const struct address *id,
		      const struct fold_sum *sum);

/* The whole answer (R16): true when every term fits @p. */
bool search_matches(const struct search *s, const struct profile *p);

/* How many characters search_matches() looks at, at most, one seen again counted again. */
size_t search_work(const struct search *s, const struct profile *p);

/* True when @pattern is an id in hex, dashes aside. */
bool search_whole_id(const char *pattern, struct address *out);

#endif
