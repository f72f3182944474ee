// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Messages.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libratman/subscription.h"
#include "proto/message.h"

/*
 * A list of messages is one piece of memory: the messages, their tags, all texts
 * and data. It is built in two passes, the first of which counts.
 */
struct pile {
	struct ratman_message *messages;
	struct ratman_message_tag *tags;
	uint8_t *bytes;
	size_t n_tags, n_bytes;		/* used so far */
};

/* Puts @len bytes on the pile, or (first pass) only counts them. */
static const void *pile_bytes(struct pile *p, const void *data, size_t len)
{
	void *to = NULL;

	if (len && p->messages)
		to = memcpy(p->bytes + p->n_bytes, data, len);
	p->n_bytes += len;
	return to;
}

static void pile_tags(struct pile *p, const struct message_tags *tags, struct ratman_message *out)
{
	struct message_tag tag;

	if (p->messages)
		out->tags = p->tags + p->n_tags;
	out->n_tags = tags->n;
	for (size_t at = 0; message_tags_next(tags, &at, &tag); p->n_tags++) {
		const char *key = pile_bytes(p, tag.key, strlen(tag.key) + 1);
		const void *value = pile_bytes(p, tag.value, tag.len);

		if (message_tag_is_unread(&tag))
			out->unread = true;
		if (p->messages)
			p->tags[p->n_tags] = (struct ratman_message_tag){ key, value, tag.len };
	}
}

static void pile_message(struct pile *p, size_t number, const struct message *in)
{
	struct ratman_message out = {
		.flood = in->mode == MESSAGE_FLOOD,
		.trust = in->trust == MESSAGE_TRUSTED ? RATMAN_TRUSTED : RATMAN_UNVERIFIED,
		.time_ns = in->time_ns,
		.len = in->len,
	};

	memcpy(out.id.b, in->id.b, sizeof(out.id.b));
	memcpy(out.sender.b, in->sender.b, sizeof(out.sender.b));
	memcpy(out.to.b, in->to.b, sizeof(out.to.b));
	out.service = pile_bytes(p, in->service, strlen(in->service) + 1);
	pile_tags(p, &in->tags, &out);
	out.data = pile_bytes(p, in->data, in->len);
	if (p->messages)
		p->messages[number] = out;
}

/* One pass over @n messages. */
static int pile_all(struct wire_reader *r, size_t n, struct pile *p)
{
	struct message message;

	p->n_tags = p->n_bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (message_read(r, &message))
			return RATMAN_EPROTOCOL;
		pile_message(p, i, &message);
	}
	return 0;
}

/* @r is left behind the last one. */
static int copy_messages(struct wire_reader *r, size_t n, struct ratman_message **out)
{
	struct pile p = { .messages = NULL };
	struct wire_reader again = *r;
	int err = pile_all(r, n, &p);

	if (err)
		return err;
	p.messages = calloc(1, n * sizeof(*p.messages) + p.n_tags * sizeof(*p.tags) + p.n_bytes + 1);
	if (!p.messages)
		return -ENOMEM;
	p.tags = (struct ratman_message_tag *)(p.messages + n);
	p.bytes = (uint8_t *)(p.tags + p.n_tags);
	*out = p.messages;
	return pile_all(&again, n, &p);
}

/* What callers give --------------------------------------------------------------------- */

static int read_tags(const struct ratman_message_tag *in, size_t n, struct message_tags *out)
{
	int err = 0;

	out->n = 0;
	out->len = 0;
	for (size_t i = 0; i < n && !err; i++) {
		const struct message_tag tag = { in[i].key, in[i].value, in[i].len };

		err = in[i].len > LIMIT_MESSAGE_TAG_BYTES ? -E2BIG : message_tags_add(out, &tag);
	}
	if (!err && !message_tags_fit(out))
		err = -E2BIG;
	return err == -EILSEQ ? -EINVAL : err;
}

static int read_service(const char *service, char out[static LIMIT_MESSAGE_SERVICE + 1])
{
	if (!*service)
		return -EINVAL;
	if (strlen(service) > LIMIT_MESSAGE_SERVICE)
		return -E2BIG;
	strcpy(out, service);
	return 0;
}

