// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 0C, File: lists, content, and the socket of changes.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "ratmand/api/file_backend.h"
#include "ratmand/api/watcher.h"

#define CHUNK 32768		/* bytes of content at a time */
#define CHANGES_MAX 512		/* that wait for a client to read */
#define STEP_COST 8192		/* bytes that are as much work as a step of a list */

static const struct file_backend *backend(const struct client *c)
{
	return c->server->ops->file;
}

/* Lists ---------------------------------------------------------------------------- */

struct list_job {
	struct client_job job;		/* first member */
	const struct file_backend *ops;
	struct backend_file_list *list;	/* owned */
	uint8_t *buf;			/* owned; head and records */
	size_t len, room;
	uint16_t n;
	bool failed;			/* for want of memory */
};

#define LIST_HEAD 3		/* kind and number of records */

static void list_free(struct list_job *j)
{
	j->ops->list_close(j->list);
	if (j->buf)
		sodium_memzero(j->buf, j->len);
	free(j->buf);
	free(j);
}

static void list_gone(struct client *c, struct client_job *job)
{
	(void)c;
	list_free((struct list_job *)job);
}

static void list_one(void *ctx, const struct file_meta *meta)
{
	struct list_job *j = ctx;
	struct wire_writer w;

	if (j->room - j->len < FILE_META_MAX) {
		size_t room = 2 * j->room;
		uint8_t *more = j->n == UINT16_MAX ? NULL : malloc(room);

		if (!more) {
			j->failed = true;
			return;
		}
		memcpy(more, j->buf, j->len);
		sodium_memzero(j->buf, j->len);
		free(j->buf);
		j->buf = more;
		j->room = room;
	}
	wire_write_init(&w, j->buf + j->len, j->room - j->len);
	file_meta_write(&w, meta);
	j->len += wire_len(&w);
	j->n++;
}

static void list_end(struct client *c, struct list_job *j, int err)
{
	struct wire_writer w;

	/* First: the answer may be the client's end, and that of a job it still has. */
	client_end_job(c);
	if (err) {
		file_refuse(c, err);
	} else {
		wire_write_init(&w, j->buf, LIST_HEAD);
		file_write_list(&w, j->n);
		client_reply(c, true, j->buf, j->len);
	}
	list_free(j);
}

/* Runs from a turn of its own, a step or a few each time. */
static void list_progress(struct client *c, struct client_job *job)
{
	struct list_job *j = (struct list_job *)job;
	int more;

	do {
		more = j->ops->list_step(j->list, list_one, j);
		if (more <= 0 || j->failed) {
			list_end(c, j, j->failed ? -ENOMEM : more);
			return;
		}
	} while (client_share(c, STEP_COST));
	client_kick(c);
}

void file_list(struct client *c)
{
	struct file_query query;
	struct list_job *j;
	int err = file_read_query(c->payload, c->header.payload_len, &query);

	if (err) {
		file_refuse_payload(c, err);
		return;
	}
	j = calloc(1, sizeof(*j));
	if (j) {
		j->room = 4096;
		j->len = LIST_HEAD;
		j->buf = malloc(j->room);
		j->ops = backend(c);
		j->job.progress = list_progress;
		j->job.gone = list_gone;
	}
	err = j && j->buf ? j->ops->list_open(c->server->be, &query, &j->list) : -ENOMEM;
	if (err) {
		if (j)
			free(j->buf);
		free(j);
		file_refuse(c, err);
		return;
	}
	client_start_job(c, &j->job);
	client_kick(c);
}

void file_status(struct client *c)
{
	uint8_t buf[LIST_HEAD + FILE_META_MAX];
	struct wire_writer w;
	struct file_meta meta;
	struct file_ref ref;
	int err = file_read_ref(c->payload, c->header.payload_len, &ref);

	if (err) {
		file_refuse_payload(c, err);
		return;
	}
	err = backend(c)->status(c->server->be, &ref, &meta);
	if (err) {
		file_refuse(c, err);
		return;
	}
	wire_write_init(&w, buf, sizeof(buf));
	file_write_list(&w, 1);
	file_meta_write(&w, &meta);
	client_reply(c, true, buf, wire_len(&w));
}

/* Content ---------------------------------------------------------------------------- */

struct get_job {
	struct client_job job;		/* first member */
	const struct file_backend *ops;
	struct backend_file_read *read;	/* owned */
	struct address user;
	uint64_t left;			/* bytes */
};

static void get_free(struct get_job *j)
{
	j->ops->read_close(j->read);
	free(j);
}

static void get_gone(struct client *c, struct client_job *job)
{
	(void)c;
	get_free((struct get_job *)job);
}

static void get_address_gone(struct client *c, struct client_job *job,
			     const struct address *address)
{
	/* An Error here would be taken for content. */
	if (address_equal(&((struct get_job *)job)->user, address))
		client_finish(c);
}

