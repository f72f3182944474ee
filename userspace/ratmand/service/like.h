/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One pattern held against texts (service-api.md R16, R28). Case does not count
 * (fold.h): exact is the whole text, prefix its beginning, substring any part, and
 * fuzzy a part, or else every word of the pattern must be like a word of the text:
 * one difference for every four characters of the pattern's word. So what one kind
 * of match finds, the next looser one finds, too. The empty pattern is part of
 * every text.
 */
#ifndef RATMAND_SERVICE_LIKE_H
#define RATMAND_SERVICE_LIKE_H

#include "proto/user.h"
#include "ratmand/service/fold.h"

#define LIKE_WORDS_MAX (LIMIT_QUERY_PATTERN / 2 + 1)

struct like_word {
	size_t at, len;
};

struct like {
	enum user_match match;
	uint32_t pattern[LIMIT_QUERY_PATTERN];	/* folded */
	size_t len;
	struct like_word words[LIKE_WORDS_MAX];	/* of the pattern */
	size_t n_words;
};

/* @pattern: well-formed UTF-8, at most LIMIT_QUERY_PATTERN bytes (copied). */
void like_init(struct like *l, enum user_match match, const char *pattern);

/* Differences that are allowed in a word of the pattern. */
unsigned int like_differences(const struct like_word *w);

/* @text: well-formed UTF-8; of more than LIMIT_BIO_BYTES characters the rest is not seen. */
bool like_matches(const struct like *l, const char *text);

#endif
