// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "unit/flow_world.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ratmand/flow/parcel.h"

struct router routers[ROUTERS];
uv_loop_t loop;
struct address space;
uint8_t space_secret[64];

struct router *router_of(const struct address *a)
{
	for (int i = 0; i < ROUTERS; i++)
		if (address_equal(&routers[i].address, a) || address_equal(&routers[i].second, a))
			return &routers[i];
	return NULL;
}

/* ---- what the mesh would say ---- */

static const uint8_t *op_secret(void *ctx, const struct address *local)
{
	struct router *r = ctx;

	if (!r->up)
		return NULL;
	for (int i = 0; i < CROWD; i++)
		if (address_equal(local, &r->crowd[i]))
			return r->crowd_secret[i];
	return address_equal(local, &r->address) ? r->secret :
	       address_equal(local, &r->second) ? r->second_secret : NULL;
}

static bool op_reachable(void *ctx, const struct address *peer)
{
	struct router *r = router_of(peer);

	(void)ctx;
	return r && r->up;
}

static bool op_endpoint(void *ctx, const struct address *address, bool source,
			struct sockaddr_in6 *out)
{
	struct router *r = router_of(address);
	uint16_t port;

	if (!r)
		return false;
	port = !address_equal(address, &r->address) ? r->second_port :
	       r == ctx ? r->port : r->seen_port;
	uv_ip6_addr("::1", source ? 0 : port, out);
	return true;
}

static bool op_speaks_for(void *ctx, const struct sockaddr_in6 *source,
			  const struct address *claimed)
{
	(void)ctx;
	(void)source;
	return router_of(claimed);
}

/* Of the commons anybody with a route may be a member. */
static void op_members(void *ctx, const struct address *of,
		       void (*cb)(void *cb_ctx, const struct address *member), void *cb_ctx)
{
	bool everybody = address_equal(of, &flow_everybody()->address);

	for (int i = 0; i < ROUTERS; i++)
		if (&routers[i] != ctx && (everybody ? routers[i].up : routers[i].announced) &&
		    (everybody || address_equal(of, &space)))
			cb(cb_ctx, &routers[i].address);
}

static const struct flow_ops ops = {
	.secret = op_secret,
	.reachable = op_reachable,
	.endpoint = op_endpoint,
	.speaks_for = op_speaks_for,
	.members = op_members,
};

/* ---- life ---- */

void router_start(struct router *r, bool up)
{
	scratch_store(&r->store, &loop, r->dir);
	assert_int_equal(flow_new(&r->flow, &loop, r->store, &ops, r), 0);
	if (!up)
		return;
	r->up = true;
	assert_int_equal(flow_local_up(r->flow, &r->address), 0);
	for (int i = 0; i < ROUTERS; i++)
		if (routers[i].flow)
			flow_peer_reachable(routers[i].flow, &r->address);
}

void router_second_up(struct router *r)
{
	assert_int_equal(flow_local_up(r->flow, &r->second), 0);
	for (int i = 0; i < ROUTERS; i++)
		if (routers[i].flow)
			flow_peer_reachable(routers[i].flow, &r->second);
}

static void on_flow_closed(void *ctx)
{
	((struct router *)ctx)->closed = true;
}

void router_stop(struct router *r)
{
	if (!r->flow)
		return;
	flow_listen_stop(r->listener);
	r->listener = NULL;
	r->sent_before += flow_stats(r->flow)->blocks_sent;
	r->received_before += flow_stats(r->flow)->blocks_received;
	r->up = r->closed = false;
	flow_free(r->flow, on_flow_closed, r);
	r->flow = NULL;
	while (!r->closed)
		uv_run(&loop, UV_RUN_ONCE);
	store_close(r->store);
	uv_run(&loop, UV_RUN_NOWAIT);
}

int world_setup(void **state)
{
	(void)state;
	/* As ratmand does: libuv writes to connections that may just have been cut. */
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(uv_loop_init(&loop), 0);
	memset(routers, 0, sizeof(routers));
	crypto_sign_keypair(space.b, space_secret);
	for (int i = 0; i < ROUTERS; i++) {
		struct router *r = &routers[i];

		scratch_make(r->dir);
		crypto_sign_keypair(r->address.b, r->secret);
		crypto_sign_keypair(r->second.b, r->second_secret);
		for (int j = 0; j < CROWD; j++)
			crypto_sign_keypair(r->crowd[j].b, r->crowd_secret[j]);
		r->port = r->seen_port = scratch_port();
		r->second_port = scratch_port();
	}
	return 0;
}

