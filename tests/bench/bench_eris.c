// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ERIS encode and decode speed against the limit set by the primitives in the
 * same run. Prints one JSON object a line. MB = 10^6 bytes; CPU time of this
 * thread, best of several rounds in turn, so that other load matters little.
 * Usage: bench_eris [rounds]
 */
#include "ratmand/flow/eris.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CHUNK (1u << 20)	/* content written at a time */
#define ENCODE_CHUNKS 96
#define STORED (4u << 20)	/* content decoded; fits the caches */
#define PRIMITIVE_BYTES (32u << 20)
#define INDEX_SIZE (1u << 14)

static const uint8_t secret[ERIS_SECRET_LEN] = { 1 };

struct store {
	uint8_t (*refs)[ERIS_REF_LEN];
	uint8_t *blocks;
	uint32_t *index;	/* number of a block, plus 1 */
	uint32_t n;		/* places of the tree; no two blocks are equal */
	uint32_t block_size;
};

struct speeds {
	double keyed;
	double unkeyed;
	double cipher;
	double encode;
	double decode;
	double fetch;		/* the bench's own store: look-up and copy */
	double walk;		/* places of the tree a second */
};

static void *must(void *p)
{
	if (!p)
		abort();
	return p;
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void keep_best(double *best, double bytes, double start)
{
	double speed = bytes / (cpu_seconds() - start);

	if (speed > *best)
		*best = speed;
}

static long max_rss_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static uint32_t *slot(const struct store *s, const uint8_t *ref)
{
	uint32_t h;

	memcpy(&h, ref, sizeof(h));
	for (;; h++) {
		uint32_t *at = &s->index[h & (INDEX_SIZE - 1)];

		if (!*at || !memcmp(s->refs[*at - 1], ref, ERIS_REF_LEN))
			return at;
	}
}

static int emit_nothing(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block,
			size_t len)
{
	(void)ctx, (void)ref, (void)block, (void)len;
	return 0;
}

static int emit_store(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	struct store *s = ctx;

	memcpy(s->refs[s->n], ref, ERIS_REF_LEN);
	memcpy(s->blocks + (size_t)s->n * len, block, len);
	*slot(s, ref) = ++s->n;
	return 0;
}

static int has(void *ctx, const uint8_t ref[ERIS_REF_LEN])
{
	return *slot(ctx, ref) != 0;
}

static int fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size)
{
	struct store *s = ctx;
	uint32_t i = *slot(s, ref);

	(void)size;
	if (!i)
		return -ENOENT;
	memcpy(buf, s->blocks + (size_t)(i - 1) * s->block_size, s->block_size);
	return (int)s->block_size;
}

static int output_nothing(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx, (void)data, (void)len;
	return 0;
}

static void bench_primitives(struct speeds *best, uint32_t size, uint8_t *block)
{
	uint8_t sum[32], nonce[12] = { 0 };
	double start = cpu_seconds();

	for (uint32_t i = 0; i < PRIMITIVE_BYTES / size; i++)
		crypto_generichash(sum, 32, block, size, secret, sizeof(secret));
	keep_best(&best->keyed, PRIMITIVE_BYTES, start);
	start = cpu_seconds();
	for (uint32_t i = 0; i < PRIMITIVE_BYTES / size; i++)
		crypto_generichash(sum, 32, block, size, NULL, 0);
	keep_best(&best->unkeyed, PRIMITIVE_BYTES, start);
	start = cpu_seconds();
	for (uint32_t i = 0; i < PRIMITIVE_BYTES / size; i++)
		crypto_stream_chacha20_ietf_xor_ic(block, block, size, nonce, 0, secret);
	keep_best(&best->cipher, PRIMITIVE_BYTES, start);
}

static void bench_encode(struct speeds *best, uint32_t size, const uint8_t *chunk)
{
	struct eris_encoder enc;
	struct eris_capability cap;
	double start = cpu_seconds();

	if (eris_encoder_init(&enc, size, secret, emit_nothing, NULL))
		abort();
	for (unsigned int i = 0; i < ENCODE_CHUNKS; i++)
		if (eris_encoder_write(&enc, chunk, CHUNK))
			abort();
	if (eris_encoder_finish(&enc, &cap))
		abort();
	eris_encoder_free(&enc);
	keep_best(&best->encode, (double)CHUNK * ENCODE_CHUNKS, start);
}

