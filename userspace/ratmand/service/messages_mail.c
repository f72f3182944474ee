// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Messages on their way: from a user here to mailbox, log and parcels, and from
 * parcels to mailbox or log.
 */
#include "ratmand/service/messages_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/flow/parcel.h"

/* What the store is asked to have for each copy beside its bytes. */
#define ROOM_EACH (64u << 10)

static const char signing_context[] = "ratman message v1";

static void begin_signature(crypto_sign_state *st, const uint8_t *body, size_t len)
{
	crypto_sign_init(st);
	crypto_sign_update(st, (const uint8_t *)signing_context, sizeof(signing_context));
	crypto_sign_update(st, body, len);
}

/* ---- sending ---- */

/* One call of messages_send(), while parcels and commit are under way. */
struct sending {
	messages_id_cb cb;
	void *ctx;
	struct ident id;
	unsigned int left;
	int err;
};

static void on_sent(void *ctx, int err)
{
	struct sending *s = ctx;

	if (err && !s->err)
		s->err = err;
	if (--s->left)
		return;
	s->cb(s->ctx, s->err, s->err ? NULL : &s->id);
	free(s);
}

/*
 * The message as it travels, signed, into m->body: its length. What does not travel needs no
 * signature: in whose session it was sent only this router could tell, and it was there.
 */
static size_t encode(struct messages *m, const struct message *message, const uint8_t *secret,
		     bool sign)
{
	uint8_t signature[crypto_sign_BYTES];
	struct wire_writer w;
	crypto_sign_state st;

	wire_write_init(&w, m->body, MESSAGE_BODY_MAX);
	message_body_write(&w, message);
	wire_put_u8(&w, sign);
	if (!sign)
		return wire_len(&w);
	begin_signature(&st, m->body, wire_len(&w) - 1);
	crypto_sign_final_create(&st, signature, NULL, secret);
	wire_put(&w, signature, sizeof(signature));
	return wire_len(&w);
}

static void make_message(const struct message_send *send, struct message *out)
{
	out->id = send->id;
	if (!send->grouped)
		ident_draw(&out->id);
	out->sender = send->sender;
	out->mode = send->mode;
	out->has_to = send->n == 1;
	out->to = (struct address){ { 0 } };
	if (out->has_to)
		memcpy(out->to.b, send->to, ADDRESS_LEN);
	memcpy(out->service, send->service, sizeof(out->service));
	out->tags = send->tags;
	out->time_ns = clock_wall_ns();
	out->trust = MESSAGE_TRUSTED;
	out->data = send->data;
	out->len = send->len;
}

static bool is_wanted(const struct messages *m, const char *service)
{
	return !m->options.discard_unknown_services ||
	       (m->options.registered && m->options.registered(m->options.ctx, service));
}

/* Straight into the mailbox of a user who is online here. -ENOENT when it is none. */
static int hand_over(struct messages *m, const struct message *message, const struct address *to,
		     struct body *body)
{
	struct message copy = *message;
	struct message_box *box;
	int err;

	if (!online_records(m->service->online, to))
		return -ENOENT;
	if (!is_wanted(m, message->service)) {
		m->stats.discarded++;
		return 0;
	}
	box = messages_box(m, to, true, &err);
	if (!box)
		return err;
	copy.has_to = true;
	copy.to = *to;
	err = messages_deliver(box, &copy, body);
	return err == -EEXIST ? 0 : err;
}

