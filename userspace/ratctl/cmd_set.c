// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl neigh, route and session set|del: by hand, without a daemon.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/ratctl.h"

/* Two lines of hex: receive key, send key. On the command line everybody could see them. */
static int read_keys(struct ctl *ctl, uint8_t *rx, uint8_t *tx, size_t len)
{
	char line[160];
	FILE *f;
	int status = CTL_OK;

	if (!ctl->keys)
		return ctl_fail(ctl, CTL_USER,
				"--keys FILE is missing: two lines, receive key and send key, %zu hex digits each",
				2 * len);
	f = strcmp(ctl->keys, "-") ? fopen(ctl->keys, "re") : stdin;
	if (!f)
		return ctl_fail(ctl, CTL_USER, "cannot read %s: %s", ctl->keys, strerror(errno));
	for (int i = 0; i < 2 && !status; i++) {
		if (!fgets(line, sizeof(line), f))
			status = ctl_fail(ctl, CTL_USER, "%s: line %d is missing", ctl->keys, i + 1);
		else
			status = ctl_hex(ctl, i ? "send key" : "receive key", line, i ? tx : rx, len);
	}
	if (f != stdin)
		fclose(f);
	sodium_memzero(line, sizeof(line));
	return status;
}

static int read_indices(struct ctl *ctl, uint32_t *index, uint32_t *peer_index)
{
	int status;

	if (!ctl->index || !ctl->peer_index)
		return ctl_fail(ctl, CTL_USER, "--index and --peer-index are needed");
	status = ctl_number(ctl, "--index", ctl->index, UINT32_MAX, index);
	return status ? status :
			ctl_number(ctl, "--peer-index", ctl->peer_index, UINT32_MAX, peer_index);
}

int cmd_neigh_set(struct ctl *ctl, int argc, char **argv)
{
	struct kern_neigh n = { .initiator = ctl->initiator };
	int err, status = ctl_need_dev(ctl);

	(void)argc;
	if (!status)
		status = ctl_interface(ctl, argv[0], &n.link);
	if (!status)
		status = ctl_address(ctl, argv[1], &n.router);
	if (!status && !ctl->mac)
		status = ctl_fail(ctl, CTL_USER, "--mac is needed: the neighbour's link address");
	if (!status)
		status = ctl_hex(ctl, "--mac", ctl->mac, n.lladdr, sizeof(n.lladdr));
	if (!status)
		status = read_indices(ctl, &n.index, &n.peer_index);
	if (!status)
		status = read_keys(ctl, n.rx_key, n.tx_key, sizeof(n.rx_key));
	if (!status) {
		err = kern_neigh_set(ctl->kern, ctl->dev.ifindex, &n);
		if (err)
			status = ctl_kern_failed(ctl, "setting the neighbour", err);
		else
			print_ok(stdout, &ctl->style);
	}
	sodium_memzero(&n, sizeof(n));
	return status;
}

int cmd_neigh_del(struct ctl *ctl, int argc, char **argv)
{
	struct address router;
	uint32_t link;
	int err, status = ctl_need_dev(ctl);

	(void)argc;
	if (!status)
		status = ctl_interface(ctl, argv[0], &link);
	if (!status)
		status = ctl_address(ctl, argv[1], &router);
	if (status)
		return status;
	err = kern_neigh_del(ctl->kern, ctl->dev.ifindex, link, &router);
	if (err)
		return ctl_kern_failed(ctl, "removing the neighbour", err);
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

int cmd_route_set(struct ctl *ctl, int argc, char **argv)
{
	struct kern_route r = { 0 };
	int err, status = ctl_need_dev(ctl);

	if (!status)
		status = ctl_address(ctl, argv[0], &r.dest);
	address_to_ipv6(&r.dest, &r.ipv6);
	for (int i = 1; i < argc && !status; i++) {
		struct kern_hop *hop = &r.hops[r.n_hops++];
		char *colon = strchr(argv[i], ':');

		hop->metric = (uint32_t)i;
		if (colon) {
			*colon = 0;
			status = ctl_number(ctl, "metric", colon + 1, 65535, &hop->metric);
		}
		if (!status)
			status = ctl_number(ctl, "neighbour index", argv[i], UINT32_MAX, &hop->neigh);
	}
	if (status)
		return status;
	err = kern_route_set(ctl->kern, ctl->dev.ifindex, &r);
	if (err)
		return ctl_kern_failed(ctl, "setting the route", err);
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

int cmd_route_del(struct ctl *ctl, int argc, char **argv)
{
	struct address dest;
	int err, status = ctl_need_dev(ctl);

	(void)argc;
	if (!status)
		status = ctl_address(ctl, argv[0], &dest);
	if (status)
		return status;
	err = kern_route_del(ctl->kern, ctl->dev.ifindex, &dest);
	if (err)
		return ctl_kern_failed(ctl, "removing the route", err);
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

int cmd_session_set(struct ctl *ctl, int argc, char **argv)
{
	struct kern_session s = { .initiator = ctl->initiator };
	int err, status = ctl_need_dev(ctl);

	(void)argc;
	if (!status)
		status = ctl_address(ctl, argv[0], &s.local);
	if (!status)
		status = ctl_address(ctl, argv[1], &s.peer);
	if (!status)
		status = read_indices(ctl, &s.index, &s.peer_index);
	if (!status)
		status = read_keys(ctl, s.rx_key, s.tx_key, sizeof(s.rx_key));
	if (!status) {
		address_to_ipv6(&s.local, &s.local_ipv6);
		address_to_ipv6(&s.peer, &s.peer_ipv6);
		err = kern_session_set(ctl->kern, ctl->dev.ifindex, &s);
		if (err)
			status = ctl_kern_failed(ctl, "setting the session", err);
		else
			print_ok(stdout, &ctl->style);
	}
	sodium_memzero(&s, sizeof(s));
	return status;
}

int cmd_session_del(struct ctl *ctl, int argc, char **argv)
{
	struct address local, peer;
	int err, status = ctl_need_dev(ctl);

	(void)argc;
	if (!status)
		status = ctl_address(ctl, argv[0], &local);
	if (!status)
		status = ctl_address(ctl, argv[1], &peer);
	if (status)
		return status;
	err = kern_session_del(ctl->kern, ctl->dev.ifindex, &local, &peer);
	if (err)
		return ctl_kern_failed(ctl, "removing the session", err);
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}
