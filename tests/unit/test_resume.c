// SPDX-License-Identifier: GPL-2.0-or-later
/* The resume file: survives, is ours alone, and a damaged one harms nobody. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "ratmand/resume.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN], file[SCRATCH_LEN + 8];

static int setup(void **state)
{
	(void)state;
	scratch_make(dir);
	snprintf(file, sizeof(file), "%s/up", dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	scratch_remove(dir);
	return 0;
}

static struct address address(uint32_t n)
{
	struct address a = { 0 };

	memcpy(a.b, &n, sizeof(n));
	a.b[31] = 1;
	return a;
}

static const struct ident token = { { 7, 7, 7 } };

static void test_survives(void **state)
{
	struct address a = address(1), b = address(2);
	struct resume r;
	struct stat st;

	(void)state;
	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(r.n, 0);
	assert_int_equal(resume_add(&r, &a, &token), 0);
	assert_int_equal(resume_add(&r, &b, &token), 0);
	assert_int_equal(resume_add(&r, &a, &token), 0);
	assert_int_equal(r.n, 2);
	resume_close(&r);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);

	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(r.n, 2);
	assert_memory_equal(r.entries[1].token.b, token.b, 32);
	assert_int_equal(resume_remove(&r, &a), 0);
	assert_int_equal(resume_remove(&r, &a), 0);
	resume_close(&r);

	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(r.n, 1);
	assert_true(address_equal(&r.entries[0].address, &b));
	resume_close(&r);
}

static void test_limit(void **state)
{
	struct resume r;
	struct address a;

	(void)state;
	assert_int_equal(resume_open(&r, dir), 0);
	for (uint32_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++) {
		a = address(i);
		assert_int_equal(resume_add(&r, &a, &token), 0);
	}
	a = address(LIMIT_LOCAL_ADDRESSES);
	assert_int_equal(resume_add(&r, &a, &token), -ENOSPC);
	resume_close(&r);
	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(r.n, LIMIT_LOCAL_ADDRESSES);
	resume_close(&r);
}

/* Cut at every length and flipped in the head: no entries, no crash, and it can be written again. */
static void test_damaged(void **state)
{
	struct address a = address(1);
	struct resume r;

	(void)state;
	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(resume_add(&r, &a, &token), 0);
	resume_close(&r);
	for (int len = 71; len >= 0; len--) {
		assert_int_equal(truncate(file, len), 0);
		assert_int_equal(resume_open(&r, dir), 0);
		assert_int_equal(r.n, 0);
		resume_close(&r);
	}
	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(resume_add(&r, &a, &token), 0);
	resume_close(&r);
	assert_int_equal(chmod(file, 0644), 0);
	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(r.n, 0);
	resume_close(&r);
	unlink(file);
	assert_int_equal(symlink("/etc/passwd", file), 0);
	assert_int_equal(resume_open(&r, dir), 0);
	assert_int_equal(r.n, 0);
	resume_close(&r);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	};

	return sodium_init() < 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
