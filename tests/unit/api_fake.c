// SPDX-License-Identifier: GPL-2.0-or-later
#include "api_fake.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ratmand/service/contact_search.h"

#define ADDRESSES 64
#define PEERS 3
#define LINKS 2
#define SPACES 8

struct fake_stream {
	struct fake_stream *next;
	struct fake_sub *sub;	/* due to this one; NULL: to whoever receives */
	struct letterhead head;
	uint8_t *data;
	size_t len;
	bool taken;
};

struct fake_contact {
	struct fake_contact *next;
	struct address owner;
	struct contact c;
};

/* Interfaces of the machine: eth0 and eth1. */
struct fake_link {
	bool is_link, up;
};

struct fake_event {
	struct fake_event *next;
	struct payload_event event;
};

struct fake_sub {
	struct fake_sub *next;
	struct ident id;
	struct address address;
	struct recipient to;		/* RECIPIENT_NONE: events */
	struct fake_event *events;
};

struct backend_listener {
	struct backend_listener *next;
	struct fake *f;
	struct fake_sub *sub;
	struct recipient to;
	backend_ready_cb ready;
	void *ctx;
};

struct backend_send {
	struct backend_send *next;
	struct fake *f;
	struct letterhead *heads;
	size_t n;
	uint8_t *data;
	size_t len;
	backend_ready_cb drain;
	void *ctx;
	bool waits;
	bool refused_once;
};

struct backend_recv {
	struct fake *f;
	struct fake_stream *stream;
	size_t pos;
};

struct fake {
	struct {
		struct address address;
		struct ident token;
		bool used, up;
	} a[ADDRESSES];
	struct fake_contact *contacts;
	int refuse_contact;
	struct fake_link links[LINKS];
	struct {
		struct address space;
		bool used;
		bool member[ADDRESSES];
	} s[SPACES];
	struct fake_stream *streams;
	struct fake_sub *subs;
	struct backend_listener *listeners;
	struct backend_send *sends;
	unsigned int slow, writes;
};

struct fake *fake_new(void)
{
	if (sodium_init() < 0)
		return NULL;
	return calloc(1, sizeof(struct fake));
}

static void stream_free(struct fake *f, struct fake_stream *s)
{
	struct fake_stream **p = &f->streams;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	free(s->data);
	free(s);
}

static void sub_free(struct fake *f, struct fake_sub *sub)
{
	struct fake_sub **p = &f->subs;
	struct fake_stream *s, *next;

	while (*p != sub)
		p = &(*p)->next;
	*p = sub->next;
	for (s = f->streams; s; s = next) {
		next = s->next;
		if (s->sub == sub)
			s->sub = NULL;
	}
	while (sub->events) {
		struct fake_event *e = sub->events;

		sub->events = e->next;
		free(e);
	}
	for (struct backend_listener *l = f->listeners; l; l = l->next)
		if (l->sub == sub)
			l->sub = NULL;
	free(sub);
}

/* Forgets the contacts of @owner, or (NULL) of everybody. */
static void contacts_forget(struct fake *f, const struct address *owner)
{
	struct fake_contact **p = &f->contacts, *c;

	while ((c = *p)) {
		if (owner && !address_equal(&c->owner, owner)) {
			p = &c->next;
			continue;
		}
		*p = c->next;
		free(c);
	}
}

void fake_put_address(struct fake *f, const struct address *address, const struct ident *token)
{
	f->a[0].address = *address;
	f->a[0].token = *token;
	f->a[0].used = f->a[0].up = true;
}

void fake_refuse_contact(struct fake *f, int err)
{
	f->refuse_contact = err;
}

void fake_free(struct fake *f)
{
	while (f->subs)
		sub_free(f, f->subs);
	contacts_forget(f, NULL);
	while (f->streams)
		stream_free(f, f->streams);
	fake_file_forget(f);
	free(f);
}

void fake_set_slow(struct fake *f, unsigned int n)
{
	f->slow = n;
}

void fake_turn(struct fake *f)
{
	struct backend_send *s, *next;

	for (s = f->sends; s; s = next) {
		next = s->next;
		if (s->waits) {
			s->waits = false;
			s->drain(s->ctx);
			return;	/* the list may have changed */
		}
	}
}

