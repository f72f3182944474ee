// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/store/store.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN];
static uv_loop_t loop;
static char why[256];

static int setup(void **state)
{
	(void)state;
	scratch_make(dir);
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	(void)state;
	return scratch_end(dir, &loop, NULL);
}

static struct store *open_sized(uint64_t map_size)
{
	struct store_options options = { .map_size = map_size };
	struct store *s = NULL;

	assert_int_equal(store_open(&s, &loop, dir, &options, why, sizeof(why)), 0);
	return s;
}

static struct store *open_store(void)
{
	return open_sized(0);
}

static void close_store(struct store *s)
{
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void put(struct store *s, const char *key, const char *value)
{
	assert_int_equal(store_put(s, STORE_SEEN, key, strlen(key), value, strlen(value)), 0);
}

static void expect(struct store *s, const char *key, const char *value)
{
	char buf[64];
	ssize_t n = store_get(s, STORE_SEEN, key, strlen(key), buf, sizeof(buf));

	if (!value) {
		assert_int_equal(n, -ENOENT);
		assert_false(store_has(s, STORE_SEEN, key, strlen(key)));
		return;
	}
	assert_int_equal(n, strlen(value));
	assert_memory_equal(buf, value, (size_t)n);
	assert_true(store_has(s, STORE_SEEN, key, strlen(key)));
}

static int done_err;
static int done_count;

static void on_done(void *ctx, int err)
{
	(void)ctx;
	done_err = err;
	done_count++;
}

static void commit(struct store *s)
{
	int before = done_count;

	store_commit(s, on_done, NULL);
	assert_int_equal(done_count, before);
	while (done_count == before)
		uv_run(&loop, UV_RUN_ONCE);
}

static void test_overlay_and_reopen(void **state)
{
	struct store *s = open_store();
	char small[2];

	(void)state;
	expect(s, "a", NULL);
	put(s, "a", "one");
	expect(s, "a", "one");
	assert_true(store_backlog(s) > 0);
	put(s, "a", "two");
	expect(s, "a", "two");
	assert_int_equal(store_get(s, STORE_SEEN, "a", 1, small, sizeof(small)), -EMSGSIZE);
	commit(s);
	assert_int_equal(done_err, 0);
	assert_int_equal(store_backlog(s), 0);
	expect(s, "a", "two");
	assert_int_equal(store_get(s, STORE_SEEN, "a", 1, small, sizeof(small)), -EMSGSIZE);
	assert_int_equal(store_del(s, STORE_SEEN, "a", 1), 0);
	expect(s, "a", NULL);
	put(s, "b", "kept");
	assert_int_equal(store_put(s, STORE_SEEN, "", 0, "x", 1), -EINVAL);
	assert_int_equal(store_put(s, STORE_DONE, "empty", 5, NULL, 0), 0);
	close_store(s);

	s = open_store();
	expect(s, "a", NULL);
	expect(s, "b", "kept");
	assert_int_equal(store_get(s, STORE_DONE, "empty", 5, small, sizeof(small)), 0);
	commit(s);
	assert_int_equal(done_err, 0);
	close_store(s);
}

/* Records have no order on the disk: what is listed is sorted before it is compared. */
struct listing {
	char rows[16][32];
	size_t n;
	char text[256];
	int stop_after;
};

static int list_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct listing *l = ctx;

	snprintf(l->rows[l->n++], sizeof(l->rows[0]), "%.*s=%.*s ", (int)key_len, (const char *)key,
		 (int)value_len, value ? (const char *)value : "");
	return --l->stop_after == 0 ? 7 : 0;
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp(a, b);
}

static const char *sorted(struct listing *l)
{
	qsort(l->rows, l->n, sizeof(l->rows[0]), compare_rows);
	l->text[0] = 0;
	for (size_t i = 0; i < l->n; i++)
		strcat(l->text, l->rows[i]);
	return l->text;
}

