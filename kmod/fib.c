// SPDX-License-Identifier: GPL-2.0-only
/*
 * Routes and own addresses.
 *
 * One object per address is in two hash tables, by address and by IPv6
 * address, and has a number, by which dumps and the sweep walk the table in
 * pieces. Everything but lookups runs under ratman_dev.lock.
 */
#include <linux/slab.h>

#include "fib.h"
#include "session.h"

/* The sweep looks at so many entries before it lets others have the lock. */
#define RATMAN_SWEEP_SLICE	2048
/* It gets around the whole table in this many runs, but does not crawl for that. */
#define RATMAN_SWEEP_RUNS	8
#define RATMAN_SWEEP_MIN	32768

static const struct rhashtable_params ratman_dest_params = {
	.key_len = RATMAN_ADDR_LEN,
	.key_offset = offsetof(struct ratman_dest, address),
	.head_offset = offsetof(struct ratman_dest, node),
	.hashfn = ratman_hash_address,
	.obj_cmpfn = ratman_cmp_32,
	.automatic_shrinking = true,
};

static const struct rhashtable_params ratman_dest6_params = {
	.key_len = sizeof(struct in6_addr),
	.key_offset = offsetof(struct ratman_dest, ipv6),
	.head_offset = offsetof(struct ratman_dest, node6),
	.hashfn = ratman_hash_ipv6,
	.automatic_shrinking = true,
};

/**
 * ratman_fib_lookup - whose address is it, and how to get there
 * @rdev: mesh device
 * @address: 32 bytes
 *
 * Return: the entry, valid under RCU, or NULL.
 */
struct ratman_dest *ratman_fib_lookup(struct ratman_dev *rdev, const u8 *address)
{
	return rhashtable_lookup(&rdev->dests, address, ratman_dest_params);
}

/**
 * ratman_fib_lookup6 - the same by IPv6 address
 * @rdev: mesh device
 * @ipv6: the IPv6 address
 *
 * Return: the entry, valid under RCU, or NULL.
 */
struct ratman_dest *ratman_fib_lookup6(struct ratman_dev *rdev, const struct in6_addr *ipv6)
{
	return rhashtable_lookup(&rdev->dests6, ipv6, ratman_dest6_params);
}

/* The lock takes the place of RCU: only its holder removes entries. */
static struct ratman_dest *ratman_fib_find(struct ratman_dev *rdev, const u8 *address)
{
	struct ratman_dest *dest;

	lockdep_assert_held(&rdev->lock);
	rcu_read_lock();
	dest = ratman_fib_lookup(rdev, address);
	rcu_read_unlock();
	return dest;
}

static void ratman_dest_free(struct ratman_dest *dest)
{
	unsigned int i;

	/* Readers may go on using a neighbour: it is freed by RCU, too. */
	for (i = 0; i < dest->n_hops; i++)
		ratman_neigh_put(dest->hop[i]);
	kfree_rcu(dest, rcu);
}

/* Put @dest into the tables, in the place of @old if there is one. */
static int ratman_dest_insert(struct ratman_dev *rdev, struct ratman_dest *dest,
			      struct ratman_dest *old, struct netlink_ext_ack *extack)
{
	int err;

	if (old) {
		dest->id = old->id;
		err = rhashtable_replace_fast(&rdev->dests, &old->node, &dest->node,
					      ratman_dest_params);
		if (!err)
			err = rhashtable_replace_fast(&rdev->dests6, &old->node6, &dest->node6,
						      ratman_dest6_params);
		/* Both are there, and the keys are equal. */
		WARN_ON_ONCE(err);
		xa_store(&rdev->dest_ids, dest->id, dest, GFP_KERNEL);
		ratman_dest_free(old);
		return 0;
	}

	err = xa_alloc(&rdev->dest_ids, &dest->id, dest, xa_limit_32b, GFP_KERNEL);
	if (err)
		return err;
	err = rhashtable_lookup_insert_fast(&rdev->dests6, &dest->node6, ratman_dest6_params);
	if (err) {
		if (err == -EEXIST)
			NL_SET_ERR_MSG(extack,
				       "Another address has this IPv6 address already: delete it first");
		goto err_id;
	}
	err = rhashtable_lookup_insert_fast(&rdev->dests, &dest->node, ratman_dest_params);
	if (err)
		goto err_node6;
	return 0;

err_node6:
	rhashtable_remove_fast(&rdev->dests6, &dest->node6, ratman_dest6_params);
err_id:
	xa_erase(&rdev->dest_ids, dest->id);
	return err;
}

static void ratman_dest_remove(struct ratman_dev *rdev, struct ratman_dest *dest)
{
	rhashtable_remove_fast(&rdev->dests, &dest->node, ratman_dest_params);
	rhashtable_remove_fast(&rdev->dests6, &dest->node6, ratman_dest6_params);
	xa_erase(&rdev->dest_ids, dest->id);
	if (dest->local)
		rdev->addrs--;
	else
		rdev->routes--;
	ratman_dest_free(dest);
}

