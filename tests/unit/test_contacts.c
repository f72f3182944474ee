// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sealed records and the table of contacts: what comes back after a restart,
 * what another owner sees, damage, limits, and what the disk tells.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/log.h"
#include "ratmand/store/contacts.h"
#include "ratmand/store/sealed.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN];
static uv_loop_t loop;
static struct store *store;
/* Secret keys of two owners. */
static uint8_t alice[ADDRESS_SECRET_LEN], bob[ADDRESS_SECRET_LEN];

static int setup(void **state)
{
	uint8_t pk[32];

	(void)state;
	log_set_level(LOG_ERROR);
	scratch_begin(dir, &loop, &store);
	crypto_sign_keypair(pk, alice);
	crypto_sign_keypair(pk, bob);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return scratch_end(dir, &loop, store);
}

static void reopen(void)
{
	store_close(store);
	scratch_store(&store, &loop, dir);
}

static struct contact make(uint32_t number, const char *note, uint8_t trust)
{
	struct contact c = { .trust = trust };

	crypto_generichash(c.address.b, 32, (const uint8_t *)&number, sizeof(number), NULL, 0);
	assert_int_equal(contact_set_note(&c, note), 0);
	return c;
}

static void tag(struct contact *c, const char *key, const char *value)
{
	assert_int_equal(contact_tags_set(&c->tags, key, value), 0);
}

static bool same(const struct contact *a, const struct contact *b)
{
	return address_equal(&a->address, &b->address) && !strcmp(a->note, b->note) &&
	       a->trust == b->trust && a->tags.n == b->tags.n && a->tags.len == b->tags.len &&
	       !memcmp(a->tags.bytes, b->tags.bytes, a->tags.len);
}

static void count(void *ctx, const struct contact *contact)
{
	(void)contact;
	++*(int *)ctx;
}

/* Counts those that can be read; how many cannot. @max: in one step. */
static int walk(const uint8_t *secret, size_t max, int *n)
{
	struct contacts_walk w;
	int more, damaged;

	*n = 0;
	assert_int_equal(contacts_walk_begin(store, secret, &w), 0);
	do {
		more = contacts_walk_next(store, secret, &w, max, count, n);
	} while (more > 0);
	assert_int_equal(more, 0);
	damaged = w.damaged;
	contacts_walk_end(&w);
	return damaged;
}

static int contacts_of(const uint8_t *secret)
{
	int n, again;

	assert_int_equal(walk(secret, 1000, &n), 0);
	assert_int_equal(walk(secret, 1, &again), 0);
	assert_int_equal(n, again);
	return n;
}

