// SPDX-License-Identifier: GPL-2.0-or-later
/* Files that others send: whether they may come, and whether they are what they say. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/service/files_priv.h"

/* A file that has come and is being hashed. */
struct arrival {
	struct arrival *prev, *next;
	struct files *files;
	struct flow_parcel *parcel;	/* owned */
	struct filehash *hash;		/* owned */
	struct ident id;		/* of the parcel */
	struct address from;
	struct recipient to;
	struct notice_file file;	/* by the sender's word */
};

/* Offers ------------------------------------------------------------------------ */

static bool is_asked_for(const struct files_entry *e, const struct address *from)
{
	return e && e->meta.state == FILE_IN_PROGRESS && fileshare_was_asked(e, from);
}

/*
 * True when the user wants @file, the parcel @id, from @from: it was asked for, or is small
 * enough and there is room for such.
 */
static bool is_welcome(struct files *f, const struct files_entry *e, const struct address *from,
		       const struct notice_file *file, const struct ident *id)
{
	if (is_asked_for(e, from))
		return !e->meta.size || e->meta.size == file->size;
	return file->size <= f->accept && fileroom_fits(&f->room, id, file->size);
}

/* A download that was called off: who was asked is told once. */
static bool was_called_off(struct files *f, const struct records *r, struct files_entry *e,
			   const struct address *from)
{
	(void)f;
	if (e->meta.state != FILE_ANY || !fileshare_was_asked(e, from))
		return false;
	fileshare_forget_asked(e, from);
	(void)files_put(r, e);
	return true;
}

/* What is too big to be taken in unasked is as good as announced. */
static int remember(struct files *f, const struct records *r, const struct address *from,
		    const struct notice_file *file)
{
	struct files_entry e;
	int err = files_make_room(f, r);

	files_entry_init(&e, from, file, FILE_ADVERTISED);
	if (!err)
		err = files_put(r, &e);
	if (!err)
		files_tell(f, &r->address, &e);
	return err;
}

static enum parcel_answer on_offered(void *ctx, const struct parcel *info)
{
	struct files *f = ctx;
	const struct records *r = files_records(f, &info->to.address);
	enum parcel_answer answer = PARCEL_REFUSE;
	struct flow_content content;
	struct notice_file file;
	struct files_entry e;
	int err;

	if (notice_meta_read(info->meta, info->meta_len, &file) || file.size != info->size)
		return PARCEL_REFUSE;
	err = r ? files_get(r, &file.id, &e) : -EACCES;
	if (err && err != -ENOENT && err != -EBADMSG)
		return PARCEL_LATER;
	if (!err && (!files_content(f, &e, &content) || was_called_off(f, r, &e, &info->from)))
		answer = PARCEL_REFUSE;
	else if (is_welcome(f, err ? NULL : &e, &info->from, &file, &info->id))
		answer = is_asked_for(err ? NULL : &e, &info->from) ||
			 !fileroom_reserve(&f->room, &info->id, file.size) ? PARCEL_TAKE :
									     PARCEL_LATER;
	else if (err || e.meta.state == FILE_ANY)
		(void)remember(f, r, &info->from, &file);
	sodium_memzero(&content, sizeof(content));
	sodium_memzero(&e, sizeof(e));
	return answer;
}

/* Arrivals ------------------------------------------------------------------------ */

static void arrival_end(struct arrival *a, bool taken)
{
	DL_DELETE(a->files->arrivals, a);
	filehash_free(a->hash);
	flow_parcel_close(a->parcel, taken);
	free(a);
}

/* Makes the file one of the user's. What it was known as before it keeps. */
static int take_for(struct arrival *a, const struct records *r, const struct flow_content *content)
{
	struct files *f = a->files;
	struct flow_content own;
	struct files_entry e;
	int err = files_get(r, &a->file.id, &e);
	bool is_new = err != 0;
	bool known = !err && e.meta.size && e.meta.state != FILE_ANY;
	bool asked = is_asked_for(err ? NULL : &e, &a->from);

	if (err && err != -ENOENT && err != -EBADMSG)
		return err;
	if (!err && (!files_content(f, &e, &own) || was_called_off(f, r, &e, &a->from))) {
		sodium_memzero(&own, sizeof(own));
		return 0;
	}
	if (!is_welcome(f, err ? NULL : &e, &a->from, &a->file, &a->id))
		return known ? 0 : remember(f, r, &a->from, &a->file);
	if (!known)
		files_entry_init(&e, &a->from, &a->file, FILE_AVAILABLE);
	e.meta.state = FILE_AVAILABLE;
	e.meta.time_ns = clock_wall_ns();
	e.n_asked = e.n_shares = 0;
	e.searching = false;
	err = is_new ? files_make_room(f, r) : 0;
	if (!err)
		err = files_take(f, r, &e, content);
	/* Of the others who were asked nobody need go on. */
	if (!err && asked)
		files_cancel(f, &r->address, &a->file.id);
	if (!err && !asked)
		fileroom_keep(&f->room, &a->id, content);
	if (!err) {
		f->stats.received++;
		files_tell(f, &r->address, &e);
	}
	sodium_memzero(&e, sizeof(e));
	return err;
}

