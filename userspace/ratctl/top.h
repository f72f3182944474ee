/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What ratctl top shows: one look at the router, and two of them as a screen.
 */
#ifndef RATCTL_TOP_H
#define RATCTL_TOP_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "ratctl/rows.h"
#include "ratman/ratman.h"

struct top_link {
	char name[IFNAMSIZ];
	bool up;
	uint32_t neighs;
	uint64_t rx_bytes, tx_bytes;
};

struct top_neigh {
	struct address router;
	char link[IFNAMSIZ];
	bool alive;
	uint32_t rtt_us, loss, silent_ms;	/* as in struct kern_neigh */
};

struct top_counter {
	char name[64];
	uint64_t value;
};

struct top_sample {
	uint64_t at_ms;			/* clock_ms() */
	int64_t wall_ns;
	char mesh[300];			/* "on", or "off: " and why */
	char device[IFNAMSIZ];		/* "" without one */
	struct address router;
	uint32_t routes, sessions;
	bool daemon;			/* it answered; else why it did not */
	char daemon_why[128];
	struct ratman_status status;
	/* Sorted by name, by state and address, in the kernel's order. */
	struct rows links, neighs, counters;	/* struct top_link, top_neigh, top_counter */
};

void top_sample_init(struct top_sample *s);
void top_sample_free(struct top_sample *s);

/* Growth per second of a figure between two samples; 0 where it went back (a device made anew). */
uint64_t top_rate(uint64_t now, uint64_t before, uint64_t ms);

/* What all links together do: bytes per second, and drops of any kind per second. */
struct top_totals {
	uint32_t links_up, neighs_alive;
	uint64_t rx_bytes_per_s, tx_bytes_per_s, drops_per_s, drops;
};

/* @before NULL: all rates are 0. */
struct top_totals top_totals(const struct top_sample *now, const struct top_sample *before);

/* False for a counter of what went well or is of no interest. */
bool top_is_drop(const char *counter);

/*
 * Writes the screen: at most @height lines of at most @width columns, each
 * with a newline. What has no room is counted in words.
 */
void top_render(FILE *f, const struct top_sample *now, const struct top_sample *before,
		unsigned int width, unsigned int height);

#endif
