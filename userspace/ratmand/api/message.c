// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 0A, Message, but for subscriptions (service-api.md section 7.3).
 */
#include "ratmand/api/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool message_needed(struct client *c)
{
	if (c->server->ops->message)
		return true;
	client_reply_code(c, PING_E_NOT_SUPPORTED);
	return false;
}

void message_refuse(struct client *c, int err)
{
	switch (err) {
	case -EPERM:
		client_reply_service(c, SERVICE_E_NOT_AUTHORISED,
				     "all services at once can be seen in god mode only (god_mode in ratmand.conf): name a service");
		break;
	case -ENOENT:
		client_reply_service(c, SERVICE_E_NO_DATA, "this user has no message of this id");
		break;
	case -ENODATA:
		client_reply_service(c, SERVICE_E_NO_DATA, "no message passes, or none is left to show");
		break;
	case -EINVAL:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "tags that begin with " MESSAGE_TAG_RESERVED " are the router's: only " MESSAGE_TAG_UNREAD " can be removed");
		break;
	case -EADDRNOTAVAIL:
		client_reply_service(c, SERVICE_E_NO_ROUTE, "no message can be sent to this recipient");
		break;
	case -E2BIG:
		message_refuse_payload(c, SERVICE_E_INVALID_PAYLOAD, err, NULL);
		break;
	case -EMFILE:
		client_reply_service(c, SERVICE_E_IO_FAULT,
				     "all subscriptions this user may have are being listened to: end some");
		break;
	default:
		client_reply_service_errno(c, err);
	}
}

void message_refuse_payload(struct client *c, enum service_error_code code, int err,
			    const char *form)
{
	char text[PING_TEXT_MAX];

	if (err == -EILSEQ)
		snprintf(text, sizeof(text), "text must be UTF-8");
	else if (err == -E2BIG)
		snprintf(text, sizeof(text),
			 "too large: service %d bytes, %d tags of %d bytes, payload %d bytes, %d recipients",
			 LIMIT_MESSAGE_SERVICE, LIMIT_MESSAGE_TAGS, LIMIT_MESSAGE_TAG_BYTES,
			 LIMIT_MESSAGE_PAYLOAD, LIMIT_RECIPIENTS);
	else
		snprintf(text, sizeof(text), "the request must be %s", form);
	client_reply_service(c, code, text);
}

/* ---- calls that are answered once ---- */

static void on_sent(void *ctx, int err, const struct ident *id)
{
	struct client *c = ctx;
	uint8_t buf[1 + sizeof(struct ident)];

	if (!client_answered(c))
		return;
	if (err) {
		message_refuse(c, err);
	} else {
		buf[0] = PING_MESSAGE;
		memcpy(buf + 1, id->b, sizeof(id->b));
		client_reply(c, true, buf, sizeof(buf));
	}
	client_process(c);
}

static void send_message(struct client *c, const struct message_send *send)
{
	client_ask(c);
	c->server->ops->message->send(c->server->be, send, on_sent, c);
}

void message_one(struct client *c)
{
	struct message_send send;
	int err;

	if (!message_needed(c))
		return;
	err = message_send_read(c->payload, c->header.payload_len, &send);
	if (err)
		message_refuse_payload(c, SERVICE_E_INVALID_PAYLOAD, err,
				       "user, mode (0, or 1 and recipient), id type (0, or 1 and id), service (not empty), tags, payload");
	else
		send_message(c, &send);
}

void message_many(struct client *c)
{
	struct message_send send;
	int err;

	if (!message_needed(c))
		return;
	err = message_many_read(c->payload, c->header.payload_len, &send);
	if (err)
		message_refuse_payload(c, SERVICE_E_INVALID_PAYLOAD, err,
				       "user, recipients (at least one, none twice), service (not empty), tags, payload");
	else
		send_message(c, &send);
}

static void on_changed(void *ctx, int err)
{
	client_done(ctx, err, message_refuse);
}

