// SPDX-License-Identifier: GPL-2.0-only
/*
 * The table of sessions and the life of their keys, which is WireGuard's: a
 * key we asked for is used at once, one the peer asked for is used when the
 * peer has shown that it has it; the one before is good for receiving.
 *
 * Locks: a session appears under the lock of ratman_dev.session_ids (packets
 * make sessions, too) and disappears under ratman_dev.lock in addition, so a
 * holder of the latter may keep any session it finds. Keys move under
 * ratman_session.lock. Everything is freed by RCU.
 */
#include <linux/icmpv6.h>
#include <linux/slab.h>

#include "nl.h"
#include "session.h"

/* A session without key and packets is forgotten after this. */
#define RATMAN_SESSION_IDLE	(240 * HZ)
/* The daemon is asked again while packets wait, should it have missed it. */
#define RATMAN_WANT_REPEAT	(2 * HZ)

/* Half of WireGuard's times: a keepalive is cheap, a minute of silence is not. */
#define RATMAN_KEEPALIVE_AFTER	(5 * HZ)
#define RATMAN_SILENT_AFTER	(8 * HZ)

static u32 ratman_session_hash(const void *data, u32 len, u32 seed)
{
	return ratman_hash_pair(data, len, seed);
}

static const struct rhashtable_params ratman_session_params = {
	.key_len = sizeof(struct ratman_session_id),
	.key_offset = offsetof(struct ratman_session, id),
	.head_offset = offsetof(struct ratman_session, node),
	.hashfn = ratman_session_hash,
	.obj_cmpfn = ratman_cmp_32,
	.automatic_shrinking = true,
};

static_assert(sizeof(struct ratman_session_id) == 32);

/* Indices are our own choice: any hash will do. */
static const struct rhashtable_params ratman_session_key_params = {
	.key_len = sizeof(u32),
	.key_offset = offsetof(struct ratman_session_key, index),
	.head_offset = offsetof(struct ratman_session_key, node),
	.automatic_shrinking = true,
};

/**
 * ratman_session_lookup - the session between two IPv6 addresses
 * @rdev: mesh device
 * @id: the addresses
 *
 * Return: the session, valid under RCU, or NULL.
 */
struct ratman_session *ratman_session_lookup(struct ratman_dev *rdev,
					     const struct ratman_session_id *id)
{
	return rhashtable_lookup(&rdev->sessions, id, ratman_session_params);
}

/**
 * ratman_session_key_lookup - the key a DATA frame names
 * @rdev: mesh device
 * @index: our index
 *
 * Return: the key, valid under RCU, or NULL.
 */
struct ratman_session_key *ratman_session_key_lookup(struct ratman_dev *rdev, u32 index)
{
	return rhashtable_lookup(&rdev->session_keys, &index, ratman_session_key_params);
}

static void ratman_session_key_free_rcu(struct rcu_head *head)
{
	kfree_sensitive(container_of(head, struct ratman_session_key, rcu));
}

/* Nobody finds the key any more; who has it may use it until a grace period has passed. */
static void ratman_session_key_remove(struct ratman_dev *rdev, struct ratman_session_key *key)
{
	if (!key)
		return;
	rhashtable_remove_fast(&rdev->session_keys, &key->node, ratman_session_key_params);
	call_rcu(&key->rcu, ratman_session_key_free_rcu);
}

/**
 * ratman_session_create - find or make the session of an address and a peer
 * @rdev: mesh device
 * @local: our address, under RCU or ratman_dev.lock
 * @peer: the peer's address
 * @peer6: its IPv6 address
 * @gfp: allocation flags
 *
 * Return: the session, valid under RCU or ratman_dev.lock, or an ERR_PTR:
 * -ENOSPC when there are too many.
 */
