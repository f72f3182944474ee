// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The record of an address: its layout, its boxes, and how they are opened.
 */
#include "ratmand/store/addresses_priv.h"

#include <errno.h>
#include <string.h>

/* Purposes of boxes; the first is that of version 1's only box. */
static const char purpose_secret[] = "addresses";
static const char purpose_token[] = "ratman address by token";
static const char purpose_password[] = "ratman address by password";
#define PURPOSE_MAX sizeof(purpose_password)

static const char token_context[] = "ratman address key v1";
static const char kdf_context[crypto_kdf_CONTEXTBYTES] = { 'r', 'a', 't', 'a', 'd', 'd', 'r', 0 };

int address_record_parse(const uint8_t *data, size_t len, struct record *out)
{
	struct wire_reader r;

	memset(out, 0, sizeof(*out));
	wire_read_init(&r, data, len);
	out->version = wire_get_u8(&r);
	out->flags = wire_get_u8(&r);
	out->created_s = (int64_t)wire_get_be64(&r);
	out->name_len = wire_get_u8(&r);
	out->name = wire_get_ref(&r, out->name_len);
	out->head = data;
	out->head_len = len - wire_left(&r);
	if (out->version != RECORD_V1)
		out->by_token = wire_get_ref(&r, KEY_BOX_LEN);
	if (out->flags & FLAG_PASSWORD) {
		out->cost.ops = wire_get_be32(&r);
		out->cost.mem_kib = wire_get_be32(&r);
		out->salt = wire_get_ref(&r, PASSWORD_SALT_LEN);
		out->by_password = wire_get_ref(&r, KEY_BOX_LEN);
	}
	out->secret = wire_get_ref(&r, SECRET_BOX_LEN);
	if (!wire_done(&r) || out->version < RECORD_V1 || out->version > RECORD_V2 ||
	    (out->version == RECORD_V1 && out->flags & FLAG_PASSWORD) ||
	    out->name_len > ADDRESS_NAME_MAX)
		return -EBADMSG;
	return 0;
}

/* The key that @token opens @address with. */
static void token_key(const struct address *address, const struct ident *token,
		      uint8_t key[static KEY_LEN])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, token->b, sizeof(token->b), KEY_LEN);
	crypto_generichash_update(&st, (const uint8_t *)token_context, sizeof(token_context));
	crypto_generichash_update(&st, address->b, ADDRESS_LEN);
	crypto_generichash_final(&st, key, KEY_LEN);
	sodium_memzero(&st, sizeof(st));
}

void address_subkey(const uint8_t key[static ADDRESS_KEY_LEN], enum address_subkey which,
		    uint8_t out[static 32])
{
	crypto_kdf_derive_from_key(out, 32, which, kdf_context, key);
}

#define AD_MAX (PURPOSE_MAX + ADDRESS_LEN + HEAD_MAX)

/*
 * What is authenticated with a box; returns its length. Whether there is a
 * password changes later, so that flag is none of it.
 */
static size_t build_ad(const char *purpose, const struct address *address, const uint8_t *head,
		       size_t head_len, uint8_t ad[static AD_MAX])
{
	struct wire_writer w;

	wire_write_init(&w, ad, AD_MAX);
	wire_put(&w, purpose, strlen(purpose) + 1);
	wire_put(&w, address->b, ADDRESS_LEN);
	if (head_len) {
		uint8_t *flags = w.pos + 1;

		wire_put(&w, head, head_len);
		*flags &= (uint8_t)~FLAG_PASSWORD;
	}
	return wire_len(&w);
}

static void box_seal(struct wire_writer *w, const char *purpose, const struct address *address,
		     const uint8_t *head, size_t head_len, const uint8_t *plain, size_t len,
		     const uint8_t *key)
{
	uint8_t *box = wire_put_ref(w, NONCE_LEN + len + TAG_LEN);
	uint8_t ad[AD_MAX];
	size_t ad_len = build_ad(purpose, address, head, head_len, ad);

	randombytes_buf(box, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(box + NONCE_LEN, NULL, plain, len, ad, ad_len,
						   NULL, box, key);
}

/* @len is that of the plaintext. */
static int box_open(const uint8_t *box, const char *purpose, const struct address *address,
		    const uint8_t *head, size_t head_len, uint8_t *plain, size_t len,
		    const uint8_t *key)
{
	uint8_t ad[AD_MAX];
	size_t ad_len = build_ad(purpose, address, head, head_len, ad);

	return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, box + NONCE_LEN,
							  len + TAG_LEN, ad, ad_len, box, key) ?
		       -EACCES : 0;
}

