// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/users.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "proto/field.h"
#include "ratmand/service/exact.h"
#include "ratmand/service/search.h"
#include "ratmand/service/users_priv.h"

/* A change that waits for its commit. */
struct users_change {
	struct users_change *prev, *next;
	struct users *users;	/* NULL: gone */
	struct address id;
	store_done_cb cb;	/* may be NULL */
	void *ctx;
};

struct users_watch {
	struct users *users;
	struct directory_watch *watch;	/* owned */
};

static enum profile_side side_of(const struct directory_entry *e)
{
	return e->local ? PROFILES_HERE : PROFILES_ELSEWHERE;
}

/* What the store has of somebody elsewhere goes. */
static void forget_remote(struct users *u, const struct directory_entry *e)
{
	struct profile_record record;

	if (!e->filled)
		return;
	if (!profiles_get(u->store, PROFILES_ELSEWHERE, &e->id, &record, NULL))
		exact_remove(u->store, &record.profile, NULL);
	profiles_remove(u->store, PROFILES_ELSEWHERE, &e->id);
}

static void on_evicted(void *ctx, const struct directory_entry *e)
{
	struct users *u = ctx;

	u->stats.evicted++;
	forget_remote(u, e);
	/* His newest may come again, and fills his place. */
	if (e->version > 1)
		(void)bygone_put(&u->bygone, &e->id, e->version - 1, false);
}

/* Notes in the directory what the store has. */
static void fill(struct users *u, struct directory_entry *e, const struct profile_record *record)
{
	struct fold_sum sum;

	search_sum(&record->profile, &sum);
	directory_fill(u->directory, e, record->version, &sum);
}

/* Life ------------------------------------------------------------------------------ */

struct load {
	struct users *users;
	bool local;
	bool failed;
};

static void load_one(void *ctx, const struct profile_record *record)
{
	struct load *load = ctx;
	struct directory *d = load->users->directory;
	const struct address *id = &record->profile.id;
	struct directory_entry *e;

	if (directory_find(d, id))
		return;
	e = directory_add(d, id, load->local, record->first_ns, record->first_ns);
	if (e)
		fill(load->users, e, record);
	else
		load->failed = true;
}

static int load(struct users *u)
{
	struct load load = { .users = u, .local = true };
	int err = profiles_each(u->store, PROFILES_HERE, load_one, &load);

	load.local = false;
	if (!err)
		err = profiles_each(u->store, PROFILES_ELSEWHERE, load_one, &load);
	if (!err && load.failed)
		err = -ENOMEM;
	if (err)
		return err;
	/* Garbage is no reason not to start. */
	if (profiles_tidy(u->store, PROFILES_HERE) || profiles_tidy(u->store, PROFILES_ELSEWHERE))
		log_warn("users: pictures nobody has any more cannot be removed now");
	return 0;
}

int users_new(struct users **out, uv_loop_t *loop, struct store *store, size_t most,
	      const struct users_ops *ops, void *ctx)
{
	static const struct users_ops nobody;
	struct users *u = calloc(1, sizeof(*u));
	int err;

	if (!u)
		return -ENOMEM;
	u->loop = loop;
	u->store = store;
	u->ops = ops ? ops : &nobody;
	u->ctx = ctx;
	u->directory = directory_new(most, on_evicted, u);
	err = u->directory ? bygone_load(&u->bygone, store) : -ENOMEM;
	if (!err)
		err = lookups_init(u);
	if (err) {
		bygone_free(&u->bygone);
		directory_free(u->directory);
		free(u);
		return err;
	}
	err = load(u);
	if (err) {
		users_free(u);
		return err;
	}
	*out = u;
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle->data);
}

void users_free(struct users *u)
{
	struct users_change *change;

	if (!u)
		return;
	lookups_stop(u);
	DL_FOREACH(u->changes, change)
		change->users = NULL;
	directory_free(u->directory);
	u->directory = NULL;
	bygone_free(&u->bygone);
	u->turn.data = u;
	uv_close((uv_handle_t *)&u->turn, on_closed);
}

const struct users_stats *users_stats(const struct users *u)
{
	return &u->stats;
}

size_t users_count(const struct users *u)
{
	return directory_count(u->directory);
}

/* Who there is ------------------------------------------------------------------------ */

void users_seen(struct users *u, const struct address *id, int64_t first_ns, int64_t last_ns)
{
	struct directory_entry *e = directory_find(u->directory, id);

	if (!e) {
		if (!bygone_is_gone(&u->bygone, id))
			directory_add(u->directory, id, false, first_ns, last_ns);
		return;
	}
	if (first_ns < e->first_ns)
		e->first_ns = first_ns;
	directory_seen(u->directory, e, last_ns);
}

