// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespaces: their keys (store/spaces.h), who here is a member, and what mesh and
 * flow hear of it.
 *
 * A namespace comes by Space/Create, and clients' addresses join it; or by
 * Addr/Create with its key, as release 0.6.0 has it, and then its token brings it
 * up as if it were an address. Nobody announces a namespace as an address: many
 * routers would, each against the others. In its place an address of its own
 * joins, which this router draws from its key and the namespace.
 */
#include "ratmand/node_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/flow/parcel.h"

/* How long a router without users passes on that one is gone. */
#define FAREWELL_MS 600000

static const char stand_in_context[] = "ratman namespace stand-in v1";

/* The address that stands for @space here: the same for ever, and of no other router. */
static int stand_in(struct node *node, const struct address *space, struct address *out,
		    uint8_t secret[static ADDRESS_SECRET_LEN])
{
	uint8_t router[ADDRESS_SECRET_LEN], seed[crypto_sign_SEEDBYTES];
	crypto_generichash_state st;
	int err = addresses_router(node->store, router);
	uint8_t round = 0;

	if (err)
		return err;
	do {
		crypto_generichash_init(&st, router, crypto_sign_SEEDBYTES, sizeof(seed));
		crypto_generichash_update(&st, (const uint8_t *)stand_in_context,
					  sizeof(stand_in_context));
		crypto_generichash_update(&st, space->b, ADDRESS_LEN);
		crypto_generichash_update(&st, &round, 1);
		crypto_generichash_final(&st, seed, sizeof(seed));
		crypto_sign_seed_keypair(out->b, secret, seed);
		/* Without a zero byte, as every address a client may see (microframe.md section 2). */
	} while (memchr(out->b, 0, ADDRESS_LEN) && ++round);
	sodium_memzero(&st, sizeof(st));
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(router, sizeof(router));
	return 0;
}

const uint8_t *node_owner_secret(const struct node *node, const struct address *owner)
{
	const uint8_t *secret = mesh_local_secret(node->mesh, owner);

	return secret || !node->flow ? secret : flow_space_secret(node->flow, owner);
}

static int join(struct node *node, const struct address *space, const struct address *member)
{
	uint8_t secret[ADDRESS_SECRET_LEN];
	int err = spaces_open(node->store, space, secret);

	if (err)
		return err;
	err = mesh_space_up(node->mesh, space, secret, member);
	if (!err) {
		err = flow_space_up(node->flow, space, secret, member);
		if (err)
			mesh_space_down(node->mesh, space, member);
	}
	sodium_memzero(secret, sizeof(secret));
	return err;
}

static void leave(struct node *node, const struct address *space, const struct address *member)
{
	flow_space_down(node->flow, space, member);
	mesh_space_down(node->mesh, space, member);
}

int node_space_up(struct node *node, const struct address *space, const struct address *member)
{
	int err = join(node, space, member);

	/* A file that cannot be written was complained about; this life goes on. */
	if (!err && resume_space_add(&node->resume, space, member) == -ENOSPC) {
		leave(node, space, member);
		err = -ENOSPC;
	}
	return err;
}

void node_space_down(struct node *node, const struct address *space, const struct address *member)
{
	leave(node, space, member);
	resume_space_remove(&node->resume, space, member);
}

int node_namespace_up(struct node *node, const struct address *space, const uint8_t *secret)
{
	uint8_t own[ADDRESS_SECRET_LEN];
	struct address member;
	/* It may have been made before keys of namespaces were kept. */
	int err = spaces_create(node->store, space, secret);

	if (!err)
		err = stand_in(node, space, &member, own);
	if (!err)
		err = mesh_local_up(node->mesh, &member, own);
	sodium_memzero(own, sizeof(own));
	if (err)
		return err;
	err = flow_local_up(node->flow, &member);
	if (!err)
		err = join(node, space, &member);
	if (err) {
		flow_local_down(node->flow, &member);
		mesh_local_down(node->mesh, &member);
	}
	return err;
}

void node_namespace_down(struct node *node, const struct address *space)
{
	uint8_t own[ADDRESS_SECRET_LEN];
	struct address member;

	if (stand_in(node, space, &member, own))
		return;
	sodium_memzero(own, sizeof(own));
	leave(node, space, &member);
	flow_local_down(node->flow, &member);
	mesh_local_down(node->mesh, &member);
}

void node_spaces_leave(struct node *node, const struct address *address)
{
	for (size_t i = node->resume.n_spaces; i-- > 0;) {
		struct resume_space e = node->resume.spaces[i];

		if (address_equal(&e.member, address) || address_equal(&e.space, address))
			node_space_down(node, &e.space, &e.member);
	}
}

