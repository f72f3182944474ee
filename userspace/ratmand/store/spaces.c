// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/spaces.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/wire.h"

/* A record: version, creation time in unix seconds, seed. */
#define RECORD_VERSION 1
#define RECORD_LEN (1 + 8 + SPACE_SEED_LEN)

static int count_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(unsigned int *)ctx;
	return 0;
}

int spaces_create(struct store *store, const struct address *space,
		  const uint8_t seed[static SPACE_SEED_LEN])
{
	uint8_t secret[ADDRESS_SECRET_LEN];
	uint8_t record[RECORD_LEN];
	unsigned int count = 0;
	struct address own;
	struct wire_writer w;
	int err;

	crypto_sign_seed_keypair(own.b, secret, seed);
	sodium_memzero(secret, sizeof(secret));
	if (!address_equal(&own, space))
		return -EINVAL;
	if (spaces_has(store, space))
		return 0;
	err = store_each(store, STORE_SPACES, count_one, &count);
	if (err)
		return err;
	if (count >= LIMIT_SPACES)
		return -EDQUOT;
	wire_write_init(&w, record, sizeof(record));
	wire_put_u8(&w, RECORD_VERSION);
	wire_put_be64(&w, (uint64_t)(clock_wall_ns() / 1000000000));
	wire_put(&w, seed, SPACE_SEED_LEN);
	err = store_put(store, STORE_SPACES, space->b, ADDRESS_LEN, record, sizeof(record));
	sodium_memzero(record, sizeof(record));
	return err;
}

bool spaces_has(struct store *store, const struct address *space)
{
	return store_has(store, STORE_SPACES, space->b, ADDRESS_LEN);
}

int spaces_open(struct store *store, const struct address *space,
		uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t record[RECORD_LEN];
	struct address own;
	ssize_t len;
	int err = 0;

	len = store_get(store, STORE_SPACES, space->b, ADDRESS_LEN, record, sizeof(record));
	if (len < 0)
		return len == -EMSGSIZE ? -EBADMSG : (int)len;
	if (len != RECORD_LEN || record[0] != RECORD_VERSION) {
		err = -EBADMSG;
	} else {
		crypto_sign_seed_keypair(own.b, secret, record + 1 + 8);
		if (!address_equal(&own, space)) {
			sodium_memzero(secret, ADDRESS_SECRET_LEN);
			err = -EBADMSG;
		}
	}
	sodium_memzero(record, sizeof(record));
	return err;
}

int spaces_remove(struct store *store, const struct address *space)
{
	if (!spaces_has(store, space))
		return -ENOENT;
	return store_del(store, STORE_SPACES, space->b, ADDRESS_LEN);
}

struct each_ctx {
	void (*cb)(void *ctx, const struct address *space);
	void *ctx;
};

static int each_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct each_ctx *each = ctx;
	struct address space;

	(void)value;
	(void)value_len;
	if (key_len == ADDRESS_LEN) {
		memcpy(space.b, key, ADDRESS_LEN);
		each->cb(each->ctx, &space);
	}
	return 0;
}

int spaces_each(struct store *store, void (*cb)(void *ctx, const struct address *space), void *ctx)
{
	struct each_ctx each = { cb, ctx };

	return store_each(store, STORE_SPACES, each_record, &each);
}