int users_ready(struct users *u)
{
	return directory_sort(u->directory);
}

bool users_has_local(const struct users *u, const struct address *id)
{
	const struct directory_entry *e = directory_find(u->directory, id);

	return e && e->local;
}

/* The entry of a local user, who may have been known as somebody elsewhere. */
static struct directory_entry *add_local(struct users *u, const struct address *id, int64_t first_ns)
{
	struct directory_entry *e = directory_find(u->directory, id);

	if (e && e->local)
		return e;
	if (e) {
		forget_remote(u, e);
		directory_remove(u->directory, e);
	}
	bygone_remove(&u->bygone, id);
	return directory_add(u->directory, id, true, first_ns, first_ns);
}

/* Queues a local user's record under a new version. */
static int put_local(struct users *u, struct profile_record *record, bool new_avatar)
{
	const struct address *id = &record->profile.id;
	struct directory_entry *e;
	int err;

	record->version = store_next_stamp(u->store, id);
	if (!record->version)
		return store_failure(u->store);
	record->profile.updated_ns = clock_wall_ns();
	err = profiles_put(u->store, PROFILES_HERE, record, new_avatar);
	if (err)
		return err;
	e = add_local(u, id, record->first_ns);
	if (!e)
		return -ENOMEM;
	fill(u, e, record);
	return 0;
}

static void new_record(struct profile_record *record, const struct address *id)
{
	record->version = record->avatar_version = 0;
	record->first_ns = clock_wall_ns();
	profile_init(&record->profile, id);
}

static void reload(struct users *u, const struct address *id)
{
	struct directory_entry *e = directory_find(u->directory, id);
	struct profile_record record;

	if (!e || !e->local)
		return;
	if (profiles_get(u->store, PROFILES_HERE, id, &record, NULL))
		directory_remove(u->directory, e);
	else
		fill(u, e, &record);
}

int users_forget(struct users *u, const struct address *id)
{
	struct directory_entry *e = directory_find(u->directory, id);

	if (e && e->local) {
		(void)bygone_put(&u->bygone, id, e->version, true);
		directory_remove(u->directory, e);
	}
	return profiles_remove(u->store, PROFILES_HERE, id);
}

int users_read(struct users *u, const struct directory_entry *e, struct profile_record *out,
	       uint8_t *avatar)
{
	int err;

	if (!e->filled) {
		out->version = out->avatar_version = 0;
		out->first_ns = e->first_ns;
		profile_init(&out->profile, &e->id);
	} else {
		err = profiles_get(u->store, side_of(e), &e->id, out, avatar);
		if (err)
			return err;
	}
	if (e->local)
		out->profile.flags |= PROFILE_LOCAL;
	if (u->ops->online && u->ops->online(u->ctx, &e->id, e->local))
		out->profile.flags |= PROFILE_ONLINE;
	return 0;
}

int users_get(struct users *u, const struct address *id, struct profile_record *out,
	      uint8_t *avatar)
{
	const struct directory_entry *e = directory_find(u->directory, id);

	return e ? users_read(u, e, out, avatar) : -ENOENT;
}

/* Changes ------------------------------------------------------------------------------- */

static void on_durable(void *ctx, int err)
{
	struct users_change *change = ctx;
	struct users *u = change->users;
	struct directory_entry *e;

	if (u) {
		DL_DELETE(u->changes, change);
		if (err)
			reload(u, &change->id);
		e = directory_find(u->directory, &change->id);
		if (!err && e) {
			directory_changed(u->directory, e);
			if (u->ops->changed)
				u->ops->changed(u->ctx, &change->id);
		}
	}
	if (change->cb)
		change->cb(change->ctx, err);
	free(change);
}

/* Waits for what is queued for the user @id. */
static void await(struct users *u, struct users_change *change, const struct address *id,
		  store_done_cb cb, void *ctx)
{
	change->users = u;
	change->id = *id;
	change->cb = cb;
	change->ctx = ctx;
	DL_APPEND(u->changes, change);
	store_commit(u->store, on_durable, change);
}

int users_check_handle(const char *handle)
{
	size_t len = handle ? strlen(handle) : 0;

	if (len > LIMIT_HANDLE)
		return -E2BIG;
	return field_is_utf8((const uint8_t *)handle, len) ? 0 : -EINVAL;
}

static int create(struct users *u, const struct address *id, const char *handle)
{
	struct profile_record record;
	int err = users_check_handle(handle);

	if (err)
		return err;
	new_record(&record, id);
	if (handle) {
		strcpy(record.profile.handle, handle);
		record.profile.has_handle = true;
	}
	return put_local(u, &record, false);
}

