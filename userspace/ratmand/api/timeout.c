// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every deadline of a connection, on one timer, and noticing who left.
 */
#include <poll.h>

#include "ratmand/api/client.h"

#define HANGUP_POLL_MS 5000	/* how often a client is looked at that we do not read from */

/* A protocol timeout runs only while we wait for the client, not the other way round. */
static bool waits_for_client(const struct client *c)
{
	return c->phase < CLIENT_LINGER && !c->job && !c->calls && !c->held && !c->yielded;
}

bool client_between_frames(const struct client *c)
{
	return header_parser_empty(&c->parser) && !c->in_payload;
}

static uint64_t protocol_timeout(const struct client *c)
{
	const struct api_limits *l = &c->server->limits;

	if (c->phase == CLIENT_HELLO)
		return l->first_frame_ms;
	return client_between_frames(c) ? l->idle_ms : l->frame_ms;
}

static void on_timer(uv_timer_t *timer);

void client_arm(struct client *c)
{
	const struct api_limits *l = &c->server->limits;
	uint64_t due = UINT64_MAX;

	if (c->phase == CLIENT_DEAD)
		return;
	if (c->phase == CLIENT_LINGER)
		due = c->deadline_base + l->linger_ms;
	else if (waits_for_client(c))
		due = c->deadline_base + protocol_timeout(c);
	if (uv_stream_get_write_queue_size(&c->stream)) {
		uint64_t stall = c->write_base + l->write_stall_ms;

		/* The last words may take as long as any other. */
		due = c->phase == CLIENT_LINGER || stall < due ? stall : due;
	}
	if (!c->reading && !c->eof && c->phase < CLIENT_LINGER && client_now(c) + HANGUP_POLL_MS < due)
		due = client_now(c) + HANGUP_POLL_MS;
	/* A timer that comes too early finds that out: cheaper than to move it with every request. */
	if (uv_is_active((uv_handle_t *)&c->timer) &&
	    client_now(c) + uv_timer_get_due_in(&c->timer) <= due)
		return;
	if (due != UINT64_MAX)
		uv_timer_start(&c->timer, on_timer, due > client_now(c) ? due - client_now(c) : 0, 0);
}

static void client_timed_out(struct client *c)
{
	struct api_counters *n = &c->server->counters;
	static const uint8_t timeout = PING_TIMEOUT;

	if (c->phase == CLIENT_HELLO)
		n->timeout_first++;
	else if (client_between_frames(c))
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
	size_t queue = uv_stream_get_write_queue_size(&c->stream);

	if (queue && queue != c->write_seen) {
		c->write_seen = queue;
		c->write_base = client_now(c);
	} else if (queue && client_now(c) - c->write_base >= l->write_stall_ms) {
		c->server->counters.timeout_write++;
		client_kill(c);
		return;
	}
	if (c->phase == CLIENT_LINGER && !queue && client_now(c) - c->deadline_base >= l->linger_ms) {
		client_kill(c);
		return;
	}
	if (!c->reading && !c->eof && c->phase < CLIENT_LINGER && client_hung_up(c)) {
		client_kill(c);
		return;
	}
	if (waits_for_client(c) && client_now(c) - c->deadline_base >= protocol_timeout(c)) {
		client_timed_out(c);
		return;
	}
	client_arm(c);
}

static short client_poll(struct client *c)
{
	struct pollfd p = { .events = POLLRDHUP };
	uv_os_fd_t fd;

	if (uv_fileno((uv_handle_t *)&c->stream, &fd))
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

