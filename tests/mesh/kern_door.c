// SPDX-License-Identifier: GPL-2.0-or-later
/* kern.h over the fake kernels, with the refusals that kmod/ makes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mesh/fake_priv.h"

unsigned int __wrap_if_nametoindex(const char *name);

unsigned int __wrap_if_nametoindex(const char *name)
{
	const struct fake_node *node = fake_current();

	for (size_t i = 0; i < node->n_ports; i++)
		if (!strcmp(node->ports[i].name, name))
			return node->ports[i].ifindex;
	return 0;
}

static int fail(struct kern *k, int err, const char *why)
{
	snprintf(k->why, sizeof(k->why), "%s", why);
	return err;
}

static int injected(struct fake_node *node, enum fake_call call)
{
	struct refusal *r = &node->refuse[call];

	if (!r->times)
		return 0;
	r->times--;
	return r->err;
}

/*
 * What every request begins with. A request from within a dump would read the
 * dump's answers from the socket that both use.
 */
static int enter(struct kern *k, enum fake_call call, uint32_t ifindex)
{
	int err;

	if (k->in_dump) {
		fprintf(stderr, "a request to the kernel from within a dump's callback\n");
		abort();
	}
	k->why[0] = 0;
	err = injected(k->node, call);
	if (err)
		return fail(k, err, "refused by the test");
	if (!k->node->module)
		return fail(k, -ENOENT, "the module is gone");
	if (ifindex && (!k->node->dev || k->node->dev_ifindex != ifindex))
		return fail(k, -ENODEV, "There is no device with this RATMAN_A_IFINDEX");
	return 0;
}

int kern_open(struct kern **out, char *why, size_t size)
{
	struct fake_node *node = fake_current();
	int err = injected(node, FAKE_OPEN);
	struct kern *k;

	if (err || !node->module) {
		snprintf(why, size, "the kernel module ratman is not loaded; try: modprobe ratman");
		return err ? err : -ENOENT;
	}
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->node = node;
	k->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (k->fd < 0)
		abort();
	*out = k;
	return 0;
}

void kern_close(struct kern *k)
{
	if (!k)
		return;
	if (k->in_dump)
		abort();
	if (k->node->owner == k) {
		k->node->owner = NULL;
		fake_events_clear(k->node);
	}
	close(k->fd);
	free(k);
}

const char *kern_why(const struct kern *k)
{
	return k->why[0] ? k->why : "Success";
}

uint32_t kern_version(const struct kern *k)
{
	(void)k;
	return RATMAN_FAMILY_VERSION;
}

int kern_fd(const struct kern *k)
{
	return k->fd;
}

int kern_dispatch(struct kern *k, kern_event_cb cb, void *ctx)
{
	struct fake_node *node = k->node;
	uint64_t count;

	if (read(k->fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		return -errno;
	for (int i = 0; node->owner == k && i < 256; i++) {
		struct event *e = node->first;

		if (!e)
			break;
		node->first = e->next;
		if (!node->first)
			node->last = &node->first;
		cb(ctx, &e->ev);
		free(e);
	}
	if (node->owner == k && node->first)
		fake_signal(node);
	if (node->owner == k && node->overflow) {
		node->overflow = false;
		return -ENOBUFS;
	}
	return 0;
}

int kern_subscribe(struct kern *k)
{
	return enter(k, FAKE_OPEN, 0);
}

int kern_dev_find(struct kern *k, const char *name, struct kern_dev *out)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_DUMP, 0);

	if (err)
		return err;
	if (!node->dev || (name && strcmp(name, "ratman0")))
		return fail(k, -ENODEV,
			    "there is no mesh device ratman0; try: ip link add ratman0 type ratman");
	memset(out, 0, sizeof(*out));
	out->ifindex = node->dev_ifindex;
	snprintf(out->name, sizeof(out->name), "ratman0");
	out->router = node->router;
	memcpy(out->boot_id, node->boot_id, 8);
	out->claimed = node->owner;
	return 0;
}

int kern_devs(struct kern *k, kern_dev_cb cb, void *ctx)
{
	struct kern_dev dev;

	if (kern_dev_find(k, NULL, &dev))
		return 0;
	cb(ctx, &dev);
	return 0;
}

