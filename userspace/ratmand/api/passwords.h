/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Requests whose answer takes a key made from a password, which is slow on purpose:
 * one is worked on at a time, and the others wait. Every Unix user or host (origin.h)
 * has a share of the places, and they have their turns one after the other, so that
 * nobody is kept from logging in by another's requests. Private to api/.
 */
#ifndef RATMAND_API_PASSWORDS_H
#define RATMAND_API_PASSWORDS_H

#include "ratmand/api/origin.h"

struct api_server;

/* A place; part of what the request remembers. */
struct password_wait {
	struct password_wait *prev, *next;
	struct client *client;
	struct origin origin;
	uint64_t round;
	/* Its turn has come: calls the backend. passwords_leave() when that has answered. */
	void (*begin)(struct password_wait *w);
	/* Instead: the client has died meanwhile. Ends the call and frees @w. */
	void (*drop)(struct password_wait *w);
};

struct passwords {
	struct password_wait *current;	/* has begun */
	struct password_wait *waiting;	/* in the order of their turns */
	uint64_t round;			/* of the one that began last */
	bool choosing;
};

/*
 * True when there is a place for @c: not all are taken (LIMIT_PASSWORDS), nor all of its
 * origin (LIMIT_PASSWORDS_EACH).
 */
bool passwords_have_room(struct client *c);

/*
 * Takes a place, which there is, for a request after client_ask(): @w with client, begin
 * and drop filled in, borrowed until passwords_leave() or drop. May begin it at once.
 */
void passwords_enter(struct api_server *s, struct password_wait *w);

/* The backend has answered @w, which is no longer needed; the next one begins. */
void passwords_leave(struct api_server *s, struct password_wait *w);

#endif
