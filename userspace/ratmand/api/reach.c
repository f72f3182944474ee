// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where a client reached us and where it comes from, for the helper sockets
 * opened for it. Their names travel as numeric "ip:port" (microframe.md section
 * 3.0), so a client of the Unix socket is one of 127.0.0.1 here.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ratmand/api/client.h"
#include "ratmand/kern/sockdiag.h"

static void loopback(struct sockaddr_storage *out)
{
	struct sockaddr_in *in = (struct sockaddr_in *)out;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

int client_reached_at(struct client *c, struct sockaddr_storage *out)
{
	int len = sizeof(*out), err;

	memset(out, 0, sizeof(*out));
	if (c->local) {
		loopback(out);
		return 0;
	}
	err = uv_tcp_getsockname(&c->tcp, (struct sockaddr *)out, &len);
	if (err)
		return err;
	if (out->ss_family == AF_INET)
		((struct sockaddr_in *)out)->sin_port = 0;
	else
		((struct sockaddr_in6 *)out)->sin6_port = 0;
	return 0;
}

bool server_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return a->ss_family == AF_INET6 &&
	       !memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) &&
	       a6->sin6_scope_id == b6->sin6_scope_id;
}

int client_comes_from(struct client *c, struct sockaddr_storage *out)
{
	int len = sizeof(*out);

	memset(out, 0, sizeof(*out));
	if (!c->local)
		return uv_tcp_getpeername(&c->tcp, (struct sockaddr *)out, &len);
	loopback(out);
	return 0;
}

uid_t client_uid(struct client *c)
{
	uv_os_fd_t fd;

	if (c->local || c->uid_known)
		return c->uid;
	if (uv_fileno((uv_handle_t *)&c->stream, &fd) ||
	    sockdiag_uid(c->server->diag, fd, &c->uid))
		return TOKEN_NO_UID;
	c->uid_known = true;
	return c->uid;
}

int client_unread(struct client *c, uint32_t *unread)
{
	uv_os_fd_t fd;

	if (c->server->diag < 0 || uv_fileno((uv_handle_t *)&c->stream, &fd))
		return -EOPNOTSUPP;
	return sockdiag_unread(c->server->diag, fd, unread);
}

void server_format_bind(const struct sockaddr_storage *a, char *out, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)a;

		uv_ip4_name(in, host, sizeof(host));
		snprintf(out, size, "%s:%u", host, ntohs(in->sin_port));
	} else {
		const struct sockaddr_in6 *in6 = (const void *)a;

		uv_ip6_name(in6, host, sizeof(host));
		snprintf(out, size, "[%s]:%u", host, ntohs(in6->sin6_port));
	}
}
