// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Profiles between whole routers (store, streams, users): they reach everybody, as
 * the owner has them now, and by nobody else's word; who was away catches up.
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

#include "base/log.h"
#include "ratmand/flow/parcel.h"
#include "ratmand/service/announce.h"
#include "ratmand/service/service.h"
#include "unit/flow_world.h"
#include "unit/profiles.h"

static struct service *services[ROUTERS];

static struct service *of(struct router *r)
{
	return services[r - routers];
}

static bool reachable(void *ctx, const struct address *peer)
{
	struct router *r = router_of(peer);

	(void)ctx;
	return r && r->up;
}

static void start(struct router *r)
{
	const uint8_t key[ADDRESS_KEY_LEN] = { 1 };

	router_start(r, true);
	assert_int_equal(service_new(&services[r - routers], &loop, r->store, r->flow), 0);
	service_set_reachable(of(r), reachable, NULL);
	assert_int_equal(users_ready(of(r)->users), 0);
	assert_int_equal(service_address_up(of(r), &r->address, key), 0);
}

static void stop(struct router *r)
{
	if (!of(r))
		return;
	service_stop(of(r));
	service_free(of(r));
	services[r - routers] = NULL;
	router_stop(r);
}

static int teardown(void **state)
{
	for (int i = 0; i < ROUTERS; i++)
		stop(&routers[i]);
	return world_teardown(state);
}

static void on_modified(void *ctx, int err)
{
	*(int *)ctx = err;
}

static int modify(struct router *r, const struct user_update *u)
{
	int err = 1;

	users_modify(of(r)->users, &r->address, u, on_modified, &err);
	while (err == 1)
		uv_run(&loop, UV_RUN_ONCE);
	return err;
}

static void set_handle(struct router *r, const char *handle)
{
	struct user_update u = { .handle_change = handle ? USER_SET : USER_UNSET };

	if (handle)
		strcpy(u.handle, handle);
	assert_int_equal(modify(r, &u), 0);
}

/* What @at knows of the user of @about. */
static int look(struct router *at, struct router *about, struct profile_record *out)
{
	static uint8_t avatar[LIMIT_AVATAR];

	return users_get(of(at)->users, &about->address, out, avatar);
}

struct want {
	struct router *at, *about;
	const char *handle;	/* NULL: none */
};

static bool knows(void *ctx)
{
	const struct want *want = ctx;
	struct profile_record r;

	if (look(want->at, want->about, &r) || r.profile.has_handle != (want->handle != NULL))
		return false;
	return !want->handle || !strcmp(r.profile.handle, want->handle);
}

static void expect(struct router *at, struct router *about, const char *handle)
{
	struct want want = { at, about, handle };

	if (!run_until(knows, &want, 60000))
		fail_msg("router %d does not know '%s' of %d", (int)(at - routers),
			 handle ? handle : "", (int)(about - routers));
}

static const struct users_stats *stats(struct router *r)
{
	return users_stats(of(r)->users);
}

static void two_meet(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct profile_record there, here;
	struct user_update u = { .handle_change = USER_SET, .display_name_change = USER_SET,
				 .avatar_change = USER_SET };
	static uint8_t picture[LIMIT_AVATAR];

	(void)state;
	start(a);
	start(b);
	/* The largest there is comes through whole. */
	randombytes_buf(picture, sizeof(picture));
	strcpy(u.handle, "anna");
	memset(u.display_name, 'n', LIMIT_DISPLAY_NAME);
	u.avatar = picture;
	u.avatar_len = sizeof(picture);
	for (int i = 0; i < LIMIT_BIO_PAIRS; i++) {
		char key[16], value[128] = "";

		snprintf(key, sizeof(key), "key %03d", i);
		memset(value, 'v', 119);
		assert_int_equal(profile_bio_set(&u.add_bio, key, value), 0);
		assert_int_equal(profile_services_add(&u.add_services, key), 0);
	}
	assert_int_equal(modify(a, &u), 0);
	set_handle(b, "bert");
	expect(b, a, "anna");
	expect(a, b, "bert");
	assert_int_equal(look(b, a, &there), 0);
	assert_int_equal(there.profile.flags, PROFILE_ONLINE);
	assert_int_equal(there.profile.avatar_len, sizeof(picture));
	assert_memory_equal(there.profile.avatar, picture, sizeof(picture));
	assert_int_equal(look(a, a, &here), 0);
	assert_int_equal(here.profile.flags, PROFILE_LOCAL | PROFILE_ONLINE);
	assert_int_equal(here.profile.bio.len, there.profile.bio.len);
	assert_memory_equal(here.profile.bio.bytes, there.profile.bio.bytes, here.profile.bio.len);
	assert_int_equal(there.profile.services.n, LIMIT_PROFILE_SERVICES);
	assert_true(here.profile.updated_ns == there.profile.updated_ns);
	assert_true(here.version == there.version);

	/* What is taken away goes there, too. */
	u = (struct user_update){ .display_name_change = USER_UNSET, .avatar_change = USER_UNSET };
	assert_int_equal(profile_bio_set(&u.rm_bio, "key 007", ""), 0);
	assert_int_equal(profile_services_add(&u.rm_services, "key 008"), 0);
	assert_int_equal(modify(a, &u), 0);
	set_handle(a, "anne");
	expect(b, a, "anne");
	assert_int_equal(look(b, a, &there), 0);
	assert_false(there.profile.has_display_name);
	assert_int_equal(there.profile.avatar_len, 0);
	assert_null(profile_bio_find(&there.profile.bio, "key 007"));
	assert_non_null(profile_bio_find(&there.profile.bio, "key 008"));
	assert_int_equal(there.profile.services.n, LIMIT_PROFILE_SERVICES - 1);
	set_handle(a, NULL);
	expect(b, a, NULL);
	/* The route goes. */
	a->up = false;
	assert_int_equal(look(b, a, &there), 0);
	assert_int_equal(there.profile.flags, 0);
	a->up = true;
}

