// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Codecs of microframe.md section 3.8: contacts, peer queries, links; golden
 * bytes in both directions, cuts at every length, limits, matching.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proto/contact.h"
#include "ratmand/service/contact_search.h"
#include "proto/link.h"
#include "proto/ops.h"
#include "proto/ping.h"
#include "unit/codec.h"

static struct contact make(const char *address, const char *note, uint8_t trust)
{
	struct contact c = { .trust = trust };

	memcpy(c.address.b, address, 32);
	assert_int_equal(contact_set_note(&c, note), 0);
	return c;
}

static void tag(struct contact_tags *tags, const char *key, const char *value)
{
	assert_int_equal(contact_tags_set(tags, key, value), 0);
}

#define ADD B "hi\0" "\0\1" "k\0v\0" "\5"
#define ADD_MINIMAL B "\0" "\0\0" "\1"

static void add(void **state)
{
	struct contact c = make(B, "hi", 5), d;
	const struct contact minimal = make(B, "", 1);

	(void)state;
	tag(&c.tags, "k", "v");
	ENCODES(contact_write(w, &c), ADD);
	ENCODES(contact_write(w, &minimal), ADD_MINIMAL);
	ONLY_WHOLE(contact_read(data, len, &d), ADD);
	assert_int_equal(contact_read(BYTES(ADD), &d), 0);
	assert_memory_equal(d.address.b, B, 32);
	assert_string_equal(d.note, "hi");
	assert_int_equal(d.tags.n, 1);
	assert_string_equal(contact_tags_find(&d.tags, "k"), "v");
	assert_int_equal(d.trust, 5);
	ONLY_WHOLE(contact_read(data, len, &d), ADD_MINIMAL);
	assert_int_equal(contact_read(BYTES(ADD_MINIMAL), &d), 0);
	assert_string_equal(d.note, "");
	assert_int_equal(d.tags.n, 0);
	/* One byte too many, and what else is wrong. */
	assert_int_equal(contact_read(BYTES(ADD "\0"), &d), -EINVAL);
	assert_int_equal(contact_read(BYTES(B "\0\0\0\0"), &d), -ERANGE);
	assert_int_equal(contact_read(BYTES(B "\0\0\0\x8"), &d), -ERANGE);
	assert_int_equal(contact_read(BYTES(B "\xff\0\0\0\1"), &d), -EILSEQ);
	assert_int_equal(contact_read(BYTES(B "\0\0\1k\0\xc3\0\1"), &d), -EILSEQ);
	assert_int_equal(contact_read(BYTES(B "\0\0\1\0v\0\1"), &d), -EINVAL);
	assert_int_equal(contact_read(BYTES(B "\0\0\2k\0v\0k\0w\0\1"), &d), -EEXIST);
}

static void limits(void **state)
{
	static uint8_t out[8192];
	struct contact c = make(B, "", 7), d;
	struct wire_writer w;
	static char text[4096];

	(void)state;
	memset(text, 'x', LIMIT_CONTACT_NOTE + 1);
	assert_int_equal(contact_set_note(&c, text), -E2BIG);
	text[LIMIT_CONTACT_NOTE] = 0;
	assert_int_equal(contact_set_note(&c, text), 0);
	for (int i = 0; i < LIMIT_CONTACT_TAGS; i++) {
		char key[3] = { 'a', (char)('A' + i), 0 };

		tag(&c.tags, key, "");
	}
	assert_int_equal(contact_tags_set(&c.tags, "more", ""), -E2BIG);
	/* What fails changes nothing, and there is room where something went. */
	assert_int_equal(c.tags.n, LIMIT_CONTACT_TAGS);
	assert_true(contact_tags_remove(&c.tags, "aB"));
	assert_false(contact_tags_remove(&c.tags, "aB"));
	memset(text, 'y', sizeof(text) - 1);
	assert_int_equal(contact_tags_set(&c.tags, "aC", text), -E2BIG);
	assert_string_equal(contact_tags_find(&c.tags, "aC"), "");
	text[LIMIT_CONTACT_TAG_BYTES - 31 * 4 - 3 - 2] = 0;
	assert_int_equal(contact_tags_set(&c.tags, "long", text), -E2BIG);
	text[LIMIT_CONTACT_TAG_BYTES - 31 * 4 - 3 - 3] = 0;
	assert_int_equal(contact_tags_set(&c.tags, "long", text), 0);
	assert_int_equal(c.tags.len, LIMIT_CONTACT_TAG_BYTES);
	wire_write_init(&w, out, CONTACT_PAYLOAD_MAX);
	contact_write(&w, &c);
	assert_false(w.failed);
	assert_int_equal(wire_len(&w), CONTACT_PAYLOAD_MAX);
	assert_int_equal(contact_read(out, wire_len(&w), &d), 0);
	assert_int_equal(d.tags.n, LIMIT_CONTACT_TAGS);
	wire_write_init(&w, out, CONTACT_RECORD_MAX);
	contact_record_write(&w, &c);
	assert_false(w.failed);
	/* A longer note than may be, on the wire. */
	memset(out, 'n', sizeof(out));
	out[32 + LIMIT_CONTACT_NOTE + 1] = 0;
	assert_int_equal(contact_read(out, sizeof(out), &d), -E2BIG);
	/* More tags than may be. */
	memcpy(out, B "\0\0\x21", 35);
	for (int i = 0; i <= LIMIT_CONTACT_TAGS; i++)
		memcpy(out + 35 + 3 * i, (char[]){ (char)('0' + i), 0, 0 }, 3);
	assert_int_equal(contact_read(out, 35 + 3 * 33 + 1, &d), -E2BIG);
}

