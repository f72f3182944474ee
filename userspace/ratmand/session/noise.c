// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Noise IK and IKpsk2, ChaChaPoly and BLAKE2b from libsodium.
 *
 * Every step keeps the names of the Noise Protocol Framework, revision 34:
 * MixKey, MixHash, MixKeyAndHash, EncryptAndHash, DecryptAndHash are 5.2.
 */
#include "ratmand/session/noise.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#define NOISE_NAME_IK "Noise_IK_25519_ChaChaPoly_BLAKE2b"
#define NOISE_NAME_IKPSK2 "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b"

#define BLAKE2B_BLOCK_LEN 128
#define STEP_DEAD 255

_Static_assert(sizeof(NOISE_NAME_IKPSK2) - 1 <= NOISE_HASH_LEN, "the name is padded, not hashed");

struct part {
	const void *data;
	size_t len;
};

/* HASH(a || b), Noise 4.3. */
static void hash2(uint8_t out[NOISE_HASH_LEN], struct part a, struct part b)
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, NULL, 0, NOISE_HASH_LEN);
	crypto_generichash_update(&st, a.data, a.len);
	crypto_generichash_update(&st, b.data, b.len);
	crypto_generichash_final(&st, out, NOISE_HASH_LEN);
	sodium_memzero(&st, sizeof(st));
}

/* HMAC-HASH(key, a || b), RFC 2104 with BLAKE2b; the key is a chaining or temporary key. */
static void hmac2(uint8_t out[NOISE_HASH_LEN], const uint8_t key[NOISE_HASH_LEN], struct part a,
		  struct part b)
{
	crypto_generichash_state st;
	uint8_t pad[BLAKE2B_BLOCK_LEN], inner[NOISE_HASH_LEN];
	size_t i;

	memset(pad, 0x36, sizeof(pad));
	for (i = 0; i < NOISE_HASH_LEN; i++)
		pad[i] ^= key[i];
	crypto_generichash_init(&st, NULL, 0, NOISE_HASH_LEN);
	crypto_generichash_update(&st, pad, sizeof(pad));
	crypto_generichash_update(&st, a.data, a.len);
	crypto_generichash_update(&st, b.data, b.len);
	crypto_generichash_final(&st, inner, sizeof(inner));

	for (i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash2(out, (struct part){ pad, sizeof(pad) }, (struct part){ inner, sizeof(inner) });

	sodium_memzero(&st, sizeof(st));
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

/* HKDF(ck, input, n) with n = 2 or 3 outputs of HASHLEN, Noise 4.3. */
static void hkdf(const uint8_t ck[NOISE_HASH_LEN], const uint8_t *input, size_t len,
		 uint8_t out[][NOISE_HASH_LEN], unsigned int n)
{
	const struct part none = { NULL, 0 };
	uint8_t temp[NOISE_HASH_LEN], counter;
	unsigned int i;

	hmac2(temp, ck, (struct part){ input, len }, none);
	for (i = 0; i < n; i++) {
		counter = (uint8_t)(i + 1);
		hmac2(out[i], temp, i ? (struct part){ out[i - 1], NOISE_HASH_LEN } : none,
		      (struct part){ &counter, 1 });
	}
	sodium_memzero(temp, sizeof(temp));
}

static void mix_hash(struct noise_handshake *hs, const void *data, size_t len)
{
	hash2(hs->h, (struct part){ hs->h, NOISE_HASH_LEN }, (struct part){ data, len });
}

static void mix_key(struct noise_handshake *hs, const uint8_t *input, size_t len)
{
	uint8_t out[2][NOISE_HASH_LEN];

	hkdf(hs->ck, input, len, out, 2);
	memcpy(hs->ck, out[0], NOISE_HASH_LEN);
	memcpy(hs->key, out[1], NOISE_KEY_LEN);
	hs->nonce = 0;
	hs->has_key = true;
	sodium_memzero(out, sizeof(out));
}

static void mix_key_and_hash(struct noise_handshake *hs, const uint8_t *input, size_t len)
{
	uint8_t out[3][NOISE_HASH_LEN];

	hkdf(hs->ck, input, len, out, 3);
	memcpy(hs->ck, out[0], NOISE_HASH_LEN);
	mix_hash(hs, out[1], NOISE_HASH_LEN);
	memcpy(hs->key, out[2], NOISE_KEY_LEN);
	hs->nonce = 0;
	hs->has_key = true;
	sodium_memzero(out, sizeof(out));
}

/* DH() and MixKey(); false for an all-zero result (a peer key of small order). */
static bool mix_dh(struct noise_handshake *hs, const uint8_t *sk, const uint8_t *pk)
{
	uint8_t shared[NOISE_KEY_LEN];
	bool ok;

	ok = crypto_scalarmult(shared, sk, pk) == 0;
	if (ok)
		mix_key(hs, shared, sizeof(shared));
	sodium_memzero(shared, sizeof(shared));
	return ok;
}

/* An ephemeral key goes into the hash, and with a psk into the key too (Noise 9.2). */
static void mix_ephemeral(struct noise_handshake *hs, const uint8_t pk[NOISE_KEY_LEN])
{
	mix_hash(hs, pk, NOISE_KEY_LEN);
	if (hs->psk)
		mix_key(hs, pk, NOISE_KEY_LEN);
}

/* Noise 12.3: 32 bits of zeroes, then the counter, little endian. */
static void make_nonce(uint64_t n, uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES])
{
	unsigned int i;

	memset(nonce, 0, 4);
	for (i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(n >> (8 * i));
}

/* Both patterns have a key before anything is sealed; @out gets len + NOISE_TAG_LEN bytes. */
static void encrypt_and_hash(struct noise_handshake *hs, const void *plain, size_t len,
			     uint8_t *out)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	make_nonce(hs->nonce++, nonce);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, plain, len, hs->h, NOISE_HASH_LEN,
						  NULL, nonce, hs->key);
	mix_hash(hs, out, len + NOISE_TAG_LEN);
}

