// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of namespace 0B: whatever is read keeps to the limits, and is written again as the
 * same bytes. Bodies of replies, as the library reads them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "proto/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t again[1 << 17];

static void must_be(bool right)
{
	if (!right)
		abort();
}

static void same(const struct wire_writer *w, const uint8_t *data, size_t size)
{
	must_be(!w->failed && wire_len(w) == size && !memcmp(again, data, size));
}

static void value(const uint8_t *data, size_t size, bool has_value)
{
	struct service_value v;
	struct wire_writer w;

	if (service_value_read(data, size, has_value, &v))
		return;
	must_be(service_name_is_valid(v.key.service) && strlen(v.key.service) <= LIMIT_SERVICE_NAME &&
		strlen(v.key.ns) <= LIMIT_SERVICE_NS && v.key.key[0] &&
		strlen(v.key.key) <= LIMIT_SERVICE_KEY && !strchr(v.key.key, '#'));
	wire_write_init(&w, again, sizeof(again));
	service_value_write(&w, &v, has_value);
	same(&w, data, size);
}

static void list(const uint8_t *data, size_t size)
{
	struct service_list l;
	struct wire_writer w;

	if (service_list_read(data, size, &l))
		return;
	wire_write_init(&w, again, sizeof(again));
	service_list_write(&w, &l);
	same(&w, data, size);
}

static void create(const uint8_t *data, size_t size)
{
	struct service_create c;
	struct wire_writer w;

	if (service_create_read(data, size, &c))
		return;
	must_be(service_name_is_valid(c.name) && (!c.text || strlen(c.text) <= LIMIT_SERVICE_TEXT));
	wire_write_init(&w, again, sizeof(again));
	service_create_write(&w, &c);
	same(&w, data, size);
}

static void bodies(const uint8_t *data, size_t size)
{
	const char *ns, *key;
	const uint8_t *bytes;
	struct wire_reader r;
	size_t len;

	wire_read_init(&r, data, size);
	if (!service_body_value(r, &ns, &key, &bytes, &len))
		must_be(strlen(ns) + strlen(key) + 2 + 4 + len == size);
	while (wire_left(&r) && !service_next_key(&r, &ns, &key))
		must_be(strlen(ns) + strlen(key) < size);
	wire_read_init(&r, data, size);
	while (wire_left(&r) && !service_next_name(&r, &key))
		must_be(strlen(key) < size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum service_event_kind kind;
	struct address user;
	const char *name;

	if (!size || size > 1 + LIMIT_CONTROL_PAYLOAD)
		return 0;
	switch (data[0] % 7) {
	case 0:
		value(data + 1, size - 1, true);
		break;
	case 1:
		value(data + 1, size - 1, false);
		break;
	case 2:
		list(data + 1, size - 1);
		break;
	case 3:
		create(data + 1, size - 1);
		break;
	case 4:
		if (!service_destroy_read(data + 1, size - 1, &name))
			must_be(service_name_is_valid(name));
		break;
	case 5:
		if (!service_event_read(data + 1, size - 1, &kind, &user))
			must_be(size - 1 == SERVICE_EVENT_LEN);
		break;
	case 6:
		bodies(data + 1, size - 1);
	}
	return 0;
}
