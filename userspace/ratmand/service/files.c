// SPDX-License-Identifier: GPL-2.0-or-later
/* Files: life, the content they share, and their end. */
#include "ratmand/service/files_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

const struct records *files_records(const struct files *f, const struct address *user)
{
	return online_records(f->online, user);
}

const struct files_stats *files_stats(const struct files *f)
{
	return &f->stats;
}

/* Content -------------------------------------------------------------------- */

bool files_is_here(const struct files_entry *e)
{
	return e->meta.state == FILE_LOCAL || e->meta.state == FILE_AVAILABLE;
}

static int decode(const uint8_t *data, size_t len, struct flow_content *out)
{
	return len == FLOW_CONTENT_LEN ? flow_content_decode(data, out) : -EBADMSG;
}

int files_content(const struct files *f, const struct files_entry *e, struct flow_content *out)
{
	if (!files_is_here(e))
		return -ENODATA;
	return !decode(e->content, e->content_len, out) && flow_content_is_held(f->flow, out) ?
	       0 : -ESTALE;
}

/* The content that is kept of @id, if it is; 0 or -ENOENT. */
static int find_content(struct files *f, const struct ident *id, uint64_t size,
			struct flow_content *out)
{
	uint8_t bytes[FILES_CONTENT_MAX];
	ssize_t n = contents_get(f->store, id, bytes);
	int err = n < 0 || decode(bytes, (size_t)n, out) || out->size != size ||
		  !flow_content_is_held(f->flow, out) ? -ENOENT : 0;

	sodium_memzero(bytes, sizeof(bytes));
	return err;
}

/* The content @e is to have: what the user has, what somebody has, what has come. */
static int choose_content(struct files *f, const struct records *r, struct files_entry *e,
			  const struct flow_content *fresh, struct flow_content *out, bool *held)
{
	struct files_entry old;
	int err = files_get(r, &e->meta.id, &old);

	*held = !err && !files_content(f, &old, out);
	sodium_memzero(&old, sizeof(old));
	if (err && err != -ENOENT && err != -EBADMSG)
		return err;
	if (*held || !find_content(f, &e->meta.id, fresh->size, out)) {
		f->stats.shared++;
		return 0;
	}
	*out = *fresh;
	return 0;
}

int files_take(struct files *f, const struct records *r, struct files_entry *e,
	       const struct flow_content *fresh)
{
	struct flow_content content;
	bool held;
	int err = choose_content(f, r, e, fresh, &content, &held);

	if (err)
		return err;
	flow_content_encode(&content, e->content);
	e->content_len = FLOW_CONTENT_LEN;
	e->meta.size = content.size;
	err = files_put(r, e);
	if (!err && !held) {
		err = flow_content_hold(f->flow, &content);
		if (!err)
			err = contents_put(f->store, &e->meta.id, e->content, e->content_len);
		if (err)
			(void)files_drop(f, r, e);
	}
	sodium_memzero(&content, sizeof(content));
	return err;
}

int files_drop(struct files *f, const struct records *r, const struct files_entry *e)
{
	struct flow_content content, kept;

	if (!files_content(f, e, &content)) {
		(void)flow_content_release(f->flow, &content);
		if (!flow_content_is_held(f->flow, &content) &&
		    find_content(f, &e->meta.id, content.size, &kept))
			(void)contents_del(f->store, &e->meta.id);
	}
	sodium_memzero(&content, sizeof(content));
	sodium_memzero(&kept, sizeof(kept));
	return files_del(r, &e->meta.id);
}

/* Commits -------------------------------------------------------------------- */

struct pending {
	files_done_cb done;
	void *ctx;
};

static void on_durable(void *ctx, int err)
{
	struct pending *p = ctx;

	p->done(p->ctx, err);
	free(p);
}

void files_commit(struct files *f, files_done_cb done, void *ctx)
{
	struct pending *p = malloc(sizeof(*p));

	if (!p) {
		done(ctx, -ENOMEM);
		return;
	}
	*p = (struct pending){ done, ctx };
	store_commit(f->store, on_durable, p);
}

/* Groups --------------------------------------------------------------------- */

bool files_in_group(const struct files *f, const struct address *user,
		    const struct recipient *group)
{
	if (group->kind == RECIPIENT_NONE)
		return true;
	return flow_space_has_member(f->flow, &group->address, user);
}

