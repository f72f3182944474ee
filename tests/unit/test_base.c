// SPDX-License-Identifier: GPL-2.0-or-later
/* wire cursors, addresses, log gates. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/address.h"
#include "base/log.h"
#include "base/wire.h"

static void test_wire_round_trip(void **state)
{
	uint8_t buf[32];
	struct wire_writer w;
	struct wire_reader r;
	uint8_t tail[3];

	(void)state;
	wire_write_init(&w, buf, 18);
	wire_put_u8(&w, 0x01);
	wire_put_be16(&w, 0x0203);
	wire_put_be32(&w, 0x04050607);
	wire_put_be64(&w, 0x08090a0b0c0d0e0f);
	wire_put(&w, "abc", 3);
	assert_false(w.failed);
	assert_int_equal(wire_len(&w), 18);
	for (uint8_t i = 0; i < 15; i++)
		assert_int_equal(buf[i], i + 1);

	wire_read_init(&r, buf, 18);
	assert_int_equal(wire_get_u8(&r), 0x01);
	assert_int_equal(wire_get_be16(&r), 0x0203);
	assert_int_equal(wire_get_be32(&r), 0x04050607);
	assert_true(wire_get_be64(&r) == 0x08090a0b0c0d0e0f);
	assert_false(wire_done(&r));
	wire_get(&r, tail, 3);
	assert_memory_equal(tail, "abc", 3);
	assert_true(wire_done(&r));
}

static void test_wire_errors_stick(void **state)
{
	uint8_t buf[4] = { 1, 2, 3, 4 }, out[8];
	struct wire_writer w;
	struct wire_reader r;

	(void)state;
	wire_read_init(&r, buf, sizeof(buf));
	assert_int_equal(wire_get_be16(&r), 0x0102);
	assert_int_equal(wire_get_be32(&r), 0);
	assert_true(r.failed);
	assert_int_equal(wire_left(&r), 0);
	assert_int_equal(wire_get_u8(&r), 0);
	memset(out, 0xff, sizeof(out));
	wire_get(&r, out, sizeof(out));
	assert_true(sodium_is_zero(out, sizeof(out)));
	assert_null(wire_get_ref(&r, 0));
	assert_false(wire_done(&r));

	wire_write_init(&w, buf, sizeof(buf));
	wire_put_be32(&w, 0xaabbccdd);
	wire_put_u8(&w, 9);
	assert_true(w.failed);
	wire_put(&w, "", 0);
	assert_int_equal(wire_len(&w), 4);
	assert_int_equal(buf[3], 0xdd);

	wire_read_init(&r, NULL, 0);
	assert_true(wire_done(&r));
}

static const char text[] = "0102-0304-0506-0708-090A-0B0C-0D0E-0F10-1112-1314-1516-1718-191A-1B1C-"
			   "1D1E-1F20";

static void test_address_text(void **state)
{
	static const char *const bad[] = {
		"", "-", "0102", "0102-", "-0102", "01--02", "0G", "0102-0304-",
		"0102-0304-0506-0708-090A-0B0C-0D0E-0F10-1112-1314-1516-1718-191A-1B1C-1D1E-1F2",
		"0102-0304-0506-0708-090A-0B0C-0D0E-0F10-1112-1314-1516-1718-191A-1B1C-1D1E-1F20-21",
		"0102-0304-0506-0708-090A-0B0C-0D0E-0F10-1112-1314-1516-1718-191A-1B1C-1D1E-1F20 ",
	};
	char out[ADDRESS_TEXT_LEN];
	struct address a, b;

	(void)state;
	assert_int_equal(address_parse(text, &a), 0);
	for (uint8_t i = 0; i < ADDRESS_LEN; i++)
		assert_int_equal(a.b[i], i + 1);
	assert_string_equal(address_format(&a, out), text);
	/* Either case, and no dashes at all. */
	assert_int_equal(address_parse("0102030405060708090a0b0c0d0e0f10"
				       "1112131415161718191a1b1c1d1e1f20", &b), 0);
	assert_true(address_equal(&a, &b));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(address_parse(bad[i], &b), -EINVAL);
}

static void test_address_prefix(void **state)
{
	struct address a, p;
	unsigned int n;

	(void)state;
	address_parse(text, &a);
	assert_int_equal(address_parse_prefix("0102-030", &p, &n), 0);
	assert_int_equal(n, 7);
	assert_true(address_has_prefix(&a, &p, n));
	assert_int_equal(address_parse_prefix("0102-031", &p, &n), 0);
	assert_false(address_has_prefix(&a, &p, n));
	assert_int_equal(address_parse_prefix("0", &p, &n), 0);
	assert_true(address_has_prefix(&a, &p, n));
	assert_int_equal(address_parse_prefix("0102-", &p, &n), -EINVAL);
}

/*
 * The expected value is BLAKE2b-256 of the context id and the key, by Python:
 * hashlib.blake2b(bytes.fromhex('7261746d616e204f5243484944763201') + bytes(range(1, 33)),
 * digest_size=32).digest()[10:22].
 */
static void test_address_ipv6(void **state)
{
	char out[INET6_ADDRSTRLEN];
	struct address a;
	struct in6_addr ip;

	(void)state;
	address_parse(text, &a);
	address_to_ipv6(&a, &ip);
	assert_true(address_ipv6_is_ours(&ip));
	inet_ntop(AF_INET6, &ip, out, sizeof(out));
	assert_string_equal(out, "2001:2e:86e3:d46a:5e0a:439a:5eaa:4eba");
	ip.s6_addr[3] = 0x30;
	assert_false(address_ipv6_is_ours(&ip));
}

static void test_log(void **state)
{
	struct log_gate gate = { 0 };
	enum log_level level = LOG_ERROR;

	(void)state;
	assert_true(log_level_parse("trace", &level));
	assert_int_equal(level, LOG_TRACE);
	assert_false(log_level_parse("loud", &level));
	for (int i = 0; i < 3; i++)
		assert_true(log_gate_open(&gate, 5000, 3, 1000));
	assert_false(log_gate_open(&gate, 5999, 3, 1000));
	assert_true(log_gate_open(&gate, 6000, 3, 1000));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wire_round_trip),
		cmocka_unit_test(test_wire_errors_stick),
		cmocka_unit_test(test_address_text),
		cmocka_unit_test(test_address_prefix),
		cmocka_unit_test(test_address_ipv6),
		cmocka_unit_test(test_log),
	};

	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
