// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 9, User: profiles (service-api.md section 7.3).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/api/watcher.h"
#include "ratmand/api/listing.h"

/* False, and answered, when this backend has no users. */
static bool need_profiles(struct client *c)
{
	if (c->server->ops->profile)
		return true;
	client_reply_code(c, PING_E_NOT_SUPPORTED);
	return false;
}

static void reply_no_user(struct client *c)
{
	client_reply_service(c, SERVICE_E_NO_USER,
			     "nobody of this id is known here; see User/List");
}

/* What the backend says of a profile. */
static void reply_failure(struct client *c, int err)
{
	char text[PING_TEXT_MAX];

	switch (err) {
	case -ENOENT:
		reply_no_user(c);
		break;
	case -E2BIG:
		snprintf(text, sizeof(text),
			 "the profile would be too large: handle %d, display name %d, avatar %u bytes; bio %d pairs, %u bytes; services %d, %u bytes",
			 LIMIT_HANDLE, LIMIT_DISPLAY_NAME, LIMIT_AVATAR, LIMIT_BIO_PAIRS,
			 LIMIT_BIO_BYTES, LIMIT_PROFILE_SERVICES, LIMIT_PROFILE_SERVICE_BYTES);
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD, text);
		break;
	case -EBADMSG:
		client_reply_service(c, SERVICE_E_IO_FAULT, "what was stored of the profile is damaged");
		break;
	default:
		client_reply_service_errno(c, err);
	}
}

/* Adds one profile; false when it does not fit any more. */
static bool collect(void *ctx, const struct profile *profile)
{
	size_t len = profile_len(profile);
	struct listing *l = ctx;
	struct wire_writer w;
	uint8_t *entry;

	if (l->n && l->len + len > LIMIT_PROFILE_PAGE)
		return false;
	entry = listing_add(l, &profile->id, len);
	if (!entry)
		return false;
	wire_write_init(&w, entry, len);
	profile_write(&w, profile);
	return true;
}

/* Searches ---------------------------------------------------------------------------- */

struct search_job {
	struct client_job job;		/* first member */
	struct client *client;
	struct backend_search *search;
	struct listing list;
};

static void search_gone(struct client *c, struct client_job *job)
{
	struct search_job *j = (struct search_job *)job;

	c->server->ops->profile->search_stop(j->search);
	listing_free(&j->list);
	free(j);
}

static bool on_found(void *ctx, const struct profile *profile)
{
	struct search_job *j = ctx;

	return collect(&j->list, profile);
}

static void on_searched(void *ctx, int err)
{
	struct search_job *j = ctx;
	struct client *c = j->client;

	client_end_job(c);
	if (err) {
		listing_free(&j->list);
		client_reply_internal(c, true, strerror(-err));
	} else {
		listing_reply(c, &j->list, PING_PROFILES, false, true);
	}
	free(j);
	client_process(c);
}

static void search(struct client *c, const struct user_query *q, enum user_scope scope)
{
	struct api_server *s = c->server;
	struct search_job *j = calloc(1, sizeof(*j));
	int err = -ENOMEM;

	if (j) {
		j->job.gone = search_gone;
		j->client = c;
		err = s->ops->profile->search(s->be, q, scope, on_found, on_searched, j, &j->search);
	}
	if (err) {
		free(j);
		client_reply_internal(c, true, "out of memory");
		return;
	}
	client_start_job(c, &j->job);
}

void user_list(struct client *c)
{
	struct user_query q = { .n = 0 };
	struct user_list l;

	if (!need_profiles(c))
		return;
	if (user_list_read(c->payload, c->header.payload_len, &l)) {
		client_reply_service(c, SERVICE_E_INVALID_QUERY,
				     "expected nothing, or a scope: 0 local, 1 remote, 2 both; then skip and take");
		return;
	}
	q.skip = l.skip;
	q.take = l.take < LIMIT_PROFILE_TAKE ? l.take : LIMIT_PROFILE_TAKE;
	search(c, &q, l.scope);
}

static void get(struct client *c, const struct address *id)
{
	struct api_server *s = c->server;
	struct listing l = { 0 };
	int err = s->ops->profile->get(s->be, id, collect, &l);

	if (err) {
		listing_free(&l);
		reply_failure(c, err);
	} else {
		listing_reply(c, &l, PING_PROFILES, false, true);
	}
}

