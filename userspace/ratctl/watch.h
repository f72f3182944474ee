/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Commands that go on until somebody ends them: what ends them, and how they exit.
 */
#ifndef RATCTL_WATCH_H
#define RATCTL_WATCH_H

#include "ratctl/ratctl.h"

/* SIGINT, SIGTERM, SIGHUP and SIGPIPE from now on only end the watch, so that it can tidy up. */
void watch_signals(void);

/* The exit status for the signal that came, 128 and its number; 0: none did. */
int watch_ended(void);

/* Waits, at most @ms, until a signal comes. */
void watch_sleep(uint64_t ms);

/*
 * Waits at most @timeout_ms for what comes next on @sub and prints it. Returns what the
 * library's ratman_sub_…() did; with 1 *@status says how printing went.
 */
typedef int (*watch_next)(struct ctl *ctl, struct ratman_sub *sub, int timeout_ms, int *status);

struct watch {
	const char *what;		/* "watching messages" */
	watch_next next;
	const char *else_ended;		/* why the daemon may end it besides, or NULL */
	/* Whose session is kept as long as it goes on; NULL: nobody's. */
	const struct ratman_id *address, *token;
};

/*
 * Prints what comes on the socket of @where until a signal comes, nobody reads our
 * output any more, or the daemon ends it, which is reported. Returns the exit status.
 */
int watch_run(struct ctl *ctl, const struct watch *w, const struct ratman_subscription *where);

#endif
