// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Subscriptions to streams and to events. What is due comes over a socket of its
 * own, which is independent of the handle once it is open.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libratman/incoming.h"
#include "libratman/subscription.h"

struct ratman_sub {
	struct ratman *line;	/* owned; only its socket and its frame reader are used */
	uint64_t left;		/* unread bytes of the stream */
	bool connected;
};

int subscription_ask(struct ratman *r, enum op_id op, const struct ratman_id *token,
		     const void *payload, size_t len, struct ratman_subscription *out)
{
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, op, token, payload, len, PING_SUBSCRIPTION, &reply, &ping);

	if (!err) {
		memcpy(out->id.b, ping.subscription.id.b, sizeof(out->id.b));
		memcpy(out->socket, ping.subscription.bind, sizeof(out->socket));
	}
	reply_free(&reply);
	return err;
}

/* The payload of Resub and Unsub. */
static void write_subscriber(uint8_t out[static PAYLOAD_SUBSCRIBER_LEN], const struct ratman_id *id,
			     const struct ratman_id *address)
{
	memcpy(out, id->b, RATMAN_ID_LEN);
	memcpy(out + RATMAN_ID_LEN, address->b, RATMAN_ID_LEN);
}

static int resubscribe(struct ratman *r, enum op_id op, const struct ratman_id *id,
		       const struct ratman_id *address, const struct ratman_id *token,
		       struct ratman_subscription *out)
{
	uint8_t payload[PAYLOAD_SUBSCRIBER_LEN];

	write_subscriber(payload, id, address);
	return subscription_ask(r, op, token, payload, sizeof(payload), out);
}

int subscription_end(struct ratman *r, enum op_id op, const struct ratman_id *id,
		     const struct ratman_id *address, const struct ratman_id *token)
{
	uint8_t payload[PAYLOAD_SUBSCRIBER_LEN];

	write_subscriber(payload, id, address);
	return handle_command(r, op, token, payload, sizeof(payload));
}

PUBLIC int ratman_sub_create(struct ratman *r, const struct ratman_id *address,
			     const struct ratman_id *token, const struct ratman_recipient *to,
			     struct ratman_subscription *out)
{
	struct payload_recv p = { .to = { .kind = RECIPIENT_ADDRESS } };
	struct wire_writer w;
	uint8_t buf[80];

	memcpy(p.address.b, address->b, sizeof(p.address.b));
	p.to.address = p.address;
	if (to)
		p.to = incoming_recipient(to);
	wire_write_init(&w, buf, sizeof(buf));
	payload_write_recv(&w, false, &p);
	return subscription_ask(r, OP_STREAM_SUB, token, buf, wire_len(&w), out);
}

PUBLIC int ratman_sub_resume(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *address, const struct ratman_id *token,
			     struct ratman_subscription *out)
{
	return resubscribe(r, OP_STREAM_RESUB, id, address, token, out);
}

PUBLIC int ratman_sub_cancel(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *address, const struct ratman_id *token)
{
	return subscription_end(r, OP_STREAM_UNSUB, id, address, token);
}

