/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Content that leaves the daemon in clear, for a file of the user's (tools/output.h), or
 * standard output. Nothing is replaced without --force, and a signal leaves nothing behind.
 */
#ifndef RATCTL_EXPORT_H
#define RATCTL_EXPORT_H

#include "ratctl/ratctl.h"

/*
 * Opens @path (borrowed until the end); @secret makes a file that its owner alone can
 * read. CTL_OK or reports.
 */
int export_open(struct ctl *ctl, const char *path, bool secret);

/* Writes all of it. CTL_OK or reports. */
int export_write(struct ctl *ctl, const void *data, size_t len);

/* Gives it its name, once it is safe on the disk. CTL_OK or reports. */
int export_keep(struct ctl *ctl);

/* Removes what has not got its name. */
void export_end(void);

#endif
