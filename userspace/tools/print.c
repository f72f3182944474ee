// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/print.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/clock.h"
#include "tools/term.h"

#define CELL_MAX 256	/* bytes of one value in a table; longer text is cut */

bool print_style_set_form(struct print_style *style, const char *form)
{
	if (strcmp(form, "json") && strcmp(form, "lines"))
		return false;
	style->json = !strcmp(form, "json");
	style->lines = !style->json;
	style->exact = true;
	return true;
}

static const void *field(const struct print_column *c, const void *row)
{
	return (const char *)row + c->offset;
}

static bool is_number(enum print_type type)
{
	switch (type) {
	case PRINT_U32:
	case PRINT_U64:
	case PRINT_I64:
	case PRINT_DOUBLE:
	case PRINT_BYTES:
		return true;
	case PRINT_TEXT:
	case PRINT_ADDRESS:
	case PRINT_IPV6:
	case PRINT_BOOL:
	case PRINT_ACTIVE:
	case PRINT_TIME:
	case PRINT_AGE:
	case PRINT_PAIRS:
	case PRINT_WORDS:
		break;
	}
	return false;
}

static void format_address(const struct address *a, bool abbreviate, char *out)
{
	char full[ADDRESS_TEXT_LEN];

	address_format(a, full);
	if (abbreviate)
		snprintf(out, CELL_MAX, "%.4s…%s", full, full + strlen(full) - 4);
	else
		snprintf(out, CELL_MAX, "%s", full);
}

static void format_age(int64_t wall_ns, char *out)
{
	int64_t age = (clock_wall_ns() - wall_ns) / 1000000000;
	char text[TERM_TEXT_LEN];

	snprintf(out, CELL_MAX, "%s ago", term_format_age(age > 0 ? (uint64_t)age : 0, text));
}

/* Text of people can hold anything: control characters stay out of terminals. */
static bool is_control(char c)
{
	return (unsigned char)c < ' ' || c == 0x7f;
}

static void format_text(const char *text, char *out)
{
	size_t n = 0;

	for (; *text && n + 1 < CELL_MAX; text++)
		out[n++] = is_control(*text) ? '?' : *text;
	/* A cut may not leave half a UTF-8 character. */
	while (*text && n && ((unsigned char)out[n - 1] & 0xc0) == 0x80)
		n--;
	if (*text && n && (unsigned char)out[n - 1] >= 0xc0)
		n--;
	out[n] = '\0';
}

static void format_pairs(const struct print_pairs *pairs, char *out)
{
	char text[2 * CELL_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < pairs->n && len < CELL_MAX; i++) {
		const struct print_pair *p = &pairs->list[i];

		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s%s%s", i ? ", " : "",
					p->key, *p->value ? "=" : "", p->value);
	}
	format_text(pairs->n ? text : "-", out);
}

static void format_words(const struct print_words *words, char *out)
{
	char text[2 * CELL_MAX] = "";
	size_t len = 0;

	for (size_t i = 0; i < words->n && len < CELL_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", i ? ", " : "",
					words->list[i]);
	format_text(words->n ? text : "-", out);
}

/* The text of one value as tables show it. */
static void format_cell(const struct print_style *style, const struct print_column *c,
			const void *row, char out[static CELL_MAX])
{
	const void *p = field(c, row);
	char text[TERM_TEXT_LEN];
	char time[TERM_TIME_LEN];

	switch (c->type) {
	case PRINT_TEXT:
		format_text(*(const char *const *)p ?: "-", out);
		return;
	case PRINT_ADDRESS:
		format_address(p, style->short_ids && !style->wide, out);
		return;
	case PRINT_IPV6:
		inet_ntop(AF_INET6, p, out, CELL_MAX);
		return;
	case PRINT_U32:
		snprintf(out, CELL_MAX, "%" PRIu32, *(const uint32_t *)p);
		return;
	case PRINT_U64:
		snprintf(out, CELL_MAX, "%" PRIu64, *(const uint64_t *)p);
		return;
	case PRINT_I64:
		snprintf(out, CELL_MAX, "%" PRId64, *(const int64_t *)p);
		return;
	case PRINT_DOUBLE:
		snprintf(out, CELL_MAX, "%.1f", *(const double *)p);
		return;
	case PRINT_BYTES:
		snprintf(out, CELL_MAX, "%s", term_format_bytes(*(const uint64_t *)p, text));
		return;
	case PRINT_BOOL:
	case PRINT_ACTIVE:
		snprintf(out, CELL_MAX, "%s", *(const bool *)p ? "yes" : "no");
		return;
	case PRINT_TIME:
	case PRINT_AGE:
		if (!*(const int64_t *)p)
			snprintf(out, CELL_MAX, "never");
		else if (c->type == PRINT_AGE)
			format_age(*(const int64_t *)p, out);
		else
			snprintf(out, CELL_MAX, "%s", term_format_time(*(const int64_t *)p, time));
		return;
	case PRINT_PAIRS:
		format_pairs(p, out);
		return;
	case PRINT_WORDS:
		format_words(p, out);
		return;
	}
}

