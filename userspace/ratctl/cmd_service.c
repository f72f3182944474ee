// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl service: being a service, and what services keep for the identity.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ratctl/pairs.h"
#include "ratctl/watch.h"

int cmd_service_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		{ .key = "name", .title = "NAME", .type = PRINT_TEXT },
	};
	const char **names;
	bool god_mode;
	size_t n;
	int err, status = ctl_need_api(ctl);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	err = ratman_service_list(ctl->api, &god_mode, &names, &n);
	if (err)
		return ctl_api_failed(ctl, "listing services", err);
	print_rows(stdout, &ctl->style, columns, 1, names, n, sizeof(*names));
	if (god_mode && !ctl->quiet)
		fputs("god mode: messages of all services may be asked for at once\n", stderr);
	ratman_free(names);
	return CTL_OK;
}

/* Being one. */

struct event_row {
	int64_t time_ns;
	const char *what;
	struct address user;
	const char *token;
};

static int print_event(struct ctl *ctl, const struct ratman_service_event *event)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct event_row, time_ns, "time", "TIME", PRINT_TIME, 0),
		PRINT_COLUMN(struct event_row, what, "event", "EVENT", PRINT_TEXT, 0),
		PRINT_COLUMN(struct event_row, user, "addr", "ADDRESS", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct event_row, token, "token", "TOKEN", PRINT_TEXT, PRINT_OPTIONAL),
	};
	size_t skip = ctl->stamps || ctl->style.json ? 0 : 1;
	char token[2 * RATMAN_ID_LEN + 1];
	struct event_row row = {
		.time_ns = clock_wall_ns(), .what = event->open ? "open" : "close",
	};
	int err;

	memcpy(row.user.b, event->user.b, sizeof(row.user.b));
	if (event->has_token && ctl->show_secrets)
		row.token = sodium_bin2hex(token, sizeof(token), event->token.b, RATMAN_ID_LEN);
	err = print_line(stdout, &ctl->style, columns + skip, 4 - skip, &row);
	sodium_memzero(token, sizeof(token));
	return err ? CTL_USER : CTL_OK;
}

static int next_event(struct ctl *ctl, struct ratman_sub *sub, int timeout_ms, int *status)
{
	struct ratman_service_event event;
	int err = ratman_sub_service(sub, &event, timeout_ms);

	if (err == 1) {
		*status = print_event(ctl, &event);
		sodium_memzero(&event, sizeof(event));
	}
	return err;
}

int cmd_service_register(struct ctl *ctl, int argc, char **argv)
{
	static const struct watch w = {
		.what = "waiting for logins", .next = next_event,
		.else_ended = "somebody unregistered the service, or registered it anew",
	};
	struct ratman_subscription where;
	int err, status = ctl_need_api(ctl);

	(void)argc;
	if (status)
		return status;
	watch_signals();
	err = ratman_service_register(ctl->api, argv[0], ctl->description, &where);
	return err ? ctl_api_failed(ctl, "registering the service", err) :
		     watch_run(ctl, &w, &where);
}

/* What they keep. */

/* Splits "ns#key", in place. */
static struct ratman_service_key split(const char *service, char *text)
{
	const char *key = pairs_split(text, '#');

	return (struct ratman_service_key){ service, key ? text : "", key ? key : text };
}

int cmd_service_keys(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct ratman_service_key, ns, "ns", "NS", PRINT_TEXT, 0),
		PRINT_COLUMN(struct ratman_service_key, key, "key", "KEY", PRINT_TEXT, 0),
	};
	struct ratman_service_key *keys;
	struct ratman_id id, token;
	size_t n;
	int err, status = ctl_need_owner(ctl, &id, &token);

	if (status)
		return status;
	err = ratman_service_keys(ctl->api, &id, &token, argv[0], argc > 1 ? argv[1] : NULL, &keys,
				  &n);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, "listing keys", err);
	print_rows(stdout, &ctl->style, columns, 2, keys, n, sizeof(*keys));
	ratman_free(keys);
	return CTL_OK;
}

