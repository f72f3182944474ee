// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * From a complete request to its handler: the only place that checks length
 * and authentication, both out of the op table.
 */
#include <errno.h>
#include <string.h>

#include "ratmand/api/client.h"

/* Where the `from` of the first letterhead stands in each Send. */
#define SEND_ONE_FROM 1
#define SEND_MANY_FROM 3

static void (*const handlers[OP_COUNT])(struct client *c) = {
	[OP_INTRINSIC_UP] = intrinsic_up,
	[OP_INTRINSIC_DOWN] = intrinsic_down,
	[OP_INTRINSIC_STATUS] = intrinsic_status,
	[OP_INTRINSIC_LIMITS] = intrinsic_limits,
	[OP_ADDR_CREATE] = addr_create,
	[OP_ADDR_DESTROY] = addr_destroy,
	[OP_ADDR_SUB] = addr_sub,
	[OP_ADDR_RESUB] = addr_resub,
	[OP_ADDR_UNSUB] = addr_unsub,
	[OP_ADDR_UP] = addr_up,
	[OP_ADDR_DOWN] = addr_down,
	[OP_ADDR_LIST] = addr_list,
	[OP_CONTACT_ADD] = contact_add,
	[OP_CONTACT_DELETE] = contact_delete,
	[OP_CONTACT_MODIFY] = contact_modify,
	[OP_CONTACT_LIST] = contact_list,
	[OP_CONTACT_QUERY] = contact_query,
	[OP_LINK_CREATE] = link_create,
	[OP_LINK_DESTROY] = link_destroy,
	[OP_LINK_UP] = link_up,
	[OP_LINK_DOWN] = link_down,
	[OP_LINK_LIST] = link_list,
	[OP_PEER_LIST] = peer_list,
	[OP_PEER_QUERY] = peer_query,
	[OP_PEER_STATUS] = peer_status,
	[OP_RECV_ONE] = recv_one,
	[OP_RECV_MANY] = recv_many,
	[OP_SEND_ONE] = send_one,
	[OP_SEND_MANY] = send_many,
	[OP_STREAM_SUB] = stream_sub,
	[OP_STREAM_RESUB] = stream_resub,
	[OP_STREAM_UNSUB] = stream_unsub,
	[OP_STREAM_LIST] = stream_list,
	[OP_SPACE_CREATE] = space_create,
	[OP_SPACE_UP] = space_up,
	[OP_SPACE_DOWN] = space_down,
	[OP_SPACE_ANYCAST] = space_anycast,
	[OP_STREAM_UP] = stream_up,
	[OP_STREAM_DOWN] = stream_down,
	[OP_FILE_CREATE] = file_create,
	[OP_FILE_SUB] = file_sub,
	[OP_FILE_UP] = file_up,
	[OP_FILE_DOWN] = file_down,
	[OP_FILE_ADD] = file_add,
	[OP_FILE_DELETE] = file_delete,
	[OP_FILE_MODIFY] = file_modify,
	[OP_FILE_LIST] = file_list,
	[OP_FILE_QUERY] = file_list,
	[OP_FILE_ONE] = file_send,
	[OP_FILE_MANY] = file_send,
	[OP_FILE_STATUS] = file_status,
	[OP_FILE_GET] = file_get,
	[OP_USER_CREATE] = user_create,
	[OP_USER_DESTROY] = user_destroy,
	[OP_USER_UP] = user_up,
	[OP_USER_DOWN] = user_down,
	[OP_USER_MODIFY] = user_modify,
	[OP_USER_STATUS] = user_status,
	[OP_SERVICE_CREATE] = service_create,
	[OP_SERVICE_DESTROY] = service_destroy,
	[OP_SERVICE_ADD] = service_add,
	[OP_SERVICE_DELETE] = service_delete,
	[OP_SERVICE_LIST] = service_list,
	[OP_SERVICE_QUERY] = service_query,
	[OP_SERVICE_STATUS] = service_status,
	[OP_MESSAGE_ONE] = message_one,
	[OP_MESSAGE_MANY] = message_many,
	[OP_MESSAGE_QUERY] = message_query,
	[OP_MESSAGE_MODIFY] = message_modify,
	[OP_MESSAGE_DELETE] = message_delete,
	[OP_MESSAGE_SUB] = message_sub,
	[OP_MESSAGE_RESUB] = message_resub,
	[OP_MESSAGE_UNSUB] = message_unsub,
	[OP_USER_LIST] = user_list,
	[OP_USER_QUERY] = user_query,
	[OP_USER_SUB] = user_sub,
	[OP_USER_UNSUB] = user_unsub,
};

