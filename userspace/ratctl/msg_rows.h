/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Messages as ratctl prints them: in a table, as a record, as lines.
 */
#ifndef RATCTL_MSG_ROWS_H
#define RATCTL_MSG_ROWS_H

#include "ratctl/ratctl.h"

/* Each returns CTL_OK, or another status: reported, but for an output that took not everything. */
int msg_print_list(struct ctl *ctl, const struct ratman_message *list, size_t n);
int msg_print(struct ctl *ctl, const struct ratman_message *m);
int msg_print_line(struct ctl *ctl, const struct ratman_message *m);
/* The id alone, of one that was sent. */
int msg_print_id(struct ctl *ctl, const struct ratman_id *id);

#endif
