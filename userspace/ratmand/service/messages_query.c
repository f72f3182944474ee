// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Queries (R21): oldest first, a bounded piece in each turn of the loop.
 */
#include "ratmand/service/messages_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <utlist.h>

struct messages_query {
	struct messages_query *prev, *next;
	struct messages *messages;
	struct message_box *box;	/* borrowed */
	struct message_query what;
	struct mailbox_walk *walk;	/* owned; NULL before it begins */
	uint64_t skip;			/* still to be left out */
	uint64_t shown;
	messages_found_cb found;
	messages_queried_cb done;
	void *ctx;
};

void messages_query_stop(struct messages_query *q)
{
	mailbox_walk_free(q->walk);
	DL_DELETE(q->messages->queries, q);
	free(q);
}

static void finish(struct messages_query *q, int err, bool more)
{
	messages_queried_cb done = q->done;
	void *ctx = q->ctx;

	if (!err && !q->shown)
		err = -ENODATA;
	messages_query_stop(q);
	done(ctx, err, !err && more);
}

/* Shows one entry, when it can be read. False when the reply is full, *@err is set or both. */
static bool show(struct messages_query *q, uint64_t number, int *err)
{
	struct message message;
	int got = mailbox_read(&q->box->mailbox, number, &message, q->messages->body);

	/* Deleted meanwhile, or damaged: the log tells. */
	if (got == -ENOENT || got == -EBADMSG)
		return true;
	/* Records of lists have no seal: a damaged one may name any entry. */
	if (!got && !q->what.has_id && !message_filter_takes(&q->what.filter, &message))
		return true;
	if (got) {
		*err = got;
		return false;
	}
	if (!q->found(q->ctx, &message))
		return false;
	q->shown++;
	return true;
}

/* The id overrides everything else, skip and take, too. */
static void show_id(struct messages_query *q)
{
	uint64_t numbers[MAILBOX_SAME_ID];
	ssize_t n = mailbox_find(&q->box->mailbox, &q->what.id, numbers, MAILBOX_SAME_ID);
	bool more = false;
	int err = n < 0 ? (int)n : 0;

	for (ssize_t i = 0; i < n && !err && !more; i++)
		more = !show(q, numbers[i], &err);
	finish(q, err, more);
}

/* A piece of the work. @stuck: what has not been taken of the floods does not come now. */
static void step(struct messages_query *q, bool stuck)
{
	int budget = MESSAGES_TURN_BUDGET, err = 0, found = 1;
	uint64_t number;

	if (!stuck && messages_box_behind(q->box))
		return;
	if (q->what.has_id) {
		show_id(q);
		return;
	}
	if (!q->walk)
		q->walk = mailbox_walk_new(&q->box->mailbox, &q->what.filter, 0);
	if (!q->walk) {
		finish(q, -ENOMEM, false);
		return;
	}
	for (;;) {
		found = mailbox_walk_next(q->walk, &budget, &number);
		if (found == -EAGAIN)
			return;
		if (found <= 0)
			break;
		if (q->skip) {
			q->skip--;
			continue;
		}
		if ((q->what.take && q->shown == q->what.take) || !show(q, number, &err))
			break;
		budget -= MESSAGES_ENTRY_COST;
	}
	finish(q, found < 0 ? found : err, found > 0);
}

void messages_query_turn(struct messages *m, bool stuck)
{
	struct messages_query *q;
	size_t n;

	DL_COUNT(m->queries, q, n);
	/* The end of one may begin others, or end them. */
	while (n-- && m->queries) {
		q = m->queries;
		DL_DELETE(m->queries, q);
		DL_APPEND(m->queries, q);
		step(q, stuck);
	}
}

static struct messages_query *find(struct messages *m, const struct message_box *box)
{
	struct messages_query *q;

	DL_FOREACH(m->queries, q)
		if (q->box == box)
			break;
	return q;
}

void messages_query_box_gone(struct messages *m, const struct message_box *box)
{
	struct messages_query *q;

	while ((q = find(m, box)))
		finish(q, -EACCES, false);
}

int messages_query(struct messages *m, const struct message_query *query, messages_found_cb found,
		   messages_queried_cb done, void *ctx, struct messages_query **out)
{
	struct messages_query *q = calloc(1, sizeof(*q));
	int err = 0;

	if (!q)
		return -ENOMEM;
	q->messages = m;
	q->what = *query;
	q->skip = query->skip;
	q->found = found;
	q->done = done;
	q->ctx = ctx;
	DL_APPEND(m->queries, q);
	*out = q;
	if (!query->has_id && !query->filter.has_service && !m->options.god_mode)
		err = -EPERM;
	else
		q->box = messages_box(m, &query->user, true, &err);
	/* What is quick is answered here. */
	if (err)
		finish(q, err, false);
	else
		step(q, false);
	if (m->queries)
		messages_wake(m);
	return 0;
}
