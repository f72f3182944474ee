// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fairness: one client gets a bounded share of each turn of the loop. Who has
 * more to do waits here in line, behind everybody whose sockets are ready.
 */
#include <malloc.h>
#include <utlist.h>

#include "ratmand/api/client.h"

/* From here on memory is worth giving back when most of it has been freed. */
#define MANY_CLIENTS 64
#define MUCH_QUEUED (1u << 20)

/* The loop must not sleep while somebody is in line; the work is done in on_turn(). */
static void on_soon(uv_idle_t *handle)
{
	(void)handle;
}

/* After a rush: what the C library keeps for the next one is the system's again. */
static void give_back(struct api_server *s)
{
	const struct api_counters *n = &s->counters;

	if (n->clients > s->most_clients)
		s->most_clients = n->clients;
	if (n->queued > s->most_queued)
		s->most_queued = n->queued;
	if ((s->most_clients < MANY_CLIENTS || n->clients > s->most_clients / 4) &&
	    (s->most_queued < MUCH_QUEUED || n->queued > s->most_queued / 4))
		return;
#ifdef __GLIBC__
	malloc_trim(0);
#endif
	s->most_clients = n->clients;
	s->most_queued = n->queued;
}

/* Once a turn: those who stood in line when it began. */
static void on_turn(uv_prepare_t *handle)
{
	struct api_server *s = handle->data;

	if (s->closing)
		return;
	s->turn++;
	s->accepts = 0;
	if (s->listen_next) {
		s->listen_next = false;
		listen_resume(s);
	}
	for (size_t n = s->n_turns; n && s->turns; n--) {
		struct client *c = s->turns;

		turn_forget(c);
		client_turn(c);
	}
	if (!s->turns && !s->listen_next)
		uv_idle_stop(&s->turn_soon);
	give_back(s);
}

static void on_closed(uv_handle_t *handle)
{
	server_release(handle->data);
}

int turn_init(struct api_server *s)
{
	int err = uv_prepare_init(s->loop, &s->turn_start);

	if (!err)
		err = uv_idle_init(s->loop, &s->turn_soon);
	if (err)
		return err;
	s->turn_start.data = s;
	s->turn_soon.data = s;
	s->handles += 2;
	return uv_prepare_start(&s->turn_start, on_turn);
}

void turn_close(struct api_server *s)
{
	uv_close((uv_handle_t *)&s->turn_start, on_closed);
	uv_close((uv_handle_t *)&s->turn_soon, on_closed);
}

void turn_queue(struct client *c)
{
	struct api_server *s = c->server;

	if (c->queued)
		return;
	c->queued = true;
	DL_APPEND2(s->turns, c, turn_prev, turn_next);
	s->n_turns++;
	if (!s->closing)
		uv_idle_start(&s->turn_soon, on_soon);
}

void turn_listen(struct api_server *s)
{
	s->listen_next = true;
	if (!s->closing)
		uv_idle_start(&s->turn_soon, on_soon);
}

void turn_forget(struct client *c)
{
	struct api_server *s = c->server;

	if (!c->queued)
		return;
	c->queued = false;
	DL_DELETE2(s->turns, c, turn_prev, turn_next);
	s->n_turns--;
}
