// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Users behind the protocol: text folding and distances, searches held against a
 * plain one, the directory's order and evictions, profiles on the disk, merging
 * of what others announce, lookups in pieces, watches.
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

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/service/announce.h"
#include "ratmand/service/directory.h"
#include "ratmand/service/fold.h"
#include "ratmand/service/search.h"
#include "ratmand/service/users.h"
#include "ratmand/store/profiles.h"

static struct {
	char dir[64];
	uv_loop_t loop;
	struct store *store;
	struct users *users;
} now;

static void open_users(size_t most)
{
	char why[256] = "";

	uv_loop_init(&now.loop);
	if (store_open(&now.store, &now.loop, now.dir, NULL, why, sizeof(why)))
		fail_msg("%s", why);
	assert_int_equal(users_new(&now.users, &now.loop, now.store, most, NULL, NULL), 0);
	assert_int_equal(users_ready(now.users), 0);
}

static void close_users(void)
{
	users_free(now.users);
	store_close(now.store);
	uv_run(&now.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&now.loop), 0);
}

static void reopen(size_t most)
{
	close_users();
	open_users(most);
}

static int setup(void **state)
{
	(void)state;
	strcpy(now.dir, "/tmp/ratman-users.XXXXXX");
	assert_non_null(mkdtemp(now.dir));
	open_users(LIMIT_PROFILES);
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	close_users();
	snprintf(command, sizeof(command), "rm -rf %s", now.dir);
	return system(command);
}

static struct address number(unsigned int n)
{
	struct address a = { { 0 } };

	/* Orders by first byte and by number differ. */
	a.b[0] = (uint8_t)(n * 37 + 1);
	memcpy(a.b + 1, &n, sizeof(n));
	return a;
}

/* Folding ------------------------------------------------------------------------ */

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

/* Searching ---------------------------------------------------------------------- */

static const char *const letters[] = { "a", "B", "b", "c", " ", "-", "é", "É", "1" };

static void random_text(char *out, unsigned int most)
{
	*out = '\0';
	for (unsigned int n = randombytes_uniform(most + 1); n; n--)
		strcat(out, letters[randombytes_uniform(sizeof(letters) / sizeof(letters[0]))]);
}

static void random_profile(struct profile *p, unsigned int n)
{
	const struct address id = number(n);
	char key[40], value[80];

	profile_init(p, &id);
	p->has_handle = randombytes_uniform(2);
	if (p->has_handle)
		random_text(p->handle, 6);
	p->has_display_name = randombytes_uniform(2);
	if (p->has_display_name)
		random_text(p->display_name, 12);
	for (unsigned int i = randombytes_uniform(3); i; i--) {
		random_text(value, 20);
		snprintf(key, sizeof(key), "key%u", randombytes_uniform(3));
		assert_int_equal(profile_bio_set(&p->bio, key, value), 0);
	}
	for (unsigned int i = randombytes_uniform(3); i; i--) {
		strcpy(key, "s");
		random_text(key + 1, 5);
		assert_int_equal(profile_services_add(&p->services, key), 0);
	}
}

static bool holds(const struct user_query *q, const struct profile *p)
{
	struct fold_sum sum;
	struct search *s;
	bool found, may;

	assert_int_equal(search_new(&s, q), 0);
	search_sum(p, &sum);
	found = search_matches(s, p);
	may = search_may_match(s, &p->id, &sum);
	/* The quick look never loses anybody. */
	assert_true(may || !found);
	search_free(s);
	return found;
}

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
		if (distance(word, value + 3, 9) > len / 4)
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

/* The directory -------------------------------------------------------------------- */

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

/* Users ------------------------------------------------------------------------------ */

static void set_handle(struct profile *p, const char *handle)
{
	p->has_handle = true;
	strcpy(p->handle, handle);
}

static void merge(unsigned int from, unsigned int about, uint64_t version, const char *handle,
		  size_t avatar)
{
	static uint8_t picture[LIMIT_AVATAR];
	const struct address sender = number(from), id = number(about);
	struct profile p;

	memset(picture, (int)version, sizeof(picture));
	profile_init(&p, &id);
	if (handle)
		set_handle(&p, handle);
	p.avatar = avatar ? picture : NULL;
	p.avatar_len = avatar;
	p.updated_ns = 1000 + (int64_t)version;
	users_merge(now.users, &sender, version, &p);
}