void user_query(struct client *c)
{
	struct user_query q;
	char text[PING_TEXT_MAX];

	if (!need_profiles(c))
		return;
	switch (user_query_read(c->payload, c->header.payload_len, &q)) {
	case 0:
		break;
	case -E2BIG:
		snprintf(text, sizeof(text), "at most %d terms, each pattern at most %d bytes",
			 LIMIT_QUERY_TERMS, LIMIT_QUERY_PATTERN);
		client_reply_service(c, SERVICE_E_INVALID_QUERY, text);
		return;
	default:
		client_reply_service(c, SERVICE_E_INVALID_QUERY,
				     "expected 0 and an id, or 1, terms (attribute, pattern, match 0 to 3), skip and take; text is UTF-8");
		return;
	}
	if (q.take > LIMIT_PROFILE_TAKE)
		q.take = LIMIT_PROFILE_TAKE;
	if (q.by_id)
		get(c, &q.id);
	else
		search(c, &q, USER_BOTH);
}

/* Changes ------------------------------------------------------------------------------ */

static void on_modified(void *ctx, int err)
{
	client_done(ctx, err, reply_failure);
}

static void refuse_update(struct client *c, int err)
{
	switch (err) {
	case -E2BIG:
		reply_failure(c, err);
		break;
	case -EEXIST:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "each key and each service once");
		break;
	default:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "expected an id, 0 and a UserUpdate; text is UTF-8, keys and services are not empty");
	}
}

void user_modify_profile(struct client *c)
{
	struct api_server *s = c->server;
	struct user_update *update;
	struct wire_reader r;
	struct address id;
	int err;

	if (!need_profiles(c))
		return;
	update = malloc(sizeof(*update));
	if (!update) {
		client_reply_internal(c, true, "out of memory");
		return;
	}
	wire_read_init(&r, c->payload, c->header.payload_len);
	wire_get(&r, id.b, sizeof(id.b));
	err = wire_get_u8(&r) ? -EINVAL : user_update_read(&r, update);
	if (err) {
		refuse_update(c, err);
	} else {
		client_ask(c);
		s->ops->profile->modify(s->be, &id, update, on_modified, c);
	}
	free(update);
}

/* Subscriptions --------------------------------------------------------------------------- */

struct profile_watch {
	const struct backend_profile_ops *ops;
	struct backend_watch *watch;	/* owned */
	struct watcher *watcher;
};

static bool write_frame(void *ctx, const struct profile *profile)
{
	size_t len = profile_len(profile);
	uint8_t *buf = malloc(len);
	struct client *c = ctx;
	struct wire_writer w;

	if (!buf) {
		client_kill(c);
		return false;
	}
	wire_write_init(&w, buf, len);
	profile_write(&w, profile);
	client_frame(c, op_get(OP_USER_MODIFY)->mode, true, buf, len);
	free(buf);
	return true;
}

static bool watch_next_frame(void *ctx, struct client *c)
{
	struct profile_watch *f = ctx;

	return !f->ops->watch_next(f->watch, write_frame, c);
}

static void watch_end(void *ctx)
{
	struct profile_watch *f = ctx;

	f->ops->unwatch(f->watch);
	free(f);
}

static const struct watcher_ops watch_ops = {
	.next = watch_next_frame,
	.end = watch_end,
};

static void on_changed(void *ctx)
{
	struct profile_watch *f = ctx;

	watcher_ready(f->watcher);
}

void user_sub(struct client *c)
{
	struct api_server *s = c->server;
	struct profile_watch *f;
	struct address address;
	int err = -ENOMEM;

	if (!need_profiles(c))
		return;
	f = calloc(1, sizeof(*f));
	memcpy(address.b, c->payload, ADDRESS_LEN);
	if (f) {
		f->ops = s->ops->profile;
		err = f->ops->watch(s->be, on_changed, f, &f->watch);
	}
	if (err) {
		free(f);
		client_reply_internal(c, true, "out of memory");
		return;
	}
	f->watcher = watcher_open(c, &address, &watch_ops, f);
	if (!f->watcher)
		watch_end(f);
}

void user_unsub(struct client *c)
{
	struct ping_error e = { .code = PING_E_NO_SUBSCRIPTION };
	struct payload_subscriber sub;

	payload_read_subscriber(c->payload, &sub);
	if (watcher_close(c->server, &sub.id, &sub.address)) {
		client_reply_ok(c);
		return;
	}
	e.id = sub.id;
	client_reply_error(c, true, &e);
}
