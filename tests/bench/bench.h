/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the benchmarks share: time, medians, a directory on a disk, raw LMDB to compare with. */
#ifndef TESTS_BENCH_H
#define TESTS_BENCH_H

#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the program with a word; @err is an errno of either sign. */
_Noreturn void die(const char *what, int err);

double now_s(void);

/* Sorts them. */
double median(double *values, int n);

/* Below BENCH_DIR, default the working directory; "" before the first fresh_dir(). */
extern char dir[256];

/* An empty one in place of the last. */
void fresh_dir(void);
void remove_dir(void);

/* An LMDB of 4 GiB at most in "raw" below the directory. */
MDB_env *raw_open(MDB_dbi *dbi);

/* One synced transaction of @n <= 4096 values under random keys of RAW_KEY_LEN, sorted as the store does. */
#define RAW_KEY_LEN 32
void raw_put(MDB_env *env, MDB_dbi dbi, unsigned int n, const void *value, size_t len);

/* Values a second, @batch to a transaction, over @seconds. */
double raw_run(MDB_env *env, MDB_dbi dbi, unsigned int batch, const void *value, size_t len,
	       double seconds);

/* How many the LMDB in @sub has had; nobody may have it open. */
uint64_t transactions(const char *sub);

#endif