size_t fake_waiting(const struct fake *f)
{
	size_t n = 0;

	for (const struct fake_stream *s = f->streams; s; s = s->next)
		n++;
	return n;
}

static int find(const struct fake *f, const struct address *address)
{
	for (int i = 0; i < ADDRESSES; i++) {
		if (f->a[i].used && address_equal(&f->a[i].address, address))
			return i;
	}
	return -ENOENT;
}

static void clean_ident(struct ident *id)
{
	do
		randombytes_buf(id->b, sizeof(id->b));
	while (memchr(id->b, 0, sizeof(id->b)));
}

static void addr_create(void *be, const char *name, const uint8_t *ns_key, backend_created_cb cb,
			void *ctx)
{
	struct fake *f = be;
	uint8_t secret[64];

	(void)name;
	for (int i = 0; i < ADDRESSES; i++) {
		if (f->a[i].used)
			continue;
		do {
			if (ns_key)
				crypto_sign_seed_keypair(f->a[i].address.b, secret, ns_key);
			else
				crypto_sign_keypair(f->a[i].address.b, secret);
		} while (!ns_key && memchr(f->a[i].address.b, 0, 32));
		if (find(f, &f->a[i].address) >= 0) {
			cb(ctx, -EEXIST, NULL, NULL);
			return;
		}
		f->a[i].used = true;
		clean_ident(&f->a[i].token);
		cb(ctx, 0, &f->a[i].address, &f->a[i].token);
		return;
	}
	cb(ctx, -ENOSPC, NULL, NULL);
}

static int addr_check(void *be, const struct address *address, const struct ident *token)
{
	struct fake *f = be;
	int i = find(f, address);

	if (i < 0)
		return -ENOENT;
	return sodium_memcmp(f->a[i].token.b, token->b, 32) ? -EACCES : 0;
}

void fake_event(struct fake *f, enum payload_event_kind kind, const struct address *address)
{
	for (struct fake_sub *sub = f->subs; sub; sub = sub->next) {
		struct fake_event **tail = &sub->events;

		if (sub->to.kind != RECIPIENT_NONE)
			continue;
		while (*tail)
			tail = &(*tail)->next;
		*tail = calloc(1, sizeof(**tail));
		(*tail)->event = (struct payload_event){ (uint8_t)kind, *address };
		for (struct backend_listener *l = f->listeners; l; l = l->next)
			if (l->sub == sub)
				l->ready(l->ctx);
	}
}

static void addr_up(void *be, const struct address *address, const struct ident *token,
		    backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	int err = addr_check(be, address, token);

	if (!err && !f->a[find(f, address)].up) {
		f->a[find(f, address)].up = true;
		fake_event(f, PAYLOAD_EVENT_UP, address);
	}
	cb(ctx, err);
}

static void addr_down(void *be, const struct address *address, backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	int i = find(f, address);

	if (i >= 0 && f->a[i].up) {
		f->a[i].up = false;
		fake_event(f, PAYLOAD_EVENT_DOWN, address);
	}
	cb(ctx, i < 0 ? i : 0);
}

static void addr_destroy(void *be, const struct address *address, const struct ident *token,
			 bool force, backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	int i = find(f, address);

	(void)force;
	(void)token;
	if (i >= 0) {
		f->a[i].used = false;
		contacts_forget(f, address);
	}
	for (struct fake_sub *sub = f->subs, *next; sub; sub = next) {
		next = sub->next;
		if (address_equal(&sub->address, address))
			sub_free(f, sub);
	}
	cb(ctx, i < 0 ? i : 0);
}

static int compare(const void *a, const void *b)
{
	return address_compare(a, b);
}

static void addr_list(void *be, backend_addr_cb cb, void *ctx)
{
	struct address list[ADDRESSES];
	struct fake *f = be;
	size_t n = 0;

	for (int i = 0; i < ADDRESSES; i++) {
		if (f->a[i].used)
			list[n++] = f->a[i].address;
	}
	qsort(list, n, sizeof(list[0]), compare);
	for (size_t i = 0; i < n; i++)
		cb(ctx, &list[i]);
}

