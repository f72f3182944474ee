/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What node.c (life), node_backend.c and node_contact.c (the client protocol's
 * backend) share.
 */
#ifndef RATMAND_NODE_PRIV_H
#define RATMAND_NODE_PRIV_H

#include "ratmand/api/backend.h"
#include "ratmand/api/server.h"
#include "ratmand/flow/flow.h"
#include "ratmand/mesh.h"
#include "ratmand/node.h"
#include "ratmand/resume.h"
#include "ratmand/store/addresses.h"
#include "ratmand/store/contacts.h"

struct node {
	uv_loop_t *loop;
	const struct config *config;
	struct store *store;
	struct mesh *mesh;
	struct flow *flow;
	struct api_server *server;
	struct resume resume;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
};

/* What STORE_SEEN holds for an address, in this order, big-endian. */
struct node_seen {
	uint64_t sequence;
	int64_t first_ns;
	int64_t last_ns;
};

/* node.c */
bool node_seen_get(struct node *node, const struct address *address, struct node_seen *out);
int node_addr_up(struct node *node, const struct address *address, const struct ident *token);

/* node_backend.c */
extern const struct backend_ops node_backend_ops;

/* node_contact.c: ops of the backend, and what the mesh asks. */
void node_contact_put(void *be, const struct address *owner, const struct contact *contact,
		      backend_done_cb cb, void *ctx);
void node_contact_del(void *be, const struct address *owner, const struct address *contact,
		      backend_done_cb cb, void *ctx);
void node_contact_modify(void *be, const struct address *owner,
			 const struct contact_change *change, backend_touched_cb cb, void *ctx);
int node_contact_each(void *be, const struct address *owner, backend_contact_cb cb, void *ctx);
bool node_is_contact(void *ctx, const struct address *local, const struct address *peer);

#endif
