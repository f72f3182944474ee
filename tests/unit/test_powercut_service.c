// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The power goes under a whole router whose users are busy (powercut.h): messages to
 * themselves, to each other, to several at once, to somebody elsewhere and to everybody,
 * tags, deletions, values of services, profiles, files, and one of them is destroyed. After
 * any cut the router starts, has everything it had answered, each once, and of the rest
 * whole operations only; lists, entries, bodies, holds and blocks agree to the last record.
 *
 * The same with a disk that is full again and again: what is refused never happened.
 *
 * And bits flip in its database: what is damaged is told and left out, and nothing is wrong.
 *
 * POWERCUT_ROUNDS=n does it n times instead of a few, POWERCUT_SECONDS=n for so long,
 * POWERCUT_TEST=test_flips only that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "ratmand/flow/journal.h"
#include "ratmand/service/messages_priv.h"
#include "ratmand/store/inspect.h"
#include "ratmand/store/lists.h"
#include "ratmand/store/services.h"
#include "unit/flow_world.h"
#include "unit/powercut.h"

#define USERS 3		/* the last one is destroyed on the way */
#define LAST (USERS - 1)
#define OPS 260
#define VALUES 6
#define FILES 4
#define FILE_USERS 2
#define ROUNDS 24
#define ROUNDS_FULL 6
#define ROUNDS_FLIPS 40
#define ROUNDS_OF_A_RUN 24

static struct router *const r = &routers[0];
static struct service *service;
static struct address users[USERS], elsewhere;

/* ---- what should be there ---- */

/* Something that operations change, one after the other: what each of them makes of it. */
struct slot {
	struct change {
		uint32_t op, value;
	} *list;	/* owned */
	size_t n;
};

/* Of a message, as values: 0 is none. */
#define PRESENT 1u
#define UNREAD 2u
#define COLOUR(c) ((uint32_t)(c) << 2)
#define COLOURS 3

struct sent {
	uint32_t op;
	struct address sender;
	bool flood, remote;
	bool removed[USERS];	/* somebody was to remove it */
};

static struct slot copies[OPS][USERS], values[VALUES], profiles[FILE_USERS], files[FILES][FILE_USERS];
static struct sent sent[OPS];	/* messages, by operation */
static uint32_t n_ops;
static uint32_t destroyed;	/* the operation that destroys the last user, or n_ops */
static bool acknowledged[OPS], refused[OPS], pending_file[FILES][FILE_USERS];
static unsigned int pending;
static bool filling;		/* the disk may be full */
static bool damaging;		/* the disk may be damaged */
static int wrong_error;		/* what no operation should have failed with */

static void note(struct slot *s, uint32_t op, uint32_t value)
{
	s->list = realloc(s->list, (s->n + 1) * sizeof(*s->list));
	assert_non_null(s->list);
	s->list[s->n++] = (struct change){ op, value };
}

static uint32_t latest(const struct slot *s)
{
	size_t n = s->n;

	while (n && refused[s->list[n - 1].op])
		n--;
	return n ? s->list[n - 1].value : 0;
}

/* True when @value is what the last acknowledged operation left, or one after it. */
static bool may_be(const struct slot *s, uint32_t value)
{
	size_t from = s->n;

	while (from && !acknowledged[s->list[from - 1].op])
		from--;
	if (!from && !value)
		return true;
	for (size_t i = from ? from - 1 : 0; i < s->n; i++)
		if (s->list[i].value == value && !refused[s->list[i].op])
			return true;
	return false;
}

static void forget_slot(struct slot *s)
{
	free(s->list);
	*s = (struct slot){ NULL, 0 };
}

static void forget_all(void)
{
	for (size_t i = 0; i < OPS * USERS; i++)
		forget_slot(&copies[0][0] + i);
	for (size_t i = 0; i < VALUES; i++)
		forget_slot(&values[i]);
	for (size_t i = 0; i < FILE_USERS; i++)
		forget_slot(&profiles[i]);
	for (size_t i = 0; i < FILES * FILE_USERS; i++)
		forget_slot(&files[0][0] + i);
	memset(acknowledged, 0, sizeof(acknowledged));
	memset(refused, 0, sizeof(refused));
	n_ops = 1;	/* 0, as a value, is nothing */
	destroyed = OPS;
}

/* ---- the router ---- */

static const uint8_t *secret_of(void *ctx, const struct address *user)
{
	(void)ctx;
	return address_equal(user, &users[0]) ? r->secret :
	       address_equal(user, &users[1]) ? r->second_secret : r->crowd_secret[0];
}

static void key_of(int user, uint8_t key[ADDRESS_KEY_LEN])
{
	memset(key, 0x30 + user, ADDRESS_KEY_LEN);
}

static void user_up(int user)
{
	uint8_t key[ADDRESS_KEY_LEN];

	key_of(user, key);
	assert_int_equal(service_address_up(service, &users[user], key), 0);
}

static void begin(void)
{
	const struct messages_options options = { .god_mode = true, .secret = secret_of };

	router_start(r, true);
	assert_true(damaging || !store_damaged(r->store));
	router_second_up(r);
	assert_int_equal(service_new(&service, &loop, r->store, r->flow), 0);
	assert_int_equal(users_ready(service->users), 0);
	assert_int_equal(messages_new(&service->messages, service, &options), 0);
	for (int i = 0; i < USERS; i++)
		user_up(i);
}

static void end(void)
{
	service_stop(service);
	service_free(service);
	service = NULL;
	router_stop(r);
}

static struct message_box *box_of(int user)
{
	struct message_box *box;
	int err;

	box = messages_box(service->messages, &users[user], true, &err);
	assert_non_null(box);
	/* Many small steps: entries are listed all the time. */
	box->mailbox.lists->max = 8;
	return box;
}

