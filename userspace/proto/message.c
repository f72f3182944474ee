// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/message.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

#define VERSION 1

/* ---- tags ---- */

bool message_tags_next(const struct message_tags *tags, size_t *at, struct message_tag *out)
{
	struct wire_reader r;
	size_t key_len;

	if (*at >= tags->len)
		return false;
	out->key = (const char *)tags->bytes + *at;
	key_len = strlen(out->key) + 1;
	wire_read_init(&r, tags->bytes + *at + key_len, tags->len - *at - key_len);
	out->len = wire_get_be16(&r);
	out->value = r.pos;
	*at += key_len + 2 + out->len;
	return true;
}

static size_t tag_len(const struct message_tag *tag)
{
	return strlen(tag->key) + 1 + 2 + tag->len;
}

static int tag_compare(const struct message_tag *a, const struct message_tag *b)
{
	int c = strcmp(a->key, b->key);

	if (!c && a->len && b->len)
		c = memcmp(a->value, b->value, a->len < b->len ? a->len : b->len);
	if (!c)
		c = a->len < b->len ? -1 : a->len > b->len;
	return c;
}

/* Where @tag stands, or would stand; *@there tells which. */
static size_t find(const struct message_tags *tags, const struct message_tag *tag, bool *there)
{
	struct message_tag other;

	*there = false;
	for (size_t at = 0, start = 0; message_tags_next(tags, &at, &other); start = at) {
		int c = tag_compare(tag, &other);

		*there = !c;
		if (c <= 0)
			return start;
	}
	return tags->len;
}

bool message_tags_has(const struct message_tags *tags, const struct message_tag *tag)
{
	bool there;

	find(tags, tag, &there);
	return there;
}

int message_tags_add(struct message_tags *tags, const struct message_tag *tag)
{
	size_t key_len = strlen(tag->key), len = tag_len(tag), at;
	struct wire_writer w;
	bool there;

	if (!key_len)
		return -EINVAL;
	if (!field_is_utf8((const uint8_t *)tag->key, key_len))
		return -EILSEQ;
	at = find(tags, tag, &there);
	if (there)
		return 0;
	if (tags->n == MESSAGE_TAGS_MAX || len > sizeof(tags->bytes) - tags->len)
		return -E2BIG;
	memmove(tags->bytes + at + len, tags->bytes + at, tags->len - at);
	wire_write_init(&w, tags->bytes + at, len);
	field_put_text(&w, tag->key);
	wire_put_be16(&w, (uint16_t)tag->len);
	if (tag->len)
		wire_put(&w, tag->value, tag->len);
	tags->len += len;
	tags->n++;
	return 0;
}

bool message_tags_remove(struct message_tags *tags, const struct message_tag *tag)
{
	size_t len = tag_len(tag);
	bool there;
	size_t at = find(tags, tag, &there);

	if (!there)
		return false;
	memmove(tags->bytes + at, tags->bytes + at + len, tags->len - at - len);
	tags->len -= len;
	tags->n--;
	return true;
}

bool message_tag_is_reserved(const struct message_tag *tag)
{
	return !strncmp(tag->key, MESSAGE_TAG_RESERVED, strlen(MESSAGE_TAG_RESERVED));
}

bool message_tag_is_unread(const struct message_tag *tag)
{
	return !strcmp(tag->key, MESSAGE_TAG_UNREAD) && !tag->len;
}

bool message_tags_reserved(const struct message_tags *tags)
{
	struct message_tag tag;

	for (size_t at = 0; message_tags_next(tags, &at, &tag);)
		if (message_tag_is_reserved(&tag))
			return true;
	return false;
}

bool message_tags_fit(const struct message_tags *tags)
{
	const struct message_tag unread = { .key = MESSAGE_TAG_UNREAD };
	bool there = message_tags_has(tags, &unread);

	return tags->n - there <= LIMIT_MESSAGE_TAGS &&
	       tags->len - (there ? tag_len(&unread) : 0) <= LIMIT_MESSAGE_TAG_BYTES;
}

