// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/catalogs.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* In STORE_FILES: 'l' and the key, and there a byte (1: own) and the notice. */
#define TYPE 'l'
#define KEY_LEN (1 + sizeof(struct catalog_key))
#define VALUE_MAX (1 + NOTICE_MAX)

static struct catalog_key make_key(const struct recipient *group, const struct address *owner)
{
	struct catalog_key key = { .owner = *owner };

	key.group[0] = (uint8_t)group->kind;
	if (group->kind != RECIPIENT_NONE)
		memcpy(key.group + 1, group->address.b, ADDRESS_LEN);
	return key;
}

static void store_key(const struct catalog_key *key, uint8_t out[static KEY_LEN])
{
	out[0] = TYPE;
	memcpy(out + 1, key, sizeof(*key));
}

static struct catalog *find(const struct catalogs *c, const struct catalog_key *key)
{
	struct catalog *found;

	HASH_FIND(hh, c->all, key, sizeof(*key), found);
	return found;
}

const struct catalog *catalogs_find(const struct catalogs *c, const struct recipient *group,
				    const struct address *owner)
{
	const struct catalog_key key = make_key(group, owner);

	return find(c, &key);
}

const struct notice_file *catalog_file(const struct catalog *c, const struct ident *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (ident_equal(&c->files[i].id, id))
			return &c->files[i];
	return NULL;
}

static void drop(struct catalogs *c, struct catalog *old)
{
	HASH_DEL(c->all, old);
	if (!old->own)
		c->n_files -= old->n;
	sodium_memzero(old->grant, sizeof(old->grant));
	free(old);
}

/* Puts a catalog into memory in place of the one before. -ENOMEM. */
static int take(struct catalogs *c, const struct catalog_key *key, bool own, struct notice notice)
{
	struct catalog *old = find(c, key);
	struct catalog *new = calloc(1, sizeof(*new) + notice.n * sizeof(new->files[0]));

	if (!new)
		return -ENOMEM;
	new->key = *key;
	new->group.kind = (enum recipient_kind)key->group[0];
	memcpy(new->group.address.b, key->group + 1, ADDRESS_LEN);
	new->own = own;
	new->stamp = notice.stamp;
	memcpy(new->grant, notice.grant, sizeof(new->grant));
	new->n = notice.n;
	for (size_t i = 0; i < new->n; i++)
		notice_next(&notice, &new->files[i]);
	if (old)
		drop(c, old);
	HASH_ADD(hh, c->all, key, sizeof(new->key), new);
	if (!new->hh.tbl) {
		free(new);
		return -ENOMEM;
	}
	if (!own)
		c->n_files += new->n;
	return 0;
}

static void forget(struct catalogs *c, struct catalog *old)
{
	uint8_t key[KEY_LEN];

	store_key(&old->key, key);
	(void)store_del(c->store, STORE_FILES, key, sizeof(key));
	drop(c, old);
}

/* The oldest of others go until there is room. An empty one counts, too: it costs memory. */
static void make_room(struct catalogs *c, const struct catalog_key *but)
{
	while (c->n_files > LIMIT_FILE_GROUPS || HASH_COUNT(c->all) > LIMIT_FILE_GROUPS) {
		struct catalog *oldest = NULL;

		for (struct catalog *k = c->all; k; k = k->hh.next)
			if (!k->own && memcmp(&k->key, but, sizeof(*but)) &&
			    (!oldest || k->stamp < oldest->stamp))
				oldest = k;
		if (!oldest)
			return;
		forget(c, oldest);
	}
}

int catalogs_put(struct catalogs *c, const struct recipient *group, const struct address *owner,
		 bool own, const struct notice *notice, const uint8_t *data, size_t len)
{
	const struct catalog_key key = make_key(group, owner);
	const struct catalog *old = find(c, &key);
	uint8_t name[KEY_LEN];
	uint8_t *value;
	int err;

	if (old && old->stamp >= notice->stamp)
		return 0;
	if (len > NOTICE_MAX)
		return -EINVAL;
	value = malloc(1 + len);
	if (!value)
		return -ENOMEM;
	value[0] = own;
	memcpy(value + 1, data, len);
	store_key(&key, name);
	err = store_put(c->store, STORE_FILES, name, sizeof(name), value, 1 + len);
	free(value);
	if (!err)
		err = take(c, &key, own, *notice);
	if (err)
		return err;
	if (own)
		find(c, &key)->said_s = (uint64_t)(clock_wall_ns() / 1000000000);
	make_room(c, &key);
	return 1;
}

void catalogs_remove(struct catalogs *c, const struct address *owner)
{
	struct catalog *k, *next;

	for (k = c->all; k; k = next) {
		next = k->hh.next;
		if (address_equal(&k->key.owner, owner))
			forget(c, k);
	}
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct catalogs *c = ctx;
	const uint8_t *bytes = value;
	struct catalog_key k;
	struct notice notice;

	if (key_len != KEY_LEN || value_len < 1 || notice_read(bytes + 1, value_len - 1, &notice) ||
	    notice.kind != NOTICE_CATALOG)
		return 0;
	memcpy(&k, (const uint8_t *)key + 1, sizeof(k));
	return take(c, &k, bytes[0], notice);
}

int catalogs_load(struct catalogs *c, struct store *store)
{
	static const uint8_t type = TYPE;

	*c = (struct catalogs){ .store = store };
	return store_each_of(store, STORE_FILES, &type, load_one, c);
}

void catalogs_free(struct catalogs *c)
{
	struct catalog *k = c->all, *next;

	HASH_CLEAR(hh, c->all);
	for (; k; k = next) {
		next = k->hh.next;
		sodium_memzero(k->grant, sizeof(k->grant));
		free(k);
	}
}
