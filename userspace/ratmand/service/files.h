/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files of local users (service-api.md, R32 to R36): packed into the journal, announced,
 * asked for, sent, received. Documentation/files.md tells who gets what.
 *
 * A file is given to whom its user announced it or sent it, and to nobody else: who only
 * knows an id hears the same as if there were no such file. Calls for a user who is not
 * online give -EACCES.
 */
#ifndef RATMAND_SERVICE_FILES_H
#define RATMAND_SERVICE_FILES_H

#include <uv.h>

#include "proto/file.h"
#include "ratmand/flow/flow.h"
#include "ratmand/service/online.h"

struct files;

typedef void (*files_done_cb)(void *ctx, int err);

/* All is borrowed and outlives it. -ENOMEM, storage errors. */
int files_new(struct files **out, uv_loop_t *loop, struct store *store, struct flow *flow,
	      struct online *online);
/* Up to how many bytes a file is taken in that was sent and not asked for; LIMIT_FILE_ACCEPT at first. */
void files_set_accept(struct files *f, uint64_t accept);
/* The same for all of them together, LIMIT_FILE_ACCEPT_TOTAL at first; see also fileroom.h. */
void files_set_accept_total(struct files *f, uint64_t total);
/* Lets go of flow: before flow_free(). Packs, reads, lists and watches were ended before. */
void files_stop(struct files *f);
void files_free(struct files *f);

/* @user came online: takes part in what is announced to everybody, and repeats what it announces. */
void files_user_up(struct files *f, const struct address *user);

/* Before the keys of a user go for ever: queues the removal of what is not under them. */
int files_user_forget(struct files *f, const struct records *records);

/* ---- packing ---- */

struct files_order {
	struct address user;
	const char *name, *mime;	/* borrowed for the call; of an update NULL: as before */
	const struct ident *old;	/* the file that is updated, or NULL */
	uint64_t size;			/* bytes that will come; 0 = not known */
};

struct files_pack;

/*
 * Begins. @drain after a write that said -EAGAIN. -ENOENT (no such old file), -ENODATA
 * (it is not here), -EFBIG, -EDQUOT (no room for @size), -EMFILE (LIMIT_FILES), -ENOMEM.
 */
int files_pack_open(struct files *f, const struct files_order *order, flow_cb drain, void *ctx,
		    struct files_pack **out);
/* 0; -EAGAIN: nothing was taken; an error after which only abort is left, -EPROTO: more than said. */
int files_pack_write(struct files_pack *p, const void *data, size_t len);
/*
 * Ends it; @cb when the file is on disk, or with an error: -ENODATA nothing came,
 * -EPROTO less than said. Consumes @p.
 */
typedef void (*files_packed_cb)(void *ctx, int err, const struct ident *id, uint64_t size);
void files_pack_finish(struct files_pack *p, files_packed_cb cb, void *ctx);
void files_pack_abort(struct files_pack *p);

/* ---- looking ---- */

/* One file, also one that is only announced. -ENOENT, -EBADMSG. */
int files_status(struct files *f, const struct address *user, const struct ident *id,
		 struct file_meta *out);

/* A list in steps: those that fit @query, in no particular order, each once. */
struct files_list;
typedef void (*files_meta_cb)(void *ctx, const struct file_meta *meta);
int files_list_open(struct files *f, const struct file_query *query, struct files_list **out);
/* 1 when there is more, 0 at the end, or an error. */
int files_list_step(struct files_list *l, files_meta_cb cb, void *ctx);
void files_list_close(struct files_list *l);

/*
 * Content. -ENOENT no such file, -ENODATA not (all) here. What is open stays readable, whatever
 * becomes of the file.
 */
struct files_read;
int files_read_open(struct files *f, const struct address *user, const struct ident *id,
		    uint64_t *size, struct files_read **out);
/* The next bytes; 0 at the end; -EBADMSG when the store has damaged it. */
ssize_t files_read_next(struct files_read *r, void *buf, size_t size);
void files_read_close(struct files_read *r);

/* Calls @cb whenever a file of @user changes, until it is closed; @cb must not call back. */
struct files_watch;
int files_watch_open(struct files *f, const struct address *user, files_meta_cb cb, void *ctx,
		     struct files_watch **out);
void files_watch_close(struct files_watch *w);

/* ---- with others ---- */

/*
 * Announces a file that is here, or (@up false) stops it; @done when that is on disk and
 * will be told. -ENOENT, -ENODATA, -E2BIG (LIMIT_FILE_SHARES, LIMIT_FILE_CATALOG), -EINVAL
 * (oneself, no address), storage errors.
 */
void files_announce(struct files *f, const struct file_share *share, bool up, files_done_cb done,
		    void *ctx);

/* Sends a file that is here. Errors as above. */
void files_send(struct files *f, const struct file_send *send, files_done_cb done, void *ctx);

/* Asks for a file; @done when the request is on disk. 0 as well when the file is here. */
void files_request(struct files *f, const struct file_request *request, files_done_cb done,
		   void *ctx);

/* Removes a file, and with it its announcements; calls off a download. -ENOENT. */
void files_remove(struct files *f, const struct file_ref *ref, files_done_cb done, void *ctx);

struct files_stats {
	uint64_t packed, shared;	/* contents; of them, were here already */
	uint64_t received;		/* files taken in from others */
	uint64_t asked_again;		/* holders, because another did not go on */
	uint64_t liars;			/* came with other content than was asked for */
	uint64_t notices_bad;		/* not to be read, or out of place */
	uint64_t requests_refused;	/* for what is not for them, or not here */
};

const struct files_stats *files_stats(const struct files *f);

#endif
