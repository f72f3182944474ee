// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bodies, mailboxes and the log of floods against a naive model; what a kill
 * leaves; what damage does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/wire.h"
#include "ratmand/store/floods.h"
#include "ratmand/store/lists.h"
#include "ratmand/store/mailbox.h"

#define USERS 3
#define SENDERS 3
#define SERVICES 3
#define TAGS 4
#define MESSAGES_MAX 4096

static char dir[64];
static uv_loop_t loop;
static struct store *store;
static struct bodies bodies;
static struct floods floods;
static struct mailbox boxes[USERS];

static void box_key(int user, uint8_t key[MAILBOX_KEY_LEN])
{
	memset(key, 0x50 + user, MAILBOX_KEY_LEN);
}

static int begin(void)
{
	uint8_t key[MAILBOX_KEY_LEN];
	char why[256];
	int err = store_open(&store, &loop, dir, NULL, why, sizeof(why));

	if (!err)
		err = bodies_open(&bodies, store);
	if (!err)
		err = floods_open(&floods, &bodies, 0, 0);
	for (int i = 0; i < USERS && !err; i++) {
		box_key(i, key);
		err = mailbox_open(&boxes[i], &bodies, key);
		/* Few, so that lists are written often; one mailbox has them in memory alone. */
		if (!err && i)
			boxes[i].lists->max = 7u * (unsigned int)i;
	}
	return err;
}

