// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One row description, two outputs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/address.h"
#include "base/clock.h"
#include "tools/print.h"
#include "tools/term.h"

struct row {
	const char *name;
	struct address address;
	uint64_t count;
	uint64_t bytes;
	bool up;
	int64_t seen;
	uint64_t rare;
};

static const struct print_column columns[] = {
	PRINT_COLUMN(struct row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct row, name, "name", "NAME", PRINT_TEXT, 0),
	PRINT_COLUMN(struct row, count, "count", "COUNT", PRINT_U64, 0),
	PRINT_COLUMN(struct row, bytes, "bytes", "SIZE", PRINT_BYTES, 0),
	PRINT_COLUMN(struct row, up, "up", "UP", PRINT_BOOL, 0),
	PRINT_COLUMN(struct row, seen, "seen", "SEEN", PRINT_AGE, 0),
	PRINT_COLUMN(struct row, rare, "rare", "RARE", PRINT_U64, PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, count, "again", "AGAIN", PRINT_U64, PRINT_WIDE),
};

#define N 8

static struct row rows[2] = {
	{ .name = "grün\n", .count = 7, .bytes = 1536, .up = true, .seen = 1729531526123456789 },
	{ .count = 12345 },
};

static char *text;
static size_t text_len;

static FILE *out(void)
{
	free(text);
	text = NULL;
	return open_memstream(&text, &text_len);
}

static void table(void **state)
{
	const struct print_style style = { .short_ids = true };
	FILE *f = out();

	(void)state;
	clock_fake(0, 1729531526123456789 + 90000000000);
	assert_int_equal(print_rows(f, &style, columns, N, rows, 2, sizeof(rows[0])), 0);
	fclose(f);
	assert_string_equal(text,
		"ADDRESS    NAME   COUNT     SIZE  UP   SEEN\n"
		"0000…0000  grün?      7  1.5 KiB  yes  1 min ago\n"
		"0000…0000  -      12345      0 B  no   never\n");
}

static void json(void **state)
{
	const struct print_style style = { .json = true };
	FILE *f = out();

	(void)state;
	assert_int_equal(print_rows(f, &style, columns, N, rows, 2, sizeof(rows[0])), 0);
	fclose(f);
	assert_string_equal(text,
		"[{\"addr\":\"0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-"
		"0000-0000\",\"name\":\"grün\\n\",\"count\":7,\"bytes\":1536,\"up\":true,\"seen\":"
		"\"2024-10-21T17:25:26.123456789Z\",\"rare\":0,\"again\":7},"
		"{\"addr\":\"0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-"
		"0000-0000\",\"name\":null,\"count\":12345,\"bytes\":0,\"up\":false,\"seen\":null,"
		"\"rare\":0,\"again\":12345}]\n");
	f = out();
	assert_int_equal(print_rows(f, &style, columns, N, NULL, 0, sizeof(rows[0])), 0);
	fclose(f);
	assert_string_equal(text, "[]\n");
	f = out();
	assert_int_equal(print_ok(f, &style), 0);
	fclose(f);
	assert_string_equal(text, "{\"ok\":true}\n");
}

/* What --out gives: the forms of the existing tools. */
static void exact(void **state)
{
	static const struct print_column peer[] = {
		PRINT_COLUMN(struct row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct row, count, "ours", "OURS", PRINT_U64, PRINT_OURS),
		PRINT_COLUMN(struct row, seen, "first_connection", "FIRST", PRINT_AGE, 0),
		PRINT_COLUMN(struct row, up, "active", "ACTIVE", PRINT_ACTIVE, 0),
	};
	static const char zero[] = "0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-0000-"
				   "0000-0000-0000";
	struct print_style lines = { 0 }, as_json = { 0 };
	char expected[512];
	FILE *f = out();

	(void)state;
	assert_true(print_style_set_form(&lines, "lines"));
	assert_true(print_style_set_form(&as_json, "json"));
	assert_false(print_style_set_form(&lines, "xml"));
	assert_int_equal(print_rows(f, &lines, peer, 4, rows, 2, sizeof(rows[0])), 0);
	fclose(f);
	snprintf(expected, sizeof(expected),
		 "%s\t2024-10-21 17:25:26.123456789 UTC\tACTIVE\n%s\t-\tIDLE\n", zero, zero);
	assert_string_equal(text, expected);
	f = out();
	assert_int_equal(print_rows(f, &lines, peer, 4, NULL, 0, sizeof(rows[0])), 0);
	fclose(f);
	assert_string_equal(text, "\n");
	f = out();
	assert_int_equal(print_rows(f, &as_json, peer, 4, rows, 1, sizeof(rows[0])), 0);
	fclose(f);
	snprintf(expected, sizeof(expected), "[{\"addr\":\"%s\",\"first_connection\":"
		 "\"2024-10-21T17:25:26.123456789Z\",\"active\":true}]\n", zero);
	assert_string_equal(text, expected);
	/* One value each: a list of values. */
	f = out();
	assert_int_equal(print_rows(f, &as_json, peer, 2, rows, 2, sizeof(rows[0])), 0);
	fclose(f);
	snprintf(expected, sizeof(expected), "[\"%s\",\"%s\"]\n", zero, zero);
	assert_string_equal(text, expected);
	f = out();
	assert_int_equal(print_record(f, &lines, columns + 1, 4, &rows[0]), 0);
	fclose(f);
	assert_string_equal(text, "name=grün?\ncount=7\nbytes=1536\nup=true\n");
}

