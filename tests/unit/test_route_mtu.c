// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Path MTUs in the routing core: the bytes of PATH_MTU, and up to four cores that are
 * joined by links without loss, whose frames the tests can look at and change.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/route/control.h"
#include "ratmand/route/route.h"

#define CORES 4
#define QUEUE 1024

struct net;

struct router {
	struct net *net;
	unsigned int index;
	struct route_core *core;
	struct address address;
	uint8_t secret[64];
	bool old;			/* neither says PATH_MTU nor understands it */
	/* As the kernel has it, by destination. */
	struct route_hop hops[CORES][ROUTE_HOPS_MAX];
	size_t n_hops[CORES];
	unsigned int uninstalls;
};

struct frame {
	unsigned int from, to;
	size_t len;
	uint8_t bytes[CONTROL_MTU_MAX];
};

struct net {
	uint64_t now;
	struct router router[CORES];
	struct frame *queue;		/* QUEUE of them */
	unsigned int n;
	unsigned int mtu_items;		/* PATH_MTU on the links */
};

static unsigned int index_of(const struct net *net, const struct address *address)
{
	for (unsigned int i = 0; i < CORES; i++)
		if (address_equal(&net->router[i].address, address))
			return i;
	fail();
	return 0;
}

/* Counts PATH_MTU in a payload; with @strip it goes. New length. */
static size_t look(struct net *net, uint8_t *bytes, size_t len, bool strip)
{
	size_t at = CONTROL_HEADER_LEN, out = at;

	while (at < len) {
		size_t tlv = CONTROL_TLV_LEN + (size_t)(bytes[at + 1] << 8 | bytes[at + 2]);
		bool mtu = bytes[at] == CONTROL_PATH_MTU;

		net->mtu_items += mtu && !strip;
		if (!mtu || !strip) {
			memmove(bytes + out, bytes + at, tlv);
			out += tlv;
		}
		at += tlv;
	}
	return out;
}

static void op_send(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len)
{
	struct router *r = ctx;
	struct net *net = r->net;
	struct frame *f = &net->queue[net->n];

	assert_true(net->n < QUEUE && neigh < CORES && len <= ROUTE_MTU_DEFAULT);
	net->n++;
	f->from = r->index;
	f->to = neigh;
	memcpy(f->bytes, bytes, len);
	f->len = look(net, f->bytes, len, r->old || net->router[neigh].old);
}

static void op_install(void *ctx, const struct address *address, const struct route_hop *hops,
		       size_t n, const uint8_t *cookie, size_t cookie_len)
{
	struct router *r = ctx;
	unsigned int to = index_of(r->net, address);

	(void)cookie;
	assert_int_equal(cookie_len, ROUTE_COOKIE_LEN);
	assert_in_range(n, 1, ROUTE_HOPS_MAX);
	for (size_t i = 0; i < n; i++)
		assert_in_range(hops[i].mtu, ROUTE_PATH_MTU_MIN, UINT16_MAX);
	memcpy(r->hops[to], hops, n * sizeof(*hops));
	r->n_hops[to] = n;
}

static void op_uninstall(void *ctx, const struct address *address)
{
	struct router *r = ctx;

	r->n_hops[index_of(r->net, address)] = 0;
	r->uninstalls++;
}

static void announce(struct router *r, uint64_t sequence)
{
	uint8_t bytes[RECORD_LEN];

	assert_int_equal(record_build(bytes, r->secret, sequence, 86400, 0), 0);
	assert_int_equal(route_local_add(r->core, r->net->now, bytes), 0);
}

static void op_want(void *ctx, const struct address *address, uint64_t sequence)
{
	struct router *r = ctx;

	assert_true(address_equal(&r->address, address));
	announce(r, sequence);
}

static void run(struct net *net, uint64_t ms)
{
	uint64_t until = net->now + ms;

	for (; net->now < until; net->now++) {
		for (unsigned int i = 0; i < CORES; i++)
			if (route_deadline(net->router[i].core) <= net->now)
				route_tick(net->router[i].core, net->now);
		for (unsigned int i = 0; i < net->n; i++) {
			const struct frame *f = &net->queue[i];

			route_input(net->router[f->to].core, net->now, f->from, f->bytes, f->len);
		}
		net->n = 0;
	}
}