/* The place of a contact, or of the end of the list. */
static struct fake_contact **contact_find(struct fake *f, const struct address *owner,
					  const struct address *address)
{
	struct fake_contact **p = &f->contacts;

	while (*p && !(address_equal(&(*p)->owner, owner) &&
		       address_equal(&(*p)->c.address, address)))
		p = &(*p)->next;
	return p;
}

static int refused(struct fake *f, const struct address *owner)
{
	int i = find(f, owner), err = f->refuse_contact;

	f->refuse_contact = 0;
	return i < 0 || !f->a[i].up ? -EACCES : err;
}

static void contact_put(void *be, const struct address *owner, const struct contact *contact,
			backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	struct fake_contact **p = contact_find(f, owner, &contact->address);
	int err = refused(f, owner);

	if (!err && !*p)
		*p = calloc(1, sizeof(**p));
	if (!err) {
		(*p)->owner = *owner;
		(*p)->c = *contact;
	}
	cb(ctx, err);
}

static void contact_del(void *be, const struct address *owner, const struct address *contact,
			backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	struct fake_contact **p = contact_find(f, owner, contact), *c = *p;
	int err = refused(f, owner);

	if (!err && !c)
		err = -ENOENT;
	if (!err) {
		*p = c->next;
		free(c);
	}
	cb(ctx, err);
}

static void contact_modify(void *be, const struct address *owner,
			   const struct contact_change *change, backend_touched_cb cb, void *ctx)
{
	struct address touched[64];
	struct fake *f = be;
	int err = refused(f, owner);
	size_t n = 0;

	for (struct fake_contact *c = f->contacts; c && !err; c = c->next) {
		if (!address_equal(&c->owner, owner) ||
		    (change->has_address && !address_equal(&c->c.address, &change->address)))
			continue;
		err = contact_change_apply(change, &c->c);
		if (n < 64)
			touched[n++] = c->c.address;
	}
	if (!err && change->has_address && !n)
		err = -ENOENT;
	cb(ctx, err, touched, err ? 0 : n);
}

/* All of a list come in one step. */
struct backend_contacts {
	struct fake *fake;
	struct address owner;
	struct contact_search *search;	/* owned; NULL: all fit */
};

static int contact_list_open(void *be, const struct address *owner,
			     const struct contact_filter *filter, struct backend_contacts **out)
{
	struct backend_contacts *l = calloc(1, sizeof(*l));
	int err = filter ? contact_search_new(&l->search, filter) : 0;

	if (err) {
		free(l);
		return err;
	}
	l->fake = be;
	l->owner = *owner;
	*out = l;
	return 0;
}

static int contact_list_step(struct backend_contacts *l, backend_contact_cb cb, void *ctx)
{
	for (const struct fake_contact *c = l->fake->contacts; c; c = c->next)
		if (address_equal(&c->owner, &l->owner) &&
		    (!l->search || contact_search_fits(l->search, &c->c)))
			cb(ctx, &c->c);
	return 0;
}

static void contact_list_close(struct backend_contacts *l)
{
	contact_search_free(l->search);
	free(l);
}

static int link_change(void *be, enum backend_link_change change, const char *interface, char *why,
		       size_t size)
{
	struct fake *f = be;
	struct fake_link *l = !strcmp(interface, "eth0") ? &f->links[0] :
			      !strcmp(interface, "eth1") ? &f->links[1] : NULL;

	if (!strcmp(interface, "broken")) {
		snprintf(why, size, "the kernel says no");
		return -EIO;
	}
	if (!l || (change != BACKEND_LINK_CREATE && !l->is_link)) {
		snprintf(why, size, "the name of %s", l ? "a link" : "an interface");
		return -ENODEV;
	}
	l->is_link = change != BACKEND_LINK_DESTROY;
	l->up = change == BACKEND_LINK_CREATE || change == BACKEND_LINK_UP;
	return 0;
}

