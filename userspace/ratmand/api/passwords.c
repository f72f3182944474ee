// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/api/passwords.h"

#include <utlist.h>

#include "base/limits.h"
#include "ratmand/api/client.h"

/* Those whose clients have died keep nobody waiting. */
static void sweep(struct passwords *p)
{
	struct password_wait *w, *next;

	DL_FOREACH_SAFE(p->waiting, w, next) {
		if (w->client->phase != CLIENT_DEAD)
			continue;
		DL_DELETE(p->waiting, w);
		w->drop(w);
	}
}

/* Begins what is next. Whoever calls has a client that lives on, and the server with it. */
static void begin_next(struct passwords *p)
{
	if (p->choosing)
		return;
	p->choosing = true;
	sweep(p);
	/* One that is over at once has left already. */
	while (!p->current && p->waiting) {
		struct password_wait *w = p->waiting;

		DL_DELETE(p->waiting, w);
		p->current = w;
		p->round = w->round;
		w->begin(w);
	}
	p->choosing = false;
}

static unsigned int count(const struct passwords *p, const struct origin *of)
{
	const struct password_wait *w;
	unsigned int n = p->current && (!of || origin_equal(&p->current->origin, of));

	DL_FOREACH(p->waiting, w)
		n += !of || origin_equal(&w->origin, of);
	return n;
}

bool passwords_have_room(struct client *c)
{
	struct passwords *p = &c->server->passwords;
	struct origin origin = origin_of(c);

	sweep(p);
	return count(p, NULL) < LIMIT_PASSWORDS && count(p, &origin) < LIMIT_PASSWORDS_EACH;
}

/* Who is in the list already stays in front of one of the same round. */
static int by_round(const struct password_wait *earlier, const struct password_wait *w)
{
	return earlier->round <= w->round ? -1 : 1;
}

/*
 * In a round everybody has one turn: a request is for the first round after the present
 * one in which there is none of its origin yet, and behind those of others who were earlier.
 */
void passwords_enter(struct api_server *s, struct password_wait *w)
{
	struct passwords *p = &s->passwords;
	const struct password_wait *other;

	w->origin = origin_of(w->client);
	w->round = p->round + 1;
	DL_FOREACH(p->waiting, other)
		if (origin_equal(&other->origin, &w->origin))
			w->round = other->round + 1;
	DL_INSERT_INORDER(p->waiting, w, by_round);
	begin_next(p);
}

void passwords_leave(struct api_server *s, struct password_wait *w)
{
	if (s->passwords.current == w)
		s->passwords.current = NULL;
	begin_next(&s->passwords);
}