void message_modify(struct client *c)
{
	struct message_change change;
	int err;

	if (!message_needed(c))
		return;
	err = message_change_read(c->payload, c->header.payload_len, &change);
	if (err) {
		message_refuse_payload(c, SERVICE_E_INVALID_PAYLOAD, err,
				       "user, message id, tags to add, tags to remove");
		return;
	}
	client_ask(c);
	c->server->ops->message->modify(c->server->be, &change, on_changed, c);
}

void message_delete(struct client *c)
{
	struct address user;
	struct ident id;

	if (!message_needed(c))
		return;
	memcpy(user.b, c->payload, ADDRESS_LEN);
	memcpy(id.b, c->payload + ADDRESS_LEN, sizeof(id.b));
	client_ask(c);
	c->server->ops->message->remove(c->server->be, &user, &id, on_changed, c);
}

/* ---- queries ---- */

struct query_job {
	struct client_job job;		/* first member */
	struct client *client;
	struct backend_message_query *query;	/* NULL when it has ended */
	uint8_t *reply;			/* owned; kind and count are put in at the end */
	size_t len, size;
	uint16_t n;
	bool failed;			/* out of memory */
};

#define REPLY_HEAD 3	/* kind, count */

static void query_free(struct query_job *j)
{
	free(j->reply);
	free(j);
}

static void query_gone(struct client *c, struct client_job *job)
{
	struct query_job *j = (struct query_job *)job;

	if (j->query)
		c->server->ops->message->query_stop(j->query);
	query_free(j);
}

/* Room for @len bytes more, and the last one. */
static bool query_room(struct query_job *j, size_t len)
{
	size_t need = j->len + len + 1, size = j->size ? j->size : 4096;
	uint8_t *larger;

	while (size < need)
		size *= 2;
	if (size == j->size)
		return true;
	larger = realloc(j->reply, size);
	if (!larger) {
		j->failed = true;
		return false;
	}
	j->reply = larger;
	j->size = size;
	return true;
}

static bool on_found(void *ctx, const struct message *message)
{
	size_t len = message_written_len(message);
	struct query_job *j = ctx;
	struct wire_writer w;

	if (j->n == UINT16_MAX || (j->n && j->len + len > LIMIT_MESSAGE_REPLY) ||
	    !query_room(j, len))
		return false;
	wire_write_init(&w, j->reply + j->len, len);
	message_write(&w, message);
	j->len += len;
	j->n++;
	return true;
}

static void on_queried(void *ctx, int err, bool more)
{
	struct query_job *j = ctx;
	struct client *c = j->client;
	struct wire_writer w;

	j->query = NULL;
	client_end_job(c);
	if (j->failed) {
		client_reply_internal(c, true, "out of memory");
	} else if (err) {
		message_refuse(c, err);
	} else {
		wire_write_init(&w, j->reply, REPLY_HEAD);
		wire_put_u8(&w, PING_MESSAGES);
		wire_put_be16(&w, j->n);
		j->reply[j->len++] = more;
		client_reply(c, true, j->reply, j->len);
	}
	query_free(j);
	client_process(c);
}

void message_query(struct client *c)
{
	struct api_server *s = c->server;
	struct message_query q;
	struct query_job *j;
	int err;

	if (!message_needed(c))
		return;
	err = message_query_read(c->payload, c->header.payload_len, &q);
	if (err) {
		message_refuse_payload(c, SERVICE_E_INVALID_QUERY, err,
				       "user, service?, message id?, sender?, tags, skip, take");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j || !query_room(j, REPLY_HEAD)) {
		free(j);
		client_reply_internal(c, true, "out of memory");
		return;
	}
	j->len = REPLY_HEAD;
	j->job.gone = query_gone;
	j->client = c;
	client_start_job(c, &j->job);
	if (s->ops->message->query(s->be, &q, on_found, on_queried, j, &j->query)) {
		client_end_job(c);
		query_free(j);
		client_reply_internal(c, true, "out of memory");
	}
}