/* Not every one of many changes travels, but the last does. */
static void many_changes(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	char handle[32];

	(void)state;
	start(a);
	start(b);
	/* Whoever has a profile takes part; until then nobody keeps anything for b. */
	set_handle(b, "b");
	for (int i = 0; i <= 50; i++) {
		snprintf(handle, sizeof(handle), "change %d", i);
		set_handle(a, handle);
	}
	expect(b, a, "change 50");
	assert_true(stats(b)->merged < 20);
}

static void absent_one_catches_up(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	struct profile_record r;

	(void)state;
	for (int i = 0; i < 3; i++) {
		start(&routers[i]);
		set_handle(&routers[i], i == 0 ? "a" : i == 1 ? "b" : "c");
	}
	for (int i = 0; i < 3; i++) {
		expect(&routers[i], a, "a");
		expect(&routers[i], b, "b");
		expect(&routers[i], c, "c");
	}
	stop(c);
	set_handle(a, "a while c is away");
	expect(b, a, "a while c is away");
	/* The author leaves, too: b has kept it. */
	stop(a);
	start(c);
	/* What c knew is still there, and then comes the news. */
	assert_int_equal(look(c, a, &r), 0);
	assert_string_equal(r.profile.handle, "a");
	expect(c, a, "a while c is away");
	expect(c, b, "b");
	assert_int_equal(look(c, a, &r), 0);
	assert_int_equal(r.profile.flags, 0);
	/* A newcomer, who has never seen a, hears of it as well. */
	start(&routers[3]);
	set_handle(&routers[3], "d");
	expect(&routers[3], a, "a while c is away");
	expect(b, &routers[3], "d");
	/* Back after all that, nothing it has is older than what others know. */
	start(a);
	set_handle(a, "a is back");
	expect(c, a, "a is back");
	expect(&routers[3], a, "a is back");
}

static void send_raw(struct router *from, const uint8_t *data, size_t len)
{
	assert_int_equal(flow_parcel_send(from->flow, PARCEL_PROFILE, &from->address,
					  flow_everybody(), NULL, 0, data, len, NULL, NULL), 0);
}

/* An announcement by @from about @about, which need not be true. */
static void announce(struct router *from, struct router *about, uint64_t version,
		     const char *handle)
{
	static uint8_t buf[ANNOUNCEMENT_MAX];
	struct profile p;

	profile_init(&p, &about->address);
	p.has_handle = true;
	strcpy(p.handle, handle);
	send_raw(from, buf, announce_write(buf, sizeof(buf), version, &p));
}

struct counted {
	struct router *at;
	uint64_t forged, malformed, old;
};

static bool has_counted(void *ctx)
{
	const struct counted *c = ctx;
	const struct users_stats *s = stats(c->at);

	return s->forged >= c->forged && s->malformed >= c->malformed && s->old >= c->old;
}

