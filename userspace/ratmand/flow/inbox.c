// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"
#include "ratmand/flow/manifest.h"

#define RECORD_VERSION 3
#define RECORD_HEAD (OLD_HEAD + 1 + ADDRESS_LEN + 8)
/* The version before there were parcels. */
#define OLD_VERSION 2
#define OLD_HEAD (1 + 1 + JOURNAL_TAG_LEN + 1 + 2 * ADDRESS_LEN + 4 * 8)
/* Bits of an entry's state. */
#define STATE_COMPLETE 1
#define STATE_CLAIMED 2		/* not in the pool: for queues only, an item, or handed over */
#define STATE_UNWANTED 4
/* No sender offers a stream longer than LIMIT_OUTBOX_AGE_S; twice that leaves room for clocks. */
#define DONE_AGE_S (2ull * LIMIT_OUTBOX_AGE_S)

static uint64_t now_s(void)
{
	return (uint64_t)(clock_wall_ns() / 1000000000);
}

static size_t record_write(const struct inbox_entry *e, const uint8_t *sealed, size_t len,
			   uint8_t out[static RECORD_HEAD + MANIFEST_MAX])
{
	struct wire_writer w;

	wire_write_init(&w, out, RECORD_HEAD + MANIFEST_MAX);
	wire_put_u8(&w, RECORD_VERSION);
	wire_put_u8(&w, (uint8_t)((e->complete ? STATE_COMPLETE : 0) |
				  (e->complete && !e->pool ? STATE_CLAIMED : 0) |
				  (e->unwanted ? STATE_UNWANTED : 0)));
	wire_put(&w, e->tag.b, sizeof(e->tag.b));
	wire_put_u8(&w, (uint8_t)e->to.kind);
	wire_put(&w, e->to.address.b, ADDRESS_LEN);
	wire_put(&w, e->local.b, ADDRESS_LEN);
	wire_put_be64(&w, e->order);
	wire_put_be64(&w, e->since_s);
	wire_put_be64(&w, e->created_s);
	wire_put_be64(&w, e->size);
	wire_put_u8(&w, e->kind);
	wire_put(&w, e->from.b, ADDRESS_LEN);
	wire_put_be64(&w, e->held);
	wire_put(&w, sealed, len);
	return wire_len(&w);
}

static bool record_read(const uint8_t *data, size_t len, struct inbox_entry *e)
{
	struct wire_reader r;
	uint8_t version, state;

	wire_read_init(&r, data, len);
	version = wire_get_u8(&r);
	state = wire_get_u8(&r);
	e->complete = state & STATE_COMPLETE;
	e->pool = e->complete && !(state & STATE_CLAIMED);
	e->unwanted = state & STATE_UNWANTED;
	wire_get(&r, e->tag.b, sizeof(e->tag.b));
	e->to.kind = wire_get_u8(&r) == RECIPIENT_NAMESPACE ? RECIPIENT_NAMESPACE :
							      RECIPIENT_ADDRESS;
	wire_get(&r, e->to.address.b, ADDRESS_LEN);
	wire_get(&r, e->local.b, ADDRESS_LEN);
	e->order = wire_get_be64(&r);
	e->since_s = wire_get_be64(&r);
	e->created_s = wire_get_be64(&r);
	e->size = wire_get_be64(&r);
	if (version == RECORD_VERSION) {
		e->kind = wire_get_u8(&r);
		wire_get(&r, e->from.b, ADDRESS_LEN);
		e->held = wire_get_be64(&r);
	}
	return (version == RECORD_VERSION || version == OLD_VERSION) && !r.failed &&
	       e->kind < PARCEL_KINDS && wire_left(&r) >= MANIFEST_MIN &&
	       wire_left(&r) <= MANIFEST_MAX;
}

static int by_order(const struct inbox_entry *a, const struct inbox_entry *b)
{
	return (a->order > b->order) - (a->order < b->order);
}

/* ---- lists of what waits ---- */

/* Nearly always it is the newest. */
static void insert_by_order(struct inbox_entry **head, struct inbox_entry *e)
{
	struct inbox_entry *before = *head && (*head)->order < e->order ? (*head)->prev : NULL;

	while (before && before->order > e->order)
		before = before->prev;
	DL_APPEND_ELEM(*head, before, e);
}

/* The queue of the parcel @e, made when there is none; NULL when memory is short. */
static struct inbox_queue *queue_of(struct inbox *b, const struct inbox_entry *e)
{
	struct inbox_queue_key key = { e->to.address, e->kind };
	struct inbox_queue *q;

