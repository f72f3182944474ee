// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Sending and receiving streams.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "libratman/incoming.h"
#include "libratman/outgoing.h"

struct ratman_send {
	struct ratman *r;	/* borrowed; the handle outlives its streams */
	int fd;			/* data socket; -1 after its end */
	bool connected;
	int err;		/* bytes were lost: the stream cannot be ended well */
};

struct ratman_recv {
	struct ratman *r;
	uint64_t left;		/* unread bytes of the stream */
	uint32_t limit;		/* streams still wanted */
};

/*
 * Begins to open the data socket the daemon named. A daemon we met at an IP
 * address has no business with the Unix sockets of this machine.
 */
static int open_data(struct ratman *r, const char *bind, struct ratman_send **out)
{
	uint64_t deadline = conn_deadline(r->timeout_ms);
	struct ratman_send *s;
	int err = 0, fd;

	if (conn_is_unix(bind) && !conn_is_unix(r->bind))
		return handle_fail(r, RATMAN_EPROTOCOL);
	fd = conn_start(bind, r->nonblocking ? 0 : deadline);
	if (fd < 0)
		return handle_fail(r, fd == -EINVAL ? RATMAN_EPROTOCOL : fd);
	if (!r->nonblocking)
		err = handle_wait_connected(r, fd, deadline);
	s = err ? NULL : calloc(1, sizeof(*s));
	if (!s) {
		handle_rest(r);
		close(fd);
		return handle_fail(r, err ? err : -ENOMEM);
	}
	s->r = r;
	s->fd = fd;
	s->connected = !r->nonblocking;
	r->busy = true;
	r->send = s;
	*out = s;
	return 0;
}

int outgoing_begin(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len, struct ratman_send **out)
{
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, op, token, payload, len, PING_SEND_SOCKET, &reply, &ping);

	if (!err)
		err = open_data(r, ping.send_socket, out);
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_send_begin(struct ratman *r, const struct ratman_id *from,
			     const struct ratman_id *token, const struct ratman_recipient *to,
			     size_t n, struct ratman_send **out)
{
	struct letterhead head = { .aux_len = 2 };
	struct wire_writer w;
	uint8_t *payload;
	int err;

	if (!n || n > LIMIT_RECIPIENTS)
		return -EINVAL;
	err = handle_ready(r);
	if (err)
		return err;
	if (n > 1 && !r->extended) {
		snprintf(r->text, sizeof(r->text), "a Rust daemon takes one recipient for each stream");
		return -EINVAL;
	}
	payload = malloc(2 + n * 76);
	if (!payload)
		return -ENOMEM;
	wire_write_init(&w, payload, 2 + n * 76);
	wire_put_be16(&w, (uint16_t)n);
	memcpy(head.from.b, from->b, sizeof(head.from.b));
	for (size_t i = 0; i < n; i++) {
		head.to = incoming_recipient(&to[i]);
		letterhead_write(&w, &head, true);
	}
	err = outgoing_begin(r, OP_SEND_MANY, token, payload, wire_len(&w), out);
	free(payload);
	return err;
}

static int send_connected(struct ratman_send *s, uint64_t deadline)
{
	int err = s->connected ? 0 : handle_wait_connected(s->r, s->fd, deadline);

	s->connected = !err;
	return err;
}

static ssize_t send_some(struct ratman_send *s, const void *data, size_t len, uint64_t deadline)
{
	ssize_t n;
	int err;

	if (!len)
		return 0;
	err = send_connected(s, deadline);
	while (!err) {
		n = conn_try_send(s->fd, data, len);
		if (n != RATMAN_EAGAIN) {
			handle_rest(s->r);
			return n;
		}
		err = handle_wait(s->r, s->fd, POLLOUT, deadline);
	}
	return err;
}

PUBLIC ssize_t ratman_send_some(struct ratman_send *s, const void *data, size_t len)
{
	return send_some(s, data, len, conn_deadline(s->r->timeout_ms));
}

