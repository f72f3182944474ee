// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * recvfile FILE: prints an address, waits for one stream to it, and keeps that.
 */
#include <errno.h>
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>

static int recv_file(struct ratman *r, FILE *file)
{
	static char buf[65536];
	struct ratman_id address, token;
	struct ratman_letterhead head;
	struct ratman_recv *recv;
	char text[80];
	ssize_t n = 0;
	int err;

	err = ratman_addr_create(r, NULL, &address, &token);
	if (!err)
		err = ratman_addr_up(r, &address, &token);
	if (!err)
		err = ratman_recv_begin(r, &address, &token, NULL, 1, &recv);
	if (err)
		return err;
	ratman_id_format(&address, text);
	puts(text);
	fflush(stdout);

	err = ratman_recv_next(recv, &head, -1);
	while (err == 1 && (n = ratman_recv_read(recv, buf, sizeof(buf))) > 0) {
		if (fwrite(buf, 1, (size_t)n, file) != (size_t)n)
			err = -EIO;
	}
	ratman_recv_end(recv);
	return err != 1 ? err : (int)n;
}

int main(int argc, char **argv)
{
	FILE *file = argc == 2 ? fopen(argv[1], "wb") : NULL;
	struct ratman *r = NULL;
	int err;

	if (!file) {
		perror(argc == 2 ? argv[1] : "usage: recvfile FILE");
		return 1;
	}
	err = ratman_open(&r, getenv("RATMAN_BIND"), 60000);
	if (!err)
		err = recv_file(r, file);
	if (fclose(file) && !err)
		err = -EIO;
	if (err)
		fprintf(stderr, "recvfile: %s %s\n", ratman_strerror(err), r ? ratman_error_text(r) : "");
	ratman_close(r);
	return err ? 1 : 0;
}
