// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/outbox.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/flow/manifest.h"

#define RECORD_STREAM 1
#define RECORD_PARCEL 2		/* has one byte more: the kind */
#define STREAM_HEAD (1 + JOURNAL_TAG_LEN + ADDRESS_LEN + 1 + ADDRESS_LEN + 8 + 8 + 4)
#define RECORD_HEAD_MAX (STREAM_HEAD + 1)

static size_t head_len(const struct outbox_entry *e)
{
	return STREAM_HEAD + (e->kind ? 1 : 0);
}

static size_t record_write(const struct outbox_entry *e, const uint8_t *sealed, size_t len,
			   uint8_t out[static RECORD_HEAD_MAX + MANIFEST_MAX])
{
	struct wire_writer w;

	wire_write_init(&w, out, RECORD_HEAD_MAX + MANIFEST_MAX);
	wire_put_u8(&w, e->kind ? RECORD_PARCEL : RECORD_STREAM);
	wire_put(&w, e->tag.b, sizeof(e->tag.b));
	wire_put(&w, e->from.b, ADDRESS_LEN);
	wire_put_u8(&w, (uint8_t)e->to.kind);
	wire_put(&w, e->to.address.b, ADDRESS_LEN);
	wire_put_be64(&w, e->size);
	wire_put_be64(&w, e->created_s);
	wire_put_be32(&w, e->attempts);
	if (e->kind)
		wire_put_u8(&w, e->kind);
	wire_put(&w, sealed, len);
	return wire_len(&w);
}

static bool record_read(const uint8_t *data, size_t len, struct outbox_entry *e)
{
	struct wire_reader r;
	uint8_t version;

	wire_read_init(&r, data, len);
	version = wire_get_u8(&r);
	wire_get(&r, e->tag.b, sizeof(e->tag.b));
	wire_get(&r, e->from.b, ADDRESS_LEN);
	e->to.kind = wire_get_u8(&r) == RECIPIENT_NAMESPACE ? RECIPIENT_NAMESPACE :
							      RECIPIENT_ADDRESS;
	wire_get(&r, e->to.address.b, ADDRESS_LEN);
	e->size = wire_get_be64(&r);
	e->created_s = wire_get_be64(&r);
	e->attempts = wire_get_be32(&r);
	e->kind = version == RECORD_PARCEL ? wire_get_u8(&r) : 0;
	return (version == RECORD_STREAM || (version == RECORD_PARCEL && e->kind)) && !r.failed &&
	       wire_left(&r) >= MANIFEST_MIN && wire_left(&r) <= MANIFEST_MAX;
}

/* Puts a copy of @like into memory; @like->id is set. */
static int insert(struct outbox *o, const struct outbox_entry *like, struct outbox_entry **out)
{
	struct outbox_entry *e = malloc(sizeof(*e));

	if (!e)
		return -ENOMEM;
	*e = *like;
	e->prev = e->next = NULL;
	memset(&e->hh, 0, sizeof(e->hh));
	if (journal_hold(o->journal, &e->tag))
		goto fail;
	HASH_ADD_KEYPTR(hh, o->all, e->id.b, sizeof(e->id.b), e);
	if (!e->hh.tbl) {
		journal_release(o->journal, &e->tag);
		goto fail;
	}
	*out = e;
	return 0;
fail:
	free(e);
	return -ENOMEM;
}

struct load {
	struct outbox *outbox;
	void (*loaded)(void *ctx, struct outbox_entry *e);
	void *ctx;
};

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct load *load = ctx;
	struct outbox_entry like = { 0 };
	struct outbox_entry *e;
	int err;

	if (key_len != sizeof(like.id.b) || !record_read(value, value_len, &like)) {
		log_warn("outbox: an entry cannot be read and is left alone");
		return 0;
	}
	memcpy(like.id.b, key, key_len);
	err = insert(load->outbox, &like, &e);
	if (!err && load->loaded)
		load->loaded(load->ctx, e);
	return err;
}

int outbox_load(struct outbox *o, struct store *store, struct journal *journal,
		void (*loaded)(void *ctx, struct outbox_entry *e), void *ctx)
{
	struct load load = { o, loaded, ctx };

	o->store = store;
	o->journal = journal;
	o->all = NULL;
	return store_each(store, STORE_OUTBOX, load_one, &load);
}

void outbox_free(struct outbox *o)
{
	struct outbox_entry *e = o->all, *next;

	HASH_CLEAR(hh, o->all);
	for (; e; e = next) {
		next = e->hh.next;
		free(e);
	}
}

int outbox_add(struct outbox *o, const struct outbox_entry *like, const uint8_t *sealed, size_t len,
	       struct outbox_entry **out)
{
	uint8_t record[RECORD_HEAD_MAX + MANIFEST_MAX];
	struct outbox_entry copy = *like;
	struct outbox_entry *e;
	int err;

	if (HASH_COUNT(o->all) >= LIMIT_OUTBOX)
		return -EDQUOT;
	manifest_id(sealed, len, &copy.id);
	if (outbox_find(o, &copy.id))
		return -EEXIST;
	err = insert(o, &copy, &e);
	if (err)
		return err;
	err = store_put(o->store, STORE_OUTBOX, e->id.b, sizeof(e->id.b), record,
			record_write(e, sealed, len, record));
	if (err) {
		outbox_remove(o, e, false);
		return err;
	}
	*out = e;
	return 0;
}

ssize_t outbox_sealed(struct outbox *o, const struct outbox_entry *e, uint8_t *out)
{
	uint8_t record[RECORD_HEAD_MAX + MANIFEST_MAX];
	ssize_t len, head = (ssize_t)head_len(e);

	len = store_get(o->store, STORE_OUTBOX, e->id.b, sizeof(e->id.b), record, sizeof(record));
	if (len < 0)
		return len;
	if (len < head + MANIFEST_MIN || len > head + MANIFEST_MAX)
		return -EBADMSG;
	memcpy(out, record + head, (size_t)(len - head));
	return len - head;
}

int outbox_save(struct outbox *o, const struct outbox_entry *e)
{
	uint8_t record[RECORD_HEAD_MAX + MANIFEST_MAX], sealed[MANIFEST_MAX];
	ssize_t len = outbox_sealed(o, e, sealed);

	if (len < 0)
		return (int)len;
	return store_put(o->store, STORE_OUTBOX, e->id.b, sizeof(e->id.b), record,
			 record_write(e, sealed, (size_t)len, record));
}

struct outbox_entry *outbox_find(struct outbox *o, const struct ident *id)
{
	struct outbox_entry *e;

	HASH_FIND(hh, o->all, id->b, sizeof(id->b), e);
	return e;
}

void outbox_remove(struct outbox *o, struct outbox_entry *e, bool stored)
{
	/* If the disk refuses, the entry is offered again after a restart and answered again. */
	if (stored)
		(void)store_del(o->store, STORE_OUTBOX, e->id.b, sizeof(e->id.b));
	HASH_DEL(o->all, e);
	journal_release(o->journal, &e->tag);
	free(e);
}
