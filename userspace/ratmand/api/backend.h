/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the client protocol needs from the rest of the daemon. api/ knows
 * nothing else of it; tests put a fake behind the same table.
 *
 * All calls and callbacks happen on the loop thread. A callback may run before
 * the call that took it returns. Errors are negative errno; those a client can
 * cause have a fixed meaning:
 *   -EACCES  wrong token             -ENOENT   no such address here
 *   -EEXIST  exists already          -EINVAL   bad input
 *   -EHOSTUNREACH never: unknown recipients are queued
 *   -ENOSPC, -EROFS, -EDQUOT  storage refuses writes   -ENODATA  empty stream
 *   -E2BIG   over a limit of base/limits.h   -EBADMSG  what is stored is damaged
 *   -ESRCH   no such subscription   -EMFILE  too many subscriptions
 */
#ifndef RATMAND_API_BACKEND_H
#define RATMAND_API_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "proto/contact.h"
#include "proto/letterhead.h"
#include "proto/link.h"
#include "proto/payload.h"
#include "ratmand/api/service_backend.h"
#include "ratmand/api/session_backend.h"
#include "ratmand/api/message_backend.h"
#include "ratmand/api/profile_backend.h"

/* One remote address, as in Peer/List. Times are wall clock, ns since 1970. */
struct backend_peer {
	struct address address;
	int64_t first_seen_ns;
	int64_t last_seen_ns;
	bool active;
};

struct backend_status {
	uint64_t peers;		/* remote addresses known */
	uint64_t locals;	/* local addresses, namespaces included */
	uint64_t workers;	/* transfers under way */
};

/* A stream being sent; made by send_open, ended by exactly one of send_finish and send_abort. */
struct backend_send;

/* A received stream being read; ended by recv_close. */
struct backend_recv;

/* A standing wish for streams; ended by listen_stop. */
struct backend_listener;

/* Called for each address or peer of a list; the pointer is borrowed for the call. */
typedef void (*backend_addr_cb)(void *ctx, const struct address *address);
typedef void (*backend_peer_cb)(void *ctx, const struct backend_peer *peer);

/* Called for each subscription of a list; borrowed for the call. */
typedef void (*backend_ident_cb)(void *ctx, const struct ident *id);

/* End of subscribe; @id is borrowed for the call, NULL on error. */
typedef void (*backend_subscribed_cb)(void *ctx, int err, const struct ident *id);

/* End of an asynchronous call: 0 or a negative errno. */
typedef void (*backend_done_cb)(void *ctx, int err);

/* End of addr_create; @address and @token are borrowed for the call, NULL on error. */
typedef void (*backend_created_cb)(void *ctx, int err, const struct address *address,
				   const struct ident *token);

/* A list of contacts that is gone through; ended by contact_list_close. */
struct backend_contacts;

typedef void (*backend_contact_cb)(void *ctx, const struct contact *contact);
typedef void (*backend_link_cb)(void *ctx, const struct link_entry *link);

/* @n addresses (borrowed for the call) were touched. */
typedef void (*backend_touched_cb)(void *ctx, int err, const struct address *touched, size_t n);

enum backend_link_change {
	BACKEND_LINK_CREATE,
	BACKEND_LINK_DESTROY,
	BACKEND_LINK_UP,
	BACKEND_LINK_DOWN,
};

/* A probe of a namespace under way; ended by anycast_stop. */
struct backend_anycast;

/* A member of the namespace has answered after @ms milliseconds; @member is borrowed. */
typedef void (*backend_answer_cb)(void *ctx, const struct address *member, uint64_t ms);

/* A stream has fully arrived and waits; the listener may now call recv_open. */
typedef void (*backend_ready_cb)(void *ctx);

struct file_backend;

