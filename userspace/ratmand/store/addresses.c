// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/addresses.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "ratmand/store/addresses_priv.h"

static const char router_key[] = "router-key";

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

void addresses_draw(struct address *address, uint8_t secret[static ADDRESS_SECRET_LEN])
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

int addresses_check_count(struct store *store)
{
	unsigned int count = 0;
	int err = store_each_key(store, STORE_ADDRESSES, NULL, count_one, &count);

	return err ? err : count >= LIMIT_LOCAL_ADDRESSES ? -E2BIG : 0;
}

int addresses_create(struct store *store, const char *name, const uint8_t *seed,
		     struct address *out, struct ident *token)
{
	struct making making = { .name = name ? name : "", .is_namespace = seed };
	uint8_t secret[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN];
	uint8_t record[RECORD_MAX];
	struct address address;
	struct ident fresh;
	size_t len;
	int err;

	making.name_len = strlen(making.name);
	if (making.name_len > ADDRESS_NAME_MAX || !name_is_text(making.name, making.name_len))
		return -EINVAL;
	err = addresses_check_count(store);
	if (err)
		return err;
	if (seed)
		crypto_sign_seed_keypair(address.b, secret, seed);
	else
		addresses_draw(&address, secret);
	err = -EEXIST;
	if (store_has(store, STORE_ADDRESSES, address.b, ADDRESS_LEN))
		goto out;
	ident_draw(&fresh);
	crypto_kdf_keygen(key);
	making.created_s = clock_wall_ns() / 1000000000;
	making.secret = secret;
	making.key = key;
	len = address_record_build(&address, &fresh, &making, record);
	err = store_put(store, STORE_ADDRESSES, address.b, ADDRESS_LEN, record, len);
	if (!err) {
		*out = address;
		*token = fresh;
	}
	sodium_memzero(key, sizeof(key));
	sodium_memzero(&fresh, sizeof(fresh));
out:
	sodium_memzero(secret, sizeof(secret));
	return err;
}

/* Gives a record of version 1, whose secret key is open, a key of its own. */
static void upgrade(struct store *store, const struct address *address, const struct ident *token,
		    const struct record *r, const uint8_t *secret,
		    uint8_t key[static ADDRESS_KEY_LEN])
{
	struct making making = {
		.name = (const char *)r->name,
		.name_len = r->name_len,
		.is_namespace = r->flags & FLAG_NAMESPACE,
		.created_s = r->created_s,
		.secret = secret,
		.key = key,
	};
	uint8_t record[RECORD_MAX];
	int err;

	crypto_kdf_keygen(key);
	err = store_put(store, STORE_ADDRESSES, address->b, ADDRESS_LEN, record,
			address_record_build(address, token, &making, record));
	if (err)
		log_warn("an address keeps its record of store format 1 for now: %s", strerror(-err));
}

/* Opens both keys; what is not opened is left as it was. */
static int unlock(struct store *store, const struct address *address, const struct ident *token,
		  uint8_t secret[static ADDRESS_SECRET_LEN], uint8_t key[static ADDRESS_KEY_LEN])
{
	uint8_t data[RECORD_MAX];
	struct record r;
	int known = address_record_load(store, address, data, &r);
	int err;

	if (known && known != -ENOENT)
		return known;
	if (r.version == RECORD_V1) {
		err = address_record_open_old_secret(&r, address, token, secret);
		if (!err)
			upgrade(store, address, token, &r, secret, key);
	} else {
		err = address_record_open_token(&r, address, token, key);
		if (!err)
			err = address_record_open_secret(&r, address, key, secret);
	}
	return err && known ? known : err;
}

int addresses_open(struct store *store, const struct address *address, const struct ident *token,
		   bool tell, uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t plain[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN];
	int err = unlock(store, address, token, plain, key);

	if (!err)
		memcpy(secret, plain, sizeof(plain));
	sodium_memzero(plain, sizeof(plain));
	sodium_memzero(key, sizeof(key));
	return err == -ENOENT && !tell ? -EACCES : err;
}

int addresses_open_key(struct store *store, const struct address *address,
		       const struct ident *token, uint8_t key[static ADDRESS_KEY_LEN])
{
	uint8_t secret[ADDRESS_SECRET_LEN], plain[ADDRESS_KEY_LEN];
	int err = unlock(store, address, token, secret, plain);

	if (!err)
		memcpy(key, plain, sizeof(plain));
	sodium_memzero(plain, sizeof(plain));
	sodium_memzero(secret, sizeof(secret));
	return err == -ENOENT ? -EACCES : err;
}

bool addresses_is_namespace(struct store *store, const struct address *address)
{
	uint8_t data[RECORD_MAX];
	struct record record;
	ssize_t len;

	len = store_get(store, STORE_ADDRESSES, address->b, ADDRESS_LEN, data, sizeof(data));
	return len >= 0 && !address_record_parse(data, (size_t)len, &record) &&
	       record.flags & FLAG_NAMESPACE;
}

int addresses_remove(struct store *store, const struct address *address)
{
	if (!store_has(store, STORE_ADDRESSES, address->b, ADDRESS_LEN))
		return -ENOENT;
	return store_del(store, STORE_ADDRESSES, address->b, ADDRESS_LEN);
}

/* At most LIMIT_LOCAL_ADDRESSES were ever made; a store may bring more. */
struct listing {
	struct address_info *info;
	size_t n, room;
};

static int list_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct listing *l = ctx;
	struct address_info *info;
	struct record record;

	if (key_len != ADDRESS_LEN || address_record_parse(value, value_len, &record))
		return 0;
	if (l->n == l->room) {
		size_t room = l->room ? 2 * l->room : 16;
		void *more = realloc(l->info, room * sizeof(*l->info));

		if (!more)
			return -ENOMEM;
		l->info = more;
		l->room = room;
	}
	info = &l->info[l->n++];
	memset(info, 0, sizeof(*info));
	memcpy(info->address.b, key, ADDRESS_LEN);
	memcpy(info->name, record.name, record.name_len);
	info->is_namespace = record.flags & FLAG_NAMESPACE;
	info->has_password = record.flags & FLAG_PASSWORD;
	info->created_s = record.created_s;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct address_info *x = a, *y = b;

	return memcmp(x->address.b, y->address.b, ADDRESS_LEN);
}

int addresses_each(struct store *store, addresses_cb cb, void *ctx)
{
	struct listing l = { 0 };
	int err = store_each(store, STORE_ADDRESSES, list_record, &l);

	if (l.n)
		qsort(l.info, l.n, sizeof(*l.info), by_address);
	for (size_t i = 0; i < l.n && !err; i++)
		cb(ctx, &l.info[i]);
	free(l.info);
	return err;
}

int addresses_router(struct store *store, uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t fresh[ADDRESS_SECRET_LEN];
	struct address address;
	ssize_t len;
	int err;

	len = store_get(store, STORE_META, router_key, sizeof(router_key) - 1, fresh, sizeof(fresh));
	if (len == -ENOENT) {
		addresses_draw(&address, fresh);
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
