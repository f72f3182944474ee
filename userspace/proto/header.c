// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/header.h"

#include <errno.h>
#include <string.h>

#include "base/wire.h"

#define LENGTH_FIELD 4
#define HEADER_PLAIN 7		/* mode, 00, payload size */
#define HEADER_TOKEN 38		/* mode, token, payload size */
#define TOKEN_LEN 32

static bool all_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return !any;
}

size_t header_write(uint8_t out[static HEADER_WRITE_MAX], const struct frame_header *h)
{
	bool token = h->has_token && !all_zero(h->token.b, TOKEN_LEN);
	struct wire_writer w;

	wire_write_init(&w, out, HEADER_WRITE_MAX);
	wire_put_be32(&w, token ? HEADER_TOKEN : HEADER_PLAIN);
	wire_put_be16(&w, h->mode);
	if (token)
		wire_put(&w, h->token.b, TOKEN_LEN);
	else
		wire_put_u8(&w, 0);
	wire_put_be32(&w, h->payload_len);
	return wire_len(&w);
}

void header_parser_init(struct header_parser *p)
{
	p->have = 0;
	p->max = LIMIT_HEADER;
}

bool header_parser_empty(const struct header_parser *p)
{
	return p->have == 0;
}

static uint32_t be32_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Where token and payload size stand in a header of @len bytes. */
struct layout {
	bool token;
	size_t size_at;
};

/* The acceptance table of section 1.3; false when nothing in it applies. */
static bool header_layout(const uint8_t *h, size_t len, struct layout *out)
{
	if (len == HEADER_PLAIN) {
		*out = (struct layout){ false, 3 };
		return h[2] == 0;
	}
	if (len == HEADER_TOKEN) {
		*out = (struct layout){ true, 34 };
		return true;
	}
	if (len == HEADER_TOKEN + 1 && h[34] == 0) {
		*out = (struct layout){ true, 35 };
		return true;
	}
	if (len == HEADER_PLAIN + 1 && h[2] == 0 && h[3] == 0) {
		*out = (struct layout){ false, 4 };
		return true;
	}
	/* As the Rust reader: peek one byte, ignore what is left over. */
	*out = h[2] ? (struct layout){ true, 34 } : (struct layout){ false, 3 };
	return !out->token || len >= HEADER_TOKEN;
}

static int header_decode(const uint8_t *h, size_t len, struct frame_header *out)
{
	struct layout layout;

	if (!header_layout(h, len, &layout))
		return -EPROTO;
	memset(out, 0, sizeof(*out));
	out->mode = (uint16_t)(h[0] << 8 | h[1]);
	out->has_token = layout.token && !all_zero(h + 2, TOKEN_LEN);
	if (out->has_token)
		memcpy(out->token.b, h + 2, TOKEN_LEN);
	out->payload_len = be32_at(h + layout.size_at);
	return 1;
}

/* Whether a header of @want bytes may come at all. */
static int header_length(const struct header_parser *p, uint32_t want)
{
	if (want < HEADER_PLAIN)
		return -EPROTO;
	return want > p->max ? -EMSGSIZE : 0;
}

/* A header that lies whole in the input, as nearly all do: no copy. */
static int header_in_place(const struct header_parser *p, const uint8_t *data, size_t len,
			   size_t *used, struct frame_header *out)
{
	uint32_t want = data[LENGTH_FIELD - 1];
	int err = data[0] | data[1] | data[2] ? -EPROTO : header_length(p, want);

	if (err || len < LENGTH_FIELD + want)
		return err;
	*used = LENGTH_FIELD + want;
	return header_decode(data + LENGTH_FIELD, want, out);
}

int header_parser_feed(struct header_parser *p, const uint8_t *data, size_t len, size_t *used,
		       struct frame_header *out)
{
	*used = 0;
	if (!p->have && len >= LENGTH_FIELD) {
		int ret = header_in_place(p, data, len, used, out);

		if (ret)
			return ret;
	}
	while (p->have < LENGTH_FIELD && *used < len) {
		/* LIMIT_HEADER is under 256: the first three bytes are zero. */
		if (p->have < 3 && data[*used] != 0)
			return -EPROTO;
		p->buf[p->have++] = data[(*used)++];
	}
	if (p->have >= LENGTH_FIELD) {
		uint32_t want = be32_at(p->buf);
		int err = header_length(p, want);
		size_t missing, take;

		if (err)
			return err;
		missing = LENGTH_FIELD + want - p->have;
		take = len - *used < missing ? len - *used : missing;
		if (take)
			memcpy(p->buf + p->have, data + *used, take);
		p->have += take;
		*used += take;
		if (take == missing) {
			int ret = header_decode(p->buf + LENGTH_FIELD, want, out);

			/* The buffer may have held a token. */
			explicit_bzero(p->buf, sizeof(p->buf));
			p->have = 0;
			return ret;
		}
	}
	return 0;
}
