// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ERIS: trees that nobody would encode, and what must not come out of them. They are crafted
 * with libsodium directly, not by the code tested.
 */
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unit/eris_blocks.h"

/* Crafted trees, 1 KiB blocks */

struct pair {
	uint8_t b[ERIS_PAIR_LEN];
};

/* Encrypts @node under @key, or under its own hash when @key is NULL, and stores it. */
static struct pair craft(struct blocks *s, uint8_t level, const uint8_t *node, const uint8_t *key)
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
	blocks_put(s, p.b, block, SMALL);
	return p;
}

static struct pair craft_leaf(struct blocks *s, uint8_t fill, bool padded)
{
	uint8_t node[SMALL];

	memset(node, fill, sizeof(node));
	if (padded) {
		memset(node + 100, 0, sizeof(node) - 100);
		node[100] = 0x80;
	}
	return craft(s, 0, node, NULL);
}

static struct pair craft_node(struct blocks *s, uint8_t level, const struct pair *pairs, size_t n)
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
static void assert_walk_rejects(struct blocks *s, const struct eris_capability *cap,
				enum eris_fault fault)
{
	uint8_t refs[64][ERIS_REF_LEN];
	struct eris_missing m;
	int rc;

	assert_int_equal(eris_missing_init(&m, cap, blocks_has, blocks_fetch, s, 64, NO_LIMIT), 0);
	do {
		rc = eris_missing_next(&m, refs, 64, 1000);
	} while (rc >= 0 && m.state == ERIS_MISSING_MORE);
	assert_int_equal(rc, -EBADMSG);
	assert_int_equal(m.tree.fault, fault);
	assert_int_equal(eris_missing_next(&m, refs, 64, 1000), -EBADMSG);
	eris_missing_free(&m);
}

struct crafted {
	struct blocks s;
	struct pair full[16];	/* 16 distinct unpadded leaves */
	struct pair end;	/* a padded leaf of 100 bytes */
};

static void crafted_init(struct crafted *c)
{
	c->s = blocks_new();
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
	assert_int_equal(blocks_decode(&c.s, &cap, NO_LIMIT, &out, &fault), 0);
	assert_int_equal(out.len, 1124);
	/* A single child below the root, on the right edge, is what encoders make. */
	sub[0] = craft_node(&c.s, 1, c.full, 16);
	sub[1] = craft_node(&c.s, 1, &c.end, 1);
	root = craft_node(&c.s, 2, sub, 2);
	cap = craft_cap(root, 2);
	out.len = 0;
	assert_int_equal(blocks_decode(&c.s, &cap, NO_LIMIT, &out, &fault), 0);
	assert_int_equal(out.len, 16 * 1024 + 100);
	/* Padding in the middle is content. */
	two[0] = craft(&c.s, 0, node, NULL);
	root = craft_node(&c.s, 1, two, 2);
	cap = craft_cap(root, 1);
	out.len = 0;
	assert_int_equal(blocks_decode(&c.s, &cap, NO_LIMIT, &out, &fault), 0);
	assert_int_equal(out.len, 1124);
	assert_memory_equal(out.data, node, SMALL);
	free(out.data);
	blocks_free(&c.s);
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
	blocks_free(&c.s);
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
	blocks_free(&c.s);
}

static void test_bad_blocks(void **state)
{
	uint8_t *data = make_content(3000, 5);
	struct blocks s = blocks_new();
	struct eris_capability cap = blocks_encode(&s, SMALL, null_secret, data, 3000, SIZE_MAX), other;
	struct block *root = blocks_slot(&s, cap.root_ref);

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
	blocks_free(&s);
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
		struct blocks s = blocks_new();
		struct eris_capability cap = blocks_encode(&s, SMALL, null_secret, data, len, SIZE_MAX);
		struct sink out = { 0 };
		enum eris_fault fault;

		assert_decodes(&s, &cap, data, len);
		for (uint64_t cut = 1; cut <= len; cut = cut * 3 + 1) {
			out.len = 0;
			assert_int_equal(blocks_decode(&s, &cap, len - cut, &out, &fault), -EFBIG);
			assert_true(out.len <= len - cut);
		}
		free(out.data);
		free(data);
		blocks_free(&s);
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
	assert_int_equal(blocks_decode(&c.s, &cap, 1 << 30, &out, &fault), -EFBIG);
	assert_int_equal(out.len, 0);
	assert_int_equal(c.s.fetch_calls, 0);
	assert_int_equal(eris_missing_init(&m, &cap, blocks_has, blocks_fetch, &c.s, 4, 1 << 30),
			 -EFBIG);
	eris_missing_free(&m);
	/* A walk of it costs a look at each block on the edge, not one at each of 2^52 leaves. */
	assert_int_equal(eris_missing_init(&m, &cap, blocks_has, blocks_fetch, &c.s, 4, NO_LIMIT), 0);
	do {
		assert_int_equal(eris_missing_next(&m, refs, 4, 100), 0);
		assert_true(++calls < 100);
	} while (m.state == ERIS_MISSING_MORE);
	assert_int_equal(m.state, ERIS_MISSING_COMPLETE);
	eris_missing_free(&m);
	free(out.data);
	blocks_free(&c.s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crafted_accepts),
		cmocka_unit_test(test_crafted_keys),
		cmocka_unit_test(test_crafted_shapes),
		cmocka_unit_test(test_bad_blocks),
		cmocka_unit_test(test_output_limit),
		cmocka_unit_test(test_bomb),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
