// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/api/client.h"
#include "ratmand/kern/sockdiag.h"

#define BACKLOG 128
#define FD_RESERVE 16

void api_config_defaults(struct api_config *cfg)
{
	*cfg = (struct api_config){
		.bind = "127.0.0.1:5852",
		.limits = {
			.clients = LIMIT_CLIENTS,
			.payload = LIMIT_CONTROL_PAYLOAD,
			.first_frame_ms = LIMIT_FIRST_FRAME_MS,
			.frame_ms = LIMIT_FRAME_MS,
			.idle_ms = LIMIT_IDLE_MS,
			.auth_failures = LIMIT_AUTH_FAILURES,
			.helper_accept_ms = LIMIT_HELPER_ACCEPT_MS,
			.write_stall_ms = LIMIT_WRITE_STALL_MS,
			.write_queue = LIMIT_WRITE_QUEUE,
			.recipients = LIMIT_RECIPIENTS,
			.send_grace_ms = LIMIT_SEND_GRACE_MS,
			.send_empty_ms = 50,
			.linger_ms = 1000,
		},
	};
}

/* Parses "ip:port", "[ip6]:port" or "localhost:port". */
static int parse_bind(const char *text, struct sockaddr_storage *out)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	char *end;
	long port;

	if (!colon || !len || len >= sizeof(host) || !colon[1] || colon[1] == '-' ||
	    colon[1] == '+' || colon[1] == ' ')
		return -EINVAL;
	port = strtol(colon + 1, &end, 10);
	if (*end || port < 0 || port > 65535)
		return -EINVAL;
	if (text[0] == '[') {
		if (text[len - 1] != ']')
			return -EINVAL;
		memcpy(host, text + 1, len - 2);
		host[len - 2] = '\0';
		return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out);
	}
	memcpy(host, text, len);
	host[len] = '\0';
	return uv_ip4_addr(strcmp(host, "localhost") ? host : "127.0.0.1", (int)port,
			   (struct sockaddr_in *)out);
}

bool server_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->ss_family == AF_INET6 &&
	       !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) &&
	       a6->sin6_scope_id == b6->sin6_scope_id;
}

void server_format_bind(const struct sockaddr_storage *a, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;

		uv_ip4_name(in, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(in->sin_port));
	} else {
		const struct sockaddr_in6 *in6 = (const void *)a;

		uv_ip6_name(in6, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	}
}

static void server_accept(struct api_server *s)
{
	struct client *c = client_new(s);

	if (!c)
		return;	/* stays in accept_waits; tried again when a client goes */
	s->accept_waits = false;
	if (uv_accept((uv_stream_t *)&s->listener, (uv_stream_t *)&c->tcp)) {
		client_kill(c);
		return;
	}
	if (s->counters.clients > s->limits.clients) {
		s->counters.refused_full++;
		client_kill(c);
		return;
	}
	s->counters.accepted++;
	client_start(c);
}

/* Descriptors from here on are kept for data sockets, files and the database. */
static int fd_reserve_start(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur > INT32_MAX)
		return INT32_MAX;
	return limit.rlim_cur > 4 * FD_RESERVE ? (int)limit.rlim_cur - FD_RESERVE : INT32_MAX;
}

/* True when the descriptor a new connection got is in the reserve. */
static bool fds_are_low(const struct api_server *s)
{
	int accepted = s->listener.accepted_fd;

	return accepted >= s->fd_reserve_from && s->counters.clients > 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct api_server *s = listener->data;

	if (status < 0 || s->closing)
		return;
	/* While a connection waits libuv does not poll the listener: accepting is paused. */
	s->accept_waits = true;
	if (fds_are_low(s)) {
		s->counters.paused_fds++;
		return;
	}
	server_accept(s);
}

