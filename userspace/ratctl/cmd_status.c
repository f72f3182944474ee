// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl status: one record from daemon and kernel, and what to do next.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ratctl/ratctl.h"
#include "tools/term.h"

struct status_row {
	const char *mesh;		/* "on", or "off: " and why */
	const char *device;
	const char *router;
	bool daemon_attached;
	uint32_t links, neighs, routes, sessions;
	uint64_t num_peers, num_local, num_auth, num_workers;
};

/* What the text columns point to. */
struct status_text {
	char mesh[300];
	char router[ADDRESS_TEXT_LEN];
};

static void count_link(void *ctx, const struct kern_link *link)
{
	struct status_row *row = ctx;

	row->links += link->state == RATMAN_LINK_UP;
}

static void count_neigh(void *ctx, const struct kern_neigh *neigh)
{
	struct status_row *row = ctx;

	row->neighs += neigh->state == RATMAN_NEIGH_ALIVE;
}

/* The kernel's half; fills mesh with the reason when there is none. */
static void read_kernel(struct ctl *ctl, struct status_row *row, struct status_text *text)
{
	char why[256];

	row->mesh = text->mesh;
	if (kern_open(&ctl->kern, why, sizeof(why))) {
		snprintf(text->mesh, sizeof(text->mesh), "off: %s", why);
		return;
	}
	if (kern_dev_find(ctl->kern, ctl->device, &ctl->dev)) {
		snprintf(text->mesh, sizeof(text->mesh), "off: %s", kern_why(ctl->kern));
		return;
	}
	row->device = ctl->dev.name;
	if (!address_is_zero(&ctl->dev.router))
		row->router = address_format(&ctl->dev.router, text->router);
	row->daemon_attached = ctl->dev.claimed;
	row->routes = ctl->dev.routes;
	row->sessions = ctl->dev.sessions;
	kern_links(ctl->kern, ctl->dev.ifindex, count_link, row);
	kern_neighs(ctl->kern, ctl->dev.ifindex, count_neigh, row);
	row->mesh = ctl->dev.claimed ? "on" : "off: no daemon holds the device";
}

static void hint(const struct status_row *row)
{
	if (!row->device)
		return;
	if (!row->links)
		fputs("no link yet; make an interface one with: ratctl link add eth0\n", stderr);
	else if (!row->neighs)
		fputs("no neighbour yet; is Ratman running on the other side of the link?\n", stderr);
	else if (!row->num_local)
		fputs("no address yet; make one with: ratctl addr create && ratctl addr up\n", stderr);
	else if (!row->num_auth)
		fputs("no address is up; announce one with: ratctl addr up\n", stderr);
}

/* The one line of the existing tools. */
static void print_exact(const struct ratman_status *st)
{
	printf("known peers: %" PRIu64 ", local addrs: %" PRIu64 ", active auths: %" PRIu64
	       ", collector workers: %" PRIu64 "\n", st->peers, st->locals, st->tokens, st->workers);
}

int cmd_status(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct status_row, mesh, "mesh", "mesh", PRINT_TEXT, PRINT_OURS),
		PRINT_COLUMN(struct status_row, device, "device", "device", PRINT_TEXT,
			     PRINT_OURS | PRINT_OPTIONAL),
		PRINT_COLUMN(struct status_row, router, "router", "router", PRINT_TEXT,
			     PRINT_OURS | PRINT_OPTIONAL),
		PRINT_COLUMN(struct status_row, links, "num_links", "links up", PRINT_U32, PRINT_OURS),
		PRINT_COLUMN(struct status_row, neighs, "num_neighbours", "neighbours alive",
			     PRINT_U32, PRINT_OURS),
		PRINT_COLUMN(struct status_row, routes, "num_routes", "routes", PRINT_U32, PRINT_OURS),
		PRINT_COLUMN(struct status_row, sessions, "num_sessions", "sessions", PRINT_U32, PRINT_OURS),
		PRINT_COLUMN(struct status_row, num_peers, "num_peers", "known peers", PRINT_U64, 0),
		PRINT_COLUMN(struct status_row, num_local, "num_local", "local addresses", PRINT_U64,
			     0),
		PRINT_COLUMN(struct status_row, num_auth, "num_auth", "addresses up", PRINT_U64, 0),
		PRINT_COLUMN(struct status_row, num_workers, "num_collector_workers", "transfers",
			     PRINT_U64, PRINT_JSON),
	};
	struct status_row row = { 0 };
	struct ratman_status st;
	struct status_text text;
	int err, status = ctl_need_api(ctl);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	if (ctl->limits)
		return cmd_limits(ctl);
	err = ratman_status(ctl->api, &st);
	if (err)
		return ctl_api_failed(ctl, "asking for the status", err);
	row.num_peers = st.peers;
	row.num_local = st.locals;
	row.num_auth = st.tokens;
	row.num_workers = st.workers;
	if (ctl->style.lines) {
		print_exact(&st);
		return CTL_OK;
	}
	read_kernel(ctl, &row, &text);
	if (print_record(stdout, &ctl->style, columns, sizeof(columns) / sizeof(columns[0]), &row))
		return CTL_USER;
	if (!ctl->style.json && !ctl->quiet)
		hint(&row);
	return CTL_OK;
}
