// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/listing.h"

#include <stdlib.h>
#include <string.h>

#define HEAD_LEN 3	/* kind, count */

struct listing_entry {
	struct address address;
	size_t at, len;		/* in bytes */
};

/* Makes room for @need items of @size bytes in all; doubles what is there. */
static bool grow(void **items, size_t *room, size_t need, size_t size)
{
	size_t n = *room ? *room : 64;
	void *p;

	if (need <= *room)
		return true;
	while (n < need)
		n *= 2;
	p = reallocarray(*items, n, size);
	if (!p)
		return false;
	*items = p;
	*room = n;
	return true;
}

uint8_t *listing_add(struct listing *l, const struct address *address, size_t len)
{
	void *entries = l->entries, *bytes = l->bytes;

	if (l->failed || l->n == UINT16_MAX)
		return NULL;
	l->failed = !grow(&entries, &l->room, l->n + 1, sizeof(*l->entries)) ||
		    !grow(&bytes, &l->size, l->len + len, 1);
	l->entries = entries;
	l->bytes = bytes;
	if (l->failed)
		return NULL;
	l->entries[l->n++] = (struct listing_entry){ *address, l->len, len };
	l->len += len;
	return l->bytes + l->len - len;
}

void listing_free(struct listing *l)
{
	free(l->entries);
	free(l->bytes);
	*l = (struct listing){ 0 };
}

static int compare(const void *a, const void *b)
{
	const struct listing_entry *x = a, *y = b;

	return address_compare(&x->address, &y->address);
}

void listing_reply(struct client *c, struct listing *l, enum ping_kind kind, bool sort, bool echo)
{
	uint8_t *reply = l->failed ? NULL : malloc(HEAD_LEN + l->len);
	struct wire_writer w;

	if (!reply) {
		listing_free(l);
		client_reply_internal(c, false, "out of memory");
		return;
	}
	if (sort && l->n)
		qsort(l->entries, l->n, sizeof(*l->entries), compare);
	wire_write_init(&w, reply, HEAD_LEN + l->len);
	wire_put_u8(&w, (uint8_t)kind);
	wire_put_be16(&w, (uint16_t)l->n);
	for (size_t i = 0; i < l->n; i++)
		wire_put(&w, l->bytes + l->entries[i].at, l->entries[i].len);
	client_reply(c, echo, reply, wire_len(&w));
	free(reply);
	listing_free(l);
}
