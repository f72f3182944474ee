// SPDX-License-Identifier: GPL-2.0-only
/*
 * Neighbours: keys, tags, sequence numbers.
 *
 * A neighbour has a current key and, after a renewal, a previous one. Both are
 * accepted; the previous one goes when nothing has come under it for a while
 * and the current one is proven. We send with a key when we know that the
 * neighbour has it: at once if we started the handshake (its answer carried
 * the key), else when the first frame verifies under it.
 *
 * Everything here that changes who is a neighbour runs under ratman_dev.lock.
 */
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "neigh.h"
#include "nl.h"

/* How long a replaced key is accepted after its last use. */
#define RATMAN_KEY_LINGER	(10 * HZ)

/* The daemon is asked for new keys at most so often. */
#define RATMAN_REKEY_REPEAT	(2 * HZ)

/* Frames handed to the daemon, per neighbour. */
#define RATMAN_CONTROL_RATE	2000
#define RATMAN_CONTROL_PEAK	4000
#define RATMAN_HANDSHAKE_RATE	200
#define RATMAN_HANDSHAKE_PEAK	400

/* A test cannot send half a lane of frames. */
static unsigned int rekey_frames __read_mostly = RATMAN_SEQ_REKEY;

static int ratman_rekey_frames_set(const char *value, const struct kernel_param *param)
{
	return param_set_uint_minmax(value, param, 1, RATMAN_SEQ_REKEY);
}

static const struct kernel_param_ops ratman_rekey_frames_ops = {
	.set = ratman_rekey_frames_set,
	.get = param_get_uint,
};

module_param_cb(rekey_frames, &ratman_rekey_frames_ops, &rekey_frames, 0644);
MODULE_PARM_DESC(rekey_frames,
		 "Frames that a CPU sends to a neighbour before new keys are asked for (default 134217727)");

static void ratman_neigh_key_free_rcu(struct rcu_head *head)
{
	kfree_sensitive(container_of(head, struct ratman_neigh_key, rcu));
}

/* Take a key out of the table; receivers may use it until a grace period has passed. */
static void ratman_neigh_key_remove(struct ratman_dev *rdev, struct ratman_neigh_key *key)
{
	if (!key)
		return;
	RCU_INIT_POINTER(rdev->slots[key->index & (RATMAN_NEIGH_SLOTS - 1)], NULL);
	call_rcu(&key->rcu, ratman_neigh_key_free_rcu);
}

static void ratman_neigh_free_rcu(struct rcu_head *head)
{
	struct ratman_neigh *neigh = container_of(head, struct ratman_neigh, rcu);

	free_percpu(neigh->stats);
	kfree(neigh);
}

static void ratman_neigh_release(struct kref *ref)
{
	struct ratman_neigh *neigh = container_of(ref, struct ratman_neigh, ref);

	call_rcu(&neigh->rcu, ratman_neigh_free_rcu);
}

/**
 * ratman_neigh_put - give a reference back
 * @neigh: the neighbour
 */
void ratman_neigh_put(struct ratman_neigh *neigh)
{
	kref_put(&neigh->ref, ratman_neigh_release);
}

/* Slots are read by requests under the lock, by receivers under RCU. */
static struct ratman_neigh_key *ratman_neigh_slot(struct ratman_dev *rdev, u32 index)
{
	return rcu_dereference_protected(rdev->slots[index & (RATMAN_NEIGH_SLOTS - 1)],
					 lockdep_is_held(&rdev->lock));
}

/**
 * ratman_neigh_find_index - a neighbour by the index of any of its keys
 * @rdev: mesh device
 * @index: the index
 *
 * Return: the neighbour or NULL.
 */
struct ratman_neigh *ratman_neigh_find_index(struct ratman_dev *rdev, u32 index)
{
	const struct ratman_neigh_key *key = ratman_neigh_slot(rdev, index);

	return key && key->index == index ? key->neigh : NULL;
}

/**
 * ratman_neigh_find - a neighbour by what names it
 * @rdev: mesh device
 * @link: the link
 * @router: router address
 *
 * Return: the neighbour or NULL.
 */