static void end(void)
{
	for (int i = 0; i < USERS; i++)
		mailbox_close(&boxes[i]);
	bodies_close(&bodies);
	store_close(store);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void reopen(void)
{
	end();
	assert_int_equal(begin(), 0);
}

static int setup(void **state)
{
	(void)state;
	log_set_level(LOG_ERROR);
	strcpy(dir, "/tmp/test_mailbox.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(uv_loop_init(&loop), 0);
	return begin();
}

static int teardown(void **state)
{
	char cmd[128];

	(void)state;
	end();
	assert_int_equal(uv_loop_close(&loop), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	return system(cmd);
}

/* ---- messages ---- */

static struct message_tag tag_of(int t)
{
	static const char *const keys[TAGS] = { "colour", "colour", "room", MESSAGE_TAG_UNREAD };
	static const char *const values[TAGS] = { "red", "blue", "", "" };
	struct message_tag tag = { keys[t], (const uint8_t *)values[t], strlen(values[t]) };

	return tag;
}

/* What the model knows of a message in a mailbox. */
struct seen {
	unsigned int id;
	int sender, service;
	unsigned int tags;	/* bits */
	bool flood;
	bool first;		/* nobody had it before */
};

static struct ident id_of(unsigned int n)
{
	struct ident id;

	memset(id.b, 0x11, sizeof(id.b));
	memcpy(id.b, &n, sizeof(n));
	return id;
}

static struct address sender_of(int n)
{
	struct address a;

	memset(a.b, 0xa0 + n, sizeof(a.b));
	return a;
}

/* The message, and the body it comes in; tags in the body are the first ones. */
static size_t make(const struct seen *s, struct message *m, uint8_t *body)
{
	struct wire_writer w;
	char text[64];
	size_t len;

	memset(m, 0, sizeof(*m));
	m->id = id_of(s->id);
	m->sender = sender_of(s->sender);
	m->mode = s->flood ? MESSAGE_FLOOD : MESSAGE_STD;
	snprintf(m->service, sizeof(m->service), "service.%d", s->service);
	m->time_ns = 1700000000000000000 + s->id;
	m->trust = MESSAGE_UNVERIFIED;
	snprintf(text, sizeof(text), "payload of message %u by %d", s->id, s->sender);
	m->data = (const uint8_t *)text;
	m->len = strlen(text);
	wire_write_init(&w, body, MESSAGE_BODY_MAX);
	message_body_write(&w, m);
	wire_put_u8(&w, 0);
	assert_false(w.failed);
	len = wire_len(&w);
	for (int t = 0; t < TAGS; t++) {
		struct message_tag tag = tag_of(t);

		if (s->tags & 1u << t)
			assert_int_equal(message_tags_add(&m->tags, &tag), 0);
	}
	m->data = NULL;
	m->len = 0;
	return len;
}

/* Adds what may come again from elsewhere. */
static int add(int user, const struct message *m, const void *data, size_t len)
{
	struct body body = { .data = data, .len = len, .travels = true };

	return mailbox_add(&boxes[user], m, &body);
}

/* ---- the model ---- */

struct model {
	struct seen list[USERS][MESSAGES_MAX];
	size_t n[USERS];
};

static const struct seen *model_find(const struct model *m, int user, unsigned int id, int sender)
{
	for (size_t i = 0; i < m->n[user]; i++)
		if (m->list[user][i].id == id && m->list[user][i].sender == sender)
			return &m->list[user][i];
	return NULL;
}

static bool passes(const struct seen *s, int service, int sender, unsigned int tags, bool flood)
{
	return (service < 0 || s->service == service) && (sender < 0 || s->sender == sender) &&
	       (s->tags & tags) == tags && (!flood || s->flood);
}

static void expect_message(const struct mailbox *mb, uint64_t number, const struct seen *s)
{
	static uint8_t body[MESSAGE_BODY_MAX], buf[MESSAGE_BODY_MAX];
	static struct message expected, got;
	char text[64];

	make(s, &expected, body);
	assert_int_equal(mailbox_read(mb, number, &got, buf), 0);
	assert_true(ident_equal(&got.id, &expected.id));
	assert_true(address_equal(&got.sender, &expected.sender));
	assert_int_equal(got.mode, expected.mode);
	assert_string_equal(got.service, expected.service);
	assert_int_equal(got.tags.n, expected.tags.n);
	assert_int_equal(got.tags.len, expected.tags.len);
	assert_memory_equal(got.tags.bytes, expected.tags.bytes, got.tags.len);
	assert_int_equal(got.time_ns, expected.time_ns);
	snprintf(text, sizeof(text), "payload of message %u by %d", s->id, s->sender);
	assert_int_equal(got.len, strlen(text));
	assert_memory_equal(got.data, text, got.len);
}

/* Walks with a small budget, as the daemon does. */
static void expect_query(const struct model *m, int user, int service, int sender,
			 unsigned int tags, bool flood, bool read)
{
	struct message_filter f = { .has_service = service >= 0, .has_sender = sender >= 0 };
	struct message_tag flood_tag = { .key = MESSAGE_TAG_FLOOD };
	struct mailbox *mb = &boxes[user];
	struct mailbox_walk *walk;
	uint64_t number, last = 0;
	size_t i = 0;

	snprintf(f.service, sizeof(f.service), "service.%d", service);
	f.sender = sender_of(sender);
	for (int t = 0; t < TAGS; t++) {
		struct message_tag tag = tag_of(t);

		if (tags & 1u << t)
			assert_int_equal(message_tags_add(&f.tags, &tag), 0);
	}
	if (flood)
		assert_int_equal(message_tags_add(&f.tags, &flood_tag), 0);
	walk = mailbox_walk_new(mb, &f, 0);
	assert_non_null(walk);
	for (;;) {
		int budget = 40, found;

		do {
			budget = 40;
			found = mailbox_walk_next(walk, &budget, &number);
		} while (found == -EAGAIN);
		assert_true(found >= 0);
		while (i < m->n[user] &&
		       !passes(&m->list[user][i], service, sender, tags, flood))
			i++;
		assert_int_equal(found, i < m->n[user]);
		if (!found)
			break;
		assert_true(number > last);
		last = number;
		if (read)
			expect_message(mb, number, &m->list[user][i]);
		i++;
	}
	mailbox_walk_free(walk);
}

static void expect_model(const struct model *m)
{
	for (int user = 0; user < USERS; user++) {
		expect_query(m, user, -1, -1, 0, false, true);
		for (int service = -1; service < SERVICES; service++)
			for (int sender = -1; sender < SENDERS; sender++)
				for (unsigned int tags = 0; tags < 1u << TAGS; tags++)
					expect_query(m, user, service, sender, tags, false, false);
		expect_query(m, user, -1, -1, 0, true, false);
		expect_query(m, user, 1, -1, 1, true, false);
	}
}

static int count_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(size_t *)ctx;
	return 0;
}

static size_t count_bodies(void)
{
	size_t n = 0;

	assert_int_equal(store_each_key(store, STORE_BODIES, NULL, count_one, &n), 0);
	return n;
}

/* Records of the overlay, those that are a hidden key alone among them. */
static size_t count_overlay(void)
{
	char path[128];
	MDB_stat st;
	MDB_txn *txn;
	MDB_dbi dbi;
	MDB_env *env;

	end();
	snprintf(path, sizeof(path), "%s/state", dir);
	assert_int_equal(mdb_env_create(&env), 0);
	assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
	assert_int_equal(mdb_env_open(env, path, MDB_RDONLY, 0600), 0);
	assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_dbi_open(txn, "overlay", 0, &dbi), 0);
	assert_int_equal(mdb_stat(txn, dbi, &st), 0);
	mdb_txn_abort(txn);
	mdb_env_close(env);
	assert_int_equal(begin(), 0);
	return st.ms_entries;
}

/* Records that tell who reads the body: of all but the first one, and that he has gone. */
static size_t readers(const struct model *m, const struct seen *s)
{
	size_t n = 0;
	bool first = false;

	for (int user = 0; user < USERS; user++) {
		const struct seen *there = model_find(m, user, s->id, s->sender);

		n += there && !there->first;
		first = first || (there && there->first);
	}
	return n + !first;
}

/* No record too many and none too few, whoever they belong to. */
static void expect_records(const struct model *m)
{
	size_t recent[USERS], lists = 0, distinct = 0;

	for (int user = 0; user < USERS; user++) {
		recent[user] = boxes[user].lists->n;
		lists += boxes[user].lists->from > 0;
	}
	for (int user = 0; user < USERS; user++) {
		for (size_t i = 0; i < m->n[user]; i++) {
			const struct seen *s = &m->list[user][i];
			bool counted = false;

			lists++;
			if (i + recent[user] < m->n[user])
				lists += 3 + s->flood + (size_t)__builtin_popcount(s->tags);
			for (int other = 0; other < user; other++)
				counted = counted || model_find(m, other, s->id, s->sender);
			if (counted)
				continue;
			distinct++;
			lists += 1 + readers(m, s);
		}
	}
	assert_int_equal(count_overlay(), lists);
	assert_int_equal(count_bodies(), distinct);
}

/* One random step in model and mailboxes (those only with @real). 0 or a storage error. */
static uint64_t random_state;

static unsigned int draw(unsigned int n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(random_state >> 33) % n;
}

static void step_add(struct model *m, int user, bool real)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message msg;
	/* Few ids: often it is there, for this user or another one. */
	unsigned int id = draw(200);
	int sender = (int)(id % SENDERS);
	struct seen s = { .id = id, .sender = sender, .service = (int)(id % SERVICES),
			  .tags = draw(1u << TAGS), .flood = id % 5 == 0 };
	bool there;

	/* Now and then somebody else uses the same id. */
	if (!draw(10))
		s.sender = (sender + 1) % SENDERS;
	there = model_find(m, user, s.id, s.sender);
	s.first = true;
	for (int other = 0; other < USERS; other++)
		s.first = s.first && !model_find(m, other, s.id, s.sender);
	if (real) {
		size_t len = make(&s, &msg, body);

		assert_int_equal(mailbox_has(&boxes[user], &msg.id, &msg.sender), there);
		assert_int_equal(add(user, &msg, body, len), there ? -EEXIST : 0);
	}
	if (!there)
		m->list[user][m->n[user]++] = s;
}

