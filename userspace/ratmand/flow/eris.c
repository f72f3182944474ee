// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/flow/eris.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/flow/eris_node.h"

/* Capabilities and URNs */

#define URN_PREFIX "urn:eris:"
#define URN_PREFIX_LEN (sizeof(URN_PREFIX) - 1)

static const char base32_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

void eris_capability_encode(const struct eris_capability *cap,
			    uint8_t out[static ERIS_CAPABILITY_LEN])
{
	out[0] = cap->block_size == ERIS_BLOCK_SMALL ? 10 : 15;
	out[1] = cap->level;
	memcpy(out + 2, cap->root_ref, ERIS_REF_LEN);
	memcpy(out + 2 + ERIS_REF_LEN, cap->root_key, ERIS_KEY_LEN);
}

int eris_capability_decode(const uint8_t *data, size_t len, struct eris_capability *cap)
{
	uint32_t block_size;

	if (len != ERIS_CAPABILITY_LEN || (data[0] != 10 && data[0] != 15))
		return -EINVAL;
	block_size = 1u << data[0];
	if (data[1] > eris_max_level(block_size))
		return -EINVAL;
	cap->block_size = block_size;
	cap->level = data[1];
	memcpy(cap->root_ref, data + 2, ERIS_REF_LEN);
	memcpy(cap->root_key, data + 2 + ERIS_REF_LEN, ERIS_KEY_LEN);
	return 0;
}

void eris_urn_format(const struct eris_capability *cap, char out[static ERIS_URN_LEN + 1])
{
	uint8_t bin[ERIS_CAPABILITY_LEN];
	char *pos = out + URN_PREFIX_LEN;
	unsigned int bits = 0, acc = 0;

	eris_capability_encode(cap, bin);
	memcpy(out, URN_PREFIX, URN_PREFIX_LEN);
	for (size_t i = 0; i < sizeof(bin); i++) {
		acc = (acc << 8 | bin[i]) & 0xfff;
		for (bits += 8; bits >= 5; bits -= 5)
			*pos++ = base32_digits[acc >> (bits - 5) & 31];
	}
	*pos++ = base32_digits[acc << (5 - bits) & 31];
	*pos = '\0';
	sodium_memzero(bin, sizeof(bin));
}

/* Compares @len bytes with a lower-case ASCII text, without regard to case or locale. */
static bool ascii_case_equal(const char *text, const char *lower, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c + ('a' - 'A'));
		if (c != lower[i])
			return false;
	}
	return true;
}

int eris_urn_parse(const char *text, size_t len, struct eris_capability *cap)
{
	uint8_t bin[ERIS_CAPABILITY_LEN];
	unsigned int bits = 0, acc = 0;
	size_t fill = 0;
	int rc;

	if (len != ERIS_URN_LEN || !ascii_case_equal(text, URN_PREFIX, URN_PREFIX_LEN))
		return -EINVAL;
	for (size_t i = URN_PREFIX_LEN; i < len; i++) {
		const char *digit = memchr(base32_digits, text[i], 32);

		if (!digit)
			return -EINVAL;
		acc = (acc << 5 | (unsigned int)(digit - base32_digits)) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			bin[fill++] = (uint8_t)(acc >> bits);
		}
	}
	if (acc & ((1u << bits) - 1))
		return -EINVAL;
	rc = eris_capability_decode(bin, fill, cap);
	sodium_memzero(bin, sizeof(bin));
	return rc;
}

uint32_t eris_block_size_for(uint64_t content_len)
{
	return content_len < ERIS_LARGE_CONTENT ? ERIS_BLOCK_SMALL : ERIS_BLOCK_LARGE;
}

/* Encoder */

int eris_encoder_init(struct eris_encoder *enc, uint32_t block_size,
		      const uint8_t secret[static ERIS_SECRET_LEN],
		      int (*emit)(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block,
				  size_t len),
		      void *ctx)
{
	memset(enc, 0, sizeof(*enc));
	if (block_size != ERIS_BLOCK_AUTO && block_size != ERIS_BLOCK_SMALL &&
	    block_size != ERIS_BLOCK_LARGE)
		return -EINVAL;
	enc->block_size = block_size;
	enc->buf_size = block_size ? block_size : ERIS_BLOCK_LARGE;
	enc->leaf = malloc(enc->buf_size);
	enc->cipher = malloc(enc->buf_size);
	if (!enc->leaf || !enc->cipher) {
		eris_encoder_free(enc);
		return -ENOMEM;
	}
	memcpy(enc->secret, secret, ERIS_SECRET_LEN);
	enc->emit = emit;
	enc->ctx = ctx;
	return 0;
}

