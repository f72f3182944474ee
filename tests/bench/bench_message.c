// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages of 1 KiB beside raw LMDB, on a file system with a disk below it (BENCH_DIR,
 * default the working directory), one JSON object a line:
 *   clients          how many send, each waiting for its answer before the next one
 *   kind             "note": kept by the sender; "local": to a user of the same router, who
 *                    gets it in the same time
 *   message_per_s    messages answered a second, and with "local" also received
 *   raw_per_s        puts of 1 KiB into LMDB in the clear, as many to a transaction as there
 *                    were messages on average, synced
 *   share            message_per_s / raw_per_s
 *   batch            messages in a transaction, on average
 * of 50,000 of 1 KiB and one mailbox,
 *   disk_per_byte    bytes of data.mdb per byte of payload
 * and of a mailbox of BENCH_MESSAGES (default 1,000,000) small ones in 10 services from 100
 * senders,
 *   query_per_s      queries of a page of 10, by what they ask for
 *   turn_ms          the longest turn of the loop while the deepest of them ran
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "bench/bench.h"
#include "ratmand/service/messages.h"
#include "ratmand/store/mailbox.h"
#include "unit/meshless.h"

#define VALUE 1024
#define ROUNDS 5
#define ROUND_S 2.0
#define CLIENTS_MAX 16
#define SERVICES 10
#define SENDERS 100

static uv_loop_t loop;
static uint8_t payload[VALUE];

/* A router without a mesh: two users, a and b. */
static struct store *store;
static struct flow *flow;
static struct service *service;
static struct address users[2];
static uint8_t secrets[2][64];
static bool closed;

/* ---- the router ---- */

static const uint8_t *secret_of(void *ctx, const struct address *local)
{
	(void)ctx;
	for (int i = 0; i < 2; i++)
		if (address_equal(local, &users[i]))
			return secrets[i];
	return NULL;
}

static const struct flow_ops flow_ops = MESHLESS_OPS(secret_of);

static void user_key(int i, uint8_t key[static ADDRESS_KEY_LEN])
{
	memset(key, 0x30 + i, ADDRESS_KEY_LEN);
}

static void open_router(void)
{
	const struct messages_options options = { .god_mode = true, .secret = secret_of };
	uint8_t key[ADDRESS_KEY_LEN];
	char why[256];
	int err = store_open(&store, &loop, dir, NULL, why, sizeof(why));

	if (err)
		die(why, err);
	err = flow_new(&flow, &loop, store, &flow_ops, NULL);
	if (!err)
		err = service_new(&service, &loop, store, flow);
	if (!err)
		err = users_ready(service->users);
	if (!err)
		err = messages_new(&service->messages, service, &options);
	for (int i = 0; i < 2 && !err; i++) {
		user_key(i, key);
		err = service_address_up(service, &users[i], key);
		if (!err)
			flow_local_up(flow, &users[i]);
	}
	if (err)
		die("the router", err);
}

static void on_closed(void *ctx)
{
	(void)ctx;
	service_free(service);
	store_close(store);
	closed = true;
}

static void close_router(void)
{
	closed = false;
	service_stop(service);
	flow_free(flow, on_closed, NULL);
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
}

/* ---- durable ---- */

struct client {
	struct message_send send;
	uint64_t *done;
	double until;
};

static struct client clients[CLIENTS_MAX];

static void on_sent(void *ctx, int err, const struct ident *id)
{
	struct client *c = ctx;

	(void)id;
	if (err)
		die("sending", err);
	++*c->done;
	if (now_s() < c->until)
		messages_send(service->messages, &c->send, on_sent, c);
}

/* Messages a second; each one is kept, and with @local received, too. */
static double run_messages(unsigned int n, bool local, uint64_t *done)
{
	double begin = now_s();

	*done = 0;
	for (unsigned int i = 0; i < n; i++) {
		struct client *c = &clients[i];

		memset(c, 0, sizeof(*c));
		c->done = done;
		c->until = begin + ROUND_S;
		c->send.sender = users[0];
		c->send.mode = MESSAGE_STD;
		c->send.to = users[local].b;
		c->send.n = 1;
		strcpy(c->send.service, "org.example.bench");
		c->send.data = payload;
		c->send.len = sizeof(payload);
		messages_send(service->messages, &c->send, on_sent, c);
	}
	while (store_backlog(store) || now_s() < begin + ROUND_S ||
	       (local && messages_stats(service->messages)->received < *done))
		uv_run(&loop, UV_RUN_ONCE);
	return (double)*done / (now_s() - begin);
}

