/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Manifests: what a recipient must know of a stream, and nobody else may.
 *
 * Letterhead, read capability, time and a random id, signed by the sender and
 * sealed to the recipient; of a parcel (parcel.h) its kind and metadata, too.
 * Documentation/streams.md has the bytes.
 */
#ifndef RATMAND_FLOW_MANIFEST_H
#define RATMAND_FLOW_MANIFEST_H

#include "base/address.h"
#include "proto/letterhead.h"
#include "ratmand/flow/eris.h"
#include "ratmand/flow/parcel.h"

#define MANIFEST_MAX 8192	/* bytes, sealed */
#define MANIFEST_MIN 256	/* no sealed manifest is shorter */
#define MANIFEST_SIG_LEN 64

struct manifest {
	struct letterhead head;
	struct eris_capability cap;	/* secret */
	uint64_t created_s;		/* unix seconds, the sender's clock */
	struct ident random;
	uint8_t kind;			/* enum parcel_kind, or 0: a client's stream */
	uint16_t meta_len;		/* of a parcel */
	uint8_t meta[PARCEL_META_MAX];
};

/* The name of a sealed manifest everywhere: BLAKE2b-256 of its bytes. */
void manifest_id(const uint8_t *sealed, size_t len, struct ident *out);

/*
 * Signs @m with the secret key of its sender (64 bytes, borrowed) and seals it
 * to head.to into @out (MANIFEST_MAX bytes); draws m->random. Returns the
 * length, -EINVAL when the recipient is not a usable key, -EMSGSIZE.
 */
ssize_t manifest_seal(struct manifest *m, const uint8_t *from_secret, uint8_t *out);

/*
 * Opens @sealed for @local with its secret key (64 bytes, borrowed) and checks
 * everything: lengths, recipient, signature, capability, stream size from 1 to
 * LIMIT_STREAM_BYTES. Returns 0, -EBADMSG, -EPROTONOSUPPORT (a version or kind we do not know:
 * no fault of the sender's), -EFBIG (too long a stream), -ENOMEM; @out is set on success only, and
 * the caller wipes it.
 */
int manifest_open(const uint8_t *sealed, size_t len, const struct address *local,
		  const uint8_t *local_secret, struct manifest *out);

/* Signs that @local holds the whole stream @id. */
void manifest_sign_receipt(const struct ident *id, const uint8_t *local_secret,
			   uint8_t sig[static MANIFEST_SIG_LEN]);

bool manifest_check_receipt(const struct ident *id, const struct address *recipient,
			    const uint8_t sig[static MANIFEST_SIG_LEN]);

/*
 * Signs, with the key of a namespace, that @member has it, for @to alone and this
 * conversation alone: each side has drawn one of the nonces (32 bytes).
 */
void manifest_sign_member(const struct address *space, const uint8_t *space_secret,
			  const struct address *member, const struct address *to,
			  const uint8_t *to_nonce, const uint8_t *member_nonce,
			  uint8_t sig[static MANIFEST_SIG_LEN]);

bool manifest_check_member(const struct address *space, const struct address *member,
			   const struct address *to, const uint8_t *to_nonce,
			   const uint8_t *member_nonce, const uint8_t sig[static MANIFEST_SIG_LEN]);

/* -EINVAL when nothing can be sealed to @address (not a point of large order on the curve). */
int manifest_check_recipient(const struct address *address);

#endif
