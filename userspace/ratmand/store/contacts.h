/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contacts of local addresses, sealed under the owner's secret key: they open
 * only while the owner is up, and for nobody once the owner's key is gone.
 *
 * @secret is the owner's secret key (ADDRESS_SECRET_LEN bytes, borrowed). What
 * is queued here is durable after store_commit().
 */
#ifndef RATMAND_STORE_CONTACTS_H
#define RATMAND_STORE_CONTACTS_H

#include "proto/contact.h"
#include "ratmand/store/addresses.h"

/* Adds the contact, or replaces it. -E2BIG beyond LIMIT_CONTACTS; storage errors. */
int contacts_put(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		 const struct contact *contact);

/* -ENOENT, or -EBADMSG when what is stored is damaged (which is logged). */
int contacts_get(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		 const struct address *address, struct contact *out);

/* Queues removal, of a damaged one, too. -ENOENT. */
int contacts_remove(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		    const struct address *address);

/*
 * Applies @change to the contact it names, or to all that are not damaged. All
 * are checked before the first is written. @touched gets @n addresses (owned by
 * the caller, free()). -ENOENT, -EBADMSG, -E2BIG (too many tags), storage errors.
 */
int contacts_modify(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		    const struct contact_change *change, struct address **touched, size_t *n);

/*
 * Every contact, in no order that means anything, in steps: begin notes which there are
 * (-ENOMEM, storage errors), next calls @cb for at most @max of them (borrowed) and returns 1
 * when there are more, else 0. What comes meanwhile is not seen, what goes is left out, and so
 * is what is damaged, which is counted and at the end logged. @cb may write.
 */
struct sealed_name;
struct contacts_walk {
	struct sealed_name *names;	/* owned */
	size_t n, at;
	int damaged;
};

typedef void (*contacts_cb)(void *ctx, const struct contact *contact);
int contacts_walk_begin(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
			struct contacts_walk *walk);
int contacts_walk_next(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		       struct contacts_walk *walk, size_t max, contacts_cb cb, void *ctx);
void contacts_walk_end(struct contacts_walk *walk);

/* Queues the removal of all. */
int contacts_purge(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN]);

#endif
