// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/profiles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"

/*
 * A record: version, the three numbers, length of the avatar, then the profile as
 * it stands in lists, without avatar and flags.
 */
#define RECORD_VERSION 1
#define HEAD_LEN (1 + 3 * 8 + 4)
#define RECORD_MAX (HEAD_LEN + PROFILE_MAX - LIMIT_AVATAR)

/* Keys: what it is, whose; of an avatar also the version. */
#define KEY_LEN (1 + ADDRESS_LEN)
#define AVATAR_KEY_LEN (KEY_LEN + 8)
#define IS_PROFILE 'p'
#define IS_AVATAR 'a'

static enum store_table table_of(enum profile_side side)
{
	return side == PROFILES_HERE ? STORE_USERS : STORE_PROFILES;
}

static void make_key(uint8_t key[static KEY_LEN], const struct address *id)
{
	key[0] = IS_PROFILE;
	memcpy(key + 1, id->b, ADDRESS_LEN);
}

static void make_avatar_key(uint8_t key[static AVATAR_KEY_LEN], const struct address *id,
			    uint64_t version)
{
	struct wire_writer w;

	wire_write_init(&w, key, AVATAR_KEY_LEN);
	wire_put_u8(&w, IS_AVATAR);
	wire_put(&w, id->b, ADDRESS_LEN);
	wire_put_be64(&w, version);
}

static size_t write_record(uint8_t out[static RECORD_MAX], const struct profile_record *record)
{
	struct profile bare = record->profile;
	struct wire_writer w;

	bare.avatar = NULL;
	bare.avatar_len = 0;
	bare.flags = 0;
	wire_write_init(&w, out, RECORD_MAX);
	wire_put_u8(&w, RECORD_VERSION);
	wire_put_be64(&w, record->version);
	wire_put_be64(&w, (uint64_t)record->first_ns);
	wire_put_be64(&w, record->avatar_version);
	wire_put_be32(&w, (uint32_t)record->profile.avatar_len);
	profile_write(&w, &bare);
	return wire_len(&w);
}

static int read_record(const void *data, size_t len, struct profile_record *out)
{
	struct wire_reader r;
	size_t avatar_len;

	wire_read_init(&r, data, len);
	if (wire_get_u8(&r) != RECORD_VERSION)
		return -EBADMSG;
	out->version = wire_get_be64(&r);
	out->first_ns = (int64_t)wire_get_be64(&r);
	out->avatar_version = wire_get_be64(&r);
	avatar_len = wire_get_be32(&r);
	if (profile_read(&r, &out->profile) || !wire_done(&r) || avatar_len > LIMIT_AVATAR)
		return -EBADMSG;
	out->profile.avatar_len = avatar_len;
	return 0;
}

/* Reads a record without looking at its avatar. */
static int get(struct store *store, enum store_table table, const struct address *id,
	       struct profile_record *out)
{
	uint8_t key[KEY_LEN], data[RECORD_MAX];
	ssize_t len;

	make_key(key, id);
	len = store_get(store, table, key, sizeof(key), data, sizeof(data));
	if (len < 0)
		return len == -EMSGSIZE ? -EBADMSG : (int)len;
	if (read_record(data, (size_t)len, out) || !address_equal(&out->profile.id, id))
		return -EBADMSG;
	return 0;
}

static int del_avatar(struct store *store, enum store_table table, const struct address *id,
		      uint64_t version)
{
	uint8_t key[AVATAR_KEY_LEN];

	make_avatar_key(key, id, version);
	return store_del(store, table, key, sizeof(key));
}

int profiles_put(struct store *store, enum profile_side side, struct profile_record *record,
		 bool new_avatar)
{
	const struct profile *p = &record->profile;
	uint8_t key[AVATAR_KEY_LEN], data[RECORD_MAX];
	enum store_table table = table_of(side);
	uint64_t old_avatar = record->avatar_version;
	struct profile_record old;
	int err = 0;

	if (new_avatar) {
		old_avatar = get(store, table, &p->id, &old) || !old.profile.avatar_len ?
			     record->version : old.avatar_version;
		record->avatar_version = record->version;
	}
	/* First what is named, then what names it, then what is named no more. */
	if (new_avatar && p->avatar_len) {
		make_avatar_key(key, &p->id, record->version);
		err = store_put(store, table, key, sizeof(key), p->avatar, p->avatar_len);
	}
	if (!err) {
		make_key(key, &p->id);
		err = store_put(store, table, key, KEY_LEN, data, write_record(data, record));
		if (err && new_avatar && p->avatar_len)
			del_avatar(store, table, &p->id, record->version);
	}
	if (!err && old_avatar != record->avatar_version)
		err = del_avatar(store, table, &p->id, old_avatar);
	return err;
}

