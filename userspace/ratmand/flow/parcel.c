// SPDX-License-Identifier: GPL-2.0-or-later
/* Parcels: handing them over, once each, and what is asked about those that arrive. */
#include "ratmand/flow/parcel.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/core.h"

/* Handed over in one turn of the loop. */
#define HANDOVER_STEP 16
/* Until a parcel comes again that was not taken, doubling. */
#define RETRY_MIN_MS 5000
#define RETRY_MAX_MS 600000

struct flow_parcel {
	struct flow_parcel *prev, *next;
	struct flow *flow;		/* NULL when it was freed */
	struct inbox_entry *entry;	/* NULL when it was withdrawn */
	enum parcel_kind kind;
	struct eris_capability cap;	/* secret */
	struct flow_reader reader;
	struct taken *taken;		/* owned; for its end */
};

/* A parcel that was taken: gone when that is durable. */
struct taken {
	struct flow *flow;
	struct ident id;
};

static bool is_kind(enum parcel_kind kind)
{
	return kind >= PARCEL_PROFILE && kind < PARCEL_KINDS;
}

void parcel_describe(const struct manifest *m, const struct ident *id, struct parcel *out)
{
	*out = (struct parcel){ .kind = m->kind, .from = m->head.from, .to = m->head.to, .id = *id,
				.size = m->head.stream_size, .created_s = m->created_s,
				.meta_len = m->meta_len };
	memcpy(out->meta, m->meta, m->meta_len);
}

/* ---- handing over ---- */

void parcel_kick(struct flow *f)
{
	if (f->inbox.queues && !f->closing)
		uv_timer_start(&f->handover, f->handover.timer_cb, 0, 0);
}

/* True when a parcel out of the queue may go to its handler. */
static bool is_open(struct flow *f, const struct inbox_queue *q)
{
	const struct parcel_door *door = &f->doors[q->key.kind];

	return door->cb && door->n_open < PARCEL_OPEN_MAX && flow_secret(f, &q->key.to);
}

static void put_off(struct flow *f, struct inbox_entry *e)
{
	uint64_t pause = (uint64_t)RETRY_MIN_MS << (e->tries < 8 ? e->tries : 8);

	e->tries++;
	e->retry_at = uv_now(f->loop) + (pause < RETRY_MAX_MS ? pause : RETRY_MAX_MS);
	if (e->retry_at < f->handover_at)
		f->handover_at = e->retry_at;
	inbox_relist(&f->inbox, e);
}

static int open_parcel(struct flow *f, struct inbox_entry *e, struct parcel *info,
		       struct flow_parcel **out)
{
	struct flow_parcel *p = calloc(1, sizeof(*p));
	struct taken *taken = calloc(1, sizeof(*taken));
	struct manifest *m = malloc(sizeof(*m));
	int err = p && taken && m ? recv_open_entry(f, e, &p->reader, m) : -ENOMEM;

	if (!err) {
		parcel_describe(m, &e->id, info);
		*taken = (struct taken){ f, e->id };
		p->flow = f;
		p->entry = e;
		p->kind = m->kind;
		p->cap = m->cap;
		p->taken = taken;
		*out = p;
	} else {
		free(taken);
		free(p);
	}
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
	return err;
}

static void hand_over(struct flow *f, struct inbox_entry *e)
{
	struct parcel_door *door = &f->doors[e->kind];
	struct parcel info;
	struct flow_parcel *p;
	int err = open_parcel(f, e, &info, &p);

	if (err == -EBADMSG || err == -ENOENT || err == -EFBIG || err == -EPROTONOSUPPORT) {
		/* Damage on disk: nobody will ever read it, and the sender has its receipt. */
		log_error("inbox: a parcel cannot be read and is dropped: damaged store");
		recv_forget(f, e, true);
		return;
	}
	if (err) {
		put_off(f, e);
		return;
	}
	e->taken = true;
	inbox_relist(&f->inbox, e);
	door->n_open++;
	DL_APPEND(f->parcels, p);
	door->cb(door->ctx, p, &info);
}