int kern_claim(struct kern *k, uint32_t ifindex, const struct address *router,
	       const uint8_t boot_id[8])
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_CLAIM, ifindex);

	if (err)
		return err;
	if (node->owner && node->owner != k)
		return fail(k, -EBUSY, "Another daemon has claimed this mesh device");
	node->owner = k;
	node->router = *router;
	memcpy(node->boot_id, boot_id, 8);
	node->ident = true;
	for (size_t i = 0; i < node->n_ports; i++)
		node->ports[i].hello_at = 0;
	return 0;
}

int kern_neigh_set(struct kern *k, uint32_t ifindex, const struct kern_neigh *kn)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_NEIGH_SET, ifindex);
	struct key key = { .set = true, .index = kn->index, .peer_index = kn->peer_index,
			   .initiator = kn->initiator, .born = fake_now() };
	struct port *p = fake_port(node, kn->link);
	struct neigh *n, *taken;
	bool fresh;

	if (err)
		return err;
	if (!p || !p->slave)
		return fail(k, -ENODEV, "The link is not attached to this mesh device");
	if (!(kn->index & (RATMAN_NEIGH_SLOTS - 1)))
		return fail(k, -EINVAL, "The low 12 bits of a neighbour index must not be zero");
	n = fake_neigh_find(node, kn->link, &kn->router);
	fresh = !n;
	taken = fake_neigh_index(node, kn->index);
	if (taken && taken != n)
		return fail(k, -EEXIST, "The slot of this neighbour index is in use");
	for (size_t i = 0; !n && i < MAX_NEIGHS; i++)
		if (!node->neighs[i].set)
			n = &node->neighs[i];
	if (!n)
		return fail(k, -ENOSPC, "too many neighbours");
	if (fresh) {
		static uint32_t serial;

		*n = (struct neigh){ .set = true, .serial = ++serial, .router = kn->router,
				     .port = (unsigned int)(p - node->ports) };
	}
	memcpy(key.rx, kn->rx_key, sizeof(key.rx));
	memcpy(key.tx, kn->tx_key, sizeof(key.tx));
	memcpy(key.mac, kn->lladdr, sizeof(key.mac));
	memcpy(n->boot_id, kn->boot_id, 8);
	/* An unproven key gives way first. */
	if (n->cur.set && (n->cur.used || n->cur.initiator)) {
		n->prev = n->cur;
		n->prev.last_use = fake_now();
		n->tx_prev = true;
	}
	n->cur = key;
	if (key.initiator || !n->prev.set || n->state != RATMAN_NEIGH_ALIVE)
		n->tx_prev = false;
	n->heard_at = fake_now();
	n->echo_at = fake_now();
	if (fresh && p->link->up) {
		n->state = RATMAN_NEIGH_DEAD;
		fake_neigh_state(node, n, RATMAN_NEIGH_ALIVE);
	}
	return 0;
}

int kern_neigh_del(struct kern *k, uint32_t ifindex, uint32_t link, const struct address *router)
{
	int err = enter(k, FAKE_OTHER, ifindex);
	struct neigh *n;

	if (err)
		return err;
	n = fake_neigh_find(k->node, link, router);
	if (!n)
		return fail(k, -ENOENT, "There is no such neighbour");
	fake_neigh_remove(k->node, n);
	return 0;
}

int kern_route_set(struct kern *k, uint32_t ifindex, const struct kern_route *kr)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_ROUTE_SET, ifindex);
	struct route set = { .r = *kr }, *r;

	if (err)
		return err;
	if (!kr->n_hops)
		return fail(k, -EINVAL, "a route without next hop");
	for (size_t i = 0; i < kr->n_hops; i++) {
		const struct neigh *n = fake_neigh_index(node, kr->hops[i].neigh);
		uint32_t mtu = kr->hops[i].mtu;

		if (mtu && (mtu < 1280 + RATMAN_DATA_OVERHEAD || mtu > UINT16_MAX))
			return fail(k, -ERANGE, "integer out of range");
		if (!n)
			return fail(k, -ENOENT, "A next hop is no neighbour: set the neighbour first");
		set.hop[i] = n->serial;
		for (size_t j = 0; j < i; j++)
			if (set.hop[j] == set.hop[i])
				return fail(k, -EINVAL, "A neighbour is named twice as next hop");
	}
	if (fake_has_addr(node, &kr->dest))
		return fail(k, -EEXIST, "That is an address of this router: it needs no route");
	set.expires = kr->expires_ms ? fake_now() + kr->expires_ms : 0;
	r = fake_route(node, &kr->dest);
	if (!r && node->n_routes == node->cap_routes) {
		node->cap_routes = node->cap_routes ? node->cap_routes * 2 : 16;
		node->routes = realloc(node->routes, node->cap_routes * sizeof(*r));
		if (!node->routes)
			abort();
	}
	if (!r)
		r = &node->routes[node->n_routes++];
	*r = set;
	return 0;
}

