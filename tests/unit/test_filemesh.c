// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files between whole daemons' worth of flow, store and service: announced, asked for,
 * resumed, refused; holders that lie, and holders that have lost what they announced.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "proto/notice.h"
#include "ratmand/flow/content.h"
#include "ratmand/service/files_priv.h"
#include "unit/flow_world.h"

#define ACCEPT 100000

/* One user on each router. */
struct user {
	struct router *router;
	struct online *online;
	struct files *files;
	unsigned int told;		/* by the watch */
	enum file_state last;
	struct files_watch *watch;
};

static struct user users[ROUTERS];

static void start(int i)
{
	struct user *u = &users[i];
	uint8_t key[ADDRESS_KEY_LEN];

	u->router = &routers[i];
	router_start(u->router, true);
	memset(key, i + 1, sizeof(key));
	assert_int_equal(online_new(&u->online, u->router->store), 0);
	assert_int_equal(online_add(u->online, &u->router->address, key), 0);
	assert_int_equal(files_new(&u->files, &loop, u->router->store, u->router->flow, u->online),
			 0);
	files_set_accept(u->files, ACCEPT);
	files_user_up(u->files, &u->router->address);
}

static void stop(int i)
{
	struct user *u = &users[i];

	if (!u->files)
		return;
	files_watch_close(u->watch);
	files_stop(u->files);
	router_stop(u->router);
	files_free(u->files);
	online_free(u->online);
	memset(u, 0, sizeof(*u));
}

static int setup(void **state)
{
	log_set_level(LOG_ERROR);
	memset(users, 0, sizeof(users));
	return world_setup(state);
}

static int teardown(void **state)
{
	for (int i = 0; i < ROUTERS; i++)
		stop(i);
	return world_teardown(state);
}

static const struct address *address(int i)
{
	return &routers[i].address;
}

static const struct records *records(int i)
{
	return online_records(users[i].online, address(i));
}

/* Calls that end later ------------------------------------------------------------ */

struct result {
	bool done, drained;
	int err;
	struct ident id;
	uint64_t size;
};

static void on_done(void *ctx, int err)
{
	struct result *r = ctx;

	r->done = true;
	r->err = err;
}

static void on_packed(void *ctx, int err, const struct ident *id, uint64_t size)
{
	struct result *r = ctx;

	r->id = *id;
	r->size = size;
	on_done(r, err);
}

static void on_drain(void *ctx)
{
	((struct result *)ctx)->drained = true;
}

static int wait_for(struct result *r)
{
	while (!r->done)
		uv_run(&loop, UV_RUN_ONCE);
	return r->err;
}

static struct ident pack(int i, uint64_t seed, uint64_t size)
{
	const struct files_order order = { .user = *address(i), .name = "a file", .mime = "" };
	static uint8_t buf[FLOW_CONTENT_LEN + 32768];
	struct result r = { false };
	struct files_pack *p;

	assert_int_equal(files_pack_open(users[i].files, &order, on_drain, &r, &p), 0);
	for (uint64_t at = 0; at < size;) {
		size_t len = size - at < 32768 ? size - at : 32768;
		int err;

		for (size_t k = 0; k < len; k++)
			buf[k] = pattern(seed, at + k);
		r.drained = false;
		err = files_pack_write(p, buf, len);
		while (err == -EAGAIN && !r.drained)
			uv_run(&loop, UV_RUN_ONCE);
		if (!err)
			at += len;
		else
			assert_int_equal(err, -EAGAIN);
	}
	files_pack_finish(p, on_packed, &r);
	assert_int_equal(wait_for(&r), 0);
	assert_int_equal(r.size, size);
	return r.id;
}

static int announce(int i, const struct ident *id, const struct address *to, bool up)
{
	struct file_share share = { .user = *address(i), .id = *id };
	struct result r = { false };

	if (to)
		share.to = (struct recipient){ RECIPIENT_ADDRESS, *to };
	files_announce(users[i].files, &share, up, on_done, &r);
	return wait_for(&r);
}

