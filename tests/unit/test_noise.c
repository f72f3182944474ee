// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Noise IK and IKpsk2 against published vectors, and what must be refused; the
 * cookies and the guards that stand before a handshake.
 *
 * Vectors: the cacophony project (tests/vectors/cacophony.txt of the snow crate
 * 0.10.0) and the snow project (tests/vectors/snow.txt of the same).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "ratmand/session/cookie.h"
#include "ratmand/session/guard.h"
#include "ratmand/session/noise.h"

#define MAX_MESSAGES 6

struct vector {
	const char *name;
	const char *prologue;
	const char *psk;
	const char *init_static;
	const char *init_ephemeral;
	const char *resp_static;
	const char *resp_static_pk;
	const char *resp_ephemeral;
	const char *hash;
	struct {
		const char *payload;
		const char *ciphertext;
	} messages[MAX_MESSAGES];
};

static const struct vector vectors[] = {
	{
		.name = "cacophony, Noise_IK_25519_ChaChaPoly_BLAKE2b",
		.prologue =
			"4a6f686e2047616c74",
		.init_static =
			"e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
		.init_ephemeral =
			"893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
		.resp_static =
			"4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
		.resp_static_pk =
			"31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
		.resp_ephemeral =
			"bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
		.hash =
			"1c8fa891cb414fedba6daa7c6f4ae0a6d98e5f9768cc9cecd27e805614943ee9c8a1b27f"
			"bfb76dc197255c8aa69f6b4285c423840b8bedf45e652ca64f797d81",
		.messages = {
			{ "4c756477696720766f6e204d69736573",
			  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944ba83a447"
			  "b38c83e327ad936929812f624884847b7831e95e197b2f797088efdd2f88f1db7e1fb0e9"
			  "9c64419097af91cee64e470f4b6fcd9298ce0b56fe20f86e13bf70439c538e3602a7127a"
			  "f71a29cc" },
			{ "4d757272617920526f746862617264",
			  "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088439f069b26"
			  "7a06b3de3ecb1043bcb098e9af91d9c64748d998c7b47890871571" },
			{ "462e20412e20486179656b",
			  "cd54383060e7a28434cca27fb1cc524cfbabeb18181589df219d07" },
			{ "4361726c204d656e676572",
			  "a856d3bf0246bfc476c655009cd1ed677b8dcc5b349ae8ef2a05f2" },
			{ "4a65616e2d426170746973746520536179",
			  "49063084b2c51f098337cb8a13739ac848f907e67cfb2cc8a8b60586467aa02fc7" },
			{ "457567656e2042f6686d20766f6e2042617765726b",
			  "8b9709d23b47e4639df7678d7a21741eba4ef1e9c60383001c7435549c20f9d56f30e935"
			  "d3" },
		},
	},
	{
		.name = "cacophony, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b",
		.prologue =
			"4a6f686e2047616c74",
		.psk =
			"54686973206973206d7920417573747269616e20706572737065637469766521",
		.init_static =
			"e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
		.init_ephemeral =
			"893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
		.resp_static =
			"4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
		.resp_static_pk =
			"31e0303fd6418d2f8c0e78b91f22e8caed0fbe48656dcf4767e4834f701b8f62",
		.resp_ephemeral =
			"bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
		.hash =
			"ed837c9084f2f0333a7ec60b9bcacd9921394858de8ced118b5966d1147ba390084dab42"
			"326c565a309c29317a6079be30aa1d790d25a517b43287426cb1d36a",
		.messages = {
			{ "4c756477696720766f6e204d69736573",
			  "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c7944b6fe0240"
			  "b839afac809de1630eaf99d8f9b941394f0512c0554633bbb021d15176135c0a20e7fdb9"
			  "a9ed066f22f054b47625b1d5061cb27d6a17f053273db7c25216a5addc506ee321bc0618"
			  "feb5849d" },
			{ "4d757272617920526f746862617264",
			  "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f1448088438f627e69"
			  "fc120006f746b9d420bf4056cf8481ab32d9e904ffaeeaa56a5290" },
			{ "462e20412e20486179656b",
			  "07fc0034398a5f1010322be193d62f94bebf2948a20b3e15d681fe" },
			{ "4361726c204d656e676572",
			  "2ea5400f5b8a16971c8b67bde75aeb7987d454b1c0beeb2566932d" },
			{ "4a65616e2d426170746973746520536179",
			  "96eef918ef51639fc0e156da1823c4f71b33fac5af983f5da9384f7da20d86ed91" },
			{ "457567656e2042f6686d20766f6e2042617765726b",
			  "f02766a56496e1fbf32e05274baebf6d693c8f3e4c6e0dc7ebdc5ac170f15dae433b92f4"
			  "69" },
		},
	},
	{
		.name = "snow, Noise_IK_25519_ChaChaPoly_BLAKE2b",
		.prologue =
			"5468657265206973206e6f20726967687420616e642077726f6e672e2054686572652773"
			"206f6e6c792066756e20616e6420626f72696e672e",
		.init_static =
			"7d96e7fbefd508f6d553010ef8b53b9800f30bdd1bc82d141c543cc4afe31bde",
		.init_ephemeral =
			"3fa848b150e958dad41a3e1e455c65c46b773d806a55f4abdcae3f5e3f80d816",
		.resp_static =
			"f192f565f752e8e706d20bd2a71b22d94b804bfeb499ac84391f1af846d1824d",
		.resp_static_pk =
			"c2330a71efe7ad7655ad63ec6ac84e0be70c79b3a9808364741e99abe231b240",
		.resp_ephemeral =
			"3092d9e2e44264afea07fd9b43562177e9ae63d65cbdc471d3539247e2ba1a36",
		.messages = {
			{ "eab1b0a96295a7f0b29f013bf2baa6d74ab79b2b2f69b79764eb97684ca17e5d",
			  "4b42c759ee133dc6a49aa1b19fc1727ca3d3876d6ed5479b60fe2963fede0f4ff9f68f15"
			  "40f591b16150d98b3f65371da84c2dcfbf18f02295edcd20fdcf315c83529bc394387fc2"
			  "2bfc8583e23514c28884729838efe481016f828fefca4f53c4e61c7ed5a7b297044e11b9"
			  "0a28d2e264ac2335e254c7b636d1d0406aea1e3e" },
			{ "1a1d45c87a116c31f9704d9c599f833e65dbe1fc511a50fc85e07b440806430b",
			  "058e04eada2f87f02ffb22ec049d3d629008eb672976078b61222af7822e9c19b04dc83d"
			  "279b6d418149e3ba99ff887c64a2f9da7a1ad2c83bbea46759a503933f9cfc8c06dbc2b9"
			  "170a0fb6a5a28740" },
			{ "752ce6ebed958e84d2e8ffa89ca929e500bc987d3ba01196f850fe73d7320822",
			  "e4a719610c329661dcc3084484c92025c7fadff6910c6d9e8dcdae29d76cd2d33c74218a"
			  "3588732db968a282ba4689ec" },
			{ "f7496b1a99db7ba96ce16c642662e966b8323aca4e7c8e2ed51d3e764c05a363",
			  "8cdb272f66c39e16182c1b68a45052f97264ca6a337e338dbdd1121005fb268b637d94ec"
			  "c94ded7352c1e22bf7d2a32d" },
		},
	},
};

