// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Between the kernel and the cores: events in, ops out, and the restoring of
 * what the kernel still has when a daemon starts.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "ratmand/mesh_priv.h"

#define ROUTE_EXPIRES_MS 600000
#define RENEW_MIN_AGE_MS 1000	/* a session this young was made with the peer as it is now */
#define DEAD_REMOVE_MS 60000	/* a silent neighbour keeps its keys so long */

_Static_assert(ROUTE_PATH_MTU_MIN == 1280 + RATMAN_DATA_OVERHEAD, "as the kernel has it");

/*
 * Cost of a link from what was measured: a base for the hop itself, the round
 * trip, and both divided by the share of frames that arrive.
 */
#define COST_BASE 32
#define COST_PER_MS 4
#define COST_RTT_MAX 2000

static uint16_t link_cost(uint32_t rtt_us, uint32_t loss)
{
	uint32_t rtt_cost = rtt_us / (1000 / COST_PER_MS);
	uint32_t arriving = 65536 - (loss > 65000 ? 65000 : loss);
	uint32_t cost;

	if (rtt_cost > COST_RTT_MAX)
		rtt_cost = COST_RTT_MAX;
	cost = (uint32_t)((uint64_t)(COST_BASE + rtt_cost) * 65536 / arriving);
	return (uint16_t)(cost > 16384 ? 16384 : cost);
}

/* Lines that a stranger can cause, each kind so often. */
static bool may_log(struct log_gate *gate)
{
	return log_gate_open(gate, clock_ms(), 8, 60000);
}

static uint32_t neigh_handle(const struct mesh *mesh, const struct mesh_neigh *n)
{
	return n->generation * ROUTE_NEIGH_MAX + (uint32_t)(n - mesh->neighs);
}

static const struct mesh_neigh *neigh_by_handle(const struct mesh *mesh, uint32_t handle)
{
	return &mesh->neighs[handle % ROUTE_NEIGH_MAX];
}

static struct mesh_neigh *neigh_by_index(struct mesh *mesh, uint32_t index)
{
	for (size_t i = 0; index && i < ROUTE_NEIGH_MAX; i++) {
		struct mesh_neigh *n = &mesh->neighs[i];

		if (n->used && (n->index == index || n->old_index == index))
			return n;
	}
	return NULL;
}

static struct mesh_neigh *neigh_find(struct mesh *mesh, uint32_t link, const struct address *router)
{
	for (size_t i = 0; i < ROUTE_NEIGH_MAX; i++)
		if (mesh->neighs[i].used && mesh->neighs[i].link == link &&
		    address_equal(&mesh->neighs[i].router, router))
			return &mesh->neighs[i];
	return NULL;
}

struct wanted_link {
	uint32_t ifindex, mtu;
};

static void find_mtu(void *ctx, const struct kern_link *link)
{
	struct wanted_link *wanted = ctx;

	if (link->ifindex == wanted->ifindex)
		wanted->mtu = link->mtu;
}

/* 0 when the kernel does not say: mesh_measure() asks again. */
static uint32_t link_mtu(struct mesh *mesh, uint32_t ifindex)
{
	struct wanted_link wanted = { .ifindex = ifindex };

	kern_links(mesh->kern, mesh->dev.ifindex, find_mtu, &wanted);
	return wanted.mtu;
}

static void neigh_mtu(struct mesh *mesh, struct mesh_neigh *n, uint32_t mtu)
{
	char text[ADDRESS_TEXT_LEN];
	static struct log_gate gate;

	if (!mtu || mtu == n->mtu)
		return;
	if (mtu < ROUTE_PATH_MTU_MIN && may_log(&gate))
		log_warn("mesh: link %u has MTU %u, %d at least is needed: no routes over %.9s… there",
			 n->link, mtu, ROUTE_PATH_MTU_MIN, address_format(&n->router, text));
	n->mtu = mtu;
	if (n->alive)
		route_neigh_mtu(mesh->routes, clock_ms(), neigh_handle(mesh, n), mtu);
}

static struct mesh_neigh *neigh_new(struct mesh *mesh, uint32_t link, const struct address *router)
{
	struct mesh_neigh *n = NULL;
	bool same = false;