static int announce_space(int i, const struct ident *id)
{
	const struct file_share share = { .user = *address(i), .id = *id,
					  .to = { RECIPIENT_NAMESPACE, space } };
	struct result r = { false };

	files_announce(users[i].files, &share, true, on_done, &r);
	return wait_for(&r);
}

static int request(int i, const struct ident *id, const struct address *owner)
{
	struct file_request q = { .user = *address(i), .id = *id, .has_owner = owner };
	struct result r = { false };

	if (owner)
		q.owner = *owner;
	files_request(users[i].files, &q, on_done, &r);
	return wait_for(&r);
}

static int send_file(int i, const struct ident *id, const struct address *to)
{
	struct file_send s = { .user = *address(i), .id = *id, .n = 1 };
	struct result r = { false };

	s.to[0] = (struct recipient){ RECIPIENT_ADDRESS, *to };
	files_send(users[i].files, &s, on_done, &r);
	return wait_for(&r);
}

static int remove_file(int i, const struct ident *id)
{
	const struct file_ref ref = { *address(i), *id };
	struct result r = { false };

	files_remove(users[i].files, &ref, on_done, &r);
	return wait_for(&r);
}

/* States ------------------------------------------------------------------------------ */

/* FILE_ANY: no such file. */
static enum file_state state_of(int i, const struct ident *id)
{
	struct file_meta m;
	int err = files_status(users[i].files, address(i), id, &m);

	if (err)
		assert_int_equal(err, -ENOENT);
	return err ? FILE_ANY : m.state;
}

struct want {
	int i;
	const struct ident *id;
	enum file_state state;
};

static bool is_in_state(void *ctx)
{
	const struct want *w = ctx;

	return state_of(w->i, w->id) == w->state;
}

static void expect(int i, const struct ident *id, enum file_state state)
{
	struct want w = { i, id, state };

	if (!run_until(is_in_state, &w, 30000))
		fail_msg("user %d: file in state %d, wanted %d", i, state_of(i, id), state);
}

/* What the user reads is what @seed names. */
static void same_content(int i, const struct ident *id, uint64_t seed, uint64_t want)
{
	static uint8_t buf[50000];
	struct files_read *r;
	uint64_t size, at = 0;
	ssize_t n;

	assert_int_equal(files_read_open(users[i].files, address(i), id, &size, &r), 0);
	assert_int_equal(size, want);
	while ((n = files_read_next(r, buf, sizeof(buf))) > 0) {
		for (ssize_t k = 0; k < n; k++)
			assert_int_equal(buf[k], pattern(seed, at + (uint64_t)k));
		at += (uint64_t)n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(at, want);
	files_read_close(r);
}

static uint64_t received(int i)
{
	return flow_stats(users[i].router->flow)->blocks_received;
}

/* Cases --------------------------------------------------------------------------------- */

static void everybody(void **state)
{
	struct ident id;

	(void)state;
	for (int i = 0; i < 3; i++)
		start(i);
	id = pack(0, 1, 200000);
	assert_int_equal(announce(0, &id, NULL, true), 0);
	expect(1, &id, FILE_ADVERTISED);
	expect(2, &id, FILE_ADVERTISED);
	assert_int_equal(request(1, &id, NULL), 0);
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 1, 200000);
	/* One that was away when it was announced; the owner is away by now. */
	stop(2);
	assert_int_equal(announce(1, &id, NULL, true), 0);
	stop(0);
	start(2);
	expect(2, &id, FILE_ADVERTISED);
	assert_int_equal(request(2, &id, address(1)), 0);
	expect(2, &id, FILE_AVAILABLE);
	same_content(2, &id, 1, 200000);
	/* Withdrawn where it was announced. */
	assert_int_equal(remove_file(2, &id), 0);
	start(0);
	assert_int_equal(announce(0, &id, NULL, false), 0);
	assert_int_equal(announce(1, &id, NULL, false), 0);
	expect(2, &id, FILE_ANY);
}

