// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
	caught = number;
}

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define N_SIGNALS (sizeof(signals) / sizeof(signals[0]))

/* A line without its end; false when it is too long, empty, or never came. @mask: while waiting. */
static bool read_line(int fd, char *out, size_t size, const sigset_t *mask)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t n = 0;
	ssize_t got = 0;
	char c;

	/* Each byte is waited for: after Ctrl-D the line goes on. */
	while (ppoll(&p, 1, NULL, mask) > 0 && (got = read(fd, &c, 1)) == 1 && c != '\n') {
		if (n < size)
			out[n++] = c;
		got = 0;
	}
	if (got != 1 || !n || n >= size || memchr(out, 0, n))
		return false;
	out[n] = '\0';
	return true;
}

static int ask(int fd, const char *prompt, char *out, size_t size)
{
	struct sigaction act = { .sa_handler = on_signal }, before[N_SIGNALS];
	struct termios shown, hidden;
	sigset_t blocked, mask;
	bool good;

	if (tcgetattr(fd, &shown))
		return -ENXIO;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	caught = 0;
	sigemptyset(&blocked);
	for (size_t i = 0; i < N_SIGNALS; i++) {
		sigaddset(&blocked, signals[i]);
		sigaction(signals[i], &act, &before[i]);
	}
	/* They come while we wait for the line, and at no other time. */
	sigprocmask(SIG_BLOCK, &blocked, &mask);
	/* Typed ahead is thrown away; from the prompt on nothing is shown. */
	tcsetattr(fd, TCSAFLUSH, &hidden);
	dprintf(fd, "%s", prompt);
	good = read_line(fd, out, size, &mask);
	tcsetattr(fd, TCSAFLUSH, &shown);
	dprintf(fd, "\n");
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (caught)
		raise(caught);
	return good ? 0 : -EINVAL;
}

int prompt_secret(const char *prompt, bool twice, char *out, size_t size)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	char *again;
	int err;

	if (fd < 0)
		return -ENXIO;
	err = ask(fd, prompt, out, size);
	again = !err && twice ? malloc(size) : NULL;
	if (!err && twice)
		err = again ? ask(fd, "The same again: ", again, size) : -ENOMEM;
	if (again) {
		if (!err && strcmp(out, again)) {
			dprintf(fd, "They differ.\n");
			err = -EINVAL;
		}
		explicit_bzero(again, size);
		free(again);
	}
	close(fd);
	return err;
}