static void step_change(struct model *m, int user, bool real)
{
	unsigned int n = (unsigned int)m->n[user], add = draw(1u << TAGS), del = draw(1u << TAGS);
	unsigned int id = n && draw(8) ? m->list[user][draw(n)].id : 999;
	struct ident ident = id_of(id);
	struct message_tags tags[2];
	bool found = false;

	memset(tags, 0, sizeof(tags));
	for (int t = 0; t < TAGS; t++) {
		struct message_tag tag = tag_of(t);

		if (add & 1u << t)
			message_tags_add(&tags[0], &tag);
		if (del & 1u << t)
			message_tags_add(&tags[1], &tag);
	}
	for (size_t i = 0; i < n; i++) {
		struct seen *s = &m->list[user][i];

		if (s->id != id)
			continue;
		found = true;
		s->tags = (s->tags & ~del) | add;
	}
	if (real)
		assert_int_equal(mailbox_change(&boxes[user], &ident, &tags[0], &tags[1]),
				 found ? 0 : -ENOENT);
}

static void step_remove(struct model *m, int user, bool real)
{
	size_t n = m->n[user], kept = 0;
	unsigned int id = n && draw(8) ? m->list[user][draw((unsigned int)n)].id : 999;
	struct ident ident = id_of(id);

	for (size_t i = 0; i < n; i++)
		if (m->list[user][i].id != id)
			m->list[user][kept++] = m->list[user][i];
	m->n[user] = kept;
	if (real)
		assert_int_equal(mailbox_remove(&boxes[user], &ident), kept < n ? 0 : -ENOENT);
}

static void step(struct model *m, bool real)
{
	int user = (int)draw(USERS);

	switch (draw(8)) {
	case 0:
	case 1:
		step_change(m, user, real);
		break;
	case 2:
		step_remove(m, user, real);
		break;
	default:
		step_add(m, user, real);
	}
}

static void test_random(void **state)
{
	static struct model m;

	(void)state;
	memset(&m, 0, sizeof(m));
	random_state = 4711;
	for (int i = 0; i < 3000; i++) {
		step(&m, true);
		/* Some of it queued, some on the disk, some of both. */
		if (!draw(50))
			assert_int_equal(store_flush(store), 0);
		if (!draw(300)) {
			expect_model(&m);
			expect_records(&m);
		}
		if (!draw(1000))
			reopen();
	}
	reopen();
	expect_model(&m);
	expect_records(&m);

	/* Emptied, nothing of one is left, and nothing of the others is gone. */
	while (mailbox_empty(&boxes[1], 7) == 1)
		;
	m.n[1] = 0;
	expect_model(&m);
	expect_records(&m);
	while (mailbox_empty(&boxes[0], 64) == 1)
		;
	while (mailbox_empty(&boxes[2], 64) == 1)
		;
	m.n[0] = m.n[2] = 0;
	expect_records(&m);
}

/* ---- kill -9 ---- */

struct shared {
	unsigned int acked;	/* steps whose commit was answered */
};

struct waiting {
	struct shared *shared;
	unsigned int steps;
};

static void on_durable(void *ctx, int err)
{
	struct waiting *w = ctx;

	if (!err)
		w->shared->acked = w->steps;
	free(w);
}