	/* Where it was before, else where nobody was, else anywhere. */
	for (size_t i = 0; i < ROUTE_NEIGH_MAX && !same; i++) {
		struct mesh_neigh *free = &mesh->neighs[i];

		if (free->used)
			continue;
		same = free->link == link && address_equal(&free->router, router);
		if (!n || same || (!free->link && n->link))
			n = free;
	}
	if (!n)
		return NULL;
	*n = (struct mesh_neigh){ .used = true, .generation = n->generation + !same, .link = link,
				  .router = *router, .cost = COST_BASE };
	neigh_mtu(mesh, n, link_mtu(mesh, link));
	return n;
}

static void neigh_alive(struct mesh *mesh, struct mesh_neigh *n)
{
	if (n->alive)
		return;
	n->alive = true;
	route_neigh_up(mesh->routes, clock_ms(), neigh_handle(mesh, n), n->cost, 0);
	route_neigh_mtu(mesh->routes, clock_ms(), neigh_handle(mesh, n), n->mtu);
}

static void neigh_dead(struct mesh *mesh, struct mesh_neigh *n)
{
	if (!n->alive)
		return;
	n->alive = false;
	n->dead_since_ms = clock_ms();
	route_neigh_down(mesh->routes, clock_ms(), neigh_handle(mesh, n));
}

static void neigh_forget(struct mesh *mesh, struct mesh_neigh *n)
{
	neigh_dead(mesh, n);
	linkauth_gone(mesh->linkauth, clock_ms(), n->link, &n->router);
	n->used = false;
	n->index = n->old_index = 0;
}

/* Linkauth: frames and keys. */

static void send_link(void *ctx, uint32_t ifindex, const uint8_t mac[6], const uint8_t *bytes,
		      size_t len)
{
	struct mesh *mesh = ctx;
	struct kern_frame f = { .type = RATMAN_LINK, .link = ifindex, .body = bytes, .len = len };

	memcpy(f.lladdr, mac, sizeof(f.lladdr));
	if (kern_frame_tx(mesh->kern, mesh->dev.ifindex, &f))
		log_debug("mesh: LINK frame not sent: %s", kern_why(mesh->kern));
}

static void put_boot_id(uint64_t number, uint8_t out[8])
{
	for (int i = 7; i >= 0; i--) {
		out[i] = (uint8_t)number;
		number >>= 8;
	}
}

static uint64_t get_boot_id(const uint8_t in[8])
{
	uint64_t number = 0;

	for (int i = 0; i < 8; i++)
		number = number << 8 | in[i];
	return number;
}

/* linkauth holds it for a neighbour until mesh_measure() says otherwise. */
static void leave_out(struct mesh *mesh, uint32_t link, const struct address *router)
{
	static struct log_gate gate;

	if (may_log(&gate))
		log_warn("mesh: more than %d neighbours; one is left out", ROUTE_NEIGH_MAX);
	for (size_t i = 0; i < mesh->n_left_out; i++)
		if (mesh->left_out[i].link == link &&
		    address_equal(&mesh->left_out[i].router, router))
			return;
	if (mesh->n_left_out < sizeof(mesh->left_out) / sizeof(mesh->left_out[0]))
		mesh->left_out[mesh->n_left_out++] = (struct mesh_left_out){ link, *router };
}