struct ratman_neigh *ratman_neigh_find(struct ratman_dev *rdev, const struct ratman_link *link,
				       const u8 *router)
{
	struct ratman_neigh *neigh;

	lockdep_assert_held(&rdev->lock);
	list_for_each_entry(neigh, &rdev->neighs, list)
		if (neigh->link == link && !memcmp(neigh->router, router, RATMAN_ADDR_LEN))
			return neigh;
	return NULL;
}

static struct ratman_neigh_key *ratman_neigh_key_alloc(const struct ratman_neigh_config *config)
{
	struct ratman_neigh_key *key;
	unsigned int i;

	key = kzalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return NULL;
	for (i = 0; i < 2; i++) {
		key->rx_key.key[i] = get_unaligned_le64(config->rx_key + 8 * i);
		key->tx_key.key[i] = get_unaligned_le64(config->tx_key + 8 * i);
	}
	key->index = config->index;
	key->peer_index = cpu_to_be32(config->peer_index);
	ether_addr_copy(key->lladdr, config->lladdr);
	key->mode = RATMAN_KEY_FRESH;
	key->initiator = config->initiator;
	key->born = ktime_get_boottime_ns();
	for (i = 0; i < RATMAN_SEQ_LANES; i++)
		spin_lock_init(&key->rx[i].lock);
	return key;
}

static struct ratman_neigh *ratman_neigh_alloc(struct ratman_dev *rdev, struct ratman_link *link,
					       const struct ratman_neigh_config *config)
{
	struct ratman_neigh *neigh = kzalloc(sizeof(*neigh), GFP_KERNEL);

	if (!neigh)
		return NULL;
	neigh->stats = netdev_alloc_pcpu_stats(struct pcpu_sw_netstats);
	if (!neigh->stats) {
		kfree(neigh);
		return NULL;
	}
	neigh->rdev = rdev;
	neigh->link = link;
	spin_lock_init(&neigh->lock);
	kref_init(&neigh->ref);
	memcpy(neigh->router, config->router, sizeof(neigh->router));
	ratman_limit_init(&neigh->control_limit, RATMAN_CONTROL_RATE, RATMAN_CONTROL_PEAK);
	ratman_limit_init(&neigh->handshake_limit, RATMAN_HANDSHAKE_RATE, RATMAN_HANDSHAKE_PEAK);
	ratman_neigh_live_init(neigh);
	return neigh;
}

/* Which of its keys a neighbour gives up for a new one: an unproven one first. */
static struct ratman_neigh_key *ratman_neigh_key_to_drop(struct ratman_neigh *neigh)
{
	struct ratman_neigh_key *cur;

	cur = rcu_dereference_protected(neigh->cur, lockdep_is_held(&neigh->lock));
	if (cur && cur->mode == RATMAN_KEY_FRESH && !cur->initiator)
		return cur;
	return rcu_dereference_protected(neigh->prev, lockdep_is_held(&neigh->lock));
}

/* Make @key the current one; @drop is out of use afterwards. */
static void ratman_neigh_key_install(struct ratman_neigh *neigh, struct ratman_neigh_key *key,
				     const struct ratman_neigh_key *drop)
{
	struct ratman_neigh_key *cur, *tx;

	cur = rcu_dereference_protected(neigh->cur, lockdep_is_held(&neigh->lock));
	tx = rcu_dereference_protected(neigh->tx, lockdep_is_held(&neigh->lock));
	if (cur && cur != drop) {
		WRITE_ONCE(cur->mode, RATMAN_KEY_RETIRING);
		WRITE_ONCE(cur->last_use, jiffies);
		rcu_assign_pointer(neigh->prev, cur);
	}
	rcu_assign_pointer(neigh->cur, key);
	if (key->initiator || !tx || tx == drop || neigh->state != RATMAN_NEIGH_ALIVE)
		rcu_assign_pointer(neigh->tx, key);
	ratman_neigh_live_reset(neigh);
}

