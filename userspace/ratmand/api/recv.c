// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 5, Recv, and the streams on the socket of a subscription
 * (microframe.md section 3.7).
 *
 * A stream is delivered when its last byte was handed to the client's socket;
 * whatever ends the connection before that puts it back. A subscriber gets the
 * next one only when he has read that, as far as the kernel can tell: then the
 * end of his socket says whether he had the last one (he closed it and nothing
 * was unread) or not (closing over unread bytes resets it), and none is lost
 * with what lay unread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/api/client.h"

#define CHUNK 32768		/* bytes read from the backend at a time */
#define SHORT 4096		/* bytes that are as much work as beginning a stream */
#define POLL_MIN_MS 1		/* waiting for a subscriber to read, in growing steps */
#define POLL_MAX_MS 200

static void on_poll(uv_timer_t *timer);

struct recv_job {
	struct client_job job;		/* first member */
	struct client *client;
	const struct backend_ops *ops;
	struct backend_listener *listener;	/* owned */
	struct backend_recv *stream;	/* owned; NULL between streams */
	struct address address;
	uint64_t left;			/* bytes of the stream not read yet */
	uv_timer_t *poll;		/* of a subscriber; owned, freed in its close callback */
	uint64_t poll_ms;		/* the next step */
	bool visible;			/* the kernel says what he has read; then there is a poll */
	bool handed;			/* all of the stream is in his socket */
	uint32_t limit;			/* streams still to deliver */
	bool limited;
	uint16_t mode;			/* of the letterheads */
	bool one;			/* Recv/One: a final Ok */
};

static void on_poll_closed(uv_handle_t *handle)
{
	struct api_server *s = handle->data;

	free(handle);
	server_release(s);
}

/*
 * True when a subscriber whose socket ends had all that was handed to it. When it
 * is we who close, he reads on in peace.
 */
static bool had_it(const struct recv_job *j)
{
	struct client *c = j->client;
	uint32_t unread;
	int err;

	if (!j->handed)
		return false;
	if (c->phase == CLIENT_LINGER || c->server->closing)
		return true;
	/* In this order: between the two he may close over what he has not read. */
	err = client_unread(c, &unread);
	return !client_was_reset(c) && (err || !unread);
}

static void recv_free(struct recv_job *j)
{
	if (j->stream)
		j->ops->recv_close(j->stream, had_it(j));
	if (j->poll) {
		j->poll->data = j->client->server;
		uv_close((uv_handle_t *)j->poll, on_poll_closed);
	}
	if (j->listener)
		j->ops->listen_stop(j->listener);
	free(j);
}

static void recv_gone(struct client *c, struct client_job *job)
{
	(void)c;
	recv_free((struct recv_job *)job);
}

static void recv_address_gone(struct client *c, struct client_job *job,
			      const struct address *address)
{
	/* An Error here would be read as a letterhead. */
	if (address_equal(&((struct recv_job *)job)->address, address))
		client_finish(c);
}

/* Back to the command loop, with the final Ok of Recv/One. */
static void recv_end(struct recv_job *j)
{
	struct client *c = j->client;
	bool one = j->one;

	/* First: the answer may be the client's end, and that of a job it still has. */
	client_end_job(c);
	recv_free(j);
	if (one)
		client_reply_ok(c);
}

/* Takes the next stream and sends its letterhead; false when there is none. */
static bool recv_next(struct recv_job *j)
{
	struct client *c = j->client;
	uint8_t buf[128 + LETTERHEAD_AUX_MAX];
	struct letterhead head;
	struct wire_writer w;
	int err;

	/* Who hung up a moment ago must not be given another stream into the void. */
	if (client_hung_up(c)) {
		client_kill(c);
		return false;
	}
	err = j->ops->recv_open(j->listener, &head, &j->stream);
	if (err) {
		j->stream = NULL;
		if (err != -EAGAIN) {
			log_warn("cannot open a received stream: %s", strerror(-err));
			client_kill(c);
		}
		return false;
	}
	j->left = head.stream_size;
	wire_write_init(&w, buf, sizeof(buf));
	letterhead_write(&w, &head, !(c->capabilities & CAPABILITY_AUX));
	client_frame(c, j->mode, true, buf, wire_len(&w));
	return c->phase != CLIENT_DEAD;
}

/* Moves one chunk; false when the connection had to be given up. */
static bool recv_chunk(struct recv_job *j)
{
	struct client *c = j->client;
	size_t want = j->left < CHUNK ? (size_t)j->left : CHUNK;
	uint8_t *room = client_reserve(c, want);
	ssize_t n;

	if (!room)
		return false;
	n = j->ops->recv_read(j->stream, room, want);
	if (n <= 0) {
		log_warn("a received stream broke off while reading it: %s",
			 n ? strerror((int)-n) : "too short");
		client_kill(c);
		return false;
	}
	j->left -= (uint64_t)n;
	client_commit(c, (size_t)n);
	/* May kill the client, and with it the job. */
	client_flush(c);
	return c->phase != CLIENT_DEAD;
}

