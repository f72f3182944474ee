/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What messages.c (life, mailboxes, changes), messages_mail.c (sending and
 * receiving), messages_query.c and messages_sub.c share. Private to them.
 */
#ifndef RATMAND_SERVICE_MESSAGES_PRIV_H
#define RATMAND_SERVICE_MESSAGES_PRIV_H

#include "ratmand/service/messages.h"
#include "ratmand/store/floods.h"
#include "ratmand/store/mailbox.h"

/* Kind of the records a user has of messages; keys begin with one of these. */
#define MESSAGES_KEY_FLOODS 'f'		/* alone: u64, the first flood not taken */
#define MESSAGES_KEY_SUB 's'		/* and the id: a subscription */

/* What a look at an entry, and at a number in a list costs of a turn's work. */
#define MESSAGES_TURN_BUDGET 512
#define MESSAGES_ENTRY_COST 8

struct message_sub {
	struct message_sub *prev, *next;
	struct ident id;
	struct message_filter filter;
	uint64_t cursor;	/* number of the first entry not read */
	uint64_t closed;	/* the later nobody listened any more, the greater */
	bool open;		/* as its record says: somebody listened when the mailbox was closed */
	struct messages_listener *listener;	/* borrowed; NULL when nobody does */
};

/* The open mailbox of a user. */
struct message_box {
	struct message_box *prev, *next;
	struct messages *messages;
	struct address user;
	struct mailbox mailbox;
	uint64_t floods;	/* order of the first one not taken */
	uint64_t failures;	/* of the store, when that was put down */
	bool joined;		/* takes part in the commons */
	struct message_sub *subs;	/* owned */
	size_t n_subs;
	uint64_t closings;	/* the greatest `closed` of them */
};

/* A mailbox that is being emptied. */
struct message_errand {
	struct message_errand *prev, *next;
	struct mailbox mailbox;
	uint8_t key[22 + 16];	/* of its record in STORE_META */
};

/* Something that waits until a mailbox has taken all floods. */
struct message_wait {
	struct message_wait *prev, *next;
	struct address user;
	/* @box NULL: it was closed. Owns and frees @w. */
	void (*ready)(struct message_wait *w, struct messages *m, struct message_box *box);
};

struct messages {
	struct service *service;
	struct messages_options options;
	struct bodies bodies;
	struct floods floods;
	struct message_box *boxes;
	struct message_errand *errands;
	struct message_wait *waits;
	struct messages_query *queries;
	struct messages_stats stats;
	uv_idle_t *turn;	/* owned until closed; active while there is work */
	uv_timer_t *later;	/* likewise; starts the turns again */
	bool stopped;		/* the flow is not to be used any more */
	uint8_t *body;		/* MESSAGE_BODY_MAX bytes, for one call at a time */
};

/* ---- messages.c ---- */

/*
 * The mailbox of a user who is online, or NULL; *@err tells why. With @make it
 * begins if there is none, else that is -ENOENT.
 */
struct message_box *messages_box(struct messages *m, const struct address *user, bool make,
				 int *err);

/* True when floods wait to be taken. */
bool messages_box_behind(const struct message_box *box);

/* Calls w->ready at once, or in the turn in which @w->user's mailbox has all floods. */
void messages_wait(struct messages *m, struct message_wait *w);

/* There is work for the next turn. */
void messages_wake(struct messages *m);

/* ---- messages_mail.c ---- */

void messages_mail_start(struct messages *m);

/* Adds @message, whose body is @body, as received. As mailbox_add(). */
int messages_deliver(struct message_box *box, struct message *message, struct body *body);

/* ---- messages_query.c ---- */

/* One step of each query under way. @stuck: floods cannot be taken just now. */
void messages_query_turn(struct messages *m, bool stuck);
/* Those of a mailbox that is closed end. */
void messages_query_box_gone(struct messages *m, const struct message_box *box);

/* ---- messages_sub.c ---- */

/* Reads the subscriptions of a mailbox that is being opened. */
int messages_sub_load(struct message_box *box, const struct records *records);
void messages_sub_box_gone(struct message_box *box);
/* An entry was added. */
void messages_sub_tell(struct message_box *box);

#endif
