// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ERIS 1.0.0: codec, crafted negative cases, missing walk, random access, and
 * the official vectors. One file, because all of it shares the block store and
 * the crafting of trees, which uses libsodium directly, not the code tested.
 */
#include "ratmand/flow/eris.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <json-c/json.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NO_LIMIT UINT64_MAX
#define SMALL ERIS_BLOCK_SMALL
#define LARGE ERIS_BLOCK_LARGE

static const uint8_t null_secret[ERIS_SECRET_LEN];

/* A block store: open addressing by reference. */
struct entry {
	uint8_t ref[ERIS_REF_LEN];
	uint8_t *block;
	size_t len;
	bool held;
	bool asked;
};

struct store {
	struct entry *slots;
	size_t size;		/* a power of two */
	size_t used;
	size_t emitted;
	size_t abort_at;	/* emit fails when @emitted gets there; 0 = never */
	size_t has_calls;
	size_t fetch_calls;
};

static struct entry *store_slot(struct store *s, const uint8_t *ref)
{
	uint64_t h;

	memcpy(&h, ref, sizeof(h));
	for (size_t i = (size_t)h & (s->size - 1);; i = (i + 1) & (s->size - 1))
		if (!s->slots[i].block || !memcmp(s->slots[i].ref, ref, ERIS_REF_LEN))
			return &s->slots[i];
}

static struct store store_new(void)
{
	struct store s = { .size = 64 };

	s.slots = calloc(s.size, sizeof(*s.slots));
	assert_non_null(s.slots);
	return s;
}

static void store_free(struct store *s)
{
	for (size_t i = 0; i < s->size; i++)
		free(s->slots[i].block);
	free(s->slots);
}

static void store_put(struct store *s, const uint8_t *ref, const uint8_t *block, size_t len)
{
	struct entry *e;

	if (s->used * 2 >= s->size) {
		struct store bigger = *s;

		bigger.size = s->size * 2;
		bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
		assert_non_null(bigger.slots);
		for (size_t i = 0; i < s->size; i++)
			if (s->slots[i].block)
				*store_slot(&bigger, s->slots[i].ref) = s->slots[i];
		free(s->slots);
		*s = bigger;
	}
	e = store_slot(s, ref);
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

static int store_emit(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	struct store *s = ctx;

	if (++s->emitted == s->abort_at)
		return -ENOSPC;
	assert_int_equal(eris_block_check(ref, block, len), 0);
	store_put(s, ref, block, len);
	return 0;
}

static int store_has(void *ctx, const uint8_t ref[ERIS_REF_LEN])
{
	struct store *s = ctx;
	struct entry *e = store_slot(s, ref);

	s->has_calls++;
	return e->block && e->held;
}

static int store_fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size)
{
	struct store *s = ctx;
	struct entry *e = store_slot(s, ref);

	s->fetch_calls++;
	if (!e->block || !e->held)
		return -ENOENT;
	if (e->len <= size)
		memcpy(buf, e->block, e->len);
	return (int)e->len;
}

/* Decoder output: a growing buffer that can refuse now and then. */
struct sink {
	uint8_t *data;
	size_t len;
	size_t room;
	size_t calls;
	size_t again_every;
};

static int sink_output(void *ctx, const uint8_t *data, size_t len)
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

/* Deterministic content. */
static uint8_t *make_content(size_t len, uint8_t salt)
{
	uint8_t seed[randombytes_SEEDBYTES] = { salt };
	uint8_t *data = malloc(len + 1);

	assert_non_null(data);
	randombytes_buf_deterministic(data, len, seed);
	return data;
}