void eris_encoder_free(struct eris_encoder *enc)
{
	if (enc->leaf)
		sodium_memzero(enc->leaf, enc->buf_size);
	free(enc->leaf);
	free(enc->cipher);
	for (unsigned int i = 0; i <= enc->top; i++) {
		if (enc->levels[i].node)
			sodium_memzero(enc->levels[i].node, enc->block_size);
		free(enc->levels[i].node);
	}
	sodium_memzero(enc, sizeof(*enc));
}

/* Encrypts and emits one node and gives the pair that names it. */
static int emit_node(struct eris_encoder *enc, unsigned int level, const uint8_t *node,
		     uint8_t pair[static ERIS_PAIR_LEN])
{
	int rc;

	eris_seal(enc->block_size, (uint8_t)level, node, level ? NULL : enc->secret, enc->cipher,
		  pair);
	rc = enc->emit(enc->ctx, pair, enc->cipher, enc->block_size);
	if (rc < 0)
		return rc;
	enc->blocks++;
	return 0;
}

/* Adds a pair to the node being filled at @level; full nodes are emitted, upwards. */
static int push_pair(struct eris_encoder *enc, unsigned int level,
		     uint8_t pair[static ERIS_PAIR_LEN])
{
	uint32_t arity = enc->block_size / ERIS_PAIR_LEN;

	for (;; level++) {
		struct eris_encoder_level *lv = &enc->levels[level];
		int rc;

		if (!lv->node) {
			lv->node = malloc(enc->block_size);
			if (!lv->node)
				return -ENOMEM;
			enc->top = level;
		}
		memcpy(lv->node + (size_t)lv->count * ERIS_PAIR_LEN, pair, ERIS_PAIR_LEN);
		if (++lv->count < arity)
			return 0;
		rc = emit_node(enc, level, lv->node, pair);
		if (rc)
			return rc;
		lv->count = 0;
	}
}

static int encode_leaf(struct eris_encoder *enc, const uint8_t *leaf)
{
	uint8_t pair[ERIS_PAIR_LEN];
	int rc = emit_node(enc, 0, leaf, pair);

	if (!rc)
		rc = push_pair(enc, 1, pair);
	sodium_memzero(pair, sizeof(pair));
	return rc;
}

/* Moves bytes to the leaf buffer until it holds @limit; returns how many. */
static size_t fill_leaf(struct eris_encoder *enc, const uint8_t *data, size_t len, size_t limit)
{
	size_t take = limit - enc->fill;

	if (take > len)
		take = len;
	memcpy(enc->leaf + enc->fill, data, take);
	enc->fill += take;
	return take;
}

int eris_encoder_write(struct eris_encoder *enc, const void *data, size_t len)
{
	const uint8_t *pos = data;

	if (enc->error || enc->finished)
		return enc->error ? enc->error : -EINVAL;
	if (len > UINT64_MAX - enc->content_len)
		return enc->error = -EFBIG;
	enc->content_len += len;
	if (len && !enc->block_size) {
		size_t took = fill_leaf(enc, pos, len, ERIS_LARGE_CONTENT);

		pos += took;
		len -= took;
		if (enc->fill == ERIS_LARGE_CONTENT)
			enc->block_size = ERIS_BLOCK_LARGE;
	}
	while (len && !enc->error) {
		uint32_t size = enc->block_size;
		size_t took = size;

		if (!enc->fill && len >= size) {
			enc->error = encode_leaf(enc, pos);
		} else {
			took = fill_leaf(enc, pos, len, size);
			if (enc->fill == size) {
				enc->error = encode_leaf(enc, enc->leaf);
				enc->fill = 0;
			}
		}
		pos += took;
		len -= took;
	}
	return enc->error;
}

