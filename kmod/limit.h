/* SPDX-License-Identifier: GPL-2.0-only */
/* A token bucket with its lock: for what is rare, never for every frame. */
#ifndef RATMAN_LIMIT_H
#define RATMAN_LIMIT_H

#include <linux/jiffies.h>
#include <linux/spinlock.h>

#include "ratelimit.h"

/**
 * struct ratman_limit - a rate limit
 * @lock: protects @bucket
 * @bucket: the tokens
 * @rate: tokens per second
 * @burst: tokens it holds
 */
struct ratman_limit {
	spinlock_t lock;
	struct ratman_bucket bucket;
	u32 rate;
	u32 burst;
};

static inline void ratman_limit_init(struct ratman_limit *l, u32 rate, u32 burst)
{
	spin_lock_init(&l->lock);
	ratman_bucket_fill(&l->bucket, jiffies, HZ, burst);
	l->rate = rate;
	l->burst = burst;
}

static inline bool ratman_limit_take(struct ratman_limit *l)
{
	bool ok;

	spin_lock_bh(&l->lock);
	ok = ratman_bucket_take(&l->bucket, jiffies, HZ, l->rate, l->burst);
	spin_unlock_bh(&l->lock);
	return ok;
}

#endif
