/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Namespaces: an address whose secret key all instances of an application share.
 * Streams to a namespace reach every member, also those that were away.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_SPACE_H
#define RATMAN_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include <ratman/handle.h>
#include <ratman/id.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Draws a key pair: @space is public, @key (32 bytes) is the secret that makes members. */
int ratman_space_generate(struct ratman_id *space, uint8_t *key);

/*
 * Gives the daemon the key (borrowed, 32 bytes) of a namespace, so that its
 * addresses can become members. Idempotent. RATMAN_EINPUT when the two do not
 * belong together.
 */
int ratman_space_create(struct ratman *r, const struct ratman_id *space, const uint8_t *key);

/*
 * Makes @address, which is up, a member of @space. Streams then come by
 * ratman_recv_begin() with @space as recipient. RATMAN_ENOADDRESS when the daemon
 * has no key of it. Idempotent.
 */
int ratman_space_up(struct ratman *r, const struct ratman_id *address,
		    const struct ratman_id *token, const struct ratman_id *space);

/* RATMAN_EINPUT when it is no member. */
int ratman_space_down(struct ratman *r, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_id *space);

/* A member that answered, and how long that took. */
struct ratman_answer {
	struct ratman_id member;
	uint64_t ms;
};

/*
 * Asks every member of @space in the mesh from @address, which is up, and waits
 * @ask_ms (the daemon caps it at a minute) for answers, beside the timeout of the
 * handle. *@out (owned, ratman_free) holds *@n answers, the quickest first.
 */
int ratman_space_anycast(struct ratman *r, const struct ratman_id *address,
			 const struct ratman_id *token, const struct ratman_id *space,
			 uint32_t ask_ms, struct ratman_answer **out, size_t *n);

#ifdef __cplusplus
}
#endif

#endif