static void neigh_established(void *ctx, const struct linkauth_neigh *ln)
{
	static struct log_gate gate, refused;
	struct mesh *mesh = ctx;
	struct mesh_neigh *n = neigh_find(mesh, ln->ifindex, &ln->router);
	struct kern_neigh kn = {
		.link = ln->ifindex,
		.router = ln->router,
		.index = ln->local_index,
		.peer_index = ln->peer_index,
		.initiator = ln->initiator,
	};
	char text[ADDRESS_TEXT_LEN];
	int err;

	if (!n)
		n = neigh_new(mesh, ln->ifindex, &ln->router);
	if (!n) {
		leave_out(mesh, ln->ifindex, &ln->router);
		return;
	}
	memcpy(kn.lladdr, ln->mac, sizeof(kn.lladdr));
	memcpy(kn.rx_key, ln->rx_key, sizeof(kn.rx_key));
	memcpy(kn.tx_key, ln->tx_key, sizeof(kn.tx_key));
	put_boot_id(ln->boot_id, kn.boot_id);
	err = kern_neigh_set(mesh->kern, mesh->dev.ifindex, &kn);
	sodium_memzero(&kn, sizeof(kn));
	if (err) {
		/* A new one stays, dead, until mesh_measure() finds that the kernel lacks it. */
		if (may_log(&refused))
			log_warn("mesh: the kernel refuses a neighbour: %s", kern_why(mesh->kern));
		return;
	}
	if (may_log(&gate))
		log_info("mesh: neighbour %.9s… on link %u", address_format(&ln->router, text),
			 ln->ifindex);
	n->old_index = n->index;
	n->index = ln->local_index;
	/* It has started anew and lost what it had: so must the routing core. */
	if (n->boot_id != ln->boot_id)
		neigh_dead(mesh, n);
	n->boot_id = ln->boot_id;
	neigh_alive(mesh, n);
}

static uint64_t router_stamp(void *ctx)
{
	struct mesh *mesh = ctx;

	return mesh->ops->next_stamp(mesh->ctx, &mesh->router);
}

const struct linkauth_ops mesh_linkauth_ops = {
	.send = send_link,
	.established = neigh_established,
	.next_stamp = router_stamp,
};

/* Sessions. */

static void send_handshake(void *ctx, const struct address *dest, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;
	struct kern_frame f = {
		.type = RATMAN_HANDSHAKE, .dest = *dest, .body = bytes, .len = len,
	};

	if (kern_frame_tx(mesh->kern, mesh->dev.ifindex, &f))
		log_debug("mesh: HANDSHAKE frame not sent: %s", kern_why(mesh->kern));
}

static void session_installed(void *ctx, const struct session_keys *keys)
{
	struct mesh *mesh = ctx;
	struct kern_session s = {
		.local = keys->local,
		.peer = keys->peer,
		.index = keys->local_index,
		.peer_index = keys->peer_index,
		.initiator = keys->initiator,
		.contact = mesh_is_contact(mesh, &keys->local, &keys->peer),
	};
	static struct log_gate gate;

	address_to_ipv6(&s.local, &s.local_ipv6);
	address_to_ipv6(&s.peer, &s.peer_ipv6);
	memcpy(s.rx_key, keys->rx_key, sizeof(s.rx_key));
	memcpy(s.tx_key, keys->tx_key, sizeof(s.tx_key));
	if (kern_session_set(mesh->kern, mesh->dev.ifindex, &s) && may_log(&gate))
		log_warn("mesh: the kernel refuses a session: %s", kern_why(mesh->kern));
	sodium_memzero(&s, sizeof(s));
}

static void session_failed(void *ctx, const struct address *local, const struct address *peer)
{
	char text[ADDRESS_TEXT_LEN];

	(void)ctx;
	(void)local;
	log_debug("mesh: no answer from %.9s…", address_format(peer, text));
}

static uint64_t local_stamp(void *ctx, const struct address *local)
{
	struct mesh *mesh = ctx;

	return mesh->ops->next_stamp(mesh->ctx, local);
}

const struct session_ops mesh_session_ops = {
	.send = send_handshake,
	.install = session_installed,
	.failed = session_failed,
	.next_stamp = local_stamp,
};

/* Routing. */

static void send_control(void *ctx, uint32_t handle, const uint8_t *bytes, size_t len)
{
	struct mesh *mesh = ctx;
	const struct mesh_neigh *n = neigh_by_handle(mesh, handle);
	struct kern_frame f = {
		.type = RATMAN_CONTROL, .neigh = n->index, .body = bytes, .len = len,
	};

	if (kern_frame_tx(mesh->kern, mesh->dev.ifindex, &f))
		log_debug("mesh: CONTROL frame not sent: %s", kern_why(mesh->kern));
}

