// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl link, neigh, route, session, counters: lists, straight from the kernel.
 */
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/ratctl.h"
#include "ratctl/rows.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Prints and frees what a dump gave, in the order it has. Text columns point into the rows. */
static int finish(struct ctl *ctl, const char *what, int err, struct rows *rows,
		  const struct print_column *columns, size_t n_columns)
{
	int status = CTL_OK;

	if (err) {
		status = ctl_kern_failed(ctl, what, err);
	} else if (rows->failed) {
		status = ctl_fail(ctl, CTL_REFUSED, "out of memory");
	} else {
		print_rows(stdout, &ctl->style, columns, n_columns, rows->items, rows->n, rows->size);
	}
	rows_free(rows);
	return status;
}

struct link_row {
	char name[IFNAMSIZ];
	const char *name_text;
	const char *state;
	uint32_t mtu, neighs;
	uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes;
};

static void add_link(void *ctx, const struct kern_link *l)
{
	struct link_row *row = rows_add(ctx);

	if (!row)
		return;
	memcpy(row->name, l->name, sizeof(row->name));
	row->state = l->state == RATMAN_LINK_UP ? "up" : "down";
	row->mtu = l->mtu;
	row->neighs = l->neighs;
	row->rx_frames = l->rx_frames;
	row->tx_frames = l->tx_frames;
	row->rx_bytes = l->rx_bytes;
	row->tx_bytes = l->tx_bytes;
}

static int compare_links(const void *a, const void *b)
{
	return strcmp(((const struct link_row *)a)->name, ((const struct link_row *)b)->name);
}

int cmd_link_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct link_row, name_text, "link", "LINK", PRINT_TEXT, 0),
		PRINT_COLUMN(struct link_row, state, "state", "STATE", PRINT_TEXT, 0),
		PRINT_COLUMN(struct link_row, mtu, "mtu", "MTU", PRINT_U32, 0),
		PRINT_COLUMN(struct link_row, neighs, "neighbours", "NEIGHBOURS", PRINT_U32, 0),
		PRINT_COLUMN(struct link_row, rx_frames, "rx_frames", "RX FRAMES", PRINT_U64, 0),
		PRINT_COLUMN(struct link_row, rx_bytes, "rx_bytes", "RX", PRINT_BYTES, 0),
		PRINT_COLUMN(struct link_row, tx_frames, "tx_frames", "TX FRAMES", PRINT_U64, 0),
		PRINT_COLUMN(struct link_row, tx_bytes, "tx_bytes", "TX", PRINT_BYTES, 0),
	};
	int err, status = ctl_need_dev(ctl);
	struct rows rows;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	rows_init(&rows, sizeof(struct link_row));
	err = kern_links(ctl->kern, ctl->dev.ifindex, add_link, &rows);
	rows_sort(&rows, compare_links);
	for (size_t i = 0; i < rows.n; i++) {
		struct link_row *row = (struct link_row *)rows.items + i;

		row->name_text = row->name;
	}
	return finish(ctl, "reading the links", err, &rows, columns, COUNT(columns));
}

struct neigh_row {
	struct address router;
	char link[IFNAMSIZ];
	const char *link_text;
	char mac[18];
	const char *mac_text;
	const char *state;
	uint32_t index, peer_index;
	double rtt_ms, loss_percent;
	uint32_t silent_ms;
	uint64_t rx_frames, tx_frames, rx_bytes, tx_bytes, age_ms;
};

static void add_neigh(void *ctx, const struct kern_neigh *n)
{
	struct neigh_row *row = rows_add(ctx);

	if (!row)
		return;
	row->router = n->router;
	if (!if_indextoname(n->link, row->link))
		snprintf(row->link, sizeof(row->link), "%u", n->link);
	snprintf(row->mac, sizeof(row->mac), "%02x:%02x:%02x:%02x:%02x:%02x", n->lladdr[0],
		 n->lladdr[1], n->lladdr[2], n->lladdr[3], n->lladdr[4], n->lladdr[5]);
	row->state = n->state == RATMAN_NEIGH_ALIVE ? "alive" : "dead";
	row->index = n->index;
	row->peer_index = n->peer_index;
	row->rtt_ms = n->rtt_us / 1000.0;
	row->loss_percent = n->loss * 100.0 / 65535;
	row->silent_ms = n->silent_ms;
	row->rx_frames = n->rx_frames;
	row->tx_frames = n->tx_frames;
	row->rx_bytes = n->rx_bytes;
	row->tx_bytes = n->tx_bytes;
	row->age_ms = n->age_ms;
}

static int compare_neighs(const void *a, const void *b)
{
	const struct neigh_row *x = a, *y = b;
	int c = strcmp(x->state, y->state);

	if (!c)
		c = strcmp(x->link, y->link);
	return c ? c : address_compare(&x->router, &y->router);
}

