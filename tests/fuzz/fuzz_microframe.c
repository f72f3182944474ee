// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Microframe from both ends: the payload codecs as a client meets replies, and
 * the server's connection state machine fed with the same bytes over a
 * socketpair, with the backend in memory behind it.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/api_fake.h"
#include "base/log.h"
#include "proto/header.h"
#include "proto/payload.h"
#include "proto/ping.h"
#include "ratmand/api/client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int each(void *ctx, const struct letterhead *head)
{
	uint8_t buf[LETTERHEAD_AUX_MAX + 128];
	struct wire_writer w;

	(void)ctx;
	wire_write_init(&w, buf, sizeof(buf));
	letterhead_write(&w, head, false);
	if (w.failed)
		abort();
	return 0;
}

/* What a reader took, written again, is what it read: these have one form only. */
static void same(const struct wire_writer *w, const uint8_t *data, size_t size)
{
	if (w->failed || wire_len(w) != size || memcmp(w->start, data, size))
		abort();
}

static void contact_codecs(const uint8_t *data, size_t size)
{
	static uint8_t buf[1 << 18];
	struct contact_change change;
	struct contact_filter filter;
	struct contact contact;
	struct link_line line;
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	if (!contact_read(data, size, &contact)) {
		contact_write(&w, &contact);
		same(&w, data, size);
	}
	wire_write_init(&w, buf, sizeof(buf));
	if (!contact_change_read(data, size, &change)) {
		contact_change_write(&w, &change);
		same(&w, data, size);
		contact = (struct contact){ .trust = CONTACT_TRUST_MIN };
		contact_change_apply(&change, &contact);
	}
	wire_write_init(&w, buf, sizeof(buf));
	if (!contact_filter_read(data, size, &filter)) {
		contact_filter_write(&w, &filter);
		/* The value behind no test may be missing. */
		if (wire_len(&w) == size)
			same(&w, data, size);
		contact = (struct contact){ .trust = CONTACT_TRUST_MAX };
		contact_matches(&contact, &filter);
	}
	contact_peer_filter_read(data, size, &filter);
	if (!link_line_read(data, size, &line)) {
		wire_write_init(&w, buf, LINK_LINE_MAX);
		link_line_write(&w, &line);
		if (w.failed)
			abort();
	}
}

static void read_contacts(struct ping *ping)
{
	uint8_t buf[CONTACT_RECORD_MAX];
	struct contact contact, again;
	struct wire_writer w;
	struct wire_reader r;

	while (ping->contacts.n-- && !ping_next_contact(ping, &contact)) {
		wire_write_init(&w, buf, sizeof(buf));
		contact_record_write(&w, &contact);
		wire_read_init(&r, buf, wire_len(&w));
		if (w.failed || contact_record_read(&r, &again) || again.tags.n != contact.tags.n)
			abort();
	}
}

static void codecs(const uint8_t *data, size_t size)
{
	struct payload_create create;
	struct payload_hello hello;
	struct header_parser parser;
	struct payload_event event;
	struct payload_recv recv;
	struct frame_header h;
	struct address a;
	struct ping ping;
	struct ping_limit limit;
	struct ping_peer peer;
	struct link_entry link;
	size_t used;
	uint64_t ms;
	uint16_t n;
	bool force;

	header_parser_init(&parser);
	if (header_parser_feed(&parser, data, size, &used, &h) == 1) {
		uint8_t again[HEADER_WRITE_MAX];
		struct frame_header back;
		size_t len = header_write(again, &h);

		if (h.has_token && !h.token.b[0])
			len = 0;	/* read here, but we never write such a token */
		if (len && (header_parser_feed(&parser, again, len, &used, &back) != 1 ||
			    back.mode != h.mode || back.payload_len != h.payload_len))
			abort();
	}
	if (!ping_read(data, size, &ping)) {
		if (ping.kind == PING_PEER_LIST)
			while (ping.peers.n-- && !ping_next_peer(&ping, &peer))
				;
		else if (ping.kind == PING_ANYCAST)
			while (ping.anycast.n-- && !ping_next_anycast(&ping, &a, &ms))
				;
		else if (ping.kind == PING_CONTACTS)
			read_contacts(&ping);
		else if (ping.kind == PING_LINKS)
			while (ping.links.n-- && !ping_next_link(&ping, &link))
				;
		else if (ping.kind == PING_LIMITS)
			while (ping.limits.n-- && !ping_next_limit(&ping, &limit))
				;
	}
	contact_codecs(data, size);
	payload_read_create(data, size, &create);
	payload_read_hello(data, size, &hello);
	payload_read_destroy(data, size, &a, &force);
	payload_read_recv(data, size, true, &recv);
	payload_read_event(data, size, &event);
	payload_read_heads(data, size, &n, each, NULL);
}

static uv_loop_t loop;
static struct api_server *server;
static struct fake *fake;

/* The address <A> is up and its token is <T>, as in the golden frames. */
static void put_owner(void)
{
	struct address a;
	struct ident t;

	for (uint8_t i = 0; i < 32; i++) {
		a.b[i] = (uint8_t)(0x01 + i);
		t.b[i] = (uint8_t)(0xa1 + i);
	}
	fake_put_address(fake, &a, &t);
	if (api_token_restore(server, &a, &t))
		abort();
}

static void start(void)
{
	struct api_config cfg;
	char why[128];

	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_ERROR);
	api_config_defaults(&cfg);
	cfg.bind = "127.0.0.1:0";
	cfg.limits.send_empty_ms = 0;
	cfg.limits.send_grace_ms = 0;
	cfg.limits.linger_ms = 0;
	uv_loop_init(&loop);
	fake = fake_new();
	if (api_server_new(&server, &loop, &cfg, &fake_ops, fake, why, sizeof(why)))
		abort();
}

static void talk(const uint8_t *data, size_t size)
{
	uint8_t sink[4096];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	put_owner();
	if (api_server_adopt(server, pair[0]))
		abort();
	server->clients->admin = true;
	while (size) {
		ssize_t n = write(pair[1], data, size);

		if (n < 0)
			break;	/* full or closed: both fine */
		data += n;
		size -= (size_t)n;
		uv_run(&loop, UV_RUN_NOWAIT);
		fake_turn(fake);
	}
	for (int i = 0; i < 4; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		while (read(pair[1], sink, sizeof(sink)) > 0)
			;
	}
	close(pair[1]);
	for (int i = 0; i < 64 && api_server_counters(server)->clients; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
	if (api_server_counters(server)->clients)
		abort();	/* a connection that nobody holds any more stays */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t hello[] = { 0, 0, 0, 7, 0, 0x10, 0, 0, 0, 0, 3, 1, 0, 1 };
	uint8_t *all;

	if (!server)
		start();
	codecs(data, size);
	talk(data, size);
	/* Once more behind a good handshake. */
	all = malloc(sizeof(hello) + size);
	memcpy(all, hello, sizeof(hello));
	memcpy(all + sizeof(hello), data, size);
	talk(all, sizeof(hello) + size);
	free(all);
	return 0;
}
