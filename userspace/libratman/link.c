// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Links: what carries the router's frames.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libratman/handle.h"

PUBLIC int ratman_link_list(struct ratman *r, struct ratman_link **out, size_t *n)
{
	struct ratman_link *list = NULL;
	struct link_entry e;
	struct reply reply;
	struct ping ping;
	int err = handle_need_extended(r);

	if (err)
		return err;
	err = handle_exchange(r, OP_LINK_LIST, NULL, NULL, 0, PING_LINKS, &reply, &ping);
	if (!err) {
		list = calloc(ping.links.n + 1, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	for (size_t i = 0; !err && i < ping.links.n; i++) {
		if (ping_next_link(&ping, &e)) {
			err = RATMAN_EPROTOCOL;
			break;
		}
		strcpy(list[i].driver, e.line.driver);
		strcpy(list[i].address, e.line.address);
		memcpy(list[i].neighbour.b, e.neighbour.b, RATMAN_ID_LEN);
		list[i].has_neighbour = !address_is_zero(&e.neighbour);
		list[i].up = e.up;
		list[i].rx_bytes = e.rx_bytes;
		list[i].tx_bytes = e.tx_bytes;
	}
	reply_free(&reply);
	if (err) {
		free(list);
		return err;
	}
	*out = list;
	*n = ping.links.n;
	return 0;
}

static int change(struct ratman *r, enum op_id op, const char *line)
{
	size_t len = strlen(line) + 1;
	struct link_line checked;
	int err;

	if (link_line_read((const uint8_t *)line, len, &checked))
		return -EINVAL;
	err = handle_need_extended(r);
	return err ? err : handle_command(r, op, NULL, line, len);
}

PUBLIC int ratman_link_create(struct ratman *r, const char *line)
{
	return change(r, OP_LINK_CREATE, line);
}

PUBLIC int ratman_link_destroy(struct ratman *r, const char *line)
{
	return change(r, OP_LINK_DESTROY, line);
}

PUBLIC int ratman_link_up(struct ratman *r, const char *line)
{
	return change(r, OP_LINK_UP, line);
}

PUBLIC int ratman_link_down(struct ratman *r, const char *line)
{
	return change(r, OP_LINK_DOWN, line);
}
