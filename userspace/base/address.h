/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Addresses: ed25519 public keys, their text forms and their IPv6 form.
 */
#ifndef RATMAN_BASE_ADDRESS_H
#define RATMAN_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_LEN 32
/* 16 groups of 4 hex digits, 15 dashes, NUL. */
#define ADDRESS_TEXT_LEN 80

struct address {
	uint8_t b[ADDRESS_LEN];
};

/* A 32-byte random identifier (token, subscription, manifest); same text form. */
struct ident {
	uint8_t b[32];
};

/* Draws an identifier none of whose bytes is 00: Rust reads one that begins with 00 as none. */
void ident_draw(struct ident *id);
bool ident_equal(const struct ident *a, const struct ident *b);

bool address_equal(const struct address *a, const struct address *b);
int address_compare(const struct address *a, const struct address *b);
bool address_is_zero(const struct address *a);

/* Writes the full text form "0102-0304-…-1F20" and returns @out. */
const char *address_format(const struct address *a, char out[static ADDRESS_TEXT_LEN]);

/*
 * Parses the full text form: hex digits of either case, in pieces of even
 * length joined by '-', 32 bytes in total. Returns 0 or -EINVAL.
 */
int address_parse(const char *text, struct address *out);

/*
 * Parses a prefix of the text form (at least one hex digit, dashes anywhere
 * between bytes). @nibbles gets the number of digits. Returns 0 or -EINVAL.
 */
int address_parse_prefix(const char *text, struct address *out, unsigned int *nibbles);

/* True when the first @nibbles hex digits of @a and @prefix agree. */
bool address_has_prefix(const struct address *a, const struct address *prefix, unsigned int nibbles);

/*
 * ORCHIDv2 of an address (RFC 7343): prefix 2001:20::/28, OGA ID 0xE (ours),
 * then the middle 96 bits of BLAKE2b-256(context | address).
 */
void address_to_ipv6(const struct address *a, struct in6_addr *out);

/* True for an IPv6 address inside 2001:20::/28. */
bool address_ipv6_is_ours(const struct in6_addr *ip);

#endif
