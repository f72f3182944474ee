// SPDX-License-Identifier: GPL-2.0-or-later
/* Contents in the journal: encoding, reading, and who keeps them. */
#include "ratmand/flow/content.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"
#include "ratmand/flow/core.h"

/* Bytes not committed yet above which a writer must wait. */
#define MAX_BACKLOG (8u << 20)

struct flow_content_writer {
	struct flow *flow;
	struct journal_tag tag;		/* held in memory */
	struct eris_encoder encoder;
	flow_cb drain;
	void *ctx;
	struct drain *waiting;		/* a commit that will call drain, or NULL */
	uint64_t failures;		/* of the store when it began */
	bool finished;
};

struct drain {
	struct flow *flow;
	struct flow_content_writer *writer;	/* NULL when that is gone */
};

struct flow_content_reader {
	struct flow *flow;
	struct flow_reader reader;
};

/* A content somebody keeps. */
struct held_content {
	UT_hash_handle hh;
	struct journal_tag tag;		/* held */
	uint32_t holds;			/* 0: it goes when that is durable */
	unsigned int waiting;		/* releases that are not durable yet */
	bool unknown;			/* its count is damaged: it stays for good */
};

/* The last hold was released. */
struct release {
	struct flow *flow;
	struct journal_tag tag;
};

/* ---- as bytes ---- */

void flow_content_encode(const struct flow_content *content, uint8_t out[static FLOW_CONTENT_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, FLOW_CONTENT_LEN);
	wire_put(&w, content->tag.b, sizeof(content->tag.b));
	eris_capability_encode(&content->cap, out + wire_len(&w));
	wire_put_ref(&w, ERIS_CAPABILITY_LEN);
	wire_put_be64(&w, content->size);
}

int flow_content_decode(const uint8_t data[static FLOW_CONTENT_LEN], struct flow_content *out)
{
	struct flow_content content;
	struct wire_reader r;

	wire_read_init(&r, data, FLOW_CONTENT_LEN);
	wire_get(&r, content.tag.b, sizeof(content.tag.b));
	if (eris_capability_decode(wire_get_ref(&r, ERIS_CAPABILITY_LEN), ERIS_CAPABILITY_LEN,
				   &content.cap))
		return -EBADMSG;
	content.size = wire_get_be64(&r);
	if (!content.size || content.size > LIMIT_STREAM_BYTES)
		return -EBADMSG;
	*out = content;
	return 0;
}

/* ---- writing ---- */

static int emit(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	struct flow_content_writer *w = ctx;

	return journal_put(w->flow->journal, &w->tag, ref, block, len);
}

int flow_content_open(struct flow *f, flow_cb drain, void *ctx, struct flow_content_writer **out)
{
	struct flow_content_writer *w = calloc(1, sizeof(*w));
	uint8_t secret[ERIS_SECRET_LEN];
	int err;

	if (!w)
		return -ENOMEM;
	w->flow = f;
	w->drain = drain;
	w->ctx = ctx;
	w->failures = store_failures(f->store);
	journal_tag_draw(&w->tag);
	randombytes_buf(secret, sizeof(secret));
	err = eris_encoder_init(&w->encoder, ERIS_BLOCK_AUTO, secret, emit, w);
	sodium_memzero(secret, sizeof(secret));
	if (!err) {
		err = journal_hold(f->journal, &w->tag);
		if (err)
			eris_encoder_free(&w->encoder);
	}
	if (err) {
		free(w);
		return err;
	}
	*out = w;
	return 0;
}

static void on_drained(void *ctx, int err)
{
	struct drain *d = ctx;
	struct flow *f = d->flow;
	struct flow_content_writer *w = d->writer;

	(void)err;	/* the next write meets it */
	free(d);
	if (w) {
		w->waiting = NULL;
		if (w->drain && !f->closing)
			w->drain(w->ctx);
	}
	flow_settled(f);
}

int content_put(struct flow_content_writer *w, const void *data, size_t len)
{
	if (w->finished)
		return -EINVAL;
	if (store_failures(w->flow->store) != w->failures)
		return store_failure(w->flow->store);
	if (w->encoder.content_len + len > LIMIT_STREAM_BYTES)
		return -EFBIG;
	return eris_encoder_write(&w->encoder, data, len);
}

