// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "ratmand/route/record.h"

static uint8_t secret[64];
static struct address address;

static int setup(void **state)
{
	uint8_t seed[32];

	(void)state;
	if (sodium_init() < 0)
		return -1;
	for (unsigned int i = 0; i < sizeof(seed); i++)
		seed[i] = (uint8_t)i;
	return crypto_sign_ed25519_seed_keypair(address.b, secret, seed);
}

static void round_trip(void **state)
{
	uint8_t bytes[RECORD_LEN], again[RECORD_LEN], id[RECORD_ID_LEN];
	struct record rec;

	(void)state;
	assert_int_equal(record_build(bytes, secret, 0x0102030405060708, 3600, 0), 0);
	assert_int_equal(record_parse(bytes, sizeof(bytes), &rec), 0);
	assert_memory_equal(rec.address.b, address.b, ADDRESS_LEN);
	assert_int_equal(rec.sequence, 0x0102030405060708);
	assert_int_equal(rec.lifetime_s, 3600);
	assert_int_equal(rec.flags, 0);
	record_encode(&rec, again);
	assert_memory_equal(bytes, again, RECORD_LEN);
	assert_true(record_verify(bytes));
	record_id(bytes, id);
	assert_int_equal(record_build(again, secret, 0x0102030405060709, 3600, 0), 0);
	record_id(again, again);
	assert_memory_not_equal(id, again, RECORD_ID_LEN);
}

/* The layout, byte by byte; the signature is over the domain and the first 48. */
static void layout(void **state)
{
	static const uint8_t head[16] = { 1, 1, 0, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 1, 2 };
	uint8_t bytes[RECORD_LEN], message[15 + 48];

	(void)state;
	assert_int_equal(record_build(bytes, secret, 258, 60, RECORD_WITHDRAWN), 0);
	assert_memory_equal(bytes, head, sizeof(head));
	assert_memory_equal(bytes + 16, address.b, ADDRESS_LEN);
	memcpy(message, "ratman record 1", 15);
	memcpy(message + 15, bytes, 48);
	assert_int_equal(crypto_sign_ed25519_verify_detached(bytes + 48, message, sizeof(message),
							     address.b), 0);
}

static void every_bit_counts(void **state)
{
	uint8_t bytes[RECORD_LEN];

	(void)state;
	record_build(bytes, secret, 7, 3600, 0);
	for (unsigned int bit = 0; bit < RECORD_LEN * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(record_verify(bytes));
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	assert_true(record_verify(bytes));
}

static void every_length(void **state)
{
	uint8_t bytes[RECORD_LEN + 1] = { 0 };
	struct record rec;

	(void)state;
	record_build(bytes, secret, 7, 3600, 0);
	for (size_t len = 0; len <= sizeof(bytes); len++)
		assert_int_equal(record_parse(bytes, len, &rec), len == RECORD_LEN ? 0 : -EINVAL);
}

static void limits(void **state)
{
	uint8_t bytes[RECORD_LEN];
	struct record rec;

	(void)state;
	assert_int_equal(record_build(bytes, secret, 7, 59, 0), -EINVAL);
	assert_int_equal(record_build(bytes, secret, 7, 60, 0), 0);
	assert_int_equal(record_build(bytes, secret, 7, 86400, 0), 0);
	assert_int_equal(record_build(bytes, secret, 7, 86401, 0), -EINVAL);
	assert_int_equal(record_build(bytes, secret, 7, 60, 2), -EINVAL);
	record_build(bytes, secret, 7, 60, 0);
	for (unsigned int i = 0; i < 4; i++) {
		bytes[i] ^= 0x80;	/* version, flags, reserved */
		assert_int_equal(record_parse(bytes, sizeof(bytes), &rec), -EINVAL);
		bytes[i] ^= 0x80;
	}
	bytes[7] = 59;
	assert_int_equal(record_parse(bytes, sizeof(bytes), &rec), -EINVAL);
	bytes[4] = 1;
	assert_int_equal(record_parse(bytes, sizeof(bytes), &rec), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(layout),
		cmocka_unit_test(every_bit_counts),
		cmocka_unit_test(every_length),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
