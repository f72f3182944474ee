/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the commands of ratctl file share.
 */
#ifndef RATCTL_FILE_H
#define RATCTL_FILE_H

#include "ratctl/ratctl.h"

/* Whose files. */
struct file_owner {
	struct ratman_id user;
	struct ratman_id token;		/* secret */
};

/*
 * Identity (its token to be wiped), daemon, and the file that @text means: by its id, a
 * unique part of it, or its name. CTL_OK or reports.
 */
int file_prepare(struct ctl *ctl, const char *text, struct file_owner *o, struct ratman_id *id);

#endif
