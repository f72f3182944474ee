// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 2, Contact (microframe.md section 3.8). Whose contacts are meant is
 * said by the token in the header alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/api/listing.h"

void contact_refuse(struct client *c, int err)
{
	char text[PING_TEXT_MAX];

	switch (err) {
	case -E2BIG:
		snprintf(text, sizeof(text),
			 "a note of at most %d bytes, at most %d tags of %d bytes together",
			 LIMIT_CONTACT_NOTE, LIMIT_CONTACT_TAGS, LIMIT_CONTACT_TAG_BYTES);
		client_reply_input(c, "note or tags", text);
		break;
	case -EILSEQ:
		client_reply_input(c, "note or tags", "UTF-8");
		break;
	case -EEXIST:
		client_reply_input(c, "tags", "each key once");
		break;
	case -ERANGE:
		client_reply_input(c, "trust", "1 to 7");
		break;
	case -EMSGSIZE:
		snprintf(text, sizeof(text),
			 "at most %d terms, each pattern at most %d bytes, fuzzy ones %d words together",
			 LIMIT_QUERY_TERMS, LIMIT_QUERY_PATTERN, LIMIT_CONTACT_WORDS);
		client_reply_input(c, "terms", text);
		break;
	default:
		client_reply_input(c, "payload", op_find(c->header.mode)->name);
	}
}

void contact_refuse_search(struct client *c, int err)
{
	if (err == -EMSGSIZE)
		contact_refuse(c, err);
	else
		client_reply_errno(c, false, err);
}

/* The answer of the backend to a change. */
static void reply_done(struct client *c, int err)
{
	switch (err) {
	case 0:
		client_reply_ok(c);
		break;
	case -EBADMSG:
		client_reply_internal(c, false,
				      "what was stored about the contact is damaged; add it again");
		break;
	default:
		client_reply_errno(c, false, err);
	}
}

static void on_done(void *ctx, int err)
{
	struct client *c = ctx;

	if (!client_answered(c))
		return;
	reply_done(c, err);
	client_process(c);
}

static void on_put(void *ctx, int err)
{
	struct client *c = ctx;
	char text[64];

	if (!client_answered(c))
		return;
	if (err == -E2BIG) {
		snprintf(text, sizeof(text), "at most %d of one address", LIMIT_CONTACTS);
		client_reply_input(c, "one more contact", text);
	} else {
		reply_done(c, err);
	}
	client_process(c);
}

void contact_add(struct client *c)
{
	struct api_server *s = c->server;
	struct address owner = dispatch_owner(c);
	struct contact contact;
	int err = contact_read(c->payload, c->header.payload_len, &contact);

	if (err) {
		contact_refuse(c, err);
		return;
	}
	if (address_is_zero(&contact.address)) {
		client_reply_input(c, "contact", "an address");
		return;
	}
	client_ask(c);
	s->ops->contact_put(s->be, &owner, &contact, on_put, c);
}

void contact_delete(struct client *c)
{
	struct api_server *s = c->server;
	struct address owner = dispatch_owner(c);
	struct address contact;

	memcpy(contact.b, c->payload, ADDRESS_LEN);
	client_ask(c);
	s->ops->contact_del(s->be, &owner, &contact, on_done, c);
}

/* Adds one bare address. */
static void add_address(struct listing *l, const struct address *address)
{
	uint8_t *entry = listing_add(l, address, ADDRESS_LEN);

	if (entry)
		memcpy(entry, address->b, ADDRESS_LEN);
}

static void on_touched(void *ctx, int err, const struct address *touched, size_t n)
{
	struct client *c = ctx;
	struct listing l = { 0 };

	if (!client_answered(c))
		return;
	if (err == -E2BIG) {
		contact_refuse(c, err);
	} else if (err) {
		reply_done(c, err);
	} else {
		for (size_t i = 0; i < n; i++)
			add_address(&l, &touched[i]);
		listing_reply(c, &l, PING_ADDR_LIST, true, true);
	}
	client_process(c);
}

void contact_modify(struct client *c)
{
	struct api_server *s = c->server;
	struct address owner = dispatch_owner(c);
	struct contact_change change;
	int err = contact_change_read(c->payload, c->header.payload_len, &change);

	if (err) {
		contact_refuse(c, err);
		return;
	}
	client_ask(c);
	s->ops->contact_modify(s->be, &owner, &change, on_touched, c);
}

struct query {
	struct listing list;
	bool records;
};

static void collect(void *ctx, const struct contact *contact)
{
	uint8_t record[CONTACT_RECORD_MAX], *entry;
	struct query *q = ctx;
	struct wire_writer w;

	if (!q->records) {
		add_address(&q->list, &contact->address);
		return;
	}
	wire_write_init(&w, record, sizeof(record));
	contact_record_write(&w, contact);
	entry = listing_add(&q->list, &contact->address, wire_len(&w));
	if (entry)
		memcpy(entry, record, wire_len(&w));
}

static void answer(struct client *c, const struct contact_filter *filter, struct query *q)
{
	struct api_server *s = c->server;
	struct address owner = dispatch_owner(c);
	int err = s->ops->contact_each(s->be, &owner, filter, collect, q);

	if (err) {
		listing_free(&q->list);
		contact_refuse_search(c, err);
		return;
	}
	listing_reply(c, &q->list, q->records ? PING_CONTACTS : PING_ADDR_LIST, true, true);
}

void contact_list(struct client *c)
{
	struct query q = { .records = false };

	answer(c, NULL, &q);
}

void contact_query(struct client *c)
{
	struct contact_filter filter;
	struct query q = { .records = c->capabilities & CAPABILITY_EXTENDED };
	int err = contact_filter_read(c->payload, c->header.payload_len, &filter);

	if (!err && filter.extended && !q.records)
		err = -EINVAL;
	if (err)
		contact_refuse(c, err);
	else
		answer(c, &filter, &q);
}
