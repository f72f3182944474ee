// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contacts: the backend's ops over store/contacts.h, under the secret key of
 * the owner, which is there while the owner is up.
 */
#include "ratmand/node_priv.h"

#include <errno.h>
#include <stdlib.h>

#include "ratmand/service/contact_search.h"

/* A change whose answer waits for the store's commit. */
struct change {
	struct node *node;
	struct address owner;
	struct address *touched;	/* owned */
	size_t n;
	bool follows;			/* what may come in changes with it */
	backend_done_cb done;		/* one of the two */
	backend_touched_cb listed;
	void *ctx;
};

static void durable(void *ctx, int err)
{
	struct change *c = ctx;

	for (size_t i = 0; i < c->n && c->follows && !err; i++)
		mesh_contact_changed(c->node->mesh, &c->owner, &c->touched[i]);
	if (c->done)
		c->done(c->ctx, err);
	else
		c->listed(c->ctx, err, c->touched, err ? 0 : c->n);
	free(c->touched);
	free(c);
}

static struct change *change_new(struct node *node, const struct address *owner, void *ctx)
{
	struct change *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->node = node;
	c->owner = *owner;
	c->ctx = ctx;
	return c;
}

/* Adds or deletes one: @contact says which. */
static void change_one(struct node *node, const struct address *owner,
		       const struct address *address, const struct contact *contact,
		       backend_done_cb cb, void *ctx)
{
	const uint8_t *secret = node_owner_secret(node, owner);
	struct change *c = change_new(node, owner, ctx);
	int err = secret ? 0 : -EACCES;

	if (c)
		c->touched = malloc(sizeof(*c->touched));
	if (!c || !c->touched)
		err = -ENOMEM;
	if (!err && contact)
		err = contacts_put(node->store, secret, contact);
	else if (!err)
		err = contacts_remove(node->store, secret, address);
	if (err) {
		if (c)
			free(c->touched);
		free(c);
		cb(ctx, err);
		return;
	}
	c->touched[0] = *address;
	c->n = 1;
	c->follows = true;
	c->done = cb;
	store_commit(node->store, durable, c);
}

void node_contact_put(void *be, const struct address *owner, const struct contact *contact,
		      backend_done_cb cb, void *ctx)
{
	change_one(be, owner, &contact->address, contact, cb, ctx);
}

void node_contact_del(void *be, const struct address *owner, const struct address *contact,
		      backend_done_cb cb, void *ctx)
{
	change_one(be, owner, contact, NULL, cb, ctx);
}

void node_contact_modify(void *be, const struct address *owner,
			 const struct contact_change *change, backend_touched_cb cb, void *ctx)
{
	struct node *node = be;
	const uint8_t *secret = node_owner_secret(node, owner);
	struct change *c = change_new(node, owner, ctx);
	int err = !c ? -ENOMEM : !secret ? -EACCES : 0;

	if (!err)
		err = contacts_modify(node->store, secret, change, &c->touched, &c->n);
	if (err) {
		free(c);
		cb(ctx, err, NULL, 0);
		return;
	}
	c->listed = cb;
	store_commit(node->store, durable, c);
}

/* Contacts of a step: what the costliest search does with so many stays below a millisecond. */
#define STEP_CONTACTS 8

struct list {
	struct node *node;
	struct address owner;
	struct contacts_walk walk;	/* owned */
	struct contact_search *search;	/* owned; NULL: all fit */
	backend_contact_cb cb;		/* of the step */
	void *ctx;
};

int node_contact_list_open(void *be, const struct address *owner,
			   const struct contact_filter *filter, struct backend_contacts **out)
{
	struct node *node = be;
	const uint8_t *secret = node_owner_secret(node, owner);
	struct list *l = calloc(1, sizeof(*l));
	int err = !l ? -ENOMEM : !secret ? -EACCES : 0;

	if (!err && filter)
		err = contact_search_new(&l->search, filter);
	if (!err)
		err = contacts_walk_begin(node->store, secret, &l->walk);
	if (err) {
		if (l)
			contact_search_free(l->search);
		free(l);
		return err;
	}
	l->node = node;
	l->owner = *owner;
	*out = (struct backend_contacts *)l;
	return 0;
}

static void look_at(void *ctx, const struct contact *contact)
{
	const struct list *l = ctx;

	if (!l->search || contact_search_fits(l->search, contact))
		l->cb(l->ctx, contact);
}

int node_contact_list_step(struct backend_contacts *list, backend_contact_cb cb, void *ctx)
{
	struct list *l = (struct list *)list;
	const uint8_t *secret = node_owner_secret(l->node, &l->owner);

	if (!secret)
		return -EACCES;
	l->cb = cb;
	l->ctx = ctx;
	return contacts_walk_next(l->node->store, secret, &l->walk, STEP_CONTACTS, look_at, l);
}

void node_contact_list_close(struct backend_contacts *list)
{
	struct list *l = (struct list *)list;

	contacts_walk_end(&l->walk);
	contact_search_free(l->search);
	free(l);
}

bool node_is_contact(void *ctx, const struct address *local, const struct address *peer)
{
	struct node *node = ctx;
	const uint8_t *secret = mesh_local_secret(node->mesh, local);
	struct contact contact;

	return secret && !contacts_get(node->store, secret, peer, &contact);
}
