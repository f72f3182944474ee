// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What commands need before they can work: the daemon, the kernel, an identity,
 * and what the user typed turned into values.
 */
#include <errno.h>
#include <net/if.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/ratctl.h"
#include "ratctl/rows.h"
#include "tools/known.h"
#include "tools/report.h"
#include "tools/resolve.h"

#define API_TIMEOUT_MS 10000

int ctl_api_failed(struct ctl *ctl, const char *what, int err)
{
	return (int)report_failure(&ctl->style, "ratctl", what, ctl->api, ctl->bind, err);
}

int ctl_owner_failed(struct ctl *ctl, const char *what, int err)
{
	/* The daemon knows the tokens of addresses that are up, and of sessions that stand. */
	if (err == RATMAN_EAUTH && ctl->session)
		return ctl_fail(ctl, CTL_REFUSED,
				"%s: the session has ended; log in again: ratctl user login", what);
	if (err == RATMAN_EAUTH)
		return ctl_fail(ctl, CTL_REFUSED,
				"%s: the address is not up, or the token is not its own. Try: ratctl addr up",
				what);
	return ctl_api_failed(ctl, what, err);
}

int ctl_need_api(struct ctl *ctl)
{
	int err;

	if (ctl->api)
		return CTL_OK;
	err = ratman_open(&ctl->api, ctl->bind, API_TIMEOUT_MS);
	return err ? ctl_api_failed(ctl, "connecting", err) : CTL_OK;
}

int ctl_kern_failed(struct ctl *ctl, const char *what, int err)
{
	if (err == -EPERM)
		return ctl_fail(ctl, CTL_REFUSED, "%s: not permitted; run it as root", what);
	return ctl_fail(ctl, CTL_REFUSED, "%s: %s", what, kern_why(ctl->kern));
}

int ctl_need_kern(struct ctl *ctl)
{
	char why[256];
	int err;

	if (ctl->kern)
		return CTL_OK;
	err = kern_open(&ctl->kern, why, sizeof(why));
	return err ? ctl_fail(ctl, CTL_UNREACHABLE, "%s", why) : CTL_OK;
}

int ctl_need_dev(struct ctl *ctl)
{
	int err, status = ctl_need_kern(ctl);

	if (status || ctl->dev.ifindex)
		return status;
	err = kern_dev_find(ctl->kern, ctl->device, &ctl->dev);
	if (err == -ENODEV)
		return ctl_fail(ctl, CTL_UNREACHABLE, "%s", kern_why(ctl->kern));
	return err ? ctl_kern_failed(ctl, "reading the mesh device", err) : CTL_OK;
}

int ctl_need_identity(struct ctl *ctl, struct identity *id)
{
	char path[4096], why[512];
	int err;

	if (!ctl->identity_path) {
		err = identity_default_path(ctl->profile, path, sizeof(path));
		if (err)
			return ctl_fail(ctl, CTL_USER,
					"no identity file: set HOME or XDG_CONFIG_HOME, or give -i FILE");
		ctl->identity_path = path;
	}
	err = identity_load(ctl->identity_path, id, why, sizeof(why));
	if (err == -ENOENT)
		err = ctl_fail(ctl, CTL_USER, "there is no identity in %s; make one with: ratctl addr create, or a user with a password: ratctl user create",
			       ctl->identity_path);
	else if (err)
		err = ctl_fail(ctl, CTL_USER, "%s", why);
	else if (why[0] && !ctl->quiet)
		fprintf(stderr, "ratctl: warning: %s\n", why);
	ctl->session = !err && id->session;
	if (ctl->identity_path == path)
		ctl->identity_path = NULL;
	return err;
}

int ctl_need_owner(struct ctl *ctl, struct ratman_id *address, struct ratman_id *token)
{
	struct identity id;
	int status = ctl_need_identity(ctl, &id);

	if (status)
		return status;
	memcpy(address->b, id.address.b, sizeof(address->b));
	memcpy(token->b, id.token.b, sizeof(token->b));
	identity_wipe(&id);
	status = ctl_need_api(ctl);
	if (status)
		sodium_memzero(token, sizeof(*token));
	return status;
}

int ctl_number(struct ctl *ctl, const char *what, const char *text, uint32_t max, uint32_t *out)
{
	char *end;
	unsigned long long v;

	errno = 0;
	v = strtoull(text, &end, 0);
	if (errno || end == text || *end || text[0] == '-' || v > max)
		return ctl_fail(ctl, CTL_USER, "%s '%s': must be a number from 0 to %u", what, text,
				max);
	*out = (uint32_t)v;
	return CTL_OK;
}