static void one_address(void **state)
{
	struct ident id;

	(void)state;
	for (int i = 0; i < 3; i++)
		start(i);
	id = pack(0, 2, 50000);
	assert_int_equal(announce(0, &id, address(1), true), 0);
	expect(1, &id, FILE_ADVERTISED);
	assert_int_equal(state_of(2, &id), FILE_ANY);
	/* Who only knows the id gets nothing, and is told what others are told of nothing. */
	assert_int_equal(request(2, &id, address(0)), 0);
	expect(2, &id, FILE_ANY);
	assert_int_equal(files_stats(users[0].files)->requests_refused, 1);
	assert_int_equal(request(2, &id, NULL), 0);
	run_until(never, NULL, 1500);
	assert_int_equal(state_of(2, &id), FILE_IN_PROGRESS);
	assert_int_equal(files_stats(users[2].files)->received, 0);
	assert_int_equal(count(&routers[2], STORE_CONTENTS), 0);
	/* A search of who may have it: asked of everybody, it comes. */
	assert_int_equal(remove_file(1, &id), 0);
	assert_int_equal(state_of(1, &id), FILE_ANY);
	assert_int_equal(request(1, &id, NULL), 0);
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 2, 50000);
	/* No more after it was withdrawn. */
	assert_int_equal(remove_file(1, &id), 0);
	assert_int_equal(announce(0, &id, address(1), false), 0);
	assert_int_equal(request(1, &id, address(0)), 0);
	expect(1, &id, FILE_ANY);
}

/* A member of a namespace shows the grant; who is none has not got it. */
static void namespace(void **state)
{
	struct ident id;

	(void)state;
	for (int i = 0; i < 3; i++)
		start(i);
	routers[1].announced = true;
	assert_int_equal(flow_space_up(routers[1].flow, &space, space_secret, address(1)), 0);
	world_members_changed();
	id = pack(0, 3, 3000);
	assert_int_equal(announce_space(0, &id), 0);
	expect(1, &id, FILE_ADVERTISED);
	assert_int_equal(state_of(2, &id), FILE_ANY);
	assert_int_equal(request(2, &id, address(0)), 0);
	expect(2, &id, FILE_ANY);
	assert_int_equal(request(1, &id, NULL), 0);
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 3, 3000);
	/* Who is no member any more does not see what he has not got. */
	assert_int_equal(remove_file(1, &id), 0);
	assert_int_equal(state_of(1, &id), FILE_ADVERTISED);
	flow_space_down(routers[1].flow, &space, address(1));
	assert_int_equal(state_of(1, &id), FILE_ANY);
}

static void sent(void **state)
{
	struct ident small, big;

	(void)state;
	start(0);
	start(1);
	small = pack(0, 4, ACCEPT);
	big = pack(0, 5, ACCEPT + 1);
	assert_int_equal(send_file(0, &small, address(1)), 0);
	expect(1, &small, FILE_AVAILABLE);
	same_content(1, &small, 4, ACCEPT);
	/* Not a byte of what is too big comes unasked. */
	assert_int_equal(send_file(0, &big, address(1)), 0);
	expect(1, &big, FILE_ADVERTISED);
	assert_true(received(1) <= ACCEPT / 32768 + 2);
	assert_int_equal(request(1, &big, NULL), 0);
	expect(1, &big, FILE_AVAILABLE);
	same_content(1, &big, 5, ACCEPT + 1);
}

struct held {
	int i;
	size_t n;
};

static bool holds(void *ctx)
{
	const struct held *h = ctx;

	return count(&routers[h->i], STORE_CONTENTS) == h->n;
}

