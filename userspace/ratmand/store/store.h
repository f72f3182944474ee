/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The durable store: two LMDB environments, encrypted, with group commit.
 *
 * What must not be lost lies in state/, what can be had again in cache/, which
 * is thrown away when it is damaged; a table is in one of them (tables.c).
 * Records lie on the disk under hidden keys and sealed (Documentation/store.md).
 * Writes are queued on the loop thread, visible at once to reads through this
 * interface, and committed together in the thread pool; an answer that promises
 * durability waits for store_commit(). Reads run on the loop thread and copy
 * out: no pointer into the map survives a call.
 */
#ifndef RATMAND_STORE_STORE_H
#define RATMAND_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/address.h"

struct store;

enum store_table {
	STORE_META,
	STORE_ADDRESSES,
	STORE_STAMPS,		/* address → highest stamp reserved */
	STORE_SEEN,		/* address → highest record sequence seen */
	STORE_BLOCKS,		/* stream tag, reference → ERIS block (flow/journal.h) */
	STORE_OUTBOX,		/* manifest id → entry */
	STORE_INBOX,		/* manifest id → manifest and state */
	STORE_DONE,		/* manifest id → delivered: exactly once */
	STORE_CONTACTS,		/* sealed names → sealed contacts */
	STORE_SUBSCRIPTIONS,	/* recipient, subscriber → subscription */
	STORE_DUE,		/* who it is for, order → what is to be delivered to him */
	STORE_SPACES,		/* namespace → its key */
	STORE_RECORDS,		/* address, kind, hidden key → sealed by the address (records.h) */
	STORE_FILES,		/* what all users see: contents by id, catalogs (contents.h, catalogs.h) */
	STORE_CONTENTS,		/* stream tag → how often it is kept (flow/content.h) */
	STORE_PEERS,		/* cache: address → first and last seen time */
	STORE_BODIES,		/* messages: their content (bodies.h) */
	STORE_OVERLAY,		/* messages: what each user sees of them, who refers to what (mailbox.h) */
	STORE_FLOODS,		/* messages to everybody, as they came (floods.h) */
	STORE_PROFILES,		/* cache: of users elsewhere (profiles.h) */
	STORE_USERS,		/* the same of users here */
	STORE_PROFILE_VALUES,	/* cache: hash of a value, address → nothing (service/exact.h) */
	STORE_BYGONE,		/* cache: who has no profile any more → its version (bygone.h) */
	STORE_TABLES
};

/* Keys are 1 to 500 bytes long, values at most STORE_VALUE_MAX. */
#define STORE_KEY_MAX 500
#define STORE_VALUE_MAX (1u << 20)

struct nodekey_options;

struct store_options {
	/*
	 * Most bytes the file in state/ may grow to; 0 = default for this machine.
	 * The map starts smaller and grows with the contents; above 90 % writes are
	 * refused with -EDQUOT, because deletions need free pages, too.
	 */
	uint64_t map_size;
	bool ephemeral;		/* no sync: contents may be lost at a power cut */
	const struct nodekey_options *node_key;	/* borrowed; NULL: node.key in the directory */
};

/*
 * Opens or creates the store in @dir (created with mode 0700), refusing a
 * directory another process holds (-EBUSY), a newer format (-EPROTO), a damaged
 * file (-EBADMSG), a wrong node key (-EKEYREJECTED, -ENOKEY) and a file system
 * without shared mappings (-ENOTSUP). A store of format 1 is migrated; its file
 * stays as format-1.mdb. On a file system that cannot be written the store is
 * opened for reading, and writes are refused with -EROFS; -EROFS when there is
 * none yet. @why (borrowed, size bytes) gets a sentence for the user on failure.
 */
int store_open(struct store **out, uv_loop_t *loop, const char *dir,
	       const struct store_options *options, char *why, size_t size);

/*
 * Commits what is queued, waits for it, calls every callback that is due,
 * closes. Handles are left to the loop, which must run once more.
 */
void store_close(struct store *store);

/*
 * Reads a value of at most @size bytes. Returns its length, -ENOENT, -EMSGSIZE
 * when it is larger, or -EBADMSG when the record is damaged: it is left out of
 * store_each(), but store_has() knows it, and a put replaces it.
 */
ssize_t store_get(struct store *store, enum store_table table, const void *key, size_t key_len,
		  void *value, size_t size);

bool store_has(struct store *store, enum store_table table, const void *key, size_t key_len);

