// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/node_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/wire.h"
#include "ratmand/passphrase.h"

/* Highest sequence in STORE_SEEN, and first and last time in STORE_PEERS, big-endian. */
#define SEEN_LEN 8
#define PEER_LEN 16

bool node_seen_get(struct node *node, const struct address *address, struct node_seen *out)
{
	uint8_t buf[PEER_LEN];
	struct wire_reader r;

	memset(out, 0, sizeof(*out));
	if (store_get(node->store, STORE_SEEN, address->b, ADDRESS_LEN, buf, sizeof(buf)) != SEEN_LEN)
		return false;
	wire_read_init(&r, buf, SEEN_LEN);
	out->sequence = wire_get_be64(&r);
	if (store_get(node->store, STORE_PEERS, address->b, ADDRESS_LEN, buf, sizeof(buf)) != PEER_LEN)
		return true;
	wire_read_init(&r, buf, PEER_LEN);
	out->first_ns = (int64_t)wire_get_be64(&r);
	out->last_ns = (int64_t)wire_get_be64(&r);
	return true;
}

/* Mesh. */

static uint64_t next_stamp(void *ctx, const struct address *address)
{
	struct node *node = ctx;

	return store_next_stamp(node->store, address);
}

static void seen(void *ctx, const struct address *address, uint64_t sequence)
{
	struct node *node = ctx;
	int64_t now = clock_wall_ns();
	uint8_t buf[PEER_LEN];
	struct node_seen old;
	struct wire_writer w;
	bool known = node_seen_get(node, address, &old);

	/* What was seen stays seen, whatever is said later. */
	if (known && old.sequence > sequence)
		return;
	if (!known || old.sequence < sequence) {
		wire_write_init(&w, buf, SEEN_LEN);
		wire_put_be64(&w, sequence);
		store_put(node->store, STORE_SEEN, address->b, ADDRESS_LEN, buf, SEEN_LEN);
	}
	wire_write_init(&w, buf, PEER_LEN);
	wire_put_be64(&w, (uint64_t)(old.first_ns ? old.first_ns : now));
	wire_put_be64(&w, (uint64_t)now);
	store_put(node->store, STORE_PEERS, address->b, ADDRESS_LEN, buf, PEER_LEN);
	if (node->service)
		users_seen(node->service->users, address, old.first_ns ? old.first_ns : now, now);
	if (node->flow && !known)
		flow_event(node->flow, PAYLOAD_EVENT_PEER, address);
}

static uint64_t last_seen(void *ctx, const struct address *address)
{
	struct node_seen s;

	return node_seen_get(ctx, address, &s) ? s.sequence : 0;
}

static void reachable(void *ctx, const struct address *peer)
{
	struct node *node = ctx;

	if (node->flow)
		flow_peer_reachable(node->flow, peer);
}

static void members_changed(void *ctx, const struct address *space)
{
	struct node *node = ctx;

	if (node->flow)
		flow_members_changed(node->flow, space);
}

static int space_secret(void *ctx, const struct address *space, uint8_t *secret)
{
	struct node *node = ctx;

	return spaces_open(node->store, space, secret);
}

static void listen_again(void *ctx, const struct records *records)
{
	struct node *node = ctx;

	flow_local_up(node->flow, &records->address);
}

static void joined(void *ctx)
{
	struct node *node = ctx;

	/* Listening needs the address on the device, which it may not have had until now. */
	if (node->service)
		online_each(node->service->online, listen_again, node);
}

static const struct mesh_ops mesh_ops = {
	.next_stamp = next_stamp,
	.seen = seen,
	.last_seen = last_seen,
	.reachable = reachable,
	.is_contact = node_is_contact,
	.members_changed = members_changed,
	.space_secret = space_secret,
	.joined = joined,
};

/* Flow. */

static const uint8_t *flow_secret(void *ctx, const struct address *local)
{
	struct node *node = ctx;

	return mesh_local_secret(node->mesh, local);
}

static bool flow_reachable(void *ctx, const struct address *peer)
{
	struct node *node = ctx;

	return mesh_reachable(node->mesh, peer);
}

static bool flow_endpoint(void *ctx, const struct address *address, bool source,
			  struct sockaddr_in6 *out)
{
	struct node *node = ctx;

