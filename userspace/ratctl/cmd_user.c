// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl user: making users, logging in and out. Profiles are in cmd_profile.c.
 *
 * The token of a session stands in the identity file, where all other commands find it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/prompt.h"
#include "ratctl/ratctl.h"

/* A password and its end; in guarded memory. */
#define PASSWORD_SIZE (RATMAN_PASSWORD_MAX + 1)

/* The first line of @fd; false when it is empty or too long. */
static bool read_password(int fd, char *out)
{
	char text[PASSWORD_SIZE + 1];
	size_t n = 0;
	ssize_t got;
	char *end;
	bool good;

	while (n < sizeof(text) && (got = read(fd, text + n, sizeof(text) - n)) > 0) {
		n += (size_t)got;
		if (memchr(text, '\n', n))
			break;
	}
	end = memchr(text, '\n', n);
	if (end)
		n = (size_t)(end - text);
	good = n && n < PASSWORD_SIZE && !memchr(text, '\0', n);
	if (good) {
		memcpy(out, text, n);
		out[n] = '\0';
	}
	sodium_memzero(text, sizeof(text));
	return good;
}

/* Never from the command line: others see that. @fresh: it is a new one. */
static int get_password(struct ctl *ctl, bool fresh, char *out)
{
	bool from_stdin = ctl->password_file && !strcmp(ctl->password_file, "-");
	int fd, err;
	bool good;

	if (!ctl->password_file) {
		err = prompt_secret(fresh ? "New password: " : "Password: ", fresh, out, PASSWORD_SIZE);
		if (err == -ENXIO)
			return ctl_fail(ctl, CTL_USER,
					"no terminal to ask for the password; give --password-file FILE, or - for standard input");
		return err ? ctl_fail(ctl, CTL_USER, "that is no password: 1 to %d bytes%s",
				      RATMAN_PASSWORD_MAX, fresh ? ", the same twice" : "") :
			     CTL_OK;
	}
	fd = from_stdin ? STDIN_FILENO : open(ctl->password_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s", ctl->password_file,
				strerror(errno));
	good = read_password(fd, out);
	if (!from_stdin)
		close(fd);
	return good ? CTL_OK : ctl_fail(ctl, CTL_USER,
					"the first line of %s is no password: 1 to %d bytes",
					from_stdin ? "standard input" : ctl->password_file,
					RATMAN_PASSWORD_MAX);
}

/* Where the session goes; @path has room for it. */
static int session_file(struct ctl *ctl, char *path, size_t size)
{
	if (ctl->identity_path)
		snprintf(path, size, "%s", ctl->identity_path);
	else if (identity_default_path(ctl->profile, path, size))
		return ctl_fail(ctl, CTL_USER,
				"nowhere to keep the session: set HOME or XDG_CONFIG_HOME, or give -i FILE");
	return CTL_OK;
}

static int keep_session(struct ctl *ctl, const char *path, const struct ratman_id *id,
			const struct ratman_id *token, bool replace)
{
	struct identity identity = { .session = true };
	char why[512], text[ADDRESS_TEXT_LEN];
	int err;

	memcpy(identity.address.b, id->b, sizeof(id->b));
	memcpy(identity.token.b, token->b, sizeof(token->b));
	err = identity_save(path, &identity, ctl->style.json, replace, why, sizeof(why));
	if (!err)
		ctl_print_saved(ctl, &identity.address, path);
	address_format(&identity.address, text);
	identity_wipe(&identity);
	return err ? ctl_fail(ctl, CTL_USER, "%s; log in again when that is mended: ratctl user login %s",
			      why, text) : CTL_OK;
}

int cmd_user_create(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id, token;
	char path[4096], *password;
	int err, status = session_file(ctl, path, sizeof(path));

	if (status)
		return status;
	if (!ctl->force && !access(path, F_OK))
		return ctl_fail(ctl, CTL_USER,
				"%s holds an identity already; choose another with -p NAME or -i FILE, or replace it with --force",
				path);
	if (argc && strlen(argv[0]) > LIMIT_HANDLE)
		return ctl_fail(ctl, CTL_USER, "a handle has at most %d bytes", LIMIT_HANDLE);
	password = sodium_malloc(PASSWORD_SIZE);
	if (!password)
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	status = ctl_need_api(ctl);
	if (!status)
		status = get_password(ctl, true, password);
	if (!status) {
		err = ratman_user_create(ctl->api, password, argc ? argv[0] : NULL, &id, &token);
		status = err ? ctl_api_failed(ctl, "making a user", err) : CTL_OK;
	}
	sodium_free(password);
	if (status)
		return status;
	status = keep_session(ctl, path, &id, &token, ctl->force);
	sodium_memzero(&token, sizeof(token));
	if (!status && !ctl->quiet)
		fprintf(stderr, "logged in; the session is in %s, and the password opens it again: ratctl user login\n",
			path);
	return status;
}

