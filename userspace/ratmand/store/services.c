// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/services.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/wire.h"
#include "proto/field.h"

/*
 * Two records for each, both under the BLAKE2b of its three texts: the value, and
 * version, length of the value, and the texts. The value is written first and removed last: a
 * value nothing tells of is as good as none.
 */
#define VERSION 1
#define RECORD_LEN_MAX (1 + 4 + LIMIT_SERVICE_NAME + 1 + LIMIT_SERVICE_NS + 1 + LIMIT_SERVICE_KEY + 1)
#define ID_LEN 32

struct entry {
	struct service_key key;	/* behind this, in the same piece of memory */
	uint32_t len;		/* of the value */
	size_t size;		/* of the texts */
	char texts[];
};

struct services {
	const struct records *records;
	struct entry **entries;		/* by service, namespace and key */
	size_t n, room;
	uint64_t bytes;
};

static int compare(const struct service_key *a, const struct service_key *b)
{
	int order = strcmp(a->service, b->service);

	if (!order)
		order = strcmp(a->ns, b->ns);
	return order ? order : strcmp(a->key, b->key);
}

/* Where @key is or belongs. */
static size_t lower_bound(const struct services *s, const struct service_key *key)
{
	size_t from = 0, to = s->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (compare(&s->entries[middle]->key, key) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct entry *find(const struct services *s, const struct service_key *key)
{
	size_t at = lower_bound(s, key);

	return at < s->n && !compare(&s->entries[at]->key, key) ? s->entries[at] : NULL;
}

static struct entry *entry_new(const struct service_key *key, uint32_t len)
{
	size_t service = strlen(key->service) + 1, ns = strlen(key->ns) + 1;
	size_t size = service + ns + strlen(key->key) + 1;
	struct entry *e = malloc(sizeof(*e) + size);

	if (!e)
		return NULL;
	e->len = len;
	e->size = size;
	e->key.service = strcpy(e->texts, key->service);
	e->key.ns = strcpy(e->texts + service, key->ns);
	e->key.key = strcpy(e->texts + service + ns, key->key);
	return e;
}

static void entry_free(struct entry *e)
{
	sodium_memzero(e->texts, e->size);
	free(e);
}

static int reserve(struct services *s)
{
	size_t room = s->room ? 2 * s->room : 16;
	void *more;

	if (s->n < s->room)
		return 0;
	more = realloc(s->entries, room * sizeof(*s->entries));
	if (!more)
		return -ENOMEM;
	s->entries = more;
	s->room = room;
	return 0;
}

static void insert(struct services *s, size_t at, struct entry *e)
{
	memmove(&s->entries[at + 1], &s->entries[at], (s->n - at) * sizeof(*s->entries));
	s->entries[at] = e;
	s->n++;
	s->bytes += e->len;
}

static int load(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct services *s = ctx;
	struct service_key texts;
	struct wire_reader r;
	struct entry *e;
	uint32_t len;

	(void)key;
	(void)key_len;
	wire_read_init(&r, value, value_len);
	if (wire_get_u8(&r) != VERSION || s->n == LIMIT_SERVICES_KEYS)
		return 0;
	len = wire_get_be32(&r);
	texts.service = field_get_str(&r, LIMIT_SERVICE_NAME).at;
	texts.ns = field_get_str(&r, LIMIT_SERVICE_NS).at;
	texts.key = field_get_str(&r, LIMIT_SERVICE_KEY).at;
	if (!wire_done(&r))
		return 0;
	e = reserve(s) ? NULL : entry_new(&texts, len);
	if (!e)
		return -ENOMEM;
	insert(s, s->n, e);
	return 0;
}

static int by_key(const void *a, const void *b)
{
	const struct entry *const *x = a, *const *y = b;

	return compare(&(*x)->key, &(*y)->key);
}

int services_open(struct services **out, const struct records *records)
{
	struct services *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->records = records;
	err = records_each(records, RECORD_SERVICE_NAME, load, s);
	if (err) {
		services_close(s);
		return err;
	}
	if (s->n)
		qsort(s->entries, s->n, sizeof(*s->entries), by_key);
	*out = s;
	return 0;
}

void services_close(struct services *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		entry_free(s->entries[i]);
	free(s->entries);
	free(s);
}

static void make_id(const struct service_key *key, uint8_t id[static ID_LEN])
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, ID_LEN);
	crypto_generichash_update(&st, (const uint8_t *)key->service, strlen(key->service) + 1);
	crypto_generichash_update(&st, (const uint8_t *)key->ns, strlen(key->ns) + 1);
	crypto_generichash_update(&st, (const uint8_t *)key->key, strlen(key->key) + 1);
	crypto_generichash_final(&st, id, ID_LEN);
}

