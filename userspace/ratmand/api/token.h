/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which token stands for which address: filled by Addr/Up, emptied by
 * Addr/Down and Addr/Destroy, shared by all connections, in memory only. Holds
 * keyed hashes, never a token.
 */
#ifndef RATMAND_API_TOKEN_H
#define RATMAND_API_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct token_table;

/* NULL when out of memory. Owned; token_table_free(). */
struct token_table *token_table_new(void);
void token_table_free(struct token_table *t);

/* Replaces what stood for @address. 0 or -ENOMEM. */
int token_table_put(struct token_table *t, const struct address *address,
		    const struct ident *token);

void token_table_remove(struct token_table *t, const struct address *address);

/* True when exactly @token stands for @address. Constant time in the token. */
bool token_table_check(const struct token_table *t, const struct address *address,
		       const struct ident *token);

/* True when @token stands for any address. */
bool token_table_knows(const struct token_table *t, const struct ident *token);

/* The address that is up and that @token stands for; false when there is none. */
bool token_table_find(const struct token_table *t, const struct ident *token,
		      struct address *out);

size_t token_table_count(const struct token_table *t);

#endif
