/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Records of one address: private to it, sealed under its own key inside the
 * store's encryption. Whoever has the store's node key sees which address has
 * how many of which kind, and no more; with the address's key they are gone.
 */
#ifndef RATMAND_STORE_RECORDS_H
#define RATMAND_STORE_RECORDS_H

#include "ratmand/store/addresses.h"

/* On the disk: never renumbered. */
enum record_kind {
	RECORD_CONTACT = 1,
	RECORD_MESSAGE,		/* what an address sees of a message */
	RECORD_SERVICE,		/* a service's data for it */
	RECORD_FILE,
	RECORD_PROFILE,
	RECORD_SERVICE_NAME,	/* what a service has data under (services.h) */
	RECORD_KINDS
};

#define RECORDS_KEY_MAX 256
#define RECORDS_VALUE_MAX (64u << 10)

/*
 * The keys of an address's records, made from its own key (addresses_open());
 * the owner keeps it in guarded memory and wipes it.
 */
struct records {
	struct store *store;
	struct address address;
	uint8_t index[32];
	uint8_t value[32];
};

void records_open(struct records *r, struct store *store, const struct address *address,
		  const uint8_t key[static ADDRESS_KEY_LEN]);

/* As store_put(), store_get(), store_del(); keys 1 to RECORDS_KEY_MAX bytes. */
int records_put(const struct records *r, enum record_kind kind, const void *key, size_t key_len,
		const void *value, size_t value_len);
ssize_t records_get(const struct records *r, enum record_kind kind, const void *key, size_t key_len,
		    void *value, size_t size);
int records_del(const struct records *r, enum record_kind kind, const void *key, size_t key_len);

/* As store_each(); records that do not open under this key are left out. */
int records_each(const struct records *r, enum record_kind kind, store_each_cb cb, void *ctx);

/* How many records of the kind there are, damaged ones too; storage errors. */
ssize_t records_count(const struct records *r, enum record_kind kind);

/*
 * The same in steps, for many records: begin notes which there are (storage errors,
 * -ENOMEM), next calls @cb for at most @max of them and returns 1 when there are more, 0
 * at the end, or what @cb returned other than 0. @cb may write; what comes later is not seen,
 * what goes is left out. The address may have gone offline and come back between steps.
 */
struct records_walk {
	uint8_t *keys;		/* owned */
	size_t n, at;
};

int records_walk_begin(const struct records *r, enum record_kind kind, struct records_walk *walk);
int records_walk_next(const struct records *r, struct records_walk *walk, size_t max,
		      store_each_cb cb, void *ctx);
void records_walk_end(struct records_walk *walk);

/* Queues the removal of everything an address has; needs no key. Storage errors, -ENOMEM. */
int records_remove_all(struct store *store, const struct address *address);

#endif
