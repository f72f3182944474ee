/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store's keys: node key → master key → two keys for every table.
 * Documentation/store.md has the tree and the header byte by byte.
 */
#ifndef RATMAND_STORE_KEYRING_H
#define RATMAND_STORE_KEYRING_H

#include "ratmand/store/nodekey.h"
#include "ratmand/store/tables.h"

#define STORE_FORMAT 3
#define STORE_ID_LEN 16
#define KEYRING_HEADER_LEN 141
#define KEYRING_KEY_LEN 32

struct table_keys {
	uint8_t index[KEYRING_KEY_LEN];	/* hides record keys */
	uint8_t value[KEYRING_KEY_LEN];	/* seals records */
};

/* In guarded memory. Read-only after it was made: any thread may use it. */
struct keyring {
	struct table_keys table[STORE_TABLES];
	uint8_t id[STORE_ID_LEN];	/* of this store, not secret */
};

/* Draws a master key and wraps it under @node; @header is to be stored. -ENOMEM. */
int keyring_create(struct keyring **out, const struct nodekey *node,
		   uint8_t header[static KEYRING_HEADER_LEN]);

/*
 * Unwraps. -EPROTO: another format; -EBADMSG: the header is damaged; -ENOKEY:
 * it wants the other kind of node key; -EKEYREJECTED: the wrong one; -ENOMEM.
 * @why (size bytes) gets a sentence for the user.
 */
int keyring_open(struct keyring **out, const struct nodekey *node, const uint8_t *header,
		 size_t len, char *why, size_t size);

/*
 * The header of the same store wrapped under @node in place of @old; what it holds
 * stays as it is. Errors as keyring_open().
 */
int keyring_rewrap(const struct nodekey *old, const struct nodekey *node, const uint8_t *data,
		   size_t len, uint8_t header[static KEYRING_HEADER_LEN], char *why, size_t size);

/* Wipes and frees; NULL is fine. */
void keyring_free(struct keyring *keys);

/* The format a header says it has, or 0 when it is none. Any length. */
uint32_t keyring_header_format(const uint8_t *header, size_t len);

#endif
