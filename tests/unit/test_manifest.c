// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/limits.h"
#include "ratmand/flow/exchange.h"
#include "ratmand/flow/manifest.h"

static struct address alice, bob;
static uint8_t alice_secret[64], bob_secret[64];

static struct manifest make(void)
{
	struct manifest m = { .created_s = 1234567, .cap = { .block_size = ERIS_BLOCK_LARGE,
							     .level = 2 } };

	crypto_sign_keypair(alice.b, alice_secret);
	crypto_sign_keypair(bob.b, bob_secret);
	m.head.from = alice;
	m.head.to = (struct recipient){ RECIPIENT_ADDRESS, bob };
	m.head.stream_size = 99;
	m.head.aux_len = 2;
	randombytes_buf(m.cap.root_ref, 32);
	randombytes_buf(m.cap.root_key, 32);
	return m;
}

static void test_round_trip(void **state)
{
	struct manifest m = make(), got;
	uint8_t sealed[MANIFEST_MAX], again[MANIFEST_MAX];
	ssize_t len = manifest_seal(&m, alice_secret, sealed);
	struct ident one, two;

	(void)state;
	assert_true(len >= MANIFEST_MIN);
	assert_int_equal(manifest_open(sealed, (size_t)len, &bob, bob_secret, &got), 0);
	assert_true(address_equal(&got.head.from, &alice));
	assert_int_equal(got.head.stream_size, 99);
	assert_int_equal(got.created_s, 1234567);
	assert_int_equal(got.cap.level, 2);
	assert_memory_equal(got.cap.root_key, m.cap.root_key, 32);
	/* Nobody else opens it, and no two are alike. */
	assert_int_equal(manifest_open(sealed, (size_t)len, &alice, alice_secret, &got), -EBADMSG);
	assert_int_equal(manifest_seal(&m, alice_secret, again), len);
	manifest_id(sealed, (size_t)len, &one);
	manifest_id(again, (size_t)len, &two);
	assert_memory_not_equal(one.b, two.b, 32);
	/* The largest letterhead there is. */
	memset(m.head.aux, 'x', sizeof(m.head.aux));
	memcpy(m.head.aux, "\0\1", 2);
	m.head.aux[100] = 0;
	m.head.aux[LETTERHEAD_AUX_MAX - 1] = 0;
	m.head.aux_len = LETTERHEAD_AUX_MAX;
	len = manifest_seal(&m, alice_secret, sealed);
	assert_true(len > LETTERHEAD_AUX_MAX);
	assert_int_equal(manifest_open(sealed, (size_t)len, &bob, bob_secret, &got), 0);
	assert_int_equal(got.head.aux_len, LETTERHEAD_AUX_MAX);
}

static void test_damage(void **state)
{
	struct manifest m = make(), got;
	uint8_t sealed[MANIFEST_MAX];
	size_t len = (size_t)manifest_seal(&m, alice_secret, sealed);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		sealed[i] ^= 1;
		assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), -EBADMSG);
		sealed[i] ^= 1;
	}
	for (size_t n = 0; n < len; n++)
		assert_int_equal(manifest_open(sealed, n, &bob, bob_secret, &got), -EBADMSG);
	assert_int_equal(manifest_open(sealed, sizeof(sealed) + 1, &bob, bob_secret, &got),
			 -EBADMSG);
}

static void test_lies(void **state)
{
	struct manifest m = make(), got;
	uint8_t sealed[MANIFEST_MAX];
	size_t len;

	(void)state;
	/* Signed by another than the letterhead names. */
	len = (size_t)manifest_seal(&m, bob_secret, sealed);
	assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), -EBADMSG);
	m.head.stream_size = 0;
	len = (size_t)manifest_seal(&m, alice_secret, sealed);
	assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), -EBADMSG);
	m.head.stream_size = LIMIT_STREAM_BYTES + 1;
	len = (size_t)manifest_seal(&m, alice_secret, sealed);
	assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), -EFBIG);
	m.head.stream_size = 1;
	m.cap.level = 7;
	len = (size_t)manifest_seal(&m, alice_secret, sealed);
	assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), -EBADMSG);
	m.head.to.kind = RECIPIENT_NONE;
	m.cap.level = 0;
	memset(m.head.to.address.b, 0, 32);
	assert_int_equal(manifest_seal(&m, alice_secret, sealed), -EINVAL);
	assert_int_equal(manifest_check_recipient(&m.head.to.address), -EINVAL);
}

