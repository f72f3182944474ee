// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Message/Sub, Resub and Unsub, and the messages on the socket of a subscription.
 *
 * A message was read when the program at the other end has taken its last byte
 * from the socket, as far as the kernel can tell; only then it does not come again.
 * So that little comes twice to who breaks off, not much is under way: one message
 * at first, and more and more to one who reads as fast as they come.
 */
#include "ratmand/api/message.h"

#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "ratmand/api/subscriber.h"

#define WINDOW_MAX 64	/* messages under way */
#define POLL_MIN_MS 1	/* waiting for them to be read, in growing steps */
#define POLL_MAX_MS 200

/* One that is under way. */
struct sent {
	uint64_t number;
	uint64_t end;		/* of it, in bytes since the socket was opened */
};

struct reader {
	struct client_job job;		/* first member */
	struct client *client;
	const struct backend_message_ops *ops;
	struct backend_message_listener *listener;	/* owned; NULL before it listens */
	struct sent sent[WINDOW_MAX];	/* ring */
	size_t first, n;
	size_t window;			/* of them, now */
	uint64_t bytes;			/* handed to the client's socket */
	uv_timer_t *poll;		/* owned, freed in its close callback */
	uint64_t poll_ms;		/* the next step */
	bool visible;			/* the kernel says what the client has read */
	bool waiting;			/* for the timer */
	uint8_t *body, *frame;		/* owned */
};

static void on_poll_closed(uv_handle_t *handle)
{
	struct api_server *s = handle->data;

	free(handle);
	server_release(s);
}

/*
 * Of what was handed over, so many bytes the client has not read; false when its socket, which was
 * there, is gone: whether over unread bytes is not known yet.
 */
static bool reader_unread(const struct reader *r, uint64_t *unread)
{
	uint32_t in_kernel = 0;
	int err = client_unread(r->client, &in_kernel);

	/* On another host, or where the kernel does not say, handed over is as good as read. */
	*unread = client_queued(r->client) + (err ? 0 : in_kernel);
	return !r->visible || err != -ENOENT;
}

/* Notes what was read when @unread bytes were not. */
static void reader_read(struct reader *r, uint64_t unread)
{
	uint64_t end = r->bytes > unread ? r->bytes - unread : 0;
	uint64_t number = 0;
	bool any = false;

	while (r->n && r->sent[r->first].end <= end) {
		number = r->sent[r->first].number;
		any = true;
		r->first = (r->first + 1) % WINDOW_MAX;
		r->n--;
	}
	if (!any)
		return;
	r->ops->listen_read(r->listener, number);
	r->poll_ms = POLL_MIN_MS;
	if (!r->n && r->window < WINDOW_MAX)
		r->window *= 2;
}

static void reader_free(struct reader *r)
{
	if (r->listener)
		r->ops->listen_stop(r->listener);
	if (r->poll) {
		r->poll->data = r->client->server;
		uv_close((uv_handle_t *)r->poll, on_poll_closed);
	}
	free(r->body);
	free(r->frame);
	free(r);
}

static void reader_gone(struct client *c, struct client_job *job)
{
	struct reader *r = (struct reader *)job;
	uint64_t unread;

	(void)reader_unread(r, &unread);
	/*
	 * When it is we who close he reads on in peace; reset, nothing more can be known: asked
	 * last, since he may close over unread bytes at any moment.
	 */
	if (c->phase == CLIENT_LINGER || c->server->closing)
		reader_read(r, client_queued(c));
	else if (!client_was_reset(c))
		reader_read(r, unread);
	reader_free(r);
}

static void reader_address_gone(struct client *c, struct client_job *job,
			      const struct address *address)
{
	(void)job;
	if (address_equal(&c->subscriber.address, address))
		client_finish(c);
}

/* Sends one frame; false when the client has gone. */
static bool reader_send(struct reader *r, uint64_t number, const struct message *message)
{
	struct client *c = r->client;
	size_t len = message_written_len(message);
	struct sent *sent = &r->sent[(r->first + r->n) % WINDOW_MAX];
	struct wire_writer w;

	wire_write_init(&w, r->frame, MESSAGE_RECORD_MAX);
	message_write(&w, message);
	client_frame(c, op_get(OP_MESSAGE_ONE)->mode, true, r->frame, len);
	if (c->phase == CLIENT_DEAD)
		return false;
	/* The token is with each. */
	r->bytes += HEADER_WRITE_MAX + len;
	*sent = (struct sent){ number, r->bytes };
	r->n++;
	return true;
}

