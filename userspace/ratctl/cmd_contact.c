// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ratctl contact, peers query and status: what the owner of the identity file
 * noted about others.
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratctl/pairs.h"
#include "tools/known.h"
#include "tools/resolve.h"

/* Whose contacts, and the conversation about them. */
struct owner {
	struct ratman_id address;
	struct ratman_id token;		/* secret */
};

static int owner_open(struct ctl *ctl, struct owner *o)
{
	return ctl_need_owner(ctl, &o->address, &o->token);
}

static int owner_close(struct owner *o, int status)
{
	sodium_memzero(o, sizeof(*o));
	return status;
}

/* Reports a failed call about @contact (NULL: about several). */
static int failed(struct ctl *ctl, const struct owner *o, const char *what,
		  const struct ratman_id *contact, int err)
{
	char text[ADDRESS_TEXT_LEN];

	switch (err) {
	case RATMAN_EAUTH:
		if (ctl->session)
			break;
		ratman_id_format(&o->address, text);
		return ctl_fail(ctl, CTL_REFUSED,
				"%s: the daemon knows no address that is up by this token; %s must be up: ratctl addr up",
				what, text);
	case RATMAN_ENOADDRESS:
		if (!contact)
			break;
		ratman_id_format(contact, text);
		return ctl_fail(ctl, CTL_REFUSED, "%s: %s is no contact; see: ratctl contact list",
				what, text);
	case -E2BIG:
		return ctl_fail(ctl, CTL_USER,
				"%s: too much; a note has at most %d bytes, tags (and nick, location, met) at most %d, %d bytes together",
				what, LIMIT_CONTACT_NOTE, LIMIT_CONTACT_TAGS, LIMIT_CONTACT_TAG_BYTES);
	case -EILSEQ:
		return ctl_fail(ctl, CTL_USER, "%s: text must be UTF-8", what);
	case -EEXIST:
		return ctl_fail(ctl, CTL_USER,
				"%s: a tag is given twice; --nick, --location and --met are tags of these names",
				what);
	}
	return ctl_owner_failed(ctl, what, err);
}

/* Full, or a short form of a contact or of an address the daemon knows. */
static int find_contact(struct ctl *ctl, const struct owner *o, const char *text,
			struct ratman_id *out)
{
	struct address *known = NULL, *all, found;
	struct ratman_id *contacts = NULL;
	size_t n = 0, n_contacts = 0;
	char why[512];
	int err;

	if (!resolve_full(text, &found)) {
		memcpy(out->b, found.b, sizeof(out->b));
		return CTL_OK;
	}
	err = ratman_contact_list(ctl->api, &o->token, &contacts, &n_contacts);
	if (err)
		return failed(ctl, o, "asking for contacts", NULL, err);
	err = known_addresses(ctl->api, &known, &n);
	all = err ? NULL : reallocarray(known, n + n_contacts + 1, sizeof(*known));
	if (!all) {
		free(known);
		ratman_free(contacts);
		return ctl_api_failed(ctl, "asking for known addresses", err ? err : -ENOMEM);
	}
	for (size_t i = 0; i < n_contacts; i++) {
		bool there = false;

		/* A contact that is a peer, too, is one address. */
		for (size_t k = 0; k < n && !there; k++)
			there = !memcmp(all[k].b, contacts[i].b, ADDRESS_LEN);
		if (!there)
			memcpy(all[n++].b, contacts[i].b, ADDRESS_LEN);
	}
	ratman_free(contacts);
	err = resolve_address(text, all, n, &found, why, sizeof(why));
	free(all);
	if (err)
		return ctl_fail(ctl, CTL_USER, "%s", why);
	memcpy(out->b, found.b, sizeof(out->b));
	return CTL_OK;
}

static int read_trust(struct ctl *ctl, const char *option, const char *text, uint8_t *out)
{
	if (!text)
		return CTL_OK;
	if (text[0] < '0' + RATMAN_TRUST_MIN || text[0] > '0' + RATMAN_TRUST_MAX || text[1])
		return ctl_fail(ctl, CTL_USER, "%s '%s': must be a number from %d to %d", option,
				text, RATMAN_TRUST_MIN, RATMAN_TRUST_MAX);
	*out = (uint8_t)(text[0] - '0');
	return CTL_OK;
}

