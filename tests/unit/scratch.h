/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a test needs before it can do anything with a store: a directory of its own, a loop,
 * the store in it. All of it fails the test when it cannot be had.
 */
#ifndef TESTS_UNIT_SCRATCH_H
#define TESTS_UNIT_SCRATCH_H

#include <uv.h>

#include "ratmand/store/store.h"

#define SCRATCH_LEN 64

/* Makes an empty directory below /tmp, named after the program; @dir gets its path. */
void scratch_make(char dir[SCRATCH_LEN]);

/* Removes it with all that is in it. */
void scratch_remove(const char *dir);

/* A TCP port of ::1 that nobody else gets while the program runs; libuv can listen there. */
uint16_t scratch_port(void);

/* Opens the store that is in @dir, or a new one. */
void scratch_store(struct store **store, uv_loop_t *loop, const char *dir);

/* A directory, a loop, and a new store. */
void scratch_begin(char dir[SCRATCH_LEN], uv_loop_t *loop, struct store **store);

/* Closes the store (NULL: it is closed), ends the loop, removes the directory. Returns 0. */
int scratch_end(const char *dir, uv_loop_t *loop, struct store *store);

#endif