static void nobody_speaks_for_another(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *evil = &routers[2];
	static uint8_t junk[ANNOUNCEMENT_MAX + 1];
	struct counted at_b = { .at = b }, at_a = { .at = a };
	struct profile_record r;

	(void)state;
	start(a);
	start(b);
	start(evil);
	/* Its own users say nothing: what it sends is all by hand. */
	set_handle(a, "anna");
	set_handle(b, "bert");
	expect(b, a, "anna");
	assert_int_equal(flow_commons_up(evil->flow, &evil->address), 0);

	announce(evil, a, UINT64_MAX, "not anna");
	at_b.forged = at_a.forged = 1;
	assert_true(run_until(has_counted, &at_b, 60000));
	assert_true(run_until(has_counted, &at_a, 60000));
	send_raw(evil, (const uint8_t *)"\1nonsense", 9);
	at_b.malformed = 1;
	assert_true(run_until(has_counted, &at_b, 60000));
	memset(junk, 1, sizeof(junk));
	send_raw(evil, junk, sizeof(junk));
	at_b.malformed = 2;
	assert_true(run_until(has_counted, &at_b, 60000));
	expect(b, a, "anna");
	expect(a, a, "anna");

	/* An older state of one's own is not taken either. */
	announce(evil, evil, 10, "ten");
	expect(b, evil, "ten");
	announce(evil, evil, 9, "nine");
	at_b.old = stats(b)->old + 1;
	assert_true(run_until(has_counted, &at_b, 60000));
	announce(evil, evil, 11, "eleven");
	expect(b, evil, "eleven");
	assert_int_equal(look(b, a, &r), 0);
	assert_string_equal(r.profile.handle, "anna");
	assert_int_equal(stats(b)->forged, 1);
}

/* An address without a profile hears of others and says nothing of itself. */
static void no_user_no_word(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct profile_record r;

	(void)state;
	start(a);
	start(b);
	set_handle(a, "anna");
	expect(b, a, "anna");
	assert_int_not_equal(look(a, b, &r), 0);
	set_handle(b, "bert");
	expect(a, b, "bert");
	/* Offline it hears nothing any more. */
	service_address_down(of(b), &b->address);
	set_handle(a, "anne");
	run_until(never, NULL, 1500);
	assert_int_equal(look(b, a, &r), 0);
	assert_string_equal(r.profile.handle, "anna");
	assert_int_equal(look(b, b, &r), 0);
	assert_int_equal(r.profile.flags, PROFILE_LOCAL);
}

static bool is_unknown(void *ctx)
{
	const struct want *want = ctx;
	struct profile_record r;

	return look(want->at, want->about, &r) == -ENOENT;
}

static void expect_unknown(struct router *at, struct router *about)
{
	struct want want = { .at = at, .about = about };

	if (!run_until(is_unknown, &want, 60000))
		fail_msg("router %d still knows %d", (int)(at - routers), (int)(about - routers));
}

static void on_flushed(void *ctx, int err)
{
	assert_int_equal(err, 0);
	*(bool *)ctx = true;
}

/* As Addr/Destroy does it, with the streams of the address. */
static void destroy(struct router *r)
{
	const uint8_t key[ADDRESS_KEY_LEN] = { 1 };
	bool done = false;

	assert_int_equal(service_user_goodbye(of(r), &r->address, r->secret), 0);
	assert_int_equal(service_address_forget(of(r), &r->address, key), 0);
	service_address_down(of(r), &r->address);
	assert_int_equal(flow_local_purge(r->flow, &r->address), 0);
	store_commit(r->store, on_flushed, &done);
	while (!done)
		uv_run(&loop, UV_RUN_ONCE);
	r->up = false;
}

/* Who is destroyed is nobody any more, everywhere, and does not come back by what he once said. */
static void gone_for_ever(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	struct profile_record r;

	(void)state;
	for (int i = 0; i < 3; i++) {
		start(&routers[i]);
		set_handle(&routers[i], i == 0 ? "a" : i == 1 ? "b" : "c");
	}
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			expect(&routers[i], &routers[j], j == 0 ? "a" : j == 1 ? "b" : "c");
	stop(c);
	/* Another user of that router is online, and passes it on. */
	router_second_up(a);
	assert_int_equal(flow_commons_up(a->flow, &a->second), 0);
	destroy(a);
	a->up = true;	/* the second one is */
	assert_int_equal(look(a, a, &r), -ENOENT);
	expect_unknown(b, a);
	assert_int_equal(stats(b)->gone, 1);
	/* Who was away has him still, and hears of it. */
	start(c);
	assert_int_equal(look(c, a, &r), 0);
	expect_unknown(c, a);
	/* Seen once more, as on the way he still is; told once more of what was. */
	users_seen(of(b)->users, &a->address, 1, 2);
	assert_int_equal(look(b, a, &r), -ENOENT);
	stop(b);
	start(b);
	users_seen(of(b)->users, &a->address, 1, 2);
	assert_int_equal(look(b, a, &r), -ENOENT);
	expect(b, c, "c");
	assert_int_equal(look(a, a, &r), -ENOENT);
	assert_int_equal(look(b, a, &r), -ENOENT);
}

