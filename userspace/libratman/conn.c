// SPDX-License-Identifier: LGPL-2.1-or-later
#include "libratman/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ratman/ratman.h"

uint64_t conn_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? CONN_FOREVER : clock_ms() + (uint64_t)timeout_ms;
}

static int parse_bind(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	const char *colon = strrchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	char *end;
	long port;

	if (!n || n >= sizeof(host) || colon[1] < '0' || colon[1] > '9')
		return -EINVAL;
	port = strtol(colon + 1, &end, 10);
	if (*end || port < 1 || port > 65535)
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	memcpy(host, text, n);
	host[n] = '\0';
	if (host[0] == '[' && host[n - 1] == ']') {
		host[n - 1] = '\0';
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		*len = sizeof(*in6);
		return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1 ? 0 : -EINVAL;
	}
	in->sin_family = AF_INET;
	in->sin_port = htons((uint16_t)port);
	*len = sizeof(*in);
	return inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1",
			 &in->sin_addr) == 1 ? 0 : -EINVAL;
}

/* 0 when @events came up, else an error. */
static int wait_for(int fd, short events, uint64_t deadline)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = clock_ms();
		uint64_t left = deadline > now ? deadline - now : 0;
		int timeout = deadline == CONN_FOREVER ? -1 : left > 1000000 ? 1000000 : (int)left;
		int n = poll(&p, 1, timeout);

		if (n > 0)
			return 0;
		if (n < 0)
			return -errno;
		if (!left)
			return RATMAN_ETIMEOUT;
	}
}

static int connect_error(int err)
{
	switch (err) {
	case ECONNREFUSED:
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ETIMEDOUT:
		return RATMAN_EUNREACHABLE;
	}
	return -err;
}

int conn_open(const char *bind, uint64_t deadline)
{
	struct sockaddr_storage addr;
	socklen_t addr_len, err_len = sizeof(int);
	int one = 1, err, fd;

	err = parse_bind(bind, &addr, &addr_len);
	if (err)
		return err;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, addr_len)) {
		err = errno == EINPROGRESS ? 0 : connect_error(errno);
		if (!err)
			err = wait_for(fd, POLLOUT, deadline);
		if (!err) {
			int so_error = 0;

			getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &err_len);
			err = so_error ? connect_error(so_error) : 0;
		}
		if (err) {
			close(fd);
			return err;
		}
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int conn_send(int fd, const void *data, size_t len, uint64_t deadline)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		int err;

		if (n > 0) {
			p += n;
			len -= (size_t)n;
			continue;
		}
		if (errno == EPIPE || errno == ECONNRESET)
			return RATMAN_ECLOSED;
		if (errno != EAGAIN)
			return -errno;
		err = wait_for(fd, POLLOUT, deadline);
		if (err)
			return err;
	}
	return 0;
}

ssize_t conn_recv(int fd, void *buf, size_t len, uint64_t deadline)
{
	for (;;) {
		ssize_t n = recv(fd, buf, len, 0);
		int err;

		if (n >= 0)
			return n;
		if (errno == ECONNRESET)
			return RATMAN_ECLOSED;
		if (errno != EAGAIN)
			return -errno;
		err = wait_for(fd, POLLIN, deadline);
		if (err)
			return err;
	}
}

bool conn_is_readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

void conn_reset(int fd)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}
