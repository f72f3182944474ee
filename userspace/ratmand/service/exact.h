/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who has exactly this value somewhere in the profile: an index of the profiles of
 * others on the disk, next to them in cache/. It knows values as searches see
 * them (fold.h), by a hash, and not of which attribute they are: what it finds is
 * to be held against the query. It may find too many, never too few.
 */
#ifndef RATMAND_SERVICE_EXACT_H
#define RATMAND_SERVICE_EXACT_H

#include <sys/types.h>

#include "proto/user.h"
#include "ratmand/store/store.h"

/*
 * Queues what @new has and @old (NULL: nothing) has not; before @new is stored.
 * On a storage error nothing is left of it.
 */
int exact_add(struct store *store, const struct profile *old, const struct profile *new);

/* Queues the removal of what @old has and @new (NULL: nothing) has not; after @new was stored. */
void exact_remove(struct store *store, const struct profile *old, const struct profile *new);

/* The users who may have the value @text, at most @max: their number, -E2BIG for more, errors. */
ssize_t exact_find(struct store *store, const char *text, struct address *out, size_t max);

#endif
