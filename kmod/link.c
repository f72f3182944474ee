// SPDX-License-Identifier: GPL-2.0-only
/*
 * Links: attaching and detaching, following the interface's state, and HELLO.
 *
 * Attach and detach happen under RTNL and ratman_dev.lock; receivers know a
 * link under RCU only. A link is freed a grace period after its receive hook,
 * its neighbours' keys and its list entry are gone, in that order, so nobody
 * who came in by one of these doors is left inside.
 */
#include <linux/random.h>
#include <linux/rtnetlink.h>

#include "link.h"
#include "link_eth.h"
#include "neigh.h"
#include "nl.h"

#define RATMAN_HELLO_BURST	3
#define RATMAN_HELLO_BURST_MS	500

/* Candidates told to the daemon, and LINK frames given to it, of one link. */
#define RATMAN_HELLO_RATE	20
#define RATMAN_HELLO_PEAK	100
#define RATMAN_LINK_RATE	100
#define RATMAN_LINK_PEAK	200

/**
 * ratman_link_find - the link on an interface; under RCU or ratman_dev.lock
 * @rdev: mesh device
 * @ifindex: the interface
 *
 * Return: the link or NULL.
 */
struct ratman_link *ratman_link_find(struct ratman_dev *rdev, int ifindex)
{
	struct ratman_link *link;

	list_for_each_entry_rcu(link, &rdev->links, list, lockdep_is_held(&rdev->lock))
		if (link->dev->ifindex == ifindex)
			return link;
	return NULL;
}

/* Tell everybody who depends on it when a link has come or gone. */
static void ratman_link_update(struct ratman_link *link)
{
	struct ratman_dev *rdev = link->rdev;
	bool up = netif_running(rdev->dev) && ratman_link_ready(link);

	lockdep_assert_held(&rdev->lock);
	if (up == link->up)
		return;
	WRITE_ONCE(link->up, up);
	if (up) {
		WRITE_ONCE(link->hello_burst, RATMAN_HELLO_BURST);
		mod_timer(&link->hello_timer, jiffies + 1);
	}
	ratman_neighs_link_changed(rdev, link, up);
	ratman_nl_link_event(link, up ? RATMAN_LINK_UP : RATMAN_LINK_DOWN);
}

static void ratman_link_free_rcu(struct rcu_head *head)
{
	struct ratman_link *link = container_of(head, struct ratman_link, rcu);

	free_percpu(link->stats);
	kfree(link);
}

static void ratman_hello_timer(struct timer_list *timer);

/**
 * ratman_link_add - attach an interface
 * @rdev: mesh device
 * @dev: the interface
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_link_add(struct ratman_dev *rdev, struct net_device *dev,
		    struct netlink_ext_ack *extack)
{
	struct ratman_link *link;
	int err;

	ASSERT_RTNL();
	if (!net_eq(dev_net(dev), dev_net(rdev->dev))) {
		NL_SET_ERR_MSG(extack, "The link must be in the mesh device's network namespace");
		return -EINVAL;
	}
	err = ratman_eth_check(dev, extack);
	if (err)
		return err;

	link = kzalloc(sizeof(*link), GFP_KERNEL);
	if (!link)
		return -ENOMEM;
	link->stats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!link->stats) {
		err = -ENOMEM;
		goto err_free;
	}
	link->rdev = rdev;
	link->dev = dev;
	spin_lock_init(&link->candidates_lock);
	ratman_limit_init(&link->hello_limit, RATMAN_HELLO_RATE, RATMAN_HELLO_PEAK);
	ratman_limit_init(&link->link_limit, RATMAN_LINK_RATE, RATMAN_LINK_PEAK);
	timer_setup(&link->hello_timer, ratman_hello_timer, 0);

	err = netdev_master_upper_dev_link(dev, rdev->dev, NULL, NULL, extack);
	if (err)
		goto err_stats;
	/* Merged frames of different senders could not be told apart. */
	dev_disable_lro(dev);

	mutex_lock(&rdev->lock);
	list_add_tail_rcu(&link->list, &rdev->links);
	ratman_nl_link_event(link, RATMAN_LINK_DOWN);
	if (netif_running(rdev->dev)) {
		ratman_eth_listen(link);
		link->listening = true;
	}
	ratman_link_update(link);
	mutex_unlock(&rdev->lock);
	ratman_dev_update_mtu(rdev);
	return 0;

err_stats:
	free_percpu(link->stats);
err_free:
	kfree(link);
	return err;
}

