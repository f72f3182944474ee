/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Log lines on stderr, one per event. Never pass a key, token or password:
 * name a secret by its address or not at all.
 */
#ifndef RATMAN_BASE_LOG_H
#define RATMAN_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level {
	LOG_TRACE,
	LOG_DEBUG,
	LOG_INFO,
	LOG_WARN,
	LOG_ERROR,
};

/* Lines below @level are dropped without being formatted. Default LOG_INFO. */
void log_set_level(enum log_level level);

/* Parses "trace", "debug", "info", "warn" or "error"; false when it is none of them. */
bool log_level_parse(const char *text, enum log_level *level);

bool log_enabled(enum log_level level);

/* Writes one line "<level> <message>"; with JOURNAL_STREAM set, sd-daemon(3) prefixes. */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define log_at(level, ...)                              \
	do {                                            \
		if (log_enabled(level))                 \
			log_write(level, __VA_ARGS__);  \
	} while (0)

#define log_trace(...) log_at(LOG_TRACE, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)

/*
 * For lines that a stranger can cause: true at most @burst times in @period_ms
 * of the state @gate (zero-initialised, one per call site).
 */
struct log_gate {
	uint64_t window_start_ms;
	uint32_t used;
};

bool log_gate_open(struct log_gate *gate, uint64_t now_ms, uint32_t burst, uint64_t period_ms);

#endif