static size_t unhex(const char *hex, uint8_t *out, size_t max)
{
	size_t len = 0;

	if (!hex)
		return 0;
	assert_int_equal(sodium_hex2bin(out, max, hex, strlen(hex), NULL, &len, NULL), 0);
	return len;
}

/* Messages after the handshake: the keys of Split() with the nonces of Noise 12.3. */
static void check_transport(const struct vector *v, unsigned int i, const uint8_t *key, uint64_t n)
{
	uint8_t payload[256], expected[256], out[256], nonce[12] = { 0 };
	size_t len, expected_len;

	len = unhex(v->messages[i].payload, payload, sizeof(payload));
	expected_len = unhex(v->messages[i].ciphertext, expected, sizeof(expected));
	nonce[4] = (uint8_t)n;
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, payload, len, NULL, 0, NULL, nonce,
						  key);
	assert_int_equal(expected_len, len + NOISE_TAG_LEN);
	assert_memory_equal(out, expected, expected_len);
}

static void check_handshake_message(const struct vector *v, unsigned int i,
				    struct noise_handshake *from, struct noise_handshake *to)
{
	uint8_t payload[256], expected[512], out[512], in[256];
	size_t len, expected_len;

	len = unhex(v->messages[i].payload, payload, sizeof(payload));
	expected_len = unhex(v->messages[i].ciphertext, expected, sizeof(expected));
	assert_int_equal(noise_write(from, payload, len, out, sizeof(out)), expected_len);
	assert_memory_equal(out, expected, expected_len);
	assert_int_equal(noise_read(to, out, expected_len, in, sizeof(in)), len);
	assert_memory_equal(in, payload, len);
}

