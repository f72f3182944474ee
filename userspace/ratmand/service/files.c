// SPDX-License-Identifier: GPL-2.0-or-later
/* Files: life, looking at them, and the content they share. */
#include "ratmand/service/files_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"

/* Records looked at in one step of a list. */
#define LIST_STEP 128
#define PROGRESS_MS 1000
/* A request nobody answered for so long has stalled. */
#define PATIENCE_S 60

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

void files_stop(struct files *f)
{
	flow_parcel_handler(f->flow, PARCEL_NOTICE, NULL, NULL);
	filerecv_stop(f);
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
	catalogs_free(&f->catalogs);
	free(f);
}
