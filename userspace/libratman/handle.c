// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libratman/handle.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

void reply_free(struct reply *r)
{
	free(r->payload);
	r->payload = NULL;
}

/* Forgets the request being written; it may hold a token. */
static void forget_out(struct ratman *r)
{
	if (r->out)
		explicit_bzero(r->out, r->out_len);
	free(r->out);
	r->out = NULL;
	r->out_len = r->out_pos = 0;
}

void handle_drop(struct ratman *r)
{
	handle_rest(r);
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->link = LINK_DOWN;
	r->ask = ASK_NONE;
	forget_out(r);
	reply_free(&r->frame);
	header_parser_init(&r->parser);
	explicit_bzero(r->in, sizeof(r->in));
	r->in_pos = r->in_len = 0;
}

int handle_fail(struct ratman *r, int err)
{
	handle_drop(r);
	return err;
}

bool handle_may_resume(int err)
{
	return err == RATMAN_EAGAIN || err == RATMAN_ETIMEOUT || err == -EINTR;
}

void handle_rest(struct ratman *r)
{
	if (r->poll_fd >= 0 && r->wait_fd >= 0)
		epoll_ctl(r->poll_fd, EPOLL_CTL_DEL, r->wait_fd, NULL);
	r->wait_fd = -1;
}

static int watch(struct ratman *r)
{
	struct epoll_event ev = { .events = r->wait_events & POLLIN ? EPOLLIN : EPOLLOUT };

	if (r->poll_fd < 0 || r->wait_fd < 0)
		return 0;
	return epoll_ctl(r->poll_fd, EPOLL_CTL_ADD, r->wait_fd, &ev) ? -errno : 0;
}

int handle_wait(struct ratman *r, int fd, short events, uint64_t deadline)
{
	int err = r->nonblocking ? RATMAN_EAGAIN : conn_wait(fd, events, deadline);
	int failed;

	if (!err || (r->wait_fd == fd && r->wait_events == events))
		return err;
	handle_rest(r);
	r->wait_fd = fd;
	r->wait_events = events;
	failed = watch(r);
	return failed ? failed : err;
}

PUBLIC int ratman_fd(struct ratman *r)
{
	int err;

	if (r->poll_fd >= 0)
		return r->poll_fd;
	r->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (r->poll_fd < 0)
		return -errno;
	err = watch(r);
	return err ? err : r->poll_fd;
}

int handle_wait_connected(struct ratman *r, int fd, uint64_t deadline)
{
	int err;

	while ((err = conn_connected(fd)) == RATMAN_EAGAIN) {
		err = handle_wait(r, fd, POLLOUT, deadline);
		if (err)
			return err;
	}
	return err;
}

static int build_request(struct ratman *r, enum op_id op, const struct ratman_id *token,
			 const void *payload, size_t len)
{
	struct frame_header h = { .mode = op_get(op)->mode, .payload_len = (uint32_t)len };
	size_t header_len;

	r->out = malloc(HEADER_WRITE_MAX + len);
	if (!r->out)
		return -ENOMEM;
	if (token) {
		h.has_token = true;
		memcpy(h.token.b, token->b, sizeof(h.token.b));
	}
	header_len = header_write(r->out, &h);
	if (len)
		memcpy(r->out + header_len, payload, len);
	r->out_len = header_len + len;
	r->out_pos = 0;
	explicit_bzero(&h, sizeof(h));
	return 0;
}

int handle_request(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len, uint64_t deadline)
{
	int err = r->out ? 0 : build_request(r, op, token, payload, len);

	while (!err && r->out_pos < r->out_len) {
		ssize_t n = conn_try_send(r->fd, r->out + r->out_pos, r->out_len - r->out_pos);

		if (n > 0)
			r->out_pos += (size_t)n;
		else
			err = n == RATMAN_EAGAIN ? handle_wait(r, r->fd, POLLOUT, deadline) : (int)n;
	}
	if (err != RATMAN_EAGAIN)
		forget_out(r);
	return err;
}

/* recv() with waiting; 0 at the end of file. */
static ssize_t receive(struct ratman *r, void *buf, size_t len, uint64_t deadline)
{
	for (;;) {
		ssize_t n;
		int err;

		if (r->fd < 0)
			return RATMAN_ECLOSED;
		n = conn_try_recv(r->fd, buf, len);
		if (n != RATMAN_EAGAIN)
			return n;
		err = handle_wait(r, r->fd, POLLIN, deadline);
		if (err)
			return err;
	}
}

ssize_t handle_read(struct ratman *r, void *buf, size_t len, uint64_t deadline)
{
	size_t have = r->in_len - r->in_pos;

	if (!len)
		return 0;
	if (have) {
		len = len < have ? len : have;
		memcpy(buf, r->in + r->in_pos, len);
		r->in_pos += len;
		return (ssize_t)len;
	}
	return receive(r, buf, len, deadline);
}

