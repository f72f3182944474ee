// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Subscriptions: Stream/Sub, Resub, Unsub and List, and the same of Addr for
 * events (microframe.md sections 3.7 and 3.8).
 *
 * Sub and Resub name a helper socket. Who connects there becomes a client of
 * its own, with one job that never ends: to send what is due, oldest first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ratmand/api/subscriber.h"

#define EVENT_WINDOW 4096	/* bytes of events queued to the socket at most */

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

/* Requests ------------------------------------------------------------------------ */

static void reply_failure(struct client *c, const struct ident *id, int err)
{
	struct ping_error e = { .code = PING_E_NO_SUBSCRIPTION };

	if (err == -ESRCH) {
		e.id = *id;
		client_reply_error(c, false, &e);
	} else if (err == -EMFILE) {
		client_reply_internal(c, true, "too many subscriptions of this address or router; end one first");
	} else {
		client_reply_errno(c, true, err);
	}
}

static void subscribe(struct client *c, const struct address *address, const struct recipient *to)
{
	struct subscriber_socket *p = subscriber_open(c, address, to->kind == RECIPIENT_NONE ?
						      event_start : recv_subscriber, reply_failure);

	if (!p)
		return;
	client_ask(c);
	c->server->ops->subscribe(c->server->be, address, to, subscriber_begun, p);
}

static void resubscribe(struct client *c, bool events)
{
	struct api_server *s = c->server;
	struct payload_subscriber sub;
	struct subscriber_socket *p;
	int err;

	payload_read_subscriber(c->payload, &sub);
	err = s->ops->subscription_check(s->be, &sub.id, &sub.address, events);
	if (err) {
		reply_failure(c, &sub.id, err);
		return;
	}
	p = subscriber_open(c, &sub.address, events ? event_start : recv_subscriber, reply_failure);
	if (p)
		subscriber_answer(c, p, &sub.id);
}

static void unsubscribe(struct client *c, bool events)
{
	struct api_server *s = c->server;
	struct payload_subscriber sub;
	struct subscriber_end *end;
	bool exists;

	payload_read_subscriber(c->payload, &sub);
	exists = !s->ops->subscription_check(s->be, &sub.id, &sub.address, events);
	end = subscriber_end(c, &sub, exists, reply_failure);
	if (end)
		s->ops->unsubscribe(s->be, &sub.id, &sub.address, events, subscriber_ended, end);
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
