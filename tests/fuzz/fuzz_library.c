// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libratman fed with a daemon's bytes over a socketpair: one byte of flags, one
 * that says which call is made, then what the daemon says until it hangs up. All
 * at once and byte by byte must come to the same.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libratman/handle.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	RUST = 1,		/* the daemon showed no capabilities */
	GREET = 2,		/* its bytes begin with the answer to the handshake */
	DATA_SOCKET = 4,	/* every further connection can be made */
};

#define INPUT_MAX 16384

struct run {
	struct ratman *r;
	int daemon;		/* its end of the socketpair */
	const uint8_t *at;	/* what it has not said yet */
	size_t left;
	bool slow;
	bool ended;
	uint64_t digest;	/* of all results */
};

static bool can_connect;
static int other_end = -1;

/* In place of libc's: bytes of a fuzzer must not reach the network. */
int connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	int pair[2];

	(void)addr;
	(void)len;
	if (!can_connect) {
		errno = ECONNREFUSED;
		return -1;
	}
	if (other_end >= 0)
		close(other_end);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) ||
	    dup2(pair[0], fd) < 0)
		abort();
	close(pair[0]);
	other_end = pair[1];
	shutdown(other_end, SHUT_WR);
	return 0;
}

static void note(struct run *run, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (size_t i = 0; i < len; i++)
		run->digest = (run->digest ^ p[i]) * 0x100000001b3u;
}

/* The daemon says more, or hangs up. */
static void feed(struct run *run)
{
	size_t n = run->slow && run->left ? 1 : run->left;

	if (n && write(run->daemon, run->at, n) != (ssize_t)n && errno != EPIPE)
		abort();
	run->at += n;
	run->left -= n;
	if (!run->left && !run->ended) {
		shutdown(run->daemon, SHUT_WR);
		run->ended = true;
	}
}

/* False when the call is through; a call that waits for nothing would never be. */
static bool again(struct run *run, int64_t result)
{
	if (result == RATMAN_EAGAIN) {
		if (run->ended)
			abort();
		feed(run);
		return true;
	}
	note(run, &result, sizeof(result));
	if (result < 0) {
		const char *text = ratman_error_text(run->r);

		note(run, text, strlen(text));
	}
	return false;
}

static void list_addresses(struct run *run)
{
	struct ratman_id *ids = NULL;
	size_t n;
	int err;

	while (again(run, err = ratman_addr_list(run->r, &ids, &n)))
		;
	if (!err)
		note(run, ids, n * sizeof(*ids));
	ratman_free(ids);
}

static void list_peers(struct run *run)
{
	struct ratman_peer *peers = NULL;
	size_t n;
	int err;

	while (again(run, err = ratman_peer_list(run->r, &peers, &n)))
		;
	for (size_t i = 0; !err && i < n; i++) {
		note(run, &peers[i].address, sizeof(peers[i].address));
		note(run, &peers[i].first_seen_ns, sizeof(peers[i].first_seen_ns));
	}
	ratman_free(peers);
}

static void ask_status(struct run *run)
{
	struct ratman_status status;
	int err;

	while (again(run, err = ratman_status(run->r, &status)))
		;
	if (!err)
		note(run, &status, sizeof(status));
}

static void create(struct run *run)
{
	struct ratman_id address, token;
	int err;

	while (again(run, err = ratman_addr_create(run->r, "bob", &address, &token)))
		;
	if (!err) {
		note(run, &address, sizeof(address));
		note(run, &token, sizeof(token));
	}
}

static void up(struct run *run)
{
	struct ratman_id id = { "1" };

	while (again(run, ratman_addr_up(run->r, &id, &id)))
		;
}

static void sending(struct run *run)
{
	struct ratman_recipient to[2] = { 0 };
	struct ratman_id id = { "1" };
	struct ratman_send *s;
	ssize_t n;
	int err;

	while (again(run, err = ratman_send_begin(run->r, &id, &id, to, 1, &s)))
		;
	if (err)
		return;
	/* Whether bytes still fit is the other side's doing, not the daemon's words. */
	n = ratman_send_some(s, "hello", 5);
	if (n != 5) {
		ratman_send_abort(s);
		return;
	}
	while (again(run, ratman_send_end(s)))
		;
}

