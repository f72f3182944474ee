/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Announcements of profiles (service-api.md R15): a user who is online tells
 * everybody his whole profile when he comes, when it changes, and from time to
 * time; what others announce is merged (users.h). They travel as parcels to the
 * commons, signed by their sender and kept there for those who are away.
 *
 * An announcement: version 1 (1), the user's stamp (8), the profile as it stands in
 * lists, without flags. A good-bye, the last one of a user who is destroyed: version 2 (1),
 * stamp (8).
 */
#ifndef RATMAND_SERVICE_ANNOUNCE_H
#define RATMAND_SERVICE_ANNOUNCE_H

#include <uv.h>

#include "ratmand/flow/flow.h"
#include "ratmand/service/users.h"

struct announce;

#define ANNOUNCEMENT_MAX (1 + 8 + PROFILE_MAX)

/* All are borrowed and outlive it. -ENOMEM, errors of the loop. */
int announce_new(struct announce **out, uv_loop_t *loop, struct store *store, struct flow *flow,
		 struct users *users);
/* Before the flow ends: nothing is sent or taken any more. */
void announce_stop(struct announce *a);
/* Its handle is left to the loop, which must run once more. */
void announce_free(struct announce *a);

/*
 * A local user is online, or changed the profile: announced soon, in a turn of
 * its own. 0 also for an address that is no user, which is not announced. -EDQUOT.
 */
int announce_user(struct announce *a, const struct address *id);
void announce_offline(struct announce *a, const struct address *id);

/*
 * The last announcement of a local user, online or not, before the key @secret is destroyed: what
 * others have of him goes. It is queued into the store when this returns, before whatever is
 * queued later. 0 also for an address that is no user; -EIO, errors of flow_commons_goodbye().
 */
int announce_goodbye(struct announce *a, const struct address *id, const uint8_t *secret);

/* Codec, for tests: length, or 0 when it does not fit. @profile NULL makes a good-bye. */
size_t announce_write(uint8_t *buf, size_t size, uint64_t version, const struct profile *profile);
/* 0 or -EINVAL (@out borrows from @data). With *goodbye @out is not set. */
int announce_read(const uint8_t *data, size_t len, uint64_t *version, bool *goodbye,
		  struct profile *out);

#endif
