// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/file.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"
#include "proto/ping.h"

#define META_VERSION 1
/* Shortest record: a name of one byte, no previous id, no fraction of a second. */
#define META_MIN (FILE_META_MAX - (LIMIT_FILE_NAME - 1) - 32 - 15)

/*
 * True for U+0000 to U+001F and U+007F to U+009F, and for what turns lines around
 * or breaks them (U+2028 to U+202E, U+2066 to U+2069) and so makes a name look
 * like another; @s is well-formed UTF-8.
 */
static bool has_control(const uint8_t *s, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s[i] < 0x20 || s[i] == 0x7f || (s[i] == 0xc2 && s[i + 1] < 0xa0))
			return true;
		if (s[i] == 0xe2 && ((s[i + 1] == 0x80 && s[i + 2] >= 0xa8 && s[i + 2] <= 0xae) ||
				     (s[i + 1] == 0x81 && s[i + 2] >= 0xa6 && s[i + 2] <= 0xa9)))
			return true;
	}
	return false;
}

bool file_name_is_valid(const char *name, size_t len)
{
	const uint8_t *s = (const uint8_t *)name;

	if (!len || len > LIMIT_FILE_NAME || !field_is_utf8(s, len) || has_control(s, len))
		return false;
	return !memchr(name, '/', len) && !(name[0] == '.' && len == 1) &&
	       !(name[0] == '.' && name[1] == '.' && len == 2);
}

bool file_mime_is_valid(const char *mime, size_t len)
{
	if (!len || len > LIMIT_FILE_MIME || !memchr(mime, '/', len))
		return false;
	for (size_t i = 0; i < len; i++)
		if (mime[i] < 0x20 || mime[i] > 0x7e)
			return false;
	return true;
}

/* A name into @out (LIMIT_FILE_NAME + 1 bytes); @bad is set when it is text, but none. */
static void get_name(struct wire_reader *r, char *out, bool *bad)
{
	struct field_text t = field_get_terminated(r);

	*bad = !r->failed && !file_name_is_valid(t.at, t.len);
	if (!r->failed && !*bad)
		field_copy_text(t, out, LIMIT_FILE_NAME + 1);
}

void file_meta_read(struct wire_reader *r, struct file_meta *out)
{
	bool bad = false;
	uint8_t state;

	memset(out, 0, sizeof(*out));
	if (wire_get_u8(r) != META_VERSION)
		r->failed = true;
	wire_get(r, out->id.b, sizeof(out->id.b));
	wire_get(r, out->owner.b, sizeof(out->owner.b));
	get_name(r, out->name, &bad);
	out->size = wire_get_be64(r);
	out->local_bytes = wire_get_be64(r);
	state = wire_get_u8(r);
	out->stalled = field_get_bool(r);
	out->has_previous = field_get_opt_ident(r, &out->previous);
	out->time_ns = field_get_datetime(r);
	if (bad || state == FILE_ANY || state >= FILE_STATES)
		r->failed = true;
	else
		out->state = (enum file_state)state;
}

void file_meta_write(struct wire_writer *w, const struct file_meta *meta)
{
	wire_put_u8(w, META_VERSION);
	wire_put(w, meta->id.b, sizeof(meta->id.b));
	wire_put(w, meta->owner.b, sizeof(meta->owner.b));
	field_put_text(w, meta->name);
	wire_put_be64(w, meta->size);
	wire_put_be64(w, meta->local_bytes);
	wire_put_u8(w, (uint8_t)meta->state);
	wire_put_u8(w, meta->stalled);
	field_put_opt_ident(w, meta->has_previous ? &meta->previous : NULL);
	field_put_datetime(w, meta->time_ns);
}

