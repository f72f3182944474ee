// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl db: looks after the store of a daemon. The work is ratmand's
 * (ratmand --db), which knows where the store is and how it is unlocked; this
 * starts it and prints what it says.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ratctl/ratctl.h"
#include "ratctl/rows.h"

/* Tried in this order; the first is what tests and odd installations set. */
#define RATMAND_ENV "RATMAND"
static const char *const programs[] = { "ratmand", "/usr/sbin/ratmand", "/usr/local/sbin/ratmand" };

struct table_row {
	char name_text[32], where_text[16];
	const char *name, *where;
	uint64_t records, damaged, value_bytes, sealed_bytes, disk_bytes;
};

struct damaged_row {
	char text[2][160];
	const char *table, *record;
};

struct answer {
	struct rows tables, damaged;
	char structure[32];
	uint64_t before, after;
};

static void become_ratmand(char **argv)
{
	const char *own = getenv(RATMAND_ENV);

	if (own && own[0]) {
		argv[0] = (char *)own;
		execvp(own, argv);
	}
	for (size_t i = 0; (!own || !own[0]) && i < sizeof(programs) / sizeof(programs[0]); i++) {
		argv[0] = (char *)programs[i];
		execvp(programs[i], argv);
	}
	fprintf(stderr, "ratctl: cannot start ratmand: %s\n", strerror(errno));
	_exit(127);
}

/* Starts ratmand with its output on a pipe; returns the reading end, or -errno. */
static int start(const char *word, const char *target, const char *dir, pid_t *pid)
{
	char *argv[8];
	int fds[2], n = 1;

	if (dir) {
		argv[n++] = (char *)"--dir";
		argv[n++] = (char *)dir;
	}
	argv[n++] = (char *)"--db";
	argv[n++] = (char *)word;
	if (target)
		argv[n++] = (char *)target;
	argv[n] = NULL;
	if (pipe(fds))
		return -errno;
	fflush(NULL);
	*pid = fork();
	if (!*pid) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		become_ratmand(argv);
	}
	close(fds[1]);
	if (*pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	return fds[0];
}

/* Takes one line apart; a line of no known form is left out. */
static void read_line(struct answer *a, const char *line)
{
	struct table_row t = { 0 };
	struct damaged_row d = { 0 };
	unsigned long long v[5];

	if (sscanf(line, "table\t%31[^\t]\t%15[^\t]\t%llu\t%llu\t%llu\t%llu\t%llu", t.name_text,
		   t.where_text, &v[0], &v[1], &v[2], &v[3], &v[4]) == 7) {
		struct table_row *row = rows_add(&a->tables);

		t.records = v[0];
		t.damaged = v[1];
		t.value_bytes = v[2];
		t.sealed_bytes = v[3];
		t.disk_bytes = v[4];
		if (row)
			*row = t;
	} else if (sscanf(line, "damaged\t%159[^\t]\t%159[^\n]", d.text[0], d.text[1]) == 2) {
		struct damaged_row *row = rows_add(&a->damaged);

		if (row)
			*row = d;
	} else if (sscanf(line, "compacted\t%llu\t%llu", &v[0], &v[1]) == 2) {
		a->before = v[0];
		a->after = v[1];
	} else {
		sscanf(line, "structure\t%31s", a->structure);
	}
}

/* Runs ratmand; CTL_OK also when it found damaged records. */
static int ask(struct ctl *ctl, const char *word, const char *target, const char *dir,
	       struct answer *a)
{
	char line[512];
	FILE *f = NULL;
	pid_t pid = -1;
	int fd, status;

	rows_init(&a->tables, sizeof(struct table_row));
	rows_init(&a->damaged, sizeof(struct damaged_row));
	fd = start(word, target, dir, &pid);
	if (fd >= 0)
		f = fdopen(fd, "r");
	if (!f)
		return ctl_fail(ctl, CTL_USER, "cannot start ratmand: %s", strerror(errno));
	while (fgets(line, sizeof(line), f))
		read_line(a, line);
	fclose(f);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	/* The rows stay where they are from now on. */
	for (size_t i = 0; i < a->tables.n; i++) {
		struct table_row *t = (struct table_row *)a->tables.items + i;

		t->name = t->name_text;
		t->where = t->where_text;
	}
	for (size_t i = 0; i < a->damaged.n; i++) {
		struct damaged_row *d = (struct damaged_row *)a->damaged.items + i;

		d->table = d->text[0];
		d->record = d->text[1];
	}
	if (a->tables.failed || a->damaged.failed)
		return ctl_fail(ctl, CTL_USER, "not enough memory");
	if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		return CTL_OK;
	/* It said why on standard error. */
	return ctl_fail(ctl, CTL_REFUSED, "db %s failed", word);
}

