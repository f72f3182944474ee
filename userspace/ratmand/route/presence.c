// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/route/presence.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/wire.h"

#define DOMAIN_LEN (sizeof(PRESENCE_DOMAIN) - 1)

static void signed_message(const uint8_t bytes[static PRESENCE_SIGNED_LEN],
			   uint8_t out[static DOMAIN_LEN + PRESENCE_SIGNED_LEN])
{
	memcpy(out, PRESENCE_DOMAIN, DOMAIN_LEN);
	memcpy(out + DOMAIN_LEN, bytes, PRESENCE_SIGNED_LEN);
}

void presence_encode(const struct presence *p, uint8_t out[static PRESENCE_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, PRESENCE_LEN);
	wire_put_u8(&w, PRESENCE_VERSION);
	wire_put_u8(&w, p->flags);
	wire_put_be16(&w, 0);
	wire_put_be32(&w, p->lifetime_s);
	wire_put_be64(&w, p->sequence);
	wire_put(&w, p->space.b, ADDRESS_LEN);
	wire_put(&w, p->member.b, ADDRESS_LEN);
	wire_put(&w, p->signature, PRESENCE_SIG_LEN);
}

static bool in_range(uint8_t flags, uint32_t lifetime_s)
{
	return !(flags & (uint8_t)~PRESENCE_WITHDRAWN) && lifetime_s >= PRESENCE_LIFETIME_MIN &&
	       lifetime_s <= PRESENCE_LIFETIME_MAX;
}

int presence_build(uint8_t out[static PRESENCE_LEN], const uint8_t secret[static 64],
		   const struct address *member, uint64_t sequence, uint32_t lifetime_s,
		   uint8_t flags)
{
	uint8_t message[DOMAIN_LEN + PRESENCE_SIGNED_LEN];
	struct presence p = {
		.member = *member,
		.sequence = sequence,
		.lifetime_s = lifetime_s,
		.flags = flags,
	};

	if (!in_range(flags, lifetime_s))
		return -EINVAL;
	crypto_sign_ed25519_sk_to_pk(p.space.b, secret);
	presence_encode(&p, out);
	signed_message(out, message);
	crypto_sign_ed25519_detached(out + PRESENCE_SIGNED_LEN, NULL, message, sizeof(message),
				     secret);
	return 0;
}

int presence_parse(const uint8_t *bytes, size_t len, struct presence *out)
{
	struct wire_reader r;
	struct presence p;
	uint16_t reserved;
	uint8_t version;

	wire_read_init(&r, bytes, len);
	version = wire_get_u8(&r);
	p.flags = wire_get_u8(&r);
	reserved = wire_get_be16(&r);
	p.lifetime_s = wire_get_be32(&r);
	p.sequence = wire_get_be64(&r);
	wire_get(&r, p.space.b, ADDRESS_LEN);
	wire_get(&r, p.member.b, ADDRESS_LEN);
	wire_get(&r, p.signature, PRESENCE_SIG_LEN);
	if (!wire_done(&r) || version != PRESENCE_VERSION || reserved != 0 ||
	    !in_range(p.flags, p.lifetime_s))
		return -EINVAL;
	*out = p;
	return 0;
}

bool presence_verify(const uint8_t bytes[static PRESENCE_LEN])
{
	uint8_t message[DOMAIN_LEN + PRESENCE_SIGNED_LEN];

	signed_message(bytes, message);
	return crypto_sign_ed25519_verify_detached(bytes + PRESENCE_SIGNED_LEN, message,
						   sizeof(message), bytes + 16) == 0;
}
