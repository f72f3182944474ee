// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/user.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

#define RECORD_VERSION 1

static bool is_utf8(const char *text)
{
	return field_is_utf8((const uint8_t *)text, strlen(text));
}

void profile_init(struct profile *p, const struct address *id)
{
	p->id = *id;
	p->has_handle = p->has_display_name = false;
	p->handle[0] = p->display_name[0] = '\0';
	p->bio.len = p->services.len = 0;
	p->bio.n = p->services.n = 0;
	p->avatar = NULL;
	p->avatar_len = 0;
	p->flags = 0;
	p->updated_ns = 0;
}

bool profile_is_empty(const struct profile *p)
{
	return !p->has_handle && !p->has_display_name && !p->bio.n && !p->services.n &&
	       !p->avatar_len;
}

/* Sets: what bio and services have in common ---------------------------------------- */

/* Entries of one (services) or two (bio) strings, ordered by the first. */
struct set {
	uint8_t *bytes;
	size_t *len, size;
	uint16_t *n, most;
	bool pairs;
};

static struct set bio_set(struct profile_bio *b)
{
	return (struct set){ b->bytes, &b->len, sizeof(b->bytes), &b->n, LIMIT_BIO_PAIRS, true };
}

static struct set services_set(struct profile_services *s)
{
	return (struct set){ s->bytes, &s->len, sizeof(s->bytes), &s->n, LIMIT_PROFILE_SERVICES,
			     false };
}

static size_t entry_len(const struct set *s, size_t at)
{
	size_t len = strlen((const char *)s->bytes + at) + 1;

	return s->pairs ? len + strlen((const char *)s->bytes + at + len) + 1 : len;
}

/* Where @key stands (*found), or would stand. */
static size_t find(const struct set *s, const char *key, bool *found)
{
	size_t at = 0;
	int c = 1;

	for (; at < *s->len; at += entry_len(s, at)) {
		c = strcmp((const char *)s->bytes + at, key);
		if (c >= 0)
			break;
	}
	*found = at < *s->len && !c;
	return at;
}

static bool set_remove(struct set s, const char *key)
{
	bool found;
	size_t at = find(&s, key, &found), len;

	if (!found)
		return false;
	len = entry_len(&s, at);
	memmove(s.bytes + at, s.bytes + at + len, *s.len - at - len);
	*s.len -= len;
	--*s.n;
	return true;
}

/* Puts the entry in, in place of what @key had. */
static int set_put(struct set s, const char *key, const char *value)
{
	size_t key_len = strlen(key) + 1, value_len = s.pairs ? strlen(value) + 1 : 0;
	size_t at, old = 0;
	bool found;

	if (!*key || !is_utf8(key) || (s.pairs && !is_utf8(value)))
		return -EINVAL;
	at = find(&s, key, &found);
	if (found)
		old = entry_len(&s, at);
	if ((!found && *s.n == s.most) || key_len > s.size || value_len > s.size ||
	    *s.len - old + key_len + value_len > s.size)
		return -E2BIG;
	memmove(s.bytes + at + key_len + value_len, s.bytes + at + old, *s.len - at - old);
	memcpy(s.bytes + at, key, key_len);
	if (value_len)
		memcpy(s.bytes + at + key_len, value, value_len);
	*s.len += key_len + value_len - old;
	*s.n = (uint16_t)(*s.n + !found);
	return 0;
}

static bool set_has(struct set s, const char *key)
{
	bool found;

	find(&s, key, &found);
	return found;
}

bool profile_bio_next(const struct profile_bio *bio, size_t *at, struct profile_pair *out)
{
	if (*at >= bio->len)
		return false;
	out->key = (const char *)bio->bytes + *at;
	out->value = out->key + strlen(out->key) + 1;
	*at += (size_t)(out->value - out->key) + strlen(out->value) + 1;
	return true;
}

const char *profile_bio_find(const struct profile_bio *bio, const char *key)
{
	struct profile_pair pair;

	for (size_t at = 0; profile_bio_next(bio, &at, &pair);) {
		if (!strcmp(pair.key, key))
			return pair.value;
	}
	return NULL;
}

int profile_bio_set(struct profile_bio *bio, const char *key, const char *value)
{
	return set_put(bio_set(bio), key, value);
}

bool profile_bio_remove(struct profile_bio *bio, const char *key)
{
	return set_remove(bio_set(bio), key);
}