int message_tags_read(struct wire_reader *r, struct message_tags *out)
{
	uint16_t n = wire_get_be16(r);

	out->n = 0;
	out->len = 0;
	for (; n && !r->failed; n--) {
		struct field_text key = field_get_terminated(r);
		struct message_tag tag = { .key = key.at };
		int err;

		tag.len = wire_get_be16(r);
		tag.value = wire_get_ref(r, tag.len);
		if (r->failed)
			break;
		/* Terminated where it stands. */
		err = message_tags_add(out, &tag);
		if (err)
			return err;
	}
	return r->failed ? -EINVAL : 0;
}

void message_tags_write(struct wire_writer *w, const struct message_tags *tags)
{
	wire_put_be16(w, tags->n);
	wire_put(w, tags->bytes, tags->len);
}

/* ---- parts ---- */

/* A service's name: not empty. */
static int read_service(struct wire_reader *r, char out[static LIMIT_MESSAGE_SERVICE + 1])
{
	struct field_text t = field_get_terminated(r);

	out[0] = '\0';
	if (r->failed || !t.len)
		return -EINVAL;
	if (t.len > LIMIT_MESSAGE_SERVICE)
		return -E2BIG;
	if (!field_is_utf8((const uint8_t *)t.at, t.len))
		return -EILSEQ;
	field_copy_text(t, out, LIMIT_MESSAGE_SERVICE + 1);
	return 0;
}

/* Tags as a client gives them. */
static int read_tags(struct wire_reader *r, struct message_tags *out)
{
	int err = message_tags_read(r, out);

	return err ? err : message_tags_fit(out) ? 0 : -E2BIG;
}

static bool takes_tag(const struct message_tag *tag, const struct message *m)
{
	if (!strcmp(tag->key, MESSAGE_TAG_SENDER))
		return tag->len == ADDRESS_LEN && !memcmp(tag->value, m->sender.b, ADDRESS_LEN);
	if (!strcmp(tag->key, MESSAGE_TAG_SERVICE))
		return tag->len == strlen(m->service) && !memcmp(tag->value, m->service, tag->len);
	if (!strcmp(tag->key, MESSAGE_TAG_FLOOD) && !tag->len)
		return m->mode == MESSAGE_FLOOD;
	return message_tags_has(&m->tags, tag);
}

bool message_filter_takes(const struct message_filter *f, const struct message *m)
{
	struct message_tag tag;

	for (size_t at = 0; message_tags_next(&f->tags, &at, &tag);)
		if (!takes_tag(&tag, m))
			return false;
	return (!f->has_service || !strcmp(f->service, m->service)) &&
	       (!f->has_sender || address_equal(&f->sender, &m->sender));
}

static int read_opt_service(struct wire_reader *r, struct message_filter *f)
{
	f->has_service = field_get_bool(r);
	f->service[0] = '\0';
	return f->has_service ? read_service(r, f->service) : 0;
}

static int read_data(struct wire_reader *r, const uint8_t **data, size_t *len)
{
	*len = wire_get_be32(r);
	*data = wire_get_ref(r, *len);
	if (r->failed)
		return -EINVAL;
	return *len > LIMIT_MESSAGE_PAYLOAD ? -E2BIG : 0;
}

static enum message_mode read_mode(struct wire_reader *r)
{
	return field_get_bool(r) ? MESSAGE_STD : MESSAGE_FLOOD;
}

/* ---- records ---- */

int message_read(struct wire_reader *r, struct message *out)
{
	struct ident to;
	uint8_t trust;
	int err;

	if (wire_get_u8(r) != VERSION)
		return -EINVAL;
	wire_get(r, out->id.b, sizeof(out->id.b));
	wire_get(r, out->sender.b, ADDRESS_LEN);
	out->mode = read_mode(r);
	out->to = (struct address){ { 0 } };
	out->has_to = field_get_opt_ident(r, &to);
	if (out->has_to)
		memcpy(out->to.b, to.b, ADDRESS_LEN);
	if (out->has_to && out->mode != MESSAGE_STD)
		return -EINVAL;
	err = read_service(r, out->service);
	if (!err)
		err = message_tags_read(r, &out->tags);
	if (err)
		return err;
	out->time_ns = field_get_datetime(r);
	trust = wire_get_u8(r);
	out->trust = (enum message_trust)trust;
	if (trust > MESSAGE_INVALID)
		return -EINVAL;
	return read_data(r, &out->data, &out->len);
}

