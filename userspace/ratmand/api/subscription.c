// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Subscriptions: Stream/Sub, Resub, Unsub and List, and the same of Addr for
 * events (microframe.md sections 3.7 and 3.8).
 *
 * Sub and Resub name a helper socket. Who connects there becomes a client of
 * its own, with one job that never ends: to send what is due, oldest first.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ratmand/api/client.h"

#define EVENT_WINDOW 4096	/* bytes of events queued to the socket at most */

/* A subscriber between his request and his connection. */
struct pending {
	struct api_server *server;
	struct client *client;		/* who asked; NULL when the request was answered */
	struct helper *helper;		/* NULL when it has gone */
	struct ident id;
	struct address address;
	struct ident token;
	uint8_t capabilities;
	bool events;
	char bind[HELPER_BIND_LEN];
};

static void pending_free(struct pending *p)
{
	sodium_memzero(p, sizeof(*p));
	free(p);
}

/* Events ---------------------------------------------------------------------- */

struct event_job {
	struct client_job job;		/* first member */
	struct client *client;
	const struct backend_ops *ops;
	struct backend_listener *listener;	/* owned */
};

static void event_gone(struct client *c, struct client_job *job)
{
	struct event_job *j = (struct event_job *)job;

	(void)c;
	if (j->listener)
		j->ops->listen_stop(j->listener);
	free(j);
}

static void event_address_gone(struct client *c, struct client_job *job,
			       const struct address *address)
{
	(void)job;
	if (address_equal(&c->subscriber.address, address))
		client_finish(c);
}

/* Runs from a callback of its own: kick timer or end of a write. */
static void event_progress(struct client *c, struct client_job *job)
{
	struct event_job *j = (struct event_job *)job;
	uint8_t payload[PAYLOAD_EVENT_LEN];
	struct payload_event e;
	struct wire_writer w;

	while (client_queued(c) < EVENT_WINDOW && !client_hung_up(c) &&
	       !j->ops->event_next(j->listener, &e)) {
		wire_write_init(&w, payload, sizeof(payload));
		payload_write_event(&w, &e);
		client_frame(c, op_get(OP_ADDR_SUB)->mode, true, payload, sizeof(payload));
		if (c->phase == CLIENT_DEAD)
			return;
	}
	client_flush(c);
}

static void on_event_ready(void *ctx)
{
	struct event_job *j = ctx;

	client_kick(j->client);
}

static int event_start(struct client *c)
{
	struct event_job *j = calloc(1, sizeof(*j));
	int err;

	if (!j)
		return -ENOMEM;
	j->job.progress = event_progress;
	j->job.gone = event_gone;
	j->job.address_gone = event_address_gone;
	j->client = c;
	j->ops = c->server->ops;
	err = j->ops->attach(c->server->be, &c->subscriber.id, &c->subscriber.address, true,
			     on_event_ready, j, &j->listener);
	if (err) {
		free(j);
		return err;
	}
	client_start_job(c, &j->job);
	client_kick(c);
	return 0;
}

/* The socket -------------------------------------------------------------------- */

/* Closes the socket of a subscriber, if he has one. */
static void disconnect(struct api_server *s, const struct ident *id, const struct address *address)
{
	struct client *c, *next;

	for (c = s->clients; c; c = next) {
		next = c->next;
		if (c->subscriber.connected && ident_equal(&c->subscriber.id, id) &&
		    address_equal(&c->subscriber.address, address))
			client_finish(c);
	}
}

static void on_connected(void *ctx, struct helper *h)
{
	struct pending *p = ctx;
	struct api_server *s = p->server;
	struct client *c = client_new(s, false);

	if (!c)
		return;
	if (helper_accept(h, &c->tcp) || !token_table_check(s->tokens, &p->address, &p->token)) {
		client_kill(c);
		return;
	}
	/* A new socket takes over: what the old one was sent only in part comes again, whole. */
	disconnect(s, &p->id, &p->address);
	c->phase = CLIENT_READY;
	c->capabilities = p->capabilities;
	c->header.has_token = true;
	c->header.token = p->token;
	c->subscriber.connected = true;
	c->subscriber.id = p->id;
	c->subscriber.address = p->address;
	if (p->events ? event_start(c) : recv_subscriber(c))
		client_kill(c);
	else
		client_start(c);
}

static void on_helper_gone(void *ctx)
{
	struct pending *p = ctx;

	p->helper = NULL;
	/* Before the answer the request still needs it. */
	if (!p->client)
		pending_free(p);
}

static const struct helper_ops helper_ops = {
	.connected = on_connected,
	.gone = on_helper_gone,
};

/* Opens the socket for a subscriber, before anything is changed. Answers what goes wrong. */
static struct pending *pending_new(struct client *c, const struct address *address, bool events)
{
	struct pending *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (p) {
		p->server = c->server;
		p->client = c;
		p->address = *address;
		p->token = c->header.token;
		p->capabilities = c->capabilities;
		p->events = events;
		err = helper_open(c, &helper_ops, p, p->bind, &p->helper);
	}
	if (!err)
		return p;
	client_reply_internal(c, true, err == -EMFILE ?
			      "too many sockets wait for your connection" :
			      "cannot open a socket for the subscription");
	if (p)
		pending_free(p);
	return NULL;
}

