// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol's backend (api/backend.h) over store, mesh and flow.
 */
#include "ratmand/node_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/store/records.h"

/* A call whose answer waits for the store's commit. */
struct pending {
	backend_done_cb done;
	backend_created_cb created;
	void *ctx;
	struct address address;
	struct ident token;
};

static void created_durable(void *ctx, int err)
{
	struct pending *p = ctx;

	p->created(p->ctx, err, err ? NULL : &p->address, err ? NULL : &p->token);
	sodium_memzero(p, sizeof(*p));
	free(p);
}

static void addr_create(void *be, const char *name, const uint8_t *ns_key, backend_created_cb cb,
			void *ctx)
{
	struct node *node = be;
	struct pending *p = calloc(1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	if (!err)
		err = addresses_create(node->store, name, ns_key, &p->address, &p->token);
	if (err) {
		free(p);
		cb(ctx, err, NULL, NULL);
		return;
	}
	p->created = cb;
	p->ctx = ctx;
	store_commit(node->store, created_durable, p);
}

static void addr_up(void *be, const struct address *address, const struct ident *token,
		    backend_done_cb cb, void *ctx)
{
	cb(ctx, node_addr_up(be, address, token));
}

static void go_down(struct node *node, const struct address *address)
{
	flow_local_down(node->flow, address);
	mesh_local_down(node->mesh, address);
	resume_remove(&node->resume, address);
}

static void addr_down(void *be, const struct address *address, backend_done_cb cb, void *ctx)
{
	go_down(be, address);
	cb(ctx, 0);
}

static int addr_check(void *be, const struct address *address, const struct ident *token)
{
	struct node *node = be;
	uint8_t secret[ADDRESS_SECRET_LEN];
	int err = addresses_open(node->store, address, token, false, secret);

	sodium_memzero(secret, sizeof(secret));
	return err;
}

static void destroyed_durable(void *ctx, int err)
{
	struct pending *p = ctx;

	p->done(p->ctx, err);
	free(p);
}

static void addr_destroy(void *be, const struct address *address, bool force, backend_done_cb cb,
			 void *ctx)
{
	struct node *node = be;
	struct pending *p = calloc(1, sizeof(*p));
	int err = p ? 0 : -ENOMEM;

	if (!err)
		err = addresses_remove(node->store, address);
	/* Nothing opens them any more; what the disk refuses now stays as noise. */
	if (!err)
		(void)records_remove_all(node->store, address);
	if (err) {
		free(p);
		cb(ctx, err);
		return;
	}
	go_down(node, address);
	if (force)
		flow_local_purge(node->flow, address);
	p->done = cb;
	p->ctx = ctx;
	store_commit(node->store, destroyed_durable, p);
}

struct addr_list {
	backend_addr_cb cb;
	void *ctx;
	uint64_t n;
};

static void each_address(void *ctx, const struct address_info *info)
{
	struct addr_list *l = ctx;

	l->n++;
	if (l->cb)
		l->cb(l->ctx, &info->address);
}

static void addr_list(void *be, backend_addr_cb cb, void *ctx)
{
	struct node *node = be;
	struct addr_list l = { .cb = cb, .ctx = ctx };

	addresses_each(node->store, each_address, &l);
}

struct peer_list {
	struct node *node;
	backend_peer_cb cb;
	void *ctx;
	uint64_t n;
};

static void each_peer(void *ctx, const struct address *peer)
{
	struct peer_list *l = ctx;
	struct backend_peer p = { .address = *peer, .active = true };
	struct node_seen s = { 0 };

	l->n++;
	if (!l->cb)
		return;
	if (node_seen_get(l->node, peer, &s)) {
		p.first_seen_ns = s.first_ns;
		p.last_seen_ns = s.last_ns;
	}
	l->cb(l->ctx, &p);
}

static void peer_list(void *be, backend_peer_cb cb, void *ctx)
{
	struct node *node = be;
	struct peer_list l = { .node = node, .cb = cb, .ctx = ctx };

	mesh_peers(node->mesh, each_peer, &l);
}

static void status(void *be, struct backend_status *out)
{
	struct node *node = be;
	struct addr_list locals = { 0 };
	struct peer_list peers = { .node = node };

	addresses_each(node->store, each_address, &locals);
	mesh_peers(node->mesh, each_peer, &peers);
	out->locals = locals.n;
	out->peers = peers.n;
	out->workers = flow_active(node->flow);
}

/* Streams: the vtable's handles are flow's own. */

static int send_open(void *be, const struct letterhead *heads, size_t n, backend_ready_cb drain,
		     void *ctx, struct backend_send **out)
{
	struct node *node = be;

	return flow_send_open(node->flow, heads, n, drain, ctx, (struct flow_send **)out);
}

static int send_write(struct backend_send *send, const void *data, size_t len)
{
	return flow_send_write((struct flow_send *)send, data, len);
}

static void send_finish(struct backend_send *send, backend_done_cb cb, void *ctx)
{
	flow_send_finish((struct flow_send *)send, cb, ctx);
}

static void send_abort(struct backend_send *send)
{
	flow_send_abort((struct flow_send *)send);
}

static int listen_start(void *be, const struct address *local, const struct recipient *to,
			backend_ready_cb ready, void *ctx, struct backend_listener **out)
{
	struct node *node = be;

	return flow_listen(node->flow, local, to, ready, ctx, (struct flow_listener **)out);
}

static void listen_stop(struct backend_listener *l)
{
	flow_listen_stop((struct flow_listener *)l);
}

static int recv_open(struct backend_listener *l, struct letterhead *head, struct backend_recv **out)
{
	return flow_recv_open((struct flow_listener *)l, head, (struct flow_recv **)out);
}

static ssize_t recv_read(struct backend_recv *r, void *buf, size_t size)
{
	return flow_recv_read((struct flow_recv *)r, buf, size);
}

static void recv_close(struct backend_recv *r, bool delivered)
{
	flow_recv_close((struct flow_recv *)r, delivered);
}

const struct backend_ops node_backend_ops = {
	.addr_create = addr_create,
	.addr_up = addr_up,
	.addr_down = addr_down,
	.addr_check = addr_check,
	.addr_destroy = addr_destroy,
	.addr_list = addr_list,
	.peer_list = peer_list,
	.status = status,
	.send_open = send_open,
	.send_write = send_write,
	.send_finish = send_finish,
	.send_abort = send_abort,
	.listen = listen_start,
	.listen_stop = listen_stop,
	.recv_open = recv_open,
	.recv_read = recv_read,
	.recv_close = recv_close,
};