static int ratman_neigh_check(struct ratman_dev *rdev, const struct ratman_neigh_config *config,
			      const struct ratman_link *link, struct netlink_ext_ack *extack)
{
	const struct ratman_ident *ident;

	if (!link) {
		NL_SET_ERR_MSG(extack, "The link is not attached to this mesh device");
		return -ENODEV;
	}
	ident = rcu_dereference_protected(rdev->ident, lockdep_is_held(&rdev->lock));
	if (ident && !memcmp(ident->router, config->router, sizeof(ident->router))) {
		NL_SET_ERR_MSG(extack, "That is this router's own address");
		return -EINVAL;
	}
	if (!is_valid_ether_addr(config->lladdr)) {
		NL_SET_ERR_MSG(extack, "The link-layer address of a neighbour must be unicast");
		return -EADDRNOTAVAIL;
	}
	if (!(config->index & (RATMAN_NEIGH_SLOTS - 1))) {
		NL_SET_ERR_MSG(extack, "The low 12 bits of a neighbour index must not be zero");
		return -EINVAL;
	}
	return 0;
}

/**
 * ratman_neigh_set - a handshake was completed: new neighbour or new key
 * @rdev: mesh device
 * @config: what to set
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_neigh_set(struct ratman_dev *rdev, const struct ratman_neigh_config *config,
		     struct netlink_ext_ack *extack)
{
	struct ratman_neigh_key *key, *drop, *taken;
	struct ratman_neigh *neigh;
	struct ratman_link *link;
	bool fresh;
	int err;

	lockdep_assert_held(&rdev->lock);
	link = ratman_link_find(rdev, config->ifindex);
	err = ratman_neigh_check(rdev, config, link, extack);
	if (err)
		return err;

	key = ratman_neigh_key_alloc(config);
	if (!key)
		return -ENOMEM;
	neigh = ratman_neigh_find(rdev, link, config->router);
	fresh = !neigh;
	if (fresh)
		neigh = ratman_neigh_alloc(rdev, link, config);
	if (!neigh) {
		kfree_sensitive(key);
		return -ENOMEM;
	}
	key->neigh = neigh;
	key->link = link;

	spin_lock_bh(&neigh->lock);
	drop = ratman_neigh_key_to_drop(neigh);
	taken = ratman_neigh_slot(rdev, config->index);
	if (taken && taken != drop) {
		spin_unlock_bh(&neigh->lock);
		NL_SET_ERR_MSG(extack,
			       "The slot (low 12 bits) of this neighbour index is in use: choose another");
		kfree_sensitive(key);
		if (fresh)
			ratman_neigh_put(neigh);
		return -EEXIST;
	}
	if (config->boot_id)
		memcpy(neigh->boot_id, config->boot_id, sizeof(neigh->boot_id));
	ratman_neigh_key_install(neigh, key, drop);
	spin_unlock_bh(&neigh->lock);

	ratman_neigh_key_remove(rdev, drop);
	rcu_assign_pointer(rdev->slots[config->index & (RATMAN_NEIGH_SLOTS - 1)], key);
	if (fresh) {
		list_add_tail_rcu(&neigh->list, &rdev->neighs);
		rdev->neigh_count++;
	}
	ratman_neigh_live_start(neigh, fresh);
	return 0;
}

/**
 * ratman_neigh_remove - it is no neighbour any more
 * @neigh: the neighbour
 *
 * Routes may hold it a little longer; it has no key by then.
 */
void ratman_neigh_remove(struct ratman_neigh *neigh)
{
	struct ratman_dev *rdev = neigh->rdev;
	struct ratman_neigh_key *cur, *prev;

	lockdep_assert_held(&rdev->lock);
	spin_lock_bh(&neigh->lock);
	ratman_neigh_set_state(neigh, RATMAN_NEIGH_REMOVED);
	cur = rcu_replace_pointer(neigh->cur, NULL, lockdep_is_held(&neigh->lock));
	prev = rcu_replace_pointer(neigh->prev, NULL, lockdep_is_held(&neigh->lock));
	RCU_INIT_POINTER(neigh->tx, NULL);
	spin_unlock_bh(&neigh->lock);

	/* Started only under ratman_neigh.lock by who has seen that it is not removed. */
	timer_delete_sync(&neigh->timer);
	list_del_rcu(&neigh->list);
	rdev->neigh_count--;
	ratman_neigh_key_remove(rdev, cur);
	ratman_neigh_key_remove(rdev, prev);
	ratman_neigh_put(neigh);
}

