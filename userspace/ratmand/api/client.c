// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/client.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "base/log.h"

#define KEEP_ENOUGH 8192	/* bytes; with so many waiting to be worked on we stop reading */
#define OUT_FIRST 512		/* bytes; first size of the buffer for replies */
#define WINDOW (256u << 10)	/* bytes of a job queued to the client's socket at most */
#define WINDOW_LOW (32u << 10)	/* the same while all together have too many queued */

struct write_req {
	uv_write_t req;
	struct client *client;
	uint8_t *data;		/* owned */
	size_t len;
};

static void client_read_update(struct client *c);

static void wipe_free(uint8_t *data, size_t len)
{
	if (data)
		sodium_memzero(data, len);
	free(data);
}

/* Frees the client once nothing can call back into it. */
static void client_maybe_free(struct client *c)
{
	struct api_server *s = c->server;

	if (c->phase != CLIENT_DEAD || c->handles || c->calls || c->processing)
		return;
	DL_DELETE(s->clients, c);
	s->counters.clients--;
	if (c->payload_owned)
		wipe_free(c->payload, c->header.payload_len);
	wipe_free(c->in, c->in_len);
	wipe_free(c->out, c->out_cap);
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
	turn_forget(c);
	c->job = NULL;
	if (job)
		job->gone(c, job);
	helper_close_all(c);
	uv_close((uv_handle_t *)&c->stream, on_handle_closed);
	uv_close((uv_handle_t *)&c->timer, on_handle_closed);
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
	c->in_pos = c->in_len;
	client_flush(c);
	if (c->phase == CLIENT_DEAD)
		return;
	c->deadline_base = client_now(c);
	c->shutdown.data = c;
	if (uv_shutdown(&c->shutdown, &c->stream, on_shutdown)) {
		client_kill(c);
		return;
	}
	client_read_update(c);
	client_arm(c);
}

static void client_out_of_memory(struct client *c)
{
	log_error("out of memory: closing a client connection");
	client_kill(c);
}

/* Writing ------------------------------------------------------------------- */

size_t client_queued(const struct client *c)
{
	return c->out_len + uv_stream_get_write_queue_size(&c->stream);
}

size_t client_window(const struct client *c)
{
	const struct api_server *s = c->server;

	return s->counters.queued > s->limits.write_queue_total ? WINDOW_LOW : WINDOW;
}

uint8_t *client_reserve(struct client *c, size_t len)
{
	if (c->phase == CLIENT_DEAD)
		return NULL;
	if (c->out_cap - c->out_len < len) {
		size_t cap = c->out_cap ? c->out_cap : OUT_FIRST;
		uint8_t *p;

		while (cap - c->out_len < len)
			cap *= 2;
		p = malloc(cap);
		if (!p) {
			client_out_of_memory(c);
			return NULL;
		}
		if (c->out_len)
			memcpy(p, c->out, c->out_len);
		wipe_free(c->out, c->out_cap);
		c->out = p;
		c->out_cap = cap;
	}
	return c->out + c->out_len;
}

void client_commit(struct client *c, size_t len)
{
	c->out_len += len;
}

bool client_write(struct client *c, const void *data, size_t len)
{
	uint8_t *room = client_reserve(c, len);

	if (!room)
		return false;
	if (len)
		memcpy(room, data, len);
	client_commit(c, len);
	return true;
}

/* Nothing waits for its next words: what it said may have held a token. */
static void client_drop_out(struct client *c)
{
	wipe_free(c->out, c->out_cap);
	c->out = NULL;
	c->out_len = c->out_cap = 0;
}

static void on_written(uv_write_t *req, int status)
{
	struct write_req *w = req->data;
	struct client *c = w->client;

	c->server->counters.queued -= w->len;
	wipe_free(w->data, w->len);
	free(w);
	if (c->phase == CLIENT_DEAD)
		return;
	if (status < 0) {
		c->reset = true;
		client_kill(c);
		return;
	}
	c->write_base = client_now(c);
	c->write_seen = uv_stream_get_write_queue_size(&c->stream);
	if (c->job && c->job->progress)
		c->job->progress(c, c->job);
	client_process(c);
}

