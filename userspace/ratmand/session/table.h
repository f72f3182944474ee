/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * uthash as this folder uses it: SipHash-2-4 under a key drawn at the first use
 * (strangers choose what is hashed), and without memory an element is simply not
 * added (its hh.tbl is then NULL) instead of the process ending.
 */
#ifndef RATMAND_SESSION_TABLE_H
#define RATMAND_SESSION_TABLE_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline unsigned int session_table_hash(const void *key, size_t len)
{
	static uint8_t secret[crypto_shorthash_KEYBYTES];
	static bool drawn;
	uint8_t out[crypto_shorthash_BYTES];
	unsigned int v;

	if (!drawn) {
		crypto_shorthash_keygen(secret);
		drawn = true;
	}
	crypto_shorthash(out, key, len, secret);
	memcpy(&v, out, sizeof(v));
	return v;
}

#define HASH_NONFATAL_OOM 1
#define HASH_FUNCTION(keyptr, keylen, hashv) \
	((hashv) = session_table_hash((keyptr), (size_t)(keylen)))

#include <uthash.h>

#endif