/**
 * ratman_neighs_remove_link - a link is going
 * @rdev: mesh device
 * @link: the link
 */
void ratman_neighs_remove_link(struct ratman_dev *rdev, const struct ratman_link *link)
{
	struct ratman_neigh *neigh, *tmp;

	lockdep_assert_held(&rdev->lock);
	list_for_each_entry_safe(neigh, tmp, &rdev->neighs, list)
		if (neigh->link == link)
			ratman_neigh_remove(neigh);
}

/**
 * ratman_neighs_sweep - drop replaced keys that nobody uses any more
 * @rdev: mesh device
 */
void ratman_neighs_sweep(struct ratman_dev *rdev)
{
	struct ratman_neigh_key *cur, *prev;
	struct ratman_neigh *neigh;

	lockdep_assert_held(&rdev->lock);
	list_for_each_entry(neigh, &rdev->neighs, list) {
		if (!rcu_access_pointer(neigh->prev))
			continue;
		spin_lock_bh(&neigh->lock);
		cur = rcu_dereference_protected(neigh->cur, lockdep_is_held(&neigh->lock));
		prev = rcu_dereference_protected(neigh->prev, lockdep_is_held(&neigh->lock));
		if (cur->mode == RATMAN_KEY_USED &&
		    time_after(jiffies, READ_ONCE(prev->last_use) + RATMAN_KEY_LINGER))
			RCU_INIT_POINTER(neigh->prev, NULL);
		else
			prev = NULL;
		spin_unlock_bh(&neigh->lock);
		ratman_neigh_key_remove(rdev, prev);
	}
}

/**
 * ratman_neigh_tag - compute the tag of any frame but DATA
 * @skb: begins with the hop header, which is in the linear part
 * @key: the key
 * @tag: result
 *
 * With bottom halves disabled.
 *
 * Return: false when the frame is not what its header says.
 */
bool ratman_neigh_tag(const struct sk_buff *skb, const siphash_key_t *key, u64 *tag)
{
	const struct ratman_hop_hdr *hdr = (const void *)skb->data;
	struct ratman_scratch *scratch = this_cpu_ptr(ratman_scratch);
	unsigned int len = be16_to_cpu(hdr->len);

	if (len > sizeof(scratch->data) - RATMAN_TAGGED_HDR)
		return false;
	memcpy(scratch->data, hdr, RATMAN_TAGGED_HDR);
	if (skb_copy_bits(skb, sizeof(*hdr), scratch->data + RATMAN_TAGGED_HDR, len))
		return false;
	*tag = siphash(scratch->data, RATMAN_TAGGED_HDR + len, key);
	return true;
}

/* A frame has verified under a key that is not simply the one in use. */
static void ratman_neigh_key_proven(struct ratman_neigh_key *key)
{
	struct ratman_neigh *neigh = key->neigh;
	struct ratman_neigh_key *prev;
	unsigned long now = jiffies;

	if (READ_ONCE(key->mode) == RATMAN_KEY_RETIRING) {
		if (READ_ONCE(key->last_use) != now)
			WRITE_ONCE(key->last_use, now);
		return;
	}
	spin_lock(&neigh->lock);
	if (rcu_access_pointer(neigh->cur) == key && key->mode == RATMAN_KEY_FRESH) {
		WRITE_ONCE(key->mode, RATMAN_KEY_USED);
		rcu_assign_pointer(neigh->tx, key);
		prev = rcu_dereference_protected(neigh->prev, lockdep_is_held(&neigh->lock));
		if (prev)
			WRITE_ONCE(prev->last_use, jiffies);
	}
	spin_unlock(&neigh->lock);
}

/**
 * ratman_neigh_accept_slow - a frame was accepted from a neighbour or key out of the ordinary
 * @key: under which it verified
 */
void ratman_neigh_accept_slow(struct ratman_neigh_key *key)
{
	if (READ_ONCE(key->mode) != RATMAN_KEY_USED)
		ratman_neigh_key_proven(key);
	if (READ_ONCE(key->neigh->state) != RATMAN_NEIGH_ALIVE)
		ratman_neigh_heard(key->neigh);
}

/*
 * Told again while it is so: events can be lost, and without new keys the lane ends. A key
 * that has a successor already is left alone.
 */
