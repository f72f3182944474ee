// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/subscriber.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>

struct subscriber_socket {
	struct api_server *server;
	struct client *client;		/* who asked; NULL when the request was answered */
	struct helper *helper;		/* NULL when it has gone */
	struct ident id;
	struct address address;
	struct ident token;
	uint8_t capabilities;
	int (*start)(struct client *c);
	subscriber_refuse_cb refuse;
	char bind[HELPER_BIND_LEN];
};

static void socket_free(struct subscriber_socket *p)
{
	sodium_memzero(p, sizeof(*p));
	free(p);
}

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
	struct subscriber_socket *p = ctx;
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
	if (p->start(c))
		client_kill(c);
	else
		client_start(c);
}

static void on_helper_gone(void *ctx)
{
	struct subscriber_socket *p = ctx;

	p->helper = NULL;
	/* Before the answer the request still needs it. */
	if (!p->client)
		socket_free(p);
}

static const struct helper_ops helper_ops = {
	.connected = on_connected,
	.gone = on_helper_gone,
};

struct subscriber_socket *subscriber_open(struct client *c, const struct address *address,
					  int (*start)(struct client *c),
					  subscriber_refuse_cb refuse)
{
	struct subscriber_socket *p = calloc(1, sizeof(*p));
	int err = -ENOMEM;

	if (p) {
		p->server = c->server;
		p->client = c;
		p->address = *address;
		p->token = c->header.token;
		p->capabilities = c->capabilities;
		p->start = start;
		p->refuse = refuse;
		err = helper_open(c, &helper_ops, p, p->bind, &p->helper);
	}
	if (!err)
		return p;
	client_reply_internal(c, true, err == -EMFILE ?
			      "too many sockets wait for your connection" :
			      "cannot open a socket for the subscription");
	if (p)
		socket_free(p);
	return NULL;
}

/* The request failed: the socket goes, too. */
static void drop(struct subscriber_socket *p)
{
	p->client = NULL;
	if (p->helper)
		helper_close(p->helper);	/* frees it */
	else
		socket_free(p);
}

void subscriber_answer(struct client *c, struct subscriber_socket *p, const struct ident *id)
{
	uint8_t buf[1 + 32 + HELPER_BIND_LEN];
	struct wire_writer w;

	p->id = *id;
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_subscription(&w, &p->id, p->bind);
	client_reply(c, true, buf, wire_len(&w));
	p->client = NULL;
	if (!p->helper)
		socket_free(p);
}

void subscriber_begun(void *ctx, int err, const struct ident *id)
{
	struct subscriber_socket *p = ctx;
	subscriber_refuse_cb refuse = p->refuse;
	struct client *c = p->client;

	if (!client_answered(c)) {
		drop(p);
		return;
	}
	if (err) {
		drop(p);
		refuse(c, NULL, err);
	} else {
		subscriber_answer(c, p, id);
	}
	client_process(c);
}

struct subscriber_end {
	struct client *client;
	struct ident id;
	subscriber_refuse_cb refuse;
};

struct subscriber_end *subscriber_end(struct client *c, const struct payload_subscriber *sub,
				      bool exists, subscriber_refuse_cb refuse)
{
	struct subscriber_end *e = malloc(sizeof(*e));

	if (!e) {
		client_reply_internal(c, true, "out of memory");
		return NULL;
	}
	*e = (struct subscriber_end){ c, sub->id, refuse };
	client_ask(c);
	if (exists)
		disconnect(c->server, &sub->id, &sub->address);
	return e;
}

void subscriber_ended(void *ctx, int err)
{
	struct subscriber_end *e = ctx;
	struct client *c = e->client;

	if (client_answered(c)) {
		if (err)
			e->refuse(c, &e->id, err);
		else
			client_reply_ok(c);
		client_process(c);
	}
	free(e);
}
