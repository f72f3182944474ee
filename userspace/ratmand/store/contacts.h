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
 * Calls @cb for every contact (borrowed) in no order that means anything; as in
 * store_each() it must not write. Damaged ones are left out and logged; returns
 * how many, or a negative errno.
 */
typedef void (*contacts_cb)(void *ctx, const struct contact *contact);
int contacts_each(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		  contacts_cb cb, void *ctx);

/* Queues the removal of all. */
int contacts_purge(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN]);

#endif