static int read_filter(const struct ratman_message_filter *in, struct message_filter *out)
{
	int err = 0;

	out->has_service = in->service;
	out->service[0] = '\0';
	if (in->service)
		err = read_service(in->service, out->service);
	out->has_sender = in->sender;
	if (in->sender)
		memcpy(out->sender.b, in->sender->b, sizeof(out->sender.b));
	return err ? err : read_tags(in->tags, in->n_tags, &out->tags);
}

/* Requests -------------------------------------------------------------------------------- */

/* @payload has LIMIT_CONTROL_PAYLOAD bytes. */
static int write_send(const struct ratman_id *user, const struct ratman_message_out *m,
		      uint8_t *payload, struct wire_writer *w)
{
	struct message_send send = {
		.mode = m->n_to ? MESSAGE_STD : MESSAGE_FLOOD,
		.to = m->n_to ? m->to->b : NULL, .n = m->n_to, .grouped = m->id,
		.data = m->data, .len = m->len,
	};
	int err = read_service(m->service, send.service);

	if (!err)
		err = read_tags(m->tags, m->n_tags, &send.tags);
	if (!err && (m->n_to > LIMIT_RECIPIENTS || m->len > LIMIT_MESSAGE_PAYLOAD))
		err = -E2BIG;
	if (!err && m->n_to > 1 && m->id)
		err = -EINVAL;
	if (err)
		return err;
	memcpy(send.sender.b, user->b, sizeof(send.sender.b));
	if (m->id)
		memcpy(send.id.b, m->id->b, sizeof(send.id.b));
	wire_write_init(w, payload, LIMIT_CONTROL_PAYLOAD);
	if (m->n_to > 1)
		message_many_write(w, &send);
	else
		message_send_write(w, &send);
	return w->failed ? -E2BIG : 0;
}

PUBLIC int ratman_message_send(struct ratman *r, const struct ratman_id *user,
			       const struct ratman_id *token,
			       const struct ratman_message_out *message, struct ratman_id *id)
{
	uint8_t *payload = malloc(LIMIT_CONTROL_PAYLOAD);
	struct reply reply = { .payload = NULL };
	struct ratman_id got;
	struct wire_writer w;
	struct ping ping;
	int err = payload ? write_send(user, message, payload, &w) : -ENOMEM;

	if (!err)
		err = handle_exchange(r, message->n_to > 1 ? OP_MESSAGE_MANY : OP_MESSAGE_ONE, token,
				      payload, wire_len(&w), PING_MESSAGE, &reply, &ping);
	if (!err) {
		wire_get(&ping.body, got.b, sizeof(got.b));
		err = wire_done(&ping.body) ? 0 : handle_fail(r, RATMAN_EPROTOCOL);
	}
	if (!err && id)
		*id = got;
	reply_free(&reply);
	free(payload);
	return err;
}

static int query(struct ratman *r, const struct ratman_id *token, struct message_query *q,
		 struct ratman_message **out, size_t *n, bool *more)
{
	size_t size = sizeof(*q);	/* more than all of it takes */
	uint8_t *payload = malloc(size);
	struct wire_writer w;
	struct reply reply;
	struct ping ping;
	uint8_t rest = 0;
	uint16_t count;
	int err;

	if (!payload)
		return -ENOMEM;
	wire_write_init(&w, payload, size);
	message_query_write(&w, q);
	err = handle_exchange(r, OP_MESSAGE_QUERY, token, payload, wire_len(&w), PING_MESSAGES, &reply,
			      &ping);
	free(payload);
	if (!err) {
		count = wire_get_be16(&ping.body);
		err = copy_messages(&ping.body, count, out);
		rest = wire_get_u8(&ping.body);
		if (!err && (!wire_done(&ping.body) || rest > 1)) {
			ratman_free(*out);
			err = RATMAN_EPROTOCOL;
		}
		if (err == RATMAN_EPROTOCOL)
			handle_fail(r, err);
	}
	if (!err)
		*n = count;
	if (!err && more)
		*more = rest;
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_message_query(struct ratman *r, const struct ratman_id *user,
				const struct ratman_id *token,
				const struct ratman_message_filter *filter, uint32_t skip,
				uint32_t take, struct ratman_message **out, size_t *n, bool *more)
{
	struct message_query q = { .skip = skip, .take = take };
	int err = read_filter(filter, &q.filter);

	memcpy(q.user.b, user->b, sizeof(q.user.b));
	return err ? err : query(r, token, &q, out, n, more);
}

PUBLIC int ratman_message_get(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const struct ratman_id *id,
			      struct ratman_message **out, size_t *n)
{
	struct message_query q = { .has_id = true };

