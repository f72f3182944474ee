// SPDX-License-Identifier: GPL-2.0-only
/*
 * The mesh device: netdev and rtnl operations, MTU, and the order in which
 * everything is torn down.
 *
 * The sweep runs once a second in process context. RTNL comes before
 * ratman_dev.lock; whoever holds the latter takes no mutex.
 */
#include <linux/ethtool.h>
#include <linux/if_arp.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <net/addrconf.h>
#include <net/ip_tunnels.h>
#include <net/rtnetlink.h>

#include "dev.h"
#include "fib.h"
#include "link.h"
#include "neigh.h"
#include "session.h"

/* Without links nothing bounds the MTU but IPv6 itself. */
#define RATMAN_MTU_MAX	(ETH_MAX_MTU - RATMAN_DATA_OVERHEAD)

/* All mesh devices, for netlink sockets that are closed. */
static DEFINE_SPINLOCK(ratman_devs_lock);
static LIST_HEAD(ratman_devs);

/* Rates of what goes to the daemon from all sources together. */
static const struct {
	u32 rate;
	u32 burst;
} ratman_punt_limits[RATMAN_PUNT_CLASSES] = {
	[RATMAN_PUNT_HELLO] = { 200, 1000 },
	[RATMAN_PUNT_LINK] = { 1000, 2000 },
	[RATMAN_PUNT_CONTROL] = { 20000, 40000 },
	[RATMAN_PUNT_HANDSHAKE] = { 2000, 4000 },
	[RATMAN_PUNT_WANT] = { 200, 400 },
};

/**
 * ratman_dev_update_mtu - follow the MTU and headroom of the links
 * @rdev: mesh device
 */
void ratman_dev_update_mtu(struct ratman_dev *rdev)
{
	unsigned int room = 0, tail = 0, max = RATMAN_MTU_MAX, mtu;
	struct net_device *dev = rdev->dev;
	const struct ratman_link *link;
	bool any = false;

	ASSERT_RTNL();
	list_for_each_entry(link, &rdev->links, list) {
		/* One that has become too small loses frames, not the mesh its MTU. */
		max = min_t(unsigned int, max,
			    max_t(unsigned int, link->dev->mtu, RATMAN_LINK_MTU_MIN) -
			    RATMAN_DATA_OVERHEAD);
		room = max_t(unsigned int, room, LL_RESERVED_SPACE(link->dev));
		tail = max_t(unsigned int, tail, link->dev->needed_tailroom);
		any = true;
	}
	dev->max_mtu = max;
	dev->needed_headroom = max_t(unsigned int, room, LL_MAX_HEADER) +
			       sizeof(struct ratman_hop_hdr) + sizeof(struct ratman_data_hdr);
	dev->needed_tailroom = tail + RATMAN_AEAD_TAG_LEN;

	mtu = any ? max : RATMAN_MTU_DEFAULT;
	if (rdev->mtu_user)
		mtu = min(max, rdev->mtu_user);
	if (mtu != dev->mtu) {
		rdev->mtu_ours = true;
		dev_set_mtu(dev, mtu);
		rdev->mtu_ours = false;
	}
}

static int ratman_dev_change_mtu(struct net_device *dev, int mtu)
{
	struct ratman_dev *rdev = netdev_priv(dev);

	/* What the user has asked for is kept when links come and go. */
	if (!rdev->mtu_ours)
		rdev->mtu_user = mtu;
	WRITE_ONCE(dev->mtu, mtu);
	return 0;
}

static void ratman_dev_sweep(struct work_struct *work)
{
	struct ratman_dev *rdev = container_of(to_delayed_work(work), struct ratman_dev, sweep);

	mutex_lock(&rdev->lock);
	if (!rdev->dying) {
		ratman_neighs_sweep(rdev);
		ratman_sessions_sweep(rdev);
		queue_delayed_work(system_power_efficient_wq, &rdev->sweep,
				   round_jiffies_relative(HZ));
	}
	mutex_unlock(&rdev->lock);
	ratman_fib_sweep(rdev);
}

/**
 * ratman_dev_release_claim - a netlink socket was closed
 * @net: its namespace
 * @portid: its port
 */
void ratman_dev_release_claim(const struct net *net, u32 portid)
{
	struct ratman_dev *rdev;

	if (!portid)
		return;
	spin_lock(&ratman_devs_lock);
	list_for_each_entry(rdev, &ratman_devs, list)
		if (net_eq(dev_net(rdev->dev), net))
			cmpxchg(&rdev->portid, portid, 0);
	spin_unlock(&ratman_devs_lock);
}

