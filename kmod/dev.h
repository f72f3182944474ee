/* SPDX-License-Identifier: GPL-2.0-only */
/* The mesh device, ratman0. */
#ifndef RATMAN_DEV_H
#define RATMAN_DEV_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/rhashtable.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/gro_cells.h>

#include "limit.h"
#include "main.h"
#include "stats.h"

#define RATMAN_MODULE_VERSION	"0.1"

#define RATMAN_MTU_DEFAULT	1420
#define RATMAN_HELLO_MS_DEFAULT	5000
#define RATMAN_ROUTES_MAX_DEFAULT	(1U << 20)

/* Caps. Full tables refuse what is new, and count it. */
#define RATMAN_ADDRS_MAX	65536U
#define RATMAN_SESSIONS_MAX	65536U
#define RATMAN_STAGED_MAX	4096	/* packets, all sessions of a device together */

/**
 * struct ratman_ident - what HELLO says about us
 * @router: router address
 * @boot_id: random per start of the daemon
 * @rcu: for freeing
 */
struct ratman_ident {
	u8 router[RATMAN_ADDR_LEN];
	u8 boot_id[8];
	struct rcu_head rcu;
};

/* Classes of what is handed to the daemon; each has buckets of its own. */
enum ratman_punt_class {
	RATMAN_PUNT_HELLO,
	RATMAN_PUNT_LINK,
	RATMAN_PUNT_CONTROL,
	RATMAN_PUNT_HANDSHAKE,
	RATMAN_PUNT_WANT,
	RATMAN_PUNT_CLASSES
};

/**
 * struct ratman_dev - a mesh device, the private part of its net_device
 * @dev: the net_device
 * @stats: named counters
 * @slots: neighbour keys by the low bits of their index; written under @lock
 * @dests: routes and own addresses, by address
 * @dests6: the same objects, by IPv6 address
 * @session_keys: by session index
 * @sessions: by (own, peer's) IPv6 address
 * @gro_cells: where decrypted packets enter the stack
 * @ident: what HELLO says about us, NULL before the daemon said it
 * @portid: netlink socket of the daemon, 0 when there is none
 * @lock: protects everything below, and every change to the tables above
 *	except new sessions; taken inside RTNL, never around it
 * @dying: no request may touch the device any more
 * @links: attached links; read under RCU, changed under RTNL and @lock
 * @neighs: neighbours; read under RCU
 * @dest_ids: routes and own addresses by number, so that dumps and the sweep can stop and go on
 * @sweep_cursor: number the sweep goes on with
 * @routes: number of routes
 * @routes_max: cap of @routes
 * @addrs: number of own addresses
 * @neigh_count: number of neighbours
 * @hello_ms: HELLO interval
 * @session_ids: sessions by number; its xa_lock also protects @session_count
 * @session_count: number of sessions
 * @staged: packets that wait, all sessions together
 * @errors: packets whose senders are to be told that they cannot be sent
 * @errors_work: tells them
 * @sweep: once a second: expiry of routes, keys, staged packets
 * @mtu_user: MTU asked for by the user, 0 if none was
 * @mtu_ours: set while we change the MTU ourselves; protected by RTNL
 * @limits: what goes to the daemon, all sources together
 * @list: all mesh devices, under ratman_devs_lock
 */
struct ratman_dev {
	struct net_device *dev;
	struct ratman_stats __percpu *stats;
	struct ratman_neigh_key __rcu **slots;
	struct rhashtable dests;
	struct rhashtable dests6;
	struct rhashtable session_keys;
	struct rhashtable sessions;
	struct gro_cells gro_cells;
	struct ratman_ident __rcu *ident;
	u32 portid;

	struct mutex lock;
	bool dying;
	struct list_head links;
	struct list_head neighs;
	struct xarray dest_ids;
	unsigned long sweep_cursor;
	u32 routes;
	u32 routes_max;
	u32 addrs;
	u32 neigh_count;
	u32 hello_ms;

	struct xarray session_ids;
	u32 session_count;
	atomic_t staged;

	struct sk_buff_head errors;
	struct work_struct errors_work;
	struct delayed_work sweep;
	unsigned int mtu_user;
	bool mtu_ours;
	struct ratman_limit limits[RATMAN_PUNT_CLASSES];
	struct list_head list;
};

extern const struct net_device_ops ratman_netdev_ops;

static inline bool ratman_is_mesh(const struct net_device *dev)
{
	return dev->netdev_ops == &ratman_netdev_ops;
}

void ratman_dev_update_mtu(struct ratman_dev *rdev);
void ratman_dev_release_claim(const struct net *net, u32 portid);

int ratman_dev_register(void);
void ratman_dev_unregister(void);

#endif
