// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The store beside raw LMDB, on a file system with a disk below it (BENCH_DIR,
 * default the working directory), one JSON object a line:
 *   writers          how many wait, each for its own write, before the next one
 *   store_per_s      durable puts of 1 KiB a second through the store (sealed)
 *   raw_per_s        puts of the same size into LMDB in the clear, as many to a
 *                    transaction as the store had on average, synced
 *   share            store_per_s / raw_per_s, the median of the rounds' pairs
 *   batch            records in a transaction, on average
 * and, of a store of 50,000 records of 1 KiB and of 2,000 of 32 KiB,
 *   disk_per_byte    bytes of data.mdb per byte stored, store and raw LMDB
 *   open_ms          opening it, with the check of its structure (and, below 64
 *                    MiB, of all records)
 *   get_us, raw_get_us  reading one record at random
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "bench/bench.h"
#include "ratmand/store/store.h"

#define VALUE 1024
#define ROUNDS 7
#define ROUND_S 1.0
#define KEY_LEN RAW_KEY_LEN

static uv_loop_t loop;
static uint8_t value[32768];

static struct store *open_store(void)
{
	struct store *s;
	char why[256];
	int err = store_open(&s, &loop, dir, NULL, why, sizeof(why));

	if (err)
		die(why, err);
	return s;
}

static void close_store(struct store *s)
{
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* Keys as they come: random. */
static void draw_key(uint8_t key[static KEY_LEN])
{
	randombytes_buf(key, KEY_LEN);
}

struct writer {
	struct store *store;
	uint64_t *done;
	double until;
};

static void on_durable(void *ctx, int err)
{
	struct writer *w = ctx;
	uint8_t key[KEY_LEN];

	if (err)
		die("commit", err);
	++*w->done;
	if (now_s() >= w->until)
		return;
	draw_key(key);
	err = store_put(w->store, STORE_DONE, key, sizeof(key), value, VALUE);
	if (err)
		die("put", err);
	store_commit(w->store, on_durable, w);
}

/* Durable puts a second with @n writers, counted in @done. */
static double run_store(struct store *s, unsigned int n, uint64_t *done)
{
	struct writer w = { s, done, 0 };
	double begin = now_s();
	uint8_t key[KEY_LEN];

	*done = 0;
	w.until = begin + ROUND_S;
	for (unsigned int i = 0; i < n; i++) {
		draw_key(key);
		if (store_put(s, STORE_DONE, key, sizeof(key), value, VALUE))
			die("put", errno);
		store_commit(s, on_durable, &w);
	}
	while (store_backlog(s) || now_s() < w.until)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_NOWAIT);
	return (double)*done / (now_s() - begin);
}

static void durable(unsigned int writers)
{
	double store[ROUNDS], raw[ROUNDS], share[ROUNDS], batch_sum = 0;
	MDB_dbi dbi;
	MDB_env *env;

	fresh_dir();
	env = raw_open(&dbi);
	for (int i = 0; i < ROUNDS; i++) {
		struct store *s = open_store();
		uint64_t done, before, after;
		double batch;

		close_store(s);
		before = transactions("state");
		s = open_store();
		store[i] = run_store(s, writers, &done);
		close_store(s);
		after = transactions("state");
		batch = (double)done / (double)(after - before);
		batch_sum += batch;
		raw[i] = raw_run(env, dbi, (unsigned int)(batch + 0.5), value, VALUE, ROUND_S);
		share[i] = store[i] / raw[i];
	}
	mdb_env_close(env);
	printf("{\"bench\":\"store\",\"case\":\"durable\",\"writers\":%u,\"store_per_s\":%.0f,"
	       "\"raw_per_s\":%.0f,\"share\":%.2f,\"batch\":%.1f}\n",
	       writers, median(store, ROUNDS), median(raw, ROUNDS), median(share, ROUNDS), batch_sum / ROUNDS);
	fflush(stdout);
}

static double file_bytes(const char *sub)
{
	char path[300];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s/data.mdb", dir, sub);
	return stat(path, &st) ? 0 : (double)st.st_size;
}

/* Size on disk, time to open, time to read. */
static void size(unsigned int n, size_t len)
{
	uint8_t key[KEY_LEN] = { 0 };
	struct store *s;
	double opened, got, raw_got;
	MDB_dbi dbi;
	MDB_env *env;
	MDB_txn *txn;

	fresh_dir();
	s = open_store();
	for (uint32_t i = 0; i < n; i++) {
		memcpy(key + 16, &i, sizeof(i));
		if (store_put(s, STORE_BLOCKS, key, sizeof(key), value, len))
			die("put", errno);
		if (store_backlog(s) > 4u << 20 && store_flush(s))
			die("flush", EIO);
	}
	close_store(s);
	opened = now_s();
	s = open_store();
	opened = now_s() - opened;
	got = now_s();
	for (int i = 0; i < 20000; i++) {
		uint32_t r = randombytes_uniform(n);

		memcpy(key + 16, &r, sizeof(r));
		if (store_get(s, STORE_BLOCKS, key, sizeof(key), value, sizeof(value)) != (ssize_t)len)
			die("get", EIO);
	}
	got = now_s() - got;
	close_store(s);
	/* Raw, with the same keys in clear, in batches. */
	env = raw_open(&dbi);
	for (unsigned int i = 0; i < n; i += 500)
		raw_put(env, dbi, 500, value, len);
	raw_got = now_s();
	for (int i = 0; i < 20000; i++) {
		MDB_val k = { KEY_LEN, key }, v;
		MDB_cursor *cursor;

		draw_key(key);
		if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_cursor_open(txn, dbi, &cursor))
			die("raw get", EIO);
		if (!mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE))
			memcpy(value, v.mv_data, v.mv_size);
		mdb_cursor_close(cursor);
		mdb_txn_abort(txn);
	}
	raw_got = now_s() - raw_got;
	mdb_env_close(env);
	printf("{\"bench\":\"store\",\"case\":\"size\",\"records\":%u,\"value\":%zu,"
	       "\"disk_per_byte\":%.2f,\"raw_disk_per_byte\":%.2f,\"open_ms\":%.1f,"
	       "\"get_us\":%.2f,\"raw_get_us\":%.2f}\n",
	       n, len, file_bytes("state") / ((double)n * (double)len),
	       file_bytes("raw") / ((double)n * (double)len), opened * 1e3, got / 20000 * 1e6,
	       raw_got / 20000 * 1e6);
	fflush(stdout);
}

int main(void)
{
	if (sodium_init() < 0 || uv_loop_init(&loop))
		return 1;
	log_set_level(LOG_ERROR);
	randombytes_buf(value, sizeof(value));
	durable(1);
	durable(16);
	durable(256);
	size(50000, 1024);
	size(2000, 32768);
	remove_dir();
	return 0;
}
