// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * loop [N]: an event loop that sends N messages to itself while it receives them,
 * in one thread and without ever waiting anywhere but in poll().
 */
#include <poll.h>
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ratman_id me, token;

static int must(int err)
{
	if (err < 0 && err != RATMAN_EAGAIN) {
		fprintf(stderr, "loop: %s\n", ratman_strerror(err));
		exit(1);
	}
	return err;
}

/* One step of sending; 0 when a message is through. */
static int sender(struct ratman *r)
{
	static const char text[] = "tick";
	static struct ratman_send *send;
	static size_t done;
	struct ratman_recipient to = { me, false };
	int n = 0;

	if (!send)
		n = must(ratman_send_begin(r, &me, &token, &to, 1, &send));
	while (n >= 0 && done < strlen(text)) {
		n = must((int)ratman_send_some(send, text + done, strlen(text) - done));
		done += n > 0 ? (size_t)n : 0;
	}
	if (n >= 0)
		n = must(ratman_send_end(send));
	if (n == RATMAN_EAGAIN)
		return n;
	send = NULL;
	done = 0;
	return 0;
}

/* One step of receiving; 0 when a message is through. */
static int receiver(struct ratman *r)
{
	static struct ratman_recv *recv;
	static int reading;
	struct ratman_letterhead head;
	char buf[100];
	int n = 1;

	if (!recv)
		n = must(ratman_recv_begin(r, &me, &token, NULL, RATMAN_NO_LIMIT, &recv));
	if (n >= 0 && !reading)
		n = must(ratman_recv_next(recv, &head, 0));
	while (n > 0) {
		reading = 1;
		n = must((int)ratman_recv_read(recv, buf, sizeof(buf)));
	}
	if (n == RATMAN_EAGAIN)
		return n;
	reading = 0;
	return 0;
}

int main(int argc, char **argv)
{
	int left = argc > 1 ? atoi(argv[1]) : 10, coming = left, n = left;
	struct pollfd p[2];
	struct ratman *r[2];

	for (int i = 0; i < 2; i++)
		must(ratman_open(&r[i], getenv("RATMAN_BIND"), 10000));
	must(ratman_addr_create(r[0], NULL, &me, &token));
	must(ratman_addr_up(r[0], &me, &token));
	for (int i = 0; i < 2; i++) {
		ratman_set_nonblocking(r[i], true);
		p[i] = (struct pollfd){ .fd = ratman_fd(r[i]), .events = POLLIN };
	}
	while (left || coming) {
		while (coming && !receiver(r[1]))
			coming--;
		while (left && !sender(r[0]))
			left--;
		if (left || coming)
			poll(p, 2, -1);
	}
	printf("%d messages\n", n);
	ratman_close(r[0]);
	ratman_close(r[1]);
	return 0;
}
