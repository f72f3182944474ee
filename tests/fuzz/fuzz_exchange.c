// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * First byte 0: the rest is a sealed manifest. 1: the rest is what is inside a
 * manifest, signed and sealed here. Otherwise: bytes off the wire, cut into
 * pieces of that many bytes.
 */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/wire.h"
#include "ratmand/flow/exchange.h"
#include "ratmand/flow/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct address own;
static uint8_t own_secret[64];

static void feed(const uint8_t *data, size_t size, size_t piece)
{
	struct exchange_message m;
	volatile uint8_t sink __attribute__((unused)) = 0;
	struct exchange x;
	int got = 0;

	if (exchange_init(&x))
		abort();
	while (size && got >= 0) {
		size_t room;
		uint8_t *space = exchange_space(&x, &room);
		size_t n = piece < size ? piece : size;

		if (!room)
			abort();
		if (n > room)
			n = room;
		memcpy(space, data, n);
		exchange_filled(&x, n);
		data += n;
		size -= n;
		while ((got = exchange_next(&x, &m)) > 0) {
			/* Touch the first and last byte of everything that is borrowed. */
			if (m.type == EXCHANGE_OFFER)
				sink ^= m.offer.sealed[0] ^ m.offer.sealed[m.offer.len - 1];
			if (m.type == EXCHANGE_WANT)
				sink ^= m.want.refs[0][0] ^ m.want.refs[m.want.n - 1][31];
			if (m.type == EXCHANGE_BLOCK)
				sink ^= m.block.data[m.block.len - 1];
			if (m.type == EXCHANGE_MISSING)
				sink ^= m.missing[31];
			if (m.type == EXCHANGE_RECEIPT)
				sink ^= m.receipt[63];
			if (m.type == EXCHANGE_ITEM)
				sink ^= m.offer.sealed[0] ^ m.offer.sealed[m.offer.len - 1];
			if (m.type == EXCHANGE_JOIN)
				sink ^= m.join[EXCHANGE_NONCE_LEN - 1];
			if (m.type == EXCHANGE_PROVE)
				sink ^= m.proof[MANIFEST_SIG_LEN - 1];
			if (m.type == EXCHANGE_SUM)
				sink ^= m.sum.hash[EXCHANGE_SUM_LEN - 1];
			if (m.type == EXCHANGE_HAVE && m.have.n)
				sink ^= m.have.ids[m.have.n - 1][31];
		}
	}
	exchange_free(&x);
}

/* Seals @data as the inside of a manifest and opens it. */
static void open_inside(const uint8_t *data, size_t size)
{
	static const char domain[] = "ratman manifest v1";
	uint8_t text[sizeof(domain) + MANIFEST_MAX], sealed[MANIFEST_MAX];
	uint8_t box_key[crypto_box_PUBLICKEYBYTES];
	size_t head = 41;
	struct manifest m;

	if (size > MANIFEST_MAX - crypto_box_SEALBYTES - MANIFEST_SIG_LEN)
		return;
	memcpy(text, domain, sizeof(domain));
	memcpy(text + sizeof(domain), data, size);
	/* A parcel's kind and metadata lie before the rest. */
	if (size > 44 && data[0] == 2)
		head = 44 + (size_t)(data[42] << 8 | data[43]);
	/* The sender is ourselves where the letterhead would name one. */
	if (size > head + 66 + 1 + 32 + 1 + 32) {
		memcpy(text + sizeof(domain) + head + 67, own.b, 32);
		memcpy(text + sizeof(domain) + head + 100, own.b, 32);
	}
	crypto_sign_detached(text + sizeof(domain) + size, NULL, text, sizeof(domain) + size,
			     own_secret);
	if (crypto_sign_ed25519_pk_to_curve25519(box_key, own.b))
		abort();
	crypto_box_seal(sealed, text + sizeof(domain), size + MANIFEST_SIG_LEN, box_key);
	if (!manifest_open(sealed, size + MANIFEST_SIG_LEN + crypto_box_SEALBYTES, &own, own_secret,
			   &m) &&
	    (m.head.aux_len > LETTERHEAD_AUX_MAX || !m.head.stream_size ||
	     m.meta_len > PARCEL_META_MAX || m.kind >= PARCEL_KINDS || (m.meta_len && !m.kind)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	struct manifest m;

	if (address_is_zero(&own)) {
		if (sodium_init() < 0)
			abort();
		crypto_sign_seed_keypair(own.b, own_secret, seed);
	}
	if (!size)
		return 0;
	if (data[0] == 0)
		(void)manifest_open(data + 1, size - 1, &own, own_secret, &m);
	else if (data[0] == 1)
		open_inside(data + 1, size - 1);
	else
		feed(data + 1, size - 1, data[0] == 255 ? 65536 : data[0]);
	return 0;
}
