/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contacts: what the owner of an address notes about another one
 * (microframe.md section 3.8, service-api.md section 7.4).
 *
 * The readers return 0 or say what is wrong: -EINVAL bytes that are no such
 * payload, -EILSEQ text that is not UTF-8, -E2BIG more than base/limits.h
 * allows, -EEXIST the same tag twice, -ERANGE a trust that is none, -EMSGSIZE
 * too many or too long terms of a query. The writers go into a cursor whose
 * sticky error the caller asks.
 */
#ifndef RATMAN_PROTO_CONTACT_H
#define RATMAN_PROTO_CONTACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/limits.h"
#include "base/wire.h"
#include "proto/payload.h"
#include "proto/user.h"

#define CONTACT_TRUST_MIN 1
#define CONTACT_TRUST_MAX 7

/* Tags that travel as fields of their own in records. */
#define CONTACT_TAG_NICK "nick"
#define CONTACT_TAG_LOCATION "location"
#define CONTACT_TAG_MET "met"	/* "1": met in person */

/* Pairs of key and value; no key twice, none empty. */
struct contact_tags {
	uint8_t bytes[LIMIT_CONTACT_TAG_BYTES];	/* key NUL value NUL for each */
	size_t len;
	uint16_t n;
};

/* Inside a struct contact_tags: borrowed until it changes. */
struct contact_tag {
	const char *key;
	const char *value;
};

/* The tag at *@at (0 for the first), which moves on; false behind the last. */
bool contact_tags_next(const struct contact_tags *tags, size_t *at, struct contact_tag *out);

/* The value of @key (borrowed), or NULL. */
const char *contact_tags_find(const struct contact_tags *tags, const char *key);

/* Adds the pair, in place of what @key had. -EINVAL (empty key), -EILSEQ, -E2BIG (unchanged). */
int contact_tags_set(struct contact_tags *tags, const char *key, const char *value);

/* True when @key was there. */
bool contact_tags_remove(struct contact_tags *tags, const char *key);

struct contact {
	struct address address;
	uint8_t trust;		/* CONTACT_TRUST_MIN to _MAX */
	char note[LIMIT_CONTACT_NOTE + 1];	/* "" = none */
	struct contact_tags tags;
};

/* Sets the note. -EILSEQ, -E2BIG. */
int contact_set_note(struct contact *c, const char *note);

/* Contact/Add: address, note, tags, trust. */
int contact_read(const uint8_t *data, size_t len, struct contact *out);
void contact_write(struct wire_writer *w, const struct contact *c);

/* Longest payload of contact_write(). */
#define CONTACT_PAYLOAD_MAX (32 + LIMIT_CONTACT_NOTE + 1 + 2 + LIMIT_CONTACT_TAG_BYTES + 1)

/* Contact/Modify: tags to set, keys to remove, whom (nobody named: all), trust. */
struct contact_change {
	struct contact_tags set;
	struct contact_tags remove;	/* keys, their values are empty */
	bool has_address;
	struct address address;
	bool has_trust;
	uint8_t trust;
};

int contact_change_read(const uint8_t *data, size_t len, struct contact_change *out);
void contact_change_write(struct wire_writer *w, const struct contact_change *change);

/* Applies it, removals first. -E2BIG when there would be too many tags; @c is then of no use. */
int contact_change_apply(const struct contact_change *change, struct contact *c);

enum contact_trust_test {
	CONTACT_TRUST_ANY = 0,
	CONTACT_TRUST_AT_LEAST = 1,
	CONTACT_TRUST_BELOW = 2,
	CONTACT_TRUST_WITHIN = 3,	/* no farther than @fuzz from it (service-api.md R28) */
};

enum contact_met_test {
	CONTACT_MET_ANY = 0,
	CONTACT_MET_NOT = 1,
	CONTACT_MET = 2,
};

/* The field of a term that is no tag. */
#define CONTACT_FIELD_NOTE "note"

/* What a query asks for: all of it must hold. */
struct contact_filter {
	struct payload_ids addresses;	/* one of these (borrowed from the payload); n = 0: any */
	const char *note;		/* part of the note (borrowed); NULL: any */
	struct contact_tags tags;	/* each there; an empty value stands for any */
	enum contact_trust_test trust_test;
	uint8_t trust;
	uint8_t fuzz;
	/* Beyond microframe.md, as is CONTACT_TRUST_WITHIN (Documentation/protocol-extensions.md). */
	enum contact_met_test met;
	struct user_term terms[LIMIT_QUERY_TERMS];	/* borrowed; of nick, location, a note, tags */
	uint16_t n_terms;
	bool extended;		/* read: it has some of that */
};

/* Contact/Query. The value behind trust test 0 may be left out. */
int contact_filter_read(const uint8_t *data, size_t len, struct contact_filter *out);
void contact_filter_write(struct wire_writer *w, const struct contact_filter *f);

/* Peer/Query: the same without addresses, and with keys in place of tags. */
int contact_peer_filter_read(const uint8_t *data, size_t len, struct contact_filter *out);
void contact_peer_filter_write(struct wire_writer *w, const struct contact_filter *f);

/* All but the terms: those want Unicode, which the daemon has (service/contact_search.h). */
bool contact_matches(const struct contact *c, const struct contact_filter *f);

/*
 * One record of a list of contacts (ping kind 0x28): the reserved tags go into
 * fields, and come back as tags. Returns 0 or an error as above, @r is then failed.
 */
void contact_record_write(struct wire_writer *w, const struct contact *c);
int contact_record_read(struct wire_reader *r, struct contact *out);

/* Shortest and longest record. */
#define CONTACT_RECORD_MIN (32 + 1 + 1 + 1 + 1 + 1 + 2)
#define CONTACT_RECORD_MAX (32 + 3 * 2 + 2 + LIMIT_CONTACT_NOTE + 2 + LIMIT_CONTACT_TAG_BYTES)

#endif
