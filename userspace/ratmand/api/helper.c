// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/helper.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

#include "base/limits.h"
#include "ratmand/api/client.h"

struct helper {
	struct helper *prev, *next;	/* server->helpers */
	struct api_server *server;
	struct client *client;		/* NULL: he said goodbye */
	const struct helper_ops *ops;
	void *ctx;
	struct sockaddr_storage peer;	/* who may come */
	uv_tcp_t listener;
	uv_timer_t timer;
	unsigned int handles;		/* not closed yet */
	bool accepted;
	bool closed;
};

static void on_closed(uv_handle_t *handle)
{
	struct helper *h = handle->data;
	struct api_server *s = h->server;

	if (--h->handles)
		return;
	free(h);
	server_release(s);
}

void helper_close(struct helper *h)
{
	if (h->closed)
		return;
	h->closed = true;
	DL_DELETE(h->server->helpers, h);
	h->server->counters.helpers--;
	if (h->client)
		h->client->helpers--;
	if (h->ops->gone)
		h->ops->gone(h->ctx);
	uv_close((uv_handle_t *)&h->listener, on_closed);
	uv_close((uv_handle_t *)&h->timer, on_closed);
}

int helper_accept(struct helper *h, uv_tcp_t *tcp)
{
	struct sockaddr_storage from = { 0 };
	int len = sizeof(from);
	int err = uv_accept((uv_stream_t *)&h->listener, (uv_stream_t *)tcp);

	if (err)
		return err;
	err = uv_tcp_getpeername(tcp, (struct sockaddr *)&from, &len);
	if (err || !server_same_host(&from, &h->peer)) {
		h->server->counters.helper_strangers++;
		return -EACCES;
	}
	h->accepted = true;
	return 0;
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct helper *h = listener->data;

	if (status < 0 || h->closed)
		return;
	h->ops->connected(h->ctx, h);
	if (h->accepted)
		helper_close(h);
}

static void on_timer(uv_timer_t *timer)
{
	struct helper *h = timer->data;

	h->server->counters.timeout_helper++;
	helper_close(h);
	if (h->ops->timed_out)
		h->ops->timed_out(h->ctx);
}

static int helper_listen(struct helper *h, char bind[static HELPER_BIND_LEN])
{
	struct sockaddr_storage addr = { 0 };
	int len = sizeof(addr);
	int err = client_reached_at(h->client, &addr);

	if (err)
		return err;
	err = uv_tcp_bind(&h->listener, (struct sockaddr *)&addr, 0);
	if (!err)
		err = uv_listen((uv_stream_t *)&h->listener, 1, on_connection);
	if (!err)
		err = uv_tcp_getsockname(&h->listener, (struct sockaddr *)&addr, &len);
	if (!err)
		server_format_bind(&addr, bind, HELPER_BIND_LEN);
	return err;
}

int helper_open(struct client *c, const struct helper_ops *ops, void *ctx,
		char bind[static HELPER_BIND_LEN], struct helper **out)
{
	static const struct helper_ops quiet;
	struct api_server *s = c->server;
	struct helper *h;
	int err;

	if (c->helpers >= s->limits.helpers) {
		s->counters.refused_helpers++;
		return -EMFILE;
	}
	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	if (uv_tcp_init(s->loop, &h->listener)) {
		free(h);
		return -ENOMEM;
	}
	uv_timer_init(s->loop, &h->timer);
	h->listener.data = h->timer.data = h;
	h->handles = 2;
	h->server = s;
	h->client = c;
	h->ops = &quiet;
	s->handles++;
	DL_APPEND(s->helpers, h);
	s->counters.helpers++;
	c->helpers++;
	err = client_comes_from(c, &h->peer);
	if (!err)
		err = helper_listen(h, bind);
	if (!err)
		err = uv_timer_start(&h->timer, on_timer, s->limits.helper_accept_ms, 0);
	if (err) {
		helper_close(h);
		return err;
	}
	h->ops = ops;
	h->ctx = ctx;
	*out = h;
	return 0;
}

void helper_close_everything(struct api_server *s)
{
	struct helper *h, *next;

	DL_FOREACH_SAFE(s->helpers, h, next)
		helper_close(h);
}

void helper_close_all(struct client *c)
{
	struct helper *h, *next;

	DL_FOREACH_SAFE(c->server->helpers, h, next)
		if (h->client == c)
			helper_close(h);
}

void helper_detach_all(struct client *c)
{
	struct helper *h, *next;
	size_t ownerless = 0;

	c->helpers = 0;
	DL_FOREACH(c->server->helpers, h) {
		if (h->client == c)
			h->client = NULL;
		ownerless += !h->client;
	}
	/* The oldest make room: whoever says goodbye over and over gathers no sockets. */
	DL_FOREACH_SAFE(c->server->helpers, h, next)
		if (!h->client && ownerless > LIMIT_HELPERS_DETACHED) {
			helper_close(h);
			ownerless--;
		}
}
