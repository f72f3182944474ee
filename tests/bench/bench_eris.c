// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ERIS encode and decode speed against the limit set by the primitives in the
 * same run. Prints one JSON object a line. MB = 10^6 bytes, CPU time of this
 * thread. Each round measures primitives and ERIS one after the other; the
 * percentage is the median over the rounds, so that other load matters little.
 * Usage: bench_eris [rounds]
 */
#include "bench/bench.h"
#include "ratmand/flow/eris.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define CHUNK (1u << 20)	/* content written at a time */
#define ENCODE_CHUNKS 32
#define STORED (4u << 20)	/* content decoded; fits the caches */
#define DECODE_TIMES 8
#define PRIMITIVE_BYTES (16u << 20)
#define MAX_ROUNDS 100
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

static double speed_since(double start, double amount)
{
	return amount / (cpu_seconds() - start);
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

static void bench_primitives(struct speeds *now, uint32_t size, uint8_t *block)
{
	uint8_t sum[32], nonce[12] = { 0 };
	double start = cpu_seconds();

	for (uint32_t i = 0; i < PRIMITIVE_BYTES / size; i++)
		crypto_generichash(sum, 32, block, size, secret, sizeof(secret));
	now->keyed = speed_since(start, PRIMITIVE_BYTES);
	start = cpu_seconds();
	for (uint32_t i = 0; i < PRIMITIVE_BYTES / size; i++)
		crypto_generichash(sum, 32, block, size, NULL, 0);
	now->unkeyed = speed_since(start, PRIMITIVE_BYTES);
	start = cpu_seconds();
	for (uint32_t i = 0; i < PRIMITIVE_BYTES / size; i++)
		crypto_stream_chacha20_ietf_xor_ic(block, block, size, nonce, 0, secret);
	now->cipher = speed_since(start, PRIMITIVE_BYTES);
}

static void bench_encode(struct speeds *now, uint32_t size, const uint8_t *chunk)
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
	now->encode = speed_since(start, (double)CHUNK * ENCODE_CHUNKS);
}

static void bench_decode(struct speeds *now, struct store *s, const struct eris_capability *cap,
			 uint8_t *buf)
{
	struct eris_decoder dec;
	struct eris_missing m;
	double start = cpu_seconds();

	for (int i = 0; i < DECODE_TIMES; i++) {
		if (eris_decoder_init(&dec, cap, fetch, s, output_nothing, NULL, STORED) ||
		    eris_decoder_run(&dec, 0) || dec.content_len != STORED)
			abort();
		eris_decoder_free(&dec);
	}
	now->decode = speed_since(start, (double)STORED * DECODE_TIMES);
	start = cpu_seconds();
	for (uint32_t i = 0; i < s->n; i++)
		fetch(s, s->refs[i], buf, s->block_size);
	now->fetch = speed_since(start, STORED);
	start = cpu_seconds();
	if (eris_missing_init(&m, cap, has, fetch, s, 64, STORED) ||
	    eris_missing_next(&m, NULL, 0, UINT32_MAX) || m.state != ERIS_MISSING_COMPLETE)
		abort();
	now->walk = speed_since(start, (double)m.seen);
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

/* The limits; @inner = internal blocks per leaf. */
static double encode_limit(const struct speeds *s, double inner)
{
	return 1 / (1 / s->keyed + 1 / s->unkeyed + 1 / s->cipher +
		    inner * (2 / s->unkeyed + 1 / s->cipher));
}

static double decode_limit(const struct speeds *s, double inner)
{
	return 1 / (1 / s->unkeyed + 1 / s->cipher + inner * (2 / s->unkeyed + 1 / s->cipher) +
		    1 / s->fetch);
}

static void report(const char *what, uint32_t size, double *speeds, double *limits, int rounds)
{
	double ratios[MAX_ROUNDS];

	for (int i = 0; i < rounds; i++)
		ratios[i] = 100 * speeds[i] / limits[i];
	printf("{\"bench\":\"eris_%s\",\"block\":%u,\"mb_s\":%.1f,\"limit_mb_s\":%.1f,"
	       "\"percent\":%.1f,\"max_rss_kib\":%ld}\n",
	       what, size, median(speeds, rounds) / 1e6, median(limits, rounds) / 1e6,
	       median(ratios, rounds), max_rss_kib());
}

static void run_encode(uint32_t size, int rounds, const uint8_t *chunk, uint8_t *block)
{
	double speeds[MAX_ROUNDS], limits[MAX_ROUNDS], inner = 1.0 / (size / 64 - 1);
	struct speeds now = { 0 };

	for (int i = 0; i < rounds; i++) {
		bench_primitives(&now, size, block);
		bench_encode(&now, size, chunk);
		speeds[i] = now.encode;
		limits[i] = encode_limit(&now, inner);
	}
	printf("{\"bench\":\"eris_primitives\",\"block\":%u,\"keyed_mb_s\":%.1f,"
	       "\"unkeyed_mb_s\":%.1f,\"chacha20_mb_s\":%.1f}\n",
	       size, now.keyed / 1e6, now.unkeyed / 1e6, now.cipher / 1e6);
	report("encode", size, speeds, limits, rounds);
}

static void run_decode(uint32_t size, int rounds, uint8_t *block)
{
	double speeds[MAX_ROUNDS], limits[MAX_ROUNDS], walks[MAX_ROUNDS], inner;
	struct speeds now = { 0 };
	struct store s = { 0 };
	struct eris_capability cap;

	store_fill(&s, size, &cap);
	/* The tree is small: its internal nodes are counted; and its store takes time. */
	inner = (double)s.n * size / STORED - 1;
	for (int i = 0; i < rounds; i++) {
		bench_primitives(&now, size, block);
		bench_decode(&now, &s, &cap, block);
		speeds[i] = now.decode;
		limits[i] = decode_limit(&now, inner);
		walks[i] = 1e9 / now.walk;
	}
	report("decode", size, speeds, limits, rounds);
	printf("{\"bench\":\"eris_walk\",\"block\":%u,\"ns_per_place\":%.1f}\n", size,
	       median(walks, rounds));
	free(s.refs);
	free(s.blocks);
	free(s.index);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 9;
	uint8_t *chunk = must(calloc(1, CHUNK)), *block = must(calloc(1, ERIS_BLOCK_LARGE));

	if (sodium_init() < 0 || rounds < 1 || rounds > MAX_ROUNDS)
		return 1;
	/* Encoding first: its memory is what max_rss_kib shows then. */
	run_encode(ERIS_BLOCK_LARGE, rounds, chunk, block);
	run_encode(ERIS_BLOCK_SMALL, rounds, chunk, block);
	run_decode(ERIS_BLOCK_LARGE, rounds, block);
	run_decode(ERIS_BLOCK_SMALL, rounds, block);
	free(chunk);
	free(block);
	return 0;
}
