/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users of whom no profile is kept any more, because they said good-bye, were destroyed
 * here or had to go for want of room, and up to which version nothing of them is taken: so that
 * nobody plays back to us what they announced before. The last LIMIT_BYGONE of them, in memory and in cache/.
 */
#ifndef RATMAND_STORE_BYGONE_H
#define RATMAND_STORE_BYGONE_H

#include "base/address.h"
#include "ratmand/store/keyhash.h"
#include "ratmand/store/store.h"

struct bygone_user {
	UT_hash_handle hh;
	struct address id;
	uint64_t version;
	uint64_t order;		/* grows from one to the next */
	bool gone;		/* for ever, as far as he said; else he was evicted */
};

struct bygone {
	struct store *store;
	struct bygone_user *all;	/* oldest first; owned */
	uint64_t next_order;
};

/* Loads them all. @store is borrowed. Storage errors, -ENOMEM; then it is empty. */
int bygone_load(struct bygone *b, struct store *store);
void bygone_free(struct bygone *b);

/*
 * Nothing of @id up to @version is to be taken. The one who was put there first goes when there
 * are too many. What the disk refuses holds until the next start. -ENOMEM.
 */
int bygone_put(struct bygone *b, const struct address *id, uint64_t version, bool gone);

/* He is back. */
void bygone_remove(struct bygone *b, const struct address *id);

/* 0 when nothing is known of him. */
uint64_t bygone_version(const struct bygone *b, const struct address *id);
bool bygone_is_gone(const struct bygone *b, const struct address *id);

#endif