int file_read_create(const uint8_t *data, size_t len, struct file_create *out)
{
	struct file_create c = { .size = 0 };
	struct field_text mime;
	struct wire_reader r;
	bool bad, has_mime;

	wire_read_init(&r, data, len);
	wire_get(&r, c.user.b, sizeof(c.user.b));
	get_name(&r, c.name, &bad);
	c.size = wire_get_be64(&r);
	has_mime = field_get_opt_str(&r, LIMIT_CONTROL_PAYLOAD, &mime);
	if (!wire_done(&r))
		return -EINVAL;
	if (bad)
		return -EILSEQ;
	/* An empty one is as good as none. */
	if (has_mime && mime.len && !file_mime_is_valid(mime.at, mime.len))
		return -EDOM;
	field_copy_text(mime, c.mime, sizeof(c.mime));
	*out = c;
	return 0;
}

void file_write_create(struct wire_writer *w, const struct file_create *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	field_put_text(w, in->name);
	wire_put_be64(w, in->size);
	field_put_opt_str(w, in->mime[0] ? in->mime : NULL);
}

int file_read_update(const uint8_t *data, size_t len, struct file_update *out)
{
	struct file_update u;
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, u.user.b, sizeof(u.user.b));
	wire_get(&r, u.old.b, sizeof(u.old.b));
	u.size = wire_get_be64(&r);
	if (!wire_done(&r))
		return -EINVAL;
	*out = u;
	return 0;
}

void file_write_update(struct wire_writer *w, const struct file_update *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	wire_put(w, in->old.b, sizeof(in->old.b));
	wire_put_be64(w, in->size);
}

int file_read_ref(const uint8_t *data, size_t len, struct file_ref *out)
{
	struct wire_reader r;

	if (len != ADDRESS_LEN + sizeof(out->id.b))
		return -EINVAL;
	wire_read_init(&r, data, len);
	wire_get(&r, out->user.b, sizeof(out->user.b));
	wire_get(&r, out->id.b, sizeof(out->id.b));
	return 0;
}

void file_write_ref(struct wire_writer *w, const struct file_ref *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	wire_put(w, in->id.b, sizeof(in->id.b));
}

int file_read_share(const uint8_t *data, size_t len, struct file_share *out)
{
	struct file_share s;
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, s.user.b, sizeof(s.user.b));
	wire_get(&r, s.id.b, sizeof(s.id.b));
	recipient_read(&r, &s.to);
	if (!wire_done(&r))
		return -EINVAL;
	*out = s;
	return 0;
}

void file_write_share(struct wire_writer *w, const struct file_share *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	wire_put(w, in->id.b, sizeof(in->id.b));
	recipient_write(w, &in->to);
}

static bool is_named(const struct file_send *s, const struct recipient *to)
{
	for (size_t i = 0; i < s->n; i++)
		if (recipient_equal(&s->to[i], to))
			return true;
	return false;
}

int file_read_send(const uint8_t *data, size_t len, struct file_send *out)
{
	struct recipient to;
	struct wire_reader r;
	uint16_t count;
	int err = 0;

	memset(out, 0, sizeof(*out));
	wire_read_init(&r, data, len);
	wire_get(&r, out->user.b, sizeof(out->user.b));
	wire_get(&r, out->id.b, sizeof(out->id.b));
	count = wire_get_be16(&r);
	for (size_t i = 0; i < count && !r.failed; i++) {
		recipient_read(&r, &to);
		if (to.kind == RECIPIENT_NONE)
			err = -EILSEQ;
		else if (!is_named(out, &to) && out->n == LIMIT_RECIPIENTS)
			err = err ? err : -E2BIG;
		else if (!is_named(out, &to))
			out->to[out->n++] = to;
	}
	if (!wire_done(&r))
		return -EINVAL;
	return !err && !out->n ? -EILSEQ : err;
}

void file_write_send(struct wire_writer *w, const struct file_send *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	wire_put(w, in->id.b, sizeof(in->id.b));
	wire_put_be16(w, (uint16_t)in->n);
	for (size_t i = 0; i < in->n; i++)
		recipient_write(w, &in->to[i]);
}

