/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lists of what an address has contacts with; for namespaces 2 and 4. Private to api/.
 */
#ifndef RATMAND_API_CONTACT_H
#define RATMAND_API_CONTACT_H

#include "proto/contact.h"
#include "ratmand/api/listing.h"

typedef int (*contact_filter_reader)(const uint8_t *data, size_t len, struct contact_filter *out);
/* Adds to @l what there is to say of @contact, or nothing. */
typedef void (*contact_collector)(struct client *c, struct listing *l,
				  const struct contact *contact);

/*
 * Answers, after as many turns of the loop as it takes, with a list, sorted, of the contacts of
 * whom the token stands for: those that fit the filter in the request, or, @read NULL, all.
 */
void contact_list_start(struct client *c, contact_filter_reader read, contact_collector collect,
			enum ping_kind kind);

#endif