static void join(struct net *net, unsigned int a, unsigned int b, uint16_t cost)
{
	assert_int_equal(route_neigh_up(net->router[a].core, net->now, b, cost, 0), 0);
	assert_int_equal(route_neigh_up(net->router[b].core, net->now, a, cost, 0), 0);
}

/* What @at's interface on the link to @to has. */
static void set_mtu(struct net *net, unsigned int at, unsigned int to, uint32_t mtu)
{
	assert_int_equal(route_neigh_mtu(net->router[at].core, net->now, to, mtu), 0);
}

static void set_both(struct net *net, unsigned int a, unsigned int b, uint32_t mtu)
{
	set_mtu(net, a, b, mtu);
	set_mtu(net, b, a, mtu);
}

/* MTU of the first next hop, 0 without a route. */
static unsigned int mtu_of(const struct net *net, unsigned int from, unsigned int to)
{
	const struct router *r = &net->router[from];

	return r->n_hops[to] ? r->hops[to][0].mtu : 0;
}

static void new_core(struct router *r)
{
	static const struct route_ops ops = {
		.send = op_send, .install = op_install, .uninstall = op_uninstall,
		.want_sequence = op_want,
	};
	const struct route_config cfg = { .seed = r->index + 1 };

	r->core = route_new(&cfg, &ops, r, r->net->now);
	assert_non_null(r->core);
	announce(r, r->net->now);
}

static int setup(void **state)
{
	struct net *net = calloc(1, sizeof(*net));

	if (sodium_init() < 0 || !net)
		return -1;
	net->queue = calloc(QUEUE, sizeof(*net->queue));
	net->now = 1000;
	for (unsigned int i = 0; i < CORES; i++) {
		struct router *r = &net->router[i];

		r->net = net;
		r->index = i;
		crypto_sign_keypair(r->address.b, r->secret);
		new_core(r);
	}
	*state = net;
	return 0;
}

static int teardown(void **state)
{
	struct net *net = *state;

	for (unsigned int i = 0; i < CORES; i++)
		route_free(net->router[i].core);
	free(net->queue);
	free(net);
	return 0;
}

/* 0 - 1 - 2 - 3 */
static void line(struct net *net)
{
	for (unsigned int i = 0; i + 1 < CORES; i++)
		join(net, i, i + 1, 100);
	run(net, 1000);
	for (unsigned int i = 0; i < CORES; i++)
		for (unsigned int j = 0; j < CORES; j++)
			assert_int_equal(mtu_of(net, i, j), i == j ? 0 : 1500);
}

/* ---- bytes ---- */

static void put_tlv(struct wire_writer *w, uint8_t type, const void *value, uint16_t len)
{
	wire_put_u8(w, type);
	wire_put_be16(w, len);
	wire_put(w, value, len);
}

