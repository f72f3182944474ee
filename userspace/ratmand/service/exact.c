// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/exact.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "ratmand/service/fold.h"

/* A record: hash of the value, whose it is; without contents. */
#define HASH_LEN 16
#define KEY_LEN (HASH_LEN + ADDRESS_LEN)

/* Handle, display name, keys and values of the bio, services. */
#define VALUES_MAX (2 + 2 * LIMIT_BIO_PAIRS + LIMIT_PROFILE_SERVICES)

/* The values of a profile, each once. */
struct values {
	uint8_t list[VALUES_MAX][HASH_LEN];
	size_t n;
};

static void hash_value(const char *text, uint8_t out[static HASH_LEN])
{
	static uint32_t folded[LIMIT_BIO_BYTES];
	size_t n = fold_text(text, folded, LIMIT_BIO_BYTES);

	crypto_generichash(out, HASH_LEN, (const uint8_t *)folded, n * sizeof(folded[0]), NULL, 0);
}

static bool has(const struct values *v, const uint8_t hash[static HASH_LEN])
{
	for (size_t i = 0; i < v->n; i++)
		if (!memcmp(v->list[i], hash, HASH_LEN))
			return true;
	return false;
}

static void add(struct values *v, const char *text)
{
	hash_value(text, v->list[v->n]);
	v->n += !has(v, v->list[v->n]);
}

static void collect(const struct profile *p, struct values *v)
{
	struct profile_pair pair;
	const char *name;

	v->n = 0;
	if (!p)
		return;
	if (p->has_handle)
		add(v, p->handle);
	if (p->has_display_name)
		add(v, p->display_name);
	for (size_t at = 0; profile_bio_next(&p->bio, &at, &pair);) {
		add(v, pair.key);
		add(v, pair.value);
	}
	for (size_t at = 0; (name = profile_services_next(&p->services, &at));)
		add(v, name);
}

static void make_key(uint8_t key[static KEY_LEN], const uint8_t *hash, const struct address *id)
{
	memcpy(key, hash, HASH_LEN);
	memcpy(key + HASH_LEN, id->b, ADDRESS_LEN);
}

/* Removes the first @n values of @v that @keep has not. */
static void remove_values(struct store *store, const struct address *id, const struct values *v,
			  size_t n, const struct values *keep)
{
	uint8_t key[KEY_LEN];

	for (size_t i = 0; i < n; i++) {
		if (has(keep, v->list[i]))
			continue;
		make_key(key, v->list[i], id);
		store_del(store, STORE_PROFILE_VALUES, key, sizeof(key));
	}
}

int exact_add(struct store *store, const struct profile *old, const struct profile *new)
{
	struct values before, after;
	uint8_t key[KEY_LEN];
	int err = 0;

	collect(old, &before);
	collect(new, &after);
	for (size_t i = 0; i < after.n && !err; i++) {
		if (has(&before, after.list[i]))
			continue;
		make_key(key, after.list[i], &new->id);
		err = store_put(store, STORE_PROFILE_VALUES, key, sizeof(key), NULL, 0);
		if (err)
			remove_values(store, &new->id, &after, i, &before);
	}
	return err;
}

void exact_remove(struct store *store, const struct profile *old, const struct profile *new)
{
	struct values before, after;

	collect(old, &before);
	collect(new, &after);
	remove_values(store, &old->id, &before, before.n, &after);
}

struct found {
	struct address *list;
	size_t n, max;
};

static int keep(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct found *f = ctx;

	(void)value;
	(void)value_len;
	if (key_len != KEY_LEN)
		return 0;
	if (f->n == f->max)
		return -E2BIG;
	memcpy(f->list[f->n++].b, (const uint8_t *)key + HASH_LEN, ADDRESS_LEN);
	return 0;
}

ssize_t exact_find(struct store *store, const char *text, struct address *out, size_t max)
{
	struct found f = { .list = out, .max = max };
	uint8_t hash[HASH_LEN];
	int err;

	hash_value(text, hash);
	err = store_each_key(store, STORE_PROFILE_VALUES, hash, keep, &f);
	return err ? err : (ssize_t)f.n;
}