	*out = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_port = source ? 0 : htons(FLOW_PORT),
	};
	address_to_ipv6(address, &out->sin6_addr);
	return !mesh_off_reason(node->mesh);
}

static bool flow_speaks_for(void *ctx, const struct sockaddr_in6 *source,
			    const struct address *claimed)
{
	struct in6_addr ip;

	(void)ctx;
	/* The kernel let it in only because session and inner source agree. */
	address_to_ipv6(claimed, &ip);
	return !memcmp(&ip, &source->sin6_addr, sizeof(ip));
}

static void flow_members(void *ctx, const struct address *space,
			 void (*cb)(void *cb_ctx, const struct address *member), void *cb_ctx)
{
	struct node *node = ctx;

	/* Nobody says who takes part in the commons: whoever can be reached is asked. */
	if (node_is_commons(space))
		mesh_peers(node->mesh, cb, cb_ctx);
	else
		mesh_members(node->mesh, space, cb, cb_ctx);
}

static const struct flow_ops flow_ops = {
	.secret = flow_secret,
	.reachable = flow_reachable,
	.endpoint = flow_endpoint,
	.speaks_for = flow_speaks_for,
	.members = flow_members,
};

/* Messages. */

static const uint8_t *message_secret(void *ctx, const struct address *user)
{
	struct node *node = ctx;

	return mesh_local_secret(node->mesh, user);
}

/* Life. */

int node_online(struct node *node, const struct address *address, const uint8_t *secret,
		const uint8_t *key)
{
	bool was_up = mesh_local_secret(node->mesh, address) != NULL;
	int err = mesh_local_up(node->mesh, address, secret);

	if (!err)
		err = service_address_up(node->service, address, key);
	if (!err)
		err = flow_local_up(node->flow, address);
	if (!err && !was_up)
		flow_event(node->flow, PAYLOAD_EVENT_UP, address);
	if (err && !was_up) {
		service_address_down(node->service, address);
		mesh_local_down(node->mesh, address);
	}
	return err;
}

int node_addr_up(struct node *node, const struct address *address, const struct ident *token)
{
	uint8_t secret[ADDRESS_SECRET_LEN], key[ADDRESS_KEY_LEN];
	int err = addresses_open(node->store, address, token, true, secret);

	if (!err && addresses_is_namespace(node->store, address)) {
		err = node_namespace_up(node, address, secret);
		sodium_memzero(secret, sizeof(secret));
		if (!err)
			resume_add(&node->resume, address, token);
		return err;
	}
	if (!err)
		err = addresses_open_key(node->store, address, token, key);
	if (!err)
		err = node_online(node, address, secret, key);
	sodium_memzero(secret, sizeof(secret));
	sodium_memzero(key, sizeof(key));
	if (!err)
		resume_add(&node->resume, address, token);
	return err;
}

static void bring_up_again(struct node *node)
{
	for (size_t i = 0; i < node->resume.n;) {
		struct resume_entry e = node->resume.entries[i];
		int err = node_addr_up(node, &e.address, &e.token);

		if (err)
			log_warn("an address that was up cannot be brought up again: %s",
				 strerror(-err));
		else
			api_token_restore(node->server, &e.address, &e.token);
		/* Destroyed meanwhile, or another state directory; else the next start may do better. */
		if (err == -ENOENT || err == -EACCES)
			resume_remove(&node->resume, &e.address);
		else
			i++;
		sodium_memzero(&e, sizeof(e));
	}
}

static int open_store(struct node *node, uint8_t secret[ADDRESS_SECRET_LEN], char *why, size_t size)
{
	struct nodekey_options key = {
		.source = node->config->node_key,
		.file = node->config->key_file,
		.ask = ask_passphrase,
	};
	struct store_options options = { .ephemeral = node->config->ephemeral, .node_key = &key };
	int err = store_open(&node->store, node->loop, node->config->state_dir, &options, why, size);

	if (err)
		return err;
	err = addresses_router(node->store, secret);
	if (err)
		snprintf(why, size, "cannot make or read the router key in %s: %s",
			 node->config->state_dir, strerror(-err));
	return err;
}

