// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages between whole routers (store, streams, service): what reaches whom, whose
 * word is taken for it, and what is dropped.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "ratmand/flow/parcel.h"
#include "ratmand/service/messages.h"
#include "ratmand/service/online.h"
#include "unit/flow_world.h"

static struct service *services[ROUTERS];
static bool discard, god;

static struct service *of(struct router *r)
{
	return services[r - routers];
}

static const uint8_t *secret_of(void *ctx, const struct address *user)
{
	struct router *r = ctx;

	return address_equal(user, &r->address) ? r->secret : NULL;
}

static bool registered(void *ctx, const char *service)
{
	(void)ctx;
	return !strcmp(service, "known");
}

static void user_up(struct router *r)
{
	const uint8_t key[ADDRESS_KEY_LEN] = { (uint8_t)(r - routers) };

	assert_int_equal(service_address_up(of(r), &r->address, key), 0);
}

static void start(struct router *r)
{
	struct messages_options options = {
		.god_mode = god, .discard_unknown_services = discard, .registered = registered,
		.secret = secret_of, .ctx = r,
	};
	struct service **s = &services[r - routers];

	router_start(r, true);
	assert_int_equal(service_new(s, &loop, r->store, r->flow), 0);
	assert_int_equal(users_ready((*s)->users), 0);
	assert_int_equal(messages_new(&(*s)->messages, *s, &options), 0);
	user_up(r);
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

static int setup(void **state)
{
	discard = false;
	god = true;
	log_set_level(LOG_ERROR);
	return world_setup(state);
}

static int teardown(void **state)
{
	for (int i = 0; i < ROUTERS; i++)
		stop(&routers[i]);
	return world_teardown(state);
}

/* ---- what a user has ---- */

struct seen {
	struct ident id;
	struct address sender;
	enum message_mode mode;
	enum message_trust trust;
	uint16_t n_tags;
	char text[64];
};

struct view {
	struct seen list[1024];
	size_t n;
	bool done, more;
	int err;
};

static bool on_found(void *ctx, const struct message *m)
{
	struct view *v = ctx;
	struct seen *s = &v->list[v->n++];

	assert_true(v->n <= 1024);
	*s = (struct seen){ m->id, m->sender, m->mode, m->trust, m->tags.n, "" };
	memcpy(s->text, m->data, m->len < 63 ? m->len : 63);
	return true;
}

static void on_queried(void *ctx, int err, bool more)
{
	struct view *v = ctx;

	v->done = true;
	v->err = err;
	v->more = more;
}

static void look(struct router *r, struct view *v)
{
	static struct message_query q;
	struct messages_query *handle;

	memset(&q, 0, sizeof(q));
	q.user = r->address;
	memset(v, 0, sizeof(*v));
	assert_int_equal(messages_query(of(r)->messages, &q, on_found, on_queried, v, &handle), 0);
	while (!v->done)
		uv_run(&loop, UV_RUN_ONCE);
}

struct want {
	struct router *r;
	size_t n;
	struct view view;
};

static bool has(void *ctx)
{
	struct want *want = ctx;

	look(want->r, &want->view);
	return want->view.n >= want->n;
}

/* Waits until the user has @n, and no more. */
static struct view *expect(struct router *r, size_t n)
{
	static struct want want;

	want = (struct want){ .r = r, .n = n };
	assert_true(run_until(has, &want, 60000));
	assert_int_equal(want.view.n, n);
	return &want.view;
}

/* ---- sending ---- */

struct sent {
	bool done;
	int err;
	struct ident id;
};

static void on_sent(void *ctx, int err, const struct ident *id)
{
	struct sent *s = ctx;

	s->done = true;
	s->err = err;
	if (id)
		s->id = *id;
}

static struct ident send_text(struct router *from, struct router *to, const char *service,
			      const char *text)
{
	static struct message_send m;
	struct sent s = { .done = false };

	memset(&m, 0, sizeof(m));
	m.sender = from->address;
	m.mode = to ? MESSAGE_STD : MESSAGE_FLOOD;
	m.to = to ? to->address.b : NULL;
	m.n = to ? 1 : 0;
	strcpy(m.service, service);
	m.data = (const uint8_t *)text;
	m.len = strlen(text);
	messages_send(of(from)->messages, &m, on_sent, &s);
	while (!s.done)
		uv_run(&loop, UV_RUN_ONCE);
	assert_int_equal(s.err, 0);
	return s.id;
}

static void on_forged(void *ctx, int err)
{
	assert_int_equal(err, 0);
	*(bool *)ctx = true;
}

/* A parcel as another implementation, or a liar, would send it. */
static void forge(struct router *from, struct router *to, const void *data, size_t len)
{
	struct recipient r = { .kind = RECIPIENT_ADDRESS };
	bool done = false;

	if (to)
		r.address = to->address;
	assert_int_equal(flow_parcel_send(from->flow, PARCEL_MESSAGE, &from->address,
					  to ? &r : flow_everybody(), NULL, 0, data, len, on_forged,
					  &done), 0);
	while (!done)
		uv_run(&loop, UV_RUN_ONCE);
}

static size_t make_body(struct router *from, const char *text, bool flood, struct message *m,
			uint8_t *out)
{
	struct wire_writer w;

	memset(m, 0, sizeof(*m));
	ident_draw(&m->id);
	m->sender = from->address;
	m->mode = flood ? MESSAGE_FLOOD : MESSAGE_STD;
	strcpy(m->service, "forged");
	m->data = (const uint8_t *)text;
	m->len = strlen(text);
	wire_write_init(&w, out, MESSAGE_BODY_MAX);
	message_body_write(&w, m);
	return wire_len(&w);
}

/* ---- cases ---- */

static void test_across(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	struct view *v;
	struct ident id;

	(void)state;
	start(a);
	start(b);
	start(c);
	id = send_text(a, b, "s", "hello");
	v = expect(b, 1);
	assert_true(ident_equal(&v->list[0].id, &id));
	assert_true(address_equal(&v->list[0].sender, &a->address));
	assert_int_equal(v->list[0].trust, MESSAGE_TRUSTED);
	assert_int_equal(v->list[0].mode, MESSAGE_STD);
	assert_int_equal(v->list[0].n_tags, 1);
	assert_string_equal(v->list[0].text, "hello");
	assert_int_equal(expect(a, 1)->list[0].n_tags, 0);
	look(c, v);
	assert_int_equal(v->err, -ENODATA);
	assert_int_equal(messages_stats(of(b)->messages)->received, 1);
	assert_int_equal(messages_stats(of(b)->messages)->unverified, 0);
}

static void test_floods_across(void **state)
{
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	struct ident id;

	(void)state;
	start(a);
	start(b);
	look(b, &(struct view){ .n = 0 });
	id = send_text(a, NULL, "s", "news");
	assert_true(ident_equal(&expect(b, 1)->list[0].id, &id));
	assert_int_equal(expect(b, 1)->list[0].mode, MESSAGE_FLOOD);
	assert_int_equal(expect(a, 1)->list[0].n_tags, 0);
	/* Who comes later catches up, and without the sender. */
	stop(a);
	start(c);
	look(c, &(struct view){ .n = 0 });
	assert_true(ident_equal(&expect(c, 1)->list[0].id, &id));
	assert_int_equal(expect(c, 1)->list[0].trust, MESSAGE_TRUSTED);
}

static void test_away_and_restart(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];

	(void)state;
	start(a);
	send_text(a, b, "s", "waits");
	stop(a);
	start(a);
	start(b);
	assert_string_equal(expect(b, 1)->list[0].text, "waits");
	stop(b);
	start(b);
	assert_string_equal(expect(b, 1)->list[0].text, "waits");
	/* Closed keys: it waits here, and is not lost. */
	service_address_down(of(b), &b->address);
	send_text(a, b, "s", "later");
	run_until(never, NULL, 300);
	user_up(b);
	expect(b, 2);
}

