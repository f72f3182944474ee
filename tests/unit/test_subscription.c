// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Who gets a stream: subscriptions and receivers of one daemon, with its real
 * store, over restarts, crashes and damage.
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

#include "base/limits.h"
#include "ratmand/flow/flow.h"
#include "ratmand/store/subscriptions.h"
#include "unit/meshless.h"
#include "unit/scratch.h"

#define LOCALS 3

static uv_loop_t loop;
static char dir[SCRATCH_LEN];
static struct store *store;
static struct flow *flow;
static struct {
	struct address address;
	uint8_t secret[64];
} locals[LOCALS];		/* the last one is a namespace */

#define A (&locals[0].address)
#define B (&locals[1].address)
#define N (&locals[2].address)

static const uint8_t *op_secret(void *ctx, const struct address *local)
{
	(void)ctx;
	for (int i = 0; i < LOCALS; i++)
		if (address_equal(&locals[i].address, local))
			return locals[i].secret;
	return NULL;
}

static const struct flow_ops ops = MESHLESS_OPS(op_secret);

static void start(void)
{
	scratch_store(&store, &loop, dir);
	assert_int_equal(flow_new(&flow, &loop, store, &ops, NULL), 0);
}

static void set_flag(void *ctx)
{
	*(bool *)ctx = true;
}

static void stop(void)
{
	bool closed = false;

	flow_free(flow, set_flag, &closed);
	while (!closed)
		uv_run(&loop, UV_RUN_ONCE);
	store_close(store);
	uv_run(&loop, UV_RUN_NOWAIT);
}

static void restart(void)
{
	stop();
	start();
}

static int setup(void **state)
{
	(void)state;
	scratch_make(dir);
	assert_int_equal(uv_loop_init(&loop), 0);
	for (int i = 0; i < LOCALS; i++)
		crypto_sign_keypair(locals[i].address.b, locals[i].secret);
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	return scratch_end(dir, &loop, NULL);
}

/* ---- helpers ---- */

struct answer {
	bool done;
	int err;
	struct ident id;
};

static void on_subscribed(void *ctx, int err, const struct ident *id)
{
	struct answer *a = ctx;

	a->done = true;
	a->err = err;
	if (!err)
		a->id = *id;
}

static void on_done(void *ctx, int err)
{
	on_subscribed(ctx, err ? err : 0, &(struct ident){ { 0 } });
}

static struct recipient to_address(const struct address *a)
{
	return (struct recipient){ RECIPIENT_ADDRESS, *a };
}

static struct recipient to_space(const struct address *a)
{
	return (struct recipient){ RECIPIENT_NAMESPACE, *a };
}

static int subscribe(const struct address *address, struct recipient to, struct ident *id)
{
	struct answer a = { false };

	flow_subscribe(flow, address, &to, on_subscribed, &a);
	while (!a.done)
		uv_run(&loop, UV_RUN_ONCE);
	*id = a.id;
	return a.err;
}

static int unsubscribe(const struct ident *id, const struct address *address)
{
	struct answer a = { false };

	flow_unsubscribe(flow, id, address, false, on_done, &a);
	while (!a.done)
		uv_run(&loop, UV_RUN_ONCE);
	return a.err;
}

