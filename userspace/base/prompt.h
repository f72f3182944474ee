/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking for a secret on a terminal, without showing it.
 */
#ifndef RATMAN_BASE_PROMPT_H
#define RATMAN_BASE_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Asks on the controlling terminal with @prompt, with @twice a second time to compare.
 * @out (@size bytes) gets the line without its end; it is not empty. -ENXIO without a terminal,
 * -EINVAL for an empty or too long answer, or two that differ. A signal such as
 * Ctrl-C takes effect after the terminal is as it was. The caller wipes @out.
 */
int prompt_secret(const char *prompt, bool twice, char *out, size_t size);

#endif