static void bench_decode(struct speeds *best, struct store *s, const struct eris_capability *cap,
			 uint8_t *buf)
{
	struct eris_decoder dec;
	struct eris_missing m;
	double start = cpu_seconds();

	if (eris_decoder_init(&dec, cap, fetch, s, output_nothing, NULL, STORED) ||
	    eris_decoder_run(&dec, 0) || dec.content_len != STORED)
		abort();
	eris_decoder_free(&dec);
	keep_best(&best->decode, STORED, start);
	start = cpu_seconds();
	for (uint32_t i = 0; i < s->n; i++)
		fetch(s, s->refs[i], buf, s->block_size);
	keep_best(&best->fetch, STORED, start);
	start = cpu_seconds();
	if (eris_missing_init(&m, cap, has, fetch, s, 64, STORED) ||
	    eris_missing_next(&m, NULL, 0, UINT32_MAX) || m.state != ERIS_MISSING_COMPLETE)
		abort();
	keep_best(&best->walk, (double)m.seen, start);
	eris_missing_free(&m);
}

static void store_fill(struct store *s, uint32_t size, struct eris_capability *cap)
{
	size_t places = STORED / size + STORED / size / (size / 64 - 1) + 16;
	uint8_t seed[randombytes_SEEDBYTES] = { 2 }, *content = must(malloc(CHUNK));
	struct eris_encoder enc;

	s->block_size = size;
	s->refs = must(calloc(places, ERIS_REF_LEN));
	s->blocks = must(malloc(places * size));
	s->index = must(calloc(INDEX_SIZE, sizeof(*s->index)));
	if (eris_encoder_init(&enc, size, secret, emit_store, s))
		abort();
	for (unsigned int i = 0; i < STORED / CHUNK; i++) {
		seed[1] = (uint8_t)i;
		randombytes_buf_deterministic(content, CHUNK, seed);
		if (eris_encoder_write(&enc, content, CHUNK))
			abort();
	}
	if (eris_encoder_finish(&enc, cap))
		abort();
	eris_encoder_free(&enc);
	free(content);
}

static void report(const char *what, uint32_t size, double speed, double limit, long rss)
{
	printf("{\"bench\":\"eris_%s\",\"block\":%u,\"mb_s\":%.1f,\"limit_mb_s\":%.1f,"
	       "\"percent\":%.1f,\"max_rss_kib\":%ld}\n",
	       what, size, speed / 1e6, limit / 1e6, 100 * speed / limit, rss);
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = { ERIS_BLOCK_LARGE, ERIS_BLOCK_SMALL };
	int rounds = argc > 1 ? atoi(argv[1]) : 7;
	struct speeds best[2] = { 0 };
	uint8_t *chunk = must(calloc(1, CHUNK)), *block = must(calloc(1, ERIS_BLOCK_LARGE));
	long encode_rss;

	if (sodium_init() < 0 || rounds < 1)
		return 1;
	for (int i = 0; i < 2 * rounds; i++) {
		bench_primitives(&best[i % 2], sizes[i % 2], block);
		bench_encode(&best[i % 2], sizes[i % 2], chunk);
	}
	encode_rss = max_rss_kib();
	for (int k = 0; k < 2; k++) {
		double inner = 1.0 / (sizes[k] / 64 - 1);	/* internal blocks per leaf */
		struct speeds *b = &best[k];
		struct store s = { 0 };
		struct eris_capability cap;

		store_fill(&s, sizes[k], &cap);
		for (int i = 0; i < rounds; i++) {
			bench_primitives(b, sizes[k], block);
			bench_decode(b, &s, &cap, block);
		}
		free(s.refs);
		free(s.blocks);
		free(s.index);
		printf("{\"bench\":\"eris_primitives\",\"block\":%u,\"keyed_mb_s\":%.1f,"
		       "\"unkeyed_mb_s\":%.1f,\"chacha20_mb_s\":%.1f,\"fetch_mb_s\":%.1f}\n",
		       sizes[k], b->keyed / 1e6, b->unkeyed / 1e6, b->cipher / 1e6,
		       b->fetch / 1e6);
		report("encode", sizes[k], b->encode,
		       1 / (1 / b->keyed + 1 / b->unkeyed + 1 / b->cipher +
			    inner * (2 / b->unkeyed + 1 / b->cipher)), encode_rss);
		/* This tree is small: count its internal nodes; and its store takes time. */
		inner = (double)s.n * sizes[k] / STORED - 1;
		report("decode", sizes[k], b->decode,
		       1 / (1 / b->unkeyed + 1 / b->cipher +
			    inner * (2 / b->unkeyed + 1 / b->cipher) + 1 / b->fetch),
		       max_rss_kib());
		printf("{\"bench\":\"eris_walk\",\"block\":%u,\"ns_per_place\":%.1f}\n", sizes[k],
		       1e9 / b->walk);
	}
	free(chunk);
	free(block);
	return 0;
}
