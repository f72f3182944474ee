/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What handshakes travel over in tests of session/: a clock, and a channel that is late,
 * loses and doubles messages, in the same way every time. And what attackers do to them.
 */
#ifndef TESTS_UNIT_CHANNEL_H
#define TESTS_UNIT_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

#define CHANNEL_FLIGHTS 256
#define CHANNEL_MSG_MAX 256

struct flight {
	uint64_t due_ms;
	int from, to;		/* numbers of nodes; -1: nobody */
	size_t len;
	uint8_t bytes[CHANNEL_MSG_MAX];
};

struct channel {
	uint64_t now;			/* ms */
	uint64_t rng;
	unsigned int loss, dup;		/* percent */
	uint32_t jitter_ms;
	int drop_nth;			/* lose exactly the n-th message from here; -1: none */
	int sent;
	struct flight flight[CHANNEL_FLIGHTS];
	int n_flight;
	struct flight last;		/* the last message sent */
	struct flight first;		/* the first one: an init */
};

/* Nothing is lost or late. */
void channel_init(struct channel *c);

void channel_send(struct channel *c, int from, int to, const uint8_t *bytes, size_t len);

/* Takes one that is due; false when none is. */
bool channel_take(struct channel *c, struct flight *out);

/*
 * Takes the message that is on its way, and gives @deliver what became of it: with one bit
 * flipped in each of its first @flip bytes, and cut at every length. Returns it unharmed.
 */
struct flight channel_damage(struct channel *c, size_t flip,
			     void (*deliver)(void *ctx, const struct flight *bad), void *ctx);

/*
 * Writes the first message of a handshake up to its macs, well made by whoever has @sk (of
 * ed25519) for @to: type and index in the head, then Noise with a payload of @payload_len
 * bytes that claims to be from @claim with @index.
 */
void channel_forge(struct flight *f, const uint8_t *sk, const struct address *to, uint8_t type,
		   const char *prologue, const struct address *claim, uint32_t index,
		   size_t payload_len);

#endif