static void on_walk(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

int world_teardown(void **state)
{
	(void)state;
	for (int i = 0; i < ROUTERS; i++) {
		router_stop(&routers[i]);
		scratch_remove(routers[i].dir);
	}
	uv_run(&loop, UV_RUN_NOWAIT);
	uv_walk(&loop, on_walk, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	return uv_loop_close(&loop);
}

void world_members_changed(void)
{
	for (int i = 0; i < ROUTERS; i++)
		if (routers[i].flow)
			flow_members_changed(routers[i].flow, &space);
}

/* ---- helpers ---- */

uint8_t pattern(uint64_t seed, uint64_t i)
{
	uint64_t x = (i / 8 + (seed << 40)) * 0x9e3779b97f4a7c15u;

	x = (x ^ x >> 31) * 0xbf58476d1ce4e5b9u;
	return (uint8_t)((x ^ x >> 27) >> 8 * (i % 8));
}

static void on_watchdog(uv_timer_t *timer)
{
	*(bool *)timer->data = true;
}

bool run_until(bool (*cond)(void *ctx), void *ctx, uint64_t ms)
{
	uv_timer_t *timer = malloc(sizeof(*timer));
	bool late = false;
	bool ok;

	uv_timer_init(&loop, timer);
	timer->data = &late;
	uv_timer_start(timer, on_watchdog, ms, 0);
	while (!(ok = cond(ctx)) && !late)
		uv_run(&loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)timer, (uv_close_cb)free);
	uv_run(&loop, UV_RUN_NOWAIT);
	return ok;
}

bool never(void *ctx)
{
	(void)ctx;
	return false;
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

size_t count(struct router *r, enum store_table table)
{
	size_t n = 0;

	assert_int_equal(store_each(r->store, table, count_one, &n), 0);
	return n;
}

bool outbox_empty(void *ctx)
{
	return !count(ctx, STORE_OUTBOX);
}

bool is_idle(void *ctx)
{
	struct router *r = ctx;

	return !flow_active(r->flow);
}

/* ---- a hostile peer ---- */

void hostile_send(struct hostile *h, const void *data, size_t len)
{
	assert_int_equal(send(h->fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
	for (int i = 0; i < 20; i++) {
		usleep(200);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
}

bool hostile_next(struct hostile *h, enum exchange_type type, struct exchange_message *m)
{
	for (int i = 0; i < 3000; i++) {
		size_t room;
		uint8_t *at;
		ssize_t n;

		while (exchange_next(&h->x, m) > 0)
			if (m->type == type)
				return true;
		at = exchange_space(&h->x, &room);
		n = recv(h->fd, at, room, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN))
			return false;
		if (n > 0)
			exchange_filled(&h->x, (size_t)n);
		else
			usleep(500);
		uv_run(&loop, UV_RUN_NOWAIT);
	}
	return false;
}

void hostile_start(struct hostile *h, struct router *as, struct router *to,
		   const struct address *of)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];
	struct exchange_message m;
	struct sockaddr_in6 at;

	h->fd = socket(AF_INET6, SOCK_STREAM, 0);
	h->as = as;
	h->to = to;
	h->of = *of;
	assert_int_equal(exchange_init(&h->x), 0);
	uv_ip6_addr("::1", to->port, &at);
	assert_int_equal(connect(h->fd, (struct sockaddr *)&at, sizeof(at)), 0);
	hostile_send(h, frame, exchange_put_hello(frame, &as->address, &to->address));
	assert_true(hostile_next(h, EXCHANGE_HELLO, &m));
	randombytes_buf(h->nonce, sizeof(h->nonce));
	hostile_send(h, frame, exchange_put_join(frame, &h->of, h->nonce));
}

void hostile_end(struct hostile *h)
{
	exchange_free(&h->x);
	close(h->fd);
	for (int i = 0; i < 10; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

void hostile_prove(struct hostile *h, const uint8_t *secret, const struct address *member)
{
	uint8_t frame[EXCHANGE_SMALL_MAX], sig[64], nonce[32];
	struct exchange_message m;

	assert_true(hostile_next(h, EXCHANGE_JOIN, &m));
	memcpy(nonce, m.join, sizeof(nonce));
	assert_true(hostile_next(h, EXCHANGE_PROVE, &m));
	assert_true(manifest_check_member(&h->of, &h->to->address, &h->as->address, h->nonce, nonce,
					  m.proof));
	manifest_sign_member(&h->of, secret, member, &h->to->address, nonce, h->nonce, sig);
	hostile_send(h, frame, exchange_put_prove(frame, &h->of, sig));
}

enum exchange_reason hostile_refusal(struct hostile *h)
{
	struct exchange_message m;

	assert_true(hostile_next(h, EXCHANGE_REFUSE, &m));
	return m.refuse;
}

size_t hostile_item(uint8_t *out, struct manifest *m, const uint8_t *secret)
{
	uint8_t sealed[MANIFEST_MAX];
	ssize_t len;

	if (!m->cap.block_size) {
		m->cap = (struct eris_capability){ .block_size = ERIS_BLOCK_SMALL, .level = 1 };
		randombytes_buf(m->cap.root_ref, sizeof(m->cap.root_ref));
	}
	if (!m->head.stream_size)
		m->head.stream_size = 5000;
	m->head.aux_len = 2;
	len = manifest_seal(m, secret, sealed);
	assert_true(len > 0);
	exchange_put_item(out, &m->head.to.address, (size_t)len);
	memcpy(out + EXCHANGE_ITEM_HEAD, sealed, (size_t)len);
	return EXCHANGE_ITEM_HEAD + (size_t)len;
}