#define CHANGE_ALL "\0\1" "k\0v\0" "\0\2" "a\0b\0" "\0" "\0"
#define CHANGE_ONE "\0\0" "\0\0" B "\1\3"

static void modify(void **state)
{
	struct contact_change all = { .has_trust = false }, one = { .has_address = true,
								    .has_trust = true, .trust = 3 };
	struct contact c = make(B, "hi", 5);
	struct contact_change ch;
	static char text[LIMIT_CONTACT_TAG_BYTES - 2];

	(void)state;
	tag(&all.set, "k", "v");
	tag(&all.remove, "a", "");
	tag(&all.remove, "b", "");
	memcpy(one.address.b, B, 32);
	ENCODES(contact_change_write(w, &all), CHANGE_ALL);
	ENCODES(contact_change_write(w, &one), CHANGE_ONE);
	ONLY_WHOLE(contact_change_read(data, len, &ch), CHANGE_ALL);
	assert_int_equal(contact_change_read(BYTES(CHANGE_ALL), &ch), 0);
	assert_false(ch.has_address || ch.has_trust);
	assert_string_equal(contact_tags_find(&ch.set, "k"), "v");
	assert_non_null(contact_tags_find(&ch.remove, "b"));
	ONLY_WHOLE(contact_change_read(data, len, &ch), CHANGE_ONE);
	assert_int_equal(contact_change_read(BYTES(CHANGE_ONE), &ch), 0);
	assert_true(ch.has_address && ch.has_trust);
	assert_memory_equal(ch.address.b, B, 32);
	assert_int_equal(ch.trust, 3);
	/* An address that begins with 00 is told from none by the size. */
	assert_int_equal(contact_change_read(BYTES("\0\0\0\0" "\0BCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`" "\0"),
					     &ch), 0);
	assert_true(ch.has_address && !ch.has_trust && ch.address.b[1] == 'B');
	assert_int_equal(contact_change_read(BYTES("\0\0\0\0" "\7" "\0"), &ch), -EINVAL);
	assert_int_equal(contact_change_read(BYTES("\0\0\0\0" "\0" "\2\1"), &ch), -EINVAL);
	assert_int_equal(contact_change_read(BYTES("\0\0\0\0" "\0" "\1\x8"), &ch), -ERANGE);
	assert_int_equal(contact_change_read(BYTES("\0\0\0\0" "\0" "\0\0"), &ch), -EINVAL);

	tag(&c.tags, "a", "1");
	tag(&c.tags, "k", "old");
	assert_int_equal(contact_change_apply(&all, &c), 0);
	assert_int_equal(c.tags.n, 1);
	assert_string_equal(contact_tags_find(&c.tags, "k"), "v");
	assert_int_equal(c.trust, 5);
	assert_int_equal(contact_change_apply(&one, &c), 0);
	assert_int_equal(c.trust, 3);
	memset(text, 'z', sizeof(text) - 8);
	tag(&c.tags, "z", text);
	memset(&ch, 0, sizeof(ch));
	tag(&ch.set, "one more", "");
	assert_int_equal(contact_change_apply(&ch, &c), -E2BIG);
}