static bool message_registered(void *ctx, const char *service)
{
	struct node *node = ctx;

	return registry_has(node->service->registry, service);
}

static int open_messages(struct node *node)
{
	const struct messages_options options = {
		.god_mode = node->config->god_mode,
		.discard_unknown_services = node->config->discard_unknown_services,
		.registered = message_registered,
		.secret = message_secret,
		.ctx = node,
	};

	return messages_new(&node->service->messages, node->service, &options);
}

static int remember_peer(void *ctx, const void *key, size_t key_len, const void *value,
			 size_t value_len)
{
	struct users *users = ctx;
	struct address address;
	struct wire_reader r;
	int64_t first_ns;

	if (key_len != ADDRESS_LEN || value_len != PEER_LEN)
		return 0;
	memcpy(address.b, key, ADDRESS_LEN);
	wire_read_init(&r, value, value_len);
	first_ns = (int64_t)wire_get_be64(&r);
	users_seen(users, &address, first_ns, (int64_t)wire_get_be64(&r));
	return 0;
}

/* The users know who was seen before this start. */
static int open_service(struct node *node)
{
	int err = service_new(&node->service, node->loop, node->store, node->flow);

	if (err)
		return err;
	service_set_reachable(node->service, flow_reachable, node);
	files_set_accept(node->service->files, node->config->file_accept);
	files_set_accept_total(node->service->files, node->config->file_accept_total);
	err = store_each(node->store, STORE_PEERS, remember_peer, node->service->users);
	return err ? err : users_ready(node->service->users);
}

static int open_parts(struct node *node, const uint8_t secret[ADDRESS_SECRET_LEN], char *why,
		      size_t size)
{
	const struct api_config ac = {
		.bind = node->config->api_bind,
		.socket = node->config->api_socket,
		.socket_mode = node->config->api_socket_mode,
		.socket_gid = node->config->api_socket_gid,
		.limits = node->config->limits,
	};
	int err;

	err = resume_open(&node->resume, node->config->runtime_dir);
	if (err) {
		snprintf(why, size, "cannot use %s: %s", node->config->runtime_dir, strerror(-err));
		return err;
	}
	err = api_server_new(&node->server, node->loop, &ac, &node_backend_ops, node, why, size);
	if (err)
		return err;
	node->mesh = mesh_new(node->loop, node->config, secret, &mesh_ops, node);
	err = node->mesh ? flow_new(&node->flow, node->loop, node->store, &flow_ops, node) : -ENOMEM;
	if (!err)
		err = open_service(node);
	if (!err)
		err = open_messages(node);
	if (err)
		snprintf(why, size, "cannot start the stream exchange: %s", strerror(-err));
	return err;
}

int node_start(struct node **out, uv_loop_t *loop, const struct config *config, char *why,
	       size_t size)
{
	struct node *node = calloc(1, sizeof(*node));
	uint8_t secret[ADDRESS_SECRET_LEN];
	int err;

	if (!node)
		return -ENOMEM;
	node->loop = loop;
	node->config = config;
	err = open_store(node, secret, why, size);
	if (!err)
		err = open_parts(node, secret, why, size);
	sodium_memzero(secret, sizeof(secret));
	if (err) {
		node_stop(node, NULL, NULL);
		uv_run(loop, UV_RUN_DEFAULT);
		return err;
	}
	bring_up_again(node);
	node_spaces_again(node);
	mesh_start(node->mesh);
	*out = node;
	return 0;
}

static void flow_closed(void *ctx)
{
	struct node *node = ctx;

	service_free(node->service);
	mesh_free(node->mesh);
	if (node->store)
		store_close(node->store);
	resume_close(&node->resume);
	if (node->stopped)
		node->stopped(node->stopped_ctx);
	free(node);
}

static void server_closed(void *ctx)
{
	struct node *node = ctx;

	node_farewell_end(node);
	if (node->service)
		service_stop(node->service);
	if (node->flow)
		flow_free(node->flow, flow_closed, node);
	else
		flow_closed(node);
}

void node_stop(struct node *node, void (*stopped)(void *ctx), void *ctx)
{
	node->stopped = stopped;
	node->stopped_ctx = ctx;
	if (node->server)
		api_server_free(node->server, server_closed, node);
	else
		server_closed(node);
}