static struct ident id_of(uint32_t op)
{
	struct ident id;

	memset(id.b, 0x77, sizeof(id.b));
	memcpy(id.b, &op, sizeof(op));
	return id;
}

static const char *const service_names[] = { "chat", "mail" };

static const char *service_of(uint32_t op)
{
	return service_names[op % 2];
}

static struct message_tag colour(uint32_t c)
{
	static const char *const names[COLOURS + 1] = { "", "red", "green", "blue" };
	struct message_tag tag = { "colour", (const uint8_t *)names[c], strlen(names[c]) };

	return tag;
}

/* ---- operations ---- */

static void on_done(void *ctx, int err)
{
	uint32_t op = (uint32_t)(uintptr_t)ctx;

	/* Who is destroyed meanwhile may hear that. Not asserted here: nobody leaps out of the loop. */
	if (err && err != (filling ? -ENOSPC : -EACCES))
		wrong_error = err;
	pending--;
	if (err) {
		refused[op] = true;
		return;
	}
	acknowledged[op] = true;
	powercut_acknowledge(op);
}

static void *expect_done(uint32_t op)
{
	pending++;
	return (void *)(uintptr_t)op;
}

static void on_sent(void *ctx, int err, const struct ident *id)
{
	(void)id;
	on_done(ctx, err);
}

static size_t payload_of(uint32_t op, char text[2000])
{
	memset(text, 'a' + (int)(op % 26), 2000);
	snprintf(text, 2000, "message %u", op);
	return 20 + op * 131 % 1900;
}

/* @to are the users who get it beside the sender; @remote: somebody elsewhere, too. */
static void send_to(uint32_t op, int from, const bool to[USERS], bool remote, bool flood)
{
	struct message_tag tag = colour(op % (COLOURS + 1));
	uint8_t addresses[(USERS + 1) * ADDRESS_LEN];
	static struct message_send m;
	char text[2000];

	memset(&m, 0, sizeof(m));
	m.sender = users[from];
	m.mode = flood ? MESSAGE_FLOOD : MESSAGE_STD;
	m.grouped = true;
	m.id = id_of(op);
	m.to = addresses;
	strcpy(m.service, service_of(op));
	if (tag.len)
		assert_int_equal(message_tags_add(&m.tags, &tag), 0);
	m.data = (const uint8_t *)text;
	m.len = payload_of(op, text);
	note(&copies[op][from], op, PRESENT | COLOUR(op % (COLOURS + 1)));
	for (int i = 0; i < USERS; i++) {
		if (!to[i] || i == from)
			continue;
		note(&copies[op][i], op, PRESENT | UNREAD | COLOUR(op % (COLOURS + 1)));
		if (!flood)
			memcpy(addresses + m.n++ * ADDRESS_LEN, users[i].b, ADDRESS_LEN);
	}
	if (remote)
		memcpy(addresses + m.n++ * ADDRESS_LEN, elsewhere.b, ADDRESS_LEN);
	/* A note to oneself. */
	if (!m.n && !flood)
		memcpy(addresses + m.n++ * ADDRESS_LEN, users[from].b, ADDRESS_LEN);
	sent[op] = (struct sent){ .op = op, .sender = users[from], .flood = flood, .remote = remote };
	messages_send(service->messages, &m, on_sent, expect_done(op));
}

static int active_users(void)
{
	return destroyed < OPS ? USERS - 1 : USERS;
}

static int some_user(void)
{
	return (int)randombytes_uniform((uint32_t)active_users());
}

static void do_send(uint32_t op)
{
	int from = some_user(), kind = (int)randombytes_uniform(5);
	bool to[USERS] = { false };

	if (kind == 1)
		to[some_user()] = true;
	for (int i = 0; i < active_users() && kind >= 2; i++)
		to[i] = kind == 2 || kind == 3;
	/* What the last one sends elsewhere would outlive his mailbox. */
	send_to(op, from, to, (kind == 3 || kind == 4) && from != LAST, kind == 2);
}

/* A message a user has, whose copy the caller changes; false when none was found. */
static bool some_copy(uint32_t op, uint32_t *message, int *user)
{
	for (int tries = 0; tries < 20 && op; tries++) {
		struct ident id;

		*message = randombytes_uniform(op);
		*user = some_user();
		id = id_of(*message);
		if (latest(&copies[*message][*user]) & PRESENT &&
		    mailbox_has(&box_of(*user)->mailbox, &id, &sent[*message].sender))
			return true;
	}
	return false;
}

static bool do_change(uint32_t op)
{
	static struct message_change c;
	uint32_t message, was, now;
	int user;

	if (!some_copy(op, &message, &user))
		return false;
	was = latest(&copies[message][user]);
	memset(&c, 0, sizeof(c));
	c.user = users[user];
	c.id = id_of(message);
	if (was & UNREAD && randombytes_uniform(2)) {
		const struct message_tag unread = { .key = MESSAGE_TAG_UNREAD };

		now = was & ~UNREAD;
		assert_int_equal(message_tags_add(&c.remove, &unread), 0);
	} else {
		uint32_t old = was >> 2, new = (old + 1) % (COLOURS + 1);
		struct message_tag rm = colour(old), add = colour(new);

		now = (was & (PRESENT | UNREAD)) | COLOUR(new);
		if (old)
			assert_int_equal(message_tags_add(&c.remove, &rm), 0);
		if (new)
			assert_int_equal(message_tags_add(&c.add, &add), 0);
	}
	note(&copies[message][user], op, now);
	messages_change(service->messages, &c, on_done, expect_done(op));
	return true;
}

