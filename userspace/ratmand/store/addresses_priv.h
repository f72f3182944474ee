/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The record of an address, for addresses.c and addresses_login.c.
 */
#ifndef RATMAND_STORE_ADDRESSES_PRIV_H
#define RATMAND_STORE_ADDRESSES_PRIV_H

#include <sodium.h>

#include "base/wire.h"
#include "ratmand/store/addresses.h"
#include "ratmand/store/password.h"

/*
 * A record: version, flags, creation time, name length, name (the head); the
 * address's key wrapped by the token; with FLAG_PASSWORD cost, salt and the key
 * wrapped by the password; the ed25519 secret key sealed under the key. Version
 * 1, of store format 1, has the head and the secret key sealed by the token.
 * A box is a nonce and what is sealed, with its purpose and the address, and the
 * head where it holds the secret key, as associated data.
 */
#define RECORD_V1 1
#define RECORD_V2 2
#define FLAG_NAMESPACE 0x01
#define FLAG_PASSWORD 0x02
#define HEAD_MAX (1 + 1 + 8 + 1 + ADDRESS_NAME_MAX)
#define KEY_LEN crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEY_BOX_LEN (NONCE_LEN + ADDRESS_KEY_LEN + TAG_LEN)
#define SECRET_BOX_LEN (NONCE_LEN + ADDRESS_SECRET_LEN + TAG_LEN)
#define PASSWORD_LEN (4 + 4 + PASSWORD_SALT_LEN + KEY_BOX_LEN)
#define RECORD_MAX (HEAD_MAX + KEY_BOX_LEN + PASSWORD_LEN + SECRET_BOX_LEN)

/* A record taken apart; pointers are borrowed from its bytes. */
struct record {
	uint8_t version;
	uint8_t flags;
	int64_t created_s;
	const uint8_t *name;
	uint8_t name_len;
	const uint8_t *head;
	size_t head_len;
	const uint8_t *by_token;	/* NULL in version 1 */
	struct password_cost cost;	/* with FLAG_PASSWORD */
	const uint8_t *salt;
	const uint8_t *by_password;
	const uint8_t *secret;
};

/* -EBADMSG. */
int address_record_parse(const uint8_t *data, size_t len, struct record *out);

/*
 * Reads the record of @address into @data (RECORD_MAX bytes), or one that opens
 * for nobody, so that an unknown address takes the same work. 0, -ENOENT (and
 * @out is the other one), or a storage error.
 */
int address_record_load(struct store *store, const struct address *address, uint8_t *data,
			struct record *out);

/* The address's key out of the box by the token, and by a key made from the password. -EACCES. */
int address_record_open_token(const struct record *r, const struct address *address,
			      const struct ident *token, uint8_t key[static ADDRESS_KEY_LEN]);
int address_record_open_password(const struct record *r, const struct address *address,
				 const uint8_t *wrap, uint8_t key[static ADDRESS_KEY_LEN]);
/* The secret key, of version 1 by the token, later by the address's key. -EACCES. */
int address_record_open_old_secret(const struct record *r, const struct address *address,
				   const struct ident *token,
				   uint8_t secret[static ADDRESS_SECRET_LEN]);
int address_record_open_secret(const struct record *r, const struct address *address,
			       const uint8_t *key, uint8_t secret[static ADDRESS_SECRET_LEN]);

/* What makes a record. */
struct making {
	const char *name;	/* not terminated */
	size_t name_len;
	bool is_namespace;
	int64_t created_s;
	const uint8_t *secret;
	const uint8_t *key;
	const struct password_cost *cost;	/* NULL: no password opens it */
	const uint8_t *salt;
	const uint8_t *wrap;		/* made from the password */
};

/* Writes the record of @address, opened by @token, into @out; returns its length. */
size_t address_record_build(const struct address *address, const struct ident *token,
			    const struct making *m, uint8_t out[static RECORD_MAX]);

/* Writes the key wrapped by that of a password, as it stands in the record. */
void address_record_put_password(struct wire_writer *w, const struct address *address,
				 const struct password_cost *cost, const uint8_t *salt,
				 const uint8_t *key, const uint8_t *wrap);

/* 0 when there may be one more address, -E2BIG, storage errors. */
int addresses_check_count(struct store *store);

/* Without a zero byte in the address. */
void addresses_draw(struct address *address, uint8_t secret[static ADDRESS_SECRET_LEN]);

#endif
