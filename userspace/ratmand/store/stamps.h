/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stamps: numbers per address that only ever grow. Private to store.c.
 *
 * The store holds the end of a reserve; a stamp is given out only below an end
 * that is durable.
 */
#ifndef RATMAND_STORE_STAMPS_H
#define RATMAND_STORE_STAMPS_H

#include "ratmand/store/store.h"

struct stamps;

/* @store is borrowed and outlives it. NULL when memory is short. */
struct stamps *stamps_new(struct store *store);
void stamps_free(struct stamps *stamps);

/* As store_next_stamp(). */
uint64_t stamps_next(struct stamps *stamps, const struct address *address);

#endif
