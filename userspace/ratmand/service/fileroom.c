// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/fileroom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"

/* Of STORE_FILES; behind it what the mark is named by, and the name. */
#define GROUP 'u'
#define BY_PARCEL 'p'
#define BY_CONTENT 'c'
/* Of what is free on the disk they take no more than one part of so many. */
#define FREE_SHARE 10

static void key_of_parcel(uint8_t key[static FILEROOM_KEY_LEN], const struct ident *id)
{
	key[0] = GROUP;
	key[1] = BY_PARCEL;
	memcpy(key + 2, id->b, sizeof(id->b));
}

static void key_of_content(uint8_t key[static FILEROOM_KEY_LEN], const struct flow_content *content)
{
	memset(key, 0, FILEROOM_KEY_LEN);
	key[0] = GROUP;
	key[1] = BY_CONTENT;
	memcpy(key + 2, content->tag.b, sizeof(content->tag.b));
}

static struct fileroom_mark *find(const struct fileroom *room, const uint8_t *key)
{
	struct fileroom_mark *m;

	HASH_FIND(hh, room->all, key, FILEROOM_KEY_LEN, m);
	return m;
}

static int insert(struct fileroom *room, const uint8_t *key, uint64_t size)
{
	struct fileroom_mark *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	memcpy(m->key, key, sizeof(m->key));
	m->size = size;
	HASH_ADD_KEYPTR(hh, room->all, m->key, sizeof(m->key), m);
	if (!m->hh.tbl) {
		free(m);
		return -ENOMEM;
	}
	room->total += size;
	return 0;
}

static void drop(struct fileroom *room, struct fileroom_mark *m)
{
	/* One that stays on the disk is noticed after the next start. */
	(void)store_del(room->store, STORE_FILES, m->key, sizeof(m->key));
	room->total -= m->size;
	HASH_DEL(room->all, m);
	free(m);
}

static int put(struct fileroom *room, const uint8_t *key, uint64_t size)
{
	struct wire_writer w;
	uint8_t value[8];
	int err;

	if (find(room, key))
		return 0;
	err = insert(room, key, size);
	if (err)
		return err;
	wire_write_init(&w, value, sizeof(value));
	wire_put_be64(&w, size);
	if (store_put(room->store, STORE_FILES, key, FILEROOM_KEY_LEN, value, sizeof(value)))
		log_debug("files: what came unasked is counted until the next start only");
	return 0;
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct wire_reader r;
	uint64_t size;

	wire_read_init(&r, value, value_len);
	size = wire_get_be64(&r);
	return key_len == FILEROOM_KEY_LEN && wire_done(&r) ? insert(ctx, key, size) : 0;
}

int fileroom_load(struct fileroom *room, struct store *store, struct flow *flow)
{
	static const uint8_t group = GROUP;

	*room = (struct fileroom){ .store = store, .flow = flow, .most = LIMIT_FILE_ACCEPT_TOTAL };
	return store_each_of(store, STORE_FILES, &group, load_one, room);
}

void fileroom_free(struct fileroom *room)
{
	struct fileroom_mark *m = room->all, *next;

	HASH_CLEAR(hh, room->all);
	for (; m; m = next) {
		next = m->hh.next;
		free(m);
	}
}

static bool is_there(const struct fileroom *room, const struct fileroom_mark *m)
{
	struct flow_content content = { .size = m->size };
	struct ident id;

	memcpy(id.b, m->key + 2, sizeof(id.b));
	memcpy(content.tag.b, m->key + 2, sizeof(content.tag.b));
	return m->key[1] == BY_PARCEL ? flow_parcel_is_here(room->flow, &id) :
					flow_content_is_held(room->flow, &content);
}

static void sweep(struct fileroom *room)
{
	struct fileroom_mark *m, *next;

	for (m = room->all; m; m = next) {
		next = m->hh.next;
		if (!is_there(room, m))
			drop(room, m);
	}
}

static bool fits(const struct fileroom *room, const uint8_t *key, uint64_t size)
{
	const struct fileroom_mark *own = find(room, key);
	uint64_t others = room->total - (own ? own->size : 0);
	uint64_t most = (store_room(room->store) + others) / FREE_SHARE;

	if (most > room->most)
		most = room->most;
	return size <= most && others <= most - size;
}

bool fileroom_fits(struct fileroom *room, const struct ident *id, uint64_t size)
{
	uint8_t key[FILEROOM_KEY_LEN];

	key_of_parcel(key, id);
	if (fits(room, key, size))
		return true;
	sweep(room);
	return fits(room, key, size);
}

int fileroom_reserve(struct fileroom *room, const struct ident *id, uint64_t size)
{
	uint8_t key[FILEROOM_KEY_LEN];

	key_of_parcel(key, id);
	return put(room, key, size);
}

void fileroom_keep(struct fileroom *room, const struct ident *id, const struct flow_content *content)
{
	uint8_t key[FILEROOM_KEY_LEN];
	struct fileroom_mark *reserved;

	key_of_content(key, content);
	if (put(room, key, content->size))
		log_debug("files: what came unasked is not counted");
	key_of_parcel(key, id);
	reserved = find(room, key);
	if (reserved)
		drop(room, reserved);
}
