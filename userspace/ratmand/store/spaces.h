/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of namespaces this router may be a member of. Unlike an address, a
 * namespace has no owner here: every address that is up may join it, so its key
 * is kept without a token (microframe.md section 3.5).
 */
#ifndef RATMAND_STORE_SPACES_H
#define RATMAND_STORE_SPACES_H

#include "ratmand/store/addresses.h"
#include "ratmand/store/store.h"

#define SPACE_SEED_LEN 32

/*
 * Queues the key of @space, an ed25519 seed (borrowed). 0 also when it is there
 * already. -EINVAL when the two do not belong together, -EDQUOT (LIMIT_SPACES),
 * storage errors.
 */
int spaces_create(struct store *store, const struct address *space,
		  const uint8_t seed[static SPACE_SEED_LEN]);

bool spaces_has(struct store *store, const struct address *space);

/* The secret key into @secret (the caller wipes it). -ENOENT, -EBADMSG. */
int spaces_open(struct store *store, const struct address *space,
		uint8_t secret[static ADDRESS_SECRET_LEN]);

/* Queues removal. -ENOENT. */
int spaces_remove(struct store *store, const struct address *space);

/* Calls @cb for every namespace in byte order. */
int spaces_each(struct store *store, void (*cb)(void *ctx, const struct address *space),
		void *ctx);

#endif