struct ratman_session *ratman_session_create(struct ratman_dev *rdev,
					     const struct ratman_dest *local, const u8 *peer,
					     const struct in6_addr *peer6, gfp_t gfp)
{
	struct ratman_session *session, *old;
	int err;

	session = kzalloc(sizeof(*session), gfp);
	if (!session)
		return ERR_PTR(-ENOMEM);
	session->id.local = local->ipv6;
	session->id.peer = *peer6;
	memcpy(session->local, local->address, sizeof(session->local));
	memcpy(session->peer, peer, sizeof(session->peer));
	session->last_used = jiffies;
	session->last_want = jiffies - 3600 * HZ;
	spin_lock_init(&session->lock);
	__skb_queue_head_init(&session->staged);

	/* Another packet may have been quicker. */
	xa_lock_bh(&rdev->session_ids);
	rcu_read_lock();
	old = ratman_session_lookup(rdev, &session->id);
	rcu_read_unlock();
	if (old) {
		err = 0;
		goto out_unlock;
	}
	err = -ENOSPC;
	if (rdev->session_count >= RATMAN_SESSIONS_MAX)
		goto out_unlock;
	/* Under its lock, which it must not give up: atomic */
	err = __xa_alloc(&rdev->session_ids, &session->number, session, xa_limit_32b, GFP_ATOMIC);
	if (err)
		goto out_unlock;
	err = rhashtable_insert_fast(&rdev->sessions, &session->node, ratman_session_params);
	if (err) {
		__xa_erase(&rdev->session_ids, session->number);
		goto out_unlock;
	}
	rdev->session_count++;
	xa_unlock_bh(&rdev->session_ids);
	return session;

out_unlock:
	xa_unlock_bh(&rdev->session_ids);
	kfree(session);
	return err ? ERR_PTR(err) : old;
}

static unsigned int ratman_session_take_staged(struct ratman_dev *rdev,
					       struct ratman_session *session,
					       struct sk_buff_head *list)
{
	unsigned int n = skb_queue_len(&session->staged);

	lockdep_assert_held(&session->lock);
	skb_queue_splice_tail_init(&session->staged, list);
	atomic_sub(n, &rdev->staged);
	return n;
}

/* Turn a queue into the list that the senders take. */
static struct sk_buff *ratman_queue_to_list(struct sk_buff_head *queue)
{
	struct sk_buff *first = skb_peek(queue);

	if (first) {
		skb_peek_tail(queue)->next = NULL;
		first->prev = NULL;
	}
	return first;
}

static void ratman_session_remove(struct ratman_dev *rdev, struct ratman_session *session)
{
	struct ratman_session_key *cur, *prev, *next;
	struct sk_buff_head staged;

	__skb_queue_head_init(&staged);
	spin_lock_bh(&session->lock);
	session->dead = true;
	cur = rcu_replace_pointer(session->cur, NULL, lockdep_is_held(&session->lock));
	prev = rcu_replace_pointer(session->prev, NULL, lockdep_is_held(&session->lock));
	next = rcu_replace_pointer(session->next, NULL, lockdep_is_held(&session->lock));
	ratman_session_take_staged(rdev, session, &staged);
	spin_unlock_bh(&session->lock);

	ratman_session_key_remove(rdev, cur);
	ratman_session_key_remove(rdev, prev);
	ratman_session_key_remove(rdev, next);
	xa_lock_bh(&rdev->session_ids);
	rhashtable_remove_fast(&rdev->sessions, &session->node, ratman_session_params);
	__xa_erase(&rdev->session_ids, session->number);
	rdev->session_count--;
	xa_unlock_bh(&rdev->session_ids);

	local_bh_disable();
	ratman_drop_list(rdev, ratman_queue_to_list(&staged), RATMAN_STAT_tx_staged_purged);
	local_bh_enable();
	kfree_rcu(session, rcu);
}

/**
 * ratman_session_proven - the peer has used a key for the first time
 * @rdev: mesh device
 * @key: that was the next one when the caller looked
 */
void ratman_session_proven(struct ratman_dev *rdev, struct ratman_session_key *key)
{
	struct ratman_session *session = key->session;
	struct ratman_session_key *old = NULL;
	struct sk_buff_head staged;
	bool proven = false;

	__skb_queue_head_init(&staged);
	spin_lock_bh(&session->lock);
	if (rcu_access_pointer(session->next) == key) {
		proven = true;
		old = rcu_dereference_protected(session->prev, lockdep_is_held(&session->lock));
		rcu_assign_pointer(session->prev, rcu_access_pointer(session->cur));
		rcu_assign_pointer(session->cur, key);
		RCU_INIT_POINTER(session->next, NULL);
		ratman_session_take_staged(rdev, session, &staged);
	}
	spin_unlock_bh(&session->lock);
	ratman_session_key_remove(rdev, old);
	if (proven)
		ratman_session_send(rdev, session, key, ratman_queue_to_list(&staged));
}

/* Put a new key into its place; what it displaces is out of use afterwards. */
static void ratman_session_key_install(struct ratman_dev *rdev, struct ratman_session *session,
				       struct ratman_session_key *key)
{
	struct ratman_session_key *cur, *prev, *next, *drop;
	struct sk_buff_head staged;

