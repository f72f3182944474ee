// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Namespace 8, Space (microframe.md section 3.5).
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ratmand/api/client.h"

/* None of these replies carries the token (op table). */
static void space_reply(struct client *c, int err)
{
	static const uint8_t ok = PING_OK;

	if (err)
		client_reply_errno(c, false, err);
	else
		client_frame(c, MODE_REPLY, false, &ok, 1);
	client_process(c);
}

static void on_created(void *ctx, int err)
{
	struct client *c = ctx;

	if (!client_answered(c))
		return;
	if (err == -EINVAL) {
		client_reply_input(c, "private key", "the one of this namespace");
		client_process(c);
	} else {
		space_reply(c, err);
	}
}

void space_create(struct client *c)
{
	struct api_server *s = c->server;
	struct payload_space_create p;

	if (payload_read_space_create(c->payload, c->header.payload_len, &p)) {
		client_reply_input(c, "payload", "public and private key");
		return;
	}
	client_ask(c);
	s->ops->space_create(s->be, &p.space, p.key, on_created, c);
	sodium_memzero(&p, sizeof(p));
}

static void on_up(void *ctx, int err)
{
	struct client *c = ctx;

	if (client_answered(c))
		space_reply(c, err);
}

void space_up(struct client *c)
{
	struct api_server *s = c->server;
	struct address client, space;

	if (payload_read_space(c->payload, c->header.payload_len, &client, &space)) {
		client_reply_input(c, "payload", "address and namespace");
		return;
	}
	client_ask(c);
	s->ops->space_up(s->be, &client, &space, on_up, c);
}

static void on_down(void *ctx, int err)
{
	struct client *c = ctx;

	if (!client_answered(c))
		return;
	if (err == -EINVAL) {
		client_reply_input(c, "namespace", "one this address is a member of");
		client_process(c);
	} else {
		space_reply(c, err);
	}
}

void space_down(struct client *c)
{
	struct api_server *s = c->server;
	struct address client, space;

	if (payload_read_space(c->payload, c->header.payload_len, &client, &space)) {
		client_reply_input(c, "payload", "address and namespace");
		return;
	}
	client_ask(c);
	s->ops->space_down(s->be, &client, &space, on_down, c);
}

/* ---- Anycast ---- */

struct answer {
	struct address member;
	uint64_t ms;
};

struct anycast_job {
	struct client_job job;		/* first member */
	struct api_server *server;
	struct client *client;		/* NULL when it is gone */
	struct address self;
	struct backend_anycast *probe;	/* owned */
	uv_timer_t timer;
	struct answer *answers;		/* owned; sorted, each member once */
	size_t n, room;
	bool failed;			/* out of memory: some are missing */
	bool denied;			/* the address that asks went down */
};

static void on_job_closed(uv_handle_t *handle)
{
	struct anycast_job *j = handle->data;
	struct api_server *s = j->server;

	free(j->answers);
	free(j);
	server_release(s);
}

static void anycast_end(struct anycast_job *j)
{
	j->server->ops->anycast_stop(j->probe);
	j->probe = NULL;
	uv_close((uv_handle_t *)&j->timer, on_job_closed);
}

static void anycast_gone(struct client *c, struct client_job *job)
{
	(void)c;
	anycast_end((struct anycast_job *)job);
}

static void answer_remove(struct anycast_job *j, size_t i)
{
	j->n--;
	memmove(&j->answers[i], &j->answers[i + 1], (j->n - i) * sizeof(*j->answers));
}

static bool answer_room(struct anycast_job *j)
{
	size_t room = j->room ? 2 * j->room : 16;
	struct answer *wider;

	if (j->n < j->room)
		return true;
	wider = realloc(j->answers, room * sizeof(*wider));
	if (!wider)
		return false;
	j->answers = wider;
	j->room = room;
	return true;
}

/* Keeps the answers sorted by time, then address; of two of one member the quicker. */
static void on_answer(void *ctx, const struct address *member, uint64_t ms)
{
	struct anycast_job *j = ctx;
	size_t i;

	for (i = 0; i < j->n; i++) {
		if (!address_equal(&j->answers[i].member, member))
			continue;
		if (j->answers[i].ms <= ms)
			return;
		answer_remove(j, i);
		break;
	}
	if (j->n == LIMIT_ANYCAST_ANSWERS) {
		if (j->answers[j->n - 1].ms <= ms)
			return;
		j->n--;
	}
	if (!answer_room(j)) {
		j->failed = true;
		return;
	}
	for (i = j->n; i > 0; i--) {
		const struct answer *before = &j->answers[i - 1];

		if (before->ms < ms ||
		    (before->ms == ms && address_compare(&before->member, member) < 0))
			break;
		j->answers[i] = *before;
	}
	j->answers[i] = (struct answer){ *member, ms };
	j->n++;
}

static void anycast_reply(struct anycast_job *j)
{
	size_t size = 1 + 2 + j->n * (ADDRESS_LEN + 8);
	struct client *c = j->client;
	struct wire_writer w;
	uint8_t *buf = malloc(size);

	if (!buf || j->failed) {
		client_reply_internal(c, false, "out of memory");
	} else {
		wire_write_init(&w, buf, size);
		ping_write_anycast(&w, (uint16_t)j->n);
		for (size_t i = 0; i < j->n; i++)
			ping_write_anycast_entry(&w, &j->answers[i].member, j->answers[i].ms);
		client_frame(c, MODE_REPLY, true, buf, size);
	}
	free(buf);
}

static void on_time(uv_timer_t *timer)
{
	struct anycast_job *j = timer->data;
	struct client *c = j->client;

	client_end_job(c);
	anycast_reply(j);
	anycast_end(j);
	client_process(c);
}

/* Whoever asks must be up: its token is of no use any more. */
static void anycast_address_gone(struct client *c, struct client_job *job,
				 const struct address *address)
{
	struct anycast_job *j = (struct anycast_job *)job;

	if (!address_equal(&j->self, address))
		return;
	j->denied = true;
	client_kick(c);
}

static void anycast_progress(struct client *c, struct client_job *job)
{
	struct anycast_job *j = (struct anycast_job *)job;

	if (!j->denied)
		return;
	client_end_job(c);
	client_reply_code(c, PING_E_AUTH);
	anycast_end(j);
}

void space_anycast(struct client *c)
{
	struct api_server *s = c->server;
	struct payload_anycast p;
	struct anycast_job *j;
	int err;

	if (payload_read_anycast(c->payload, c->header.payload_len, &p)) {
		client_reply_input(c, "payload", "address, namespace and timeout");
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		client_reply_internal(c, false, "out of memory");
		return;
	}
	j->job.gone = anycast_gone;
	j->job.progress = anycast_progress;
	j->job.address_gone = anycast_address_gone;
	j->server = s;
	j->client = c;
	j->self = p.self;
	err = s->ops->anycast(s->be, &p.self, &p.space, on_answer, j, &j->probe);
	if (err) {
		free(j->answers);
		free(j);
		client_reply_errno(c, false, err);
		return;
	}
	uv_timer_init(s->loop, &j->timer);
	j->timer.data = j;
	s->handles++;
	client_start_job(c, &j->job);
	uv_timer_start(&j->timer, on_time,
		       p.timeout_ms < LIMIT_ANYCAST_MS ? p.timeout_ms : LIMIT_ANYCAST_MS, 0);
}
