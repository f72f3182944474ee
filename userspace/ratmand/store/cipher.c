// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/cipher.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/wire.h"

/* A sealed record: version, nonce, ciphertext, tag. */
#define VERSION 1
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define OUTER_LEN (1 + NONCE_LEN + TAG_LEN)
/* Its plaintext: length of the key, length of the value, key, value, zeroes. */
#define INNER_LEN (2 + 4)
#define AD_LEN (2 + CIPHER_KEY_LEN)

void cipher_hide_group(const struct keyring *keys, enum store_table table, const void *prefix,
		       uint8_t out[static CIPHER_GROUP_LEN])
{
	crypto_generichash(out, CIPHER_GROUP_LEN, prefix, store_tables[table].prefix,
			   keys->table[table].index, KEYRING_KEY_LEN);
}

void cipher_hide(const struct keyring *keys, enum store_table table, const void *key,
		 size_t key_len, uint8_t out[static CIPHER_KEY_LEN])
{
	const struct table_info *t = &store_tables[table];
	uint8_t whole[CIPHER_KEY_LEN];
	size_t at = 0;

	if (t->prefix) {
		cipher_hide_group(keys, table, key, out);
		at = CIPHER_GROUP_LEN;
	}
	crypto_generichash(whole, CIPHER_KEY_LEN - at, key, key_len, keys->table[table].index,
			   KEYRING_KEY_LEN);
	if (t->ordered) {
		memcpy(out + at, (const uint8_t *)key + t->prefix, TABLES_ORDER_LEN);
		at += TABLES_ORDER_LEN;
	}
	memcpy(out + at, whole, CIPHER_KEY_LEN - at);
}

void cipher_hide_start(const struct keyring *keys, enum store_table table, const void *start,
		       uint8_t out[static CIPHER_KEY_LEN])
{
	memset(out, 0, CIPHER_KEY_LEN);
	cipher_hide_group(keys, table, start, out);
	memcpy(out + CIPHER_GROUP_LEN, (const uint8_t *)start + store_tables[table].prefix,
	       TABLES_ORDER_LEN);
}

bool cipher_key_fits(enum store_table table, size_t key_len)
{
	const struct table_info *t = &store_tables[table];

	if (t->ordered)
		return key_len == t->prefix + (size_t)TABLES_ORDER_LEN;
	return key_len && key_len >= t->prefix && key_len <= STORE_KEY_MAX;
}

static size_t plain_len(enum store_table table, size_t key_len, size_t value_len)
{
	size_t pad = store_tables[table].pad;

	return (INNER_LEN + key_len + value_len + pad - 1) / pad * pad;
}

size_t cipher_sealed_len(enum store_table table, size_t key_len, size_t value_len)
{
	return OUTER_LEN + plain_len(table, key_len, value_len);
}

static void build_ad(enum store_table table, const uint8_t *hidden, uint8_t ad[static AD_LEN])
{
	ad[0] = VERSION;
	ad[1] = store_tables[table].id;
	memcpy(ad + 2, hidden, CIPHER_KEY_LEN);
}

void cipher_seal(const struct keyring *keys, enum store_table table, const uint8_t *hidden,
		 const void *key, size_t key_len, const void *value, size_t value_len,
		 uint8_t *scratch, uint8_t *out)
{
	size_t len = plain_len(table, key_len, value_len);
	uint8_t ad[AD_LEN];
	struct wire_writer w;

	wire_write_init(&w, scratch, len);
	wire_put_be16(&w, (uint16_t)key_len);
	wire_put_be32(&w, (uint32_t)value_len);
	wire_put(&w, key, key_len);
	if (value_len)
		wire_put(&w, value, value_len);
	memset(w.pos, 0, (size_t)(w.end - w.pos));
	build_ad(table, hidden, ad);
	out[0] = VERSION;
	randombytes_buf(out + 1, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE_LEN, NULL, scratch, len, ad,
						   sizeof(ad), NULL, out + 1,
						   keys->table[table].value);
}

/* Checks that @hidden is what the key hashes to; with equal lengths no two records share one. */
static bool is_hidden(const struct keyring *keys, enum store_table table, const uint8_t *key,
		      size_t key_len, const uint8_t *hidden)
{
	uint8_t expected[CIPHER_KEY_LEN];

	if (!cipher_key_fits(table, key_len))
		return false;
	cipher_hide(keys, table, key, key_len, expected);
	return !sodium_memcmp(expected, hidden, sizeof(expected));
}

int cipher_open(const struct keyring *keys, enum store_table table, const uint8_t *hidden,
		const uint8_t *sealed, size_t len, uint8_t *plain, struct cipher_record *out)
{
	uint8_t ad[AD_LEN];
	struct wire_reader r;

	if (len < OUTER_LEN + INNER_LEN || sealed[0] != VERSION)
		return -EBADMSG;
	build_ad(table, hidden, ad);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed + 1 + NONCE_LEN,
						       len - 1 - NONCE_LEN, ad, sizeof(ad),
						       sealed + 1, keys->table[table].value))
		return -EBADMSG;
	wire_read_init(&r, plain, len - OUTER_LEN);
	out->key_len = wire_get_be16(&r);
	out->value_len = wire_get_be32(&r);
	out->key = wire_get_ref(&r, out->key_len);
	out->value = wire_get_ref(&r, out->value_len);
	return r.failed ? -EBADMSG : 0;
}

ssize_t cipher_open_key(const struct keyring *keys, enum store_table table, const uint8_t *hidden,
			const uint8_t *sealed, size_t len, uint8_t *key)
{
	uint8_t head[INNER_LEN + STORE_KEY_MAX];
	struct wire_reader r;
	size_t n, key_len;

	if (len < OUTER_LEN + INNER_LEN || sealed[0] != VERSION)
		return -EBADMSG;
	n = len - OUTER_LEN < sizeof(head) ? len - OUTER_LEN : sizeof(head);
	/* The AEAD's stream from its block 1 on, without the tag: the hidden key vouches instead. */
	crypto_stream_xchacha20_xor_ic(head, sealed + 1 + NONCE_LEN, n, sealed + 1, 1,
				       keys->table[table].value);
	wire_read_init(&r, head, n);
	key_len = wire_get_be16(&r);
	wire_get_be32(&r);
	if (r.failed || key_len > wire_left(&r) ||
	    !is_hidden(keys, table, head + INNER_LEN, key_len, hidden))
		return -EBADMSG;
	memcpy(key, head + INNER_LEN, key_len);
	return (ssize_t)key_len;
}
