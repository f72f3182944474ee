// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 4, Peer (microframe.md section 3.4).
 */
#include <stdlib.h>

#include "ratmand/api/client.h"

struct peer_reply {
	uint8_t *buf;		/* owned: kind, count, entries */
	size_t n, room;		/* entries */
	bool failed;
};

#define HEAD_LEN 3

static void collect(void *ctx, const struct backend_peer *peer)
{
	struct peer_reply *reply = ctx;
	struct wire_writer w;
	const struct ping_peer entry = {
		.address = peer->address,
		.first_seen_ns = peer->first_seen_ns,
		.last_seen_ns = peer->last_seen_ns,
		.active = peer->active,
	};

	if (reply->failed || reply->n == UINT16_MAX)
		return;
	if (reply->n == reply->room) {
		size_t room = 2 * reply->room;
		uint8_t *p = realloc(reply->buf, HEAD_LEN + room * PING_PEER_LEN);

		if (!p) {
			reply->failed = true;
			return;
		}
		reply->buf = p;
		reply->room = room;
	}
	wire_write_init(&w, reply->buf + HEAD_LEN + reply->n * PING_PEER_LEN, PING_PEER_LEN);
	ping_write_peer(&w, &entry);
	reply->n++;
}

void peer_list(struct client *c)
{
	struct api_server *s = c->server;
	struct peer_reply reply = { .room = 16 };
	struct wire_writer w;

	reply.buf = malloc(HEAD_LEN + reply.room * PING_PEER_LEN);
	if (reply.buf)
		s->ops->peer_list(s->be, collect, &reply);
	if (!reply.buf || reply.failed) {
		free(reply.buf);
		client_reply_internal(c, false, "out of memory");
		return;
	}
	wire_write_init(&w, reply.buf, HEAD_LEN);
	ping_write_peers(&w, (uint16_t)reply.n);
	client_frame(c, MODE_REPLY, false, reply.buf, HEAD_LEN + reply.n * PING_PEER_LEN);
	free(reply.buf);
}