/* Gives the kernel what it takes at once; false when nothing is left, or nobody. */
static bool client_try_write(struct client *c)
{
	uv_buf_t buf = uv_buf_init((char *)c->out, (unsigned int)c->out_len);
	int done = uv_try_write(&c->stream, &buf, 1);

	if (done < 0 && done != UV_EAGAIN) {
		c->reset = true;
		client_kill(c);
		return false;
	}
	c->write_base = client_now(c);
	if (done > 0) {
		c->out_len -= (size_t)done;
		memmove(c->out, c->out + done, c->out_len);
	}
	return c->out_len;
}

void client_flush(struct client *c)
{
	struct write_req *w;
	uv_buf_t buf;

	if (!c->out_len || c->phase == CLIENT_DEAD)
		return;
	if (!uv_stream_get_write_queue_size(&c->stream) && !client_try_write(c))
		return;
	w = malloc(sizeof(*w));
	if (!w) {
		client_kill(c);
		return;
	}
	w->req.data = w;
	w->client = c;
	/* It may lie there for long: no longer than it must be. */
	w->data = realloc(c->out, c->out_len);
	if (!w->data)
		w->data = c->out;
	w->len = c->out_len;
	buf = uv_buf_init((char *)w->data, (unsigned int)w->len);
	c->out = NULL;
	c->out_len = c->out_cap = 0;
	if (uv_write(&w->req, &c->stream, &buf, 1, on_written)) {
		wipe_free(w->data, w->len);
		free(w);
		client_kill(c);
		return;
	}
	c->server->counters.queued += w->len;
	c->write_seen = uv_stream_get_write_queue_size(&c->stream);
}

/* Reading ------------------------------------------------------------------- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	(void)suggested;
	*buf = uv_buf_init((char *)c->server->input, sizeof(c->server->input));
}

/* The end of what the client says; false when there is nothing more to do. */
static bool client_ended(struct client *c, bool orderly)
{
	c->reading = false;
	c->eof = true;
	c->reset = !orderly;
	/* An abrupt end stops everything; so does any for a job that takes no input. */
	if (!orderly || (c->job && !c->job->input)) {
		client_kill(c);
		return false;
	}
	if (c->phase == CLIENT_LINGER && !client_queued(c))
		client_kill(c);
	return c->phase < CLIENT_LINGER;
}

/* Keeps what could not be taken in a buffer of the client's own. */
static void client_keep_input(struct client *c)
{
	size_t left = c->in_len - c->in_pos;
	uint8_t *kept = NULL;

	if (left && c->phase < CLIENT_LINGER) {
		kept = malloc(left);
		if (kept)
			memcpy(kept, c->in + c->in_pos, left);
		else
			client_out_of_memory(c);
	}
	c->in = kept;
	c->in_pos = 0;
	c->in_len = kept ? left : 0;
}

/* Puts @n new bytes of the server's buffer behind those that are kept. */
static bool client_keep_more(struct client *c, size_t n)
{
	size_t left = c->in_len - c->in_pos;
	uint8_t *more = malloc(left + n);

	if (!more) {
		client_out_of_memory(c);
		return false;
	}
	memcpy(more, c->in + c->in_pos, left);
	memcpy(more + left, c->server->input, n);
	wipe_free(c->in, c->in_len);
	c->in = more;
	c->in_pos = 0;
	c->in_len = left + n;
	return true;
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;
	struct api_server *s = c->server;

	(void)buf;
	if (n < 0) {
		uv_read_stop(stream);
		if (client_ended(c, n == UV_EOF))
			client_process(c);
		return;
	}
	if (n > 0 && c->phase < CLIENT_LINGER) {
		if (!c->in) {
			c->in = s->input;
			c->in_len = (size_t)n;
		} else if (!client_keep_more(c, (size_t)n)) {
			return;
		}
		client_process(c);
		sodium_memzero(s->input, (size_t)n);
	}
}