/* Who shall log in, and whether the file at @path is his. */
static int login_as(struct ctl *ctl, int argc, char **argv, const char *path, struct ratman_id *id)
{
	bool there = !access(path, F_OK), same, permanent;
	struct identity own;
	int status;

	if (argc) {
		status = ctl_find_user(ctl, argv[0], true, id);
		if (status || !there || ctl->force)
			return status;
	}
	status = ctl_need_identity(ctl, &own);
	if (status)
		return status;
	same = !argc || !memcmp(id->b, own.address.b, sizeof(id->b));
	if (!argc)
		memcpy(id->b, own.address.b, sizeof(id->b));
	permanent = !own.session;
	identity_wipe(&own);
	if (!same)
		return ctl_fail(ctl, CTL_USER,
				"%s is of another address; choose another with -p NAME or -i FILE, or replace it with --force",
				path);
	/* Unlike a session's there is no other, and the address could not be brought up any more. */
	if (permanent && !ctl->force)
		return ctl_fail(ctl, CTL_USER,
				"%s holds the permanent token of this address, and keeps it: bring the address up with ratctl addr up, or keep the session in another file, -p NAME or -i FILE; --force replaces the token for ever",
				path);
	return CTL_OK;
}

int cmd_user_login(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id, token;
	char path[4096], *password;
	int err, status = session_file(ctl, path, sizeof(path));

	if (!status)
		status = ctl_need_api(ctl);
	if (!status)
		status = login_as(ctl, argc, argv, path, &id);
	if (status)
		return status;
	password = sodium_malloc(PASSWORD_SIZE);
	status = password ? get_password(ctl, false, password) :
			    ctl_fail(ctl, CTL_REFUSED, "out of memory");
	if (!status) {
		err = ratman_user_login(ctl->api, &id, password, &token);
		status = err ? ctl_api_failed(ctl, "logging in", err) : CTL_OK;
	}
	sodium_free(password);
	if (status)
		return status;
	status = keep_session(ctl, path, &id, &token, true);
	sodium_memzero(&token, sizeof(token));
	return status;
}

typedef int (*user_call)(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token);

static int with_session(struct ctl *ctl, const char *what, user_call call)
{
	struct ratman_id id, token;
	int err, status = ctl_need_owner(ctl, &id, &token);

	if (status)
		return status;
	err = call(ctl->api, &id, &token);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl_owner_failed(ctl, what, err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}

int cmd_user_logout(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return with_session(ctl, "logging out", ratman_user_logout);
}

int cmd_user_status(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return with_session(ctl, "asking for the session", ratman_user_status);
}

static int destroy(struct ratman *r, const struct ratman_id *id, const struct ratman_id *token)
{
	return ratman_user_destroy(r, id, token, false);
}

static int destroy_and_purge(struct ratman *r, const struct ratman_id *id,
			     const struct ratman_id *token)
{
	return ratman_user_destroy(r, id, token, true);
}

int cmd_user_destroy(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_confirm_destroy(ctl);

	(void)argc;
	(void)argv;
	return status ? status : with_session(ctl, "destroying the user",
					      ctl->purge ? destroy_and_purge : destroy);
}

int cmd_user_passwd(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id id, token;
	int err, status = ctl_need_owner(ctl, &id, &token);
	char *password;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	password = sodium_malloc(PASSWORD_SIZE);
	status = password ? get_password(ctl, true, password) :
			    ctl_fail(ctl, CTL_REFUSED, "out of memory");
	if (!status) {
		err = ratman_user_set_password(ctl->api, &id, &token, password);
		if (err)
			status = ctl_owner_failed(ctl, "changing the password", err);
		else
			print_ok(stdout, &ctl->style);
	}
	sodium_free(password);
	sodium_memzero(&token, sizeof(token));
	return status;
}
