// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/migrate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "ratmand/store/layout.h"
#include "ratmand/store/pages.h"

/* The tables format 1 had, the last ones only late; the same records as now, but for "seen". */
static const enum store_table old_tables[] = {
	STORE_META,   STORE_ADDRESSES, STORE_STAMPS, STORE_SEEN,
	STORE_BLOCKS, STORE_OUTBOX,    STORE_INBOX,  STORE_DONE,
	STORE_CONTACTS, STORE_SUBSCRIPTIONS, STORE_DUE, STORE_SPACES,
};
/* Its "seen" held sequence, first and last time; now the times are in the cache. */
#define OLD_SEEN_LEN 24
#define SEEN_LEN 8

static const char old_format_key[] = "format";

struct migration {
	MDB_env *old;
	struct environment state, cache;
	struct keyring *keys;
	struct overlay queued[2];	/* for state, for cache */
	uint64_t records;
};

/* Writes what is queued for an environment. */
static int flush(struct environment *e, struct overlay *o)
{
	int err = 0;

	while (o->oldest && !err) {
		environment_grow(e, o->oldest);
		do
			err = environment_write(e, o->oldest);
		while (err == -EDQUOT && environment_double(e));
		if (!err)
			overlay_pop(o);
	}
	return err;
}

static int put(struct migration *m, enum store_table table, const MDB_val *key, const void *value,
	       size_t len)
{
	bool cache = store_tables[table].cache;
	struct environment *e = cache ? &m->cache : &m->state;
	struct overlay *o = &m->queued[cache];
	int err;

	if (cache && !e->env)
		return 0;
	err = overlay_put(o, table, key->mv_data, key->mv_size, value, len, false);
	if (!err && o->bytes >= OVERLAY_SEGMENT_BYTES)
		err = flush(e, o);
	return err;
}

static int copy_record(struct migration *m, enum store_table table, const MDB_val *key,
		       const MDB_val *val)
{
	const uint8_t *v = val->mv_data;
	int err;

	if (table == STORE_META && key->mv_size == sizeof(old_format_key) - 1 &&
	    !memcmp(key->mv_data, old_format_key, key->mv_size))
		return 0;
	m->records++;
	if (table != STORE_SEEN || val->mv_size != OLD_SEEN_LEN)
		return put(m, table, key, v, val->mv_size);
	err = put(m, STORE_SEEN, key, v, SEEN_LEN);
	return err ? err : put(m, STORE_PEERS, key, v + SEEN_LEN, OLD_SEEN_LEN - SEEN_LEN);
}

static int copy_table(struct migration *m, MDB_txn *txn, enum store_table table)
{
	MDB_cursor *cursor;
	MDB_val key, val;
	MDB_dbi dbi;
	int rc, err = 0;

	rc = mdb_dbi_open(txn, store_tables[table].name, 0, &dbi);
	if (rc)
		return rc == MDB_NOTFOUND ? 0 : environment_error(rc);
	rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc)
		return environment_error(rc);
	rc = mdb_cursor_get(cursor, &key, &val, MDB_FIRST);
	while (!rc && !err) {
		err = copy_record(m, table, &key, &val);
		if (!err)
			rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	return err ? err : rc == MDB_NOTFOUND ? 0 : environment_error(rc);
}

/* Checks that the old environment is one of format 1. */
static int check_format(MDB_txn *txn, char *why, size_t size)
{
	MDB_val key = { sizeof(old_format_key) - 1, (void *)old_format_key };
	uint32_t format = 0;
	MDB_val val;
	MDB_dbi dbi;

	if (!mdb_dbi_open(txn, store_tables[STORE_META].name, 0, &dbi) &&
	    !mdb_get(txn, dbi, &key, &val))
		format = keyring_header_format(val.mv_data, val.mv_size);
	if (format == 1)
		return 0;
	if (format)
		snprintf(why, size,
			 "the store has format %u, this ratmand knows formats up to %u: use a newer ratmand",
			 format, STORE_FORMAT);
	else
		snprintf(why, size, LAYOUT_OLD " in the state directory is no store of ours");
	return -EPROTO;
}

static int copy_all(struct migration *m, char *why, size_t size)
{
	MDB_txn *txn;
	int err = environment_error(mdb_txn_begin(m->old, NULL, MDB_RDONLY, &txn));

	if (!err)
		err = check_format(txn, why, size);
	if (err == -EPROTO)
		goto out;
	for (size_t i = 0; i < sizeof(old_tables) / sizeof(old_tables[0]) && !err; i++)
		err = copy_table(m, txn, old_tables[i]);
	if (!err)
		err = flush(&m->state, &m->queued[0]);
	if (!err && m->cache.env)
		err = flush(&m->cache, &m->queued[1]);
	if (!err && m->cache.env)
		err = environment_sync(&m->cache);
	if (err)
		snprintf(why, size, "cannot bring the store into the present format: %s; nothing was changed",
			 strerror(-err));
out:
	mdb_txn_abort(txn);
	return err;
}

