// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages, as api/ sees them (api/message_backend.h): service/messages.h.
 */
#include "ratmand/node_priv.h"

static void send_message(void *be, const struct message_send *send, backend_message_id_cb cb,
			 void *ctx)
{
	struct node *node = be;

	messages_send(node->service->messages, send, cb, ctx);
}

static int query(void *be, const struct message_query *q, backend_message_cb found,
		 backend_message_end_cb done, void *ctx, struct backend_message_query **out)
{
	struct node *node = be;

	return messages_query(node->service->messages, q, found, done, ctx,
			      (struct messages_query **)out);
}

static void query_stop(struct backend_message_query *q)
{
	messages_query_stop((struct messages_query *)q);
}

static void modify(void *be, const struct message_change *change, void (*done)(void *ctx, int err),
		   void *ctx)
{
	struct node *node = be;

	messages_change(node->service->messages, change, done, ctx);
}

static void remove_message(void *be, const struct address *user, const struct ident *id,
			   void (*done)(void *ctx, int err), void *ctx)
{
	struct node *node = be;

	messages_remove(node->service->messages, user, id, done, ctx);
}

static void subscribe(void *be, const struct address *user, const struct message_filter *filter,
		      backend_message_id_cb cb, void *ctx)
{
	struct node *node = be;

	messages_subscribe(node->service->messages, user, filter, cb, ctx);
}

static int subscription_check(void *be, const struct ident *id, const struct address *user)
{
	struct node *node = be;

	return messages_subscription_check(node->service->messages, id, user);
}

static void unsubscribe(void *be, const struct ident *id, const struct address *user,
			void (*done)(void *ctx, int err), void *ctx)
{
	struct node *node = be;

	messages_unsubscribe(node->service->messages, id, user, done, ctx);
}

static int listen_start(void *be, const struct ident *id, const struct address *user,
			void (*ready)(void *ctx), void *ctx, struct backend_message_listener **out)
{
	struct node *node = be;

	return messages_listen(node->service->messages, id, user, ready, ctx,
			       (struct messages_listener **)out);
}

static int listen_next(struct backend_message_listener *l, uint64_t *number, struct message *out,
		       uint8_t *buf)
{
	return messages_listen_next((struct messages_listener *)l, number, out, buf);
}

static void listen_read(struct backend_message_listener *l, uint64_t number)
{
	messages_listen_read((struct messages_listener *)l, number);
}

static void listen_stop(struct backend_message_listener *l)
{
	messages_listen_stop((struct messages_listener *)l);
}

const struct backend_message_ops node_message_ops = {
	.send = send_message,
	.query = query,
	.query_stop = query_stop,
	.modify = modify,
	.remove = remove_message,
	.subscribe = subscribe,
	.subscription_check = subscription_check,
	.unsubscribe = unsubscribe,
	.listen = listen_start,
	.listen_next = listen_next,
	.listen_read = listen_read,
	.listen_stop = listen_stop,
};