static void run_until_killed(struct shared *shared, uint64_t seed)
{
	static struct model m;

	if (uv_loop_init(&loop) || begin())
		_exit(1);
	random_state = seed;
	for (unsigned int i = 1;; i++) {
		struct waiting *w = malloc(sizeof(*w));

		step(&m, true);
		*w = (struct waiting){ shared, i };
		store_commit(store, on_durable, w);
		/* In some rounds so many steps at once that they do not fit one transaction. */
		if (seed % 2 && i % 1000)
			continue;
		while (seed % 2 && shared->acked < i)
			uv_run(&loop, UV_RUN_ONCE);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

static bool has_tags(const struct message_tags *tags, unsigned int bits)
{
	bool same = tags->n == __builtin_popcount(bits);

	for (int t = 0; t < TAGS; t++) {
		struct message_tag tag = tag_of(t);

		same = same && message_tags_has(tags, &tag) == (bits >> t & 1);
	}
	return same;
}

static bool is_state(const struct model *m)
{
	uint64_t number, last;
	struct message_filter f = { 0 };

	for (int user = 0; user < USERS; user++) {
		struct mailbox_walk *walk = mailbox_walk_new(&boxes[user], &f, 0);
		size_t i = 0;
		bool same = true;
		int found = 1;

		last = 0;
		while (same && found) {
			static struct mailbox_entry e;
			int budget = 1000;

			found = mailbox_walk_next(walk, &budget, &number);
			assert_true(found >= 0 && (!found || number > last));
			last = number;
			same = found == (i < m->n[user]);
			if (!same || !found)
				break;
			assert_int_equal(mailbox_entry(&boxes[user], number, &e), 0);
			same = e.message.id.b[0] == (uint8_t)m->list[user][i].id &&
			       has_tags(&e.message.tags, m->list[user][i].tags);
			i++;
		}
		mailbox_walk_free(walk);
		if (!same)
			return false;
	}
	return true;
}

/* Every step that was acknowledged is there, and the state is that after some step. */
static void test_killed(void **state)
{
	static struct model m;
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)state;
	assert_true(shared != MAP_FAILED);
	for (int round = 0; round < 20; round++) {
		uint64_t seed = 100 + (uint64_t)round;
		unsigned int steps = 0;
		char cmd[128];
		int status;
		pid_t pid;

		/* A store of its own each time: the parent has none open. */
		end();
		assert_int_equal(uv_loop_close(&loop), 0);
		snprintf(cmd, sizeof(cmd), "rm -rf %s/*", dir);
		assert_int_equal(system(cmd), 0);
		shared->acked = 0;
		pid = fork();
		if (!pid) {
			run_until_killed(shared, seed);
			_exit(1);
		}
		for (int i = 0; i < 4000 && !shared->acked; i++)
			usleep(5000);
		usleep((useconds_t)(randombytes_uniform(300) * 1000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		assert_true(shared->acked > 0);

		assert_int_equal(uv_loop_init(&loop), 0);
		assert_int_equal(begin(), 0);
		memset(&m, 0, sizeof(m));
		random_state = seed;
		while (steps < shared->acked) {
			step(&m, false);
			steps++;
		}
		while (!is_state(&m)) {
			step(&m, false);
			assert_true(++steps < shared->acked + 20000);
		}
		expect_model(&m);
		expect_records(&m);
	}
	munmap(shared, sizeof(*shared));
}

/* ---- the log of floods ---- */

static void flood(unsigned int id, int expected)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = id, .flood = true };
	size_t len = make(&s, &m, body);

	struct body at_hand = { .data = body, .len = len, .travels = true };

	assert_int_equal(floods_add(&floods, &m, &at_hand), expected);
}

static void expect_log(unsigned int first, unsigned int last)
{
	uint64_t from = 0, order;
	struct flood f;
	unsigned int id;

	for (unsigned int n = first; n <= last; n++, from = order + 1) {
		assert_int_equal(floods_next(&floods, from, &order, &f), 1);
		memcpy(&id, f.id.b, sizeof(id));
		assert_int_equal(id, n);
	}
	assert_int_equal(floods_next(&floods, from, &order, &f), 0);
	assert_int_equal(floods.n, last - first + 1);
	assert_int_equal(count_bodies(), floods.n);
}

static void test_floods(void **state)
{
	uint64_t bytes;

	(void)state;
	floods.limit = 10;
	for (unsigned int i = 1; i <= 8; i++)
		flood(i, 0);
	flood(3, -EEXIST);
	expect_log(1, 8);
	reopen();
	expect_log(1, 8);
	floods.limit = 10;
	for (unsigned int i = 9; i <= 25; i++)
		flood(i, 0);
	expect_log(16, 25);
	/* What has gone may come again. */
	flood(16, -EEXIST);
	bytes = floods.bytes;
	reopen();
	expect_log(16, 25);
	assert_int_equal(floods.bytes, bytes);
	floods.limit_bytes = bytes / 2;
	flood(26, 0);
	assert_true(floods.n <= 5);
	expect_log(26 - (unsigned int)floods.n + 1, 26);
	reopen();
	floods.limit = 10;
	flood(27, 0);
	expect_log(27 - (unsigned int)floods.n + 1, 27);
}

/* A user keeps what the log lets go, and the log what the user deletes. */
static void test_flood_and_mailbox(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX], buf[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = 1, .flood = true };
	size_t len = make(&s, &m, body);
	struct body at_hand = { .data = body, .len = len, .travels = true };
	struct flood f;
	uint64_t order;

	(void)state;
	floods.limit = 1;
	assert_int_equal(floods_add(&floods, &m, &at_hand), 0);
	assert_int_equal(add(0, &m, body, len), 0);
	assert_int_equal(add(1, &m, body, len), 0);
	assert_int_equal(count_bodies(), 1);
	assert_int_equal(mailbox_remove(&boxes[0], &m.id), 0);
	assert_int_equal(floods_next(&floods, 0, &order, &f), 1);
	assert_int_equal(bodies_read(&bodies, &f.ref, buf, sizeof(buf)), len);
	flood(2, 0);
	expect_message(&boxes[1], 1, &s);
	assert_int_equal(mailbox_remove(&boxes[1], &m.id), 0);
	assert_int_equal(bodies_read(&bodies, &f.ref, buf, sizeof(buf)), -ENOENT);
}