/* What comes unasked has a room of its own, over restarts, and what is deleted makes room. */
static void unasked(void **state)
{
	struct held none = { 1, 1 };
	struct ident id[5];

	(void)state;
	for (int i = 0; i < 3; i++)
		start(i);
	files_set_accept_total(users[1].files, 200000);
	for (int i = 0; i < 5; i++)
		id[i] = pack(i % 2 ? 0 : 2, 20 + (uint64_t)i, 80000);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(send_file(i % 2 ? 0 : 2, &id[i], address(1)), 0);
		expect(1, &id[i], FILE_AVAILABLE);
	}
	/* The third does not fit, whoever sends it: not a byte of it comes, and who sent it forgets it. */
	stop(1);
	start(1);
	files_set_accept_total(users[1].files, 200000);
	assert_int_equal(send_file(2, &id[2], address(1)), 0);
	expect(1, &id[2], FILE_ADVERTISED);
	assert_true(run_until(outbox_empty, &routers[2], 30000));
	assert_int_equal(received(1), 0);
	/* What is asked for comes, and counts for nothing. */
	assert_int_equal(request(1, &id[2], NULL), 0);
	expect(1, &id[2], FILE_AVAILABLE);
	same_content(1, &id[2], 22, 80000);
	assert_int_equal(remove_file(1, &id[0]), 0);
	assert_int_equal(remove_file(1, &id[1]), 0);
	assert_true(run_until(holds, &none, 30000));
	for (int i = 3; i < 5; i++) {
		assert_int_equal(send_file(i % 2 ? 0 : 2, &id[i], address(1)), 0);
		expect(1, &id[i], FILE_AVAILABLE);
	}
	assert_int_equal(send_file(2, &id[0], address(1)), 0);
	expect(1, &id[0], FILE_ADVERTISED);
}

/* Many that begin at once, or are left in the middle, have no more room than those that have come. */
static void unasked_arriving(void **state)
{
	struct ident id[4];
	int here = 0;

	(void)state;
	start(0);
	start(1);
	files_set_accept(users[1].files, 4 << 20);
	files_set_accept_total(users[1].files, 9 << 20);
	for (int i = 0; i < 4; i++)
		id[i] = pack(0, 30 + (uint64_t)i, 4 << 20);
	for (int i = 0; i < 4; i++)
		assert_int_equal(send_file(0, &id[i], address(1)), 0);
	assert_true(run_until(outbox_empty, &routers[0], 60000));
	run_until(never, NULL, 500);
	for (int i = 0; i < 4; i++) {
		here += state_of(1, &id[i]) == FILE_AVAILABLE;
		if (state_of(1, &id[i]) != FILE_AVAILABLE)
			assert_int_equal(state_of(1, &id[i]), FILE_ADVERTISED);
	}
	assert_int_equal(here, 2);
	assert_true(received(1) < 3 * (4 << 20) / 32768);
}

static void on_change(void *ctx, const struct file_meta *meta)
{
	struct user *u = ctx;

	u->told++;
	u->last = meta->state;
}

struct progress {
	const struct ident *id;
	uint64_t bytes;
};

static bool has_bytes(void *ctx)
{
	const struct progress *p = ctx;
	struct file_meta m;

	return !files_status(users[1].files, address(1), p->id, &m) && m.local_bytes >= p->bytes;
}

/* Cut in the middle, at either end: goes on where it was. */
static void resume(void **state)
{
	const uint64_t size = 20 << 20;
	struct ident id;
	struct progress p = { &id, size / 8 };
	uint64_t before;

	(void)state;
	start(0);
	start(1);
	id = pack(0, 6, size);
	assert_int_equal(announce(0, &id, address(1), true), 0);
	expect(1, &id, FILE_ADVERTISED);
	assert_int_equal(files_watch_open(users[1].files, address(1), on_change, &users[1],
					  &users[1].watch), 0);
	assert_int_equal(request(1, &id, NULL), 0);
	assert_true(users[1].told && users[1].last == FILE_IN_PROGRESS);
	assert_true(run_until(has_bytes, &p, 60000));
	before = received(1);
	assert_true(before < size / 32768);
	stop(1);
	start(1);
	/* What is here shows before anything moves. */
	assert_true(run_until(has_bytes, &p, 60000));
	p.bytes = size / 2;
	assert_true(run_until(has_bytes, &p, 60000));
	before += received(1);
	stop(0);
	start(0);
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 6, size);
	/* All of it once, and what was on its way at the cuts. */
	assert_true(routers[1].received_before + received(1) < size / 32768 * 5 / 4);
}

