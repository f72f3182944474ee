/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Bodies: contents stored once on this instance, however many refer to them.
 *
 * A body is sealed under a key made from itself and a secret of this store: the
 * same content has the same key here and another one elsewhere, and who has not
 * the key (a mailbox of one of its readers, mailbox.h) cannot read it. Who refers
 * to a body has a record of his own that says so; the body goes with the last one.
 * There is no count that could be wrong.
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
};

/* Opens a body: secret. */
struct body_key {
	uint8_t b[32];
};

/* Names who refers to a body, and tells nobody who that is. */
struct body_ref {
	uint8_t b[8];
};

/* Makes the secret on first use, durable on return. -ENOMEM, storage errors. */
int bodies_open(struct bodies *b, struct store *store);
void bodies_close(struct bodies *b);

void bodies_key(const struct bodies *b, const void *data, size_t len, struct body_key *out);

/*
 * Stores @data, whose key is @key, unless it is there, and that @ref refers to it.
 * Storage errors.
 */
int bodies_add(const struct bodies *b, const struct body_key *key, const struct body_ref *ref,
	       const void *data, size_t len);

/* Removes what @ref refers to it, and the body when nobody else does. Storage errors. */
int bodies_drop(const struct bodies *b, const struct body_key *key, const struct body_ref *ref);

/* As store_get(). */
ssize_t bodies_read(const struct bodies *b, const struct body_key *key, void *data, size_t size);

#endif
