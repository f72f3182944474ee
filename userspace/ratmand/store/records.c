// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/records.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

/*
 * Under the address, the kind and the hidden key: a nonce, then, sealed, the
 * length of the key, that of the value, key, value, zeroes up to PAD.
 */
#define HIDDEN_LEN 16
#define KEY_LEN (ADDRESS_LEN + 1 + HIDDEN_LEN)
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define INNER_LEN (2 + 4)
#define PAD 64

void records_open(struct records *r, struct store *store, const struct address *address,
		  const uint8_t key[static ADDRESS_KEY_LEN])
{
	r->store = store;
	r->address = *address;
	address_subkey(key, ADDRESS_SUBKEY_INDEX, r->index);
	address_subkey(key, ADDRESS_SUBKEY_VALUE, r->value);
}

static void make_key(const struct records *r, enum record_kind kind, const void *key,
		     size_t key_len, uint8_t out[static KEY_LEN])
{
	crypto_generichash_state st;
	uint8_t kind_byte = (uint8_t)kind;

	memcpy(out, r->address.b, ADDRESS_LEN);
	out[ADDRESS_LEN] = kind_byte;
	crypto_generichash_init(&st, r->index, sizeof(r->index), HIDDEN_LEN);
	crypto_generichash_update(&st, &kind_byte, 1);
	crypto_generichash_update(&st, key, key_len);
	crypto_generichash_final(&st, out + ADDRESS_LEN + 1, HIDDEN_LEN);
	sodium_memzero(&st, sizeof(st));
}

static size_t plain_len(size_t key_len, size_t value_len)
{
	return (INNER_LEN + key_len + value_len + PAD - 1) / PAD * PAD;
}

int records_put(const struct records *r, enum record_kind kind, const void *key, size_t key_len,
		const void *value, size_t value_len)
{
	size_t len = plain_len(key_len, value_len);
	uint8_t full[KEY_LEN];
	uint8_t *sealed;
	struct wire_writer w;
	int err;

	if (!key_len || key_len > RECORDS_KEY_MAX || value_len > RECORDS_VALUE_MAX)
		return -EINVAL;
	sealed = calloc(1, NONCE_LEN + len + TAG_LEN);
	if (!sealed)
		return -ENOMEM;
	make_key(r, kind, key, key_len, full);
	randombytes_buf(sealed, NONCE_LEN);
	wire_write_init(&w, sealed + NONCE_LEN, len);
	wire_put_be16(&w, (uint16_t)key_len);
	wire_put_be32(&w, (uint32_t)value_len);
	wire_put(&w, key, key_len);
	if (value_len)
		wire_put(&w, value, value_len);
	/* In place. */
	crypto_aead_xchacha20poly1305_ietf_encrypt(sealed + NONCE_LEN, NULL, sealed + NONCE_LEN, len,
						   full, sizeof(full), NULL, sealed, r->value);
	err = store_put(r->store, STORE_RECORDS, full, sizeof(full), sealed,
			NONCE_LEN + len + TAG_LEN);
	free(sealed);
	return err;
}

/* Opens @len bytes at @sealed into @plain (as many); key and value point into it. */
static int open_record(const struct records *r, const uint8_t *full, const uint8_t *sealed,
		       size_t len, uint8_t *plain, struct wire_reader *key, struct wire_reader *value)
{
	struct wire_reader w;
	size_t key_len, value_len;

	if (len < NONCE_LEN + TAG_LEN + INNER_LEN ||
	    crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, sealed + NONCE_LEN,
						       len - NONCE_LEN, full, KEY_LEN, sealed,
						       r->value))
		return -EBADMSG;
	wire_read_init(&w, plain, len - NONCE_LEN - TAG_LEN);
	key_len = wire_get_be16(&w);
	value_len = wire_get_be32(&w);
	wire_read_init(key, wire_get_ref(&w, key_len), key_len);
	wire_read_init(value, wire_get_ref(&w, value_len), value_len);
	return w.failed ? -EBADMSG : 0;
}

ssize_t records_get(const struct records *r, enum record_kind kind, const void *key, size_t key_len,
		    void *value, size_t size)
{
	size_t max = NONCE_LEN + plain_len(RECORDS_KEY_MAX, RECORDS_VALUE_MAX) + TAG_LEN;
	struct wire_reader k, v;
	uint8_t full[KEY_LEN];
	uint8_t *buf;
	ssize_t n;

	if (!key_len || key_len > RECORDS_KEY_MAX)
		return -EINVAL;
	make_key(r, kind, key, key_len, full);
	buf = malloc(2 * max);
	if (!buf)
		return -ENOMEM;
	n = store_get(r->store, STORE_RECORDS, full, sizeof(full), buf, max);
	if (n >= 0 && open_record(r, full, buf, (size_t)n, buf + max, &k, &v)) {
		n = -EBADMSG;
	} else if (n >= 0) {
		size_t len = wire_left(&v);

		n = len > size ? -EMSGSIZE : (ssize_t)len;
		if (n > 0)
			memcpy(value, v.pos, len);
		sodium_memzero(buf + max, INNER_LEN + key_len + len);
	}
	free(buf);
	return n;
}

