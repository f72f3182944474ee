/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sealed records: what is stored for one owner so that the disk tells neither
 * whose it is, nor about whom, nor what.
 *
 * Both keys come out of the owner's secret and the table's name. A record's
 * name on disk is a prefix, the same for all of one owner and table, and a
 * hash of what the record is about (keyed BLAKE2b). Values are sealed with
 * XChaCha20-Poly1305, with table and name as associated data: a record moved
 * to another name or table does not open.
 */
#ifndef RATMAND_STORE_SEALED_H
#define RATMAND_STORE_SEALED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SEALED_PREFIX_LEN 16
#define SEALED_NAME_LEN (SEALED_PREFIX_LEN + 16)
/* Format byte, nonce, authentication tag. */
#define SEALED_OVERHEAD (1 + 24 + 16)

/* Keys of one owner for one table: secret, wipe with sealed_wipe(). */
struct sealed {
	const char *table;		/* borrowed */
	uint8_t seal_key[32];
	uint8_t name_key[32];
	uint8_t prefix[SEALED_PREFIX_LEN];
};

struct sealed_name {
	uint8_t b[SEALED_NAME_LEN];
};

/* @secret: the owner's 32 secret bytes; @table names what is stored (static text). */
void sealed_init(struct sealed *s, const char *table, const uint8_t secret[static 32]);
void sealed_wipe(struct sealed *s);

/* The name on disk of the record about @id (@len bytes). */
struct sealed_name sealed_name(const struct sealed *s, const void *id, size_t len);

/* Seals @len bytes into @out, which has room for @len + SEALED_OVERHEAD. */
void sealed_close(const struct sealed *s, const struct sealed_name *name, const void *plain,
		  size_t len, uint8_t *out);

/*
 * Opens @len bytes into @plain (@size bytes of room; the caller wipes it).
 * Returns the length, or -EBADMSG for what was not sealed so, or was changed.
 */
ssize_t sealed_open(const struct sealed *s, const struct sealed_name *name, const void *data,
		    size_t len, void *plain, size_t size);

#endif
