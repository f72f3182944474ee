// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 6, Send (microframe.md section 3.6).
 *
 * Both exchanges end in the same job: bytes come from a data socket of their
 * own (Send/Many, and Send/One of clients that know it) or, for Rust clients'
 * Send/One, inline on the main connection. Other requests take bytes from a data
 * socket in the same way (data.h).
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/api/data.h"

enum send_mode {
	SEND_SOCKET,	/* data socket; final Ok or Error */
	SEND_WAIT,	/* Send/One: inline bytes, or a data socket when none come */
	SEND_EMPTY,	/* Send/One of size 0: another request makes it void */
	SEND_INLINE,	/* exactly `left` bytes on the main connection; silent when good */
	SEND_DRAIN,	/* refused: swallow `left` bytes, then the error, then close */
};

struct send_job {
	struct client_job job;		/* first member */
	struct api_server *server;
	struct client *client;		/* NULL when it is gone */
	enum send_mode mode;
	const struct data_ops *data;	/* where the bytes go, and how that is answered */
	void *sink;			/* owned; NULL before it is open */
	bool open;			/* the sink takes bytes: neither finished nor aborted */
	uint64_t total;			/* bytes given to the backend */
	uint64_t left;			/* bytes still expected inline */
	struct ping_error error;	/* of SEND_DRAIN */
	bool finishing;			/* send_finish not answered yet */
	bool data_ended;		/* the data socket said so; finished when the timer agrees */
	bool ended;			/* to be freed with its last handle */
	struct helper *helper;		/* the data socket, before somebody has connected */
	uv_tcp_t *conn;			/* owned, each freed in its close callback */
	uv_timer_t *timer;		/* before the data socket is offered, and after its end */
	unsigned int handles;
	bool reading;
	bool paused;			/* had its share of this turn of the loop */
	uint8_t *kept;			/* owned; bytes the backend has not taken yet, or NULL */
	size_t kept_len;
};

static void drop_kept(struct send_job *j)
{
	if (j->kept)
		sodium_memzero(j->kept, j->kept_len);
	free(j->kept);
	j->kept = NULL;
}

static void send_maybe_free(struct send_job *j)
{
	struct api_server *s = j->server;

	if (!j->ended || j->handles || j->finishing)
		return;
	drop_kept(j);
	if (j->sink && j->data->release)
		j->data->release(j->sink);
	free(j);
	server_release(s);
}

static void on_closed(uv_handle_t *handle)
{
	struct send_job *j = handle->data;

	free(handle);
	j->handles--;
	send_maybe_free(j);
}

static void close_conn(struct send_job *j)
{
	if (j->conn)
		uv_close((uv_handle_t *)j->conn, on_closed);
	j->conn = NULL;
}

static void close_helper(struct send_job *j)
{
	struct helper *h = j->helper;

	j->helper = NULL;
	if (h)
		helper_close(h);
}

static void close_timer(struct send_job *j)
{
	if (j->timer)
		uv_close((uv_handle_t *)j->timer, on_closed);
	j->timer = NULL;
}

/* Lets go of sockets and of a stream not finished; frees as soon as possible. */
static void send_end(struct send_job *j)
{
	bool open = j->open;

	if (j->ended)
		return;
	j->ended = true;
	j->open = false;
	close_helper(j);
	close_conn(j);
	close_timer(j);
	if (open)
		j->data->abort(j->server, j->sink);
	send_maybe_free(j);
}

static void send_gone(struct client *c, struct client_job *job)
{
	struct send_job *j = (struct send_job *)job;

	(void)c;
	j->client = NULL;
	send_end(j);
}

/* Ends the job with a good client: it goes on with its next request. */
static void send_leave(struct send_job *j)
{
	struct client *c = j->client;

	j->client = NULL;
	client_end_job(c);
	send_end(j);
	client_process(c);
}