static bool has_value(const struct print_column *c, const void *row)
{
	const void *p = field(c, row);

	switch (c->type) {
	case PRINT_TEXT:
		return *(const char *const *)p && **(const char *const *)p;
	case PRINT_ADDRESS:
		return !address_is_zero(p);
	case PRINT_IPV6:
		return memcmp(p, &in6addr_any, sizeof(in6addr_any)) != 0;
	case PRINT_U32:
		return *(const uint32_t *)p != 0;
	case PRINT_U64:
	case PRINT_BYTES:
		return *(const uint64_t *)p != 0;
	case PRINT_I64:
	case PRINT_TIME:
	case PRINT_AGE:
		return *(const int64_t *)p != 0;
	case PRINT_DOUBLE:
		return *(const double *)p < 0 || *(const double *)p > 0;
	case PRINT_BOOL:
	case PRINT_ACTIVE:
		return *(const bool *)p;
	case PRINT_PAIRS:
		return ((const struct print_pairs *)p)->n;
	case PRINT_WORDS:
		return ((const struct print_words *)p)->n;
	}
	return true;
}

/* True for an address that may be missing, and is. */
static bool no_address(const struct print_column *c, const void *row)
{
	return (c->type == PRINT_ADDRESS || c->type == PRINT_IPV6) && (c->flags & PRINT_OPTIONAL) &&
	       !has_value(c, row);
}

static struct json_object *json_pairs(const struct print_pairs *pairs)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && i < pairs->n; i++)
		json_object_object_add(o, pairs->list[i].key,
				       json_object_new_string(pairs->list[i].value));
	return o;
}

static struct json_object *json_words(const struct print_words *words)
{
	struct json_object *o = json_object_new_array();

	for (size_t i = 0; o && i < words->n; i++)
		json_object_array_add(o, json_object_new_string(words->list[i]));
	return o;
}

static struct json_object *json_value(const struct print_column *c, const void *row)
{
	const void *p = field(c, row);
	char text[CELL_MAX];
	char time[TERM_TIME_LEN];

	if (no_address(c, row))
		return NULL;
	switch (c->type) {
	case PRINT_TEXT:
		return *(const char *const *)p ?
			       json_object_new_string(*(const char *const *)p) : NULL;
	case PRINT_ADDRESS:
		format_address(p, false, text);
		return json_object_new_string(text);
	case PRINT_IPV6:
		return json_object_new_string(inet_ntop(AF_INET6, p, text, sizeof(text)));
	case PRINT_U32:
		return json_object_new_int64(*(const uint32_t *)p);
	case PRINT_U64:
	case PRINT_BYTES:
		return json_object_new_uint64(*(const uint64_t *)p);
	case PRINT_I64:
		return json_object_new_int64(*(const int64_t *)p);
	case PRINT_DOUBLE:
		return json_object_new_double(*(const double *)p);
	case PRINT_BOOL:
	case PRINT_ACTIVE:
		return json_object_new_boolean(*(const bool *)p);
	case PRINT_TIME:
	case PRINT_AGE:
		return *(const int64_t *)p ?
			       json_object_new_string(term_format_time(*(const int64_t *)p, time)) :
			       NULL;
	case PRINT_PAIRS:
		return json_pairs(p);
	case PRINT_WORDS:
		return json_words(p);
	}
	return NULL;
}

/* True when programs get this column: in JSON and in lines. */
static bool for_programs(const struct print_style *style, const struct print_column *c)
{
	return !(c->flags & PRINT_TABLE) && !(style->exact && (c->flags & PRINT_OURS));
}

/* The only column for programs, or NULL when there are more: see style.exact. */
static const struct print_column *only_column(const struct print_style *style,
					      const struct print_column *columns, size_t n)
{
	const struct print_column *only = NULL;

	for (size_t i = 0; i < n && style->exact; i++) {
		if (!for_programs(style, &columns[i]))
			continue;
		if (only)
			return NULL;
		only = &columns[i];
	}
	return only;
}

static struct json_object *json_row(const struct print_style *style,
				    const struct print_column *columns, size_t n, const void *row)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && i < n; i++) {
		if (for_programs(style, &columns[i]))
			json_object_object_add(o, columns[i].key, json_value(&columns[i], row));
	}
	return o;
}

/* "2024-10-21 17:25:26.123456789 UTC": how the existing tools write a time in lines. */
static void lines_time(int64_t wall_ns, char *out)
{
	char time[TERM_TIME_LEN];
	size_t len;

	term_format_time(wall_ns, time);
	len = strlen(time);
	time[strcspn(time, "T")] = ' ';
	snprintf(out, CELL_MAX, "%.*s UTC", (int)len - 1, time);
}

