// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Downloads that do not move: another holder is asked. The one who was asked before is
 * not given up, whoever brings all of it first ends it. What is looked after is in memory; after
 * a restart it is what has come in part.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <utlist.h>

#include "ratmand/service/files_priv.h"

/* In so many looks nothing moves before the next holder is asked, ... */
#define LOOKS 6
/* ... and this many times longer, when somebody is sending, however slowly. */
#define SLOW 5

struct download {
	struct download *prev, *next;
	struct address user;
	struct ident id;
	uint64_t held;			/* bytes, from all who send it, as last seen */
	uint64_t found;			/* the same, in the look under way */
	uint64_t moved_at;		/* loop ms */
	bool sending;			/* somebody was, in the look under way */
	bool looked;
};

static struct download *find(const struct files *f, const struct address *user,
			     const struct ident *id)
{
	struct download *d;

	DL_FOREACH(f->downloads, d)
		if (ident_equal(&d->id, id) && address_equal(&d->user, user))
			return d;
	return NULL;
}

static void drop(struct files *f, struct download *d)
{
	DL_DELETE(f->downloads, d);
	free(d);
	f->n_downloads--;
}

static void on_timer(uv_timer_t *timer);

void filetend_add(struct files *f, const struct address *user, const struct ident *id)
{
	struct download *d = find(f, user, id);

	/* Those beyond are left to their users. */
	if (!d && f->n_downloads < DOWNLOADS_MAX) {
		d = calloc(1, sizeof(*d));
		if (!d)
			return;
		d->user = *user;
		d->id = *id;
		DL_APPEND(f->downloads, d);
		f->n_downloads++;
	}
	if (!d)
		return;
	d->moved_at = uv_now(f->loop);
	if (!uv_is_active((uv_handle_t *)f->tender))
		uv_timer_start(f->tender, on_timer, f->stall_ms / LOOKS, f->stall_ms / LOOKS);
}

struct look {
	struct files *files;
	const struct address *user;
	bool add;
};

static void on_arriving(void *ctx, const struct parcel_arriving *a)
{
	struct look *look = ctx;
	struct notice_file file;
	struct download *d;

	if (a->info->kind != PARCEL_FILE ||
	    notice_meta_read(a->info->meta, a->info->meta_len, &file))
		return;
	if (look->add)
		filetend_add(look->files, look->user, &file.id);
	d = find(look->files, look->user, &file.id);
	if (!d)
		return;
	d->found += a->held;
	d->sending = d->sending || !a->stalled;
}

void filetend_user_up(struct files *f, const struct address *user)
{
	struct look look = { f, user, true };

	flow_parcels_arriving_each(f->flow, user, on_arriving, &look);
}

/* Sees how far the downloads of @user are, all of them. */
static void look_at(struct files *f, const struct address *user)
{
	struct look look = { f, user, false };
	uint64_t now = uv_now(f->loop);
	struct download *d;

	DL_FOREACH(f->downloads, d)
		if (address_equal(&d->user, user)) {
			d->looked = true;
			d->sending = false;
			d->found = 0;
		}
	flow_parcels_arriving_each(f->flow, user, on_arriving, &look);
	DL_FOREACH(f->downloads, d) {
		if (!address_equal(&d->user, user))
			continue;
		if (d->found > d->held)
			d->moved_at = now;
		d->held = d->found;
	}
}

/* One that does not move. False when it is none any more. */
static bool ask_another(struct files *f, struct download *d)
{
	const struct records *r = files_records(f, &d->user);
	struct files_entry e;
	bool goes_on = r && !files_get(r, &d->id, &e) && e.meta.state == FILE_IN_PROGRESS;

	if (goes_on && !e.searching && !fileshare_ask_next(f, r, &e)) {
		f->stats.asked_again++;
		files_tell(f, &d->user, &e);
	}
	sodium_memzero(&e, sizeof(e));
	return goes_on;
}

static void on_timer(uv_timer_t *timer)
{
	struct files *f = timer->data;
	uint64_t now = uv_now(f->loop);
	struct download *d, *next;

	DL_FOREACH(f->downloads, d)
		d->looked = false;
	DL_FOREACH(f->downloads, d)
		if (!d->looked)
			look_at(f, &d->user);
	DL_FOREACH_SAFE(f->downloads, d, next) {
		if (now - d->moved_at < f->stall_ms * (d->sending ? SLOW : 1))
			continue;
		d->moved_at = now;
		if (!ask_another(f, d))
			drop(f, d);
	}
	if (!f->downloads)
		uv_timer_stop(timer);
}

int filetend_start(struct files *f)
{
	f->stall_ms = FILE_STALL_MS;
	f->tender = malloc(sizeof(*f->tender));
	if (!f->tender)
		return -ENOMEM;
	uv_timer_init(f->loop, f->tender);
	uv_unref((uv_handle_t *)f->tender);
	f->tender->data = f;
	return 0;
}

void filetend_stop(struct files *f)
{
	uv_timer_stop(f->tender);
	while (f->downloads)
		drop(f, f->downloads);
}