/* The stream failed on our side. Inline clients read no reply: their session is over. */
static void send_failed(struct send_job *j, int err)
{
	struct client *c = j->client;
	bool inline_bytes = j->mode == SEND_INLINE;

	j->data->failed(c, err);
	if (inline_bytes)
		client_finish(c);
	else if (c->job)
		send_leave(j);
}

static void on_finished(void *ctx, int err)
{
	struct send_job *j = ctx;
	struct client *c = j->client;

	j->finishing = false;
	if (!err)
		j->server->counters.streams_in++;
	if (!c) {
		send_maybe_free(j);
		return;
	}
	if (err) {
		send_failed(j, err);
		return;
	}
	if (j->mode != SEND_INLINE)
		j->data->done(c, j->sink);
	if (c->job)
		send_leave(j);
}

static void send_finish_stream(struct send_job *j)
{
	if (!j->total) {
		send_failed(j, -ENODATA);
		return;
	}
	j->open = false;
	j->finishing = true;
	close_conn(j);
	j->data->finish(j->server, j->sink, on_finished, j);
}

/* Data socket --------------------------------------------------------------- */

static void data_read_update(struct send_job *j);
static int send_set_timer(struct send_job *j, uint32_t ms);

/* Gives the backend bytes from the socket; 0, -EAGAIN when it waits, or the job failed. */
static int data_push(struct send_job *j, const uint8_t *data, size_t len)
{
	int err = -EFBIG;

	if (j->total + len <= LIMIT_STREAM_BYTES)
		err = j->data->write(j->server, j->sink, data, len);
	if (err && err != -EAGAIN)
		send_failed(j, err);
	if (err)
		return err;
	j->total += len;
	if (!client_share(j->client, len)) {
		j->paused = true;
		client_kick(j->client);
	}
	return 0;
}

/* What the backend did not take now waits until it drains. */
static int data_keep(struct send_job *j, const uint8_t *data, size_t len)
{
	j->kept = malloc(len);
	if (!j->kept)
		return -ENOMEM;
	memcpy(j->kept, data, len);
	j->kept_len = len;
	return 0;
}

/* Into the buffer of the server that its clients share: nothing stays in it. */
static void on_data_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct api_server *s = ((struct send_job *)handle->data)->server;

	(void)suggested;
	*buf = uv_buf_init((char *)s->input, sizeof(s->input));
}

/*
 * A client that was killed closes both its sockets, in either order and a moment
 * apart: that is no end of stream.
 */
static void data_finish(struct send_job *j)
{
	struct client *c = j->client;

	if (client_hung_up(c))
		client_kill(c);
	else
		send_finish_stream(j);
}

static void data_ended(struct send_job *j, int why)
{
	uv_read_stop((uv_stream_t *)j->conn);
	j->reading = false;
	j->data_ended = true;
	if (client_hung_up(j->client))
		client_kill(j->client);
	else if (why != UV_EOF)
		send_failed(j, why);
	else if (send_set_timer(j, LIMIT_SEND_END_MS))
		data_finish(j);
}

static void on_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct send_job *j = stream->data;
	struct api_server *s = j->server;
	int err;

	(void)buf;
	if (n < 0) {
		data_ended(j, (int)n);
		return;
	}
	if (n == 0)
		return;
	err = data_push(j, s->input, (size_t)n);
	if (err == -EAGAIN) {
		err = data_keep(j, s->input, (size_t)n);
		if (err)
			send_failed(j, err);
	}
	sodium_memzero(s->input, (size_t)n);
	if (!err)
		data_read_update(j);
}

/* Reads from the data socket while nothing waits for the backend. */
static void data_read_update(struct send_job *j)
{
	bool want = j->conn && j->open && !j->kept && !j->paused && !j->data_ended;

	if (want == j->reading || !j->conn)
		return;
	j->reading = want;
	if (want)
		uv_read_start((uv_stream_t *)j->conn, on_data_alloc, on_data);
	else
		uv_read_stop((uv_stream_t *)j->conn);
}