static void test_trust(void **state)
{
	static uint8_t body[MESSAGE_BODY_MAX];
	static struct message m;
	struct router *a = &routers[0], *b = &routers[1], *c = &routers[2];
	const struct messages_stats *stats;
	size_t len;

	(void)state;
	start(a);
	start(b);
	start(c);
	stats = messages_stats(of(b)->messages);
	/* Not signed: told so. */
	len = make_body(a, "unsigned", false, &m, body);
	body[len] = 0;
	forge(a, b, body, len + 1);
	assert_int_equal(expect(b, 1)->list[0].trust, MESSAGE_UNVERIFIED);
	assert_int_equal(stats->unverified, 1);
	/* The same once more is the same. */
	forge(a, b, body, len + 1);
	/* Wrongly signed, cut short, of somebody else, a flood that is none, with our tags. */
	len = make_body(a, "bad", false, &m, body);
	body[len] = 1;
	randombytes_buf(body + len + 1, 64);
	forge(a, b, body, len + 65);
	forge(a, b, body, len);
	len = make_body(c, "not mine", false, &m, body);
	body[len] = 0;
	forge(a, b, body, len + 1);
	len = make_body(a, "flood?", true, &m, body);
	body[len] = 0;
	forge(a, b, body, len + 1);
	len = make_body(a, "std?", false, &m, body);
	body[len] = 0;
	forge(a, NULL, body, len + 1);
	len = make_body(a, "tags", false, &m, body);
	{
		const struct message_tag unread = { .key = MESSAGE_TAG_UNREAD };
		struct wire_writer w;

		message_tags_add(&m.tags, &unread);
		wire_write_init(&w, body, sizeof(body));
		message_body_write(&w, &m);
		wire_put_u8(&w, 0);
		forge(a, b, body, wire_len(&w));
	}
	memset(body, 0x55, sizeof(body));
	forge(a, b, body, sizeof(body));
	forge(a, b, "x", 1);
	/* What comes behind them shows that they were looked at. */
	send_text(a, b, "s", "good");
	send_text(a, NULL, "s", "good flood");
	expect(b, 3);
	run_until(never, NULL, 300);
	expect(b, 3);
	assert_int_equal(stats->bad_signatures, 1);
	assert_int_equal(stats->duplicates, 1);
	assert_int_equal(stats->malformed, 7);
	assert_int_equal(stats->received, 3);
}

