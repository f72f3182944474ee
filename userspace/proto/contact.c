// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/contact.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"

static bool is_utf8(const char *text)
{
	return field_is_utf8((const uint8_t *)text, strlen(text));
}

bool contact_tags_next(const struct contact_tags *tags, size_t *at, struct contact_tag *out)
{
	if (*at >= tags->len)
		return false;
	out->key = (const char *)tags->bytes + *at;
	out->value = out->key + strlen(out->key) + 1;
	*at += (size_t)(out->value - out->key) + strlen(out->value) + 1;
	return true;
}

const char *contact_tags_find(const struct contact_tags *tags, const char *key)
{
	struct contact_tag tag;

	for (size_t at = 0; contact_tags_next(tags, &at, &tag);) {
		if (!strcmp(tag.key, key))
			return tag.value;
	}
	return NULL;
}

bool contact_tags_remove(struct contact_tags *tags, const char *key)
{
	struct contact_tag tag;

	for (size_t at = 0, start = 0; contact_tags_next(tags, &at, &tag); start = at) {
		if (strcmp(tag.key, key))
			continue;
		memmove(tags->bytes + start, tags->bytes + at, tags->len - at);
		tags->len -= at - start;
		tags->n--;
		return true;
	}
	return false;
}

/* Adds a pair whose key is not there. */
static int append(struct contact_tags *tags, const char *key, const char *value)
{
	size_t key_len = strlen(key) + 1, value_len = strlen(value) + 1;

	if (!*key)
		return -EINVAL;
	if (!is_utf8(key) || !is_utf8(value))
		return -EILSEQ;
	if (tags->n == LIMIT_CONTACT_TAGS ||
	    key_len + value_len > sizeof(tags->bytes) - tags->len)
		return -E2BIG;
	memcpy(tags->bytes + tags->len, key, key_len);
	memcpy(tags->bytes + tags->len + key_len, value, value_len);
	tags->len += key_len + value_len;
	tags->n++;
	return 0;
}

int contact_tags_set(struct contact_tags *tags, const char *key, const char *value)
{
	struct contact_tags old = *tags;
	int err;

	contact_tags_remove(tags, key);
	err = append(tags, key, value);
	if (err)
		*tags = old;
	return err;
}

int contact_set_note(struct contact *c, const char *note)
{
	size_t len = strlen(note);

	if (len > LIMIT_CONTACT_NOTE)
		return -E2BIG;
	if (!is_utf8(note))
		return -EILSEQ;
	memcpy(c->note, note, len + 1);
	return 0;
}

/* A terminated string inside the payload (borrowed), or NULL and @r failed. */
static const char *get_string(struct wire_reader *r)
{
	return field_get_terminated(r).at;
}

static int read_note(struct wire_reader *r, struct contact *c)
{
	const char *note = get_string(r);

	return note ? contact_set_note(c, note) : -EINVAL;
}

/* u16 count, then that many pairs, or with @keys_only keys alone. */
static int read_tags(struct wire_reader *r, bool keys_only, struct contact_tags *out)
{
	uint16_t n = wire_get_be16(r);
	int err;

	out->len = 0;
	out->n = 0;
	if (r->failed)
		return -EINVAL;
	for (uint16_t i = 0; i < n; i++) {
		const char *key = get_string(r);
		const char *value = keys_only ? "" : get_string(r);

		if (r->failed)
			return -EINVAL;
		if (contact_tags_find(out, key))
			return -EEXIST;
		err = append(out, key, value);
		if (err)
			return err;
	}
	return 0;
}

static void write_tags(struct wire_writer *w, const struct contact_tags *tags)
{
	wire_put_be16(w, tags->n);
	wire_put(w, tags->bytes, tags->len);
}

static void write_keys(struct wire_writer *w, const struct contact_tags *tags)
{
	struct contact_tag tag;

	wire_put_be16(w, tags->n);
	for (size_t at = 0; contact_tags_next(tags, &at, &tag);)
		field_put_text(w, tag.key);
}

static int check_trust(uint8_t trust)
{
	return trust < CONTACT_TRUST_MIN || trust > CONTACT_TRUST_MAX ? -ERANGE : 0;
}

int contact_read(const uint8_t *data, size_t len, struct contact *out)
{
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	wire_get(&r, out->address.b, ADDRESS_LEN);
	err = read_note(&r, out);
	if (!err)
		err = read_tags(&r, false, &out->tags);
	if (err)
		return err;
	out->trust = wire_get_u8(&r);
	return wire_done(&r) ? check_trust(out->trust) : -EINVAL;
}

void contact_write(struct wire_writer *w, const struct contact *c)
{
	wire_put(w, c->address.b, ADDRESS_LEN);
	field_put_text(w, c->note);
	write_tags(w, &c->tags);
	wire_put_u8(w, c->trust);
}

