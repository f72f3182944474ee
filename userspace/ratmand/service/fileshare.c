// SPDX-License-Identifier: GPL-2.0-or-later
/* Files and others: announcing, sending, asking. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ratmand/service/files_priv.h"

/* The same holder is not asked again before. */
#define ASK_PAUSE_S 10
/* Catalogs are repeated when their user comes online, but not more often. */
#define REPEAT_S (6 * 3600)

static uint64_t now_s(void)
{
	return (uint64_t)(clock_wall_ns() / 1000000000);
}

static bool is_group(const struct recipient *to)
{
	return to->kind != RECIPIENT_ADDRESS;
}

/* Where what is for @to goes: "everybody" is the commons. */
static const struct recipient *destination(const struct recipient *to)
{
	return to->kind == RECIPIENT_NONE ? flow_everybody() : to;
}

static void describe(const struct files_entry *e, struct notice_file *out)
{
	memset(out, 0, sizeof(*out));
	out->id = e->meta.id;
	memcpy(out->name, e->meta.name, sizeof(out->name));
	out->size = e->meta.size;
	out->time_ns = e->meta.time_ns;
	memcpy(out->mime, e->mime, sizeof(out->mime));
	out->has_previous = e->meta.has_previous;
	out->previous = e->meta.previous;
}

/* Notices -------------------------------------------------------------------- */

static int send_notice(struct files *f, const struct address *from, const struct recipient *to,
		       const struct notice *notice)
{
	uint8_t data[2 + NOTICE_GRANT_LEN + NOTICE_FILE_MAX];
	struct wire_writer w;
	int err;

	wire_write_init(&w, data, sizeof(data));
	notice_write(&w, notice);
	err = flow_parcel_send(f->flow, PARCEL_NOTICE, from, destination(to), NULL, 0, data,
			       wire_len(&w), NULL, NULL);
	sodium_memzero(data, sizeof(data));
	return err;
}

int fileshare_say(struct files *f, enum notice_kind kind, const struct address *from,
		  const struct recipient *to, const struct ident *id, const uint8_t *grant)
{
	struct notice n = { .kind = kind, .id = *id };
	int err;

	if (grant)
		memcpy(n.grant, grant, sizeof(n.grant));
	err = send_notice(f, from, to, &n);
	sodium_memzero(&n, sizeof(n));
	return err;
}

static int announce_to(struct files *f, const struct records *r, const struct recipient *to,
		       const struct files_entry *e)
{
	struct notice n = { .kind = NOTICE_ANNOUNCE };

	describe(e, &n.file);
	n.id = n.file.id;
	return send_notice(f, &r->address, to, &n);
}

/* Catalogs ------------------------------------------------------------------- */

/* Writes what is in @old (may be NULL) without @drop and @add, and then @add (either may be NULL). */
static int write_catalog(struct wire_writer *w, const struct catalog *old, uint64_t stamp,
			 const uint8_t *grant, const struct ident *drop,
			 const struct notice_file *add)
{
	size_t n = add ? 1 : 0;

	for (int pass = 0; pass < 2; pass++) {
		if (pass && n > LIMIT_FILE_CATALOG)
			return -E2BIG;
		if (pass)
			notice_write_catalog(w, stamp, grant, (uint16_t)n);
		for (size_t i = 0; old && i < old->n; i++) {
			const struct notice_file *file = &old->files[i];

			if ((drop && ident_equal(&file->id, drop)) ||
			    (add && ident_equal(&file->id, &add->id)))
				continue;
			if (pass)
				notice_file_write(w, file);
			else
				n++;
		}
	}
	if (add)
		notice_file_write(w, add);
	return w->failed ? -EMSGSIZE : 0;
}

static int send_catalog(struct files *f, const struct address *from, const struct recipient *group,
			const uint8_t *data, size_t len)
{
	return flow_parcel_send(f->flow, PARCEL_NOTICE, from, destination(group), NULL, 0, data,
				len, NULL, NULL);
}

