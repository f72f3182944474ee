// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The directory of users: who goes when there is no room, and the order of walks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>

#include "ratmand/service/directory.h"
#include "unit/profiles.h"

static struct address gone[16];
static size_t n_gone;

static void on_gone(void *ctx, const struct directory_entry *e)
{
	(void)ctx;
	gone[n_gone++] = e->id;
}

static bool everybody(void *ctx, const struct directory_entry *e, const struct fold_sum *sum)
{
	(void)ctx;
	(void)e;
	(void)sum;
	return true;
}

static bool is_gone(size_t i, unsigned int n)
{
	const struct address a = number(n);

	return i < n_gone && address_equal(&gone[i], &a);
}

static struct directory_entry *entry(struct directory *d, unsigned int n)
{
	const struct address a = number(n);

	return directory_find(d, &a);
}

static void evictions(void **state)
{
	struct directory *d = directory_new(4, on_gone, NULL);
	const struct fold_sum sum = { .pairs = { 1 } };
	struct address a;

	(void)state;
	n_gone = 0;
	for (unsigned int i = 0; i < 4; i++) {
		a = number(i);
		assert_non_null(directory_add(d, &a, false, i, i));
	}
	/* A local one takes nobody's room, and never goes. */
	a = number(100);
	assert_non_null(directory_add(d, &a, true, 0, 0));
	directory_fill(d, entry(d, 100), 1, &sum);
	directory_fill(d, entry(d, 0), 1, &sum);
	directory_fill(d, entry(d, 1), 1, &sum);
	directory_seen(d, entry(d, 2), 10);
	/* The empty ones first: 3 was not seen for longer than 2. */
	for (unsigned int i = 4; i < 6; i++) {
		a = number(i);
		assert_non_null(directory_add(d, &a, false, i, i));
		directory_fill(d, entry(d, i), 1, &sum);
	}
	assert_int_equal(n_gone, 2);
	assert_true(is_gone(0, 3) && is_gone(1, 2));
	/* Then the filled one not seen for the longest. */
	directory_seen(d, entry(d, 0), 20);
	a = number(6);
	assert_non_null(directory_add(d, &a, false, 30, 30));
	assert_int_equal(n_gone, 3);
	assert_true(is_gone(2, 1));
	assert_null(entry(d, 1));
	assert_non_null(entry(d, 100));
	assert_true(directory_evict_filled(d));
	assert_true(is_gone(3, 4));
	assert_int_equal(directory_count(d), 4);
	directory_free(d);
}

/* Walks in pieces of @piece; the numbers met, in a row. */
static size_t walk(struct directory *d, size_t piece, struct address *out)
{
	size_t n = 0, budget = piece;
	uint64_t after = 0;

	for (;;) {
		const struct directory_entry *e = directory_next(d, &after, &budget, everybody, NULL);

		if (e)
			out[n++] = e->id;
		else if (budget)
			return n;
		if (!budget)
			budget = piece;
	}
}

static void order(void **state)
{
	struct directory *d = directory_new(100000, on_gone, NULL);
	static struct address all[3000];
	struct address a;
	size_t n;

	(void)state;
	/* Told in another order than they came. */
	for (unsigned int i = 0; i < 2000; i++) {
		a = number(i);
		assert_non_null(directory_add(d, &a, i % 3 == 0, (int64_t)(i * 7919 % 2000), 1));
	}
	assert_int_equal(directory_sort(d), 0);
	for (size_t piece = 1; piece < 4000; piece = piece * 3 + 1) {
		n = walk(d, piece, all);
		assert_int_equal(n, 2000);
		for (unsigned int i = 1; i < n; i++)
			assert_true(directory_find(d, &all[i - 1])->first_ns <
				    directory_find(d, &all[i])->first_ns);
	}
	/* Most go; who is left keeps the order, and who comes is behind. */
	for (unsigned int i = 0; i < 2000; i++)
		if (i % 10)
			directory_remove(d, entry(d, i));
	a = number(5000);
	assert_non_null(directory_add(d, &a, false, 0, 0));
	n = walk(d, 7, all);
	assert_int_equal(n, 201);
	assert_true(address_equal(&all[200], &a));
	for (unsigned int i = 1; i < 200; i++)
		assert_true(directory_find(d, &all[i - 1])->first_ns <
			    directory_find(d, &all[i])->first_ns);
	directory_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(evictions), cmocka_unit_test(order),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
