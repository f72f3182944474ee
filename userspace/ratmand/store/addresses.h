/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Local addresses. Each has a key of its own, which seals its secret key and
 * whatever else is private to it (records.h); that key is wrapped by the auth
 * token and, where a password is set, by a key made from the password.
 *
 * Nothing of token or password is stored; that they open the key is the proof.
 */
#ifndef RATMAND_STORE_ADDRESSES_H
#define RATMAND_STORE_ADDRESSES_H

#include "ratmand/store/store.h"

#define ADDRESS_SECRET_LEN 64	/* ed25519 secret key as libsodium has it: seed and public key */
#define ADDRESS_KEY_LEN 32
#define ADDRESS_NAME_MAX 64

/*
 * Makes a key pair (public key without a zero byte, microframe.md section 2) or
 * takes the ed25519 seed @seed (32 bytes, namespaces), makes a token without a
 * zero byte, and queues the record; durable after store_commit(). @name may be
 * NULL. Returns 0, -EEXIST, -EINVAL (name too long or not printable UTF-8),
 * -E2BIG (LIMIT_LOCAL_ADDRESSES), storage errors.
 */
int addresses_create(struct store *store, const char *name, const uint8_t *seed,
		     struct address *out, struct ident *token);

/*
 * Opens the secret key into @secret (ADDRESS_SECRET_LEN bytes, the caller wipes
 * it). -EACCES for a wrong token and for an unknown address alike in time;
 * -ENOENT when @tell and the address is unknown. A record of store format 1
 * gets a key of its own on the way.
 */
int addresses_open(struct store *store, const struct address *address, const struct ident *token,
		   bool tell, uint8_t secret[static ADDRESS_SECRET_LEN]);

/*
 * The same for an address that only @password opens: nobody has its token. The key is
 * derived in the thread pool, then the record queued: @cb gets 0, the address, its secret key
 * and its own key (borrowed for the call, wiped after it), or an error as above. Returns
 * -EINVAL (empty, or longer than PASSWORD_MAX), -E2BIG, -ENOMEM or a storage error,
 * and then never calls back. Store and @ctx outlive it.
 */
typedef void (*addresses_created_cb)(void *ctx, int err, const struct address *address,
				     const uint8_t *secret, const uint8_t *key);
int addresses_create_login(struct store *store, const char *password, addresses_created_cb cb,
			   void *ctx);

/* True when @address was made from the key of a namespace. */
bool addresses_is_namespace(struct store *store, const struct address *address);

/* The same for the address's own key (ADDRESS_KEY_LEN bytes). */
int addresses_open_key(struct store *store, const struct address *address,
		       const struct ident *token, uint8_t key[static ADDRESS_KEY_LEN]);

/*
 * Opens with a password, in the thread pool: @cb gets 0, secret key and key
 * (borrowed for the call, wiped after it), or -EACCES for a wrong password, an
 * address without one, and an unknown address alike in answer and time. Returns
 * -ENOMEM or a storage error, and then never calls back. Store and @ctx outlive it.
 */
typedef void (*addresses_login_cb)(void *ctx, int err, const uint8_t *secret, const uint8_t *key);
int addresses_login(struct store *store, const struct address *address, const char *password,
		    addresses_login_cb cb, void *ctx);

/*
 * Sets the password, or another one, of an address whose @key the caller has;
 * the token goes on opening it, what was the password does not. @cb once that is
 * durable, or with a storage error. Returns -EINVAL (empty, or longer than
 * PASSWORD_MAX), -ENOENT, -EACCES (not its key), -ENOMEM, and then never calls back.
 */
int addresses_set_password(struct store *store, const struct address *address,
			   const uint8_t key[static ADDRESS_KEY_LEN], const char *password,
			   store_done_cb cb, void *ctx);

/* Queues removal; with the record its key is destroyed. -ENOENT. */
int addresses_remove(struct store *store, const struct address *address);

struct address_info {
	struct address address;
	char name[ADDRESS_NAME_MAX + 1];	/* empty when it has none */
	bool is_namespace;
	bool has_password;
	int64_t created_s;			/* unix seconds */
};

typedef void (*addresses_cb)(void *ctx, const struct address_info *info);

/* Every local address in byte order. -ENOMEM, storage errors. */
int addresses_each(struct store *store, addresses_cb cb, void *ctx);

/* The router's own ed25519 secret key, made on first use and durable on return. */
int addresses_router(struct store *store, uint8_t secret[static ADDRESS_SECRET_LEN]);

/* What an address's own key is used for: a key for each. */
enum address_subkey {
	ADDRESS_SUBKEY_SECRET = 1,
	ADDRESS_SUBKEY_INDEX,	/* records.h: hides keys */
	ADDRESS_SUBKEY_VALUE,	/* records.h: seals values */
};

void address_subkey(const uint8_t key[static ADDRESS_KEY_LEN], enum address_subkey which,
		    uint8_t out[static 32]);

#endif
