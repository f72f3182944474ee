/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One client connection, as the server and the handlers see it. Private to api/.
 *
 * A client owns its handles, buffers and job. It lives until all its handles
 * are closed and every backend call made for it was answered, so that no
 * callback ever meets freed memory. While nothing is under way it owns no
 * buffer: input is read into the server's and taken from there.
 */
#ifndef RATMAND_API_CLIENT_H
#define RATMAND_API_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "proto/header.h"
#include "proto/ops.h"
#include "proto/payload.h"
#include "proto/ping.h"
#include "ratmand/api/helper.h"
#include "ratmand/api/passwords.h"
#include "ratmand/api/quota.h"
#include "ratmand/api/server.h"
#include "ratmand/api/login.h"
#include "ratmand/api/token.h"

struct client;

/* A request that lasts: one Send or Recv. At most one per client. */
struct client_job {
	/* Takes raw bytes from client_input(); NULL when the job wants none. */
	void (*input)(struct client *c, struct client_job *job);
	/* Something was written, or the turn asked for by client_kick() has come. */
	void (*progress)(struct client *c, struct client_job *job);
	/* The client is going away: let go of everything; @c is not valid afterwards. */
	void (*gone)(struct client *c, struct client_job *job);
	/* The address went down or was destroyed. May be NULL. */
	void (*address_gone)(struct client *c, struct client_job *job,
			     const struct address *address);
};

enum client_phase {
	CLIENT_HELLO,		/* before the handshake */
	CLIENT_READY,
	CLIENT_LINGER,		/* said our last word; throwing away what still comes */
	CLIENT_DEAD,		/* handles closing */
};

struct client {
	struct api_server *server;
	struct client *prev, *next;
	struct client *turn_prev, *turn_next;	/* in server->turns */
	uint64_t serial;	/* no other connection has it */
	enum client_phase phase;
	bool local;		/* came over the Unix socket */
	bool uid_known;		/* client_uid() */
	uid_t uid;
	union {
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	uv_timer_t timer;	/* the nearest deadline */
	uv_shutdown_t shutdown;
	unsigned int handles;	/* not closed yet */
	unsigned int calls;	/* backend calls not answered yet */
	uint8_t capabilities;
	bool admin;		/* may steer the router: OP_AUTH_ADMIN; root or the daemon's own user,
				   over the Unix socket */
	unsigned int helpers;	/* its data sockets that nobody has come to yet */
	/* Whose socket this is, when it was opened by Sub or Resub. */
	struct {
		bool connected;
		struct ident id;
		struct address address;
	} subscriber;

	struct header_parser parser;
	struct frame_header header;	/* of the request being read or worked on */
	bool in_payload;
	bool payload_owned;	/* else it lies in the input, as long as the request is worked on */
	uint8_t *payload;	/* header.payload_len bytes */
	size_t payload_have;
	struct client_job *job;	/* owned by itself, let go through job->gone */

	uint8_t *in;		/* the server's buffer while reading, else owned: what could wait */
	size_t in_pos, in_len;
	bool reading;
	bool eof;
	bool reset;		/* reading or writing met an error */
	bool processing;
	bool held;		/* its write queue is too long */

	bool queued;		/* in server->turns */
	bool kicked;		/* job->progress wants to be called */
	bool yielded;		/* had its share; goes on in its next turn */
	uint64_t turn;		/* of the loop, when `work` was counted */
	uint32_t work;		/* requests of that turn */
	size_t moved;		/* bytes moved for its job in that turn */

	uint8_t *out;		/* owned; written at the end of each turn */
	size_t out_len, out_cap;

