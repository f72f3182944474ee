// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links: the configured ones, and those that a client makes, takes away, stops
 * and starts.
 */
#include "ratmand/mesh_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

static struct mesh_held *find_held(const struct mesh *mesh, const char *name)
{
	for (size_t i = 0; i < mesh->n_held; i++)
		if (!strcmp(mesh->held[i].name, name))
			return &mesh->held[i];
	return NULL;
}

static void release(struct mesh *mesh, const char *name)
{
	struct mesh_held *held = find_held(mesh, name);

	if (held)
		*held = mesh->held[--mesh->n_held];
}

static int hold(struct mesh *mesh, const char *name, bool destroyed)
{
	struct mesh_held *held = find_held(mesh, name);

	if (!held) {
		if (mesh->n_held == MESH_HELD_MAX)
			return -ENOSPC;
		held = &mesh->held[mesh->n_held++];
		snprintf(held->name, sizeof(held->name), "%s", name);
	}
	held->destroyed = destroyed;
	return 0;
}

static bool is_configured(const struct mesh *mesh, const char *name)
{
	for (size_t i = 0; i < mesh->config->n_links; i++)
		if (!strcmp(mesh->config->links[i], name))
			return true;
	return false;
}

void mesh_take_links(struct mesh *mesh)
{
	const struct config *c = mesh->config;

	for (size_t i = 0; i < c->n_links; i++) {
		uint32_t link = if_nametoindex(c->links[i]);
		static struct log_gate gate;
		int err;

		if (!link || find_held(mesh, c->links[i]))
			continue;
		err = kern_link_master(mesh->kern, link, mesh->dev.ifindex);
		if (err && log_gate_open(&gate, clock_ms(), 4, 60000))
			log_warn("mesh: cannot make %s a link: %s", c->links[i],
				 kern_why(mesh->kern));
	}
}

/* By hand. */

static int say(int err, char *why, size_t size, const char *text)
{
	snprintf(why, size, "%s", text);
	return err;
}

struct attached {
	uint32_t link;
	bool found;
};

static void find_link(void *ctx, const struct kern_link *link)
{
	struct attached *a = ctx;

	a->found |= link->ifindex == a->link;
}

/*
 * What @name is: its number (0: no interface) and whether it is a link of the
 * device. Never anybody else's: an interface may belong to a bridge.
 */
static int look_up(struct mesh *mesh, const char *name, struct attached *a, char *why, size_t size)
{
	int err;

	if (!mesh->kern)
		return say(-ENETDOWN, why, size, mesh->off);
	*a = (struct attached){ .link = if_nametoindex(name) };
	if (!a->link)
		return 0;
	err = kern_links(mesh->kern, mesh->dev.ifindex, find_link, a);
	return err ? say(err, why, size, kern_why(mesh->kern)) : 0;
}

static int set_master(struct mesh *mesh, const struct attached *a, uint32_t ifindex, char *why,
		      size_t size)
{
	int err = a->found == (ifindex != 0) ? 0 :
		  kern_link_master(mesh->kern, a->link, ifindex);

	return err ? say(err, why, size, kern_why(mesh->kern)) : 0;
}

int mesh_link_create(struct mesh *mesh, const char *name, char *why, size_t size)
{
	struct attached a;
	int err = look_up(mesh, name, &a, why, size);

	if (!err && !a.link)
		err = say(-ENODEV, why, size, "the name of an interface of this machine");
	if (!err)
		err = set_master(mesh, &a, mesh->dev.ifindex, why, size);
	if (!err)
		release(mesh, name);
	return err;
}

int mesh_link_destroy(struct mesh *mesh, const char *name, char *why, size_t size)
{
	struct attached a;
	int err = look_up(mesh, name, &a, why, size);

	if (err)
		return err;
	if (!a.found && !find_held(mesh, name) && !is_configured(mesh, name))
		return say(-ENODEV, why, size, "the name of a link");
	if (!is_configured(mesh, name))
		release(mesh, name);
	else if (hold(mesh, name, true))
		return say(-ENOSPC, why, size, "too many links are taken away already");
	return set_master(mesh, &a, 0, why, size);
}

int mesh_link_up(struct mesh *mesh, const char *name, char *why, size_t size)
{
	struct attached a;
	const struct mesh_held *held;
	int err = look_up(mesh, name, &a, why, size);

	if (err)
		return err;
	held = find_held(mesh, name);
	if (!a.link || (!a.found && (!held || held->destroyed)))
		return say(-ENODEV, why, size, "the name of a link; create it first");
	err = set_master(mesh, &a, mesh->dev.ifindex, why, size);
	if (!err)
		release(mesh, name);
	return err;
}

int mesh_link_down(struct mesh *mesh, const char *name, char *why, size_t size)
{
	struct attached a;
	const struct mesh_held *held;
	int err = look_up(mesh, name, &a, why, size);

	if (err)
		return err;
	held = find_held(mesh, name);
	if (!a.found && (!held || held->destroyed))
		return say(-ENODEV, why, size, "the name of a link");
	if (hold(mesh, name, false))
		return say(-ENOSPC, why, size, "too many links are down already");
	err = set_master(mesh, &a, 0, why, size);
	if (err)
		release(mesh, name);
	return err;
}

/* The list. */

static void keep_neigh(void *ctx, const struct kern_neigh *neigh)
{
	mesh_list_add(ctx, neigh, sizeof(*neigh));
}

static struct link_entry entry_of(const char *name)
{
	struct link_entry e = { .line = { .driver = LINK_DRIVER_ETH } };

	snprintf(e.line.address, sizeof(e.line.address), "%s", name);
	return e;
}

static void tell_link(const struct kern_link *link, const struct mesh_list *neighs,
		      mesh_link_cb cb, void *ctx)
{
	const struct kern_neigh *n = neighs->items;
	struct link_entry e = entry_of(link->name);
	bool up = link->state == RATMAN_LINK_UP, alone = true;

	for (size_t i = 0; i < neighs->n; i++) {
		if (n[i].link != link->ifindex)
			continue;
		alone = false;
		e.neighbour = n[i].router;
		e.up = up && n[i].state == RATMAN_NEIGH_ALIVE;
		e.rx_bytes = n[i].rx_bytes;
		e.tx_bytes = n[i].tx_bytes;
		cb(ctx, &e);
	}
	if (!alone)
		return;
	e.up = up;
	e.rx_bytes = link->rx_bytes;
	e.tx_bytes = link->tx_bytes;
	cb(ctx, &e);
}

int mesh_links(struct mesh *mesh, mesh_link_cb cb, void *ctx)
{
	struct mesh_list links = { 0 }, neighs = { 0 };
	const struct kern_link *l;
	int err;

	if (!mesh->kern)
		return 0;
	err = kern_links(mesh->kern, mesh->dev.ifindex, mesh_keep_link, &links);
	if (!err)
		err = kern_neighs(mesh->kern, mesh->dev.ifindex, keep_neigh, &neighs);
	if (!err && (links.no_memory || neighs.no_memory))
		err = -ENOMEM;
	l = links.items;
	for (size_t i = 0; i < links.n && !err; i++)
		tell_link(&l[i], &neighs, cb, ctx);
	for (size_t i = 0; i < mesh->n_held && !err; i++) {
		struct link_entry e = entry_of(mesh->held[i].name);

		if (!mesh->held[i].destroyed)
			cb(ctx, &e);
	}
	free(links.items);
	free(neighs.items);
	return err;
}
