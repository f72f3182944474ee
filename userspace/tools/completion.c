// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/completion.h"

#include <stdbool.h>
#include <string.h>

/*
 * What does not depend on the tables; ~ stands for the program. COMP_WORDS is of
 * no use: bash splits it at ':' and '=', which addresses to connect to have.
 */
static const char script[] =
	"_~_offer() # kind word\n"
	"{\n"
	"\tlocal list=$2 head=\n"
	"\tcase $1 in\n"
	"\tFILE*|DIR*|WHERE)\n"
	"\t\tcompopt -o filenames 2> /dev/null\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
	"\t\treturn ;;\n"
	"\t*'|'*)\n"
	"\t\tlist=${1//|/ } ;;\n"
	"\tINTERFACE|LINK|DEVICE)\n"
	"\t\tlist=$(ls /sys/class/net 2> /dev/null) ;;\n"
	"\tPROFILE)\n"
	"\t\tlist=$(ls \"${XDG_CONFIG_HOME:-$HOME/.config}/ratcat\" 2> /dev/null) ;;\n"
	"\tADDRESS|NAMESPACE|ROUTER|LOCAL|PEER|TO|LIST)\n"
	"\t\tlist=$(ratctl -q -o lines \"${bind[@]}\" addr list 2> /dev/null\n"
	"\t\t\tratctl -q -o lines \"${bind[@]}\" peers list 2> /dev/null | cut -f 1) ;;\n"
	"\t*)\n"
	"\t\treturn ;;\n"
	"\tesac\n"
	"\t[ \"$1\" = LIST ] && head=${2%\"${2##*,}\"}\n"
	"\tmapfile -t COMPREPLY < <(compgen -P \"$head\" -W \"$list\" -- \"${2#\"$head\"}\")\n"
	"}\n"
	"\n"
	"_~()\n"
	"{\n"
	"\tlocal line=${COMP_LINE:0:COMP_POINT} cur= noun= verb= option= kind= word n=0\n"
	"\tlocal -a words bind\n"
	"\tCOMPREPLY=()\n"
	"\tread -a words <<< \"$line\"\n"
	"\tif [[ $line != *[[:space:]] ]]; then\n"
	"\t\tcur=${words[-1]}\n"
	"\t\tunset 'words[-1]'\n"
	"\tfi\n"
	"\tfor word in \"${words[@]:1}\"; do\n"
	"\t\tif [ \"$option\" ]; then\n"
	"\t\t\tcase $option in -b|--bind) bind=(-b \"$word\") ;; esac\n"
	"\t\t\toption=\n"
	"\t\telif [[ $word == --*=* ]]; then\n"
	"\t\t\tcase $word in --bind=*) bind=(-b \"${word#*=}\") ;; esac\n"
	"\t\telif [[ $word == -* ]]; then\n"
	"\t\t\t_~_argument \"$noun $verb\" \"$word\"\n"
	"\t\t\t[ \"$kind\" ] && option=$word\n"
	"\t\telif [ -z \"$noun\" ]; then\n"
	"\t\t\tnoun=$word\n"
	"\t\telif [ -z \"$verb\" ] && _~_has_verbs \"$noun\"; then\n"
	"\t\t\tverb=$word\n"
	"\t\telse\n"
	"\t\t\tn=$((n + 1))\n"
	"\t\tfi\n"
	"\tdone\n"
	"\tif [ \"$option\" ]; then\n"
	"\t\t_~_argument \"$noun $verb\" \"$option\"\n"
	"\t\t_~_offer \"$kind\" \"$cur\"\n"
	"\telif [[ $cur == --*=* ]]; then\n"
	"\t\t_~_argument \"$noun $verb\" \"${cur%%=*}\"\n"
	"\t\t_~_offer \"$kind\" \"${cur#*=}\"\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\t_~_options \"$noun $verb\"\n"
	"\telif [ -z \"$noun\" ]; then\n"
	"\t\t_~_nouns\n"
	"\telif [ -z \"$verb\" ] && _~_has_verbs \"$noun\"; then\n"
	"\t\t_~_verbs \"$noun\"\n"
	"\telse\n"
	"\t\t_~_place \"$noun $verb\" \"$n\"\n"
	"\t\t_~_offer \"$kind\" \"$cur\"\n"
	"\tfi\n"
	"}\n"
	"complete -F _~ ~\n";

/* Writes ~text with '~' replaced by the program. */
static void put(FILE *f, const struct options_table *table, const char *text)
{
	for (; *text; text++) {
		if (*text == '~')
			fputs(table->program, f);
		else
			fputc(*text, f);
	}
}

/* The pattern of a command as the script writes it: "noun verb", or "noun ". */
static void put_command(FILE *f, const struct completion_command *c)
{
	fprintf(f, "\"%s %s\"", c->noun, c->verb ? c->verb : "");
}

