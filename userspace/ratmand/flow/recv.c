// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams a client receives: listeners and readers. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"
#include "ratmand/flow/manifest.h"

struct flow_recv {
	struct flow_recv *prev, *next;
	struct flow *flow;
	struct inbox_entry *entry;	/* NULL when it was purged */
	struct due_owner owner;		/* of the queue it came out of, with @queue */
	uint64_t order;
	bool queue;
	struct delivery *delivery;	/* owned; for its end */
	struct flow_reader reader;
};

/* A stream that was handed over. */
struct delivery {
	struct delivery *prev, *next;
	struct flow *flow;
	struct ident id;
	struct due_owner owner;
	uint64_t order;
	bool queue;
	bool last;			/* nobody else is to have the stream */
};

static bool same_owner(const struct due_owner *a, const struct due_owner *b)
{
	return ident_equal(&a->id, &b->id) && address_equal(&a->address, &b->address);
}

/* The oldest stream of the pool for the listener that nobody reads, or NULL. */
static struct inbox_entry *oldest(const struct flow_listener *l)
{
	struct inbox_entry *e;

	DL_FOREACH(l->flow->inbox.ready, e)
		if (!e->taken && recipient_equal(&e->to, &l->to) &&
		    address_equal(&e->local, &l->owner.address))
			return e;
	return NULL;
}

/* True when that place of the queue is being read, or was and the disk does not know. */
static bool is_taken(const struct flow *f, const struct due_owner *owner, uint64_t order)
{
	const struct delivery *d;
	const struct flow_recv *r;

	DL_FOREACH(f->recvs, r)
		if (r->queue && r->order == order && same_owner(&r->owner, owner))
			return true;
	DL_FOREACH(f->deliveries, d)
		if (d->queue && d->order == order && same_owner(&d->owner, owner))
			return true;
	return false;
}

/* The oldest stream in the listener's queue that nobody reads, or NULL. */
static struct inbox_entry *oldest_due(const struct flow_listener *l)
{
	struct flow *f = l->flow;
	uint64_t from = 0, order;
	struct ident id;

	for (;; from = order + 1) {
		int err = due_next(f->store, &l->owner, from, &order, id.b, sizeof(id.b));
		struct inbox_entry *e;

		if (err && err != -EBADMSG)
			return NULL;
		if (!err && is_taken(f, &l->owner, order))
			continue;
		e = err ? NULL : inbox_find(&f->inbox, &id);
		if (e && e->announced)
			return e;
		if (e)
			continue;	/* its commit is under way */
		/* Purged or damaged meanwhile. */
		(void)due_del(f->store, &l->owner, order);
		if (l->sub->waiting)
			l->sub->waiting--;
	}
}

/* What the listener gets next, out of its queue or the pool, or NULL. */
static struct inbox_entry *pick(const struct flow_listener *l)
{
	if (!flow_secret(l->flow, &l->to.address))
		return NULL;
	if (!l->queue)
		return oldest(l);
	return l->sub && l->sub->waiting ? oldest_due(l) : NULL;
}

bool recv_has_next(const struct flow_listener *l)
{
	if (l->to.kind == RECIPIENT_NONE)
		return l->sub && l->sub->waiting;
	return pick(l) != NULL;
}

void recv_listeners(struct flow *f, const struct recipient *to,
		    void (*cb)(void *ctx, const struct address *local), void *ctx)
{
	struct flow_listener *l;

	DL_FOREACH(f->listeners, l)
		if (recipient_equal(&l->to, to))
			cb(ctx, &l->owner.address);
}

void recv_notify(struct flow *f, const struct recipient *to, const struct address *local)
{
	struct flow_listener *l;

	DL_FOREACH(f->listeners, l)
		l->due = recipient_equal(&l->to, to) &&
			 (!local || address_equal(&l->owner.address, local));
	/* A callback may end any listener, so each call starts over from the first. */
	for (l = f->listeners; l; l = l ? l->next : f->listeners) {
		if (!l->due)
			continue;
		l->due = false;
		if (!recv_has_next(l))
			continue;
		l->ready(l->ctx);
		l = NULL;
	}
}

void recv_announce(struct flow *f, struct inbox_entry *e)
{
	struct recipient to = e->to;
	struct address local = e->local;

	inbox_announce(&f->inbox, e);
	if (e->kind)
		parcel_kick(f);
	else
		recv_notify(f, &to, &local);
}

int flow_listen(struct flow *f, const struct address *local, const struct recipient *to,
		flow_cb ready, void *ctx, struct flow_listener **out)
{
	struct flow_listener *l;
	struct space *sp;

	if (to->kind == RECIPIENT_NONE ||
	    (to->kind == RECIPIENT_ADDRESS && !address_equal(local, &to->address)))
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->flow = f;
	l->to = *to;
	l->owner.address = *local;
	l->ready = ready;
	l->ctx = ctx;
	DL_APPEND(f->listeners, l);
	*out = l;
	/* What is kept for the namespace and its clients have not had. */
	sp = to->kind == RECIPIENT_NAMESPACE ? space_find(f, &to->address) : NULL;
	if (sp)
		space_catch_up(f, sp, local);
	if (recv_has_next(l))
		ready(ctx);
	return 0;
}

void flow_listen_stop(struct flow_listener *l)
{
	if (!l)
		return;
	DL_DELETE(l->flow->listeners, l);
	free(l);
}

int recv_open_entry(struct flow *f, const struct inbox_entry *e, struct flow_reader *r,
		    struct manifest *m)
{
	const uint8_t *secret = flow_secret(f, &e->to.address);
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len = inbox_sealed(&f->inbox, e, sealed);
	int err = !secret ? -EACCES : len < 0 ? (int)len : 0;