/* Takes what there is, as far as the window goes. False when the client has gone. */
static bool reader_fill(struct reader *r)
{
	struct client *c = r->client;
	struct message message;
	uint64_t number;

	while (r->n < r->window && client_queued(c) < client_window(c)) {
		int err = r->ops->listen_next(r->listener, &number, &message, r->body);

		if (err == -EAGAIN) {
			/* The next ones come one by one. */
			if (!r->n)
				r->window = 1;
			return true;
		}
		if (err == -EINPROGRESS) {
			client_kick(c);
			return true;
		}
		if (err) {
			client_finish(c);
			return false;
		}
		if (!reader_send(r, number, &message))
			return false;
		if (!client_share(c, message.len + 512)) {
			client_kick(c);
			return true;
		}
	}
	return true;
}

static void on_poll(uv_timer_t *timer)
{
	struct reader *r = timer->data;

	r->waiting = false;
	client_kick(r->client);
}

/* Runs from a callback of its own: a turn that was asked for, or the end of a write. */
static void reader_progress(struct client *c, struct client_job *job)
{
	struct reader *r = (struct reader *)job;
	uint64_t unread;

	if (r->n && reader_unread(r, &unread))
		reader_read(r, unread);
	/* Who hung up must not be given more into the void. */
	if (client_hung_up(c)) {
		client_kill(c);
		return;
	}
	if (!reader_fill(r))
		return;
	client_flush(c);
	if (c->phase == CLIENT_DEAD || !r->n || r->waiting)
		return;
	r->waiting = true;
	uv_timer_start(r->poll, on_poll, r->poll_ms, 0);
	r->poll_ms = r->poll_ms * 2 < POLL_MAX_MS ? r->poll_ms * 2 : POLL_MAX_MS;
}

static void on_ready(void *ctx)
{
	struct reader *r = ctx;

	client_kick(r->client);
}

/* The job of who has connected to the socket of a subscription. */
static int reader_start(struct client *c)
{
	struct reader *r = calloc(1, sizeof(*r));
	uint32_t unread;
	int err;

	if (!r)
		return -ENOMEM;
	r->job.progress = reader_progress;
	r->job.gone = reader_gone;
	r->job.address_gone = reader_address_gone;
	r->client = c;
	r->ops = c->server->ops->message;
	r->window = 1;
	r->poll_ms = POLL_MIN_MS;
	r->visible = !client_unread(c, &unread);
	r->body = malloc(MESSAGE_BODY_MAX);
	r->frame = malloc(MESSAGE_RECORD_MAX);
	r->poll = malloc(sizeof(*r->poll));
	if (!r->body || !r->frame || !r->poll) {
		free(r->poll);
		r->poll = NULL;
		reader_free(r);
		return -ENOMEM;
	}
	uv_timer_init(c->server->loop, r->poll);
	r->poll->data = r;
	c->server->handles++;
	err = r->ops->listen(c->server->be, &c->subscriber.id, &c->subscriber.address, on_ready, r,
			     &r->listener);
	if (err) {
		r->listener = NULL;
		reader_free(r);
		return err;
	}
	client_start_job(c, &r->job);
	client_kick(c);
	return 0;
}

/* ---- requests ---- */

static void refuse(struct client *c, const struct ident *id, int err)
{
	struct ping_error e = { .code = PING_E_NO_SUBSCRIPTION };

	if (err == -ESRCH) {
		e.id = *id;
		client_reply_error(c, true, &e);
	} else {
		message_refuse(c, err);
	}
}

void message_sub(struct client *c)
{
	struct subscriber_socket *socket;
	struct message_filter filter;
	struct address user;
	int err;

	if (!message_needed(c))
		return;
	err = message_sub_read(c->payload, c->header.payload_len, &user, &filter);
	if (err) {
		message_refuse_payload(c, SERVICE_E_INVALID_QUERY, err, "user, service?, tags");
		return;
	}
	socket = subscriber_open(c, &user, reader_start, refuse);
	if (!socket)
		return;
	client_ask(c);
	c->server->ops->message->subscribe(c->server->be, &user, &filter, subscriber_begun, socket);
}

void message_resub(struct client *c)
{
	struct api_server *s = c->server;
	struct subscriber_socket *socket;
	struct payload_subscriber sub;
	int err;

	if (!message_needed(c))
		return;
	payload_read_subscriber(c->payload, &sub);
	err = s->ops->message->subscription_check(s->be, &sub.id, &sub.address);
	if (err) {
		refuse(c, &sub.id, err);
		return;
	}
	socket = subscriber_open(c, &sub.address, reader_start, refuse);
	if (socket)
		subscriber_answer(c, socket, &sub.id);
}

void message_unsub(struct client *c)
{
	struct api_server *s = c->server;
	struct payload_subscriber sub;
	struct subscriber_end *end;
	bool exists;

	if (!message_needed(c))
		return;
	payload_read_subscriber(c->payload, &sub);
	exists = !s->ops->message->subscription_check(s->be, &sub.id, &sub.address);
	end = subscriber_end(c, &sub, exists, refuse);
	if (end)
		s->ops->message->unsubscribe(s->be, &sub.id, &sub.address, subscriber_ended, end);
}
