/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A routing core and its neighbours, what tests of route/ share: bytes in, ops out. The peers
 * are hand-made: they speak the channel just far enough to send exactly what a test wants.
 * Include <cmocka.h> before.
 */
#ifndef TESTS_UNIT_ROUTE_WORLD_H
#define TESTS_UNIT_ROUTE_WORLD_H

#include "ratmand/route/control.h"
#include "ratmand/route/route.h"

#define PEERS 3
#define KEYS 8

struct key {
	struct address address;
	uint8_t secret[64];
};

struct peer {
	uint32_t epoch, core_epoch, seq, rx_next;
	uint8_t flags;			/* added to what it sends */
	bool mute;			/* acknowledges nothing */
	/* What it heard. */
	unsigned int frames, records, updates, retractions, wants, seqreqs, digests, resyncs, ends;
	uint8_t last_record[RECORD_LEN], last_id[RECORD_ID_LEN], want[RECORD_ID_LEN];
	uint16_t last_metric;
	uint64_t seqreq_sequence;
	uint8_t seqreq_hops, core_flags;
	uint32_t core_ack;
	unsigned int presences, sums, member_asks;
	uint8_t last_presence[PRESENCE_LEN];
	uint32_t last_remaining;
	uint16_t member_ask;
};

struct world {
	struct route_core *core;
	uint64_t now;
	struct peer peer[PEERS];
	struct key key[KEYS];
	/* Last ops. */
	unsigned int installs, uninstalls, seens, asks;
	struct route_hop hops[ROUTE_HOPS_MAX];
	size_t n_hops;
	uint8_t cookie[ROUTE_COOKIE_LEN];
	struct address ask_address;
	uint64_t ask_sequence, seen_sequence;
	unsigned int joined, left, member_wants;
	uint64_t member_want;
	uint8_t out[PEERS][64][CONTROL_MTU_MAX];	/* frames on their way to peers */
	size_t out_len[PEERS][64];
	unsigned int n_out[PEERS];
};

/* The frame that is being written. */
struct message {
	uint8_t bytes[CONTROL_MTU_MAX];
	struct wire_writer w;
	struct control_run run;
};

extern struct message msg;
extern const struct route_ops world_ops;

/* A core without neighbours; @cfg NULL for the defaults. To be ended by route_free and free. */
struct world *world_new(const struct route_config *cfg);

/* cmocka's setup and teardown: *@state is a world with peers 0 and 1. */
int core_setup(void **state);
int core_teardown(void **state);
#define T(f) cmocka_unit_test_setup_teardown(f, core_setup, core_teardown)

/* Time passes; peers read and acknowledge what comes. */
void world_run(struct world *w, uint64_t ms);

/* Peer @i is there, or there again, and has no routes. */
void peer_join(struct world *w, unsigned int i, uint16_t cost);

/* Begins a frame of a peer: with this sequence, or the next one; and sends it. */
void peer_begin(struct peer *p, uint32_t seq);
void peer_start(struct world *w, unsigned int i);
void peer_deliver(struct world *w, unsigned int i);
void peer_ack(struct world *w, unsigned int i);

/* A record of one of the keys: into the frame, or in one of its own. */
void put_record(struct world *w, unsigned int key, uint64_t seq, uint16_t metric,
		uint32_t life, uint8_t flags);
void send_record(struct world *w, unsigned int i, unsigned int key, uint64_t seq,
		 uint16_t metric);
void send_update(struct world *w, unsigned int i, unsigned int key, uint64_t seq,
		 uint16_t metric);
void id_of(struct world *w, unsigned int key, uint64_t seq, uint8_t id[RECORD_ID_LEN]);

const struct route_stats *core_stats(const struct world *w);
struct route_info core_info(struct world *w, unsigned int key);

/* An address of the core's own; @expect is what it says. */
void local_add(struct world *w, unsigned int key, uint64_t seq, uint8_t flags, int expect);

#endif
