/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users and their sessions; RATMAN_ENOTSUPPORTED by a daemon without them, who is sent no
 * password. A session's token (secret: wipe it) is as good as the
 * address's own in every call; it ends by ratman_user_logout(), when no call was made
 * with it for the daemon's session_timeout, with the address, and with the daemon. With the
 * last one the user goes offline.
 *
 * A password has 1 to RATMAN_PASSWORD_MAX bytes of UTF-8, else -EINVAL.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_SESSION_H
#define RATMAN_SESSION_H

#include <stdbool.h>

#include <ratman/handle.h>
#include <ratman/id.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATMAN_PASSWORD_MAX 1024

/*
 * Makes an address that only @password opens, a profile for it with @handle (NULL:
 * empty), and a first session: it is on the disk, and online. RATMAN_ENOTAUTHORISED
 * when there may be no more, or not so many in a minute.
 */
int ratman_user_create(struct ratman *r, const char *password, const char *handle,
		       struct ratman_id *id, struct ratman_id *token);

/*
 * Opens a session. RATMAN_ENOUSER for an unknown user and a wrong password alike;
 * RATMAN_ENOTAUTHORISED: too many sessions.
 */
int ratman_user_login(struct ratman *r, const struct ratman_id *id, const char *password,
		      struct ratman_id *token);

/* Ends one. RATMAN_EAUTH when it has ended; RATMAN_ENOTAUTHORISED for the address's own token. */
int ratman_user_logout(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token);

/* 0 while @token stands for @id, else RATMAN_EAUTH. Keeps the session, as every call does. */
int ratman_user_status(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token);

/*
 * Removes the user for ever: sessions, address, key, profile, and what nobody could read
 * without the key. With @purge also streams that are stored for the address.
 */
int ratman_user_destroy(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token,
			bool purge);

/*
 * Another password, or the first of an address that has none and so becomes a user.
 * Sessions stay. It is on the disk when this returns.
 */
int ratman_user_set_password(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *token, const char *password);

#ifdef __cplusplus
}
#endif

#endif
