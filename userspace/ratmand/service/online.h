/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whose own keys are open: those of the local addresses that are online. With
 * them what is private to an address can be read and written (store/records.h).
 */
#ifndef RATMAND_SERVICE_ONLINE_H
#define RATMAND_SERVICE_ONLINE_H

#include "ratmand/store/records.h"

struct online;

/* The keys lie in guarded memory: not swapped, not dumped. -ENOMEM. */
int online_new(struct online **out, struct store *store);
/* Wipes every key. */
void online_free(struct online *online);

/* Opens the records of @address under its own key (copied). 0 also when they were open; -EDQUOT. */
int online_add(struct online *online, const struct address *address,
	       const uint8_t key[static ADDRESS_KEY_LEN]);

/* Wipes its keys; nothing happens when they are not open. */
void online_remove(struct online *online, const struct address *address);

/* Borrowed until it is removed, or NULL when @address is not online. */
const struct records *online_records(const struct online *online, const struct address *address);

/* Its own key (ADDRESS_KEY_LEN bytes); borrowed and NULL alike. */
const uint8_t *online_key(const struct online *online, const struct address *address);

/* Calls @cb for each; it must not add or remove any. */
void online_each(const struct online *online,
		 void (*cb)(void *ctx, const struct records *records), void *ctx);

#endif
