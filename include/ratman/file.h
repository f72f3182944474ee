/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files: content with a name, kept by the daemon for @user, an address that is up or
 * logged in. The id of a file is the BLAKE2b-256 of its content. Nobody gets a file whom it
 * was not announced or sent to. The daemon's storage holds nothing of it in clear.
 * A daemon without our extensions: RATMAN_ENOTSUPPORTED. What is wrong with a request is in
 * ratman_error_text(): RATMAN_ENODATA for a file that the user does not have.
 * Of libratman: see ratman.h.
 */
#ifndef RATMAN_FILE_H
#define RATMAN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <ratman/handle.h>
#include <ratman/id.h>
#include <ratman/stream.h>
#include <ratman/subscription.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ratman_file_state {
	RATMAN_FILE_ANY,		/* in a query */
	RATMAN_FILE_LOCAL,		/* packed by this user */
	RATMAN_FILE_AVAILABLE,		/* another's, all of it here */
	RATMAN_FILE_IN_PROGRESS,	/* another's, asked for or arriving */
	RATMAN_FILE_ADVERTISED,		/* another's, known by its announcement */
};

#define RATMAN_FILE_NAME_MAX 255	/* bytes, without the NUL */

struct ratman_file {
	struct ratman_id id;
	struct ratman_id owner;		/* who packed, announced or sent it; zeroes: not known yet */
	char name[RATMAN_FILE_NAME_MAX + 1];
	uint64_t size;			/* bytes; 0 while it is not known */
	uint64_t local_bytes;		/* of them, how many are here */
	enum ratman_file_state state;
	bool stalled;			/* in progress, and nothing moves */
	bool has_previous;
	struct ratman_id previous;	/* the file this one was an update of */
	int64_t time_ns;		/* since 1970, UTC: packed, announced or arrived */
};

/*
 * Begins to pack a file: @name is 1 to 255 bytes of printable UTF-8 without '/', and not
 * "." or ".."; @mime (may be NULL) a media type; @size the bytes that will come, or 0 when
 * that is not known. The bytes go through ratman_send_write() or ratman_send_some(); *@out
 * is ended by exactly one of ratman_file_finish() and ratman_send_abort(). -EINVAL (no such
 * name or media type), RATMAN_EIO (no room).
 */
int ratman_file_create(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const char *name, const char *mime,
		       uint64_t size, struct ratman_send **out);

/*
 * The same for other content under the name of the file @old, which is here: the new file
 * refers to it, and is announced to whom it was announced.
 */
int ratman_file_update(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *old, uint64_t size,
		       struct ratman_send **out);

/*
 * Ends it: 0 when the file is on the daemon's disk, with its id and size (either may be
 * NULL). RATMAN_EPAYLOAD when nothing came, or not as much as was said. Consumes @s, except
 * when it returns RATMAN_EAGAIN.
 */
int ratman_file_finish(struct ratman_send *s, struct ratman_id *id, uint64_t *size);

/* All of it for what can be read from @fd, up to its end. -EINVAL on a handle that must not block. */
int ratman_file_pack_fd(struct ratman *r, const struct ratman_id *user,
			const struct ratman_id *token, const char *name, const char *mime, int fd,
			struct ratman_id *id, uint64_t *size);

/*
 * Files of @state whose names fit @pattern: '*' and '?' as in a shell, else a part of the
 * name, in either case of ASCII letters; NULL: every name. *@out (owned, ratman_free) holds *@n, in no
 * particular order. -EINVAL: no such state, or a pattern longer than any name.
 */
int ratman_file_list(struct ratman *r, const struct ratman_id *user,
		     const struct ratman_id *token, enum ratman_file_state state,
		     const char *pattern, struct ratman_file **out, size_t *n);

/* One of them. RATMAN_ENODATA. */
int ratman_file_status(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id,
		       struct ratman_file *out);

/* A file being read. */
struct ratman_file_get;

/*
 * Begins to read a file that is here, of *@size bytes (may be NULL); else RATMAN_ENODATA. Until
 * ratman_file_get_end() nothing else may be asked of @r. *@out is owned.
 */
int ratman_file_get_begin(struct ratman *r, const struct ratman_id *user,
			  const struct ratman_id *token, const struct ratman_id *id,
			  uint64_t *size, struct ratman_file_get **out);

/* Reads up to @size bytes; 0 at the end, once the daemon has said that it was all; negative on error. */
ssize_t ratman_file_get_read(struct ratman_file_get *g, void *buf, size_t size);

/* Consumes @g, at the end or before; NULL is fine. */
void ratman_file_get_end(struct ratman_file_get *g);

/* All of it into @fd. -EINVAL on a handle that must not block; errors of write(2). */
int ratman_file_get_fd(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id, int fd);

/*
 * Announces a file that is here to @to (NULL: to everybody), who may ask for it from then
 * on; withdraw ends that. RATMAN_EQUERY: nobody to announce it to, or too many (64 for a
 * file, 256 files for everybody or a namespace).
 */
int ratman_file_announce(struct ratman *r, const struct ratman_id *user,
			 const struct ratman_id *token, const struct ratman_id *id,
			 const struct ratman_recipient *to);
int ratman_file_withdraw(struct ratman *r, const struct ratman_id *user,
			 const struct ratman_id *token, const struct ratman_id *id,
			 const struct ratman_recipient *to);

/*
 * Asks @owner (NULL: whoever announced it, or everybody) for a file, which comes in the
 * background: see ratman_file_status(). 0 as well when it is here.
 */
int ratman_file_request(struct ratman *r, const struct ratman_id *user,
			const struct ratman_id *token, const struct ratman_id *id,
			const struct ratman_id *owner);

/*
 * Sends a file that is here to @n recipients, who need not ask for it. -EINVAL: none, or more
 * than 64; RATMAN_EQUERY: one that is none.
 */
int ratman_file_send(struct ratman *r, const struct ratman_id *user,
		     const struct ratman_id *token, const struct ratman_id *id,
		     const struct ratman_recipient *to, size_t n);

/* Removes a file for this user: its announcements end; one that is arriving is called off. */
int ratman_file_delete(struct ratman *r, const struct ratman_id *user,
		       const struct ratman_id *token, const struct ratman_id *id);

/*
 * Changes of the user's files from here on, until the socket is closed: there is nothing
 * to cancel or resume. A file that is deleted is not told.
 */
int ratman_file_sub(struct ratman *r, const struct ratman_id *user,
		    const struct ratman_id *token, struct ratman_subscription *out);

/* Waits for the next of them. Returns 1, or as ratman_sub_next(). */
int ratman_sub_file(struct ratman_sub *s, struct ratman_file *out, int timeout_ms);

#ifdef __cplusplus
}
#endif

#endif
