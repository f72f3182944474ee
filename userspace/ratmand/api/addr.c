// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 1, Addr (microframe.md section 3.3).
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/api/client.h"

static void on_created(void *ctx, int err, const struct address *address,
		       const struct ident *token)
{
	struct client *c = ctx;

	if (!client_answered(c))
		return;
	if (err == -E2BIG) {
		client_reply_internal(c, false, "this router has as many addresses as it can keep");
	} else if (err) {
		client_reply_errno(c, false, err);
	} else {
		/* The new token travels where the reply to other requests echoes the old one. */
		c->header.has_token = true;
		c->header.token = *token;
		client_frame(c, MODE_REPLY, true, address->b, ADDRESS_LEN);
		sodium_memzero(&c->header.token, sizeof(c->header.token));
		c->header.has_token = false;
	}
	client_process(c);
}

void addr_create(struct client *c)
{
	struct api_server *s = c->server;
	struct payload_create create;

	if (payload_read_create(c->payload, c->header.payload_len, &create)) {
		client_reply_input(c, "name", "UTF-8 of at most 255 bytes, 00, optional 32-byte key");
		return;
	}
	if (!quota_take(c)) {
		client_reply_internal(c, false, "too many new addresses: wait a minute");
		sodium_memzero(&create, sizeof(create));
		return;
	}
	client_ask(c);
	s->ops->addr_create(s->be, create.name[0] ? create.name : NULL,
			    create.has_key ? create.key : NULL, on_created, c);
	sodium_memzero(&create, sizeof(create));
}

/* What Up, Down and Destroy remember until the backend has answered. */
struct addr_call {
	struct client *client;
	struct address address;
};

static struct addr_call *addr_call_new(struct client *c, const struct address *address)
{
	struct addr_call *call = malloc(sizeof(*call));

	if (!call) {
		client_reply_internal(c, false, "out of memory");
		return NULL;
	}
	call->client = c;
	call->address = *address;
	client_ask(c);
	return call;
}

static void addr_reply(struct client *c, int err)
{
	if (err)
		client_reply_errno(c, false, err);
	else
		client_reply_ok(c);
	client_process(c);
}

static void on_up(void *ctx, int err)
{
	struct addr_call *call = ctx;
	struct client *c = call->client;

	/* Even when the client left meanwhile: the address is up, and others hold its token. */
	if (!err)
		err = token_table_put(c->server->tokens, &call->address, &c->header.token);
	free(call);
	if (client_answered(c))
		addr_reply(c, err);
}

void addr_up(struct client *c)
{
	struct api_server *s = c->server;
	struct addr_call *call;
	struct address address;

	memcpy(address.b, c->payload, ADDRESS_LEN);
	/* Who holds a session is up as long as that lasts. */
	if (dispatch_check(c, &address) && token_table_is_session(s->tokens, &c->header.token)) {
		client_reply_ok(c);
		return;
	}
	call = addr_call_new(c, &address);
	if (call)
		s->ops->addr_up(s->be, &call->address, &c->header.token, on_up, call);
}

static void on_gone(void *ctx, int err)
{
	struct addr_call *call = ctx;
	struct client *c = call->client;

	if (!err)
		login_address_gone(c->server, &call->address);
	free(call);
	if (client_answered(c))
		addr_reply(c, err);
}

void addr_down(struct client *c)
{
	struct api_server *s = c->server;
	struct addr_call *call;
	struct address address;

	memcpy(address.b, c->payload, ADDRESS_LEN);
	call = addr_call_new(c, &address);
	if (call)
		s->ops->addr_down(s->be, &call->address, on_gone, call);
}

static void on_destroyed(void *ctx, int err)
{
	struct addr_call *call = ctx;
	struct client *c = call->client;

	/* Nobody has a token for what is left of it. */
	if (err)
		login_settle(c->server, &call->address);
	free(call);
	if (client_answered(c))
		addr_reply(c, err);
}

void addr_remove(struct client *c, const struct address *address, bool force)
{
	struct api_server *s = c->server;
	struct addr_call *call = addr_call_new(c, address);

	if (!call)
		return;
	/* First of all: what is asked for the address from now on must not be written any more. */
	login_address_gone(s, address);
	s->ops->addr_destroy(s->be, &call->address, &c->header.token, force, on_destroyed, call);
}

void addr_destroy(struct client *c)
{
	struct address address;
	bool force;

	if (payload_read_destroy(c->payload, c->header.payload_len, &address, &force)) {
		client_reply_input(c, "payload", "address and force");
		return;
	}
	addr_remove(c, &address, force);
}

struct addr_list {
	uint8_t *ids;		/* owned */
	size_t n, room;
	bool failed;
};

static void collect(void *ctx, const struct address *address)
{
	struct addr_list *list = ctx;

	if (list->failed || list->n == UINT16_MAX)
		return;
	if (list->n == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		uint8_t *p = realloc(list->ids, room * ADDRESS_LEN);

		if (!p) {
			list->failed = true;
			return;
		}
		list->ids = p;
		list->room = room;
	}
	memcpy(list->ids + ADDRESS_LEN * list->n++, address->b, ADDRESS_LEN);
}

void addr_list(struct client *c)
{
	struct api_server *s = c->server;
	struct addr_list list = { 0 };
	uint8_t count[2];
	struct frame_header h = { .mode = MODE_REPLY };
	uint8_t header[HEADER_WRITE_MAX];

	s->ops->addr_list(s->be, collect, &list);
	if (list.failed) {
		/* An Error here could not be read: it is a bare list. */
		log_error("out of memory: closing a client connection");
		free(list.ids);
		client_kill(c);
		return;
	}
	count[0] = (uint8_t)(list.n >> 8);
	count[1] = (uint8_t)list.n;
	h.payload_len = (uint32_t)(2 + list.n * ADDRESS_LEN);
	client_write(c, header, header_write(header, &h));
	client_write(c, count, sizeof(count));
	client_write(c, list.ids, list.n * ADDRESS_LEN);
	free(list.ids);
}
