/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The terminal: is it one, how wide, may we colour, and a progress line.
 */
#ifndef RATMAN_TOOLS_TERM_H
#define RATMAN_TOOLS_TERM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum term_when {
	TERM_AUTO,
	TERM_ALWAYS,
	TERM_NEVER,
};

enum term_style {
	TERM_PLAIN,
	TERM_BOLD,
	TERM_DIM,
	TERM_RED,
	TERM_GREEN,
	TERM_YELLOW,
};

/* Parses "auto", "always" or "never"; false when it is none of them. */
bool term_when_parse(const char *text, enum term_when *out);

bool term_is_tty(FILE *f);

/* Columns: TIOCGWINSZ of stdout or stderr, else $COLUMNS, else 80. At least 20. */
unsigned int term_width(void);

/* Lines: TIOCGWINSZ of stdout or stderr, else $LINES, else 24. At least 2. */
unsigned int term_height(void);

/* Decides about colour from now on. Default TERM_AUTO. */
void term_set_color(enum term_when when);

/*
 * The escape sequence that starts @style on @f (TERM_PLAIN ends any style), or
 * "" where colour is off: no terminal, NO_COLOR set, TERM=dumb. Static.
 */
const char *term_style(FILE *f, enum term_style style);

#define TERM_TEXT_LEN 32

/* "512 B", "1.4 KiB", "23 MiB"; returns @out. */
const char *term_format_bytes(uint64_t bytes, char out[static TERM_TEXT_LEN]);

/* "0 s", "59 s", "12 min", "3 h", "4 d"; returns @out. */
const char *term_format_age(uint64_t seconds, char out[static TERM_TEXT_LEN]);

/* RFC 3339 UTC with nine digits and 'Z', from nanoseconds since 1970; returns @out. */
#define TERM_TIME_LEN 40
const char *term_format_time(int64_t wall_ns, char out[static TERM_TIME_LEN]);

/* One line on stderr that is redrawn at most five times a second. */
struct term_progress {
	const char *label;	/* borrowed */
	uint64_t total;		/* bytes; 0 = not known */
	uint64_t start_ms;
	uint64_t drawn_ms;
	uint64_t done;
	bool active;		/* wanted at all */
	bool at_once;		/* asked for: shown before a second has passed */
	bool shown;		/* something stands on the line */
};

/*
 * With TERM_AUTO the line appears on a terminal only, and only after one
 * second. @total is in bytes, 0 when it is not known.
 */
void term_progress_start(struct term_progress *p, enum term_when when, const char *label,
			 uint64_t total);
void term_progress_update(struct term_progress *p, uint64_t done);

/* Clears the line. */
void term_progress_end(struct term_progress *p);

#endif
