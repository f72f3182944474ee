/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages (service-api.md R17 to R25): between the mailboxes of the users here
 * (store/mailbox.h), the log of floods, and parcels from and to elsewhere.
 *
 * A user is a local address that is online; what is done for one that is not
 * fails with -EACCES. A mailbox begins with its user's first use of it, or with the
 * first message that comes; it then has the floods the log still holds, too.
 * Whatever looks at much goes on over many turns of the loop.
 */
#ifndef RATMAND_SERVICE_MESSAGES_H
#define RATMAND_SERVICE_MESSAGES_H

#include "proto/message.h"
#include "ratmand/service/service.h"

struct messages;

struct messages_options {
	/* All services at once may be asked for (R21, R31); else -EPERM. */
	bool god_mode;
	/* Messages of services that are not registered are dropped (R25). */
	bool discard_unknown_services;
	/* True when @service is registered. NULL: none is. */
	bool (*registered)(void *ctx, const char *service);
	/* The secret key (64 bytes, borrowed until the next call) of a user, or NULL. */
	const uint8_t *(*secret)(void *ctx, const struct address *user);
	void *ctx;
};

struct messages_stats {
	uint64_t sent;		/* to each recipient */
	uint64_t received;	/* kept in a mailbox, or in the log */
	uint64_t duplicates;
	uint64_t unverified;	/* among those received */
	uint64_t bad_signatures;
	uint64_t malformed;
	uint64_t discarded;	/* of services nobody here has registered */
	uint64_t floods, flood_bytes;	/* in the log, now */
};

/* @s and @options (copied) outlive it. -ENOMEM, storage errors. */
int messages_new(struct messages **out, struct service *s, const struct messages_options *options);
/* Before the flow ends: nothing goes to it or comes from it any more. NULL is fine. */
void messages_stop(struct messages *m);
/* After the flow has ended, before the store does. NULL is fine. */
void messages_free(struct messages *m);

/* Borrowed; brought up to date by each call. */
const struct messages_stats *messages_stats(struct messages *m);

/* @user is online from here on, or no longer. */
void messages_user_up(struct messages *m, const struct address *user);
void messages_user_down(struct messages *m, const struct address *user);

/*
 * Queues that everything @records' owner has of messages goes: with the next commit
 * the mailbox is as good as gone, and is emptied in the background, also after a
 * restart. To be called before the owner's key is destroyed; the owner goes
 * offline next. Storage errors.
 */
int messages_forget_user(struct messages *m, const struct records *records);

typedef void (*messages_done_cb)(void *ctx, int err);
/* @id is borrowed for the call, NULL on error. */
typedef void (*messages_id_cb)(void *ctx, int err, const struct ident *id);

/*
 * Sends (R17, R18): @cb once it is in the sender's mailbox and queued for every
 * recipient, all on disk. -EINVAL (reserved tags), -EADDRNOTAVAIL (no recipient that
 * can be sent to), -EACCES, -EDQUOT and other storage errors.
 */
void messages_send(struct messages *m, const struct message_send *send, messages_id_cb cb,
		   void *ctx);

/* -ENOENT, -EINVAL (reserved tags, except that unread is removed), -E2BIG, -EACCES, storage errors. */
void messages_change(struct messages *m, const struct message_change *change, messages_done_cb cb,
		     void *ctx);
void messages_remove(struct messages *m, const struct address *user, const struct ident *id,
		     messages_done_cb cb, void *ctx);

/* ---- queries: messages_query.c ---- */

struct messages_query;

/* Called for each message, oldest first (borrowed). False when it did not fit: then that is all. */
typedef bool (*messages_found_cb)(void *ctx, const struct message *message);
/*
 * The end: 0 and whether there are @more, -ENODATA when there was none to show,
 * -EPERM (all services, without god mode), -EACCES, storage errors.
 */
typedef void (*messages_queried_cb)(void *ctx, int err, bool more);

/*
 * Both callbacks may come before it returns; the handle, set before them, is gone after
 * the second. -ENOMEM, and then none comes.
 */
int messages_query(struct messages *m, const struct message_query *query, messages_found_cb found,
		   messages_queried_cb done, void *ctx, struct messages_query **out);
/* Ends it early: no callback follows. */
void messages_query_stop(struct messages_query *q);

/* ---- subscriptions: messages_sub.c ---- */

/*
 * Subscribes @user to messages that come from here on and pass @filter (R22); @cb
 * when it is on disk. Beyond LIMIT_MESSAGE_SUBSCRIPTIONS it takes the place of the one
 * nobody has listened to for the longest time; -EMFILE when somebody listens to each.
 * -EPERM as above, -EACCES, storage errors.
 */
void messages_subscribe(struct messages *m, const struct address *user,
			const struct message_filter *filter, messages_id_cb cb, void *ctx);
/* 0, -ESRCH (no such subscription of this user), -EACCES. */
int messages_subscription_check(struct messages *m, const struct ident *id,
				const struct address *user);
/* Ends it; who listens is not told. Errors as above, storage errors. */
void messages_unsubscribe(struct messages *m, const struct ident *id, const struct address *user,
			  messages_done_cb cb, void *ctx);

/* Who has a subscription's messages told; the next one takes over. */
struct messages_listener;

/* @ready when there may be one, first if some wait already. Errors as above, -ENOMEM. */
int messages_listen(struct messages *m, const struct ident *id, const struct address *user,
		    void (*ready)(void *ctx), void *ctx, struct messages_listener **out);
/*
 * The next message, whose data lies in @buf (MESSAGE_BODY_MAX bytes), and its *@number.
 * 0, -EAGAIN when there is none yet, -EINPROGRESS when there was too much to look
 * at in one turn (ask again in the next), -ESRCH when the subscription ended, -EACCES.
 */
int messages_listen_next(struct messages_listener *l, uint64_t *number, struct message *out,
			 uint8_t *buf);
/* Up to @number the client has them all: they do not come again. */
void messages_listen_read(struct messages_listener *l, uint64_t number);
/* Whoever listens next has those again that were not read. */
void messages_listen_stop(struct messages_listener *l);

#endif
