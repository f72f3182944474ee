// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/fold.h"

#include <locale.h>
#include <string.h>
#include <wctype.h>

#include "base/log.h"

/* Loop thread only, as is everything that folds. Lives as long as the process. */
static locale_t unicode(void)
{
	static locale_t locale;

	if (!locale) {
		locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
		if (!locale) {
			log_warn("this system has no C.UTF-8: searches see no case outside ASCII");
			locale = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
		}
	}
	return locale;
}

static uint32_t fold(uint32_t c)
{
	if (c < 0x80)
		return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
	return (uint32_t)towlower_l(towupper_l((wint_t)c, unicode()), unicode());
}

/* The character at *@s, which moves on. What comes here was checked to be UTF-8. */
static uint32_t next(const uint8_t **s)
{
	uint32_t c = *(*s)++;
	unsigned int more = c < 0xc0 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;

	if (more)
		c &= 0x3fu >> more;
	for (; more && (**s & 0xc0) == 0x80; more--)
		c = c << 6 | (*(*s)++ & 0x3fu);
	return c;
}

size_t fold_text(const char *text, uint32_t *out, size_t size)
{
	const uint8_t *s = (const uint8_t *)text;
	size_t n = 0;

	while (*s && n < size)
		out[n++] = fold(next(&s));
	return n;
}

bool fold_in_word(uint32_t c)
{
	if (c < 0x80)
		return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
	return iswalnum_l((wint_t)c, unicode());
}

static uint32_t hash_pair(const uint32_t *text)
{
	return (text[0] * 0x9e3779b1u) ^ (text[1] * 0x85ebca77u);
}

static uint8_t to_bit(uint32_t h)
{
	h = (h ^ h >> 15) * 0xc2b2ae3du;
	return (uint8_t)(h >> 24);
}

uint8_t fold_pair_bit(const uint32_t *text)
{
	return to_bit(hash_pair(text));
}

uint8_t fold_triple_bit(const uint32_t *text)
{
	uint32_t h = hash_pair(text);

	return to_bit((h ^ h >> 13) + text[2] * 0x27d4eb2fu);
}

static void set_bit(uint64_t *bits, uint8_t bit)
{
	bits[bit / 64] |= (uint64_t)1 << bit % 64;
}

void fold_sum_add(struct fold_sum *sum, const uint32_t *text, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		set_bit(sum->pairs, fold_pair_bit(text + i));
		if (i + 2 < n)
			set_bit(sum->triples, fold_triple_bit(text + i));
	}
}

bool fold_sum_has(const struct fold_sum *text, const struct fold_sum *pattern)
{
	uint64_t missing = 0;

	for (size_t i = 0; i < FOLD_SUM_WORDS; i++) {
		missing |= pattern->pairs[i] & ~text->pairs[i];
		missing |= pattern->triples[i] & ~text->triples[i];
	}
	return !missing;
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/* Optimal string alignment, by rows; the row before last is for swaps. */
unsigned int fold_distance(const uint32_t *a, size_t na, const uint32_t *b, size_t nb,
			   unsigned int most)
{
	unsigned int rows[3][FOLD_WORD_MAX + 1];
	unsigned int *before = rows[0], *last = rows[1], *row = rows[2];
	unsigned int best_last = 0, best;

	if (na > FOLD_WORD_MAX || nb > FOLD_WORD_MAX || na > nb + most || nb > na + most)
		return most + 1;
	for (size_t j = 0; j <= nb; j++)
		last[j] = (unsigned int)j;
	for (size_t i = 1; i <= na; i++) {
		unsigned int *spare = before;

		best = row[0] = (unsigned int)i;
		for (size_t j = 1; j <= nb; j++) {
			unsigned int d = last[j - 1] + (a[i - 1] != b[j - 1]);

			d = least(d, least(last[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d = least(d, before[j - 2] + 1);
			row[j] = d;
			best = least(best, d);
		}
		/* A row comes out of the two before it. */
		if (best > most && best_last > most)
			return most + 1;
		best_last = best;
		before = last;
		last = row;
		row = spare;
	}
	return last[nb] > most ? most + 1 : last[nb];
}