/* Moves one chunk; false when the connection had to be given up. */
static bool get_chunk(struct client *c, struct get_job *j)
{
	size_t want = j->left < CHUNK ? (size_t)j->left : CHUNK;
	uint8_t *room = client_reserve(c, want);
	ssize_t n;

	if (!room)
		return false;
	n = j->ops->read_next(j->read, room, want);
	if (n <= 0) {
		log_warn("a file broke off while reading it: %s",
			 n ? strerror((int)-n) : "too short");
		client_kill(c);
		return false;
	}
	j->left -= (uint64_t)n;
	client_commit(c, (size_t)n);
	/* May kill the client, and with it the job. */
	client_flush(c);
	return c->phase != CLIENT_DEAD;
}

/* Runs from a turn of its own, or the end of a write. */
static void get_progress(struct client *c, struct client_job *job)
{
	struct get_job *j = (struct get_job *)job;

	while (j->left) {
		if (client_queued(c) >= client_window(c))
			return;
		if (!get_chunk(c, j))
			return;
		if (j->left && !client_share(c, CHUNK)) {
			client_kick(c);
			return;
		}
	}
	client_end_job(c);
	get_free(j);
	client_reply_ok(c);
}

void file_get(struct client *c)
{
	struct get_job *j = calloc(1, sizeof(*j));
	uint8_t buf[FILE_DONE_LEN];
	struct file_done head;
	struct wire_writer w;
	struct file_ref ref;
	int err = file_read_ref(c->payload, c->header.payload_len, &ref);

	if (err) {
		file_refuse_payload(c, err);
		free(j);
		return;
	}
	err = j ? backend(c)->read_open(c->server->be, &ref, &j->left, &j->read) : -ENOMEM;
	if (err) {
		free(j);
		file_refuse(c, err);
		return;
	}
	j->ops = backend(c);
	j->user = ref.user;
	j->job.progress = get_progress;
	j->job.gone = get_gone;
	j->job.address_gone = get_address_gone;
	client_start_job(c, &j->job);
	head = (struct file_done){ ref.id, j->left };
	wire_write_init(&w, buf, sizeof(buf));
	file_write_done(&w, &head);
	client_reply(c, true, buf, wire_len(&w));
	client_kick(c);
}

/* Watching ---------------------------------------------------------------------------- */

/* A change that nobody was told yet. */
struct change {
	struct change *prev, *next;
	struct file_meta meta;
};

struct watch {
	const struct file_backend *ops;
	struct backend_file_watch *watch;	/* owned */
	struct watcher *watcher;
	struct change *changes;		/* owned; oldest first */
	size_t n;
	bool missed;			/* there were too many */
};

static void drop_change(struct watch *w, struct change *change)
{
	DL_DELETE(w->changes, change);
	w->n--;
	sodium_memzero(change, sizeof(*change));
	free(change);
}

static void watch_end(void *ctx)
{
	struct watch *w = ctx;

	if (w->watch)
		w->ops->watch_close(w->watch);
	while (w->changes)
		drop_change(w, w->changes);
	free(w);
}

static bool watch_next(void *ctx, struct client *c)
{
	struct watch *w = ctx;
	uint8_t buf[FILE_META_MAX];
	struct wire_writer out;

	if (w->missed) {
		/* Something is missing from here on: he is to look anew. */
		client_kill(c);
		return true;
	}
	if (!w->changes)
		return false;
	wire_write_init(&out, buf, sizeof(buf));
	file_meta_write(&out, &w->changes->meta);
	drop_change(w, w->changes);
	client_frame(c, op_get(OP_FILE_SUB)->mode, true, buf, wire_len(&out));
	return true;
}

static void on_change(void *ctx, const struct file_meta *meta)
{
	struct watch *w = ctx;
	struct change *change = w->n < CHANGES_MAX ? malloc(sizeof(*change)) : NULL;

	if (change) {
		change->meta = *meta;
		DL_APPEND(w->changes, change);
		w->n++;
	} else {
		w->missed = true;
	}
	if (w->watcher)
		watcher_ready(w->watcher);
}

static const struct watcher_ops watch_ops = {
	.next = watch_next,
	.end = watch_end,
};

void file_sub(struct client *c)
{
	struct watch *w = calloc(1, sizeof(*w));
	struct address user;
	int err = -ENOMEM;

	memcpy(user.b, c->payload, ADDRESS_LEN);
	if (w) {
		w->ops = backend(c);
		err = w->ops->watch_open(c->server->be, &user, on_change, w, &w->watch);
	}
	if (err) {
		free(w);
		file_refuse(c, err);
		return;
	}
	w->watcher = watcher_open(c, &user, &watch_ops, w);
	if (!w->watcher)
		watch_end(w);
}