static void durable(unsigned int n, bool local)
{
	double message[ROUNDS], raw[ROUNDS], share[ROUNDS], batch_sum = 0;
	MDB_dbi dbi;
	MDB_env *env;

	fresh_dir();
	env = raw_open(&dbi);
	open_router();
	close_router();
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t done, before = transactions("state");
		double batch;

		open_router();
		message[i] = run_messages(n, local, &done);
		close_router();
		batch = (double)done / (double)(transactions("state") - before);
		batch_sum += batch;
		raw[i] = raw_run(env, dbi, batch < 1 ? 1 : (unsigned int)(batch + 0.5), payload,
				 sizeof(payload), ROUND_S);
		share[i] = message[i] / raw[i];
	}
	mdb_env_close(env);
	printf("{\"bench\":\"message\",\"case\":\"durable\",\"kind\":\"%s\",\"clients\":%u,"
	       "\"message_per_s\":%.0f,\"raw_per_s\":%.0f,\"share\":%.2f,\"batch\":%.1f}\n",
	       local ? "local" : "note", n, median(message, ROUNDS), median(raw, ROUNDS), median(share, ROUNDS),
	       batch_sum / ROUNDS);
	fflush(stdout);
}

/* ---- large mailboxes ---- */

static struct address sender_of(unsigned int n)
{
	struct address a;

	memset(a.b, 1 + (int)n, sizeof(a.b));
	return a;
}

static void add_tag(struct message_tags *tags, const char *key, unsigned int n)
{
	char text[16];
	struct message_tag tag = { key, (const uint8_t *)text, 0 };

	tag.len = (size_t)snprintf(text, sizeof(text), "%u", n);
	message_tags_add(tags, &tag);
}

static size_t make_body(unsigned int n, size_t len, struct message *m, uint8_t *body)
{
	struct wire_writer w;

	memset(m, 0, sizeof(*m));
	ident_draw(&m->id);
	m->sender = sender_of(n / 11 % SENDERS);
	m->mode = MESSAGE_STD;
	m->has_to = true;
	m->to = users[0];
	snprintf(m->service, sizeof(m->service), "org.example.service%u", n % SERVICES);
	m->time_ns = n;
	add_tag(&m->tags, "thousand", n / 1000);
	add_tag(&m->tags, "tenth", n % 10 / 9);
	m->data = payload;
	m->len = len;
	wire_write_init(&w, body, MESSAGE_BODY_MAX);
	message_body_write(&w, m);
	wire_put_u8(&w, 0);
	return wire_len(&w);
}

/* Before the router is opened, straight into the mailbox of user 0. */
static void fill(unsigned int n, size_t len)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	uint8_t key[ADDRESS_KEY_LEN], box_key[MAILBOX_KEY_LEN];
	struct records records;
	struct bodies bodies;
	struct mailbox box;
	char why[256];
	int err = store_open(&store, &loop, dir, NULL, why, sizeof(why));

	if (err)
		die(why, err);
	user_key(0, key);
	records_open(&records, store, &users[0], key);
	mailbox_key(&records, box_key);
	err = bodies_open(&bodies, store);
	if (!err)
		err = mailbox_open(&box, &bodies, box_key);
	for (unsigned int i = 0; i < n && !err; i++) {
		struct message m;
		struct body at_hand = { .data = body, .len = make_body(i, len, &m, body) };

		err = mailbox_add(&box, &m, &at_hand);
		if (!err && store_backlog(store) > 4u << 20)
			err = store_flush(store);
	}
	if (err)
		die("filling a mailbox", err);
	mailbox_close(&box);
	bodies_close(&bodies);
	store_close(store);
	uv_run(&loop, UV_RUN_DEFAULT);
}

