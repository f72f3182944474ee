// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl addr, peers, idpath: through the daemon.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ratctl/ratctl.h"
#include "tools/term.h"

/* The library's ids and ours are the same 32 bytes. */
static struct address to_address(const struct ratman_id *id)
{
	struct address a;

	memcpy(a.b, id->b, sizeof(a.b));
	return a;
}

/* Where the new identity goes: a file, or NULL for stdout. */
static int create_target(struct ctl *ctl, char *path, size_t size, const char **out)
{
	*out = ctl->identity_path;
	if (*out || ctl->show_secrets || !term_is_tty(stdout))
		return CTL_OK;
	/* A token does not belong on a screen: keep it where the tools look for it. */
	if (identity_default_path(ctl->profile, path, size))
		return ctl_fail(ctl, CTL_USER,
				"nowhere to keep the token: set HOME or XDG_CONFIG_HOME, give -i FILE, or redirect the output to a file");
	*out = path;
	return CTL_OK;
}

void ctl_print_saved(const struct ctl *ctl, const struct address *address, const char *path)
{
	const struct {
		struct address address;
		const char *path;
	} row = { *address, path };
	const struct print_column columns[] = {
		PRINT_COLUMN(__typeof__(row), address, "addr", "", PRINT_ADDRESS, 0),
		PRINT_COLUMN(__typeof__(row), path, "file", "", PRINT_TEXT, PRINT_OURS),
	};
	char text[ADDRESS_TEXT_LEN];

	if (ctl->style.json || ctl->style.lines)
		print_record(stdout, &ctl->style, columns, 2, &row);
	else
		puts(address_format(address, text));
}

/* A file that the shell made for our output must not show the token to everybody. */
static void protect_stdout(void)
{
	struct stat st;

	if (!fstat(STDOUT_FILENO, &st) && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    (st.st_mode & 077) && fchmod(STDOUT_FILENO, 0600))
		fprintf(stderr, "ratctl: warning: other users can read the token: %s\n",
			strerror(errno));
}

int cmd_addr_create(struct ctl *ctl, int argc, char **argv)
{
	char path[4096], why[512], text[IDENTITY_TEXT_LEN];
	struct ratman_id address, token;
	struct identity id = { .session = false };
	const char *target;
	int err, status;

	(void)argc;
	(void)argv;
	status = create_target(ctl, path, sizeof(path), &target);
	if (status)
		return status;
	if (target && !ctl->force && !access(target, F_OK))
		return ctl_fail(ctl, CTL_USER,
				"%s holds an identity already; choose another with -p NAME or -i FILE, or replace it with --force",
				target);
	status = ctl_need_api(ctl);
	if (status)
		return status;
	err = ratman_addr_create(ctl->api, ctl->name, &address, &token);
	if (err)
		return ctl_api_failed(ctl, "making an address", err);
	id.address = to_address(&address);
	memcpy(id.token.b, token.b, sizeof(id.token.b));
	if (!target) {
		protect_stdout();
		fputs(identity_format(&id, ctl->style.json, text), stdout);
	} else if (identity_save(target, &id, ctl->style.json, ctl->force, why, sizeof(why))) {
		/* The token exists only here: rather show it than lose the address. */
		ctl_fail(ctl, CTL_USER, "%s; the identity is printed instead, keep it", why);
		fputs(identity_format(&id, ctl->style.json, text), stdout);
		status = CTL_USER;
	} else {
		ctl_print_saved(ctl, &id.address, target);
		if (!ctl->quiet)
			fprintf(stderr, "kept in %s; announce it with: ratctl addr up\n", target);
	}
	identity_wipe(&id);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(&token, sizeof(token));
	return status;
}

typedef int (*identity_call)(struct ratman *r, const struct ratman_id *address,
			     const struct ratman_id *token);

/* Up, down and destroy: load the identity, one call, ok. */
static int with_identity(struct ctl *ctl, const char *what, identity_call call)
{
	struct ratman_id address, token;
	int err, status = ctl_need_owner(ctl, &address, &token);

	if (status)
		return status;
	err = call(ctl->api, &address, &token);
	sodium_memzero(&token, sizeof(token));
	if (err)
		return ctl->session ? ctl_owner_failed(ctl, what, err) : ctl_api_failed(ctl, what, err);
	print_ok(stdout, &ctl->style);
	return CTL_OK;
}

int cmd_addr_up(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return with_identity(ctl, "bringing the address up", ratman_addr_up);
}

int cmd_addr_down(struct ctl *ctl, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return with_identity(ctl, "bringing the address down", ratman_addr_down);
}

static int destroy(struct ratman *r, const struct ratman_id *address, const struct ratman_id *token)
{
	return ratman_addr_destroy(r, address, token, false);
}

