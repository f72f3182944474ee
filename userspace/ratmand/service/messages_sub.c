// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Subscriptions (R22): a filter and a cursor in the user's records. What passes the
 * filter from the cursor on is shown; the cursor moves when it was read.
 */
#include "ratmand/service/messages_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "base/wire.h"
#include "proto/field.h"

#define VERSION_1 1	/* without `closed` and `open` */
#define VERSION 2
#define KEY_LEN (1 + sizeof(struct ident))
#define VALUE_MAX (1 + 8 + 8 + 1 + 1 + LIMIT_MESSAGE_SERVICE + 1 + 2 + MESSAGE_TAG_BYTES_MAX)

struct messages_listener {
	struct messages *messages;
	struct message_box *box;	/* borrowed, as sub; NULL with it */
	struct message_sub *sub;	/* NULL when subscription or mailbox went */
	bool closed;			/* it was the mailbox */
	struct mailbox_walk *walk;	/* owned; NULL between looks */
	uint64_t position;		/* number of the next entry to look at */
	void (*ready)(void *ctx);
	void *ctx;
};

/* ---- records ---- */

static void make_key(const struct ident *id, uint8_t key[static KEY_LEN])
{
	key[0] = MESSAGES_KEY_SUB;
	memcpy(key + 1, id->b, sizeof(id->b));
}

static int write_sub(const struct message_box *box, const struct message_sub *sub)
{
	const struct records *records = online_records(box->messages->service->online, &box->user);
	uint8_t key[KEY_LEN], value[VALUE_MAX];
	struct wire_writer w;

	if (!records)
		return -EACCES;
	make_key(&sub->id, key);
	wire_write_init(&w, value, sizeof(value));
	wire_put_u8(&w, VERSION);
	wire_put_be64(&w, sub->cursor);
	wire_put_be64(&w, sub->closed);
	wire_put_u8(&w, sub->listener != NULL);
	field_put_opt_str(&w, sub->filter.has_service ? sub->filter.service : NULL);
	message_tags_write(&w, &sub->filter.tags);
	return records_put(records, RECORD_MESSAGE, key, sizeof(key), value, wire_len(&w));
}

static int del_sub(const struct message_box *box, const struct message_sub *sub)
{
	const struct records *records = online_records(box->messages->service->online, &box->user);
	uint8_t key[KEY_LEN];

	make_key(&sub->id, key);
	return records ? records_del(records, RECORD_MESSAGE, key, sizeof(key)) : -EACCES;
}

static bool read_sub(const uint8_t *key, size_t key_len, const void *value, size_t value_len,
		     struct message_sub *out)
{
	struct message_filter *f = &out->filter;
	struct field_text service;
	struct wire_reader r;
	uint8_t version;

	if (key_len != KEY_LEN)
		return false;
	memcpy(out->id.b, key + 1, sizeof(out->id.b));
	wire_read_init(&r, value, value_len);
	version = wire_get_u8(&r);
	out->cursor = wire_get_be64(&r);
	if (version != VERSION_1) {
		out->closed = wire_get_be64(&r);
		out->open = field_get_bool(&r);
	}
	f->has_service = field_get_opt_str(&r, LIMIT_MESSAGE_SERVICE, &service);
	field_copy_text(service, f->service, sizeof(f->service));
	return !message_tags_read(&r, &f->tags) && wire_done(&r) &&
	       version >= VERSION_1 && version <= VERSION;
}

static void sub_add(struct message_box *box, struct message_sub *sub)
{
	DL_APPEND(box->subs, sub);
	box->n_subs++;
	if (sub->closed > box->closings)
		box->closings = sub->closed;
}

/* Nobody listens from now on. What the disk refuses costs the subscription its place in the order. */
static void sub_closed(struct message_box *box, struct message_sub *sub)
{
	sub->listener = NULL;
	sub->open = false;
	sub->closed = ++box->closings;
	(void)write_sub(box, sub);
}

/* Whoever listens hears nothing more. */
static void silence(struct message_sub *sub)
{
	struct messages_listener *l = sub->listener;

	if (!l)
		return;
	mailbox_walk_free(l->walk);
	l->walk = NULL;
	l->sub = NULL;
	l->box = NULL;
	sub->listener = NULL;
}

static void sub_remove(struct message_box *box, struct message_sub *sub)
{
	silence(sub);
	DL_DELETE(box->subs, sub);
	box->n_subs--;
	free(sub);
}

