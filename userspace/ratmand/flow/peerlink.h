/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections between daemons: one for each pair of a local address and a peer,
 * used in both directions, made again with growing pauses while it is wanted.
 */
#ifndef RATMAND_FLOW_PEERLINK_H
#define RATMAND_FLOW_PEERLINK_H

#include <netinet/in.h>
#include <uv.h>

#include "base/address.h"
#include "ratmand/flow/exchange.h"

struct peerlinks;
struct peerlink;

/* Everything gets the @ctx of peerlinks_new(). */
struct peerlink_ops {
	/* As in struct flow_ops. */
	bool (*reachable)(void *ctx, const struct address *peer);
	bool (*endpoint)(void *ctx, const struct address *address, bool source,
			 struct sockaddr_in6 *out);
	bool (*speaks_for)(void *ctx, const struct sockaddr_in6 *source,
			   const struct address *claimed);
	/* Both sides have greeted. Returns what peerlink_data() gives, or NULL to close. */
	void *(*up)(void *ctx, struct peerlink *link, const struct address *local,
		    const struct address *peer);
	/* A message other than HELLO, PING, PONG. False closes the connection. */
	bool (*message)(void *ctx, struct peerlink *link, const struct exchange_message *m);
	/* Some of what was sent has left: more may be sent. */
	void (*writable)(void *ctx, struct peerlink *link);
	/* The connection is gone: for each up exactly one down. */
	void (*down)(void *ctx, struct peerlink *link);
};

struct peerlink_stats {
	uint64_t connects, connects_failed, protocol_errors;
	uint64_t messages_sent, bytes_sent;	/* all connections, without TCP's own */
};

/* @loop, @ops and @ctx are borrowed. -ENOMEM. */
int peerlinks_new(struct peerlinks **out, uv_loop_t *loop, const struct peerlink_ops *ops,
		  void *ctx);

/* Closes everything (down is called for what was up); @closed when the memory is gone. */
void peerlinks_free(struct peerlinks *p, void (*closed)(void *ctx), void *ctx);

const struct peerlink_stats *peerlinks_stats(const struct peerlinks *p);

/* Takes connections for @local from now on; keeps trying when that fails. -ENOMEM. */
int peerlinks_listen(struct peerlinks *p, const struct address *local);

/* No more; closes its connections and forgets what was wanted from it. */
void peerlinks_unlisten(struct peerlinks *p, const struct address *local);

/* Wants or no longer wants a connection from @local to @peer. -ENOMEM. */
int peerlinks_want(struct peerlinks *p, const struct address *local, const struct address *peer,
		   bool wanted);

/* Tries at once, whatever the pause, to reach @peer from every address that wants it. */
void peerlinks_poke(struct peerlinks *p, const struct address *peer);

/* The connection that is up, or NULL. */
struct peerlink *peerlinks_find(struct peerlinks *p, const struct address *local,
				const struct address *peer);

void *peerlink_data(const struct peerlink *link);

/* Sends a copy of @len bytes. Errors close the connection later, with a down. */
void peerlink_send(struct peerlink *link, const void *data, size_t len);

/* A frame to be filled in place: @size bytes at write->data. NULL when memory is short. */
struct peerlink_write {
	uv_write_t req;
	uint8_t data[];
};
struct peerlink_write *peerlink_write_new(size_t size);

/* Sends the first @len bytes and takes @write. */
void peerlink_write_send(struct peerlink *link, struct peerlink_write *write, size_t len);

/* Bytes sent that the kernel has not taken yet. */
size_t peerlink_queued(const struct peerlink *link);

/* While busy the peer is pinged, and silence for 15 s closes; idle ones go after a minute. */
void peerlink_set_busy(struct peerlink *link, bool busy);

/* Stops or goes on reading. */
void peerlink_pause(struct peerlink *link, bool pause);

/* Closes; down is called before this returns. */
void peerlink_close(struct peerlink *link);

#endif