static struct eris_capability encode(struct store *s, uint32_t block_size, const uint8_t *secret,
				     const uint8_t *data, size_t len, size_t chunk)
{
	struct eris_encoder enc;
	struct eris_capability cap;

	assert_int_equal(eris_encoder_init(&enc, block_size, secret, store_emit, s), 0);
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

/* Decodes everything; returns the result and the check that failed. */
static int decode(struct store *s, const struct eris_capability *cap, uint64_t max_len,
		  struct sink *out, enum eris_fault *fault)
{
	struct eris_decoder dec;
	int rc = eris_decoder_init(&dec, cap, store_fetch, s, sink_output, out, max_len);

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

static void assert_decodes(struct store *s, const struct eris_capability *cap, const uint8_t *data,
			   size_t len)
{
	struct sink out = { 0 };
	enum eris_fault fault;

	assert_int_equal(decode(s, cap, len, &out, &fault), 0);
	assert_int_equal(out.len, len);
	if (len)
		assert_memory_equal(out.data, data, len);
	free(out.data);
}

static void assert_rejects(struct store *s, const struct eris_capability *cap, int error,
			   enum eris_fault want)
{
	struct sink out = { 0 };
	enum eris_fault fault;

	assert_int_equal(decode(s, cap, NO_LIMIT, &out, &fault), error);
	assert_int_equal(fault, want);
	free(out.data);
}

static bool cap_equal(const struct eris_capability *a, const struct eris_capability *b)
{
	uint8_t x[ERIS_CAPABILITY_LEN], y[ERIS_CAPABILITY_LEN];

	eris_capability_encode(a, x);
	eris_capability_encode(b, y);
	return !memcmp(x, y, sizeof(x));
}

/* The places of a tree over @len bytes, and its level, computed the plain way. */
static uint64_t expect_blocks(uint32_t block_size, uint64_t len, unsigned int *level)
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

/* Known answers */

static const struct {
	const char *content;
	uint32_t block_size;
	const char *urn;
} known[] = {
	{ "", SMALL,
	  "urn:eris:BIADFUKDPYKJNLGCVSIIDI3FVKND7MO5AGOCXBK2C4ITT5MAL4LSC"
	  "ZF62B4PDOFQCLLNL7AXXSJFGINUYXVGVTDCQ2V7S7W5S234WFXCJ4" },
	{ "", LARGE,
	  "urn:eris:B4AC3MKL2BYR3E2WPMY2QRA6QZBLY4VNWJEBTSK5KWD66BRIT2EXV"
	  "QVWY6TWVKJCZLC66RE3T2PKWDU3TBAKZZZIZRBTMP6BSOPE4CRXII" },
	{ "Hello world!", SMALL,
	  "urn:eris:BIAD77QDJMFAKZYH2DXBUZYAP3MXZ3DJZVFYQ5DFWC6T65WSFCU5S"
	  "2IT4YZGJ7AC4SYQMP2DM2ANS2ZTCP3DJJIRV733CRAAHOSWIYZM3M" },
	{ "Hello world!", LARGE,
	  "urn:eris:B4ABLHUAHUMZ3G4FBXZWOZJTE4CTQPFNA5DE5YITWWYDUQD2K6AHD"
	  "MTQL4XVKKVZY3FHASKREASE5BFG2SHMK73MNEGZNNOX5R6ZKCOL6A" },
};

static void test_known_urns(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		const uint8_t *content = (const uint8_t *)known[i].content;
		size_t len = strlen(known[i].content);
		struct store s = store_new();
		struct eris_capability cap, parsed;
		char urn[ERIS_URN_LEN + 1];

		cap = encode(&s, known[i].block_size, null_secret, content, len, 5);
		eris_urn_format(&cap, urn);
		assert_string_equal(urn, known[i].urn);
		assert_int_equal(eris_urn_parse(urn, strlen(urn), &parsed), 0);
		assert_true(cap_equal(&cap, &parsed));
		assert_decodes(&s, &cap, content, len);
		store_free(&s);
	}
}

static int drop_block(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	(void)ctx, (void)ref, (void)block, (void)len;
	return 0;
}

/* The published large test: a ChaCha20 stream keyed with the hash of its name. */
static void test_large_content(void **state)
{
	static const char name[] = "100MiB (block size 1KiB)";
	static const uint8_t nonce[12], zeros[65536];
	uint8_t key[32], *chunk = malloc(sizeof(zeros));
	struct eris_encoder enc;
	struct eris_capability cap;
	char urn[ERIS_URN_LEN + 1];

	(void)state;
	assert_non_null(chunk);
	crypto_generichash(key, 32, (const uint8_t *)name, strlen(name), NULL, 0);
	assert_int_equal(eris_encoder_init(&enc, SMALL, null_secret, drop_block, NULL), 0);
	for (uint32_t i = 0; i < 1600; i++) {
		crypto_stream_chacha20_ietf_xor_ic(chunk, zeros, sizeof(zeros), nonce,
						   i * (uint32_t)(sizeof(zeros) / 64), key);
		assert_int_equal(eris_encoder_write(&enc, chunk, sizeof(zeros)), 0);
	}
	assert_int_equal(eris_encoder_finish(&enc, &cap), 0);
	assert_int_equal(enc.blocks, 109232);
	assert_int_equal(cap.level, 5);
	eris_urn_format(&cap, urn);
	assert_string_equal(urn, "urn:eris:BIC6F5EKY2PMXS2VNOKPD3AJGKTQBD3EXSCSLZIENXAXBM7PCTH2T"
				 "CMF5OKJWAN36N4DFO6JPFZBR3MS7ECOGDYDERIJJ4N5KAQSZS67YY");
	eris_encoder_free(&enc);
	free(chunk);
}

static void test_urn_strict(void **state)
{
	const char *good = known[0].urn;
	struct eris_capability cap = { .block_size = 7 }, untouched = cap;
	char urn[ERIS_URN_LEN + 2];
	static const struct {
		size_t pos;
		char c;
	} bad[] = {
		{ 0, 'x' }, { 3, '-' }, { 8, ';' }, { 9, 'b' }, { 20, '1' }, { 20, '=' }, { 20, 0 },
		{ 40, 'q' }, { 60, ' ' }, { 114, 'B' }, { 114, '5' }, { 114, '=' },
		{ 9, 'A' },	/* another block size */
		{ 10, 'Q' },	/* level 64 and up */
		{ 11, '7' },	/* a level of 15 */
	};

	(void)state;
	assert_int_equal(strlen(good), ERIS_URN_LEN);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		strcpy(urn, good);
		urn[bad[i].pos] = bad[i].c;
		if (bad[i].pos == 11)
			urn[10] = 'B';
		assert_int_equal(eris_urn_parse(urn, ERIS_URN_LEN, &cap), -EINVAL);
	}
	assert_int_equal(eris_urn_parse(good, ERIS_URN_LEN - 1, &cap), -EINVAL);
	strcpy(urn, good);
	strcat(urn, "A");
	assert_int_equal(eris_urn_parse(urn, ERIS_URN_LEN + 1, &cap), -EINVAL);
	assert_int_equal(eris_urn_parse("", 0, &cap), -EINVAL);
	assert_memory_equal(&cap, &untouched, sizeof(cap));

	strcpy(urn, good);
	memcpy(urn, "URN:Eris:", 9);
	assert_int_equal(eris_urn_parse(urn, ERIS_URN_LEN, &cap), 0);
	assert_int_equal(cap.block_size, SMALL);
}

static void test_capability_strict(void **state)
{
	uint8_t bin[ERIS_CAPABILITY_LEN + 1] = { 10, 14 };
	struct eris_capability cap;
	struct eris_reader r;
	struct store s = store_new();

	(void)state;
	assert_int_equal(eris_capability_decode(bin, 66, &cap), 0);
	assert_int_equal(eris_capability_decode(bin, 65, &cap), -EINVAL);
	assert_int_equal(eris_capability_decode(bin, 67, &cap), -EINVAL);
	assert_int_equal(eris_capability_decode(bin, 0, &cap), -EINVAL);
	bin[1] = 15;
	assert_int_equal(eris_capability_decode(bin, 66, &cap), -EINVAL);
	bin[0] = 15;
	bin[1] = 6;
	assert_int_equal(eris_capability_decode(bin, 66, &cap), 0);
	assert_int_equal(cap.block_size, LARGE);
	bin[1] = 7;
	assert_int_equal(eris_capability_decode(bin, 66, &cap), -EINVAL);
	bin[1] = 0;
	for (unsigned int b = 0; b < 256; b++) {
		bin[0] = (uint8_t)b;
		assert_int_equal(eris_capability_decode(bin, 66, &cap),
				 b == 10 || b == 15 ? 0 : -EINVAL);
	}
	/* Nothing is fetched for a level that cannot be. */
	cap.level = 255;
	assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, NO_LIMIT), -EINVAL);
	cap.level = 0;
	cap.block_size = 4096;
	assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, NO_LIMIT), -EINVAL);
	assert_int_equal(s.fetch_calls, 0);
	store_free(&s);
}