static bool do_remove(uint32_t op)
{
	struct ident id;
	uint32_t message;
	int user;

	/* What was sent elsewhere stays, to be held against the outbox. */
	if (!some_copy(op, &message, &user) || sent[message].remote)
		return false;
	id = id_of(message);
	note(&copies[message][user], op, 0);
	sent[message].removed[user] = true;
	messages_remove(service->messages, &users[user], &id, on_done, expect_done(op));
	return true;
}

static void value_key(unsigned int i, struct service_key *key, char text[8])
{
	snprintf(text, 8, "k%u", i);
	*key = (struct service_key){ "chat", "ns", text };
}

static size_t value_of(uint32_t op, uint8_t out[600])
{
	memset(out, (int)op, 600);
	memcpy(out, &op, sizeof(op));
	return 4 + op * 7 % 590;
}

static void do_value(uint32_t op)
{
	unsigned int i = randombytes_uniform(VALUES);
	bool remove = randombytes_uniform(3) == 0;
	struct services *s;
	struct service_key key;
	uint8_t value[600];
	char text[8];
	int err;

	value_key(i, &key, text);
	note(&values[i], op, remove ? 0 : op);
	assert_int_equal(values_of(service->values, &users[0], &s), 0);
	err = remove ? services_del(s, &key) : services_put(s, &key, value, value_of(op, value));
	expect_done(op);
	if (err)
		on_done((void *)(uintptr_t)op, err);
	else
		store_commit(r->store, on_done, (void *)(uintptr_t)op);
}

static size_t avatar_of(uint32_t op, uint8_t *out)
{
	size_t len = 100 + op * 53 % 9000;

	for (size_t i = 0; i < len; i++)
		out[i] = pattern(op, i);
	return len;
}

static void do_profile(uint32_t op)
{
	static uint8_t avatar[LIMIT_AVATAR];
	static struct user_update u;
	int user = (int)randombytes_uniform(FILE_USERS);
	char text[16];

	memset(&u, 0, sizeof(u));
	snprintf(text, sizeof(text), "%u", op);
	assert_int_equal(profile_bio_set(&u.add_bio, "version", text), 0);
	if (randombytes_uniform(2)) {
		assert_int_equal(profile_bio_set(&u.add_bio, "avatar", text), 0);
		u.avatar_change = USER_SET;
		u.avatar = avatar;
		u.avatar_len = avatar_of(op, avatar);
	}
	note(&profiles[user], op, op);
	users_modify(service->users, &users[user], &u, on_done, expect_done(op));
}

struct packing {
	uint32_t op;
	unsigned int file;
	int user;
};

static struct ident file_ids[FILES];

static void on_file_done(void *ctx, int err)
{
	struct packing *p = ctx;

	pending_file[p->file][p->user] = false;
	on_done((void *)(uintptr_t)p->op, err);
	free(p);
}

static void on_packed(void *ctx, int err, const struct ident *id, uint64_t size)
{
	struct packing *p = ctx;

	(void)size;
	if (!err)
		file_ids[p->file] = *id;
	on_file_done(p, err);
}
static size_t content_of(unsigned int file, uint8_t *out)
{
	size_t len = 3000 + file * 15000;

	for (size_t i = 0; i < len; i++)
		out[i] = pattern(1000 + file, i);
	return len;
}

#define CONTENT_MAX (3000 + FILES * 15000)

static bool do_file(uint32_t op)
{
	unsigned int file = randombytes_uniform(FILES);
	static uint8_t content[CONTENT_MAX];
	int user = (int)randombytes_uniform(FILE_USERS);
	struct packing *p;
	size_t len;
	int err;

	if (pending_file[file][user])
		return false;
	p = malloc(sizeof(*p));
	*p = (struct packing){ op, file, user };
	pending_file[file][user] = true;
	expect_done(op);
	if (latest(&files[file][user]) && randombytes_uniform(2)) {
		const struct file_ref ref = { users[user], file_ids[file] };

		note(&files[file][user], op, 0);
		files_remove(service->files, &ref, on_file_done, p);
	} else {
		char name[16];
		const struct files_order order = { .user = users[user], .name = name,
						   .mime = "a/b" };
		struct files_pack *pack;

		snprintf(name, sizeof(name), "%u", op);
		len = content_of(file, content);
		note(&files[file][user], op, op);
		assert_int_equal(files_pack_open(service->files, &order, NULL, NULL, &pack), 0);
		err = files_pack_write(pack, content, len);
		if (err) {
			files_pack_abort(pack);
			on_file_done(p, err);
		} else {
			files_pack_finish(pack, on_packed, p);
		}
	}
	return true;
}

static void do_destroy(uint32_t op)
{
	destroyed = op;
	assert_int_equal(service_address_forget(service, &users[LAST], NULL), 0);
	service_address_down(service, &users[LAST]);
	store_commit(r->store, on_done, expect_done(op));
}

static void do_something(uint32_t op)
{
	uint32_t what = randombytes_uniform(100);

	if (op == OPS * 2 / 3 && !filling)
		do_destroy(op);
	else if (what < 20 && do_change(op))
		return;
	else if (what < 32 && do_remove(op))
		return;
	else if (what < 44)
		do_value(op);
	else if (what < 52)
		do_profile(op);
	else if (what < 66 && do_file(op))
		return;
	else
		do_send(op);
}

/* A router with an empty store and its users, whose disk is watched. */
static void begin_anew(void)
{
	char path[96], cmd[192];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/state %s/cache", r->dir, r->dir);
	assert_int_equal(system(cmd), 0);
	forget_all();
	begin();
	for (int i = 0; i < USERS; i++) {
		box_of(i);
		assert_int_equal(service_user_create(service, &users[i], "user"), 0);
	}
	assert_int_equal(store_flush(r->store), 0);
	snprintf(path, sizeof(path), "%s/state/data.mdb", r->dir);
	powercut_watch(path);
}

