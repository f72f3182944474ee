/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Content that leaves the daemon in clear, for a file of the user's: it has its name
 * only when it is whole, replaces nothing without --force, and is readable by its owner.
 */
#ifndef RATCTL_EXPORT_H
#define RATCTL_EXPORT_H

#include "ratctl/ratctl.h"

/*
 * Opens a file beside --output with mode 0600, which a signal removes; "-" is standard
 * output. CTL_OK or reports.
 */
int export_open(struct ctl *ctl, int *fd);

/* Writes all of it. 0 or a negative errno. */
int export_write(int fd, const uint8_t *data, size_t len);

/* Gives it its name, once it is safe on the disk. CTL_OK or reports. */
int export_keep(struct ctl *ctl, int fd);

/* Removes what has not got its name. */
void export_end(void);

#endif