/*
 * Queues a write or deletion (both copied). Writes reach the disk in the order
 * they were queued: after a crash a prefix of them is there. Returns 0,
 * -EDQUOT (nearly full; deletions go on), -ENOMEM, -EINVAL (key or value too
 * long), or the error of a failed commit: after -ENOSPC and -EDQUOT writes are
 * tried again some seconds later, after -EROFS and -EIO not before a restart.
 */
int store_put(struct store *store, enum store_table table, const void *key, size_t key_len,
	      const void *value, size_t value_len);
int store_del(struct store *store, enum store_table table, const void *key, size_t key_len);

/*
 * Calls @cb (0 or the error of the commit) once everything queued so far for
 * state/ is durable; never before this call has returned. A commit that fails takes
 * everything queued with it, as if it had never been put.
 */
typedef void (*store_done_cb)(void *ctx, int err);
void store_commit(struct store *store, store_done_cb cb, void *ctx);

/* Commits what is queued and waits for it: blocks the loop, for start-up. 0 or an error. */
int store_flush(struct store *store);

/*
 * Counts the commits that failed. Who puts pieces over a long time compares it
 * before and after: while it stays the same, nothing that was queued was lost.
 */
uint64_t store_failures(const struct store *store);

/* The error of the last one that failed; -EIO when none did. */
int store_failure(const struct store *store);

/* Damaged records met so far, in state/ and cache/: each was left out and named in the log. */
uint64_t store_damaged(const struct store *store);

/* Bytes that can still be put before -EDQUOT, roughly. */
uint64_t store_room(const struct store *store);

/* Bytes queued and not committed: for back-pressure (slow down above a few MiB). */
size_t store_backlog(const struct store *store);

/*
 * Calls @cb for every record, queued writes included, group by group and in a
 * group by order where the table has one, else in no particular order; pointers are borrowed for the call; @cb must not write to the table, nor flush
 * or take a stamp. A return other than 0 stops and is returned. In a bare table
 * (tables.c) those without a value are left out, here and below: store_has() and
 * store_orders() know them.
 */
typedef int (*store_each_cb)(void *ctx, const void *key, size_t key_len, const void *value,
			     size_t value_len);
int store_each(struct store *store, enum store_table table, store_each_cb cb, void *ctx);

/*
 * The same for the records of a group: those whose keys begin with the bytes at
 * @prefix, as many as the table's groups have (tables.c).
 */
int store_each_of(struct store *store, enum store_table table, const void *prefix, store_each_cb cb,
		  void *ctx);

/*
 * The same in a table whose groups are ordered, from the record at the whole key
 * @start on, to the end of its group.
 */
int store_each_from(struct store *store, enum store_table table, const void *start,
		    store_each_cb cb, void *ctx);

/*
 * As store_each_of(), with a @prefix of NULL as store_each(), for keys alone: much cheaper for
 * large values: they come as NULL, 0.
 */
int store_each_key(struct store *store, enum store_table table, const void *prefix,
		   store_each_cb cb, void *ctx);

/*
 * Brackets writes to state/ that must be on the disk together or not at all: all
 * of them become part of one transaction. Few and small; not nested, without a
 * flush or stamp between; what fails half way the caller takes back.
 */
void store_together(struct store *store, bool on);

/* Within these brackets: all that was queued since they began was never queued. */
void store_take_back(struct store *store);

/*
 * In an ordered table: the orders of at most @n records of the group @prefix, from
 * @from to @to, ascending. Much cheaper than reading them, and does not see damage.
 * Returns how many (fewer than @n only when there are no more), or an error.
 */
ssize_t store_orders(struct store *store, enum store_table table, const void *prefix,
		     uint64_t from, uint64_t to, uint64_t *orders, size_t n);

/*
 * The highest order in the group, or a higher one that was deleted and whose
 * deletion is queued: 1, 0 when it is empty, or an error.
 */
int store_last_order(struct store *store, enum store_table table, const void *prefix,
		     uint64_t *order);

/*
 * Goes from group to group of those on the disk, queued ones aside: @prefix gets
 * the next group's bytes, @cursor (all zeroes at first) moves past it. 1, 0 at
 * the end, or an error.
 */
struct store_cursor {
	uint8_t b[32];
};
int store_next_group(struct store *store, enum store_table table, struct store_cursor *cursor,
		     void *prefix);

/* The loop, for work that belongs to the store (password.h). */
uv_loop_t *store_loop(const struct store *store);

/*
 * Next stamp of an address: strictly increasing for ever, at least unix seconds
 * << 20, also after a power cut or a clock set back (a reserve is persisted
 * ahead of use). 0 when the reserve cannot be written. The first call for an
 * address commits and waits for it.
 */
uint64_t store_next_stamp(struct store *store, const struct address *address);

#endif