static void test_each(void **state)
{
	struct store *s = open_store();
	struct listing l = { .stop_after = 0 };

	(void)state;
	put(s, "b", "2");
	put(s, "d", "4");
	put(s, "f", "6");
	put(s, "fa", "7");
	commit(s);
	put(s, "a", "1");
	put(s, "d", "D");
	put(s, "e", "5");
	assert_int_equal(store_del(s, STORE_SEEN, "b", 1), 0);
	assert_int_equal(store_del(s, STORE_SEEN, "zz", 2), 0);
	put(s, "g", "8");
	assert_int_equal(store_each(s, STORE_SEEN, list_one, &l), 0);
	assert_string_equal(sorted(&l), "a=1 d=D e=5 f=6 fa=7 g=8 ");
	l = (struct listing){ .stop_after = 2 };
	assert_int_equal(store_each(s, STORE_SEEN, list_one, &l), 7);
	assert_int_equal(l.n, 2);
	l = (struct listing){ .stop_after = 0 };
	assert_int_equal(store_each_key(s, STORE_SEEN, NULL, list_one, &l), 0);
	assert_string_equal(sorted(&l), "a= d= e= f= fa= g= ");
	close_store(s);
	s = open_store();
	l = (struct listing){ .stop_after = 0 };
	assert_int_equal(store_each(s, STORE_SEEN, list_one, &l), 0);
	assert_string_equal(sorted(&l), "a=1 d=D e=5 f=6 fa=7 g=8 ");
	close_store(s);
}

/* Groups are found by their first bytes, on disk and queued, and from one to the next. */
static void test_groups(void **state)
{
	struct store *s = open_store();
	struct store_cursor cursor = { { 0 } };
	unsigned int seen[5] = { 0 };
	char key[] = "group 0 ........0";
	char prefix[16];

	(void)state;
	for (int g = 0; g < 5; g++) {
		key[6] = (char)('0' + g);
		for (int i = 0; i < 3 * g; i++) {
			key[16] = (char)('a' + i);
			assert_int_equal(store_put(s, STORE_BLOCKS, key, 17, "x", 1), 0);
			if (i % 3 == 1)
				commit(s);
		}
	}
	for (int g = 0; g < 5; g++) {
		struct listing l = { .stop_after = 0 };

		key[6] = (char)('0' + g);
		assert_int_equal(store_each_of(s, STORE_BLOCKS, key, list_one, &l), 0);
		assert_int_equal(l.n, 3 * g);
		for (size_t i = 0; i < l.n; i++)
			assert_memory_equal(l.rows[i], key, 16);
	}
	commit(s);
	for (int round = 0; round < 4; round++) {
		assert_int_equal(store_next_group(s, STORE_BLOCKS, &cursor, prefix), 1);
		assert_true(prefix[6] > '0' && prefix[6] < '5');
		seen[prefix[6] - '0']++;
	}
	for (int g = 1; g < 5; g++)
		assert_int_equal(seen[g], 1);
	assert_int_equal(store_next_group(s, STORE_BLOCKS, &cursor, prefix), 0);
	/* A key shorter than its table's groups is none. */
	assert_int_equal(store_put(s, STORE_BLOCKS, "short", 5, "", 0), -EINVAL);
	close_store(s);
}

static void due_key(char *key, char owner, uint8_t order)
{
	memset(key, owner, 64);
	memset(key + 64, 0, 8);
	key[70] = (char)(order >> 4);
	key[71] = (char)(order << 4);
}

static int take_order(void *ctx, const void *key, size_t key_len, const void *value,
		      size_t value_len)
{
	struct listing *l = ctx;
	const uint8_t *k = key;

	assert_int_equal(key_len, 72);
	assert_int_equal(value_len, 1);
	snprintf(l->text + strlen(l->text), sizeof(l->text) - strlen(l->text), "%c%d%s ",
		 (char)k[0], k[70] << 4 | k[71] >> 4, *(const char *)value == 'n' ? "n" : "");
	return --l->stop_after == 0 ? 7 : 0;
}