const char *profile_services_next(const struct profile_services *services, size_t *at)
{
	const char *name = (const char *)services->bytes + *at;

	if (*at >= services->len)
		return NULL;
	*at += strlen(name) + 1;
	return name;
}

bool profile_services_has(const struct profile_services *services, const char *name)
{
	const char *have;

	for (size_t at = 0; (have = profile_services_next(services, &at));) {
		if (!strcmp(have, name))
			return true;
	}
	return false;
}

int profile_services_add(struct profile_services *services, const char *name)
{
	return set_put(services_set(services), name, NULL);
}

bool profile_services_remove(struct profile_services *services, const char *name)
{
	return set_remove(services_set(services), name);
}

/* Records --------------------------------------------------------------------------- */

/*
 * A string as a C string inside the payload (borrowed), "" and @r failed when
 * there is none. Too long ones are found by the caller, who says -E2BIG.
 */
static const char *get_str(struct wire_reader *r)
{
	return field_get_str(r, SIZE_MAX).at;
}

/* Copies @text with its terminator. */
static int keep(const char *text, char *out, size_t size)
{
	size_t len = strlen(text) + 1;

	if (len > size)
		return -E2BIG;
	memcpy(out, text, len);
	return 0;
}

static int read_text(struct wire_reader *r, char *out, size_t size)
{
	const char *text = get_str(r);

	return r->failed ? -EINVAL : keep(text, out, size);
}

/* u16 count and entries, each key once; with @keys_only a pair has no value. */
static int read_set(struct wire_reader *r, bool keys_only, struct set s)
{
	uint16_t n = wire_get_be16(r);
	int err;

	*s.len = 0;
	*s.n = 0;
	for (uint16_t i = 0; i < n; i++) {
		const char *key = get_str(r);
		const char *value = s.pairs && !keys_only ? get_str(r) : "";

		if (r->failed)
			return -EINVAL;
		if (set_has(s, key))
			return -EEXIST;
		err = set_put(s, key, value);
		if (err)
			return err;
	}
	return r->failed ? -EINVAL : 0;
}

static int read_avatar(struct wire_reader *r, const uint8_t **out, size_t *len)
{
	*out = field_get_blob(r, SIZE_MAX, len);
	if (r->failed)
		return -EINVAL;
	if (!*len)
		*out = NULL;
	return *len > LIMIT_AVATAR ? -E2BIG : 0;
}

static int read_names(struct wire_reader *r, struct profile *p)
{
	int err = 0;

	p->has_handle = field_get_bool(r);
	if (p->has_handle)
		err = read_text(r, p->handle, sizeof(p->handle));
	if (err)
		return err;
	p->has_display_name = field_get_bool(r);
	return p->has_display_name ? read_text(r, p->display_name, sizeof(p->display_name)) : 0;
}

int profile_read(struct wire_reader *r, struct profile *out)
{
	struct address id;
	int err;

	if (wire_get_u8(r) != RECORD_VERSION)
		return -EINVAL;
	wire_get(r, id.b, sizeof(id.b));
	profile_init(out, &id);
	err = read_names(r, out);
	if (!err)
		err = read_set(r, false, bio_set(&out->bio));
	if (!err)
		err = read_set(r, false, services_set(&out->services));
	if (!err)
		err = read_avatar(r, &out->avatar, &out->avatar_len);
	if (err)
		return err;
	out->flags = wire_get_u8(r);
	out->updated_ns = field_get_datetime(r);
	return r->failed || out->flags > (PROFILE_LOCAL | PROFILE_ONLINE) ? -EINVAL : 0;
}

static void write_set(struct wire_writer *w, uint16_t n, const uint8_t *bytes, size_t len)
{
	wire_put_be16(w, n);
	wire_put(w, bytes, len);
}

void profile_write(struct wire_writer *w, const struct profile *p)
{
	wire_put_u8(w, RECORD_VERSION);
	wire_put(w, p->id.b, sizeof(p->id.b));
	field_put_opt_str(w, p->has_handle ? p->handle : NULL);
	field_put_opt_str(w, p->has_display_name ? p->display_name : NULL);
	write_set(w, p->bio.n, p->bio.bytes, p->bio.len);
	write_set(w, p->services.n, p->services.bytes, p->services.len);
	field_put_blob(w, p->avatar, p->avatar_len);
	wire_put_u8(w, p->flags);
	field_put_datetime(w, p->updated_ns);
}