int kern_route_del(struct kern *k, uint32_t ifindex, const struct address *dest)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_OTHER, ifindex);
	struct route *r;

	if (err)
		return err;
	r = fake_route(node, dest);
	if (!r)
		return fail(k, -ENOENT, "There is no route to this address");
	*r = node->routes[--node->n_routes];
	return 0;
}

int kern_addr_set(struct kern *k, uint32_t ifindex, const struct kern_addr *addr)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_ADDR_SET, ifindex);
	struct route *r;

	if (err)
		return err;
	for (size_t i = 0; i < node->n_addrs; i++) {
		if (address_equal(&node->addrs[i].address, &addr->address)) {
			node->addrs[i] = *addr;
			return 0;
		}
	}
	if (node->n_addrs == MAX_ADDRS)
		return fail(k, -ENOSPC, "A mesh device holds so many addresses at most");
	/* Takes the place of a route. */
	r = fake_route(node, &addr->address);
	if (r)
		*r = node->routes[--node->n_routes];
	node->addrs[node->n_addrs++] = *addr;
	return 0;
}

int kern_addr_del(struct kern *k, uint32_t ifindex, const struct address *address)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_OTHER, ifindex);

	if (err)
		return err;
	for (size_t i = 0; i < node->n_addrs; i++) {
		if (!address_equal(&node->addrs[i].address, address))
			continue;
		node->addrs[i] = node->addrs[--node->n_addrs];
		fake_sessions_drop(node, address, NULL);
		return 0;
	}
	return fail(k, -ENOENT, "That is no address of this router");
}

int kern_session_set(struct kern *k, uint32_t ifindex, const struct kern_session *ks)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_SESSION_SET, ifindex);
	struct skey key = { .set = true, .index = ks->index, .peer_index = ks->peer_index,
			    .initiator = ks->initiator, .born = fake_now() };
	struct in6_addr local, peer;
	struct session *s;

	if (err)
		return err;
	if (!fake_has_addr(node, &ks->local))
		return fail(k, -ENOENT, "RATMAN_A_SESSION_LOCAL is no address of this router");
	if (fake_has_addr(node, &ks->peer))
		return fail(k, -EINVAL, "RATMAN_A_SESSION_PEER is an address of this router");
	address_to_ipv6(&ks->local, &local);
	address_to_ipv6(&ks->peer, &peer);
	if (memcmp(&local, &ks->local_ipv6, 16) || memcmp(&peer, &ks->peer_ipv6, 16))
		return fail(k, -EINVAL, "The route to the peer has another IPv6 address");
	memcpy(key.rx, ks->rx_key, sizeof(key.rx));
	memcpy(key.tx, ks->tx_key, sizeof(key.tx));
	s = fake_session(node, &ks->local, &ks->peer, true);
	s->used_at = fake_now();
	s->s.contact = ks->contact;
	if (key.initiator) {
		s->prev = s->next.set ? s->next : s->cur;
		s->cur = key;
		s->next.set = false;
		fake_session_go(node, s);
	} else {
		s->prev.set = false;
		s->next = key;
	}
	return 0;
}

int kern_session_contact(struct kern *k, uint32_t ifindex, const struct kern_session *ks)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_SESSION_SET, ifindex);

	if (err)
		return err;
	if (!fake_has_addr(node, &ks->local))
		return fail(k, -ENOENT, "RATMAN_A_SESSION_LOCAL is no address of this router");
	fake_session(node, &ks->local, &ks->peer, true)->s.contact = ks->contact;
	return 0;
}

int kern_session_del(struct kern *k, uint32_t ifindex, const struct address *local,
		     const struct address *peer)
{
	int err = enter(k, FAKE_OTHER, ifindex);

	if (err)
		return err;
	fake_sessions_drop(k->node, local, peer);
	return 0;
}

