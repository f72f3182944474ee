/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contacts: private notes of the owner of an address about other addresses. The
 * owner is whoever @token belongs to; that address must be up (RATMAN_EAUTH).
 * The daemon keeps them sealed under the owner's key, and lets contacts in where
 * strangers stay outside. A Rust daemon has none: RATMAN_ENOTSUPPORTED.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_CONTACT_H
#define RATMAN_CONTACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/tag.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATMAN_TRUST_MIN 1
#define RATMAN_TRUST_MAX 7

struct ratman_contact {
	struct ratman_id address;
	const char *nick;		/* these three: NULL for none */
	const char *location;
	const char *note;		/* at most 1024 bytes */
	bool met;			/* in person */
	uint8_t trust;			/* RATMAN_TRUST_MIN to _MAX */
	const struct ratman_tag *tags;	/* at most 32 with the fields above, 2048 bytes together */
	size_t n_tags;
};

/*
 * Adds a contact (borrowed), or replaces all that was noted about the address.
 * -EINVAL for a bad trust or key, -EEXIST for a key twice, -EILSEQ for text that
 * is not UTF-8, -E2BIG for too much of it; RATMAN_EINPUT beyond 2048 contacts.
 */
int ratman_contact_add(struct ratman *r, const struct ratman_id *token,
		       const struct ratman_contact *contact);

/* RATMAN_ENOADDRESS when it is no contact. */
int ratman_contact_del(struct ratman *r, const struct ratman_id *token,
		       const struct ratman_id *address);

struct ratman_contact_change {
	const struct ratman_id *address;	/* NULL: all contacts */
	const struct ratman_tag *set;		/* added, or replacing the value of the key */
	size_t n_set;
	const char *const *remove;		/* keys; before the others are set */
	size_t n_remove;
	uint8_t trust;				/* 0: leave it as it is */
};

/*
 * Changes one or all contacts, wholly or not at all; nick, location and met are
 * the tags "nick", "location" and "met" ("1"). *@touched (owned, ratman_free;
 * both may be NULL) holds the *@n contacts it was applied to. Errors as above.
 */
int ratman_contact_modify(struct ratman *r, const struct ratman_id *token,
			  const struct ratman_contact_change *change, struct ratman_id **touched,
			  size_t *n);

/* Addresses of all contacts in byte order. *@out (owned, ratman_free) holds *@n. */
int ratman_contact_list(struct ratman *r, const struct ratman_id *token, struct ratman_id **out,
			size_t *n);

/* All that is set must hold; all zeroes (or NULL for the filter) finds everything. */
struct ratman_contact_filter {
	const struct ratman_id *addresses;	/* one of these, at most 1024 */
	size_t n_addresses;
	const char *note;			/* a part of the note */
	const struct ratman_tag *tags;		/* each; value NULL or "": whatever it is */
	size_t n_tags;
	uint8_t trust_at_least, trust_below;	/* at most one of them, 0: no test */
};

/*
 * Contacts in the byte order of their addresses. *@out is one piece of memory
 * with all texts and tags (owned, ratman_free) and holds *@n. -EINVAL, -E2BIG.
 */
int ratman_contact_query(struct ratman *r, const struct ratman_id *token,
			 const struct ratman_contact_filter *filter, struct ratman_contact **out,
			 size_t *n);

/* As people remember. All that is set must hold, and all of the filter. */
struct ratman_contact_search {
	struct ratman_contact_filter filter;
	uint8_t trust_near;			/* no farther than trust_fuzz from it; 0: no test, */
	uint8_t trust_fuzz;			/* else the filter has no trust */
	bool met, not_met;			/* at most one of them */
	const struct ratman_user_term *terms;	/* at most 16; of nick, location, note, tags */
	size_t n_terms;
};

/* As ratman_contact_query(); -EILSEQ for a term that is not UTF-8. */
int ratman_contact_search(struct ratman *r, const struct ratman_id *token,
			  const struct ratman_contact_search *search, struct ratman_contact **out,
			  size_t *n);

#ifdef __cplusplus
}
#endif

#endif
