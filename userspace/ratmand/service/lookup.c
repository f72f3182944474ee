// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Looking for users, in pieces: each turn of the loop has room for so much work,
 * whoever asks and however many do.
 */
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/limits.h"
#include "ratmand/service/search.h"
#include "ratmand/service/users_priv.h"

/* Of one turn: entries looked at in memory, and profiles read from the store. */
#define TURN_LOOKS 8192
#define TURN_READS 64

struct lookup {
	struct lookup *prev, *next;
	struct users *users;
	struct search *search;		/* owned */
	bool everybody;			/* the search has no terms */
	enum user_scope scope;
	uint32_t skip, take;		/* left to do */
	uint64_t after;			/* where in the directory we are */
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
	if (users_read(l->users, e, &record, NULL) ||
	    !search_matches(l->search, &record.profile))
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

/* Works until the budget is used up or it is done; then it is freed. */
static void work(struct lookup *l, size_t *looks, size_t *reads)
{
	const struct directory_entry *e;

	while (l->take && *looks && *reads < TURN_READS) {
		e = directory_next(l->users->directory, &l->after, looks, wanted, l);
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

int users_lookup(struct users *u, const struct user_query *q, enum user_scope scope,
		 lookup_found_cb found, lookup_done_cb done, void *ctx, struct lookup **out)
{
	struct lookup *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	if (search_new(&l->search, q)) {
		free(l);
		return -ENOMEM;
	}
	l->users = u;
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
