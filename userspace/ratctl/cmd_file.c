// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl file: files of the identity's address, kept by the daemon. How others get them
 * is in cmd_file_share.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ratctl/export.h"
#include "ratctl/file.h"
#include "ratctl/pick.h"
#include "ratctl/watch.h"
#include "tools/output.h"
#include "tools/term.h"

#define CHUNK 65536

static int need_user(struct ctl *ctl, struct file_owner *o)
{
	return ctl_need_owner(ctl, &o->user, &o->token);
}

/* Rows ------------------------------------------------------------------------- */

struct file_row {
	struct address id, owner, previous;
	const char *name, *state;
	uint64_t size, local;
	bool stalled;
	int64_t time_ns;
};

static const char *const state_names[] = { NULL, "local", "available", "arriving", "advertised" };

#define N_STATES (sizeof(state_names) / sizeof(state_names[0]))

static const struct print_column columns[] = {
	PRINT_COLUMN(struct file_row, id, "id", "FILE", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct file_row, name, "name", "NAME", PRINT_TEXT, 0),
	PRINT_COLUMN(struct file_row, state, "state", "STATE", PRINT_TEXT, 0),
	PRINT_COLUMN(struct file_row, size, "size", "SIZE", PRINT_BYTES, 0),
	PRINT_COLUMN(struct file_row, local, "local", "HERE", PRINT_BYTES, 0),
	PRINT_COLUMN(struct file_row, stalled, "stalled", "STALLED", PRINT_BOOL, PRINT_OPTIONAL),
	PRINT_COLUMN(struct file_row, owner, "owner", "OWNER", PRINT_ADDRESS, PRINT_OPTIONAL),
	PRINT_COLUMN(struct file_row, previous, "previous", "PREVIOUS", PRINT_ADDRESS,
		     PRINT_WIDE | PRINT_OPTIONAL),
	PRINT_COLUMN(struct file_row, time_ns, "time", "TIME", PRINT_TIME, PRINT_WIDE),
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

/* Borrows the name. */
static struct file_row make_row(const struct ratman_file *f)
{
	struct file_row row = {
		.name = f->name, .size = f->size, .local = f->local_bytes, .stalled = f->stalled,
		.time_ns = f->time_ns,
		.state = (size_t)f->state < N_STATES ? state_names[f->state] : NULL,
	};

	memcpy(row.id.b, f->id.b, sizeof(row.id.b));
	memcpy(row.owner.b, f->owner.b, sizeof(row.owner.b));
	memcpy(row.previous.b, f->previous.b, sizeof(row.previous.b));
	return row;
}

static int by_name(const void *a, const void *b)
{
	const struct ratman_file *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : memcmp(x->id.b, y->id.b, sizeof(x->id.b));
}

/* Which file is meant ---------------------------------------------------------------- */

/* By id, by a unique beginning of it, by what tables show of it, or by name. */
static int need_file(struct ctl *ctl, const struct file_owner *o, const char *text,
		     struct ratman_id *out)
{
	struct ratman_file *list;
	struct pick pick;
	size_t n;
	int err;

	/* A whole id needs no list, and may be one that nobody announced. */
	if (pick_begin(&pick, text, out))
		return CTL_OK;
	err = ratman_file_list(ctl->api, &o->user, &o->token, RATMAN_FILE_ANY, NULL, &list, &n);
	if (err)
		return ctl_owner_failed(ctl, "listing files", err);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(list[i].name, text))
			pick_take(&pick, &list[i].id);
		else
			pick_try(&pick, &list[i].id);
	}
	ratman_free(list);
	return pick_end(ctl, &pick, "no file has this name, or an id that begins so:",
			"ratctl file list", out);
}

int file_prepare(struct ctl *ctl, const char *text, struct file_owner *o, struct ratman_id *id)
{
	int status = need_user(ctl, o);

	if (!status)
		status = need_file(ctl, o, text, id);
	if (status)
		sodium_memzero(&o->token, sizeof(o->token));
	return status;
}

/* Looking -------------------------------------------------------------------------- */

int cmd_file_list(struct ctl *ctl, int argc, char **argv)
{
	size_t n, state = 0;
	struct ratman_file *list;
	struct file_row *rows;
	struct file_owner o;
	int err, status;

	while (ctl->state && ++state < N_STATES && strcmp(ctl->state, state_names[state]))
		;
	if (state == N_STATES)
		return ctl_fail(ctl, CTL_USER,
				"--state %s: must be local, available, arriving or advertised",
				ctl->state);
	status = need_user(ctl, &o);
	if (status)
		return status;
	err = ratman_file_list(ctl->api, &o.user, &o.token, (enum ratman_file_state)state,
			       argc ? argv[0] : NULL, &list, &n);
	sodium_memzero(&o.token, sizeof(o.token));
	if (err)
		return ctl_owner_failed(ctl, "listing files", err);
	qsort(list, n, sizeof(*list), by_name);
	rows = calloc(n + 1, sizeof(*rows));
	for (size_t i = 0; rows && i < n; i++)
		rows[i] = make_row(&list[i]);
	if (!rows || print_rows(stdout, &ctl->style, columns, N_COLUMNS, rows, n, sizeof(*rows)))
		status = ctl_fail(ctl, CTL_USER, "out of memory");
	free(rows);
	ratman_free(list);
	return status;
}