	__skb_queue_head_init(&staged);
	spin_lock_bh(&session->lock);
	cur = rcu_dereference_protected(session->cur, lockdep_is_held(&session->lock));
	prev = rcu_dereference_protected(session->prev, lockdep_is_held(&session->lock));
	next = rcu_dereference_protected(session->next, lockdep_is_held(&session->lock));
	if (key->initiator) {
		/* The peer may be using a next one as well: it asked for it. */
		rcu_assign_pointer(session->prev, next ? next : cur);
		drop = next ? cur : NULL;
		rcu_assign_pointer(session->cur, key);
		RCU_INIT_POINTER(session->next, NULL);
		ratman_session_take_staged(rdev, session, &staged);
	} else {
		drop = next;
		RCU_INIT_POINTER(session->prev, NULL);
		rcu_assign_pointer(session->next, key);
	}
	spin_unlock_bh(&session->lock);
	ratman_session_key_remove(rdev, prev);
	ratman_session_key_remove(rdev, drop);

	if (!key->initiator)
		return;
	local_bh_disable();
	rcu_read_lock();
	if (skb_queue_empty(&staged))
		ratman_session_keepalive(rdev, session, key);
	else
		ratman_session_send(rdev, session, key, ratman_queue_to_list(&staged));
	rcu_read_unlock();
	local_bh_enable();
}

/* A key in nobody's hands yet; an ERR_PTR with a reason. */
static struct ratman_session_key *
ratman_session_key_new(struct ratman_dev *rdev, const struct ratman_session_config *config,
		       struct netlink_ext_ack *extack)
{
	struct ratman_session_key *key;

	/* Only requests add keys, so the answer stays true. */
	rcu_read_lock();
	key = ratman_session_key_lookup(rdev, config->index);
	rcu_read_unlock();
	if (key) {
		NL_SET_ERR_MSG(extack, "This session index is in use: choose another");
		return ERR_PTR(-EEXIST);
	}
	key = kzalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return ERR_PTR(-ENOMEM);
	key->index = config->index;
	key->peer_index = cpu_to_be32(config->peer_index);
	key->born = ktime_get_coarse_boottime_ns();
	key->initiator = config->initiator;
	memcpy(key->rx_key, config->rx_key, sizeof(key->rx_key));
	memcpy(key->tx_key, config->tx_key, sizeof(key->tx_key));
	atomic64_set(&key->tx_counter, 0);
	spin_lock_init(&key->replay_lock);
	return key;
}

/* The session a request is about, made if need be; an ERR_PTR with a reason. */
static struct ratman_session *
ratman_session_get(struct ratman_dev *rdev, const struct ratman_session_config *config,
		   const struct ratman_dest *local, const struct ratman_dest *route,
		   struct netlink_ext_ack *extack)
{
	struct ratman_session_id id = { .local = local->ipv6 };
	struct ratman_session *session;

	if (config->peer6) {
		id.peer = *config->peer6;
	} else if (route) {
		id.peer = route->ipv6;
	} else {
		NL_SET_ERR_MSG(extack,
			       "There is no route to the peer: give RATMAN_A_SESSION_PEER_IPV6, too");
		return ERR_PTR(-EINVAL);
	}
	if (route && !ipv6_addr_equal(&route->ipv6, &id.peer)) {
		NL_SET_ERR_MSG(extack, "The route to the peer has another IPv6 address");
		return ERR_PTR(-EINVAL);
	}

	rcu_read_lock();
	session = ratman_session_lookup(rdev, &id);
	rcu_read_unlock();
	if (!session && !config->has_key) {
		NL_SET_ERR_MSG(extack,
			       "There is no such session: give keys and indices to make one");
		return ERR_PTR(-ENOENT);
	}
	if (!session)
		session = ratman_session_create(rdev, local, config->peer, &id.peer, GFP_KERNEL);
	if (IS_ERR(session)) {
		if (PTR_ERR(session) == -ENOSPC) {
			ratman_count_process(rdev, RATMAN_STAT_tx_sessions_full);
			NL_SET_ERR_MSG(extack, "A mesh device holds 65536 sessions at most");
		}
		return session;
	}
	if (memcmp(session->peer, config->peer, RATMAN_ADDR_LEN)) {
		NL_SET_ERR_MSG(extack, "A session with another peer uses this IPv6 address");
		return ERR_PTR(-EEXIST);
	}
	return session;
}

