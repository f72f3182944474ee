// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/service/online.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

struct opened {
	struct records records;
	uint8_t key[ADDRESS_KEY_LEN];
};

struct online {
	struct store *store;
	struct opened *all;	/* sodium_malloc; LIMIT_LOCAL_ADDRESSES of them */
	bool used[LIMIT_LOCAL_ADDRESSES];
};

int online_new(struct online **out, struct store *store)
{
	struct online *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->store = store;
	o->all = sodium_malloc(LIMIT_LOCAL_ADDRESSES * sizeof(*o->all));
	if (!o->all) {
		free(o);
		return -ENOMEM;
	}
	*out = o;
	return 0;
}

void online_free(struct online *o)
{
	if (!o)
		return;
	sodium_free(o->all);
	free(o);
}

static struct opened *find(const struct online *o, const struct address *address)
{
	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++)
		if (o->used[i] && address_equal(&o->all[i].records.address, address))
			return &o->all[i];
	return NULL;
}

int online_add(struct online *o, const struct address *address,
	       const uint8_t key[static ADDRESS_KEY_LEN])
{
	if (find(o, address))
		return 0;
	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++) {
		if (o->used[i])
			continue;
		records_open(&o->all[i].records, o->store, address, key);
		memcpy(o->all[i].key, key, ADDRESS_KEY_LEN);
		o->used[i] = true;
		return 0;
	}
	return -EDQUOT;
}

void online_remove(struct online *o, const struct address *address)
{
	struct opened *e = find(o, address);

	if (!e)
		return;
	o->used[e - o->all] = false;
	sodium_memzero(e, sizeof(*e));
}

const struct records *online_records(const struct online *o, const struct address *address)
{
	const struct opened *e = find(o, address);

	return e ? &e->records : NULL;
}

const uint8_t *online_key(const struct online *o, const struct address *address)
{
	const struct opened *e = find(o, address);

	return e ? e->key : NULL;
}

void online_each(const struct online *o, void (*cb)(void *ctx, const struct records *records),
		 void *ctx)
{
	for (size_t i = 0; i < LIMIT_LOCAL_ADDRESSES; i++)
		if (o->used[i])
			cb(ctx, &o->all[i].records);
}