static void count_arriving(void *ctx, const struct parcel_arriving *arriving)
{
	(void)arriving;
	++*(size_t *)ctx;
}

static bool nothing_arrives(void *ctx)
{
	size_t n = 0;

	(void)ctx;
	flow_parcels_arriving_each(routers[1].flow, address(1), count_arriving, &n);
	return !n;
}

static bool asked_again(void *ctx)
{
	return files_stats(((struct user *)ctx)->files)->asked_again;
}

/* Both 0 and 2 announce the same; who was asked stops half-way and does not come back. */
static void stops_half_way(bool restart)
{
	const uint64_t size = 20 << 20;
	struct ident id;
	struct progress p = { &id, size / 8 };

	for (int i = 0; i < 3; i++)
		start(i);
	id = pack(0, 6, size);
	pack(2, 6, size);
	assert_int_equal(announce(0, &id, NULL, true), 0);
	expect(1, &id, FILE_ADVERTISED);
	users[1].files->stall_ms = 600;
	assert_int_equal(request(1, &id, address(0)), 0);
	assert_true(run_until(has_bytes, &p, 60000));
	stop(0);
	if (restart) {
		stop(1);
		start(1);
		users[1].files->stall_ms = 600;
		/* What runs was set by what was found before. */
		uv_timer_set_repeat(users[1].files->tender, 100);
		uv_timer_again(users[1].files->tender);
	}
	/* Nobody else is known yet: it is waited for. */
	run_until(never, NULL, 1500);
	assert_int_equal(state_of(1, &id), FILE_IN_PROGRESS);
	assert_false(asked_again(&users[1]));
	assert_int_equal(announce(2, &id, NULL, true), 0);
	assert_true(run_until(asked_again, &users[1], 30000));
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 6, size);
	assert_int_equal(files_stats(users[1].files)->asked_again, 1);
	/* What the first has sent goes; he may come back and is not taken. */
	start(0);
	assert_true(run_until(outbox_empty, &routers[0], 60000));
	assert_true(run_until(nothing_arrives, NULL, 30000));
	assert_int_equal(state_of(1, &id), FILE_AVAILABLE);
	same_content(1, &id, 6, size);
}

static void next_holder(void **state)
{
	(void)state;
	stops_half_way(false);
}

static void next_holder_restarted(void **state)
{
	(void)state;
	stops_half_way(true);
}

/* The other one has it no more: who sent a part is waited for, and may go on. */
static void first_holder_after_all(void **state)
{
	const uint64_t size = 20 << 20;
	struct ident id;
	struct progress p = { &id, size / 8 };

	(void)state;
	for (int i = 0; i < 3; i++)
		start(i);
	id = pack(0, 6, size);
	assert_int_equal(announce(0, &id, NULL, true), 0);
	expect(1, &id, FILE_ADVERTISED);
	assert_int_equal(request(1, &id, address(0)), 0);
	assert_true(run_until(has_bytes, &p, 60000));
	stop(0);
	assert_int_equal(request(1, &id, address(2)), 0);
	run_until(never, NULL, 1500);
	assert_int_equal(files_stats(users[2].files)->requests_refused, 1);
	assert_int_equal(state_of(1, &id), FILE_IN_PROGRESS);
	start(0);
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 6, size);
	assert_true(routers[1].received_before + received(1) < size / 32768 * 5 / 4);
}

