// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The power goes: what LMDB wrote and did not sync may be lost or torn.
 *
 * Wherever it is cut (powercut.h), the store must open, hold everything that was
 * acknowledged before, and of the rest a prefix.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/store/store.h"
#include "unit/powercut.h"

#define CUTS 120

static char dir[64];
static uv_loop_t loop;
static char why[512];

static int setup(void **state)
{
	(void)state;
	strcpy(dir, access("/dev/shm", W_OK) ? "/tmp/test_powercut.XXXXXX" :
					       "/dev/shm/powercut.XXXXXX");
	assert_non_null(mkdtemp(dir));
	return uv_loop_init(&loop);
}

static int teardown(void **state)
{
	char cmd[96];

	(void)state;
	powercut_reset();
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

static void watch(void)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	powercut_watch(path);
}

/* Record @i replaces record i - 100 by being put under the same key, too. */
static int put(struct store *s, uint32_t i)
{
	uint32_t slot = i % 100;
	uint8_t value[3000];
	int err;

	memset(value, (int)i, sizeof(value));
	memcpy(value, &i, sizeof(i));
	err = store_put(s, STORE_DONE, &i, sizeof(i), value, 40);
	return err ? err : store_put(s, STORE_OUTBOX, &slot, sizeof(slot), value,
				     100 + i * 37 % 2900);
}

static void on_done(void *ctx, int err)
{
	uint32_t *last = ctx;

	assert_int_equal(err, 0);
	powercut_acknowledge(*last);
	free(last);
}

/* The highest record that was promised. */
static void on_promised(void *ctx, uint32_t last)
{
	*(int64_t *)ctx = last;
}

/* Everything up to @promised is there; of the rest a prefix, and nothing else. */
static void check(int64_t promised, uint32_t total)
{
	struct store *s;
	uint32_t i, there = 0;

	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	assert_int_equal(store_damaged(s), 0);
	for (i = 0; i < total; i++) {
		uint8_t value[40];
		ssize_t n = store_get(s, STORE_DONE, &i, sizeof(i), value, sizeof(value));

		if (n == -ENOENT)
			break;
		assert_int_equal(n, 40);
		assert_memory_equal(value, &i, sizeof(i));
		there++;
	}
	assert_true((int64_t)there > promised);
	for (; i < total; i++)
		assert_false(store_has(s, STORE_DONE, &i, sizeof(i)));
	for (uint32_t slot = 0; slot < 100 && slot < there; slot++) {
		uint32_t last = (there - 1 - slot) / 100 * 100 + slot, got;
		uint8_t value[3000];

		assert_int_equal(store_get(s, STORE_OUTBOX, &slot, sizeof(slot), value, sizeof(value)),
				 100 + last * 37 % 2900);
		memcpy(&got, value, sizeof(got));
		assert_int_equal(got, last);
	}
	assert_int_equal(put(s, total), 0);
	assert_int_equal(store_flush(s), 0);
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void test_cuts(void **state)
{
	uint32_t total = 0;
	struct store *s;

	(void)state;
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	watch();
	powercut_begin();
	for (int round = 0; round < 60; round++) {
		unsigned int n = 1 + randombytes_uniform(20);

		for (unsigned int i = 0; i < n; i++) {
			assert_int_equal(put(s, total++), 0);
			if (randombytes_uniform(4) == 0) {
				uint32_t *last = malloc(sizeof(*last));

				*last = total - 1;
				store_commit(s, on_done, last);
			}
		}
		uv_run(&loop, UV_RUN_ONCE);
	}
	assert_int_equal(store_flush(s), 0);
	powercut_end();
	store_close(s);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_true(powercut_moments() > 200);
	for (int round = 0; round < CUTS; round++) {
		static const unsigned int keep[] = { 0, 30, 70, 100 };
		int64_t promised = -1;

		powercut_make(randombytes_uniform((uint32_t)powercut_moments()), keep[round % 4],
			      on_promised, &promised);
		check(promised, total);
	}
}

static void on_failed(void *ctx, int err)
{
	*(int *)ctx = err;
}

/* A disk that refuses: writes fail, reads go on, nothing that was there is lost. */
static void test_refusals(void **state)
{
	static const struct {
		int refusal, seen;
		bool comes_back;
	} cases[] = {
		{ EIO, -EIO, false },
		{ EROFS, -EROFS, false },
		{ ENOSPC, -ENOSPC, true },
		{ EDQUOT, -ENOSPC, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t key = (uint32_t)i;
		uint8_t value[40];
		struct store *s;
		int done = 1;

		assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
		watch();
		assert_int_equal(put(s, key), 0);
		assert_int_equal(store_flush(s), 0);
		powercut_errno = cases[i].refusal;
		assert_int_equal(put(s, 1000 + key), 0);
		store_commit(s, on_failed, &done);
		while (done == 1)
			uv_run(&loop, UV_RUN_ONCE);
		assert_int_equal(done, cases[i].seen);
		assert_int_equal(put(s, 2000), cases[i].seen);
		for (uint32_t k = 0; k <= key; k++)
			assert_int_equal(store_get(s, STORE_DONE, &k, sizeof(k), value, 40), 40);
		powercut_errno = 0;
		key += 1000;
		assert_false(store_has(s, STORE_DONE, &key, sizeof(key)));
		assert_int_equal(put(s, 2000), cases[i].seen);
		store_close(s);
		uv_run(&loop, UV_RUN_DEFAULT);
	}
}

static void test_no_shared_maps(void **state)
{
	struct store *s;

	(void)state;
	powercut_no_shared_maps = true;
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), -ENOTSUP);
	powercut_no_shared_maps = false;
	assert_non_null(strstr(why, "cannot map files"));
	assert_non_null(strstr(why, "ephemeral"));
	/* Nothing is in the way of another try elsewhere. */
	assert_int_equal(store_open(&s, &loop, dir, NULL, why, sizeof(why)), 0);
	store_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_shared_maps, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