/* _PROGRAM_argument COMMAND OPTION: sets kind to what the option takes, or to nothing. */
static void put_arguments(FILE *f, const struct options_table *table,
			  const struct completion_command *commands, size_t n)
{
	put(f, table, "_~_argument()\n{\n\tkind=\n\tcase \"$1 $2\" in\n");
	/* Letters of one command first: they may mean something else elsewhere. */
	for (size_t i = 0; i < n; i++) {
		for (const struct option_row *o = table->rows; o->name; o++) {
			if (!o->letter || !strchr(commands[i].options, o->id))
				continue;
			fprintf(f, "\t\"%s %s -%c\") kind='%s' ;;\n", commands[i].noun,
				commands[i].verb ? commands[i].verb : "", o->letter,
				o->arg ? o->arg : "");
		}
	}
	for (const struct option_row *o = table->rows; o->name; o++) {
		if (!o->arg)
			continue;
		fprintf(f, "\t*\" --%s\"", o->name);
		if (o->letter && options_common(table, o))
			fprintf(f, "|*\" -%c\"", o->letter);
		fprintf(f, ") kind='%s' ;;\n", o->arg);
	}
	fputs("\tesac\n}\n\n", f);
}

static void put_words(FILE *f, const struct completion_command *commands, size_t n,
		      const char *noun)
{
	const char *last = "";

	fputs("mapfile -t COMPREPLY < <(compgen -W '", f);
	for (size_t i = 0; i < n; i++) {
		const char *word = noun ? commands[i].verb : commands[i].noun;

		if ((noun && strcmp(noun, commands[i].noun)) || !strcmp(word, last))
			continue;
		fprintf(f, "%s%s", *last ? " " : "", word);
		last = word;
	}
	fputs("' -- \"$cur\")", f);
}

/* True for the first of the rows of a noun that has verbs. */
static bool begins_noun(const struct completion_command *commands, size_t i)
{
	return commands[i].verb && (!i || strcmp(commands[i].noun, commands[i - 1].noun));
}

static void put_nouns_and_verbs(FILE *f, const struct options_table *table,
				const struct completion_command *commands, size_t n)
{
	put(f, table, "_~_nouns()\n{\n\t");
	put_words(f, commands, n, NULL);
	put(f, table, "\n}\n\n_~_has_verbs()\n{\n\tcase $1 in\n");
	for (size_t i = 0; i < n; i++)
		if (begins_noun(commands, i))
			fprintf(f, "\t%s) return 0 ;;\n", commands[i].noun);
	put(f, table, "\tesac\n\treturn 1\n}\n\n_~_verbs()\n{\n\tcase $1 in\n");
	for (size_t i = 0; i < n; i++) {
		if (!begins_noun(commands, i))
			continue;
		fprintf(f, "\t%s) ", commands[i].noun);
		put_words(f, commands, n, commands[i].noun);
		fputs(" ;;\n", f);
	}
	fputs("\tesac\n}\n\n", f);
}

static void put_option_names(FILE *f, const struct options_table *table, const char *own)
{
	for (const struct option_row *o = table->rows; o->name; o++)
		if (own ? strchr(own, o->id) != NULL : options_common(table, o))
			fprintf(f, " --%s", o->name);
}

/* _PROGRAM_options COMMAND: offers the options it takes. */
static void put_options(FILE *f, const struct options_table *table,
			const struct completion_command *commands, size_t n)
{
	put(f, table, "_~_options()\n{\n\tlocal list='");
	put_option_names(f, table, NULL);
	fputs("'\n\tcase $1 in\n", f);
	for (size_t i = 0; i < n; i++) {
		if (!commands[i].options[0])
			continue;
		fputc('\t', f);
		put_command(f, &commands[i]);
		fputs(") list+='", f);
		put_option_names(f, table, commands[i].options);
		fputs("' ;;\n", f);
	}
	fputs("\tesac\n\tmapfile -t COMPREPLY < <(compgen -W \"$list\" -- \"$cur\")\n}\n\n", f);
}

/* The places of one command; a word with "..." stands for all that follow. */
static void put_places_of(FILE *f, const struct completion_command *c)
{
	static const char capitals[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	const char *args = c->args;

	for (int place = 0; *args; place++) {
		/* "INDEX[:METRIC]..." is one argument. */
		size_t word = strcspn(args, " "), skip = strcspn(args, capitals);
		const char *kind = args + skip;
		size_t len = skip < word ? strspn(kind, capitals) : 0;
		bool more = memmem(args, word, "...", 3);

		if (len && more)
			fprintf(f, "\t\"%s %s \"*) kind=%.*s ;;\n", c->noun, c->verb ? c->verb : "",
				(int)len, kind);
		else if (len)
			fprintf(f, "\t\"%s %s %d\") kind=%.*s ;;\n", c->noun, c->verb ? c->verb : "",
				place, (int)len, kind);
		args += word;
		args += strspn(args, " ");
	}
}

/* _PROGRAM_place COMMAND N: sets kind to what its N-th argument (from 0) is. */
static void put_places(FILE *f, const struct options_table *table,
		       const struct completion_command *commands, size_t n)
{
	put(f, table, "_~_place()\n{\n\tkind=\n\tcase \"$1 $2\" in\n");
	for (size_t i = 0; i < n; i++)
		put_places_of(f, &commands[i]);
	fputs("\tesac\n}\n\n", f);
}

void completion_bash(FILE *f, const struct options_table *table,
		     const struct completion_command *commands, size_t n)
{
	put(f, table, "# Completion of ~ for bash, made by: ~ --completion bash\n\n");
	put_arguments(f, table, commands, n);
	put_nouns_and_verbs(f, table, commands, n);
	put_options(f, table, commands, n);
	put_places(f, table, commands, n);
	put(f, table, script);
}
