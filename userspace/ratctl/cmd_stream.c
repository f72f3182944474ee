// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl stream: subscriptions of the identity's address.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/ratctl.h"

struct subscription_row {
	struct address id;		/* same text form as an address */
	const char *socket;
};

static int print_subscription(const struct ctl *ctl, const struct ratman_subscription *sub)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct subscription_row, id, "sub_id", "subscription", PRINT_ADDRESS,
			     0),
		PRINT_COLUMN(struct subscription_row, socket, "socket", "socket", PRINT_TEXT, 0),
	};
	struct subscription_row row = { .socket = sub->socket };

	memcpy(row.id.b, sub->id.b, sizeof(row.id.b));
	print_record(stdout, &ctl->style, columns, 2, &row);
	if (!ctl->quiet && !ctl->style.json && !ctl->style.lines)
		fputs("the socket takes one connection within 30 s; another: ratctl stream resub ID\n",
		      stderr);
	return CTL_OK;
}

static int parse_id(struct ctl *ctl, const char *text, struct ratman_id *out)
{
	if (!ratman_id_parse(text, out))
		return CTL_OK;
	return ctl_fail(ctl, CTL_USER,
			"'%s' is not the id of a subscription (16 groups of 4 hex digits); see: ratctl stream list",
			text);
}

int cmd_stream_sub(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id address, token;
	struct ratman_subscription sub;
	struct ratman_recipient to;
	bool given;
	int err, status;

	(void)argc;
	(void)argv;
	status = ctl_recipient(ctl, &to, &given);
	if (!status)
		status = ctl_need_owner(ctl, &address, &token);
	if (status)
		return status;
	err = ratman_sub_create(ctl->api, &address, &token, given ? &to : NULL, &sub);
	sodium_memzero(&token, sizeof(token));
	return err ? ctl_owner_failed(ctl, "subscribing", err) : print_subscription(ctl, &sub);
}

int cmd_stream_resub(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id, address, token;
	struct ratman_subscription sub;
	int err, status;

	(void)argc;
	status = parse_id(ctl, argv[0], &id);
	if (!status)
		status = ctl_need_owner(ctl, &address, &token);
	if (status)
		return status;
	err = ratman_sub_resume(ctl->api, &id, &address, &token, &sub);
	sodium_memzero(&token, sizeof(token));
	return err ? ctl_owner_failed(ctl, "resuming the subscription", err) :
		     print_subscription(ctl, &sub);
}

int cmd_stream_unsub(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id, address, token;
	int err, status;

	(void)argc;
	status = parse_id(ctl, argv[0], &id);
	if (!status)
		status = ctl_need_owner(ctl, &address, &token);
	if (status)
		return status;
	err = ratman_sub_cancel(ctl->api, &id, &address, &token);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, "ending the subscription", err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}

struct id_row {
	struct address id;
};

int cmd_stream_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct id_row, id, "sub_id", "SUBSCRIPTION", PRINT_ADDRESS, 0),
	};
	struct ratman_id address, token, *ids;
	int err, status;
	size_t n;

	(void)argc;
	(void)argv;
	status = ctl_need_owner(ctl, &address, &token);
	if (status)
		return status;
	err = ratman_sub_list(ctl->api, &address, &token, &ids, &n);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, "listing subscriptions", err);
	/* Ids of the library and of ours are the same 32 bytes. */
	_Static_assert(sizeof(*ids) == sizeof(struct id_row), "an id is an id");
	print_rows(stdout, &ctl->style, columns, 1, ids, n, sizeof(*ids));
	ratman_free(ids);
	return CTL_OK;
}
