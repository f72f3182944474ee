// SPDX-License-Identifier: GPL-2.0-or-later
/* The kernels and the links between them. */
#include "mesh/kern_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/fake_priv.h"

#define TICK_MS 250
#define HELLO_MS 2000
#define KNOWN_GAP_MS 30000
#define ECHO_MS 2000
#define SILENT_MS 8000
#define LINGER_MS 10000
#define MAX_EVENTS 20000

struct fake_counts fake_counts;

static struct fake_node *nodes[256];
static size_t n_nodes;
static struct fake_link *links;
static struct frame *frames;		/* by time */
static uint64_t tick_at;
static uint32_t ifindices;

/* Events. */

void fake_events_clear(struct fake_node *node)
{
	struct event *e;

	while ((e = node->first)) {
		node->first = e->next;
		free(e);
	}
	node->last = &node->first;
}

/* Makes the daemon's descriptor readable. */
void fake_signal(struct fake_node *node)
{
	uint64_t one = 1;

	if (node->owner && write(node->owner->fd, &one, sizeof(one)) != sizeof(one))
		abort();
}

void fake_event(struct fake_node *node, const struct kern_event *ev)
{
	struct event *e;

	if (!node->owner)
		return;
	if (node->losing) {
		fake_counts.events_lost++;
		return;
	}
	e = calloc(1, sizeof(*e));
	if (!e)
		abort();
	e->ev = *ev;
	e->ev.ifindex = node->dev_ifindex;
	if (ev->cmd == RATMAN_CMD_FRAME_RX) {
		memcpy(e->body, ev->frame.body, ev->frame.len);
		e->ev.frame.body = e->body;
	}
	*node->last = e;
	node->last = &e->next;
	fake_signal(node);
}

bool fake_events_waiting(void)
{
	for (size_t i = 0; i < n_nodes; i++)
		if (nodes[i]->owner && (nodes[i]->first || nodes[i]->overflow))
			return true;
	return false;
}

void fake_overflow(struct fake_node *node, bool end)
{
	node->losing = !end;
	node->overflow = end;
	if (end)
		fake_signal(node);
}

void fake_neigh_event(struct fake_node *node, const struct neigh *n,
		      enum ratman_neigh_state state, bool rekey)
{
	struct kern_event ev = { .cmd = RATMAN_CMD_NEIGH_NTF };

	ev.neigh.link = node->ports[n->port].ifindex;
	ev.neigh.router = n->router;
	ev.neigh.index = n->cur.index;
	ev.neigh.peer_index = n->cur.peer_index;
	memcpy(ev.neigh.lladdr, n->cur.mac, 6);
	memcpy(ev.neigh.boot_id, n->boot_id, 8);
	ev.neigh.state = state;
	ev.neigh.rekey = rekey;
	fake_event(node, &ev);
}

void fake_link_event(struct fake_node *node, const struct port *p, enum ratman_link_state state)
{
	struct kern_event ev = { .cmd = RATMAN_CMD_LINK_NTF };

	ev.link.ifindex = p->ifindex;
	ev.link.state = state;
	ev.link.mtu = p->mtu;
	fake_event(node, &ev);
}

/* Neighbours. */

struct port *fake_port(struct fake_node *node, uint32_t ifindex)
{
	for (size_t i = 0; i < node->n_ports; i++)
		if (node->ports[i].ifindex == ifindex)
			return &node->ports[i];
	return NULL;
}

struct neigh *fake_neigh_index(struct fake_node *node, uint32_t index)
{
	for (size_t i = 0; i < MAX_NEIGHS; i++) {
		struct neigh *n = &node->neighs[i];

		if (n->set && (n->cur.index == index || (n->prev.set && n->prev.index == index)))
			return n;
	}
	return NULL;
}

struct neigh *fake_neigh_find(struct fake_node *node, uint32_t link, const struct address *router)
{
	for (size_t i = 0; i < MAX_NEIGHS; i++) {
		struct neigh *n = &node->neighs[i];

		if (n->set && node->ports[n->port].ifindex == link &&
		    address_equal(&n->router, router))
			return n;
	}
	return NULL;
}

static struct neigh *neigh_serial(struct fake_node *node, uint32_t serial)
{
	for (size_t i = 0; i < MAX_NEIGHS; i++)
		if (node->neighs[i].set && node->neighs[i].serial == serial)
			return &node->neighs[i];
	return NULL;
}

