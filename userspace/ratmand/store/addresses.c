// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/addresses.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/wire.h"

/*
 * A record: version, flags, creation time, name length, name; these bytes and
 * "addresses" and the address are authenticated by what follows, a nonce and
 * the sealed ed25519 secret key.
 */
#define RECORD_VERSION 1
#define FLAG_NAMESPACE 0x01
#define HEAD_MAX (1 + 1 + 8 + 1 + ADDRESS_NAME_MAX)
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define SEALED_LEN (ADDRESS_SECRET_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define RECORD_MAX (HEAD_MAX + NONCE_LEN + SEALED_LEN)

static const char table_name[] = "addresses";
static const char key_context[] = "ratman address key v1";
static const char router_key[] = "router-key";

/* A record taken apart; pointers are borrowed from its bytes. */
struct record {
	const uint8_t *head;
	size_t head_len;
	uint8_t flags;
	int64_t created_s;
	const uint8_t *name;
	uint8_t name_len;
	const uint8_t *nonce;
	const uint8_t *sealed;
};

static int record_parse(const uint8_t *data, size_t len, struct record *out)
{
	struct wire_reader r;
	uint8_t version;

	wire_read_init(&r, data, len);
	version = wire_get_u8(&r);
	out->flags = wire_get_u8(&r);
	out->created_s = (int64_t)wire_get_be64(&r);
	out->name_len = wire_get_u8(&r);
	out->name = wire_get_ref(&r, out->name_len);
	out->head = data;
	out->head_len = len - wire_left(&r);
	out->nonce = wire_get_ref(&r, NONCE_LEN);
	out->sealed = wire_get_ref(&r, SEALED_LEN);
	if (!wire_done(&r) || version != RECORD_VERSION || out->name_len > ADDRESS_NAME_MAX)
		return -EBADMSG;
	return 0;
}

/* The key that seals @address under @token. */
static void derive_key(const struct address *address, const struct ident *token,
		       uint8_t key[static crypto_aead_xchacha20poly1305_ietf_KEYBYTES])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, token->b, sizeof(token->b),
				crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
	crypto_generichash_update(&st, (const uint8_t *)key_context, sizeof(key_context));
	crypto_generichash_update(&st, address->b, ADDRESS_LEN);
	crypto_generichash_final(&st, key, crypto_aead_xchacha20poly1305_ietf_KEYBYTES);
	sodium_memzero(&st, sizeof(st));
}

/* What is authenticated but not sealed; returns its length. */
static size_t build_ad(const struct address *address, const uint8_t *head, size_t head_len,
		       uint8_t ad[static sizeof(table_name) + ADDRESS_LEN + HEAD_MAX])
{
	struct wire_writer w;

	wire_write_init(&w, ad, sizeof(table_name) + ADDRESS_LEN + HEAD_MAX);
	wire_put(&w, table_name, sizeof(table_name));
	wire_put(&w, address->b, ADDRESS_LEN);
	wire_put(&w, head, head_len);
	return wire_len(&w);
}

/* RFC 3629: shortest forms only, no surrogates, nothing above U+10FFFF; no control characters. */
static bool name_is_text(const char *name, size_t len)
{
	static const uint32_t least[] = { 0x20, 0x80, 0x800, 0x10000 };
	const uint8_t *p = (const uint8_t *)name;
	const uint8_t *end = p + len;

	while (p < end) {
		unsigned int more = *p < 0x80 ? 0 : *p < 0xe0 ? 1 : *p < 0xf0 ? 2 : 3;
		uint32_t c = more ? *p & (0x3fu >> more) : *p;
		uint32_t low = least[more];

		if ((*p >= 0x80 && *p < 0xc0) || *p > 0xf4 || (size_t)(end - p) <= more)
			return false;
		for (p++; more; more--, p++) {
			if ((*p & 0xc0) != 0x80)
				return false;
			c = c << 6 | (*p & 0x3f);
		}
		if (c < low || c == 0x7f || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
			return false;
	}
	return true;
}

static void draw_key_pair(struct address *address, uint8_t secret[static ADDRESS_SECRET_LEN])
{
	do
		crypto_sign_keypair(address->b, secret);
	while (memchr(address->b, 0, ADDRESS_LEN));
}

static int count_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(unsigned int *)ctx;
	return 0;
}

/* Writes the record of @address into @out; returns its length. */
static size_t record_build(const struct address *address, const struct ident *token,
			   const char *name, bool is_namespace, const uint8_t *secret,
			   uint8_t out[static RECORD_MAX])
{
	uint8_t ad[sizeof(table_name) + ADDRESS_LEN + HEAD_MAX];
	uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	size_t name_len = name ? strlen(name) : 0;
	uint8_t *nonce, *sealed;
	struct wire_writer w;
	size_t ad_len;

	wire_write_init(&w, out, RECORD_MAX);
	wire_put_u8(&w, RECORD_VERSION);
	wire_put_u8(&w, is_namespace ? FLAG_NAMESPACE : 0);
	wire_put_be64(&w, (uint64_t)(clock_wall_ns() / 1000000000));
	wire_put_u8(&w, (uint8_t)name_len);
	wire_put(&w, name, name_len);
	ad_len = build_ad(address, out, wire_len(&w), ad);
	nonce = wire_put_ref(&w, NONCE_LEN);
	randombytes_buf(nonce, NONCE_LEN);
	sealed = wire_put_ref(&w, SEALED_LEN);
	derive_key(address, token, key);
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, secret, ADDRESS_SECRET_LEN, ad,
						   ad_len, NULL, nonce, key);
	sodium_memzero(key, sizeof(key));
	return wire_len(&w);
}

