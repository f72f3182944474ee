// SPDX-License-Identifier: GPL-2.0-or-later
#include "mini_daemon.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/header.h"
#include "proto/letterhead.h"
#include "proto/payload.h"
#include "proto/ping.h"

static int listen_on(const char *path, char *bind_text, size_t size)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct sockaddr_in in = { .sin_family = AF_INET };
	socklen_t len = sizeof(in);
	int fd = socket(path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (path) {
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
		snprintf(bind_text, size, "%s", path);
	}
	if (fd < 0 || bind(fd, path ? (struct sockaddr *)&un : (struct sockaddr *)&in,
			   path ? sizeof(un) : sizeof(in)) || listen(fd, 64))
		abort();
	if (!path) {
		getsockname(fd, (struct sockaddr *)&in, &len);
		snprintf(bind_text, size, "127.0.0.1:%u", ntohs(in.sin_port));
	}
	return fd;
}

struct mini *mini_new(const char *path)
{
	struct mini *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->extended = true;
	m->cut = UINT64_MAX;
	m->streams = 1;
	m->stream_size = 5;
	m->listener = listen_on(path, m->bind, sizeof(m->bind));
	for (size_t i = 0; i < MINI_CONNS; i++)
		m->conns[i].fd = -1;
	return m;
}

static void conn_close(struct mini *m, struct mini_conn *c)
{
	close(c->fd);
	free(c->rx);
	free(c->tx);
	for (size_t i = 0; i < MINI_CONNS; i++) {
		if (m->conns[i].owner == c)
			m->conns[i].owner = NULL;
	}
	memset(c, 0, sizeof(*c));
	c->fd = -1;
}

void mini_free(struct mini *m)
{
	for (size_t i = 0; i < MINI_CONNS; i++) {
		if (m->conns[i].fd >= 0)
			conn_close(m, &m->conns[i]);
	}
	close(m->listener);
	if (m->bind[0] == '/')
		unlink(m->bind);
	free(m);
}

int mini_setup(void **state)
{
	*state = mini_new(NULL);
	alarm(120);
	return 0;
}

int mini_teardown(void **state)
{
	mini_free(*state);
	alarm(0);
	return 0;
}

static struct mini_conn *conn_new(struct mini *m, int fd)
{
	for (size_t i = 0; i < MINI_CONNS; i++) {
		if (m->conns[i].fd < 0) {
			m->conns[i].fd = fd;
			return &m->conns[i];
		}
	}
	abort();
}

static void conn_put(struct mini_conn *c, const void *data, size_t len)
{
	if (!len)
		return;
	c->tx = realloc(c->tx, c->tx_len + len);
	if (!c->tx)
		abort();
	memcpy(c->tx + c->tx_len, data, len);
	c->tx_len += len;
}

static void put_frame(struct mini_conn *c, uint16_t mode, const uint8_t *token,
		      const uint8_t *payload, size_t len)
{
	struct frame_header h = { .mode = mode, .has_token = token, .payload_len = (uint32_t)len };
	uint8_t head[HEADER_WRITE_MAX];

	if (token)
		memcpy(h.token.b, token, 32);
	conn_put(c, head, header_write(head, &h));
	conn_put(c, payload, len);
}

/* Streams after each other would need a queue of fills: those with data are one. */
static void put_streams(struct mini *m, struct mini_conn *c, const uint8_t *token,
			const struct payload_recv *recv)
{
	struct letterhead head = { .stream_size = m->stream_size };
	static const uint8_t zero[4096];
	uint8_t buf[128];
	struct wire_writer w;

	memset(head.from.b, 0x41, sizeof(head.from.b));
	head.to = recv->to;
	for (uint32_t i = 0; i < m->streams; i++) {
		wire_write_init(&w, buf, sizeof(buf));
		letterhead_write(&w, &head, true);
		put_frame(c, 0x0533, token, buf, wire_len(&w));
		if (m->stream_size > sizeof(zero))
			c->fill = m->stream_size;
		else
			conn_put(c, zero, (size_t)m->stream_size);
	}
}

