// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/feed.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define QUEUE_MAX (256u << 10)	/* bytes of frames that wait for a client to read */
#define WINDOW 16384		/* bytes given to his socket at a time */

struct feed_frame {
	struct feed_frame *prev, *next;
	size_t len;
	uint8_t payload[];
};

struct feed {
	struct client_job job;		/* first member */
	struct client *client;
	const struct feed_source *source;
	void *started;			/* what the source gave us */
	struct feed_frame *frames;	/* owned; oldest first */
	size_t queued;			/* bytes of them */
	bool too_slow;
};

/* A client between his request and his connection. */
struct feed_pending {
	struct api_server *server;
	const struct feed_source *source;
	struct address address;
	struct ident id, token;
	uint8_t capabilities;
};

static void drop_frame(struct feed *d, struct feed_frame *f)
{
	DL_DELETE(d->frames, f);
	d->queued -= f->len;
	sodium_memzero(f->payload, f->len);
	free(f);
}

static void feed_free(struct feed *d)
{
	while (d->frames)
		drop_frame(d, d->frames);
	free(d);
}

static void feed_gone(struct client *c, struct client_job *job)
{
	struct feed *d = (struct feed *)job;

	d->source->stop(c->server, d->started);
	feed_free(d);
}

static void feed_address_gone(struct client *c, struct client_job *job,
			      const struct address *address)
{
	(void)job;
	if (address_equal(&c->subscriber.address, address))
		client_finish(c);
}

/* Runs from a callback of its own: a turn, or the end of a write. */
static void feed_progress(struct client *c, struct client_job *job)
{
	struct feed *d = (struct feed *)job;

	if (d->too_slow || client_hung_up(c)) {
		client_kill(c);
		return;
	}
	while (d->frames && client_queued(c) < WINDOW) {
		client_frame(c, d->source->mode, true, d->frames->payload, d->frames->len);
		if (c->phase == CLIENT_DEAD)
			return;
		drop_frame(d, d->frames);
	}
	client_flush(c);
}

void feed_push(struct feed *d, const void *payload, size_t len)
{
	struct feed_frame *f = d->queued + len > QUEUE_MAX ? NULL : malloc(sizeof(*f) + len);

	if (f) {
		f->len = len;
		memcpy(f->payload, payload, len);
		DL_APPEND(d->frames, f);
		d->queued += len;
	} else {
		/* Something is missing from here on: he is to look anew. */
		d->too_slow = true;
	}
	client_kick(d->client);
}

static int feed_start(struct client *c, const struct feed_source *source)
{
	struct feed *d = calloc(1, sizeof(*d));
	int err;

	if (!d)
		return -ENOMEM;
	d->job.progress = feed_progress;
	d->job.gone = feed_gone;
	d->job.address_gone = feed_address_gone;
	d->client = c;
	d->source = source;
	err = source->start(c->server, &c->subscriber.address, d, &d->started);
	if (err) {
		feed_free(d);
		return err;
	}
	client_start_job(c, &d->job);
	return 0;
}

static void on_connected(void *ctx, struct helper *h)
{
	struct feed_pending *p = ctx;
	struct api_server *s = p->server;
	struct client *c = client_new(s, false);

	if (!c)
		return;
	if (helper_accept(h, &c->tcp) || !token_table_check(s->tokens, &p->address, &p->token)) {
		client_kill(c);
		return;
	}
	c->phase = CLIENT_READY;
	c->capabilities = p->capabilities;
	c->header.has_token = true;
	c->header.token = p->token;
	c->subscriber.connected = true;
	c->subscriber.id = p->id;
	c->subscriber.address = p->address;
	if (feed_start(c, p->source))
		client_kill(c);
	else
		client_start(c);
}

static void on_gone(void *ctx)
{
	struct feed_pending *p = ctx;

	sodium_memzero(p, sizeof(*p));
	free(p);
}

static const struct helper_ops helper_ops = {
	.connected = on_connected,
	.gone = on_gone,
};

void feed_offer(struct client *c, const struct address *address, const struct feed_source *source)
{
	struct feed_pending *p = calloc(1, sizeof(*p));
	uint8_t buf[1 + 32 + HELPER_BIND_LEN];
	char bind[HELPER_BIND_LEN];
	struct helper *helper;
	struct wire_writer w;
	int err = -ENOMEM;

	if (p) {
		p->server = c->server;
		p->source = source;
		p->address = *address;
		p->token = c->header.token;
		p->capabilities = c->capabilities;
		ident_draw(&p->id);
		err = helper_open(c, &helper_ops, p, bind, &helper);
	}
	if (err) {
		if (p)
			on_gone(p);
		client_reply_internal(c, true, err == -EMFILE ?
				      "too many sockets wait for your connection" :
				      "cannot open a socket for the subscription");
		return;
	}
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_subscription(&w, &p->id, bind);
	client_reply(c, true, buf, wire_len(&w));
}
