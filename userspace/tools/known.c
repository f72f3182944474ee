// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/known.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int known_addresses(struct ratman *r, struct address **out, size_t *n)
{
	struct ratman_id *locals = NULL;
	struct ratman_peer *peers = NULL;
	size_t n_locals = 0, n_peers = 0;
	struct address *list = NULL;
	int err;

	err = ratman_addr_list(r, &locals, &n_locals);
	if (!err)
		err = ratman_peer_list(r, &peers, &n_peers);
	if (!err) {
		list = calloc(n_locals + n_peers + 1, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; list && i < n_locals; i++)
		memcpy(list[i].b, locals[i].b, ADDRESS_LEN);
	for (size_t i = 0; list && i < n_peers; i++)
		memcpy(list[n_locals + i].b, peers[i].address.b, ADDRESS_LEN);
	ratman_free(locals);
	ratman_free(peers);
	if (!err) {
		*out = list;
		*n = n_locals + n_peers;
	}
	return err;
}