static void size(unsigned int n)
{
	struct stat st;
	char path[300];

	fresh_dir();
	fill(n, VALUE);
	snprintf(path, sizeof(path), "%s/state/data.mdb", dir);
	if (stat(path, &st))
		die(path, errno);
	printf("{\"bench\":\"message\",\"case\":\"size\",\"messages\":%u,\"payload\":%u,"
	       "\"disk_per_byte\":%.2f}\n",
	       n, VALUE, (double)st.st_size / ((double)n * VALUE));
	fflush(stdout);
}

struct answer {
	bool done;
	int err;
	unsigned int n;
};

static bool on_found(void *ctx, const struct message *m)
{
	(void)m;
	((struct answer *)ctx)->n++;
	return true;
}

static void on_queried(void *ctx, int err, bool more)
{
	struct answer *a = ctx;

	(void)more;
	a->done = true;
	a->err = err;
}

/* One query; the longest turn in *@turn. */
static void ask(const struct message_query *q, double *turn)
{
	struct messages_query *handle;
	struct answer a = { .done = false };
	double begin = now_s(), now;
	int err = messages_query(service->messages, q, on_found, on_queried, &a, &handle);

	if (err)
		die("query", err);
	now = now_s();
	if (now - begin > *turn)
		*turn = now - begin;
	while (!a.done) {
		begin = now_s();
		uv_run(&loop, UV_RUN_ONCE);
		now = now_s();
		if (now - begin > *turn)
			*turn = now - begin;
	}
	if (a.err || a.n != 10)
		die("a page", a.err ? a.err : EIO);
}

static void query(const char *by, const struct message_query *q)
{
	double begin, seconds, turn = 0;
	unsigned int n = 0;

	ask(q, &turn);
	turn = 0;
	begin = now_s();
	do {
		ask(q, &turn);
		n++;
		seconds = now_s() - begin;
	} while (seconds < ROUND_S && n < 100000);
	printf("{\"bench\":\"message\",\"case\":\"query\",\"by\":\"%s\",\"query_per_s\":%.1f,"
	       "\"turn_ms\":%.2f}\n", by, n / seconds, turn * 1e3);
	fflush(stdout);
}

static void queries(unsigned int n)
{
	static struct message_query q;
	double begin = now_s();

	fresh_dir();
	fill(n, 100);
	printf("{\"bench\":\"message\",\"case\":\"fill\",\"messages\":%u,\"seconds\":%.1f}\n", n,
	       now_s() - begin);
	open_router();
	memset(&q, 0, sizeof(q));
	q.user = users[0];
	q.take = 10;
	query("all", &q);
	q.skip = n - 10;
	query("all, skip to the end", &q);
	q.skip = 0;
	q.filter.has_service = true;
	strcpy(q.filter.service, "org.example.service3");
	query("service", &q);
	q.skip = n / SERVICES - 10;
	query("service, skip to the end", &q);
	q.skip = 0;
	q.filter.has_sender = true;
	q.filter.sender = sender_of(42);
	query("service and sender", &q);
	add_tag(&q.filter.tags, "tenth", 0);
	query("service, sender and a common tag", &q);
	add_tag(&q.filter.tags, "thousand", n / 1000 - 1);
	q.filter.has_sender = false;
	query("service, a common tag and a rare one far off", &q);
	memset(&q.filter, 0, sizeof(q.filter));
	add_tag(&q.filter.tags, "thousand", n / 2000);
	query("a rare tag", &q);
	close_router();
}

int main(void)
{
	const char *text = getenv("BENCH_MESSAGES");
	unsigned int n = text ? (unsigned int)strtoul(text, NULL, 10) : 1000000;

	if (sodium_init() < 0 || uv_loop_init(&loop))
		return 1;
	log_set_level(LOG_ERROR);
	randombytes_buf(payload, sizeof(payload));
	for (int i = 0; i < 2; i++)
		crypto_sign_keypair(users[i].b, secrets[i]);
	for (int local = 0; local < 2; local++) {
		durable(1, local);
		durable(CLIENTS_MAX, local);
	}
	size(50000);
	queries(n < 2000 ? 2000 : n);
	remove_dir();
	return 0;
}