static void fill_route(const struct mesh *mesh, const struct address *dest,
		       const struct route_hop *hops, size_t n, struct kern_route *out)
{
	out->dest = *dest;
	address_to_ipv6(dest, &out->ipv6);
	for (size_t i = 0; i < n && i < RATMAN_ROUTE_HOPS_MAX; i++) {
		out->hops[i].neigh = neigh_by_handle(mesh, hops[i].neigh)->index;
		out->hops[i].metric = hops[i].metric;
		out->hops[i].mtu = hops[i].mtu;
		out->n_hops = i + 1;
	}
	out->expires_ms = ROUTE_EXPIRES_MS;
}

#define N_LOST (sizeof(((struct mesh *)0)->lost) / sizeof(struct mesh_lost))

/*
 * A peer whose route comes back may have been away with its keys gone: it could
 * not say so, and the kernel would notice only after seconds of silence. The ring
 * remembers whose sessions mesh_arm() shall renew.
 */
static void note_regained(struct mesh *mesh, const struct address *dest)
{
	for (size_t i = 0; i < N_LOST; i++) {
		if (!address_equal(&mesh->lost[i].address, dest))
			continue;
		mesh->lost[i].back = true;
		mesh->regained = true;
	}
}

static void route_install(void *ctx, const struct address *dest, const struct route_hop *hops,
			  size_t n, const uint8_t *cookie, size_t cookie_len)
{
	struct mesh *mesh = ctx;
	struct kern_route r = { 0 };
	static struct log_gate gate;

	fill_route(mesh, dest, hops, n, &r);
	memcpy(r.cookie, cookie, cookie_len);
	r.cookie_len = cookie_len;
	if (kern_route_set(mesh->kern, mesh->dev.ifindex, &r) && may_log(&gate))
		log_warn("mesh: the kernel refuses a route: %s", kern_why(mesh->kern));
	note_regained(mesh, dest);
	if (mesh->n_reached < sizeof(mesh->reached) / sizeof(mesh->reached[0]))
		mesh->reached[mesh->n_reached++] = *dest;
	else
		mesh->reached_many = true;
}

static void route_uninstall(void *ctx, const struct address *dest)
{
	struct mesh *mesh = ctx;
	int err = kern_route_del(mesh->kern, mesh->dev.ifindex, dest);
	static struct log_gate gate;

	mesh->lost[mesh->n_lost++ % N_LOST] = (struct mesh_lost){ .address = *dest };
	if (err && err != -ENOENT && may_log(&gate))
		log_warn("mesh: cannot remove a route: %s", kern_why(mesh->kern));
}

static void route_seen_sequence(void *ctx, const struct address *address, uint64_t sequence)
{
	struct mesh *mesh = ctx;

	mesh->ops->seen(mesh->ctx, address, sequence);
}

static uint64_t route_last_seen(void *ctx, const struct address *address)
{
	struct mesh *mesh = ctx;

	return mesh->ops->last_seen(mesh->ctx, address);
}

static void route_want(void *ctx, const struct address *address, uint64_t sequence)
{
	struct mesh *mesh = ctx;
	const struct mesh_local *local = mesh_local_find(mesh, address);

	if (local && mesh_announce(mesh, local, sequence, 0))
		log_warn("mesh: cannot renew the announcement of an address");
}

/* Told by mesh_arm(), outside the core. */
static void route_member(void *ctx, const struct address *space, const struct address *member,
			 bool up)
{
	struct mesh *mesh = ctx;

	(void)member;
	(void)up;
	for (size_t i = 0; i < mesh->n_spaces_changed; i++)
		if (address_equal(&mesh->spaces_changed[i], space))
			return;
	if (mesh->n_spaces_changed < sizeof(mesh->spaces_changed) / sizeof(mesh->spaces_changed[0]))
		mesh->spaces_changed[mesh->n_spaces_changed++] = *space;
	else
		mesh->spaces_changed_many = true;
}

static void route_want_member(void *ctx, const struct address *space,
			      const struct address *member, uint64_t sequence)
{
	struct mesh *mesh = ctx;
	struct mesh_member *m = mesh_member_find(mesh, space, member);

	if (m && mesh_announce_member(mesh, m, sequence, 0))
		log_warn("mesh: cannot renew the announcement of a membership");
}