/* The bytes as they are, or with JSON in hex. */
static int print_value(const struct ctl *ctl, const struct ratman_service_key *key,
		       const void *value, size_t len)
{
	struct {
		const char *ns, *key, *value;
	} row = { key->ns, key->key, NULL };
	const struct print_column columns[] = {
		PRINT_COLUMN(__typeof__(row), ns, "ns", "", PRINT_TEXT, 0),
		PRINT_COLUMN(__typeof__(row), key, "key", "", PRINT_TEXT, 0),
		PRINT_COLUMN(__typeof__(row), value, "value", "", PRINT_TEXT, 0),
	};
	char *hex;

	if (!ctl->style.json) {
		if (fwrite(value, 1, len, stdout) != len || fflush(stdout))
			return ctl_fail(ctl, CTL_USER, "cannot write the value: %s", strerror(errno));
		return CTL_OK;
	}
	hex = malloc(2 * len + 1);
	if (!hex)
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	row.value = sodium_bin2hex(hex, 2 * len + 1, value, len);
	print_record(stdout, &ctl->style, columns, 3, &row);
	sodium_memzero(hex, 2 * len);
	free(hex);
	return CTL_OK;
}

int cmd_service_get(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_service_key key = split(argv[0], argv[1]);
	struct ratman_id id, token;
	void *value;
	size_t len;
	int err, status = ctl_need_owner(ctl, &id, &token);

	(void)argc;
	if (status)
		return status;
	err = ratman_service_get(ctl->api, &id, &token, &key, &value, &len);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, "reading the value", err);
	status = print_value(ctl, &key, value, len);
	sodium_memzero(value, len);
	ratman_free(value);
	return status;
}

/* Standard input to its end into @out. CTL_OK or reports. */
static int read_stdin(struct ctl *ctl, uint8_t out[static LIMIT_CONTROL_PAYLOAD], size_t *len)
{
	ssize_t got;

	for (*len = 0; *len < LIMIT_CONTROL_PAYLOAD; *len += (size_t)got) {
		got = read(STDIN_FILENO, out + *len, LIMIT_CONTROL_PAYLOAD - *len);
		/* What came before is not the value: none is kept. */
		if (got < 0)
			return ctl_fail(ctl, CTL_USER, "cannot read standard input: %s",
					strerror(errno));
		if (!got)
			return CTL_OK;
	}
	return ctl_fail(ctl, CTL_USER, "the value is too long: less than 64 KiB");
}

int cmd_service_set(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_service_key key = split(argv[0], argv[1]);
	const void *value = argc > 2 ? argv[2] : NULL;
	size_t len = value ? strlen(argv[2]) : 0;
	uint8_t *input = NULL;
	struct ratman_id id, token;
	int err, status = ctl_need_owner(ctl, &id, &token);

	if (!status && !value) {
		value = input = malloc(LIMIT_CONTROL_PAYLOAD);
		status = input ? read_stdin(ctl, input, &len) :
				 ctl_fail(ctl, CTL_REFUSED, "out of memory");
	}
	if (!status) {
		err = ratman_service_put(ctl->api, &id, &token, &key, value, len);
		if (err == -E2BIG)
			status = ctl_fail(ctl, CTL_USER,
					  "too long: names, key and value have less than 64 KiB together");
		else if (err)
			status = ctl_owner_failed(ctl, "keeping the value", err);
		else
			print_ok(stdout, &ctl->style);
	}
	sodium_memzero(&token, sizeof(token));
	if (input)
		sodium_memzero(input, LIMIT_CONTROL_PAYLOAD);
	free(input);
	return status;
}

int cmd_service_del(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_service_key key = split(argv[0], argv[1]);
	struct ratman_id id, token;
	int err, status = ctl_need_owner(ctl, &id, &token);

	(void)argc;
	if (status)
		return status;
	err = ratman_service_del(ctl->api, &id, &token, &key);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, "removing the value", err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}
