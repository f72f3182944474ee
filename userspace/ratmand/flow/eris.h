/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ERIS 1.0.0 (http://purl.org/eris): content as a tree of encrypted blocks.
 *
 * Sans-I/O: blocks go out and come in through callbacks. Nothing here calls
 * sodium_init(); the program must have done so. Every error is a negative
 * errno; -EBADMSG always means that data failed a check, and the struct's
 * @fault then says which check. Content is no more authentic than its
 * capability: a level 0 root key cannot be verified by ERIS, so capabilities
 * must arrive inside something signed.
 *
 * Structs are public so that callers can embed them; only fields marked "read"
 * are theirs to look at. None of them may be copied or used by two threads at
 * a time.
 */
#ifndef RATMAN_FLOW_ERIS_H
#define RATMAN_FLOW_ERIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ERIS_BLOCK_AUTO 0u	/* encoder only: decide by the first 16 KiB */
#define ERIS_BLOCK_SMALL 1024u
#define ERIS_BLOCK_LARGE 32768u
#define ERIS_REF_LEN 32
#define ERIS_KEY_LEN 32
#define ERIS_SECRET_LEN 32
#define ERIS_PAIR_LEN (ERIS_REF_LEN + ERIS_KEY_LEN)
#define ERIS_CAPABILITY_LEN 66
#define ERIS_URN_LEN 115	/* without a NUL */

/* Content of at least this many bytes gets large blocks (ERIS 1.0, "Block Size"). */
#define ERIS_LARGE_CONTENT 16384u

/* Levels that content below 2^64 bytes can need. */
#define ERIS_MAX_LEVEL_SMALL 14
#define ERIS_MAX_LEVEL_LARGE 6
#define ERIS_MAX_LEVEL ERIS_MAX_LEVEL_SMALL

/* Most references a missing walk keeps outstanding. */
#define ERIS_MAX_WINDOW 1024u

/* The check that rejected a block; ERIS 1.0, "Decoding", except where noted. */
enum eris_fault {
	ERIS_FAULT_NONE,
	ERIS_FAULT_LENGTH,	/* a block of another size than the capability says */
	ERIS_FAULT_REFERENCE,	/* the block's hash is not its reference */
	ERIS_FAULT_KEY,		/* an internal node's hash is not its key */
	ERIS_FAULT_NODE,	/* something after the first null reference */
	ERIS_FAULT_SHAPE,	/* a tree no encoder makes: empty or gaping nodes */
	ERIS_FAULT_PADDING,	/* the last leaf is not padded */
};

/* What it takes to read content. Whoever holds it can read: treat as secret. */
struct eris_capability {
	uint32_t block_size;	/* bytes: 1024 or 32768 */
	uint8_t level;		/* of the root node; 0 = the root is a leaf */
	uint8_t root_ref[ERIS_REF_LEN];
	uint8_t root_key[ERIS_KEY_LEN];
};

/*
 * Writes the 66-byte binary form of @cap to @out. The caller vouches for @cap.
 * Source: ERIS 1.0, "Binary Encoding of Read Capability".
 */
void eris_capability_encode(const struct eris_capability *cap,
			    uint8_t out[static ERIS_CAPABILITY_LEN]);

/*
 * Reads the binary form: @len must be 66, the first byte 0x0a or 0x0f, the
 * level at most what 2^64 bytes of content can need (our own rule; bounds all
 * recursion). Returns 0, or -EINVAL with @cap untouched.
 */
int eris_capability_decode(const uint8_t *data, size_t len, struct eris_capability *cap);

/* Writes "urn:eris:…" with a NUL. Source: ERIS 1.0, "URN". */
void eris_urn_format(const struct eris_capability *cap, char out[static ERIS_URN_LEN + 1]);

/*
 * Reads a URN of exactly @len bytes at @text (borrowed, needs no NUL). Strict:
 * scheme and namespace in any case (RFC 8141), 106 upper-case base32 digits
 * whose two spare bits are zero, and nothing else. Returns 0, or -EINVAL with
 * @cap untouched.
 */
int eris_urn_parse(const char *text, size_t len, struct eris_capability *cap);

/* The block size advised for @content_len bytes. Source: ERIS 1.0, "Block Size". */
uint32_t eris_block_size_for(uint64_t content_len);

/*
 * Checks a block from elsewhere before it is stored: @len is one of the two
 * block sizes and its hash is @ref. Returns 0 or -EBADMSG.
 */
int eris_block_check(const uint8_t ref[static ERIS_REF_LEN], const uint8_t *block, size_t len);

struct eris_encoder_level {
	uint8_t *node;		/* owned, one block; NULL until needed */
	uint32_t count;
};

/*
 * A streaming encoder. It holds two blocks and one more per level of the tree,
 * whatever the length: at most 288 KiB (large blocks, automatic) or 17 KiB.
 */
struct eris_encoder {
	uint32_t block_size;	/* read; 0 while automatic and undecided */
	uint64_t content_len;	/* read; bytes written so far */
	uint64_t blocks;	/* read; blocks emitted so far, with repetitions */
	int (*emit)(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block, size_t len);
	void *ctx;
	uint8_t secret[ERIS_SECRET_LEN];
	uint8_t *leaf;		/* owned, buf_size bytes, as is cipher */
	uint8_t *cipher;
	size_t fill;
	uint32_t buf_size;
	struct eris_encoder_level levels[ERIS_MAX_LEVEL + 2];
	unsigned int top;
	int error;
	bool finished;
};

/*
 * Starts encoding. @block_size: ERIS_BLOCK_SMALL, _LARGE, or _AUTO, which
 * buffers up to 16 KiB and then decides like eris_block_size_for(). @secret:
 * the convergence secret, copied; all zeroes lets everybody derive the same
 * capability from the same content. @emit takes each block: @ref and @block
 * (@len bytes, the block size) are borrowed for the call, children come before
 * parents, the root last, repetitions are possible; a negative return ends the
 * encoding. @ctx is borrowed until eris_encoder_free().
 * Returns 0, -EINVAL (block size) or -ENOMEM; after an error nothing is owed.
 */
int eris_encoder_init(struct eris_encoder *enc, uint32_t block_size,
		      const uint8_t secret[static ERIS_SECRET_LEN],
		      int (*emit)(void *ctx, const uint8_t ref[ERIS_REF_LEN], const uint8_t *block,
				  size_t len),
		      void *ctx);

/*
 * Encodes @len more bytes (borrowed). Returns 0, what @emit returned, -ENOMEM,
 * -EFBIG past 2^64 bytes, or -EINVAL after finish. Errors are sticky.
 * Source: ERIS 1.0, "Encoding".
 */
int eris_encoder_write(struct eris_encoder *enc, const void *data, size_t len);

/* Pads, emits the rest and fills @cap. Errors as for write, @cap then untouched. */
int eris_encoder_finish(struct eris_encoder *enc, struct eris_capability *cap);

/* Wipes and releases the buffers. Safe to repeat, and on a zeroed struct. */
void eris_encoder_free(struct eris_encoder *enc);

/* A decrypted, checked internal node. */
struct eris_node {
	uint8_t *pairs;		/* owned, one block; NULL until needed */
	uint64_t first_leaf;	/* index of the first leaf below */
	uint32_t count;
	uint32_t next;		/* used by the missing walk */
	bool valid;
	bool last;		/* on the right edge of the tree */
};

/* A tree seen through a block store; one cached node per level. */
struct eris_tree {
	struct eris_capability cap;
	int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size);
	void *ctx;
	uint64_t max_len;
	struct eris_node nodes[ERIS_MAX_LEVEL + 1];
	enum eris_fault fault;	/* read; why the last -EBADMSG */
	uint8_t at[ERIS_REF_LEN]; /* read; the block the last error is about */
};

