// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/contact_search.h"

#include <errno.h>
#include <stdlib.h>
#include <strings.h>

#include "ratmand/service/like.h"

struct contact_search {
	const struct contact_filter *filter;
	struct like likes[];		/* one for each of its terms */
};

int contact_search_new(struct contact_search **out, const struct contact_filter *f)
{
	struct contact_search *s = malloc(sizeof(*s) + f->n_terms * sizeof(s->likes[0]));
	size_t words = 0;

	if (!s)
		return -ENOMEM;
	s->filter = f;
	for (uint16_t i = 0; i < f->n_terms; i++) {
		like_init(&s->likes[i], f->terms[i].match, f->terms[i].pattern);
		words += f->terms[i].match == USER_MATCH_FUZZY ? s->likes[i].n_words : 0;
	}
	/* Each is held against each word of a contact, in one go. */
	if (words > LIMIT_CONTACT_WORDS) {
		free(s);
		return -EMSGSIZE;
	}
	*out = s;
	return 0;
}

void contact_search_free(struct contact_search *s)
{
	free(s);
}

static bool has(const struct contact *c, const char *field, const struct like *like)
{
	bool any = !*field, note = !strcasecmp(field, CONTACT_FIELD_NOTE);
	struct contact_tag tag;

	if ((any || note) && c->note[0] && like_matches(like, c->note))
		return true;
	for (size_t at = 0; !note && contact_tags_next(&c->tags, &at, &tag);) {
		if ((any || !strcasecmp(field, tag.key)) && like_matches(like, tag.value))
			return true;
	}
	return false;
}

bool contact_search_fits(const struct contact_search *s, const struct contact *c)
{
	if (!contact_matches(c, s->filter))
		return false;
	for (uint16_t i = 0; i < s->filter->n_terms; i++) {
		if (!has(c, s->filter->terms[i].attribute, &s->likes[i]))
			return false;
	}
	return true;
}
