// SPDX-License-Identifier: GPL-2.0-or-later
#include "sim/sim.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum event_kind { EVENT_FRAME, EVENT_TICK, EVENT_DETECT, EVENT_BOOT };

struct sim_event {
	uint64_t at, serial;
	enum event_kind kind;
	unsigned int node;	/* that it happens to */
	unsigned int other;	/* sender, or link */
	size_t len;
	uint8_t *bytes;		/* owned */
};

uint32_t sim_random(struct sim *sim, uint32_t below)
{
	uint64_t z = sim->rng += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	return below ? (uint32_t)(z % below) : 0;
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->serial < b->serial;
}

static void push(struct sim *sim, struct sim_event ev)
{
	unsigned int i;

	if (sim->heap_n + 2 > sim->heap_cap) {
		sim->heap_cap = sim->heap_cap ? sim->heap_cap * 2 : 1024;
		sim->heap = realloc(sim->heap, sim->heap_cap * sizeof(*sim->heap));
		if (!sim->heap)
			abort();
	}
	ev.serial = sim->serial++;
	for (i = ++sim->heap_n; i > 1 && before(&ev, &sim->heap[i / 2]); i /= 2)
		sim->heap[i] = sim->heap[i / 2];
	sim->heap[i] = ev;
}

static struct sim_event pop(struct sim *sim)
{
	struct sim_event top = sim->heap[1], last = sim->heap[sim->heap_n--];
	unsigned int i = 1;

	for (;;) {
		unsigned int c = i * 2;

		if (c > sim->heap_n)
			break;
		if (c < sim->heap_n && before(&sim->heap[c + 1], &sim->heap[c]))
			c++;
		if (!before(&sim->heap[c], &last))
			break;
		sim->heap[i] = sim->heap[c];
		i = c;
	}
	sim->heap[i] = last;
	return top;
}

static struct sim_link *find_link(const struct sim *sim, unsigned int a, unsigned int b)
{
	for (unsigned int i = 0; i < sim->n_links; i++) {
		struct sim_link *l = &sim->links[i];

		if ((l->a == a && l->b == b) || (l->a == b && l->b == a))
			return l;
	}
	return NULL;
}

static unsigned int index_of(const struct sim *sim, const struct address *address)
{
	for (unsigned int i = 0; i < sim->n; i++)
		if (address_equal(&sim->nodes[i].address, address))
			return i;
	return sim->n;
}

/* ---- a router ---- */

static void rearm(struct sim_node *node)
{
	uint64_t at = node->core ? route_deadline(node->core) : UINT64_MAX;
	struct sim *sim = node->sim;

	if (at == UINT64_MAX)
		return;
	if (at < sim->now)
		at = sim->now;
	if (node->tick_at <= at)
		return;
	node->tick_at = at;
	push(sim, (struct sim_event){ .at = at, .kind = EVENT_TICK, .node = node->index });
}

/* A liar's frames: every metric 0, now and then a bit of a record flipped. */
static void lie(struct sim *sim, uint8_t *bytes, size_t len)
{
	size_t at = 20;

	while (at + 3 <= len) {
		size_t tlv = (size_t)(bytes[at + 1] << 8 | bytes[at + 2]);
		uint8_t *value = bytes + at + 3;

		if (at + 3 + tlv > len)
			return;
		for (size_t i = 0; bytes[at] == 1 && i + 10 <= tlv; i += 10)
			value[i + 8] = value[i + 9] = 0;
		if (bytes[at] == 2) {
			value[0] = value[1] = 0;
			if (sim_random(sim, 8) == 0)
				value[6 + sim_random(sim, RECORD_LEN)] ^= 1;
		}
		if (bytes[at] == 8 && sim_random(sim, 8) == 0)
			value[4 + sim_random(sim, PRESENCE_LEN)] ^= 1;
		at += 3 + tlv;
	}
}

