/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Parcels: how things of the Service API travel between daemons, and between
 * users of one daemon.
 *
 * A parcel is a stream whose manifest says its kind and carries a few bytes of
 * metadata, signed by the sender and sealed to the recipient like all of it. It
 * waits, is offered, resumed and acknowledged like any stream, and between local
 * addresses it goes straight from outbox to inbox. But no client ever receives it:
 * it goes to the handler of its kind.
 *
 * When: as soon as it is durable here, its recipient is up and there is a handler;
 * until then it stays. How often: once in a life of the daemon; after a crash one
 * may come again that was taken just before, so handlers are idempotent (what
 * they have seen they know by info->id, or by what is in it). In which order: as
 * they were completed, kind by kind; but one that was not taken comes later.
 */
#ifndef RATMAND_FLOW_PARCEL_H
#define RATMAND_FLOW_PARCEL_H

#include "ratmand/flow/flow.h"

/* On the wire and on disk: numbers never change. */
enum parcel_kind {
	PARCEL_PROFILE = 1,	/* to a namespace: the newest of a sender supersedes the others */
	PARCEL_MESSAGE = 2,
	PARCEL_FILE = 3,	/* content of a file; not to the commons */
	PARCEL_NOTICE = 4,	/* announces or asks for files */
	PARCEL_KINDS		/* one more than the highest */
};

#define PARCEL_META_MAX 1024

struct parcel {
	enum parcel_kind kind;
	struct address from;		/* proven by signature */
	struct recipient to;		/* a local address, or a namespace with a member here */
	struct ident id;		/* of the manifest: names the parcel for sender and recipient */
	uint64_t size;			/* bytes of content, not 0 */
	/*
	 * Unix seconds, the sender's clock. In the commons each of a sender's is later than the
	 * one before, so that the clock is ahead after many at once.
	 */
	uint64_t created_s;
	uint8_t meta[PARCEL_META_MAX];
	size_t meta_len;
};

struct flow_parcel;

/* ---- sending ---- */

/*
 * Sends @len bytes (copied, 1 to LIMIT_PARCEL_DATA) and @meta_len bytes of @meta
 * (copied, up to PARCEL_META_MAX; NULL with 0) from the local address @from, which is up,
 * to an address or a namespace. @done (never before this call has returned) with 0 when
 * it is durable in the outbox: from then on it survives everything, and waits up to 30
 * days for its recipient. Returns 0, and then @done comes; or -EINVAL (recipient, lengths,
 * kind; or kind and recipient do not go together), -EACCES (@from is not up), -ENODATA (no content),
 * -EDQUOT, -ENOMEM, storage errors. @done may be NULL.
 *
 * To the commons (flow_everybody()): also handed to this daemon's own handler. A
 * PARCEL_PROFILE that is the same, meta and content, as the one the commons hold of @from, and
 * less than a week older, is not sent again: @done is called with 0. The commons bring it
 * to everybody who was away, so announcing it again costs traffic for nothing.
 */
int flow_parcel_send(struct flow *flow, enum parcel_kind kind, const struct address *from,
		     const struct recipient *to, const uint8_t *meta, size_t meta_len,
		     const void *data, size_t len, flow_done_cb done, void *ctx);

/* ---- receiving ---- */

/*
 * Called from the loop, never from within a call of this interface. The handler owns
 * @p until it calls flow_parcel_close(), at once or later; at most PARCEL_OPEN_MAX of a kind
 * are open at a time. @info is borrowed for the call.
 */
typedef void (*parcel_cb)(void *ctx, struct flow_parcel *p, const struct parcel *info);

#define PARCEL_OPEN_MAX 16

/*
 * Sets the handler of @kind, or with @cb NULL removes it. Whoever does that has
 * closed what it had open.
 */
void flow_parcel_handler(struct flow *flow, enum parcel_kind kind, parcel_cb cb, void *ctx);

