// SPDX-License-Identifier: GPL-2.0-only
/*
 * Is a neighbour alive, how far away is it, and how much is lost on the way?
 *
 * Any frame that verifies is a sign of life. ECHO fills the silence: seldom
 * when idle, often while we send, and answered at once when the neighbour asks
 * often, so that neither side waits for the other's idle timer. The neighbour's
 * report tells whether it hears us; hearing it is not enough.
 *
 * One timer per neighbour; state and measurements are under ratman_neigh.lock.
 */
#include <linux/random.h>

#include "neigh.h"
#include "nl.h"
#include "trace.h"

#define RATMAN_ECHO_IDLE_MS	2000
#define RATMAN_ECHO_BUSY_MS	300
/* While we send and hear nothing: ask more often before giving up. */
#define RATMAN_ECHO_WORRY_MS	150
/* Somebody who announces less than this wants to be answered at once, ... */
#define RATMAN_ECHO_FAST_MS	1000
/* ... but not more often than this. */
#define RATMAN_ECHO_GAP_MS	120

/* Dead after so long a silence: idle (four of the neighbour's intervals), and while we send. */
#define RATMAN_SILENT_IDLE_MS	8000
#define RATMAN_SILENT_IDLE_MAX_MS	40000
#define RATMAN_SILENT_BUSY_MS	1500
/* Dead when its ECHO frames go on saying that it does not hear us. */
#define RATMAN_DEAF_IDLE_MS	10000
#define RATMAN_DEAF_BUSY_MS	2000
#define RATMAN_DEAF_FRAMES	4

/* Of the frames reported on so far this part is forgotten with each report ... */
#define RATMAN_LOSS_FADE	16
/* ... and so many are taken for received before the first, so that it does not decide alone. */
#define RATMAN_LOSS_START	(4 << 10)

static u64 ratman_now_us(void)
{
	return ktime_to_us(ktime_get());
}

static unsigned long ratman_later(unsigned long from, unsigned int ms)
{
	return from + msecs_to_jiffies(ms);
}

/**
 * ratman_neigh_silent_ms - how long nothing was heard
 * @neigh: the neighbour
 *
 * Return: milliseconds since the last valid frame.
 */
u32 ratman_neigh_silent_ms(const struct ratman_neigh *neigh)
{
	return jiffies_to_msecs(jiffies - READ_ONCE(neigh->last_rx));
}

/**
 * ratman_neigh_set_state - change the state and tell the daemon
 * @neigh: the neighbour
 * @state: new state
 *
 * Return: true when it was another one before.
 */
bool ratman_neigh_set_state(struct ratman_neigh *neigh, enum ratman_neigh_state state)
{
	lockdep_assert_held(&neigh->lock);
	if (neigh->state == state)
		return false;
	WRITE_ONCE(neigh->state, state);
	if (state == RATMAN_NEIGH_DEAD)
		ratman_count(neigh->rdev, RATMAN_STAT_neigh_dead);
	else if (state == RATMAN_NEIGH_ALIVE && !neigh->fresh)
		ratman_count(neigh->rdev, RATMAN_STAT_neigh_back);
	neigh->fresh = false;
	trace_ratman_neigh_state(neigh, state, ratman_neigh_silent_ms(neigh));
	ratman_nl_neigh_event(neigh, false);
	return true;
}

/**
 * ratman_neigh_heard - a frame from a neighbour that is not alive
 * @neigh: the neighbour
 */
void ratman_neigh_heard(struct ratman_neigh *neigh)
{
	spin_lock_bh(&neigh->lock);
	/* One that does not hear us must first say that it does again, in an ECHO. */
	if (neigh->state == RATMAN_NEIGH_DEAD && !neigh->one_way &&
	    ratman_link_ready(neigh->link)) {
		neigh->echo.acked = jiffies;
		neigh->echo.unacked_from = neigh->echo.count;
		ratman_neigh_set_state(neigh, RATMAN_NEIGH_ALIVE);
	}
	spin_unlock_bh(&neigh->lock);
}

/**
 * ratman_neigh_kick - traffic has begun: look after the neighbour now
 * @neigh: the neighbour
 */
void ratman_neigh_kick(struct ratman_neigh *neigh)
{
	spin_lock_bh(&neigh->lock);
	if (neigh->state != RATMAN_NEIGH_REMOVED) {
		neigh->busy_since = jiffies;
		mod_timer(&neigh->timer, jiffies);
	}
	spin_unlock_bh(&neigh->lock);
}

/* The later of two moments. */
static unsigned long ratman_latest(unsigned long a, unsigned long b)
{
	return time_after(a, b) ? a : b;
}

