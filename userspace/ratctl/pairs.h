/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KEY=VALUE, as options and arguments have it.
 */
#ifndef RATCTL_PAIRS_H
#define RATCTL_PAIRS_H

#include "ratctl/ratctl.h"

/*
 * Ends @text at the first @separator; returns what stands behind that (borrowed), or
 * NULL when there is none.
 */
char *pairs_split(char *text, char separator);

struct pairs {
	struct {
		char *key;		/* owned, with the value behind it */
		const char *value;	/* NULL without '=' */
	} list[CTL_WORDS_MAX];
	size_t n;
};

/*
 * Reads what --@option was given: KEY=VALUE each, or unless @whole also KEY. CTL_OK, then
 * to be freed, or reports.
 */
int pairs_read(struct ctl *ctl, const char *option, const struct ctl_words *words, bool whole,
	       struct pairs *out);

void pairs_free(struct pairs *pairs);

#endif
