/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The LMDB environment: opening, version, map size, one reader, one writer.
 * Private to store.c.
 */
#ifndef RATMAND_STORE_ENVIRONMENT_H
#define RATMAND_STORE_ENVIRONMENT_H

#include <lmdb.h>

#include "ratmand/store/overlay.h"

#define STORE_FORMAT 1

struct environment {
	MDB_env *env;
	MDB_dbi dbi[STORE_TABLES];
	MDB_txn *reader;	/* reset between calls */
	int lock_fd;
	uint64_t limit;		/* bytes the map may grow to */
	uint64_t used;		/* bytes of pages in use after the last commit */
	size_t page;
};

/* As store_open(). */
int environment_open(struct environment *e, const char *dir, const struct store_options *options,
		     char *why, size_t size);
void environment_close(struct environment *e);

/* As store_get(); with @value NULL only tells whether the key is there. */
ssize_t environment_get(struct environment *e, enum store_table table, const void *key,
			size_t key_len, void *value, size_t size);

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

/* Writes a segment as one transaction, synced. Any thread, one at a time. */
int environment_write(struct environment *e, const struct overlay_segment *segment);

/* Counts the pages in use anew. */
void environment_measure(struct environment *e);

/* A negative errno for an LMDB or system error. */
int environment_error(int rc);

#endif
