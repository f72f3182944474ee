// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/client.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"

#define OUT_FLUSH 65536		/* bytes of replies gathered before the kernel gets them */
#define HANGUP_POLL_MS 5000	/* how often a client is looked at that we do not read from */

struct write_req {
	uv_write_t req;
	struct client *client;
	uint8_t *data;		/* owned */
};

static void client_arm(struct client *c);
static void client_read_update(struct client *c);

static uint64_t now(const struct client *c)
{
	return uv_now(c->server->loop);
}

/* Frees the client once nothing can call back into it. */
static void client_maybe_free(struct client *c)
{
	struct api_server *s = c->server;

	if (c->phase != CLIENT_DEAD || c->handles || c->calls || c->processing)
		return;
	if (c->prev)
		c->prev->next = c->next;
	else
		s->clients = c->next;
	if (c->next)
		c->next->prev = c->prev;
	s->counters.clients--;
	if (c->payload)
		sodium_memzero(c->payload, c->header.payload_len);
	free(c->payload);
	if (c->out)
		sodium_memzero(c->out, c->out_cap);
	free(c->out);
	sodium_memzero(c, sizeof(*c));
	free(c);
	server_client_gone(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	c->handles--;
	client_maybe_free(c);
}

void client_kill(struct client *c)
{
	struct client_job *job = c->job;

	if (c->phase == CLIENT_DEAD)
		return;
	c->phase = CLIENT_DEAD;
	c->job = NULL;
	if (job)
		job->gone(c, job);
	helper_close_all(c);
	uv_close((uv_handle_t *)&c->tcp, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
	uv_close((uv_handle_t *)&c->kick, on_handle_closed);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
	struct client *c = req->data;

	if (c->phase == CLIENT_DEAD)
		return;
	/* Closing with unread input would reset the connection and lose our last words. */
	if (status || c->eof)
		client_kill(c);
}

void client_finish(struct client *c)
{
	struct client_job *job = c->job;

	if (c->phase >= CLIENT_LINGER)
		return;
	c->phase = CLIENT_LINGER;
	c->job = NULL;
	if (job)
		job->gone(c, job);
	helper_close_all(c);
	c->in_pos = c->in_len = 0;
	client_flush(c);
	if (c->phase == CLIENT_DEAD)
		return;
	c->deadline_base = now(c);
	c->shutdown.data = c;
	if (uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown)) {
		client_kill(c);
		return;
	}
	client_read_update(c);
	client_arm(c);
}

/* Replies and writing ------------------------------------------------------ */

size_t client_queued(const struct client *c)
{
	return c->out_len + uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
}

bool client_write(struct client *c, const void *data, size_t len)
{
	if (c->phase == CLIENT_DEAD)
		return false;
	if (c->out_cap - c->out_len < len) {
		size_t cap = c->out_cap ? c->out_cap : 512;
		uint8_t *p;

		while (cap - c->out_len < len)
			cap *= 2;
		p = realloc(c->out, cap);
		if (!p) {
			log_error("out of memory: closing a client connection");
			client_kill(c);
			return false;
		}
		c->out = p;
		c->out_cap = cap;
	}
	if (len)
		memcpy(c->out + c->out_len, data, len);
	c->out_len += len;
	return true;
}

static void on_written(uv_write_t *req, int status)
{
	struct write_req *w = req->data;
	struct client *c = w->client;

	free(w->data);
	free(w);
	if (c->phase == CLIENT_DEAD)
		return;
	if (status < 0) {
		c->reset = true;
		client_kill(c);
		return;
	}
	c->write_base = now(c);
	c->write_seen = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);
	if (c->job && c->job->progress)
		c->job->progress(c, c->job);
	client_process(c);
}

