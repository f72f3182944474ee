// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/feed.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <utlist.h>

struct feed {
	struct client_job job;		/* first member; of the one who has connected */
	struct feed *prev, *next;	/* server->feeds */
	struct api_server *server;
	struct helper *helper;		/* NULL when it has gone */
	struct client *listener;	/* NULL: nobody has connected yet */
	bool opening;			/* the request is not answered yet */
	struct ident id;
	struct address address;
	struct ident token;
	uint8_t capabilities;
	const struct feed_ops *ops;
	void *ctx;
};

static void feed_free(struct feed *f)
{
	DL_DELETE(f->server->feeds, f);
	sodium_memzero(f, sizeof(*f));
	free(f);
}

static void feed_end(struct feed *f)
{
	/* The one who just connected may be gone before his helper is. */
	if (f->helper)
		helper_close(f->helper);
	f->ops->end(f->ctx);
	feed_free(f);
}

/* Runs from a callback of its own: a turn that was asked for, or the end of a write. */
static void feed_progress(struct client *c, struct client_job *job)
{
	struct feed *f = (struct feed *)job;

	while (client_queued(c) < client_window(c) && !client_hung_up(c)) {
		size_t before = client_queued(c);

		if (!f->ops->next(f->ctx, c))
			break;
		if (c->phase == CLIENT_DEAD)
			return;
		if (!client_share(c, client_queued(c) - before)) {
			client_kick(c);
			break;
		}
	}
	client_flush(c);
}

static void feed_gone(struct client *c, struct client_job *job)
{
	(void)c;
	feed_end((struct feed *)job);
}

static void feed_address_gone(struct client *c, struct client_job *job,
			      const struct address *address)
{
	if (address_equal(&((struct feed *)job)->address, address))
		client_finish(c);
}

static void on_connected(void *ctx, struct helper *h)
{
	struct feed *f = ctx;
	struct api_server *s = f->server;
	struct client *c = client_new(s, false);

	if (!c)
		return;
	if (helper_accept(h, &c->tcp) || !token_table_check(s->tokens, &f->address, &f->token)) {
		client_kill(c);
		return;
	}
	c->phase = CLIENT_READY;
	c->capabilities = f->capabilities;
	c->header.has_token = true;
	c->header.token = f->token;
	f->listener = c;
	client_start_job(c, &f->job);
	client_start(c);
	client_kick(c);
}

static void on_helper_gone(void *ctx)
{
	struct feed *f = ctx;

	f->helper = NULL;
	if (!f->listener && !f->opening)
		feed_end(f);
}

static const struct helper_ops helper_ops = {
	.connected = on_connected,
	.gone = on_helper_gone,
};

static void answer(struct client *c, const struct feed *f, const char *bind)
{
	uint8_t buf[1 + sizeof(struct ident) + HELPER_BIND_LEN];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	ping_write_subscription(&w, &f->id, bind);
	client_reply(c, true, buf, wire_len(&w));
}

struct feed *feed_open(struct client *c, const struct address *address, const struct feed_ops *ops,
		       void *ctx)
{
	struct feed *f = calloc(1, sizeof(*f));
	char bind[HELPER_BIND_LEN];
	int err;

	if (!f) {
		client_reply_internal(c, true, "out of memory");
		return NULL;
	}
	*f = (struct feed){
		.job = { .progress = feed_progress, .gone = feed_gone,
			 .address_gone = feed_address_gone },
		.server = c->server, .opening = true, .address = *address, .token = c->header.token,
		.capabilities = c->capabilities, .ops = ops, .ctx = ctx,
	};
	ident_draw(&f->id);
	DL_APPEND(c->server->feeds, f);
	err = helper_open(c, &helper_ops, f, bind, &f->helper);
	if (err) {
		client_reply_internal(c, true, err == -EMFILE ?
				      "too many sockets wait for your connection" :
				      "cannot open a socket for the subscription");
		feed_free(f);
		return NULL;
	}
	answer(c, f, bind);
	f->opening = false;
	if (f->helper)
		return f;
	/* The client died of the answer, and its helpers with it. */
	feed_free(f);
	return NULL;
}

void feed_ready(struct feed *f)
{
	if (f->listener)
		client_kick(f->listener);
}

bool feed_close(struct api_server *s, const struct ident *id, const struct address *address)
{
	struct feed *f;

	DL_FOREACH(s->feeds, f) {
		if (!ident_equal(&f->id, id) || !address_equal(&f->address, address))
			continue;
		/* Either ends it. */
		if (f->listener)
			client_finish(f->listener);
		else
			helper_close(f->helper);
		return true;
	}
	return false;
}
