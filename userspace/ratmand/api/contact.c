// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 2, Contact (microframe.md section 3.8). Whose contacts are meant is
 * said by the token in the header alone.
 */
#include "ratmand/api/contact.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a reader of proto/contact.h found wrong, as an Error. */
static void refuse(struct client *c, int err)
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
		refuse(c, err);
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
		refuse(c, err);
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
		refuse(c, err);
		return;
	}
	client_ask(c);
	s->ops->contact_modify(s->be, &owner, &change, on_touched, c);
}

/* Lists --------------------------------------------------------------------------- */

#define STEP_COST 65536		/* bytes that are as much work as a step of a list */

struct list_job {
	struct client_job job;		/* first member */
	struct client *client;
	const struct backend_ops *ops;
	struct backend_contacts *contacts;	/* owned */
	uint8_t *payload;		/* owned: what the filter points into */
	struct contact_filter filter;
	contact_collector collect;
	struct listing list;
	enum ping_kind kind;
};

static void list_free(struct list_job *j)
{
	if (j->contacts)
		j->ops->contact_list_close(j->contacts);
	listing_free(&j->list);
	free(j->payload);
	free(j);
}

static void list_gone(struct client *c, struct client_job *job)
{
	(void)c;
	list_free((struct list_job *)job);
}

static void list_one(void *ctx, const struct contact *contact)
{
	struct list_job *j = ctx;

	j->collect(j->client, &j->list, contact);
}

/* Runs from a turn of its own, a step or a few each time. */
static void list_progress(struct client *c, struct client_job *job)
{
	struct list_job *j = (struct list_job *)job;
	int more;

	do {
		more = j->ops->contact_list_step(j->contacts, list_one, j);
	} while (more > 0 && client_share(c, STEP_COST));
	if (more > 0) {
		client_kick(c);
		return;
	}
	client_end_job(c);
	if (more)
		client_reply_errno(c, false, more);
	else
		listing_reply(c, &j->list, j->kind, true, true);
	list_free(j);
}

static struct list_job *list_new(struct client *c)
{
	struct list_job *j = calloc(1, sizeof(*j));
	size_t len = c->header.payload_len;

	if (j)
		j->payload = malloc(len + 1);
	if (!j || !j->payload) {
		free(j);
		return NULL;
	}
	if (len)
		memcpy(j->payload, c->payload, len);
	j->client = c;
	j->ops = c->server->ops;
	j->job.progress = list_progress;
	j->job.gone = list_gone;
	return j;
}

void contact_list_start(struct client *c, contact_filter_reader read, contact_collector collect,
			enum ping_kind kind)
{
	struct address owner = dispatch_owner(c);
	struct list_job *j = list_new(c);
	int err = 0;

	if (!j) {
		client_reply_internal(c, false, "out of memory");
		return;
	}
	j->collect = collect;
	j->kind = kind;
	if (read)
		err = read(j->payload, c->header.payload_len, &j->filter);
	if (!err && j->filter.extended && !(c->capabilities & CAPABILITY_EXTENDED))
		err = -EINVAL;
	if (err) {
		refuse(c, err);
		list_free(j);
		return;
	}
	err = j->ops->contact_list_open(c->server->be, &owner, read ? &j->filter : NULL,
					&j->contacts);
	if (!err) {
		client_start_job(c, &j->job);
		client_kick(c);
		return;
	}
	if (err == -EMSGSIZE)
		refuse(c, err);
	else
		client_reply_errno(c, false, err);
	list_free(j);
}

static void collect_address(struct client *c, struct listing *l, const struct contact *contact)
{
	(void)c;
	add_address(l, &contact->address);
}

static void collect_record(struct client *c, struct listing *l, const struct contact *contact)
{
	uint8_t record[CONTACT_RECORD_MAX], *entry;
	struct wire_writer w;

	(void)c;
	wire_write_init(&w, record, sizeof(record));
	contact_record_write(&w, contact);
	entry = listing_add(l, &contact->address, wire_len(&w));
	if (entry)
		memcpy(entry, record, wire_len(&w));
}

void contact_list(struct client *c)
{
	contact_list_start(c, NULL, collect_address, PING_ADDR_LIST);
}

void contact_query(struct client *c)
{
	bool records = c->capabilities & CAPABILITY_EXTENDED;

	contact_list_start(c, contact_filter_read, records ? collect_record : collect_address,
			   records ? PING_CONTACTS : PING_ADDR_LIST);
}
