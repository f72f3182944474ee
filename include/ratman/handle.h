/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handles: conversations with a daemon. Of libratman: see ratman.h. */
#ifndef RATMAN_HANDLE_H
#define RATMAN_HANDLE_H

#include <stdbool.h>

#include <ratman/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATMAN_DEFAULT_BIND "127.0.0.1:5852"

/* A conversation with one daemon. */
struct ratman;

/*
 * What is to be said about the last failure on @r beyond its code, mostly in the
 * daemon's words, or "". Borrowed; valid until the next call on @r.
 */
const char *ratman_error_text(const struct ratman *r);

/*
 * Makes a handle without connecting; it has no timeout. @bind is "ip:port",
 * "[ip6]:port", "localhost:port", or a Unix socket: "/path" or "unix:/path"; NULL
 * for RATMAN_DEFAULT_BIND. *@out is owned by the caller, to be given to
 * ratman_close().
 */
int ratman_new(struct ratman **out, const char *bind);

/*
 * Connects and shakes hands unless that stands; every other call does so by
 * itself. -EINVAL for a malformed @bind.
 */
int ratman_connect(struct ratman *r);

/*
 * ratman_new(), ratman_set_timeout() and ratman_connect() in one: @timeout_ms
 * bounds this and every later call; negative waits for ever. *@out is set on
 * success only.
 */
int ratman_open(struct ratman **out, const char *bind, int timeout_ms);

/*
 * Gives up a call that returned RATMAN_EAGAIN: whether the daemon has done it
 * is not known, and the connection is made anew by the next call. Does nothing
 * while a send or receive is open, which has an end of its own.
 */
void ratman_cancel(struct ratman *r);

/* Says goodbye and frees; ends an open send or receive first. NULL is fine. */
void ratman_close(struct ratman *r);

/* Changes the bound of later calls, in milliseconds; negative waits for ever. */
void ratman_set_timeout(struct ratman *r, int timeout_ms);

/*
 * For event loops. With @on, a call that would wait returns RATMAN_EAGAIN
 * instead and is to be made again, with the same arguments, when ratman_fd() is
 * readable. What it has written and read until then is kept; arguments are
 * looked at in the first call only, except those for results. Until it is
 * through, any other request on this handle is RATMAN_EBUSY. Timeouts do not
 * count then: the loop has its own, and ratman_cancel().
 */
void ratman_set_nonblocking(struct ratman *r, bool on);

/*
 * One descriptor for poll(), epoll or libuv: readable (POLLIN) when the last call
 * that returned RATMAN_EAGAIN, or RATMAN_ETIMEOUT from ratman_recv_next(), has
 * something to go on with, be it to read or to write. It means nothing after any
 * other result, so call until RATMAN_EAGAIN before waiting. The same for the
 * whole life of the handle and closed by ratman_close(); not to be read. A
 * negated errno when the system has no more descriptors.
 */
int ratman_fd(struct ratman *r);

/* True when the daemon announced our extensions (it is not the Rust one). */
bool ratman_is_extended(const struct ratman *r);

/* Frees a list that a call of this library returned. */
void ratman_free(void *p);

#ifdef __cplusplus
}
#endif

#endif