/* Round trips */

static void round_trip(uint32_t block_size, size_t len)
{
	static const size_t chunks[] = { SIZE_MAX, 1, 7, 1000, 4096, 65537 };
	uint8_t *data = make_content(len, 1);
	struct eris_capability first = { 0 };
	unsigned int level;
	uint64_t blocks = expect_blocks(block_size, len, &level);

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		struct store s;
		struct eris_capability cap;
		struct eris_reader r;
		struct eris_counts counts;
		uint64_t got = 0;

		if (len / chunks[i] > 40000)
			continue;
		s = store_new();
		cap = encode(&s, block_size, null_secret, data, len, chunks[i]);
		assert_int_equal(s.emitted, blocks);
		assert_int_equal(cap.level, level);
		if (i)
			assert_true(cap_equal(&cap, &first));
		first = cap;
		assert_decodes(&s, &cap, data, len);
		assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, len), 0);
		assert_int_equal(eris_content_length(&r, &got), 0);
		assert_int_equal(got, len);
		assert_int_equal(eris_walk_counts(&r, &counts), 0);
		assert_int_equal(counts.blocks_min, blocks);
		assert_int_equal(counts.blocks_max, blocks);
		assert_int_equal(counts.leaves_min, len / block_size + 1);
		eris_reader_free(&r);
		eris_reader_free(&r);
		store_free(&s);
	}
	free(data);
}

static void test_round_trip_small(void **state)
{
	static const size_t edges[] = { 0, 1024, 2048, 15 * 1024, 16 * 1024, 17 * 1024, 32 * 1024,
					255 * 1024, 256 * 1024, 272 * 1024, 4096 * 1024 };

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		if (edges[i])
			round_trip(SMALL, edges[i] - 1);
		round_trip(SMALL, edges[i]);
		round_trip(SMALL, edges[i] + 1);
	}
}

static void test_round_trip_large(void **state)
{
	static const size_t edges[] = { 0, 32768, 65536, 512 * 32768 };

	(void)state;
	for (size_t i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		if (edges[i])
			round_trip(LARGE, edges[i] - 1);
		round_trip(LARGE, edges[i]);
		round_trip(LARGE, edges[i] + 1);
	}
}

static void test_auto_block_size(void **state)
{
	static const size_t lens[] = { 0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 32768, 70000 };
	static const size_t chunks[] = { 1, 1000, SIZE_MAX };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]) * 3; i++) {
		size_t len = lens[i / 3];
		uint8_t *data = make_content(len, 2);
		struct store a = store_new(), b = store_new();
		uint32_t want = len < 16384 ? SMALL : LARGE;
		struct eris_capability x, y;

		assert_int_equal(eris_block_size_for(len), want);
		x = encode(&a, ERIS_BLOCK_AUTO, null_secret, data, len, chunks[i % 3]);
		y = encode(&b, want, null_secret, data, len, SIZE_MAX);
		assert_true(cap_equal(&x, &y));
		assert_int_equal(a.emitted, b.emitted);
		assert_decodes(&a, &x, data, len);
		store_free(&a);
		store_free(&b);
		free(data);
	}
}

static void test_secret_matters(void **state)
{
	uint8_t secret[ERIS_SECRET_LEN] = { 1 };
	uint8_t *data = make_content(5000, 3);
	struct store s = store_new();
	struct eris_capability a = encode(&s, SMALL, null_secret, data, 5000, SIZE_MAX), b;

	(void)state;
	s.emitted = 0;
	b = encode(&s, SMALL, secret, data, 5000, SIZE_MAX);
	assert_false(cap_equal(&a, &b));
	assert_decodes(&s, &a, data, 5000);
	assert_decodes(&s, &b, data, 5000);
	store_free(&s);
	free(data);
}

static void test_emit_abort(void **state)
{
	uint8_t *data = make_content(40000, 4);

	(void)state;
	for (size_t at = 1; at <= 44; at++) {
		struct store s = store_new();
		struct eris_encoder enc;
		struct eris_capability cap = { .level = 99 };
		int rc;

		s.abort_at = at;
		assert_int_equal(eris_encoder_init(&enc, SMALL, null_secret, store_emit, &s), 0);
		rc = eris_encoder_write(&enc, data, 40000);
		assert_true(rc == 0 || rc == -ENOSPC);
		assert_int_equal(eris_encoder_finish(&enc, &cap), -ENOSPC);
		assert_int_equal(eris_encoder_write(&enc, data, 1), -ENOSPC);
		assert_int_equal(eris_encoder_finish(&enc, &cap), -ENOSPC);
		assert_int_equal(s.emitted, at);
		assert_int_equal(cap.level, 99);
		eris_encoder_free(&enc);
		eris_encoder_free(&enc);
		store_free(&s);
	}
	free(data);
}

static void test_encoder_arguments(void **state)
{
	struct eris_encoder enc;

	(void)state;
	assert_int_equal(eris_encoder_init(&enc, 4096, null_secret, drop_block, NULL), -EINVAL);
	eris_encoder_free(&enc);
	/* Free with the automatic size still undecided. */
	assert_int_equal(eris_encoder_init(&enc, ERIS_BLOCK_AUTO, null_secret, drop_block, NULL),
			 0);
	assert_int_equal(eris_encoder_write(&enc, "abc", 3), 0);
	assert_int_equal(enc.block_size, 0);
	eris_encoder_free(&enc);
}

/* Crafted trees, 1 KiB blocks */

struct pair {
	uint8_t b[ERIS_PAIR_LEN];
};

/* Encrypts @node under @key, or under its own hash when @key is NULL, and stores it. */
static struct pair craft(struct store *s, uint8_t level, const uint8_t *node, const uint8_t *key)
{
	uint8_t nonce[12] = { level }, block[SMALL];
	struct pair p;

