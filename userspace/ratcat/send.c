// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratcat send: a file or standard input becomes one stream, or one for each chunk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "ratcat/interrupt.h"
#include "ratcat/ratcat.h"

/* What is sent. Never more than one buffer of it is in memory. */
struct input {
	int fd;
	const char *name;
	char buf[CAT_CHUNK];
	size_t pos, len;
	bool eof;			/* a terminal says so only once */
	uint64_t done;			/* bytes taken */
	uint64_t streams;		/* sent whole */
	struct term_progress progress;
};

/* Makes at least one byte ready, unless the input is at its end. A negative errno on failure. */
static int input_fill(struct input *in)
{
	ssize_t n;

	if (interrupt_pending())
		return -EINTR;
	if (in->pos < in->len || in->eof)
		return 0;
	do {
		n = read(in->fd, in->buf, sizeof(in->buf));
	} while (n < 0 && errno == EINTR && !interrupt_pending());
	if (n < 0)
		return -errno;
	/* Ctrl-C also ends whoever feeds us: such an end of the input is none. */
	if (interrupt_pending())
		return -EINTR;
	in->eof = !n;
	in->pos = 0;
	in->len = (size_t)n;
	return 0;
}

static int input_failed(const struct cat *cat, const struct input *in, int err)
{
	char before[64] = "nothing was sent";

	if (in->streams)
		snprintf(before, sizeof(before), "%" PRIu64 " %s before", in->streams,
			 in->streams == 1 ? "stream was sent" : "streams were sent");
	if (interrupt_pending())
		return cat_fail(cat, EXIT_USER, "interrupted; %s", before);
	return cat_fail(cat, EXIT_USER, "cannot read %s: %s; %s", in->name, strerror(-err), before);
}

/* Moves up to @limit bytes into @send. 0, a library error, or with *@read_err an errno of the input. */
static int fill_stream(struct input *in, struct ratman_send *send, uint64_t limit, int *read_err)
{
	int err = 0;

	while (limit && !err) {
		size_t n;

		*read_err = input_fill(in);
		n = in->len - in->pos;
		if (*read_err || !n)
			break;
		if (n > limit)
			n = (size_t)limit;
		err = ratman_send_write(send, in->buf + in->pos, n);
		in->pos += n;
		in->done += n;
		limit -= n;
		term_progress_update(&in->progress, in->done);
	}
	return err;
}

/* One stream of at most @limit bytes; there is at least one byte. */
static int send_stream(struct cat *cat, const struct ratman_recipient *to, size_t n,
		       struct input *in, uint64_t limit)
{
	struct ratman_send *send;
	bool ended = false;
	int err, read_err = 0;

	err = ratman_send_begin(cat->r, &cat->address, &cat->token, to, n, &send);
	if (!err) {
		err = fill_stream(in, send, limit, &read_err);
		/* A daemon that gave up tells why at the end. */
		if (read_err || (err && err != RATMAN_ECLOSED)) {
			ratman_send_abort(send);
		} else {
			int end = ratman_send_end(send);

			ended = true;
			err = end ? end : err;
		}
	}
	if (!err && !read_err) {
		in->streams++;
		return EXIT_OK;
	}
	term_progress_end(&in->progress);
	if (ended && interrupt_pending())
		return cat_fail(cat, EXIT_USER,
				"interrupted while the daemon stored the stream: it will be sent");
	if (read_err || interrupt_pending())
		return input_failed(cat, in, read_err);
	return cat_api_failed(cat, "sending", err);
}

static int send_all(struct cat *cat, const struct ratman_recipient *to, size_t n, struct input *in)
{
	uint64_t limit = cat->chunk_size ? cat->chunk_size : UINT64_MAX;
	uint64_t total = 0;
	struct stat st;
	int err, ret = EXIT_OK;

	if (!fstat(in->fd, &st) && S_ISREG(st.st_mode))
		total = (uint64_t)st.st_size;
	term_progress_start(&in->progress, cat->quiet ? TERM_NEVER : cat->progress, "sending", total);
	/* From here on the daemon sets the pace; a stuck one is noticed by its connection. */
	ratman_set_timeout(cat->r, -1);
	while (!ret) {
		/* Know that there is something before the daemon is asked to take it. */
		err = input_fill(in);
		if (err)
			ret = input_failed(cat, in, err);
		if (err || in->pos == in->len)
			break;
		ret = send_stream(cat, to, n, in, limit);
	}
	term_progress_end(&in->progress);
	if (ret)
		return ret;
	if (!in->streams)
		return cat_fail(cat, EXIT_USER, "%s is empty: there is nothing to send", in->name);
	return print_ok(stdout, &cat->style) ? EXIT_USER : EXIT_OK;
}

/* The list of -a or -s: commas between, blanks around. */
static int resolve_list(const struct cat *cat, struct ratman_recipient *to, size_t *n)
{
	char *copy = strdup(cat->addresses ? cat->addresses : cat->namespaces);
	int ret = copy ? EXIT_OK : cat_fail(cat, EXIT_USER, "out of memory");
	char *save = NULL;

	*n = 0;
	for (char *s = copy ? strtok_r(copy, ",", &save) : NULL; s && !ret;
	     s = strtok_r(NULL, ",", &save)) {
		size_t len;

		s += strspn(s, " \t\n");
		len = strlen(s);
		while (len && strchr(" \t\n", s[len - 1]))
			s[--len] = '\0';
		if (!len)
			continue;
		if (*n == LIMIT_RECIPIENTS) {
			ret = cat_fail(cat, EXIT_USER, "at most %d recipients at once",
				       LIMIT_RECIPIENTS);
			break;
		}
		to[*n].is_namespace = cat->namespaces != NULL;
		ret = cat_resolve(cat, s, &to[*n].id);
		(*n)++;
	}
	if (!ret && !*n)
		ret = cat_fail(cat, EXIT_USER, "the list of recipients is empty");
	free(copy);
	return ret;
}

int cmd_send(struct cat *cat, int argc, char **argv)
{
	struct ratman_recipient to[LIMIT_RECIPIENTS];
	static struct input in;
	size_t n = 0;
	int ret;

	if (!cat->addresses == !cat->namespaces)
		return cat_fail(cat, EXIT_USER, "say to whom: -a LIST or -s LIST, one of them");
	in = (struct input){ .fd = STDIN_FILENO, .name = "standard input" };
	if (argc && strcmp(argv[0], "-")) {
		in.name = argv[0];
		in.fd = open(in.name, O_RDONLY | O_CLOEXEC);
		if (in.fd < 0)
			return cat_fail(cat, EXIT_USER, "cannot open %s: %s", in.name,
					strerror(errno));
	}
	ret = cat_open(cat);
	if (!ret)
		ret = resolve_list(cat, to, &n);
	if (!ret)
		ret = send_all(cat, to, n, &in);
	if (in.fd != STDIN_FILENO)
		close(in.fd);
	return ret;
}
