// SPDX-License-Identifier: GPL-2.0-or-later
/* What tests do to the fake kernels and their links, and what they see of them. */
#include "mesh/kern_fake.h"

#include <stdlib.h>
#include <string.h>

#include "mesh/fake_priv.h"

static void set_carrier(struct fake_link *link, bool up)
{
	link->up = up;
	for (size_t i = 0; i < link->n; i++) {
		struct fake_node *node = link->member[i];
		struct port *p = &node->ports[link->port[i]];

		if (!p->slave || !node->dev)
			continue;
		p->hello_at = 0;
		for (size_t j = 0; j < MAX_NEIGHS; j++) {
			struct neigh *n = &node->neighs[j];

			if (!n->set || n->port != link->port[i])
				continue;
			n->echo_at = 0;
			if (!up)
				fake_neigh_state(node, n, RATMAN_NEIGH_DEAD);
		}
		fake_link_event(node, p, up ? RATMAN_LINK_UP : RATMAN_LINK_DOWN);
	}
}

void fake_link_up(struct fake_link *link)
{
	set_carrier(link, true);
}

void fake_link_down(struct fake_link *link)
{
	set_carrier(link, false);
}

void fake_loss(struct fake_link *link, unsigned int percent)
{
	link->loss = percent;
}

void fake_delay(struct fake_link *link, uint64_t ms)
{
	link->delay = ms;
}

static struct port *port_on(struct fake_node *node, const struct fake_link *link)
{
	for (size_t i = 0; i < node->n_ports; i++)
		if (node->ports[i].link == link)
			return &node->ports[i];
	abort();
}

const char *fake_link_name(struct fake_node *node, struct fake_link *link)
{
	return port_on(node, link)->name;
}

uint32_t fake_link_ifindex(struct fake_node *node, struct fake_link *link)
{
	return port_on(node, link)->ifindex;
}

void fake_remove_link(struct fake_node *node, struct fake_link *link)
{
	struct port *p = port_on(node, link);

	for (size_t i = 0; i < MAX_NEIGHS; i++)
		if (node->neighs[i].set && &node->ports[node->neighs[i].port] == p)
			fake_neigh_remove(node, &node->neighs[i]);
	p->slave = false;
	fake_link_event(node, p, RATMAN_LINK_REMOVED);
}

void fake_restore_link(struct fake_node *node, struct fake_link *link)
{
	struct port *p = port_on(node, link);

	p->slave = true;
	p->hello_at = 0;
	fake_link_event(node, p, RATMAN_LINK_UP);
}

void fake_mtu(struct fake_node *node, struct fake_link *link, uint32_t mtu)
{
	struct port *p = port_on(node, link);

	p->mtu = mtu;
	fake_link_event(node, p, link->up ? RATMAN_LINK_UP : RATMAN_LINK_DOWN);
}

void fake_module(struct fake_node *node, bool loaded)
{
	node->module = loaded;
	if (!loaded)
		fake_device_gone(node);
}

void fake_device_gone(struct fake_node *node)
{
	for (size_t i = 0; i < node->n_ports; i++)
		if (node->ports[i].slave)
			fake_remove_link(node, node->ports[i].link);
	node->dev = false;
	node->n_routes = node->n_sessions = node->n_addrs = node->n_ips = 0;
	node->ident = node->prefix = node->dev_up = false;
	memset(&node->router, 0, sizeof(node->router));
	memset(node->boot_id, 0, sizeof(node->boot_id));
}

void fake_daemon_death(struct fake_node *node)
{
	node->owner = NULL;
	fake_events_clear(node);
}

void fake_refuse(struct fake_node *node, enum fake_call call, int err, unsigned int times)
{
	node->refuse[call] = (struct refusal){ err, times };
}

void fake_rekey(struct fake_node *node)
{
	for (size_t i = 0; i < MAX_NEIGHS; i++)
		if (node->neighs[i].set)
			fake_neigh_event(node, &node->neighs[i], node->neighs[i].state, true);
}

/* What a kernel has. */

bool fake_attached(const struct fake_node *node)
{
	return node->owner;
}

static size_t count_neighs(const struct fake_node *node, bool alive)
{
	size_t n = 0;

	for (size_t i = 0; i < MAX_NEIGHS; i++)
		n += node->neighs[i].set &&
		     (!alive || node->neighs[i].state == RATMAN_NEIGH_ALIVE);
	return n;
}

size_t fake_n_neighs(const struct fake_node *node)
{
	return count_neighs(node, false);
}

size_t fake_n_alive(const struct fake_node *node)
{
	return count_neighs(node, true);
}

size_t fake_n_routes(const struct fake_node *node)
{
	return node->n_routes;
}

size_t fake_n_addrs(const struct fake_node *node)
{
	return node->n_addrs;
}

size_t fake_n_ips(const struct fake_node *node)
{
	return node->n_ips;
}

size_t fake_n_sessions(const struct fake_node *node)
{
	return node->n_sessions;
}

bool fake_has_route(const struct fake_node *node, const struct address *dest)
{
	return fake_route((struct fake_node *)node, dest);
}

uint32_t fake_route_mtu(struct fake_node *node, const struct address *dest)
{
	const struct route *r = fake_route(node, dest);

	return r ? r->r.hops[0].mtu : 0;
}

uint32_t fake_session_index(const struct fake_node *node, const struct address *local,
			    const struct address *peer)
{
	const struct session *s = fake_session((struct fake_node *)node, local, peer, false);

	return s && s->cur.set ? s->cur.index : 0;
}

bool fake_session_contact(const struct fake_node *node, const struct address *local,
			  const struct address *peer)
{
	const struct session *s = fake_session((struct fake_node *)node, local, peer, false);

	return s && s->s.contact;
}

void fake_boot_id(const struct fake_node *node, uint8_t out[8])
{
	memcpy(out, node->boot_id, 8);
}

void fake_put_addr(struct fake_node *node, const struct address *address)
{
	struct kern_addr *a = &node->addrs[node->n_addrs++];

	a->address = *address;
	address_to_ipv6(address, &a->ipv6);
	node->ips[node->n_ips++] = a->ipv6;
}