static void ratman_link_detach(struct ratman_link *link)
{
	struct ratman_dev *rdev = link->rdev;

	ASSERT_RTNL();
	mutex_lock(&rdev->lock);
	if (link->listening)
		ratman_eth_unlisten(link);
	list_del_rcu(&link->list);
	ratman_neighs_remove_link(rdev, link);
	WRITE_ONCE(link->up, false);
	/* Nobody but the timer itself starts it from here on: it is not in the list. */
	timer_delete_sync(&link->hello_timer);
	ratman_nl_link_event(link, RATMAN_LINK_REMOVED);
	mutex_unlock(&rdev->lock);

	netdev_upper_dev_unlink(link->dev, rdev->dev);
	call_rcu(&link->rcu, ratman_link_free_rcu);
}

/**
 * ratman_link_del - detach an interface
 * @rdev: mesh device
 * @dev: the interface
 *
 * Return: 0 or a negative errno.
 */
int ratman_link_del(struct ratman_dev *rdev, struct net_device *dev)
{
	struct ratman_link *link;

	ASSERT_RTNL();
	mutex_lock(&rdev->lock);
	link = ratman_link_find(rdev, dev->ifindex);
	mutex_unlock(&rdev->lock);
	if (!link)
		return -ENODEV;
	/* RTNL keeps it. */
	ratman_link_detach(link);
	ratman_dev_update_mtu(rdev);
	return 0;
}

/**
 * ratman_link_del_all - detach everything, before the mesh device goes
 * @rdev: mesh device
 *
 * Receivers may still run; the caller waits for them.
 */
void ratman_link_del_all(struct ratman_dev *rdev)
{
	struct ratman_link *link, *tmp;

	list_for_each_entry_safe(link, tmp, &rdev->links, list)
		ratman_link_detach(link);
}

/**
 * ratman_links_open - the mesh device was set up: begin
 * @rdev: mesh device
 */
void ratman_links_open(struct ratman_dev *rdev)
{
	struct ratman_link *link;

	mutex_lock(&rdev->lock);
	list_for_each_entry(link, &rdev->links, list) {
		ratman_eth_listen(link);
		link->listening = true;
		ratman_link_update(link);
	}
	mutex_unlock(&rdev->lock);
}

/**
 * ratman_links_stop - the mesh device was set down: take part in nothing
 * @rdev: mesh device
 */
void ratman_links_stop(struct ratman_dev *rdev)
{
	struct ratman_link *link;

	mutex_lock(&rdev->lock);
	list_for_each_entry(link, &rdev->links, list) {
		ratman_eth_unlisten(link);
		link->listening = false;
		ratman_link_update(link);
	}
	mutex_unlock(&rdev->lock);
	/* The hooks may be put back, and must not be in use then. */
	synchronize_net();
}

/**
 * ratman_links_hello - who we are has changed: say so soon, on every link
 * @rdev: mesh device
 */
void ratman_links_hello(struct ratman_dev *rdev)
{
	struct ratman_link *link;

	lockdep_assert_held(&rdev->lock);
	list_for_each_entry(link, &rdev->links, list) {
		if (!link->up)
			continue;
		WRITE_ONCE(link->hello_burst, RATMAN_HELLO_BURST);
		mod_timer(&link->hello_timer, jiffies + 1);
	}
}

/**
 * ratman_link_alloc - a frame to be sent on a link
 * @link: the link
 * @type: frame type
 * @len: bytes after the hop header
 * @gfp: allocation flags
 *
 * Return: a frame with its hop header, neighbour fields zero, and @len
 * uninitialised bytes after it; NULL without memory.
 */
struct sk_buff *ratman_link_alloc(const struct ratman_link *link, enum ratman_frame_type type,
				  unsigned int len, gfp_t gfp)
{
	unsigned int headroom = LL_RESERVED_SPACE(link->dev);
	struct ratman_hop_hdr *hdr;
	struct sk_buff *skb;

	skb = alloc_skb(headroom + sizeof(*hdr) + len + link->dev->needed_tailroom, gfp);
	if (!skb)
		return NULL;
	skb_reserve(skb, headroom);
	hdr = skb_put_zero(skb, sizeof(*hdr));
	hdr->ver_type = ratman_ver_type(type);
	hdr->hop_limit = type == RATMAN_HANDSHAKE ? RATMAN_HOP_LIMIT : 1;
	hdr->len = cpu_to_be16(len);
	skb_put(skb, len);
	skb->dev = link->dev;
	skb->priority = TC_PRIO_CONTROL;
	return skb;
}