static void receiving(struct run *run)
{
	struct ratman_letterhead head;
	struct ratman_id id = { "1" };
	struct ratman_recv *v;
	char buf[512];
	ssize_t n;
	int err;

	while (again(run, err = ratman_recv_begin(run->r, &id, &id, NULL, 3, &v)))
		;
	if (err)
		return;
	for (int i = 0; i < 4; i++) {
		while (again(run, err = ratman_recv_next(v, &head, 0)))
			;
		if (err != 1)
			break;
		note(run, &head.stream_size, sizeof(head.stream_size));
		/* Every second stream is skipped. */
		do {
			n = i & 1 ? 0 : ratman_recv_read(v, buf, sizeof(buf));
			if (n > 0)
				note(run, buf, (size_t)n);
			else if (n == RATMAN_EAGAIN)
				again(run, n);
		} while (n > 0 || n == RATMAN_EAGAIN);
		again(run, n);
	}
	ratman_recv_end(v);
}

static void note_text(struct run *run, const char *text)
{
	if (text)
		note(run, text, strlen(text));
}

static void query_contacts(struct run *run)
{
	struct ratman_contact *contacts = NULL;
	struct ratman_id id = { "1" };
	size_t n;
	int err;

	while (again(run, err = ratman_contact_query(run->r, &id, NULL, &contacts, &n)))
		;
	for (size_t i = 0; !err && i < n; i++) {
		note(run, &contacts[i].address, sizeof(contacts[i].address));
		note_text(run, contacts[i].nick);
		note_text(run, contacts[i].location);
		note_text(run, contacts[i].note);
		for (size_t k = 0; k < contacts[i].n_tags; k++) {
			note_text(run, contacts[i].tags[k].key);
			note_text(run, contacts[i].tags[k].value);
		}
	}
	ratman_free(contacts);
}

static void list_links(struct run *run)
{
	struct ratman_link *links = NULL;
	size_t n;
	int err;

	while (again(run, err = ratman_link_list(run->r, &links, &n)))
		;
	for (size_t i = 0; !err && i < n; i++) {
		note_text(run, links[i].driver);
		note_text(run, links[i].address);
		note(run, &links[i].neighbour, sizeof(links[i].neighbour));
	}
	ratman_free(links);
}

static void list_users(struct run *run)
{
	struct ratman_profile *users = NULL;
	size_t n;
	int err;

	while (again(run, err = ratman_user_list(run->r, RATMAN_USERS_ALL, 0, 9, &users, &n)))
		;
	for (size_t i = 0; !err && i < n; i++) {
		note(run, &users[i].id, sizeof(users[i].id));
		note_text(run, users[i].handle);
		note_text(run, users[i].display_name);
		note(run, users[i].avatar, users[i].avatar_len);
		for (size_t k = 0; k < users[i].n_bio; k++) {
			note_text(run, users[i].bio[k].key);
			note_text(run, users[i].bio[k].value);
		}
		for (size_t k = 0; k < users[i].n_services; k++)
			note_text(run, users[i].services[k]);
	}
	ratman_free(users);
}

static uint64_t talk(const uint8_t *data, size_t size, bool slow)
{
	/* The corpus counts on this order. */
	static void (*const calls[])(struct run *) = {
		list_addresses, list_peers, ask_status, create, up, sending, receiving,
		query_contacts, list_links, list_users,
	};
	struct run run = { .at = data + 2, .left = size - 2, .slow = slow };
	int pair[2];

	if (ratman_new(&run.r, NULL) ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair))
		abort();
	ratman_set_nonblocking(run.r, true);
	run.daemon = pair[1];
	run.r->fd = pair[0];
	run.r->link = data[0] & GREET ? LINK_GREETING : LINK_UP;
	run.r->extended = !(data[0] & RUST);
	can_connect = data[0] & DATA_SOCKET;
	calls[data[1] % (sizeof(calls) / sizeof(calls[0]))](&run);
	ratman_close(run.r);
	close(run.daemon);
	return run.digest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t fast, slow;

	if (size < 2 || size > INPUT_MAX)
		return 0;
	fast = talk(data, size, false);
	slow = talk(data, size, true);
	/* An answer that is there before its question is dropped; byte by byte it cannot be. */
	if (fast != slow && !(data[0] & GREET))
		abort();
	return 0;
}
