// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/contacts.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/store/sealed.h"

/* Inside the seal: the payload of Contact/Add. */
#define RECORD_MAX (CONTACT_PAYLOAD_MAX + SEALED_OVERHEAD)

static const char table_name[] = "contacts";

/* The first half of an ed25519 secret key is the secret, the other half the address. */
static void open_owner(struct sealed *s, const uint8_t secret[static ADDRESS_SECRET_LEN])
{
	sealed_init(s, table_name, secret);
}

static void report_damage(const uint8_t secret[static ADDRESS_SECRET_LEN], int n)
{
	static struct log_gate gate;
	char text[ADDRESS_TEXT_LEN];
	struct address owner;

	if (!log_gate_open(&gate, clock_ms(), 8, 60000))
		return;
	memcpy(owner.b, secret + ADDRESS_SECRET_LEN - ADDRESS_LEN, ADDRESS_LEN);
	log_warn("store: %d contacts of %.9s… are damaged and left out; add them again, or delete them",
		 n, address_format(&owner, text));
}

/* Opens one record; -EBADMSG unless it is whole and about what its name says. */
static int open_record(const struct sealed *s, const struct sealed_name *name, const void *data,
		       size_t len, struct contact *out)
{
	uint8_t plain[CONTACT_PAYLOAD_MAX];
	ssize_t n = sealed_open(s, name, data, len, plain, sizeof(plain));
	struct sealed_name own;
	int err = -EBADMSG;

	if (n >= 0 && !contact_read(plain, (size_t)n, out)) {
		own = sealed_name(s, out->address.b, ADDRESS_LEN);
		err = memcmp(own.b, name->b, sizeof(own.b)) ? -EBADMSG : 0;
	}
	sodium_memzero(plain, sizeof(plain));
	return err;
}

static int get(struct store *store, const struct sealed *s, const struct address *address,
	       struct contact *out)
{
	struct sealed_name name = sealed_name(s, address->b, ADDRESS_LEN);
	uint8_t data[RECORD_MAX];
	ssize_t len = store_get(store, STORE_CONTACTS, name.b, sizeof(name.b), data, sizeof(data));

	if (len < 0)
		return len == -EMSGSIZE ? -EBADMSG : (int)len;
	return open_record(s, &name, data, (size_t)len, out);
}

static int put(struct store *store, const struct sealed *s, const struct contact *contact)
{
	struct sealed_name name = sealed_name(s, contact->address.b, ADDRESS_LEN);
	uint8_t plain[CONTACT_PAYLOAD_MAX], data[RECORD_MAX];
	struct wire_writer w;
	int err;

	wire_write_init(&w, plain, sizeof(plain));
	contact_write(&w, contact);
	if (w.failed)
		return -EINVAL;
	sealed_close(s, &name, plain, wire_len(&w), data);
	err = store_put(store, STORE_CONTACTS, name.b, sizeof(name.b), data,
			wire_len(&w) + SEALED_OVERHEAD);
	sodium_memzero(plain, sizeof(plain));
	return err;
}

static int count_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	return ++*(int *)ctx >= LIMIT_CONTACTS ? -E2BIG : 0;
}

int contacts_put(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		 const struct contact *contact)
{
	struct sealed_name name;
	struct sealed s;
	int count = 0, err = 0;

	open_owner(&s, secret);
	name = sealed_name(&s, contact->address.b, ADDRESS_LEN);
	if (!store_has(store, STORE_CONTACTS, name.b, sizeof(name.b)))
		err = store_each_key(store, STORE_CONTACTS, s.prefix, count_one, &count);
	if (!err)
		err = put(store, &s, contact);
	sealed_wipe(&s);
	return err;
}

int contacts_get(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		 const struct address *address, struct contact *out)
{
	struct sealed s;
	int err;

	open_owner(&s, secret);
	err = get(store, &s, address, out);
	sealed_wipe(&s);
	if (err == -EBADMSG)
		report_damage(secret, 1);
	return err;
}

int contacts_remove(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		    const struct address *address)
{
	struct sealed_name name;
	struct sealed s;

	open_owner(&s, secret);
	name = sealed_name(&s, address->b, ADDRESS_LEN);
	sealed_wipe(&s);
	if (!store_has(store, STORE_CONTACTS, name.b, sizeof(name.b)))
		return -ENOENT;
	return store_del(store, STORE_CONTACTS, name.b, sizeof(name.b));
}

struct walk {
	const struct sealed *sealed;
	contacts_cb cb;
	void *ctx;
	int damaged;
};

static int walk_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	struct sealed_name name = { { 0 } };
	struct walk *walk = ctx;
	struct contact contact;

	if (key_len == sizeof(name.b))
		memcpy(name.b, key, key_len);
	if (open_record(walk->sealed, &name, value, value_len, &contact))
		walk->damaged++;
	else
		walk->cb(walk->ctx, &contact);
	return 0;
}