/* Tags of the command line. */
struct tags {
	struct ratman_tag list[CTL_WORDS_MAX + 3];
	size_t n;
	struct pairs pairs;	/* whose texts they are */
};

static void tags_add(struct tags *tags, const char *key, const char *value)
{
	if (value)
		tags->list[tags->n++] = (struct ratman_tag){ key, value };
}

/*
 * Reads every --tag, and with @fields --nick, --location and --met. CTL_OK, then the pairs
 * are to be freed, or reports.
 */
static int tags_read(struct ctl *ctl, bool fields, struct tags *tags)
{
	int status = pairs_read(ctl, "tag", &ctl->tags, false, &tags->pairs);

	tags->n = 0;
	for (size_t i = 0; i < tags->pairs.n; i++)
		tags_add(tags, tags->pairs.list[i].key,
			 tags->pairs.list[i].value ? tags->pairs.list[i].value : "");
	if (fields) {
		tags_add(tags, "nick", ctl->nick);
		tags_add(tags, "location", ctl->location);
		tags_add(tags, "met", ctl->met ? "1" : NULL);
	}
	return status;
}

/* Listing. */

struct contact_row {
	struct address address;
	struct in6_addr ipv6;
	const char *nick, *location, *note;
	uint32_t trust;
	bool met;
	struct print_pairs tags;
};

static const struct print_column contact_columns[] = {
	PRINT_COLUMN(struct contact_row, address, "addr", "ADDRESS", PRINT_ADDRESS, 0),
	PRINT_COLUMN(struct contact_row, ipv6, "ipv6", "IPV6", PRINT_IPV6, PRINT_WIDE),
	PRINT_COLUMN(struct contact_row, nick, "nick", "NICK", PRINT_TEXT, PRINT_OPTIONAL),
	PRINT_COLUMN(struct contact_row, trust, "trust", "TRUST", PRINT_U32, 0),
	PRINT_COLUMN(struct contact_row, met, "met", "MET", PRINT_BOOL, PRINT_OPTIONAL),
	PRINT_COLUMN(struct contact_row, location, "location", "LOCATION", PRINT_TEXT,
		     PRINT_OPTIONAL),
	PRINT_COLUMN(struct contact_row, note, "note", "NOTE", PRINT_TEXT, PRINT_OPTIONAL),
	PRINT_COLUMN(struct contact_row, tags, "tags", "TAGS", PRINT_PAIRS, PRINT_OPTIONAL),
};

/* The library's tags as the printer wants them: the same two texts. */
static void fill_row(struct contact_row *row, const struct ratman_contact *c,
		     struct print_pair *pairs)
{
	memcpy(row->address.b, c->address.b, sizeof(row->address.b));
	address_to_ipv6(&row->address, &row->ipv6);
	row->nick = c->nick;
	row->location = c->location;
	row->note = c->note;
	row->trust = c->trust;
	row->met = c->met;
	for (size_t i = 0; i < c->n_tags; i++)
		pairs[i] = (struct print_pair){ c->tags[i].key, c->tags[i].value };
	row->tags = (struct print_pairs){ pairs, c->n_tags };
}

static int print_contacts(struct ctl *ctl, const struct ratman_contact *contacts, size_t n)
{
	struct contact_row *rows = calloc(n ? n : 1, sizeof(*rows));
	struct print_pair *pairs;
	size_t n_pairs = 0, at = 0;

	for (size_t i = 0; i < n; i++)
		n_pairs += contacts[i].n_tags;
	pairs = calloc(n_pairs ? n_pairs : 1, sizeof(*pairs));
	if (!rows || !pairs) {
		free(rows);
		free(pairs);
		return ctl_fail(ctl, CTL_REFUSED, "out of memory");
	}
	for (size_t i = 0; i < n; i++) {
		fill_row(&rows[i], &contacts[i], pairs + at);
		at += contacts[i].n_tags;
	}
	print_rows(stdout, &ctl->style, contact_columns,
		   sizeof(contact_columns) / sizeof(contact_columns[0]), rows, n, sizeof(*rows));
	free(rows);
	free(pairs);
	return CTL_OK;
}