static unsigned long ratman_dest_expiry(u32 ms)
{
	unsigned long at;

	if (!ms)
		return 0;
	/* jiffies compare right over 24 days on the smallest machines */
	at = jiffies + msecs_to_jiffies(min_t(u32, ms, 20U * 86400 * 1000));
	return at ? at : 1;
}

/* A route refreshed as it is needs no new object. */
static bool ratman_route_is_same(const struct ratman_dest *dest,
				 const struct ratman_route_config *config,
				 struct ratman_neigh *const hop[])
{
	return dest->n_hops == config->n_hops && dest->cookie_len == config->cookie_len &&
	       !memcmp(dest->hop, hop, config->n_hops * sizeof(*hop)) &&
	       !memcmp(ratman_dest_paths(dest), config->path,
		       config->n_hops * sizeof(*config->path)) &&
	       !memcmp(ratman_dest_cookie(dest), config->cookie, config->cookie_len);
}

static int ratman_route_resolve(struct ratman_dev *rdev, const struct ratman_route_config *config,
				struct ratman_neigh *hop[], struct netlink_ext_ack *extack)
{
	unsigned int i, j;

	for (i = 0; i < config->n_hops; i++) {
		hop[i] = ratman_neigh_find_index(rdev, config->hop[i]);
		if (!hop[i]) {
			NL_SET_ERR_MSG(extack,
				       "A next hop is no neighbour: set the neighbour first");
			return -ENOENT;
		}
		for (j = 0; j < i; j++) {
			if (hop[i] == hop[j]) {
				NL_SET_ERR_MSG(extack, "A neighbour is named twice as next hop");
				return -EINVAL;
			}
		}
	}
	return 0;
}

static int ratman_route_check(struct ratman_dev *rdev, const struct ratman_dest *old,
			      const struct ratman_route_config *config,
			      struct netlink_ext_ack *extack)
{
	if (old && old->local) {
		NL_SET_ERR_MSG(extack, "That is an address of this router: it needs no route");
		return -EEXIST;
	}
	if (old && !ipv6_addr_equal(&old->ipv6, config->ipv6)) {
		NL_SET_ERR_MSG(extack,
			       "The route has another IPv6 address: delete the route to change it");
		return -EINVAL;
	}
	if (!old && rdev->routes >= rdev->routes_max) {
		ratman_count_process(rdev, RATMAN_STAT_route_full);
		NL_SET_ERR_MSG(extack, "The route table is full (RATMAN_A_DEV_ROUTES_MAX)");
		return -ENOSPC;
	}
	return 0;
}

/**
 * ratman_fib_route_set - add or replace a route
 * @rdev: mesh device
 * @config: the route
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_fib_route_set(struct ratman_dev *rdev, const struct ratman_route_config *config,
			 struct netlink_ext_ack *extack)
{
	struct ratman_neigh *hop[RATMAN_ROUTE_HOPS_MAX];
	struct ratman_dest *dest, *old;
	unsigned int i;
	int err;

	err = ratman_route_resolve(rdev, config, hop, extack);
	if (err)
		return err;
	old = ratman_fib_find(rdev, config->dest);
	err = ratman_route_check(rdev, old, config, extack);
	if (err)
		return err;
	if (old && ratman_route_is_same(old, config, hop)) {
		old->expires = ratman_dest_expiry(config->expires_ms);
		return 0;
	}

	dest = kzalloc(struct_size(dest, hop, config->n_hops) +
		       config->n_hops * sizeof(*config->path) + config->cookie_len, GFP_KERNEL);
	if (!dest)
		return -ENOMEM;
	memcpy(dest->address, config->dest, sizeof(dest->address));
	dest->ipv6 = *config->ipv6;
	dest->n_hops = config->n_hops;
	dest->cookie_len = config->cookie_len;
	dest->expires = ratman_dest_expiry(config->expires_ms);
	for (i = 0; i < config->n_hops; i++) {
		ratman_neigh_get(hop[i]);
		dest->hop[i] = hop[i];
	}
	memcpy(ratman_dest_paths(dest), config->path, config->n_hops * sizeof(*config->path));
	if (config->cookie_len)
		memcpy(ratman_dest_cookie(dest), config->cookie, config->cookie_len);

	err = ratman_dest_insert(rdev, dest, old, extack);
	if (err) {
		ratman_dest_free(dest);
		return err;
	}
	if (!old)
		rdev->routes++;
	return 0;
}

/**
 * ratman_fib_route_del - remove a route
 * @rdev: mesh device
 * @address: 32 bytes
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_fib_route_del(struct ratman_dev *rdev, const u8 *address, struct netlink_ext_ack *extack)
{
	struct ratman_dest *dest = ratman_fib_find(rdev, address);

	if (!dest || dest->local) {
		NL_SET_ERR_MSG(extack, "There is no route to this address");
		return -ENOENT;
	}
	ratman_dest_remove(rdev, dest);
	return 0;
}

/**
 * ratman_fib_addr_set - an address of ours, or its new policy
 * @rdev: mesh device
 * @address: 32 bytes
 * @ipv6: its IPv6 address
 * @policy: enum ratman_policy
 * @extack: told why not
 *
 * Takes the place of a route to that address.
 *
 * Return: 0 or a negative errno.
 */