	if (key)
		memcpy(p.b + 32, key, 32);
	else if (level)
		crypto_generichash(p.b + 32, 32, node, SMALL, NULL, 0);
	else
		crypto_generichash(p.b + 32, 32, node, SMALL, null_secret, 32);
	crypto_stream_chacha20_ietf_xor_ic(block, node, SMALL, nonce, 0, p.b + 32);
	crypto_generichash(p.b, 32, block, SMALL, NULL, 0);
	store_put(s, p.b, block, SMALL);
	return p;
}

static struct pair craft_leaf(struct store *s, uint8_t fill, bool padded)
{
	uint8_t node[SMALL];

	memset(node, fill, sizeof(node));
	if (padded) {
		memset(node + 100, 0, sizeof(node) - 100);
		node[100] = 0x80;
	}
	return craft(s, 0, node, NULL);
}

static struct pair craft_node(struct store *s, uint8_t level, const struct pair *pairs, size_t n)
{
	uint8_t node[SMALL] = { 0 };

	if (n)
		memcpy(node, pairs, n * sizeof(*pairs));
	return craft(s, level, node, NULL);
}

static struct eris_capability craft_cap(struct pair p, uint8_t level)
{
	struct eris_capability cap = { .block_size = SMALL, .level = level };

	memcpy(cap.root_ref, p.b, 32);
	memcpy(cap.root_key, p.b + 32, 32);
	return cap;
}

/* The walk must come to the same verdict as the decoder about internal nodes. */
static void assert_walk_rejects(struct store *s, const struct eris_capability *cap,
				enum eris_fault fault)
{
	uint8_t refs[64][ERIS_REF_LEN];
	struct eris_missing m;
	int rc;

	assert_int_equal(eris_missing_init(&m, cap, store_has, store_fetch, s, 64, NO_LIMIT), 0);
	do {
		rc = eris_missing_next(&m, refs, 64, 1000);
	} while (rc >= 0 && m.state == ERIS_MISSING_MORE);
	assert_int_equal(rc, -EBADMSG);
	assert_int_equal(m.tree.fault, fault);
	assert_int_equal(eris_missing_next(&m, refs, 64, 1000), -EBADMSG);
	eris_missing_free(&m);
}

struct crafted {
	struct store s;
	struct pair full[16];	/* 16 distinct unpadded leaves */
	struct pair end;	/* a padded leaf of 100 bytes */
};

static void crafted_init(struct crafted *c)
{
	c->s = store_new();
	for (uint8_t i = 0; i < 16; i++)
		c->full[i] = craft_leaf(&c->s, (uint8_t)(i + 1), false);
	c->end = craft_leaf(&c->s, 99, true);
}

static void reject_tree(struct crafted *c, struct pair root, uint8_t level, enum eris_fault fault)
{
	struct eris_capability cap = craft_cap(root, level);

	assert_rejects(&c->s, &cap, -EBADMSG, fault);
	if (fault != ERIS_FAULT_PADDING)
		assert_walk_rejects(&c->s, &cap, fault);
}

static void test_crafted_accepts(void **state)
{
	struct crafted c;
	struct pair root, two[2], sub[2];
	struct eris_capability cap;
	uint8_t node[SMALL] = { 0x80 };
	struct sink out = { 0 };
	enum eris_fault fault;

	(void)state;
	crafted_init(&c);
	two[0] = c.full[0];
	two[1] = c.end;
	root = craft_node(&c.s, 1, two, 2);
	cap = craft_cap(root, 1);
	assert_int_equal(decode(&c.s, &cap, NO_LIMIT, &out, &fault), 0);
	assert_int_equal(out.len, 1124);
	/* A single child below the root, on the right edge, is what encoders make. */
	sub[0] = craft_node(&c.s, 1, c.full, 16);
	sub[1] = craft_node(&c.s, 1, &c.end, 1);
	root = craft_node(&c.s, 2, sub, 2);
	cap = craft_cap(root, 2);
	out.len = 0;
	assert_int_equal(decode(&c.s, &cap, NO_LIMIT, &out, &fault), 0);
	assert_int_equal(out.len, 16 * 1024 + 100);
	/* Padding in the middle is content. */
	two[0] = craft(&c.s, 0, node, NULL);
	root = craft_node(&c.s, 1, two, 2);
	cap = craft_cap(root, 1);
	out.len = 0;
	assert_int_equal(decode(&c.s, &cap, NO_LIMIT, &out, &fault), 0);
	assert_int_equal(out.len, 1124);
	assert_memory_equal(out.data, node, SMALL);
	free(out.data);
	store_free(&c.s);
}

static void test_crafted_keys(void **state)
{
	struct crafted c;
	struct pair two[2], sub[2];
	uint8_t node[SMALL] = { 0 }, key[32] = { 5 };

	(void)state;
	crafted_init(&c);
	/* Everything else about this tree is right: only Verify-Key can object. */
	two[0] = c.full[0];
	two[1] = c.end;
	memcpy(node, two, sizeof(two));
	reject_tree(&c, craft(&c.s, 1, node, key), 1, ERIS_FAULT_KEY);
	/* The same one level down. */
	sub[0] = craft_node(&c.s, 1, c.full, 16);
	sub[1] = craft(&c.s, 1, node, key);
	reject_tree(&c, craft_node(&c.s, 2, sub, 2), 2, ERIS_FAULT_KEY);
	/* A leaf node read one level up. */
	reject_tree(&c, c.end, 1, ERIS_FAULT_KEY);
	/* A node under the nonce of another level. */
	reject_tree(&c, craft_node(&c.s, 2, two, 2), 1, ERIS_FAULT_KEY);
	store_free(&c.s);
}