void fake_neigh_state(struct fake_node *node, struct neigh *n, enum ratman_neigh_state state)
{
	if (n->state == state)
		return;
	n->state = state;
	fake_neigh_event(node, n, state, false);
}

void fake_neigh_remove(struct fake_node *node, struct neigh *n)
{
	fake_neigh_event(node, n, RATMAN_NEIGH_REMOVED, false);
	memset(n, 0, sizeof(*n));
}

/* Sending. */

struct frame *fake_frame(enum frame_kind kind, const uint8_t *body, size_t len)
{
	struct frame *f = calloc(1, sizeof(*f));

	if (!f || len > sizeof(f->body))
		abort();
	f->kind = kind;
	f->len = len;
	f->hops = RATMAN_HOP_LIMIT;
	if (len)
		memcpy(f->body, body, len);
	return f;
}

static bool port_ready(const struct fake_node *node, unsigned int port)
{
	const struct port *p = &node->ports[port];

	return node->dev && node->dev_up && p->slave && p->link->up;
}

/* Consumes @f. */
static void put_on_wire(const struct fake_link *link, struct frame *f)
{
	struct frame **at = &frames;

	if (link->loss && fake_random(100) < link->loss) {
		free(f);
		return;
	}
	f->due = fake_now() + link->delay;
	while (*at && (*at)->due <= f->due)
		at = &(*at)->next;
	f->next = *at;
	*at = f;
}

/* To @mac, or with NULL to all. Consumes @f. */
void fake_send_to(struct fake_node *node, unsigned int port, const uint8_t mac[6], struct frame *f)
{
	const struct port *p = &node->ports[port];
	struct fake_link *link = p->link;

	memcpy(f->mac, p->mac, 6);
	for (size_t i = 0; port_ready(node, port) && i < link->n; i++) {
		struct fake_node *to = link->member[i];
		struct frame *copy;

		if (to == node || (mac && memcmp(to->ports[link->port[i]].mac, mac, 6)))
			continue;
		copy = malloc(sizeof(*copy));
		if (!copy)
			abort();
		*copy = *f;
		copy->to = to;
		copy->port = link->port[i];
		put_on_wire(link, copy);
	}
	free(f);
}

void fake_send_tagged(struct fake_node *node, struct neigh *n, struct frame *f)
{
	const struct key *k = n->tx_prev && n->prev.set ? &n->prev : &n->cur;

	f->index = k->peer_index;
	memcpy(f->tag, k->tx, sizeof(f->tag));
	fake_send_to(node, n->port, k->mac, f);
}

/* Routes. */

struct route *fake_route(struct fake_node *node, const struct address *dest)
{
	for (size_t i = 0; i < node->n_routes; i++)
		if (address_equal(&node->routes[i].r.dest, dest))
			return &node->routes[i];
	return NULL;
}

bool fake_has_addr(const struct fake_node *node, const struct address *address)
{
	for (size_t i = 0; i < node->n_addrs; i++)
		if (address_equal(&node->addrs[i].address, address))
			return true;
	return false;
}

/* The best next hop that is alive and not @from, else @from itself. */
struct neigh *fake_hop(struct fake_node *node, const struct route *route, const struct neigh *from)
{
	struct neigh *back = NULL;

	for (size_t i = 0; i < route->r.n_hops; i++) {
		struct neigh *n = neigh_serial(node, route->hop[i]);

		if (!n || n->state != RATMAN_NEIGH_ALIVE)
			continue;
		if (n != from)
			return n;
		back = n;
	}
	return back;
}

int fake_walk(struct fake_node *node, const struct address *dest)
{
	const struct fake_node *before = NULL;

	for (int hops = 0; hops < 64; hops++) {
		const struct route *r = fake_route(node, dest);
		struct fake_node *next = NULL;
		struct neigh *n, *from = NULL;

		if (fake_has_addr(node, dest))
			return hops;
		for (size_t i = 0; before && i < MAX_NEIGHS; i++)
			if (node->neighs[i].set && before->ident &&
			    address_equal(&node->neighs[i].router, &before->router))
				from = &node->neighs[i];
		n = r ? fake_hop(node, r, from) : NULL;
		for (size_t i = 0; n && i < n_nodes; i++)
			if (nodes[i]->ident && address_equal(&nodes[i]->router, &n->router))
				next = nodes[i];
		if (!next)
			return -2;
		before = node;
		node = next;
	}
	return -1;
}

