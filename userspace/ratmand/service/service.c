// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/service.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "ratmand/service/messages.h"

static bool user_online(void *ctx, const struct address *id, bool local)
{
	struct service *s = ctx;

	if (local)
		return online_records(s->online, id);
	return s->reachable && s->reachable(s->reachable_ctx, id);
}

static void user_changed(void *ctx, const struct address *id)
{
	struct service *s = ctx;

	if (online_records(s->online, id))
		announce_user(s->announce, id);
}

static const struct users_ops users_ops = {
	.online = user_online,
	.changed = user_changed,
};

int service_new(struct service **out, uv_loop_t *loop, struct store *store, struct flow *flow)
{
	struct service *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->loop = loop;
	s->store = store;
	s->flow = flow;
	err = online_new(&s->online, store);
	if (!err)
		err = users_new(&s->users, loop, store, LIMIT_PROFILES, &users_ops, s);
	if (!err)
		err = announce_new(&s->announce, loop, store, flow, s->users);
	if (!err)
		err = files_new(&s->files, loop, store, flow, s->online);
	s->registry = registry_new();
	s->values = values_new(store, s->online);
	if (!err && (!s->registry || !s->values))
		err = -ENOMEM;
	if (err) {
		if (s->files)
			files_stop(s->files);
		service_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void service_stop(struct service *s)
{
	files_stop(s->files);
	announce_stop(s->announce);
	messages_stop(s->messages);
}

void service_free(struct service *s)
{
	if (!s)
		return;
	messages_free(s->messages);
	files_free(s->files);
	announce_free(s->announce);
	users_free(s->users);
	values_free(s->values);
	registry_free(s->registry);
	online_free(s->online);
	free(s);
}

int service_address_up(struct service *s, const struct address *address,
		       const uint8_t key[static ADDRESS_KEY_LEN])
{
	int err = online_add(s->online, address, key);

	if (!err && s->messages)
		messages_user_up(s->messages, address);
	if (!err)
		files_user_up(s->files, address);
	return err ? err : announce_user(s->announce, address);
}

void service_set_reachable(struct service *s,
			   bool (*reachable)(void *ctx, const struct address *peer), void *ctx)
{
	s->reachable = reachable;
	s->reachable_ctx = ctx;
}

void service_address_down(struct service *s, const struct address *address)
{
	announce_offline(s->announce, address);
	values_close(s->values, address);
	online_remove(s->online, address);
	if (s->messages)
		messages_user_down(s->messages, address);
}

int service_user_check(const char *handle)
{
	switch (users_check_handle(handle)) {
	case 0:
		return 0;
	case -E2BIG:
		return -ENAMETOOLONG;
	}
	return -EILSEQ;
}

int service_user_create(struct service *s, const struct address *id, const char *handle)
{
	return users_create(s->users, id, handle);
}

int service_user_make(struct service *s, const struct address *id)
{
	return users_has_local(s->users, id) ? 0 : users_create(s->users, id, NULL);
}

int service_user_goodbye(struct service *s, const struct address *id, const uint8_t *secret)
{
	return announce_goodbye(s->announce, id, secret);
}

int service_address_forget(struct service *s, const struct address *address, const uint8_t *key)
{
	bool was_online = online_records(s->online, address);
	const struct records *records;
	int err = 0;

	if (!was_online && key)
		err = online_add(s->online, address, key);
	records = online_records(s->online, address);
	if (!err && records)
		err = files_user_forget(s->files, records);
	values_close(s->values, address);
	if (!err && s->messages && online_records(s->online, address))
		err = messages_forget_user(s->messages, online_records(s->online, address));
	if (!err)
		err = records_remove_all(s->store, address);
	if (!err)
		err = users_forget(s->users, address);
	if (!was_online)
		online_remove(s->online, address);
	return err;
}
