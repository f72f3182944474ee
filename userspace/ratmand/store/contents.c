// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/contents.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

/* In STORE_FILES: 'c' and a hash of the id, and there a nonce and the sealed content. */
#define TYPE 'c'
#define NAME_LEN 32
#define KEY_LEN (1 + NAME_LEN)
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define VALUE_MAX (NONCE_LEN + FILES_CONTENT_MAX + TAG_LEN)

static void derive(const struct ident *id, const char *purpose, uint8_t out[static 32])
{
	crypto_generichash(out, 32, (const uint8_t *)purpose, strlen(purpose), id->b,
			   sizeof(id->b));
}

static void make_key(const struct ident *id, uint8_t out[static KEY_LEN])
{
	out[0] = TYPE;
	derive(id, "ratman file name v1", out + 1);
}

ssize_t contents_get(struct store *store, const struct ident *id, uint8_t *out)
{
	uint8_t key[KEY_LEN], seal[32], value[VALUE_MAX];
	unsigned long long len;
	ssize_t n;
	int bad;

	make_key(id, key);
	n = store_get(store, STORE_FILES, key, sizeof(key), value, sizeof(value));
	if (n < 0)
		return n == -EMSGSIZE ? -EBADMSG : n;
	if ((size_t)n < NONCE_LEN + TAG_LEN)
		return -EBADMSG;
	derive(id, "ratman file seal v1", seal);
	bad = crypto_aead_xchacha20poly1305_ietf_decrypt(out, &len, NULL, value + NONCE_LEN,
							 (size_t)n - NONCE_LEN, key, sizeof(key),
							 value, seal);
	sodium_memzero(seal, sizeof(seal));
	return bad ? -EBADMSG : (ssize_t)len;
}

int contents_put(struct store *store, const struct ident *id, const uint8_t *content, size_t len)
{
	uint8_t key[KEY_LEN], seal[32], value[VALUE_MAX];

	if (len > FILES_CONTENT_MAX)
		return -EINVAL;
	make_key(id, key);
	derive(id, "ratman file seal v1", seal);
	randombytes_buf(value, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(value + NONCE_LEN, NULL, content, len, key,
						   sizeof(key), NULL, value, seal);
	sodium_memzero(seal, sizeof(seal));
	return store_put(store, STORE_FILES, key, sizeof(key), value, NONCE_LEN + len + TAG_LEN);
}

int contents_del(struct store *store, const struct ident *id)
{
	uint8_t key[KEY_LEN];

	make_key(id, key);
	return store_del(store, STORE_FILES, key, sizeof(key));
}
