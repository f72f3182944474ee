/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The door to the kernel: generic netlink family "ratman" and the few
 * rtnetlink calls around it. The only user of libnl.
 *
 * Requests are answered by the kernel at once, so all calls are synchronous.
 * Errors are negative errno; kern_why() then has the kernel's own sentence.
 */
#ifndef RATMAND_KERN_KERN_H
#define RATMAND_KERN_KERN_H

#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/ratman.h>
#include <ratman/frame.h>

#include "base/address.h"

struct kern;

struct kern_dev {
	uint32_t ifindex;
	char name[IFNAMSIZ];
	struct address router;		/* zero before the first kern_claim() */
	uint8_t boot_id[8];
	bool claimed;			/* a daemon is attached */
	uint32_t neighs, routes, addrs, sessions;
};

struct kern_link {
	uint32_t ifindex;
	char name[IFNAMSIZ];
	uint32_t mtu;
	enum ratman_link_state state;
	uint32_t neighs;
	uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes;
};

struct kern_neigh {
	uint32_t link;			/* ifindex */
	uint8_t lladdr[6];
	struct address router;
	uint32_t index;			/* ours */
	uint32_t peer_index;
	uint8_t rx_key[RATMAN_SIPHASH_KEY_LEN];	/* in kern_neigh_set() only */
	uint8_t tx_key[RATMAN_SIPHASH_KEY_LEN];
	bool initiator;
	enum ratman_neigh_state state;
	uint8_t boot_id[8];
	uint32_t rtt_us;		/* 0: not measured yet */
	uint32_t loss;			/* 0 to 65535 */
	uint32_t silent_ms;
	uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes;
	uint64_t age_ms;
	bool rekey;			/* in events: new keys are wanted */
};

struct kern_hop {
	uint32_t neigh;			/* our index of the neighbour */
	uint32_t metric;
	uint32_t mtu;			/* largest frame that gets all the way through it; 0: not known */
};

struct kern_route {
	struct address dest;
	struct in6_addr ipv6;
	struct kern_hop hops[RATMAN_ROUTE_HOPS_MAX];
	size_t n_hops;
	uint32_t expires_ms;		/* 0: never */
	uint8_t cookie[RATMAN_COOKIE_MAX];
	size_t cookie_len;
};

struct kern_addr {
	struct address address;
	struct in6_addr ipv6;
	enum ratman_policy policy;
};

struct kern_session {
	struct address local, peer;
	struct in6_addr local_ipv6, peer_ipv6;
	uint32_t index, peer_index;
	uint8_t rx_key[RATMAN_SESSION_KEY_LEN];	/* in kern_session_set() only */
	uint8_t tx_key[RATMAN_SESSION_KEY_LEN];
	bool initiator;
	bool contact;
	uint64_t age_ms, idle_ms;
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
	uint32_t staged;
};

/* A LINK, CONTROL or HANDSHAKE frame; which fields count depends on the type. */
struct kern_frame {
	enum ratman_frame_type type;
	uint32_t link;
	uint8_t lladdr[6];
	uint32_t neigh;
	struct address dest;
	const uint8_t *body;		/* borrowed */
	size_t len;
};

struct kern_event {
	enum ratman_cmd cmd;		/* FRAME_RX, CANDIDATE_NTF, NEIGH_NTF, LINK_NTF, SESSION_WANT */
	uint32_t ifindex;		/* of the mesh device */
	union {
		struct kern_frame frame;
		struct kern_neigh neigh;
		struct kern_link link;
		struct kern_session session;
	};
};

typedef void (*kern_event_cb)(void *ctx, const struct kern_event *event);

/*
 * Connects to the module. -ENOENT: it is not loaded (or not in this kernel);
 * @why (borrowed, size bytes) gets a sentence with what to do.
 */
int kern_open(struct kern **out, char *why, size_t size);
void kern_close(struct kern *kern);

/* The sentence for the last error, never NULL; valid until the next call. */
const char *kern_why(const struct kern *kern);

/* The version of the module's netlink family: RATMAN_FAMILY_VERSION of its time. */
uint32_t kern_version(const struct kern *kern);

/* A file descriptor that becomes readable when kern_dispatch() has work. */
int kern_fd(const struct kern *kern);