/* The "check" of section 3.0. */
bool dispatch_check(struct client *c, const struct address *address)
{
	/* A missing token is all zeroes here, stands for nothing, and costs what a wrong one does. */
	bool good = token_table_check(c->server->tokens, address, &c->header.token);

	return c->header.has_token && good;
}

struct address dispatch_owner(struct client *c)
{
	struct address owner = { { 0 } };

	/* The table has it: authorised() asked, and nothing happened since. */
	token_table_find(c->server->tokens, &c->header.token, &owner);
	return owner;
}

static bool check_at(struct client *c, size_t offset)
{
	struct address address;

	if (c->header.payload_len < offset + ADDRESS_LEN)
		return false;
	memcpy(address.b, c->payload + offset, ADDRESS_LEN);
	return dispatch_check(c, &address);
}

/* Returns 0, -1 for a wrong token, -2 for an address that is not ours. */
static int check_owner(struct client *c)
{
	struct api_server *s = c->server;
	struct address address;
	int err;

	if (check_at(c, 0))
		return 0;
	memcpy(address.b, c->payload, ADDRESS_LEN);
	err = s->ops->addr_check(s->be, &address, &c->header.token);
	if (!c->header.has_token)
		return -1;
	return !err ? 0 : err == -ENOENT ? -2 : -1;
}

static void refuse(struct client *c, const struct op *op, enum ping_error_code code)
{
	const struct ping_error e = { .code = code };

	if (op->id == OP_SEND_ONE && !(c->capabilities & CAPABILITY_SEND_SOCKET))
		send_one_refused(c, &e);
	else if (code == PING_E_AUTH)
		client_reply_denied(c);
	else
		client_reply_code(c, code);
}

static bool authorised(struct client *c, const struct op *op)
{
	bool ok = false;

	login_tick(c->server);
	switch (op->auth) {
	case OP_AUTH_NONE:
		return true;
	case OP_AUTH_OPTIONAL:
		ok = !c->header.has_token ||
		     token_table_knows(c->server->tokens, &c->header.token);
		break;
	case OP_AUTH_PRESENT:
		ok = c->header.has_token;
		break;
	case OP_AUTH_TOKEN:
		ok = c->header.has_token &&
		     token_table_knows(c->server->tokens, &c->header.token);
		break;
	case OP_AUTH_ADDRESS:
		ok = check_at(c, 0);
		break;
	case OP_AUTH_SUBSCRIBER:
		ok = check_at(c, sizeof(struct ident));
		break;
	case OP_AUTH_OWNER:
		switch (check_owner(c)) {
		case 0:
			ok = true;
			break;
		case -2:
			refuse(c, op, PING_E_NO_ADDRESS);
			return false;
		}
		break;
	case OP_AUTH_FROM:
		/* An empty list says nothing about an address: the handler refuses it. */
		if (op->id == OP_SEND_MANY && c->payload[0] == 0 && c->payload[1] == 0)
			return true;
		ok = check_at(c, op->id == OP_SEND_ONE ? SEND_ONE_FROM : SEND_MANY_FROM);
		break;
	case OP_AUTH_ADMIN:
		ok = c->admin;
		break;
	}
	if (ok)
		login_renew(c);
	else
		refuse(c, op, PING_E_AUTH);
	return ok;
}

/* Section 3.1: the first frame; its mode is 0010, or 0000 as one upstream test sends. */
static void dispatch_hello(struct client *c)
{
	if (c->header.mode == MODE_REPLY)
		c->header.mode = op_get(OP_INTRINSIC_UP)->mode;
	if (c->header.mode != op_get(OP_INTRINSIC_UP)->mode)
		c->header.payload_len = 0;	/* no hello: refused as malformed */
	intrinsic_up(c);
}

/* True when this client can be given what @op answers. */
static bool is_offered(const struct client *c, const struct op *op)
{
	return op && handlers[op->id] && (op->reply != OP_REPLY_EXTENDED ||
					  (c->capabilities & CAPABILITY_EXTENDED));
}

void dispatch_request(struct client *c)
{
	const struct op *op;

	if (c->phase == CLIENT_HELLO) {
		dispatch_hello(c);
		return;
	}
	op = op_find(c->header.mode);
	if (!is_offered(c, op)) {
		c->server->counters.unsupported++;
		client_reply_code(c, PING_E_NOT_SUPPORTED);
		return;
	}
	if (c->header.payload_len < op->min_len || c->header.payload_len > op->max_len) {
		client_reply_input(c, "payload size", op->name);
		/* What follows a Send/One nobody could read is stream or request: who knows. */
		if (op->id == OP_SEND_ONE)
			client_finish(c);
		return;
	}
	if (authorised(c, op))
		handlers[op->id](c);
}