int users_create(struct users *u, const struct address *id, const char *handle)
{
	struct users_change *change;
	int err;

	if (users_has_local(u, id))
		return -EEXIST;
	change = calloc(1, sizeof(*change));
	err = change ? create(u, id, handle) : -ENOMEM;
	if (err)
		free(change);
	else
		await(u, change, id, NULL, NULL);
	return err;
}

static int modify(struct users *u, const struct address *id, const struct user_update *update)
{
	static uint8_t avatar[LIMIT_AVATAR];
	struct profile_record record;
	int err = profiles_get(u->store, PROFILES_HERE, id, &record, avatar);

	if (err == -ENOENT) {
		new_record(&record, id);
		err = 0;
	}
	if (!err)
		err = user_update_apply(update, &record.profile);
	return err ? err : put_local(u, &record, update->avatar_change != USER_KEEP);
}

void users_modify(struct users *u, const struct address *id, const struct user_update *update,
		  store_done_cb cb, void *ctx)
{
	struct users_change *change = calloc(1, sizeof(*change));
	int err = change ? modify(u, id, update) : -ENOMEM;

	if (err) {
		free(change);
		cb(ctx, err);
		return;
	}
	await(u, change, id, cb, ctx);
}

/* From others ---------------------------------------------------------------------------- */

void users_malformed(struct users *u)
{
	u->stats.malformed++;
}

/* Puts the record of somebody elsewhere, of whom @e tells what is known (NULL: nothing). */
static int put_remote(struct users *u, const struct directory_entry *e,
		      struct profile_record *record)
{
	struct profile_record old;
	bool has_old = e && e->filled &&
		       !profiles_get(u->store, PROFILES_ELSEWHERE, &e->id, &old, NULL);
	const struct profile *before = has_old ? &old.profile : NULL;
	int err = exact_add(u->store, before, &record->profile);

	if (!err) {
		err = profiles_put(u->store, PROFILES_ELSEWHERE, record, true);
		if (err)
			exact_remove(u->store, &record->profile, before);
		else if (has_old)
			exact_remove(u->store, before, &record->profile);
	}
	/* What is evicted is room only after some commits: the next announcement finds it. */
	if (err == -EDQUOT)
		for (int i = 0; i < 64 && directory_evict_filled(u->directory); i++)
			;
	return err;
}

/* @from, of whom @e tells what is known (NULL: nothing), is gone as of @version. */
static void say_goodbye(struct users *u, struct directory_entry *e, const struct address *from,
			uint64_t version)
{
	u->stats.gone++;
	if (e) {
		forget_remote(u, e);
		directory_remove(u->directory, e);
	}
	(void)bygone_put(&u->bygone, from, version, true);
}

void users_merge(struct users *u, const struct address *from, uint64_t version,
		 const struct profile *profile)
{
	struct directory_entry *e = directory_find(u->directory, from);
	struct profile_record record = { .version = version };
	int64_t now = clock_wall_ns();

	if (profile && !address_equal(&profile->id, from)) {
		u->stats.forged++;
		return;
	}
	if ((e && (e->local || e->version >= version)) ||
	    bygone_version(&u->bygone, from) >= version) {
		u->stats.old++;
		return;
	}
	if (!profile) {
		say_goodbye(u, e, from, version);
		return;
	}
	record.profile = *profile;
	record.first_ns = e ? e->first_ns : now;
	/* The time is the user's word; ours is that it is not in the future. */
	if (record.profile.updated_ns > now)
		record.profile.updated_ns = now;
	if (put_remote(u, e, &record)) {
		u->stats.no_room++;
		return;
	}
	/* Found again: he may have been the one to go. */
	e = directory_find(u->directory, from);
	if (!e)
		e = directory_add(u->directory, from, false, now, now);
	if (!e)
		return;
	fill(u, e, &record);
	bygone_remove(&u->bygone, from);
	u->stats.merged++;
	directory_changed(u->directory, e);
}

/* Watching --------------------------------------------------------------------------------- */

int users_watch(struct users *u, users_ready_cb ready, void *ctx, struct users_watch **out)
{
	struct users_watch *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->users = u;
	w->watch = directory_watch(u->directory, ready, ctx);
	if (!w->watch) {
		free(w);
		return -ENOMEM;
	}
	*out = w;
	return 0;
}

void users_unwatch(struct users_watch *w)
{
	directory_unwatch(w->users->directory, w->watch);
	free(w);
}

int users_watch_next(struct users_watch *w, struct profile_record *out, uint8_t *avatar)
{
	const struct directory_entry *e;

	while ((e = directory_watch_next(w->watch)))
		if (!users_read(w->users, e, out, avatar))
			return 0;
	return -EAGAIN;
}
