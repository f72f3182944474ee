// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/letterhead.h"

#include <string.h>

#include "proto/field.h"

#define LETTERHEAD_VERSION 1

bool recipient_equal(const struct recipient *a, const struct recipient *b)
{
	return a->kind == b->kind && address_equal(&a->address, &b->address);
}

void recipient_read(struct wire_reader *r, struct recipient *out)
{
	uint8_t kind = wire_get_u8(r);

	memset(out, 0, sizeof(*out));
	switch (kind) {
	case RECIPIENT_NONE:
		break;
	case RECIPIENT_ADDRESS:
	case RECIPIENT_NAMESPACE:
		out->kind = kind == RECIPIENT_ADDRESS ? RECIPIENT_ADDRESS : RECIPIENT_NAMESPACE;
		wire_get(r, out->address.b, ADDRESS_LEN);
		break;
	default:
		r->failed = true;
	}
}

void recipient_write(struct wire_writer *w, const struct recipient *to)
{
	wire_put_u8(w, (uint8_t)to->kind);
	if (to->kind != RECIPIENT_NONE)
		wire_put(w, to->address.b, ADDRESS_LEN);
}

void letterhead_read(struct wire_reader *r, struct letterhead *out)
{
	const uint8_t *aux;
	uint16_t pairs;

	if (wire_get_u8(r) != LETTERHEAD_VERSION)
		r->failed = true;
	wire_get(r, out->from.b, ADDRESS_LEN);
	recipient_read(r, &out->to);
	out->stream_size = wire_get_be64(r);

	aux = r->pos;
	pairs = wire_get_be16(r);
	for (uint32_t i = 0; i < 2u * pairs && !r->failed; i++)
		field_get_terminated(r);
	out->aux_len = r->failed ? 0 : (size_t)(r->pos - aux);
	if (r->failed || out->aux_len > LETTERHEAD_AUX_MAX) {
		r->failed = true;
		out->aux_len = 2;
		memset(out->aux, 0, 2);
		return;
	}
	memcpy(out->aux, aux, out->aux_len);
}

void letterhead_write(struct wire_writer *w, const struct letterhead *head, bool strip_aux)
{
	wire_put_u8(w, LETTERHEAD_VERSION);
	wire_put(w, head->from.b, ADDRESS_LEN);
	recipient_write(w, &head->to);
	wire_put_be64(w, head->stream_size);
	if (strip_aux || head->aux_len < 2)
		wire_put_be16(w, 0);
	else
		wire_put(w, head->aux, head->aux_len);
}
