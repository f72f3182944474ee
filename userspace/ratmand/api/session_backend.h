/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client protocol needs for logins. As api/backend.h.
 */
#ifndef RATMAND_API_SESSION_BACKEND_H
#define RATMAND_API_SESSION_BACKEND_H

#include "base/address.h"

/* End of create; @id is borrowed for the call, NULL on error. */
typedef void (*backend_user_cb)(void *ctx, int err, const struct address *id);

struct backend_session_ops {
	/*
	 * Makes an address that only @password opens (borrowed), and a user of it with
	 * an empty profile, but for @handle unless it is NULL (borrowed). Answered when
	 * that is on disk, and the user online. -EINVAL: password empty or too long;
	 * -ENAMETOOLONG, -EILSEQ: the handle; -E2BIG: no room for one more address.
	 */
	void (*create)(void *be, const char *password, const char *handle, backend_user_cb cb,
		       void *ctx);
	/* Removes a user that create() has just made, when nobody could be told of him. */
	void (*discard)(void *be, const struct address *id);
	/*
	 * Opens the address with @password (borrowed) and brings it online. -EACCES for a
	 * wrong password and an unknown user, alike in time.
	 */
	void (*login)(void *be, const struct address *id, const char *password,
		      void (*done)(void *ctx, int err), void *ctx);
	/* The last session has ended, and the address was not brought up besides. */
	void (*offline)(void *be, const struct address *id);
	/*
	 * Gives the address, which is online (else -EACCES), another password, or its
	 * first one, and makes it a user. Answered when that is on disk. -EINVAL as above.
	 */
	void (*set_password)(void *be, const struct address *id, const char *password,
			     void (*done)(void *ctx, int err), void *ctx);
};

#endif