/*
 * Random access. Memory: one block per level and one leaf.
 * Read @tree.fault and @tree.at after an error.
 */
struct eris_reader {
	struct eris_tree tree;
	uint8_t *leaf;		/* owned */
	uint64_t leaf_index;
	size_t leaf_len;
	bool leaf_valid;
	bool leaf_last;
};

/*
 * Opens content. @fetch copies the block @ref into @buf, if it is at most
 * @size bytes, and returns its length, or -ENOENT when the block is missing,
 * or another negative errno; it need not check the block. @ctx is borrowed
 * until free. @max_len: longer content fails with -EFBIG, before it is read;
 * always set it, seven blocks can describe 2^69 bytes.
 * Returns 0, -EINVAL (capability), -EFBIG (already the level says so), -ENOMEM.
 */
int eris_reader_init(struct eris_reader *r, const struct eris_capability *cap,
		     int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				  size_t size),
		     void *ctx, uint64_t max_len);

/*
 * Reads up to @len bytes at @offset into @buf. Returns the number of bytes,
 * short only at the end of the content or before a block that gives an error,
 * 0 past the end; or -ENOENT (the missing block is @tree.at), -EBADMSG,
 * -EFBIG, -ENOMEM, or what fetch returned. No error is sticky.
 * Source: ERIS 1.0, "Random Access".
 */