/* Keeps it busy, until operation @last. */
static void work(uint32_t last)
{
	while (n_ops < last) {
		for (uint32_t n = 1 + randombytes_uniform(4); n && n_ops < last; n--)
			do_something(n_ops++);
		for (uint32_t n = randombytes_uniform(3); n; n--)
			uv_run(&loop, pending ? UV_RUN_ONCE : UV_RUN_NOWAIT);
	}
	while (pending)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(wrong_error, 0);
}

/* ---- what is there ---- */

static bool settled(void *ctx)
{
	(void)ctx;
	/* Before that nobody has the mailbox of who was destroyed again: only here does he come back. */
	if (service->messages->errands)
		return false;
	for (int i = 0; i < USERS; i++)
		if (messages_box_behind(box_of(i)))
			return false;
	return !store_backlog(r->store);
}

static size_t walk(struct mailbox *mb, const struct message_filter *f)
{
	struct mailbox_walk *w = mailbox_walk_new(mb, f, 0);
	uint64_t number;
	size_t n = 0;
	int found;

	do {
		int budget = 100000;

		found = mailbox_walk_next(w, &budget, &number);
		assert_true(found >= 0);
		n += (size_t)found;
	} while (found);
	mailbox_walk_free(w);
	return n;
}

/* What lists a user's copies are on, counted one way and the other. */
static void check_lists(int user, const uint32_t *have)
{
	struct mailbox *mb = &box_of(user)->mailbox;
	static struct message_filter f;

	for (int list = 0; list < 2 + USERS + 1 + COLOURS; list++) {
		struct message_tag tag = { .key = MESSAGE_TAG_UNREAD };
		size_t n = 0;

		memset(&f, 0, sizeof(f));
		if (list < 2) {
			f.has_service = true;
			strcpy(f.service, service_names[list]);
		} else if (list < 2 + USERS) {
			f.has_sender = true;
			f.sender = users[list - 2];
		} else {
			if (list > 2 + USERS)
				tag = colour((uint32_t)(list - 2 - USERS));
			assert_int_equal(message_tags_add(&f.tags, &tag), 0);
		}
		for (uint32_t m = 0; m < OPS; m++)
			n += have[m] && (list < 2 ? !strcmp(service_of(m), service_names[list]) :
					 list < 2 + USERS ?
					 address_equal(&sent[m].sender, &users[list - 2]) :
					 list == 2 + USERS ? have[m] & UNREAD :
					 have[m] >> 2 == (uint32_t)(list - 2 - USERS));
		assert_int_equal(walk(mb, &f), n);
	}
}

/* A copy, everything of which is right: its value. */
static uint32_t value_of_copy(const struct message *m, uint32_t op)
{
	const struct message_tag unread = { .key = MESSAGE_TAG_UNREAD };
	uint32_t value = PRESENT;
	struct ident id = id_of(op);
	char text[2000];

	assert_true(op < OPS);
	assert_true(ident_equal(&m->id, &id));
	assert_true(address_equal(&m->sender, &sent[op].sender));
	assert_string_equal(m->service, service_of(op));
	assert_int_equal(m->mode == MESSAGE_FLOOD, sent[op].flood);
	assert_int_equal(m->len, payload_of(op, text));
	assert_memory_equal(m->data, text, m->len);
	if (message_tags_has(&m->tags, &unread))
		value |= UNREAD;
	for (uint32_t c = 1; c <= COLOURS; c++) {
		struct message_tag tag = colour(c);

		if (message_tags_has(&m->tags, &tag))
			value |= COLOUR(c);
	}
	assert_int_equal(m->tags.n, (value & UNREAD ? 1 : 0) + (value >> 2 ? 1 : 0));
	return value;
}

/* One entry: right, and known by its id. Its value, and which message it is. */
static uint32_t check_entry(struct mailbox *mb, uint64_t number, uint32_t *op)
{
	static uint8_t buf[MESSAGE_BODY_MAX];
	static struct message m;
	uint64_t found[2];

	assert_int_equal(mailbox_read(mb, number, &m, buf), 0);
	memcpy(op, m.id.b, sizeof(*op));
	assert_int_equal(mailbox_find(mb, &m.id, found, 2), 1);
	assert_int_equal(found[0], number);
	return value_of_copy(&m, *op);
}

/* What a user has of the messages, into @have (OPS). */
static void look(int user, uint32_t *have)
{
	static const struct message_filter all;
	struct mailbox *mb = &box_of(user)->mailbox;
	struct mailbox_walk *w = mailbox_walk_new(mb, &all, 0);
	int budget = 1000000;
	uint64_t number;
	uint32_t op;

	memset(have, 0, OPS * sizeof(*have));
	while (mailbox_walk_next(w, &budget, &number) == 1) {
		uint32_t value = check_entry(mb, number, &op);

		assert_int_equal(have[op], 0);
		have[op] = value;
	}
	mailbox_walk_free(w);
	check_lists(user, have);
}

/* Which floods the log has. */
static void look_floods(bool *in_log)
{
	struct flood flood;
	uint64_t order = 0;
	uint32_t op;

	memset(in_log, 0, OPS * sizeof(*in_log));
	while (floods_next(&service->messages->floods, order + 1, &order, &flood) == 1) {
		memcpy(&op, flood.id.b, sizeof(op));
		assert_true(op < OPS && sent[op].flood && !in_log[op]);
		in_log[op] = true;
	}
}

static bool last_user_is_there(void)
{
	return users_has_local(service->users, &users[LAST]);
}

