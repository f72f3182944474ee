/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Exit codes, and telling people what failed and what to do about it.
 */
#ifndef RATMAN_TOOLS_REPORT_H
#define RATMAN_TOOLS_REPORT_H

#include "ratman/ratman.h"
#include "tools/print.h"

enum exit_code {
	EXIT_OK = 0,
	EXIT_USER = 1,		/* wrong usage, wrong file */
	EXIT_REFUSED = 2,	/* the daemon refused or failed */
	EXIT_UNREACHABLE = 3,	/* no daemon, or of another version, or gone meanwhile */
	EXIT_TIMEOUT = 4,
};

/* The exit code for a libratman error. */
enum exit_code report_code(int err);

/*
 * Prints "PROGRAM: WHAT: why. Try: …" for the libratman error @err. @r may be
 * NULL; @bind is what it was opened with. Returns report_code(@err).
 */
enum exit_code report_failure(const struct print_style *style, const char *program,
			      const char *what, const struct ratman *r, const char *bind, int err);

#endif
