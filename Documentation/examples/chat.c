// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * chat [ADDRESS]: lines you type go there, or to whoever wrote last.
 *
 * Two handles: one waits for streams for ever, the other sends. poll() watches
 * the first and the keyboard.
 */
#include <poll.h>
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct ratman_id me, token;
static struct ratman_recipient to;

static void must(const char *what, int err)
{
	if (err < 0) {
		fprintf(stderr, "chat: %s: %s\n", what, ratman_strerror(err));
		exit(1);
	}
}

static void say(struct ratman *r, const char *line, size_t len)
{
	struct ratman_send *send;
	int err = ratman_send_begin(r, &me, &token, &to, 1, &send);

	must("sending", err);
	must("sending", ratman_send_write(send, line, len));
	must("sending", ratman_send_end(send));
}

/* Prints what has come. */
static void hear(struct ratman_recv *recv)
{
	struct ratman_letterhead head;
	char buf[1000], text[80];
	ssize_t n;
	int err;

	while ((err = ratman_recv_next(recv, &head, 0)) == 1) {
		to.id = head.from;
		ratman_id_format(&head.from, text);
		printf("<%.9s> ", text);
		while ((n = ratman_recv_read(recv, buf, sizeof(buf))) > 0)
			fwrite(buf, 1, (size_t)n, stdout);
		must("receiving", (int)n);
		fflush(stdout);
	}
	if (err != RATMAN_ETIMEOUT)
		must("receiving", err);
}

int main(int argc, char **argv)
{
	struct ratman *in, *out;
	struct ratman_recv *recv;
	struct pollfd p[2] = { { .fd = STDIN_FILENO, .events = POLLIN }, { .events = POLLIN } };
	char line[1000], text[80];
	ssize_t n;

	if (argc > 1)
		must(argv[1], ratman_id_parse(argv[1], &to.id));
	must("connecting", ratman_open(&in, getenv("RATMAN_BIND"), 10000));
	must("connecting", ratman_open(&out, getenv("RATMAN_BIND"), 10000));
	must("making an address", ratman_addr_create(out, "chat", &me, &token));
	must("announcing it", ratman_addr_up(out, &me, &token));
	must("receiving", ratman_recv_begin(in, &me, &token, NULL, RATMAN_NO_LIMIT, &recv));
	p[1].fd = ratman_fd(in);
	ratman_id_format(&me, text);
	printf("You are %s\n", text);
	fflush(stdout);
	for (;;) {
		hear(recv);
		if (poll(p, 2, -1) < 0 || !p[0].revents)
			continue;
		n = read(STDIN_FILENO, line, sizeof(line));
		if (n <= 0)
			break;
		say(out, line, (size_t)n);
	}
	ratman_addr_destroy(out, &me, &token, true);
	ratman_close(in);
	ratman_close(out);
	return 0;
}