/* What is long ago stays so when 32-bit jiffies come round (49 days at 1000 Hz). */
static void ratman_keep_past(unsigned long *when, unsigned long now)
{
	if (time_after(now, READ_ONCE(*when) + 3600 * HZ))
		WRITE_ONCE(*when, now - 3600 * HZ);
}

static bool ratman_neigh_is_busy(const struct ratman_neigh *neigh, unsigned long now)
{
	return time_before(now, READ_ONCE(neigh->last_data) + HZ);
}

static bool ratman_neigh_is_sending(const struct ratman_neigh *neigh, unsigned long now)
{
	return time_before(now, READ_ONCE(neigh->last_tx) + HZ);
}

/* Nothing heard for longer than can be. */
static bool ratman_neigh_is_silent(const struct ratman_neigh *neigh, unsigned long now)
{
	unsigned long heard = READ_ONCE(neigh->last_rx);
	u32 limit;

	if (ratman_neigh_is_sending(neigh, now)) {
		/* A round trip may be slow, but then it was measured. */
		limit = clamp_t(u32, neigh->rtt_us / 1000 * 4, RATMAN_SILENT_BUSY_MS,
				RATMAN_SILENT_IDLE_MS);
		if (time_after(now, ratman_later(ratman_latest(heard, neigh->busy_since), limit)))
			return true;
	}
	limit = clamp_t(u32, 4 * neigh->echo.peer_interval_ms, RATMAN_SILENT_IDLE_MS,
			RATMAN_SILENT_IDLE_MAX_MS);
	return time_after(now, ratman_later(heard, limit));
}

static u32 ratman_echo_interval(const struct ratman_neigh *neigh, unsigned long now)
{
	unsigned long heard = ratman_latest(READ_ONCE(neigh->last_rx), neigh->busy_since);

	if (neigh->state != RATMAN_NEIGH_ALIVE || !ratman_neigh_is_busy(neigh, now))
		return RATMAN_ECHO_IDLE_MS;
	if (ratman_neigh_is_sending(neigh, now) &&
	    time_after(now, ratman_later(heard, RATMAN_ECHO_BUSY_MS + RATMAN_ECHO_WORRY_MS)))
		return RATMAN_ECHO_WORRY_MS;
	return RATMAN_ECHO_BUSY_MS;
}

static void ratman_neigh_timer(struct timer_list *timer)
{
	struct ratman_neigh *neigh = container_of(timer, struct ratman_neigh, timer);
	unsigned long now = jiffies, due;
	bool send = false;
	u32 ms;

	spin_lock(&neigh->lock);
	if (neigh->state == RATMAN_NEIGH_REMOVED) {
		spin_unlock(&neigh->lock);
		return;
	}
	if (neigh->state == RATMAN_NEIGH_ALIVE &&
	    (ratman_neigh_is_silent(neigh, now) || !ratman_link_ready(neigh->link))) {
		neigh->one_way = false;
		ratman_neigh_set_state(neigh, RATMAN_NEIGH_DEAD);
	}
	ratman_keep_past(&neigh->last_tx, now);
	ratman_keep_past(&neigh->last_data, now);
	ms = ratman_echo_interval(neigh, now);
	/* Up to an eighth earlier, so that routers do not fall into step. */
	due = ratman_later(neigh->echo.sent, ms - get_random_u32() % (ms / 8));
	if (!time_after(due, now)) {
		send = true;
		due = ratman_later(now, ms - get_random_u32() % (ms / 8));
	}
	mod_timer(timer, due);
	spin_unlock(&neigh->lock);
	if (send)
		ratman_neigh_echo(neigh);
}

/**
 * ratman_neigh_live_init - prepare a new neighbour
 * @neigh: the neighbour
 */
void ratman_neigh_live_init(struct ratman_neigh *neigh)
{
	unsigned long now = jiffies;

	neigh->state = RATMAN_NEIGH_DEAD;
	neigh->fresh = true;
	neigh->last_rx = now;
	neigh->last_tx = now - 2 * HZ;
	neigh->last_data = now - 2 * HZ;
	neigh->busy_since = now;
	neigh->echo.acked = now;
	neigh->echo.sent = now - 10 * HZ;
	neigh->echo.sent_sum = RATMAN_LOSS_START;
	timer_setup(&neigh->timer, ratman_neigh_timer, 0);
}

/**
 * ratman_neigh_live_reset - a new key was set, perhaps by a neighbour that has restarted
 * @neigh: the neighbour
 */