/* False while a subscriber has not read the stream in his socket; looks again later. */
static bool recv_is_read(struct recv_job *j)
{
	struct client *c = j->client;
	uint32_t unread = 0;
	int err;

	/* On another host, or where the kernel does not say, handed over is as good as read. */
	if (!j->visible)
		return true;
	err = client_unread(c, &unread);
	/*
	 * Whose socket is gone may have closed it over unread bytes, with the reset that
	 * says so still on its way; when none has come after a while, there is none.
	 */
	if (err == -ENOENT ? j->poll_ms >= POLL_MAX_MS : err || !unread)
		return true;
	uv_timer_start(j->poll, on_poll, j->poll_ms, 0);
	j->poll_ms = j->poll_ms * 2 < POLL_MAX_MS ? j->poll_ms * 2 : POLL_MAX_MS;
	return false;
}

/* Runs from a callback of its own: a turn of its own or the end of a write. */
static void recv_progress(struct client *c, struct client_job *job)
{
	struct recv_job *j = (struct recv_job *)job;
	bool share = true;

	for (;;) {
		if (!j->stream) {
			if (j->limited && !j->limit) {
				recv_end(j);
				return;
			}
			if (!recv_next(j))
				return;
		}
		while (j->left && client_queued(c) < client_window(c)) {
			if (!share) {
				client_kick(c);
				return;
			}
			if (!recv_chunk(j))
				return;
			share = client_share(c, CHUNK);
		}
		client_flush(c);
		if (c->phase == CLIENT_DEAD)
			return;
		/* The end of the write comes back here. */
		if (j->left || client_queued(c))
			return;
		if (client_was_reset(c)) {
			client_kill(c);
			return;
		}
		j->handed = true;
		if (!recv_is_read(j))
			return;
		j->handed = false;
		j->poll_ms = POLL_MIN_MS;
		j->ops->recv_close(j->stream, true);
		j->stream = NULL;
		c->server->counters.streams_out++;
		if (j->limited)
			j->limit--;
		/* Short ones cost as well. */
		if (!client_share(c, SHORT)) {
			client_kick(c);
			return;
		}
	}
}

static void on_poll(uv_timer_t *timer)
{
	struct recv_job *j = timer->data;

	client_kick(j->client);
}

/* The backend is in the middle of something: look at it from our own callback. */
static void on_ready(void *ctx)
{
	struct recv_job *j = ctx;

	client_kick(j->client);
}

static struct recv_job *recv_new(struct client *c, const struct address *address, uint16_t mode)
{
	struct recv_job *j = calloc(1, sizeof(*j));

	if (!j)
		return NULL;
	j->job.progress = recv_progress;
	j->job.gone = recv_gone;
	j->job.address_gone = recv_address_gone;
	j->client = c;
	j->ops = c->server->ops;
	j->address = *address;
	j->mode = mode;
	return j;
}

bool recv_read_request(struct client *c, bool many, struct payload_recv *out)
{
	if (payload_read_recv(c->payload, c->header.payload_len, many, out)) {
		client_reply_input(c, "payload", "address and recipient");
		return false;
	}
	if (out->to.kind == RECIPIENT_NONE)
		out->to = (struct recipient){ RECIPIENT_ADDRESS, out->address };
	if (out->to.kind == RECIPIENT_ADDRESS && !address_equal(&out->to.address, &out->address)) {
		client_reply_input(c, "recipient", "the own address or a namespace");
		return false;
	}
	return true;
}

static void recv_start(struct client *c, bool one)
{
	struct api_server *s = c->server;
	struct payload_recv p;
	struct recv_job *j;
	int err;

	if (!recv_read_request(c, !one, &p))
		return;
	j = recv_new(c, &p.address, one ? MODE_LETTERHEAD_ONE : MODE_LETTERHEAD_MANY);
	if (!j) {
		client_reply_internal(c, false, "out of memory");
		return;
	}
	j->one = one;
	j->limited = one || p.has_limit;
	j->limit = one ? 1 : p.limit;
	err = s->ops->listen(s->be, &p.address, &p.to, on_ready, j, &j->listener);
	if (err) {
		j->listener = NULL;
		recv_free(j);
		client_reply_errno(c, false, err);
		return;
	}
	client_reply_ok(c);
	client_start_job(c, &j->job);
	client_kick(c);
}

int recv_subscriber(struct client *c)
{
	struct recv_job *j = recv_new(c, &c->subscriber.address, MODE_LETTERHEAD_SUB);
	uint32_t unread;
	int err;

	if (!j)
		return -ENOMEM;
	j->visible = !client_unread(c, &unread);
	if (j->visible) {
		j->poll = malloc(sizeof(*j->poll));
		if (!j->poll) {
			recv_free(j);
			return -ENOMEM;
		}
		uv_timer_init(c->server->loop, j->poll);
		j->poll->data = j;
		j->poll_ms = POLL_MIN_MS;
		c->server->handles++;
	}
	err = j->ops->attach(c->server->be, &c->subscriber.id, &c->subscriber.address, false,
			     on_ready, j, &j->listener);
	if (err) {
		j->listener = NULL;
		recv_free(j);
		return err;
	}
	client_start_job(c, &j->job);
	client_kick(c);
	return 0;
}

void recv_one(struct client *c)
{
	recv_start(c, true);
}

void recv_many(struct client *c)
{
	recv_start(c, false);
}