const struct route_ops mesh_route_ops = {
	.send = send_control,
	.install = route_install,
	.uninstall = route_uninstall,
	.seen = route_seen_sequence,
	.want_sequence = route_want,
	.last_seen = route_last_seen,
	.member = route_member,
	.want_member = route_want_member,
};

/* Events. */

static void on_frame(struct mesh *mesh, const struct kern_frame *f, uint64_t now)
{
	const struct mesh_neigh *n;

	switch (f->type) {
	case RATMAN_LINK:
		linkauth_input(mesh->linkauth, now, f->link, f->lladdr, f->body, f->len);
		break;
	case RATMAN_CONTROL:
		n = neigh_by_index(mesh, f->neigh);
		if (n)
			route_input(mesh->routes, now, neigh_handle(mesh, n), f->body, f->len);
		break;
	case RATMAN_HANDSHAKE:
		session_input(mesh->sessions, now, &f->dest, f->neigh, f->body, f->len);
		break;
	default:
		break;
	}
}

static void on_neigh(struct mesh *mesh, const struct kern_neigh *kn)
{
	struct mesh_neigh *n = neigh_find(mesh, kn->link, &kn->router);

	if (!n)
		return;
	if (kn->rekey)
		linkauth_rekey(mesh->linkauth, clock_ms(), kn->link, &kn->router);
	switch (kn->state) {
	case RATMAN_NEIGH_ALIVE:
		neigh_alive(mesh, n);
		break;
	case RATMAN_NEIGH_DEAD:
		neigh_dead(mesh, n);
		break;
	case RATMAN_NEIGH_REMOVED:
		/* Under another index it is old news: since then we have set it again. */
		if (!kn->index || kn->index == n->index)
			neigh_forget(mesh, n);
		break;
	}
}

static void on_link(struct mesh *mesh, const struct kern_link *link)
{
	bool removed = link->state == RATMAN_LINK_REMOVED;

	for (size_t i = 0; i < ROUTE_NEIGH_MAX; i++) {
		struct mesh_neigh *n = &mesh->neighs[i];

		if (!n->used || n->link != link->ifindex)
			continue;
		if (removed)
			neigh_forget(mesh, n);
		else
			neigh_mtu(mesh, n, link->mtu);
	}
	if (removed)
		linkauth_link_gone(mesh->linkauth, link->ifindex);
}

void mesh_on_event(void *ctx, const struct kern_event *ev)
{
	struct mesh *mesh = ctx;
	uint64_t now = clock_ms();

	if (ev->ifindex != mesh->dev.ifindex)
		return;
	switch (ev->cmd) {
	case RATMAN_CMD_FRAME_RX:
		on_frame(mesh, &ev->frame, now);
		break;
	case RATMAN_CMD_CANDIDATE_NTF:
		linkauth_candidate(mesh->linkauth, now, ev->neigh.link, ev->neigh.lladdr,
				   &ev->neigh.router, get_boot_id(ev->neigh.boot_id));
		break;
	case RATMAN_CMD_NEIGH_NTF:
		on_neigh(mesh, &ev->neigh);
		break;
	case RATMAN_CMD_LINK_NTF:
		on_link(mesh, &ev->link);
		break;
	case RATMAN_CMD_SESSION_WANT:
		session_want(mesh->sessions, now, &ev->session.local, &ev->session.peer);
		break;
	default:
		break;
	}
}

/*
 * What the kernel still has. A dump is read to its end before anything is done
 * about it: a request in the middle would take the dump's answers for its own.
 */

void mesh_list_add(struct mesh_list *list, const void *item, size_t size)
{
	if (list->n == list->cap) {
		size_t cap = list->cap ? list->cap * 2 : 16;
		void *items = realloc(list->items, cap * size);

		if (!items) {
			list->no_memory = true;
			return;
		}
		list->items = items;
		list->cap = cap;
	}
	memcpy((uint8_t *)list->items + list->n++ * size, item, size);
}

void mesh_keep_link(void *ctx, const struct kern_link *link)
{
	mesh_list_add(ctx, link, sizeof(*link));
}

static void keep_neigh(void *ctx, const struct kern_neigh *kn)
{
	mesh_list_add(ctx, kn, sizeof(*kn));
}

