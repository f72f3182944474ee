// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl monitor: a snapshot of neighbours, then every change, one line each.
 */
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "ratctl/watch.h"

#define TICK_MS 500		/* a signal just before we wait is noticed so late */

struct event_row {
	int64_t time_ns;
	const char *change;	/* "=" snapshot, "+" new, "~" changed, "-" gone */
	const char *what;
	struct address address;
	struct address peer;
	const char *link;
	const char *state;
};

struct monitor {
	struct ctl *ctl;
	bool failed;
};

static void print_event(struct monitor *m, struct event_row *row)
{
	static const struct print_column with_time[] = {
		PRINT_COLUMN(struct event_row, time_ns, "time", "TIME", PRINT_TIME, 0),
		PRINT_COLUMN(struct event_row, change, "change", "", PRINT_TEXT, 0),
		PRINT_COLUMN(struct event_row, what, "what", "WHAT", PRINT_TEXT, 0),
		PRINT_COLUMN(struct event_row, state, "state", "STATE", PRINT_TEXT, 0),
		PRINT_COLUMN(struct event_row, link, "link", "LINK", PRINT_TEXT, 0),
		PRINT_COLUMN(struct event_row, address, "addr", "ADDRESS", PRINT_ADDRESS,
			     PRINT_OPTIONAL),
		PRINT_COLUMN(struct event_row, peer, "peer", "PEER", PRINT_ADDRESS, PRINT_OPTIONAL),
	};
	size_t skip = m->ctl->stamps || m->ctl->style.json ? 0 : 1;

	row->time_ns = clock_wall_ns();
	if (print_line(stdout, &m->ctl->style, with_time + skip,
		       sizeof(with_time) / sizeof(with_time[0]) - skip, row))
		m->failed = true;
}

static const char *link_name(uint32_t ifindex, char buf[IFNAMSIZ])
{
	return if_indextoname(ifindex, buf) ? buf : "gone";
}

static const char *neigh_state(enum ratman_neigh_state state)
{
	switch (state) {
	case RATMAN_NEIGH_DEAD:
		return "dead";
	case RATMAN_NEIGH_ALIVE:
		return "alive";
	case RATMAN_NEIGH_REMOVED:
		return "removed";
	}
	return "unknown";
}

static void show_neigh(void *ctx, const struct kern_neigh *n)
{
	struct monitor *m = ctx;
	char buf[IFNAMSIZ];
	struct event_row row = {
		.change = "=", .what = "neighbour", .address = n->router,
		.link = link_name(n->link, buf), .state = neigh_state(n->state),
	};

	print_event(m, &row);
}

static void show_event(void *ctx, const struct kern_event *ev)
{
	struct monitor *m = ctx;
	char buf[IFNAMSIZ];
	struct event_row row = { .change = "~" };

	if (ev->ifindex != m->ctl->dev.ifindex)
		return;
	switch (ev->cmd) {
	case RATMAN_CMD_NEIGH_NTF:
		row.what = "neighbour";
		row.address = ev->neigh.router;
		row.link = link_name(ev->neigh.link, buf);
		row.state = ev->neigh.rekey ? "rekey" : neigh_state(ev->neigh.state);
		if (ev->neigh.state == RATMAN_NEIGH_REMOVED)
			row.change = "-";
		break;
	case RATMAN_CMD_CANDIDATE_NTF:
		row.what = "candidate";
		row.change = "+";
		row.address = ev->neigh.router;
		row.link = link_name(ev->neigh.link, buf);
		row.state = "heard";
		break;
	case RATMAN_CMD_LINK_NTF:
		row.what = "link";
		row.link = ev->link.name;
		row.change = ev->link.state == RATMAN_LINK_REMOVED ? "-" : "~";
		row.state = ev->link.state == RATMAN_LINK_UP      ? "up" :
			    ev->link.state == RATMAN_LINK_REMOVED ? "removed" :
								    "down";
		break;
	case RATMAN_CMD_SESSION_WANT:
		row.what = "session";
		row.change = "+";
		row.address = ev->session.local;
		row.peer = ev->session.peer;
		row.state = "wanted";
		break;
	default:
		return;
	}
	print_event(m, &row);
}

int cmd_monitor(struct ctl *ctl, int argc, char **argv)
{
	struct monitor m = { .ctl = ctl };
	struct pollfd pfd = { .events = POLLIN };
	int err, status = ctl_need_dev(ctl);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	/* Subscribe first: nothing falls between the snapshot and the changes. */
	err = kern_subscribe(ctl->kern);
	if (!err)
		err = kern_neighs(ctl->kern, ctl->dev.ifindex, show_neigh, &m);
	if (err)
		return ctl_kern_failed(ctl, "monitoring", err);
	pfd.fd = kern_fd(ctl->kern);
	watch_signals();
	while (!m.failed && !watch_ended()) {
		int n = poll(&pfd, 1, TICK_MS);

		if (n < 0 && errno != EINTR)
			return ctl_fail(ctl, CTL_REFUSED, "poll: %s", strerror(errno));
		if (n <= 0)
			continue;
		err = kern_dispatch(ctl->kern, show_event, &m);
		if (err == -ENOBUFS)
			fputs("ratctl: too many events at once, some are missing\n", stderr);
	}
	return watch_ended() ? watch_ended() : CTL_USER;
}
