/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Helper sockets (microframe.md section 3.0): a listening socket for one client,
 * on the address he reached us at, named to him in a reply. It takes one
 * connection, from his host only, and goes when nobody comes in time. Private
 * to api/.
 */
#ifndef RATMAND_API_HELPER_H
#define RATMAND_API_HELPER_H

#include <uv.h>

struct api_server;
struct client;
struct helper;

#define HELPER_BIND_LEN 64	/* "ip:port" or "[ip6]:port", NUL */

struct helper_ops {
	/*
	 * Somebody has connected: take the connection with helper_accept(). The
	 * helper ends after this call, or goes on listening when nothing was taken.
	 */
	void (*connected)(void *ctx, struct helper *h);
	/* Nobody came in time; the helper is gone, and this follows gone. May be NULL. */
	void (*timed_out)(void *ctx);
	/* The helper is gone, for whatever reason. May be NULL. */
	void (*gone)(void *ctx);
};

/*
 * Listens for @c; @bind gets what to tell him. The helper goes with the client,
 * unless helper_detach() lets it outlive him. -EMFILE at max_helpers, socket errors.
 */
int helper_open(struct client *c, const struct helper_ops *ops, void *ctx,
		char bind[static HELPER_BIND_LEN], struct helper **out);

/* Takes the connection into @tcp (initialised). 0, or -EACCES for a stranger, who is turned away. */
int helper_accept(struct helper *h, uv_tcp_t *tcp);

/* Ends it; @h is gone for the caller, and no callback but gone follows. */
void helper_close(struct helper *h);

/* The client goes: closes his helpers, or, after an orderly goodbye, leaves them to their time. */
void helper_close_all(struct client *c);
void helper_detach_all(struct client *c);
/* The server ends. */
void helper_close_everything(struct api_server *server);

#endif
