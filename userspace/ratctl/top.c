// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/top.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/kern/kern.h"
#include "tools/term.h"

#define LINE_MAX_BYTES 512
#define DROPS_SHOWN 5
#define DROPS_KEPT 128	/* different counters that are looked at when the worst are picked */

void top_sample_init(struct top_sample *s)
{
	memset(s, 0, sizeof(*s));
	rows_init(&s->links, sizeof(struct top_link));
	rows_init(&s->neighs, sizeof(struct top_neigh));
	rows_init(&s->counters, sizeof(struct top_counter));
}

void top_sample_free(struct top_sample *s)
{
	rows_free(&s->links);
	rows_free(&s->neighs);
	rows_free(&s->counters);
}

uint64_t top_rate(uint64_t now, uint64_t before, uint64_t ms)
{
	return now > before && ms ? (uint64_t)((double)(now - before) * 1000 / (double)ms) : 0;
}

/* Anything the kernel counts that is not here is shown as a drop: a new reason is never hidden. */
bool top_is_drop(const char *counter)
{
	static const char *const fine[] = {
		"rx_hello", "rx_hello_own", "rx_hello_known", "rx_link", "rx_echo", "rx_control",
		"rx_handshake", "rx_packets", "rx_keepalive", "rx_other_host", "rx_bad_dest",
		"fwd_frames", "fwd_handshake", "tx_packets", "tx_keepalive", "tx_staged", "tx_hello",
		"tx_echo", "tx_link", "tx_control", "tx_handshake", "punt_frames", "neigh_back",
		"neigh_dead", "route_expired", "session_idle",
	};

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (!strcmp(fine[i], counter))
			return false;
	return true;
}

static const struct top_link *find_link(const struct top_sample *s, const char *name)
{
	const struct top_link *links = s ? s->links.items : NULL;

	for (size_t i = 0; links && i < s->links.n; i++)
		if (!strcmp(links[i].name, name))
			return &links[i];
	return NULL;
}

static uint64_t counter_before(const struct top_sample *s, const char *name)
{
	const struct top_counter *c = s ? s->counters.items : NULL;

	for (size_t i = 0; c && i < s->counters.n; i++)
		if (!strcmp(c[i].name, name))
			return c[i].value;
	return 0;
}

static uint64_t elapsed(const struct top_sample *now, const struct top_sample *before)
{
	return before && now->at_ms > before->at_ms ? now->at_ms - before->at_ms : 0;
}

struct top_totals top_totals(const struct top_sample *now, const struct top_sample *before)
{
	const struct top_counter *counters = now->counters.items;
	const struct top_neigh *neighs = now->neighs.items;
	const struct top_link *links = now->links.items;
	uint64_t ms = elapsed(now, before);
	struct top_totals t = { 0 };

	for (size_t i = 0; i < now->links.n; i++) {
		const struct top_link *was = find_link(before, links[i].name);

		t.links_up += links[i].up;
		t.rx_bytes_per_s += was ? top_rate(links[i].rx_bytes, was->rx_bytes, ms) : 0;
		t.tx_bytes_per_s += was ? top_rate(links[i].tx_bytes, was->tx_bytes, ms) : 0;
	}
	for (size_t i = 0; i < now->neighs.n; i++)
		t.neighs_alive += neighs[i].alive;
	for (size_t i = 0; i < now->counters.n; i++) {
		if (!top_is_drop(counters[i].name))
			continue;
		t.drops += counters[i].value;
		t.drops_per_s += top_rate(counters[i].value,
					  counter_before(before, counters[i].name), ms);
	}
	return t;
}

/* The screen that is being written. */
struct screen_text {
	FILE *f;
	unsigned int width;
	unsigned int left;	/* lines */
};