void ratman_neigh_live_reset(struct ratman_neigh *neigh)
{
	lockdep_assert_held(&neigh->lock);
	neigh->echo.seen_count = 0;
	neigh->echo.seen_total = 0;
	neigh->echo.peer_stamp = 0;
	neigh->echo.reported = false;
	/*
	 * The handshake went both ways, and the other side has begun to count
	 * anew as well: its next reports may say that it has heard nothing yet.
	 */
	neigh->echo.acked = jiffies;
	neigh->echo.unacked_from = neigh->echo.count;
}

/**
 * ratman_neigh_live_start - a new key is in place
 * @neigh: the neighbour
 * @fresh: it is a new neighbour
 *
 * The handshake has just shown that a new neighbour is there; one that was
 * dead must send a frame. The ECHO sent at once proves the key to the other side.
 */
void ratman_neigh_live_start(struct ratman_neigh *neigh, bool fresh)
{
	spin_lock_bh(&neigh->lock);
	if (fresh && READ_ONCE(neigh->link->up))
		ratman_neigh_set_state(neigh, RATMAN_NEIGH_ALIVE);
	neigh->echo.sent = jiffies - 10 * HZ;
	mod_timer(&neigh->timer, jiffies);
	spin_unlock_bh(&neigh->lock);
}

/**
 * ratman_neighs_link_changed - a link has come or gone
 * @rdev: mesh device
 * @link: the link
 * @up: it can carry frames
 */
void ratman_neighs_link_changed(struct ratman_dev *rdev, const struct ratman_link *link, bool up)
{
	struct ratman_neigh *neigh;

	lockdep_assert_held(&rdev->lock);
	list_for_each_entry(neigh, &rdev->neighs, list) {
		if (neigh->link != link)
			continue;
		spin_lock_bh(&neigh->lock);
		if (up) {
			neigh->echo.sent = jiffies - 10 * HZ;
			mod_timer(&neigh->timer, jiffies);
		} else {
			neigh->one_way = false;
			ratman_neigh_set_state(neigh, RATMAN_NEIGH_DEAD);
		}
		spin_unlock_bh(&neigh->lock);
	}
}

static void ratman_echo_fill(struct ratman_neigh *neigh, struct ratman_echo *echo)
{
	struct ratman_echo_state *st = &neigh->echo;
	u64 now = ratman_now_us();

	lockdep_assert_held(&neigh->lock);
	st->count++;
	st->sent = jiffies;
	st->stamps[st->count % RATMAN_ECHO_STAMPS] = now;
	echo->count = cpu_to_be32(st->count);
	echo->seen_count = cpu_to_be32(st->seen_count);
	echo->seen_total = cpu_to_be32(st->seen_total);
	echo->held_us = 0;
	echo->echo_us = st->peer_stamp;
	if (st->peer_stamp)
		echo->held_us = cpu_to_be32(min_t(u64, now - st->arrived_us, U32_MAX));
	echo->stamp_us = cpu_to_be64(now);
	echo->interval_ms = cpu_to_be32(ratman_neigh_is_busy(neigh, jiffies) ?
					RATMAN_ECHO_BUSY_MS : RATMAN_ECHO_IDLE_MS);
	echo->reserved = 0;
}

/**
 * ratman_neigh_echo - send an ECHO; bottom halves disabled
 * @neigh: the neighbour, alive or dead
 */
void ratman_neigh_echo(struct ratman_neigh *neigh)
{
	struct ratman_neigh_key *key;
	struct sk_buff *skb = NULL;

	rcu_read_lock();
	key = rcu_dereference(neigh->tx);
	if (key && READ_ONCE(key->link->up) && ratman_link_ready(key->link))
		skb = ratman_link_alloc(key->link, RATMAN_ECHO, sizeof(struct ratman_echo),
					GFP_ATOMIC);
	if (skb) {
		spin_lock(&neigh->lock);
		ratman_echo_fill(neigh, (void *)skb->data + sizeof(struct ratman_hop_hdr));
		spin_unlock(&neigh->lock);
		ratman_count(neigh->rdev, RATMAN_STAT_tx_echo);
		ratman_neigh_xmit_opaque(key, skb);
	}
	rcu_read_unlock();
}

static u32 ratman_smooth(u32 old, u32 sample)
{
	return old + ((s64)sample - old) / 8;
}

