// SPDX-License-Identifier: LGPL-2.1-or-later
#include "wire.h"

#include <string.h>

void wire_read_init(struct wire_reader *r, const void *data, size_t len)
{
	r->pos = data;
	r->end = len ? r->pos + len : r->pos;
	r->failed = false;
}

size_t wire_left(const struct wire_reader *r)
{
	return r->failed ? 0 : (size_t)(r->end - r->pos);
}

bool wire_done(const struct wire_reader *r)
{
	return !r->failed && r->pos == r->end;
}

const uint8_t *wire_get_ref(struct wire_reader *r, size_t len)
{
	const uint8_t *p = r->pos;

	if (r->failed || (size_t)(r->end - r->pos) < len) {
		r->failed = true;
		return NULL;
	}
	if (len)
		r->pos += len;
	return p;
}

void wire_get(struct wire_reader *r, void *out, size_t len)
{
	const uint8_t *p = wire_get_ref(r, len);

	if (!len)
		return;
	if (p)
		memcpy(out, p, len);
	else
		memset(out, 0, len);
}

/* Reads an unsigned number of @len (at most 8) bytes. */
static uint64_t get_number(struct wire_reader *r, size_t len)
{
	const uint8_t *p = wire_get_ref(r, len);
	uint64_t v = 0;

	for (size_t i = 0; p && i < len; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint16_t wire_get_be16(struct wire_reader *r)
{
	return (uint16_t)get_number(r, 2);
}

uint32_t wire_get_be32(struct wire_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t wire_get_be64(struct wire_reader *r)
{
	return get_number(r, 8);
}

void wire_write_init(struct wire_writer *w, void *buf, size_t size)
{
	w->start = buf;
	w->pos = buf;
	w->end = size ? w->pos + size : w->pos;
	w->failed = false;
}

size_t wire_len(const struct wire_writer *w)
{
	return (size_t)(w->pos - w->start);
}

uint8_t *wire_put_ref(struct wire_writer *w, size_t len)
{
	uint8_t *p = w->pos;

	if (w->failed || (size_t)(w->end - w->pos) < len) {
		w->failed = true;
		return NULL;
	}
	if (len)
		w->pos += len;
	return p;
}

void wire_put(struct wire_writer *w, const void *data, size_t len)
{
	uint8_t *p = wire_put_ref(w, len);

	if (p && len)
		memcpy(p, data, len);
}

static void put_number(struct wire_writer *w, uint64_t v, size_t len)
{
	uint8_t *p = wire_put_ref(w, len);

	for (size_t i = len; p && i > 0; i--) {
		p[i - 1] = (uint8_t)v;
		v >>= 8;
	}
}

void wire_put_u8(struct wire_writer *w, uint8_t v)
{
	put_number(w, v, 1);
}

void wire_put_be16(struct wire_writer *w, uint16_t v)
{
	put_number(w, v, 2);
}

void wire_put_be32(struct wire_writer *w, uint32_t v)
{
	put_number(w, v, 4);
}

void wire_put_be64(struct wire_writer *w, uint64_t v)
{
	put_number(w, v, 8);
}