/* Returns how many were sent elsewhere. */
static size_t check_messages(void)
{
	static uint32_t have[USERS][OPS];
	bool in_log[OPS], gone = !last_user_is_there();
	size_t remote = 0;

	for (int u = 0; u < USERS; u++)
		look(u, have[u]);
	look_floods(in_log);
	assert_true(!gone || destroyed < OPS);
	assert_true(gone || destroyed == OPS || !acknowledged[destroyed]);
	for (uint32_t m = 0; m < OPS; m++) {
		const struct sent *s = &sent[m];
		int n = 0, holders = 0;

		for (int u = 0; u < USERS; u++) {
			if (u == LAST && gone && !have[u][m])
				continue;
			/* Who is destroyed takes floods anew: he is a stranger. */
			if (u == LAST && gone && s->flood)
				continue;
			/* On a full disk nobody takes floods; they wait in the log. */
			if (powercut_errno && s->flood && !have[u][m])
				continue;
			assert_true(may_be(&copies[m][u], have[u][m]));
			if (copies[m][u].n && !s->removed[u]) {
				holders++;
				n += !!have[u][m];
			}
		}
		/* All who were to have it do, or nobody does. */
		assert_true(!n || n == holders || (s->flood && powercut_errno));
		if (holders && s->flood && !powercut_errno)
			assert_int_equal(in_log[m], !!n);
		remote += s->remote && n;
	}
	return remote;
}

static void check_values(void)
{
	struct services *s;

	assert_int_equal(values_of(service->values, &users[0], &s), 0);
	for (unsigned int i = 0; i < VALUES; i++) {
		uint8_t got[600], want[600];
		struct service_key key;
		uint32_t op = 0;
		char text[8];
		ssize_t n;

		value_key(i, &key, text);
		n = services_get(s, &key, got, sizeof(got));
		if (n != -ENODATA) {
			assert_true(n >= 4);
			memcpy(&op, got, sizeof(op));
			assert_int_equal(n, value_of(op, want));
			assert_memory_equal(got, want, (size_t)n);
		}
		assert_true(may_be(&values[i], op));
	}
}

static void check_profiles(void)
{
	static uint8_t avatar[LIMIT_AVATAR], want[LIMIT_AVATAR];
	static struct profile_record record;

	for (int u = 0; u < FILE_USERS; u++) {
		const char *version, *pictured;

		assert_int_equal(users_get(service->users, &users[u], &record, avatar), 0);
		version = profile_bio_find(&record.profile.bio, "version");
		assert_true(may_be(&profiles[u], version ? (uint32_t)atoi(version) : 0));
		pictured = profile_bio_find(&record.profile.bio, "avatar");
		if (!pictured) {
			assert_int_equal(record.profile.avatar_len, 0);
			continue;
		}
		assert_int_equal(record.profile.avatar_len, avatar_of((uint32_t)atoi(pictured), want));
		assert_memory_equal(avatar, want, record.profile.avatar_len);
	}
}

/* Who keeps blocks: contents, and what is on its way. */
struct tags {
	struct journal_tag list[512];
	size_t n;
	size_t to_elsewhere;	/* messages on their way there */
	uint64_t holds;
};

static struct tags tags;

static void keep_tag(const uint8_t *tag)
{
	assert_true(tags.n < 512);
	memcpy(tags.list[tags.n++].b, tag, JOURNAL_TAG_LEN);
}

static int on_outgoing(void *ctx, const void *key, size_t key_len, const void *value, size_t len)
{
	const uint8_t *to = (const uint8_t *)value + 1 + JOURNAL_TAG_LEN + ADDRESS_LEN + 1;
	(void)ctx;
	(void)key;
	(void)key_len;
	(void)len;
	keep_tag((const uint8_t *)value + 1);
	tags.to_elsewhere += !memcmp(to, elsewhere.b, ADDRESS_LEN);
	return 0;
}

static int on_incoming(void *ctx, const void *key, size_t key_len, const void *value, size_t len)
{
	(void)ctx;
	(void)key;
	(void)key_len;
	(void)len;
	keep_tag((const uint8_t *)value + 2);
	return 0;
}

static int on_content(void *ctx, const void *key, size_t key_len, const void *value, size_t len)
{
	struct wire_reader w;

	(void)ctx;
	assert_int_equal(key_len, JOURNAL_TAG_LEN);
	keep_tag(key);
	wire_read_init(&w, value, len);
	tags.holds += wire_get_be32(&w);
	assert_true(wire_done(&w));
	return 0;
}

static int on_block(void *ctx, const void *key, size_t key_len, const void *value, size_t len)
{
	(void)ctx;
	(void)key_len;
	(void)value;
	(void)len;
	for (size_t i = 0; i < tags.n; i++)
		if (!memcmp(key, tags.list[i].b, JOURNAL_TAG_LEN))
			return 0;
	return 1;
}

/* True when every block in the journal belongs to something. */
static bool is_swept(void *ctx)
{
	(void)ctx;
	memset(&tags, 0, sizeof(tags));
	assert_int_equal(store_each(r->store, STORE_OUTBOX, on_outgoing, NULL), 0);
	assert_int_equal(store_each(r->store, STORE_INBOX, on_incoming, NULL), 0);
	assert_int_equal(store_each(r->store, STORE_CONTENTS, on_content, NULL), 0);
	return !store_each_key(r->store, STORE_BLOCKS, NULL, on_block, NULL);
}

