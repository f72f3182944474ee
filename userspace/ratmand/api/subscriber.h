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

/*
 * Opens the socket for a subscriber, before anything is changed; @start (0 or an
 * error) begins the job of who connects. NULL, and answered, when that goes wrong.
 */
struct subscriber_socket *subscriber_open(struct client *c, const struct address *address,
					  int (*start)(struct client *c));

/* The client whose request it is, until that is answered. */
struct client *subscriber_asker(const struct subscriber_socket *p);

/* The request failed: the socket goes, too. */
void subscriber_drop(struct subscriber_socket *p);

/* Names subscription and socket to the client, in the reply. */
void subscriber_answer(struct client *c, struct subscriber_socket *p, const struct ident *id);

/* Closes the socket of a subscriber, if he has one. */
void subscriber_disconnect(struct api_server *s, const struct ident *id,
			   const struct address *address);

#endif
