// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Logins: the backend's ops over the store's addresses and the node's life of an
 * address. Who logs in is online without a line in the resume file: after a
 * restart only the password brings the user back.
 */
#include "ratmand/node_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/store/password.h"

/* A request whose answer waits for a key or for the disk. */
struct login {
	struct node *node;
	struct address id;
	backend_user_cb created;	/* one of the two */
	backend_done_cb done;
	void *ctx;
	char *handle;			/* owned; of a new user, or NULL */
	uint8_t *keys;			/* sodium_malloc: the new user's secret key and key */
};

static struct login *login_new(struct node *node, void *ctx)
{
	struct login *l = calloc(1, sizeof(*l));

	if (l) {
		l->node = node;
		l->ctx = ctx;
	}
	return l;
}

/* Answers and frees. */
static void login_end(struct login *l, int err)
{
	if (l->created)
		l->created(l->ctx, err, err ? NULL : &l->id);
	else
		l->done(l->ctx, err);
	sodium_free(l->keys);
	free(l->handle);
	free(l);
}

static void on_login(void *ctx, int err, const uint8_t *secret, const uint8_t *key)
{
	struct login *l = ctx;

	if (!err)
		err = node_online(l->node, &l->id, secret, key);
	login_end(l, err);
}

static void login(void *be, const struct address *id, const char *password, backend_done_cb done,
		  void *ctx)
{
	struct node *node = be;
	struct login *l = login_new(node, ctx);
	int err;

	if (!l) {
		done(ctx, -ENOMEM);
		return;
	}
	l->id = *id;
	l->done = done;
	err = addresses_login(node->store, id, password, on_login, l);
	if (err)
		login_end(l, err);
}

/* Nobody is told of the user, so nobody could remove him later. */
static void remove_user(struct node *node, const struct address *id, const uint8_t *key)
{
	(void)service_address_forget(node->service, id, key);
	node_addr_down(node, id);
	addresses_remove(node->store, id);
}

static void created_durable(void *ctx, int err)
{
	struct login *l = ctx;
	struct node *node = l->node;
	const uint8_t *key = l->keys + ADDRESS_SECRET_LEN;

	if (!err)
		err = node_online(node, &l->id, l->keys, key);
	if (err)
		remove_user(node, &l->id, key);
	login_end(l, err);
}

/* The address is queued; so is its profile, for the same commit. */
static void on_created(void *ctx, int err, const struct address *id, const uint8_t *secret,
		       const uint8_t *key)
{
	struct login *l = ctx;

	if (!err) {
		l->id = *id;
		l->keys = sodium_malloc(ADDRESS_SECRET_LEN + ADDRESS_KEY_LEN);
		err = l->keys ? service_user_create(l->node->service, id, l->handle) : -ENOMEM;
		if (err)
			addresses_remove(l->node->store, id);
	}
	if (err) {
		login_end(l, err);
		return;
	}
	memcpy(l->keys, secret, ADDRESS_SECRET_LEN);
	memcpy(l->keys + ADDRESS_SECRET_LEN, key, ADDRESS_KEY_LEN);
	store_commit(l->node->store, created_durable, l);
}

static void create(void *be, const char *password, const char *handle, backend_user_cb cb, void *ctx)
{
	struct node *node = be;
	struct login *l = login_new(node, ctx);
	int err;

	if (!l) {
		cb(ctx, -ENOMEM, NULL);
		return;
	}
	l->created = cb;
	err = service_user_check(handle);
	if (!err && handle) {
		l->handle = strdup(handle);
		err = l->handle ? 0 : -ENOMEM;
	}
	if (!err)
		err = addresses_create_login(node->store, password, on_created, l);
	if (err)
		login_end(l, err);
}

static void on_discarded(void *ctx, int err)
{
	(void)ctx;
	if (err)
		log_warn("a user nobody was told of could not be removed: %s", strerror(-err));
}

static void discard(void *be, const struct address *id)
{
	struct node *node = be;

	remove_user(node, id, NULL);
	store_commit(node->store, on_discarded, NULL);
}

static void offline(void *be, const struct address *id)
{
	node_addr_down(be, id);
}

static void set_password(void *be, const struct address *id, const char *password,
			 backend_done_cb done, void *ctx)
{
	struct node *node = be;
	const uint8_t *key = online_key(node->service->online, id);
	size_t len = strlen(password);
	int err = !key ? -EACCES : !len || len > PASSWORD_MAX ? -EINVAL : 0;

	/* Who has a password is a user. */
	if (!err)
		err = service_user_make(node->service, id);
	if (!err)
		err = addresses_set_password(node->store, id, key, password, done, ctx);
	if (err)
		done(ctx, err);
}

const struct backend_session_ops node_session_ops = {
	.create = create,
	.discard = discard,
	.login = login,
	.offline = offline,
	.set_password = set_password,
};
