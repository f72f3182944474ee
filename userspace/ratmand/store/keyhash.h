/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hash tables whose keys peers choose: uthash under SipHash-2-4 with a key made
 * at start, and without exit() when memory runs out. Include this, not uthash.h.
 *
 * After an HASH_ADD_KEYPTR the element's hh.tbl is NULL when memory was short.
 */
#ifndef RATMAND_STORE_KEYHASH_H
#define RATMAND_STORE_KEYHASH_H

#include <stddef.h>

/* SipHash-2-4 of @len bytes under the process's key, folded to 32 bits. Loop thread only. */
unsigned int keyhash(const void *data, size_t len);

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = keyhash((keyptr), (keylen)))
#include <uthash.h>

#endif
