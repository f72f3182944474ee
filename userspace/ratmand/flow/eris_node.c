// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/eris_node.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

unsigned int eris_arity_bits(uint32_t block_size)
{
	return block_size == ERIS_BLOCK_SMALL ? 4 : 9;
}

unsigned int eris_max_level(uint32_t block_size)
{
	return block_size == ERIS_BLOCK_SMALL ? ERIS_MAX_LEVEL_SMALL : ERIS_MAX_LEVEL_LARGE;
}

static void hash(uint8_t out[static 32], const uint8_t *data, size_t len, const uint8_t *key)
{
	crypto_generichash(out, 32, data, len, key, key ? ERIS_SECRET_LEN : 0);
}

/* Encrypts or decrypts one node; @in may be @out. Each key is used for one node only. */
static void cipher(uint8_t *out, const uint8_t *in, size_t len, uint8_t level, const uint8_t *key)
{
	uint8_t nonce[crypto_stream_chacha20_ietf_NONCEBYTES] = { level };

	crypto_stream_chacha20_ietf_xor_ic(out, in, len, nonce, 0, key);
}

int eris_block_check(const uint8_t ref[static ERIS_REF_LEN], const uint8_t *block, size_t len)
{
	uint8_t sum[32];

	if (len != ERIS_BLOCK_SMALL && len != ERIS_BLOCK_LARGE)
		return -EBADMSG;
	hash(sum, block, len, NULL);
	return memcmp(sum, ref, sizeof(sum)) ? -EBADMSG : 0;
}

void eris_seal(uint32_t block_size, uint8_t level, const uint8_t *node, const uint8_t *secret,
	       uint8_t *block, uint8_t pair[static ERIS_PAIR_LEN])
{
	uint8_t *key = pair + ERIS_REF_LEN;

	hash(key, node, block_size, secret);
	cipher(block, node, block_size, level, key);
	hash(pair, block, block_size, NULL);
}

int eris_tree_init(struct eris_tree *t, const struct eris_capability *cap,
		   int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				size_t size),
		   void *ctx, uint64_t max_len)
{
	unsigned int bits = eris_arity_bits(cap->block_size);

	memset(t, 0, sizeof(*t));
	if (cap->block_size != ERIS_BLOCK_SMALL && cap->block_size != ERIS_BLOCK_LARGE)
		return -EINVAL;
	if (cap->level > eris_max_level(cap->block_size))
		return -EINVAL;
	/* A root of level L has a second child, before which the first one is full. */
	if (cap->level && UINT64_C(1) << bits * (cap->level - 1u) > max_len / cap->block_size)
		return -EFBIG;
	t->cap = *cap;
	t->fetch = fetch;
	t->ctx = ctx;
	t->max_len = max_len;
	return 0;
}

void eris_tree_drop(struct eris_tree *t, unsigned int level)
{
	struct eris_node *node = &t->nodes[level];

	if (node->pairs)
		sodium_memzero(node->pairs, t->cap.block_size);
	free(node->pairs);
	memset(node, 0, sizeof(*node));
}

void eris_tree_free(struct eris_tree *t)
{
	for (unsigned int level = 0; level <= ERIS_MAX_LEVEL; level++)
		eris_tree_drop(t, level);
	sodium_memzero(t, sizeof(*t));
}

void eris_tree_root(const struct eris_tree *t, struct eris_link *link)
{
	link->ref = t->cap.root_ref;
	link->key = t->cap.root_key;
	link->first_leaf = 0;
	link->level = t->cap.level;
	link->last = true;
}

void eris_tree_child(const struct eris_tree *t, unsigned int level, uint32_t index,
		     struct eris_link *link)
{
	const struct eris_node *node = &t->nodes[level];
	unsigned int shift = eris_arity_bits(t->cap.block_size) * (level - 1);

	link->ref = node->pairs + (size_t)index * ERIS_PAIR_LEN;
	link->key = link->ref + ERIS_REF_LEN;
	link->first_leaf = node->first_leaf + ((uint64_t)index << shift);
	link->level = (uint8_t)(level - 1);
	link->last = node->last && index + 1 == node->count;
}

int eris_tree_reject(struct eris_tree *t, const struct eris_link *link, enum eris_fault fault)
{
	memcpy(t->at, link->ref, sizeof(t->at));
	t->fault = fault;
	return -EBADMSG;
}

