/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handle and its request/reply machinery. Private to the library.
 *
 * Everything here can be resumed: what is half written or half read stays in
 * the handle, so that a call which came back with RATMAN_EAGAIN goes on where
 * it stopped when it is made again. Blocking calls are the same code; only
 * handle_wait() differs.
 */
#ifndef LIBRATMAN_HANDLE_H
#define LIBRATMAN_HANDLE_H

#include "libratman/conn.h"
#include "proto/header.h"
#include "proto/ops.h"
#include "proto/payload.h"
#include "proto/ping.h"
#include "ratman/ratman.h"

/* Replies longer than this are refused: 65535 peers fit. */
#define REPLY_MAX (8u << 20)

#define PUBLIC __attribute__((visibility("default")))

/* One received frame; payload owned, freed by reply_free(). */
struct reply {
	struct frame_header header;
	uint8_t *payload;
};

enum link_stage {
	LINK_DOWN,
	LINK_CONNECTING,
	LINK_GREETING,		/* our handshake is being written */
	LINK_GREETED,		/* the answer is awaited */
	LINK_UP,
};

enum ask_stage {
	ASK_NONE,
	ASK_WRITING,
	ASK_READING,
};

struct ratman {
	char *bind;			/* owned */
	int fd;				/* -1 when not connected */
	int timeout_ms;
	bool nonblocking;
	bool extended;
	bool busy;			/* a send or receive is open */
	struct ratman_send *send;	/* borrowed back, for ratman_close() */
	struct ratman_recv *recv;
	struct ratman_file_get *get;
	char text[PING_TEXT_MAX * 2 + 64];	/* what the daemon said last */

	enum link_stage link;
	enum ask_stage ask;		/* the request under way */
	enum op_id op;			/* its kind */
	bool asked_again;		/* it met the daemon's Timeout once */
	bool old_create;		/* Addr/Create: the form of release 0.6.0 is under way */

	uint8_t *out;			/* frame being written, owned; NULL when none */
	size_t out_len, out_pos;
	struct header_parser parser;	/* frame being read */
	struct reply frame;		/* its payload is NULL until the header is complete */
	size_t frame_have;
	uint8_t in[4096];		/* bytes read, not looked at yet */
	size_t in_pos, in_len;

	int poll_fd;			/* epoll, for ratman_fd(); -1 until asked for */
	int wait_fd;			/* what we wait for; -1 when for nothing */
	short wait_events;
};

void reply_free(struct reply *r);

/* Connects and shakes hands, unless that stands and the daemon has not closed it. */
int handle_ready(struct ratman *r);
/* Drops the connection and what was under way; the next call makes a new one. */
void handle_drop(struct ratman *r);
/* After an error in the middle of an exchange the connection is of no use. Returns @err. */
int handle_fail(struct ratman *r, int err);

/*
 * Waits for @events on @fd, or for nothing at all when the handle must not
 * block: then RATMAN_EAGAIN. On any error ratman_fd() watches @fd from now on.
 */
int handle_wait(struct ratman *r, int fd, short events, uint64_t deadline);
/* Waits until the connection begun by conn_start() stands. */
int handle_wait_connected(struct ratman *r, int fd, uint64_t deadline);
/* ratman_fd() watches nothing any more: the call got through. */
void handle_rest(struct ratman *r);
/* True for errors after which the same call may be made again and loses nothing. */
bool handle_may_resume(int err);

/* Writes one request, or the rest of the one under way. @token may be NULL. */
int handle_request(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len, uint64_t deadline);
/*
 * Reads one frame (owned by the caller), keeping what came of it when
 * handle_may_resume() the error. RATMAN_ECLOSED at the end of file.
 */
int handle_reply(struct ratman *r, struct reply *out, uint64_t deadline);
/* Up to @len raw bytes, buffered ones first; 0 at the end of file. */
ssize_t handle_read(struct ratman *r, void *buf, size_t len, uint64_t deadline);

/*
 * Decodes @reply as a ping (borrowing from it). An Error ping becomes its code
 * and sets the text; another kind than @want is RATMAN_EPROTOCOL.
 */
int handle_ping(struct ratman *r, const struct reply *reply, enum ping_kind want,
		struct ping *out);

/*
 * Connects if need be, asks, and reads the one frame that answers (owned by the
 * caller). After RATMAN_EAGAIN the same call goes on with the request that is
 * under way, whatever the other arguments are then; another @op is RATMAN_EBUSY.
 */
int handle_ask(struct ratman *r, enum op_id op, const struct ratman_id *token,
	       const void *payload, size_t len, struct reply *reply);
/* As handle_ask() for a ping; the payload stays in @reply for @out to borrow from. */
int handle_exchange(struct ratman *r, enum op_id op, const struct ratman_id *token,
		    const void *payload, size_t len, enum ping_kind want, struct reply *reply,
		    struct ping *out);
/* As handle_exchange() where Ok is all there is to hear. */
int handle_command(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len);

/* 0 when the daemon knows our extensions, connecting to find out; else RATMAN_ENOTSUPPORTED. */
int handle_need_extended(struct ratman *r);

#endif