static size_t opt_len(bool there, const char *text)
{
	return there ? 1 + strlen(text) + 1 : 1;
}

size_t profile_len(const struct profile *p)
{
	return 1 + sizeof(p->id.b) + opt_len(p->has_handle, p->handle) +
	       opt_len(p->has_display_name, p->display_name) + 2 + p->bio.len + 2 +
	       p->services.len + 4 + p->avatar_len + 1 + FIELD_DATETIME_LEN;
}

/* Changes --------------------------------------------------------------------------- */

static int read_change(struct wire_reader *r, enum user_change *out)
{
	uint8_t change = wire_get_u8(r);

	if (r->failed || change > USER_UNSET)
		return -EINVAL;
	*out = (enum user_change)change;
	return 0;
}

static int read_text_change(struct wire_reader *r, enum user_change *change, char *out, size_t size)
{
	int err = read_change(r, change);

	out[0] = '\0';
	return !err && *change == USER_SET ? read_text(r, out, size) : err;
}

static int read_service_changes(struct wire_reader *r, struct user_update *out)
{
	uint16_t n = wire_get_be16(r);
	int err;

	out->add_services.len = out->rm_services.len = 0;
	out->add_services.n = out->rm_services.n = 0;
	for (uint16_t i = 0; i < n; i++) {
		uint8_t what = wire_get_u8(r);
		const char *name = get_str(r);

		if (r->failed || what < 1 || what > 2)
			return -EINVAL;
		if (profile_services_has(&out->add_services, name) ||
		    profile_services_has(&out->rm_services, name))
			return -EEXIST;
		err = profile_services_add(what == 1 ? &out->add_services : &out->rm_services,
					   name);
		if (err)
			return err;
	}
	return r->failed ? -EINVAL : 0;
}

int user_update_read(struct wire_reader *r, struct user_update *out)
{
	int err = read_text_change(r, &out->handle_change, out->handle, sizeof(out->handle));

	if (!err)
		err = read_text_change(r, &out->display_name_change, out->display_name,
				       sizeof(out->display_name));
	if (!err)
		err = read_change(r, &out->avatar_change);
	if (err)
		return err;
	out->avatar = NULL;
	out->avatar_len = 0;
	if (out->avatar_change == USER_SET)
		err = read_avatar(r, &out->avatar, &out->avatar_len);
	if (!err)
		err = read_set(r, false, bio_set(&out->add_bio));
	if (!err)
		err = read_set(r, true, bio_set(&out->rm_bio));
	if (!err)
		err = read_service_changes(r, out);
	return !err && !wire_done(r) ? -EINVAL : err;
}

static void write_text_change(struct wire_writer *w, enum user_change change, const char *text)
{
	wire_put_u8(w, (uint8_t)change);
	if (change == USER_SET)
		field_put_text(w, text);
}

static void write_services(struct wire_writer *w, uint8_t what, const struct profile_services *s)
{
	const char *name;

	for (size_t at = 0; (name = profile_services_next(s, &at));) {
		wire_put_u8(w, what);
		field_put_text(w, name);
	}
}

void user_update_write(struct wire_writer *w, const struct user_update *u)
{
	struct profile_pair pair;

	write_text_change(w, u->handle_change, u->handle);
	write_text_change(w, u->display_name_change, u->display_name);
	wire_put_u8(w, (uint8_t)u->avatar_change);
	if (u->avatar_change == USER_SET)
		field_put_blob(w, u->avatar, u->avatar_len);
	write_set(w, u->add_bio.n, u->add_bio.bytes, u->add_bio.len);
	wire_put_be16(w, u->rm_bio.n);
	for (size_t at = 0; profile_bio_next(&u->rm_bio, &at, &pair);)
		field_put_text(w, pair.key);
	wire_put_be16(w, (uint16_t)(u->add_services.n + u->rm_services.n));
	write_services(w, 1, &u->add_services);
	write_services(w, 2, &u->rm_services);
}

