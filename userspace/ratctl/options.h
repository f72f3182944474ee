/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of ratctl, as a table: help, completion and parsing use the same rows.
 */
#ifndef RATCTL_OPTIONS_H
#define RATCTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct ctl;

enum ctl_option_kind {
	CTL_OPTION_FLAG,	/* sets a bool of struct ctl */
	CTL_OPTION_TEXT,	/* keeps its argument in a const char * of struct ctl (borrowed) */
	CTL_OPTION_OTHER,	/* see options_apply() */
};

struct ctl_option {
	char id;		/* names it in the options column of the command table */
	char letter;		/* as in -x, 0: only the long form; two commands may differ about one */
	const char *name;	/* as in --name */
	const char *arg;	/* what help calls its argument; NULL: it takes none */
	enum ctl_option_kind kind;
	size_t offset;		/* in struct ctl; not for CTL_OPTION_OTHER */
	const char *help;
};

/* Ends with a row without a name. */
extern const struct ctl_option ctl_options[];

/* True when every command takes it. */
bool option_is_common(const struct ctl_option *o);

/* Which options were given, by id. */
struct options_given {
	bool id[128];
};

/*
 * Takes the options in front of the next word: those that every command takes,
 * and the long form of any other. *argc and *argv lose what was taken; argv[0]
 * stays what it was (getopt wants one). CTL_OK, or reports and returns another status.
 */
int options_before(struct ctl *ctl, int *argc, char ***argv, struct options_given *given);

/*
 * Takes all options that are left, wherever they stand; @own lists the ids that
 * the command takes beyond the common ones. Behind argv[0] only arguments stay.
 */
int options_behind(struct ctl *ctl, const char *own, int *argc, char ***argv,
		   struct options_given *given);

#endif
