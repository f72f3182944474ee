// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratcat: send and receive streams, like netcat. Options, command table, dispatch.
 */
#include "ratcat/ratcat.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "ratcat/interrupt.h"
#include "tools/completion.h"
#include "tools/identity.h"
#include "tools/options.h"
#include "tools/suggest.h"

#define FLAG(member) OPTION_FLAG, offsetof(struct cat, member)
#define TEXT(member) OPTION_TEXT, offsetof(struct cat, member)
#define OTHER OPTION_OTHER, 0

static const struct option_row option_rows[] = {
	{ 'b', 'b', "bind", "IP:PORT", TEXT(bind), "the daemon, default " RATMAN_DEFAULT_BIND },
	{ 'i', 'i', "cid", "FILE", TEXT(identity_path), "identity file; default by profile" },
	{ 'p', 'p', "prof", "PROFILE", TEXT(profile),
	  "profile, default " IDENTITY_PROFILE_DEFAULT "; see ratcat idpath" },
	{ 'O', 'o', "out", "lines|json", OTHER, "exactly the forms of the existing tools" },
	{ 'j', 0, "json", NULL, FLAG(style.json), "output for programs, see ratctl-json.md" },
	{ 'P', 0, "progress", "auto|always|never", OTHER, "auto: on a terminal only" },
	{ 'C', 0, "color", "auto|always|never", OTHER, "colours; auto: on a terminal only" },
	{ 'q', 'q', "quiet", NULL, FLAG(quiet), "nothing on standard error but errors" },
	{ 'h', 'h', "help", NULL, FLAG(help), "this text, or that of a command" },
	{ 'V', 'V', "version", NULL, FLAG(version), "the version" },
	{ 'B', 0, "completion", "bash", TEXT(completion), "prints what makes the shell complete" },
	{ 'a', 'a', "addr", "LIST", TEXT(addresses), "recipients: addresses, commas between" },
	{ 's', 's', "space", "LIST", TEXT(namespaces), "recipients: namespaces" },
	{ 'z', 'z', "chunk-size", "N[k|m|g]", OTHER, "a stream for every N bytes; k is 1024" },
	{ 'c', 'c', "count", "N", OTHER, "how many streams, default 1; 0: for ever" },
	{ 'o', 'o', "output", "FILE|DIR|-", OTHER, "where they go, default - (standard output)" },
	{ 'f', 'f', "force", NULL, FLAG(force), "replace a file that exists" },
	{ 0 },
};

struct command {
	const char *name;
	const char *args;
	int max_args;
	const char *options;	/* beyond the common ones */
	int (*run)(struct cat *cat, int argc, char **argv);
	const char *help;
};

static int cmd_idpath(struct cat *cat, int argc, char **argv);

static const struct command commands[] = {
	{ "send", "[FILE]", 1, "asz", cmd_send, "sends a file, or standard input" },
	{ "recv", "[TO]", 1, "cof", cmd_recv, "waits for streams to the own address, or to namespace TO" },
	{ "idpath", "", 0, "", cmd_idpath, "path of the selected identity file" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct {
	const char *word, *means;
} aliases[] = {
	{ "s", "send" },
	{ "send-to", "send" },
};

static bool parse_count(const char *text, uint32_t *out)
{
	char *end;
	unsigned long n;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || n >= RATMAN_NO_LIMIT)
		return false;
	*out = (uint32_t)n;
	return true;
}

/* "4096", "64k", "1m": at least one byte. */
static bool parse_size(const char *text, uint64_t *out)
{
	static const char suffixes[] = "kmg";
	unsigned long long n;
	unsigned int shift = 0;
	const char *suffix;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || !n)
		return false;
	if (*end) {
		suffix = strchr(suffixes, *end | 0x20);
		if (!suffix || end[1])
			return false;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	*out = (uint64_t)n << shift;
	return *out >> shift == n;
}

static int apply(void *target, const struct option_row *row, const char *value)
{
	struct cat *cat = target;
	enum term_when when;

	switch (row->id) {
	case 'o':
		/* Behind recv it is a place, but users of the existing tools may mean the form. */
		if (strcmp(value, "lines") && strcmp(value, "json")) {
			cat->output = value;
			return EXIT_OK;
		}
		/* fall through */
	case 'O':
		if (!print_style_set_form(&cat->style, value))
			return cat_fail(cat, EXIT_USER, "--out %s: must be lines or json", value);
		return EXIT_OK;
	case 'P':
		if (!term_when_parse(value, &cat->progress))
			return cat_fail(cat, EXIT_USER,
					"--progress %s: must be auto, always or never", value);
		return EXIT_OK;
	case 'C':
		if (!term_when_parse(value, &when))
			return cat_fail(cat, EXIT_USER, "--color %s: must be auto, always or never",
					value);
		term_set_color(when);
		return EXIT_OK;
	case 'c':
		if (!parse_count(value, &cat->count))
			return cat_fail(cat, EXIT_USER, "--count %s: must be a number", value);
		return EXIT_OK;
	case 'z':
		if (!parse_size(value, &cat->chunk_size))
			return cat_fail(cat, EXIT_USER,
					"--chunk-size %s: must be a number of bytes, with k or m behind it for KiB or MiB",
					value);
		return EXIT_OK;
	}
	return EXIT_OK;
}

static const struct options_table options = {
	.program = "ratcat", .rows = option_rows, .common = "bipOjPCqhVB", .apply = apply,
};

static void print_usage(FILE *f, const struct command *only)
{
	if (only) {
		fprintf(f, "Usage: ratcat [OPTIONS] %s %s\n\n  %s\n\n", only->name, only->args,
			only->help);
		options_help(f, &options, only->options, false);
		fputs("\nOptions of every command: ratcat --help\n", f);
		return;
	}
	fputs("Usage: ratcat [OPTIONS] COMMAND [ARGUMENTS]\n\n"
	      "Sends a file (or standard input) to addresses, and receives what was sent.\n\n", f);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		fprintf(f, "  %s %s\n      %s\n", commands[i].name, commands[i].args,
			commands[i].help);
		options_help(f, &options, commands[i].options, false);
	}
	fputs("\nOptions:\n", f);
	options_help(f, &options, NULL, true);
	fputs("\nAn address is written in full, as a unique beginning, or as its IPv6 address.\n\n"
	      "Examples:\n"
	      "  ratcat send -a 0102-0304 holiday.jpg\n"
	      "  ratcat recv -c 0 -o inbox/\n\n"
	      "Exit status: 0 done, 1 wrong usage or file, 2 refused by the daemon, 3 daemon not\n"
	      "reachable, 4 no answer in time, 130 interrupted.\n", f);
}