#define QUERY "\0\2" A B "hi\0" "\0\1" "k\0v\0" "\1\4"
#define QUERY_ALL "\0\0" "\0" "\0\0" "\0\0"
#define PEER_QUERY "hi\0" "\0\1" "k\0" "\2\4"

static void query(void **state)
{
	struct contact_filter f = { .addresses = { (const uint8_t *)A B, 2 }, .note = "hi",
				    .trust_test = CONTACT_TRUST_AT_LEAST, .trust = 4 };
	const struct contact_filter all = { .note = NULL };
	struct contact_filter g;

	(void)state;
	tag(&f.tags, "k", "v");
	ENCODES(contact_filter_write(w, &f), QUERY);
	ENCODES(contact_filter_write(w, &all), QUERY_ALL);
	ONLY_WHOLE(contact_filter_read(data, len, &g), QUERY);
	assert_int_equal(contact_filter_read(BYTES(QUERY), &g), 0);
	assert_int_equal(g.addresses.n, 2);
	assert_memory_equal(g.addresses.ids, A B, 64);
	assert_string_equal(g.note, "hi");
	assert_string_equal(contact_tags_find(&g.tags, "k"), "v");
	assert_int_equal(g.trust_test, CONTACT_TRUST_AT_LEAST);
	assert_int_equal(g.trust, 4);
	assert_int_equal(contact_filter_read(BYTES(QUERY_ALL), &g), 0);
	assert_int_equal(g.addresses.n, 0);
	assert_null(g.note);
	/* Without a test the value means nothing and may be left out. */
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0"), &g), 0);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\1"), &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\1\0"), &g), -ERANGE);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\3\1"), &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0\0"), &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\xff\0" "\0\0" "\0\0"), &g), -EILSEQ);

	f.addresses.n = 0;
	f.trust_test = CONTACT_TRUST_BELOW;
	tag(&f.tags, "k", "");
	ENCODES(contact_peer_filter_write(w, &f), PEER_QUERY);
	ONLY_WHOLE(contact_peer_filter_read(data, len, &g), PEER_QUERY);
	assert_int_equal(contact_peer_filter_read(BYTES(PEER_QUERY), &g), 0);
	assert_string_equal(g.note, "hi");
	assert_string_equal(contact_tags_find(&g.tags, "k"), "");
	assert_int_equal(g.trust_test, CONTACT_TRUST_BELOW);
}

#define MORE "\0\0" "\0" "\0\0" "\3\4\2" "\1" "\0\1" "nick\0" "ann\0" "\2"