static int link_list(void *be, backend_link_cb cb, void *ctx)
{
	struct fake *f = be;

	for (uint8_t i = 0; i < LINKS; i++) {
		struct link_entry e = { .line = { LINK_DRIVER_ETH, "eth0" }, .up = f->links[i].up,
					.rx_bytes = i, .tx_bytes = 1u << 20 };

		e.line.address[3] = (char)('0' + i);
		if (f->links[i].is_link)
			cb(ctx, &e);
	}
	return 0;
}

static struct backend_peer peer_number(uint8_t i)
{
	struct backend_peer p = { .first_seen_ns = 1729531526123456789, .last_seen_ns =
				  1729531800000000001, .active = i & 1 };

	memset(p.address.b, 0x41 + i, 32);
	return p;
}

static void peer_list(void *be, backend_peer_cb cb, void *ctx)
{
	(void)be;
	for (uint8_t i = 0; i < PEERS; i++) {
		struct backend_peer p = peer_number(i);

		cb(ctx, &p);
	}
}

static int peer_get(void *be, const struct address *address, struct backend_peer *out)
{
	(void)be;
	for (uint8_t i = 0; i < PEERS; i++) {
		*out = peer_number(i);
		if (address_equal(&out->address, address))
			return 0;
	}
	return -ENOENT;
}

static void status(void *be, struct backend_status *out)
{
	struct fake *f = be;

	*out = (struct backend_status){ .peers = PEERS };
	for (int i = 0; i < ADDRESSES; i++)
		out->locals += f->a[i].used;
}

static int send_open(void *be, const struct letterhead *heads, size_t n, backend_ready_cb drain,
		     void *ctx, struct backend_send **out)
{
	struct fake *f = be;
	struct backend_send *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->heads = malloc(n * sizeof(*heads));
	memcpy(s->heads, heads, n * sizeof(*heads));
	s->n = n;
	s->f = f;
	s->drain = drain;
	s->ctx = ctx;
	s->next = f->sends;
	f->sends = s;
	*out = s;
	return 0;
}

static int send_write(struct backend_send *s, const void *data, size_t len)
{
	if (s->f->slow && !s->refused_once && ++s->f->writes % s->f->slow == 0) {
		s->refused_once = s->waits = true;
		return -EAGAIN;
	}
	s->refused_once = false;
	if (len) {
		s->data = realloc(s->data, s->len + len);
		memcpy(s->data + s->len, data, len);
	}
	s->len += len;
	return 0;
}

static void send_abort(struct backend_send *s)
{
	struct backend_send **p = &s->f->sends;

	while (*p != s)
		p = &(*p)->next;
	*p = s->next;
	free(s->heads);
	free(s->data);
	free(s);
}

static void notify(struct fake *f, const struct recipient *to)
{
	for (struct backend_listener *l = f->listeners; l; l = l->next) {
		if (recipient_equal(&l->to, to))
			l->ready(l->ctx);
	}
}

static void store_stream(struct fake *f, const struct backend_send *s, size_t i,
			 struct fake_sub *sub)
{
	struct fake_stream *st = calloc(1, sizeof(*st)), **tail = &f->streams;

	st->sub = sub;
	st->head = s->heads[i];
	st->head.stream_size = s->len;
	st->len = s->len;
	st->data = malloc(s->len + 1);
	memcpy(st->data, s->data, s->len);
	while (*tail)
		tail = &(*tail)->next;
	*tail = st;
}

static void send_finish(struct backend_send *s, backend_done_cb cb, void *ctx)
{
	struct fake *f = s->f;

	for (size_t i = 0; i < s->n; i++) {
		const struct recipient to = s->heads[i].to;
		bool received = false, subscribed = false;

		for (struct fake_sub *sub = f->subs; sub; sub = sub->next) {
			if (!recipient_equal(&sub->to, &to))
				continue;
			store_stream(f, s, i, sub);
			subscribed = true;
		}
		for (struct backend_listener *l = f->listeners; l; l = l->next)
			received = received || (!l->sub && recipient_equal(&l->to, &to));
		if (received || !subscribed)
			store_stream(f, s, i, NULL);
		notify(f, &to);
	}
	send_abort(s);
	cb(ctx, 0);
}