static void server_maybe_closed(struct api_server *s)
{
	void (*closed)(void *ctx) = s->closed;
	void *ctx = s->closed_ctx;

	if (!s->closing || s->handles || s->clients)
		return;
	token_table_free(s->tokens);
	if (s->diag >= 0)
		close(s->diag);
	free(s);
	if (closed)
		closed(ctx);
}

void server_client_gone(struct api_server *s)
{
	if (s->accept_waits && !s->closing)
		server_accept(s);
	server_maybe_closed(s);
}

void server_release(struct api_server *s)
{
	s->handles--;
	server_maybe_closed(s);
}

static void on_listener_closed(uv_handle_t *handle)
{
	server_release(handle->data);
}

/* Binds and listens on @bind. */
static int server_listen(struct api_server *s, const char *bind, char *why, size_t why_size)
{
	struct sockaddr_storage addr = { 0 };
	int len = sizeof(addr);
	int err = parse_bind(bind, &addr);

	if (err) {
		snprintf(why, why_size, "api_bind \"%s\" is not of the form IP:PORT or [IP6]:PORT",
			 bind);
		return -EINVAL;
	}
	err = uv_tcp_bind(&s->listener, (struct sockaddr *)&addr, 0);
	if (!err)
		err = uv_listen((uv_stream_t *)&s->listener, BACKLOG, on_connection);
	if (!err)
		err = uv_tcp_getsockname(&s->listener, (struct sockaddr *)&addr, &len);
	if (err) {
		snprintf(why, why_size, "cannot listen on %s: %s", bind, uv_strerror(err));
		return err;
	}
	s->port = ntohs(addr.ss_family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port :
			((struct sockaddr_in6 *)&addr)->sin6_port);
	return 0;
}

int api_server_new(struct api_server **out, uv_loop_t *loop, const struct api_config *cfg,
		   const struct backend_ops *ops, void *be, char *why, size_t why_size)
{
	struct api_server *s = calloc(1, sizeof(*s));
	int err;

	if (!s || !(s->tokens = token_table_new())) {
		free(s);
		snprintf(why, why_size, "out of memory");
		return -ENOMEM;
	}
	s->loop = loop;
	s->limits = cfg->limits;
	s->ops = ops;
	s->be = be;
	s->diag = -1;
	s->fd_reserve_from = fd_reserve_start();
	err = uv_tcp_init(loop, &s->listener);
	if (err) {
		snprintf(why, why_size, "cannot make a socket: %s", uv_strerror(err));
		token_table_free(s->tokens);
		free(s);
		return err;
	}
	s->handles = 1;
	s->listener.data = s;
	err = server_listen(s, cfg->bind, why, why_size);
	if (err) {
		api_server_free(s, NULL, NULL);
		return err;
	}
	s->diag = sockdiag_open();
	*out = s;
	return 0;
}

void api_server_free(struct api_server *s, void (*closed)(void *ctx), void *ctx)
{
	s->closing = true;
	s->closed = closed;
	s->closed_ctx = ctx;
	for (struct client *c = s->clients, *next; c; c = next) {
		next = c->next;
		client_kill(c);
	}
	helper_close_everything(s);
	uv_close((uv_handle_t *)&s->listener, on_listener_closed);
}

uint16_t api_server_port(const struct api_server *s)
{
	return s->port;
}

const struct api_counters *api_server_counters(const struct api_server *s)
{
	return &s->counters;
}

size_t api_server_tokens(const struct api_server *s)
{
	return token_table_count(s->tokens);
}

int api_token_restore(struct api_server *s, const struct address *address,
		      const struct ident *token)
{
	return token_table_put(s->tokens, address, token);
}

int api_server_adopt(struct api_server *s, int fd)
{
	struct client *c = client_new(s);
	int err;

	if (!c)
		return -ENOMEM;
	err = uv_tcp_open(&c->tcp, fd);
	if (err) {
		client_kill(c);
		return err;
	}
	s->counters.accepted++;
	client_start(c);
	return 0;
}
