// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ratmand/api/client.h"
#include "ratmand/kern/sockdiag.h"

void api_config_defaults(struct api_config *cfg)
{
	*cfg = (struct api_config){
		.bind = "127.0.0.1:5852",
		.socket_mode = 0666,
		.socket_gid = (gid_t)-1,
	};
	api_limits_defaults(&cfg->limits);
}

static void server_maybe_closed(struct api_server *s)
{
	void (*closed)(void *ctx) = s->closed;
	void *ctx = s->closed_ctx;

	if (!s->closing || s->handles || s->clients)
		return;
	token_table_free(s->tokens);
	free(s->socket_path);
	if (s->diag >= 0)
		close(s->diag);
	free(s);
	if (closed)
		closed(ctx);
}

void server_client_gone(struct api_server *s)
{
	if (!s->closing)
		listen_resume(s);
	server_maybe_closed(s);
}

void server_release(struct api_server *s)
{
	s->handles--;
	server_maybe_closed(s);
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
	err = turn_init(s);
	if (err) {
		snprintf(why, why_size, "cannot use the event loop: %s", uv_strerror(err));
		token_table_free(s->tokens);
		free(s);
		return err;
	}
	login_init(s);
	err = listen_tcp(s, cfg->bind, why, why_size);
	if (!err && cfg->socket)
		err = listen_local(s, cfg, why, why_size);
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
	listen_close(s);
	turn_close(s);
	login_stop(s);
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
	int domain = AF_INET, err;
	socklen_t len = sizeof(domain);
	struct client *c;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	c = client_new(s, domain == AF_UNIX);
	if (!c)
		return -ENOMEM;
	err = c->local ? uv_pipe_open(&c->pipe, fd) : uv_tcp_open(&c->tcp, fd);
	if (err) {
		client_kill(c);
		return err;
	}
	if (c->local)
		listen_identify(c);
	s->counters.accepted++;
	client_start(c);
	return 0;
}
