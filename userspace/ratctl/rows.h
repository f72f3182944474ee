/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rows gathered from a dump, sorted and printed.
 */
#ifndef RATCTL_ROWS_H
#define RATCTL_ROWS_H

#include <stddef.h>

struct rows {
	void *items;		/* owned; free with rows_free() */
	size_t n, cap, size;
	int failed;		/* out of memory */
};

/* Starts an empty list of items of @size bytes. */
void rows_init(struct rows *rows, size_t size);

/* A new zeroed item at the end (borrowed until the next call), or NULL. */
void *rows_add(struct rows *rows);

void rows_sort(struct rows *rows, int (*compare)(const void *, const void *));
void rows_free(struct rows *rows);

#endif
