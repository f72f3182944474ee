// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/service.h"

#include <errno.h>
#include <stdlib.h>

#include "ratmand/service/messages.h"

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
	if (err) {
		service_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void service_free(struct service *s)
{
	if (!s)
		return;
	messages_free(s->messages);
	online_free(s->online);
	free(s);
}

int service_address_up(struct service *s, const struct address *address,
		       const uint8_t key[static ADDRESS_KEY_LEN])
{
	int err = online_add(s->online, address, key);

	if (!err)
		messages_user_up(s->messages, address);
	return err;
}

void service_address_down(struct service *s, const struct address *address)
{
	online_remove(s->online, address);
	messages_user_down(s->messages, address);
}

int service_address_forget(struct service *s, const struct address *address, const uint8_t *key)
{
	bool was_online = online_records(s->online, address);
	int err = 0;

	if (!was_online && key)
		err = service_address_up(s, address, key);
	if (!err && online_records(s->online, address))
		err = messages_forget_user(s->messages, online_records(s->online, address));
	if (!err)
		err = records_remove_all(s->store, address);
	if (!was_online)
		service_address_down(s, address);
	return err;
}
