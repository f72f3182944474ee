/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lists of a mailbox: which of its entries, by number, are of one service, sender
 * or tag, and which have an id. Private to mailbox.c, which has the entries.
 *
 * A record of a list lies on a page of its own as often as not. So the newest entries
 * are on no list on the disk: they are remembered here, and once there are enough, all
 * of them are listed in one go. From which number on they are is on the disk; who opens
 * the mailbox tells those again. Nothing of this is seen from outside.
 */
#ifndef RATMAND_STORE_LISTS_H
#define RATMAND_STORE_LISTS_H

#include "proto/message.h"
#include "ratmand/store/store.h"

/* So many are remembered at most, about 100 bytes each. */
#define LISTS_RECENT 512
#define LISTS_KEY_LEN 32
#define LIST_NAME_LEN 16

/* The hidden name of a list: records of STORE_OVERLAY begin with it. */
struct list_name {
	uint8_t b[LIST_NAME_LEN];
};

struct recent;

struct lists {
	struct store *store;		/* borrowed */
	const uint8_t *key;		/* LISTS_KEY_LEN bytes, secret, borrowed */
	struct list_name all;		/* entries by number; mailbox.c keeps it */
	struct list_name ids, mark;
	uint64_t from;			/* entries from here on are recent */
	struct recent **recent;		/* owned, ascending */
	size_t n, size;
	size_t max;			/* LISTS_RECENT, for tests to change */
};

/* To be reset before anything else. */
void lists_init(struct lists *l, struct store *store, const uint8_t *key);
void lists_close(struct lists *l);

/*
 * Forgets the recent entries and reads from where on they are: all of those are to be
 * added again. @next is the number of the next entry. Storage errors.
 */
int lists_reset(struct lists *l, uint64_t next);

/* Adds an entry, whose number is above that of all others. -ENOMEM. */
int lists_add(struct lists *l, uint64_t number, const struct message *m);

/* If there are enough recent ones, puts all of them on their lists. Storage errors. */
int lists_settle(struct lists *l);

/*
 * Removes what is known of the entry @m. With NULL, when nobody knows what it was, what is
 * on the disk stays. -ENOMEM, storage errors.
 */
int lists_remove(struct lists *l, uint64_t number, const struct message *m);

/* The entry @m had the tags @old before. -ENOMEM, storage errors. */
int lists_change(struct lists *l, uint64_t number, const struct message *m,
		 const struct message_tags *old);

/* No entry is left: the last record goes, too. Storage errors. */
int lists_clear(struct lists *l);

/*
 * Numbers of entries that may have @id, and @sender unless that is NULL; few others
 * are among them. Calls @cb for each; a return other than 0 stops and is returned.
 */
typedef int (*lists_id_cb)(void *ctx, uint64_t number);
int lists_each_id(const struct lists *l, const struct ident *id, const struct address *sender,
		  lists_id_cb cb, void *ctx);

/* Names of lists; a @name or @address of any length has one, if only of nothing. */
struct list_name lists_of_service(const struct lists *l, const void *name, size_t len);
struct list_name lists_of_sender(const struct lists *l, const void *address, size_t len);
struct list_name lists_of_tag(const struct lists *l, const struct message_tag *tag);

/*
 * At most @n numbers on a list, from @from on, ascending. Returns how many (fewer
 * than @n only at the end), or an error.
 */
ssize_t lists_numbers(const struct lists *l, const struct list_name *name, uint64_t from,
		      uint64_t *numbers, size_t n);

/* The key of a record on a list. */
#define LIST_KEY_LEN (LIST_NAME_LEN + 8)
void lists_key(const struct list_name *name, uint64_t order, uint8_t out[static LIST_KEY_LEN]);

#endif
