/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What services keep for the users who are online (store/services.h): the catalogues
 * that are open, those used last.
 */
#ifndef RATMAND_SERVICE_VALUES_H
#define RATMAND_SERVICE_VALUES_H

#include "ratmand/service/online.h"
#include "ratmand/store/services.h"

struct values;

/* @store and @online are borrowed and outlive it. NULL when out of memory. */
struct values *values_new(struct store *store, const struct online *online);
void values_free(struct values *v);

/* Of @user: borrowed until the next call. -EACCES when he is not online, -ENOMEM, storage errors. */
int values_of(struct values *v, const struct address *user, struct services **out);

/* @user goes offline: before his key is closed. */
void values_close(struct values *v, const struct address *user);

#endif
