// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Peers: remote addresses.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libratman/filter.h"
#include "libratman/handle.h"

static int peers_copy(struct ping *ping, struct ratman_peer *list)
{
	for (size_t i = 0; i < ping->peers.n; i++) {
		struct ping_peer peer;
		int err = ping_next_peer(ping, &peer);

		if (err)
			return RATMAN_EPROTOCOL;
		memcpy(list[i].address.b, peer.address.b, RATMAN_ID_LEN);
		list[i].first_seen_ns = peer.first_seen_ns;
		list[i].last_seen_ns = peer.last_seen_ns;
		list[i].active = peer.active;
	}
	return 0;
}

/* Asks for a list of peers. */
static int ask_peers(struct ratman *r, enum op_id op, const struct ratman_id *token,
		     const void *payload, size_t len, struct ratman_peer **out, size_t *n)
{
	struct ratman_peer *list = NULL;
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, op, token, payload, len, PING_PEER_LIST, &reply, &ping);

	if (!err) {
		list = calloc(ping.peers.n + 1, sizeof(*list));
		err = list ? peers_copy(&ping, list) : -ENOMEM;
	}
	reply_free(&reply);
	if (err) {
		free(list);
		return err;
	}
	*out = list;
	*n = ping.peers.n;
	return 0;
}

PUBLIC int ratman_peer_list(struct ratman *r, struct ratman_peer **out, size_t *n)
{
	return ask_peers(r, OP_PEER_LIST, NULL, NULL, 0, out, n);
}

static int ask_filtered(struct ratman *r, const struct ratman_id *token,
			const struct contact_filter *f, struct ratman_peer **out, size_t *n)
{
	uint8_t payload[FILTER_PAYLOAD_MAX];
	struct wire_writer w;
	int err;

	/* It filters by keys, and by nothing that would need a list of addresses. */
	if (f->addresses.n || !filter_has_keys_only(f))
		return -EINVAL;
	err = handle_need_extended(r);
	if (err)
		return err;
	wire_write_init(&w, payload, sizeof(payload));
	contact_peer_filter_write(&w, f);
	if (w.failed)
		return -E2BIG;
	return ask_peers(r, OP_PEER_QUERY, token, payload, wire_len(&w), out, n);
}

PUBLIC int ratman_peer_query(struct ratman *r, const struct ratman_id *token,
			     const struct ratman_contact_filter *filter, struct ratman_peer **out,
			     size_t *n)
{
	struct contact_filter f;
	int err = filter_build(filter, &f);

	return err ? err : ask_filtered(r, token, &f, out, n);
}

PUBLIC int ratman_peer_search(struct ratman *r, const struct ratman_id *token,
			      const struct ratman_contact_search *search,
			      struct ratman_peer **out, size_t *n)
{
	struct contact_filter f;
	int err = filter_build_search(search, &f);

	return err ? err : ask_filtered(r, token, &f, out, n);
}

PUBLIC int ratman_peer_status(struct ratman *r, const struct ratman_id *address,
			      struct ratman_peer *out)
{
	struct ratman_peer *list;
	size_t n;
	int err = handle_need_extended(r);

	if (err)
		return err;
	err = ask_peers(r, OP_PEER_STATUS, NULL, address->b, RATMAN_ID_LEN, &list, &n);
	if (err)
		return err;
	if (n == 1)
		*out = list[0];
	free(list);
	return n == 1 ? 0 : handle_fail(r, RATMAN_EPROTOCOL);
}
