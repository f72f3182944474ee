// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratcat/interrupt.h"

#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static char removed_path[PATH_MAX];

static void on_signal(int sig)
{
	/* Again and again: the first one may come just before a call that blocks. */
	static const struct itimerval soon = {
		.it_interval = { .tv_usec = 50000 }, .it_value = { .tv_usec = 50000 },
	};

	if (caught) {
		if (removed_path[0])
			unlink(removed_path);
		_exit(128 + sig);
	}
	caught = sig;
	setitimer(ITIMER_REAL, &soon, NULL);	/* on Linux a mere system call */
}

static void on_alarm(int sig)
{
	(void)sig;
}

void interrupt_catch(void)
{
	/* Without SA_RESTART: calls shall return. */
	struct sigaction stop = { .sa_handler = on_signal };
	struct sigaction alarm = { .sa_handler = on_alarm };
	struct sigaction ignore = { .sa_handler = SIG_IGN };

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGALRM, &alarm, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

int interrupt_pending(void)
{
	return caught;
}

void interrupt_removes(const char *path)
{
	/* The first byte last: a signal may come in between. */
	removed_path[0] = '\0';
	if (!path || strlen(path) >= sizeof(removed_path))
		return;
	strcpy(removed_path + 1, path + 1);
	removed_path[0] = path[0];
}
