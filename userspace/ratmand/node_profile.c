// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Profiles of users, as api/ sees them (api/profile_backend.h), and what the users
 * ask of the mesh.
 */
#include "ratmand/node_priv.h"

#include <errno.h>

#include "ratmand/service/online.h"
#include "ratmand/service/users.h"

static int get(void *be, const struct address *id, backend_profile_cb cb, void *ctx)
{
	static uint8_t avatar[LIMIT_AVATAR];
	struct profile_record record;
	struct node *node = be;
	int err = users_get(node->service->users, id, &record, avatar);

	if (!err)
		cb(ctx, &record.profile);
	return err;
}

static int search(void *be, const struct user_query *q, enum user_scope scope,
		  backend_profile_cb found, void (*done)(void *ctx, int err), void *ctx,
		  struct backend_search **out)
{
	struct node *node = be;

	return users_lookup(node->service->users, q, scope, found, done, ctx,
			    (struct lookup **)out);
}

static void search_stop(struct backend_search *s)
{
	users_lookup_stop((struct lookup *)s);
}

static void modify(void *be, const struct address *id, const struct user_update *update,
		   void (*done)(void *ctx, int err), void *ctx)
{
	struct node *node = be;

	if (online_records(node->service->online, id))
		users_modify(node->service->users, id, update, done, ctx);
	else
		done(ctx, -EACCES);
}

static int watch(void *be, void (*ready)(void *ctx), void *ctx, struct backend_watch **out)
{
	struct node *node = be;

	return users_watch(node->service->users, ready, ctx, (struct users_watch **)out);
}

static int watch_next(struct backend_watch *w, backend_profile_cb cb, void *ctx)
{
	static uint8_t avatar[LIMIT_AVATAR];
	struct profile_record record;
	int err = users_watch_next((struct users_watch *)w, &record, avatar);

	if (!err)
		cb(ctx, &record.profile);
	return err;
}

static void unwatch(struct backend_watch *w)
{
	users_unwatch((struct users_watch *)w);
}

const struct backend_profile_ops node_profile_ops = {
	.get = get,
	.search = search,
	.search_stop = search_stop,
	.modify = modify,
	.watch = watch,
	.watch_next = watch_next,
	.unwatch = unwatch,
};