/* Receiving. */

static void receive_hello(struct fake_node *node, const struct frame *f)
{
	const struct port *p = &node->ports[f->port];
	struct kern_event ev = { .cmd = RATMAN_CMD_CANDIDATE_NTF };
	struct neigh *n = fake_neigh_find(node, p->ifindex, &f->dest);

	if (!node->ident || address_equal(&f->dest, &node->router))
		return;
	if (n && !memcmp(n->boot_id, f->boot_id, 8)) {
		if (n->told_at && fake_now() < n->told_at + KNOWN_GAP_MS)
			return;
		n->told_at = fake_now();
	}
	ev.neigh.link = p->ifindex;
	ev.neigh.router = f->dest;
	memcpy(ev.neigh.lladdr, f->mac, 6);
	memcpy(ev.neigh.boot_id, f->boot_id, 8);
	fake_event(node, &ev);
}

static void punt(struct fake_node *node, const struct frame *f, enum ratman_frame_type type,
		 uint32_t index)
{
	struct kern_event ev = { .cmd = RATMAN_CMD_FRAME_RX };

	ev.frame.type = type;
	ev.frame.neigh = index;
	ev.frame.body = f->body;
	ev.frame.len = f->len;
	if (type == RATMAN_LINK) {
		ev.frame.link = node->ports[f->port].ifindex;
		memcpy(ev.frame.lladdr, f->mac, 6);
	}
	if (type == RATMAN_HANDSHAKE)
		ev.frame.dest = f->dest;
	fake_event(node, &ev);
}

static struct neigh *receive_tag(struct fake_node *node, const struct frame *f)
{
	struct neigh *n = fake_neigh_index(node, f->index);
	struct key *k;

	if (!n || n->port != f->port)
		return NULL;
	k = n->cur.index == f->index ? &n->cur : &n->prev;
	if (memcmp(k->rx, f->tag, sizeof(k->rx)))
		return NULL;
	n->heard_at = fake_now();
	k->last_use = fake_now();
	if (k == &n->cur && !k->used) {
		k->used = true;
		n->tx_prev = false;
		n->prev.last_use = fake_now();
	}
	if (n->state == RATMAN_NEIGH_DEAD)
		fake_neigh_state(node, n, RATMAN_NEIGH_ALIVE);
	return n;
}

static void forward(struct fake_node *node, const struct neigh *from, const struct frame *f)
{
	const struct route *r = fake_route(node, &f->dest);
	struct neigh *n = r ? fake_hop(node, r, from) : NULL;
	struct frame *copy;

	if (f->hops < 2) {
		fake_counts.hop_limit++;
		return;
	}
	if (!n) {
		fake_counts.no_route++;
		return;
	}
	copy = malloc(sizeof(*copy));
	if (!copy)
		abort();
	*copy = *f;
	copy->hops--;
	fake_send_tagged(node, n, copy);
}

static void receive(struct fake_node *node, const struct frame *f)
{
	struct neigh *n;

	if (!port_ready(node, f->port))
		return;
	if (f->kind == F_HELLO) {
		receive_hello(node, f);
		return;
	}
	if (f->kind == F_LINK) {
		punt(node, f, RATMAN_LINK, 0);
		return;
	}
	n = receive_tag(node, f);
	if (!n) {
		fake_counts.bad_tag++;
		return;
	}
	if (f->kind == F_CONTROL) {
		punt(node, f, RATMAN_CONTROL, f->index);
	} else if (f->kind == F_HANDSHAKE || f->kind == F_DATA) {
		if (!fake_has_addr(node, &f->dest))
			forward(node, n, f);
		else if (f->kind == F_HANDSHAKE)
			punt(node, f, RATMAN_HANDSHAKE, f->index);
		else
			fake_session_receive(node, f);
	}
}

/* Time. */

static void sweep(struct fake_node *node)
{
	uint64_t now = fake_now();

	for (size_t i = 0; i < node->n_routes;) {
		struct route *r = &node->routes[i];
		bool gone = r->expires && now >= r->expires, hop = false;

		for (size_t j = 0; j < r->r.n_hops; j++)
			hop |= neigh_serial(node, r->hop[j]) != NULL;
		if (gone || !hop)
			*r = node->routes[--node->n_routes];
		else
			i++;
	}
	fake_sessions_sweep(node);
}