/**
 * ratman_link_xmit - send a finished frame
 * @link: the link
 * @lladdr: link-layer destination
 * @skb: begins with the hop header; consumed
 *
 * Under RCU, with bottom halves disabled. Other kinds of link than Ethernet
 * branch off here.
 */
void ratman_link_xmit(struct ratman_link *link, const u8 *lladdr, struct sk_buff *skb)
{
	ratman_traffic_tx(link->stats, skb->len);
	ratman_eth_xmit(link, lladdr, skb);
}

static void ratman_hello_xmit(struct ratman_link *link, const struct ratman_ident *ident, u32 ms)
{
	struct ratman_hello *hello;
	struct sk_buff *skb;

	skb = ratman_link_alloc(link, RATMAN_HELLO, sizeof(*hello), GFP_ATOMIC);
	if (!skb)
		return;
	hello = (void *)skb->data + sizeof(struct ratman_hop_hdr);
	memcpy(hello->router, ident->router, sizeof(hello->router));
	memcpy(hello->boot_id, ident->boot_id, sizeof(hello->boot_id));
	hello->interval_ms = cpu_to_be32(ms);
	hello->capabilities = 0;
	ratman_count(link->rdev, RATMAN_STAT_tx_hello);
	ratman_link_xmit(link, link->dev->broadcast, skb);
}

static void ratman_hello_timer(struct timer_list *timer)
{
	struct ratman_link *link = container_of(timer, struct ratman_link, hello_timer);
	unsigned int burst = READ_ONCE(link->hello_burst);
	u32 ms = READ_ONCE(link->rdev->hello_ms);
	const struct ratman_ident *ident;

	if (!READ_ONCE(link->up))
		return;

	if (burst) {
		WRITE_ONCE(link->hello_burst, burst - 1);
		ms = min_t(u32, ms, RATMAN_HELLO_BURST_MS);
	}
	rcu_read_lock();
	ident = rcu_dereference(link->rdev->ident);
	if (ident)
		ratman_hello_xmit(link, ident, ms);
	rcu_read_unlock();
	/* Without an identity DEV_SET starts us again. */
	if (!ident)
		return;
	WRITE_ONCE(link->hello_sent, jiffies);

	/* Up to an eighth earlier, so that routers do not fall into step. */
	ms -= get_random_u32() % (ms / 8 + 1);
	mod_timer(timer, jiffies + msecs_to_jiffies(ms));
}

/*
 * Somebody whose HELLOs follow fast has just come up, and can make us a neighbour
 * only when it hears ours: do not let it wait for the next one.
 */
static void ratman_hello_answer(struct ratman_link *link)
{
	unsigned long soon = jiffies + 1 + get_random_u32() % (HZ / 10 + 1);

	if (!READ_ONCE(link->up) || time_before(jiffies, READ_ONCE(link->hello_sent) + HZ) ||
	    !timer_pending(&link->hello_timer) ||
	    time_before(READ_ONCE(link->hello_timer.expires), soon))
		return;
	mod_timer_pending(&link->hello_timer, soon);
}

/* False when the daemon was told of this sender less than @gap ago. */
static bool ratman_candidate_due(struct ratman_link *link, const u8 *lladdr, unsigned long gap)
{
	unsigned long now;
	bool due = true;
	unsigned int i;

	spin_lock(&link->candidates_lock);
	now = jiffies;
	for (i = 0; i < RATMAN_CANDIDATES; i++) {
		struct ratman_candidate *c = &link->candidates[i];

		if (!c->used || !ether_addr_equal(c->lladdr, lladdr))
			continue;
		c->heard = now;
		/* Unsigned, so that one who was away for half of the clock's range is told of. */
		due = now - c->told >= gap;
		break;
	}
	spin_unlock(&link->candidates_lock);
	return due;
}

/* Remember that the daemon is told; the longest silent sender is forgotten for a new one. */
static void ratman_candidate_told(struct ratman_link *link, const u8 *lladdr)
{
	struct ratman_candidate *c, *oldest = &link->candidates[0];
	unsigned long now;
	unsigned int i;

	spin_lock(&link->candidates_lock);
	now = jiffies;
	for (i = 0; i < RATMAN_CANDIDATES; i++) {
		c = &link->candidates[i];
		if (!c->used || ether_addr_equal(c->lladdr, lladdr)) {
			oldest = c;
			break;
		}
		if (time_before(c->heard, oldest->heard))
			oldest = c;
	}
	oldest->used = true;
	ether_addr_copy(oldest->lladdr, lladdr);
	oldest->told = now;
	oldest->heard = now;
	spin_unlock(&link->candidates_lock);
}