/* Trust within, met, and terms: ours, see protocol-extensions.md. */
static void extended_query(void **state)
{
	struct contact_filter f = { .trust_test = CONTACT_TRUST_WITHIN, .trust = 4, .fuzz = 2,
				    .met = CONTACT_MET_NOT, .n_terms = 1,
				    .terms = { { "nick", "ann", USER_MATCH_FUZZY } } };
	const struct contact_filter near = { .trust_test = CONTACT_TRUST_WITHIN, .trust = 7 };
	uint8_t many[32 + 17 * 3] = { 0 }, long_pattern[12 + LIMIT_QUERY_PATTERN + 4] = { 0 };
	struct contact_filter g;

	(void)state;
	ENCODES(contact_filter_write(w, &f), MORE);
	ENCODES(contact_filter_write(w, &near), "\0\0" "\0" "\0\0" "\3\7\0");
	/* Cut in the middle it is nothing, but for one place: there it is whole without the tail. */
	for (size_t n = 0; n < sizeof(MORE) - 1; n++)
		assert_int_equal(contact_filter_read((const uint8_t *)MORE, n, &g), n == 8 ? 0 : -EINVAL);
	assert_int_equal(contact_filter_read(BYTES(MORE), &g), 0);
	assert_true(g.extended);
	assert_int_equal(g.trust_test, CONTACT_TRUST_WITHIN);
	assert_int_equal(g.trust, 4);
	assert_int_equal(g.fuzz, 2);
	assert_int_equal(g.met, CONTACT_MET_NOT);
	assert_int_equal(g.n_terms, 1);
	assert_string_equal(g.terms[0].attribute, "nick");
	assert_string_equal(g.terms[0].pattern, "ann");
	assert_int_equal(g.terms[0].match, USER_MATCH_FUZZY);
	assert_int_equal(contact_filter_read(BYTES(QUERY), &g), 0);
	assert_false(g.extended);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0" "\2" "\0\0"), &g), 0);
	assert_int_equal(g.met, CONTACT_MET);
	assert_true(g.extended);
	/* No trust, no such test, no such match, no UTF-8, more than there is. */
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\3\0\1"), &g), -ERANGE);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\3\x8\1"), &g), -ERANGE);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\4\1\1"), &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0" "\3" "\0\0"), &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0" "\0" "\0\1" "a\0" "b\0" "\4"),
					     &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0" "\0" "\0\1" "a\0" "\xff\0" "\0"),
					     &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0" "\0" "\0\2" "a\0" "b\0" "\0"),
					     &g), -EINVAL);
	assert_int_equal(contact_filter_read(BYTES("\0\0" "\0" "\0\0" "\0\0" "\0" "\0\0" "\0"), &g), -EINVAL);
	/* Sixteen terms, and patterns of 256 bytes, and not one more. */
	many[9] = LIMIT_QUERY_TERMS;
	assert_int_equal(contact_filter_read(many, 10 + LIMIT_QUERY_TERMS * 3, &g), 0);
	many[9]++;
	assert_int_equal(contact_filter_read(many, 10 + (LIMIT_QUERY_TERMS + 1) * 3, &g), -EMSGSIZE);
	long_pattern[9] = 1;
	memset(long_pattern + 11, 'p', LIMIT_QUERY_PATTERN);
	assert_int_equal(contact_filter_read(long_pattern, 11 + LIMIT_QUERY_PATTERN + 2, &g), 0);
	long_pattern[11 + LIMIT_QUERY_PATTERN] = 'p';
	assert_int_equal(contact_filter_read(long_pattern, 11 + LIMIT_QUERY_PATTERN + 3, &g), -EMSGSIZE);
	/* Peers are asked for in the same way. */
	ENCODES(contact_peer_filter_write(w, &f), "\0" "\0\0" "\3\4\2" "\1" "\0\1" "nick\0" "ann\0" "\2");
}

/* |trust - value| <= fuzz (R28), to both sides and to the ends. */
static void trust_within(void **state)
{
	(void)state;
	for (uint8_t trust = 1; trust <= 7; trust++) {
		struct contact c = make(B, "", trust);

		for (uint8_t value = 1; value <= 7; value++) {
			for (unsigned int fuzz = 0; fuzz <= 255; fuzz++) {
				const struct contact_filter f = {
					.trust_test = CONTACT_TRUST_WITHIN, .trust = value,
					.fuzz = (uint8_t)fuzz,
				};
				unsigned int apart = trust > value ? trust - value : value - trust;

				assert_int_equal(contact_matches(&c, &f), apart <= fuzz);
			}
		}
	}
}

static bool fits(const struct contact *c, const char *field, const char *pattern, enum user_match match)
{
	const struct contact_filter f = { .n_terms = 1, .terms = { { field, pattern, match } } };
	struct contact_search *s;
	bool found;

	assert_int_equal(contact_search_new(&s, &f), 0);
	found = contact_search_fits(s, c);
	contact_search_free(s);
	return found;
}

