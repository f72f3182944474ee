// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/bodies.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "proto/message.h"

#define NAME_LEN 16
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES

/* Bodies by number: a group of one byte, the same for all. */
#define BODY_KEY_LEN (1 + 8)
/* Among the lists of the mailboxes (mailbox.c): of a name, and of readers. */
#define LIST_KEY_LEN (NAME_LEN + 8)
/* Bodies of one name that are looked at: others are left over from damage. */
#define SAME_NAME_MAX 4

static const char secret_key[] = "message-secret";

/* The list of readers: number of the body (4), reader (4). Reader 0 is on it when he has gone. */
static const uint8_t readers[NAME_LEN] = "readers";

static uint64_t reader_order(uint32_t number, uint32_t reader)
{
	return (uint64_t)number << 32 | reader;
}

static void body_key(uint32_t number, uint8_t out[static BODY_KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, BODY_KEY_LEN);
	wire_put_u8(&w, 0);
	wire_put_be64(&w, number);
}

static void list_key(const uint8_t *name, uint64_t order, uint8_t out[static LIST_KEY_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, LIST_KEY_LEN);
	wire_put(&w, name, NAME_LEN);
	wire_put_be64(&w, order);
}

/* Puts @order on the list @name, or takes it off. */
static int list(const struct bodies *b, const uint8_t *name, uint64_t order, bool on)
{
	uint8_t key[LIST_KEY_LEN];

	list_key(name, order, key);
	return on ? store_put(b->store, STORE_OVERLAY, key, sizeof(key), NULL, 0) :
		    store_del(b->store, STORE_OVERLAY, key, sizeof(key));
}

static bool is_listed(const struct bodies *b, const uint8_t *name, uint64_t order)
{
	uint8_t key[LIST_KEY_LEN];

	list_key(name, order, key);
	return store_has(b->store, STORE_OVERLAY, key, sizeof(key));
}

static int open_secret(struct bodies *b)
{
	ssize_t n = store_get(b->store, STORE_META, secret_key, strlen(secret_key), b->secret,
			      BODIES_SECRET_LEN);
	int err;

	if (n != -ENOENT)
		return n == BODIES_SECRET_LEN ? 0 : n < 0 ? (int)n : -EBADMSG;
	randombytes_buf(b->secret, BODIES_SECRET_LEN);
	err = store_put(b->store, STORE_META, secret_key, strlen(secret_key), b->secret,
			BODIES_SECRET_LEN);
	return err ? err : store_flush(b->store);
}

int bodies_open(struct bodies *b, struct store *store)
{
	const uint8_t group = 0;
	uint64_t last = 0, last_reader = 0;
	int err;

	b->store = store;
	b->secret = sodium_malloc(BODIES_SECRET_LEN);
	if (!b->secret)
		return -ENOMEM;
	err = open_secret(b);
	if (!err)
		err = store_last_order(store, STORE_BODIES, &group, &last);
	if (err >= 0)
		err = store_last_order(store, STORE_OVERLAY, readers, &last_reader);
	if (err < 0) {
		bodies_close(b);
		return err;
	}
	if (last < last_reader >> 32)
		last = last_reader >> 32;
	b->next = last < UINT32_MAX ? (uint32_t)last + 1 : 0;
	return 0;
}

void bodies_close(struct bodies *b)
{
	sodium_free(b->secret);
	b->secret = NULL;
}

static void derive(const struct body_key *key, const char *purpose, uint8_t *out, size_t len)
{
	crypto_generichash(out, len, (const uint8_t *)purpose, strlen(purpose), key->b,
			   sizeof(key->b));
}

static void make_name(const struct body_key *key, uint8_t out[static NAME_LEN])
{
	derive(key, "ratman body name v1", out, NAME_LEN);
}

/* The key of nothing else: so the nonce may be the same for all. */
static const uint8_t nonce[crypto_aead_xchacha20poly1305_ietf_NPUBBYTES];

static int put(const struct bodies *b, const struct body *body)
{
	uint8_t *sealed = malloc(body->len + TAG_LEN);
	uint8_t seal[32], key[BODY_KEY_LEN];
	int err;

	if (!sealed)
		return -ENOMEM;
	derive(&body->key, "ratman body seal v1", seal, sizeof(seal));
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed, NULL, body->data, body->len, NULL, 0, NULL,
						   nonce, seal);
	sodium_memzero(seal, sizeof(seal));
	body_key(body->number, key);
	err = store_put(b->store, STORE_BODIES, key, sizeof(key), sealed, body->len + TAG_LEN);
	free(sealed);
	return err;
}

/* Into @data, of @len - TAG_LEN bytes: their number or -EBADMSG. */
static ssize_t unseal(const struct body_key *key, const uint8_t *sealed, size_t len, void *data)
{
	uint8_t seal[32];
	int err;

	if (len < TAG_LEN)
		return -EBADMSG;
	derive(key, "ratman body seal v1", seal, sizeof(seal));
	err = crypto_aead_xchacha20poly1305_ietf_decrypt(data, NULL, NULL, sealed, len, NULL, 0, nonce,
							 seal);
	sodium_memzero(seal, sizeof(seal));
	return err ? -EBADMSG : (ssize_t)(len - TAG_LEN);
}