/* It holds for what is behind it in the message, until the next one. */
static void bytes_in(void **state)
{
	static struct control_message m;
	uint8_t buf[1024], update[CONTROL_UPDATE_LEN] = { 1 }, record[CONTROL_RECORD_LEN] = { 0 };
	const uint8_t small[] = { 0x05, 0x78 }, large[] = { 0x23, 0x28 }, none[] = { 0, 0 };
	struct wire_writer w;

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	put_tlv(&w, CONTROL_UPDATE, update, sizeof(update));
	put_tlv(&w, 11, small, 2);
	put_tlv(&w, CONTROL_UPDATE, update, sizeof(update));
	put_tlv(&w, 200, "future", 6);
	put_tlv(&w, CONTROL_RECORD, record, sizeof(record));
	put_tlv(&w, 11, large, 2);
	put_tlv(&w, CONTROL_RECORD, record, sizeof(record));
	put_tlv(&w, CONTROL_UPDATE, update, sizeof(update));
	assert_int_equal(control_parse_items(buf, wire_len(&w), &m), CONTROL_OK);
	assert_int_equal(m.n_items, 5);
	assert_int_equal(m.n_unknown, 1);
	assert_int_equal(m.items[0].update.mtu, 1500);
	assert_int_equal(m.items[1].update.mtu, 1400);
	assert_int_equal(m.items[2].record.mtu, 1400);
	assert_int_equal(m.items[3].record.mtu, 9000);
	assert_int_equal(m.items[4].update.mtu, 9000);
	/* And not for the next message. */
	wire_write_init(&w, buf, sizeof(buf));
	put_tlv(&w, CONTROL_UPDATE, update, sizeof(update));
	assert_int_equal(control_parse_items(buf, wire_len(&w), &m), CONTROL_OK);
	assert_int_equal(m.items[0].update.mtu, 1500);

	for (uint16_t len = 0; len < 5; len++) {
		wire_write_init(&w, buf, sizeof(buf));
		put_tlv(&w, 11, "\5\170\5\170", len);
		assert_int_equal(control_parse_items(buf, wire_len(&w), &m),
				 len == 2 ? CONTROL_OK : CONTROL_TRUNCATED);
	}
	wire_write_init(&w, buf, sizeof(buf));
	put_tlv(&w, 11, none, 2);
	assert_int_equal(control_parse_items(buf, wire_len(&w), &m), CONTROL_MALFORMED);
}

/* Said when it changes, and never without what it is about. */
static void bytes_out(void **state)
{
	static struct control_message m;
	const uint8_t id[RECORD_ID_LEN] = { 1, 2, 3 };
	const uint16_t mtus[] = { 1500, 1500, 1400, 1400, 1500, 1360 };
	struct control_run run_state = { .type = CONTROL_UPDATE };
	struct wire_writer w;
	uint8_t buf[256];

	(void)state;
	wire_write_init(&w, buf, sizeof(buf));
	for (unsigned int i = 0; i < 6; i++) {
		assert_true(control_put_path_mtu(&w, &run_state, mtus[i],
						 CONTROL_TLV_LEN + CONTROL_UPDATE_LEN));
		assert_true(control_put_update(&w, &run_state, id, (uint16_t)i));
	}
	/* Four runs of updates, and an MTU before each but the first. */
	assert_int_equal(wire_len(&w), 4 * CONTROL_TLV_LEN + 6 * CONTROL_UPDATE_LEN + 3 * 5);
	assert_int_equal(control_parse_items(buf, wire_len(&w), &m), CONTROL_OK);
	assert_int_equal(m.n_items, 6);
	for (unsigned int i = 0; i < 6; i++) {
		assert_int_equal(m.items[i].update.mtu, mtus[i]);
		assert_int_equal(m.items[i].update.metric, i);
	}
	for (size_t size = 0; size < 5 + CONTROL_TLV_LEN + CONTROL_UPDATE_LEN; size++) {
		memset(&run_state, 0, sizeof(run_state));
		wire_write_init(&w, buf, size);
		assert_false(control_put_path_mtu(&w, &run_state, 1400,
						  CONTROL_TLV_LEN + CONTROL_UPDATE_LEN));
		assert_int_equal(wire_len(&w), 0);
	}
}

/* ---- routers ---- */

/* Where every link has the usual MTU nothing is said about it. */
static void costs_nothing(void **state)
{
	struct net *net = *state;

	line(net);
	run(net, 200000);
	assert_int_equal(net->mtu_items, 0);
}

