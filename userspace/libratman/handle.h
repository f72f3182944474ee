/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The handle and its request/reply machinery. Private to the library.
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

struct ratman {
	char *bind;			/* owned */
	int fd;				/* -1 when not connected */
	int timeout_ms;
	bool extended;
	bool busy;			/* a send or receive is open */
	struct ratman_send *send;	/* borrowed back, for ratman_close() */
	struct ratman_recv *recv;
	char text[PING_TEXT_MAX * 2 + 64];	/* what the daemon said last */
	uint8_t in[4096];
	size_t in_pos, in_len;
};

/* One received frame; payload owned, freed by reply_free(). */
struct reply {
	struct frame_header header;
	uint8_t *payload;
};

void reply_free(struct reply *r);

/* Connects and shakes hands, unless that stands and the daemon has not closed it. */
int handle_ready(struct ratman *r);
/* Drops the connection; the next call makes a new one. */
void handle_drop(struct ratman *r);

/* Writes one request. @token may be NULL. */
int handle_request(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len, uint64_t deadline);
/* Reads one frame (owned by the caller). RATMAN_ECLOSED at the end of file. */
int handle_reply(struct ratman *r, struct reply *out, uint64_t deadline);
/* Up to @len raw bytes, buffered ones first; 0 at the end of file. */
ssize_t handle_read(struct ratman *r, void *buf, size_t len, uint64_t deadline);

/*
 * Decodes @reply as a ping (borrowing from it). An Error ping becomes its code
 * and sets the text; another kind than @want is RATMAN_EPROTOCOL.
 */
int handle_ping(struct ratman *r, const struct reply *reply, enum ping_kind want,
		struct ping *out);

/* Request and ping in one; the payload stays in @reply for @out to borrow from. */
int handle_exchange(struct ratman *r, enum op_id op, const struct ratman_id *token,
		    const void *payload, size_t len, enum ping_kind want, struct reply *reply,
		    struct ping *out);
/* As handle_exchange() where Ok is all there is to hear. */
int handle_command(struct ratman *r, enum op_id op, const struct ratman_id *token,
		   const void *payload, size_t len);

/* 0 when the daemon knows our extensions, connecting to find out; else RATMAN_ENOTSUPPORTED. */
int handle_need_extended(struct ratman *r);

/* After an error in the middle of an exchange the connection is of no use. */
int handle_fail(struct ratman *r, int err);

#endif