/*
 * Hands every waiting event to @cb, without blocking. -ENOBUFS when the kernel
 * had to drop some (read the state again); -EBADMSG for what could not be parsed.
 */
int kern_dispatch(struct kern *kern, kern_event_cb cb, void *ctx);

/* Joins the multicast group of events, for monitors. */
int kern_subscribe(struct kern *kern);

/* Finds a mesh device by name, or the only one when @name is NULL. -ENODEV. */
int kern_dev_find(struct kern *kern, const char *name, struct kern_dev *out);

/*
 * Names the router and makes frames and events come to this socket until it
 * closes. -EBUSY when another daemon holds the device.
 */
int kern_claim(struct kern *kern, uint32_t ifindex, const struct address *router,
	       const uint8_t boot_id[8]);

int kern_neigh_set(struct kern *kern, uint32_t ifindex, const struct kern_neigh *neigh);
int kern_neigh_del(struct kern *kern, uint32_t ifindex, uint32_t link,
		   const struct address *router);
/* A module before version 2 gets it without path MTUs. */
int kern_route_set(struct kern *kern, uint32_t ifindex, const struct kern_route *route);
int kern_route_del(struct kern *kern, uint32_t ifindex, const struct address *dest);
int kern_addr_set(struct kern *kern, uint32_t ifindex, const struct kern_addr *addr);
int kern_addr_del(struct kern *kern, uint32_t ifindex, const struct address *address);
int kern_session_set(struct kern *kern, uint32_t ifindex, const struct kern_session *session);
/* Only says whether the peer is a contact; keys and indices of @session do not count. */
int kern_session_contact(struct kern *kern, uint32_t ifindex, const struct kern_session *session);
int kern_session_del(struct kern *kern, uint32_t ifindex, const struct address *local,
		     const struct address *peer);
int kern_frame_tx(struct kern *kern, uint32_t ifindex, const struct kern_frame *frame);

/*
 * Dumps; each record is borrowed for the call of @cb, which must not call
 * anything of this header: an answer would be read in the middle of the dump.
 */
typedef void (*kern_dev_cb)(void *ctx, const struct kern_dev *dev);
typedef void (*kern_link_cb)(void *ctx, const struct kern_link *link);
typedef void (*kern_neigh_cb)(void *ctx, const struct kern_neigh *neigh);
typedef void (*kern_route_cb)(void *ctx, const struct kern_route *route);
typedef void (*kern_addr_cb)(void *ctx, const struct kern_addr *addr);
typedef void (*kern_session_cb)(void *ctx, const struct kern_session *session);
typedef void (*kern_stat_cb)(void *ctx, const char *name, uint64_t value);

int kern_devs(struct kern *kern, kern_dev_cb cb, void *ctx);
int kern_links(struct kern *kern, uint32_t ifindex, kern_link_cb cb, void *ctx);
int kern_neighs(struct kern *kern, uint32_t ifindex, kern_neigh_cb cb, void *ctx);
int kern_routes(struct kern *kern, uint32_t ifindex, kern_route_cb cb, void *ctx);
int kern_addrs(struct kern *kern, uint32_t ifindex, kern_addr_cb cb, void *ctx);
int kern_sessions(struct kern *kern, uint32_t ifindex, kern_session_cb cb, void *ctx);
int kern_stats(struct kern *kern, uint32_t ifindex, kern_stat_cb cb, void *ctx);

/* rtnetlink: puts an address (with /@prefix_len, no DAD) on the device, or takes it away. */
int kern_ip_add(struct kern *kern, uint32_t ifindex, const struct in6_addr *ip);
int kern_ip_del(struct kern *kern, uint32_t ifindex, const struct in6_addr *ip);

/* True when the address is on the device. */
bool kern_ip_has(struct kern *kern, uint32_t ifindex, const struct in6_addr *ip);

/* The route 2001:20::/28 to the device. 0 also when it is there already. */
int kern_prefix_route(struct kern *kern, uint32_t ifindex);

/* Makes a mesh device. */
int kern_dev_create(struct kern *kern, const char *name);

/* Sets the device up. */
int kern_dev_up(struct kern *kern, uint32_t ifindex);

/* Makes the interface @link a link of the mesh device, or (0) of none. */
int kern_link_master(struct kern *kern, uint32_t link, uint32_t ifindex);

#endif