static int open_old(struct migration *m, const char *dir, const char *file, char *why, size_t size)
{
	char what[192];
	int rc, err = pages_check(file, NULL, what, sizeof(what));

	if (err) {
		snprintf(why, size, "%.200s is damaged: %s", file, what);
		return err;
	}
	rc = mdb_env_create(&m->old);
	if (!rc)
		rc = mdb_env_set_maxdbs(m->old, 32);
	if (!rc)
		rc = mdb_env_open(m->old, dir, MDB_RDONLY | MDB_NOLOCK | MDB_NOTLS, 0600);
	if (rc)
		snprintf(why, size, "cannot read the store of format 1 in %s: %s", dir,
			 mdb_strerror(rc));
	return environment_error(rc);
}

/* Removes what an attempt that was cut short left behind. */
static void remove_new(const char *path)
{
	static const char *const names[] = { "data.mdb", "lock.mdb" };
	char file[4096 + 16];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(file, sizeof(file), "%s/%s", path, names[i]);
		unlink(file);
	}
	rmdir(path);
}

static void migration_close(struct migration *m)
{
	for (size_t i = 0; i < 2; i++)
		while (m->queued[i].oldest)
			overlay_pop(&m->queued[i]);
	environment_close(&m->cache);
	environment_close(&m->state);
	keyring_free(m->keys);
	if (m->old)
		mdb_env_close(m->old);
}

/* Puts the new environment in its place, then the old file out of the way. */
static int put_in_place(const char *dir, const char *fresh, const char *state, char *why, size_t size)
{
	int err = layout_sync(fresh);

	if (!err && rename(fresh, state))
		err = -errno;
	if (!err)
		err = layout_sync(dir);
	if (err)
		snprintf(why, size, "cannot put the migrated store in its place: %s", strerror(-err));
	return err;
}

static int retire_old(const char *dir, char *why, size_t size)
{
	char old[4096], backup[4096], lock[4096];
	int err = layout_path(old, dir, LAYOUT_OLD, why, size);

	if (!err)
		err = layout_path(backup, dir, LAYOUT_OLD_BACKUP, why, size);
	if (!err)
		err = layout_path(lock, dir, "lock.mdb", why, size);
	if (err)
		return err;
	if (rename(old, backup)) {
		err = -errno;
		snprintf(why, size, "cannot rename %s: %s", old, strerror(-err));
		return err;
	}
	unlink(lock);
	layout_sync(dir);
	log_warn("store: the store of format 1 is now %s; its contents are not encrypted: remove it when all is well",
		 backup);
	return 0;
}

static int migrate(const char *dir, const char *old, const char *fresh, const char *state,
		   const struct nodekey_options *node_key, char *why, size_t size)
{
	struct environment_options o = { .synced = true };
	struct migration m = { .state.dir_fd = -1, .cache.dir_fd = -1 };
	int err;

	remove_new(fresh);
	err = open_old(&m, dir, old, why, size);
	if (!err)
		err = layout_mkdir(fresh, why, size);
	if (!err)
		err = layout_open_state(&m.state, &m.keys, fresh, &o, node_key, dir, why, size);
	if (!err) {
		layout_open_cache(&m.cache, m.keys, dir, false);
		err = copy_all(&m, why, size);
	}
	if (!err)
		log_info("store: brought %llu records from format 1 to format %d",
			 (unsigned long long)m.records, STORE_FORMAT);
	migration_close(&m);
	if (!err)
		err = put_in_place(dir, fresh, state, why, size);
	if (err)
		remove_new(fresh);
	return err;
}

int migrate_format_1(const char *dir, const struct nodekey_options *node_key, char *why, size_t size)
{
	char old[4096], fresh[4096], state[4096];
	int err = layout_path(old, dir, LAYOUT_OLD, why, size);

	if (!err)
		err = layout_path(fresh, dir, LAYOUT_NEW, why, size);
	if (!err)
		err = layout_path(state, dir, LAYOUT_STATE, why, size);
	if (err || access(old, F_OK))
		return err;
	/* With state/ there, only the last step is missing. */
	if (access(state, F_OK))
		err = migrate(dir, old, fresh, state, node_key, why, size);
	return err ? err : retire_old(dir, why, size);
}