void message_write(struct wire_writer *w, const struct message *m)
{
	wire_put_u8(w, VERSION);
	wire_put(w, m->id.b, sizeof(m->id.b));
	wire_put(w, m->sender.b, ADDRESS_LEN);
	wire_put_u8(w, (uint8_t)m->mode);
	wire_put_u8(w, m->has_to);
	if (m->has_to)
		wire_put(w, m->to.b, ADDRESS_LEN);
	field_put_text(w, m->service);
	message_tags_write(w, &m->tags);
	field_put_datetime(w, m->time_ns);
	wire_put_u8(w, (uint8_t)m->trust);
	field_put_blob(w, m->data, m->len);
}

size_t message_written_len(const struct message *m)
{
	return MESSAGE_RECORD_MIN + (m->has_to ? ADDRESS_LEN : 0) + strlen(m->service) + m->tags.len +
	       m->len;
}

/* ---- requests ---- */

static int read_content(struct wire_reader *r, struct message_send *out)
{
	int err = read_service(r, out->service);

	if (!err)
		err = read_tags(r, &out->tags);
	if (!err)
		err = read_data(r, &out->data, &out->len);
	if (!err && !wire_done(r))
		err = -EINVAL;
	return err;
}

static void write_content(struct wire_writer *w, const struct message_send *send)
{
	field_put_text(w, send->service);
	message_tags_write(w, &send->tags);
	field_put_blob(w, send->data, send->len);
}

int message_send_read(const uint8_t *data, size_t len, struct message_send *out)
{
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, out->sender.b, ADDRESS_LEN);
	out->mode = read_mode(&r);
	out->n = out->mode == MESSAGE_STD;
	out->to = out->n ? wire_get_ref(&r, ADDRESS_LEN) : NULL;
	out->grouped = field_get_opt_ident(&r, &out->id);
	if (r.failed)
		return -EINVAL;
	return read_content(&r, out);
}

void message_send_write(struct wire_writer *w, const struct message_send *send)
{
	wire_put(w, send->sender.b, ADDRESS_LEN);
	wire_put_u8(w, (uint8_t)send->mode);
	if (send->mode == MESSAGE_STD)
		wire_put(w, send->to, ADDRESS_LEN);
	field_put_opt_ident(w, send->grouped ? &send->id : NULL);
	write_content(w, send);
}

int message_many_read(const uint8_t *data, size_t len, struct message_send *out)
{
	struct payload_ids ids;
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, out->sender.b, ADDRESS_LEN);
	out->mode = MESSAGE_STD;
	out->grouped = false;
	if (payload_read_ids(&r, &ids) || !ids.n)
		return -EINVAL;
	if (ids.n > LIMIT_RECIPIENTS)
		return -E2BIG;
	for (size_t i = 1; i < ids.n; i++)
		for (size_t k = 0; k < i; k++)
			if (!memcmp(ids.ids + i * ADDRESS_LEN, ids.ids + k * ADDRESS_LEN,
				    ADDRESS_LEN))
				return -EINVAL;
	out->to = ids.ids;
	out->n = ids.n;
	return read_content(&r, out);
}

void message_many_write(struct wire_writer *w, const struct message_send *send)
{
	wire_put(w, send->sender.b, ADDRESS_LEN);
	wire_put_be16(w, (uint16_t)send->n);
	wire_put(w, send->to, send->n * ADDRESS_LEN);
	write_content(w, send);
}