/* ---- keys, damage ---- */

static void test_keys(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX], buf[MESSAGE_BODY_MAX];
	static struct message m, got;
	struct seen s = { .id = 1, .tags = 9 };
	size_t len = make(&s, &m, body);
	struct message_filter none = { 0 };
	struct body one, other;
	struct body_ref ref, good;
	uint64_t number;
	struct mailbox_walk *walk;
	int budget = 100;

	(void)state;
	assert_int_equal(add(0, &m, body, len), 0);
	/* Another key sees nothing and finds nothing. */
	walk = mailbox_walk_new(&boxes[1], &none, 0);
	assert_int_equal(mailbox_walk_next(walk, &budget, &number), 0);
	mailbox_walk_free(walk);
	assert_int_equal(mailbox_find(&boxes[1], &m.id, &number, 1), 0);
	assert_int_equal(mailbox_read(&boxes[1], 1, &got, buf), -ENOENT);
	assert_int_equal(mailbox_remove(&boxes[1], &m.id), -ENOENT);
	/* The same content has the same key, another one not, nor in another store. */
	one = other = (struct body){ .data = body, .len = len, .travels = true };
	assert_int_equal(bodies_add(&bodies, &one, &ref), 0);
	assert_int_equal(one.number, 1);
	assert_memory_equal(one.key.b, ref.key.b, sizeof(ref.key.b));
	assert_int_equal(bodies_read(&bodies, &ref, buf, sizeof(buf)), len);
	assert_memory_equal(buf, body, len);
	good = ref;
	other.len--;
	assert_int_equal(bodies_add(&bodies, &other, &ref), 0);
	assert_int_equal(other.number, 2);
	assert_memory_not_equal(one.key.b, other.key.b, sizeof(other.key.b));
	ref.number = 1;
	assert_int_equal(bodies_read(&bodies, &ref, buf, sizeof(buf)), -EBADMSG);
	/* Who has not the key cannot take it away, either. */
	assert_int_equal(bodies_drop(&bodies, &ref), 0);
	assert_int_equal(bodies_drop(&bodies, &good), 0);
	expect_message(&boxes[0], 1, &s);
	other = (struct body){ .data = body, .len = len };
	bodies.secret[0] ^= 1;
	assert_int_equal(bodies_add(&bodies, &other, &ref), 0);
	assert_memory_not_equal(one.key.b, other.key.b, sizeof(other.key.b));
}

/* The numbers of what was deleted last are given again only if nobody counts on them. */
static void test_numbers(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = 1 };
	size_t len = make(&s, &m, body);

	(void)state;
	assert_int_equal(add(0, &m, body, len), 0);
	assert_int_equal(mailbox_remove(&boxes[0], &m.id), 0);
	assert_int_equal(boxes[0].next, 2);
	assert_int_equal(add(0, &m, body, len), 0);
	expect_message(&boxes[0], 2, &s);
	reopen();
	assert_int_equal(boxes[0].next, 3);
	mailbox_reserve(&boxes[0], 10);
	mailbox_reserve(&boxes[0], 5);
	assert_int_equal(boxes[0].next, 10);
}

/* All that have the id go, however many senders have used it. */
static void test_same_id(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = 1 };
	size_t len = make(&s, &m, body);
	uint64_t numbers[4];

	(void)state;
	for (int i = 0; i < 100; i++) {
		m.sender.b[0] = (uint8_t)i;
		assert_int_equal(add(0, &m, body, len), 0);
	}
	assert_int_equal(mailbox_find(&boxes[0], &m.id, numbers, 4), 4);
	assert_int_equal(mailbox_remove(&boxes[0], &m.id), 0);
	assert_int_equal(mailbox_find(&boxes[0], &m.id, numbers, 4), 0);
	assert_int_equal(mailbox_remove(&boxes[0], &m.id), -ENOENT);
}

struct find {
	uint8_t key[STORE_KEY_MAX];
	size_t want, len;
};

static int find_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct find *f = ctx;

	(void)value;
	if (value_len < f->want)
		return 0;
	memcpy(f->key, key, key_len);
	f->len = key_len;
	return 1;
}

