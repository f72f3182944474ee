/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The journal: ERIS blocks of streams on their way in or out.
 *
 * Each block lies under the tag of its stream and its reference, so that a
 * stream's blocks lie together, and nobody can ask through one stream whether a
 * block of another is held. A tag lives while outbox or inbox entries or sends
 * hold it; blocks of a tag that nobody holds are removed in the background.
 */
#ifndef RATMAND_FLOW_JOURNAL_H
#define RATMAND_FLOW_JOURNAL_H

#include "ratmand/flow/eris.h"
#include "ratmand/store/store.h"

/* The table's groups are as long (store/tables.c). */
#define JOURNAL_TAG_LEN 16

struct journal_tag {
	uint8_t b[JOURNAL_TAG_LEN];
};

struct journal;

/* @store and @loop are borrowed. */
int journal_new(struct journal **out, uv_loop_t *loop, struct store *store);

/* Releases everything but the timer handle, which is the loop's to close. */
void journal_free(struct journal *j);

/* A tag nobody has, for a stream made here. */
void journal_tag_draw(struct journal_tag *tag);

/* The tag of a received stream: the same for everybody it is sent to on this daemon. */
void journal_tag_derive(const struct eris_capability *cap, struct journal_tag *tag);

/* Counts one holder more (-ENOMEM) or less; with none left the blocks go. */
int journal_hold(struct journal *j, const struct journal_tag *tag);
void journal_release(struct journal *j, const struct journal_tag *tag);

/* Once, after all entries were loaded: removes blocks of tags nobody holds, bit by bit. */
void journal_sweep(struct journal *j);

/* Queues a block. Storage errors. */
int journal_put(struct journal *j, const struct journal_tag *tag, const uint8_t *ref,
		const uint8_t *block, size_t len);
bool journal_has(struct journal *j, const struct journal_tag *tag, const uint8_t *ref);

/* As store_get(). */
ssize_t journal_get(struct journal *j, const struct journal_tag *tag, const uint8_t *ref,
		    uint8_t *buf, size_t size);
int journal_del(struct journal *j, const struct journal_tag *tag, const uint8_t *ref);

/* The context that the callbacks below take, to look at one stream. */
struct journal_view {
	struct journal *journal;
	struct journal_tag tag;
};

/* fetch and has of eris.h over a struct journal_view. */
int journal_fetch(void *view, const uint8_t ref[ERIS_REF_LEN], uint8_t *buf, size_t size);
int journal_held(void *view, const uint8_t ref[ERIS_REF_LEN]);

#endif