int cmd_file_show(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_file file;
	struct file_row row;
	struct ratman_id id;
	struct file_owner o;
	int err, status = file_prepare(ctl, argv[0], &o, &id);

	(void)argc;
	if (status)
		return status;
	err = ratman_file_status(ctl->api, &o.user, &o.token, &id, &file);
	sodium_memzero(&o.token, sizeof(o.token));
	if (err)
		return ctl_owner_failed(ctl, "asking for the file", err);
	row = make_row(&file);
	print_record(stdout, &ctl->style, columns, N_COLUMNS, &row);
	return CTL_OK;
}

static int next_change(struct ctl *ctl, struct ratman_sub *sub, int timeout_ms, int *status)
{
	struct ratman_file file;
	int err = ratman_sub_file(sub, &file, timeout_ms);

	if (err == 1) {
		struct file_row row = make_row(&file);

		if (print_line(stdout, &ctl->style, columns, N_COLUMNS, &row))
			*status = CTL_USER;
	}
	return err;
}

int cmd_file_watch(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_subscription where;
	struct file_owner o;
	const struct watch w = {
		.what = "watching files", .next = next_change,
		.else_ended = "what came was not read for too long",
		.address = &o.user, .token = &o.token,
	};
	int err, status = need_user(ctl, &o);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	watch_signals();
	err = ratman_file_sub(ctl->api, &o.user, &o.token, &where);
	status = err ? ctl_owner_failed(ctl, w.what, err) : watch_run(ctl, &w, &where);
	sodium_memzero(&o.token, sizeof(o.token));
	return status;
}

/* Packing -------------------------------------------------------------------------- */

struct input {
	int fd;
	const char *path;
	uint64_t size;		/* 0: not known */
};

static int open_input(struct ctl *ctl, const char *path, struct input *in)
{
	struct stat st;

	*in = (struct input){ .fd = STDIN_FILENO, .path = "standard input" };
	if (strcmp(path, "-")) {
		in->path = path;
		in->fd = open(path, O_RDONLY | O_CLOEXEC);
		if (in->fd < 0)
			return ctl_fail(ctl, CTL_USER, "cannot open %s: %s", path, strerror(errno));
	}
	if (fstat(in->fd, &st))
		return CTL_OK;
	if (S_ISREG(st.st_mode) && !st.st_size)
		return ctl_fail(ctl, CTL_USER, "%s is empty: a file has at least one byte", in->path);
	if (S_ISDIR(st.st_mode))
		return ctl_fail(ctl, CTL_USER, "%s is a directory; pack it first, for example with tar",
				in->path);
	/* What is not at its beginning, or grows, has another size: the daemon counts itself. */
	if (S_ISREG(st.st_mode))
		in->size = (uint64_t)st.st_size;
	return CTL_OK;
}

struct packed_row {
	struct address id;
	uint64_t size;
};

static void print_packed(const struct ctl *ctl, const struct ratman_id *id, uint64_t size)
{
	static const struct print_column packed[] = {
		PRINT_COLUMN(struct packed_row, id, "id", "file", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct packed_row, size, "size", "size", PRINT_BYTES, 0),
	};
	struct packed_row row = { .size = size };
	char text[ADDRESS_TEXT_LEN];

	memcpy(row.id.b, id->b, sizeof(row.id.b));
	if (ctl->style.json || ctl->style.lines)
		print_record(stdout, &ctl->style, packed, 2, &row);
	else
		puts(address_format(&row.id, text));
}

/* Moves all of the input into the file that was begun; ends it. */
static int fill(struct ctl *ctl, struct input *in, struct ratman_send *send)
{
	struct term_progress progress;
	struct ratman_id id;
	uint64_t done = 0;
	static uint8_t buf[CHUNK];
	ssize_t n = 0;
	int err = 0;

	ratman_set_timeout(ctl->api, -1);
	term_progress_start(&progress, ctl->quiet ? TERM_NEVER : TERM_AUTO, "packing", in->size);
	while (!err && (n = read(in->fd, buf, sizeof(buf))) > 0) {
		err = ratman_send_write(send, buf, (size_t)n);
		done += (uint64_t)n;
		term_progress_update(&progress, done);
	}
	sodium_memzero(buf, sizeof(buf));
	term_progress_end(&progress);
	if (n < 0) {
		err = errno;
		ratman_send_abort(send);
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s; nothing was kept", in->path,
				strerror(err));
	}
	if (!err || err == RATMAN_ECLOSED) {
		/* A daemon that gave up tells why at the end. */
		err = ratman_file_finish(send, &id, NULL);
	} else {
		ratman_send_abort(send);
	}
	if (err)
		return ctl_owner_failed(ctl, "packing the file", err);
	print_packed(ctl, &id, done);
	return CTL_OK;
}

