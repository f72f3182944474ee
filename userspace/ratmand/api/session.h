/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Client sessions: logins of users (service-api.md R1 to R3). Each has a token of
 * its own, which is as good as the address's own token in every request; it ends
 * by User/Down, with the address, or when no request came with it for
 * session_timeout. With its last session a user goes offline, unless Addr/Up
 * keeps the address up. Private to api/.
 */
#ifndef RATMAND_API_SESSION_H
#define RATMAND_API_SESSION_H

#include "base/address.h"

struct api_server;
struct client;

/* The timer. */
void session_init(struct api_server *s);
void session_stop(struct api_server *s);

/*
 * Opens a session of @address, which is online, for @c; @token is its, to be wiped. Tells
 * services. -EUSERS (max_sessions), -EMFILE (max_sessions_per_user), -ENOMEM.
 */
int session_open(struct client *c, const struct address *address, struct ident *token);

/* Nothing stands for @address any more: it goes offline. Else nothing happens. */
void session_settle(struct api_server *s, const struct address *address);

/* Ends the session of @token. False when it is not one of a session. */
bool session_close(struct api_server *s, const struct ident *token);

/* @address is no longer up: nobody may act for it, and its listeners end. */
void session_address_gone(struct api_server *s, const struct address *address);

/* Ends what has expired by now; to be called before a token is looked at. */
void session_tick(struct api_server *s);

/* The request of @c was allowed because of its token. */
void session_renew(struct client *c);

#endif