int cmd_neigh_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct neigh_row, router, "router", "ROUTER", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct neigh_row, link_text, "link", "LINK", PRINT_TEXT, 0),
		PRINT_COLUMN(struct neigh_row, mac_text, "mac", "MAC", PRINT_TEXT, PRINT_WIDE),
		PRINT_COLUMN(struct neigh_row, state, "state", "STATE", PRINT_TEXT, 0),
		PRINT_COLUMN(struct neigh_row, rtt_ms, "rtt_ms", "RTT ms", PRINT_DOUBLE, 0),
		PRINT_COLUMN(struct neigh_row, loss_percent, "loss_percent", "LOSS %", PRINT_DOUBLE, 0),
		PRINT_COLUMN(struct neigh_row, silent_ms, "silent_ms", "SILENT ms", PRINT_U32,
			     PRINT_WIDE),
		PRINT_COLUMN(struct neigh_row, rx_bytes, "rx_bytes", "RX", PRINT_BYTES, 0),
		PRINT_COLUMN(struct neigh_row, tx_bytes, "tx_bytes", "TX", PRINT_BYTES, 0),
		PRINT_COLUMN(struct neigh_row, rx_frames, "rx_frames", "RX FRAMES", PRINT_U64,
			     PRINT_JSON),
		PRINT_COLUMN(struct neigh_row, tx_frames, "tx_frames", "TX FRAMES", PRINT_U64,
			     PRINT_JSON),
		PRINT_COLUMN(struct neigh_row, index, "index", "INDEX", PRINT_U32, PRINT_WIDE),
		PRINT_COLUMN(struct neigh_row, peer_index, "peer_index", "PEER INDEX", PRINT_U32,
			     PRINT_WIDE),
		PRINT_COLUMN(struct neigh_row, age_ms, "key_age_ms", "KEY AGE ms", PRINT_U64,
			     PRINT_WIDE),
	};
	int err, status = ctl_need_dev(ctl);
	struct rows rows;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	rows_init(&rows, sizeof(struct neigh_row));
	err = kern_neighs(ctl->kern, ctl->dev.ifindex, add_neigh, &rows);
	rows_sort(&rows, compare_neighs);
	for (size_t i = 0; i < rows.n; i++) {
		struct neigh_row *row = (struct neigh_row *)rows.items + i;

		row->link_text = row->link;
		row->mac_text = row->mac;
	}
	return finish(ctl, "reading the neighbours", err, &rows, columns, COUNT(columns));
}

struct route_row {
	struct address dest;
	struct in6_addr ipv6;
	uint32_t metric, mtu, n_hops;
	struct kern_hop hops[RATMAN_ROUTE_HOPS_MAX];
	char via[160];
	const char *via_text;
	uint32_t expires_ms;
};

static void add_route(void *ctx, const struct kern_route *r)
{
	struct route_row *row = rows_add(ctx);

	if (!row)
		return;
	row->dest = r->dest;
	row->ipv6 = r->ipv6;
	row->n_hops = (uint32_t)r->n_hops;
	row->metric = r->n_hops ? r->hops[0].metric : 65535;
	/* As programs know it: of packets, not of frames. */
	row->mtu = r->n_hops && r->hops[0].mtu > RATMAN_DATA_OVERHEAD ?
		   r->hops[0].mtu - (uint32_t)RATMAN_DATA_OVERHEAD : 0;
	memcpy(row->hops, r->hops, sizeof(row->hops));
	row->expires_ms = r->expires_ms;
}

static int compare_routes(const void *a, const void *b)
{
	return address_compare(&((const struct route_row *)a)->dest,
			       &((const struct route_row *)b)->dest);
}

/* "1A2B on eth0, 3C4D on wlan0": the hops, best first, with the neighbours' names. */
static void describe_hops(struct route_row *row, const struct rows *neighs)
{
	size_t used = 0;

	for (uint32_t i = 0; i < row->n_hops; i++) {
		const struct neigh_row *n = NULL;

		for (size_t k = 0; k < neighs->n && !n; k++)
			if (((struct neigh_row *)neighs->items)[k].index == row->hops[i].neigh)
				n = (struct neigh_row *)neighs->items + k;
		if (n)
			used += (size_t)snprintf(row->via + used, sizeof(row->via) - used,
						 "%s%02X%02X-%02X%02X on %s", i ? ", " : "",
						 n->router.b[0], n->router.b[1], n->router.b[2],
						 n->router.b[3], n->link);
		else
			used += (size_t)snprintf(row->via + used, sizeof(row->via) - used, "%s%u",
						 i ? ", " : "", row->hops[i].neigh);
		if (used >= sizeof(row->via))
			break;
	}
	row->via_text = row->via;
}