int ctl_interface(struct ctl *ctl, const char *text, uint32_t *out)
{
	*out = if_nametoindex(text);
	if (!*out)
		return ctl_fail(ctl, CTL_USER, "there is no interface '%s'; see: ip link", text);
	return CTL_OK;
}

int ctl_hex(struct ctl *ctl, const char *what, const char *text, uint8_t *out, size_t len)
{
	size_t n;

	if (sodium_hex2bin(out, len, text, strlen(text), ": -\n", &n, NULL) || n != len ||
	    strlen(text) > 4 * len)
		return ctl_fail(ctl, CTL_USER, "%s: must be %zu hex digits", what, 2 * len);
	return CTL_OK;
}

static int compare_addresses(const void *a, const void *b)
{
	return address_compare(a, b);
}

static void keep(struct rows *known, const struct address *a)
{
	struct address *row = rows_add(known);

	if (row)
		*row = *a;
}

static void keep_route(void *ctx, const struct kern_route *r)
{
	keep(ctx, &r->dest);
}

static void keep_addr(void *ctx, const struct kern_addr *a)
{
	keep(ctx, &a->address);
}

static void keep_neigh(void *ctx, const struct kern_neigh *n)
{
	keep(ctx, &n->router);
}

/* What the kernel knows. It need not be there: false. */
static bool keep_of_kernel(struct ctl *ctl, struct rows *known)
{
	char why[256];

	if (!ctl->kern && kern_open(&ctl->kern, why, sizeof(why)))
		return false;
	if (!ctl->dev.ifindex && kern_dev_find(ctl->kern, ctl->device, &ctl->dev))
		return false;
	kern_addrs(ctl->kern, ctl->dev.ifindex, keep_addr, known);
	kern_neighs(ctl->kern, ctl->dev.ifindex, keep_neigh, known);
	kern_routes(ctl->kern, ctl->dev.ifindex, keep_route, known);
	return true;
}

/* What the daemon knows. It need not be there either: a library error. */
static int keep_of_daemon(struct ctl *ctl, struct rows *known)
{
	struct address *list = NULL;
	size_t n = 0;
	int err = 0;

	if (!ctl->api)
		err = ratman_open(&ctl->api, ctl->bind, API_TIMEOUT_MS);
	if (!err)
		err = known_addresses(ctl->api, &list, &n);
	for (size_t i = 0; !err && i < n; i++)
		keep(known, &list[i]);
	free(list);
	return err;
}

int ctl_find_address(struct ctl *ctl, const char *text, struct address *out,
		     char why[static CTL_WHY_LEN])
{
	struct rows known;
	bool asked;
	int api_err, err;

	if (!resolve_full(text, out))
		return CTL_OK;
	rows_init(&known, sizeof(struct address));
	asked = keep_of_kernel(ctl, &known);
	api_err = keep_of_daemon(ctl, &known);
	if (!asked && api_err) {
		rows_free(&known);
		return ctl_api_failed(ctl, "asking for known addresses", api_err);
	}
	/* A router that is heard on two links is still one address. */
	rows_sort(&known, compare_addresses);
	err = resolve_address(text, known.items, known.n, out, why, CTL_WHY_LEN);
	rows_free(&known);
	return err;
}

int ctl_address(struct ctl *ctl, const char *text, struct address *out)
{
	char why[CTL_WHY_LEN];
	int err = ctl_find_address(ctl, text, out, why);

	return err < 0 ? ctl_fail(ctl, CTL_USER, "%s", why) : err;
}

int ctl_address_id(struct ctl *ctl, const char *text, struct ratman_id *out)
{
	struct address a;
	int status = ctl_address(ctl, text, &a);

	if (!status)
		memcpy(out->b, a.b, sizeof(out->b));
	return status;
}

int ctl_recipient(struct ctl *ctl, struct ratman_recipient *out, bool *given)
{
	const char *text = ctl->addr ? ctl->addr : ctl->space;

	*given = text != NULL;
	if (ctl->addr && ctl->space)
		return ctl_fail(ctl, CTL_USER, "give --addr or --space, not both");
	out->is_namespace = ctl->space != NULL;
	return text ? ctl_address_id(ctl, text, &out->id) : CTL_OK;
}
