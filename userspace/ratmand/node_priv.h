/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What node.c (life) and node_backend.c (the client protocol's backend) share.
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

/* What is remembered of a peer; times are 0 when the cache was lost. */
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

#endif
