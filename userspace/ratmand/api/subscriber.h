/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket of a subscription that outlives it: a request names it, and who
 * connects there becomes a client of its own (client->subscriber) with one job
 * that never ends. Private to api/.
 */
#ifndef RATMAND_API_SUBSCRIBER_H
#define RATMAND_API_SUBSCRIBER_H

#include "ratmand/api/client.h"

/* A subscriber between his request and his connection. */
struct subscriber_socket;

/* Answers what went wrong with the subscription @id; NULL: with one that did not begin. */
typedef void (*subscriber_refuse_cb)(struct client *c, const struct ident *id, int err);

/*
 * Opens the socket for a subscriber, before anything is changed; @start (0 or an
 * error) begins the job of who connects. NULL, and answered, when that goes wrong. To be
 * given to subscriber_answer(), or after client_ask() to subscriber_begun().
 */
struct subscriber_socket *subscriber_open(struct client *c, const struct address *address,
					  int (*start)(struct client *c),
					  subscriber_refuse_cb refuse);

/* The backend has answered: names the subscription, or refuses it. @ctx: the socket. */
void subscriber_begun(void *ctx, int err, const struct ident *id);

/* Names subscription and socket to the client, in the reply. */
void subscriber_answer(struct client *c, struct subscriber_socket *p, const struct ident *id);

/* A subscription that is to end. */
struct subscriber_end;

/*
 * The request to end @sub: closes the socket of its subscriber when it @exists, and
 * waits for the backend, which is to call subscriber_ended(). NULL, and answered, when
 * out of memory.
 */
struct subscriber_end *subscriber_end(struct client *c, const struct payload_subscriber *sub,
				      bool exists, subscriber_refuse_cb refuse);
void subscriber_ended(void *ctx, int err);

#endif
