// SPDX-License-Identifier: GPL-2.0-or-later
/* What users see of files: one, all, their content, and what changes. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "ratmand/service/files_priv.h"

/* Records looked at in one step of a list. */
#define LIST_STEP 128
#define PROGRESS_MS 1000
/* A request nobody answered for so long has stalled. */
#define PATIENCE_S 60

/* Progress ------------------------------------------------------------------- */

struct progress {
	struct files_progress list[PROGRESS_MAX];
	size_t n;
};

static void collect_arriving(void *ctx, const struct parcel_arriving *a)
{
	struct progress *p = ctx;
	struct notice_file file;

	if (a->info->kind != PARCEL_FILE || p->n == PROGRESS_MAX ||
	    notice_meta_read(a->info->meta, a->info->meta_len, &file))
		return;
	p->list[p->n++] = (struct files_progress){ file.id, a->held, a->stalled };
}

static void collect_progress(struct files *f, const struct address *user, struct progress *p)
{
	p->n = 0;
	flow_parcels_arriving_each(f->flow, user, collect_arriving, p);
}

static const struct files_progress *find_progress(const struct files_progress *list, size_t n,
						  const struct ident *id)
{
	for (size_t i = 0; i < n; i++)
		if (ident_equal(&list[i].id, id))
			return &list[i];
	return NULL;
}

/* What the user sees of @e. */
static struct file_meta show(const struct files_entry *e, const struct progress *p)
{
	uint64_t now_s = (uint64_t)(clock_wall_ns() / 1000000000);
	const struct files_progress *own;
	struct file_meta m = e->meta;

	m.local_bytes = files_is_here(e) ? m.size : 0;
	if (m.state != FILE_IN_PROGRESS)
		return m;
	own = find_progress(p->list, p->n, &m.id);
	if (own) {
		m.local_bytes = own->held < m.size ? own->held : m.size;
		m.stalled = own->stalled;
	} else {
		m.stalled = now_s > e->asked_s + PATIENCE_S;
	}
	return m;
}

static struct file_meta show_advert(const struct address *owner, const struct notice_file *file)
{
	struct files_entry e;

	files_entry_init(&e, owner, file, FILE_ADVERTISED);
	return e.meta;
}

/* Watching ------------------------------------------------------------------- */

static void tell(struct files *f, const struct address *user, const struct file_meta *meta)
{
	struct files_watch *w;

	DL_FOREACH(f->watches, w)
		if (address_equal(&w->user, user))
			w->cb(w->ctx, meta);
}

static bool is_watched(const struct files *f, const struct address *user)
{
	const struct files_watch *w;

	DL_FOREACH(f->watches, w)
		if (address_equal(&w->user, user))
			return true;
	return false;
}

void files_tell(struct files *f, const struct address *user, const struct files_entry *e)
{
	struct progress p;
	struct file_meta m;

	if (!is_watched(f, user))
		return;
	collect_progress(f, user, &p);
	m = show(e, &p);
	tell(f, user, &m);
}

void files_tell_advert(struct files *f, const struct address *user, const struct address *owner,
		       const struct notice_file *file)
{
	struct file_meta m = show_advert(owner, file);

	tell(f, user, &m);
}

void files_tell_now(struct files *f, const struct address *user, const struct ident *id)
{
	struct file_meta m;

	if (is_watched(f, user) && !files_status(f, user, id, &m))
		tell(f, user, &m);
}

/* What has changed of the files that are arriving. */
static void watch_progress(struct files *f, struct files_watch *w)
{
	const struct records *r = files_records(f, &w->user);
	struct files_entry e;
	struct progress p;

	if (!r)
		return;
	collect_progress(f, &w->user, &p);
	for (size_t i = 0; i < p.n; i++) {
		const struct files_progress *now = &p.list[i];
		const struct files_progress *old = find_progress(w->seen, w->n_seen, &now->id);

		if ((!old || old->held != now->held || old->stalled != now->stalled) &&
		    !files_get(r, &now->id, &e) && e.meta.state == FILE_IN_PROGRESS) {
			struct file_meta m = show(&e, &p);

			w->cb(w->ctx, &m);
		}
	}
	memcpy(w->seen, p.list, sizeof(w->seen));
	w->n_seen = p.n;
}

static void on_timer(uv_timer_t *timer)
{
	struct files *f = timer->data;
	struct files_watch *w;

	DL_FOREACH(f->watches, w)
		watch_progress(f, w);
}

int files_watch_open(struct files *f, const struct address *user, files_meta_cb cb, void *ctx,
		     struct files_watch **out)
{
	struct files_watch *w;

	if (!files_records(f, user))
		return -EACCES;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->files = f;
	w->user = *user;
	w->cb = cb;
	w->ctx = ctx;
	DL_APPEND(f->watches, w);
	uv_timer_start(f->timer, on_timer, PROGRESS_MS, PROGRESS_MS);
	*out = w;
	return 0;
}

void files_watch_close(struct files_watch *w)
{
	struct files *f;

	if (!w)
		return;
	f = w->files;
	DL_DELETE(f->watches, w);
	if (!f->watches)
		uv_timer_stop(f->timer);
	free(w);
}

/* Looking --------------------------------------------------------------------- */

int files_status(struct files *f, const struct address *user, const struct ident *id,
		 struct file_meta *out)
{
	const struct records *r = files_records(f, user);
	const struct catalog *c;
	struct flow_content content;
	struct files_entry e;
	struct progress p;
	int err = r ? files_get(r, id, &e) : -EACCES;