static int get(unsigned int n, struct profile_record *out)
{
	static uint8_t avatar[LIMIT_AVATAR];
	const struct address id = number(n);

	return users_get(now.users, &id, out, avatar);
}

static void check_handle(unsigned int n, const char *handle)
{
	struct profile_record r;

	assert_int_equal(get(n, &r), 0);
	assert_int_equal(r.profile.has_handle, handle != NULL);
	if (handle)
		assert_string_equal(r.profile.handle, handle);
}

static void merging(void **state)
{
	const struct address seen = number(7);
	struct profile_record r;

	(void)state;
	assert_int_equal(get(7, &r), -ENOENT);
	users_seen(now.users, &seen, 5, 6);
	assert_int_equal(get(7, &r), 0);
	assert_true(profile_is_empty(&r.profile));
	assert_int_equal(r.profile.flags, 0);

	merge(7, 7, 10, "first", 100);
	check_handle(7, "first");
	/* Neither older nor the same again; and nobody speaks for another. */
	merge(7, 7, 9, "older", 0);
	merge(7, 7, 10, "same", 0);
	merge(8, 7, 99, "forged", 0);
	check_handle(7, "first");
	assert_int_equal(users_stats(now.users)->old, 2);
	assert_int_equal(users_stats(now.users)->forged, 1);
	assert_int_equal(get(8, &r), -ENOENT);

	assert_int_equal(get(7, &r), 0);
	assert_int_equal(r.profile.avatar_len, 100);
	assert_int_equal(r.profile.avatar[99], 10);
	assert_int_equal(r.first_ns, 5);
	assert_true(r.profile.updated_ns == 1010);
	/* What is not said any more is gone. */
	merge(7, 7, 11, NULL, 50);
	check_handle(7, NULL);
	assert_int_equal(get(7, &r), 0);
	assert_int_equal(r.profile.avatar_len, 50);
	assert_int_equal(r.profile.avatar[49], 11);

	/* So it is after a restart, also that 10 is old. */
	merge(9, 9, 1, "nine", 0);
	reopen(LIMIT_PROFILES);
	merge(7, 7, 10, "old", 0);
	check_handle(7, NULL);
	check_handle(9, "nine");
	assert_int_equal(get(7, &r), 0);
	assert_int_equal(r.profile.avatar_len, 50);
	assert_int_equal(users_count(now.users), 2);
}

static void from_the_future(void **state)
{
	const struct address id = number(1);
	struct profile_record r;
	struct profile p;

	(void)state;
	profile_init(&p, &id);
	p.updated_ns = INT64_MAX;
	users_merge(now.users, &id, UINT64_MAX, &p);
	assert_int_equal(get(1, &r), 0);
	assert_true(r.profile.updated_ns <= clock_wall_ns());
}

static void room_for_few(void **state)
{
	struct profile_record r;
	struct address a;

	(void)state;
	reopen(8);
	for (unsigned int i = 0; i < 8; i++) {
		a = number(i);
		users_seen(now.users, &a, i, i);
	}
	for (unsigned int i = 0; i < 8; i += 2)
		merge(i, i, 1, "filled", 10);
	a = number(0);
	users_seen(now.users, &a, 0, 100);
	/* Four are empty and go; of the rest, 2 and 4, not 0, which was seen since. */
	for (unsigned int i = 10; i < 16; i++)
		merge(i, i, 1, "new", 10);
	assert_int_equal(users_stats(now.users)->evicted, 6);
	assert_int_equal(users_count(now.users), 8);
	check_handle(0, "filled");
	check_handle(6, "filled");
	assert_int_equal(get(2, &r), -ENOENT);
	assert_int_equal(get(4, &r), -ENOENT);
	/* Their records are gone, too. */
	reopen(100);
	assert_int_equal(users_count(now.users), 8);
	assert_int_equal(get(2, &r), -ENOENT);
	assert_int_equal(get(6, &r), 0);
	assert_int_equal(r.profile.avatar_len, 10);
}

static void on_modified(void *ctx, int err)
{
	*(int *)ctx = err;
}

