// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: route_input() of one core, with a second, honest core beside it.
 * Input: steps of {u8 what, u8 len low, u8 len high, bytes}. What & 7: 0 a frame as it
 * is; 1 items behind a correct channel header; 2 records of items signed anew; 3 time passes;
 * 4 link lost and back; 5 cost; 6 own record, or own presence where it is long enough for
 * one; 7 the honest core's frames pass.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/route/control.h"
#include "ratmand/route/route.h"

struct end {
	struct route_core *core;
	struct { uint8_t bytes[CONTROL_MTU_MAX]; size_t len; } q[32];
	unsigned int n;
	uint32_t epoch;			/* of core 0 towards the fuzzed neighbour */
};

static struct end ends[2];

static void op_send(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len)
{
	struct end *me = ctx, *other = me == &ends[0] ? &ends[1] : &ends[0];

	if (me == &ends[0] && neigh == 9) {
		memcpy(&me->epoch, bytes + 4, 4);
		return;
	}
	if (other->n == 32)
		return;
	memcpy(other->q[other->n].bytes, bytes, len);
	other->q[other->n++].len = len;
}

static void op_install(void *ctx, const struct address *address, const struct route_hop *hops,
		       size_t n, const uint8_t *cookie, size_t cookie_len)
{
	(void)ctx;
	(void)address;
	(void)hops;
	(void)cookie;
	if (n < 1 || n > ROUTE_HOPS_MAX || cookie_len != ROUTE_COOKIE_LEN)
		abort();
}

static void op_uninstall(void *ctx, const struct address *address)
{
	(void)ctx;
	(void)address;
}

static void op_want(void *ctx, const struct address *address, uint64_t sequence)
{
	(void)ctx;
	(void)address;
	(void)sequence;
}

/* Nearly every record passes, so that the table is reached. */
static bool op_verify(void *ctx, const uint8_t record[RECORD_LEN])
{
	(void)ctx;
	return record[RECORD_LEN - 1] != 0xff;
}

static bool op_verify_member(void *ctx, const uint8_t presence[PRESENCE_LEN])
{
	(void)ctx;
	return presence[PRESENCE_LEN - 1] != 0xff;
}

static void op_member(void *ctx, const struct address *space, const struct address *member, bool up)
{
	(void)ctx;
	(void)space;
	(void)member;
	(void)up;
}

static void count_member(void *ctx, const struct route_member_info *info)
{
	(void)info;
	++*(size_t *)ctx;
}

static const struct route_ops ops = {
	.send = op_send,
	.install = op_install,
	.uninstall = op_uninstall,
	.want_sequence = op_want,
	.verify = op_verify,
	.member = op_member,
	.verify_member = op_verify_member,
};

static void pass(uint64_t now)
{
	for (unsigned int i = 0; i < 2; i++) {
		unsigned int n = ends[i].n;

		for (unsigned int k = 0; k < n; k++)
			route_input(ends[i].core, now, 1, ends[i].q[k].bytes, ends[i].q[k].len);
		ends[i].n = 0;
	}
}

static void settle(uint64_t *now, uint64_t until)
{
	for (unsigned int turns = 0; turns < 200; turns++) {
		uint64_t a = route_deadline(ends[0].core), b = route_deadline(ends[1].core);
		uint64_t at = a < b ? a : b;

		if (at > until)
			break;
		if (at > *now)
			*now = at;
		route_tick(ends[0].core, *now);
		route_tick(ends[1].core, *now);
		pass(*now);
	}
	*now = until > *now ? until : *now;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct route_config cfg = { .seed = 1, .quota = 20, .max_addresses = 30,
				    .max_members = 12, .member_quota = 8 };
	uint64_t now = 1;
	uint32_t seq = 0;
	size_t addresses, bytes;

	memset(ends, 0, sizeof(ends));
	for (unsigned int i = 0; i < 2; i++) {
		ends[i].core = route_new(&cfg, &ops, &ends[i], now);
		if (!ends[i].core)
			abort();
		route_neigh_up(ends[i].core, now, 1, 10, 0);
	}
	route_neigh_up(ends[0].core, now, 9, 10, 0);
	settle(&now, 500);
	while (size >= 3) {
		uint8_t what = data[0], frame[CONTROL_MTU_MAX];
		size_t len = (size_t)(data[1] | (data[2] & 7) << 8);
		struct control_header h = { .flags = CONTROL_ADOPTED, .epoch = 77 };
		struct wire_writer w;

		data += 3;
		size -= 3;
		if (len > size)
			len = size;
		if (len > CONTROL_MTU_MAX - CONTROL_HEADER_LEN)
			len = CONTROL_MTU_MAX - CONTROL_HEADER_LEN;
		switch (what & 7) {
		case 0:
			route_input(ends[0].core, now, 9, data, len);
			break;
		case 1:
		case 2:
			h.seq = ++seq;
			h.ack = 1 + (what >> 3);
			h.flags |= (what & 7) == 2 ? CONTROL_HOLDS | CONTROL_GRACEFUL : 0;
			h.epoch += what >> 7;
			wire_write_init(&w, frame, sizeof(frame));
			control_put_header(&w, &h);
			memcpy(frame + 8, &ends[0].epoch, 4);
			wire_put(&w, data, len);
			route_input(ends[0].core, now, 9, frame, wire_len(&w));
			break;
		case 3:
			settle(&now, now + (what >> 3) * UINT64_C(997));
			break;
		case 4:
			route_neigh_down(ends[0].core, now, 9);
			route_neigh_up(ends[0].core, now, 9, 10, 0);
			settle(&now, now + 1);
			seq = 0;
			break;
		case 5:
			if (what & 16)
				route_neigh_mtu(ends[0].core, now, what & 8 ? 1 : 9,
						(what >> 5) * 300u);
			else
				route_neigh_cost(ends[0].core, now, what & 8 ? 1 : 9,
						 (uint16_t)(what << 7));
			break;
		case 6:
			if (len >= PRESENCE_LEN)
				route_member_add(ends[what >> 7].core, now, data);
			else if (len >= RECORD_LEN)
				route_local_add(ends[what >> 7].core, now, data);
			break;
		default:
			pass(now);
			break;
		}
		data += len;
		size -= len;
	}
	settle(&now, now + 40000);
	for (unsigned int i = 0; i < 2; i++) {
		route_usage(ends[i].core, &addresses, &bytes);
		if (addresses > 30 || bytes > 200000)
			abort();
		addresses = 0;
		route_members(ends[i].core, now, NULL, count_member, &addresses);
		if (addresses > 12)
			abort();
		route_free(ends[i].core);
	}
	return 0;
}