/* The content ended before its block size was decided: it is all in the leaf buffer. */
static int settle_small(struct eris_encoder *enc)
{
	size_t pos = 0;
	int rc = 0;

	enc->block_size = ERIS_BLOCK_SMALL;
	while (!rc && enc->fill >= ERIS_BLOCK_SMALL) {
		rc = encode_leaf(enc, enc->leaf + pos);
		pos += ERIS_BLOCK_SMALL;
		enc->fill -= ERIS_BLOCK_SMALL;
	}
	memmove(enc->leaf, enc->leaf + pos, enc->fill);
	return rc;
}

/* Emits the unfinished nodes from the leaves up; returns the level of the root, or an error. */
static int close_tree(struct eris_encoder *enc)
{
	uint8_t pair[ERIS_PAIR_LEN];
	unsigned int level = 1;
	int rc = 0;

	/* One pair with nothing above it is the root's. */
	while (enc->levels[level].count != 1 || level != enc->top) {
		struct eris_encoder_level *lv = &enc->levels[level];
		size_t used = (size_t)lv->count * ERIS_PAIR_LEN;

		if (used) {
			memset(lv->node + used, 0, enc->block_size - used);
			lv->count = 0;
			rc = emit_node(enc, level, lv->node, pair);
			if (!rc)
				rc = push_pair(enc, level + 1, pair);
			if (rc)
				break;
		}
		level++;
	}
	sodium_memzero(pair, sizeof(pair));
	return rc ? rc : (int)level - 1;
}

int eris_encoder_finish(struct eris_encoder *enc, struct eris_capability *cap)
{
	const uint8_t *root;
	int rc;

	if (enc->error || enc->finished)
		return enc->error ? enc->error : -EINVAL;
	rc = enc->block_size ? 0 : settle_small(enc);
	if (!rc) {
		enc->leaf[enc->fill] = 0x80;
		memset(enc->leaf + enc->fill + 1, 0, enc->block_size - enc->fill - 1);
		rc = encode_leaf(enc, enc->leaf);
	}
	if (!rc)
		rc = close_tree(enc);
	if (rc < 0)
		return enc->error = rc;
	enc->finished = true;
	root = enc->levels[rc + 1].node;
	cap->block_size = enc->block_size;
	cap->level = (uint8_t)rc;
	memcpy(cap->root_ref, root, ERIS_REF_LEN);
	memcpy(cap->root_key, root + ERIS_REF_LEN, ERIS_KEY_LEN);
	return 0;
}

/* Reader */

int eris_reader_init(struct eris_reader *r, const struct eris_capability *cap,
		     int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				  size_t size),
		     void *ctx, uint64_t max_len)
{
	int rc;

	memset(r, 0, sizeof(*r));
	rc = eris_tree_init(&r->tree, cap, fetch, ctx, max_len);
	if (rc)
		return rc;
	r->leaf = malloc(cap->block_size);
	return r->leaf ? 0 : -ENOMEM;
}

void eris_reader_free(struct eris_reader *r)
{
	if (r->leaf)
		sodium_memzero(r->leaf, r->tree.cap.block_size);
	free(r->leaf);
	eris_tree_free(&r->tree);
	sodium_memzero(r, sizeof(*r));
}

/* Finds the length of the padded leaf @buf; negative when it is not padded. */
static ssize_t unpad(const uint8_t *buf, size_t size)
{
	while (size && !buf[size - 1])
		size--;
	if (!size || buf[size - 1] != 0x80)
		return -1;
	return (ssize_t)size - 1;
}

/* Brings leaf @index to the leaf buffer. Returns 1, 0 past the end, or an error. */
static int load_leaf(struct eris_reader *r, uint64_t index)
{
	struct eris_tree *t = &r->tree;
	size_t len = t->cap.block_size;
	struct eris_link link;
	ssize_t unpadded;
	int rc;

	if (r->leaf_valid && r->leaf_index == index)
		return 1;
	rc = eris_tree_seek(t, index, &link);
	if (rc <= 0)
		return rc;
	r->leaf_valid = false;
	rc = eris_tree_open(t, &link, r->leaf);
	if (rc)
		return rc;
	if (link.last) {
		unpadded = unpad(r->leaf, len);
		if (unpadded < 0)
			return eris_tree_reject(t, &link, ERIS_FAULT_PADDING);
		len = (size_t)unpadded;
	}
	/* check_shape() made sure that the leaf starts within the limit. */
	if (len > t->max_len - link.first_leaf * t->cap.block_size)
		return -EFBIG;
	r->leaf_index = link.first_leaf;
	r->leaf_len = len;
	r->leaf_last = link.last;
	r->leaf_valid = true;
	return 1;
}

