// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sodium.h>
#include <string.h>

#include "ratmand/session/noise.h"
#include "unit/channel.h"

void channel_init(struct channel *c)
{
	memset(c, 0, sizeof(*c));
	c->now = 1000000;
	c->rng = 42;
	c->drop_nth = -1;
}

static uint32_t rnd(struct channel *c, uint32_t below)
{
	c->rng = c->rng * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(c->rng >> 33) % below;
}

static void fly(struct channel *c, const struct flight *f)
{
	if (c->n_flight < CHANNEL_FLIGHTS) {
		c->flight[c->n_flight] = *f;
		c->flight[c->n_flight++].due_ms = c->now + 1 + rnd(c, c->jitter_ms + 1);
	}
}

void channel_send(struct channel *c, int from, int to, const uint8_t *bytes, size_t len)
{
	struct flight f = { .from = from, .to = to, .len = len };

	assert_true(len <= sizeof(f.bytes));
	memcpy(f.bytes, bytes, len);
	c->last = f;
	if (!c->first.len)
		c->first = f;
	if (to < 0 || c->sent++ == c->drop_nth || rnd(c, 100) < c->loss)
		return;
	fly(c, &f);
	if (rnd(c, 100) < c->dup)
		fly(c, &f);
}

bool channel_take(struct channel *c, struct flight *out)
{
	for (int i = 0; i < c->n_flight; i++) {
		if (c->flight[i].due_ms > c->now)
			continue;
		*out = c->flight[i];
		c->flight[i] = c->flight[--c->n_flight];
		return true;
	}
	return false;
}

struct flight channel_damage(struct channel *c, size_t flip,
			     void (*deliver)(void *ctx, const struct flight *bad), void *ctx)
{
	const struct flight good = c->last;
	struct flight bad;

	assert_true(flip <= good.len);
	c->n_flight = 0;
	for (size_t i = 0; i < good.len; i++) {
		bad = good;
		bad.bytes[i] ^= (uint8_t)(1u << (i % 8));
		if (i < flip)
			deliver(ctx, &bad);
		bad = good;
		bad.len = i;
		deliver(ctx, &bad);
	}
	return good;
}

void channel_forge(struct flight *f, const uint8_t *sk, const struct address *to, uint8_t type,
		   const char *prologue, const struct address *claim, uint32_t index,
		   size_t payload_len)
{
	uint8_t payload[64] = { 0 }, secret[32], pk[32];
	struct noise_handshake hs;

	assert_in_range(payload_len, 44, sizeof(payload));
	assert_int_equal(crypto_sign_ed25519_sk_to_curve25519(secret, sk), 0);
	assert_int_equal(crypto_sign_ed25519_pk_to_curve25519(pk, to->b), 0);
	memcpy(payload, claim->b, 32);
	payload[32] = 1;
	payload[43] = (uint8_t)index;
	f->bytes[0] = type;
	f->bytes[7] = 1;
	noise_init(&hs, true, secret, pk, prologue, strlen(prologue), NULL);
	assert_int_equal(noise_write(&hs, payload, payload_len, f->bytes + 8, payload_len + 96),
			 payload_len + 96);
}
