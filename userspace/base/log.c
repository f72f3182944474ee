// SPDX-License-Identifier: LGPL-2.1-or-later
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	int sd_priority;	/* sd-daemon(3) */
} levels[] = {
	[LOG_TRACE] = { "trace", 7 }, [LOG_DEBUG] = { "debug", 7 }, [LOG_INFO] = { "info", 6 },
	[LOG_WARN] = { "warn", 4 },   [LOG_ERROR] = { "error", 3 },
};

static enum log_level threshold = LOG_INFO;

void log_set_level(enum log_level level)
{
	threshold = level;
}

bool log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (!strcmp(text, levels[i].name)) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

bool log_enabled(enum log_level level)
{
	return level >= threshold;
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);

	/* One write per line, so that lines of several threads do not mix. */
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", levels[level].sd_priority, line);
	else
		fprintf(stderr, "%-5s %s\n", levels[level].name, line);
}

bool log_gate_open(struct log_gate *gate, uint64_t now_ms, uint32_t burst, uint64_t period_ms)
{
	if (now_ms - gate->window_start_ms >= period_ms) {
		gate->window_start_ms = now_ms;
		gate->used = 0;
	}
	if (gate->used >= burst)
		return false;
	gate->used++;
	return true;
}
