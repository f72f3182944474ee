/* SPDX-License-Identifier: GPL-2.0-only OR LGPL-2.1-or-later */
/*
 * Frames on a link: wire structs and pure checks (design.md section 6).
 *
 * Compiled in the kernel, in userspace and in the fuzzers: no I/O, no
 * allocation, no dependency but the fixed-width types. Network byte order.
 *
 *   | hop header 20 | what follows, by type |
 *
 * DATA:  hop header | destination 32 | session index 4 | counter 8 | ciphertext | tag 16
 */
#ifndef RATMAN_FRAME_H
#define RATMAN_FRAME_H

#ifdef __KERNEL__
#include <linux/build_bug.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>
#else
#include <assert.h>
#include <endian.h>
#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#endif

#define RATMAN_ETHERTYPE	0x88B5	/* IEEE 802 local experimental ethertype 1 */
#define RATMAN_VERSION		1

#define RATMAN_ADDR_LEN		32
#define RATMAN_HOP_LIMIT	64	/* initial; a frame that arrives with less than 2 is not forwarded */
#define RATMAN_TAG_LEN		8
#define RATMAN_AEAD_TAG_LEN	16
#define RATMAN_SIPHASH_KEY_LEN	16
#define RATMAN_SESSION_KEY_LEN	32

/* Sequence numbers towards a neighbour: 4 bits lane, 28 bits counter. */
#define RATMAN_SEQ_LANES	16
#define RATMAN_SEQ_SHIFT	28
#define RATMAN_SEQ_MASK		0x0fffffffU

/* Neighbour index: low bits are the slot in the receiver's array, the rest a generation. */
#define RATMAN_NEIGH_SLOT_BITS	12
#define RATMAN_NEIGH_SLOTS	(1U << RATMAN_NEIGH_SLOT_BITS)	/* slot 0 is never used */

/* Ceiling of an opaque body (LINK, CONTROL, HANDSHAKE after the address), bytes. */
#define RATMAN_OPAQUE_MAX	1400

enum ratman_frame_type {
	RATMAN_HELLO = 0,
	RATMAN_LINK = 1,
	RATMAN_ECHO = 2,
	RATMAN_CONTROL = 3,
	RATMAN_DATA = 4,
	RATMAN_HANDSHAKE = 5,
	RATMAN_FRAGMENT = 6,
	RATMAN_FRAME_TYPES
};

struct ratman_hop_hdr {
	__u8 ver_type;		/* version in the high nibble, type in the low one */
	__u8 hop_limit;
	__be16 len;		/* bytes after the hop header */
	__be32 neigh;		/* neighbour index chosen by the receiver; 0 in HELLO and LINK */
	__be32 seq;		/* lane and counter; 0 in HELLO and LINK */
	__u8 tag[RATMAN_TAG_LEN];	/* SipHash-2-4, little-endian; 0 in HELLO and LINK */
} __attribute__((packed, aligned(4)));

/* Bytes of the hop header under the tag: all but the tag itself. */
#define RATMAN_TAGGED_HDR	12

struct ratman_hello {
	__u8 router[RATMAN_ADDR_LEN];
	__u8 boot_id[8];	/* random per boot of the daemon */
	__be32 interval_ms;	/* until the next HELLO on this link */
	__be32 capabilities;	/* none defined yet; receivers ignore unknown bits */
} __attribute__((packed, aligned(4)));

/*
 * Both directions measure with the same frame: the receiver hands the
 * sender's last timestamp back with the time it was held, and reports how many
 * ECHO frames it got of those that were sent.
 */
struct ratman_echo {
	__be32 count;		/* ECHO frames sent so far to this neighbour, including this one */
	__be32 seen_count;	/* highest count received from the neighbour */
	__be32 seen_total;	/* ECHO frames received from the neighbour */
	__be32 held_us;		/* time between that frame's arrival and this one's sending */
	__be64 stamp_us;	/* sender's clock */
	__be64 echo_us;		/* stamp_us of the last frame received, 0 if none */
	__be32 interval_ms;	/* sender's current interval */
	__be32 reserved;
} __attribute__((packed, aligned(4)));

