/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hash of a file, made in the thread pool while the loop does something else
 * with the same bytes: encodes them, or reads the next.
 */
#ifndef RATMAND_SERVICE_FILEHASH_H
#define RATMAND_SERVICE_FILEHASH_H

#include <uv.h>

#include "base/address.h"

/* Bytes taken at a time. */
#define FILEHASH_CHUNK 65536

struct filehash;

/* @ready, from the loop, whenever what was pushed is hashed. NULL: no memory. */
struct filehash *filehash_new(uv_loop_t *loop, void (*ready)(void *ctx), void *ctx);

/* True while bytes are being hashed: nothing may be pushed or finished. */
bool filehash_busy(const struct filehash *h);

/* Takes up to FILEHASH_CHUNK bytes (copied). 0 and then @ready, or an error. */
int filehash_push(struct filehash *h, const void *data, size_t len);

/* The BLAKE2b-256 of all that was pushed. */
void filehash_finish(struct filehash *h, struct ident *out);

/* Ends it, busy or not; @ready is not called any more. NULL is fine. */
void filehash_free(struct filehash *h);

#endif
