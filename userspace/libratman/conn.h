/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A blocking TCP connection with deadlines. Private to the library.
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

/* Non-blocking, close-on-exec socket to "ip:port", "[ip6]:port" or "localhost:port", or an error. */
int conn_open(const char *bind, uint64_t deadline);

/* Sends everything. 0, -EINTR, RATMAN_ETIMEOUT, RATMAN_ECLOSED or a negative errno. */
int conn_send(int fd, const void *data, size_t len, uint64_t deadline);

/* Up to @len bytes, at least one; 0 at the end of file; errors as conn_send(). */
ssize_t conn_recv(int fd, void *buf, size_t len, uint64_t deadline);

/* True when something (bytes or the end) is waiting to be read. */
bool conn_is_readable(int fd);

/* Closes with a reset: the other side sees no orderly end. */
void conn_reset(int fd);

#endif
