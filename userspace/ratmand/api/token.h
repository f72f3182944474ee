/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which tokens stand for which addresses, shared by all connections, in memory
 * only. An address has at most one lasting token, from Addr/Up to Addr/Down, and
 * any number of client sessions, each with a token that expires when it is not
 * used. Lasting tokens are kept as keyed hashes alone; those of sessions also
 * as they are, in guarded memory, because services are told when they end.
 *
 * Time is what token_table_set_now() said last; a session is over from its
 * deadline on, whether or not token_table_take_expired() has removed it.
 */
#ifndef RATMAND_API_TOKEN_H
#define RATMAND_API_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"

struct token_table;

#define TOKEN_NO_UID ((uid_t)-1)

/* A login. Secret: wipe it. */
struct token_session {
	struct address address;
	struct ident token;
	uid_t uid;		/* of the program that logged in, or TOKEN_NO_UID */
};

/* NULL when out of memory. Owned; token_table_free(). */
struct token_table *token_table_new(void);
void token_table_free(struct token_table *t);

/* Replaces the lasting token of @address. 0 or -ENOMEM. */
int token_table_put(struct token_table *t, const struct address *address,
		    const struct ident *token);

/* Removes it; its sessions stay. */
void token_table_remove(struct token_table *t, const struct address *address);

/* Enters a session (copied) that ends at @deadline. 0, -ENOMEM, -EEXIST (token in use). */
int token_table_open(struct token_table *t, const struct token_session *session,
		     uint64_t deadline);

/* Puts off the end of the session of @token; nothing happens when it is none. */
void token_table_renew(struct token_table *t, const struct ident *token, uint64_t deadline);

/*
 * Each removes one session and says which in @out; false when there is none: that
 * of @token; any of @address; the one that expired first.
 */
bool token_table_close(struct token_table *t, const struct ident *token,
		       struct token_session *out);
bool token_table_take(struct token_table *t, const struct address *address,
		      struct token_session *out);
bool token_table_take_expired(struct token_table *t, struct token_session *out);

void token_table_set_now(struct token_table *t, uint64_t now);
/* The nearest deadline; UINT64_MAX without sessions. */
uint64_t token_table_next(const struct token_table *t);

/*
 * True when @token stands for @address. Takes the same work for every other one:
 * wrong, unknown, expired, or of another address.
 */
bool token_table_check(const struct token_table *t, const struct address *address,
		       const struct ident *token);

/* True when @token stands for any address. */
bool token_table_knows(const struct token_table *t, const struct ident *token);

/* The address that @token stands for; false when there is none. */
bool token_table_find(const struct token_table *t, const struct ident *token,
		      struct address *out);

/* True when @token is that of a session, over or not. */
bool token_table_is_session(const struct token_table *t, const struct ident *token);

/* True while @address has any token. */
bool token_table_has(const struct token_table *t, const struct address *address);

/* Tokens; sessions among them; sessions of @address. */
size_t token_table_count(const struct token_table *t);
size_t token_table_sessions(const struct token_table *t);
size_t token_table_sessions_of(const struct token_table *t, const struct address *address);
/* The most sessions that any address has. */
size_t token_table_most(const struct token_table *t);

#endif
