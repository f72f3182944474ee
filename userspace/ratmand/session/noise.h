/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Noise IK and IKpsk2 with 25519, ChaChaPoly and BLAKE2b.
 *
 * The Noise Protocol Framework, revision 34: section 5 (objects and functions),
 * 7.5 (the pattern IK) and 9 (the modifier psk2). Only the two messages of the
 * handshake are here; what Split() gives is handed to the kernel.
 *
 *   <- s                          (known before: the responder's static key)
 *   -> e, es, s, ss               first message, initiator to responder
 *   <- e, ee, se [, psk]          second message, responder to initiator
 */
#ifndef RATMAND_SESSION_NOISE_H
#define RATMAND_SESSION_NOISE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NOISE_KEY_LEN 32
#define NOISE_HASH_LEN 64
#define NOISE_TAG_LEN 16
/* What a message is longer than its payload. */
#define NOISE_MSG1_EXTRA (NOISE_KEY_LEN + NOISE_KEY_LEN + NOISE_TAG_LEN + NOISE_TAG_LEN)
#define NOISE_MSG2_EXTRA (NOISE_KEY_LEN + NOISE_TAG_LEN)
#define NOISE_MAX_PAYLOAD 1024

/* Private to noise.c; here so that callers can place it in their own structs. */
struct noise_handshake {
	const uint8_t *static_sk;	/* borrowed */
	const uint8_t *psk;		/* borrowed; NULL: IK, else IKpsk2 */
	bool initiator;
	bool has_key;
	bool fixed_ephemeral;
	uint8_t step;			/* messages done: 0, 1, 2; 255 wiped or failed */
	uint64_t nonce;
	uint8_t key[NOISE_KEY_LEN];
	uint8_t ck[NOISE_HASH_LEN];
	uint8_t h[NOISE_HASH_LEN];
	uint8_t static_pk[NOISE_KEY_LEN];
	uint8_t ephemeral_sk[NOISE_KEY_LEN];
	uint8_t ephemeral_pk[NOISE_KEY_LEN];
	uint8_t remote_static[NOISE_KEY_LEN];
	uint8_t remote_ephemeral[NOISE_KEY_LEN];
};

/*
 * Initialize() of Noise 5.3. @static_sk is our X25519 secret key and @psk the
 * 32-byte pre-shared key or NULL; both are borrowed until the handshake ends.
 * @remote_static_pk is the responder's X25519 key for an initiator and NULL for
 * a responder. @prologue (borrowed for the call) may be NULL when @len is 0.
 * Returns 0, or -EINVAL for a wrong combination or an unusable key. Costs one
 * scalar multiplication.
 */
int noise_init(struct noise_handshake *hs, bool initiator, const uint8_t static_sk[NOISE_KEY_LEN],
	       const uint8_t *remote_static_pk, const void *prologue, size_t len,
	       const uint8_t *psk);

/*
 * WriteMessage() of Noise 5.3: writes our next message with @payload (@len bytes,
 * at most NOISE_MAX_PAYLOAD) inside to @out. Returns its length, -EMSGSIZE when
 * @outsize is too small or the payload too long (the state is as before), or
 * -EPROTO when it is not our turn or a key exchange gave all zeroes (the state is
 * wiped).
 */
ssize_t noise_write(struct noise_handshake *hs, const void *payload, size_t len, uint8_t *out,
		    size_t outsize);

/*
 * ReadMessage() of Noise 5.3: takes the peer's next message and writes its
 * payload to @out. Returns the payload's length; -EMSGSIZE when the message is
 * too short or @outsize too small, -EBADMSG when it does not authenticate or a
 * key exchange gave all zeroes, -EPROTO when it is not the peer's turn. After any
 * error the state is exactly as before, so that a forged message cannot end a
 * handshake; @out then holds zeroes or nothing.
 */
ssize_t noise_read(struct noise_handshake *hs, const uint8_t *msg, size_t len, uint8_t *out,
		   size_t outsize);

/*
 * Split() of Noise 5.2 after both messages: @tx is the key for what we send and
 * @rx for what we receive. Returns 0, or -EPROTO when the handshake is not
 * finished. Wipes @hs in both cases.
 */
int noise_split(struct noise_handshake *hs, uint8_t tx[NOISE_KEY_LEN], uint8_t rx[NOISE_KEY_LEN]);

/* The peer's static key (borrowed; a responder knows it after the first message). */
const uint8_t *noise_remote_static(const struct noise_handshake *hs);

/* The handshake hash h (borrowed, NOISE_HASH_LEN bytes), for channel binding and tests. */
const uint8_t *noise_handshake_hash(const struct noise_handshake *hs);

/* Forgets everything; safe on a zeroed, finished or half-finished handshake. */
void noise_wipe(struct noise_handshake *hs);

/* For the published test vectors only: the next ephemeral key is @sk. Copied. */
void noise_test_set_ephemeral(struct noise_handshake *hs, const uint8_t sk[NOISE_KEY_LEN]);

#endif