static int load_one(void *ctx, const void *key, size_t key_len, const void *value, size_t value_len)
{
	struct message_box *box = ctx;
	const uint8_t *name = key;
	struct message_sub *sub;

	if (!key_len || name[0] != MESSAGES_KEY_SUB)
		return 0;
	sub = calloc(1, sizeof(*sub));
	if (!sub)
		return -ENOMEM;
	if (!read_sub(name, key_len, value, value_len, sub)) {
		log_warn("messages: a subscription cannot be read and is left alone");
		free(sub);
		return 0;
	}
	sub_add(box, sub);
	mailbox_reserve(&box->mailbox, sub->cursor);
	return 0;
}

int messages_sub_load(struct message_box *box, const struct records *records)
{
	int err = records_each(records, RECORD_MESSAGE, load_one, box);
	struct message_sub *sub;

	/* They ended with the mailbox's last life, after all that had ended in it before. */
	DL_FOREACH(box->subs, sub)
		if (sub->open)
			sub_closed(box, sub);
	return err;
}

void messages_sub_box_gone(struct message_box *box)
{
	while (box->subs) {
		struct messages_listener *l = box->subs->listener;

		sub_remove(box, box->subs);
		if (l) {
			l->closed = true;
			l->ready(l->ctx);
		}
	}
}

void messages_sub_tell(struct message_box *box)
{
	struct message_sub *sub;

	DL_FOREACH(box->subs, sub)
		if (sub->listener)
			sub->listener->ready(sub->listener->ctx);
}

static struct message_sub *sub_find(const struct message_box *box, const struct ident *id)
{
	struct message_sub *sub;

	DL_FOREACH(box->subs, sub)
		if (ident_equal(&sub->id, id))
			break;
	return sub;
}

/* ---- beginning and end ---- */

struct subscribing {
	struct message_wait wait;	/* first member */
	struct messages *messages;
	struct message_filter filter;
	struct ident id;
	struct message_sub *replaced;	/* owned, in no list; NULL: none */
	messages_id_cb cb;
	void *ctx;
};

static void on_subscribed(void *ctx, int err)
{
	struct subscribing *s = ctx;

	s->cb(s->ctx, err, err ? NULL : &s->id);
	free(s);
}

/* The commit failed: it is as if it had never been. */
static void undo(struct subscribing *s)
{
	int gone;
	struct message_box *box = messages_box(s->messages, &s->wait.user, false, &gone);
	struct message_sub *sub = box ? sub_find(box, &s->id) : NULL;

	if (sub)
		sub_remove(box, sub);
	/* A mailbox that was opened anew has it from the disk. */
	if (!box || !s->replaced || sub_find(box, &s->replaced->id))
		return;
	sub_add(box, s->replaced);
	s->replaced = NULL;
}

static void on_durable(void *ctx, int err)
{
	struct subscribing *s = ctx;

	if (err)
		undo(s);
	free(s->replaced);
	on_subscribed(s, err);
}

/* The one nobody has listened to for the longest time; NULL when somebody does to each. */
static struct message_sub *longest_closed(const struct message_box *box)
{
	struct message_sub *sub, *found = NULL;

	DL_FOREACH(box->subs, sub)
		if (!sub->listener && (!found || sub->closed < found->closed))
			found = sub;
	return found;
}

/*
 * Queues the records: @sub begins and @old, unless it is NULL, ends in the same commit.
 * Storage errors, and then nothing has changed.
 */
static int begin(struct message_box *box, struct message_sub *sub, struct message_sub *old)
{
	int err = write_sub(box, sub);

	if (!err && old) {
		err = del_sub(box, old);
		if (err)
			(void)del_sub(box, sub);
	}
	return err;
}

/*
 * A client that lost the id of its subscription can neither listen to it nor end it:
 * where there are as many as there may be, the one that is the most likely to be such goes.
 */
static void subscribe_ready(struct message_wait *w, struct messages *m, struct message_box *box)
{
	struct subscribing *s = (struct subscribing *)w;
	bool full = box && box->n_subs >= LIMIT_MESSAGE_SUBSCRIPTIONS;
	struct message_sub *sub = NULL, *old = full ? longest_closed(box) : NULL;
	int err = !box ? -EACCES : full && !old ? -EMFILE : 0;

	if (!err) {
		sub = calloc(1, sizeof(*sub));
		err = sub ? 0 : -ENOMEM;
	}
	if (!err) {
		ident_draw(&sub->id);
		sub->filter = s->filter;
		sub->cursor = box->mailbox.next;
		sub->closed = box->closings + 1;
		err = begin(box, sub, old);
	}
	if (err) {
		free(sub);
		on_subscribed(s, err);
		return;
	}
	if (old) {
		DL_DELETE(box->subs, old);
		box->n_subs--;
		s->replaced = old;
	}
	sub_add(box, sub);
	s->id = sub->id;
	store_commit(m->service->store, on_durable, s);
}