static void commit(void)
{
	assert_int_equal(store_flush(store), 0);
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

/* Sends a stream of one byte and waits until it was delivered inside the daemon. */
static void send_byte(struct recipient to, uint8_t byte)
{
	struct letterhead *head = calloc(1, sizeof(*head));
	struct answer a = { false };
	struct flow_send *s;

	head->from = *A;
	head->to = to;
	head->aux_len = 2;
	assert_int_equal(flow_send_open(flow, head, 1, NULL, NULL, &s), 0);
	free(head);
	assert_int_equal(flow_send_write(s, &byte, 1), 0);
	flow_send_finish(s, on_done, &a);
	while (!a.done)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(a.err, 0);
	commit();
	commit();
}

static void on_ready(void *ctx)
{
	if (ctx)
		++*(int *)ctx;
}

static struct flow_listener *attach(const struct ident *id, const struct address *address)
{
	struct flow_listener *l;

	assert_int_equal(flow_attach(flow, id, address, false, on_ready, NULL, &l), 0);
	return l;
}

static struct flow_listener *receive(const struct address *address, struct recipient to)
{
	struct flow_listener *l;

	assert_int_equal(flow_listen(flow, address, &to, on_ready, NULL, &l), 0);
	return l;
}

/* Opens the next stream and reads its byte; -1 when there is none. */
static int open_byte(struct flow_listener *l, struct flow_recv **r)
{
	struct letterhead *head = malloc(sizeof(*head));
	uint8_t byte;
	int err = flow_recv_open(l, head, r);

	free(head);
	if (err == -EAGAIN)
		return -1;
	assert_int_equal(err, 0);
	assert_int_equal(flow_recv_read(*r, &byte, 1), 1);
	return byte;
}

static int take(struct flow_listener *l)
{
	struct flow_recv *r;
	int byte = open_byte(l, &r);

	if (byte >= 0)
		flow_recv_close(r, true);
	commit();
	return byte;
}

static int count_one(void *ctx, const void *key, size_t key_len, const void *value,
		     size_t value_len)
{
	(void)key;
	(void)key_len;
	(void)value;
	(void)value_len;
	++*(size_t *)ctx;
	return 0;
}

static void assert_records(enum store_table table, size_t want)
{
	size_t n = 0;

	commit();
	assert_int_equal(store_each(store, table, count_one, &n), 0);
	assert_int_equal(n, want);
}

/* ---- tests ---- */

static void one_id_per_recipient(void **state)
{
	struct ident id, same, other;

	(void)state;
	assert_int_equal(subscribe(A, to_address(A), &id), 0);
	assert_int_equal(subscribe(A, to_address(A), &same), 0);
	assert_true(ident_equal(&id, &same));
	assert_int_equal(subscribe(A, to_address(B), &other), -EINVAL);
	assert_int_equal(subscribe(A, to_space(N), &other), 0);
	assert_false(ident_equal(&id, &other));
	assert_int_equal(subscribe(B, to_space(N), &same), 0);
	assert_true(ident_equal(&same, &other));
	restart();
	assert_int_equal(subscribe(A, to_space(N), &same), 0);
	assert_true(ident_equal(&same, &other));
	assert_int_equal(flow_subscription_check(flow, &id, A, false), 0);
	assert_int_equal(flow_subscription_check(flow, &id, A, true), -ESRCH);
	assert_int_equal(flow_subscription_check(flow, &id, B, false), -ENOENT);
	assert_int_equal(unsubscribe(&other, A), 0);
	assert_int_equal(unsubscribe(&other, A), -ENOENT);
	assert_int_equal(unsubscribe(&other, B), 0);
	assert_int_equal(unsubscribe(&other, B), -ESRCH);
	assert_records(STORE_SUBSCRIPTIONS, 1);
}

/* A is a member of the namespace; each who is to have a stream has it apart from the others. */
static void join(void)
{
	assert_int_equal(flow_space_up(flow, N, locals[2].secret, A), 0);
}

static void each_once_over_restarts(void **state)
{
	struct flow_listener *a, *b, *r;
	struct flow_recv *half;
	struct ident id;

	(void)state;
	join();
	assert_int_equal(subscribe(A, to_space(N), &id), 0);
	assert_int_equal(subscribe(B, to_space(N), &id), 0);
	for (uint8_t i = 0; i < 4; i++)
		send_byte(to_space(N), i);
	assert_records(STORE_DUE, 8);
	a = attach(&id, A);
	assert_int_equal(take(a), 0);
	assert_int_equal(take(a), 1);
	flow_listen_stop(a);
	restart();
	join();
	a = attach(&id, A);
	b = attach(&id, B);
	r = receive(A, to_space(N));
	assert_int_equal(take(r), -1);		/* subscribers have them all */
	assert_int_equal(open_byte(a, &half), 2);
	assert_int_equal(take(a), 3);		/* the one being read is not given twice */
	assert_int_equal(take(a), -1);
	flow_recv_close(half, false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(take(b), i);
	assert_records(STORE_DUE, 1);
	assert_records(STORE_INBOX, 4 + 1);	/* four are kept for other members */
	assert_int_equal(take(a), 2);
	assert_records(STORE_DUE, 0);
	assert_records(STORE_INBOX, 4);
	assert_records(STORE_DONE, 8);
	flow_listen_stop(a);
	flow_listen_stop(b);
	flow_listen_stop(r);
}

static void receivers_beside_subscribers(void **state)
{
	struct flow_listener *s, *r;
	struct ident id;

	(void)state;
	send_byte(to_address(A), 1);		/* nobody: to whoever receives */
	assert_int_equal(subscribe(A, to_address(A), &id), 0);
	s = attach(&id, A);
	assert_int_equal(take(s), -1);
	send_byte(to_address(A), 2);		/* subscriber only */
	r = receive(A, to_address(A));
	send_byte(to_address(A), 3);		/* both */
	assert_int_equal(take(r), 1);
	assert_int_equal(take(r), 3);
	assert_int_equal(take(r), -1);
	assert_records(STORE_INBOX, 2);
	assert_int_equal(take(s), 2);
	flow_listen_stop(s);
	flow_listen_stop(r);
	restart();
	s = attach(&id, A);
	r = receive(A, to_address(A));
	assert_int_equal(take(r), -1);
	assert_int_equal(take(s), 3);
	assert_int_equal(take(s), -1);
	assert_records(STORE_INBOX, 0);
	flow_listen_stop(s);
	flow_listen_stop(r);
}

static void unsubscribed_goes_to_receivers(void **state)
{
	struct flow_listener *s, *r;
	struct flow_recv *half;
	struct ident id, keep;

	(void)state;
	join();
	assert_int_equal(subscribe(A, to_space(N), &id), 0);
	assert_int_equal(subscribe(B, to_space(N), &keep), 0);
	send_byte(to_space(N), 1);
	send_byte(to_space(N), 2);
	s = attach(&id, A);
	assert_int_equal(open_byte(s, &half), 1);
	assert_int_equal(unsubscribe(&id, A), 0);
	assert_int_equal(flow_recv_read(half, &id, 1), -ESTALE);
	flow_recv_close(half, true);		/* too late to count */
	assert_int_equal(take(s), -1);
	flow_listen_stop(s);
	r = receive(B, to_space(N));
	assert_int_equal(take(r), -1);		/* its subscription still has them */
	assert_int_equal(unsubscribe(&keep, B), 0);
	assert_int_equal(take(r), 1);
	assert_int_equal(take(r), 2);
	flow_listen_stop(r);
	r = receive(A, to_space(N));
	assert_int_equal(take(r), 1);
	assert_int_equal(take(r), 2);
	assert_int_equal(take(r), -1);
	flow_listen_stop(r);
	assert_records(STORE_INBOX, 2);		/* kept for other members */
	assert_records(STORE_DUE, 0);
}

static void destroyed(void **state)
{
	const struct recipient none = { .kind = RECIPIENT_NONE };
	struct flow_listener *r;
	struct ident id;

	(void)state;
	assert_int_equal(subscribe(A, to_address(A), &id), 0);
	assert_int_equal(subscribe(A, none, &id), 0);
	assert_int_equal(subscribe(B, to_address(B), &id), 0);
	send_byte(to_address(A), 1);
	send_byte(to_address(B), 2);
	flow_event(flow, PAYLOAD_EVENT_UP, B);
	assert_records(STORE_DUE, 3);
	flow_local_unsubscribe(flow, A);
	assert_records(STORE_DUE, 1);
	assert_records(STORE_SUBSCRIPTIONS, 1);
	r = receive(A, to_address(A));
	assert_int_equal(take(r), 1);
	flow_listen_stop(r);
	/* With force the streams go, and what was due with them. */
	flow_local_purge(flow, B);
	r = attach(&id, B);
	assert_int_equal(take(r), -1);
	flow_listen_stop(r);
	assert_records(STORE_DUE, 0);
	assert_records(STORE_INBOX, 0);
}

/* What a crash or damage may leave behind is sorted out at the next start. */
static void leftovers(void **state)
{
	struct due_owner nobody = { { { 7 } }, { { 8 } } }, owner = { .address = *A };
	struct flow_listener *r;
	struct ident missing = { { 9 } };

	(void)state;
	assert_int_equal(subscribe(A, to_address(A), &owner.id), 0);
	send_byte(to_address(A), 1);
	due_put(store, &nobody, 3, missing.b, 32);
	due_put(store, &owner, 900, missing.b, 32);
	due_put(store, &owner, 500, "short", 5);
	/* The subscription goes, its queue stays: a crash in the middle of Unsub. */
	restart();
	assert_records(STORE_DUE, 2);	/* the stream, and the damaged one */
	r = attach(&owner.id, A);
	assert_int_equal(take(r), 1);
	assert_int_equal(take(r), -1);
	flow_listen_stop(r);
	assert_records(STORE_DUE, 0);
	send_byte(to_address(A), 2);
	{
		uint8_t key[65] = { RECIPIENT_ADDRESS };

		memcpy(key + 1, A->b, 32);
		memcpy(key + 33, A->b, 32);
		assert_int_equal(store_del(store, STORE_SUBSCRIPTIONS, key, sizeof(key)), 0);
		assert_int_equal(store_put(store, STORE_SUBSCRIPTIONS, "no key", 6, "x", 1), 0);
	}
	restart();
	assert_records(STORE_DUE, 0);
	r = receive(A, to_address(A));
	assert_int_equal(take(r), 2);
	flow_listen_stop(r);
}

static void full_queue(void **state)
{
	struct due_owner owner = { .address = *A };
	struct ident missing = { { 9 } }, id;
	struct flow_listener *r;

	(void)state;
	assert_int_equal(subscribe(A, to_address(A), &owner.id), 0);
	assert_int_equal(subscribe(A, (struct recipient){ .kind = RECIPIENT_NONE }, &id), 0);
	for (unsigned int i = 0; i <= LIMIT_SUBSCRIPTION_QUEUE; i++)
		flow_event(flow, PAYLOAD_EVENT_UP, B);
	assert_int_equal(flow_stats(flow)->events_lost, 1);
	assert_records(STORE_DUE, LIMIT_SUBSCRIPTION_QUEUE);
	/* Entries like those of streams that wait for him. */
	restart();
	for (unsigned int i = 0; i < LIMIT_SUBSCRIPTION_QUEUE; i++)
		due_put(store, &owner, 1000 + i, missing.b, 31);
	restart();
	send_byte(to_address(A), 1);
	assert_int_equal(flow_stats(flow)->subscriptions_overflow, 1);
	r = receive(A, to_address(A));
	assert_int_equal(take(r), 1);	/* not lost */
	flow_listen_stop(r);
}

static void too_many(void **state)
{
	struct address x = { { 0 } };
	struct answer a = { false };
	struct ident id;

	(void)state;
	for (int i = 0; i < LIMIT_SUBSCRIPTIONS; i++) {
		struct recipient to;

		memcpy(x.b, &i, sizeof(i));
		to = to_address(&x);
		flow_subscribe(flow, &x, &to, on_subscribed, &a);
	}
	commit();
	assert_int_equal(a.err, 0);
	assert_int_equal(subscribe(A, to_address(A), &id), -EMFILE);
	assert_int_equal(flow_stats(flow)->subscriptions_full, 1);
	assert_int_equal(subscribe(&x, to_address(&x), &id), 0);	/* has one */
	restart();
	assert_int_equal(subscribe(A, to_address(A), &id), -EMFILE);
	assert_int_equal(unsubscribe(&id, A), -ESRCH);
	assert_int_equal(subscribe(&x, to_address(&x), &id), 0);
	assert_int_equal(unsubscribe(&id, &x), 0);
	assert_int_equal(subscribe(A, to_address(A), &id), 0);
}

/* One address leaves some to others. */
static void too_many_of_one(void **state)
{
	struct recipient to = { .kind = RECIPIENT_NAMESPACE };
	struct answer a = { false };
	struct ident id;

	(void)state;
	for (int i = 0; i < LIMIT_SUBSCRIPTIONS_EACH; i++) {
		memcpy(to.address.b, &i, sizeof(i));
		flow_subscribe(flow, A, &to, on_subscribed, &a);
	}
	commit();
	assert_int_equal(a.err, 0);
	assert_int_equal(subscribe(A, to_address(A), &id), -EMFILE);
	assert_int_equal(subscribe(B, to_address(B), &id), 0);
	restart();
	assert_int_equal(subscribe(A, to_address(A), &id), -EMFILE);
	assert_int_equal(subscribe(B, to_address(B), &id), 0);
}

static void events_in_order(void **state)
{
	struct payload_event e;
	struct flow_listener *l;
	struct ident id, other;
	int ready = 0;

	(void)state;
	flow_event(flow, PAYLOAD_EVENT_UP, A);	/* nobody wants it */
	assert_int_equal(subscribe(A, (struct recipient){ .kind = RECIPIENT_NONE }, &id), 0);
	assert_int_equal(subscribe(B, (struct recipient){ .kind = RECIPIENT_NONE }, &other), 0);
	assert_false(ident_equal(&id, &other));
	flow_event(flow, PAYLOAD_EVENT_UP, A);
	flow_event(flow, PAYLOAD_EVENT_PEER, B);
	commit();
	restart();
	flow_event(flow, PAYLOAD_EVENT_DOWN, A);
	assert_int_equal(flow_attach(flow, &id, A, false, on_ready, NULL, &l), -ESRCH);
	assert_int_equal(flow_attach(flow, &id, B, true, on_ready, NULL, &l), -ENOENT);
	assert_int_equal(flow_attach(flow, &id, A, true, on_ready, &ready, &l), 0);
	assert_int_equal(ready, 1);
	assert_int_equal(flow_event_next(l, &e), 0);
	assert_true(e.kind == PAYLOAD_EVENT_UP && address_equal(&e.address, A));
	assert_int_equal(flow_event_next(l, &e), 0);
	assert_true(e.kind == PAYLOAD_EVENT_PEER && address_equal(&e.address, B));
	assert_int_equal(flow_event_next(l, &e), 0);
	assert_true(e.kind == PAYLOAD_EVENT_DOWN && address_equal(&e.address, A));
	assert_int_equal(flow_event_next(l, &e), -EAGAIN);
	flow_event(flow, PAYLOAD_EVENT_UP, A);
	assert_int_equal(ready, 2);
	assert_int_equal(flow_event_next(l, &e), 0);
	flow_listen_stop(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_id_per_recipient), TEST(each_once_over_restarts),
		TEST(receivers_beside_subscribers), TEST(unsubscribed_goes_to_receivers),
		TEST(destroyed), TEST(leftovers), TEST(full_queue), TEST(too_many), TEST(too_many_of_one),
		TEST(events_in_order),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
