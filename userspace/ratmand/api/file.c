// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 0C, File (service-api.md section 7.3), and Stream/Up and Down, which are
 * the same for files that are announced to everybody; file_view.c has what only looks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/api/data.h"
#include "ratmand/api/file_backend.h"

static const struct file_backend *backend(const struct client *c)
{
	return c->server->ops->file;
}

/* Errors ----------------------------------------------------------------------- */

void file_refuse(struct client *c, int err)
{
	switch (err) {
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
	default:
		client_reply_service_errno(c, err);
	}
}

/* What a reader of proto/file.h found wrong. */
void file_refuse_payload(struct client *c, int err)
{
	if (err == -EILSEQ && c->header.mode == op_get(OP_FILE_CREATE)->mode)
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
		file_refuse(c, err);
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
		file_refuse_payload(c, err);
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
		file_refuse_payload(c, err);
		return;
	}
	ref = (struct file_ref){ request.user, request.old };
	err = backend(c)->status(c->server->be, &ref, &old);
	if (!err && old.state != FILE_LOCAL && old.state != FILE_AVAILABLE)
		err = -ENODATA;
	if (err) {
		file_refuse(c, err);
		return;
	}
	order = (struct backend_pack_order){ .user = request.user, .old = &request.old,
					     .size = request.size };
	data_start(c, &pack_ops, &order);
}

/* Commands ------------------------------------------------------------------------ */

static void on_done(void *ctx, int err)
{
	client_done(ctx, err, file_refuse);
}

static void share(struct client *c, bool up)
{
	struct file_share request;
	int err = file_read_share(c->payload, c->header.payload_len, &request);

	if (err) {
		file_refuse_payload(c, err);
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
		file_refuse_payload(c, err);
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
		file_refuse_payload(c, err);
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
		file_refuse_payload(c, err);
		return;
	}
	client_ask(c);
	backend(c)->remove(c->server->be, &ref, on_done, c);
}

/* Stream/Up and Down: a stream that is kept here is a file; all else is its owner's business. */

static void stream_refuse(struct client *c, int err)
{
	if (err == -ENOENT || err == -ENODATA)
		client_reply_input(c, "stream", "the id of a file of this address that is here");
	else
		client_reply_errno(c, true, err);
}

static void on_stream_done(void *ctx, int err)
{
	client_done(ctx, err, stream_refuse);
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
