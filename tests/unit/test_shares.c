// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who gives way in the commons: held against a plain model, in any order of arrival;
 * and what somebody with any number of addresses gains.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/flow/core.h"

#define ITEMS 400
#define MOST 60
#define MOST_PROFILES 40

/* Everything that is ever said. */
static struct inbox_entry said[ITEMS];

/* What one member holds, by mark. */
struct member {
	struct shares shares;
	struct inbox_entry *items[ITEMS];
	size_t n;
};

static struct address sender(unsigned int n)
{
	struct address a = { .b = { 1, (uint8_t)n, (uint8_t)(n >> 8) } };

	return a;
}

static int compare(const struct inbox_entry *a, const struct inbox_entry *b)
{
	struct exchange_mark x = space_mark(a), y = space_mark(b);

	return space_mark_compare(&x, &y);
}

static int by_mark(const void *a, const void *b)
{
	return compare(*(struct inbox_entry *const *)a, *(struct inbox_entry *const *)b);
}

static void member_init(struct member *m)
{
	memset(m, 0, sizeof(*m));
	shares_init(&m->shares, MOST, MOST_PROFILES);
}

static void drop(struct member *m, struct inbox_entry *e)
{
	size_t at = 0;

	while (m->items[at] != e)
		at++;
	memmove(&m->items[at], &m->items[at + 1], (--m->n - at) * sizeof(m->items[0]));
	shares_remove(&m->shares, e);
}

static struct inbox_entry *older_profile(const struct member *m, const struct inbox_entry *e)
{
	for (size_t i = 0; i < m->n; i++)
		if (m->items[i]->kind == PARCEL_PROFILE && m->items[i] != e &&
		    address_equal(&m->items[i]->from, &e->from))
			return m->items[i];
	return NULL;
}

/* As a namespace does it: asked first, then what is too much goes. False when it was not taken. */
static bool hear(struct member *m, struct inbox_entry *e)
{
	struct exchange_mark mark = space_mark(e);
	struct inbox_entry *old;
	size_t newer = 0;

	for (size_t i = 0; i < m->n; i++)
		if (address_equal(&m->items[i]->from, &e->from) && compare(m->items[i], e) > 0) {
			newer += m->items[i]->kind != PARCEL_PROFILE;
			if (e->kind == PARCEL_PROFILE && m->items[i]->kind == PARCEL_PROFILE)
				return false;
		}
	if (!shares_admit(&m->shares, m->items, m->n, &mark, &e->from, e->kind, newer))
		return false;
	assert_int_equal(shares_add(&m->shares, e), 0);
	m->items[m->n++] = e;
	qsort(m->items, m->n, sizeof(m->items[0]), by_mark);
	if (e->kind == PARCEL_PROFILE && (old = older_profile(m, e)))
		drop(m, old);
	while ((old = shares_excess(&m->shares, m->items, m->n))) {
		/* What was admitted is not what goes. */
		assert_ptr_not_equal(old, e);
		drop(m, old);
	}
	assert_true(m->n <= MOST && m->shares.profiles <= MOST_PROFILES);
	return true;
}

/* ---- the model: all that was said, put in order, and the end cut off ---- */

struct ranked {
	struct inbox_entry *e;
	size_t rank;		/* 0: a profile */
};

static int by_rank(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	if (x->rank != y->rank)
		return x->rank < y->rank ? -1 : 1;
	return -compare(x->e, y->e);
}

static size_t model(size_t n, struct inbox_entry **out)
{
	static struct ranked all[ITEMS];
	size_t kept = 0, profiles = 0, held = 0;

	for (size_t i = 0; i < n; i++) {
		bool profile = said[i].kind == PARCEL_PROFILE;
		size_t newer = 0;

		for (size_t j = 0; j < n; j++)
			newer += address_equal(&said[i].from, &said[j].from) &&
				 profile == (said[j].kind == PARCEL_PROFILE) &&
				 compare(&said[j], &said[i]) > 0;
		if (!profile || !newer)
			all[held++] = (struct ranked){ &said[i], profile ? 0 : newer + 1 };
	}
	qsort(all, held, sizeof(all[0]), by_rank);
	for (size_t i = 0; i < held && kept < MOST; i++) {
		if (!all[i].rank && profiles == MOST_PROFILES)
			continue;
		profiles += !all[i].rank;
		out[kept++] = all[i].e;
	}
	qsort(out, kept, sizeof(out[0]), by_mark);
	return kept;
}

