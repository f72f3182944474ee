// SPDX-License-Identifier: GPL-2.0-or-later
#include "api_late.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

/* One answer on its way. */
struct answer {
	struct answer *prev, *next;
	backend_done_cb done;		/* or */
	backend_created_cb created;	/* or */
	backend_subscribed_cb subscribed;	/* or */
	backend_touched_cb touched;	/* or */
	backend_user_cb user;
	void *ctx;
	int err;
	struct ident id;
	struct address address;
	struct ident token;
	struct address *list;
	size_t n;
};

static const struct backend_ops *inner;
static struct backend_ops table;
static struct backend_session_ops sessions;
static struct answer *answers;
static bool late;
static unsigned int failing, calls;
static size_t busy, checks;

static bool fails(void)
{
	return failing && ++calls % failing == 0;
}

static void give(struct answer *a)
{
	busy--;
	if (a->created)
		a->created(a->ctx, a->err, a->err ? NULL : &a->address, a->err ? NULL : &a->token);
	else if (a->subscribed)
		a->subscribed(a->ctx, a->err, a->err ? NULL : &a->id);
	else if (a->touched)
		a->touched(a->ctx, a->err, a->list, a->n);
	else if (a->user)
		a->user(a->ctx, a->err, a->err ? NULL : &a->address);
	else
		a->done(a->ctx, a->err);
	free(a->list);
	free(a);
}

bool late_turn(void)
{
	struct answer *a = answers;

	if (!a)
		return false;
	DL_DELETE(answers, a);
	give(a);
	return true;
}

void late_set(bool on)
{
	late = on;
	while (!late && late_turn())
		;
}

void late_set_failing(unsigned int n)
{
	failing = n;
}

size_t late_busy(void)
{
	return busy;
}

size_t late_checks(void)
{
	return checks;
}

static struct answer *answer_new(backend_done_cb done, backend_created_cb created, void *ctx)
{
	struct answer *a = calloc(1, sizeof(*a));

	a->done = done;
	a->created = created;
	a->ctx = ctx;
	busy++;
	return a;
}

/* The inner backend has answered, or failed without being asked. */
static void answered(void *ctx, int err)
{
	struct answer *a = ctx;

	a->err = err;
	if (late)
		DL_APPEND(answers, a);
	else
		give(a);
}

static void answered_created(void *ctx, int err, const struct address *address,
			     const struct ident *token)
{
	struct answer *a = ctx;

	if (!err) {
		a->address = *address;
		a->token = *token;
	}
	answered(a, err);
}

static void addr_create(void *be, const char *name, const uint8_t *ns_key, backend_created_cb cb,
			void *ctx)
{
	struct answer *a = answer_new(NULL, cb, ctx);

	if (fails())
		answered(a, -ENOSPC);
	else
		inner->addr_create(be, name, ns_key, answered_created, a);
}

static void addr_up(void *be, const struct address *address, const struct ident *token,
		    backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	if (fails())
		answered(a, -EIO);
	else
		inner->addr_up(be, address, token, answered, a);
}

static void addr_down(void *be, const struct address *address, backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	if (fails())
		answered(a, -EIO);
	else
		inner->addr_down(be, address, answered, a);
}

static void addr_destroy(void *be, const struct address *address, const struct ident *token,
			 bool force, backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	if (fails())
		answered(a, -EROFS);
	else
		inner->addr_destroy(be, address, token, force, answered, a);
}

static void contact_put(void *be, const struct address *owner, const struct contact *contact,
			backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	if (fails())
		answered(a, -ENOSPC);
	else
		inner->contact_put(be, owner, contact, answered, a);
}

static void contact_del(void *be, const struct address *owner, const struct address *contact,
			backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	if (fails())
		answered(a, -EIO);
	else
		inner->contact_del(be, owner, contact, answered, a);
}

static void answered_touched(void *ctx, int err, const struct address *touched, size_t n)
{
	struct answer *a = ctx;

	a->list = calloc(n + 1, sizeof(*touched));
	a->n = n;
	if (n)
		memcpy(a->list, touched, n * sizeof(*touched));
	answered(a, err);
}

static void contact_modify(void *be, const struct address *owner,
			   const struct contact_change *change, backend_touched_cb cb, void *ctx)
{
	struct answer *a = answer_new(NULL, NULL, ctx);

	a->touched = cb;
	if (fails())
		answered(a, -EIO);
	else
		inner->contact_modify(be, owner, change, answered_touched, a);
}

static int addr_check(void *be, const struct address *address, const struct ident *token)
{
	checks++;
	return inner->addr_check(be, address, token);
}

static int send_open(void *be, const struct letterhead *heads, size_t n, backend_ready_cb drain,
		     void *ctx, struct backend_send **out)
{
	int err = fails() ? -ENOSPC : inner->send_open(be, heads, n, drain, ctx, out);

	busy += !err;
	return err;
}