ssize_t eris_read_at(struct eris_reader *r, uint64_t offset, void *buf, size_t len);

/*
 * Finds the length of the content in bytes by reading the right edge of the
 * tree: level + 1 blocks. Errors as for eris_read_at(), @len then untouched.
 */
int eris_content_length(struct eris_reader *r, uint64_t *len);

/* How many blocks a complete tree has, counting repetitions. */
struct eris_counts {
	uint64_t leaves_min;
	uint64_t leaves_max;
	uint64_t blocks_min;
	uint64_t blocks_max;
};

/*
 * Counts the blocks of the tree from the internal nodes on its right edge, as
 * far as they are held; minimum and maximum agree when all of them are. Reads
 * at most level blocks and no leaf. Returns 0 (also with nodes missing) or
 * another error of eris_read_at().
 */
int eris_walk_counts(struct eris_reader *r, struct eris_counts *out);

/* Wipes and releases the buffers. Safe to repeat, and on a zeroed struct. */
void eris_reader_free(struct eris_reader *r);

/* A decoder from the first byte to the last. Memory as for a reader. */
struct eris_decoder {
	struct eris_reader reader; /* read: reader.tree.fault, reader.tree.at */
	int (*output)(void *ctx, const uint8_t *data, size_t len);
	void *output_ctx;
	uint64_t next_leaf;	/* read; leaves that were output */
	uint64_t content_len;	/* read; bytes that were output */
	int error;
	bool done;		/* read */
};

/*
 * Starts decoding; arguments and errors as for eris_reader_init(). @output
 * takes the content in order, a leaf at a time: @data (@len > 0 bytes) is
 * borrowed for the call. It returns 0 or more, -EAGAIN to be offered the same
 * data in a later run, or another negative errno, which ends the decoding.
 * What was output is provisional until eris_decoder_run() has returned 0.
 */
int eris_decoder_init(struct eris_decoder *dec, const struct eris_capability *cap,
		      int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				   size_t size),
		      void *ctx, int (*output)(void *ctx, const uint8_t *data, size_t len),
		      void *output_ctx, uint64_t max_len);

/*
 * Decodes up to @max_leaves leaves (0: no limit). Returns 0 at the end of the
 * content, 1 when there is more, -ENOENT when the block @reader.tree.at is
 * missing, -EAGAIN (from a callback); after these it may be called again and
 * goes on where it stopped. -EBADMSG, -EFBIG, -ENOMEM and other errors of the
 * callbacks are sticky. Source: ERIS 1.0, "Decoding".
 */
