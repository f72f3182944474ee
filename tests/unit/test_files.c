// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The stores of files: a user's records in steps and against limits, contents by id,
 * catalogs over a restart and for want of room; and the notices between daemons.
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
#include "ratmand/store/catalogs.h"
#include "ratmand/store/contents.h"
#include "ratmand/store/files.h"
#include "unit/scratch.h"

static char dir[SCRATCH_LEN];
static uv_loop_t loop;
static struct store *store;
static struct records alice, bob;

static void open_user(struct records *r, uint8_t number)
{
	struct address address;
	uint8_t key[ADDRESS_KEY_LEN];

	memset(address.b, number, sizeof(address.b));
	memset(key, number, sizeof(key));
	records_open(r, store, &address, key);
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	scratch_begin(dir, &loop, &store);
	open_user(&alice, 1);
	open_user(&bob, 2);
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
	alice.store = bob.store = store;
}

static struct ident number_id(uint32_t number)
{
	struct ident id;

	crypto_generichash(id.b, sizeof(id.b), (const uint8_t *)&number, sizeof(number), NULL, 0);
	return id;
}

/* Everything in it that is stored is set. */
static struct files_entry full_entry(uint32_t number)
{
	struct files_entry e = { .searching = true, .asked_s = 77 };

	e.meta.id = number_id(number);
	memset(e.meta.owner.b, 9, sizeof(e.meta.owner.b));
	memset(e.meta.name, 'n', LIMIT_FILE_NAME);
	e.meta.size = 1ull << 40;
	e.meta.state = FILE_AVAILABLE;
	e.meta.has_previous = true;
	memset(e.meta.previous.b, 8, sizeof(e.meta.previous.b));
	e.meta.time_ns = -5;
	strcpy(e.mime, "a/b");
	e.content_len = FILES_CONTENT_MAX;
	memset(e.content, 7, sizeof(e.content));
	for (e.n_shares = 0; e.n_shares < LIMIT_FILE_SHARES; e.n_shares++) {
		struct files_share *s = &e.shares[e.n_shares];

		s->announced = e.n_shares % 2;
		s->to.kind = e.n_shares ? RECIPIENT_NAMESPACE : RECIPIENT_NONE;
		if (e.n_shares)
			memset(s->to.address.b, (int)e.n_shares, sizeof(s->to.address.b));
	}
	for (e.n_asked = 0; e.n_asked < FILES_ASKED_MAX; e.n_asked++)
		memset(e.asked[e.n_asked].b, (int)e.n_asked + 1, sizeof(e.asked[0].b));
	return e;
}

static struct files_entry short_entry(uint32_t number, enum file_state state)
{
	struct files_entry e = { .meta = { .id = number_id(number), .state = state } };

	strcpy(e.meta.name, "n");
	return e;
}

static void test_record(void **state)
{
	struct files_entry e = full_entry(1), got;

	(void)state;
	assert_int_equal(files_get(&alice, &e.meta.id, &got), -ENOENT);
	assert_int_equal(files_put(&alice, &e), 0);
	reopen();
	assert_int_equal(files_get(&alice, &e.meta.id, &got), 0);
	/* Field by field: there is padding. */
	assert_true(ident_equal(&got.meta.id, &e.meta.id));
	assert_true(address_equal(&got.meta.owner, &e.meta.owner));
	assert_string_equal(got.meta.name, e.meta.name);
	assert_int_equal(got.meta.size, e.meta.size);
	assert_int_equal(got.meta.state, e.meta.state);
	assert_true(got.meta.has_previous && ident_equal(&got.meta.previous, &e.meta.previous));
	assert_int_equal(got.meta.time_ns, e.meta.time_ns);
	assert_string_equal(got.mime, e.mime);
	assert_int_equal(got.content_len, e.content_len);
	assert_memory_equal(got.content, e.content, sizeof(e.content));
	assert_int_equal(got.n_shares, e.n_shares);
	for (size_t i = 0; i < e.n_shares; i++) {
		assert_int_equal(got.shares[i].announced, e.shares[i].announced);
		assert_true(recipient_equal(&got.shares[i].to, &e.shares[i].to));
	}
	assert_int_equal(got.n_asked, e.n_asked);
	assert_memory_equal(got.asked, e.asked, sizeof(e.asked));
	assert_true(got.searching);
	assert_int_equal(got.asked_s, 77);
	/* Another user, and another key, see nothing. */
	assert_int_equal(files_get(&bob, &e.meta.id, &got), -ENOENT);
	assert_int_equal(files_del(&alice, &e.meta.id), 0);
	assert_int_equal(files_get(&alice, &e.meta.id, &got), -ENOENT);
}

