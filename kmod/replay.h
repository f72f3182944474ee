/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sliding window over received numbers, after RFC 6479: a ring of 64-bit words
 * of which the newest may be partly used. Pure: tests/unit compiles it in
 * userspace. The caller serialises and has verified the frame.
 */
#ifndef RATMAN_REPLAY_H
#define RATMAN_REPLAY_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include "kshim.h"
#endif

/**
 * ratman_replay_accept - note a number, unless it was seen or is too old
 * @next: highest number seen, plus one; 0 when none was
 * @bits: ring of @words words, zeroed at the start
 * @words: its size; the window holds at least 64 * (@words - 1) numbers
 * @seq: the number; must be below 2^63
 *
 * Return: true when @seq is new.
 */
static inline bool ratman_replay_accept(u64 *next, u64 *bits, unsigned int words, u64 seq)
{
	u64 top = *next ? (*next - 1) / 64 : 0;
	u64 word = seq / 64;
	u64 mask = 1ULL << (seq % 64);

	if (word > top) {
		u64 n = word - top;

		/* at most the whole ring */
		for (n = n < words ? n : words; n; n--)
			bits[(u32)(word - n + 1) % words] = 0;
	} else if (top - word >= words) {
		return false;
	}

	/* A ring smaller than 2^32 words: only the low bits of the index matter if
	 * words is a power of two, and otherwise numbers stay below 2^38.
	 */
	if (bits[(u32)word % words] & mask)
		return false;
	bits[(u32)word % words] |= mask;
	if (seq >= *next)
		*next = seq + 1;
	return true;
}

#endif
