// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Contacts: what the owner of an address notes about others.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libratman/filter.h"
#include "libratman/handle.h"

/* Sets a tag that programs see as a field. */
static int set_field(struct contact *c, const char *key, const char *value)
{
	return value ? contact_tags_set(&c->tags, key, value) : 0;
}

static int build_contact(const struct ratman_contact *in, struct contact *out)
{
	int err;

	*out = (struct contact){ .trust = in->trust };
	memcpy(out->address.b, in->address.b, ADDRESS_LEN);
	if (in->trust < CONTACT_TRUST_MIN || in->trust > CONTACT_TRUST_MAX)
		return -EINVAL;
	err = contact_set_note(out, in->note ? in->note : "");
	if (!err)
		err = set_field(out, CONTACT_TAG_NICK, in->nick);
	if (!err)
		err = set_field(out, CONTACT_TAG_LOCATION, in->location);
	if (!err)
		err = set_field(out, CONTACT_TAG_MET, in->met ? "1" : NULL);
	return err ? err : filter_add_tags(&out->tags, in->tags, in->n_tags);
}

PUBLIC int ratman_contact_add(struct ratman *r, const struct ratman_id *token,
			      const struct ratman_contact *contact)
{
	uint8_t payload[CONTACT_PAYLOAD_MAX];
	struct wire_writer w;
	struct contact c;
	int err = build_contact(contact, &c);

	if (!err)
		err = handle_need_extended(r);
	if (err)
		return err;
	wire_write_init(&w, payload, sizeof(payload));
	contact_write(&w, &c);
	return handle_command(r, OP_CONTACT_ADD, token, payload, wire_len(&w));
}

PUBLIC int ratman_contact_del(struct ratman *r, const struct ratman_id *token,
			      const struct ratman_id *address)
{
	int err = handle_need_extended(r);

	return err ? err : handle_command(r, OP_CONTACT_DELETE, token, address->b, RATMAN_ID_LEN);
}