/* 0 and every neighbour of the kernel, to be freed; or a negative errno. */
static int read_neighs(struct mesh *mesh, struct mesh_list *out)
{
	int err;

	*out = (struct mesh_list){ 0 };
	err = kern_neighs(mesh->kern, mesh->dev.ifindex, keep_neigh, out);
	if (!err && out->no_memory)
		err = -ENOMEM;
	if (err)
		free(out->items);
	return err;
}

/* May a neighbour of the daemon before be one of ours? The configuration may have changed. */
static bool may_keep(const struct mesh *mesh, const struct kern_neigh *kn)
{
	const struct config *c = mesh->config;

	if (!address_equal(&mesh->dev.router, &mesh->router))
		return false;
	if (!c->closed || !c->n_members)
		return true;
	for (size_t i = 0; i < c->n_members; i++)
		if (address_equal(&c->members[i], &kn->router))
			return true;
	return false;
}

static bool restore_neigh(struct mesh *mesh, const struct kern_neigh *kn)
{
	struct linkauth_neigh ln = {
		.ifindex = kn->link,
		.router = kn->router,
		.boot_id = get_boot_id(kn->boot_id),
		.local_index = kn->index,
		.peer_index = kn->peer_index,
	};
	struct mesh_neigh *n;

	memcpy(ln.mac, kn->lladdr, sizeof(ln.mac));
	if (!may_keep(mesh, kn) || linkauth_restore(mesh->linkauth, clock_ms(), &ln, kn->age_ms))
		return false;
	n = neigh_new(mesh, kn->link, &kn->router);
	if (!n) {
		linkauth_gone(mesh->linkauth, clock_ms(), kn->link, &kn->router);
		return false;
	}
	n->index = kn->index;
	n->boot_id = ln.boot_id;
	n->cost = link_cost(kn->rtt_us, kn->loss);
	n->dead_since_ms = clock_ms();
	if (kn->state == RATMAN_NEIGH_ALIVE)
		neigh_alive(mesh, n);
	return true;
}

static int restore_neighs(struct mesh *mesh)
{
	struct mesh_list list;
	int err = read_neighs(mesh, &list);
	struct kern_neigh *neighs = list.items;

	if (err)
		return err;
	for (size_t i = 0; i < list.n; i++)
		if (!restore_neigh(mesh, &neighs[i]))
			kern_neigh_del(mesh->kern, mesh->dev.ifindex, neighs[i].link,
				       &neighs[i].router);
	free(list.items);
	return 0;
}

/* A route of ours in the kernel; there may be a million. */
struct kept_route {
	struct address dest;
	struct route_cookie cookie;
	uint32_t index[RATMAN_ROUTE_HOPS_MAX];
	uint16_t metric[RATMAN_ROUTE_HOPS_MAX];
	uint16_t mtu[RATMAN_ROUTE_HOPS_MAX];
	uint8_t n_hops;
};

static void keep_route(void *ctx, const struct kern_route *kr)
{
	struct kept_route r = { .dest = kr->dest, .n_hops = (uint8_t)kr->n_hops };

	/* A route set by hand has no cookie of ours: leave it alone. */
	if (route_cookie_decode(kr->cookie, kr->cookie_len, &r.cookie))
		return;
	for (size_t i = 0; i < kr->n_hops; i++) {
		r.index[i] = kr->hops[i].neigh;
		r.metric[i] = (uint16_t)kr->hops[i].metric;
		r.mtu[i] = (uint16_t)kr->hops[i].mtu;
	}
	mesh_list_add(ctx, &r, sizeof(r));
}

static void restore_route(struct mesh *mesh, const struct kept_route *kr)
{
	struct route_hop hops[RATMAN_ROUTE_HOPS_MAX];
	uint64_t now = clock_ms(), seen;
	size_t n = 0;

	for (size_t i = 0; i < kr->n_hops; i++) {
		const struct mesh_neigh *neigh = neigh_by_index(mesh, kr->index[i]);

		if (!neigh)
			continue;
		hops[n].neigh = neigh_handle(mesh, neigh);
		hops[n].metric = kr->metric[i];
		hops[n].mtu = kr->mtu[i];
		n++;
	}
	/* What the routing core does not know it would never remove. */
	if (route_restore(mesh->routes, now, &kr->dest, kr->cookie.sequence, kr->cookie.metric,
			  hops, n)) {
		kern_route_del(mesh->kern, mesh->dev.ifindex, &kr->dest);
		return;
	}
	/* The cookie may be older than what was seen since: nobody shall roll it back. */
	seen = mesh->ops->last_seen(mesh->ctx, &kr->dest);
	if (seen)
		route_seen(mesh->routes, now, &kr->dest, seen);
}