static void tick(struct fake_node *node)
{
	uint64_t now = fake_now();

	if (!node->dev)
		return;
	for (size_t i = 0; i < node->n_ports; i++) {
		struct port *p = &node->ports[i];
		struct frame *f;

		if (!node->ident || !port_ready(node, (unsigned int)i) || now < p->hello_at)
			continue;
		p->hello_at = now + HELLO_MS;
		f = fake_frame(F_HELLO, NULL, 0);
		f->dest = node->router;
		memcpy(f->boot_id, node->boot_id, 8);
		fake_send_to(node, (unsigned int)i, NULL, f);
	}
	for (size_t i = 0; i < MAX_NEIGHS; i++) {
		struct neigh *n = &node->neighs[i];

		if (!n->set)
			continue;
		if (n->state == RATMAN_NEIGH_ALIVE && now - n->heard_at > SILENT_MS)
			fake_neigh_state(node, n, RATMAN_NEIGH_DEAD);
		if (n->prev.set && n->cur.used && now - n->prev.last_use > LINGER_MS)
			n->prev.set = false;
		if (now >= n->echo_at) {
			n->echo_at = now + ECHO_MS;
			fake_send_tagged(node, n, fake_frame(F_ECHO, NULL, 0));
		}
	}
	sweep(node);
}

uint64_t fake_next_due(void)
{
	return frames && frames->due < tick_at ? frames->due : tick_at;
}

void fake_do_due(void)
{
	uint64_t now = fake_now();

	while (frames && frames->due <= now) {
		struct frame *f = frames;

		frames = f->next;
		receive(f->to, f);
		free(f);
	}
	if (now < tick_at)
		return;
	tick_at = now + TICK_MS;
	for (size_t i = 0; i < n_nodes; i++)
		tick(nodes[i]);
}

/* The world. */

void fake_begin(uv_loop_t *loop, uint64_t seed)
{
	fake_clock_begin(loop);
	fake_random_seed(seed);
	memset(&fake_counts, 0, sizeof(fake_counts));
	tick_at = fake_now();
	ifindices = 10;
}

void fake_end(void)
{
	struct fake_link *l;
	struct frame *f;

	while ((f = frames)) {
		frames = f->next;
		free(f);
	}
	while ((l = links)) {
		links = l->next;
		free(l);
	}
	for (size_t i = 0; i < n_nodes; i++) {
		if (nodes[i]->owner)
			abort();	/* a door was not closed */
		fake_events_clear(nodes[i]);
		free(nodes[i]->routes);
		free(nodes[i]->sessions);
		free(nodes[i]);
	}
	n_nodes = 0;
	fake_clock_end();
}

void fake_device_new(struct fake_node *node)
{
	node->dev = true;
	node->dev_ifindex = ++ifindices;
	node->owner = NULL;
	fake_events_clear(node);
	for (size_t i = 0; i < node->n_ports; i++) {
		node->ports[i].slave = true;
		node->ports[i].hello_at = 0;
	}
}

struct fake_node *fake_node_new(void)
{
	struct fake_node *node = calloc(1, sizeof(*node));

	if (!node || n_nodes == sizeof(nodes) / sizeof(nodes[0]))
		abort();
	node->number = (unsigned int)n_nodes;
	node->module = true;
	node->last = &node->first;
	nodes[n_nodes++] = node;
	fake_device_new(node);
	return node;
}

void fake_link_join(struct fake_link *link, struct fake_node *node)
{
	struct port *p = &node->ports[node->n_ports];

	if (node->n_ports == MAX_PORTS || link->n == MAX_PORTS)
		abort();
	*p = (struct port){ .link = link, .ifindex = ++ifindices, .slave = node->dev, .mtu = 1500 };
	snprintf(p->name, sizeof(p->name), "eth%zu", node->n_ports);
	memcpy(p->mac, (uint8_t[]){ 2, 0, 0, (uint8_t)node->number, 0, (uint8_t)node->n_ports }, 6);
	link->member[link->n] = node;
	link->port[link->n++] = (uint8_t)node->n_ports++;
}

struct fake_link *fake_link_new(struct fake_node *a, struct fake_node *b)
{
	struct fake_link *link = calloc(1, sizeof(*link));

	if (!link)
		abort();
	link->up = true;
	link->delay = 1;
	link->next = links;
	links = link;
	fake_link_join(link, a);
	fake_link_join(link, b);
	return link;
}