static int apply_sets(const struct user_update *u, struct profile *p)
{
	struct profile_pair pair;
	const char *name;
	int err = 0;

	for (size_t at = 0; profile_bio_next(&u->rm_bio, &at, &pair);)
		profile_bio_remove(&p->bio, pair.key);
	for (size_t at = 0; !err && profile_bio_next(&u->add_bio, &at, &pair);)
		err = profile_bio_set(&p->bio, pair.key, pair.value);
	for (size_t at = 0; (name = profile_services_next(&u->rm_services, &at));)
		profile_services_remove(&p->services, name);
	for (size_t at = 0; !err && (name = profile_services_next(&u->add_services, &at));)
		err = profile_services_add(&p->services, name);
	return err;
}

int user_update_apply(const struct user_update *u, struct profile *p)
{
	if (u->handle_change != USER_KEEP) {
		p->has_handle = u->handle_change == USER_SET;
		keep(p->has_handle ? u->handle : "", p->handle, sizeof(p->handle));
	}
	if (u->display_name_change != USER_KEEP) {
		p->has_display_name = u->display_name_change == USER_SET;
		keep(p->has_display_name ? u->display_name : "", p->display_name,
		     sizeof(p->display_name));
	}
	if (u->avatar_change != USER_KEEP) {
		p->avatar = u->avatar_change == USER_SET ? u->avatar : NULL;
		p->avatar_len = p->avatar ? u->avatar_len : 0;
	}
	return apply_sets(u, p);
}

/* Searches --------------------------------------------------------------------------- */

int user_term_read(struct wire_reader *r, struct user_term *out)
{
	struct field_text attribute = field_get_str(r, SIZE_MAX);
	struct field_text pattern = field_get_str(r, SIZE_MAX);
	uint8_t match = wire_get_u8(r);

	if (r->failed || match > USER_MATCH_PREFIX)
		return -EINVAL;
	if (attribute.len >= LIMIT_BIO_BYTES || pattern.len > LIMIT_QUERY_PATTERN)
		return -E2BIG;
	*out = (struct user_term){ attribute.at, pattern.at, (enum user_match)match };
	return 0;
}

void user_term_write(struct wire_writer *w, const struct user_term *t)
{
	field_put_text(w, t->attribute);
	field_put_text(w, t->pattern);
	wire_put_u8(w, (uint8_t)t->match);
}

int user_query_read(const uint8_t *data, size_t len, struct user_query *out)
{
	struct wire_reader r;
	int err = 0;

	wire_read_init(&r, data, len);
	*out = (struct user_query){ .take = 1 };
	switch (wire_get_u8(&r)) {
	case 0:
		out->by_id = true;
		wire_get(&r, out->id.b, sizeof(out->id.b));
		return wire_done(&r) ? 0 : -EINVAL;
	case 1:
		break;
	default:
		return -EINVAL;
	}
	out->n = wire_get_be16(&r);
	if (out->n > LIMIT_QUERY_TERMS)
		return -E2BIG;
	for (uint16_t i = 0; i < out->n && !err; i++)
		err = user_term_read(&r, &out->terms[i]);
	if (err)
		return err;
	out->skip = wire_get_be32(&r);
	out->take = wire_get_be32(&r);
	return wire_done(&r) ? 0 : -EINVAL;
}

void user_query_write(struct wire_writer *w, const struct user_query *q)
{
	wire_put_u8(w, q->by_id ? 0 : 1);
	if (q->by_id) {
		wire_put(w, q->id.b, sizeof(q->id.b));
		return;
	}
	wire_put_be16(w, q->n);
	for (uint16_t i = 0; i < q->n; i++)
		user_term_write(w, &q->terms[i]);
	wire_put_be32(w, q->skip);
	wire_put_be32(w, q->take);
}

int user_list_read(const uint8_t *data, size_t len, struct user_list *out)
{
	struct wire_reader r;
	uint8_t scope;

	*out = (struct user_list){ USER_LOCAL, 0, LIMIT_PROFILE_TAKE };
	if (!len)
		return 0;
	wire_read_init(&r, data, len);
	scope = wire_get_u8(&r);
	if (scope > USER_BOTH)
		return -EINVAL;
	out->scope = (enum user_scope)scope;
	if (wire_left(&r)) {
		out->skip = wire_get_be32(&r);
		out->take = wire_get_be32(&r);
	}
	return wire_done(&r) ? 0 : -EINVAL;
}

void user_list_write(struct wire_writer *w, const struct user_list *l)
{
	wire_put_u8(w, (uint8_t)l->scope);
	wire_put_be32(w, l->skip);
	wire_put_be32(w, l->take);
}
