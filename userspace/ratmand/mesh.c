// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/mesh_priv.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#define HOUSEKEEPING_MS 2000
#define REFRESH_MS 200000	/* the kernel forgets a route after 3 times as long */
#define MEASURE_MS 10000
#define WITHDRAWN_MS 1000	/* a withdrawal spreads before the next announcement */
#define RECORD_LIFETIME_S 3600
#define TOMBSTONE_S 600		/* a withdrawn address is remembered so long elsewhere */

struct mesh_local *mesh_local_find(const struct mesh *mesh, const struct address *address)
{
	for (size_t i = 0; i < mesh->n_locals; i++)
		if (address_equal(&mesh->locals[i].address, address))
			return &mesh->locals[i];
	return NULL;
}

const uint8_t *mesh_local_secret(const struct mesh *mesh, const struct address *address)
{
	const struct mesh_local *local = mesh_local_find(mesh, address);

	return local ? local->secret : NULL;
}

/* Signs a record with a sequence of at least @at_least and gives it to the routing core. */
int mesh_announce(struct mesh *mesh, const struct mesh_local *local, uint64_t at_least,
		  uint8_t flags)
{
	uint64_t sequence = mesh->ops->next_stamp(mesh->ctx, &local->address);
	uint64_t known = route_sequence(mesh->routes, &local->address);
	uint8_t record[RECORD_LEN];
	int err;

	if (!sequence)
		return -EIO;
	/* A copy of us elsewhere, or a store restored from a backup: stay above it. */
	if (sequence <= known)
		sequence = known + 1;
	if (sequence < at_least)
		sequence = at_least;
	err = record_build(record, local->secret, sequence,
			   flags & RECORD_WITHDRAWN ? TOMBSTONE_S : RECORD_LIFETIME_S, flags);
	if (!err)
		err = route_local_add(mesh->routes, clock_ms(), record);
	return err;
}

struct mesh_member *mesh_member_find(const struct mesh *mesh, const struct address *space,
				     const struct address *member)
{
	for (size_t i = 0; i < mesh->n_members; i++)
		if (address_equal(&mesh->members[i].space, space) &&
		    address_equal(&mesh->members[i].member, member))
			return &mesh->members[i];
	return NULL;
}

/* The same for a membership; its sequence comes from the stamps of the member. */
int mesh_announce_member(struct mesh *mesh, struct mesh_member *member, uint64_t at_least,
			 uint8_t flags)
{
	uint64_t sequence = mesh->ops->next_stamp(mesh->ctx, &member->member);
	uint64_t known = route_member_sequence(mesh->routes, &member->space, &member->member);
	uint8_t presence[PRESENCE_LEN];
	int err;

	if (!sequence)
		return -EIO;
	if (sequence <= known)
		sequence = known + 1;
	if (sequence < at_least)
		sequence = at_least;
	err = presence_build(presence, member->secret, &member->member, sequence,
			     flags & PRESENCE_WITHDRAWN ? TOMBSTONE_S : RECORD_LIFETIME_S, flags);
	if (!err)
		err = route_member_add(mesh->routes, clock_ms(), presence);
	member->announced = !err;
	return err;
}

static void announce_members(struct mesh *mesh)
{
	for (size_t i = 0; i < mesh->n_members; i++)
		if (!mesh->members[i].announced)
			mesh_announce_member(mesh, &mesh->members[i], 0, 0);
}

/* Memberships of local addresses that others still believe in. */
struct strays {
	struct mesh *mesh;
	struct mesh_member found[8];
	size_t n;
};

static void find_stray(void *ctx, const struct route_member_info *info)
{
	struct strays *s = ctx;

	if (!info->local && s->n < sizeof(s->found) / sizeof(s->found[0]) &&
	    mesh_local_find(s->mesh, &info->member))
		s->found[s->n++] = (struct mesh_member){ .space = info->space,
							 .member = info->member };
}

/*
 * A daemon that died before its word went round, or lost its resume file, is held
 * for a member that it is not any more. It takes that back, if it has the key yet.
 */
