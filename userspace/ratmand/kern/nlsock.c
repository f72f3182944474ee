// SPDX-License-Identifier: GPL-2.0-or-later
#include "nlsock.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RECEIVE_BUFFER (4 << 20)	/* a burst of events while the loop is busy */

struct request {
	struct nlsock *s;
	nlsock_msg_cb cb;
	void *ctx;
};

int nlsock_open(struct nlsock *s, int protocol)
{
	int one = 1, err, fd;

	memset(s, 0, sizeof(*s));
	s->sk = nl_socket_alloc();
	if (!s->sk)
		return -ENOMEM;
	err = nl_connect(s->sk, protocol);
	if (err) {
		nl_socket_free(s->sk);
		s->sk = NULL;
		return err == -NLE_NOMEM ? -ENOMEM : -EPROTONOSUPPORT;
	}
	fd = nl_socket_get_fd(s->sk);
	/* Old kernels lack these: then there is an errno and no sentence. */
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	nl_socket_set_buffer_size(s->sk, RECEIVE_BUFFER, 0);
	nl_socket_set_msg_buf_size(s->sk, 65536);
	return 0;
}

void nlsock_close(struct nlsock *s)
{
	if (s->sk)
		nl_socket_free(s->sk);
	s->sk = NULL;
}

/* Copies the extended ack's text, if the kernel sent one. */
static void keep_sentence(struct nlsock *s, struct nlmsghdr *hdr, const struct nlmsgerr *err)
{
	size_t skip = sizeof(*err);
	struct nlattr *attr;
	int left;

	if (!(hdr->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(hdr->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(err->msg.nlmsg_len) - NLMSG_HDRLEN;
	if (hdr->nlmsg_len < NLMSG_HDRLEN + skip)
		return;
	left = (int)(hdr->nlmsg_len - NLMSG_HDRLEN - skip);
	attr = (struct nlattr *)((char *)NLMSG_DATA(hdr) + skip);
	attr = nla_find(attr, left, NLMSGERR_ATTR_MSG);
	if (attr)
		snprintf(s->why, sizeof(s->why), "%.*s", nla_len(attr), (char *)nla_data(attr));
}

static int on_error(struct sockaddr_nl *nla, struct nlmsgerr *err, void *arg)
{
	struct request *req = arg;
	struct nlmsghdr *hdr = (struct nlmsghdr *)((char *)err - NLMSG_HDRLEN);

	(void)nla;
	req->s->err = err->error;
	req->s->done = true;
	keep_sentence(req->s, hdr, err);
	return NL_STOP;
}

static int on_end(struct nl_msg *msg, void *arg)
{
	struct request *req = arg;
	struct nlmsghdr *hdr = nlmsg_hdr(msg);

	/* A dump may end with an error in the DONE message. */
	if (hdr->nlmsg_type == NLMSG_DONE && hdr->nlmsg_len >= NLMSG_LENGTH(sizeof(int)) &&
	    !req->s->err)
		req->s->err = *(int *)NLMSG_DATA(hdr);
	req->s->done = true;
	return NL_STOP;
}

static int on_message(struct nl_msg *msg, void *arg)
{
	struct request *req = arg;
	int err;

	if (!req->cb || req->s->err)
		return NL_SKIP;
	err = req->cb(nlmsg_hdr(msg), req->ctx);
	if (err)
		req->s->err = err;
	return NL_OK;
}

static int any_sequence(struct nl_msg *msg, void *arg)
{
	(void)msg;
	(void)arg;
	return NL_OK;
}

int nlsock_request(struct nlsock *s, struct nl_msg *msg, nlsock_msg_cb cb, void *ctx)
{
	struct request req = { .s = s, .cb = cb, .ctx = ctx };
	struct nl_cb *ncb;
	int err;

	if (!msg)
		return -ENOMEM;
	ncb = nl_cb_alloc(NL_CB_DEFAULT);
	if (!ncb) {
		nlmsg_free(msg);
		return -ENOMEM;
	}
	nl_cb_set(ncb, NL_CB_VALID, NL_CB_CUSTOM, on_message, &req);
	nl_cb_set(ncb, NL_CB_ACK, NL_CB_CUSTOM, on_end, &req);
	nl_cb_set(ncb, NL_CB_FINISH, NL_CB_CUSTOM, on_end, &req);
	if (s->mixed)
		nl_cb_set(ncb, NL_CB_SEQ_CHECK, NL_CB_CUSTOM, any_sequence, NULL);
	nl_cb_err(ncb, NL_CB_CUSTOM, on_error, &req);

	s->err = 0;
	s->done = false;
	s->why[0] = 0;
	err = nl_send_auto(s->sk, msg);
	nlmsg_free(msg);
	if (err >= 0)
		err = 0;
	while (!err && !s->done) {
		int r = nl_recvmsgs(s->sk, ncb);

		if (r < 0 && !s->done)
			err = r == -NLE_NOMEM ? -ENOMEM : -EIO;
	}
	nl_cb_put(ncb);
	if (s->done)
		return s->err;
	return err == -ENOMEM ? -ENOMEM : -EIO;
}