/* Records of an ordered group come in order, from anywhere on, queued ones in their places. */
static void test_order(void **state)
{
	static const uint8_t orders[] = { 200, 3, 17, 255, 0, 90, 16, 1 };
	struct listing l = { .stop_after = 0 };
	struct store *s = open_store();
	char key[72];

	(void)state;
	for (size_t i = 0; i < sizeof(orders); i++) {
		due_key(key, 'a', orders[i]);
		assert_int_equal(store_put(s, STORE_DUE, key, sizeof(key), "x", 1), 0);
		due_key(key, 'b', orders[i]);
		assert_int_equal(store_put(s, STORE_DUE, key, sizeof(key), "x", 1), 0);
		if (i == 4)
			commit(s);
	}
	due_key(key, 'a', 17);
	assert_int_equal(store_put(s, STORE_DUE, key, sizeof(key), "n", 1), 0);
	due_key(key, 'a', 200);
	assert_int_equal(store_del(s, STORE_DUE, key, sizeof(key)), 0);
	for (int round = 0; round < 2; round++) {
		due_key(key, 'a', 0);
		l.text[0] = 0;
		assert_int_equal(store_each_from(s, STORE_DUE, key, take_order, &l), 0);
		assert_string_equal(l.text, "a0 a1 a3 a16 a17n a90 a255 ");
		l.text[0] = 0;
		assert_int_equal(store_each_of(s, STORE_DUE, key, take_order, &l), 0);
		assert_string_equal(l.text, "a0 a1 a3 a16 a17n a90 a255 ");
		due_key(key, 'b', 17);
		l.text[0] = 0;
		l.stop_after = 3;
		assert_int_equal(store_each_from(s, STORE_DUE, key, take_order, &l), 7);
		assert_string_equal(l.text, "b17 b90 b200 ");
		l.stop_after = 0;
		due_key(key, 'a', 201);
		l.text[0] = 0;
		assert_int_equal(store_each_from(s, STORE_DUE, key, take_order, &l), 0);
		assert_string_equal(l.text, "a255 ");
		commit(s);
	}
	assert_int_equal(store_put(s, STORE_DUE, key, sizeof(key) - 1, "x", 1), -EINVAL);
	assert_int_equal(store_each_from(s, STORE_BLOCKS, key, take_order, &l), -EINVAL);
	close_store(s);
}

/* What was put together can be taken back: all of it, whatever it was put over. */
static void test_take_back(void **state)
{
	struct store *s = open_store();

	(void)state;
	put(s, "old", "on disk");
	put(s, "gone", "on disk");
	assert_int_equal(store_flush(s), 0);
	for (int flushed = 0; flushed < 2; flushed++) {
		put(s, "queued", "before");
		if (flushed)
			assert_int_equal(store_flush(s), 0);
		store_together(s, true);
		put(s, "new", "1");
		put(s, "new", "2");
		put(s, "old", "1");
		put(s, "old", "2");
		put(s, "queued", "1");
		assert_int_equal(store_del(s, STORE_SEEN, "queued", 6), 0);
		put(s, "queued", "2");
		assert_int_equal(store_del(s, STORE_SEEN, "gone", 4), 0);
		expect(s, "queued", "2");
		expect(s, "gone", NULL);
		store_take_back(s);
		/* What comes then is no part of it. */
		put(s, "after", flushed ? "again" : "all");
		store_together(s, false);
		expect(s, "new", NULL);
		expect(s, "old", "on disk");
		expect(s, "gone", "on disk");
		expect(s, "queued", "before");
		expect(s, "after", flushed ? "again" : "all");
	}
	/* Without that, it stays, and what it replaced is gone. */
	store_together(s, true);
	put(s, "new", "1");
	put(s, "new", "2");
	put(s, "queued", "3");
	put(s, "queued", "4");
	store_together(s, false);
	put(s, "queued", "5");
	close_store(s);
	s = open_store();
	expect(s, "new", "2");
	expect(s, "queued", "5");
	expect(s, "old", "on disk");
	expect(s, "gone", "on disk");
	expect(s, "after", "again");
	close_store(s);
}

static void test_second_open(void **state)
{
	struct store *s = open_store(), *other = NULL;

	(void)state;
	assert_int_equal(store_open(&other, &loop, dir, NULL, why, sizeof(why)), -EBUSY);
	assert_non_null(strstr(why, "another"));
	close_store(s);
	s = open_store();
	close_store(s);
}

/* Of another format, newer or older, nothing is read, nor is a key asked for. */
static void expect_refused(uint8_t format, const char *what)
{
	uint8_t header[200] = "ratmand\0";
	MDB_val key = { 6, (void *)"header" }, val = { sizeof(header), header };
	struct store *s = open_store();
	char path[96];
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	close_store(s);
	header[11] = format;
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "header", 0, &dbi), 0);
	assert_int_equal(mdb_put(txn, dbi, &key, &val, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, what));
}

static void test_newer_version(void **state)
{
	(void)state;
	expect_refused(4, "format 4");
	assert_non_null(strstr(why, "newer"));
}

static void test_older_version(void **state)
{
	(void)state;
	expect_refused(2, "format 2");
	assert_non_null(strstr(why, "move it away"));
}