/* The user announces something else to the group: sends the whole anew, and keeps it. */
static int update_catalog(struct files *f, const struct records *r, const struct recipient *group,
			  const struct ident *drop, const struct notice_file *add)
{
	const struct catalog *old = catalogs_find(&f->catalogs, group, &r->address);
	uint8_t grant[NOTICE_GRANT_LEN] = { 0 };
	uint8_t *data;
	struct wire_writer w;
	uint64_t stamp;
	int err = 0;

	if (!add && (!old || !catalog_file(old, drop)))
		return 0;
	stamp = store_next_stamp(f->store, &r->address);
	if (!stamp)
		return store_failure(f->store);
	if (group->kind == RECIPIENT_NAMESPACE)
		err = files_grant(r, group, grant);
	data = err ? NULL : malloc(NOTICE_MAX);
	if (!data)
		return err ? err : -ENOMEM;
	wire_write_init(&w, data, NOTICE_MAX);
	err = write_catalog(&w, old, stamp, grant, drop, add);
	if (!err)
		err = send_catalog(f, &r->address, group, data, wire_len(&w));
	if (!err)
		err = filenotice_catalog(f, group, &r->address, true, data, wire_len(&w));
	sodium_memzero(grant, sizeof(grant));
	sodium_memzero(data, NOTICE_MAX);
	free(data);
	return err;
}

void fileshare_repeat(struct files *f, const struct address *user)
{
	uint8_t *data = malloc(NOTICE_MAX);
	struct wire_writer w;

	for (struct catalog *c = data ? f->catalogs.all : NULL; c; c = c->hh.next) {
		if (!c->own || !c->n || !address_equal(&c->key.owner, user) ||
		    now_s() < c->said_s + REPEAT_S)
			continue;
		wire_write_init(&w, data, NOTICE_MAX);
		if (!write_catalog(&w, c, c->stamp, c->grant, NULL, NULL) &&
		    !send_catalog(f, user, &c->group, data, wire_len(&w)))
			c->said_s = now_s();
	}
	if (data)
		sodium_memzero(data, NOTICE_MAX);
	free(data);
}

void fileshare_farewell(struct files *f, const struct records *r)
{
	uint8_t data[2 + 8 + NOTICE_GRANT_LEN + 2];
	struct wire_writer w;

	for (const struct catalog *c = f->catalogs.all; c; c = c->hh.next) {
		if (!c->n || !address_equal(&c->key.owner, &r->address))
			continue;
		wire_write_init(&w, data, sizeof(data));
		notice_write_catalog(&w, store_next_stamp(f->store, &r->address), c->grant, 0);
		(void)send_catalog(f, &r->address, &c->group, data, wire_len(&w));
	}
	sodium_memzero(data, sizeof(data));
}

/* Shares --------------------------------------------------------------------- */

static struct files_share *find_share(struct files_entry *e, const struct recipient *to)
{
	for (size_t i = 0; i < e->n_shares; i++)
		if (recipient_equal(&e->shares[i].to, to))
			return &e->shares[i];
	return NULL;
}

/* -E2BIG when there is no room for another. */
static int add_share(struct files_entry *e, const struct recipient *to, bool announced)
{
	struct files_share *share = find_share(e, to);

	if (!share && e->n_shares == LIMIT_FILE_SHARES)
		return -E2BIG;
	if (!share) {
		share = &e->shares[e->n_shares++];
		*share = (struct files_share){ .to = *to };
	}
	share->announced = share->announced || announced;
	return 0;
}

static int tell_share(struct files *f, const struct records *r, const struct files_entry *e,
		      const struct recipient *to, const struct ident *drop)
{
	struct notice_file file;

	if (!is_group(to))
		return announce_to(f, r, to, e);
	describe(e, &file);
	return update_catalog(f, r, to, drop, &file);
}

/* The file, which must be here. */
static int get_here(struct files *f, const struct records *r, const struct ident *id,
		    struct files_entry *e)
{
	struct flow_content content;
	int err = r ? files_get(r, id, e) : -EACCES;

