// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Users behind the protocol: profiles on the disk, merging of what others announce,
 * lookups in pieces, held against a plain search, watches.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ratmand/service/users.h"
#include "ratmand/store/profiles.h"
#include "unit/profiles.h"
#include "unit/scratch.h"

static struct {
	char dir[SCRATCH_LEN];
	uv_loop_t loop;
	struct store *store;
	struct users *users;
} now;

static void open_users(size_t most)
{
	assert_int_equal(users_new(&now.users, &now.loop, now.store, most, NULL, NULL), 0);
	assert_int_equal(users_ready(now.users), 0);
}

static void reopen(size_t most)
{
	users_free(now.users);
	store_close(now.store);
	scratch_store(&now.store, &now.loop, now.dir);
	open_users(most);
}

static int setup(void **state)
{
	(void)state;
	scratch_begin(now.dir, &now.loop, &now.store);
	open_users(LIMIT_PROFILES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	users_free(now.users);
	return scratch_end(now.dir, &now.loop, now.store);
}

static void set_handle(struct profile *p, const char *handle)
{
	p->has_handle = true;
	strcpy(p->handle, handle);
}

static void merge(unsigned int from, unsigned int about, uint64_t version, const char *handle,
		  size_t avatar)
{
	static uint8_t picture[LIMIT_AVATAR];
	const struct address sender = number(from), id = number(about);
	struct profile p;

	memset(picture, (int)version, sizeof(picture));
	profile_init(&p, &id);
	if (handle)
		set_handle(&p, handle);
	p.avatar = avatar ? picture : NULL;
	p.avatar_len = avatar;
	p.updated_ns = 1000 + (int64_t)version;
	users_merge(now.users, &sender, version, &p);
}

static int get(unsigned int n, struct profile_record *out)
{
	static uint8_t avatar[LIMIT_AVATAR];
	const struct address id = number(n);

	return users_get(now.users, &id, out, avatar);
}

static void check_handle(unsigned int n, const char *handle)
{
	struct profile_record r;

	assert_int_equal(get(n, &r), 0);
	assert_int_equal(r.profile.has_handle, handle != NULL);
	if (handle)
		assert_string_equal(r.profile.handle, handle);
}

static void merging(void **state)
{
	const struct address seen = number(7);
	struct profile_record r;

	(void)state;
	assert_int_equal(get(7, &r), -ENOENT);
	users_seen(now.users, &seen, 5, 6);
	assert_int_equal(get(7, &r), 0);
	assert_true(profile_is_empty(&r.profile));
	assert_int_equal(r.profile.flags, 0);

	merge(7, 7, 10, "first", 100);
	check_handle(7, "first");
	/* Neither older nor the same again; and nobody speaks for another. */
	merge(7, 7, 9, "older", 0);
	merge(7, 7, 10, "same", 0);
	merge(8, 7, 99, "forged", 0);
	check_handle(7, "first");
	assert_int_equal(users_stats(now.users)->old, 2);
	assert_int_equal(users_stats(now.users)->forged, 1);
	assert_int_equal(get(8, &r), -ENOENT);

	assert_int_equal(get(7, &r), 0);
	assert_int_equal(r.profile.avatar_len, 100);
	assert_int_equal(r.profile.avatar[99], 10);
	assert_int_equal(r.first_ns, 5);
	assert_true(r.profile.updated_ns == 1010);
	/* What is not said any more is gone. */
	merge(7, 7, 11, NULL, 50);
	check_handle(7, NULL);
	assert_int_equal(get(7, &r), 0);
	assert_int_equal(r.profile.avatar_len, 50);
	assert_int_equal(r.profile.avatar[49], 11);

	/* So it is after a restart, also that 10 is old. */
	merge(9, 9, 1, "nine", 0);
	reopen(LIMIT_PROFILES);
	merge(7, 7, 10, "old", 0);
	check_handle(7, NULL);
	check_handle(9, "nine");
	assert_int_equal(get(7, &r), 0);
	assert_int_equal(r.profile.avatar_len, 50);
	assert_int_equal(users_count(now.users), 2);
}

static void from_the_future(void **state)
{
	const struct address id = number(1);
	struct profile_record r;
	struct profile p;

	(void)state;
	profile_init(&p, &id);
	p.updated_ns = INT64_MAX;
	users_merge(now.users, &id, UINT64_MAX, &p);
	assert_int_equal(get(1, &r), 0);
	assert_true(r.profile.updated_ns <= clock_wall_ns());
}

static void room_for_few(void **state)
{
	struct profile_record r;
	struct address a;

	(void)state;
	reopen(8);
	for (unsigned int i = 0; i < 8; i++) {
		a = number(i);
		users_seen(now.users, &a, i, i);
	}
	for (unsigned int i = 0; i < 8; i += 2)
		merge(i, i, 1, "filled", 10);
	a = number(0);
	users_seen(now.users, &a, 0, 100);
	/* Four are empty and go; of the rest, 2 and 4, not 0, which was seen since. */
	for (unsigned int i = 10; i < 16; i++)
		merge(i, i, 1, "new", 10);
	assert_int_equal(users_stats(now.users)->evicted, 6);
	assert_int_equal(users_count(now.users), 8);
	check_handle(0, "filled");
	check_handle(6, "filled");
	assert_int_equal(get(2, &r), -ENOENT);
	assert_int_equal(get(4, &r), -ENOENT);
	/* Their records are gone, too. */
	reopen(100);
	assert_int_equal(users_count(now.users), 8);
	assert_int_equal(get(2, &r), -ENOENT);
	assert_int_equal(get(6, &r), 0);
	assert_int_equal(r.profile.avatar_len, 10);
	/* Who had to go comes back by what he says last, or later; not by what he said before. */
	merge(2, 2, 3, "filled", 10);
	reopen(4);
	for (unsigned int i = 20; i < 26; i++)
		merge(i, i, 1, "new", 10);
	assert_int_equal(get(2, &r), -ENOENT);
	for (int life = 0; life < 2; life++) {
		merge(2, 2, 2, "before", 10);
		assert_int_equal(get(2, &r), -ENOENT);
		reopen(100);
	}
	merge(2, 2, 3, "filled", 10);
	check_handle(2, "filled");
}

static void on_modified(void *ctx, int err)
{
	*(int *)ctx = err;
}

static int modify(unsigned int n, const char *handle, const char *avatar)
{
	struct user_update u = { .handle_change = handle ? USER_SET : USER_UNSET };
	const struct address id = number(n);
	int err = 1;

	if (handle)
		strcpy(u.handle, handle);
	if (avatar) {
		u.avatar_change = USER_SET;
		u.avatar = (const uint8_t *)avatar;
		u.avatar_len = strlen(avatar);
	}
	users_modify(now.users, &id, &u, on_modified, &err);
	while (err == 1)
		uv_run(&now.loop, UV_RUN_ONCE);
	return err;
}

static int count_records(void *ctx, const void *key, size_t key_len, const void *value,
			 size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(int *)ctx;
	return 0;
}

static void local_ones(void **state)
{
	const struct address id = number(1), other = number(2);
	char long_handle[LIMIT_HANDLE + 2];
	struct profile_record r;
	uint64_t version;
	int n = 0;

	(void)state;
	assert_int_equal(users_create(now.users, &id, "me"), 0);
	assert_int_equal(users_create(now.users, &id, "me"), -EEXIST);
	memset(long_handle, 'x', sizeof(long_handle));
	long_handle[LIMIT_HANDLE + 1] = '\0';
	assert_int_equal(users_create(now.users, &other, long_handle), -E2BIG);
	assert_int_equal(users_create(now.users, &other, "\xff"), -EINVAL);
	assert_int_equal(users_create(now.users, &other, long_handle + 1), 0);
	assert_true(users_has_local(now.users, &id));
	check_handle(1, "me");
	assert_int_equal(get(1, &r), 0);
	assert_int_equal(r.profile.flags, PROFILE_LOCAL);
	version = r.version;
	assert_int_equal(modify(1, "still me", "picture"), 0);
	assert_int_equal(modify(1, NULL, NULL), 0);
	assert_int_equal(modify(1, "again", NULL), 0);
	assert_int_equal(get(1, &r), 0);
	assert_true(r.version > version);
	assert_int_equal(r.profile.avatar_len, 7);
	/* What the network says of a user of ours is nothing. */
	merge(1, 1, UINT64_MAX, "not me", 0);
	check_handle(1, "again");
	/* One who was known as somebody elsewhere. */
	merge(3, 3, 5, "remote", 10);
	assert_int_equal(modify(3, "local", NULL), 0);
	reopen(LIMIT_PROFILES);
	check_handle(1, "again");
	check_handle(3, "local");
	assert_int_equal(get(1, &r), 0);
	assert_memory_equal(r.profile.avatar, "picture", 7);
	assert_int_equal(users_count(now.users), 3);
	assert_int_equal(modify(1, "again", "another"), 0);
	/* Two profiles, one with its one avatar, and one that is bare; nothing elsewhere. */
	assert_int_equal(store_each(now.store, STORE_USERS, count_records, &n), 0);
	assert_int_equal(n, 4);
	n = 0;
	assert_int_equal(store_each(now.store, STORE_PROFILES, count_records, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(users_forget(now.users, &id), 0);
	assert_int_equal(users_forget(now.users, &id), 0);
	assert_false(users_has_local(now.users, &id));
	assert_int_equal(get(1, &r), -ENOENT);
	n = 0;
	assert_int_equal(store_each(now.store, STORE_USERS, count_records, &n), 0);
	assert_int_equal(n, 2);
}

static void say_goodbye(unsigned int n, uint64_t version)
{
	const struct address id = number(n);

	users_merge(now.users, &id, version, NULL);
}

/* Who is gone is nobody, though he is seen or his past played back, until he says something new. */
static void good_byes(void **state)
{
	const struct address id = number(3);
	struct profile_record r;
	int n = 0;

	(void)state;
	merge(3, 3, 10, "three", 100);
	merge(4, 4, 10, "four", 100);
	say_goodbye(3, 9);
	say_goodbye(3, 10);
	check_handle(3, "three");
	say_goodbye(3, 11);
	assert_int_equal(get(3, &r), -ENOENT);
	assert_int_equal(users_stats(now.users)->gone, 1);
	/* Of one who was never here, too. */
	say_goodbye(5, 20);
	for (int life = 0; life < 2; life++) {
		users_seen(now.users, &id, 1, 2);
		merge(3, 3, 10, "three", 100);
		merge(3, 3, 11, "three", 100);
		merge(5, 5, 20, "five", 0);
		say_goodbye(3, 11);
		assert_int_equal(get(3, &r), -ENOENT);
		assert_int_equal(get(5, &r), -ENOENT);
		check_handle(4, "four");
		assert_int_equal(users_count(now.users), 1);
		reopen(LIMIT_PROFILES);
	}
	assert_int_equal(store_each(now.store, STORE_PROFILES, count_records, &n), 0);
	assert_int_equal(n, 2);	/* the profile and the picture of number 4 */
	merge(3, 3, 12, "three again", 0);
	check_handle(3, "three again");
	merge(3, 3, 11, "three", 0);
	check_handle(3, "three again");
	/* Nobody says it of a user of this router. */
	assert_int_equal(modify(6, "six", NULL), 0);
	say_goodbye(6, UINT64_MAX);
	check_handle(6, "six");
	/* Destroyed here, what he announced does not come back, in another life either. */
	assert_int_equal(get(6, &r), 0);
	assert_int_equal(users_forget(now.users, (struct address[]){ number(6) }), 0);
	for (int life = 0; life < 2; life++) {
		merge(6, 6, r.version, "six", 0);
		assert_int_equal(users_count(now.users), 2);
		reopen(LIMIT_PROFILES);
	}
	/* But here he may begin again. */
	assert_int_equal(modify(6, "sixth", NULL), 0);
	check_handle(6, "sixth");
}

/* What is remembered of them has an end. */
static void many_good_byes(void **state)
{
	struct profile_record r;
	int n = 0;

	(void)state;
	merge(1, 1, 5, "one", 0);
	say_goodbye(1, 6);
	for (unsigned int i = 0; i < LIMIT_BYGONE; i++)
		say_goodbye(1000 + i, 7);
	assert_int_equal(store_each(now.store, STORE_BYGONE, count_records, &n), 0);
	assert_int_equal(n, LIMIT_BYGONE);
	reopen(LIMIT_PROFILES);
	/* The first one was forgotten, the next was not, and is the next to be. */
	merge(1000, 1000, 7, "no", 0);
	assert_int_equal(get(1000, &r), -ENOENT);
	merge(1, 1, 5, "one", 0);
	check_handle(1, "one");
	say_goodbye(2, 1);
	merge(1000, 1000, 7, "yes", 0);
	check_handle(1000, "yes");
	merge(1001, 1001, 7, "no", 0);
	assert_int_equal(get(1001, &r), -ENOENT);
}

/* Avatars that no profile names, as a crash between two writes leaves them, go at the start. */
static void orphans(void **state)
{
	static const char record[] = "a" "0123456789abcdef0123456789abcdef" "12345678";
	int n = 0;

	(void)state;
	assert_int_equal(modify(1, "me", "picture"), 0);
	assert_int_equal(store_put(now.store, STORE_USERS, record, sizeof(record) - 1, "x", 1), 0);
	assert_int_equal(store_flush(now.store), 0);
	reopen(LIMIT_PROFILES);
	assert_int_equal(store_each(now.store, STORE_USERS, count_records, &n), 0);
	assert_int_equal(n, 2);
}

/* Lookups --------------------------------------------------------------------------- */

struct result {
	struct address ids[64];
	size_t n, most;
	int err;
	bool done;
};

static bool on_found(void *ctx, const struct profile *p)
{
	struct result *r = ctx;

	assert_true(r->n < 64);
	r->ids[r->n++] = p->id;
	return r->n < r->most;
}

static void on_done(void *ctx, int err)
{
	struct result *r = ctx;

	r->err = err;
	r->done = true;
}

static struct lookup *look(struct user_query *q, enum user_scope scope, struct result *r)
{
	struct lookup *l;

	*r = (struct result){ .most = 64 };
	assert_int_equal(users_lookup(now.users, q, scope, on_found, on_done, r, &l), 0);
	assert_false(r->done);
	return l;
}

static void finish(struct result *r)
{
	while (!r->done)
		uv_run(&now.loop, UV_RUN_ONCE);
	assert_int_equal(r->err, 0);
}

static void lookups(void **state)
{
	struct user_query q = { .n = 1, .take = 64 };
	char handle[32];
	struct result a, b, c;
	struct lookup *l;

	(void)state;
	for (unsigned int i = 0; i < 300; i++) {
		snprintf(handle, sizeof(handle), "%s %u", i % 10 ? "many" : "few", i);
		if (i % 20 == 10)
			assert_int_equal(modify(i, handle, NULL), 0);
		else
			merge(i, i, 1, handle, 0);
	}
	q.terms[0] = (struct user_term){ "handle", "FEW", USER_MATCH_PREFIX };
	look(&q, USER_BOTH, &a);
	look(&q, USER_LOCAL, &b);
	l = look(&q, USER_REMOTE, &c);
	finish(&a);
	finish(&b);
	finish(&c);
	assert_int_equal(a.n, 30);
	assert_int_equal(b.n, 15);
	assert_int_equal(c.n, 15);
	for (unsigned int i = 0; i < 30; i++) {
		const struct address want = number(i * 10);

		assert_true(address_equal(&a.ids[i], &want));
	}
	q.skip = 4;
	q.take = 2;
	look(&q, USER_BOTH, &a);
	finish(&a);
	assert_int_equal(a.n, 2);
	assert_true(address_equal(&a.ids[0], (struct address[]){ number(40) }));
	/* Whoever has enough says so; whoever goes hears nothing any more. */
	q.skip = 0;
	q.take = 64;
	look(&q, USER_BOTH, &a);
	a.most = 3;
	l = look(&q, USER_BOTH, &b);
	users_lookup_stop(l);
	finish(&a);
	assert_int_equal(a.n, 3);
	for (int i = 0; i < 10; i++)
		uv_run(&now.loop, UV_RUN_NOWAIT);
	assert_false(b.done);
	/* With one still under way everything ends. */
	look(&q, USER_BOTH, &b);
}

/* Everybody who fits, found without any index, in order. */
static void plain_search(const struct user_query *q, struct result *out)
{
	struct user_query all = { .take = 64 };
	struct profile_record r;
	uint32_t skip = q->skip;
	struct result page;

	*out = (struct result){ .n = 0 };
	for (;; all.skip += (uint32_t)page.n) {
		look(&all, USER_BOTH, &page);
		finish(&page);
		for (size_t i = 0; i < page.n && out->n < q->take; i++) {
			assert_int_equal(users_get(now.users, &page.ids[i], &r, NULL), 0);
			if (holds(q, &r.profile) && !(skip && skip--))
				out->ids[out->n++] = r.profile.id;
		}
		if (!page.n)
			return;
	}
}

/* What the index of values finds is what going through all finds, whatever changed before. */
static void index_is_right(void **state)
{
	static const char *const attributes[] = { "", "handle", "key1", "services", "id", "display_name" };
	struct user_query q = { .take = 64 };
	struct result want, have;
	unsigned int hits = 0;
	struct profile p;

	(void)state;
	for (unsigned int i = 0; i < 120; i++) {
		struct address id = number(i);

		users_seen(now.users, &id, i, i);
		if (i % 15 == 3)
			assert_int_equal(modify(i, letters[i % 9], NULL), 0);
	}
	for (unsigned int round = 1; round <= 20; round++) {
		for (unsigned int i = 0; i < 100; i++) {
			unsigned int who = randombytes_uniform(110);
			char digits[65];

			random_profile(&p, who);
			/* A key of the name of an attribute, and a value that is an id. */
			if (i % 10 == 0) {
				sodium_bin2hex(digits, sizeof(digits), number(i).b, 32);
				assert_int_equal(profile_bio_set(&p.bio, "ID", digits), 0);
			}
			users_merge(now.users, &p.id, round * 1000 + i, &p);
		}
		if (round % 5 == 0)
			reopen(LIMIT_PROFILES);
		for (unsigned int i = 0; i < 60; i++) {
			char pattern[2][100];

			q.n = (uint16_t)(1 + randombytes_uniform(2));
			for (uint16_t t = 0; t < q.n; t++) {
				random_text(pattern[t], 2);
				if (i % 6 == 0 && !t)
					sodium_bin2hex(pattern[t], 65, number(i).b, 32);
				else if (i % 6 == 1)
					snprintf(pattern[t], 8, "s%s", letters[i % 9]);
				q.terms[t] = (struct user_term){
					attributes[randombytes_uniform(6)], pattern[t],
					t ? randombytes_uniform(4) : USER_MATCH_EXACT };
			}
			q.skip = randombytes_uniform(3);
			q.take = 1 + randombytes_uniform(40);
			plain_search(&q, &want);
			look(&q, USER_BOTH, &have);
			finish(&have);
			assert_int_equal(have.n, want.n);
			assert_memory_equal(have.ids, want.ids, want.n * sizeof(want.ids[0]));
			hits += want.n > 0;
		}
	}
	assert_true(hits > 100);
}

/* More than the index is asked for: it is searched all the same, in order. */
static void index_of_many(void **state)
{
	struct user_query q = { .n = 1, .skip = 400, .take = 60 };
	struct result r;
	int n = 0;

	(void)state;
	for (unsigned int i = 0; i < 500; i++)
		merge(i, i, 1, i % 2 ? "Common" : "COMMON", 0);
	q.terms[0] = (struct user_term){ "handle", "common", USER_MATCH_EXACT };
	look(&q, USER_BOTH, &r);
	finish(&r);
	assert_int_equal(r.n, 60);
	for (unsigned int i = 0; i < 60; i++)
		assert_true(address_equal(&r.ids[i], (struct address[]){ number(400 + i) }));
	/* Nothing is left in the index of those who are gone. */
	reopen(10);
	assert_int_equal(users_count(now.users), 10);
	assert_int_equal(store_each(now.store, STORE_PROFILE_VALUES, count_records, &n), 0);
	assert_int_equal(n, 10);
}

/* A turn of the loop reads no more than it may: the rest is read in the next ones. */
static void pieces(void **state)
{
	struct user_query q = { .n = 1, .take = 64 };
	struct result r;
	int turns = 0;

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		merge(i, i, 1, "somebody", 0);
	/* No quick look helps here. */
	q.terms[0] = (struct user_term){ "handle", "x", USER_MATCH_SUBSTRING };
	look(&q, USER_BOTH, &r);
	while (!r.done) {
		uv_run(&now.loop, UV_RUN_NOWAIT);
		turns++;
	}
	assert_int_equal(r.n, 0);
	assert_true(turns >= 1000 / 64);
}

/* Of long profiles and many words it does less: here one is enough for a turn. */
static void heavy_pieces(void **state)
{
	struct user_query q = { .n = LIMIT_QUERY_TERMS, .take = 64 };
	char words[2 * 128], value[8001];
	struct result r;
	int turns = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(words); i++)
		words[i] = i % 2 ? ' ' : (char)('a' + i / 2 % 26);
	words[sizeof(words) - 1] = '\0';
	for (size_t i = 0; i < sizeof(value); i++)
		value[i] = i % 4 == 3 ? ' ' : 'x';
	value[sizeof(value) - 1] = '\0';
	for (unsigned int i = 0; i < 12; i++) {
		const struct address id = number(i);
		struct profile p;

		profile_init(&p, &id);
		assert_int_equal(profile_bio_set(&p.bio, "about", value), 0);
		users_merge(now.users, &id, 1, &p);
	}
	for (size_t i = 0; i < LIMIT_QUERY_TERMS; i++)
		q.terms[i] = (struct user_term){ "", words, USER_MATCH_FUZZY };
	look(&q, USER_BOTH, &r);
	while (!r.done) {
		uv_run(&now.loop, UV_RUN_NOWAIT);
		turns++;
	}
	assert_int_equal(r.n, 0);
	assert_true(turns >= 12);
}

/* Watches ---------------------------------------------------------------------------- */

static void on_ready(void *ctx)
{
	++*(int *)ctx;
}

static void expect_next(struct users_watch *w, unsigned int n)
{
	const struct address want = number(n);
	struct profile_record r;

	assert_int_equal(users_watch_next(w, &r, NULL), 0);
	assert_true(address_equal(&r.profile.id, &want));
}

static void watches(void **state)
{
	struct profile_record r;
	struct users_watch *a, *b;
	const struct address id = number(9);
	int ready_a = 0, ready_b = 0;

	(void)state;
	merge(1, 1, 1, "before", 0);
	assert_int_equal(users_watch(now.users, on_ready, &ready_a, &a), 0);
	assert_int_equal(users_watch_next(a, &r, NULL), -EAGAIN);
	users_seen(now.users, &id, 1, 1);
	assert_int_equal(ready_a, 0);
	merge(1, 1, 2, "x", 0);
	merge(2, 2, 1, "y", 0);
	assert_int_equal(users_watch(now.users, on_ready, &ready_b, &b), 0);
	merge(3, 3, 1, "z", 0);
	merge(1, 1, 3, "x again", 0);
	merge(1, 1, 3, "old news", 0);
	assert_int_equal(ready_a, 4);
	assert_int_equal(ready_b, 2);
	/* In the order of the last change, each once. */
	expect_next(a, 2);
	merge(3, 3, 2, "z again", 0);
	expect_next(a, 1);
	expect_next(a, 3);
	assert_int_equal(users_watch_next(a, &r, NULL), -EAGAIN);
	expect_next(b, 1);
	expect_next(b, 3);
	assert_int_equal(users_watch_next(b, &r, NULL), -EAGAIN);
	assert_int_equal(modify(4, "local", NULL), 0);
	expect_next(a, 4);
	users_unwatch(a);
	/* One who is forgotten before he was asked for. */
	assert_int_equal(users_forget(now.users, (struct address[]){ number(4) }), 0);
	assert_int_equal(users_watch_next(b, &r, NULL), -EAGAIN);
	users_unwatch(b);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(merging),		WITH_STORE(from_the_future),
		WITH_STORE(room_for_few),	WITH_STORE(local_ones), WITH_STORE(good_byes), WITH_STORE(many_good_byes),
		WITH_STORE(orphans),		WITH_STORE(lookups),
		WITH_STORE(pieces),		WITH_STORE(heavy_pieces),
		WITH_STORE(index_is_right),
		WITH_STORE(index_of_many),	WITH_STORE(watches),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
