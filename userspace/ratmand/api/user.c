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

/* A request whose answer takes a key made from a password. */
struct user_call {
	struct password_wait wait;	/* first member */
	struct client *client;
	struct api_server *server;
	struct address id;		/* unless it is to be made */
	bool creates;
	char *password, *handle;	/* owned; the handle may be NULL */
};

static bool need_sessions(struct client *c)
{
	if (c->server->ops->session)
		return true;
	client_reply_code(c, PING_E_NOT_SUPPORTED);
	return false;
}

static void call_free(struct user_call *call)
{
	if (call->password)
		sodium_memzero(call->password, strlen(call->password));
	free(call->password);
	free(call->handle);
	free(call);
}

/* Nobody waits for it any more, and it has not begun. */
static void drop(struct password_wait *w)
{
	struct user_call *call = (struct user_call *)w;
	struct client *c = call->client;

	if (call->creates)
		login_unpromise(call->server);
	call_free(call);
	client_answered(c);
}

/* NULL, and answered, when there are too many of them. */
static struct user_call *call_new(struct client *c, const char *password)
{
	struct user_call *call;

	if (!passwords_have_room(c)) {
		client_reply_service(c, SERVICE_E_COMM_FAULT,
				     "too many logins at once: try again in a moment");
		return NULL;
	}
	call = calloc(1, sizeof(*call));
	if (call)
		call->password = strdup(password);
	if (!call || !call->password) {
		free(call);
		client_reply_internal(c, true, "out of memory");
		return NULL;
	}
	call->client = c;
	call->server = c->server;
	call->wait.client = c;
	call->wait.drop = drop;
	return call;
}

static void call_start(struct user_call *call, void (*begin)(struct password_wait *w))
{
	call->wait.begin = begin;
	client_ask(call->client);
	passwords_enter(call->server, &call->wait);
}

/* The backend has answered. */
static void call_end(struct user_call *call)
{
	passwords_leave(call->server, &call->wait);
	call_free(call);
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

static void refuse_session(struct client *c, int err)
{
	switch (err) {
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

/* The user is online: opens a session for the client and answers. An error of login_open(). */
static int open_session(struct client *c, const struct address *id)
{
	struct ident token;
	int err = login_open(c, id, &token);

	if (!err)
		reply_user(c, id, &token);
	sodium_memzero(&token, sizeof(token));
	return err;
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

static void on_created(void *ctx, int err, const struct address *id)
{
	struct user_call *call = ctx;
	struct client *c = call->client;
	struct api_server *s = call->server;
	int refused = 0;

	login_unpromise(s);
	call_end(call);
	if (!err && c->phase != CLIENT_DEAD) {
		refused = open_session(c, id);
		/* A client that left is noticed by now. */
		client_flush(c);
	}
	/* Nobody was told of the user, and nobody would find him. */
	if (!err && (refused || c->phase == CLIENT_DEAD)) {
		login_address_gone(s, id);
		s->ops->session->discard(s->be, id);
	}
	if (!client_answered(c))
		return;
	if (err)
		refuse_creation(c, err);
	else if (refused)
		refuse_session(c, refused);
	client_process(c);
}

static void begin_creation(struct password_wait *w)
{
	struct user_call *call = (struct user_call *)w;
	struct api_server *s = call->server;

	s->ops->session->create(s->be, call->password, call->handle, on_created, call);
}

/* The request can be read. Whatever may refuse it does before anything is made. */
static void create(struct client *c, const char *password, const char *handle)
{
	struct user_call *call = call_new(c, password);
	int err;

	if (!call)
		return;
	call->creates = true;
	call->handle = handle ? strdup(handle) : NULL;
	err = handle && !call->handle ? -ENOMEM : login_promise(c->server);
	if (err) {
		call_free(call);
		refuse_session(c, err);
	} else if (!quota_take(c)) {
		login_unpromise(c->server);
		call_free(call);
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "too many new users: wait a minute");
	} else {
		call_start(call, begin_creation);
	}
}

void user_create(struct client *c)
{
	struct field_text password, handle;
	struct wire_reader r;
	bool has_handle;

	if (!need_sessions(c))
		return;
	wire_read_init(&r, c->payload, c->header.payload_len);
	password = field_get_str(&r, LIMIT_CONTROL_PAYLOAD);
	has_handle = field_get_opt_str(&r, LIMIT_CONTROL_PAYLOAD, &handle);
	if (wire_done(&r))
		create(c, password.at, has_handle ? handle.at : NULL);
	else
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "expected a password and an optional handle, both UTF-8");
}

static void on_login(void *ctx, int err)
{
	struct user_call *call = ctx;
	struct client *c = call->client;
	struct api_server *s = call->server;
	struct address id = call->id;
	int refused = 0;

	call_end(call);
	if (!err && c->phase != CLIENT_DEAD)
		refused = open_session(c, &id);
	/* No session came of it: unless there is another, he goes offline again. */
	if (!err && (refused || c->phase == CLIENT_DEAD))
		login_settle(s, &id);
	if (!client_answered(c))
		return;
	if (err == -EACCES) {
		client_reply_service(c, SERVICE_E_NO_USER,
				     "there is no such user, or the password is wrong");
		client_auth_failed(c);
	} else if (err) {
		client_reply_service_errno(c, err);
	} else if (refused) {
		refuse_session(c, refused);
	}
	client_process(c);
}

static void begin_login(struct password_wait *w)
{
	struct user_call *call = (struct user_call *)w;
	struct api_server *s = call->server;

	s->ops->session->login(s->be, &call->id, call->password, on_login, call);
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
	call = call_new(c, password.at);
	if (!call)
		return;
	call->id = id;
	call_start(call, begin_login);
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

	call_end(call);
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

static void begin_change(struct password_wait *w)
{
	struct user_call *call = (struct user_call *)w;
	struct api_server *s = call->server;

	s->ops->session->set_password(s->be, &call->id, call->password, on_password, call);
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
	call = call_new(c, password.at);
	if (!call)
		return;
	call->id = id;
	call_start(call, begin_change);
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