/* Of the queues that were open, the one with the oldest parcel, or NULL. */
static struct inbox_queue *oldest_open(struct flow *f)
{
	struct inbox_queue *q, *oldest = NULL;

	for (q = f->inbox.queues; q; q = q->hh.next)
		if (q->open && (!oldest || q->entries->order < oldest->entries->order))
			oldest = q;
	return oldest;
}

static void on_handover(uv_timer_t *timer)
{
	struct flow *f = timer->data;
	struct inbox_queue *q;
	size_t n = 0;

	for (q = f->inbox.queues; q; q = q->hh.next)
		q->open = is_open(f, q);
	/* A handler may change anything, so each is looked for anew. */
	while (n < HANDOVER_STEP && !f->closing && (q = oldest_open(f))) {
		q->open = is_open(f, q);
		if (!q->open)
			continue;
		hand_over(f, q->entries);
		n++;
	}
	/* Not 0: libuv before 1.45 would run it again before any input. */
	if (n == HANDOVER_STEP && !f->closing)
		uv_timer_start(timer, on_handover, 1, 0);
}

void parcel_tick(struct flow *f)
{
	uint64_t now = uv_now(f->loop);
	struct inbox_entry *e, *next, *later = f->inbox.later;

	if (!later || now < f->handover_at)
		return;
	/* At the latest, for those that lacked memory. */
	f->handover_at = now + RETRY_MAX_MS;
	f->inbox.later = NULL;
	DL_FOREACH_SAFE(later, e, next) {
		e->place = INBOX_NOWHERE;
		if (e->retry_at <= now)
			e->retry_at = 0;
		else if (e->retry_at < f->handover_at)
			f->handover_at = e->retry_at;
		inbox_relist(&f->inbox, e);
	}
	parcel_kick(f);
}

ssize_t flow_parcel_read(struct flow_parcel *p, void *buf, size_t size)
{
	return p->entry ? flow_reader_read(&p->reader, buf, size) : -ESTALE;
}

int flow_parcel_content(const struct flow_parcel *p, struct flow_content *out)
{
	if (!p->entry)
		return -ESTALE;
	*out = (struct flow_content){ p->entry->tag, p->cap, p->entry->size };
	return 0;
}

static void on_taken(void *ctx, int err)
{
	struct taken *taken = ctx;
	struct flow *f = taken->flow;
	struct inbox_entry *e = f->closing ? NULL : inbox_find(&f->inbox, &taken->id);

	free(taken);
	if (e && err) {
		/* What the handler wrote is lost with it. */
		e->taken = false;
		if (!e->pool)
			(void)inbox_set_pool(&f->inbox, e, true);
		put_off(f, e);
	} else if (e && !inbox_is_item(e)) {
		inbox_remove(&f->inbox, e, false);
	}
	flow_settled(f);
}

/* Queues that @e will not come again. An item stays, for other members. */
static int record_taken(struct flow *f, struct inbox_entry *e)
{
	return inbox_is_item(e) ? inbox_set_pool(&f->inbox, e, false) :
				  inbox_delivered(&f->inbox, e);
}

static void parcel_free(struct flow_parcel *p)
{
	flow_reader_close(&p->reader);
	sodium_memzero(p, sizeof(*p));
	free(p);
}

void flow_parcel_close(struct flow_parcel *p, bool done)
{
	struct flow *f = p->flow;
	struct inbox_entry *e = p->entry;
	struct taken *taken = p->taken;

	if (!f) {
		free(taken);
		parcel_free(p);
		return;
	}
	DL_DELETE(f->parcels, p);
	f->doors[p->kind].n_open--;
	parcel_free(p);
	if (e && done && !record_taken(f, e)) {
		flow_expect(f);
		store_commit(f->store, on_taken, taken);
	} else {
		free(taken);
		if (e) {
			e->taken = false;
			put_off(f, e);
		}
	}
	parcel_kick(f);
}

void parcel_withdraw(struct flow *f, const struct inbox_entry *e)
{
	struct flow_parcel *p;

	DL_FOREACH(f->parcels, p)
		if (p->entry == e)
			p->entry = NULL;
}