/* Waits until at least one byte is buffered. */
static int fill(struct ratman *r, uint64_t deadline)
{
	ssize_t n;

	if (r->in_pos < r->in_len)
		return 0;
	n = receive(r, r->in, sizeof(r->in), deadline);
	if (n <= 0)
		return n ? (int)n : RATMAN_ECLOSED;
	r->in_pos = 0;
	r->in_len = (size_t)n;
	return 0;
}

static int read_header(struct ratman *r, uint64_t deadline)
{
	int err, got = 0;
	size_t used;

	while (!got) {
		err = fill(r, deadline);
		if (err)
			return err;
		got = header_parser_feed(&r->parser, r->in + r->in_pos, r->in_len - r->in_pos,
					 &used, &r->frame.header);
		r->in_pos += used;
	}
	if (got < 0 || r->frame.header.payload_len > REPLY_MAX)
		return RATMAN_EPROTOCOL;
	r->frame.payload = malloc(r->frame.header.payload_len + 1u);
	r->frame_have = 0;
	return r->frame.payload ? 0 : -ENOMEM;
}

static int read_frame(struct ratman *r, uint64_t deadline)
{
	int err = r->frame.payload ? 0 : read_header(r, deadline);

	while (!err && r->frame_have < r->frame.header.payload_len) {
		ssize_t n = handle_read(r, r->frame.payload + r->frame_have,
					r->frame.header.payload_len - r->frame_have, deadline);

		if (n > 0)
			r->frame_have += (size_t)n;
		else
			err = n ? (int)n : RATMAN_ECLOSED;
	}
	return err;
}

int handle_reply(struct ratman *r, struct reply *out, uint64_t deadline)
{
	int err = read_frame(r, deadline);

	out->payload = NULL;
	if (err)
		return handle_may_resume(err) ? err : handle_fail(r, err);
	*out = r->frame;
	r->frame.payload = NULL;
	explicit_bzero(&r->frame.header, sizeof(r->frame.header));
	return 0;
}

static int error_code(const struct ping_error *e)
{
	switch (e->code) {
	case PING_E_VERSION:
		return RATMAN_EVERSION;
	case PING_E_AUTH:
		return RATMAN_EAUTH;
	case PING_E_CONNECTION_LOST:
		return RATMAN_ECLOSED;
	case PING_E_NOT_SUPPORTED:
		return RATMAN_ENOTSUPPORTED;
	case PING_E_NO_ADDRESS:
		return RATMAN_ENOADDRESS;
	case PING_E_DUPLICATE:
		return RATMAN_EDUPLICATE;
	case PING_E_INTERNAL:
		return RATMAN_EINTERNAL;
	case PING_E_NO_SUBSCRIPTION:
		return RATMAN_ENOSUBSCRIPTION;
	case PING_E_USER:
		return RATMAN_EINPUT;
	}
	return RATMAN_EPROTOCOL;
}

int handle_ping(struct ratman *r, const struct reply *reply, enum ping_kind want,
		struct ping *out)
{
	int err = ping_read(reply->payload, reply->header.payload_len, out);

	if (err)
		return handle_fail(r, RATMAN_EPROTOCOL);
	if (out->kind == want)
		return 0;
	switch (out->kind) {
	case PING_ERROR:
		ping_error_describe(&out->error, r->text, sizeof(r->text));
		/* A Rust daemon hangs up after most of these; do not wait to see whether. */
		if (out->error.code == PING_E_INTERNAL && !r->extended)
			handle_drop(r);
		return error_code(&out->error);
	case PING_SERVICE_ERROR:
		snprintf(r->text, sizeof(r->text), "%s", out->service_error.text);
		return out->service_error.code < SERVICE_E_COUNT ?
		       RATMAN_ENOTAUTHORISED - out->service_error.code : RATMAN_EINTERNAL;
	case PING_TIMEOUT:
		return handle_fail(r, RATMAN_ECLOSED);
	case PING_VERSION:
		snprintf(r->text, sizeof(r->text), "router speaks version %s, we speak %s",
			 out->version.router, PROTOCOL_VERSION_TEXT);
		return handle_fail(r, RATMAN_EVERSION);
	default:
		return handle_fail(r, RATMAN_EPROTOCOL);
	}
}

static int greet(struct ratman *r, uint64_t deadline)
{
	const struct payload_hello hello = {
		.major = PROTOCOL_MAJOR, .minor = PROTOCOL_MINOR,
		.has_capabilities = true, .capabilities = CAPABILITY_ALL,
	};
	struct wire_writer w;
	uint8_t buf[16];

	wire_write_init(&w, buf, sizeof(buf));
	payload_write_hello(&w, &hello);
	return handle_request(r, OP_INTRINSIC_UP, NULL, buf, wire_len(&w), deadline);
}