static void client_read_update(struct client *c)
{
	/* A little is read even when it must wait: behind it may come the end. */
	bool want = c->phase < CLIENT_DEAD && !c->eof &&
		    (c->phase == CLIENT_LINGER ||
		     (!c->held && !c->yielded && c->in_len - c->in_pos < KEEP_ENOUGH));

	if (want == c->reading || c->phase == CLIENT_DEAD)
		return;
	if (want && uv_read_start(&c->stream, on_alloc, on_read)) {
		client_kill(c);
		return;
	}
	if (!want)
		uv_read_stop(&c->stream);
	c->reading = want;
}

const uint8_t *client_input(struct client *c, size_t *len)
{
	*len = c->in_len - c->in_pos;
	return *len ? c->in + c->in_pos : c->in;
}

void client_take(struct client *c, size_t len)
{
	c->in_pos += len;
}

/* A browser: nothing we could say may become a page's content, so say nothing. */
static bool looks_like_web(uint8_t first)
{
	return (first >= 'A' && first <= 'Z') || (first >= 'a' && first <= 'z') ||
	       first == 0x16 || first == 0x80;	/* TLS, and its oldest hello */
}

static void client_refuse_framing(struct client *c, int err, uint8_t first)
{
	struct api_counters *n = &c->server->counters;

	if (c->phase == CLIENT_HELLO && looks_like_web(first)) {
		n->refused_web++;
		client_kill(c);
		return;
	}
	if (err == -EMSGSIZE)
		n->refused_header++;
	else
		n->refused_garbage++;
	client_reply_internal(c, false, err == -EMSGSIZE ? "the header is too long" :
							   "this is not Microframe");
	client_finish(c);
}

/* The header is complete: checks the payload length and finds the payload, or room for it. */
static bool client_begin_payload(struct client *c)
{
	/* Before the handshake nobody needs more than a version and some flags. */
	uint32_t limit = c->phase == CLIENT_HELLO ? 3 + 1 + 255 : c->server->limits.payload;
	uint32_t len = c->header.payload_len;
	size_t have;

	if (len > limit) {
		c->server->counters.refused_payload++;
		client_reply_input(c, "payload size", "less");
		client_finish(c);
		return false;
	}
	c->payload_have = 0;
	c->in_payload = true;
	c->payload = (uint8_t *)client_input(c, &have);
	c->payload_owned = len > have;
	if (c->payload_owned)
		c->payload = malloc(len);
	if (c->payload_owned && !c->payload) {
		c->in_payload = c->payload_owned = false;
		client_reply_internal(c, false, "out of memory");
		client_finish(c);
		return false;
	}
	return true;
}

static void client_drop_payload(struct client *c)
{
	c->in_payload = false;
	if (c->payload_owned)
		wipe_free(c->payload, c->payload_have);
	c->payload_owned = false;
	c->payload = NULL;
}

