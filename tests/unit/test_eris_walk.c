// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ERIS: decoding in pieces, reading anywhere, and asking for what is missing.
 */
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/eris_blocks.h"

/* Resuming */

static void test_decoder_resumes(void **state)
{
	size_t len = 600 * 1024 + 3, got_missing = 0;
	uint8_t *data = make_content(len, 7);
	struct blocks s = blocks_new();
	struct eris_capability cap = blocks_encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct sink out = { .again_every = 3 };
	struct eris_decoder dec;
	int rc;

	(void)state;
	for (size_t i = 0; i < s.size; i++)
		s.slots[i].held = false;
	assert_int_equal(eris_decoder_init(&dec, &cap, blocks_fetch, &s, sink_output, &out, len), 0);
	while ((rc = eris_decoder_run(&dec, 2)) != 0) {
		if (rc == -ENOENT) {
			blocks_slot(&s, dec.reader.tree.at)->held = true;
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
	blocks_free(&s);
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
		struct blocks s = blocks_new();
		struct eris_capability cap;
		struct eris_reader r;

		assert_non_null(buf);
		cap = blocks_encode(&s, cases[i].block_size, null_secret, data, len, SIZE_MAX);
		assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, len), 0);
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
		assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, len), 0);
		s.fetch_calls = 0;
		for (size_t off = 0; off < len; off += 500)
			assert_true(eris_read_at(&r, off, buf, 500) > 0);
		assert_true(s.fetch_calls <= s.emitted);
		eris_reader_free(&r);
		free(buf);
		free(data);
		blocks_free(&s);
	}
}

