// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ERIS 1.0.0: codec, known answers, and the official vectors.
 */
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

#include "unit/eris_blocks.h"

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
		struct blocks s = blocks_new();
		struct eris_capability cap, parsed;
		char urn[ERIS_URN_LEN + 1];

		cap = blocks_encode(&s, known[i].block_size, null_secret, content, len, 5);
		eris_urn_format(&cap, urn);
		assert_string_equal(urn, known[i].urn);
		assert_int_equal(eris_urn_parse(urn, strlen(urn), &parsed), 0);
		assert_true(cap_equal(&cap, &parsed));
		assert_decodes(&s, &cap, content, len);
		blocks_free(&s);
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
	struct blocks s = blocks_new();

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
	assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, NO_LIMIT), -EINVAL);
	cap.level = 0;
	cap.block_size = 4096;
	assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, NO_LIMIT), -EINVAL);
	assert_int_equal(s.fetch_calls, 0);
	blocks_free(&s);
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
		struct blocks s;
		struct eris_capability cap;
		struct eris_reader r;
		struct eris_counts counts;
		uint64_t got = 0;

		if (len / chunks[i] > 40000)
			continue;
		s = blocks_new();
		cap = blocks_encode(&s, block_size, null_secret, data, len, chunks[i]);
		assert_int_equal(s.emitted, blocks);
		assert_int_equal(cap.level, level);
		if (i)
			assert_true(cap_equal(&cap, &first));
		first = cap;
		assert_decodes(&s, &cap, data, len);
		assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, len), 0);
		assert_int_equal(eris_content_length(&r, &got), 0);
		assert_int_equal(got, len);
		assert_int_equal(eris_walk_counts(&r, &counts), 0);
		assert_int_equal(counts.blocks_min, blocks);
		assert_int_equal(counts.blocks_max, blocks);
		assert_int_equal(counts.leaves_min, len / block_size + 1);
		eris_reader_free(&r);
		eris_reader_free(&r);
		blocks_free(&s);
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
		struct blocks a = blocks_new(), b = blocks_new();
		uint32_t want = len < 16384 ? SMALL : LARGE;
		struct eris_capability x, y;

		assert_int_equal(eris_block_size_for(len), want);
		x = blocks_encode(&a, ERIS_BLOCK_AUTO, null_secret, data, len, chunks[i % 3]);
		y = blocks_encode(&b, want, null_secret, data, len, SIZE_MAX);
		assert_true(cap_equal(&x, &y));
		assert_int_equal(a.emitted, b.emitted);
		assert_decodes(&a, &x, data, len);
		blocks_free(&a);
		blocks_free(&b);
		free(data);
	}
}

static void test_secret_matters(void **state)
{
	uint8_t secret[ERIS_SECRET_LEN] = { 1 };
	uint8_t *data = make_content(5000, 3);
	struct blocks s = blocks_new();
	struct eris_capability a = blocks_encode(&s, SMALL, null_secret, data, 5000, SIZE_MAX), b;

	(void)state;
	s.emitted = 0;
	b = blocks_encode(&s, SMALL, secret, data, 5000, SIZE_MAX);
	assert_false(cap_equal(&a, &b));
	assert_decodes(&s, &a, data, 5000);
	assert_decodes(&s, &b, data, 5000);
	blocks_free(&s);
	free(data);
}

static void test_emit_abort(void **state)
{
	uint8_t *data = make_content(40000, 4);

	(void)state;
	for (size_t at = 1; at <= 44; at++) {
		struct blocks s = blocks_new();
		struct eris_encoder enc;
		struct eris_capability cap = { .level = 99 };
		int rc;

		s.abort_at = at;
		assert_int_equal(eris_encoder_init(&enc, SMALL, null_secret, blocks_emit, &s), 0);
		rc = eris_encoder_write(&enc, data, 40000);
		assert_true(rc == 0 || rc == -ENOSPC);
		assert_int_equal(eris_encoder_finish(&enc, &cap), -ENOSPC);
		assert_int_equal(eris_encoder_write(&enc, data, 1), -ENOSPC);
		assert_int_equal(eris_encoder_finish(&enc, &cap), -ENOSPC);
		assert_int_equal(s.emitted, at);
		assert_int_equal(cap.level, 99);
		eris_encoder_free(&enc);
		eris_encoder_free(&enc);
		blocks_free(&s);
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

static void load_vector_blocks(struct blocks *s, struct json_object *vector)
{
	json_object_object_foreach(member(vector, "blocks"), name, value) {
		size_t ref_len, len;
		uint8_t *ref = base32(name, &ref_len);
		uint8_t *block = base32(json_object_get_string(value), &len);

		assert_int_equal(ref_len, ERIS_REF_LEN);
		blocks_put(s, ref, block, len);
		free(ref);
		free(block);
	}
}

static void check_positive(struct json_object *v, struct blocks *s,
			   const struct eris_capability *cap)
{
	size_t len, secret_len;
	uint8_t *content = base32(json_object_get_string(member(v, "content")), &len);
	uint8_t *secret = base32(json_object_get_string(member(v, "convergence-secret")),
				 &secret_len);
	struct blocks mine = blocks_new();
	struct eris_capability got;

	assert_int_equal(secret_len, ERIS_SECRET_LEN);
	assert_decodes(s, cap, content, len);
	got = blocks_encode(&mine, cap->block_size, secret, content, len, 1000);
	assert_true(cap_equal(&got, cap));
	assert_int_equal(mine.used, s->used);
	for (size_t i = 0; i < mine.size; i++)
		if (mine.slots[i].block)
			assert_true(blocks_has(s, mine.slots[i].ref));
	blocks_free(&mine);
	free(content);
	free(secret);
}

static void check_negative(int id, struct blocks *s, const struct eris_capability *cap)
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
		struct blocks s;
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
		s = blocks_new();
		load_vector_blocks(&s, v);
		if (!strcmp(json_object_get_string(member(v, "type")), "positive")) {
			check_positive(v, &s, &cap);
			positive++;
		} else {
			check_negative(json_object_get_int(member(v, "id")), &s, &cap);
			negative++;
		}
		blocks_free(&s);
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
		cmocka_unit_test(test_official_vectors),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