	uint64_t deadline_base;	/* ms: connect, start of idleness or of the frame */
	uint64_t write_base;	/* ms: last progress of writing */
	size_t write_seen;	/* queue length then */
	uint64_t auth_window;	/* ms: start of the minute counted */
	uint32_t auth_failures;
};

/* Bytes read at a time, from any client. */
#define SERVER_INPUT_SIZE 65536

/* One way in. */
struct listener {
	struct api_server *server;
	union {
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_pipe_t pipe;
	};
	bool open;
	bool waits;		/* a connection waits for uv_accept */
};

struct api_server {
	uv_loop_t *loop;
	struct api_limits limits;
	struct api_counters counters;
	const struct backend_ops *ops;
	void *be;
	struct token_table *tokens;
	struct client *clients;
	uint64_t serials;	/* clients there ever were */
	struct client *turns;	/* who goes on in the next turn of the loop, in order */
	size_t n_turns;
	uv_prepare_t turn_start;
	uv_idle_t turn_soon;	/* active while anybody is in turns: the loop does not sleep */
	uint64_t turn;
	uint64_t most_clients, most_queued;	/* since memory was given back */
	unsigned int accepts;	/* connections of this turn */
	bool listen_next;	/* accepting goes on in the next turn */
	struct helper *helpers;
	uv_timer_t session_timer;	/* login.c */
	struct registration *registrations;	/* service.c: of sockets to come */
	struct quota quota;	/* quota.c */
	struct passwords passwords;
	unsigned int promised;	/* sessions, login.h */
	struct watcher *watchers;	/* watcher.h */
	struct listener tcp, local;
	char *socket_path;	/* owned; of the Unix socket */
	ino_t socket_inode;
	unsigned int handles;	/* our own, helpers, and jobs that outlive their client */
	int diag;		/* sockdiag.h: to ask what clients have read; -1 without */
	int fd_reserve_from;	/* accepting pauses at this descriptor number */
	bool closing;
	uint16_t port;
	void (*closed)(void *ctx);
	void *closed_ctx;
	uint8_t input[SERVER_INPUT_SIZE];
};

/* server.c */
void server_client_gone(struct api_server *server);
void server_release(struct api_server *server);

/* listen.c */
int listen_tcp(struct api_server *s, const char *bind, char *why, size_t why_size);
int listen_local(struct api_server *s, const struct api_config *cfg, char *why, size_t why_size);
/* Fills in who is on the other side of a Unix socket. */
void listen_identify(struct client *c);
/* Goes on accepting where it was paused. */
void listen_resume(struct api_server *s);
void listen_close(struct api_server *s);

/* turn.c: every client gets a bounded share of each turn of the loop. */
int turn_init(struct api_server *s);
void turn_close(struct api_server *s);
/* Calls client_turn(@c) in the next turn. */
void turn_queue(struct client *c);
void turn_forget(struct client *c);
/* Goes on accepting in the next turn. */
void turn_listen(struct api_server *s);

/* reach.c */
/* Where a helper socket for the client is to be bound: the address it reached us at, port 0. */
int client_reached_at(struct client *c, struct sockaddr_storage *out);
int client_comes_from(struct client *c, struct sockaddr_storage *out);
/*
 * Bytes in the kernel that the client's program has not read yet. 0, or an error where the kernel
 * cannot see it; -ENOENT for one it saw before: closed. Whether over unread bytes tells
 * client_was_reset(), asked afterwards and, while we have no end of file, not at once.
 */
int client_unread(struct client *c, uint32_t *unread);
bool server_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
/*
 * Whose program is at the other end, as far as the kernel says: on the Unix socket, and
 * over TCP inside this host. TOKEN_NO_UID when it does not.
 */
uid_t client_uid(struct client *c);
/* "ip:port" or "[ip6]:port". */
void server_format_bind(const struct sockaddr_storage *a, char *out, size_t size);

static inline uint64_t client_now(const struct client *c)
{
	return uv_now(c->server->loop);
}

/* client.c */
/* With @local its handle is a pipe, for the Unix socket. */
struct client *client_new(struct api_server *server, bool local);
/* Starts reading; the handle is connected. */
void client_start(struct client *c);
/* Closes at once. The client is freed later; do not touch it again in this turn's handlers. */
void client_kill(struct client *c);
/* Sends what is queued, then closes; input is thrown away. */
void client_finish(struct client *c);
/* One backend call begins; pairs with client_answered() in its callback. */
void client_ask(struct client *c);
/* False when the client died meanwhile: do nothing more. */
bool client_answered(struct client *c);
/* Goes on with the next request, when nothing is under way. */
void client_process(struct client *c);
/* Starts @job; input waits until client_end_job(). */
void client_start_job(struct client *c, struct client_job *job);
void client_end_job(struct client *c);
/* Calls job->progress soon, from a callback of its own. */
void client_kick(struct client *c);
/*
 * Counts @bytes moved for the client's job. False when its share of this turn
 * of the loop is used up: move no more now, but ask for a client_kick().
 */
bool client_share(struct client *c, size_t bytes);
/* Its turn has come (turn.c). */
void client_turn(struct client *c);
/* Unread raw bytes (borrowed) and their number; client_take() removes some. */
const uint8_t *client_input(struct client *c, size_t *len);
void client_take(struct client *c, size_t len);
/*
 * Room for @len bytes (borrowed until the next call on the client) behind those
 * queued; client_commit() queues as many of them as were filled. NULL when the
 * client is dead, or died for want of memory.
 */
uint8_t *client_reserve(struct client *c, size_t len);
void client_commit(struct client *c, size_t len);
/* Queues bytes; client_flush() hands them to the kernel. False as client_reserve(). */
bool client_write(struct client *c, const void *data, size_t len);
void client_flush(struct client *c);
/* Bytes queued here and in libuv. */
size_t client_queued(const struct client *c);
/* Bytes a job may have queued for the client's socket: less when all together have many. */
size_t client_window(const struct client *c);

/* timeout.c */
/* Sets the timer to the nearest deadline of the client's present state. */
void client_arm(struct client *c);
/* True while no byte of the next request has come. */
bool client_between_frames(const struct client *c);
/* True when the peer sent FIN, even behind bytes we did not read yet. */
bool client_hung_up(struct client *c);
/* True when the peer closed without having read all we sent (Linux answers that with RST). */
bool client_was_reset(struct client *c);

/* reply.c. With @echo the request's token goes into the header. */
void client_frame(struct client *c, uint16_t mode, bool echo, const void *payload, size_t len);
/* A ping as the reply to the request: in the Service API its mode and token go with it. */
void client_reply(struct client *c, bool echo, const void *ping, size_t len);
void client_reply_ok(struct client *c);
/* @text says what was wrong and what to do. */
void client_reply_service(struct client *c, enum service_error_code code, const char *text);
void client_reply_error(struct client *c, bool echo, const struct ping_error *e);
void client_reply_code(struct client *c, enum ping_error_code code);
void client_reply_input(struct client *c, const char *got, const char *expected);
void client_reply_internal(struct client *c, bool echo, const char *text);
/* The reply to a backend error; counts -EACCES as a failed authentication. */
void client_reply_errno(struct client *c, bool echo, int err);
/* InvalidAuth; closes the connection after too many. */
void client_reply_denied(struct client *c);
/* What was answered was a failed authentication: closes after too many. */
void client_auth_failed(struct client *c);
/* An error of the backend, in the Service API; counts -EACCES as the above. */
void client_reply_service_errno(struct client *c, int err);
/*
 * The backend's answer after client_ask(): Ok, or what @refuse makes of @err; then the
 * client's next request. @c may be gone.
 */
void client_done(struct client *c, int err, void (*refuse)(struct client *c, int err));

/* dispatch.c: the request in c->header and c->payload is complete. */
void dispatch_request(struct client *c);
bool dispatch_check(struct client *c, const struct address *address);
/* Whom the token of a request with OP_AUTH_TOKEN stands for. */
struct address dispatch_owner(struct client *c);

/* Handlers, one file per namespace. */
void intrinsic_up(struct client *c);
void intrinsic_down(struct client *c);
void intrinsic_status(struct client *c);
/* The Status ping, with or without the token of the request. */
void intrinsic_reply_status(struct client *c, bool echo);
void intrinsic_limits(struct client *c);
void addr_create(struct client *c);
void addr_up(struct client *c);
void addr_down(struct client *c);
void addr_destroy(struct client *c);
void addr_sub(struct client *c);
void addr_resub(struct client *c);
void addr_unsub(struct client *c);
void addr_list(struct client *c);
/*
 * Destroys an address for the request @c, whose token is its; answers. Its sessions end and its
 * tokens are good for nothing from this moment on, even when it cannot be destroyed: then it is down.
 */
void addr_remove(struct client *c, const struct address *address, bool force);
void contact_add(struct client *c);
void contact_delete(struct client *c);
void contact_modify(struct client *c);
void contact_list(struct client *c);
void contact_query(struct client *c);
void link_create(struct client *c);
void link_destroy(struct client *c);
void link_up(struct client *c);
void link_down(struct client *c);
void link_list(struct client *c);
void peer_list(struct client *c);
void peer_query(struct client *c);
void peer_status(struct client *c);
void send_many(struct client *c);
void send_one(struct client *c);
/* Send/One that may not go on: its stream still has to be swallowed. */
void send_one_refused(struct client *c, const struct ping_error *e);
void recv_one(struct client *c);
void recv_many(struct client *c);
/* Address and recipient of a Recv or Sub; false when it was refused. */
bool recv_read_request(struct client *c, bool many, struct payload_recv *out);
/* Starts the job of a subscriber's socket. 0 or an error. */
int recv_subscriber(struct client *c);
void stream_sub(struct client *c);
void stream_resub(struct client *c);
void stream_unsub(struct client *c);
void stream_list(struct client *c);
void space_create(struct client *c);
void space_up(struct client *c);
void space_down(struct client *c);
void space_anycast(struct client *c);
void user_create(struct client *c);
void user_destroy(struct client *c);
void user_up(struct client *c);
void user_down(struct client *c);
void user_modify(struct client *c);
void user_status(struct client *c);
void service_create(struct client *c);
void service_destroy(struct client *c);
void service_add(struct client *c);
void service_delete(struct client *c);
void service_list(struct client *c);
void service_query(struct client *c);
void service_status(struct client *c);
/* A session was opened or has ended: tells every service. */
void service_tell(struct api_server *s, bool open, const struct token_session *session);
void message_one(struct client *c);
void message_many(struct client *c);
void message_query(struct client *c);
void message_modify(struct client *c);
void message_delete(struct client *c);
void message_sub(struct client *c);
void message_resub(struct client *c);
void message_unsub(struct client *c);
void user_list(struct client *c);
void user_query(struct client *c);
/* User/Modify of what = 0. */
void user_modify_profile(struct client *c);
void user_sub(struct client *c);
void user_unsub(struct client *c);

/* file.c */
/* What the backend, or a reader of proto/file.h, found wrong, as a ServiceError. */
void file_refuse(struct client *c, int err);
void file_refuse_payload(struct client *c, int err);
void stream_up(struct client *c);
void stream_down(struct client *c);
void file_create(struct client *c);
void file_modify(struct client *c);
void file_up(struct client *c);
void file_down(struct client *c);
/* Both File/One and File/Many. */
void file_send(struct client *c);
void file_add(struct client *c);
void file_delete(struct client *c);
/* file_view.c */
/* Both File/List and File/Query. */
void file_list(struct client *c);
void file_status(struct client *c);
void file_get(struct client *c);
void file_sub(struct client *c);

#endif
