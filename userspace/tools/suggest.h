/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The word somebody probably meant.
 */
#ifndef RATMAN_TOOLS_SUGGEST_H
#define RATMAN_TOOLS_SUGGEST_H

#include <stddef.h>

/*
 * The entry of @words (n of them) nearest to @word by edits (insert, delete,
 * replace, swap of neighbours), or NULL when none is near: more than a third
 * of the letters, at least 2, would have to change. Case does not count. Borrowed.
 */
const char *suggest_nearest(const char *word, const char *const *words, size_t n);

/*
 * The only entry that starts with @word, or is @word; NULL when none or several do.
 */
const char *suggest_complete(const char *word, const char *const *words, size_t n);

#endif
