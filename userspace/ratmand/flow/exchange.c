// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

#define BUFFER_SIZE (4 + EXCHANGE_FRAME_MAX)

int exchange_init(struct exchange *x)
{
	memset(x, 0, sizeof(*x));
	x->size = BUFFER_SIZE;
	x->buf = malloc(x->size);
	return x->buf ? 0 : -ENOMEM;
}

void exchange_free(struct exchange *x)
{
	free(x->buf);
	memset(x, 0, sizeof(*x));
}

uint8_t *exchange_space(struct exchange *x, size_t *size)
{
	if (x->start == x->end || x->failed)
		x->start = x->end = 0;
	/* Move only when a whole frame might not fit behind what is there. */
	if (x->start && x->size - x->end < x->size / 2) {
		memmove(x->buf, x->buf + x->start, x->end - x->start);
		x->end -= x->start;
		x->start = 0;
	}
	*size = x->size - x->end;
	return x->buf + x->end;
}

void exchange_filled(struct exchange *x, size_t len)
{
	x->end += len;
}

static void parse_want(struct wire_reader *r, struct exchange_message *out)
{
	out->want.n = wire_get_be16(r);
	out->want.refs = (const void *)wire_get_ref(r, out->want.n * ERIS_REF_LEN);
	if (!out->want.n || out->want.n > EXCHANGE_WANT_MAX)
		r->failed = true;
}

static void get_mark(struct wire_reader *r, struct exchange_mark *out)
{
	out->created_s = wire_get_be64(r);
	wire_get(r, out->id.b, sizeof(out->id.b));
}

static void get_offer(struct wire_reader *r, struct exchange_message *out)
{
	out->offer.len = wire_left(r);
	out->offer.sealed = wire_get_ref(r, out->offer.len);
	if (out->offer.len < MANIFEST_MIN || out->offer.len > MANIFEST_MAX)
		r->failed = true;
}

/* Messages about a namespace. */
static void parse_space(struct wire_reader *r, struct exchange_message *out)
{
	wire_get(r, out->space.b, ADDRESS_LEN);
	switch (out->type) {
	case EXCHANGE_JOIN:
		out->join = wire_get_ref(r, EXCHANGE_NONCE_LEN);
		break;
	case EXCHANGE_PROVE:
		out->proof = wire_get_ref(r, MANIFEST_SIG_LEN);
		break;
	case EXCHANGE_SUM:
		get_mark(r, &out->sum.horizon);
		out->sum.count = wire_get_be32(r);
		out->sum.hash = wire_get_ref(r, EXCHANGE_SUM_LEN);
		break;
	case EXCHANGE_HAVE:
		get_mark(r, &out->have.low);
		get_mark(r, &out->have.high);
		out->have.n = wire_get_be16(r);
		out->have.ids = (const void *)wire_get_ref(r, out->have.n * 32);
		if (out->have.n > EXCHANGE_HAVE_MAX)
			r->failed = true;
		break;
	case EXCHANGE_ITEM:
		get_offer(r, out);
		break;
	case EXCHANGE_PROBE:
	case EXCHANGE_ANSWER:
		out->probe = wire_get_be64(r);
		break;
	default:	/* LEAVE: the namespace alone */
		break;
	}
}