	if (err == -ENOENT && files_next_catalog(f, &r->address, id, NULL))
		return -ENODATA;
	if (!err)
		err = e->meta.state == FILE_ANY ? -ENOENT : files_content(f, e, &content);
	if (err == -ESTALE) {
		(void)files_drop(f, r, e);
		err = -ENOENT;
	}
	sodium_memzero(&content, sizeof(content));
	return err;
}

static int check_recipient(const struct records *r, const struct recipient *to)
{
	if (to->kind == RECIPIENT_NONE)
		return 0;
	return !crypto_core_ed25519_is_valid_point(to->address.b) ||
	       address_equal(&to->address, &r->address) ? -EINVAL : 0;
}

static int announce(struct files *f, const struct records *r, struct files_entry *e,
		    const struct recipient *to)
{
	int err = check_recipient(r, to);

	if (!err)
		err = add_share(e, to, true);
	/* What cannot be told is not noted. */
	if (!err)
		err = tell_share(f, r, e, to, NULL);
	return err ? err : files_put(r, e);
}

static int withdraw(struct files *f, const struct records *r, struct files_entry *e,
		    const struct recipient *to)
{
	struct files_share *share = find_share(e, to);
	struct files_share gone;

	if (!share)
		return 0;
	gone = *share;
	*share = e->shares[--e->n_shares];
	if (is_group(to)) {
		int err = update_catalog(f, r, to, &e->meta.id, NULL);

		if (err)
			return err;
	} else if (gone.announced) {
		int err = fileshare_say(f, NOTICE_WITHDRAW, &r->address, to, &e->meta.id, NULL);

		if (err)
			return err;
	}
	return files_put(r, e);
}

void files_announce(struct files *f, const struct file_share *share, bool up, files_done_cb done,
		    void *ctx)
{
	const struct records *r = files_records(f, &share->user);
	struct files_entry e;
	int err = get_here(f, r, &share->id, &e);

	if (!err)
		err = up ? announce(f, r, &e, &share->to) : withdraw(f, r, &e, &share->to);
	sodium_memzero(&e, sizeof(e));
	if (err)
		done(ctx, err);
	else
		files_commit(f, done, ctx);
}

void fileshare_withdraw(struct files *f, const struct records *r, const struct files_entry *e)
{
	for (size_t i = 0; i < e->n_shares; i++) {
		const struct recipient *to = &e->shares[i].to;

		if (is_group(to))
			(void)update_catalog(f, r, to, &e->meta.id, NULL);
		else if (e->shares[i].announced)
			(void)fileshare_say(f, NOTICE_WITHDRAW, &r->address, to, &e->meta.id, NULL);
	}
}

int fileshare_refresh(struct files *f, const struct records *r, const struct files_entry *e)
{
	int err = 0;

	for (size_t i = 0; i < e->n_shares && !err; i++)
		if (e->shares[i].announced)
			err = tell_share(f, r, e, &e->shares[i].to, NULL);
	return err;
}

int fileshare_move(struct files *f, const struct records *r, struct files_entry *old,
		   struct files_entry *e)
{
	int err = 0;

	for (size_t i = 0; i < old->n_shares && !err; i++) {
		if (!old->shares[i].announced)
			continue;
		err = add_share(e, &old->shares[i].to, true);
		if (!err)
			err = tell_share(f, r, e, &old->shares[i].to, &old->meta.id);
	}
	old->n_shares = 0;
	if (!err)
		err = files_put(r, e);
	return err ? err : files_put(r, old);
}

/* Sending -------------------------------------------------------------------- */

int fileshare_give(struct files *f, const struct files_entry *e, const struct address *from,
		   const struct recipient *to)
{
	uint8_t meta[1 + NOTICE_FILE_MAX];
	struct flow_content content;
	struct notice_file file;
	struct wire_writer w;
	int err = files_content(f, e, &content);

	_Static_assert(sizeof(meta) <= PARCEL_META_MAX, "fits a parcel");
	if (err)
		return err;
	describe(e, &file);
	wire_write_init(&w, meta, sizeof(meta));
	notice_meta_write(&w, &file);
	err = flow_content_send(f->flow, PARCEL_FILE, from, to, meta, wire_len(&w), &content,
				NULL, NULL);
	sodium_memzero(&content, sizeof(content));
	return err;
}

