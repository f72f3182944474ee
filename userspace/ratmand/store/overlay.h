/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The overlay: writes that are queued and not durable yet.
 *
 * A chain of segments, oldest first; each becomes one transaction. A key that is
 * written again replaces its record in the newest segment only, so that the
 * segments, applied in order, never show a later write without an earlier one.
 */
#ifndef RATMAND_STORE_OVERLAY_H
#define RATMAND_STORE_OVERLAY_H

#include "ratmand/store/keyhash.h"
#include "ratmand/store/store.h"

/* A segment that has reached one of these takes no more records. */
#define OVERLAY_SEGMENT_RECORDS 2048
#define OVERLAY_SEGMENT_BYTES (2u << 20)

struct overlay_record {
	UT_hash_handle hh;
	uint32_t value_len;
	uint16_t key_len;	/* of the table's key, without the table byte */
	bool deleted;
	bool undoable;		/* in the list of what was put together */
	bool outdated;		/* … and replaced in it */
	struct overlay_record *undo;		/* what was put before it */
	struct overlay_record *replaced;	/* owned; while it is undoable */
	uint8_t data[];		/* table, key, value */
};

struct overlay_waiter {
	struct overlay_waiter *next;
	store_done_cb cb;
	void *ctx;
	int err;
};

/* Bits of a segment's marks: few enough are set to tell that a group is not in it. */
#define OVERLAY_MARKS 32768

struct overlay_segment {
	struct overlay_segment *newer;
	struct overlay_record *records;	/* owned */
	struct overlay_waiter *waiters;	/* owned; in order of arrival */
	struct overlay_waiter **waiters_end;
	size_t bytes;
	bool sealed;			/* being committed */
	uint64_t marks[OVERLAY_MARKS / 64];	/* hashes of the groups that are in it, and where in them */
};

struct overlay {
	struct overlay_segment *oldest;
	struct overlay_segment *newest;
	size_t bytes;			/* of all segments */
	bool together;			/* the newest segment takes everything */
	struct overlay_record *undo;	/* meanwhile: what was put, newest first */
};

/* What is queued while @on goes into one segment, whatever its size. */
void overlay_together(struct overlay *o, bool on);

/* While that is so: what was put since it began was never put. */
void overlay_take_back(struct overlay *o);

/* Key and value inside a record, borrowed. */
static inline const uint8_t *overlay_key(const struct overlay_record *r)
{
	return r->data + 1;
}

static inline const uint8_t *overlay_value(const struct overlay_record *r)
{
	return r->data + 1 + r->key_len;
}

/* Queues a write, or a deletion when @value is NULL and @deleted. -ENOMEM. */
int overlay_put(struct overlay *o, enum store_table table, const void *key, size_t key_len,
		const void *value, size_t value_len, bool deleted);

/* The newest record of a key (borrowed until the next change), or NULL. */
const struct overlay_record *overlay_find(const struct overlay *o, enum store_table table,
					  const void *key, size_t key_len);

/* Which records: of a table, or of the group that @prefix begins (NULL: all). */
struct overlay_range {
	enum store_table table;
	const void *prefix;
	uint64_t from, to;	/* in an ordered group: orders */
};

/*
 * The newest records of @range, in no order, deletions included. @out is owned by the
 * caller, the records are borrowed. Returns their number or -ENOMEM.
 */
ssize_t overlay_collect(const struct overlay *o, const struct overlay_range *range,
			const struct overlay_record ***out);

/* In an ordered group. */
uint64_t overlay_order(const struct overlay_record *r);

/* Removes the oldest segment and hands over its waiters in order. */
struct overlay_waiter *overlay_pop(struct overlay *o);

#endif