static void answer_free(struct answer *a)
{
	rows_free(&a->tables);
	rows_free(&a->damaged);
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int print_tables(struct ctl *ctl, const struct answer *a)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct table_row, name, "table", "TABLE", PRINT_TEXT, 0),
		PRINT_COLUMN(struct table_row, where, "environment", "IN", PRINT_TEXT, 0),
		PRINT_COLUMN(struct table_row, records, "records", "RECORDS", PRINT_U64, 0),
		PRINT_COLUMN(struct table_row, damaged, "damaged", "DAMAGED", PRINT_U64, 0),
		PRINT_COLUMN(struct table_row, value_bytes, "value_bytes", "STORED", PRINT_BYTES, 0),
		PRINT_COLUMN(struct table_row, sealed_bytes, "sealed_bytes", "SEALED", PRINT_BYTES,
			     PRINT_WIDE),
		PRINT_COLUMN(struct table_row, disk_bytes, "disk_bytes", "ON DISK", PRINT_BYTES, 0),
	};

	return print_rows(stdout, &ctl->style, columns, COUNT(columns), a->tables.items, a->tables.n,
			  a->tables.size) ? CTL_USER : CTL_OK;
}

int cmd_db_stat(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = { 0 };
	int status = ask(ctl, "stat", NULL, argc ? argv[0] : NULL, &a);

	if (!status)
		status = print_tables(ctl, &a);
	answer_free(&a);
	return status;
}

int cmd_db_verify(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct damaged_row, table, "table", "TABLE", PRINT_TEXT, 0),
		PRINT_COLUMN(struct damaged_row, record, "record", "DAMAGED RECORD", PRINT_TEXT, 0),
	};
	struct answer a = { 0 };
	int status = ask(ctl, "verify", NULL, argc ? argv[0] : NULL, &a);

	if (status)
		goto out;
	if (strcmp(a.structure, "checked") && !ctl->quiet)
		fputs("a daemon is running: records were checked, the structure only when it started\n",
		      stderr);
	if (!a.damaged.n && !ctl->style.json) {
		print_ok(stdout, &ctl->style);
	} else {
		print_rows(stdout, &ctl->style, columns, COUNT(columns), a.damaged.items, a.damaged.n,
			   a.damaged.size);
		if (a.damaged.n)
			status = CTL_REFUSED;
	}
out:
	answer_free(&a);
	return status;
}

int cmd_db_backup(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = { 0 };
	int status = ask(ctl, "backup", argv[0], argc > 1 ? argv[1] : NULL, &a);

	answer_free(&a);
	if (status)
		return status;
	print_ok(stdout, &ctl->style);
	if (!ctl->quiet && !ctl->style.json)
		fputs("the node key is not in it: keep a copy of that elsewhere\n", stderr);
	return CTL_OK;
}

int cmd_db_compact(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct answer, before, "before_bytes", "before", PRINT_BYTES, 0),
		PRINT_COLUMN(struct answer, after, "after_bytes", "after", PRINT_BYTES, 0),
	};
	struct answer a = { 0 };
	int status = ask(ctl, "compact", NULL, argc ? argv[0] : NULL, &a);

	if (!status && print_record(stdout, &ctl->style, columns, COUNT(columns), &a))
		status = CTL_USER;
	answer_free(&a);
	return status;
}

int cmd_db_rekey(struct ctl *ctl, int argc, char **argv)
{
	struct answer a = { 0 };
	int status = ask(ctl, "rekey", argv[0], argc > 1 ? argv[1] : NULL, &a);

	answer_free(&a);
	if (!status)
		print_ok(stdout, &ctl->style);
	return status;
}
