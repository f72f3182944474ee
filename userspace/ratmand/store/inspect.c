// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ratmand/store/layout.h"
#include "ratmand/store/pages.h"

#define LAYOUT_COMPACT "state.compact"

/* Files that root makes in another's store are given to the other. */
static void give_away(const char *dir)
{
	static const char *const names[] = {
		"ratmand.lock", LAYOUT_STATE "/lock.mdb", LAYOUT_STATE "/data.mdb",
		LAYOUT_CACHE "/lock.mdb",
	};
	char path[4096], why[64];
	struct stat st;

	if (geteuid() || stat(dir, &st) || !st.st_uid)
		return;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!layout_path(path, dir, names[i], why, sizeof(why)) &&
		    lchown(path, st.st_uid, st.st_gid))
			continue;	/* it is not there */
}

static int check_structure(const char *dir, const char *name, char *why, size_t size)
{
	char path[4096], what[192];
	int err = layout_path(path, dir, name, why, size);

	if (err)
		return err;
	err = pages_check(path, NULL, what, sizeof(what));
	if (err)
		snprintf(why, size, "%.200s: %s", path,
			 err == -ENOENT ? "there is no store" : what);
	return err;
}

struct naming {
	const struct inspect_ops *ops;
	void *ctx;
};

static void name_damaged(void *ctx, enum store_table table, const void *hidden, size_t len)
{
	struct naming *n = ctx;

	if (n->ops->damaged)
		n->ops->damaged(n->ctx, store_tables[table].name, hidden, len);
}

static int verify_environment(struct environment *e, const struct inspect_ops *ops, void *ctx,
			      char *why, size_t size)
{
	struct naming naming = { ops, ctx };

	for (int i = 0; i < STORE_TABLES; i++) {
		struct environment_count count;
		int err;

		if (store_tables[i].cache != e->cache)
			continue;
		err = environment_verify(e, i, name_damaged, &naming, &count);
		if (err) {
			snprintf(why, size, "cannot read table %s: %s", store_tables[i].name,
				 strerror(-err));
			return err;
		}
		ops->table(ctx, &(struct inspect_table){
			.name = store_tables[i].name,
			.cache = e->cache,
			.records = count.records,
			.damaged = count.damaged,
			.value_bytes = count.value_bytes,
			.sealed_bytes = count.sealed_bytes,
			.disk_bytes = count.disk_bytes,
		});
	}
	return 0;
}

/* Takes the lock if the store is there and nobody has it; @held tells. */
static int try_lock(struct layout *l, const char *dir, bool *held, char *why, size_t size)
{
	int err;

	l->lock_fd = -1;
	*held = false;
	if (access(dir, F_OK)) {
		snprintf(why, size, "cannot open %s: %s", dir, strerror(errno));
		return -errno;
	}
	err = layout_lock(l, dir, why, size);
	if (!err)
		*held = true;
	return err == -EBUSY ? 0 : err;
}

int inspect_verify(const char *dir, const struct nodekey_options *node_key,
		   const struct inspect_ops *ops, void *ctx, bool *structure, char *why, size_t size)
{
	struct layout lock = { .lock_fd = -1 }, l;
	int err = try_lock(&lock, dir, structure, why, size);

	if (!err && *structure)
		err = check_structure(dir, LAYOUT_STATE "/data.mdb", why, size);
	if (!err)
		err = layout_open_reader(&l, dir, node_key, why, size);
	if (!err) {
		err = verify_environment(&l.state, ops, ctx, why, size);
		if (!err && l.cache.env)
			err = verify_environment(&l.cache, ops, ctx, why, size);
		layout_close(&l);
	}
	give_away(dir);
	if (lock.lock_fd >= 0)
		close(lock.lock_fd);
	return err;
}

/* Copies the environment in @from into the new directory @to, compacted and durable. */
static int copy_compact(const char *from, const char *to, char *why, size_t size)
{
	char path[4096];
	MDB_env *env;
	int fd, rc, err = layout_path(path, to, "data.mdb", why, size);

	if (err)
		return err;
	rc = mdb_env_create(&env);
	if (rc)
		return environment_error(rc);
	rc = mdb_env_open(env, from, MDB_RDONLY | MDB_NOTLS, 0600);
	if (!rc)
		rc = mdb_env_copy2(env, to, MDB_CP_COMPACT);
	mdb_env_close(env);
	if (rc) {
		snprintf(why, size, "cannot copy %s to %s: %s", from, to, mdb_strerror(rc));
		return environment_error(rc);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = fd < 0 || fsync(fd) ? -errno : 0;
	if (fd >= 0)
		close(fd);
	if (!err)
		err = layout_sync(to);
	if (err)
		snprintf(why, size, "cannot make %s durable: %s", path, strerror(-err));
	return err ? err : check_structure(to, "data.mdb", why, size);
}

int inspect_backup(const char *dir, const char *target, char *why, size_t size)
{
	char from[4096], to[4096];
	int err = layout_path(from, dir, LAYOUT_STATE, why, size);

	if (!err)
		err = layout_path(to, target, LAYOUT_STATE, why, size);
	if (err)
		return err;
	if (access(from, F_OK)) {
		snprintf(why, size, "there is no store in %s", dir);
		return -ENOENT;
	}
	/* Never over an older backup. */
	if (mkdir(target, 0700) || mkdir(to, 0700)) {
		err = -errno;
		snprintf(why, size, "cannot make the new directory %s: %s", target, strerror(-err));
		return err;
	}
	err = copy_compact(from, to, why, size);
	if (!err)
		err = layout_sync(target);
	give_away(dir);
	return err;
}

static uint64_t file_size(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint64_t)st.st_size;
}

