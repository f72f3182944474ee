/* SPDX-License-Identifier: GPL-2.0-only */
/* What the whole module shares: the hash key, the ethertype, a scratch buffer per CPU. */
#ifndef RATMAN_MAIN_H
#define RATMAN_MAIN_H

#include <linux/in6.h>
#include <linux/percpu.h>
#include <linux/rhashtable.h>
#include <linux/siphash.h>

#include <ratman/frame.h>
#include <linux/ratman.h>

/* Hashes everything that peers choose; random per load of the module. */
extern hsiphash_key_t ratman_hash_key;

/* Network byte order. */
extern __be16 ratman_ethertype;

/* Longest run of bytes under a tag: hop header and a HANDSHAKE. */
#define RATMAN_SCRATCH_LEN \
	(RATMAN_TAGGED_HDR + sizeof(struct ratman_handshake_hdr) + RATMAN_OPAQUE_MAX)

/**
 * struct ratman_scratch - where the parts under a tag are put side by side
 * @data: hop header without the tag, then the body
 *
 * One per CPU, used with bottom halves disabled and never across a call that
 * hands a frame on.
 */
struct ratman_scratch {
	u8 data[RATMAN_SCRATCH_LEN] __aligned(8);
};

extern struct ratman_scratch __percpu *ratman_scratch;

/*
 * rhashtable hash functions for pairs of IPv6 addresses, IPv6 addresses, and addresses.
 * hsiphash is enough where nobody sees the result: it only has to be unpredictable
 * (siphash.rst).
 */
static inline u32 ratman_hash_pair(const void *data, u32 len, u32 seed)
{
	const hsiphash_key_t key = {
		.key = { ratman_hash_key.key[0], ratman_hash_key.key[1] ^ seed },
	};

	return hsiphash(data, 32, &key);
}

static inline u32 ratman_hash_ipv6(const void *data, u32 len, u32 seed)
{
	const u32 *word = data;

	return hsiphash_4u32(get_unaligned(word) ^ seed, get_unaligned(word + 1),
			     get_unaligned(word + 2), get_unaligned(word + 3), &ratman_hash_key);
}

/*
 * Half of an address: to find two keys that share 16 bytes takes 2^64 attempts, and
 * what is in the table has signed its record.
 */
static inline u32 ratman_hash_address(const void *data, u32 len, u32 seed)
{
	return ratman_hash_ipv6(data, len, seed);
}

/* Equality of 32 bytes that are no secret, any alignment. */
static inline bool ratman_equal_32(const void *a, const void *b)
{
	const u8 *x = a, *y = b;

	return !((get_unaligned((const u64 *)x) ^ get_unaligned((const u64 *)y)) |
		 (get_unaligned((const u64 *)(x + 8)) ^ get_unaligned((const u64 *)(y + 8))) |
		 (get_unaligned((const u64 *)(x + 16)) ^ get_unaligned((const u64 *)(y + 16))) |
		 (get_unaligned((const u64 *)(x + 24)) ^ get_unaligned((const u64 *)(y + 24))));
}

/* rhashtable: compares a key of 32 bytes with the one in an object; 0 when equal. */
static inline int ratman_cmp_32(struct rhashtable_compare_arg *arg, const void *obj)
{
	return !ratman_equal_32(obj + arg->ht->p.key_offset, arg->key);
}

#endif