static int restore_routes(struct mesh *mesh)
{
	struct mesh_list list = { 0 };
	int err = kern_routes(mesh->kern, mesh->dev.ifindex, keep_route, &list);
	const struct kept_route *routes = list.items;

	if (!err && list.no_memory)
		err = -ENOMEM;
	for (size_t i = 0; !err && i < list.n; i++)
		restore_route(mesh, &routes[i]);
	free(list.items);
	return err;
}

static void restore_session(void *ctx, const struct kern_session *ks)
{
	struct mesh *mesh = ctx;
	uint64_t now = clock_ms();

	if (ks->index)
		session_restore(mesh->sessions, now, &ks->local, &ks->peer, ks->index, ks->peer_index,
				now - (ks->age_ms < now ? ks->age_ms : now));
}

static void keep_session(void *ctx, const struct kern_session *ks)
{
	if (ks->index && ks->age_ms > RENEW_MIN_AGE_MS)
		mesh_list_add(ctx, ks, sizeof(*ks));
}

static bool is_back(const struct mesh *mesh, const struct address *peer)
{
	for (size_t i = 0; i < N_LOST; i++)
		if (mesh->lost[i].back && address_equal(&mesh->lost[i].address, peer))
			return true;
	return false;
}

void mesh_renew_sessions(struct mesh *mesh)
{
	struct mesh_list list = { 0 };
	int err = kern_sessions(mesh->kern, mesh->dev.ifindex, keep_session, &list);
	const struct kern_session *sessions = list.items;

	for (size_t i = 0; !err && i < list.n; i++)
		if (is_back(mesh, &sessions[i].peer) && mesh_reachable(mesh, &sessions[i].peer))
			session_want(mesh->sessions, clock_ms(), &sessions[i].local,
				     &sessions[i].peer);
	free(list.items);
	for (size_t i = 0; i < N_LOST; i++)
		if (mesh->lost[i].back)
			mesh->lost[i] = (struct mesh_lost){ .back = false };
}

/* Local addresses in the kernel that nobody holds the key of any more. */
struct orphans {
	struct mesh *mesh;
	struct address list[64];
	size_t n;
};

static void find_orphan(void *ctx, const struct kern_addr *ka)
{
	struct orphans *o = ctx;

	if (o->n < 64 && !mesh_local_find(o->mesh, &ka->address))
		o->list[o->n++] = ka->address;
}

static void remove_orphans(struct mesh *mesh)
{
	struct orphans o;

	do {
		o = (struct orphans){ .mesh = mesh };
		if (kern_addrs(mesh->kern, mesh->dev.ifindex, find_orphan, &o))
			return;
		for (size_t i = 0; i < o.n; i++) {
			struct in6_addr ip;

			address_to_ipv6(&o.list[i], &ip);
			kern_ip_del(mesh->kern, mesh->dev.ifindex, &ip);
			if (kern_addr_del(mesh->kern, mesh->dev.ifindex, &o.list[i]))
				return;
		}
	} while (o.n);
}

void mesh_restore(struct mesh *mesh)
{
	if (restore_neighs(mesh) || restore_routes(mesh) ||
	    kern_sessions(mesh->kern, mesh->dev.ifindex, restore_session, mesh))
		log_warn("mesh: cannot read the kernel's state: %s", kern_why(mesh->kern));
	remove_orphans(mesh);
}

