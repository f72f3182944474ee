// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Codecs of users (service-api.md section 7.3, namespace 09): golden bytes in
 * both directions, cuts at every length, limits, changes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/ops.h"
#include "proto/user.h"

/* <A> of the protocol's examples. */
#define A "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10" \
	  "\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x20"

#define TIME "2020-01-02T03:04:05.000000006+00:00"
#define TIME_NS 1577934245000000006
#define NEVER "1970-01-01T00:00:00.000000000+00:00"

#define LEN(literal) (sizeof(literal) - 1)

/* Version, id, handle "ali", display name "", bio, services, avatar, flags, time. */
#define FULL "\1" A "\1ali\0" "\1\0" "\0\2" "city\0Bonn\0" "zip\0\0" "\0\2" "net.chat\0" "org.pay\0" \
	     "\0\0\0\3" "\xff\0\x7f" "\3" TIME
#define EMPTY "\1" A "\0" "\0" "\0\0" "\0\0" "\0\0\0\0" "\0" NEVER

static uint8_t out[PROFILE_MAX + 1];

static struct profile full(void)
{
	struct profile p;

	profile_init(&p, (const struct address *)A);
	p.has_handle = p.has_display_name = true;
	strcpy(p.handle, "ali");
	assert_int_equal(profile_bio_set(&p.bio, "zip", "5"), 0);
	assert_int_equal(profile_bio_set(&p.bio, "city", "Bonn"), 0);
	assert_int_equal(profile_bio_set(&p.bio, "zip", ""), 0);
	assert_int_equal(profile_services_add(&p.services, "org.pay"), 0);
	assert_int_equal(profile_services_add(&p.services, "net.chat"), 0);
	assert_int_equal(profile_services_add(&p.services, "org.pay"), 0);
	p.avatar = (const uint8_t *)"\xff\0\x7f";
	p.avatar_len = 3;
	p.flags = PROFILE_LOCAL | PROFILE_ONLINE;
	p.updated_ns = TIME_NS;
	return p;
}

static int read_one(const void *data, size_t len, struct profile *p)
{
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	err = profile_read(&r, p);
	return err ? err : wire_done(&r) ? 0 : -EINVAL;
}

static void check_golden(const struct profile *p, const char *golden, size_t len)
{
	struct wire_writer w;

	assert_int_equal(profile_len(p), len);
	for (size_t size = 0; size <= len; size++) {
		uint8_t *tight = malloc(size + 1);

		wire_write_init(&w, tight, size);
		profile_write(&w, p);
		assert_int_equal(w.failed, size < len);
		if (size == len)
			assert_memory_equal(tight, golden, len);
		free(tight);
	}
	for (size_t cut = 0; cut <= len; cut++) {
		uint8_t *data = malloc(cut + 1);
		struct profile back;

		memcpy(data, golden, cut);
		assert_int_equal(read_one(data, cut, &back), cut < len ? -EINVAL : 0);
		free(data);
	}
}

static void golden(void **state)
{
	struct profile p = full(), back;
	struct profile_pair pair;
	size_t at = 0;

	(void)state;
	check_golden(&p, FULL, LEN(FULL));
	assert_int_equal(read_one(FULL, LEN(FULL), &back), 0);
	assert_memory_equal(back.id.b, A, 32);
	assert_string_equal(back.handle, "ali");
	assert_true(back.has_display_name);
	assert_string_equal(back.display_name, "");
	assert_string_equal(profile_bio_find(&back.bio, "city"), "Bonn");
	assert_string_equal(profile_bio_find(&back.bio, "zip"), "");
	assert_null(profile_bio_find(&back.bio, "ci"));
	assert_true(profile_services_has(&back.services, "net.chat"));
	assert_false(profile_services_has(&back.services, "net"));
	assert_int_equal(back.avatar_len, 3);
	assert_memory_equal(back.avatar, "\xff\0\x7f", 3);
	assert_int_equal(back.flags, 3);
	assert_true(back.updated_ns == TIME_NS);
	assert_false(profile_is_empty(&back));
	assert_true(profile_bio_next(&back.bio, &at, &pair));
	assert_string_equal(pair.key, "city");

	profile_init(&p, (const struct address *)A);
	assert_true(profile_is_empty(&p));
	check_golden(&p, EMPTY, LEN(EMPTY));
}