static void take_back_strays(struct mesh *mesh)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	struct strays s = { .mesh = mesh };

	route_members(mesh->routes, clock_ms(), NULL, find_stray, &s);
	for (size_t i = 0; i < s.n; i++) {
		s.found[i].secret = secret;
		if (!mesh->ops->space_secret(mesh->ctx, &s.found[i].space, secret))
			mesh_announce_member(mesh, &s.found[i], 0, PRESENCE_WITHDRAWN);
	}
	sodium_memzero(secret, sizeof(secret));
}

static void on_deadline(uv_timer_t *timer);

static void tell_reached(void *ctx, const struct address *peer)
{
	struct mesh *mesh = ctx;

	mesh->ops->reachable(mesh->ctx, peer);
}

/*
 * Tells who got a route since the last time; the cores are not running now. The
 * op must not change the mesh.
 */
static void flush_reached(struct mesh *mesh)
{
	bool many = mesh->reached_many, changed_many = mesh->spaces_changed_many;
	size_t n = mesh->n_reached, n_changed = mesh->n_spaces_changed;

	mesh->spaces_changed_many = false;
	mesh->n_spaces_changed = 0;
	if (changed_many)
		mesh->ops->members_changed(mesh->ctx, NULL);
	for (size_t i = 0; !changed_many && i < n_changed; i++)
		mesh->ops->members_changed(mesh->ctx, &mesh->spaces_changed[i]);
	mesh->reached_many = false;
	mesh->n_reached = 0;
	if (mesh->regained) {
		mesh->regained = false;
		mesh_renew_sessions(mesh);
	}
	if (many)
		mesh_peers(mesh, tell_reached, mesh);
	else
		for (size_t i = 0; i < n; i++)
			/* The route may be gone again. */
			if (mesh_reachable(mesh, &mesh->reached[i]))
				mesh->ops->reachable(mesh->ctx, &mesh->reached[i]);
}

/*
 * To be called after every call into the cores: passes on what they found and
 * arms the deadline timer for the earliest of them.
 */
void mesh_arm(struct mesh *mesh)
{
	uint64_t now = clock_ms(), due, other;

	if (!mesh->kern)
		return;
	flush_reached(mesh);
	due = route_deadline(mesh->routes);
	other = linkauth_deadline(mesh->linkauth);
	due = other < due ? other : due;
	other = session_deadline(mesh->sessions);
	due = other < due ? other : due;
	other = mesh_contacts_due(mesh);
	due = other < due ? other : due;
	if (due == UINT64_MAX) {
		uv_timer_stop(&mesh->deadline);
		return;
	}
	uv_update_time(mesh->loop);
	/* Not 0: libuv before 1.45 would run such a timer again and again before any I/O. */
	uv_timer_start(&mesh->deadline, on_deadline, due > now ? due - now : 1, 0);
}

static void on_deadline(uv_timer_t *timer)
{
	struct mesh *mesh = timer->data;
	uint64_t now = clock_ms();

	if (!mesh->kern)
		return;
	linkauth_tick(mesh->linkauth, now);
	session_tick(mesh->sessions, now);
	route_tick(mesh->routes, now);
	mesh_contacts_sync(mesh, now);
	mesh_arm(mesh);
}

/* One handle less; the last one of mesh_free() takes the rest with it. */
static void on_closed(uv_handle_t *handle)
{
	struct mesh *mesh = handle->data;

	if (!mesh->open_handles || --mesh->open_handles)
		return;
	for (size_t i = 0; i < mesh->n_locals; i++)
		sodium_free(mesh->locals[i].secret);
	free(mesh->locals);
	free(mesh->held);
	for (size_t i = 0; i < mesh->n_members; i++)
		sodium_free(mesh->members[i].secret);
	free(mesh->members);
	sodium_free(mesh->router_secret);
	free(mesh);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct mesh *mesh = handle->data;

	mesh->poll_open = false;
	on_closed(handle);
}

