/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages: small things from user to user, or to everybody, kept by the router
 * until they are deleted. A user is an address that is up, acting with its token
 * (else RATMAN_EAUTH). A daemon without the Service API: RATMAN_ENOTSUPPORTED.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_MESSAGE_H
#define RATMAN_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/subscription.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A key (UTF-8, not empty) and any bytes. The same key may have several values. */
struct ratman_message_tag {
	const char *key;
	const void *value;
	size_t len;
};

/* The tag of what was received and not read: it can be asked for, and removed. */
#define RATMAN_TAG_UNREAD "libqaul._int.unread"

enum ratman_trust {
	RATMAN_TRUSTED,		/* the sender signed it */
	RATMAN_UNVERIFIED,	/* not signed */
};

struct ratman_message {
	struct ratman_id id;
	struct ratman_id sender;
	struct ratman_id to;		/* all zeroes: to everybody, or our own to several */
	bool flood;			/* to everybody: public */
	bool unread;
	enum ratman_trust trust;
	const char *service;
	const struct ratman_message_tag *tags;	/* by key and value, the unread one among them */
	size_t n_tags;
	int64_t time_ns;		/* when it was sent, by the sender's clock */
	const void *data;
	size_t len;
};

struct ratman_message_out {
	const struct ratman_id *to;	/* n_to of them, at most 64; 0: to everybody */
	size_t n_to;
	const struct ratman_id *id;	/* NULL: a new one. Only with at most one recipient; an id
					   that was used is sent again, but not kept twice */
	const char *service;		/* whose message it is: a name like org.example.chat, at
					   most 128 bytes */
	const struct ratman_message_tag *tags;	/* at most 64 and 8 KiB, none of the router's */
	size_t n_tags;
	const void *data;		/* at most 65,000 bytes */
	size_t len;
};

/*
 * Sends a message. When this returns 0 it is on the disk and on its way, however
 * long the recipients are away; @id (may be NULL) gets its id. -EINVAL, -E2BIG;
 * RATMAN_EPAYLOAD, RATMAN_EIO.
 */
int ratman_message_send(struct ratman *r, const struct ratman_id *user,
			const struct ratman_id *token, const struct ratman_message_out *message,
			struct ratman_id *id);

/* All that is given must hold. */
struct ratman_message_filter {
	const char *service;		/* NULL: all, where the router allows it (god_mode) */
	const struct ratman_id *sender;	/* NULL: whoever */
	const struct ratman_message_tag *tags;
	size_t n_tags;
};

/*
 * The user's messages that pass, oldest first, from @skip on, at most @take (0: as
 * many as one answer holds); *@more (may be NULL) tells whether there are others
 * behind them. *@out is one piece of memory with all of them (owned, ratman_free).
 * RATMAN_ENODATA when there are none from there on, RATMAN_ENOTAUTHORISED, -EINVAL, -E2BIG.
 */
int ratman_message_query(struct ratman *r, const struct ratman_id *user,
			 const struct ratman_id *token, const struct ratman_message_filter *filter,
			 uint32_t skip, uint32_t take, struct ratman_message **out, size_t *n,
			 bool *more);

/*
 * Those with this id: one, unless several senders used it. *@out as above.
 * RATMAN_ENODATA.
 */
int ratman_message_get(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id,
		       struct ratman_message **out, size_t *n);

/*
 * Removes tags from a message, then adds some: for this user alone.
 * RATMAN_ENODATA, RATMAN_EPAYLOAD, -EINVAL, -E2BIG.
 */
int ratman_message_tag(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id,
		       const struct ratman_message_tag *add, size_t n_add,
		       const struct ratman_message_tag *remove, size_t n_remove);

/* Deletes it for this user alone. RATMAN_ENODATA. */
int ratman_message_delete(struct ratman *r, const struct ratman_id *user,
			  const struct ratman_id *token, const struct ratman_id *id);

/*
 * Subscribes to what comes from here on and passes @filter, which names no sender
 * (-EINVAL). It outlives connections and restarts: with the socket of _resub comes
 * all that was not read. At most 64 for a user (RATMAN_EIO).
 */
int ratman_message_sub(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_message_filter *filter,
		       struct ratman_subscription *out);
int ratman_message_resub(struct ratman *r, const struct ratman_id *subscription,
			 const struct ratman_id *user, const struct ratman_id *token,
			 struct ratman_subscription *out);
int ratman_message_unsub(struct ratman *r, const struct ratman_id *subscription,
			 const struct ratman_id *user, const struct ratman_id *token);

/* Waits for the next one. Returns 1, *@out (owned, ratman_free), or as ratman_sub_next(). */
int ratman_sub_message(struct ratman_sub *s, struct ratman_message **out, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
