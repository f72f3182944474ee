/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The client protocol server: listens on TCP and a Unix socket, speaks
 * Microframe, and asks the rest of the daemon through struct backend_ops.
 */
#ifndef RATMAND_API_SERVER_H
#define RATMAND_API_SERVER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "base/address.h"
#include "ratmand/api/backend.h"
#include "ratmand/api/limits.h"

struct api_config {
	/* Strings borrowed for api_server_new. */
	const char *bind;		/* "ip:port", "[ip6]:port", "localhost:port" */
	const char *socket;		/* path of a Unix socket, or NULL for none */
	mode_t socket_mode;
	gid_t socket_gid;		/* (gid_t)-1: the process's own */
	struct api_limits limits;
};

struct api_server;

/* "127.0.0.1:5852", no Unix socket, and the limits of base/limits.h. */
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