/* Whatever order things come in, they are written in one. */
static void canonical(void **state)
{
	static const char mixed[] = "\1" A "\0" "\0" "\0\2" "zip\0\0" "city\0Bonn\0" "\0\2" "org.pay\0"
				    "net.chat\0" "\0\0\0\0" "\0" NEVER;
	static const char sorted[] = "\1" A "\0" "\0" "\0\2" "city\0Bonn\0" "zip\0\0" "\0\2" "net.chat\0"
				     "org.pay\0" "\0\0\0\0" "\0" NEVER;
	struct wire_writer w;
	struct profile p;

	(void)state;
	assert_int_equal(read_one(mixed, LEN(mixed), &p), 0);
	wire_write_init(&w, out, sizeof(out));
	profile_write(&w, &p);
	assert_int_equal(wire_len(&w), LEN(sorted));
	assert_memory_equal(out, sorted, LEN(sorted));
}

#define READS(literal, want)                                                  \
	do {                                                                  \
		struct profile p_;                                            \
		assert_int_equal(read_one(literal, LEN(literal), &p_), want); \
	} while (0)

static void malformed(void **state)
{
	(void)state;
	READS("\2" A "\0" "\0" "\0\0" "\0\0" "\0\0\0\0" "\0" NEVER, -EINVAL);
	READS("\1" A "\2" "\0" "\0\0" "\0\0" "\0\0\0\0" "\0" NEVER, -EINVAL);
	READS("\1" A "\1\xc3\0" "\0" "\0\0" "\0\0" "\0\0\0\0" "\0" NEVER, -EINVAL);
	READS("\1" A "\0" "\0" "\0\1" "\0v\0" "\0\0" "\0\0\0\0" "\0" NEVER, -EINVAL);
	READS("\1" A "\0" "\0" "\0\1" "k\0\xed\xa0\x80\0" "\0\0" "\0\0\0\0" "\0" NEVER, -EINVAL);
	READS("\1" A "\0" "\0" "\0\2" "k\0v\0" "k\0w\0" "\0\0" "\0\0\0\0" "\0" NEVER, -EEXIST);
	READS("\1" A "\0" "\0" "\0\0" "\0\2" "s\0" "s\0" "\0\0\0\0" "\0" NEVER, -EEXIST);
	READS("\1" A "\0" "\0" "\0\0" "\0\1" "\0" "\0\0\0\0" "\0" NEVER, -EINVAL);
	READS("\1" A "\0" "\0" "\0\0" "\0\0" "\0\0\0\2" "a" "\0" NEVER, -EINVAL);
	READS("\1" A "\0" "\0" "\0\0" "\0\0" "\0\0\0\0" "\4" NEVER, -EINVAL);
	READS("\1" A "\0" "\0" "\0\0" "\0\0" "\0\0\0\0" "\0" "2020-13-02T03:04:05.000000006+00:00",
	      -EINVAL);
}

static size_t text_profile(size_t handle, size_t name, size_t avatar)
{
	static uint8_t zero[LIMIT_AVATAR + 1];
	struct wire_writer w;

	wire_write_init(&w, out, sizeof(out));
	wire_put(&w, "\1" A "\1", 34);
	memset(wire_put_ref(&w, handle), 'h', handle);
	wire_put(&w, "\0\1", 2);
	memset(wire_put_ref(&w, name), 'n', name);
	wire_put(&w, "\0" "\0\0" "\0\0", 5);
	wire_put_be32(&w, (uint32_t)avatar);
	wire_put(&w, zero, avatar);
	wire_put(&w, "\0" NEVER, 36);
	assert_false(w.failed);
	return wire_len(&w);
}