int flow_content_write(struct flow_content_writer *w, const void *data, size_t len)
{
	struct flow *f = w->flow;
	struct drain *d;

	if (w->waiting)
		return -EAGAIN;
	if (w->finished || store_backlog(f->store) <= MAX_BACKLOG ||
	    store_failures(f->store) != w->failures)
		return content_put(w, data, len);
	d = malloc(sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->flow = f;
	d->writer = w;
	w->waiting = d;
	flow_expect(f);
	store_commit(f->store, on_drained, d);
	return -EAGAIN;
}

int flow_content_finish(struct flow_content_writer *w, struct flow_content *out)
{
	int err;

	if (w->finished)
		return -EINVAL;
	if (!w->encoder.content_len)
		return -ENODATA;
	if (store_failures(w->flow->store) != w->failures)
		return store_failure(w->flow->store);
	out->tag = w->tag;
	out->size = w->encoder.content_len;
	err = eris_encoder_finish(&w->encoder, &out->cap);
	w->finished = !err;
	return err;
}

void flow_content_close(struct flow_content_writer *w)
{
	if (!w)
		return;
	if (w->waiting)
		w->waiting->writer = NULL;
	journal_release(w->flow->journal, &w->tag);
	eris_encoder_free(&w->encoder);
	free(w);
}

/* ---- reading ---- */

int flow_reader_open(struct flow_reader *r, struct flow *f, const struct journal_tag *tag,
		     const struct eris_capability *cap, uint64_t *size)
{
	int err;

	r->view.journal = f->journal;
	r->view.tag = *tag;
	r->offset = 0;
	err = eris_reader_init(&r->reader, cap, journal_fetch, &r->view, LIMIT_STREAM_BYTES);
	if (err)
		return err;
	err = eris_content_length(&r->reader, size);
	if (err)
		eris_reader_free(&r->reader);
	return err;
}

static ssize_t read_at(struct flow_reader *r, uint64_t offset, void *buf, size_t size)
{
	ssize_t n = size ? eris_read_at(&r->reader, offset, buf, size) : 0;

	return n == -ENOENT ? -EBADMSG : n;
}

ssize_t flow_reader_read(struct flow_reader *r, void *buf, size_t size)
{
	ssize_t n = read_at(r, r->offset, buf, size);

	if (n > 0)
		r->offset += (uint64_t)n;
	return n;
}

void flow_reader_close(struct flow_reader *r)
{
	eris_reader_free(&r->reader);
}

int flow_content_read_open(struct flow *f, const struct flow_content *content,
			   struct flow_content_reader **out)
{
	struct flow_content_reader *r = calloc(1, sizeof(*r));
	uint64_t size;
	int err = r ? flow_reader_open(&r->reader, f, &content->tag, &content->cap, &size) : -ENOMEM;

	if (!err) {
		err = size == content->size ? journal_hold(f->journal, &content->tag) : -EBADMSG;
		if (err)
			flow_reader_close(&r->reader);
	}
	if (err) {
		free(r);
		return err == -ENOENT || err == -EFBIG || err == -EINVAL ? -EBADMSG : err;
	}
	r->flow = f;
	*out = r;
	return 0;
}

ssize_t flow_content_read_at(struct flow_content_reader *r, uint64_t offset, void *buf, size_t size)
{
	return read_at(&r->reader, offset, buf, size);
}

void flow_content_read_close(struct flow_content_reader *r)
{
	if (!r)
		return;
	journal_release(r->flow->journal, &r->reader.view.tag);
	flow_reader_close(&r->reader);
	free(r);
}

/* ---- holds ---- */

static struct held_content *find(const struct flow *f, const struct journal_tag *tag)
{
	struct held_content *h;

	HASH_FIND(hh, f->contents, tag->b, sizeof(tag->b), h);
	return h;
}

static struct held_content *add(struct flow *f, const struct journal_tag *tag)
{
	struct held_content *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->tag = *tag;
	if (journal_hold(f->journal, tag))
		goto fail;
	HASH_ADD_KEYPTR(hh, f->contents, h->tag.b, sizeof(h->tag.b), h);
	if (h->hh.tbl)
		return h;
	journal_release(f->journal, tag);
fail:
	free(h);
	return NULL;
}

static void drop(struct flow *f, struct held_content *h)
{
	HASH_DEL(f->contents, h);
	journal_release(f->journal, &h->tag);
	free(h);
}

static int save(struct flow *f, const struct journal_tag *tag, uint32_t holds)
{
	struct wire_writer w;
	uint8_t value[4];

	if (!holds)
		return store_del(f->store, STORE_CONTENTS, tag->b, sizeof(tag->b));
	wire_write_init(&w, value, sizeof(value));
	wire_put_be32(&w, holds);
	return store_put(f->store, STORE_CONTENTS, tag->b, sizeof(tag->b), value, sizeof(value));
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct flow *f = ctx;
	struct held_content *h;
	struct journal_tag tag;
	struct wire_reader r;
	uint32_t holds;

	wire_read_init(&r, value, value_len);
	holds = wire_get_be32(&r);
	if (key_len != sizeof(tag.b) || !wire_done(&r) || !holds) {
		log_warn("contents: an entry cannot be read and is left alone");
		return 0;
	}
	memcpy(tag.b, key, sizeof(tag.b));
	h = find(f, &tag);
	if (!h)
		h = add(f, &tag);
	if (!h)
		return -ENOMEM;
	h->holds = holds;
	return 0;
}

/* A commit that failed took changes of counts with it: they are as the store has them. */
static int refresh(struct flow *f)
{
	uint64_t failures = store_failures(f->store);
	struct held_content *h, *next;
	int err;

	if (failures == f->contents_failures)
		return 0;
	for (h = f->contents; h; h = h->hh.next)
		h->holds = h->unknown;
	err = store_each(f->store, STORE_CONTENTS, load_one, f);
	if (err)
		return err;
	for (h = f->contents; h; h = next) {
		next = h->hh.next;
		if (!h->holds && !h->waiting)
			drop(f, h);
	}
	f->contents_failures = failures;
	return 0;
}

/* One whose count is damaged is found here, too. */
static struct held_content *find_held(struct flow *f, const struct journal_tag *tag)
{
	struct held_content *h = find(f, tag);

	if (!h && store_has(f->store, STORE_CONTENTS, tag->b, sizeof(tag->b))) {
		h = add(f, tag);
		if (h) {
			h->unknown = true;
			h->holds = 1;
		}
	}
	return h;
}

int flow_content_hold(struct flow *f, const struct flow_content *content)
{
	int err = refresh(f);
	struct held_content *h;

	if (err)
		return err;
	h = find_held(f, &content->tag);
	if (!h)
		h = add(f, &content->tag);
	if (!h)
		return -ENOMEM;
	if (h->unknown)
		return 0;
	err = h->holds < UINT32_MAX ? save(f, &h->tag, h->holds + 1) : -EDQUOT;
	if (!err)
		h->holds++;
	else if (!h->holds && !h->waiting)
		drop(f, h);
	return err;
}

static void on_released(void *ctx, int err)
{
	struct release *release = ctx;
	struct flow *f = release->flow;
	struct held_content *h = f->closing ? NULL : find(f, &release->tag);

	if (h) {
		h->waiting--;
		/* When it failed, the holds are back with this. */
		err = refresh(f);
		h = find(f, &release->tag);
		if (h && !err && !h->waiting && !h->holds)
			drop(f, h);
	}
	free(release);
	flow_settled(f);
}

/* The blocks go when nobody can come back to them any more. */
static void let_go(struct flow *f, struct held_content *h)
{
	struct release *release = malloc(sizeof(*release));

	/* Else the sweep of the next start finds them. */
	if (!release)
		return;
	*release = (struct release){ f, h->tag };
	h->waiting++;
	flow_expect(f);
	store_commit(f->store, on_released, release);
}

int flow_content_release(struct flow *f, const struct flow_content *content)
{
	int err = refresh(f);
	struct held_content *h;

	if (err)
		return err;
	h = find_held(f, &content->tag);
	if (!h || !h->holds)
		return -ENOENT;
	if (h->unknown)
		return 0;
	err = save(f, &h->tag, h->holds - 1);
	if (!err && !--h->holds)
		let_go(f, h);
	return err;
}

bool flow_content_is_held(struct flow *f, const struct flow_content *content)
{
	const struct held_content *h;

	/* Who cannot be sure must not let go of anything. */
	if (refresh(f))
		return true;
	h = find_held(f, &content->tag);
	return h && h->holds;
}

int content_load(struct flow *f)
{
	f->contents_failures = store_failures(f->store);
	return store_each(f->store, STORE_CONTENTS, load_one, f);
}

void content_free(struct flow *f)
{
	struct held_content *h = f->contents, *next;

	HASH_CLEAR(hh, f->contents);
	for (; h; h = next) {
		next = h->hh.next;
		free(h);
	}
}
