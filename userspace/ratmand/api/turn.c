// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fairness: one client gets a bounded share of each turn of the loop. Who has
 * more to do waits here in line, behind everybody whose sockets are ready.
 */
#include <utlist.h>

#include "ratmand/api/client.h"

/* The loop must not sleep while somebody is in line; the work is done in on_turn(). */
static void on_soon(uv_idle_t *handle)
{
	(void)handle;
}

/* Once a turn: those who stood in line when it began. */
static void on_turn(uv_prepare_t *handle)
{
	struct api_server *s = handle->data;

	s->turn++;
	for (size_t n = s->n_turns; n && s->turns; n--) {
		struct client *c = s->turns;

		turn_forget(c);
		client_turn(c);
	}
	if (!s->turns)
		uv_idle_stop(&s->turn_soon);
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

void turn_forget(struct client *c)
{
	struct api_server *s = c->server;

	if (!c->queued)
		return;
	c->queued = false;
	DL_DELETE2(s->turns, c, turn_prev, turn_next);
	s->n_turns--;
}