/* A small link in the middle is known at both ends, and what becomes of it. No route is lost. */
static void spreads(void **state)
{
	static const uint32_t mtus[] = { 1400, 1399, 1360, 1400, 1500, 9000 };
	struct net *net = *state;

	line(net);
	for (unsigned int k = 0; k < sizeof(mtus) / sizeof(mtus[0]); k++) {
		uint32_t mtu = mtus[k], path = mtu < 1500 ? mtu : 1500;

		set_both(net, 1, 2, mtu);
		run(net, 500);
		for (unsigned int i = 0; i < 2; i++)
			for (unsigned int j = 2; j < 4; j++) {
				unsigned int expected = i == 1 && j == 2 ? mtu : path;

				assert_int_equal(mtu_of(net, i, j), expected);
				assert_int_equal(mtu_of(net, j, i), expected);
			}
		assert_int_equal(mtu_of(net, 0, 1), 1500);
		assert_int_equal(mtu_of(net, 3, 2), 1500);
	}
	for (unsigned int i = 0; i < CORES; i++) {
		struct route_info info;

		assert_int_equal(net->router[i].uninstalls, 0);
		assert_int_equal(route_stats(net->router[i].core)->resyncs, 0);
		if (i == 0)
			continue;
		assert_int_equal(route_get(net->router[0].core, net->now, &net->router[i].address,
					   &info), 0);
		assert_int_equal(info.hops[0].mtu, mtu_of(net, 0, i));
	}
}

/* Frames have to fit at either end of a link: the smaller one counts, also one hop away. */
static void ends_differ(void **state)
{
	struct net *net = *state;

	line(net);
	set_mtu(net, 2, 1, 1420);
	run(net, 500);
	for (unsigned int i = 0; i < 2; i++)
		for (unsigned int j = 2; j < 4; j++) {
			assert_int_equal(mtu_of(net, i, j), 1420);
			assert_int_equal(mtu_of(net, j, i), 1420);
		}
}

static void large_links(void **state)
{
	struct net *net = *state;

	line(net);
	for (unsigned int i = 0; i + 1 < CORES; i++)
		set_both(net, i, i + 1, 9000 + i);
	run(net, 500);
	assert_int_equal(mtu_of(net, 0, 3), 9000);
	assert_int_equal(mtu_of(net, 3, 0), 9000);
	assert_int_equal(mtu_of(net, 1, 3), 9001);
	/* More than an IPv6 packet can have, and what is no MTU. */
	set_both(net, 2, 3, 100000);
	run(net, 500);
	assert_int_equal(mtu_of(net, 2, 3), UINT16_MAX);
	set_both(net, 2, 3, 0);
	run(net, 500);
	assert_int_equal(mtu_of(net, 2, 3), UINT16_MAX);
	assert_int_equal(route_neigh_mtu(net->router[0].core, net->now, 3, 1400), -ENOENT);
}

/* What cannot carry a packet of 1280 bytes is no route; a worse path that can is. */
static void too_small(void **state)
{
	struct net *net = *state;
	struct route_neigh_info info;

	line(net);
	set_both(net, 1, 2, 1359);
	run(net, 20000);
	assert_int_equal(mtu_of(net, 0, 3), 0);
	assert_int_equal(mtu_of(net, 1, 2), 0);
	assert_int_equal(mtu_of(net, 2, 1), 0);
	assert_int_equal(mtu_of(net, 0, 1), 1500);
	assert_int_equal(mtu_of(net, 2, 3), 1500);
	assert_int_equal(route_neigh_get(net->router[1].core, 2, &info), 0);
	assert_int_equal(info.mtu, 1359);
	/* A long way round. */
	join(net, 0, 3, 5000);
	run(net, 20000);
	assert_int_equal(mtu_of(net, 0, 3), 1500);
	assert_int_equal(mtu_of(net, 1, 2), 1500);
	assert_int_equal(net->router[1].hops[2][0].neigh, 0);
	set_both(net, 1, 2, 1360);
	run(net, 20000);
	assert_int_equal(mtu_of(net, 1, 2), 1360);
	assert_int_equal(net->router[1].hops[2][0].neigh, 2);
}

/* Only the far end knows that it is too small. */
static void too_small_there(void **state)
{
	struct net *net = *state;

	line(net);
	set_mtu(net, 2, 1, 1359);
	run(net, 20000);
	assert_int_equal(mtu_of(net, 1, 2), 0);
	assert_int_equal(mtu_of(net, 0, 3), 0);
	assert_int_equal(mtu_of(net, 3, 0), 0);
	assert_true(route_stats(net->router[1].core)->narrow > 0);
	set_mtu(net, 2, 1, 1500);
	run(net, 20000);
	assert_int_equal(mtu_of(net, 0, 3), 1500);
	assert_int_equal(mtu_of(net, 3, 0), 1500);
}

