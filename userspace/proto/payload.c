// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/payload.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

#define HELLO_FORMAT 1

bool payload_read_capabilities(struct wire_reader *r, uint8_t *out)
{
	const uint8_t *flags;
	uint8_t n;

	if (!wire_left(r))
		return false;
	n = wire_get_u8(r);
	flags = wire_get_ref(r, n);
	if (!flags || !n)
		return false;
	*out = flags[0];
	return true;
}

void payload_write_capabilities(struct wire_writer *w, uint8_t capabilities)
{
	wire_put_u8(w, 1);
	wire_put_u8(w, capabilities);
}

int payload_read_hello(const uint8_t *data, size_t len, struct payload_hello *out)
{
	struct payload_hello h = { 0 };
	struct wire_reader r;
	uint8_t format;

	wire_read_init(&r, data, len);
	format = wire_get_u8(&r);
	h.major = wire_get_u8(&r);
	h.minor = wire_get_u8(&r);
	if (r.failed || format != HELLO_FORMAT)
		return -EINVAL;
	/* Leftover bytes that are no capabilities are ignored, as Rust does. */
	h.has_capabilities = payload_read_capabilities(&r, &h.capabilities);
	*out = h;
	return 0;
}

void payload_write_hello(struct wire_writer *w, const struct payload_hello *hello)
{
	wire_put_u8(w, HELLO_FORMAT);
	wire_put_u8(w, hello->major);
	wire_put_u8(w, hello->minor);
	if (hello->has_capabilities)
		payload_write_capabilities(w, hello->capabilities);
}

bool payload_version_fits(const struct payload_hello *hello)
{
	if (PROTOCOL_MAJOR)
		return hello->major == PROTOCOL_MAJOR;
	return hello->major == 0 && hello->minor == PROTOCOL_MINOR;
}

static int create_set_name(struct payload_create *c, const uint8_t *name, size_t len)
{
	if (len > PAYLOAD_NAME_MAX || !field_is_utf8(name, len))
		return -EINVAL;
	if (len)
		memcpy(c->name, name, len);
	c->name[len] = '\0';
	return 0;
}

static void create_set_key(struct payload_create *c, const uint8_t *key)
{
	c->has_key = true;
	memcpy(c->key, key, sizeof(c->key));
}

/* A payload without any 00: HEAD's bare name, or 0.6.0's name and key run together. */
static int read_create_bare(const uint8_t *data, size_t len, struct payload_create *c)
{
	if (!create_set_name(c, data, len))
		return 0;
	if (len <= 32 || field_is_utf8(data, len) || create_set_name(c, data, len - 32))
		return -EINVAL;
	create_set_key(c, data + len - 32);
	return 0;
}

int payload_read_create(const uint8_t *data, size_t len, struct payload_create *out)
{
	struct payload_create c = { 0 };
	const uint8_t *nul = len ? memchr(data, 0, len) : NULL;
	size_t name_len, rest;
	int err = 0;

	if (!len) {
		*out = c;
		return 0;
	}
	if (!nul) {
		err = read_create_bare(data, len, &c);
	} else {
		name_len = (size_t)(nul - data);
		rest = len - name_len - 1;
		err = create_set_name(&c, data, name_len);
		if (!err && rest == 32)
			create_set_key(&c, nul + 1);
		else if (rest != 0 && !(rest == 1 && nul[1] == 0))
			err = -EINVAL;
	}
	if (!err)
		*out = c;
	explicit_bzero(c.key, sizeof(c.key));
	return err;
}

void payload_write_create(struct wire_writer *w, const char *name)
{
	if (name && *name)
		wire_put(w, name, strlen(name));
	else
		wire_put_u8(w, 0);
}

int payload_read_destroy(const uint8_t *data, size_t len, struct address *address, bool *force)
{
	if (len != ADDRESS_LEN && len != ADDRESS_LEN + 1)
		return -EINVAL;
	memcpy(address->b, data, ADDRESS_LEN);
	*force = len > ADDRESS_LEN && data[ADDRESS_LEN] != 0;
	return 0;
}

int payload_read_recv(const uint8_t *data, size_t len, bool many, struct payload_recv *out)
{
	struct payload_recv p = { 0 };
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, p.address.b, ADDRESS_LEN);
	recipient_read(&r, &p.to);
	if (many)
		p.has_limit = field_get_option_u32(&r, &p.limit);
	if (!wire_done(&r))
		return -EINVAL;
	*out = p;
	return 0;
}

