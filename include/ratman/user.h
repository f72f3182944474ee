/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Profiles: what users tell everybody about themselves. A user is an address with a
 * profile; whoever was seen in the mesh has one, if only an empty one. No token is
 * needed to read them. A daemon without the Service API: RATMAN_ENOTSUPPORTED.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_USER_H
#define RATMAN_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/subscription.h>
#include <ratman/tag.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ratman_profile {
	struct ratman_id id;
	const char *handle;		/* these two: NULL when unset; may be "" */
	const char *display_name;
	const struct ratman_tag *bio;	/* by their keys */
	size_t n_bio;
	const char *const *services;	/* in byte order */
	size_t n_services;
	const uint8_t *avatar;		/* NULL: none */
	size_t avatar_len;
	int64_t updated_ns;		/* of the last change, as the user says; 0: there was none */
	bool local;			/* a user of the router that was asked */
	bool online;			/* logged in there, or with a route just now */
};

enum ratman_user_scope {
	RATMAN_USERS_LOCAL,
	RATMAN_USERS_REMOTE,
	RATMAN_USERS_ALL,
};

/*
 * Users in the order in which the router first heard of them, from @skip on, at most
 * @take, and no more than fit one answer: *@n is 0 only at the end, so whoever wants
 * all asks on with what came added to @skip. *@out is one piece of memory with all
 * texts and pictures (owned, ratman_free). -EINVAL: no such scope.
 */
int ratman_user_list(struct ratman *r, enum ratman_user_scope scope, uint32_t skip, uint32_t take,
		     struct ratman_profile **out, size_t *n);

/* One user. *@out as above. RATMAN_ENOUSER. */
int ratman_user_get(struct ratman *r, const struct ratman_id *id, struct ratman_profile **out);

/*
 * Users for whom all of @n_terms terms (at most 16) hold; pages as ratman_user_list().
 * Attributes are handle, display_name, services, id, and keys of the bio. -EINVAL (no such
 * match), -EILSEQ (a term that is not UTF-8), -E2BIG; RATMAN_EQUERY when the daemon finds it
 * wrong.
 */
int ratman_user_search(struct ratman *r, const struct ratman_user_term *terms, size_t n_terms,
		       uint32_t skip, uint32_t take, struct ratman_profile **out, size_t *n);

/* What is NULL or 0 stays as it is. */
struct ratman_user_change {
	const char *handle;		/* at most 64 bytes */
	const char *display_name;	/* at most 128 bytes */
	const uint8_t *avatar;		/* at most 32 KiB */
	size_t avatar_len;
	bool unset_handle, unset_display_name, unset_avatar;
	const struct ratman_tag *set_bio;	/* added, or replacing the value of the key; at most
						   64 and 8 KiB, with what is there */
	size_t n_set_bio;
	const char *const *unset_bio;		/* keys; before the others are set */
	size_t n_unset_bio;
	const char *const *add_services;	/* at most 64 and 4 KiB, with what is there */
	size_t n_add_services;
	const char *const *remove_services;	/* none of those above */
	size_t n_remove_services;
};

/*
 * Changes the profile of @id, which is up and to which @token belongs, wholly or not
 * at all, and makes one if there is none. It is on the disk when this returns, and
 * goes to everybody soon after. -EINVAL (a key or service that is empty or no UTF-8,
 * a service both added and removed), -E2BIG; RATMAN_EPAYLOAD when the profile would become too large.
 */
int ratman_user_modify(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		       const struct ratman_user_change *change);

/*
 * Profiles that change from now on, local ones and others: fills @out for
 * ratman_sub_open() and ratman_sub_profile(). It ends with its socket, with the
 * address, or by ratman_user_unsub() (RATMAN_ENOSUBSCRIPTION).
 */
int ratman_user_sub(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
		    struct ratman_subscription *out);
int ratman_user_unsub(struct ratman *r, const struct ratman_id *subscription,
		      const struct ratman_id *id, const struct ratman_id *token);

/*
 * Waits for the next one, as it is now: who changed twice meanwhile comes once.
 * Returns 1, *@out (owned, ratman_free), or as ratman_sub_next().
 */
int ratman_sub_profile(struct ratman_sub *s, struct ratman_profile **out, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
