// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target for ERIS. The first byte of the input chooses what the rest
 * is: text and bytes to parse; a tree described by the rest, with true hashes
 * and any damage, for decoder, reader and missing walk; or content to encode.
 */
#include "ratmand/flow/eris.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_BLOCKS 64
#define MAX_CONTENT (1u << 20)
#define ALL_ROUNDS 100000

static const uint8_t secret[ERIS_SECRET_LEN] = { 3 };

struct block {
	uint8_t ref[ERIS_REF_LEN];
	uint8_t *data;
	size_t len;
	bool held;
};

struct store {
	struct block *blocks;
	size_t n;
	size_t room;
};

#define CHECK(x) do { if (!(x)) abort(); } while (0)

static struct block *find(struct store *s, const uint8_t *ref)
{
	for (size_t i = 0; i < s->n; i++)
		if (!memcmp(s->blocks[i].ref, ref, ERIS_REF_LEN))
			return &s->blocks[i];
	return NULL;
}

static int emit(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *data, size_t len)
{
	struct store *s = ctx;
	struct block *b;

	if (find(s, ref))
		return 0;
	if (s->n == s->room) {
		s->room = s->room ? s->room * 2 : 16;
		s->blocks = realloc(s->blocks, s->room * sizeof(*s->blocks));
		CHECK(s->blocks);
	}
	b = &s->blocks[s->n++];
	memcpy(b->ref, ref, ERIS_REF_LEN);
	b->data = malloc(len);
	CHECK(b->data);
	memcpy(b->data, data, len);
	b->len = len;
	b->held = true;
	return 0;
}

static int has(void *ctx, const uint8_t ref[ERIS_REF_LEN])
{
	struct block *b = find(ctx, ref);

	return b && b->held;
}

static int fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size)
{
	struct block *b = find(ctx, ref);

	if (!b || !b->held)
		return -ENOENT;
	if (b->len <= size)
		memcpy(buf, b->data, b->len);
	return (int)b->len;
}

static void store_free(struct store *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->blocks[i].data);
	free(s->blocks);
}

/* Compares the output with what is expected, where something is. */
struct sink {
	const uint8_t *want;
	size_t len;
};

static int output(void *ctx, const uint8_t *data, size_t len)
{
	struct sink *s = ctx;

	CHECK(len > 0);
	CHECK(!s->want || !memcmp(s->want + s->len, data, len));
	s->len += len;
	return 0;
}

static void fuzz_parse(const uint8_t *data, size_t len)
{
	uint8_t bin[ERIS_CAPABILITY_LEN];
	char urn[ERIS_URN_LEN + 1];
	struct eris_capability cap;

	if (!eris_urn_parse((const char *)data, len, &cap)) {
		eris_urn_format(&cap, urn);
		/* All but the case of the prefix comes back. */
		CHECK(!memcmp(urn + 9, data + 9, ERIS_URN_LEN - 9));
	}
	if (!eris_capability_decode(data, len, &cap)) {
		eris_capability_encode(&cap, bin);
		CHECK(!memcmp(bin, data, len));
		eris_urn_format(&cap, urn);
		CHECK(!eris_urn_parse(urn, ERIS_URN_LEN, &cap));
	}
}

/* Walks with everything that was refused before arriving when asked for. */
static int walk(struct store *s, const struct eris_capability *cap, uint32_t window)
{
	uint8_t refs[8][ERIS_REF_LEN];
	struct eris_missing m;
	int rc = eris_missing_init(&m, cap, has, fetch, s, window, MAX_CONTENT);

	for (int round = 0; rc >= 0; round++) {
		bool came = false;

		CHECK(round < ALL_ROUNDS);
		rc = eris_missing_next(&m, refs, 8, 50);
		for (int i = 0; i < rc; i++) {
			struct block *b = find(s, refs[i]);

			CHECK(!b || !b->held);
			if (b)
				b->held = came = true;
		}
		if (rc < 0 || m.state == ERIS_MISSING_COMPLETE)
			break;
		if (m.state == ERIS_MISSING_WAITING && !came && !rc) {
			rc = -ENOENT;
			break;
		}
	}
	eris_missing_free(&m);
	return rc;
}