/* What a user has of a file: the operation that packed it, or 0. */
static uint32_t look_file(unsigned int file, int user)
{
	static uint8_t want[CONTENT_MAX], got[CONTENT_MAX + 1];
	size_t len = content_of(file, want), n = 0;
	struct file_meta meta;
	struct files_read *read;
	uint64_t size;
	ssize_t more;
	int err;

	err = files_status(service->files, &users[user], &file_ids[file], &meta);
	if (err) {
		assert_int_equal(err, -ENOENT);
		return 0;
	}
	assert_int_equal(meta.state, FILE_LOCAL);
	assert_int_equal(files_read_open(service->files, &users[user], &file_ids[file], &size, &read),
			 0);
	assert_int_equal(size, len);
	while ((more = files_read_next(read, got + n, sizeof(got) - n)) > 0)
		n += (size_t)more;
	assert_int_equal(more, 0);
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
	files_read_close(read);
	return (uint32_t)atoi(meta.name);
}

static void check_files(void)
{
	uint64_t holds = 0, contents = 0;

	for (unsigned int f = 0; f < FILES; f++) {
		bool any = false;

		for (int u = 0; u < FILE_USERS; u++) {
			uint32_t op = look_file(f, u);

			assert_true(may_be(&files[f][u], op));
			any = any || op;
			holds += op > 0;
		}
		contents += any;
	}
	assert_true(run_until(is_swept, NULL, 60000));
	assert_int_equal(tags.holds, holds);
	assert_int_equal(count(r, STORE_CONTENTS), contents);
}

static void on_table(void *ctx, const struct inspect_table *t)
{
	(void)ctx;
	assert_int_equal(t->damaged, 0);
	/* Where its body is by its content; its body; itself and where it is. */
	if (!strcmp(t->name, "overlay") || !strcmp(t->name, "messages"))
		assert_int_equal(t->records, 1);
	if (!strcmp(t->name, "floods"))
		assert_int_equal(t->records, 2);
}

/* All messages go, by the ways there are: then nothing may be left but the one flood that comes. */
static void empty_all(void)
{
	struct floods *floods = &service->messages->floods;
	struct message m = { .id = { { 1 } } };
	struct body body = { .data = "new", .len = 3, .travels = true };
	int more;

	for (int u = 0; u < USERS; u++) {
		do
			more = mailbox_empty(&box_of(u)->mailbox, 64);
		while (more == 1);
		assert_int_equal(more, 0);
	}
	floods->limit = 1;
	assert_int_equal(floods_add(floods, &m, &body), 0);
	assert_int_equal(floods->n, 1);
}

/* Starts with what the disk holds, looks at everything, and goes on working. */
static void check(void)
{
	static const struct inspect_ops ops = { .table = on_table };
	bool structure;
	char why[256];
	size_t remote;

	begin();
	assert_true(run_until(settled, NULL, 60000));
	remote = check_messages();
	check_values();
	check_profiles();
	check_files();
	assert_int_equal(tags.to_elsewhere, remote);
	empty_all();
	end();
	assert_int_equal(inspect_verify(r->dir, NULL, &ops, NULL, &structure, why, sizeof(why)), 0);
	assert_true(structure);
}

static void on_acknowledged(void *ctx, uint32_t op)
{
	(void)ctx;
	acknowledged[op] = true;
}

/* How much is to be done: @share percent of what is asked for, or so many rounds. */
struct quota {
	long most, done;
	time_t until;
};

static struct quota quota(long rounds, long share)
{
	const char *wanted = getenv("POWERCUT_ROUNDS"), *seconds = getenv("POWERCUT_SECONDS");
	struct quota q = { wanted ? atol(wanted) : seconds ? LONG_MAX : rounds, 0, LONG_MAX };

	if (seconds)
		q.until = time(NULL) + atol(seconds) * share / 100;
	return q;
}

static bool more(const struct quota *q)
{
	return q->done < q->most && time(NULL) < q->until;
}

static void test_cuts(void **state)
{
	static const unsigned int keep[] = { 0, 30, 70, 100 };
	struct quota q = quota(ROUNDS, 80);

	(void)state;
	while (more(&q)) {
		begin_anew();
		powercut_begin();
		work(OPS);
		powercut_end();
		end();
		assert_true(powercut_moments() > 200);
		for (int i = 0; i < ROUNDS_OF_A_RUN && more(&q); i++) {
			memset(acknowledged, 0, sizeof(acknowledged));
			powercut_make(randombytes_uniform((uint32_t)powercut_moments()),
				      keep[q.done++ % 4], on_acknowledged, NULL);
			check();
		}
		powercut_reset();
	}
	printf("# %ld power cuts\n", q.done);
}

/*
 * The disk is full, again and again, in the middle of anything: what was refused never happened,
 * reads go on meanwhile, and when there is room again, so do writes.
 */
static void test_full(void **state)
{
	struct quota q = quota(ROUNDS_FULL, 20);
	size_t n_refused = 0;

	(void)state;
	for (; more(&q); q.done++) {
		begin_anew();
		filling = true;
		for (uint32_t phase = 1; phase <= 6; phase++) {
			powercut_errno = phase % 2 ? 0 : ENOSPC;
			powercut_errno_after = randombytes_uniform(30);
			/* After a refusal the store waits some seconds. */
			loop.time += 10000;
			work(OPS * phase / 6);
			messages_wake(service->messages);
			if (!powercut_errno)
				assert_true(run_until(settled, NULL, 60000));
			check_messages();
			check_values();
			check_profiles();
			assert_true(phase % 2 || powercut_errno_after == 0);
		}
		powercut_errno = 0;
		for (uint32_t op = 0; op < OPS; op++)
			n_refused += refused[op];
		end();
		filling = false;
		check();
	}
	printf("# %ld disks full three times, %zu operations refused\n", q.done, n_refused);
	assert_true(n_refused > (size_t)q.done * OPS / 20);
	powercut_reset();
}

