/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the tests of ERIS share: a store of blocks, content, and whole encodings and decodings. */
#ifndef TESTS_UNIT_ERIS_BLOCKS_H
#define TESTS_UNIT_ERIS_BLOCKS_H

#include "ratmand/flow/eris.h"

#define NO_LIMIT UINT64_MAX
#define SMALL ERIS_BLOCK_SMALL
#define LARGE ERIS_BLOCK_LARGE

extern const uint8_t null_secret[ERIS_SECRET_LEN];

struct block {
	uint8_t ref[ERIS_REF_LEN];
	uint8_t *block;
	size_t len;
	bool held;
	bool asked;
};

/* Open addressing by reference. */
struct blocks {
	struct block *slots;
	size_t size;		/* a power of two */
	size_t used;
	size_t emitted;
	size_t abort_at;	/* emit fails when @emitted gets there; 0 = never */
	size_t has_calls;
	size_t fetch_calls;
};

struct blocks blocks_new(void);
void blocks_free(struct blocks *s);
/* Where a block is, or would be (without a block). */
struct block *blocks_slot(struct blocks *s, const uint8_t *ref);
void blocks_put(struct blocks *s, const uint8_t *ref, const uint8_t *block, size_t len);

/* For the code tested; the context is a struct blocks. */
int blocks_emit(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len);
int blocks_has(void *ctx, const uint8_t ref[ERIS_REF_LEN]);
int blocks_fetch(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size);

/* Decoder output: a growing buffer that can refuse now and then. */
struct sink {
	uint8_t *data;
	size_t len;
	size_t room;
	size_t calls;
	size_t again_every;
};

int sink_output(void *ctx, const uint8_t *data, size_t len);

/* Content of @len bytes, always the same for a salt; to be freed. */
uint8_t *make_content(size_t len, uint8_t salt);

/* Encodes all of @data, @chunk bytes at a time. */
struct eris_capability blocks_encode(struct blocks *s, uint32_t block_size, const uint8_t *secret,
				     const uint8_t *data, size_t len, size_t chunk);

/* Decodes everything; returns the result and the check that failed. */
int blocks_decode(struct blocks *s, const struct eris_capability *cap, uint64_t max_len,
		  struct sink *out, enum eris_fault *fault);
void assert_decodes(struct blocks *s, const struct eris_capability *cap, const uint8_t *data,
		    size_t len);
void assert_rejects(struct blocks *s, const struct eris_capability *cap, int error,
		    enum eris_fault want);

bool cap_equal(const struct eris_capability *a, const struct eris_capability *b);

/* The places of a tree over @len bytes, and its level, computed the plain way. */
uint64_t expect_blocks(uint32_t block_size, uint64_t len, unsigned int *level);

#endif
