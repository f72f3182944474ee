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
	struct inbox_entry *prev, *next;	/* in the list that @place says */
	struct ident id;		/* of the manifest */
	struct journal_tag tag;		/* held */
	struct recipient to;		/* the local address, or the namespace, it is sealed to */
	/*
	 * Whose clients get it. A stream to a namespace has one entry with none
	 * here, kept for other members ("item"), and one for each member here.
	 */
	struct address local;
	struct address from;		/* the sender; zero in entries of older versions */
	uint8_t kind;			/* of a parcel (parcel.h), else 0 */
	uint64_t order;			/* grows from stream to stream */
	uint64_t since_s;		/* unix seconds: first offered */
	uint64_t created_s;		/* unix seconds, by the sender's clock */
	uint64_t size;			/* bytes of content */
	uint64_t held;			/* while it arrives: bytes that are here, roughly */
	bool complete;			/* every block is held; durable once @announced */
	bool announced;			/* listeners may have it */
	bool pool;			/* complete, and still to go to whoever receives first */
	bool unwanted;			/* a parcel to be refused when it is offered again; no blocks */
	bool arriving;			/* somebody is sending it just now */
	enum inbox_place {
		INBOX_NOWHERE,
		INBOX_READY,
		INBOX_QUEUE,
		INBOX_LATER,
	} place;
	bool taken;			/* a client reads it out of the pool, or a handler has it */
	unsigned int claims;		/* queues it is in (claim.c) */
	/* A parcel its handler did not take. Not saved. */
	unsigned int tries;
	uint64_t retry_at;		/* loop ms; not handed over before. 0: it may be */
};

/* Parcels of one kind to one recipient that may be handed over when he and the handler are there. */
struct inbox_queue {
	UT_hash_handle hh;
	struct inbox_queue_key {
		struct address to;
		uint8_t kind;
	} key;
	struct inbox_entry *entries;	/* by order; never empty */
	bool open;			/* for parcel.c: found open in this turn */
};

struct inbox {
	struct store *store;
	struct journal *journal;
	struct inbox_entry *all;
	struct inbox_entry *ready;	/* streams announced and in the pool, by order */
	struct inbox_queue *queues;	/* owned */
	struct inbox_entry *later;	/* parcels that come again at their retry_at */
	uint64_t next_order;
};

/* Loads every entry and forgets deliveries too old to be offered again. */
int inbox_load(struct inbox *b, struct store *store, struct journal *journal);
void inbox_free(struct inbox *b);

/*
 * Queues an entry (id, tag, to, local, from, kind, created_s, size, complete and pool
 * of @like) with its sealed manifest (copied), so that it survives a restart. -EDQUOT at
 * LIMIT_INBOX, -EEXIST, storage errors.
 */
int inbox_add(struct inbox *b, const struct inbox_entry *like, const uint8_t *sealed, size_t len,
	      struct inbox_entry **out);

/* True for a stream to a namespace that is kept for other members. */
bool inbox_is_item(const struct inbox_entry *e);

/*
 * Queues that @e is complete, and with @pool that it goes to whoever receives
 * first. For claim.c, which decides who gets it.
 */
int inbox_complete(struct inbox *b, struct inbox_entry *e, bool pool);

/* Queues that a complete entry is in the pool, or is no longer. */
int inbox_set_pool(struct inbox *b, struct inbox_entry *e, bool pool);

/* After a change of @e->taken or @e->retry_at of a parcel. */
void inbox_relist(struct inbox *b, struct inbox_entry *e);

/* Queues how much of an entry that arrives is here (@e->held). */
int inbox_save_held(struct inbox *b, const struct inbox_entry *e);

/* Marks one that arrives as unwanted, and lets go of its blocks. Storage errors. */
int inbox_set_unwanted(struct inbox *b, struct inbox_entry *e);

/* Lets listeners have a complete entry whose commit has ended well. */
void inbox_announce(struct inbox *b, struct inbox_entry *e);

struct inbox_entry *inbox_find(struct inbox *b, const struct ident *id);

/* True when @id was delivered to everybody it was for. */
bool inbox_was_delivered(struct inbox *b, const struct ident *id);

/* The sealed manifest into @out (MANIFEST_MAX bytes): its length or a storage error. */
ssize_t inbox_sealed(struct inbox *b, const struct inbox_entry *e, uint8_t *out);

/* Queues that @e was delivered: it will not be taken again. Storage errors. */
int inbox_delivered(struct inbox *b, struct inbox_entry *e);

/* Removes the entry from memory and, with @stored, from disk, and releases its tag. */
void inbox_remove(struct inbox *b, struct inbox_entry *e, bool stored);

#endif
