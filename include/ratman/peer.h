/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Peers: addresses elsewhere in the mesh. Of libratman: see ratman.h. */
#ifndef RATMAN_PEER_H
#define RATMAN_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ratman/contact.h>
#include <ratman/handle.h>
#include <ratman/id.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A remote address the daemon knows. Times are nanoseconds since 1970, UTC. */
struct ratman_peer {
	struct ratman_id address;
	int64_t first_seen_ns;
	int64_t last_seen_ns;
	bool active;
};

/* All remote addresses known. *@out (owned, ratman_free) holds *@n. */
int ratman_peer_list(struct ratman *r, struct ratman_peer **out, size_t *n);

/*
 * Those of them that are contacts of @token's address and fit the filter, in byte
 * order. It may not name addresses, and tags count by their keys: -EINVAL.
 */
int ratman_peer_query(struct ratman *r, const struct ratman_id *token,
		      const struct ratman_contact_filter *filter, struct ratman_peer **out,
		      size_t *n);
/* The same of a search, whose filter has keys of tags only, too (-EINVAL). */
int ratman_peer_search(struct ratman *r, const struct ratman_id *token,
		       const struct ratman_contact_search *search, struct ratman_peer **out,
		       size_t *n);

/* One of them. RATMAN_ENOADDRESS when it is not known. */
int ratman_peer_status(struct ratman *r, const struct ratman_id *address,
		       struct ratman_peer *out);

#ifdef __cplusplus
}
#endif

#endif
