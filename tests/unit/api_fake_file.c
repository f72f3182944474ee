// SPDX-License-Identifier: GPL-2.0-or-later
/* The fake's files: kept in memory, given to nobody. */
#include "api_fake.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/api/file_backend.h"

#define FILE_BYTES_MAX (16u << 20)	/* for fuzzers */

struct fake_file {
	struct fake_file *next;
	const void *be;
	struct address user;
	struct file_meta meta;
	uint8_t *data;
	size_t len;
};

struct backend_pack {
	struct fake_file *file;
	uint64_t size;
};

struct backend_file_list {
	const void *be;
	struct file_query query;
};

struct backend_file_read {
	uint8_t *data;
	size_t len, pos;
};

struct backend_file_watch {
	struct backend_file_watch *next;
	struct address user;
	backend_file_cb cb;
	void *ctx;
};

static struct fake_file *files;
static struct backend_file_watch *watches;

static void file_free(struct fake_file *f)
{
	free(f->data);
	free(f);
}

void fake_file_forget(const void *be)
{
	for (struct fake_file **p = &files; *p;) {
		struct fake_file *f = *p;

		if (f->be == be) {
			*p = f->next;
			file_free(f);
		} else {
			p = &f->next;
		}
	}
}

static struct fake_file *find(const void *be, const struct address *user, const struct ident *id)
{
	for (struct fake_file *f = files; f; f = f->next)
		if (f->be == be && address_equal(&f->user, user) && ident_equal(&f->meta.id, id))
			return f;
	return NULL;
}

static void tell(const struct fake_file *f)
{
	for (struct backend_file_watch *w = watches; w; w = w->next)
		if (address_equal(&w->user, &f->user))
			w->cb(w->ctx, &f->meta);
}

static int pack_open(void *be, const struct backend_pack_order *order, backend_ready_cb drain,
		     void *ctx, struct backend_pack **out)
{
	const struct fake_file *old = order->old ? find(be, &order->user, order->old) : NULL;
	struct backend_pack *p;

	(void)drain;
	(void)ctx;
	if (order->old && !old)
		return -ENOENT;
	p = calloc(1, sizeof(*p));
	p->size = order->size;
	p->file = calloc(1, sizeof(*p->file));
	p->file->be = be;
	p->file->user = p->file->meta.owner = order->user;
	p->file->meta.state = FILE_LOCAL;
	strcpy(p->file->meta.name, old ? old->meta.name : order->name);
	if (old) {
		p->file->meta.has_previous = true;
		p->file->meta.previous = old->meta.id;
	}
	*out = p;
	return 0;
}

static int pack_write(struct backend_pack *p, const void *data, size_t len)
{
	struct fake_file *f = p->file;

	if (p->size && f->len + len > p->size)
		return -EPROTO;
	if (f->len + len > FILE_BYTES_MAX)
		return -EFBIG;
	f->data = realloc(f->data, f->len + len);
	memcpy(f->data + f->len, data, len);
	f->len += len;
	return 0;
}

static void pack_finish(struct backend_pack *p, backend_packed_cb cb, void *ctx)
{
	struct fake_file *f = p->file, *old;
	int err = p->size && f->len < p->size ? -EPROTO : 0;

	free(p);
	if (err) {
		file_free(f);
		cb(ctx, err, NULL, 0);
		return;
	}
	crypto_generichash(f->meta.id.b, sizeof(f->meta.id.b), f->data, f->len, NULL, 0);
	f->meta.size = f->meta.local_bytes = f->len;
	old = find(f->be, &f->user, &f->meta.id);
	if (old) {
		file_free(f);
		f = old;
	} else {
		f->next = files;
		files = f;
	}
	tell(f);
	cb(ctx, 0, &f->meta.id, f->len);
}

static void pack_abort(struct backend_pack *p)
{
	file_free(p->file);
	free(p);
}

static void announce(void *be, const struct file_share *share, bool up, backend_done_cb cb,
		     void *ctx)
{
	(void)up;
	cb(ctx, find(be, &share->user, &share->id) ? 0 : -ENOENT);
}

static void send_file(void *be, const struct file_send *send, backend_done_cb cb, void *ctx)
{
	cb(ctx, find(be, &send->user, &send->id) ? 0 : -ENOENT);
}

static void request(void *be, const struct file_request *req, backend_done_cb cb, void *ctx)
{
	(void)be;
	(void)req;
	cb(ctx, 0);
}

static void remove_file(void *be, const struct file_ref *ref, backend_done_cb cb, void *ctx)
{
	struct fake_file *f = find(be, &ref->user, &ref->id), **p = &files;

	while (f && *p != f)
		p = &(*p)->next;
	if (f) {
		*p = f->next;
		file_free(f);
	}
	cb(ctx, f ? 0 : -ENOENT);
}

static int status(void *be, const struct file_ref *ref, struct file_meta *out)
{
	const struct fake_file *f = find(be, &ref->user, &ref->id);

	if (f)
		*out = f->meta;
	return f ? 0 : -ENOENT;
}

static int list_open(void *be, const struct file_query *query, struct backend_file_list **out)
{
	*out = malloc(sizeof(**out));
	**out = (struct backend_file_list){ be, *query };
	return 0;
}

static int list_step(struct backend_file_list *l, backend_file_cb cb, void *ctx)
{
	for (const struct fake_file *f = files; f; f = f->next)
		if (f->be == l->be && address_equal(&f->user, &l->query.user) &&
		    (l->query.state == FILE_ANY || l->query.state == f->meta.state) &&
		    file_name_fits(f->meta.name, l->query.pattern))
			cb(ctx, &f->meta);
	return 0;
}

static void list_close(struct backend_file_list *l)
{
	free(l);
}

static int read_open(void *be, const struct file_ref *ref, uint64_t *size,
		     struct backend_file_read **out)
{
	const struct fake_file *f = find(be, &ref->user, &ref->id);
	struct backend_file_read *r;

	if (!f)
		return -ENOENT;
	r = malloc(sizeof(*r));
	*r = (struct backend_file_read){ malloc(f->len), f->len, 0 };
	memcpy(r->data, f->data, f->len);
	*size = f->len;
	*out = r;
	return 0;
}

static ssize_t read_next(struct backend_file_read *r, void *buf, size_t size)
{
	size_t n = r->len - r->pos < size ? r->len - r->pos : size;

	memcpy(buf, r->data + r->pos, n);
	r->pos += n;
	return (ssize_t)n;
}

static void read_close(struct backend_file_read *r)
{
	free(r->data);
	free(r);
}

static int watch_open(void *be, const struct address *user, backend_file_cb cb, void *ctx,
		      struct backend_file_watch **out)
{
	struct backend_file_watch *w = malloc(sizeof(*w));

	(void)be;
	*w = (struct backend_file_watch){ watches, *user, cb, ctx };
	watches = w;
	*out = w;
	return 0;
}

static void watch_close(struct backend_file_watch *w)
{
	struct backend_file_watch **p = &watches;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	free(w);
}

const struct file_backend fake_files = {
	.pack_open = pack_open,
	.pack_write = pack_write,
	.pack_finish = pack_finish,
	.pack_abort = pack_abort,
	.announce = announce,
	.send = send_file,
	.request = request,
	.remove = remove_file,
	.status = status,
	.list_open = list_open,
	.list_step = list_step,
	.list_close = list_close,
	.read_open = read_open,
	.read_next = read_next,
	.read_close = read_close,
	.watch_open = watch_open,
	.watch_close = watch_close,
};
