/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Looking after a store from outside: ratctl db.
 */
#ifndef RATMAND_STORE_INSPECT_H
#define RATMAND_STORE_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nodekey_options;

struct inspect_table {
	const char *name;
	bool cache;
	uint64_t records;
	uint64_t damaged;
	uint64_t value_bytes;	/* as they were put */
	uint64_t sealed_bytes;	/* as they lie there */
	uint64_t disk_bytes;	/* with keys and the room in pages */
};

struct inspect_ops {
	void (*table)(void *ctx, const struct inspect_table *table);
	/* A record that does not open, by its hidden key. May be NULL. */
	void (*damaged)(void *ctx, const char *table, const void *hidden, size_t len);
};

/*
 * Opens every record of the store in @dir and tells about each table. Without a
 * running daemon the files' structure is checked first, and what @structure says
 * is true; beside one only the records are. 0 when all is well or only records
 * are damaged; errors as store_open(), -ENOENT when there is no store.
 */
int inspect_verify(const char *dir, const struct nodekey_options *node_key,
		   const struct inspect_ops *ops, void *ctx, bool *structure, char *why, size_t size);

/*
 * Copies state/ into the new directory @target, compacted and durable, also
 * beside a running daemon: as it was at one moment. The cache and a key file are
 * not copied. Needs no key. -EEXIST, -ENOENT, errors of reading and writing.
 */
int inspect_backup(const char *dir, const char *target, char *why, size_t size);

/*
 * Writes state/ anew without its free pages, so that what was deleted is gone
 * from the file. -EBUSY beside a running daemon; errors as store_open(). @before
 * and @after get the file's sizes in bytes.
 */
int inspect_compact(const char *dir, uint64_t *before, uint64_t *after, char *why, size_t size);

/*
 * What @new_key says unlocks the store from now on, in place of what @node_key says:
 * a key file is made when it is not there, a passphrase is asked for twice. The
 * file is then compacted, so that the old key opens nothing in it. When that fails, or is cut
 * short, the new key counts already (@why says so) and inspect_compact() ends the work; after
 * any other error the old one does. A backup keeps the key it was made under.
 * -EBUSY beside a running daemon; errors as store_open().
 */
int inspect_rekey(const char *dir, const struct nodekey_options *node_key,
		  const struct nodekey_options *new_key, char *why, size_t size);

#endif
