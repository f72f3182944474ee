// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/like.h"

#include <string.h>

#define FUZZY_CHARACTERS 4	/* of a word, for each difference that is allowed */

/* The next word of @text at *@at, which moves behind it; len 0: none. */
static struct like_word next_word(const uint32_t *text, size_t len, size_t *at)
{
	struct like_word w;

	while (*at < len && !fold_in_word(text[*at]))
		++*at;
	w.at = *at;
	while (*at < len && fold_in_word(text[*at]))
		++*at;
	w.len = *at - w.at;
	return w;
}

unsigned int like_differences(const struct like_word *w)
{
	return (unsigned int)(w->len / FUZZY_CHARACTERS);
}

void like_init(struct like *l, enum user_match match, const char *pattern)
{
	struct like_word w;

	l->match = match;
	l->len = fold_text(pattern, l->pattern, LIMIT_QUERY_PATTERN);
	l->n_words = 0;
	for (size_t at = 0; (w = next_word(l->pattern, l->len, &at)).len && l->n_words < LIKE_WORDS_MAX;)
		l->words[l->n_words++] = w;
}

static bool has_part(const uint32_t *text, size_t len, const uint32_t *part, size_t part_len)
{
	if (!part_len)
		return true;
	for (size_t i = 0; i + part_len <= len; i++)
		if (text[i] == part[0] && !memcmp(text + i, part, part_len * sizeof(*part)))
			return true;
	return false;
}

static bool has_word_like(const uint32_t *text, size_t len, const uint32_t *word,
			  const struct like_word *w)
{
	unsigned int most = like_differences(w);
	struct like_word have;

	for (size_t at = 0; (have = next_word(text, len, &at)).len;)
		if (fold_distance(word, w->len, text + have.at, have.len, most) <= most)
			return true;
	return false;
}

static bool is_like(const struct like *l, const uint32_t *text, size_t len)
{
	for (size_t i = 0; i < l->n_words; i++)
		if (!has_word_like(text, len, l->pattern + l->words[i].at, &l->words[i]))
			return false;
	return l->n_words;
}

/* A text being looked at; used by one call at a time, on the loop thread. */
static uint32_t folded[LIMIT_BIO_BYTES];

bool like_matches(const struct like *l, const char *text)
{
	const uint32_t *value = folded;
	size_t len = fold_text(text, folded, LIMIT_BIO_BYTES);

	switch (l->match) {
	case USER_MATCH_EXACT:
		return len == l->len && !memcmp(value, l->pattern, len * sizeof(*value));
	case USER_MATCH_PREFIX:
		return len >= l->len && !memcmp(value, l->pattern, l->len * sizeof(*value));
	case USER_MATCH_SUBSTRING:
		return has_part(value, len, l->pattern, l->len);
	case USER_MATCH_FUZZY:
		return has_part(value, len, l->pattern, l->len) || is_like(l, value, len);
	}
	return false;
}
