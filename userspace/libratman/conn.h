/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Connections to the daemon, TCP or Unix, with deadlines. The sockets never
 * block: the conn_try calls answer RATMAN_EAGAIN, conn_wait() waits. Private to
 * the library.
 */
#ifndef LIBRATMAN_CONN_H
#define LIBRATMAN_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A point in time of clock_ms(), or CONN_FOREVER. */
#define CONN_FOREVER UINT64_MAX

/* @timeout_ms from now; negative: for ever. */
uint64_t conn_deadline(int timeout_ms);

/*
 * Begins to connect a non-blocking, close-on-exec socket to "ip:port", "[ip6]:port",
 * "localhost:port", "/path" or "unix:/path". The socket, to be asked with
 * conn_connected(), or an error. Only a Unix socket whose queue is full is waited for.
 */
int conn_start(const char *bind, uint64_t deadline);

/* 0 when the connection stands, RATMAN_EAGAIN (wait for POLLOUT) before that, or an error. */
int conn_connected(int fd);

/* True when @bind names a Unix socket. */
bool conn_is_unix(const char *bind);

/* 0 when one of @events (poll) came up, RATMAN_ETIMEOUT, -EINTR or another negative errno. */
int conn_wait(int fd, short events, uint64_t deadline);

/* Bytes taken, at least one; RATMAN_EAGAIN, RATMAN_ECLOSED or a negative errno. */
ssize_t conn_try_send(int fd, const void *data, size_t len);

/* Up to @len bytes, at least one; 0 at the end of file; errors as conn_try_send(). */
ssize_t conn_try_recv(int fd, void *buf, size_t len);

/* True when something (bytes or the end) is waiting to be read. */
bool conn_is_readable(int fd);

/* Closes with a reset: the other side sees no orderly end. */
void conn_reset(int fd);

#endif