/* A set as large as it may be, of @n keys of 7 letters, values of @value letters. */
static int fill_bio(struct profile *p, int n, size_t value)
{
	char key[16], text[256] = "";
	int err = 0;

	memset(text, 'v', value);
	for (int i = 0; i < n && !err; i++) {
		snprintf(key, sizeof(key), "key%04d", i);
		err = profile_bio_set(&p->bio, key, text);
	}
	return err;
}

static void limits(void **state)
{
	char name[LIMIT_PROFILE_SERVICE_BYTES + 1];
	static uint8_t avatar[LIMIT_AVATAR];
	struct profile p, back;
	struct wire_writer w;

	(void)state;
	assert_int_equal(read_one(out, text_profile(64, 128, LIMIT_AVATAR), &p), 0);
	assert_int_equal(read_one(out, text_profile(65, 128, 0), &p), -E2BIG);
	assert_int_equal(read_one(out, text_profile(64, 129, 0), &p), -E2BIG);
	assert_int_equal(read_one(out, text_profile(64, 128, LIMIT_AVATAR + 1), &p), -E2BIG);

	/* 64 pairs of 128 bytes are 8 KiB to the byte. */
	profile_init(&p, (const struct address *)A);
	assert_int_equal(fill_bio(&p, 64, 119), 0);
	assert_int_equal(p.bio.len, LIMIT_BIO_BYTES);
	assert_int_equal(profile_bio_set(&p.bio, "key0000", "v"), 0);
	assert_int_equal(profile_bio_set(&p.bio, "another", ""), -E2BIG);
	assert_true(profile_bio_remove(&p.bio, "key0063"));
	assert_false(profile_bio_remove(&p.bio, "key0063"));
	assert_int_equal(profile_bio_set(&p.bio, "another", ""), 0);
	profile_init(&p, (const struct address *)A);
	assert_int_equal(fill_bio(&p, 64, 120), -E2BIG);
	assert_int_equal(profile_bio_set(&p.bio, "\xff", ""), -EINVAL);
	assert_int_equal(profile_bio_set(&p.bio, "", ""), -EINVAL);

	/* One name may have all the room. */
	memset(name, 's', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(profile_services_add(&p.services, name), -E2BIG);
	assert_int_equal(profile_services_add(&p.services, name + 1), 0);
	assert_int_equal(profile_services_add(&p.services, "more"), -E2BIG);

	/* The largest profile there is. */
	p = full();
	memset(p.handle, 'h', LIMIT_HANDLE);
	p.handle[LIMIT_HANDLE] = '\0';
	memset(p.display_name, 'n', LIMIT_DISPLAY_NAME);
	p.display_name[LIMIT_DISPLAY_NAME] = '\0';
	p.bio.len = p.bio.n = 0;
	assert_int_equal(fill_bio(&p, 64, 119), 0);
	p.services.len = p.services.n = 0;
	assert_int_equal(profile_services_add(&p.services, name + 1), 0);
	p.avatar = avatar;
	p.avatar_len = sizeof(avatar);
	assert_int_equal(profile_len(&p), PROFILE_MAX);
	wire_write_init(&w, out, sizeof(out));
	profile_write(&w, &p);
	assert_false(w.failed);
	assert_int_equal(wire_len(&w), PROFILE_MAX);
	assert_int_equal(read_one(out, PROFILE_MAX, &back), 0);
	assert_true(PROFILE_MAX < LIMIT_CONTROL_PAYLOAD);
	assert_true(USER_UPDATE_MAX + 33 < LIMIT_CONTROL_PAYLOAD);
}

static int read_update(const void *data, size_t len, struct user_update *u)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	return user_update_read(&r, u);
}