static int cmd_idpath(struct cat *cat, int argc, char **argv)
{
	static const struct print_column columns[] = {
		{ .key = "path", .type = PRINT_TEXT },
	};
	char path[PATH_MAX];

	(void)argc;
	(void)argv;
	if (cat_identity_path(cat, path, sizeof(path)))
		return EXIT_USER;
	if (cat->style.json)
		print_record(stdout, &cat->style, columns, 1, &(const char *){ path });
	else
		puts(path);
	return EXIT_OK;
}

static const struct command *find_command(const struct cat *cat, const char *word)
{
	const char *names[N_COMMANDS];
	const char *found;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!strcmp(aliases[i].word, word))
			word = aliases[i].means;
	for (size_t i = 0; i < N_COMMANDS; i++)
		names[i] = commands[i].name;
	found = suggest_complete(word, names, N_COMMANDS);
	for (size_t i = 0; found && i < N_COMMANDS; i++)
		if (!strcmp(found, commands[i].name))
			return &commands[i];
	found = suggest_nearest(word, names, N_COMMANDS);
	if (found)
		cat_fail(cat, EXIT_USER, "there is no command '%s'; did you mean '%s'?", word, found);
	else
		cat_fail(cat, EXIT_USER, "there is no command '%s'; see ratcat --help", word);
	return NULL;
}

static int print_completion(const struct cat *cat)
{
	struct completion_command list[N_COMMANDS];

	if (strcmp(cat->completion, "bash"))
		return cat_fail(cat, EXIT_USER, "--completion %s: there is one for bash only",
				cat->completion);
	for (size_t i = 0; i < N_COMMANDS; i++)
		list[i] = (struct completion_command){
			.noun = commands[i].name, .args = commands[i].args,
			.options = commands[i].options,
		};
	completion_bash(stdout, &options, list, N_COMMANDS);
	return EXIT_OK;
}

/* Help, version, completion: true when one was asked for, *status then says how it went. */
static bool answer_asked(const struct cat *cat, const struct command *cmd, int *status)
{
	*status = EXIT_OK;
	if (cat->help)
		print_usage(stdout, cmd);
	else if (cat->version)
		puts("ratcat " RATMAN_PACKAGE_VERSION);
	else if (cat->completion)
		*status = print_completion(cat);
	return cat->help || cat->version || cat->completion;
}

static int run(struct cat *cat, int argc, char **argv)
{
	struct options_reader reader = {
		.argc = argc, .argv = argv, .target = cat, .style = &cat->style,
	};
	const struct command *cmd = NULL;
	int status = options_before(&options, &reader);

	if (status)
		return status;
	if (reader.argc > 1) {
		cmd = find_command(cat, reader.argv[1]);
		if (!cmd)
			return EXIT_USER;
		options_shift(&reader);
		status = options_behind(&options, cmd->options, cmd->name, &reader);
		if (status)
			return status;
	}
	if (answer_asked(cat, cmd, &status))
		return status;
	if (!cmd) {
		print_usage(stderr, NULL);
		return EXIT_USER;
	}
	if (reader.argc - 1 > cmd->max_args)
		return cat_fail(cat, EXIT_USER, "usage: ratcat %s %s", cmd->name, cmd->args);
	return cmd->run(cat, reader.argc - 1, reader.argv + 1);
}

int main(int argc, char **argv)
{
	struct cat cat = {
		.bind = RATMAN_DEFAULT_BIND,
		.profile = IDENTITY_PROFILE_DEFAULT,
		.count = 1,
		.style.stdout_is_data = true,
	};
	int status;

	interrupt_catch();
	/* Whoever wants JSON wants it also when an option before that word is wrong. */
	cat.style.json = options_has(argc, argv, "--json");
	status = run(&cat, argc, argv);
	cat_close(&cat);
	if (!status && print_finish())
		status = cat_fail(&cat, EXIT_USER, "cannot write to standard output");
	/* What was done nevertheless is done; else the signal is the reason. */
	if (status && interrupt_pending())
		status = 128 + interrupt_pending();
	return status;
}
