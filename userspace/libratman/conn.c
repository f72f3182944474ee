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
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "ratman/ratman.h"

uint64_t conn_deadline(int timeout_ms)
{
	return timeout_ms < 0 ? CONN_FOREVER : clock_ms() + (uint64_t)timeout_ms;
}

/* The path in "/path" or "unix:/path", or NULL. */
static const char *unix_path(const char *bind)
{
	if (!strncmp(bind, "unix:", 5))
		bind += 5;
	return bind[0] == '/' ? bind : NULL;
}

bool conn_is_unix(const char *bind)
{
	return unix_path(bind) != NULL;
}

static int parse_path(const char *path, struct sockaddr_storage *out, socklen_t *len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)out;
	size_t n = strlen(path);

	if (n >= sizeof(un->sun_path))
		return -EINVAL;
	memset(out, 0, sizeof(*out));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, path, n + 1);
	*len = sizeof(*un);
	return 0;
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

	if (conn_is_unix(text))
		return parse_path(unix_path(text), out, len);
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

int conn_wait(int fd, short events, uint64_t deadline)
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
	case ENOENT:	/* a Unix socket that is not there */
		return RATMAN_EUNREACHABLE;
	}
	return -err;
}

/* A Unix socket does not connect later: its queue is full now, so we ask now and then. */
static int connect_patiently(int fd, const struct sockaddr *addr, socklen_t len,
			     uint64_t deadline)
{
	const int pause_ms = 5;

	while (connect(fd, addr, len)) {
		if (errno == EINPROGRESS)
			return 0;
		if (errno != EAGAIN)
			return connect_error(errno);
		if (clock_ms() >= deadline)
			return RATMAN_ETIMEOUT;
		if (poll(NULL, 0, pause_ms) < 0)
			return -errno;
	}
	return 0;
}

int conn_start(const char *bind, uint64_t deadline)
{
	struct sockaddr_storage addr;
	socklen_t addr_len;
	int one = 1, err, fd;

	err = parse_bind(bind, &addr, &addr_len);
	if (err)
		return err;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = connect_patiently(fd, (struct sockaddr *)&addr, addr_len, deadline);
	if (err) {
		close(fd);
		return err;
	}
	if (addr.ss_family != AF_UNIX)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int conn_connected(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	int so_error = 0;
	socklen_t len = sizeof(so_error);

	if (poll(&p, 1, 0) <= 0)
		return RATMAN_EAGAIN;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &so_error, &len))
		return -errno;
	return so_error ? connect_error(so_error) : 0;
}

/* What a failed send or recv means; @err is errno. */
static int io_error(int err)
{
	switch (err) {
	case EAGAIN:
		return RATMAN_EAGAIN;
	case EPIPE:
	case ECONNRESET:
		return RATMAN_ECLOSED;
	}
	return connect_error(err);
}

ssize_t conn_try_send(int fd, const void *data, size_t len)
{
	ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

	return n < 0 ? io_error(errno) : n;
}

ssize_t conn_try_recv(int fd, void *buf, size_t len)
{
	ssize_t n = recv(fd, buf, len, 0);

	return n < 0 ? io_error(errno) : n;
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