/* Drops everything that hangs on the kernel's door; the kernel keeps its state. */
static void leave_kernel(struct mesh *mesh)
{
	if (!mesh->kern)
		return;
	uv_close((uv_handle_t *)&mesh->poll, on_poll_closed);
	uv_timer_stop(&mesh->deadline);
	linkauth_free(mesh->linkauth);
	session_mgr_free(mesh->sessions);
	route_free(mesh->routes);
	mesh->linkauth = NULL;
	mesh->sessions = NULL;
	mesh->routes = NULL;
	kern_close(mesh->kern);
	mesh->kern = NULL;
	memset(mesh->neighs, 0, sizeof(mesh->neighs));
	for (size_t i = 0; i < mesh->n_locals; i++)
		mesh->locals[i].installed = mesh->locals[i].announced = false;
	for (size_t i = 0; i < mesh->n_members; i++)
		mesh->members[i].announced = false;
	mesh->n_spaces_changed = 0;
	mesh->spaces_changed_many = false;
	mesh->n_left_out = 0;
	mesh->n_reached = 0;
	mesh->reached_many = false;
	mesh->regained = false;
	mesh->n_changed = 0;
	mesh->changed_many = false;
	mesh->n_lost = 0;
	memset(mesh->lost, 0, sizeof(mesh->lost));
}

/* The device or the module is gone, or never was there. */
static void detach(struct mesh *mesh, const char *why)
{
	if (strcmp(mesh->off, why))
		log_warn("mesh: off: %s", why);
	if (why != mesh->off)
		snprintf(mesh->off, sizeof(mesh->off), "%s", why);
	leave_kernel(mesh);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct mesh *mesh = poll->data;
	static struct log_gate gate;
	uint64_t now = clock_ms();
	int err;

	(void)events;
	if (status < 0) {
		detach(mesh, "the netlink socket failed");
		return;
	}
	err = kern_dispatch(mesh->kern, mesh_on_event, mesh);
	if (err == -ENOBUFS) {
		if (log_gate_open(&gate, now, 4, 60000))
			log_warn("mesh: the kernel had more events than we could take; some are lost");
		/* A neighbour or link may have gone unnoticed. All else is repeated. */
		mesh_measure(mesh, now);
	} else if (err == -EBADMSG) {
		log_debug("mesh: an event that is not understood; module and daemon differ");
	} else if (err) {
		detach(mesh, "the netlink socket failed");
		return;
	}
	mesh_arm(mesh);
}

static bool make_cores(struct mesh *mesh, uint64_t boot_id)
{
	struct linkauth_config lc = {
		.router = mesh->router,
		.router_sk = mesh->router_secret,
		.boot_id = boot_id,
		.policy = mesh->config->closed && mesh->config->n_members ? LINKAUTH_CLOSED :
									    LINKAUTH_OPEN,
		.members = mesh->config->members,
		.n_members = mesh->config->n_members,
		.group_secret = mesh->config->has_group_secret ? mesh->config->group_secret : NULL,
	};

	mesh->linkauth = linkauth_new(&lc, &mesh_linkauth_ops, mesh);
	mesh->sessions = session_mgr_new(&mesh_session_ops, mesh);
	mesh->routes = route_new(NULL, &mesh_route_ops, mesh, clock_ms());
	return mesh->linkauth && mesh->sessions && mesh->routes;
}

/*
 * The boot id is kept over restarts of the daemon for as long as the kernel keeps
 * its state: neighbours then go on with their keys instead of making new ones.
 */
static void choose_boot_id(const struct mesh *mesh, uint8_t boot_id[8])
{
	if (address_equal(&mesh->dev.router, &mesh->router) && !sodium_is_zero(mesh->dev.boot_id, 8))
		memcpy(boot_id, mesh->dev.boot_id, 8);
	else
		randombytes_buf(boot_id, 8);
}

static uint64_t boot_id_number(const uint8_t boot_id[8])
{
	uint64_t n = 0;

	for (int i = 0; i < 8; i++)
		n = n << 8 | boot_id[i];
	return n;
}