const struct catalog *files_next_catalog(const struct files *f, const struct address *user,
					 const struct ident *id, const struct catalog *c)
{
	for (c = c ? c->hh.next : f->catalogs.all; c; c = c->hh.next)
		if (!address_equal(&c->key.owner, user) && catalog_file(c, id) &&
		    files_in_group(f, user, &c->group))
			return c;
	return NULL;
}

void files_entry_init(struct files_entry *e, const struct address *owner,
		      const struct notice_file *file, enum file_state state)
{
	memset(e, 0, sizeof(*e));
	e->meta.id = file->id;
	e->meta.owner = *owner;
	memcpy(e->meta.name, file->name, sizeof(e->meta.name));
	e->meta.size = file->size;
	e->meta.state = state;
	e->meta.time_ns = file->time_ns;
	e->meta.has_previous = file->has_previous;
	e->meta.previous = file->previous;
	memcpy(e->mime, file->mime, sizeof(e->mime));
}

/* Room for announcements -------------------------------------------------------- */

struct oldest {
	struct {
		struct ident id;
		int64_t time_ns;
	} *list;		/* owned */
	size_t n;
};

static int collect_advert(void *ctx, const struct files_entry *e)
{
	struct oldest *o = ctx;

	if (files_is_advert(e->meta.state) && o->n < LIMIT_FILES) {
		o->list[o->n].id = e->meta.id;
		o->list[o->n++].time_ns = e->meta.time_ns;
	}
	return 0;
}

static int by_age(const void *a, const void *b)
{
	const __typeof__(*((struct oldest *)0)->list) *x = a, *y = b;

	return (x->time_ns > y->time_ns) - (x->time_ns < y->time_ns);
}

/*
 * Looks at all records at once, which is a few thousand, but seldom: an eighth of the
 * announcements goes each time.
 */
int files_make_room(struct files *f, const struct records *r)
{
	struct records_walk walk;
	struct oldest o = { 0 };
	ssize_t n = records_count(r, RECORD_FILE);
	int err;

	(void)f;
	if (n < LIMIT_FILE_ADVERTS)
		return n < 0 ? (int)n : 0;
	o.list = calloc(LIMIT_FILES, sizeof(*o.list));
	if (!o.list)
		return -ENOMEM;
	err = files_walk_begin(r, &walk);
	if (!err) {
		err = files_walk_next(r, &walk, SIZE_MAX, collect_advert, &o);
		records_walk_end(&walk);
	}
	/* One of the records is the user's secret. */
	if (!err && !o.n && n > LIMIT_FILES)
		err = -EMFILE;
	if (!err && o.n && (o.n >= LIMIT_FILE_ADVERTS || n > LIMIT_FILES)) {
		qsort(o.list, o.n, sizeof(*o.list), by_age);
		for (size_t i = 0; i < o.n / 8 + 1 && !err; i++)
			err = files_del(r, &o.list[i].id);
	}
	free(o.list);
	return err < 0 ? err : 0;
}

/* Removing --------------------------------------------------------------------- */

struct cancel {
	const struct ident *file;
	struct ident found[PROGRESS_MAX];
	size_t n;
};

static void find_arriving(void *ctx, const struct parcel_arriving *a)
{
	struct cancel *c = ctx;
	struct notice_file file;

	if (a->info->kind == PARCEL_FILE && c->n < PROGRESS_MAX &&
	    !notice_meta_read(a->info->meta, a->info->meta_len, &file) &&
	    ident_equal(&file.id, c->file))
		c->found[c->n++] = a->info->id;
}

void files_cancel(struct files *f, const struct address *user, const struct ident *id)
{
	struct cancel c = { .file = id };

	flow_parcels_arriving_each(f->flow, user, find_arriving, &c);
	for (size_t i = 0; i < c.n; i++)
		(void)flow_parcel_refuse(f->flow, &c.found[i]);
}

/* Notes that the user does not want to see it, or, of who was asked, have it. */
static int hide(struct files *f, const struct records *r, struct files_entry *e)
{
	struct files_entry old;
	int err = files_get(r, &e->meta.id, &old) ? files_make_room(f, r) : 0;

	e->meta.state = FILE_ANY;
	e->searching = false;
	e->n_shares = 0;
	return err ? err : files_put(r, e);
}