/* A round trip counts only from a stamp that we sent lately ourselves. */
static void ratman_echo_rtt(struct ratman_neigh *neigh, const struct ratman_echo *echo, u64 now)
{
	u64 stamp = be64_to_cpu(echo->echo_us), rtt;
	unsigned int i;

	if (!stamp)
		return;
	for (i = 0; i < RATMAN_ECHO_STAMPS; i++)
		if (neigh->echo.stamps[i] == stamp)
			break;
	if (i == RATMAN_ECHO_STAMPS)
		return;
	rtt = now - stamp;
	if (be32_to_cpu(echo->held_us) > rtt)
		return;
	rtt = clamp_t(u64, rtt - be32_to_cpu(echo->held_us), 1, U32_MAX);
	neigh->rtt_us = neigh->rtt_us ? ratman_smooth(neigh->rtt_us, rtt) : rtt;
}

/*
 * The more is lost the fewer reports there are, and the more frames each is
 * about: so it is frames that are averaged, not reports.
 */
static void ratman_echo_loss(struct ratman_neigh *neigh, u32 sent, u32 lost)
{
	struct ratman_echo_state *st = &neigh->echo;

	st->sent_sum -= st->sent_sum / RATMAN_LOSS_FADE;
	st->lost_sum -= st->lost_sum / RATMAN_LOSS_FADE;
	st->sent_sum += (u64)sent << 10;
	st->lost_sum += (u64)lost << 10;
	neigh->loss = min_t(u64, div64_u64(st->lost_sum * 65535, st->sent_sum), 65535);
}

/* What the neighbour has received of what we sent. True when it is more than before. */
static bool ratman_echo_report(struct ratman_neigh *neigh, const struct ratman_echo *echo)
{
	struct ratman_echo_state *st = &neigh->echo;
	u32 count = be32_to_cpu(echo->seen_count), total = be32_to_cpu(echo->seen_total);
	u32 sent = count - st->acked_count, got = total - st->acked_total;
	bool more = (s32)sent > 0 && (s32)(st->count - count) >= 0;

	/* It has received nothing, or not yet: nothing to learn from. */
	if (!count)
		return false;
	/*
	 * It has begun to count anew, or for the first time: frames sent
	 * before it had the key were not lost on the way.
	 */
	if (!st->reported || (s32)sent < 0 || got > sent) {
		st->reported = true;
		st->acked_count = count;
		st->acked_total = total;
	} else if (more) {
		ratman_echo_loss(neigh, sent, sent - got);
		st->acked_count = count;
		st->acked_total = total;
	}
	if (more) {
		st->acked = jiffies;
		st->unacked_from = st->count;
	}
	return more;
}

/**
 * ratman_neigh_echo_rcv - an ECHO has arrived and is accepted
 * @neigh: from whom
 * @echo: what it says
 */
void ratman_neigh_echo_rcv(struct ratman_neigh *neigh, const struct ratman_echo *echo)
{
	struct ratman_echo_state *st = &neigh->echo;
	unsigned long now = jiffies;
	bool reply;
	u32 limit;

	spin_lock(&neigh->lock);
	st->seen_total++;
	/* One that was overtaken by a later one has nothing new to say. */
	if (st->seen_count && (s32)(be32_to_cpu(echo->count) - st->seen_count) <= 0) {
		spin_unlock(&neigh->lock);
		return;
	}
	st->seen_count = be32_to_cpu(echo->count);
	st->peer_stamp = echo->stamp_us;
	st->arrived_us = ratman_now_us();
	st->peer_interval_ms = min_t(u32, be32_to_cpu(echo->interval_ms),
				     RATMAN_SILENT_IDLE_MAX_MS / 4);
	ratman_echo_rtt(neigh, echo, st->arrived_us);

	limit = ratman_neigh_is_sending(neigh, now) ? RATMAN_DEAF_BUSY_MS : RATMAN_DEAF_IDLE_MS;
	if (ratman_echo_report(neigh, echo)) {
		neigh->one_way = false;
		if (neigh->state == RATMAN_NEIGH_DEAD && ratman_link_ready(neigh->link))
			ratman_neigh_set_state(neigh, RATMAN_NEIGH_ALIVE);
	} else if (neigh->state == RATMAN_NEIGH_ALIVE &&
		   st->count - st->unacked_from >= RATMAN_DEAF_FRAMES &&
		   time_after(now, ratman_later(ratman_latest(st->acked, neigh->busy_since),
						limit))) {
		neigh->one_way = true;
		ratman_neigh_set_state(neigh, RATMAN_NEIGH_DEAD);
	}
	reply = neigh->state != RATMAN_NEIGH_REMOVED &&
		st->peer_interval_ms < RATMAN_ECHO_FAST_MS &&
		time_after(now, ratman_later(st->sent, RATMAN_ECHO_GAP_MS));
	spin_unlock(&neigh->lock);
	if (reply)
		ratman_neigh_echo(neigh);
}
