// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/bygone.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/wire.h"

/* A record: its version, version of the profile, order, gone. */
#define RECORD_VERSION 1
#define RECORD_LEN (1 + 8 + 8 + 1)

static struct bygone_user *find(const struct bygone *b, const struct address *id)
{
	struct bygone_user *u;

	HASH_FIND(hh, b->all, id->b, ADDRESS_LEN, u);
	return u;
}

static struct bygone_user *insert(struct bygone *b, const struct address *id)
{
	struct bygone_user *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->id = *id;
	HASH_ADD_KEYPTR(hh, b->all, u->id.b, ADDRESS_LEN, u);
	if (!u->hh.tbl) {
		free(u);
		return NULL;
	}
	return u;
}

static void drop(struct bygone *b, struct bygone_user *u)
{
	/* One that stays on the disk only keeps out what is older. */
	(void)store_del(b->store, STORE_BYGONE, u->id.b, ADDRESS_LEN);
	HASH_DEL(b->all, u);
	free(u);
}

static void save(struct bygone *b, const struct bygone_user *u)
{
	uint8_t record[RECORD_LEN];
	struct wire_writer w;

	wire_write_init(&w, record, sizeof(record));
	wire_put_u8(&w, RECORD_VERSION);
	wire_put_be64(&w, u->version);
	wire_put_be64(&w, u->order);
	wire_put_u8(&w, u->gone);
	if (store_put(b->store, STORE_BYGONE, u->id.b, ADDRESS_LEN, record, sizeof(record)))
		log_debug("users: who is gone is remembered until the next start only");
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct bygone *b = ctx;
	struct bygone_user *u;
	struct wire_reader r;
	struct address id;

	wire_read_init(&r, value, value_len);
	if (key_len != ADDRESS_LEN || wire_get_u8(&r) != RECORD_VERSION)
		return 0;
	memcpy(id.b, key, ADDRESS_LEN);
	u = insert(b, &id);
	if (!u)
		return -ENOMEM;
	u->version = wire_get_be64(&r);
	u->order = wire_get_be64(&r);
	u->gone = wire_get_u8(&r);
	if (!wire_done(&r)) {
		HASH_DEL(b->all, u);
		free(u);
	} else if (b->next_order <= u->order) {
		b->next_order = u->order + 1;
	}
	return 0;
}

static int by_order(const struct bygone_user *x, const struct bygone_user *y)
{
	return (x->order > y->order) - (x->order < y->order);
}

int bygone_load(struct bygone *b, struct store *store)
{
	int err;

	*b = (struct bygone){ .store = store };
	err = store_each(store, STORE_BYGONE, load_one, b);
	if (err) {
		bygone_free(b);
		return err;
	}
	HASH_SORT(b->all, by_order);
	return 0;
}

void bygone_free(struct bygone *b)
{
	struct bygone_user *u = b->all, *next;

	HASH_CLEAR(hh, b->all);
	for (; u; u = next) {
		next = u->hh.next;
		free(u);
	}
}

int bygone_put(struct bygone *b, const struct address *id, uint64_t version, bool gone)
{
	struct bygone_user *old = find(b, id), *u;

	if (old) {
		if (version < old->version)
			version = old->version;
		gone = gone || old->gone;
		HASH_DEL(b->all, old);
		free(old);
	}
	while (HASH_COUNT(b->all) >= LIMIT_BYGONE)
		drop(b, b->all);
	u = insert(b, id);
	if (!u)
		return -ENOMEM;
	u->version = version;
	u->gone = gone;
	u->order = b->next_order++;
	save(b, u);
	return 0;
}

void bygone_remove(struct bygone *b, const struct address *id)
{
	struct bygone_user *u = find(b, id);

	if (u)
		drop(b, u);
}

uint64_t bygone_version(const struct bygone *b, const struct address *id)
{
	const struct bygone_user *u = find(b, id);

	return u ? u->version : 0;
}

bool bygone_is_gone(const struct bygone *b, const struct address *id)
{
	const struct bygone_user *u = find(b, id);

	return u && u->gone;
}
