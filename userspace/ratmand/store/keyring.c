// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/keyring.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/wire.h"
#include "ratmand/store/password.h"

#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define WRAPPED_LEN (crypto_kdf_KEYBYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define CHECK_LEN 16
#define MAGIC_LEN 8

static const char magic[MAGIC_LEN] = "ratmand";
static const char kdf_context[crypto_kdf_CONTEXTBYTES] = { 'r', 'a', 't', 's', 't', 'o', 'r', 'e' };

/* How the key that wraps the master key came to be. */
enum wrap_kind {
	WRAP_KEY = 1,		/* 32 random bytes */
	WRAP_PASSPHRASE = 2,	/* Argon2id */
};

struct header {
	uint8_t kind;
	struct password_cost cost;
	uint8_t salt[PASSWORD_SALT_LEN];
	uint8_t id[STORE_ID_LEN];
	const uint8_t *ad;	/* everything before the nonce */
	size_t ad_len;
	const uint8_t *nonce;
	const uint8_t *wrapped;
};

uint32_t keyring_header_format(const uint8_t *header, size_t len)
{
	struct wire_reader r;
	const uint8_t *m;
	uint32_t format;

	wire_read_init(&r, header, len);
	m = wire_get_ref(&r, MAGIC_LEN);
	format = wire_get_be32(&r);
	return r.failed || memcmp(m, magic, MAGIC_LEN) ? 0 : format;
}

static int header_parse(const uint8_t *data, size_t len, struct header *h)
{
	uint8_t check[CHECK_LEN];
	struct wire_reader r;

	if (len != KEYRING_HEADER_LEN)
		return -EBADMSG;
	/* Not against an attacker: tells a damaged header from a wrong key. */
	crypto_generichash(check, sizeof(check), data, len - CHECK_LEN, NULL, 0);
	if (memcmp(check, data + len - CHECK_LEN, CHECK_LEN))
		return -EBADMSG;
	wire_read_init(&r, data, len);
	wire_get_ref(&r, MAGIC_LEN + 4);
	h->kind = wire_get_u8(&r);
	h->cost.ops = wire_get_be32(&r);
	h->cost.mem_kib = wire_get_be32(&r);
	wire_get(&r, h->salt, sizeof(h->salt));
	wire_get(&r, h->id, sizeof(h->id));
	h->ad = data;
	h->ad_len = len - wire_left(&r);
	h->nonce = wire_get_ref(&r, NONCE_LEN);
	h->wrapped = wire_get_ref(&r, WRAPPED_LEN);
	wire_get_ref(&r, CHECK_LEN);
	return wire_done(&r) && (h->kind == WRAP_KEY || h->kind == WRAP_PASSPHRASE) ? 0 : -EBADMSG;
}

/* The key that wraps the master key. Argon2id blocks: only at start. */
static int wrap_key(const struct header *h, const struct nodekey *node,
		    uint8_t key[static KEYRING_KEY_LEN])
{
	if (h->kind == WRAP_PASSPHRASE)
		return password_derive(&h->cost, h->salt, node->passphrase, key);
	memcpy(key, node->key, KEYRING_KEY_LEN);
	return 0;
}

/* The tables' keys from the master key. */
static struct keyring *derive(const uint8_t *master, const uint8_t *id)
{
	struct keyring *k = sodium_malloc(sizeof(*k));

	if (!k)
		return NULL;
	memcpy(k->id, id, sizeof(k->id));
	for (int i = 0; i < STORE_TABLES; i++) {
		uint64_t n = 2ull * store_tables[i].id;

		crypto_kdf_derive_from_key(k->table[i].index, KEYRING_KEY_LEN, n, kdf_context,
					   master);
		crypto_kdf_derive_from_key(k->table[i].value, KEYRING_KEY_LEN, n + 1, kdf_context,
					   master);
	}
	sodium_mprotect_readonly(k);
	return k;
}

