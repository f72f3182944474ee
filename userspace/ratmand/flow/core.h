/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of flow share: flow.c (life and events), lane.c (outgoing),
 * transfer.c (arriving), send.c and recv.c (clients), content.c (contents in the
 * journal), parcel.c (parcels and their handlers); for namespaces space.c
 * (members and streams here), spread.c (outgoing), gossip.c (between members),
 * commons.c (the namespace of everybody) and probe.c (anycast). Private to them.
 */
#ifndef RATMAND_FLOW_CORE_H
#define RATMAND_FLOW_CORE_H

#include "ratmand/flow/content.h"
#include "ratmand/flow/flow.h"
#include "ratmand/flow/inbox.h"
#include "ratmand/flow/manifest.h"
#include "ratmand/flow/outbox.h"
#include "ratmand/flow/parcel.h"
#include "ratmand/flow/peerlink.h"
#include "ratmand/flow/shares.h"
#include "ratmand/store/subscriptions.h"

/* Wrong blocks, receipts and wishes a peer may send before it is cut off. */
#define FLOW_MAX_WRONG 16

/* Manifests offered at a time on one connection, to an address or to namespaces. */
#define FLOW_MAX_OFFERED 16

struct transfer;
struct join;

/* A stream to a namespace that was offered on a connection and not answered yet. */
struct flow_offer {
	UT_hash_handle hh;
	struct ident id;
	struct journal_tag tag;
	struct address space;
};

/* A stream to a namespace that is to be offered. */
struct flow_queued {
	struct address space;
	struct ident id;
};

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
	/* Namespaces. */
	struct join *joins;		/* owned; gossip.c */
	struct flow_offer *offers;	/* owned */
	struct flow_queued *queue;	/* owned ring, FLOW_QUEUE_MAX, allocated on first use */
	size_t queue_first, queue_count;
	int64_t allowance;		/* of small messages, see flow_link_allow() */
	uint64_t allowance_at;
};

#define FLOW_QUEUE_MAX LIMIT_SPACE_ITEMS

/* Why a connection is wanted: counted, so that one holder does not end it for another. */
struct flow_want {
	UT_hash_handle hh;
	struct flow_pair {
		struct address local, peer;
	} key;
	unsigned int holders;
};

/* What waits for one recipient from one local address. */
struct lane {
	UT_hash_handle hh;
	struct lane_key {
		struct address from, to;
	} key;
	struct outbox_entry *entries;	/* by age; owned by the outbox */
	size_t offered;
	bool wants;			/* holds a flow_want */
};

/* What waits for the members of a namespace from one local address that is none. */
struct spread {
	UT_hash_handle hh;
	struct lane_key key;
	struct outbox_entry *entries;	/* by age; owned by the outbox */
	struct address targets[3];	/* members it is offered to; each holds a flow_want */
	size_t n_targets;
	uint64_t chosen_at;		/* loop ms */
	uint64_t moved_at;		/* loop ms: last receipt, or begin */
	size_t turn;			/* which of the members come first */
};

#define SPACE_PARTNERS 16

/* A member that we are to compare what we hold with. */
struct space_partner {
	struct address local, peer;	/* holds a flow_want */
	uint64_t until;			/* loop ms: given up, unless something moves */
};

#define SPACE_RECENT 16

/* A namespace with members here. */
struct space {
	UT_hash_handle hh;
	struct address address;
	bool commons;
	uint8_t *secret;		/* sodium_malloc, 64 bytes */
	struct address *members;	/* owned; local addresses */
	size_t n_members;
	struct inbox_entry **items;	/* owned; complete ones, by mark */
	size_t n_items, room;
	uint64_t bytes;			/* of their content */
	struct shares shares;		/* of the commons; else empty */
	uint64_t version;		/* changes with every item that comes or goes */
	struct exchange_mark horizon;	/* the newest one that had to go for want of room */
	bool missed;			/* some member here did not get some item */
	struct space_partner partners[SPACE_PARTNERS];
	size_t n_partners;
	struct ident recent[SPACE_RECENT];	/* a ring of items that came last, ... */
	uint64_t recent_at[SPACE_RECENT];	/* ... and when: loop ms, 0: none */
	size_t next_recent;
	struct address ring[8];		/* neighbours in the order of addresses, as last seen */
	size_t n_ring;
	uint64_t look_at;		/* loop ms: look at the members again */
	uint64_t looked_at;		/* loop ms */
	uint64_t up_at;			/* loop ms */
	unsigned int noes;		/* of the commons: who were asked and are no members, in a row */
	uint64_t round_at;		/* loop ms: compare with everybody in the ring again */
	uint64_t pushed_at;		/* loop ms: last time a new item made us do that */
	bool push_due;			/* another one came since */
};

