/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What kern_fake.c (kernels and links), fake_session.c, fake_hand.c (what tests do to them),
 * kern_door.c (kern.h) and fake_clock.c share.
 */
#ifndef TESTS_MESH_FAKE_PRIV_H
#define TESTS_MESH_FAKE_PRIV_H

#include "mesh/kern_fake.h"

#define MAX_PORTS 160
#define MAX_NEIGHS 160
#define MAX_ADDRS 64
#define MAX_STAGED 64

struct fake_link {
	struct fake_link *next;
	struct fake_node *member[MAX_PORTS];
	uint8_t port[MAX_PORTS];
	size_t n;
	bool up;
	unsigned int loss;
	uint64_t delay;
};

struct port {
	struct fake_link *link;
	uint32_t ifindex;
	char name[16];
	uint8_t mac[6];
	bool slave;
	uint32_t mtu;
	uint64_t hello_at;
};

struct key {
	uint32_t index, peer_index;
	uint8_t rx[16], tx[16];
	uint8_t mac[6];
	bool set, initiator, used;
	uint64_t born, last_use;
};

struct neigh {
	bool set;
	uint32_t serial;
	unsigned int port;
	struct address router;
	uint8_t boot_id[8];
	struct key cur, prev;
	bool tx_prev;			/* send with prev, cur is not proven */
	enum ratman_neigh_state state;
	uint64_t heard_at, echo_at, told_at;
};

struct route {
	struct kern_route r;
	uint32_t hop[RATMAN_ROUTE_HOPS_MAX];	/* serials of neighbours */
	uint64_t expires;
};

struct skey {
	uint32_t index, peer_index;
	uint8_t rx[32], tx[32];
	bool set, initiator;
	uint64_t born;
};

struct session {
	struct kern_session s;
	struct skey cur, prev, next;
	uint32_t staged[MAX_STAGED];
	size_t n_staged;
	uint64_t staged_at, want_at, used_at;
};

struct event {
	struct event *next;
	struct kern_event ev;
	uint8_t body[RATMAN_OPAQUE_MAX];
};

struct refusal {
	int err;
	unsigned int times;
};

struct fake_node {
	unsigned int number;
	bool module, dev;
	uint32_t dev_ifindex;
	bool dev_up, prefix;
	struct address router;
	uint8_t boot_id[8];
	bool ident;
	struct kern *owner;
	struct port ports[MAX_PORTS];
	size_t n_ports;
	struct neigh neighs[MAX_NEIGHS];
	struct route *routes;
	size_t n_routes, cap_routes;
	struct kern_addr addrs[MAX_ADDRS];
	size_t n_addrs;
	struct in6_addr ips[MAX_ADDRS];
	size_t n_ips;
	struct session *sessions;
	size_t n_sessions, cap_sessions;
	struct event *first, **last;
	bool losing, overflow;
	struct refusal refuse[FAKE_CALLS];
};

struct kern {
	struct fake_node *node;
	int fd;
	bool in_dump;
	char why[128];
};

enum frame_kind { F_HELLO, F_LINK, F_ECHO, F_CONTROL, F_HANDSHAKE, F_DATA };

/* A frame on its way. */
struct frame {
	struct frame *next;
	uint64_t due;
	enum frame_kind kind;
	struct fake_node *to;
	unsigned int port;
	uint8_t mac[6];			/* of the sender */
	uint32_t index;			/* neighbour */
	uint8_t tag[16];		/* the sender's tx key */
	unsigned int hops;
	struct address dest;		/* HELLO: router */
	uint8_t boot_id[8];
	uint32_t session, packet;	/* DATA */
	uint8_t key[32];
	struct in6_addr src6, dst6;
	size_t len;
	uint8_t body[RATMAN_OPAQUE_MAX];
};

/* fake_clock.c */
uint64_t fake_now(void);
void fake_clock_begin(uv_loop_t *loop);
void fake_clock_end(void);
struct fake_node *fake_current(void);
uint32_t fake_random(uint32_t below);
void fake_random_seed(uint64_t seed);

/* kern_fake.c */
uint64_t fake_next_due(void);
void fake_do_due(void);
bool fake_events_waiting(void);
struct neigh *fake_neigh_index(struct fake_node *node, uint32_t index);
struct neigh *fake_neigh_find(struct fake_node *node, uint32_t link, const struct address *router);
struct port *fake_port(struct fake_node *node, uint32_t ifindex);
struct route *fake_route(struct fake_node *node, const struct address *dest);
struct neigh *fake_hop(struct fake_node *node, const struct route *route, const struct neigh *from);
void fake_neigh_event(struct fake_node *node, const struct neigh *n,
		      enum ratman_neigh_state state, bool rekey);
void fake_neigh_state(struct fake_node *node, struct neigh *n, enum ratman_neigh_state state);
void fake_neigh_remove(struct fake_node *node, struct neigh *n);
void fake_send_tagged(struct fake_node *node, struct neigh *n, struct frame *f);
void fake_send_to(struct fake_node *node, unsigned int port, const uint8_t mac[6], struct frame *f);
struct frame *fake_frame(enum frame_kind kind, const uint8_t *body, size_t len);
void fake_events_clear(struct fake_node *node);
void fake_signal(struct fake_node *node);
void fake_link_event(struct fake_node *node, const struct port *p, enum ratman_link_state state);

/* fake_session.c */
struct session *fake_session(struct fake_node *node, const struct address *local,
			     const struct address *peer, bool create);
void fake_session_go(struct fake_node *node, struct session *s);
void fake_session_send(struct fake_node *node, struct session *s, uint32_t packet);
void fake_sessions_drop(struct fake_node *node, const struct address *local,
			const struct address *peer);
void fake_session_receive(struct fake_node *node, const struct frame *f);
/* Ends what is too old. */
void fake_sessions_sweep(struct fake_node *node);

#endif