/* Wraps @master under @node for the store @id: @header is to be stored. Argon2id blocks. */
static int wrap(const uint8_t *master, const uint8_t *id, const struct nodekey *node,
		uint8_t header[static KEYRING_HEADER_LEN])
{
	struct header h = { .kind = node->key ? WRAP_KEY : WRAP_PASSPHRASE };
	uint8_t *key = sodium_malloc(KEYRING_KEY_LEN);
	uint8_t *nonce, *wrapped;
	struct wire_writer w;
	size_t ad_len;
	int err;

	if (!key)
		return -ENOMEM;
	randombytes_buf(h.salt, sizeof(h.salt));
	if (h.kind == WRAP_PASSPHRASE)
		password_cost_default(&h.cost);
	err = wrap_key(&h, node, key);
	if (err)
		goto out;
	wire_write_init(&w, header, KEYRING_HEADER_LEN);
	wire_put(&w, magic, MAGIC_LEN);
	wire_put_be32(&w, STORE_FORMAT);
	wire_put_u8(&w, h.kind);
	wire_put_be32(&w, h.cost.ops);
	wire_put_be32(&w, h.cost.mem_kib);
	wire_put(&w, h.salt, sizeof(h.salt));
	wire_put(&w, id, STORE_ID_LEN);
	ad_len = wire_len(&w);
	nonce = wire_put_ref(&w, NONCE_LEN);
	randombytes_buf(nonce, NONCE_LEN);
	wrapped = wire_put_ref(&w, WRAPPED_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(wrapped, NULL, master, crypto_kdf_KEYBYTES,
						   header, ad_len, NULL, nonce, key);
	crypto_generichash(w.pos, CHECK_LEN, header, wire_len(&w), NULL, 0);
out:
	sodium_free(key);
	return err;
}

int keyring_create(struct keyring **out, const struct nodekey *node,
		   uint8_t header[static KEYRING_HEADER_LEN])
{
	uint8_t *master = sodium_malloc(KEYRING_KEY_LEN);
	uint8_t id[STORE_ID_LEN];
	int err;

	if (!master)
		return -ENOMEM;
	randombytes_buf(id, sizeof(id));
	crypto_kdf_keygen(master);
	err = wrap(master, id, node, header);
	if (!err) {
		*out = derive(master, id);
		err = *out ? 0 : -ENOMEM;
	}
	sodium_free(master);
	return err;
}

/* Parses the header of a store and unwraps its master key (KEYRING_KEY_LEN bytes). */
static int unwrap(const struct nodekey *node, const uint8_t *data, size_t len, struct header *h,
		  uint8_t *master, char *why, size_t size)
{
	uint32_t format = keyring_header_format(data, len);
	uint8_t *key;
	int err;

	if (format > STORE_FORMAT) {
		snprintf(why, size,
			 "the store has format %u, this ratmand knows formats up to %u: use a newer ratmand",
			 format, STORE_FORMAT);
		return -EPROTO;
	}
	if (format && format < STORE_FORMAT) {
		snprintf(why, size,
			 "the store has format %u, which no ratmand that was released has written: move it away, or use the ratmand that made it",
			 format);
		return -EPROTO;
	}
	if (!format || header_parse(data, len, h)) {
		snprintf(why, size, "the header of the store is damaged: restore a backup");
		return -EBADMSG;
	}
	if (h->kind == WRAP_KEY && !node->key) {
		snprintf(why, size, "the store is locked with a key, not with a passphrase");
		return -ENOKEY;
	}
	if (h->kind == WRAP_PASSPHRASE && !node->passphrase) {
		snprintf(why, size, "the store is locked with a passphrase: set node_key = \"passphrase\"");
		return -ENOKEY;
	}
	key = sodium_malloc(KEYRING_KEY_LEN);
	err = key ? wrap_key(h, node, key) : -ENOMEM;
	if (!err && crypto_aead_xchacha20poly1305_ietf_decrypt(master, NULL, NULL, h->wrapped,
							       WRAPPED_LEN, h->ad, h->ad_len,
							       h->nonce, key)) {
		snprintf(why, size, "%s does not open the store", node->name);
		err = -EKEYREJECTED;
	}
	sodium_free(key);
	return err;
}

int keyring_open(struct keyring **out, const struct nodekey *node, const uint8_t *data, size_t len,
		 char *why, size_t size)
{
	uint8_t *master = sodium_malloc(KEYRING_KEY_LEN);
	struct header h;
	int err = master ? unwrap(node, data, len, &h, master, why, size) : -ENOMEM;

	if (!err) {
		*out = derive(master, h.id);
		err = *out ? 0 : -ENOMEM;
	}
	sodium_free(master);
	if (err == -ENOMEM)
		snprintf(why, size, "not enough memory to unlock the store");
	return err;
}

int keyring_rewrap(const struct nodekey *old, const struct nodekey *node, const uint8_t *data,
		   size_t len, uint8_t header[static KEYRING_HEADER_LEN], char *why, size_t size)
{
	uint8_t *master = sodium_malloc(KEYRING_KEY_LEN);
	struct header h;
	int err = master ? unwrap(old, data, len, &h, master, why, size) : -ENOMEM;

	if (!err)
		err = wrap(master, h.id, node, header);
	sodium_free(master);
	if (err == -ENOMEM)
		snprintf(why, size, "not enough memory to unlock the store");
	return err;
}

void keyring_free(struct keyring *keys)
{
	sodium_free(keys);
}
