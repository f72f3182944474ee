// SPDX-License-Identifier: GPL-2.0-or-later
/* Packing: bytes from a client become a content in the journal, and a file of the user. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ratmand/service/files_priv.h"

struct files_pack {
	struct files *files;
	struct address user;
	char name[LIMIT_FILE_NAME + 1];
	char mime[LIMIT_FILE_MIME + 1];
	bool is_update;
	struct ident old;
	uint64_t size, done;		/* bytes said (0: not known), bytes taken */
	struct flow_content_writer *writer;	/* owned */
	struct filehash *hash;		/* owned */
	flow_cb drain;			/* NULL once the client has no more */
	void *ctx;
	bool waiting;			/* drain is to be called */
	files_packed_cb packed;		/* set by finish */
	void *packed_ctx;
	struct ident id;
};

static void pack_free(struct files_pack *p)
{
	flow_content_close(p->writer);
	filehash_free(p->hash);
	sodium_memzero(p, sizeof(*p));
	free(p);
}

static void complete(struct files_pack *p);

static void on_drained(void *ctx)
{
	struct files_pack *p = ctx;

	if (p->waiting) {
		p->waiting = false;
		p->drain(p->ctx);
	}
}

static void on_hashed(void *ctx)
{
	struct files_pack *p = ctx;

	if (p->packed)
		complete(p);
	else
		on_drained(p);
}

/* Name and type of an update are those of the old file, which must be here. */
static int take_over(struct files_pack *p, const struct records *r, const struct ident *old)
{
	struct flow_content content;
	struct files_entry e;
	int err = files_get(r, old, &e);

	if (!err)
		err = e.meta.state == FILE_ANY ? -ENOENT : files_content(p->files, &e, &content);
	if (!err) {
		p->is_update = true;
		p->old = *old;
		memcpy(p->name, e.meta.name, sizeof(p->name));
		memcpy(p->mime, e.mime, sizeof(p->mime));
	}
	sodium_memzero(&content, sizeof(content));
	sodium_memzero(&e, sizeof(e));
	return err == -ESTALE ? -ENOENT : err;
}

/* What can be said before a byte has come. */
static int check_room(struct files *f, const struct records *r, uint64_t size)
{
	int err = files_make_room(f, r);

	if (err)
		return err;
	if (size > LIMIT_STREAM_BYTES)
		return -EFBIG;
	return store_room(f->store) < size + size / 8 + (1 << 20) ? -EDQUOT : 0;
}

int files_pack_open(struct files *f, const struct files_order *order, flow_cb drain, void *ctx,
		    struct files_pack **out)
{
	const struct records *r = files_records(f, &order->user);
	struct files_pack *p;
	int err;

	if (!r)
		return -EACCES;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->files = f;
	p->user = order->user;
	p->size = order->size;
	p->drain = drain;
	p->ctx = ctx;
	if (order->old) {
		err = take_over(p, r, order->old);
	} else {
		strncpy(p->name, order->name, sizeof(p->name) - 1);
		strncpy(p->mime, order->mime, sizeof(p->mime) - 1);
		err = 0;
	}
	if (!err)
		err = check_room(f, r, order->size);
	if (!err) {
		p->hash = filehash_new(f->loop, on_hashed, p);
		err = p->hash ? flow_content_open(f->flow, on_drained, p, &p->writer) : -ENOMEM;
	}
	if (err) {
		pack_free(p);
		return err;
	}
	*out = p;
	return 0;
}

int files_pack_write(struct files_pack *p, const void *data, size_t len)
{
	int err;

	if (len > FILEHASH_CHUNK)
		return -EINVAL;
	if (p->size && len > p->size - p->done)
		return -EPROTO;
	if (filehash_busy(p->hash)) {
		p->waiting = true;
		return -EAGAIN;
	}
	/* The pool hashes what the loop is encoding meanwhile. */
	err = flow_content_write(p->writer, data, len);
	if (err == -EAGAIN)
		p->waiting = true;
	if (!err)
		err = filehash_push(p->hash, data, len);
	if (!err)
		p->done += len;
	return err;
}

/*
 * The file as it will be: what the user has of it already stays, except its name and
 * type; @renamed says that these change.
 */
static int make_entry(const struct files_pack *p, const struct records *r, struct files_entry *e,
		      bool *renamed)
{
	int err = files_get(r, &p->id, e);

	if (err && err != -ENOENT && err != -EBADMSG)
		return err;
	*renamed = !err && files_is_here(e) &&
		   (strcmp(e->meta.name, p->name) || strcmp(e->mime, p->mime));
	if (err || !files_is_here(e)) {
		memset(e, 0, sizeof(*e));
		e->meta.id = p->id;
	}
	e->meta.owner = p->user;
	e->meta.state = FILE_LOCAL;
	e->meta.time_ns = clock_wall_ns();
	memcpy(e->meta.name, p->name, sizeof(e->meta.name));
	memcpy(e->mime, p->mime, sizeof(e->mime));
	return 0;
}

static int replace_old(struct files_pack *p, const struct records *r, struct files_entry *e)
{
	struct files_entry old;
	int err = files_get(r, &p->old, &old);

	/* Removed meanwhile: then nothing is to be moved. */
	if (!err)
		err = fileshare_move(p->files, r, &old, e);
	else if (err == -ENOENT)
		err = 0;
	sodium_memzero(&old, sizeof(old));
	return err;
}

/* All is here and hashed: queues the file. */
static int store_file(struct files_pack *p, struct files_entry *e)
{
	struct files *f = p->files;
	const struct records *r = files_records(f, &p->user);
	struct flow_content content;
	bool same, renamed = false;
	int err;

	if (!r)
		return -EACCES;
	if (p->size && p->done < p->size)
		return -EPROTO;
	err = flow_content_finish(p->writer, &content);
	if (err)
		return err;
	filehash_finish(p->hash, &p->id);
	same = p->is_update && ident_equal(&p->old, &p->id);
	err = make_entry(p, r, e, &renamed);
	if (!err && p->is_update && !same) {
		e->meta.has_previous = true;
		e->meta.previous = p->old;
	}
	if (!err) {
		files_cancel(f, &p->user, &p->id);
		err = files_take(f, r, e, &content);
	}
	if (!err && p->is_update && !same)
		err = replace_old(p, r, e);
	else if (!err && renamed)
		err = fileshare_refresh(f, r, e);
	sodium_memzero(&content, sizeof(content));
	return err;
}

static void on_stored(void *ctx, int err)
{
	struct files_pack *p = ctx;

	p->packed(p->packed_ctx, err, &p->id, p->done);
	pack_free(p);
}

static void complete(struct files_pack *p)
{
	struct files *f = p->files;
	struct files_entry e;
	int err = store_file(p, &e);

	if (err) {
		sodium_memzero(&e, sizeof(e));
		on_stored(p, err);
		return;
	}
	f->stats.packed++;
	/* The record holds the blocks now, or those of the same content are kept and these go. */
	flow_content_close(p->writer);
	p->writer = NULL;
	files_tell(f, &p->user, &e);
	sodium_memzero(&e, sizeof(e));
	files_commit(f, on_stored, p);
}

void files_pack_finish(struct files_pack *p, files_packed_cb cb, void *ctx)
{
	p->packed = cb;
	p->packed_ctx = ctx;
	p->waiting = false;
	if (!filehash_busy(p->hash))
		complete(p);
}

void files_pack_abort(struct files_pack *p)
{
	if (p)
		pack_free(p);
}
