/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The whole terminal, for a view that is drawn again and again: plain ANSI, put
 * back as it was on every way out.
 */
#ifndef RATCTL_SCREEN_H
#define RATCTL_SCREEN_H

#include <stddef.h>

enum screen_event {
	SCREEN_TICK,	/* the time is over */
	SCREEN_KEY,
	SCREEN_RESIZED,	/* or stopped and continued: draw again */
	SCREEN_SIGNAL,	/* one that ends the program, or the terminal is gone */
};

/*
 * Takes the terminal of stdout (and keys from stdin, if that is one): alternate
 * screen, no cursor, no echo. 0 or a negative errno.
 */
int screen_open(void);

/* Replaces what is shown by @text: lines, each with a newline. 0 or a negative errno. */
int screen_draw(const char *text, size_t len);

/* Waits, at most @timeout_ms; *@key is the key, *@sig the signal. */
enum screen_event screen_wait(int timeout_ms, int *key, int *sig);

/* Puts the terminal back. */
void screen_close(void);

#endif