static void on_connected(void *ctx, struct helper *h)
{
	struct send_job *j = ctx;
	uv_tcp_t *conn = malloc(sizeof(*conn));

	if (!conn || uv_tcp_init(j->server->loop, conn)) {
		free(conn);
		return;
	}
	conn->data = j;
	j->handles++;
	j->conn = conn;
	if (helper_accept(h, conn)) {
		close_conn(j);
		return;
	}
	j->helper = NULL;	/* it ends after this */
	j->mode = SEND_SOCKET;
	j->job.input = NULL;
	data_read_update(j);
}

static void on_nobody(void *ctx)
{
	struct send_job *j = ctx;

	j->helper = NULL;
	client_reply_internal(j->client, true, "nobody connected to the data socket");
	send_leave(j);
}

static const struct helper_ops helper_ops = {
	.connected = on_connected,
	.timed_out = on_nobody,
};

/* Opens the data socket and names it to the client. */
static int send_listen(struct send_job *j)
{
	char bind[HELPER_BIND_LEN];
	uint8_t buf[96];
	struct wire_writer w;
	int err = helper_open(j->client, &helper_ops, j, bind, &j->helper);

	if (err)
		return err;
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_send_socket(&w, bind);
	client_reply(j->client, true, buf, wire_len(&w));
	return 0;
}

static void on_timer(uv_timer_t *timer);