static void test_read_at_errors(void **state)
{
	size_t len = 40 * 1024;
	uint8_t *data = make_content(len, 9), *buf = malloc(len);
	struct blocks s = blocks_new();
	struct eris_capability cap = blocks_encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct eris_reader r;
	uint64_t got = 5;

	(void)state;
	assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, len), 0);
	assert_int_equal(eris_read_at(&r, 20 * 1024, buf, 10), 10);
	/* The leaf just read goes missing: what comes before it is still given. */
	blocks_slot(&s, r.tree.at)->held = false;
	assert_int_equal(eris_read_at(&r, 0, buf, 10), 10);
	assert_int_equal(eris_read_at(&r, 18 * 1024, buf, 9000), 2048);
	assert_memory_equal(buf, data + 18 * 1024, 2048);
	assert_int_equal(eris_read_at(&r, 20 * 1024, buf, 9000), -ENOENT);
	blocks_slot(&s, r.tree.at)->held = true;
	assert_int_equal(eris_read_at(&r, 20 * 1024, buf, 9000), 9000);
	eris_reader_free(&r);
	assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, len - 1), 0);
	assert_int_equal(eris_content_length(&r, &got), -EFBIG);
	assert_int_equal(got, 5);
	eris_reader_free(&r);
	free(buf);
	free(data);
	blocks_free(&s);
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
static void run_walk(const struct walk_case *w, struct blocks *s, const struct eris_capability *cap,
		     size_t dropped)
{
	uint8_t (*queue)[ERIS_REF_LEN] = calloc(ERIS_MAX_WINDOW, ERIS_REF_LEN);
	uint8_t (*again)[ERIS_REF_LEN] = calloc(ERIS_MAX_WINDOW, ERIS_REF_LEN);
	size_t queued = 0, asked = 0;
	unsigned int level;
	struct eris_missing m;

	assert_non_null(queue);
	assert_non_null(again);
	assert_int_equal(eris_missing_init(&m, cap, blocks_has, blocks_fetch, s, w->window, w->len),
			 0);
	for (;;) {
		size_t room = w->shuffle ? 1 + randombytes_uniform(w->window) : w->window;
		int n = eris_missing_next(&m, queue + queued, room, 7);

		assert_in_range(n, 0, (int)room);
		for (int i = 0; i < n; i++) {
			struct block *e = blocks_slot(s, queue[queued + (size_t)i]);

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

			blocks_slot(s, queue[i])->held = true;
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

static size_t drop_blocks(struct blocks *s, unsigned int percent)
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
		struct blocks s = blocks_new();
		struct eris_capability cap = blocks_encode(&s, sizes[i].block_size, null_secret, data,
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
		blocks_free(&s);
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
		struct blocks s = blocks_new();
		struct eris_capability cap;

		/* All zero; two blocks in turn; leaves that look like the last one. */
		for (size_t i = 0; i < len / 1024; i++)
			data[i * 1024] = kind == 1 ? (uint8_t)(i % 2) : kind == 2 ? 0x80 : 0;
		cap = blocks_encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
		assert_true(s.used < 20);
		for (int k = 0; k < 40; k++) {
			struct walk_case w = { SMALL, len, k % 2 ? 1 : 64,
					       10u * (unsigned int)(k / 4), k / 2 % 2, true };

			if (kind == 2 && k == 39)
				w.drop = 100;
			run_walk(&w, &s, &cap, drop_blocks(&s, w.drop));
		}
		assert_decodes(&s, &cap, data, len);
		blocks_free(&s);
	}
	free(data);
}

/* A restart passes over what is held, reads internal nodes only, and minds its budget. */
static void test_missing_restart(void **state)
{
	size_t len = 5000000;
	uint8_t *data = make_content(len, 11), refs[64][ERIS_REF_LEN];
	struct blocks s = blocks_new();
	struct eris_capability cap = blocks_encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct eris_missing m;
	size_t calls = 0, leaves = len / 1024 + 1;

	(void)state;
	assert_int_equal(eris_missing_init(&m, &cap, blocks_has, blocks_fetch, &s, 64, len), 0);
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
	assert_int_equal(eris_missing_init(&m, &cap, blocks_has, blocks_fetch, &s, 0, len), -EINVAL);
	assert_int_equal(eris_missing_init(&m, &cap, blocks_has, blocks_fetch, &s, 1025, len),
			 -EINVAL);
	assert_int_equal(eris_missing_init(&m, &cap, blocks_has, blocks_fetch, &s, 64, 1000), -EFBIG);
	blocks_free(&s);
	free(data);
}

static void test_counts(void **state)
{
	size_t len = 300 * 1024;
	uint8_t *data = make_content(len, 12);
	struct blocks s = blocks_new();
	struct eris_capability cap = blocks_encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
	struct eris_counts c;
	struct eris_reader r;

	(void)state;
	for (size_t i = 0; i < s.size; i++)
		s.slots[i].held = false;
	assert_int_equal(cap.level, 3);
	assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, NO_LIMIT), 0);
	assert_int_equal(eris_walk_counts(&r, &c), 0);
	assert_int_equal(c.leaves_min, 257);
	assert_int_equal(c.leaves_max, 4096);
	assert_int_equal(c.blocks_max, 4096 + 256 + 16 + 1);
	blocks_slot(&s, cap.root_ref)->held = true;
	assert_int_equal(eris_walk_counts(&r, &c), 0);
	assert_int_equal(c.leaves_min, 257);
	assert_int_equal(c.leaves_max, 512);
	eris_reader_free(&r);
	assert_int_equal(eris_reader_init(&r, &cap, blocks_fetch, &s, 310 * 1024), 0);
	assert_int_equal(eris_walk_counts(&r, &c), 0);
	assert_int_equal(c.leaves_max, 311);
	eris_reader_free(&r);
	blocks_free(&s);
	free(data);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decoder_resumes),
		cmocka_unit_test(test_random_access),
		cmocka_unit_test(test_read_at_errors),
		cmocka_unit_test(test_missing_walk),
		cmocka_unit_test(test_missing_repeated),
		cmocka_unit_test(test_missing_restart),
		cmocka_unit_test(test_counts),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