static void lines_text(FILE *f, const char *text)
{
	for (; *text; text++)
		fputc(is_control(*text) ? '?' : *text, f);
}

static void lines_pairs(FILE *f, const struct print_pairs *pairs)
{
	for (size_t i = 0; i < pairs->n; i++) {
		fputs(i ? ", " : "", f);
		lines_text(f, pairs->list[i].key);
		fputs(*pairs->list[i].value ? "=" : "", f);
		lines_text(f, pairs->list[i].value);
	}
	if (!pairs->n)
		fputc('-', f);
}

static void lines_words(FILE *f, const struct print_words *words)
{
	for (size_t i = 0; i < words->n; i++) {
		fputs(i ? ", " : "", f);
		lines_text(f, words->list[i]);
	}
	if (!words->n)
		fputc('-', f);
}

/* One value as lines show it, on @f: nothing shortened, no units. */
static void lines_value(FILE *f, const struct print_column *c, const void *row)
{
	static const struct print_style full = { .wide = true };
	const void *p = field(c, row);
	char out[CELL_MAX];

	switch (c->type) {
	case PRINT_BYTES:
		fprintf(f, "%" PRIu64, *(const uint64_t *)p);
		return;
	case PRINT_BOOL:
		fputs(*(const bool *)p ? "true" : "false", f);
		return;
	case PRINT_ACTIVE:
		fputs(*(const bool *)p ? "ACTIVE" : "IDLE", f);
		return;
	case PRINT_TIME:
	case PRINT_AGE:
		if (*(const int64_t *)p)
			lines_time(*(const int64_t *)p, out);
		else
			snprintf(out, sizeof(out), "-");
		break;
	case PRINT_TEXT:
		lines_text(f, *(const char *const *)p ?: "-");
		return;
	case PRINT_PAIRS:
		lines_pairs(f, p);
		return;
	case PRINT_WORDS:
		lines_words(f, p);
		return;
	case PRINT_ADDRESS:
	case PRINT_IPV6:
	case PRINT_U32:
	case PRINT_U64:
	case PRINT_I64:
	case PRINT_DOUBLE:
		if (no_address(c, row))
			snprintf(out, sizeof(out), "-");
		else
			format_cell(&full, c, row, out);
		break;
	}
	fputs(out, f);
}

static void lines_row(FILE *f, const struct print_style *style, const struct print_column *columns,
		      size_t n, const void *row)
{
	const char *separator = "";

	for (size_t i = 0; i < n; i++) {
		if (!for_programs(style, &columns[i]))
			continue;
		fputs(separator, f);
		lines_value(f, &columns[i], row);
		separator = "\t";
	}
	fputc('\n', f);
}

static int finish(FILE *f)
{
	return fflush(f) || ferror(f) ? -EIO : 0;
}