/* What format 1 was: one environment in the directory itself, records in clear. */
static void write_format_1(uint32_t blocks)
{
	static const char *const names[] = { "meta", "addresses", "stamps", "seen", "blocks", "outbox",
					     "inbox", "done" };
	static const uint8_t format[12] = "ratmand\0\0\0\0\1";
	static const uint8_t seen[24] = { [7] = 9, [15] = 8, [23] = 7 };
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi[8];

	assert_int_equal(mdb_env_create(&env), 0);
	mdb_env_set_maxdbs(env, 8);
	mdb_env_set_mapsize(env, 256u << 20);
	assert_int_equal(mdb_env_open(env, dir, 0, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
	for (int i = 0; i < 8; i++) {
		char text[32];
		MDB_val key = { 20, text };
		MDB_val val = { 20, text };

		memset(text, 'a' + i, sizeof(text));
		assert_int_equal(mdb_dbi_open(txn, names[i], MDB_CREATE, &dbi[i]), 0);
		if (i == 3)
			val = (MDB_val){ sizeof(seen), (void *)seen };
		assert_int_equal(mdb_put(txn, dbi[i], &key, &val, 0), 0);
	}
	for (uint32_t i = 0; i < blocks; i++) {
		static uint8_t block[32768];
		uint8_t key[20] = { 0 };
		MDB_val k = { sizeof(key), key }, v = { sizeof(block), block };

		memcpy(key + 16, &i, sizeof(i));
		memset(block, (int)i, sizeof(block));
		assert_int_equal(mdb_put(txn, dbi[4], &k, &v, 0), 0);
	}
	assert_int_equal(mdb_put(txn, dbi[0], &(MDB_val){ 6, (void *)"format" },
				 &(MDB_val){ sizeof(format), (void *)format }, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	mdb_env_close(env);
}

static bool exists(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return !access(path, F_OK);
}

static void expect_migrated(struct store *s, uint32_t blocks)
{
	static const enum store_table tables[] = { STORE_META, STORE_ADDRESSES, STORE_STAMPS,
						   STORE_SEEN, STORE_BLOCKS, STORE_OUTBOX,
						   STORE_INBOX, STORE_DONE };
	static uint8_t value[32768];

	for (int i = 0; i < 8; i++) {
		char text[20];

		memset(text, 'a' + i, sizeof(text));
		if (tables[i] == STORE_SEEN) {
			assert_int_equal(store_get(s, STORE_SEEN, text, 20, value, sizeof(value)), 8);
			assert_int_equal(value[7], 9);
			assert_int_equal(store_get(s, STORE_PEERS, text, 20, value, sizeof(value)), 16);
			assert_int_equal(value[7], 8);
			assert_int_equal(value[15], 7);
			continue;
		}
		assert_int_equal(store_get(s, tables[i], text, 20, value, sizeof(value)), 20);
		assert_memory_equal(value, text, 20);
	}
	for (uint32_t i = 0; i < blocks; i++) {
		uint8_t key[20] = { 0 };

		memcpy(key + 16, &i, sizeof(i));
		assert_int_equal(store_get(s, STORE_BLOCKS, key, 20, value, sizeof(value)), 32768);
		assert_int_equal(value[777], (uint8_t)i);
	}
}

static void test_migration(void **state)
{
	char cmd[256];
	struct store *s;

	(void)state;
	write_format_1(1500);
	s = open_store();
	expect_migrated(s, 1500);
	assert_false(exists("data.mdb"));
	assert_false(exists("state.new"));
	assert_true(exists("format-1.mdb"));
	assert_true(exists("state/data.mdb"));
	put(s, "new", "one");
	close_store(s);
	s = open_store();
	expect_migrated(s, 1500);
	expect(s, "new", "one");
	close_store(s);

	/* Cut short just before the old file was put away, and in the middle. */
	snprintf(cmd, sizeof(cmd), "cd %s && cp format-1.mdb data.mdb", dir);
	assert_int_equal(system(cmd), 0);
	s = open_store();
	expect_migrated(s, 1500);
	expect(s, "new", "one");
	close_store(s);
	assert_false(exists("data.mdb"));
	snprintf(cmd, sizeof(cmd),
		 "cd %s && mv format-1.mdb data.mdb && mv state state.new && rm -rf cache", dir);
	assert_int_equal(system(cmd), 0);
	s = open_store();
	expect_migrated(s, 1500);
	expect(s, "new", NULL);
	close_store(s);
}

/* What cannot be migrated stays as it was. */
static void test_migration_refused(void **state)
{
	char cmd[256];
	struct store *s;

	(void)state;
	write_format_1(3);
	snprintf(cmd, sizeof(cmd),
		 "cd %s && cp data.mdb good && printf x | dd of=data.mdb bs=1 seek=8202 conv=notrunc status=none",
		 dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EBADMSG);
	assert_non_null(strstr(why, "damaged"));
	assert_true(exists("data.mdb"));
	assert_false(exists("state"));
	snprintf(cmd, sizeof(cmd), "cd %s && sed 's/ratmand\\x00\\x00\\x00\\x00\\x01/ratmand\\x00\\x00\\x00\\x00\\x09/' good > data.mdb", dir);
	assert_int_equal(system(cmd), 0);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EPROTO);
	assert_non_null(strstr(why, "format 9"));
	assert_false(exists("state"));
	snprintf(cmd, sizeof(cmd), "cd %s && mv good data.mdb", dir);
	assert_int_equal(system(cmd), 0);
	s = open_store();
	expect_migrated(s, 3);
	close_store(s);
}

/* A migration for which the disk is too small changes nothing. */
static void test_migration_disk_full(void **state)
{
	struct store *s;

	(void)state;
	if (mount("none", dir, "tmpfs", 0, "size=12m"))
		skip();
	write_format_1(200);
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -ENOSPC);
	assert_true(exists("data.mdb"));
	assert_false(exists("state"));
	assert_false(exists("state.new"));
	assert_int_equal(mount("none", dir, "tmpfs", MS_REMOUNT, "size=64m"), 0);
	s = open_store();
	expect_migrated(s, 200);
	close_store(s);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

/* A block's key: one group, number @i. */
static const void *block_key(uint32_t i)
{
	static uint8_t key[20];

	memcpy(key + 16, &i, sizeof(i));
	return key;
}

#define BLOCK_KEY_LEN 20

static void test_growth(void **state)
{
	struct store *s = open_sized(256u << 20);
	static uint8_t block[32768];

	(void)state;
	/* 96 MiB: three times the map at the start. */
	for (uint32_t i = 0; i < 3072; i++) {
		memset(block, (int)i, sizeof(block));
		memcpy(block, &i, sizeof(i));
		assert_int_equal(store_put(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block)), 0);
		while (store_backlog(s) > 4u << 20)
			uv_run(&loop, UV_RUN_ONCE);
	}
	close_store(s);
	s = open_sized(256u << 20);
	for (uint32_t i = 0; i < 3072; i++) {
		uint32_t got;

		assert_int_equal(store_get(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block)),
				 sizeof(block));
		memcpy(&got, block, sizeof(got));
		assert_int_equal(got, i);
	}
	close_store(s);
}

static void test_quota(void **state)
{
	struct store *s = open_sized(4u << 20);
	static uint8_t block[32768];
	uint32_t i, held;
	int err = 0;

	(void)state;
	for (i = 0; i < 200 && !err; i++) {
		err = store_put(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block));
		if (!err)
			commit(s);
		assert_int_equal(done_err, 0);
	}
	assert_int_equal(err, -EDQUOT);
	held = i - 1;
	assert_true(held > 60);
	assert_true(store_room(s) < sizeof(block));
	/* Reads go on, and deleting makes room again. */
	i = 0;
	assert_int_equal(store_get(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block)),
			 sizeof(block));
	for (i = 0; i < held / 2; i++)
		assert_int_equal(store_del(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN), 0);
	commit(s);
	assert_int_equal(done_err, 0);
	assert_int_equal(store_put(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block)), 0);
	commit(s);
	assert_int_equal(done_err, 0);
	close_store(s);
}