static void terms(void **state)
{
	struct contact c = make(B, "Met on the night train", 4), bare = make(A, "", 4);
	struct contact_filter both = { .n_terms = 2, .terms = { { "nick", "anna", USER_MATCH_EXACT },
								{ "city", "gent", USER_MATCH_SUBSTRING } } };
	struct contact_search *s;

	(void)state;
	tag(&c.tags, "nick", "Anna Karenina");
	tag(&c.tags, "location", "K\xc3\xb6ln");
	tag(&c.tags, "city", "Ghent");
	/* Every kind of match finds what the one before it finds; case does not count. */
	assert_true(fits(&c, "nick", "ANNA KARENINA", USER_MATCH_EXACT));
	assert_false(fits(&c, "nick", "anna", USER_MATCH_EXACT));
	assert_true(fits(&c, "nick", "anna", USER_MATCH_PREFIX));
	assert_false(fits(&c, "nick", "karenina", USER_MATCH_PREFIX));
	assert_true(fits(&c, "nick", "karenina", USER_MATCH_SUBSTRING));
	assert_false(fits(&c, "nick", "karennia", USER_MATCH_SUBSTRING));
	assert_true(fits(&c, "nick", "karennia", USER_MATCH_FUZZY));
	assert_false(fits(&c, "nick", "caroline", USER_MATCH_FUZZY));
	assert_true(fits(&c, "Location", "k\xc3\x96L", USER_MATCH_SUBSTRING));
	assert_true(fits(&c, "note", "NIGHT tarin", USER_MATCH_FUZZY));
	assert_false(fits(&c, "note", "anna", USER_MATCH_FUZZY));
	assert_false(fits(&c, "nick", "train", USER_MATCH_FUZZY));
	for (enum user_match m = USER_MATCH_SUBSTRING; m <= USER_MATCH_PREFIX; m++) {
		assert_true(fits(&c, "", m == USER_MATCH_PREFIX ? "ghe" : "hent", m));
		assert_true(fits(&c, "nick", "", m));
		/* The empty pattern finds who has the field, and no one else. */
		assert_false(fits(&bare, "nick", "", m));
		assert_false(fits(&bare, "note", "", m));
		assert_false(fits(&bare, "", "", m));
	}
	/* All of them must hold. */
	assert_int_equal(contact_search_new(&s, &both), 0);
	assert_false(contact_search_fits(s, &c));
	contact_search_free(s);
	both.terms[0].match = USER_MATCH_PREFIX;
	both.terms[1].pattern = "hent";
	assert_int_equal(contact_search_new(&s, &both), 0);
	assert_true(contact_search_fits(s, &c));
	both.met = CONTACT_MET;
	assert_false(contact_search_fits(s, &c));
	both.met = CONTACT_MET_NOT;
	assert_true(contact_search_fits(s, &c));
	tag(&c.tags, "met", "1");
	assert_false(contact_search_fits(s, &c));
	both.met = CONTACT_MET;
	assert_true(contact_search_fits(s, &c));
	tag(&c.tags, "met", "0");
	assert_false(contact_search_fits(s, &c));
	contact_search_free(s);
}

static void matching(void **state)
{
	struct contact c = make(B, "met on the train", 4);
	struct contact_filter f = { .note = NULL };

	(void)state;
	tag(&c.tags, "city", "Ghent");
	assert_true(contact_matches(&c, &f));
	f.note = "train";
	assert_true(contact_matches(&c, &f));
	f.note = "Train";
	assert_false(contact_matches(&c, &f));
	f.note = NULL;
	tag(&f.tags, "city", "");
	assert_true(contact_matches(&c, &f));
	tag(&f.tags, "city", "Ghent");
	assert_true(contact_matches(&c, &f));
	tag(&f.tags, "city", "Gent");
	assert_false(contact_matches(&c, &f));
	tag(&f.tags, "city", "Ghent");
	tag(&f.tags, "town", "");
	assert_false(contact_matches(&c, &f));
	contact_tags_remove(&f.tags, "town");
	f.trust_test = CONTACT_TRUST_AT_LEAST;
	for (f.trust = 1; f.trust <= 7; f.trust++)
		assert_int_equal(contact_matches(&c, &f), f.trust <= 4);
	f.trust_test = CONTACT_TRUST_BELOW;
	for (f.trust = 1; f.trust <= 7; f.trust++)
		assert_int_equal(contact_matches(&c, &f), f.trust > 4);
	f.trust_test = CONTACT_TRUST_ANY;
	f.addresses = (struct payload_ids){ (const uint8_t *)A, 1 };
	assert_false(contact_matches(&c, &f));
	f.addresses = (struct payload_ids){ (const uint8_t *)A B, 2 };
	assert_true(contact_matches(&c, &f));
}

