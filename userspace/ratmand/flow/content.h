/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contents: what is kept in the journal for its own sake (files), not only until
 * somebody has received it.
 *
 * A content is encoded once, and the same blocks are read here and sent to any
 * number of recipients. It lives as long as somebody holds it; holds are counted
 * on disk. So that no crash leaves a hold without an owner, the record that names
 * a content is the outer one: queue it, then flow_content_hold(); and to let go,
 * flow_content_release(), then queue the removal of the record. After a crash in
 * between, the record is there and flow_content_is_held() says no: remove it.
 */
#ifndef RATMAND_FLOW_CONTENT_H
#define RATMAND_FLOW_CONTENT_H

#include "ratmand/flow/flow.h"
#include "ratmand/flow/journal.h"
#include "ratmand/flow/parcel.h"

/* Names a content and opens it: whoever has it can read. Secret; wipe it after use. */
struct flow_content {
	struct journal_tag tag;
	struct eris_capability cap;
	uint64_t size;			/* bytes, not 0 */
};

/* As it is put into a record (sealed under the owner's key). */
#define FLOW_CONTENT_LEN (JOURNAL_TAG_LEN + ERIS_CAPABILITY_LEN + 8)

void flow_content_encode(const struct flow_content *content,
			 uint8_t out[static FLOW_CONTENT_LEN]);
/* -EBADMSG when @data is none. */
int flow_content_decode(const uint8_t data[static FLOW_CONTENT_LEN], struct flow_content *out);

/* ---- making one ---- */

struct flow_content_writer;

/* @drain (may be NULL) after a write that said -EAGAIN: go on. -ENOMEM. */
int flow_content_open(struct flow *flow, flow_cb drain, void *ctx,
		      struct flow_content_writer **out);

/*
 * Appends. -EAGAIN: nothing was taken, the disk is behind, wait for drain. -EFBIG
 * past LIMIT_STREAM_BYTES, storage errors, also when the store lost a part; after
 * these only flow_content_close() is left.
 */
int flow_content_write(struct flow_content_writer *w, const void *data, size_t len);

/*
 * Ends the content and says what it is. Nothing more can be written; its blocks stay until
 * flow_content_close(), and longer if it is held by then. Durable with the next
 * store_commit(). -ENODATA when it is empty, or an error as above.
 */
int flow_content_finish(struct flow_content_writer *w, struct flow_content *out);

/* Ends the writing, finished or not. Blocks that nobody holds go. NULL is fine. */
void flow_content_close(struct flow_content_writer *w);

/* ---- keeping it ---- */

/*
 * Queues one hold more. Its blocks must be there: of a writer or a parcel that is
 * still open, or held already. -ENOMEM, storage errors.
 */
int flow_content_hold(struct flow *flow, const struct flow_content *content);

/*
 * Queues one hold less; with the last the blocks go, once that is durable. -ENOENT when it has
 * none. A content whose count is damaged on the disk is held for good.
 */
int flow_content_release(struct flow *flow, const struct flow_content *content);

bool flow_content_is_held(struct flow *flow, const struct flow_content *content);

/* ---- reading it ---- */

struct flow_content_reader;

/* The blocks stay while it is open. -ENOMEM, -EBADMSG (@content is none). */
int flow_content_read_open(struct flow *flow, const struct flow_content *content,
			   struct flow_content_reader **out);

/*
 * Up to @size bytes at @offset: their number, 0 past the end, or -EBADMSG when the store
 * has lost or damaged a block.
 */
ssize_t flow_content_read_at(struct flow_content_reader *r, uint64_t offset, void *buf,
			     size_t size);
void flow_content_read_close(struct flow_content_reader *r);

/* ---- sending it ---- */

/*
 * As flow_parcel_send(), with a content that is held: no block is copied or encoded
 * anew, however many recipients it is sent to, those on this daemon included. It may be
 * released at once: what waits for a recipient keeps the blocks until he has them.
 */
int flow_content_send(struct flow *flow, enum parcel_kind kind, const struct address *from,
		      const struct recipient *to, const uint8_t *meta, size_t meta_len,
		      const struct flow_content *content, flow_done_cb done, void *ctx);

/*
 * The content of a parcel that is being handed over: its blocks, which no one has
 * to read or copy. To keep them: queue the record, flow_content_hold(), and only then
 * flow_parcel_close(). -ESTALE when the parcel was withdrawn.
 */
int flow_parcel_content(const struct flow_parcel *p, struct flow_content *out);

#endif
