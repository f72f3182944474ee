// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl top: the router live on a terminal, or a line for each interval.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "ratctl/ratctl.h"
#include "ratctl/screen.h"
#include "ratctl/top.h"
#include "ratctl/watch.h"
#include "tools/term.h"

#define API_TIMEOUT_MS 1000	/* keys shall not wait longer for a stuck daemon */
#define INTERVAL_MS_DEFAULT 1000
#define INTERVAL_MS_MAX 3600000

static void add_link(void *ctx, const struct kern_link *l)
{
	struct top_link *row = rows_add(ctx);

	if (!row)
		return;
	memcpy(row->name, l->name, sizeof(row->name));
	row->up = l->state == RATMAN_LINK_UP;
	row->neighs = l->neighs;
	row->rx_bytes = l->rx_bytes;
	row->tx_bytes = l->tx_bytes;
}

static void add_neigh(void *ctx, const struct kern_neigh *n)
{
	struct top_neigh *row = rows_add(ctx);

	if (!row)
		return;
	row->router = n->router;
	if (!if_indextoname(n->link, row->link))
		snprintf(row->link, sizeof(row->link), "%u", n->link);
	row->alive = n->state == RATMAN_NEIGH_ALIVE;
	row->rtt_us = n->rtt_us;
	row->loss = n->loss;
	row->silent_ms = n->silent_ms;
}

static void add_counter(void *ctx, const char *name, uint64_t value)
{
	struct top_counter *row = rows_add(ctx);

	if (!row)
		return;
	snprintf(row->name, sizeof(row->name), "%s", name);
	row->value = value;
}

static int compare_links(const void *a, const void *b)
{
	return strcmp(((const struct top_link *)a)->name, ((const struct top_link *)b)->name);
}

static int compare_neighs(const void *a, const void *b)
{
	const struct top_neigh *x = a, *y = b;

	if (x->alive != y->alive)
		return x->alive ? -1 : 1;
	return address_compare(&x->router, &y->router);
}

/* The kernel's half. The module may come and go while we watch. */
static void sample_kernel(struct ctl *ctl, struct top_sample *s)
{
	char why[256];
	uint32_t dev;
	int err;

	if (!ctl->kern && kern_open(&ctl->kern, why, sizeof(why))) {
		snprintf(s->mesh, sizeof(s->mesh), "off: %s", why);
		return;
	}
	err = kern_dev_find(ctl->kern, ctl->device, &ctl->dev);
	dev = ctl->dev.ifindex;
	if (!err)
		err = kern_links(ctl->kern, dev, add_link, &s->links);
	if (!err)
		err = kern_neighs(ctl->kern, dev, add_neigh, &s->neighs);
	if (!err)
		err = kern_stats(ctl->kern, dev, add_counter, &s->counters);
	if (err) {
		snprintf(s->mesh, sizeof(s->mesh), "off: %s", kern_why(ctl->kern));
		/* A module that was loaded again is another netlink family. */
		kern_close(ctl->kern);
		ctl->kern = NULL;
		return;
	}
	snprintf(s->mesh, sizeof(s->mesh), "%s",
		 ctl->dev.claimed ? "on" : "off: no daemon holds the device");
	memcpy(s->device, ctl->dev.name, sizeof(s->device));
	s->router = ctl->dev.router;
	s->routes = ctl->dev.routes;
	s->sessions = ctl->dev.sessions;
	rows_sort(&s->links, compare_links);
	rows_sort(&s->neighs, compare_neighs);
}

/* The daemon's half; it may come and go as well. Returns a library error. */
static int sample_daemon(struct ctl *ctl, struct top_sample *s)
{
	int err = 0;

	if (!ctl->api)
		err = ratman_open(&ctl->api, ctl->bind, API_TIMEOUT_MS);
	if (!err)
		err = ratman_status(ctl->api, &s->status);
	s->daemon = !err;
	if (err)
		snprintf(s->daemon_why, sizeof(s->daemon_why), "%s", ratman_strerror(err));
	return err;
}

static int take_sample(struct ctl *ctl, struct top_sample *s)
{
	top_sample_init(s);
	sample_kernel(ctl, s);
	s->at_ms = clock_ms();
	s->wall_ns = clock_wall_ns();
	return sample_daemon(ctl, s);
}

struct top_row {
	int64_t time_ns;
	const char *mesh, *device;
	bool daemon;
	uint32_t links, neighs, routes, sessions;
	uint64_t num_peers, num_local, num_auth;
	uint64_t rx_per_s, tx_per_s, drops_per_s, drops;
};