/* ---- damage ---- */

/* What of the run's end is there: anything that is must be right. */
struct losses {
	size_t messages, values, profiles, files, floods;
};

struct shown {
	int user;
	const struct message_filter *filter;
	bool seen[OPS];
	bool done;
};

/* True when the copy is what the filter asks for. */
static bool fits(const struct shown *s, const struct message *m)
{
	const struct message_filter *f = s->filter;
	struct message_tag tag;

	for (size_t at = 0; message_tags_next(&f->tags, &at, &tag);)
		if (!message_tags_has(&m->tags, &tag))
			return false;
	return (!f->has_service || !strcmp(f->service, m->service)) &&
	       (!f->has_sender || address_equal(&f->sender, &m->sender));
}

static bool on_shown(void *ctx, const struct message *m)
{
	const struct slot *slot;
	struct shown *s = ctx;
	uint32_t op, value;

	memcpy(&op, m->id.b, sizeof(op));
	assert_true(op < OPS && !s->seen[op]);
	slot = &copies[op][s->user];
	value = value_of_copy(m, op);
	/* Whose place in the log of floods is damaged gets all of them again, also those he removed. */
	if (!latest(slot) && sent[op].flood && slot->n)
		assert_int_equal(value, slot->list[0].value);
	else
		assert_int_equal(value, latest(slot));
	assert_true(fits(s, m));
	s->seen[op] = true;
	return true;
}

static void on_shown_all(void *ctx, int err, bool more)
{
	struct shown *s = ctx;

	assert_true(!err || err == -ENODATA);
	assert_false(more);
	s->done = true;
}

/* Asks as a client does. */
static void query(int user, const struct message_filter *f, struct shown *s)
{
	static struct message_query q;
	struct messages_query *handle;

	memset(&q, 0, sizeof(q));
	q.user = users[user];
	q.filter = *f;
	*s = (struct shown){ .user = user, .filter = f };
	assert_int_equal(messages_query(service->messages, &q, on_shown, on_shown_all, s, &handle), 0);
	while (!s->done)
		uv_run(&loop, UV_RUN_ONCE);
}

static void look_for_messages(struct losses *lost)
{
	static struct message_filter f;
	struct flood flood;
	static struct shown s;
	uint64_t order = 0;
	uint32_t op;
	int found;

	for (int u = 0; u < USERS; u++) {
		memset(&f, 0, sizeof(f));
		query(u, &f, &s);
		for (op = 0; op < OPS; op++)
			lost->messages += latest(&copies[op][u]) && !s.seen[op];
		for (uint32_t c = 0; c <= COLOURS; c++) {
			struct message_tag tag = { .key = MESSAGE_TAG_UNREAD };

			memset(&f, 0, sizeof(f));
			if (c)
				tag = colour(c);
			assert_int_equal(message_tags_add(&f.tags, &tag), 0);
			query(u, &f, &s);
		}
		for (int i = 0; i < 2; i++) {
			memset(&f, 0, sizeof(f));
			f.has_service = true;
			strcpy(f.service, service_names[i]);
			query(u, &f, &s);
		}
	}
	while ((found = floods_next(&service->messages->floods, order + 1, &order, &flood))) {
		assert_true(found == 1 || found == -EBADMSG);
		lost->floods += found < 0;
		memcpy(&op, flood.id.b, sizeof(op));
		if (found == 1)
			assert_true(op < OPS && sent[op].flood &&
				    address_equal(&flood.sender, &sent[op].sender));
	}
}

static void look_for_values(struct losses *lost)
{
	struct services *s;

	assert_int_equal(values_of(service->values, &users[0], &s), 0);
	for (unsigned int i = 0; i < VALUES; i++) {
		uint8_t got[600], want[600];
		uint32_t op = latest(&values[i]);
		struct service_key key;
		char text[8];
		ssize_t n;

		value_key(i, &key, text);
		n = services_get(s, &key, got, sizeof(got));
		if (n < 0) {
			assert_true(n == -ENODATA || n == -EBADMSG);
			lost->values += op > 0;
			continue;
		}
		assert_true(op);
		assert_int_equal(n, value_of(op, want));
		assert_memory_equal(got, want, (size_t)n);
	}
}

static void look_for_profiles(struct losses *lost)
{
	static uint8_t avatar[LIMIT_AVATAR], want[LIMIT_AVATAR];
	static struct profile_record record;

	for (int u = 0; u < FILE_USERS; u++) {
		int err = users_get(service->users, &users[u], &record, avatar);
		const char *version, *pictured;

		if (err) {
			assert_true(err == -ENOENT || err == -EBADMSG);
			lost->profiles++;
			continue;
		}
		version = profile_bio_find(&record.profile.bio, "version");
		assert_int_equal(version ? (uint32_t)atoi(version) : 0, latest(&profiles[u]));
		pictured = profile_bio_find(&record.profile.bio, "avatar");
		lost->profiles += pictured && !record.profile.avatar_len;
		if (!record.profile.avatar_len)
			continue;
		assert_non_null(pictured);
		assert_int_equal(record.profile.avatar_len, avatar_of((uint32_t)atoi(pictured), want));
		assert_memory_equal(avatar, want, record.profile.avatar_len);
	}
}

