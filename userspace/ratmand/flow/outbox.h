/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The outbox: streams that wait for their recipient's receipt.
 *
 * Entries live in memory by manifest id, the sealed manifests on disk only.
 */
#ifndef RATMAND_FLOW_OUTBOX_H
#define RATMAND_FLOW_OUTBOX_H

#include "proto/letterhead.h"
#include "ratmand/flow/flow.h"
#include "ratmand/flow/journal.h"
#include "ratmand/store/keyhash.h"

struct outbox_entry {
	UT_hash_handle hh;
	struct outbox_entry *prev, *next;	/* the owner's list by pair, oldest first */
	struct ident id;			/* of the manifest */
	struct journal_tag tag;			/* held */
	struct address from;
	struct recipient to;
	uint64_t size;				/* bytes of content */
	uint64_t created_s;			/* unix seconds */
	uint8_t kind;				/* of a parcel, else 0 */
	uint32_t attempts;			/* times it was offered, saved now and then */
	enum flow_state state;			/* not saved */
	uint64_t retry_at;			/* loop ms; not offered before */
	bool offered;				/* on the connection that is up */
	/* To a namespace: members that have it, or will not. Not saved. */
	uint8_t receipts, refusals;
	struct address receipt_from;		/* the first */
	uint64_t receipt_at;			/* loop ms */
};

struct outbox {
	struct store *store;
	struct journal *journal;
	struct outbox_entry *all;
};

/* Loads every entry and calls @loaded (may be NULL) for each. Storage errors, -ENOMEM. */
int outbox_load(struct outbox *o, struct store *store, struct journal *journal,
		void (*loaded)(void *ctx, struct outbox_entry *e), void *ctx);
void outbox_free(struct outbox *o);

/*
 * Queues an entry; fields of @like and the @len sealed bytes are copied, the id
 * is computed, the tag held. -EDQUOT at LIMIT_OUTBOX, -EEXIST, storage errors.
 */
int outbox_add(struct outbox *o, const struct outbox_entry *like, const uint8_t *sealed, size_t len,
	       struct outbox_entry **out);

/* The sealed manifest into @out (MANIFEST_MAX bytes): its length or a storage error. */
ssize_t outbox_sealed(struct outbox *o, const struct outbox_entry *e, uint8_t *out);

/* Saves the number of attempts. Storage errors. */
int outbox_save(struct outbox *o, const struct outbox_entry *e);

struct outbox_entry *outbox_find(struct outbox *o, const struct ident *id);

/* Removes the entry from memory and, with @stored, from disk, and releases its tag. */
void outbox_remove(struct outbox *o, struct outbox_entry *e, bool stored);

#endif