int ratman_fib_addr_set(struct ratman_dev *rdev, const u8 *address, const struct in6_addr *ipv6,
			u8 policy, struct netlink_ext_ack *extack)
{
	struct ratman_dest *dest, *old = ratman_fib_find(rdev, address);
	int err;

	if (old && !ipv6_addr_equal(&old->ipv6, ipv6)) {
		NL_SET_ERR_MSG(extack,
			       "The address is known with another IPv6 address: delete it first");
		return -EINVAL;
	}
	if (old && old->local) {
		WRITE_ONCE(old->policy, policy);
		return 0;
	}
	if (rdev->addrs >= RATMAN_ADDRS_MAX) {
		ratman_count_process(rdev, RATMAN_STAT_addr_full);
		NL_SET_ERR_MSG(extack, "A mesh device holds 65536 addresses at most");
		return -ENOSPC;
	}

	dest = kzalloc(sizeof(*dest), GFP_KERNEL);
	if (!dest)
		return -ENOMEM;
	memcpy(dest->address, address, sizeof(dest->address));
	dest->ipv6 = *ipv6;
	dest->local = true;
	dest->policy = policy;
	err = ratman_dest_insert(rdev, dest, old, extack);
	if (err) {
		kfree(dest);
		return err;
	}
	if (old)
		rdev->routes--;
	rdev->addrs++;
	xa_set_mark(&rdev->dest_ids, dest->id, RATMAN_MARK_LOCAL);
	return 0;
}

/**
 * ratman_fib_addr_del - an address is ours no longer; its sessions end
 * @rdev: mesh device
 * @address: 32 bytes
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_fib_addr_del(struct ratman_dev *rdev, const u8 *address, struct netlink_ext_ack *extack)
{
	struct ratman_dest *dest = ratman_fib_find(rdev, address);

	if (!dest || !dest->local) {
		NL_SET_ERR_MSG(extack, "That is no address of this router");
		return -ENOENT;
	}
	ratman_dest_remove(rdev, dest);
	ratman_sessions_remove_local(rdev, address);
	return 0;
}

/* Expired, or all its next hops are no neighbours any more. */
static bool ratman_dest_is_stale(struct ratman_dev *rdev, const struct ratman_dest *dest)
{
	unsigned int i;

	if (dest->local)
		return false;
	if (dest->expires && time_after_eq(jiffies, dest->expires)) {
		ratman_count_process(rdev, RATMAN_STAT_route_expired);
		return true;
	}
	for (i = 0; i < dest->n_hops; i++)
		if (READ_ONCE(dest->hop[i]->state) != RATMAN_NEIGH_REMOVED)
			return false;
	return true;
}

/**
 * ratman_fib_sweep - remove what has expired
 * @rdev: mesh device; its lock is taken and given back in between
 *
 * A small table is looked through in one run, a large one in several.
 */
void ratman_fib_sweep(struct ratman_dev *rdev)
{
	unsigned int left = max_t(u32, READ_ONCE(rdev->routes) / RATMAN_SWEEP_RUNS,
				  RATMAN_SWEEP_MIN);
	struct ratman_dest *dest;
	bool more = true;

	while (more && left) {
		unsigned int slice = min_t(unsigned int, left, RATMAN_SWEEP_SLICE);

		left -= slice;
		mutex_lock(&rdev->lock);
		if (!rdev->routes || rdev->dying) {
			mutex_unlock(&rdev->lock);
			return;
		}
		do {
			dest = xa_find(&rdev->dest_ids, &rdev->sweep_cursor, U32_MAX, XA_PRESENT);
			if (!dest) {
				rdev->sweep_cursor = 0;
				more = false;
				break;
			}
			rdev->sweep_cursor++;
			if (ratman_dest_is_stale(rdev, dest))
				ratman_dest_remove(rdev, dest);
		} while (--slice);
		mutex_unlock(&rdev->lock);
		cond_resched();
	}
}

/**
 * ratman_fib_init - make the tables
 * @rdev: mesh device
 *
 * Return: 0 or a negative errno.
 */
int ratman_fib_init(struct ratman_dev *rdev)
{
	int err;

	xa_init_flags(&rdev->dest_ids, XA_FLAGS_ALLOC);
	err = rhashtable_init(&rdev->dests, &ratman_dest_params);
	if (err)
		return err;
	err = rhashtable_init(&rdev->dests6, &ratman_dest6_params);
	if (err)
		rhashtable_destroy(&rdev->dests);
	return err;
}

/**
 * ratman_fib_destroy - free the tables and everything in them
 * @rdev: mesh device; nobody looks anything up any more
 */
void ratman_fib_destroy(struct ratman_dev *rdev)
{
	struct ratman_dest *dest;
	unsigned long id;

	rhashtable_destroy(&rdev->dests);
	rhashtable_destroy(&rdev->dests6);
	xa_for_each(&rdev->dest_ids, id, dest) {
		xa_erase(&rdev->dest_ids, id);
		ratman_dest_free(dest);
		cond_resched();
	}
	xa_destroy(&rdev->dest_ids);
}
