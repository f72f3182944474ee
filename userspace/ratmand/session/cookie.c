// SPDX-License-Identifier: GPL-2.0-or-later
/* mac1, mac2 and the cookie reply: WireGuard paper, sections 5.4.4 and 5.4.7. */
#include "ratmand/session/cookie.h"

#include <sodium.h>
#include <string.h>

#define LABEL_MAC1 "ratman mac1"
#define LABEL_COOKIE "ratman cookie"

_Static_assert(COOKIE_BODY_LEN == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES + COOKIE_MAC_LEN +
					  crypto_aead_xchacha20poly1305_ietf_ABYTES,
	       "layout of the reply");

/* Hash(label || pk), keyed with the group secret where there is one. */
static void derive(uint8_t key[COOKIE_KEY_LEN], const char *label, const uint8_t pk[COOKIE_KEY_LEN],
		   const uint8_t *group)
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, group, group ? COOKIE_KEY_LEN : 0, COOKIE_KEY_LEN);
	crypto_generichash_update(&st, (const uint8_t *)label, strlen(label));
	crypto_generichash_update(&st, pk, COOKIE_KEY_LEN);
	crypto_generichash_final(&st, key, COOKIE_KEY_LEN);
	sodium_memzero(&st, sizeof(st));
}

static void mac(uint8_t out[COOKIE_MAC_LEN], const uint8_t *key, size_t key_len, const uint8_t *msg,
		size_t len)
{
	crypto_generichash(out, COOKIE_MAC_LEN, msg, len, key, key_len);
}

void cookie_mac1_key(uint8_t key[COOKIE_KEY_LEN], const uint8_t pk[COOKIE_KEY_LEN],
		     const uint8_t *group)
{
	derive(key, LABEL_MAC1, pk, group);
}

void cookie_mac1(const uint8_t key[COOKIE_KEY_LEN], const uint8_t *msg, size_t len,
		 uint8_t out[COOKIE_MAC_LEN])
{
	mac(out, key, COOKIE_KEY_LEN, msg, len);
}

bool cookie_mac1_ok(const uint8_t key[COOKIE_KEY_LEN], const uint8_t *msg, size_t len,
		    const uint8_t expected[COOKIE_MAC_LEN])
{
	uint8_t own[COOKIE_MAC_LEN];

	mac(own, key, COOKIE_KEY_LEN, msg, len);
	return sodium_memcmp(own, expected, sizeof(own)) == 0;
}

void cookie_checker_init(struct cookie_checker *c, const uint8_t pk[COOKIE_KEY_LEN],
			 const uint8_t *group)
{
	memset(c, 0, sizeof(*c));
	derive(c->mac1_key, LABEL_MAC1, pk, group);
	derive(c->seal_key, LABEL_COOKIE, pk, group);
}

bool cookie_check_mac1(const struct cookie_checker *c, const uint8_t *msg, size_t len)
{
	if (len < COOKIE_MACS_LEN)
		return false;
	len -= COOKIE_MACS_LEN;
	return cookie_mac1_ok(c->mac1_key, msg, len, msg + len);
}

/* The cookie of a source: Mac(secret, source), the secret fresh. */
static void make_cookie(struct cookie_checker *c, uint64_t now_ms, const void *source,
			size_t source_len, uint8_t cookie[COOKIE_MAC_LEN])
{
	if (!c->has_secret || now_ms - c->secret_ms >= COOKIE_SECRET_MS) {
		randombytes_buf(c->secret, sizeof(c->secret));
		c->secret_ms = now_ms;
		c->has_secret = true;
	}
	mac(cookie, c->secret, sizeof(c->secret), source, source_len);
}

bool cookie_check_mac2(struct cookie_checker *c, uint64_t now_ms, const uint8_t *msg, size_t len,
		       const void *source, size_t source_len)
{
	uint8_t cookie[COOKIE_MAC_LEN], own[COOKIE_MAC_LEN];
	bool ok;

	if (len < COOKIE_MACS_LEN)
		return false;
	len -= COOKIE_MAC_LEN;
	make_cookie(c, now_ms, source, source_len, cookie);
	mac(own, cookie, sizeof(cookie), msg, len);
	ok = sodium_memcmp(own, msg + len, sizeof(own)) == 0;
	sodium_memzero(cookie, sizeof(cookie));
	return ok;
}

void cookie_reply(struct cookie_checker *c, uint64_t now_ms, const uint8_t *msg, size_t len,
		  const void *source, size_t source_len, uint8_t body[COOKIE_BODY_LEN])
{
	uint8_t cookie[COOKIE_MAC_LEN];

	memset(body, 0, COOKIE_BODY_LEN);
	if (len < COOKIE_MACS_LEN)
		return;
	make_cookie(c, now_ms, source, source_len, cookie);
	randombytes_buf(body, COOKIE_NONCE_LEN);
	crypto_aead_xchacha20poly1305_ietf_encrypt(body + COOKIE_NONCE_LEN, NULL, cookie,
						   sizeof(cookie), msg + len - COOKIE_MACS_LEN,
						   COOKIE_MAC_LEN, NULL, body, c->seal_key);
	sodium_memzero(cookie, sizeof(cookie));
}

void cookie_jar_init(struct cookie_jar *j, const uint8_t pk[COOKIE_KEY_LEN], const uint8_t *group)
{
	memset(j, 0, sizeof(*j));
	derive(j->mac1_key, LABEL_MAC1, pk, group);
	derive(j->open_key, LABEL_COOKIE, pk, group);
}

void cookie_jar_stamp(struct cookie_jar *j, uint64_t now_ms, uint8_t *msg, size_t len)
{
	uint8_t *mac1, *mac2;

	if (len < COOKIE_MACS_LEN)
		return;
	mac1 = msg + len - COOKIE_MACS_LEN;
	mac2 = msg + len - COOKIE_MAC_LEN;
	mac(mac1, j->mac1_key, COOKIE_KEY_LEN, msg, (size_t)(mac1 - msg));
	memcpy(j->last_mac1, mac1, COOKIE_MAC_LEN);
	j->has_mac1 = true;
	if (j->has_cookie && now_ms - j->cookie_ms < COOKIE_USE_MS)
		mac(mac2, j->cookie, COOKIE_MAC_LEN, msg, (size_t)(mac2 - msg));
	else
		memset(mac2, 0, COOKIE_MAC_LEN);
}

bool cookie_jar_open(struct cookie_jar *j, uint64_t now_ms, const uint8_t body[COOKIE_BODY_LEN])
{
	uint8_t cookie[COOKIE_MAC_LEN];

	if (!j->has_mac1)
		return false;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(cookie, NULL, NULL, body + COOKIE_NONCE_LEN,
						       COOKIE_BODY_LEN - COOKIE_NONCE_LEN,
						       j->last_mac1, COOKIE_MAC_LEN, body,
						       j->open_key))
		return false;
	memcpy(j->cookie, cookie, sizeof(cookie));
	j->cookie_ms = now_ms;
	j->has_cookie = true;
	j->has_mac1 = false;
	return true;
}
