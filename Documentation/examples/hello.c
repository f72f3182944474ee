// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * hello: makes an address, sends a greeting to it, and receives that.
 *
 *   cc hello.c $(pkg-config --cflags --libs libratman) -o hello && ./hello
 */
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>

static struct ratman *r;

/* Ends the program when @err says that a call failed. */
static void must(const char *what, int err)
{
	if (err >= 0)
		return;
	fprintf(stderr, "hello: %s: %s %s\n", what, ratman_strerror(err), r ? ratman_error_text(r) : "");
	ratman_close(r);
	exit(1);
}

int main(void)
{
	struct ratman_id address, token;
	struct ratman_letterhead head;
	struct ratman_recipient to;
	struct ratman_send *send;
	struct ratman_recv *recv;
	char buf[100];
	ssize_t n;

	must("connecting", ratman_open(&r, getenv("RATMAN_BIND"), 10000));
	must("making an address", ratman_addr_create(r, "hello", &address, &token));
	must("announcing it", ratman_addr_up(r, &address, &token));

	to = (struct ratman_recipient){ address, false };
	must("sending", ratman_send_begin(r, &address, &token, &to, 1, &send));
	must("sending", ratman_send_write(send, "Hello, mesh!", 12));
	must("sending", ratman_send_end(send));

	must("receiving", ratman_recv_begin(r, &address, &token, NULL, 1, &recv));
	must("receiving", ratman_recv_next(recv, &head, 10000));
	while ((n = ratman_recv_read(recv, buf, sizeof(buf))) > 0)
		fwrite(buf, 1, (size_t)n, stdout);
	must("receiving", (int)n);
	putchar('\n');
	ratman_recv_end(recv);

	must("removing it", ratman_addr_destroy(r, &address, &token, true));
	ratman_close(r);
	return 0;
}
