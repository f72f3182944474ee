/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One router: the parts of the daemon put together. Owns store, mesh, flow and
 * the client server, and is the backend of the client protocol.
 */
#ifndef RATMAND_NODE_H
#define RATMAND_NODE_H

#include <uv.h>

#include "ratmand/config.h"

struct node;

/*
 * Opens everything in order: store, router key, mesh, flow, addresses that were
 * up, clients. On failure returns a negative errno and @why (borrowed) says what
 * is wrong and what to do; nothing stays open then. @config is borrowed for life.
 */
int node_start(struct node **out, uv_loop_t *loop, const struct config *config, char *why,
	       size_t size);

/*
 * Stops serving, lets the store commit, closes. The kernel goes on with what it
 * has. @stopped is called when everything is closed; the node is gone then.
 */
void node_stop(struct node *node, void (*stopped)(void *ctx), void *ctx);

#endif
