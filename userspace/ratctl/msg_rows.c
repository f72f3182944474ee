// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/msg_rows.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"

#define PREVIEW 60	/* bytes of a message's text in a table */

struct row {
	struct address id, from, to;
	const char *service, *trust;
	bool flood, unread;
	struct print_words tags;
	int64_t time_ns;
	uint64_t bytes;
	const char *preview;	/* owned; what tables show */
	const char *text, *hex;	/* owned; one of them is NULL */
};

static const struct print_column columns[] = {
	PRINT_COLUMN(struct row, id, "id", "ID", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct row, time_ns, "time", "SENT", PRINT_AGE, 0),
	PRINT_COLUMN(struct row, from, "from", "FROM", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct row, to, "to", "TO", PRINT_ADDRESS, PRINT_WIDE | PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, flood, "flood", "FLOOD", PRINT_BOOL, PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, service, "service", "SERVICE", PRINT_TEXT, PRINT_WIDE),
	PRINT_COLUMN(struct row, unread, "unread", "UNREAD", PRINT_BOOL, 0),
	PRINT_COLUMN(struct row, trust, "trust", "TRUST", PRINT_TEXT, PRINT_WIDE),
	PRINT_COLUMN(struct row, tags, "tags", "TAGS", PRINT_WORDS, PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, bytes, "bytes", "SIZE", PRINT_BYTES, 0),
	PRINT_COLUMN(struct row, preview, "preview", "TEXT", PRINT_TEXT, PRINT_TABLE | PRINT_OPTIONAL),
	PRINT_COLUMN(struct row, text, "text", "TEXT", PRINT_TEXT, PRINT_JSON),
	PRINT_COLUMN(struct row, hex, "hex", "HEX", PRINT_TEXT, PRINT_JSON),
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static bool is_text(const void *data, size_t len)
{
	return !len || (!memchr(data, 0, len) && field_is_utf8(data, len));
}

static char *to_hex(const void *data, size_t len)
{
	char *out = malloc(2 * len + 1);

	return out ? sodium_bin2hex(out, 2 * len + 1, data, len) : NULL;
}

/* The beginning of a text, on one line. */
static char *make_preview(const char *text, size_t len)
{
	size_t n = len < PREVIEW ? len : PREVIEW;
	char *out;

	while (n < len && n && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	out = malloc(n + 4);
	if (!out)
		return NULL;
	memcpy(out, text, n);
	strcpy(out + n, n < len ? "…" : "");
	for (char *p = out; p < out + n; p++)
		if (*p == '\n' || *p == '\t' || *p == '\r')
			*p = ' ';
	return out;
}

/* "key", "key=value", or "key=0x…" for a value that is no text. Owned. */
static char *tag_text(const struct ratman_message_tag *tag)
{
	bool text = is_text(tag->value, tag->len);
	size_t key_len = strlen(tag->key);
	char *out = malloc(key_len + 2 * tag->len + 4);

	if (!out)
		return NULL;
	strcpy(out, tag->key);
	if (!tag->len)
		return out;
	strcpy(out + key_len, text ? "=" : "=0x");
	key_len = strlen(out);
	if (text) {
		memcpy(out + key_len, tag->value, tag->len);
		out[key_len + tag->len] = '\0';
	} else {
		sodium_bin2hex(out + key_len, 2 * tag->len + 1, tag->value, tag->len);
	}
	return out;
}

static void row_free(struct row *row)
{
	for (size_t i = 0; i < row->tags.n; i++)
		free((char *)row->tags.list[i]);
	free((void *)row->tags.list);
	free((char *)row->preview);
	free((char *)row->text);
	free((char *)row->hex);
}

/* False without memory; row_free() in either case. */
static bool fill_tags(struct row *row, const struct ratman_message *m)
{
	char **list = calloc(m->n_tags + 1, sizeof(*list));

	if (!list)
		return false;
	row->tags.list = (const char *const *)list;
	for (size_t i = 0; i < m->n_tags; i++) {
		if (!strcmp(m->tags[i].key, RATMAN_TAG_UNREAD))
			continue;
		list[row->tags.n] = tag_text(&m->tags[i]);
		if (!list[row->tags.n++])
			return false;
	}
	return true;
}

static bool fill_row(struct row *row, const struct ratman_message *m)
{
	memset(row, 0, sizeof(*row));
	memcpy(row->id.b, m->id.b, sizeof(row->id.b));
	memcpy(row->from.b, m->sender.b, sizeof(row->from.b));
	memcpy(row->to.b, m->to.b, sizeof(row->to.b));
	row->service = m->service;
	row->trust = m->trust == RATMAN_TRUSTED ? "signed" : "unsigned";
	row->flood = m->flood;
	row->unread = m->unread;
	row->time_ns = m->time_ns;
	row->bytes = m->len;
	if (!fill_tags(row, m))
		return false;
	if (!is_text(m->data, m->len)) {
		row->hex = to_hex(m->data, m->len);
		return row->hex;
	}
	row->text = strndup(m->len ? m->data : "", m->len);
	row->preview = row->text ? make_preview(row->text, m->len) : NULL;
	return row->preview;
}

int msg_print_list(struct ctl *ctl, const struct ratman_message *list, size_t n)
{
	struct row *rows = calloc(n + 1, sizeof(*rows));
	bool ok = rows;

	for (size_t i = 0; i < n && ok; i++)
		ok = fill_row(&rows[i], &list[i]);
	if (ok)
		print_rows(stdout, &ctl->style, columns, N_COLUMNS, rows, n, sizeof(*rows));
	for (size_t i = 0; i < n && rows; i++)
		row_free(&rows[i]);
	free(rows);
	return ok ? CTL_OK : ctl_fail(ctl, CTL_REFUSED, "out of memory");
}

/* One message, by @print. */
static int print_one(struct ctl *ctl, const struct ratman_message *m,
		     int (*print)(FILE *f, const struct print_style *style,
				  const struct print_column *list, size_t n, const void *row))
{
	struct row row;
	int status = CTL_OK;

	if (!fill_row(&row, m))
		status = ctl_fail(ctl, CTL_REFUSED, "out of memory");
	else if (print(stdout, &ctl->style, columns, N_COLUMNS, &row))
		status = CTL_USER;
	row_free(&row);
	return status;
}

int msg_print(struct ctl *ctl, const struct ratman_message *m)
{
	return print_one(ctl, m, print_record);
}

int msg_print_line(struct ctl *ctl, const struct ratman_message *m)
{
	return print_one(ctl, m, print_line);
}

int msg_print_id(struct ctl *ctl, const struct ratman_id *id)
{
	struct row row = { .flood = false };

	memcpy(row.id.b, id->b, sizeof(row.id.b));
	return print_record(stdout, &ctl->style, columns, 1, &row) ? CTL_USER : CTL_OK;
}
