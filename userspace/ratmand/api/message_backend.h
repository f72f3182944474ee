/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client protocol needs for messages (service-api.md R17 to R25). As
 * api/backend.h; besides:
 *   -EACCES  the user is not online (any more)   -EPERM  only in god mode
 *   -ENOENT, -ENODATA  no such message, nothing to show   -ESRCH  no such subscription
 */
#ifndef RATMAND_API_MESSAGE_BACKEND_H
#define RATMAND_API_MESSAGE_BACKEND_H

#include "proto/message.h"

/* A query under way; ended by its done callback or by query_stop. */
struct backend_message_query;

/* Who reads a subscription; ended by listen_stop. */
struct backend_message_listener;

/* @id is borrowed for the call, NULL on error. */
typedef void (*backend_message_id_cb)(void *ctx, int err, const struct ident *id);
/* Borrowed for the call. False: it did not fit, and that is enough. */
typedef bool (*backend_message_cb)(void *ctx, const struct message *message);
typedef void (*backend_message_end_cb)(void *ctx, int err, bool more);

struct backend_message_ops {
	/* Answers when it is in the sender's mailbox and queued for everybody, on disk. -EINVAL: reserved
	 * tags; -EADDRNOTAVAIL: nobody a message can be sent to. */
	void (*send)(void *be, const struct message_send *send, backend_message_id_cb cb, void *ctx);
	/*
	 * Calls @found for each message, oldest first, then @done; both perhaps before
	 * it returns, but not before *@out is set. -ENOMEM, and then neither.
	 */
	int (*query)(void *be, const struct message_query *query, backend_message_cb found,
		     backend_message_end_cb done, void *ctx, struct backend_message_query **out);
	void (*query_stop)(struct backend_message_query *q);
	/* -EINVAL: reserved tags, but that unread is removed; -E2BIG. */
	void (*modify)(void *be, const struct message_change *change,
		       void (*done)(void *ctx, int err), void *ctx);
	void (*remove)(void *be, const struct address *user, const struct ident *id,
		       void (*done)(void *ctx, int err), void *ctx);

	/* Subscribes to what comes from here on; -EMFILE when there are too many with open sockets. */
	void (*subscribe)(void *be, const struct address *user, const struct message_filter *filter,
			  backend_message_id_cb cb, void *ctx);
	int (*subscription_check)(void *be, const struct ident *id, const struct address *user);
	void (*unsubscribe)(void *be, const struct ident *id, const struct address *user,
			    void (*done)(void *ctx, int err), void *ctx);
	/* Takes over from who listened before. @ready when there may be a message. */
	int (*listen)(void *be, const struct ident *id, const struct address *user,
		      void (*ready)(void *ctx), void *ctx, struct backend_message_listener **out);
	/*
	 * The next message, its data in @buf (MESSAGE_BODY_MAX bytes). -EAGAIN: none
	 * yet; -EINPROGRESS: ask again in the next turn of the loop.
	 */
	int (*listen_next)(struct backend_message_listener *l, uint64_t *number, struct message *out,
			   uint8_t *buf);
	/* The client has those up to @number: they do not come again. */
	void (*listen_read)(struct backend_message_listener *l, uint64_t number);
	void (*listen_stop)(struct backend_message_listener *l);
};

#endif