static int remove_entry(struct files *f, const struct records *r, struct files_entry *e)
{
	const struct address *user = &r->address;

	switch (e->meta.state) {
	case FILE_ANY:
		return -ENOENT;
	case FILE_LOCAL:
	case FILE_AVAILABLE:
		fileshare_withdraw(f, r, e);
		return files_drop(f, r, e);
	case FILE_IN_PROGRESS:
		files_cancel(f, user, &e->meta.id);
		return hide(f, r, e);
	default:
		if (files_next_catalog(f, user, &e->meta.id, NULL))
			return hide(f, r, e);
		return files_del(r, &e->meta.id);
	}
}

void files_remove(struct files *f, const struct file_ref *ref, files_done_cb done, void *ctx)
{
	const struct records *r = files_records(f, &ref->user);
	const struct catalog *c;
	struct files_entry e;
	int err = r ? files_get(r, &ref->id, &e) : -EACCES;

	c = err == -ENOENT ? files_next_catalog(f, &ref->user, &ref->id, NULL) : NULL;
	if (c) {
		files_entry_init(&e, &c->key.owner, catalog_file(c, &ref->id), FILE_ADVERTISED);
		err = hide(f, r, &e);
	} else if (!err) {
		err = remove_entry(f, r, &e);
	} else if (err == -EBADMSG) {
		err = files_del(r, &ref->id);
	}
	sodium_memzero(&e, sizeof(e));
	if (err) {
		done(ctx, err);
		return;
	}
	files_tell_now(f, &ref->user, &ref->id);
	files_commit(f, done, ctx);
}

/* Life ------------------------------------------------------------------------- */

void files_user_up(struct files *f, const struct address *user)
{
	(void)flow_commons_up(f->flow, user);
	fileshare_repeat(f, user);
	filetend_user_up(f, user);
}

static int forget_entry(void *ctx, const struct files_entry *e)
{
	struct files *f = ctx;
	struct flow_content content;

	if (!files_content(f, e, &content))
		(void)flow_content_release(f->flow, &content);
	sodium_memzero(&content, sizeof(content));
	return 0;
}

int files_user_forget(struct files *f, const struct records *records)
{
	struct records_walk walk;
	int err = files_walk_begin(records, &walk);

	if (err)
		return err;
	err = files_walk_next(records, &walk, SIZE_MAX, forget_entry, f);
	records_walk_end(&walk);
	fileshare_farewell(f, records);
	catalogs_remove(&f->catalogs, &records->address);
	return err;
}

int files_new(struct files **out, uv_loop_t *loop, struct store *store, struct flow *flow,
	      struct online *online)
{
	struct files *f = calloc(1, sizeof(*f));
	int err = -ENOMEM;

	if (!f)
		return err;
	f->loop = loop;
	f->store = store;
	f->flow = flow;
	f->online = online;
	f->accept = LIMIT_FILE_ACCEPT;
	f->timer = malloc(sizeof(*f->timer));
	if (f->timer) {
		uv_timer_init(loop, f->timer);
		uv_unref((uv_handle_t *)f->timer);
		f->timer->data = f;
		err = catalogs_load(&f->catalogs, store);
		if (!err)
			err = fileroom_load(&f->room, store, flow);
		if (!err)
			err = filetend_start(f);
	}
	if (err) {
		files_free(f);
		return err;
	}
	filerecv_start(f);
	filenotice_start(f);
	*out = f;
	return 0;
}

void files_set_accept(struct files *f, uint64_t accept)
{
	f->accept = accept;
}

void files_set_accept_total(struct files *f, uint64_t total)
{
	f->room.most = total;
}

void files_stop(struct files *f)
{
	flow_parcel_handler(f->flow, PARCEL_NOTICE, NULL, NULL);
	filerecv_stop(f);
	filetend_stop(f);
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

void files_free(struct files *f)
{
	if (!f)
		return;
	if (f->timer)
		uv_close((uv_handle_t *)f->timer, free_handle);
	if (f->tender)
		uv_close((uv_handle_t *)f->tender, free_handle);
	catalogs_free(&f->catalogs);
	fileroom_free(&f->room);
	free(f);
}
