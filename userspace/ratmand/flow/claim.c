// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who gets a stream. Decided once, when it is complete:
 *
 * - every subscriber of its recipient (of a namespace: its entry's address) gets it, each through a queue of its own;
 * - those who are receiving just then (Recv) get it as well, but once: it goes
 *   into the pool, and from there to whoever takes it first;
 * - what nobody is to have goes into the pool, too, and waits for a receiver.
 *
 * A parcel is for the handler of its kind alone (parcel.c).
 *
 * An entry leaves the inbox when it is in no queue and not in the pool.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"

static int claim(struct flow *f, struct inbox_entry *e, const struct due_owner *owner)
{
	int err = due_put(f->store, owner, e->order, e->id.b, sizeof(e->id.b));

	if (!err)
		e->claims++;
	return err;
}

/* Subscribers with room in their queue; the others' streams go to the pool rather than be lost. */
static int claim_subscribers(struct flow *f, struct inbox_entry *e, bool *pool)
{
	struct subscription *sub;

	DL_FOREACH(f->subscriptions.all, sub) {
		int err;

		if (!recipient_equal(&sub->to, &e->to) ||
		    !address_equal(&sub->owner.address, &e->local))
			continue;
		if (sub->waiting >= LIMIT_SUBSCRIPTION_QUEUE) {
			if (!f->stats.subscriptions_overflow++)
				log_warn("a subscriber left %u streams waiting: what comes now is kept for receivers",
					 LIMIT_SUBSCRIPTION_QUEUE);
			*pool = true;
			continue;
		}
		err = claim(f, e, &sub->owner);
		if (err)
			return err;
		sub->waiting++;
	}
	return 0;
}

/* True when somebody is receiving from the recipient just now. */
static bool is_received(const struct flow *f, const struct inbox_entry *e)
{
	const struct flow_listener *l;

	DL_FOREACH(f->listeners, l)
		if (!l->queue && recipient_equal(&l->to, &e->to) &&
		    address_equal(&l->owner.address, &e->local))
			return true;
	return false;
}

int claim_stream(struct flow *f, struct inbox_entry *e)
{
	bool pool = is_received(f, e);
	int err;

	e->claims = 0;
	/* For a handler, whoever receives or has subscribed. */
	if (e->kind)
		return inbox_complete(&f->inbox, e, true);
	/* Kept for other members; each one here gets an entry of its own. */
	if (inbox_is_item(e))
		return inbox_complete(&f->inbox, e, false);
	err = claim_subscribers(f, e, &pool);
	/* Last, so that what is complete after a crash is in its queues, too. */
	if (!err)
		err = inbox_complete(&f->inbox, e, pool || !e->claims);
	if (err)
		claim_undo(f, e);
	return err;
}

/* What is due, gathered for a change that must wait for the end of the walk. */
struct gathered {
	struct gathered_one {
		struct due_owner owner;
		uint64_t order;
		struct ident id;	/* of the manifest; zero for an event */
	} *all;				/* owned */
	size_t n, room;
	const struct address *address;	/* only queues of this one, or NULL */
	const struct ident *id;		/* only this stream, or NULL */
};

static int gather(void *ctx, const struct due_owner *owner, uint64_t order, const uint8_t *value,
		  size_t len)
{
	struct gathered *g = ctx;
	struct gathered_one *one;

	if (g->address && !address_equal(g->address, &owner->address))
		return 0;
	if (g->id && (len != sizeof(g->id->b) || memcmp(g->id->b, value, len)))
		return 0;
	if (g->n == g->room) {
		size_t room = g->room ? 2 * g->room : 64;
		struct gathered_one *wider = realloc(g->all, room * sizeof(*wider));

		if (!wider)
			return -ENOMEM;
		g->all = wider;
		g->room = room;
	}
	one = &g->all[g->n++];
	*one = (struct gathered_one){ .owner = *owner, .order = order };
	if (len == sizeof(one->id.b))
		memcpy(one->id.b, value, len);
	return 0;
}

static void drop_one(struct flow *f, const struct gathered_one *one)
{
	struct subscription *sub = subscriptions_find(&f->subscriptions, &one->owner);

	(void)due_del(f->store, &one->owner, one->order);
	if (sub && sub->waiting)
		sub->waiting--;
}

void claim_undo(struct flow *f, struct inbox_entry *e)
{
	struct gathered g = { .id = &e->id };
	struct subscription *sub;

	/* Without the memory for it they are sorted out at the next start. */
	if (e->claims)
		(void)due_each(f->store, gather, &g);
	for (size_t i = 0; i < g.n; i++)
		(void)due_del(f->store, &g.all[i].owner, g.all[i].order);
	free(g.all);
	DL_FOREACH(f->subscriptions.all, sub)
		if (e->claims && recipient_equal(&sub->to, &e->to))
			subscriptions_recount(&f->subscriptions, sub);
	e->claims = 0;
	e->complete = e->pool = false;
}

/* One queue less has @e: the pool has it when that was the last. */
static void release(struct flow *f, struct inbox_entry *e)
{
	struct recipient to = e->to;
	struct address local = e->local;

	if (!e->claims || --e->claims || e->pool || !e->complete)
		return;
	if (inbox_set_pool(&f->inbox, e, true))
		log_error("inbox: a stream cannot be put back");
	if (e->announced)
		recv_notify(f, &to, &local);
}

void claim_drop(struct flow *f, const struct ident *id, const struct address *address)
{
	struct gathered g = { .address = address };
	int err;

	recv_cancel(f, id, address);
	if (id) {
		struct due_owner owner = { *id, *address };

		err = due_each_of(f->store, &owner, gather, &g);
	} else {
		err = due_each(f->store, gather, &g);
	}
	if (err)
		log_error("subscriptions: a queue cannot be emptied before the next start");
	for (size_t i = 0; i < g.n; i++)
		drop_one(f, &g.all[i]);
	for (size_t i = 0; i < g.n; i++) {
		struct inbox_entry *e = inbox_find(&f->inbox, &g.all[i].id);

		if (e)
			release(f, e);
	}
	free(g.all);
}

int claim_load(struct flow *f)
{
	static const struct ident event;
	struct gathered g = { 0 };
	struct inbox_entry *e;
	int err = due_each(f->store, gather, &g);

	for (size_t i = 0; i < g.n; i++) {
		struct gathered_one *one = &g.all[i];
		bool is_event = ident_equal(&one->id, &event);

		e = is_event ? NULL : inbox_find(&f->inbox, &one->id);
		if (!subscriptions_find(&f->subscriptions, &one->owner) ||
		    (!is_event && !(e && e->complete)))
			drop_one(f, one);
		else if (e)
			e->claims++;
	}
	free(g.all);
	for (e = f->inbox.all; e && !err; e = e->hh.next)
		if (e->complete && !e->pool && !e->claims && !inbox_is_item(e) && !e->kind)
			err = inbox_set_pool(&f->inbox, e, true);
	return err;
}
