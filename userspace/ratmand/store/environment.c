// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "ratmand/store/pages.h"

#define MAP_START (32ull << 20)
#define MAP_DEFAULT (sizeof(void *) > 4 ? 16ull << 30 : 256ull << 20)
#define MAP_DEFAULT_CACHE (sizeof(void *) > 4 ? 1ull << 30 : 64ull << 20)
#define MAP_MIN (1ull << 20)
/* Damaged records that are logged one by one. */
#define DAMAGED_LOG 16

static const char header_table[] = "header";
static const char header_key[] = "header";

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
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
	case MDB_INVALID:
	case MDB_BAD_VALSIZE:
		return -EBADMSG;
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

static bool is_name(const MDB_val *key, const char *name)
{
	return key->mv_size == strlen(name) && !memcmp(key->mv_data, name, key->mv_size);
}

static bool is_ours(const struct environment *e, int table)
{
	return store_tables[table].cache == e->cache;
}

/* Opens LMDB; falls back to reading where nothing can be written. */
static int open_lmdb(struct environment *e, const char *dir, char *why, size_t size)
{
	unsigned int flags = MDB_NOTLS | (e->synced ? 0 : MDB_NOSYNC) |
			     (e->read_only ? MDB_RDONLY : 0);
	int dead = 0;
	int rc = mdb_env_create(&e->env);

	if (!rc)
		rc = mdb_env_set_maxdbs(e->env, STORE_TABLES + 8);
	if (!rc)
		rc = mdb_env_set_mapsize(e->env, e->limit < MAP_START ? e->limit : MAP_START);
	if (rc) {
		snprintf(why, size, "cannot set up the store: %s", mdb_strerror(rc));
		return environment_error(rc);
	}
	rc = mdb_env_open(e->env, dir, flags, 0600);
	if (rc == EROFS && !e->read_only) {
		mdb_env_close(e->env);
		e->env = NULL;
		e->read_only = true;
		return open_lmdb(e, dir, why, size);
	}
	if (rc == EINVAL || rc == ENODEV) {
		snprintf(why, size,
			 "the file system of %s cannot map files for writing (JFFS2 is one such): "
			 "put state_dir on ext4, f2fs or UBIFS, or on tmpfs with ephemeral = true", dir);
		return -ENOTSUP;
	}
	if (rc) {
		snprintf(why, size, "cannot open the store in %s: %s", dir, mdb_strerror(rc));
		return rc == ENOENT ? -ENOENT : environment_error(rc);
	}
	/* A killed daemon leaves its reader slot behind, which would keep old pages alive. */
	mdb_reader_check(e->env, &dead);
	if (dead)
		log_debug("store: cleared %d stale readers", dead);
	return 0;
}

/* Nothing is opened before its structure was seen to be in order. */
static int check_file(const char *dir, char *why, size_t size)
{
	char path[4096], what[192];
	int err;

	if (snprintf(path, sizeof(path), "%s/data.mdb", dir) >= (int)sizeof(path)) {
		snprintf(why, size, "the path of the store is too long");
		return -ENAMETOOLONG;
	}
	err = pages_check(path, NULL, what, sizeof(what));
	if (!err || err == -ENOENT)
		return 0;
	snprintf(why, size, "%.200s%s: %s%s", path, err == -EBADMSG ? " is damaged" : "", what,
		 err == -EBADMSG ? "; restore a backup" : "");
	return err;
}

int environment_open(struct environment *e, const char *dir, const struct environment_options *o,
		     char *why, size_t size)
{
	int err;

	memset(e, 0, sizeof(*e));
	e->cache = o->cache;
	e->synced = o->synced;
	e->read_only = o->read_only;
	e->limit = o->limit ? o->limit : o->cache ? MAP_DEFAULT_CACHE : MAP_DEFAULT;
	if (e->limit < MAP_MIN)
		e->limit = MAP_MIN;
	e->limit &= ~(uint64_t)0xffff;
	e->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e->dir_fd < 0) {
		err = -errno;
		snprintf(why, size, "cannot open the directory %s: %s", dir, strerror(-err));
		return err;
	}
	/* Beside a daemon that writes, what is read meanwhile need not fit together. */
	err = o->read_only ? 0 : check_file(dir, why, size);
	if (!err)
		err = open_lmdb(e, dir, why, size);
	if (!err) {
		err = environment_error(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &e->reader));
		if (err)
			snprintf(why, size, "cannot read the store in %s", dir);
		else
			mdb_txn_reset(e->reader);
	}
	if (err)
		environment_close(e);
	return err;
}