void flow_parcel_handler(struct flow *f, enum parcel_kind kind, parcel_cb cb, void *ctx)
{
	if (!is_kind(kind))
		return;
	f->doors[kind].cb = cb;
	f->doors[kind].ctx = ctx;
	parcel_kick(f);
}

/* ---- parcels that arrive ---- */

void flow_parcel_offered(struct flow *f, enum parcel_kind kind, parcel_offered_cb cb, void *ctx)
{
	if (!is_kind(kind))
		return;
	f->doors[kind].offered = cb;
	f->doors[kind].offered_ctx = ctx;
}

enum parcel_answer parcel_ask(struct flow *f, const struct manifest *m, const struct ident *id)
{
	const struct parcel_door *door = &f->doors[m->kind];
	struct parcel info;

	if (!door->offered)
		return m->head.stream_size <= LIMIT_PARCEL_UNASKED ? PARCEL_TAKE : PARCEL_LATER;
	parcel_describe(m, id, &info);
	return door->offered(door->offered_ctx, &info);
}

static bool is_arriving(const struct inbox_entry *e)
{
	return e->kind && !e->complete && !e->unwanted && !inbox_is_item(e);
}

/* Tells of one; a manifest that cannot be read is the transfer's business. */
static void tell(struct flow *f, const struct inbox_entry *e, struct manifest *m,
		 void (*cb)(void *ctx, const struct parcel_arriving *arriving), void *ctx)
{
	const uint8_t *secret = flow_secret(f, &e->to.address);
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len = secret ? inbox_sealed(&f->inbox, e, sealed) : -EACCES;
	struct parcel info;
	struct parcel_arriving arriving = { &info, e->held, !e->arriving };

	if (len < 0 || manifest_open(sealed, (size_t)len, &e->to.address, secret, m))
		return;
	parcel_describe(m, &e->id, &info);
	cb(ctx, &arriving);
}

void flow_parcels_arriving_each(struct flow *f, const struct address *local,
				void (*cb)(void *ctx, const struct parcel_arriving *arriving),
				void *ctx)
{
	struct manifest *m = malloc(sizeof(*m));
	struct inbox_entry *e, *next;

	if (!m)
		return;
	for (e = f->inbox.all; e; e = next) {
		next = e->hh.next;
		if (is_arriving(e) && address_equal(&e->local, local))
			tell(f, e, m, cb, ctx);
	}
	sodium_memzero(m, sizeof(*m));
	free(m);
}

int flow_parcel_refuse(struct flow *f, const struct ident *id)
{
	struct inbox_entry *e = inbox_find(&f->inbox, id);

	if (!e || !is_arriving(e))
		return -ENOENT;
	return transfer_unwanted(f, e) ? 0 : inbox_set_unwanted(&f->inbox, e);
}

bool flow_parcel_is_here(struct flow *f, const struct ident *id)
{
	const struct inbox_entry *e = inbox_find(&f->inbox, id);

	return e && !e->unwanted;
}

/* ---- sending ---- */

static int check_parcel(struct flow *f, enum parcel_kind kind, const struct letterhead *head,
			size_t meta_len, uint64_t size)
{
	if (!is_kind(kind) || meta_len > PARCEL_META_MAX)
		return -EINVAL;
	if (commons_is(&head->to.address) &&
	    (head->to.kind != RECIPIENT_NAMESPACE || !commons_takes(&head->from, kind) ||
	     size > LIMIT_COMMONS_ITEM))
		return -EINVAL;
	return send_check(f, head, 1, true);
}

struct unchanged {
	struct flow *flow;
	flow_done_cb done;
	void *ctx;
};

static void on_unchanged(void *ctx, int err)
{
	struct unchanged *u = ctx;
	struct flow *f = u->flow;

	u->done(u->ctx, err);
	free(u);
	flow_settled(f);
}

