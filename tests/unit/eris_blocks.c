// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/eris_blocks.h"

const uint8_t null_secret[ERIS_SECRET_LEN];

struct block *blocks_slot(struct blocks *s, const uint8_t *ref)
{
	uint64_t h;

	memcpy(&h, ref, sizeof(h));
	for (size_t i = (size_t)h & (s->size - 1);; i = (i + 1) & (s->size - 1))
		if (!s->slots[i].block || !memcmp(s->slots[i].ref, ref, ERIS_REF_LEN))
			return &s->slots[i];
}

struct blocks blocks_new(void)
{
	struct blocks s = { .size = 64 };

	s.slots = calloc(s.size, sizeof(*s.slots));
	assert_non_null(s.slots);
	return s;
}

void blocks_free(struct blocks *s)
{
	for (size_t i = 0; i < s->size; i++)
		free(s->slots[i].block);
	free(s->slots);
}

void blocks_put(struct blocks *s, const uint8_t *ref, const uint8_t *block, size_t len)
{
	struct block *e;

	if (s->used * 2 >= s->size) {
		struct blocks bigger = *s;

		bigger.size = s->size * 2;
		bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
		assert_non_null(bigger.slots);
		for (size_t i = 0; i < s->size; i++)
			if (s->slots[i].block)
				*blocks_slot(&bigger, s->slots[i].ref) = s->slots[i];
		free(s->slots);
		*s = bigger;
	}
	e = blocks_slot(s, ref);
	if (e->block)
		return;
	memcpy(e->ref, ref, ERIS_REF_LEN);
	e->block = malloc(len);
	assert_non_null(e->block);
	memcpy(e->block, block, len);
	e->len = len;
	e->held = true;
	s->used++;
}

int blocks_emit(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	struct blocks *s = ctx;

	if (++s->emitted == s->abort_at)
		return -ENOSPC;
	assert_int_equal(eris_block_check(ref, block, len), 0);
	blocks_put(s, ref, block, len);
	return 0;
}

int blocks_has(void *ctx, const uint8_t ref[ERIS_REF_LEN])
{
	struct blocks *s = ctx;
	struct block *e = blocks_slot(s, ref);

	s->has_calls++;
	return e->block && e->held;
}

int blocks_fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size)
{
	struct blocks *s = ctx;
	struct block *e = blocks_slot(s, ref);

	s->fetch_calls++;
	if (!e->block || !e->held)
		return -ENOENT;
	if (e->len <= size)
		memcpy(buf, e->block, e->len);
	return (int)e->len;
}

int sink_output(void *ctx, const uint8_t *data, size_t len)
{
	struct sink *s = ctx;

	assert_true(len > 0);
	if (s->again_every && ++s->calls % s->again_every == 0)
		return -EAGAIN;
	if (s->len + len > s->room) {
		s->room = (s->len + len) * 2;
		s->data = realloc(s->data, s->room);
		assert_non_null(s->data);
	}
	memcpy(s->data + s->len, data, len);
	s->len += len;
	return 0;
}

uint8_t *make_content(size_t len, uint8_t salt)
{
	uint8_t seed[randombytes_SEEDBYTES] = { salt };
	uint8_t *data = malloc(len + 1);

	assert_non_null(data);
	randombytes_buf_deterministic(data, len, seed);
	return data;
}

struct eris_capability blocks_encode(struct blocks *s, uint32_t block_size, const uint8_t *secret,
				     const uint8_t *data, size_t len, size_t chunk)
{
	struct eris_encoder enc;
	struct eris_capability cap;

	assert_int_equal(eris_encoder_init(&enc, block_size, secret, blocks_emit, s), 0);
	for (size_t pos = 0; pos < len; pos += chunk) {
		size_t n = len - pos < chunk ? len - pos : chunk;

		assert_int_equal(eris_encoder_write(&enc, data + pos, n), 0);
	}
	assert_int_equal(eris_encoder_finish(&enc, &cap), 0);
	assert_int_equal(enc.content_len, len);
	assert_int_equal(enc.blocks, s->emitted);
	assert_int_equal(eris_encoder_finish(&enc, &cap), -EINVAL);
	assert_int_equal(eris_encoder_write(&enc, data, 1), -EINVAL);
	eris_encoder_free(&enc);
	return cap;
}

int blocks_decode(struct blocks *s, const struct eris_capability *cap, uint64_t max_len,
		  struct sink *out, enum eris_fault *fault)
{
	struct eris_decoder dec;
	int rc = eris_decoder_init(&dec, cap, blocks_fetch, s, sink_output, out, max_len);

	*fault = ERIS_FAULT_NONE;
	if (!rc) {
		do {
			rc = eris_decoder_run(&dec, 3);
		} while (rc == 1);
		*fault = dec.reader.tree.fault;
		assert_int_equal(dec.content_len, out->len);
		if (rc != -ENOENT)
			assert_int_equal(eris_decoder_run(&dec, 1), rc);
	}
	eris_decoder_free(&dec);
	return rc;
}

void assert_decodes(struct blocks *s, const struct eris_capability *cap, const uint8_t *data,
		    size_t len)
{
	struct sink out = { 0 };
	enum eris_fault fault;

	assert_int_equal(blocks_decode(s, cap, len, &out, &fault), 0);
	assert_int_equal(out.len, len);
	if (len)
		assert_memory_equal(out.data, data, len);
	free(out.data);
}

void assert_rejects(struct blocks *s, const struct eris_capability *cap, int error,
		    enum eris_fault want)
{
	struct sink out = { 0 };
	enum eris_fault fault;

	assert_int_equal(blocks_decode(s, cap, NO_LIMIT, &out, &fault), error);
	assert_int_equal(fault, want);
	free(out.data);
}

bool cap_equal(const struct eris_capability *a, const struct eris_capability *b)
{
	uint8_t x[ERIS_CAPABILITY_LEN], y[ERIS_CAPABILITY_LEN];

	eris_capability_encode(a, x);
	eris_capability_encode(b, y);
	return !memcmp(x, y, sizeof(x));
}

uint64_t expect_blocks(uint32_t block_size, uint64_t len, unsigned int *level)
{
	uint64_t n = len / block_size + 1, sum = n, arity = block_size / 64;

	*level = 0;
	while (n > 1) {
		n = (n + arity - 1) / arity;
		sum += n;
		++*level;
	}
	return sum;
}
