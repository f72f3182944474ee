/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The addresses that can be meant by a short form.
 */
#ifndef RATMAN_TOOLS_KNOWN_H
#define RATMAN_TOOLS_KNOWN_H

#include <stddef.h>

#include "base/address.h"
#include "ratman/ratman.h"

/*
 * Every address the daemon at @r knows, its own first. *@out (owned, free())
 * holds *@n. 0 or a libratman error.
 */
int known_addresses(struct ratman *r, struct address **out, size_t *n);

#endif
