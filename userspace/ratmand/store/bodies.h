/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bodies: contents stored once on this instance, however many refer to them.
 *
 * A body is sealed under a key made from itself and a secret of this store: the
 * same content has the same key here and another one elsewhere, and who has not
 * the key (a mailbox of one of its readers, mailbox.h) cannot read it. Bodies are
 * numbered as they come, so that those that come together lie together. Who refers
 * to one has its key and number; the body goes with the last of them. There is no
 * count that could be wrong.
 *
 * What is queued here is durable after store_commit(). bodies_add() and
 * bodies_drop() belong between store_together() with what they are done for.
 */
#ifndef RATMAND_STORE_BODIES_H
#define RATMAND_STORE_BODIES_H

#include "ratmand/store/store.h"

#define BODIES_SECRET_LEN 32

struct bodies {
	struct store *store;
	uint8_t *secret;	/* BODIES_SECRET_LEN, in guarded memory */
	uint32_t next;		/* number of the next one */
};

/* Opens a body: secret. */
struct body_key {
	uint8_t b[32];
};

/* Who refers to a body: what has to be kept. */
struct body_ref {
	struct body_key key;
	uint32_t number;	/* of the body, from 1 on; 0 = refers to none */
	uint32_t reader;	/* 0 for the first one who did */
};

/*
 * Content at hand, while it goes to one reader after the other. @number is 0 before
 * the first; then the key is there, too, and the next need not look for the body.
 */
struct body {
	const void *data;	/* borrowed */
	size_t len;
	bool fresh;		/* made just now, of a message with an id of its own: nobody has it */
	bool travels;		/* it may come again from elsewhere, and is to be found then */
	uint32_t number;
	struct body_key key;
};

/* Makes the secret on first use, durable on return. -ENOMEM, storage errors. */
int bodies_open(struct bodies *b, struct store *store);
void bodies_close(struct bodies *b);

/*
 * Stores @body unless it is there, and that @ref, which is set, refers to it. -EDQUOT,
 * storage errors; then @ref is what bodies_drop() takes to undo what was done.
 */
int bodies_add(struct bodies *b, struct body *body, struct body_ref *ref);

/* Removes what @ref refers to it, and the body when nobody else does. Storage errors. */
int bodies_drop(const struct bodies *b, const struct body_ref *ref);

/* As store_get(); -EBADMSG also when it is not the body that was referred to. */
ssize_t bodies_read(const struct bodies *b, const struct body_ref *ref, void *data, size_t size);

#endif
