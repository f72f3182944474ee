/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text as a search sees it: without difference of case.
 *
 * Folding is towlower(towupper(c)) of the C library in C.UTF-8, one character
 * for one: so final and other sigma are alike, and so are the Turkish dotless
 * ı and i; ß is not ss, and an accent makes another letter. Nothing is composed
 * or decomposed.
 */
#ifndef RATMAND_SERVICE_FOLD_H
#define RATMAND_SERVICE_FOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Folds @text, well-formed UTF-8, into @out, at most @size characters; the rest
 * is cut off. Returns their number, at most strlen(@text).
 */
size_t fold_text(const char *text, uint32_t *out, size_t size);

/* Letters and digits make words; all else stands between them. Of folded characters. */
bool fold_in_word(uint32_t c);

/*
 * What occurs of pairs and of triples of neighbouring characters, each one bit of
 * 256 by a hash: a text whose sum lacks a bit of the pattern's does not have the
 * pattern in it.
 */
#define FOLD_SUM_WORDS 4

struct fold_sum {
	uint64_t pairs[FOLD_SUM_WORDS];
	uint64_t triples[FOLD_SUM_WORDS];
};

/* Adds what is in @n folded characters. */
void fold_sum_add(struct fold_sum *sum, const uint32_t *text, size_t n);

/* True when @text has every bit of @pattern. */
bool fold_sum_has(const struct fold_sum *text, const struct fold_sum *pattern);

/* The bits of the pair and of the triple of characters at @text. */
uint8_t fold_pair_bit(const uint32_t *text);
uint8_t fold_triple_bit(const uint32_t *text);

static inline bool fold_bit_is_set(const uint64_t bits[static FOLD_SUM_WORDS], uint8_t bit)
{
	return bits[bit / 64] >> bit % 64 & 1;
}

/*
 * The least number of characters to insert, remove, replace, or swap with their
 * neighbour (none touched twice) to make @b of @a; more than @most is @most + 1.
 * Both have at most FOLD_WORD_MAX characters.
 */
#define FOLD_WORD_MAX 256
unsigned int fold_distance(const uint32_t *a, size_t na, const uint32_t *b, size_t nb,
			   unsigned int most);

#endif
