/* SPDX-License-Identifier: GPL-2.0-only */
/* Routes and own addresses: one lookup says whether a frame is for us, or where it goes. */
#ifndef RATMAN_FIB_H
#define RATMAN_FIB_H

#include <net/ipv6.h>
#include <linux/rhashtable.h>

#include "neigh.h"

/* Own addresses among all numbers in ratman_dev.dest_ids. */
#define RATMAN_MARK_LOCAL	XA_MARK_1

/**
 * struct ratman_hop_path - what lies behind a next hop
 * @metric: for display
 * @mtu: largest frame that gets all the way; U16_MAX when nobody said
 */
struct ratman_hop_path {
	u16 metric;
	u16 mtu;
};

/**
 * struct ratman_dest - a route, or an address of ours
 * @node: in ratman_dev.dests
 * @node6: in ratman_dev.dests6
 * @address: the address
 * @ipv6: its IPv6 address
 * @local: it is ours
 * @policy: enum ratman_policy, of an address of ours
 * @n_hops: number of next hops
 * @cookie_len: bytes of the daemon's memory
 * @expires: jiffies; 0 = never. Not for RCU readers, as @id
 * @id: number in ratman_dev.dest_ids
 * @rcu: for freeing
 * @hop: neighbours, best first, each with a reference; then a struct
 *       ratman_hop_path for each; then the cookie
 *
 * Found under RCU and never changed, but for @policy and @expires: a new one
 * takes its place. A million of these exist, hence the packing.
 */
struct ratman_dest {
	struct rhash_head node;
	struct rhash_head node6;
	u8 address[RATMAN_ADDR_LEN];
	struct in6_addr ipv6;
	bool local;
	u8 policy;
	u8 n_hops;
	u8 cookie_len;
	union {
		struct {
			unsigned long expires;
			u32 id;
		};
		struct rcu_head rcu;
	};
	struct ratman_neigh *hop[];
};

/**
 * struct ratman_route_config - a checked ROUTE_SET
 * @dest: address, 32 bytes
 * @ipv6: its IPv6 address
 * @n_hops: number of next hops, at least 1
 * @hop: indices of neighbours
 * @path: what lies behind them
 * @expires_ms: 0 = never
 * @cookie: the daemon's memory
 * @cookie_len: its length
 */
struct ratman_route_config {
	const u8 *dest;
	const struct in6_addr *ipv6;
	unsigned int n_hops;
	u32 hop[RATMAN_ROUTE_HOPS_MAX];
	struct ratman_hop_path path[RATMAN_ROUTE_HOPS_MAX];
	u32 expires_ms;
	const void *cookie;
	unsigned int cookie_len;
};

static inline struct ratman_hop_path *ratman_dest_paths(const struct ratman_dest *dest)
{
	return (void *)&dest->hop[dest->n_hops];
}

static inline void *ratman_dest_cookie(const struct ratman_dest *dest)
{
	return &ratman_dest_paths(dest)[dest->n_hops];
}

/**
 * ratman_dest_hop - choose the next hop
 * @dest: a route; under RCU
 * @from: the neighbour the frame came from, or NULL
 * @back: set when only @from would have been left
 *
 * Return: what to send with, or NULL.
 */
static inline struct ratman_neigh_key *ratman_dest_hop(const struct ratman_dest *dest,
						       const struct ratman_neigh *from, bool *back)
{
	struct ratman_neigh_key *key;
	unsigned int i;

	for (i = 0; i < dest->n_hops; i++) {
		if (unlikely(dest->hop[i] == from)) {
			*back = true;
			continue;
		}
		key = ratman_neigh_tx_key(dest->hop[i]);
		if (likely(key))
			return key;
	}
	return NULL;
}

/**
 * ratman_dest_mtu - the largest frame that gets to a destination
 * @dest: a route; under RCU
 * @key: what ratman_dest_hop() chose for it
 *
 * Return: bytes from the hop header on.
 */
static inline unsigned int ratman_dest_mtu(const struct ratman_dest *dest,
					   const struct ratman_neigh_key *key)
{
	unsigned int i = 0;

	while (i + 1 < dest->n_hops && dest->hop[i] != key->neigh)
		i++;
	return min_t(unsigned int, ratman_dest_paths(dest)[i].mtu, ratman_link_mtu(key->link));
}

struct ratman_dest *ratman_fib_lookup(struct ratman_dev *rdev, const u8 *address);
struct ratman_dest *ratman_fib_lookup6(struct ratman_dev *rdev, const struct in6_addr *ipv6);

int ratman_fib_route_set(struct ratman_dev *rdev, const struct ratman_route_config *config,
			 struct netlink_ext_ack *extack);
int ratman_fib_route_del(struct ratman_dev *rdev, const u8 *address,
			 struct netlink_ext_ack *extack);
int ratman_fib_addr_set(struct ratman_dev *rdev, const u8 *address, const struct in6_addr *ipv6,
			u8 policy, struct netlink_ext_ack *extack);
int ratman_fib_addr_del(struct ratman_dev *rdev, const u8 *address,
			struct netlink_ext_ack *extack);
void ratman_fib_sweep(struct ratman_dev *rdev);

int ratman_fib_init(struct ratman_dev *rdev);
void ratman_fib_destroy(struct ratman_dev *rdev);

#endif
