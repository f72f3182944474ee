/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Links as clients see them: peer lines and the list of ping kind 0x29
 * (microframe.md section 3.8).
 */
#ifndef RATMAN_PROTO_LINK_H
#define RATMAN_PROTO_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/wire.h"

#define LINK_DRIVER_ETH "eth"	/* the address is the name of an interface */

#define LINK_DRIVER_MAX 15
#define LINK_ADDRESS_MAX 255

/* Names a link; on the wire and for people "driver:address". */
struct link_line {
	char driver[LINK_DRIVER_MAX + 1];
	char address[LINK_ADDRESS_MAX + 1];
};

/* Longest payload of link_line_write(). */
#define LINK_LINE_MAX (LINK_DRIVER_MAX + 1 + LINK_ADDRESS_MAX + 1)

/* Link/Create, Destroy, Up, Down. -EINVAL for what is no peer line; any driver is taken. */
int link_line_read(const uint8_t *data, size_t len, struct link_line *out);
void link_line_write(struct wire_writer *w, const struct link_line *line);

/* One entry of Link/List: a link and one neighbour on it, or a link without any. */
struct link_entry {
	struct link_line line;
	struct address neighbour;	/* router address; zero: none */
	bool up;			/* carries frames; with a neighbour: that one is alive */
	uint64_t rx_bytes, tx_bytes;	/* from and to the neighbour, or of the link */
};

void link_entry_write(struct wire_writer *w, const struct link_entry *e);
/* -EINVAL, and @r is failed. */
int link_entry_read(struct wire_reader *r, struct link_entry *out);

/* Shortest and longest entry. */
#define LINK_ENTRY_MIN (1 + 32 + 1 + 1 + 8 + 8)
#define LINK_ENTRY_MAX (LINK_LINE_MAX + 32 + 1 + 8 + 8)

#endif