/* One sample as one line. */
static int print_sample(const struct ctl *ctl, const struct top_sample *now,
			const struct top_sample *before)
{
	static const struct print_column columns[] = {
		PRINT_COLUMN(struct top_row, time_ns, "time", "", PRINT_TIME, 0),
		PRINT_COLUMN(struct top_row, mesh, "mesh", "", PRINT_TEXT, PRINT_JSON),
		PRINT_COLUMN(struct top_row, device, "device", "", PRINT_TEXT, PRINT_JSON),
		PRINT_COLUMN(struct top_row, daemon, "daemon", "", PRINT_BOOL, PRINT_JSON),
		PRINT_COLUMN(struct top_row, links, "num_links", "links", PRINT_U32, 0),
		PRINT_COLUMN(struct top_row, neighs, "num_neighbours", "neighbours", PRINT_U32, 0),
		PRINT_COLUMN(struct top_row, routes, "num_routes", "routes", PRINT_U32, 0),
		PRINT_COLUMN(struct top_row, sessions, "num_sessions", "sessions", PRINT_U32, 0),
		PRINT_COLUMN(struct top_row, num_peers, "num_peers", "peers", PRINT_U64, 0),
		PRINT_COLUMN(struct top_row, num_local, "num_local", "local", PRINT_U64, 0),
		PRINT_COLUMN(struct top_row, num_auth, "num_auth", "up", PRINT_U64, 0),
		PRINT_COLUMN(struct top_row, rx_per_s, "rx_bytes_per_s", "RX/s", PRINT_BYTES, 0),
		PRINT_COLUMN(struct top_row, tx_per_s, "tx_bytes_per_s", "TX/s", PRINT_BYTES, 0),
		PRINT_COLUMN(struct top_row, drops_per_s, "drops_per_s", "drops/s", PRINT_U64, 0),
		PRINT_COLUMN(struct top_row, drops, "drops", "drops", PRINT_U64, 0),
	};
	const size_t n = sizeof(columns) / sizeof(columns[0]);
	struct top_totals t = top_totals(now, before);
	struct top_row row = {
		.time_ns = now->wall_ns, .mesh = now->mesh,
		.device = now->device[0] ? now->device : NULL, .daemon = now->daemon,
		.links = t.links_up, .neighs = t.neighs_alive, .routes = now->routes,
		.sessions = now->sessions, .num_peers = now->status.peers,
		.num_local = now->status.locals, .num_auth = now->status.tokens,
		.rx_per_s = t.rx_bytes_per_s, .tx_per_s = t.tx_bytes_per_s,
		.drops_per_s = t.drops_per_s, .drops = t.drops,
	};

	/* Without a header a figure alone says nothing. */
	if (!before && !ctl->style.json && !ctl->style.lines && !ctl->style.no_header) {
		fputs("TIME", stdout);
		for (size_t i = 1; i < n; i++)
			if (!(columns[i].flags & PRINT_JSON))
				printf(" %s", columns[i].title);
		fputc('\n', stdout);
	}
	return print_line(stdout, &ctl->style, columns, n, &row);
}

static int draw(const struct top_sample *now, const struct top_sample *before)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);
	int err;

	if (!f)
		return -errno;
	top_render(f, now, before, term_width(), term_height());
	fclose(f);
	err = screen_draw(text, len);
	free(text);
	return err;
}

/* Waits for the next interval on the terminal; false: the user, or a signal, wants the end. */
static bool wait_on_screen(uint64_t until_ms, const struct top_sample *now,
			   const struct top_sample *before, int *sig)
{
	for (;;) {
		uint64_t at = clock_ms();
		int key = 0;

		if (at >= until_ms)
			return true;
		switch (screen_wait((int)(until_ms - at), &key, sig)) {
		case SCREEN_TICK:
			break;
		case SCREEN_KEY:
			if (key == 'q' || key == 'Q' || key == 4)
				return false;
			break;
		case SCREEN_RESIZED:
			draw(now, before);
			break;
		case SCREEN_SIGNAL:
			return false;
		}
	}
}

/* The same without one; watch_signals() are caught. */
static bool wait_quietly(uint64_t until_ms)
{
	uint64_t at = clock_ms();

	watch_sleep(at < until_ms ? until_ms - at : 0);
	return !watch_ended();
}

static int read_interval(struct ctl *ctl, uint32_t *ms)
{
	char *end;
	double seconds;

	*ms = INTERVAL_MS_DEFAULT;
	if (!ctl->interval)
		return CTL_OK;
	seconds = strtod(ctl->interval, &end);
	if (end == ctl->interval || *end || !(seconds >= 0.1) ||
	    seconds > INTERVAL_MS_MAX / 1000.0)
		return ctl_fail(ctl, CTL_USER, "--interval %s: must be seconds, from 0.1 to %d",
				ctl->interval, INTERVAL_MS_MAX / 1000);
	*ms = (uint32_t)(seconds * 1000);
	return CTL_OK;
}

/* Samples until there were @count (0: for ever), or the user or the output has enough. */
static int watch(struct ctl *ctl, uint32_t ms, uint32_t count, bool screen, int *sig)
{
	struct top_sample samples[2];
	bool more = true;
	int err = 0;

	for (uint32_t i = 0; more; i++) {
		struct top_sample *now = &samples[i % 2], *before = i ? &samples[(i + 1) % 2] : NULL;
		uint64_t next = clock_ms() + ms;
		int daemon_err = take_sample(ctl, now);

		/* Nothing to look at from the very start is a mistake, later on it is news. */
		if (!i && daemon_err && !now->device[0] && !screen) {
			top_sample_free(now);
			return ctl_api_failed(ctl, "asking for the status", daemon_err);
		}
		err = screen ? draw(now, before) : print_sample(ctl, now, before);
		more = !err && i + 1 != count;
		if (more && screen)
			more = wait_on_screen(next, now, before, sig);
		else if (more)
			more = wait_quietly(next);
		if (before)
			top_sample_free(before);
		if (!more)
			top_sample_free(now);
	}
	return err ? CTL_USER : CTL_OK;
}

int cmd_top(struct ctl *ctl, int argc, char **argv)
{
	bool screen = term_is_tty(stdout) && !ctl->style.json && !ctl->style.lines;
	uint32_t ms, count = 0;
	int sig = 0, status = read_interval(ctl, &ms);

	(void)argc;
	(void)argv;
	if (!status && ctl->count)
		status = ctl_number(ctl, "--count", ctl->count, UINT32_MAX, &count);
	if (status)
		return status;
	if (!screen) {
		watch_signals();
	} else {
		int err = screen_open();

		if (err)
			return ctl_fail(ctl, CTL_USER, "this terminal cannot be used: %s",
					strerror(-err));
	}
	status = watch(ctl, ms, count, screen, &sig);
	if (screen)
		screen_close();
	return sig ? 128 + sig : watch_ended() ? watch_ended() : status;
}
