// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 3, Link (microframe.md section 3.8).
 */
#include <errno.h>
#include <string.h>

#include "ratmand/api/listing.h"

static void change(struct client *c, enum backend_link_change what)
{
	struct api_server *s = c->server;
	char why[PING_TEXT_MAX] = "";
	struct link_line line;
	int err;

	if (link_line_read(c->payload, c->header.payload_len, &line)) {
		client_reply_input(c, "peer line", "driver:address, for example eth:eth0");
		return;
	}
	if (strcmp(line.driver, LINK_DRIVER_ETH)) {
		client_reply_input(c, line.driver, "driver " LINK_DRIVER_ETH);
		return;
	}
	err = s->ops->link_change(s->be, what, line.address, why, sizeof(why));
	if (!err)
		client_reply_ok(c);
	else if (err == -ENODEV)
		client_reply_input(c, line.address, why);
	else
		client_reply_internal(c, false, why[0] ? why : strerror(-err));
}

void link_create(struct client *c)
{
	change(c, BACKEND_LINK_CREATE);
}

void link_destroy(struct client *c)
{
	change(c, BACKEND_LINK_DESTROY);
}

void link_up(struct client *c)
{
	change(c, BACKEND_LINK_UP);
}

void link_down(struct client *c)
{
	change(c, BACKEND_LINK_DOWN);
}

static void collect(void *ctx, const struct link_entry *link)
{
	uint8_t bytes[LINK_ENTRY_MAX], *entry;
	struct wire_writer w;

	wire_write_init(&w, bytes, sizeof(bytes));
	link_entry_write(&w, link);
	entry = listing_add(ctx, &link->neighbour, wire_len(&w));
	if (entry)
		memcpy(entry, bytes, wire_len(&w));
}

void link_list(struct client *c)
{
	struct api_server *s = c->server;
	struct listing l = { 0 };
	int err = s->ops->link_list(s->be, collect, &l);

	if (err) {
		listing_free(&l);
		client_reply_internal(c, false, strerror(-err));
		return;
	}
	listing_reply(c, &l, PING_LINKS, false, true);
}