int profiles_get(struct store *store, enum profile_side side, const struct address *id,
		 struct profile_record *out, uint8_t *avatar)
{
	enum store_table table = table_of(side);
	struct profile *p = &out->profile;
	uint8_t key[AVATAR_KEY_LEN];
	ssize_t len;
	int err = get(store, table, id, out);

	if (err || !avatar || !p->avatar_len)
		return err;
	make_avatar_key(key, id, out->avatar_version);
	len = store_get(store, table, key, sizeof(key), avatar, LIMIT_AVATAR);
	p->avatar = len == (ssize_t)p->avatar_len ? avatar : NULL;
	if (!p->avatar)
		p->avatar_len = 0;
	return 0;
}

bool profiles_has(struct store *store, enum profile_side side, const struct address *id)
{
	uint8_t key[KEY_LEN];

	make_key(key, id);
	return store_has(store, table_of(side), key, sizeof(key));
}

int profiles_remove(struct store *store, enum profile_side side, const struct address *id)
{
	enum store_table table = table_of(side);
	struct profile_record record;
	uint8_t key[KEY_LEN];
	int got = get(store, table, id, &record);
	int err;

	if (got)
		record.profile.avatar_len = 0;
	if (got && got != -EBADMSG)
		return got == -ENOENT ? 0 : got;
	make_key(key, id);
	/* The other way round: an avatar that is left is found, a profile without one is wrong. */
	err = store_del(store, table, key, sizeof(key));
	if (!err && record.profile.avatar_len)
		err = del_avatar(store, table, id, record.avatar_version);
	return err;
}

struct walk {
	profiles_cb cb;
	void *ctx;
};

static int walk_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct profile_record record;
	struct walk *walk = ctx;

	if (key_len == KEY_LEN && !read_record(value, value_len, &record) &&
	    !memcmp((const uint8_t *)key + 1, record.profile.id.b, ADDRESS_LEN))
		walk->cb(walk->ctx, &record);
	return 0;
}

int profiles_each(struct store *store, enum profile_side side, profiles_cb cb, void *ctx)
{
	static const uint8_t prefix = IS_PROFILE;
	struct walk walk = { cb, ctx };

	return store_each_of(store, table_of(side), &prefix, walk_record, &walk);
}

/* The keys of all avatars. */
struct avatar_keys {
	uint8_t (*list)[AVATAR_KEY_LEN];	/* owned */
	size_t n, room;
};

static int keep_key(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct avatar_keys *keys = ctx;

	(void)value;
	(void)value_len;
	if (key_len != AVATAR_KEY_LEN)
		return 0;
	if (keys->n == keys->room) {
		size_t room = keys->room ? 2 * keys->room : 64;
		void *list = reallocarray(keys->list, room, sizeof(*keys->list));

		if (!list)
			return -ENOMEM;
		keys->list = list;
		keys->room = room;
	}
	memcpy(keys->list[keys->n++], key, key_len);
	return 0;
}

int profiles_tidy(struct store *store, enum profile_side side)
{
	static const uint8_t prefix = IS_AVATAR;
	enum store_table table = table_of(side);
	struct avatar_keys keys = { .n = 0 };
	uint8_t named[AVATAR_KEY_LEN];
	struct profile_record record;
	struct address id;
	int err = store_each_key(store, table, &prefix, keep_key, &keys);

	for (size_t i = 0; i < keys.n && !err; i++) {
		int got;

		memcpy(id.b, keys.list[i] + 1, ADDRESS_LEN);
		got = get(store, table, &id, &record);
		if (!got && record.profile.avatar_len) {
			make_avatar_key(named, &id, record.avatar_version);
			if (!memcmp(named, keys.list[i], sizeof(named)))
				continue;
		}
		/* What is damaged may be mended from a backup: it keeps its avatar. */
		if (got != -EBADMSG)
			err = store_del(store, table, keys.list[i], AVATAR_KEY_LEN);
	}
	free(keys.list);
	return err;
}
