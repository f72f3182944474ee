// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/search.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ID_DIGITS (2 * ADDRESS_LEN)

struct term {
	struct like like;
	bool any, handle, display_name, services, id;	/* what it looks at, beside the bio */
	uint32_t *attribute;	/* folded, owned */
	size_t attribute_len;
	struct fold_sum sum;	/* all of it is in a value that has the pattern in it */
	uint8_t pair_bits[LIMIT_QUERY_PATTERN];	/* of those that begin there */
	uint8_t triple_bits[LIMIT_QUERY_PATTERN];
	char digits[ID_DIGITS + 1];	/* the pattern as a piece of an id; "": it is none */
};

struct search {
	size_t n;
	size_t passes;		/* of all terms over the values of a profile, at most */
	struct term terms[];
};

static void sum_pattern(struct term *t)
{
	fold_sum_add(&t->sum, t->like.pattern, t->like.len);
	for (size_t i = 0; i + 1 < t->like.len; i++)
		t->pair_bits[i] = fold_pair_bit(t->like.pattern + i);
	for (size_t i = 0; i + 2 < t->like.len; i++)
		t->triple_bits[i] = fold_triple_bit(t->like.pattern + i);
}

/* Hex digits, dashes aside. */
static void read_digits(struct term *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->like.len; i++) {
		uint32_t c = t->like.pattern[i];

		if (c == '-')
			continue;
		if (n == ID_DIGITS || !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) {
			n = 0;
			break;
		}
		t->digits[n++] = (char)c;
	}
	t->digits[n] = '\0';
}

static int make_term(struct term *t, const struct user_term *in)
{
	size_t size = strlen(in->attribute);

	like_init(&t->like, in->match, in->pattern);
	t->any = !size;
	t->handle = t->any || !strcasecmp(in->attribute, "handle");
	t->display_name = t->any || !strcasecmp(in->attribute, "display_name");
	t->services = t->any || !strcasecmp(in->attribute, "services");
	t->id = !strcasecmp(in->attribute, "id");
	t->attribute = malloc((size + 1) * sizeof(*t->attribute));
	if (!t->attribute)
		return -ENOMEM;
	t->attribute_len = fold_text(in->attribute, t->attribute, size);
	sum_pattern(t);
	read_digits(t);
	return 0;
}

int search_new(struct search **out, const struct user_query *q)
{
	struct search *s = calloc(1, sizeof(*s) + q->n * sizeof(s->terms[0]));

	if (!s)
		return -ENOMEM;
	for (; s->n < q->n; s->n++) {
		if (make_term(&s->terms[s->n], &q->terms[s->n])) {
			search_free(s);
			return -ENOMEM;
		}
		/* Each word of a fuzzy pattern is looked for on its own. */
		s->passes += 1 + (q->terms[s->n].match == USER_MATCH_FUZZY ?
				  s->terms[s->n].like.n_words : 0);
	}
	*out = s;
	return 0;
}

void search_free(struct search *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->terms[i].attribute);
	free(s);
}

/* A text being folded; used by one call at a time, on the loop thread. */
static uint32_t value_text[LIMIT_BIO_BYTES];

static void sum_text(struct fold_sum *sum, const char *text)
{
	fold_sum_add(sum, value_text, fold_text(text, value_text, LIMIT_BIO_BYTES));
}

void search_sum(const struct profile *p, struct fold_sum *out)
{
	struct profile_pair pair;
	const char *name;

	*out = (struct fold_sum){ .pairs = { 0 } };
	sum_text(out, p->handle);
	sum_text(out, p->display_name);
	for (size_t at = 0; profile_bio_next(&p->bio, &at, &pair);) {
		sum_text(out, pair.key);
		sum_text(out, pair.value);
	}
	for (size_t at = 0; (name = profile_services_next(&p->services, &at));)
		sum_text(out, name);
}

static bool matches_id(const struct term *t, const struct address *id)
{
	static const char hex[] = "0123456789abcdef";
	char text[ID_DIGITS + 1];

	/* An empty pattern is a part of every id. */
	if (!t->digits[0])
		return t->id && !t->like.len && t->like.match != USER_MATCH_EXACT;
	for (size_t i = 0; i < ADDRESS_LEN; i++) {
		text[2 * i] = hex[id->b[i] >> 4];
		text[2 * i + 1] = hex[id->b[i] & 15];
	}
	text[ID_DIGITS] = '\0';
	if (t->any || t->like.match == USER_MATCH_EXACT)
		return !strcmp(text, t->digits);
	if (t->like.match == USER_MATCH_PREFIX)
		return !strncmp(text, t->digits, strlen(t->digits));
	return strstr(text, t->digits);
}