static void say(size_t i, unsigned int from, uint8_t kind, uint64_t created_s)
{
	said[i] = (struct inbox_entry){ .from = sender(from), .kind = kind, .created_s = created_s };
	randombytes_buf(said[i].id.b, sizeof(said[i].id.b));
}

static void shuffle(size_t *order, size_t n)
{
	for (size_t i = 0; i < n; i++)
		order[i] = i;
	for (size_t i = n; i > 1; i--) {
		size_t j = randombytes_uniform((uint32_t)i), k = order[i - 1];

		order[i - 1] = order[j];
		order[j] = k;
	}
}

static void expect(const struct member *m, struct inbox_entry *const *items, size_t n)
{
	assert_int_equal(m->n, n);
	for (size_t i = 0; i < n; i++)
		assert_ptr_equal(m->items[i], items[i]);
}

/* Whoever hears of it in whatever order, and from whomever, comes to hold the same. */
static void any_order(void **state)
{
	static struct member members[3];
	struct inbox_entry *right[ITEMS];
	size_t order[ITEMS];

	(void)state;
	for (int round = 0; round < 200; round++) {
		size_t n = 1 + randombytes_uniform(ITEMS);
		unsigned int senders = 1 + randombytes_uniform(round % 2 ? 10 : 150);
		uint32_t share = randombytes_uniform(101);	/* of profiles, in % */
		size_t kept;

		for (size_t i = 0; i < n; i++)
			say(i, randombytes_uniform(senders) * randombytes_uniform(senders) / senders,
			    randombytes_uniform(100) < share ? PARCEL_PROFILE : PARCEL_MESSAGE,
			    randombytes_uniform(50));
		kept = model(n, right);
		for (int i = 0; i < 2; i++) {
			member_init(&members[i]);
			shuffle(order, n);
			for (size_t j = 0; j < n; j++)
				(void)hear(&members[i], &said[order[j]]);
			expect(&members[i], right, kept);
		}
		/* Two that each heard a part, and then of each other. */
		for (int i = 0; i < 3; i++) {
			shares_free(&members[i].shares);
			member_init(&members[i]);
		}
		for (size_t j = 0; j < n; j++)
			(void)hear(&members[randombytes_uniform(2)], &said[order[j]]);
		for (int i = 0; i < 2; i++)
			for (size_t j = 0; j < members[i].n; j++)
				(void)hear(&members[2], members[i].items[j]);
		expect(&members[2], right, kept);
		for (int i = 0; i < 3; i++)
			shares_free(&members[i].shares);
	}
}

static size_t held_of(const struct member *m, unsigned int from, uint8_t kind)
{
	struct address a = sender(from);
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->items[i]->kind == kind && address_equal(&m->items[i]->from, &a);
	return n;
}

/* Ten people, and one with five addresses who says as much as he can, and with many profiles. */
static void hostile(void **state)
{
	struct member m;
	size_t at = 0;

	(void)state;
	member_init(&m);
	for (unsigned int i = 0; i < 10; i++) {
		say(at, i, PARCEL_PROFILE, 10 + i);
		assert_true(hear(&m, &said[at++]));
		say(at, i, PARCEL_MESSAGE, 10 + i);
		assert_true(hear(&m, &said[at++]));
		say(at, i, PARCEL_MESSAGE, 20 + i);
		assert_true(hear(&m, &said[at++]));
	}
	for (unsigned int i = 0; i < 200; i++) {
		say(at, 100 + i % 5, PARCEL_MESSAGE, 100 + i);
		(void)hear(&m, &said[at++]);
	}
	/* His pushed out his own: the ten have all they had, and he the rest. */
	for (unsigned int i = 0; i < 10; i++) {
		assert_int_equal(held_of(&m, i, PARCEL_PROFILE), 1);
		assert_int_equal(held_of(&m, i, PARCEL_MESSAGE), 2);
	}
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(held_of(&m, 100 + i, PARCEL_MESSAGE), 6);
	/* Profiles of any number of addresses leave a quarter and more to what people say. */
	for (unsigned int i = 0; i < 100; i++) {
		say(at, 200 + i, PARCEL_PROFILE, 1000 + i);
		assert_true(hear(&m, &said[at++]));
	}
	assert_int_equal(m.shares.profiles, MOST_PROFILES);
	for (unsigned int i = 0; i < 10; i++)
		assert_true(held_of(&m, i, PARCEL_MESSAGE) >= 1);
	shares_free(&m.shares);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order), cmocka_unit_test(hostile),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
