/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One description of a row drives the table for people and the JSON for
 * programs.
 *
 *	static const struct print_column columns[] = {
 *		PRINT_COLUMN(struct row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
 *		PRINT_COLUMN(struct row, rtt_us, "rtt_us", "RTT µs", PRINT_U64, PRINT_WIDE),
 *	};
 *	print_rows(stdout, &style, columns, ARRAY_SIZE, rows, n, sizeof(rows[0]));
 */
#ifndef RATMAN_TOOLS_PRINT_H
#define RATMAN_TOOLS_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum print_type {
	PRINT_TEXT,	/* const char * (UTF-8, may be NULL: "-" and null) */
	PRINT_ADDRESS,	/* struct address; JSON always full */
	PRINT_IPV6,	/* struct in6_addr */
	PRINT_U32,	/* uint32_t */
	PRINT_U64,	/* uint64_t */
	PRINT_I64,	/* int64_t */
	PRINT_DOUBLE,	/* double, one digit in tables */
	PRINT_BYTES,	/* uint64_t bytes; tables show units */
	PRINT_BOOL,	/* bool; tables show yes and no */
	PRINT_ACTIVE,	/* bool; tables show yes and no, lines ACTIVE and IDLE */
	PRINT_TIME,	/* int64_t ns since 1970; both RFC 3339 UTC; 0 = never */
	PRINT_AGE,	/* int64_t ns since 1970; tables "5 s ago", JSON RFC 3339 */
	PRINT_PAIRS,	/* struct print_pairs; tables "key=value, key", JSON an object */
	PRINT_WORDS,	/* struct print_words; tables "one, two", JSON an array */
};

/* Keys and values, UTF-8; an empty value is not shown outside JSON. */
struct print_pair {
	const char *key, *value;
};

struct print_pairs {
	const struct print_pair *list;	/* borrowed */
	size_t n;
};

struct print_words {
	const char *const *list;	/* borrowed, as the texts (UTF-8) */
	size_t n;
};

#define PRINT_WIDE 1u	/* tables show it with style.wide only */
#define PRINT_JSON 2u	/* JSON only */
#define PRINT_TABLE 4u	/* tables only */
#define PRINT_OURS 16u	/* unknown to the existing tools: left out of their forms (style.exact) */
#define PRINT_OPTIONAL 8u	/* left out of tables where no row has a value (NULL, 0, false); an
				   address without one is null in JSON */

struct print_column {
	const char *key;	/* member name in JSON */
	const char *title;	/* head of the column */
	enum print_type type;
	unsigned int flags;
	size_t offset;		/* in the row structure */
};

#define PRINT_COLUMN(structure, member, key_, title_, type_, flags_) \
	{ .key = (key_), .title = (title_), .type = (type_), .flags = (flags_), \
	  .offset = offsetof(structure, member) }

/*
 * Three forms: tables for people, JSON for programs (--json), and with --out
 * exactly what the existing tools print (existing-tools.md section 4.4), lines
 * or JSON: without our additions, and a list whose items have one value each is
 * a list of values.
 */
struct print_style {
	bool json;
	bool lines;		/* one row a line, values in full between tabs, no header */
	bool exact;		/* --out was given */
	bool stdout_is_data;	/* what a stream holds goes there: failures keep to stderr */
	bool wide;		/* all columns, addresses in full even where the line is too long */
	bool no_header;
	bool short_ids;		/* tables show first and last group of an address: 0102…1F20 */
};

/* Sets what --out asks for: "lines" or "json"; false when @form is neither. */
bool print_style_set_form(struct print_style *style, const char *form);

/*
 * Prints @n rows (borrowed, @row_size bytes each). Table: a header, columns
 * two blanks apart, numbers to the right, no borders. JSON: one compact array
 * on one line. Lines: an empty list is an empty line. Returns 0, -ENOMEM, or -EIO when @f took not everything.
 */
int print_rows(FILE *f, const struct print_style *style, const struct print_column *columns,
	       size_t n_columns, const void *rows, size_t n, size_t row_size);

/* Prints one row as "title: value" lines, as "key=value" lines, or as one JSON object, pretty. */
int print_record(FILE *f, const struct print_style *style, const struct print_column *columns,
		 size_t n_columns, const void *row);

/* Prints one row on one line (monitor): blank separated, or a compact JSON object. Flushes. */
int print_line(FILE *f, const struct print_style *style, const struct print_column *columns,
	       size_t n_columns, const void *row);

/* Prints "ok" or {"ok":true}. */
int print_ok(FILE *f, const struct print_style *style);

/*
 * Reports a failure: on stderr "PROGRAM: TEXT", and with JSON on stdout also
 * {"error":{"code":CODE,"message":TEXT}}; where stdout is for data, that object
 * takes the place of the text on stderr.
 */
void print_failure(const struct print_style *style, const char *program, int code,
		 const char *format, ...) __attribute__((format(printf, 4, 5)));

/* 0 when everything written to stdout arrived, else -EIO; call once before exit. */
int print_finish(void);

#endif