void environment_close(struct environment *e)
{
	if (e->reader)
		mdb_txn_abort(e->reader);
	if (e->env)
		mdb_env_close(e->env);
	if (e->plain)
		sodium_memzero(e->plain, e->plain_size);
	free(e->plain);
	if (e->dir_fd >= 0)
		close(e->dir_fd);
	memset(e, 0, sizeof(*e));
	e->dir_fd = -1;
}

/*
 * Looks through the names of the tables: every one must be known, since a damaged
 * name would make its table vanish and another begin empty. Returns their number.
 */
static ssize_t count_names(const struct environment *e, MDB_txn *txn)
{
	MDB_cursor *cursor;
	MDB_val key, val;
	ssize_t n = 0;
	MDB_dbi dbi;
	int rc;

	rc = mdb_dbi_open(txn, NULL, 0, &dbi);
	if (!rc)
		rc = mdb_cursor_open(txn, dbi, &cursor);
	if (rc)
		return environment_error(rc);
	while (!(rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT))) {
		bool known = is_name(&key, header_table);

		for (int i = 0; i < STORE_TABLES && !known; i++)
			known = is_ours(e, i) && is_name(&key, store_tables[i].name);
		if (!known)
			break;
		n++;
	}
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? n : rc ? environment_error(rc) : -EBADMSG;
}

ssize_t environment_header(struct environment *e, uint8_t *buf, size_t size)
{
	MDB_val key = { sizeof(header_key) - 1, (void *)header_key };
	MDB_txn *txn;
	MDB_val val;
	ssize_t n;
	int rc;

	/* Its handle cannot be opened in the reader that stays. */
	rc = mdb_txn_begin(e->env, NULL, MDB_RDONLY, &txn);
	if (rc)
		return environment_error(rc);
	n = count_names(e, txn);
	if (n < 0)
		goto out;
	rc = mdb_dbi_open(txn, header_table, 0, &e->header);
	if (!rc)
		rc = mdb_get(txn, e->header, &key, &val);
	/* Tables and header are made in one transaction. */
	if (rc == MDB_NOTFOUND && n)
		n = -EBADMSG;
	else
		n = rc ? environment_error(rc) : (ssize_t)val.mv_size;
	if (n > (ssize_t)size)
		n = -EMSGSIZE;
	if (n > 0)
		memcpy(buf, val.mv_data, (size_t)n);
out:
	mdb_txn_abort(txn);
	return n;
}

int environment_tables(struct environment *e, const struct keyring *keys, const uint8_t *header,
		       size_t len, char *why, size_t size)
{
	unsigned int create = e->read_only ? 0 : MDB_CREATE;
	MDB_val key = { sizeof(header_key) - 1, (void *)header_key };
	MDB_val val = { len, (void *)header };
	MDB_txn *txn;
	MDB_stat st;
	int rc;

	rc = mdb_txn_begin(e->env, NULL, e->read_only ? MDB_RDONLY : 0, &txn);
	if (rc)
		goto fail;
	rc = mdb_dbi_open(txn, header_table, create, &e->header);
	for (int i = 0; i < STORE_TABLES && !rc; i++)
		if (is_ours(e, i))
			rc = mdb_dbi_open(txn, store_tables[i].name, create, &e->dbi[i]);
	if (!rc && header)
		rc = mdb_put(txn, e->header, &key, &val, 0);
	if (!rc) {
		rc = mdb_txn_commit(txn);
	} else {
		mdb_txn_abort(txn);
	}
	if (rc)
		goto fail;
	e->keys = keys;
	mdb_env_stat(e->env, &st);
	e->page = st.ms_psize;
	environment_measure(e);
	return 0;
fail:
	snprintf(why, size, "cannot open the tables of the store: %s", mdb_strerror(rc));
	return environment_error(rc);
}