/* One line, cut at the width; nothing where no line is left. */
static void line(struct screen_text *s, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void line(struct screen_text *s, const char *format, ...)
{
	char text[LINE_MAX_BYTES];
	unsigned int columns = 0;
	va_list ap;

	if (!s->left)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	for (const char *p = text; *p; p++) {
		/* A column begins with any byte that does not continue a character. */
		if (((unsigned char)*p & 0xc0) != 0x80 && columns++ == s->width)
			break;
		fputc((unsigned char)*p < ' ' ? '?' : *p, s->f);
	}
	fputc('\n', s->f);
	s->left--;
}

static const char *short_address(const struct address *a, char out[static ADDRESS_TEXT_LEN])
{
	char full[ADDRESS_TEXT_LEN];

	address_format(a, full);
	snprintf(out, ADDRESS_TEXT_LEN, "%.9s…%s", full, full + strlen(full) - 4);
	return out;
}

static void render_head(struct screen_text *s, const struct top_sample *now)
{
	char time[TERM_TIME_LEN], router[ADDRESS_TEXT_LEN] = "";

	term_format_time(now->wall_ns, time);
	if (!address_is_zero(&now->router))
		short_address(&now->router, router);
	line(s, "%.8s UTC  mesh %s%s%s%s%s", time + 11, now->mesh, now->device[0] ? "  " : "",
	     now->device, router[0] ? "  router " : "", router);
	if (now->daemon)
		line(s, "addresses %" PRIu64 " (%" PRIu64 " up)  peers %" PRIu64 "  transfers %" PRIu64
		     "  routes %u  sessions %u", now->status.locals, now->status.tokens,
		     now->status.peers, now->status.workers, now->routes, now->sessions);
	else
		line(s, "daemon: %s  routes %u  sessions %u", now->daemon_why, now->routes,
		     now->sessions);
}

/* Room for a list of @n in @lines lines; the last one is for what is left out. */
static size_t fit(size_t n, unsigned int lines)
{
	return n <= lines ? n : lines ? lines - 1 : 0;
}

static void render_links(struct screen_text *s, const struct top_sample *now,
			 const struct top_sample *before, unsigned int lines)
{
	const struct top_link *links = now->links.items;
	uint64_t ms = elapsed(now, before);
	size_t shown = fit(now->links.n, lines);

	line(s, "%-15s %-5s %10s %12s %12s %10s %10s", "LINK", "STATE", "NEIGHBOURS", "RX/s", "TX/s",
	     "RX", "TX");
	for (size_t i = 0; i < shown; i++) {
		const struct top_link *l = &links[i], *was = find_link(before, l->name);
		char rx_s[TERM_TEXT_LEN], tx_s[TERM_TEXT_LEN], rx[TERM_TEXT_LEN], tx[TERM_TEXT_LEN];

		line(s, "%-15s %-5s %10u %12s %12s %10s %10s", l->name, l->up ? "up" : "down",
		     l->neighs,
		     term_format_bytes(was ? top_rate(l->rx_bytes, was->rx_bytes, ms) : 0, rx_s),
		     term_format_bytes(was ? top_rate(l->tx_bytes, was->tx_bytes, ms) : 0, tx_s),
		     term_format_bytes(l->rx_bytes, rx), term_format_bytes(l->tx_bytes, tx));
	}
	if (shown < now->links.n)
		line(s, "… %zu more links", now->links.n - shown);
}

static void render_neighs(struct screen_text *s, const struct top_sample *now, unsigned int lines)
{
	const struct top_neigh *neighs = now->neighs.items;
	size_t shown = fit(now->neighs.n, lines);

	line(s, "%-15s %-15s %-6s %8s %7s %9s", "NEIGHBOUR", "LINK", "STATE", "RTT ms", "LOSS %",
	     "SILENT s");
	for (size_t i = 0; i < shown; i++) {
		const struct top_neigh *n = &neighs[i];
		char router[ADDRESS_TEXT_LEN];

		/* The ellipsis is three bytes and one column. */
		line(s, "%-17s %-15s %-6s %8.1f %7.1f %9.1f", short_address(&n->router, router),
		     n->link, n->alive ? "alive" : "dead", n->rtt_us / 1000.0,
		     n->loss * 100.0 / 65535, n->silent_ms / 1000.0);
	}
	if (shown < now->neighs.n)
		line(s, "… %zu more neighbours", now->neighs.n - shown);
}

struct drop {
	const char *name;
	uint64_t per_s, total;
};

/* What drops now first, then what dropped most. */
static int compare_drops(const void *a, const void *b)
{
	const struct drop *x = a, *y = b;

	if (x->per_s != y->per_s)
		return x->per_s > y->per_s ? -1 : 1;
	return x->total > y->total ? -1 : x->total < y->total;
}

static void render_drops(struct screen_text *s, const struct top_sample *now,
			 const struct top_sample *before)
{
	const struct top_counter *counters = now->counters.items;
	struct top_totals totals = top_totals(now, before);
	struct drop drops[DROPS_KEPT];
	size_t n = 0;

	for (size_t i = 0; i < now->counters.n && n < DROPS_KEPT; i++) {
		if (!counters[i].value || !top_is_drop(counters[i].name))
			continue;
		drops[n++] = (struct drop){
			.name = counters[i].name, .total = counters[i].value,
			.per_s = top_rate(counters[i].value, counter_before(before, counters[i].name),
					  elapsed(now, before)),
		};
	}
	qsort(drops, n, sizeof(drops[0]), compare_drops);
	line(s, "%-24s %12s %14s", "DROPS", "per s", "in all");
	line(s, "%-24s %12" PRIu64 " %14" PRIu64, "of any kind", totals.drops_per_s, totals.drops);
	for (size_t i = 0; i < n && i < DROPS_SHOWN; i++)
		line(s, "%-24s %12" PRIu64 " %14" PRIu64, drops[i].name, drops[i].per_s,
		     drops[i].total);
}

void top_render(FILE *f, const struct top_sample *now, const struct top_sample *before,
		unsigned int width, unsigned int height)
{
	struct screen_text s = { .f = f, .width = width, .left = height };
	/* Two lines of head, three blank ones, three titles and the drops are taken. */
	unsigned int used = 2 + 3 + 3 + 1 + DROPS_SHOWN;
	unsigned int lists = height > used ? height - used : 0;
	unsigned int links = (unsigned int)now->links.n;

	if (links > lists / 2)
		links = lists / 2;
	render_head(&s, now);
	if (!now->device[0]) {
		line(&s, "%s", "");
		line(&s, "no mesh device: links, neighbours and drops are shown when there is one");
		return;
	}
	line(&s, "%s", "");
	render_links(&s, now, before, links);
	line(&s, "%s", "");
	render_neighs(&s, now, lists - links);
	line(&s, "%s", "");
	render_drops(&s, now, before);
}