/* Puts @local on the device and announces it, as far as that is not done yet. */
void mesh_local_install(struct mesh *mesh, struct mesh_local *local)
{
	struct kern_addr ka = { .address = local->address, .policy = mesh->config->inbound };
	static struct log_gate gate;

	if (local->announced)
		return;
	address_to_ipv6(&ka.address, &ka.ipv6);
	if (!local->installed) {
		local->installed = !kern_addr_set(mesh->kern, mesh->dev.ifindex, &ka) &&
				   !kern_ip_add(mesh->kern, mesh->dev.ifindex, &ka.ipv6);
		if (!local->installed && may_log(&gate))
			log_warn("mesh: cannot put an address on %s, trying again: %s",
				 mesh->dev.name, kern_why(mesh->kern));
	}
	if (!local->installed)
		return;
	if (clock_ms() < local->announce_ms)
		return;
	if (session_local_add(mesh->sessions, &local->address, local->secret))
		log_warn("mesh: no room for the sessions of an address");
	local->announced = !mesh_announce(mesh, local, 0, 0);
	if (!local->announced && may_log(&gate))
		log_warn("mesh: cannot announce an address, trying again");
}

static void measure_neigh(struct mesh *mesh, struct mesh_neigh *n, const struct kern_neigh *kn)
{
	uint16_t cost = link_cost(kn->rtt_us, kn->loss);

	if (kn->state == RATMAN_NEIGH_ALIVE)
		neigh_alive(mesh, n);
	else
		neigh_dead(mesh, n);
	/* A quarter more or less is worth telling the mesh. */
	if (n->alive && (cost > n->cost + n->cost / 4 || cost + cost / 4 < n->cost)) {
		n->cost = cost;
		route_neigh_cost(mesh->routes, clock_ms(), neigh_handle(mesh, n), cost);
	}
}

static void measure_links(struct mesh *mesh)
{
	struct mesh_list list = { 0 };
	int err = kern_links(mesh->kern, mesh->dev.ifindex, mesh_keep_link, &list);
	const struct kern_link *links = list.items;

	for (size_t i = 0; !err && i < list.n; i++)
		on_link(mesh, &links[i]);
	free(list.items);
}

/* Events may have been lost: the kernel's word counts, and who is not in it is none. */
void mesh_measure(struct mesh *mesh, uint64_t now)
{
	bool there[ROUTE_NEIGH_MAX] = { false };
	const struct kern_neigh *neighs;
	struct mesh_list list;
	bool room = false;

	measure_links(mesh);
	if (read_neighs(mesh, &list))
		return;
	neighs = list.items;
	for (size_t i = 0; i < list.n; i++) {
		struct mesh_neigh *n = neigh_find(mesh, neighs[i].link, &neighs[i].router);

		if (!n)
			continue;
		there[n - mesh->neighs] = true;
		measure_neigh(mesh, n, &neighs[i]);
	}
	free(list.items);
	for (size_t i = 0; i < ROUTE_NEIGH_MAX; i++) {
		struct mesh_neigh *n = &mesh->neighs[i];

		if (n->used && !there[i]) {
			neigh_forget(mesh, n);
		} else if (n->used && !n->alive &&
			   clock_ms() - n->dead_since_ms >= DEAD_REMOVE_MS) {
			kern_neigh_del(mesh->kern, mesh->dev.ifindex, n->link, &n->router);
			neigh_forget(mesh, n);
		}
		room |= !n->used;
	}
	for (; room && mesh->n_left_out; mesh->n_left_out--) {
		const struct mesh_left_out *l = &mesh->left_out[mesh->n_left_out - 1];

		if (!neigh_find(mesh, l->link, &l->router))
			linkauth_gone(mesh->linkauth, now, l->link, &l->router);
	}
}

static bool refresh_one(void *ctx, const struct route_info *info)
{
	struct mesh *mesh = ctx;
	struct route_cookie cookie = { .sequence = info->fd_sequence, .metric = info->fd_metric };
	struct kern_route r = { 0 };

	if (info->local || !info->n_hops)
		return true;
	fill_route(mesh, &info->address, info->hops, info->n_hops, &r);
	route_cookie_encode(&cookie, r.cookie);
	r.cookie_len = ROUTE_COOKIE_LEN;
	kern_route_set(mesh->kern, mesh->dev.ifindex, &r);
	return true;
}

void mesh_refresh_routes(struct mesh *mesh, uint64_t now)
{
	route_foreach(mesh->routes, now, refresh_one, mesh);
}
