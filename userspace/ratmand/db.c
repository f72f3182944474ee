// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/db.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ratmand/passphrase.h"
#include "ratmand/store/inspect.h"

enum {
	DB_DAMAGED = 1,
	DB_USAGE = 2,
	DB_FAILED = 255,
};

static void print_table(void *ctx, const struct inspect_table *t)
{
	uint64_t *damaged = ctx;

	*damaged += t->damaged;
	printf("table\t%s\t%s\t%llu\t%llu\t%llu\t%llu\t%llu\n", t->name, t->cache ? "cache" : "state",
	       (unsigned long long)t->records, (unsigned long long)t->damaged,
	       (unsigned long long)t->value_bytes, (unsigned long long)t->sealed_bytes,
	       (unsigned long long)t->disk_bytes);
}

static void print_damaged(void *ctx, const char *table, const void *hidden, size_t len)
{
	char hex[129];

	(void)ctx;
	sodium_bin2hex(hex, sizeof(hex), hidden, len > 64 ? 64 : len);
	printf("damaged\t%s\t%s\n", table, hex);
}

static int verify(const struct config *config, bool name_damaged)
{
	struct inspect_ops ops = { print_table, name_damaged ? print_damaged : NULL };
	struct nodekey_options key = {
		.source = config->node_key,
		.file = config->key_file,
		.ask = ask_passphrase,
	};
	uint64_t damaged = 0;
	char why[512] = "";
	bool structure;

	if (inspect_verify(config->state_dir, &key, &ops, &damaged, &structure, why, sizeof(why))) {
		fprintf(stderr, "ratmand: %s\n", why);
		return DB_FAILED;
	}
	printf("structure\t%s\n", structure ? "checked" : "running");
	return damaged ? DB_DAMAGED : 0;
}

static int backup(const struct config *config, const char *target)
{
	char why[512] = "";

	if (!target) {
		fputs("ratmand: --db backup needs a directory to make\n", stderr);
		return DB_USAGE;
	}
	if (inspect_backup(config->state_dir, target, why, sizeof(why))) {
		fprintf(stderr, "ratmand: %s\n", why);
		return DB_FAILED;
	}
	return 0;
}

static int compact(const struct config *config)
{
	uint64_t before = 0, after = 0;
	char why[512] = "";

	if (inspect_compact(config->state_dir, &before, &after, why, sizeof(why))) {
		fprintf(stderr, "ratmand: %s\n", why);
		return DB_FAILED;
	}
	printf("compacted\t%llu\t%llu\n", (unsigned long long)before, (unsigned long long)after);
	return 0;
}

/* @how: "passphrase", or the path of a key file. */
static int rekey(const struct config *config, const char *how)
{
	struct nodekey_options key = {
		.source = config->node_key,
		.file = config->key_file,
		.ask = ask_passphrase,
	};
	struct nodekey_options fresh = { .credential = NODEKEY_CREDENTIAL_NEW, .ask = ask_passphrase };
	char why[512] = "";

	if (how && !strcmp(how, "passphrase")) {
		fresh.source = NODEKEY_PASSPHRASE;
	} else if (how && strchr(how, '/')) {
		fresh.source = NODEKEY_FILE;
		fresh.file = how;
	} else {
		fputs("ratmand: --db rekey needs the word passphrase, or the path of a key file (with a slash in it)\n",
		      stderr);
		return DB_USAGE;
	}
	if (inspect_rekey(config->state_dir, &key, &fresh, why, sizeof(why))) {
		fprintf(stderr, "ratmand: %s\n", why);
		return DB_FAILED;
	}
	if (fresh.file)
		fprintf(stderr, "set in ratmand.conf: node_key = \"file\", key_file = \"%s\"\n", how);
	else
		fputs("set in ratmand.conf: node_key = \"passphrase\"\n", stderr);
	return 0;
}

int db_run(const struct config *config, const char *word, const char *target)
{
	if (target && strcmp(word, "backup") && strcmp(word, "rekey")) {
		fprintf(stderr, "ratmand: unexpected argument '%s'\n", target);
		return DB_USAGE;
	}
	if (!strcmp(word, "verify"))
		return verify(config, true);
	if (!strcmp(word, "stat"))
		return verify(config, false);
	if (!strcmp(word, "backup"))
		return backup(config, target);
	if (!strcmp(word, "compact"))
		return compact(config);
	if (!strcmp(word, "rekey"))
		return rekey(config, target);
	fprintf(stderr, "ratmand: --db %s: must be verify, stat, backup, compact or rekey\n", word);
	return DB_USAGE;
}
