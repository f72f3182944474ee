/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which content in the journal is the one of a file id, for all users of the
 * instance: what one has packed or received need not be kept twice for another.
 *
 * An entry opens the content, and is sealed under a key made from the file id: the
 * node key alone tells how many there are, not what they are. Entries are hints:
 * whether the content is held still, the journal says.
 */
#ifndef RATMAND_STORE_CONTENTS_H
#define RATMAND_STORE_CONTENTS_H

#include "ratmand/store/files.h"

/* The content of @id into @out (FILES_CONTENT_MAX bytes, the caller wipes it): its length, or -ENOENT, -EBADMSG. */
ssize_t contents_get(struct store *store, const struct ident *id, uint8_t *out);

/* Queues it, in place of what there was. Storage errors. */
int contents_put(struct store *store, const struct ident *id, const uint8_t *content, size_t len);
int contents_del(struct store *store, const struct ident *id);

#endif