void environment_note_damage(void *environment, enum store_table table, const void *hidden,
			     size_t len)
{
	struct environment *e = environment;
	char name[2 * CIPHER_KEY_LEN + 1];

	if (e->damaged++ >= DAMAGED_LOG)
		return;
	if (len > CIPHER_KEY_LEN)
		len = CIPHER_KEY_LEN;
	sodium_bin2hex(name, sizeof(name), hidden, len);
	log_error("store: record %s of table %s is damaged and left out%s", name,
		  store_tables[table].name,
		  e->damaged == DAMAGED_LOG ? "; ratctl db verify lists all" : "");
}

/* Makes sure that a sealed value can be opened into *@plain. */
static int make_room(uint8_t **plain, size_t *size, size_t len)
{
	uint8_t *more;

	if (len <= *size)
		return 0;
	len = (len + 4095) & ~(size_t)4095;
	more = malloc(len);
	if (!more)
		return -ENOMEM;
	if (*plain)
		sodium_memzero(*plain, *size);
	free(*plain);
	*plain = more;
	*size = len;
	return 0;
}

/* Nothing to open: the hidden key is all there is. */
static bool is_bare(enum store_table table, const MDB_val *sealed)
{
	return store_tables[table].bare && !sealed->mv_size;
}

/* Opens what @sealed holds and copies the value out. */
static ssize_t open_value(struct environment *e, enum store_table table, const uint8_t *hidden,
			  const MDB_val *sealed, void *value, size_t size)
{
	struct cipher_record r;
	ssize_t got;

	if (is_bare(table, sealed))
		return 0;
	if (make_room(&e->plain, &e->plain_size, sealed->mv_size))
		return -ENOMEM;
	if (cipher_open(e->keys, table, hidden, sealed->mv_data, sealed->mv_size, e->plain, &r)) {
		environment_note_damage(e, table, hidden, CIPHER_KEY_LEN);
		return -EBADMSG;
	}
	got = r.value_len > size ? -EMSGSIZE : (ssize_t)r.value_len;
	if (got > 0)
		memcpy(value, r.value, r.value_len);
	if (store_tables[table].secret)
		sodium_memzero(e->plain, sealed->mv_size);
	return got;
}

ssize_t environment_get(struct environment *e, enum store_table table, const void *key,
			size_t key_len, void *value, size_t size)
{
	uint8_t hidden[CIPHER_KEY_LEN];
	MDB_val k = { sizeof(hidden), hidden };
	MDB_val v;
	ssize_t got;
	int rc;

	if (!cipher_key_fits(table, key_len))
		return -EINVAL;
	cipher_hide(e->keys, table, key, key_len, hidden);
	rc = mdb_txn_renew(e->reader);
	if (rc)
		return environment_error(rc);
	rc = mdb_get(e->reader, e->dbi[table], &k, &v);
	if (rc)
		got = environment_error(rc);
	else
		got = value ? open_value(e, table, hidden, &v, value, size) : 0;
	mdb_txn_reset(e->reader);
	return got;
}

/* A walk over a table, or a group of it. */
struct walk {
	struct environment *e;
	enum store_table table;
	MDB_txn *txn;
	MDB_cursor *cursor;
	MDB_val key, val;
	uint8_t group[CIPHER_GROUP_LEN];
	bool grouped;
	bool brief;		/* nothing else is read meanwhile: the one reader will do */
	uint8_t *plain;
	size_t plain_size;
};

static void walk_leave(struct walk *w)
{
	if (w->txn == w->e->reader)
		mdb_txn_reset(w->txn);
	else
		mdb_txn_abort(w->txn);
}

static int walk_begin(struct walk *w, struct environment *e, enum store_table table)
{
	int err;

	w->e = e;
	w->table = table;
	if (w->brief) {
		w->txn = e->reader;
		err = environment_error(mdb_txn_renew(w->txn));
	} else {
		err = environment_error(mdb_txn_begin(e->env, NULL, MDB_RDONLY, &w->txn));
	}
	if (err)
		return err;
	err = environment_error(mdb_cursor_open(w->txn, e->dbi[table], &w->cursor));
	if (err)
		walk_leave(w);
	return err;
}