/**
 * ratman_session_set - a handshake was completed, or the peer became a contact
 * @rdev: mesh device
 * @config: what to set
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_session_set(struct ratman_dev *rdev, const struct ratman_session_config *config,
		       struct netlink_ext_ack *extack)
{
	const struct ratman_dest *local, *route;
	struct ratman_session_key *key = NULL;
	struct ratman_session *session;
	int err;

	lockdep_assert_held(&rdev->lock);
	rcu_read_lock();
	local = ratman_fib_lookup(rdev, config->local);
	route = ratman_fib_lookup(rdev, config->peer);
	rcu_read_unlock();
	if (!local || !local->local) {
		NL_SET_ERR_MSG(extack, "RATMAN_A_SESSION_LOCAL is no address of this router");
		return -ENOENT;
	}
	if (route && route->local) {
		NL_SET_ERR_MSG(extack, "RATMAN_A_SESSION_PEER is an address of this router");
		return -EINVAL;
	}
	/* What can fail comes first, so that a refusal leaves no session behind. */
	if (config->has_key) {
		key = ratman_session_key_new(rdev, config, extack);
		if (IS_ERR(key))
			return PTR_ERR(key);
	}
	session = ratman_session_get(rdev, config, local, route, extack);
	if (IS_ERR(session)) {
		kfree_sensitive(key);
		return PTR_ERR(session);
	}
	if (key) {
		key->session = session;
		err = rhashtable_insert_fast(&rdev->session_keys, &key->node,
					     ratman_session_key_params);
		if (err) {
			kfree_sensitive(key);
			return err;
		}
	}
	WRITE_ONCE(session->contact, config->contact);
	ratman_session_used(session);
	if (key)
		ratman_session_key_install(rdev, session, key);
	return 0;
}

/**
 * ratman_session_del - end a session
 * @rdev: mesh device
 * @local: our address
 * @peer: the peer's
 * @extack: told why not
 *
 * Return: 0 or a negative errno.
 */
int ratman_session_del(struct ratman_dev *rdev, const u8 *local, const u8 *peer,
		       struct netlink_ext_ack *extack)
{
	struct ratman_session *session;
	unsigned long number;

	lockdep_assert_held(&rdev->lock);
	xa_for_each(&rdev->session_ids, number, session) {
		if (!memcmp(session->local, local, RATMAN_ADDR_LEN) &&
		    !memcmp(session->peer, peer, RATMAN_ADDR_LEN)) {
			ratman_session_remove(rdev, session);
			return 0;
		}
	}
	NL_SET_ERR_MSG(extack, "There is no such session");
	return -ENOENT;
}

/**
 * ratman_sessions_remove_local - an address is ours no longer
 * @rdev: mesh device
 * @local: the address
 */
void ratman_sessions_remove_local(struct ratman_dev *rdev, const u8 *local)
{
	struct ratman_session *session;
	unsigned long number;

	lockdep_assert_held(&rdev->lock);
	xa_for_each(&rdev->session_ids, number, session)
		if (!memcmp(session->local, local, RATMAN_ADDR_LEN))
			ratman_session_remove(rdev, session);
}

/**
 * ratman_sessions_purge_staged - drop everything that waits
 * @rdev: mesh device
 */
void ratman_sessions_purge_staged(struct ratman_dev *rdev)
{
	struct ratman_session *session;
	struct sk_buff_head staged;
	unsigned long number;

	lockdep_assert_held(&rdev->lock);
	__skb_queue_head_init(&staged);
	xa_for_each(&rdev->session_ids, number, session) {
		spin_lock_bh(&session->lock);
		ratman_session_take_staged(rdev, session, &staged);
		spin_unlock_bh(&session->lock);
	}
	local_bh_disable();
	ratman_drop_list(rdev, ratman_queue_to_list(&staged), RATMAN_STAT_tx_staged_purged);
	local_bh_enable();
}

/* Take a key out of a session's slot if it is too old even to receive. */
static struct ratman_session_key *ratman_session_expire(struct ratman_session *session,
							struct ratman_session_key __rcu **slot)
{
	struct ratman_session_key *key;

	key = rcu_dereference_protected(*slot, lockdep_is_held(&session->lock));
	if (!key || !ratman_session_key_older(key, RATMAN_ERASE_AFTER))
		return NULL;
	RCU_INIT_POINTER(*slot, NULL);
	return key;
}

/*
 * A peer that lost its keys (rebooted, address down and up) cannot tell us: what
 * we send is noise to it. So each side answers what it gets with something within
 * a time, and who hears nothing for longer makes a new key (as WireGuard does,
 * section 6.5 of its paper). Under RCU with bottom halves disabled.
 */