/*
 * The least number of differences that explain which pairs and triples of the word
 * are not in the text. One at letter i (a swap with the next at most) parts pairs that
 * begin from i - 1 to i + 1 and triples from i - 2 to i + 1; so each that is missing
 * wants a difference in a certain stretch, and the fewest that reach all stretches are
 * found by going through their ends.
 */
static unsigned int differences_needed(const struct term *t, const struct like_word *w,
				       const struct fold_sum *sum)
{
	const uint8_t *pairs = t->pair_bits + w->at, *triples = t->triple_bits + w->at;
	size_t len = w->len, last = 0;	/* place of the last difference, and 2 */
	unsigned int n = 0;

	for (size_t end = 1; end < len; end++) {
		size_t pair = end - 1, triple = end - 2;

		/* Their stretches begin at pair - 1 and triple - 1, and end here. */
		if (!fold_bit_is_set(sum->pairs, pairs[pair]) && pair + 1 > last) {
			last = end + 2;
			n++;
		}
		if (end >= 2 && !fold_bit_is_set(sum->triples, triples[triple]) &&
		    triple + 1 > last) {
			last = end + 2;
			n++;
		}
	}
	return n;
}

static bool may_be_like(const struct term *t, const struct fold_sum *sum)
{
	for (size_t i = 0; i < t->like.n_words; i++)
		if (differences_needed(t, &t->like.words[i], sum) > like_differences(&t->like.words[i]))
			return false;
	return t->like.n_words;
}

static bool may_have(const struct term *t, const struct fold_sum *sum)
{
	return fold_sum_has(sum, &t->sum) || (t->like.match == USER_MATCH_FUZZY && may_be_like(t, sum));
}

bool search_may_match(const struct search *s, const struct address *id, const struct fold_sum *sum)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct term *t = &s->terms[i];

		if (!may_have(t, sum) && !((t->any || t->id) && matches_id(t, id)))
			return false;
	}
	return true;
}

bool search_whole_id(const char *pattern, struct address *out)
{
	char digits[ID_DIGITS + 1];
	size_t n = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '-')
			continue;
		if (n == ID_DIGITS)
			return false;
		digits[n++] = *pattern;
	}
	digits[n] = '\0';
	return !address_parse(digits, out);
}

/* Whether the term asks for the values of this key. */
static bool is_asked(const struct term *t, const char *key)
{
	size_t len;

	if (t->any)
		return true;
	len = fold_text(key, value_text, LIMIT_BIO_BYTES);
	return len == t->attribute_len &&
	       !memcmp(value_text, t->attribute, len * sizeof(*value_text));
}

static bool matches_bio(const struct term *t, const struct profile_bio *bio)
{
	struct profile_pair pair;

	for (size_t at = 0; profile_bio_next(bio, &at, &pair);) {
		if (t->any && like_matches(&t->like, pair.key))
			return true;
		if (is_asked(t, pair.key) && like_matches(&t->like, pair.value))
			return true;
	}
	return false;
}

static bool matches_services(const struct term *t, const struct profile_services *services)
{
	const char *name;

	for (size_t at = 0; (name = profile_services_next(services, &at));)
		if (like_matches(&t->like, name))
			return true;
	return false;
}

static bool matches(const struct term *t, const struct profile *p)
{
	return (t->handle && p->has_handle && like_matches(&t->like, p->handle)) ||
	       (t->display_name && p->has_display_name && like_matches(&t->like, p->display_name)) ||
	       (t->services && matches_services(t, &p->services)) ||
	       ((t->any || t->id) && matches_id(t, &p->id)) || matches_bio(t, &p->bio);
}

bool search_matches(const struct search *s, const struct profile *p)
{
	for (size_t i = 0; i < s->n; i++)
		if (!matches(&s->terms[i], p))
			return false;
	return true;
}

size_t search_work(const struct search *s, const struct profile *p)
{
	return s->passes * (strlen(p->handle) + strlen(p->display_name) + p->bio.len +
			    p->services.len);
}