/* Hints are for people who look at a table. */
static bool wants_hints(const struct ctl *ctl)
{
	return !ctl->style.json && !ctl->style.lines && !ctl->quiet;
}

static int list(struct ctl *ctl, const struct owner *o, const struct ratman_contact_search *search)
{
	struct ratman_contact *contacts;
	size_t n;
	int err, status;

	err = search ? ratman_contact_search(ctl->api, &o->token, search, &contacts, &n) :
		       ratman_contact_query(ctl->api, &o->token, NULL, &contacts, &n);
	if (err)
		return failed(ctl, o, "listing contacts", NULL, err);
	status = print_contacts(ctl, contacts, n);
	if (!n && !search && wants_hints(ctl))
		fputs("no contact yet; add one with: ratctl contact add ADDRESS --nick NAME\n", stderr);
	ratman_free(contacts);
	return status;
}

int cmd_contact_list(struct ctl *ctl, int argc, char **argv)
{
	struct owner o;
	int status = owner_open(ctl, &o);

	(void)argc;
	(void)argv;
	return status ? status : owner_close(&o, list(ctl, &o, NULL));
}

/* With --trust-within, --trust is the middle. */
static int read_trust_tests(struct ctl *ctl, struct ratman_contact_search *search)
{
	struct ratman_contact_filter *filter = &search->filter;
	const char *within = ctl->trust_within;
	int status = read_trust(ctl, "--trust", ctl->trust, &filter->trust_at_least);

	if (!status)
		status = read_trust(ctl, "--trust-below", ctl->trust_below, &filter->trust_below);
	if (!status && filter->trust_at_least && filter->trust_below)
		status = ctl_fail(ctl, CTL_USER, "--trust and --trust-below cannot be asked at once");
	if (status || !within)
		return status;
	if (within[0] < '0' || within[0] >= '0' + RATMAN_TRUST_MAX || within[1])
		return ctl_fail(ctl, CTL_USER, "--trust-within '%s': must be a number from 0 to %d",
				within, RATMAN_TRUST_MAX - 1);
	if (!filter->trust_at_least)
		return ctl_fail(ctl, CTL_USER, "--trust-within needs --trust, which it is near to");
	search->trust_near = filter->trust_at_least;
	filter->trust_at_least = 0;
	search->trust_fuzz = (uint8_t)(within[0] - '0');
	return CTL_OK;
}

/* A query, and what it borrows. */
struct question {
	struct ratman_contact_search search;
	struct ratman_user_term terms[3];
	struct tags tags;		/* to be freed */
};

static int add_term(struct ctl *ctl, struct question *q, const char *field, const char *pattern,
		    enum ratman_match match)
{
	if (!pattern)
		return CTL_OK;
	if (strlen(pattern) > LIMIT_QUERY_PATTERN)
		return ctl_fail(ctl, CTL_USER, "--%s: a pattern has at most %d bytes", field,
				LIMIT_QUERY_PATTERN);
	q->terms[q->search.n_terms++] = (struct ratman_user_term){ field, pattern, match };
	return CTL_OK;
}

/* What contact query and peers query have in common. */
static int read_question(struct ctl *ctl, struct question *q)
{
	enum ratman_match match = RATMAN_MATCH_SUBSTRING;
	int status;

	*q = (struct question){ .search = { .met = ctl->met, .not_met = ctl->not_met } };
	status = read_trust_tests(ctl, &q->search);
	if (!status && ctl->met && ctl->not_met)
		status = ctl_fail(ctl, CTL_USER, "--met and --not-met cannot be asked at once");
	if (!status)
		status = ctl_match(ctl, &match);
	if (!status)
		status = add_term(ctl, q, "nick", ctl->nick, match);
	if (!status)
		status = add_term(ctl, q, "location", ctl->location, match);
	if (!status)
		status = add_term(ctl, q, "note", ctl->note, match);
	if (!status)
		status = tags_read(ctl, false, &q->tags);
	q->search.terms = q->terms;
	q->search.filter.tags = q->tags.list;
	q->search.filter.n_tags = q->tags.n;
	return status;
}