/* Writes and reports each key after its commit, until killed. */
static void child(int fd)
{
	struct store *s;
	uv_loop_t own;

	uv_loop_init(&own);
	if (store_open(&s, &own, dir, NULL, why, sizeof(why)))
		_exit(1);
	for (uint32_t i = 0;; i++) {
		uint8_t value[200];

		memset(value, (int)i, sizeof(value));
		if (store_put(s, STORE_SEEN, &i, sizeof(i), value, sizeof(value)))
			_exit(2);
		if (i % 16 == 15) {
			int before = done_count;

			store_commit(s, on_done, NULL);
			while (done_count == before)
				uv_run(&own, UV_RUN_ONCE);
			if (done_err || write(fd, &i, sizeof(i)) != sizeof(i))
				_exit(3);
		}
	}
}

static void test_kill(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		uint32_t last = 0, v;
		struct store *s;
		int fds[2];
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (!pid) {
			close(fds[0]);
			child(fds[1]);
		}
		close(fds[1]);
		usleep(50000 + (unsigned int)round * 20000);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		while (read(fds[0], &v, sizeof(v)) == sizeof(v))
			last = v;
		close(fds[0]);
		s = open_store();
		for (uint32_t i = 0; last && i <= last; i++) {
			uint8_t value[200];

			assert_int_equal(store_get(s, STORE_SEEN, &i, sizeof(i), value,
						   sizeof(value)), sizeof(value));
			assert_int_equal(value[199], (uint8_t)i);
		}
		close_store(s);
	}
}