static void test_damage(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX], buf[MESSAGE_BODY_MAX];
	static struct message m, got;
	struct seen s = { .id = 1, .tags = 1 }, t = { .id = 2, .tags = 1 };
	struct message_filter none = { 0 };
	struct find f = { .want = 100 };
	struct mailbox_walk *walk;
	uint64_t number;
	size_t len;
	int budget = 1000;

	(void)state;
	len = make(&s, &m, body);
	assert_int_equal(add(0, &m, body, len), 0);
	len = make(&t, &m, body);
	assert_int_equal(add(0, &m, body, len), 0);
	/* An entry that is not what was sealed. */
	assert_int_equal(store_each(store, STORE_OVERLAY, find_one, &f), 1);
	assert_int_equal(store_put(store, STORE_OVERLAY, f.key, f.len, body, 200), 0);
	number = f.key[23];
	assert_int_equal(mailbox_read(&boxes[0], number, &got, buf), -EBADMSG);
	expect_message(&boxes[0], 3 - number, number == 1 ? &t : &s);
	walk = mailbox_walk_new(&boxes[0], &none, 0);
	assert_int_equal(mailbox_walk_next(walk, &budget, &number), 1);
	assert_int_equal(mailbox_walk_next(walk, &budget, &number), 1);
	mailbox_walk_free(walk);
	/* A body that is not what was sealed is told from one that is, and made good by the next. */
	memset(&f, 0, sizeof(f));
	f.want = 60;
	len = make(&s, &m, body);
	assert_int_equal(store_each(store, STORE_BODIES, find_one, &f), 1);
	assert_int_equal(store_put(store, STORE_BODIES, f.key, f.len, "damaged", 7), 0);
	assert_int_equal(add(1, &m, body, len), 0);
	expect_message(&boxes[1], 1, &s);
	/* They can be taken away. */
	assert_int_equal(mailbox_empty(&boxes[0], 10), 0);
	walk = mailbox_walk_new(&boxes[0], &none, 0);
	budget = 1000;
	assert_int_equal(mailbox_walk_next(walk, &budget, &number), 0);
	mailbox_walk_free(walk);
	expect_message(&boxes[1], 1, &s);
}

/* Who gets a message again that is damaged has it again, once. */
static void test_damaged_again(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = 1, .tags = 1 };
	size_t len = make(&s, &m, body);
	struct find f = { .want = 100 };
	uint64_t number;

	(void)state;
	for (int i = 0; i < 2; i++) {
		/* One that is remembered, and one that is listed on the disk. */
		boxes[0].lists->max = i ? 1 : LISTS_RECENT;
		assert_int_equal(add(0, &m, body, len), 0);
		assert_int_equal(store_each(store, STORE_OVERLAY, find_one, &f), 1);
		assert_int_equal(store_put(store, STORE_OVERLAY, f.key, f.len, body, 200), 0);
		assert_int_equal(add(0, &m, body, len), 0);
		assert_int_equal(add(0, &m, body, len), -EEXIST);
		assert_int_equal(mailbox_find(&boxes[0], &m.id, &number, 1), 1);
		expect_message(&boxes[0], number, &s);
		assert_int_equal(mailbox_remove(&boxes[0], &m.id), 0);
		assert_int_equal(mailbox_find(&boxes[0], &m.id, &number, 1), 0);
	}
}

/* Puts something else in place of a record of the log of floods, or (@index) of its index. */
static void spoil_flood(bool index, uint64_t which)
{
	const uint8_t prefix = index;
	uint8_t key[9] = { index };
	struct wire_writer w;
	uint64_t order;

	/* An index has its records by hash: any of them will do. */
	assert_int_equal(store_orders(store, STORE_FLOODS, &prefix, index ? 0 : which, UINT64_MAX,
				      &order, 1), 1);
	wire_write_init(&w, key + 1, 8);
	wire_put_be64(&w, order);
	assert_int_equal(store_put(store, STORE_FLOODS, key, sizeof(key), "???", 3), 0);
}

static size_t count_floods(void)
{
	size_t n = 0;

	assert_int_equal(store_each(store, STORE_FLOODS, count_one, &n), 0);
	return n;
}

static void test_damaged_floods(void **state)
{
	uint64_t order;
	struct flood f;

	(void)state;
	/* The index is damaged: what is there does not come twice, and the index is right again. */
	flood(1, 0);
	spoil_flood(true, 0);
	flood(1, -EEXIST);
	flood(1, -EEXIST);
	assert_int_equal(floods.n, 1);
	/* The log is: what is not there any more may come again. */
	flood(2, 0);
	spoil_flood(false, 1);
	assert_int_equal(floods_next(&floods, 0, &order, &f), -EBADMSG);
	flood(1, 0);
	flood(1, -EEXIST);
	flood(2, -EEXIST);
	reopen();
	/* It goes in its turn with what told of it, and takes nothing else along. */
	floods.limit = 2;
	flood(3, 0);
	flood(3, -EEXIST);
	flood(4, 0);
	flood(4, -EEXIST);
	flood(5, 0);
	assert_int_equal(floods.n, 2);
	assert_int_equal(count_floods(), 4);
	spoil_flood(false, 0);
	flood(6, 0);
	flood(7, 0);
	assert_int_equal(floods.n, 2);
	assert_int_equal(count_floods(), 4);
	flood(6, -EEXIST);
	flood(7, -EEXIST);
}

/* ---- lists that are behind ---- */

/* Messages @first to @last for @user, each of service and sender by its number. */
static void add_many(struct model *m, int user, unsigned int first, unsigned int last)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message msg;

	for (unsigned int id = first; id <= last; id++) {
		struct seen s = { .id = id, .sender = (int)(id % SENDERS),
				  .service = (int)(id % SERVICES), .tags = id % (1u << TAGS) };
		size_t len = make(&s, &msg, body);

		assert_int_equal(add(user, &msg, body, len), 0);
		s.first = true;
		m->list[user][m->n[user]++] = s;
	}
}

