/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What every subscription has in common: asking for one, ending it, and frames that
 * come over its socket. Private to the library.
 */
#ifndef LIBRATMAN_SUBSCRIPTION_H
#define LIBRATMAN_SUBSCRIPTION_H

#include "libratman/handle.h"

/* Sub or Resub: the daemon names the subscription and where to connect. */
int subscription_ask(struct ratman *r, enum op_id op, const struct ratman_id *token,
		     const void *payload, size_t len, struct ratman_subscription *out);

/* Unsub. */
int subscription_end(struct ratman *r, enum op_id op, const struct ratman_id *id,
		     const struct ratman_id *address, const struct ratman_id *token);

/*
 * The next frame of the socket, which must be of @mode (owned by the caller when
 * this returns 0). What came in part is kept when handle_may_resume() the error.
 */
int subscription_frame(struct ratman_sub *s, uint16_t mode, struct reply *reply, int timeout_ms);

/* A frame was not what it should be: drops the socket. RATMAN_EPROTOCOL. */
int subscription_fail(struct ratman_sub *s);

#endif
