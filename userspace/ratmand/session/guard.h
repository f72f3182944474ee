/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What stands before the expensive part of a handshake: token buckets, one for
 * everybody and one per source, and the memory of the greatest stamp per peer.
 * Both tables are bounded and forget the least recently used entry; their hash is
 * SipHash under a random key, since strangers choose what goes in.
 */
#ifndef RATMAND_SESSION_GUARD_H
#define RATMAND_SESSION_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A token bucket: @burst at once, one more every @interval_ms. */
struct guard_bucket {
	uint64_t level_ms;	/* stored time; a token costs interval_ms */
	uint64_t last_ms;
	bool started;
};

struct guard_rate {
	uint32_t burst;		/* 1 … 1,000,000 */
	uint32_t interval_ms;	/* 1 … 1,000,000 */
};

/* Takes one token; false when there is none. @now_ms monotonic. */
bool guard_take(struct guard_bucket *b, const struct guard_rate *rate, uint64_t now_ms);

/* Events in a window of one second, for "under load". Zero-initialised. */
struct guard_load {
	uint64_t window_ms;
	uint32_t count;
	uint32_t previous;
};

/* Counts one event; true when this or the last second saw more than @threshold. */
bool guard_load_hit(struct guard_load *l, uint64_t now_ms, uint32_t threshold);

/* Token buckets by source; opaque, owned by the caller. */
struct guard_sources;

/* Keys of at most GUARD_KEY_MAX bytes, @max entries (≥ 1). NULL without memory. */
#define GUARD_KEY_MAX 64
struct guard_sources *guard_sources_new(size_t key_len, size_t max, struct guard_rate rate);
void guard_sources_free(struct guard_sources *g);

/* Takes a token of the source @key (key_len bytes); false when it has none, or without memory. */
bool guard_sources_take(struct guard_sources *g, const void *key, uint64_t now_ms);
size_t guard_sources_count(const struct guard_sources *g);

/* Greatest stamp by peer; opaque, owned by the caller. */
struct guard_stamps;

struct guard_stamps *guard_stamps_new(size_t key_len, size_t max);
void guard_stamps_free(struct guard_stamps *g);

/* True (and remembered) when @stamp is greater than any seen from @key; false without memory. */
bool guard_stamps_advance(struct guard_stamps *g, const void *key, uint64_t stamp);
size_t guard_stamps_count(const struct guard_stamps *g);

#endif
