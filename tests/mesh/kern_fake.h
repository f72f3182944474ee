/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fake of kern.h: many routers' kernels in one process, joined by links, under a
 * virtual clock that also drives libuv's timers (the Makefile wraps uv_timer_start
 * and uv_timer_stop). Nothing sleeps, and the same random numbers give the same run.
 *
 * The state follows kmod/: keys of a neighbour with a previous one, liveness by ECHO,
 * routes with next hops, staged packets, sessions with previous, current and next
 * key. A tag is modelled by comparing the sender's tx key with the receiver's rx key,
 * a sealed packet likewise. Calls that the real door cannot serve (any request from
 * within a dump's callback) abort.
 */
#ifndef TESTS_MESH_KERN_FAKE_H
#define TESTS_MESH_KERN_FAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "ratmand/kern/kern.h"

struct fake_node;	/* the kernel of one router */
struct fake_link;

/* What can be made to fail. */
enum fake_call {
	FAKE_OPEN,
	FAKE_CLAIM,
	FAKE_NEIGH_SET,
	FAKE_ROUTE_SET,
	FAKE_ADDR_SET,
	FAKE_IP_ADD,
	FAKE_SESSION_SET,
	FAKE_FRAME_TX,
	FAKE_DUMP,
	FAKE_OTHER,		/* all the rest */
	FAKE_CALLS
};

/* Starts a world with the virtual clock at some time, or ends it and frees everything. */
void fake_begin(uv_loop_t *loop, uint64_t seed);
void fake_end(void);

/* A router's machine: module loaded, device ratman0 there, no link. */
struct fake_node *fake_node_new(void);

/* Whose kernel kern_open() opens from now on; timers remember who set them. */
void fake_enter(struct fake_node *node);

/* A link of two nodes; each gets an interface that is a link of its device. */
struct fake_link *fake_link_new(struct fake_node *a, struct fake_node *b);
/* One more node on a link, which makes a bus of it. */
void fake_link_join(struct fake_link *link, struct fake_node *node);
void fake_link_up(struct fake_link *link);
void fake_link_down(struct fake_link *link);
/* Frames vanish without loss of carrier; in percent. */
void fake_loss(struct fake_link *link, unsigned int percent);
void fake_delay(struct fake_link *link, uint64_t ms);
/* The MTU (1500) of the node's interface on @link. */
void fake_mtu(struct fake_node *node, struct fake_link *link, uint32_t mtu);
/* The node's interface on @link is taken from the device, or given back. */
void fake_remove_link(struct fake_node *node, struct fake_link *link);
void fake_restore_link(struct fake_node *node, struct fake_link *link);
/* Name (as for the configuration) and number of the node's interface on @link. */
const char *fake_link_name(struct fake_node *node, struct fake_link *link);
uint32_t fake_link_ifindex(struct fake_node *node, struct fake_link *link);

void fake_module(struct fake_node *node, bool loaded);
/* Takes the device away with everything in it; makes a new one (all interfaces its links). */
void fake_device_gone(struct fake_node *node);
void fake_device_new(struct fake_node *node);
/* The kernel forgets who claimed the device, as when the socket was closed. */
void fake_daemon_death(struct fake_node *node);
/* Events vanish from now on; with @end the daemon learns it by -ENOBUFS, once. */
void fake_overflow(struct fake_node *node, bool end);
/* The next @times calls fail with @err (negative); 0 times: no more. */
void fake_refuse(struct fake_node *node, enum fake_call call, int err, unsigned int times);
/* The kernel asks for new keys of all neighbours. */
void fake_rekey(struct fake_node *node);
/* An event to the daemon as it is. */
void fake_event(struct fake_node *node, const struct kern_event *ev);

/* Lets @ms pass. */
void fake_run(uint64_t ms);
/* Lets time pass until @done says so, @ms at most. Its last answer. */
bool fake_until(bool (*done)(void *ctx), void *ctx, uint64_t ms);

/*
 * A program sends a packet from @local to @peer (its number is returned, 0 when the
 * kernel refused it at once). It waits for a session if need be.
 */
uint32_t fake_packet(struct fake_node *node, const struct address *local,
		     const struct address *peer);
bool fake_delivered(uint32_t packet);

/*
 * Walks from @node to @dest over the next hops that the kernels would choose.
 * Number of hops, -1 for a loop, -2 for a dead end.
 */
int fake_walk(struct fake_node *node, const struct address *dest);

struct fake_counts {
	unsigned int delivered;
	unsigned int bad_tag;		/* no neighbour with such a key */
	unsigned int bad_key;		/* no session with such a key */
	unsigned int bad_inner;		/* inner addresses are not those of the session */
	unsigned int no_route;
	unsigned int hop_limit;		/* a loop */
	unsigned int link_frames;	/* LINK frames sent by daemons */
	unsigned int events_lost;
	unsigned int timer_calls;
};

extern struct fake_counts fake_counts;

/* What a kernel has. */
bool fake_attached(const struct fake_node *node);
size_t fake_n_neighs(const struct fake_node *node);
size_t fake_n_alive(const struct fake_node *node);
size_t fake_n_routes(const struct fake_node *node);
size_t fake_n_addrs(const struct fake_node *node);
size_t fake_n_ips(const struct fake_node *node);
size_t fake_n_sessions(const struct fake_node *node);
bool fake_has_addr(const struct fake_node *node, const struct address *address);
bool fake_has_route(const struct fake_node *node, const struct address *dest);
/* The path MTU of its first next hop, 0 when there is no route. */
uint32_t fake_route_mtu(struct fake_node *node, const struct address *dest);
/* Index of our session, 0 when there is none with a key. */
uint32_t fake_session_index(const struct fake_node *node, const struct address *local,
			    const struct address *peer);
/* True when it lets the peer in as a contact. */
bool fake_session_contact(const struct fake_node *node, const struct address *local,
			  const struct address *peer);
void fake_boot_id(const struct fake_node *node, uint8_t out[8]);
/* State that no daemon knows of, as somebody may have left it. */
void fake_put_addr(struct fake_node *node, const struct address *address);

#endif
