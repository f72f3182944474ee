/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Profiles at random, and whether a search finds them: for tests of users. */
#ifndef TESTS_UNIT_PROFILES_H
#define TESTS_UNIT_PROFILES_H

#include <stdbool.h>

#include "proto/user.h"

/* What random texts are made of. */
#define LETTERS 9
extern const char *const letters[LETTERS];

/* An id. Their orders by first byte and by @n differ. */
struct address number(unsigned int n);

/* At most @most letters. */
void random_text(char *out, unsigned int most);

/* Of number(@n): each attribute may be there, short enough for some to be met by chance. */
void random_profile(struct profile *p, unsigned int n);

/* True when @p fits; fails the test when the quick look would have passed it over. */
bool holds(const struct user_query *q, const struct profile *p);

#endif
