/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams that come in on a connection, one behind the other: letterhead, bytes,
 * letterhead. Private to the library.
 */
#ifndef LIBRATMAN_INCOMING_H
#define LIBRATMAN_INCOMING_H

#include "libratman/handle.h"

/*
 * The next letterhead of @mode, after skipping the @left bytes of the stream
 * before, which is brought up to date. Returns 1, or an error; what came is kept
 * when handle_may_resume() it, else the connection is dropped.
 */
int incoming_next(struct ratman *r, uint16_t mode, uint64_t *left, struct ratman_letterhead *head,
		  uint64_t deadline);

/* Up to @size of the @left bytes; 0 at their end; errors as above. */
ssize_t incoming_read(struct ratman *r, uint64_t *left, void *buf, size_t size, uint64_t deadline);

struct recipient incoming_recipient(const struct ratman_recipient *to);

#endif