/* The request failed: the socket goes, too. */
static void pending_drop(struct pending *p)
{
	p->client = NULL;
	if (p->helper)
		helper_close(p->helper);	/* frees it */
	else
		pending_free(p);
}

/* Names the socket to the client. */
static void pending_answer(struct client *c, struct pending *p)
{
	uint8_t buf[1 + 32 + HELPER_BIND_LEN];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	ping_write_subscription(&w, &p->id, p->bind);
	client_reply(c, true, buf, wire_len(&w));
	p->client = NULL;
	if (!p->helper)
		pending_free(p);
}

/* Requests ------------------------------------------------------------------------ */

static void reply_failure(struct client *c, const struct ident *id, int err)
{
	struct ping_error e = { .code = PING_E_NO_SUBSCRIPTION };

	if (err == -ESRCH) {
		e.id = *id;
		client_reply_error(c, false, &e);
	} else if (err == -EMFILE) {
		client_reply_internal(c, true, "too many subscriptions on this router");
	} else {
		client_reply_errno(c, true, err);
	}
}

static void on_subscribed(void *ctx, int err, const struct ident *id)
{
	struct pending *p = ctx;
	struct client *c = p->client;

	if (!err)
		p->id = *id;
	if (!client_answered(c)) {
		pending_drop(p);
		return;
	}
	if (err) {
		pending_drop(p);
		reply_failure(c, NULL, err);
	} else {
		pending_answer(c, p);
	}
	client_process(c);
}

static void subscribe(struct client *c, const struct address *address, const struct recipient *to)
{
	struct pending *p = pending_new(c, address, to->kind == RECIPIENT_NONE);

	if (!p)
		return;
	client_ask(c);
	c->server->ops->subscribe(c->server->be, address, to, on_subscribed, p);
}

static void resubscribe(struct client *c, bool events)
{
	struct api_server *s = c->server;
	struct payload_subscriber sub;
	struct pending *p;
	int err;

	payload_read_subscriber(c->payload, &sub);
	err = s->ops->subscription_check(s->be, &sub.id, &sub.address, events);
	if (err) {
		reply_failure(c, &sub.id, err);
		return;
	}
	p = pending_new(c, &sub.address, events);
	if (!p)
		return;
	p->id = sub.id;
	pending_answer(c, p);
}

struct unsub {
	struct client *client;
	struct ident id;
};

static void on_unsubscribed(void *ctx, int err)
{
	struct unsub *u = ctx;
	struct client *c = u->client;

	if (client_answered(c)) {
		if (err)
			reply_failure(c, &u->id, err);
		else
			client_reply_ok(c);
		client_process(c);
	}
	free(u);
}

static void unsubscribe(struct client *c, bool events)
{
	struct api_server *s = c->server;
	struct payload_subscriber sub;
	struct unsub *u = malloc(sizeof(*u));

	if (!u) {
		client_reply_internal(c, false, "out of memory");
		return;
	}
	payload_read_subscriber(c->payload, &sub);
	*u = (struct unsub){ c, sub.id };
	client_ask(c);
	if (!s->ops->subscription_check(s->be, &sub.id, &sub.address, events))
		disconnect(s, &sub.id, &sub.address);
	s->ops->unsubscribe(s->be, &sub.id, &sub.address, events, on_unsubscribed, u);
}

void stream_sub(struct client *c)
{
	struct payload_recv p;

	if (recv_read_request(c, false, &p))
		subscribe(c, &p.address, &p.to);
}

void stream_resub(struct client *c)
{
	resubscribe(c, false);
}

void stream_unsub(struct client *c)
{
	unsubscribe(c, false);
}

struct ids {
	uint8_t *list;		/* owned */
	size_t n;
};

static void collect(void *ctx, const struct ident *id)
{
	struct ids *ids = ctx;

	if (ids->n < LIMIT_SUBSCRIPTIONS)
		memcpy(ids->list + sizeof(id->b) * ids->n++, id->b, sizeof(id->b));
}

void stream_list(struct client *c)
{
	struct api_server *s = c->server;
	struct ids ids = { .list = malloc(LIMIT_SUBSCRIPTIONS * 32) };
	uint8_t *buf = malloc(1 + 2 + LIMIT_SUBSCRIPTIONS * 32);
	struct payload_ids list;
	struct wire_writer w;
	struct address address;

	if (ids.list && buf) {
		memcpy(address.b, c->payload, ADDRESS_LEN);
		s->ops->subscription_list(s->be, &address, collect, &ids);
		list = (struct payload_ids){ ids.list, ids.n };
		wire_write_init(&w, buf, 1 + 2 + LIMIT_SUBSCRIPTIONS * 32);
		ping_write_ids(&w, PING_UPDATE, &list);
		client_frame(c, MODE_REPLY, true, buf, wire_len(&w));
	} else {
		client_reply_internal(c, true, "out of memory");
	}
	free(ids.list);
	free(buf);
}

void addr_sub(struct client *c)
{
	const struct recipient events = { .kind = RECIPIENT_NONE };
	struct address address;

	memcpy(address.b, c->payload, ADDRESS_LEN);
	if (c->payload[ADDRESS_LEN])
		client_reply_input(c, "recipient", "none: one byte 00");
	else
		subscribe(c, &address, &events);
}

void addr_resub(struct client *c)
{
	resubscribe(c, true);
}

void addr_unsub(struct client *c)
{
	unsubscribe(c, true);
}