/* What the file is called: --name, or the last part of the path. */
static const char *name_of(const struct ctl *ctl, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (ctl->name)
		return ctl->name;
	return slash ? slash + 1 : path;
}

int cmd_file_add(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_send *send;
	struct input in = { .fd = STDIN_FILENO };
	struct file_owner o;
	int err, status = CTL_OK;

	(void)argc;
	if (!strcmp(argv[0], "-") && !ctl->name)
		return ctl_fail(ctl, CTL_USER,
				"what is it to be called? For example: ratctl file add - --name NAME");
	status = open_input(ctl, argv[0], &in);
	if (!status)
		status = need_user(ctl, &o);
	if (!status) {
		err = ratman_file_create(ctl->api, &o.user, &o.token, name_of(ctl, argv[0]),
					 ctl->mime, 0, &send);
		sodium_memzero(&o.token, sizeof(o.token));
		if (err == -EINVAL)
			status = ctl_fail(ctl, CTL_USER,
					  "'%s' is no name for a file (at most 255 bytes of printable text without '/'), or --mime no type",
					  name_of(ctl, argv[0]));
		else
			status = err ? ctl_owner_failed(ctl, "packing the file", err) :
				       fill(ctl, &in, send);
	}
	if (in.fd > STDIN_FILENO)
		close(in.fd);
	return status;
}

int cmd_file_update(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_send *send;
	struct input in = { .fd = STDIN_FILENO };
	struct ratman_id old;
	struct file_owner o;
	int err, status = open_input(ctl, argv[1], &in);

	(void)argc;
	if (!status)
		status = file_prepare(ctl, argv[0], &o, &old);
	if (!status) {
		err = ratman_file_update(ctl->api, &o.user, &o.token, &old, 0, &send);
		sodium_memzero(&o.token, sizeof(o.token));
		status = err ? ctl_owner_failed(ctl, "updating the file", err) :
			       fill(ctl, &in, send);
	}
	if (in.fd > STDIN_FILENO)
		close(in.fd);
	return status;
}

/* Writing to a file ------------------------------------------------------------------- */

static int copy_content(struct ctl *ctl, const struct file_owner *o, const struct ratman_id *id)
{
	struct term_progress progress;
	struct ratman_file_get *get;
	static uint8_t buf[CHUNK];
	uint64_t size, done = 0;
	int err, status = CTL_OK;
	ssize_t n;

	err = ratman_file_get_begin(ctl->api, &o->user, &o->token, id, &size, &get);
	if (err)
		return ctl_owner_failed(ctl, "reading the file", err);
	term_progress_start(&progress, ctl->quiet ? TERM_NEVER : TERM_AUTO, "writing", size);
	do {
		n = ratman_file_get_read(get, buf, sizeof(buf));
		if (n > 0)
			status = export_write(ctl, buf, (size_t)n);
		done += n > 0 ? (uint64_t)n : 0;
		term_progress_update(&progress, done);
	} while (n > 0 && !status);
	sodium_memzero(buf, sizeof(buf));
	term_progress_end(&progress);
	ratman_file_get_end(get);
	if (status)
		return status;
	return n < 0 ? ctl_owner_failed(ctl, "reading the file", (int)n) : CTL_OK;
}

int cmd_file_get(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id;
	struct file_owner o;
	int status;

	(void)argc;
	if (!ctl->output)
		return ctl_fail(ctl, CTL_USER,
				"where shall it be written, in clear? For example: ratctl file get %s -o FILE",
				argv[0]);
	ctl->style.stdout_is_data = output_is_stdout(ctl->output);
	status = file_prepare(ctl, argv[0], &o, &id);
	if (status)
		return status;
	status = export_open(ctl, ctl->output, true);
	if (!status)
		status = copy_content(ctl, &o, &id);
	sodium_memzero(&o.token, sizeof(o.token));
	if (!status)
		status = export_keep(ctl);
	export_end();
	if (!status && !ctl->style.stdout_is_data)
		print_ok(stdout, &ctl->style);
	return status;
}

int cmd_file_del(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id;
	struct file_owner o;
	int err, status = file_prepare(ctl, argv[0], &o, &id);

	(void)argc;
	if (status)
		return status;
	err = ratman_file_delete(ctl->api, &o.user, &o.token, &id);
	sodium_memzero(&o.token, sizeof(o.token));
	if (err)
		return ctl_owner_failed(ctl, "deleting the file", err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}
