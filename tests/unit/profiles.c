// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ratmand/service/search.h"
#include "unit/profiles.h"

struct address number(unsigned int n)
{
	struct address a = { { 0 } };

	a.b[0] = (uint8_t)(n * 37 + 1);
	memcpy(a.b + 1, &n, sizeof(n));
	return a;
}

const char *const letters[LETTERS] = { "a", "B", "b", "c", " ", "-", "é", "É", "1" };

void random_text(char *out, unsigned int most)
{
	*out = '\0';
	for (unsigned int n = randombytes_uniform(most + 1); n; n--)
		strcat(out, letters[randombytes_uniform(LETTERS)]);
}

void random_profile(struct profile *p, unsigned int n)
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

bool holds(const struct user_query *q, const struct profile *p)
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