/* Deleted while it arrives: its parts go, and what comes later of it is sent away. */
static void called_off(void **state)
{
	struct ident id;
	struct progress p = { &id, 1 << 20 };

	(void)state;
	start(0);
	start(1);
	id = pack(0, 7, 20 << 20);
	assert_int_equal(announce(0, &id, address(1), true), 0);
	expect(1, &id, FILE_ADVERTISED);
	assert_int_equal(request(1, &id, NULL), 0);
	assert_true(run_until(has_bytes, &p, 60000));
	assert_int_equal(remove_file(1, &id), 0);
	assert_int_equal(state_of(1, &id), FILE_ANY);
	run_until(never, NULL, 1500);
	assert_int_equal(state_of(1, &id), FILE_ANY);
	assert_true(received(1) < (20 << 20) / 32768);
	assert_int_equal(count(&routers[1], STORE_INBOX), 0);
	/* But asked for again, it comes. */
	assert_int_equal(request(1, &id, address(0)), 0);
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 7, 20 << 20);
}

/* A peer without the service: does as the test likes. */
struct liar {
	bool asked;
};

static void on_liars_notice(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	struct liar *liar = ctx;
	uint8_t buf[256];
	struct notice n;
	ssize_t len = flow_parcel_read(p, buf, sizeof(buf));

	(void)info;
	if (len > 0 && !notice_read(buf, (size_t)len, &n) && n.kind == NOTICE_REQUEST)
		liar->asked = true;
	flow_parcel_close(p, true);
}

static bool was_asked(void *ctx)
{
	return ((struct liar *)ctx)->asked;
}

static void lie(int i, const struct notice_file *file, const struct address *to)
{
	const struct recipient recipient = { RECIPIENT_ADDRESS, *to };
	struct flow_content_writer *writer;
	struct flow_content content;
	uint8_t meta[1024], *bytes = calloc(1, file->size);
	struct wire_writer w;

	assert_int_equal(flow_content_open(routers[i].flow, NULL, NULL, &writer), 0);
	assert_int_equal(flow_content_write(writer, bytes, file->size), 0);
	assert_int_equal(flow_content_finish(writer, &content), 0);
	assert_int_equal(flow_content_hold(routers[i].flow, &content), 0);
	flow_content_close(writer);
	wire_write_init(&w, meta, sizeof(meta));
	notice_meta_write(&w, file);
	assert_int_equal(flow_content_send(routers[i].flow, PARCEL_FILE, address(i), &recipient, meta,
					   wire_len(&w), &content, NULL, NULL), 0);
	free(bytes);
}

static void say(int i, const struct notice_file *file, const struct address *to)
{
	const struct recipient recipient = { RECIPIENT_ADDRESS, *to };
	struct notice n = { .kind = NOTICE_ANNOUNCE, .file = *file };
	uint8_t data[1024];
	struct wire_writer w;

	wire_write_init(&w, data, sizeof(data));
	notice_write(&w, &n);
	assert_int_equal(flow_parcel_send(routers[i].flow, PARCEL_NOTICE, address(i), &recipient, NULL,
					  0, data, wire_len(&w), NULL, NULL), 0);
}

static bool is_exposed(void *ctx)
{
	(void)ctx;
	return files_stats(users[1].files)->liars;
}

