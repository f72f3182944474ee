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

struct flow_listener {
	struct flow_listener *prev, *next;
	struct flow *flow;
	struct recipient to;
	struct address local;
	flow_cb ready;
	void *ctx;
	bool due;			/* to be told in the round under way */
};

struct flow_recv {
	struct flow_recv *prev, *next;
	struct flow *flow;
	struct inbox_entry *entry;	/* NULL when it was purged */
	struct journal_view view;
	struct eris_reader reader;
	uint64_t offset;
};

static bool same_recipient(const struct recipient *a, const struct recipient *b)
{
	return a->kind == b->kind && address_equal(&a->address, &b->address);
}

/* The oldest stream for the listener that nobody reads, or NULL. */
static struct inbox_entry *oldest(const struct flow_listener *l)
{
	struct inbox_entry *e;

	if (!flow_secret(l->flow, &l->to.address))
		return NULL;
	DL_FOREACH(l->flow->inbox.ready, e)
		if (!e->taken && same_recipient(&e->to, &l->to) &&
		    address_equal(&e->local, &l->local))
			return e;
	return NULL;
}

void recv_listeners(struct flow *f, const struct recipient *to,
		    void (*cb)(void *ctx, const struct address *local), void *ctx)
{
	struct flow_listener *l;

	DL_FOREACH(f->listeners, l)
		if (same_recipient(&l->to, to))
			cb(ctx, &l->local);
}

void recv_notify(struct flow *f, const struct recipient *to, const struct address *local)
{
	struct flow_listener *l;

	DL_FOREACH(f->listeners, l)
		l->due = same_recipient(&l->to, to) && address_equal(&l->local, local);
	/* A callback may end any listener, so each call starts over from the first. */
	for (l = f->listeners; l; l = l ? l->next : f->listeners) {
		if (!l->due)
			continue;
		l->due = false;
		if (!oldest(l))
			return;
		l->ready(l->ctx);
		l = NULL;
	}
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
	l->local = *local;
	l->ready = ready;
	l->ctx = ctx;
	DL_APPEND(f->listeners, l);
	*out = l;
	/* What is kept for the namespace and its clients have not had. */
	sp = to->kind == RECIPIENT_NAMESPACE ? space_find(f, &to->address) : NULL;
	if (sp)
		space_catch_up(f, sp, local);
	if (oldest(l))
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

/* Opens the manifest of @e and finds the length of its content. */
static int open_entry(struct flow *f, struct inbox_entry *e, struct flow_recv *r,
		      struct letterhead *head)
{
	const uint8_t *secret = flow_secret(f, &e->to.address);
	uint8_t sealed[MANIFEST_MAX];
	struct manifest *m = malloc(sizeof(*m));
	ssize_t len = inbox_sealed(&f->inbox, e, sealed);
	int err = !m ? -ENOMEM : !secret ? -EACCES : len < 0 ? (int)len : 0;

	if (!err)
		err = manifest_open(sealed, (size_t)len, &e->to.address, secret, m);
	if (!err) {
		*head = m->head;
		r->view.journal = f->journal;
		r->view.tag = e->tag;
		err = eris_reader_init(&r->reader, &m->cap, journal_fetch, &r->view,
				       LIMIT_STREAM_BYTES);
		if (!err)
			err = eris_content_length(&r->reader, &head->stream_size);
		if (err)
			eris_reader_free(&r->reader);
	}
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
	return err;
}

int flow_recv_open(struct flow_listener *l, struct letterhead *head, struct flow_recv **out)
{
	struct flow *f = l->flow;
	struct flow_recv *r = calloc(1, sizeof(*r));
	struct inbox_entry *e;
	int err = -EAGAIN;

	if (!r)
		return -ENOMEM;
	while ((e = oldest(l))) {
		err = open_entry(f, e, r, head);
		if (!err)
			break;
		if (err != -EBADMSG && err != -ENOENT && err != -EFBIG)
			break;
		/* Damage on disk: nobody will ever read it, and the sender has its receipt. */
		log_error("inbox: a received stream cannot be read and is dropped: damaged store");
		recv_forget(f, e, true);
		err = -EAGAIN;
	}
	if (err) {
		free(r);
		return err;
	}
	r->flow = f;
	r->entry = e;
	e->taken = true;
	DL_APPEND(f->recvs, r);
	*out = r;
	return 0;
}

ssize_t flow_recv_read(struct flow_recv *r, void *buf, size_t size)
{
	ssize_t n;

	if (!r->entry)
		return -ESTALE;
	if (!size)
		return 0;
	n = eris_read_at(&r->reader, r->offset, buf, size);
	if (n > 0)
		r->offset += (uint64_t)n;
	return n == -ENOENT ? -EBADMSG : n;
}

struct delivered {
	struct flow *flow;
	struct ident id;
};

static void on_delivered(void *ctx, int err)
{
	struct delivered *d = ctx;
	struct flow *f = d->flow;
	struct inbox_entry *e = inbox_find(&f->inbox, &d->id);

	/* Without the commit it may be delivered again after a restart, and only then. */
	if (e && !f->closing && !err)
		inbox_remove(&f->inbox, e, false);
	free(d);
	flow_settled(f);
}

void flow_recv_close(struct flow_recv *r, bool delivered)
{
	struct flow *f = r->flow;
	struct inbox_entry *e = r->entry;
	struct delivered *d = NULL;

	DL_DELETE(f->recvs, r);
	eris_reader_free(&r->reader);
	free(r);
	if (!e)
		return;
	if (delivered) {
		d = malloc(sizeof(*d));
		if (!d || inbox_delivered(&f->inbox, e)) {
			/* Not to be had again in this life: it stays taken. */
			log_error("inbox: a delivery cannot be recorded");
			free(d);
			return;
		}
		d->flow = f;
		d->id = e->id;
		flow_expect(f);
		store_commit(f->store, on_delivered, d);
		return;
	}
	e->taken = false;
	if (!f->closing) {
		struct recipient to = e->to;
		struct address local = e->local;

		recv_notify(f, &to, &local);
	}
}

void recv_forget(struct flow *f, struct inbox_entry *e, bool stored)
{
	struct flow_recv *r;

	DL_FOREACH(f->recvs, r)
		if (r->entry == e)
			r->entry = NULL;
	inbox_remove(&f->inbox, e, stored);
}