/* What goes between two steps is left out, what comes is not seen. */
static void walk_over_changes(void **state)
{
	struct contact a = make(1, "", 1), b = make(2, "", 1), c = make(3, "", 1);
	struct contacts_walk w;
	int n = 0;

	(void)state;
	assert_int_equal(contacts_put(store, alice, &a), 0);
	assert_int_equal(contacts_put(store, alice, &b), 0);
	assert_int_equal(contacts_walk_begin(store, alice, &w), 0);
	assert_int_equal(contacts_walk_next(store, alice, &w, 1, count, &n), 1);
	assert_int_equal(contacts_remove(store, alice, &a.address), 0);
	assert_int_equal(contacts_remove(store, alice, &b.address), 0);
	assert_int_equal(contacts_put(store, alice, &c), 0);
	assert_int_equal(contacts_walk_next(store, alice, &w, 1, count, &n), 0);
	assert_int_equal(contacts_walk_next(store, alice, &w, 1, count, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(w.damaged, 0);
	contacts_walk_end(&w);
	assert_int_equal(contacts_remove(store, alice, &c.address), 0);
}

static void life(void **state)
{
	struct contact a = make(1, "from the train", 5), b = make(2, "", 1), got;

	(void)state;
	tag(&a, "nick", "Anna");
	assert_int_equal(contacts_get(store, alice, &a.address, &got), -ENOENT);
	assert_int_equal(contacts_remove(store, alice, &a.address), -ENOENT);
	assert_int_equal(contacts_put(store, alice, &a), 0);
	assert_int_equal(contacts_put(store, alice, &b), 0);
	/* Before and after the commit, and after a restart. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(contacts_get(store, alice, &a.address, &got), 0);
		assert_true(same(&a, &got));
		assert_int_equal(contacts_get(store, alice, &b.address, &got), 0);
		assert_true(same(&b, &got));
		assert_int_equal(contacts_of(alice), 2);
		if (i)
			reopen();
		else
			assert_int_equal(store_flush(store), 0);
	}
	/* Put again: replaced, not added. */
	assert_int_equal(contact_set_note(&a, "from the ferry"), 0);
	a.trust = 2;
	assert_int_equal(contacts_put(store, alice, &a), 0);
	reopen();
	assert_int_equal(contacts_get(store, alice, &a.address, &got), 0);
	assert_true(same(&a, &got));
	assert_int_equal(contacts_of(alice), 2);
	assert_int_equal(contacts_remove(store, alice, &a.address), 0);
	reopen();
	assert_int_equal(contacts_get(store, alice, &a.address, &got), -ENOENT);
	assert_int_equal(contacts_of(alice), 1);
}

static void owners_apart(void **state)
{
	struct contact a = make(1, "alice's", 7), b = make(1, "bob's", 1), got;

	(void)state;
	assert_int_equal(contacts_put(store, alice, &a), 0);
	assert_int_equal(contacts_get(store, bob, &a.address, &got), -ENOENT);
	assert_int_equal(contacts_remove(store, bob, &a.address), -ENOENT);
	assert_int_equal(contacts_of(bob), 0);
	assert_int_equal(contacts_put(store, bob, &b), 0);
	reopen();
	assert_int_equal(contacts_get(store, alice, &a.address, &got), 0);
	assert_string_equal(got.note, "alice's");
	assert_int_equal(contacts_get(store, bob, &a.address, &got), 0);
	assert_string_equal(got.note, "bob's");
	assert_int_equal(contacts_purge(store, alice), 0);
	reopen();
	assert_int_equal(contacts_of(alice), 0);
	assert_int_equal(contacts_of(bob), 1);
}

/* Every record as it lies on the disk. */
struct raw {
	uint8_t name[64][SEALED_NAME_LEN];
	uint8_t value[64][4096];
	size_t len[64];
	size_t n;
};

static int keep(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct raw *raw = ctx;

	assert_int_equal(key_len, SEALED_NAME_LEN);
	assert_true(raw->n < 64);
	memcpy(raw->name[raw->n], key, key_len);
	memcpy(raw->value[raw->n], value, value_len);
	raw->len[raw->n++] = value_len;
	return 0;
}

static struct raw *read_raw(void)
{
	struct raw *raw = calloc(1, sizeof(*raw));

	assert_int_equal(store_each(store, STORE_CONTACTS, keep, raw), 0);
	return raw;
}

static void write_raw(const uint8_t *name, const uint8_t *value, size_t len)
{
	assert_int_equal(store_put(store, STORE_CONTACTS, name, SEALED_NAME_LEN, value, len), 0);
}

/* A damaged record is told, and is the only one that suffers. */
static void damage(void **state)
{
	struct contact a = make(1, "first", 3), b = make(2, "second", 4), got;
	struct contact_change change = { .has_trust = true, .trust = 6 };
	struct address *touched;
	struct raw *raw;
	size_t n;
	int seen;

	(void)state;
	assert_int_equal(contacts_put(store, alice, &a), 0);
	raw = read_raw();
	assert_int_equal(contacts_put(store, alice, &b), 0);
	for (size_t i = 0; i < raw->len[0]; i++) {
		raw->value[0][i] ^= 0x10;
		write_raw(raw->name[0], raw->value[0], raw->len[0]);
		assert_int_equal(contacts_get(store, alice, &a.address, &got), -EBADMSG);
		raw->value[0][i] ^= 0x10;
	}
	for (size_t len = 0; len < raw->len[0]; len++) {
		write_raw(raw->name[0], raw->value[0], len);
		assert_int_equal(contacts_get(store, alice, &a.address, &got), -EBADMSG);
	}
	reopen();
	assert_int_equal(walk(alice, 1, &seen), 1);
	assert_int_equal(seen, 1);
	assert_int_equal(contacts_get(store, alice, &b.address, &got), 0);
	assert_true(same(&b, &got));
	/* All others can be changed; the damaged one only replaced or deleted. */
	assert_int_equal(contacts_modify(store, alice, &change, &touched, &n), 0);
	assert_int_equal(n, 1);
	assert_true(address_equal(&touched[0], &b.address));
	free(touched);
	change.has_address = true;
	change.address = a.address;
	assert_int_equal(contacts_modify(store, alice, &change, &touched, &n), -EBADMSG);
	assert_int_equal(contacts_put(store, alice, &a), 0);
	assert_int_equal(contacts_get(store, alice, &a.address, &got), 0);
	write_raw(raw->name[0], raw->value[0], raw->len[0] - 1);
	assert_int_equal(contacts_remove(store, alice, &a.address), 0);
	assert_int_equal(contacts_of(alice), 1);
	/* A record under another's name is none: nobody can be put in another's place. */
	write_raw(raw->name[0], raw->value[0], raw->len[0]);
	raw->name[0][SEALED_NAME_LEN - 1] ^= 1;
	write_raw(raw->name[0], raw->value[0], raw->len[0]);
	assert_int_equal(walk(alice, 1, &seen), 1);
	assert_int_equal(seen, 2);
	free(raw);
}

static void modify(void **state)
{
	struct contact_change change = { .has_trust = true, .trust = 2 };
	struct contact c, got;
	struct address *touched;
	static char text[LIMIT_CONTACT_TAG_BYTES - 16];
	size_t n;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	for (uint32_t i = 0; i < 5; i++) {
		c = make(i, "note", 5);
		tag(&c, "old", "1");
		assert_int_equal(contacts_put(store, alice, &c), 0);
	}
	assert_int_equal(contact_tags_set(&change.set, "new", "2"), 0);
	assert_int_equal(contact_tags_set(&change.remove, "old", ""), 0);
	assert_int_equal(contacts_modify(store, alice, &change, &touched, &n), 0);
	assert_int_equal(n, 5);
	free(touched);
	reopen();
	for (uint32_t i = 0; i < 5; i++) {
		c = make(i, "note", 2);
		tag(&c, "new", "2");
		assert_int_equal(contacts_get(store, alice, &c.address, &got), 0);
		assert_true(same(&c, &got));
	}
	/* One of them would get too much: none is changed. */
	tag(&c, "fat", text);
	assert_int_equal(contacts_put(store, alice, &c), 0);
	memset(&change, 0, sizeof(change));
	assert_int_equal(contact_tags_set(&change.set, "more", "1"), 0);
	assert_int_equal(contacts_modify(store, alice, &change, &touched, &n), -E2BIG);
	for (uint32_t i = 0; i < 5; i++) {
		c = make(i, "note", 2);
		assert_int_equal(contacts_get(store, alice, &c.address, &got), 0);
		assert_null(contact_tags_find(&got.tags, "more"));
	}
	change.has_address = true;
	change.address = c.address;
	change.address.b[0] ^= 1;
	assert_int_equal(contacts_modify(store, alice, &change, &touched, &n), -ENOENT);
	change.address = make(1, "", 1).address;
	assert_int_equal(contacts_modify(store, alice, &change, &touched, &n), 0);
	assert_int_equal(n, 1);
	free(touched);
	assert_int_equal(contacts_get(store, alice, &change.address, &got), 0);
	assert_string_equal(contact_tags_find(&got.tags, "more"), "1");
	/* Nobody's contacts: nothing touched, no error. */
	change.has_address = false;
	assert_int_equal(contacts_modify(store, bob, &change, &touched, &n), 0);
	assert_int_equal(n, 0);
	free(touched);
}

static void limit(void **state)
{
	struct contact c;

	(void)state;
	for (uint32_t i = 0; i < LIMIT_CONTACTS; i++) {
		c = make(i, "", 1);
		assert_int_equal(contacts_put(store, alice, &c), 0);
		if (i % 256 == 0)
			assert_int_equal(store_flush(store), 0);
	}
	c = make(LIMIT_CONTACTS, "", 1);
	assert_int_equal(contacts_put(store, alice, &c), -E2BIG);
	assert_int_equal(contacts_of(alice), LIMIT_CONTACTS);
	/* Others have a limit of their own; what is there can be replaced. */
	assert_int_equal(contacts_put(store, bob, &c), 0);
	c = make(7, "again", 1);
	assert_int_equal(contacts_put(store, alice, &c), 0);
	assert_int_equal(contacts_remove(store, alice, &c.address), 0);
	c = make(LIMIT_CONTACTS, "", 1);
	assert_int_equal(contacts_put(store, alice, &c), 0);
	assert_int_equal(contacts_purge(store, alice), 0);
	assert_int_equal(contacts_of(alice), 0);
}

/* Fails when the @len bytes at @what are in the database file, raw or as hex of either case. */
static void assert_nowhere(const uint8_t *file, size_t size, const void *what, size_t len)
{
	char *hex = malloc(2 * len + 1);

	assert_null(memmem(file, size, what, len));
	sodium_bin2hex(hex, 2 * len + 1, what, len);
	assert_null(memmem(file, size, hex, 2 * len));
	for (size_t i = 0; i < 2 * len; i++)
		hex[i] = (char)(hex[i] >= 'a' ? hex[i] - 32 : hex[i]);
	assert_null(memmem(file, size, hex, 2 * len));
	free(hex);
}

static void nothing_in_clear(void **state)
{
	struct contact c = make(1, "the note of the test", 5);
	char path[128], text[ADDRESS_TEXT_LEN];
	struct contact_tag t;
	uint8_t *file;
	size_t size;
	FILE *f;

	(void)state;
	tag(&c, "nick", "nickname of the test");
	tag(&c, "key of the test", "value of the test");
	assert_int_equal(contacts_put(store, alice, &c), 0);
	assert_int_equal(store_flush(store), 0);
	/* Freed pages hold what was there before, too. */
	assert_int_equal(contacts_put(store, alice, &c), 0);
	reopen();
	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	file = malloc(64u << 20);
	size = fread(file, 1, 64u << 20, f);
	fclose(f);
	assert_in_range(size, 4096, (64u << 20) - 1);
	/* The test finds what is there. */
	assert_non_null(memmem(file, size, "contacts", 8));
	assert_nowhere(file, size, c.address.b, 32);
	assert_nowhere(file, size, c.address.b, 8);
	assert_nowhere(file, size, alice, 32);
	assert_nowhere(file, size, alice + 32, 32);
	assert_nowhere(file, size, alice + 32, 8);
	assert_nowhere(file, size, c.note, strlen(c.note));
	for (size_t at = 0; contact_tags_next(&c.tags, &at, &t);) {
		assert_nowhere(file, size, t.value, strlen(t.value));
		if (strlen(t.key) > 4)
			assert_nowhere(file, size, t.key, strlen(t.key));
	}
	assert_null(memmem(file, size, address_format(&c.address, text), 9));
	free(file);
}

static void sealed(void **state)
{
	static const char text[] = "what is sealed";
	uint8_t data[sizeof(text) + SEALED_OVERHEAD], again[sizeof(data)], plain[64];
	struct sealed_name name, other;
	struct sealed a, b, c;

	(void)state;
	sealed_init(&a, "one", alice);
	sealed_init(&b, "two", alice);
	sealed_init(&c, "one", bob);
	name = sealed_name(&a, "id", 2);
	other = sealed_name(&a, "ie", 2);
	assert_memory_equal(name.b, other.b, SEALED_PREFIX_LEN);
	assert_memory_not_equal(name.b, other.b, SEALED_NAME_LEN);
	other = sealed_name(&b, "id", 2);
	assert_memory_not_equal(name.b, other.b, SEALED_PREFIX_LEN);
	assert_memory_not_equal(name.b + SEALED_PREFIX_LEN, other.b + SEALED_PREFIX_LEN, 16);
	other = sealed_name(&c, "id", 2);
	assert_memory_not_equal(name.b, other.b, SEALED_PREFIX_LEN);
	sealed_close(&a, &name, text, sizeof(text), data);
	sealed_close(&a, &name, text, sizeof(text), again);
	assert_memory_not_equal(data, again, sizeof(data));
	assert_int_equal(sealed_open(&a, &name, data, sizeof(data), plain, sizeof(plain)),
			 sizeof(text));
	assert_string_equal(plain, text);
	assert_int_equal(sealed_open(&a, &name, data, sizeof(data), plain, sizeof(text) - 1),
			 -EBADMSG);
	assert_int_equal(sealed_open(&a, &other, data, sizeof(data), plain, sizeof(plain)),
			 -EBADMSG);
	assert_int_equal(sealed_open(&b, &name, data, sizeof(data), plain, sizeof(plain)),
			 -EBADMSG);
	assert_int_equal(sealed_open(&c, &name, data, sizeof(data), plain, sizeof(plain)),
			 -EBADMSG);
	/* Empty values seal, too. */
	sealed_close(&a, &name, text, 0, data);
	assert_int_equal(sealed_open(&a, &name, data, SEALED_OVERHEAD, plain, 0), 0);
	sealed_wipe(&a);
	assert_true(sodium_is_zero((const uint8_t *)&a, sizeof(a)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(life, setup, teardown),
		cmocka_unit_test_setup_teardown(walk_over_changes, setup, teardown),
		cmocka_unit_test_setup_teardown(owners_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(damage, setup, teardown),
		cmocka_unit_test_setup_teardown(modify, setup, teardown),
		cmocka_unit_test_setup_teardown(limit, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_in_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(sealed, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
