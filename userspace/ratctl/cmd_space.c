// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl space: namespaces, through the daemon.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/ratctl.h"
#include "tools/resolve.h"

#define ASK_DEFAULT_MS 1000
#define ASK_MAX_MS 60000

/* Reads the key file, or makes key and file. The key is on disk before the daemon has it. */
static int load_or_make(struct ctl *ctl, struct space_key *key)
{
	struct ratman_id space;
	char why[512];
	int err;

	err = space_key_load(ctl->file, key, why, sizeof(why));
	if (!err) {
		if (why[0] && !ctl->quiet)
			fprintf(stderr, "ratctl: warning: %s\n", why);
		return CTL_OK;
	}
	if (err != -ENOENT)
		return ctl_fail(ctl, CTL_USER, "%s", why);
	if (ratman_space_generate(&space, key->key))
		return ctl_fail(ctl, CTL_REFUSED, "cannot draw a key");
	memcpy(key->space.b, space.b, sizeof(key->space.b));
	err = space_key_save(ctl->file, key, ctl->style.json, false, why, sizeof(why));
	return err ? ctl_fail(ctl, CTL_USER, "%s", why) : CTL_OK;
}

/* The namespace; its key went into the file. */
static void print_registered(const struct ctl *ctl, const struct address *space)
{
	const struct {
		struct address space;
		const char *path;
	} row = { *space, ctl->file };
	const struct print_column columns[] = {
		PRINT_COLUMN(__typeof__(row), space, "pubkey", "", PRINT_ADDRESS, 0),
		PRINT_COLUMN(__typeof__(row), path, "file", "", PRINT_TEXT, PRINT_OURS),
	};
	char text[ADDRESS_TEXT_LEN];

	if (ctl->style.json || ctl->style.lines)
		print_record(stdout, &ctl->style, columns, 2, &row);
	else
		puts(address_format(space, text));
}

int cmd_space_register(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id space;
	struct space_key key;
	int err, status;

	(void)argc;
	(void)argv;
	if (!ctl->file)
		return ctl_fail(ctl, CTL_USER,
				"where shall the key be kept? For example: ratctl space register -f FILE");
	status = ctl_need_api(ctl);
	if (!status)
		status = load_or_make(ctl, &key);
	if (status)
		return status;
	memcpy(space.b, key.space.b, sizeof(space.b));
	err = ratman_space_create(ctl->api, &space, key.key);
	if (err)
		status = ctl_api_failed(ctl, "registering the namespace", err);
	else
		print_registered(ctl, &key.space);
	if (!err && !ctl->quiet)
		fprintf(stderr, "the key is in %s; whoever has that file can be a member\n",
			ctl->file);
	space_key_wipe(&key);
	return status;
}

/* The namespace meant: by its address, or by its key file. */
static int need_space(struct ctl *ctl, int argc, char **argv, struct ratman_id *out)
{
	struct space_key key;
	struct address space;
	char why[512];

	if (argc && ctl->file)
		return ctl_fail(ctl, CTL_USER, "either a namespace or -f FILE, not both");
	if (argc) {
		if (resolve_full(argv[0], &space))
			return ctl_fail(ctl, CTL_USER, "'%s' is not a whole address", argv[0]);
	} else if (!ctl->file) {
		return ctl_fail(ctl, CTL_USER,
				"which namespace? Give its address, or its key file with -f FILE");
	} else if (space_key_load(ctl->file, &key, why, sizeof(why))) {
		return ctl_fail(ctl, CTL_USER, "%s", why);
	} else {
		space = key.space;
		space_key_wipe(&key);
	}
	memcpy(out->b, space.b, sizeof(out->b));
	return CTL_OK;
}

/* What up, down and anycast need: identity, namespace, daemon. */
static int prepare(struct ctl *ctl, int argc, char **argv, struct ratman_id *address,
		   struct ratman_id *token, struct ratman_id *space)
{
	int status = need_space(ctl, argc, argv, space);

	return status ? status : ctl_need_owner(ctl, address, token);
}

typedef int (*space_call)(struct ratman *r, const struct ratman_id *address,
			  const struct ratman_id *token, const struct ratman_id *space);

static int with_space(struct ctl *ctl, int argc, char **argv, const char *what, space_call call)
{
	struct ratman_id address, token, space;
	int err, status = prepare(ctl, argc, argv, &address, &token, &space);

	if (!status) {
		err = call(ctl->api, &address, &token, &space);
		if (err)
			status = ctl_owner_failed(ctl, what, err);
		else if (!ctl->style.lines)
			print_ok(stdout, &ctl->style);	/* the existing tool says nothing */
	}
	sodium_memzero(&token, sizeof(token));
	return status;
}

int cmd_space_up(struct ctl *ctl, int argc, char **argv)
{
	return with_space(ctl, argc, argv, "joining the namespace", ratman_space_up);
}

int cmd_space_down(struct ctl *ctl, int argc, char **argv)
{
	return with_space(ctl, argc, argv, "leaving the namespace", ratman_space_down);
}

static int by_member(const void *a, const void *b)
{
	const struct ratman_answer *x = a, *y = b;

	return memcmp(x->member.b, y->member.b, sizeof(x->member.b));
}

/* As the existing tool has it: a map of address to "12ms"; JSON objects have their keys sorted. */
static void print_map(const struct ctl *ctl, struct ratman_answer *list, size_t n)
{
	char text[ADDRESS_TEXT_LEN];

	if (ctl->style.json) {
		qsort(list, n, sizeof(*list), by_member);
		fputs(n ? "{\n" : "{}\n", stdout);
	}
	for (size_t i = 0; i < n; i++) {
		ratman_id_format(&list[i].member, text);
		if (ctl->style.json)
			printf("  \"%s\": \"%llums\"%s\n", text, (unsigned long long)list[i].ms,
			       i + 1 < n ? "," : "\n}");
		else
			printf("%s=%llums\n", text, (unsigned long long)list[i].ms);
	}
}

static void print_answers(const struct ctl *ctl, struct ratman_answer *list, size_t n)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct ratman_answer, member, "addr", "ADDRESS", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct ratman_answer, ms, "ms", "MS", PRINT_U64, 0),
	};

	if (ctl->style.exact)
		print_map(ctl, list, n);
	else
		print_rows(stdout, &ctl->style, columns, 2, list, n, sizeof(*list));
	if (!n && !ctl->style.json && !ctl->style.lines && !ctl->quiet)
		fputs("no member answered\n", stderr);
}

int cmd_space_anycast(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id address, token, space;
	struct ratman_answer *list;
	uint32_t ms = ASK_DEFAULT_MS;
	size_t n;
	int err, status = CTL_OK;

	if (ctl->ask_ms)
		status = ctl_number(ctl, "--timeout", ctl->ask_ms, ASK_MAX_MS, &ms);
	if (!status)
		status = prepare(ctl, argc, argv, &address, &token, &space);
	if (status)
		return status;
	err = ratman_space_anycast(ctl->api, &address, &token, &space, ms, &list, &n);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, "asking the namespace", err);
	print_answers(ctl, list, n);
	ratman_free(list);
	return CTL_OK;
}
