/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What mesh.c (life, local addresses), mesh_kern.c (events and ops between the
 * kernel and the cores), mesh_link.c (links by hand) and mesh_contact.c share.
 */
#ifndef RATMAND_MESH_PRIV_H
#define RATMAND_MESH_PRIV_H

#include "ratmand/kern/kern.h"
#include "ratmand/mesh.h"
#include "ratmand/route/route.h"
#include "ratmand/session/linkauth.h"
#include "ratmand/session/session.h"

/*
 * A keyed neighbour. The routing core's handle is the slot's number plus
 * ROUTE_NEIGH_MAX * generation: another one for another neighbour in the same slot,
 * so that nobody inherits quotas; the same for one that comes back.
 */
struct mesh_neigh {
	bool used;
	bool alive;
	uint32_t generation;
	uint32_t link;
	struct address router;
	uint64_t boot_id;
	uint32_t index;			/* kernel's name for it: our current index, 0: none yet */
	uint32_t old_index;		/* before the last renewal: frames still come under it */
	uint16_t cost;
	uint32_t mtu;			/* of the link, 0: not known */
	uint64_t dead_since_ms;
};

struct mesh_local {
	struct address address;
	uint8_t *secret;		/* sodium_malloc, 64 bytes */
	uint64_t announce_ms;		/* not before */
	bool installed;			/* on the device */
	bool announced;
};

/* A local address that is a member of a namespace. */
struct mesh_member {
	struct address space, member;
	uint8_t *secret;		/* of the namespace: sodium_malloc, 64 bytes */
	bool announced;
};

/* An authenticated neighbour there was no slot for. */
struct mesh_left_out {
	uint32_t link;
	struct address router;
};

struct mesh_lost {
	struct address address;
	bool back;			/* it has a route again */
};

/* A contact that came or went, until the sessions of the two know. */
struct mesh_pair {
	struct address local, peer;
};

/* An interface that is kept off the device: by Link/Down, or a configured one by Link/Destroy. */
struct mesh_held {
	char name[IFNAMSIZ];
	bool destroyed;
};

#define MESH_HELD_MAX 256

/* What a dump gave. */
struct mesh_list {
	void *items;			/* owned */
	size_t n, cap;
	bool no_memory;
};

struct mesh {
	uv_loop_t *loop;
	const struct config *config;
	const struct mesh_ops *ops;
	void *ctx;
	struct address router;
	uint8_t *router_secret;		/* sodium_malloc */

	struct mesh_local *locals;	/* unordered */
	size_t n_locals;
	struct mesh_held *held;		/* room for MESH_HELD_MAX */
	size_t n_held;

	struct mesh_member *members;	/* unordered */
	size_t n_members;

	/* While the mesh is on. */
	struct kern *kern;
	struct kern_dev dev;
	struct linkauth *linkauth;
	struct session_mgr *sessions;
	struct route_core *routes;
	struct mesh_neigh neighs[ROUTE_NEIGH_MAX];
	struct mesh_left_out left_out[64];	/* asked in again when a slot is free */
	size_t n_left_out;
	struct address reached[64];	/* told to ops->reachable by mesh_arm(), outside the core */
	size_t n_reached;
	struct address withdrawn;	/* the last address that went down, and when */
	uint64_t withdrawn_ms;
	struct mesh_lost lost[64];	/* peers that lost their route lately: a ring */
	size_t n_lost;			/* ever written */
	bool regained;			/* one of them is back: mesh_arm() renews its sessions */
	bool reached_many;		/* more than that: tell all */
	struct mesh_pair changed[64];	/* contacts that came or went: mesh_contact.c */
	size_t n_changed;
	bool changed_many;		/* more than that: look at all sessions */
	uint64_t changed_ms;		/* not before */
	struct address spaces_changed[16];	/* namespaces, told to ops->members_changed by mesh_arm() */
	size_t n_spaces_changed;
	bool spaces_changed_many;		/* more than that: tell of all */
	uint64_t refreshed_ms;		/* kernel routes set again */
	uint64_t measured_ms;		/* neighbour costs read */

	char off[256];			/* why it is off; empty when on */
	uv_poll_t poll;
	uv_timer_t deadline;
	uv_timer_t housekeeping;
	int open_handles;
	bool poll_open;
};

/* mesh.c */
struct mesh_local *mesh_local_find(const struct mesh *mesh, const struct address *address);
int mesh_announce(struct mesh *mesh, const struct mesh_local *local, uint64_t at_least,
		  uint8_t flags);
void mesh_arm(struct mesh *mesh);
struct mesh_member *mesh_member_find(const struct mesh *mesh, const struct address *space,
				     const struct address *member);
int mesh_announce_member(struct mesh *mesh, struct mesh_member *member, uint64_t at_least,
			 uint8_t flags);

/* mesh_kern.c */
extern const struct linkauth_ops mesh_linkauth_ops;
extern const struct session_ops mesh_session_ops;
extern const struct route_ops mesh_route_ops;
void mesh_on_event(void *ctx, const struct kern_event *event);
void mesh_restore(struct mesh *mesh);
void mesh_measure(struct mesh *mesh, uint64_t now);
void mesh_renew_sessions(struct mesh *mesh);
void mesh_refresh_routes(struct mesh *mesh, uint64_t now);
void mesh_local_install(struct mesh *mesh, struct mesh_local *local);
void mesh_list_add(struct mesh_list *list, const void *item, size_t size);
/* For kern_links(): @ctx is a struct mesh_list. */
void mesh_keep_link(void *ctx, const struct kern_link *link);

/* mesh_link.c */
/* Makes the configured interfaces links of the device, but those held. */
void mesh_take_links(struct mesh *mesh);

/* mesh_contact.c */
bool mesh_is_contact(const struct mesh *mesh, const struct address *local,
		     const struct address *peer);
/* When mesh_contacts_sync() is due; UINT64_MAX: no need. */
uint64_t mesh_contacts_due(const struct mesh *mesh);
void mesh_contacts_sync(struct mesh *mesh, uint64_t now);

#endif
