/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Floods: the messages to everybody that this instance has, in the order in which
 * they came. Each user takes them from here into a mailbox, from a cursor of his
 * own on. They are public: the store's keys alone open them. LIMIT_FLOODS and
 * LIMIT_FLOOD_BYTES bound the log, and the oldest go first; who took one keeps it.
 */
#ifndef RATMAND_STORE_FLOODS_H
#define RATMAND_STORE_FLOODS_H

#include "proto/message.h"
#include "ratmand/store/bodies.h"

struct floods {
	struct bodies *bodies;		/* borrowed */
	uint64_t next;			/* order of the next one */
	uint64_t n, bytes;		/* in the log */
	uint64_t limit, limit_bytes;
	uint64_t failures;		/* of the store, when they were counted */
};

/* Counts what is there. Limits of 0 are the defaults. Storage errors, -EBADMSG. */
int floods_open(struct floods *f, struct bodies *bodies, uint64_t limit, uint64_t limit_bytes);

struct flood {
	struct body_ref ref;
	struct ident id;
	struct address sender;
	enum message_trust trust;
	uint32_t len;		/* of the body */
};

/*
 * Adds one, whose body is @body, and lets old ones go for it. -EEXIST when the
 * sender's message of this id is there; storage errors.
 */
int floods_add(struct floods *f, const struct message *m, struct body *body);

/*
 * The first whose order is @from or more: 1 and its *@order, 0 when there is
 * none, -EBADMSG for a damaged one (*@order is set), storage errors.
 */
int floods_next(const struct floods *f, uint64_t from, uint64_t *order, struct flood *out);

#endif