/* service-api.md section 7.4. */
#define RECORD B "\1" "bob\0" "\5" "\1" "\1" "Ghent\0" "\1" "hi\0" "\0\1" "k\0v\0"
#define RECORD_BARE A "\0" "\1" "\0" "\0" "\0" "\0\0"
#define RECORDS "\x28" "\0\2" RECORD RECORD_BARE

static void records(void **state)
{
	const struct contact bare = make(A, "", 1);
	struct contact c = make(B, "hi", 5), d;
	struct wire_reader r;
	struct ping p;

	(void)state;
	tag(&c.tags, "nick", "bob");
	tag(&c.tags, "k", "v");
	tag(&c.tags, "met", "1");
	tag(&c.tags, "location", "Ghent");
	ENCODES((ping_write_contacts(w, 2), contact_record_write(w, &c),
		 contact_record_write(w, &bare)), RECORDS);
	assert_int_equal(ping_read(BYTES(RECORDS), &p), 0);
	assert_int_equal(p.kind, PING_CONTACTS);
	assert_int_equal(p.contacts.n, 2);
	assert_int_equal(ping_next_contact(&p, &d), 0);
	assert_memory_equal(d.address.b, B, 32);
	assert_string_equal(d.note, "hi");
	assert_int_equal(d.trust, 5);
	assert_int_equal(d.tags.n, 4);
	assert_string_equal(contact_tags_find(&d.tags, "nick"), "bob");
	assert_string_equal(contact_tags_find(&d.tags, "location"), "Ghent");
	assert_string_equal(contact_tags_find(&d.tags, "met"), "1");
	assert_string_equal(contact_tags_find(&d.tags, "k"), "v");
	assert_int_equal(ping_next_contact(&p, &d), 0);
	assert_memory_equal(d.address.b, A, 32);
	assert_int_equal(d.tags.n, 0);
	assert_int_equal(ping_next_contact(&p, &d), -EPROTO);
	for (size_t len = 0; len < sizeof(RECORD) - 1; len++) {
		uint8_t *cut = malloc(len + 1);

		memcpy(cut, RECORD, len);
		wire_read_init(&r, cut, len);
		assert_int_not_equal(contact_record_read(&r, &d), 0);
		assert_true(r.failed);
		free(cut);
	}
	for (size_t len = 0; len < sizeof(RECORDS) - 1; len++) {
		int n = 0;

		if (ping_read((const uint8_t *)RECORDS, len, &p))
			continue;
		while (!ping_next_contact(&p, &d))
			n++;
		assert_in_range(n, 0, 1);
	}
	/* A tag that is a field, too, and a trust that is none. */
	wire_read_init(&r, A "\1" "x\0" "\1\0\0\0" "\0\1" "nick\0y\0", 32 + 3 + 4 + 2 + 7);
	assert_int_equal(contact_record_read(&r, &d), -EEXIST);
	wire_read_init(&r, A "\0" "\xff" "\0\0\0\0\0", 32 + 7);
	assert_int_equal(contact_record_read(&r, &d), -ERANGE);
}

#define LINKS "\x29" "\0\2" "eth\0" B "eth0\0" "\1" "\0\0\0\0\0\0\0\2" "\0\0\0\0\0\0\1\3" \
	      "eth\0" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0" "wlan0\0" \
	      "\0" "\0\0\0\0\0\0\0\0" "\0\0\0\0\0\0\0\0"