/* Joins; on failure the reason is in mesh->off and the next housekeeping tries again. */
static void attach(struct mesh *mesh)
{
	char why[256] = "";
	uint8_t boot_id[8];
	struct kern *kern;
	int err;

	err = kern_open(&kern, why, sizeof(why));
	if (err) {
		detach(mesh, why);
		return;
	}
	err = kern_dev_find(kern, mesh->config->device, &mesh->dev);
	if (err == -ENODEV && mesh->config->n_links &&
	    !kern_dev_create(kern, mesh->config->device))
		err = kern_dev_find(kern, mesh->config->device, &mesh->dev);
	choose_boot_id(mesh, boot_id);
	if (!err)
		err = kern_claim(kern, mesh->dev.ifindex, &mesh->router, boot_id);
	if (!err)
		err = kern_dev_up(kern, mesh->dev.ifindex);
	if (!err)
		err = kern_prefix_route(kern, mesh->dev.ifindex);
	if (err) {
		snprintf(why, sizeof(why), "%s", kern_why(kern));
		kern_close(kern);
		detach(mesh, why);
		return;
	}
	err = uv_poll_init(mesh->loop, &mesh->poll, kern_fd(kern));
	if (err) {
		kern_close(kern);
		detach(mesh, uv_strerror(err));
		return;
	}
	mesh->kern = kern;
	mesh->poll.data = mesh;
	mesh->poll_open = true;
	if (!make_cores(mesh, boot_id_number(boot_id))) {
		detach(mesh, "out of memory");
		return;
	}
	if (kern_version(kern) < RATMAN_FAMILY_VERSION)
		log_warn("mesh: the kernel module is older than ratmand: it cannot tell programs how long packets may be");
	mesh_restore(mesh);
	for (size_t i = 0; i < mesh->n_locals; i++)
		mesh_local_install(mesh, &mesh->locals[i]);
	announce_members(mesh);
	uv_poll_start(&mesh->poll, UV_READABLE, on_readable);
	mesh_take_links(mesh);
	mesh->refreshed_ms = mesh->measured_ms = clock_ms();
	mesh->off[0] = 0;
	/* What was restored is not installed again. */
	mesh->reached_many = true;
	mesh->changed_many = true;
	log_info("mesh: on, device %s", mesh->dev.name);
	mesh->ops->joined(mesh->ctx);
	mesh_arm(mesh);
}

static void check_dev(struct mesh *mesh)
{
	struct kern_dev dev;
	int err = kern_dev_find(mesh->kern, mesh->config->device, &dev);

	if (err)
		detach(mesh, kern_why(mesh->kern));
	else if (dev.ifindex != mesh->dev.ifindex || !dev.claimed)
		detach(mesh, "the device was made anew");
}

/*
 * Setting the device down takes every address and route off it, by IPv6's rules;
 * one address that is missing says that it happened.
 */
static void check_ips(struct mesh *mesh)
{
	struct in6_addr ip;

	if (!mesh->n_locals || !mesh->locals[0].installed)
		return;
	address_to_ipv6(&mesh->locals[0].address, &ip);
	if (kern_ip_has(mesh->kern, mesh->dev.ifindex, &ip))
		return;
	if (kern_prefix_route(mesh->kern, mesh->dev.ifindex))
		return;		/* still down */
	for (size_t i = 0; i < mesh->n_locals; i++) {
		address_to_ipv6(&mesh->locals[i].address, &ip);
		if (mesh->locals[i].installed)
			kern_ip_add(mesh->kern, mesh->dev.ifindex, &ip);
	}
	log_info("mesh: the device was down; its addresses are back");
}