static int greeted(struct ratman *r, uint64_t deadline)
{
	struct reply reply;
	struct ping ping;
	int err = handle_reply(r, &reply, deadline);

	if (err)
		return err;
	err = handle_ping(r, &reply, PING_OK, &ping);
	r->extended = !err && ping.ok.has_capabilities;
	reply_free(&reply);
	return err;
}

/* One stage further towards LINK_UP. */
static int link_advance(struct ratman *r, uint64_t deadline)
{
	int err = 0;

	switch (r->link) {
	case LINK_DOWN:
		r->fd = conn_start(r->bind, r->nonblocking ? 0 : deadline);
		err = r->fd < 0 ? r->fd : 0;
		break;
	case LINK_CONNECTING:
		err = handle_wait_connected(r, r->fd, deadline);
		break;
	case LINK_GREETING:
		err = greet(r, deadline);
		break;
	case LINK_GREETED:
		err = greeted(r, deadline);
		break;
	case LINK_UP:
		return 0;
	}
	if (!err)
		r->link++;
	return err;
}

int handle_ready(struct ratman *r)
{
	uint64_t deadline = conn_deadline(r->timeout_ms);
	int err = 0;

	r->text[0] = '\0';
	if (r->busy)
		return RATMAN_EBUSY;
	if (r->ask != ASK_NONE)
		return 0;
	/* Bytes nobody asked for are the daemon's Timeout or its farewell. */
	if (r->link == LINK_UP && (r->in_pos < r->in_len || conn_is_readable(r->fd)))
		handle_drop(r);
	while (!err && r->link != LINK_UP)
		err = link_advance(r, deadline);
	if (err == RATMAN_EAGAIN)
		return err;
	handle_rest(r);
	return err ? handle_fail(r, err) : 0;
}

/* The daemon gave up waiting for a request just before this one reached it. */
static bool is_timeout(const struct reply *reply)
{
	return reply->header.payload_len == 1 && reply->payload[0] == PING_TIMEOUT;
}

/* An orderly end or a reset where an answer was due. */
static void explain_rejection(struct ratman *r)
{
	if (!r->extended)
		snprintf(r->text, sizeof(r->text),
			 "the daemon closed the connection instead of answering: it rejects requests that way");
}

static int ask_once(struct ratman *r, enum op_id op, const struct ratman_id *token,
		    const void *payload, size_t len, struct reply *reply, uint64_t deadline)
{
	int err = 0;

	if (r->ask == ASK_NONE) {
		r->ask = ASK_WRITING;
		r->op = op;
	}
	if (r->op != op)
		return RATMAN_EBUSY;
	if (r->ask == ASK_WRITING)
		err = handle_request(r, op, token, payload, len, deadline);
	if (!err) {
		r->ask = ASK_READING;
		err = handle_reply(r, reply, deadline);
	}
	if (err == RATMAN_EAGAIN)
		return err;
	r->ask = ASK_NONE;
	handle_rest(r);
	if (err == RATMAN_ECLOSED)
		explain_rejection(r);
	return err ? handle_fail(r, err) : 0;
}

int handle_ask(struct ratman *r, enum op_id op, const struct ratman_id *token,
	       const void *payload, size_t len, struct reply *reply)
{
	uint64_t deadline = conn_deadline(r->timeout_ms);
	int err;

	reply->payload = NULL;
	for (;;) {
		err = handle_ready(r);
		if (!err)
			err = ask_once(r, op, token, payload, len, reply, deadline);
		if (err == RATMAN_EAGAIN || err == RATMAN_EBUSY)
			return err;
		if (err || r->asked_again || !is_timeout(reply))
			break;
		reply_free(reply);
		handle_drop(r);
		r->asked_again = true;
	}
	r->asked_again = false;
	return err;
}

int handle_exchange(struct ratman *r, enum op_id op, const struct ratman_id *token,
		    const void *payload, size_t len, enum ping_kind want, struct reply *reply,
		    struct ping *out)
{
	int err = 0;

	reply->payload = NULL;
	/* A daemon without the Service API is not told a password, nor asked in vain. */
	if (mode_is_service(op_get(op)->mode))
		err = handle_need_extended(r);
	if (!err)
		err = handle_ask(r, op, token, payload, len, reply);
	return err ? err : handle_ping(r, reply, want, out);
}

int handle_command(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len)
{
	struct reply reply;
	struct ping ping;
	int err = handle_exchange(r, op, token, payload, len, PING_OK, &reply, &ping);

	reply_free(&reply);
	return err;
}

int handle_need_extended(struct ratman *r)
{
	int err = r->extended ? 0 : handle_ready(r);

	if (err)
		return err;
	return r->extended ? 0 : RATMAN_ENOTSUPPORTED;
}