static void run_vector(const struct vector *v)
{
	uint8_t prologue[128], psk[32], is[32], ie[32], rs[32], rs_pk[32], re[32], hash[64];
	uint8_t itx[32], irx[32], rtx[32], rrx[32];
	struct noise_handshake i, r;
	size_t prologue_len;
	unsigned int m;

	prologue_len = unhex(v->prologue, prologue, sizeof(prologue));
	unhex(v->psk, psk, sizeof(psk));
	unhex(v->init_static, is, sizeof(is));
	unhex(v->init_ephemeral, ie, sizeof(ie));
	unhex(v->resp_static, rs, sizeof(rs));
	unhex(v->resp_static_pk, rs_pk, sizeof(rs_pk));
	unhex(v->resp_ephemeral, re, sizeof(re));

	assert_int_equal(noise_init(&i, true, is, rs_pk, prologue, prologue_len,
				    v->psk ? psk : NULL), 0);
	assert_int_equal(noise_init(&r, false, rs, NULL, prologue, prologue_len,
				    v->psk ? psk : NULL), 0);
	noise_test_set_ephemeral(&i, ie);
	noise_test_set_ephemeral(&r, re);
	check_handshake_message(v, 0, &i, &r);
	check_handshake_message(v, 1, &r, &i);
	assert_memory_equal(noise_handshake_hash(&i), noise_handshake_hash(&r), 64);
	if (v->hash) {
		unhex(v->hash, hash, sizeof(hash));
		assert_memory_equal(noise_handshake_hash(&i), hash, 64);
	}
	assert_int_equal(noise_split(&i, itx, irx), 0);
	assert_int_equal(noise_split(&r, rtx, rrx), 0);
	assert_memory_equal(itx, rrx, 32);
	assert_memory_equal(irx, rtx, 32);
	for (m = 2; m < MAX_MESSAGES && v->messages[m].payload; m++)
		check_transport(v, m, m % 2 ? rtx : itx, (m - 2) / 2);
}

static void test_vectors(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		print_message("%s\n", vectors[i].name);
		run_vector(&vectors[i]);
	}
}

struct pair {
	uint8_t is[32], rs[32], rs_pk[32], psk[32];
	struct noise_handshake i, r;
};

static void pair_make(struct pair *p, bool psk)
{
	randombytes_buf(p->is, 32);
	randombytes_buf(p->rs, 32);
	randombytes_buf(p->psk, 32);
	crypto_scalarmult_base(p->rs_pk, p->rs);
	assert_int_equal(noise_init(&p->i, true, p->is, p->rs_pk, "x", 1, psk ? p->psk : NULL), 0);
	assert_int_equal(noise_init(&p->r, false, p->rs, NULL, "x", 1, psk ? p->psk : NULL), 0);
}