static void on_housekeeping(uv_timer_t *timer)
{
	struct mesh *mesh = timer->data;
	uint64_t now = clock_ms();

	if (mesh->kern)
		check_dev(mesh);
	if (!mesh->kern) {
		/* The old poll handle must be closed before it can be used again. */
		if (!mesh->poll_open)
			attach(mesh);
		return;
	}
	mesh_take_links(mesh);
	check_ips(mesh);
	for (size_t i = 0; i < mesh->n_locals; i++)
		mesh_local_install(mesh, &mesh->locals[i]);
	announce_members(mesh);
	if (now - mesh->measured_ms >= MEASURE_MS) {
		mesh->measured_ms = now;
		mesh_measure(mesh, now);
		take_back_strays(mesh);
	}
	if (now - mesh->refreshed_ms >= REFRESH_MS) {
		mesh->refreshed_ms = now;
		mesh_refresh_routes(mesh, now);
	}
	mesh_arm(mesh);
}

struct mesh *mesh_new(uv_loop_t *loop, const struct config *config, const uint8_t *router_secret,
		      const struct mesh_ops *ops, void *ctx)
{
	struct mesh *mesh = calloc(1, sizeof(*mesh));

	if (!mesh)
		return NULL;
	mesh->locals = calloc(LIMIT_LOCAL_ADDRESSES, sizeof(*mesh->locals));
	mesh->members = calloc(LIMIT_SPACE_MEMBERSHIPS, sizeof(*mesh->members));
	mesh->held = calloc(MESH_HELD_MAX, sizeof(*mesh->held));
	mesh->router_secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (!mesh->locals || !mesh->members || !mesh->held || !mesh->router_secret) {
		free(mesh->locals);
		free(mesh->members);
		free(mesh->held);
		sodium_free(mesh->router_secret);
		free(mesh);
		return NULL;
	}
	memcpy(mesh->router_secret, router_secret, crypto_sign_SECRETKEYBYTES);
	crypto_sign_ed25519_sk_to_pk(mesh->router.b, router_secret);
	mesh->loop = loop;
	mesh->config = config;
	mesh->ops = ops;
	mesh->ctx = ctx;
	snprintf(mesh->off, sizeof(mesh->off), "not started yet");
	uv_timer_init(loop, &mesh->deadline);
	uv_timer_init(loop, &mesh->housekeeping);
	mesh->deadline.data = mesh;
	mesh->housekeeping.data = mesh;
	return mesh;
}

void mesh_start(struct mesh *mesh)
{
	attach(mesh);
	uv_timer_start(&mesh->housekeeping, on_housekeeping, HOUSEKEEPING_MS, HOUSEKEEPING_MS);
}

void mesh_free(struct mesh *mesh)
{
	if (!mesh)
		return;
	leave_kernel(mesh);
	mesh->open_handles = 2 + mesh->poll_open;
	uv_close((uv_handle_t *)&mesh->deadline, on_closed);
	uv_close((uv_handle_t *)&mesh->housekeeping, on_closed);
}

int mesh_local_up(struct mesh *mesh, const struct address *address, const uint8_t *secret)
{
	struct mesh_local *local = mesh_local_find(mesh, address);

	if (local)
		return 0;
	if (mesh->n_locals == LIMIT_LOCAL_ADDRESSES)
		return -ENOSPC;
	if (memcmp(secret + crypto_sign_SEEDBYTES, address->b, ADDRESS_LEN))
		return -EINVAL;
	local = &mesh->locals[mesh->n_locals];
	local->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (!local->secret)
		return -ENOMEM;
	memcpy(local->secret, secret, crypto_sign_SECRETKEYBYTES);
	local->address = *address;
	local->installed = local->announced = false;
	local->announce_ms = 0;
	/* Peers hear of up after down as of nothing at all, and would go on with dead keys. */
	if (address_equal(&mesh->withdrawn, address))
		local->announce_ms = mesh->withdrawn_ms + WITHDRAWN_MS;
	mesh->n_locals++;
	if (mesh->kern) {
		mesh_local_install(mesh, local);
		mesh_arm(mesh);
	}
	return 0;
}