void client_flush(struct client *c)
{
	uv_stream_t *stream = (uv_stream_t *)&c->tcp;
	struct write_req *w;
	uv_buf_t buf;
	int done;

	if (!c->out_len || c->phase == CLIENT_DEAD)
		return;
	if (!uv_stream_get_write_queue_size(stream)) {
		buf = uv_buf_init((char *)c->out, (unsigned int)c->out_len);
		done = uv_try_write(stream, &buf, 1);
		if (done < 0 && done != UV_EAGAIN) {
			c->reset = true;
			client_kill(c);
			return;
		}
		if (done > 0) {
			c->out_len -= (size_t)done;
			memmove(c->out, c->out + done, c->out_len);
		}
		c->write_base = now(c);
		if (!c->out_len)
			return;
	}
	w = malloc(sizeof(*w));
	if (!w) {
		client_kill(c);
		return;
	}
	w->req.data = w;
	w->client = c;
	w->data = c->out;
	buf = uv_buf_init((char *)c->out, (unsigned int)c->out_len);
	c->out = NULL;
	c->out_len = c->out_cap = 0;
	if (uv_write(&w->req, stream, &buf, 1, on_written)) {
		free(w->data);
		free(w);
		client_kill(c);
		return;
	}
	c->write_seen = uv_stream_get_write_queue_size(stream);
}

void client_frame(struct client *c, uint16_t mode, bool echo, const void *payload, size_t len)
{
	struct frame_header h = { .mode = mode, .payload_len = (uint32_t)len };
	uint8_t header[HEADER_WRITE_MAX];
	size_t header_len;

	if (echo && c->header.has_token) {
		h.has_token = true;
		h.token = c->header.token;
	}
	header_len = header_write(header, &h);
	if (client_write(c, header, header_len) && client_write(c, payload, len) &&
	    c->out_len > OUT_FLUSH)
		client_flush(c);
	sodium_memzero(header, sizeof(header));
	sodium_memzero(&h, sizeof(h));
}

void client_reply_ok(struct client *c)
{
	static const uint8_t ok = PING_OK;

	client_frame(c, MODE_REPLY, true, &ok, 1);
}

void client_reply_error(struct client *c, bool echo, const struct ping_error *e)
{
	uint8_t buf[PING_ERROR_MAX];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	ping_write_error(&w, e);
	client_frame(c, MODE_REPLY, echo, buf, wire_len(&w));
}

void client_reply_code(struct client *c, enum ping_error_code code)
{
	const struct ping_error e = { .code = code };

	client_reply_error(c, false, &e);
}

static void set_text(char out[static PING_TEXT_MAX], const char *text)
{
	size_t len = strnlen(text, PING_TEXT_MAX - 1);

	memcpy(out, text, len);
	out[len] = '\0';
}

void client_reply_input(struct client *c, const char *got, const char *expected)
{
	struct ping_error e = { .code = PING_E_USER, .user = PING_USER_INPUT };

	set_text(e.text, got);
	if (expected) {
		e.has_text2 = true;
		set_text(e.text2, expected);
	}
	client_reply_error(c, false, &e);
}

void client_reply_internal(struct client *c, bool echo, const char *text)
{
	struct ping_error e = { .code = PING_E_INTERNAL };

	set_text(e.text, text);
	client_reply_error(c, echo, &e);
}

void client_reply_denied(struct client *c)
{
	struct api_server *s = c->server;

	s->counters.auth_failures++;
	client_reply_code(c, PING_E_AUTH);
	if (now(c) - c->auth_window >= 60000) {
		c->auth_window = now(c);
		c->auth_failures = 0;
	}
	if (++c->auth_failures >= s->limits.auth_failures) {
		s->counters.auth_closed++;
		client_finish(c);
	}
}