static void walk_end(struct walk *w)
{
	mdb_cursor_close(w->cursor);
	walk_leave(w);
	if (w->plain)
		sodium_memzero(w->plain, w->plain_size);
	free(w->plain);
}

/* 0, -ENOENT at the end of table or group, or an error. */
static int walk_step(struct walk *w, MDB_cursor_op op)
{
	int err = environment_error(mdb_cursor_get(w->cursor, &w->key, &w->val, op));

	if (!err && w->grouped && (w->key.mv_size < sizeof(w->group) ||
				   memcmp(w->key.mv_data, w->group, sizeof(w->group))))
		err = -ENOENT;
	return err;
}

/* Opens the record the walk stands on. -EBADMSG for a damaged, -ENODATA for a bare one. */
static int walk_open(struct walk *w, bool keys_only, uint8_t *key, struct cipher_record *r)
{
	const struct keyring *keys = w->e->keys;
	ssize_t n;

	if (w->key.mv_size != CIPHER_KEY_LEN)
		return -EBADMSG;
	if (is_bare(w->table, &w->val))
		return -ENODATA;
	if (keys_only) {
		n = cipher_open_key(keys, w->table, w->key.mv_data, w->val.mv_data, w->val.mv_size,
				    key);
		*r = (struct cipher_record){ .key = key, .key_len = n < 0 ? 0 : (size_t)n };
		return n < 0 ? (int)n : 0;
	}
	if (make_room(&w->plain, &w->plain_size, w->val.mv_size))
		return -ENOMEM;
	return cipher_open(keys, w->table, w->key.mv_data, w->val.mv_data, w->val.mv_size, w->plain,
			   r);
}

int environment_each(struct environment *e, const struct environment_range *range,
		     environment_each_cb cb, void *ctx)
{
	struct walk w = { .grouped = range->grouped };
	uint8_t key[STORE_KEY_MAX];
	int err, stop = 0;

	memcpy(w.group, range->start, sizeof(w.group));
	err = walk_begin(&w, e, range->table);
	if (err)
		return err;
	w.key = (MDB_val){ sizeof(range->start), (void *)range->start };
	err = walk_step(&w, MDB_SET_RANGE);
	while (!err && !stop) {
		struct cipher_record r;

		err = walk_open(&w, range->keys_only, key, &r);
		if (!err)
			stop = cb(ctx, w.key.mv_data, &r);
		else if (err == -EBADMSG)
			environment_note_damage(e, range->table, w.key.mv_data, w.key.mv_size);
		if (!err || err == -EBADMSG || err == -ENODATA)
			err = stop ? 0 : walk_step(&w, MDB_NEXT);
	}
	walk_end(&w);
	return stop ? stop : err == -ENOENT ? 0 : err;
}

/* Of the record the walk stands on, whose table is ordered. */
static uint64_t walk_order(const struct walk *w)
{
	struct wire_reader r;

	wire_read_init(&r, (const uint8_t *)w->key.mv_data + CIPHER_GROUP_LEN, TABLES_ORDER_LEN);
	return wire_get_be64(&r);
}

int environment_orders(struct environment *e, enum store_table table,
		       const uint8_t start[static CIPHER_KEY_LEN], environment_order_cb cb,
		       void *ctx)
{
	struct walk w = { .grouped = true, .brief = true };
	int err, stop = 0;

	memcpy(w.group, start, sizeof(w.group));
	err = walk_begin(&w, e, table);
	if (err)
		return err;
	w.key = (MDB_val){ CIPHER_KEY_LEN, (void *)start };
	err = walk_step(&w, MDB_SET_RANGE);
	while (!err && !stop) {
		if (w.key.mv_size == CIPHER_KEY_LEN)
			stop = cb(ctx, walk_order(&w));
		else
			environment_note_damage(e, table, w.key.mv_data, w.key.mv_size);
		if (!stop)
			err = walk_step(&w, MDB_NEXT);
	}
	walk_end(&w);
	return stop ? stop : err == -ENOENT ? 0 : err;
}

