// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libratman/filter.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

int filter_add_tags(struct contact_tags *tags, const struct ratman_tag *in, size_t n)
{
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		if (contact_tags_find(tags, in[i].key))
			return -EEXIST;
		err = contact_tags_set(tags, in[i].key, in[i].value ? in[i].value : "");
	}
	return err;
}

int filter_build_terms(const struct ratman_user_term *in, size_t n, size_t longest,
		       struct user_term out[static LIMIT_QUERY_TERMS])
{
	if (n > LIMIT_QUERY_TERMS)
		return -E2BIG;
	for (size_t i = 0; i < n; i++) {
		struct user_term *t = &out[i];

		*t = (struct user_term){ in[i].attribute ? in[i].attribute : "", in[i].pattern,
					 (enum user_match)in[i].match };
		if (strlen(t->attribute) >= longest ||
		    strlen(t->pattern) > LIMIT_QUERY_PATTERN)
			return -E2BIG;
		if (!field_is_utf8((const uint8_t *)t->attribute, strlen(t->attribute)) ||
		    !field_is_utf8((const uint8_t *)t->pattern, strlen(t->pattern)))
			return -EILSEQ;
		if ((unsigned int)t->match > USER_MATCH_PREFIX)
			return -EINVAL;
	}
	return 0;
}

int filter_build(const struct ratman_contact_filter *in, struct contact_filter *out)
{
	*out = (struct contact_filter){ .note = NULL };
	if (!in)
		return 0;
	if (in->trust_at_least > CONTACT_TRUST_MAX || in->trust_below > CONTACT_TRUST_MAX ||
	    (in->trust_at_least && in->trust_below))
		return -EINVAL;
	if (in->n_addresses > FILTER_ADDRESSES_MAX ||
	    (in->note && strlen(in->note) > LIMIT_CONTACT_NOTE))
		return -E2BIG;
	if (in->n_addresses)
		out->addresses = (struct payload_ids){ in->addresses->b, in->n_addresses };
	out->note = in->note;
	if (in->trust_at_least || in->trust_below) {
		out->trust_test = in->trust_at_least ? CONTACT_TRUST_AT_LEAST : CONTACT_TRUST_BELOW;
		out->trust = in->trust_at_least | in->trust_below;
	}
	return filter_add_tags(&out->tags, in->tags, in->n_tags);
}

int filter_build_search(const struct ratman_contact_search *in, struct contact_filter *out)
{
	int err = filter_build(&in->filter, out);

	if (err)
		return err;
	if (in->trust_near > CONTACT_TRUST_MAX || (in->met && in->not_met) ||
	    (in->trust_near ? out->trust_test != CONTACT_TRUST_ANY : in->trust_fuzz))
		return -EINVAL;
	if (in->trust_near) {
		out->trust_test = CONTACT_TRUST_WITHIN;
		out->trust = in->trust_near;
		out->fuzz = in->trust_fuzz;
	}
	out->met = in->met ? CONTACT_MET : in->not_met ? CONTACT_MET_NOT : CONTACT_MET_ANY;
	out->n_terms = (uint16_t)in->n_terms;
	return filter_build_terms(in->terms, in->n_terms, LIMIT_CONTACT_TAG_BYTES, out->terms);
}

bool filter_has_keys_only(const struct contact_filter *f)
{
	struct contact_tag tag;

	for (size_t at = 0; contact_tags_next(&f->tags, &at, &tag);) {
		if (*tag.value)
			return false;
	}
	return true;
}