void node_spaces_again(struct node *node)
{
	for (size_t i = node->resume.n_spaces; i-- > 0;) {
		struct resume_space e = node->resume.spaces[i];
		int err = -ENOENT;

		if (mesh_local_secret(node->mesh, &e.member))
			err = join(node, &e.space, &e.member);
		if (!err)
			continue;
		log_warn("a member of a namespace cannot be brought up again: %s", strerror(-err));
		if (err == -ENOENT)
			resume_space_remove(&node->resume, &e.space, &e.member);
	}
}

/* ---- the commons ---- */

static void farewell_down(struct node *node)
{
	uint8_t own[ADDRESS_SECRET_LEN];
	struct address member;

	if (stand_in(node, &flow_everybody()->address, &member, own))
		return;
	sodium_memzero(own, sizeof(own));
	flow_local_down(node->flow, &member);
	mesh_local_down(node->mesh, &member);
}

static int farewell_up(struct node *node)
{
	uint8_t own[ADDRESS_SECRET_LEN];
	struct address member;
	int err = stand_in(node, &flow_everybody()->address, &member, own);

	if (err)
		return err;
	err = mesh_local_up(node->mesh, &member, own);
	sodium_memzero(own, sizeof(own));
	if (err)
		return err;
	err = flow_local_up(node->flow, &member);
	if (!err)
		err = flow_commons_up(node->flow, &member);
	if (err)
		farewell_down(node);
	return err;
}

static void farewell_close(struct node *node)
{
	uv_close((uv_handle_t *)node->farewell, (uv_close_cb)free);
	node->farewell = NULL;
}

static void on_farewell(uv_timer_t *timer)
{
	struct node *node = timer->data;

	farewell_down(node);
	farewell_close(node);
}

void node_farewell(struct node *node)
{
	int err = 0;

	/* Others are there, who keep it with all the rest. */
	if (!node->farewell && flow_commons_is_up(node->flow))
		return;
	if (!node->farewell) {
		node->farewell = calloc(1, sizeof(*node->farewell));
		if (!node->farewell)
			return;
		uv_timer_init(node->loop, node->farewell);
		node->farewell->data = node;
		err = farewell_up(node);
	}
	if (err) {
		log_debug("a good-bye waits until a user is online: %s", strerror(-err));
		farewell_close(node);
	} else {
		uv_timer_start(node->farewell, on_farewell, FAREWELL_MS, 0);
	}
}

void node_farewell_end(struct node *node)
{
	if (!node->farewell)
		return;
	farewell_down(node);
	farewell_close(node);
}

/* ---- the client protocol ---- */

struct pending {
	backend_done_cb done;
	void *ctx;
};

static void created_durable(void *ctx, int err)
{
	struct pending *p = ctx;

	p->done(p->ctx, err);
	free(p);
}

bool node_is_commons(const struct address *space)
{
	return address_equal(space, &flow_everybody()->address);
}

void node_space_create(void *be, const struct address *space, const uint8_t *key,
		       backend_done_cb cb, void *ctx)
{
	struct node *node = be;
	struct pending *p = malloc(sizeof(*p));
	int err = !p ? -ENOMEM : node_is_commons(space) ? -EPERM :
		  spaces_create(node->store, space, key);

	if (err) {
		free(p);
		cb(ctx, err);
		return;
	}
	p->done = cb;
	p->ctx = ctx;
	store_commit(node->store, created_durable, p);
}

void node_space_join(void *be, const struct address *client, const struct address *space,
		     backend_done_cb cb, void *ctx)
{
	cb(ctx, node_space_up(be, space, client));
}

void node_space_leave(void *be, const struct address *client, const struct address *space,
		      backend_done_cb cb, void *ctx)
{
	struct node *node = be;

	if (!spaces_has(node->store, space)) {
		cb(ctx, -ENOENT);
	} else if (!resume_space_has(&node->resume, space, client)) {
		cb(ctx, -EINVAL);
	} else {
		node_space_down(node, space, client);
		cb(ctx, 0);
	}
}

int node_anycast(void *be, const struct address *self, const struct address *space,
		 backend_answer_cb answer, void *ctx, struct backend_anycast **out)
{
	struct node *node = be;

	return flow_probe_start(node->flow, self, space, answer, ctx, (struct flow_probe **)out);
}

void node_anycast_stop(struct backend_anycast *a)
{
	flow_probe_stop((struct flow_probe *)a);
}
