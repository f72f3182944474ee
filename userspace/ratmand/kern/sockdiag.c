// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/kern/sockdiag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 body;
};

struct answer {
	struct nlmsghdr head;
	union {
		struct inet_diag_msg socket;
		struct nlmsgerr error;
	};
};

int sockdiag_open(void)
{
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

/* Address and port of one end, as the kernel wants them. */
static int put_end(const struct sockaddr_storage *end, __be32 address[4], __be16 *port)
{
	const struct sockaddr_in *in = (const void *)end;
	const struct sockaddr_in6 *in6 = (const void *)end;

	switch (end->ss_family) {
	case AF_INET:
		memcpy(address, &in->sin_addr, sizeof(in->sin_addr));
		*port = in->sin_port;
		return 0;
	case AF_INET6:
		memcpy(address, &in6->sin6_addr, sizeof(in6->sin6_addr));
		*port = in6->sin6_port;
		return 0;
	}
	return -EAFNOSUPPORT;
}

/* The socket at the other end: there our own end is the remote one. */
static int build(int fd, struct request *req)
{
	struct sockaddr_storage own = { 0 }, other = { 0 };
	socklen_t own_len = sizeof(own), other_len = sizeof(other);
	struct inet_diag_sockid *id = &req->body.id;
	int err;

	if (getsockname(fd, (struct sockaddr *)&own, &own_len) ||
	    getpeername(fd, (struct sockaddr *)&other, &other_len))
		/* A reset has ended the connection: there is no other end any more. */
		return errno == ENOTCONN ? -ENOENT : -errno;
	*req = (struct request){
		.head = { .nlmsg_len = sizeof(*req), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST },
		.body = { .sdiag_family = (uint8_t)own.ss_family, .sdiag_protocol = IPPROTO_TCP,
			  .idiag_states = ~0u },
	};
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	err = put_end(&other, id->idiag_src, &id->idiag_sport);
	return err ? err : put_end(&own, id->idiag_dst, &id->idiag_dport);
}

/* What the kernel says about the socket at the other end of @fd. */
static int ask(int diag, int fd, struct inet_diag_msg *out)
{
	struct answer answer = { 0 };
	struct request req;
	int err = build(fd, &req);
	ssize_t n;

	if (err)
		return err;
	/* The answer is there when send() returns. */
	if (send(diag, &req, sizeof(req), 0) < 0)
		return -errno;
	n = recv(diag, &answer, sizeof(answer), MSG_TRUNC);
	if (n < 0)
		return -errno;
	if (answer.head.nlmsg_type == NLMSG_ERROR && n >= NLMSG_HDRLEN + (ssize_t)sizeof(int))
		return answer.error.error < 0 ? answer.error.error : -EPROTO;
	if (answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY ||
	    n < NLMSG_HDRLEN + (ssize_t)sizeof(answer.socket))
		return -EPROTO;
	*out = answer.socket;
	return 0;
}

int sockdiag_unread(int diag, int fd, uint32_t *unread)
{
	struct inet_diag_msg socket;
	int err, sent = 0;

	/* In this order: what arrives between the two is counted twice, and not left out. */
	if (ioctl(fd, SIOCOUTQ, &sent))
		return -errno;
	err = ask(diag, fd, &socket);
	if (err)
		return err;
	*unread = socket.idiag_rqueue + (uint32_t)sent;
	return 0;
}

int sockdiag_uid(int diag, int fd, uid_t *uid)
{
	struct inet_diag_msg socket;
	int err = ask(diag, fd, &socket);

	if (err)
		return err;
	/* Without an inode nobody holds it, and the kernel says 0 for nobody. */
	if (!socket.idiag_inode)
		return -ENOENT;
	*uid = socket.idiag_uid;
	return 0;
}