static void liars(void **state)
{
	struct notice_file file = { .size = 200000, .time_ns = 1 };
	struct liar liar = { false };
	struct ident id;
	uint64_t before;

	(void)state;
	/* 0 has the file, 1 wants it, 2 says it has it. */
	start(0);
	start(1);
	router_start(&routers[2], true);
	flow_parcel_handler(routers[2].flow, PARCEL_NOTICE, on_liars_notice, &liar);
	id = pack(0, 8, file.size);
	file.id = id;
	strcpy(file.name, "trust me");
	say(2, &file, address(1));
	expect(1, &id, FILE_ADVERTISED);
	/* What nobody asked for does not come. */
	before = received(1);
	lie(2, &file, address(1));
	run_until(never, NULL, 1000);
	assert_int_equal(received(1), before);
	assert_int_equal(request(1, &id, NULL), 0);
	assert_true(run_until(was_asked, &liar, 30000));
	/* Another size than was announced does not come either. */
	file.size--;
	lie(2, &file, address(1));
	run_until(never, NULL, 1000);
	assert_int_equal(received(1), before);
	/* Other content does, and is found out; nobody else is known to have it. */
	file.size++;
	lie(2, &file, address(1));
	assert_true(run_until(is_exposed, NULL, 30000));
	expect(1, &id, FILE_ANY);
	assert_int_equal(files_stats(users[1].files)->received, 0);
	/* With another holder known, that one is asked next. */
	assert_int_equal(announce(0, &id, NULL, true), 0);
	expect(1, &id, FILE_ADVERTISED);
	say(2, &file, address(1));
	liar.asked = false;
	assert_int_equal(request(1, &id, address(2)), 0);
	assert_true(run_until(was_asked, &liar, 30000));
	lie(2, &file, address(1));
	expect(1, &id, FILE_AVAILABLE);
	same_content(1, &id, 8, file.size);
	assert_int_equal(files_stats(users[1].files)->liars, 2);
	flow_parcel_handler(routers[2].flow, PARCEL_NOTICE, NULL, NULL);
}

/* A holder whose content has gone forgets the file, and who asks is told. */
static void vanished(void **state)
{
	struct flow_content content;
	struct files_entry e;
	struct ident id;

	(void)state;
	start(0);
	start(1);
	id = pack(0, 9, 60000);
	assert_int_equal(announce(0, &id, NULL, true), 0);
	expect(1, &id, FILE_ADVERTISED);
	assert_int_equal(files_get(records(0), &id, &e), 0);
	assert_int_equal(flow_content_decode(e.content, &content), 0);
	assert_int_equal(flow_content_release(routers[0].flow, &content), 0);
	assert_int_equal(request(1, &id, NULL), 0);
	expect(1, &id, FILE_ANY);
	expect(0, &id, FILE_ANY);
	assert_int_equal(files_get(records(0), &id, &e), -ENOENT);
}

/* Two users, one content: kept once, and for the second when the first lets go. */
static void shared(void **state)
{
	struct ident id;
	size_t blocks;

	(void)state;
	start(0);
	start(1);
	id = pack(0, 10, 2 << 20);
	pack(1, 10, 2 << 20);
	run_until(never, NULL, 500);
	blocks = count(&routers[1], STORE_BLOCKS);
	/* What comes from somebody else is what is here. */
	assert_int_equal(announce(0, &id, address(1), true), 0);
	assert_int_equal(send_file(0, &id, address(1)), 0);
	run_until(never, NULL, 1000);
	assert_int_equal(state_of(1, &id), FILE_LOCAL);
	assert_int_equal(count(&routers[1], STORE_BLOCKS), blocks);
	assert_int_equal(files_stats(users[1].files)->received, 0);
	assert_int_equal(remove_file(1, &id), 0);
	run_until(never, NULL, 1000);
	assert_int_equal(count(&routers[1], STORE_BLOCKS), 0);
	assert_int_equal(count(&routers[1], STORE_CONTENTS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everybody, setup, teardown),
		cmocka_unit_test_setup_teardown(one_address, setup, teardown),
		cmocka_unit_test_setup_teardown(namespace, setup, teardown),
		cmocka_unit_test_setup_teardown(sent, setup, teardown),
		cmocka_unit_test_setup_teardown(unasked, setup, teardown),
		cmocka_unit_test_setup_teardown(unasked_arriving, setup, teardown),
		cmocka_unit_test_setup_teardown(resume, setup, teardown),
		cmocka_unit_test_setup_teardown(next_holder, setup, teardown),
		cmocka_unit_test_setup_teardown(next_holder_restarted, setup, teardown),
		cmocka_unit_test_setup_teardown(first_holder_after_all, setup, teardown),
		cmocka_unit_test_setup_teardown(called_off, setup, teardown),
		cmocka_unit_test_setup_teardown(liars, setup, teardown),
		cmocka_unit_test_setup_teardown(vanished, setup, teardown),
		cmocka_unit_test_setup_teardown(shared, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