int contact_change_read(const uint8_t *data, size_t len, struct contact_change *out)
{
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	err = read_tags(&r, false, &out->set);
	if (!err)
		err = read_tags(&r, true, &out->remove);
	if (err)
		return err;
	/* Told apart by size, so that an address that begins with 00 is one, too. */
	out->has_address = wire_left(&r) > ADDRESS_LEN;
	out->address = (struct address){ { 0 } };
	if (out->has_address)
		wire_get(&r, out->address.b, ADDRESS_LEN);
	else if (wire_get_u8(&r))
		return -EINVAL;
	out->trust = 0;
	switch (wire_get_u8(&r)) {
	case 0:
		out->has_trust = false;
		return wire_done(&r) ? 0 : -EINVAL;
	case 1:
		out->has_trust = true;
		out->trust = wire_get_u8(&r);
		return wire_done(&r) ? check_trust(out->trust) : -EINVAL;
	}
	return -EINVAL;
}

void contact_change_write(struct wire_writer *w, const struct contact_change *change)
{
	write_tags(w, &change->set);
	write_keys(w, &change->remove);
	if (change->has_address)
		wire_put(w, change->address.b, ADDRESS_LEN);
	else
		wire_put_u8(w, 0);
	wire_put_u8(w, change->has_trust);
	if (change->has_trust)
		wire_put_u8(w, change->trust);
}

int contact_change_apply(const struct contact_change *change, struct contact *c)
{
	struct contact_tag tag;
	int err;

	for (size_t at = 0; contact_tags_next(&change->remove, &at, &tag);)
		contact_tags_remove(&c->tags, tag.key);
	for (size_t at = 0; contact_tags_next(&change->set, &at, &tag);) {
		err = contact_tags_set(&c->tags, tag.key, tag.value);
		if (err)
			return err;
	}
	if (change->has_trust)
		c->trust = change->trust;
	return 0;
}

/* What follows the trust: met, and terms. */
static int read_extension(struct wire_reader *r, struct contact_filter *out)
{
	uint8_t met = wire_get_u8(r);
	uint16_t n = wire_get_be16(r);
	int err = 0;

	if (r->failed || met > CONTACT_MET)
		return -EINVAL;
	if (n > LIMIT_QUERY_TERMS)
		return -EMSGSIZE;
	out->extended = true;
	out->met = (enum contact_met_test)met;
	for (; out->n_terms < n && !err; out->n_terms++)
		err = user_term_read(r, &out->terms[out->n_terms]);
	if (err)
		return err == -E2BIG ? -EMSGSIZE : err;
	return wire_done(r) ? 0 : -EINVAL;
}

/* What both queries have in common, from the note on. */
static int read_filter(struct wire_reader *r, bool keys_only, struct contact_filter *out)
{
	uint8_t test;
	int err;

	out->note = get_string(r);
	if (!out->note)
		return -EINVAL;
	if (!is_utf8(out->note))
		return -EILSEQ;
	if (!*out->note)
		out->note = NULL;
	err = read_tags(r, keys_only, &out->tags);
	if (err)
		return err;
	test = wire_get_u8(r);
	if (r->failed || test > CONTACT_TRUST_WITHIN)
		return -EINVAL;
	out->trust_test = (enum contact_trust_test)test;
	out->trust = out->fuzz = 0;
	out->met = CONTACT_MET_ANY;
	out->n_terms = 0;
	out->extended = test == CONTACT_TRUST_WITHIN;
	if (out->trust_test != CONTACT_TRUST_ANY || wire_left(r))
		out->trust = wire_get_u8(r);
	if (out->trust_test == CONTACT_TRUST_WITHIN)
		out->fuzz = wire_get_u8(r);
	if (r->failed)
		return -EINVAL;
	err = wire_left(r) ? read_extension(r, out) : 0;
	if (err || out->trust_test == CONTACT_TRUST_ANY)
		return err;
	return check_trust(out->trust);
}

static void write_filter(struct wire_writer *w, bool keys_only, const struct contact_filter *f)
{
	field_put_text(w, f->note ? f->note : "");
	if (keys_only)
		write_keys(w, &f->tags);
	else
		write_tags(w, &f->tags);
	wire_put_u8(w, (uint8_t)f->trust_test);
	wire_put_u8(w, f->trust);
	if (f->trust_test == CONTACT_TRUST_WITHIN)
		wire_put_u8(w, f->fuzz);
	if (f->met == CONTACT_MET_ANY && !f->n_terms)
		return;
	wire_put_u8(w, (uint8_t)f->met);
	wire_put_be16(w, f->n_terms);
	for (uint16_t i = 0; i < f->n_terms; i++)
		user_term_write(w, &f->terms[i]);
}