int cmd_contact_query(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id named[64];
	struct question q;
	struct owner o;
	int status = read_question(ctl, &q);

	if (status)
		return status;
	status = owner_open(ctl, &o);
	for (int i = 0; i < argc && !status; i++)
		status = find_contact(ctl, &o, argv[i], &named[i]);
	if (argc) {
		q.search.filter.addresses = named;
		q.search.filter.n_addresses = (size_t)argc;
	}
	if (!status)
		status = list(ctl, &o, &q.search);
	pairs_free(&q.tags.pairs);
	return owner_close(&o, status);
}

/* Changing. */

/* Finds out whether @address is a contact: 1 and what is noted (to be freed), 0, or an error. */
static int look_up(struct ctl *ctl, const struct owner *o, const struct ratman_id *address,
		   struct ratman_contact **out)
{
	const struct ratman_contact_filter filter = { .addresses = address, .n_addresses = 1 };
	size_t n = 0;
	int err = ratman_contact_query(ctl->api, &o->token, &filter, out, &n);

	if (err)
		return err;
	if (!n)
		ratman_free(*out);
	return n > 0;
}

static int add(struct ctl *ctl, const struct owner *o, struct ratman_contact *c)
{
	char text[ADDRESS_TEXT_LEN];
	struct ratman_contact *old;
	int err;

	if (!ctl->force) {
		err = look_up(ctl, o, &c->address, &old);
		if (err == 1) {
			ratman_free(old);
			ratman_id_format(&c->address, text);
			return ctl_fail(ctl, CTL_USER,
					"%s is a contact already; change it with contact mod, or replace all of it with --force",
					text);
		}
		if (err)
			return failed(ctl, o, "asking for contacts", NULL, err);
	}
	err = ratman_contact_add(ctl->api, &o->token, c);
	if (err)
		return failed(ctl, o, "adding the contact", &c->address, err);
	return print_ok(stdout, &ctl->style) ? CTL_USER : CTL_OK;
}

int cmd_contact_add(struct ctl *ctl, int argc, char **argv)
{
	/* In the middle: neither close nor strange. */
	struct ratman_contact c = { .trust = 4, .note = ctl->note, .nick = ctl->nick,
				    .location = ctl->location, .met = ctl->met };
	struct tags tags;
	struct owner o;
	int status = read_trust(ctl, "--trust", ctl->trust, &c.trust);

	(void)argc;
	if (!status)
		status = tags_read(ctl, false, &tags);
	if (status)
		return status;
	c.tags = tags.list;
	c.n_tags = tags.n;
	status = owner_open(ctl, &o);
	if (!status)
		status = find_contact(ctl, &o, argv[0], &c.address);
	if (!status)
		status = add(ctl, &o, &c);
	pairs_free(&tags.pairs);
	return owner_close(&o, status);
}

int cmd_contact_del(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_id address;
	struct owner o;
	int err, status = owner_open(ctl, &o);

	(void)argc;
	if (!status)
		status = find_contact(ctl, &o, argv[0], &address);
	if (status)
		return owner_close(&o, status);
	err = ratman_contact_del(ctl->api, &o.token, &address);
	if (err)
		status = failed(ctl, &o, "deleting the contact", &address, err);
	else
		print_ok(stdout, &ctl->style);
	return owner_close(&o, status);
}

/* The note is no tag: the protocol changes it by adding the contact anew. */
static int change_note(struct ctl *ctl, const struct owner *o, const struct ratman_id *address)
{
	struct ratman_contact *old;
	int err = look_up(ctl, o, address, &old);

	if (err == 1) {
		old->note = *ctl->note ? ctl->note : NULL;
		err = ratman_contact_add(ctl->api, &o->token, old);
		ratman_free(old);
	} else if (!err) {
		err = RATMAN_ENOADDRESS;
	}
	return err ? failed(ctl, o, "changing the note", address, err) : CTL_OK;
}