struct backend_ops {
	/*
	 * Makes an address, answered after it is on disk. @name is a private
	 * label (borrowed, may be NULL). @ns_key is a 32-byte ed25519 seed
	 * (borrowed) for a namespace, or NULL for a fresh key.
	 */
	void (*addr_create)(void *be, const char *name, const uint8_t *ns_key,
			    backend_created_cb cb, void *ctx);
	/* Opens the key with the token and announces the address. Idempotent. */
	void (*addr_up)(void *be, const struct address *address, const struct ident *token,
			backend_done_cb cb, void *ctx);
	/* Stops announcing. 0 also when it was not up. */
	void (*addr_down)(void *be, const struct address *address, backend_done_cb cb, void *ctx);
	/* 0 when @token opens @address, without any effect. Takes the same time whatever the answer. */
	int (*addr_check)(void *be, const struct address *address, const struct ident *token);
	/*
	 * Removes the address, its key and its contacts; with @force also its
	 * stored streams. @token opens it (it need not be up).
	 */
	void (*addr_destroy)(void *be, const struct address *address, const struct ident *token,
			     bool force, backend_done_cb cb, void *ctx);
	/* Every local address in byte order. */
	void (*addr_list)(void *be, backend_addr_cb cb, void *ctx);

	/*
	 * Contacts of @owner, which is up (else -EACCES). put replaces what was
	 * noted about the same address, and answers when it is on disk; -E2BIG
	 * beyond LIMIT_CONTACTS. del: -ENOENT. modify changes one or all of them,
	 * wholly or not at all: -ENOENT when the one named is no contact, -E2BIG
	 * when one would get too many tags.
	 */
	void (*contact_put)(void *be, const struct address *owner, const struct contact *contact,
			    backend_done_cb cb, void *ctx);
	void (*contact_del)(void *be, const struct address *owner, const struct address *contact,
			    backend_done_cb cb, void *ctx);
	void (*contact_modify)(void *be, const struct address *owner,
			       const struct contact_change *change, backend_touched_cb cb,
			       void *ctx);
	/*
	 * Those that fit @filter (borrowed until the list is closed; NULL: all), in any order,
	 * in steps of little work: step calls @cb for some and returns 1 when there are
	 * more, 0, or -EACCES when the owner went down. -EMSGSIZE: more than
	 * LIMIT_CONTACT_WORDS to look for.
	 */
	int (*contact_list_open)(void *be, const struct address *owner,
				 const struct contact_filter *filter, struct backend_contacts **out);
	int (*contact_list_step)(struct backend_contacts *list, backend_contact_cb cb, void *ctx);
	void (*contact_list_close)(struct backend_contacts *list);

	/*
	 * Changes what interface carries our frames. -ENODEV: no such interface or
	 * link; any error with a sentence for people in @why (borrowed, @size bytes).
	 */
	int (*link_change)(void *be, enum backend_link_change change, const char *interface,
			   char *why, size_t size);
	/* Each link and each neighbour on it, by interface; none when the mesh is off. */
	int (*link_list)(void *be, backend_link_cb cb, void *ctx);

	/* Every remote address known, in byte order. */
	void (*peer_list)(void *be, backend_peer_cb cb, void *ctx);
	/* One of them, or -ENOENT. */
	int (*peer_get)(void *be, const struct address *address, struct backend_peer *out);
	void (*status)(void *be, struct backend_status *out);

	/*
	 * Starts a stream to the recipients of @heads (n of them, borrowed; all
	 * with the same from, which is up). @drain is called when send_write may
	 * go on after it returned -EAGAIN.
	 */
	int (*send_open)(void *be, const struct letterhead *heads, size_t n,
			 backend_ready_cb drain, void *ctx, struct backend_send **out);
	/*
	 * Takes @len bytes (copied). Returns 0, -EAGAIN when nothing was taken
	 * and drain will be called, or an error after which only send_abort is
	 * allowed.
	 */
	int (*send_write)(struct backend_send *send, const void *data, size_t len);
	/* Ends the stream; @cb after everything is on disk and queued. Consumes @send. */
	void (*send_finish)(struct backend_send *send, backend_done_cb cb, void *ctx);
	void (*send_abort)(struct backend_send *send);

