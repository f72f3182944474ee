/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What users.c and lookup.c share. */
#ifndef RATMAND_SERVICE_USERS_PRIV_H
#define RATMAND_SERVICE_USERS_PRIV_H

#include "ratmand/service/directory.h"
#include "ratmand/service/users.h"
#include "ratmand/store/bygone.h"

struct users {
	uv_loop_t *loop;
	struct store *store;
	struct directory *directory;	/* owned */
	const struct users_ops *ops;
	void *ctx;
	struct users_change *changes;	/* owned; wait for their commits */
	struct lookup *lookups;		/* owned; who has the next turn first */
	uv_idle_t turn;			/* active while there are lookups */
	struct bygone bygone;
	struct users_stats stats;
};

/* The profile of one who is in the directory, as users_get(). */
int users_read(struct users *u, const struct directory_entry *e, struct profile_record *out,
	       uint8_t *avatar);

/* lookup.c */
int lookups_init(struct users *u);
/* Ends all without a word. */
void lookups_stop(struct users *u);

#endif
