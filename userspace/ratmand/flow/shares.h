/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who gives way when the commons are full. Addresses cost nothing, so nobody's age or number
 * counts, only what is held: first stay the newest profiles, one of each sender, up to
 * three quarters of the room; in what is left the other items in rounds: everybody's newest,
 * then everybody's second newest, and so on, the newer first in each. So who has the most loses his
 * oldest, and nobody loses his newest to somebody's second.
 *
 * All of it depends only on the set of items held, and what was dropped from a part is
 * dropped from the whole: in whatever order members hear of items, they come to hold the same.
 */
#ifndef RATMAND_FLOW_SHARES_H
#define RATMAND_FLOW_SHARES_H

#include "ratmand/flow/exchange.h"
#include "ratmand/flow/inbox.h"

struct share_holder {
	UT_hash_handle hh;
	struct address from;
	size_t profiles;	/* one, or two for a moment */
	size_t others;
};

struct shares {
	struct share_holder *all;	/* owned */
	size_t profiles;		/* of all */
	size_t most, most_profiles;	/* the room, in items */
};

void shares_init(struct shares *s, size_t most, size_t most_profiles);
void shares_free(struct shares *s);

/* An item comes (-ENOMEM) or goes. */
int shares_add(struct shares *s, const struct inbox_entry *e);
void shares_remove(struct shares *s, const struct inbox_entry *e);

/*
 * Of @n items, by mark, the one that has to go for want of room, or NULL. O(n), and only
 * when there is something to go.
 */
struct inbox_entry *shares_excess(const struct shares *s, struct inbox_entry *const *items, size_t n);

/*
 * True when an item of @from with @mark would not be the first to go, were it among the @n held.
 * @newer of his that are no profiles are newer than it.
 */
bool shares_admit(const struct shares *s, struct inbox_entry *const *items, size_t n,
		  const struct exchange_mark *mark, const struct address *from, uint8_t kind,
		  size_t newer);

#endif
