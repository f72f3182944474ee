// SPDX-License-Identifier: LGPL-2.1-or-later
#include "address.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

void ident_draw(struct ident *id)
{
	do
		randombytes_buf(id->b, sizeof(id->b));
	while (memchr(id->b, 0, sizeof(id->b)));
}

bool ident_equal(const struct ident *a, const struct ident *b)
{
	return !memcmp(a->b, b->b, sizeof(a->b));
}

bool address_equal(const struct address *a, const struct address *b)
{
	return !memcmp(a->b, b->b, ADDRESS_LEN);
}

int address_compare(const struct address *a, const struct address *b)
{
	return memcmp(a->b, b->b, ADDRESS_LEN);
}

bool address_is_zero(const struct address *a)
{
	return sodium_is_zero(a->b, ADDRESS_LEN);
}

const char *address_format(const struct address *a, char out[static ADDRESS_TEXT_LEN])
{
	char *p = out;

	for (size_t i = 0; i < ADDRESS_LEN; i += 2)
		p += sprintf(p, "%s%02X%02X", i ? "-" : "", a->b[i], a->b[i + 1]);
	return out;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int address_parse_prefix(const char *text, struct address *out, unsigned int *nibbles)
{
	unsigned int n = 0;

	memset(out, 0, sizeof(*out));
	for (; *text; text++) {
		int digit;

		/* A dash stands between bytes, never first, last or twice. */
		if (*text == '-') {
			if (!n || n % 2 || text[1] == '-' || !text[1])
				return -EINVAL;
			continue;
		}
		digit = hex_digit(*text);
		if (digit < 0 || n >= 2 * ADDRESS_LEN)
			return -EINVAL;
		out->b[n / 2] |= (uint8_t)(n % 2 ? digit : digit << 4);
		n++;
	}
	if (!n)
		return -EINVAL;
	*nibbles = n;
	return 0;
}

int address_parse(const char *text, struct address *out)
{
	struct address a;
	unsigned int nibbles;

	if (address_parse_prefix(text, &a, &nibbles) || nibbles != 2 * ADDRESS_LEN)
		return -EINVAL;
	*out = a;
	return 0;
}

bool address_has_prefix(const struct address *a, const struct address *prefix, unsigned int nibbles)
{
	if (memcmp(a->b, prefix->b, nibbles / 2))
		return false;
	return nibbles % 2 == 0 || a->b[nibbles / 2] >> 4 == prefix->b[nibbles / 2] >> 4;
}

/*
 * The context id names this use of ORCHIDv2, so that another protocol hashing
 * the same key gets another address; chosen at random once, part of the ABI.
 */
static const uint8_t orchid_context[16] = {
	0x72, 0x61, 0x74, 0x6d, 0x61, 0x6e, 0x20, 0x4f, 0x52, 0x43, 0x48, 0x49, 0x44, 0x76, 0x32, 0x01,
};

void address_to_ipv6(const struct address *a, struct in6_addr *out)
{
	static const uint8_t prefix[4] = { 0x20, 0x01, 0x00, 0x2e };
	crypto_generichash_state st;
	uint8_t hash[32];

	crypto_generichash_init(&st, NULL, 0, sizeof(hash));
	crypto_generichash_update(&st, orchid_context, sizeof(orchid_context));
	crypto_generichash_update(&st, a->b, ADDRESS_LEN);
	crypto_generichash_final(&st, hash, sizeof(hash));

	/* RFC 7343 section 2: prefix 28 bits, OGA ID 4 bits, Encode_96 = the middle 96 bits. */
	memcpy(out->s6_addr, prefix, 4);
	memcpy(out->s6_addr + 4, hash + (sizeof(hash) - 12) / 2, 12);
}

bool address_ipv6_is_ours(const struct in6_addr *ip)
{
	return ip->s6_addr[0] == 0x20 && ip->s6_addr[1] == 0x01 && ip->s6_addr[2] == 0x00 &&
	       (ip->s6_addr[3] & 0xf0) == 0x20;
}