void client_reply_errno(struct client *c, bool echo, int err)
{
	switch (err) {
	case -EACCES:
		client_reply_denied(c);
		break;
	case -ENOENT:
		client_reply_code(c, PING_E_NO_ADDRESS);
		break;
	case -EEXIST:
		client_reply_code(c, PING_E_DUPLICATE);
		break;
	case -EINVAL:
		client_reply_input(c, "request", NULL);
		break;
	case -ENODATA:
		client_reply_internal(c, echo, "the stream is empty");
		break;
	case -ENOSPC:
	case -EDQUOT:
		client_reply_internal(c, echo, "the router's storage is full");
		break;
	case -EROFS:
		client_reply_internal(c, echo, "the router's storage takes no writes");
		break;
	default:
		client_reply_internal(c, echo, strerror(-err));
	}
}

/* Timeouts ------------------------------------------------------------------ */

/* A protocol timeout runs only while we wait for the client, not the other way round. */
static bool waits_for_client(const struct client *c)
{
	return c->phase < CLIENT_LINGER && !c->job && !c->calls && !c->held;
}

static bool between_frames(const struct client *c)
{
	return header_parser_empty(&c->parser) && !c->in_payload;
}

static uint64_t protocol_timeout(const struct client *c)
{
	const struct api_limits *l = &c->server->limits;

	if (c->phase == CLIENT_HELLO)
		return l->first_frame_ms;
	return between_frames(c) ? l->idle_ms : l->frame_ms;
}

static void on_timer(uv_timer_t *timer);

static void client_arm(struct client *c)
{
	const struct api_limits *l = &c->server->limits;
	uint64_t due = UINT64_MAX;

	if (c->phase == CLIENT_DEAD)
		return;
	if (c->phase == CLIENT_LINGER)
		due = c->deadline_base + l->linger_ms;
	else if (waits_for_client(c))
		due = c->deadline_base + protocol_timeout(c);
	if (uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp)) {
		uint64_t stall = c->write_base + l->write_stall_ms;

		/* The last words may take as long as any other. */
		due = c->phase == CLIENT_LINGER || stall < due ? stall : due;
	}
	if (!c->reading && !c->eof && c->phase < CLIENT_LINGER && now(c) + HANGUP_POLL_MS < due)
		due = now(c) + HANGUP_POLL_MS;
	if (due == UINT64_MAX)
		uv_timer_stop(&c->timer);
	else
		uv_timer_start(&c->timer, on_timer, due > now(c) ? due - now(c) : 0, 0);
}

static void client_timed_out(struct client *c)
{
	struct api_counters *n = &c->server->counters;
	static const uint8_t timeout = PING_TIMEOUT;

	if (c->phase == CLIENT_HELLO)
		n->timeout_first++;
	else if (between_frames(c))
		n->timeout_idle++;
	else
		n->timeout_frame++;
	client_frame(c, MODE_REPLY, false, &timeout, 1);
	client_finish(c);
}

static void on_timer(uv_timer_t *timer)
{
	struct client *c = timer->data;
	const struct api_limits *l = &c->server->limits;
	size_t queue = uv_stream_get_write_queue_size((uv_stream_t *)&c->tcp);

	if (queue && queue != c->write_seen) {
		c->write_seen = queue;
		c->write_base = now(c);
	} else if (queue && now(c) - c->write_base >= l->write_stall_ms) {
		c->server->counters.timeout_write++;
		client_kill(c);
		return;
	}
	if (c->phase == CLIENT_LINGER && !queue && now(c) - c->deadline_base >= l->linger_ms) {
		client_kill(c);
		return;
	}
	if (!c->reading && !c->eof && c->phase < CLIENT_LINGER && client_hung_up(c)) {
		client_kill(c);
		return;
	}
	if (waits_for_client(c) && now(c) - c->deadline_base >= protocol_timeout(c)) {
		client_timed_out(c);
		return;
	}
	client_arm(c);
}

static short client_poll(struct client *c)
{
	struct pollfd p = { .events = POLLRDHUP };
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&c->tcp, &fd))
		return POLLERR;
	p.fd = fd;
	return poll(&p, 1, 0) > 0 ? p.revents : 0;
}