/* The daemon has nothing to do for an unchanged, living neighbour. */
static bool ratman_hello_is_known(const struct ratman_link *link, const struct ratman_hello *hello,
				  const u8 *lladdr)
{
	const struct ratman_neigh_key *key;
	const struct ratman_neigh *neigh;

	list_for_each_entry_rcu(neigh, &link->rdev->neighs, list) {
		if (neigh->link != link || memcmp(neigh->router, hello->router, RATMAN_ADDR_LEN))
			continue;
		key = rcu_dereference(neigh->cur);
		return key && READ_ONCE(neigh->state) == RATMAN_NEIGH_ALIVE &&
		       !memcmp(neigh->boot_id, hello->boot_id, sizeof(neigh->boot_id)) &&
		       ether_addr_equal(key->lladdr, lladdr);
	}
	return false;
}

/**
 * ratman_hello_rcv - a HELLO has arrived: a candidate for the daemon, nothing more
 * @link: where
 * @skb: the frame, checked; consumed
 */
void ratman_hello_rcv(struct ratman_link *link, struct sk_buff *skb)
{
	struct ratman_dev *rdev = link->rdev;
	const struct ratman_ident *ident;
	u8 lladdr[ETH_ALEN] __aligned(2);
	struct ratman_hello hello;

	if (skb_copy_bits(skb, sizeof(struct ratman_hop_hdr), &hello, sizeof(hello))) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_short);
		return;
	}
	ether_addr_copy(lladdr, eth_hdr(skb)->h_source);
	ident = rcu_dereference(rdev->ident);
	if (ident && !memcmp(ident->router, hello.router, sizeof(hello.router))) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_hello_own);
		return;
	}
	if (!is_valid_ether_addr(lladdr)) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_bad_dest);
		return;
	}
	ratman_count(rdev, RATMAN_STAT_rx_hello);
	if (be32_to_cpu(hello.interval_ms) <= RATMAN_HELLO_BURST_MS)
		ratman_hello_answer(link);

	if (!ratman_candidate_due(link, lladdr, RATMAN_CANDIDATE_GAP)) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_hello_known);
		return;
	}
	if (!ratman_limit_take(&link->hello_limit) ||
	    !ratman_limit_take(&rdev->limits[RATMAN_PUNT_HELLO])) {
		ratman_drop(rdev, skb, RATMAN_STAT_punt_rate_hello);
		return;
	}
	if (ratman_hello_is_known(link, &hello, lladdr) &&
	    !ratman_candidate_due(link, lladdr, RATMAN_KNOWN_GAP)) {
		ratman_drop(rdev, skb, RATMAN_STAT_rx_hello_known);
		return;
	}
	ratman_candidate_told(link, lladdr);
	ratman_nl_candidate(link, lladdr, &hello);
	consume_skb(skb);
}

static int ratman_link_event(struct notifier_block *nb, unsigned long event, void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);
	struct net_device *upper = netdev_master_upper_dev_get(dev);
	struct ratman_link *link;
	struct ratman_dev *rdev;

	if (!upper || !ratman_is_mesh(upper))
		return NOTIFY_DONE;
	rdev = netdev_priv(upper);

	switch (event) {
	case NETDEV_UP:
	case NETDEV_DOWN:
	case NETDEV_CHANGE:
		mutex_lock(&rdev->lock);
		link = ratman_link_find(rdev, dev->ifindex);
		if (link)
			ratman_link_update(link);
		mutex_unlock(&rdev->lock);
		break;
	case NETDEV_CHANGEMTU:
		ratman_dev_update_mtu(rdev);
		mutex_lock(&rdev->lock);
		link = ratman_link_find(rdev, dev->ifindex);
		if (link)
			ratman_nl_link_event(link, link->up ? RATMAN_LINK_UP : RATMAN_LINK_DOWN);
		mutex_unlock(&rdev->lock);
		break;
	case NETDEV_UNREGISTER:
		ratman_link_del(rdev, dev);
		break;
	case NETDEV_PRE_TYPE_CHANGE:
		return NOTIFY_BAD;
	}
	return NOTIFY_DONE;
}

static struct notifier_block ratman_link_notifier = {
	.notifier_call = ratman_link_event,
};

/**
 * ratman_link_register - at module load
 *
 * Return: 0 or a negative errno.
 */
int ratman_link_register(void)
{
	return register_netdevice_notifier(&ratman_link_notifier);
}

/**
 * ratman_link_unregister - at module unload, when no device is left
 */
void ratman_link_unregister(void)
{
	unregister_netdevice_notifier(&ratman_link_notifier);
}
