/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Primitive fields of Microframe payloads (microframe.md section 2): strings,
 * options, random identifiers and date-times.
 */
#ifndef RATMAN_PROTO_FIELD_H
#define RATMAN_PROTO_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"

/* A piece of text inside a received payload: borrowed, not terminated, no NUL inside. */
struct field_text {
	const char *at;
	size_t len;
};

/*
 * Reads a string up to its terminating 00, which is consumed. A string that
 * runs to the very end of the payload without terminator is accepted, as the
 * Rust writer of Addr/Create leaves it out; an exhausted payload fails.
 */
struct field_text field_get_text(struct wire_reader *r);

/* As field_get_text(), but the terminator must be there (lists of strings). */
struct field_text field_get_terminated(struct wire_reader *r);

/* Writes @text (borrowed, no NUL inside by nature) and the terminating 00. */
void field_put_text(struct wire_writer *w, const char *text);

/* Copies @text into @out, terminated, cut to @size - 1 bytes. */
void field_copy_text(struct field_text text, char *out, size_t size);

/* True for well-formed UTF-8: no overlong forms, surrogates or values over U+10FFFF. */
bool field_is_utf8(const uint8_t *s, size_t len);

/*
 * Option<u32>: presence byte 01 and the value, or one other byte (none). An
 * exhausted payload is none too. Returns true when there is a value.
 */
bool field_get_option_u32(struct wire_reader *r, uint32_t *out);
void field_put_option_u32(struct wire_writer *w, bool present, uint32_t value);

/*
 * Primitives of the Service API (service-api.md section 7.3). In contrast to the
 * others they have one encoding: a presence byte is 00 or 01, a string has its
 * terminator, and well-formed UTF-8; all else fails.
 */

/* A string, which may be empty, of at most @max bytes without its terminator. */
struct field_text field_get_str(struct wire_reader *r, size_t max);

/* A boolean or presence byte: 00 or 01. */
bool field_get_bool(struct wire_reader *r);

/* Optional fields: a presence byte, and false when there is none. */
bool field_get_opt_str(struct wire_reader *r, size_t max, struct field_text *out);
/* @text NULL: none. */
void field_put_opt_str(struct wire_writer *w, const char *text);
bool field_get_opt_ident(struct wire_reader *r, struct ident *out);
/* @id NULL: none. */
void field_put_opt_ident(struct wire_writer *w, const struct ident *id);

/* Bytes with their length before them, at most @max: borrowed, NULL after a failure. */
const uint8_t *field_get_blob(struct wire_reader *r, size_t max, size_t *len);
void field_put_blob(struct wire_writer *w, const void *data, size_t len);

/* True when no byte of @id is 00, as peers require of random identifiers. */
bool field_ident_is_clean(const struct ident *id);

/* Date-times: always this many bytes when written. */
#define FIELD_DATETIME_LEN 35

/*
 * Writes "YYYY-MM-DDTHH:MM:SS.nnnnnnnnn+00:00"; @wall_ns is nanoseconds since
 * 1970, UTC. Every int64_t fits (years 1677 to 2262).
 */
void field_put_datetime(struct wire_writer *w, int64_t wall_ns);

/*
 * Reads a date-time by its grammar: 'T', 't' or blank between the halves, 0 to
 * 9 fraction digits (more are read and cut), zone 'Z', 'z' or ±HH:MM. Fails on
 * impossible dates and on times outside int64_t nanoseconds. Second 60 reads as 59.
 */
int64_t field_get_datetime(struct wire_reader *r);

#endif