int file_read_request(const uint8_t *data, size_t len, struct file_request *out)
{
	struct file_request q = { .has_owner = false };
	struct wire_reader r;

	wire_read_init(&r, data, len);
	wire_get(&r, q.user.b, sizeof(q.user.b));
	wire_get(&r, q.id.b, sizeof(q.id.b));
	q.has_owner = field_get_bool(&r);
	if (q.has_owner)
		wire_get(&r, q.owner.b, sizeof(q.owner.b));
	if (!wire_done(&r))
		return -EINVAL;
	*out = q;
	return 0;
}

void file_write_request(struct wire_writer *w, const struct file_request *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	wire_put(w, in->id.b, sizeof(in->id.b));
	wire_put_u8(w, in->has_owner);
	if (in->has_owner)
		wire_put(w, in->owner.b, sizeof(in->owner.b));
}

int file_read_query(const uint8_t *data, size_t len, struct file_query *out)
{
	struct file_query q = { .state = FILE_ANY };
	struct field_text pattern;
	struct wire_reader r;
	uint8_t state;

	wire_read_init(&r, data, len);
	wire_get(&r, q.user.b, sizeof(q.user.b));
	state = wire_get_u8(&r);
	pattern = field_get_str(&r, LIMIT_FILE_NAME);
	if (!wire_done(&r) || state >= FILE_STATES)
		return -EINVAL;
	q.state = (enum file_state)state;
	field_copy_text(pattern, q.pattern, sizeof(q.pattern));
	*out = q;
	return 0;
}

void file_write_query(struct wire_writer *w, const struct file_query *in)
{
	wire_put(w, in->user.b, sizeof(in->user.b));
	wire_put_u8(w, (uint8_t)in->state);
	field_put_text(w, in->pattern);
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

/* Bytes of the UTF-8 character at @s, which is not the end. */
static size_t char_len(const char *s)
{
	size_t n = 1;

	while (((uint8_t)s[n] & 0xc0) == 0x80)
		n++;
	return n;
}

/* Goes back to the last '*' only: what an earlier one could take, that one can, too. */
static bool fits_whole(const char *s, const char *p)
{
	const char *star = NULL, *from = NULL;

	while (*s) {
		if (*p == '*') {
			star = ++p;
			from = s;
		} else if (*p == '?') {
			p++;
			s += char_len(s);
		} else if (lower(*p) == lower(*s)) {
			p++;
			s++;
		} else if (star) {
			from += char_len(from);
			s = from;
			p = star;
		} else {
			return false;
		}
	}
	while (*p == '*')
		p++;
	return !*p;
}

bool file_name_fits(const char *name, const char *pattern)
{
	char anywhere[LIMIT_FILE_NAME + 3];
	size_t len = strlen(pattern);

	if (strpbrk(pattern, "*?"))
		return fits_whole(name, pattern);
	if (len > LIMIT_FILE_NAME)
		return false;
	anywhere[0] = '*';
	memcpy(anywhere + 1, pattern, len);
	memcpy(anywhere + 1 + len, "*", 2);
	return fits_whole(name, anywhere);
}

void file_write_done(struct wire_writer *w, const struct file_done *in)
{
	wire_put_u8(w, PING_FILE);
	wire_put(w, in->id.b, sizeof(in->id.b));
	wire_put_be64(w, in->size);
}

int file_read_done(struct wire_reader *r, struct file_done *out)
{
	struct file_done d;

	wire_get(r, d.id.b, sizeof(d.id.b));
	d.size = wire_get_be64(r);
	if (!wire_done(r))
		return -EINVAL;
	*out = d;
	return 0;
}

void file_write_list(struct wire_writer *w, uint16_t n)
{
	wire_put_u8(w, PING_FILES);
	wire_put_be16(w, n);
}

int file_read_list(struct wire_reader *r, uint16_t *n)
{
	*n = wire_get_be16(r);
	return r->failed || *n > wire_left(r) / META_MIN ? -EINVAL : 0;
}
