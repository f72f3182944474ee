// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/addresses.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"
#include "ratmand/store/password.h"

/*
 * A record: version, flags, creation time, name length, name (the head); the
 * address's key wrapped by the token; with FLAG_PASSWORD cost, salt and the key
 * wrapped by the password; the ed25519 secret key sealed under the key. Version
 * 1, of store format 1, has the head and the secret key sealed by the token.
 * A box is a nonce and what is sealed, with its purpose and the address, and the
 * head where it holds the secret key, as associated data.
 */
#define RECORD_V1 1
#define RECORD_V2 2
#define FLAG_NAMESPACE 0x01
#define FLAG_PASSWORD 0x02
#define HEAD_MAX (1 + 1 + 8 + 1 + ADDRESS_NAME_MAX)
#define KEY_LEN crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_LEN crypto_aead_xchacha20poly1305_ietf_ABYTES
#define KEY_BOX_LEN (NONCE_LEN + ADDRESS_KEY_LEN + TAG_LEN)
#define SECRET_BOX_LEN (NONCE_LEN + ADDRESS_SECRET_LEN + TAG_LEN)
#define PASSWORD_LEN (4 + 4 + PASSWORD_SALT_LEN + KEY_BOX_LEN)
#define RECORD_MAX (HEAD_MAX + KEY_BOX_LEN + PASSWORD_LEN + SECRET_BOX_LEN)

/* Purposes of boxes; the first is that of version 1's only box. */
static const char purpose_secret[] = "addresses";
static const char purpose_token[] = "ratman address by token";
static const char purpose_password[] = "ratman address by password";
#define PURPOSE_MAX sizeof(purpose_password)

static const char token_context[] = "ratman address key v1";
static const char kdf_context[crypto_kdf_CONTEXTBYTES] = { 'r', 'a', 't', 'a', 'd', 'd', 'r', 0 };
static const char router_key[] = "router-key";

/* A record taken apart; pointers are borrowed from its bytes. */
struct record {
	uint8_t version;
	uint8_t flags;
	int64_t created_s;
	const uint8_t *name;
	uint8_t name_len;
	const uint8_t *head;
	size_t head_len;
	const uint8_t *by_token;	/* NULL in version 1 */
	struct password_cost cost;	/* with FLAG_PASSWORD */
	const uint8_t *salt;
	const uint8_t *by_password;
	const uint8_t *secret;
};

static int record_parse(const uint8_t *data, size_t len, struct record *out)
{
	struct wire_reader r;

	memset(out, 0, sizeof(*out));
	wire_read_init(&r, data, len);
	out->version = wire_get_u8(&r);
	out->flags = wire_get_u8(&r);
	out->created_s = (int64_t)wire_get_be64(&r);
	out->name_len = wire_get_u8(&r);
	out->name = wire_get_ref(&r, out->name_len);
	out->head = data;
	out->head_len = len - wire_left(&r);
	if (out->version != RECORD_V1)
		out->by_token = wire_get_ref(&r, KEY_BOX_LEN);
	if (out->flags & FLAG_PASSWORD) {
		out->cost.ops = wire_get_be32(&r);
		out->cost.mem_kib = wire_get_be32(&r);
		out->salt = wire_get_ref(&r, PASSWORD_SALT_LEN);
		out->by_password = wire_get_ref(&r, KEY_BOX_LEN);
	}
	out->secret = wire_get_ref(&r, SECRET_BOX_LEN);
	if (!wire_done(&r) || out->version < RECORD_V1 || out->version > RECORD_V2 ||
	    (out->version == RECORD_V1 && out->flags & FLAG_PASSWORD) ||
	    out->name_len > ADDRESS_NAME_MAX)
		return -EBADMSG;
	return 0;
}

/* The key that @token opens @address with. */
static void token_key(const struct address *address, const struct ident *token,
		      uint8_t key[static KEY_LEN])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, token->b, sizeof(token->b), KEY_LEN);
	crypto_generichash_update(&st, (const uint8_t *)token_context, sizeof(token_context));
	crypto_generichash_update(&st, address->b, ADDRESS_LEN);
	crypto_generichash_final(&st, key, KEY_LEN);
	sodium_memzero(&st, sizeof(st));
}

void address_subkey(const uint8_t key[static ADDRESS_KEY_LEN], enum address_subkey which,
		    uint8_t out[static 32])
{
	crypto_kdf_derive_from_key(out, 32, which, kdf_context, key);
}

