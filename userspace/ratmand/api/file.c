// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 0C, File (service-api.md section 7.3), and Stream/Up and Down, which are
 * the same for files that are announced to everybody.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "base/log.h"
#include "ratmand/api/data.h"
#include "ratmand/api/file_backend.h"
#include "ratmand/api/watcher.h"

#define CHUNK 32768		/* bytes of content at a time */
#define CHANGES_MAX 512		/* that wait for a client to read */
#define STEP_COST 8192		/* bytes that are as much work as a step of a list */

static const struct file_backend *backend(const struct client *c)
{
	return c->server->ops->file;
}

/* Errors ----------------------------------------------------------------------- */

static void refuse(struct client *c, int err)
{
	switch (err) {
	case -EACCES:
		client_reply_denied(c);
		break;
	case -ENOENT:
		client_reply_service(c, SERVICE_E_NO_DATA,
				     "you have no such file; File/List tells which there are");
		break;
	case -ENODATA:
		client_reply_service(c, SERVICE_E_NO_DATA,
				     "the file is not (wholly) here: ask for it with File/Add, see how far it is with File/Status");
		break;
	case -EINVAL:
		client_reply_service(c, SERVICE_E_INVALID_QUERY,
				     "that cannot be the other side: name another address, or a namespace");
		break;
	case -E2BIG:
		client_reply_service(c, SERVICE_E_INVALID_QUERY,
				     "announced or sent to too many: at most 64 for a file, and 256 files for everybody or a namespace");
		break;
	case -EMFILE:
		client_reply_service(c, SERVICE_E_IO_FAULT,
				     "you have as many files as there may be; delete some");
		break;
	case -EFBIG:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD, "a file has at most 1 TiB");
		break;
	case -EPROTO:
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "not as many bytes came as the request said; 0 stands for any number");
		break;
	case -EBADMSG:
		client_reply_service(c, SERVICE_E_IO_FAULT,
				     "what is stored of this file is damaged; delete it and ask for it again");
		break;
	case -EDQUOT:
	case -ENOSPC:
		client_reply_service(c, SERVICE_E_IO_FAULT, "the router's storage is full");
		break;
	case -EROFS:
		client_reply_service(c, SERVICE_E_IO_FAULT, "the router's storage takes no writes");
		break;
	default:
		client_reply_service(c, SERVICE_E_IO_FAULT, strerror(-err));
	}
}

/* What a reader of proto/file.h found wrong. */
static void refuse_payload(struct client *c, int err)
{
	if (err == -EILSEQ && c->header.mode >> 8 == 0x0c &&
	    (c->header.mode & 0xff) == 0x01)
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "no name for a file: 1 to 255 bytes of printable UTF-8 without '/', and not \".\" or \"..\"");
	else if (err == -EILSEQ)
		client_reply_service(c, SERVICE_E_INVALID_QUERY,
				     "send to addresses or namespaces; to everybody a file is announced (File/Up)");
	else if (err == -EDOM)
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD,
				     "no media type: at most 127 printable characters, like text/plain");
	else if (err == -E2BIG)
		client_reply_service(c, SERVICE_E_INVALID_QUERY, "too many recipients: at most 64");
	else
		client_reply_service(c, SERVICE_E_BAD_SERIALISE,
				     "the request does not have the form of service-api.md section 7.3");
}

/* Packing ------------------------------------------------------------------------ */

struct pack {
	const struct file_backend *ops;
	struct backend_pack *pack;	/* owned until it is finished or aborted */
	struct file_done result;
	backend_done_cb cb;
	void *ctx;
};

static int pack_open(struct api_server *s, const void *request, backend_ready_cb drain, void *ctx,
		     void **sink)
{
	struct pack *p = calloc(1, sizeof(*p));
	int err;

	if (!p)
		return -ENOMEM;
	p->ops = s->ops->file;
	err = p->ops->pack_open(s->be, request, drain, ctx, &p->pack);
	if (err)
		free(p);
	else
		*sink = p;
	return err;
}

static int pack_write(struct api_server *s, void *sink, const void *data, size_t len)
{
	struct pack *p = sink;

	(void)s;
	return p->ops->pack_write(p->pack, data, len);
}

static void on_packed(void *ctx, int err, const struct ident *id, uint64_t size)
{
	struct pack *p = ctx;

	if (!err)
		p->result = (struct file_done){ *id, size };
	p->cb(p->ctx, err);
}

static void pack_finish(struct api_server *s, void *sink, backend_done_cb cb, void *ctx)
{
	struct pack *p = sink;

	(void)s;
	p->cb = cb;
	p->ctx = ctx;
	p->ops->pack_finish(p->pack, on_packed, p);
}

static void pack_abort(struct api_server *s, void *sink)
{
	struct pack *p = sink;

	(void)s;
	p->ops->pack_abort(p->pack);
}

static void pack_release(void *sink)
{
	free(sink);
}

static void pack_done(struct client *c, void *sink)
{
	const struct pack *p = sink;
	uint8_t buf[FILE_DONE_LEN];
	struct wire_writer w;

	wire_write_init(&w, buf, sizeof(buf));
	file_write_done(&w, &p->result);
	client_reply(c, true, buf, wire_len(&w));
}