static void seal_secret(struct wire_writer *w, const struct address *address, size_t head_len,
			const uint8_t *secret, const uint8_t *key)
{
	uint8_t sub[KEY_LEN];

	address_subkey(key, ADDRESS_SUBKEY_SECRET, sub);
	box_seal(w, purpose_secret, address, w->start, head_len, secret, ADDRESS_SECRET_LEN, sub);
	sodium_memzero(sub, sizeof(sub));
}

int address_record_open_secret(const struct record *r, const struct address *address,
			       const uint8_t *key, uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t sub[KEY_LEN];
	int err;

	address_subkey(key, ADDRESS_SUBKEY_SECRET, sub);
	err = box_open(r->secret, purpose_secret, address, r->head, r->head_len, secret,
		       ADDRESS_SECRET_LEN, sub);
	sodium_memzero(sub, sizeof(sub));
	return err;
}

int address_record_open_token(const struct record *r, const struct address *address,
			      const struct ident *token, uint8_t key[static ADDRESS_KEY_LEN])
{
	uint8_t wrap[KEY_LEN];
	int err;

	token_key(address, token, wrap);
	err = box_open(r->by_token, purpose_token, address, NULL, 0, key, ADDRESS_KEY_LEN, wrap);
	sodium_memzero(wrap, sizeof(wrap));
	return err;
}

int address_record_open_password(const struct record *r, const struct address *address,
				 const uint8_t *wrap, uint8_t key[static ADDRESS_KEY_LEN])
{
	/* Without a password there is another box, which does not open, for the same work. */
	return box_open(r->by_password ? r->by_password : r->secret, purpose_password, address, NULL,
			0, key, ADDRESS_KEY_LEN, wrap);
}

int address_record_open_old_secret(const struct record *r, const struct address *address,
				   const struct ident *token,
				   uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t wrap[KEY_LEN];
	int err;

	token_key(address, token, wrap);
	err = box_open(r->secret, purpose_secret, address, r->head, r->head_len, secret,
		       ADDRESS_SECRET_LEN, wrap);
	sodium_memzero(wrap, sizeof(wrap));
	return err;
}

void address_record_put_password(struct wire_writer *w, const struct address *address,
				 const struct password_cost *cost, const uint8_t *salt,
				 const uint8_t *key, const uint8_t *wrap)
{
	wire_put_be32(w, cost->ops);
	wire_put_be32(w, cost->mem_kib);
	wire_put(w, salt, PASSWORD_SALT_LEN);
	box_seal(w, purpose_password, address, NULL, 0, key, ADDRESS_KEY_LEN, wrap);
}

size_t address_record_build(const struct address *address, const struct ident *token,
			    const struct making *m, uint8_t out[static RECORD_MAX])
{
	uint8_t wrap[KEY_LEN];
	struct wire_writer w;
	size_t head_len;

	wire_write_init(&w, out, RECORD_MAX);
	wire_put_u8(&w, RECORD_V2);
	wire_put_u8(&w, (m->is_namespace ? FLAG_NAMESPACE : 0) | (m->cost ? FLAG_PASSWORD : 0));
	wire_put_be64(&w, (uint64_t)m->created_s);
	wire_put_u8(&w, (uint8_t)m->name_len);
	wire_put(&w, m->name, m->name_len);
	head_len = wire_len(&w);
	token_key(address, token, wrap);
	box_seal(&w, purpose_token, address, NULL, 0, m->key, ADDRESS_KEY_LEN, wrap);
	sodium_memzero(wrap, sizeof(wrap));
	if (m->cost)
		address_record_put_password(&w, address, m->cost, m->salt, m->key, m->wrap);
	seal_secret(&w, address, head_len, m->secret, m->key);
	return wire_len(&w);
}

int address_record_load(struct store *store, const struct address *address, uint8_t *data,
			struct record *out)
{
	ssize_t len = store_get(store, STORE_ADDRESSES, address->b, ADDRESS_LEN, data, RECORD_MAX);

	/* One damaged beyond parsing opens for nobody, either. */
	if (len >= 0 && !address_record_parse(data, (size_t)len, out))
		return 0;
	memset(data, 0, RECORD_MAX);
	data[0] = RECORD_V2;
	if (address_record_parse(data, 11 + KEY_BOX_LEN + SECRET_BOX_LEN, out))
		return -EBADMSG;
	if (len >= 0 || len == -EMSGSIZE || len == -EBADMSG)
		return 0;
	return (int)len;
}
