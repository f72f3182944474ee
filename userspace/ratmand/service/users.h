/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and their profiles (service-api.md R5, R12 to R16): those of this router,
 * which are on the disk before a change is confirmed, and those of others, as they
 * announced themselves (announce.h). Everybody seen in the mesh is here, with an
 * empty profile until he announces one.
 */
#ifndef RATMAND_SERVICE_USERS_H
#define RATMAND_SERVICE_USERS_H

#include <uv.h>

#include "proto/user.h"
#include "ratmand/store/profiles.h"

struct users;
struct lookup;
struct users_watch;

struct users_stats {
	uint64_t merged;	/* announcements that told something new */
	uint64_t old;		/* … that did not */
	uint64_t forged;	/* about another than their sender */
	uint64_t malformed;
	uint64_t no_room;	/* not kept: the store refused */
	uint64_t evicted;	/* users forgotten for want of room */
	uint64_t gone;		/* users who said good-bye */
};

struct users_ops {
	/* True when the user is logged in here, or (not @local) has a route just now. */
	bool (*online)(void *ctx, const struct address *id, bool local);
	/* A local user's profile has changed, and that is durable. */
	void (*changed)(void *ctx, const struct address *id);
};

/*
 * Loads who is in the store. @loop, @store and @ops (NULL: nobody is online, nobody
 * listens) are borrowed and outlive it. @most: see LIMIT_PROFILES. -ENOMEM, storage errors.
 */
int users_new(struct users **out, uv_loop_t *loop, struct store *store, size_t most,
	      const struct users_ops *ops, void *ctx);
/* Its handles are left to the loop, which must run once more. */
void users_free(struct users *u);

/*
 * Somebody was seen in the mesh, for the first and last time then (wall clock).
 * Costs no write. After a start the node tells all it remembers, then users_ready().
 */
void users_seen(struct users *u, const struct address *id, int64_t first_ns, int64_t last_ns);
/* Everybody known before now is told: orders them. -ENOMEM. */
int users_ready(struct users *u);

/* 0, or -EINVAL (no UTF-8), -E2BIG (longer than LIMIT_HANDLE). NULL is fine. */
int users_check_handle(const char *handle);

/*
 * Queues an empty profile for a local address, with @handle unless it is NULL:
 * it is a user from now on, unless the next commit fails. -EEXIST, errors of
 * users_check_handle(), storage errors.
 */
int users_create(struct users *u, const struct address *id, const char *handle);

/*
 * Queues the removal of a local user's profile; nothing happens when there is none. What is still
 * on its way of his announcements does not bring him back.
 */
int users_forget(struct users *u, const struct address *id);

/* True for a user of this router. */
bool users_has_local(const struct users *u, const struct address *id);

/*
 * Reads a user's profile, its flags set. @avatar (LIMIT_AVATAR bytes) gets the
 * picture; NULL: without. -ENOENT for somebody who is not known, -EBADMSG.
 */
int users_get(struct users *u, const struct address *id, struct profile_record *out,
	      uint8_t *avatar);

/*
 * Applies all of @update (borrowed) to a local user's profile, an empty one if he
 * has none yet, and calls back when that is durable. -E2BIG (a limit of
 * base/limits.h), -EBADMSG, storage errors; then nothing is changed.
 */
void users_modify(struct users *u, const struct address *id, const struct user_update *update,
		  store_done_cb cb, void *ctx);

/*
 * @from has announced @profile as of @version, or with NULL that he is gone for ever. Taken when
 * it is his own and newer than what is known of him, and was before he was forgotten (bygone.h);
 * counts what it does. Unset fields become unset. Who is gone is nobody any more, not even when he
 * is seen in the mesh, until he announces a profile that is newer than his good-bye.
 */
void users_merge(struct users *u, const struct address *from, uint64_t version,
		 const struct profile *profile);
/* Counts an announcement nobody can read. */
void users_malformed(struct users *u);

/*
 * Finds users in the order in which this router heard of them first, in bounded
 * pieces, one each turn of the loop. @found gets each (borrowed) from skip on,
 * take at most, and says false to end it. @done ends it with 0 or an error,
 * never before this call returns; not after users_lookup_stop(). -ENOMEM.
 */
typedef bool (*lookup_found_cb)(void *ctx, const struct profile *profile);
typedef void (*lookup_done_cb)(void *ctx, int err);
int users_lookup(struct users *u, const struct user_query *q, enum user_scope scope,
		 lookup_found_cb found, lookup_done_cb done, void *ctx, struct lookup **out);
void users_lookup_stop(struct lookup *l);

/*
 * Watches for profiles that change from now on, local and others, but not for
 * empty ones that come. @ready is called when users_watch_next() has one.
 */
typedef void (*users_ready_cb)(void *ctx);
int users_watch(struct users *u, users_ready_cb ready, void *ctx, struct users_watch **out);
void users_unwatch(struct users_watch *w);
/* As users_get() for the next one; -EAGAIN when there is none. */
int users_watch_next(struct users_watch *w, struct profile_record *out, uint8_t *avatar);

const struct users_stats *users_stats(const struct users *u);
/* Users known, local ones and empty ones included. */
size_t users_count(const struct users *u);

#endif