PUBLIC int ratman_sub_list(struct ratman *r, const struct ratman_id *address,
			   const struct ratman_id *token, struct ratman_id **out, size_t *n)
{
	struct ratman_id *list = NULL;
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, OP_STREAM_LIST, token, address->b, RATMAN_ID_LEN, PING_UPDATE,
				  &reply, &ping);

	if (!err) {
		list = calloc(ping.ids.n + 1, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !err && i < ping.ids.n; i++)
		memcpy(list[i].b, ping.ids.ids + i * RATMAN_ID_LEN, RATMAN_ID_LEN);
	if (!err) {
		*out = list;
		*n = ping.ids.n;
	}
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_addr_sub(struct ratman *r, const struct ratman_id *address,
			   const struct ratman_id *token, struct ratman_subscription *out)
{
	uint8_t payload[PAYLOAD_ADDR_SUB_LEN] = { 0 };

	memcpy(payload, address->b, RATMAN_ID_LEN);
	return subscription_ask(r, OP_ADDR_SUB, token, payload, sizeof(payload), out);
}

PUBLIC int ratman_addr_resub(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *address, const struct ratman_id *token,
			     struct ratman_subscription *out)
{
	return resubscribe(r, OP_ADDR_RESUB, id, address, token, out);
}

PUBLIC int ratman_addr_unsub(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *address, const struct ratman_id *token)
{
	return subscription_end(r, OP_ADDR_UNSUB, id, address, token);
}

/* The socket ------------------------------------------------------------------- */

static int connected(struct ratman_sub *s, uint64_t deadline)
{
	int err = 0;

	if (s->connected)
		return 0;
	if (s->line->fd < 0)
		return RATMAN_ECLOSED;
	err = handle_wait_connected(s->line, s->line->fd, deadline);
	s->connected = !err;
	if (err && !handle_may_resume(err))
		return handle_fail(s->line, err);
	return err;
}

PUBLIC int ratman_sub_open(struct ratman *r, const struct ratman_subscription *subscription,
			   struct ratman_sub **out)
{
	uint64_t deadline = conn_deadline(r->timeout_ms);
	const char *bind = subscription->socket;
	struct ratman_sub *s;
	int err;

	/* As for data sockets: no daemon at an IP address gets at our Unix sockets. */
	if (conn_is_unix(bind) && !conn_is_unix(r->bind))
		return RATMAN_EPROTOCOL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	err = ratman_new(&s->line, bind);
	if (err) {
		free(s);
		return err;
	}
	s->line->timeout_ms = r->timeout_ms;
	s->line->nonblocking = r->nonblocking;
	s->line->fd = conn_start(bind, r->nonblocking ? 0 : deadline);
	if (s->line->fd < 0)
		err = s->line->fd == -EINVAL ? RATMAN_EPROTOCOL : s->line->fd;
	if (!err && !r->nonblocking)
		err = connected(s, deadline);
	if (err) {
		ratman_sub_close(s);
		return err;
	}
	*out = s;
	return 0;
}

PUBLIC int ratman_sub_fd(struct ratman_sub *s)
{
	return ratman_fd(s->line);
}

PUBLIC int ratman_sub_next(struct ratman_sub *s, struct ratman_letterhead *head, int timeout_ms)
{
	uint64_t deadline = conn_deadline(timeout_ms);
	int err = connected(s, deadline);

	return err ? err : incoming_next(s->line, MODE_LETTERHEAD_SUB, &s->left, head, deadline);
}

PUBLIC ssize_t ratman_sub_read(struct ratman_sub *s, void *buf, size_t size)
{
	return incoming_read(s->line, &s->left, buf, size, conn_deadline(s->line->timeout_ms));
}

int subscription_frame(struct ratman_sub *s, uint16_t mode, struct reply *reply, int timeout_ms)
{
	uint64_t deadline = conn_deadline(timeout_ms);
	int err = connected(s, deadline);

	if (!err)
		err = handle_reply(s->line, reply, deadline);
	if (err)
		return err;
	handle_rest(s->line);
	if (reply->header.mode == mode)
		return 0;
	reply_free(reply);
	return subscription_fail(s);
}

int subscription_fail(struct ratman_sub *s)
{
	return handle_fail(s->line, RATMAN_EPROTOCOL);
}

PUBLIC int ratman_sub_event(struct ratman_sub *s, struct ratman_event *out, int timeout_ms)
{
	struct payload_event event;
	struct reply reply;
	int err = subscription_frame(s, op_get(OP_ADDR_SUB)->mode, &reply, timeout_ms);

	if (err)
		return err;
	if (payload_read_event(reply.payload, reply.header.payload_len, &event))
		err = subscription_fail(s);
	reply_free(&reply);
	if (err)
		return err;
	out->kind = (enum ratman_event_kind)event.kind;
	memcpy(out->address.b, event.address.b, sizeof(out->address.b));
	return 1;
}

PUBLIC void ratman_sub_close(struct ratman_sub *s)
{
	if (!s)
		return;
	ratman_close(s->line);
	free(s);
}