static void drop_one(struct model *m, int user, unsigned int id)
{
	struct ident ident = id_of(id);
	size_t kept = 0;

	assert_int_equal(mailbox_remove(&boxes[user], &ident), 0);
	for (size_t i = 0; i < m->n[user]; i++)
		if (m->list[user][i].id != id)
			m->list[user][kept++] = m->list[user][i];
	m->n[user] = kept;
}

/* What was queued and never got to the disk is on no list, and what was removed so is back. */
static void test_failed_commit(void **state)
{
	static struct model m, ignored;
	struct rlimit limit, old;
	struct stat st;
	char path[128];

	(void)state;
	memset(&m, 0, sizeof(m));
	for (int user = 0; user < USERS; user++)
		add_many(&m, user, 100u * (unsigned int)user + 1, 100u * (unsigned int)user + 10);
	assert_int_equal(store_flush(store), 0);
	ignored = m;
	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	limit = old;
	limit.rlim_cur = 4096;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int user = 0; user < USERS; user++) {
		unsigned int base = 100u * (unsigned int)user;

		add_many(&ignored, user, base + 11, base + 40);
		drop_one(&ignored, user, base + 2);
		drop_one(&ignored, user, base + 9);
	}
	expect_model(&ignored);
	assert_true(store_flush(store) < 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	expect_model(&m);
	reopen();
	expect_model(&m);
	expect_records(&m);
	add_many(&m, 2, 250, 290);
	expect_model(&m);
	reopen();
	expect_model(&m);
	expect_records(&m);
}

/* Where the lists end is not forgotten when all that was on them goes. */
static void test_listed_and_removed(void **state)
{
	static struct model m;

	(void)state;
	memset(&m, 0, sizeof(m));
	add_many(&m, 1, 1, 8);
	assert_int_equal(boxes[1].lists->from, 8);
	for (unsigned int id = 1; id <= 8; id++)
		drop_one(&m, 1, id);
	reopen();
	expect_model(&m);
	add_many(&m, 1, 1, 2);
	reopen();
	expect_model(&m);
	expect_records(&m);
}

/* Without the word where the lists end they still tell what they told. */
static void test_damaged_mark(void **state)
{
	static struct model m;
	uint8_t key[LIST_KEY_LEN];

	(void)state;
	memset(&m, 0, sizeof(m));
	add_many(&m, 1, 1, 40);
	lists_key(&boxes[1].lists->mark, 0, key);
	assert_true(store_has(store, STORE_OVERLAY, key, sizeof(key)));
	assert_int_equal(store_put(store, STORE_OVERLAY, key, sizeof(key), "???", 3), 0);
	reopen();
	expect_model(&m);
	add_many(&m, 1, 41, 60);
	expect_model(&m);
	reopen();
	expect_model(&m);
	expect_records(&m);
}

/* ---- bodies ---- */

/* What stays here is stored once for those it is handed to, and gone with the last of them. */
static void test_body_that_stays(void **state)
{
	static uint8_t data[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = 1 };
	size_t len = make(&s, &m, data);

	(void)state;
	for (int last = 0; last < USERS; last++) {
		struct body body = { .data = data, .len = len, .fresh = true };

		for (int user = 0; user < USERS; user++)
			assert_int_equal(mailbox_add(&boxes[user], &m, &body), 0);
		assert_int_equal(count_bodies(), 1);
		reopen();
		for (int i = 1; i < USERS; i++) {
			assert_int_equal(mailbox_remove(&boxes[(last + i) % USERS], &m.id), 0);
			assert_int_equal(count_bodies(), 1);
			expect_message(&boxes[last], boxes[last].next - 1, &s);
		}
		assert_int_equal(mailbox_remove(&boxes[last], &m.id), 0);
		assert_int_equal(count_bodies(), 0);
		assert_int_equal(count_overlay(), 0);
	}
}

/* What travels is found again, but for a reader whose place was taken back half way. */
static void test_body_that_travels(void **state)
{
	static uint8_t data[MESSAGE_BODY_MAX], buf[MESSAGE_BODY_MAX];
	static struct message m;
	struct seen s = { .id = 1 };
	size_t len = make(&s, &m, data);
	struct body body = { .data = data, .len = len, .travels = true }, again = body, third = body;
	struct body_ref refs[3];

	(void)state;
	assert_int_equal(bodies_add(&bodies, &body, &refs[0]), 0);
	reopen();
	assert_int_equal(bodies_add(&bodies, &again, &refs[1]), 0);
	assert_int_equal(again.number, body.number);
	assert_int_equal(bodies_drop(&bodies, &refs[0]), 0);
	assert_int_equal(bodies_drop(&bodies, &refs[1]), 0);
	assert_int_equal(count_bodies(), 0);
	/* Who still has it at hand stores it anew. */
	assert_int_equal(bodies_add(&bodies, &again, &refs[1]), 0);
	assert_int_equal(bodies_read(&bodies, &refs[1], buf, sizeof(buf)), len);
	assert_int_equal(bodies_add(&bodies, &third, &refs[2]), 0);
	assert_int_equal(count_bodies(), 1);
	assert_int_equal(bodies_read(&bodies, &refs[2], buf, sizeof(buf)), len);
	assert_int_equal(bodies_drop(&bodies, &refs[1]), 0);
	assert_int_equal(bodies_read(&bodies, &refs[2], buf, sizeof(buf)), len);
	assert_memory_equal(buf, data, len);
	assert_int_equal(bodies_drop(&bodies, &refs[2]), 0);
	assert_int_equal(count_bodies(), 0);
	assert_int_equal(count_overlay(), 0);
}

