/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local addresses: secret keys sealed by their auth token.
 *
 * Nothing of the token is stored; that it opens the sealed key is the proof.
 */
#ifndef RATMAND_STORE_ADDRESSES_H
#define RATMAND_STORE_ADDRESSES_H

#include "ratmand/store/store.h"

#define ADDRESS_SECRET_LEN 64	/* ed25519 secret key as libsodium has it: seed and public key */
#define ADDRESS_NAME_MAX 64

/*
 * Makes a key pair (public key without a zero byte, microframe.md section 2) or
 * takes the ed25519 seed @seed (32 bytes, namespaces), makes a token without a
 * zero byte, and queues the record; durable after store_commit(). @name may be
 * NULL. Returns 0, -EEXIST, -EINVAL (name too long or not printable UTF-8),
 * -EDQUOT (LIMIT_LOCAL_ADDRESSES), storage errors.
 */
int addresses_create(struct store *store, const char *name, const uint8_t *seed,
		     struct address *out, struct ident *token);

/*
 * Opens the secret key into @secret (ADDRESS_SECRET_LEN bytes, the caller wipes
 * it). -EACCES for a wrong token and for an unknown address alike in time;
 * -ENOENT when @tell and the address is unknown.
 */
int addresses_open(struct store *store, const struct address *address, const struct ident *token,
		   bool tell, uint8_t secret[static ADDRESS_SECRET_LEN]);

/* True when @address was made from the key of a namespace. */
bool addresses_is_namespace(struct store *store, const struct address *address);

/* Queues removal. -ENOENT. */
int addresses_remove(struct store *store, const struct address *address);

struct address_info {
	struct address address;
	char name[ADDRESS_NAME_MAX + 1];	/* empty when it has none */
	bool is_namespace;
	int64_t created_s;			/* unix seconds */
};

typedef void (*addresses_cb)(void *ctx, const struct address_info *info);

/* Every local address in byte order. */
int addresses_each(struct store *store, addresses_cb cb, void *ctx);

/* The router's own ed25519 secret key, made on first use and durable on return. */
int addresses_router(struct store *store, uint8_t secret[static ADDRESS_SECRET_LEN]);

#endif
