/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Subscriptions to streams and to events. Of libratman: see ratman.h. */
#ifndef RATMAN_SUBSCRIPTION_H
#define RATMAN_SUBSCRIPTION_H

#include <stddef.h>
#include <sys/types.h>

#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/stream.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A subscription at the daemon, and where what is due to it can be fetched just now. */
struct ratman_subscription {
	struct ratman_id id;		/* keep it: ratman_sub_resume() wants it */
	char socket[64];		/* "ip:port"; for one connection, within 30 s */
};

/*
 * Subscribes @address, which is up, to the streams sent to @to (NULL: to @address
 * itself; else a namespace): every stream that is complete from now on is kept
 * for it by the daemon, over restarts, until it was fetched once. Finds the
 * subscription there is. Fills @out, to be given to ratman_sub_open() or to
 * another program.
 */
int ratman_sub_create(struct ratman *r, const struct ratman_id *address,
		      const struct ratman_id *token, const struct ratman_recipient *to,
		      struct ratman_subscription *out);

/* A socket for a subscription there is. RATMAN_ENOSUBSCRIPTION, RATMAN_ENOADDRESS. */
int ratman_sub_resume(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token,
		      struct ratman_subscription *out);

/* Ends it and closes its socket; streams not fetched wait for ratman_recv_begin(). */
int ratman_sub_cancel(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token);

/* Ids of the subscriptions of @address to streams. *@out (owned, ratman_free) holds *@n. */
int ratman_sub_list(struct ratman *r, const struct ratman_id *address,
		    const struct ratman_id *token, struct ratman_id **out, size_t *n);

/* The same for events: addresses that come up and go down, and new peers. */
int ratman_addr_sub(struct ratman *r, const struct ratman_id *address,
		    const struct ratman_id *token, struct ratman_subscription *out);
int ratman_addr_resub(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token,
		      struct ratman_subscription *out);
int ratman_addr_unsub(struct ratman *r, const struct ratman_id *id,
		      const struct ratman_id *address, const struct ratman_id *token);

/* The socket of a subscription; independent of the handle. */
struct ratman_sub;

/*
 * Connects to the socket of @subscription. Timeout and blocking are those of @r,
 * which may be closed afterwards or go on with something else. *@out is owned.
 * A second socket of one subscription takes over from the first.
 */
int ratman_sub_open(struct ratman *r, const struct ratman_subscription *subscription,
		    struct ratman_sub **out);

/* As ratman_fd(), for the three calls below. Closed by ratman_sub_close(). */
int ratman_sub_fd(struct ratman_sub *s);

/*
 * Waits for the next stream, oldest first, as ratman_recv_next() does. Returns 1
 * and fills @head, RATMAN_ETIMEOUT (and may be called again), or an error:
 * RATMAN_ECLOSED when the daemon ended it (ratman_sub_resume() goes on).
 */
int ratman_sub_next(struct ratman_sub *s, struct ratman_letterhead *head, int timeout_ms);

/* Reads up to @size bytes of the stream; 0 at its end; negative on error. */
ssize_t ratman_sub_read(struct ratman_sub *s, void *buf, size_t size);

enum ratman_event_kind {
	RATMAN_ADDRESS_UP = 1,		/* a local address came up */
	RATMAN_ADDRESS_DOWN = 2,		/* a local address went down */
	RATMAN_NEW_PEER = 3,		/* a remote address was heard of for the first time */
};

struct ratman_event {
	enum ratman_event_kind kind;	/* later daemons may have more */
	struct ratman_id address;
};

/* Waits for the next event of a subscription to events. Returns 1, or as ratman_sub_next(). */
int ratman_sub_event(struct ratman_sub *s, struct ratman_event *out, int timeout_ms);

/* Closes the socket; the subscription stays. NULL is fine. */
void ratman_sub_close(struct ratman_sub *s);

#ifdef __cplusplus
}
#endif

#endif