/* The body of each message; what is left over fails in the caller. */
static void parse_body(struct wire_reader *r, struct exchange_message *out)
{
	switch (out->type) {
	case EXCHANGE_HELLO:
		if (wire_get_u8(r) != EXCHANGE_VERSION)
			r->failed = true;
		wire_get(r, out->hello.from.b, ADDRESS_LEN);
		wire_get(r, out->hello.to.b, ADDRESS_LEN);
		return;
	case EXCHANGE_OFFER:
		get_offer(r, out);
		return;
	case EXCHANGE_BLOCK:
		out->block.len = wire_left(r);
		out->block.data = wire_get_ref(r, out->block.len);
		if (out->block.len != ERIS_BLOCK_SMALL && out->block.len != ERIS_BLOCK_LARGE)
			r->failed = true;
		return;
	case EXCHANGE_PING:
	case EXCHANGE_PONG:
		return;
	case EXCHANGE_JOIN:
	case EXCHANGE_PROVE:
	case EXCHANGE_LEAVE:
	case EXCHANGE_SUM:
	case EXCHANGE_HAVE:
	case EXCHANGE_ITEM:
	case EXCHANGE_PROBE:
	case EXCHANGE_ANSWER:
		parse_space(r, out);
		return;
	case EXCHANGE_WANT:
	case EXCHANGE_MISSING:
	case EXCHANGE_RECEIPT:
	case EXCHANGE_REFUSE:
		break;
	}
	wire_get(r, out->id.b, sizeof(out->id.b));
	if (out->type == EXCHANGE_WANT) {
		parse_want(r, out);
	} else if (out->type == EXCHANGE_MISSING) {
		out->missing = wire_get_ref(r, ERIS_REF_LEN);
	} else if (out->type == EXCHANGE_RECEIPT) {
		out->receipt = wire_get_ref(r, MANIFEST_SIG_LEN);
	} else {
		uint8_t reason = wire_get_u8(r);

		/* A reason of the future reads as "later". */
		out->refuse = reason > EXCHANGE_UNWANTED || !reason ? EXCHANGE_BUSY : reason;
	}
}

int exchange_next(struct exchange *x, struct exchange_message *out)
{
	struct wire_reader r;
	uint32_t len;
	uint8_t type;

	if (x->failed)
		return -EPROTO;
	if (x->end - x->start < 4)
		return 0;
	wire_read_init(&r, x->buf + x->start, x->end - x->start);
	len = wire_get_be32(&r);
	if (!len || len > EXCHANGE_FRAME_MAX)
		goto fail;
	if (wire_left(&r) < len)
		return 0;
	r.end = r.pos + len;
	x->start += 4 + (size_t)len;
	type = wire_get_u8(&r);
	if (type < EXCHANGE_HELLO || type > EXCHANGE_LAST || (type == EXCHANGE_HELLO) == x->greeted)
		goto fail;
	memset(out, 0, sizeof(*out));
	out->type = type;
	parse_body(&r, out);
	if (!wire_done(&r))
		goto fail;
	x->greeted = true;
	return 1;
fail:
	x->failed = true;
	return -EPROTO;
}

static void start(struct wire_writer *w, uint8_t *out, enum exchange_type type, size_t body)
{
	wire_write_init(w, out, EXCHANGE_HEAD + body);
	wire_put_be32(w, (uint32_t)(1 + body));
	wire_put_u8(w, (uint8_t)type);
}

size_t exchange_put_hello(uint8_t *out, const struct address *from, const struct address *to)
{
	struct wire_writer w;

	start(&w, out, EXCHANGE_HELLO, 1 + 2 * ADDRESS_LEN);
	wire_put_u8(&w, EXCHANGE_VERSION);
	wire_put(&w, from->b, ADDRESS_LEN);
	wire_put(&w, to->b, ADDRESS_LEN);
	return wire_len(&w);
}

size_t exchange_put_want(uint8_t *out, const struct ident *id,
			 const uint8_t (*refs)[ERIS_REF_LEN], size_t n)
{
	struct wire_writer w;

	start(&w, out, EXCHANGE_WANT, sizeof(id->b) + 2 + n * ERIS_REF_LEN);
	wire_put(&w, id->b, sizeof(id->b));
	wire_put_be16(&w, (uint16_t)n);
	wire_put(&w, refs, n * ERIS_REF_LEN);
	return wire_len(&w);
}

size_t exchange_put_missing(uint8_t *out, const struct ident *id, const uint8_t *ref)
{
	struct wire_writer w;

	start(&w, out, EXCHANGE_MISSING, sizeof(id->b) + ERIS_REF_LEN);
	wire_put(&w, id->b, sizeof(id->b));
	wire_put(&w, ref, ERIS_REF_LEN);
	return wire_len(&w);
}