/* @len counts the tag; @out gets len - NOISE_TAG_LEN bytes. */
static bool decrypt_and_hash(struct noise_handshake *hs, const uint8_t *sealed, size_t len,
			     uint8_t *out)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	make_nonce(hs->nonce++, nonce);
	if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, len, hs->h,
						      NOISE_HASH_LEN, nonce, hs->key))
		return false;
	mix_hash(hs, sealed, len);
	return true;
}

int noise_init(struct noise_handshake *hs, bool initiator, const uint8_t static_sk[NOISE_KEY_LEN],
	       const uint8_t *remote_static_pk, const void *prologue, size_t len,
	       const uint8_t *psk)
{
	const char *name = psk ? NOISE_NAME_IKPSK2 : NOISE_NAME_IK;

	memset(hs, 0, sizeof(*hs));
	hs->step = STEP_DEAD;
	if (!static_sk || initiator != (remote_static_pk != NULL) || (len && !prologue))
		return -EINVAL;
	if (crypto_scalarmult_base(hs->static_pk, static_sk))
		return -EINVAL;

	hs->static_sk = static_sk;
	hs->psk = psk;
	hs->initiator = initiator;
	hs->step = 0;
	memcpy(hs->h, name, strlen(name));
	memcpy(hs->ck, hs->h, NOISE_HASH_LEN);
	mix_hash(hs, prologue, len);
	if (initiator)
		memcpy(hs->remote_static, remote_static_pk, NOISE_KEY_LEN);
	mix_hash(hs, initiator ? hs->remote_static : hs->static_pk, NOISE_KEY_LEN);
	return 0;
}

static void make_ephemeral(struct noise_handshake *hs)
{
	if (!hs->fixed_ephemeral)
		randombytes_buf(hs->ephemeral_sk, NOISE_KEY_LEN);
	crypto_scalarmult_base(hs->ephemeral_pk, hs->ephemeral_sk);
}

/* -> e, es, s, ss */
static bool write_first(struct noise_handshake *hs, const void *payload, size_t len, uint8_t *out)
{
	memcpy(out, hs->ephemeral_pk, NOISE_KEY_LEN);
	mix_ephemeral(hs, hs->ephemeral_pk);
	out += NOISE_KEY_LEN;
	if (!mix_dh(hs, hs->ephemeral_sk, hs->remote_static))
		return false;
	encrypt_and_hash(hs, hs->static_pk, NOISE_KEY_LEN, out);
	out += NOISE_KEY_LEN + NOISE_TAG_LEN;
	if (!mix_dh(hs, hs->static_sk, hs->remote_static))
		return false;
	encrypt_and_hash(hs, payload, len, out);
	return true;
}

/* <- e, ee, se [, psk] */
static bool write_second(struct noise_handshake *hs, const void *payload, size_t len, uint8_t *out)
{
	memcpy(out, hs->ephemeral_pk, NOISE_KEY_LEN);
	mix_ephemeral(hs, hs->ephemeral_pk);
	out += NOISE_KEY_LEN;
	if (!mix_dh(hs, hs->ephemeral_sk, hs->remote_ephemeral))
		return false;
	if (!mix_dh(hs, hs->ephemeral_sk, hs->remote_static))
		return false;
	if (hs->psk)
		mix_key_and_hash(hs, hs->psk, NOISE_KEY_LEN);
	encrypt_and_hash(hs, payload, len, out);
	return true;
}