#define UPDATE "\1new\0" "\2" "\1\0\0\0\2av" "\0\1" "zip\0" "53111\0" "\0\2" "city\0" "zip\0" \
	       "\0\2" "\1net.mail\0" "\2org.pay\0"

static void updates(void **state)
{
	static const char nothing[] = "\0\0\0" "\0\0" "\0\0" "\0\0";
	struct user_update u;
	struct profile p = full();
	struct wire_writer w;

	(void)state;
	for (size_t cut = 0; cut <= LEN(UPDATE); cut++) {
		uint8_t *data = malloc(cut + 1);

		memcpy(data, UPDATE, cut);
		assert_int_equal(read_update(data, cut, &u), cut < LEN(UPDATE) ? -EINVAL : 0);
		free(data);
	}
	assert_int_equal(read_update(UPDATE "x", sizeof(UPDATE), &u), -EINVAL);
	assert_int_equal(read_update(UPDATE, LEN(UPDATE), &u), 0);
	wire_write_init(&w, out, sizeof(out));
	user_update_write(&w, &u);
	assert_int_equal(wire_len(&w), LEN(UPDATE));
	assert_memory_equal(out, UPDATE, LEN(UPDATE));

	assert_int_equal(user_update_apply(&u, &p), 0);
	assert_string_equal(p.handle, "new");
	assert_false(p.has_display_name);
	assert_int_equal(p.avatar_len, 2);
	assert_int_equal(p.bio.n, 1);
	assert_string_equal(profile_bio_find(&p.bio, "zip"), "53111");
	assert_int_equal(p.services.n, 2);
	assert_true(profile_services_has(&p.services, "net.mail"));
	assert_false(profile_services_has(&p.services, "org.pay"));

	/* Nothing of it changes anything. */
	p = full();
	assert_int_equal(read_update(nothing, LEN(nothing), &u), 0);
	assert_int_equal(user_update_apply(&u, &p), 0);
	wire_write_init(&w, out, sizeof(out));
	profile_write(&w, &p);
	assert_int_equal(wire_len(&w), LEN(FULL));
	assert_memory_equal(out, FULL, LEN(FULL));

	assert_int_equal(read_update("\2\2\2" "\0\0" "\0\2" "city\0" "zip\0" "\0\2" "\2net.chat\0"
				     "\2org.pay\0", 3 + 2 + 11 + 2 + 19, &u), 0);
	assert_int_equal(user_update_apply(&u, &p), 0);
	assert_true(profile_is_empty(&p));
	assert_int_equal(read_update("\3\0\0" "\0\0" "\0\0" "\0\0", 9, &u), -EINVAL);
	assert_int_equal(read_update("\0\0\0" "\0\0" "\0\0" "\0\1\3s\0", 12, &u), -EINVAL);
	assert_int_equal(read_update("\0\0\0" "\0\0" "\0\0" "\0\2\1s\0\2s\0", 15, &u), -EEXIST);
}

/* What would not fit is refused when it is applied, too. */
static void updates_too_big(void **state)
{
	struct user_update u = { 0 };
	struct profile p;

	(void)state;
	profile_init(&p, (const struct address *)A);
	assert_int_equal(fill_bio(&p, 64, 10), 0);
	assert_int_equal(profile_bio_set(&u.add_bio, "more", ""), 0);
	assert_int_equal(user_update_apply(&u, &p), -E2BIG);
	assert_int_equal(profile_bio_set(&u.rm_bio, "key0001", ""), 0);
	assert_int_equal(user_update_apply(&u, &p), 0);
}

#define QUERY "\1" "\0\2" "handle\0" "ali\0" "\0" "\0" "bon\0" "\3" "\0\0\0\5" "\0\0\3\xe8"

