// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl: look at the mesh and steer it. Options, command table, dispatch.
 */
#include "ratctl/ratctl.h"

#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/suggest.h"
#include "tools/term.h"

/* Options that only some commands take, as letters in their row. */
static const struct option long_options[] = {
	{ "bind", required_argument, NULL, 'b' },
	{ "cid", required_argument, NULL, 'i' },
	{ "prof", required_argument, NULL, 'p' },
	{ "out", required_argument, NULL, 'o' },
	{ "json", no_argument, NULL, 'j' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'V' },
	{ "wide", no_argument, NULL, 'w' },
	{ "no-header", no_argument, NULL, 'H' },
	{ "color", required_argument, NULL, 'C' },
	{ "device", required_argument, NULL, 'D' },
	{ "name", required_argument, NULL, 'n' },
	{ "force", no_argument, NULL, 'f' },
	{ "show-secrets", no_argument, NULL, 'S' },
	{ "keys", required_argument, NULL, 'k' },
	{ "mac", required_argument, NULL, 'm' },
	{ "index", required_argument, NULL, 'x' },
	{ "peer-index", required_argument, NULL, 'y' },
	{ "initiator", no_argument, NULL, 'I' },
	{ "timestamps", no_argument, NULL, 't' },
	{ 0 },
};

/* Taken by every command. */
static const char common_options[] = "bipojqhVwHCD";

