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
	char bind[HELPER_BIND_LEN];
};

static void socket_free(struct subscriber_socket *p)
{
	sodium_memzero(p, sizeof(*p));
	free(p);
}

void subscriber_disconnect(struct api_server *s, const struct ident *id, const struct address *address)
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
	subscriber_disconnect(s, &p->id, &p->address);
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
					  int (*start)(struct client *c))
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

struct client *subscriber_asker(const struct subscriber_socket *p)
{
	return p->client;
}

void subscriber_drop(struct subscriber_socket *p)
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
