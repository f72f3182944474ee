// SPDX-License-Identifier: LGPL-2.1-or-later
#include "proto/notice.h"

#include <errno.h>
#include <string.h>

#include "proto/field.h"

#define NOTICE_VERSION 1
#define META_VERSION 1

static void read_file(struct wire_reader *r, struct notice_file *out)
{
	struct field_text name, mime;

	memset(out, 0, sizeof(*out));
	wire_get(r, out->id.b, sizeof(out->id.b));
	name = field_get_terminated(r);
	if (!r->failed && !file_name_is_valid(name.at, name.len))
		r->failed = true;
	out->size = wire_get_be64(r);
	out->time_ns = (int64_t)wire_get_be64(r);
	mime = field_get_terminated(r);
	if (!r->failed && mime.len && !file_mime_is_valid(mime.at, mime.len))
		r->failed = true;
	out->has_previous = field_get_opt_ident(r, &out->previous);
	if (!out->size || out->size > LIMIT_STREAM_BYTES)
		r->failed = true;
	if (r->failed)
		return;
	field_copy_text(name, out->name, sizeof(out->name));
	field_copy_text(mime, out->mime, sizeof(out->mime));
}

void notice_file_write(struct wire_writer *w, const struct notice_file *file)
{
	wire_put(w, file->id.b, sizeof(file->id.b));
	field_put_text(w, file->name);
	wire_put_be64(w, file->size);
	wire_put_be64(w, (uint64_t)file->time_ns);
	field_put_text(w, file->mime);
	field_put_opt_ident(w, file->has_previous ? &file->previous : NULL);
}

static void read_catalog(struct wire_reader *r, struct notice *out)
{
	struct notice_file file;

	out->stamp = wire_get_be64(r);
	wire_get(r, out->grant, sizeof(out->grant));
	out->n = wire_get_be16(r);
	if (out->n > LIMIT_FILE_CATALOG)
		r->failed = true;
	out->files = *r;
	for (size_t i = 0; i < out->n && !r->failed; i++)
		read_file(r, &file);
}

int notice_read(const uint8_t *data, size_t len, struct notice *out)
{
	struct wire_reader r;
	struct notice n;
	uint8_t kind;

	memset(&n, 0, sizeof(n));
	wire_read_init(&r, data, len);
	if (wire_get_u8(&r) != NOTICE_VERSION)
		return -EINVAL;
	kind = wire_get_u8(&r);
	switch (kind) {
	case NOTICE_CATALOG:
		read_catalog(&r, &n);
		break;
	case NOTICE_ANNOUNCE:
		read_file(&r, &n.file);
		n.id = n.file.id;
		break;
	case NOTICE_REQUEST:
		wire_get(&r, n.id.b, sizeof(n.id.b));
		wire_get(&r, n.grant, sizeof(n.grant));
		break;
	case NOTICE_WITHDRAW:
	case NOTICE_HAVE:
	case NOTICE_GONE:
		wire_get(&r, n.id.b, sizeof(n.id.b));
		break;
	default:
		return -EINVAL;
	}
	if (!wire_done(&r))
		return -EINVAL;
	n.kind = (enum notice_kind)kind;
	*out = n;
	return 0;
}

void notice_next(struct notice *n, struct notice_file *out)
{
	read_file(&n->files, out);
}

void notice_write(struct wire_writer *w, const struct notice *in)
{
	wire_put_u8(w, NOTICE_VERSION);
	wire_put_u8(w, (uint8_t)in->kind);
	if (in->kind == NOTICE_ANNOUNCE) {
		notice_file_write(w, &in->file);
		return;
	}
	wire_put(w, in->id.b, sizeof(in->id.b));
	if (in->kind == NOTICE_REQUEST)
		wire_put(w, in->grant, sizeof(in->grant));
}

void notice_write_catalog(struct wire_writer *w, uint64_t stamp,
			  const uint8_t grant[static NOTICE_GRANT_LEN], uint16_t n)
{
	wire_put_u8(w, NOTICE_VERSION);
	wire_put_u8(w, NOTICE_CATALOG);
	wire_put_be64(w, stamp);
	wire_put(w, grant, NOTICE_GRANT_LEN);
	wire_put_be16(w, n);
}

void notice_meta_write(struct wire_writer *w, const struct notice_file *file)
{
	wire_put_u8(w, META_VERSION);
	notice_file_write(w, file);
}

int notice_meta_read(const uint8_t *data, size_t len, struct notice_file *out)
{
	struct notice_file file;
	struct wire_reader r;

	wire_read_init(&r, data, len);
	if (wire_get_u8(&r) != META_VERSION)
		return -EINVAL;
	read_file(&r, &file);
	if (!wire_done(&r))
		return -EINVAL;
	*out = file;
	return 0;
}