/* Each next hop has the MTU of its own path. */
static void spare(void **state)
{
	struct net *net = *state;
	const struct router *r = &net->router[0];

	/* 0 - 1 - 3 and, worse, 0 - 2 - 3 */
	join(net, 0, 1, 100);
	join(net, 1, 3, 100);
	join(net, 0, 2, 150);
	join(net, 2, 3, 150);
	set_both(net, 2, 3, 1400);
	run(net, 20000);
	assert_int_equal(r->n_hops[3], 2);
	assert_int_equal(r->hops[3][0].neigh, 1);
	assert_int_equal(r->hops[3][0].mtu, 1500);
	assert_int_equal(r->hops[3][1].neigh, 2);
	assert_int_equal(r->hops[3][1].mtu, 1400);
	/* The better path is lost: its MTU is that of the other one, and the neighbours hear it. */
	route_neigh_down(r->core, net->now, 1);
	route_neigh_down(net->router[1].core, net->now, 0);
	run(net, 20000);
	assert_int_equal(mtu_of(net, 0, 3), 1400);
	assert_int_equal(mtu_of(net, 2, 1), 1400);
}

/* A router from before: what it passes on counts as 1500, or less where the link is smaller. */
static void old_router(void **state)
{
	struct net *net = *state;

	net->router[1].old = true;
	line(net);
	set_both(net, 2, 3, 1400);
	run(net, 1000);
	assert_int_equal(mtu_of(net, 1, 3), 1500);
	assert_int_equal(mtu_of(net, 0, 3), 1500);
	assert_int_equal(mtu_of(net, 2, 3), 1400);
	set_both(net, 0, 1, 9000);
	run(net, 1000);
	assert_int_equal(mtu_of(net, 0, 3), 1500);
	set_mtu(net, 0, 1, 1420);
	run(net, 1000);
	assert_int_equal(mtu_of(net, 0, 3), 1420);
	/* Nobody takes the other for out of step. */
	run(net, 200000);
	for (unsigned int i = 0; i < CORES; i++)
		assert_int_equal(route_stats(net->router[i].core)->resyncs, 0);
}

/* After a restart: what the kernel kept is in use as it was, until it is confirmed. */
static void restart(void **state)
{
	struct net *net = *state;
	struct router *r = &net->router[0];
	struct route_info info;

	line(net);
	set_both(net, 1, 2, 1400);
	run(net, 1000);
	assert_int_equal(route_get(r->core, net->now, &net->router[3].address, &info), 0);
	route_free(r->core);
	new_core(r);
	r->uninstalls = 0;
	assert_int_equal(route_neigh_up(r->core, net->now, 1, 100, 0), 0);
	assert_int_equal(route_restore(r->core, net->now, &net->router[3].address,
				       info.fd_sequence, info.fd_metric, info.hops, 1), 0);
	assert_int_equal(mtu_of(net, 0, 3), 1400);
	/* The link has become smaller meanwhile: that counts at once. */
	set_mtu(net, 0, 1, 1390);
	assert_int_equal(mtu_of(net, 0, 3), 1390);
	set_mtu(net, 0, 1, 1500);
	run(net, 2000);
	assert_int_equal(mtu_of(net, 0, 3), 1400);
	assert_int_equal(mtu_of(net, 0, 2), 1400);
	assert_int_equal(mtu_of(net, 0, 1), 1500);
	assert_int_equal(r->uninstalls, 0);
	assert_int_equal(mtu_of(net, 3, 0), 1400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_in),
		cmocka_unit_test(bytes_out),
		cmocka_unit_test_setup_teardown(costs_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(spreads, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(large_links, setup, teardown),
		cmocka_unit_test_setup_teardown(too_small, setup, teardown),
		cmocka_unit_test_setup_teardown(too_small_there, setup, teardown),
		cmocka_unit_test_setup_teardown(spare, setup, teardown),
		cmocka_unit_test_setup_teardown(old_router, setup, teardown),
		cmocka_unit_test_setup_teardown(restart, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
