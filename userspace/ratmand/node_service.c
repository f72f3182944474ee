// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Services: the backend's ops over the registry and what services keep.
 */
#include "ratmand/node_priv.h"

#include <errno.h>

#include "ratmand/config.h"
#include "ratmand/service/registry.h"
#include "ratmand/service/values.h"

static int service_add(void *be, const char *name, const char *text, struct backend_service **out)
{
	struct node *node = be;

	return registry_add(node->service->registry, name, text, (struct registered **)out);
}

static void service_remove(void *be, struct backend_service *service)
{
	struct node *node = be;

	registry_remove(node->service->registry, (struct registered *)service);
}

static bool service_has(void *be, const char *name)
{
	struct node *node = be;

	return registry_has(node->service->registry, name);
}

struct each_name {
	void (*cb)(void *ctx, const char *name);
	void *ctx;
};

static void each_name(void *ctx, const char *name, const char *text)
{
	struct each_name *e = ctx;

	(void)text;
	e->cb(e->ctx, name);
}

static void service_each(void *be, void (*cb)(void *ctx, const char *name), void *ctx)
{
	struct node *node = be;
	struct each_name e = { cb, ctx };

	registry_each(node->service->registry, each_name, &e);
}

static bool god_mode(void *be)
{
	struct node *node = be;

	return node->config->god_mode;
}

static void value_put(void *be, const struct address *user, const struct service_key *key,
		      const void *value, size_t len, void (*done)(void *ctx, int err), void *ctx)
{
	struct node *node = be;
	struct services *s;
	int err = values_of(node->service->values, user, &s);

	if (!err)
		err = services_put(s, key, value, len);
	if (err)
		done(ctx, err);
	else
		store_commit(node->store, done, ctx);
}

static void value_del(void *be, const struct address *user, const struct service_key *key,
		      void (*done)(void *ctx, int err), void *ctx)
{
	struct node *node = be;
	struct services *s;
	int err = values_of(node->service->values, user, &s);

	if (!err)
		err = services_del(s, key);
	if (err)
		done(ctx, err);
	else
		store_commit(node->store, done, ctx);
}

static ssize_t value_get(void *be, const struct address *user, const struct service_key *key,
			 void *value, size_t size)
{
	struct node *node = be;
	struct services *s;
	int err = values_of(node->service->values, user, &s);

	return err ? err : services_get(s, key, value, size);
}

static int value_keys(void *be, const struct address *user, const char *service, const char *ns,
		      void (*cb)(void *ctx, const char *ns, const char *key), void *ctx)
{
	struct node *node = be;
	struct services *s;
	int err = values_of(node->service->values, user, &s);

	if (!err)
		services_each(s, service, ns, cb, ctx);
	return err;
}

const struct backend_service_ops node_service_ops = {
	.add = service_add,
	.remove = service_remove,
	.has = service_has,
	.each = service_each,
	.god_mode = god_mode,
	.put = value_put,
	.del = value_del,
	.get = value_get,
	.keys = value_keys,
};