size_t exchange_put_receipt(uint8_t *out, const struct ident *id, const uint8_t *sig)
{
	struct wire_writer w;

	start(&w, out, EXCHANGE_RECEIPT, sizeof(id->b) + MANIFEST_SIG_LEN);
	wire_put(&w, id->b, sizeof(id->b));
	wire_put(&w, sig, MANIFEST_SIG_LEN);
	return wire_len(&w);
}

size_t exchange_put_refuse(uint8_t *out, const struct ident *id, enum exchange_reason reason)
{
	struct wire_writer w;

	start(&w, out, EXCHANGE_REFUSE, sizeof(id->b) + 1);
	wire_put(&w, id->b, sizeof(id->b));
	wire_put_u8(&w, (uint8_t)reason);
	return wire_len(&w);
}

size_t exchange_put_bare(uint8_t *out, enum exchange_type ping_or_pong)
{
	struct wire_writer w;

	start(&w, out, ping_or_pong, 0);
	return wire_len(&w);
}

static void start_space(struct wire_writer *w, uint8_t *out, enum exchange_type type,
			const struct address *space, size_t rest)
{
	start(w, out, type, ADDRESS_LEN + rest);
	wire_put(w, space->b, ADDRESS_LEN);
}

static void put_mark(struct wire_writer *w, const struct exchange_mark *mark)
{
	wire_put_be64(w, mark->created_s);
	wire_put(w, mark->id.b, sizeof(mark->id.b));
}

size_t exchange_put_join(uint8_t *out, const struct address *space, const uint8_t *nonce)
{
	struct wire_writer w;

	start_space(&w, out, EXCHANGE_JOIN, space, EXCHANGE_NONCE_LEN);
	wire_put(&w, nonce, EXCHANGE_NONCE_LEN);
	return wire_len(&w);
}

size_t exchange_put_prove(uint8_t *out, const struct address *space, const uint8_t *sig)
{
	struct wire_writer w;

	start_space(&w, out, EXCHANGE_PROVE, space, MANIFEST_SIG_LEN);
	wire_put(&w, sig, MANIFEST_SIG_LEN);
	return wire_len(&w);
}

size_t exchange_put_leave(uint8_t *out, const struct address *space)
{
	struct wire_writer w;

	start_space(&w, out, EXCHANGE_LEAVE, space, 0);
	return wire_len(&w);
}

size_t exchange_put_sum(uint8_t *out, const struct address *space,
			const struct exchange_mark *horizon, uint32_t count, const uint8_t *hash)
{
	struct wire_writer w;

	start_space(&w, out, EXCHANGE_SUM, space, 40 + 4 + EXCHANGE_SUM_LEN);
	put_mark(&w, horizon);
	wire_put_be32(&w, count);
	wire_put(&w, hash, EXCHANGE_SUM_LEN);
	return wire_len(&w);
}

size_t exchange_put_probe(uint8_t *out, enum exchange_type probe_or_answer,
			  const struct address *space, uint64_t probe)
{
	struct wire_writer w;

	start_space(&w, out, probe_or_answer, space, 8);
	wire_put_be64(&w, probe);
	return wire_len(&w);
}

size_t exchange_put_have(uint8_t *out, const struct address *space,
			 const struct exchange_mark *low, const struct exchange_mark *high,
			 size_t n)
{
	struct wire_writer w;

	start_space(&w, out, EXCHANGE_HAVE, space, 2 * 40 + 2 + n * 32);
	put_mark(&w, low);
	put_mark(&w, high);
	wire_put_be16(&w, (uint16_t)n);
	return wire_len(&w);
}

size_t exchange_put_item(uint8_t *out, const struct address *space, size_t len)
{
	struct wire_writer w;

	start_space(&w, out, EXCHANGE_ITEM, space, len);
	return wire_len(&w);
}

void exchange_put_head(uint8_t *out, enum exchange_type type, size_t len)
{
	struct wire_writer w;

	start(&w, out, type, len);
}
