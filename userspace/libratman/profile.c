// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Profiles of users.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "libratman/filter.h"
#include "libratman/subscription.h"
#include "proto/user.h"

/*
 * A list of profiles is one piece of memory: the profiles, their pairs, their
 * services, all texts and pictures. It is built in two passes, the first of which
 * counts.
 */
struct pile {
	struct ratman_profile *profiles;
	struct ratman_tag *tags;
	const char **services;
	char *bytes;
	size_t n_tags, n_services, n_bytes;	/* used so far */
};

/* Puts @len bytes on the pile, or (first pass) only counts them. */
static const void *pile_bytes(struct pile *p, const void *data, size_t len)
{
	char *to = NULL;

	if (len && p->profiles)
		to = memcpy(p->bytes + p->n_bytes, data, len);
	p->n_bytes += len;
	return to;
}

static const char *pile_text(struct pile *p, const char *text)
{
	return text ? pile_bytes(p, text, strlen(text) + 1) : NULL;
}

static void pile_bio(struct pile *p, const struct profile_bio *bio, struct ratman_profile *out)
{
	struct profile_pair pair;

	if (p->profiles)
		out->bio = p->tags + p->n_tags;
	out->n_bio = bio->n;
	for (size_t at = 0; profile_bio_next(bio, &at, &pair); p->n_tags++) {
		struct ratman_tag tag;

		tag.key = pile_text(p, pair.key);
		tag.value = pile_text(p, pair.value);
		if (p->profiles)
			p->tags[p->n_tags] = tag;
	}
}

static void pile_services(struct pile *p, const struct profile_services *services,
			  struct ratman_profile *out)
{
	const char *name;

	if (p->profiles)
		out->services = p->services + p->n_services;
	out->n_services = services->n;
	for (size_t at = 0; (name = profile_services_next(services, &at)); p->n_services++) {
		name = pile_text(p, name);
		if (p->profiles)
			p->services[p->n_services] = name;
	}
}

static void pile_profile(struct pile *p, size_t number, const struct profile *in)
{
	struct ratman_profile out = {
		.local = in->flags & PROFILE_LOCAL,
		.online = in->flags & PROFILE_ONLINE,
		.updated_ns = in->updated_ns,
		.avatar_len = in->avatar_len,
	};

	memcpy(out.id.b, in->id.b, sizeof(out.id.b));
	out.handle = pile_text(p, in->has_handle ? in->handle : NULL);
	out.display_name = pile_text(p, in->has_display_name ? in->display_name : NULL);
	pile_bio(p, &in->bio, &out);
	pile_services(p, &in->services, &out);
	out.avatar = pile_bytes(p, in->avatar, in->avatar_len);
	if (p->profiles)
		p->profiles[number] = out;
}

/* One pass over @n profiles. */
static int pile_all(struct wire_reader r, size_t n, struct pile *p)
{
	struct profile profile;

	p->n_tags = p->n_services = p->n_bytes = 0;
	for (size_t i = 0; i < n; i++) {
		if (profile_read(&r, &profile))
			return RATMAN_EPROTOCOL;
		pile_profile(p, i, &profile);
	}
	return wire_done(&r) ? 0 : RATMAN_EPROTOCOL;
}

static int copy_profiles(struct wire_reader r, size_t n, struct ratman_profile **out)
{
	struct pile p = { .profiles = NULL };
	int err = pile_all(r, n, &p);

	if (err)
		return err;
	p.profiles = calloc(1, n * sizeof(*p.profiles) + p.n_tags * sizeof(*p.tags) +
				       p.n_services * sizeof(*p.services) + p.n_bytes + 1);
	if (!p.profiles)
		return -ENOMEM;
	p.tags = (struct ratman_tag *)(p.profiles + n);
	p.services = (const char **)(p.tags + p.n_tags);
	p.bytes = (char *)(p.services + p.n_services);
	*out = p.profiles;
	return pile_all(r, n, &p);
}

/* Asks for profiles. */
static int ask(struct ratman *r, enum op_id op, const void *payload, size_t len,
	       struct ratman_profile **out, size_t *n)
{
	struct reply reply;
	struct ping ping;
	uint16_t count;
	int err = handle_exchange(r, op, NULL, payload, len, PING_PROFILES, &reply, &ping);

	if (!err) {
		count = wire_get_be16(&ping.body);
		err = copy_profiles(ping.body, count, out);
		if (!err)
			*n = count;
		else if (err == RATMAN_EPROTOCOL)
			handle_fail(r, err);
	}
	reply_free(&reply);
	return err;
}

PUBLIC int ratman_user_list(struct ratman *r, enum ratman_user_scope scope, uint32_t skip,
			    uint32_t take, struct ratman_profile **out, size_t *n)
{
	const struct user_list list = { (enum user_scope)scope, skip, take };
	uint8_t payload[USER_LIST_LEN];
	struct wire_writer w;

	if ((unsigned int)scope > RATMAN_USERS_ALL)
		return -EINVAL;
	wire_write_init(&w, payload, sizeof(payload));
	user_list_write(&w, &list);
	return ask(r, OP_USER_LIST, payload, wire_len(&w), out, n);
}

PUBLIC int ratman_user_get(struct ratman *r, const struct ratman_id *id,
			   struct ratman_profile **out)
{
	struct user_query q = { .by_id = true };
	struct ratman_profile *list;
	uint8_t payload[64];
	struct wire_writer w;
	size_t n;
	int err;