/* The inside of a sealed manifest. */
static size_t unseal(const uint8_t *sealed, size_t len, uint8_t *plain)
{
	uint8_t pk[32], sk[32];

	assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(pk, bob.b), 0);
	assert_int_equal(crypto_sign_ed25519_sk_to_curve25519(sk, bob_secret), 0);
	assert_int_equal(crypto_box_seal_open(plain, sealed, len, pk, sk), 0);
	return len - crypto_box_SEALBYTES;
}

/* Signs and seals what was changed inside. */
static size_t reseal(uint8_t *plain, size_t len, uint8_t *sealed)
{
	static const char domain[] = "ratman manifest v1";
	uint8_t text[sizeof(domain) + MANIFEST_MAX], pk[32];

	memcpy(text, domain, sizeof(domain));
	memcpy(text + sizeof(domain), plain, len - MANIFEST_SIG_LEN);
	crypto_sign_detached(plain + len - MANIFEST_SIG_LEN, NULL, text,
			     sizeof(domain) + len - MANIFEST_SIG_LEN, alice_secret);
	assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(pk, bob.b), 0);
	assert_int_equal(crypto_box_seal(sealed, plain, len, pk), 0);
	return len + crypto_box_SEALBYTES;
}

static int reopen(uint8_t *plain, size_t len, struct manifest *out)
{
	uint8_t sealed[MANIFEST_MAX];

	return manifest_open(sealed, reseal(plain, len, sealed), &bob, bob_secret, out);
}

static void test_parcels(void **state)
{
	struct manifest m = make(), got;
	uint8_t sealed[MANIFEST_MAX], plain[MANIFEST_MAX];
	size_t len, stream_len;

	(void)state;
	/* A client's stream is what it always was. */
	len = (size_t)manifest_seal(&m, alice_secret, sealed);
	stream_len = unseal(sealed, len, plain);
	assert_int_equal(plain[0], 1);
	assert_memory_equal(plain + 9, m.random.b, 32);
	assert_int_equal(plain[41], 0x0f);
	assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), 0);
	assert_int_equal(got.kind, 0);
	assert_int_equal(got.meta_len, 0);
	for (uint16_t meta_len = 0; meta_len <= PARCEL_META_MAX; meta_len += PARCEL_META_MAX) {
		m.kind = PARCEL_FILE;
		m.meta_len = meta_len;
		memset(m.meta, 'm', sizeof(m.meta));
		len = (size_t)manifest_seal(&m, alice_secret, sealed);
		assert_int_equal(manifest_open(sealed, len, &bob, bob_secret, &got), 0);
		assert_int_equal(got.kind, PARCEL_FILE);
		assert_int_equal(got.meta_len, meta_len);
		assert_memory_equal(got.meta, m.meta, meta_len);
		assert_int_equal(got.head.stream_size, 99);
		len = unseal(sealed, len, plain);
		assert_int_equal(len, stream_len + 3 + meta_len);
		assert_int_equal(plain[0], 2);
		assert_memory_equal(plain + 9, m.random.b, 32);
		assert_int_equal(plain[41], PARCEL_FILE);
		assert_int_equal(plain[42] << 8 | plain[43], meta_len);
		assert_int_equal(plain[44 + meta_len], 0x0f);
	}
	plain[41] = PARCEL_NOTICE;
	assert_int_equal(reopen(plain, len, &got), 0);
	assert_int_equal(got.kind, PARCEL_NOTICE);
	/* What a later version may know is no damage; what none can is. */
	plain[41] = PARCEL_KINDS;
	assert_int_equal(reopen(plain, len, &got), -EPROTONOSUPPORT);
	plain[41] = 0;
	assert_int_equal(reopen(plain, len, &got), -EBADMSG);
	plain[41] = PARCEL_FILE;
	plain[43] = 1;		/* 1025 bytes */
	assert_int_equal(reopen(plain, len, &got), -EBADMSG);
	plain[43] = 0;
	plain[42] = 3;		/* fewer than there are */
	assert_int_equal(reopen(plain, len, &got), -EBADMSG);
	plain[42] = 4;
	assert_int_equal(reopen(plain, len, &got), 0);
	plain[0] = 3;
	assert_int_equal(reopen(plain, len, &got), -EPROTONOSUPPORT);
	plain[0] = 0;
	assert_int_equal(reopen(plain, len, &got), -EBADMSG);
	plain[0] = 1;
	assert_int_equal(reopen(plain, len, &got), -EBADMSG);
}