static int do_listen(void *be, const struct address *local, const struct recipient *to,
		     backend_ready_cb ready, void *ctx, struct backend_listener **out)
{
	struct fake *f = be;
	struct backend_listener *l = calloc(1, sizeof(*l));

	(void)local;
	l->f = f;
	l->to = *to;
	l->ready = ready;
	l->ctx = ctx;
	l->next = f->listeners;
	f->listeners = l;
	*out = l;
	ready(ctx);
	return 0;
}

static void listen_stop(struct backend_listener *l)
{
	struct backend_listener **p = &l->f->listeners;

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	free(l);
}

static int recv_open(struct backend_listener *l, struct letterhead *head,
		     struct backend_recv **out)
{
	for (struct fake_stream *s = l->f->streams; s; s = s->next) {
		struct backend_recv *r;

		if (s->taken || s->sub != l->sub || !recipient_equal(&s->head.to, &l->to))
			continue;
		r = calloc(1, sizeof(*r));
		r->f = l->f;
		r->stream = s;
		s->taken = true;
		*head = s->head;
		*out = r;
		return 0;
	}
	return -EAGAIN;
}

static ssize_t recv_read(struct backend_recv *r, void *buf, size_t size)
{
	size_t left = r->stream->len - r->pos;

	size = size < left ? size : left;
	memcpy(buf, r->stream->data + r->pos, size);
	r->pos += size;
	return (ssize_t)size;
}

static void recv_close(struct backend_recv *r, bool delivered)
{
	struct fake *f = r->f;
	struct fake_stream *s = r->stream;

	free(r);
	if (delivered) {
		stream_free(f, s);
		return;
	}
	s->taken = false;
	notify(f, &s->head.to);
}

static struct fake_sub *sub_find(const struct fake *f, const struct ident *id,
				 const struct address *address, bool events)
{
	for (struct fake_sub *sub = f->subs; sub; sub = sub->next)
		if (ident_equal(&sub->id, id) && address_equal(&sub->address, address) &&
		    (sub->to.kind == RECIPIENT_NONE) == events)
			return sub;
	return NULL;
}

static void subscribe(void *be, const struct address *address, const struct recipient *to,
		      backend_subscribed_cb cb, void *ctx)
{
	struct fake *f = be;
	struct fake_sub *sub, *other = NULL;

	for (sub = f->subs; sub; sub = sub->next) {
		if (!recipient_equal(&sub->to, to))
			continue;
		if (address_equal(&sub->address, address)) {
			cb(ctx, 0, &sub->id);
			return;
		}
		other = sub;
	}
	sub = calloc(1, sizeof(*sub));
	sub->address = *address;
	sub->to = *to;
	if (other && to->kind != RECIPIENT_NONE)
		sub->id = other->id;
	else
		ident_draw(&sub->id);
	sub->next = f->subs;
	f->subs = sub;
	cb(ctx, 0, &sub->id);
}

static int subscription_check(void *be, const struct ident *id, const struct address *address,
			      bool events)
{
	struct fake *f = be;

	if (sub_find(f, id, address, events))
		return 0;
	for (struct fake_sub *sub = f->subs; sub; sub = sub->next)
		if (ident_equal(&sub->id, id) && (sub->to.kind == RECIPIENT_NONE) == events)
			return -ENOENT;
	return -ESRCH;
}

static void unsubscribe(void *be, const struct ident *id, const struct address *address,
			bool events, backend_done_cb cb, void *ctx)
{
	int err = subscription_check(be, id, address, events);

	if (!err)
		sub_free(be, sub_find(be, id, address, events));
	cb(ctx, err);
}

static void subscription_list(void *be, const struct address *address, backend_ident_cb cb,
			      void *ctx)
{
	struct fake *f = be;

	for (struct fake_sub *sub = f->subs; sub; sub = sub->next)
		if (sub->to.kind != RECIPIENT_NONE && address_equal(&sub->address, address))
			cb(ctx, &sub->id);
}

static int attach(void *be, const struct ident *id, const struct address *address, bool events,
		  backend_ready_cb ready, void *ctx, struct backend_listener **out)
{
	struct fake_sub *sub = sub_find(be, id, address, events);
	int err;

	if (!sub)
		return subscription_check(be, id, address, events);
	err = do_listen(be, address, &sub->to, ready, ctx, out);
	if (!err)
		(*out)->sub = sub;
	return err;
}

