// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/shares.h"

#include <errno.h>
#include <stdlib.h>

#include "ratmand/flow/core.h"

static struct share_holder *find(const struct shares *s, const struct address *from)
{
	struct share_holder *h;

	HASH_FIND(hh, s->all, from->b, ADDRESS_LEN, h);
	return h;
}

void shares_init(struct shares *s, size_t most, size_t most_profiles)
{
	*s = (struct shares){ .most = most, .most_profiles = most_profiles };
}

void shares_free(struct shares *s)
{
	struct share_holder *h = s->all, *next;

	HASH_CLEAR(hh, s->all);
	for (; h; h = next) {
		next = h->hh.next;
		free(h);
	}
}

int shares_add(struct shares *s, const struct inbox_entry *e)
{
	struct share_holder *h = find(s, &e->from);

	if (!h) {
		h = calloc(1, sizeof(*h));
		if (!h)
			return -ENOMEM;
		h->from = e->from;
		HASH_ADD_KEYPTR(hh, s->all, h->from.b, ADDRESS_LEN, h);
		if (!h->hh.tbl) {
			free(h);
			return -ENOMEM;
		}
	}
	if (e->kind == PARCEL_PROFILE) {
		h->profiles++;
		s->profiles++;
	} else {
		h->others++;
	}
	return 0;
}

void shares_remove(struct shares *s, const struct inbox_entry *e)
{
	struct share_holder *h = find(s, &e->from);

	if (e->kind == PARCEL_PROFILE) {
		h->profiles--;
		s->profiles--;
	} else {
		h->others--;
	}
	if (!h->profiles && !h->others) {
		HASH_DEL(s->all, h);
		free(h);
	}
}

/* The most that anybody has beside his profile. */
static size_t most_others(const struct shares *s)
{
	const struct share_holder *h;
	size_t most = 0;

	for (h = s->all; h; h = h->hh.next)
		if (h->others > most)
			most = h->others;
	return most;
}

static struct inbox_entry *oldest_profile(struct inbox_entry *const *items, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (items[i]->kind == PARCEL_PROFILE)
			return items[i];
	return NULL;
}

/* The oldest item of those who have @most. */
static struct inbox_entry *oldest_of_most(const struct shares *s, struct inbox_entry *const *items,
					  size_t n, size_t most)
{
	for (size_t i = 0; i < n; i++)
		if (items[i]->kind != PARCEL_PROFILE && find(s, &items[i]->from)->others == most)
			return items[i];
	return NULL;
}

struct inbox_entry *shares_excess(const struct shares *s, struct inbox_entry *const *items, size_t n)
{
	struct inbox_entry *e;

	if (s->profiles > s->most_profiles)
		return oldest_profile(items, n);
	if (n <= s->most)
		return NULL;
	e = oldest_of_most(s, items, n, most_others(s));
	return e ? e : oldest_profile(items, n);
}

static bool is_newer(const struct exchange_mark *mark, const struct inbox_entry *than)
{
	struct exchange_mark at;

	if (!than)
		return true;
	at = space_mark(than);
	return space_mark_compare(mark, &at) > 0;
}

bool shares_admit(const struct shares *s, struct inbox_entry *const *items, size_t n,
		  const struct exchange_mark *mark, const struct address *from, uint8_t kind,
		  size_t newer)
{
	const struct share_holder *h = find(s, from);
	size_t most;

	if (kind == PARCEL_PROFILE)
		/* His older one goes for it. */
		return (h && h->profiles) || s->profiles < s->most_profiles ||
		       is_newer(mark, oldest_profile(items, n));
	if (n < s->most || (h && newer < h->others))
		return true;
	/* It would be his oldest. */
	most = most_others(s);
	if (newer + 1 != most)
		return newer + 1 < most;
	return is_newer(mark, oldest_of_most(s, items, n, most));
}