int records_del(const struct records *r, enum record_kind kind, const void *key, size_t key_len)
{
	uint8_t full[KEY_LEN];

	if (!key_len || key_len > RECORDS_KEY_MAX)
		return -EINVAL;
	make_key(r, kind, key, key_len, full);
	return store_del(r->store, STORE_RECORDS, full, sizeof(full));
}

struct each {
	const struct records *records;
	store_each_cb cb;
	void *ctx;
};

static int each_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct each *e = ctx;
	struct wire_reader k, v;
	uint8_t *plain;
	int stop = 0;

	if (key_len != KEY_LEN)
		return 0;
	plain = malloc(value_len + 1);
	if (!plain)
		return -ENOMEM;
	if (!open_record(e->records, key, value, value_len, plain, &k, &v))
		stop = e->cb(e->ctx, k.pos, wire_left(&k), v.pos, wire_left(&v));
	sodium_memzero(plain, value_len);
	free(plain);
	return stop;
}

static void make_prefix(const struct address *address, uint8_t kind,
			uint8_t out[static ADDRESS_LEN + 1])
{
	memcpy(out, address->b, ADDRESS_LEN);
	out[ADDRESS_LEN] = kind;
}

int records_each(const struct records *r, enum record_kind kind, store_each_cb cb, void *ctx)
{
	uint8_t prefix[ADDRESS_LEN + 1];
	struct each e = { r, cb, ctx };

	make_prefix(&r->address, (uint8_t)kind, prefix);
	return store_each_of(r->store, STORE_RECORDS, prefix, each_record, &e);
}

struct keys {
	uint8_t (*key)[KEY_LEN];
	size_t n, room;
};

static int collect(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct keys *k = ctx;

	(void)value;
	(void)value_len;
	if (key_len != KEY_LEN)
		return 0;
	if (k->n == k->room) {
		size_t room = k->room ? 2 * k->room : 64;
		void *more = realloc(k->key, room * KEY_LEN);

		if (!more)
			return -ENOMEM;
		k->key = more;
		k->room = room;
	}
	memcpy(k->key[k->n++], key, KEY_LEN);
	return 0;
}

static int count_key(void *ctx, const void *key, size_t key_len, const void *value,
		     size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(ssize_t *)ctx;
	return 0;
}

ssize_t records_count(const struct records *r, enum record_kind kind)
{
	uint8_t prefix[ADDRESS_LEN + 1];
	ssize_t n = 0;
	int err;

	make_prefix(&r->address, (uint8_t)kind, prefix);
	err = store_each_key(r->store, STORE_RECORDS, prefix, count_key, &n);
	return err ? err : n;
}

int records_walk_begin(const struct records *r, enum record_kind kind, struct records_walk *walk)
{
	uint8_t prefix[ADDRESS_LEN + 1];
	struct keys keys = { 0 };
	int err;

	make_prefix(&r->address, (uint8_t)kind, prefix);
	err = store_each_key(r->store, STORE_RECORDS, prefix, collect, &keys);
	if (err) {
		free(keys.key);
		return err;
	}
	*walk = (struct records_walk){ (uint8_t *)keys.key, keys.n, 0 };
	return 0;
}

int records_walk_next(const struct records *r, struct records_walk *walk, size_t max,
		      store_each_cb cb, void *ctx)
{
	size_t room = NONCE_LEN + plain_len(RECORDS_KEY_MAX, RECORDS_VALUE_MAX) + TAG_LEN;
	struct each e = { r, cb, ctx };
	uint8_t *buf = malloc(room);
	int stop = 0;

	if (!buf)
		return -ENOMEM;
	for (; max && walk->at < walk->n && !stop; max--) {
		const uint8_t *key = walk->keys + KEY_LEN * walk->at++;
		ssize_t n = store_get(r->store, STORE_RECORDS, key, KEY_LEN, buf, room);

		if (n >= 0)
			stop = each_record(&e, key, KEY_LEN, buf, (size_t)n);
	}
	free(buf);
	return stop ? stop : walk->at < walk->n;
}

void records_walk_end(struct records_walk *walk)
{
	free(walk->keys);
	*walk = (struct records_walk){ 0 };
}

int records_remove_all(struct store *store, const struct address *address)
{
	uint8_t prefix[ADDRESS_LEN + 1];
	struct keys keys = { 0 };
	int err = 0;

	for (uint8_t kind = 1; kind < RECORD_KINDS && !err; kind++) {
		make_prefix(address, kind, prefix);
		err = store_each_key(store, STORE_RECORDS, prefix, collect, &keys);
	}
	for (size_t i = 0; i < keys.n && !err; i++)
		err = store_del(store, STORE_RECORDS, keys.key[i], KEY_LEN);
	free(keys.key);
	return err;
}
