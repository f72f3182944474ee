/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Feeds: what an address wants to be told as long as it listens. A request opens
 * one and gets the id and the socket in a Subscription ping; who connects there
 * gets frames. It ends with that connection, with the address, by its id, or when
 * nobody connects in time; nothing of it is on the disk. Private to api/.
 */
#ifndef RATMAND_API_FEED_H
#define RATMAND_API_FEED_H

#include "ratmand/api/client.h"

struct feed;

struct feed_ops {
	/* Writes the next frame to @c with client_frame(); false when there is none. */
	bool (*next)(void *ctx, struct client *c);
	/* It is over: let go of @ctx. */
	void (*end)(void *ctx);
};

/*
 * Opens a feed for @address, whose token came with the request, and answers. What
 * happens between the answer and the connection is told, too, if @ops keeps it.
 * Borrowed until ops->end(); NULL when it was refused, and the client told why:
 * then @ctx is still the caller's.
 */
struct feed *feed_open(struct client *c, const struct address *address, const struct feed_ops *ops,
		       void *ctx);

/* There may be something for it. Runs nothing at once. */
void feed_ready(struct feed *f);

/* Ends the feed @id of @address; false when there is none. */
bool feed_close(struct api_server *s, const struct ident *id, const struct address *address);

#endif
