/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of files share: files.c (life, looking), filepack.c (packing),
 * fileshare.c (announcing, asking, sending), filerecv.c (what comes from others),
 * filetend.c (downloads that do not move).
 */
#ifndef RATMAND_SERVICE_FILES_PRIV_H
#define RATMAND_SERVICE_FILES_PRIV_H

#include "proto/notice.h"
#include "ratmand/flow/content.h"
#include "ratmand/service/filehash.h"
#include "ratmand/service/fileroom.h"
#include "ratmand/service/files.h"
#include "ratmand/store/catalogs.h"
#include "ratmand/store/contents.h"
#include "ratmand/store/files.h"

/* Requests of one address that are answered at once, and how many more each second. */
#define ASKERS_MAX 256
#define ASKER_BURST 64
#define ASKER_RATE 2

struct files_asker {
	struct address address;
	uint64_t at;			/* loop ms */
	uint32_t tokens;		/* requests that will be answered */
};

/* How much of a file that is arriving is here. */
struct files_progress {
	struct ident id;
	uint64_t held;
	bool stalled;
};

#define PROGRESS_MAX 64

/* Downloads that are looked after, and when one that does not move is asked for elsewhere. */
#define DOWNLOADS_MAX 1024
#define FILE_STALL_MS 60000

struct files_watch {
	struct files_watch *prev, *next;
	struct files *files;
	struct address user;
	files_meta_cb cb;
	void *ctx;
	struct files_progress seen[PROGRESS_MAX];	/* as last told */
	size_t n_seen;
};

struct files {
	uv_loop_t *loop;
	struct store *store;
	struct flow *flow;
	struct online *online;
	uint64_t accept;		/* bytes */
	struct fileroom room;		/* of what came unasked */
	struct catalogs catalogs;
	struct files_watch *watches;
	struct arrival *arrivals;	/* parcels being looked at (filerecv.c) */
	uv_timer_t *timer;		/* runs while there are watches; data NULL when we have gone */
	struct download *downloads;	/* owned; filetend.c */
	size_t n_downloads;
	uint64_t stall_ms;		/* FILE_STALL_MS, but for tests */
	uv_timer_t *tender;		/* runs while there are downloads */
	struct files_asker askers[ASKERS_MAX];
	struct files_stats stats;
};

/* A call whose answer waits for the commit. */
void files_commit(struct files *f, files_done_cb done, void *ctx);

const struct records *files_records(const struct files *f, const struct address *user);

/* True when all of it is here. */
bool files_is_here(const struct files_entry *e);

/* Its content; -ENODATA when it is not here, -ESTALE when the journal has lost it. */
int files_content(const struct files *f, const struct files_entry *e, struct flow_content *out);

/*
 * Makes @e, with all but its content, a file of the user that is here: with the content
 * of @fresh, which is open, or the one that is kept of the same file already. Queues all.
 */
int files_take(struct files *f, const struct records *r, struct files_entry *e,
	       const struct flow_content *fresh);

/* Removes the record, and lets go of its content. */
int files_drop(struct files *f, const struct records *r, const struct files_entry *e);

/* Tells those who watch @user. */
void files_tell(struct files *f, const struct address *user, const struct files_entry *e);
/* The same for a file that is announced to a group @user belongs to. */
void files_tell_advert(struct files *f, const struct address *user, const struct address *owner,
		       const struct notice_file *file);
/* Whatever @id is to @user now; nothing when it is nothing. */
void files_tell_now(struct files *f, const struct address *user, const struct ident *id);

/* True when @user belongs to the group. */
bool files_in_group(const struct files *f, const struct address *user,
		    const struct recipient *group);

/* The catalogs @user sees that have @id, one after another: @c NULL at first; NULL at the end. */
const struct catalog *files_next_catalog(const struct files *f, const struct address *user,
					 const struct ident *id, const struct catalog *c);

/* A new record of something that is not here. */
void files_entry_init(struct files_entry *e, const struct address *owner,
		      const struct notice_file *file, enum file_state state);

/*
 * The oldest announcements go, when the user has as many as there may be. -EMFILE when that
 * makes no room for one file more; storage errors.
 */
int files_make_room(struct files *f, const struct records *r);

/* Calls off what is arriving of @id for @user. */
void files_cancel(struct files *f, const struct address *user, const struct ident *id);

/* fileshare.c */

/* Gives the announcements of @old, an earlier version of @e, to @e, and tells everybody. */
int fileshare_move(struct files *f, const struct records *r, struct files_entry *old,
		   struct files_entry *e);

/* Announces @e once more to whom it is announced: it has another name. */
int fileshare_refresh(struct files *f, const struct records *r, const struct files_entry *e);

/* Announces it no more to anybody, as far as that can be told. */
void fileshare_withdraw(struct files *f, const struct records *r, const struct files_entry *e);

/* Asks @holder for @e, which becomes IN_PROGRESS; queues the record. */
int fileshare_ask(struct files *f, const struct records *r, struct files_entry *e,
		  const struct address *holder);

/* Asks the next who announced @e, the owner first. -ENOENT when all were asked. */
int fileshare_ask_next(struct files *f, const struct records *r, struct files_entry *e);

/*
 * A holder of @e, IN_PROGRESS, has failed: the next is asked, or, unless another has sent
 * a part of it, it is not in progress any more.
 */
void fileshare_holder_failed(struct files *f, const struct records *r, struct files_entry *e,
			     const struct address *holder);

/* Sends a notice without a file; @grant may be NULL. */
int fileshare_say(struct files *f, enum notice_kind kind, const struct address *from,
		  const struct recipient *to, const struct ident *id, const uint8_t *grant);

/* Sends the file itself. Errors of files_content() and of the parcels. */
int fileshare_give(struct files *f, const struct files_entry *e, const struct address *from,
		   const struct recipient *to);

/* The catalogs of @user once more, for those who may have missed them. */
void fileshare_repeat(struct files *f, const struct address *user);

/* True when @who was asked for @e. */
bool fileshare_was_asked(const struct files_entry *e, const struct address *who);
void fileshare_forget_asked(struct files_entry *e, const struct address *who);

/* @user goes for ever: what it announces to groups is taken back. */
void fileshare_farewell(struct files *f, const struct records *r);

/* filerecv.c: files that come. */
void filerecv_start(struct files *f);
void filerecv_stop(struct files *f);

/* filetend.c: downloads that do not move. -ENOMEM. */
int filetend_start(struct files *f);
void filetend_stop(struct files *f);
/* @user has asked for @id just now. */
void filetend_add(struct files *f, const struct address *user, const struct ident *id);
/* What @user was asking for before. */
void filetend_user_up(struct files *f, const struct address *user);

/* filenotice.c: notices that come. */
void filenotice_start(struct files *f);

/*
 * A catalog of @owner to @group: kept in place of the one before, and what is new in it
 * told to the users of the group. 0 also when it is not new; storage errors.
 */
int filenotice_catalog(struct files *f, const struct recipient *group,
		       const struct address *owner, bool own, const uint8_t *data, size_t len);

#endif