static void test_crafted_shapes(void **state)
{
	struct crafted c;
	struct pair p[2], gap[3] = { 0 };
	uint8_t node[SMALL] = { 0 };

	(void)state;
	crafted_init(&c);
	/* No children, at the root and below it. */
	reject_tree(&c, craft_node(&c.s, 1, NULL, 0), 1, ERIS_FAULT_SHAPE);
	p[0] = craft_node(&c.s, 1, c.full, 16);
	p[1] = craft_node(&c.s, 1, NULL, 0);
	reject_tree(&c, craft_node(&c.s, 2, p, 2), 2, ERIS_FAULT_SHAPE);
	/* A root with a single child. */
	reject_tree(&c, craft_node(&c.s, 1, &c.end, 1), 1, ERIS_FAULT_SHAPE);
	/* A node that is not full, before others. */
	p[0] = craft_node(&c.s, 1, c.full, 15);
	p[1] = craft_node(&c.s, 1, &c.end, 1);
	reject_tree(&c, craft_node(&c.s, 2, p, 2), 2, ERIS_FAULT_SHAPE);
	/* Null reference with a key; something after the null pair; a gap. */
	p[0] = c.full[0];
	p[1] = c.end;
	memcpy(node, p, sizeof(p));
	node[2 * 64 + 40] = 1;
	reject_tree(&c, craft(&c.s, 1, node, NULL), 1, ERIS_FAULT_NODE);
	node[2 * 64 + 40] = 0;
	node[SMALL - 1] = 1;
	reject_tree(&c, craft(&c.s, 1, node, NULL), 1, ERIS_FAULT_NODE);
	gap[0] = c.full[0];
	gap[2] = c.end;
	reject_tree(&c, craft_node(&c.s, 1, gap, 3), 1, ERIS_FAULT_NODE);
	/* Last leaf: unpadded, all zero, wrong padding byte. */
	p[1] = c.full[1];
	reject_tree(&c, craft_node(&c.s, 1, p, 2), 1, ERIS_FAULT_PADDING);
	p[1] = craft_leaf(&c.s, 0, false);
	reject_tree(&c, craft_node(&c.s, 1, p, 2), 1, ERIS_FAULT_PADDING);
	memset(node, 0, sizeof(node));
	node[5] = 0x81;
	reject_tree(&c, craft(&c.s, 0, node, NULL), 0, ERIS_FAULT_PADDING);
	store_free(&c.s);
}

static void test_bad_blocks(void **state)
{
	uint8_t *data = make_content(3000, 5);
	struct store s = store_new();
	struct eris_capability cap = encode(&s, SMALL, null_secret, data, 3000, SIZE_MAX), other;
	struct entry *root = store_slot(&s, cap.root_ref);

	(void)state;
	root->block[7] ^= 1;
	assert_rejects(&s, &cap, -EBADMSG, ERIS_FAULT_REFERENCE);
	assert_walk_rejects(&s, &cap, ERIS_FAULT_REFERENCE);
	assert_int_equal(eris_block_check(root->ref, root->block, SMALL), -EBADMSG);
	root->block[7] ^= 1;
	assert_int_equal(eris_block_check(root->ref, root->block, SMALL), 0);
	assert_int_equal(eris_block_check(root->ref, root->block, SMALL - 1), -EBADMSG);
	root->len = SMALL - 1;
	assert_rejects(&s, &cap, -EBADMSG, ERIS_FAULT_LENGTH);
	root->len = SMALL;
	other = cap;
	other.block_size = LARGE;
	assert_rejects(&s, &other, -EBADMSG, ERIS_FAULT_LENGTH);
	other = cap;
	other.root_key[0] ^= 1;
	assert_rejects(&s, &other, -EBADMSG, ERIS_FAULT_KEY);
	other = cap;
	other.level++;
	assert_rejects(&s, &other, -EBADMSG, ERIS_FAULT_KEY);
	root->held = false;
	assert_rejects(&s, &cap, -ENOENT, ERIS_FAULT_NONE);
	store_free(&s);
	free(data);
}

/* Limits */

static void test_output_limit(void **state)
{
	static const size_t lens[] = { 0, 1, 1023, 1024, 1025, 2048, 16384, 30000, 300000 };

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		size_t len = lens[i];
		uint8_t *data = make_content(len, 6);
		struct store s = store_new();
		struct eris_capability cap = encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
		struct sink out = { 0 };
		enum eris_fault fault;

		assert_decodes(&s, &cap, data, len);
		for (uint64_t cut = 1; cut <= len; cut = cut * 3 + 1) {
			out.len = 0;
			assert_int_equal(decode(&s, &cap, len - cut, &out, &fault), -EFBIG);
			assert_true(out.len <= len - cut);
		}
		free(out.data);
		free(data);
		store_free(&s);
	}
}

/* A few blocks that describe an enormous content. */
static void test_bomb(void **state)
{
	struct crafted c;
	struct pair p[16], full, edge;
	struct eris_capability cap;
	struct eris_missing m;
	struct sink out = { 0 };
	enum eris_fault fault;
	uint8_t refs[4][ERIS_REF_LEN];
	unsigned int calls = 0;

	(void)state;
	crafted_init(&c);
	/* At each level fourteen times the same full node, then the right edge. */
	full = c.full[0];
	edge = c.end;
	for (uint8_t level = 1; level <= 13; level++) {
		for (int i = 0; i < 16; i++)
			p[i] = full;
		full = craft_node(&c.s, level, p, 16);
		p[14] = edge;
		edge = craft_node(&c.s, level, p, 15);
	}
	cap = craft_cap(edge, 13);
	assert_int_equal(decode(&c.s, &cap, 1 << 30, &out, &fault), -EFBIG);
	assert_int_equal(out.len, 0);
	assert_int_equal(c.s.fetch_calls, 0);
	assert_int_equal(eris_missing_init(&m, &cap, store_has, store_fetch, &c.s, 4, 1 << 30),
			 -EFBIG);
	eris_missing_free(&m);
	/* A walk of it costs a look at each block on the edge, not one at each of 2^52 leaves. */
	assert_int_equal(eris_missing_init(&m, &cap, store_has, store_fetch, &c.s, 4, NO_LIMIT), 0);
	do {
		assert_int_equal(eris_missing_next(&m, refs, 4, 100), 0);
		assert_true(++calls < 100);
	} while (m.state == ERIS_MISSING_MORE);
	assert_int_equal(m.state, ERIS_MISSING_COMPLETE);
	eris_missing_free(&m);
	free(out.data);
	store_free(&c.s);
}

/* Resuming */