	HASH_FIND(hh, b->queues, &key, sizeof(key), q);
	if (q)
		return q;
	q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->key = key;
	HASH_ADD_KEYPTR(hh, b->queues, &q->key, sizeof(q->key), q);
	if (!q->hh.tbl) {
		free(q);
		return NULL;
	}
	return q;
}

static enum inbox_place place_of(const struct inbox_entry *e)
{
	if (!e->announced || !e->pool)
		return INBOX_NOWHERE;
	if (!e->kind)
		return INBOX_READY;
	return e->taken ? INBOX_NOWHERE : e->retry_at ? INBOX_LATER : INBOX_QUEUE;
}

static void unlist(struct inbox *b, struct inbox_entry *e)
{
	struct inbox_queue *q;

	if (e->place == INBOX_READY)
		DL_DELETE(b->ready, e);
	if (e->place == INBOX_LATER)
		DL_DELETE(b->later, e);
	if (e->place == INBOX_QUEUE) {
		q = queue_of(b, e);
		DL_DELETE(q->entries, e);
		if (!q->entries) {
			HASH_DEL(b->queues, q);
			free(q);
		}
	}
	e->place = INBOX_NOWHERE;
}

/* Puts the entry, which is on no list, on its own; @sorted: to its place there, not to the end. */
static void enlist(struct inbox *b, struct inbox_entry *e, bool sorted)
{
	enum inbox_place place = place_of(e);
	struct inbox_queue *q = place == INBOX_QUEUE ? queue_of(b, e) : NULL;
	struct inbox_entry **head = q ? &q->entries : &b->ready;

	/* Without memory for a queue it comes when there is some again. */
	if (place == INBOX_QUEUE && !q)
		place = INBOX_LATER;
	if (place == INBOX_LATER)
		DL_APPEND(b->later, e);
	else if (place != INBOX_NOWHERE && sorted)
		insert_by_order(head, e);
	else if (place != INBOX_NOWHERE)
		DL_APPEND(*head, e);
	e->place = place;
}

void inbox_relist(struct inbox *b, struct inbox_entry *e)
{
	if (e->place != INBOX_NOWHERE && e->place == place_of(e))
		return;
	unlist(b, e);
	enlist(b, e, true);
}

/* ---- entries ---- */

static int insert(struct inbox *b, const struct inbox_entry *like, struct inbox_entry **out)
{
	struct inbox_entry *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	*e = *like;
	if (!e->unwanted && journal_hold(b->journal, &e->tag))
		goto fail;
	HASH_ADD_KEYPTR(hh, b->all, e->id.b, sizeof(e->id.b), e);
	if (!e->hh.tbl) {
		if (!e->unwanted)
			journal_release(b->journal, &e->tag);
		goto fail;
	}
	*out = e;
	return 0;
fail:
	free(e);
	return -ENOMEM;
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct inbox_entry like = { 0 };
	struct inbox_entry *e;
	struct inbox *b = ctx;
	int err;

	if (key_len != sizeof(like.id.b) || !record_read(value, value_len, &like)) {
		log_warn("inbox: an entry cannot be read and is left alone");
		return 0;
	}
	memcpy(like.id.b, key, key_len);
	if (b->next_order <= like.order)
		b->next_order = like.order + 1;
	err = insert(b, &like, &e);
	if (err)
		return err;
	e->announced = e->complete;
	enlist(b, e, false);
	return 0;
}

struct old {
	struct ident ids[256];
	size_t n;
};

static int collect_old(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct old *old = ctx;
	struct wire_reader r;

	wire_read_init(&r, value, value_len);
	if (key_len == sizeof(old->ids[0].b) && wire_get_be64(&r) + DONE_AGE_S < now_s())
		memcpy(old->ids[old->n++].b, key, key_len);
	return old->n == sizeof(old->ids) / sizeof(old->ids[0]);
}

int inbox_load(struct inbox *b, struct store *store, struct journal *journal)
{
	struct old old = { .n = 0 };
	struct inbox_queue *q;
	int err;

	memset(b, 0, sizeof(*b));
	b->store = store;
	b->journal = journal;
	err = store_each(store, STORE_INBOX, load_one, b);
	DL_SORT(b->ready, by_order);
	for (q = b->queues; q; q = q->hh.next)
		DL_SORT(q->entries, by_order);
	if (err)
		return err;
	/* A few hundred at each start keep the table from growing for ever. */
	err = store_each(store, STORE_DONE, collect_old, &old);
	for (size_t i = 0; i < old.n; i++)
		(void)store_del(store, STORE_DONE, old.ids[i].b, sizeof(old.ids[i].b));
	return err < 0 ? err : 0;
}

