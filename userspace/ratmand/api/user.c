// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 9, User (service-api.md section 7.3): making, logging in and out,
 * passwords, deleting. Profiles are in profile.c.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ratmand/api/client.h"

/* What a request remembers until the backend has answered. */
struct user_call {
	struct client *client;
	struct api_server *server;
	struct address id;
};

static bool need_sessions(struct client *c)
{
	if (c->server->ops->session)
		return true;
	client_reply_code(c, PING_E_NOT_SUPPORTED);
	return false;
}

/* Begins a request whose answer takes a key made from a password; NULL, and answered, when it cannot. */
static struct user_call *password_call(struct client *c, const struct address *id)
{
	struct api_server *s = c->server;
	struct user_call *call;

	if (s->passwords >= LIMIT_PASSWORDS) {
		client_reply_service(c, SERVICE_E_COMM_FAULT,
				     "too many logins at once: try again in a moment");
		return NULL;
	}
	call = calloc(1, sizeof(*call));
	if (!call) {
		client_reply_internal(c, true, "out of memory");
		return NULL;
	}
	call->client = c;
	call->server = s;
	if (id)
		call->id = *id;
	s->passwords++;
	client_ask(c);
	return call;
}

static void password_call_end(struct user_call *call)
{
	call->server->passwords--;
	free(call);
}

/* The id, with the token where other replies echo that of the request. */
static void reply_user(struct client *c, const struct address *id, const struct ident *token)
{
	uint8_t buf[1 + ADDRESS_LEN] = { PING_USER };

	memcpy(buf + 1, id->b, ADDRESS_LEN);
	c->header.has_token = true;
	c->header.token = *token;
	client_reply(c, true, buf, sizeof(buf));
	sodium_memzero(&c->header.token, sizeof(c->header.token));
	c->header.has_token = false;
}

/* The user is online: opens a session for the client, or says why not. */
static void open_session(struct client *c, const struct address *id)
{
	struct ident token;
	int err = login_open(c, id, &token);

	if (err)
		login_settle(c->server, id);
	switch (err) {
	case 0:
		reply_user(c, id, &token);
		sodium_memzero(&token, sizeof(token));
		return;
	case -EUSERS:
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "too many sessions on this router: try again later");
		break;
	case -EMFILE:
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "too many sessions of this user: log out elsewhere");
		break;
	default:
		client_reply_internal(c, true, "out of memory");
	}
}

static void refuse_creation(struct client *c, int err)
{
	switch (err) {
	case -EINVAL:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "the password must have from 1 to 1024 bytes");
		break;
	case -ENAMETOOLONG:
	case -EILSEQ:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "the handle must have at most 64 bytes of UTF-8");
		break;
	case -E2BIG:
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "this router has as many addresses as it can keep");
		break;
	default:
		client_reply_service_errno(c, err);
	}
}

/*
 * The end of a call that brought @id online unless @err: false when the client has left. Then
 * nobody needs the user, and the server may be gone with its last client.
 */
static bool still_there(struct user_call *call, int err, const struct address *id)
{
	struct client *c = call->client;

	if (!err && c->phase == CLIENT_DEAD)
		login_settle(c->server, id);
	password_call_end(call);
	return client_answered(c);
}

static void on_created(void *ctx, int err, const struct address *id)
{
	struct user_call *call = ctx;
	struct client *c = call->client;

	if (!still_there(call, err, id))
		return;
	if (err)
		refuse_creation(c, err);
	else
		open_session(c, id);
	client_process(c);
}

void user_create(struct client *c)
{
	struct field_text password, handle;
	struct user_call *call;
	struct wire_reader r;
	bool has_handle;

	if (!need_sessions(c))
		return;
	wire_read_init(&r, c->payload, c->header.payload_len);
	password = field_get_str(&r, LIMIT_CONTROL_PAYLOAD);
	has_handle = field_get_opt_str(&r, LIMIT_CONTROL_PAYLOAD, &handle);
	if (!wire_done(&r)) {
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "expected a password and an optional handle, both UTF-8");
		return;
	}
	if (!quota_take(c)) {
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "too many new users: wait a minute");
		return;
	}
	call = password_call(c, NULL);
	if (call)
		c->server->ops->session->create(c->server->be, password.at,
						has_handle ? handle.at : NULL, on_created, call);
}

static void on_login(void *ctx, int err)
{
	struct user_call *call = ctx;
	struct client *c = call->client;
	struct address id = call->id;

	if (!still_there(call, err, &id))
		return;
	if (!err) {
		open_session(c, &id);
	} else if (err == -EACCES) {
		client_reply_service(c, SERVICE_E_NO_USER,
				     "there is no such user, or the password is wrong");
		client_auth_failed(c);
	} else {
		client_reply_service_errno(c, err);
	}
	client_process(c);
}

void user_up(struct client *c)
{
	struct field_text password;
	struct user_call *call;
	struct wire_reader r;
	struct address id;

	if (!need_sessions(c))
		return;
	wire_read_init(&r, c->payload, c->header.payload_len);
	wire_get(&r, id.b, ADDRESS_LEN);
	password = field_get_str(&r, LIMIT_CONTROL_PAYLOAD);
	if (!wire_done(&r)) {
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "expected an id and a password in UTF-8");
		return;
	}
	call = password_call(c, &id);
	if (call)
		c->server->ops->session->login(c->server->be, &id, password.at, on_login, call);
}

void user_down(struct client *c)
{
	if (!need_sessions(c))
		return;
	if (login_close(c->server, &c->header.token))
		client_reply_ok(c);
	else
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "this is the address's own token, of no session: Addr/Down takes it down");
}

void user_destroy(struct client *c)
{
	struct address id;
	struct wire_reader r;
	bool purge;

	wire_read_init(&r, c->payload, c->header.payload_len);
	wire_get(&r, id.b, ADDRESS_LEN);
	purge = field_get_bool(&r);
	if (wire_done(&r))
		addr_remove(c, &id, purge);
	else
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD, "expected an id and 00 or 01");
}

void user_status(struct client *c)
{
	client_reply_ok(c);
}

static void on_password(void *ctx, int err)
{
	struct user_call *call = ctx;
	struct client *c = call->client;

	password_call_end(call);
	if (!client_answered(c))
		return;
	if (!err)
		client_reply_ok(c);
	else if (err == -EINVAL)
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "the password must have from 1 to 1024 bytes");
	else
		client_reply_service_errno(c, err);
	client_process(c);
}

/* User/Modify of what = 1. */
static void modify_password(struct client *c)
{
	struct field_text password;
	struct user_call *call;
	struct wire_reader r;
	struct address id;

	if (!need_sessions(c))
		return;
	wire_read_init(&r, c->payload, c->header.payload_len);
	wire_get(&r, id.b, ADDRESS_LEN);
	wire_get_u8(&r);
	password = field_get_str(&r, LIMIT_CONTROL_PAYLOAD);
	if (!wire_done(&r)) {
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "expected an id, 1 and a password in UTF-8");
		return;
	}
	call = password_call(c, &id);
	if (call)
		c->server->ops->session->set_password(c->server->be, &id, password.at, on_password,
						      call);
}

void user_modify(struct client *c)
{
	switch (c->payload[ADDRESS_LEN]) {
	case 0:
		user_modify_profile(c);
		break;
	case 1:
		modify_password(c);
		break;
	default:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "what is to be modified: 0 the profile, 1 the password");
	}
}
