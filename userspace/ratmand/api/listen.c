// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The ways in: TCP, and a Unix socket that knows who calls. And who is let in.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/log.h"
#include "ratmand/api/client.h"

#define BACKLOG 512
#define FD_RESERVE 16
#define ACCEPTS 32		/* connections let in a turn of the loop: others want to live too */
#define SILENT_MS 100		/* who has said hello in that time need not make room for others */

/* Accepting ---------------------------------------------------------------------- */

void listen_identify(struct client *c)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	uv_os_fd_t fd;

	c->uid = (uid_t)-1;
	if (uv_fileno((uv_handle_t *)&c->stream, &fd) ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len))
		return;
	c->uid = peer.uid;
	c->admin = peer.uid == 0 || peer.uid == geteuid();
}

static uint32_t count_uid(const struct api_server *s, uid_t uid)
{
	uint32_t n = 0;

	for (const struct client *c = s->clients; c; c = c->next)
		n += c->local && c->uid == uid;
	return n;
}

/* Who is on the way out, else who has been silent longest since it came. Not @c. */
static struct client *dispensable(struct api_server *s, const struct client *c)
{
	struct client *silent = NULL;

	for (struct client *other = s->clients; other; other = other->next) {
		if (other->phase == CLIENT_LINGER)
			return other;
		if (!silent && other->phase == CLIENT_HELLO && other != c &&
		    client_now(other) - other->deadline_base >= SILENT_MS)
			silent = other;
	}
	return silent;
}

/* The house is full sooner for some than for others; counts the refusal. */
static bool has_room(struct api_server *s, const struct client *c)
{
	uint64_t most = s->limits.clients;

	if (c->admin)
		most += LIMIT_CLIENTS_RESERVE;
	if (s->counters.clients > most) {
		struct client *other = dispensable(s, c);

		s->counters.refused_full++;
		if (!other)
			return false;
		client_kill(other);
	}
	if (c->local && !c->admin && count_uid(s, c->uid) > s->limits.clients_per_uid) {
		s->counters.refused_uid++;
		return false;
	}
	return true;
}

static void listener_accept(struct listener *l)
{
	struct api_server *s = l->server;
	struct client *c = client_new(s, l == &s->local);

	if (!c)
		return;	/* stays waiting; tried again when a client goes */
	l->waits = false;
	if (uv_accept(&l->stream, &c->stream)) {
		client_kill(c);
		return;
	}
	if (c->local)
		listen_identify(c);
	if (!has_room(s, c)) {
		client_kill(c);
		return;
	}
	s->counters.accepted++;
	client_start(c);
}

/* Descriptors from here on are kept for data sockets, files and the database. */
static int fd_reserve_start(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur > INT32_MAX)
		return INT32_MAX;
	return limit.rlim_cur > 4 * FD_RESERVE ? (int)limit.rlim_cur - FD_RESERVE : INT32_MAX;
}

/* True when the descriptor a new connection got is in the reserve. */
static bool fds_are_low(const struct listener *l)
{
	const struct api_server *s = l->server;

	return l->stream.accepted_fd >= s->fd_reserve_from && s->counters.clients > 0;
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct listener *l = stream->data;

	if (status < 0 || l->server->closing)
		return;
	/* While a connection waits libuv does not poll the listener: accepting is paused. */
	l->waits = true;
	if (++l->server->accepts > ACCEPTS) {
		turn_listen(l->server);
		return;
	}
	if (fds_are_low(l)) {
		l->server->counters.paused_fds++;
		return;
	}
	listener_accept(l);
}

void listen_resume(struct api_server *s)
{
	if (s->tcp.waits)
		listener_accept(&s->tcp);
	if (s->local.waits)
		listener_accept(&s->local);
}

static void listener_opened(struct api_server *s, struct listener *l)
{
	l->server = s;
	l->stream.data = l;
	l->open = true;
	s->handles++;
	s->fd_reserve_from = fd_reserve_start();
}

/* TCP ---------------------------------------------------------------------------- */

/* Parses "ip:port", "[ip6]:port" or "localhost:port". */
static int parse_bind(const char *text, struct sockaddr_storage *out)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	char host[INET6_ADDRSTRLEN + 2];
	char *end;
	long port;

	if (!colon || !len || len >= sizeof(host) || !colon[1] || colon[1] == '-' ||
	    colon[1] == '+' || colon[1] == ' ')
		return -EINVAL;
	port = strtol(colon + 1, &end, 10);
	if (*end || port < 0 || port > 65535)
		return -EINVAL;
	if (text[0] == '[') {
		if (text[len - 1] != ']')
			return -EINVAL;
		memcpy(host, text + 1, len - 2);
		host[len - 2] = '\0';
		return uv_ip6_addr(host, (int)port, (struct sockaddr_in6 *)out);
	}
	memcpy(host, text, len);
	host[len] = '\0';
	return uv_ip4_addr(strcmp(host, "localhost") ? host : "127.0.0.1", (int)port,
			   (struct sockaddr_in *)out);
}

