// SPDX-License-Identifier: GPL-2.0-or-later
#include "ratmand/route/record.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/wire.h"

#define DOMAIN_LEN (sizeof(RECORD_DOMAIN) - 1)

static void signed_message(const uint8_t bytes[static RECORD_SIGNED_LEN],
			   uint8_t out[static DOMAIN_LEN + RECORD_SIGNED_LEN])
{
	memcpy(out, RECORD_DOMAIN, DOMAIN_LEN);
	memcpy(out + DOMAIN_LEN, bytes, RECORD_SIGNED_LEN);
}

void record_encode(const struct record *rec, uint8_t out[static RECORD_LEN])
{
	struct wire_writer w;

	wire_write_init(&w, out, RECORD_LEN);
	wire_put_u8(&w, RECORD_VERSION);
	wire_put_u8(&w, rec->flags);
	wire_put_be16(&w, 0);
	wire_put_be32(&w, rec->lifetime_s);
	wire_put_be64(&w, rec->sequence);
	wire_put(&w, rec->address.b, ADDRESS_LEN);
	wire_put(&w, rec->signature, RECORD_SIG_LEN);
}

int record_build(uint8_t out[static RECORD_LEN], const uint8_t secret[static 64],
		 uint64_t sequence, uint32_t lifetime_s, uint8_t flags)
{
	uint8_t message[DOMAIN_LEN + RECORD_SIGNED_LEN];
	struct record rec = {
		.sequence = sequence,
		.lifetime_s = lifetime_s,
		.flags = flags,
	};

	if (flags & (uint8_t)~RECORD_WITHDRAWN)
		return -EINVAL;
	if (lifetime_s < RECORD_LIFETIME_MIN || lifetime_s > RECORD_LIFETIME_MAX)
		return -EINVAL;

	crypto_sign_ed25519_sk_to_pk(rec.address.b, secret);
	record_encode(&rec, out);
	signed_message(out, message);
	crypto_sign_ed25519_detached(out + RECORD_SIGNED_LEN, NULL, message, sizeof(message),
				     secret);
	return 0;
}

int record_parse(const uint8_t *bytes, size_t len, struct record *out)
{
	struct wire_reader r;
	struct record rec;
	uint16_t reserved;
	uint8_t version;

	wire_read_init(&r, bytes, len);
	version = wire_get_u8(&r);
	rec.flags = wire_get_u8(&r);
	reserved = wire_get_be16(&r);
	rec.lifetime_s = wire_get_be32(&r);
	rec.sequence = wire_get_be64(&r);
	wire_get(&r, rec.address.b, ADDRESS_LEN);
	wire_get(&r, rec.signature, RECORD_SIG_LEN);

	if (!wire_done(&r) || version != RECORD_VERSION || reserved != 0)
		return -EINVAL;
	if (rec.flags & (uint8_t)~RECORD_WITHDRAWN)
		return -EINVAL;
	if (rec.lifetime_s < RECORD_LIFETIME_MIN || rec.lifetime_s > RECORD_LIFETIME_MAX)
		return -EINVAL;
	*out = rec;
	return 0;
}

bool record_verify(const uint8_t bytes[static RECORD_LEN])
{
	uint8_t message[DOMAIN_LEN + RECORD_SIGNED_LEN];

	signed_message(bytes, message);
	return crypto_sign_ed25519_verify_detached(bytes + RECORD_SIGNED_LEN, message,
						   sizeof(message), bytes + 16) == 0;
}

void record_id(const uint8_t bytes[static RECORD_LEN], uint8_t id[static RECORD_ID_LEN])
{
	uint8_t hash[32];

	crypto_generichash(hash, sizeof(hash), bytes, RECORD_LEN, NULL, 0);
	memcpy(id, hash, RECORD_ID_LEN);
}
