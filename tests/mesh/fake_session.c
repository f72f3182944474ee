// SPDX-License-Identifier: GPL-2.0-or-later
/* The sessions of the fake kernels, and the packets that go through them. */
#include "mesh/kern_fake.h"

#include <stdlib.h>
#include <string.h>

#include "mesh/fake_priv.h"

#define STAGED_MS 10000
#define WANT_GAP_MS 1000
#define WANT_REPEAT_MS 2000
#define REKEY_MS 120000
#define REJECT_MS 180000
#define ERASE_MS 238000
#define IDLE_MS 240000
#define MAX_PACKETS 65536

static uint32_t packets;
static bool delivered[MAX_PACKETS];

struct session *fake_session(struct fake_node *node, const struct address *local,
			     const struct address *peer, bool create)
{
	struct session *s;

	for (size_t i = 0; i < node->n_sessions; i++) {
		s = &node->sessions[i];
		if (address_equal(&s->s.local, local) && address_equal(&s->s.peer, peer))
			return s;
	}
	if (!create)
		return NULL;
	if (node->n_sessions == node->cap_sessions) {
		node->cap_sessions = node->cap_sessions ? node->cap_sessions * 2 : 8;
		node->sessions = realloc(node->sessions, node->cap_sessions * sizeof(*s));
		if (!node->sessions)
			abort();
	}
	s = &node->sessions[node->n_sessions++];
	memset(s, 0, sizeof(*s));
	s->s.local = *local;
	s->s.peer = *peer;
	s->used_at = fake_now();
	address_to_ipv6(local, &s->s.local_ipv6);
	address_to_ipv6(peer, &s->s.peer_ipv6);
	return s;
}

void fake_sessions_drop(struct fake_node *node, const struct address *local,
			const struct address *peer)
{
	for (size_t i = 0; i < node->n_sessions;) {
		struct session *s = &node->sessions[i];

		if (address_equal(&s->s.local, local) &&
		    (!peer || address_equal(&s->s.peer, peer)))
			*s = node->sessions[--node->n_sessions];
		else
			i++;
	}
}

static bool key_younger(const struct skey *k, uint64_t ms)
{
	return k->set && fake_now() - k->born < ms;
}

static void session_want(struct fake_node *node, struct session *s, uint64_t gap)
{
	struct kern_event ev = { .cmd = RATMAN_CMD_SESSION_WANT };

	if (s->want_at && fake_now() < s->want_at + gap)
		return;
	s->want_at = fake_now();
	ev.session.local = s->s.local;
	ev.session.peer = s->s.peer;
	ev.session.staged = (uint32_t)s->n_staged;
	fake_event(node, &ev);
}

void fake_session_send(struct fake_node *node, struct session *s, uint32_t packet)
{
	const struct route *r = fake_route(node, &s->s.peer);
	struct neigh *n = r ? fake_hop(node, r, NULL) : NULL;
	struct frame *f;

	if (!n) {
		fake_counts.no_route++;
		return;
	}
	f = fake_frame(F_DATA, NULL, 0);
	f->dest = s->s.peer;
	f->session = s->cur.peer_index;
	memcpy(f->key, s->cur.tx, sizeof(f->key));
	f->packet = packet;
	f->src6 = s->s.local_ipv6;
	f->dst6 = s->s.peer_ipv6;
	s->used_at = fake_now();
	fake_send_tagged(node, n, f);
	if (!key_younger(&s->cur, REKEY_MS + (s->cur.initiator ? 0 : 30000)))
		session_want(node, s, WANT_REPEAT_MS);
}

/* There is a current key: what waits goes, or a keepalive. */
void fake_session_go(struct fake_node *node, struct session *s)
{
	size_t n = s->n_staged;

	s->n_staged = 0;
	if (!n)
		fake_session_send(node, s, 0);
	for (size_t i = 0; i < n; i++)
		fake_session_send(node, s, s->staged[i]);
}

uint32_t fake_packet(struct fake_node *node, const struct address *local,
		     const struct address *peer)
{
	struct session *s = fake_session(node, local, peer, false);
	uint32_t packet;

	if (!node->dev || !fake_has_addr(node, local))
		return 0;
	if (!fake_route(node, peer)) {
		fake_counts.no_route++;
		return 0;
	}
	if (!s)
		s = fake_session(node, local, peer, true);
	packet = ++packets % MAX_PACKETS;
	delivered[packet] = false;
	if (key_younger(&s->cur, REJECT_MS)) {
		fake_session_send(node, s, packet);
		return packet;
	}
	if (s->n_staged == MAX_STAGED)
		return 0;
	if (!s->n_staged)
		s->staged_at = fake_now();
	s->staged[s->n_staged++] = packet;
	session_want(node, s, WANT_GAP_MS);
	return packet;
}

bool fake_delivered(uint32_t packet)
{
	return packet && delivered[packet];
}

void fake_session_receive(struct fake_node *node, const struct frame *f)
{
	for (size_t i = 0; i < node->n_sessions; i++) {
		struct session *s = &node->sessions[i];
		struct skey *k = NULL;

		if (s->cur.set && s->cur.index == f->session)
			k = &s->cur;
		else if (s->prev.set && s->prev.index == f->session)
			k = &s->prev;
		else if (s->next.set && s->next.index == f->session)
			k = &s->next;
		if (!k)
			continue;
		if (memcmp(k->rx, f->key, sizeof(k->rx)) || !key_younger(k, REJECT_MS))
			break;
		if (memcmp(&f->src6, &s->s.peer_ipv6, 16) || memcmp(&f->dst6, &s->s.local_ipv6, 16)) {
			fake_counts.bad_inner++;
			return;
		}
		s->used_at = fake_now();
		if (k == &s->next) {
			s->prev = s->cur;
			s->cur = s->next;
			s->next.set = false;
			if (s->n_staged)
				fake_session_go(node, s);
		}
		if (f->packet) {
			delivered[f->packet] = true;
			fake_counts.delivered++;
		}
		return;
	}
	fake_counts.bad_key++;
}

void fake_sessions_sweep(struct fake_node *node)
{
	uint64_t now = fake_now();

	for (size_t i = 0; i < node->n_sessions;) {
		struct session *s = &node->sessions[i];

		if (!key_younger(&s->cur, ERASE_MS))
			s->cur.set = false;
		if (!key_younger(&s->prev, ERASE_MS))
			s->prev.set = false;
		if (!key_younger(&s->next, ERASE_MS))
			s->next.set = false;
		if (s->n_staged && now >= s->staged_at + STAGED_MS)
			s->n_staged = 0;
		if (s->n_staged)
			session_want(node, s, WANT_REPEAT_MS);
		if (!s->n_staged && !s->cur.set && !s->prev.set && !s->next.set &&
		    now >= s->used_at + IDLE_MS)
			*s = node->sessions[--node->n_sessions];
		else
			i++;
	}
}
