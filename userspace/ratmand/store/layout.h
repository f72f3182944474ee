/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A store's directory: lock, node key, state/, cache/, and how they are opened
 * together. Private to store/.
 */
#ifndef RATMAND_STORE_LAYOUT_H
#define RATMAND_STORE_LAYOUT_H

#include "ratmand/store/environment.h"

#define LAYOUT_STATE "state"
#define LAYOUT_CACHE "cache"
/* Format 1 had its file in the directory itself; migrated, it stays under this name. */
#define LAYOUT_OLD "data.mdb"
#define LAYOUT_OLD_BACKUP "format-1.mdb"
#define LAYOUT_NEW "state.new"

struct layout {
	int lock_fd;
	struct keyring *keys;
	struct environment state;
	struct environment cache;	/* env is NULL when it could not be opened */
};

/* As store_open(). */
int layout_open(struct layout *l, const char *dir, const struct store_options *options, char *why,
		size_t size);

/*
 * Opens a store for reading only, also beside a running daemon: no lock, no
 * migration, nothing made. Errors as store_open(), -ENOENT when there is none.
 */
int layout_open_reader(struct layout *l, const char *dir, const struct nodekey_options *node_key,
		       char *why, size_t size);

void layout_close(struct layout *l);

/* Takes the directory for this process: -EBUSY, -EROFS, or an errno. */
int layout_lock(struct layout *l, const char *dir, char *why, size_t size);

/* "DIR/NAME" into @out (4096 bytes); -ENAMETOOLONG. */
int layout_path(char *out, const char *dir, const char *name, char *why, size_t size);

/* Makes a directory (0700) if there is none. A negative errno, with @why. */
int layout_mkdir(const char *path, char *why, size_t size);

/* Makes what is in the directory @path durable: names, not contents. */
int layout_sync(const char *path);

/*
 * Opens the environment in the directory @path that holds or will hold state;
 * a new one gets a key ring of its own, owned by the caller.
 */
int layout_open_state(struct environment *e, struct keyring **keys, const char *path,
		      const struct environment_options *o, const struct nodekey_options *node_key,
		      const char *dir, char *why, size_t size);

/* Opens the cache, anew when it is damaged or another store's. Errors only the log hears of. */
void layout_open_cache(struct environment *e, const struct keyring *keys, const char *dir,
		       bool read_only);

#endif
