/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client protocol needs to show, find and change profiles of users. As
 * api/backend.h.
 */
#ifndef RATMAND_API_PROFILE_BACKEND_H
#define RATMAND_API_PROFILE_BACKEND_H

#include "proto/user.h"

/* A search under way; ended by its done callback or by search_stop. */
struct backend_search;

/* A watch for changes; ended by unwatch. */
struct backend_watch;

/* Borrowed for the call. False: that is enough. */
typedef bool (*backend_profile_cb)(void *ctx, const struct profile *profile);

struct backend_profile_ops {
	/* Calls @cb with the profile of a user, local or not. -ENOENT, -EBADMSG. */
	int (*get)(void *be, const struct address *id, backend_profile_cb cb, void *ctx);
	/*
	 * Calls @found for those who fit, from q->skip on, at most q->take, in the
	 * order in which this router heard of them first; then @done, never before
	 * this call has returned. -ENOMEM.
	 */
	int (*search)(void *be, const struct user_query *q, enum user_scope scope,
		      backend_profile_cb found, void (*done)(void *ctx, int err), void *ctx,
		      struct backend_search **out);
	void (*search_stop)(struct backend_search *s);
	/*
	 * Changes the profile of the local address @id, which is up, and answers when
	 * that is on disk; all of it or nothing. -E2BIG, -EBADMSG, storage errors.
	 */
	void (*modify)(void *be, const struct address *id, const struct user_update *update,
		       void (*done)(void *ctx, int err), void *ctx);
	/*
	 * Profiles that change from now on; @ready is called when watch_next has one.
	 * -ENOMEM. watch_next calls @cb for the next, or returns -EAGAIN.
	 */
	int (*watch)(void *be, void (*ready)(void *ctx), void *ctx, struct backend_watch **out);
	int (*watch_next)(struct backend_watch *w, backend_profile_cb cb, void *ctx);
	void (*unwatch)(struct backend_watch *w);
};

#endif
