// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/service.h"

#include <errno.h>
#include <stdlib.h>

int service_new(struct service **out, uv_loop_t *loop, struct store *store, struct flow *flow,
		const struct service_options *options)
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
		err = files_new(&s->files, loop, store, flow, s->online, options->file_accept);
	if (err) {
		service_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void service_stop(struct service *s)
{
	if (s)
		files_stop(s->files);
}

void service_free(struct service *s)
{
	if (!s)
		return;
	files_free(s->files);
	online_free(s->online);
	free(s);
}

int service_address_up(struct service *s, const struct address *address,
		       const uint8_t key[static ADDRESS_KEY_LEN])
{
	int err = online_add(s->online, address, key);

	if (!err)
		files_user_up(s->files, address);
	return err;
}

void service_address_down(struct service *s, const struct address *address)
{
	online_remove(s->online, address);
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
	if (!err)
		err = records_remove_all(s->store, address);
	if (!was_online)
		online_remove(s->online, address);
	return err;
}