/* Nothing is to be sent: says so when what went before is durable. */
static int done_unchanged(struct flow *f, flow_done_cb done, void *ctx)
{
	struct unchanged *u;

	if (!done)
		return 0;
	u = malloc(sizeof(*u));
	if (!u)
		return -ENOMEM;
	*u = (struct unchanged){ f, done, ctx };
	flow_expect(f);
	store_commit(f->store, on_unchanged, u);
	return 0;
}

int flow_content_send(struct flow *f, enum parcel_kind kind, const struct address *from,
		      const struct recipient *to, const uint8_t *meta, size_t meta_len,
		      const struct flow_content *content, flow_done_cb done, void *ctx)
{
	struct letterhead head = { .from = *from, .to = *to };
	struct send_parcel parcel = { .kind = kind, .meta = meta, .meta_len = meta_len };
	int err = check_parcel(f, kind, &head, meta_len, content->size);
	struct inbox_entry *kept;

	if (err)
		return err;
	if (commons_is(&to->address))
		parcel.created_s = commons_next_created(f, from, &kept);
	return send_queue(f, &head, 1, &parcel, content, done, ctx);
}

/* Small content, from memory. The caller closes *@w when something that was queued holds the blocks. */
static int make_content(struct flow *f, const void *data, size_t len,
			struct flow_content_writer **w, struct flow_content *out)
{
	int err = flow_content_open(f, NULL, NULL, w);

	if (err)
		return err;
	err = content_put(*w, data, len);
	if (!err)
		err = flow_content_finish(*w, out);
	if (err)
		flow_content_close(*w);
	return err;
}

int flow_parcel_send(struct flow *f, enum parcel_kind kind, const struct address *from,
		     const struct recipient *to, const uint8_t *meta, size_t meta_len,
		     const void *data, size_t len, flow_done_cb done, void *ctx)
{
	struct letterhead head = { .from = *from, .to = *to };
	struct flow_content_writer *w;
	struct flow_content content;
	int err = check_parcel(f, kind, &head, meta_len, len);
	struct inbox_entry *kept = NULL;

	if (!err && !len)
		err = -ENODATA;
	if (!err && len > LIMIT_PARCEL_DATA)
		err = -EINVAL;
	if (err)
		return err;
	if (kind == PARCEL_PROFILE && commons_is(&to->address))
		(void)commons_next_created(f, from, &kept);
	if (kept && commons_has_same(f, kept, meta, meta_len, data, len))
		return done_unchanged(f, done, ctx);
	err = make_content(f, data, len, &w, &content);
	if (err)
		return err;
	err = flow_content_send(f, kind, from, to, meta, meta_len, &content, done, ctx);
	flow_content_close(w);
	sodium_memzero(&content, sizeof(content));
	return err;
}

int flow_commons_goodbye(struct flow *f, const struct address *from, const uint8_t *secret,
			 const void *data, size_t len)
{
	struct letterhead head = { .from = *from, .to = *flow_everybody() };
	struct send_parcel parcel = { .kind = PARCEL_PROFILE, .secret = secret };
	struct flow_content_writer *w;
	struct flow_content content;
	struct inbox_entry *kept;
	int err;

	if (!len || len > LIMIT_PARCEL_DATA || commons_is(from) ||
	    memcmp(secret + crypto_sign_SEEDBYTES, from->b, ADDRESS_LEN))
		return -EINVAL;
	err = make_content(f, data, len, &w, &content);
	if (err)
		return err;
	parcel.created_s = commons_next_created(f, from, &kept);
	err = send_queue(f, &head, 1, &parcel, &content, NULL, NULL);
	flow_content_close(w);
	sodium_memzero(&content, sizeof(content));
	return err;
}

/* ---- life ---- */

void parcel_init(struct flow *f)
{
	uv_timer_init(f->loop, &f->handover);
	f->handover.data = f;
	f->handover.timer_cb = on_handover;
}

void parcel_leave_all(struct flow *f)
{
	struct flow_parcel *p, *next;

	DL_FOREACH_SAFE(f->parcels, p, next) {
		p->flow = NULL;
		p->entry = NULL;
	}
	f->parcels = NULL;
}
