/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what somebody typed to an address.
 */
#ifndef RATMAN_TOOLS_RESOLVE_H
#define RATMAN_TOOLS_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* 0 when @text is a whole address, so that no list is needed; else -EINVAL. */
int resolve_full(const char *text, struct address *out);

/* True when @text can be the beginning of an address or id, or the short form of one ("0102…1F20"). */
bool resolve_is_part(const char *text);

/* True when @text is such a part of @a. */
bool resolve_fits(const char *text, const struct address *a);

/*
 * Finds the one entry of @known (n of them) meant by @text: the full text form
 * (also when it is not in the list), a prefix of it that fits one entry only,
 * the short form "0102…1F20" (or "0102..1F20"), or its IPv6 address. Returns 0,
 * -EINVAL for text that is none of these, -ENOENT when nothing fits, -ENOTUNIQ
 * when several do; @why gets one line that says what to do: which others fit, or
 * which known one is nearest.
 */
int resolve_address(const char *text, const struct address *known, size_t n, struct address *out,
		    char *why, size_t why_size);

#endif