struct ratman_data_hdr {
	__u8 dest[RATMAN_ADDR_LEN];
	__be32 session;		/* index chosen by the receiver */
	__be64 counter;		/* AEAD nonce, never repeated under a key */
} __attribute__((packed, aligned(4)));

struct ratman_handshake_hdr {
	__u8 dest[RATMAN_ADDR_LEN];
} __attribute__((packed, aligned(4)));

#define RATMAN_DATA_OVERHEAD \
	(sizeof(struct ratman_hop_hdr) + sizeof(struct ratman_data_hdr) + RATMAN_AEAD_TAG_LEN)

static_assert(sizeof(struct ratman_hop_hdr) == 20, "hop header is 20 bytes");
static_assert(sizeof(struct ratman_hello) == 48, "HELLO is 48 bytes");
static_assert(sizeof(struct ratman_echo) == 40, "ECHO is 40 bytes");
static_assert(sizeof(struct ratman_data_hdr) == 44, "DATA header is 44 bytes");
static_assert(RATMAN_DATA_OVERHEAD == 80, "DATA costs 80 bytes");

static inline __u8 ratman_ver_type(enum ratman_frame_type type)
{
	return (__u8)(RATMAN_VERSION << 4 | type);
}

static inline __u32 ratman_seq_lane(__u32 seq)
{
	return seq >> RATMAN_SEQ_SHIFT;
}

/* Why a frame cannot be used; RATMAN_FRAME_OK when it can. */
enum ratman_frame_error {
	RATMAN_FRAME_OK,
	RATMAN_FRAME_SHORT,	/* less than the type needs, or than its own length field says */
	RATMAN_FRAME_VERSION,
	RATMAN_FRAME_TYPE,	/* unknown type, or one that this version does not take */
	RATMAN_FRAME_LENGTH,	/* length field wrong for the type */
};

/*
 * Checks a hop header against the number of bytes present after it (@avail;
 * may be more than hdr->len, since Ethernet pads). Only the header is read.
 * On RATMAN_FRAME_OK, hdr->len bytes are there and fit the type.
 */
static inline enum ratman_frame_error
ratman_frame_check(const struct ratman_hop_hdr *hdr, size_t avail)
{
#ifdef __KERNEL__
	size_t len = be16_to_cpu(hdr->len);
#else
	size_t len = be16toh(hdr->len);
#endif
	size_t min, max = 0xffff;

	if (hdr->ver_type >> 4 != RATMAN_VERSION)
		return RATMAN_FRAME_VERSION;

	switch (hdr->ver_type & 0xf) {
	case RATMAN_HELLO:
		/* Longer ones come from newer versions: the known part is used. */
		min = sizeof(struct ratman_hello);
		max = 256;
		break;
	case RATMAN_LINK:
		min = 1;
		max = RATMAN_OPAQUE_MAX;
		break;
	case RATMAN_ECHO:
		min = sizeof(struct ratman_echo);
		max = 256;
		break;
	case RATMAN_CONTROL:
		min = 1;
		max = RATMAN_OPAQUE_MAX;
		break;
	case RATMAN_DATA:
		min = sizeof(struct ratman_data_hdr) + RATMAN_AEAD_TAG_LEN;
		break;
	case RATMAN_HANDSHAKE:
		min = sizeof(struct ratman_handshake_hdr) + 1;
		max = sizeof(struct ratman_handshake_hdr) + RATMAN_OPAQUE_MAX;
		break;
	default:
		return RATMAN_FRAME_TYPE;
	}
	if (len > avail)
		return RATMAN_FRAME_SHORT;
	if (len < min || len > max)
		return RATMAN_FRAME_LENGTH;
	return RATMAN_FRAME_OK;
}

/* Bytes after the hop header that the tag covers, for a checked frame. */
static inline size_t ratman_frame_tagged_len(const struct ratman_hop_hdr *hdr)
{
	if ((hdr->ver_type & 0xf) == RATMAN_DATA)
		return sizeof(struct ratman_data_hdr);
#ifdef __KERNEL__
	return be16_to_cpu(hdr->len);
#else
	return be16toh(hdr->len);
#endif
}

#endif
