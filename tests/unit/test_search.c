// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Searches of profiles: kinds of match, words with differences, and the quick look that
 * never loses anybody.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ratmand/service/fold.h"
#include "ratmand/service/search.h"
#include "unit/profiles.h"

/* What one kind of match finds, the looser one finds; "" finds what any attribute does. */
static void matches_nest(void **state)
{
	static const enum user_match order[] = { USER_MATCH_EXACT, USER_MATCH_PREFIX,
						 USER_MATCH_SUBSTRING, USER_MATCH_FUZZY };
	static const char *const attributes[] = { "handle", "display_name", "KEY1", "services" };
	unsigned int hits = 0;
	char pattern[80];
	struct profile p;

	(void)state;
	for (unsigned int round = 0; round < 8000; round++) {
		random_profile(&p, round);
		random_text(pattern, 4);
		for (size_t a = 0; a < 4; a++) {
			bool before = false;

			for (size_t m = 0; m < 4; m++) {
				struct user_query q = { .n = 1 };
				bool found;

				q.terms[0] = (struct user_term){ attributes[a], pattern, order[m] };
				found = holds(&q, &p);
				assert_true(found || !before);
				q.terms[0].attribute = "";
				assert_true(holds(&q, &p) || !found);
				before = found;
				hits += found;
			}
		}
	}
	assert_true(hits > 1000);
}

static void all_terms_hold(void **state)
{
	struct user_query q = { .n = 2 };
	struct profile p;

	(void)state;
	random_profile(&p, 1);
	p.has_handle = true;
	strcpy(p.handle, "one two");
	q.terms[0] = (struct user_term){ "handle", "ONE", USER_MATCH_PREFIX };
	q.terms[1] = (struct user_term){ "handle", "tvo", USER_MATCH_FUZZY };
	assert_false(holds(&q, &p));
	q.terms[1].pattern = "TWO";
	assert_true(holds(&q, &p));
	q.n = 0;
	assert_true(holds(&q, &p));
}

/* A word may have one difference for every four characters. */
static void fuzzy_words(void **state)
{
	static const struct {
		const char *value, *pattern;
		bool found;
	} cases[] = {
		{ "one two three", "thee", true },	{ "one two three", "thre", true },
		{ "one two three", "tree", true },	{ "one two three", "one three", true },
		{ "one two three", "eno", false },	{ "one two three", "three one", true },
		{ "reykjavik", "reikyavik", true },	{ "reykjavik", "reikyawik", false },
		{ "a-b", "-", true },			{ "a-b", "!", false },
		{ "three", "three four", false },	{ "Überfluß", "uberfluß", true },
	};
	struct profile p;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct user_query q = { .n = 1 };
		const struct address id = number(1);

		profile_init(&p, &id);
		p.has_display_name = true;
		strcpy(p.display_name, cases[i].value);
		q.terms[0] = (struct user_term){ "display_name", cases[i].pattern,
						 USER_MATCH_FUZZY };
		if (holds(&q, &p) != cases[i].found)
			fail_msg("%s in %s", cases[i].pattern, cases[i].value);
	}
}

/* One difference at random: a letter more, less, another, or two swapped. */
static size_t differ(char *word, size_t len)
{
	size_t at = randombytes_uniform((uint32_t)len);
	char c = (char)('a' + randombytes_uniform(26));

	switch (randombytes_uniform(4)) {
	case 0:
		memmove(word + at + 1, word + at, len - at + 1);
		word[at] = c;
		return len + 1;
	case 1:
		memmove(word + at, word + at + 1, len - at);
		return len - 1;
	case 2:
		word[at] = c;
		return len;
	}
	if (at + 1 < len) {
		c = word[at];
		word[at] = word[at + 1];
		word[at + 1] = c;
	}
	return len;
}

/* Of words of at most 64 characters. */
static unsigned int distance(const char *a, const char *b)
{
	uint32_t x[64], y[64];
	size_t n = fold_text(a, x, 64), m = fold_text(b, y, 64);

	return fold_distance(x, n, y, m, 9);
}

/* Whatever the differences, as long as they are no more than a word may have, it is found. */
static void all_differences(void **state)
{
	unsigned int may = 0, tried = 0;
	struct profile p;

	(void)state;
	for (int round = 0; round < 30000; round++) {
		const struct address id = number(1);
		size_t len = 1 + randombytes_uniform(20), n = len;
		struct user_query q = { .n = 1 };
		char word[32], value[64] = "xy ";
		struct fold_sum sum;
		struct search *s;

		for (size_t i = 0; i < len; i++)
			word[i] = (char)('a' + randombytes_uniform(26));
		word[len] = '\0';
		memcpy(value + 3, word, len + 1);
		for (size_t i = 0; i < len / 4; i++)
			n = differ(value + 3, n);
		/* Two at one place can be more than two. */
		if (distance(word, value + 3) > len / 4)
			continue;
		tried++;
		strcat(value, " z");
		profile_init(&p, &id);
		p.has_display_name = true;
		strcpy(p.display_name, value);
		q.terms[0] = (struct user_term){ "", word, USER_MATCH_FUZZY };
		if (!holds(&q, &p))
			fail_msg("%s in %s", word, value);
		/* And the quick look sees at once what is nothing like it. */
		strcpy(p.display_name, "0123456789 0123456789");
		search_sum(&p, &sum);
		assert_int_equal(search_new(&s, &q), 0);
		may += search_may_match(s, &id, &sum);
		search_free(s);
	}
	/* But words of one letter have no pairs, and of four one difference may part all. */
	assert_true(tried > 20000 && may < tried / 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matches_nest), cmocka_unit_test(all_terms_hold),
		cmocka_unit_test(fuzzy_words),	cmocka_unit_test(all_differences),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
