// SPDX-License-Identifier: GPL-2.0-or-later
/* Anycast: asks every member of a namespace whether it is there, and how far away. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <utlist.h>

#include "ratmand/flow/core.h"

/* Members asked by one probe, and at a time: connections are for streams, too. */
#define MAX_TARGETS 256
#define MAX_AT_ONCE 64
/* One that has no connection by then makes room for the next. */
#define GIVE_UP_MS 10000

struct probe_target {
	struct address member;
	uint64_t nonce;
	uint64_t asked_ns;		/* 0: not yet */
	uint64_t since;			/* loop ms: wanted */
	bool wanted;			/* holds a flow_want */
	bool done;			/* answered, left, or given up */
};

struct flow_probe {
	struct flow_probe *prev, *next;
	struct flow *flow;
	struct address self, space;
	flow_answer_cb answer;
	void *ctx;
	struct probe_target *targets;	/* owned, MAX_TARGETS */
	size_t n;
	size_t active;
};

static void settle_target(struct flow_probe *p, struct probe_target *t)
{
	if (t->wanted) {
		flow_unwant(p->flow, &p->self, &t->member);
		p->active--;
	}
	t->wanted = false;
	t->done = true;
}

static void add_target(void *ctx, const struct address *member)
{
	struct flow_probe *p = ctx;

	if (p->n == MAX_TARGETS)
		return;
	for (size_t i = 0; i < p->n; i++)
		if (address_equal(&p->targets[i].member, member))
			return;
	p->targets[p->n++] = (struct probe_target){ .member = *member };
}

static void ask(struct flow_probe *p, struct probe_target *t, struct flow_link *fl)
{
	uint8_t frame[EXCHANGE_SMALL_MAX];

	randombytes_buf(&t->nonce, sizeof(t->nonce));
	t->asked_ns = uv_hrtime();
	peerlink_send(fl->peerlink, frame,
		      exchange_put_probe(frame, EXCHANGE_PROBE, &p->space, t->nonce));
}

static void step(struct flow_probe *p)
{
	uint64_t now = uv_now(p->flow->loop);

	flow_members(p->flow, &p->space, add_target, p);
	for (size_t i = 0; i < p->n; i++) {
		struct probe_target *t = &p->targets[i];
		struct flow_link *fl;

		if (t->done)
			continue;
		if (!t->wanted) {
			if (p->active == MAX_AT_ONCE || flow_want(p->flow, &p->self, &t->member))
				continue;
			t->wanted = true;
			t->since = now;
			p->active++;
		}
		fl = t->asked_ns ? NULL : flow_link_find(p->flow, &p->self, &t->member);
		if (fl)
			ask(p, t, fl);
		else if (p->active == MAX_AT_ONCE && now - t->since >= GIVE_UP_MS)
			settle_target(p, t);
	}
}

void probe_tick(struct flow *f)
{
	struct flow_probe *p;

	DL_FOREACH(f->probes, p)
		step(p);
}

void probe_link_up(struct flow_link *fl)
{
	struct flow_probe *p;

	DL_FOREACH(fl->flow->probes, p) {
		if (!address_equal(&p->self, &fl->local))
			continue;
		for (size_t i = 0; i < p->n; i++) {
			struct probe_target *t = &p->targets[i];

			if (!t->done && !t->asked_ns && address_equal(&t->member, &fl->peer))
				ask(p, t, fl);
		}
	}
}

static void on_answer(struct flow_link *fl, const struct exchange_message *m)
{
	uint64_t now = uv_hrtime();
	struct flow_probe *p, *next;

	DL_FOREACH_SAFE(fl->flow->probes, p, next) {
		if (!address_equal(&p->self, &fl->local) || !address_equal(&p->space, &m->space))
			continue;
		for (size_t i = 0; i < p->n; i++) {
			struct probe_target *t = &p->targets[i];

			if (t->done || !t->asked_ns || t->nonce != m->probe ||
			    !address_equal(&t->member, &fl->peer))
				continue;
			settle_target(p, t);
			fl->flow->stats.answers++;
			p->answer(p->ctx, &t->member, (now - t->asked_ns) / 1000000);
			return;
		}
	}
	/* Of a probe that has ended. */
}

bool probe_message(struct flow_link *fl, const struct exchange_message *m)
{
	struct space *sp = space_find(fl->flow, &m->space);
	uint8_t frame[EXCHANGE_SMALL_MAX];

	if (!flow_link_allow(fl))
		return flow_link_wrong(fl);
	if (m->type == EXCHANGE_ANSWER) {
		on_answer(fl, m);
		return true;
	}
	if (sp && space_has_member(sp, &fl->local))
		peerlink_send(fl->peerlink, frame,
			      exchange_put_probe(frame, EXCHANGE_ANSWER, &m->space, m->probe));
	else
		peerlink_send(fl->peerlink, frame, exchange_put_leave(frame, &m->space));
	return true;
}

int flow_probe_start(struct flow *f, const struct address *self, const struct address *space,
		     flow_answer_cb answer, void *ctx, struct flow_probe **out)
{
	struct space *sp = space_find(f, space);
	struct flow_probe *p;

	if (!flow_secret(f, self))
		return -EACCES;
	p = calloc(1, sizeof(*p));
	if (p)
		p->targets = calloc(MAX_TARGETS, sizeof(*p->targets));
	if (!p || !p->targets) {
		free(p);
		return -ENOMEM;
	}
	p->flow = f;
	p->self = *self;
	p->space = *space;
	p->answer = answer;
	p->ctx = ctx;
	DL_APPEND(f->probes, p);
	for (size_t i = 0; sp && i < sp->n_members; i++)
		if (!address_equal(&sp->members[i], self))
			answer(ctx, &sp->members[i], 0);
	step(p);
	*out = p;
	return 0;
}

void flow_probe_stop(struct flow_probe *p)
{
	if (!p)
		return;
	DL_DELETE(p->flow->probes, p);
	for (size_t i = 0; i < p->n; i++)
		settle_target(p, &p->targets[i]);
	free(p->targets);
	free(p);
}