/* Prints and releases @o. */
static int json_print(FILE *f, struct json_object *o, int flags)
{
	if (!o)
		return -ENOMEM;
	fprintf(f, "%s\n", json_object_to_json_string_ext(o, flags | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return finish(f);
}

/* Columns a text takes: UTF-8 characters, each counted as one. */
static size_t text_width(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* Width of each column, or 0 for one that is not shown. */
static void measure(const struct print_style *style, const struct print_column *columns,
		    size_t n_columns, const char *rows, size_t n, size_t row_size, size_t *width)
{
	char cell[CELL_MAX];

	for (size_t i = 0; i < n_columns; i++) {
		const struct print_column *c = &columns[i];
		bool wanted = !(c->flags & PRINT_OPTIONAL);

		width[i] = 0;
		if ((c->flags & PRINT_JSON) || ((c->flags & PRINT_WIDE) && !style->wide))
			continue;
		for (size_t k = 0; k < n; k++)
			wanted = wanted || has_value(c, rows + k * row_size);
		if (!wanted)
			continue;
		width[i] = style->no_header ? 1 : text_width(c->title);
		for (size_t k = 0; k < n; k++) {
			size_t w;

			format_cell(style, c, rows + k * row_size, cell);
			w = text_width(cell);
			if (w > width[i])
				width[i] = w;
		}
	}
}

/* One line of a table; a NULL @row prints the header. */
static void table_line(FILE *f, const struct print_style *style,
		       const struct print_column *columns, size_t n_columns, const size_t *width,
		       const void *row)
{
	char cell[CELL_MAX];
	size_t blanks = 0;

	for (size_t i = 0; i < n_columns; i++) {
		size_t pad;

		if (!width[i])
			continue;
		if (row)
			format_cell(style, &columns[i], row, cell);
		else
			snprintf(cell, sizeof(cell), "%s", columns[i].title);
		pad = width[i] - text_width(cell);
		if (is_number(columns[i].type))
			blanks += pad;
		/* Blanks are printed late, so that no line ends with them. */
		fprintf(f, "%*s%s", (int)blanks, "", cell);
		blanks = 2 + (is_number(columns[i].type) ? 0 : pad);
	}
	fputc('\n', f);
}

int print_rows(FILE *f, const struct print_style *style, const struct print_column *columns,
	       size_t n_columns, const void *rows, size_t n, size_t row_size)
{
	const struct print_column *only = only_column(style, columns, n_columns);
	size_t width[64];

	if (style->json) {
		struct json_object *list = json_object_new_array();

		for (size_t k = 0; list && k < n; k++) {
			const void *row = (const char *)rows + k * row_size;

			json_object_array_add(list, only ? json_value(only, row) :
						    json_row(style, columns, n_columns, row));
		}
		return json_print(f, list, JSON_C_TO_STRING_PLAIN);
	}
	if (style->lines) {
		for (size_t k = 0; k < n; k++)
			lines_row(f, style, columns, n_columns, (const char *)rows + k * row_size);
		if (!n)
			fputc('\n', f);
		return finish(f);
	}
	if (n_columns > sizeof(width) / sizeof(width[0]))
		return -EINVAL;
	measure(style, columns, n_columns, rows, n, row_size, width);
	if (!style->no_header) {
		fputs(term_style(f, TERM_BOLD), f);
		table_line(f, style, columns, n_columns, width, NULL);
		fputs(term_style(f, TERM_PLAIN), f);
	}
	for (size_t k = 0; k < n; k++)
		table_line(f, style, columns, n_columns, width, (const char *)rows + k * row_size);
	return finish(f);
}

int print_record(FILE *f, const struct print_style *style, const struct print_column *columns,
		 size_t n_columns, const void *row)
{
	char cell[CELL_MAX];

	if (style->json)
		return json_print(f, json_row(style, columns, n_columns, row),
				  JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED);
	for (size_t i = 0; i < n_columns; i++) {
		const struct print_column *c = &columns[i];

		if (style->lines && for_programs(style, c)) {
			fprintf(f, "%s=", c->key);
			lines_value(f, c, row);
			fputc('\n', f);
		}
		if (style->lines)
			continue;
		if ((c->flags & PRINT_JSON) || ((c->flags & PRINT_WIDE) && !style->wide) ||
		    ((c->flags & PRINT_OPTIONAL) && !has_value(c, row)))
			continue;
		format_cell(style, c, row, cell);
		fprintf(f, "%s%s:%s %s\n", term_style(f, TERM_BOLD), c->title,
			term_style(f, TERM_PLAIN), cell);
	}
	return finish(f);
}

int print_line(FILE *f, const struct print_style *style, const struct print_column *columns,
	       size_t n_columns, const void *row)
{
	const char *separator = "";
	char cell[CELL_MAX];

	if (style->json)
		return json_print(f, json_row(style, columns, n_columns, row),
				  JSON_C_TO_STRING_PLAIN);
	if (style->lines) {
		lines_row(f, style, columns, n_columns, row);
		return finish(f);
	}
	for (size_t i = 0; i < n_columns; i++) {
		const struct print_column *c = &columns[i];

		if ((c->flags & PRINT_JSON) || ((c->flags & PRINT_WIDE) && !style->wide) ||
		    ((c->flags & PRINT_OPTIONAL) && !has_value(c, row)))
			continue;
		format_cell(style, c, row, cell);
		fprintf(f, "%s%s", separator, cell);
		separator = " ";
	}
	fputc('\n', f);
	return finish(f);
}

int print_ok(FILE *f, const struct print_style *style)
{
	if (style->json)
		fputs("{\"ok\":true}\n", f);
	else
		fprintf(f, "%sok%s\n", term_style(f, TERM_GREEN), term_style(f, TERM_PLAIN));
	return finish(f);
}

void print_failure(const struct print_style *style, const char *program, int code,
		 const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* Words of a daemon, or typed by mistake: nothing that moves the cursor. */
	for (char *c = text; *c; c++)
		*c = is_control(*c) ? '?' : *c;
	if (!style->json || !style->stdout_is_data)
		fprintf(stderr, "%s%s:%s %s\n", term_style(stderr, TERM_RED), program,
			term_style(stderr, TERM_PLAIN), text);
	if (style->json) {
		struct json_object *o = json_object_new_object();
		struct json_object *e = json_object_new_object();

		json_object_object_add(e, "code", json_object_new_int(code));
		json_object_object_add(e, "message", json_object_new_string(text));
		json_object_object_add(o, "error", e);
		json_print(style->stdout_is_data ? stderr : stdout, o, JSON_C_TO_STRING_PLAIN);
	}
}

int print_finish(void)
{
	return finish(stdout);
}
