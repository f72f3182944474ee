/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Presence: the signed statement "this address is (or is no more) a member of
 * this namespace". The key of the namespace signs, so that only members can say it.
 *
 *   0   1  version, 1
 *   1   1  flags: bit 0 withdrawn; the others are zero
 *   2   2  reserved, zero
 *   4   4  lifetime in seconds, 60 … 86400
 *   8   8  sequence, grows with every presence of the pair, for ever
 *  16  32  namespace (the ed25519 public key that signs)
 *  48  32  member
 *  80  64  ed25519 signature over "ratman presence 1" and bytes 0 … 79
 *
 * All integers big-endian. A presence has exactly one valid encoding.
 */
#ifndef RATMAND_ROUTE_PRESENCE_H
#define RATMAND_ROUTE_PRESENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define PRESENCE_LEN 144
#define PRESENCE_SIGNED_LEN 80
#define PRESENCE_SIG_LEN 64
#define PRESENCE_VERSION 1
#define PRESENCE_DOMAIN "ratman presence 1"

#define PRESENCE_LIFETIME_MIN 60u
#define PRESENCE_LIFETIME_MAX 86400u

/* Flag: no member any more; the lifetime says how long to remember that. */
#define PRESENCE_WITHDRAWN 0x01u

struct presence {
	struct address space;
	struct address member;
	uint64_t sequence;
	uint32_t lifetime_s;
	uint8_t flags;		/* PRESENCE_WITHDRAWN or 0 */
	uint8_t signature[PRESENCE_SIG_LEN];
};

/*
 * Signs with @secret, the 64-byte libsodium ed25519 secret key of the namespace,
 * which also names it. Writes PRESENCE_LEN bytes to @out. Returns 0, or -EINVAL
 * when @flags or @lifetime_s is out of range.
 */
int presence_build(uint8_t out[static PRESENCE_LEN], const uint8_t secret[static 64],
		   const struct address *member, uint64_t sequence, uint32_t lifetime_s,
		   uint8_t flags);

/* Writes the PRESENCE_LEN bytes of @p, signature included, as they are. */
void presence_encode(const struct presence *p, uint8_t out[static PRESENCE_LEN]);

/*
 * Reads a presence without checking the signature. Returns 0; -EINVAL for a wrong
 * length, version, flag, reserved field or lifetime (then *@out is unchanged).
 */
int presence_parse(const uint8_t *bytes, size_t len, struct presence *out);

/* True when the signature of the PRESENCE_LEN bytes is that of the namespace in them. */
bool presence_verify(const uint8_t bytes[static PRESENCE_LEN]);

#endif
