// SPDX-License-Identifier: GPL-2.0-or-later
/* Subscriptions to streams and to events: made, ended, listed, attached to. */
#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"

/* A subscription whose answer waits for the commit. */
struct subscribing {
	struct flow *flow;
	struct due_owner owner;
	bool made;			/* by this request */
	flow_subscribed_cb cb;
	void *ctx;
};

static void on_subscribed(void *ctx, int err)
{
	struct subscribing *s = ctx;
	struct flow *f = s->flow;
	struct subscription *sub = subscriptions_find(&f->subscriptions, &s->owner);

	if (err && s->made && sub)
		(void)subscriptions_remove(&f->subscriptions, sub);
	s->cb(s->ctx, !err && !sub ? -ESRCH : err, &s->owner.id);
	free(s);
	flow_settled(f);
}

void flow_subscribe(struct flow *f, const struct address *address, const struct recipient *to,
		    flow_subscribed_cb cb, void *ctx)
{
	struct subscribing *s = calloc(1, sizeof(*s));
	size_t before = f->subscriptions.n;
	struct subscription *sub;
	int err = s ? 0 : -ENOMEM;

	if (!err && to->kind == RECIPIENT_ADDRESS && !address_equal(address, &to->address))
		err = -EINVAL;
	if (!err)
		err = subscriptions_add(&f->subscriptions, address, to, &sub);
	if (err == -EMFILE)
		f->stats.subscriptions_full++;
	if (err) {
		free(s);
		cb(ctx, err, NULL);
		return;
	}
	*s = (struct subscribing){ .flow = f, .owner = sub->owner, .cb = cb, .ctx = ctx,
				   .made = f->subscriptions.n > before };
	flow_expect(f);
	store_commit(f->store, on_subscribed, s);
}

static struct subscription *find(struct flow *f, const struct due_owner *owner, bool events)
{
	struct subscription *sub = subscriptions_find(&f->subscriptions, owner);

	return sub && (sub->to.kind == RECIPIENT_NONE) == events ? sub : NULL;
}

int flow_subscription_check(struct flow *f, const struct ident *id, const struct address *address,
			    bool events)
{
	struct due_owner owner = { *id, *address };

	if (find(f, &owner, events))
		return 0;
	return subscriptions_knows(&f->subscriptions, id, events) ? -ENOENT : -ESRCH;
}

static void remove_subscription(struct flow *f, struct subscription *sub)
{
	struct flow_listener *l;

	DL_FOREACH(f->listeners, l) {
		if (l->sub == sub)
			l->sub = NULL;
	}
	if (subscriptions_remove(&f->subscriptions, sub))
		log_error("subscriptions: one cannot be removed from disk");
}

struct unsubscribing {
	struct flow *flow;
	flow_done_cb cb;
	void *ctx;
};

static void on_unsubscribed(void *ctx, int err)
{
	struct unsubscribing *u = ctx;
	struct flow *f = u->flow;

	u->cb(u->ctx, err);
	free(u);
	flow_settled(f);
}

void flow_unsubscribe(struct flow *f, const struct ident *id, const struct address *address,
		      bool events, flow_done_cb cb, void *ctx)
{
	int err = flow_subscription_check(f, id, address, events);
	struct unsubscribing *u = err ? NULL : malloc(sizeof(*u));
	struct due_owner owner = { *id, *address };

	if (!u) {
		cb(ctx, err ? err : -ENOMEM);
		return;
	}
	*u = (struct unsubscribing){ f, cb, ctx };
	remove_subscription(f, find(f, &owner, events));
	claim_drop(f, id, address);
	flow_expect(f);
	store_commit(f->store, on_unsubscribed, u);
}

void flow_local_unsubscribe(struct flow *f, const struct address *address)
{
	struct subscription *sub, *next;

	DL_FOREACH_SAFE(f->subscriptions.all, sub, next)
		if (address_equal(&sub->owner.address, address))
			remove_subscription(f, sub);
	claim_drop(f, NULL, address);
}

void flow_subscriptions_each(struct flow *f, const struct address *address,
			     void (*cb)(void *ctx, const struct ident *id), void *ctx)
{
	const struct subscription *sub;

	DL_FOREACH(f->subscriptions.all, sub)
		if (sub->to.kind != RECIPIENT_NONE && address_equal(&sub->owner.address, address))
			cb(ctx, &sub->owner.id);
}

int flow_attach(struct flow *f, const struct ident *id, const struct address *address, bool events,
		flow_cb ready, void *ctx, struct flow_listener **out)
{
	struct due_owner owner = { *id, *address };
	struct subscription *sub = find(f, &owner, events);
	struct flow_listener *l;

	if (!sub)
		return flow_subscription_check(f, id, address, events);
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->flow = f;
	l->to = sub->to;
	l->owner = sub->owner;
	l->sub = sub;
	l->queue = true;
	l->ready = ready;
	l->ctx = ctx;
	DL_APPEND(f->listeners, l);
	*out = l;
	if (recv_has_next(l))
		ready(ctx);
	return 0;
}

/* ---- events ---- */

void flow_event(struct flow *f, enum payload_event_kind kind, const struct address *address)
{
	const struct recipient events = { .kind = RECIPIENT_NONE };
	const struct payload_event event = { (uint8_t)kind, *address };
	uint8_t value[PAYLOAD_EVENT_LEN];
	struct wire_writer w;
	struct subscription *sub;
	bool any = false;

	wire_write_init(&w, value, sizeof(value));
	payload_write_event(&w, &event);
	DL_FOREACH(f->subscriptions.all, sub) {
		if (sub->to.kind != RECIPIENT_NONE)
			continue;
		if (sub->waiting >= LIMIT_SUBSCRIPTION_QUEUE ||
		    due_put(f->store, &sub->owner, sub->next_order, value, sizeof(value))) {
			if (!f->stats.events_lost++)
				log_warn("an event is lost: a subscriber left %u waiting, or the store takes none",
					 LIMIT_SUBSCRIPTION_QUEUE);
			continue;
		}
		sub->next_order++;
		sub->waiting++;
		any = true;
	}
	if (any)
		recv_notify(f, &events, NULL);
}

int flow_event_next(struct flow_listener *l, struct payload_event *out)
{
	struct flow *f = l->flow;
	uint8_t value[PAYLOAD_EVENT_LEN];
	uint64_t order;
	int err;

	if (!l->sub || l->to.kind != RECIPIENT_NONE || !l->sub->waiting)
		return -EAGAIN;
	err = due_next(f->store, &l->owner, 0, &order, value, sizeof(value));
	if (err == -ENOENT)
		l->sub->waiting = 0;
	if (err && err != -EBADMSG)
		return err == -ENOENT ? -EAGAIN : err;
	if (due_del(f->store, &l->owner, order))
		return -EIO;
	l->sub->waiting--;
	if (err)
		return flow_event_next(l, out);
	return payload_read_event(value, sizeof(value), out);
}
