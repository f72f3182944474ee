// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 0, Intrinsic: handshake, goodbye, status (microframe.md section 3.1, 3.3).
 */
#include <stdio.h>

#include "ratmand/api/client.h"

static void refuse_version(struct client *c, const char *client_version)
{
	uint8_t buf[32];
	struct wire_writer w;

	c->server->counters.refused_version++;
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_version(&w, PROTOCOL_VERSION_TEXT, client_version);
	client_frame(c, MODE_REPLY, false, buf, wire_len(&w));
	client_finish(c);
}

void intrinsic_up(struct client *c)
{
	struct payload_hello hello;
	char version[16];
	uint8_t buf[8];
	struct wire_writer w;

	if (payload_read_hello(c->payload, c->header.payload_len, &hello)) {
		refuse_version(c, "?");
		return;
	}
	if (!payload_version_fits(&hello)) {
		snprintf(version, sizeof(version), "%u.%u", hello.major, hello.minor);
		refuse_version(c, version);
		return;
	}
	c->phase = CLIENT_READY;
	c->capabilities = hello.has_capabilities ? hello.capabilities : 0;
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_ok(&w);
	if (hello.has_capabilities)
		payload_write_capabilities(&w, CAPABILITY_ALL);
	client_frame(c, MODE_REPLY, false, buf, wire_len(&w));
}

void intrinsic_down(struct client *c)
{
	/* Whoever asks for a subscription and leaves may have told another where to connect. */
	helper_detach_all(c);
	client_finish(c);
}

void intrinsic_status(struct client *c)
{
	intrinsic_reply_status(c, false);
}

void intrinsic_reply_status(struct client *c, bool echo)
{
	struct api_server *s = c->server;
	struct backend_status b = { 0 };
	struct ping_status status;
	uint8_t buf[64];
	struct wire_writer w;

	s->ops->status(s->be, &b);
	status = (struct ping_status){
		.peers = b.peers,
		.locals = b.locals,
		.tokens = token_table_count(s->tokens),
		.workers = b.workers,
	};
	wire_write_init(&w, buf, sizeof(buf));
	ping_write_status(&w, &status);
	client_frame(c, MODE_REPLY, echo, buf, wire_len(&w));
}