int eris_tree_open(struct eris_tree *t, const struct eris_link *link, uint8_t *buf)
{
	uint32_t size = t->cap.block_size;
	uint8_t sum[32];
	int rc;

	memcpy(t->at, link->ref, sizeof(t->at));
	t->fault = ERIS_FAULT_NONE;
	rc = t->fetch(t->ctx, link->ref, buf, size);
	if (rc < 0)
		return rc;
	if ((uint32_t)rc != size)
		return eris_tree_reject(t, link, ERIS_FAULT_LENGTH);
	hash(sum, buf, size, NULL);
	if (memcmp(sum, link->ref, sizeof(sum)))
		return eris_tree_reject(t, link, ERIS_FAULT_REFERENCE);
	cipher(buf, buf, size, link->level, link->key);
	if (!link->level)
		return 0;
	/*
	 * ERIS asks for this check of the root only. Checking every internal
	 * node costs little and leaves an encoder no choice of keys.
	 */
	hash(sum, buf, size, NULL);
	if (sodium_memcmp(sum, link->key, sizeof(sum)))
		return eris_tree_reject(t, link, ERIS_FAULT_KEY);
	return 0;
}

/* Not constant time, but several times faster than sodium_is_zero(); references are public. */
static bool all_zero(const uint8_t *data, size_t len)
{
	return !data[0] && !memcmp(data, data + 1, len - 1);
}

/* Counts the pairs up to the first null reference; -1 unless all zero from there. */
static int count_pairs(const uint8_t *pairs, uint32_t block_size)
{
	uint32_t pos = 0;

	while (pos < block_size && !all_zero(pairs + pos, ERIS_REF_LEN))
		pos += ERIS_PAIR_LEN;
	if (pos < block_size && !all_zero(pairs + pos, block_size - pos))
		return -1;
	return (int)(pos / ERIS_PAIR_LEN);
}

/*
 * What an encoder makes of content has one shape only: nodes are full, except
 * on the right edge, and the root has two children or more. Anything else
 * would give one content many names and break the arithmetic of offsets.
 */
static int check_shape(struct eris_tree *t, const struct eris_link *link, uint32_t count)
{
	unsigned int bits = eris_arity_bits(t->cap.block_size);
	uint64_t last = link->first_leaf;

	if (!count || (!link->last && count != 1u << bits))
		return eris_tree_reject(t, link, ERIS_FAULT_SHAPE);
	if (link->level == t->cap.level && count < 2)
		return eris_tree_reject(t, link, ERIS_FAULT_SHAPE);
	last += (uint64_t)(count - 1) << bits * (link->level - 1u);
	/* The leaves before the last child are full, so content is at least this long. */
	return last > t->max_len / t->cap.block_size ? -EFBIG : 0;
}

int eris_tree_load(struct eris_tree *t, const struct eris_link *link)
{
	struct eris_node *node = &t->nodes[link->level];
	int rc, count;

	node->valid = false;
	if (!node->pairs)
		node->pairs = malloc(t->cap.block_size);
	if (!node->pairs)
		return -ENOMEM;
	rc = eris_tree_open(t, link, node->pairs);
	if (rc)
		return rc;
	count = count_pairs(node->pairs, t->cap.block_size);
	if (count < 0)
		return eris_tree_reject(t, link, ERIS_FAULT_NODE);
	rc = check_shape(t, link, (uint32_t)count);
	if (rc)
		return rc;
	node->first_leaf = link->first_leaf;
	node->count = (uint32_t)count;
	node->next = 0;
	node->last = link->last;
	node->valid = true;
	return 0;
}

int eris_tree_seek(struct eris_tree *t, uint64_t index, struct eris_link *link)
{
	unsigned int bits = eris_arity_bits(t->cap.block_size);

	eris_tree_root(t, link);
	while (link->level) {
		const struct eris_node *node = &t->nodes[link->level];
		unsigned int level = link->level;
		uint64_t child;
		int rc;

		if (!node->valid || node->first_leaf != link->first_leaf) {
			rc = eris_tree_load(t, link);
			if (rc)
				return rc;
		}
		child = (index - node->first_leaf) >> bits * (level - 1);
		if (index == ERIS_LAST_LEAF)
			child = node->count - 1;
		if (child >= node->count)
			return 0;
		eris_tree_child(t, level, (uint32_t)child, link);
	}
	return index == ERIS_LAST_LEAF || index == link->first_leaf;
}