static void ratman_dev_init_fields(struct ratman_dev *rdev, struct net_device *dev)
{
	unsigned int i;

	rdev->dev = dev;
	mutex_init(&rdev->lock);
	INIT_LIST_HEAD(&rdev->links);
	INIT_LIST_HEAD(&rdev->neighs);
	skb_queue_head_init(&rdev->errors);
	INIT_WORK(&rdev->errors_work, ratman_session_errors_work);
	INIT_DELAYED_WORK(&rdev->sweep, ratman_dev_sweep);
	atomic_set(&rdev->staged, 0);
	rdev->hello_ms = RATMAN_HELLO_MS_DEFAULT;
	rdev->routes_max = RATMAN_ROUTES_MAX_DEFAULT;
	for (i = 0; i < RATMAN_PUNT_CLASSES; i++)
		ratman_limit_init(&rdev->limits[i], ratman_punt_limits[i].rate,
				  ratman_punt_limits[i].burst);
	/* "ip link add mtu N" */
	if (dev->mtu != RATMAN_MTU_DEFAULT)
		rdev->mtu_user = dev->mtu;
}

static int ratman_dev_init(struct net_device *dev)
{
	struct ratman_dev *rdev = netdev_priv(dev);
	int err = -ENOMEM;

	ratman_dev_init_fields(rdev, dev);
	netdev_lockdep_set_classes(dev);

	dev->tstats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!dev->tstats)
		return err;
	rdev->stats = ratman_stats_alloc();
	if (!rdev->stats)
		goto err_tstats;
	rdev->slots = kvcalloc(RATMAN_NEIGH_SLOTS, sizeof(*rdev->slots), GFP_KERNEL);
	if (!rdev->slots)
		goto err_stats;
	err = gro_cells_init(&rdev->gro_cells, dev);
	if (err)
		goto err_slots;
	err = ratman_fib_init(rdev);
	if (err)
		goto err_gro;
	err = ratman_sessions_init(rdev);
	if (err)
		goto err_fib;

	ratman_dev_update_mtu(rdev);
	spin_lock(&ratman_devs_lock);
	list_add_tail(&rdev->list, &ratman_devs);
	spin_unlock(&ratman_devs_lock);
	queue_delayed_work(system_power_efficient_wq, &rdev->sweep, round_jiffies_relative(HZ));
	return 0;

err_fib:
	ratman_fib_destroy(rdev);
err_gro:
	gro_cells_destroy(&rdev->gro_cells);
err_slots:
	kvfree(rdev->slots);
err_stats:
	free_percpu(rdev->stats);
err_tstats:
	free_percpu(dev->tstats);
	dev->tstats = NULL;
	return err;
}

/*
 * The device is down and out of the lists, so no packet of a local program is
 * on its way. First no request, then no frame, then the timers, then what
 * they all used.
 */
static void ratman_dev_uninit(struct net_device *dev)
{
	struct ratman_dev *rdev = netdev_priv(dev);
	struct ratman_ident *ident;

	spin_lock(&ratman_devs_lock);
	list_del(&rdev->list);
	spin_unlock(&ratman_devs_lock);

	mutex_lock(&rdev->lock);
	rdev->dying = true;
	mutex_unlock(&rdev->lock);
	cancel_delayed_work_sync(&rdev->sweep);

	/* Takes the neighbours along, and their timers. */
	ratman_link_del_all(rdev);
	/* Frames that came in before may still be looking things up. */
	synchronize_net();

	mutex_lock(&rdev->lock);
	ratman_sessions_destroy(rdev);
	mutex_unlock(&rdev->lock);
	ratman_fib_destroy(rdev);
	cancel_work_sync(&rdev->errors_work);
	skb_queue_purge(&rdev->errors);
	ident = rcu_replace_pointer(rdev->ident, NULL, true);
	if (ident)
		kfree_rcu(ident, rcu);
	gro_cells_destroy(&rdev->gro_cells);
	kvfree(rdev->slots);
	free_percpu(rdev->stats);
	free_percpu(dev->tstats);
	dev->tstats = NULL;
}

static int ratman_dev_open(struct net_device *dev)
{
	struct inet6_dev *in6 = __in6_dev_get(dev);

	/* Addresses are keys: none is made up. */
	if (in6)
		in6->cnf.addr_gen_mode = IN6_ADDR_GEN_MODE_NONE;
	netif_carrier_on(dev);
	ratman_links_open(netdev_priv(dev));
	return 0;
}

