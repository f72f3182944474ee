/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bytes for the daemon through a data socket that it names (ping 9): streams, and
 * the contents of files. Private to the library.
 */
#ifndef LIBRATMAN_OUTGOING_H
#define LIBRATMAN_OUTGOING_H

#include "libratman/handle.h"

/* Asks with @op, and begins to connect to the socket the daemon names. As ratman_send_begin(). */
int outgoing_begin(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len, struct ratman_send **out);

/*
 * Says that all is written, and takes the daemon's verdict, a ping of kind @want that
 * borrows from @reply (owned by the caller after success). Consumes @s, except when it
 * returns RATMAN_EAGAIN.
 */
int outgoing_end(struct ratman_send *s, enum ping_kind want, struct reply *reply,
		 struct ping *ping);

#endif