static void test_decoder_resumes(void **state)
{
	size_t len = 600 * 1024 + 3, got_missing = 0;
	uint8_t *data = make_content(len, 7);
	struct store s = store_new();
	struct eris_capability cap = encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct sink out = { .again_every = 3 };
	struct eris_decoder dec;
	int rc;

	(void)state;
	for (size_t i = 0; i < s.size; i++)
		s.slots[i].held = false;
	assert_int_equal(eris_decoder_init(&dec, &cap, store_fetch, &s, sink_output, &out, len), 0);
	while ((rc = eris_decoder_run(&dec, 2)) != 0) {
		if (rc == -ENOENT) {
			store_slot(&s, dec.reader.tree.at)->held = true;
			got_missing++;
		} else {
			assert_true(rc == 1 || rc == -EAGAIN);
		}
	}
	assert_int_equal(got_missing, s.used);
	assert_int_equal(out.len, len);
	assert_memory_equal(out.data, data, len);
	assert_true(dec.done);
	/* Each block: one fetch that missed, one that did not. */
	assert_int_equal(s.fetch_calls, 2 * s.used);
	eris_decoder_free(&dec);
	free(out.data);
	free(data);
	store_free(&s);
}

static void test_random_access(void **state)
{
	static const struct {
		uint32_t block_size;
		size_t len;
	} cases[] = { { SMALL, 1 << 20 }, { SMALL, (1 << 20) + 77 }, { LARGE, 1 << 20 },
		      { SMALL, 0 }, { SMALL, 700 }, { LARGE, 17000000 } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t len = cases[i].len;
		uint8_t *data = make_content(len, 8), *buf = malloc(len + 10);
		struct store s = store_new();
		struct eris_capability cap;
		struct eris_reader r;

		assert_non_null(buf);
		cap = encode(&s, cases[i].block_size, null_secret, data, len, SIZE_MAX);
		assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, len), 0);
		for (int k = 0; k < 300; k++) {
			size_t off = randombytes_uniform((uint32_t)len + 2000);
			size_t want = randombytes_uniform(k % 2 ? 100 : 100000);
			size_t have = off >= len ? 0 : len - off < want ? len - off : want;

			if (want > len + 10)
				want = len + 10;
			if (have > want)
				have = want;
			assert_int_equal(eris_read_at(&r, off, buf, want), have);
			if (have)
				assert_memory_equal(buf, data + off, have);
		}
		assert_int_equal(eris_read_at(&r, UINT64_MAX, buf, 1), 0);
		assert_int_equal(eris_read_at(&r, 0, buf, len + 10), len);
		assert_int_equal(eris_read_at(&r, 0, buf, 0), 0);
		/* Sequential reading in small pieces fetches each leaf once. */
		eris_reader_free(&r);
		assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, len), 0);
		s.fetch_calls = 0;
		for (size_t off = 0; off < len; off += 500)
			assert_true(eris_read_at(&r, off, buf, 500) > 0);
		assert_true(s.fetch_calls <= s.emitted);
		eris_reader_free(&r);
		free(buf);
		free(data);
		store_free(&s);
	}
}

static void test_read_at_errors(void **state)
{
	size_t len = 40 * 1024;
	uint8_t *data = make_content(len, 9), *buf = malloc(len);
	struct store s = store_new();
	struct eris_capability cap = encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct eris_reader r;
	uint64_t got = 5;

	(void)state;
	assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, len), 0);
	assert_int_equal(eris_read_at(&r, 20 * 1024, buf, 10), 10);
	/* The leaf just read goes missing: what comes before it is still given. */
	store_slot(&s, r.tree.at)->held = false;
	assert_int_equal(eris_read_at(&r, 0, buf, 10), 10);
	assert_int_equal(eris_read_at(&r, 18 * 1024, buf, 9000), 2048);
	assert_memory_equal(buf, data + 18 * 1024, 2048);
	assert_int_equal(eris_read_at(&r, 20 * 1024, buf, 9000), -ENOENT);
	store_slot(&s, r.tree.at)->held = true;
	assert_int_equal(eris_read_at(&r, 20 * 1024, buf, 9000), 9000);
	eris_reader_free(&r);
	assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, len - 1), 0);
	assert_int_equal(eris_content_length(&r, &got), -EFBIG);
	assert_int_equal(got, 5);
	eris_reader_free(&r);
	free(buf);
	free(data);
	store_free(&s);
}

/* Missing walk */

struct walk_case {
	uint32_t block_size;
	size_t len;
	uint32_t window;
	unsigned int drop;	/* percent */
	bool notify;		/* tell arrivals; else the walk asks the store */
	bool shuffle;		/* blocks arrive late and out of order */
};

/* Walks, storing what is asked for in some order, until complete. */
static void run_walk(const struct walk_case *w, struct store *s, const struct eris_capability *cap,
		     size_t dropped)
{
	uint8_t (*queue)[ERIS_REF_LEN] = calloc(ERIS_MAX_WINDOW, ERIS_REF_LEN);
	uint8_t (*again)[ERIS_REF_LEN] = calloc(ERIS_MAX_WINDOW, ERIS_REF_LEN);
	size_t queued = 0, asked = 0;
	unsigned int level;
	struct eris_missing m;

	assert_non_null(queue);
	assert_non_null(again);
	assert_int_equal(eris_missing_init(&m, cap, store_has, store_fetch, s, w->window, w->len),
			 0);
	for (;;) {
		size_t room = w->shuffle ? 1 + randombytes_uniform(w->window) : w->window;
		int n = eris_missing_next(&m, queue + queued, room, 7);

		assert_in_range(n, 0, (int)room);
		for (int i = 0; i < n; i++) {
			struct entry *e = store_slot(s, queue[queued + (size_t)i]);

			assert_non_null(e->block);
			assert_false(e->held);
			assert_false(e->asked);
			e->asked = true;
		}
		asked += (size_t)n;
		queued += (size_t)n;
		assert_int_equal(eris_missing_waiting(&m, again, ERIS_MAX_WINDOW), m.waiting);
		if (w->notify)
			assert_int_equal(m.waiting, queued);
		assert_true(m.waiting <= w->window);
		if (m.state == ERIS_MISSING_COMPLETE)
			break;
		if (m.state == ERIS_MISSING_MORE && w->shuffle && randombytes_uniform(2))
			continue;
		while (queued && (!w->shuffle || randombytes_uniform(3))) {
			size_t i = w->shuffle ? randombytes_uniform((uint32_t)queued) : 0;

			store_slot(s, queue[i])->held = true;
			if (w->notify) {
				assert_true(eris_missing_arrived(&m, queue[i]));
				assert_false(eris_missing_arrived(&m, queue[i]));
			}
			queued--;
			memmove(queue[i], queue[i + 1], (queued - i) * ERIS_REF_LEN);
		}
	}
	assert_int_equal(asked, dropped);
	assert_int_equal(m.waiting, 0);
	assert_int_equal(m.seen, expect_blocks(w->block_size, w->len, &level));
	eris_missing_free(&m);
	eris_missing_free(&m);
	free(queue);
	free(again);
}