PUBLIC int ratman_send_write(struct ratman_send *s, const void *data, size_t len)
{
	uint64_t deadline = conn_deadline(s->r->timeout_ms);
	const uint8_t *p = data;

	if (s->r->nonblocking)
		return -EINVAL;
	while (len) {
		ssize_t n = send_some(s, p, len, deadline);

		if (n < 0) {
			/* How much went is not said: only the daemon's verdict may follow. */
			s->err = n == RATMAN_ECLOSED ? s->err : (int)n;
			return (int)n;
		}
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static void send_forget(struct ratman_send *s)
{
	handle_rest(s->r);
	s->r->busy = false;
	s->r->send = NULL;
	free(s);
}

/* The daemon's verdict on the stream, when it has come. */
static int send_verdict(struct ratman *r, enum ping_kind want, struct reply *reply,
			struct ping *ping)
{
	int err = handle_reply(r, reply, conn_deadline(r->timeout_ms));

	if (err == RATMAN_EAGAIN)
		return err;
	if (err)
		return handle_fail(r, err);
	err = handle_ping(r, reply, want, ping);
	if (err)
		reply_free(reply);
	return err;
}

/* Says that the stream is complete. A socket nobody has taken yet cannot say that. */
static int send_finish(struct ratman_send *s)
{
	int err = s->err;

	if (s->fd < 0)
		return 0;
	if (!err)
		err = send_connected(s, conn_deadline(s->r->timeout_ms));
	if (err)
		return err;
	handle_rest(s->r);
	close(s->fd);
	s->fd = -1;
	return 0;
}

int outgoing_end(struct ratman_send *s, enum ping_kind want, struct reply *reply,
		 struct ping *ping)
{
	int err = send_finish(s);

	if (err && err != RATMAN_EAGAIN) {
		ratman_send_abort(s);
		return err;
	}
	if (!err)
		err = send_verdict(s->r, want, reply, ping);
	if (err != RATMAN_EAGAIN)
		send_forget(s);
	return err;
}

PUBLIC int ratman_send_end(struct ratman_send *s)
{
	struct reply reply = { .payload = NULL };
	struct ping ping;
	int err = outgoing_end(s, PING_OK, &reply, &ping);

	reply_free(&reply);
	return err;
}

PUBLIC void ratman_send_abort(struct ratman_send *s)
{
	struct ratman *r;

	if (!s)
		return;
	r = s->r;
	/*
	 * The end of the data socket means the end of the stream. The main
	 * connection goes first, so that nobody takes it for that; the reset
	 * tells those who only look at the data socket.
	 */
	handle_drop(r);
	if (s->fd >= 0)
		conn_reset(s->fd);
	send_forget(s);
}

PUBLIC int ratman_recv_begin(struct ratman *r, const struct ratman_id *address,
			     const struct ratman_id *token, const struct ratman_recipient *to,
			     uint32_t limit, struct ratman_recv **out)
{
	struct payload_recv p = { .to = { .kind = RECIPIENT_ADDRESS } };
	uint8_t buf[80];
	struct ratman_recv *v;
	struct wire_writer w;
	int err = handle_ready(r);

	if (err)
		return err;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->r = r;
	v->limit = limit;
	memcpy(p.address.b, address->b, sizeof(p.address.b));
	p.to.address = p.address;
	if (to)
		p.to = incoming_recipient(to);
	p.has_limit = limit != RATMAN_NO_LIMIT;
	/* A Rust daemon delivers one less than asked for. */
	p.limit = limit && !r->extended ? limit + 1 : limit;
	wire_write_init(&w, buf, sizeof(buf));
	payload_write_recv(&w, true, &p);
	/* ... and never comes back from being asked for none. */
	if (limit || r->extended)
		err = handle_command(r, OP_RECV_MANY, token, buf, wire_len(&w));
	if (err) {
		free(v);
		return err;
	}
	r->busy = true;
	r->recv = v;
	*out = v;
	return 0;
}

PUBLIC int ratman_recv_next(struct ratman_recv *v, struct ratman_letterhead *head,
			    int timeout_ms)
{
	int got;

	if (!v->limit)
		return 0;
	got = incoming_next(v->r, MODE_LETTERHEAD_MANY, &v->left, head, conn_deadline(timeout_ms));
	if (got == 1 && v->limit != RATMAN_NO_LIMIT)
		v->limit--;
	return got;
}

PUBLIC ssize_t ratman_recv_read(struct ratman_recv *v, void *buf, size_t size)
{
	return incoming_read(v->r, &v->left, buf, size, conn_deadline(v->r->timeout_ms));
}

PUBLIC void ratman_recv_end(struct ratman_recv *v)
{
	struct ratman *r;

	if (!v)
		return;
	r = v->r;
	/* There is no way to say "enough": only what was wanted in full leaves the line usable. */
	if (v->limit || v->left)
		handle_drop(r);
	handle_rest(r);
	r->busy = false;
	r->recv = NULL;
	free(v);
}
