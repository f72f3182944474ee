/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Streams: outbox, inbox and block exchange between daemons (design.md section 11).
 *
 * A payload is encoded with ERIS into the journal; its manifest (letterhead and
 * read capability, signed by the sender, sealed to the recipient) is offered over
 * TCP on ratman0 until the recipient's signed receipt comes back.
 */
#ifndef RATMAND_FLOW_FLOW_H
#define RATMAND_FLOW_FLOW_H

#include <netinet/in.h>
#include <uv.h>

#include "base/address.h"
#include "proto/letterhead.h"
#include "proto/payload.h"
#include "ratmand/store/store.h"

#define FLOW_PORT 5853

struct flow;
struct flow_send;
struct flow_recv;
struct flow_listener;
struct flow_probe;

typedef void (*flow_cb)(void *ctx);
typedef void (*flow_done_cb)(void *ctx, int err);

struct flow_ops {
	/*
	 * The secret key (64 bytes, borrowed until the next call) of a local
	 * address that is up, or NULL.
	 */
	const uint8_t *(*secret)(void *ctx, const struct address *local);
	/* True when there is a route to @peer just now. */
	bool (*reachable)(void *ctx, const struct address *peer);
	/*
	 * Where the daemon of @address listens or is bound: normally its IPv6
	 * address with port FLOW_PORT (0 for the sending side's source).
	 * Returns false when it cannot be reached at all.
	 */
	bool (*endpoint)(void *ctx, const struct address *address, bool source,
			 struct sockaddr_in6 *out);
	/*
	 * True when the connection's source may speak for @claimed: normally its
	 * IPv6 address is that address's.
	 */
	bool (*speaks_for)(void *ctx, const struct sockaddr_in6 *source,
			   const struct address *claimed);
	/*
	 * Calls @cb for every address elsewhere that is said to be a member of
	 * @space, whether it has a route or not; of the commons (parcel.h) for every
	 * address that may be. NULL: nobody knows any.
	 */
	void (*members)(void *ctx, const struct address *space,
			void (*cb)(void *cb_ctx, const struct address *member), void *cb_ctx);
};

/* @store and @ops are borrowed and outlive the flow. -ENOMEM, storage errors. */
int flow_new(struct flow **out, uv_loop_t *loop, struct store *store, const struct flow_ops *ops,
	     void *ctx);

/*
 * Closes every connection; free happens when the loop has run the closes and the
 * commits under way; then @closed, and only then may the store be closed. Sends,
 * receives and listeners must have been ended before.
 */
void flow_free(struct flow *flow, flow_cb closed, void *ctx);

/* @local came up: listen on its endpoint, go on with its outbox and unread streams. */
int flow_local_up(struct flow *flow, const struct address *local);
void flow_local_down(struct flow *flow, const struct address *local);
/* Drops everything stored for and from @local, but profiles on their way to everybody. */
int flow_local_purge(struct flow *flow, const struct address *local);

/* A route to @peer appeared: offer what waits for it, now. */
void flow_peer_reachable(struct flow *flow, const struct address *peer);

/*
 * @member, a local address that is up, is a member of the namespace whose secret
 * key (64 bytes, copied to guarded memory) is @secret: its clients get every
 * stream to the namespace, and this daemon keeps them for other members. 0 also
 * when it was one; -ENOMEM, -EINVAL, -EPERM: the commons are joined by
 * flow_commons_up() (parcel.h) alone.
 */
int flow_space_up(struct flow *flow, const struct address *space, const uint8_t *secret,
		  const struct address *member);
void flow_space_down(struct flow *flow, const struct address *space, const struct address *member);
/* The secret key of a namespace with a member here (borrowed until it has none), or NULL. */
const uint8_t *flow_space_secret(struct flow *flow, const struct address *space);
/* Drops everything kept for the namespace; nobody here is a member any more. */
void flow_space_purge(struct flow *flow, const struct address *space);

/* Members of @space came or went elsewhere. */
void flow_members_changed(struct flow *flow, const struct address *space);

/*
 * Asks every member of @space, known now or later, until flow_probe_stop().
 * @answer gets the milliseconds from question to answer, measured over a
 * connection that stands; members here answer at once, from within the call.
 */
typedef void (*flow_answer_cb)(void *ctx, const struct address *member, uint64_t ms);
int flow_probe_start(struct flow *flow, const struct address *self, const struct address *space,
		     flow_answer_cb answer, void *ctx, struct flow_probe **out);
void flow_probe_stop(struct flow_probe *probe);

/* Transfers under way, both directions. */
size_t flow_active(const struct flow *flow);

