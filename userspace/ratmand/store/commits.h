/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Group commit: what is queued while one transaction syncs becomes the next.
 * Private to store.c, which has one for each environment.
 */
#ifndef RATMAND_STORE_COMMITS_H
#define RATMAND_STORE_COMMITS_H

#include "ratmand/store/environment.h"

struct pump;

struct commits {
	uv_loop_t *loop;
	const char *name;	/* for messages */
	struct environment *env;	/* borrowed */
	struct overlay overlay;
	struct pump *pump;
	struct overlay_waiter *due;	/* answers to give from the loop */
	struct overlay_waiter **due_end;
	uint64_t failures;
	int failure;		/* why the last of them */
	uint64_t retry_at;	/* loop time; 0 = the error stays */
	int error;		/* writes are refused with it */
};

/* -ENOMEM. */
int commits_init(struct commits *c, uv_loop_t *loop, struct environment *env, const char *name);

/* Commits and answers what is left; leaves a timer to the loop, which must run once more. */
void commits_close(struct commits *c);

/* As store_put(), store_del(), store_commit(), store_flush(), store_room(). */
int commits_queue(struct commits *c, enum store_table table, const void *key, size_t key_len,
		  const void *value, size_t value_len, bool deleted);
void commits_wait(struct commits *c, store_done_cb cb, void *ctx);
int commits_flush(struct commits *c);
uint64_t commits_room(const struct commits *c);

#endif