ssize_t noise_write(struct noise_handshake *hs, const void *payload, size_t len, uint8_t *out,
		    size_t outsize)
{
	size_t extra = hs->initiator ? NOISE_MSG1_EXTRA : NOISE_MSG2_EXTRA;
	bool ok;

	if (hs->step != (hs->initiator ? 0 : 1)) {
		noise_wipe(hs);
		return -EPROTO;
	}
	if (len > NOISE_MAX_PAYLOAD || outsize < len + extra)
		return -EMSGSIZE;

	make_ephemeral(hs);
	ok = hs->initiator ? write_first(hs, payload, len, out) :
			     write_second(hs, payload, len, out);
	if (!ok) {
		sodium_memzero(out, len + extra);
		noise_wipe(hs);
		return -EPROTO;
	}
	hs->step++;
	return (ssize_t)(len + extra);
}

static bool read_first(struct noise_handshake *hs, const uint8_t *msg, size_t len, uint8_t *out)
{
	const size_t sealed_static = NOISE_KEY_LEN + NOISE_TAG_LEN;

	memcpy(hs->remote_ephemeral, msg, NOISE_KEY_LEN);
	mix_ephemeral(hs, hs->remote_ephemeral);
	msg += NOISE_KEY_LEN;
	if (!mix_dh(hs, hs->static_sk, hs->remote_ephemeral))
		return false;
	if (!decrypt_and_hash(hs, msg, sealed_static, hs->remote_static))
		return false;
	msg += sealed_static;
	if (!mix_dh(hs, hs->static_sk, hs->remote_static))
		return false;
	return decrypt_and_hash(hs, msg, len - NOISE_KEY_LEN - sealed_static, out);
}

static bool read_second(struct noise_handshake *hs, const uint8_t *msg, size_t len, uint8_t *out)
{
	memcpy(hs->remote_ephemeral, msg, NOISE_KEY_LEN);
	mix_ephemeral(hs, hs->remote_ephemeral);
	msg += NOISE_KEY_LEN;
	if (!mix_dh(hs, hs->ephemeral_sk, hs->remote_ephemeral))
		return false;
	if (!mix_dh(hs, hs->static_sk, hs->remote_ephemeral))
		return false;
	if (hs->psk)
		mix_key_and_hash(hs, hs->psk, NOISE_KEY_LEN);
	return decrypt_and_hash(hs, msg, len - NOISE_KEY_LEN, out);
}

ssize_t noise_read(struct noise_handshake *hs, const uint8_t *msg, size_t len, uint8_t *out,
		   size_t outsize)
{
	size_t extra = hs->initiator ? NOISE_MSG2_EXTRA : NOISE_MSG1_EXTRA;
	struct noise_handshake before;
	bool ok;

	if (hs->step != (hs->initiator ? 1 : 0))
		return -EPROTO;
	if (len < extra || len - extra > NOISE_MAX_PAYLOAD || outsize < len - extra)
		return -EMSGSIZE;

	before = *hs;
	ok = hs->initiator ? read_second(hs, msg, len, out) : read_first(hs, msg, len, out);
	if (ok)
		hs->step++;
	else
		*hs = before;
	sodium_memzero(&before, sizeof(before));
	return ok ? (ssize_t)(len - extra) : -EBADMSG;
}

int noise_split(struct noise_handshake *hs, uint8_t tx[NOISE_KEY_LEN], uint8_t rx[NOISE_KEY_LEN])
{
	uint8_t out[2][NOISE_HASH_LEN];
	int ret = -EPROTO;

	if (hs->step == 2) {
		hkdf(hs->ck, NULL, 0, out, 2);
		memcpy(tx, out[hs->initiator ? 0 : 1], NOISE_KEY_LEN);
		memcpy(rx, out[hs->initiator ? 1 : 0], NOISE_KEY_LEN);
		sodium_memzero(out, sizeof(out));
		ret = 0;
	}
	noise_wipe(hs);
	return ret;
}

const uint8_t *noise_remote_static(const struct noise_handshake *hs)
{
	return hs->remote_static;
}

const uint8_t *noise_handshake_hash(const struct noise_handshake *hs)
{
	return hs->h;
}

void noise_wipe(struct noise_handshake *hs)
{
	sodium_memzero(hs, sizeof(*hs));
	hs->step = STEP_DEAD;
}

void noise_test_set_ephemeral(struct noise_handshake *hs, const uint8_t sk[NOISE_KEY_LEN])
{
	memcpy(hs->ephemeral_sk, sk, NOISE_KEY_LEN);
	hs->fixed_ephemeral = true;
}
