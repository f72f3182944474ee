// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files through the whole path, from a client's bytes to the disk and back, beside ERIS
 * alone in the same run (which bench_eris sets against its primitives): one JSON object a
 * line, MB = 10^6 bytes, wall time, medians over the rounds. BENCH_DIR (default the working
 * directory) is where the store lies.
 *   file_pack        hashed, encoded, sealed, committed; limit: ERIS encoding alone
 *   file_pack_again  the same content for another user: nothing is kept twice
 *   file_get         read from the store; limit: ERIS decoding alone, without a store
 * Usage: bench_file [rounds [MiB]]
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "bench/bench.h"
#include "ratmand/flow/eris.h"
#include "ratmand/service/files.h"
#include "unit/meshless.h"

#define CHUNK 65536
#define MAX_ROUNDS 50

static uv_loop_t loop;
static struct store *store;
static struct flow *flow;
static struct online *online;
static struct files *files;
static struct address users[2];
static uint8_t secrets[2][64];
static uint8_t chunk[CHUNK];

static long rss_kib(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static const uint8_t *op_secret(void *ctx, const struct address *local)
{
	(void)ctx;
	for (int i = 0; i < 2; i++)
		if (address_equal(local, &users[i]))
			return secrets[i];
	return NULL;
}

static const struct flow_ops ops = MESHLESS_OPS(op_secret);

static void start(void)
{
	uint8_t key[ADDRESS_KEY_LEN];
	char why[256];
	int err;

	fresh_dir();
	uv_loop_init(&loop);
	err = store_open(&store, &loop, dir, NULL, why, sizeof(why));
	if (err)
		die(why, err);
	err = flow_new(&flow, &loop, store, &ops, NULL);
	if (!err)
		err = online_new(&online, store);
	for (int i = 0; i < 2 && !err; i++) {
		crypto_sign_keypair(users[i].b, secrets[i]);
		memset(key, i + 1, sizeof(key));
		err = online_add(online, &users[i], key);
	}
	if (!err)
		err = files_new(&files, &loop, store, flow, online);
	if (err)
		die("starting", err);
}

static void on_closed(void *ctx)
{
	*(bool *)ctx = true;
}

static void stop(void)
{
	bool closed = false;

	files_stop(files);
	flow_free(flow, on_closed, &closed);
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
	files_free(files);
	online_free(online);
	store_close(store);
	uv_run(&loop, UV_RUN_DEFAULT);
	remove_dir();
}

struct result {
	bool done, drained;
	int err;
	struct ident id;
};

static void on_done(void *ctx, int err)
{
	struct result *r = ctx;

	r->done = true;
	r->err = err;
}

static void on_packed(void *ctx, int err, const struct ident *id, uint64_t size)
{
	(void)size;
	((struct result *)ctx)->id = *id;
	on_done(ctx, err);
}

static void on_drain(void *ctx)
{
	((struct result *)ctx)->drained = true;
}

/* Content @round: no two chunks are the same. */
static void draw_chunk(unsigned int round, uint64_t number)
{
	memcpy(chunk, &round, sizeof(round));
	memcpy(chunk + sizeof(round), &number, sizeof(number));
}

static struct ident pack(int user, unsigned int round, uint64_t chunks)
{
	const struct files_order order = { .user = users[user], .name = "f", .mime = "" };
	struct result r = { false };
	struct files_pack *p;
	int err = files_pack_open(files, &order, on_drain, &r, &p);

	for (uint64_t i = 0; i < chunks && !err;) {
		draw_chunk(round, i);
		r.drained = false;
		err = files_pack_write(p, chunk, CHUNK);
		i += !err;
		while (err == -EAGAIN && !r.drained)
			uv_run(&loop, UV_RUN_ONCE);
		err = err == -EAGAIN ? 0 : err;
		/* As a daemon whose loop has its turns between. */
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	if (err)
		die("packing", err);
	files_pack_finish(p, on_packed, &r);
	while (!r.done)
		uv_run(&loop, UV_RUN_ONCE);
	if (r.err)
		die("packing", r.err);
	return r.id;
}

static void get(int user, const struct ident *id)
{
	static uint8_t buf[32768];
	struct files_read *read;
	uint64_t size;
	ssize_t n;
	int err = files_read_open(files, &users[user], id, &size, &read);

	if (err)
		die("reading", err);
	while ((n = files_read_next(read, buf, sizeof(buf))) > 0)
		uv_run(&loop, UV_RUN_NOWAIT);
	if (n)
		die("reading", (int)n);
	files_read_close(read);
}

static void forget(int user, const struct ident *id)
{
	const struct file_ref ref = { users[user], *id };
	struct result r = { false };

	files_remove(files, &ref, on_done, &r);
	while (!r.done)
		uv_run(&loop, UV_RUN_ONCE);
}

/* ERIS alone: blocks go nowhere, or come from memory. */

struct blocks {
	uint8_t (*refs)[ERIS_REF_LEN];
	uint8_t *bytes;
	size_t n, next;
};

static int emit_nothing(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	struct blocks *b = ctx;

	if (b) {
		memcpy(b->refs[b->n], ref, ERIS_REF_LEN);
		memcpy(b->bytes + b->n++ * ERIS_BLOCK_LARGE, block, len);
	}
	return 0;
}

static struct eris_capability encode(unsigned int round, uint64_t chunks, struct blocks *keep)
{
	static const uint8_t secret[ERIS_SECRET_LEN] = { 1 };
	struct eris_capability cap;
	struct eris_encoder e;

	if (eris_encoder_init(&e, ERIS_BLOCK_LARGE, secret, emit_nothing, keep))
		die("encoding", ENOMEM);
	for (uint64_t i = 0; i < chunks; i++) {
		draw_chunk(round, i);
		eris_encoder_write(&e, chunk, CHUNK);
	}
	if (eris_encoder_finish(&e, &cap))
		die("encoding", EIO);
	eris_encoder_free(&e);
	return cap;
}

/* Leaves come in order, so the next is mostly the one behind the last. */
static int fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size)
{
	struct blocks *b = ctx;

	for (size_t i = 0; i < b->n; i++) {
		size_t at = (b->next + i) % b->n;

		if (memcmp(b->refs[at], ref, ERIS_REF_LEN))
			continue;
		memcpy(buf, b->bytes + at * ERIS_BLOCK_LARGE, size < ERIS_BLOCK_LARGE ? size :
		       ERIS_BLOCK_LARGE);
		b->next = at + 1;
		return ERIS_BLOCK_LARGE;
	}
	return -ENOENT;
}

static int output_nothing(void *ctx, const uint8_t *data, size_t len)
{
	(void)ctx;
	(void)data;
	(void)len;
	return 0;
}

static double decode_s(unsigned int round, uint64_t chunks)
{
	size_t most = chunks * 2 + chunks / 128 + 16;
	struct blocks b = { .refs = calloc(most, ERIS_REF_LEN),
			    .bytes = malloc(most * ERIS_BLOCK_LARGE) };
	struct eris_capability cap = encode(round, chunks, &b);
	struct eris_decoder d;
	double begin = now_s();

	if (eris_decoder_init(&d, &cap, fetch, &b, output_nothing, NULL, UINT64_MAX) ||
	    eris_decoder_run(&d, 0))
		die("decoding", EIO);
	begin = now_s() - begin;
	eris_decoder_free(&d);
	free(b.refs);
	free(b.bytes);
	return begin;
}

static void report(const char *what, double bytes, double *s, double *limit, int rounds, long rss)
{
	double took = median(s, rounds);

	printf("{\"bench\":\"%s\",\"mb\":%.0f,\"mb_s\":%.1f", what, bytes / 1e6,
	       bytes / took / 1e6);
	if (limit) {
		double least = median(limit, rounds);

		printf(",\"limit_mb_s\":%.1f,\"percent\":%.1f", bytes / least / 1e6,
		       100 * least / took);
	}
	printf(",\"max_rss_kib\":%ld}\n", rss);
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5;
	uint64_t mib = argc > 2 ? strtoull(argv[2], NULL, 10) : 64, chunks = mib * 16;
	double packing[MAX_ROUNDS], again[MAX_ROUNDS], getting[MAX_ROUNDS];
	double encoding[MAX_ROUNDS], decoding[MAX_ROUNDS], bytes = (double)chunks * CHUNK;
	long rss = 0;

	if (sodium_init() < 0 || rounds < 1 || rounds > MAX_ROUNDS || !mib)
		return 1;
	log_set_level(LOG_ERROR);
	start();
	randombytes_buf(chunk, sizeof(chunk));
	for (int i = 0; i < rounds; i++) {
		struct ident id;

		packing[i] = now_s();
		id = pack(0, (unsigned int)i, chunks);
		packing[i] = now_s() - packing[i];
		again[i] = now_s();
		pack(1, (unsigned int)i, chunks);
		again[i] = now_s() - again[i];
		getting[i] = now_s();
		get(0, &id);
		getting[i] = now_s() - getting[i];
		forget(0, &id);
		forget(1, &id);
		encoding[i] = now_s();
		encode((unsigned int)i, chunks, NULL);
		encoding[i] = now_s() - encoding[i];
		if (!i)
			rss = rss_kib();	/* before decoding has its blocks in memory */
		decoding[i] = decode_s((unsigned int)i, chunks);
	}
	report("file_pack", bytes, packing, encoding, rounds, rss);
	report("file_pack_again", bytes, again, encoding, rounds, rss);
	report("file_get", bytes, getting, decoding, rounds, rss);
	stop();
	return 0;
}
