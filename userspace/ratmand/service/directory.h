/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All users this router knows of, in memory: who there is, in which order, who is
 * to go when there are too many, whose profile changed, and a sum of what each
 * profile says (fold.h), so that a search reads few of them from the disk.
 *
 * The order is that of first being heard of; it does not change, and who comes
 * later stands behind.
 */
#ifndef RATMAND_SERVICE_DIRECTORY_H
#define RATMAND_SERVICE_DIRECTORY_H

#include "base/address.h"
#include "ratmand/service/fold.h"
#include "ratmand/store/keyhash.h"

struct directory;
struct directory_watch;

/* One user; owned by the directory, only read by others. */
struct directory_entry {
	struct address id;
	UT_hash_handle hh;
	struct directory_entry *use_prev, *use_next;	/* longest not seen first, or local ones */
	struct directory_entry *change_prev, *change_next;
	uint64_t order;
	uint64_t version;	/* of the profile; 0: it is empty and was never announced */
	int64_t first_ns, seen_ns;	/* wall clock */
	bool local;
	bool filled;		/* has a record in the store */
	bool changed;		/* since the start: among the changes */
};

/*
 * @most users that are not local at most. @evicted is called for each that goes
 * for want of room, before it is freed. NULL when memory is short.
 */
typedef void (*directory_evicted_cb)(void *ctx, const struct directory_entry *entry);
struct directory *directory_new(size_t most, directory_evicted_cb evicted, void *ctx);
void directory_free(struct directory *d);

/* Users, local ones and empty ones included. */
size_t directory_count(const struct directory *d);

/* Borrowed until the next call that adds or removes; NULL. */
struct directory_entry *directory_find(const struct directory *d, const struct address *id);

/*
 * Adds a user who is not there. The one to go for him, if there must be one, is
 * the empty one not seen for the longest, else the filled one. NULL when memory is short.
 */
struct directory_entry *directory_add(struct directory *d, const struct address *id, bool local,
				      int64_t first_ns, int64_t seen_ns);
void directory_remove(struct directory *d, struct directory_entry *e);

/* After the start: puts all in order, by what the entries say; those to come stand behind. */
int directory_sort(struct directory *d);

/* What is noted of his profile; borrowed likewise. */
const struct fold_sum *directory_sum(const struct directory *d, const struct directory_entry *e);

/* Calls @cb for every local user. */
void directory_each_local(const struct directory *d,
			  void (*cb)(void *ctx, const struct directory_entry *e), void *ctx);

/* He was seen just now. */
void directory_seen(struct directory *d, struct directory_entry *e, int64_t now_ns);

/* He has a record, of this version, with this sum. */
void directory_fill(struct directory *d, struct directory_entry *e, uint64_t version,
		    const struct fold_sum *sum);

/* Lets go of one filled user who is not local, for room in the store; false when there is none. */
bool directory_evict_filled(struct directory *d);

/*
 * The next user behind the place *@after (0 at first), which moves on, for whom
 * @wanted says so; looks at no more than *@budget, which is counted down. NULL
 * at the end, and when the budget is used up (it is 0 then).
 */
typedef bool (*directory_wanted_cb)(void *ctx, const struct directory_entry *e,
				    const struct fold_sum *sum);
const struct directory_entry *directory_next(const struct directory *d, uint64_t *after,
					     size_t *budget, directory_wanted_cb wanted, void *ctx);

/* His profile has changed: for every watch. */
void directory_changed(struct directory *d, struct directory_entry *e);

/*
 * Watches for changes from now on. A user whose profile changed more than once
 * before he was asked for is told once: nothing is lost, and nothing queues up.
 * @ready is called when there is one, from within directory_changed().
 */
typedef void (*directory_ready_cb)(void *ctx);
struct directory_watch *directory_watch(struct directory *d, directory_ready_cb ready, void *ctx);
void directory_unwatch(struct directory *d, struct directory_watch *w);
/* The next one who changed; NULL when there is none. */
const struct directory_entry *directory_watch_next(struct directory_watch *w);

#endif
