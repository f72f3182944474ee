/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records as they lie in the database: a hidden key and a sealed value.
 *
 * The hidden key is a keyed hash of the record's key, or, in a table with
 * groups, the hash of its first bytes and then of the whole; where a group has an
 * order, the number that gives it stands between the two, in clear. The sealed value
 * holds key and value, padded; table and hidden key are authenticated with it.
 */
#ifndef RATMAND_STORE_CIPHER_H
#define RATMAND_STORE_CIPHER_H

#include <sys/types.h>

#include "ratmand/store/keyring.h"

#define CIPHER_KEY_LEN 32	/* of a hidden key */
#define CIPHER_GROUP_LEN 16	/* its first part, in a table with groups */

/* The hidden key of a record. */
void cipher_hide(const struct keyring *keys, enum store_table table, const void *key,
		 size_t key_len, uint8_t out[static CIPHER_KEY_LEN]);

/* The first CIPHER_GROUP_LEN bytes that the hidden keys of a group share; @prefix is whole. */
void cipher_hide_group(const struct keyring *keys, enum store_table table, const void *prefix,
		       uint8_t out[static CIPHER_GROUP_LEN]);

/* Where the records of an ordered group begin that are not before the whole key @start. */
void cipher_hide_start(const struct keyring *keys, enum store_table table, const void *start,
		       uint8_t out[static CIPHER_KEY_LEN]);

/* False for a length the table's keys cannot have. */
bool cipher_key_fits(enum store_table table, size_t key_len);

/* Bytes a record takes when it is sealed, and while it is being sealed. */
size_t cipher_sealed_len(enum store_table table, size_t key_len, size_t value_len);

/*
 * Seals a record under its hidden key into @out, cipher_sealed_len() bytes;
 * @scratch has as many and is left with the plaintext. Any thread.
 */
void cipher_seal(const struct keyring *keys, enum store_table table, const uint8_t *hidden,
		 const void *key, size_t key_len, const void *value, size_t value_len,
		 uint8_t *scratch, uint8_t *out);

/* A record taken apart; both point into the buffer it was opened into. */
struct cipher_record {
	const uint8_t *key;
	size_t key_len;
	const uint8_t *value;
	size_t value_len;
};

/*
 * Opens @len sealed bytes into @plain (at least @len bytes). -EBADMSG for a
 * record that is damaged or lies under another's key.
 */
int cipher_open(const struct keyring *keys, enum store_table table, const uint8_t *hidden,
		const uint8_t *sealed, size_t len, uint8_t *plain, struct cipher_record *out);

/*
 * Opens only the record's key, into @key (STORE_KEY_MAX bytes): its length or
 * -EBADMSG. Much cheaper for a large value, whose damage it does not see.
 */
ssize_t cipher_open_key(const struct keyring *keys, enum store_table table, const uint8_t *hidden,
			const uint8_t *sealed, size_t len, uint8_t *key);

#endif