int cmd_route_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct route_row, dest, "addr", "ADDRESS", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct route_row, metric, "metric", "METRIC", PRINT_U32, 0),
		PRINT_COLUMN(struct route_row, via_text, "via", "VIA", PRINT_TEXT, 0),
		PRINT_COLUMN(struct route_row, n_hops, "next_hops", "NEXT HOPS", PRINT_U32, PRINT_JSON),
		PRINT_COLUMN(struct route_row, ipv6, "ipv6", "IPV6", PRINT_IPV6, PRINT_WIDE),
		PRINT_COLUMN(struct route_row, expires_ms, "expires_ms", "EXPIRES ms", PRINT_U32,
			     PRINT_WIDE),
		PRINT_COLUMN(struct route_row, mtu, "mtu", "MTU", PRINT_U32, 0),
	};
	int err, status = ctl_need_dev(ctl);
	struct rows rows, neighs;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	rows_init(&rows, sizeof(struct route_row));
	rows_init(&neighs, sizeof(struct neigh_row));
	err = kern_neighs(ctl->kern, ctl->dev.ifindex, add_neigh, &neighs);
	if (!err)
		err = kern_routes(ctl->kern, ctl->dev.ifindex, add_route, &rows);
	rows_sort(&rows, compare_routes);
	for (size_t i = 0; i < rows.n; i++)
		describe_hops((struct route_row *)rows.items + i, &neighs);
	rows_free(&neighs);
	return finish(ctl, "reading the routes", err, &rows, columns, COUNT(columns));
}

struct session_row {
	struct address local, peer;
	uint32_t index;
	const char *role;
	bool contact;
	uint64_t age_ms, idle_ms, rx_packets, tx_packets, rx_bytes, tx_bytes;
	uint32_t staged;
};

static void add_session(void *ctx, const struct kern_session *s)
{
	struct session_row *row = rows_add(ctx);

	if (!row)
		return;
	row->local = s->local;
	row->peer = s->peer;
	row->index = s->index;
	row->role = !s->index ? "waiting" : s->initiator ? "initiator" : "responder";
	row->contact = s->contact;
	row->age_ms = s->age_ms;
	row->idle_ms = s->idle_ms;
	row->rx_packets = s->rx_packets;
	row->tx_packets = s->tx_packets;
	row->rx_bytes = s->rx_bytes;
	row->tx_bytes = s->tx_bytes;
	row->staged = s->staged;
}

static int compare_sessions(const void *a, const void *b)
{
	const struct session_row *x = a, *y = b;
	int c = address_compare(&x->local, &y->local);

	return c ? c : address_compare(&x->peer, &y->peer);
}

int cmd_session_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct session_row, local, "local", "LOCAL", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct session_row, peer, "peer", "PEER", PRINT_ADDRESS, 0),
		PRINT_COLUMN(struct session_row, role, "role", "ROLE", PRINT_TEXT, 0),
		PRINT_COLUMN(struct session_row, age_ms, "key_age_ms", "KEY AGE ms", PRINT_U64, 0),
		PRINT_COLUMN(struct session_row, idle_ms, "idle_ms", "IDLE ms", PRINT_U64, PRINT_WIDE),
		PRINT_COLUMN(struct session_row, rx_bytes, "rx_bytes", "RX", PRINT_BYTES, 0),
		PRINT_COLUMN(struct session_row, tx_bytes, "tx_bytes", "TX", PRINT_BYTES, 0),
		PRINT_COLUMN(struct session_row, rx_packets, "rx_packets", "RX PACKETS", PRINT_U64,
			     PRINT_JSON),
		PRINT_COLUMN(struct session_row, tx_packets, "tx_packets", "TX PACKETS", PRINT_U64,
			     PRINT_JSON),
		PRINT_COLUMN(struct session_row, contact, "contact", "CONTACT", PRINT_BOOL, PRINT_WIDE),
		PRINT_COLUMN(struct session_row, staged, "staged", "STAGED", PRINT_U32, PRINT_WIDE),
		PRINT_COLUMN(struct session_row, index, "index", "INDEX", PRINT_U32, PRINT_WIDE),
	};
	int err, status = ctl_need_dev(ctl);
	struct rows rows;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	rows_init(&rows, sizeof(struct session_row));
	err = kern_sessions(ctl->kern, ctl->dev.ifindex, add_session, &rows);
	rows_sort(&rows, compare_sessions);
	return finish(ctl, "reading the sessions", err, &rows, columns, COUNT(columns));
}

struct counter_row {
	char name[64];
	const char *name_text;
	uint64_t value;
};

static void add_counter(void *ctx, const char *name, uint64_t value)
{
	struct counter_row *row = rows_add(ctx);

	if (!row)
		return;
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->value = value;
}

int cmd_counters_list(struct ctl *ctl, int argc, char **argv)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct counter_row, name_text, "name", "COUNTER", PRINT_TEXT, 0),
		PRINT_COLUMN(struct counter_row, value, "value", "VALUE", PRINT_U64, 0),
	};
	int err, status = ctl_need_dev(ctl);
	struct rows rows;

	(void)argc;
	(void)argv;
	if (status)
		return status;
	rows_init(&rows, sizeof(struct counter_row));
	err = kern_stats(ctl->kern, ctl->dev.ifindex, add_counter, &rows);
	for (size_t i = 0; i < rows.n; i++) {
		struct counter_row *row = (struct counter_row *)rows.items + i;

		row->name_text = row->name;
	}
	/* The kernel's order groups them by path. */
	return finish(ctl, "reading the counters", err, &rows, columns, COUNT(columns));
}