int eris_decoder_run(struct eris_decoder *dec, uint64_t max_leaves);

/* Wipes and releases the buffers. Safe to repeat, and on a zeroed struct. */
void eris_decoder_free(struct eris_decoder *dec);

enum eris_missing_state {
	ERIS_MISSING_MORE,	/* call again: the buffer or the budget was used up */
	ERIS_MISSING_WAITING,	/* all that can be known is asked for; blocks must come */
	ERIS_MISSING_COMPLETE,	/* every block of the tree is held */
};

struct eris_wanted_node;

/*
 * Finds the blocks that are not held, as they become known. Internal nodes are
 * read once each, leaves only asked about. Memory: one block per level being
 * walked and about 140 bytes per reference of the window.
 */
struct eris_missing {
	struct eris_tree tree;	/* read: tree.fault, tree.at */
	int (*has)(void *ctx, const uint8_t ref[ERIS_REF_LEN]);
	enum eris_missing_state state; /* read */
	uint64_t seen;		/* read; places of the tree walked past */
	uint32_t window;
	uint32_t waiting;	/* read; references asked for that did not arrive yet */
	struct eris_wanted_node *nodes;	/* owned; asked for or arrived, not walked */
	uint32_t n_nodes;
	uint8_t (*leaves)[ERIS_REF_LEN]; /* owned; asked for, not arrived */
	uint32_t n_leaves;	/* read; counted in @seen already */
	int error;
	bool started;
};

/*
 * Starts a walk. @has returns 1 when the block @ref is held, 0 when not, or a
 * negative errno; @fetch is as for eris_reader_init() and is called for
 * internal nodes only; both get @ctx, borrowed until free. @window, 1 to 1024,
 * bounds the references that are asked for at a time. @max_len as for
 * eris_reader_init(). Nothing needs to be saved: after a restart a new walk
 * passes over what is held. Returns as eris_reader_init().
 */
int eris_missing_init(struct eris_missing *m, const struct eris_capability *cap,
		      int (*has)(void *ctx, const uint8_t ref[ERIS_REF_LEN]),
		      int (*fetch)(void *ctx, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf,
				   size_t size),
		      void *ctx, uint32_t window, uint64_t max_len);

/*
 * Writes up to @max references to ask for to @refs, in the order of the
 * content as far as it is known, none of which is being waited for already.
 * @budget (at least 1) bounds the blocks looked at, so that a long walk over
 * held blocks can be cut up. @state says how things stand. Returns the number
 * of references; -EBADMSG or -EFBIG (sticky: no block can mend this tree,
 * except that after ERIS_FAULT_LENGTH or _REFERENCE the held block @tree.at is
 * damaged: delete it and start a new walk); -ENOMEM or an error of the
 * callbacks, after which it may be called again. An error found after the
 * first reference of a call is kept for the next call, so no reference is lost.
 * -ENOENT says that fetch lacks the node @tree.at which has or the caller said
 * is held; if that lasts, start a new walk.
 */
int eris_missing_next(struct eris_missing *m, uint8_t (*refs)[ERIS_REF_LEN], size_t max,
		      uint32_t budget);

/*
 * Says that the block @ref is stored now. Returns true when it was waited for.
 * Optional: a walk that is stuck asks @has about all it waits for, once per
 * call of eris_missing_next().
 */
bool eris_missing_arrived(struct eris_missing *m, const uint8_t ref[static ERIS_REF_LEN]);

/*
 * Copies up to @max of the references being waited for, to ask for them again
 * elsewhere. Returns their number, at most the window.
 */
size_t eris_missing_waiting(const struct eris_missing *m, uint8_t (*refs)[ERIS_REF_LEN],
			    size_t max);

/* Wipes and releases the buffers. Safe to repeat, and on a zeroed struct. */
void eris_missing_free(struct eris_missing *m);

#endif