struct command {
	const char *noun;
	const char *verb;	/* NULL: the noun alone */
	const char *args;
	int min_args, max_args;
	const char *options;	/* beyond the common ones */
	int (*run)(struct ctl *ctl, int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{ "status", NULL, "", 0, 1, "", cmd_status, "how this router is doing" },
	{ "addr", "create", "", 0, 0, "nSf", cmd_addr_create, "make an address and its token" },
	{ "addr", "up", "", 0, 0, "", cmd_addr_up, "announce the address of the identity file" },
	{ "addr", "down", "", 0, 0, "", cmd_addr_down, "stop announcing it" },
	{ "addr", "destroy", "", 0, 0, "f", cmd_addr_destroy, "remove it and its key for ever" },
	{ "addr", "list", "", 0, 0, "", cmd_addr_list, "addresses of this router" },
	{ "peers", "list", "", 0, 0, "", cmd_peers_list, "addresses elsewhere in the mesh" },
	{ "link", "list", "", 0, 0, "", cmd_link_list, "interfaces that carry our frames" },
	{ "link", "add", "INTERFACE", 1, 1, "", cmd_link_add, "make an interface a link" },
	{ "link", "del", "INTERFACE", 1, 1, "", cmd_link_del, "make it an ordinary one again" },
	{ "neigh", "list", "", 0, 0, "", cmd_neigh_list, "routers one hop away" },
	{ "neigh", "set", "LINK ROUTER", 2, 2, "kmxyI", cmd_neigh_set, "key a neighbour by hand" },
	{ "neigh", "del", "LINK ROUTER", 2, 2, "", cmd_neigh_del, "forget a neighbour" },
	{ "route", "list", "", 0, 0, "", cmd_route_list, "how addresses are reached" },
	{ "route", "set", "ADDRESS INDEX[:METRIC]…", 2, 5, "", cmd_route_set,
	  "set a route over neighbours, by their index" },
	{ "route", "del", "ADDRESS", 1, 1, "", cmd_route_del, "remove a route" },
	{ "session", "list", "", 0, 0, "", cmd_session_list, "end-to-end sessions" },
	{ "session", "set", "LOCAL PEER", 2, 2, "kxyI", cmd_session_set, "key a session by hand" },
	{ "session", "del", "LOCAL PEER", 2, 2, "", cmd_session_del, "end a session" },
	{ "counters", "list", "", 0, 0, "", cmd_counters_list, "what the kernel counted, by name" },
	{ "db", "verify", "[DIRECTORY]", 0, 1, "", cmd_db_verify, "look for damage in the store" },
	{ "db", "stat", "[DIRECTORY]", 0, 1, "", cmd_db_stat, "how much is in which table" },
	{ "db", "backup", "TARGET [DIRECTORY]", 1, 2, "", cmd_db_backup,
	  "copy the store into the new directory TARGET" },
	{ "db", "compact", "[DIRECTORY]", 0, 1, "", cmd_db_compact, "write it anew without free pages" },
	{ "monitor", NULL, "", 0, 0, "t", cmd_monitor, "what happens, as it happens" },
	{ "idpath", NULL, "", 0, 0, "", cmd_idpath, "path of the selected identity file" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *f)
{
	fputs("Usage: ratctl [OPTIONS] NOUN VERB [ARGUMENTS]\n\n"
	      "Look at the mesh and steer it. Without arguments: status.\n\n", f);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char form[64];

		snprintf(form, sizeof(form), "%s%s%s%s%s", commands[i].noun,
			 commands[i].verb ? " " : "", commands[i].verb ? commands[i].verb : "",
			 commands[i].args[0] ? " " : "", commands[i].args);
		fprintf(f, "  %-38s %s\n", form, commands[i].help);
	}
	fputs("\nOptions:\n"
	      "  -b, --bind ADDR     the daemon, default " RATMAN_DEFAULT_BIND "\n"
	      "  -i, --cid FILE      identity file; default by profile, see ratctl idpath\n"
	      "  -p, --prof NAME     profile, default " IDENTITY_PROFILE_DEFAULT "\n"
	      "      --json          machine output (also -o json)\n"
	      "      --wide, --no-header, --color auto|always|never\n"
	      "      --device NAME   mesh device, where there are several\n"
	      "      --name TEXT     addr create: a private label\n"
	      "  -f, --force         addr destroy: no question, stored streams too;\n"
	      "                      addr create: replace the identity file\n"
	      "      --show-secrets  addr create: print the token even on a terminal\n"
	      "      --keys FILE     neigh set, session set: two lines, receive key and send key, hex\n"
	      "      --mac, --index, --peer-index, --initiator  neigh set, session set\n"
	      "  -t, --timestamps    monitor\n"
	      "  -q, --quiet, -h, --help, -V, --version\n\n"
	      "An address can be typed in full, as a unique beginning, or as its IPv6 address.\n\n"
	      "Examples:\n"
	      "  ratctl addr create --name laptop && ratctl addr up\n"
	      "  ratctl route list --json\n", f);
}

int ctl_fail(const struct ctl *ctl, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_failure(&ctl->style, "ratctl", status, "%s", text);
	return status;
}

/* Applies one option; returns CTL_OK or reports and returns another status. */
static int apply_option(struct ctl *ctl, int c, const char *value)
{
	enum term_when when;

	switch (c) {
	case 'b':
		ctl->bind = value;
		break;
	case 'i':
		ctl->identity_path = value;
		break;
	case 'p':
		ctl->profile = value;
		break;
	case 'o':
		if (strcmp(value, "json") && strcmp(value, "lines"))
			return ctl_fail(ctl, CTL_USER, "--out %s: must be lines or json", value);
		ctl->style.json = !strcmp(value, "json");
		break;
	case 'j':
		ctl->style.json = true;
		break;
	case 'q':
		ctl->quiet = true;
		break;
	case 'w':
		ctl->style.wide = true;
		break;
	case 'H':
		ctl->style.no_header = true;
		break;
	case 'C':
		if (!term_when_parse(value, &when))
			return ctl_fail(ctl, CTL_USER, "--color %s: must be auto, always or never",
					value);
		term_set_color(when);
		break;
	case 'D':
		ctl->device = value;
		break;
	case 'n':
		ctl->name = value;
		break;
	case 'f':
		ctl->force = true;
		break;
	case 'S':
		ctl->show_secrets = true;
		break;
	case 'k':
		ctl->keys = value;
		break;
	case 'm':
		ctl->mac = value;
		break;
	case 'x':
		ctl->index = value;
		break;
	case 'y':
		ctl->peer_index = value;
		break;
	case 'I':
		ctl->initiator = true;
		break;
	case 't':
		ctl->stamps = true;
		break;
	}
	return CTL_OK;
}

/* The words of the table in one position, each once; the first word filters the second. */
static size_t words(const char *noun, const char **out)
{
	size_t n = 0;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *word = noun ? commands[i].verb : commands[i].noun;

		if (noun && strcmp(noun, commands[i].noun))
			continue;
		if (word && (!n || strcmp(out[n - 1], word)))
			out[n++] = word;
	}
	return n;
}