struct members {
	struct arrival *arrival;
	const struct flow_content *content;
	int err;
};

static void take_for_member(void *ctx, const struct records *r)
{
	struct members *m = ctx;
	struct arrival *a = m->arrival;

	if (!m->err && !address_equal(&r->address, &a->from) &&
	    files_in_group(a->files, &r->address, &a->to)) {
		m->err = take_for(a, r, m->content);
		/* A user's list that is full keeps nobody else from it. */
		if (m->err == -EMFILE)
			m->err = 0;
	}
}

static int take(struct arrival *a)
{
	const struct records *r = files_records(a->files, &a->to.address);
	struct flow_content content;
	struct members m = { .arrival = a, .content = &content };
	int err = flow_parcel_content(a->parcel, &content);

	if (err)
		return err;
	if (a->to.kind == RECIPIENT_NAMESPACE) {
		online_each(a->files->online, take_for_member, &m);
		err = m.err;
	} else {
		err = r ? take_for(a, r, &content) : -EACCES;
	}
	sodium_memzero(&content, sizeof(content));
	return err;
}

/* The content is not what the sender said: dropped, and asked for elsewhere. */
static void expose(struct arrival *a)
{
	static struct log_gate gate;
	struct files *f = a->files;
	const struct records *r = files_records(f, &a->to.address);
	char text[ADDRESS_TEXT_LEN];
	struct files_entry e;

	f->stats.liars++;
	if (log_gate_open(&gate, clock_ms(), 8, 60000))
		log_warn("files: %.9s… sent content that is not the file it said: dropped",
			 address_format(&a->from, text));
	if (a->to.kind == RECIPIENT_ADDRESS && r && !files_get(r, &a->file.id, &e) &&
	    e.meta.state == FILE_IN_PROGRESS && fileshare_was_asked(&e, &a->from))
		fileshare_holder_failed(f, r, &e, &a->from);
}

static void finish(struct arrival *a)
{
	struct ident id;
	int err;

	filehash_finish(a->hash, &id);
	if (!ident_equal(&id, &a->file.id)) {
		expose(a);
		arrival_end(a, true);
		return;
	}
	err = take(a);
	if (err == -EMFILE)
		log_warn("files: a file was dropped, since its recipient has %d already",
			 LIMIT_FILES);
	arrival_end(a, !err || err == -EMFILE || err == -ESTALE);
}

/* Hands the pool one piece after another: between them the loop has its turns. */
static void step(struct arrival *a)
{
	uint8_t buf[FILEHASH_CHUNK];
	ssize_t n = flow_parcel_read(a->parcel, buf, sizeof(buf));
	int err;

	if (!n) {
		finish(a);
		return;
	}
	err = n < 0 ? (int)n : filehash_push(a->hash, buf, (size_t)n);
	if (n > 0)
		sodium_memzero(buf, (size_t)n);
	if (err)
		arrival_end(a, err == -EBADMSG || err == -ESTALE);
}

static void on_hashed(void *ctx)
{
	step(ctx);
}

static void on_file(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	struct files *f = ctx;
	struct arrival *a = calloc(1, sizeof(*a));

	if (!a) {
		flow_parcel_close(p, false);
		return;
	}
	a->files = f;
	a->parcel = p;
	a->id = info->id;
	a->from = info->from;
	a->to = info->to;
	DL_APPEND(f->arrivals, a);
	/* Of one to a namespace nobody has looked at the metadata before. */
	if (notice_meta_read(info->meta, info->meta_len, &a->file) || a->file.size != info->size) {
		f->stats.notices_bad++;
		arrival_end(a, true);
		return;
	}
	a->hash = filehash_new(f->loop, on_hashed, a);
	if (a->hash)
		step(a);
	else
		arrival_end(a, false);
}

void filerecv_start(struct files *f)
{
	flow_parcel_offered(f->flow, PARCEL_FILE, on_offered, f);
	flow_parcel_handler(f->flow, PARCEL_FILE, on_file, f);
}

void filerecv_stop(struct files *f)
{
	while (f->arrivals)
		arrival_end(f->arrivals, false);
	flow_parcel_handler(f->flow, PARCEL_FILE, NULL, NULL);
	flow_parcel_offered(f->flow, PARCEL_FILE, NULL, NULL);
}
