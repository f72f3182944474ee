/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Streams: sending and receiving them. Of libratman: see ratman.h. */
#ifndef RATMAN_STREAM_H
#define RATMAN_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ratman/handle.h>
#include <ratman/id.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One stream being sent. */
struct ratman_send;
/* A wish for streams, and the one being read. */
struct ratman_recv;

struct ratman_recipient {
	struct ratman_id id;
	bool is_namespace;
};

/* Metadata of a received stream. */
struct ratman_letterhead {
	struct ratman_id from;
	struct ratman_recipient to;
	uint64_t stream_size;		/* bytes */
};

/*
 * Starts one stream from @from, which is up, to @n recipients (at least 1).
 * Until it ends nothing else may be asked of @r (RATMAN_EBUSY). *@out is owned
 * and ended by exactly one of ratman_send_end and ratman_send_abort.
 * A Rust daemon takes one recipient per stream only: -EINVAL for more.
 */
int ratman_send_begin(struct ratman *r, const struct ratman_id *from,
		      const struct ratman_id *token, const struct ratman_recipient *to, size_t n,
		      struct ratman_send **out);

/*
 * Sends all @len bytes, waiting while the daemon is busy. RATMAN_ECLOSED when
 * the daemon gave the stream up: ratman_send_end() then says why. After any other
 * error bytes are missing, and ratman_send_end() throws the stream away and returns
 * that error. -EINVAL on a handle that must not block.
 */
int ratman_send_write(struct ratman_send *s, const void *data, size_t len);

/*
 * Sends what the system takes at once of @len bytes, waiting until that is at
 * least one (or RATMAN_EAGAIN). Returns the number of bytes, or as ratman_send_write(),
 * but RATMAN_ETIMEOUT, RATMAN_EAGAIN and -EINTR mean that no byte went.
 */
ssize_t ratman_send_some(struct ratman_send *s, const void *data, size_t len);

/*
 * Ends the stream; 0 when the daemon has stored and queued it. Consumes @s,
 * except when it returns RATMAN_EAGAIN.
 */
int ratman_send_end(struct ratman_send *s);

/* Throws the stream away: the daemon sends nothing. Consumes @s; NULL is fine. */
void ratman_send_abort(struct ratman_send *s);

#define RATMAN_NO_LIMIT UINT32_MAX

/*
 * Asks for streams sent to @to (NULL: to @address itself), at most @limit of
 * them. Until ratman_recv_end nothing else may be asked of @r. *@out is owned.
 */
int ratman_recv_begin(struct ratman *r, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_recipient *to,
		      uint32_t limit, struct ratman_recv **out);

/*
 * Waits for the next stream, at most @timeout_ms (negative: for ever; 0: takes
 * what is there, and never waits for the rest of it); skips what is left of the
 * one before. Returns 1 and fills @head, 0 when @limit streams were received,
 * RATMAN_ETIMEOUT (and may be called again), or an error.
 */
int ratman_recv_next(struct ratman_recv *v, struct ratman_letterhead *head, int timeout_ms);

/* Reads up to @size bytes of the stream; 0 at its end; negative on error. */
ssize_t ratman_recv_read(struct ratman_recv *v, void *buf, size_t size);

/*
 * Ends receiving; a stream not read to its end stays with the daemon as far as
 * the daemon still holds it. Consumes @v; NULL is fine.
 */
void ratman_recv_end(struct ratman_recv *v);

#ifdef __cplusplus
}
#endif

#endif