static int send_all(struct files *f, const struct records *r, struct files_entry *e,
		    const struct file_send *send)
{
	int err = 0;

	for (size_t i = 0; i < send->n && !err; i++) {
		err = check_recipient(r, &send->to[i]);
		if (!err)
			err = add_share(e, &send->to[i], false);
	}
	if (!err)
		err = files_put(r, e);
	for (size_t i = 0; i < send->n && !err; i++)
		err = fileshare_give(f, e, &r->address, &send->to[i]);
	return err;
}

void files_send(struct files *f, const struct file_send *send, files_done_cb done, void *ctx)
{
	const struct records *r = files_records(f, &send->user);
	struct files_entry e;
	int err = get_here(f, r, &send->id, &e);

	if (!err)
		err = send_all(f, r, &e, send);
	sodium_memzero(&e, sizeof(e));
	if (err)
		done(ctx, err);
	else
		files_commit(f, done, ctx);
}

/* Asking --------------------------------------------------------------------- */

bool fileshare_was_asked(const struct files_entry *e, const struct address *who)
{
	for (size_t i = 0; i < e->n_asked; i++)
		if (address_equal(&e->asked[i], who))
			return true;
	return false;
}

void fileshare_forget_asked(struct files_entry *e, const struct address *who)
{
	for (size_t i = 0; i < e->n_asked; i++)
		if (address_equal(&e->asked[i], who)) {
			e->n_asked--;
			memmove(&e->asked[i], &e->asked[i + 1],
				(e->n_asked - i) * sizeof(e->asked[0]));
			return;
		}
}

int fileshare_ask(struct files *f, const struct records *r, struct files_entry *e,
		  const struct address *holder)
{
	const struct recipient to = { RECIPIENT_ADDRESS, *holder };
	const struct catalog *c = NULL;
	const uint8_t *grant = NULL;
	int err;

	/* Who has read of it in a namespace shows that, so that he gets it. */
	while (!grant && (c = files_next_catalog(f, &r->address, &e->meta.id, c)))
		if (address_equal(&c->key.owner, holder) && c->group.kind == RECIPIENT_NAMESPACE)
			grant = c->grant;
	fileshare_forget_asked(e, holder);
	if (e->n_asked == FILES_ASKED_MAX)
		fileshare_forget_asked(e, &e->asked[0]);
	e->asked[e->n_asked++] = *holder;
	e->asked_s = now_s();
	e->searching = false;
	e->meta.state = FILE_IN_PROGRESS;
	filetend_add(f, &r->address, &e->meta.id);
	err = files_put(r, e);
	return err ? err : fileshare_say(f, NOTICE_REQUEST, &r->address, &to, &e->meta.id, grant);
}

int fileshare_ask_next(struct files *f, const struct records *r, struct files_entry *e)
{
	const struct catalog *c = NULL;

	if (!address_is_zero(&e->meta.owner) && !address_equal(&e->meta.owner, &r->address) &&
	    !fileshare_was_asked(e, &e->meta.owner))
		return fileshare_ask(f, r, e, &e->meta.owner);
	while ((c = files_next_catalog(f, &r->address, &e->meta.id, c)))
		if (!fileshare_was_asked(e, &c->key.owner))
			return fileshare_ask(f, r, e, &c->key.owner);
	return -ENOENT;
}

/* Nobody is known to have it: asks everybody. */
static int search(struct files *f, const struct records *r, struct files_entry *e)
{
	const struct recipient everybody = { .kind = RECIPIENT_NONE };
	int err;

	e->asked_s = now_s();
	e->searching = true;
	e->meta.state = FILE_IN_PROGRESS;
	err = files_put(r, e);
	return err ? err : fileshare_say(f, NOTICE_REQUEST, &r->address, &everybody, &e->meta.id,
					 NULL);
}

