// SPDX-License-Identifier: GPL-2.0-or-later
/* Streams a client sends: encoding into the journal, manifests into the outbox. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "ratmand/flow/core.h"
#include "ratmand/flow/manifest.h"

struct flow_send {
	struct flow_content_writer *writer;	/* owned */
	struct flow *flow;
	struct letterhead *heads;		/* owned */
	size_t n;
};

int send_check(struct flow *f, const struct letterhead *heads, size_t n, bool parcel)
{
	if (!n || n > LIMIT_RECIPIENTS)
		return -EINVAL;
	if (!flow_secret(f, &heads[0].from))
		return -EACCES;
	for (size_t i = 0; i < n && !parcel; i++)
		if (commons_is(&heads[i].to.address))
			return -EINVAL;
	/* Peers would not take it: no connection speaks for a namespace. */
	for (size_t i = 0; i < n && space_find(f, &heads[0].from); i++)
		if (parcel || heads[i].to.kind != RECIPIENT_NAMESPACE ||
		    !address_equal(&heads[i].to.address, &heads[i].from))
			return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (!address_equal(&heads[i].from, &heads[0].from) ||
		    heads[i].to.kind == RECIPIENT_NONE || heads[i].aux_len > LETTERHEAD_AUX_MAX ||
		    manifest_check_recipient(&heads[i].to.address))
			return -EINVAL;
	return 0;
}

int flow_send_open(struct flow *f, const struct letterhead *heads, size_t n, flow_cb drain,
		   void *ctx, struct flow_send **out)
{
	struct flow_send *s;
	int err = send_check(f, heads, n, false);

	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->flow = f;
	s->n = n;
	s->heads = malloc(n * sizeof(*heads));
	err = s->heads ? flow_content_open(f, drain, ctx, &s->writer) : -ENOMEM;
	if (err) {
		free(s->heads);
		free(s);
		return err;
	}
	memcpy(s->heads, heads, n * sizeof(*heads));
	*out = s;
	return 0;
}

int flow_send_write(struct flow_send *s, const void *data, size_t len)
{
	return flow_content_write(s->writer, data, len);
}

void flow_send_abort(struct flow_send *s)
{
	if (!s)
		return;
	flow_content_close(s->writer);
	free(s->heads);
	free(s);
}

struct finish {
	struct flow *flow;
	flow_done_cb cb;
	void *ctx;
	size_t n;
	struct ident ids[];
};

static void on_finished(void *ctx, int err)
{
	struct finish *done = ctx;
	struct flow *f = done->flow;

	for (size_t i = 0; i < done->n && !f->closing; i++) {
		struct outbox_entry *e = outbox_find(&f->outbox, &done->ids[i]);

		if (!e)
			continue;
		e->retry_at = 0;
		if (err)
			lane_remove(f, e, false);
		else if (e->to.kind == RECIPIENT_NAMESPACE)
			spread_kick(f, e);
		else
			lane_kick(f, lane_find(f, &e->from, &e->to.address));
	}
	if (done->cb)
		done->cb(done->ctx, err);
	free(done);
	flow_settled(f);
}

/* Seals one manifest and queues it, not to be offered before it is durable. */
static int queue_one(struct flow *f, const struct letterhead *head,
		     const struct send_parcel *parcel, const struct flow_content *content,
		     struct manifest *m, struct ident *id)
{
	const uint8_t *secret = parcel && parcel->secret ? parcel->secret :
							   flow_secret(f, &head->from);
	struct outbox_entry like = { .tag = content->tag, .from = head->from, .to = head->to,
				     .size = content->size, .created_s = m->created_s,
				     .kind = m->kind, .state = FLOW_QUEUED,
				     .retry_at = UINT64_MAX };
	uint8_t sealed[MANIFEST_MAX];
	struct outbox_entry *e;
	ssize_t len;
	int err;

	if (!secret)
		return -EACCES;
	m->head = *head;
	m->head.stream_size = content->size;
	len = manifest_seal(m, secret, sealed);
	if (len < 0)
		return (int)len;
	err = outbox_add(&f->outbox, &like, sealed, (size_t)len, &e);
	if (err)
		return err;
	*id = e->id;
	err = lane_add(f, e);
	if (err)
		outbox_remove(&f->outbox, e, true);
	return err;
}

static struct manifest *manifest_new(const struct send_parcel *parcel,
				     const struct flow_content *content)
{
	struct manifest *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->cap = content->cap;
	m->created_s = (uint64_t)(clock_wall_ns() / 1000000000);
	if (parcel) {
		if (parcel->created_s)
			m->created_s = parcel->created_s;
		m->kind = (uint8_t)parcel->kind;
		m->meta_len = (uint16_t)parcel->meta_len;
		if (parcel->meta_len)
			memcpy(m->meta, parcel->meta, parcel->meta_len);
	}
	return m;
}

int send_queue(struct flow *f, const struct letterhead *heads, size_t n,
	       const struct send_parcel *parcel, const struct flow_content *content,
	       flow_done_cb cb, void *ctx)
{
	struct finish *done = calloc(1, sizeof(*done) + n * sizeof(done->ids[0]));
	struct manifest *m = manifest_new(parcel, content);
	int err = done && m ? 0 : -ENOMEM;

	for (size_t i = 0; i < n && !err; i++) {
		err = queue_one(f, &heads[i], parcel, content, m, &done->ids[i]);
		if (!err)
			done->n++;
	}
	for (; err && done && done->n; done->n--)
		lane_remove(f, outbox_find(&f->outbox, &done->ids[done->n - 1]), true);
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
	if (err) {
		free(done);
		return err;
	}
	done->flow = f;
	done->cb = cb;
	done->ctx = ctx;
	flow_expect(f);
	store_commit(f->store, on_finished, done);
	return 0;
}

void flow_send_finish(struct flow_send *s, flow_done_cb cb, void *ctx)
{
	struct flow_content content;
	int err = flow_content_finish(s->writer, &content);

	if (!err)
		err = send_queue(s->flow, s->heads, s->n, NULL, &content, cb, ctx);
	sodium_memzero(&content, sizeof(content));
	/* The entries hold the blocks now; without entries they go. */
	flow_send_abort(s);
	if (err)
		cb(ctx, err);
}
