/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A daemon of a few hundred lines that the test turns by hand, so that library
 * and daemon take turns inside one thread: it answers what it was asked, a byte
 * at a time, cut off, or with nonsense, as it is told.
 */
#ifndef TESTS_MINI_DAEMON_H
#define TESTS_MINI_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MINI_CONNS 64

struct mini_conn {
	int fd;			/* -1: free */
	bool is_listener;	/* waits for the data socket of its owner */
	bool is_data;		/* a stream on its way in */
	bool closing;		/* closes when everything is written */
	struct mini_conn *owner;	/* who sends that stream */
	uint8_t token[32];	/* of the send under way */
	uint8_t *rx;
	size_t rx_len;
	uint8_t *tx;		/* owned; tx_pos bytes of it are gone */
	size_t tx_len, tx_pos;
	uint64_t fill;		/* zero bytes that follow tx: the rest of a stream */
	uint64_t sent;
};

struct mini {
	/* How to behave; may be changed between two turns. */
	bool extended;		/* answer with a capability suffix */
	bool old_create;	/* drop clients that use the new form of Addr/Create */
	size_t dribble;		/* bytes a turn on each connection; 0: no limit */
	uint64_t cut;		/* close after so many bytes of one connection; UINT64_MAX: never */
	int mute;		/* do not answer this mode; 0: answer all */
	bool stall;		/* do not read streams */
	unsigned int timeouts;	/* answer so many requests with Timeout and close */
	const uint8_t *evil;	/* answer requests with this instead; NULL: properly */
	size_t evil_len;
	bool evil_hello;	/* the handshake too */
	uint32_t streams;	/* to hand out for each Recv */
	uint64_t stream_size;

	/* What happened. */
	unsigned int accepted;	/* connections, data sockets not counted */
	unsigned int requests;	/* handshakes not counted */
	uint64_t received;	/* bytes of streams */
	uint32_t recv_limit;	/* of the last Recv/Many; UINT32_MAX: none */

	int listener;
	char bind[128];
	struct mini_conn conns[MINI_CONNS];
};

/* Listens on @path, or on a port of 127.0.0.1 when that is NULL. Aborts when it cannot. */
struct mini *mini_new(const char *path);
void mini_free(struct mini *m);

/* cmocka's setup and teardown: *@state is one on a port, and a test of two minutes has hung. */
int mini_setup(void **state);
int mini_teardown(void **state);

/* Waits at most @timeout_ms for something to do and does it. */
void mini_turn(struct mini *m, int timeout_ms);

/* Says Timeout to every client and hangs up, as after two idle minutes. */
void mini_idle(struct mini *m);

#endif