/* A file nobody told us about: its name is not known, nor its size. */
static void init_unknown(struct files_entry *e, const struct file_request *q)
{
	memset(e, 0, sizeof(*e));
	e->meta.id = q->id;
	e->meta.time_ns = clock_wall_ns();
	if (q->has_owner)
		e->meta.owner = q->owner;
	snprintf(e->meta.name, sizeof(e->meta.name), "file-%02x%02x%02x%02x", q->id.b[0],
		 q->id.b[1], q->id.b[2], q->id.b[3]);
}

static int request(struct files *f, const struct records *r, const struct file_request *q)
{
	const struct catalog *c;
	struct flow_content content;
	struct files_entry e;
	bool lately;
	int err = r ? files_get(r, &q->id, &e) : -EACCES;

	if (!err && !files_content(f, &e, &content)) {
		sodium_memzero(&content, sizeof(content));
		return 0;
	}
	if (err && err != -ENOENT && err != -EBADMSG)
		return err;
	if (q->has_owner && address_equal(&q->owner, &q->user))
		return -EINVAL;
	if (err || e.meta.state == FILE_ANY || files_is_here(&e)) {
		c = files_next_catalog(f, &q->user, &q->id, NULL);
		if (c)
			files_entry_init(&e, &c->key.owner, catalog_file(c, &q->id),
					 FILE_ADVERTISED);
		else
			init_unknown(&e, q);
	}
	lately = e.meta.state == FILE_IN_PROGRESS && now_s() < e.asked_s + ASK_PAUSE_S;
	if (q->has_owner) {
		err = lately && e.n_asked && address_equal(&e.asked[e.n_asked - 1], &q->owner) ?
		      0 : fileshare_ask(f, r, &e, &q->owner);
	} else if (lately) {
		err = 0;
	} else {
		/* From the beginning again; who was asked may still answer. */
		err = fileshare_ask_next(f, r, &e);
		if (err == -ENOENT && e.n_asked) {
			struct address first = e.asked[0];

			err = fileshare_ask(f, r, &e, &first);
		}
		if (err == -ENOENT)
			err = search(f, r, &e);
	}
	if (!err)
		files_tell(f, &q->user, &e);
	return err;
}

void files_request(struct files *f, const struct file_request *q, files_done_cb done, void *ctx)
{
	int err = request(f, files_records(f, &q->user), q);

	if (err)
		done(ctx, err);
	else
		files_commit(f, done, ctx);
}

struct others {
	const struct ident *file;
	const struct address *holder;	/* but him */
	bool any;
};

static void find_other(void *ctx, const struct parcel_arriving *a)
{
	struct others *o = ctx;
	struct notice_file file;

	o->any = o->any || (a->info->kind == PARCEL_FILE &&
			    !address_equal(&a->info->from, o->holder) &&
			    !notice_meta_read(a->info->meta, a->info->meta_len, &file) &&
			    ident_equal(&file.id, o->file));
}

/* True when somebody but @holder has sent the user a part of it. */
static bool comes_from_others(struct files *f, const struct address *user, const struct ident *id,
			      const struct address *holder)
{
	struct others o = { id, holder, false };

	flow_parcels_arriving_each(f->flow, user, find_other, &o);
	return o.any;
}

void fileshare_holder_failed(struct files *f, const struct records *r, struct files_entry *e,
			     const struct address *holder)
{
	bool is_owner = address_equal(&e->meta.owner, holder);
	int err;

	if (e->searching)
		return;
	/* It stays among those who were asked, so that the next is another. */
	err = fileshare_ask_next(f, r, e);
	if (err != -ENOENT || comes_from_others(f, &r->address, &e->meta.id, holder))
		return;
	if (is_owner || address_is_zero(&e->meta.owner)) {
		(void)files_del(r, &e->meta.id);
	} else {
		e->meta.state = FILE_ADVERTISED;
		e->n_asked = 0;
		(void)files_put(r, e);
	}
	files_tell_now(f, &r->address, &e->meta.id);
}
