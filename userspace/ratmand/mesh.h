/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The mesh side of the daemon: ties the kernel's door (kern/) to neighbour
 * authentication, sessions (session/) and routing (route/).
 *
 * The mesh is off while the module or the device is missing; it joins by itself
 * when they appear, and takes over what the kernel still has from a daemon before.
 */
#ifndef RATMAND_MESH_H
#define RATMAND_MESH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "proto/link.h"
#include "ratmand/config.h"

struct mesh;

struct mesh_ops {
	/* A stamp greater than any this address ever gave; 0 when none can be had. */
	uint64_t (*next_stamp)(void *ctx, const struct address *address);
	/* A record of @address with a higher sequence than ever was seen: persist it. */
	void (*seen)(void *ctx, const struct address *address, uint64_t sequence);
	/* The persisted sequence, 0 if none. */
	uint64_t (*last_seen)(void *ctx, const struct address *address);
	/* @peer has a route now and had none before. */
	void (*reachable)(void *ctx, const struct address *peer);
	/* True when the owner of @local, which is up, has @peer among the contacts. */
	bool (*is_contact)(void *ctx, const struct address *local, const struct address *peer);
	/* Members of a namespace came or went; NULL: of any. Must not change the mesh. */
	void (*members_changed)(void *ctx, const struct address *space);
	/* The secret key (64 bytes) of a namespace whose key is here, or -ENOENT. The caller wipes it. */
	int (*space_secret)(void *ctx, const struct address *space, uint8_t *secret);
	/* The mesh went on (or came back): local addresses are usable on the device. */
	void (*joined)(void *ctx);
};

/* @config, @ops borrowed for the life of the mesh; @router_secret (64 bytes) is copied. NULL: no memory. */
struct mesh *mesh_new(uv_loop_t *loop, const struct config *config, const uint8_t *router_secret,
		      const struct mesh_ops *ops, void *ctx);

/* Joins if it can. Call once, after the addresses that are up have been given. */
void mesh_start(struct mesh *mesh);

/* Closes its handles; the kernel keeps forwarding. Frees when the loop has run the closes. */
void mesh_free(struct mesh *mesh);

/*
 * Announces @address, whose secret key (64 bytes, copied to guarded memory) is
 * @secret. 0 also when it was up; -ENOSPC beyond LIMIT_LOCAL_ADDRESSES, -ENOMEM,
 * -EINVAL when key and address do not belong together.
 */
int mesh_local_up(struct mesh *mesh, const struct address *address, const uint8_t *secret);

/* Withdraws it everywhere and wipes the key. */
void mesh_local_down(struct mesh *mesh, const struct address *address);

/*
 * @peer became a contact of @local or is one no longer: what may come in over the
 * sessions between them follows soon. The configured contacts count as before.
 */
void mesh_contact_changed(struct mesh *mesh, const struct address *local,
			  const struct address *peer);

/* The secret key of an address that is up (borrowed until it goes down), or NULL. */
const uint8_t *mesh_local_secret(const struct mesh *mesh, const struct address *address);

/*
 * Tells the mesh that @member is a member of the namespace whose secret key (64
 * bytes, copied to guarded memory) is @secret. 0 also when it was told; -ENOSPC
 * beyond LIMIT_SPACE_MEMBERSHIPS, -ENOMEM.
 */
int mesh_space_up(struct mesh *mesh, const struct address *space, const uint8_t *secret,
		  const struct address *member);

/* Takes that back everywhere and wipes the key. */
void mesh_space_down(struct mesh *mesh, const struct address *space,
		     const struct address *member);

/* Every member of @space elsewhere, with a route or without. */
void mesh_members(const struct mesh *mesh, const struct address *space,
		  void (*cb)(void *ctx, const struct address *member), void *ctx);

/* True when @peer has a route now. */
bool mesh_reachable(const struct mesh *mesh, const struct address *peer);

/* Every remote address with a route, in byte order. */
typedef void (*mesh_peer_cb)(void *ctx, const struct address *peer);
void mesh_peers(const struct mesh *mesh, mesh_peer_cb cb, void *ctx);

/*
 * Links by hand, until the daemon is started anew: an interface becomes a link or
 * an ordinary one again (also one of the configuration), or a link stops carrying
 * our frames and goes on later; whatever else uses the interface is not touched.
 * Idempotent. -ENODEV: @name is no interface, or no link; -ENETDOWN: the mesh is
 * off; -ENOSPC; or the kernel's error. @why (borrowed, @size bytes) gets a
 * sentence, for -ENODEV what @name should have been.
 */
int mesh_link_create(struct mesh *mesh, const char *name, char *why, size_t size);
int mesh_link_destroy(struct mesh *mesh, const char *name, char *why, size_t size);
int mesh_link_up(struct mesh *mesh, const char *name, char *why, size_t size);
int mesh_link_down(struct mesh *mesh, const char *name, char *why, size_t size);

/* Each link with each neighbour on it, or alone; nothing when the mesh is off. */
typedef void (*mesh_link_cb)(void *ctx, const struct link_entry *link);
int mesh_links(struct mesh *mesh, mesh_link_cb cb, void *ctx);

/* NULL when the mesh is on, otherwise a sentence: why it is off and what to do. */
const char *mesh_off_reason(const struct mesh *mesh);

/* Name of the device, neighbours alive. */
size_t mesh_neighbours(const struct mesh *mesh);

#endif