	if (!err)
		err = manifest_open(sealed, (size_t)len, &e->to.address, secret, m);
	if (!err)
		err = flow_reader_open(r, f, &e->tag, &m->cap, &m->head.stream_size);
	return err;
}

static int open_entry(struct flow *f, struct inbox_entry *e, struct flow_recv *r,
		      struct letterhead *head)
{
	struct manifest *m = malloc(sizeof(*m));
	int err = m ? recv_open_entry(f, e, &r->reader, m) : -ENOMEM;

	if (!err)
		*head = m->head;
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
	return err;
}

/* Opens the next stream of the listener that can be read; -EAGAIN when there is none. */
static int open_next(struct flow_listener *l, struct flow_recv *r, struct letterhead *head)
{
	struct flow *f = l->flow;
	struct inbox_entry *e;
	int err;

	while ((e = pick(l))) {
		err = open_entry(f, e, r, head);
		if (!err) {
			r->entry = e;
			r->order = e->order;
			return 0;
		}
		if (err != -EBADMSG && err != -ENOENT && err != -EFBIG)
			return err;
		/* Damage on disk: nobody will ever read it, and the sender has its receipt. */
		log_error("inbox: a received stream cannot be read and is dropped: damaged store");
		recv_forget(f, e, true);
	}
	return -EAGAIN;
}

int flow_recv_open(struct flow_listener *l, struct letterhead *head, struct flow_recv **out)
{
	struct flow *f = l->flow;
	struct flow_recv *r = calloc(1, sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return err;
	r->delivery = calloc(1, sizeof(*r->delivery));
	if (r->delivery)
		err = open_next(l, r, head);
	if (err) {
		free(r->delivery);
		free(r);
		return err;
	}
	r->flow = f;
	r->queue = l->queue;
	r->owner = l->owner;
	if (!r->queue)
		r->entry->taken = true;
	DL_APPEND(f->recvs, r);
	*out = r;
	return 0;
}

ssize_t flow_recv_read(struct flow_recv *r, void *buf, size_t size)
{
	return r->entry ? flow_reader_read(&r->reader, buf, size) : -ESTALE;
}

static void on_delivered(void *ctx, int err)
{
	struct delivery *d = ctx;
	struct flow *f = d->flow;
	struct inbox_entry *e = d->last ? inbox_find(&f->inbox, &d->id) : NULL;

	/* Without the commit it may be delivered again after a restart, and only then. */
	if (!err) {
		if (e && !f->closing)
			inbox_remove(&f->inbox, e, false);
		DL_DELETE(f->deliveries, d);
		free(d);
	}
	flow_settled(f);
}

/* Takes the stream out of the queue or the pool it came from, and out of the inbox with the last. */
static int record_delivery(struct flow *f, const struct delivery *d, struct inbox_entry *e)
{
	struct subscription *sub = d->queue ? subscriptions_find(&f->subscriptions, &d->owner) : NULL;
	int err = 0;

	if (d->queue)
		err = due_del(f->store, &d->owner, d->order);
	if (sub && sub->waiting)
		sub->waiting--;
	if (!err && d->last)
		return inbox_delivered(&f->inbox, e);
	return !err && !d->queue ? inbox_set_pool(&f->inbox, e, false) : err;
}

static void deliver(struct flow *f, struct delivery *d, struct inbox_entry *e)
{
	if (d->queue)
		e->claims--;
	d->last = !e->claims && (!d->queue || !e->pool);
	DL_APPEND(f->deliveries, d);
	if (record_delivery(f, d, e)) {
		/* Not to be had again in this life. */
		log_error("inbox: a delivery cannot be recorded");
		return;
	}
	flow_expect(f);
	store_commit(f->store, on_delivered, d);
}

void flow_recv_close(struct flow_recv *r, bool delivered)
{
	struct flow *f = r->flow;
	struct inbox_entry *e = r->entry;
	struct delivery *d = r->delivery;

	*d = (struct delivery){ .flow = f, .owner = r->owner, .order = r->order,
				.queue = r->queue };
	DL_DELETE(f->recvs, r);
	flow_reader_close(&r->reader);
	free(r);
	if (e && delivered) {
		d->id = e->id;
		deliver(f, d, e);
		return;
	}
	if (e && !d->queue)
		e->taken = false;
	free(d);
	if (e && !f->closing) {
		struct recipient to = e->to;
		struct address local = e->local;

		recv_notify(f, &to, &local);
	}
}

void recv_cancel(struct flow *f, const struct ident *id, const struct address *address)
{
	struct flow_recv *r;

	DL_FOREACH(f->recvs, r)
		if (r->queue && address_equal(&r->owner.address, address) &&
		    (!id || ident_equal(&r->owner.id, id)))
			r->entry = NULL;
}

void recv_free(struct flow *f)
{
	struct delivery *d, *next;

	DL_FOREACH_SAFE(f->deliveries, d, next)
		free(d);
}

void recv_forget(struct flow *f, struct inbox_entry *e, bool stored)
{
	struct flow_recv *r;

	DL_FOREACH(f->recvs, r)
		if (r->entry == e)
			r->entry = NULL;
	parcel_withdraw(f, e);
	if (e->arriving)
		transfer_forget(f, e);
	inbox_remove(&f->inbox, e, stored);
}

int recv_make_way(struct flow *f, const struct ident *id)
{
	struct inbox_entry *e = inbox_find(&f->inbox, id);

	if (!e)
		return 0;
	if (e->complete)
		return -EEXIST;
	if (e->arriving)
		return -EAGAIN;
	recv_forget(f, e, true);
	return 0;
}
