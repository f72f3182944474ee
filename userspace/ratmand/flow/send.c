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

/* Bytes not committed yet above which a client must wait. */
#define MAX_BACKLOG (8u << 20)

struct flow_send {
	struct flow *flow;
	struct letterhead *heads;	/* owned */
	size_t n;
	struct journal_tag tag;		/* held */
	struct eris_encoder encoder;
	flow_cb drain;
	void *ctx;
	struct drain *waiting;		/* a commit that will call drain, or NULL */
	uint64_t failures;		/* of the store when it began */
};

struct drain {
	struct flow *flow;
	struct flow_send *send;		/* NULL when that is gone */
};

static int emit(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	struct flow_send *s = ctx;

	return journal_put(s->flow->journal, &s->tag, ref, block, len);
}

static int check_heads(struct flow *f, const struct letterhead *heads, size_t n)
{
	if (!n || n > LIMIT_RECIPIENTS)
		return -EINVAL;
	if (!flow_secret(f, &heads[0].from))
		return -EACCES;
	/* Peers would not take it: no connection speaks for a namespace. */
	for (size_t i = 0; i < n && space_find(f, &heads[0].from); i++)
		if (heads[i].to.kind != RECIPIENT_NAMESPACE ||
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
	uint8_t secret[ERIS_SECRET_LEN];
	struct flow_send *s;
	int err = check_heads(f, heads, n);

	if (err)
		return err;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->flow = f;
	s->n = n;
	s->drain = drain;
	s->ctx = ctx;
	s->failures = store_failures(f->store);
	s->heads = malloc(n * sizeof(*heads));
	err = -ENOMEM;
	if (!s->heads)
		goto fail;
	memcpy(s->heads, heads, n * sizeof(*heads));
	journal_tag_draw(&s->tag);
	randombytes_buf(secret, sizeof(secret));
	err = eris_encoder_init(&s->encoder, ERIS_BLOCK_AUTO, secret, emit, s);
	sodium_memzero(secret, sizeof(secret));
	if (err)
		goto fail;
	err = journal_hold(f->journal, &s->tag);
	if (err)
		goto fail_encoder;
	*out = s;
	return 0;
fail_encoder:
	eris_encoder_free(&s->encoder);
fail:
	free(s->heads);
	free(s);
	return err;
}

static void on_drained(void *ctx, int err)
{
	struct drain *d = ctx;
	struct flow *f = d->flow;
	struct flow_send *s = d->send;

	(void)err;	/* the next write meets it */
	free(d);
	if (s) {
		s->waiting = NULL;
		if (s->drain && !f->closing)
			s->drain(s->ctx);
	}
	flow_settled(f);
}

int flow_send_write(struct flow_send *s, const void *data, size_t len)
{
	struct flow *f = s->flow;

	if (s->waiting)
		return -EAGAIN;
	if (store_failures(f->store) != s->failures)
		return -EIO;
	if (s->encoder.content_len + len > LIMIT_STREAM_BYTES)
		return -EFBIG;
	if (store_backlog(f->store) > MAX_BACKLOG) {
		struct drain *d = malloc(sizeof(*d));

		if (!d)
			return -ENOMEM;
		d->flow = f;
		d->send = s;
		s->waiting = d;
		flow_expect(f);
		store_commit(f->store, on_drained, d);
		return -EAGAIN;
	}
	return eris_encoder_write(&s->encoder, data, len);
}

void flow_send_abort(struct flow_send *s)
{
	if (!s)
		return;
	if (s->waiting)
		s->waiting->send = NULL;
	journal_release(s->flow->journal, &s->tag);
	eris_encoder_free(&s->encoder);
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
	done->cb(done->ctx, err);
	free(done);
	flow_settled(f);
}

/* Seals one manifest and queues it, not to be offered before it is durable. */
static int queue_one(struct flow_send *s, size_t i, struct manifest *m, struct ident *id)
{
	struct flow *f = s->flow;
	const uint8_t *secret = flow_secret(f, &s->heads[i].from);
	struct outbox_entry like = { .tag = s->tag, .from = s->heads[i].from,
				     .to = s->heads[i].to, .size = s->encoder.content_len,
				     .created_s = m->created_s, .state = FLOW_QUEUED,
				     .retry_at = UINT64_MAX };
	uint8_t sealed[MANIFEST_MAX];
	struct outbox_entry *e;
	ssize_t len;
	int err;

	if (!secret)
		return -EACCES;
	m->head = s->heads[i];
	m->head.stream_size = s->encoder.content_len;
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

/* Encodes the rest and queues a manifest for each recipient: all or none. */
static int queue_all(struct flow_send *s, struct finish *done)
{
	struct flow *f = s->flow;
	struct manifest *m;
	int err;

	if (!s->encoder.content_len)
		return -ENODATA;
	if (store_failures(f->store) != s->failures)
		return -EIO;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	err = eris_encoder_finish(&s->encoder, &m->cap);
	m->created_s = (uint64_t)(clock_wall_ns() / 1000000000);
	for (size_t i = 0; i < s->n && !err; i++) {
		err = queue_one(s, i, m, &done->ids[i]);
		if (!err)
			done->n++;
	}
	for (; err && done->n; done->n--)
		lane_remove(f, outbox_find(&f->outbox, &done->ids[done->n - 1]), true);
	sodium_memzero(m, sizeof(*m));
	free(m);
	return err;
}

void flow_send_finish(struct flow_send *s, flow_done_cb cb, void *ctx)
{
	struct flow *f = s->flow;
	struct finish *done = calloc(1, sizeof(*done) + s->n * sizeof(done->ids[0]));
	int err = done ? queue_all(s, done) : -ENOMEM;

	/* The entries hold the blocks now; without entries they go. */
	flow_send_abort(s);
	if (err) {
		free(done);
		cb(ctx, err);
		return;
	}
	done->flow = f;
	done->cb = cb;
	done->ctx = ctx;
	flow_expect(f);
	store_commit(f->store, on_finished, done);
}