static size_t drop_blocks(struct store *s, unsigned int percent)
{
	size_t dropped = 0;

	for (size_t i = 0; i < s->size; i++) {
		s->slots[i].asked = false;
		s->slots[i].held = randombytes_uniform(100) >= percent;
		dropped += s->slots[i].block && !s->slots[i].held;
	}
	return dropped;
}

static void test_missing_walk(void **state)
{
	static const struct { uint32_t block_size; size_t len; } sizes[] = {
		{ SMALL, 0 }, { SMALL, 1024 }, { SMALL, 20000 }, { SMALL, 300000 },
		{ SMALL, 5000000 }, { LARGE, 17000000 } };
	static const uint32_t windows[] = { 1, 2, 64, 1024 };
	static const unsigned int drops[] = { 0, 10, 50, 90, 100 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint8_t *data = make_content(sizes[i].len, 10);
		struct store s = store_new();
		struct eris_capability cap = encode(&s, sizes[i].block_size, null_secret, data,
						    sizes[i].len, SIZE_MAX);

		for (int k = 0; k < 4 * 5 * 4; k++) {
			struct walk_case w = { sizes[i].block_size, sizes[i].len, windows[k % 4],
					       drops[k / 4 % 5], k / 20 % 2, k / 40 % 2 };

			/* The deepest tree with all the windows once is enough. */
			if (sizes[i].len > 1000000 && k >= 40 && k % 4 != 2)
				continue;
			run_walk(&w, &s, &cap, drop_blocks(&s, w.drop));
		}
		assert_decodes(&s, &cap, data, sizes[i].len);
		store_free(&s);
		free(data);
	}
}

/* Content that repeats itself: each block is asked for once. */
static void test_missing_repeated(void **state)
{
	size_t len = 3000 * 1024;
	uint8_t *data = calloc(1, len);

	(void)state;
	assert_non_null(data);
	for (int kind = 0; kind < 3; kind++) {
		struct store s = store_new();
		struct eris_capability cap;

		/* All zero; two blocks in turn; leaves that look like the last one. */
		for (size_t i = 0; i < len / 1024; i++)
			data[i * 1024] = kind == 1 ? (uint8_t)(i % 2) : kind == 2 ? 0x80 : 0;
		cap = encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
		assert_true(s.used < 20);
		for (int k = 0; k < 40; k++) {
			struct walk_case w = { SMALL, len, k % 2 ? 1 : 64,
					       10u * (unsigned int)(k / 4), k / 2 % 2, true };

			if (kind == 2 && k == 39)
				w.drop = 100;
			run_walk(&w, &s, &cap, drop_blocks(&s, w.drop));
		}
		assert_decodes(&s, &cap, data, len);
		store_free(&s);
	}
	free(data);
}

/* A restart passes over what is held, reads internal nodes only, and minds its budget. */
static void test_missing_restart(void **state)
{
	size_t len = 5000000;
	uint8_t *data = make_content(len, 11), refs[64][ERIS_REF_LEN];
	struct store s = store_new();
	struct eris_capability cap = encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct eris_missing m;
	size_t calls = 0, leaves = len / 1024 + 1;

	(void)state;
	assert_int_equal(eris_missing_init(&m, &cap, store_has, store_fetch, &s, 64, len), 0);
	do {
		size_t before = s.has_calls;

		assert_int_equal(eris_missing_next(&m, refs, 64, 100), 0);
		assert_true(s.has_calls - before <= 100);
		calls++;
	} while (m.state == ERIS_MISSING_MORE);
	assert_int_equal(m.state, ERIS_MISSING_COMPLETE);
	assert_true(calls > leaves / 100);
	assert_int_equal(s.has_calls, s.used);
	assert_int_equal(s.fetch_calls, s.used - leaves);
	/* Still complete when asked again. */
	assert_int_equal(eris_missing_next(&m, refs, 0, 1), 0);
	assert_int_equal(m.state, ERIS_MISSING_COMPLETE);
	eris_missing_free(&m);
	assert_int_equal(eris_missing_init(&m, &cap, store_has, store_fetch, &s, 0, len), -EINVAL);
	assert_int_equal(eris_missing_init(&m, &cap, store_has, store_fetch, &s, 1025, len),
			 -EINVAL);
	assert_int_equal(eris_missing_init(&m, &cap, store_has, store_fetch, &s, 64, 1000), -EFBIG);
	store_free(&s);
	free(data);
}

static void test_counts(void **state)
{
	size_t len = 300 * 1024;
	uint8_t *data = make_content(len, 12);
	struct store s = store_new();
	struct eris_capability cap = encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct eris_counts c;
	struct eris_reader r;

	(void)state;
	for (size_t i = 0; i < s.size; i++)
		s.slots[i].held = false;
	assert_int_equal(cap.level, 3);
	assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, NO_LIMIT), 0);
	assert_int_equal(eris_walk_counts(&r, &c), 0);
	assert_int_equal(c.leaves_min, 257);
	assert_int_equal(c.leaves_max, 4096);
	assert_int_equal(c.blocks_max, 4096 + 256 + 16 + 1);
	store_slot(&s, cap.root_ref)->held = true;
	assert_int_equal(eris_walk_counts(&r, &c), 0);
	assert_int_equal(c.leaves_min, 257);
	assert_int_equal(c.leaves_max, 512);
	eris_reader_free(&r);
	assert_int_equal(eris_reader_init(&r, &cap, store_fetch, &s, 310 * 1024), 0);
	assert_int_equal(eris_walk_counts(&r, &c), 0);
	assert_int_equal(c.leaves_max, 311);
	eris_reader_free(&r);
	store_free(&s);
	free(data);
}

