// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libratman/handle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void reply_free(struct reply *r)
{
	free(r->payload);
	r->payload = NULL;
}

void handle_drop(struct ratman *r)
{
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	r->in_pos = r->in_len = 0;
}

int handle_fail(struct ratman *r, int err)
{
	handle_drop(r);
	return err;
}

int handle_request(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len, uint64_t deadline)
{
	struct frame_header h = { .mode = op_get(op)->mode, .payload_len = (uint32_t)len };
	uint8_t *frame = malloc(HEADER_WRITE_MAX + len);
	size_t header_len;
	int err;

	if (!frame)
		return -ENOMEM;
	if (token) {
		h.has_token = true;
		memcpy(h.token.b, token->b, sizeof(h.token.b));
	}
	header_len = header_write(frame, &h);
	if (len)
		memcpy(frame + header_len, payload, len);
	err = conn_send(r->fd, frame, header_len + len, deadline);
	explicit_bzero(frame, HEADER_WRITE_MAX + len);
	explicit_bzero(&h, sizeof(h));
	free(frame);
	return err;
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
	if (r->fd < 0)
		return RATMAN_ECLOSED;
	return conn_recv(r->fd, buf, len, deadline);
}

/* Waits until at least one byte is buffered. */
static int fill(struct ratman *r, uint64_t deadline)
{
	ssize_t n;

	if (r->in_pos < r->in_len)
		return 0;
	if (r->fd < 0)
		return RATMAN_ECLOSED;
	n = conn_recv(r->fd, r->in, sizeof(r->in), deadline);
	if (n <= 0)
		return n ? (int)n : RATMAN_ECLOSED;
	r->in_pos = 0;
	r->in_len = (size_t)n;
	return 0;
}

int handle_reply(struct ratman *r, struct reply *out, uint64_t deadline)
{
	struct header_parser parser;
	size_t used, have = 0;
	int err, got = 0;

	out->payload = NULL;
	header_parser_init(&parser);
	while (!got) {
		err = fill(r, deadline);
		if (err) {
			/* Nothing of the frame read yet: the caller may wait again. */
			bool whole = header_parser_empty(&parser) && err == RATMAN_ETIMEOUT;

			return whole ? err : handle_fail(r, err);
		}
		got = header_parser_feed(&parser, r->in + r->in_pos, r->in_len - r->in_pos, &used,
					 &out->header);
		r->in_pos += used;
	}
	if (got < 0 || out->header.payload_len > REPLY_MAX)
		return handle_fail(r, RATMAN_EPROTOCOL);
	out->payload = malloc(out->header.payload_len + 1u);
	if (!out->payload)
		return handle_fail(r, -ENOMEM);
	while (have < out->header.payload_len) {
		ssize_t n = handle_read(r, out->payload + have, out->header.payload_len - have,
					deadline);

		if (n <= 0) {
			reply_free(out);
			return handle_fail(r, n ? (int)n : RATMAN_ECLOSED);
		}
		have += (size_t)n;
	}
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
		return error_code(&out->error);
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

static int handshake(struct ratman *r, uint64_t deadline)
{
	const struct payload_hello hello = {
		.major = PROTOCOL_MAJOR, .minor = PROTOCOL_MINOR,
		.has_capabilities = true, .capabilities = CAPABILITY_ALL,
	};
	struct wire_writer w;
	struct reply reply;
	struct ping ping;
	uint8_t buf[16];
	int err;

	wire_write_init(&w, buf, sizeof(buf));
	payload_write_hello(&w, &hello);
	err = handle_request(r, OP_INTRINSIC_UP, NULL, buf, wire_len(&w), deadline);
	if (!err)
		err = handle_reply(r, &reply, deadline);
	if (err)
		return handle_fail(r, err);
	err = handle_ping(r, &reply, PING_OK, &ping);
	r->extended = !err && ping.ok.has_capabilities;
	reply_free(&reply);
	return err ? handle_fail(r, err) : 0;
}

int handle_ready(struct ratman *r)
{
	uint64_t deadline = conn_deadline(r->timeout_ms);
	int fd;

	r->text[0] = '\0';
	if (r->busy)
		return RATMAN_EBUSY;
	/* Bytes nobody asked for are the daemon's Timeout or its farewell. */
	if (r->fd >= 0 && (r->in_pos < r->in_len || conn_is_readable(r->fd)))
		handle_drop(r);
	if (r->fd >= 0)
		return 0;
	fd = conn_open(r->bind, deadline);
	if (fd < 0)
		return fd;
	r->fd = fd;
	return handshake(r, deadline);
}

int handle_exchange(struct ratman *r, enum op_id op, const struct ratman_id *token,
		    const void *payload, size_t len, enum ping_kind want, struct reply *reply,
		    struct ping *out)
{
	uint64_t deadline = conn_deadline(r->timeout_ms);
	int err;

	reply->payload = NULL;
	err = handle_ready(r);
	if (err)
		return err;
	err = handle_request(r, op, token, payload, len, deadline);
	if (!err)
		err = handle_reply(r, reply, deadline);
	if (err)
		return handle_fail(r, err);
	return handle_ping(r, reply, want, out);
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
