// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What commands need before they can work: the daemon, the kernel, an identity,
 * and what the user typed turned into values.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ratctl/ratctl.h"

#define API_TIMEOUT_MS 10000

int ctl_api_failed(struct ctl *ctl, const char *what, int err)
{
	const char *said = ctl->api ? ratman_error_text(ctl->api) : "";

	switch (err) {
	case RATMAN_EUNREACHABLE:
		return ctl_fail(ctl, CTL_UNREACHABLE,
				"cannot reach ratmand on %s. Is it running? Try: systemctl status ratmand",
				ctl->bind);
	case RATMAN_EVERSION:
		return ctl_fail(ctl, CTL_UNREACHABLE, "%s: %s", ctl->bind, ratman_strerror(err));
	case RATMAN_ECLOSED:
		return ctl_fail(ctl, CTL_UNREACHABLE, "%s: the daemon closed the connection", what);
	case RATMAN_ETIMEOUT:
		return ctl_fail(ctl, CTL_TIMEOUT, "%s: no answer within %d s", what,
				API_TIMEOUT_MS / 1000);
	case RATMAN_EAUTH:
		return ctl_fail(ctl, CTL_REFUSED,
				"%s: the token in the identity file is not the one of this address", what);
	case RATMAN_ENOADDRESS:
		return ctl_fail(ctl, CTL_REFUSED,
				"%s: this daemon does not hold the address; see ratctl addr list", what);
	case -EINVAL:
		return ctl_fail(ctl, CTL_USER, "--bind %s: must be IP:PORT", ctl->bind);
	default:
		return ctl_fail(ctl, CTL_REFUSED, "%s: %s%s%s", what, ratman_strerror(err),
				said[0] ? ": " : "", said);
	}
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
		err = ctl_fail(ctl, CTL_USER, "there is no identity in %s; make one with: ratctl addr create",
			       ctl->identity_path);
	else if (err)
		err = ctl_fail(ctl, CTL_USER, "%s", why);
	if (ctl->identity_path == path)
		ctl->identity_path = NULL;
	return err;
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

/* Candidates for what the user typed: each known address once. */
struct match {
	const struct address *prefix;
	unsigned int nibbles;
	const struct in6_addr *ip;	/* instead of the prefix, when not NULL */
	struct address found[2];
	unsigned int n;
};

static void consider(struct match *m, const struct address *a)
{
	struct in6_addr ip;

	if (m->ip) {
		address_to_ipv6(a, &ip);
		if (memcmp(&ip, m->ip, sizeof(ip)))
			return;
	} else if (!address_has_prefix(a, m->prefix, m->nibbles)) {
		return;
	}
	for (unsigned int i = 0; i < m->n && i < 2; i++)
		if (address_equal(&m->found[i], a))
			return;
	if (m->n < 2)
		m->found[m->n] = *a;
	m->n++;
}

static void consider_route(void *ctx, const struct kern_route *r)
{
	consider(ctx, &r->dest);
}

static void consider_addr(void *ctx, const struct kern_addr *a)
{
	consider(ctx, &a->address);
}

static void consider_neigh(void *ctx, const struct kern_neigh *n)
{
	consider(ctx, &n->router);
}

int ctl_address(struct ctl *ctl, const char *text, struct address *out)
{
	struct address prefix;
	struct in6_addr ip;
	struct match m = { .prefix = &prefix };
	int status;

	if (inet_pton(AF_INET6, text, &ip) == 1)
		m.ip = &ip;
	else if (address_parse_prefix(text, &prefix, &m.nibbles))
		return ctl_fail(ctl, CTL_USER,
				"'%s' is neither an address, a beginning of one, nor an IPv6 address",
				text);
	if (!m.ip && m.nibbles == 2 * ADDRESS_LEN) {
		*out = prefix;
		return CTL_OK;
	}
	status = ctl_need_dev(ctl);
	if (status)
		return status;
	kern_addrs(ctl->kern, ctl->dev.ifindex, consider_addr, &m);
	kern_neighs(ctl->kern, ctl->dev.ifindex, consider_neigh, &m);
	kern_routes(ctl->kern, ctl->dev.ifindex, consider_route, &m);
	if (!m.n)
		return ctl_fail(ctl, CTL_USER, "no known address matches '%s'; see ratctl peers list",
				text);
	if (m.n > 1)
		return ctl_fail(ctl, CTL_USER, "'%s' fits several addresses; type more of it", text);
	*out = m.found[0];
	return CTL_OK;
}