static void read_all(struct store *s, const struct eris_capability *cap, struct sink *sink,
		     int want)
{
	struct eris_decoder dec;
	struct eris_counts counts;
	uint64_t len = 0;
	uint8_t buf[64];
	int rc;

	rc = eris_decoder_init(&dec, cap, fetch, s, output, sink, MAX_CONTENT);
	if (!rc)
		rc = eris_decoder_run(&dec, 0);
	CHECK(sink->len <= MAX_CONTENT);
	/* What the walk calls whole has no missing block; what it rejects does not decode. */
	CHECK(want ? rc < 0 : rc != -ENOENT);
	eris_decoder_free(&dec);
	if (eris_reader_init(&dec.reader, cap, fetch, s, MAX_CONTENT)) {
		eris_reader_free(&dec.reader);
		return;
	}
	if (!eris_content_length(&dec.reader, &len)) {
		CHECK(rc || len == sink->len);
		CHECK(!eris_walk_counts(&dec.reader, &counts));
		CHECK(counts.leaves_min == counts.leaves_max);
		CHECK(eris_read_at(&dec.reader, len, buf, sizeof(buf)) == 0);
	}
	(void)eris_walk_counts(&dec.reader, &counts);
	(void)eris_read_at(&dec.reader, len / 2, buf, sizeof(buf));
	eris_reader_free(&dec.reader);
}

/*
 * A tree from a description: each block is a leaf, or a node with children
 * among the blocks before it, maybe damaged; the last block is the root.
 */
static void fuzz_tree(const uint8_t *data, size_t len)
{
	struct store s = { 0 };
	uint8_t pairs[MAX_BLOCKS][ERIS_PAIR_LEN], node[ERIS_BLOCK_SMALL], block[ERIS_BLOCK_SMALL];
	struct eris_capability cap = { .block_size = ERIS_BLOCK_SMALL };
	struct sink sink = { 0 };
	struct wire_reader r;
	uint8_t flags = 0, window;
	size_t n = 0;

	wire_read_init(&r, data, len);
	window = wire_get_u8(&r);
	while (wire_left(&r) && n < MAX_BLOCKS) {
		uint8_t level = wire_get_u8(&r) % 16, nonce[12] = { level }, *pair = pairs[n];
		uint8_t count = wire_get_u8(&r);
		size_t child = 0;

		flags = wire_get_u8(&r);
		memset(node, 0, sizeof(node));
		for (size_t i = 0; level && i < count % 17u; i++) {
			/* Without bit 0 the first child again and again, else any. */
			if (!i || flags & 1)
				child = wire_get_u8(&r);
			if (n)
				memcpy(node + i * ERIS_PAIR_LEN, pairs[child % n], ERIS_PAIR_LEN);
		}
		if (!level)
			memset(node, count, sizeof(node));
		if (flags & 2)
			memset(node + 512, 0, 512);
		if (flags & 4)
			node[wire_get_be16(&r) % sizeof(node)] = flags & 8 ? 0x80 : flags;
		crypto_generichash(pair + 32, 32, node, sizeof(node), NULL, 0);
		pair[32] ^= flags & 16;
		crypto_stream_chacha20_ietf_xor_ic(block, node, sizeof(node), nonce, 0, pair + 32);
		crypto_generichash(pair, 32, block, sizeof(block), NULL, 0);
		emit(&s, pair, block, sizeof(block));
		find(&s, pair)->held = !(flags & 32);
		find(&s, pair)->len -= flags >> 7;
		cap.level = level;
		memcpy(cap.root_ref, pair, 32);
		memcpy(cap.root_key, pair + 32, 32);
		n++;
	}
	if (flags & 64)
		cap.level = (uint8_t)(cap.level + window);
	read_all(&s, &cap, &sink, walk(&s, &cap, window % 8 + 1u));
	store_free(&s);
}

static void fuzz_round_trip(const uint8_t *data, size_t len)
{
	struct store s = { 0 };
	struct eris_capability cap;
	struct eris_encoder enc;
	struct sink sink = { 0 };
	uint8_t how = len ? data[0] : 0;
	size_t repeat = how >> 4, total = len * (repeat + 1);
	uint8_t *content = malloc(total + 1);
	uint32_t size = how & 1 ? ERIS_BLOCK_SMALL : how & 2 ? ERIS_BLOCK_LARGE : ERIS_BLOCK_AUTO;

	CHECK(content);
	CHECK(!eris_encoder_init(&enc, size, secret, emit, &s));
	for (size_t i = 0; len && i <= repeat; i++) {
		memcpy(content + i * len, data, len);
		CHECK(!eris_encoder_write(&enc, data, len));
	}
	CHECK(!eris_encoder_finish(&enc, &cap));
	eris_encoder_free(&enc);
	for (size_t i = 0; i < s.n; i++)
		s.blocks[i].held = !(how & 4) || (len && data[i % len] & 1);
	CHECK(walk(&s, &cap, how & 8 ? 1 : 64) >= 0);
	sink.want = content;
	read_all(&s, &cap, &sink, 0);
	CHECK(sink.len == total);
	free(content);
	store_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (sodium_init() < 0)
		abort();
	if (!size)
		return 0;
	switch (data[0] % 3) {
	case 0:
		fuzz_parse(data + 1, size - 1);
		break;
	case 1:
		fuzz_tree(data + 1, size - 1);
		break;
	default:
		fuzz_round_trip(data + 1, size - 1);
	}
	return 0;
}