static int each(struct store *store, const struct sealed *s, contacts_cb cb, void *ctx)
{
	struct walk walk = { .sealed = s, .cb = cb, .ctx = ctx };
	int err = store_each_of(store, STORE_CONTACTS, s->prefix, walk_record, &walk);

	return err ? err : walk.damaged;
}

struct names {
	struct sealed_name *list;	/* room for LIMIT_CONTACTS */
	size_t n;
};

static int keep_name(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct names *names = ctx;

	(void)value;
	(void)value_len;
	if (key_len == SEALED_NAME_LEN && names->n < LIMIT_CONTACTS)
		memcpy(names->list[names->n++].b, key, key_len);
	return 0;
}

int contacts_walk_begin(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
			struct contacts_walk *walk)
{
	struct names names = { .list = calloc(LIMIT_CONTACTS, sizeof(*names.list)) };
	struct sealed s;
	int err;

	if (!names.list)
		return -ENOMEM;
	open_owner(&s, secret);
	err = store_each_key(store, STORE_CONTACTS, s.prefix, keep_name, &names);
	sealed_wipe(&s);
	if (err) {
		free(names.list);
		return err;
	}
	*walk = (struct contacts_walk){ .names = names.list, .n = names.n };
	return 0;
}

int contacts_walk_next(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		       struct contacts_walk *walk, size_t max, contacts_cb cb, void *ctx)
{
	uint8_t data[RECORD_MAX];
	struct contact contact;
	struct sealed s;
	bool more;

	open_owner(&s, secret);
	for (; max && walk->at < walk->n; max--) {
		const struct sealed_name *name = &walk->names[walk->at++];
		ssize_t len = store_get(store, STORE_CONTACTS, name->b, sizeof(name->b), data,
					sizeof(data));

		if (len == -ENOENT)
			continue;
		if (len < 0 || open_record(&s, name, data, (size_t)len, &contact))
			walk->damaged++;
		else
			cb(ctx, &contact);
	}
	sealed_wipe(&s);
	more = walk->at < walk->n;
	if (!more && walk->damaged)
		report_damage(secret, walk->damaged);
	return more;
}

void contacts_walk_end(struct contacts_walk *walk)
{
	free(walk->names);
	*walk = (struct contacts_walk){ 0 };
}

/* What a change is tried on before anything is written. */
struct trial {
	const struct contact_change *change;
	struct address *list;	/* owned; room for LIMIT_CONTACTS */
	size_t n;
	int err;
};

static void try_change(void *ctx, const struct contact *contact)
{
	struct contact changed = *contact;
	struct trial *t = ctx;

	if (t->err || t->n == LIMIT_CONTACTS)
		return;
	t->list[t->n++] = contact->address;
	t->err = contact_change_apply(t->change, &changed);
}

static int change_all(struct store *store, const struct sealed *s, struct trial *t)
{
	struct contact contact;
	int err;

	if (t->change->has_address) {
		err = get(store, s, &t->change->address, &contact);
		if (!err)
			try_change(t, &contact);
	} else {
		err = each(store, s, try_change, t);
		err = err > 0 ? 0 : err;
	}
	if (!err)
		err = t->err;
	/* Half of it must not be refused for want of room. */
	if (!err && store_room(store) < t->n * RECORD_MAX)
		err = -EDQUOT;
	for (size_t i = 0; i < t->n && !err; i++) {
		err = get(store, s, &t->list[i], &contact);
		if (!err)
			err = contact_change_apply(t->change, &contact);
		if (!err)
			err = put(store, s, &contact);
	}
	return err;
}

int contacts_modify(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN],
		    const struct contact_change *change, struct address **touched, size_t *n)
{
	struct trial t = { .change = change, .list = calloc(LIMIT_CONTACTS, sizeof(*t.list)) };
	struct sealed s;
	int err;

	if (!t.list)
		return -ENOMEM;
	open_owner(&s, secret);
	err = change_all(store, &s, &t);
	sealed_wipe(&s);
	if (err) {
		free(t.list);
		return err;
	}
	*touched = t.list;
	*n = t.n;
	return 0;
}

int contacts_purge(struct store *store, const uint8_t secret[static ADDRESS_SECRET_LEN])
{
	struct names names = { .list = calloc(LIMIT_CONTACTS, sizeof(*names.list)) };
	struct sealed s;
	int err;

	if (!names.list)
		return -ENOMEM;
	open_owner(&s, secret);
	err = store_each_key(store, STORE_CONTACTS, s.prefix, keep_name, &names);
	sealed_wipe(&s);
	for (size_t i = 0; i < names.n && !err; i++)
		err = store_del(store, STORE_CONTACTS, names.list[i].b, SEALED_NAME_LEN);
	free(names.list);
	return err;
}