static int send_set_timer(struct send_job *j, uint32_t ms)
{
	if (!j->timer) {
		j->timer = malloc(sizeof(*j->timer));
		if (!j->timer)
			return -ENOMEM;
		uv_timer_init(j->server->loop, j->timer);
		j->timer->data = j;
		j->handles++;
	}
	return uv_timer_start(j->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
	struct send_job *j = timer->data;
	struct client *c = j->client;
	int err;

	if (j->ended)
		return;
	if (j->data_ended) {
		data_finish(j);
		return;
	}
	/* No inline bytes and no other request: the Rust server's behaviour. */
	if (j->mode == SEND_WAIT)
		j->server->counters.timeout_grace++;
	err = send_listen(j);
	if (err)
		send_failed(j, err);
	client_process(c);
}

/* Inline bytes -------------------------------------------------------------- */

static void inline_done(struct send_job *j)
{
	struct client *c = j->client;

	if (j->mode == SEND_DRAIN) {
		client_reply_error(c, false, &j->error);
		client_finish(c);
	} else {
		send_finish_stream(j);
	}
}

/* Bytes on the main connection while the job lasts. */
static void send_input(struct client *c, struct client_job *job)
{
	struct send_job *j = (struct send_job *)job;
	const uint8_t *data;
	size_t len;
	int err = 0;

	if (j->finishing || j->paused)
		return;
	if (j->mode == SEND_EMPTY) {
		/* A Rust client that sent nothing; this is its next request. */
		send_leave(j);
		return;
	}
	if (j->mode == SEND_WAIT) {
		j->mode = SEND_INLINE;
		close_helper(j);
		close_timer(j);
	}
	data = client_input(c, &len);
	len = len < j->left ? len : (size_t)j->left;
	if (j->mode == SEND_INLINE)
		err = j->data->write(j->server, j->sink, data, len);
	if (err == -EAGAIN)
		return;
	if (err) {
		send_failed(j, err);
		return;
	}
	client_take(c, len);
	j->total += len;
	j->left -= len;
	if (!j->left) {
		inline_done(j);
	} else if (!client_share(c, len)) {
		j->paused = true;
		client_kick(c);
	}
}

/* The next turn of the loop; what came inline is given to send_input() afterwards. */
static void send_progress(struct client *c, struct client_job *job)
{
	struct send_job *j = (struct send_job *)job;

	(void)c;
	j->paused = false;
	data_read_update(j);
}

/* The backend has room again. */
static void on_drain(void *ctx)
{
	struct send_job *j = ctx;

	if (j->ended || !j->client)
		return;
	if (j->mode == SEND_INLINE) {
		client_process(j->client);
	} else if (j->kept && !data_push(j, j->kept, j->kept_len)) {
		drop_kept(j);
		data_read_update(j);
	}
}

/* Streams: the sink is the backend's. */

static int stream_write(struct api_server *s, void *sink, const void *data, size_t len)
{
	return s->ops->send_write(sink, data, len);
}

static void stream_finish(struct api_server *s, void *sink, backend_done_cb cb, void *ctx)
{
	s->ops->send_finish(sink, cb, ctx);
}

static void stream_abort(struct api_server *s, void *sink)
{
	s->ops->send_abort(sink);
}

static void stream_done(struct client *c, void *sink)
{
	(void)sink;
	client_reply_ok(c);
}

static void stream_failed(struct client *c, int err)
{
	client_reply_errno(c, true, err);
}

static const struct data_ops stream_ops = {
	.write = stream_write,
	.finish = stream_finish,
	.abort = stream_abort,
	.done = stream_done,
	.failed = stream_failed,
};

/* Requests ------------------------------------------------------------------ */

static struct send_job *send_new(struct client *c, enum send_mode mode, const struct data_ops *data)
{
	struct send_job *j = calloc(1, sizeof(*j));

	if (!j) {
		client_reply_internal(c, false, "out of memory");
		return NULL;
	}
	/* With a data socket, what comes here waits for the end; the end of it is the client's. */
	j->job.input = mode == SEND_SOCKET ? NULL : send_input;
	j->job.progress = send_progress;
	j->job.gone = send_gone;
	j->server = c->server;
	j->client = c;
	j->mode = mode;
	j->data = data;
	c->server->handles++;
	client_start_job(c, &j->job);
	return j;
}

struct heads {
	const struct address *from;
	struct letterhead *list;	/* owned */
	size_t n, max;
	bool full;			/* there were more */
	const char *got, *expected;	/* what was wrong */
};

static bool recipient_is_valid(const struct recipient *to)
{
	return to->kind != RECIPIENT_NONE && crypto_core_ed25519_is_valid_point(to->address.b);
}

/* Checks one letterhead and keeps it, unless its recipient was named before. */
static int heads_add(struct heads *h, const struct letterhead *head)
{
	if (!address_equal(&head->from, h->from)) {
		h->got = "from";
		h->expected = "the same address in every letterhead";
		return -EINVAL;
	}
	if (!recipient_is_valid(&head->to)) {
		h->got = "recipient";
		h->expected = "an address or namespace (an ed25519 public key)";
		return -EINVAL;
	}
	for (size_t i = 0; i < h->n; i++) {
		if (h->list[i].to.kind == head->to.kind &&
		    address_equal(&h->list[i].to.address, &head->to.address))
			return 0;
	}
	if (h->n == h->max) {
		h->full = true;
		h->got = "recipients";
		h->expected = "fewer";
		return -EINVAL;
	}
	h->list[h->n++] = *head;
	return 0;
}

static int heads_each(void *ctx, const struct letterhead *head)
{
	return heads_add(ctx, head);
}

/* Opens the stream at the backend and the data socket for it. */
static void send_start(struct client *c, enum send_mode mode, const struct heads *heads)
{
	const struct backend_ops *ops = c->server->ops;
	struct send_job *j = send_new(c, mode, &stream_ops);
	struct backend_send *send;
	uint32_t ms;
	int err;

	if (!j)
		return;
	j->left = heads->list[0].stream_size;
	err = ops->send_open(c->server->be, heads->list, heads->n, on_drain, j, &send);
	j->sink = err ? NULL : send;
	j->open = !err;
	if (err) {
		if (mode == SEND_WAIT) {
			j->mode = SEND_DRAIN;
			j->error.code = err == -EACCES ? PING_E_AUTH : PING_E_INTERNAL;
			strcpy(j->error.text, "the router cannot take streams now");
		} else {
			send_failed(j, err);
		}
		return;
	}
	if (mode == SEND_SOCKET) {
		err = send_listen(j);
	} else {
		ms = mode == SEND_EMPTY ? c->server->limits.send_empty_ms :
					  c->server->limits.send_grace_ms;
		err = send_set_timer(j, ms);
	}
	if (err)
		send_failed(j, err);
}

void data_start(struct client *c, const struct data_ops *ops, const void *request)
{
	struct send_job *j = send_new(c, SEND_SOCKET, ops);
	int err;

	if (!j)
		return;
	err = ops->open(c->server, request, on_drain, j, &j->sink);
	j->open = !err;
	if (!err)
		err = send_listen(j);
	if (err)
		send_failed(j, err);
}

void send_many(struct client *c)
{
	struct heads h = { .max = c->server->limits.recipients, .got = "letterheads" };
	struct address from;
	uint16_t count;

	if (c->header.payload_len == 2 && !c->payload[0] && !c->payload[1]) {
		struct ping_error e = { .code = PING_E_USER, .user = PING_USER_MISSING };

		strcpy(e.text, "No letterheads provided!");
		client_reply_error(c, false, &e);
		return;
	}
	/* Authorised, so the first letterhead's `from` is there. */
	if (c->header.payload_len < 3 + ADDRESS_LEN) {
		client_reply_input(c, h.got, NULL);
		return;
	}
	memcpy(from.b, c->payload + 3, ADDRESS_LEN);
	h.from = &from;
	h.list = malloc(h.max * sizeof(*h.list));
	if (!h.list)
		client_reply_internal(c, false, "out of memory");
	else if (payload_read_heads(c->payload, c->header.payload_len, &count, heads_each, &h))
		client_reply_input(c, h.got, h.expected);
	else
		send_start(c, SEND_SOCKET, &h);
	if (h.full)
		c->server->counters.refused_recipients++;
	free(h.list);
}

/* Swallows the stream a Rust client sends unasked, answers, closes. */
static void send_drain(struct client *c, uint64_t size, const struct ping_error *e)
{
	struct send_job *j;

	if (!size || size > LIMIT_STREAM_BYTES) {
		if (e->code == PING_E_AUTH)
			client_reply_denied(c);
		else
			client_reply_error(c, false, e);
		if (size)
			client_finish(c);
		return;
	}
	if (e->code == PING_E_AUTH)
		c->server->counters.auth_failures++;
	j = send_new(c, SEND_DRAIN, &stream_ops);
	if (!j) {
		client_finish(c);
		return;
	}
	j->left = size;
	j->error = *e;
}

void send_one_refused(struct client *c, const struct ping_error *e)
{
	struct letterhead head;
	struct wire_reader r;

	wire_read_init(&r, c->payload, c->header.payload_len);
	letterhead_read(&r, &head);
	if (r.failed) {
		client_reply_error(c, false, e);
		client_finish(c);
		return;
	}
	send_drain(c, head.stream_size, e);
}

void send_one(struct client *c)
{
	struct ping_error e = { .code = PING_E_USER, .user = PING_USER_INPUT };
	bool socket = c->capabilities & CAPABILITY_SEND_SOCKET;
	struct letterhead head, copy;
	struct heads h = { .list = &copy, .max = 1, .from = &head.from, .got = "letterhead" };
	struct wire_reader r;
	int err;

	wire_read_init(&r, c->payload, c->header.payload_len);
	letterhead_read(&r, &head);
	err = wire_done(&r) ? heads_add(&h, &head) : -EINVAL;
	if (!err) {
		if (!socket && head.stream_size > LIMIT_STREAM_BYTES)
			send_one_refused(c, &e);
		else
			send_start(c, socket ? SEND_SOCKET : head.stream_size ? SEND_WAIT :
				   SEND_EMPTY, &h);
		return;
	}
	if (socket) {
		client_reply_input(c, h.got, h.expected);
		return;
	}
	strcpy(e.text, h.got);
	if (h.expected) {
		e.has_text2 = true;
		strcpy(e.text2, h.expected);
	}
	send_one_refused(c, &e);
}
