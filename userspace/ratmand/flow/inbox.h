/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inbox: streams that are arriving or wait for a client, and the memory of
 * those that were delivered.
 */
#ifndef RATMAND_FLOW_INBOX_H
#define RATMAND_FLOW_INBOX_H

#include "proto/letterhead.h"
#include "ratmand/flow/journal.h"
#include "ratmand/store/keyhash.h"

struct inbox_entry {
	UT_hash_handle hh;
	struct inbox_entry *prev, *next;	/* complete ones, oldest first */
	struct ident id;		/* of the manifest */
	struct journal_tag tag;		/* held */
	struct recipient to;		/* the local address, or the namespace, it is sealed to */
	/*
	 * Whose clients get it. A stream to a namespace has one entry with none
	 * here, kept for other members ("item"), and one for each member here.
	 */
	struct address local;
	uint64_t order;			/* grows from stream to stream */
	uint64_t since_s;		/* unix seconds: first offered */
	uint64_t created_s;		/* unix seconds, by the sender's clock */
	uint64_t size;			/* bytes of content */
	bool complete;			/* every block is held; durable once @announced */
	bool announced;			/* listeners may have it */
	bool taken;			/* a client reads it */
};

struct inbox {
	struct store *store;
	struct journal *journal;
	struct inbox_entry *all;
	struct inbox_entry *ready;	/* announced, by order */
	uint64_t next_order;
};

/* Loads every entry and forgets deliveries too old to be offered again. */
int inbox_load(struct inbox *b, struct store *store, struct journal *journal);
void inbox_free(struct inbox *b);

/*
 * Queues an entry (id, tag, to, local, created_s, size and complete of @like)
 * with its sealed manifest (copied), so that it survives a restart. -EDQUOT at
 * LIMIT_INBOX, -EEXIST, storage errors.
 */
int inbox_add(struct inbox *b, const struct inbox_entry *like, const uint8_t *sealed, size_t len,
	      struct inbox_entry **out);

/* True for a stream to a namespace that is kept for other members. */
bool inbox_is_item(const struct inbox_entry *e);

/* Queues that @e is complete. */
int inbox_complete(struct inbox *b, struct inbox_entry *e);

/* A complete entry whose commit has ended well: listeners may have it, unless it is an item. */
void inbox_announce(struct inbox *b, struct inbox_entry *e);

struct inbox_entry *inbox_find(struct inbox *b, const struct ident *id);

/* True when @id was delivered to a client. */
bool inbox_was_delivered(struct inbox *b, const struct ident *id);

/* The sealed manifest into @out (MANIFEST_MAX bytes): its length or a storage error. */
ssize_t inbox_sealed(struct inbox *b, const struct inbox_entry *e, uint8_t *out);

/* Queues that @e was delivered: it will not be taken again. Storage errors. */
int inbox_delivered(struct inbox *b, struct inbox_entry *e);

/* Removes the entry from memory and, with @stored, from disk, and releases its tag. */
void inbox_remove(struct inbox *b, struct inbox_entry *e, bool stored);

#endif