static void ratman_session_liveness(struct ratman_dev *rdev, struct ratman_session *session)
{
	struct ratman_session_key *key = rcu_dereference(session->cur);

	if (!key)
		return;
	if (ratman_session_due(&session->unthanked, RATMAN_KEEPALIVE_AFTER)) {
		ratman_session_clear(&session->unthanked);
		if (!ratman_session_key_older(key, RATMAN_REJECT_AFTER))
			ratman_session_keepalive(rdev, session, key);
	}
	if (ratman_session_due(&session->unanswered, RATMAN_SILENT_AFTER)) {
		/* Again only if more is sent. */
		ratman_session_clear(&session->unanswered);
		ratman_session_want(rdev, session, RATMAN_WANT_REPEAT);
	}
}

/* Once a second: old keys, old packets. True when nothing is left of the session. */
static bool ratman_session_sweep(struct ratman_dev *rdev, struct ratman_session *session)
{
	struct ratman_session_key *cur, *prev, *next;
	unsigned long now = jiffies;
	struct sk_buff_head old;
	struct sk_buff *skb;
	bool waiting, empty;

	__skb_queue_head_init(&old);
	spin_lock_bh(&session->lock);
	cur = ratman_session_expire(session, &session->cur);
	prev = ratman_session_expire(session, &session->prev);
	next = ratman_session_expire(session, &session->next);
	while ((skb = skb_peek(&session->staged)) &&
	       time_after(now, ratman_packet_cb(skb)->since + RATMAN_STAGED_FOR)) {
		__skb_unlink(skb, &session->staged);
		atomic_dec(&rdev->staged);
		__skb_queue_tail(&old, skb);
	}
	waiting = !skb_queue_empty(&session->staged);
	empty = !waiting && !rcu_access_pointer(session->cur) &&
		!rcu_access_pointer(session->prev) && !rcu_access_pointer(session->next);
	spin_unlock_bh(&session->lock);

	ratman_session_key_remove(rdev, cur);
	ratman_session_key_remove(rdev, prev);
	ratman_session_key_remove(rdev, next);

	local_bh_disable();
	rcu_read_lock();
	while ((skb = __skb_dequeue(&old)))
		ratman_session_unreachable(rdev, skb, ICMPV6_ADDR_UNREACH,
					   RATMAN_STAT_tx_staged_expired);
	if (waiting)
		ratman_session_want(rdev, session, RATMAN_WANT_REPEAT);
	ratman_session_liveness(rdev, session);
	rcu_read_unlock();
	local_bh_enable();
	return empty && time_after(now, READ_ONCE(session->last_used) + RATMAN_SESSION_IDLE);
}

/**
 * ratman_sessions_sweep - once a second: what is too old goes
 * @rdev: mesh device
 */
void ratman_sessions_sweep(struct ratman_dev *rdev)
{
	struct ratman_session *session;
	unsigned long number;

	lockdep_assert_held(&rdev->lock);
	xa_for_each(&rdev->session_ids, number, session) {
		if (ratman_session_sweep(rdev, session)) {
			ratman_count_process(rdev, RATMAN_STAT_session_idle);
			ratman_session_remove(rdev, session);
		}
		cond_resched();
	}
}

/**
 * ratman_sessions_init - make the tables
 * @rdev: mesh device
 *
 * Return: 0 or a negative errno.
 */
int ratman_sessions_init(struct ratman_dev *rdev)
{
	int err;

	xa_init_flags(&rdev->session_ids, XA_FLAGS_ALLOC | XA_FLAGS_LOCK_BH);
	err = rhashtable_init(&rdev->sessions, &ratman_session_params);
	if (err)
		return err;
	err = rhashtable_init(&rdev->session_keys, &ratman_session_key_params);
	if (err)
		rhashtable_destroy(&rdev->sessions);
	return err;
}

/**
 * ratman_sessions_destroy - end all sessions and free the tables
 * @rdev: mesh device; no packet comes in or out any more
 */
void ratman_sessions_destroy(struct ratman_dev *rdev)
{
	struct ratman_session *session;
	unsigned long number;

	xa_for_each(&rdev->session_ids, number, session)
		ratman_session_remove(rdev, session);
	xa_destroy(&rdev->session_ids);
	rhashtable_destroy(&rdev->session_keys);
	rhashtable_destroy(&rdev->sessions);
}