static int modify(unsigned int n, const char *handle, const char *avatar)
{
	struct user_update u = { .handle_change = handle ? USER_SET : USER_UNSET };
	const struct address id = number(n);
	int err = 1;

	if (handle)
		strcpy(u.handle, handle);
	if (avatar) {
		u.avatar_change = USER_SET;
		u.avatar = (const uint8_t *)avatar;
		u.avatar_len = strlen(avatar);
	}
	users_modify(now.users, &id, &u, on_modified, &err);
	while (err == 1)
		uv_run(&now.loop, UV_RUN_ONCE);
	return err;
}

static int count_records(void *ctx, const void *key, size_t key_len, const void *value,
			 size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(int *)ctx;
	return 0;
}

static void local_ones(void **state)
{
	const struct address id = number(1), other = number(2);
	char long_handle[LIMIT_HANDLE + 2];
	struct profile_record r;
	uint64_t version;
	int n = 0;

	(void)state;
	assert_int_equal(users_create(now.users, &id, "me"), 0);
	assert_int_equal(users_create(now.users, &id, "me"), -EEXIST);
	memset(long_handle, 'x', sizeof(long_handle));
	long_handle[LIMIT_HANDLE + 1] = '\0';
	assert_int_equal(users_create(now.users, &other, long_handle), -E2BIG);
	assert_int_equal(users_create(now.users, &other, "\xff"), -EINVAL);
	assert_int_equal(users_create(now.users, &other, long_handle + 1), 0);
	assert_true(users_has_local(now.users, &id));
	check_handle(1, "me");
	assert_int_equal(get(1, &r), 0);
	assert_int_equal(r.profile.flags, PROFILE_LOCAL);
	version = r.version;
	assert_int_equal(modify(1, "still me", "picture"), 0);
	assert_int_equal(modify(1, NULL, NULL), 0);
	assert_int_equal(modify(1, "again", NULL), 0);
	assert_int_equal(get(1, &r), 0);
	assert_true(r.version > version);
	assert_int_equal(r.profile.avatar_len, 7);
	/* What the network says of a user of ours is nothing. */
	merge(1, 1, UINT64_MAX, "not me", 0);
	check_handle(1, "again");
	/* One who was known as somebody elsewhere. */
	merge(3, 3, 5, "remote", 10);
	assert_int_equal(modify(3, "local", NULL), 0);
	reopen(LIMIT_PROFILES);
	check_handle(1, "again");
	check_handle(3, "local");
	assert_int_equal(get(1, &r), 0);
	assert_memory_equal(r.profile.avatar, "picture", 7);
	assert_int_equal(users_count(now.users), 3);
	assert_int_equal(modify(1, "again", "another"), 0);
	/* Two profiles, one with its one avatar, and one that is bare; nothing elsewhere. */
	assert_int_equal(store_each(now.store, STORE_USERS, count_records, &n), 0);
	assert_int_equal(n, 4);
	n = 0;
	assert_int_equal(store_each(now.store, STORE_PROFILES, count_records, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(users_forget(now.users, &id), 0);
	assert_int_equal(users_forget(now.users, &id), 0);
	assert_false(users_has_local(now.users, &id));
	assert_int_equal(get(1, &r), -ENOENT);
	n = 0;
	assert_int_equal(store_each(now.store, STORE_USERS, count_records, &n), 0);
	assert_int_equal(n, 2);
}

/* Avatars that no profile names, as a crash between two writes leaves them, go at the start. */
static void orphans(void **state)
{
	static const char record[] = "a" "0123456789abcdef0123456789abcdef" "12345678";
	int n = 0;

	(void)state;
	assert_int_equal(modify(1, "me", "picture"), 0);
	assert_int_equal(store_put(now.store, STORE_USERS, record, sizeof(record) - 1, "x", 1), 0);
	assert_int_equal(store_flush(now.store), 0);
	reopen(LIMIT_PROFILES);
	assert_int_equal(store_each(now.store, STORE_USERS, count_records, &n), 0);
	assert_int_equal(n, 2);
}

/* Lookups --------------------------------------------------------------------------- */

struct result {
	struct address ids[64];
	size_t n, most;
	int err;
	bool done;
};

static bool on_found(void *ctx, const struct profile *p)
{
	struct result *r = ctx;

	assert_true(r->n < 64);
	r->ids[r->n++] = p->id;
	return r->n < r->most;
}

static void on_done(void *ctx, int err)
{
	struct result *r = ctx;

	r->err = err;
	r->done = true;
}

static struct lookup *look(struct user_query *q, enum user_scope scope, struct result *r)
{
	struct lookup *l;

	*r = (struct result){ .most = 64 };
	assert_int_equal(users_lookup(now.users, q, scope, on_found, on_done, r, &l), 0);
	assert_false(r->done);
	return l;
}

static void finish(struct result *r)
{
	while (!r->done)
		uv_run(&now.loop, UV_RUN_ONCE);
	assert_int_equal(r->err, 0);
}

static void lookups(void **state)
{
	struct user_query q = { .n = 1, .take = 64 };
	char handle[32];
	struct result a, b, c;
	struct lookup *l;

	(void)state;
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(handle, sizeof(handle), "%s %u", i % 10 ? "many" : "few", i);
		if (i % 20 == 10)
			assert_int_equal(modify(i, handle, NULL), 0);
		else
			merge(i, i, 1, handle, 0);
	}
	q.terms[0] = (struct user_term){ "handle", "FEW", USER_MATCH_PREFIX };
	look(&q, USER_BOTH, &a);
	look(&q, USER_LOCAL, &b);
	l = look(&q, USER_REMOTE, &c);
	finish(&a);
	finish(&b);
	finish(&c);
	assert_int_equal(a.n, 30);
	assert_int_equal(b.n, 15);
	assert_int_equal(c.n, 15);
	for (unsigned int i = 0; i < 30; i++) {
		const struct address want = number(i * 10);

		assert_true(address_equal(&a.ids[i], &want));
	}
	q.skip = 4;
	q.take = 2;
	look(&q, USER_BOTH, &a);
	finish(&a);
	assert_int_equal(a.n, 2);
	assert_true(address_equal(&a.ids[0], (struct address[]){ number(40) }));
	/* Whoever has enough says so; whoever goes hears nothing any more. */
	q.skip = 0;
	q.take = 64;
	look(&q, USER_BOTH, &a);
	a.most = 3;
	l = look(&q, USER_BOTH, &b);
	users_lookup_stop(l);
	finish(&a);
	assert_int_equal(a.n, 3);
	for (int i = 0; i < 10; i++)
		uv_run(&now.loop, UV_RUN_NOWAIT);
	assert_false(b.done);
	/* With one still under way everything ends. */
	look(&q, USER_BOTH, &b);
}

/* Everybody who fits, found without any index, in order. */
static void plain_search(const struct user_query *q, struct result *out)
{
	struct user_query all = { .take = 64 };
	struct profile_record r;
	uint32_t skip = q->skip;
	struct result page;

	*out = (struct result){ .n = 0 };
	for (;; all.skip += (uint32_t)page.n) {
		look(&all, USER_BOTH, &page);
		finish(&page);
		for (size_t i = 0; i < page.n && out->n < q->take; i++) {
			assert_int_equal(users_get(now.users, &page.ids[i], &r, NULL), 0);
			if (holds(q, &r.profile) && !(skip && skip--))
				out->ids[out->n++] = r.profile.id;
		}
		if (!page.n)
			return;
	}
}

/* What the index of values finds is what going through all finds, whatever changed before. */
static void index_is_right(void **state)
{
	static const char *const attributes[] = { "", "handle", "key1", "services", "id", "display_name" };
	struct user_query q = { .take = 64 };
	struct result want, have;
	unsigned int hits = 0;
	struct profile p;

	(void)state;
	for (unsigned int i = 0; i < 120; i++) {
		struct address id = number(i);

		users_seen(now.users, &id, i, i);
		if (i % 15 == 3)
			assert_int_equal(modify(i, letters[i % 9], NULL), 0);
	}
	for (unsigned int round = 1; round <= 20; round++) {
		for (unsigned int i = 0; i < 100; i++) {
			unsigned int who = randombytes_uniform(110);
			char digits[65];

			random_profile(&p, who);
			/* A key of the name of an attribute, and a value that is an id. */
			if (i % 10 == 0) {
				sodium_bin2hex(digits, sizeof(digits), number(i).b, 32);
				assert_int_equal(profile_bio_set(&p.bio, "ID", digits), 0);
			}
			users_merge(now.users, &p.id, round * 1000 + i, &p);
		}
		if (round % 5 == 0)
			reopen(LIMIT_PROFILES);
		for (unsigned int i = 0; i < 60; i++) {
			char pattern[2][100];

			q.n = (uint16_t)(1 + randombytes_uniform(2));
			for (uint16_t t = 0; t < q.n; t++) {
				random_text(pattern[t], 2);
				if (i % 6 == 0 && !t)
					sodium_bin2hex(pattern[t], 65, number(i).b, 32);
				else if (i % 6 == 1)
					snprintf(pattern[t], 8, "s%s", letters[i % 9]);
				q.terms[t] = (struct user_term){
					attributes[randombytes_uniform(6)], pattern[t],
					t ? randombytes_uniform(4) : USER_MATCH_EXACT };
			}
			q.skip = randombytes_uniform(3);
			q.take = 1 + randombytes_uniform(40);
			plain_search(&q, &want);
			look(&q, USER_BOTH, &have);
			finish(&have);
			assert_int_equal(have.n, want.n);
			assert_memory_equal(have.ids, want.ids, want.n * sizeof(want.ids[0]));
			hits += want.n > 0;
		}
	}
	assert_true(hits > 100);
}

/* More than the index is asked for: it is searched all the same, in order. */
static void index_of_many(void **state)
{
	struct user_query q = { .n = 1, .skip = 400, .take = 60 };
	struct result r;
	int n = 0;

	(void)state;
	for (unsigned int i = 0; i < 500; i++)
		merge(i, i, 1, i % 2 ? "Common" : "COMMON", 0);
	q.terms[0] = (struct user_term){ "handle", "common", USER_MATCH_EXACT };
	look(&q, USER_BOTH, &r);
	finish(&r);
	assert_int_equal(r.n, 60);
	for (unsigned int i = 0; i < 60; i++)
		assert_true(address_equal(&r.ids[i], (struct address[]){ number(400 + i) }));
	/* Nothing is left in the index of those who are gone. */
	reopen(10);
	assert_int_equal(users_count(now.users), 10);
	assert_int_equal(store_each(now.store, STORE_PROFILE_VALUES, count_records, &n), 0);
	assert_int_equal(n, 10);
}

/* A turn of the loop reads no more than it may: the rest is read in the next ones. */
static void pieces(void **state)
{
	struct user_query q = { .n = 1, .take = 64 };
	struct result r;
	int turns = 0;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		merge(i, i, 1, "somebody", 0);
	/* No quick look helps here. */
	q.terms[0] = (struct user_term){ "handle", "x", USER_MATCH_SUBSTRING };
	look(&q, USER_BOTH, &r);
	while (!r.done) {
		uv_run(&now.loop, UV_RUN_NOWAIT);
		turns++;
	}
	assert_int_equal(r.n, 0);
	assert_true(turns >= 1000 / 64);
}

/* Of long profiles and many words it does less: here one is enough for a turn. */
static void heavy_pieces(void **state)
{
	struct user_query q = { .n = LIMIT_QUERY_TERMS, .take = 64 };
	char words[2 * 128], value[8001];
	struct result r;
	int turns = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = i % 2 ? ' ' : (char)('a' + i / 2 % 26);
	words[sizeof(words) - 1] = '\0';
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = i % 4 == 3 ? ' ' : 'x';
	value[sizeof(value) - 1] = '\0';
	for (unsigned int i = 0; i < 12; i++) {
		const struct address id = number(i);
		struct profile p;

		profile_init(&p, &id);
		assert_int_equal(profile_bio_set(&p.bio, "about", value), 0);
		users_merge(now.users, &id, 1, &p);
	}
	for (size_t i = 0; i < LIMIT_QUERY_TERMS; i++)
		q.terms[i] = (struct user_term){ "", words, USER_MATCH_FUZZY };
	look(&q, USER_BOTH, &r);
	while (!r.done) {
		uv_run(&now.loop, UV_RUN_NOWAIT);
		turns++;
	}
	assert_int_equal(r.n, 0);
	assert_true(turns >= 12);
}

/* Watches ---------------------------------------------------------------------------- */

static void on_ready(void *ctx)
{
	++*(int *)ctx;
}

static void expect_next(struct users_watch *w, unsigned int n)
{
	const struct address want = number(n);
	struct profile_record r;

	assert_int_equal(users_watch_next(w, &r, NULL), 0);
	assert_true(address_equal(&r.profile.id, &want));
}

static void watches(void **state)
{
	struct profile_record r;
	struct users_watch *a, *b;
	const struct address id = number(9);
	int ready_a = 0, ready_b = 0;

	(void)state;
	merge(1, 1, 1, "before", 0);
	assert_int_equal(users_watch(now.users, on_ready, &ready_a, &a), 0);
	assert_int_equal(users_watch_next(a, &r, NULL), -EAGAIN);
	users_seen(now.users, &id, 1, 1);
	assert_int_equal(ready_a, 0);
	merge(1, 1, 2, "x", 0);
	merge(2, 2, 1, "y", 0);
	assert_int_equal(users_watch(now.users, on_ready, &ready_b, &b), 0);
	merge(3, 3, 1, "z", 0);
	merge(1, 1, 3, "x again", 0);
	merge(1, 1, 3, "old news", 0);
	assert_int_equal(ready_a, 4);
	assert_int_equal(ready_b, 2);
	/* In the order of the last change, each once. */
	expect_next(a, 2);
	merge(3, 3, 2, "z again", 0);
	expect_next(a, 1);
	expect_next(a, 3);
	assert_int_equal(users_watch_next(a, &r, NULL), -EAGAIN);
	expect_next(b, 1);
	expect_next(b, 3);
	assert_int_equal(users_watch_next(b, &r, NULL), -EAGAIN);
	assert_int_equal(modify(4, "local", NULL), 0);
	expect_next(a, 4);
	users_unwatch(a);
	/* One who is forgotten before he was asked for. */
	assert_int_equal(users_forget(now.users, (struct address[]){ number(4) }), 0);
	assert_int_equal(users_watch_next(b, &r, NULL), -EAGAIN);
	users_unwatch(b);
}

/* Announcements ------------------------------------------------------------------------- */

static void announcements(void **state)
{
	static uint8_t buf[ANNOUNCEMENT_MAX];
	struct profile p, back;
	uint64_t version;
	size_t len;

	(void)state;
	random_profile(&p, 3);
	set_handle(&p, "announced");
	p.flags = PROFILE_LOCAL | PROFILE_ONLINE;
	len = announce_write(buf, sizeof(buf), 0x0102030405060708, &p);
	assert_memory_equal(buf, "\1\1\2\3\4\5\6\7\10\1", 10);
	assert_int_equal(announce_write(buf, len - 1, 1, &p), 0);
	assert_int_equal(announce_write(buf, sizeof(buf), 0x0102030405060708, &p), len);
	assert_int_equal(announce_read(buf, len, &version, &back), 0);
	assert_true(version == 0x0102030405060708);
	assert_string_equal(back.handle, "announced");
	assert_int_equal(back.flags, 0);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(announce_read(buf, cut, &version, &back), -EINVAL);
	assert_int_equal(announce_read(buf, len + 1, &version, &back), -EINVAL);
	buf[len - 36] = PROFILE_LOCAL;
	assert_int_equal(announce_read(buf, len, &version, &back), -EINVAL);
	buf[len - 36] = 0;
	buf[0] = 2;
	assert_int_equal(announce_read(buf, len, &version, &back), -EINVAL);
	buf[0] = 1;
	memset(buf + 1, 0, 8);
	assert_int_equal(announce_read(buf, len, &version, &back), -EINVAL);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(folding),	cmocka_unit_test(distances),
		cmocka_unit_test(matches_nest), cmocka_unit_test(all_terms_hold),
		cmocka_unit_test(fuzzy_words),	cmocka_unit_test(all_differences),
		cmocka_unit_test(evictions),
		cmocka_unit_test(order),	WITH_STORE(merging),
		WITH_STORE(from_the_future),	WITH_STORE(room_for_few),
		WITH_STORE(local_ones),		WITH_STORE(orphans),
		WITH_STORE(lookups),		WITH_STORE(pieces),
		WITH_STORE(heavy_pieces),
		WITH_STORE(index_is_right),	WITH_STORE(index_of_many),
		WITH_STORE(watches),		cmocka_unit_test(announcements),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
