/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Client sessions: logins of users (service-api.md R1 to R3). Each has a token of
 * its own, which is as good as the address's own token in every request; it ends
 * by User/Down, with the address, or when no request came with it for
 * session_timeout. With its last session a user goes offline, unless Addr/Up
 * keeps the address up. Private to api/.
 */
#ifndef RATMAND_API_LOGIN_H
#define RATMAND_API_LOGIN_H

#include "base/address.h"

struct api_server;
struct client;

/* The timer. */
void login_init(struct api_server *s);
void login_stop(struct api_server *s);

/*
 * Keeps a session free for a user who is about to be made: -EUSERS. Given back, before
 * it is opened, by login_unpromise().
 */
int login_promise(struct api_server *s);
void login_unpromise(struct api_server *s);

/*
 * Opens a session of @address, which is online, for @c; @token is its, to be wiped. Tells
 * services. -EUSERS (max_sessions), -EMFILE (max_sessions_per_user), -ENOMEM.
 */
int login_open(struct client *c, const struct address *address, struct ident *token);

/* Nothing stands for @address any more: it goes offline. Else nothing happens. */
void login_settle(struct api_server *s, const struct address *address);

/* Ends the session of @token. False when it is not one of a session. */
bool login_close(struct api_server *s, const struct ident *token);

/* @address is no longer up: nobody may act for it, and its listeners end. */
void login_address_gone(struct api_server *s, const struct address *address);

/* Ends what has expired by now; to be called before a token is looked at. */
void login_tick(struct api_server *s);

/* The request of @c was allowed because of its token. */
void login_renew(struct client *c);

#endif
