// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"

#define MAP_START (32ull << 20)
#define MAP_DEFAULT (sizeof(void *) > 4 ? 16ull << 30 : 256ull << 20)
#define MAP_MIN (1ull << 20)

static const char *const table_names[STORE_TABLES] = {
	[STORE_META] = "meta",
	[STORE_ADDRESSES] = "addresses",
	[STORE_STAMPS] = "stamps",
	[STORE_SEEN] = "seen",
	[STORE_BLOCKS] = "blocks",
	[STORE_OUTBOX] = "outbox",
	[STORE_INBOX] = "inbox",
	[STORE_DONE] = "done",
	[STORE_CONTACTS] = "contacts",
	[STORE_SUBSCRIPTIONS] = "subscriptions",
	[STORE_DUE] = "due",
	[STORE_SPACES] = "spaces",
};

static const char format_key[] = "format";
static const char format_magic[8] = "ratmand";

int environment_error(int rc)
{
	switch (rc) {
	case 0:
		return 0;
	case MDB_NOTFOUND:
		return -ENOENT;
	case MDB_MAP_FULL:
		return -EDQUOT;
	case MDB_VERSION_MISMATCH:
		return -EPROTO;
	case EACCES:
	case EPERM:
	case EROFS:
		return -EROFS;
	case ENOSPC:
	case EDQUOT:
		return -ENOSPC;
	case ENOMEM:
		return -ENOMEM;
	default:
		return -EIO;
	}
}

/* Takes the directory for this process; 0 or a negative errno with @why. */
static int take_lock(struct environment *e, const char *dir, char *why, size_t size)
{
	char path[4096];

	if (mkdir(dir, 0700) && errno != EEXIST) {
		int err = errno;

		snprintf(why, size, "cannot make the directory %s: %s", dir, strerror(err));
		return err == EACCES ? -EROFS : -err;
	}
	if (snprintf(path, sizeof(path), "%s/ratmand.lock", dir) >= (int)sizeof(path)) {
		snprintf(why, size, "the path of the store is too long");
		return -ENAMETOOLONG;
	}
	e->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (e->lock_fd < 0) {
		int err = errno;

		snprintf(why, size, "cannot write in %s: %s", dir, strerror(err));
		return err == EACCES ? -EROFS : -err;
	}
	if (flock(e->lock_fd, LOCK_EX | LOCK_NB)) {
		snprintf(why, size, "another ratmand uses the store %s", dir);
		return -EBUSY;
	}
	return 0;
}

/* Opens the tables and checks or writes the version, in one transaction. */
static int open_tables(struct environment *e, char *why, size_t size)
{
	MDB_val key = { sizeof(format_key) - 1, (void *)format_key };
	uint8_t stamp[sizeof(format_magic) + 4];
	struct wire_writer w;
	MDB_txn *txn;
	MDB_val val;
	int rc;

	wire_write_init(&w, stamp, sizeof(stamp));
	wire_put(&w, format_magic, sizeof(format_magic));
	wire_put_be32(&w, STORE_FORMAT);

	rc = mdb_txn_begin(e->env, NULL, 0, &txn);
	if (rc)
		goto fail;
	for (int i = 0; i < STORE_TABLES && !rc; i++)
		rc = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &e->dbi[i]);
	if (!rc) {
		rc = mdb_get(txn, e->dbi[STORE_META], &key, &val);
		if (rc == MDB_NOTFOUND) {
			val.mv_size = sizeof(stamp);
			val.mv_data = stamp;
			rc = mdb_put(txn, e->dbi[STORE_META], &key, &val, 0);
		} else if (!rc) {
			struct wire_reader r;
			uint32_t version;

			wire_read_init(&r, val.mv_data, val.mv_size);
			wire_get_ref(&r, sizeof(format_magic));
			version = wire_get_be32(&r);
			if (r.failed || memcmp(val.mv_data, format_magic, sizeof(format_magic)) ||
			    version != STORE_FORMAT) {
				mdb_txn_abort(txn);
				snprintf(why, size,
					 "the store has format %u, this ratmand knows format %u: use a newer ratmand",
					 version, STORE_FORMAT);
				return -EPROTO;
			}
		}
	}
	if (rc) {
		mdb_txn_abort(txn);
		goto fail;
	}
	rc = mdb_txn_commit(txn);
	if (!rc)
		return 0;
fail:
	snprintf(why, size, "cannot open the tables of the store: %s", mdb_strerror(rc));
	return environment_error(rc);
}

static int open_env(struct environment *e, const char *dir, bool ephemeral, char *why, size_t size)
{
	unsigned int flags = MDB_NOTLS | (ephemeral ? MDB_NOSYNC : 0);
	int dead = 0;
	int rc = mdb_env_create(&e->env);

	if (!rc)
		rc = mdb_env_set_maxdbs(e->env, STORE_TABLES);
	if (!rc)
		rc = mdb_env_set_mapsize(e->env, e->limit < MAP_START ? e->limit : MAP_START);
	if (rc) {
		snprintf(why, size, "cannot set up the store: %s", mdb_strerror(rc));
		return environment_error(rc);
	}
	rc = mdb_env_open(e->env, dir, flags, 0600);
	if (rc == EINVAL || rc == ENODEV) {
		snprintf(why, size,
			 "the file system of %s cannot map files for writing (JFFS2 is one such): "
			 "put the store on ext4, f2fs or UBIFS, or on tmpfs with \"ephemeral\"", dir);
		return -ENOTSUP;
	}
	if (rc) {
		snprintf(why, size, "cannot open the store in %s: %s", dir, mdb_strerror(rc));
		return environment_error(rc);
	}
	/* A killed daemon leaves its reader slot behind, which would keep old pages alive. */
	mdb_reader_check(e->env, &dead);
	if (dead)
		log_debug("store: cleared %d stale readers", dead);
	return 0;
}