static void look_for_files(struct losses *lost)
{
	for (unsigned int f = 0; f < FILES; f++) {
		static uint8_t want[CONTENT_MAX], got[CONTENT_MAX + 1];
		size_t len = content_of(f, want);

		for (int u = 0; u < FILE_USERS; u++) {
			uint32_t op = latest(&files[f][u]);
			struct files_read *read;
			struct file_meta meta;
			uint64_t size;
			size_t n = 0;
			ssize_t more = 0;
			int err = files_status(service->files, &users[u], &file_ids[f], &meta);

			if (!err) {
				assert_true(op && op == (uint32_t)atoi(meta.name));
				err = files_read_open(service->files, &users[u], &file_ids[f], &size,
						      &read);
			}
			if (err) {
				assert_true(err == -ENOENT || err == -EBADMSG);
				lost->files += op > 0;
				continue;
			}
			assert_int_equal(size, len);
			while ((more = files_read_next(read, got + n, sizeof(got) - n)) > 0)
				n += (size_t)more;
			assert_true(more ? more == -EBADMSG : n == len);
			assert_memory_equal(got, want, n);
			lost->files += more < 0;
			files_read_close(read);
		}
	}
}

static void on_inspected(void *ctx, const struct inspect_table *t)
{
	if (!t->cache)
		*(uint64_t *)ctx += t->damaged;
}

static uint64_t inspect(void)
{
	static const struct inspect_ops ops = { .table = on_inspected };
	uint64_t damaged = 0;
	bool structure;
	char why[256];

	assert_int_equal(inspect_verify(r->dir, NULL, &ops, &damaged, &structure, why, sizeof(why)), 0);
	return damaged;
}

/* 1: what is lost is told, -1: the store is refused, 0: nobody notices, and nothing is wrong. */
static int look_at_damage(struct losses *sum)
{
	struct losses lost = { 0 };
	uint64_t told, verified;
	char why[256] = "";
	int err = store_open(&r->store, &loop, r->dir, NULL, why, sizeof(why));

	if (err) {
		assert_true(err == -EBADMSG || err == -EPROTO || err == -EKEYREJECTED);
		assert_true(strlen(why) > 10);
		return -1;
	}
	store_close(r->store);
	uv_run(&loop, UV_RUN_NOWAIT);
	verified = inspect();
	begin();
	assert_true(run_until(settled, NULL, 60000));
	look_for_messages(&lost);
	look_for_values(&lost);
	look_for_profiles(&lost);
	look_for_files(&lost);
	told = store_damaged(r->store);
	end();
	if (lost.messages + lost.values + lost.profiles + lost.files + lost.floods)
		assert_true(told && verified);
	sum->messages += lost.messages;
	sum->values += lost.values;
	sum->profiles += lost.profiles;
	sum->files += lost.files;
	sum->floods += lost.floods;
	return verified > 0;
}

/* A bit flips in the file, anywhere. */
static void test_flips(void **state)
{
	struct quota q = quota(ROUNDS_FLIPS, 20);
	unsigned int refusals = 0, harmless = 0, told = 0;
	struct losses lost = { 0 };

	(void)state;
	begin_anew();
	filling = true;		/* nobody is destroyed */
	work(OPS);
	end();
	filling = false;
	damaging = true;
	for (powercut_begin(); more(&q); q.done++) {
		int seen;

		powercut_flip();
		seen = look_at_damage(&lost);
		refusals += seen < 0;
		told += seen > 0;
		harmless += !seen;
	}
	powercut_reset();
	damaging = false;
	printf("# %ld bits flipped: %u refused, %u without damaged records, %u harmless\n", q.done,
	       refusals, told, harmless);
	printf("# lost: %zu messages, %zu floods, %zu values, %zu profiles, %zu files\n", lost.messages,
	       lost.floods, lost.values, lost.profiles, lost.files);
	assert_true(told && harmless);
}

/* A record of a list that has become another's: the list names what does not belong there. */
static void test_strange_list(void **state)
{
	static struct message_filter f;
	const bool nobody[USERS] = { false };
	struct mailbox *mb;
	static struct shown s;
	struct list_name name;
	uint8_t key[LIST_KEY_LEN];
	uint64_t number;
	struct ident id;

	(void)state;
	begin_anew();
	send_to(2, 0, nobody, false, false);
	send_to(3, 0, nobody, false, false);
	work(1);
	mb = &box_of(0)->mailbox;
	mb->lists->max = 1;
	assert_int_equal(lists_settle(mb->lists), 0);
	id = id_of(3);
	assert_int_equal(mailbox_find(mb, &id, &number, 1), 1);
	name = lists_of_service(mb->lists, service_of(2), strlen(service_of(2)));
	lists_key(&name, number, key);
	assert_int_equal(store_put(r->store, STORE_OVERLAY, key, sizeof(key), NULL, 0), 0);
	memset(&f, 0, sizeof(f));
	f.has_service = true;
	strcpy(f.service, service_of(2));
	assert_int_equal(walk(mb, &f), 2);
	query(0, &f, &s);
	assert_true(s.seen[2] && !s.seen[3]);
	strcpy(f.service, service_of(3));
	query(0, &f, &s);
	assert_true(s.seen[3] && !s.seen[2]);
	end();
}

static int setup(void **state)
{
	char old[64];

	if (world_setup(state))
		return -1;
	/* In memory: whole files are written. */
	strcpy(old, r->dir);
	assert_int_equal(rmdir(old), 0);
	strcpy(r->dir, access("/dev/shm", W_OK) ? "/tmp/test_powercut.XXXXXX" :
						  "/dev/shm/powercut.XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	users[0] = r->address;
	users[1] = r->second;
	users[2] = r->crowd[0];
	elsewhere = routers[1].address;
	return 0;
}

static int teardown(void **state)
{
	powercut_reset();
	if (service)
		end();
	forget_all();
	return world_teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_cuts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flips, setup, teardown),
		cmocka_unit_test_setup_teardown(test_strange_list, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	log_set_level(LOG_ERROR + 1);
	cmocka_set_test_filter(getenv("POWERCUT_TEST"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
