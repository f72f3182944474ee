/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filters of contacts as programs write them, for the wire. Private to the library.
 */
#ifndef LIBRATMAN_FILTER_H
#define LIBRATMAN_FILTER_H

#include "proto/contact.h"
#include "ratman/ratman.h"

/* Most addresses a filter can name, so that the request stays below the daemon's limit. */
#define FILTER_ADDRESSES_MAX 1024
/* With terms of very long keys that is not enough: a writer that has failed means -E2BIG. */
#define FILTER_PAYLOAD_MAX LIMIT_CONTROL_PAYLOAD

/* @in NULL: everything. @out borrows from it. -EINVAL, -EILSEQ, -E2BIG. */
int filter_build(const struct ratman_contact_filter *in, struct contact_filter *out);

/*
 * Terms of a search, their attributes of less than @longest bytes; @out borrows from @in.
 * -EINVAL, -EILSEQ, -E2BIG (also when there are too many).
 */
int filter_build_terms(const struct ratman_user_term *in, size_t n, size_t longest,
		       struct user_term out[static LIMIT_QUERY_TERMS]);

/* The same as filter_build() of a search. */
int filter_build_search(const struct ratman_contact_search *in, struct contact_filter *out);

/* True when no tag has a value. */
bool filter_has_keys_only(const struct contact_filter *f);

/* Adds @n tags, a NULL value being an empty one. -EINVAL, -EILSEQ, -E2BIG; -EEXIST for a key twice. */
int filter_add_tags(struct contact_tags *tags, const struct ratman_tag *in, size_t n);

#endif