/* Whether the service of @key may keep @len bytes in place of @old, which may be NULL. */
static int check_room(const struct services *s, const struct service_key *key,
		      const struct entry *old, size_t len)
{
	const struct service_key first = { key->service, "", "" };
	uint64_t bytes = 0, was = old ? old->len : 0;
	size_t n = 0;

	for (size_t i = lower_bound(s, &first); i < s->n; i++, n++) {
		if (strcmp(s->entries[i]->key.service, key->service))
			break;
		bytes += s->entries[i]->len;
	}
	if (!old && n >= LIMIT_SERVICE_KEYS)
		return -E2BIG;
	if (bytes - was + len > LIMIT_SERVICE_BYTES)
		return -EFBIG;
	if ((!old && s->n >= LIMIT_SERVICES_KEYS) || s->bytes - was + len > LIMIT_SERVICES_BYTES)
		return -EUSERS;
	return 0;
}

static int put_name(const struct services *s, const struct entry *e, const uint8_t *id)
{
	uint8_t buf[RECORD_LEN_MAX];
	struct wire_writer w;
	int err;

	wire_write_init(&w, buf, sizeof(buf));
	wire_put_u8(&w, VERSION);
	wire_put_be32(&w, e->len);
	wire_put(&w, e->texts, e->size);
	err = w.failed ? -EINVAL : records_put(s->records, RECORD_SERVICE_NAME, id, ID_LEN, buf,
					       wire_len(&w));
	sodium_memzero(buf, sizeof(buf));
	return err;
}

int services_put(struct services *s, const struct service_key *key, const void *value, size_t len)
{
	struct entry *old = find(s, key), *e = NULL;
	uint8_t id[ID_LEN];
	int err = check_room(s, key, old, len);

	if (!err)
		err = reserve(s);
	if (!err) {
		e = entry_new(key, (uint32_t)len);
		err = e ? 0 : -ENOMEM;
	}
	if (err)
		return err;
	make_id(key, id);
	err = records_put(s->records, RECORD_SERVICE, id, ID_LEN, value, len);
	if (!err && (!old || old->len != len))
		err = put_name(s, e, id);
	if (err || old) {
		entry_free(e);
		if (!err) {
			s->bytes += len - (uint64_t)old->len;
			old->len = (uint32_t)len;
		}
		return err;
	}
	insert(s, lower_bound(s, key), e);
	return 0;
}

int services_del(struct services *s, const struct service_key *key)
{
	size_t at = lower_bound(s, key);
	uint8_t id[ID_LEN];
	int err;

	if (!find(s, key))
		return 0;
	make_id(key, id);
	err = records_del(s->records, RECORD_SERVICE_NAME, id, ID_LEN);
	if (!err)
		err = records_del(s->records, RECORD_SERVICE, id, ID_LEN);
	if (err)
		return err;
	s->bytes -= s->entries[at]->len;
	entry_free(s->entries[at]);
	s->n--;
	memmove(&s->entries[at], &s->entries[at + 1], (s->n - at) * sizeof(*s->entries));
	return 0;
}

ssize_t services_get(struct services *s, const struct service_key *key, void *value, size_t size)
{
	uint8_t id[ID_LEN];
	ssize_t len;

	if (!find(s, key))
		return -ENODATA;
	make_id(key, id);
	len = records_get(s->records, RECORD_SERVICE, id, ID_LEN, value, size);
	return len == -ENOENT ? -ENODATA : len;
}

void services_each(const struct services *s, const char *service, const char *ns,
		   void (*cb)(void *ctx, const char *ns, const char *key), void *ctx)
{
	const struct service_key first = { service, ns ? ns : "", "" };

	for (size_t i = lower_bound(s, &first); i < s->n; i++) {
		const struct service_key *key = &s->entries[i]->key;

		if (strcmp(key->service, service) || (ns && strcmp(key->ns, ns)))
			break;
		cb(ctx, key->ns, key->key);
	}
}