/* ---- the store's part ---- */

/* What has no value in a bare table is there, and passed over by who wants values. */
static void test_bare(void **state)
{
	uint8_t key[24] = "a group of 16 b.", buf[8];
	size_t n;

	(void)state;
	for (int flushed = 0; flushed < 2; flushed++) {
		uint64_t order[4];

		for (uint8_t i = 1; i < 4; i++) {
			key[23] = i;
			assert_int_equal(store_put(store, STORE_OVERLAY, key, sizeof(key), "value",
						   i == 2 ? 5 : 0), 0);
		}
		if (flushed)
			assert_int_equal(store_flush(store), 0);
		key[23] = 1;
		assert_true(store_has(store, STORE_OVERLAY, key, sizeof(key)));
		assert_int_equal(store_get(store, STORE_OVERLAY, key, sizeof(key), buf, 8), 0);
		key[23] = 2;
		assert_int_equal(store_get(store, STORE_OVERLAY, key, sizeof(key), buf, 8), 5);
		n = 0;
		assert_int_equal(store_each(store, STORE_OVERLAY, count_one, &n), 0);
		assert_int_equal(store_each_key(store, STORE_OVERLAY, key, count_one, &n), 0);
		assert_int_equal(n, 2);
		assert_int_equal(store_orders(store, STORE_OVERLAY, key, 0, UINT64_MAX, order, 4), 3);
	}
	/* With a value, and without again; and gone. */
	key[23] = 1;
	assert_int_equal(store_put(store, STORE_OVERLAY, key, sizeof(key), "v", 1), 0);
	assert_int_equal(store_flush(store), 0);
	assert_int_equal(store_get(store, STORE_OVERLAY, key, sizeof(key), buf, 8), 1);
	assert_int_equal(store_put(store, STORE_OVERLAY, key, sizeof(key), NULL, 0), 0);
	assert_int_equal(store_flush(store), 0);
	assert_int_equal(store_get(store, STORE_OVERLAY, key, sizeof(key), buf, 8), 0);
	assert_int_equal(store_del(store, STORE_OVERLAY, key, sizeof(key)), 0);
	assert_int_equal(store_flush(store), 0);
	assert_false(store_has(store, STORE_OVERLAY, key, sizeof(key)));
	assert_int_equal(store_damaged(store), 0);
	reopen();
	assert_int_equal(store_damaged(store), 0);
}

static ssize_t orders(uint64_t from, uint64_t *out, size_t n)
{
	const uint8_t prefix = 7;

	return store_orders(store, STORE_FLOODS, &prefix, from, UINT64_MAX, out, n);
}

static void put_order(uint64_t order, bool del)
{
	uint8_t key[9] = { 7 };
	struct wire_writer w;

	wire_write_init(&w, key + 1, 8);
	wire_put_be64(&w, order);
	if (del)
		assert_int_equal(store_del(store, STORE_FLOODS, key, sizeof(key)), 0);
	else
		assert_int_equal(store_put(store, STORE_FLOODS, key, sizeof(key), "x", 1), 0);
}

static void test_orders(void **state)
{
	const uint8_t prefix = 7, after = 8;
	uint64_t out[8], last;

	(void)state;
	assert_int_equal(orders(0, out, 8), 0);
	assert_int_equal(store_last_order(store, STORE_FLOODS, &prefix, &last), 0);
	for (uint64_t i = 10; i <= 50; i += 10)
		put_order(i, false);
	assert_int_equal(store_flush(store), 0);
	put_order(5, false);
	put_order(20, true);
	put_order(30, false);
	put_order(35, false);
	put_order(60, false);
	assert_int_equal(orders(0, out, 8), 7);
	assert_memory_equal(out, ((uint64_t[]){ 5, 10, 30, 35, 40, 50, 60 }), 7 * 8);
	assert_int_equal(orders(10, out, 3), 3);
	assert_memory_equal(out, ((uint64_t[]){ 10, 30, 35 }), 3 * 8);
	assert_int_equal(orders(36, out, 2), 2);
	assert_memory_equal(out, ((uint64_t[]){ 40, 50 }), 2 * 8);
	assert_int_equal(orders(51, out, 2), 1);
	assert_int_equal(out[0], 60);
	assert_int_equal(orders(61, out, 2), 0);
	assert_int_equal(store_last_order(store, STORE_FLOODS, &prefix, &last), 1);
	assert_int_equal(last, 60);
	assert_int_equal(store_flush(store), 0);
	assert_int_equal(store_last_order(store, STORE_FLOODS, &prefix, &last), 1);
	assert_int_equal(last, 60);
	assert_int_equal(store_last_order(store, STORE_FLOODS, &after, &last), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_orders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bare, setup, teardown),
		cmocka_unit_test_setup_teardown(test_random, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_floods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood_and_mailbox, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_id, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_floods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed_commit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_listed_and_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_mark, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_that_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_body_that_travels, setup, teardown),
	};

	assert_true(sodium_init() >= 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
