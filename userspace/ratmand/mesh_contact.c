// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contacts as far as the inbound policy goes: sessions carry a flag that lets
 * their peer in (design.md section 9). New sessions get it when they are
 * installed; running ones when a contact comes or goes.
 */
#include "ratmand/mesh_priv.h"

#include "base/clock.h"
#include "base/log.h"

/* Somebody who adds and deletes without end makes us read the kernel's sessions so often. */
#define SYNC_GAP_MS 200
/* The kernel has 65536 sessions at most. */
#define AT_A_TIME 64
#define ROUNDS_MAX (65536 / AT_A_TIME + 1)

bool mesh_is_contact(const struct mesh *mesh, const struct address *local,
		     const struct address *peer)
{
	for (size_t i = 0; i < mesh->config->n_contacts; i++)
		if (address_equal(&mesh->config->contacts[i], peer))
			return true;
	return mesh->ops->is_contact(mesh->ctx, local, peer);
}

void mesh_contact_changed(struct mesh *mesh, const struct address *local,
			  const struct address *peer)
{
	if (!mesh->kern)
		return;
	if (mesh->n_changed < sizeof(mesh->changed) / sizeof(mesh->changed[0]))
		mesh->changed[mesh->n_changed++] = (struct mesh_pair){ *local, *peer };
	else
		mesh->changed_many = true;
	mesh_arm(mesh);
}

uint64_t mesh_contacts_due(const struct mesh *mesh)
{
	return mesh->n_changed || mesh->changed_many ? mesh->changed_ms : UINT64_MAX;
}

/* Sessions whose flag is wrong, some at a time: nothing may be changed during a dump. */
struct wrong {
	const struct mesh *mesh;
	struct kern_session list[AT_A_TIME];
	size_t n;
};

static bool is_concerned(const struct mesh *mesh, const struct kern_session *s)
{
	for (size_t i = 0; i < mesh->n_changed && !mesh->changed_many; i++)
		if (address_equal(&mesh->changed[i].peer, &s->peer) &&
		    address_equal(&mesh->changed[i].local, &s->local))
			return true;
	return mesh->changed_many;
}

static void find_wrong(void *ctx, const struct kern_session *s)
{
	struct wrong *w = ctx;

	if (w->n == AT_A_TIME || !is_concerned(w->mesh, s) ||
	    mesh_is_contact(w->mesh, &s->local, &s->peer) == s->contact)
		return;
	w->list[w->n] = *s;
	w->list[w->n++].contact = !s->contact;
}

static int set_right(struct mesh *mesh, size_t *n)
{
	struct wrong w = { .mesh = mesh };
	int err = kern_sessions(mesh->kern, mesh->dev.ifindex, find_wrong, &w);

	for (size_t i = 0; i < w.n && !err; i++)
		err = kern_session_contact(mesh->kern, mesh->dev.ifindex, &w.list[i]);
	*n = w.n;
	return err;
}

void mesh_contacts_sync(struct mesh *mesh, uint64_t now)
{
	static struct log_gate gate;
	size_t n = AT_A_TIME;
	int err = 0;

	if (now < mesh_contacts_due(mesh))
		return;
	for (int i = 0; i < ROUNDS_MAX && !err && n == AT_A_TIME; i++)
		err = set_right(mesh, &n);
	/* On failure new keys, every two minutes, set it right. */
	if (err && log_gate_open(&gate, now, 4, 60000))
		log_warn("mesh: sessions do not know of changed contacts yet: %s",
			 kern_why(mesh->kern));
	mesh->n_changed = 0;
	mesh->changed_many = false;
	mesh->changed_ms = now + SYNC_GAP_MS;
}
