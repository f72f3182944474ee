// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/suggest.h"

#include <ctype.h>
#include <string.h>

#define WORD_MAX 48

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t m = a < b ? a : b;

	return m < c ? m : c;
}

static int same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edits between @a and @b (optimal string alignment). Both are shorter than WORD_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b);
	size_t d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= la; i++)
		d[i][0] = i;
	for (size_t k = 0; k <= lb; k++)
		d[0][k] = k;
	for (size_t i = 1; i <= la; i++) {
		for (size_t k = 1; k <= lb; k++) {
			d[i][k] = min3(d[i - 1][k] + 1, d[i][k - 1] + 1,
				       d[i - 1][k - 1] + !same(a[i - 1], b[k - 1]));
			if (i > 1 && k > 1 && same(a[i - 1], b[k - 2]) &&
			    same(a[i - 2], b[k - 1]) && d[i - 2][k - 2] + 1 < d[i][k])
				d[i][k] = d[i - 2][k - 2] + 1;
		}
	}
	return d[la][lb];
}

const char *suggest_nearest(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word);
	size_t best = len / 3 > 2 ? len / 3 : 2;
	const char *found = NULL;

	if (len > WORD_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		size_t other = strlen(words[i]);
		size_t d;

		if (other > WORD_MAX)
			continue;
		d = distance(word, words[i]);
		/* Nothing in common is no suggestion. */
		if (d < (len > other ? len : other) && d < best + !found) {
			best = d;
			found = words[i];
		}
	}
	return found;
}

const char *suggest_complete(const char *word, const char *const *words, size_t n)
{
	size_t len = strlen(word), hits = 0;
	const char *found = NULL;

	for (size_t i = 0; i < n; i++) {
		if (strncmp(word, words[i], len))
			continue;
		if (!words[i][len])
			return words[i];
		found = words[i];
		hits++;
	}
	return hits == 1 ? found : NULL;
}