/* Nobody is online at that router just then, and it dies: what he said last is on the disk. */
static void last_word_waits(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct profile_record r;

	(void)state;
	start(a);
	start(b);
	set_handle(a, "anna");
	set_handle(b, "bert");
	expect(b, a, "anna");
	expect(a, b, "bert");
	/* Offline he is destroyed by his token. */
	service_address_down(of(a), &a->address);
	a->up = false;
	destroy(a);
	assert_int_equal(count(a, STORE_OUTBOX), 1);
	service_stop(of(a));
	service_free(of(a));
	services[0] = NULL;
	router_stop(a);
	router_start(a, true);
	assert_int_equal(service_new(&services[0], &loop, a->store, a->flow), 0);
	run_until(never, NULL, 300);
	assert_int_equal(look(b, a, &r), 0);
	router_second_up(a);
	assert_int_equal(flow_commons_up(a->flow, &a->second), 0);
	expect_unknown(b, a);
	assert_int_equal(look(a, a, &r), -ENOENT);
	assert_true(run_until(outbox_empty, a, 60000));
}

/* One who comes and goes in quick succession is not announced each time. */
static void in_and_out(void **state)
{
	const uint8_t key[ADDRESS_KEY_LEN] = { 1 };
	struct router *a = &routers[0], *b = &routers[1];
	char handle[32];

	(void)state;
	start(a);
	start(b);
	set_handle(b, "b");
	for (int i = 0; i <= 30; i++) {
		snprintf(handle, sizeof(handle), "visit %d", i);
		set_handle(a, handle);
		run_until(never, NULL, 5);
		service_address_down(of(a), &a->address);
		assert_int_equal(service_address_up(of(a), &a->address, key), 0);
	}
	expect(b, a, "visit 30");
	assert_true(stats(b)->merged < 10);
}

/* What goes from router to router: one encoding, without flags, all of it or nothing. */
static void record(void **state)
{
	static uint8_t buf[ANNOUNCEMENT_MAX];
	struct profile p, back;
	uint64_t version;
	bool goodbye;
	size_t len;

	(void)state;
	random_profile(&p, 3);
	p.has_handle = true;
	strcpy(p.handle, "announced");
	p.flags = PROFILE_LOCAL | PROFILE_ONLINE;
	len = announce_write(buf, sizeof(buf), 0x0102030405060708, &p);
	assert_memory_equal(buf, "\1\1\2\3\4\5\6\7\10\1", 10);
	assert_int_equal(announce_write(buf, len - 1, 1, &p), 0);
	assert_int_equal(announce_write(buf, sizeof(buf), 0x0102030405060708, &p), len);
	assert_int_equal(announce_read(buf, len, &version, &goodbye, &back), 0);
	assert_true(version == 0x0102030405060708);
	assert_false(goodbye);
	assert_string_equal(back.handle, "announced");
	assert_int_equal(back.flags, 0);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(announce_read(buf, cut, &version, &goodbye, &back), -EINVAL);
	assert_int_equal(announce_read(buf, len + 1, &version, &goodbye, &back), -EINVAL);
	buf[len - 36] = PROFILE_LOCAL;
	assert_int_equal(announce_read(buf, len, &version, &goodbye, &back), -EINVAL);
	buf[len - 36] = 0;
	buf[0] = 3;
	assert_int_equal(announce_read(buf, len, &version, &goodbye, &back), -EINVAL);
	buf[0] = 1;
	memset(buf + 1, 0, 8);
	assert_int_equal(announce_read(buf, len, &version, &goodbye, &back), -EINVAL);
	/* A good-bye is a stamp and nothing else. */
	assert_int_equal(announce_write(buf, 8, 7, NULL), 0);
	assert_int_equal(announce_write(buf, sizeof(buf), 7, NULL), 9);
	assert_memory_equal(buf, "\2\0\0\0\0\0\0\0\7", 9);
	assert_int_equal(announce_read(buf, 9, &version, &goodbye, &back), 0);
	assert_true(goodbye && version == 7);
	for (size_t cut = 0; cut < 9; cut++)
		assert_int_equal(announce_read(buf, cut, &version, &goodbye, &back), -EINVAL);
	buf[9] = 0;
	assert_int_equal(announce_read(buf, 10, &version, &goodbye, &back), -EINVAL);
	buf[8] = 0;
	assert_int_equal(announce_read(buf, 9, &version, &goodbye, &back), -EINVAL);
}

#define T(test) cmocka_unit_test_setup_teardown(test, world_setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(two_meet), T(many_changes), T(absent_one_catches_up),
		T(nobody_speaks_for_another), T(no_user_no_word),
		T(gone_for_ever), T(last_word_waits), T(in_and_out),
		cmocka_unit_test(record),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(getenv("RATMAN_TEST_LOG") ? LOG_DEBUG : LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