static void op_send(void *ctx, uint32_t neigh, const uint8_t *bytes, size_t len)
{
	struct sim_node *node = ctx;
	struct sim *sim = node->sim;
	struct sim_link *l = find_link(sim, node->index, neigh);
	struct sim_event ev = { .kind = EVENT_FRAME, .node = neigh, .other = node->index };

	node->sent_bytes += len + SIM_HOP_HEADER;
	node->sent_frames++;
	if (!l || !l->up || sim_random(sim, 1000) < l->loss_permille)
		return;
	ev.len = len;
	for (int copies = sim_random(sim, 50) ? 1 : 2; copies > 0; copies--) {
		ev.bytes = malloc(len);
		memcpy(ev.bytes, bytes, len);
		if (node->liar)
			lie(sim, ev.bytes, len);
		ev.at = sim->now + l->delay_ms + sim_random(sim, l->delay_ms + 1);
		push(sim, ev);
	}
}

static void mark(struct sim *sim, unsigned int address)
{
	if (sim->dirty[address])
		return;
	sim->dirty[address] = true;
	sim->dirty_list[sim->n_dirty++] = address;
}

static void op_install(void *ctx, const struct address *address, const struct route_hop *hops,
		       size_t n, const uint8_t *cookie, size_t cookie_len)
{
	struct sim_node *node = ctx;
	unsigned int to = index_of(node->sim, address);
	struct sim_kernel_route *r;

	if (to == node->sim->n)
		return;
	r = &node->routes[to];
	r->present = true;
	r->n = (uint8_t)n;
	memcpy(r->hops, hops, n * sizeof(*hops));
	memcpy(r->cookie, cookie, cookie_len);
	node->sim->installs++;
	mark(node->sim, to);
}

static void op_uninstall(void *ctx, const struct address *address)
{
	struct sim_node *node = ctx;
	unsigned int to = index_of(node->sim, address);

	if (to == node->sim->n)
		return;
	node->routes[to].present = false;
	mark(node->sim, to);
}

static void announce(struct sim_node *node, uint64_t at_least)
{
	uint8_t bytes[RECORD_LEN];

	node->sequence = node->sequence + 1 > at_least ? node->sequence + 1 : at_least;
	record_build(bytes, node->secret, node->sequence, node->lifetime_s, 0);
	if (!node->sim->real_crypto)
		for (unsigned int i = 0; i < RECORD_SIGNED_LEN; i++)
			bytes[RECORD_SIGNED_LEN + i] = bytes[i] ^ 0x5a;
	route_local_add(node->core, node->sim->now, bytes);
}

static void op_want(void *ctx, const struct address *address, uint64_t sequence)
{
	(void)address;
	announce(ctx, sequence);
}

/* Cheap stand-in for a signature: the statement repeated, with every byte changed. */
static bool op_verify(void *ctx, const uint8_t record[RECORD_LEN])
{
	(void)ctx;
	for (unsigned int i = 0; i < RECORD_SIGNED_LEN; i++)
		if (record[RECORD_SIGNED_LEN + i] != (record[i] ^ 0x5a))
			return false;
	return true;
}

static void announce_member(struct sim_node *node, unsigned int space, uint64_t at_least,
			    uint8_t flags)
{
	struct sim *sim = node->sim;
	uint8_t bytes[PRESENCE_LEN];

	node->sequence = node->sequence + 1 > at_least ? node->sequence + 1 : at_least;
	presence_build(bytes, sim->space_secrets[space], &node->address, node->sequence,
		       flags ? 600 : node->lifetime_s, flags);
	if (!sim->real_crypto)
		for (unsigned int i = 0; i < PRESENCE_SIG_LEN; i++)
			bytes[PRESENCE_SIGNED_LEN + i] = bytes[i] ^ 0x5a;
	route_member_add(node->core, sim->now, bytes);
}