/* Takes the store for a change that no daemon may see. */
static int take(struct layout *lock, const char *dir, char *why, size_t size)
{
	bool held;
	int err = try_lock(lock, dir, &held, why, size);

	if (!err && !held)
		err = -EBUSY;
	return err ? err : check_structure(dir, LAYOUT_STATE "/data.mdb", why, size);
}

static void let_go(struct layout *lock, const char *dir)
{
	give_away(dir);
	if (lock->lock_fd >= 0)
		close(lock->lock_fd);
}

/* Under the lock. */
static int compact(const char *dir, uint64_t *before, uint64_t *after, char *why, size_t size)
{
	char state[4096], fresh[4096], old_file[4096], new_file[4096];
	int err;

	err = layout_path(state, dir, LAYOUT_STATE, why, size);
	err = err ? err : layout_path(fresh, dir, LAYOUT_COMPACT, why, size);
	err = err ? err : layout_path(old_file, dir, LAYOUT_STATE "/data.mdb", why, size);
	err = err ? err : layout_path(new_file, dir, LAYOUT_COMPACT "/data.mdb", why, size);
	if (err)
		return err;
	/* Of an attempt that was cut short. */
	unlink(new_file);
	err = layout_mkdir(fresh, why, size);
	if (!err)
		err = copy_compact(state, fresh, why, size);
	*before = file_size(old_file);
	*after = file_size(new_file);
	if (!err && rename(new_file, old_file)) {
		err = -errno;
		snprintf(why, size, "cannot put the compacted file in its place: %s", strerror(-err));
	}
	if (!err)
		err = layout_sync(state);
	unlink(new_file);
	rmdir(fresh);
	return err;
}

int inspect_compact(const char *dir, uint64_t *before, uint64_t *after, char *why, size_t size)
{
	struct layout lock = { .lock_fd = -1 };
	int err = take(&lock, dir, why, size);

	if (!err)
		err = compact(dir, before, after, why, size);
	let_go(&lock, dir);
	return err;
}

/* Under the lock: writes the header anew. */
static int change_key(const char *dir, const struct nodekey_options *node_key,
		      const struct nodekey_options *new_key, char *why, size_t size)
{
	struct environment_options o = { .synced = true };
	uint8_t old_header[KEYRING_HEADER_LEN * 2], header[KEYRING_HEADER_LEN];
	struct nodekey old = { 0 }, node = { 0 };
	struct keyring *keys = NULL;
	struct environment e;
	char path[4096];
	ssize_t len = 0;
	int err = layout_path(path, dir, LAYOUT_STATE, why, size);

	if (!err)
		err = environment_open(&e, path, &o, why, size);
	if (err)
		return err;
	if (e.read_only) {
		snprintf(why, size, "%s cannot be written", path);
		err = -EROFS;
	} else {
		len = environment_header(&e, old_header, sizeof(old_header));
		if (len < 0) {
			snprintf(why, size, "the header of the store is damaged: restore a backup");
			err = (int)len;
		}
	}
	/* The present key first: a new one is not made, or asked for, in vain. */
	if (!err)
		err = nodekey_load(&old, node_key, dir, false, why, size);
	if (!err)
		err = keyring_open(&keys, &old, old_header, (size_t)len, why, size);
	if (!err)
		err = nodekey_load(&node, new_key, dir, true, why, size);
	if (!err)
		err = keyring_rewrap(&old, &node, old_header, (size_t)len, header, why, size);
	if (!err)
		err = environment_tables(&e, keys, header, sizeof(header), why, size);
	environment_close(&e);
	keyring_free(keys);
	nodekey_free(&old);
	nodekey_free(&node);
	return err;
}

int inspect_rekey(const char *dir, const struct nodekey_options *node_key,
		  const struct nodekey_options *new_key, char *why, size_t size)
{
	struct layout lock = { .lock_fd = -1 };
	uint64_t before, after;
	int err = take(&lock, dir, why, size);

	if (!err)
		err = change_key(dir, node_key, new_key, why, size);
	if (!err) {
		char cause[512] = "";

		err = compact(dir, &before, &after, cause, sizeof(cause));
		if (err)
			snprintf(why, size,
				 "the new key counts from now on, but the old one opens what is left of the old file until ratctl db compact has run (%s)",
				 cause[0] ? cause : strerror(-err));
	}
	let_go(&lock, dir);
	return err;
}