	/*
	 * Wants streams that were sent to @to and arrive at @local (which is up).
	 * @ready is called whenever there may be one, first at once if one waits
	 * already. Several listeners share what arrives: each stream goes to the
	 * first that opens it. Subscribers have theirs besides: a stream that
	 * somebody subscribed to comes here only if it completes while there is a
	 * listener.
	 */
	int (*listen)(void *be, const struct address *local, const struct recipient *to,
		      backend_ready_cb ready, void *ctx, struct backend_listener **out);
	void (*listen_stop)(struct backend_listener *l);
	/*
	 * Takes the oldest stream that waits. Returns -EAGAIN when there is none.
	 * @head (filled) has the true stream size. The stream is wholly decodable.
	 */
	int (*recv_open)(struct backend_listener *l, struct letterhead *head,
			 struct backend_recv **out);
	/* Up to @size bytes in order; 0 at the end; negative errno. */
	ssize_t (*recv_read)(struct backend_recv *r, void *buf, size_t size);
	/*
	 * Ends reading. With @delivered the client has it all and it is not
	 * offered again; otherwise it waits for the next listener.
	 */
	void (*recv_close)(struct backend_recv *r, bool delivered);

	/*
	 * Subscribes @address, which is up, to the streams of @to, or to events
	 * with RECIPIENT_NONE; finds the subscription there is. @cb when it is on
	 * disk.
	 */
	void (*subscribe)(void *be, const struct address *address, const struct recipient *to,
			  backend_subscribed_cb cb, void *ctx);
	/* 0 when @address subscribed under @id, to events or not; -ESRCH, -ENOENT (others did). */
	int (*subscription_check)(void *be, const struct ident *id, const struct address *address,
				  bool events);
	/* Ends it for @address; @cb when that is on disk. Errors as subscription_check. */
	void (*unsubscribe)(void *be, const struct ident *id, const struct address *address,
			    bool events, backend_done_cb cb, void *ctx);
	/* Every subscription of @address to streams. */
	void (*subscription_list)(void *be, const struct address *address, backend_ident_cb cb,
				  void *ctx);
	/*
	 * A listener for what is due to the subscriber, oldest first: recv_open
	 * for streams, event_next for events. Errors as subscription_check.
	 */
	int (*attach)(void *be, const struct ident *id, const struct address *address, bool events,
		      backend_ready_cb ready, void *ctx, struct backend_listener **out);
	/* Takes the oldest event; -EAGAIN when there is none. */
	int (*event_next)(struct backend_listener *l, struct payload_event *out);

	/*
	 * Keeps the key of a namespace: @key is its 32-byte ed25519 seed (borrowed).
	 * Answered after it is on disk; 0 also when it is there already. -EINVAL
	 * when key and namespace do not belong together, -EDQUOT.
	 */
	void (*space_create)(void *be, const struct address *space, const uint8_t *key,
			     backend_done_cb cb, void *ctx);
	/*
	 * Makes @client (which is up) a member of a namespace whose key is here;
	 * until space_down, addr_down or addr_destroy of either. Idempotent. -ENOENT.
	 */
	void (*space_up)(void *be, const struct address *client, const struct address *space,
			 backend_done_cb cb, void *ctx);
	/* -ENOENT for a namespace that is not here, -EINVAL when it is not a member. */
	void (*space_down)(void *be, const struct address *client, const struct address *space,
			   backend_done_cb cb, void *ctx);
	/*
	 * Asks every member of @space in the mesh from @self, which is up, until
	 * anycast_stop. @answer may be called from within; the same member may
	 * answer more than once.
	 */
	int (*anycast)(void *be, const struct address *self, const struct address *space,
		       backend_answer_cb answer, void *ctx, struct backend_anycast **out);
	void (*anycast_stop)(struct backend_anycast *a);

	const struct file_backend *file;	/* file_backend.h */
	/* One table for each noun of the Service API; a backend without a noun leaves it NULL. */
	const struct backend_session_ops *session;
	const struct backend_service_ops *service;
	const struct backend_message_ops *message;
	const struct backend_profile_ops *profile;
};

#endif
