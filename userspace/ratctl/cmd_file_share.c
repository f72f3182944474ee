// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl file announce, withdraw, request, send: files of others, and ours for them.
 */
#include <poll.h>
#include <sodium.h>
#include <stdio.h>

#include "base/clock.h"
#include "ratctl/file.h"
#include "tools/term.h"

#define LOOK_MS 300		/* from one look at a download to the next */

/* One of --everybody, --addr and --space; *@all says that it was the first. */
static int need_recipient(struct ctl *ctl, struct ratman_recipient *to, bool *all)
{
	if (ctl->all + !!ctl->addr + !!ctl->space != 1)
		return ctl_fail(ctl, CTL_USER,
				"to whom? One of: --addr ADDRESS, --space NAMESPACE, --everybody");
	*all = ctl->all;
	return ctl_recipient(ctl, to, &(bool){ false });
}

typedef int (*share_call)(struct ratman *r, const struct ratman_id *user,
			  const struct ratman_id *token, const struct ratman_id *id,
			  const struct ratman_recipient *to);

static int share(struct ctl *ctl, const char *text, const char *what, share_call call)
{
	struct ratman_recipient to;
	struct ratman_id id;
	struct file_owner o;
	bool all = false;
	int err, status = need_recipient(ctl, &to, &all);

	if (!status)
		status = file_prepare(ctl, text, &o, &id);
	if (status)
		return status;
	err = call(ctl->api, &o.user, &o.token, &id, all ? NULL : &to);
	sodium_memzero(&o.token, sizeof(o.token));
	if (err)
		return ctl_owner_failed(ctl, what, err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}

int cmd_file_announce(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	return share(ctl, argv[0], "announcing the file", ratman_file_announce);
}

int cmd_file_withdraw(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	return share(ctl, argv[0], "withdrawing the file", ratman_file_withdraw);
}

/* Looks until the file is here, or is not coming any more, or until @ms (0: for ever) are over. */
static int wait_for(struct ctl *ctl, const struct file_owner *o, const struct ratman_id *id,
		    uint32_t ms)
{
	uint64_t end_ms = clock_ms() + ms;
	struct term_progress progress;
	struct ratman_file file;
	int err;

	term_progress_start(&progress, ctl->quiet ? TERM_NEVER : TERM_AUTO, "arriving", 0);
	while (!(err = ratman_file_status(ctl->api, &o->user, &o->token, id, &file)) &&
	       file.state == RATMAN_FILE_IN_PROGRESS && (!ms || clock_ms() < end_ms)) {
		uint64_t left_ms = ms ? end_ms - clock_ms() : LOOK_MS;

		progress.total = file.size;
		term_progress_update(&progress, file.local_bytes);
		poll(NULL, 0, (int)(left_ms < LOOK_MS ? left_ms : LOOK_MS));
	}
	term_progress_end(&progress);
	if (err == RATMAN_ENODATA || (!err && file.state == RATMAN_FILE_ADVERTISED))
		return ctl_fail(ctl, CTL_REFUSED,
				"nobody who was asked has this file for you");
	if (!err && file.state == RATMAN_FILE_IN_PROGRESS)
		return ctl_fail(ctl, CTL_TIMEOUT,
				"the file is not here after %u ms; it goes on arriving, see: ratctl file show",
				ms);
	return err ? ctl_owner_failed(ctl, "waiting for the file", err) : CTL_OK;
}

/* Whether to wait, and how long. */
static int read_wait(struct ctl *ctl, uint32_t *ms)
{
	*ms = 0;
	if (!ctl->ask_ms)
		return CTL_OK;
	if (!ctl->wait)
		return ctl_fail(ctl, CTL_USER, "--timeout says how long to --wait: give both");
	return ctl_number(ctl, "--timeout", ctl->ask_ms, INT32_MAX, ms);
}

int cmd_file_request(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id, owner;
	struct file_owner o;
	uint32_t ms;
	int err, status = read_wait(ctl, &ms);

	(void)argc;
	if (!status && ctl->addr)
		status = ctl_address_id(ctl, ctl->addr, &owner);
	if (!status)
		status = file_prepare(ctl, argv[0], &o, &id);
	if (status)
		return status;
	err = ratman_file_request(ctl->api, &o.user, &o.token, &id, ctl->addr ? &owner : NULL);
	if (err)
		status = ctl_owner_failed(ctl, "asking for the file", err);
	else if (ctl->wait)
		status = wait_for(ctl, &o, &id, ms);
	sodium_memzero(&o.token, sizeof(o.token));
	if (!status)
		print_ok(stdout, &ctl->style);
	return status;
}

int cmd_file_send(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_recipient to[LIMIT_RECIPIENTS + 1];
	struct ratman_id id;
	struct file_owner o;
	size_t n = 0;
	int err, status = CTL_OK;

	for (int i = 1; i < argc + !!ctl->space && !status; i++) {
		to[n].is_namespace = i == argc;
		status = ctl_address_id(ctl, i == argc ? ctl->space : argv[i], &to[n++].id);
	}
	if (!status && (!n || n > LIMIT_RECIPIENTS))
		return ctl_fail(ctl, CTL_USER, "to whom? Up to %d addresses, or --space NAMESPACE",
				LIMIT_RECIPIENTS);
	if (!status)
		status = file_prepare(ctl, argv[0], &o, &id);
	if (status)
		return status;
	err = ratman_file_send(ctl->api, &o.user, &o.token, &id, to, n);
	sodium_memzero(&o.token, sizeof(o.token));
	if (err)
		return ctl_owner_failed(ctl, "sending the file", err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}
