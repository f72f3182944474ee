// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files: the backend's ops over service/files.h, whose handles are the backend's.
 */
#include "ratmand/node_priv.h"

static int pack_open(void *be, const struct backend_pack_order *order, backend_ready_cb drain,
		     void *ctx, struct backend_pack **out)
{
	const struct files_order o = { .user = order->user, .name = order->name,
				       .mime = order->mime, .old = order->old,
				       .size = order->size };
	struct node *node = be;

	return files_pack_open(node->service->files, &o, drain, ctx, (struct files_pack **)out);
}

static int pack_write(struct backend_pack *pack, const void *data, size_t len)
{
	return files_pack_write((struct files_pack *)pack, data, len);
}

static void pack_finish(struct backend_pack *pack, backend_packed_cb cb, void *ctx)
{
	files_pack_finish((struct files_pack *)pack, cb, ctx);
}

static void pack_abort(struct backend_pack *pack)
{
	files_pack_abort((struct files_pack *)pack);
}

static void announce(void *be, const struct file_share *share, bool up, backend_done_cb cb,
		     void *ctx)
{
	struct node *node = be;

	files_announce(node->service->files, share, up, cb, ctx);
}

static void send_file(void *be, const struct file_send *send, backend_done_cb cb, void *ctx)
{
	struct node *node = be;

	files_send(node->service->files, send, cb, ctx);
}

static void request(void *be, const struct file_request *req, backend_done_cb cb, void *ctx)
{
	struct node *node = be;

	files_request(node->service->files, req, cb, ctx);
}

static void remove_file(void *be, const struct file_ref *ref, backend_done_cb cb, void *ctx)
{
	struct node *node = be;

	files_remove(node->service->files, ref, cb, ctx);
}

static int status(void *be, const struct file_ref *ref, struct file_meta *out)
{
	struct node *node = be;

	return files_status(node->service->files, &ref->user, &ref->id, out);
}

static int list_open(void *be, const struct file_query *query, struct backend_file_list **out)
{
	struct node *node = be;

	return files_list_open(node->service->files, query, (struct files_list **)out);
}

static int list_step(struct backend_file_list *list, backend_file_cb cb, void *ctx)
{
	return files_list_step((struct files_list *)list, cb, ctx);
}

static void list_close(struct backend_file_list *list)
{
	files_list_close((struct files_list *)list);
}

static int read_open(void *be, const struct file_ref *ref, uint64_t *size,
		     struct backend_file_read **out)
{
	struct node *node = be;

	return files_read_open(node->service->files, &ref->user, &ref->id, size,
			       (struct files_read **)out);
}

static ssize_t read_next(struct backend_file_read *read, void *buf, size_t size)
{
	return files_read_next((struct files_read *)read, buf, size);
}

static void read_close(struct backend_file_read *read)
{
	files_read_close((struct files_read *)read);
}

static int watch_open(void *be, const struct address *user, backend_file_cb cb, void *ctx,
		      struct backend_file_watch **out)
{
	struct node *node = be;

	return files_watch_open(node->service->files, user, cb, ctx, (struct files_watch **)out);
}

static void watch_close(struct backend_file_watch *watch)
{
	files_watch_close((struct files_watch *)watch);
}

const struct file_backend node_file_backend = {
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