static void links(void **state)
{
	struct link_entry e = { .line = { "eth", "eth0" }, .up = true, .rx_bytes = 2,
				.tx_bytes = 0x103 };
	const struct link_entry f = { .line = { "eth", "wlan0" } };
	struct link_line line;
	struct ping p;

	(void)state;
	memcpy(e.neighbour.b, B, 32);
	ENCODES((ping_write_links(w, 2), link_entry_write(w, &e), link_entry_write(w, &f)), LINKS);
	memset(&e, 0xff, sizeof(e));
	assert_int_equal(ping_read(BYTES(LINKS), &p), 0);
	assert_int_equal(p.links.n, 2);
	assert_int_equal(ping_next_link(&p, &e), 0);
	assert_string_equal(e.line.driver, "eth");
	assert_string_equal(e.line.address, "eth0");
	assert_memory_equal(e.neighbour.b, B, 32);
	assert_true(e.up && e.rx_bytes == 2 && e.tx_bytes == 0x103);
	assert_int_equal(ping_next_link(&p, &e), 0);
	assert_false(e.up);
	assert_true(address_is_zero(&e.neighbour));
	assert_int_equal(ping_next_link(&p, &e), -EPROTO);
	for (size_t len = 0; len < sizeof(LINKS) - 1; len++) {
		uint8_t *cut = malloc(len + 1);
		int n = 0;

		memcpy(cut, LINKS, len);
		if (!ping_read(cut, len, &p))
			while (!ping_next_link(&p, &e))
				n++;
		assert_in_range(n, 0, 1);
		free(cut);
	}

	ENCODES(link_line_write(w, &f.line), "eth:wlan0\0");
	assert_int_equal(link_line_read(BYTES("eth:wlan0\0"), &line), 0);
	assert_string_equal(line.driver, "eth");
	assert_string_equal(line.address, "wlan0");
	/* A lone string may come without its terminator; an address may hold colons. */
	assert_int_equal(link_line_read(BYTES("udp:[fe80::1]:5861"), &line), 0);
	assert_string_equal(line.address, "[fe80::1]:5861");
	assert_int_equal(link_line_read(BYTES(""), &line), -EINVAL);
	assert_int_equal(link_line_read(BYTES("eth0\0"), &line), -EINVAL);
	assert_int_equal(link_line_read(BYTES(":eth0\0"), &line), -EINVAL);
	assert_int_equal(link_line_read(BYTES("eth:\0"), &line), -EINVAL);
	assert_int_equal(link_line_read(BYTES("eth:eth0\0x"), &line), -EINVAL);
	assert_int_equal(link_line_read(BYTES("eth:\xff\0"), &line), -EINVAL);
	assert_int_equal(link_line_read(BYTES("a-driver-too-long:eth0\0"), &line), -EINVAL);
}

/* The rows of the op table agree with the codecs. */
static void table(void **state)
{
	static const struct {
		enum op_id id;
		uint16_t mode;
		enum op_auth auth;
		size_t shortest;
	} rows[] = {
		{ OP_CONTACT_ADD, 0x0220, OP_AUTH_TOKEN, sizeof(ADD_MINIMAL) - 1 },
		{ OP_CONTACT_DELETE, 0x0221, OP_AUTH_TOKEN, 32 },
		{ OP_CONTACT_MODIFY, 0x0222, OP_AUTH_TOKEN, 6 },
		{ OP_CONTACT_LIST, 0x0230, OP_AUTH_TOKEN, 0 },
		{ OP_CONTACT_QUERY, 0x0231, OP_AUTH_TOKEN, 6 },
		{ OP_LINK_CREATE, 0x0301, OP_AUTH_ADMIN, 3 },
		{ OP_LINK_DESTROY, 0x0302, OP_AUTH_ADMIN, 3 },
		{ OP_LINK_UP, 0x0310, OP_AUTH_ADMIN, 3 },
		{ OP_LINK_DOWN, 0x0311, OP_AUTH_ADMIN, 3 },
		{ OP_LINK_LIST, 0x0330, OP_AUTH_NONE, 0 },
		{ OP_PEER_QUERY, 0x0431, OP_AUTH_TOKEN, 4 },
		{ OP_PEER_STATUS, 0x0434, OP_AUTH_NONE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct op *op = op_get(rows[i].id);

		assert_ptr_equal(op_find(rows[i].mode), op);
		assert_int_equal(op->id, rows[i].id);
		assert_int_equal(op->auth, rows[i].auth);
		assert_int_equal(op->min_len, rows[i].shortest);
		assert_true(op->echo);
		assert_int_equal(op->reply, rows[i].id == OP_LINK_LIST ? OP_REPLY_EXTENDED :
									OP_REPLY_PING);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(add),	    cmocka_unit_test(limits),
		cmocka_unit_test(modify),   cmocka_unit_test(query),
		cmocka_unit_test(matching),
		cmocka_unit_test(extended_query),
		cmocka_unit_test(trust_within),
		cmocka_unit_test(terms), cmocka_unit_test(records),
		cmocka_unit_test(links),    cmocka_unit_test(table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