static int ratman_dev_stop(struct net_device *dev)
{
	struct ratman_dev *rdev = netdev_priv(dev);

	netif_carrier_off(dev);
	ratman_links_stop(rdev);
	mutex_lock(&rdev->lock);
	ratman_sessions_purge_staged(rdev);
	mutex_unlock(&rdev->lock);
	return 0;
}

static netdev_tx_t ratman_dev_xmit(struct sk_buff *skb, struct net_device *dev)
{
	ratman_session_xmit(netdev_priv(dev), skb);
	return NETDEV_TX_OK;
}

static void ratman_dev_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *s)
{
	dev_get_tstats64(dev, s);
	ratman_stats_link64(netdev_priv(dev), s);
}

static int ratman_dev_add_slave(struct net_device *dev, struct net_device *slave,
				struct netlink_ext_ack *extack)
{
	return ratman_link_add(netdev_priv(dev), slave, extack);
}

static int ratman_dev_del_slave(struct net_device *dev, struct net_device *slave)
{
	return ratman_link_del(netdev_priv(dev), slave);
}

const struct net_device_ops ratman_netdev_ops = {
	.ndo_init = ratman_dev_init,
	.ndo_uninit = ratman_dev_uninit,
	.ndo_open = ratman_dev_open,
	.ndo_stop = ratman_dev_stop,
	.ndo_start_xmit = ratman_dev_xmit,
	.ndo_change_mtu = ratman_dev_change_mtu,
	.ndo_get_stats64 = ratman_dev_get_stats64,
	.ndo_add_slave = ratman_dev_add_slave,
	.ndo_del_slave = ratman_dev_del_slave,
};

static void ratman_dev_get_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
	strscpy(info->version, RATMAN_MODULE_VERSION, sizeof(info->version));
}

static int ratman_dev_get_sset_count(struct net_device *dev, int sset)
{
	return sset == ETH_SS_STATS ? RATMAN_STAT_COUNT : -EOPNOTSUPP;
}

static void ratman_dev_get_strings(struct net_device *dev, u32 sset, u8 *data)
{
	unsigned int i;

	if (sset != ETH_SS_STATS)
		return;
	for (i = 0; i < RATMAN_STAT_COUNT; i++, data += ETH_GSTRING_LEN)
		strscpy(data, ratman_stat_name(i), ETH_GSTRING_LEN);
}

static void ratman_dev_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats,
					 u64 *data)
{
	unsigned int i;

	for (i = 0; i < RATMAN_STAT_COUNT; i++)
		data[i] = ratman_stat_read(netdev_priv(dev), i);
}

static const struct ethtool_ops ratman_ethtool_ops = {
	.get_drvinfo = ratman_dev_get_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_sset_count = ratman_dev_get_sset_count,
	.get_strings = ratman_dev_get_strings,
	.get_ethtool_stats = ratman_dev_get_ethtool_stats,
};

static const struct device_type ratman_dev_type = {
	.name = KBUILD_MODNAME,
};

static void ratman_dev_setup(struct net_device *dev)
{
	const netdev_features_t features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_RXCSUM |
					   NETIF_F_GSO | NETIF_F_GSO_SOFTWARE | NETIF_F_HIGHDMA;

	dev->netdev_ops = &ratman_netdev_ops;
	dev->ethtool_ops = &ratman_ethtool_ops;
	dev->header_ops = &ip_tunnel_header_ops;
	dev->type = ARPHRD_NONE;
	dev->flags = IFF_NOARP;
	dev->priv_flags |= IFF_NO_QUEUE;
	dev->features |= features;
	dev->hw_features |= features;
	dev->hw_enc_features |= features;
	dev->mtu = RATMAN_MTU_DEFAULT;
	dev->min_mtu = IPV6_MIN_MTU;
	dev->max_mtu = RATMAN_MTU_MAX;
	dev->needs_free_netdev = true;
	ratman_compat_setup(dev);
	SET_NETDEV_DEVTYPE(dev, &ratman_dev_type);
	/* Errors sent back to local programs need it. */
	netif_keep_dst(dev);
	netif_carrier_off(dev);
}

static struct rtnl_link_ops ratman_link_ops __read_mostly = {
	.kind = "ratman",
	.priv_size = sizeof(struct ratman_dev),
	.setup = ratman_dev_setup,
};

/**
 * ratman_dev_register - at module load
 *
 * Return: 0 or a negative errno.
 */
int __init ratman_dev_register(void)
{
	return rtnl_link_register(&ratman_link_ops);
}

/**
 * ratman_dev_unregister - at module unload: removes all mesh devices
 */
void ratman_dev_unregister(void)
{
	rtnl_link_unregister(&ratman_link_ops);
}
