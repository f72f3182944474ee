/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What every table is on disk. Private to store/.
 */
#ifndef RATMAND_STORE_TABLES_H
#define RATMAND_STORE_TABLES_H

#include "ratmand/store/store.h"

/* Of a number, big-endian. */
#define TABLES_ORDER_LEN 8

struct table_info {
	const char *name;	/* of the LMDB database; never changes */
	uint8_t id;		/* chooses the table's keys; never changes, never used again */
	bool cache;		/* can be had again: lies in cache/, not in state/ */
	bool secret;		/* wiped from memory once it is written */
	uint8_t prefix;		/* so many bytes of a key make the group its records lie together in */
	bool ordered;		/* TABLES_ORDER_LEN more bytes end it, and order the group; in clear */
	bool grows;		/* a new record mostly is the last of the table: its pages get full */
	bool bare;		/* a record without a value is its hidden key alone, found by it only */
	uint16_t pad;		/* a record's plaintext is filled up to a multiple of it */
};

extern const struct table_info store_tables[STORE_TABLES];

#endif