	if (!err && files_content(f, &e, &content) == -ESTALE) {
		(void)files_drop(f, r, &e);
		err = -ENOENT;
	}
	sodium_memzero(&content, sizeof(content));
	if (!err && e.meta.state == FILE_ANY)
		return -ENOENT;
	if (!err) {
		collect_progress(f, user, &p);
		*out = show(&e, &p);
		sodium_memzero(&e, sizeof(e));
		return 0;
	}
	c = err == -ENOENT ? files_next_catalog(f, user, id, NULL) : NULL;
	if (c)
		*out = show_advert(&c->key.owner, catalog_file(c, id));
	return c ? 0 : err;
}

struct files_list {
	struct files *files;
	struct file_query query;
	struct records_walk walk;
	struct catalog_key *catalogs;	/* owned: those there were, looked up when their turn comes */
	size_t n_catalogs, at;
	struct progress progress;
	files_meta_cb cb;		/* of the step under way */
	void *ctx;
};

int files_list_open(struct files *f, const struct file_query *query, struct files_list **out)
{
	const struct records *r = files_records(f, &query->user);
	struct files_list *l;
	int err;

	if (!r)
		return -EACCES;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->files = f;
	l->query = *query;
	l->catalogs = calloc(HASH_COUNT(f->catalogs.all) + 1, sizeof(*l->catalogs));
	err = l->catalogs ? files_walk_begin(r, &l->walk) : -ENOMEM;
	if (err) {
		files_list_close(l);
		return err;
	}
	for (const struct catalog *c = f->catalogs.all; c; c = c->hh.next)
		l->catalogs[l->n_catalogs++] = c->key;
	collect_progress(f, &query->user, &l->progress);
	*out = l;
	return 0;
}

void files_list_close(struct files_list *l)
{
	if (!l)
		return;
	records_walk_end(&l->walk);
	free(l->catalogs);
	free(l);
}

static void list_meta(struct files_list *l, const struct file_meta *m)
{
	if ((l->query.state == FILE_ANY || l->query.state == m->state) &&
	    file_name_fits(m->name, l->query.pattern))
		l->cb(l->ctx, m);
}

static int list_entry(void *ctx, const struct files_entry *e)
{
	struct files_list *l = ctx;
	struct flow_content content;
	struct file_meta m;

	if (e->meta.state == FILE_ANY || files_content(l->files, e, &content) == -ESTALE)
		return 0;
	sodium_memzero(&content, sizeof(content));
	m = show(e, &l->progress);
	list_meta(l, &m);
	return 0;
}

/* True when an earlier catalog of the list has the file, too. */
static bool is_listed(const struct files_list *l, const struct ident *id)
{
	const struct catalog *c;

	for (size_t i = 0; i + 1 < l->at; i++) {
		HASH_FIND(hh, l->files->catalogs.all, &l->catalogs[i], sizeof(l->catalogs[i]), c);
		if (c && !address_equal(&c->key.owner, &l->query.user) && catalog_file(c, id) &&
		    files_in_group(l->files, &l->query.user, &c->group))
			return true;
	}
	return false;
}

/* The files of one catalog that the user has no record of. */
static void list_catalog(struct files_list *l, const struct records *r)
{
	const struct catalog_key *key = &l->catalogs[l->at++];
	const struct catalog *c;
	struct files_entry e;

	HASH_FIND(hh, l->files->catalogs.all, key, sizeof(*key), c);
	if (!c || address_equal(&c->key.owner, &l->query.user) ||
	    !files_in_group(l->files, &l->query.user, &c->group))
		return;
	for (size_t i = 0; i < c->n; i++) {
		struct file_meta m = show_advert(&c->key.owner, &c->files[i]);

		if (!is_listed(l, &m.id) && files_get(r, &m.id, &e) == -ENOENT)
			list_meta(l, &m);
	}
}

int files_list_step(struct files_list *l, files_meta_cb cb, void *ctx)
{
	const struct records *r = files_records(l->files, &l->query.user);
	int more;

	if (!r)
		return -EACCES;
	l->cb = cb;
	l->ctx = ctx;
	if (l->walk.at < l->walk.n) {
		more = files_walk_next(r, &l->walk, LIST_STEP, list_entry, l);
		return more < 0 ? more : more || l->n_catalogs;
	}
	if (l->at < l->n_catalogs)
		list_catalog(l, r);
	return l->at < l->n_catalogs;
}

struct files_read {
	struct flow_content_reader *reader;	/* owned */
	uint64_t at, size;
};

int files_read_open(struct files *f, const struct address *user, const struct ident *id,
		    uint64_t *size, struct files_read **out)
{
	const struct records *r = files_records(f, user);
	struct flow_content content;
	struct files_read *read;
	struct files_entry e;
	int err = r ? files_get(r, id, &e) : -EACCES;

	if (err == -ENOENT && files_next_catalog(f, user, id, NULL))
		return -ENODATA;
	if (err)
		return err;
	err = e.meta.state == FILE_ANY ? -ENOENT : files_content(f, &e, &content);
	if (err == -ESTALE) {
		(void)files_drop(f, r, &e);
		err = -ENOENT;
	}
	read = err ? NULL : calloc(1, sizeof(*read));
	if (!err)
		err = read ? flow_content_read_open(f->flow, &content, &read->reader) : -ENOMEM;
	if (!err) {
		*size = read->size = content.size;
		*out = read;
	} else {
		free(read);
	}
	sodium_memzero(&content, sizeof(content));
	sodium_memzero(&e, sizeof(e));
	return err;
}

ssize_t files_read_next(struct files_read *r, void *buf, size_t size)
{
	ssize_t n = flow_content_read_at(r->reader, r->at, buf, size);

	if (n > 0)
		r->at += (uint64_t)n;
	return !n && r->at < r->size ? -EBADMSG : n;
}

void files_read_close(struct files_read *r)
{
	if (!r)
		return;
	flow_content_read_close(r->reader);
	free(r);
}