int environment_last_order(struct environment *e, enum store_table table,
			   const uint8_t group[static CIPHER_GROUP_LEN], uint64_t *order)
{
	struct walk w = { .brief = true };
	uint8_t end[CIPHER_KEY_LEN];
	int err;

	memcpy(w.group, group, sizeof(w.group));
	memcpy(end, group, CIPHER_GROUP_LEN);
	memset(end + CIPHER_GROUP_LEN, 0xff, sizeof(end) - CIPHER_GROUP_LEN);
	err = walk_begin(&w, e, table);
	if (err)
		return err;
	/* Behind the group, or behind the table; then back one. */
	w.key = (MDB_val){ sizeof(end), end };
	err = walk_step(&w, MDB_SET_RANGE);
	w.grouped = true;
	if (err == -ENOENT)
		err = walk_step(&w, MDB_LAST);
	else if (!err)
		err = walk_step(&w, MDB_PREV);
	if (!err && w.key.mv_size != CIPHER_KEY_LEN)
		err = -EBADMSG;
	if (!err)
		*order = walk_order(&w);
	walk_end(&w);
	return err == -ENOENT ? 0 : err ? err : 1;
}

int environment_next_group(struct environment *e, enum store_table table,
			   struct store_cursor *cursor, void *prefix)
{
	struct walk w = { .grouped = false };
	uint8_t key[STORE_KEY_MAX];
	int err;

	err = walk_begin(&w, e, table);
	if (err)
		return err;
	w.key = (MDB_val){ sizeof(cursor->b), cursor->b };
	err = walk_step(&w, MDB_SET_RANGE);
	while (!err) {
		struct cipher_record r;

		if (w.key.mv_size == CIPHER_KEY_LEN) {
			/* What comes after the last hidden key of this group. */
			memcpy(cursor->b, w.key.mv_data, CIPHER_GROUP_LEN);
			memset(cursor->b + CIPHER_GROUP_LEN, 0xff, CIPHER_KEY_LEN - CIPHER_GROUP_LEN);
		}
		err = walk_open(&w, true, key, &r);
		if (!err) {
			memcpy(prefix, r.key, store_tables[table].prefix);
			break;
		}
		if (err == -EBADMSG)
			environment_note_damage(e, table, w.key.mv_data, w.key.mv_size);
		err = walk_step(&w, MDB_NEXT);
	}
	walk_end(&w);
	return err == -ENOENT ? 0 : err ? err : 1;
}

int environment_verify(struct environment *e, enum store_table table,
		       void (*damaged)(void *ctx, enum store_table table, const void *hidden,
				       size_t len),
		       void *ctx, struct environment_count *out)
{
	struct walk w = { .grouped = false };
	MDB_stat st;
	int err;

	memset(out, 0, sizeof(*out));
	err = walk_begin(&w, e, table);
	if (err)
		return err;
	if (!mdb_stat(w.txn, e->dbi[table], &st))
		out->disk_bytes = (uint64_t)(st.ms_branch_pages + st.ms_leaf_pages +
					     st.ms_overflow_pages) * st.ms_psize;
	err = walk_step(&w, MDB_FIRST);
	while (!err) {
		struct cipher_record r;

		err = walk_open(&w, false, NULL, &r);
		if (err && err != -EBADMSG && err != -ENODATA)
			break;
		out->records++;
		out->sealed_bytes += w.val.mv_size;
		if (!err) {
			out->value_bytes += r.value_len;
		} else if (err == -EBADMSG) {
			out->damaged++;
			if (damaged)
				damaged(ctx, table, w.key.mv_data, w.key.mv_size);
		}
		err = walk_step(&w, MDB_NEXT);
	}
	walk_end(&w);
	return err == -ENOENT ? 0 : err;
}