static noinline void ratman_neigh_rekey(struct ratman_neigh_key *key)
{
	unsigned long told = READ_ONCE(key->rekey_told), now = jiffies ?: 1;

	if ((told && now - told < RATMAN_REKEY_REPEAT) ||
	    rcu_access_pointer(key->neigh->cur) != key ||
	    cmpxchg(&key->rekey_told, told, now) != told)
		return;
	ratman_nl_neigh_event(key->neigh, true);
}

/*
 * The next sequence number. Lanes are exhausted rather than wrapped: a number
 * under a key is used once. With bottom halves disabled.
 */
static inline bool ratman_neigh_seq(struct ratman_neigh_key *key, u32 *seq)
{
	u32 lane = (u32)smp_processor_id() % RATMAN_SEQ_LANES;
	atomic_t *next = &key->tx[lane].next;
	u32 n = atomic_read(next);

	if (unlikely(n >= READ_ONCE(rekey_frames))) {
		if (n > RATMAN_SEQ_MASK)
			return false;
		ratman_neigh_rekey(key);
	}
	if (likely(nr_cpu_ids <= RATMAN_SEQ_LANES && !IS_ENABLED(CONFIG_PREEMPT_RT))) {
		atomic_set(next, n + 1);
	} else {
		n = atomic_inc_return(next) - 1;
		if (unlikely(n > RATMAN_SEQ_MASK))
			return false;
	}
	*seq = lane << RATMAN_SEQ_SHIFT | n;
	return true;
}

/**
 * ratman_neigh_xmit_data - send DATA to a neighbour
 * @key: from ratman_neigh_tx_key()
 * @skb: begins with the hop header, which is linear and writable; consumed
 * @tagged: holds the DATA header already
 *
 * Under RCU, with bottom halves disabled.
 */
void ratman_neigh_xmit_data(struct ratman_neigh_key *key, struct sk_buff *skb,
			    union ratman_data_tagged *tagged)
{
	struct ratman_hop_hdr *hdr = (void *)skb->data;
	struct ratman_neigh *neigh = key->neigh;
	unsigned long now = jiffies;
	u32 seq;

	if (unlikely(!ratman_neigh_seq(key, &seq))) {
		ratman_drop(neigh->rdev, skb, RATMAN_STAT_tx_lane_exhausted);
		return;
	}
	hdr->neigh = key->peer_index;
	hdr->seq = cpu_to_be32(seq);
	memcpy(tagged->hop, hdr, sizeof(tagged->hop));
	put_unaligned_le64(siphash(tagged, sizeof(*tagged), &key->tx_key), hdr->tag);

	if (READ_ONCE(neigh->last_tx) != now)
		WRITE_ONCE(neigh->last_tx, now);
	ratman_neigh_busy(neigh);
	ratman_traffic_tx(neigh->stats, skb->len);
	ratman_link_xmit(key->link, key->lladdr, skb);
}

/**
 * ratman_neigh_xmit_opaque - send ECHO, CONTROL or HANDSHAKE to a neighbour
 * @key: the key to send with
 * @skb: begins with the hop header, which is linear and writable; consumed
 *
 * Under RCU, with bottom halves disabled.
 */
void ratman_neigh_xmit_opaque(struct ratman_neigh_key *key, struct sk_buff *skb)
{
	struct ratman_hop_hdr *hdr = (void *)skb->data;
	struct ratman_neigh *neigh = key->neigh;
	u32 seq;
	u64 tag;

	if (unlikely(!ratman_neigh_seq(key, &seq))) {
		ratman_drop(neigh->rdev, skb, RATMAN_STAT_tx_lane_exhausted);
		return;
	}
	hdr->neigh = key->peer_index;
	hdr->seq = cpu_to_be32(seq);
	if (unlikely(!ratman_neigh_tag(skb, &key->tx_key, &tag))) {
		ratman_drop(neigh->rdev, skb, RATMAN_STAT_fwd_too_big);
		return;
	}
	put_unaligned_le64(tag, hdr->tag);
	ratman_traffic_tx(neigh->stats, skb->len);
	ratman_link_xmit(key->link, key->lladdr, skb);
}