bool client_hung_up(struct client *c)
{
	return c->eof || (client_poll(c) & (POLLRDHUP | POLLHUP | POLLERR));
}

bool client_was_reset(struct client *c)
{
	/* An error that was reported once is not reported again. */
	return c->reset || (client_poll(c) & POLLERR);
}

/* Reading ------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	if (c->in_pos == c->in_len) {
		c->in_pos = c->in_len = 0;
	} else if (c->in_pos) {
		memmove(c->in, c->in + c->in_pos, c->in_len - c->in_pos);
		c->in_len -= c->in_pos;
		c->in_pos = 0;
	}
	*buf = uv_buf_init((char *)c->in + c->in_len, (unsigned int)(sizeof(c->in) - c->in_len));
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;

	(void)buf;
	if (n > 0 && c->phase < CLIENT_LINGER) {
		c->in_len += (size_t)n;
	} else if (n < 0) {
		uv_read_stop(stream);
		c->reading = false;
		c->eof = true;
		/* An abrupt end stops everything; so does any for a job that takes no input. */
		c->reset = n != UV_EOF;
		if (n != UV_EOF || (c->job && !c->job->input)) {
			client_kill(c);
			return;
		}
		if (c->phase == CLIENT_LINGER) {
			if (!client_queued(c))
				client_kill(c);
			return;
		}
	}
	client_process(c);
}

static void client_read_update(struct client *c)
{
	bool full = c->in_len - c->in_pos == sizeof(c->in);
	bool want = c->phase < CLIENT_DEAD && !c->eof && !full &&
		    (c->phase == CLIENT_LINGER || !c->held);

	if (want == c->reading || c->phase == CLIENT_DEAD)
		return;
	if (want && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read)) {
		client_kill(c);
		return;
	}
	if (!want)
		uv_read_stop((uv_stream_t *)&c->tcp);
	c->reading = want;
}

const uint8_t *client_input(struct client *c, size_t *len)
{
	*len = c->in_len - c->in_pos;
	return c->in + c->in_pos;
}

void client_take(struct client *c, size_t len)
{
	c->in_pos += len;
}

static void client_refuse_garbage(struct client *c)
{
	c->server->counters.refused_garbage++;
	client_reply_internal(c, false, "this is not Microframe");
	client_finish(c);
}

/* The header is complete: checks the payload length and makes room. */
static bool client_begin_payload(struct client *c)
{
	/* Before the handshake nobody needs more than a version and some flags. */
	uint32_t limit = c->phase == CLIENT_HELLO ? 3 + 1 + 255 : c->server->limits.payload;

	if (c->header.payload_len > limit) {
		c->server->counters.refused_payload++;
		client_reply_input(c, "payload size", "less");
		client_finish(c);
		return false;
	}
	c->payload_have = 0;
	c->in_payload = true;
	c->payload = c->header.payload_len ? malloc(c->header.payload_len) : NULL;
	if (c->header.payload_len && !c->payload) {
		client_reply_internal(c, false, "out of memory");
		client_finish(c);
		return false;
	}
	return true;
}

static void client_drop_payload(struct client *c)
{
	c->in_payload = false;
	if (c->payload)
		sodium_memzero(c->payload, c->payload_have);
	free(c->payload);
	c->payload = NULL;
}

/* Reads on; true when a whole frame is there. */
static bool client_next_frame(struct client *c)
{
	const uint8_t *data;
	size_t len, used;
	int got;

	data = client_input(c, &len);
	if (!c->in_payload) {
		bool first = between_frames(c);

		got = header_parser_feed(&c->parser, data, len, &used, &c->header);
		client_take(c, used);
		if (first && used && c->phase != CLIENT_HELLO)
			c->deadline_base = now(c);
		if (got < 0)
			client_refuse_garbage(c);
		if (got <= 0 || !client_begin_payload(c))
			return false;
		data = client_input(c, &len);
	}
	used = c->header.payload_len - c->payload_have;
	used = used < len ? used : len;
	if (used)
		memcpy(c->payload + c->payload_have, data, used);
	c->payload_have += used;
	client_take(c, used);
	return c->payload_have == c->header.payload_len;
}