static void test_receipts(void **state)
{
	struct ident id = { { 1, 2, 3 } }, other = { { 1, 2, 4 } };
	uint8_t sig[MANIFEST_SIG_LEN];

	(void)state;
	make();
	manifest_sign_receipt(&id, bob_secret, sig);
	assert_true(manifest_check_receipt(&id, &bob, sig));
	assert_false(manifest_check_receipt(&other, &bob, sig));
	assert_false(manifest_check_receipt(&id, &alice, sig));
	sig[5] ^= 1;
	assert_false(manifest_check_receipt(&id, &bob, sig));
}

/* Every message comes out as it went in, in whatever pieces it arrives. */
static void test_exchange_pieces(void **state)
{
	static uint8_t stream[200000], refs[EXCHANGE_WANT_MAX][ERIS_REF_LEN];
	struct ident id = { { 7 } };
	size_t len = 0;

	(void)state;
	make();
	randombytes_buf(refs, sizeof(refs));
	len += exchange_put_hello(stream + len, &alice, &bob);
	len += exchange_put_want(stream + len, &id, (const void *)refs, EXCHANGE_WANT_MAX);
	len += exchange_put_missing(stream + len, &id, refs[3]);
	for (int i = 0; i < 4; i++) {
		exchange_put_head(stream + len, EXCHANGE_BLOCK, ERIS_BLOCK_LARGE);
		memset(stream + len + EXCHANGE_HEAD, i, ERIS_BLOCK_LARGE);
		len += EXCHANGE_HEAD + ERIS_BLOCK_LARGE;
	}
	len += exchange_put_refuse(stream + len, &id, EXCHANGE_BROKEN);
	len += exchange_put_bare(stream + len, EXCHANGE_PING);
	for (size_t piece = 1; piece < 70000; piece = piece * 3 + 1) {
		unsigned int n = 0, blocks = 0;
		struct exchange_message m;
		struct exchange x;

		assert_int_equal(exchange_init(&x), 0);
		for (size_t at = 0; at < len;) {
			size_t size;
			uint8_t *space = exchange_space(&x, &size);
			size_t now = piece < size ? piece : size;

			if (now > len - at)
				now = len - at;
			memcpy(space, stream + at, now);
			exchange_filled(&x, now);
			at += now;
			while (exchange_next(&x, &m) == 1) {
				n++;
				if (m.type == EXCHANGE_WANT)
					assert_memory_equal(m.want.refs, refs, sizeof(refs));
				if (m.type == EXCHANGE_BLOCK)
					assert_int_equal(m.block.data[5], blocks++);
				if (m.type == EXCHANGE_REFUSE)
					assert_int_equal(m.refuse, EXCHANGE_BROKEN);
			}
			assert_false(x.failed);
		}
		assert_int_equal(n, 9);
		exchange_free(&x);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damage),
		cmocka_unit_test(test_lies), cmocka_unit_test(test_parcels),
		cmocka_unit_test(test_receipts),
		cmocka_unit_test(test_exchange_pieces),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
