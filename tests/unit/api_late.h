/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wraps a backend for the client protocol server: answers that come late or
 * never did any good, calls that fail, and a count of everything that the
 * server opened and has not closed. For tests; one at a time.
 */
#ifndef TESTS_API_LATE_H
#define TESTS_API_LATE_H

#include <stdbool.h>
#include <stddef.h>

#include "ratmand/api/backend.h"

/* The table of @inner (borrowed) with this in between; to be given the backend of @inner. */
const struct backend_ops *late_ops(const struct backend_ops *inner);

/* Answers wait for late_turn() from now on, or those that wait are given and none does. */
void late_set(bool late);

/* Every @n-th call that can fails; 0: none. */
void late_set_failing(unsigned int n);

/* Gives the oldest answer that waits; false when there is none. */
bool late_turn(void);

/* Sends, listeners and receives not ended, and answers not given. */
size_t late_busy(void);

/* How often addr_check was asked. */
size_t late_checks(void);

#endif