static void test_unknown_services(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];

	(void)state;
	start(a);
	discard = true;
	start(b);
	look(b, &(struct view){ .n = 0 });
	send_text(a, b, "unknown", "dropped");
	send_text(a, NULL, "unknown", "dropped, too");
	send_text(a, b, "known", "kept");
	send_text(a, NULL, "known", "kept, too");
	expect(b, 2);
	run_until(never, NULL, 300);
	expect(b, 2);
	assert_int_equal(messages_stats(of(b)->messages)->discarded, 2);
	/* Of our own nothing is discarded. */
	send_text(b, a, "unknown", "sent");
	expect(b, 3);
}

/* Many floods at once: nobody's turn takes long, and all come, in order. */
static void test_many_floods(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct view *v;
	char text[16];

	(void)state;
	start(a);
	start(b);
	/* Fewer than a sender's share of the commons. */
	for (int i = 0; i < 60; i++) {
		sprintf(text, "%d", i);
		send_text(a, NULL, "s", text);
	}
	v = expect(b, 60);
	for (int i = 0; i < 60; i++) {
		sprintf(text, "%d", i);
		assert_int_equal(v->list[i].mode, MESSAGE_FLOOD);
	}
	assert_int_equal(messages_stats(of(b)->messages)->floods, 60);
	assert_int_equal(count(b, STORE_BODIES), 60);
}

