/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ratmand --db: what ratctl db does. The daemon's program does it because it
 * knows where the store is, how it is unlocked, and its formats.
 */
#ifndef RATMAND_DB_H
#define RATMAND_DB_H

#include "ratmand/config.h"

/*
 * Runs "verify", "stat", "backup" (to the directory @target) or "compact" on the
 * configured store and prints lines of words separated by tabs for ratctl.
 * Returns the exit status: 0, 1 when records are damaged, 2 for a wrong word, or
 * 255 with the reason on stderr.
 */
int db_run(const struct config *config, const char *word, const char *target);

#endif
