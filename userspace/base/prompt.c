// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/prompt.h"

#include <errno.h>
#include <fcntl.h>
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

/* A line without its end; false when it is too long, empty, or never came. */
static bool read_line(int fd, char *out, size_t size)
{
	size_t n = 0;
	ssize_t got;
	char c;

	while ((got = read(fd, &c, 1)) == 1 && c != '\n')
		if (n < size)
			out[n++] = c;
	if (got != 1 || !n || n >= size || memchr(out, 0, n))
		return false;
	out[n] = '\0';
	return true;
}

static int ask(int fd, const char *prompt, char *out, size_t size)
{
	struct sigaction act = { .sa_handler = on_signal }, before[N_SIGNALS];
	struct termios shown, hidden;
	bool good;

	if (tcgetattr(fd, &shown))
		return -ENXIO;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	caught = 0;
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &act, &before[i]);
	dprintf(fd, "%s", prompt);
	tcsetattr(fd, TCSAFLUSH, &hidden);
	good = read_line(fd, out, size);
	tcsetattr(fd, TCSAFLUSH, &shown);
	dprintf(fd, "\n");
	for (size_t i = 0; i < N_SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
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
