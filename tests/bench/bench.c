// SPDX-License-Identifier: GPL-2.0-or-later
#include "bench/bench.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RAW_BATCH 4096

char dir[256];

void die(const char *what, int err)
{
	fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what,
		strerror(err < 0 ? -err : err));
	exit(1);
}

double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double median(double *values, int n)
{
	qsort(values, (size_t)n, sizeof(*values), compare);
	return values[n / 2];
}

void remove_dir(void)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	if (dir[0] && system(cmd))
		die("removing", errno);
	dir[0] = '\0';
}

void fresh_dir(void)
{
	const char *base = getenv("BENCH_DIR");

	remove_dir();
	snprintf(dir, sizeof(dir), "%s/%s.XXXXXX", base ? base : ".", program_invocation_short_name);
	if (!mkdtemp(dir))
		die(dir, errno);
}

MDB_env *raw_open(MDB_dbi *dbi)
{
	char path[300];
	MDB_env *env;
	MDB_txn *txn;

	snprintf(path, sizeof(path), "%s/raw", dir);
	mkdir(path, 0700);
	if (mdb_env_create(&env) || mdb_env_set_mapsize(env, 4ull << 30) ||
	    mdb_env_set_maxdbs(env, 4) || mdb_env_open(env, path, MDB_NOTLS, 0600) ||
	    mdb_txn_begin(env, NULL, 0, &txn) || mdb_dbi_open(txn, "raw", MDB_CREATE, dbi) ||
	    mdb_txn_commit(txn))
		die("raw LMDB", EIO);
	return env;
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, RAW_KEY_LEN);
}

void raw_put(MDB_env *env, MDB_dbi dbi, unsigned int n, const void *value, size_t len)
{
	static uint8_t keys[RAW_BATCH][RAW_KEY_LEN];
	MDB_txn *txn;

	if (n > RAW_BATCH)
		die("raw put", E2BIG);
	randombytes_buf(keys, (size_t)n * RAW_KEY_LEN);
	qsort(keys, n, RAW_KEY_LEN, compare_keys);
	if (mdb_txn_begin(env, NULL, 0, &txn))
		die("raw begin", EIO);
	for (unsigned int i = 0; i < n; i++) {
		MDB_val k = { RAW_KEY_LEN, keys[i] }, v = { len, (void *)value };

		if (mdb_put(txn, dbi, &k, &v, 0))
			die("raw put", EIO);
	}
	if (mdb_txn_commit(txn))
		die("raw commit", EIO);
}

double raw_run(MDB_env *env, MDB_dbi dbi, unsigned int batch, const void *value, size_t len,
	       double seconds)
{
	double begin = now_s();
	uint64_t n = 0;

	while (now_s() < begin + seconds) {
		raw_put(env, dbi, batch, value, len);
		n += batch;
	}
	return (double)n / (now_s() - begin);
}

uint64_t transactions(const char *sub)
{
	char path[300];
	MDB_envinfo info;
	MDB_env *env;

	snprintf(path, sizeof(path), "%s/%s", dir, sub);
	if (mdb_env_create(&env) || mdb_env_open(env, path, MDB_RDONLY, 0600))
		die("transactions", EIO);
	mdb_env_info(env, &info);
	mdb_env_close(env);
	return info.me_last_txnid;
}
