// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/options.h"

#include <getopt.h>
#include <string.h>

#include "tools/report.h"
#include "tools/suggest.h"

#define ROWS_MAX 128	/* of a table: ids are ASCII */
#define LONG 0x100	/* getopt gives LONG + id for a long option, the letter for a short one */

bool options_common(const struct options_table *table, const struct option_row *row)
{
	return strchr(table->common, row->id) != NULL;
}

static int apply(const struct options_table *table, struct options_reader *reader,
		 const struct option_row *row, const char *value)
{
	char *field = (char *)reader->target + row->offset;

	reader->given[(unsigned char)row->id] = true;
	switch (row->kind) {
	case OPTION_FLAG:
		*(bool *)field = true;
		return EXIT_OK;
	case OPTION_TEXT:
		*(const char **)field = value;
		return EXIT_OK;
	case OPTION_OTHER:
		break;
	}
	return table->apply(reader->target, row, value);
}

static const struct option_row *find_id(const struct options_table *table, int id)
{
	const struct option_row *row = table->rows;

	while (row->id != id)
		row++;
	return row;
}

/* What getopt needs. */
struct getopt_tables {
	char letters[3 + 2 * ROWS_MAX];
	struct option names[ROWS_MAX + 1];
	const struct option_row *by_letter[128];
};

/* @own as in options_behind(), NULL in front of the command. */
static void fill_tables(const struct options_table *table, const char *own, struct getopt_tables *t)
{
	size_t n = 0, used = 0;

	memset(t, 0, sizeof(*t));
	for (const struct option_row *row = table->rows; row->name; row++) {
		bool is_own = own && strchr(own, row->id);

		t->names[n++] = (struct option){ row->name, row->arg != NULL, NULL, LONG + row->id };
		if (row->letter && (is_own || (options_common(table, row) &&
					       !t->by_letter[(unsigned char)row->letter])))
			t->by_letter[(unsigned char)row->letter] = row;
	}
	/* In front of a command its name ends the options. A leading ':' tells apart what is wrong. */
	if (!own)
		t->letters[used++] = '+';
	t->letters[used++] = ':';
	for (int letter = 0; letter < 128; letter++) {
		if (!t->by_letter[letter])
			continue;
		t->letters[used++] = (char)letter;
		if (t->by_letter[letter]->arg)
			t->letters[used++] = ':';
	}
}

#define refuse(table, reader, ...) \
	(print_failure((reader)->style, (table)->program, EXIT_USER, __VA_ARGS__), (int)EXIT_USER)

/* The long option nearest to what somebody typed, and whether several begin like it. */
static const char *nearest(const struct options_table *table, const char *word, bool *several)
{
	const char *names[ROWS_MAX];
	size_t n = 0, begin = 0;

	for (const struct option_row *row = table->rows; row->name; row++) {
		begin += !strncmp(row->name, word, strlen(word));
		names[n++] = row->name;
	}
	*several = begin > 1;
	return suggest_nearest(word, names, n);
}

/* getopt gave up at @typed: a long option, or @letter of short ones where that is not 0. */
static int wrong(const struct options_table *table, const struct options_reader *reader,
		 const char *typed, int letter, bool no_value)
{
	const char *near;
	char word[64];
	bool several;

	if (letter)
		return refuse(table, reader,
			      no_value ? "option -%c needs an argument; see %s --help" :
					 "there is no option -%c here; see %s --help",
			      letter, table->program);
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(typed + 2, "="), typed + 2);
	if (no_value)
		return refuse(table, reader, "option --%s needs an argument; see %s --help", word,
			      table->program);
	near = nearest(table, word, &several);
	if (near && !strcmp(near, word))
		return refuse(table, reader, "option --%s takes no argument", word);
	if (several)
		return refuse(table, reader, "several options begin with --%s; write more of it",
			      word);
	if (near)
		return refuse(table, reader, "there is no option --%s; did you mean --%s?", word,
			      near);
	return refuse(table, reader, "there is no option --%s; see %s --help", word,
		      table->program);
}

/* Takes options, and drops what getopt went past, but not argv[0]. */
static int take(const struct options_table *table, const char *own, struct options_reader *reader)
{
	struct getopt_tables tables;
	int c, status;

	fill_tables(table, own, &tables);
	opterr = 0;
	optind = 0;	/* GNU: start over */
	while ((c = getopt_long(reader->argc, reader->argv, tables.letters, tables.names, NULL)) !=
	       -1) {
		if (c == '?' || c == ':')
			return wrong(table, reader, reader->argv[optind - 1],
				     optopt < LONG ? optopt : 0, c == ':');
		status = apply(table, reader,
			       c >= LONG ? find_id(table, c - LONG) : tables.by_letter[c], optarg);
		if (status)
			return status;
	}
	reader->argv[optind - 1] = reader->argv[0];
	reader->argc -= optind - 1;
	reader->argv += optind - 1;
	return EXIT_OK;
}

bool options_has(int argc, char *const *argv, const char *word)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], word))
			return true;
	return false;
}

int options_before(const struct options_table *table, struct options_reader *reader)
{
	return take(table, NULL, reader);
}

void options_shift(struct options_reader *reader)
{
	reader->argc--;
	reader->argv++;
}

int options_behind(const struct options_table *table, const char *own, const char *command,
		   struct options_reader *reader)
{
	int status = take(table, own, reader);

	for (const struct option_row *row = table->rows; row->name && !status; row++) {
		if (reader->given[(unsigned char)row->id] && !options_common(table, row) &&
		    !strchr(own, row->id))
			status = refuse(table, reader, "--%s does nothing for %s %s", row->name,
					table->program, command);
	}
	return status;
}

void options_help(FILE *f, const struct options_table *table, const char *ids, bool common)
{
	for (const struct option_row *row = table->rows; row->name; row++) {
		char form[64], letter[] = "-x, ";

		if (ids ? !strchr(ids, row->id) : options_common(table, row) != common)
			continue;
		letter[1] = row->letter;
		snprintf(form, sizeof(form), "%s--%s%s%s", row->letter ? letter : "    ", row->name,
			 row->arg ? " " : "", row->arg ? row->arg : "");
		fprintf(f, "  %-31s %s\n", form, row->help);
	}
}