void environment_measure(struct environment *e)
{
	uint64_t pages = 4;

	if (mdb_txn_renew(e->reader))
		return;
	for (int i = 0; i < STORE_TABLES; i++) {
		MDB_stat st;

		if (is_ours(e, i) && !mdb_stat(e->reader, e->dbi[i], &st))
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

	return !fstatvfs(e->dir_fd, &st) &&
	       (uint64_t)st.f_bavail * st.f_frsize < segment->bytes * 2 + (1u << 20);
}

/* A record on its way to the disk. */
struct outgoing {
	uint8_t hidden[CIPHER_KEY_LEN];
	const struct overlay_record *record;
};

static int compare_outgoing(const void *a, const void *b)
{
	const struct outgoing *x = a, *y = b;

	if (x->record->data[0] != y->record->data[0])
		return x->record->data[0] < y->record->data[0] ? -1 : 1;
	return memcmp(x->hidden, y->hidden, sizeof(x->hidden));
}

/*
 * The segment's records under their hidden keys and in their order, so that
 * neighbours on a page are written one after the other. @plain is the most that
 * sealing one of them takes.
 */
static struct outgoing *prepare(const struct environment *e, const struct overlay_segment *segment,
				size_t *n, size_t *plain)
{
	struct outgoing *list = malloc((HASH_COUNT(segment->records) + 1) * sizeof(*list));

	*n = *plain = 0;
	if (!list)
		return NULL;
	for (const struct overlay_record *r = segment->records; r; r = r->hh.next) {
		enum store_table table = r->data[0];
		size_t len = cipher_sealed_len(table, r->key_len, r->value_len);

		cipher_hide(e->keys, table, overlay_key(r), r->key_len, list[*n].hidden);
		list[(*n)++].record = r;
		if (len > *plain)
			*plain = len;
	}
	qsort(list, *n, sizeof(*list), compare_outgoing);
	return list;
}

/* Seals one record straight into its page. */
static int write_one(struct environment *e, MDB_txn *txn, const struct outgoing *o, uint8_t *plain)
{
	const struct overlay_record *r = o->record;
	enum store_table table = r->data[0];
	MDB_val k = { sizeof(o->hidden), (void *)o->hidden };
	MDB_val v = { 0 };
	int rc;

	if (r->deleted) {
		rc = mdb_del(txn, e->dbi[table], &k, NULL);
		return rc == MDB_NOTFOUND ? 0 : rc;
	}
	if (store_tables[table].bare && !r->value_len)
		return mdb_put(txn, e->dbi[table], &k, &v, 0);
	v.mv_size = cipher_sealed_len(table, r->key_len, r->value_len);
	rc = store_tables[table].grows ?
		     mdb_put(txn, e->dbi[table], &k, &v, MDB_RESERVE | MDB_APPEND) : MDB_KEYEXIST;
	/* It is not the last one. */
	if (rc == MDB_KEYEXIST)
		rc = mdb_put(txn, e->dbi[table], &k, &v, MDB_RESERVE);
	if (!rc)
		cipher_seal(e->keys, table, o->hidden, overlay_key(r), r->key_len, overlay_value(r),
			    r->value_len, plain, v.mv_data);
	return rc;
}

int environment_write(struct environment *e, const struct overlay_segment *segment)
{
	struct outgoing *list;
	uint8_t *plain = NULL;
	size_t n, plain_len;
	MDB_txn *txn;
	int rc;

	if (e->read_only)
		return -EROFS;
	list = prepare(e, segment, &n, &plain_len);
	if (list)
		plain = malloc(plain_len + 1);
	if (!plain) {
		free(list);
		return -ENOMEM;
	}
	rc = mdb_txn_begin(e->env, NULL, 0, &txn);
	if (rc)
		goto out;
	for (size_t i = 0; i < n && !rc; i++)
		rc = write_one(e, txn, &list[i], plain);
	if (rc)
		mdb_txn_abort(txn);
	else
		rc = mdb_txn_commit(txn);
out:
	sodium_memzero(plain, plain_len);
	free(plain);
	free(list);
	if (rc == EIO && disk_is_full(e, segment))
		rc = ENOSPC;
	if (rc)
		log_error("store: a commit of %zu records failed: %s", n, mdb_strerror(rc));
	return environment_error(rc);
}

int environment_sync(struct environment *e)
{
	return e->read_only ? 0 : environment_error(mdb_env_sync(e->env, 1));
}