static void op_want_member(void *ctx, const struct address *space, const struct address *member,
			   uint64_t sequence)
{
	struct sim_node *node = ctx;

	(void)member;
	for (unsigned int i = 0; i < SIM_SPACES; i++)
		if (address_equal(space, &node->sim->spaces[i]) && node->member_of >> i & 1)
			announce_member(node, i, sequence, 0);
}

/* As the mesh does: a membership of our own that outlived us is taken back. */
static void op_member(void *ctx, const struct address *space, const struct address *member,
		      bool up)
{
	struct sim_node *node = ctx;

	for (unsigned int i = 0; i < SIM_SPACES && up; i++)
		if (address_equal(member, &node->address) &&
		    address_equal(space, &node->sim->spaces[i]) && !(node->member_of >> i & 1))
			node->stray |= (uint8_t)(1u << i);
}

static void take_back(struct sim_node *node)
{
	for (unsigned int i = 0; i < SIM_SPACES; i++)
		if (node->stray >> i & 1 && !(node->member_of >> i & 1) && node->core)
			announce_member(node, i, route_member_sequence(node->core,
								       &node->sim->spaces[i],
								       &node->address) + 1,
					PRESENCE_WITHDRAWN);
	node->stray = 0;
}

static bool op_verify_member(void *ctx, const uint8_t presence[PRESENCE_LEN])
{
	struct sim_node *node = ctx;

	for (unsigned int i = 0; i < PRESENCE_SIG_LEN; i++)
		if (presence[PRESENCE_SIGNED_LEN + i] != (presence[i] ^ 0x5a)) {
			node->refused++;
			return false;
		}
	return true;
}

void sim_member(struct sim *sim, unsigned int index, unsigned int space, bool up)
{
	struct sim_node *node = &sim->nodes[index];
	uint8_t bit = (uint8_t)(1u << space);
	bool was = node->member_of & bit;

	node->member_of = (uint8_t)(up ? node->member_of | bit : node->member_of & ~bit);
	if (!node->core || was == up)
		return;		/* a router that is down tells when it is back */
	announce_member(node, space, 0, up ? 0 : (uint8_t)PRESENCE_WITHDRAWN);
	rearm(node);
}

static void boot(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct route_ops ops = {
		.send = op_send,
		.install = op_install,
		.uninstall = op_uninstall,
		.want_sequence = op_want,
		.verify = sim->real_crypto ? NULL : op_verify,
		.member = op_member,
		.want_member = op_want_member,
		.verify_member = sim->real_crypto ? NULL : op_verify_member,
	};
	struct route_config cfg = sim->cfg;

	cfg.seed = ((uint64_t)sim_random(sim, UINT32_MAX) << 32 | node->index) + 1;
	node->core = route_new(&cfg, &ops, node, sim->now);
	if (!node->core)
		abort();
	node->tick_at = UINT64_MAX;
	for (unsigned int i = 0; i < sim->n_links; i++) {
		struct sim_link *l = &sim->links[i];

		if (!l->up || (l->a != node->index && l->b != node->index))
			continue;
		if (l->a == node->index) {
			l->seen_a = true;
			route_neigh_up(node->core, sim->now, l->b, l->cost_ab, 0);
			route_neigh_mtu(node->core, sim->now, l->b, l->mtu_a);
		} else {
			l->seen_b = true;
			route_neigh_up(node->core, sim->now, l->a, l->cost_ba, 0);
			route_neigh_mtu(node->core, sim->now, l->a, l->mtu_b);
		}
	}
	for (unsigned int i = 0; i < sim->n; i++) {
		struct sim_kernel_route *r = &node->routes[i];
		struct route_cookie cookie;

		if (!r->present || route_cookie_decode(r->cookie, sizeof(r->cookie), &cookie))
			continue;
		route_restore(node->core, sim->now, &sim->nodes[i].address, cookie.sequence,
			      cookie.metric, r->hops, r->n);
	}
	announce(node, 0);
	for (unsigned int i = 0; i < SIM_SPACES; i++)
		if (node->member_of >> i & 1)
			announce_member(node, i, 0, 0);
	rearm(node);
}