static int tx_handshake(struct kern *k, const struct kern_frame *kf)
{
	struct fake_node *node = k->node;
	const struct route *r = fake_route(node, &kf->dest);
	struct neigh *n = r ? fake_hop(node, r, NULL) : NULL;
	struct frame *f;

	if (fake_has_addr(node, &kf->dest))
		return fail(k, -EINVAL, "The destination is an address of this router");
	if (!r)
		return fail(k, -ENETUNREACH, "There is no route to the destination");
	if (!n)
		return fail(k, -EHOSTUNREACH, "All next hops to the destination are dead");
	f = fake_frame(F_HANDSHAKE, kf->body, kf->len);
	f->dest = kf->dest;
	fake_send_tagged(node, n, f);
	return 0;
}

int kern_frame_tx(struct kern *k, uint32_t ifindex, const struct kern_frame *kf)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_FRAME_TX, ifindex);
	struct neigh *n;
	struct port *p;

	if (err)
		return err;
	if (!kf->len || kf->len > RATMAN_OPAQUE_MAX)
		return fail(k, -EMSGSIZE, "The frame is longer than the link's MTU");
	switch (kf->type) {
	case RATMAN_LINK:
		p = fake_port(node, kf->link);
		if (!p || !p->slave)
			return fail(k, -ENODEV, "The link is not attached to this mesh device");
		if (!p->link->up)
			return fail(k, -ENETDOWN, "The link is down");
		fake_counts.link_frames++;
		fake_send_to(node, (unsigned int)(p - node->ports), kf->lladdr,
			     fake_frame(F_LINK, kf->body, kf->len));
		return 0;
	case RATMAN_CONTROL:
		n = fake_neigh_index(node, kf->neigh);
		if (!n)
			return fail(k, -ENOENT, "There is no such neighbour");
		if (!node->ports[n->port].link->up)
			return fail(k, -ENETDOWN, "The link is down");
		fake_send_tagged(node, n, fake_frame(F_CONTROL, kf->body, kf->len));
		return 0;
	case RATMAN_HANDSHAKE:
		return tx_handshake(k, kf);
	default:
		return fail(k, -EINVAL, "Only LINK, CONTROL and HANDSHAKE frames come from the daemon");
	}
}

/* Dumps. The callback sees copies: what it does to the kernel (nothing) cannot disturb. */

int kern_links(struct kern *k, uint32_t ifindex, kern_link_cb cb, void *ctx)
{
	int err = enter(k, FAKE_DUMP, ifindex);

	if (err)
		return err;
	k->in_dump = true;
	for (size_t i = 0; i < k->node->n_ports; i++) {
		const struct port *p = &k->node->ports[i];
		struct kern_link kl = { .ifindex = p->ifindex, .mtu = p->mtu,
					.state = p->link->up ? RATMAN_LINK_UP : RATMAN_LINK_DOWN };

		snprintf(kl.name, sizeof(kl.name), "%s", p->name);
		if (p->slave)
			cb(ctx, &kl);
	}
	k->in_dump = false;
	return 0;
}

int kern_neighs(struct kern *k, uint32_t ifindex, kern_neigh_cb cb, void *ctx)
{
	int err = enter(k, FAKE_DUMP, ifindex);

	if (err)
		return err;
	k->in_dump = true;
	for (size_t i = 0; i < MAX_NEIGHS; i++) {
		const struct neigh *n = &k->node->neighs[i];
		struct kern_neigh kn = { .router = n->router, .index = n->cur.index,
					 .peer_index = n->cur.peer_index, .state = n->state,
					 .rtt_us = 2000, .age_ms = fake_now() - n->cur.born };

		if (!n->set)
			continue;
		kn.link = k->node->ports[n->port].ifindex;
		kn.rtt_us = (uint32_t)(2000 * k->node->ports[n->port].link->delay);
		kn.loss = k->node->ports[n->port].link->loss * 655;
		memcpy(kn.lladdr, n->cur.mac, 6);
		memcpy(kn.boot_id, n->boot_id, 8);
		cb(ctx, &kn);
	}
	k->in_dump = false;
	return 0;
}