/* Asks for a list of addresses; @out and @n may be NULL. */
static int ask_addresses(struct ratman *r, enum op_id op, const struct ratman_id *token,
			 const void *payload, size_t len, struct ratman_id **out, size_t *n)
{
	struct ratman_id *list = NULL;
	struct reply reply;
	struct ping ping;
	int err = handle_need_extended(r);

	if (err)
		return err;
	err = handle_exchange(r, op, token, payload, len, PING_ADDR_LIST, &reply, &ping);
	if (!err && out) {
		list = calloc(ping.ids.n + 1, sizeof(*list));
		err = list ? 0 : -ENOMEM;
	}
	if (!err && out) {
		if (ping.ids.n)
			memcpy(list, ping.ids.ids, ping.ids.n * RATMAN_ID_LEN);
		*out = list;
	}
	if (!err && n)
		*n = ping.ids.n;
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_contact_modify(struct ratman *r, const struct ratman_id *token,
				 const struct ratman_contact_change *change,
				 struct ratman_id **touched, size_t *n)
{
	uint8_t payload[2 * LIMIT_CONTACT_TAG_BYTES + 64];
	struct contact_change c = { .has_address = change->address, .has_trust = change->trust,
				    .trust = change->trust };
	struct wire_writer w;
	int err = filter_add_tags(&c.set, change->set, change->n_set);

	for (size_t i = 0; i < change->n_remove && !err; i++)
		err = contact_tags_set(&c.remove, change->remove[i], "");
	if (!err && change->trust > CONTACT_TRUST_MAX)
		err = -EINVAL;
	if (err)
		return err;
	if (change->address)
		memcpy(c.address.b, change->address->b, ADDRESS_LEN);
	wire_write_init(&w, payload, sizeof(payload));
	contact_change_write(&w, &c);
	return ask_addresses(r, OP_CONTACT_MODIFY, token, payload, wire_len(&w), touched, n);
}

PUBLIC int ratman_contact_list(struct ratman *r, const struct ratman_id *token,
			       struct ratman_id **out, size_t *n)
{
	return ask_addresses(r, OP_CONTACT_LIST, token, NULL, 0, out, n);
}

/*
 * The list of contacts is one piece of memory: the contacts, all their tags,
 * all their texts. It is built in two passes, the first of which counts.
 */
struct pile {
	struct ratman_contact *contacts;
	struct ratman_tag *tags;
	char *text;
	size_t n_tags, n_text;	/* used so far */
};

/* Puts @text on the pile, or (first pass) only counts it. */
static const char *pile_text(struct pile *p, const char *text)
{
	size_t len = text ? strlen(text) + 1 : 0;
	char *to = NULL;

	if (text && p->contacts)
		to = memcpy(p->text + p->n_text, text, len);
	p->n_text += len;
	return to;
}

static bool is_field(const char *key)
{
	return !strcmp(key, CONTACT_TAG_NICK) || !strcmp(key, CONTACT_TAG_LOCATION) ||
	       !strcmp(key, CONTACT_TAG_MET);
}

static void pile_contact(struct pile *p, size_t number, const struct contact *c)
{
	struct ratman_contact out = { .trust = c->trust };
	struct contact_tag tag;

	memcpy(out.address.b, c->address.b, RATMAN_ID_LEN);
	out.nick = pile_text(p, contact_tags_find(&c->tags, CONTACT_TAG_NICK));
	out.location = pile_text(p, contact_tags_find(&c->tags, CONTACT_TAG_LOCATION));
	out.note = pile_text(p, c->note[0] ? c->note : NULL);
	out.met = contact_tags_find(&c->tags, CONTACT_TAG_MET) != NULL;
	if (p->contacts)
		out.tags = p->tags + p->n_tags;
	for (size_t at = 0; contact_tags_next(&c->tags, &at, &tag);) {
		struct ratman_tag t;

		if (is_field(tag.key))
			continue;
		t.key = pile_text(p, tag.key);
		t.value = pile_text(p, tag.value);
		if (p->contacts)
			p->tags[p->n_tags] = t;
		p->n_tags++;
		out.n_tags++;
	}
	if (p->contacts)
		p->contacts[number] = out;
}

/* One pass over the records of @ping. */
static int pile_all(struct ping ping, struct pile *p)
{
	struct contact c;

	p->n_tags = p->n_text = 0;
	for (size_t i = 0; i < ping.contacts.n; i++) {
		if (ping_next_contact(&ping, &c))
			return RATMAN_EPROTOCOL;
		pile_contact(p, i, &c);
	}
	return 0;
}

static int copy_contacts(const struct ping *ping, struct ratman_contact **out)
{
	struct pile p = { .contacts = NULL };
	size_t n = ping->contacts.n;
	int err = pile_all(*ping, &p);

	if (err)
		return err;
	p.contacts = calloc(1, n * sizeof(*p.contacts) + p.n_tags * sizeof(*p.tags) + p.n_text + 1);
	if (!p.contacts)
		return -ENOMEM;
	p.tags = (struct ratman_tag *)(p.contacts + n);
	p.text = (char *)(p.tags + p.n_tags);
	*out = p.contacts;
	return pile_all(*ping, &p);
}

static int ask_contacts(struct ratman *r, const struct ratman_id *token,
			const struct contact_filter *f, struct ratman_contact **out, size_t *n)
{
	uint8_t payload[FILTER_PAYLOAD_MAX];
	struct wire_writer w;
	struct reply reply;
	struct ping ping;
	int err = handle_need_extended(r);

	if (err)
		return err;
	wire_write_init(&w, payload, sizeof(payload));
	contact_filter_write(&w, f);
	if (w.failed)
		return -E2BIG;
	err = handle_exchange(r, OP_CONTACT_QUERY, token, payload, wire_len(&w), PING_CONTACTS,
			      &reply, &ping);
	if (!err)
		err = copy_contacts(&ping, out);
	if (!err)
		*n = ping.contacts.n;
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_contact_query(struct ratman *r, const struct ratman_id *token,
				const struct ratman_contact_filter *filter,
				struct ratman_contact **out, size_t *n)
{
	struct contact_filter f;
	int err = filter_build(filter, &f);

	return err ? err : ask_contacts(r, token, &f, out, n);
}

PUBLIC int ratman_contact_search(struct ratman *r, const struct ratman_id *token,
				 const struct ratman_contact_search *search,
				 struct ratman_contact **out, size_t *n)
{
	struct contact_filter f;
	int err = filter_build_search(search, &f);

	return err ? err : ask_contacts(r, token, &f, out, n);
}