void payload_write_recv(struct wire_writer *w, bool many, const struct payload_recv *recv)
{
	wire_put(w, recv->address.b, ADDRESS_LEN);
	recipient_write(w, &recv->to);
	if (many)
		field_put_option_u32(w, recv->has_limit, recv->limit);
}

void payload_read_subscriber(const uint8_t data[static PAYLOAD_SUBSCRIBER_LEN],
			     struct payload_subscriber *out)
{
	memcpy(out->id.b, data, sizeof(out->id.b));
	memcpy(out->address.b, data + sizeof(out->id.b), ADDRESS_LEN);
}

void payload_write_subscriber(struct wire_writer *w, const struct payload_subscriber *sub)
{
	wire_put(w, sub->id.b, sizeof(sub->id.b));
	wire_put(w, sub->address.b, ADDRESS_LEN);
}

int payload_read_event(const uint8_t *data, size_t len, struct payload_event *out)
{
	/* More may follow in later versions. */
	if (len < PAYLOAD_EVENT_LEN)
		return -EINVAL;
	out->kind = data[0];
	memcpy(out->address.b, data + 1, ADDRESS_LEN);
	return 0;
}

void payload_write_event(struct wire_writer *w, const struct payload_event *event)
{
	wire_put_u8(w, event->kind);
	wire_put(w, event->address.b, ADDRESS_LEN);
}

int payload_read_heads(const uint8_t *data, size_t len, uint16_t *count,
		       int (*each)(void *ctx, const struct letterhead *head), void *ctx)
{
	struct letterhead head;
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	*count = wire_get_be16(&r);
	for (uint16_t i = 0; i < *count; i++) {
		letterhead_read(&r, &head);
		if (r.failed)
			return -EINVAL;
		err = each(ctx, &head);
		if (err)
			return err;
	}
	return wire_done(&r) ? 0 : -EINVAL;
}

int payload_read_ids(struct wire_reader *r, struct payload_ids *out)
{
	size_t n = wire_get_be16(r);
	const uint8_t *ids = wire_get_ref(r, n * 32);

	if (r->failed)
		return -EINVAL;
	out->ids = ids;
	out->n = n;
	return 0;
}

int payload_read_space_create(const uint8_t *data, size_t len, struct payload_space_create *out)
{
	if (len != ADDRESS_LEN + sizeof(out->key))
		return -EINVAL;
	memcpy(out->space.b, data, ADDRESS_LEN);
	memcpy(out->key, data + ADDRESS_LEN, sizeof(out->key));
	return 0;
}

void payload_write_space_create(struct wire_writer *w, const struct payload_space_create *create)
{
	wire_put(w, create->space.b, ADDRESS_LEN);
	wire_put(w, create->key, sizeof(create->key));
}

int payload_read_space(const uint8_t *data, size_t len, struct address *client,
		       struct address *space)
{
	if (len != 2 * ADDRESS_LEN)
		return -EINVAL;
	memcpy(client->b, data, ADDRESS_LEN);
	memcpy(space->b, data + ADDRESS_LEN, ADDRESS_LEN);
	return 0;
}

void payload_write_space(struct wire_writer *w, const struct address *client,
			 const struct address *space)
{
	wire_put(w, client->b, ADDRESS_LEN);
	wire_put(w, space->b, ADDRESS_LEN);
}

int payload_read_anycast(const uint8_t *data, size_t len, struct payload_anycast *out)
{
	struct payload_anycast p;
	struct wire_reader r;
	uint64_t high, low;

	wire_read_init(&r, data, len);
	wire_get(&r, p.self.b, ADDRESS_LEN);
	wire_get(&r, p.space.b, ADDRESS_LEN);
	high = wire_get_be64(&r);
	low = wire_get_be64(&r);
	if (!wire_done(&r))
		return -EINVAL;
	p.timeout_ms = high ? UINT64_MAX : low;
	*out = p;
	return 0;
}

void payload_write_anycast(struct wire_writer *w, const struct payload_anycast *anycast)
{
	wire_put(w, anycast->self.b, ADDRESS_LEN);
	wire_put(w, anycast->space.b, ADDRESS_LEN);
	wire_put_be64(w, 0);
	wire_put_be64(w, anycast->timeout_ms);
}
