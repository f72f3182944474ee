// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The client protocol's backend (api/backend.h) over store, mesh and flow.
 */
#include "ratmand/node_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"

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
	/* The same kind of namespace as Space/Create makes, but with a token. */
	if (!err && ns_key) {
		err = node_is_commons(&p->address) ? -EPERM :
		      spaces_create(node->store, &p->address, ns_key);
		if (err)
			addresses_remove(node->store, &p->address);
	}
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

void node_addr_down(struct node *node, const struct address *address)
{
	bool was_up = mesh_local_secret(node->mesh, address) != NULL;

	if (addresses_is_namespace(node->store, address)) {
		node_namespace_down(node, address);
		resume_remove(&node->resume, address);
		return;
	}
	node_spaces_leave(node, address);
	service_address_down(node->service, address);
	flow_local_down(node->flow, address);
	mesh_local_down(node->mesh, address);
	resume_remove(&node->resume, address);
	if (was_up)
		flow_event(node->flow, PAYLOAD_EVENT_DOWN, address);
}

static void addr_down(void *be, const struct address *address, backend_done_cb cb, void *ctx)
{
	node_addr_down(be, address);
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

/*
 * What only the secret key can still do: contacts, which nobody could read any more, go, and
 * others hear that the user is gone. Errors of addresses_open(), storage errors.
 */
static int last_will(struct node *node, const struct address *address, const struct ident *token)
{
	const uint8_t *up = node_owner_secret(node, address);
	uint8_t secret[ADDRESS_SECRET_LEN];
	int err = 0;

	if (up)
		memcpy(secret, up, sizeof(secret));
	else
		err = addresses_open(node->store, address, token, true, secret);
	if (!err)
		err = contacts_purge(node->store, secret);
	if (!err && service_user_goodbye(node->service, address, secret))
		log_warn("a user is destroyed, and others will not hear of it");
	sodium_memzero(secret, sizeof(secret));
	return err;
}

static int forget(struct node *node, const struct address *address, const struct ident *token)
{
	uint8_t key[ADDRESS_KEY_LEN];
	bool opened = !addresses_open_key(node->store, address, token, key);
	int err = service_address_forget(node->service, address, opened ? key : NULL);

	sodium_memzero(key, sizeof(key));
	return err;
}

static void addr_destroy(void *be, const struct address *address, const struct ident *token,
			 bool force, backend_done_cb cb, void *ctx)
{
	struct node *node = be;
	struct pending *p = calloc(1, sizeof(*p));
	bool is_namespace = addresses_is_namespace(node->store, address);
	bool is_user = users_has_local(node->service->users, address);
	int err = p ? 0 : -ENOMEM;

	if (!err && !store_has(node->store, STORE_ADDRESSES, address->b, ADDRESS_LEN))
		err = -ENOENT;
	if (!err)
		err = last_will(node, address, token);
	if (err) {
		free(p);
		cb(ctx, err);
		return;
	}
	/* What the disk refuses now stays as noise: nothing will open it any more. */
	(void)forget(node, address, token);
	node_addr_down(node, address);
	if (is_user)
		node_farewell(node);
	flow_local_unsubscribe(node->flow, address);
	addresses_remove(node->store, address);
	if (is_namespace) {
		node_spaces_leave(node, address);
		spaces_remove(node->store, address);
		if (force)
			flow_space_purge(node->flow, address);
	} else if (force) {
		flow_local_purge(node->flow, address);
	}
	p->done = cb;
	p->ctx = ctx;
	store_commit(node->store, destroyed_durable, p);
}

/* Addresses and namespaces; one with a token is both. */
struct addr_list {
	struct address all[LIMIT_LOCAL_ADDRESSES + LIMIT_SPACES];
	size_t n;
};

static void each_space(void *ctx, const struct address *space)
{
	struct addr_list *l = ctx;

	if (l->n < sizeof(l->all) / sizeof(l->all[0]))
		l->all[l->n++] = *space;
}

static void each_address(void *ctx, const struct address_info *info)
{
	each_space(ctx, &info->address);
}

static int compare(const void *a, const void *b)
{
	return address_compare(a, b);
}

static void list_addresses(struct node *node, struct addr_list *l)
{
	size_t n = 0;

	l->n = 0;
	addresses_each(node->store, each_address, l);
	spaces_each(node->store, each_space, l);
	qsort(l->all, l->n, sizeof(l->all[0]), compare);
	for (size_t i = 0; i < l->n; i++)
		if (!n || !address_equal(&l->all[n - 1], &l->all[i]))
			l->all[n++] = l->all[i];
	l->n = n;
}

static void addr_list(void *be, backend_addr_cb cb, void *ctx)
{
	struct addr_list l;

	list_addresses(be, &l);
	for (size_t i = 0; i < l.n; i++)
		cb(ctx, &l.all[i]);
}

static int link_change(void *be, enum backend_link_change change, const char *interface, char *why,
		       size_t size)
{
	struct node *node = be;

	switch (change) {
	case BACKEND_LINK_CREATE:
		return mesh_link_create(node->mesh, interface, why, size);
	case BACKEND_LINK_DESTROY:
		return mesh_link_destroy(node->mesh, interface, why, size);
	case BACKEND_LINK_UP:
		return mesh_link_up(node->mesh, interface, why, size);
	case BACKEND_LINK_DOWN:
		return mesh_link_down(node->mesh, interface, why, size);
	}
	return -EINVAL;
}

static int link_list(void *be, backend_link_cb cb, void *ctx)
{
	struct node *node = be;

	return mesh_links(node->mesh, cb, ctx);
}

/* A peer that has a route, with what was seen of it. */
static struct backend_peer peer_info(struct node *node, const struct address *peer)
{
	struct backend_peer p = { .address = *peer, .active = true };
	struct node_seen s;

	if (node_seen_get(node, peer, &s)) {
		p.first_seen_ns = s.first_ns;
		p.last_seen_ns = s.last_ns;
	}
	return p;
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
	struct backend_peer p;

	l->n++;
	if (!l->cb)
		return;
	p = peer_info(l->node, peer);
	l->cb(l->ctx, &p);
}

static void peer_list(void *be, backend_peer_cb cb, void *ctx)
{
	struct node *node = be;
	struct peer_list l = { .node = node, .cb = cb, .ctx = ctx };

	mesh_peers(node->mesh, each_peer, &l);
}

static int peer_get(void *be, const struct address *address, struct backend_peer *out)
{
	struct node *node = be;

	if (!mesh_reachable(node->mesh, address))
		return -ENOENT;
	*out = peer_info(node, address);
	return 0;
}

static void status(void *be, struct backend_status *out)
{
	struct node *node = be;
	struct addr_list locals;
	struct peer_list peers = { .node = node };

	list_addresses(node, &locals);
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

/* Subscriptions. */

static void subscribe(void *be, const struct address *address, const struct recipient *to,
		      backend_subscribed_cb cb, void *ctx)
{
	struct node *node = be;

	flow_subscribe(node->flow, address, to, cb, ctx);
}

static int subscription_check(void *be, const struct ident *id, const struct address *address,
			      bool events)
{
	struct node *node = be;

	return flow_subscription_check(node->flow, id, address, events);
}

static void unsubscribe(void *be, const struct ident *id, const struct address *address, bool events,
			backend_done_cb cb, void *ctx)
{
	struct node *node = be;

	flow_unsubscribe(node->flow, id, address, events, cb, ctx);
}

static void subscription_list(void *be, const struct address *address, backend_ident_cb cb,
			      void *ctx)
{
	struct node *node = be;

	flow_subscriptions_each(node->flow, address, cb, ctx);
}

static int attach(void *be, const struct ident *id, const struct address *address, bool events,
		  backend_ready_cb ready, void *ctx, struct backend_listener **out)
{
	struct node *node = be;

	return flow_attach(node->flow, id, address, events, ready, ctx,
			   (struct flow_listener **)out);
}

static int event_next(struct backend_listener *l, struct payload_event *out)
{
	return flow_event_next((struct flow_listener *)l, out);
}

const struct backend_ops node_backend_ops = {
	.addr_create = addr_create,
	.addr_up = addr_up,
	.addr_down = addr_down,
	.addr_check = addr_check,
	.addr_destroy = addr_destroy,
	.addr_list = addr_list,
	.contact_put = node_contact_put,
	.contact_del = node_contact_del,
	.contact_modify = node_contact_modify,
	.contact_list_open = node_contact_list_open,
	.contact_list_step = node_contact_list_step,
	.contact_list_close = node_contact_list_close,
	.link_change = link_change,
	.link_list = link_list,
	.peer_list = peer_list,
	.peer_get = peer_get,
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
	.subscribe = subscribe,
	.subscription_check = subscription_check,
	.unsubscribe = unsubscribe,
	.subscription_list = subscription_list,
	.attach = attach,
	.event_next = event_next,
	.space_create = node_space_create,
	.space_up = node_space_join,
	.space_down = node_space_leave,
	.anycast = node_anycast,
	.anycast_stop = node_anycast_stop,
	.file = &node_file_backend,
	.session = &node_session_ops,
	.service = &node_service_ops,
	.message = &node_message_ops,
	.profile = &node_profile_ops,
};
