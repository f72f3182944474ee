/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Does a contact fit a query, terms and all (service-api.md R28)? A term's field is
 * nick, location, or the key of any other tag, in letters of either case; "note" is
 * the note, and "" all of their values. like.h has the kinds of match.
 */
#ifndef RATMAND_SERVICE_CONTACT_SEARCH_H
#define RATMAND_SERVICE_CONTACT_SEARCH_H

#include "proto/contact.h"

struct contact_search;

/* Makes ready what @f asks for (borrowed). -ENOMEM, -EMSGSIZE (LIMIT_CONTACT_WORDS). */
int contact_search_new(struct contact_search **out, const struct contact_filter *f);
void contact_search_free(struct contact_search *s);

/* True when @c has all that the filter asks for (R28). */
bool contact_search_fits(const struct contact_search *s, const struct contact *c);

#endif
