/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stores of earlier formats. Private to store/.
 */
#ifndef RATMAND_STORE_MIGRATE_H
#define RATMAND_STORE_MIGRATE_H

#include <stddef.h>

struct nodekey_options;

/*
 * Brings a store of format 1 (one environment in @dir itself, in clear) into
 * the present one, if there is one. The old file is only read, and stays as
 * format-1.mdb; cut short at any point, this begins anew at the next start.
 * The directory is locked by the caller. Errors as store_open().
 */
int migrate_format_1(const char *dir, const struct nodekey_options *node_key, char *why,
		     size_t size);

#endif