static int event_next(struct backend_listener *l, struct payload_event *out)
{
	struct fake_event *e = l->sub ? l->sub->events : NULL;

	if (!e)
		return -EAGAIN;
	l->sub->events = e->next;
	*out = e->event;
	free(e);
	return 0;
}

/* Namespaces: every local address that joined answers at once, after as many ms as its place. */

static int find_space(const struct fake *f, const struct address *space)
{
	for (int i = 0; i < SPACES; i++)
		if (f->s[i].used && address_equal(&f->s[i].space, space))
			return i;
	return -ENOENT;
}

static void space_create(void *be, const struct address *space, const uint8_t *key,
			 backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	struct address own;
	uint8_t secret[64];
	int i = find_space(f, space);

	crypto_sign_seed_keypair(own.b, secret, key);
	if (!address_equal(&own, space)) {
		cb(ctx, -EINVAL);
		return;
	}
	for (int k = 0; i < 0 && k < SPACES; k++)
		if (!f->s[k].used)
			i = k;
	if (i >= 0) {
		f->s[i].used = true;
		f->s[i].space = *space;
	}
	cb(ctx, i < 0 ? -ENOSPC : 0);
}

static void space_up(void *be, const struct address *client, const struct address *space,
		     backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	int i = find_space(f, space), a = find(f, client);

	if (i >= 0 && a >= 0)
		f->s[i].member[a] = true;
	cb(ctx, i < 0 ? i : a < 0 ? a : 0);
}

static void space_down(void *be, const struct address *client, const struct address *space,
		       backend_done_cb cb, void *ctx)
{
	struct fake *f = be;
	int i = find_space(f, space), a = find(f, client);
	int err = i < 0 ? i : a < 0 || !f->s[i].member[a] ? -EINVAL : 0;

	if (!err)
		f->s[i].member[a] = false;
	cb(ctx, err);
}

static int anycast(void *be, const struct address *self, const struct address *space,
		   backend_answer_cb answer, void *ctx, struct backend_anycast **out)
{
	struct fake *f = be;
	int i = find_space(f, space);

	for (int a = ADDRESSES - 1; i >= 0 && a >= 0; a--) {
		if (!f->s[i].member[a] || address_equal(&f->a[a].address, self))
			continue;
		/* Twice, the slower one first: the quicker one counts. */
		answer(ctx, &f->a[a].address, (uint64_t)a + 1000);
		answer(ctx, &f->a[a].address, (uint64_t)a);
	}
	*out = malloc(1);
	return *out ? 0 : -ENOMEM;
}

static void anycast_stop(struct backend_anycast *a)
{
	free(a);
}

const struct backend_ops fake_ops = {
	.addr_create = addr_create,
	.addr_up = addr_up,
	.addr_down = addr_down,
	.addr_check = addr_check,
	.addr_destroy = addr_destroy,
	.addr_list = addr_list,
	.contact_put = contact_put,
	.contact_del = contact_del,
	.contact_modify = contact_modify,
	.contact_list_open = contact_list_open,
	.contact_list_step = contact_list_step,
	.contact_list_close = contact_list_close,
	.link_change = link_change,
	.link_list = link_list,
	.peer_list = peer_list,
	.peer_get = peer_get,
	.status = status,
	.send_open = send_open,
	.send_write = send_write,
	.send_finish = send_finish,
	.send_abort = send_abort,
	.listen = do_listen,
	.listen_stop = listen_stop,
	.recv_open = recv_open,
	.recv_read = recv_read,
	.recv_close = recv_close,
	.subscribe = subscribe,
	.subscription_check = subscription_check,
	.unsubscribe = unsubscribe,
	.subscription_list = subscription_list,
	.attach = attach,
	.event_next = event_next,
	.space_create = space_create,
	.space_up = space_up,
	.space_down = space_down,
	.anycast = anycast,
	.anycast_stop = anycast_stop,
	.file = &fake_files,
};