/* Sends it on its ways. What one of them fails with; @queued of them before that did not. */
static int send_parcels(struct messages *m, const struct message_send *send,
			const struct message *message, struct body *body, struct sending *s,
			size_t *queued)
{
	struct flow *flow = m->service->flow;
	struct recipient to = { .kind = RECIPIENT_ADDRESS };
	size_t here = 0;
	int err = 0;

	*queued = 0;
	if (send->mode == MESSAGE_FLOOD) {
		/* Who has just come up may not be a member yet. */
		flow_commons_up(flow, &send->sender);
		err = flow_parcel_send(flow, PARCEL_MESSAGE, &send->sender, flow_everybody(), NULL, 0,
				       body->data, body->len, on_sent, s);
		*queued = !err;
	}
	for (size_t i = 0; i < send->n && !err; i++) {
		memcpy(to.address.b, send->to + i * ADDRESS_LEN, ADDRESS_LEN);
		/* A note to oneself is where it belongs. */
		if (address_equal(&to.address, &send->sender))
			continue;
		err = hand_over(m, message, &to.address, body);
		here += !err;
		if (err != -ENOENT)
			continue;
		err = flow_parcel_send(flow, PARCEL_MESSAGE, &send->sender, &to, NULL, 0, body->data,
				       body->len, on_sent, s);
		*queued += !err;
	}
	/* Of ours there is nothing to find fault with. */
	if (err == -EINVAL)
		err = -EADDRNOTAVAIL;
	s->left += (unsigned int)*queued;
	*queued += here;
	m->stats.sent += *queued;
	return err;
}

/* True when somebody else than users who are online here is to get it. */
static bool travels(const struct messages *m, const struct message_send *send)
{
	struct address to;

	for (size_t i = 0; i < send->n; i++) {
		memcpy(to.b, send->to + i * ADDRESS_LEN, ADDRESS_LEN);
		if (!online_records(m->service->online, &to))
			return true;
	}
	return send->mode == MESSAGE_FLOOD;
}

static int start_sending(struct messages *m, const struct message_send *send, struct sending *s)
{
	const uint8_t *secret = m->options.secret(m->options.ctx, &send->sender);
	struct message message;
	struct body body = { .data = m->body,
			     .fresh = !send->grouped,
			     .travels = travels(m, send) };
	struct message_box *box;
	bool kept = false;
	size_t queued;
	int err;

	box = messages_box(m, &send->sender, true, &err);
	if (!box)
		return err;
	if (!secret)
		return -EACCES;
	/* Not half of it for want of room. */
	if (store_room(m->service->store) < (send->n + 2) * (send->len + ROOM_EACH))
		return -EDQUOT;
	make_message(send, &message);
	s->id = message.id;
	body.len = encode(m, &message, secret, body.travels);
	/* With an id that is known it is sent, but not kept again (R18). */
	err = mailbox_add(&box->mailbox, &message, &body);
	kept = !err;
	if (!err || err == -EEXIST)
		err = send_parcels(m, send, &message, &body, s, &queued);
	else
		return err;
	if (err && !queued && kept)
		mailbox_remove_number(&box->mailbox, box->mailbox.next - 1);
	else if (kept)
		messages_sub_tell(box);
	if (!err && send->mode == MESSAGE_FLOOD) {
		err = floods_add(&m->floods, &message, &body);
		messages_wake(m);
	}
	sodium_memzero(&body.key, sizeof(body.key));
	return err == -EEXIST ? 0 : err;
}

void messages_send(struct messages *m, const struct message_send *send, messages_id_cb cb, void *ctx)
{
	struct sending *s;
	int err;

	if (message_tags_reserved(&send->tags)) {
		cb(ctx, -EINVAL, NULL);
		return;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		cb(ctx, -ENOMEM, NULL);
		return;
	}
	s->cb = cb;
	s->ctx = ctx;
	s->left = 1;
	err = start_sending(m, send, s);
	if (err)
		on_sent(s, err);
	else
		store_commit(m->service->store, on_sent, s);
}

/* ---- receiving ---- */

int messages_deliver(struct message_box *box, struct message *message, struct body *body)
{
	const struct message_tag unread = { .key = MESSAGE_TAG_UNREAD };
	struct messages *m = box->messages;
	int err;

	message_tags_add(&message->tags, &unread);
	err = mailbox_add(&box->mailbox, message, body);
	if (err)
		return err;
	if (message->trust == MESSAGE_UNVERIFIED)
		m->stats.unverified++;
	m->stats.received++;
	messages_sub_tell(box);
	return 0;
}

