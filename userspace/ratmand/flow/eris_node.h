/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The back end of ERIS: nodes to blocks and back, and the checked tree that
 * reader, decoder and missing walk share. Private to eris.c and eris_missing.c.
 */
#ifndef RATMAN_FLOW_ERIS_NODE_H
#define RATMAN_FLOW_ERIS_NODE_H

#include "ratmand/flow/eris.h"

/* Names a node of the tree; the pair is borrowed from its parent node. */
struct eris_link {
	const uint8_t *ref;
	const uint8_t *key;
	uint64_t first_leaf;
	uint8_t level;
	bool last;
};

/* The binary logarithm of the number of pairs in a node: 4 or 9. */
unsigned int eris_arity_bits(uint32_t block_size);

/* The highest level content below 2^64 bytes can have. */
unsigned int eris_max_level(uint32_t block_size);

/*
 * Encrypts @node (one block) to @block and writes its reference and key to
 * @pair. @secret keys the hash of leaves; NULL for internal nodes.
 * Source: ERIS 1.0, "Encrypt Leaf Node", "Encrypt Internal Node".
 */
void eris_seal(uint32_t block_size, uint8_t level, const uint8_t *node, const uint8_t *secret,
	       uint8_t *block, uint8_t pair[static ERIS_PAIR_LEN]);

/*
 * Fills in @t. Returns 0, -EINVAL for a bad capability, or -EFBIG when content
 * of that level is longer than @max_len.
 */
int eris_tree_init(struct eris_tree *t, const struct eris_capability *cap,
		   int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				size_t size),
		   void *ctx, uint64_t max_len);

/* Wipes and releases all nodes. */
void eris_tree_free(struct eris_tree *t);

/* Wipes and releases the node of @level. */
void eris_tree_drop(struct eris_tree *t, unsigned int level);

/* The link to the root. */
void eris_tree_root(const struct eris_tree *t, struct eris_link *link);

/* The link to child @index, below the node's count, of the node of @level. */
void eris_tree_child(const struct eris_tree *t, unsigned int level, uint32_t index,
		     struct eris_link *link);

/* Records the failed check and returns -EBADMSG. */
int eris_tree_reject(struct eris_tree *t, const struct eris_link *link, enum eris_fault fault);

/*
 * Fetches, checks and decrypts the node @link into @buf (one block). Returns 0,
 * -EBADMSG, or what fetch returned; t->at names the block in both cases.
 */
int eris_tree_open(struct eris_tree *t, const struct eris_link *link, uint8_t *buf);

/*
 * Opens the internal node @link as the node of its level and checks its pairs
 * and shape. Returns 0, -EBADMSG, -EFBIG, -ENOMEM, or what fetch returned.
 */
int eris_tree_load(struct eris_tree *t, const struct eris_link *link);

/*
 * Finds the leaf @index, or the last one for ERIS_LAST_LEAF, loading nodes on
 * the way. Returns 1, 0 when @index is past the end, or an error of load;
 * @link then names the node that failed.
 */
#define ERIS_LAST_LEAF UINT64_MAX
int eris_tree_seek(struct eris_tree *t, uint64_t index, struct eris_link *link);

#endif
