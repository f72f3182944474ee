/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client protocol server: listens on TCP, speaks Microframe, and asks the
 * rest of the daemon through struct backend_ops.
 */
#ifndef RATMAND_API_SERVER_H
#define RATMAND_API_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/address.h"
#include "ratmand/api/backend.h"

/* Defaults and meanings in base/limits.h. */
struct api_limits {
	uint32_t clients;
	uint32_t payload;		/* bytes */
	uint32_t first_frame_ms;
	uint32_t frame_ms;
	uint32_t idle_ms;
	uint32_t auth_failures;		/* per minute and connection */
	uint32_t helper_accept_ms;
	uint32_t write_stall_ms;
	uint32_t write_queue;		/* bytes */
	uint32_t recipients;
	uint32_t send_grace_ms;		/* Send/One: wait for inline bytes */
	uint32_t send_empty_ms;		/* Send/One of size 0: wait for another request */
	uint32_t linger_ms;		/* after our last word: wait for the client to close */
};

struct api_config {
	const char *bind;		/* borrowed for api_server_new: "ip:port", "[ip6]:port", "localhost:port" */
	struct api_limits limits;
};

struct api_counters {
	uint64_t accepted;
	uint64_t refused_full;		/* over limits.clients, closed at once */
	uint64_t paused_fds;		/* accepting paused: file descriptors ran low */
	uint64_t refused_garbage;	/* framing no rule accepts */
	uint64_t refused_payload;	/* payload over the limit */
	uint64_t refused_version;
	uint64_t timeout_first;		/* no whole handshake in time */
	uint64_t timeout_frame;		/* frame not completed in time */
	uint64_t timeout_idle;
	uint64_t timeout_write;		/* client took nothing off its socket */
	uint64_t timeout_helper;	/* nobody came to a data socket */
	uint64_t helper_strangers;	/* data connections from another host */
	uint64_t auth_failures;
	uint64_t auth_closed;		/* connections closed for too many of them */
	uint64_t requests;
	uint64_t unsupported;
	uint64_t streams_in;		/* taken from clients */
	uint64_t streams_out;		/* delivered to clients */
	uint64_t clients;		/* now */
};

struct api_server;

/* "127.0.0.1:5852" and the limits of base/limits.h. */
void api_config_defaults(struct api_config *cfg);

/*
 * Binds and starts serving on @loop (borrowed). @ops and @be are borrowed until
 * the server is freed. Returns 0 and the server in *@out (owned), or a negative
 * errno with one line for people in @why. SIGPIPE must be ignored by the process.
 */
int api_server_new(struct api_server **out, uv_loop_t *loop, const struct api_config *cfg,
		   const struct backend_ops *ops, void *be, char *why, size_t why_size);

/*
 * Closes every connection and listener; the loop must go on running until
 * @closed (may be NULL) is called, after which nothing of the server exists.
 * Backend calls under way must still be answered before that.
 */
void api_server_free(struct api_server *server, void (*closed)(void *ctx), void *ctx);

/* Port in use, host byte order (for a bind to port 0). */
uint16_t api_server_port(const struct api_server *server);

/* Borrowed; valid while the server is. */
const struct api_counters *api_server_counters(const struct api_server *server);

/* Number of addresses up, i.e. tokens in the table. */
size_t api_server_tokens(const struct api_server *server);

/*
 * Enters the token of an address that is up already, as Addr/Up would: for a
 * daemon that restores its addresses after a crash. 0 or -ENOMEM.
 */
int api_token_restore(struct api_server *server, const struct address *address,
		      const struct ident *token);

/* Takes over a connected stream socket as if it had been accepted (tests, fuzzing). */
int api_server_adopt(struct api_server *server, int fd);

#endif