/* All of the parcel into m->body: its length, or an error of flow_parcel_read(). */
static ssize_t read_body(struct messages *m, struct flow_parcel *p)
{
	size_t len = 0;
	ssize_t n;

	do {
		n = flow_parcel_read(p, m->body + len, MESSAGE_BODY_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	} while (n > 0 && len < MESSAGE_BODY_MAX);
	return n < 0 ? n : (ssize_t)len;
}

static void complain(const struct parcel *info, const char *what)
{
	static struct log_gate gate;
	char text[ADDRESS_TEXT_LEN];

	if (log_gate_open(&gate, clock_ms(), 8, 60000))
		log_warn("a message from %.9s… was dropped: %s", address_format(&info->from, text),
			 what);
}

/* Judges what has come (R23). False when it is to be dropped. */
static bool judge(struct messages *m, const struct parcel *info, size_t len, struct message *out)
{
	bool flood = info->to.kind == RECIPIENT_NAMESPACE;
	struct message_signature signature;
	crypto_sign_state st;

	if (message_body_read(m->body, len, out, &signature) || message_tags_reserved(&out->tags) ||
	    (out->mode == MESSAGE_FLOOD) != flood ||
	    !address_equal(&out->sender, &info->from)) {
		m->stats.malformed++;
		complain(info, "it is malformed");
		return false;
	}
	out->trust = signature.present ? MESSAGE_TRUSTED : MESSAGE_UNVERIFIED;
	if (signature.present) {
		begin_signature(&st, m->body, signature.covers);
		if (crypto_sign_final_verify(&st, signature.b, out->sender.b)) {
			m->stats.bad_signatures++;
			complain(info, "its signature is wrong");
			return false;
		}
	}
	if (!is_wanted(m, out->service)) {
		m->stats.discarded++;
		return false;
	}
	out->has_to = !flood;
	if (!flood)
		out->to = info->to.address;
	return true;
}

/* True when the parcel is done with. */
static bool receive(struct messages *m, struct flow_parcel *p, const struct parcel *info)
{
	bool flood = info->to.kind == RECIPIENT_NAMESPACE;
	struct body body = { .data = m->body, .travels = true };
	struct message_box *box = NULL;
	struct message message;
	ssize_t len;
	int err = 0;

	if (!flood)
		box = messages_box(m, &info->to.address, true, &err);
	if (err)
		return false;
	len = info->size <= MESSAGE_BODY_MAX ? read_body(m, p) : 0;
	/* What the store has damaged, or what was withdrawn, does not come better later. */
	if (len < 0)
		return len != -ENOMEM;
	if (!judge(m, info, (size_t)len, &message))
		return true;
	body.len = (size_t)len;
	err = flood ? floods_add(&m->floods, &message, &body) : messages_deliver(box, &message, &body);
	sodium_memzero(&body.key, sizeof(body.key));
	if (err == -EEXIST) {
		m->stats.duplicates++;
		return true;
	}
	if (flood && !err)
		messages_wake(m);
	return !err;
}

static void on_parcel(void *ctx, struct flow_parcel *p, const struct parcel *info)
{
	flow_parcel_close(p, receive(ctx, p, info));
}

static enum parcel_answer on_offered(void *ctx, const struct parcel *info)
{
	(void)ctx;
	return info->size <= MESSAGE_BODY_MAX ? PARCEL_TAKE : PARCEL_REFUSE;
}

void messages_mail_start(struct messages *m)
{
	flow_parcel_handler(m->service->flow, PARCEL_MESSAGE, on_parcel, m);
	flow_parcel_offered(m->service->flow, PARCEL_MESSAGE, on_offered, m);
}