/* ---- the world ---- */

struct sim *sim_new(unsigned int n, uint64_t seed, bool real_crypto)
{
	struct sim *sim = calloc(1, sizeof(*sim));

	if (!sim || sodium_init() < 0)
		abort();
	sim->n = n;
	sim->seed = seed;
	sim->rng = seed;
	sim->real_crypto = real_crypto;
	sim->nodes = calloc(n, sizeof(*sim->nodes));
	sim->dirty = calloc(n, sizeof(*sim->dirty));
	sim->dirty_list = calloc(n, sizeof(*sim->dirty_list));
	for (unsigned int i = 0; i < SIM_SPACES; i++) {
		uint8_t key_seed[32] = { (uint8_t)i, 2 };

		crypto_sign_ed25519_seed_keypair(sim->spaces[i].b, sim->space_secrets[i], key_seed);
	}
	for (unsigned int i = 0; i < n; i++) {
		struct sim_node *node = &sim->nodes[i];
		uint8_t key_seed[32] = { (uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1 };

		node->sim = sim;
		node->index = i;
		node->sequence = UINT64_C(1) << 40;
		node->lifetime_s = 3600;
		node->routes = calloc(n, sizeof(*node->routes));
		crypto_sign_ed25519_seed_keypair(node->address.b, node->secret, key_seed);
	}
	return sim;
}

void sim_free(struct sim *sim)
{
	for (unsigned int i = 0; i < sim->n; i++) {
		route_free(sim->nodes[i].core);
		free(sim->nodes[i].routes);
	}
	while (sim->heap_n)
		free(pop(sim).bytes);
	free(sim->heap);
	free(sim->nodes);
	free(sim->links);
	free(sim->dirty);
	free(sim->dirty_list);
	free(sim);
}

unsigned int sim_link(struct sim *sim, unsigned int a, unsigned int b, uint16_t cost,
		      uint32_t delay_ms, uint32_t loss_permille)
{
	if (sim->n_links == sim->cap_links) {
		sim->cap_links = sim->cap_links ? sim->cap_links * 2 : 64;
		sim->links = realloc(sim->links, sim->cap_links * sizeof(*sim->links));
		if (!sim->links)
			abort();
	}
	sim->links[sim->n_links] = (struct sim_link){
		.a = a, .b = b, .cost_ab = cost, .cost_ba = cost,
		.delay_ms = delay_ms, .loss_permille = loss_permille, .up = true, .mtu_a = 1500, .mtu_b = 1500,
	};
	return sim->n_links++;
}

void sim_line(struct sim *sim, unsigned int n)
{
	for (unsigned int i = 0; i + 1 < n; i++)
		sim_link(sim, i, i + 1, 100, 1, 0);
}

void sim_ring(struct sim *sim, unsigned int n)
{
	sim_line(sim, n);
	sim_link(sim, n - 1, 0, 100, 1, 0);
}

void sim_grid(struct sim *sim, unsigned int width, unsigned int height)
{
	for (unsigned int y = 0; y < height; y++)
		for (unsigned int x = 0; x < width; x++) {
			if (x + 1 < width)
				sim_link(sim, y * width + x, y * width + x + 1, 100, 1, 0);
			if (y + 1 < height)
				sim_link(sim, y * width + x, (y + 1) * width + x, 100, 1, 0);
		}
}

static void random_link(struct sim *sim, unsigned int a, unsigned int b, uint32_t max_loss)
{
	uint16_t cost = (uint16_t)(20 + sim_random(sim, 400));
	uint32_t delay = 1 + sim_random(sim, 20);

	sim_link(sim, a, b, cost, delay, sim_random(sim, max_loss + 1));
}

void sim_graph(struct sim *sim, unsigned int extra, uint32_t max_loss_permille)
{
	for (unsigned int i = 1; i < sim->n; i++)
		random_link(sim, i, sim_random(sim, i), max_loss_permille);
	while (extra--) {
		unsigned int a = sim_random(sim, sim->n), b = sim_random(sim, sim->n);

		if (a != b && !find_link(sim, a, b))
			random_link(sim, a, b, max_loss_permille);
	}
}

void sim_start(struct sim *sim, uint32_t spread_ms)
{
	for (unsigned int i = 0; i < sim->n; i++)
		push(sim, (struct sim_event){ .at = sim->now + sim_random(sim, spread_ms + 1),
					      .kind = EVENT_BOOT, .node = i });
}

void sim_restart(struct sim *sim, unsigned int node, uint32_t down_ms, bool forget)
{
	struct sim_node *who = &sim->nodes[node];

	if (!who->core)
		return;
	route_free(who->core);
	who->core = NULL;
	for (unsigned int i = 0; forget && i < sim->n; i++) {
		who->routes[i].present = false;
		mark(sim, i);
	}
	push(sim, (struct sim_event){ .at = sim->now + down_ms, .kind = EVENT_BOOT, .node = node });
}

/* One end of a link notices what became of it. */
static void detect(struct sim *sim, struct sim_link *l, unsigned int who)
{
	bool *seen = who == l->a ? &l->seen_a : &l->seen_b;
	unsigned int other = who == l->a ? l->b : l->a;
	struct sim_node *node = &sim->nodes[who];

	if (*seen == l->up)
		return;
	*seen = l->up;
	if (!node->core)
		return;
	if (l->up) {
		route_neigh_up(node->core, sim->now, other,
			       who == l->a ? l->cost_ab : l->cost_ba, 0);
		route_neigh_mtu(node->core, sim->now, other, who == l->a ? l->mtu_a : l->mtu_b);
	} else {
		route_neigh_down(node->core, sim->now, other);
	}
	rearm(node);
}

void sim_link_set(struct sim *sim, unsigned int link, bool up, uint32_t detect_ms)
{
	struct sim_link *l = &sim->links[link];

	if (l->up == up)
		return;
	if (up) {
		/* A new handshake: an end that had not noticed the loss notices now. */
		detect(sim, l, l->a);
		detect(sim, l, l->b);
		l->up = true;
		detect(sim, l, l->a);
		detect(sim, l, l->b);
		return;
	}
	l->up = false;
	push(sim, (struct sim_event){ .at = sim->now + sim_random(sim, detect_ms + 1),
				      .kind = EVENT_DETECT, .node = l->a, .other = link });
	push(sim, (struct sim_event){ .at = sim->now + sim_random(sim, detect_ms + 1),
				      .kind = EVENT_DETECT, .node = l->b, .other = link });
}

void sim_link_cost(struct sim *sim, unsigned int link, uint16_t cost_ab, uint16_t cost_ba)
{
	struct sim_link *l = &sim->links[link];

	l->cost_ab = cost_ab;
	l->cost_ba = cost_ba;
	if (sim->nodes[l->a].core && l->seen_a) {
		route_neigh_cost(sim->nodes[l->a].core, sim->now, l->b, cost_ab);
		rearm(&sim->nodes[l->a]);
	}
	if (sim->nodes[l->b].core && l->seen_b) {
		route_neigh_cost(sim->nodes[l->b].core, sim->now, l->a, cost_ba);
		rearm(&sim->nodes[l->b]);
	}
}

void sim_link_mtu(struct sim *sim, unsigned int link, uint32_t mtu_a, uint32_t mtu_b)
{
	struct sim_link *l = &sim->links[link];

	l->mtu_a = mtu_a;
	l->mtu_b = mtu_b;
	if (sim->nodes[l->a].core && l->seen_a) {
		route_neigh_mtu(sim->nodes[l->a].core, sim->now, l->b, mtu_a);
		rearm(&sim->nodes[l->a]);
	}
	if (sim->nodes[l->b].core && l->seen_b) {
		route_neigh_mtu(sim->nodes[l->b].core, sim->now, l->a, mtu_b);
		rearm(&sim->nodes[l->b]);
	}
}

static bool descend(const struct sim *sim, unsigned int to, unsigned int at, uint8_t *colour)
{
	const struct sim_kernel_route *r = &sim->nodes[at].routes[to];

	colour[at] = 1;
	for (unsigned int i = 0; at != to && r->present && !sim->nodes[at].liar && i < r->n; i++) {
		unsigned int next = r->hops[i].neigh;

		if (colour[next] == 1) {
			fprintf(stderr, "loop towards %u: %u -> %u", to, at, next);
			return true;
		}
		if (colour[next] == 0 && descend(sim, to, next, colour)) {
			fprintf(stderr, " <- %u", at);
			return true;
		}
	}
	colour[at] = 2;
	return false;
}

static void find_loops(struct sim *sim)
{
	while (sim->n_dirty) {
		unsigned int to = sim->dirty_list[--sim->n_dirty];
		uint8_t colour[sim->n];

		sim->dirty[to] = false;
		memset(colour, 0, sim->n);
		for (unsigned int i = 0; i < sim->n; i++) {
			if (colour[i] || !descend(sim, to, i, colour))
				continue;
			fprintf(stderr, "\nseed %llu time %llu\n", (unsigned long long)sim->seed,
				(unsigned long long)sim->now);
			sim->loop = true;
			return;
		}
	}
}

static void step(struct sim *sim)
{
	struct sim_event ev = pop(sim);
	struct sim_node *node = &sim->nodes[ev.node];
	struct sim_link *l;

	sim->now = ev.at;
	sim->events++;
	switch (ev.kind) {
	case EVENT_FRAME:
		/* The kernel only takes frames from neighbours that it holds for alive. */
		l = find_link(sim, ev.node, ev.other);
		if (!node->core || !l->up || !(l->a == ev.node ? l->seen_a : l->seen_b))
			break;
		route_input(node->core, sim->now, ev.other, ev.bytes, ev.len);
		break;
	case EVENT_TICK:
		if (node->core && ev.at == node->tick_at) {
			node->tick_at = UINT64_MAX;
			route_tick(node->core, sim->now);
		}
		break;
	case EVENT_DETECT:
		detect(sim, &sim->links[ev.other], ev.node);
		break;
	case EVENT_BOOT:
		if (!node->core)
			boot(node);
		break;
	}
	free(ev.bytes);
	take_back(node);
	rearm(node);
	if (sim->n_dirty)
		find_loops(sim);
}

bool sim_run(struct sim *sim, uint64_t until)
{
	while (sim->heap_n && sim->heap[1].at <= until && !sim->loop)
		step(sim);
	if (!sim->loop)
		sim->now = until;
	return !sim->loop;
}

static void component(const struct sim *sim, unsigned int from, uint8_t *in, bool skip_liars)
{
	unsigned int queue[sim->n], head = 0, tail = 0;

	memset(in, 0, sim->n);
	in[from] = 1;
	queue[tail++] = from;
	while (head < tail) {
		unsigned int at = queue[head++];

		for (unsigned int i = 0; i < sim->n_links; i++) {
			const struct sim_link *l = &sim->links[i];
			unsigned int next = l->a == at ? l->b : l->a;

			if (!l->up || (l->a != at && l->b != at) || in[next])
				continue;
			if (skip_liars && sim->nodes[next].liar)
				continue;
			in[next] = 1;
			queue[tail++] = next;
		}
	}
}

bool sim_converged(const struct sim *sim, bool skip_liars)
{
	uint8_t in[sim->n];

	for (unsigned int from = 0; from < sim->n; from++) {
		if (!sim->nodes[from].core)
			return false;
		if (skip_liars && sim->nodes[from].liar)
			continue;
		component(sim, from, in, skip_liars);
		for (unsigned int to = 0; to < sim->n; to++) {
			unsigned int at = from, steps = 0;
			bool trapped = false;

			while (at != to && steps++ <= sim->n) {
				const struct sim_kernel_route *r = &sim->nodes[at].routes[to];
				const struct sim_link *l;

				if (!r->present)
					break;
				l = find_link(sim, at, r->hops[0].neigh);
				if (!l || !l->up)
					break;
				at = r->hops[0].neigh;
				/* What a liar attracts is lost, and no fault of ours. */
				trapped = skip_liars && sim->nodes[at].liar;
				if (trapped)
					break;
			}
			if (!trapped && (at == to) != (bool)in[to])
				return false;
		}
	}
	return true;
}

/* The largest frame that gets from one router to another along primaries; 0 when none does. */
static uint32_t walk_mtu(const struct sim *sim, unsigned int from, unsigned int to)
{
	uint32_t mtu = UINT16_MAX;
	unsigned int steps = 0;

	for (unsigned int at = from; at != to;) {
		const struct sim_kernel_route *r = &sim->nodes[at].routes[to];
		const struct sim_link *l = r->present ? find_link(sim, at, r->hops[0].neigh) : NULL;

		if (!l || !l->up || steps++ > sim->n)
			return 0;
		if (l->mtu_a < mtu)
			mtu = l->mtu_a;
		if (l->mtu_b < mtu)
			mtu = l->mtu_b;
		at = r->hops[0].neigh;
	}
	return mtu;
}

bool sim_mtus_known(const struct sim *sim)
{
	for (unsigned int from = 0; from < sim->n; from++)
		for (unsigned int to = 0; to < sim->n; to++) {
			const struct sim_kernel_route *r = &sim->nodes[from].routes[to];

			if (from != to && r->present &&
			    r->hops[0].mtu != walk_mtu(sim, from, to))
				return false;
		}
	return true;
}

struct known {
	const struct sim *sim;
	uint8_t *of;			/* by node: the namespaces it is known for */
};

static void mark_known(void *ctx, const struct route_member_info *info)
{
	struct known *k = ctx;
	unsigned int who = index_of(k->sim, &info->member);

	for (unsigned int i = 0; i < SIM_SPACES && who < k->sim->n; i++)
		if (address_equal(&info->space, &k->sim->spaces[i]))
			k->of[who] |= (uint8_t)(1u << i);
}

bool sim_members_known(const struct sim *sim, bool skip_liars)
{
	uint8_t in[sim->n], of[sim->n];
	struct known known = { sim, of };

	for (unsigned int at = 0; at < sim->n; at++) {
		if (!sim->nodes[at].core)
			return false;
		if (skip_liars && sim->nodes[at].liar)
			continue;
		component(sim, at, in, skip_liars);
		memset(of, 0, sim->n);
		route_members(sim->nodes[at].core, sim->now, NULL, mark_known, &known);
		for (unsigned int who = 0; who < sim->n; who++)
			if (in[who] && of[who] != sim->nodes[who].member_of)
				return false;
	}
	return true;
}

uint64_t sim_settle(struct sim *sim, uint64_t limit_ms)
{
	uint64_t start = sim->now;

	while (sim->now < start + limit_ms) {
		if (!sim_run(sim, sim->now + 5))
			return UINT64_MAX;
		/* The search is dear: rarely at first sight of large networks. */
		if (sim->n > 30 && (sim->now - start) % 50)
			continue;
		if (sim_converged(sim, false))
			return sim->now - start;
	}
	return UINT64_MAX;
}

uint64_t sim_bytes(const struct sim *sim)
{
	uint64_t sum = 0;

	for (unsigned int i = 0; i < sim->n; i++)
		sum += sim->nodes[i].sent_bytes;
	return sum;
}