int kern_routes(struct kern *k, uint32_t ifindex, kern_route_cb cb, void *ctx)
{
	int err = enter(k, FAKE_DUMP, ifindex);

	if (err)
		return err;
	k->in_dump = true;
	for (size_t i = 0; i < k->node->n_routes; i++) {
		const struct route *r = &k->node->routes[i];
		struct kern_route kr = r->r;

		/* The kernel names a next hop by its current index; one that is gone, by none. */
		for (size_t j = 0; j < kr.n_hops; j++) {
			kr.hops[j].neigh = 0;
			for (size_t m = 0; m < MAX_NEIGHS; m++)
				if (k->node->neighs[m].set &&
				    k->node->neighs[m].serial == r->hop[j])
					kr.hops[j].neigh = k->node->neighs[m].cur.index;
		}
		cb(ctx, &kr);
	}
	k->in_dump = false;
	return 0;
}

int kern_addrs(struct kern *k, uint32_t ifindex, kern_addr_cb cb, void *ctx)
{
	int err = enter(k, FAKE_DUMP, ifindex);

	if (err)
		return err;
	k->in_dump = true;
	for (size_t i = 0; i < k->node->n_addrs; i++)
		cb(ctx, &k->node->addrs[i]);
	k->in_dump = false;
	return 0;
}

int kern_sessions(struct kern *k, uint32_t ifindex, kern_session_cb cb, void *ctx)
{
	int err = enter(k, FAKE_DUMP, ifindex);

	if (err)
		return err;
	k->in_dump = true;
	for (size_t i = 0; i < k->node->n_sessions; i++) {
		const struct session *s = &k->node->sessions[i];
		struct kern_session ks = s->s;

		if (s->cur.set) {
			ks.index = s->cur.index;
			ks.peer_index = s->cur.peer_index;
			ks.age_ms = fake_now() - s->cur.born;
		}
		ks.staged = (uint32_t)s->n_staged;
		cb(ctx, &ks);
	}
	k->in_dump = false;
	return 0;
}

int kern_stats(struct kern *k, uint32_t ifindex, kern_stat_cb cb, void *ctx)
{
	int err = enter(k, FAKE_DUMP, ifindex);

	if (!err)
		cb(ctx, "delivered", fake_counts.delivered);
	return err;
}

bool kern_ip_has(struct kern *k, uint32_t ifindex, const struct in6_addr *ip)
{
	struct fake_node *node = k->node;

	(void)ifindex;
	for (size_t i = 0; i < node->n_ips; i++)
		if (!memcmp(&node->ips[i], ip, sizeof(*ip)))
			return true;
	return false;
}

int kern_ip_add(struct kern *k, uint32_t ifindex, const struct in6_addr *ip)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_IP_ADD, ifindex);

	if (err)
		return err;
	for (size_t i = 0; i < node->n_ips; i++)
		if (!memcmp(&node->ips[i], ip, sizeof(*ip)))
			return 0;
	if (node->n_ips == MAX_ADDRS)
		return fail(k, -ENOSPC, "too many addresses");
	node->ips[node->n_ips++] = *ip;
	return 0;
}

int kern_ip_del(struct kern *k, uint32_t ifindex, const struct in6_addr *ip)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_OTHER, ifindex);

	if (err)
		return err;
	for (size_t i = 0; i < node->n_ips; i++)
		if (!memcmp(&node->ips[i], ip, sizeof(*ip)))
			node->ips[i] = node->ips[--node->n_ips];
	return 0;
}

int kern_prefix_route(struct kern *k, uint32_t ifindex)
{
	int err = enter(k, FAKE_CLAIM, ifindex);

	k->node->prefix |= !err;
	return err;
}

int kern_dev_create(struct kern *k, const char *name)
{
	int err = enter(k, FAKE_CLAIM, 0);

	if (err)
		return err;
	if (k->node->dev || strcmp(name, "ratman0"))
		return fail(k, -EEXIST, "File exists");
	fake_device_new(k->node);
	for (size_t i = 0; i < k->node->n_ports; i++)
		k->node->ports[i].slave = false;
	return 0;
}

int kern_dev_up(struct kern *k, uint32_t ifindex)
{
	int err = enter(k, FAKE_CLAIM, ifindex);

	k->node->dev_up |= !err;
	return err;
}

int kern_link_master(struct kern *k, uint32_t link, uint32_t ifindex)
{
	struct fake_node *node = k->node;
	int err = enter(k, FAKE_OTHER, ifindex);
	struct port *p = fake_port(node, link);

	if (err)
		return err;
	if (!p)
		return fail(k, -ENODEV, "No such device");
	if (p->slave != (ifindex != 0)) {
		if (ifindex)
			fake_restore_link(node, p->link);
		else
			fake_remove_link(node, p->link);
	}
	return 0;
}
