/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Catalogs: what files somebody announces to a group, which is everybody or a
 * namespace; the newest catalog of each sender, for whoever of the local users
 * belongs to the group now or later. Nobody's secret, so the instance keeps them
 * once; in memory as well, since there are few.
 */
#ifndef RATMAND_STORE_CATALOGS_H
#define RATMAND_STORE_CATALOGS_H

#include "proto/notice.h"
#include "ratmand/store/keyhash.h"
#include "ratmand/store/store.h"

struct catalog {
	UT_hash_handle hh;
	struct catalog_key {
		uint8_t group[1 + ADDRESS_LEN];	/* kind and address of the recipient */
		struct address owner;
	} key;
	struct recipient group;			/* RECIPIENT_NONE: everybody */
	bool own;				/* made here: never goes for want of room */
	uint64_t stamp;
	uint64_t said_s;			/* own: unix seconds when it was sent last; not stored */
	uint8_t grant[NOTICE_GRANT_LEN];	/* secret of the group; zeroes for everybody */
	size_t n;
	struct notice_file files[];
};

struct catalogs {
	struct store *store;
	struct catalog *all;
	size_t n_files;				/* in those that are not own */
};

/* Loads them all. Storage errors, -ENOMEM. */
int catalogs_load(struct catalogs *c, struct store *store);
void catalogs_free(struct catalogs *c);

/*
 * Queues the catalog that @notice (of @len bytes at @data, which it was read from) is, in
 * place of the one before, and lets the oldest go for want of room. 1, or 0 when there is
 * one as new already; storage errors, -ENOMEM.
 */
int catalogs_put(struct catalogs *c, const struct recipient *group, const struct address *owner,
		 bool own, const struct notice *notice, const uint8_t *data, size_t len);

/* Borrowed until it changes, or NULL. */
const struct catalog *catalogs_find(const struct catalogs *c, const struct recipient *group,
				    const struct address *owner);
/* The file @id in it, or NULL. */
const struct notice_file *catalog_file(const struct catalog *c, const struct ident *id);

/* Queues the removal of all that @owner announced. */
void catalogs_remove(struct catalogs *c, const struct address *owner);

#endif