	memcpy(q.id.b, id->b, sizeof(q.id.b));
	wire_write_init(&w, payload, sizeof(payload));
	user_query_write(&w, &q);
	err = ask(r, OP_USER_QUERY, payload, wire_len(&w), &list, &n);
	if (err)
		return err;
	if (n != 1) {
		free(list);
		return handle_fail(r, RATMAN_EPROTOCOL);
	}
	*out = list;
	return 0;
}

PUBLIC int ratman_user_search(struct ratman *r, const struct ratman_user_term *terms, size_t n_terms,
			      uint32_t skip, uint32_t take, struct ratman_profile **out, size_t *n)
{
	struct user_query q = { .n = (uint16_t)n_terms, .skip = skip, .take = take };
	struct wire_writer w;
	uint8_t *payload;
	int err = filter_build_terms(terms, n_terms, LIMIT_BIO_BYTES, q.terms);

	if (err)
		return err;
	payload = malloc(LIMIT_CONTROL_PAYLOAD);
	if (!payload)
		return -ENOMEM;
	wire_write_init(&w, payload, LIMIT_CONTROL_PAYLOAD);
	user_query_write(&w, &q);
	err = w.failed ? -E2BIG : ask(r, OP_USER_QUERY, payload, wire_len(&w), out, n);
	free(payload);
	return err;
}

/* Changes ---------------------------------------------------------------------------- */

static int build_text(const char *text, bool unset, enum user_change *change, char *out, size_t size)
{
	*change = text ? USER_SET : unset ? USER_UNSET : USER_KEEP;
	if (!text)
		return 0;
	if (strlen(text) >= size)
		return -E2BIG;
	strcpy(out, text);
	return 0;
}

static int build_sets(const struct ratman_user_change *in, struct user_update *u)
{
	int err = 0;

	for (size_t i = 0; i < in->n_set_bio && !err; i++)
		err = profile_bio_set(&u->add_bio, in->set_bio[i].key, in->set_bio[i].value);
	for (size_t i = 0; i < in->n_unset_bio && !err; i++)
		err = profile_bio_set(&u->rm_bio, in->unset_bio[i], "");
	for (size_t i = 0; i < in->n_add_services && !err; i++)
		err = profile_services_add(&u->add_services, in->add_services[i]);
	for (size_t i = 0; i < in->n_remove_services && !err; i++) {
		if (profile_services_has(&u->add_services, in->remove_services[i]))
			err = -EINVAL;
		else
			err = profile_services_add(&u->rm_services, in->remove_services[i]);
	}
	return err;
}

/* @u is all zeroes. */
static int build_update(const struct ratman_user_change *in, struct user_update *u)
{
	int err = build_text(in->handle, in->unset_handle, &u->handle_change, u->handle,
			     sizeof(u->handle));

	if (!err)
		err = build_text(in->display_name, in->unset_display_name, &u->display_name_change,
				 u->display_name, sizeof(u->display_name));
	if (err)
		return err;
	u->avatar_change = in->avatar ? USER_SET : in->unset_avatar ? USER_UNSET : USER_KEEP;
	u->avatar = in->avatar;
	u->avatar_len = in->avatar ? in->avatar_len : 0;
	return u->avatar_len > LIMIT_AVATAR ? -E2BIG : build_sets(in, u);
}

PUBLIC int ratman_user_modify(struct ratman *r, const struct ratman_id *id,
			      const struct ratman_id *token,
			      const struct ratman_user_change *change)
{
	const size_t size = RATMAN_ID_LEN + 1 + USER_UPDATE_MAX;
	struct user_update *u = calloc(1, sizeof(*u));
	uint8_t *payload = malloc(size);
	struct wire_writer w;
	int err = u && payload ? build_update(change, u) : -ENOMEM;

	if (!err) {
		wire_write_init(&w, payload, size);
		wire_put(&w, id->b, RATMAN_ID_LEN);
		wire_put_u8(&w, 0);
		user_update_write(&w, u);
		err = w.failed ? -E2BIG :
				 handle_command(r, OP_USER_MODIFY, token, payload, wire_len(&w));
	}
	free(payload);
	free(u);
	return err;
}

/* Watching ----------------------------------------------------------------------------- */

PUBLIC int ratman_user_sub(struct ratman *r, const struct ratman_id *id,
			   const struct ratman_id *token, struct ratman_subscription *out)
{
	return subscription_ask(r, OP_USER_SUB, token, id->b, RATMAN_ID_LEN, out);
}

PUBLIC int ratman_user_unsub(struct ratman *r, const struct ratman_id *subscription,
			     const struct ratman_id *id, const struct ratman_id *token)
{
	return subscription_end(r, OP_USER_UNSUB, subscription, id, token);
}

PUBLIC int ratman_sub_profile(struct ratman_sub *s, struct ratman_profile **out, int timeout_ms)
{
	struct wire_reader body;
	struct reply reply;
	int err = subscription_frame(s, op_get(OP_USER_MODIFY)->mode, &reply, timeout_ms);

	if (err)
		return err;
	wire_read_init(&body, reply.payload, reply.header.payload_len);
	err = copy_profiles(body, 1, out);
	reply_free(&reply);
	if (err == RATMAN_EPROTOCOL)
		return subscription_fail(s);
	return err ? err : 1;
}
