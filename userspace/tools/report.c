// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/report.h"

#include <errno.h>
#include <stdio.h>

enum exit_code report_code(int err)
{
	switch (err) {
	case 0:
		return EXIT_OK;
	case RATMAN_EUNREACHABLE:
	case RATMAN_ECLOSED:
	case RATMAN_EPROTOCOL:
	case RATMAN_EVERSION:
		return EXIT_UNREACHABLE;
	case RATMAN_ETIMEOUT:
		return EXIT_TIMEOUT;
	case RATMAN_EAUTH:
	case RATMAN_ENOADDRESS:
	case RATMAN_EDUPLICATE:
	case RATMAN_ENOTSUPPORTED:
	case RATMAN_EINPUT:
	case RATMAN_EINTERNAL:
	case RATMAN_ENOSUBSCRIPTION:
		return EXIT_REFUSED;
	}
	if (err <= RATMAN_ENOTAUTHORISED && err >= RATMAN_EIO)
		return EXIT_REFUSED;
	return EXIT_USER;
}

/* What to do next, or NULL where the reason says it all. */
static const char *advice(int err)
{
	switch (err) {
	case RATMAN_EUNREACHABLE:
		return "Is it running? Try: systemctl status ratmand";
	case RATMAN_ETIMEOUT:
		return "The daemon is busy or stuck. Try: ratctl status";
	case RATMAN_ECLOSED:
		return "It may have been restarted: run the command again";
	case RATMAN_EPROTOCOL:
		return "Is this the port of ratmand? See option -b";
	case RATMAN_EVERSION:
		return "Install daemon and tools of the same release";
	case RATMAN_EAUTH:
		return "Use the identity file of this address: option -i, or log in again: ratctl user login";
	case RATMAN_ENOADDRESS:
		return "See which addresses it holds: ratctl addr list";
	}
	return NULL;
}

enum exit_code report_failure(const struct print_style *style, const char *program,
			      const char *what, const struct ratman *r, const char *bind, int err)
{
	const char *said = r ? ratman_error_text(r) : "";
	const char *next = advice(err);
	enum exit_code code = report_code(err);

	if (!bind)
		bind = RATMAN_DEFAULT_BIND;
	if (err == RATMAN_EUNREACHABLE)
		print_failure(style, program, code, "cannot reach ratmand on %s. %s", bind, next);
	else if (err == -EINVAL && !r)
		print_failure(style, program, code,
			    "'%s' is no address to connect to: expected IP:PORT, [IP6]:PORT or a path",
			    bind);
	else
		print_failure(style, program, code, "%s: %s%s%s", what,
			    *said ? said : ratman_strerror(err), next ? ". " : "", next ? next : "");
	return code;
}
