// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * sendfile ADDRESS FILE: sends a file of any size, 64 KiB of memory at a time.
 */
#include <errno.h>
#include <ratman/ratman.h>
#include <stdio.h>
#include <stdlib.h>

static int send_file(struct ratman *r, const struct ratman_recipient *to, FILE *file)
{
	static char buf[65536];
	struct ratman_id address, token;
	struct ratman_send *send;
	size_t n;
	int err;

	/* A sender of its own; a program with a name would keep address and token. */
	err = ratman_addr_create(r, NULL, &address, &token);
	if (!err)
		err = ratman_addr_up(r, &address, &token);
	if (!err)
		err = ratman_send_begin(r, &address, &token, to, 1, &send);
	if (err)
		return err;
	while (!err && (n = fread(buf, 1, sizeof(buf), file)) > 0)
		err = ratman_send_write(send, buf, n);
	if (ferror(file)) {
		/* Half a file is worse than none. */
		ratman_send_abort(send);
		return -EIO;
	}
	/* Also after RATMAN_ECLOSED: the end says why the daemon gave up. */
	return ratman_send_end(send);
}

int main(int argc, char **argv)
{
	struct ratman_recipient to = { .is_namespace = false };
	struct ratman *r = NULL;
	FILE *file;
	int err;

	if (argc != 3 || ratman_id_parse(argv[1], &to.id)) {
		fprintf(stderr, "usage: sendfile ADDRESS FILE\n");
		return 1;
	}
	file = fopen(argv[2], "rb");
	if (!file) {
		perror(argv[2]);
		return 1;
	}
	err = ratman_open(&r, getenv("RATMAN_BIND"), 60000);
	if (!err)
		err = send_file(r, &to, file);
	if (err)
		fprintf(stderr, "sendfile: %s %s\n", ratman_strerror(err), r ? ratman_error_text(r) : "");
	ratman_close(r);
	fclose(file);
	return err ? 1 : 0;
}
