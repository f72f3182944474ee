/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Subscriptions, and what is due: queues of things to be delivered.
 *
 * A subscription is for one recipient (or for events) and has one id; each
 * address that subscribed to it is a subscriber with a queue of its own. Few
 * enough to be held in memory; the queues are on disk only.
 */
#ifndef RATMAND_STORE_SUBSCRIPTIONS_H
#define RATMAND_STORE_SUBSCRIPTIONS_H

#include "proto/letterhead.h"
#include "ratmand/store/store.h"

/* Whose queue: subscription and subscriber. */
struct due_owner {
	struct ident id;
	struct address address;
};

struct subscription {
	struct subscription *prev, *next;
	struct due_owner owner;		/* the id is shared by all subscribers of @to */
	struct recipient to;		/* RECIPIENT_NONE: events */
	uint64_t since_s;		/* unix seconds */
	uint64_t waiting;		/* in its queue */
	uint64_t next_order;		/* above all orders in its queue when loaded */
};

struct subscriptions {
	struct store *store;
	struct subscription *all;
	size_t n;
};

/* Loads every subscription and counts its queue. Storage errors, -ENOMEM. */
int subscriptions_load(struct subscriptions *s, struct store *store);
/* Frees the memory; everything stays on disk. */
void subscriptions_free(struct subscriptions *s);

/*
 * Queues the subscription of @address to @to, or finds the one there is; all
 * subscribers of one recipient share an id, except that events have one each.
 * *@out is borrowed. -EMFILE at LIMIT_SUBSCRIPTIONS or LIMIT_SUBSCRIPTIONS_EACH, -ENOMEM, storage errors.
 */
int subscriptions_add(struct subscriptions *s, const struct address *address,
		      const struct recipient *to, struct subscription **out);

/* The subscriber, or NULL. */
struct subscription *subscriptions_find(const struct subscriptions *s, const struct due_owner *owner);
/* True when anybody subscribed under @id, to events or to streams. */
bool subscriptions_knows(const struct subscriptions *s, const struct ident *id, bool events);

/* Counts its queue anew, after a commit failed. */
int subscriptions_recount(struct subscriptions *s, struct subscription *sub);

/* Removes the subscriber, not its queue. Frees @sub. Storage errors (it is gone from memory then). */
int subscriptions_remove(struct subscriptions *s, struct subscription *sub);

/* Queues @value (copied) for @owner; @order is unique in the queue and its place in it. */
int due_put(struct store *store, const struct due_owner *owner, uint64_t order, const void *value,
	    size_t len);
int due_del(struct store *store, const struct due_owner *owner, uint64_t order);

/*
 * The first in the queue whose order is @from or more: its order in *@order,
 * @len bytes of value. -ENOENT when there is none, -EBADMSG for one of another
 * length (*@order is set), storage errors.
 */
int due_next(struct store *store, const struct due_owner *owner, uint64_t from, uint64_t *order,
	     void *value, size_t len);

/*
 * Calls @cb for everything due, queue by queue, oldest first; pointers are
 * borrowed for the call. @cb must not write. A return other than 0 stops and is returned.
 */
typedef int (*due_each_cb)(void *ctx, const struct due_owner *owner, uint64_t order,
			   const uint8_t *value, size_t len);
int due_each(struct store *store, due_each_cb cb, void *ctx);
/* The same for one queue. */
int due_each_of(struct store *store, const struct due_owner *owner, due_each_cb cb, void *ctx);

#endif