#define AD_MAX (PURPOSE_MAX + ADDRESS_LEN + HEAD_MAX)

/*
 * What is authenticated with a box; returns its length. Whether there is a
 * password changes later, so that flag is none of it.
 */
static size_t build_ad(const char *purpose, const struct address *address, const uint8_t *head,
		       size_t head_len, uint8_t ad[static AD_MAX])
{
	struct wire_writer w;

	wire_write_init(&w, ad, AD_MAX);
	wire_put(&w, purpose, strlen(purpose) + 1);
	wire_put(&w, address->b, ADDRESS_LEN);
	if (head_len) {
		uint8_t *flags = w.pos + 1;

		wire_put(&w, head, head_len);
		*flags &= (uint8_t)~FLAG_PASSWORD;
	}
	return wire_len(&w);
}

static void box_seal(struct wire_writer *w, const char *purpose, const struct address *address,
		     const uint8_t *head, size_t head_len, const uint8_t *plain, size_t len,
		     const uint8_t *key)
{
	uint8_t *box = wire_put_ref(w, NONCE_LEN + len + TAG_LEN);
	uint8_t ad[AD_MAX];
	size_t ad_len = build_ad(purpose, address, head, head_len, ad);

	randombytes_buf(box, NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(box + NONCE_LEN, NULL, plain, len, ad, ad_len,
						   NULL, box, key);
}

/* @len is that of the plaintext. */
static int box_open(const uint8_t *box, const char *purpose, const struct address *address,
		    const uint8_t *head, size_t head_len, uint8_t *plain, size_t len,
		    const uint8_t *key)
{
	uint8_t ad[AD_MAX];
	size_t ad_len = build_ad(purpose, address, head, head_len, ad);

	return crypto_aead_xchacha20poly1305_ietf_decrypt(plain, NULL, NULL, box + NONCE_LEN,
							  len + TAG_LEN, ad, ad_len, box, key) ?
		       -EACCES : 0;
}

static void seal_secret(struct wire_writer *w, const struct address *address, size_t head_len,
			const uint8_t *secret, const uint8_t *key)
{
	uint8_t sub[KEY_LEN];

	address_subkey(key, ADDRESS_SUBKEY_SECRET, sub);
	box_seal(w, purpose_secret, address, w->start, head_len, secret, ADDRESS_SECRET_LEN, sub);
	sodium_memzero(sub, sizeof(sub));
}

static int open_secret(const struct record *r, const struct address *address, const uint8_t *key,
		       uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t sub[KEY_LEN];
	int err;

	address_subkey(key, ADDRESS_SUBKEY_SECRET, sub);
	err = box_open(r->secret, purpose_secret, address, r->head, r->head_len, secret,
		       ADDRESS_SECRET_LEN, sub);
	sodium_memzero(sub, sizeof(sub));
	return err;
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

/* What makes a record. */
struct making {
	const char *name;	/* not terminated */
	size_t name_len;
	bool is_namespace;
	int64_t created_s;
	const uint8_t *secret;
	const uint8_t *key;
	const struct password_cost *cost;	/* NULL: no password opens it */
	const uint8_t *salt;
	const uint8_t *wrap;		/* made from the password */
};

/* The key wrapped by that of a password. */
static void put_password(struct wire_writer *w, const struct address *address,
			 const struct password_cost *cost, const uint8_t *salt, const uint8_t *key,
			 const uint8_t *wrap)
{
	wire_put_be32(w, cost->ops);
	wire_put_be32(w, cost->mem_kib);
	wire_put(w, salt, PASSWORD_SALT_LEN);
	box_seal(w, purpose_password, address, NULL, 0, key, ADDRESS_KEY_LEN, wrap);
}

/* Writes the record of @address, opened by @token, into @out; returns its length. */
static size_t record_build(const struct address *address, const struct ident *token,
			   const struct making *m, uint8_t out[static RECORD_MAX])
{
	uint8_t wrap[KEY_LEN];
	struct wire_writer w;
	size_t head_len;

	wire_write_init(&w, out, RECORD_MAX);
	wire_put_u8(&w, RECORD_V2);
	wire_put_u8(&w, (m->is_namespace ? FLAG_NAMESPACE : 0) | (m->cost ? FLAG_PASSWORD : 0));
	wire_put_be64(&w, (uint64_t)m->created_s);
	wire_put_u8(&w, (uint8_t)m->name_len);
	wire_put(&w, m->name, m->name_len);
	head_len = wire_len(&w);
	token_key(address, token, wrap);
	box_seal(&w, purpose_token, address, NULL, 0, m->key, ADDRESS_KEY_LEN, wrap);
	sodium_memzero(wrap, sizeof(wrap));
	if (m->cost)
		put_password(&w, address, m->cost, m->salt, m->key, m->wrap);
	seal_secret(&w, address, head_len, m->secret, m->key);
	return wire_len(&w);
}

/* 0 when there may be one more address. */
static int check_count(struct store *store)
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
	err = check_count(store);
	if (err)
		return err;
	if (seed)
		crypto_sign_seed_keypair(address.b, secret, seed);
	else
		draw_key_pair(&address, secret);
	err = -EEXIST;
	if (store_has(store, STORE_ADDRESSES, address.b, ADDRESS_LEN))
		goto out;
	ident_draw(&fresh);
	crypto_kdf_keygen(key);
	making.created_s = clock_wall_ns() / 1000000000;
	making.secret = secret;
	making.key = key;
	len = record_build(&address, &fresh, &making, record);
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

/*
 * Reads the record of @address into @data (RECORD_MAX bytes), or one that opens
 * for nobody, so that an unknown address takes the same work. 0, -ENOENT (and
 * @out is the other one), or a storage error.
 */
static int load(struct store *store, const struct address *address, uint8_t *data,
		struct record *out)
{
	ssize_t len = store_get(store, STORE_ADDRESSES, address->b, ADDRESS_LEN, data, RECORD_MAX);

	/* One damaged beyond parsing opens for nobody, either. */
	if (len >= 0 && !record_parse(data, (size_t)len, out))
		return 0;
	memset(data, 0, RECORD_MAX);
	data[0] = RECORD_V2;
	if (record_parse(data, 11 + KEY_BOX_LEN + SECRET_BOX_LEN, out))
		return -EBADMSG;
	if (len >= 0 || len == -EMSGSIZE || len == -EBADMSG)
		return 0;
	return (int)len;
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
			record_build(address, token, &making, record));
	if (err)
		log_warn("an address keeps its record of store format 1 for now: %s", strerror(-err));
}

/* Opens both keys; what is not opened is left as it was. */
static int unlock(struct store *store, const struct address *address, const struct ident *token,
		  uint8_t secret[static ADDRESS_SECRET_LEN], uint8_t key[static ADDRESS_KEY_LEN])
{
	uint8_t data[RECORD_MAX], wrap[KEY_LEN];
	struct record r;
	int known = load(store, address, data, &r);
	int err;

	if (known && known != -ENOENT)
		return known;
	token_key(address, token, wrap);
	if (r.version == RECORD_V1) {
		err = box_open(r.secret, purpose_secret, address, r.head, r.head_len, secret,
			       ADDRESS_SECRET_LEN, wrap);
		if (!err)
			upgrade(store, address, token, &r, secret, key);
	} else {
		err = box_open(r.by_token, purpose_token, address, NULL, 0, key, ADDRESS_KEY_LEN,
			       wrap);
		if (!err)
			err = open_secret(&r, address, key, secret);
	}
	sodium_memzero(wrap, sizeof(wrap));
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
		known = load(l->store, &l->address, data, &r);
		err = box_open(r.by_password ? r.by_password : r.secret, purpose_password,
			       &l->address, NULL, 0, key, ADDRESS_KEY_LEN, wrap);
		if (!err)
			err = open_secret(&r, &l->address, key, secret);
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
	int err = load(store, address, data, &r);

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
	int err = load(c->store, &c->address, data, &r);

	if (!err && r.version != RECORD_V2)
		err = -EACCES;
	if (err)
		return err;
	wire_write_init(&w, record, sizeof(record));
	wire_put(&w, r.head, r.head_len);
	record[1] |= FLAG_PASSWORD;
	wire_put(&w, r.by_token, KEY_BOX_LEN);
	put_password(&w, &c->address, &c->cost, c->salt, c->key, wrap);
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
	int err = load(store, address, data, &r);

	if (!err)
		err = open_secret(&r, address, key, secret);
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
	int err = check_count(c->store);

	if (err)
		return err;
	draw_key_pair(address, secret);
	crypto_kdf_keygen(key);
	ident_draw(&nobodys);
	err = store_put(c->store, STORE_ADDRESSES, address->b, ADDRESS_LEN, record,
			record_build(address, &nobodys, &making, record));
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
	int err = password[0] ? check_count(store) : -EINVAL;

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

	if (key_len != ADDRESS_LEN || record_parse(value, value_len, &record))
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
