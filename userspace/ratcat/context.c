// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What commands need before they can work: an identity, the daemon, addresses.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "ratcat/ratcat.h"
#include "tools/identity.h"
#include "tools/known.h"
#include "tools/resolve.h"

#define PROGRAM "ratcat"
#define TIMEOUT_MS 15000

int cat_fail(const struct cat *cat, int status, const char *fmt, ...)
{
	char text[PATH_MAX + 512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	print_failure(&cat->style, PROGRAM, status, "%s", text);
	return status;
}

int cat_api_failed(const struct cat *cat, const char *what, int err)
{
	return (int)report_failure(&cat->style, PROGRAM, what, cat->r, cat->bind, err);
}

int cat_identity_path(const struct cat *cat, char *path, size_t size)
{
	int err;

	if (cat->identity_path) {
		snprintf(path, size, "%s", cat->identity_path);
		return EXIT_OK;
	}
	err = identity_default_path(cat->profile, path, size);
	if (err == -EINVAL)
		return cat_fail(cat, EXIT_USER, "'%s' is no name for a profile", cat->profile);
	if (err)
		return cat_fail(cat, EXIT_USER,
				"neither XDG_CONFIG_HOME nor HOME is set; use option -i");
	return EXIT_OK;
}

int cat_open(struct cat *cat)
{
	char path[PATH_MAX], why[PATH_MAX + 256];
	struct identity id;
	int err;

	if (cat_identity_path(cat, path, sizeof(path)))
		return EXIT_USER;
	if (identity_load(path, &id, why, sizeof(why)))
		return cat_fail(cat, EXIT_USER, "%s", why);
	if (why[0] && !cat->quiet)
		fprintf(stderr, PROGRAM ": warning: %s\n", why);
	memcpy(cat->address.b, id.address.b, sizeof(cat->address.b));
	memcpy(cat->token.b, id.token.b, sizeof(cat->token.b));
	identity_wipe(&id);
	err = ratman_open(&cat->r, cat->bind, TIMEOUT_MS);
	if (err)
		return cat_api_failed(cat, "connecting", err);
	err = ratman_addr_up(cat->r, &cat->address, &cat->token);
	return err ? cat_api_failed(cat, "bringing the address up", err) : EXIT_OK;
}

void cat_close(struct cat *cat)
{
	ratman_close(cat->r);
	cat->r = NULL;
	explicit_bzero(&cat->token, sizeof(cat->token));
}

int cat_resolve(const struct cat *cat, const char *text, struct ratman_id *out)
{
	struct address *known = NULL, a;
	char why[512];
	size_t n = 0;
	int err = 0;

	if (resolve_full(text, &a)) {
		err = known_addresses(cat->r, &known, &n);
		if (err)
			return cat_api_failed(cat, "asking for known addresses", err);
		err = resolve_address(text, known, n, &a, why, sizeof(why));
		free(known);
		if (err)
			return cat_fail(cat, EXIT_USER, "%s", why);
	}
	memcpy(out->b, a.b, sizeof(out->b));
	return EXIT_OK;
}
