// SPDX-License-Identifier: GPL-2.0-only
/* Named counters, and the one place where frames are dropped. */
#include "dev.h"
#include "stats.h"
#include "trace.h"

enum ratman_stat_class {
	RATMAN_CLASS_NONE,
	RATMAN_CLASS_RX_ERR,
	RATMAN_CLASS_RX_DROP,
	RATMAN_CLASS_TX_ERR,
	RATMAN_CLASS_TX_DROP,
};

static const struct {
	const char *name;
	enum ratman_stat_class class;
	enum skb_drop_reason reason;
} ratman_stat_info[RATMAN_STAT_COUNT] = {
#define RATMAN_STAT_INFO(name, class, reason) \
	[RATMAN_STAT_##name] = { #name, RATMAN_CLASS_##class, SKB_DROP_REASON_##reason },
	RATMAN_STATS(RATMAN_STAT_INFO)
#undef RATMAN_STAT_INFO
};

/**
 * ratman_stat_name - name of a counter, as userspace sees it
 * @stat: the counter
 *
 * Return: the name.
 */
const char *ratman_stat_name(enum ratman_stat stat)
{
	return ratman_stat_info[stat].name;
}

/**
 * ratman_count - count once; bottom halves disabled
 * @rdev: mesh device
 * @stat: the counter
 */
void ratman_count(struct ratman_dev *rdev, enum ratman_stat stat)
{
	ratman_stats_add(rdev->stats, stat, 1);
}

/**
 * ratman_count_add - count several; bottom halves disabled
 * @rdev: mesh device
 * @stat: the counter
 * @n: how many
 */
void ratman_count_add(struct ratman_dev *rdev, enum ratman_stat stat, unsigned int n)
{
	ratman_stats_add(rdev->stats, stat, n);
}

/**
 * ratman_count_process - count once, in process context
 * @rdev: mesh device
 * @stat: the counter
 */
void ratman_count_process(struct ratman_dev *rdev, enum ratman_stat stat)
{
	local_bh_disable();
	ratman_stats_add(rdev->stats, stat, 1);
	local_bh_enable();
}

/**
 * ratman_drop - count, trace and free; bottom halves disabled
 * @rdev: mesh device
 * @skb: what is dropped
 * @stat: why
 */
void ratman_drop(struct ratman_dev *rdev, struct sk_buff *skb, enum ratman_stat stat)
{
	ratman_stats_add(rdev->stats, stat, 1);
	trace_ratman_drop(rdev->dev, skb, stat);
	kfree_skb_reason(skb, ratman_stat_info[stat].reason);
}

/**
 * ratman_drop_list - ratman_drop() for each of a list
 * @rdev: mesh device
 * @list: linked by ->next; may be NULL
 * @stat: why
 */
void ratman_drop_list(struct ratman_dev *rdev, struct sk_buff *list, enum ratman_stat stat)
{
	struct sk_buff *skb, *next;

	skb_list_walk_safe(list, skb, next) {
		skb_mark_not_on_list(skb);
		ratman_drop(rdev, skb, stat);
	}
}

/**
 * ratman_stats_alloc - allocate the counters of a mesh device
 *
 * Return: per-CPU counters, NULL without memory.
 */
struct ratman_stats __percpu *ratman_stats_alloc(void)
{
	struct ratman_stats __percpu *stats = alloc_percpu(struct ratman_stats);
	int cpu;

	if (stats)
		for_each_possible_cpu(cpu)
			u64_stats_init(&per_cpu_ptr(stats, cpu)->syncp);
	return stats;
}

/**
 * ratman_stat_read - add up a counter over all CPUs
 * @rdev: mesh device
 * @stat: the counter
 *
 * Return: the sum.
 */
u64 ratman_stat_read(const struct ratman_dev *rdev, enum ratman_stat stat)
{
	unsigned int start;
	u64 sum = 0, v;
	int cpu;

	for_each_possible_cpu(cpu) {
		const struct ratman_stats *s = per_cpu_ptr(rdev->stats, cpu);

		do {
			start = u64_stats_fetch_begin(&s->syncp);
			v = u64_stats_read(&s->value[stat]);
		} while (u64_stats_fetch_retry(&s->syncp, start));
		sum += v;
	}
	return sum;
}

/**
 * ratman_stats_link64 - add our counters to those of "ip -s link"
 * @rdev: mesh device
 * @s: result
 */
void ratman_stats_link64(const struct ratman_dev *rdev, struct rtnl_link_stats64 *s)
{
	unsigned int i;

	for (i = 0; i < RATMAN_STAT_COUNT; i++) {
		switch (ratman_stat_info[i].class) {
		case RATMAN_CLASS_RX_ERR:
			s->rx_errors += ratman_stat_read(rdev, i);
			break;
		case RATMAN_CLASS_RX_DROP:
			s->rx_dropped += ratman_stat_read(rdev, i);
			break;
		case RATMAN_CLASS_TX_ERR:
			s->tx_errors += ratman_stat_read(rdev, i);
			break;
		case RATMAN_CLASS_TX_DROP:
			s->tx_dropped += ratman_stat_read(rdev, i);
			break;
		case RATMAN_CLASS_NONE:
			break;
		}
	}
}