int listen_tcp(struct api_server *s, const char *bind, char *why, size_t why_size)
{
	struct sockaddr_storage addr = { 0 };
	int len = sizeof(addr);
	int err = parse_bind(bind, &addr);

	if (err) {
		snprintf(why, why_size, "api_bind \"%s\" is not of the form IP:PORT or [IP6]:PORT",
			 bind);
		return -EINVAL;
	}
	err = uv_tcp_init(s->loop, &s->tcp.tcp);
	if (err) {
		snprintf(why, why_size, "cannot make a socket: %s", uv_strerror(err));
		return err;
	}
	listener_opened(s, &s->tcp);
	err = uv_tcp_bind(&s->tcp.tcp, (struct sockaddr *)&addr, 0);
	if (!err)
		err = uv_listen(&s->tcp.stream, BACKLOG, on_connection);
	if (!err)
		err = uv_tcp_getsockname(&s->tcp.tcp, (struct sockaddr *)&addr, &len);
	if (err) {
		snprintf(why, why_size, "cannot listen on %s: %s", bind, uv_strerror(err));
		return err;
	}
	s->port = ntohs(addr.ss_family == AF_INET ? ((struct sockaddr_in *)&addr)->sin_port :
			((struct sockaddr_in6 *)&addr)->sin6_port);
	return 0;
}

/* Unix socket --------------------------------------------------------------------- */

/* 0 when nobody listens at @sun: it may be replaced, or does not exist. */
static int nobody_listens(const struct sockaddr_un *sun, char *why, size_t why_size)
{
	struct stat st;
	int fd, err;

	if (lstat(sun->sun_path, &st))
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		snprintf(why, why_size, "%s is in the way: it is not a socket", sun->sun_path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: somebody listens, and is busy. */
	err = connect(fd, (const struct sockaddr *)sun, sizeof(*sun)) ? errno : 0;
	close(fd);
	if (!err || err == EAGAIN) {
		snprintf(why, why_size, "another daemon serves %s; stop it, or set api_socket",
			 sun->sun_path);
		return -EADDRINUSE;
	}
	if (err == ECONNREFUSED)
		log_info("replacing %s, left behind by a daemon that is gone", sun->sun_path);
	return err == ECONNREFUSED || err == ENOENT ? 0 : -err;
}

/*
 * A bound socket at cfg->socket with its mode and group, under a name of its
 * own first: nobody meets it with other rights than it shall have. Returns the
 * descriptor or a negative errno.
 */
static int bind_local(struct api_server *s, const struct api_config *cfg,
		      const struct sockaddr_un *final)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	struct stat st;
	int fd, err = 0;

	if ((size_t)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s.new", final->sun_path) >=
	    sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(sun.sun_path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun))) {
		err = -errno;
		close(fd);
		return err;
	}
	if ((cfg->socket_gid != (gid_t)-1 && chown(sun.sun_path, (uid_t)-1, cfg->socket_gid)) ||
	    chmod(sun.sun_path, cfg->socket_mode) || listen(fd, BACKLOG) ||
	    stat(sun.sun_path, &st) || rename(sun.sun_path, final->sun_path)) {
		err = -errno;
		unlink(sun.sun_path);
		close(fd);
		return err;
	}
	s->socket_inode = st.st_ino;
	return fd;
}

int listen_local(struct api_server *s, const struct api_config *cfg, char *why, size_t why_size)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int err, fd;

	why[0] = '\0';
	if (strlen(cfg->socket) + sizeof(".new") > sizeof(sun.sun_path)) {
		snprintf(why, why_size, "api_socket %s: at most %zu bytes", cfg->socket,
			 sizeof(sun.sun_path) - sizeof(".new"));
		return -ENAMETOOLONG;
	}
	strcpy(sun.sun_path, cfg->socket);
	s->socket_path = strdup(cfg->socket);
	err = s->socket_path ? uv_pipe_init(s->loop, &s->local.pipe, 0) : -ENOMEM;
	if (!err) {
		listener_opened(s, &s->local);
		err = nobody_listens(&sun, why, why_size);
	}
	fd = err ? err : bind_local(s, cfg, &sun);
	if (fd >= 0) {
		err = uv_pipe_open(&s->local.pipe, fd);
		if (err)
			close(fd);
		else
			err = uv_listen(&s->local.stream, BACKLOG, on_connection);
	} else {
		err = fd;
	}
	if (err && !why[0])
		snprintf(why, why_size, "cannot listen on %s: %s", cfg->socket, strerror(-err));
	return err;
}

/* Closing ------------------------------------------------------------------------- */

static void on_listener_closed(uv_handle_t *handle)
{
	struct listener *l = handle->data;

	server_release(l->server);
}

void listen_close(struct api_server *s)
{
	struct stat st;

	/* Ours, not that of a daemon started meanwhile. */
	if (s->local.open && !lstat(s->socket_path, &st) && st.st_ino == s->socket_inode)
		unlink(s->socket_path);
	if (s->tcp.open)
		uv_close((uv_handle_t *)&s->tcp.stream, on_listener_closed);
	if (s->local.open)
		uv_close((uv_handle_t *)&s->local.stream, on_listener_closed);
}