static int send_write(struct backend_send *send, const void *data, size_t len)
{
	return fails() ? -ENOSPC : inner->send_write(send, data, len);
}

static void send_finish(struct backend_send *send, backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	busy--;
	if (fails()) {
		inner->send_abort(send);
		answered(a, -EIO);
	} else {
		inner->send_finish(send, answered, a);
	}
}

static void send_abort(struct backend_send *send)
{
	busy--;
	inner->send_abort(send);
}

static int do_listen(void *be, const struct address *local, const struct recipient *to,
		     backend_ready_cb ready, void *ctx, struct backend_listener **out)
{
	int err = fails() ? -ENOMEM : inner->listen(be, local, to, ready, ctx, out);

	busy += !err;
	return err;
}

static void listen_stop(struct backend_listener *l)
{
	busy--;
	inner->listen_stop(l);
}

static int recv_open(struct backend_listener *l, struct letterhead *head, struct backend_recv **out)
{
	int err = fails() ? -EIO : inner->recv_open(l, head, out);

	busy += !err;
	return err;
}

static ssize_t recv_read(struct backend_recv *r, void *buf, size_t size)
{
	return fails() ? -EIO : inner->recv_read(r, buf, size);
}

static void recv_close(struct backend_recv *r, bool delivered)
{
	busy--;
	inner->recv_close(r, delivered);
}

static void answered_subscribed(void *ctx, int err, const struct ident *id)
{
	struct answer *a = ctx;

	if (!err)
		a->id = *id;
	answered(a, err);
}

static void subscribe(void *be, const struct address *address, const struct recipient *to,
		      backend_subscribed_cb cb, void *ctx)
{
	struct answer *a = answer_new(NULL, NULL, ctx);

	a->subscribed = cb;
	if (fails())
		answered(a, -EMFILE);
	else
		inner->subscribe(be, address, to, answered_subscribed, a);
}

static void unsubscribe(void *be, const struct ident *id, const struct address *address,
			bool events, backend_done_cb cb, void *ctx)
{
	struct answer *a = answer_new(cb, NULL, ctx);

	if (fails())
		answered(a, -EIO);
	else
		inner->unsubscribe(be, id, address, events, answered, a);
}

static int attach(void *be, const struct ident *id, const struct address *address, bool events,
		  backend_ready_cb ready, void *ctx, struct backend_listener **out)
{
	int err = fails() ? -ENOMEM : inner->attach(be, id, address, events, ready, ctx, out);

	busy += !err;
	return err;
}

static void answered_user(void *ctx, int err, const struct address *id)
{
	struct answer *a = ctx;

	if (!err)
		a->address = *id;
	answered(a, err);
}

static void user_create(void *be, const char *password, const char *handle, backend_user_cb cb,
			void *ctx)
{
	struct answer *a = answer_new(NULL, NULL, ctx);

	a->user = cb;
	if (fails())
		answered_user(a, -EIO, NULL);
	else
		inner->session->create(be, password, handle, answered_user, a);
}

static void user_login(void *be, const struct address *id, const char *password,
		       backend_done_cb done, void *ctx)
{
	struct answer *a = answer_new(done, NULL, ctx);

	if (fails())
		answered(a, -EIO);
	else
		inner->session->login(be, id, password, answered, a);
}

static void user_set_password(void *be, const struct address *id, const char *password,
			      backend_done_cb done, void *ctx)
{
	struct answer *a = answer_new(done, NULL, ctx);

	if (fails())
		answered(a, -ENOSPC);
	else
		inner->session->set_password(be, id, password, answered, a);
}

const struct backend_ops *late_ops(const struct backend_ops *ops)
{
	inner = ops;
	table = *ops;
	sessions = *ops->session;
	sessions.create = user_create;
	sessions.login = user_login;
	sessions.set_password = user_set_password;
	table.session = &sessions;
	table.addr_create = addr_create;
	table.addr_up = addr_up;
	table.addr_down = addr_down;
	table.addr_destroy = addr_destroy;
	table.addr_check = addr_check;
	table.contact_put = contact_put;
	table.contact_del = contact_del;
	table.contact_modify = contact_modify;
	table.send_open = send_open;
	table.send_write = send_write;
	table.send_finish = send_finish;
	table.send_abort = send_abort;
	table.listen = do_listen;
	table.listen_stop = listen_stop;
	table.recv_open = recv_open;
	table.recv_read = recv_read;
	table.recv_close = recv_close;
	table.subscribe = subscribe;
	table.unsubscribe = unsubscribe;
	table.attach = attach;
	late = false;
	failing = calls = 0;
	busy = checks = 0;
	return &table;
}