void messages_subscribe(struct messages *m, const struct address *user,
			const struct message_filter *filter, messages_id_cb cb, void *ctx)
{
	struct subscribing *s;

	if (!filter->has_service && !m->options.god_mode) {
		cb(ctx, -EPERM, NULL);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		cb(ctx, -ENOMEM, NULL);
		return;
	}
	s->messages = m;
	s->wait.user = *user;
	s->wait.ready = subscribe_ready;
	s->filter = *filter;
	s->cb = cb;
	s->ctx = ctx;
	/* Floods that are in the log already are no news: they get numbers first. */
	messages_wait(m, &s->wait);
}

/* The subscription, or NULL; *@err tells why. */
static struct message_sub *get(struct messages *m, const struct ident *id,
			       const struct address *user, struct message_box **box, int *err)
{
	struct message_sub *sub;

	*box = messages_box(m, user, false, err);
	if (!*box) {
		*err = *err == -ENOENT ? -ESRCH : *err;
		return NULL;
	}
	sub = sub_find(*box, id);
	*err = sub ? 0 : -ESRCH;
	return sub;
}

int messages_subscription_check(struct messages *m, const struct ident *id,
				const struct address *user)
{
	struct message_box *box;
	int err;

	get(m, id, user, &box, &err);
	return err;
}

void messages_unsubscribe(struct messages *m, const struct ident *id, const struct address *user,
			  messages_done_cb cb, void *ctx)
{
	struct message_box *box;
	int err;
	struct message_sub *sub = get(m, id, user, &box, &err);

	if (!err)
		err = del_sub(box, sub);
	if (err) {
		cb(ctx, err);
		return;
	}
	sub_remove(box, sub);
	store_commit(m->service->store, cb, ctx);
}

/* ---- listening ---- */

int messages_listen(struct messages *m, const struct ident *id, const struct address *user,
		    void (*ready)(void *ctx), void *ctx, struct messages_listener **out)
{
	struct messages_listener *l;
	struct message_box *box;
	int err;
	struct message_sub *sub = get(m, id, user, &box, &err);

	if (err)
		return err;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->messages = m;
	l->box = box;
	l->sub = sub;
	l->position = sub->cursor;
	l->ready = ready;
	l->ctx = ctx;
	silence(sub);
	sub->listener = l;
	(void)write_sub(box, sub);
	*out = l;
	ready(ctx);
	return 0;
}

int messages_listen_next(struct messages_listener *l, uint64_t *number, struct message *out,
			 uint8_t *buf)
{
	int budget = MESSAGES_TURN_BUDGET;
	bool fresh = false;

	if (!l->sub)
		return l->closed ? -EACCES : -ESRCH;
	for (;;) {
		int found;

		if (!l->walk) {
			l->walk = mailbox_walk_new(&l->box->mailbox, &l->sub->filter, l->position);
			fresh = true;
		}
		if (!l->walk)
			return -ENOMEM;
		found = mailbox_walk_next(l->walk, &budget, number);
		if (found < 0)
			return found == -EAGAIN ? -EINPROGRESS : found;
		if (!found) {
			mailbox_walk_free(l->walk);
			l->walk = NULL;
			/* One begun before has not seen what came since. */
			if (fresh)
				return -EAGAIN;
			continue;
		}
		l->position = *number + 1;
		found = mailbox_read(&l->box->mailbox, *number, out, buf);
		/* Deleted or changed meanwhile, or damaged: the log tells; as a list has no seal. */
		if (found ? found != -ENOENT && found != -EBADMSG :
			    message_filter_takes(&l->sub->filter, out))
			return found;
		budget -= MESSAGES_ENTRY_COST;
	}
}

void messages_listen_read(struct messages_listener *l, uint64_t number)
{
	if (!l->sub || l->sub->cursor > number)
		return;
	l->sub->cursor = number + 1;
	/* What the disk refuses comes again after a restart, at worst. */
	(void)write_sub(l->box, l->sub);
}

void messages_listen_stop(struct messages_listener *l)
{
	if (l->sub)
		sub_closed(l->box, l->sub);
	mailbox_walk_free(l->walk);
	free(l);
}