/* Text in lines is never cut, and an address that is missing is said to be. */
static void lines_in_full(void **state)
{
	static const struct print_column two[] = {
		PRINT_COLUMN(struct row, name, "name", "NAME", PRINT_TEXT, 0),
		PRINT_COLUMN(struct row, address, "peer", "PEER", PRINT_ADDRESS, PRINT_OPTIONAL),
	};
	const struct print_style lines = { .lines = true };
	const struct print_style as_json = { .json = true };
	static char name[1000];
	struct row row = { .name = name };
	FILE *f = out();

	(void)state;
	memset(name, 'x', sizeof(name) - 1);
	assert_int_equal(print_line(f, &lines, two, 2, &row), 0);
	fclose(f);
	assert_int_equal(text_len, sizeof(name) - 1 + strlen("\t-\n"));
	assert_non_null(strstr(text, "x\t-\n"));
	row.name = NULL;
	f = out();
	assert_int_equal(print_line(f, &as_json, two, 2, &row), 0);
	fclose(f);
	assert_string_equal(text, "{\"name\":null,\"peer\":null}\n");
}

static void record_and_line(void **state)
{
	struct print_style style = { 0 };
	FILE *f = out();

	(void)state;
	assert_int_equal(print_record(f, &style, columns + 1, 2, &rows[0]), 0);
	fclose(f);
	assert_string_equal(text, "NAME: grün?\nCOUNT: 7\n");
	f = out();
	assert_int_equal(print_line(f, &style, columns + 1, 2, &rows[0]), 0);
	fclose(f);
	assert_string_equal(text, "grün? 7\n");
	style.json = true;
	f = out();
	assert_int_equal(print_record(f, &style, columns + 2, 1, &rows[0]), 0);
	fclose(f);
	assert_string_equal(text, "{\n  \"count\": 7\n}\n");
	f = fopen("/dev/full", "w");
	assert_true(print_record(f, &style, columns + 2, 1, &rows[0]) < 0);
	fclose(f);
}

static void formats(void **state)
{
	char b[TERM_TEXT_LEN], t[TERM_TIME_LEN];
	enum term_when when;

	(void)state;
	assert_string_equal(term_format_bytes(0, b), "0 B");
	assert_string_equal(term_format_bytes(999, b), "999 B");
	assert_string_equal(term_format_bytes(1024, b), "1.0 KiB");
	assert_string_equal(term_format_bytes(24117248, b), "23 MiB");
	assert_string_equal(term_format_bytes(UINT64_MAX, b), "16 EiB");
	assert_string_equal(term_format_age(59, b), "59 s");
	assert_string_equal(term_format_age(720, b), "12 min");
	assert_string_equal(term_format_age(4 * 86400 + 5, b), "4 d");
	assert_string_equal(term_format_time(-1, t), "1969-12-31T23:59:59.999999999Z");
	assert_true(term_when_parse("never", &when) && when == TERM_NEVER);
	assert_false(term_when_parse("maybe", &when));
	term_set_color(TERM_NEVER);
	assert_string_equal(term_style(stdout, TERM_RED), "");
	term_set_color(TERM_ALWAYS);
	assert_string_equal(term_style(stdout, TERM_PLAIN), "\033[0m");
	term_set_color(TERM_AUTO);
	free(text);
	text = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table), cmocka_unit_test(json),
		cmocka_unit_test(exact), cmocka_unit_test(lines_in_full),
		cmocka_unit_test(record_and_line), cmocka_unit_test(formats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
