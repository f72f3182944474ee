/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SIGINT, SIGTERM and SIGHUP: the first one makes blocking calls fail with
 * EINTR, so that what is under way is ended in order; the second one ends the
 * program at once.
 */
#ifndef RATCAT_INTERRUPT_H
#define RATCAT_INTERRUPT_H

void interrupt_catch(void);

/* The signal that came, or 0. */
int interrupt_pending(void);

/* A file to remove when the program ends at once (copied); NULL: none any more. */
void interrupt_removes(const char *path);

#endif