static void pack_failed(struct client *c, int err)
{
	/* That the old file is not here was said before. */
	if (err == -ENODATA)
		client_reply_service(c, SERVICE_E_INVALID_PAYLOAD, "a file has at least one byte");
	else
		refuse(c, err);
}

static const struct data_ops pack_ops = {
	.open = pack_open,
	.write = pack_write,
	.finish = pack_finish,
	.abort = pack_abort,
	.release = pack_release,
	.done = pack_done,
	.failed = pack_failed,
};

void file_create(struct client *c)
{
	struct file_create request;
	struct backend_pack_order order;
	int err = file_read_create(c->payload, c->header.payload_len, &request);

	if (err) {
		refuse_payload(c, err);
		return;
	}
	order = (struct backend_pack_order){ .user = request.user, .name = request.name,
					     .mime = request.mime, .size = request.size };
	data_start(c, &pack_ops, &order);
}

void file_modify(struct client *c)
{
	struct file_update request;
	struct backend_pack_order order;
	struct file_meta old;
	struct file_ref ref;
	int err = file_read_update(c->payload, c->header.payload_len, &request);

	if (err) {
		refuse_payload(c, err);
		return;
	}
	ref = (struct file_ref){ request.user, request.old };
	err = backend(c)->status(c->server->be, &ref, &old);
	if (!err && old.state != FILE_LOCAL && old.state != FILE_AVAILABLE)
		err = -ENODATA;
	if (err) {
		refuse(c, err);
		return;
	}
	order = (struct backend_pack_order){ .user = request.user, .old = &request.old,
					     .size = request.size };
	data_start(c, &pack_ops, &order);
}

/* Commands ------------------------------------------------------------------------ */

static void on_done(void *ctx, int err)
{
	struct client *c = ctx;

	if (!client_answered(c))
		return;
	if (err)
		refuse(c, err);
	else
		client_reply_ok(c);
	client_process(c);
}

static void share(struct client *c, bool up)
{
	struct file_share request;
	int err = file_read_share(c->payload, c->header.payload_len, &request);

	if (err) {
		refuse_payload(c, err);
		return;
	}
	client_ask(c);
	backend(c)->announce(c->server->be, &request, up, on_done, c);
}

void file_up(struct client *c)
{
	share(c, true);
}

void file_down(struct client *c)
{
	share(c, false);
}

void file_send(struct client *c)
{
	struct file_send *request = malloc(sizeof(*request));
	int err = request ? file_read_send(c->payload, c->header.payload_len, request) : -ENOMEM;

	if (err == -ENOMEM) {
		client_reply_internal(c, true, "out of memory");
	} else if (err) {
		refuse_payload(c, err);
	} else {
		client_ask(c);
		backend(c)->send(c->server->be, request, on_done, c);
	}
	free(request);
}

void file_add(struct client *c)
{
	struct file_request request;
	int err = file_read_request(c->payload, c->header.payload_len, &request);

	if (err) {
		refuse_payload(c, err);
		return;
	}
	client_ask(c);
	backend(c)->request(c->server->be, &request, on_done, c);
}

void file_delete(struct client *c)
{
	struct file_ref ref;
	int err = file_read_ref(c->payload, c->header.payload_len, &ref);

	if (err) {
		refuse_payload(c, err);
		return;
	}
	client_ask(c);
	backend(c)->remove(c->server->be, &ref, on_done, c);
}

/* Stream/Up and Down: a stream that is kept here is a file; all else is its owner's business. */

static void on_stream_done(void *ctx, int err)
{
	struct client *c = ctx;

	if (!client_answered(c))
		return;
	if (err == -ENOENT || err == -ENODATA)
		client_reply_input(c, "stream", "the id of a file of this address that is here");
	else if (err)
		client_reply_errno(c, true, err);
	else
		client_reply_ok(c);
	client_process(c);
}

static void stream_share(struct client *c, bool up)
{
	struct payload_subscriber p;
	struct file_share request = { .to = { .kind = RECIPIENT_NONE } };

	payload_read_subscriber(c->payload, &p);
	request.user = p.address;
	request.id = p.id;
	client_ask(c);
	backend(c)->announce(c->server->be, &request, up, on_stream_done, c);
}

void stream_up(struct client *c)
{
	stream_share(c, true);
}

void stream_down(struct client *c)
{
	stream_share(c, false);
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

	if (err) {
		refuse(c, err);
	} else {
		wire_write_init(&w, j->buf, LIST_HEAD);
		file_write_list(&w, j->n);
		client_reply(c, true, j->buf, j->len);
	}
	/* May have killed the client, and with it the job. */
	if (c->phase == CLIENT_DEAD)
		return;
	client_end_job(c);
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
		refuse_payload(c, err);
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
		refuse(c, err);
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
		refuse_payload(c, err);
		return;
	}
	err = backend(c)->status(c->server->be, &ref, &meta);
	if (err) {
		refuse(c, err);
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
	client_reply_ok(c);
	if (c->phase == CLIENT_DEAD)
		return;
	client_end_job(c);
	get_free(j);
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
		refuse_payload(c, err);
		free(j);
		return;
	}
	err = j ? backend(c)->read_open(c->server->be, &ref, &j->left, &j->read) : -ENOMEM;
	if (err) {
		free(j);
		refuse(c, err);
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
		refuse(c, err);
		return;
	}
	w->watcher = watcher_open(c, &user, &watch_ops, w);
	if (!w->watcher)
		watch_end(w);
}