static void answer_send(struct mini *m, struct mini_conn *c, const uint8_t *token,
			struct wire_writer *w)
{
	struct mini_conn *listener;
	char bind_text[64];

	if (token)
		memcpy(c->token, token, 32);
	listener = conn_new(m, listen_on(NULL, bind_text, sizeof(bind_text)));
	listener->is_listener = true;
	listener->owner = c;
	ping_write_send_socket(w, bind_text);
}

static void answer_peers(struct wire_writer *w)
{
	struct ping_peer peer = { .first_seen_ns = 1000000000, .last_seen_ns = 2000000001,
				  .active = true };

	memset(peer.address.b, 0x42, sizeof(peer.address.b));
	ping_write_peers(w, 2);
	ping_write_peer(w, &peer);
	ping_write_peer(w, &peer);
}

/* One request; false when the connection is to be dropped. */
static bool answer(struct mini *m, struct mini_conn *c, const struct frame_header *h,
		   const uint8_t *payload)
{
	const struct ping_status status = { 2, 3, 1, 0 };
	const uint8_t *token = h->has_token ? h->token.b : NULL;
	const uint8_t *made = (const uint8_t *)"a token of thirty-two good bytes";
	struct payload_recv recv;
	uint8_t buf[1024];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	if (h->mode != 0x0010)
		m->requests++;
	if (h->mode == m->mute)
		return true;
	if (m->evil && (h->mode != 0x0010 || m->evil_hello)) {
		conn_put(c, m->evil, m->evil_len);
		return true;
	}
	if (m->timeouts && h->mode != 0x0010) {
		m->timeouts--;
		c->closing = true;
		ping_write_timeout(&w);
		put_frame(c, 0, NULL, buf, wire_len(&w));
		return true;
	}
	switch (h->mode) {
	case 0x0010:
		ping_write_ok(&w);
		if (m->extended)
			payload_write_capabilities(&w, CAPABILITY_ALL);
		break;
	case 0x0011:
		return false;
	case 0x0034:
		ping_write_status(&w, &status);
		break;
	case 0x0101:
		if (m->old_create && payload[h->payload_len - 1])
			return false;
		put_frame(c, 0, made, made, 32);
		return true;
	case 0x0130:
		wire_put_be16(&w, 2);
		wire_put(&w, made, 32);
		wire_put(&w, made, 32);
		break;
	case 0x0430:
		answer_peers(&w);
		break;
	case 0x0533:
		if (payload_read_recv(payload, h->payload_len, true, &recv))
			return false;
		m->recv_limit = recv.has_limit ? recv.limit : UINT32_MAX;
		ping_write_ok(&w);
		put_frame(c, 0, token, buf, wire_len(&w));
		put_streams(m, c, token, &recv);
		return true;
	case 0x0633:
		answer_send(m, c, token, &w);
		break;
	default:
		ping_write_ok(&w);
	}
	put_frame(c, 0, token, buf, wire_len(&w));
	return true;
}

/* Answers whole requests; false when the connection is to be dropped. */
static bool take_requests(struct mini *m, struct mini_conn *c)
{
	struct header_parser parser;
	struct frame_header h;
	size_t at = 0, used;
	bool keep = true;

	while (keep) {
		header_parser_init(&parser);
		if (header_parser_feed(&parser, c->rx + at, c->rx_len - at, &used, &h) != 1 ||
		    c->rx_len - at - used < h.payload_len)
			break;
		keep = answer(m, c, &h, c->rx + at + used);
		at += used + h.payload_len;
	}
	memmove(c->rx, c->rx + at, c->rx_len - at);
	c->rx_len -= at;
	return keep;
}

