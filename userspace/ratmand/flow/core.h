/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of flow share: flow.c (life and events), lane.c (outgoing),
 * transfer.c (arriving), send.c and recv.c (clients). Private to them.
 */
#ifndef RATMAND_FLOW_CORE_H
#define RATMAND_FLOW_CORE_H

#include "ratmand/flow/flow.h"
#include "ratmand/flow/inbox.h"
#include "ratmand/flow/outbox.h"
#include "ratmand/flow/peerlink.h"
#include "ratmand/store/subscriptions.h"

/* Wrong blocks, receipts and wishes a peer may send before it is cut off. */
#define FLOW_MAX_WRONG 16

struct transfer;

/* A reference the peer asked for. */
struct flow_wish {
	struct ident id;
	struct journal_tag tag;
	uint8_t ref[ERIS_REF_LEN];
};

/* A connection that is up. */
struct flow_link {
	struct flow_link *prev, *next;
	struct flow *flow;
	struct peerlink *peerlink;
	struct address local, peer;
	unsigned int wrong;
	/* Outgoing: a ring of wishes to be served. */
	struct flow_wish *wishes;	/* owned */
	size_t wish_first, wish_count, wish_size;
	/* Arriving. */
	struct transfer *transfers;	/* owned */
	size_t n_transfers;
	size_t stray;			/* blocks that may still come for transfers given up */
};

/* What waits for one recipient from one local address. */
struct lane {
	UT_hash_handle hh;
	struct lane_key {
		struct address from, to;
	} key;
	struct outbox_entry *entries;	/* by age; owned by the outbox */
	size_t offered;
};

/* A client that waits for streams or events. */
struct flow_listener {
	struct flow_listener *prev, *next;
	struct flow *flow;
	struct recipient to;		/* RECIPIENT_NONE: events */
	bool queue;			/* it is a subscriber's, else it takes from the pool */
	struct due_owner owner;		/* of the queue */
	struct subscription *sub;	/* borrowed; NULL when it was removed */
	flow_cb ready;
	void *ctx;
	bool due;			/* to be told in the round under way */
};

struct flow {
	uv_loop_t *loop;
	struct store *store;
	const struct flow_ops *ops;
	void *ctx;
	struct journal *journal;
	struct outbox outbox;
	struct inbox inbox;
	struct peerlinks *peerlinks;
	struct lane *lanes;
	struct flow_link *links;
	size_t n_transfers;
	struct flow_listener *listeners;
	struct flow_recv *recvs;
	struct delivery *deliveries;	/* not committed yet, or the commit failed */
	struct subscriptions subscriptions;
	uv_timer_t timer;		/* retries and expiry */
	uv_timer_t turn;		/* goes on with long walks */
	uint64_t expiry_at;
	struct flow_stats stats;
	uint64_t wrong_peers;		/* connections closed for what the peer sent */
	size_t pending;			/* commits and handles that will still call back */
	bool closing;
	flow_cb closed;
	void *closed_ctx;
};

/* ---- flow.c ---- */

/* The secret of a local address that is up, or NULL. */
const uint8_t *flow_secret(struct flow *f, const struct address *local);

/* Counts a commit or handle that will call back; flow_settled() ends it. */
void flow_expect(struct flow *f);
void flow_settled(struct flow *f);

struct flow_link *flow_link_find(struct flow *f, const struct address *local,
				 const struct address *peer);

/* Tells the connection whether anything goes on over it. */
void flow_link_update(struct flow_link *fl);

/* Something the peer should not have sent. False when it was the last straw. */
bool flow_link_wrong(struct flow_link *fl);

/* ---- lane.c ---- */

/* Puts an entry of the outbox into its lane. -ENOMEM. */
int lane_add(struct flow *f, struct outbox_entry *e);

/* Takes an entry out of its lane and out of the outbox. */
void lane_remove(struct flow *f, struct outbox_entry *e, bool stored);

/* Delivers here what has its recipient here; asks for a connection for the rest. */
void lane_kick(struct flow *f, struct lane *lane);

struct lane *lane_find(struct flow *f, const struct address *from, const struct address *to);

/* Offers what may be offered now. */
void lane_offer(struct flow_link *fl);

/* The connection is gone: its offers wait again. */
void lane_link_down(struct flow_link *fl);

/* Messages to the sending side. False closes. */
bool lane_wanted(struct flow_link *fl, const struct exchange_message *m);
bool lane_receipt(struct flow_link *fl, const struct exchange_message *m);
bool lane_refused(struct flow_link *fl, const struct exchange_message *m);

/* Sends blocks while the connection takes them. */
void lane_serve(struct flow_link *fl);

/* Removes entries past their age. */
void lane_expire(struct flow *f);

/* ---- transfer.c ---- */

/* Messages to the receiving side. False closes. */
bool transfer_offer(struct flow_link *fl, const struct exchange_message *m);
bool transfer_block(struct flow_link *fl, const struct exchange_message *m);
bool transfer_missing(struct flow_link *fl, const struct exchange_message *m);

/* Goes on with walks that used up their budget. True when some have more to do. */
bool transfer_turn(struct flow_link *fl);

/* Ends every transfer of a connection; what was received stays. */
void transfer_link_down(struct flow_link *fl);

/* ---- claim.c: who gets a stream ---- */

/*
 * A stream is complete: puts it into the queues of those who are to have it, or
 * into the pool, and queues that it is complete. Then a commit, and
 * inbox_announce() and recv_notify(), or claim_undo() when it failed. Storage
 * errors; nothing is claimed then.
 */
int claim_stream(struct flow *f, struct inbox_entry *e);
void claim_undo(struct flow *f, struct inbox_entry *e);

/*
 * Empties the queue of one subscription of @address, or with @id NULL every
 * queue of it. A stream that nobody else is to have goes to the pool.
 */
void claim_drop(struct flow *f, const struct ident *id, const struct address *address);

/* Once, after everything was loaded: sorts out what a crash left half done. */
int claim_load(struct flow *f);

/* ---- recv.c ---- */

/* Tells the listeners of @to that something may wait. */
void recv_notify(struct flow *f, const struct recipient *to);

/* Reading out of one queue of @address, or of any with @id NULL, is over. */
void recv_cancel(struct flow *f, const struct ident *id, const struct address *address);

/* True when @l may have something now. */
bool recv_has_next(const struct flow_listener *l);

/* Frees what deliveries left behind whose commit failed. */
void recv_free(struct flow *f);

/* Removes an inbox entry, also from under a client that reads it. */
void recv_forget(struct flow *f, struct inbox_entry *e, bool stored);

#endif