	memcpy(q.user.b, user->b, sizeof(q.user.b));
	memcpy(q.id.b, id->b, sizeof(q.id.b));
	return query(r, token, &q, out, n, NULL);
}

PUBLIC int ratman_message_tag(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token, const struct ratman_id *id,
			      const struct ratman_message_tag *add, size_t n_add,
			      const struct ratman_message_tag *remove, size_t n_remove)
{
	struct message_change change;
	uint8_t payload[sizeof(change)];	/* more than all of it takes */
	struct wire_writer w;
	int err = read_tags(add, n_add, &change.add);

	if (!err)
		err = read_tags(remove, n_remove, &change.remove);
	if (err)
		return err;
	memcpy(change.user.b, user->b, sizeof(change.user.b));
	memcpy(change.id.b, id->b, sizeof(change.id.b));
	wire_write_init(&w, payload, sizeof(payload));
	message_change_write(&w, &change);
	return handle_command(r, OP_MESSAGE_MODIFY, token, payload, wire_len(&w));
}

PUBLIC int ratman_message_delete(struct ratman *r, const struct ratman_id *user,
				 const struct ratman_id *token, const struct ratman_id *id)
{
	uint8_t payload[2 * RATMAN_ID_LEN];

	memcpy(payload, user->b, RATMAN_ID_LEN);
	memcpy(payload + RATMAN_ID_LEN, id->b, RATMAN_ID_LEN);
	return handle_command(r, OP_MESSAGE_DELETE, token, payload, sizeof(payload));
}

/* Subscriptions ------------------------------------------------------------------------------ */

PUBLIC int ratman_message_sub(struct ratman *r, const struct ratman_id *user,
			      const struct ratman_id *token,
			      const struct ratman_message_filter *filter,
			      struct ratman_subscription *out)
{
	struct message_filter f;
	uint8_t payload[sizeof(f) + RATMAN_ID_LEN];	/* more than all of it takes */
	struct address address;
	struct wire_writer w;
	int err = filter->sender ? -EINVAL : read_filter(filter, &f);

	if (err)
		return err;
	memcpy(address.b, user->b, sizeof(address.b));
	wire_write_init(&w, payload, sizeof(payload));
	message_sub_write(&w, &address, &f);
	return subscription_ask(r, OP_MESSAGE_SUB, token, payload, wire_len(&w), out);
}

PUBLIC int ratman_message_resub(struct ratman *r, const struct ratman_id *subscription,
				const struct ratman_id *user, const struct ratman_id *token,
				struct ratman_subscription *out)
{
	return subscription_again(r, OP_MESSAGE_RESUB, subscription, user, token, out);
}

PUBLIC int ratman_message_unsub(struct ratman *r, const struct ratman_id *subscription,
				const struct ratman_id *user, const struct ratman_id *token)
{
	return subscription_end(r, OP_MESSAGE_UNSUB, subscription, user, token);
}

PUBLIC int ratman_sub_message(struct ratman_sub *s, struct ratman_message **out, int timeout_ms)
{
	struct wire_reader body;
	struct reply reply;
	int err = subscription_frame(s, op_get(OP_MESSAGE_ONE)->mode, &reply, timeout_ms);

	if (err)
		return err;
	wire_read_init(&body, reply.payload, reply.header.payload_len);
	err = copy_messages(&body, 1, out);
	if (!err && !wire_done(&body)) {
		ratman_free(*out);
		err = RATMAN_EPROTOCOL;
	}
	reply_free(&reply);
	if (err == RATMAN_EPROTOCOL)
		return subscription_fail(s);
	return err ? err : 1;
}