/* Every flipped bit and every truncation is refused and changes nothing. */
static void refuse_damage(struct noise_handshake *to, const uint8_t *msg, size_t len)
{
	struct noise_handshake before = *to;
	uint8_t bad[512], out[64];
	size_t i;

	for (i = 0; i < len; i++) {
		memcpy(bad, msg, len);
		bad[i] ^= (uint8_t)(1u << (i % 8));
		/* X25519 ignores the top bit of a key, yet it is hashed: refused all the same. */
		assert_int_equal(noise_read(to, bad, len, out, sizeof(out)), -EBADMSG);
		assert_memory_equal(&before, to, sizeof(before));
		assert_true(noise_read(to, msg, i, out, sizeof(out)) < 0);
		assert_memory_equal(&before, to, sizeof(before));
	}
	assert_int_equal(noise_read(to, msg, len, out, 2), -EMSGSIZE);
}

static void test_damage(void **state)
{
	uint8_t m1[256], m2[256], out[64], k[4][32];
	struct pair p;
	ssize_t n1, n2;
	int psk;

	(void)state;
	for (psk = 0; psk < 2; psk++) {
		pair_make(&p, psk);
		n1 = noise_write(&p.i, "one", 3, m1, sizeof(m1));
		assert_int_equal(n1, NOISE_MSG1_EXTRA + 3);
		refuse_damage(&p.r, m1, (size_t)n1);
		assert_int_equal(noise_read(&p.r, m1, (size_t)n1, out, sizeof(out)), 3);
		n2 = noise_write(&p.r, "four", 4, m2, sizeof(m2));
		assert_int_equal(n2, NOISE_MSG2_EXTRA + 4);
		refuse_damage(&p.i, m2, (size_t)n2);
		assert_int_equal(noise_read(&p.i, m2, (size_t)n2, out, sizeof(out)), 4);
		assert_int_equal(noise_split(&p.i, k[0], k[1]), 0);
		assert_int_equal(noise_split(&p.r, k[2], k[3]), 0);
		assert_memory_equal(k[0], k[3], 32);
		assert_memory_equal(k[1], k[2], 32);
	}
}

static void test_order(void **state)
{
	uint8_t m[256], out[64], a[32], b[32];
	struct pair p;

	(void)state;
	pair_make(&p, false);
	assert_int_equal(noise_read(&p.i, m, sizeof(m), out, sizeof(out)), -EPROTO);
	assert_int_equal(noise_write(&p.i, "x", 1, m, NOISE_MSG1_EXTRA), -EMSGSIZE);
	assert_true(noise_write(&p.i, "x", 1, m, sizeof(m)) > 0);
	assert_int_equal(noise_split(&p.i, a, b), -EPROTO);
	assert_int_equal(noise_write(&p.i, "x", 1, m, sizeof(m)), -EPROTO);
	assert_int_equal(noise_write(&p.r, "x", 1, m, sizeof(m)), -EPROTO);
	assert_int_equal(noise_read(&p.r, m, sizeof(m), out, sizeof(out)), -EPROTO);
	/* Wrong combinations. */
	assert_int_equal(noise_init(&p.i, true, p.is, NULL, NULL, 0, NULL), -EINVAL);
	assert_int_equal(noise_init(&p.i, false, p.is, p.rs_pk, NULL, 0, NULL), -EINVAL);
	assert_int_equal(noise_init(&p.i, true, NULL, p.rs_pk, NULL, 0, NULL), -EINVAL);
}

