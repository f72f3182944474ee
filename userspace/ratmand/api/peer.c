// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 4, Peer (microframe.md sections 3.4 and 3.8).
 */
#include <errno.h>
#include <string.h>

#include "ratmand/api/contact.h"

static void collect(void *ctx, const struct backend_peer *peer)
{
	uint8_t *bytes = listing_add(ctx, &peer->address, PING_PEER_LEN);
	struct wire_writer w;
	const struct ping_peer entry = {
		.address = peer->address,
		.first_seen_ns = peer->first_seen_ns,
		.last_seen_ns = peer->last_seen_ns,
		.active = peer->active,
	};

	if (!bytes)
		return;
	wire_write_init(&w, bytes, PING_PEER_LEN);
	ping_write_peer(&w, &entry);
}

void peer_list(struct client *c)
{
	struct api_server *s = c->server;
	struct listing l = { 0 };

	s->ops->peer_list(s->be, collect, &l);
	listing_reply(c, &l, PING_PEER_LIST, false, false);
}

static void collect_contact(struct client *c, struct listing *l, const struct contact *contact)
{
	struct api_server *s = c->server;
	struct backend_peer peer;

	if (!s->ops->peer_get(s->be, &contact->address, &peer))
		collect(l, &peer);
}

/* The peers about which the caller noted what is asked for. */
void peer_query(struct client *c)
{
	contact_list_start(c, contact_peer_filter_read, collect_contact, PING_PEER_LIST);
}

/* Option<Address>, told apart by size: nobody gives the status of the router. */
void peer_status(struct client *c)
{
	struct api_server *s = c->server;
	struct listing l = { 0 };
	struct backend_peer peer;
	struct address address;
	int err;

	if (c->header.payload_len == 0 || (c->header.payload_len == 1 && !c->payload[0])) {
		intrinsic_reply_status(c, true);
		return;
	}
	if (c->header.payload_len != ADDRESS_LEN) {
		client_reply_input(c, "payload", "an address, or 00");
		return;
	}
	memcpy(address.b, c->payload, ADDRESS_LEN);
	err = s->ops->peer_get(s->be, &address, &peer);
	if (err) {
		client_reply_errno(c, false, err);
		return;
	}
	collect(&l, &peer);
	listing_reply(c, &l, PING_PEER_LIST, false, true);
}
