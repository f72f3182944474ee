/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Asking for the passphrase of the store on the terminal.
 */
#ifndef RATMAND_PASSPHRASE_H
#define RATMAND_PASSPHRASE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * As ask in struct nodekey_options: reads a line from /dev/tty without showing
 * it, a fresh one twice. -ENOKEY without a terminal, or when the two differ.
 */
int ask_passphrase(void *ctx, bool fresh, char *out, size_t size);

#endif
