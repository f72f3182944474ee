// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The commons: a namespace whose key everybody has, so that every daemon may
 * join, read and send. What a key does for other namespaces, the rest of this file
 * and the shares of space.c do here: only parcels go in, small ones, and of
 * each sender only the newest.
 *
 * Who is a member nobody announces: presences signed by a public key would prove
 * nothing. Everybody with a route is asked (JOIN); those who say no (LEAVE) are left
 * alone for an hour, and ever longer.
 */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "ratmand/flow/core.h"
#include "ratmand/flow/manifest.h"

#define AWAY_MIN_MS 3600000u
#define AWAY_MAX_MS 86400000u
#define AWAY_MAX 16384		/* addresses remembered */
/* A profile that has not changed goes out again when the commons are about to forget it. */
#define REFRESH_S (7 * 86400)

static const char commons_context[] = "ratman commons v1";

/* Somebody who is no member. */
struct away {
	UT_hash_handle hh;
	struct address peer;
	uint64_t until;			/* loop ms */
	uint64_t pause;			/* ms, the last one */
};

static void key_pair(struct address *out, uint8_t secret[static 64])
{
	uint8_t seed[crypto_sign_SEEDBYTES];
	crypto_generichash_state st;
	uint8_t round = 0;

	do {
		crypto_generichash_init(&st, NULL, 0, sizeof(seed));
		crypto_generichash_update(&st, (const uint8_t *)commons_context,
					  sizeof(commons_context));
		crypto_generichash_update(&st, &round, 1);
		crypto_generichash_final(&st, seed, sizeof(seed));
		crypto_sign_seed_keypair(out->b, secret, seed);
		/* Without a zero byte, as every address a client may see (microframe.md section 2). */
	} while (memchr(out->b, 0, ADDRESS_LEN) && ++round);
}

const struct recipient *flow_everybody(void)
{
	static struct recipient everybody;
	uint8_t secret[crypto_sign_SECRETKEYBYTES];

	if (everybody.kind != RECIPIENT_NAMESPACE) {
		key_pair(&everybody.address, secret);
		everybody.kind = RECIPIENT_NAMESPACE;
	}
	return &everybody;
}

bool commons_is(const struct address *space)
{
	return address_equal(space, &flow_everybody()->address);
}

int flow_commons_up(struct flow *f, const struct address *local)
{
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	struct address commons;

	key_pair(&commons, secret);
	return space_join(f, &commons, secret, local);
}

void flow_commons_down(struct flow *f, const struct address *local)
{
	flow_space_down(f, &flow_everybody()->address, local);
}

bool flow_commons_is_up(struct flow *f)
{
	return space_find(f, &flow_everybody()->address);
}

/* ---- what may go in ---- */

bool commons_takes(const struct address *from, enum parcel_kind kind)
{
	return (kind == PARCEL_PROFILE || kind == PARCEL_MESSAGE || kind == PARCEL_NOTICE) &&
	       !commons_is(from);
}

/* ---- who is no member ---- */

static struct away *away_find(struct flow *f, const struct address *peer)
{
	struct away *a;

	HASH_FIND(hh, f->away, peer->b, ADDRESS_LEN, a);
	return a;
}

static void away_drop(struct flow *f, struct away *a)
{
	HASH_DEL(f->away, a);
	free(a);
}

bool commons_is_away(struct flow *f, const struct address *peer)
{
	const struct away *a = away_find(f, peer);

	return a && uv_now(f->loop) < a->until;
}

void commons_away(struct flow *f, const struct address *peer)
{
	struct away *a = away_find(f, peer);

	if (!a) {
		/* The one that was first put there has waited longest. */
		if (HASH_COUNT(f->away) >= AWAY_MAX)
			away_drop(f, f->away);
		a = calloc(1, sizeof(*a));
		if (!a)
			return;
		a->peer = *peer;
		HASH_ADD_KEYPTR(hh, f->away, a->peer.b, ADDRESS_LEN, a);
		if (!a->hh.tbl) {
			free(a);
			return;
		}
	}
	a->pause = !a->pause ? AWAY_MIN_MS : 2 * a->pause < AWAY_MAX_MS ? 2 * a->pause : AWAY_MAX_MS;
	/* Not all at once again. */
	a->until = uv_now(f->loop) + a->pause / 2 + randombytes_uniform((uint32_t)a->pause);
}