struct count {
	int n;
	const struct ident *skip;
	bool seen;
};

static int count_one(void *ctx, const struct files_entry *e)
{
	struct count *c = ctx;

	c->n++;
	c->seen = c->seen || (c->skip && ident_equal(&e->meta.id, c->skip));
	return 0;
}

static void test_walk(void **state)
{
	struct ident gone = number_id(3);
	struct count c = { .skip = &gone };
	struct records_walk walk;
	uint8_t grant[FILES_GRANT_LEN];
	const struct recipient space = { .kind = RECIPIENT_NAMESPACE };
	int more, steps = 0;

	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		struct files_entry e = short_entry(i, FILE_LOCAL);

		assert_int_equal(files_put(&alice, &e), 0);
	}
	/* The user's secret is no file. */
	assert_int_equal(files_grant(&alice, &space, grant), 0);
	assert_int_equal(records_count(&alice, RECORD_FILE), 101);
	assert_int_equal(files_walk_begin(&alice, &walk), 0);
	assert_int_equal(files_del(&alice, &gone), 0);
	do {
		more = files_walk_next(&alice, &walk, 7, count_one, &c);
		steps++;
	} while (more == 1);
	assert_int_equal(more, 0);
	assert_int_equal(steps, 15);
	assert_int_equal(c.n, 99);
	assert_false(c.seen);
	records_walk_end(&walk);
	assert_int_equal(files_walk_begin(&bob, &walk), 0);
	assert_int_equal(files_walk_next(&bob, &walk, 7, count_one, &c), 0);
	assert_int_equal(c.n, 99);
	records_walk_end(&walk);
}

static void test_limit(void **state)
{
	struct files_entry e;

	(void)state;
	/* Not by files_put(), which counts each time. */
	for (uint32_t i = 0; i <= LIMIT_FILES; i++) {
		struct ident id = number_id(i);

		assert_int_equal(records_put(&alice, RECORD_FILE, id.b, sizeof(id.b), "x", 1), 0);
	}
	e = short_entry(LIMIT_FILES + 1, FILE_LOCAL);
	assert_int_equal(files_put(&alice, &e), -EMFILE);
	/* What is there can be changed, and somebody else has room. */
	e = short_entry(0, FILE_ADVERTISED);
	assert_int_equal(files_put(&alice, &e), 0);
	assert_int_equal(files_put(&bob, &e), 0);
}

