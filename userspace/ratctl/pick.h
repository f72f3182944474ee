/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of many ids somebody means by a part of one.
 */
#ifndef RATCTL_PICK_H
#define RATCTL_PICK_H

#include "ratctl/ratctl.h"

struct pick {
	const char *text;	/* borrowed: what was typed */
	size_t hits;		/* ids that fit, each counted once: 0, 1, or 2 for several */
	struct ratman_id found, other;
};

/*
 * True when @text is an id in full, which then is in *@out; otherwise candidates are
 * to be given to pick_try().
 */
bool pick_begin(struct pick *p, const char *text, struct ratman_id *out);

/* Looks at one more. False when it is settled that the text says too little. */
bool pick_try(struct pick *p, const struct ratman_id *id);

/* The same of one that was meant by another name. */
bool pick_take(struct pick *p, const struct ratman_id *id);

/*
 * The one that was meant, or reports: two that fit, or @none ("no file has a name like"),
 * and the command to @see which there are.
 */
int pick_end(struct ctl *ctl, const struct pick *p, const char *none, const char *see,
	     struct ratman_id *out);

#endif
