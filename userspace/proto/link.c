// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/link.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

int link_line_read(const uint8_t *data, size_t len, struct link_line *out)
{
	struct field_text text, driver;
	struct wire_reader r;
	const char *colon;

	wire_read_init(&r, data, len);
	text = field_get_text(&r);
	if (!wire_done(&r) || !field_is_utf8((const uint8_t *)text.at, text.len))
		return -EINVAL;
	colon = text.len ? memchr(text.at, ':', text.len) : NULL;
	if (!colon || colon == text.at)
		return -EINVAL;
	driver = (struct field_text){ text.at, (size_t)(colon - text.at) };
	text.len -= driver.len + 1;
	text.at = colon + 1;
	if (driver.len > LINK_DRIVER_MAX || !text.len || text.len > LINK_ADDRESS_MAX)
		return -EINVAL;
	field_copy_text(driver, out->driver, sizeof(out->driver));
	field_copy_text(text, out->address, sizeof(out->address));
	return 0;
}

void link_line_write(struct wire_writer *w, const struct link_line *line)
{
	wire_put(w, line->driver, strlen(line->driver));
	wire_put_u8(w, ':');
	field_put_text(w, line->address);
}

void link_entry_write(struct wire_writer *w, const struct link_entry *e)
{
	field_put_text(w, e->line.driver);
	wire_put(w, e->neighbour.b, ADDRESS_LEN);
	field_put_text(w, e->line.address);
	wire_put_u8(w, e->up);
	wire_put_be64(w, e->rx_bytes);
	wire_put_be64(w, e->tx_bytes);
}

int link_entry_read(struct wire_reader *r, struct link_entry *out)
{
	struct field_text driver, address;

	driver = field_get_terminated(r);
	wire_get(r, out->neighbour.b, ADDRESS_LEN);
	address = field_get_terminated(r);
	out->up = wire_get_u8(r) == 1;
	out->rx_bytes = wire_get_be64(r);
	out->tx_bytes = wire_get_be64(r);
	if (driver.len > LINK_DRIVER_MAX || address.len > LINK_ADDRESS_MAX)
		r->failed = true;
	if (r->failed)
		return -EINVAL;
	field_copy_text(driver, out->line.driver, sizeof(out->line.driver));
	field_copy_text(address, out->line.address, sizeof(out->line.address));
	return 0;
}
