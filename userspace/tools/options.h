/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Options as a table: parsing, help and completion use the same rows.
 *
 * A command line is read in steps: the options in front of the command, then
 * (when the command is known) those behind it. So two commands may differ about
 * a letter, and a command may use one that means something else in front of it.
 */
#ifndef RATMAN_TOOLS_OPTIONS_H
#define RATMAN_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "tools/print.h"

enum option_kind {
	OPTION_FLAG,	/* sets a bool of the target */
	OPTION_TEXT,	/* keeps its argument in a const char * of the target (borrowed) */
	OPTION_OTHER,	/* goes to options_table.apply() */
};

struct option_row {
	char id;		/* names it in the option column of a command */
	char letter;		/* as in -x; 0: only the long form */
	const char *name;	/* as in --name */
	const char *arg;	/* what help calls its argument; NULL: it takes none */
	enum option_kind kind;
	size_t offset;		/* in the target; not for OPTION_OTHER */
	const char *help;
};

struct options_table {
	const char *program;
	const struct option_row *rows;	/* ends with a row without a name */
	const char *common;		/* ids that every command takes */
	/* 0, or reports what is wrong with @value and returns an exit code. */
	int (*apply)(void *target, const struct option_row *row, const char *value);
};

/* Where a reading stands; start with { argc, argv, target, style }. */
struct options_reader {
	int argc;
	char **argv;			/* argv[0] is never an argument */
	void *target;
	const struct print_style *style;	/* for what is wrong */
	bool given[128];		/* by id */
};

/*
 * Takes the options in front of the next word: the common ones, and the long
 * form of any other. Afterwards argv[1] is that word, if argc > 1. 0, or
 * reports and returns an exit code.
 */
int options_before(const struct options_table *table, struct options_reader *reader);

/* True when argument @word stands among the options, whatever stands in front of it. */
bool options_has(int argc, char *const *argv, const char *word);

/* Takes the next word. */
void options_shift(struct options_reader *reader);

/*
 * Takes all options that are left, wherever they stand; @own lists the ids that
 * the command takes beyond the common ones, whose letters come first. Behind
 * argv[0] only arguments stay. An option that @command (for people) does not
 * take is refused. 0, or reports and returns an exit code.
 */
int options_behind(const struct options_table *table, const char *own, const char *command,
		   struct options_reader *reader);

bool options_common(const struct options_table *table, const struct option_row *row);

/* Prints a line of help for each row in @ids; NULL: for each common one, or for each other. */
void options_help(FILE *f, const struct options_table *table, const char *ids, bool common);

#endif