/*
 * The same calls as in api/backend.h, with the same meaning. Further errors:
 * -EFBIG past LIMIT_STREAM_BYTES, storage errors, also when the store lost a part, -ESTALE when
 * a stream being read was purged, -EBADMSG when its blocks are damaged.
 */
int flow_send_open(struct flow *flow, const struct letterhead *heads, size_t n, flow_cb drain,
		   void *ctx, struct flow_send **out);
int flow_send_write(struct flow_send *send, const void *data, size_t len);
void flow_send_finish(struct flow_send *send, flow_done_cb cb, void *ctx);
void flow_send_abort(struct flow_send *send);

int flow_listen(struct flow *flow, const struct address *local, const struct recipient *to,
		flow_cb ready, void *ctx, struct flow_listener **out);
void flow_listen_stop(struct flow_listener *l);
int flow_recv_open(struct flow_listener *l, struct letterhead *head, struct flow_recv **out);
ssize_t flow_recv_read(struct flow_recv *r, void *buf, size_t size);
void flow_recv_close(struct flow_recv *r, bool delivered);

/*
 * Subscriptions: one id per recipient, one queue per subscriber, on disk; they
 * outlive restarts. What is due to a subscriber waits until he is attached and
 * is delivered to him once, oldest first. claim.c says who gets which stream.
 */
typedef void (*flow_subscribed_cb)(void *ctx, int err, const struct ident *id);

/*
 * Subscribes @address to the streams of @to (itself or a namespace), or with
 * RECIPIENT_NONE to events; finds the subscription when there is one already.
 * @cb when it is on disk. -EMFILE at LIMIT_SUBSCRIPTIONS or _EACH, -EINVAL for another's streams.
 */
void flow_subscribe(struct flow *flow, const struct address *address, const struct recipient *to,
		    flow_subscribed_cb cb, void *ctx);

/* 0, -ESRCH (no such id, or not of this kind) or -ENOENT (@address is no subscriber of it). */
int flow_subscription_check(struct flow *flow, const struct ident *id,
			    const struct address *address, bool events);

/* Ends it; streams nobody else is to have wait for the next receiver. Errors as above. */
void flow_unsubscribe(struct flow *flow, const struct ident *id, const struct address *address,
		      bool events, flow_done_cb cb, void *ctx);

/* Ends every subscription of an address that is destroyed; durable with the next commit. */
void flow_local_unsubscribe(struct flow *flow, const struct address *address);

/* Ids of the subscriptions of @address to streams, oldest first, borrowed for the call. */
void flow_subscriptions_each(struct flow *flow, const struct address *address,
			     void (*cb)(void *ctx, const struct ident *id), void *ctx);

/* A listener for a subscriber's queue. Errors as flow_subscription_check(), -ENOMEM. */
int flow_attach(struct flow *flow, const struct ident *id, const struct address *address,
		bool events, flow_cb ready, void *ctx, struct flow_listener **out);

/* Something happened: for every subscriber to events. */
void flow_event(struct flow *flow, enum payload_event_kind kind, const struct address *address);

/* Takes the oldest event out of the queue. -EAGAIN when there is none. */
int flow_event_next(struct flow_listener *l, struct payload_event *out);

/* One outgoing stream, for display. */
enum flow_state {
	FLOW_QUEUED,
	FLOW_OFFERED,
	FLOW_TRANSFERRING,
	FLOW_DELIVERED,
	FLOW_EXPIRED,
	FLOW_REFUSED,
};

/* True when @member, a local address, is a member of @space. */
bool flow_space_has_member(struct flow *flow, const struct address *space,
			   const struct address *member);

struct flow_stats {
	uint64_t blocks_sent;
	uint64_t blocks_received;
	uint64_t blocks_rejected;	/* hash or order wrong */
	uint64_t offers_sent, offers_received;
	uint64_t receipts_sent, receipts_received;
	uint64_t connects, connects_failed;
	uint64_t protocol_errors;
	uint64_t messages_sent, bytes_sent;	/* to other daemons, blocks included */
	uint64_t subscriptions_full;	/* refused: LIMIT_SUBSCRIPTIONS, or _EACH */
	uint64_t subscriptions_overflow; /* streams a full queue did not take (LIMIT_SUBSCRIPTION_QUEUE) */
	uint64_t events_lost;		/* the same for events */
	uint64_t items;			/* streams kept for members of namespaces, now */
	uint64_t item_bytes;		/* … their content */
	uint64_t items_received;
	uint64_t items_expired;
	uint64_t items_evicted;		/* oldest first, for want of room */
	uint64_t items_refused;		/* too old, too big, or bad */
	uint64_t members_proven;
	uint64_t proofs_bad;
	uint64_t answers;		/* to probes */
};

/* Borrowed; brought up to date by each call. */
const struct flow_stats *flow_stats(struct flow *flow);

#endif
