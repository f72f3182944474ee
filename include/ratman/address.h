/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Addresses of this router. Of libratman: see ratman.h. */
#ifndef RATMAN_ADDRESS_H
#define RATMAN_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>

#include <ratman/handle.h>
#include <ratman/id.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Makes an address. @name is a private label or NULL; no NUL inside, UTF-8.
 * Fills @address and @token: whoever holds the token owns the address.
 */
int ratman_addr_create(struct ratman *r, const char *name, struct ratman_id *address,
		       struct ratman_id *token);

/* Announces the address; needed once before send and recv. Idempotent. */
int ratman_addr_up(struct ratman *r, const struct ratman_id *address,
		   const struct ratman_id *token);
int ratman_addr_down(struct ratman *r, const struct ratman_id *address,
		     const struct ratman_id *token);

/* Removes the address and its key for ever; @force: its stored streams too. */
int ratman_addr_destroy(struct ratman *r, const struct ratman_id *address,
			const struct ratman_id *token, bool force);

/* All local addresses in byte order. *@out (owned, ratman_free) holds *@n. */
int ratman_addr_list(struct ratman *r, struct ratman_id **out, size_t *n);

#ifdef __cplusplus
}
#endif

#endif