static void test_wrong_parties(void **state)
{
	uint8_t m[256], out[64], other[32], other_pk[32], psk[32] = { 1 };
	struct noise_handshake hs;
	struct pair p;
	ssize_t n;

	(void)state;
	pair_make(&p, true);
	n = noise_write(&p.i, "x", 1, m, sizeof(m));
	/* another prologue, another responder */
	noise_init(&hs, false, p.rs, NULL, "y", 1, p.psk);
	assert_int_equal(noise_read(&hs, m, (size_t)n, out, sizeof(out)), -EBADMSG);
	randombytes_buf(other, 32);
	crypto_scalarmult_base(other_pk, other);
	noise_init(&hs, false, other, NULL, "x", 1, p.psk);
	assert_int_equal(noise_read(&hs, m, (size_t)n, out, sizeof(out)), -EBADMSG);
	/* no psk on one side is another protocol; a wrong psk shows in the second message */
	noise_init(&hs, false, p.rs, NULL, "x", 1, NULL);
	assert_int_equal(noise_read(&hs, m, (size_t)n, out, sizeof(out)), -EBADMSG);
	noise_init(&hs, false, p.rs, NULL, "x", 1, psk);
	assert_int_equal(noise_read(&hs, m, (size_t)n, out, sizeof(out)), 1);
	n = noise_write(&hs, "x", 1, m, sizeof(m));
	assert_int_equal(noise_read(&p.i, m, (size_t)n, out, sizeof(out)), -EBADMSG);
}

static void test_zero_exchange(void **state)
{
	static const uint8_t zero[32];
	uint8_t m[256] = { 0 }, out[64];
	struct pair p;

	(void)state;
	pair_make(&p, false);
	assert_int_equal(noise_init(&p.i, true, p.is, zero, "x", 1, NULL), 0);
	assert_int_equal(noise_write(&p.i, "x", 1, m, sizeof(m)), -EPROTO);
	assert_true(sodium_is_zero(m, NOISE_MSG1_EXTRA + 1));
	memset(m, 0, sizeof(m));
	assert_int_equal(noise_read(&p.r, m, NOISE_MSG1_EXTRA + 1, out, sizeof(out)), -EBADMSG);
}

static void test_wiped(void **state)
{
	uint8_t m[256], out[8], a[32], b[32];
	struct pair p;
	ssize_t n;

	(void)state;
	pair_make(&p, false);
	n = noise_write(&p.i, NULL, 0, m, sizeof(m));
	assert_int_equal(noise_read(&p.r, m, (size_t)n, out, sizeof(out)), 0);
	n = noise_write(&p.r, NULL, 0, m, sizeof(m));
	assert_int_equal(noise_read(&p.i, m, (size_t)n, out, sizeof(out)), 0);
	noise_split(&p.i, a, b);
	p.i.step = 0;
	assert_true(sodium_is_zero((const uint8_t *)&p.i, sizeof(p.i)));
	noise_wipe(&p.r);
	assert_int_equal(noise_split(&p.r, a, b), -EPROTO);
}

static void test_cookie(void **state)
{
	uint8_t pk[32], msg[100], body[COOKIE_BODY_LEN], group[32] = { 7 };
	struct cookie_checker c, grouped;
	struct cookie_jar j;
	size_t i;

	(void)state;
	randombytes_buf(pk, sizeof(pk));
	randombytes_buf(msg, sizeof(msg));
	cookie_checker_init(&c, pk, NULL);
	cookie_checker_init(&grouped, pk, group);
	cookie_jar_init(&j, pk, NULL);

	cookie_jar_stamp(&j, 0, msg, sizeof(msg));
	assert_true(cookie_check_mac1(&c, msg, sizeof(msg)));
	assert_false(cookie_check_mac1(&grouped, msg, sizeof(msg)));
	assert_false(cookie_check_mac2(&c, 0, msg, sizeof(msg), "src", 3));
	for (i = 0; i < sizeof(msg) - COOKIE_MAC_LEN; i++) {
		msg[i] ^= 1;
		assert_false(cookie_check_mac1(&c, msg, sizeof(msg)));
		msg[i] ^= 1;
	}
	for (i = 0; i < COOKIE_MACS_LEN; i++) {
		assert_false(cookie_check_mac1(&c, msg, i));
		assert_false(cookie_check_mac2(&c, 0, msg, i, "src", 3));
	}

	cookie_reply(&c, 1000, msg, sizeof(msg), "src", 3, body);
	for (i = 0; i < sizeof(body); i++) {
		body[i] ^= 1;
		assert_false(cookie_jar_open(&j, 1000, body));
		body[i] ^= 1;
	}
	assert_true(cookie_jar_open(&j, 1000, body));
	assert_false(cookie_jar_open(&j, 1000, body));	/* one reply a message */
	msg[0]++;
	cookie_jar_stamp(&j, 2000, msg, sizeof(msg));
	assert_true(cookie_check_mac2(&c, 2000, msg, sizeof(msg), "src", 3));
	assert_false(cookie_check_mac2(&c, 2000, msg, sizeof(msg), "srd", 3));
	assert_false(cookie_check_mac2(&c, 2000, msg, sizeof(msg), "sr", 2));
	/* a reply to the message before is not taken */
	assert_false(cookie_jar_open(&j, 2000, body));
	/* the jar stops using it first, then the secret changes */
	cookie_jar_stamp(&j, 1000 + COOKIE_USE_MS, msg, sizeof(msg));
	assert_false(cookie_check_mac2(&c, 1000 + COOKIE_USE_MS, msg, sizeof(msg), "src", 3));
	cookie_jar_stamp(&j, 2000, msg, sizeof(msg));
	assert_true(cookie_check_mac2(&c, 119999, msg, sizeof(msg), "src", 3));
	assert_false(cookie_check_mac2(&c, 120000, msg, sizeof(msg), "src", 3));
}

