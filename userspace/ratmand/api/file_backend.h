/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What namespace 0C needs from the daemon: part of backend.h, whose rules hold. What
 * the errors mean here:
 *   -ENOENT   the user has no such file      -ENODATA  it is not (all) here; nothing came
 *   -EINVAL   no recipient for it            -E2BIG    too many of them, or too many announced
 *   -EMFILE   the user has LIMIT_FILES       -EFBIG    longer than LIMIT_STREAM_BYTES
 *   -EPROTO   more or fewer bytes than said  -EBADMSG  what is stored is damaged
 *   -EACCES   the user is not online         -EDQUOT, -ENOSPC, -EROFS  storage
 */
#ifndef RATMAND_API_FILE_BACKEND_H
#define RATMAND_API_FILE_BACKEND_H

#include "proto/file.h"
#include "ratmand/api/backend.h"

struct backend_pack;		/* ended by exactly one of pack_finish and pack_abort */
struct backend_file_list;
struct backend_file_read;
struct backend_file_watch;

struct backend_pack_order {
	struct address user;
	const char *name, *mime;	/* borrowed for the call; NULL in an update */
	const struct ident *old;	/* the file that is updated, or NULL */
	uint64_t size;			/* bytes that will come; 0 = not known */
};

/* @id is borrowed for the call. */
typedef void (*backend_packed_cb)(void *ctx, int err, const struct ident *id, uint64_t size);
typedef void (*backend_file_cb)(void *ctx, const struct file_meta *meta);

struct file_backend {
	/* As send_open and the rest; at most 64 KiB a write. */
	int (*pack_open)(void *be, const struct backend_pack_order *order, backend_ready_cb drain,
			 void *ctx, struct backend_pack **out);
	int (*pack_write)(struct backend_pack *pack, const void *data, size_t len);
	void (*pack_finish)(struct backend_pack *pack, backend_packed_cb cb, void *ctx);
	void (*pack_abort)(struct backend_pack *pack);

	/* Answered when it is on disk. */
	void (*announce)(void *be, const struct file_share *share, bool up, backend_done_cb cb,
			 void *ctx);
	void (*send)(void *be, const struct file_send *send, backend_done_cb cb, void *ctx);
	void (*request)(void *be, const struct file_request *request, backend_done_cb cb, void *ctx);
	void (*remove)(void *be, const struct file_ref *ref, backend_done_cb cb, void *ctx);

	int (*status)(void *be, const struct file_ref *ref, struct file_meta *out);
	/* Step by step: 1 when there is more, 0 at the end. */
	int (*list_open)(void *be, const struct file_query *query, struct backend_file_list **out);
	int (*list_step)(struct backend_file_list *list, backend_file_cb cb, void *ctx);
	void (*list_close)(struct backend_file_list *list);

	/* Content; what is open stays readable. */
	int (*read_open)(void *be, const struct file_ref *ref, uint64_t *size,
			 struct backend_file_read **out);
	ssize_t (*read_next)(struct backend_file_read *read, void *buf, size_t size);
	void (*read_close)(struct backend_file_read *read);

	/* Calls @cb with each change; it must not call back. */
	int (*watch_open)(void *be, const struct address *user, backend_file_cb cb, void *ctx,
			  struct backend_file_watch **out);
	void (*watch_close)(struct backend_file_watch *watch);
};

#endif
