// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/store/files.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "proto/field.h"

#define RECORD_VERSION 1
#define RECORD_MAX (64 + FILE_META_MAX + LIMIT_FILE_MIME + FILES_CONTENT_MAX + \
		    LIMIT_FILE_SHARES * 34 + FILES_ASKED_MAX * 32)
#define FLAG_SEARCHING 1
/* Beside the ids, which are 32 bytes long, the user's secret. */
#define SECRET_KEY "grants"

bool files_is_advert(enum file_state state)
{
	return state == FILE_ADVERTISED || state == FILE_ANY;
}

static void write_entry(struct wire_writer *w, const struct files_entry *e)
{
	const struct file_meta *m = &e->meta;

	wire_put_u8(w, RECORD_VERSION);
	wire_put_u8(w, (uint8_t)m->state);
	wire_put_u8(w, e->searching ? FLAG_SEARCHING : 0);
	wire_put(w, m->owner.b, sizeof(m->owner.b));
	field_put_text(w, m->name);
	wire_put_be64(w, m->size);
	wire_put_be64(w, (uint64_t)m->time_ns);
	field_put_opt_ident(w, m->has_previous ? &m->previous : NULL);
	field_put_text(w, e->mime);
	wire_put_u8(w, (uint8_t)e->content_len);
	wire_put(w, e->content, e->content_len);
	wire_put_u8(w, (uint8_t)e->n_shares);
	for (size_t i = 0; i < e->n_shares; i++) {
		wire_put_u8(w, e->shares[i].announced);
		recipient_write(w, &e->shares[i].to);
	}
	wire_put_u8(w, (uint8_t)e->n_asked);
	for (size_t i = 0; i < e->n_asked; i++)
		wire_put(w, e->asked[i].b, sizeof(e->asked[i].b));
	wire_put_be64(w, e->asked_s);
}

static int read_entry(const struct ident *id, const void *data, size_t len, struct files_entry *e)
{
	struct file_meta *m = &e->meta;
	struct field_text text;
	struct wire_reader r;
	uint8_t state;

	memset(e, 0, sizeof(*e));
	m->id = *id;
	wire_read_init(&r, data, len);
	if (wire_get_u8(&r) != RECORD_VERSION)
		r.failed = true;
	state = wire_get_u8(&r);
	e->searching = wire_get_u8(&r) & FLAG_SEARCHING;
	wire_get(&r, m->owner.b, sizeof(m->owner.b));
	text = field_get_str(&r, LIMIT_FILE_NAME);
	field_copy_text(text, m->name, sizeof(m->name));
	m->size = wire_get_be64(&r);
	m->time_ns = (int64_t)wire_get_be64(&r);
	m->has_previous = field_get_opt_ident(&r, &m->previous);
	text = field_get_str(&r, LIMIT_FILE_MIME);
	field_copy_text(text, e->mime, sizeof(e->mime));
	e->content_len = wire_get_u8(&r);
	if (e->content_len > sizeof(e->content))
		return -EBADMSG;
	wire_get(&r, e->content, e->content_len);
	e->n_shares = wire_get_u8(&r);
	if (e->n_shares > LIMIT_FILE_SHARES)
		return -EBADMSG;
	for (size_t i = 0; i < e->n_shares; i++) {
		e->shares[i].announced = field_get_bool(&r);
		recipient_read(&r, &e->shares[i].to);
	}
	e->n_asked = wire_get_u8(&r);
	if (e->n_asked > FILES_ASKED_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < e->n_asked; i++)
		wire_get(&r, e->asked[i].b, sizeof(e->asked[i].b));
	e->asked_s = wire_get_be64(&r);
	if (!wire_done(&r) || state >= FILE_STATES)
		return -EBADMSG;
	m->state = (enum file_state)state;
	return 0;
}

int files_put(const struct records *r, const struct files_entry *e)
{
	const struct ident *id = &e->meta.id;
	uint8_t data[RECORD_MAX];
	struct wire_writer w;
	int err;

	/* One byte, to see whether it is there: too short for any. */
	if (records_get(r, RECORD_FILE, id->b, sizeof(id->b), data, 1) == -ENOENT) {
		ssize_t n = records_count(r, RECORD_FILE);

		if (n < 0)
			return (int)n;
		if (n > LIMIT_FILES)	/* one of them is the secret */
			return -EMFILE;
	}
	wire_write_init(&w, data, sizeof(data));
	write_entry(&w, e);
	err = w.failed ? -EINVAL : records_put(r, RECORD_FILE, id->b, sizeof(id->b), data, wire_len(&w));
	sodium_memzero(data, sizeof(data));
	return err;
}

int files_get(const struct records *r, const struct ident *id, struct files_entry *out)
{
	uint8_t data[RECORD_MAX];
	ssize_t n = records_get(r, RECORD_FILE, id->b, sizeof(id->b), data, sizeof(data));
	int err;

	if (n < 0)
		return n == -EMSGSIZE ? -EBADMSG : (int)n;
	err = read_entry(id, data, (size_t)n, out);
	sodium_memzero(data, sizeof(data));
	return err;
}

int files_del(const struct records *r, const struct ident *id)
{
	return records_del(r, RECORD_FILE, id->b, sizeof(id->b));
}

int files_walk_begin(const struct records *r, struct records_walk *walk)
{
	return records_walk_begin(r, RECORD_FILE, walk);
}

struct walk {
	files_cb cb;
	void *ctx;
};

static int walk_record(void *ctx, const void *key, size_t key_len, const void *value,
		       size_t value_len)
{
	const struct walk *walk = ctx;
	struct files_entry e;
	struct ident id;
	int stop;

	if (key_len != sizeof(id.b))
		return 0;
	memcpy(id.b, key, key_len);
	stop = read_entry(&id, value, value_len, &e) ? 0 : walk->cb(walk->ctx, &e);
	sodium_memzero(&e, sizeof(e));
	return stop;
}

int files_walk_next(const struct records *r, struct records_walk *walk, size_t max, files_cb cb,
		    void *ctx)
{
	struct walk w = { cb, ctx };

	return records_walk_next(r, walk, max, walk_record, &w);
}

int files_grant(const struct records *r, const struct recipient *to,
		uint8_t out[static FILES_GRANT_LEN])
{
	uint8_t secret[32], bytes[1 + ADDRESS_LEN];
	ssize_t n = records_get(r, RECORD_FILE, SECRET_KEY, strlen(SECRET_KEY), secret,
				sizeof(secret));
	struct wire_writer w;
	int err = 0;

	if (n != sizeof(secret)) {
		if (n != -ENOENT && n != -EBADMSG)
			return n < 0 ? (int)n : -EBADMSG;
		randombytes_buf(secret, sizeof(secret));
		err = records_put(r, RECORD_FILE, SECRET_KEY, strlen(SECRET_KEY), secret,
				  sizeof(secret));
	}
	wire_write_init(&w, bytes, sizeof(bytes));
	recipient_write(&w, to);
	crypto_generichash(out, FILES_GRANT_LEN, bytes, wire_len(&w), secret, sizeof(secret));
	sodium_memzero(secret, sizeof(secret));
	return err;
}