/* Official vectors */

static uint8_t *base32(const char *text, size_t *len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	uint8_t *out = malloc(strlen(text) + 1);
	unsigned int acc = 0, bits = 0;

	assert_non_null(out);
	*len = 0;
	for (; *text && *text != '='; text++) {
		const char *d = strchr(digits, *text);

		assert_non_null(d);
		acc = (acc << 5 | (unsigned int)(d - digits)) & 0xffff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			out[(*len)++] = (uint8_t)(acc >> bits);
		}
	}
	return out;
}

static struct json_object *member(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	assert_true(json_object_object_get_ex(o, name, &v));
	return v;
}

static void load_vector_blocks(struct store *s, struct json_object *vector)
{
	json_object_object_foreach(member(vector, "blocks"), name, value) {
		size_t ref_len, len;
		uint8_t *ref = base32(name, &ref_len);
		uint8_t *block = base32(json_object_get_string(value), &len);

		assert_int_equal(ref_len, ERIS_REF_LEN);
		store_put(s, ref, block, len);
		free(ref);
		free(block);
	}
}

static void check_positive(struct json_object *v, struct store *s,
			   const struct eris_capability *cap)
{
	size_t len, secret_len;
	uint8_t *content = base32(json_object_get_string(member(v, "content")), &len);
	uint8_t *secret = base32(json_object_get_string(member(v, "convergence-secret")),
				 &secret_len);
	struct store mine = store_new();
	struct eris_capability got;

	assert_int_equal(secret_len, ERIS_SECRET_LEN);
	assert_decodes(s, cap, content, len);
	got = encode(&mine, cap->block_size, secret, content, len, 1000);
	assert_true(cap_equal(&got, cap));
	assert_int_equal(mine.used, s->used);
	for (size_t i = 0; i < mine.size; i++)
		if (mine.slots[i].block)
			assert_true(store_has(s, mine.slots[i].ref));
	store_free(&mine);
	free(content);
	free(secret);
}

static void check_negative(int id, struct store *s, const struct eris_capability *cap)
{
	static const struct {
		int id;
		int error;
		enum eris_fault fault;
	} want[] = {
		{ 13, -ENOENT, ERIS_FAULT_NONE }, { 14, -EBADMSG, ERIS_FAULT_REFERENCE },
		{ 15, -ENOENT, ERIS_FAULT_NONE }, { 16, -EBADMSG, ERIS_FAULT_REFERENCE },
		{ 17, -EBADMSG, ERIS_FAULT_KEY }, { 18, -EBADMSG, ERIS_FAULT_KEY },
		{ 19, -EBADMSG, ERIS_FAULT_PADDING }, { 20, -EBADMSG, ERIS_FAULT_LENGTH },
		{ 21, -EBADMSG, ERIS_FAULT_LENGTH }, { 22, -EBADMSG, ERIS_FAULT_PADDING },
		{ 23, -EBADMSG, ERIS_FAULT_PADDING }, { 24, -EBADMSG, ERIS_FAULT_NODE },
	};

	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		if (want[i].id == id) {
			assert_rejects(s, cap, want[i].error, want[i].fault);
			return;
		}
	fail_msg("unknown negative vector %d", id);
}

static void test_official_vectors(void **state)
{
	const char *dir = getenv("RATMAN_ERIS_VECTORS");
	int positive = 0, negative = 0;
	struct dirent *d;
	DIR *handle;

	(void)state;
	dir = dir ? dir : "../shared/eris";
	handle = opendir(dir);
	if (!handle)
		skip();
	while ((d = readdir(handle))) {
		struct json_object *v;
		struct eris_capability cap;
		struct store s;
		const char *urn;
		char path[4096], again[ERIS_URN_LEN + 1];

		if (fnmatch("eris-test-vector-*.json", d->d_name, 0))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, d->d_name);
		v = json_object_from_file(path);
		assert_non_null(v);
		assert_string_equal(json_object_get_string(member(v, "spec-version")), "1.0.0");
		urn = json_object_get_string(member(v, "urn"));
		assert_int_equal(eris_urn_parse(urn, strlen(urn), &cap), 0);
		eris_urn_format(&cap, again);
		assert_string_equal(again, urn);
		s = store_new();
		load_vector_blocks(&s, v);
		if (!strcmp(json_object_get_string(member(v, "type")), "positive")) {
			check_positive(v, &s, &cap);
			positive++;
		} else {
			check_negative(json_object_get_int(member(v, "id")), &s, &cap);
			negative++;
		}
		store_free(&s);
		json_object_put(v);
	}
	closedir(handle);
	print_message("official vectors: %d positive, %d negative\n", positive, negative);
	assert_true(positive > 0 && negative > 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_urns),
		cmocka_unit_test(test_large_content),
		cmocka_unit_test(test_urn_strict),
		cmocka_unit_test(test_capability_strict),
		cmocka_unit_test(test_round_trip_small),
		cmocka_unit_test(test_round_trip_large),
		cmocka_unit_test(test_auto_block_size),
		cmocka_unit_test(test_secret_matters),
		cmocka_unit_test(test_emit_abort),
		cmocka_unit_test(test_encoder_arguments),
		cmocka_unit_test(test_crafted_accepts),
		cmocka_unit_test(test_crafted_keys),
		cmocka_unit_test(test_crafted_shapes),
		cmocka_unit_test(test_bad_blocks),
		cmocka_unit_test(test_output_limit),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_decoder_resumes),
		cmocka_unit_test(test_random_access),
		cmocka_unit_test(test_read_at_errors),
		cmocka_unit_test(test_missing_walk),
		cmocka_unit_test(test_missing_repeated),
		cmocka_unit_test(test_missing_restart),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_official_vectors),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
