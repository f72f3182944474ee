/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much room files take that came unasked, of all users together, those that are still
 * arriving included. Each is marked, on disk too, by the id of its parcel while it arrives and by
 * the tag of its content when it is kept; what is not there any more is noticed when room is needed.
 */
#ifndef RATMAND_SERVICE_FILEROOM_H
#define RATMAND_SERVICE_FILEROOM_H

#include "ratmand/flow/content.h"
#include "ratmand/store/keyhash.h"

#define FILEROOM_KEY_LEN (2 + sizeof(struct ident))

struct fileroom_mark {
	UT_hash_handle hh;
	uint8_t key[FILEROOM_KEY_LEN];	/* as in the store */
	uint64_t size;
};

struct fileroom {
	struct store *store;
	struct flow *flow;
	struct fileroom_mark *all;	/* owned */
	uint64_t total;			/* bytes */
	uint64_t most;
};

/* Both are borrowed. Storage errors, -ENOMEM. */
int fileroom_load(struct fileroom *room, struct store *store, struct flow *flow);
void fileroom_free(struct fileroom *room);

/*
 * True when there is room for @size bytes that came unasked as the parcel @id, which may have
 * been reserved before: no more than room->most in all, nor than a tenth of what is free on the disk.
 */
bool fileroom_fits(struct fileroom *room, const struct ident *id, uint64_t size);

/* They will come: they count from now on. -ENOMEM. */
int fileroom_reserve(struct fileroom *room, const struct ident *id, uint64_t size);

/* They have come as the parcel @id, and are kept as @content. */
void fileroom_keep(struct fileroom *room, const struct ident *id, const struct flow_content *content);

#endif
