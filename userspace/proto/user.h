/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Users: their profiles, changes of them, and searches among them
 * (service-api.md sections 7.1 and 7.3, namespace 09).
 *
 * A profile has one encoding: bio by its keys and services in byte order, each
 * once. Readers take them in any order, but nothing twice. They return 0 or say
 * what is wrong: -EINVAL bytes that are no such thing (and text that is not
 * UTF-8), -E2BIG more than base/limits.h allows, -EEXIST a key or service twice.
 * Writers go into a cursor whose sticky error the caller asks.
 */
#ifndef RATMAN_PROTO_USER_H
#define RATMAN_PROTO_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/limits.h"
#include "base/wire.h"

#define PROFILE_LOCAL 1u	/* flags: a user of the router that is asked */
#define PROFILE_ONLINE 2u	/* logged in here, or with a route just now */

/* Pairs of a key that is not empty and a value, by their keys. */
struct profile_bio {
	uint8_t bytes[LIMIT_BIO_BYTES];	/* key NUL value NUL for each */
	size_t len;
	uint16_t n;
};

/* Names, none empty, in byte order. */
struct profile_services {
	uint8_t bytes[LIMIT_PROFILE_SERVICE_BYTES];	/* name NUL for each */
	size_t len;
	uint16_t n;
};

struct profile {
	struct address id;
	bool has_handle, has_display_name;	/* both may be there and empty */
	char handle[LIMIT_HANDLE + 1];
	char display_name[LIMIT_DISPLAY_NAME + 1];
	struct profile_bio bio;
	struct profile_services services;
	const uint8_t *avatar;	/* borrowed; NULL and 0: none */
	size_t avatar_len;
	uint8_t flags;
	int64_t updated_ns;	/* ns since 1970: the last change; 0: there was none */
};

/* Makes @p the empty profile of @id. */
void profile_init(struct profile *p, const struct address *id);

/* True when nothing is set. */
bool profile_is_empty(const struct profile *p);

/* Inside a struct profile: borrowed until it changes. */
struct profile_pair {
	const char *key;
	const char *value;
};

/* The pair at *@at (0 for the first), which moves on; false behind the last. */
bool profile_bio_next(const struct profile_bio *bio, size_t *at, struct profile_pair *out);

/* The value of @key (borrowed), or NULL. */
const char *profile_bio_find(const struct profile_bio *bio, const char *key);

/* Sets the value of @key. -EINVAL (empty key, not UTF-8), -E2BIG; then nothing is changed. */
int profile_bio_set(struct profile_bio *bio, const char *key, const char *value);

/* True when @key was there. */
bool profile_bio_remove(struct profile_bio *bio, const char *key);

/* As of bio: the service at *@at, or NULL behind the last. */
const char *profile_services_next(const struct profile_services *services, size_t *at);
bool profile_services_has(const struct profile_services *services, const char *name);
/* 0 also when it was there. Errors as profile_bio_set(). */
int profile_services_add(struct profile_services *services, const char *name);
bool profile_services_remove(struct profile_services *services, const char *name);

/* Longest record of profile_write(). */
#define PROFILE_MAX (1 + 32 + 1 + LIMIT_HANDLE + 1 + 1 + LIMIT_DISPLAY_NAME + 1 + 2 + \
		     LIMIT_BIO_BYTES + 2 + LIMIT_PROFILE_SERVICE_BYTES + 4 + LIMIT_AVATAR + 1 + 35)

/* One record, as it stands in lists; the avatar of @out is borrowed from @r. */
int profile_read(struct wire_reader *r, struct profile *out);
void profile_write(struct wire_writer *w, const struct profile *p);
/* Bytes profile_write() takes. */
size_t profile_len(const struct profile *p);

/* What happens to a field. */
enum user_change {
	USER_KEEP = 0,
	USER_SET = 1,
	USER_UNSET = 2,
};

/* Longest payload of a change, without the id and what stands before it. */
#define USER_UPDATE_MAX (1 + LIMIT_HANDLE + 1 + 1 + LIMIT_DISPLAY_NAME + 1 + 1 + 4 + LIMIT_AVATAR + \
			 3 * 2 + 2 * LIMIT_BIO_BYTES + 2 * LIMIT_PROFILE_SERVICE_BYTES + 64)

/*
 * Changes of a profile. What is removed goes first: a key both removed and
 * set is set. A service is named once, to be added or removed.
 */
struct user_update {
	enum user_change handle_change, display_name_change, avatar_change;
	char handle[LIMIT_HANDLE + 1];
	char display_name[LIMIT_DISPLAY_NAME + 1];
	const uint8_t *avatar;		/* borrowed */
	size_t avatar_len;
	struct profile_bio add_bio;
	struct profile_bio rm_bio;	/* keys, their values are empty */
	struct profile_services add_services;
	struct profile_services rm_services;
};

/* The rest of @r, to its last byte. */
int user_update_read(struct wire_reader *r, struct user_update *out);
void user_update_write(struct wire_writer *w, const struct user_update *u);

/* -E2BIG when the profile would exceed a limit; @p is then of no use. Its avatar is borrowed from @u. */
int user_update_apply(const struct user_update *u, struct profile *p);

enum user_match {
	USER_MATCH_EXACT = 0,
	USER_MATCH_SUBSTRING = 1,
	USER_MATCH_FUZZY = 2,	/* a substring, or every word like one there */
	USER_MATCH_PREFIX = 3,	/* ours, beyond the specification */
};

/* Both texts are borrowed and terminated. */
struct user_term {
	const char *attribute;	/* "": any */
	const char *pattern;
	enum user_match match;
};

/* One term. -EINVAL, -E2BIG; what was read is borrowed from the payload. */
int user_term_read(struct wire_reader *r, struct user_term *out);
void user_term_write(struct wire_writer *w, const struct user_term *t);

/* All terms must hold; none at all holds for everybody. */
struct user_query {
	bool by_id;		/* this one user, and nothing else is asked */
	struct address id;
	struct user_term terms[LIMIT_QUERY_TERMS];
	uint16_t n;
	uint32_t skip, take;
};

/* User/Query; the terms are borrowed from @data. */
int user_query_read(const uint8_t *data, size_t len, struct user_query *out);
void user_query_write(struct wire_writer *w, const struct user_query *q);
#define USER_QUERY_MAX (1 + 2 + LIMIT_QUERY_TERMS * (LIMIT_BIO_BYTES + LIMIT_QUERY_PATTERN + 3) + 8)

enum user_scope {
	USER_LOCAL = 0,
	USER_REMOTE = 1,
	USER_BOTH = 2,
};

/*
 * User/List: nothing (local), or a scope, or (ours, beyond the specification) a
 * scope, skip and take. Without them @take is LIMIT_PROFILE_TAKE.
 */
struct user_list {
	enum user_scope scope;
	uint32_t skip, take;
};

#define USER_LIST_LEN 9

int user_list_read(const uint8_t *data, size_t len, struct user_list *out);
void user_list_write(struct wire_writer *w, const struct user_list *l);

#endif
