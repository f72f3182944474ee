// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/options.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "ratctl/ratctl.h"
#include "tools/suggest.h"
#include "tools/term.h"

#define OPTIONS_MAX 128	/* rows of the table, see struct options_given */
#define LONG 0x100	/* getopt gives LONG + id for a long option, the letter for a short one */

#define FLAG(member) CTL_OPTION_FLAG, offsetof(struct ctl, member)
#define TEXT(member) CTL_OPTION_TEXT, offsetof(struct ctl, member)
#define OTHER CTL_OPTION_OTHER, 0

const struct ctl_option ctl_options[] = {
	{ 'b', 'b', "bind", "IP:PORT", TEXT(bind), "the daemon, default " RATMAN_DEFAULT_BIND },
	{ 'i', 'i', "cid", "FILE", TEXT(identity_path), "identity file; default by profile" },
	{ 'p', 'p', "prof", "NAME", TEXT(profile),
	  "profile, default " IDENTITY_PROFILE_DEFAULT "; see ratctl idpath" },
	{ 'o', 'o', "out", "lines|json", OTHER, "the forms of the existing tools" },
	{ 'j', 0, "json", NULL, FLAG(style.json), "output for programs, see ratctl-json.md" },
	{ 'w', 0, "wide", NULL, FLAG(style.wide), "all columns" },
	{ 'H', 0, "no-header", NULL, FLAG(style.no_header), "tables without their first line" },
	{ 'C', 0, "color", "auto|always|never", OTHER, "colours; auto is on a terminal only" },
	{ 'D', 0, "device", "NAME", TEXT(device), "mesh device, where there are several" },
	{ 'q', 'q', "quiet", NULL, FLAG(quiet), "no hints on standard error" },
	{ 'h', 'h', "help", NULL, FLAG(help), "this text, or that of a command" },
	{ 'V', 'V', "version", NULL, FLAG(version), "the version" },
	{ 'n', 0, "name", "TEXT", TEXT(name), "a private label" },
	{ 'f', 'f', "force", NULL, FLAG(force), "no question; replace what is there" },
	{ 'S', 0, "show-secrets", NULL, FLAG(show_secrets), "print a token even on a terminal" },
	{ 'k', 0, "keys", "FILE", TEXT(keys), "two lines of hex: receive key, send key; - is stdin" },
	{ 'm', 0, "mac", "MAC", TEXT(mac), "link address of the neighbour" },
	{ 'x', 0, "index", "N", TEXT(index), "our index" },
	{ 'y', 0, "peer-index", "N", TEXT(peer_index), "the other side's index" },
	{ 'I', 0, "initiator", NULL, FLAG(initiator), "we began the handshake" },
	{ 't', 't', "timestamps", NULL, FLAG(stamps), "the time of each line" },
	{ 0 },
};

/* Taken by every command. */
static const char common_options[] = "bipojwHCDqhV";

bool option_is_common(const struct ctl_option *o)
{
	return strchr(common_options, o->id) != NULL;
}

/* Applies one option; returns CTL_OK or reports and returns another status. */
static int options_apply(struct ctl *ctl, const struct ctl_option *o, const char *value)
{
	enum term_when when;

	switch (o->kind) {
	case CTL_OPTION_FLAG:
		*(bool *)((char *)ctl + o->offset) = true;
		return CTL_OK;
	case CTL_OPTION_TEXT:
		*(const char **)((char *)ctl + o->offset) = value;
		return CTL_OK;
	case CTL_OPTION_OTHER:
		break;
	}
	switch (o->id) {
	case 'o':
		if (strcmp(value, "json") && strcmp(value, "lines"))
			return ctl_fail(ctl, CTL_USER, "--out %s: must be lines or json", value);
		ctl->style.json = !strcmp(value, "json");
		break;
	case 'C':
		if (!term_when_parse(value, &when))
			return ctl_fail(ctl, CTL_USER, "--color %s: must be auto, always or never",
					value);
		term_set_color(when);
		break;
	}
	return CTL_OK;
}

static const struct ctl_option *find_id(int id)
{
	const struct ctl_option *o = ctl_options;

	while (o->name && o->id != id)
		o++;
	return o->name ? o : NULL;
}