/* Reads on; true when a whole frame is there. */
static bool client_next_frame(struct client *c)
{
	const uint8_t *data;
	size_t len, used;
	int got;

	data = client_input(c, &len);
	if (!len && !c->in_payload)
		return false;
	if (!c->in_payload) {
		bool first = client_between_frames(c);

		got = header_parser_feed(&c->parser, data, len, &used, &c->header);
		client_take(c, used);
		if (first && used && c->phase != CLIENT_HELLO)
			c->deadline_base = client_now(c);
		if (got < 0)
			client_refuse_framing(c, got, first ? data[0] : 0);
		if (got <= 0 || !client_begin_payload(c))
			return false;
		data = client_input(c, &len);
	}
	used = c->header.payload_len - c->payload_have;
	used = used < len ? used : len;
	if (used && c->payload_owned)
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

/* True when the client has to take its replies before it may ask for more, or is gone. */
static bool client_is_behind(struct client *c, bool was_held)
{
	struct api_server *s = c->server;
	/* When all together are too far behind, nobody is left more than one buffer of them. */
	bool together = s->counters.queued > s->limits.write_queue_total;
	size_t most = together && s->limits.write_queue > WINDOW_LOW ? WINDOW_LOW :
								       s->limits.write_queue;

	/* What is left after this waits in libuv: the end of that write comes back here. */
	if (client_queued(c) > most)
		client_flush(c);
	if (c->phase >= CLIENT_LINGER)
		return true;
	c->held = client_queued(c) > most;
	if (c->held && !was_held && together)
		s->counters.held_total++;
	else if (c->held && !was_held)
		s->counters.held_queue++;
	return c->held;
}

static void client_new_turn(struct client *c)
{
	if (c->turn == c->server->turn)
		return;
	c->turn = c->server->turn;
	c->work = 0;
	c->moved = 0;
}

/* True when the client had its share of this turn of the loop and must let others have theirs. */
static bool client_had_its_turn(struct client *c)
{
	struct api_server *s = c->server;

	client_new_turn(c);
	if (c->work < s->limits.turn_requests || c->in_pos == c->in_len)
		return false;
	s->counters.yielded_requests++;
	c->yielded = true;
	turn_queue(c);
	return true;
}

bool client_share(struct client *c, size_t bytes)
{
	client_new_turn(c);
	c->moved += bytes;
	if (c->moved < c->server->limits.turn_bytes)
		return true;
	c->server->counters.yielded_bytes++;
	return false;
}

/* Takes requests while there are whole ones and nothing stands in the way. */
static void client_run(struct client *c, bool was_held)
{
	while (c->phase < CLIENT_LINGER && !c->calls) {
		if (c->job) {
			if (!client_feed_job(c))
				break;
			continue;
		}
		if (client_is_behind(c, was_held) || client_had_its_turn(c) || !client_next_frame(c))
			break;
		c->work++;
		c->server->counters.requests++;
		dispatch_request(c);
		client_drop_payload(c);
		c->deadline_base = client_now(c);
	}
}

void client_process(struct client *c)
{
	bool was_held = c->held;

	if (c->processing || c->yielded || c->phase == CLIENT_DEAD)
		return;
	c->processing = true;
	c->held = false;
	client_run(c, was_held);
	client_flush(c);
	if (!c->out_len)
		client_drop_out(c);
	c->processing = false;
	if (c->in == c->server->input) {
		client_keep_input(c);
	} else if (c->in && c->in_pos == c->in_len) {
		wipe_free(c->in, c->in_len);
		c->in = NULL;
		c->in_pos = c->in_len = 0;
	}
	if (c->phase == CLIENT_DEAD) {
		client_maybe_free(c);
		return;
	}
	if (was_held && !c->held)
		c->deadline_base = client_now(c);
	/* A job has nobody left to work for, once it had all that came and it wants. */
	if (c->eof && c->job && (!c->job->input || c->in_len == c->in_pos)) {
		client_kill(c);
		return;
	}
	/* A half-closed client gets the answers to what it asked, then goes. */
	if (c->eof && c->phase < CLIENT_LINGER && !c->job && !c->calls && !c->held && !c->yielded) {
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
	c->deadline_base = client_now(c);
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
	c->deadline_base = client_now(c);
}

void client_kick(struct client *c)
{
	if (c->phase == CLIENT_DEAD)
		return;
	c->kicked = true;
	turn_queue(c);
}

void client_turn(struct client *c)
{
	bool kicked = c->kicked;

	c->kicked = c->yielded = false;
	if (kicked && c->job && c->job->progress)
		c->job->progress(c, c->job);
	client_process(c);
}

struct client *client_new(struct api_server *s, bool local)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->server = s;
	c->serial = ++s->serials;
	c->local = local;
	if (local ? uv_pipe_init(s->loop, &c->pipe, 0) : uv_tcp_init(s->loop, &c->tcp)) {
		free(c);
		return NULL;
	}
	uv_timer_init(s->loop, &c->timer);
	c->stream.data = c;
	c->timer.data = c;
	c->handles = 2;
	header_parser_init(&c->parser);
	c->parser.max = s->limits.header;
	DL_APPEND(s->clients, c);
	s->counters.clients++;
	return c;
}

void client_start(struct client *c)
{
	if (!c->local)
		uv_tcp_nodelay(&c->tcp, 1);
	c->deadline_base = client_now(c);
	c->auth_window = client_now(c);
	client_read_update(c);
	client_arm(c);
}
