// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Text as a search sees it: folding, and distances held against a plain reckoning.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "ratmand/service/fold.h"

static bool folds_alike(const char *a, const char *b)
{
	uint32_t x[64], y[64];
	size_t n = fold_text(a, x, 64);

	return fold_text(b, y, 64) == n && !memcmp(x, y, n * sizeof(x[0]));
}

static void folding(void **state)
{
	uint32_t x[4];

	(void)state;
	assert_true(folds_alike("Straße 1", "STRAßE 1"));
	assert_true(folds_alike("ẞ", "ß"));
	assert_false(folds_alike("ß", "ss"));
	assert_true(folds_alike("ΟΔΥΣΣΕΥΣ", "οδυσσευς"));
	assert_true(folds_alike("σ", "ς"));
	/* All four Turkish ones are one letter, and so is the Kelvin sign a k. */
	assert_true(folds_alike("Iı", "ii"));
	assert_true(folds_alike("İ", "i"));
	assert_true(folds_alike("\xe2\x84\xaa", "k"));
	assert_true(folds_alike("ЖЁ", "жё"));
	assert_false(folds_alike("é", "e"));
	assert_false(folds_alike("é", "e\xcc\x81"));	/* nothing is composed */
	assert_true(folds_alike("𐐀", "𐐨"));		/* beyond 16 bits */
	assert_int_equal(fold_text("aβ𐐀d", x, 3), 3);
	assert_int_equal(x[0], 'a');
	assert_int_equal(x[1], 0x3b2);
	assert_int_equal(x[2], 0x10428);
	assert_true(fold_in_word('a') && fold_in_word('7') && fold_in_word(0x3b2));
	assert_false(fold_in_word('-') || fold_in_word(' ') || fold_in_word(0x2014));
}

static unsigned int distance(const char *a, const char *b, unsigned int most)
{
	uint32_t x[64], y[64];
	size_t n = fold_text(a, x, 64), m = fold_text(b, y, 64);
	unsigned int d = fold_distance(x, n, y, m, most);

	assert_int_equal(fold_distance(y, m, x, n, most), d);
	return d;
}

/* Every cell of the table, without any short cut. */
static unsigned int slow_distance(const uint32_t *a, size_t na, const uint32_t *b, size_t nb)
{
	unsigned int t[16][16];

	for (size_t i = 0; i <= na; i++) {
		for (size_t j = 0; j <= nb; j++) {
			unsigned int d = i && j ? t[i - 1][j - 1] + (a[i - 1] != b[j - 1]) : 99;

			if (!i || !j)
				d = (unsigned int)(i + j);
			if (i && t[i - 1][j] + 1 < d)
				d = t[i - 1][j] + 1;
			if (j && t[i][j - 1] + 1 < d)
				d = t[i][j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    t[i - 2][j - 2] + 1 < d)
				d = t[i - 2][j - 2] + 1;
			t[i][j] = d;
		}
	}
	return t[na][nb];
}

static void distances(void **state)
{
	uint32_t a[8], b[8];

	(void)state;
	assert_int_equal(distance("kitten", "sitting", 9), 3);
	assert_int_equal(distance("kitten", "sitting", 2), 3);
	assert_int_equal(distance("kitten", "sitting", 1), 2);
	assert_int_equal(distance("", "abc", 5), 3);
	assert_int_equal(distance("abcd", "abdc", 1), 1);
	assert_int_equal(distance("ca", "abc", 5), 3);	/* nothing is touched twice */
	assert_int_equal(distance("same", "SAME", 0), 0);
	for (int round = 0; round < 20000; round++) {
		size_t na = randombytes_uniform(8), nb = randombytes_uniform(8);
		unsigned int most = randombytes_uniform(5), want;

		for (size_t i = 0; i < 8; i++) {
			a[i] = 'a' + randombytes_uniform(3);
			b[i] = 'a' + randombytes_uniform(3);
		}
		want = slow_distance(a, na, b, nb);
		assert_int_equal(fold_distance(a, na, b, nb, most), want > most ? most + 1 : want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folding),	cmocka_unit_test(distances),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