static void test_grants(void **state)
{
	struct recipient one = { .kind = RECIPIENT_NAMESPACE }, two = one;
	uint8_t a[FILES_GRANT_LEN], b[FILES_GRANT_LEN];

	(void)state;
	two.address.b[0] = 1;
	assert_int_equal(files_grant(&alice, &one, a), 0);
	reopen();
	assert_int_equal(files_grant(&alice, &one, b), 0);
	assert_memory_equal(a, b, sizeof(a));
	assert_int_equal(files_grant(&alice, &two, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
	assert_int_equal(files_grant(&bob, &one, b), 0);
	assert_memory_not_equal(a, b, sizeof(a));
}

static void test_contents(void **state)
{
	struct ident id = number_id(1), other = number_id(2);
	uint8_t content[FILES_CONTENT_MAX], got[FILES_CONTENT_MAX];

	(void)state;
	memset(content, 5, sizeof(content));
	assert_int_equal(contents_get(store, &id, got), -ENOENT);
	assert_int_equal(contents_put(store, &id, content, 90), 0);
	reopen();
	assert_int_equal(contents_get(store, &id, got), 90);
	assert_memory_equal(got, content, 90);
	assert_int_equal(contents_get(store, &other, got), -ENOENT);
	assert_int_equal(contents_put(store, &id, content, sizeof(content)), 0);
	assert_int_equal(contents_get(store, &id, got), sizeof(content));
	assert_int_equal(contents_put(store, &id, content, sizeof(content) + 1), -EINVAL);
	assert_int_equal(contents_del(store, &id), 0);
	assert_int_equal(contents_get(store, &id, got), -ENOENT);
}

/* Catalogs --------------------------------------------------------------------- */

static uint8_t bytes[NOTICE_MAX + 1];

static struct notice_file make_file(uint32_t number)
{
	struct notice_file f = { .id = number_id(number), .size = 1, .time_ns = 1 };

	strcpy(f.name, "n");
	return f;
}

/* Writes a catalog of files @first, @first + 1, … into bytes; its length. */
static size_t write_catalog(uint64_t stamp, uint32_t first, uint16_t n)
{
	static const uint8_t grant[NOTICE_GRANT_LEN] = "g";
	struct wire_writer w;

	wire_write_init(&w, bytes, sizeof(bytes));
	notice_write_catalog(&w, stamp, grant, n);
	for (uint32_t i = 0; i < n; i++) {
		struct notice_file f = make_file(first + i);

		notice_file_write(&w, &f);
	}
	assert_false(w.failed);
	return wire_len(&w);
}

static int put_catalog(struct catalogs *c, uint8_t owner, const struct recipient *group, bool own,
		       uint64_t stamp, uint32_t first, uint16_t n)
{
	size_t len = write_catalog(stamp, first, n);
	struct address address = { { owner } };
	struct notice notice;

	assert_int_equal(notice_read(bytes, len, &notice), 0);
	return catalogs_put(c, group, &address, own, &notice, bytes, len);
}

static const struct recipient everybody = { .kind = RECIPIENT_NONE };

static void test_catalogs(void **state)
{
	struct recipient space = { .kind = RECIPIENT_NAMESPACE, .address = { { 3 } } };
	struct address one = { { 1 } }, two = { { 2 } };
	struct ident id = number_id(11), later = number_id(20);
	const struct catalog *k;
	struct catalogs c;

	(void)state;
	assert_int_equal(catalogs_load(&c, store), 0);
	assert_int_equal(put_catalog(&c, 1, &everybody, false, 5, 10, 3), 1);
	assert_int_equal(put_catalog(&c, 1, &space, true, 5, 20, 1), 1);
	/* The same and an older one are no news; a newer one takes the place. */
	assert_int_equal(put_catalog(&c, 1, &everybody, false, 5, 30, 1), 0);
	assert_int_equal(put_catalog(&c, 1, &everybody, false, 4, 30, 1), 0);
	assert_int_equal(put_catalog(&c, 1, &everybody, false, 6, 11, 2), 1);
	catalogs_free(&c);
	reopen();
	assert_int_equal(catalogs_load(&c, store), 0);
	assert_int_equal(c.n_files, 2);
	k = catalogs_find(&c, &everybody, &one);
	assert_non_null(k);
	assert_int_equal(k->n, 2);
	assert_int_equal(k->stamp, 6);
	assert_int_equal(k->group.kind, RECIPIENT_NONE);
	assert_int_equal(k->grant[0], 'g');
	assert_non_null(catalog_file(k, &id));
	assert_null(catalog_file(k, &later));
	k = catalogs_find(&c, &space, &one);
	assert_true(k && k->own && recipient_equal(&k->group, &space) && catalog_file(k, &later));
	assert_null(catalogs_find(&c, &everybody, &two));
	/* All of an owner go, here and on disk. */
	catalogs_remove(&c, &one);
	assert_null(c.all);
	catalogs_free(&c);
	assert_int_equal(catalogs_load(&c, store), 0);
	assert_null(c.all);
	catalogs_free(&c);
}

static void test_catalog_room(void **state)
{
	struct address old = { { 3 } }, own = { { 2 } }, last;
	struct catalogs c;

	(void)state;
	assert_int_equal(catalogs_load(&c, store), 0);
	assert_int_equal(put_catalog(&c, 2, &everybody, true, 1, 0, LIMIT_FILE_CATALOG), 1);
	/* One owner more than there is room for: 3, 4, … */
	for (uint8_t i = 0; i <= LIMIT_FILE_GROUPS / LIMIT_FILE_CATALOG; i++)
		assert_int_equal(put_catalog(&c, i + 3, &everybody, false, 10 + i, 0,
					     LIMIT_FILE_CATALOG), 1);
	/* The oldest had to go; ours, which is older, and the newest did not. */
	assert_null(catalogs_find(&c, &everybody, &old));
	assert_non_null(catalogs_find(&c, &everybody, &own));
	memset(&last, 0, sizeof(last));
	last.b[0] = LIMIT_FILE_GROUPS / LIMIT_FILE_CATALOG + 3;
	assert_non_null(catalogs_find(&c, &everybody, &last));
	assert_true(c.n_files <= LIMIT_FILE_GROUPS);
	catalogs_free(&c);
}

/* Notices ------------------------------------------------------------------------ */

#define S "\xd1\xd2\xd3\xd4\xd5\xd6\xd7\xd8\xd9\xda\xdb\xdc\xdd\xde\xdf\xe0" \
	  "\xe1\xe2\xe3\xe4\xe5\xe6\xe7\xe8\xe9\xea\xeb\xec\xed\xee\xef\xf0"
#define ZEROES "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
#define FILE_BYTES S "a.txt\0" "\0\0\0\0\0\0\0\5" "\0\0\0\0\0\0\0\7" "a/b\0" "\1" S

/* Reading: all of it, and nothing less or more. */
static void whole(const char *data, size_t len)
{
	struct notice n;

	for (size_t i = 0; i <= len + 1; i++) {
		uint8_t *copy = calloc(1, i + 1);

		memcpy(copy, data, i < len ? i : len);
		assert_int_equal(notice_read(copy, i, &n), i == len ? 0 : -EINVAL);
		free(copy);
	}
}

#define WHOLE(literal) whole(literal, sizeof(literal) - 1)

static void writes(const struct notice *n, const char *want, size_t len)
{
	struct wire_writer w;

	wire_write_init(&w, bytes, sizeof(bytes));
	notice_write(&w, n);
	assert_int_equal(wire_len(&w), len);
	assert_memory_equal(bytes, want, len);
}

static void test_notices(void **state)
{
	static const char request[] = "\1\4" S ZEROES, announce[] = "\1\2" FILE_BYTES;
	static const char meta[] = "\1" FILE_BYTES;
	struct notice n = { .kind = NOTICE_REQUEST };
	struct notice_file f;
	size_t len;

	(void)state;
	memcpy(n.id.b, S, 32);
	writes(&n, request, sizeof(request) - 1);
	n.kind = NOTICE_HAVE;
	writes(&n, "\1\5" S, 34);
	WHOLE("\1\4" S ZEROES);
	WHOLE("\1\3" S);
	WHOLE("\1\5" S);
	WHOLE("\1\6" S);
	WHOLE("\1\2" FILE_BYTES);
	WHOLE("\1\1" "\0\0\0\0\0\0\0\1" ZEROES "\0\1" FILE_BYTES);
	assert_int_equal(notice_read((const uint8_t *)"\1\7" S, 34, &n), -EINVAL);
	assert_int_equal(notice_read((const uint8_t *)"\1\0" S, 34, &n), -EINVAL);
	assert_int_equal(notice_read((const uint8_t *)"\2\3" S, 34, &n), -EINVAL);
	assert_int_equal(notice_read((const uint8_t *)announce, sizeof(announce) - 1, &n), 0);
	assert_string_equal(n.file.name, "a.txt");
	assert_string_equal(n.file.mime, "a/b");
	assert_int_equal(n.file.size, 5);
	assert_int_equal(n.file.time_ns, 7);
	assert_true(n.file.has_previous);
	writes(&n, announce, sizeof(announce) - 1);
	/* No size, a name that is none, a type that is none. */
	for (int i = 0; i < 3; i++) {
		static const size_t at[] = { 2 + 32 + 6 + 7, 2 + 32, 2 + 32 + 6 + 16 + 1 };
		char spoilt[sizeof(announce)];

		memcpy(spoilt, announce, sizeof(spoilt));
		spoilt[at[i]] = i == 0 ? 0 : i == 1 ? '/' : 'x';
		assert_int_equal(notice_read((const uint8_t *)spoilt, sizeof(spoilt) - 1, &n),
				 -EINVAL);
	}
	/* The metadata of a file that is sent. */
	assert_int_equal(notice_meta_read((const uint8_t *)meta, sizeof(meta) - 1, &f), 0);
	assert_int_equal(notice_meta_read((const uint8_t *)meta, sizeof(meta) - 2, &f), -EINVAL);
	assert_int_equal(notice_meta_read((const uint8_t *)meta, sizeof(meta), &f), -EINVAL);
	/* The longest catalog, and one file more. */
	len = write_catalog(1, 0, LIMIT_FILE_CATALOG);
	assert_int_equal(notice_read(bytes, len, &n), 0);
	assert_int_equal(n.n, LIMIT_FILE_CATALOG);
	len = write_catalog(1, 0, LIMIT_FILE_CATALOG + 1);
	assert_int_equal(notice_read(bytes, len, &n), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_walk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_grants, setup, teardown),
		cmocka_unit_test_setup_teardown(test_contents, setup, teardown),
		cmocka_unit_test_setup_teardown(test_catalogs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_catalog_room, setup, teardown),
		cmocka_unit_test(test_notices),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
