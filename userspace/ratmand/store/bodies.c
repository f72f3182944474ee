// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/bodies.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Who refers to a body is on a list with its name, among those of the mailboxes (mailbox.c). */
#define NAME_LEN 16
#define REF_KEY_LEN (NAME_LEN + sizeof(struct body_ref))
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES

static const char secret_key[] = "message-secret";

int bodies_open(struct bodies *b, struct store *store)
{
	ssize_t n;
	int err = 0;

	b->store = store;
	b->secret = sodium_malloc(BODIES_SECRET_LEN);
	if (!b->secret)
		return -ENOMEM;
	n = store_get(store, STORE_META, secret_key, strlen(secret_key), b->secret,
		      BODIES_SECRET_LEN);
	if (n == -ENOENT) {
		randombytes_buf(b->secret, BODIES_SECRET_LEN);
		err = store_put(store, STORE_META, secret_key, strlen(secret_key), b->secret,
				BODIES_SECRET_LEN);
		if (!err)
			err = store_flush(store);
	} else if (n != BODIES_SECRET_LEN) {
		err = n < 0 ? (int)n : -EBADMSG;
	}
	if (err)
		bodies_close(b);
	return err;
}

void bodies_close(struct bodies *b)
{
	sodium_free(b->secret);
	b->secret = NULL;
}

void bodies_key(const struct bodies *b, const void *data, size_t len, struct body_key *out)
{
	crypto_generichash(out->b, sizeof(out->b), data, len, b->secret, BODIES_SECRET_LEN);
}

static void derive(const struct body_key *key, const char *purpose, uint8_t *out, size_t len)
{
	crypto_generichash(out, len, (const uint8_t *)purpose, strlen(purpose), key->b,
			   sizeof(key->b));
}

/* The key of nothing else: so the nonce may be the same for all. */
static const uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

static int put(const struct bodies *b, const struct body_key *key, const uint8_t *name,
	       const void *data, size_t len)
{
	uint8_t *sealed = malloc(len + TAG_LEN);
	uint8_t seal[32];
	int err;

	if (!sealed)
		return -ENOMEM;
	derive(key, "ratman body seal v1", seal, sizeof(seal));
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, data, len, name, NAME_LEN, NULL,
						   nonce, seal);
	sodium_memzero(seal, sizeof(seal));
	err = store_put(b->store, STORE_BODIES, name, NAME_LEN, sealed, len + TAG_LEN);
	free(sealed);
	return err;
}

static bool is_whole(const struct bodies *b, const struct body_key *key, const uint8_t *name,
		     size_t len)
{
	uint8_t *copy;
	bool whole;

	if (!store_has(b->store, STORE_BODIES, name, NAME_LEN))
		return false;
	/* Damaged ones are replaced by the one at hand. */
	copy = malloc(len + 1);
	whole = !copy || bodies_read(b, key, copy, len) == (ssize_t)len;
	if (copy)
		sodium_memzero(copy, len);
	free(copy);
	return whole;
}

int bodies_add(const struct bodies *b, const struct body_key *key, const struct body_ref *ref,
	       const void *data, size_t len)
{
	uint8_t full[REF_KEY_LEN];
	int err = 0;

	derive(key, "ratman body name v1", full, NAME_LEN);
	memcpy(full + NAME_LEN, ref->b, sizeof(ref->b));
	if (!is_whole(b, key, full, len))
		err = put(b, key, full, data, len);
	return err ? err : store_put(b->store, STORE_OVERLAY, full, sizeof(full), NULL, 0);
}

int bodies_drop(const struct bodies *b, const struct body_key *key, const struct body_ref *ref)
{
	uint8_t full[REF_KEY_LEN];
	uint64_t other;
	ssize_t n;
	int err;

	derive(key, "ratman body name v1", full, NAME_LEN);
	memcpy(full + NAME_LEN, ref->b, sizeof(ref->b));
	err = store_del(b->store, STORE_OVERLAY, full, sizeof(full));
	if (err)
		return err;
	n = store_orders(b->store, STORE_OVERLAY, full, 0, &other, 1);
	return n ? (int)(n < 0 ? n : 0) : store_del(b->store, STORE_BODIES, full, NAME_LEN);
}

ssize_t bodies_read(const struct bodies *b, const struct body_key *key, void *data, size_t size)
{
	uint8_t name[NAME_LEN], seal[32];
	uint8_t *sealed = malloc(size + TAG_LEN);
	ssize_t n;

	if (!sealed)
		return -ENOMEM;
	derive(key, "ratman body name v1", name, sizeof(name));
	n = store_get(b->store, STORE_BODIES, name, sizeof(name), sealed, size + TAG_LEN);
	if (n >= 0 && n < (ssize_t)TAG_LEN)
		n = -EBADMSG;
	if (n >= 0) {
		derive(key, "ratman body seal v1", seal, sizeof(seal));
		n = crypto_aead_xchacha20poly1305_ietf_decrypt(data, NULL, NULL, sealed, (size_t)n, name,
							       sizeof(name), nonce, seal) ?
			    -EBADMSG : n - (ssize_t)TAG_LEN;
		sodium_memzero(seal, sizeof(seal));
	}
	free(sealed);
	return n;
}