int message_query_read(const uint8_t *data, size_t len, struct message_query *out)
{
	struct message_filter *f = &out->filter;
	struct ident sender;
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	wire_get(&r, out->user.b, ADDRESS_LEN);
	err = read_opt_service(&r, f);
	if (err)
		return err;
	out->has_id = field_get_opt_ident(&r, &out->id);
	f->has_sender = field_get_opt_ident(&r, &sender);
	if (f->has_sender)
		memcpy(f->sender.b, sender.b, ADDRESS_LEN);
	err = read_tags(&r, &f->tags);
	if (err)
		return err;
	out->skip = wire_get_be32(&r);
	out->take = wire_get_be32(&r);
	return wire_done(&r) ? 0 : -EINVAL;
}

void message_query_write(struct wire_writer *w, const struct message_query *query)
{
	const struct message_filter *f = &query->filter;

	wire_put(w, query->user.b, ADDRESS_LEN);
	field_put_opt_str(w, f->has_service ? f->service : NULL);
	field_put_opt_ident(w, query->has_id ? &query->id : NULL);
	wire_put_u8(w, f->has_sender);
	if (f->has_sender)
		wire_put(w, f->sender.b, ADDRESS_LEN);
	message_tags_write(w, &f->tags);
	wire_put_be32(w, query->skip);
	wire_put_be32(w, query->take);
}

int message_sub_read(const uint8_t *data, size_t len, struct address *user,
		     struct message_filter *out)
{
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	wire_get(&r, user->b, ADDRESS_LEN);
	out->has_sender = false;
	err = read_opt_service(&r, out);
	if (!err)
		err = read_tags(&r, &out->tags);
	return err ? err : wire_done(&r) ? 0 : -EINVAL;
}

void message_sub_write(struct wire_writer *w, const struct address *user,
		       const struct message_filter *filter)
{
	wire_put(w, user->b, ADDRESS_LEN);
	field_put_opt_str(w, filter->has_service ? filter->service : NULL);
	message_tags_write(w, &filter->tags);
}

int message_change_read(const uint8_t *data, size_t len, struct message_change *out)
{
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	wire_get(&r, out->user.b, ADDRESS_LEN);
	wire_get(&r, out->id.b, sizeof(out->id.b));
	err = read_tags(&r, &out->add);
	if (!err)
		err = read_tags(&r, &out->remove);
	return err ? err : wire_done(&r) ? 0 : -EINVAL;
}

void message_change_write(struct wire_writer *w, const struct message_change *change)
{
	wire_put(w, change->user.b, ADDRESS_LEN);
	wire_put(w, change->id.b, sizeof(change->id.b));
	message_tags_write(w, &change->add);
	message_tags_write(w, &change->remove);
}

/* ---- bodies ---- */

int message_body_read(const uint8_t *data, size_t len, struct message *out,
		      struct message_signature *signature)
{
	struct wire_reader r;
	int err;

	wire_read_init(&r, data, len);
	if (wire_get_u8(&r) != VERSION)
		return -EINVAL;
	wire_get(&r, out->id.b, sizeof(out->id.b));
	wire_get(&r, out->sender.b, ADDRESS_LEN);
	out->mode = read_mode(&r);
	out->has_to = false;
	out->to = (struct address){ { 0 } };
	out->trust = MESSAGE_TRUSTED;
	err = read_service(&r, out->service);
	if (!err)
		err = read_tags(&r, &out->tags);
	out->time_ns = (int64_t)wire_get_be64(&r);
	if (!err)
		err = read_data(&r, &out->data, &out->len);
	if (err)
		return err;
	signature->covers = (size_t)(r.pos - data);
	signature->present = field_get_bool(&r);
	if (signature->present)
		wire_get(&r, signature->b, sizeof(signature->b));
	return wire_done(&r) ? 0 : -EINVAL;
}

void message_body_write(struct wire_writer *w, const struct message *m)
{
	wire_put_u8(w, VERSION);
	wire_put(w, m->id.b, sizeof(m->id.b));
	wire_put(w, m->sender.b, ADDRESS_LEN);
	wire_put_u8(w, (uint8_t)m->mode);
	field_put_text(w, m->service);
	message_tags_write(w, &m->tags);
	wire_put_be64(w, (uint64_t)m->time_ns);
	field_put_blob(w, m->data, m->len);
}