ssize_t eris_read_at(struct eris_reader *r, uint64_t offset, void *buf, size_t len)
{
	uint32_t size = r->tree.cap.block_size;
	uint8_t *out = buf;
	size_t done = 0;

	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	while (done < len) {
		size_t skip = offset % size, take;
		int rc = load_leaf(r, offset / size);

		if (rc < 0 && !done)
			return rc;
		if (rc <= 0 || skip >= r->leaf_len)
			break;
		take = r->leaf_len - skip;
		if (take > len - done)
			take = len - done;
		memcpy(out + done, r->leaf + skip, take);
		done += take;
		offset += take;
	}
	return (ssize_t)done;
}

int eris_content_length(struct eris_reader *r, uint64_t *len)
{
	int rc = load_leaf(r, ERIS_LAST_LEAF);

	if (rc < 0)
		return rc;
	*len = r->leaf_index * r->tree.cap.block_size + r->leaf_len;
	return 0;
}

/* The nodes of all levels over @leaves leaves. */
static uint64_t count_blocks(const struct eris_capability *cap, uint64_t leaves)
{
	unsigned int bits = eris_arity_bits(cap->block_size);
	uint64_t sum = 0;

	for (unsigned int level = 0; level <= cap->level; level++)
		sum += ((leaves - 1) >> bits * level) + 1;
	return sum;
}

int eris_walk_counts(struct eris_reader *r, struct eris_counts *out)
{
	struct eris_tree *t = &r->tree;
	unsigned int bits = eris_arity_bits(t->cap.block_size);
	uint64_t limit = t->max_len / t->cap.block_size + 1;
	struct eris_link link;
	int rc = 0;

	eris_tree_root(t, &link);
	out->leaves_min = link.level ? (UINT64_C(1) << bits * (link.level - 1u)) + 1 : 1;
	while (link.level) {
		const struct eris_node *node = &t->nodes[link.level];

		if (!node->valid || node->first_leaf != link.first_leaf)
			rc = eris_tree_load(t, &link);
		if (rc)
			break;
		eris_tree_child(t, link.level, node->count - 1, &link);
		out->leaves_min = link.first_leaf + 1;
	}
	if (rc && rc != -ENOENT)
		return rc;
	out->leaves_max = link.first_leaf + (UINT64_C(1) << bits * link.level);
	if (out->leaves_max > limit)
		out->leaves_max = limit;
	out->blocks_min = count_blocks(&t->cap, out->leaves_min);
	out->blocks_max = count_blocks(&t->cap, out->leaves_max);
	return 0;
}

/* Decoder */

int eris_decoder_init(struct eris_decoder *dec, const struct eris_capability *cap,
		      int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				   size_t size),
		      void *ctx, int (*output)(void *ctx, const uint8_t *data, size_t len),
		      void *output_ctx, uint64_t max_len)
{
	memset(dec, 0, sizeof(*dec));
	dec->output = output;
	dec->output_ctx = output_ctx;
	return eris_reader_init(&dec->reader, cap, fetch, ctx, max_len);
}

void eris_decoder_free(struct eris_decoder *dec)
{
	eris_reader_free(&dec->reader);
}

/* Outputs one leaf. */
static int decode_leaf(struct eris_decoder *dec)
{
	struct eris_reader *r = &dec->reader;
	int rc = load_leaf(r, dec->next_leaf);

	if (rc < 0)
		return rc;
	if (r->leaf_len) {
		rc = dec->output(dec->output_ctx, r->leaf, r->leaf_len);
		if (rc < 0)
			return rc;
	}
	dec->content_len += r->leaf_len;
	dec->next_leaf++;
	dec->done = r->leaf_last;
	return 0;
}

int eris_decoder_run(struct eris_decoder *dec, uint64_t max_leaves)
{
	if (dec->error)
		return dec->error;
	for (uint64_t n = 0; !dec->done; n++) {
		int rc;

		if (max_leaves && n == max_leaves)
			return 1;
		rc = decode_leaf(dec);
		if (rc && rc != -ENOENT && rc != -EAGAIN)
			dec->error = rc;
		if (rc)
			return rc;
	}
	return 0;
}