int environment_open(struct environment *e, const char *dir, const struct store_options *options,
		     char *why, size_t size)
{
	MDB_stat st;
	int err;

	memset(e, 0, sizeof(*e));
	e->lock_fd = -1;
	e->limit = options && options->map_size ? options->map_size : MAP_DEFAULT;
	if (e->limit < MAP_MIN)
		e->limit = MAP_MIN;
	e->limit &= ~(uint64_t)0xffff;
	err = take_lock(e, dir, why, size);
	if (!err)
		err = open_env(e, dir, options && options->ephemeral, why, size);
	if (!err)
		err = open_tables(e, why, size);
	if (!err) {
		err = environment_error(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &e->reader));
		if (err)
			snprintf(why, size, "cannot read the store in %s", dir);
		else
			mdb_txn_reset(e->reader);
	}
	if (err) {
		environment_close(e);
		return err;
	}
	mdb_env_stat(e->env, &st);
	e->page = st.ms_psize;
	environment_measure(e);
	return 0;
}

void environment_close(struct environment *e)
{
	if (e->reader)
		mdb_txn_abort(e->reader);
	if (e->env)
		mdb_env_close(e->env);
	if (e->lock_fd >= 0)
		close(e->lock_fd);
	memset(e, 0, sizeof(*e));
	e->lock_fd = -1;
}

ssize_t environment_get(struct environment *e, enum store_table table, const void *key,
			size_t key_len, void *value, size_t size)
{
	MDB_val k = { key_len, (void *)key };
	MDB_val v;
	ssize_t got;
	int rc = mdb_txn_renew(e->reader);

	if (rc)
		return environment_error(rc);
	rc = mdb_get(e->reader, e->dbi[table], &k, &v);
	if (rc) {
		got = environment_error(rc);
	} else if (!value) {
		got = 0;
	} else if (v.mv_size > size) {
		got = -EMSGSIZE;
	} else {
		if (v.mv_size)
			memcpy(value, v.mv_data, v.mv_size);
		got = (ssize_t)v.mv_size;
	}
	mdb_txn_reset(e->reader);
	return got;
}

void environment_measure(struct environment *e)
{
	uint64_t pages = 4;

	if (mdb_txn_renew(e->reader))
		return;
	for (int i = 0; i < STORE_TABLES; i++) {
		MDB_stat st;

		if (!mdb_stat(e->reader, e->dbi[i], &st))
			pages += st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages;
	}
	mdb_txn_reset(e->reader);
	e->used = pages * e->page;
}

static int set_size(struct environment *e, uint64_t size)
{
	int rc;

	size = (size + 0xffff) & ~(uint64_t)0xffff;
	if (size > e->limit)
		size = e->limit;
	rc = mdb_env_set_mapsize(e->env, (size_t)size);
	if (rc)
		log_error("store: cannot grow the map to %llu bytes: %s", (unsigned long long)size,
			  mdb_strerror(rc));
	return environment_error(rc);
}

bool environment_double(struct environment *e)
{
	MDB_envinfo info;

	mdb_env_info(e->env, &info);
	return info.me_mapsize < e->limit && !set_size(e, (uint64_t)info.me_mapsize * 2);
}

int environment_grow(struct environment *e, const struct overlay_segment *segment)
{
	size_t records = HASH_COUNT(segment->records);
	uint64_t need, high, size;
	MDB_envinfo info;

	mdb_env_info(e->env, &info);
	/* Each record may dirty a leaf of its own and split it; values come on top. */
	need = (uint64_t)segment->bytes * 2 + (uint64_t)(records * 2 + 64) * e->page;
	high = ((uint64_t)info.me_last_pgno + 1) * e->page;
	if (high + need <= info.me_mapsize || info.me_mapsize >= e->limit)
		return 0;
	size = (uint64_t)info.me_mapsize * 2;
	return set_size(e, size < high + need ? high + need : size);
}

/* LMDB calls a write that was cut short for want of space an I/O error. */
static bool disk_is_full(const struct environment *e, const struct overlay_segment *segment)
{
	struct statvfs st;

	return !fstatvfs(e->lock_fd, &st) &&
	       (uint64_t)st.f_bavail * st.f_frsize < segment->bytes * 2 + (1u << 20);
}

int environment_write(struct environment *e, const struct overlay_segment *segment)
{
	const struct overlay_record **list;
	MDB_txn *txn;
	size_t n;
	int rc;

	list = overlay_sorted(segment, &n);
	if (!list)
		return -ENOMEM;
	rc = mdb_txn_begin(e->env, NULL, 0, &txn);
	if (rc)
		goto out;
	for (size_t i = 0; i < n && !rc; i++) {
		const struct overlay_record *r = list[i];
		MDB_val k = { r->key_len, (void *)overlay_key(r) };
		MDB_val v = { r->value_len, (void *)overlay_value(r) };
		MDB_dbi dbi = e->dbi[r->data[0]];

		if (r->deleted) {
			rc = mdb_del(txn, dbi, &k, NULL);
			if (rc == MDB_NOTFOUND)
				rc = 0;
		} else {
			rc = mdb_put(txn, dbi, &k, &v, 0);
		}
	}
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
out:
	free(list);
	if (rc == EIO && disk_is_full(e, segment))
		rc = ENOSPC;
	if (rc)
		log_error("store: a commit of %zu records failed: %s", n, mdb_strerror(rc));
	return environment_error(rc);
}
