/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mac1, mac2 and the cookie reply, as in WireGuard.
 *
 * J. A. Donenfeld, WireGuard: Next Generation Kernel Network Tunnel, sections
 * 5.4.4 (cookie MACs) and 5.4.7 (under load: the cookie reply), with our own
 * labels, keyed BLAKE2b-128 as Mac() and XChaCha20-Poly1305 as XAEAD().
 *
 * mac1 proves that the sender knows whom it writes to (and the group secret,
 * where there is one); mac2 that it receives what is sent to its source.
 */
#ifndef RATMAND_SESSION_COOKIE_H
#define RATMAND_SESSION_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define COOKIE_KEY_LEN 32
#define COOKIE_MAC_LEN 16
#define COOKIE_MACS_LEN (2 * COOKIE_MAC_LEN)
#define COOKIE_NONCE_LEN 24
/* nonce, sealed cookie, tag */
#define COOKIE_BODY_LEN (COOKIE_NONCE_LEN + COOKIE_MAC_LEN + 16)
/* The responder's secret changes this often; a cookie is used 5 s less long. */
#define COOKIE_SECRET_MS 120000
#define COOKIE_USE_MS (COOKIE_SECRET_MS - 5000)

/* What a receiver of handshakes needs; one per static key. */
struct cookie_checker {
	uint8_t mac1_key[COOKIE_KEY_LEN];
	uint8_t seal_key[COOKIE_KEY_LEN];
	uint8_t secret[COOKIE_KEY_LEN];
	uint64_t secret_ms;
	bool has_secret;
};

/* What a sender of handshakes keeps for one receiver. */
struct cookie_jar {
	uint8_t mac1_key[COOKIE_KEY_LEN];
	uint8_t open_key[COOKIE_KEY_LEN];
	uint8_t cookie[COOKIE_MAC_LEN];
	uint8_t last_mac1[COOKIE_MAC_LEN];
	uint64_t cookie_ms;
	bool has_cookie;
	bool has_mac1;
};

/* mac1 of @len bytes for the receiver with X25519 key @pk; @group (32 bytes) or NULL. */
void cookie_mac1_key(uint8_t key[COOKIE_KEY_LEN], const uint8_t pk[COOKIE_KEY_LEN],
		     const uint8_t *group);
void cookie_mac1(const uint8_t key[COOKIE_KEY_LEN], const uint8_t *msg, size_t len,
		 uint8_t mac[COOKIE_MAC_LEN]);

/* True when @mac is mac1 of @msg; takes the same time whatever differs. */
bool cookie_mac1_ok(const uint8_t key[COOKIE_KEY_LEN], const uint8_t *msg, size_t len,
		    const uint8_t mac[COOKIE_MAC_LEN]);

/* Prepares @c for messages to our X25519 key @pk; @group is 32 bytes or NULL, not kept. */
void cookie_checker_init(struct cookie_checker *c, const uint8_t pk[COOKIE_KEY_LEN],
			 const uint8_t *group);

/*
 * The whole message @msg of @len bytes ends with mac1 and mac2. False when it is
 * too short or mac1 is wrong.
 */
bool cookie_check_mac1(const struct cookie_checker *c, const uint8_t *msg, size_t len);

/*
 * True when mac2 was made with the cookie we give to @source (opaque bytes, at
 * most 64) now. Asked only under load. @now_ms monotonic.
 */
bool cookie_check_mac2(struct cookie_checker *c, uint64_t now_ms, const uint8_t *msg, size_t len,
		       const void *source, size_t source_len);

/*
 * Writes the body of a cookie reply to the message @msg from @source: nonce and
 * sealed cookie, bound to that message's mac1. @len at least COOKIE_MACS_LEN.
 */
void cookie_reply(struct cookie_checker *c, uint64_t now_ms, const uint8_t *msg, size_t len,
		  const void *source, size_t source_len, uint8_t body[COOKIE_BODY_LEN]);

/* Prepares @j for messages to the X25519 key @pk; @group is 32 bytes or NULL, not kept. */
void cookie_jar_init(struct cookie_jar *j, const uint8_t pk[COOKIE_KEY_LEN], const uint8_t *group);

/*
 * Fills the last COOKIE_MACS_LEN of the @len bytes at @msg: mac1, and mac2 when
 * we hold a fresh cookie, else zeroes.
 */
void cookie_jar_stamp(struct cookie_jar *j, uint64_t now_ms, uint8_t *msg, size_t len);

/*
 * Opens a cookie reply to the last message stamped. True when it is genuine; the
 * cookie is then used for COOKIE_USE_MS, and one reply is taken per message.
 */
bool cookie_jar_open(struct cookie_jar *j, uint64_t now_ms, const uint8_t body[COOKIE_BODY_LEN]);

#endif