void inbox_free(struct inbox *b)
{
	struct inbox_entry *e = b->all, *next;
	struct inbox_queue *q = b->queues, *next_queue;

	HASH_CLEAR(hh, b->queues);
	for (; q; q = next_queue) {
		next_queue = q->hh.next;
		free(q);
	}
	HASH_CLEAR(hh, b->all);
	for (; e; e = next) {
		next = e->hh.next;
		free(e);
	}
}

static int save(struct inbox *b, const struct inbox_entry *e, const uint8_t *sealed, size_t len)
{
	uint8_t record[RECORD_HEAD + MANIFEST_MAX];

	return store_put(b->store, STORE_INBOX, e->id.b, sizeof(e->id.b), record,
			 record_write(e, sealed, len, record));
}

bool inbox_is_item(const struct inbox_entry *e)
{
	return e->to.kind == RECIPIENT_NAMESPACE && address_is_zero(&e->local);
}

int inbox_add(struct inbox *b, const struct inbox_entry *like, const uint8_t *sealed, size_t len,
	      struct inbox_entry **out)
{
	struct inbox_entry fresh = { .id = like->id, .tag = like->tag, .to = like->to,
				     .local = like->local, .from = like->from,
				     .kind = like->kind, .created_s = like->created_s,
				     .size = like->size, .complete = like->complete,
				     .pool = like->pool };
	struct inbox_entry *e;
	int err;

	if (HASH_COUNT(b->all) >= LIMIT_INBOX)
		return -EDQUOT;
	if (inbox_find(b, &like->id))
		return -EEXIST;
	fresh.order = b->next_order;
	fresh.since_s = now_s();
	err = insert(b, &fresh, &e);
	if (err)
		return err;
	err = save(b, e, sealed, len);
	if (err) {
		inbox_remove(b, e, false);
		return err;
	}
	b->next_order++;
	*out = e;
	return 0;
}

/* Saves the state of an entry that is on disk already. */
static int save_state(struct inbox *b, const struct inbox_entry *e)
{
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len = inbox_sealed(b, e, sealed);

	return len < 0 ? (int)len : save(b, e, sealed, (size_t)len);
}

int inbox_complete(struct inbox *b, struct inbox_entry *e, bool pool)
{
	int err;

	e->complete = true;
	e->pool = pool;
	err = save_state(b, e);
	if (err)
		e->complete = e->pool = false;
	return err;
}

int inbox_set_pool(struct inbox *b, struct inbox_entry *e, bool pool)
{
	e->pool = pool;
	inbox_relist(b, e);
	return save_state(b, e);
}

int inbox_save_held(struct inbox *b, const struct inbox_entry *e)
{
	return save_state(b, e);
}

int inbox_set_unwanted(struct inbox *b, struct inbox_entry *e)
{
	e->unwanted = true;
	journal_release(b->journal, &e->tag);
	return save_state(b, e);
}

void inbox_announce(struct inbox *b, struct inbox_entry *e)
{
	e->announced = true;
	inbox_relist(b, e);
}

struct inbox_entry *inbox_find(struct inbox *b, const struct ident *id)
{
	struct inbox_entry *e;

	HASH_FIND(hh, b->all, id->b, sizeof(id->b), e);
	return e;
}

bool inbox_was_delivered(struct inbox *b, const struct ident *id)
{
	return store_has(b->store, STORE_DONE, id->b, sizeof(id->b));
}

ssize_t inbox_sealed(struct inbox *b, const struct inbox_entry *e, uint8_t *out)
{
	uint8_t record[RECORD_HEAD + MANIFEST_MAX];
	ssize_t len, head;

	len = store_get(b->store, STORE_INBOX, e->id.b, sizeof(e->id.b), record, sizeof(record));
	if (len < 0)
		return len;
	head = record[0] == OLD_VERSION ? OLD_HEAD : RECORD_HEAD;
	if (len < head + MANIFEST_MIN || len > head + MANIFEST_MAX)
		return -EBADMSG;
	memcpy(out, record + head, (size_t)(len - head));
	return len - head;
}

int inbox_delivered(struct inbox *b, struct inbox_entry *e)
{
	struct wire_writer w;
	uint8_t value[8];
	int err;

	wire_write_init(&w, value, sizeof(value));
	wire_put_be64(&w, now_s());
	err = store_put(b->store, STORE_DONE, e->id.b, sizeof(e->id.b), value, sizeof(value));
	return err ? err : store_del(b->store, STORE_INBOX, e->id.b, sizeof(e->id.b));
}

void inbox_remove(struct inbox *b, struct inbox_entry *e, bool stored)
{
	if (stored)
		(void)store_del(b->store, STORE_INBOX, e->id.b, sizeof(e->id.b));
	unlist(b, e);
	HASH_DEL(b->all, e);
	if (!e->unwanted)
		journal_release(b->journal, &e->tag);
	free(e);
}
