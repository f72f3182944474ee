// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/login.h"

#include <errno.h>
#include <sodium.h>

#include "ratmand/api/client.h"

static void on_timer(uv_timer_t *timer);

/* Sets the timer to when the next session expires. */
static void arm(struct api_server *s)
{
	uint64_t now = uv_now(s->loop);
	uint64_t next = token_table_next(s->tokens);

	if (next == UINT64_MAX || s->closing)
		uv_timer_stop(&s->session_timer);
	else
		uv_timer_start(&s->session_timer, on_timer, next > now ? next - now : 0, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct api_server *s = timer->data;

	login_tick(s);
	/* It was early, when the session it was set for has been used since. */
	arm(s);
}

static void on_closed(uv_handle_t *handle)
{
	server_release(handle->data);
}

void login_init(struct api_server *s)
{
	uv_timer_init(s->loop, &s->session_timer);
	s->session_timer.data = s;
	s->handles++;
}

void login_stop(struct api_server *s)
{
	uv_close((uv_handle_t *)&s->session_timer, on_closed);
}

/* One session more is too many. */
static bool is_full(struct api_server *s)
{
	login_tick(s);
	if (token_table_sessions(s->tokens) + s->promised < s->limits.sessions)
		return false;
	s->counters.refused_sessions++;
	return true;
}

int login_promise(struct api_server *s)
{
	if (is_full(s))
		return -EUSERS;
	s->promised++;
	return 0;
}

void login_unpromise(struct api_server *s)
{
	s->promised--;
}

int login_open(struct client *c, const struct address *address, struct ident *token)
{
	struct api_server *s = c->server;
	struct token_session session = { .address = *address, .uid = client_uid(c) };
	int err;

	if (is_full(s))
		return -EUSERS;
	if (token_table_sessions_of(s->tokens, address) >= s->limits.sessions_per_user) {
		s->counters.refused_user_sessions++;
		return -EMFILE;
	}
	ident_draw(&session.token);
	err = token_table_open(s->tokens, &session, client_now(c) + s->limits.session_ms);
	if (!err) {
		*token = session.token;
		arm(s);
		service_tell(s, true, &session);
	}
	sodium_memzero(&session, sizeof(session));
	return err;
}

/* Ends what works and listens for @address, all of it or what was opened with tokens that are gone. */
static void end_jobs(struct api_server *s, const struct address *address, bool all)
{
	struct client *c, *next;

	for (c = s->clients; c; c = next) {
		next = c->next;
		if (c->job && c->job->address_gone &&
		    (all || !token_table_check(s->tokens, address, &c->header.token)))
			c->job->address_gone(c, c->job, address);
	}
}

void login_settle(struct api_server *s, const struct address *address)
{
	if (!token_table_has(s->tokens, address))
		s->ops->session->offline(s->be, address);
}

/* After @session was taken out of the table; wipes it. */
static void ended(struct api_server *s, struct token_session *session)
{
	service_tell(s, false, session);
	end_jobs(s, &session->address, false);
	login_settle(s, &session->address);
	sodium_memzero(session, sizeof(*session));
}

bool login_close(struct api_server *s, const struct ident *token)
{
	struct token_session session;

	if (!token_table_close(s->tokens, token, &session))
		return false;
	ended(s, &session);
	arm(s);
	return true;
}

void login_address_gone(struct api_server *s, const struct address *address)
{
	struct token_session session;

	token_table_remove(s->tokens, address);
	while (token_table_take(s->tokens, address, &session)) {
		service_tell(s, false, &session);
		sodium_memzero(&session, sizeof(session));
	}
	end_jobs(s, address, true);
	arm(s);
}

/* True while a request that came with @token is worked on: no socket that only listens. */
static bool is_used(const struct api_server *s, const struct ident *token)
{
	for (const struct client *c = s->clients; c; c = c->next)
		if ((c->job || c->calls) && c->header.mode != MODE_REPLY && c->header.has_token &&
		    !sodium_memcmp(c->header.token.b, token->b, sizeof(token->b)))
			return true;
	return false;
}

void login_tick(struct api_server *s)
{
	uint64_t now = uv_now(s->loop);
	struct token_session session;

	token_table_set_now(s->tokens, now);
	if (token_table_next(s->tokens) > now)
		return;
	while (token_table_take_expired(s->tokens, &session)) {
		if (is_used(s, &session.token) &&
		    !token_table_open(s->tokens, &session, now + s->limits.session_ms)) {
			sodium_memzero(&session, sizeof(session));
			continue;
		}
		s->counters.expired_sessions++;
		ended(s, &session);
	}
	arm(s);
}

void login_renew(struct client *c)
{
	struct api_server *s = c->server;

	/* The timer stays: when it is early it is set anew. */
	if (c->header.has_token && token_table_sessions(s->tokens))
		token_table_renew(s->tokens, &c->header.token,
				  client_now(c) + s->limits.session_ms);
}
