/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Watchers: an address, or a program whatever its address, wants to be told something as
 * long as it listens. A request begins it and gets the id and the socket in a Subscription
 * ping; who connects there gets frames. It ends with that connection, with the address, by
 * its id, or when nobody connects in time; nothing of it is on the disk. Private to api/.
 */
#ifndef RATMAND_API_WATCHER_H
#define RATMAND_API_WATCHER_H

#include "ratmand/api/client.h"

struct watcher;

struct watcher_ops {
	/*
	 * Writes the next frame to @c with client_frame(); false when there is none. The
	 * token in its header, where there is an address, stands in @c->header.
	 */
	bool (*next)(void *ctx, struct client *c);
	/* It is over: let go of @ctx. */
	void (*end)(void *ctx);
};

/*
 * Begins to watch for @address, whose token came with the request, or, with NULL, for
 * nobody's, and answers. What happens between the answer and the connection is told, too, if @ops keeps it.
 * Borrowed until ops->end(); NULL when it was refused, and the client told why:
 * then @ctx is still the caller's.
 */
struct watcher *watcher_open(struct client *c, const struct address *address,
			     const struct watcher_ops *ops, void *ctx);

/* There may be something for it. Runs nothing at once. */
void watcher_ready(struct watcher *w);

/* Ends it: ops->end() is called, now or soon. */
void watcher_stop(struct watcher *w);

/* Ends the one @id of @address; false when there is none. */
bool watcher_close(struct api_server *s, const struct ident *id, const struct address *address);

#endif