/* What the user typed as noun or verb: a whole word or a unique beginning. */
static const char *find_word(const struct ctl *ctl, const char *noun, const char *typed)
{
	const char *list[N_COMMANDS], *found, *near;
	size_t n = words(noun, list);

	found = suggest_complete(typed, list, n);
	if (found)
		return found;
	near = suggest_nearest(typed, list, n);
	if (near)
		ctl_fail(ctl, CTL_USER, "there is no %s '%s'; did you mean '%s%s%s'?",
			 noun ? noun : "command", typed, noun ? noun : "", noun ? " " : "", near);
	else
		ctl_fail(ctl, CTL_USER, "there is no %s '%s'; see ratctl --help",
			 noun ? noun : "command", typed);
	return NULL;
}

static const struct command *find_command(const struct ctl *ctl, int *argc, char ***argv)
{
	const char *noun, *verb = NULL;

	if (!*argc)
		return &commands[0];
	noun = find_word(ctl, NULL, (*argv)[0]);
	if (!noun)
		return NULL;
	(*argc)--;
	(*argv)++;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].noun, noun))
			continue;
		if (!commands[i].verb)
			return &commands[i];
		if (!verb) {
			if (!*argc) {
				ctl_fail(ctl, CTL_USER, "%s what? For example: ratctl %s %s", noun,
					 noun, commands[i].verb);
				return NULL;
			}
			verb = find_word(ctl, noun, (*argv)[0]);
			if (!verb)
				return NULL;
			(*argc)--;
			(*argv)++;
		}
		if (!strcmp(commands[i].verb, verb))
			return &commands[i];
	}
	return NULL;
}

static int check_use(const struct ctl *ctl, const struct command *cmd, int argc, const bool *given)
{
	if (argc < cmd->min_args || argc > cmd->max_args)
		return ctl_fail(ctl, CTL_USER, "usage: ratctl %s%s%s %s", cmd->noun,
				cmd->verb ? " " : "", cmd->verb ? cmd->verb : "", cmd->args);
	for (const struct option *o = long_options; o->name; o++)
		if (given[o->val] && !strchr(common_options, o->val) && !strchr(cmd->options, o->val))
			return ctl_fail(ctl, CTL_USER, "--%s does nothing for ratctl %s%s%s",
					o->name, cmd->noun, cmd->verb ? " " : "",
					cmd->verb ? cmd->verb : "");
	return CTL_OK;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	const struct command *cmd;
	bool given[128] = { false };
	int c, status;

	while ((c = getopt_long(argc, argv, "b:i:p:o:qhVft", long_options, NULL)) != -1) {
		if (c == 'h') {
			print_usage(stdout);
			return CTL_OK;
		}
		if (c == 'V') {
			puts("ratctl " RATMAN_PACKAGE_VERSION);
			return CTL_OK;
		}
		if (c == '?') {
			fputs("Try: ratctl --help\n", stderr);
			return CTL_USER;
		}
		given[c] = true;
		status = apply_option(ctl, c, optarg);
		if (status)
			return status;
	}
	argc -= optind;
	argv += optind;
	cmd = find_command(ctl, &argc, &argv);
	if (!cmd)
		return CTL_USER;
	/* "status system" is what users of the existing tool type. */
	if (cmd->run == cmd_status && argc == 1 && strcmp(argv[0], "system"))
		return ctl_fail(ctl, CTL_USER, "status takes no argument '%s'", argv[0]);
	status = check_use(ctl, cmd, argc, given);
	return status ? status : cmd->run(ctl, argc, argv);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .bind = RATMAN_DEFAULT_BIND, .profile = IDENTITY_PROFILE_DEFAULT };
	int status;

	if (sodium_init() < 0) {
		fputs("ratctl: libsodium does not work on this machine\n", stderr);
		return CTL_REFUSED;
	}
	status = run(&ctl, argc, argv);
	ratman_close(ctl.api);
	kern_close(ctl.kern);
	if (print_finish() && !status)
		status = CTL_USER;
	return status;
}