enum parcel_answer {
	PARCEL_TAKE,
	PARCEL_LATER,		/* offered again in a minute or so */
	PARCEL_REFUSE,		/* never again: the sender forgets it */
};

/*
 * Asks before a parcel to a local address (not to a namespace) is taken in, from
 * elsewhere or from a local sender, as soon as its manifest is known: @info is all there is.
 * It is asked again when an interrupted parcel is offered anew. Without one, parcels
 * of up to LIMIT_PARCEL_UNASKED bytes are taken, larger ones later.
 */
typedef enum parcel_answer (*parcel_offered_cb)(void *ctx, const struct parcel *info);
void flow_parcel_offered(struct flow *flow, enum parcel_kind kind, parcel_offered_cb cb,
			 void *ctx);

/*
 * The next bytes of the content: their number, 0 at the end, -EBADMSG when the store has
 * damaged it (close it as taken: it will not get better), -ESTALE when it was withdrawn: its
 * recipient was destroyed, a newer one supersedes it, or the flow was freed (close it either way).
 */
ssize_t flow_parcel_read(struct flow_parcel *p, void *buf, size_t size);

/*
 * Ends the handler's having it; also after the flow was freed, when it comes again in the next
 * life. @taken: it will not come again, once what was queued into the store so far is durable, the
 * handler's own writes among it. Otherwise it comes again after some seconds, ever later.
 */
void flow_parcel_close(struct flow_parcel *p, bool taken);

/* ---- parcels that are arriving from elsewhere ---- */

struct parcel_arriving {
	const struct parcel *info;	/* borrowed */
	uint64_t held;			/* bytes that are here, roughly */
	bool stalled;			/* nobody is sending it just now */
};

/* Calls @cb for each to @local, a local address that is up, which has not come wholly yet. */
void flow_parcels_arriving_each(struct flow *flow, const struct address *local,
				void (*cb)(void *ctx, const struct parcel_arriving *arriving),
				void *ctx);

/*
 * Refuses one of them for good: its blocks go and the sender hears it, now or when he
 * offers it again. -ENOENT when none is arriving under @id.
 */
int flow_parcel_refuse(struct flow *flow, const struct ident *id);

/* True for one that is arriving, or has come and was not taken yet. */
bool flow_parcel_is_here(struct flow *flow, const struct ident *id);

/* ---- the commons ---- */

/*
 * The commons: the namespace of everybody, whose key pair is made from a public
 * constant. Members are all daemons where flow_commons_up() was called; they find each
 * other by the route table. A parcel to it is handed once to each of them, also
 * to those that were away (for 30 days). Everybody reads it, anybody may send: of a
 * sender the newest LIMIT_COMMONS_SHARE_ITEMS parcels are kept, and his alone make room for
 * them. PARCEL_FILE and contents past LIMIT_COMMONS_ITEM bytes are not taken. No client
 * can join it, and no client's stream goes there. Borrowed for ever.
 */
const struct recipient *flow_everybody(void);

/*
 * @local, which is up, is (no longer) one of the local addresses that take part. 0 also when it did;
 * -EINVAL (not up), -ENOMEM. flow_local_down() ends it, too.
 */
int flow_commons_up(struct flow *flow, const struct address *local);
void flow_commons_down(struct flow *flow, const struct address *local);
/* True while some local address takes part. */
bool flow_commons_is_up(struct flow *flow);

/*
 * The last PARCEL_PROFILE of @from to the commons, whose key is about to be destroyed: @secret
 * (64 bytes, borrowed) is given, as @from need not be up. It stays when everything else of @from is
 * purged, and goes out as soon as somebody here takes part. It is queued when this returns.
 * -EINVAL (@len is 0 or past LIMIT_PARCEL_DATA, another's key), -EDQUOT, -ENOMEM, storage errors.
 */
int flow_commons_goodbye(struct flow *flow, const struct address *from, const uint8_t *secret,
			 const void *data, size_t len);

#endif
