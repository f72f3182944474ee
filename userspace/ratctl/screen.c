// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define ENTER "\033[?1049h\033[?25l"
#define LEAVE "\033[?25h\033[?1049l"

static struct termios saved;
static bool has_keys;
static volatile sig_atomic_t end_signal, stop_signal, resized;

static const int watched[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH };

#define N_WATCHED (sizeof(watched) / sizeof(watched[0]))

static void on_signal(int sig)
{
	switch (sig) {
	case SIGWINCH:
		resized = 1;
		break;
	case SIGTSTP:
		stop_signal = 1;
		break;
	default:
		end_signal = sig;
	}
}

/* Signals come in while ppoll() waits, and only then. */
static void catch_signals(sigset_t *while_waiting)
{
	struct sigaction action = { .sa_handler = on_signal };
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < N_WATCHED; i++) {
		sigaction(watched[i], &action, NULL);
		sigaddset(&set, watched[i]);
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, NULL, while_waiting);
	for (size_t i = 0; i < N_WATCHED; i++)
		sigdelset(while_waiting, watched[i]);
}

static sigset_t waiting_mask;

static int put(const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int enter(void)
{
	struct termios raw = saved;

	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (has_keys && tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw))
		return -errno;
	return put(ENTER, strlen(ENTER));
}

void screen_close(void)
{
	put(LEAVE, strlen(LEAVE));
	if (has_keys)
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &saved);
}

int screen_open(void)
{
	has_keys = isatty(STDIN_FILENO) && !tcgetattr(STDIN_FILENO, &saved);
	catch_signals(&waiting_mask);
	return enter();
}

int screen_draw(const char *text, size_t len)
{
	const char *end = text + len;
	int err = put("\033[H", 3);

	/* Line by line, so that nothing flickers and the last line does not scroll. */
	while (!err && text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		size_t n = newline ? (size_t)(newline - text) : (size_t)(end - text);

		err = put(text, n);
		if (!err)
			err = put("\033[K", 3);
		text += n + 1;
		if (!err && text < end)
			err = put("\r\n", 2);
	}
	return err ? err : put("\033[J", 3);
}

/* Ctrl-Z: the shell gets its terminal as it was, and we take it again afterwards. */
static void stop(void)
{
	stop_signal = 0;
	screen_close();
	raise(SIGSTOP);
	enter();
}

enum screen_event screen_wait(int timeout_ms, int *key, int *sig)
{
	struct timespec timeout = { timeout_ms / 1000, timeout_ms % 1000 * 1000000L };
	struct pollfd fd = { .fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN };
	int n = ppoll(&fd, 1, &timeout, &waiting_mask);
	unsigned char c;

	if (end_signal) {
		*sig = end_signal;
		return SCREEN_SIGNAL;
	}
	if (stop_signal) {
		stop();
		return SCREEN_RESIZED;
	}
	if (resized) {
		resized = 0;
		return SCREEN_RESIZED;
	}
	if (n <= 0)
		return SCREEN_TICK;
	if (read(STDIN_FILENO, &c, 1) == 1) {
		*key = c;
		return SCREEN_KEY;
	}
	*sig = SIGHUP;
	return SCREEN_SIGNAL;
}
