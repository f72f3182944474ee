// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reply frames, and the texts of errors.
 */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "ratmand/api/client.h"

#define OUT_FLUSH 65536		/* bytes of replies gathered before the kernel gets them */

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

void client_reply(struct client *c, bool echo, const void *ping, size_t len)
{
	bool service = mode_is_service(c->header.mode);

	client_frame(c, service ? c->header.mode : MODE_REPLY, echo || service, ping, len);
}

void client_reply_ok(struct client *c)
{
	static const uint8_t ok = PING_OK;

	client_reply(c, true, &ok, 1);
}

void client_reply_service(struct client *c, enum service_error_code code, const char *text)
{
	uint8_t buf[2 + PING_TEXT_MAX];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	ping_write_service_error(&w, code, text);
	client_reply(c, true, buf, wire_len(&w));
}

void client_reply_error(struct client *c, bool echo, const struct ping_error *e)
{
	uint8_t buf[PING_ERROR_MAX];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	ping_write_error(&w, e);
	client_reply(c, echo, buf, wire_len(&w));
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
	client_reply_code(c, PING_E_AUTH);
	client_auth_failed(c);
}

void client_auth_failed(struct client *c)
{
	struct api_server *s = c->server;

	s->counters.auth_failures++;
	if (client_now(c) - c->auth_window >= 60000) {
		c->auth_window = client_now(c);
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
	case -EPERM:
		client_reply_input(c, "namespace", "one of your own, not the commons of all users");
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

void client_reply_service_errno(struct client *c, int err)
{
	switch (err) {
	case -EACCES:
		client_reply_denied(c);
		break;
	case -ENOMEM:
		client_reply_internal(c, true, "out of memory");
		break;
	case -ENOSPC:
	case -EDQUOT:
		client_reply_service(c, SERVICE_E_IO_FAULT, "the router's storage is full");
		break;
	case -EROFS:
		client_reply_service(c, SERVICE_E_IO_FAULT, "the router's storage takes no writes");
		break;
	case -EBADMSG:
		client_reply_service(c, SERVICE_E_IO_FAULT, "what is stored is damaged");
		break;
	default:
		client_reply_service(c, SERVICE_E_IO_FAULT, strerror(-err));
	}
}

void client_done(struct client *c, int err, void (*refuse)(struct client *c, int err))
{
	if (!client_answered(c))
		return;
	if (err)
		refuse(c, err);
	else
		client_reply_ok(c);
	client_process(c);
}
