// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking for users, in pieces: each turn of the loop has room for so much work,
 * whoever asks and however many do. A query with an exact term is answered out of
 * the index of values (exact.h), unless so many have the value that going through
 * all meets enough of them soon.
 */
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/limits.h"
#include "ratmand/service/exact.h"
#include "ratmand/service/search.h"
#include "ratmand/service/users_priv.h"

/* Of one turn: entries looked at in memory, and profiles read from the store. */
#define TURN_LOOKS 8192
#define TURN_READS 64
/* So many characters looked at are as much work as reading a profile. */
#define READ_WORK 65536

/* So many users with one value are taken from the index. */
#define INDEXED_MAX 256

struct lookup {
	struct lookup *prev, *next;
	struct users *users;
	struct search *search;		/* owned */
	bool everybody;			/* the search has no terms */
	enum user_scope scope;
	uint32_t skip, take;		/* left to do */
	uint64_t after;			/* where in the directory we are */
	bool indexed;			/* only these can match, in their order */
	struct address *candidates;	/* owned */
	size_t n_candidates, at;
	lookup_found_cb found;
	lookup_done_cb done;
	void *ctx;
};

static void lookup_free(struct lookup *l)
{
	DL_DELETE(l->users->lookups, l);
	if (!l->users->lookups)
		uv_idle_stop(&l->users->turn);
	search_free(l->search);
	free(l->candidates);
	free(l);
}

static void finish(struct lookup *l, int err)
{
	lookup_done_cb done = l->done;
	void *ctx = l->ctx;

	lookup_free(l);
	done(ctx, err);
}

static bool wanted(void *ctx, const struct directory_entry *e, const struct fold_sum *sum)
{
	const struct lookup *l = ctx;

	if (l->scope != USER_BOTH && (l->scope == USER_LOCAL) != e->local)
		return false;
	return search_may_match(l->search, &e->id, sum);
}

/*
 * Holds one user against the search, and tells about him; false when that is
 * enough. A record that is damaged is left out: the store has said so.
 */
static bool look_at(struct lookup *l, const struct directory_entry *e, size_t *reads)
{
	static uint8_t avatar[LIMIT_AVATAR];
	struct profile_record record;

	if (l->everybody && l->skip) {
		l->skip--;
		return true;
	}
	*reads += e->filled;
	if (users_read(l->users, e, &record, NULL))
		return true;
	*reads += search_work(l->search, &record.profile) / READ_WORK;
	if (!search_matches(l->search, &record.profile))
		return true;
	if (l->skip) {
		l->skip--;
		return true;
	}
	if (record.profile.avatar_len) {
		++*reads;
		if (users_read(l->users, e, &record, avatar))
			return true;
	}
	l->take--;
	return l->found(l->ctx, &record.profile);
}

/* The next of the candidates; NULL as directory_next(). */
static const struct directory_entry *next_candidate(struct lookup *l, size_t *looks)
{
	while (l->at < l->n_candidates && *looks) {
		const struct directory_entry *e = directory_find(l->users->directory,
								 &l->candidates[l->at++]);

		--*looks;
		if (e && wanted(l, e, directory_sum(l->users->directory, e)))
			return e;
	}
	return NULL;
}

static const struct directory_entry *next_wanted(struct lookup *l, size_t *looks)
{
	if (l->indexed)
		return next_candidate(l, looks);
	return directory_next(l->users->directory, &l->after, looks, wanted, l);
}

/* Works until the budget is used up or it is done; then it is freed. */
static void work(struct lookup *l, size_t *looks, size_t *reads)
{
	const struct directory_entry *e;

	while (l->take && *looks && *reads < TURN_READS) {
		e = next_wanted(l, looks);
		if (e ? !look_at(l, e, reads) : *looks > 0)
			l->take = 0;
	}
	if (!l->take) {
		finish(l, 0);
		return;
	}
	/* The others first. */
	DL_DELETE(l->users->lookups, l);
	DL_APPEND(l->users->lookups, l);
}

static void on_turn(uv_idle_t *handle)
{
	size_t looks = TURN_LOOKS, reads = 0;
	struct users *u = handle->data;

	while (u->lookups && looks && reads < TURN_READS)
		work(u->lookups, &looks, &reads);
}

int lookups_init(struct users *u)
{
	u->turn.data = u;
	return uv_idle_init(u->loop, &u->turn);
}

void lookups_stop(struct users *u)
{
	while (u->lookups)
		lookup_free(u->lookups);
}

/* The index ----------------------------------------------------------------------------- */

struct candidate {
	uint64_t order;
	struct address id;
};

struct candidates {
	struct users *users;
	struct candidate list[INDEXED_MAX + LIMIT_LOCAL_ADDRESSES + 1];
	size_t n;
};

static void add_entry(void *ctx, const struct directory_entry *e)
{
	struct candidates *c = ctx;

	if (c->n < sizeof(c->list) / sizeof(c->list[0]))
		c->list[c->n++] = (struct candidate){ e->order, e->id };
}

static void add_id(struct candidates *c, const struct address *id)
{
	const struct directory_entry *e = directory_find(c->users->directory, id);

	if (e)
		add_entry(c, e);
}

static int compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->order < y->order ? -1 : x->order > y->order;
}

/* Gathers who can match an exact term; false when the index does not help. */
static bool gather(struct candidates *c, const struct user_term *t)
{
	struct address found[INDEXED_MAX];
	struct address id;
	ssize_t n;

	c->n = 0;
	if (t->match != USER_MATCH_EXACT)
		return false;
	n = exact_find(c->users->store, t->pattern, found, INDEXED_MAX);
	if (n < 0)
		return false;
	/* The users here are few, and not in the index. */
	directory_each_local(c->users->directory, add_entry, c);
	for (ssize_t i = 0; i < n; i++)
		add_id(c, &found[i]);
	if (search_whole_id(t->pattern, &id))
		add_id(c, &id);
	qsort(c->list, c->n, sizeof(c->list[0]), compare);
	return true;
}

/* Tries the exact terms, one after the other. -ENOMEM. */
static int use_index(struct lookup *l, const struct user_query *q)
{
	struct candidates *c = malloc(sizeof(*c));
	int err = c ? 0 : -ENOMEM;

	for (uint16_t i = 0; i < q->n && !err && !l->indexed; i++) {
		c->users = l->users;
		l->indexed = gather(c, &q->terms[i]);
	}
	if (l->indexed && c->n) {
		l->candidates = calloc(c->n, sizeof(*l->candidates));
		err = l->candidates ? 0 : -ENOMEM;
		/* Somebody may be there by value and by id. */
		for (size_t i = 0; i < c->n && !err; i++)
			if (!i || c->list[i].order != c->list[i - 1].order)
				l->candidates[l->n_candidates++] = c->list[i].id;
	}
	free(c);
	return err;
}

int users_lookup(struct users *u, const struct user_query *q, enum user_scope scope,
		 lookup_found_cb found, lookup_done_cb done, void *ctx, struct lookup **out)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->users = u;
	if (search_new(&l->search, q) || use_index(l, q)) {
		search_free(l->search);
		free(l->candidates);
		free(l);
		return -ENOMEM;
	}
	l->everybody = !q->n;
	l->scope = scope;
	l->skip = q->skip;
	l->take = q->take;
	l->found = found;
	l->done = done;
	l->ctx = ctx;
	DL_APPEND(u->lookups, l);
	uv_idle_start(&u->turn, on_turn);
	*out = l;
	return 0;
}

void users_lookup_stop(struct lookup *l)
{
	lookup_free(l);
}