static void test_stamps(void **state)
{
	struct address a = { { 1 } }, b = { { 2 } };
	uint64_t first, last, v;
	struct store *s;

	(void)state;
	clock_fake(1000, 1000000 * 1000000000ll);
	s = open_store();
	first = last = store_next_stamp(s, &a);
	assert_true(first >= 1000000ull << 20);
	for (int i = 0; i < 1000; i++) {
		v = store_next_stamp(s, &a);
		assert_true(v > last);
		last = v;
	}
	assert_true(store_next_stamp(s, &b) >= 1000000ull << 20);
	/* Every second for an hour: the reserve is renewed along the way. */
	for (int i = 0; i < 3600; i += 7) {
		clock_fake(1000, (1000000 + i) * 1000000000ll);
		v = store_next_stamp(s, &a);
		assert_true(v > last && v >= (1000000ull + (unsigned int)i) << 20);
		last = v;
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	close_store(s);
	/* The clock set far back. */
	clock_fake(1000, 500 * 1000000000ll);
	for (int round = 0; round < 20; round++) {
		s = open_store();
		v = store_next_stamp(s, &a);
		assert_true(v > last);
		last = v;
		close_store(s);
	}
	/* Restarting over and over carries the stamps less than a minute a time. */
	assert_true(last < (1000000ull + 3600 + 600 + 20 * 60) << 20);
}

static void test_disk_full(void **state)
{
	static uint8_t block[32768];
	struct store *s;
	uint32_t i, good = 0;
	int err = 0;

	(void)state;
	if (mount("none", dir, "tmpfs", 0, "size=3m"))
		skip();
	s = open_store();
	randombytes_buf(block, sizeof(block));
	for (i = 0; i < 500 && !err; i++) {
		err = store_put(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block));
		if (!err) {
			commit(s);
			err = done_err;
		}
		if (!err)
			good = i;
	}
	assert_int_equal(err, -ENOSPC);
	assert_true(good > 20);
	assert_int_equal(store_failures(s), 1);
	assert_int_equal(store_put(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block)), -ENOSPC);
	for (i = 0; i <= good; i++)
		assert_true(store_has(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN));
	i = good + 1;
	assert_false(store_has(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN));
	close_store(s);
	s = open_store();
	for (i = 0; i <= good; i++)
		assert_int_equal(store_get(s, STORE_BLOCKS, block_key(i), BLOCK_KEY_LEN, block, sizeof(block)),
				 sizeof(block));
	close_store(s);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

static void test_read_only(void **state)
{
	struct store *s;

	(void)state;
	if (mount("none", dir, "tmpfs", MS_RDONLY, "size=1m"))
		skip();
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -EROFS);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);

	/* With a store there: it is read, and only read. */
	assert_int_equal(mount("none", dir, "tmpfs", 0, "size=4m"), 0);
	s = open_store();
	put(s, "a", "one");
	close_store(s);
	assert_int_equal(mount("none", dir, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=4m"), 0);
	s = open_store();
	expect(s, "a", "one");
	assert_int_equal(store_put(s, STORE_SEEN, "b", 1, "two", 3), -EROFS);
	assert_int_equal(store_put(s, STORE_PEERS, "b", 1, "two", 3), -EROFS);
	assert_int_equal(store_del(s, STORE_SEEN, "a", 1), -EROFS);
	commit(s);
	assert_int_equal(done_err, -EROFS);
	assert_int_equal(store_next_stamp(s, &(struct address){ { 1 } }), 0);
	expect(s, "a", "one");
	expect(s, "b", NULL);
	close_store(s);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_overlay_and_reopen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each, setup, teardown),
		cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_take_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_second_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_migration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_migration_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_migration_disk_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_growth, setup, teardown),
		cmocka_unit_test_setup_teardown(test_quota, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kill, setup, teardown),
		cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stamps, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