static int destroy_force(struct ratman *r, const struct ratman_id *address,
			 const struct ratman_id *token)
{
	return ratman_addr_destroy(r, address, token, true);
}

int ctl_confirm_destroy(struct ctl *ctl)
{
	char answer[8] = "", text[ADDRESS_TEXT_LEN];
	struct identity id;
	int status;

	if (ctl->force)
		return CTL_OK;
	if (!term_is_tty(stdin))
		return ctl_fail(ctl, CTL_USER,
				"this removes the address and its key for ever; say --force to do it without a question");
	status = ctl_need_identity(ctl, &id);
	if (status)
		return status;
	fprintf(stderr, "Remove %s and its key for ever? [y/N] ", address_format(&id.address, text));
	identity_wipe(&id);
	if (!fgets(answer, sizeof(answer), stdin) || (answer[0] != 'y' && answer[0] != 'Y'))
		return ctl_fail(ctl, CTL_USER, "nothing was changed");
	return CTL_OK;
}

int cmd_addr_destroy(struct ctl *ctl, int argc, char **argv)
{
	int status = ctl_confirm_destroy(ctl);

	(void)argc;
	(void)argv;
	return status ? status : with_identity(ctl, "destroying the address",
					       ctl->force ? destroy_force : destroy);
}

struct addr_row {
	struct address address;
	struct in6_addr ipv6;
};

int cmd_addr_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct addr_row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct addr_row, ipv6, "ipv6", "IPV6", PRINT_IPV6, PRINT_OURS),
	};
	struct ratman_id *ids;
	struct addr_row *rows;
	size_t n;
	int err, status = ctl_need_api(ctl);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	err = ratman_addr_list(ctl->api, &ids, &n);
	if (err)
		return ctl_api_failed(ctl, "listing addresses", err);
	rows = calloc(n ? n : 1, sizeof(*rows));
	for (size_t i = 0; rows && i < n; i++) {
		rows[i].address = to_address(&ids[i]);
		address_to_ipv6(&rows[i].address, &rows[i].ipv6);
	}
	ratman_free(ids);
	if (!rows)
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	print_rows(stdout, &ctl->style, columns, 2, rows, n, sizeof(*rows));
	if (!n && !ctl->style.json && !ctl->style.lines && !ctl->quiet)
		fputs("no address yet; make one with: ratctl addr create\n", stderr);
	free(rows);
	return CTL_OK;
}

struct peer_row {
	struct address address;
	struct in6_addr ipv6;
	int64_t first_ns, last_ns;
	bool active;
};

int ctl_print_peers(struct ctl *ctl, const struct ratman_peer *peers, size_t n)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct peer_row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct peer_row, ipv6, "ipv6", "IPV6", PRINT_IPV6, PRINT_OURS),
		PRINT_COLUMN(struct peer_row, first_ns, "first_connection", "FIRST SEEN", PRINT_AGE,
			     0),
		PRINT_COLUMN(struct peer_row, last_ns, "last_connection", "LAST SEEN", PRINT_AGE, 0),
		PRINT_COLUMN(struct peer_row, active, "active", "ACTIVE", PRINT_ACTIVE, 0),
	};
	struct peer_row *rows = calloc(n ? n : 1, sizeof(*rows));

	if (!rows)
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	for (size_t i = 0; i < n; i++) {
		rows[i].address = to_address(&peers[i].address);
		address_to_ipv6(&rows[i].address, &rows[i].ipv6);
		rows[i].first_ns = peers[i].first_seen_ns;
		rows[i].last_ns = peers[i].last_seen_ns;
		rows[i].active = peers[i].active;
	}
	print_rows(stdout, &ctl->style, columns, 5, rows, n, sizeof(*rows));
	free(rows);
	return CTL_OK;
}

int cmd_peers_list(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_peer *peers;
	size_t n;
	int err, status = ctl_need_api(ctl);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	err = ratman_peer_list(ctl->api, &peers, &n);
	if (err)
		return ctl_api_failed(ctl, "listing peers", err);
	status = ctl_print_peers(ctl, peers, n);
	ratman_free(peers);
	return status;
}

int cmd_idpath(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		{ .key = "path", .type = PRINT_TEXT },
	};
	char path[4096];

	(void)argc;
	(void)argv;
	if (ctl->identity_path)
		snprintf(path, sizeof(path), "%s", ctl->identity_path);
	else if (identity_default_path(ctl->profile, path, sizeof(path)))
		return ctl_fail(ctl, CTL_USER, "no identity file: set HOME or XDG_CONFIG_HOME");
	if (ctl->style.json)
		print_record(stdout, &ctl->style, columns, 1, &(const char *){ path });
	else
		puts(path);
	return CTL_OK;
}
