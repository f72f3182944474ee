// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl: look at the mesh and steer it. Options, command table, dispatch.
 */
#include "ratctl/ratctl.h"

#include <signal.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/completion.h"
#include "tools/options.h"
#include "tools/suggest.h"

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
	{ "status", NULL, "", 0, 1, "L", cmd_status, "how this router is doing" },
	{ "addr", "create", "", 0, 0, "nSf", cmd_addr_create, "make an address and its token" },
	{ "addr", "up", "", 0, 0, "", cmd_addr_up, "announce the address of the identity file" },
	{ "addr", "down", "", 0, 0, "", cmd_addr_down, "stop announcing it" },
	{ "addr", "destroy", "", 0, 0, "f", cmd_addr_destroy, "remove it and its key for ever" },
	{ "addr", "list", "", 0, 0, "", cmd_addr_list, "addresses of this router" },
	{ "contact", "add", "ADDRESS", 1, 1, "KOMNTgf", cmd_contact_add,
	  "note something about an address, and let it in" },
	{ "contact", "del", "ADDRESS", 1, 1, "", cmd_contact_del, "forget a contact" },
	{ "contact", "mod", "[ADDRESS]", 0, 1, "AKOMNTgu", cmd_contact_mod,
	  "change what is noted, of one contact or --all" },
	{ "contact", "list", "", 0, 0, "", cmd_contact_list, "contacts of our address" },
	{ "contact", "query", "[ADDRESS...]", 0, 64, "KOM!NTU%g123", cmd_contact_query,
	  "contacts that fit all of it" },
	{ "peers", "list", "", 0, 0, "", cmd_peers_list, "addresses elsewhere in the mesh" },
	{ "peers", "query", "", 0, 0, "KOM!NTU%g123", cmd_peers_query,
	  "contacts that can be reached, by what is noted" },
	{ "peers", "status", "ADDRESS", 1, 1, "", cmd_peers_status, "one address elsewhere" },
	{ "user", "list", "", 0, 0, "4A56", cmd_user_list,
	  "users of this router, of others (--remote), or --all" },
	{ "user", "show", "[USER]", 0, 1, "Rf", cmd_user_show, "a profile; --avatar saves its picture" },
	{ "user", "search", "[ATTRIBUTE=]PATTERN...", 1, 16, "12356", cmd_user_search,
	  "users whose profiles fit all of it" },
	{ "user", "set", "", 0, 0, "PQRXYZ", cmd_user_set, "change the profile of the identity" },
	{ "user", "watch", "", 0, 0, "t", cmd_user_watch, "profiles, as they change" },
	{ "user", "create", "[HANDLE]", 0, 1, "@f", cmd_user_create,
	  "make a user with a password, and log in" },
	{ "user", "login", "[USER]", 0, 1, "@f", cmd_user_login,
	  "log in; the session goes into the identity file" },
	{ "user", "logout", "", 0, 0, "", cmd_user_logout, "end the session of the identity file" },
	{ "user", "status", "", 0, 0, "", cmd_user_status, "whether the session still stands; keeps it" },
	{ "user", "passwd", "", 0, 0, "@", cmd_user_passwd, "another password, or the first one" },
	{ "user", "destroy", "", 0, 0, "f~", cmd_user_destroy, "remove the user and its key for ever" },
	{ "service", "list", "", 0, 0, "", cmd_service_list, "services that are registered" },
	{ "service", "register", "NAME", 1, 1, "dSt", cmd_service_register,
	  "be a service, and print who logs in and out" },
	{ "service", "keys", "SERVICE [NS]", 1, 2, "", cmd_service_keys,
	  "what a service keeps for the identity" },
	{ "service", "get", "SERVICE [NS#]KEY", 2, 2, "", cmd_service_get, "a value of it" },
	{ "service", "set", "SERVICE [NS#]KEY [VALUE]", 2, 3, "", cmd_service_set,
	  "put a value there, else from standard input" },
	{ "service", "del", "SERVICE [NS#]KEY", 2, 2, "", cmd_service_del, "remove a value" },
	{ "msg", "send", "[ADDRESS...]", 0, LIMIT_RECIPIENTS, "EFZgGJ", cmd_msg_send,
	  "send --text, --file or stdin; --flood: to all" },
	{ "msg", "list", "", 0, 0, "ZAgzl56", cmd_msg_list, "messages of the identity, oldest first" },
	{ "msg", "show", "ID", 1, 1, "Z", cmd_msg_show, "one message and what is known of it" },
	{ "msg", "read", "ID", 1, 1, "Z", cmd_msg_read, "print what it holds; it is read then" },
	{ "msg", "tag", "ID", 1, 1, "Zgur", cmd_msg_tag, "add and take away tags, for us alone" },
	{ "msg", "del", "ID...", 1, LIMIT_RECIPIENTS, "Z", cmd_msg_del, "delete messages, for us alone" },
	{ "msg", "watch", "", 0, 0, "ZAgl", cmd_msg_watch, "messages, as they come" },
	{ "msg", "unwatch", "ID", 1, 1, "", cmd_msg_unwatch, "end what a watch left behind" },
	{ "stream", "sub", "", 0, 0, "as", cmd_stream_sub,
	  "keep streams to this address or a namespace for me" },
	{ "stream", "unsub", "ID", 1, 1, "", cmd_stream_unsub, "end a subscription" },
	{ "stream", "resub", "ID", 1, 1, "", cmd_stream_resub,
	  "another socket, with all that was missed" },
	{ "stream", "list", "", 0, 0, "", cmd_stream_list, "subscriptions of the identity" },
	{ "space", "register", "", 0, 0, "F", cmd_space_register,
	  "give the daemon a namespace's key, new or from FILE" },
	{ "space", "up", "[NAMESPACE]", 0, 1, "F", cmd_space_up,
	  "make the address of the identity file a member" },
	{ "space", "down", "[NAMESPACE]", 0, 1, "F", cmd_space_down, "a member no more" },
	{ "space", "anycast", "[NAMESPACE]", 0, 1, "FW", cmd_space_anycast,
	  "which members answer, the quickest first" },
	{ "link", "list", "", 0, 0, "", cmd_link_list, "interfaces that carry our frames" },
	{ "link", "add", "INTERFACE", 1, 1, "", cmd_link_add, "make an interface a link" },
	{ "link", "del", "INTERFACE", 1, 1, "", cmd_link_del, "make it an ordinary one again" },
	{ "neigh", "list", "", 0, 0, "", cmd_neigh_list, "routers one hop away" },
	{ "neigh", "set", "LINK ROUTER", 2, 2, "kmxyI", cmd_neigh_set, "key a neighbour by hand" },
	{ "neigh", "del", "LINK ROUTER", 2, 2, "", cmd_neigh_del, "forget a neighbour" },
	{ "route", "list", "", 0, 0, "", cmd_route_list, "how addresses are reached" },
	{ "route", "set", "ADDRESS INDEX[:METRIC]...", 2, 5, "", cmd_route_set,
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
	{ "db", "rekey", "KEYFILE|passphrase [DIRECTORY]", 1, 2, "", cmd_db_rekey,
	  "change what unlocks it" },
	{ "file", "list", "[PATTERN]", 0, 1, "9", cmd_file_list, "your files, and those announced" },
	{ "file", "show", "FILE", 1, 1, "", cmd_file_show, "all about one of them" },
	{ "file", "add", "PATH", 1, 1, "n8", cmd_file_add, "keep a file here, encrypted" },
	{ "file", "update", "FILE PATH", 2, 2, "", cmd_file_update, "other content for it" },
	{ "file", "get", "FILE", 1, 1, "7f", cmd_file_get, "write its content to a file" },
	{ "file", "announce", "FILE", 1, 1, "ase", cmd_file_announce, "let others ask for it" },
	{ "file", "withdraw", "FILE", 1, 1, "ase", cmd_file_withdraw, "not any more" },
	{ "file", "request", "FILE", 1, 1, "a0W", cmd_file_request, "ask for one of others" },
	{ "file", "send", "FILE [ADDRESS...]", 1, 1 + LIMIT_RECIPIENTS, "s", cmd_file_send,
	  "give it to others" },
	{ "file", "del", "FILE", 1, 1, "", cmd_file_del, "remove it, or stop its coming" },
	{ "file", "watch", "", 0, 0, "", cmd_file_watch, "what happens to files, as it happens" },
	{ "top", NULL, "", 0, 0, "vc", cmd_top, "links, neighbours, traffic and drops, live" },
	{ "monitor", NULL, "", 0, 0, "t", cmd_monitor, "what happens, as it happens" },
	{ "idpath", NULL, "", 0, 0, "", cmd_idpath, "path of the selected identity file" },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

/* More words for the same; a NULL noun is any. */
static const struct {
	const char *noun;
	const char *word, *means;
} aliases[] = {
	{ NULL, "ls", "list" },
	{ "stream", "del", "unsub" },
};

/* "addr create [ARGS]", as people type it. */
static const char *command_form(const struct command *cmd, char *out, size_t size)
{
	snprintf(out, size, "%s%s%s%s%s", cmd->noun, cmd->verb ? " " : "",
		 cmd->verb ? cmd->verb : "", cmd->args[0] ? " " : "", cmd->args);
	return out;
}

/* Help for everything, for one noun, or (with @only) for one command. */
static void print_usage(FILE *f, const char *noun, const struct command *only)
{
	char form[96];

	fprintf(f, "Usage: ratctl [OPTIONS] %s\n\n",
		only ? command_form(only, form, sizeof(form)) : "NOUN VERB [ARGUMENTS]");
	if (only)
		fprintf(f, "  %s\n", only->help);
	else if (!noun)
		fputs("Look at the mesh and steer it. Without arguments: status.\n\n", f);
	for (size_t i = 0; i < N_COMMANDS && !only; i++) {
		if (noun && strcmp(noun, commands[i].noun))
			continue;
		fprintf(f, "  %-38s %s\n", command_form(&commands[i], form, sizeof(form)),
			commands[i].help);
		if (noun)
			options_help(f, &ctl_options, commands[i].options, false);
	}
	if (only && only->options[0]) {
		fputc('\n', f);
		options_help(f, &ctl_options, only->options, false);
	}
	if (noun) {
		fputs("\nOptions of every command: ratctl --help\n", f);
		return;
	}
	fputs("\nOptions:\n", f);
	options_help(f, &ctl_options, NULL, true);
	fputs("\nOptions of some commands (which: ratctl NOUN --help):\n", f);
	options_help(f, &ctl_options, NULL, false);
	fputs("\nAn address can be typed in full, as a unique beginning, or as its IPv6 address.\n\n"
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
		ctl_fail(ctl, CTL_USER, "there is no command '%s%s%s'; did you mean '%s%s%s'?",
			 noun ? noun : "", noun ? " " : "", typed, noun ? noun : "", noun ? " " : "",
			 near);
	else
		ctl_fail(ctl, CTL_USER, "there is no command '%s%s%s'; see ratctl %s%s--help",
			 noun ? noun : "", noun ? " " : "", typed, noun ? noun : "", noun ? " " : "");
	return NULL;
}

/* Verb @typed of @noun: its row, or NULL after having said why not. */
static const struct command *find_verb(const struct ctl *ctl, const char *noun, const char *typed)
{
	const char *verb;

	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (!strcmp(aliases[i].word, typed) &&
		    (!aliases[i].noun || !strcmp(aliases[i].noun, noun)))
			typed = aliases[i].means;
	}
	verb = find_word(ctl, noun, typed);
	for (size_t i = 0; verb && i < N_COMMANDS; i++)
		if (!strcmp(commands[i].noun, noun) && !strcmp(commands[i].verb, verb))
			return &commands[i];
	return NULL;
}

static const struct command *first_of(const char *noun)
{
	size_t i = 0;

	while (strcmp(commands[i].noun, noun))
		i++;
	return &commands[i];
}

static int print_completion(const struct ctl *ctl)
{
	struct completion_command list[N_COMMANDS];

	if (strcmp(ctl->completion, "bash"))
		return ctl_fail(ctl, CTL_USER, "--completion %s: there is one for bash only",
				ctl->completion);
	for (size_t i = 0; i < N_COMMANDS; i++)
		list[i] = (struct completion_command){
			.noun = commands[i].noun, .verb = commands[i].verb,
			.args = commands[i].args, .options = commands[i].options,
		};
	completion_bash(stdout, &ctl_options, list, N_COMMANDS);
	return CTL_OK;
}

static int check_use(const struct ctl *ctl, const struct command *cmd, int argc, char **argv)
{
	char form[96];

	/* "status system" is what users of the existing tool type. */
	if (cmd->run == cmd_status && argc == 1 && strcmp(argv[0], "system"))
		return ctl_fail(ctl, CTL_USER, "status takes no argument '%s'", argv[0]);
	if (argc < cmd->min_args || argc > cmd->max_args)
		return ctl_fail(ctl, CTL_USER, "usage: ratctl %s",
				command_form(cmd, form, sizeof(form)));
	return CTL_OK;
}

/* Help, version, completion: true when one was asked for, *status then says how it went. */
static bool answer_asked(const struct ctl *ctl, const char *noun, const struct command *cmd,
			 int *status)
{
	*status = CTL_OK;
	if (ctl->help)
		print_usage(stdout, noun, cmd);
	else if (ctl->version)
		puts("ratctl " RATMAN_PACKAGE_VERSION);
	else if (ctl->completion)
		*status = print_completion(ctl);
	return ctl->help || ctl->version || ctl->completion;
}

/* Finds the command, taking the options around its words; *out stays NULL where nothing is left to do. */
static int read_command(struct ctl *ctl, struct options_reader *reader, const struct command **out)
{
	const struct command *cmd;
	const char *noun;
	char form[96];
	int status = options_before(&ctl_options, reader);

	if (status)
		return status;
	if (reader->argc < 2) {
		if (!answer_asked(ctl, NULL, NULL, &status))
			*out = &commands[0];
		return status;
	}
	noun = find_word(ctl, NULL, reader->argv[1]);
	if (!noun)
		return CTL_USER;
	cmd = first_of(noun);
	options_shift(reader);
	if (cmd->verb) {
		status = options_before(&ctl_options, reader);
		if (status)
			return status;
		if (reader->argc < 2) {
			if (answer_asked(ctl, noun, NULL, &status))
				return status;
			return ctl_fail(ctl, CTL_USER, "%s what? For example: ratctl %s %s", noun,
					noun, cmd->verb);
		}
		cmd = find_verb(ctl, noun, reader->argv[1]);
		if (!cmd)
			return CTL_USER;
		options_shift(reader);
	}
	snprintf(form, sizeof(form), "%s%s%s", cmd->noun, cmd->verb ? " " : "",
		 cmd->verb ? cmd->verb : "");
	status = options_behind(&ctl_options, cmd->options, form, reader);
	if (!status && !answer_asked(ctl, noun, cmd, &status))
		*out = cmd;
	return status;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct options_reader reader = {
		.argc = argc, .argv = argv, .target = ctl, .style = &ctl->style,
	};
	const struct command *cmd = NULL;
	int status = read_command(ctl, &reader, &cmd);

	if (status || !cmd)
		return status;
	status = check_use(ctl, cmd, reader.argc - 1, reader.argv + 1);
	return status ? status : cmd->run(ctl, reader.argc - 1, reader.argv + 1);
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .bind = RATMAN_DEFAULT_BIND, .profile = IDENTITY_PROFILE_DEFAULT };
	int status;

	if (sodium_init() < 0) {
		fputs("ratctl: libsodium does not work on this machine\n", stderr);
		return CTL_REFUSED;
	}
	/* Whoever wants JSON wants it also when an option before that word is wrong. */
	ctl.style.json = options_has(argc, argv, "--json");
	status = run(&ctl, argc, argv);
	ratman_close(ctl.api);
	kern_close(ctl.kern);
	if (print_finish() && !status)
		status = ctl_fail(&ctl, CTL_USER, "cannot write to standard output");
	/* Nobody reads any more: what shells know of programs then is the signal. */
	if (status == 128 + SIGPIPE) {
		signal(SIGPIPE, SIG_DFL);
		raise(SIGPIPE);
	}
	return status;
}
