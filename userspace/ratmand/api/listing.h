/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reply that is a list: entries of any length, gathered one by one. Private to api/.
 */
#ifndef RATMAND_API_LISTING_H
#define RATMAND_API_LISTING_H

#include "ratmand/api/client.h"

struct listing {
	struct listing_entry *entries;	/* owned */
	size_t n, room;
	uint8_t *bytes;			/* owned */
	size_t len, size;
	bool failed;			/* out of memory */
};

/*
 * @len bytes for the entry of @address, to be written before the next call
 * (borrowed); NULL when there is no memory or no room: 65535 entries are all
 * that a list can count.
 */
uint8_t *listing_add(struct listing *l, const struct address *address, size_t len);

/*
 * Sends ping @kind with count and entries, with @sort in the byte order of
 * their addresses, and the token of the request with @echo; or an Error when
 * memory ran out. Frees what @l holds.
 */
void listing_reply(struct client *c, struct listing *l, enum ping_kind kind, bool sort, bool echo);

void listing_free(struct listing *l);

#endif