int contact_filter_read(const uint8_t *data, size_t len, struct contact_filter *out)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	if (payload_read_ids(&r, &out->addresses))
		return -EINVAL;
	return read_filter(&r, false, out);
}

void contact_filter_write(struct wire_writer *w, const struct contact_filter *f)
{
	wire_put_be16(w, (uint16_t)f->addresses.n);
	wire_put(w, f->addresses.ids, f->addresses.n * ADDRESS_LEN);
	write_filter(w, false, f);
}

int contact_peer_filter_read(const uint8_t *data, size_t len, struct contact_filter *out)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	out->addresses = (struct payload_ids){ NULL, 0 };
	return read_filter(&r, true, out);
}

void contact_peer_filter_write(struct wire_writer *w, const struct contact_filter *f)
{
	write_filter(w, true, f);
}

static bool is_named(const struct payload_ids *ids, const struct address *address)
{
	for (size_t i = 0; i < ids->n; i++) {
		if (!memcmp(ids->ids + i * ADDRESS_LEN, address->b, ADDRESS_LEN))
			return true;
	}
	return !ids->n;
}

static bool is_trusted(const struct contact *c, const struct contact_filter *f)
{
	switch (f->trust_test) {
	case CONTACT_TRUST_ANY:
		return true;
	case CONTACT_TRUST_AT_LEAST:
		return c->trust >= f->trust;
	case CONTACT_TRUST_BELOW:
		return c->trust < f->trust;
	case CONTACT_TRUST_WITHIN:
		return abs(c->trust - f->trust) <= f->fuzz;
	}
	return false;
}

static bool was_met(const struct contact *c)
{
	const char *met = contact_tags_find(&c->tags, CONTACT_TAG_MET);

	return met && !strcmp(met, "1");
}

bool contact_matches(const struct contact *c, const struct contact_filter *f)
{
	struct contact_tag tag;

	if (!is_trusted(c, f))
		return false;
	if (f->met != CONTACT_MET_ANY && was_met(c) != (f->met == CONTACT_MET))
		return false;
	if (f->note && !strstr(c->note, f->note))
		return false;
	for (size_t at = 0; contact_tags_next(&f->tags, &at, &tag);) {
		const char *value = contact_tags_find(&c->tags, tag.key);

		if (!value || (*tag.value && strcmp(value, tag.value)))
			return false;
	}
	return is_named(&f->addresses, &c->address);
}

static void write_optional(struct wire_writer *w, const char *text)
{
	wire_put_u8(w, text != NULL);
	if (text)
		field_put_text(w, text);
}

void contact_record_write(struct wire_writer *w, const struct contact *c)
{
	static const char *const reserved[] = { CONTACT_TAG_NICK, CONTACT_TAG_LOCATION,
						CONTACT_TAG_MET };
	struct contact_tags rest = c->tags;

	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++)
		contact_tags_remove(&rest, reserved[i]);
	wire_put(w, c->address.b, ADDRESS_LEN);
	write_optional(w, contact_tags_find(&c->tags, CONTACT_TAG_NICK));
	wire_put_u8(w, c->trust);
	wire_put_u8(w, was_met(c));
	write_optional(w, contact_tags_find(&c->tags, CONTACT_TAG_LOCATION));
	write_optional(w, c->note[0] ? c->note : NULL);
	write_tags(w, &rest);
}

/* Presence byte and text; NULL (and @r not failed) when there is none. */
static const char *read_optional(struct wire_reader *r)
{
	uint8_t present = wire_get_u8(r);

	if (present > 1)
		r->failed = true;
	return present == 1 ? get_string(r) : NULL;
}

static int add_reserved(struct contact_tags *tags, const char *key, const char *value)
{
	if (!value)
		return 0;
	return contact_tags_find(tags, key) ? -EEXIST : append(tags, key, value);
}

int contact_record_read(struct wire_reader *r, struct contact *out)
{
	const char *nick, *location, *note;
	uint8_t met;
	int err;

	wire_get(r, out->address.b, ADDRESS_LEN);
	nick = read_optional(r);
	out->trust = wire_get_u8(r);
	met = wire_get_u8(r);
	location = read_optional(r);
	note = read_optional(r);
	err = r->failed || met > 1 ? -EINVAL : contact_set_note(out, note ? note : "");
	if (!err)
		err = read_tags(r, false, &out->tags);
	if (!err)
		err = add_reserved(&out->tags, CONTACT_TAG_NICK, nick);
	if (!err)
		err = add_reserved(&out->tags, CONTACT_TAG_LOCATION, location);
	if (!err && met)
		err = add_reserved(&out->tags, CONTACT_TAG_MET, "1");
	if (!err)
		err = check_trust(out->trust);
	if (err)
		r->failed = true;
	return err;
}
