// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 5, Recv (microframe.md section 3.7).
 *
 * A stream is delivered when its last byte was handed to the client's socket;
 * whatever ends the connection before that puts it back.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "ratmand/api/client.h"

#define CHUNK 32768		/* bytes read from the backend at a time */
#define SHORT 4096		/* bytes that are as much work as beginning a stream */

struct recv_job {
	struct client_job job;		/* first member */
	struct client *client;
	const struct backend_ops *ops;
	struct backend_listener *listener;	/* owned */
	struct backend_recv *stream;	/* owned; NULL between streams */
	struct address address;
	uint64_t left;			/* bytes of the stream not read yet */
	uint32_t limit;			/* streams still to deliver */
	bool limited;
	bool one;			/* Recv/One: a final Ok */
};

static void recv_free(struct recv_job *j)
{
	if (j->stream)
		j->ops->recv_close(j->stream, false);
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

	if (j->one)
		client_reply_ok(c);
	client_end_job(c);
	recv_free(j);
}

/* Takes the next stream and sends its letterhead; false when there is none. */
static bool recv_next(struct recv_job *j)
{
	struct client *c = j->client;
	uint8_t buf[128 + LETTERHEAD_AUX_MAX];
	struct letterhead head;
	struct wire_writer w;
	int err;

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
	client_frame(c, j->one ? MODE_LETTERHEAD_ONE : MODE_LETTERHEAD_MANY, true, buf,
		     wire_len(&w));
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

/* The backend is in the middle of something: look at it from our own callback. */
static void on_ready(void *ctx)
{
	struct recv_job *j = ctx;

	client_kick(j->client);
}

static void recv_start(struct client *c, bool one)
{
	struct api_server *s = c->server;
	struct payload_recv p;
	struct recv_job *j;
	int err;

	if (payload_read_recv(c->payload, c->header.payload_len, !one, &p)) {
		client_reply_input(c, "payload", "address and recipient");
		return;
	}
	if (p.to.kind == RECIPIENT_NONE)
		p.to = (struct recipient){ RECIPIENT_ADDRESS, p.address };
	if (p.to.kind == RECIPIENT_ADDRESS && !address_equal(&p.to.address, &p.address)) {
		client_reply_input(c, "recipient", "the own address or a namespace");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		client_reply_internal(c, false, "out of memory");
		return;
	}
	j->job.progress = recv_progress;
	j->job.gone = recv_gone;
	j->job.address_gone = recv_address_gone;
	j->client = c;
	j->ops = s->ops;
	j->address = p.address;
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

void recv_one(struct client *c)
{
	recv_start(c, true);
}

void recv_many(struct client *c)
{
	recv_start(c, false);
}
