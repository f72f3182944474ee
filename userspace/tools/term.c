// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/term.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define DRAW_EVERY_MS 200
#define SHOW_AFTER_MS 1000

static enum term_when color_when = TERM_AUTO;

bool term_when_parse(const char *text, enum term_when *out)
{
	static const char *const names[] = { "auto", "always", "never" };

	for (size_t i = 0; i < 3; i++) {
		if (!strcmp(text, names[i])) {
			*out = (enum term_when)i;
			return true;
		}
	}
	return false;
}

bool term_is_tty(FILE *f)
{
	return isatty(fileno(f));
}

/* A size: what the terminal says, else variable @name, else @fallback; at least @least. */
static unsigned int size_of(unsigned int said, const char *name, unsigned int fallback,
			    unsigned int least)
{
	const char *text = getenv(name);
	unsigned long n = said ? said : text ? strtoul(text, NULL, 10) : 0;

	if (!n || n > 10000)
		n = fallback;
	return n < least ? least : (unsigned int)n;
}

static struct winsize window(void)
{
	struct winsize w = { 0 };

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) || !w.ws_col)
		ioctl(STDERR_FILENO, TIOCGWINSZ, &w);
	return w;
}

unsigned int term_width(void)
{
	return size_of(window().ws_col, "COLUMNS", 80, 20);
}

unsigned int term_height(void)
{
	return size_of(window().ws_row, "LINES", 24, 2);
}

void term_set_color(enum term_when when)
{
	color_when = when;
}

static bool color_on(FILE *f)
{
	const char *no_color = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	if (color_when != TERM_AUTO)
		return color_when == TERM_ALWAYS;
	return !(no_color && *no_color) && term && strcmp(term, "dumb") && term_is_tty(f);
}

const char *term_style(FILE *f, enum term_style style)
{
	static const char *const codes[] = {
		[TERM_PLAIN] = "\033[0m", [TERM_BOLD] = "\033[1m", [TERM_DIM] = "\033[2m",
		[TERM_RED] = "\033[31m", [TERM_GREEN] = "\033[32m", [TERM_YELLOW] = "\033[33m",
	};

	return color_on(f) ? codes[style] : "";
}

const char *term_format_bytes(uint64_t bytes, char out[static TERM_TEXT_LEN])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double v = (double)bytes;
	size_t unit = 0;

	/* 999.5 would print as 1000: four digits before the unit changes are enough. */
	while (v >= 1000 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		v /= 1024;
		unit++;
	}
	snprintf(out, TERM_TEXT_LEN, unit && v < 9.95 ? "%.1f %s" : "%.0f %s", v, units[unit]);
	return out;
}

const char *term_format_age(uint64_t seconds, char out[static TERM_TEXT_LEN])
{
	static const struct {
		uint64_t below, unit;
		const char *name;
	} steps[] = {
		{ 60, 1, "s" }, { 3600, 60, "min" }, { 86400, 3600, "h" }, { UINT64_MAX, 86400, "d" },
	};
	size_t i = 0;

	while (seconds >= steps[i].below && i < 3)
		i++;
	snprintf(out, TERM_TEXT_LEN, "%llu %s", (unsigned long long)(seconds / steps[i].unit),
		 steps[i].name);
	return out;
}

const char *term_format_time(int64_t wall_ns, char out[static TERM_TIME_LEN])
{
	int64_t seconds = wall_ns / 1000000000 - (wall_ns % 1000000000 < 0);
	time_t t = (time_t)seconds;
	struct tm tm;
	size_t n;

	gmtime_r(&t, &tm);
	n = strftime(out, TERM_TIME_LEN, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, TERM_TIME_LEN - n, ".%09dZ", (int)(wall_ns - seconds * 1000000000));
	return out;
}

void term_progress_start(struct term_progress *p, enum term_when when, const char *label,
			 uint64_t total)
{
	*p = (struct term_progress){
		.label = label,
		.total = total,
		.start_ms = clock_ms(),
		.active = when == TERM_ALWAYS || (when == TERM_AUTO && term_is_tty(stderr)),
		.at_once = when == TERM_ALWAYS,
	};
}

static void draw(struct term_progress *p, uint64_t now)
{
	char done[TERM_TEXT_LEN], total[TERM_TEXT_LEN], rate[TERM_TEXT_LEN], eta[TERM_TEXT_LEN];
	uint64_t ms = now - p->start_ms ? now - p->start_ms : 1;
	uint64_t per_s = (uint64_t)((double)p->done * 1000 / (double)ms);
	char line[160];

	term_format_bytes(p->done, done);
	term_format_bytes(per_s, rate);
	if (p->total) {
		uint64_t left = p->total > p->done ? p->total - p->done : 0;

		snprintf(line, sizeof(line), "%s  %s of %s  %u %%  %s/s  %s left", p->label, done,
			 term_format_bytes(p->total, total),
			 (unsigned int)((double)p->done * 100 / (double)p->total), rate,
			 per_s ? term_format_age(left / per_s, eta) : "?");
	} else {
		snprintf(line, sizeof(line), "%s  %s  %s/s", p->label, done, rate);
	}
	fprintf(stderr, "\r\033[K%.*s", (int)term_width() - 1, line);
	fflush(stderr);
	p->shown = true;
	p->drawn_ms = now;
}

void term_progress_update(struct term_progress *p, uint64_t done)
{
	uint64_t now;

	p->done = done;
	if (!p->active)
		return;
	now = clock_ms();
	if ((p->at_once || now - p->start_ms >= SHOW_AFTER_MS) && now - p->drawn_ms >= DRAW_EVERY_MS)
		draw(p, now);
}

void term_progress_end(struct term_progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
	p->active = false;
}
