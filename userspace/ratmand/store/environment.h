/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One LMDB environment: opening, map size, one reader, one writer, records
 * hidden and sealed. Private to store/.
 */
#ifndef RATMAND_STORE_ENVIRONMENT_H
#define RATMAND_STORE_ENVIRONMENT_H

#include <lmdb.h>

#include "ratmand/store/cipher.h"
#include "ratmand/store/overlay.h"

struct environment {
	MDB_env *env;
	MDB_dbi header;		/* in clear: one record, see environment_header() */
	MDB_dbi dbi[STORE_TABLES];	/* those of this environment */
	MDB_txn *reader;	/* reset between calls */
	const struct keyring *keys;	/* borrowed */
	uint8_t *plain;		/* what environment_get() opens into */
	size_t plain_size;
	int dir_fd;
	bool cache;
	bool read_only;		/* the file system is */
	bool synced;		/* each commit is durable */
	uint64_t limit;		/* bytes the map may grow to */
	uint64_t used;		/* bytes of pages in use after the last commit */
	uint64_t damaged;	/* records met that did not open */
	size_t page;
};

struct environment_options {
	bool cache;		/* which tables, and that the file may be thrown away */
	bool synced;
	bool read_only;		/* do not even try to write: beside a running daemon */
	uint64_t limit;		/* bytes; 0 = default for this machine */
};

/*
 * Opens the environment in the existing directory @dir, creating its file when
 * there is none; on a file system that cannot be written, @read_only is set.
 * -ENOENT (nothing there, and it cannot be made), -EBADMSG (damaged), -EPROTO,
 * -ENOTSUP (cannot map files), -EROFS, -ENOSPC, -EIO; @why gets a sentence.
 */
int environment_open(struct environment *e, const char *dir, const struct environment_options *o,
		     char *why, size_t size);
void environment_close(struct environment *e);

/*
 * Reads the header into @buf: its length, or -ENOENT when the environment is new;
 * -EBADMSG when it has unknown tables, or tables and no header.
 */
ssize_t environment_header(struct environment *e, uint8_t *buf, size_t size);

/*
 * Opens the tables, whose records are under @keys (borrowed), making those that
 * are missing; @header is written with them when it is not NULL.
 */
int environment_tables(struct environment *e, const struct keyring *keys, const uint8_t *header,
		       size_t len, char *why, size_t size);

/*
 * As store_get(); with @value NULL only tells whether the key is there. -EBADMSG
 * when the record is damaged.
 */
ssize_t environment_get(struct environment *e, enum store_table table, const void *key,
			size_t key_len, void *value, size_t size);

/* Which records of a table. */
struct environment_range {
	enum store_table table;
	uint8_t start[CIPHER_KEY_LEN];	/* hidden keys not below it */
	bool grouped;			/* only while the group is that of @start */
	bool keys_only;			/* values are not opened and come as NULL */
};

/*
 * Calls @cb for the records of @range by their hidden keys (CIPHER_KEY_LEN
 * bytes), in their order. Damaged records are left out and noted. A return other
 * than 0 stops and is returned.
 */
typedef int (*environment_each_cb)(void *ctx, const uint8_t *hidden, const struct cipher_record *r);
int environment_each(struct environment *e, const struct environment_range *range,
		     environment_each_cb cb, void *ctx);

/*
 * The orders in a group of an ordered table, from the hidden keys alone: calls @cb
 * from that of @start on, which must not read. A return other than 0 stops and is returned.
 */
typedef int (*environment_order_cb)(void *ctx, uint64_t order);
int environment_orders(struct environment *e, enum store_table table,
		       const uint8_t start[static CIPHER_KEY_LEN], environment_order_cb cb,
		       void *ctx);

/* The highest order in the group @group begins with: 1, 0 when there is none, or an error. */
int environment_last_order(struct environment *e, enum store_table table,
			   const uint8_t group[static CIPHER_GROUP_LEN], uint64_t *order);

/* As store_next_group(). */
int environment_next_group(struct environment *e, enum store_table table,
			   struct store_cursor *cursor, void *prefix);

/* What is in a table. */
struct environment_count {
	uint64_t records;
	uint64_t damaged;
	uint64_t sealed_bytes;	/* of values as they lie there */
	uint64_t value_bytes;	/* of values as they were put */
	uint64_t disk_bytes;	/* of pages */
};

/*
 * Opens every record of a table. @damaged (may be NULL) is called with the
 * hidden key of each that does not.
 */
int environment_verify(struct environment *e, enum store_table table,
		       void (*damaged)(void *ctx, enum store_table table, const void *hidden,
				       size_t len),
		       void *ctx, struct environment_count *out);

/* Counts a damaged record, and names the first ones in the log; @ctx is the environment. */
void environment_note_damage(void *ctx, enum store_table table, const void *hidden, size_t len);

/*
 * Makes room in the map for @segment. Must not run beside environment_write()
 * or an open cursor. Returns 0 also when the limit is reached.
 */
int environment_grow(struct environment *e, const struct overlay_segment *segment);

/*
 * After -EDQUOT: doubles the map if the limit allows it. True when the write
 * may be tried again. Conditions as for environment_grow().
 */
bool environment_double(struct environment *e);

/* Seals and writes a segment as one transaction. Any thread, one at a time. */
int environment_write(struct environment *e, const struct overlay_segment *segment);

/* Makes everything durable also when commits are not. Any thread but beside a write. */
int environment_sync(struct environment *e);

/* Counts the pages in use anew. */
void environment_measure(struct environment *e);

/* A negative errno for an LMDB or system error. */
int environment_error(int rc);

#endif
