// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/watcher.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <utlist.h>

struct watcher {
	struct client_job job;		/* first member; of the one who has connected */
	struct watcher *prev, *next;	/* server->watchers */
	struct api_server *server;
	struct helper *helper;		/* NULL when it has gone */
	struct client *listener;	/* NULL: nobody has connected yet */
	bool opening;			/* the request is not answered yet */
	struct ident id;
	bool owned;			/* by an address, whose token is needed */
	struct address address;
	struct ident token;
	uint8_t capabilities;
	const struct watcher_ops *ops;
	void *ctx;
};

static void watcher_free(struct watcher *w)
{
	DL_DELETE(w->server->watchers, w);
	sodium_memzero(w, sizeof(*w));
	free(w);
}

static void watcher_end(struct watcher *w)
{
	/* The one who just connected may be gone before his helper is. */
	if (w->helper)
		helper_close(w->helper);
	w->ops->end(w->ctx);
	watcher_free(w);
}

/* Runs from a callback of its own: a turn that was asked for, or the end of a write. */
static void watcher_progress(struct client *c, struct client_job *job)
{
	struct watcher *w = (struct watcher *)job;

	while (client_queued(c) < client_window(c) && !client_hung_up(c)) {
		size_t before = client_queued(c), after;

		if (!w->ops->next(w->ctx, c))
			break;
		if (c->phase == CLIENT_DEAD)
			return;
		after = client_queued(c);
		if (!client_share(c, after > before ? after - before : 0)) {
			client_kick(c);
			break;
		}
	}
	client_flush(c);
}

static void watcher_gone(struct client *c, struct client_job *job)
{
	(void)c;
	watcher_end((struct watcher *)job);
}

static void watcher_address_gone(struct client *c, struct client_job *job,
				 const struct address *address)
{
	const struct watcher *w = (struct watcher *)job;

	if (w->owned && address_equal(&w->address, address))
		client_finish(c);
}

static void on_connected(void *ctx, struct helper *h)
{
	struct watcher *w = ctx;
	struct api_server *s = w->server;
	struct client *c = client_new(s, false);

	if (!c)
		return;
	if (helper_accept(h, &c->tcp) ||
	    (w->owned && !token_table_check(s->tokens, &w->address, &w->token))) {
		client_kill(c);
		return;
	}
	c->phase = CLIENT_READY;
	c->capabilities = w->capabilities;
	c->header.has_token = w->owned;
	c->header.token = w->token;
	w->listener = c;
	client_start_job(c, &w->job);
	client_start(c);
	client_kick(c);
}

static void on_helper_gone(void *ctx)
{
	struct watcher *w = ctx;

	w->helper = NULL;
	if (!w->listener && !w->opening)
		watcher_end(w);
}

static const struct helper_ops helper_ops = {
	.connected = on_connected,
	.gone = on_helper_gone,
};

static void answer(struct client *c, const struct watcher *w, const char *bind)
{
	uint8_t buf[1 + sizeof(struct ident) + HELPER_BIND_LEN];
	struct wire_writer out;

	wire_write_init(&out, buf, sizeof(buf));
	ping_write_subscription(&out, &w->id, bind);
	client_reply(c, true, buf, wire_len(&out));
}

struct watcher *watcher_open(struct client *c, const struct address *address,
			     const struct watcher_ops *ops, void *ctx)
{
	struct watcher *w = calloc(1, sizeof(*w));
	char bind[HELPER_BIND_LEN];
	int err;

	if (!w) {
		client_reply_internal(c, true, "out of memory");
		return NULL;
	}
	*w = (struct watcher){
		.job = { .progress = watcher_progress, .gone = watcher_gone,
			 .address_gone = watcher_address_gone },
		.server = c->server, .opening = true, .owned = address,
		.capabilities = c->capabilities, .ops = ops, .ctx = ctx,
	};
	if (address) {
		w->address = *address;
		w->token = c->header.token;
	}
	ident_draw(&w->id);
	DL_APPEND(c->server->watchers, w);
	err = helper_open(c, &helper_ops, w, bind, &w->helper);
	if (err) {
		client_reply_service(c, SERVICE_E_COMM_FAULT, err == -EMFILE ?
				     "too many sockets wait for your connection" :
				     "cannot open a socket for the subscription");
		watcher_free(w);
		return NULL;
	}
	answer(c, w, bind);
	w->opening = false;
	if (w->helper)
		return w;
	/* The client died of the answer, and its helpers with it. */
	watcher_free(w);
	return NULL;
}

void watcher_ready(struct watcher *w)
{
	if (w->listener)
		client_kick(w->listener);
}

void watcher_stop(struct watcher *w)
{
	/* Either ends it. */
	if (w->listener)
		client_finish(w->listener);
	else if (w->helper)
		helper_close(w->helper);
}

bool watcher_close(struct api_server *s, const struct ident *id, const struct address *address)
{
	struct watcher *w;

	DL_FOREACH(s->watchers, w) {
		if (!w->owned || !ident_equal(&w->id, id) || !address_equal(&w->address, address))
			continue;
		watcher_stop(w);
		return true;
	}
	return false;
}