void commons_here(struct flow *f, const struct address *peer)
{
	struct away *a = away_find(f, peer);

	if (a)
		away_drop(f, a);
}

void commons_free(struct flow *f)
{
	struct away *a = f->away, *next;

	HASH_CLEAR(hh, f->away);
	for (; a; a = next) {
		next = a->hh.next;
		free(a);
	}
}

/* ---- what a sender has sent ---- */

static uint64_t wall_s(void)
{
	return (uint64_t)(clock_wall_ns() / 1000000000);
}

/* The newest of what a sender has sent. */
struct newest {
	const struct address *from;
	uint64_t latest;		/* marks of clocks that were wrong are none */
	uint64_t created_s;		/* of anything */
	uint64_t profile_s;
	struct inbox_entry *profile;	/* NULL: there is none, or it is on its way still */
};

static void consider(struct newest *n, const struct address *from, uint64_t created_s, bool profile,
		     struct inbox_entry *kept)
{
	/* Nobody takes one of a time that is too far ahead, and it goes by itself. */
	if (created_s > n->latest || !address_equal(from, n->from))
		return;
	if (created_s > n->created_s)
		n->created_s = created_s;
	if (!profile || created_s < n->profile_s)
		return;
	n->profile_s = created_s;
	n->profile = kept;
}

static void consider_entry(struct newest *n, struct inbox_entry *e)
{
	if (inbox_is_item(e) && commons_is(&e->to.address))
		consider(n, &e->from, e->created_s, e->kind == PARCEL_PROFILE,
			 e->announced ? e : NULL);
}

uint64_t commons_next_created(struct flow *f, const struct address *from,
			      struct inbox_entry **profile)
{
	uint64_t now = wall_s();
	struct newest n = { .from = from, .latest = now + LIMIT_SPACE_AHEAD_S / 2 };
	const struct space *sp = space_find(f, &flow_everybody()->address);
	const struct outbox_entry *o;
	struct inbox_entry *e;

	for (size_t i = 0; sp && i < sp->n_items; i++)
		consider_entry(&n, sp->items[i]);
	for (e = sp ? NULL : f->inbox.all; e; e = e->hh.next)
		consider_entry(&n, e);
	for (o = f->outbox.all; o; o = o->hh.next)
		if (commons_is(&o->to.address))
			consider(&n, &o->from, o->created_s, o->kind == PARCEL_PROFILE, NULL);
	*profile = n.profile;
	return n.created_s < now ? now : n.created_s + 1;
}

static bool same_content(struct flow_reader *r, const uint8_t *data, size_t len)
{
	uint8_t buf[4096];
	size_t at = 0;
	ssize_t n;

	while ((n = flow_reader_read(r, buf, sizeof(buf))) > 0) {
		if ((size_t)n > len - at || memcmp(buf, data + at, (size_t)n))
			return false;
		at += (size_t)n;
	}
	return !n && at == len;
}

bool commons_has_same(struct flow *f, struct inbox_entry *kept, const uint8_t *meta,
		      size_t meta_len, const uint8_t *data, size_t len)
{
	struct manifest *m = NULL;
	struct flow_reader r;
	bool same = false;

	if (kept->size == len && kept->created_s + REFRESH_S > wall_s())
		m = malloc(sizeof(*m));
	if (m && !recv_open_entry(f, kept, &r, m)) {
		same = m->meta_len == meta_len && (!meta_len || !memcmp(m->meta, meta, meta_len)) &&
		       same_content(&r, data, len);
		flow_reader_close(&r);
	}
	if (m)
		sodium_memzero(m, sizeof(*m));
	free(m);
	return same;
}
