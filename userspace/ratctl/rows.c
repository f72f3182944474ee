// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratctl/rows.h"

#include <stdlib.h>
#include <string.h>

void rows_init(struct rows *rows, size_t size)
{
	*rows = (struct rows){ .size = size };
}

void *rows_add(struct rows *rows)
{
	void *item;

	if (rows->n == rows->cap) {
		size_t cap = rows->cap ? rows->cap * 2 : 64;
		void *items = reallocarray(rows->items, cap, rows->size);

		if (!items) {
			rows->failed = 1;
			return NULL;
		}
		rows->items = items;
		rows->cap = cap;
	}
	item = (char *)rows->items + rows->n++ * rows->size;
	memset(item, 0, rows->size);
	return item;
}

void rows_sort(struct rows *rows, int (*compare)(const void *, const void *))
{
	if (rows->n)
		qsort(rows->items, rows->n, rows->size, compare);
}

void rows_free(struct rows *rows)
{
	free(rows->items);
	rows->items = NULL;
	rows->n = 0;
}