void mesh_local_down(struct mesh *mesh, const struct address *address)
{
	struct mesh_local *local = mesh_local_find(mesh, address);
	struct in6_addr ip;
	int err;

	if (!local)
		return;
	if (mesh->kern) {
		session_local_remove(mesh->sessions, address);
		address_to_ipv6(address, &ip);
		kern_ip_del(mesh->kern, mesh->dev.ifindex, &ip);
		err = kern_addr_del(mesh->kern, mesh->dev.ifindex, address);
		if (err && err != -ENOENT)
			log_warn("mesh: cannot take an address off %s: %s", mesh->dev.name,
				 kern_why(mesh->kern));
		/* Without a stamp a retraction must do: it says "no way", not "gone". */
		if (local->announced && mesh_announce(mesh, local, 0, RECORD_WITHDRAWN))
			route_local_remove(mesh->routes, clock_ms(), address);
		mesh_arm(mesh);
	}
	mesh->withdrawn = *address;
	mesh->withdrawn_ms = clock_ms();
	sodium_free(local->secret);
	*local = mesh->locals[--mesh->n_locals];
}

int mesh_space_up(struct mesh *mesh, const struct address *space, const uint8_t *secret,
		  const struct address *member)
{
	struct mesh_member *m;

	if (mesh_member_find(mesh, space, member))
		return 0;
	if (mesh->n_members == LIMIT_SPACE_MEMBERSHIPS)
		return -ENOSPC;
	m = &mesh->members[mesh->n_members];
	m->secret = sodium_malloc(crypto_sign_SECRETKEYBYTES);
	if (!m->secret)
		return -ENOMEM;
	memcpy(m->secret, secret, crypto_sign_SECRETKEYBYTES);
	m->space = *space;
	m->member = *member;
	m->announced = false;
	mesh->n_members++;
	if (mesh->kern) {
		announce_members(mesh);
		mesh_arm(mesh);
	}
	return 0;
}

void mesh_space_down(struct mesh *mesh, const struct address *space,
		     const struct address *member)
{
	struct mesh_member *m = mesh_member_find(mesh, space, member);

	if (!m)
		return;
	/* Without a stamp it is believed for a while yet: members that ask hear that it is none. */
	if (mesh->kern && m->announced)
		mesh_announce_member(mesh, m, 0, PRESENCE_WITHDRAWN);
	sodium_free(m->secret);
	*m = mesh->members[--mesh->n_members];
	mesh_arm(mesh);
}

struct mesh_members_ctx {
	void (*cb)(void *ctx, const struct address *member);
	void *ctx;
};

static void each_member(void *ctx, const struct route_member_info *info)
{
	struct mesh_members_ctx *m = ctx;

	if (!info->local)
		m->cb(m->ctx, &info->member);
}

void mesh_members(const struct mesh *mesh, const struct address *space,
		  void (*cb)(void *ctx, const struct address *member), void *ctx)
{
	struct mesh_members_ctx m = { cb, ctx };

	if (mesh->kern)
		route_members(mesh->routes, clock_ms(), space, each_member, &m);
}

bool mesh_reachable(const struct mesh *mesh, const struct address *peer)
{
	struct route_info info;

	return mesh->kern && !route_get(mesh->routes, clock_ms(), peer, &info) && !info.local &&
	       info.metric != ROUTE_INFINITY;
}

struct peers {
	mesh_peer_cb cb;
	void *ctx;
};

static bool each_route(void *ctx, const struct route_info *info)
{
	struct peers *p = ctx;

	if (!info->local && info->metric != ROUTE_INFINITY)
		p->cb(p->ctx, &info->address);
	return true;
}

void mesh_peers(const struct mesh *mesh, mesh_peer_cb cb, void *ctx)
{
	struct peers p = { .cb = cb, .ctx = ctx };

	if (mesh->kern)
		route_foreach(mesh->routes, clock_ms(), each_route, &p);
}

const char *mesh_off_reason(const struct mesh *mesh)
{
	return mesh->off[0] ? mesh->off : NULL;
}

size_t mesh_neighbours(const struct mesh *mesh)
{
	size_t n = 0;

	for (size_t i = 0; i < ROUTE_NEIGH_MAX; i++)
		n += mesh->neighs[i].used && mesh->neighs[i].alive;
	return n;
}