static void test_buckets(void **state)
{
	const struct guard_rate rate = { 3, 100 };
	struct guard_sources *g;
	struct guard_bucket b = { 0 };
	struct guard_load l = { 0 };
	uint32_t i;

	(void)state;
	for (i = 0; i < 3; i++)
		assert_true(guard_take(&b, &rate, 50));
	assert_false(guard_take(&b, &rate, 50));
	assert_false(guard_take(&b, &rate, 149));
	assert_true(guard_take(&b, &rate, 150));
	assert_false(guard_take(&b, &rate, 150));
	for (i = 0; i < 3; i++)
		assert_true(guard_take(&b, &rate, UINT64_MAX));
	assert_false(guard_take(&b, &rate, UINT64_MAX));

	g = guard_sources_new(sizeof(i), 10, rate);
	for (i = 0; i < 1000; i++)
		assert_true(guard_sources_take(g, &i, 0));
	assert_int_equal(guard_sources_count(g), 10);
	i = 999;
	assert_true(guard_sources_take(g, &i, 0));
	assert_true(guard_sources_take(g, &i, 0));
	assert_false(guard_sources_take(g, &i, 0));
	guard_sources_free(g);
	guard_sources_free(NULL);

	for (i = 0; i < 5; i++)
		assert_false(guard_load_hit(&l, 10000 + i, 5));
	assert_true(guard_load_hit(&l, 10999, 5));
	assert_true(guard_load_hit(&l, 11000, 5));	/* the second before counts too */
	assert_false(guard_load_hit(&l, 13000, 5));
}

static void test_stamps(void **state)
{
	struct guard_stamps *g = guard_stamps_new(sizeof(uint32_t), 10);
	uint32_t i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_true(guard_stamps_advance(g, &i, 5));
	assert_int_equal(guard_stamps_count(g), 10);
	i = 995;
	assert_false(guard_stamps_advance(g, &i, 4));
	assert_false(guard_stamps_advance(g, &i, 5));
	assert_true(guard_stamps_advance(g, &i, 6));
	assert_true(guard_stamps_advance(g, &i, UINT64_MAX));
	assert_false(guard_stamps_advance(g, &i, UINT64_MAX));
	guard_stamps_free(g);
	guard_stamps_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	      cmocka_unit_test(test_damage),
		cmocka_unit_test(test_order),	      cmocka_unit_test(test_wrong_parties),
		cmocka_unit_test(test_zero_exchange), cmocka_unit_test(test_wiped),
		cmocka_unit_test(test_cookie),	      cmocka_unit_test(test_buckets),
		cmocka_unit_test(test_stamps),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