/* A client that waits for streams or events. */
struct flow_listener {
	struct flow_listener *prev, *next;
	struct flow *flow;
	struct recipient to;		/* RECIPIENT_NONE: events */
	bool queue;			/* it is a subscriber's, else it takes from the pool */
	struct due_owner owner;		/* whose it is; of the queue */
	struct subscription *sub;	/* borrowed; NULL when it was removed */
	flow_cb ready;
	void *ctx;
	bool due;			/* to be told in the round under way */
};

/* Reads what lies in the journal. */
struct flow_reader {
	struct journal_view view;
	struct eris_reader reader;
	uint64_t offset;		/* of the next byte */
};

/* Where parcels of a kind go. */
struct parcel_door {
	parcel_cb cb;			/* NULL: nobody takes them yet */
	void *ctx;
	parcel_offered_cb offered;
	void *offered_ctx;
	unsigned int n_open;
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
	struct spread *spreads;
	struct space *spaces;
	struct flow_want *wants;
	struct flow_probe *probes;
	size_t n_items;			/* of all namespaces, up or not */
	uint64_t items_bytes;
	struct flow_link *links;
	size_t n_transfers;
	struct flow_listener *listeners;
	struct flow_recv *recvs;
	struct parcel_door doors[PARCEL_KINDS];
	struct flow_parcel *parcels;	/* that handlers have */
	struct held_content *contents;	/* content.c */
	uint64_t contents_failures;	/* of the store, when they were counted */
	struct away *away;		/* commons.c */
	struct delivery *deliveries;	/* not committed yet, or the commit failed */
	struct subscriptions subscriptions;
	uv_timer_t timer;		/* retries and expiry */
	uv_timer_t turn;		/* goes on with long walks */
	uv_timer_t handover;		/* gives parcels to their handlers */
	uint64_t expiry_at;
	uint64_t handover_at;		/* loop ms: some parcel comes again */
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

/* Pays for a small message that makes us work. False when the peer sends too many. */
bool flow_link_allow(struct flow_link *fl);

/* One more (-ENOMEM) or one less who wants a connection from @local to @peer. */
int flow_want(struct flow *f, const struct address *local, const struct address *peer);
void flow_unwant(struct flow *f, const struct address *local, const struct address *peer);

/* Calls @cb for every member of @space elsewhere that has a route now. */
void flow_members(struct flow *f, const struct address *space,
		  void (*cb)(void *ctx, const struct address *member), void *ctx);

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

/* Sends ITEM with @len sealed bytes and remembers it as offered. -ENOMEM, -EEXIST. */
int lane_offer_item(struct flow_link *fl, const struct address *space, const struct ident *id,
		    const struct journal_tag *tag, const uint8_t *sealed, size_t len);

/* ---- spread.c ---- */

/* The same as lane_add() and the rest, for entries to a namespace. */
int spread_add(struct flow *f, struct outbox_entry *e);
void spread_remove(struct flow *f, struct outbox_entry *e, bool stored);
void spread_kick(struct flow *f, struct outbox_entry *e);
void spread_offer(struct flow_link *fl);
void spread_receipt(struct flow_link *fl, struct outbox_entry *e);
void spread_refused(struct flow_link *fl, struct outbox_entry *e, enum exchange_reason reason);

/* Chooses members, ends what has enough receipts. */
void spread_tick(struct flow *f);

/* The members of @space have changed (NULL: of any). */
void spread_members_changed(struct flow *f, const struct address *space);

/* @local goes down. */
void spread_local_down(struct flow *f, const struct address *local);

/* ---- space.c ---- */

int space_mark_compare(const struct exchange_mark *a, const struct exchange_mark *b);
struct exchange_mark space_mark(const struct inbox_entry *item);
struct space *space_find(struct flow *f, const struct address *space);
bool space_has_member(const struct space *sp, const struct address *local);

/* Up to here streams are neither kept nor taken. */
struct exchange_mark space_horizon(const struct space *sp);

/* An item is complete and durable: members here get it, members elsewhere hear of it. */
void space_item_complete(struct flow *f, struct inbox_entry *e, const struct flow_link *from);

/* Gives @local what it has not got yet of what is kept. */
void space_catch_up(struct flow *f, struct space *sp, const struct address *local);

/* Counts items found on disk. */
void space_load(struct flow *f);
/* Removes items past their time; tries again what members here missed. */
void space_expire(struct flow *f);
void space_free_all(struct flow *f);

/* The same as flow_space_up(), the commons included. */
int space_join(struct flow *f, const struct address *space, const uint8_t *secret,
	       const struct address *member);

/*
 * What is to become of an item of @from: 0 when it is taken; EXCHANGE_OLD when his share, or
 * the commons, have no room for one so old. *superseded: it is not needed any more.
 */
int space_admit(struct space *sp, const struct exchange_mark *mark, const struct address *from,
		uint8_t kind, uint64_t size, bool *superseded);

/* ---- commons.c ---- */

bool commons_is(const struct address *space);
/* True for what may go into the commons. */
bool commons_takes(const struct address *from, enum parcel_kind kind);
/* @peer said that it is no member; or that it is one. */
void commons_away(struct flow *f, const struct address *peer);
void commons_here(struct flow *f, const struct address *peer);
bool commons_is_away(struct flow *f, const struct address *peer);
/*
 * The time of the next parcel of @from: later than that of every other one, so that they
 * are ordered as they were sent. *profile: the newest profile, or NULL.
 */
uint64_t commons_next_created(struct flow *f, const struct address *from,
			      struct inbox_entry **profile);
/* True when the profile @kept says what is to be sent, and is not old. */
bool commons_has_same(struct flow *f, struct inbox_entry *kept, const uint8_t *meta,
		      size_t meta_len, const uint8_t *data, size_t len);
void commons_free(struct flow *f);

/* ---- gossip.c ---- */

/* How long after a look at who the members are the next one may come, in ms. */
uint64_t gossip_look_pause(struct flow *f, const struct space *sp);

bool gossip_message(struct flow_link *fl, const struct exchange_message *m);
/* True when the peer has proved that it is a member of @space. */
bool gossip_is_proven(const struct flow_link *fl, const struct address *space);
/* True while @fl still has something to do for namespaces. */
bool gossip_is_busy(const struct flow_link *fl);
/* Offers an item to all who compare with us, and to some more. */
void gossip_push(struct flow *f, struct space *sp, struct inbox_entry *e,
		 const struct flow_link *except);
/* Offers what is queued. */
void gossip_pump(struct flow_link *fl);
/* An item was not taken, or went wrong: what both hold differs. */
void gossip_unsynced(struct flow_link *fl, const struct address *space);
void gossip_link_up(struct flow_link *fl);
void gossip_link_down(struct flow_link *fl);
void gossip_tick(struct flow *f);
/* @local is no more a member of @sp. */
void gossip_left(struct flow *f, struct space *sp, const struct address *local);
void gossip_free_partners(struct flow *f, struct space *sp);

/* ---- probe.c ---- */

bool probe_message(struct flow_link *fl, const struct exchange_message *m);
void probe_tick(struct flow *f);
/* Asks over a connection that has just come up. */
void probe_link_up(struct flow_link *fl);

/* ---- transfer.c ---- */

/* Messages to the receiving side. False closes. */
bool transfer_offer(struct flow_link *fl, const struct exchange_message *m);
bool transfer_item(struct flow_link *fl, const struct exchange_message *m);
bool transfer_block(struct flow_link *fl, const struct exchange_message *m);
bool transfer_missing(struct flow_link *fl, const struct exchange_message *m);

/* Goes on with walks that used up their budget. True when some have more to do. */
bool transfer_turn(struct flow_link *fl);

/* Ends every transfer of a connection; what was received stays. */
void transfer_link_down(struct flow_link *fl);

/* A parcel that is arriving is not wanted: its sender hears it. False when nobody is sending it. */
bool transfer_unwanted(struct flow *f, struct inbox_entry *e);

/* @e goes while it may be arriving: its sender hears that nobody is here to take it. */
void transfer_forget(struct flow *f, const struct inbox_entry *e);

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

/* ---- send.c ---- */

/* What makes a parcel of a stream. */
struct send_parcel {
	enum parcel_kind kind;
	const uint8_t *meta;
	size_t meta_len;
	uint64_t created_s;		/* 0: now */
	const uint8_t *secret;		/* the sender's (64 bytes, borrowed); NULL: he is up */
};

/* 0, -EACCES (the sender is not up) or -EINVAL: what letterheads of one stream must be. */
int send_check(struct flow *f, const struct letterhead *heads, size_t n, bool parcel);

/*
 * Queues a manifest of @content for each of the @n letterheads, all or none, and then @cb
 * says that they are durable. @parcel is NULL for a client's stream.
 */
int send_queue(struct flow *f, const struct letterhead *heads, size_t n,
	       const struct send_parcel *parcel, const struct flow_content *content,
	       flow_done_cb cb, void *ctx);

/* ---- content.c ---- */

/* Opens what @tag and @cap name, and finds its length. Errors of eris_content_length(), -ENOMEM. */
int flow_reader_open(struct flow_reader *r, struct flow *f, const struct journal_tag *tag,
		     const struct eris_capability *cap, uint64_t *size);

/* The next bytes, 0 at the end, -EBADMSG when a block is damaged or lost. */
ssize_t flow_reader_read(struct flow_reader *r, void *buf, size_t size);
void flow_reader_close(struct flow_reader *r);

/* As flow_content_write(), without waiting for the disk. */
int content_put(struct flow_content_writer *w, const void *data, size_t len);

/* Loads the holds, so that the sweep spares what is held. Storage errors. */
int content_load(struct flow *f);
void content_free(struct flow *f);

/* ---- parcel.c ---- */

/* What is known of a parcel from its manifest. */
void parcel_describe(const struct manifest *m, const struct ident *id, struct parcel *out);

/* Whether a parcel to a local address is to be taken in. */
enum parcel_answer parcel_ask(struct flow *f, const struct manifest *m, const struct ident *id);

/* Some parcel may be handed over now. */
void parcel_kick(struct flow *f);
void parcel_tick(struct flow *f);

/* Takes @e from under a handler that has it. */
void parcel_withdraw(struct flow *f, const struct inbox_entry *e);
void parcel_init(struct flow *f);
/* The flow ends: what handlers have is withdrawn, and theirs to close. */
void parcel_leave_all(struct flow *f);

/* ---- recv.c ---- */

/* Opens the manifest of a complete entry (the caller wipes @m) and its content. Errors of both. */
int recv_open_entry(struct flow *f, const struct inbox_entry *e, struct flow_reader *r,
		    struct manifest *m);

/* A complete entry is durable: listeners or handlers may have it. */
void recv_announce(struct flow *f, struct inbox_entry *e);

/* Tells the listeners of @local (NULL: of any) for @to that something may wait. */
void recv_notify(struct flow *f, const struct recipient *to, const struct address *local);

/* Calls @cb for every address that listens for @to, again for each listener. */
void recv_listeners(struct flow *f, const struct recipient *to,
		    void (*cb)(void *ctx, const struct address *local), void *ctx);

/* Reading out of one queue of @address, or of any with @id NULL, is over. */
void recv_cancel(struct flow *f, const struct ident *id, const struct address *address);

/* True when @l may have something now. */
bool recv_has_next(const struct flow_listener *l);

/* Frees what deliveries left behind whose commit failed. */
void recv_free(struct flow *f);

/*
 * One of ours with @id is about to be put into the inbox whole. 0: what was left there of
 * it half-way is gone. -EEXIST: all of it is there; -EAGAIN: somebody is sending it just now.
 */
int recv_make_way(struct flow *f, const struct ident *id);

/* Removes an inbox entry, also from under a client that reads it. */
void recv_forget(struct flow *f, struct inbox_entry *e, bool stored);

#endif