int addresses_create(struct store *store, const char *name, const uint8_t *seed,
		     struct address *out, struct ident *token)
{
	uint8_t secret[ADDRESS_SECRET_LEN];
	uint8_t record[RECORD_MAX];
	unsigned int count = 0;
	struct address address;
	struct ident fresh;
	size_t len;
	int err;

	if (name && (strlen(name) > ADDRESS_NAME_MAX || !name_is_text(name, strlen(name))))
		return -EINVAL;
	err = store_each(store, STORE_ADDRESSES, count_one, &count);
	if (err)
		return err;
	if (count >= LIMIT_LOCAL_ADDRESSES)
		return -EDQUOT;
	if (seed)
		crypto_sign_seed_keypair(address.b, secret, seed);
	else
		draw_key_pair(&address, secret);
	err = -EEXIST;
	if (store_has(store, STORE_ADDRESSES, address.b, ADDRESS_LEN))
		goto out;
	ident_draw(&fresh);
	len = record_build(&address, &fresh, name, seed, secret, record);
	err = store_put(store, STORE_ADDRESSES, address.b, ADDRESS_LEN, record, len);
	if (err)
		goto out;
	*out = address;
	*token = fresh;
out:
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(&fresh, sizeof(fresh));
	return err;
}

int addresses_open(struct store *store, const struct address *address, const struct ident *token,
		   bool tell, uint8_t secret[static ADDRESS_SECRET_LEN])
{
	/* Stands in for the record of an unknown address, so that both take the same work. */
	static const uint8_t dummy[11 + NONCE_LEN + SEALED_LEN] = { RECORD_VERSION };
	uint8_t ad[sizeof(table_name) + ADDRESS_LEN + HEAD_MAX];
	uint8_t key[crypto_aead_xchacha20poly1305_ietf_KEYBYTES];
	uint8_t plain[ADDRESS_SECRET_LEN];
	uint8_t data[RECORD_MAX];
	struct record record;
	ssize_t len;
	bool known;
	int err;

	len = store_get(store, STORE_ADDRESSES, address->b, ADDRESS_LEN, data, sizeof(data));
	known = len >= 0;
	if (!known && len != -ENOENT && len != -EMSGSIZE)
		return (int)len;
	if (!known) {
		memcpy(data, dummy, sizeof(dummy));
		len = sizeof(dummy);
	}
	/* A record damaged beyond parsing opens for nobody. */
	if (record_parse(data, (size_t)len, &record))
		return -EACCES;
	derive_key(address, token, key);
	err = crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, record.sealed,
							 SEALED_LEN, ad,
							 build_ad(address, record.head,
								  record.head_len, ad),
							 record.nonce, key);
	sodium_memzero(key, sizeof(key));
	if (err)
		return !known && tell ? -ENOENT : -EACCES;
	memcpy(secret, plain, sizeof(plain));
	sodium_memzero(plain, sizeof(plain));
	return 0;
}

bool addresses_is_namespace(struct store *store, const struct address *address)
{
	uint8_t data[RECORD_MAX];
	struct record record;
	ssize_t len;

	len = store_get(store, STORE_ADDRESSES, address->b, ADDRESS_LEN, data, sizeof(data));
	return len >= 0 && !record_parse(data, (size_t)len, &record) &&
	       record.flags & FLAG_NAMESPACE;
}

int addresses_remove(struct store *store, const struct address *address)
{
	if (!store_has(store, STORE_ADDRESSES, address->b, ADDRESS_LEN))
		return -ENOENT;
	return store_del(store, STORE_ADDRESSES, address->b, ADDRESS_LEN);
}

struct each_ctx {
	addresses_cb cb;
	void *ctx;
};

static int each_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct each_ctx *each = ctx;
	struct address_info info = { 0 };
	struct record record;

	if (key_len != ADDRESS_LEN || record_parse(value, value_len, &record))
		return 0;
	memcpy(info.address.b, key, ADDRESS_LEN);
	memcpy(info.name, record.name, record.name_len);
	info.is_namespace = record.flags & FLAG_NAMESPACE;
	info.created_s = record.created_s;
	each->cb(each->ctx, &info);
	return 0;
}

int addresses_each(struct store *store, addresses_cb cb, void *ctx)
{
	struct each_ctx each = { cb, ctx };

	return store_each(store, STORE_ADDRESSES, each_record, &each);
}

int addresses_router(struct store *store, uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t fresh[ADDRESS_SECRET_LEN];
	struct address address;
	ssize_t len;
	int err;

	len = store_get(store, STORE_META, router_key, sizeof(router_key) - 1, fresh, sizeof(fresh));
	if (len == -ENOENT) {
		draw_key_pair(&address, fresh);
		err = store_put(store, STORE_META, router_key, sizeof(router_key) - 1, fresh,
				sizeof(fresh));
		if (!err)
			err = store_flush(store);
	} else if (len != sizeof(fresh)) {
		err = len < 0 && len != -EMSGSIZE ? (int)len : -EBADMSG;
	} else {
		err = 0;
	}
	if (!err)
		memcpy(secret, fresh, sizeof(fresh));
	sodium_memzero(fresh, sizeof(fresh));
	return err;
}
