// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libratman/filter.h"

#include <errno.h>
#include <string.h>

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

bool filter_has_keys_only(const struct contact_filter *f)
{
	struct contact_tag tag;

	for (size_t at = 0; contact_tags_next(&f->tags, &at, &tag);) {
		if (*tag.value)
			return false;
	}
	return true;
}
