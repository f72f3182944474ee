/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of one user: sealed records (records.h), one for each file id. What is
 * kept here says which files a user has, from whom, and who may have them; the
 * content itself lies in the journal (flow/content.h), once for all users.
 */
#ifndef RATMAND_STORE_FILES_H
#define RATMAND_STORE_FILES_H

#include "proto/file.h"
#include "ratmand/store/records.h"

#define FILES_CONTENT_MAX 128	/* bytes of a content's name and key, as flow encodes them */
#define FILES_GRANT_LEN 32
#define FILES_ASKED_MAX 8

/* Somebody the user gave a file to. */
struct files_share {
	struct recipient to;		/* RECIPIENT_NONE: everybody */
	bool announced;			/* else it was sent, and may be asked for again */
};

struct files_entry {
	/*
	 * local_bytes and stalled are not stored. FILE_ANY as state: hidden, an
	 * announcement the user does not want to see, or a download called off.
	 */
	struct file_meta meta;
	char mime[LIMIT_FILE_MIME + 1];	/* "" = none */
	uint8_t content[FILES_CONTENT_MAX];	/* secret; of FILE_LOCAL and FILE_AVAILABLE */
	size_t content_len;
	struct files_share shares[LIMIT_FILE_SHARES];	/* of the same */
	size_t n_shares;
	struct address asked[FILES_ASKED_MAX];	/* who may answer a request; the last was asked last */
	size_t n_asked;
	bool searching;			/* everybody was asked who has it */
	uint64_t asked_s;		/* unix seconds of the last request */
};

/* Queues the record. -EMFILE when it is new and the user has LIMIT_FILES; storage errors. */
int files_put(const struct records *r, const struct files_entry *e);

/* -ENOENT, -EBADMSG. The caller wipes @out. */
int files_get(const struct records *r, const struct ident *id, struct files_entry *out);

/* Queues removal. Storage errors. */
int files_del(const struct records *r, const struct ident *id);

/* True when a record of @state counts as announced: such go first for want of room. */
bool files_is_advert(enum file_state state);

/*
 * Calls @cb for each of the user's files in steps, as records_walk_next(); @e is borrowed
 * and wiped afterwards.
 */
typedef int (*files_cb)(void *ctx, const struct files_entry *e);
int files_walk_begin(const struct records *r, struct records_walk *walk);
int files_walk_next(const struct records *r, struct records_walk *walk, size_t max, files_cb cb,
		    void *ctx);

/*
 * The user's own secret, made when first asked for, which the grants of its
 * announcements to namespaces are made from: who knows a grant has read one of them.
 */
int files_grant(const struct records *r, const struct recipient *to,
		uint8_t out[static FILES_GRANT_LEN]);

#endif