ssize_t bodies_read(const struct bodies *b, const struct body_ref *ref, void *data, size_t size)
{
	uint8_t *sealed = malloc(size + TAG_LEN);
	uint8_t key[BODY_KEY_LEN];
	ssize_t n;

	if (!sealed)
		return -ENOMEM;
	body_key(ref->number, key);
	n = store_get(b->store, STORE_BODIES, key, sizeof(key), sealed, size + TAG_LEN);
	if (n >= 0)
		n = unseal(&ref->key, sealed, (size_t)n, data);
	free(sealed);
	return n;
}

/* ---- readers come ---- */

static bool is_there(const struct bodies *b, uint32_t number)
{
	uint8_t key[BODY_KEY_LEN];

	body_key(number, key);
	return store_has(b->store, STORE_BODIES, key, sizeof(key));
}

static bool is_whole(const struct bodies *b, const struct body *body)
{
	struct body_ref ref = { .key = body->key, .number = body->number };
	uint8_t *copy = malloc(body->len + 1);
	bool whole;

	whole = !copy || bodies_read(b, &ref, copy, body->len) == (ssize_t)body->len;
	if (copy)
		sodium_memzero(copy, body->len);
	free(copy);
	sodium_memzero(&ref, sizeof(ref));
	return whole;
}

/* Sets the number of a body that came before. A damaged one is replaced by the one at hand. */
static int find(const struct bodies *b, struct body *body, const uint8_t *name)
{
	uint64_t numbers[SAME_NAME_MAX];
	ssize_t n = store_orders(b->store, STORE_OVERLAY, name, 1, UINT32_MAX, numbers, SAME_NAME_MAX);
	int err = 0;

	for (ssize_t i = 0; i < n; i++) {
		if (!is_there(b, (uint32_t)numbers[i]))
			continue;
		body->number = (uint32_t)numbers[i];
		if (!is_whole(b, body))
			err = put(b, body);
		if (err)
			body->number = 0;
		return err;
	}
	return n < 0 ? (int)n : 0;
}

static int add_first(struct bodies *b, struct body *body, const uint8_t *name, struct body_ref *ref)
{
	int err;

	if (!b->next)
		return -EDQUOT;
	body->number = b->next++;
	ref->number = body->number;
	err = put(b, body);
	if (!err && body->travels)
		err = list(b, name, body->number, true);
	if (err)
		body->number = 0;
	return err;
}

static int add_reader(const struct bodies *b, const struct body *body, struct body_ref *ref)
{
	ref->number = body->number;
	do
		ref->reader = randombytes_random();
	while (!ref->reader || is_listed(b, readers, reader_order(ref->number, ref->reader)));
	return list(b, readers, reader_order(ref->number, ref->reader), true);
}

int bodies_add(struct bodies *b, struct body *body, struct body_ref *ref)
{
	uint8_t name[NAME_LEN];
	int err = 0;

	if (body->number && !is_there(b, body->number))
		body->number = 0;
	if (!body->number)
		crypto_generichash(body->key.b, sizeof(body->key.b), body->data, body->len, b->secret,
				   BODIES_SECRET_LEN);
	*ref = (struct body_ref){ .key = body->key };
	if (!body->number && body->travels) {
		make_name(&body->key, name);
		if (!body->fresh)
			err = find(b, body, name);
	}
	if (err)
		return err;
	return body->number ? add_reader(b, body, ref) : add_first(b, body, name, ref);
}

/* ---- readers go ---- */

/* True when the number is another body's: so it is only after damage. */
static bool is_foreign(const struct bodies *b, const struct body_ref *ref)
{
	size_t size = MESSAGE_BODY_MAX + TAG_LEN;
	uint8_t *sealed = malloc(size), *data = malloc(size);
	uint8_t key[BODY_KEY_LEN];
	bool foreign = false;
	ssize_t n;

	body_key(ref->number, key);
	if (sealed && data) {
		n = store_get(b->store, STORE_BODIES, key, sizeof(key), sealed, size);
		foreign = n >= 0 && unseal(&ref->key, sealed, (size_t)n, data) < 0;
		if (n >= 0)
			sodium_memzero(data, (size_t)n);
	}
	free(sealed);
	free(data);
	return foreign;
}

static int drop_body(const struct bodies *b, const struct body_ref *ref)
{
	uint8_t name[NAME_LEN], key[BODY_KEY_LEN];
	int err;

	body_key(ref->number, key);
	err = store_del(b->store, STORE_BODIES, key, sizeof(key));
	make_name(&ref->key, name);
	/* It is there if the body travelled. */
	return err ? err : list(b, name, ref->number, false);
}

int bodies_drop(const struct bodies *b, const struct body_ref *ref)
{
	uint64_t other, first = reader_order(ref->number, 0);
	bool first_gone = !ref->reader;
	ssize_t others;
	int err = 0;

	if (!ref->number || is_foreign(b, ref))
		return 0;
	if (ref->reader) {
		err = list(b, readers, reader_order(ref->number, ref->reader), false);
		first_gone = is_listed(b, readers, first);
	}
	if (err)
		return err;
	others = store_orders(b->store, STORE_OVERLAY, readers, first + 1,
			      reader_order(ref->number, UINT32_MAX), &other, 1);
	if (others < 0)
		return (int)others;
	/* The first one is missed only while others are there. */
	if (others)
		return ref->reader ? 0 : list(b, readers, first, true);
	if (!first_gone)
		return 0;
	if (ref->reader)
		err = list(b, readers, first, false);
	return err ? err : drop_body(b, ref);
}
