/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A mailbox: what one user sees of the messages on this instance (R19).
 *
 * An entry says which body it is (bodies.h), from whom, for which service, with
 * which tags; entries are numbered in the order in which they came. Lists (lists.h) tell
 * the numbers of one service, sender, tag or message id, so that a search walks the
 * lists it asks for side by side. The names of all lists are hidden and the entries
 * sealed under the mailbox's own key, which the store's keys do not give away:
 * who is somebody else sees neither how many there are nor of what.
 *
 * Each change is one transaction. What is queued is durable after store_commit().
 */
#ifndef RATMAND_STORE_MAILBOX_H
#define RATMAND_STORE_MAILBOX_H

#include "proto/message.h"
#include "ratmand/store/bodies.h"
#include "ratmand/store/records.h"

#define MAILBOX_KEY_LEN 32

/* Most messages of one id that are shown, or changed at a time: each has another sender. */
#define MAILBOX_SAME_ID 32

struct mailbox_keys;
struct lists;

struct mailbox {
	struct bodies *bodies;		/* borrowed */
	struct mailbox_keys *keys;	/* owned, in guarded memory */
	struct lists *lists;		/* owned */
	uint64_t next;			/* number of the next entry */
	uint64_t failures;		/* of the store, when the lists were read */
};

/* The key of a user's mailbox (secret, the caller wipes it). */
void mailbox_key(const struct records *records, uint8_t out[static MAILBOX_KEY_LEN]);

/* -ENOMEM, storage errors. */
int mailbox_open(struct mailbox *mb, struct bodies *bodies,
		 const uint8_t key[static MAILBOX_KEY_LEN]);
void mailbox_close(struct mailbox *mb);

/* Numbers below @next are not given any more. */
void mailbox_reserve(struct mailbox *mb, uint64_t next);

/* True when it has the message of this id and sender. */
bool mailbox_has(struct mailbox *mb, const struct ident *id, const struct address *sender);

/* Adds an entry for @m, whose body is @body. -EEXIST, -EDQUOT, storage errors. */
int mailbox_add(struct mailbox *mb, const struct message *m, struct body *body);

/* An entry: @message has everything but data. */
struct mailbox_entry {
	struct body_ref ref;
	struct message message;
};

/* -ENOENT, -EBADMSG, storage errors. */
int mailbox_entry(const struct mailbox *mb, uint64_t number, struct mailbox_entry *out);

/*
 * The whole message; its data lies in @buf (MESSAGE_BODY_MAX bytes). As
 * mailbox_entry(), -EBADMSG also for a body that is damaged or gone.
 */
int mailbox_read(const struct mailbox *mb, uint64_t number, struct message *out, uint8_t *buf);

/*
 * The numbers of the messages with @id, in @numbers (at most @n of them): one, or
 * of several senders who used the same. Returns how many, or an error.
 */
ssize_t mailbox_find(struct mailbox *mb, const struct ident *id, uint64_t *numbers, size_t n);

/*
 * Removes tags, then adds some, in every message with @id (MAILBOX_SAME_ID of them at most). -ENOENT,
 * -E2BIG (too many tags; none is changed), -EBADMSG, storage errors.
 */
int mailbox_change(struct mailbox *mb, const struct ident *id, const struct message_tags *add,
		   const struct message_tags *remove);

/* Removes every message with @id. -ENOENT, storage errors. */
int mailbox_remove(struct mailbox *mb, const struct ident *id);
/* Removes one entry. */
int mailbox_remove_number(struct mailbox *mb, uint64_t number);

/* Removes at most @n entries, oldest first: 1 when there may be more, 0, or an error. */
int mailbox_empty(struct mailbox *mb, size_t n);

/* A walk over the numbers of the entries that pass a filter, ascending. */
struct mailbox_walk;

/* From @from on. @mb outlives it. NULL when memory is short. */
struct mailbox_walk *mailbox_walk_new(struct mailbox *mb, const struct message_filter *filter,
				      uint64_t from);
void mailbox_walk_free(struct mailbox_walk *walk);

/*
 * 1 and the next number, 0 at the end, -EAGAIN when *@budget, which counts down
 * with the work done, is used up, or storage errors. An entry may be gone when it
 * is read; those that come while it is walked may be left out.
 */
int mailbox_walk_next(struct mailbox_walk *walk, int *budget, uint64_t *number);

#endif