/* What getopt needs; @own as in options_behind(), NULL in front of the command. */
struct getopt_tables {
	char letters[2 + 2 * OPTIONS_MAX];
	struct option names[OPTIONS_MAX + 1];
	const struct ctl_option *by_letter[128];
};

static void fill_tables(struct getopt_tables *t, const char *own)
{
	size_t n = 0, used = 0;

	memset(t, 0, sizeof(*t));
	/* In front of a command its name ends the options. A leading ':' tells apart what is wrong. */
	if (!own)
		t->letters[used++] = '+';
	t->letters[used++] = ':';
	for (const struct ctl_option *o = ctl_options; o->name; o++) {
		bool takes = option_is_common(o) || (own && strchr(own, o->id));

		t->names[n++] = (struct option){ o->name, o->arg != NULL, NULL, LONG + o->id };
		if (!takes || !o->letter)
			continue;
		t->by_letter[(unsigned char)o->letter] = o;
		t->letters[used++] = o->letter;
		if (o->arg)
			t->letters[used++] = ':';
	}
}

/* The long option nearest to what somebody typed, and whether several begin like it. */
static const char *nearest_option(const char *word, bool *several)
{
	const char *names[OPTIONS_MAX];
	size_t n = 0, begin = 0;

	for (const struct ctl_option *o = ctl_options; o->name; o++) {
		begin += !strncmp(o->name, word, strlen(word));
		names[n++] = o->name;
	}
	*several = begin > 1;
	return suggest_nearest(word, names, n);
}

/* getopt gave up at @typed: a long option, or @letter of short ones where that is not 0. */
static int wrong_option(const struct ctl *ctl, const char *typed, int letter, bool no_value)
{
	const char *near;
	char word[64];
	bool several;

	if (letter)
		return ctl_fail(ctl, CTL_USER,
				no_value ? "option -%c needs an argument; see ratctl --help" :
					   "there is no option -%c here; see ratctl --help", letter);
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(typed + 2, "="), typed + 2);
	if (no_value)
		return ctl_fail(ctl, CTL_USER, "option --%s needs an argument; see ratctl --help",
				word);
	near = nearest_option(word, &several);
	if (near && !strcmp(near, word))
		return ctl_fail(ctl, CTL_USER, "option --%s takes no argument", word);
	if (several)
		return ctl_fail(ctl, CTL_USER, "several options begin with --%s; write more of it",
				word);
	if (near)
		return ctl_fail(ctl, CTL_USER, "there is no option --%s; did you mean --%s?", word,
				near);
	return ctl_fail(ctl, CTL_USER, "there is no option --%s; see ratctl --help", word);
}

/* Takes options; leaves optind at the first word that is none. */
static int take(struct ctl *ctl, const char *own, int argc, char **argv,
		struct options_given *given)
{
	struct getopt_tables tables;
	int c, status;

	fill_tables(&tables, own);
	opterr = 0;
	optind = 0;	/* GNU: start over */
	while ((c = getopt_long(argc, argv, tables.letters, tables.names, NULL)) != -1) {
		const struct ctl_option *o;

		if (c == '?' || c == ':')
			return wrong_option(ctl, argv[optind - 1], optopt < LONG ? optopt : 0,
					    c == ':');
		o = c >= LONG ? find_id(c - LONG) : tables.by_letter[c];
		given->id[(unsigned char)o->id] = true;
		status = options_apply(ctl, o, optarg);
		if (status)
			return status;
	}
	return CTL_OK;
}

/* Drops what getopt went past, but not argv[0]. */
static void drop_taken(int *argc, char ***argv)
{
	(*argv)[optind - 1] = (*argv)[0];
	*argc -= optind - 1;
	*argv += optind - 1;
}

int options_before(struct ctl *ctl, int *argc, char ***argv, struct options_given *given)
{
	int status = take(ctl, NULL, *argc, *argv, given);

	if (!status)
		drop_taken(argc, argv);
	return status;
}

int options_behind(struct ctl *ctl, const char *own, int *argc, char ***argv,
		   struct options_given *given)
{
	int status = take(ctl, own, *argc, *argv, given);

	if (!status)
		drop_taken(argc, argv);
	return status;
}
