/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Record: the origin's signed statement "this address is alive (or withdrawn)".
 *
 *   0   1  version, 1
 *   1   1  flags: bit 0 withdrawn; the others are zero
 *   2   2  reserved, zero
 *   4   4  lifetime in seconds, 60 … 86400
 *   8   8  sequence, grows with every record of the address, for ever
 *  16  32  address (the ed25519 public key that signs)
 *  48  64  ed25519 signature over "ratman record 1" and bytes 0 … 47
 *
 * All integers big-endian. A record has exactly one valid encoding.
 */
#ifndef RATMAND_ROUTE_RECORD_H
#define RATMAND_ROUTE_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

#define RECORD_LEN 112
#define RECORD_SIGNED_LEN 48
#define RECORD_SIG_LEN 64
#define RECORD_ID_LEN 8
#define RECORD_VERSION 1
#define RECORD_DOMAIN "ratman record 1"

#define RECORD_LIFETIME_MIN 60u
#define RECORD_LIFETIME_MAX 86400u

/* Flag: the address went down; the lifetime says how long to remember that. */
#define RECORD_WITHDRAWN 0x01u

struct record {
	struct address address;
	uint64_t sequence;
	uint32_t lifetime_s;
	uint8_t flags;		/* RECORD_WITHDRAWN or 0 */
	uint8_t signature[RECORD_SIG_LEN];
};

/*
 * Signs a record with @secret, the 64-byte libsodium ed25519 secret key of the
 * address (seed | public key), which also names the address. Writes RECORD_LEN
 * bytes to @out. Returns 0, or -EINVAL when @flags or @lifetime_s is out of range.
 */
int record_build(uint8_t out[static RECORD_LEN], const uint8_t secret[static 64],
		 uint64_t sequence, uint32_t lifetime_s, uint8_t flags);

/* Writes the RECORD_LEN bytes of @rec, signature included, as they are. */
void record_encode(const struct record *rec, uint8_t out[static RECORD_LEN]);

/*
 * Reads a record without checking the signature. Returns 0; -EINVAL for a wrong
 * length, version, flag, reserved field or lifetime (then *@out is unchanged).
 */
int record_parse(const uint8_t *bytes, size_t len, struct record *out);

/* True when the signature of the RECORD_LEN bytes is that of the address in them. */
bool record_verify(const uint8_t bytes[static RECORD_LEN]);

/* The short id: the first 8 bytes of BLAKE2b-256 over the RECORD_LEN bytes. */
void record_id(const uint8_t bytes[static RECORD_LEN], uint8_t id[static RECORD_ID_LEN]);

#endif