static void test_forget(void **state)
{
	struct router *a = &routers[0], *b = &routers[1];
	struct ident id;
	char text[16];

	(void)state;
	start(a);
	start(b);
	for (int i = 0; i < 100; i++) {
		sprintf(text, "%d", i);
		send_text(a, b, "s", text);
	}
	expect(b, 100);
	id = send_text(a, NULL, "s", "flood");
	(void)id;
	expect(b, 101);
	assert_int_equal(service_address_forget(of(b), &b->address, NULL), 0);
	service_address_down(of(b), &b->address);
	/* Half way through the daemon ends; it goes on where it was. */
	uv_run(&loop, UV_RUN_NOWAIT);
	stop(b);
	router_start(b, true);
	{
		struct messages_options options = { .secret = secret_of, .ctx = b };
		struct service **s = &services[b - routers];

		assert_int_equal(service_new(s, &loop, b->store, b->flow), 0);
		assert_int_equal(users_ready((*s)->users), 0);
		assert_int_equal(messages_new(&(*s)->messages, *s, &options), 0);
	}
	run_until(never, NULL, 500);
	assert_int_equal(count(b, STORE_OVERLAY), 0);
	assert_int_equal(count(b, STORE_BODIES), 1);
}

/* ---- subscriptions ---- */

struct subscribed {
	bool done;
	int err;
	struct ident id;
};

static void on_subscribed(void *ctx, int err, const struct ident *id)
{
	struct subscribed *s = ctx;

	s->done = true;
	s->err = err;
	if (id)
		s->id = *id;
}

static bool is_subscribed(void *ctx)
{
	return ((struct subscribed *)ctx)->done;
}

static struct ident subscribe(struct router *r)
{
	const struct message_filter filter = { .has_service = true, .service = "s" };
	struct subscribed s = { 0 };

	messages_subscribe(of(r)->messages, &r->address, &filter, on_subscribed, &s);
	assert_true(run_until(is_subscribed, &s, 60000));
	assert_int_equal(s.err, 0);
	return s.id;
}

/* As they were before the order of their ends was kept: the first to make room. */
static void test_old_subscriptions(void **state)
{
	static const uint8_t old[] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 's', 0, 0, 0 };
	struct router *a = &routers[0];
	uint8_t key[1 + sizeof(struct ident)] = { 's', 0x55, 0xaa };
	struct ident id, other;

	(void)state;
	memcpy(id.b, key + 1, sizeof(id.b));
	start(a);
	other = subscribe(a);
	assert_int_equal(records_put(online_records(of(a)->online, &a->address), RECORD_MESSAGE,
				     key, sizeof(key), old, sizeof(old)), 0);
	service_address_down(of(a), &a->address);
	user_up(a);
	for (int i = 2; i < LIMIT_MESSAGE_SUBSCRIPTIONS; i++)
		subscribe(a);
	assert_int_equal(messages_subscription_check(of(a)->messages, &id, &a->address), 0);
	subscribe(a);
	assert_int_equal(messages_subscription_check(of(a)->messages, &id, &a->address), -ESRCH);
	assert_int_equal(messages_subscription_check(of(a)->messages, &other, &a->address), 0);
	subscribe(a);
	assert_int_equal(messages_subscription_check(of(a)->messages, &other, &a->address), -ESRCH);
}

/* What the disk refuses changes nothing: who had to make room is there as before. */
static void test_subscription_refused(void **state)
{
	const struct message_filter filter = { .has_service = true, .service = "s" };
	const struct rlimit none = { 0, RLIM_INFINITY };
	struct router *a = &routers[0];
	struct subscribed s = { 0 };
	struct rlimit before;
	struct ident first;

	(void)state;
	start(a);
	first = subscribe(a);
	for (int i = 1; i < LIMIT_MESSAGE_SUBSCRIPTIONS; i++)
		subscribe(a);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	messages_subscribe(of(a)->messages, &a->address, &filter, on_subscribed, &s);
	assert_int_equal(messages_subscription_check(of(a)->messages, &first, &a->address), -ESRCH);
	assert_true(run_until(is_subscribed, &s, 60000));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_not_equal(s.err, 0);
	assert_int_equal(messages_subscription_check(of(a)->messages, &first, &a->address), 0);
	/* Nor is there one too many. */
	service_address_down(of(a), &a->address);
	user_up(a);
	assert_int_equal(messages_subscription_check(of(a)->messages, &first, &a->address), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_across, setup, teardown),
		cmocka_unit_test_setup_teardown(test_floods_across, setup, teardown),
		cmocka_unit_test_setup_teardown(test_away_and_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trust, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_services, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_floods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old_subscriptions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_subscription_refused, setup, teardown),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
