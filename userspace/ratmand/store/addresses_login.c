// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Addresses and passwords: opening with one, setting one, making an address that only a
 * password opens.
 */
#include "ratmand/store/addresses.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ratmand/store/addresses_priv.h"

/* A login under way. */
struct login {
	struct store *store;
	struct address address;
	addresses_login_cb cb;
	void *ctx;
};

static void on_login_key(void *ctx, int err, const uint8_t *wrap)
{
	struct login *l = ctx;
	uint8_t data[RECORD_MAX], secret[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN];
	struct record r;
	int known;

	if (!err) {
		/* As it is now: it may have been destroyed, or got another password, meanwhile. */
		known = address_record_load(l->store, &l->address, data, &r);
		err = address_record_open_password(&r, &l->address, wrap, key);
		if (!err)
			err = address_record_open_secret(&r, &l->address, key, secret);
		if (known && known != -ENOENT)
			err = known;
	}
	l->cb(l->ctx, err, err ? NULL : secret, err ? NULL : key);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(key, sizeof(key));
	free(l);
}

int addresses_login(struct store *store, const struct address *address, const char *password,
		    addresses_login_cb cb, void *ctx)
{
	uint8_t data[RECORD_MAX], salt[PASSWORD_SALT_LEN];
	struct password_cost cost;
	struct login *l;
	struct record r;
	int err = address_record_load(store, address, data, &r);

	if (err && err != -ENOENT)
		return err;
	l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct login){ store, *address, cb, ctx };
	if (r.flags & FLAG_PASSWORD) {
		cost = r.cost;
		memcpy(salt, r.salt, sizeof(salt));
	} else {
		password_cost_default(&cost);
		randombytes_buf(salt, sizeof(salt));
	}
	/* One that no record can have is no other answer than a wrong one. */
	err = password_derive_async(store_loop(store), &cost, salt,
				    strlen(password) > PASSWORD_MAX ? "" : password, on_login_key, l);
	if (err)
		free(l);
	return err;
}

/* A change of password under way; in guarded memory. */
struct change {
	struct store *store;
	struct address address;
	struct password_cost cost;
	uint8_t salt[PASSWORD_SALT_LEN];
	uint8_t key[ADDRESS_KEY_LEN];
	store_done_cb cb;
	void *ctx;
};

/* Writes the record anew with the key wrapped by @wrap, too. */
static int rewrap(const struct change *c, const uint8_t *wrap)
{
	uint8_t data[RECORD_MAX], record[RECORD_MAX];
	struct wire_writer w;
	struct record r;
	int err = address_record_load(c->store, &c->address, data, &r);

	if (!err && r.version != RECORD_V2)
		err = -EACCES;
	if (err)
		return err;
	wire_write_init(&w, record, sizeof(record));
	wire_put(&w, r.head, r.head_len);
	record[1] |= FLAG_PASSWORD;
	wire_put(&w, r.by_token, KEY_BOX_LEN);
	address_record_put_password(&w, &c->address, &c->cost, c->salt, c->key, wrap);
	wire_put(&w, r.secret, SECRET_BOX_LEN);
	return store_put(c->store, STORE_ADDRESSES, c->address.b, ADDRESS_LEN, record, wire_len(&w));
}

static void on_change_key(void *ctx, int err, const uint8_t *wrap)
{
	struct change *c = ctx;
	struct store *store = c->store;
	store_done_cb cb = c->cb;
	void *cb_ctx = c->ctx;

	if (!err)
		err = rewrap(c, wrap);
	sodium_free(c);
	if (err)
		cb(cb_ctx, err);
	else
		store_commit(store, cb, cb_ctx);
}

int addresses_set_password(struct store *store, const struct address *address,
			   const uint8_t key[static ADDRESS_KEY_LEN], const char *password,
			   store_done_cb cb, void *ctx)
{
	uint8_t data[RECORD_MAX], secret[ADDRESS_SECRET_LEN];
	struct change *c;
	struct record r;
	int err = address_record_load(store, address, data, &r);

	if (!err)
		err = address_record_open_secret(&r, address, key, secret);
	sodium_memzero(secret, sizeof(secret));
	if (err)
		return err;
	if (!password[0])
		return -EINVAL;
	c = sodium_malloc((sizeof(*c) + 15) & ~(size_t)15);
	if (!c)
		return -ENOMEM;
	*c = (struct change){ .store = store, .address = *address, .cb = cb, .ctx = ctx };
	password_cost_default(&c->cost);
	randombytes_buf(c->salt, sizeof(c->salt));
	memcpy(c->key, key, sizeof(c->key));
	err = password_derive_async(store_loop(store), &c->cost, c->salt, password, on_change_key, c);
	if (err)
		sodium_free(c);
	return err;
}

/* An address with a password that is being made. */
struct creation {
	struct store *store;
	struct password_cost cost;
	uint8_t salt[PASSWORD_SALT_LEN];
	addresses_created_cb cb;
	void *ctx;
};

static int create_with(const struct creation *c, const uint8_t *wrap, struct address *address,
		       uint8_t secret[static ADDRESS_SECRET_LEN],
		       uint8_t key[static ADDRESS_KEY_LEN])
{
	struct making making = {
		.name = "", .created_s = clock_wall_ns() / 1000000000, .secret = secret, .key = key,
		.cost = &c->cost, .salt = c->salt, .wrap = wrap,
	};
	uint8_t record[RECORD_MAX];
	struct ident nobodys;
	int err = addresses_check_count(c->store);

	if (err)
		return err;
	addresses_draw(address, secret);
	crypto_kdf_keygen(key);
	ident_draw(&nobodys);
	err = store_put(c->store, STORE_ADDRESSES, address->b, ADDRESS_LEN, record,
			address_record_build(address, &nobodys, &making, record));
	sodium_memzero(&nobodys, sizeof(nobodys));
	return err;
}

static void on_creation_key(void *ctx, int err, const uint8_t *wrap)
{
	uint8_t secret[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN];
	struct creation *c = ctx;
	struct address address;

	if (!err)
		err = create_with(c, wrap, &address, secret, key);
	c->cb(c->ctx, err, err ? NULL : &address, err ? NULL : secret, err ? NULL : key);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(key, sizeof(key));
	free(c);
}

int addresses_create_login(struct store *store, const char *password, addresses_created_cb cb,
			   void *ctx)
{
	struct creation *c;
	int err = password[0] ? addresses_check_count(store) : -EINVAL;

	if (err)
		return err;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct creation){ .store = store, .cb = cb, .ctx = ctx };
	password_cost_default(&c->cost);
	randombytes_buf(c->salt, sizeof(c->salt));
	err = password_derive_async(store_loop(store), &c->cost, c->salt, password, on_creation_key, c);
	if (err)
		free(c);
	return err;
}
