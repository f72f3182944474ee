// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/passphrase.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Reads a line without showing it; 0 or -ENOKEY. */
static int read_line(int fd, const char *prompt, char *out, size_t size)
{
	struct termios shown, hidden;
	size_t n = 0;
	char c = 0;
	ssize_t got;

	if (tcgetattr(fd, &shown))
		return -ENOKEY;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	dprintf(fd, "%s", prompt);
	tcsetattr(fd, TCSAFLUSH, &hidden);
	while ((got = read(fd, &c, 1)) == 1 && c != '\n')
		if (n < size)
			out[n++] = c;
	tcsetattr(fd, TCSAFLUSH, &shown);
	dprintf(fd, "\n");
	if (got != 1 || !n || n >= size || memchr(out, 0, n))
		return -ENOKEY;
	out[n] = 0;
	return 0;
}

int ask_passphrase(void *ctx, bool fresh, char *out, size_t size)
{
	int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
	int err;

	(void)ctx;
	if (fd < 0)
		return -ENOKEY;
	err = read_line(fd, fresh ? "New passphrase of the store: " : "Passphrase of the store: ",
			out, size);
	if (!err && fresh) {
		char *again = sodium_malloc(size);

		err = again ? read_line(fd, "The same again: ", again, size) : -ENOMEM;
		if (!err && strcmp(out, again)) {
			dprintf(fd, "They differ.\n");
			err = -ENOKEY;
		}
		sodium_free(again);
	}
	close(fd);
	return err;
}