static void queries(void **state)
{
	static char long_pattern[LIMIT_QUERY_PATTERN + 64];
	struct user_query q;
	struct wire_writer w;
	size_t len;

	(void)state;
	for (size_t cut = 0; cut <= LEN(QUERY); cut++) {
		uint8_t *data = malloc(cut + 1);

		memcpy(data, QUERY, cut);
		assert_int_equal(user_query_read(data, cut, &q), cut < LEN(QUERY) ? -EINVAL : 0);
		free(data);
	}
	assert_int_equal(user_query_read((const uint8_t *)QUERY, LEN(QUERY), &q), 0);
	assert_false(q.by_id);
	assert_int_equal(q.n, 2);
	assert_string_equal(q.terms[0].attribute, "handle");
	assert_int_equal(q.terms[0].match, USER_MATCH_EXACT);
	assert_string_equal(q.terms[1].attribute, "");
	assert_string_equal(q.terms[1].pattern, "bon");
	assert_int_equal(q.terms[1].match, USER_MATCH_PREFIX);
	assert_int_equal(q.skip, 5);
	assert_int_equal(q.take, 1000);
	wire_write_init(&w, out, sizeof(out));
	user_query_write(&w, &q);
	assert_int_equal(wire_len(&w), LEN(QUERY));
	assert_memory_equal(out, QUERY, LEN(QUERY));

	assert_int_equal(user_query_read((const uint8_t *)"\0" A, 33, &q), 0);
	assert_true(q.by_id);
	assert_memory_equal(q.id.b, A, 32);
	assert_int_equal(user_query_read((const uint8_t *)"\0" A "x", 34, &q), -EINVAL);
	assert_int_equal(user_query_read((const uint8_t *)"\2" A, 33, &q), -EINVAL);
	assert_int_equal(user_query_read((const uint8_t *)"\1\0\21", 3, &q), -E2BIG);
	assert_int_equal(user_query_read((const uint8_t *)"\1\0\1\0\0\4\0\0\0\0\0\0\0\1", 14, &q),
			 -EINVAL);

	/* The longest pattern, and one longer. */
	memcpy(long_pattern, "\1\0\1\0", 4);
	memset(long_pattern + 4, 'p', LIMIT_QUERY_PATTERN);
	len = 4 + LIMIT_QUERY_PATTERN + 1 + 1 + 8;
	assert_int_equal(user_query_read((const uint8_t *)long_pattern, len, &q), 0);
	memset(long_pattern + 4, 'p', LIMIT_QUERY_PATTERN + 1);
	assert_int_equal(user_query_read((const uint8_t *)long_pattern, len + 1, &q), -E2BIG);
}

static void lists(void **state)
{
	static const uint8_t page[] = { 2, 0, 0, 0, 7, 0, 0, 0, 9 };
	struct user_list l;
	struct wire_writer w;

	(void)state;
	assert_int_equal(user_list_read(NULL, 0, &l), 0);
	assert_int_equal(l.scope, USER_LOCAL);
	assert_int_equal(l.take, LIMIT_PROFILE_TAKE);
	assert_int_equal(user_list_read(page, 1, &l), 0);
	assert_int_equal(l.scope, USER_BOTH);
	for (size_t cut = 2; cut < sizeof(page); cut++)
		assert_int_equal(user_list_read(page, cut, &l), -EINVAL);
	assert_int_equal(user_list_read(page, sizeof(page), &l), 0);
	assert_int_equal(l.skip, 7);
	assert_int_equal(l.take, 9);
	wire_write_init(&w, out, sizeof(out));
	user_list_write(&w, &l);
	assert_int_equal(wire_len(&w), USER_LIST_LEN);
	assert_memory_equal(out, page, sizeof(page));
	assert_int_equal(user_list_read((const uint8_t *)"\3", 1, &l), -EINVAL);
	assert_int_equal(op_get(OP_USER_LIST)->max_len, USER_LIST_LEN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden),  cmocka_unit_test(canonical),
		cmocka_unit_test(malformed), cmocka_unit_test(limits),
		cmocka_unit_test(updates), cmocka_unit_test(updates_too_big),
		cmocka_unit_test(queries), cmocka_unit_test(lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
