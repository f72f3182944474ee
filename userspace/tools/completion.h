/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tab completion for bash, written from the tables that the program itself uses.
 */
#ifndef RATMAN_TOOLS_COMPLETION_H
#define RATMAN_TOOLS_COMPLETION_H

#include <stddef.h>
#include <stdio.h>

#include "tools/options.h"

/* One command; all strings borrowed. */
struct completion_command {
	const char *noun;
	const char *verb;	/* NULL: the noun alone */
	const char *args;	/* "LINK ROUTER", "[FILE]": the words say what is offered, see completion.c */
	const char *options;	/* ids beyond the common ones */
};

/*
 * Writes a bash script that completes the program of @table: its words, its
 * options, and what these take: files, interfaces, profiles, addresses that the
 * daemon knows, or the words of "a|b|c". It needs nothing but bash, and ratctl
 * for the addresses.
 */
void completion_bash(FILE *f, const struct options_table *table,
		     const struct completion_command *commands, size_t n);

#endif