/* Lets the job have raw bytes; false when it took none and goes on. */
static bool client_feed_job(struct client *c)
{
	const struct client_job *job = c->job;
	size_t before = c->in_len - c->in_pos;

	if (!job->input || !before)
		return false;
	job->input(c, c->job);
	return c->job != job || c->in_len - c->in_pos < before;
}

/* True when the client has to take its replies before it may ask for more. */
static bool client_is_behind(struct client *c)
{
	if (client_queued(c) > c->server->limits.write_queue)
		client_flush(c);
	c->held = c->phase < CLIENT_LINGER && client_queued(c) > c->server->limits.write_queue;
	return c->held;
}

/* Takes requests while there are whole ones and nothing stands in the way. */
static void client_run(struct client *c)
{
	while (c->phase < CLIENT_LINGER && !c->calls) {
		if (c->job) {
			if (!client_feed_job(c))
				break;
			continue;
		}
		if (client_is_behind(c) || !client_next_frame(c))
			break;
		c->server->counters.requests++;
		dispatch_request(c);
		client_drop_payload(c);
		c->deadline_base = now(c);
	}
}

void client_process(struct client *c)
{
	bool was_held = c->held;

	if (c->processing || c->phase == CLIENT_DEAD)
		return;
	c->processing = true;
	c->held = false;
	client_run(c);
	client_flush(c);
	c->processing = false;
	if (c->phase == CLIENT_DEAD) {
		client_maybe_free(c);
		return;
	}
	if (was_held && !c->held)
		c->deadline_base = now(c);
	/* A job has nobody left to work for, once it had all that came. */
	if (c->eof && c->job && c->in_len == c->in_pos) {
		client_kill(c);
		return;
	}
	/* A half-closed client gets the answers to what it asked, then goes. */
	if (c->eof && c->phase < CLIENT_LINGER && !c->job && !c->calls && !c->held) {
		client_finish(c);
		return;
	}
	client_read_update(c);
	client_arm(c);
}

/* Jobs and backend calls ----------------------------------------------------- */

void client_ask(struct client *c)
{
	c->calls++;
}

bool client_answered(struct client *c)
{
	c->calls--;
	c->deadline_base = now(c);
	if (c->phase != CLIENT_DEAD)
		return true;
	client_maybe_free(c);
	return false;
}

void client_start_job(struct client *c, struct client_job *job)
{
	c->job = job;
}

void client_end_job(struct client *c)
{
	c->job = NULL;
	c->deadline_base = now(c);
}

static void on_kick(uv_timer_t *timer)
{
	struct client *c = timer->data;

	if (c->job && c->job->progress)
		c->job->progress(c, c->job);
	client_process(c);
}

void client_kick(struct client *c)
{
	if (c->phase != CLIENT_DEAD)
		uv_timer_start(&c->kick, on_kick, 0, 0);
}

struct client *client_new(struct api_server *s)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	if (uv_tcp_init(s->loop, &c->tcp)) {
		free(c);
		return NULL;
	}
	uv_timer_init(s->loop, &c->timer);
	uv_timer_init(s->loop, &c->kick);
	c->tcp.data = c;
	c->timer.data = c;
	c->kick.data = c;
	c->handles = 3;
	header_parser_init(&c->parser);
	c->next = s->clients;
	if (s->clients)
		s->clients->prev = c;
	s->clients = c;
	s->counters.clients++;
	return c;
}

void client_start(struct client *c)
{
	uv_tcp_nodelay(&c->tcp, 1);
	c->deadline_base = now(c);
	c->auth_window = now(c);
	client_read_update(c);
	client_arm(c);
}
