/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Profiles on the disk: those of users of this router in state/, of others in
 * cache/. Everybody may see them, so they are under the store's keys, not under
 * the user's: they are read while he is offline, too.
 *
 * The avatar has a record of its own, so that a walk over all profiles does not
 * read pictures. Its key has the version it came with: whatever a crash leaves,
 * a profile names an avatar that is whole, or one that is not there.
 */
#ifndef RATMAND_STORE_PROFILES_H
#define RATMAND_STORE_PROFILES_H

#include "proto/user.h"
#include "ratmand/store/store.h"

/* What is kept of a user beside the profile that everybody sees. */
struct profile_record {
	struct profile profile;	/* flags are 0 */
	uint64_t version;	/* the user's stamp of this state; 0: never announced */
	int64_t first_ns;	/* when we first heard of the user, wall clock */
	uint64_t avatar_version;	/* the version the avatar came with */
};

/* Which of the two tables. */
enum profile_side {
	PROFILES_HERE,
	PROFILES_ELSEWHERE,
};

/*
 * Queues the record; its avatar is written only when @new_avatar, and then
 * avatar_version is set to the version. The user's older avatar goes. Durable
 * with the next commit (PROFILES_HERE). Storage errors: nothing was changed.
 */
int profiles_put(struct store *store, enum profile_side side, struct profile_record *record,
		 bool new_avatar);

/*
 * Reads a record. @avatar (LIMIT_AVATAR bytes) gets the picture, from where the
 * profile borrows it; with NULL it is left out, though avatar_len is told.
 * -ENOENT; -EBADMSG when it is damaged. A damaged avatar is none.
 */
int profiles_get(struct store *store, enum profile_side side, const struct address *id,
		 struct profile_record *out, uint8_t *avatar);

bool profiles_has(struct store *store, enum profile_side side, const struct address *id);

/* Queues removal; nothing happens when there is none. */
int profiles_remove(struct store *store, enum profile_side side, const struct address *id);

/* Calls @cb for every record, without avatars, in no order that means anything; as store_each(). */
typedef void (*profiles_cb)(void *ctx, const struct profile_record *record);
int profiles_each(struct store *store, enum profile_side side, profiles_cb cb, void *ctx);

/* Queues the removal of avatars no profile names, which a crash can leave. -ENOMEM, storage errors. */
int profiles_tidy(struct store *store, enum profile_side side);

#endif
