/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Token buckets. Pure: tests/unit compiles it in userspace. The caller
 * serialises; credit is kept in 1/hz of a token, so that nothing is divided.
 */
#ifndef RATMAN_RATELIMIT_H
#define RATMAN_RATELIMIT_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "kshim.h"
#endif

/**
 * struct ratman_bucket - one token bucket; all zero is an empty one
 * @credit: tokens times hz
 * @last: when @credit was last brought up to date, in ticks
 */
struct ratman_bucket {
	u64 credit;
	unsigned long last;
};

/**
 * ratman_bucket_fill - start with a full bucket
 * @b: the bucket
 * @now: ticks
 * @hz: ticks per second
 * @burst: tokens it holds
 */
static inline void ratman_bucket_fill(struct ratman_bucket *b, unsigned long now, u32 hz, u32 burst)
{
	b->credit = (u64)burst * hz;
	b->last = now;
}

/**
 * ratman_bucket_take - take one token
 * @b: the bucket
 * @now: ticks; may wrap
 * @hz: ticks per second
 * @rate: tokens per second that come in
 * @burst: tokens it holds
 *
 * Return: false when it was empty.
 */
static inline bool ratman_bucket_take(struct ratman_bucket *b, unsigned long now, u32 hz, u32 rate,
				      u32 burst)
{
	u64 cap = (u64)burst * hz;
	u32 passed;

	/* a day is as good as for ever, and cannot overflow */
	passed = now - b->last < 86400UL * hz ? (u32)(now - b->last) : 86400 * hz;
	b->last = now;
	b->credit += (u64)passed * rate;
	if (b->credit > cap)
		b->credit = cap;
	if (b->credit < hz)
		return false;
	b->credit -= hz;
	return true;
}

#endif