/* What came of a stream; its end is answered on the main connection. */
static bool take_data(struct mini *m, struct mini_conn *c)
{
	static const uint8_t ok = PING_OK;
	uint8_t buf[65536];
	ssize_t n = 0;

	while (!m->stall && (n = recv(c->fd, buf, sizeof(buf), 0)) > 0)
		m->received += (uint64_t)n;
	if (m->stall || (n < 0 && errno == EAGAIN))
		return true;
	if (!n && c->owner)
		put_frame(c->owner, 0, c->owner->token, &ok, 1);
	return false;
}

static bool take(struct mini *m, struct mini_conn *c)
{
	ssize_t n;

	if (c->is_data)
		return take_data(m, c);
	c->rx = realloc(c->rx, c->rx_len + 65536);
	if (!c->rx)
		abort();
	n = recv(c->fd, c->rx + c->rx_len, 65536, 0);
	if (n <= 0)
		return n < 0 && errno == EAGAIN;
	c->rx_len += (size_t)n;
	return take_requests(m, c);
}

/* Sends at most @len bytes; those it sent, or 0. */
static size_t push(struct mini_conn *c, const void *data, uint64_t len)
{
	ssize_t n = len ? send(c->fd, data, (size_t)len, MSG_NOSIGNAL) : 0;

	n = n > 0 ? n : 0;
	c->sent += (uint64_t)n;
	return (size_t)n;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* False when the connection is to be closed. */
static bool give(struct mini *m, struct mini_conn *c)
{
	static const uint8_t zero[65536];
	uint64_t room = least(m->dribble ? m->dribble : UINT64_MAX,
			      m->cut > c->sent ? m->cut - c->sent : 0);
	size_t n;

	n = push(c, c->tx + c->tx_pos, least(room, c->tx_len - c->tx_pos));
	c->tx_pos += n;
	room -= n;
	if (c->tx_pos == c->tx_len) {
		c->tx_pos = c->tx_len = 0;
		c->fill -= push(c, zero, least(room, least(c->fill, sizeof(zero))));
	}
	if (m->cut <= c->sent)
		return false;
	return !c->closing || c->tx_len;
}

static void welcome(struct mini *m)
{
	int one = 1, fd = accept4(m->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	/* Each byte we give arrives by itself; a Unix socket knows no other way. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	conn_new(m, fd);
	m->accepted++;
}

/* The listener becomes the data socket: one client is all it is for. */
static void welcome_data(struct mini_conn *c)
{
	int fd = accept4(c->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return;
	close(c->fd);
	c->fd = fd;
	c->is_listener = false;
	c->is_data = true;
}

void mini_turn(struct mini *m, int timeout_ms)
{
	struct pollfd p[MINI_CONNS + 1] = { { .fd = m->listener, .events = POLLIN } };

	for (size_t i = 0; i < MINI_CONNS; i++) {
		struct mini_conn *c = &m->conns[i];

		p[i + 1].fd = c->fd;
		p[i + 1].events = c->is_data && m->stall ? 0 : POLLIN;
		if (c->tx_len || c->fill)
			p[i + 1].events |= POLLOUT;
	}
	if (poll(p, MINI_CONNS + 1, timeout_ms) <= 0)
		return;
	for (size_t i = 0; i < MINI_CONNS; i++) {
		struct mini_conn *c = &m->conns[i];

		if (!p[i + 1].revents || c->fd != p[i + 1].fd)
			continue;
		if (c->is_listener)
			welcome_data(c);
		else if ((p[i + 1].revents & (POLLIN | POLLHUP | POLLERR) && !take(m, c)) || !give(m, c))
			conn_close(m, c);
	}
	if (p[0].revents)
		welcome(m);
}

void mini_idle(struct mini *m)
{
	static const uint8_t timeout = PING_TIMEOUT;

	for (size_t i = 0; i < MINI_CONNS; i++) {
		struct mini_conn *c = &m->conns[i];

		if (c->fd < 0 || c->is_data || c->is_listener)
			continue;
		put_frame(c, 0, NULL, &timeout, 1);
		push(c, c->tx, c->tx_len);
		conn_close(m, c);
	}
}