static int modify(struct ctl *ctl, const struct owner *o, const struct ratman_contact_change *change)
{
	static const struct print_column columns[] = {
		{ .key = "addr", .title = "ADDRESS", .type = PRINT_ADDRESS },
	};
	struct ratman_id *touched;
	size_t n;
	int err = ratman_contact_modify(ctl->api, &o->token, change, &touched, &n);

	if (err)
		return failed(ctl, o, "changing contacts", change->address, err);
	/* The library's ids are 32 bytes as the printer's addresses are. */
	print_rows(stdout, &ctl->style, columns, 1, touched, n, sizeof(*touched));
	ratman_free(touched);
	return CTL_OK;
}

/* Whom contact mod is about: an address or --all, not both and not neither. */
static int check_target(struct ctl *ctl, int argc)
{
	if (!argc == !ctl->all)
		return ctl_fail(ctl, CTL_USER,
				"name one contact, or say --all: ratctl contact mod ADDRESS --trust 5");
	if (ctl->all && ctl->note)
		return ctl_fail(ctl, CTL_USER, "--note is for one contact; name it in place of --all");
	if (!ctl->note && !ctl->trust && !ctl->tags.n && !ctl->untags.n && !ctl->nick &&
	    !ctl->location && !ctl->met)
		return ctl_fail(ctl, CTL_USER,
				"nothing to change: say --trust, --tag, --untag, --nick, --location, --met or --note");
	return CTL_OK;
}

int cmd_contact_mod(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_contact_change change = { .remove = ctl->untags.list,
						.n_remove = ctl->untags.n };
	struct ratman_id address;
	struct tags tags;
	struct owner o;
	int status = check_target(ctl, argc);

	if (!status)
		status = read_trust(ctl, "--trust", ctl->trust, &change.trust);
	if (!status)
		status = tags_read(ctl, true, &tags);
	if (status)
		return status;
	change.set = tags.list;
	change.n_set = tags.n;
	status = owner_open(ctl, &o);
	if (!status && argc) {
		status = find_contact(ctl, &o, argv[0], &address);
		change.address = &address;
	}
	if (!status && ctl->note)
		status = change_note(ctl, &o, &address);
	if (!status)
		status = modify(ctl, &o, &change);
	pairs_free(&tags.pairs);
	return owner_close(&o, status);
}

/* Peers. */

int cmd_peers_query(struct ctl *ctl, int argc, char **argv)
{
	struct ratman_peer *peers;
	struct question q;
	struct owner o;
	size_t n;
	int err, status = read_question(ctl, &q);

	(void)argc;
	(void)argv;
	if (status)
		return status;
	for (size_t i = 0; i < q.tags.n && !status; i++)
		if (*q.tags.list[i].value)
			status = ctl_fail(ctl, CTL_USER,
					  "--tag %s=%s: peers are found by keys; for values: ratctl contact query",
					  q.tags.list[i].key, q.tags.list[i].value);
	if (!status)
		status = owner_open(ctl, &o);
	if (!status) {
		err = ratman_peer_search(ctl->api, &o.token, &q.search, &peers, &n);
		if (err) {
			status = failed(ctl, &o, "asking for peers", NULL, err);
		} else {
			status = ctl_print_peers(ctl, peers, n);
			ratman_free(peers);
		}
		sodium_memzero(&o, sizeof(o));
	}
	pairs_free(&q.tags.pairs);
	return status;
}

int cmd_peers_status(struct ctl *ctl, int argc, char **argv)
{
	char text[ADDRESS_TEXT_LEN];
	struct ratman_peer peer;
	struct address address;
	struct ratman_id id;
	int err, status = ctl_address(ctl, argv[0], &address);

	(void)argc;
	if (!status)
		status = ctl_need_api(ctl);
	if (status)
		return status;
	memcpy(id.b, address.b, sizeof(id.b));
	err = ratman_peer_status(ctl->api, &id, &peer);
	if (err == RATMAN_ENOADDRESS)
		return ctl_fail(ctl, CTL_REFUSED, "there is no route to %s now; see: ratctl peers list",
				address_format(&address, text));
	if (err)
		return ctl_api_failed(ctl, "asking for a peer", err);
	return ctl_print_peers(ctl, &peer, 1);
}
